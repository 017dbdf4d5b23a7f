"""Intervals that cover noise and sampling at once, and the p-values that go with them.

Sums enter with the exact covariance of their noise (`Table.covariance`); holders are taken to arrive independently where sampling
counts. Everything works on whole arrays: one entry per cell, NaN where a number is not available.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocols.statistics.estimates import Floats

MANY: Final = 10  # in a question of more cells than this, a preference must also stand against the number of cells
FALSE_DISCOVERIES: Final = 0.05
BISECTIONS: Final = 64  # halvings of an interval: beyond the 1e-9 asked for, to the end of a float


def quadratic(weights: Floats, covariance: Floats) -> Floats:
    """g'Vg for each cell, floored at 0. `weights`: ... x k; `covariance`: k x k, or one for each cell."""
    return np.asarray(np.maximum(np.einsum("...i,...ij,...j->...", weights, covariance, weights), 0.0))


def normal(estimate: Floats, variance: Floats, z: float) -> tuple[Floats, Floats]:
    half = z * np.sqrt(variance)
    return estimate - half, estimate + half


def two_sided(distance: Floats, sd: Floats) -> Floats:
    """p-value of a normal distance from 0; 1 where both are 0."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where((distance == 0) & (sd == 0), 0.0, np.abs(distance) / sd)
    return np.asarray(2 * ndtr(-score))


def share(a: Floats, base: Floats, noise: Floats, z: float, sampling: bool) -> tuple[Floats, Floats]:
    """All p in [0, 1] with |a - p B| <= z sqrt(B p(1-p) + g'Vg), g'Vg = V_a - 2 p Cov(a, B) + p^2 V_B.

    `noise`: covariance of (a, B), 2 x 2, or one for each cell. Quadratic in p, closed form; without noise it is Wilson's. Where
    the set is not bounded it is [0, 1]; it always holds a/B clipped to [0, 1].
    """
    drawn = base if sampling else np.zeros_like(base)
    square = base**2 + z**2 * (drawn - noise[..., 1, 1])
    linear = a * base + z**2 * (drawn / 2 - noise[..., 0, 1])
    constant = a**2 - z**2 * noise[..., 0, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(linear**2 - square * constant, 0.0))
        low, high, centre = (linear - root) / square, (linear + root) / square, np.clip(a / base, 0.0, 1.0)
    low, high = np.where(square > 0, low, 0.0), np.where(square > 0, high, 1.0)
    return np.minimum(np.clip(low, 0.0, 1.0), centre), np.maximum(np.clip(high, 0.0, 1.0), centre)


def ratio(a: Floats, b: Floats, noise: Floats, drawn: Floats, z: float) -> tuple[Floats, Floats, Floats]:
    """a / b with all R for which (a - R b)^2 <= z^2 (v_a - 2 R v_ab + R^2 v_b + drawn) (Fieller 1954); NaN where the set is not bounded.

    `noise`: covariance of (a, b), 2 x 2, or one for each cell. `drawn`: variance that the drawing of holders adds to a - R b.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = a / b
        still = noise[..., 0, 0] - 2 * estimate * noise[..., 0, 1] + estimate**2 * noise[..., 1, 1]
        width = z**2 * (np.maximum(still, 0.0) + drawn)
        slope = z**2 * (noise[..., 0, 1] - estimate * noise[..., 1, 1])
        square = b**2 - z**2 * noise[..., 1, 1]
        root = np.sqrt(np.maximum(slope**2 + square * width, 0.0))
        bounded = square > 0
        low, high = (np.where(bounded, estimate + (side * root - slope) / square, np.nan) for side in (-1, 1))
    return np.where(bounded, estimate, np.nan), low, high


@dataclass(frozen=True)
class Index:
    """R = (a/A) / (b/B) by score inversion: the R in [0, B/A] with |a - R (A/B) b| <= z sd(R).

    `target`: A, `group`: b, `total`: B, one entry each per cell. `noise`: covariance of (a, A, b, B), 4 x 4, or one for each cell.
    `sampling`: whether sd(R) covers the drawing of holders; it then enters with the cells to be expected if R is the index.
    """

    a: Floats
    target: Floats
    group: Floats
    total: Floats
    noise: Floats
    sampling: bool

    @cached_property
    def q(self) -> Floats:
        """A/B."""
        return self.target / self.total

    @cached_property
    def estimate(self) -> Floats:
        return self.a / (self.q * self.group)

    @cached_property
    def _of_noise(self) -> tuple[Floats, Floats, Floats]:
        """g'Vg as constant, linear and square term in R: g = (1, -R b/B, -R q, R q b/B)."""
        still = np.zeros_like(self.q)
        fixed = np.stack([still + 1, still, still, still], axis=-1)
        part = self.group / self.total
        moving = np.stack([still, -part, -self.q, self.q * part], axis=-1)
        return (
            np.einsum("...i,...ij,...j->...", fixed, self.noise, fixed),
            2 * np.einsum("...i,...ij,...j->...", fixed, self.noise, moving),
            np.einsum("...i,...ij,...j->...", moving, self.noise, moving),
        )

    def noise_variance(self, index: Floats) -> Floats:
        constant, linear, square = self._of_noise
        return np.maximum(constant + index * (linear + index * square), 0.0)

    def sampling_variance(self, index: Floats) -> Floats:
        """sum of x g^2 over the four kinds of cell: a; b - a; A - a; the rest."""
        both = index * self.q
        rest = both * self.group / self.total
        gradients = (
            1 - both - index * self.group / self.total + rest,
            rest - both,
            rest - index * self.group / self.total,
            rest,
        )
        expected = both * self.group
        cells = (expected, self.group - expected, self.target - self.a, self.total - self.group - self.target + self.a)
        return np.asarray(sum(np.maximum(x, 0.0) * g**2 for x, g in zip(cells, gradients, strict=True)))

    def variance(self, index: Floats) -> Floats:
        return self.noise_variance(index) + (self.sampling_variance(index) if self.sampling else 0.0)

    @cached_property
    def p_value(self) -> Floats:
        """Of R = 1."""
        return two_sided(self.a - self.q * self.group, np.sqrt(self.variance(np.ones_like(self.q))))

    def interval(self, z: float) -> tuple[Floats, Floats]:
        """Both ends by bisection, between the estimate and an end of [0, B/A] that is not kept. Noise may put the estimate beyond B/A."""

        def kept(index: Floats) -> npt.NDArray[np.bool_]:
            return np.asarray((self.a - index * self.q * self.group) ** 2 <= z**2 * self.variance(index))

        centre = np.maximum(self.estimate, 0.0)
        most = np.maximum(self.total / self.target, centre)
        inner, outer = np.stack([centre, centre]), np.stack([np.zeros_like(most), most])
        inner = np.where(kept(outer), outer, inner)
        for _ in range(BISECTIONS):
            middle = (inner + outer) / 2
            stays = kept(middle)
            inner, outer = np.where(stays, middle, inner), np.where(stays, outer, middle)
        return inner[0], inner[1]


def benjamini_hochberg(p: Floats) -> Floats:
    """q-values over all p that are numbers (Benjamini and Hochberg 1995); NaN stays NaN."""
    flat = p.ravel()
    given = np.flatnonzero(~np.isnan(flat))
    q = np.full(flat.shape, np.nan)
    order = given[np.argsort(flat[given], kind="stable")]
    scaled = flat[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q.reshape(p.shape)


def leaning(low: Any, high: Any, q_value: Any, cells: int) -> Any:
    """over or under 100 where the interval lies there, and, in a table of many cells, where too few such claims would be false."""
    unsure = ((low <= 100) & (high >= 100)) | ((cells > MANY) & (q_value > FALSE_DISCOVERIES))
    return np.where(unsure, "none", np.where(low > 100, "over", "under"))


def simplex(table: Floats) -> Floats:
    """The nearest table without negative cells and with the same total, floored at 0: the display column.

    Projection onto a simplex by sorting (Held, Wolfe, Crowder 1974). A table without negative cells is returned as it is.
    """
    total = float(table.sum())
    if total <= 0:
        return np.zeros_like(table)
    if not (table < 0).any():
        return table
    falling = np.sort(table, axis=None)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, falling.size + 1)
    return np.asarray(np.maximum(table - excess[np.flatnonzero(falling > excess)[-1]], 0.0))
