"""A comparison of two results for people: a page for the terminal, tables for spreadsheets. A pure function of the comparison.

DIR/changes.json              everything
DIR/tables/<id>.csv           one row per cell: UTF-8 with a byte-order mark, text made safe for spreadsheets as in a result's tables
"""

import csv
import io
from pathlib import Path
from typing import Final

from coordinator.change import Change, Changed, Changes, Reason, Side, published
from coordinator.plan_text import aligned
from coordinator.report.numbers import MINUS, SHARES, decimals, factor, fixed, probability, span
from coordinator.report.tables import BOM, cell
from coordinator.report.wording import Wording
from coordinator.results import POOLED
from protocols.canonical import canonical
from protocols.errors import ConfigError, Language, Place

COLUMNS: Final = ("scope", "measure", "of")
NUMBERS: Final = (
    "scale",
    "in",
    "first",
    "second",
    "estimate",
    "se_noise",
    "se_sampling",
    "ci_low",
    "ci_high",
    "p_value",
    "q_value",
    "obs_status",
    "conf_status",
)
WORDS: Final[dict[str, dict[str, str]]] = {
    "sides": {
        "zh": "{first} → {second}（区间置信水平 {confidence:g} %，含两边的噪声与抽样误差）",
        "en": "{first} → {second} (intervals at {confidence:g} %, over noise and sampling of both)",
    },
    "side": {"zh": "{study} {as_of}", "en": "{study} of {as_of}"},
    "row": {"zh": "单元格", "en": "row"},
    "measure": {"zh": "指标", "en": "measure"},
    "first": {"zh": "前", "en": "first"},
    "second": {"zh": "后", "en": "second"},
    "change": {"zh": "变化", "en": "change"},
    "interval": {"zh": "区间", "en": "interval"},
    "q_value": {"zh": "q", "en": "q"},
    "marks": {"zh": "标注", "en": "marks"},
    "all": {"zh": "全部", "en": "all"},
    "contrast": {"zh": "{codes}（两组之差）", "en": "{codes} (difference of two groups)"},
    "points": {"zh": "{change} 个百分点", "en": "{change} pp"},
    "times": {"zh": "{change} 倍", "en": "× {change}"},
    "only_first": {"zh": "仅前一结果有", "en": "first only"},
    "only_second": {"zh": "仅后一结果有", "en": "second only"},
    "cities": {
        "zh": "b：城市不同（仅前：{only_first}；仅后：{only_second}），合计行不是同一群城市",
        "en": "b: other cities (first only: {only_first}; second only: {only_second}): pooled rows are not of one set of cities",
    },
    "definition": {"zh": "b：定义不同：{parts}", "en": "b: defined otherwise: {parts}"},
    "codes": {"zh": "b：{cities} 合并的代码不同", "en": "b: {cities} merges other codes"},
    "scopes": {"zh": "b：{cities} 的数据范围不同", "en": "b: {cities} covers other holders"},
    "break": {
        "zh": "b：{from} 起口径变动（{label}），涉及 {affects}；城市：{cities}",
        "en": "b: break in series from {from} ({label}), which affects {affects}; cities: {cities}",
    },
    "alone": {"zh": "只有一项研究问的问题：{first}；{second}", "en": "asked by one study alone: {first}; {second}"},
    "of_first": {"zh": "前 {names}", "en": "first: {names}"},
    "of_second": {"zh": "后 {names}", "en": "second: {names}"},
    "same_holders": {
        "zh": "区间按两次互相独立计算；两边都有的人通常使真实误差更小，因而区间偏宽",
        "en": "the two are taken for independent; whoever stands in both makes the true error smaller as a rule, so intervals are wide",
    },
    "same_day": {
        "zh": "两份结果的日期相同（{as_of}）：变化来自数据更正与噪声，不来自时间",
        "en": "both are of {as_of}: what changed is corrections and noise, not time",
    },
    "order": {
        "zh": "注意：后一结果的日期早于前一结果",
        "en": "note: the second result is of an earlier date than the first",
    },
}
NONE: Final = "–"


def page(found: Changes, spoken: str) -> str:
    """The whole comparison, question by question. `spoken`: zh or en."""
    language: Language = "zh" if spoken == "zh" else "en"
    content = found.second.results.content
    wording = Wording(language, content)
    lines = [
        _say(
            "sides",
            language,
            first=_side(found.first, language),
            second=_side(found.second, language),
            confidence=100 * found.confidence,
        )
    ]
    dates = [each.results.content.run.as_of for each in (found.first, found.second)]
    if dates[0] == dates[1]:
        lines.append(_say("same_day", language, as_of=dates[0]))
    elif dates[0] > dates[1]:
        lines.append(_say("order", language))
    for each in found.questions:
        lines += ["", f"{each.id} ({each.kind})", *_question(each, wording)]
        lines += ["  " + _reason(reason, language) for reason in each.reasons]
    alone = {f"of_{which}": ", ".join(found.alone[which]) for which in ("first", "second") if found.alone[which]}
    if alone:
        said = [_say(key, language, names=names) for key, names in alone.items()]
        lines += ["", _say("alone", language, first=said[0], second=said[-1] if len(said) > 1 else NONE)]
    return "\n".join([*lines, "", _say("same_holders", language)])


def _say(key: str, language: Language, **values: object) -> str:
    return WORDS[key][language].format(**values)


def _side(side: Side, language: Language) -> str:
    content = side.results.content
    return _say("side", language, study=content.study.id, as_of=content.run.as_of)


def _question(found: Changed, wording: Wording) -> list[str]:
    """Its rows, but for those that no number applies to; the files have them."""
    language = wording.language
    names = ("row", "measure", "first", "second", "change", "interval", "q_value", "marks")
    shown = [each for each in found.rows if "z" not in each.obs_status]
    return aligned([[_say(name, language) for name in names], *(_row(each, wording) for each in shown)], left=2)


def _row(row: Change, wording: Wording) -> list[str]:
    language = wording.language
    codes = " × ".join(wording.code(key, code) for key, code in row.keys.items()) or _say("all", language)
    if row.contrast:
        codes = _say("contrast", language, codes=codes)
    place = codes if row.scope == POOLED else f"{wording.city(row.scope)}: {codes}"
    sides = [_number(row, value) for value in (row.first, row.second)]
    marks = ["" if each == NONE else each for each in (row.obs_status + row.conf_status,)]
    only = "" if row.where == "both" else _say(f"only_{row.where}", language)
    q_value = "" if row.q_value is None else probability(row.q_value)
    return [place, row.of, *sides, only or _by(row, language), _interval(row), q_value, *marks]


def _number(row: Change, value: float | None) -> str:
    if value is None:
        return NONE
    shown = value * factor(row.of)
    return fixed(shown, decimals(row.of, shown)) + (" %" if row.of in SHARES else "")


def _places(row: Change) -> int:
    """Decimals of a change: those of the numbers that it is between, and of a quotient three."""
    if row.scale == "quotient":
        return 3
    return max(decimals(row.of, (value or 0.0) * factor(row.of)) for value in (row.first, row.second))


def _by(row: Change, language: Language) -> str:
    if row.estimate is None:
        return NONE
    if row.scale == "quotient":
        return _say("times", language, change=fixed(row.estimate, _places(row)))
    shown = fixed(row.estimate * factor(row.of), _places(row))
    signed = shown if shown.startswith(MINUS) or row.estimate == 0 else f"+{shown}"
    return _say("points", language, change=signed) if row.of in SHARES else signed


def _interval(row: Change) -> str:
    if row.ci_low is None or row.ci_high is None:
        return ""
    times = 1 if row.scale == "quotient" else factor(row.of)
    return f"[{span(*(fixed(end * times, _places(row)) for end in (row.ci_low, row.ci_high)))}]"


def _reason(reason: Reason, language: Language) -> str:
    values = {
        key: ", ".join(map(str, each)) or NONE if isinstance(each, list) else each
        for key, each in reason.values.items()
    }
    if reason.reason == "break":
        values["label"] = reason.values["label"][language]
    return _say(reason.reason, language, **values)


# --- files


def vacant(out: Path) -> None:
    """Errors: `ConfigError FILE_EXISTS` unless `out` is absent or an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("FILE_EXISTS", Place(str(out)))


def write(out: Path, found: Changes) -> tuple[Path, ...]:
    """`changes.json`, and one table per question, into a new folder. Errors: as `vacant`."""
    vacant(out)
    files = {"changes.json": canonical(published(found))}
    files |= {f"tables/{each.id}.csv": table(each) for each in found.questions}
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return tuple(out / name for name in files)


def table(found: Changed) -> bytes:
    """The CSV of one question. A key that is called as one of the columns stands as `key.NAME`."""
    keys = list(dict.fromkeys(key for row in found.rows for key in row.keys))
    taken = {*COLUMNS, *NUMBERS, "contrast"}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *(f"key.{key}" if key in taken else key for key in keys), "contrast", *NUMBERS])
    for row in found.rows:
        said = row.published()
        head = [cell(said[name]) for name in COLUMNS]
        middle = [cell(row.keys.get(key)) for key in keys]
        writer.writerow([*head, *middle, cell(row.contrast), *(cell(said[name]) for name in NUMBERS)])
    return (BOM + text.getvalue()).encode()
