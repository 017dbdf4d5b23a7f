"""The four families of errors, and the one list of their codes.

An error says what happened, names the thing and the limit, and says what to do next, in Chinese and English. It never carries a
row, a key, or a count below a threshold: values are put into the texts below by name, and each text shows what it can hold.

| family | whose fault | exit |
|---|---|---|
| `ConfigError` | your file; says file, line and key | 2 |
| `Refusal` | nobody's: a city will not | 3; 1 where another process uses its books |
| `PeerError` | another party broke the protocol | 1 |
| `IncompleteError` | too few cities | 1, or 4 where a result could still be given |
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from unicodedata import category

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


@dataclass(frozen=True)
class Both:
    """A part of a message that is worded in both languages."""

    zh: str
    en: str

    def __str__(self) -> str:
        return self.en


class Unfit(ValueError):
    """What a value of a file is not, in both languages; whoever knows the place makes a `ConfigError` of it."""

    def __init__(self, zh: str, en: str) -> None:
        self.said = Both(zh, en)
        super().__init__(en)


def worded(fault: ValueError) -> Both:
    """What a fault of a value says."""
    return fault.said if isinstance(fault, Unfit) else Both(str(fault), str(fault))


class HpfedError(Exception):
    """One fault with a stable code. `also` holds further faults found in the same look."""

    exit_code: int = 1

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
        values = self.values_in(language)
        what, following = (part.format_map(values) for part in CODES[self.code][language])
        stop, gap = ("。", "") if language == "zh" else (".", " ")
        sentence = gap.join(
            part if part.endswith(("?", "？", ".", "。")) else part + stop for part in (what, following) if part
        )
        return escaped(f"{self.at}: {sentence}" if self.at else sentence)

    def next(self, language: Language) -> str:
        """What to do next, alone."""
        return CODES[self.code][language][1].format_map(self.values_in(language))

    def values_in(self, language: Language) -> dict[str, object]:
        """The values as they go into a text."""
        worded = {
            name: getattr(each, language) if isinstance(each, Both) else each for name, each in self.values.items()
        }
        return {**worded, "near": _near(self.values.get("near"), language)}

    def every(self) -> tuple["HpfedError", ...]:
        """This fault and all that were found with it."""
        return (self, *(each for other in self.also for each in other.every()))


def escaped(text: str) -> str:
    """Text that does nothing to a terminal or a log: control, format and separator characters are written out, as \\x1b or \\u202e."""
    return "".join(mark if _still(mark) else ascii(mark)[1:-1] for mark in text)


def lines(text: str) -> str:
    """The same for output of several lines."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that does nothing to a terminal: the same value, with those characters written as \\u202e."""
    written = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return "".join(mark if mark == "\n" or _still(mark) else json.dumps(mark)[1:-1] for mark in written)


def _still(mark: str) -> bool:
    return mark.isprintable() or category(mark) == "Zs"


def _near(name: object, language: Language) -> str:
    """The nearest known name, as a question; nothing if no name comes near."""
    if not name:
        return ""
    return f"，是否想写 {name!r}？" if language == "zh" else f"; did you mean {name!r}?"


def said(fault: HpfedError, how: Literal["zh", "en", "json"] | str) -> str:
    """A fault and all found with it, a line each; as JSON the first one in both languages."""
    if how == "json":
        words = {"code": fault.code, "zh": fault.text("zh"), "en": fault.text("en"), "next": fault.next("en")}
        return json_text({"error": words})
    return "\n".join(each.text("zh" if how == "zh" else "en") for each in fault.every())


class ConfigError(HpfedError):
    """A file of the user is wrong. Nothing was done."""

    exit_code = 2


class Refusal(HpfedError):
    """A city, or a rule that a city relies on, says no. A node that runs already is no decision: the program then failed."""

    exit_code = 3

    def __init__(
        self, code: str, /, at: Place | None = None, also: Iterable[HpfedError] = (), **values: object
    ) -> None:
        super().__init__(code, at, also, **values)
        if code in ("LEDGER_LOCKED", "NODE_RUNNING"):
            self.exit_code = 1


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
    "DROP_SYNTAX": _t(
        "--drop 不能识别 {text!r}",
        "写成 城市@步骤，步骤为 {steps}",
        "--drop does not understand {text!r}",
        "Write CITY@STEP, with one of the steps {steps}",
    ),
    "DROP_ROUND": _t(
        "研究 {study} 只有一轮（第 0 轮），没有第 {round} 轮",
        "去掉 --drop 中的轮次",
        "the study {study} has one round, number 0, and no round {round}",
        "Leave the round out of --drop",
    ),
    "CITY_UNKNOWN": _t(
        "没有名为 {name!r} 的城市文件夹",
        "现有：{known}",
        "there is no city folder {name!r}",
        "There are: {known}",
    ),
    "CITY_NONE": _t(
        "文件夹中没有城市（没有含 city.yaml 的子文件夹）",
        "可用 hpfed-simulate cities 生成六个虚构城市",
        "the folder holds no cities (no subfolder with a city.yaml)",
        "hpfed-simulate cities makes six synthetic ones",
    ),
    "CITY_FOLDER": _t(
        "city.yaml 写的是 {name!r}，文件夹名是 {folder!r}",
        "两者必须一致",
        "city.yaml says {name!r} and the folder is called {folder!r}",
        "Make them the same",
    ),
    "ROSTER_STRANGER": _t(
        "{city} 不在名册上，或名册所载不是本节点的密钥",
        "请先登记本节点的密钥",
        "{city} is not on the roster under the key of this node",
        "Enrol this node's key first",
    ),
    "SNAPSHOT_DATE": _t(
        "本市没有 {as_of} 的快照",
        "请先入库该日期的数据 (hpfed-node ingest)",
        "this city has no snapshot of {as_of}",
        "Ingest the data of that date (hpfed-node ingest)",
    ),
    "SNAPSHOT_DICTIONARY": _t(
        "本市数据是按另一份词典映射的，不是 {name}",
        "请用同一份词典重新映射并入库",
        "this city's data are mapped to another dictionary than {name}",
        "Map to the same dictionary and ingest again",
    ),
    "TEMPLATE_UNKNOWN": _t(
        "没有名为 {name!r} 的模板{near}",
        "现有：{known}",
        "there is no template {name!r}{near}",
        "There are: {known}",
    ),
    "TEMPLATE_TWO": _t(
        "--template 与 --from 只能给出一个",
        "请选择从模板开始，或从自己的研究文件开始",
        "--template and --from cannot both be given",
        "Begin with a shipped study, or with a file of your own",
    ),
    "COMPARE_SAME": _t(
        "两份结果都是研究 {name} 的同一期（{as_of}）：同一项研究只有一个答复，没有变化可言",
        "请给出另一期、下一个 revision 或另一日期的结果",
        "both results are the same run of study {name} ({as_of}): a study has one answer, and nothing changed",
        "Name the result of another run, of the next revision, or of another date",
    ),
    "COMPARE_DICTIONARY": _t(
        "两份结果用的词典不同：{first} 与 {second}，同名变量未必同义",
        "请用同一版词典重新提问其中一项研究",
        "the two results use different dictionaries, {first} and {second}: variables of one name may mean two things",
        "Ask one of the studies again with the dictionary of the other",
    ),
    "COMPARE_UNIT": _t(
        "两份结果的计数单位不同：{first} 与 {second}",
        "只能比较同一单位的结果",
        "the two results count different things: {first} and {second}",
        "Compare results of one unit",
    ),
    "COMPARE_NOTHING": _t(
        "两项研究没有编号与类型都相同的问题",
        "请让要比较的问题用同一 id 与 kind，例如用 study new --from 从前一项研究开始",
        "the two studies have no question of one id and one kind",
        "Give questions that are to be compared one id and kind: begin the later study with `study new --from` the earlier one",
    ),
    "FILE_EXISTS": _t("文件已存在", "请换一个文件名", "the file exists already", "Choose another name"),
    "CODEBOOK_FORMAT": _t(
        "码表没有 {name!r} 这种格式",
        "可选：{known}，可用逗号并列",
        "a codebook has no format {name!r}",
        "Choose from {known}, split by commas",
    ),
    "BENCH_UNKNOWN": _t(
        "没有基准测试 {name!r}", "现有：{known}", "there is no benchmark {name!r}", "There are: {known}"
    ),
    "ATTACK_UNKNOWN": _t(
        "没有攻击 {name!r}",
        "现有：{known}；以后的版本：{later}",
        "there is no attack {name!r}",
        "There are: {known}; in a later release: {later}",
    ),
    "OUT_UNUSABLE": _t(
        "输出位置不能写入（已有同名文件，或没有权限）",
        "请换一个文件夹；尚未询问任何城市",
        "nothing can be written there: a file stands in the way, or there is no right to write",
        "Name another folder; no city was asked",
    ),
    "OUT_INSIDE": _t(
        "输出文件夹在城市文件夹 {folder} 之内",
        "请换到其外；尚未询问任何城市",
        "the output lies inside {folder}, where cities keep their books",
        "Name a folder outside it; no city was asked",
    ),
    "HOMES_NOT_OURS": _t(
        "此处的 .hpfed 不是由 --seed 运行所建，可能是某市的账本",
        "请换一个输出文件夹",
        "this .hpfed was not made by a run with --seed; it may be a city's books",
        "Name another output folder",
    ),
    "PLAN_WIDTH": _t(
        "--width 不能识别 {text!r}",
        "写成 问题=半宽 或 问题.指标=半宽，半宽大于 0；可用的有：{known}",
        "--width does not understand {text!r}",
        "Write ID=VALUE or ID.MEASURE=VALUE with a value above 0; there are: {known}",
    ),
    "PLAN_NOISY": _t(
        "以下问题过半的行预计只是噪声（半宽大于数值本身）：{questions}",
        "{way}，或加 --accept-noisy 照样运行；详见 study plan",
        "most rows of these questions would be noise (intervals wider than the numbers themselves): {questions}",
        "{way}, or go on with --accept-noisy; see study plan",
    ),
    "PLAN_COSTS_MORE": _t(
        "研究写明的噪声要花费 epsilon {cost}，超过研究所说的 {epsilon}",
        "请用协调方重新计算噪声（study sign），再请各市批准",
        "the noise that the study states costs epsilon {cost}, more than the {epsilon} that it says",
        "Have the noise found again (study sign), and ask cities anew",
    ),
    "PLAN_CITIES": _t(
        "{path} 中没有这项研究要问的城市",
        "请给出城市文件夹的上级目录或名册文件",
        "there is no city in {path} that this study asks",
        "Name the folder that holds the city folders, or a roster file",
    ),
    "TWIN_NOT_PUBLIC": _t(
        "{name} 没有注明是合成数据或公开数据，不能充当替身",
        "替身的 city.yaml 须写 synthetic: true 或 open_data: true；真实的行只有本市的节点可以读",
        "{name} does not say that it is synthetic or open, and cannot stand in for a city",
        "city.yaml of a stand-in says synthetic: true or open_data: true; real rows are read by a city's own node alone",
    ),
    "TWIN_DICTIONARY": _t(
        "{name} 的映射用的是另一本词典，不是 {dictionary}",
        "请用同一词典的合成城市，例如 hpfed-simulate cities",
        "{name} maps another dictionary than {dictionary}",
        "Take synthetic cities of the same dictionary, such as hpfed-simulate cities writes",
    ),
    "DROP_STORED": _t(
        "研究 {study} 已答复过，不会再次计算，--drop 无从谈起",
        "请另写一项研究，或加 --seed",
        "the study {study} was answered before and is not computed again, so that --drop has nothing to lose",
        "Ask another study, or use --seed",
    ),
    "RUN_UNKNOWN": _t(
        "这项研究没有第 {run} 期",
        "期数从 0 数到 {last}",
        "the study has no run {run}",
        "Runs count from 0 to {last}",
    ),
    "TRANSPORT_KEY": _t(
        "传输密钥不是 P-384 曲线的密钥",
        "请删去该文件后重新生成，并由根密钥持有者更新名册",
        "the transport key is no key of the curve P-384",
        "Remove the file, make a new key, and have the root holder renew the roster",
    ),
    "FLOWER_MISSING": _t(
        "未安装 Flower（flwr 1.41）",
        "请安装附加组件：pip install 'hpfed[flower]'",
        "Flower (flwr 1.41) is not installed",
        "Install the extra: pip install 'hpfed[flower]'",
    ),
    "FLOWER_CITIES": _t(
        "本机最多以独立进程模拟 {most} 座城市",
        "请减少城市，或使用 --engine inprocess",
        "at most {most} cities run as processes of one machine",
        "Name fewer cities, or use --engine inprocess",
    ),
    "APP_CONFIG": _t(
        "运行配置缺少 {key}，或其值不可用",
        'flwr run . --run-config \'study="study.yaml" out="result" timeout-s=600\'',
        "the run configuration lacks {key}, or its value is of no use",
        'flwr run . --run-config \'study="study.yaml" out="result" timeout-s=600\'',
    ),
    "FLOWER_START": _t(
        "{name} 未能启动：{said}",
        "请检查该进程的输出、本机端口与内存",
        "{name} did not start: {said}",
        "Look at what it said, at the ports and the memory of this machine",
    ),
    "LOG_IN_USE": _t(
        "这项研究正由另一个进程计算",
        "请等它结束后再运行",
        "another process is asking this study now",
        "Wait until it has ended, then run it again",
    ),
    "FILE_SYSTEM": _t(
        "文件操作失败：{problem}",
        "请检查路径、权限与磁盘空间",
        "the file cannot be used: {problem}",
        "Check path, rights and disk",
    ),
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
    "STUDY_SET": _t(
        "{name} 是多选变量，不能用在这里",
        "请用 frequency 的 of，或 crosstab 的 by（至多一个多选变量）",
        "{name} is multi-response and cannot stand here",
        "Ask it as `of` of a frequency, or as one axis of a crosstab, where there may be one",
    ),
    "STUDY_NOT_AN_AMOUNT": _t(
        "{name} 的类型是 {type}，不是可以求和或分段的数量",
        "请使用类型为 integer 或 money 的变量",
        "{name} is of type {type} and not an amount to be summed or cut into bins",
        "Use a variable of type integer or money",
    ),
    "STUDY_BOUNDS": _t(
        "{name} 的界值 {bounds} 必须递增、位于公开取值范围 {least} 至 {most} 之内，且为整数步长（金额到分）",
        "请修改界值",
        "bounds {bounds} of {name} must rise, lie within its public range {least} to {most}, and be whole steps (of money: fen)",
        "Change the bounds",
    ),
    "RATIO_CONSTANT_BY": _t(
        "各城市公布的数字不能按变量分组",
        "请去掉 by，或改用变量的比值",
        "what cities publish or state about themselves cannot be split by a variable",
        "Leave `by` out, or ask for the ratio of two variables",
    ),
    "STUDY_FACT": _t(
        "词典没有数据项 {name!r}{near}",
        "可用的数据项见词典的 facts",
        "the dictionary has no fact {name!r}{near}",
        "The dictionary's `facts` lists those that there are",
    ),
    "STUDY_NOTHING": _t(
        "研究只用到各市公布的数据项，没有可以合计的内容",
        "请加一个关于缴存人的问题（例如 kind: count），或改用 exact 模式",
        "the study asks for nothing but what cities publish about themselves: there is nothing to add up",
        "Add a question about holders (for example of kind count), or use mode exact",
    ),
    "RATIO_TIMING": _t(
        "{flow} 是一年的发生额，{balance} 是期末余额，两者不能相除",
        "请用两个发生额或两个余额；资金流动性等指标请用数据项（fact）",
        "{flow} is an amount of the year and {balance} one of its last day: one cannot be divided by the other",
        "Use two flows or two balances; indicators such as liquidity are ratios of facts",
    ),
    "FACT_SUMMED_IN_DP": _t(
        "{cities} 的数据项 {name} 只参加合计、不公布，而 dp 模式的研究只能用公布的数据项",
        "请用 exact 模式，或在 cities.names 中去掉这些城市，或去掉这个问题",
        "{cities} only let the fact {name} be added up and do not publish it, and studies of mode dp can use published facts alone",
        "Use mode exact, leave these cities out of `cities.names`, or leave the question out",
    ),
    "RATIO_PUBLISHED": _t(
        "分子不能是研究中写明的公布数字",
        "请把它写在 denominator 中，或使用 {{fact: 名称}}",
        "numbers written in the study cannot be the numerator",
        "Write them as the denominator, or use {{fact: NAME}}",
    ),
    "STUDY_CLIP": _t(
        "{name} 不是本问题中可以截断的数量",
        "clip 只写本问题中类型为 integer、money 的变量",
        "{name} is not an amount of this question that could be clipped",
        "Name in `clip` only variables of this question that are of type integer or money",
    ),
    "RATIO_CITIES": _t(
        "没有写明这些城市的公布数字：{cities}",
        "请在 public 中补上，或在 cities.names 中去掉它们",
        "no published figure is written for {cities}",
        "Add them under `public`, or leave them out of `cities.names`",
    ),
    "COMPARE_UNKNOWN": _t(
        "研究中没有其他问题叫 {name!r}{near}",
        "indicators 只写本研究中其他问题的 id",
        "no other question of this study is called {name!r}{near}",
        "Name in `indicators` the ids of other questions of this study",
    ),
    "COMPARE_KIND": _t(
        "问题 {name} 的类型是 {kind}，给不出可在城市之间比较的率",
        "请改用 frequency、mean、histogram 或两个变量的 ratio；人数可写成某类的占比 (frequency)",
        "question {name} is a {kind}, which gives no rate to hold cities against each other on",
        "Use a frequency, mean, histogram, or a ratio of two variables; of a number of holders ask the share of a code (frequency)",
    ),
    "COMPARE_COHORT": _t(
        "{name} 或本问题有自己的人群，不能在城市之间比较",
        "请把人群写在研究的 cohort 中",
        "{name}, or this question, has a cohort of its own, over which cities cannot be compared",
        "Write it as the `cohort` of the study",
    ),
    "COMPARE_RELEASE": _t(
        "问题 {name} 只公布各市合计，无从比较各市",
        "请在问题 {name} 中加一行 `release: both`（或 `release: by_city`）",
        "question {name} is released pooled, so that there is nothing of each city to compare",
        "Add the line `release: both` (or `release: by_city`) to question {name}",
    ),
    "COMPARE_METHOD": _t(
        "method: indirect 需要 standardise",
        "请写明按哪些变量标准化，或去掉 method",
        "`method: indirect` needs something to standardise for",
        "Name variables under `standardise`, or leave `method` out",
    ),
    "MOMENTS_COUNT": _t(
        "变量 {count} 个，应为 {least} 至 {most} 个",
        "请增减 of 中的变量",
        "{count} variables; there must be {least} to {most}",
        "Name more or fewer under `of`",
    ),
    "RATIO_BAND": _t(
        "band 的下限 {low} 不小于上限 {high}",
        "请写成 [下限, 上限]",
        "the band begins at {low}, which is not below its end {high}",
        "Write [low, high]",
    ),
    "STUDY_BINS": _t(
        "分段数 {found} 不在 2 至 {most} 之间",
        "请写分段个数，或分段的界值清单",
        "{found} bins; it must be a whole number from 2 to {most}",
        "Write a number of bins, or the list of their cuts",
    ),
    "STUDY_LEVEL": _t(
        "分位水平 {found} 不在 0 至 1 之间",
        "请写 0 至 1 之间的小数，如 0.5 为中位数",
        "{found} is not the level of a quantile: it lies outside 0 to 1",
        "Write a number from 0 to 1; 0.5 is the median",
    ),
    "STUDY_MANY": _t(
        "清单有 {found} 项，上限 {most} 项",
        "请缩短清单，或分成两个问题",
        "the list has {found} entries; the limit is {most}",
        "Shorten it, or ask two questions",
    ),
    "STUDY_PLACES": _t(
        "名次数 {found} 不在 1 至 {most} 之间",
        "请写要公布的类别个数",
        "{found} places; it must be a whole number from 1 to {most}",
        "Write how many codes are to be published",
    ),
    "STUDY_DURATION": _t(
        "变量 {name} 不能作为时长：{problem_zh}",
        "请给出从 0 起的整数时长（如月数）",
        "{name} is not a duration: {problem_en}",
        "Name a whole number of months (or other periods) that begins at 0",
    ),
    "STUDY_EVENT": _t(
        "变量 {name} 的类型是 {type}，不能说明事件是否发生",
        "请给出是非变量，或派生一个",
        "{name} is of type {type} and does not say whether something happened",
        "Name a boolean, or derive one",
    ),
    "STUDY_RESOLUTION": _t(
        "变量 {name} 同时以过多不同分段出现，合并计算需要 {unknowns} 个未知数，上限 {limit} 个",
        "请使用同一套分段，或把这两个问题放进不同的研究",
        "{name} is used at resolutions that would need {unknowns} unknowns in one least squares; the limit is {limit}",
        "Use one set of bands, or ask the two questions in separate studies",
    ),
    "STUDY_TWICE": _t("{name!r} 出现两次", "只写一次", "{name!r} is named twice", "Name it once"),
    "STUDY_WINDOW": _t(
        "无法确定按月提问的月份：{problem}",
        "请在研究中写 window: {{from: 2021-08, to: 2022-05}}",
        "the months of a question by month are not known: {problem}",
        "Write window: {{from: 2021-08, to: 2022-05}} in the study",
    ),
    "STUDY_NOT_A_DATE": _t(
        "{name} 的类型是 {type}，这里需要日期",
        "请写主表的日期变量，例如 opened",
        "{name} is of type {type}; a date is needed here",
        "Name a date of the main table, as opened",
    ),
    "STUDY_EVENTS": _t(
        "这里需要事件表或其变量，类型合适的；{name!r}（{type}）不是{near}",
        "请写 表名.变量名，例如 contributions.amount",
        "a table of events, or a variable of one, of a type that fits is needed here; {name!r} ({type}) is not{near}",
        "Write table.variable, as contributions.amount",
    ),
    "STUDY_OF_EVENTS": _t(
        "{name!r} 属于事件表，一人可有多行；这里需要缴存人的变量",
        "请在词典的 derived 中用 of_events（sum、latest 等）得出每人一个值，或用 series、transitions、vintage 提问",
        "{name!r} belongs to a table of events, of which a holder may have several rows; a variable of holders is needed here",
        "Derive one value of each holder from it with `of_events` (sum, latest, …), or ask a series, transitions or a vintage",
    ),
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
    "STUDY_NOISE": _t(
        "privacy.noise 与研究不符：{problem}",
        "请删去 privacy.noise，由程序填写",
        "privacy.noise does not fit the study: {problem}",
        "Leave privacy.noise out; the program fills it in",
    ),
    "STUDY_KIND": _t(
        "没有 {kind!r} 这种问题{near}",
        "本版本支持：{known}",
        "there is no kind of question {kind!r}{near}",
        "This version has: {known}",
    ),
    "STUDY_ATTRIBUTE": _t(
        "研究没有给出城市属性 {name!r}{near}",
        "请写在 cities.attributes 中",
        "the study gives no attribute of cities {name!r}{near}",
        "Write it under cities.attributes",
    ),
    "STUDY_CITY": _t(
        "属性 {attribute} 写到了 {name}，而研究没有问这个城市{near}",
        "请改正城市名，或加入 cities.names",
        "attribute {attribute} gives a level to {name}, which the study does not ask{near}",
        "Correct the name, or add it to cities.names",
    ),
    "STUDY_COHORTS": _t(
        "各问题的 cohort 共 {count} 种，上限 {limit} 种",
        "请合并，或拆成多个研究",
        "the questions have {count} different cohorts; the limit is {limit}",
        "Merge some, or ask several studies",
    ),
    "STUDY_MODELS": _t(
        "研究随带的模型文件共 {size} MiB，上限 {limit} MiB（每个问题各算一次）",
        "请拆成多个研究",
        "the study carries {size} MiB of model files; the limit is {limit} MiB, and each question that names one counts",
        "Ask several studies",
    ),
    "STUDY_COHORT_CITIES": _t(
        "cohort 的 any 或 not 同时涉及城市属性与缴存人的变量",
        "请写成 all: [只涉及城市的条件, 只涉及缴存人的条件]",
        "an `any` or `not` of the cohort speaks of cities and of holders at once",
        "Write it as all: [a part about cities, a part about holders]",
    ),
    "STUDY_EPSILON": _t(
        "dp 模式须写明 privacy.epsilon",
        "例如 epsilon: 1.0",
        "mode dp needs privacy.epsilon",
        "For example epsilon: 1.0",
    ),
    "STUDY_INVALID": _t(
        "收到的研究不合格式",
        "请用 hpfed 自身的命令读取并发送研究文件",
        "the study that arrived is not a valid one",
        "Read and send the study file with hpfed's own commands",
    ),
    # --- a city's own files
    "MAP_SCHEMA": _t("{zh}", "{zh_next}", "{en}", "{en_next}"),
    "MAP_CITY": _t(
        "写的是城市 {found}，city.yaml 写的是 {expected}",
        "两处写同一个城市",
        "names the city {found}, and city.yaml names {expected}",
        "Name the same city in both",
    ),
    "MAP_OPEN_DATA": _t(
        "city.yaml 注明 open_data，而词典 {name} 没有注明 public",
        "公开微观数据须用注明 public 的词典",
        "city.yaml says open_data, and the dictionary {name} does not say public",
        "Map public microdata to a dictionary that says `public: true`",
    ),
    "MAP_TABLE": _t("{zh}", "请改正", "{en}", "Correct it and try again"),
    "MAP_SOURCE": _t(
        "没有名为 {name!r} 的数据源{near}",
        "数据源列在 sources 之下",
        "there is no source {name!r}{near}",
        "Sources are listed under `sources`",
    ),
    "MAP_ROWS": _t(
        "列 {column} 的条件须恰好写 is、in、missing 之一",
        "请改正",
        "a condition on {column} needs exactly one of is, in, missing",
        "Correct it and try again",
    ),
    "MAP_VARIABLE": _t(
        "词典中没有变量 {name!r}{near}",
        "变量名见词典",
        "the dictionary has no variable {name!r}{near}",
        "The dictionary lists the names",
    ),
    "MAP_DERIVED": _t(
        "{name} 由词典推算，各市算法相同，不能映射",
        "请映射它所依据的变量",
        "{name} is derived by the dictionary, alike in every city, and is not mapped",
        "Map the variables that it is made of",
    ),
    "MAP_TYPE": _t(
        "{name} 在词典中的类型是 {expected}，不是 {found}",
        "删去 type，或改为词典的类型",
        "{name} is of type {expected} in the dictionary, not {found}",
        "Leave `type` out, or write the dictionary's",
    ),
    "MAP_DRAFT": _t(
        "{name} 还是草稿",
        "核对后删去 status: draft",
        "{name} is still a draft",
        "Check it, then take `status: draft` out",
    ),
    "MAP_REASON": _t(
        "{name} 无法提供，须写明原因",
        "请写 reason: {{zh: …, en: …}}",
        "{name} is impossible and needs a reason",
        "Write `reason: {{zh: …, en: …}}`",
    ),
    "MAP_FROM": _t(
        "{name} 没有指到“表.列”{near}",
        "请写 from: 表.列",
        "{name} does not lead to a table and column{near}",
        "Write `from: table.column`",
    ),
    "MAP_MAKE": _t(
        "{make} 得不出 {name} 的类型 {type}",
        "请换一种 make",
        "make: {make} does not give {name}, which is of type {type}",
        "Choose another `make`",
    ),
    "MAP_USELESS": _t(
        "{key} 对 {name}（{type}）不起作用",
        "请删去",
        "{key} says nothing about {name}, which is of type {type} here",
        "Take it out",
    ),
    "MAP_SPLIT": _t(
        "{name} 是多选变量，需要写明代码之间的分隔符，且本地代码中不得含有它（{mark!r}）",
        '例如 split: ";"',
        "{name} is multi-response: it needs the mark between codes, and no local code may hold it ({mark!r})",
        'Write for example split: ";"',
    ),
    "MAP_SUFFIX": _t(
        "后缀 {suffix!r} 会与单位重复计算，或含义不明",
        "万、亿可单独作后缀（单位为元）；其他后缀不得含这两个字",
        "the suffix {suffix!r} would count twice with the unit, or is unclear",
        "万 or 亿 alone may be suffixes of amounts in 元; no other suffix may hold them",
    ),
    "MAP_PARSE": _t(
        "{name} 是日期，须写 parse",
        "请列出文件里的日期写法，如 parse: [yyyymmdd]",
        "{name} is read from dates and needs `parse`",
        "List how the files write dates, as `parse: [yyyymmdd]`",
    ),
    "MAP_PARSE_TWICE": _t(
        "{names} 会把同一文本读成两种日期，或重复",
        "只留一种",
        "{names}: one text would be read in two ways, or the entry is there twice",
        "Keep one",
    ),
    "MAP_UNIT": _t(
        "{name} 的单位 {found} 不适用",
        "可写：{known}",
        "the unit {found} does not fit {name}",
        "Write one of: {known}",
    ),
    "MAP_FACT": _t(
        "facts 中的 {name}：{problem}",
        "数值照年报填写，写明词典所用的单位；名称与取值范围见词典的 facts",
        "{name} of `facts`: {problem}",
        "Give the figure as the annual report prints it, with its unit; the dictionary's `facts` lists names and ranges",
    ),
    "MAP_FACT_DATE": _t(
        "没有 {day} 的 {name}：该日的研究将视为本市不能提供",
        "如有该日的数字，请在 city.yaml 的 facts 中补上",
        "{name} is not stated of {day}: studies of that day will take it that this city has none",
        "Add the figure of that day to `facts` in city.yaml if there is one",
    ),
    "MAP_CODE": _t(
        "{name} 没有代码 {code!r}{near}",
        "代码见词典",
        "{name} has no code {code!r}{near}",
        "The dictionary lists the codes",
    ),
    "MAP_CODE_TWICE": _t(
        "{name} 的本地代码为空，或去掉空格后重复",
        "空值请写 null: {{category: 代码}}",
        "a local code of {name} is blank, or is there twice once trimmed",
        "For blanks write `null: {{category: CODE}}`",
    ),
    "MAP_CODE_NULL": _t(
        "{name} 的同一文本既在 codes 又在 null_texts",
        "只留一处",
        "a text of {name} stands both in codes and in its null_texts",
        "Keep one of the two",
    ),
    "MAP_CODE_ZEROS": _t(
        "{name} 的数字代码位数不一；1 与 01 是两个代码",
        "文件里若有另一种写法，请一并列出",
        "the codes of {name} are digits of mixed width; 1 and 01 are two codes",
        "List the other spelling too if the files hold it",
    ),
    "MAP_CODE_UNUSED": _t(
        "{name} 没有本地文本对应：{codes}",
        "若这些人已并入别的代码（如中专并入高中），请在 mapping.yaml 中注明",
        "no local text of {name} becomes: {codes}",
        "If those holders stand under another code, say so in a comment",
    ),
    "MAP_CODES_FILE": _t(
        "代码表须为 UTF-8 的 local,code 两列，每个本地代码一行",
        "请改正该行",
        "a code file is UTF-8 with the columns local,code and each local code once",
        "Correct this line",
    ),
    "MAP_NULL": _t(
        "{name} 的空值规则不适用：{zh}",
        "请改正",
        "the null rule of {name} does not fit: {en}",
        "Correct it and try again",
    ),
    "MAP_CLIP": _t(
        "{name} 的 clip 超出词典值域 [{low}, {high}]，或上下颠倒",
        "请写值域之内的界限",
        "the clip of {name} is outside the dictionary's range [{low}, {high}], or upside down",
        "Write bounds inside the range",
    ),
    "MAP_LEFT_OUT": _t(
        "没有提到 {name}，按“无法提供”处理",
        "如确实无法提供，请写 status: impossible 和原因",
        "{name} is not mentioned and counts as impossible",
        "If it is, say `status: impossible` and why",
    ),
    "MAP_COLUMN_MISSING": _t(
        "文件里没有列 {column!r}",
        "相近的列名：{close}",
        "the files have no column {column!r}",
        "Nearest names: {close}",
    ),
    "MAP_COLUMN_NEVER": _t(
        "列 {column!r} 属于从不读取的列",
        "请换一列；姓名、证件、电话、地址、银行账号一律不读",
        "the column {column!r} is one that is never read",
        "Use another one; names, documents, phones, addresses and bank accounts are not read",
    ),
    "MAP_COLUMN_IDENTIFIER": _t(
        "列 {column!r} 是标识，不能作为变量",
        "标识只用作 key",
        "the column {column!r} identifies holders and is no variable",
        "Identifiers serve as `key` only",
    ),
    "MAP_COLUMN_TYPE": _t(
        "列 {column!r} 的存储类型不能读作文本",
        "请导出为数字、日期或文本",
        "the column {column!r} is stored in a type that is not read as text",
        "Export it as numbers, dates or text",
    ),
    "SOURCE_OUTSIDE": _t(
        "{pattern} 不在城市文件夹之内",
        "请写城市文件夹内的相对路径",
        "{pattern} lies outside the city folder",
        "Write a relative path inside the folder",
    ),
    "SOURCE_LINK": _t(
        "{name} 是链接或不是普通文件",
        "请把文件本身放进城市文件夹",
        "{name} is a link, or no ordinary file",
        "Put the file itself into the city folder",
    ),
    "SOURCE_NAME": _t(
        "文件路径 {name} 含有通配字符 * ? [ ] {{ }}",
        "请给文件或文件夹改名",
        "the path of {name} holds one of the wildcard characters * ? [ ] {{ }}",
        "Rename the file or its folder",
    ),
    "SOURCE_NO_FILE": _t(
        "没有文件与 {pattern} 相符",
        "检查路径与文件名",
        "no file matches {pattern}",
        "Check path and name",
    ),
    "SOURCE_CHANGED": _t(
        "读取期间文件有改动",
        "等写入结束后再入库",
        "the file changed while it was read",
        "Wait until it is written, then ingest again",
    ),
    "SOURCE_UNREADABLE": _t(
        "不是可读的 {kind} 文件",
        "请重新导出",
        "is not a readable {kind} file",
        "Export it again",
    ),
    "SOURCE_COLUMNS": _t(
        "列数超过上限 {limit}", "请只导出所需的列", "has more than {limit} columns", "Export the columns needed"
    ),
    "SOURCE_HEADER": _t(
        "第 {column} 列的列名为空，或与前面的列重复",
        "请改列名；列名在哪一行，用 header_row 写明",
        "the name of column {column} is empty, or the same as an earlier one",
        "Rename it; if the names stand on another row, say `header_row`",
    ),
    "SOURCE_HEADER_DIFFERS": _t(
        "列名与 {other} 不同",
        "同一数据源的文件须列名相同",
        "has other columns than {other}",
        "The files of one source have the same columns",
    ),
    "CSV_NO_ROWS": _t("只有列名，没有数据行", "请导出数据", "has a header and no rows", "Export the data"),
    "CSV_EMPTY": _t("文件是空的", "请重新导出", "the file is empty", "Export it again"),
    "CSV_ENCODING": _t(
        "第 {offset} 字节不是 {encoding}",
        "核对 encoding；损坏的文件请重新导出",
        "byte {offset} is not {encoding}",
        "Check `encoding`; export the file again if it is damaged",
    ),
    "CSV_ENCODING_UNSURE": _t(
        "无法确定编码：既是 UTF-8 也是 GB18030",
        "请在 mapping.yaml 写明 encoding",
        "the encoding is unsure: the bytes are both UTF-8 and GB18030",
        "Name it in mapping.yaml with `encoding`",
    ),
    "CSV_PACKED": _t(
        "不是文本，而是压缩文件或工作簿",
        "压缩文件请先解压；工作簿请写 kind: xlsx",
        "is no text but a packed file or a workbook",
        "Unpack it; for a workbook say `kind: xlsx`",
    ),
    "CSV_UTF16": _t(
        "是 UTF-16",
        "请另存为“CSV UTF-8”",
        "is UTF-16",
        "Save it as CSV UTF-8",
    ),
    "CSV_NUL": _t(
        "第 {offset} 字节是 NUL",
        "请重新导出",
        "byte {offset} is NUL",
        "Export the file again",
    ),
    "CSV_LINE": _t(
        "一行超过 {limit} 字节",
        "检查换行与引号",
        "a line is longer than {limit} bytes",
        "Check line ends and quotes",
    ),
    "CSV_RAGGED": _t(
        "第 {row} 条记录有 {found} 个字段，列名有 {expected} 个",
        "检查分隔符与引号",
        "record {row} has {found} fields, the header {expected}",
        "Check delimiters and quotes",
    ),
    "CSV_QUOTE": _t(
        "引号没有配对，或引号之后还有文字",
        "检查从这一行开始的记录",
        "a quote is not closed, or text follows it",
        "Check the record that begins on this line",
    ),
    "XLSX_SIZE": _t(
        "文件大于上限 {limit} MiB",
        "请分成几个文件，或导出为 CSV",
        "the file is larger than {limit} MiB",
        "Split it into several files, or export CSV",
    ),
    "XLSX_ROWS": _t(
        "工作表超过 {limit} 行",
        "请分成几个文件，或导出为 CSV",
        "the sheet has more than {limit} rows",
        "Split it into several files, or export CSV",
    ),
    "XLSX_KIND": _t(
        "是 {found} 工作簿",
        "请在 mapping.yaml 写 kind: {found}，或另存为所写的格式",
        "is a workbook of kind {found}",
        "Say `kind: {found}` in mapping.yaml, or save it in the format that is named there",
    ),
    "XLSX_TEXT": _t(
        "不是 Excel 工作簿；可能是改了扩展名的 CSV 或网页",
        "请用 Excel 或 WPS 打开后另存为 .xlsx；若是 CSV，请写 kind: csv",
        "is no workbook; it may be CSV or a web page under another ending",
        "Open it in a spreadsheet program and save it as .xlsx; for CSV say `kind: csv`",
    ),
    "XLSX_ENCRYPTED": _t(
        "工作簿设有打开密码",
        "请取消密码后另存",
        "the workbook is protected by a password",
        "Save it without the password",
    ),
    "XLSX_MACRO": _t(
        "工作簿含有宏",
        "请另存为不含宏的 .xlsx",
        "the workbook holds macros",
        "Save it as .xlsx without macros",
    ),
    "XLSX_BOMB": _t(
        "压缩内容超过上限：{most} {zh}",
        "请重新导出；内容确实很多时请导出为 CSV",
        "what is packed in it is beyond the limit: {most} {en}",
        "Export it again; if it is meant to be that large, export CSV",
    ),
    "XLSX_SPARSE": _t(
        "工作表一直延伸到单元格 {cell}，占用的格数超过上限 {limit}",
        "表格之外可能有误填的内容：请把数据复制到新工作表再保存",
        "the sheet reaches to cell {cell}: more than {limit} cells",
        "Something may stand far outside the table: copy the data into a new sheet and save that",
    ),
    "XLSX_SHEET": _t(
        "没有工作表 {sheet}；现有：{known}",
        "请在 mapping.yaml 写 sheet: 名称",
        "there is no sheet {sheet}; the workbook has: {known}",
        "Name one in mapping.yaml with `sheet`",
    ),
    "ROW_OTHER": _t(
        "列 {column} 有 {count} 处文本不在代码表中：{places}（文件 [行] 形状{hint_zh}）",
        "列入 codes，或写 other: 代码",
        "column {column} holds {count} texts that codes does not list: {places} (file [row] shape{hint_en})",
        "List them in `codes`, or say `other: CODE`",
    ),
    "ROW_UNPARSED": _t(
        "列 {column} 有 {count} 处文本读不出：{places}（文件 [行] 形状{hint_zh}）",
        '改正文件，补充 number 或 parse，或写 unparsed: "null"',
        "column {column} holds {count} texts that no rule reads: {places} (file [row] shape{hint_en})",
        'Correct the file, extend `number` or `parse`, or say `unparsed: "null"`',
    ),
    "ROW_DIGITS_LOST": _t(
        "列 {column} 有 {count} 处长数字已丢失末位：{places}（文件 [行]）",
        "请将该列按文本导出",
        "column {column} holds {count} long numbers that have lost digits: {places} (file [row])",
        "Export the column as text",
    ),
    "ROW_TOTAL": _t(
        "key 列 {column} 有 {count} 行是合计而不是账户：{places}（文件 [行]）",
        "请用 rows 排除，例如 rows: {{not: {{column: {table}.{column}, is: 合计}}}}",
        "in {count} rows the key {column} is a word for totals, and no account: {places} (file [row])",
        "Leave them out, as in `rows: {{not: {{column: {table}.{column}, is: 合计}}}}`",
    ),
    "ROW_KEY": _t(
        "key 列 {column} 有 {count} 行为空：{places}（文件 [行]）",
        "补全，或用 rows 排除这些行",
        "the key {column} is blank in {count} rows: {places} (file [row])",
        "Fill it in, or leave the rows out with `rows`",
    ),
    "ROW_DUPLICATE": _t(
        "key 列 {column} 有 {count} 个值重复：{places}（文件 [行]）",
        "改正文件，或写 duplicates: {{keep: newest, by: 列}}",
        "the key {column} holds {count} values more than once: {places} (file [row])",
        "Correct the files, or say `duplicates: {{keep: newest, by: COLUMN}}`",
    ),
    "ROW_DUPLICATE_TIE": _t(
        "key 列 {column} 有 {count} 个重复值分不出新旧：{places}（文件 [行]）",
        "by 所指的列须各不相同、位数相同；日期写法不一时用 parse",
        "for {count} repeated values of the key {column} no row is the newest: {places} (file [row])",
        "The column of `by` must differ and be equally long; say `parse` if dates are written in several ways",
    ),
    "ROW_SIDE_DUPLICATE": _t(
        "附表的 key 列 {column} 有 {count} 个值重复：{places}（文件 [行]）",
        "附表每个 key 只能有一行",
        "the key {column} of a side table holds {count} values more than once: {places} (file [row])",
        "A side table has one row for each key",
    ),
    "ROW_ALONE": _t(
        "主表有 {count} 行在表 {side} 中找不到：{places}（文件 [行]）",
        "补全，或把 missing 改为 keep 或 drop",
        "{count} rows of the main table have no row in {side}: {places} (file [row])",
        "Complete it, or say `missing: keep` or `drop`",
    ),
    "ROW_NONE": _t(
        "按 rows 和 missing 选择之后没有剩下任何行",
        "检查条件",
        "no row is left after `rows` and `missing`",
        "Check the conditions",
    ),
    "QUALITY_UNIT": _t(
        "{name} 的金额有九成以上不到值域上限的 {times} 分之一，单位可能写错",
        "核对 unit，例如文件里其实是万元",
        "nine tenths of the amounts of {name} are below 1/{times} of what is possible: the unit may be wrong",
        "Check `unit`: the file may be in 万元",
    ),
    "HOLDER_KEY": _t(
        "持有人密钥不是 {size} 字节",
        "请从备份恢复该文件；换新密钥会丢失历史",
        "the holder key is not {size} bytes",
        "Restore the file from its backup; a new key ends the history",
    ),
    "INGEST_RUNNING": _t(
        "另一个入库正在进行",
        "等它结束",
        "another ingest of this home is running",
        "Wait for it to end",
    ),
    "INGEST_MEMORY": _t(
        "内存不足",
        "释放内存后重试；快照未改动",
        "memory ran out",
        "Free some and try again; the snapshots are as they were",
    ),
    "INGEST_DISK": _t(
        "读写磁盘失败（{kind}）",
        "检查剩余空间与权限后重试；快照未改动",
        "the disk could not be read or written ({kind})",
        "Check free space and rights, then try again; the snapshots are as they were",
    ),
    "INGEST_ENGINE": _t(
        "计算引擎出错（{kind}）",
        "快照未改动；请报告此问题，不要附数据",
        "the engine failed ({kind})",
        "The snapshots are as they were; please report it, without data",
    ),
    "SNAPSHOT_ALTERED": _t(
        "快照文件被改动或损坏",
        "请重新入库",
        "a snapshot file was altered or damaged",
        "Ingest again",
    ),
    # --- approvals
    "CITY_DECLINED": _t(
        "{city} 拒绝了这项研究：{codes}{limits}",
        "请按所列原因修改研究，或与该市联系",
        "{city} declines this study: {codes}{limits}",
        "Change the study as the codes say, or ask the city",
    ),
    "CITY_PENDING": _t(
        "{city} 需要人工审批",
        "该市批准后再运行一次",
        "an officer of {city} has to decide",
        "Run it again once the city has approved",
    ),
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
    "APPROVAL_DECLINED": _t(
        "{city} 的审批人不同意这项研究",
        "请与该市商议",
        "an officer of {city} said no to this study",
        "Ask the city",
    ),
    "APPROVAL_OFFICERS": _t(
        "{who} 的批准中审批人签名不成立",
        "不要采用；请该市重新批准",
        "what officers of {who} signed does not hold",
        "Do not use it; the city should approve again",
    ),
    "APPROVAL_FACTS": _t(
        "{who} 的批准所写的数据项不成立：名称、取值范围或“不能提供”的清单不符",
        "不要采用；请该市核对 city.yaml 的 facts 后重新批准",
        "the facts in the approval of {who} do not hold: a name, a range, or the list of what it cannot give",
        "Do not use it; the city should check `facts` in city.yaml and approve again",
    ),
    "OFFICER_NAME": _t(
        "{name!r} 不能作为审批人名称",
        "用小写字母、数字、空格或连字符，最多 61 个；它会随批准书送出，宜用岗位名",
        "{name!r} cannot name an officer",
        "Use up to 61 of a-z, 0-9, space and -; it leaves with approvals, so name a post rather than a person",
    ),
    "OFFICER_TWICE": _t(
        "审批人 {name} 或其密钥已登记",
        "一人一名一密钥；要更换，先用 hpfed-node officer remove 移除",
        "the officer {name}, or the key, is enrolled already",
        "One person has one name and one key; to change it, run hpfed-node officer remove first",
    ),
    "OFFICER_UNKNOWN": _t(
        "没有登记这名审批人或这把密钥",
        "用 hpfed-node officer list 查看；用 officer new 登记",
        "this officer, or this key, is not enrolled",
        "hpfed-node officer list shows who is; officer new enrols",
    ),
    "OFFICER_KEY": _t(
        "不是审批人的密钥文件（32 字节）",
        "请给出 hpfed-node officer new 写出的文件",
        "is not an officer's key file (32 bytes)",
        "Name the file that hpfed-node officer new has written",
    ),
    "ASKER_NAME": _t(
        "{name!r} 不能登记为提问方",
        "编号用 3 到 64 个小写字母、数字或连字符；--role 为 analyst 或 regulator；名称不超过 200 字",
        "{name!r} cannot be enrolled as an asker",
        "Use 3 to 64 of a-z, 0-9 and -; --role is analyst or regulator; a name has at most 200 characters",
    ),
    "ASKER_KEY": _t(
        "这里没有提问方 {name} 的密钥",
        "用 --home 指明密钥所在，或用 hpfed-coordinator asker new 新建",
        "the key of asker {name} is not here",
        "Say with --home where it is, or make one with hpfed-coordinator asker new",
    ),
    "OUTBOX_EMPTY": _t(
        "没有为 {name!r} 送出过任何数据，也没有预留",
        "用 hpfed-node releases 查看送出过什么",
        "nothing left this city for {name!r}, and nothing is held for it",
        "hpfed-node releases lists what left",
    ),
    "REQUEST_UNKNOWN": _t(
        "没有编号以 {name!r} 开头的研究，或不止一项",
        "用 hpfed-node requests --all 查看编号",
        "no study, or more than one, goes by {name!r}",
        "hpfed-node requests --all lists their ids",
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
        "本市已达上限 {limit}（{key}）",
        "请稍后再试",
        "this city is at its limit of {limit} ({key})",
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
        "请找回最新的 ledger.sqlite；已无法找回时，可由两名审批人运行 hpfed-node audit restore，所缺部分按全部已花计",
        "the ledger is older than what this city recorded elsewhere (entry {entry}); this city answers nothing",
        "Find the newest ledger.sqlite. If it is lost for good, two officers may run `hpfed-node audit restore`; the gap counts as spent",
    ),
    "RESTORE_NOTHING": _t(
        "账本没有缺少任何条目",
        "无须恢复",
        "the ledger lacks nothing that this city recorded",
        "There is nothing to restore",
    ),
    "LEDGER_LOCKED": _t(
        "账本正由另一个进程使用",
        "同一主目录只能运行一个节点",
        "another process is using the ledger",
        "Run one node per home",
    ),
    "LEDGER_NONE": _t(
        "这里还没有账本：本市尚未被问过，也未送出任何内容",
        "请在城市文件夹中运行，或用 --folder、--home 指明",
        "there are no books here: this city was asked nothing yet, and nothing left it",
        "Run this in a city folder, or name one with --folder or --home",
    ),
    "LEDGER_UNAVAILABLE": _t(
        "账本无法写入；未送出任何内容",
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
    "ATTEST_NOTHING": _t(
        "{city} 没有为这次运行发出任何数据",
        "没有可以证明的内容；请先运行研究",
        "nothing left {city} for this run",
        "There is nothing to attest; run the study first",
    ),
    # --- bundles
    "BUNDLE_NONE": _t(
        "这里没有可核验的结果包 (bundle/)",
        "请给出 hpfed-simulate run 或 demo 写出的文件夹",
        "there is no bundle to verify here (bundle/)",
        "Name a folder that hpfed-simulate run or demo has written",
    ),
    "BUNDLE_FILE": _t(
        "不是普通文件（符号链接、设备或其他）",
        "请向协调方索取完整的结果文件夹",
        "is no plain file (a link, a device or the like)",
        "Ask the coordinator for the whole folder again",
    ),
    "BUNDLE_MISSING": _t(
        "文件不见了",
        "请向协调方索取完整的结果文件夹",
        "the file is missing",
        "Ask the coordinator for the whole folder again",
    ),
    "BUNDLE_EXTRA": _t(
        "文件不在清单之列",
        "它不属于这份结果，请勿采信；移走后再核验",
        "the file is not on the signed list",
        "It is no part of this result and not to be trusted; move it away and verify again",
    ),
    "BUNDLE_SIZE": _t(
        "超过上限 {limit}",
        "请向协调方索取完整的结果文件夹",
        "is larger than {limit} allows",
        "Ask the coordinator for the whole folder again",
    ),
    "BUNDLE_HASH": _t(
        "内容与签名清单所载的摘要不符：文件被改动过",
        "请勿采信；请向协调方索取原文件",
        "its content is not the one on the signed list: the file was changed",
        "Do not rely on it; ask the coordinator for the original",
    ),
    "BUNDLE_ROSTER": _t(
        "名册与 --roster 给出的不同",
        "请与联合体的根密钥持有人核对名册",
        "this is not the roster that --roster names",
        "Compare rosters with whoever holds the root key of the consortium",
    ),
    "BUNDLE_DIFFERS": _t(
        "{what} 与 {other} 不一致",
        "请勿采信；请向协调方查询",
        "{what} is not what {other} says",
        "Do not rely on it; ask the coordinator",
    ),
    "BUNDLE_UNATTESTED": _t(
        "{city} 没有出具证明（{reason}）",
        "结果仍在；待该市在线后再次运行同一研究即可补齐",
        "{city} has not attested what it released ({reason})",
        "The result stands; run the same study again when the city can be reached, and its word is added",
    ),
    "BUNDLE_ROWS": _t(
        "{question}：第 {row} 行不是这项研究能给出的（{what}）",
        "请勿采信；请向协调方查询",
        "{question}: row {row} is none that this study can give ({what})",
        "Do not rely on it; ask the coordinator",
    ),
    "BUNDLE_EXACT": _t(
        "精确模式的结果包不得含有求和记录",
        "请勿转发：它含有应当隐去的数；请通知协调方",
        "a bundle of mode exact must not hold a transcript",
        "Do not pass it on: it holds numbers that were to be withheld; tell the coordinator",
    ),
    "BUNDLE_NUMBERS": _t(
        "{question} 的数值不是由各市之和算得的",
        "请勿采信；请向协调方查询",
        "the numbers of {question} do not follow from the sum over cities",
        "Do not rely on it; ask the coordinator",
    ),
    "BUNDLE_REBUILT": _t(
        "由 results.json 重新生成的内容与清单所载不同",
        "请以 results.json 为准，并向协调方查询",
        "made again from results.json it is another file",
        "Rely on results.json alone, and ask the coordinator",
    ),
    "EXACT_COHORT": _t(
        "本市符合条件的人数低于下限 {limit} (policy.yaml: {key})",
        "请放宽 cohort，或与该市商议",
        "this city has fewer rows in the cohort than {limit} (policy.yaml: {key})",
        "Widen the cohort, or ask the city",
    ),
    "EXACT_COHORTS_ALIKE": _t(
        "研究内各问题的 cohort 之间，本市只差不足 {limit} 人 (policy.yaml: {key})",
        "请去掉其中一个 cohort，或改用 dp 模式",
        "cohorts of the study's questions differ by fewer rows of this city than {limit} (policy.yaml: {key})",
        "Leave out one of the cohorts, or use mode dp",
    ),
    "EXACT_OVERLAP": _t(
        "与较早的精确统计 {study} 相减，会得到本市少数几人的数字（人群或城市名单只差少数），或两者无法比较",
        "改用与它相同的人群和城市名单，或 dp 模式",
        "beside the earlier exact study {study}, differences would tell of a few holders of this city: cohorts or cities differ by too "
        "few, or cannot be compared",
        "Ask about the same cohort and cities, or use mode dp",
    ),
    "EXACT_OUTSIDE": _t(
        "本市不在 cohort 之内的人数在 1 与 {limit} 之间：由全体缴存人的数字相减即得",
        "请去掉 cohort，或使其再窄一些",
        "1 to {limit} rows less one of this city are outside the cohort: figures of all holders less these would tell of them",
        "Leave the cohort out, or make it narrower",
    ),
    "EXACT_RELEASES": _t(
        "同一快照的精确结果至多 {limit} 次",
        "请改用 dp 模式，或等待下一快照",
        "at most {limit} exact releases are made from one snapshot",
        "Use mode dp, or wait for the next snapshot",
    ),
    "EXACT_COHORTS": _t(
        "同一快照已有 {limit} 个不同人群的精确结果，再多须由审批人逐项同意",
        "请该市审批人批准这项研究 (hpfed-node approve)",
        "{limit} different cohorts of one snapshot were released exactly; for another one an officer has to say yes",
        "Ask an officer of the city to approve this study (hpfed-node approve)",
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
    # --- sums
    "LAYOUT_EFFECT": _t(
        "数据块 {block} 声明的单人影响小于其单元格所允许的",
        "请改正该统计量声明的块 (blocks)",
        "the block {block} declares a smaller effect of one holder than its cells allow",
        "Correct the blocks that its kind declares",
    ),
    "COUNT_OTHER_CITIES": _t(
        "{city} 已就这一期自行作答，当时的方案由另一些城市参加；不会重新作答",
        "请以同样的城市再次运行，或提出下一版（revision）",
        "{city} answered this run by itself already, under a plan over other cities, and answers it once",
        "Run it again with the same cities, or ask the next `revision`",
    ),
    "COUNT_TOO_FEW": _t(
        "各市自行作答：答复 {came} 个，至少需要 {needed} 个",
        "稍后再运行同一研究；已答复的城市给出同一答复，不再计费",
        "too few cities answered by themselves: {came} came, {needed} needed",
        "Run the same study again later; cities that answered give the same answer again, at no charge",
    ),
    "SUM_LENGTH": _t(
        "总和有 {cells} 个单元格，约定为 {expected} 个",
        "未生成任何表格；请确认各市与协调方使用同一份研究",
        "the sum has {cells} cells instead of {expected}",
        "No table was made; check that all parties hold the same study",
    ),
    "SUM_VARIANCE": _t(
        "{blocks} 个数据块中有的缺少噪声方差，或方差不合要求（给出 {given} 个）",
        "未生成任何表格；请检查计划中的噪声",
        "of {blocks} blocks some have no noise variance, or an impossible one ({given} given)",
        "No table was made; check the noise of the plan",
    ),
    "SUM_BOUND": _t(
        "数据块 {block} 的总和超出任何人数都不会超过的界限 {limit}",
        "未生成任何表格；某一方的数值有误",
        "the sum of block {block} is beyond {limit}, which no number of holders reaches",
        "No table was made; some party's numbers are wrong",
    ),
    "SUM_STATED": _t(
        "数据项 {name} 的合计超出 {count} 个城市按词典取值范围所能达到的界限",
        "未生成任何表格；某一市的数值有误，或取值范围有误",
        "the sum of the fact {name} is beyond what {count} cities can reach within the range of the dictionary",
        "No table was made; some city's number, or the range, is wrong",
    ),
    "SUM_MARGINS": _t(
        "精确模式下数据块 {block} 与 {other} 的合计不一致",
        "未生成任何表格；某一市对同一批人计数不一致",
        "in exact mode the blocks {block} and {other} do not agree on a total that they share",
        "No table was made; some city counted the same holders in two ways",
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
    # --- secure aggregation: a city declines
    "SECAGG_PLAN": _t(
        "本市拒绝：会话方案不符合协议（套件、模式、城市名单）",
        "请协调方按本市批准的研究重新发起",
        "this city declines: the plan breaks the protocol (suite, mode, list of cities)",
        "The coordinator should plan again from the approved study",
    ),
    "SECAGG_ROSTER": _t(
        "本市拒绝：方案所用名册不是本市持有的最新名册，或密钥已过期",
        "请先更新名册",
        "this city declines: the plan is not made on the newest roster held here, or a key is past its date",
        "Update the roster first",
    ),
    "SECAGG_REPLAY": _t(
        "本市拒绝：该会话编号已用过",
        "请以新的会话编号重新发起",
        "this city declines: this conversation was used before",
        "Start a new conversation",
    ),
    "SECAGG_NOT_APPROVED": _t(
        "本市拒绝：研究未经本市批准，或方案与所批准的不一致",
        "请先取得批准，再按批准内容发起",
        "this city declines: the study is not approved here, or the plan is not what was approved",
        "Have it approved and plan from that",
    ),
    "SECAGG_EXPIRED": _t(
        "本市拒绝：方案已过期，或期限、等待时间超出允许范围（至多 30 天；每步 1 秒至 7 天）",
        "请重新发起，并检查时钟",
        "this city declines: the plan is past its time, or its times are outside the limits (30 days; 1 s to 7 days a step)",
        "Plan again and check the clocks",
    ),
    "SECAGG_RING": _t(
        "本市拒绝：界限或整数环与布局推算不符，或总和放不进 64 位",
        "请减小范围或加大单位",
        "this city declines: bound, support or ring are not what the layout gives, or the sum does not fit 64 bits",
        "Take a lower bound or a coarser unit",
    ),
    "SECAGG_NOISE": _t(
        "本市拒绝：噪声方案低于研究要求",
        "请协调方按批准的研究重新计算",
        "this city declines: the noise plan is not the one that the study needs",
        "The coordinator should compute it from the approved study",
    ),
    "SECAGG_BUDGET": _t(
        "本市拒绝：隐私预算不足以预留整个研究",
        "用 hpfed-node budget 查看余额",
        "this city declines: the budget has no room for the whole study",
        "See hpfed-node budget",
    ),
    "SECAGG_EXACT": _t(
        "本市拒绝：本市政策不允许以精确模式回答此类问题",
        "在 policy.yaml 中允许，或改用 dp 模式",
        "this city declines: this city's policy does not answer this kind in mode exact",
        "Allow it in policy.yaml, or ask in mode dp",
    ),
    "SECAGG_BOUND": _t(
        "本市拒绝：本市数据超出名册申报的规模或单元格界限",
        "在名册中申报更大的规模等级",
        "this city declines: this city's data are over the size class or the cell bound",
        "Declare a larger size class on the roster",
    ),
    "SECAGG_COHORT_DIFFERENCE": _t(
        "本市拒绝：与本市参加过的精确统计只差少数城市",
        "改用相同的城市名单，或 dp 模式",
        "this city declines: the set of cities differs by too few from one that was summed exactly",
        "Ask the same cities, or use mode dp",
    ),
    "SECAGG_ALREADY_ANSWERED": _t(
        "本市拒绝：该研究的这一期已有答复",
        "请使用已存结果；更正后的数据请以新 revision 提问",
        "this city declines: this run of the study was answered",
        "Use the stored answer; ask corrected data as a new revision",
    ),
    "SECAGG_COHORT_SIZE": _t(
        "本市拒绝：参与城市 {got} 个，须为 {least} 至 {most} 个",
        "请调整城市名单",
        "this city declines: {got} cities; it must be {least} to {most}",
        "Change the list of cities",
    ),
    "SECAGG_THRESHOLD": _t(
        "本市拒绝：门限 {got} 不合规则（至少 {least}，且须防止两份名单）",
        "减少可退出城市数，或增加城市",
        "this city declines: a threshold of {got} breaks the rules (at least {least}, and no room for two lists)",
        "Tolerate fewer drop-outs, or ask more cities",
    ),
    "SECAGG_COLLUDERS": _t(
        "本市拒绝：可容忍合谋城市数 {got} 不合规则（城市 {n} 个）",
        "调整 tolerate.colluders 或本市 policy.yaml",
        "this city declines: {got} colluders break the rules for {n} cities",
        "Change tolerate.colluders, or policy.yaml",
    ),
    "SECAGG_ROUNDS": _t(
        "本市拒绝：轮数 {got} 不合规则（1 至 {most}）",
        "请拆分会话",
        "this city declines: {got} rounds; it must be 1 to {most}",
        "Split the session",
    ),
    "SECAGG_LENGTH": _t(
        "本市拒绝：向量长度 {got} 不合规则（1 至 {most}）",
        "请减少单元格",
        "this city declines: {got} cells; it must be 1 to {most}",
        "Ask for fewer cells",
    ),
    # --- secure aggregation: a party broke it
    "SECAGG_BAD_SIGNATURE": _t(
        "对方违反协议：{who}，步骤 {step}：转来的报文签名或报头不符",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a relayed message does not open",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_FOREIGN_ADVERT": _t(
        "对方违反协议：{who}，步骤 {step}：公布的密钥属于另一方案或城市",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: an advert is of another plan or city",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_OWN_ADVERT": _t(
        "对方违反协议：{who}，步骤 {step}：本市公布的密钥被改动或缺失",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the own advert is missing or altered",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_REPEATED_KEY": _t(
        "对方违反协议：{who}，步骤 {step}：同一密钥出现两次",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a key stands twice",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_LOW_ORDER_KEY": _t(
        "对方违反协议：{who}，步骤 {step}：密钥为低阶点",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a key of low order",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_BAD_U2": _t(
        "对方违反协议：{who}，步骤 {step}：分发名单不符",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the list of cities with shares is wrong",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_BAD_BOX": _t(
        "对方违反协议：{who}，步骤 {step}：份额无法解开",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: shares that do not open",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_FOREIGN_ROUND": _t(
        "对方违反协议：{who}，步骤 {step}：报文属于另一轮",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a message of another round",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_FOREIGN_QUESTION": _t(
        "对方违反协议：{who}，步骤 {step}：问题不是所批准研究的一步",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the question is no step of the approved study",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_ROUND_USED": _t(
        "对方违反协议：{who}，步骤 {step}：该轮已用过或不存在",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the round was used or does not exist",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_BAD_U3": _t(
        "对方违反协议：{who}，步骤 {step}：确认名单不符",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the list of survivors is wrong",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_SPLIT_SURVIVORS": _t(
        "对方违反协议：{who}，步骤 {step}：各城市收到的确认名单不同",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: cities were shown different survivors",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_OUT_OF_ORDER": _t(
        "对方违反协议：{who}，步骤 {step}：报文不合次序",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a message out of order",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_TOO_LONG": _t(
        "对方违反协议：{who}，步骤 {step}：报文超过上限",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a message over its limit",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_BAD_SHARE": _t(
        "对方违反协议：{who}，步骤 {step}：揭示的份额有误",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: a share off its polynomial",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_BAD_DEALING": _t(
        "对方违反协议：{who}，步骤 {step}：分发的份额互不一致",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: shares that no secret fits",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_EQUIVOCATION": _t(
        "对方违反协议：{who}，步骤 {step}：同一轮交来两个不同的向量",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: two different vectors in one round",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_INCONSISTENT": _t(
        "对方违反协议：{who}，步骤 {step}：揭示的份额合不出承诺的密钥，无法判定是谁",
        "本次会话已终止，未打开任何数据；报文已留作证据",
        "peer broke the protocol: {who} at {step}: the shares open nothing that was committed to; who it was cannot be told",
        "The conversation ended and nothing was opened; the message is kept as evidence",
    ),
    "SECAGG_WRONG_SUM": _t(
        "对方违反协议：{who}，步骤 {step}：公布的总和与记录不符",
        "不要采用该结果",
        "peer broke the protocol: {who} at {step}: the announced sum is not that of the transcript",
        "Do not use this result",
    ),
    "LOG_DAMAGED": _t(
        "会话日志损坏：自第 {byte} 字节起与记录不符，不能据此继续",
        "请移开该文件后重新运行：将以新的会话和新的预算计算",
        "damaged log: from byte {byte} on it is not what was written, so that the conversation cannot go on",
        "Move the file away and run again: that is a new conversation at a new cost",
    ),
    "LOG_DIVERGED": _t(
        "会话日志不能重放：当时发出的字节与现在不同（密钥或软件不同，或记录被改动）",
        "请用开始会话时的密钥和软件版本重新运行；或移开该文件，以新的会话和新的预算计算",
        "the log of the conversation does not replay: other bytes went out then (another key or software, or changed records)",
        "Run again with the key and the software that began it; or move the file away: that is a new conversation at a new cost",
    ),
    # --- secure aggregation: too few
    "SECAGG_TOO_FEW": _t(
        "参与城市不足：步骤 {step} 到 {came}，需 {needed}",
        "稍后以新的会话重试；未打开任何数据",
        "too few cities at {step}: {came} came, {needed} needed",
        "Try again later in a new conversation; nothing was opened",
    ),
    "SECAGG_ROUND_LOST": _t(
        "本轮作废：步骤 {step} 到 {came}，需 {needed}",
        "稍后以新的会话重试；未打开任何数据",
        "the round is lost at {step}: {came} came, {needed} needed",
        "Try again later in a new conversation; nothing was opened",
    ),
    # --- envelope
    "ENVELOPE_SIZE": _t(
        "报文长度不符或超过上限 {limit} 字节",
        "报文已丢弃，状态未变",
        "the message has inconsistent lengths or is over {limit} bytes",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_VERSION": _t(
        "报文版本不受支持；本软件使用 {speaks}",
        "报文已丢弃，状态未变",
        "the message is of a version not spoken here; this software speaks {speaks}",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_HEADER": _t(
        "报头不是规范的封闭格式",
        "报文已丢弃，状态未变",
        "the header is not of the closed canonical form",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_CONSORTIUM": _t(
        "报文属于另一联合体",
        "报文已丢弃，状态未变",
        "the message is of another consortium",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_ROSTER": _t(
        "报文所用名册与本方不同",
        "报文已丢弃，状态未变",
        "the message is made on another roster",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_FROM": _t(
        "发件方不在名册上、已被吊销，或不应向本方发送",
        "报文已丢弃，状态未变",
        "the sender is not on the roster, or revoked, or has nothing to say to this party",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_TO": _t(
        "报文不是发给本方的",
        "报文已丢弃，状态未变",
        "the message is for somebody else",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_SIGNATURE": _t(
        "签名不成立",
        "报文已丢弃，状态未变",
        "the signature does not hold",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_BODY": _t(
        "正文与报头不符，或不是该类报文",
        "报文已丢弃，状态未变",
        "the body is not what the header says, or no record of its kind",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_ISSUED": _t(
        "签发时间在将来",
        "报文已丢弃，状态未变",
        "the message is issued in the future",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_EXPIRES": _t(
        "报文已过期，或有效期不符",
        "报文已丢弃，状态未变",
        "the message is past its time, or its time is not the plan's",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_STUDY": _t(
        "报文属于另一研究",
        "报文已丢弃，状态未变",
        "the message is about another study",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_RUN": _t(
        "报文属于另一期",
        "报文已丢弃，状态未变",
        "the message is about another run",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_CONVERSATION": _t(
        "报文属于另一会话",
        "报文已丢弃，状态未变",
        "the message is of another conversation",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_ROUND": _t(
        "报文属于另一轮",
        "报文已丢弃，状态未变",
        "the message is of another round",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_KIND": _t(
        "报文类别不对",
        "报文已丢弃，状态未变",
        "the message is of the wrong kind",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_SEQ": _t(
        "报文重放",
        "报文已丢弃，状态未变",
        "the message is a replay",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_IN_REPLY_TO": _t(
        "不是对该请求的答复",
        "报文已丢弃，状态未变",
        "the message does not answer the request",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_POLL_S": _t(
        "不应有轮询提示",
        "报文已丢弃，状态未变",
        "the message carries a hint that is not its sender's to give",
        "It was dropped; nothing changed",
    ),
    "ENVELOPE_SOFTWARE": _t(
        "软件标记格式不对",
        "报文已丢弃，状态未变",
        "the mark of the software has the wrong form",
        "It was dropped; nothing changed",
    ),
    # --- signed files and the roster
    "SIGNED_SHAPE": _t(
        "{kind} 不是签名文件的规范格式",
        "请向签署方索取原文件",
        "the {kind} is not a signed file in canonical form",
        "Ask its signer for the original file",
    ),
    "SIGNED_TYPE": _t(
        "签名文件不是 {kind} 类型",
        "检查是否拿错文件",
        "the signed file is not of type {kind}",
        "Check that it is the right file",
    ),
    "SIGNED_SIGNATURE": _t(
        "{kind} 的签名不成立，或签署方不明",
        "不要采用；用电话核对公钥指纹",
        "a signature on the {kind} does not hold, or is by a stranger",
        "Do not use it; compare fingerprints by telephone",
    ),
    "ROSTER_SCHEMA": _t(
        "名册内容不合要求：{key}",
        "请根密钥持有方重新签发",
        "the roster's content is wrong: {key}",
        "The holder of the root key should sign a corrected one",
    ),
    "ROSTER_ROOT": _t(
        "名册不是由本方认定的根密钥签署",
        "用电话核对根密钥指纹；原名册保持不变",
        "the roster is not signed by the root pinned here",
        "Compare the root fingerprint by telephone; the stored roster stays",
    ),
    "ROSTER_TWICE": _t(
        "名册中的 {what} 出现两次",
        "请根密钥持有方重新签发",
        "an entry of the roster stands twice: {what}",
        "The holder of the root key should sign a corrected one",
    ),
    "ROSTER_VERSION": _t(
        "名册版本 {got} 不是 {held} 的下一版",
        "补齐中间各版；原名册保持不变",
        "roster version {got} does not follow {held}",
        "Fetch every version between; the stored roster stays",
    ),
    "ROSTER_CHAIN": _t(
        "名册版本 {got} 不是接着本方持有的 {held} 版签发的",
        "用电话核对；原名册保持不变",
        "roster version {got} does not chain to the version {held} held here",
        "Check by telephone; the stored roster stays",
    ),
    "ROSTER_REUSED": _t(
        "名册删除或改用了已有的编号",
        "编号永不重用；请根密钥持有方重新签发",
        "the roster drops or reuses an id",
        "Ids are never reused; the holder of the root key should sign a corrected one",
    ),
    "ROSTER_EXPIRED": _t(
        "没有在有效期内的名册",
        "请根密钥持有方签发新名册",
        "there is no roster in force",
        "The holder of the root key should sign a new one",
    ),
    # --- enrolment, and files that are carried by hand
    "ENROLMENT_PROOF": _t(
        "{who} 的登记文件没有传输密钥的有效签名",
        "请该市重新运行 hpfed-node init",
        "the enrolment of {who} is not signed by the transport key that it names",
        "The city should run hpfed-node init again",
    ),
    "FINGERPRINT": _t(
        "{who} 的指纹不符：文件为 {found}，听到的是 {told}；没有写入任何内容",
        "请再次用电话逐组核对全部八组；仍不符时不要采用该文件",
        "the fingerprint of {who} differs: the file has {found}, you were told {told}; nothing was written",
        "Compare all eight groups again by telephone; if they still differ, do not use the file",
    ),
    "KEY_NONE": _t(
        "这里没有密钥", "请指明密钥文件，或先运行 init", "there is no key here", "Name the key file, or run init first"
    ),
    "KEY_FILE": _t(
        "密钥文件应为 32 字节", "请恢复该文件的备份", "a key file holds 32 bytes", "Restore the file from a backup"
    ),
    "ROSTER_NAME": _t(
        "{name!r} 不能作联合体的编号",
        "编号用 3 到 64 个小写字母、数字或连字符",
        "{name!r} cannot name a consortium",
        "Use 3 to 64 of a-z, 0-9 and -",
    ),
    "ROSTER_NONE": _t(
        "这里没有名册", "请先运行 hpfed-coordinator init", "there is no roster here", "Run hpfed-coordinator init first"
    ),
    "ROSTER_UNSIGNED": _t(
        "名册尚未签发",
        "请由根密钥持有方运行 hpfed-coordinator roster sign",
        "no roster is signed yet",
        "The holder of the root key should run hpfed-coordinator roster sign",
    ),
    "ROSTER_FIRST": _t(
        "本市尚未认定根密钥",
        "请加 --root 并写上电话里听到的指纹",
        "no root key is pinned here yet",
        "Say with --root the fingerprint that you heard by telephone",
    ),
    "ROSTER_CITY_ACTIVE": _t(
        "{name} 已在名册上，登记文件也不是由其原密钥签署",
        "密钥丢失或泄露时先运行 roster revoke；账本随城市，预算不因此更新",
        "{name} is on the roster, and the file is not signed by its key of before",
        "Where that key is lost or stolen run roster revoke first; the ledger stays with the city, and so does what was spent",
    ),
    "ROSTER_KEY_USED": _t(
        "该密钥已在某一版名册上用过",
        "请对方换用新密钥重新登记",
        "a roster lists this key already, or did",
        "The other side should enrol with a new key",
    ),
    "ROSTER_UNKNOWN": _t(
        "名册上没有 {name!r}", "名册上有：{known}", "{name!r} is not on the roster", "The roster has: {known}"
    ),
    "ROSTER_OTHER_ROOT": _t(
        "根密钥不符：名册认定 {wanted}，给出的是 {found}",
        "请用名册所载根密钥签发；更换根密钥用 --new-root-key",
        "this is another root key: the roster names {wanted}, the file holds {found}",
        "Sign with the root key that the roster names; to change it use --new-root-key",
    ),
    "STUDY_UNSIGNED": _t(
        "研究没有提问方的签名",
        "请先运行 hpfed-coordinator study sign",
        "the study is not signed by its asker",
        "Run hpfed-coordinator study sign first",
    ),
    "STUDY_CHANGED": _t(
        "研究文件在开始之后改动过",
        "请恢复原文件；改动后的研究是另一项研究，须另行提出",
        "the study file was changed since the study was begun",
        "Put the file back as it was; a changed study is another one, to be asked anew",
    ),
    "STUDY_UNANSWERED": _t(
        "这项研究还没有结果",
        "用 hpfed-coordinator study watch 查看在等哪些城市",
        "this study has no answer yet",
        "hpfed-coordinator study watch says which cities are awaited",
    ),
    "GATE_AWAY": _t(
        "本市的网关没有运行",
        "请先运行 hpfed-node start，并保持到本轮结束",
        "the gate of this city is not running",
        "Run hpfed-node start first, and leave it up until the round is over",
    ),
    # --- a host that runs
    "SOFTWARE_ALTERED": _t(
        "本机安装的 hpfed 有 {count} 个文件与安装记录（RECORD）不符，首个为 {name}",
        "请从可信的安装包重新安装，查明是谁改动了文件",
        "{count} installed files of hpfed differ from what its installation recorded, the first is {name}",
        "Install it again from a package you trust, and find out who changed the files",
    ),
    "PACKAGES_ALTERED": _t(
        "这些依赖包的文件与其安装记录（RECORD）不符：{names}",
        "请按带哈希的清单重新安装（--require-hashes），查明是谁改动了文件",
        "files of these packages differ from what their installation recorded: {names}",
        "Install them again from the list with hashes (--require-hashes), and find out who changed them",
    ),
    "SOFTWARE_MIXED": _t(
        "另有发行包把文件装进了 {packages} 之一：{names}",
        "请卸载这些发行包，或把 hpfed 装入单独的虚拟环境",
        "other distributions have put files into one of {packages}: {names}",
        "Uninstall them, or give hpfed a virtual environment of its own",
    ),
    "SOFTWARE_UNLISTED": _t(
        "名册认可的软件版本是 {accepted}，本机的 {version} sha256:{sha256} 不在其中",
        "请安装名册认可的版本，或请根密钥持有方把本版本列入名册",
        "the roster accepts software {accepted}, and not the {version} sha256:{sha256} of this host",
        "Install an accepted version, or have the holder of the root key accept this one",
    ),
    "ROSTER_SOFTWARE": _t(
        "{name!r} 不是名册认可的版本，或没有给出它的摘要",
        "认可新版本须加 --sha256（对方运行 hpfed-node software 可得）；名册已认可：{known}",
        "{name!r} is no version that the roster accepts, or its digest was not given",
        "To accept a new one add --sha256, as hpfed-node software prints it there; the roster accepts: {known}",
    ),
    "SOFTWARE_UNRECORDED": _t(
        "hpfed 以可编辑方式安装，安装记录不含其文件",
        "在运行的主机上请用安装包安装",
        "hpfed is installed in editable form: no record of its files exists",
        "On a host in service install it from a package",
    ),
    "CLOCK_OFF": _t(
        "本机时钟{which}了 {seconds} 秒",
        "请校时（NTP）；超过 {limit} 秒时双方的报文都不被接受",
        "clock is {seconds} s {which} the coordinator",
        "Set NTP; beyond {limit} s no message of either side is accepted",
    ),
    "GATEWAY_AWAY": _t(
        "{address} 没有应答",
        "请检查出站网络与防火墙是否放行该地址；需经代理时设 config.yaml 的 link.proxy；也可能是协调方停机",
        "{address} does not answer",
        "See that network and firewall let this address out, or set link.proxy in config.yaml; or the coordinator is down",
    ),
    "GATEWAY_CERTIFICATE": _t(
        "{address} 出示的证书{why}",
        "不要绕过。请核对名册是否为本联合体的最新一版；不是则 roster accept，是则告知协调方",
        "the certificate of {address} {why}",
        "Do not work around it. See that the roster is the newest of this consortium: if not, roster accept; if so, tell the coordinator",
    ),
    "GATEWAY_CERTIFICATE_ENDS": _t(
        "{address} 的证书还有 {days} 天到期",
        "请提醒协调方更换证书",
        "the certificate of {address} ends in {days} days",
        "Tell the coordinator to renew it",
    ),
    "GATEWAY_ADDRESS": _t(
        "名册上的网关地址 {address!r} 不是 主机:端口",
        "请根密钥持有方更正名册",
        "the gateway {address!r} of the roster is no HOST:PORT",
        "The holder of the root key should correct the roster",
    ),
    "GATEWAY_NONE": _t(
        "名册上没有网关地址或其 CA",
        "联合体用文件传递时运行 hpfed-node start --only gate 与 answer 即可；否则请根密钥持有方在名册上写明",
        "the roster names no gateway, or no authority for it",
        "Over files, hpfed-node start --only gate and answer are all there is; else the holder of the root key should put it on the roster",
    ),
    "ROSTER_ENDS": _t(
        "名册还有 {days} 天到期",
        "请提醒根密钥持有方签发新一版；过期后不开新会话",
        "the roster ends in {days} days",
        "Remind the holder of the root key to sign a new one; after it no conversation is opened",
    ),
    "NODE_REVOKED": _t(
        "名册第 {version} 版吊销了本市：{reason}",
        "请与协调方联系；重新登记用新的两把密钥，账本与预算不变",
        "roster {version} revokes this city: {reason}",
        "Talk to the coordinator; to enrol again takes two new keys, and ledger and budget stay as they are",
    ),
    "NODE_KEY_UNLISTED": _t(
        "名册上的本市{key}密钥不是本机的这一把",
        "已更换密钥时请取得新一版名册；否则恢复密钥备份，或重新登记",
        "the {key} key of this city on the roster is not the one that this host has",
        "After a rotation get the newest roster; else restore the key from its backup, or enrol again",
    ),
    "HOLDER_HISTORY": _t(
        "更换对象密钥后，同一人在新旧快照中名称不同，无法再与此前的精确研究比对：此后凡须与之比对的精确研究都会被拒绝",
        "确要更换时加 --accept-history-loss，之后重新 ingest；已花的预算不变",
        "with a new holder key no exact study can be held against earlier ones, and those that have to be are declined from then on",
        "If that is meant add --accept-history-loss, and ingest again; what was spent stays spent",
    ),
    "NODE_RUNNING": _t(
        "这个主目录上已有节点在运行（进程 {pid}）",
        "一个主目录只运行一个节点；用 hpfed-node status 查看，用 hpfed-node stop 结束",
        "a node is running on this home already (process {pid})",
        "One node runs per home; hpfed-node status shows it, hpfed-node stop ends it",
    ),
    "NODE_STAYS": _t(
        "进程 {pid} 在 {seconds} 秒内没有结束",
        "请查看其输出；必要时由其启动者结束它",
        "process {pid} did not end within {seconds} s",
        "Look at what it said; whoever started it may end it by force",
    ),
    "SOCKET_PATH": _t(
        "套接字路径有 {length} 字节，操作系统至多允许 {limit} 字节",
        "请把主目录放在较短的路径下，例如 --home /srv/hpfed",
        "the path of the socket has {length} bytes; the operating system takes {limit}",
        "Use a home with a shorter path, such as --home /srv/hpfed",
    ),
    "DISK_LOW": _t(
        "磁盘可用 {free} MiB，应不少于 {needed} MiB",
        "请清理磁盘；磁盘写满时本市不送出任何内容",
        "{free} MiB of disk are free, {needed} MiB should be",
        "Make room; on a full disk nothing leaves this city",
    ),
    "LINK_SILENT": _t(
        "链路 {seconds} 秒没有收到协调方的回应",
        "请运行 hpfed-node status；并请协调方确认网关在运行、本市的传输密钥已注册",
        "the link has heard nothing of the coordinator for {seconds} s",
        "Run hpfed-node status, and ask the coordinator whether its gateway is up and this city's transport key registered",
    ),
    "ROUND_TRIP": _t(
        "还没有协调方的报文到达过本市网关",
        "协调方看到链路后会先核对名册；稍后再查，仍无则请协调方查看",
        "no message of the coordinator has reached this city's gate yet",
        "The coordinator compares rosters with a link that it sees; look again later, and if there is still none ask it",
    ),
    "COURIER_ISOLATION": _t(
        "有 flower-supernode 以 --isolation subprocess 与网关同机运行：它会执行对方送来的代码",
        "请改用 --isolation process，或用 hpfed-node start 的直连",
        "a flower-supernode with --isolation subprocess runs beside the gate: it runs code that others ship",
        "Use --isolation process, or the direct link of hpfed-node start",
    ),
    "FILES_ROUNDS": _t(
        "用文件传递时，多轮研究不实用：{studies}",
        "每轮须往返三次；请改用网络链路，或只问单轮问题",
        "over files, studies of many rounds are impractical: {studies}",
        "Each round takes three trips; use a link, or ask questions of one round",
    ),
    "LINK_UNKNOWN": _t(
        "协调方的 SuperLink 不认本市的传输密钥",
        "协调方刚启动时稍候即可；否则请其确认名册已签发、引擎在运行，本市未被吊销",
        "the SuperLink of the coordinator does not know this city's transport key",
        "After its start wait a little; else ask whether the roster is signed, the engine runs, and this city is not revoked",
    ),
    "SUPERLINK_VERSION": _t(
        "协调方的 SuperLink 与本机的 Flower 版本不同（本机 {version}）",
        "双方须用同一次版本（1.41）：请安装名册认可的 hpfed 版本",
        "the SuperLink of the coordinator has another version of Flower than this host ({version})",
        "Both need the same minor version (1.41): install the hpfed that the roster accepts",
    ),
    # --- a coordinator's host
    "ADDRESS": _t(
        "{text!r} 不是地址",
        "写作 主机名:端口，例如 hpf.example.cn:8443",
        "{text!r} is no address",
        "Write HOST:PORT, for example hpf.example.cn:8443",
    ),
    "HOME_NO_ADDRESS": _t(
        "这里还没有网关地址",
        "新建时运行 hpfed-coordinator init --name … --address 主机名:端口；已有联合体用 certificate renew --address",
        "no gateway address is set up here",
        "Run hpfed-coordinator init --name … --address HOST:PORT, or, for a consortium that stands, certificate renew --address",
    ),
    "HOME_IN_USE": _t(
        "另一个进程（{pid}）正在此目录中运行",
        "用 hpfed-coordinator stop 结束它，或用 --home 指明另一个目录",
        "another process ({pid}) runs in this home",
        "End it with hpfed-coordinator stop, or name another home with --home",
    ),
    "ENGINE_AWAY": _t(
        "引擎没有运行",
        "请先运行 hpfed-coordinator start；没有网络时用 --files 以文件传递",
        "the engine is not running",
        "Run hpfed-coordinator start first, or carry files with --files",
    ),
    "ENGINE_FAULT": _t(
        "程序出错，这项研究没有结果",
        "详见该文件；已记的费用不会重复计算，可再运行一次",
        "the program failed, and this study has no answer",
        "That file says more; what was charged is not charged twice, and the study may be run again",
    ),
    "PORT_TAKEN": _t(
        "{address} 已被另一个进程占用",
        "请结束该进程，或在该文件中改用另一个端口",
        "another process listens at {address}",
        "End it, or choose another port in that file",
    ),
    "DISK_FULL": _t(
        "磁盘只剩 {free} MiB，至少要有 {needed} MiB",
        "请清出空间后再运行",
        "the disk has {free} MiB left and {needed} MiB are needed",
        "Make room, then run it again",
    ),
    "CERTIFICATE_UNREADABLE": _t(
        "网关证书无法读取",
        "请运行 hpfed-coordinator certificate renew",
        "the gateway's certificate cannot be read",
        "Run hpfed-coordinator certificate renew",
    ),
    "CERTIFICATE_EXPIRED": _t(
        "网关证书已过期 {days} 天，各市无法连接",
        "请运行 hpfed-coordinator certificate renew",
        "the gateway's certificate expired {days} days ago, and no city can connect",
        "Run hpfed-coordinator certificate renew",
    ),
    "CERTIFICATE_NAMES": _t(
        "网关证书写的是 {names}，没有地址 {address}",
        "请运行 hpfed-coordinator certificate renew",
        "the gateway's certificate is for {names} and not for {address}",
        "Run hpfed-coordinator certificate renew",
    ),
    "ROSTER_CA": _t(
        "名册上的证书机构不是本机的，各市无法连接",
        "请由根密钥持有方运行 hpfed-coordinator roster sign，并送各市采用",
        "the roster names another authority than this host has, and no city can connect",
        "The holder of the root key should run hpfed-coordinator roster sign, and the cities accept the new roster",
    ),
    "ROSTER_OVER": _t(
        "名册已过期，各市不再开始新的会话",
        "请由根密钥持有方运行 hpfed-coordinator roster sign",
        "the roster has expired, and cities begin nothing new",
        "The holder of the root key should run hpfed-coordinator roster sign",
    ),
    "ENGINE_VERSION": _t(
        "{name} 的 SuperLink 是另一版 Flower",
        "请用 requirements 中固定的 flwr 版本，并运行 hpfed-coordinator stop、start",
        "the SuperLink at {name} is another version of Flower",
        "Install flwr as requirements pin it, then run hpfed-coordinator stop and start",
    ),
    "STUDY_CITIES": _t(
        "名册上没有 {names}，或已吊销",
        "请改正研究的 cities.names，或先登记该市",
        "the roster has no {names}, or revoked them",
        "Correct cities.names of the study, or enrol the city first",
    ),
    "KEY_UNLISTED": _t(
        "名册没有列出本机的协调方密钥",
        "请恢复 identity/ 的备份",
        "the roster lists none of the coordinator's keys that are here",
        "Restore identity/ from a backup",
    ),
    "ROTATION_FOLLOWS": _t(
        "该文件所接续的不是协调方现用的密钥",
        "请在协调方重新运行 identity rotate",
        "the file does not follow the key that the coordinator uses",
        "Run identity rotate at the coordinator again",
    ),
    "WAIT": _t(
        "{text!r} 不是时长",
        "写作 30s、90m、12h 或 14d",
        "{text!r} is no time",
        "Write 30s, 90m, 12h or 14d",
    ),
    # --- simulated worlds
    "SIMULATE_OUT": _t(
        "输出文件夹已存在且不为空",
        "请另选一个新文件夹，或先清空它；没有写入任何内容",
        "the output folder is there and not empty",
        "Name a new folder or empty this one; nothing was written",
    ),
    "SIMULATE_CITY": _t(
        "没有名为 {city!r} 的合成城市",
        "可选：{known}",
        "there is no synthetic city {city!r}",
        "Choose from {known}",
    ),
    "SIMULATE_ROWS": _t(
        "每个城市 {rows} 行不在 {least} 到 {most} 之间",
        "请改用该范围内的 --rows",
        "{rows} rows per city are outside {least} to {most}",
        "Give --rows inside that range",
    ),
    "SIMULATE_HETEROGENEITY": _t(
        "差异倍数 {value} 不在 0 到 {most} 之间",
        "请改用该范围内的 --heterogeneity；默认为 1",
        "the heterogeneity {value} is outside 0 to {most}",
        "Give --heterogeneity inside that range; the default is 1",
    ),
    "SIMULATE_BROKEN": _t(
        "--broken {kind} 不适用于所选城市，或没有这一种",
        "可选（括号内为出错的城市）：{known}",
        "--broken {kind} is not known, or its city is not among those written",
        "Choose from these; the city that breaks stands in brackets: {known}",
    ),
    "SIMULATE_NAME": _t(
        "{city!r} 不能作为城市名",
        "用 2 到 40 个小写字母、数字或连字符，例如 --city c1",
        "{city!r} cannot name a city",
        "Use 2 to 40 of a-z, 0-9 and -, as in --city c1",
    ),
    "SIMULATE_RANGE": _t(
        "变量 {name} 的值域内没有一个城市文件能写出的值",
        "小数点前最多 15 位，日期自 1000 年起；请改写该值域",
        "no value in the range of {name} can stand in a city's file",
        "At most 15 digits stand before the point, and dates begin with the year 1000: change the range",
    ),
    "SIMULATE_OPTION": _t(
        "{option} 不适用于 {beside}：这样生成的城市之间没有差别",
        "去掉其中一个",
        "{option} says nothing beside {beside}: no city that it makes differs from another",
        "Leave one of the two out",
    ),
    "SIMULATE_OPTION_CORE": _t(
        "{option} 不适用于 --core：年报口径的六市只有一种写法",
        "去掉其中一个",
        "{option} says nothing beside --core: the six as annual reports count them are written in one way",
        "Leave one of the two out",
    ),
    "SIMULATE_BY_HAND": _t(
        "--by-hand 不能与 --seed 同用：有种子的世界每次重新开始，签过的字不会留下",
        "去掉其中一个",
        "--by-hand goes with no --seed: a seeded world begins anew at every run, and forgets what people signed",
        "Leave one of the two out",
    ),
    "SIMULATE_SEED": _t(
        "种子 {seed} 小于 0", "请给出不小于 0 的整数", "the seed {seed} is below 0", "Give a whole number from 0 on"
    ),
    # --- models of several rounds
    "MODEL_TERM": _t(
        "不能识别项 {term!r}（从第 {place} 个字符起）",
        "可写 name、log1p(name)、log(name)、sqrt(name)、square(name)、bands(name, [30, 45])，以及两项之间的 a:b",
        "the term {term!r} makes no sense from character {place} on",
        "Write name, log1p(name), log(name), sqrt(name), square(name), bands(name, [30, 45]), or a:b of two of them",
    ),
    "MODEL_TYPE": _t(
        "{where}：{name} 的类型是 {kind}，此处需要 {types}",
        "请换一个变量，或在词典中派生一个",
        "{where}: {name} is a {kind}, and {types} is needed there",
        "Name another variable, or derive one in the dictionary",
    ),
    "MODEL_RANGE": _t(
        "{term} 在公开取值范围 [{low}, {high}] 上没有定义（须大于 {least}）",
        "请用 log1p，或在词典中收窄取值范围",
        "{term} is not defined on the public range [{low}, {high}], which must lie above {least}",
        "Use log1p, or narrow the range in the dictionary",
    ),
    "MODEL_TERM_OUTCOME": _t(
        "{name} 既是结果又是解释项",
        "请把它从 terms 中去掉",
        "{name} is the outcome and a term as well",
        "Take it out of terms",
    ),
    "MODEL_LINK": _t(
        "{family} 没有联结函数 {link}",
        "可选：{known}",
        "the family {family} has no link {link}",
        "Choose from {known}",
    ),
    "MODEL_ALPHA": _t(
        "alpha 须与 negative_binomial 一起给出，且只与它一起",
        "写上 alpha（大于 0），或换一个 family",
        "alpha belongs to negative_binomial, which needs it, and to no other family",
        "Give alpha above 0, or change the family",
    ),
    "MODEL_WEIGHTS": _t(
        "权重 {name} 的公开取值范围含负数",
        "权重不得为负",
        "the public range of the weights {name} holds negative numbers",
        "Weights are not negative",
    ),
    "MODEL_OUTCOME_RANGE": _t(
        "{name}（{range}）不能作 {family} 的结果",
        "binomial 需要布尔值（或带 weights 的 0 至 1 的比例），计数需要非负整数，gamma 需要正数",
        "{name} ({range}) cannot be the outcome of a {family} model",
        "binomial takes a boolean (or a share from 0 to 1 with weights), counts an integer from 0, gamma a number above 0",
    ),
    "MODEL_PRECISION": _t(
        "{name} 的公开取值范围 {range} 太宽，安全求和放不下所需的位数",
        "请在词典中收窄取值范围，或取对数 log1p({name})",
        "the public range {range} of {name} is too wide: a secure sum would not keep the digits that the fit needs",
        "Narrow the range in the dictionary, or use log1p({name})",
    ),
    "MODEL_FEW_ROWS": _t(
        "合计 {rows} 行，不够拟合 {columns} 列",
        "请减少 terms，或放宽研究对象",
        "{rows} rows of all cities are too few for {columns} columns",
        "Ask for fewer terms, or a wider cohort",
    ),
    "MODEL_TOO_FEW_EVENTS": _t(
        "{columns} 列至少各需 {least} 个 {name} 为是与为否的对象（或事件）",
        "请减少 terms 或合并代码",
        "{columns} columns need at least {least} events and as many non-events of {name}",
        "Ask for fewer terms, or merge codes",
    ),
    "MODEL_COLUMN_CONSTANT": _t(
        "各市合计来看，在其公开取值范围内，{name} 对所有人相同",
        "请把它去掉；若它确有差异，请在词典中收窄取值范围",
        "{name} is the same for everybody, as far as sums over its public range can tell",
        "Leave it out; if it does vary, narrow its range in the dictionary",
    ),
    "MODEL_COLLINEAR": _t(
        "{name} 完全由 {names} 决定",
        "请去掉其中一项，或写 collinear: drop",
        "{name} is determined by {names}",
        "Take one of them out, or write collinear: drop",
    ),
    "MODEL_CLASS_THIN": _t(
        "{name} 的 {codes} 各市合计不足 {least} 个对象",
        "请在词典中合并代码",
        "fewer than {least} of all cities have {codes} of {name}",
        "Merge codes in the dictionary",
    ),
    "MODEL_TIMES": _t(
        "{name} 的公开取值范围有 {count} 个时点，至多 {most} 个",
        "请在词典中收窄取值范围，或以更长的单位计时",
        "the public range of {name} has {count} points in time, and {most} is the most",
        "Narrow the range in the dictionary, or count time in longer units",
    ),
    "MODEL_TOGETHER": _t(
        "{key} 不能与 {other} 同用",
        "请去掉其中之一",
        "{key} and {other} do not go together",
        "Leave one of them out",
    ),
    "MODEL_CLUSTERS_FEW": _t(
        "只有 {clusters} 个聚类，至少需要 {least} 个才能估计聚类标准误",
        "请换一个聚类变量，或用 errors: robust",
        "{clusters} clusters are too few for cluster errors, which need {least}",
        "Cluster by another column, or use errors: robust",
    ),
    "MODEL_CLUSTER_RANK": _t(
        "{clusters} 个聚类不能联合检验 {terms} 项",
        "联合检验的项数须小于聚类数",
        "{clusters} clusters cannot test {terms} terms together",
        "Test fewer terms than there are clusters",
    ),
    "MODEL_WEIGHTS_CONCENTRATED": _t(
        "这次询问的系数使本市只有约 {effective} 行有分量，少于 {least} 行",
        "本市不作答，否则合计会显出少数对象；请让协调方给出其系数的由来",
        "the coefficients of this ask leave only about {effective} rows of this city with weight, fewer than {least}",
        "Nothing is answered, since sums would show a few holders; ask the coordinator where its coefficients come from",
    ),
    "MODEL_ROUNDS": _t(
        "该模型要问第 {round} 轮，本市至多答 {limit} 轮",
        "请减少轮次，或请本市提高 policy.yaml 中的 limits.most_rounds",
        "the model asks for round {round}, and this city answers {limit} at most",
        "Ask for fewer rounds, or let the city raise limits.most_rounds in policy.yaml",
    ),
    "MODEL_ASK_FOREIGN": _t(
        "多轮模型的一次询问不属于已批准的研究，或其版式与所给数字不符",
        "本市未作答；请核对协调方与本节点的版本",
        "an ask of a model is not one of the approved study, or has another layout than its numbers give",
        "Nothing was answered; compare the versions of coordinator and node",
    ),
    "EXACT_TOO_MANY_PARAMETERS": _t(
        "{name} 要估计 {count} 个参数，超过其数据的 {limit} 倍",
        "请去掉一些项或并入更粗的分组",
        "{name} has {count} parameters to estimate, more than {limit} times what carries them",
        "Take out terms, or merge codes",
    ),
    "EXACT_THIN": _t(
        "{name} 的合计中，最小的一类低于本市下限 {limit} (policy.yaml: {key})",
        "请并入更粗的分组，或与该市商议",
        "in the sum of {name} the smallest class is below this city's {limit} (policy.yaml: {key})",
        "Merge codes, or ask the city",
    ),
    "POLICY_MODELS": _t(
        "本市不作答 {name}：policy.yaml 中 {key} 为 false",
        "请改用不需此项的写法（cox 用 stratify: city，回归用 city_effects: concentrated），或与该市商议",
        "this city does not answer {name}: {key} is false in policy.yaml",
        "Ask without it (cox with stratify: city, a regression with city_effects: concentrated), or ask the city",
    ),
    "MODEL_TRANSCRIPT": _t(
        "本市不作答多轮模型：policy.yaml 中 models.open_transcript 为 false",
        "请去掉该问题，或请本市允许各轮合计随询问给出",
        "this city answers no models: models.open_transcript is false in policy.yaml",
        "Take the question out, or ask the city to allow asks that carry earlier sums",
    ),
    "SESSION_ATTESTED": _t(
        "{who} 声明第 {round} 轮被问的内容或合计与记录不同",
        "请勿采用该结果；请向发布方与该市核对",
        "{who} attests that round {round} of the session asked, or came to, something else than the record says",
        "Do not use the result; ask whoever published it, and the city",
    ),
    "SESSION_INVALID": _t(
        "多轮问题的记录格式不对",
        "请向发布方索取完整的结果包",
        "the record of a session is not in its form",
        "Ask whoever published the result for the whole bundle",
    ),
    "MODEL_NUMBERS": _t(
        "{name} 各轮的合计无法继续计算",
        "请去掉近乎恒定或彼此决定的项，或并入更粗的分组",
        "the sums of {name} lead to numbers that cannot be computed with",
        "Take out terms that are nearly constant or that determine each other, or merge codes",
    ),
    "MODEL_DP_NOT_OFFERED": _t(
        "类型 {kind} 没有 dp 模式",
        "请写 privacy: {{mode: exact}}，或用 --exact 运行",
        "there is no kind {kind} in mode dp",
        "Write privacy: {{mode: exact}}, or run with --exact",
    ),
    "MODEL_DP_TOO_NOISY": _t(
        "{name} 的系数中，噪声的误差约为抽样误差的 {ratio} 倍",
        "请把 epsilon 约提高到 {times} 倍，或有约 {rows} 位缴存人，或减少 terms，或用 --exact 运行",
        "in the coefficients of {name} the error of noise is about {ratio} times that of sampling",
        "Take about {times} times the epsilon, or about {rows} holders, or fewer terms, or run with --exact",
    ),
    "MODEL_RELEASE": _t(
        "类型 {kind} 只公布各市合计的结果",
        "请写 release: pooled",
        "the kind {kind} is released pooled alone",
        "Write release: pooled",
    ),
    "MODEL_NOT_REPLAYABLE": _t(
        "第 {round} 轮的询问不能由此前各轮的合计推出",
        "本市未作答；请向协调方索取各轮合计并核对",
        "the ask of round {round} does not follow from the totals of earlier rounds",
        "Nothing was answered; ask the coordinator for the totals and compare",
    ),
    "MODEL_BINS": _t(
        "{name} 的分箱多于 {limit} 个，或其边界不递增",
        "请给出递增的边界，或先在词典中归并",
        "{name} has more than {limit} bins, or edges that do not rise",
        "Give rising edges, or band it in the dictionary first",
    ),
    "MODEL_SPECIAL": _t(
        "{name} 的特殊值不是其代码，或不是其取值范围内的数字，或没有留下普通取值",
        "请列出部分代码，或取值范围内的数字",
        "the special values of {name} are no codes of it, or no numbers of its public range, or leave no other",
        "List some of its codes, or numbers of its range",
    ),
    "MODEL_EXPORT": _t(
        "这个模型无法这样导出：{problem}",
        "logit、线性、poisson、gamma 的 glm 与 scorecard 导出为 scikit-learn，gbdt 导出为 XGBoost",
        "this model cannot be exported that way: {problem}",
        "A logit, linear, poisson or gamma glm and a scorecard go to scikit-learn, a gbdt to XGBoost",
    ),
    "MODEL_NOT_BINARY": _t(
        "模型 {id} 的结果不是“是/否”，没有 AUC 与校准可言",
        "请评估 binomial 的 glm、scorecard 或 gbdt",
        "the model {id} does not predict a yes or no, so that it has no AUC and no calibration",
        "Evaluate a binomial glm, a scorecard or a gbdt",
    ),
    "MODEL_DICTIONARY": _t(
        "模型 {id} 是用词典 {theirs} 拟合的，本研究用的是 {ours}",
        "请在 dictionary 中写模型所用的词典，或用本研究的词典重新拟合",
        "the model {id} was fitted on the dictionary {theirs}, and the study uses {ours}",
        "Name the model's dictionary in `dictionary`, or fit the model anew on that of the study",
    ),
    "MODEL_OUTCOMES": _t(
        "模型 {id} 预测 {one}，而 {other} 预测 {two}",
        "只能比较预测同一结果的两个模型",
        "the model {id} predicts {one}, and {other} predicts {two}",
        "Hold two models against each other that predict the same",
    ),
    "MODEL_VARIABLES": _t(
        "模型 {id} 要用 {names}，而研究中没有（或类型不同）",
        "请用模型所用的词典；city.* 须在 cities.attributes 中给出",
        "the model {id} reads {names}, which the study does not have, or has as another type",
        "Use the dictionary of the model; city.* stands in cities.attributes",
    ),
    "MODEL_ABSENT": _t(
        "没有可评估的模型 {id}",
        "请写本研究中一个模型问题的 id，或一个模型文件",
        "there is no model {id} to evaluate",
        "Name a question of this study that fits one, or a model file",
    ),
    "MODEL_CUT": _t(
        "分界 {cut} 不在 {bins} 个分箱的边界上",
        "请写成 k / {bins}",
        "the cut {cut} is none of the edges of {bins} bins",
        "Write a multiple of 1 / {bins}",
    ),
    "MODEL_NO_FEATURE": _t(
        "没有一个特征可用：各特征的信息量低于 {least}，或分不出两个箱，或系数符号相反",
        "请换特征，或放宽研究对象",
        "no feature is left: each has an information value below {least}, fewer than two bins, or a coefficient of the wrong sign",
        "Name other features, or ask for a wider cohort",
    ),
    "MODEL_FILE": _t(
        "这不是一个模型文件：{problem}",
        "请给出 OUT/models 中的文件",
        "this is no model file: {problem}",
        "Give a file of OUT/models",
    ),
    "MODEL_EXPIRED": _t(
        "模型 {id} 的有效期到 {expires} 为止",
        "请用新的数据重新拟合，或复核后重新校准",
        "the model {id} was valid until {expires}",
        "Fit it anew on later data, or recalibrate it after a review",
    ),
    "MODEL_SCORE_COLUMN": _t(
        "模型所需的 {names}，本市没有（或类型不同）",
        "请在 mapping.yaml 中补上对应，再运行 hpfed-node ingest",
        "the model needs {names}, which this city does not have, or has as another type",
        "Map it in mapping.yaml, then run hpfed-node ingest",
    ),
    "MODEL_SCORE_DICTIONARY": _t(
        "模型用的是字典 {model}，本市的数据用的是 {city}",
        "请用同一字典拟合的模型：名称相同的变量在另一本字典里可能是别的意思",
        "the model is in the words of {model}, and this city's rows are in those of {city}",
        "Use a model of the same dictionary: a variable of the same name may mean something else in another",
    ),
    "VOTE_CITY": _t(
        "{who} 不在名册上、已吊销，或对自己的模型投票",
        "只计名册上其他城市的票",
        "{who} is not on the roster, takes part no more, or voted on a model of its own",
        "Only votes of the other cities of the roster count",
    ),
    "VOTE_OTHER": _t(
        "{who} 投票的是另一个模型",
        "请该市用同一个模型文件重新运行 hpfed-node validate",
        "the vote of {who} is about another model",
        "Ask it to run hpfed-node validate on the same model file",
    ),
    "VOTE_TWICE": _t(
        "{who} 有两张票",
        "每市只留一张",
        "there are two votes of {who}",
        "Keep one of each city",
    ),
    "VOTE_NO_MAJORITY": _t(
        "模型 {id}：{of} 座城市中 {yes} 座同意，未过半数，不予签署",
        "请查明反对的原因，重新校准或重新拟合",
        "the model {id}: {yes} of {of} cities said yes, which is no majority; nothing is signed",
        "Find out why the others did not, and recalibrate it or fit it anew",
    ),
    "MODEL_RECALIBRATE": _t(
        "模型 {id} 不能这样重新校准：{why}",
        "请改用另一种方法，或用新的数据重新拟合",
        "the model {id} cannot be recalibrated so: {why}",
        "Use the other method, or fit it anew on later data",
    ),
    "MODEL_FEW_OUTCOMES": _t(
        "模型 {id} 有评分且结果已知的行中，发生者或未发生者少于 {least}",
        "请等到行数足够，或与其他城市一起重新校准（kind: evaluate 的 recalibrate）",
        "among rows that the model {id} scores and whose outcome is known there are fewer than {least} events, or others",
        "Wait until there are more, or recalibrate it together with other cities (`recalibrate` of kind: evaluate)",
    ),
    "MODEL_MONTHS": _t(
        "从 {since} 起没有快照",
        "请先运行 hpfed-node ingest；每月一次，快照日期写在 mapping.yaml",
        "there is no snapshot of {since} or later",
        "Run hpfed-node ingest first: once a month, the date of the snapshot being that of mapping.yaml",
    ),
    "MODEL_SINCE": _t(
        "{since} 不是月份",
        "请写成 YYYY-MM，如 2026-01",
        "{since} is not a month",
        "Write it as YYYY-MM, such as 2026-01",
    ),
    "MODEL_MONITOR": _t(
        "监测记录读不出，或属于另一个模型",
        "请恢复备份；删除此文件则从现有快照重新计数",
        "the counts of earlier months cannot be read, or are of another model",
        "Restore a backup; without this file, months are counted again from the snapshots that are left",
    ),
}


# What an Abort says, on the wire (docs/protocol.md). Numbers are never reused.
ABORT_NUMBERS: Final[dict[str, int]] = {
    "CLOSED": 0,
    "SECAGG_PLAN": 1,
    "SECAGG_ROSTER": 2,
    "SECAGG_REPLAY": 3,
    "SECAGG_NOT_APPROVED": 4,
    "SECAGG_EXPIRED": 5,
    "SECAGG_RING": 6,
    "SECAGG_NOISE": 7,
    "SECAGG_BUDGET": 8,
    "SECAGG_EXACT": 9,
    "SECAGG_BOUND": 10,
    "SECAGG_COHORT_DIFFERENCE": 11,
    "SECAGG_ALREADY_ANSWERED": 12,
    "SECAGG_COHORT_SIZE": 13,
    "SECAGG_THRESHOLD": 14,
    "SECAGG_COLLUDERS": 15,
    "SECAGG_ROUNDS": 16,
    "SECAGG_LENGTH": 17,
    "SECAGG_BAD_SIGNATURE": 64,
    "SECAGG_FOREIGN_ADVERT": 65,
    "SECAGG_OWN_ADVERT": 66,
    "SECAGG_REPEATED_KEY": 67,
    "SECAGG_LOW_ORDER_KEY": 68,
    "SECAGG_BAD_U2": 69,
    "SECAGG_BAD_BOX": 70,
    "SECAGG_FOREIGN_ROUND": 71,
    "SECAGG_FOREIGN_QUESTION": 72,
    "SECAGG_ROUND_USED": 73,
    "SECAGG_BAD_U3": 74,
    "SECAGG_SPLIT_SURVIVORS": 75,
    "SECAGG_OUT_OF_ORDER": 76,
    "SECAGG_TOO_LONG": 77,
    "SECAGG_BAD_SHARE": 78,
    "SECAGG_BAD_DEALING": 79,
    "SECAGG_EQUIVOCATION": 80,
    "SECAGG_INCONSISTENT": 81,
    "SECAGG_WRONG_SUM": 82,
    "SECAGG_TOO_FEW": 128,
    "SECAGG_ROUND_LOST": 129,
    "LEDGER_ROLLED_BACK": 192,
    "SNAPSHOT_DATE": 193,
    "POLICY_CITIES": 194,
    "ENVELOPE_BODY": 195,
    "declined:disclosure": 196,
    "POLICY": 197,
    "APPROVAL": 198,
    "LEDGER": 199,
    "SNAPSHOT": 200,
    "BUSY": 201,
    "OTHER": 202,
    "BUDGET_ASKER": 203,
    "BUDGET_YEAR": 204,
    "BUDGET_TOTAL": 205,
    "BUDGET_RETRIES": 206,
}
# Families of a gate's own codes. A decline because of rows is always the one code `declined:disclosure`.
_ABORT_FAMILIES: Final = {"EXACT": "declined:disclosure", "BUDGET": "SECAGG_BUDGET"}
_ABORT_ROWS: Final = ("MODEL_WEIGHTS_CONCENTRATED", "SNAPSHOT_OUT_OF_DOMAIN")  # found in rows that a round had read


def abort_number(code: str) -> int:
    """The number that an Abort carries for a code: its own, else that of its family (the word before the first `_`)."""
    family = "EXACT" if code in _ABORT_ROWS else code.split("_", 1)[0]
    for name in (code, _ABORT_FAMILIES.get(family, family)):
        if name in ABORT_NUMBERS:
            return ABORT_NUMBERS[name]
    return ABORT_NUMBERS["OTHER"]


def declined(number: int) -> str:
    """What `cities.missing[].reason` says of a city that aborted with this number, for example `declined:budget`."""
    names = {value: code for code, value in ABORT_NUMBERS.items()}
    word = names.get(number, "OTHER").removeprefix("declined:")
    return "declined:" + (word.removeprefix("SECAGG_").lower() if word.startswith("SECAGG_") else word)
