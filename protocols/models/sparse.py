"""Lasso and elastic net over sums: which columns stay, and at what strength.

Minimises  minus log-likelihood + strength (mix |b| + (1 - mix) / 2 b'b)  over standardised coefficients, without the constants. Proximal
Newton: at a point with score g and information H, the next point is the minimum of the quadratic model with its penalty, found by
coordinate descent at the coordinator, where no row is needed. What is left undone is the residual of the conditions of Karush, Kuhn and
Tucker, per row: 0 in exact arithmetic.

A path starts at the strength at which the first column enters and falls evenly on a log scale; each strength starts from the last. The
strength with the least extended BIC is answered.

Source: J. Friedman, T. Hastie and R. Tibshirani, J. Stat. Softw. 33 (2010); J. Lee, Y. Sun and M. Saunders, SIAM J. Optim. 24 (2014); EBIC
of J. Chen and Z. Chen, Biometrika 95 (2008), with gamma 1/2.
"""

from math import log
from typing import Final

import numpy as np

from protocols.models.fixedpoint import Reals

SWEEPS: Final = 100_000
EXACT: Final = 1e-15
LEAST_SHARE: Final = 0.02  # of the strength at which the first column enters, where a path ends
GAMMA: Final = 0.5


def penalised(point: Reals, free: int, strength: float, mix: float) -> float:
    slopes = point[free:]
    return strength * float(mix * np.abs(slopes).sum() + (1 - mix) / 2 * (slopes @ slopes))


def minimum(point: Reals, score: Reals, hessian: Reals, free: int, strength: float, mix: float) -> Reals:
    """Of the quadratic model at a point, with the penalty: coordinate descent, the free constants solved for together with each sweep."""
    here = point.copy()
    slope = -score.copy()  # of the smooth part at `here`
    absolute, square = strength * mix, strength * (1 - mix)
    for _ in range(SWEEPS):
        largest = 0.0
        for j in range(len(here)):
            curvature = hessian[j, j]
            if j < free:
                moved = here[j] - slope[j] / curvature
            else:
                pulled = curvature * here[j] - slope[j]
                moved = np.sign(pulled) * max(abs(pulled) - absolute, 0.0) / (curvature + square)
            change = moved - here[j]
            if change != 0.0:
                slope = slope + hessian[:, j] * change
                here[j] = moved
                largest = max(largest, abs(change))
        if largest <= EXACT * (1 + float(np.abs(here).max())):
            break
    return _polished(here, point, score, hessian, free, strength, mix)


def _polished(here: Reals, point: Reals, score: Reals, hessian: Reals, free: int, strength: float, mix: float) -> Reals:
    """On the columns that stay the model is a quadratic, solved at once."""
    stays = np.arange(len(here)) < free
    stays |= here != 0
    signs = np.where(np.arange(len(here)) < free, 0.0, np.sign(here))
    ridge = np.where(np.arange(len(here)) < free, 0.0, strength * (1 - mix))
    right = score + hessian @ point - strength * mix * signs
    inner = (hessian + np.diag(ridge))[np.ix_(stays, stays)]
    out = np.zeros(len(here))
    out[stays] = np.linalg.solve(inner, right[stays])
    return out if np.all(np.sign(out[free:]) == np.sign(here[free:])) else here


def residual(point: Reals, score: Reals, free: int, strength: float, mix: float, rows: float) -> float:
    """How far the conditions of a minimum are from being met: the largest of all columns, per row."""
    pull = score.copy()
    pull[free:] -= strength * (1 - mix) * point[free:]
    zero = np.concatenate([np.zeros(free, bool), point[free:] == 0])
    signs = np.concatenate([np.zeros(free), np.sign(point[free:])])
    off = np.where(zero, np.maximum(np.abs(pull) - strength * mix, 0.0), np.abs(pull - strength * mix * signs))
    return float(off.max()) / rows


def strengths(score: Reals, free: int, mix: float, steps: int) -> tuple[float, ...]:
    """score: where all slopes are 0. The first strength is that at which the first column would enter."""
    first = float(np.abs(score[free:]).max()) / mix
    return tuple((first * np.geomspace(1, LEAST_SHARE, steps)).tolist())


def ebic(fit: float, columns: int, free: int, rows: float, among: int) -> float:
    """fit: -2 log-likelihood, up to a constant; columns: that stay; among: from how many they were chosen."""
    return fit + (columns + free) * log(rows) + 2 * GAMMA * columns * log(max(among, 1))
