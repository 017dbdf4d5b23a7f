"""Regressions whose city sends log-likelihood, score and observed information at a point: one plan for all of them.

A kind is a `Part`: how rows are read, what of the outcome is added up first, where the fit starts, and what the rows (or the sums) say at
a point. Each log-likelihood here is concave, so that Newton's method with halving finds its one maximum, and the last step squares the
error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Protocol

import numpy as np

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint, newton
from protocols.models.answer import Fit, coefficients, published, tests
from protocols.models.certificate import Evaluated, certify, predicted
from protocols.models.design import Columns, Design, Flags, Moments, Numbers
from protocols.models.fixedpoint import Block, Reals, TooCoarse, Total
from protocols.models.glm import MOST_ERROR
from protocols.models.glm_answer import MOST_LEFT_OUT, WIDE_ERROR
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.newton import MOST_STEPS, SMALL_STEP, Fitting, Limits
from protocols.ring import Vector

MakeBlock = Callable[[str, int, float], Block]


@dataclass(frozen=True)
class Known:
    """The rows of a batch that are in the fit. y: a class or a time, counted from 0."""

    matrix: Reals
    y: Reals
    event: Flags
    left_out: int


@dataclass(frozen=True)
class Look:
    """What sums say at a point: log-likelihood, score, observed information, and the most that rounding moves a number of each."""

    likelihood: float
    score: Reals
    information: Reals
    likelihood_off: float
    score_off: float
    information_off: float


class Part(Protocol):
    """A kind of regression. kept: classes that somebody has, where there are classes. z: columns with the constant in front."""

    @property
    def whole(self) -> bool:
        """Whether all rows of a city are measured at once."""

    @property
    def outcomes(self) -> int:
        """How many whole numbers of the outcome round 0 adds up."""

    def read(self, read: Read, rows: int, columns: Design) -> Known: ...

    def outcome(self, known: Known) -> Reals: ...

    def kept(self, counts: Reals) -> tuple[int, ...]: ...

    def start(self, counts: Reals, columns: int, limits: Limits) -> Numbers:
        """Errors: `ConfigError` where the outcome has nothing to fit."""

    def names(self, kept: Sequence[int], columns: Sequence[str]) -> tuple[str, ...]: ...

    def free(self, kept: Sequence[int], columns: int) -> Flags:
        """Which parameters are constants, that nothing separates."""

    def of_columns(self, kept: Sequence[int], columns: int, gone: Sequence[int]) -> Flags:
        """Which parameters belong to none of the columns gone, which are counted from 0."""

    def back(self, kept: Sequence[int], columns: Columns) -> Reals: ...

    def blocks(self, ask: Ask, z: float, make: MakeBlock) -> tuple[Block, ...]: ...

    def measure(self, ask: Ask, z: Reals, known: Known) -> Mapping[str, Reals]: ...

    def look(self, ask: Ask, found: Total, rounding: Mapping[str, float]) -> Look: ...

    def events(self, counts: Reals) -> int | None: ...

    def cities(self, counts: Reals) -> int | None:
        """How many cities tell of the coefficients, where not all do that have rows."""

    def thinnest(self, counts: Reals) -> int | None:
        """The fewest whose sums later rounds show apart, where there are such."""


def plain_blocks(parameters: int, score: float, information: float, make: MakeBlock) -> tuple[Block, ...]:
    """Log-likelihood, score and the triangle of the information."""
    return (
        make("likelihood", 1, 64.0),
        make("score", parameters, score),
        make("information", parameters * (parameters + 1) // 2, information),
    )


def plain_look(found: Total, rounding: Mapping[str, float]) -> Look:
    score = found["score"]
    return Look(
        likelihood=found.number("likelihood"),
        score=score,
        information=newton.square(found["information"], len(score)),
        likelihood_off=rounding["likelihood"],
        score_off=rounding["score"],
        information_off=rounding["information"],
    )


@dataclass(frozen=True)
class LikelihoodPlan:
    """A fit that every party has planned alike. most_rows: of one city. study: the digest that each ask repeats."""

    part: Part
    dictionary: Dictionary
    design: Design
    outcome: str
    cities: int
    most_rows: int
    study: str
    limits: Limits
    confidence: float
    collinear: bool  # whether later columns are left out

    @property
    def most_rounds(self) -> int:
        return 2 + MOST_STEPS

    @property
    def most_cells(self) -> int:
        """No round's vector is longer: every real block in two limbs, no column left out."""
        q = len(self.design.pieces)
        kept = tuple(range(self.part.outcomes))
        columns = Columns(groups=tuple((each,) for each in range(q)), centre=(0.0,) * q, scale=(1.0,) * q)
        point = (0.0,) * len(self.part.names(kept, [""] * q))
        ask = Ask(round=1, purpose="step", study="", layout="", chain="", columns=columns, point=point, places=kept)
        blocks = self.part.blocks(ask, 1.0, lambda name, cells, _: Block(name, cells, 36, 2))
        return max(fixedpoint.length(blocks), fixedpoint.HEADER + 2 + self.part.outcomes + 6 * q)

    @property
    def scope(self) -> str:
        return "whole" if self.part.whole else "rows"

    def at(self, place: int) -> "LikelihoodPlan":  # noqa: ARG002 every city does the same
        return self

    # --- what is asked

    def start(self) -> Fitting:
        return Fitting(chain=self.study)

    def ask(self, state: Fitting) -> Ask | Done:
        """Errors: `ConfigError MODEL_PRECISION` where a block would be too coarse."""
        if state.purpose == "done":
            return Done()
        return asked(Ask, self.study, state, ("purpose", "columns", "point", "places"), self.blocks)

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        """Errors: `ConfigError MODEL_PRECISION`, naming the column with the widest public range."""

        def make(name: str, cells: int, largest: float) -> Block:
            return fixedpoint.block(name, cells, largest, self.cities, self.most_rows)

        pieces, q = self.design.pieces, len(self.design.pieces)
        if ask.purpose == "standardise":
            counts = [Block("rows", 1), Block("left_out", 1), Block("nonzero", q), Block("seen", q)]
            return (*counts, Block("outcome", self.part.outcomes), make("x", q, 1.0), make("square", q, 1.0))
        most = ask.columns.most(pieces)
        widest = int(np.argmax(most))
        try:
            return self.part.blocks(ask, max(*most, 1.0), make)
        except TooCoarse:
            raise self._coarse(pieces[ask.columns.groups[widest][0]].name) from None

    def _coarse(self, name: str) -> ConfigError:
        ranges = {piece.name: piece.range for piece in self.design.pieces}
        return ConfigError("MODEL_PRECISION", name=name, range=ranges.get(name, ""))

    def length(self, ask: Ask) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    # --- in a city

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:
        """Float64 sums over the rows of a batch; over all rows of the city where `scope` is `whole`."""
        known = self.part.read(read, rows, self.design)
        if ask.purpose == "standardise":
            x = design.scaled(self.design.pieces, known.matrix)
            values = {
                "rows": np.array([float(len(known.y))]),
                "left_out": np.array([float(known.left_out)]),
                "nonzero": np.count_nonzero(known.matrix, axis=0).astype(np.float64),
                "outcome": self.part.outcome(known),
                "x": x.sum(axis=0),
                "square": np.einsum("ij,ij->j", x, x),
            }
            return Sums(values)
        with np.errstate(all="ignore"):  # what is not finite says `overflow` in `encode`
            return Sums(self.part.measure(ask, ask.columns.standardised(known.matrix), known))

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        values = dict(sums.values)
        if ask.purpose == "standardise":
            seen = values["nonzero"] > 0
            if self.part.whole:  # in a stratum of its own, a column that all of a city have tells nothing
                seen &= values["nonzero"] < values["rows"]
            values["seen"] = seen.astype(np.float64)
        return fixedpoint.encode(blocks, values, self.cities)

    # --- what a total means

    def tell(self, state: Fitting, ask: Ask, total: Vector) -> Fitting:
        """Errors: as of `GlmPlan.tell`."""
        blocks, expected = self.blocks(ask), self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        rounding = {each.name: found.parts * each.rounding for each in blocks}
        with_ = {"columns": ask.columns, "point": ask.point}
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total), **with_})
        if ask.purpose == "standardise":
            return self._on_moments(state, found, rounding)
        if found.overflow:
            return newton.halved(state, self._coarse(self.outcome))
        look = self.part.look(ask, found, rounding)
        return self._on_final(state, found, look) if ask.purpose == "final" else self._on_step(state, look)

    def seen(self, state: Fitting) -> Seen | None:
        """Once round 0 is in: of times, events carry the parameters; the thinnest class is one of those looked at."""
        if not state.rows:
            return None
        counts = np.array(state.sums)
        events = self.part.events(counts)
        classes = [int(counts[each]) for each in state.places]
        thin = [each for each in (state.smallest, *classes) if each is not None]
        carriers = state.rows if events is None else events
        return Seen(state.rows, len(state.point), carriers, min(thin, default=None), self.part.thinnest(counts))

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
        if not columns.groups:
            raise ConfigError("MODEL_FEW_ROWS", rows=rows, columns=0)
        counts = found["outcome"]
        point = self.part.start(counts, len(columns.groups), self.limits)
        if rows <= len(point):
            raise ConfigError("MODEL_FEW_ROWS", rows=rows, columns=len(point))
        update = {
            "purpose": "step",
            "columns": columns,
            "dropped": dropped,
            "places": self.part.kept(counts),
            "rows": rows,
            "smallest": design.smallest(self.design.pieces, columns, moments),
            "left_out": int(found.number("left_out")),
            "sums": tuple(counts.tolist()),
            "point": point,
            "grew": (0,) * len(point),
        }
        cities = self.part.cities(counts)
        few = cities is not None and cities < self.limits.column_cities
        return state.model_copy(update=update | ({"purpose": "done", "cause": "few_cities"} if few else {}))

    def _on_step(self, state: Fitting, look: Look) -> Fitting:
        objective, point = -2 * look.likelihood, np.array(state.point)
        if not np.all(np.isfinite(look.score)) or newton.rose(state, objective, 2 * look.likelihood_off):
            return newton.halved(state, self._coarse(self.outcome))
        columns, collinear, kept, final = state.columns, state.collinear, np.arange(len(point)), dict(state.final)
        if state.objective is None:
            final["null"] = (objective,)
            gone = self._dependent(state, look.information)
            names = columns.names(self.design.pieces)
            kept = np.flatnonzero(self.part.of_columns(state.places, len(names), gone))
            collinear, columns = tuple(names[number] for number in gone), columns.without(gone)
            self._precise(look.information[np.ix_(kept, kept)], look.score_off, columns)
        point, score, hessian = point[kept], look.score[kept], look.information[np.ix_(kept, kept)]
        accepted = state.model_copy(
            update={
                "columns": columns,
                "collinear": collinear,
                "point": tuple(point.tolist()),
                "base": tuple(point.tolist()),
                "objective": objective,
                "halvings": 0,
                "steps": state.steps + 1,
                "grew": newton.growing(state, point, kept),
                "final": final,
            }
        )
        labels = self._labels(accepted)
        lost = newton.separated(accepted, hessian, labels, objective < newton.PERFECT * state.rows)
        if lost:
            return accepted.model_copy(update={"purpose": "done", "cause": "separation", "named": lost, "final": {}})
        step = np.asarray(np.linalg.solve(hessian, score), np.float64)
        floor = look.score_off * float(np.abs(np.linalg.inv(hessian)).sum(axis=1).max())
        small = float(np.abs(step).max()) < max(SMALL_STEP, floor)
        if not small and accepted.steps >= MOST_STEPS:
            named = newton.farthest(labels, step)
            return accepted.model_copy(update={"purpose": "done", "cause": "no_convergence", "named": named})
        moved = {"point": tuple((point + step).tolist()), "step": tuple(step.tolist())}
        return accepted.model_copy(update={"purpose": "final" if small else "step", **moved})

    def _dependent(self, state: Fitting, information: Reals) -> tuple[int, ...]:
        """Columns that are linear in others. Errors: `ConfigError MODEL_COLLINEAR`."""
        columns = state.columns.names(self.design.pieces)
        names = self.part.names(state.places, columns)
        found = design.dependent(information, np.maximum(np.diag(information), 1e-300))
        if found and not self.collinear:
            number, others = next(iter(found.items()))
            raise ConfigError("MODEL_COLLINEAR", name=names[number], names=", ".join(names[each] for each in others))
        every = range(len(columns))
        of = {at: self.part.of_columns(state.places, len(columns), (at,)) for at in every}
        return tuple(at for at in every if any(not of[at][number] for number in found))

    def _precise(self, information: Reals, off: float, columns: Columns) -> None:
        """Errors: `ConfigError MODEL_PRECISION` where rounding alone would move a coefficient by more than 1e-8 standard errors."""
        if predicted(information, off, 1.0).max() > MOST_ERROR:
            most = columns.most(self.design.pieces)
            raise self._coarse(columns.names(self.design.pieces)[int(np.argmax(most))])

    def _labels(self, state: Fitting) -> tuple[str, ...]:
        """Names of parameters, empty for constants."""
        columns = state.columns.names(self.design.pieces)
        free = self.part.free(state.places, len(columns))
        names = self.part.names(state.places, columns)
        return tuple("" if constant else name for name, constant in zip(names, free.tolist(), strict=True))

    def _on_final(self, state: Fitting, found: Total, look: Look) -> Fitting:
        final = {
            **state.final,
            "likelihood": (look.likelihood,),
            "score": tuple(look.score.tolist()),
            "information": tuple(look.information.ravel().tolist()),
            "off": (look.score_off, look.information_off),
        }
        return state.model_copy(update={"purpose": "done", "final": final, "roundings": found.parts})

    # --- the answer

    def result(self, state: Fitting) -> Result:
        """`finalize` as results.json has it."""
        fit = self.finalize(state)
        return published(fit, tests(fit, self.design.named, not fit.cause))

    def finalize(self, state: Fitting) -> Fit:
        """Estimates, their errors and their certificate at the converged point; why there are none otherwise."""
        bare = Fit(
            converged=not state.cause,
            rounds=state.round,
            n=float(state.rows),
            left_out=state.left_out,
            dropped=state.dropped,
            collinear=state.collinear,
            cause=state.cause,
            named=state.named,
            obs_status="x" if state.cause else "",
        )
        return bare if state.cause else self._fitted(state, bare)

    def _fitted(self, state: Fitting, bare: Fit) -> Fit:
        final, p = state.final, len(state.point)
        information = np.array(final["information"]).reshape(p, p)
        score_off, information_off = final["off"]
        evaluated = Evaluated(
            point=np.array(state.point),
            score=np.array(final["score"]),
            observed=information,
            expected=information,
            pearson=bare.n,
            n=bare.n,
            score_rounding=score_off,
            information_rounding=information_off,
        )
        back = self.part.back(state.places, state.columns)
        certificate = certify(evaluated, back, state.roundings)
        covariance = back @ np.linalg.inv(information) @ back.T
        names = self.part.names(state.places, state.columns.names(self.design.pieces))
        bounds = certificate.coefficients
        listed = coefficients(names, back @ evaluated.point, covariance, None, self.confidence, bounds)
        doubtful = any(each.error_bound > WIDE_ERROR * each.std_error for each in listed)
        doubtful |= bare.left_out > MOST_LEFT_OUT * (bare.left_out + state.rows)
        likelihood, events = final["likelihood"][0], self.part.events(np.array(state.sums))
        return replace(
            bare,
            coefficients=listed,
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            deviance=-2 * likelihood,
            null_deviance=final["null"][0],
            log_likelihood=likelihood,
            aic=2 * p - 2 * likelihood,
            bic=p * log(bare.n if events is None else events) - 2 * likelihood,
            events=events,
            coefficient_error_bound=float(bounds.max()),
            se_error_bound=float(certificate.errors.max()),
            rms_error=certificate.rms,
            obs_status="u" if doubtful else "",
        )
