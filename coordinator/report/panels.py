"""Pictures of models: a forest on an axis of ratios, square panels (ROC, calibration), bars from 0. Places are computed as in `charts.py`.

A square panel has the same axis up and across, so that its diagonal is one: of a model that tells nothing (ROC), or of probabilities
that come true (calibration).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.report.charts import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    SERIES,
    TEXT,
    WIDTH,
    Marks,
    Picture,
    cut,
    extent,
    folded,
)
from coordinator.report.curves import Scale
from coordinator.report.numbers import fixed, significant

HEAD: Final = 22.0  # of a forest
WIDEST: Final = 1000.0  # ratios beyond it, or below its inverse, stand on the edge of the axis
SIDE: Final = 286.0  # of a square panel
FOOT: Final = 46.0  # below it, for ticks and the name of the axis
DASH, GAP = 4.0, 4.0
MOST_TICKS: Final = 5
BAR: Final = 30.0


@dataclass(frozen=True)
class Head:
    """A line of a forest that names what the lines below it are of. `strong`: of several such heads."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Term:
    """One term with its interval in the units of the axis; `None` where it is withheld or not available. `text`: the same in words."""

    label: str
    value: float | None
    low: float
    high: float
    text: str
    faint: bool = False
    inside: bool = False  # of the head above it


@dataclass(frozen=True)
class Axis:
    """`level`: where nothing differs; `log`: even in ratios. below, above: what it means to lie on either side."""

    title: str
    level: float
    log: bool
    below: str
    above: str


@dataclass(frozen=True)
class Band:
    """One band of scores: the mean that was predicted, and the share that came true with its interval."""

    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    text: str


def forest(lines: Sequence[Head | Term], axis: Axis) -> Picture | None:
    """Terms and their intervals on one axis, in the order given: a name with its number at the right, and the interval below, so that the
    whole width of a telephone is one axis. None where there is nothing to draw."""
    drawn = [line for line in lines if isinstance(line, Term) and line.value is not None]
    if not drawn:
        return None
    scale = _reach(drawn, axis, 4.0, WIDTH - 4.0)
    marks, y = Marks(), 2.0
    for line in lines:
        y = _headed(marks, line, y) if isinstance(line, Head) else _term(marks, line, scale, axis.level, y)
    _across(marks, scale, y + 2, log=axis.log)
    marks.text(0.0, y + 34, f"← {axis.below}", MUTED)
    marks.text(WIDTH, y + 34, f"{axis.above} →", MUTED, align="right")
    title = folded(axis.title, TEXT, float(WIDTH))
    for number, text in enumerate(title):
        marks.text(0.0, y + 51 + 14 * number, text, MUTED)
    height = int(y + 44 + 14 * len(title))
    return Picture(WIDTH, height, marks.spec(WIDTH, height))


def _headed(marks: Marks, line: Head, y: float) -> float:
    """Returns where the next line begins."""
    style = {"fontWeight": 600} if line.strong else {}
    marks.text(0.0, y + 15, cut(line.text, TEXT, float(WIDTH)), ACCENT if line.strong else MUTED, **style)
    return y + HEAD


def _term(marks: Marks, line: Term, scale: Scale, level: float, y: float) -> float:
    """Returns where the next line begins."""
    left = 12.0 if line.inside else 0.0
    said = folded(line.label, TEXT, WIDTH - left - extent(line.text, TEXT) - 12)
    for part, text in enumerate(said):
        marks.text(left, y + 13 + 13 * part, text)
    marks.text(WIDTH, y + 13, line.text, MUTED if line.faint or line.value is None else INK, align="right")
    y += 13.0 * len(said)
    middle = y + 11
    marks.line(scale.at(level), middle - 6, scale.at(level), middle + 6, MUTED)
    if line.value is not None:
        ink = SERIES[5] if line.faint else ACCENT
        marks.line(scale.at(line.low), middle, scale.at(line.high), middle, ink, 2.0)
        marks.rect(scale.at(line.value) - 3.5, middle - 3.5, 7.0, 7.0, ink)
    return y + 21


def _reach(drawn: Sequence[Term], axis: Axis, begin: float, end: float) -> Scale:
    """An axis that holds every interval, and some room about the level."""
    ends = [end for line in drawn for end in (line.low, line.high, line.value or 0.0)]
    if axis.log:
        inside = [min(max(each, 1 / WIDEST), WIDEST) for each in ends]
        least, most = min(*inside, axis.level / 1.2), max(*inside, axis.level * 1.2)
        return Scale(least / 1.04, most * 1.04, True, begin, end)
    least, most = min(*ends, axis.level), max(*ends, axis.level)
    room = 0.04 * (most - least) or 1.0
    return Scale(least - room, most + room, False, begin, end)


def _across(marks: Marks, scale: Scale, y: float, log: bool) -> None:
    """The axis with its ticks: those of a log axis that have room."""
    marks.line(scale.begin, y + 1, scale.end, y + 1)
    last = -1e9
    for tick in scale.ticks():
        x, shown = scale.at(tick), _tick(tick)
        half = extent(shown, TEXT) / 2
        if x - last < 2 * half + 14 and log:
            continue
        last = x
        marks.line(x, y + 1, x, y + 4)
        marks.text(min(max(x, half), WIDTH - half), y + 15, shown, MUTED, align="center")


def _tick(value: float) -> str:
    return fixed(value, 0) if value == int(value) else significant(value, 2)


def _dashes(marks: Marks, x: float, y: float, x2: float, y2: float, ink: str = MUTED) -> None:
    """A broken line: pieces of four pixels, whole ones alone."""
    length = ((x2 - x) ** 2 + (y2 - y) ** 2) ** 0.5
    if length <= 0:
        return
    across, down = (x2 - x) / length, (y2 - y) / length
    for number in range(int((length + GAP) / (DASH + GAP))):
        start = number * (DASH + GAP)
        end = min(start + DASH, length)
        marks.line(x + across * start, y + down * start, x + across * end, y + down * end, ink)


# --- square panels


@dataclass(frozen=True)
class Square:
    """From values between 0 and `most`, on both axes, to pixels."""

    most: float
    left: float
    top: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = (SIDE * min(max(each / self.most, 0.0), 1.0) for each in (x, y))
        return self.left + across, self.top + SIDE - up


def roc(
    curve: Sequence[tuple[float, float]], apart: tuple[float, float] | None, said: str, names: tuple[str, str]
) -> Picture | None:
    """Shares of the others and of the events at or above each score, joined by straight lines as released; `apart`: where both are
    farthest apart, which `said` says in words."""
    if len(curve) < 2:
        return None
    marks, square = Marks(), _square(1.0)
    _frame(marks, square, names)
    marks.path(_joined([square.at(x, y) for x, y in curve]), ACCENT, 2.0)
    if apart is not None:
        x, low = square.at(apart[0], apart[0])
        _, high = square.at(*apart)
        marks.line(x, low, x, high, INK, 1.2)
        right = x + 6 + extent(said, TEXT) < square.left + SIDE
        marks.text(x + 6 if right else x - 6, low + (12 if right else 4), said, INK, align="left" if right else "right")
    return _whole(marks, square)


def calibration(bands: Sequence[Band], names: tuple[str, str]) -> Picture | None:
    """A dot for each band of scores, with the interval of what came true. The axes reach to what is drawn."""
    most = max((max(band.predicted, band.high) for band in bands), default=0.0)
    if most <= 0:
        return None
    marks, square = Marks(), _square(_above(most))
    _frame(marks, square, names)
    for band in bands:
        x, y = square.at(band.predicted, band.observed)
        _, low = square.at(0.0, band.low)
        _, high = square.at(0.0, band.high)
        marks.line(x, low, x, high, ACCENT, 1.6)
        marks.rect(x - 3.5, y - 3.5, 7.0, 7.0, ACCENT)
    return _whole(marks, square)


def _above(value: float) -> float:
    """The end of an axis: 1, 2, 4, 5 or 10 of the next power of ten, 1 at most."""
    step = 10.0**-6
    while step < 1:
        for times in (1, 2, 4, 5):
            if value <= times * step * (1 + 1e-9):
                return times * step
        step *= 10
    return 1.0


def _square(most: float) -> Square:
    return Square(most, 48.0, 26.0)


def _frame(marks: Marks, square: Square, names: tuple[str, str]) -> None:
    """Ticks in per cent, the diagonal, and the names of both axes: that of the upright one above it."""
    across, up = names
    marks.text(0.0, 12.0, cut(up, TEXT, float(WIDTH)), MUTED)
    for number in range(MOST_TICKS):
        part = square.most * number / (MOST_TICKS - 1)
        shown = _percent(part, square.most)
        x, y = square.at(part, part)
        marks.line(square.left, y, square.left + SIDE, y, LINE, 0.6)
        marks.text(square.left - 6, y + 4, shown, MUTED, align="right")
        marks.line(x, square.top + SIDE, x, square.top + SIDE + 4)
        marks.text(x, square.top + SIDE + 17, shown, MUTED, align="center" if number < MOST_TICKS - 1 else "right")
    begin, end = square.at(0.0, 0.0), square.at(square.most, square.most)
    _dashes(marks, *begin, *end)
    marks.text(square.left, square.top + SIDE + 35, cut(across, TEXT, WIDTH - square.left), MUTED)


def _percent(value: float, most: float) -> str:
    """With as many decimals as the ticks of the axis need."""
    step = 100 * most / (MOST_TICKS - 1)
    places = next((each for each in (0, 1, 2, 3) if abs(step * 10**each - round(step * 10**each)) < 1e-6), 4)
    return f"{fixed(100 * value, places)}%"


def _whole(marks: Marks, square: Square) -> Picture:
    height = int(square.top + SIDE + FOOT)
    return Picture(WIDTH, height, marks.spec(WIDTH, height))


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)


# --- bars


def bars(lines: Sequence[Bar]) -> Picture | None:
    """A bar from 0 for each, in the order given, its number at the right."""
    most = max((line.value for line in lines), default=0.0)
    if most <= 0:
        return None
    left, marks = 110.0, Marks()
    texts = max(extent(line.text, TEXT) for line in lines) + 8
    for number, line in enumerate(lines):
        middle = 4.0 + BAR * (number + 0.5)
        said = folded(line.label, TEXT, left - 8)
        for part, text in enumerate(said):
            marks.text(0.0, middle + 4 - 6.5 * (len(said) - 1) + 13 * part, text)
        marks.rect(left, middle - 7, max((WIDTH - left - texts) * max(line.value, 0.0) / most, 0.5), 14.0, ACCENT)
        marks.text(WIDTH, middle + 4, line.text, align="right")
    height = int(8 + BAR * len(lines))
    return Picture(WIDTH, height, marks.spec(WIDTH, height))
