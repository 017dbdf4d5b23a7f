"""How well a model tells yes from no on the rows of all cities. Mode exact; with noise: `private_evaluate.py`.

Leaves the city, once: rows by bin of the score, class and group; for each band of scores and group, sums of p and of (p - y)^2; rows by bin
of each feature of a binned model. One holder moves one cell of each by 1 at most. With `against`, the same histogram of another model, and
then two sums of products (`paired.py`); by city, then a few numbers that a city made of itself (`of_cities.py`). With `slope`, a model of
one column follows, the outcome on the log odds that were predicted (`glm.py`).

Bins are equal on the scale of the probability, 1000 by default. What depends on the order inside a bin comes with the bound that holds
for any order (`discrimination.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from scipy.special import logit

from protocols.dictionary import MISSING, Column, Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint, of_cities, paired, saved
from protocols.models.answer import Fit
from protocols.models.binning import Bins, Places
from protocols.models.design import Flags, Numbers
from protocols.models.discrimination import calibrated, difference, ranked
from protocols.models.fixedpoint import Block, Reals
from protocols.models.glm import Fitting, Glm, GlmPlan
from protocols.models.glm import plan as plan_glm
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, chained, layout_digest
from protocols.models.metrics import (
    BANDS,
    Metric,
    banded,
    calibration,
    coefficient,
    equal_bands,
    over,
    part_of,
    printed_rows,
    ranking,
    shift,
    statements,
    thick,
    thicker,
    z_of,
)
from protocols.models.modelfile import Card, Linear, ModelFile, Monthly, Predictor, Reference, Trees
from protocols.models.of_cities import FIGURES, LEAST_CLASS, Own
from protocols.models.recalibrate import Method, possible, recalibrated
from protocols.models.scoring import adapted, scores
from protocols.models.staged import plain, widened
from protocols.ring import Vector
from protocols.statistics.question import Names, Release
from protocols.statistics.rows import significant
from protocols.yamltext import Flag, Real, Record, Whole

EDGES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
BINS: Final = 1000
RANKS: Final = ("auc", "gini", "ks")
CALIBRATION: Final = ("brier", "observed", "expected", "observed_expected", "calibration_in_the_large")
LEAST_CELL: Final = 30  # rows in each cell of cut by class
ODDS: Final = 30.0  # log odds are taken within these
MARGIN: Final = "log_odds"
EVENT: Final = "event"
SCORES: Final = "scores"  # rounds, in their order, each where it is asked for
PAIRS: Final = "pairs"
CITIES: Final = "cities"


class Evaluate(Record):
    """The keys of a question `kind: evaluate`. against: a model that it is held against, on the rows that both score. bins: default 1000,
    in mode dp 100. cut: holders whose probability lies below it are approved; slope: of calibration; recalibrate: make a new version of
    the model by the constant, or the constant and slope, that these rows have."""

    model: str
    against: str | None = None
    by: Names = ()
    bins: Annotated[Whole, Field(ge=BANDS, le=10_000)] | None = None
    cut: Annotated[Real, Field(gt=0, lt=1)] | None = None
    slope: Flag = False
    recalibrate: Method | None = None


class EvaluateAsk(Ask):
    """A round about one model, or two; they are left out where the study itself holds them. Its numbers are those of the model of one
    column once that is being fitted. counts: of `pairs`, the pooled histogram of each model, classes end to end. reference: of `cities`."""

    model: Predictor | None = None
    against: Predictor | None = None
    counts: tuple[tuple[Whole, ...], ...] = ()
    reference: Reference | None = None


class Evaluating(Record):
    """The state between two rounds. sums: decoded; slope: the state of the model of one column that follows."""

    model: Predictor
    against: Predictor | None = None
    round: Whole = 0
    chain: str
    sums: dict[str, Numbers] = Field(default_factory=dict)
    slope: Fitting | None = None


@dataclass(frozen=True)
class Evaluation:
    """metrics: as rows. curve: (score, share of the others at or above it, share of the events), the corners of the ROC polygon.
    reference: the scores in bands of equal shares, for later comparison. cities: of each, by its place, what it told of itself."""

    metrics: tuple[Metric, ...]
    rows: int
    left_out: int
    in_sample: bool
    curve: tuple[tuple[float, float, float], ...]
    bands: tuple[tuple[float, float, float], ...]  # rows, mean p, share of events
    reference: Reference | None
    slope: Fit | None = None
    cities: tuple[tuple[Metric, ...], ...] = ()

    def find(self, measure: str, group: str | None = None) -> Metric:
        return next(each for each in self.metrics if each.measure == measure and each.group == group)


@dataclass(frozen=True)
class EvaluatePlan:
    """model, against: where they are known when the evaluation is planned; none where an earlier question of the study fits them, on the
    same rows. as_of: of the rows. place: which of the cities answers, counted from 0."""

    question: Evaluate
    model: Predictor | None
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    confidence: float
    follow: GlmPlan | None
    against: Predictor | None = None
    release: Release = "pooled"
    as_of: date | None = None
    place: int | None = None

    def at(self, place: int) -> "EvaluatePlan":
        """The same plan in one of the cities."""
        return replace(self, place=place)

    @property
    def bins(self) -> int:
        return self.question.bins or BINS

    @property
    def purposes(self) -> tuple[str, ...]:
        """Of the rounds before a model of one column."""
        pairs = (PAIRS,) if self.question.against is not None else ()
        return (SCORES, *pairs, *(() if self.release == "pooled" else (CITIES,)))

    @property
    def most_rounds(self) -> int:
        return len(self.purposes) + (self.follow.most_rounds if self.follow else 0)

    @property
    def most_cells(self) -> int:
        later = self.follow.most_cells if self.follow else 0
        features = sum(_features(self.model).values()) if self.model else 0
        other = 2 * self.bins + 4 if self.question.against is not None else 0
        first = fixedpoint.HEADER + 1 + len(self.groups) * (2 * self.bins + 4 * BANDS) + features + other
        return max(first, fixedpoint.HEADER + self.cities * len(FIGURES), later)

    @property
    def scope(self) -> str:
        return "rows" if self.release == "pooled" else "city"

    @property
    def in_sample(self) -> bool:
        """Whether its rows may be those that the model was fitted on: those of the study itself, or of the same day."""
        made = self.model.as_of if isinstance(self.model, ModelFile) else None
        return self.model is None or (made is not None and made == self.as_of)

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Which files it evaluates, if any."""
        both = (("evaluated", self.model), ("against", self.against))
        return {key: stated(each) for key, each in both if isinstance(each, ModelFile)}

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Codes of `by` and those of whom it is not known; one group of all rows otherwise."""
        return (*self.dictionary.codes(self.question.by[0]), MISSING) if self.question.by else ("",)

    def _cuts(self, model: Predictor) -> Places:
        """Band edges as bins: those of the model's own reference, or public ones that are close where events are rare."""
        if model.reference is not None and model.reference.grid == self.bins:
            return np.array(model.reference.cuts, np.intp)
        return np.unique([max(1, round(self.bins * each)) for each in EDGES])

    def _first(self, model: Predictor) -> tuple[Block, ...]:
        groups, bands = len(self.groups), len(self._cuts(model)) + 1
        features = _features(self.model) if self.model else {}
        found = [
            Block("left_out", 1),
            Block("histogram", groups * 2 * self.bins),
            fixedpoint.block("predicted", groups * bands, 1.0, self.cities, self.most_rows),
            fixedpoint.block("squares", groups * bands, 1.0, self.cities, self.most_rows),
        ]
        if features:
            found.append(Block("features", sum(features.values())))
        if self.question.against is not None:
            found += [
                Block("against", 2 * self.bins),
                fixedpoint.block("against_predicted", 1, 1.0, self.cities, self.most_rows),
                fixedpoint.block("against_squares", 1, 1.0, self.cities, self.most_rows),
            ]
        return tuple(found)

    # --- what is asked

    def start(self, model: Predictor | None = None, against: Predictor | None = None) -> Evaluating:
        """model, against: of an earlier question, where none was planned with. Errors: `ConfigError` MODEL_ABSENT, MODEL_NOT_BINARY,
        MODEL_OUTCOMES, MODEL_VARIABLES."""
        evaluated, other = self.model or model, self.against or against
        if evaluated is None:
            raise ConfigError("MODEL_ABSENT", id=self.question.model)
        _fits(self.question.model, evaluated, self.dictionary)
        if self.question.against is not None:
            if other is None:
                raise ConfigError("MODEL_ABSENT", id=self.question.against)
            _fits(self.question.against, other, self.dictionary)
            _alike(self.question, evaluated, other)
        return Evaluating(model=evaluated.bare, against=other.bare if other else None, chain=self.study)

    def ask(self, state: Evaluating) -> EvaluateAsk | Done:
        models: dict[str, Any] = {
            "model": None if self.model else state.model,
            "against": None if self.against else state.against,
        }
        if state.round >= len(self.purposes):
            asked = self.follow.ask(state.slope) if self.follow and state.slope else Done()
            return asked if isinstance(asked, Done) else widened(EvaluateAsk, asked, **models)
        purpose = self.purposes[state.round]
        plain_ask = Ask(round=state.round, purpose=purpose, study=self.study, layout="", chain=state.chain)
        counts = [self._pooled(state).ravel().tolist(), state.sums["against"]] if purpose == PAIRS else []
        models |= {
            "counts": tuple(tuple(int(cell) for cell in each) for each in counts),
            "reference": self._reference(state) if purpose == CITIES else None,
        }
        bare = widened(EvaluateAsk, plain_ask, **models)
        return bare.model_copy(update={"layout": layout_digest(self.blocks(bare))})

    def _pooled(self, state: Evaluating) -> Reals:
        """The histogram of the model, classes x bins, over all groups."""
        cells = np.array(state.sums["histogram"]).reshape(len(self.groups), 2, self.bins)
        return np.asarray(cells.sum(axis=0), np.float64)

    def _reference(self, state: Evaluating) -> Reference | None:
        """What scores of a city are held against: those that the model was made on, where its file says so; else those of all cities."""
        own = state.model.reference
        if self.model is not None and own is not None and own.grid == self.bins:
            return own
        return equal_bands(self._pooled(state).sum(axis=0))

    def blocks(self, ask: EvaluateAsk) -> tuple[Block, ...]:
        if ask.round >= len(self.purposes):
            return self._later.blocks(plain(ask))
        match self.purposes[ask.round]:
            case purpose if purpose == PAIRS:
                return (fixedpoint.block("products", 2, 1.0, self.cities, self.most_rows),)
            case purpose if purpose == CITIES:
                return (Block("cities", self.cities * len(FIGURES)),)
        return self._first(self._models(ask)[0])

    def length(self, ask: EvaluateAsk) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: EvaluateAsk) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    @property
    def _later(self) -> GlmPlan:
        if self.follow is None:
            raise PeerError("MODEL_ASK_FOREIGN")
        return self.follow

    def _models(self, ask: EvaluateAsk) -> tuple[Predictor, ...]:
        """One, or two. Errors: `PeerError MODEL_ASK_FOREIGN` where the ask leaves out what the study does not hold."""
        found = [self.model or ask.model]
        if self.question.against is not None:
            found.append(self.against or ask.against)
        models = tuple(each for each in found if each is not None)
        if len(models) < len(found):
            raise PeerError("MODEL_ASK_FOREIGN")
        return models

    # --- in a city

    def measure(self, ask: EvaluateAsk, read: Read, rows: int) -> Sums:
        """read: columns of the city's own dictionary."""
        models = self._models(ask)
        adapted_ = [adapted(each, self.dictionary, read) for each in models]
        found = [scored(each, here, rows) for each, here in zip(models, adapted_, strict=True)]
        outcome = read(models[0].outcome)
        used = outcome.known & np.logical_and.reduce([known for _, _, known in found])
        if ask.round >= len(self.purposes):
            columns = {MARGIN: Column(found[0][1], used), EVENT: outcome}
            return self._later.measure(plain(ask), columns.__getitem__, rows)
        y, ps = outcome.values[used].astype(np.intp), [each[used] for each, _, _ in found]
        places = [np.minimum((p * self.bins).astype(np.intp), self.bins - 1) for p in ps]
        match self.purposes[ask.round]:
            case purpose if purpose == PAIRS:
                one, other = (np.array(each, float).reshape(2, self.bins) for each in ask.counts)
                return Sums({"products": paired.products(one, other, y, (places[0], places[1]))})
            case purpose if purpose == CITIES:
                return Sums(self._binned(y, ps[0], places[0]))
        group, cuts = self.group_of(read, rows)[used], self._cuts(models[0])
        groups, bands = len(self.groups), len(cuts) + 1
        at = group * bands + np.searchsorted(cuts, places[0], side="right")
        sums = {
            "left_out": np.array([float(rows - used.sum())]),
            "histogram": self._binned(y + 2 * group, ps[0], places[0], 2 * groups)["histogram"],
            "predicted": np.bincount(at, weights=ps[0], minlength=groups * bands),
            "squares": np.bincount(at, weights=(ps[0] - y) ** 2, minlength=groups * bands),
        }
        if self.model is not None and _features(self.model):
            counts = [
                np.bincount(each.places(models[0].domain, adapted_[0])[used], minlength=each.cells)
                for each in _bins(self.model)
            ]
            sums["features"] = np.concatenate(counts).astype(np.float64)
        if len(models) > 1:
            sums |= {
                name.replace("histogram", "against"): each
                for name, each in self._binned(y, ps[1], places[1], prefix="against_").items()
            }
        return Sums(sums)

    def _binned(self, y: Places, p: Reals, place: Places, rows: int = 2, prefix: str = "") -> dict[str, Reals]:
        """Rows by class and bin; sums of p and of (p - y)^2."""
        cells = np.bincount(y * self.bins + place, minlength=rows * self.bins)
        return {
            "histogram": cells.astype(np.float64),
            f"{prefix}predicted": np.array([p.sum()]),
            f"{prefix}squares": np.array([((p - y) ** 2).sum()]),
        }

    def group_of(self, read: Read, rows: int) -> Places:
        """The place of each row in `groups`."""
        if not self.question.by:
            return np.zeros(rows, np.intp)
        given = read(self.question.by[0])
        return np.where(given.known, given.values, len(self.groups) - 1).astype(np.intp)

    def encode(self, ask: EvaluateAsk, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if ask.round >= len(self.purposes):
            return self._later.encode(plain(ask), sums)
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        values = self._slots(ask, sums) if self.purposes[ask.round] == CITIES else sums.values
        return fixedpoint.encode(blocks, values, self.cities)

    def _slots(self, ask: EvaluateAsk, sums: Sums) -> dict[str, Reals]:
        """Zeros but in the city's own slot. Pre-condition: the sums are those of all its rows, and it knows its place."""
        whole = np.zeros((self.cities, len(FIGURES)))
        histogram, predicted, squares = (sums.values[name] for name in ("histogram", "predicted", "squares"))
        own = Own(histogram.reshape(2, self.bins), float(predicted[0]), float(squares[0]))
        if self.place is not None:
            whole[self.place] = of_cities.slot(own, ask.reference, self.confidence)
        return {"cities": whole}

    # --- what a total means

    def tell(self, state: Evaluating, ask: EvaluateAsk, total: Vector) -> Evaluating:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError MODEL_…` where a slope cannot be fitted."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        if state.slope is not None:
            slope = self._later.tell(state.slope, plain(ask), total)
            return state.model_copy(update={"round": slope.round, "chain": slope.chain, "slope": slope})
        blocks = self.blocks(expected)
        if len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        after, chain = state.round + 1, chained(state.chain, ask, total)
        begins = self.follow is not None and after == len(self.purposes)
        first = self._later.start().model_copy(update={"round": after, "chain": chain}) if begins else None
        sums = {name: tuple(values.tolist()) for name, values in found.values.items()}
        return state.model_copy(update={"round": after, "chain": chain, "sums": {**state.sums, **sums}, "slope": first})

    def seen(self, state: Evaluating) -> Seen | None:
        """A model is looked at, not estimated; what follows is a slope and a constant."""
        rows = int(sum(state.sums.get("histogram", ())))
        return Seen(rows, 2, rows) if state.round else None

    # --- the answer

    def result(self, state: Evaluating) -> Result:
        """`finalize` as results.json has it. What is released by city alone says nothing of all rows but how many there are."""
        found, by = self.finalize(state), self.question.by[0] if self.question.by else ""
        fit: dict[str, Any] = {
            "converged": True,
            "rounds": state.round,
            "n": found.rows,
            "left_out": found.left_out,
            "in_sample": found.in_sample,
        }
        if self.release != "by_city":
            fit["curve"] = [[significant(each) for each in corner] for corner in found.curve]
            fit["bands"] = [[significant(each) for each in band] for band in found.bands]
            if self.model is None and found.reference is not None:
                fit["reference"] = found.reference.model_dump(mode="json")
        fit |= self.files
        metrics = () if self.release == "by_city" else found.metrics
        rows = [row for each in metrics for row in printed_rows(each, by)]
        cities = {
            place: (tuple(row for each in told for row in printed_rows(each, "")), tuple(statements(told, "")))
            for place, told in enumerate(found.cities)
        }
        told = tuple(statements(metrics, by))
        return Result(rows=tuple(rows), tests=told, fit=fit, cities=cities, model=self._new(state, found.slope))

    def _new(self, state: Evaluating, slope: Fit | None) -> dict[str, Any]:
        """The model with its log odds put right, where that was asked for and came out. Errors: `ConfigError MODEL_RECALIBRATE`."""
        method, name = self.question.recalibrate, self.question.model
        if method is None or slope is None or not slope.converged:
            return {}
        possible(state.model, method, name)
        by = {each.term: each.estimate for each in slope.coefficients}
        return saved.written(recalibrated(state.model, by["intercept"], by.get(MARGIN, 1.0), name))

    def finalize(self, state: Evaluating) -> Evaluation:
        cuts = self._cuts(state.model)
        bands = len(cuts) + 1
        histogram = np.array(state.sums["histogram"]).reshape(len(self.groups), 2, self.bins)
        predicted, squares = (np.array(state.sums[name]).reshape(-1, bands) for name in ("predicted", "squares"))
        pooled = histogram.sum(axis=0)
        left_out, rows = int(state.sums["left_out"][0]), int(pooled.sum())
        metrics = list(self._of_rows(cuts, pooled, predicted.sum(axis=0), squares.sum(axis=0), None))
        for number, code in enumerate(self.groups if self.question.by else ()):
            metrics += self._of_rows(cuts, histogram[number], predicted[number], squares[number], code)
        if self.question.by and self.question.cut is not None:
            metrics += self._fairness(histogram)
        metrics += self._stability(state, pooled)
        if state.against is not None:
            metrics += self._compared(state, pooled)
        fit = self.follow.finalize(state.slope) if self.follow and state.slope else None
        for term, measure in (("intercept", "calibration_intercept"), (MARGIN, "calibration_slope")) if fit else ():
            if term == "intercept" or self.question.recalibrate != "intercept":
                metrics.append(coefficient(fit, term, measure))
        _, shown, events, held = thicker(banded(pooled, cuts), predicted.sum(axis=0), squares.sum(axis=0))
        slots = np.array(state.sums.get("cities", ())).reshape(-1, len(FIGURES))
        return Evaluation(
            metrics=tuple(metrics),
            rows=rows,
            left_out=left_out,
            in_sample=self.in_sample,
            curve=self._curve(pooled),
            bands=tuple(
                (float(n), float(p / n), float(e / n)) for n, p, e in zip(held, shown, events, strict=True) if n
            ),
            reference=equal_bands(pooled.sum(axis=0)),
            slope=fit,
            cities=tuple(tuple(of_cities.of_slot(slot.tolist())) for slot in slots),
        )

    def _compared(self, state: Evaluating, pooled: Reals) -> Iterator[Metric]:
        """The other model on the same rows, and how far the first is from it."""
        other, rows = np.array(state.sums["against"]).reshape(2, self.bins), float(pooled.sum())
        here, there = ranked(pooled[1], pooled[0]), ranked(other[1], other[0])
        yield from (
            replace(each, measure=f"against_{each.measure}") for each in ranking(there, None, rows, self.confidence)
        )
        squares, predicted = (np.array(state.sums[f"against_{name}"]) for name in ("squares", "predicted"))
        fitted = calibrated(squares, predicted, pooled[1].sum(keepdims=True), np.array([rows]), self.in_sample)
        if fitted is None:
            names = ("brier", "expected", "observed_expected")
            yield from (Metric(f"against_{name}", None, base=0.0, obs_status="z") for name in names)
        else:
            share_ = part_of(float(pooled[1].sum()), rows, self.confidence)
            yield Metric("against_brier", fitted.brier, base=rows)
            yield Metric("against_expected", fitted.expected, base=rows)
            yield over("against_observed_expected", share_, fitted.expected, None, rows)
        if here is None or there is None:
            yield Metric("auc_difference", None, base=rows, obs_status="z")
            return
        found = paired.apart(here, there, np.array(state.sums["products"]), pooled.sum(axis=1))
        bound, error = here.auc_bound + there.auc_bound, float(np.sqrt(found.variance))
        reach = z_of(self.confidence) * error
        yield Metric(
            "auc_difference",
            found.difference,
            base=rows,
            low=max(-1.0, found.difference - bound),
            high=min(1.0, found.difference + bound),
            std_error=error,
            ci_low=max(-1.0, found.difference - reach),
            ci_high=min(1.0, found.difference + reach),
            p_value=found.p_value,
        )

    def _of_rows(
        self, cuts: Places, counts: Reals, predicted: Reals, squares: Reals, group: str | None
    ) -> Iterator[Metric]:
        """What ranks and what calibrates. A group is answered for where it has 100 rows of each class."""
        names = (*RANKS, *CALIBRATION, "hosmer_lemeshow")
        rows, least = float(counts.sum()), float(counts.sum(axis=1).min())
        if group is not None and least < LEAST_CLASS:
            yield from (Metric(name, None, group, conf_status="C") for name in names)
            return
        yield from ranking(ranked(counts[1], counts[0]), group, rows, self.confidence)
        fitted = calibrated(*thicker(banded(counts, cuts), predicted, squares), self.in_sample)
        if fitted is None:
            yield from (Metric(name, None, group, base=0.0, obs_status="z") for name in names[3:])
            return
        yield from calibration(fitted, group, rows, self.confidence)
        undefined = fitted.degrees <= 0
        yield Metric(
            "hosmer_lemeshow",
            None if undefined else fitted.statistic,
            group,
            None if undefined else float(fitted.degrees),
            p_value=None if undefined else fitted.p_value,
            obs_status="z" if undefined else "",
        )

    def _fairness(self, histogram: Reals) -> Iterator[Metric]:
        """Of each group with 30 rows in every cell of cut by class: approved, true and false positive rate, and their differences from the
        group with the most rows."""
        place = round((self.question.cut or 0.0) * self.bins)
        below, above = histogram[:, :, :place].sum(axis=2), histogram[:, :, place:].sum(axis=2)
        first = int(histogram.sum(axis=(1, 2)).argmax())
        told = [bool(min(below[g].min(), above[g].min()) >= LEAST_CELL) for g in range(len(self.groups))]

        def rates(group: int) -> dict[str, tuple[float, float, float, float]]:
            (low_no, low_yes), (no, yes) = below[group], above[group]
            parts = {
                "approved": (low_no + low_yes, low_no + low_yes + no + yes),
                "true_positive_rate": (yes, yes + low_yes),
                "false_positive_rate": (no, no + low_no),
            }
            return {name: (*part_of(part, whole, self.confidence), whole) for name, (part, whole) in parts.items()}

        for group, code in enumerate(self.groups):
            for name in ("approved", "true_positive_rate", "false_positive_rate"):
                apart = f"{name}_difference"
                if not told[group]:
                    yield Metric(name, None, code, conf_status="C")
                    yield Metric(apart, None, code, conf_status="C")
                    continue
                estimate, low, high, whole = rates(group)[name]
                yield Metric(name, estimate, code, whole, ci_low=low, ci_high=high)
                if not told[first]:
                    yield Metric(apart, None, code, conf_status="C")
                elif group != first:
                    off, low, high = difference((estimate, low, high), rates(first)[name][:3])
                    yield Metric(apart, off, code, whole, ci_low=low, ci_high=high)

    def _stability(self, state: Evaluating, pooled: Reals) -> Iterator[Metric]:
        """Of scores and of features, against the rows that the model was made on; nothing where the study fits it on these."""
        if self.model is None:
            return
        model, reference = state.model, state.model.reference
        if reference is not None and reference.grid == self.bins:
            yield shift("psi", np.array(reference.counts, float), banded(pooled, self._cuts(model)).sum(axis=0), None)
        if not isinstance(model.fit, Card):
            return
        counts = np.split(np.array(state.sums["features"]), np.cumsum(list(_features(model).values()))[:-1])
        for feature, now in zip(model.fit.features, counts, strict=True):
            rows = np.bincount(np.array(feature.place), weights=now, minlength=len(feature.card)).astype(np.float64)
            told = [number for number, each in enumerate(feature.card) if each.events is not None]
            before = np.array([(feature.card[n].events or 0) + (feature.card[n].nonevents or 0) for n in told], float)
            yield shift("csi", before, rows[told], feature.bins.name)

    def _curve(self, counts: Reals) -> tuple[tuple[float, float, float], ...]:
        """Corners only, from the highest score down, ten rows apart at least: what lies between two of them is a count of holders."""
        bins = self.bins
        others, events = counts.sum(axis=1)
        if not others or not events:
            return ()
        held = np.flatnonzero(counts.sum(axis=0))[::-1]
        starts = thick(counts[:, held].sum(axis=0))
        last = np.append(starts[1:], len(held)) - 1
        x, y = np.cumsum(counts[0, held])[last] / others, np.cumsum(counts[1, held])[last] / events
        return (
            (1.0, 0.0, 0.0),
            *((int(bin_) / bins, float(a), float(b)) for bin_, a, b in zip(held[last], x, y, strict=True)),
        )


def _bins(model: Predictor) -> tuple[Bins, ...]:
    """Of the features of a binned model."""
    match model.fit:
        case Card(features=features):
            return tuple(each.bins for each in features)
        case Trees(features=bins):
            return bins
        case Linear() | Monthly():
            return ()


def _features(model: Predictor) -> dict[str, int]:
    """Cells of each."""
    return {each.name: each.cells for each in _bins(model)}


def scored(model: Predictor, read: Read, rows: int) -> tuple[Reals, Reals, Flags]:
    """Probability, its log odds within +-30, and where there is one."""
    found = scores(model, read, rows)
    odds = found.margin if getattr(model.fit, "link", "logit") == "logit" else logit(found.mean)
    return found.mean, np.clip(odds, -ODDS, ODDS), found.known


def _fits(name: str, model: Predictor, dictionary: Dictionary) -> None:
    """Whether a model can be evaluated on rows of this dictionary."""
    if isinstance(model.fit, Linear) and model.fit.family != "binomial":
        raise ConfigError("MODEL_NOT_BINARY", id=name)
    design.known(dictionary, model.outcome, ("boolean",), "outcome")
    try:
        adapted(model, dictionary, _nothing)
    except ConfigError as fault:
        raise ConfigError("MODEL_VARIABLES", id=name, names=fault.values["names"]) from None


def _alike(question: Evaluate, one: Predictor, other: Predictor) -> None:
    """Two models are held against each other where they say how likely the same event is."""
    if one.outcome != other.outcome:
        raise ConfigError(
            "MODEL_OUTCOMES", id=question.model, other=question.against, one=one.outcome, two=other.outcome
        )


def stated(model: ModelFile) -> dict[str, Any]:
    """Which file a model is, and where it came from."""
    origin = {"id": model.id, "digest": model.digest, "study": model.study, "dictionary": model.dictionary}
    return origin | {"as_of": model.as_of.isoformat(), "expires": model.expires.isoformat(), "rows": model.rows}


def _nothing(name: str) -> Column:
    raise KeyError(name)


def checked(question: Evaluate, dictionary: Dictionary, model: Predictor | None, against: Predictor | None) -> None:
    """Errors: `ConfigError`, as `plan`."""
    for name, each in ((question.model, model), (question.against or "", against)):
        if each is not None:
            _fits(name, each, dictionary)
    if model is not None and against is not None:
        _alike(question, model, against)
    for name in question.by:
        design.known(dictionary, name, design.CODED, "by")
    if len(question.by) > 1:
        raise ConfigError("STUDY_AXES", count=len(question.by), limit=1)
    bins = question.bins or BINS
    if question.cut is not None and abs(question.cut * bins - round(question.cut * bins)) > 1e-9:
        raise ConfigError("MODEL_CUT", cut=f"{question.cut:g}", bins=bins)


def _recalibrates(question: Evaluate, model: Predictor | None, release: Release) -> None:
    """Errors: `ConfigError` MODEL_TOGETHER, MODEL_RECALIBRATE."""
    if question.recalibrate == "intercept" and question.slope:
        raise ConfigError("MODEL_TOGETHER", key="recalibrate: intercept", other="slope")
    if release == "by_city":
        raise ConfigError("MODEL_TOGETHER", key="recalibrate", other="release: by_city")
    if model is not None:
        possible(model, question.recalibrate or "slope", question.model)


def plan(
    question: Evaluate,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    model: Predictor | None = None,
    confidence: float = 0.95,
    *,
    against: Predictor | None = None,
    release: Release = "pooled",
    as_of: date | None = None,
) -> EvaluatePlan:
    """model, against, as_of: as in `EvaluatePlan`.

    Errors: `ConfigError` MODEL_NOT_BINARY, MODEL_OUTCOMES, MODEL_CUT, MODEL_VARIABLES, STUDY_VARIABLE, MODEL_TYPE, STUDY_AXES,
    MODEL_PRECISION.
    """
    checked(question, dictionary, model, against)
    follow = None
    if question.recalibrate is not None:
        _recalibrates(question, model, release)
    if question.slope or question.recalibrate is not None:
        ends = [f"{-ODDS:g}", f"{ODDS:g}"]
        variables = {MARGIN: {"type": "number", "range": ends}, EVENT: {"type": "boolean"}}
        tree = {"dictionary": "calibration", "version": 1, "variables": variables}
        beside: dict[str, Any] = {"offset": MARGIN} if question.recalibrate == "intercept" else {"terms": (MARGIN,)}
        asked = Glm(family="binomial", outcome=EVENT, **beside)
        domain = Dictionary.model_validate(tree, strict=False)
        follow = plan_glm(asked, domain, cities, most_rows, study, confidence=confidence)
    given = (question, model, dictionary, cities, most_rows, study, confidence, follow)
    return EvaluatePlan(*given, against=against, release=release, as_of=as_of)
