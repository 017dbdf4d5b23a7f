"""Pictures of quantiles, of curves that fall step by step, and of estimates with their intervals. Places are computed as in `charts.py`.

A step curve is one path, however many steps it has: a picture of 240 months is no larger than a table of twelve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from coordinator.report.charts import (
    ACCENT,
    INK,
    LEFT,
    MUTED,
    SERIES,
    TEXT,
    WIDTH,
    Marks,
    Picture,
    extent,
    folded,
)
from coordinator.report.numbers import fixed, significant

ROW = 34.0  # pixels of a line
RIGHT = 10.0  # beside the largest value
PANEL = 210.0  # height of a curve's panel
MOST_TICKS = 6


@dataclass(frozen=True)
class Box:
    """Quantiles of one group, ascending by level: the outermost are the ends of a rule, those on either side of the middle the ends of a
    bar. `middle`: the median, with the ends of its interval; `text`: the same in words."""

    label: str
    values: tuple[float, ...]
    middle: tuple[float, float, float] | None
    text: str


@dataclass(frozen=True)
class Dot:
    """An estimate with its interval; `None` where there is none. `text`: the same in words."""

    label: str
    value: float | None
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Steps:
    """One curve: (time, value, low, high), times ascending."""

    label: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Scale:
    """From values to pixels: even, or even in ratios (`log`), where what is below `least` stands on the edge."""

    least: float
    most: float
    log: bool
    begin: float
    end: float

    def at(self, value: float) -> float:
        if self.log:
            value, least, most = (log10(max(each, self.least)) for each in (value, self.least, self.most))
        else:
            least, most = self.least, self.most
        part = (value - least) / (most - least) if most > least else 0.0
        return self.begin + (self.end - self.begin) * min(max(part, 0.0), 1.0)

    def ticks(self) -> tuple[float, ...]:
        """Round values between both ends, at least one where they differ."""
        if self.log:
            decades = range(floor(log10(self.least)), ceil(log10(self.most)) + 1)
            every = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
            inside = [tick for tick in every if self.least <= tick <= self.most * 1.0001]
            if len(inside) > 1:  # else values so near each other that even steps say more
                return tuple(inside[:: -(-len(inside) // MOST_TICKS)])
        step = 10.0 ** floor(log10((self.most - self.least) / 2)) if self.most > self.least else 1.0
        step = next(
            step * times for times in (1, 2, 5, 10, 20) if (self.most - self.least) / (step * times) <= MOST_TICKS - 1
        )
        first = ceil(self.least / step) * step
        return tuple(first + step * number for number in range(int((self.most - first) / step + 1e-9) + 1))  # fmt: skip


def boxes(groups: Sequence[Box], log: bool) -> Picture | None:
    """Quantiles of groups, one line each, on one axis. None where there is nothing to draw."""
    shown = [value for group in groups for value in group.values]
    if log:
        shown = [value for value in shown if value > 0]
    if not shown or min(shown) == max(shown):
        return None
    scale = Scale(min(shown), max(shown), log, LEFT, WIDTH - RIGHT)
    marks, y = Marks(), 4.0
    for group in groups:
        _label(marks, group.label, y)
        middle, values = y + ROW / 2 + 5, sorted(group.values)
        if len(values) > 1:
            marks.line(scale.at(values[0]), middle, scale.at(values[-1]), middle, MUTED, 1.0)
        if len(values) > 1:
            inner = len(values) // 2
            low, high = scale.at(values[inner - 1]), scale.at(values[-inner])
            marks.rect(low, middle - 5, max(high - low, 1.0), 10.0, SERIES[5])
        if group.middle is not None:
            at, low, high = (scale.at(each) for each in group.middle)
            marks.rect(at - 1, middle - 7, 2.0, 14.0, INK)
            marks.line(low, middle + 9, high, middle + 9, ACCENT, 1.5)
        _beside(marks, group.text, y)
        y += ROW
    _axis(marks, scale, y)
    return Picture(WIDTH, int(y + 18), marks.spec(WIDTH, int(y + 18)))


def dots(lines: Sequence[Dot]) -> Picture | None:
    """Estimates with intervals from 0 on, one line each."""
    most = max((line.high for line in lines if line.value is not None), default=0.0)
    if most <= 0:
        return None
    scale = Scale(0.0, most, False, LEFT, WIDTH - RIGHT)
    marks, y = Marks(), 4.0
    for line in lines:
        _label(marks, line.label, y)
        if line.value is not None:
            middle = y + ROW / 2 + 5
            marks.line(scale.at(line.low), middle, scale.at(line.high), middle, MUTED, 1.5)
            marks.rect(scale.at(line.value) - 3, middle - 3, 6.0, 6.0, SERIES[0])
        _beside(marks, line.text, y)
        y += ROW
    _axis(marks, scale, y)
    return Picture(WIDTH, int(y + 18), marks.spec(WIDTH, int(y + 18)))


def steps(curves: Sequence[Steps]) -> Picture | None:
    """Parts of 1 that are left, one step curve each between thin lines for its interval."""
    times = [point[0] for curve in curves for point in curve.points]
    if not times or min(times) == max(times):
        return None
    marks, y, x = Marks(), 12.0, 0.0
    for curve, colour in zip(curves, SERIES, strict=False):
        wide = extent(curve.label, TEXT) + 32
        if x and x + wide - 16 > WIDTH:
            x, y = 0.0, y + 18
        marks.rect(x, y - 9.5, 11.0, 11.0, colour)
        marks.text(x + 16, y, curve.label)
        x += wide
    y += 12
    across = Scale(min(times), max(times), False, 40.0, WIDTH - RIGHT)
    down = Scale(0.0, 1.0, False, y + PANEL, y)
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        marks.line(across.begin, down.at(part), across.end, down.at(part))
        marks.text(34.0, down.at(part) + 4, f"{part:.0%}", MUTED, align="right")
    for curve, colour in zip(curves, SERIES, strict=False):
        for place, width in ((2, 0.6), (3, 0.6), (1, 1.8)):
            marks.path(_stair(across, down, [(point[0], point[place]) for point in curve.points]), colour, width)
    _axis(marks, across, y + PANEL)
    height = int(y + PANEL + 18)
    return Picture(WIDTH, height, marks.spec(WIDTH, height))


def _stair(across: Scale, down: Scale, points: Sequence[tuple[float, float]]) -> str:
    """Each value holds until the next time."""
    begin, level = points[0][0], points[0][1]
    path = [f"M{across.at(begin):.1f},{down.at(level):.1f}"]
    for time, value in points[1:]:
        if value != level:
            x = across.at(time)
            path.append(f"L{x:.1f},{down.at(level):.1f}L{x:.1f},{down.at(value):.1f}")
            level = value
    return "".join([*path, f"L{across.at(points[-1][0]):.1f},{down.at(level):.1f}"])


def _label(marks: Marks, label: str, y: float) -> None:
    said = folded(label, TEXT, LEFT - 8)
    for part, line in enumerate(said):
        marks.text(0.0, y + ROW / 2 + 4 - 6.5 * (len(said) - 1) + 13 * part, line)


def _beside(marks: Marks, text: str, y: float) -> None:
    """Above its line, from the right."""
    marks.text(WIDTH - RIGHT, y + 9, text, MUTED, align="right")


def _axis(marks: Marks, scale: Scale, y: float) -> None:
    marks.line(scale.begin, y + 1, scale.end, y + 1)
    for tick in scale.ticks():
        x = scale.at(tick)
        marks.line(x, y + 1, x, y + 4)
        shown = fixed(tick, 0) if tick == int(tick) else significant(tick, 2)
        marks.text(x, y + 15, shown, MUTED, align="center" if x < WIDTH - 24 else "right")
