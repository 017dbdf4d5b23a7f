"""The plan of a study as a page for people, in Chinese or English. A pure function of the value that machines get."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from unicodedata import east_asian_width

from coordinator import conversations
from coordinator.report.numbers import SHARES, factor, significant

WORDS: Final[dict[str, dict[str, str]]] = {
    "cost": {"zh": "费用", "en": "Cost"},
    "epsilon": {
        "zh": "每城 epsilon {epsilon}（delta {delta}）；在两座城市都有账户的人 {two}",
        "en": "epsilon {epsilon} in each city (delta {delta}); {two} for a person with accounts in two of them",
    },
    "accounted": {
        "zh": "按 {accounting} 核算；预算{split}",
        "en": "accounted by {accounting}; the budget is split {split}",
    },
    "equally": {"zh": "按权重平分给各数据块", "en": "equally over blocks, times their weight"},
    "best": {
        "zh": "按最小二乘后的精度分给各数据块（平分则方差为 {times} 倍）",
        "en": "for the least variance after least squares (equal shares: {times} times as much)",
    },
    "exact": {"zh": "精确模式：不加噪声，不消耗预算", "en": "mode exact: no noise, no budget is spent"},
    "series": {
        "zh": "共 {of} 期，每月一期，{as_of} 至 {last_as_of}：一次批准、一次预留，以上费用是全部各期之和；精度与字节数为每一期的",
        "en": "{of} monthly runs, {as_of} to {last_as_of}: one approval and one reservation; this cost is that of all runs, "
        "widths and bytes are those of each",
    },
    "tolerance": {
        "zh": "{cities} 座城市，至少 {threshold} 座须参加到底（可缺 {dropouts} 座），容忍 {colluders} 座串通",
        "en": "{cities} cities, of which {threshold} must stay to the end ({dropouts} may drop out); {colluders} may collude",
    },
    "city": {"zh": "城市", "en": "city"},
    "decides": {"zh": "将如何决定", "en": "will decide"},
    "caps": {
        "zh": "占剩余上限：本提问方本年 / 本年 / 总计",
        "en": "part of the room left: asker's year / year / total",
    },
    "lacks": {"zh": "不能提供", "en": "cannot map"},
    "auto": {"zh": "自动批准", "en": "yes, by rule"},
    "officer": {"zh": "一名负责人审批", "en": "an officer"},
    "two_officers": {"zh": "两名负责人审批", "en": "two officers"},
    "refuse": {"zh": "拒绝：{codes}", "en": "no: {codes}"},
    "unknown": {"zh": "未知", "en": "not known"},
    "blocks": {"zh": "离开城市的数据", "en": "What leaves each city"},
    "leaves": {
        "zh": "{where}：{blocks} 个数据块，{cells} 个单元格，{bytes} 字节，{rounds} 轮，{ring} 位整数",
        "en": "{where}: {blocks} blocks, {cells} cells, {bytes} bytes, {rounds} round, words of {ring} bits",
    },
    "sum": {"zh": "掩码后求和", "en": "masked, for the sum"},
    "session": {
        "zh": "多轮问题：{blocks} 个数据块，每轮掩码后求和；费用占比为各轮之和",
        "en": "of many rounds: {blocks} blocks, masked for the sum of a round; the cost is that of all rounds",
    },
    "rounds": {"zh": "轮数", "en": "rounds"},
    "own": {"zh": "本市自行作答，已加噪", "en": "numbers of its own, noised"},
    "block": {"zh": "数据块", "en": "block"},
    "cells": {"zh": "单元格", "en": "cells"},
    "share": {"zh": "费用占比", "en": "cost"},
    "sd": {"zh": "噪声标准差：合计", "en": "noise sd: in all"},
    "node_sd": {"zh": "每城", "en": "per city"},
    "questions": {
        "zh": "预计精度（半宽：区间的一半；各列取各行的中位数）",
        "en": "Expected widths (half of the interval; medians over rows)",
    },
    "sampled": {
        "zh": "只有把缴存人看作抽样的行（sampling），区间才包含抽样误差；计数与总额默认不含",
        "en": "sampling is in the interval where holders are a draw (`sampling`); by default not for counts and totals",
    },
    "question": {"zh": "问题", "en": "question"},
    "measure": {"zh": "指标", "en": "measure"},
    "rows": {"zh": "行数", "en": "rows"},
    "expected": {"zh": "预计值", "en": "expected"},
    "half_width": {"zh": "半宽", "en": "half-width"},
    "of_noise": {"zh": "噪声", "en": "of noise"},
    "of_sampling": {"zh": "抽样", "en": "of sampling"},
    "doubtful": {"zh": "预计标 u 的行", "en": "rows marked u"},
    "able": {"zh": "能答城市", "en": "cities"},
    "by_city": {"zh": "分市", "en": "by city"},
    "widths": {"zh": "达到所需半宽", "en": "Widths wished for"},
    "reached": {
        "zh": "{name}：现为 {now}，已达到 {width}；epsilon {epsilon} 即可",
        "en": "{name}: {now} now, {width} is reached; epsilon {epsilon} would do",
    },
    "raise": {
        "zh": "{name}：现为 {now}，要达到 {width} 需 epsilon {epsilon}",
        "en": "{name}: {now} now; {width} needs epsilon {epsilon}",
    },
    "never": {
        "zh": "{name}：现为 {now}，epsilon 再高也达不到 {width}（没有噪声时为 {without}）",
        "en": "{name}: {now} now; no epsilon gives {width} ({without} without any noise)",
    },
    "nothing": {
        "zh": "{name}：没有替身数据，无从预计；请加 --twin",
        "en": "{name}: nothing is known without a twin; add --twin",
    },
    "drop": {"zh": "或在同一 epsilon 下去掉：{names}", "en": "or, at the same epsilon, leave out: {names}"},
    "noise_only": {"zh": "（只含噪声）", "en": " (noise alone)"},
    "noisy": {
        "zh": "{question}：{noise}/{rows} 行预计只是噪声；{would}。运行须加 --accept-noisy",
        "en": "{question}: {noise} of {rows} rows will be noise; {would}. A run needs --accept-noisy",
    },
    "would": {"zh": "epsilon {epsilon} 即可", "en": "epsilon {epsilon} would do"},
    "fewer": {"zh": "epsilon 再高也不够，请减少类别", "en": "no epsilon would do: ask for fewer categories"},
    "least_cities": {
        "zh": "未说明问哪些城市：按最少的 {count} 座计算；用 --cities 给出名册或城市文件夹",
        "en": "no cities are named: computed for the fewest allowed, {count}; name a roster or city folders with --cities",
    },
    "dropouts": {
        "zh": "研究希望可缺 {asked} 座城市，但城市太少，只可缺 {left} 座",
        "en": "the study wants to bear {asked} dropouts; with so few cities it bears {left}",
    },
    "no_twin": {
        "zh": "没有替身城市：抽样误差、预计值与标注未知（不作猜测）；用 --twin 给出合成城市",
        "en": "no twin: sampling errors, expected values and marks are not known, and not guessed; name synthetic cities with --twin",
    },
    "cannot_unknown": {
        "zh": "各市能提供哪些变量要等其答复；用 --cities 给出城市文件夹即可预知",
        "en": "what cities can map is known when they answer, or from their folders (--cities)",
    },
    "too_few_able": {
        "zh": "{question}：能回答的城市太少，各市会拒绝整项研究",
        "en": "{question}: too few cities can answer it; every city would refuse the study",
    },
    "equal_split": {
        "zh": "各数据块所占预算相差很大：平分时噪声方差为 {times} 倍；请核对各题的 weight",
        "en": "shares of the budget differ much: equal ones would give {times} times the noise variance; look at the weights of questions",
    },
    "noisy_model": {
        "zh": "{question}：系数的误差中，噪声约为抽样的 {times} 倍；epsilon 提高到 {times} 倍即可持平",
        "en": "{question}: noise would be about {times} times the sampling error of its coefficients; as many times epsilon evens them",
    },
    "refuses": {"zh": "{city} 会拒绝：{codes}", "en": "{city} will refuse: {codes}"},
    "over_cap": {"zh": "{city} 的预算不够：{scopes}", "en": "{city} has too little budget left: {scopes}"},
    "warnings": {"zh": "请注意", "en": "Mind"},
    "free": {
        "zh": "以上只是估算：没有询问任何城市，没有消耗预算",
        "en": "A forecast: no city was asked, nothing was spent",
    },
}
ORDER: Final = ("per_asker_year", "per_year", "total")


def table(value: Mapping[str, Any], language: str) -> str:
    """The whole page."""

    def say(key: str, **values: object) -> str:
        return WORDS[key][language].format(**values)

    parts = [_cost(value, say), _leaves(value, say, language), _widths_of_questions(value, say)]
    if value["widths"]:
        parts.append([say("widths"), *_wishes(value, say)])
    warnings = _warnings(value, say)
    if warnings:
        parts.append([say("warnings"), *(f"  ! {line}" for line in warnings)])
    parts.append([say("free")])
    return "\n\n".join("\n".join(lines) for lines in parts)


def _cost(value: Mapping[str, Any], say: Any) -> list[str]:
    cost, tolerance = value["cost"], value["tolerance"]
    head = f"{value['study']['id']}  {value['study']['digest']}"
    price = (
        say("exact")
        if cost["epsilon"] is None
        else say(
            "epsilon",
            epsilon=f"{cost['epsilon']:.4g}",
            delta=f"{cost['delta']:g}",
            two=f"{cost['epsilon_in_two_cities']:.4g}",
        )
    )
    rows = [[say("city"), say("decides"), say("caps"), say("lacks")]]
    for city in cost["cities"]:
        parts = {cap["scope"]: cap for cap in city["caps"]}
        caps = " / ".join(_part(parts[scope]) for scope in ORDER) if parts else say("unknown")
        codes = ", ".join(dict.fromkeys(reason["code"] for reason in city["reasons"]))
        decides = say(city["decides"], codes=codes) if city["decides"] else say("unknown")
        lacks = say("unknown") if city["cannot"] is None else ", ".join(city["cannot"]) or "-"
        rows.append([city["city"], decides, caps, lacks])
    series = ["  " + say("series", **value["runs"])] if value["runs"]["of"] > 1 else []
    return [
        head,
        say("cost"),
        "  " + price,
        *_accounted(value, say),
        *series,
        "  " + say("tolerance", **tolerance),
        *aligned(rows),
    ]


def _accounted(value: Mapping[str, Any], say: Any) -> list[str]:
    if value["cost"]["epsilon"] is None:
        return []
    equal = value["split"]["equal"]
    split = say("best", times=f"{equal:.3g}") if equal > 1 else say("equally")
    return ["  " + say("accounted", accounting=value["cost"]["accounting"].upper(), split=split)]


def _part(cap: Mapping[str, Any]) -> str:
    return f"{cap['cost'] / cap['left']:.1%}" if cap["left"] else "-"


def _leaves(value: Mapping[str, Any], say: Any, language: str) -> list[str]:
    lines = [say("blocks")]
    for where, word in (("sum", "sum"), ("city", "own"), ("session", "session")):
        blocks = [block for block in value["blocks"] if block["where"] == where]
        if not blocks:
            continue
        if where == "session":
            lines.append("  " + say("session", blocks=len(blocks)))
        else:
            cells, size = (sum(block[name] for block in blocks) for name in ("cells", "bytes"))
            said = {
                "cells": f"{cells:,}",
                "bytes": f"{size:,}",
                "rounds": blocks[0]["rounds"],
                "ring": blocks[0]["ring"],
            }
            lines.append("  " + say("leaves", where=say(word), blocks=len(blocks), **said))
        most, head = ("rounds", say("rounds")) if where == "session" else ("touches", "m")
        rows = [[say("block"), say("cells"), "D1", "D2", head, say("share"), say("sd"), say("node_sd")]]
        for block in blocks:
            unit = 2 ** block["shift"]
            rows.append(
                [
                    block["block"],
                    f"{block['cells']:,}",
                    f"{block['l1']:,}",
                    f"{block['l2sq']:,}",
                    str(block[most]),
                    f"{block['share']:.1%}",
                    significant(block["variance"] ** 0.5 * unit),
                    significant(block["node_variance"] ** 0.5 * unit),
                ]
            )
        lines += aligned(rows, left=1)
    return lines + [f"  {line}" for line in conversations.said(value["session"], language)]


def _widths_of_questions(value: Mapping[str, Any], say: Any) -> list[str]:
    names = ("question", "measure", "able", "rows", "expected", "half_width", "of_noise", "of_sampling", "doubtful")
    rows = [[say(name) for name in names]]
    for question in value["questions"]:
        able = "?" if question["cities"] is None else str(len(question["cities"]))
        for number, found in enumerate(
            each for each in question["measures"] if each["measure"] == question["headline"]
        ):
            scope = f" ({say('by_city')})" if found["scope"] == "city" else ""
            doubtful = question["expected_doubtful"]
            figures = [_figure(found["measure"], found[name]) for name in names[4:8]]
            marked = "" if number else "?" if doubtful is None else f"{doubtful:.1f} / {question['rows']}"
            rows.append([question["id"], found["measure"] + scope, able, f"{found['rows']:,}", *figures, marked])
    return [say("questions"), *aligned(rows, left=2), "  " + say("sampled")]


def _figure(measure: str, number: float | None) -> str:
    if number is None:
        return "?"
    return significant(number * factor(measure)) + (" %" if measure in SHARES else "")


def _wishes(value: Mapping[str, Any], say: Any) -> list[str]:
    lines = []
    for wished in value["widths"]:
        measure = wished["measure"]
        name = f"{wished['question']}.{measure}{say('noise_only') if wished['noise_only'] else ''}"
        shown = {
            key: _figure(measure, wished[of])
            for key, of in (("now", "now"), ("width", "width"), ("without", "without_noise"))
        }
        epsilon = "-" if wished["epsilon"] is None else f"{wished['epsilon']:g}"
        known = wished["now"] is not None
        key = "nothing" if not known else "reached" if wished["reached"] else "raise" if wished["epsilon"] else "never"
        lines.append("  " + say(key, name=name, epsilon=epsilon, **shown))
        if wished["drop"]:
            lines.append("    " + say("drop", names=", ".join(wished["drop"])))
    return lines


def _warnings(value: Mapping[str, Any], say: Any) -> list[str]:
    lines = []
    for warning in value["warnings"]:
        values = {key: ", ".join(each) if isinstance(each, list) else each for key, each in warning.items()}
        if warning["warning"] != "noisy":
            lines.append(say(values.pop("warning"), **values))
    for noisy in value["noisy"]:
        would = say("fewer") if noisy["epsilon"] is None else say("would", epsilon=f"{noisy['epsilon']:g}")
        lines.append(say("noisy", question=noisy["question"], noise=noisy["noise"], rows=noisy["rows"], would=would))
    return lines


def aligned(rows: Sequence[Sequence[str]], left: int = 4) -> list[str]:
    """Lines of columns: the first `left` to the left, the others to the right. Chinese letters are two places wide."""
    widths = [max(map(wide, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (text, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - wide(text))
            cells.append(text + gap if number < left else gap + text)
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def wide(text: str) -> int:
    """Places that a text takes on a terminal."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
