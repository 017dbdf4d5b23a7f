"""How well a model file tells yes from no on the rows of all cities. Exact mode.

Leaves the city, once: rows by bin of the score, class and group; for each band of scores and group, sums of p and of (p - y)^2; rows by bin
of each feature of a binned model. One holder moves one cell of each by 1 at most. With `slope`, a model of one column follows, the
outcome on the log odds that were predicted (`glm.py`).

Bins are equal on the scale of the probability, 1000 by default. What depends on the order inside a bin comes with the bound that holds
for any order (`discrimination.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from scipy.special import logit, ndtri

from protocols.dictionary import MISSING, Column, Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint
from protocols.models.answer import Fit
from protocols.models.binning import Bins, Places, quantile_edges
from protocols.models.design import Flags, Numbers
from protocols.models.discrimination import Ranked, calibrated, difference, ranked, shifted
from protocols.models.fixedpoint import Block, Reals
from protocols.models.glm import Fitting, Glm, GlmPlan
from protocols.models.glm import plan as plan_glm
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, chained, layout_digest
from protocols.models.modelfile import Card, Linear, Monthly, Predictor, Reference, Trees
from protocols.models.scoring import adapted, scores
from protocols.models.staged import plain, widened
from protocols.ring import Vector
from protocols.statistics.intervals import share
from protocols.statistics.question import Names
from protocols.statistics.rows import Row, Test, significant
from protocols.yamltext import Flag, Real, Record, Whole

BANDS: Final = 10
EDGES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
LEAST_CLASS: Final = 100  # events, and non-events, of a group or a city that is ranked by itself
LEAST_CELL: Final = 30  # rows in each cell of cut by class
ODDS: Final = 30.0  # log odds are taken within these
MARGIN: Final = "log_odds"
EVENT: Final = "event"


class Evaluate(Record):
    """The keys of a question `kind: evaluate`. cut: holders whose probability lies below it are approved; slope: of calibration."""

    model: str
    by: Names = ()
    bins: Annotated[Whole, Field(ge=BANDS, le=10_000)] = 1000
    cut: Annotated[Real, Field(gt=0, lt=1)] | None = None
    slope: Flag = False


class EvaluateAsk(Ask):
    """A round about one model; its numbers are those of the model of one column once that is being fitted."""

    model: Predictor


class Evaluating(Record):
    """The state between two rounds. sums: decoded, of the first; slope: the state of the model of one column that follows."""

    model: Predictor
    round: Whole = 0
    chain: str
    sums: dict[str, Numbers] = Field(default_factory=dict)
    slope: Fitting | None = None


@dataclass(frozen=True)
class Metric:
    """One row of the answer. group: a code of `by`; none: all rows. low, high: what bins alone leave open, certain. std_error and interval:
    sampling. obs_status: `z` where it is not defined, `u` where too few rows were scored; conf_status: `C` where a group is too small."""

    measure: str
    estimate: float | None
    group: str | None = None
    base: float | None = None
    low: float | None = None
    high: float | None = None
    std_error: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    feature: str | None = None
    verdict: str = ""
    obs_status: str = ""
    conf_status: str = ""


@dataclass(frozen=True)
class Evaluation:
    """metrics: as rows. curve: (score, share of the others at or above it, share of the events), the corners of the ROC polygon.
    reference: the scores in bands of equal shares, for later comparison."""

    metrics: tuple[Metric, ...]
    rows: int
    left_out: int
    in_sample: bool
    curve: tuple[tuple[float, float, float], ...]
    bands: tuple[tuple[float, float, float], ...]  # rows, mean p, share of events
    reference: Reference | None
    slope: Fit | None = None

    def find(self, measure: str, group: str | None = None) -> Metric:
        return next(each for each in self.metrics if each.measure == measure and each.group == group)


@dataclass(frozen=True)
class EvaluatePlan:
    """model: where it is known when the evaluation is planned; none where an earlier question of the study fits it, on the same rows."""

    question: Evaluate
    model: Predictor | None
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    confidence: float
    follow: GlmPlan | None

    @property
    def most_rounds(self) -> int:
        return 1 + (self.follow.most_rounds if self.follow else 0)

    @property
    def most_cells(self) -> int:
        later = self.follow.most_cells if self.follow else 0
        features = sum(_features(self.model).values()) if self.model else 0
        return max(fixedpoint.HEADER + 1 + len(self.groups) * (2 * self.question.bins + 4 * BANDS) + features, later)

    @property
    def scope(self) -> str:
        return "rows"

    @property
    def in_sample(self) -> bool:
        return self.model is None

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Codes of `by` and those of whom it is not known; one group of all rows otherwise."""
        return (*self.dictionary.codes(self.question.by[0]), MISSING) if self.question.by else ("",)

    def _cuts(self, model: Predictor) -> Places:
        """Band edges as bins: those of the model's own reference, or public ones that are close where events are rare."""
        if model.reference is not None and model.reference.grid == self.question.bins:
            return np.array(model.reference.cuts, np.intp)
        return np.unique([max(1, round(self.question.bins * each)) for each in EDGES])

    def _first(self, model: Predictor) -> tuple[Block, ...]:
        groups, bands = len(self.groups), len(self._cuts(model)) + 1
        features = {} if self.in_sample else _features(model)
        return (
            Block("left_out", 1),
            Block("histogram", groups * 2 * self.question.bins),
            fixedpoint.block("predicted", groups * bands, 1.0, self.cities, self.most_rows),
            fixedpoint.block("squares", groups * bands, 1.0, self.cities, self.most_rows),
            *((Block("features", sum(features.values())),) if features else ()),
        )

    # --- what is asked

    def start(self, model: Predictor | None = None) -> Evaluating:
        """model: of an earlier question, where none was planned with. Errors: `ConfigError MODEL_NOT_BINARY, MODEL_SCORE_COLUMN`."""
        evaluated = self.model or model
        if evaluated is None:
            raise ConfigError("MODEL_ABSENT", id=self.question.model)
        _fits(self.question.model, evaluated, self.dictionary)
        return Evaluating(model=evaluated.bare, chain=self.study)

    def ask(self, state: Evaluating) -> EvaluateAsk | Done:
        if state.round == 0:
            layout = layout_digest(self._first(state.model))
            first = Ask(round=0, purpose="scores", study=self.study, layout=layout, chain=state.chain)
            return widened(EvaluateAsk, first, model=state.model)
        asked = self.follow.ask(state.slope) if self.follow and state.slope else Done()
        return asked if isinstance(asked, Done) else widened(EvaluateAsk, asked, model=state.model)

    def blocks(self, ask: EvaluateAsk) -> tuple[Block, ...]:
        return self._later.blocks(plain(ask)) if ask.round else self._first(ask.model)

    def length(self, ask: EvaluateAsk) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: EvaluateAsk) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    @property
    def _later(self) -> GlmPlan:
        if self.follow is None:
            raise PeerError("MODEL_ASK_FOREIGN")
        return self.follow

    # --- in a city

    def measure(self, ask: EvaluateAsk, read: Read, rows: int) -> Sums:
        """read: columns of the city's own dictionary."""
        model = ask.model
        here = adapted(model, self.dictionary, read)
        probability, log_odds, known = _scored(model, here, rows)
        outcome = read(model.outcome)
        used = known & outcome.known
        if ask.round:
            columns = {MARGIN: Column(log_odds, used), EVENT: outcome}
            return self._later.measure(plain(ask), columns.__getitem__, rows)
        y, p = outcome.values[used].astype(np.intp), probability[used]
        place = np.minimum((p * self.question.bins).astype(np.intp), self.question.bins - 1)
        group, cuts = self._group(read, rows)[used], self._cuts(model)
        groups, bands = len(self.groups), len(cuts) + 1
        cell = (group * 2 + y) * self.question.bins + place
        at = group * bands + np.searchsorted(cuts, place, side="right")
        sums = {
            "left_out": np.array([float(rows - used.sum())]),
            "histogram": np.bincount(cell, minlength=groups * 2 * self.question.bins).astype(np.float64),
            "predicted": np.bincount(at, weights=p, minlength=groups * bands),
            "squares": np.bincount(at, weights=(p - y) ** 2, minlength=groups * bands),
        }
        if not self.in_sample and _features(model):
            counts = [np.bincount(each.places(model.domain, here)[used], minlength=each.cells) for each in _bins(model)]
            sums["features"] = np.concatenate(counts).astype(np.float64)
        return Sums(sums)

    def _group(self, read: Read, rows: int) -> Places:
        if not self.question.by:
            return np.zeros(rows, np.intp)
        given = read(self.question.by[0])
        return np.where(given.known, given.values, len(self.groups) - 1).astype(np.intp)

    def encode(self, ask: EvaluateAsk, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if ask.round:
            return self._later.encode(plain(ask), sums)
        blocks = self._first(ask.model)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        return fixedpoint.encode(blocks, sums.values, self.cities)

    # --- what a total means

    def tell(self, state: Evaluating, ask: EvaluateAsk, total: Vector) -> Evaluating:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError MODEL_…` where a slope cannot be fitted."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        if state.slope is not None:
            slope = self._later.tell(state.slope, plain(ask), total)
            return state.model_copy(update={"round": slope.round, "chain": slope.chain, "slope": slope})
        blocks = self._first(state.model)
        if len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        chain = chained(state.chain, ask, total)
        first = None if self.follow is None else self.follow.start().model_copy(update={"round": 1, "chain": chain})
        sums = {name: tuple(values.tolist()) for name, values in found.values.items()}
        return Evaluating(model=state.model, round=1, chain=chain, sums=sums, slope=first)

    def seen(self, state: Evaluating) -> Seen | None:
        """A model is looked at, not estimated; what follows is a slope and a constant."""
        rows = int(sum(state.sums.get("histogram", ())))
        return Seen(rows, 2, rows) if state.round else None

    # --- the answer

    def result(self, state: Evaluating) -> Result:
        """`finalize` as results.json has it."""
        found, by = self.finalize(state), self.question.by[0] if self.question.by else ""
        fit = {
            "converged": True,
            "rounds": state.round,
            "n": found.rows,
            "left_out": found.left_out,
            "in_sample": found.in_sample,
            "curve": [[significant(each) for each in corner] for corner in found.curve],
            "bands": [[significant(each) for each in band] for band in found.bands],
        }
        rows = [row for each in found.metrics for row in _rows(each, by)]
        return Result(rows=tuple(rows), tests=tuple(_tests(found.metrics, by)), fit=fit)

    def finalize(self, state: Evaluating) -> Evaluation:
        bins, cuts = self.question.bins, self._cuts(state.model)
        bands = len(cuts) + 1
        histogram = np.array(state.sums["histogram"]).reshape(len(self.groups), 2, bins)
        predicted, squares = (np.array(state.sums[name]).reshape(-1, bands) for name in ("predicted", "squares"))
        pooled = histogram.sum(axis=0)
        left_out, rows = int(state.sums["left_out"][0]), int(pooled.sum())
        metrics = list(self._of_rows(cuts, pooled, predicted.sum(axis=0), squares.sum(axis=0), None))
        for number, code in enumerate(self.groups if self.question.by else ()):
            metrics += self._of_rows(cuts, histogram[number], predicted[number], squares[number], code)
        if self.question.by and self.question.cut is not None:
            metrics += self._fairness(histogram)
        metrics += self._stability(state, pooled)
        fit = self.follow.finalize(state.slope) if self.follow and state.slope else None
        for term, measure in (("intercept", "calibration_intercept"), (MARGIN, "calibration_slope")) if fit else ():
            metrics.append(_coefficient(fit, term, measure))
        counts = _banded(pooled, cuts)
        return Evaluation(
            metrics=tuple(metrics),
            rows=rows,
            left_out=left_out,
            in_sample=self.in_sample,
            curve=self._curve(pooled),
            bands=tuple(
                (float(n), float(p / n), float(e / n))
                for n, p, e in zip(counts.sum(axis=0), predicted.sum(axis=0), counts[1], strict=True)
                if n
            ),
            reference=equal_bands(pooled.sum(axis=0)),
            slope=fit,
        )

    def _of_rows(
        self, cuts: Places, counts: Reals, predicted: Reals, squares: Reals, group: str | None
    ) -> Iterator[Metric]:
        """What ranks and what calibrates. A group is answered for where it has 100 rows of each class."""
        names = ("auc", "gini", "ks", "brier", "observed", "expected", "calibration_in_the_large", "hosmer_lemeshow")
        rows, least = float(counts.sum()), float(counts.sum(axis=1).min())
        if group is not None and least < LEAST_CLASS:
            yield from (Metric(name, None, group, conf_status="C") for name in names)
            return
        yield from _ranking(ranked(counts[1], counts[0]), group, rows, self.confidence)
        banded = _banded(counts, cuts)
        fitted = calibrated(squares, predicted, banded[1], banded.sum(axis=0), self.in_sample)
        if fitted is None:
            yield from (Metric(name, None, group, base=0.0, obs_status="z") for name in names[3:])
            return
        yield Metric("brier", fitted.brier, group, rows)
        observed, low, high = _share(fitted.observed * rows, rows, self.confidence)
        yield Metric("observed", observed, group, rows, ci_low=low, ci_high=high)
        yield Metric("expected", fitted.expected, group, rows)
        yield Metric("calibration_in_the_large", fitted.observed - fitted.expected, group, rows)
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
        place = round((self.question.cut or 0.0) * self.question.bins)
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
            return {name: (*_share(part, whole, self.confidence), whole) for name, (part, whole) in parts.items()}

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
        """Of scores and of features, against the rows that the model was made on; nothing on those rows themselves."""
        if self.in_sample:
            return
        model, reference = state.model, state.model.reference
        if reference is not None and reference.grid == self.question.bins:
            yield _shift("psi", np.array(reference.counts, float), _banded(pooled, self._cuts(model)).sum(axis=0), None)
        if not isinstance(model.fit, Card):
            return
        counts = np.split(np.array(state.sums["features"]), np.cumsum(list(_features(model).values()))[:-1])
        for feature, now in zip(model.fit.features, counts, strict=True):
            rows = np.bincount(np.array(feature.place), weights=now, minlength=len(feature.card)).astype(np.float64)
            told = [number for number, each in enumerate(feature.card) if each.events is not None]
            before = np.array([(feature.card[n].events or 0) + (feature.card[n].nonevents or 0) for n in told], float)
            yield _shift("csi", before, rows[told], feature.bins.name)

    def _curve(self, counts: Reals) -> tuple[tuple[float, float, float], ...]:
        """Corners only, from the highest score down."""
        bins = self.question.bins
        others, events = counts.sum(axis=1)
        if not others or not events:
            return ()
        held = np.flatnonzero(counts.sum(axis=0))[::-1]
        x, y = np.cumsum(counts[0, held]) / others, np.cumsum(counts[1, held]) / events
        return (
            (1.0, 0.0, 0.0),
            *((int(bin_) / bins, float(a), float(b)) for bin_, a, b in zip(held, x, y, strict=True)),
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


def _scored(model: Predictor, read: Read, rows: int) -> tuple[Reals, Reals, Flags]:
    """Probability, its log odds within +-30, and where there is one."""
    found = scores(model, read, rows)
    odds = found.margin if getattr(model.fit, "link", "logit") == "logit" else logit(found.mean)
    return found.mean, np.clip(odds, -ODDS, ODDS), found.known


def _banded(counts: Reals, cuts: Places) -> Reals:
    """Classes x bands."""
    return np.add.reduceat(counts, np.concatenate([[0], cuts]), axis=-1)


def equal_bands(counts: Reals) -> Reference | None:
    """Ten bands of about equal shares, cut at edges of bins; None where all rows stand in one."""
    cuts = tuple(int(each) for each in quantile_edges(range(1, len(counts)), counts, BANDS))
    if not cuts:
        return None
    held = np.add.reduceat(counts, np.array([0, *cuts]))
    return Reference(grid=len(counts), cuts=cuts, counts=tuple(int(each) for each in held))


def _share(part: float, whole: float, confidence: float) -> tuple[float, float, float]:
    """A share with Wilson's interval. Pre-condition: whole > 0."""
    z = -float(ndtri((1 - confidence) / 2))
    low, high = share(np.array([part]), np.array([whole]), np.zeros((2, 2)), z, True)
    return float(part / whole), float(low[0]), float(high[0])


def _ranking(found: Ranked | None, group: str | None, rows: float, confidence: float) -> Iterator[Metric]:
    if found is None:
        yield from (Metric(name, None, group, rows, obs_status="z") for name in ("auc", "gini", "ks"))
        return
    z, error = -float(ndtri((1 - confidence) / 2)), float(np.sqrt(found.variance))
    for name, value, factor in (("auc", found.auc, 1.0), ("gini", found.gini, 2.0)):
        reach, bound, least = factor * z * error, factor * found.auc_bound, 1.0 - factor
        yield Metric(
            name,
            value,
            group,
            rows,
            low=max(least, value - bound),
            high=min(1.0, value + bound),
            std_error=factor * error,
            ci_low=max(least, value - reach),
            ci_high=min(1.0, value + reach),
        )
    yield Metric("ks", found.ks, group, rows, low=found.ks, high=found.ks_high)


def _shift(measure: str, before: Reals, now: Reals, feature: str | None) -> Metric:
    """base: the noise floor."""
    found = shifted(before, now)
    if found is None:
        return Metric(measure, None, feature=feature, obs_status="z")
    status = "u" if found.adjusted else ""
    return Metric(measure, found.index, base=found.floor, feature=feature, verdict=found.verdict, obs_status=status)


def _rows(of: Metric, by: str) -> Iterator[Row]:
    """A row, and beside it the certain bound of its error, or the floor of its noise. Of groups the measure says so."""
    keys = {name: each for name, each in ((by, of.group), ("feature", of.feature)) if each is not None}
    measure = of.measure if of.group is None else f"group_{of.measure}"

    def printed(value: float | None) -> float | None:
        return None if value is None else significant(value)

    marks: dict[str, Any] = {"obs_status": of.obs_status, "conf_status": of.conf_status}
    numbers: dict[str, Any] = {
        "base": printed(of.base),
        "se_noise": None if of.estimate is None else 0.0,
        "se_sampling": printed(of.std_error),
        "ci_low": printed(of.ci_low),
        "ci_high": printed(of.ci_high),
        "p_value": printed(of.p_value),
    }
    yield Row(measure, keys, estimate=printed(of.estimate), **numbers, **marks)
    if of.estimate is not None and of.high is not None and of.low is not None:
        yield Row(f"{measure}_bound", keys, estimate=printed(max(of.high - of.estimate, of.estimate - of.low)), **marks)


def _tests(metrics: Sequence[Metric], by: str) -> Iterator[Test]:
    """Statements about a whole table: how well bands fit, and whether scores or a feature have drifted."""
    for each in metrics:
        about: dict[str, Any] = {by: each.group} if each.group is not None else {}
        if each.measure == "hosmer_lemeshow" and each.estimate is not None and each.p_value is not None:
            values = {"statistic": significant(each.estimate), "df": each.base, "p_value": significant(each.p_value)}
            yield Test(each.measure, about | values)
        if each.verdict:
            feature = {"feature": each.feature} if each.feature else {}
            yield Test(f"{each.measure}_verdict", feature | {"verdict": each.verdict, "noise_floor": each.base})


def _coefficient(fit: Fit | None, term: str, measure: str) -> Metric:
    for each in fit.coefficients if fit else ():
        if each.term == term:
            low, high, error = each.ci_low, each.ci_high, each.std_error
            return Metric(measure, each.estimate, std_error=error, ci_low=low, ci_high=high, p_value=each.p_value)
    return Metric(measure, None, obs_status="x")


def own(histogram: Reals) -> tuple[float, float, float] | None:
    """What a city tells of itself, made on the node: AUC, KS and share of events, to 1e-3; None with fewer than 100 rows of a class.

    histogram: classes (no, yes) x bins of its own rows.
    """
    others, events = histogram.sum(axis=1)
    if min(others, events) < LEAST_CLASS:
        return None
    found = ranked(histogram[1], histogram[0])
    if found is None:
        return None
    return round(found.auc, 3), round(found.ks, 3), round(float(events / (events + others)), 3)


def _fits(name: str, model: Predictor, dictionary: Dictionary) -> None:
    """Whether a model can be evaluated on rows of this dictionary."""
    if isinstance(model.fit, Linear) and model.fit.family != "binomial":
        raise ConfigError("MODEL_NOT_BINARY", id=name)
    design.known(dictionary, model.outcome, ("boolean",), "outcome")
    adapted(model, dictionary, _nothing)


def _nothing(name: str) -> Column:
    raise KeyError(name)


def plan(
    question: Evaluate,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    model: Predictor | None = None,
    confidence: float = 0.95,
) -> EvaluatePlan:
    """model: as in `EvaluatePlan`.

    Errors: `ConfigError` MODEL_NOT_BINARY, MODEL_CUT, MODEL_SCORE_COLUMN, STUDY_VARIABLE, MODEL_TYPE, STUDY_AXES.
    """
    if model is not None:
        _fits(question.model, model, dictionary)
    for name in question.by:
        design.known(dictionary, name, design.CODED, "by")
    if len(question.by) > 1:
        raise ConfigError("STUDY_AXES", count=len(question.by), limit=1)
    if question.cut is not None and abs(question.cut * question.bins - round(question.cut * question.bins)) > 1e-9:
        raise ConfigError("MODEL_CUT", cut=f"{question.cut:g}", bins=question.bins)
    follow = None
    if question.slope:
        ends = [f"{-ODDS:g}", f"{ODDS:g}"]
        variables = {MARGIN: {"type": "number", "range": ends}, EVENT: {"type": "boolean"}}
        tree = {"dictionary": "calibration", "version": 1, "variables": variables}
        asked = Glm(family="binomial", outcome=EVENT, terms=(MARGIN,))
        domain = Dictionary.model_validate(tree, strict=False)
        follow = plan_glm(asked, domain, cities, most_rows, study, confidence=confidence)
    return EvaluatePlan(question, model, dictionary, cities, most_rows, study, confidence, follow)
