"""Random effects: every city fits its own rows, and its coefficients are added up by their precision. `city_effects: random`.

Leaves the city: round 0, moments of every column; whether it can fit, 0 or 1; then for each coefficient b of its own fit, with variance v,
w, wb, wb^2 and w^2, w = 1 / v; last, w*, w*b and w*b^2, w* = 1 / (v + tau^2). A city that cannot fit sends zeros, and where fewer than
three can, nothing more is asked: a sum over one of them would be its own coefficients.

    Q = sum w (b - mean)^2,  tau^2 = (Q - (k - 1)) / (sum w - sum w^2 / sum w),  mean = sum w* b / sum w*,  its variance 1 / sum w*

Source: R. DerSimonian and N. Laird, Meta-analysis in clinical trials, Controlled Clinical Trials 7 (1986); I^2 of J. P. T. Higgins and
S. G. Thompson, Statistics in Medicine 21 (2002).
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.special import chdtrc

from protocols.dictionary import Read
from protocols.errors import PeerError
from protocols.models import design, fixedpoint
from protocols.models.answer import Fit, Heterogeneity, coefficients, published
from protocols.models.certificate import Evaluated, certify
from protocols.models.design import Columns, Numbers
from protocols.models.fixedpoint import Block, Reals, Total
from protocols.models.glm import GlmPlan
from protocols.models.glm_answer import WIDE_ERROR
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.newton import FAR
from protocols.models.rows import Used
from protocols.ring import Vector
from protocols.yamltext import Record, Whole

FEWEST_FITTED: Final = 3
FINER: Final = 2.0**-12  # the unit of weights, in pooled weights: Q is then as precise as the sums
LARGEST: Final = {"weight": 2.0**20, "first": 2.0**20, "second": 2.0**20, "squared": 2.0**30}  # of a city
LOCAL: Final = 1e-9  # in standard errors: a city whose own fit is less certain than this has none
MOST_LOCAL: Final = 60


class Pooling(Record):
    """The state between two rounds. Plain JSON. unit: of weights; told: of each coefficient, the decoded sums of the last round."""

    round: Whole = 0
    purpose: Literal["standardise", "able", "local", "mean", "done"] = "standardise"
    chain: str
    columns: Columns = Columns()
    dropped: tuple[str, ...] = ()
    rows: Whole = 0
    smallest: Whole | None = None
    left_out: Whole = 0
    frequency: float = 0.0
    unit: Numbers = ()
    between: Numbers = ()
    cities: Whole = 0
    roundings: Whole = 0
    local: tuple[Numbers, ...] = ()  # w, wb, wb^2, w^2
    mean: tuple[Numbers, ...] = ()  # w*, w*b, w*b^2


@dataclass(frozen=True)
class PooledPlan:
    """Columns, outcome and rows are those of the regression `inner`."""

    inner: GlmPlan

    @property
    def study(self) -> str:
        return self.inner.study

    @property
    def most_rounds(self) -> int:
        return 4

    @property
    def most_cells(self) -> int:
        return max(self.inner.most_cells, fixedpoint.HEADER + 2 * 5 * (1 + len(self.inner.design.pieces)))

    @property
    def scope(self) -> str:
        return "whole"

    def at(self, place: int) -> "PooledPlan":  # noqa: ARG002 every city does the same
        return self

    def start(self) -> Pooling:
        return Pooling(chain=self.study)

    def ask(self, state: Pooling) -> Ask | Done:
        if state.purpose == "done":
            return Done()
        return asked(Ask, self.study, state, ("purpose", "columns", "between"), self.blocks, point=state.unit)

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        if ask.purpose == "standardise":
            return self.inner.blocks(ask)
        if ask.purpose == "able":
            return (Block("fitted", 1),)
        names = ("weight", "first", "second", "squared") if ask.purpose == "local" else ("weight", "first", "second")
        return tuple(self._block(name, len(ask.point)) for name in names)

    def _block(self, name: str, p: int) -> Block:
        return fixedpoint.block(name, p, LARGEST[name], self.inner.city.cities, 1)

    def length(self, ask: Ask) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    # --- in a city

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:
        """Pre-condition: these are all rows of the city."""
        used = self.inner.city.reading.used(read, rows)
        if ask.purpose == "standardise":
            return self.inner.city.moments(used)
        p = len(ask.point)
        found = self._local(ask.columns, used)
        zeros = {name: np.zeros(p) for name in ("weight", "first", "second", "squared")}
        if found is None:
            return Sums({**zeros, "fitted": np.zeros(1)})
        estimate, variance, spread = found
        between = np.array(ask.between) if ask.purpose == "mean" else np.zeros(p)
        weight = 1 / (variance + between) / np.array(ask.point)
        sums = {"weight": weight, "first": weight * estimate, "second": weight * estimate**2, "squared": weight**2}
        return Sums({**sums, "fitted": np.ones(1), "spread": spread})

    def _local(self, columns: Columns, used: Used) -> tuple[Reals, Reals, Reals] | None:
        """Coefficients of x in the units of `_units`, their variances, and how weights are spread over rows. None if there is no fit."""
        law, z = self.inner.law, np.ascontiguousarray(columns.standardised(used.matrix))
        n, p = len(used.y), z.shape[1]
        weight, total = used.weight, float(used.weight.sum())
        y = float(weight @ used.y)
        if n <= p + 1 or (law.family != "gaussian" and (y <= 0 or (law.family == "binomial" and y >= total))):
            return None
        point: Reals = np.zeros(p)
        step: Reals = np.zeros(p)
        point[0] = law.link_of(y / total) - (0.0 if law.link == "inverse" else float(weight @ used.offset) / total)
        best, size = np.inf, np.inf
        with np.errstate(all="ignore"):  # what is not finite is a step too long, or no fit
            for _ in range(MOST_LOCAL):
                eta = z @ point + used.offset
                at = law.mean(eta)
                deviance = float(weight @ law.deviance(used.y, at)) if law.inside(eta) else np.inf
                if not deviance <= best * (1 + 1e-10) + 1e-10:
                    step = step / 2
                    point = point - step
                    continue
                best, u = min(best, deviance), weight * (used.y - at.mu)
                expected = z.T @ (z * (weight * at.slope * at.h)[:, None])
                observed = expected - z.T @ (z * (u * at.bend)[:, None])
                if not np.all(np.isfinite(expected)) or np.any(np.diag(expected) <= 0) or design.dependent(expected):
                    return None
                if law.family != "gaussian" and np.abs(point).max() > FAR:
                    return None
                if size < 1e-11:
                    pearson = float(weight @ ((used.y - at.mu) ** 2 / law.variance(at)))
                    curvature = weight * at.slope * at.h
                    spread = np.array([float(n), curvature.sum(), curvature @ curvature])
                    return self._told(columns, used, z, point, u * at.h, expected, observed, pearson, spread)
                step = np.asarray(np.linalg.solve(observed if size < 0.1 else expected, z.T @ (u * at.h)), np.float64)
                size = float(np.abs(step).max())
                point = point + step
        return None

    def _told(
        self,
        columns: Columns,
        used: Used,
        z: Reals,
        point: Reals,
        u: Reals,
        expected: Reals,
        observed: Reals,
        pearson: float,
        spread: Reals,
    ) -> tuple[Reals, Reals, Reals] | None:
        p, frequency, outcome = len(point), float(used.frequency.sum()), self.inner.outcome
        units = _units(columns)
        back = columns.back() / units[:, None]
        dispersed = self.inner.law.dispersed or self.inner.question.dispersion == "pearson"
        scale = pearson / (frequency - p) if dispersed else 1.0
        variance = scale * np.einsum("ij,jk,ik->i", back, np.linalg.inv(expected), back)
        reached = Evaluated(point, z.T @ u, observed, expected, pearson, float(len(z)), 0.0, 0.0)
        certificate = certify(reached, back, 0)
        if not np.all(certificate.coefficients <= LOCAL * np.sqrt(variance)):
            return None
        estimate = outcome.half * (back @ point)
        estimate[0] += outcome.middle / units[0]
        return estimate, outcome.half**2 * variance, spread

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if ask.purpose == "standardise":
            return self.inner.encode(ask, sums)
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        return fixedpoint.encode(blocks, sums.values, self.inner.city.cities)

    # --- what a total means

    def tell(self, state: Pooling, ask: Ask, total: Vector) -> Pooling:
        """Errors: as of `GlmPlan.tell`."""
        blocks, expected = self.blocks(ask), self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        if ask.purpose == "standardise":
            return self._on_moments(state, ask, total)
        found = fixedpoint.decode(blocks, total)
        update = {"round": state.round + 1, "chain": chained(state.chain, ask, total), "roundings": found.parts}
        state = state.model_copy(update={**update, "unit": ask.point, "between": ask.between, "columns": ask.columns})
        if found.overflow:
            raise self.inner.city.coarse(self.inner.outcome)
        if ask.purpose == "able":
            cities = round(found.number("fitted"))
            able = "local" if cities >= FEWEST_FITTED else "done"
            return state.model_copy(update={"cities": cities, "purpose": able})
        if ask.purpose == "mean":
            told = tuple(tuple(found[name].tolist()) for name in ("weight", "first", "second"))
            return state.model_copy(update={"purpose": "done", "mean": told})
        return self._on_local(state, found)

    def seen(self, state: Pooling) -> Seen | None:
        """Once round 0 is in."""
        return Seen(state.rows, len(state.unit), state.rows, state.smallest) if state.rows else None

    def _on_moments(self, state: Pooling, ask: Ask, total: Vector) -> Pooling:
        """The inner regression standardises; the unit of weights is the pooled information of each coefficient, made finer."""
        first = self.inner.tell(self.inner.start(), ask, total)
        frequency, weight, y, own, _ = first.sums
        law, columns, mean = self.inner.law, first.columns, y / weight
        match law.family:
            case "gaussian":
                information = weight / (self.inner.outcome.half**2 * (own / weight - mean * mean))
            case "gamma":
                information = weight
            case _:
                at = law.mean(np.array([law.link_of(mean)]))
                information = weight * float((at.slope * at.h)[0])
        unit = (FINER * information,) * (1 + len(columns.groups))
        update = {
            "purpose": "able",
            "round": 1,
            "chain": first.chain,
            "columns": columns,
            "dropped": first.dropped,
            "rows": first.rows,
            "smallest": first.smallest,
            "left_out": first.left_out,
            "frequency": frequency,
            "unit": unit,
        }
        return state.model_copy(update=update)

    def _on_local(self, state: Pooling, found: Total) -> Pooling:
        told = tuple(tuple(found[name].tolist()) for name in ("weight", "first", "second", "squared"))
        state = state.model_copy(update={"local": told})
        between = np.maximum(self._between(state)[1], 0.0)
        return state.model_copy(update={"purpose": "mean", "between": tuple(between.tolist())})

    def _between(self, state: Pooling) -> tuple[Reals, Reals, Reals]:
        """Q, tau^2 before it is cut at 0, and how far rounding can have moved tau^2, of each coefficient in its unit."""
        unit = np.array(state.unit)
        weight, first, second, squared = (np.array(each) for each in state.local)
        mean = first / weight
        around = second - first * mean
        denominator = weight - squared / weight
        tau2 = (around - (state.cities - 1) / unit) / denominator
        off, squares = self._rounded(state, "weight"), self._rounded(state, "squared")
        moved = off * (1 + np.abs(mean)) ** 2 + np.abs(tau2) * (off * (1 + squared / weight**2) + squares / weight)
        return unit * around, tau2, moved / denominator

    def _rounded(self, state: Pooling, name: str) -> float:
        """The most that a sum is off."""
        return state.roundings * self._block(name, 1).rounding

    # --- the answer

    def result(self, state: Pooling) -> Result:
        """`finalize` as results.json has it."""
        return published(self.finalize(state))

    def finalize(self, state: Pooling) -> Fit:
        few = state.cities < FEWEST_FITTED
        bare = Fit(
            converged=not few,
            rounds=state.round,
            n=state.frequency,
            left_out=state.left_out,
            dropped=state.dropped,
            collinear=(),
            cause="few_cities" if few else "",
            obs_status="x" if few else "",
        )
        return bare if few else self._fitted(state, bare)

    def _fitted(self, state: Pooling, bare: Fit) -> Fit:
        unit, units, k = np.array(state.unit), _units(state.columns), state.cities
        weight, first, second = (np.array(each) for each in state.mean)
        q, tau2, moved = self._between(state)
        mean, precision = first / weight, weight * unit
        off = self._rounded(state, "weight")
        apart = np.sqrt(np.maximum(second / weight - mean**2, 0.0) + off * (1 + np.abs(mean)) ** 2 / weight)
        moved = moved + LOCAL * (np.abs(tau2) + 1 / precision)
        bound = off * (1 + np.abs(mean)) / (weight - off) + precision * apart * moved
        bound = bound + LOCAL * np.sqrt(k / precision) + 2 * LOCAL * apart
        names = ("intercept", *state.columns.names(self.inner.design.pieces))
        covariance = np.diag(units**2 / precision)
        listed = coefficients(names, units * mean, covariance, None, self.inner.confidence, units * bound)
        heterogeneity = tuple(
            Heterogeneity(
                term=name,
                cities=k,
                q=float(each),
                p_value=float(chdtrc(k - 1, max(float(each), 0.0))),
                i2=max(0.0, 1 - (k - 1) / float(each)) if each > 0 else 0.0,
                tau2=float(variance),
            )
            for name, each, variance in zip(names, q, tau2 * units**2, strict=True)
        )
        errors = (off / weight + precision * moved + LOCAL) / 2
        return replace(
            bare,
            coefficients=listed,
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            heterogeneity=heterogeneity,
            coefficient_error_bound=float((units * bound).max()),
            se_error_bound=float(errors.max()),
            obs_status="u" if any(each.error_bound > WIDE_ERROR * each.std_error for each in listed) else "",
        )


def _units(columns: Columns) -> Reals:
    """Of the coefficients of x: the lengths of the rows of T, so that each is about as large as a coefficient of z."""
    return np.asarray(np.linalg.norm(columns.back(), axis=1), np.float64)


def plan(inner: GlmPlan) -> PooledPlan:
    """Of a question with `city_effects: random`."""
    return PooledPlan(inner)
