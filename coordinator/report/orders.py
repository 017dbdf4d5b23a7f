"""Tables and pictures of the kinds whose rows stand in an order of their own: levels, times, places.

| kind | table | picture |
|---|---|---|
| quantiles | a line per group, a column per level, in the unit of the variable | boxes: rule between the outermost levels, bar between
those inside, tick and bracket of the median | | survival | a line per time (some of them), a column per group: at risk, part without the
event; medians | step curves with their intervals | | association | a line per variable in their order: V, adjusted V, place, test,
letters of ties | dots with intervals | | top | a line per code in their order: count and place | none |
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from coordinator.report import curves
from coordinator.report.charts import Picture
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters
from coordinator.report.numbers import printed, probability
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

PICTURED: Final = ("quantiles", "survival", "association")
AT: Final = "at"
NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
MOST_TIMES: Final = 13  # lines of a curve's table on the page
MOST_GROUPS: Final = 6  # curves in one picture
MOST_LEVELS: Final = 9  # columns of a table of quantiles


@dataclass(frozen=True)
class Shown:
    """What a figure is made of."""

    title: Markup
    sentence: Markup
    grid: Grid
    picture: Picture | None


def fits(question: Question) -> bool:
    """Whether it is one of these kinds and its rows are keyed as they are; a later version may key them otherwise."""
    match question.kind:
        case "association":
            return question.keys == ("variable",)
        case "top":
            own = question.keys == (AT,)
        case "quantiles" | "survival":
            own = question.keys[-1:] == (AT,)
        case _:
            return False
    return own and all(NUMBER.fullmatch(code) or code == "known" for code in question.codes(AT) if code not in UNKNOWN)


def subject(question: Question) -> str:
    """The variable that a question is about, which says in which part of the page it stands."""
    return str(question.asked.get({"survival": "duration", "association": "outcome"}.get(question.kind, "of"), ""))


def pictured(question: Question) -> bool:
    return question.kind in PICTURED and fits(question) and POOLED in question.scopes()


def title(wording: Wording, question: Question) -> Markup:
    of, by = wording.variable(subject(question)), question.keys[:-1]
    groups = wording.say("times").join(wording.variable(key) for key in by)
    match question.kind:
        case "association":
            return wording.say("question_association", of=of)
        case "top":
            return wording.say("question_top", of=of, k=question.asked.get("k", ""))
    return wording.say(f"question_{question.kind}{'_by' if by else ''}", of=of, by=groups)


def tables(wording: Wording, question: Question, rows: Sequence[Numbered], city: str) -> list[Grid] | None:
    """The tables of one scope; None where they do not fit the page and a plain list must do."""
    if not fits(question):
        return None
    match question.kind:
        case "quantiles":
            return _quantiles(wording, question, rows, city)
        case "survival":
            return _survival(wording, question, rows, city)
        case "association":
            return [_association(wording, rows, city)]
    return [_top(wording, question, rows, city)]


def figure(wording: Wording, question: Question) -> Shown | None:
    """The picture of all holders; None where there is none to draw."""
    rows = [(number, row) for number, row in enumerate(question.rows) if row.scope == POOLED]
    made = tables(wording, question, rows, "") if rows else None
    if not made:
        return None
    groups = dict.fromkeys(_group(question, row) for _, row in rows if not set(_group(question, row)) & set(UNKNOWN))
    named = {group: _named(wording, question, group) for group in groups}
    shown = [row for _, row in rows if row.estimate is not None]
    match question.kind:
        case "quantiles":
            picture = _boxes(wording, question, named, shown)
        case "survival":
            picture = _steps(question, named, shown)
        case _:
            picture = _dots(wording, shown)
    sentence = wording.say(f"figure_{question.kind}", confidence=wording.percent())
    return Shown(title(wording, question), sentence, made[0], picture)


Codes = tuple[str, ...]


def _group(question: Question, row: Row) -> Codes:
    return row.at(question.keys)[:-1]


def _named(wording: Wording, question: Question, group: Codes) -> str:
    codes = [wording.code(key, code) for key, code in zip(question.keys, group, strict=False)]
    return " × ".join(codes) or str(wording.say("all_holders", unit=wording.unit()).unescape())


def _number(row: Row) -> str:
    shown = printed(row)
    marks = "".join(f" [{letter}]" for letter in row.letters)
    return f"{shown.value} {shown.error}{marks}".strip() if shown else marks.strip()


# --- quantiles


def _quantiles(wording: Wording, question: Question, rows: Sequence[Numbered], city: str) -> list[Grid] | None:
    levels = sorted({str(row[AT]) for _, row in rows if row.measure == "quantile"} - set(UNKNOWN), key=float)
    if not 0 < len(levels) <= MOST_LEVELS:
        return None
    place = {(row.measure, _group(question, row), str(row[AT])): (number, row) for number, row in rows}
    groups = dict.fromkeys(_group(question, row) for _, row in rows)
    lines = []
    for group in groups:
        if not set(group) & set(UNKNOWN):
            found = [
                *(place.get(("quantile", group, level)) for level in levels),
                place.get(("count", group, "known")),
                place.get(("count", group, "_missing")),
            ]
            cells = tuple(cell(*each) if each else Cell(look="blank") for each in found)
            lines.append(Line(_heads(wording, question, group), cells))
    percents = [f"{100 * float(level):g}" for level in levels]
    of = subject(question)
    heads = [str(wording.in_unit(wording.say("head_quantile", level=level), of)) for level in percents]
    heads += [str(wording.measure("count")), str(wording.code(AT, "_missing"))]
    return [_grid(wording, question, "what_quantiles", heads, lines, city)]


def _heads(wording: Wording, question: Question, group: Codes) -> tuple[tuple[str, int], ...]:
    if not group:
        return ((str(wording.say("all_holders", unit=wording.unit())), 1),)
    return tuple((wording.code(key, code), 1) for key, code in zip(question.keys, group, strict=False))


def _grid(
    wording: Wording, question: Question, what: str, heads: Iterable[str], lines: Sequence[Line], city: str
) -> Grid:
    stubs = tuple(wording.variable(key) for key in question.keys[:-1]) or (str(wording.say("head_group")),)
    groups = (Group(tuple(lines)),)
    return Grid("list", wording.say(what), stubs, tuple(heads), groups, letters(groups), city)


def _boxes(wording: Wording, question: Question, named: dict[Codes, str], rows: Sequence[Row]) -> Picture | None:
    drawn = []
    for group, label in named.items():
        mine = [row for row in rows if row.measure == "quantile" and _group(question, row) == group]
        values = tuple(
            row.estimate for row in sorted(mine, key=lambda row: float(str(row[AT]))) if row.estimate is not None
        )
        middle = next((row for row in mine if float(str(row[AT])) == 0.5), None)
        bracket = None
        if middle is not None and None not in (middle.estimate, middle.ci_low, middle.ci_high):
            bracket = (middle.estimate or 0.0, middle.ci_low or 0.0, middle.ci_high or 0.0)
        if values:
            drawn.append(curves.Box(label, values, bracket, _number(middle) if middle else ""))  # fmt: skip
    words = wording.content.words.variables.get(subject(question))
    return curves.boxes(drawn, log=words is not None and words.unit == "CNY")


# --- survival


def _survival(wording: Wording, question: Question, rows: Sequence[Numbered], city: str) -> list[Grid] | None:
    groups = list(dict.fromkeys(_group(question, row) for _, row in rows))
    groups = [group for group in groups if not set(group) & set(UNKNOWN)]
    if len(groups) > MOST_GROUPS:
        return None
    place = {(row.measure, _group(question, row), str(row[AT])): (number, row) for number, row in rows}
    times = [
        time
        for time in dict.fromkeys(str(row[AT]) for _, row in rows if row.measure == "at_risk")
        if time not in UNKNOWN
    ]
    if not times or not groups:
        return None
    step = -(-len(times) // MOST_TIMES)
    kept = times[::step]
    parts = []
    for measure, shown in (("at_risk", kept), ("survival", kept), ("median", ["0.5"])):
        lines = []
        for time in shown:
            found = [place.get((measure, group, time)) for group in groups]
            cells = tuple(cell(*each) if each else Cell(look="blank") for each in found)
            label = str(wording.say("head_median")) if measure == "median" else time
            lines.append(Line(((label, 1),), cells))
        parts.append(Group(tuple(lines), wording.measure(measure)))
    stub = str(wording.in_unit(wording.variable(subject(question)), subject(question)))
    heads = tuple(_named(wording, question, group) for group in groups)
    over = " × ".join(wording.variable(key) for key in question.keys[:-1])
    left, kept_groups = len(times) - len(kept), tuple(parts)
    what = wording.say("what_survival")
    return [Grid("matrix", what, (stub,), heads, kept_groups, letters(kept_groups), city, over, left=left)]  # fmt: skip


def _steps(question: Question, named: dict[Codes, str], rows: Sequence[Row]) -> Picture | None:
    drawn = []
    for group, label in named.items():
        points = tuple(
            (float(str(row[AT])), row.display or 0.0, row.ci_low or 0.0, row.ci_high or 0.0)
            for row in rows
            if row.measure == "survival" and _group(question, row) == group
        )
        if points:
            drawn.append(curves.Steps(label, points))
    return curves.steps(drawn)


# --- association


def _association(wording: Wording, rows: Sequence[Numbered], city: str) -> Grid:
    place = {(row.measure, str(row["variable"])): (number, row) for number, row in rows}
    lines = []
    for name in _ranked(rows):
        found = [place.get((measure, name)) for measure in ("cramers_v", "adjusted", "rank")]
        number, first = found[0] or (-1, None)
        tests = [probability(p) if p is not None else "" for p in (first.p_value, first.q_value)] if first else ["", ""]
        further = (*tests, str(found[2][1]["tie"] or "") if found[2] else "")
        cells = (
            *(cell(*each) if each else Cell(look="blank") for each in found),
            *(Cell(text, ref=number) for text in further),
        )
        lines.append(Line(((wording.variable(name), 1),), cells))
    heads = [str(wording.measure(measure)) for measure in ("cramers_v", "adjusted", "rank")]
    heads += [str(wording.say(key)) for key in ("head_p", "head_q", "head_tie")]
    groups = (Group(tuple(lines)),)
    stub = (wording.variable("variable"),)
    return Grid("list", wording.say("what_association"), stub, tuple(heads), groups, letters(groups), city)


def _ranked(rows: Sequence[Numbered]) -> list[str]:
    """Variables in their order, those without a place last."""
    places = {
        str(row["variable"]): row.estimate for _, row in rows if row.measure == "rank" and row.estimate is not None
    }
    every = dict.fromkeys(str(row["variable"]) for _, row in rows)
    return sorted(every, key=lambda name: places.get(name, float("inf")))


def _dots(wording: Wording, rows: Sequence[Row]) -> Picture | None:
    drawn = [
        curves.Dot(wording.variable(str(row["variable"])), row.estimate, row.ci_low or 0.0, row.ci_high or 0.0, _number(row))
        for row in sorted(rows, key=lambda row: -(row.estimate or 0.0))
        if row.measure == "adjusted"
    ]  # fmt: skip
    return curves.dots(drawn)


# --- top


def _top(wording: Wording, question: Question, rows: Sequence[Numbered], city: str) -> Grid:
    of, lines = subject(question), list[Line]()
    place = {(row.measure, str(row[AT])): (number, row) for number, row in rows}
    for at in question.codes(AT):
        found = [place.get((measure, at)) for measure in ("count", "rank")]
        if not any(found):
            continue
        code = next((str(row["item"]) for _, row in filter(None, found) if row["item"] is not None), "")
        label = wording.code(of, at if at in UNKNOWN else code) if code or at in UNKNOWN else "–"
        cells = tuple(cell(*each) if each else Cell(look="blank") for each in found)
        lines.append(Line(((label, 1),), cells, at in UNKNOWN))
    heads = tuple(str(wording.measure(measure)) for measure in ("count", "rank"))
    groups = (Group(tuple(lines)),)
    return Grid("list", wording.say("what_top"), (wording.variable(of),), heads, groups, letters(groups), city)
