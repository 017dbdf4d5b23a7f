"""Generalised linear models by secure sums, equal to the fit of the pooled rows up to a printed bound. Exact mode.

Leaves the city, per round, as sums over its rows: round 0, moments of every column and of the outcome; each step, deviance, Pearson, score
and information at a point that all cities were told; the final round, these at the converged point, with the likelihood and, where asked
for, the middle of the sandwich. One holder moves a cell by at most what `_largest` says for public ranges.

Newton's method on z = (x - mean) / sd: steps far from the optimum use expected information, which is safe; the last ones use observed
information, so that the final step squares the error for every link (docs/adr/0061).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint, pairs
from protocols.models.answer import Cause, Fit, coefficients, published
from protocols.models.certificate import Evaluated, certify, predicted
from protocols.models.design import Columns, Design, Flags, Moments, Numbers, Piece
from protocols.models.families import LINKS, Family, Law, Link
from protocols.models.fixedpoint import Block, Reals, TooCoarse, Total
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, chained, layout_digest
from protocols.ring import Vector
from protocols.yamltext import Flag, Real, Record, Whole

MOST_STEPS: Final = 25
MOST_HALVINGS: Final = 10
SMALL_STEP: Final = 1e-6
NEAR: Final = 0.1  # from steps this small on, observed information is asked for
FAR: Final = 15.0  # a standardised coefficient beyond this, or
LOST: Final = 50.0  # a growing one with this standard error, has no estimate
FLAT: Final = 1e-12  # least over largest eigenvalue of the information
PERFECT: Final = 1e-4  # deviance per row
MOST_ERROR: Final = 1e-8  # predicted bound, in standard errors
WIDE_ERROR: Final = 1e-6  # bound of a result that is marked
MOST_LEFT_OUT: Final = 0.3  # of the rows; more, and the result is marked
MANY_CLUSTERS: Final = 20
FEW_CLUSTERS: Final = 5
Places = npt.NDArray[np.intp]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


# --- the question


class Weights(Record):
    """frequency: a row stands for so many; analytic: its variance is that of one row by the weight."""

    kind: Literal["frequency", "analytic"]
    of: str


class Clustered(Record):
    """`cluster: city`, or a column whose groups lie inside a city. correction: statsmodels' factor G/(G-1) (n-1)/(n-p)."""

    cluster: str
    correction: Flag = True


class Ridge(Record):
    """Adds strength / 2 times the sum of squared standardised coefficients, without the constant, to minus the log-likelihood."""

    kind: Literal["ridge"]
    strength: Annotated[Real, Field(gt=0)]


class Glm(Record):
    """The keys of a question `kind: glm`. errors: `robust` is `hc1`."""

    family: Family
    link: Link | None = None
    outcome: str
    terms: Names = ()
    offset: str | None = None
    weights: Weights | None = None
    alpha: Annotated[Real, Field(gt=0)] | None = None
    dispersion: Literal["pearson"] | None = None
    missing: Literal["drop", "indicator"] = "drop"
    collinear: Literal["refuse", "drop"] = "refuse"
    errors: Literal["model", "robust", "hc0", "hc1"] | Clustered = "model"
    penalty: Ridge | None = None


class Limits(Record):
    """What policies ask of exact sums: rows and cities of an indicator column; events, and non-events, per column."""

    column_rows: Whole = 5
    column_cities: Whole = 3
    events_per_column: Whole = 5


class Fitting(Record):
    """The state between two rounds. Plain JSON.

    base, objective: the last point whose deviance did not rise, and that deviance; point = base + step is asked for next.
    final: the decoded sums at the converged point.
    """

    round: Whole = 0
    purpose: Literal["standardise", "step", "final", "done"] = "standardise"
    chain: str
    columns: Columns = Columns()
    dropped: tuple[str, ...] = ()
    collinear: tuple[str, ...] = ()
    rows: Whole = 0
    smallest: Whole | None = None  # rows of the thinnest indicator in the fit
    pair: Whole | None = None  # rows of the thinnest pair of codes, once they were added up
    left_out: Whole = 0
    sums: Numbers = ()  # of round 0: frequency, weight, weighted y, y's own part of the deviance, weighted offset
    point: Numbers = ()
    base: Numbers = ()
    step: Numbers = ()
    null: float | None = None
    null_step: float = 0.0
    objective: float | None = None
    observed: Flag = False
    steps: Whole = 0
    halvings: Whole = 0
    grew: tuple[Whole, ...] = ()
    cause: Cause = ""
    named: tuple[str, ...] = ()
    roundings: Whole = 0
    final: dict[str, Numbers] = Field(default_factory=dict)


# --- the plan


@dataclass(frozen=True)
class _Used:
    """The rows of a batch that are in the fit."""

    matrix: Reals
    y: Reals
    offset: Reals
    frequency: Reals
    weight: Reals  # frequency times analytic weight
    cluster: Reals
    left_out: int


@dataclass(frozen=True)
class GlmPlan:
    """A fit that every party has planned alike. most_rows: of one city. study: the digest that each ask repeats."""

    question: Glm
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    limits: Limits
    design: Design
    offset: Design | None
    confidence: float

    @property
    def law(self) -> Law:
        link = self.question.link or LINKS[self.question.family][0]
        return Law(self.question.family, link, self.question.alpha or 1.0)

    @property
    def most_rounds(self) -> int:
        return 2 + MOST_STEPS

    @property
    def most_cells(self) -> int:
        """No round's vector is longer: every real block in two limbs, no column left out."""
        p = 1 + len(self.design.pieces)
        triangle = p * (p + 1) // 2
        first = 3 + 2 * (p - 1) + 2 * (2 * (p - 1) + 4)
        last = 2 + 2 * (2 + p + triangle + 3 + 2 + triangle + triangle)
        return fixedpoint.HEADER + max(first, last)

    @property
    def scope(self) -> str:
        errors = self.question.errors
        if isinstance(errors, Clustered):
            return "city" if errors.cluster == "city" else f"group:{errors.cluster}"
        return "rows"

    @property
    def clustered(self) -> str:
        """`city`, the column that clusters, or an empty text."""
        return self.question.errors.cluster if isinstance(self.question.errors, Clustered) else ""

    @property
    def sandwich(self) -> bool:
        return self.question.errors != "model"

    @cached_property
    def outcome(self) -> Piece:
        low, high = design.range_of(self.dictionary, self.question.outcome)
        return Piece(self.question.outcome, low, high, self.question.family != "gaussian")

    @cached_property
    def heaviest(self) -> float:
        if self.question.weights is None:
            return 1.0
        return design.range_of(self.dictionary, self.question.weights.of)[1]

    # --- what is asked

    def start(self) -> Fitting:
        return Fitting(chain=self.study)

    def ask(self, state: Fitting) -> Ask | Done:
        """Errors: `ConfigError MODEL_PRECISION` where a block would be too coarse."""
        if state.purpose == "done":
            return Done()
        bare = Ask(
            round=state.round,
            purpose=state.purpose,
            study=self.study,
            layout="",
            chain=state.chain,
            columns=state.columns,
            point=state.point,
            null=state.null,
            observed=state.observed,
        )
        return bare.model_copy(update={"layout": layout_digest(self.blocks(bare))})

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        """The layout of an answer. Errors: `ConfigError MODEL_PRECISION`, naming the column with the widest public range."""
        pieces = self.design.pieces
        if ask.purpose == "standardise":
            largest, widest = 1.0, self.outcome
        else:
            most = ask.columns.most(pieces)
            largest = max(most, default=1.0)
            first = [pieces[group[0]] for group in ask.columns.groups]
            widest = max(zip(most, first, strict=True), key=lambda pair: pair[0], default=(1.0, self.outcome))[1]
        try:
            return self._first() if ask.purpose == "standardise" else self._later(ask, max(largest, 1.0))
        except TooCoarse:
            raise self._coarse(widest) from None

    def length(self, ask: Ask) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    def _coarse(self, piece: Piece) -> ConfigError:
        return ConfigError("MODEL_PRECISION", name=piece.name, range=piece.range)

    def _block(self, name: str, cells: int, largest: float) -> Block:
        return fixedpoint.block(name, cells, largest, self.cities, self.most_rows)

    def _first(self) -> tuple[Block, ...]:
        """4 q + 7 cells for q columns without the constant."""
        q = len(self.design.pieces)
        y = max(abs(self.outcome.low), abs(self.outcome.high), 1.0)
        own = self.heaviest * max(y * (log(y) + 1) * 2, 64.0) if self.question.family != "gaussian" else self.heaviest
        shift = (
            max((max(abs(piece.low), abs(piece.high)) for piece in self.offset.pieces), default=1.0)
            if self.offset
            else 1.0
        )
        return (
            Block("rows", 1),
            Block("left_out", 1),
            Block("frequency", 1),
            Block("nonzero", q),
            Block("seen", q),
            self._block("x", q, 1.0),
            self._block("square", q, 1.0),
            self._block("outcome", 4, max(own, self.heaviest * y, self.heaviest * shift)),
        )

    def _later(self, ask: Ask, z: float) -> tuple[Block, ...]:
        """z: the largest |z| that public ranges allow."""
        p = len(ask.point)
        score, information, deviance, pearson = (self.heaviest * each for each in self._largest())
        blocks = [
            Block("frequency", 1),
            self._block("deviance", 1, deviance),
            self._block("pearson", 1, pearson),
            self._block("score", p, score * z),
            self._block("information", p * (p + 1) // 2, information * z * z),
        ]
        if self.offset is not None:
            blocks.append(self._block("null", 3, max(score, information, deviance)))
        if ask.purpose == "final":
            blocks.append(self._block("likelihood", 2, deviance))
            if not self.law.canonical:
                blocks.append(self._block("observed", p * (p + 1) // 2, information * z * z))
            if self.sandwich:
                together = self.most_rows if self.clustered else 1
                blocks.append(self._block("meat", p * (p + 1) // 2, (score * z) ** 2 * together))
                blocks.append(Block("clusters", 1))
        return tuple(blocks)

    def _largest(self) -> tuple[float, float, float, float]:
        """Of one row, on average over a city at most: |u|, information, deviance, Pearson. A city beyond it says `overflow`."""
        y = max(abs(self.outcome.low), abs(self.outcome.high), 1.0)
        match self.law.family, self.law.link:
            case "gaussian", _:
                return 4.0, 1.0, 16.0, 16.0
            case "binomial", "logit":
                return 1.0, 0.25, 64.0, 1024.0
            case "binomial", _:
                return 8.0, 8.0, 64.0, 1024.0
            case "gamma", "log":
                return 16.0, 16.0, 64.0, 1024.0
            case "gamma", _:
                return 2 * y, y * y, 64.0, 1024.0
            case _:
                return 2 * y, 2 * y, 64 * (y + 1), 1024 * (y + 1)

    # --- in a city

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:
        """Float64 sums over the rows of a batch. Pre-condition: the ask follows from the study and its totals (`protect.follows`)."""
        used = self._used(read, rows)
        return self._moments(used) if ask.purpose == "standardise" else self._evaluated(ask, used)

    def _used(self, read: Read, rows: int) -> _Used:
        question = self.question
        matrix, whole = self.design.matrix(read, rows)
        whole &= read(question.outcome).known
        y = design.amounts(self.dictionary, question.outcome, read(question.outcome))
        y = (y - self.outcome.middle) / self.outcome.half
        offset, frequency, analytic, cluster = np.zeros(rows), np.ones(rows), np.ones(rows), np.zeros(rows)
        if self.offset is not None:
            columns, knows = self.offset.matrix(read, rows)
            offset, whole = columns[:, 0] / self.outcome.half, whole & knows
        if question.weights is not None:
            given = read(question.weights.of)
            weight = design.amounts(self.dictionary, question.weights.of, given)
            whole &= given.known
            frequency, analytic = (weight, analytic) if question.weights.kind == "frequency" else (frequency, weight)
        if self.clustered not in ("", "city"):
            cluster = read(self.clustered).values.astype(np.float64)
            whole &= read(self.clustered).known
        left_out = int(rows - whole.sum())
        kept: Flags = whole & (frequency > 0) & (analytic > 0)  # a row of no weight is none
        return _Used(
            matrix[kept], y[kept], offset[kept], frequency[kept], (frequency * analytic)[kept], cluster[kept], left_out
        )

    def _moments(self, used: _Used) -> Sums:
        x = design.scaled(self.design.pieces, used.matrix)
        nonzero = np.count_nonzero(used.matrix, axis=0).astype(np.float64)
        w = used.weight
        outcome = [w.sum(), w @ used.y, w @ self.law.own(used.y), w @ used.offset]
        return Sums(
            {
                "rows": np.array([float(len(used.y))]),
                "left_out": np.array([float(used.left_out)]),
                "frequency": np.array([used.frequency.sum()]),
                "nonzero": nonzero,
                "x": x.sum(axis=0),
                "square": np.einsum("ij,ij->j", x, x),
                "outcome": np.array(outcome),
            }
        )

    def _evaluated(self, ask: Ask, used: _Used) -> Sums:
        z = ask.columns.standardised(used.matrix)
        eta, law, y = z @ np.array(ask.point) + used.offset, self.law, used.y
        sound = law.inside(eta)
        with np.errstate(all="ignore"):  # what is not finite says `overflow` in `encode`
            at = law.mean(eta)
            u = used.weight * (y - at.mu) * at.h
            expected = used.weight * at.slope * at.h
            observed = expected - used.weight * (y - at.mu) * at.bend
            pearson = used.weight @ ((y - at.mu) ** 2 / law.variance(at))
            curvature = observed if ask.purpose == "step" and ask.observed else expected
            values = {
                "spread": np.array([float(len(y)), curvature.sum(), curvature @ curvature]),
                "frequency": np.array([used.frequency.sum()]),
                "deviance": np.array([used.weight @ law.deviance(y, at) if sound else np.nan]),
                "pearson": np.array([pearson]),
                "score": z.T @ u,
                "information": _triangle(z, curvature),
            }
            if ask.null is not None:
                values["null"] = self._null(ask.null, used)
            if ask.purpose == "final":
                ratio = y / at.mu if law.family == "gamma" else np.zeros_like(y)
                values["likelihood"] = np.array([used.weight @ law.likelihood(y, at), used.weight @ ratio])
                values["observed"] = _triangle(z, observed)
                values |= self._middle(z, u, used)
        return Sums(values)

    def _null(self, constant: float, used: _Used) -> Reals:
        """Deviance, score and observed information of the constant alone."""
        at = self.law.mean(constant + used.offset)
        u = used.weight * (used.y - at.mu)
        curvature = used.weight * at.slope * at.h - u * at.bend
        return np.array([used.weight @ self.law.deviance(used.y, at), u @ at.h, curvature.sum()])

    def _middle(self, z: Reals, u: Reals, used: _Used) -> dict[str, Reals]:
        """The sandwich's middle: over rows, over groups of this batch, or the score of the city, which `encode` squares."""
        if self.clustered == "city":
            return {"city": z.T @ u, "clusters": np.zeros(1)}
        if self.clustered:
            names, place = np.unique(used.cluster, return_inverse=True)
            scores = np.zeros((len(names), z.shape[1]))
            np.add.at(scores, place, z * u[:, None])
            return {"meat": _triangle(scores, np.ones(len(names))), "clusters": np.array([float(len(names))])}
        squared = u * u / used.frequency  # a row that stands for f rows has u = f times that of one
        return {"meat": _triangle(z, squared), "clusters": np.zeros(1)}

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        """The vector that a city masks: the sums of all its batches, rounded once.

        Errors: `PeerError MODEL_ASK_FOREIGN` where the ask is of another study, or of another layout than its own numbers give.
        """
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        values = dict(sums.values)
        if ask.purpose == "standardise":
            values["seen"] = (values["nonzero"] > 0).astype(np.float64)
        if "city" in values:
            rows = float(values["frequency"][0])
            values["meat"] = _triangle(values["city"][None, :], np.ones(1))
            values["clusters"] = np.array([1.0 if rows else 0.0])
        return fixedpoint.encode(blocks, values, self.cities)

    # --- what a total means

    def tell(self, state: Fitting, ask: Ask, total: Vector) -> Fitting:
        """The next state. Pure; the same at the coordinator and in every city.

        Goes on from the numbers that were asked with, which may differ from its own in their last digits. Errors: `PeerError
        MODEL_NOT_REPLAYABLE` if the ask does not follow from the state; `ConfigError MODEL_…` where there is no fit to make.
        """
        blocks, expected = self.blocks(ask), self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        rounding = {each.name: found.parts * each.rounding for each in blocks}
        asked = {"columns": ask.columns, "point": ask.point, "null": ask.null}
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total), **asked})
        match ask.purpose:
            case "standardise":
                return self._on_moments(state, found, rounding)
            case "step":
                return self._on_step(state, found, rounding)
            case _:
                return self._on_final(state, found, rounding)

    def seen(self, state: Fitting) -> Seen | None:
        """Once round 0 is in."""
        return Seen(state.rows, len(state.point), state.rows, state.smallest, state.pair) if state.rows else None

    def _on_moments(self, state: Fitting, found: Total, rounding: dict[str, float]) -> Fitting:
        rows = int(found.number("rows"))
        if found.overflow:
            raise self._coarse(self.outcome)
        if rows == 0:
            raise ConfigError("MODEL_FEW_ROWS", rows=0, columns=1 + len(self.design.pieces))
        moments = Moments(rows, found["x"], found["square"], found["nonzero"], found["seen"])
        columns, dropped = design.standardise(
            self.design.pieces, moments, rounding["x"], self.limits.column_rows, self.limits.column_cities
        )
        weight, y, own, shift = (float(cell) for cell in found["outcome"])
        p = 1 + len(columns.groups)
        self._enough(rows, p, weight, y, own)
        constant = self.law.link_of(y / weight) - shift / weight
        if self.law.link == "inverse":
            constant = self.law.link_of(y / weight)
        point = (constant, *[0.0] * (p - 1))
        update = {
            "purpose": "step",
            "columns": columns,
            "dropped": dropped,
            "rows": rows,
            "smallest": design.smallest(self.design.pieces, columns, moments),
            "left_out": int(found.number("left_out")),
            "sums": (found.number("frequency"), weight, y, own, shift),
            "point": point,
            "null": constant if self.offset is not None else None,
            "grew": (0,) * p,
        }
        return state.model_copy(update=update)

    def _enough(self, rows: int, p: int, weight: float, y: float, own: float) -> None:
        """Rows for the columns, and an outcome that is not constant."""
        if rows <= p:
            raise ConfigError("MODEL_FEW_ROWS", rows=rows, columns=p)
        family, least = self.law.family, self.limits.events_per_column * p
        if family == "binomial" and self.question.weights is None and min(y, weight - y) < least:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.outcome.name, least=least, columns=p)
        empty = y <= 0 if family in ("poisson", "negative_binomial") else min(y, weight - y) <= 0
        if family in ("poisson", "negative_binomial", "binomial") and empty:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.outcome.name, least=1, columns=p)
        if self.law.dispersed and self.law.null_deviance(weight, y, own) <= 1e-12 * weight:
            raise ConfigError("MODEL_COLUMN_CONSTANT", name=self.outcome.name)

    def _penalty(self, p: int) -> Reals:
        """The diagonal that a ridge adds to the information; the constant is free."""
        strength = self.question.penalty.strength if self.question.penalty else 0.0
        return np.concatenate([[0.0], np.full(p - 1, strength)])

    def _on_step(self, state: Fitting, found: Total, rounding: dict[str, float]) -> Fitting:
        point = np.array(state.point)
        penalty = self._penalty(len(point))
        objective = found.number("deviance") + float(penalty @ (point * point))
        noise = rounding["deviance"] * 2 + 1e-12 * abs(objective)
        rose = state.objective is not None and objective > state.objective + noise
        if found.overflow or rose:
            return self._halved(state)
        columns, collinear = state.columns, state.collinear
        information = _square(found["information"], len(point))
        score = found["score"]
        kept, pair = np.arange(len(point)), state.pair
        if state.objective is None:
            pair = pairs.thinnest(self.design.families, self.design.pieces, columns, information, state.rows)
            kept = self._independent(state, information)
            self._precise(state, information[np.ix_(kept, kept)], rounding["score"], found)
            gone = [number - 1 for number in range(1, len(point)) if number not in kept]
            names = columns.names(self.design.pieces)
            collinear, columns = tuple(names[number] for number in gone), columns.without(gone)
        point, score, penalty = point[kept], score[kept] - (penalty * point)[kept], penalty[kept]
        hessian = information[np.ix_(kept, kept)] + np.diag(penalty)
        accepted = state.model_copy(
            update={
                "columns": columns,
                "pair": pair,
                "collinear": collinear,
                "point": tuple(point.tolist()),
                "base": tuple(point.tolist()),
                "objective": objective,
                "halvings": 0,
                "steps": state.steps + 1,
                "grew": self._growing(state, point, kept),
            }
        )
        lost = self._lost(accepted, hessian, found)
        if lost:
            return accepted.model_copy(update={"purpose": "done", "cause": "separation", "named": lost})
        step = np.linalg.solve(hessian, score)
        floor = rounding["score"] * float(np.abs(np.linalg.inv(hessian)).sum(axis=1).max())
        return self._forward(accepted, point, step, floor, found)

    def _forward(self, state: Fitting, point: Reals, step: Reals, floor: float, found: Total) -> Fitting:
        """Apply the step. The last one, below 1e-6 or below the noise of the sums, is applied too, and then looked at once more."""
        size = float(np.abs(step).max())
        null, null_step = state.null, 0.0
        if null is not None:
            null_step = float(found["null"][1] / found["null"][2])
            null += null_step
        exact = self.law.canonical or state.observed
        small = exact and size < max(SMALL_STEP, floor) and abs(null_step) < max(SMALL_STEP, floor)
        closed = self.law.family == "gaussian"  # one step solves a quadratic
        if not small and not closed and state.steps >= MOST_STEPS:
            return state.model_copy(
                update={"purpose": "done", "cause": "no_convergence", "named": self._farthest(state, step)}
            )
        return state.model_copy(
            update={
                "purpose": "final" if small or closed else "step",
                "point": tuple((point + step).tolist()),
                "step": tuple(step.tolist()),
                "null": null,
                "null_step": null_step,
                "observed": state.observed or (not self.law.canonical and size < NEAR),
            }
        )

    def _halved(self, state: Fitting) -> Fitting:
        if state.objective is None:
            raise self._coarse(self.outcome)
        if state.halvings >= MOST_HALVINGS:
            return state.model_copy(update={"purpose": "done", "cause": "no_descent"})
        step = np.array(state.step) / 2
        null = state.null if state.null is None else state.null - state.null_step / 2
        return state.model_copy(
            update={
                "point": tuple((np.array(state.base) + step).tolist()),
                "step": tuple(step.tolist()),
                "halvings": state.halvings + 1,
                "null": null,
                "null_step": state.null_step / 2,
            }
        )

    def _independent(self, state: Fitting, information: Reals) -> Places:
        """Columns that are not linear in earlier ones. Errors: `ConfigError MODEL_COLLINEAR` with the names of a set."""
        found = design.dependent(information)
        if found and self.question.collinear == "refuse":
            names = ("intercept", *self._names(state))
            number, others = next(iter(found.items()))
            raise ConfigError("MODEL_COLLINEAR", name=names[number], names=", ".join(names[each] for each in others))
        return np.array([number for number in range(len(information)) if number not in found])

    def _precise(self, state: Fitting, information: Reals, rounding: float, found: Total) -> None:
        """Errors: `ConfigError MODEL_PRECISION` where rounding alone would move a coefficient by more than 1e-8 standard errors."""
        dispersion = found.number("pearson") / found.number("frequency") if self.law.dispersed else 1.0
        errors = predicted(information, rounding, dispersion)
        worst = int(np.argmax(errors))
        if errors[worst] > MOST_ERROR:
            pieces = [self.outcome, *(self.design.pieces[group[0]] for group in state.columns.groups)]
            raise self._coarse(pieces[worst])

    def _growing(self, state: Fitting, point: Reals, kept: Places) -> tuple[int, ...]:
        """For how many rounds in a row each coefficient grew."""
        before = np.array(state.base)[kept] if state.base else np.full(len(kept), np.inf)
        past = np.array(state.grew)[kept]
        return tuple(
            int(times) + 1 if abs(now) > abs(was) else 0 for times, now, was in zip(past, point, before, strict=True)
        )

    def _lost(self, state: Fitting, hessian: Reals, found: Total) -> tuple[str, ...]:
        """Columns that separate the outcome: their coefficients have no finite estimate."""
        if self.law.dispersed or self.question.penalty is not None:
            return ()
        names, point = self._names(state), np.abs(np.array(state.point))
        eigenvalues = np.linalg.eigvalsh(hessian)
        if eigenvalues[0] < FLAT * eigenvalues[-1]:
            return self._farthest(state, point)
        errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
        grew = np.array(state.grew) >= 3
        lost = np.flatnonzero((point > FAR) | (grew & (errors > LOST)))
        found_names = tuple(names[number - 1] for number in lost if number > 0)
        perfect = self.law.family == "binomial" and found.number("deviance") < PERFECT * found.number("frequency")
        return found_names or (self._farthest(state, point) if perfect else ())

    def _farthest(self, state: Fitting, sizes: Reals) -> tuple[str, ...]:
        names = self._names(state)
        return (names[int(np.argmax(np.abs(sizes[1:])))],) if names else ()

    def _names(self, state: Fitting) -> tuple[str, ...]:
        return state.columns.names(self.design.pieces)

    def _on_final(self, state: Fitting, found: Total, rounding: dict[str, float]) -> Fitting:
        if found.overflow:
            return state.model_copy(update={"purpose": "done", "cause": "no_descent"})
        if (
            self.law.dispersed and found.number("pearson") <= rounding["pearson"]
        ):  # nothing is left to estimate an error from
            return state.model_copy(update={"purpose": "done", "cause": "perfect", "named": (self.outcome.name,)})
        final = {name: tuple(values.tolist()) for name, values in found.values.items()}
        return state.model_copy(update={"purpose": "done", "final": final, "roundings": found.parts})

    # --- the answer

    def result(self, state: Fitting) -> Result:
        """`finalize` as results.json has it."""
        return published(self.finalize(state))

    def finalize(self, state: Fitting) -> Fit:
        """Estimates, their errors and their certificate at the converged point; why there are none otherwise."""
        bare = Fit(
            converged=not state.cause,
            rounds=state.round,
            n=state.sums[0],
            left_out=state.left_out,
            dropped=state.dropped,
            collinear=state.collinear,
            cause=state.cause,
            named=state.named,
            obs_status="x" if state.cause else "",
        )
        return bare if state.cause else self._fitted(state, bare)

    def _fitted(self, state: Fitting, bare: Fit) -> Fit:
        p, n, sums = len(state.point), bare.n, state.final
        law, half = self.law, self.outcome.half
        back = state.columns.back() * half
        pearson = sums["pearson"][0]
        dispersion = pearson / (n - p) if law.dispersed or self.question.dispersion == "pearson" else 1.0
        evaluated = self._at(state, pearson)
        certificate = certify(evaluated, back, state.roundings)
        estimates = back @ evaluated.point
        estimates[0] += self.outcome.middle
        clusters = round(sums["clusters"][0]) if self.clustered else None
        if clusters is not None and clusters < FEW_CLUSTERS:
            raise ConfigError("MODEL_CLUSTERS_FEW", clusters=clusters, least=FEW_CLUSTERS)
        covariance = back @ self._covariance(state, evaluated, n, dispersion) @ back.T
        degrees = self._degrees(n - p, clusters)
        deviance = sums["deviance"][0] * half**2
        likelihood = self._likelihood(state, n, deviance, dispersion)
        names = ("intercept", *self._names(state))
        listed = coefficients(names, estimates, covariance, degrees, self.confidence, certificate.coefficients)
        doubtful = any(each.error_bound > WIDE_ERROR * each.std_error for each in listed)
        doubtful |= bare.left_out > MOST_LEFT_OUT * (bare.left_out + state.rows)
        return replace(
            bare,
            coefficients=listed,
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            degrees=degrees,
            deviance=deviance,
            null_deviance=self._null_deviance(state) * half**2,
            pearson=pearson * half**2,
            dispersion=dispersion * half**2,
            log_likelihood=likelihood,
            aic=None if likelihood is None else 2 * p - 2 * likelihood,
            bic=None if likelihood is None else p * log(n) - 2 * likelihood,
            clusters=clusters,
            coefficient_error_bound=float(certificate.coefficients.max()),
            se_error_bound=float(certificate.errors.max()),
            rms_error=certificate.rms,
            shrunken=self.question.penalty is not None,
            few_clusters=clusters is not None and clusters < MANY_CLUSTERS,
            obs_status="u" if doubtful else "",
        )

    def _at(self, state: Fitting, pearson: float) -> Evaluated:
        """The final sums as the certificate reads them, a ridge included."""
        point, sums = np.array(state.point), state.final
        penalty = self._penalty(len(point))
        expected = _square(np.array(sums["information"]), len(point)) + np.diag(penalty)
        observed = expected
        if "observed" in sums:
            observed = _square(np.array(sums["observed"]), len(point)) + np.diag(penalty)
        blocks = {each.name: each for each in self.blocks(self._last_ask(state))}
        return Evaluated(
            point=point,
            score=np.array(sums["score"]) - penalty * point,
            observed=observed,
            expected=expected,
            pearson=pearson,
            n=float(state.rows),
            score_rounding=state.roundings * blocks["score"].rounding,
            information_rounding=state.roundings * blocks["information"].rounding,
        )

    def _last_ask(self, state: Fitting) -> Ask:
        return Ask(
            round=state.round - 1,
            purpose="final",
            study=self.study,
            layout="",
            chain="",
            columns=state.columns,
            point=state.point,
            null=state.null,
        )

    def _covariance(self, state: Fitting, at: Evaluated, n: float, dispersion: float) -> Reals:
        """Of the coefficients of z: dispersion H^-1, or the sandwich J^-1 M J^-1 with its factor. A ridge has H inside its own inverse."""
        p, errors = len(at.point), self.question.errors
        if errors == "model":
            inverse = np.linalg.inv(at.expected)
            free = at.expected - np.diag(self._penalty(p))
            shrunken = inverse if self.question.penalty is None else inverse @ free @ inverse
            return np.asarray(dispersion * shrunken, np.float64)
        inverse = np.linalg.inv(at.observed)
        factor = 1.0
        if isinstance(errors, Clustered):
            groups = state.final["clusters"][0]
            factor = groups / (groups - 1) * (n - 1) / (n - p) if errors.correction and groups > 1 else 1.0
        elif errors != "hc0":
            factor = n / (n - p)
        return np.asarray(factor * (inverse @ _square(np.array(state.final["meat"]), p) @ inverse), np.float64)

    def _degrees(self, residual: float, clusters: int | None) -> float | None:
        if clusters is not None:
            return clusters - 1.0
        return residual if self.law.dispersed or self.question.dispersion == "pearson" else None

    def _null_deviance(self, state: Fitting) -> float:
        if self.offset is not None:
            return state.final["null"][0]
        _, weight, y, own, _ = state.sums
        return self.law.null_deviance(weight, y, own)

    def _likelihood(self, state: Fitting, n: float, deviance: float, dispersion: float) -> float | None:
        """None where it is not a function of sums (gaussian and gamma with analytic weights), and of a quasi-likelihood, which is none."""
        if self.question.dispersion == "pearson" and not self.law.dispersed:
            return None
        first, second = state.final["likelihood"]
        if not self.law.dispersed:
            return first
        if self.question.weights is not None and self.question.weights.kind == "analytic":
            return None
        return self.law.dispersed_likelihood(n, deviance, second, first, dispersion)


def plan(
    question: Glm,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
) -> GlmPlan:
    """A fit over `cities` cities of at most `most_rows` rows each; `study` is the digest that asks repeat.

    Errors: `ConfigError` for names, types, ranges and keys that do not go together.
    """
    made = GlmPlan(
        question=question,
        dictionary=dictionary,
        cities=cities,
        most_rows=most_rows,
        study=study,
        limits=limits or Limits(),
        design=Design.of(question.terms, dictionary, question.missing),
        offset=None if question.offset is None else Design.of([question.offset], dictionary),
        confidence=confidence,
    )
    _check(question, dictionary, cities, made)
    return made


def _check(question: Glm, dictionary: Dictionary, cities: int, made: GlmPlan) -> None:
    family, name, weights = question.family, question.outcome, question.weights
    if question.link is not None and question.link not in LINKS[family]:
        raise ConfigError("MODEL_LINK", family=family, link=question.link, known=", ".join(LINKS[family]))
    if (family == "negative_binomial") != (question.alpha is not None):
        raise ConfigError("MODEL_ALPHA")
    kind = design.known(dictionary, name, (*design.NUMERIC, "boolean"), "outcome")
    low, high = design.range_of(dictionary, name)
    fits = {
        "gaussian": kind != "boolean",
        "binomial": kind == "boolean" or (weights is not None and low >= 0 and high <= 1),
        "poisson": kind == "integer" and low >= 0,
        "gamma": kind != "boolean" and low > 0,
        "negative_binomial": kind == "integer" and low >= 0,
    }
    if not fits[family]:
        raise ConfigError("MODEL_OUTCOME_RANGE", name=name, family=family, range=f"{kind} [{low:g}, {high:g}]")
    if name in made.design.variables:
        raise ConfigError("MODEL_TERM_OUTCOME", name=name)
    if made.offset is not None and (len(made.offset.pieces) != 1 or made.offset.pieces[0].indicator):
        raise ConfigError("MODEL_TYPE", name=question.offset, kind="category", types="number", where="offset")
    if weights is not None:
        allowed = ("integer",) if weights.kind == "frequency" else design.NUMERIC
        design.known(dictionary, weights.of, allowed, "weights")
        if design.range_of(dictionary, weights.of)[0] < 0:
            raise ConfigError("MODEL_WEIGHTS", name=weights.of)
    if made.clustered == "city" and cities < FEW_CLUSTERS:
        raise ConfigError("MODEL_CLUSTERS_FEW", clusters=cities, least=FEW_CLUSTERS)
    if made.clustered not in ("", "city"):
        design.known(dictionary, made.clustered, (*design.CODED, "integer"), "errors.cluster")


def _triangle(z: Reals, weights: Reals) -> Reals:
    """The upper triangle of z' diag(w) z, row by row."""
    square = z.T @ (z * weights[:, None])
    return np.asarray(square[np.triu_indices(z.shape[1])], np.float64)


def _square(triangle: Reals, p: int) -> Reals:
    """The symmetric matrix of an upper triangle."""
    whole = np.zeros((p, p))
    whole[np.triu_indices(p)] = triangle
    return np.asarray(whole + np.triu(whole, 1).T, np.float64)
