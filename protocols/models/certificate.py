"""How far a fit by secure sums can be from the fit of the pooled rows.

At the final point b the pooled score is g, known up to what was rounded. The optimum lies at b + J^-1 g to second order, J the observed
information, so that, with T the map from z back to x,

    |b_j - b*_j| <= |T J^-1 g|_j + sum_i |T J^-1|_ji (R 2^-(f+1) + float_i) + back_j

R is the number of roundings. float_i covers the float64 arithmetic in the cities, by Cauchy-Schwarz over the rows and without another
cell: sum_r |z_ri u_r| <= sqrt(H_ii X2), X2 the Pearson sum, and an error of eta by u |z||b| moves the score by at most
u sqrt(H_ii) sum_j sqrt(H_jj) |b_j|. back_j covers the map itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.models.fixedpoint import Reals

UNIT: Final = 2.0**-53
SAFE: Final = 8.0


@dataclass(frozen=True)
class Evaluated:
    """What the sums say at a point b of z: score g, observed information J, expected information H, their roundings, Pearson X2, rows n."""

    point: Reals
    score: Reals
    observed: Reals
    expected: Reals
    pearson: float
    n: float
    score_rounding: float
    information_rounding: float


@dataclass(frozen=True)
class Certificate:
    """coefficients: bound of each |b_j - b*_j|. errors: bound of each standard error, relative. rms: a typical error by rounding alone."""

    coefficients: Reals
    errors: Reals
    rms: float


def certify(at: Evaluated, back: Reals, roundings: int, size: Reals | None = None) -> Certificate:
    """back: T. size: root of the diagonal that arithmetic went through, if more than that of H. Pre-condition: J is positive definite."""
    inverse = back @ np.linalg.inv(at.observed)
    size = np.sqrt(np.abs(np.diag(at.expected))) if size is None else size
    arithmetic = SAFE * UNIT * np.sqrt(at.n) * size * np.sqrt(at.pearson)
    arithmetic = arithmetic + SAFE * UNIT * len(size) * size * float(size @ np.abs(at.point))
    mapped = SAFE * UNIT * len(size) * (np.abs(back) @ np.abs(at.point))
    rounded = np.abs(inverse).sum(axis=1) * at.score_rounding
    coefficients = np.abs(inverse @ at.score) + rounded + np.abs(inverse) @ arithmetic + mapped
    covariance = back @ np.linalg.inv(at.expected)
    variances = np.einsum("ij,ij->i", covariance, back)
    moved = np.abs(covariance).sum(axis=1) ** 2 * at.information_rounding
    moved = moved + SAFE * UNIT * np.sqrt(at.n) * (np.abs(covariance) @ size) ** 2
    rms = np.sqrt(roundings / 12) * (2 * at.score_rounding / max(roundings, 1))
    return Certificate(coefficients, moved / (2 * variances), float(rms * np.linalg.norm(inverse, axis=1).max()))


def predicted(information: Reals, score_rounding: float, dispersion: float) -> Reals:
    """Before the fit: the rounding part of the bound of each coefficient of z, in standard errors of it."""
    inverse = np.linalg.inv(information)
    return np.asarray(np.abs(inverse).sum(axis=1) * score_rounding / np.sqrt(np.diag(inverse) * dispersion), np.float64)
