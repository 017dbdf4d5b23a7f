"""What a regression with noise answers: coefficients whose errors say what sampling and what noise made of them.

A *population* is made up from what was released alone: rows of the released mean and covariance, in which codes are codes
(`likeness.py`). It gives the information at a point, and in 200 reruns of the whole schedule, with fresh noise of the same size on sums of
it, how far noise carries the estimate (surrogate bootstrap). Its draws are a public stream, so that whoever has the sums comes to the same
errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from scipy.special import expit, ndtr, ndtri

from protocols import entropy
from protocols.models.design import Numbers
from protocols.models.fixedpoint import Reals
from protocols.models.interface import Result
from protocols.statistics.rows import significant

Generator: TypeAlias = Any  # of `entropy.public_stream`
RERUNS: Final = 200
PEOPLE: Final = 1000  # rows of a population, at least
DIAGONAL: Final = 181 / 256  # by which squares are smaller beside products of two columns
LEAST_PART: Final = 1e-3  # of the information at the mean, in any direction
LEAST_STEP: Final = 0.3  # of it, in any direction, where a step divides by the information
MOST_OF_CODE: Final = 2.0  # the most that one step changes the coefficient of a code
MOST_CLIPPED: Final = 0.02
UNSAID: Final = ("deviance", "null_deviance", "log_likelihood", "aic", "bic")  # no sum of them is asked for


@dataclass(frozen=True)
class Curve:
    """The mean of a scaled outcome by the linear predictor. `most`: of a count, or of a residual, by which it is divided."""

    family: str
    most: float

    def mean(self, eta: Reals) -> Reals:
        if self.family == "binomial":
            return np.asarray(expit(eta))
        if self.family == "gaussian":
            return eta / self.most
        return np.asarray(np.minimum(np.exp(np.minimum(eta, 50.0)) / self.most, 1.0))

    def slope(self, eta: Reals) -> Reals:
        if self.family == "gaussian":
            return np.full_like(eta, 1 / self.most)
        at = self.mean(eta)
        return np.asarray(at * (1 - at) if self.family == "binomial" else np.where(at < 1, at, 0.0))

    def variance(self, eta: Reals) -> Reals:
        """Pre-condition: the family has one (`Released.square` is that of a gaussian model)."""
        at = self.mean(eta)
        return np.asarray(at * (1 - at) if self.family == "binomial" else at / self.most)

    def link(self, mean: float) -> float:
        """Of a model that is not gaussian."""
        return float(np.log(mean / (1 - mean)) if self.family == "binomial" else np.log(mean * self.most))


@dataclass(frozen=True)
class Released:
    """What all rounds told. square: of a gaussian model, the mean square of a residual by its most. products_sd, score_sd: of their
    noise. weights: of the scores; last: of how many of them the estimate is made. codes: columns of two values, the constant not counted:
    which, and how far apart these are."""

    curve: Curve
    square: float
    rows: float
    mean: float
    products: Reals
    whiten: Reals
    norm: float
    products_sd: float
    score_sd: Numbers
    weights: tuple[int, ...]
    last: int
    farthest: float
    codes: tuple[tuple[int, float], ...] = ()

    @property
    def level(self) -> float:
        """Information of a row at the mean."""
        curve, mean = self.curve, self.mean
        return {"binomial": mean * (1 - mean), "poisson": mean, "gaussian": 1 / curve.most}[curve.family]

    def step(self, population: "Population", point: Reals, score: Reals) -> Reals:
        """Where hardly an event is expected there is hardly information, and a step would go too far: it divides by three tenths of
        that at the mean at least."""
        white, whole = self.whiten, self.level * self.rows
        values, vectors = np.linalg.eigh(white @ population.information(point) @ white.T / whole)
        inverse = (vectors / np.maximum(values, LEAST_STEP)) @ vectors.T
        step = white.T @ inverse @ white @ score / whole
        for column, size in self.codes:
            step[column + 1] = np.clip(step[column + 1], -MOST_OF_CODE / size, MOST_OF_CODE / size)
        return np.asarray(step, np.float64)


@dataclass(frozen=True)
class Population:
    """Rows z with the constant, each standing for `each` holders; `factor`: what a row counts where it is too long. drawn: rows that z
    was made of."""

    released: Released
    z: Reals
    factor: Reals
    drawn: Reals

    @classmethod
    def of(cls, released: Released, study: str, name: str, shaped: Callable[[Reals], Reals]) -> "Population":
        """shaped: rows of the columns, made of standard normal draws."""
        size = (max(PEOPLE, 20 * len(released.products)), len(released.products) - 1)
        return cls.like(released, shaped(entropy.public_stream(study, name, "population").normal(size=size)))

    @classmethod
    def like(cls, released: Released, drawn: Reals) -> "Population":
        """With the mean and covariance of the released products: no row is moved farther than it must be for that."""
        mean = released.products[0, 1:] / released.products[0, 0]
        covariance = released.products[1:, 1:] / released.rows - np.outer(mean, mean)
        least = released.products_sd / released.rows
        even = drawn - drawn.mean(axis=0)
        here = even.T @ even / len(even)
        half, back = root(here, 0.5), root(here, -0.5)
        moved = back @ root(half @ root(covariance, 1, least) @ half, 0.5) @ back
        z = np.column_stack([np.ones(len(even)), mean + even @ moved])
        return cls(released, z, _factor(z @ released.whiten, released.norm), drawn)

    @property
    def each(self) -> float:
        return self.released.rows / len(self.z)

    def information(self, point: Reals) -> Reals:
        """What a step divides by: never less, in any direction, than a thousandth of that at the mean."""
        found = self._weighted(self.factor * self.released.curve.slope(self.z @ point))
        return found + LEAST_PART * self.released.level * self.released.products

    def variance(self, point: Reals) -> Reals:
        """Of the score, without noise."""
        found, eta = self.released, self.z @ point
        of_rows = np.full_like(eta, found.square) if found.curve.family == "gaussian" else found.curve.variance(eta)
        return self._weighted(self.factor**2 * of_rows)

    def _weighted(self, weights: Reals) -> Reals:
        return np.asarray(self.each * (self.z.T @ (self.z * weights[:, None])))

    def expected(self, truth: Reals, point: Reals, factor: Reals) -> Reals:
        """The score at a point, of holders who follow the truth."""
        curve = self.released.curve
        return np.asarray(self.each * (self.z.T @ (factor * (curve.mean(self.z @ truth) - curve.mean(self.z @ point)))))


@dataclass(frozen=True)
class Answered:
    """A fit whose rounds are over."""

    released: Released
    population: Population
    point: Reals
    study: str
    name: str

    @cached_property
    def sampling(self) -> Reals:
        """The covariance that the estimate would have without noise."""
        inverse = np.linalg.inv(self.population.information(self.point))
        return np.asarray(inverse @ self.population.variance(self.point) @ inverse)

    @cached_property
    def formula(self) -> Reals:
        """The covariance of noise to first order."""
        found = self.released
        part = np.array(found.weights[-found.last :], float) / sum(found.weights[-found.last :])
        size = float(np.sqrt(((part * np.array(found.score_sd[-found.last :])) ** 2).sum()))
        half = np.linalg.solve(self.population.information(self.point), np.linalg.inv(found.whiten))
        return np.asarray(size**2 * half @ half.T)

    @cached_property
    def noise(self) -> Reals:
        """What noise did to the estimate in reruns: one each."""
        stream = entropy.public_stream(self.study, self.name, "reruns")
        if not self.released.products_sd:
            return np.zeros((1, len(self.point)))
        return np.array([self._again(stream) for _ in range(RERUNS)])

    def _products_again(self, stream: Generator) -> Reals:
        p = len(self.point)
        noise = symmetric(stream.normal(size=p * (p + 1) // 2) * self.released.products_sd, p)
        square, _ = floored(self.released.products + noise, self.released.products_sd)
        return square

    def _again(self, stream: Generator) -> Reals:
        """The scores of one rerun, of sums that differ from those expected as samples do; less what sampling alone does."""
        base, truth = self.population, self.point
        square = self._products_again(stream)
        white = root(square / self.released.rows, -0.5)
        here = _replaced(self.released, square, white)
        people, factor = Population.like(here, base.drawn), _factor(base.z @ white, here.norm)
        drawn = self._half @ stream.normal(size=len(truth))
        point = np.zeros_like(truth)
        if here.mean:
            point[0] = here.curve.link(here.mean)
        implied: tuple[Numbers, ...] = ()
        for sd in here.score_sd:
            noise = np.linalg.solve(white, stream.normal(size=len(truth)) * sd)
            step = here.step(people, point, drawn + base.expected(truth, point, factor) + noise)
            implied = (*implied, tuple((point + bounded(step, here, here.farthest)).tolist()))
            point = together(implied, here.weights, here.last)
        return point - truth - np.linalg.solve(base.information(truth), drawn)

    @cached_property
    def _half(self) -> Reals:
        return root(self.population.variance(self.point), 0.5)

    def result(
        self,
        names: Sequence[str],
        back: Reals,
        shift: float,
        confidence: float,
        *,
        rounds: int,
        left_out: float,
        clipped: float,
        hidden: int,
    ) -> tuple[Result, Reals]:
        """And the covariance. `back`: from the point to coefficients of the columns as they are; `shift`: what the constant has beside."""
        estimates, noise = back @ self.point, self.noise @ back.T
        estimates[0] += shift
        of_noise = noise.T @ noise / len(noise)
        covariance = back @ self.sampling @ back.T + of_noise
        formula = np.diag(back @ self.formula @ back.T)
        reach = -float(ndtri((1 - confidence) / 2))
        rows: list[dict[str, Any]] = []
        sampling = np.sqrt(np.diag(back @ self.sampling @ back.T))
        noisy, errors = np.sqrt(np.diag(of_noise)), np.sqrt(np.diag(covariance))
        for at, name in enumerate(names):
            estimate, error = float(estimates[at]), float(errors[at])
            rows.append(
                {
                    "term": name,
                    "estimate": significant(estimate),
                    "std_error": significant(error),
                    "se_sampling": significant(float(sampling[at])),
                    "se_noise": significant(float(noisy[at])),
                    "z": significant(estimate / error),
                    "p_value": significant(float(2 * ndtr(-abs(estimate / error)))),
                    "ci_low": significant(estimate - reach * error),
                    "ci_high": significant(estimate + reach * error),
                }
            )
        fit: dict[str, Any] = {
            "converged": True,
            "rounds": rounds,
            "n": float(round(self.released.rows)),
            "left_out": round(left_out),
            "clipped": significant(clipped),
            "hidden_directions": hidden,
            "noise_ratio": significant(float(np.median(noisy / sampling))),
            "widened": significant(float(np.median(errors / sampling))),
            "formula_ratio": significant(float(np.median(np.sqrt(sampling**2 + formula) / errors))),
            "obs_status": "u" if clipped > MOST_CLIPPED or hidden else "",
            **dict.fromkeys(UNSAID),
        }
        return Result(coefficients=tuple(rows), fit=fit), covariance


def _replaced(released: Released, products: Reals, white: Reals) -> Released:
    given = {name: getattr(released, name) for name in Released.__dataclass_fields__}
    return Released(**{**given, "products": products, "whiten": white})


def _factor(z: Reals, norm: float) -> Reals:
    length = np.sqrt(np.einsum("ij,ij->i", z, z))
    return np.asarray(np.minimum(1.0, norm / np.maximum(length, 1e-9)))


def symmetric(triangle: Reals, d: int) -> Reals:
    """A matrix from its upper triangle, whose diagonal is released smaller."""
    whole = np.zeros((d, d))
    whole[np.triu_indices(d)] = triangle
    whole = whole + np.triu(whole, 1).T
    whole[np.diag_indices(d)] /= DIAGONAL
    return whole


def floored(square: Reals, sd: float) -> tuple[Reals, int]:
    """With no eigenvalue below what noise of `sd` in each cell makes of none, sd sqrt(p); and how many could well be none."""
    values, vectors = np.linalg.eigh(square)
    least = max(sd * np.sqrt(len(square)), 1e-9 * float(values[-1]))
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T), int(
        (values < max(2 * sd, 1e-9 * float(values[-1]))).sum()
    )


def root(square: Reals, power: float, least: float = 1e-12) -> Reals:
    """A power of a symmetric matrix, eigenvalues below `least` as that."""
    values, vectors = np.linalg.eigh(square)
    return np.asarray((vectors * np.maximum(values, least) ** power) @ vectors.T)


def bounded(step: Reals, released: Released, farthest: float) -> Reals:
    """A step that changes the linear predictor by no more, in the root of its mean square."""
    size = float(np.sqrt(step @ released.products @ step / released.rows))
    return step * min(1.0, farthest / size) if size > 0 else step


def together(implied: Sequence[Numbers], weights: Sequence[int], last: int) -> Reals:
    """Where the last scores point together; the first two each for themselves, from far away."""
    if len(implied) < last:
        return np.array(implied[-1])
    part = np.array(weights[len(implied) - last : len(implied)], float)
    return np.asarray(part @ np.array(implied[-last:]) / part.sum())
