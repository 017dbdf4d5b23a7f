"""Two models on the same rows: how far their areas under the curve are apart, and how sure that is.

The variance of a difference needs, beside what the histogram of each model says, how the two *placements* of a row go together: of an
event, the share of the others whose score is lower, ties half; of one of the others, the share of the events whose score is higher. Once
the pooled histograms are known, every city can look up both placements of each of its rows, and the sum of their product over each class
is all that is missing (docs/adr/0085).

Source: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837-845.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtr

from protocols.models.binning import Places
from protocols.models.discrimination import Ranked
from protocols.models.fixedpoint import Reals


def placements(histogram: Reals) -> Reals:
    """Of a row of each class (no, yes) in each bin. histogram: classes x bins. Pre-condition: no class is empty."""
    n, p = histogram[0] / histogram[0].sum(), histogram[1] / histogram[1].sum()
    return np.stack([1 - (np.cumsum(p) - p) - p / 2, np.cumsum(n) - n / 2])


def products(one: Reals, other: Reals, y: Places, here: tuple[Places, Places]) -> Reals:
    """Sum over the rows of each class of the product of both placements. one, other: pooled histograms; here: the bin of each row in each.
    Zeros where a class is empty, which leaves nothing to compare."""
    if not one.sum(axis=1).all() or not other.sum(axis=1).all():
        return np.zeros(2)
    first, second = placements(one)[y, here[0]], placements(other)[y, here[1]]
    return np.asarray(np.bincount(y, weights=first * second, minlength=2), np.float64)


@dataclass(frozen=True)
class Apart:
    """difference: of the first area less the second; variance: of it. p_value: of no difference, two-sided; none where it has no
    variance."""

    difference: float
    variance: float

    @property
    def p_value(self) -> float | None:
        return float(2 * ndtr(-abs(self.difference) / sqrt(self.variance))) if self.variance > 0 else None


def apart(one: Ranked, other: Ranked, products_: Reals, classes: Reals) -> Apart:
    """products_: of each class (no, yes), as `products`; classes: rows of each. Of a class of one row there is no covariance."""
    together = 0.0
    for total, rows in zip(products_, classes, strict=True):
        inside = float(total / rows) - one.auc * other.auc
        together += inside / float(rows - 1) if rows > 1 else inside
    variance = one.variance + other.variance - 2 * together
    least = 1e-12 * (one.variance + other.variance)  # what rounding makes of none
    return Apart(one.auc - other.auc, variance if variance > least else 0.0)
