"""The four families of errors, and the one list of their codes.

An error says what happened, names the thing and the limit, and says what to do next, in Chinese and English. It never carries a
row, a key, or a count below a threshold: values are put into the texts below by name, and each text shows what it can hold.

| family | whose fault | exit |
|---|---|---|
| `ConfigError` | your file; says file, line and key | 2 |
| `Refusal` | nobody's: a city will not | 3 |
| `PeerError` | another party broke the protocol | 1 |
| `IncompleteError` | too few cities | 1, or 4 where a result could still be given |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

Language = Literal["zh", "en"]


@dataclass(frozen=True)
class Place:
    """Where in a file a fault stands. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
        where = ":".join(parts)
        return f"{where}: {self.key}" if self.key else where


class HpfedError(Exception):
    """One fault with a stable code. `also` holds further faults found in the same look."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, code: str, /, at: Place | None = None, also: Iterable["HpfedError"] = (), **values: object
    ) -> None:
        self.code = code
        self.at = at
        self.also = tuple(also)
        self.values = values
        super().__init__(self.text("en"))

    def text(self, language: Language) -> str:
        """What happened and what to do next, with the place in front."""
        values = {**self.values, "near": _near(self.values.get("near"), language)}
        what, following = (part.format_map(values) for part in CODES[self.code][language])
        stop, gap = ("。", "") if language == "zh" else (".", " ")
        sentence = gap.join(
            part if part.endswith(("?", "？", ".", "。")) else part + stop for part in (what, following) if part
        )
        return f"{self.at}: {sentence}" if self.at else sentence

    def every(self) -> tuple["HpfedError", ...]:
        """This fault and all that were found with it."""
        return (self, *(each for other in self.also for each in other.every()))


def _near(name: object, language: Language) -> str:
    """The nearest known name, as a question; nothing if no name comes near."""
    if not name:
        return ""
    return f"，是否想写 {name!r}？" if language == "zh" else f"; did you mean {name!r}?"


class ConfigError(HpfedError):
    """A file of the user is wrong. Nothing was done."""

    exit_code = 2


class Refusal(HpfedError):
    """A city, or a rule that a city relies on, says no."""

    exit_code = 3


class PeerError(HpfedError):
    """Another party broke the protocol. `who` is the party's name, or empty."""

    exit_code = 1

    def __init__(self, code: str, /, who: str = "", at: Place | None = None, **values: object) -> None:
        self.who = who
        super().__init__(code, at, (), who=who, **values)


class IncompleteError(HpfedError):
    """Too few cities came. `missing` says which, and why."""

    exit_code = 1


def joined(faults: Iterable[HpfedError]) -> HpfedError | None:
    """The first of several faults, carrying the others; `None` if there are none."""
    listed = list(faults)
    if not listed:
        return None
    first = listed[0]
    first.also = (*first.also, *listed[1:])
    return first


Texts = dict[Literal["zh", "en"], tuple[str, str]]


def _t(zh: str, zh_next: str, en: str, en_next: str) -> Texts:
    return {"zh": (zh, zh_next), "en": (en, en_next)}


# One list. In each entry: what happened, what to do next; Chinese, then English.
CODES: Final[dict[str, Texts]] = {
    # --- foundations
    "ENTROPY_SHORT": _t(
        "随机源只给出 {got} 字节，需要 {asked} 字节",
        "检查操作系统的随机源；未产生任何噪声或密钥",
        "the random source gave {got} of {asked} bytes",
        "Check the operating system's random source; no noise or key was drawn",
    ),
    "NOT_CANONICAL": _t(
        "{what} 不是规范 JSON (RFC 8785)",
        "请用 hpfed 自身的命令生成该文件",
        "{what} is not canonical JSON (RFC 8785)",
        "Let hpfed's own commands write this file",
    ),
    # --- files written by people
    "FILE_MISSING": _t("找不到文件", "检查路径", "there is no such file", "Check the path"),
    "OUT_NOT_EMPTY": _t(
        "输出文件夹不是空的",
        "请换一个文件夹，或先移走其中内容",
        "the output folder is not empty",
        "Name another folder, or move its content away",
    ),
    "EXAMPLE_PACKAGE": _t(
        "缺少示例数据所在的软件包 {name}",
        "pip install {name}",
        "the package {name}, which ships the example's data, is not installed",
        "pip install {name}",
    ),
    "FILE_ENCODING": _t(
        "不是 UTF-8 文本（第 {offset} 字节）",
        "请另存为 UTF-8",
        "is not UTF-8 text (byte {offset})",
        "Save the file as UTF-8",
    ),
    "YAML_SYNTAX": _t("YAML 语法错误：{problem}", "改正后再试", "YAML syntax: {problem}", "Correct it and try again"),
    "YAML_FORBIDDEN": _t(
        "不接受 YAML 的 {thing}",
        "请直接写出内容",
        "YAML {thing} are not accepted here",
        "Write the content out",
    ),
    "YAML_TOO_LARGE": _t(
        "文件超过上限：{what} 至多 {limit}",
        "请拆分或精简文件",
        "the file is over a limit: at most {limit} {what}",
        "Split or shorten the file",
    ),
    "SCHEMA_KEY": _t(
        "没有名为 {key!r} 的键",
        "{near_zh}",
        "unknown key {key!r}",
        "{near_en}",
    ),
    "SCHEMA_MISSING": _t("缺少键 {key!r}", "请补上", "the key {key!r} is missing", "Add it"),
    "SCHEMA_VALUE": _t("值不合要求：{problem}", "请改正", "{problem}", "Correct it and try again"),
    "NOT_YET": _t(
        "本版本尚不支持{thing}",
        "请删去该项；见 CHANGELOG",
        "{thing} is not part of this version",
        "Leave it out; CHANGELOG says what is planned",
    ),
    # --- studies
    "STUDY_VARIABLE": _t(
        "词典中没有变量 {name!r}{near}",
        "变量名见词典",
        "the dictionary has no variable {name!r}{near}",
        "The dictionary lists the names",
    ),
    "STUDY_NOT_AN_AXIS": _t(
        "{name} 的类型是 {type}，不能直接用作分组",
        "请在词典中为它增加一个分档的派生变量 (derived)",
        "{name} is of type {type} and has no codes to split by",
        "Add a derived variable with bands to the dictionary",
    ),
    "STUDY_TWICE": _t("{name!r} 出现两次", "只写一次", "{name!r} is named twice", "Name it once"),
    "STUDY_EMPTY": _t("清单为空", "至少写一项", "the list is empty", "Name at least one"),
    "STUDY_AXES": _t(
        "分组变量 {count} 个，上限 {limit} 个",
        "请减少分组变量",
        "{count} variables to split by; the limit is {limit}",
        "Ask for fewer",
    ),
    "STUDY_CELLS": _t(
        "{what}有 {cells} 个单元格，上限 {limit}",
        "请减少类别或分组变量",
        "{what} has {cells} cells; the limit is {limit}",
        "Ask for fewer categories or variables",
    ),
    "STUDY_KIND": _t(
        "没有 {kind!r} 这种问题{near}",
        "本版本支持：{known}",
        "there is no kind of question {kind!r}{near}",
        "This version has: {known}",
    ),
    "STUDY_EPSILON": _t(
        "dp 模式须写明 privacy.epsilon",
        "例如 epsilon: 1.0",
        "mode dp needs privacy.epsilon",
        "For example epsilon: 1.0",
    ),
    "STUDY_DICTIONARY": _t(
        "研究引用的词典与随附的词典不一致",
        "请用同一份词典重新签署研究",
        "the study names another dictionary than the one sent with it",
        "Sign the study again with the dictionary it means",
    ),
    "STUDY_INVALID": _t(
        "收到的研究不合格式",
        "请用 hpfed 自身的命令读取并发送研究文件",
        "the study that arrived is not a valid one",
        "Read and send the study file with hpfed's own commands",
    ),
    # --- approvals
    "APPROVAL_MISSING": _t(
        "{city} 未批准这项研究",
        "请向该市提交这一版本的研究",
        "{city} has not approved this study",
        "Offer exactly this study to the city",
    ),
    "APPROVAL_EXPIRED": _t(
        "{city} 的批准已过期",
        "请重新提交",
        "the approval of {city} has expired",
        "Offer the study again",
    ),
    "APPROVAL_ASKER": _t(
        "提问方 {asker} 未登记、已过期，或签名不符",
        "请用名册所载的密钥签署研究",
        "the asker {asker} is not enrolled, has expired, or did not sign this study",
        "Sign the study with the key on the roster",
    ),
    # --- policies and budgets of cities
    "POLICY_TOO_LOOSE": _t(
        "{key} 为 {found}，比出厂规则 {shipped} 宽松；只有 city.yaml 注明 synthetic 或 open_data 的城市可以放宽",
        "请收紧该值或删去该键",
        "{key} is {found}, looser than the shipped {shipped}; only where city.yaml says synthetic or open_data may it be",
        "Tighten the value or leave the key out",
    ),
    "POLICY_NESTED": _t(
        "{key} 的 {what} 为 {found}，低于所含上限的 {inner}",
        "须满足 per_asker_year <= per_year <= total",
        "{what} of {key} is {found}, below the {inner} of the cap inside it",
        "Caps are nested: per_asker_year <= per_year <= total",
    ),
    "POLICY_MODE": _t(
        "本市不以 {mode} 模式作答 (policy.yaml: modes)",
        "请改用其他模式，或与该市商议",
        "this city does not answer in mode {mode} (policy.yaml: modes)",
        "Use another mode, or ask the city",
    ),
    "POLICY_RELEASE": _t(
        "本市不接受发布方式 {release} (policy.yaml: releases)",
        "请改用其他发布方式，或与该市商议",
        "this city does not take part in release {release} (policy.yaml: releases)",
        "Choose another release, or ask the city",
    ),
    "POLICY_KIND": _t(
        "本市在 {mode} 模式下不回答 {kind} 类问题 (policy.yaml: {key}){why_zh}",
        "请去掉这类问题，或与该市商议",
        "this city does not answer questions of kind {kind} in mode {mode} (policy.yaml: {key}){why_en}",
        "Leave such questions out, or ask the city",
    ),
    "POLICY_VARIABLE": _t(
        "本市不提供 {what} (policy.yaml: {key})",
        "请去掉该变量或改变分组",
        "this city does not answer about {what} (policy.yaml: {key})",
        "Leave the variable out or split the table",
    ),
    "POLICY_CELLS": _t(
        "{what} 有 {count} {thing_zh}；本市至多 {limit} (policy.yaml: {key})",
        "请缩小研究，或与该市商议",
        "{what} has {count} {thing_en}; this city allows {limit} (policy.yaml: {key})",
        "Ask for less, or ask the city",
    ),
    "POLICY_CITIES": _t(
        "{what_zh}：{count} 个城市，要求{or_none_zh}至少 {limit} 个",
        "请去掉该变量或问题，或点名其他城市",
        "{what_en}: {count} of the cities, where {or_none_en}at least {limit} are needed",
        "Write the study without it, or name other cities",
    ),
    "POLICY_COLLUDERS": _t(
        "研究只防范 {count} 个合谋城市，本市要求至少 {limit} 个 (policy.yaml: cities.least_colluders)",
        "请提高 tolerate.colluders",
        "the study tolerates {count} colluding cities; this city asks for at least {limit} (policy.yaml: cities.least_colluders)",
        "Raise tolerate.colluders",
    ),
    "POLICY_EPSILON": _t(
        "{what} 为 {found}，本市每项研究至多 {most} (policy.yaml: {key})",
        "请减小该值，或拆分研究",
        "{what} is {found}; this city allows {most} per study (policy.yaml: {key})",
        "Ask for less",
    ),
    "POLICY_REFUSED": _t(
        "本市规则 {rule} 拒绝这项研究",
        "请与该市商议",
        "a rule of this city refuses the study (policy.yaml: {rule})",
        "Ask the city",
    ),
    "BUDGET_ASKER": _t(
        "提问方 {asker} 在本市的年度预算不足：需 {cost}，余 {left}（{order} 阶，上限 epsilon {epsilon}）",
        "{renews} 更新；请减小 epsilon",
        "the year's budget of asker {asker} at this city is too small: costs {cost}, left {left} (order {order}, cap epsilon {epsilon})",
        "It renews on {renews}; ask for a smaller epsilon",
    ),
    "BUDGET_YEAR": _t(
        "本市年度预算不足：需 {cost}，余 {left}（{order} 阶，上限 epsilon {epsilon}）",
        "{renews} 更新；请减小 epsilon",
        "this city's budget of the year is too small: costs {cost}, left {left} (order {order}, cap epsilon {epsilon})",
        "It renews on {renews}; ask for a smaller epsilon",
    ),
    "BUDGET_TOTAL": _t(
        "本市总预算不足：需 {cost}，余 {left}（{order} 阶，上限 epsilon {epsilon}）",
        "总预算不更新；请减小 epsilon，或与该市商议",
        "this city's total budget is too small: costs {cost}, left {left} (order {order}, cap epsilon {epsilon})",
        "It does not renew; ask for a smaller epsilon, or ask the city",
    ),
    "BUDGET_RETRIES": _t(
        "这次运行已付费尝试 {count} 次而无结果，本市至多重试 {limit} 次",
        "请提交下一个 revision",
        "this run was charged {count} times and gave no answer; this city allows {limit} retries",
        "Ask the next revision of the study",
    ),
    "BUSY": _t(
        "本市一天内至多 {limit} 次会话",
        "请稍后再试",
        "this city opens at most {limit} conversations a day",
        "Try again later",
    ),
    "LEDGER_BROKEN": _t(
        "账本第 {entry} 条不完整或被改动；本市不再作答",
        "请运行 hpfed-node audit verify，并从备份恢复",
        "entry {entry} of the ledger is damaged or was changed; this city answers nothing",
        "Run hpfed-node audit verify, and restore a backup",
    ),
    "LEDGER_ROLLED_BACK": _t(
        "账本比本市已记录的更旧（应有第 {entry} 条）；本市不再作答",
        "请找回最新账本；有意恢复须两名审批人",
        "the ledger is older than what this city recorded elsewhere (entry {entry}); this city answers nothing",
        "Find the newest ledger; to restore on purpose takes two officers",
    ),
    "LEDGER_LOCKED": _t(
        "账本正由另一个进程使用",
        "同一主目录只能运行一个节点",
        "another process is using the ledger",
        "Run one node per home",
    ),
    "LEDGER_UNAVAILABLE": _t(
        "账本无法写入；未读取任何记录，未送出任何内容",
        "检查磁盘空间与权限",
        "the ledger cannot be written; nothing was sent",
        "Check disk space and permissions",
    ),
    "AUDIT_BROKEN": _t(
        "审计记录第 {entry} 行不完整或被改动",
        "请从备份恢复并查明原因",
        "line {entry} of the audit record is damaged or was changed",
        "Restore a backup and find out why",
    ),
    "EXACT_COHORT": _t(
        "本市符合条件的人数低于下限 {limit} (policy.yaml: {key})",
        "请放宽 cohort，或与该市商议",
        "this city has fewer rows in the cohort than {limit} (policy.yaml: {key})",
        "Widen the cohort, or ask the city",
    ),
    "EXACT_RELEASES": _t(
        "同一快照的精确结果至多 {limit} 次",
        "请改用 dp 模式，或等待下一快照",
        "at most {limit} exact releases are made from one snapshot",
        "Use mode dp, or wait for the next snapshot",
    ),
    # --- noise and what it costs
    "PRIVACY_NO_HONEST_SHARE": _t(
        "没有诚实城市来加噪：门限减去合谋城市数为 {h}",
        "减少 tolerate.dropouts 或 tolerate.colluders，或邀请更多城市",
        "no honest city is left to add noise: the threshold minus the colluders is {h}",
        "Tolerate fewer dropouts or colluders, or invite more cities",
    ),
    "PRIVACY_EPSILON_TOO_SMALL": _t(
        "delta {delta} 下无法证明 epsilon 不超过 {epsilon}；可证明的最小值约为 {least}",
        "请增大 epsilon 或 delta",
        "with delta {delta} no amount of noise can be shown to give epsilon {epsilon}; the least is about {least}",
        "Ask for a larger epsilon or delta",
    ),
    "NOISE_VARIANCE": _t(
        "噪声方差 {v20}（单位 2^-20）超出允许范围 {least} 至 {most}",
        "请调整 epsilon、步长 (shift) 或问题数量",
        "a noise variance of {v20} (in 2^-20) is outside {least} to {most}",
        "Change epsilon, the step (shift) or the number of questions",
    ),
    # --- results
    "RESULTS_CONTRACT": _t(
        "结果文件按契约第 {contract} 版写成，本版本只读第 {known} 版",
        "请用写成它的版本读取：{software}",
        "the results were written under contract {contract}; this version reads contract {known}",
        "Read them with the version that wrote them: {software}",
    ),
    "RESULTS_INVALID": _t(
        "结果文件不合格式：{problem}",
        "请向协调方索取原件，或重新运行研究",
        "not a results file of this contract: {problem}",
        "Ask the coordinator for the original, or run the study again",
    ),
    # --- rows
    "SNAPSHOT_OUT_OF_DOMAIN": _t(
        "列 {column} 有值超出公开取值范围（规则：{rule}）；精确模式下不予作答",
        "请检查映射后重新入库",
        "column {column} holds values outside the public domain (rule: {rule}); exact mode does not answer",
        "Check the mapping and ingest again",
    ),
    "DICTIONARY_UNKNOWN": _t(
        "没有内置词典 {name}",
        "内置词典：{known}；也可写 YAML 文件的路径",
        "there is no built-in dictionary {name}{near}",
        "Built in: {known}; the path of a YAML file works too",
    ),
}
