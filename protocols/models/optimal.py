"""The best division of pre-bins into bins, by dynamic programming: exact, without a solver (docs/adr/0066).

Maximises the information value sum (q_b - p_b) ln (q_b / p_b), p and q the shares of events and of the others in a bin, over all divisions
into neighbouring pre-bins in which every bin has enough rows, events and others, and the event rate follows a trend. Values and rates count
in whole millionths, cut off: what differs by less is no reason for another bin, and every machine finds the same.

Value and trend join neighbouring bins alone, so that the best division with a given last bin is the best before it that the trend allows:
m pre-bins take m^3 comparisons.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from protocols.models.fixedpoint import Reals

Trend = Literal["auto", "ascending", "descending", "peak", "valley", "none"]
Whole = npt.NDArray[np.int64]
MILLION: Final = 1_000_000
NEVER: Final = -(1 << 62)
PHASES: Final = {
    "ascending": (0,),
    "descending": (1,),
    "peak": (0, 1),
    "valley": (1, 0),
    "none": (2,),
}  # 0 rises, 1 falls, 2 is free


@dataclass(frozen=True)
class Least:
    """What every bin has, of all cities together."""

    rows: float
    events: float
    others: float


@dataclass(frozen=True)
class Division:
    """starts: the first pre-bin of each bin, 0 first. value: its information value among known values, in millionths."""

    starts: tuple[int, ...]
    value: int


def division(events: Reals, others: Reals, least: Least, trend: Trend = "auto") -> Division | None:
    """The best; where two are equal, that with the longer last bins, and of `auto` the ascending one. None where not even one bin has
    enough."""
    if trend == "auto":
        rising, falling = (division(events, others, least, each) for each in ("ascending", "descending"))
        return falling if falling is not None and (rising is None or falling.value > rising.value) else rising
    value, rate = _bins(events, others, least)
    phases, size = PHASES[trend], len(events)
    total = np.full((len(phases), size + 1, size + 1), NEVER, np.int64)  # by phase, start and end of the last bin
    came = np.zeros((*total.shape, 2), np.intp)
    for i in range(size):
        for j in np.flatnonzero(value[i] > NEVER):
            for place, phase in enumerate(phases):
                best, where = _before(total[: place + 1, :i, i], rate[:i, i], rate[i, j], phase)
                total[place, i, j] = NEVER if best == NEVER else value[i, j] + best
                came[place, i, j] = where
    ends = total[:, :, size]
    found = int(ends.max())
    if found == NEVER:
        return None
    place, start = divmod(int(ends.argmax()), size + 1)
    starts, end = [start], size
    while start:
        before = came[place, start, end]
        place, start, end = int(before[0]), int(before[1]), start
        starts.append(start)
    return Division(tuple(reversed(starts)), found)


def _bins(events: Reals, others: Reals, least: Least) -> tuple[Whole, Whole]:
    """Value and event rate of each bin [i, j), in millionths; `NEVER` where it has not enough."""
    e, o = (np.concatenate([[0], np.cumsum(each.astype(np.int64))]) for each in (events, others))
    with_events, with_others = (np.maximum(each[None, :] - each[:, None], 0) for each in (e, o))
    rows = with_events + with_others
    enough = (rows >= least.rows) & (with_events >= max(least.events, 1)) & (with_others >= max(least.others, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = with_events / e[-1], with_others / o[-1]
        value = np.where(enough, (q - p) * np.log(q / p), 0.0)
    return np.where(enough, (value * MILLION).astype(np.int64), NEVER), with_events * MILLION // np.maximum(rows, 1)


def _before(total: Whole, rates: Whole, rate: np.int64, phase: int) -> tuple[int, tuple[int, int]]:
    """The best that may stand before a bin, and its last bin. total, rates: by phase and start of the bin before."""
    if not total.shape[1]:
        return 0, (0, 0)
    allowed = {0: rates <= rate, 1: rates >= rate, 2: np.ones(len(rates), bool)}[phase]
    opened = np.where(allowed, total, NEVER)
    return int(opened.max()), divmod(int(opened.argmax()), opened.shape[1])
