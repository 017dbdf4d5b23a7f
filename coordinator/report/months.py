"""Pictures of what was asked month by month: a line per group, the states that holders go from and to, a curve per quarter of opening.

A line chart prints no numbers but those of its axis: the table beside it holds them with their errors and marks, and the thin upright
lines are the intervals. A month without a number leaves a gap; one of low reliability is drawn, and marked in the table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from markupsafe import Markup

from coordinator.report import charts
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters
from coordinator.report.numbers import decimals, factor, fixed, printed, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

KINDS: Final = ("series", "transitions", "vintage")
MOST_LINES: Final = 6  # that can be told apart
MOST_STATES: Final = 12
MOST_MONTHS: Final = 60
QUARTER: Final = 3
MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
STEPS: Final = (0.02, 0.1, 0.3, 0.6)  # of a share of pairs: from here on the next darker tile

Listed: TypeAlias = tuple[str, Sequence[Numbered | None]]  # the head of a line, and its rows


@dataclass(frozen=True)
class Drawing:
    """A picture, its title and sentence, and the table beside it."""

    look: str
    title: Markup
    sentence: Markup
    twin: Grid
    plan: charts.Picture | None


def drawing(wording: Wording, question: Question, scope: str, title: Markup) -> Drawing | None:
    """The picture of one scope of a question by month; None where it would have too many lines or months to be read."""
    if not question.keys:
        return None
    match question.kind:
        case "series":
            return _series(wording, question, scope, title)
        case "transitions":
            return _transitions(wording, question, scope, title)
    return _vintage(wording, question, scope, title)


def _known(question: Question, key: str) -> tuple[str, ...]:
    return tuple(code for code in question.codes(key) if code not in UNKNOWN)


def _placed(question: Question, scope: str, measure: str) -> Mapping[tuple[str, ...], Numbered]:
    rows = ((number, row) for number, row in enumerate(question.rows) if row.scope == scope and row.measure == measure)
    return {row.at(question.keys): (number, row) for number, row in rows}


def _point(found: Numbered | None) -> charts.Point | None:
    row = found[1] if found else None
    if row is None or row.estimate is None:
        return None
    times = factor(row.measure)
    low, high = (row.estimate if end is None else end for end in row.interval)
    return charts.Point(row.estimate * times, low * times, high * times)


def _said(row: Row, sign: str = "") -> dict[str, object]:
    shown = printed(row)
    value, low, high = (shown.value, shown.low, shown.high) if shown else ("", "", "")
    return {"value": f"{value}{sign}", "interval": f" [{span(low + sign, high + sign)}]" if low else ""}


def _table(wording: Wording, stub: str, heads: Sequence[str], lines: Sequence[Listed], what: Markup) -> Grid:
    made = tuple(
        Line(((label, 1),), tuple(cell(*found) if found else Cell(look="blank") for found in cells))
        for label, cells in lines
    )
    groups = (Group(made),)
    return Grid("matrix", what, (wording.variable(stub),), tuple(heads), groups, letters(groups))


# --- series


def _series(wording: Wording, question: Question, scope: str, title: Markup) -> Drawing | None:
    months, by = _known(question, question.keys[0]), question.keys[1:]
    groups = _known(question, by[0]) if by else ("",)
    if len(by) > 1 or not 1 <= len(groups) <= MOST_LINES or not 2 <= len(months) <= MOST_MONTHS:
        return None
    measure = "total" if any(row.measure == "total" for row in question.rows) else "count"
    place = _placed(question, scope, measure)
    found = [[place.get((month, group) if by else (month,)) for month in months] for group in groups]
    labels = [wording.code(by[0], group) if by else str(wording.measure(measure)) for group in groups]
    curves = [charts.Curve(label, tuple(map(_point, line))) for label, line in zip(labels, found, strict=True)]
    clear = [each[1] for line in found for each in line if each and each[1].clear]
    sentence = wording.say("figure_series_none")
    if clear and len(groups) == 1:
        row = max(clear, key=lambda each: each.estimate or 0.0)
        sentence = wording.say("figure_series_most", month=str(row[question.keys[0]]), **_said(row))
    lines = [(month, [line[at] for line in found]) for at, month in enumerate(months)]
    of = str(question.asked.get("of", ""))
    head = str(wording.in_unit(wording.measure(measure), of) if measure == "total" else wording.measure(measure))
    heads = labels if by else [head]
    twin = _table(wording, question.keys[0], heads, lines, wording.measure(measure))
    return Drawing("lines", title, sentence, twin, charts.lines(months, curves, _axis(measure)))


def _axis(measure: str) -> charts.Scale:
    if factor(measure) != 1:
        return lambda value: f"{fixed(value, 0)}%"
    return lambda value: fixed(value, min(decimals(measure, value), 1))


# --- transitions


def _transitions(wording: Wording, question: Question, scope: str, title: Markup) -> Drawing | None:
    if len(question.keys) != 2:
        return None
    one, other = question.keys
    down, across = _known(question, one), _known(question, other)
    if not 2 <= len(down) <= MOST_STATES:
        return None
    place = _placed(question, scope, "row_share")
    found = [[place.get((first, second)) for second in across] for first in down]
    tiles = [
        (wording.code(one, first), [_tile(each) for each in line]) for first, line in zip(down, found, strict=True)
    ]
    heads = [wording.code(other, second) for second in across]
    moved = [row for line in found for _, row in filter(None, line) if row.clear and row[one] != row[other]]
    sentence = wording.say("figure_transitions_none")
    if moved:
        row = max(moved, key=lambda each: each.estimate or 0.0)
        said = {"one": wording.named(one, str(row[one])), "other": wording.named(other, str(row[other]))}
        sentence = wording.say("figure_transitions_most", **said, **_said(row, "%"))
    lines = [(wording.code(one, first), line) for first, line in zip(down, found, strict=True)]
    twin = _table(wording, one, heads, lines, wording.measure("row_share"))
    return Drawing("states", title, sentence, twin, charts.heat(wording.variable(one), heads, tiles))


def _tile(found: Numbered | None) -> charts.Tile:
    row = found[1] if found else None
    marks = "".join(f"[{letter}]" for letter in row.letters) if row else ""
    shown = printed(row) if row else None
    if row is None or shown is None:
        return charts.Tile("", "", marks, "held")
    step = len([edge for edge in STEPS if (row.estimate or 0.0) >= edge])
    look = "grey" if row.doubtful else f"u{step}" if step else "plain"
    return charts.Tile(shown.value, shown.error, marks, look)


# --- vintage


def _vintage(wording: Wording, question: Question, scope: str, title: Markup) -> Drawing | None:
    if len(question.keys) != 2:
        return None
    opened, since = _known(question, question.keys[0]), _known(question, question.keys[1])
    if not all(map(MONTH.fullmatch, opened)) or not all(map(str.isdecimal, since)):
        return None
    quarters: dict[str, list[str]] = {}
    for month in opened:
        year, number = month.split("-")
        quarters.setdefault(f"{year} Q{(int(number) - 1) // QUARTER + 1}", []).append(month)
    if not 1 <= len(quarters) <= len(charts.SERIES) or len(opened) > MOST_MONTHS:
        return None
    place = _placed(question, scope, "share")
    curves = [
        charts.Curve(quarter, tuple(_pooled([place.get((month, at)) for month in months]) for at in since))
        for quarter, months in quarters.items()
    ]
    clear = [row for _, row in place.values() if row.clear and row[question.keys[1]] != "0"]
    sentence = wording.say("figure_vintage_none")
    if clear:
        row = max(clear, key=lambda each: (int(str(each[question.keys[1]])), str(each[question.keys[0]])))
        keys = {"month": str(row[question.keys[0]]), "since": str(row[question.keys[1]])}
        sentence = wording.say("figure_vintage_last", **keys, **_said(row, "%"))
    lines = [(month, [place.get((month, at)) for at in since]) for month in opened]
    twin = _table(wording, question.keys[0], since, lines, wording.measure("share"))
    return Drawing("lines", title, sentence, twin, charts.lines(since, curves, _axis("share")))


def _pooled(found: Sequence[Numbered | None]) -> charts.Point | None:
    """The share of a quarter from those of its months, once all of them have one: parts of their bases, and no interval."""
    rows = [each[1] for each in found if each]
    if len(rows) < len(found) or any(row.estimate is None or row.base is None for row in rows):
        return None
    base = sum(row.base or 0.0 for row in rows)
    value = 100 * sum((row.estimate or 0.0) * (row.base or 0.0) for row in rows) / base if base > 0 else 0.0
    return charts.Point(value, value, value)


def title(wording: Wording, question: Question) -> Markup:
    """What was asked, in words."""
    asked = question.asked
    names = wording.say("times").join(wording.variable(name) for name in asked.get("by", ()))
    match question.kind:
        case "series":
            said = wording.say("question_series", of=wording.variable(str(asked.get("of", ""))))
        case "transitions":
            said = wording.say("question_transitions", of=wording.variable(str(asked.get("of", ""))))
        case _:
            opened, active = (wording.variable(str(asked.get(key, ""))) for key in ("opened", "active"))
            said = wording.say("question_vintage", opened=opened, active=active)
    return wording.say("question_monthly_by", what=said, by=names) if names else said


def scopes(question: Question) -> tuple[str, ...]:
    """The pooled rows, or where there are none, each city's."""
    found = question.scopes()
    return (POOLED,) if POOLED in found else found
