"""Quality marks: the one rule of the product. Nothing else marks a number.

u  low reliability      x  not available, `estimate` null      z  not applicable
x excludes u. Marks of breaks (b) and of confidentiality (C) are put by the rooms that know of them.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.statistics.estimates import Floats

Bools: TypeAlias = npt.NDArray[np.bool_]

CLEAR_OF_NOISE: Final = 5  # a count of fewer standard deviations of its noise may be noise
DIVISIBLE: Final = 3  # a denominator of fewer may be none
WIDE: Final = 0.30  # half-width, as a part of the estimate
WIDE_SHARE: Final = 0.05  # and for shares: in itself
MOST_CLIPPED: Final = 0.001  # of the known values
CLEAR_CLIPPING: Final = 2  # standard deviations of its noise by which a count of clipped values is clearly above that
# When a city is standardised, strata in which too few of its holders stand are left out: of their weight, the part that moves nobody, and
# the part beyond which there is no number.
SOME_LEFT_OUT: Final = 0.001
MOST_LEFT_OUT: Final = 0.05
INDEX_SPREAD: Final = 2  # ends of an index's interval, high over low


def doubtful_count(count: Floats, sd: float | Floats, min_cell: float, half_width: Floats) -> Bools:
    return _small(count, sd, min_cell) | (half_width > WIDE * np.abs(count))


def doubtful_share(count: Floats, sd: float | Floats, min_cell: float, half_width: Floats, estimate: Floats) -> Bools:
    """`count`: the numerator, with the standard deviation of its noise."""
    wide = (half_width > WIDE * np.abs(estimate)) & (half_width > WIDE_SHARE)
    return _small(count, sd, min_cell) | wide


def doubtful_index(count: Floats, sd: float | Floats, low: Floats, high: Floats) -> Bools:
    """`count`: holders of both codes."""
    return np.asarray((count < CLEAR_OF_NOISE * sd) | (high > INDEX_SPREAD * low))


def doubtful_mean(count: Floats, sd: float | Floats, min_cell: float, half_width: Floats, estimate: Floats) -> Bools:
    """Also of totals and standard deviations. `count`: holders whose value is known, with the standard deviation of its noise."""
    return _small(count, sd, min_cell) | (half_width > WIDE * np.abs(estimate))


def clipped(moved: Floats, sd: float | Floats, known: Floats) -> Bools:
    """Clipping moved more than one value in a thousand, by more than noise explains. `sd`: of the noise in moved less its limit."""
    return np.asarray(moved - MOST_CLIPPED * known > CLEAR_CLIPPING * sd)


def undivided(denominator: Floats, sd: float | Floats) -> Bools:
    """Not available: the denominator may be nothing."""
    return np.asarray((denominator < DIVISIBLE * sd) | (denominator <= 0))


def letters(unavailable: Bools, doubtful: Bools) -> npt.NDArray[Any]:
    return np.where(unavailable, "x", np.where(doubtful, "u", ""))


def _small(count: Floats, sd: float | Floats, min_cell: float) -> Bools:
    return np.asarray((count < CLEAR_OF_NOISE * sd) | (count < min_cell))
