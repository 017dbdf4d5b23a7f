"""The few numeric tools behind the invented populations: a table of least divergence, a root, whole numbers that add up.

A solver that does not reach its targets is a bug and raises `ArithmeticError`: the targets are constants of this package.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]

DIGITS: Final = (
    9  # fractions are rounded before they are compared, so that the last bits of a machine's `exp` decide nothing
)


def least_divergence(prior: Reals, constraints: Reals, totals: Reals) -> Reals:
    """The table p that is closest to `prior` in Kullback-Leibler divergence among those with `constraints @ p == totals`.

    `prior`: positive, (cells,). `constraints`: (conditions, cells). Then p = prior * exp(constraints' lambda) (Csiszar 1975);
    lambda minimises a smooth convex dual and is found by Newton steps with halving.
    """
    weights = np.zeros(len(totals))

    def dual(at: Reals) -> tuple[float, Reals]:
        p = prior * np.exp(np.clip(at @ constraints, -200, 200))
        return float(p.sum() - at @ totals), p

    value, p = dual(weights)
    for _ in range(200):
        miss = constraints @ p - totals
        if np.abs(miss).max() < 1e-12:
            return p
        step = -np.linalg.lstsq((constraints * p) @ constraints.T, miss, rcond=1e-12)[0]
        slope, size = float(miss @ step), 1.0
        while True:
            new_value, new_p = dual(weights + size * step)
            if new_value <= value + 1e-4 * size * slope or abs(slope) < 1e-10 or size < 1e-9:  # near: whole steps
                break
            size /= 2
        weights, value, p = weights + size * step, new_value, new_p
    raise ArithmeticError(f"no table meets the {len(totals)} conditions: off by {np.abs(miss).max():.2e}")


def root(function: Callable[[float], Any], low: float, high: float) -> float:
    """The x in [low, high] at which a monotone function crosses 0: false position with the Illinois rule, every third step a halving."""
    at_low, at_high = float(function(low)), float(function(high))
    if (at_low > 0) == (at_high > 0):
        raise ArithmeticError(f"no sign change between {low} and {high}")
    rising, near = at_high > 0, 1e-12 * max(abs(at_low), abs(at_high))
    for turn in range(1, 301):
        middle = (low + high) / 2 if turn % 3 == 0 else (low * at_high - high * at_low) / (at_high - at_low)
        if not low < middle < high or high - low < 1e-14 * max(abs(low), abs(high)):
            break
        value = float(function(middle))
        if abs(value) <= near:
            return middle
        if (value > 0) == rising:
            high, at_high, at_low = middle, value, at_low / 2
        else:
            low, at_low, at_high = middle, value, at_high / 2
    return (low + high) / 2


def apportion(weights: npt.ArrayLike, total: int) -> Wholes:
    """Whole numbers in proportion to `weights` that add up to `total`: the largest remainders get the units left over."""
    share = np.asarray(weights, dtype=np.float64)
    exact = np.round(share / share.sum() * total, DIGITS).ravel()
    whole = np.floor(exact).astype(np.int64)
    left = total - int(whole.sum())
    first = np.argsort(-np.round(exact - whole, DIGITS), kind="stable")[:left]
    whole[first] += 1
    return np.asarray(whole.reshape(share.shape))


def spread(weights: Reals | Wholes, total: int) -> Wholes:
    """Whole numbers in proportion to `weights` that add up to `total`; any run of neighbours is right to within one."""
    flat = np.asarray(weights, dtype=np.float64).ravel()
    if total == 0:
        return np.zeros(weights.shape, dtype=np.int64)
    edges = np.floor(np.round(np.cumsum(flat) / flat.sum() * total, 6) + 0.5).astype(np.int64)
    edges[-1] = total
    return np.asarray(np.diff(edges, prepend=0).reshape(weights.shape))


def expit(x: npt.ArrayLike) -> Reals:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, dtype=np.float64))))


def inclusion(weights: Reals, count: int) -> Reals:
    """Probabilities in proportion to `weights`, at most 1, that add up to `count`. Pre-condition: count <= positive weights."""
    if count == 0:
        return np.zeros(len(weights))
    if count > np.count_nonzero(weights):
        raise ArithmeticError(f"{count} of {np.count_nonzero(weights)} cannot be chosen")
    scaled = weights * (count / weights.sum())
    while (scaled > 1).any():
        sure = scaled >= 1
        rest = weights * ~sure
        if not rest.any():
            return np.asarray(sure, dtype=np.float64)
        scaled = np.where(sure, 1.0, rest * ((count - sure.sum()) / rest.sum()))
    return np.asarray(scaled)
