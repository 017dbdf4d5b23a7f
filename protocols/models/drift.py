"""Whether a model still fits the rows of one city, month by month: shifts of scores and of what it reads, values that went missing, and
observed over expected events. A traffic light for each month. Pure; counted and kept at home by `node/monitor.py`.

Shifts are population stability indices against a reference. Calibration is a CUSUM of log likelihood ratios: of odds a fifth higher than
predicted, and of odds a sixth lower, against those predicted. Under a model that is calibrated each ratio has mean 1 whatever was
before, so that by Ville's inequality it passes e^h with probability e^-h at most; with h as below, all starts within a year and both
directions raise a false alarm in half of 5 % of years at most. The other half is shared by all shifts and missing rates, by their
p-values. Both hold where outcomes of a month are new ones, as those of a hazard are; a status that lasts tells the same news again.

Sources: J. Ville, Étude critique de la notion de collectif (1939); S. H. Steiner and others, Monitoring surgical performance using
risk-adjusted cumulative sum charts, Biostatistics 1 (2000).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, log, sqrt
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
from pydantic import Field
from scipy.special import chdtrc, log1p, ndtr

from protocols.models.binning import Bins
from protocols.models.discrimination import shifted
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Wholes
from protocols.yamltext import Real, Record, Whole

YEAR: Final = 12
FALSE: Final = 0.05  # of years with an alarm, at most, while nothing has changed
WORSE: Final = 1.2  # the ratio of odds that is looked for, upwards and downwards
THRESHOLD: Final = log(2 * YEAR / (FALSE / 2))  # h
APART: Final = (0.8, 1.25)  # observed over expected outside these is red
MISSING: Final = (0.05, 0.2)  # a share of missing values that rose by so much is amber, red
FOUND: Final = 1.2816  # standard deviations: nine times in ten
Light: TypeAlias = Literal["green", "amber", "red"]
ORDER: Final[tuple[Light, ...]] = ("green", "amber", "red")
MonthName = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class Frame(Record):
    """What months are counted in. cuts: of the probability, rising; bins: of what the model reads. scores: of the training rows by band,
    where the model file has them."""

    cuts: tuple[Real, ...]
    bins: tuple[Bins, ...]
    scores: Wholes = ()


class Month(Record):
    """Counts of one city at one date. bands: scored rows by band; inputs: by bin of each variable, the missing last. known: scored rows
    whose outcome is known; observed: events among them; expected, variance: sums of p, of p (1 - p); up, down: log likelihood ratios."""

    month: MonthName
    as_of: date
    snapshot: str
    rows: Whole
    outside: Whole
    scored: Whole
    bands: Wholes
    inputs: dict[str, Wholes]
    known: Whole
    observed: Whole
    expected: Real
    variance: Real
    up: Real
    down: Real


@dataclass(frozen=True)
class Cause:
    """One thing that changed. what: scores, input, missing or calibration; value: the index, the rise, observed over expected."""

    what: Literal["scores", "input", "missing", "calibration"]
    name: str
    value: float
    light: Light


@dataclass(frozen=True)
class Judged:
    """A month and its light. up, down: the CUSUM after it; ratio: observed over expected; needed: months until a fifth more would be found,
    nine times in ten, at the size of this month; none where that takes more than a year, or no outcome is known."""

    month: str
    rows: int
    scored: int
    light: Light
    causes: tuple[Cause, ...]
    index: float | None
    indices: dict[str, float]
    missing: dict[str, float]
    ratio: float | None
    up: float
    down: float
    needed: int | None


def ratios(p: Reals, y: Reals) -> tuple[float, float]:
    """Sums of the log likelihood ratios of odds WORSE times those predicted, and of odds 1 / WORSE times."""
    events = float(y.sum())
    up, down = (events * log(r) - float(log1p(p * (r - 1)).sum()) for r in (WORSE, 1 / WORSE))
    return up, down


def judged(frame: Frame, months: Sequence[Month]) -> tuple[Judged, ...]:
    """By ascending month. The first is the reference of all that the model file has none of."""
    found: list[Judged] = []
    up = down = 0.0
    since: dict[str, int] = {"up": 0, "down": 0}
    for number, each in enumerate(months):
        up, down = max(0.0, up + each.up), max(0.0, down + each.down)
        for name, sum_ in (("up", up), ("down", down)):
            since[name] = since[name] if sum_ > 0 else number + 1
        causes = list(_changed(frame, months[0], each))
        causes += _miscalibrated(months, number, {"up": up, "down": down}, since)
        light: Light = max((cause.light for cause in causes), key=ORDER.index, default=ORDER[0])
        index = shifted(_of(frame.scores or months[0].bands), _of(each.bands))
        indices = {name: _index(months[0].inputs[name], counts) for name, counts in each.inputs.items()}
        found.append(
            Judged(
                month=each.month,
                rows=each.rows,
                scored=each.scored,
                light=light,
                causes=tuple(causes),
                index=index.index if index else None,
                indices={name: value for name, value in indices.items() if value is not None},
                missing={name: _missing(counts) for name, counts in each.inputs.items()},
                ratio=each.observed / each.expected if each.expected > 0 else None,
                up=up,
                down=down,
                needed=needed(each.variance),
            )
        )
    return tuple(found)


def needed(variance: float) -> int | None:
    """Months of this size after which odds WORSE times as high are found, nine times in ten: the least t with t d^2 / 2 - 1.28 d sqrt(t)
    above the threshold, d^2 = variance ln(WORSE)^2."""
    d = log(WORSE) * sqrt(variance)
    if d <= 0:
        return None
    root = (FOUND + sqrt(FOUND * FOUND + 2 * THRESHOLD)) / d
    months = ceil(root * root)
    return months if months <= YEAR else None


def _changed(frame: Frame, first: Month, now: Month) -> Iterator[Cause]:
    """Shifts and missing rates that are large, and no chance: each has an equal part of its half of the false alarms."""
    tests = 1 + 2 * len(frame.bins)
    part = FALSE / 2 / YEAR / tests
    yield from _shift("scores", "", _of(frame.scores or first.bands), _of(now.bands), part)
    for name, counts in now.inputs.items():
        yield from _shift("input", name, _of(first.inputs[name][:-1]), _of(counts[:-1]), part)
        before, after = _missing(first.inputs[name]), _missing(counts)
        sizes = sum(first.inputs[name]), sum(counts)
        pooled = (before * sizes[0] + after * sizes[1]) / max(sum(sizes), 1)
        error = sqrt(pooled * (1 - pooled) * sum(1 / max(size, 1) for size in sizes))
        rise = after - before
        if rise >= MISSING[0] and float(ndtr(-rise / error)) <= part:
            yield Cause("missing", name, rise, "red" if rise >= MISSING[1] else "amber")


def _shift(what: Literal["scores", "input"], name: str, before: Reals, now: Reals, part: float) -> Iterator[Cause]:
    found = shifted(before, now)
    if found is None or found.verdict == "stable":
        return
    degrees = int(((before > 0) | (now > 0)).sum()) - 1
    if float(chdtrc(degrees, degrees * found.index / found.floor)) <= part:
        yield Cause(what, name, found.index, "red" if found.verdict == "drift" else "amber")


def _miscalibrated(
    months: Sequence[Month], number: int, sums: dict[str, float], since: dict[str, int]
) -> Iterator[Cause]:
    """Where a sum is above the threshold: observed over expected since it last was 0."""
    for name, value in sums.items():
        if value > THRESHOLD:
            behind = months[since[name] : number + 1]
            ratio = sum(each.observed for each in behind) / sum(each.expected for each in behind)
            inside = APART[0] <= ratio <= APART[1]
            yield Cause("calibration", name, ratio, "amber" if inside else "red")


def _of(counts: Sequence[int]) -> Reals:
    return np.array(counts, np.float64)


def _index(before: Sequence[int], now: Sequence[int]) -> float | None:
    found = shifted(_of(before[:-1]), _of(now[:-1]))
    return found.index if found else None


def _missing(counts: Sequence[int]) -> float:
    return counts[-1] / max(sum(counts), 1)
