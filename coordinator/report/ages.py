"""Ages, smoothed: panels on the same axes, one per question, a curve per group with its interval as a light band.

The curves stand in the results (`protocols/statistics/smoothed.py`) and are drawn here, per cent of the holders of their panel per year of
age. They are for the eye alone: no sentence reads a number out of them, and the table of the question holds the released bins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from markupsafe import Markup

from coordinator.report import charts
from coordinator.report.charts import MUTED, SERIES, TEXT, Marks, Picture, extent
from coordinator.report.numbers import significant
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Test
from protocols.statistics.smoothed import NAME

MOST_PANELS: Final = 12
MOST_CURVES: Final = 4  # of one panel
ACROSS: Final = 2  # panels beside each other
EVERY: Final = 10  # years between ticks
HIGH: Final = 130.0  # pixels of a panel


@dataclass(frozen=True)
class Curve:
    """One group. `points`: age, value, low, high, ages ascending."""

    label: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Panel:
    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Drawing:
    """All panels, the questions they show, and their picture."""

    title: Markup
    sentence: Markup
    questions: tuple[str, ...]
    plan: Picture


def smooth(question: Question) -> bool:
    """Whether its curves can be drawn: of all cities together, by one group at most."""
    return (
        question.kind == "histogram"
        and len(question.keys) <= ACROSS
        and any(test.name == NAME and test.scope == POOLED and test.estimate is not None for test in question.tests)
    )


def drawing(wording: Wording, questions: Mapping[str, Question]) -> Drawing | None:
    """None where no question has a curve, or too many have."""
    chosen = {name: question for name, question in questions.items() if smooth(question)}
    of = {question.keys[0] for question in chosen.values()}
    panels = [_panel(wording, question) for question in chosen.values()]
    if not 0 < len(panels) <= MOST_PANELS or len(of) != 1 or any(len(each.curves) > MOST_CURVES for each in panels):
        return None
    named = wording.variable(next(iter(of)))
    sentence = wording.say("figure_ages", confidence=wording.percent())
    return Drawing(wording.say("figure_ages_title", of=named), sentence, tuple(chosen), panelled(panels))


def _panel(wording: Wording, question: Question) -> Panel:
    """Per cent of the holders of the panel whose age and group are known."""
    by = question.keys[1:]
    known = [
        row
        for row in question.rows
        if row.scope == POOLED and row.measure == "count" and not set(row.at(question.keys)) & set(UNKNOWN)
    ]
    whole = sum(row.estimate or 0.0 for row in known) or 1.0
    everybody = wording.say("all_holders", unit=wording.unit())
    groups: dict[str, list[tuple[float, float, float, float]]] = {}
    for test in question.tests:
        if test.name == NAME and test.scope == POOLED and test.estimate is not None:
            place = _places(test)
            label = wording.code(by[0], place[by[0]]) if by else str(everybody)
            value, low, high = (100 * (each or 0.0) / whole for each in (test.estimate, test.ci_low, test.ci_high))
            groups.setdefault(label, []).append((float(place["at"]), value, low, high))
    title = everybody if question.cohort is None else wording.words_of(question.cohort)
    return Panel(str(title.unescape()), tuple(Curve(label, tuple(points)) for label, points in groups.items()))


def _places(test: Test) -> Mapping[str, str]:
    return {name: str(value) for name, value in (test.__pydantic_extra__ or {}).items()}


def panelled(panels: Sequence[Panel]) -> Picture:
    """Two beside each other, on one scale of ages and one of per cent."""
    points = [point for panel in panels for curve in panel.curves for point in curve.points]
    least, most = min(point[0] for point in points), max(point[0] for point in points)
    top = max(point[3] for point in points) or 1.0
    step = next(each for each in _steps(top) if top / each <= ACROSS + 1)
    top = step * ceil(top / step)
    marks, left, gap, right = Marks(), 34.0, 20.0, 10.0  # half of the last age stands beyond the axis
    across = ACROSS if len(panels) > 1 else 1
    width = charts.WHOLE if across > 1 else charts.WIDTH
    wide = (width - gap * (across - 1)) / across
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    colours = dict(zip(labels, SERIES, strict=False))
    x = 0.0
    for label in labels:
        marks.rect(x, 4.0, 11.0, 4.0, colours[label])
        marks.text(x + 16, 11.0, label)
        x += extent(label, TEXT) + 40
    for number, panel in enumerate(panels):
        begin, y = (number % across) * (wide + gap) + left, 44.0 + (number // across) * (HIGH + 62)
        end, bottom = begin + wide - left - right, y + HIGH
        marks.text(begin - left, y - 12, charts.cut(panel.title, TEXT, wide), fontWeight=600)
        for tick in range(round(top / step) + 1):
            at = bottom - HIGH * tick * step / top
            marks.line(begin, at, end, at)
            marks.text(begin - 5, at + 4, significant(tick * step, 2) if tick else "0", MUTED, align="right")

        def place(age: float, begin: float = begin, end: float = end) -> float:
            return begin + (end - begin) * (age - least) / (most - least or 1.0)

        def height(value: float, bottom: float = bottom) -> float:
            return bottom - HIGH * value / top

        for age in range(EVERY * ceil(least / EVERY), int(most) + 1, EVERY):
            marks.line(place(age), bottom, place(age), bottom + 4)
            marks.text(place(age), bottom + 16, str(age), MUTED, align="center")
        for curve in panel.curves:
            some = curve.points[::2] if len(curve.points) > EVERY else curve.points
            edge = [(place(age), height(low)) for age, _, low, _ in some]
            edge += [(place(age), height(high)) for age, _, _, high in reversed(some)]
            marks.area(_path(edge) + "Z", colours[curve.label])
        for curve in panel.curves:
            marks.path(
                _path((place(age), height(value)) for age, value, _, _ in curve.points), colours[curve.label], 1.6
            )
    whole = int(44.0 + -(-len(panels) // across) * (HIGH + 62) - 38)
    return Picture(width, whole, marks.spec(width, whole))


def _steps(top: float) -> Iterable[float]:
    return (digit * 10.0 ** (floor(log10(top)) + power) for power in (-1, 0, 1) for digit in (1, 2, 5))


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.0f},{y:.0f}" for x, y in points)
