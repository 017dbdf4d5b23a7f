"""Generalised linear models by secure sums, equal to the fit of the pooled rows up to a printed bound. Exact mode.

Leaves the city, per round, as sums over its rows: round 0, moments of every column and of the outcome; each step, deviance, Pearson, score
and information at a point that all cities were told; the final round, these at the converged point, with the likelihood and, where asked
for, the middle of the sandwich (`glm_city.py`). What the totals mean stands here.

Newton's method on z = (x - mean) / sd: steps far from the optimum use expected information, which is safe; the last ones use observed
information, so that the final step squares the error for every link (docs/adr/0061, 0064).
"""

from dataclasses import dataclass, replace
from math import log
from typing import Final

import numpy as np

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint, newton, pairs
from protocols.models.answer import Fit, published, tests
from protocols.models.certificate import predicted
from protocols.models.design import Design, Moments, Piece
from protocols.models.effects import Constants
from protocols.models.families import Law
from protocols.models.fixedpoint import Block, Reals, Total
from protocols.models.glm_answer import GlmAnswer, apart, bordered
from protocols.models.glm_city import GlmCity
from protocols.models.glm_keys import Clustered as Clustered
from protocols.models.glm_keys import Firth as Firth
from protocols.models.glm_keys import Glm as Glm
from protocols.models.glm_keys import Ridge as Ridge
from protocols.models.glm_keys import Sparse as Sparse
from protocols.models.glm_keys import check, of_cities
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, asked, chained
from protocols.models.newton import MOST_STEPS as MOST_STEPS
from protocols.models.newton import NEAR, PERFECT, SMALL_STEP, Places, Stop
from protocols.models.newton import Fitting as Fitting
from protocols.models.newton import Limits as Limits
from protocols.models.rows import Weights as Weights
from protocols.models.sparse import ebic, minimum, penalised, residual, strengths
from protocols.ring import Vector
from protocols.statistics.rows import Test

MOST_ERROR: Final = 1e-8  # predicted bound, in standard errors
SMALL_LINEAR: Final = 1e-10  # a last step where each step is only a share of the one before
MOST_PATH: Final = 36
MET: Final = 1e-9  # of the conditions of a minimum, per row
MOST_FIRTH: Final = 18  # of two rounds each
STALE: Final = 1e-9  # an information that changed by more gives other leverages: they are asked for again
POISSON: Final = -10.0  # an alpha of exp of this is none


@dataclass(frozen=True)
class GlmPlan:
    """A fit that every party has planned alike. labels: of the cities, where constants of theirs are answered."""

    city: GlmCity
    limits: Limits
    confidence: float
    labels: tuple[str, ...] = ()

    @property
    def question(self) -> Glm:
        return self.city.question

    @property
    def dictionary(self) -> Dictionary:
        return self.city.dictionary

    @property
    def design(self) -> Design:
        return self.city.design

    @property
    def law(self) -> Law:
        return self.city.law

    @property
    def study(self) -> str:
        return self.city.study

    @property
    def outcome(self) -> Piece:
        return self.city.outcome

    @property
    def most_rounds(self) -> int:
        if self.question.sparse is not None:
            return 2 + MOST_PATH
        return 2 + self._most_steps * (2 if self.question.firth else 1) + self.question.influence

    @property
    def _most_steps(self) -> int:
        return MOST_FIRTH if self.question.firth else MOST_STEPS

    @property
    def most_cells(self) -> int:
        """No round's vector is longer: every real block in two limbs, no column left out."""
        return self.city.most_cells

    @property
    def scope(self) -> str:
        return self.city.scope

    def at(self, place: int) -> "GlmPlan":
        """The same plan in one of the cities, counted from 0."""
        return replace(self, city=replace(self.city, place=place))

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        return self.city.blocks(ask)

    def length(self, ask: Ask) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:
        return self.city.measure(ask, read, rows)

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        return self.city.encode(ask, sums)

    # --- what is asked

    def start(self) -> Fitting:
        return Fitting(chain=self.study)

    def ask(self, state: Fitting) -> Ask | Done:
        """Errors: `ConfigError MODEL_PRECISION` where a block would be too coarse."""
        if state.purpose == "done":
            return Done()
        named = ["purpose", "columns", "point", "null", "observed", "places", "shape"]
        if state.purpose == "influence":
            inverse, variances = GlmAnswer(self.city, self.confidence, self.labels).around(state)
            return asked(Ask, self.study, state, named, self.blocks, inverse=inverse, between=variances)
        return asked(Ask, self.study, state, (*named, "inverse"), self.blocks)

    def constants(self, state: Fitting) -> Constants:
        return Constants(self.question.city_effects, state.places)

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
        with_ = {name: getattr(ask, name) for name in ("columns", "point", "null", "shape", "inverse")}
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total), **with_})
        match ask.purpose:
            case "standardise":
                return self._on_moments(state, found, rounding)
            case "step":
                return self._on_step(state, found, rounding)
            case "influence":
                return self._on_influence(state, found)
            case _:
                return self._on_final(state, found, rounding)

    def seen(self, state: Fitting) -> Seen | None:
        """Once round 0 is in. Where a holder has several rows, holders are counted, and events, of which each has one at most, carry the
        parameters."""
        if not state.rows:
            return None
        rows, carriers = (state.units[0], state.units[1]) if state.units else (state.rows, state.rows)
        return Seen(rows, len(state.point), carriers, state.smallest, state.pair)

    def _on_moments(self, state: Fitting, found: Total, rounding: dict[str, float]) -> Fitting:
        rows = int(found.number("rows"))
        if found.overflow:
            raise self.city.coarse(self.outcome)
        if rows == 0:
            raise ConfigError("MODEL_FEW_ROWS", rows=0, columns=1 + len(self.design.pieces))
        without = found.values.get("without")
        moments = Moments(rows, found["x"], found["square"], found["nonzero"], found["seen"], without)
        columns, dropped = design.standardise(
            self.design.pieces, moments, rounding["x"], self.limits.column_rows, self.limits.column_cities
        )
        weight, y, own, shift = (float(cell) for cell in found["outcome"])
        fixed = self.question.city_effects == "fixed"
        places = tuple(np.flatnonzero(found["places"] > 0).tolist()) if fixed else ()
        constants = Constants(self.question.city_effects, places)
        p = 1 + len(columns.groups)
        units = tuple(round(float(each)) for each in found.values.get("units", ()))
        self._enough(rows, max(p, constants.linear(p)), weight, y, own, units)
        if "telling" in found.values and found.number("telling") < self.limits.column_cities:
            return state.model_copy(
                update={"purpose": "done", "cause": "few_cities", "sums": (found.number("frequency"),)}
            )
        constant = self.law.link_of(y / weight) - shift / weight
        if self.law.link == "inverse":
            constant = self.law.link_of(y / weight)
        update = {
            "purpose": "step",
            "columns": columns,
            "dropped": dropped,
            "places": places,
            "rows": rows,
            "smallest": design.smallest(self.design.pieces, columns, moments),
            "left_out": int(found.number("left_out")),
            "units": units,
            "sums": (found.number("frequency"), weight, y, own, shift),
            "point": (constant,) * constants.count + (0.0,) * (p - 1),
            "null": constant if self.question.offset is not None else None,
            "shape": 0.0 if self.question.estimates_alpha else None,
            "grew": (0,) * constants.linear(p),
        }
        return state.model_copy(update=update)

    def _enough(self, rows: int, p: int, weight: float, y: float, own: float, units: tuple[int, ...]) -> None:
        """Rows for the columns, and an outcome that is not constant; of holders, where one has several rows."""
        if rows <= p:
            raise ConfigError("MODEL_FEW_ROWS", rows=rows, columns=p)
        family, least = self.law.family, self.limits.events_per_column * p
        fewest = min(y, weight - y, *units[1:])
        if family == "binomial" and self.question.weights is None and fewest < least:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.outcome.name, least=least, columns=p)
        empty = y <= 0 if family in ("poisson", "negative_binomial") else min(y, weight - y) <= 0
        if family in ("poisson", "negative_binomial", "binomial") and empty:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.outcome.name, least=1, columns=p)
        if self.law.dispersed and self.law.null_deviance(weight, y, own) <= 1e-12 * weight:
            raise ConfigError("MODEL_COLUMN_CONSTANT", name=self.outcome.name)

    def _objective(self, state: Fitting, found: Total, information: Reals, penalty: Reals) -> float:
        """What falls: deviance, or -2 log-likelihood where its dispersion is estimated, with the penalty."""
        point = np.array(state.point)
        if state.shape is not None:
            return -2 * float(found["shape"][0])
        value = found.number("deviance") + float(penalty @ (point * point))
        sparse = self.question.sparse
        if sparse is not None and state.strengths:
            free = self.constants(state).count
            value += 2 * penalised(point, free, state.strengths[len(state.path)], sparse.mix)
        return value - float(np.linalg.slogdet(information)[1]) if self.question.firth else value

    def _on_step(self, state: Fitting, found: Total, rounding: dict[str, float]) -> Fitting:
        point, slopes, m = np.array(state.point), len(state.columns.groups), self.constants(state).count
        penalty = self.question.ridge(len(point), slopes)
        information = self.constants(state).whole(found["information"], 1 + slopes)
        objective = self._objective(state, found, information, penalty)
        if found.overflow or newton.rose(state, objective, rounding["deviance"] + rounding.get("shape", 0.0)):
            return newton.halved(state, self.city.coarse(self.outcome))
        columns, collinear = state.columns, state.collinear
        kept, pair = np.arange(len(point)), state.pair
        if state.objective is None:
            pair = pairs.least(found["pairs"]) if state.units else self._pair(state, information)
            kept = self._independent(state, information, found)
            self._precise(state, information[np.ix_(kept, kept)], rounding["score"], found)
            gone = [number - m for number in range(m, len(point)) if number not in kept]
            names = columns.names(self.design.pieces)
            collinear, columns = tuple(names[number] for number in gone), columns.without(gone)
        point, score, penalty = point[kept], found["score"][kept] - (penalty * point)[kept], penalty[kept]
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
                "grew": newton.growing(state, point, kept),
            }
        )
        lost = self._lost(accepted, hessian, found)
        if lost:
            return accepted.model_copy(update={"purpose": "done", "cause": "separation", "named": lost})
        if self.question.sparse is not None:
            return self._on_path(self.question.sparse, accepted, found, score, hessian, rounding)
        if state.shape is not None:
            return self._with_shape(accepted, found, score, hessian, kept, rounding)
        step = np.linalg.solve(hessian, score)
        floor = rounding["score"] * float(np.abs(np.linalg.inv(hessian)).sum(axis=1).max())
        if self.question.firth:
            before, now = state.inverse, np.linalg.inv(hessian)
            accepted = accepted.model_copy(update={"inverse": tuple(now[np.triu_indices(len(point))].tolist())})
            if not before or apart(before, hessian) > STALE:  # leverages of another point: ask here again
                return accepted.model_copy(update={"step": (0.0,) * len(point), "steps": state.steps})
        return self._forward(accepted, point, step, floor, found)

    def _pair(self, state: Fitting, information: Reals) -> int | None:
        """Rows of the thinnest pair of codes. None where cities have left their own constants out of the information. What the constant of
        a city goes with is a table of its own, which it looks at itself (`protect.alone`)."""
        m, q = self.constants(state).count, len(state.columns.groups)
        if m == 0:
            return None
        one = np.zeros((1 + q, m + q))  # all constants as one
        one[0, :m], one[1:, m:] = 1.0, np.eye(q)
        return pairs.thinnest(
            self.design.families, self.design.pieces, state.columns, one @ information @ one.T, state.rows
        )

    def _on_path(
        self, sparse: Sparse, state: Fitting, found: Total, score: Reals, hessian: Reals, rounding: dict[str, float]
    ) -> Fitting:
        """The step for the strength that is being fitted. Where its conditions are met, from the same sums on to the next one."""
        m = self.constants(state).count
        point, n = np.array(state.point), state.sums[0]
        deviance = found.number("deviance")
        chosen = state.strengths
        if not chosen:
            alone = (sparse.strength or 0.0,)
            chosen = alone if sparse.steps is None else strengths(score, m, sparse.mix, sparse.steps)
        path, enough = list(state.path), max(MET, 2 * rounding["score"] / n)
        while len(path) < len(chosen):
            left = residual(point, score, m, chosen[len(path)], sparse.mix, n)
            if left > enough:
                break
            fit = n * log(deviance / n) if self.law.dispersed else deviance
            criterion = ebic(fit, int(np.count_nonzero(point[m:])), m, n, len(point) - m)
            path.append(
                Stop(strength=chosen[len(path)], point=state.point, fit=fit, criterion=criterion, residual=left)
            )
        state = state.model_copy(update={"strengths": chosen, "path": tuple(path)})
        full = state.steps >= MOST_PATH
        if len(path) == len(chosen) or (full and path):
            best = min(path, key=lambda stop: stop.criterion)
            return state.model_copy(update={"purpose": "final", "point": best.point})
        if full:
            return state.model_copy(update={"purpose": "done", "cause": "no_convergence"})
        strength = chosen[len(path)]
        step = minimum(point, score, hessian, m, strength, sparse.mix) - point
        objective = deviance + 2 * penalised(point, m, strength, sparse.mix)
        size = float(np.abs(step).max())
        moved = {"point": tuple((point + step).tolist()), "step": tuple(step.tolist()), "objective": objective}
        return state.model_copy(update={**moved, "observed": not self.law.canonical and size < NEAR})

    def _with_shape(
        self, state: Fitting, found: Total, score: Reals, hessian: Reals, kept: Places, rounding: dict[str, float]
    ) -> Fitting:
        """A step of coefficients and ln alpha together. Far from the optimum without their mixed derivative, which is 0 on average."""
        _, first, second = found["shape"]
        shape = state.shape or 0.0
        if shape < POISSON:
            return state.model_copy(update={"purpose": "done", "cause": "underdispersed", "named": ("alpha",)})
        point = np.array(state.point)
        if state.observed and second > 0:
            step = np.linalg.solve(bordered(hessian, found["cross"][kept], second), np.append(score, first))
        else:
            alone = first / second if second > 0 else np.sign(first)
            step = np.append(np.linalg.solve(hessian, score), np.clip(alone, -1, 1))
        floor = rounding["score"] * float(np.abs(np.linalg.inv(hessian)).sum(axis=1).max())
        moved = self._forward(state, point, step[:-1], floor, found, abs(float(step[-1])))
        return moved.model_copy(update={"shape": shape + float(step[-1]), "shape_step": float(step[-1])})

    def _forward(
        self, state: Fitting, point: Reals, step: Reals, floor: float, found: Total, beside: float = 0.0
    ) -> Fitting:
        """Apply the step. The last one, below 1e-6 or below the noise of the sums, is applied too, and then looked at once more.

        beside: the size of the step of a dispersion."""
        size = max(float(np.abs(step).max()), beside)
        null, null_step = state.null, 0.0
        if null is not None:
            null_step = float(found["null"][1] / found["null"][2])
            null += null_step
        exact = self.law.canonical or state.observed
        enough = max(SMALL_LINEAR if self.question.firth else SMALL_STEP, floor)
        small = exact and size < enough and abs(null_step) < enough
        closed = self.law.family == "gaussian"  # one step solves a quadratic
        if not small and not closed and state.steps >= self._most_steps:
            return state.model_copy(
                update={
                    "purpose": "done",
                    "cause": "no_convergence",
                    "named": newton.farthest(self._parameters(state), step),
                }
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

    def _independent(self, state: Fitting, information: Reals, found: Total) -> Places:
        """Columns that are not linear in earlier ones. Errors: `ConfigError MODEL_COLLINEAR` with the names of a set."""
        size = found["size"] if self.question.city_effects == "concentrated" else None
        dependent = design.dependent(information, size)
        if dependent and self.question.collinear == "refuse":
            names = (*self.constants(state).names(self.labels), *self._names(state))
            number, others = next(iter(dependent.items()))
            listed = ", ".join(names[each] for each in others) or f"city_effects: {self.question.city_effects}"
            raise ConfigError("MODEL_COLLINEAR", name=names[number], names=listed)
        return np.array([number for number in range(len(information)) if number not in dependent], np.intp)

    def _precise(self, state: Fitting, information: Reals, rounding: float, found: Total) -> None:
        """Errors: `ConfigError MODEL_PRECISION` where rounding alone would move a coefficient by more than 1e-8 standard errors."""
        dispersion = found.number("pearson") / found.number("frequency") if self.law.dispersed else 1.0
        errors = predicted(information, rounding, dispersion)
        worst = int(np.argmax(errors))
        if errors[worst] > MOST_ERROR:
            first = [self.design.pieces[group[0]] for group in state.columns.groups]
            raise self.city.coarse([*[self.outcome] * self.constants(state).count, *first][worst])

    def _lost(self, state: Fitting, hessian: Reals, found: Total) -> tuple[str, ...]:
        if self.law.dispersed or self.question.penalty is not None:
            return ()
        perfect = self.law.family == "binomial" and found.number("deviance") < PERFECT * found.number("frequency")
        return newton.separated(state, hessian, self._parameters(state), perfect)

    def _parameters(self, state: Fitting) -> tuple[str, ...]:
        """Names of what separation can be found in: all but one constant for all."""
        constants = self.constants(state)
        return (
            *(constants.names(self.labels) if constants.kind == "fixed" else ("",) * constants.count),
            *self._names(state),
        )

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
        then = "influence" if self.question.influence else "done"
        return state.model_copy(update={"purpose": then, "final": final, "roundings": found.parts})

    def _on_influence(self, state: Fitting, found: Total) -> Fitting:
        told = {name: tuple(found[name].tolist()) for name in ("influence", "told")}
        return state.model_copy(update={"purpose": "done", "final": {**state.final, **told}, "inverse": ()})

    # --- the answer

    def result(self, state: Fitting) -> Result:
        """`finalize` as results.json has it, and what scores by it."""
        from protocols.models import saved  # which is about this plan

        fit = self.finalize(state)
        found, constants = published(fit, self.tests(fit)), sum(each.term == "intercept" for each in fit.coefficients)
        if (
            constants != 1
        ):  # nothing was fitted, cities have constants of their own, or terms were chosen: nothing scores by it
            return found
        offset = self.city.offset
        variables = (*self.design.variables, *(offset.variables if offset else ()))
        model = saved.left(variables, self.outcome.name, saved.linear(self, state), self.dictionary)
        return replace(found, model=model)

    def tests(self, fit: Fit) -> tuple[Test, ...]:
        question = self.question
        plain = question.errors == "model" and question.penalty is None and question.city_effects == "none"
        known = not self.law.dispersed and question.dispersion is None and not question.estimates_alpha
        return tests(fit, self.design.named, plain and known)

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
        if state.cause:
            return bare
        sparse = self.question.sparse
        answer = GlmAnswer(self.city, self.confidence, self.labels)
        return answer.fitted(state, bare) if sparse is None else answer.selected(sparse, state, bare)


def plan(
    question: Glm,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
    labels: tuple[str, ...] = (),
) -> GlmPlan:
    """A fit over `cities` cities of at most `most_rows` rows each; `study` is the digest that asks repeat.

    Errors: `ConfigError` for names, types, ranges and keys that do not go together.
    """
    if question.city_effects in ("fixed", "concentrated"):
        of_cities(question.terms, f"city_effects: {question.city_effects}")
    columns = Design.of(question.terms, dictionary, question.missing)
    offset = None if question.offset is None else Design.of([question.offset], dictionary)
    check(question, dictionary, cities, columns, offset)
    city = GlmCity(question, dictionary, cities, most_rows, study, columns, offset)
    return GlmPlan(city, limits or Limits(), confidence, labels)
