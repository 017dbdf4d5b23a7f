"""What a histogram of scores by class says, and how far that can be from what the scores themselves would say.

`events`, `others`: counts of both classes in bins of rising score; P and N rows in all. Inside a bin nothing is known of the order, so
every statement that depends on it comes with a bound that holds for any order.

Sources: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837-845, with ties counted half; D. W. Hosmer and
S. Lemeshow, Applied Logistic Regression, 2nd edition, section 5.2; R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import chdtrc

from protocols.models.fixedpoint import Reals

STILL: Final = 3.0  # times its noise floor; an index below that is never called drift
MODERATE: Final = 0.1
LARGE: Final = 0.25


@dataclass(frozen=True)
class Ranked:
    """auc: true one within `auc_bound` of it. ks: true one in [ks, ks_high]. variance: of the auc, DeLong."""

    auc: float
    auc_bound: float
    variance: float
    ks: float
    ks_high: float

    @property
    def gini(self) -> float:
        return 2 * self.auc - 1


def ranked(events: Reals, others: Reals) -> Ranked | None:
    """None where a class is empty.

    A pair in one bin counts half and may count 0 or 1: |error| <= sum P_b N_b / (2 P N). Between the edges of a bin the distance of the
    two distributions stays within the shares of the bin on top of that at its lower edge.
    """
    positive, negative = float(events.sum()), float(others.sum())
    if not positive or not negative:
        return None
    p, n = events / positive, others / negative
    below_n, below_p = np.cumsum(n) - n, np.cumsum(p) - p
    placed = below_n + n / 2  # of an event in this bin, the share of the others below it
    auc = float(p @ placed)
    of_others = 1 - below_p - p / 2
    spread = float(p @ (placed - auc) ** 2), float(n @ (of_others - auc) ** 2)
    variance = sum(
        each / (count - 1) if count > 1 else each for each, count in zip(spread, (positive, negative), strict=True)
    )
    apart = below_n - below_p  # others lie lower
    edges = np.abs(np.append(apart, 0.0))
    inside = max(float((apart + n).max()), float((p - apart).max()))
    ks = float(edges.max())
    return Ranked(auc, float(p @ n) / 2, variance, ks, min(max(ks, inside), 1.0))


@dataclass(frozen=True)
class Fitted:
    """Sums over bands of the probability that was predicted. statistic, p_value: Hosmer and Lemeshow."""

    brier: float
    expected: float
    observed: float
    statistic: float
    degrees: int
    p_value: float


def calibrated(squares: Reals, predicted: Reals, events: Reals, rows: Reals, in_sample: bool) -> Fitted | None:
    """Of each band: sum of (p - y)^2, sum of p, events, rows. Bands without rows are left out; None where there are no rows.

    Degrees of freedom: bands, less two on the rows that the model was fitted on.
    """
    total = float(rows.sum())
    if not total:
        return None
    held = rows > 0
    predicted_held, events_held, rows_held = predicted[held], events[held], rows[held]
    share = predicted_held / rows_held
    spread = rows_held * share * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(events_held == predicted_held, 0.0, (events_held - predicted_held) ** 2 / spread)
    statistic, degrees = float(parts.sum()), int(held.sum()) - (2 if in_sample else 0)
    p_value = float(chdtrc(degrees, statistic)) if degrees > 0 else float("nan")
    return Fitted(
        float(squares.sum()) / total,
        float(predicted.sum()) / total,
        float(events.sum()) / total,
        statistic,
        degrees,
        p_value,
    )


@dataclass(frozen=True)
class Shift:
    """A population stability index. floor: what two draws of these sizes from one population give on average. verdict: `stable`,
    `moderate` or `drift`; never the latter two below three times the floor. adjusted: a band was empty and 0.5 was added to all."""

    index: float
    floor: float
    verdict: str
    adjusted: bool


def shifted(before: Reals, now: Reals) -> Shift | None:
    """Two histograms over the same bands; None where one is empty. Bands that both lack are none."""
    if not before.sum() or not now.sum():
        return None
    held = (before > 0) | (now > 0)
    first, second = before[held], now[held]
    floor = (len(first) - 1) * (1 / float(first.sum()) + 1 / float(second.sum()))
    adjusted = bool((first == 0).any() or (second == 0).any())
    if adjusted:
        first, second = first + 0.5, second + 0.5
    a, b = first / first.sum(), second / second.sum()
    index = float((b - a) @ np.log(b / a))
    noisy = index < STILL * floor or index < MODERATE
    return Shift(index, floor, "stable" if noisy else "moderate" if index < LARGE else "drift", adjusted)


def difference(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    """one - other, two shares with their intervals; Newcombe's interval."""
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    low = np.sqrt((a - a_low) ** 2 + (b_high - b) ** 2)
    high = np.sqrt((a_high - a) ** 2 + (b - b_low) ** 2)
    return a - b, float(a - b - low), float(a - b + high)
