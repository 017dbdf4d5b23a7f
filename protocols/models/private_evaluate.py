"""How well a model tells yes from no, in mode dp: one round, of two noisy blocks, and intervals that hold noise and sampling.

Leaves the city, as sums over its holders, with noise: how many have no score, and rows by bin of the log odds, class and group, of which
one holder moves one cell by 1; and for each group four totals, of which one holder moves at most three: rows of either class, the
probability, and (p - y)^2, each by 1 at most.

What ranks is made of the histogram, what calibrates of the totals. Bins are equal on the scale of the log odds, 100 from -7 to 7 by
default, so that ties in a bin cost nothing that matters where events are rare. Nothing is said that has no interval here: no slope, no
stability index, no test of bands, no rates at a cut; and nothing of a city by itself. A study that asks for these has the rest of its
answer, with what is unsaid and why.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import sqrt
from typing import Any, Final

import numpy as np
from scipy.special import expit

from protocols import entropy
from protocols.dictionary import Read
from protocols.errors import ConfigError, PeerError
from protocols.models.binning import Places
from protocols.models.discrimination import ranked
from protocols.models.evaluate import (
    CALIBRATION,
    RANKS,
    SCORES,
    Evaluate,
    EvaluateAsk,
    EvaluatePlan,
    Evaluating,
    scored,
)
from protocols.models.fixedpoint import Block, Reals
from protocols.models.interface import Ask, Done, Draw, Result, Seen, Sums, agrees, chained, layout_digest
from protocols.models.metrics import Metric, printed_rows, z_of
from protocols.models.modelfile import Predictor
from protocols.models.question import Setting
from protocols.models.scoring import adapted
from protocols.models.staged import widened
from protocols.ring import Vector
from protocols.statistics import intervals, marks
from protocols.statistics.intervals import simplex
from protocols.statistics.rows import significant

BINS: Final = 100
MOST_BINS: Final = 1000
FARTHEST: Final = 7.0  # log odds beyond which all stand in the outermost bin
UNIT: Final = 256  # of a total
HISTOGRAM: Final = "histogram"
TOTALS: Final = "totals"
SHARES: Final = {HISTOGRAM: Fraction(3, 4), TOTALS: Fraction(1, 4)}
DRAWN: Final = 400  # processes of which the band of the two distributions is made
STEPS: Final = 12
STEEPEST: Final = 10.0
UNSAID: Final = ("psi", "hosmer_lemeshow")
AT_CUT: Final = ("approved", "true_positive_rate", "false_positive_rate")
OF_SLOPE: Final = ("calibration_slope", "calibration_intercept")
WHY: Final = {
    "zh": "带噪声的计数下没有可证明的区间，故不给出；请用 exact 模式，或看校准与 AUC 的区间",
    "en": "there is no proven interval for it over noisy counts, so that it is not said; use mode exact, or look at the intervals of "
    "calibration and AUC",
}
WHY_CITIES: Final = {
    "zh": "带噪声时不给出各市的 AUC、校准与 PSI：每市自己的直方图要再付一次同样的 epsilon，小城市的区间也过宽；用 exact 模式（--exact）、"
    "经各市负责人批准后给出",
    "en": "with noise, no city's AUC, calibration or PSI is told: a histogram of its own would cost each city the same epsilon again, and "
    "small cities would have intervals too wide to use; mode exact (--exact) tells them, once the officers of the cities approve",
}


def not_offered(question: Evaluate) -> str | None:
    """The key of an evaluation that mode dp does not have; None if it has all."""
    fine = question.bins if (question.bins or 0) > MOST_BINS else None
    keys = {"against": question.against, "recalibrate": question.recalibrate, "bins": fine}
    return next((f"{key}: {value}" for key, value in keys.items() if value is not None), None)


def unsaid(question: Evaluate) -> tuple[str, ...]:
    """Measures that mode dp has no number of: those of every evaluation, and those that this one asks for."""
    at_cut = AT_CUT if question.by and question.cut is not None else ()
    return (*UNSAID, *at_cut, *(OF_SLOPE if question.slope else ()))


@dataclass(frozen=True)
class Told:
    """What noise left of one group. events, others: by bin, with `each` as the variance of a cell. no, yes, expected, squares: totals, with
    `total` as the variance of one."""

    events: Reals
    others: Reals
    each: float
    no: float
    yes: float
    expected: float
    squares: float
    total: float

    @property
    def rows(self) -> float:
        return self.no + self.yes


def _told(cells: Reals, each: float, totals: Reals, total: float) -> Told:
    """cells: classes (no, yes) x bins."""
    no, yes, expected, squares = (float(value) for value in totals)
    return Told(cells[1], cells[0], each, no, yes, expected, squares, total)


@dataclass(frozen=True)
class PrivateEvaluatePlan:
    """An evaluation with noise that every party has planned alike. `plain`: the same in mode exact."""

    plain: EvaluatePlan
    setting: Setting
    name: str

    @property
    def question(self) -> Evaluate:
        return self.plain.question

    @property
    def bins(self) -> int:
        return self.question.bins or BINS

    @property
    def groups(self) -> int:
        return len(self.plain.groups)

    @cached_property
    def draws(self) -> tuple[Draw, ...]:
        """A holder is in one cell of the histogram, and moves three totals of one group."""
        return (
            Draw(HISTOGRAM, self._cells(HISTOGRAM), 1, 1, SHARES[HISTOGRAM]),
            Draw(TOTALS, self._cells(TOTALS), 3 * UNIT, 3 * UNIT**2, SHARES[TOTALS]),
        )

    def _cells(self, name: str) -> int:
        return 1 + 2 * self.groups * self.bins if name == HISTOGRAM else 4 * self.groups

    @property
    def most_rounds(self) -> int:
        return 1

    @property
    def most_cells(self) -> int:
        return sum(self._cells(name) for name in SHARES)

    @property
    def scope(self) -> str:
        return "rows"

    # --- what is asked

    def start(self, model: Predictor | None = None, against: Predictor | None = None) -> Evaluating:
        return self.plain.start(model, against)

    def ask(self, state: Evaluating) -> EvaluateAsk | Done:
        if state.round:
            return Done()
        bare = Ask(round=0, purpose=SCORES, study=self.setting.study, layout="", chain=state.chain)
        found = widened(EvaluateAsk, bare, model=None if self.plain.model else state.model)
        return found.model_copy(update={"layout": layout_digest(self.blocks(found))})

    def blocks(self, ask: Ask) -> tuple[Block, ...]:  # noqa: ARG002 there is one round
        return tuple(Block(name, self._cells(name)) for name in SHARES)

    def length(self, ask: Ask) -> int:  # noqa: ARG002 the same
        return self.most_cells

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 the same
        return tuple(SHARES)

    # --- in a city

    def measure(self, ask: EvaluateAsk, read: Read, rows: int) -> Sums:
        """Whole numbers, which float64 adds exactly."""
        model = self.plain.model or ask.model
        if model is None:
            raise PeerError("MODEL_ASK_FOREIGN")
        probability, odds, known = scored(model, adapted(model, self.plain.dictionary, read), rows)
        outcome = read(model.outcome)
        used = known & outcome.known
        y, p = outcome.values[used].astype(np.intp), probability[used]
        group = self.plain.group_of(read, rows)[used]
        cell = (group * 2 + y) * self.bins + self.place(odds[used])
        histogram = np.bincount(cell, minlength=2 * self.groups * self.bins)
        totals = np.zeros((self.groups, 4))
        for number, value in enumerate((1.0 - y, y, p, (p - y) ** 2)):
            whole = np.rint(np.clip(value, 0, 1) * UNIT)
            totals[:, number] = np.bincount(group, weights=whole, minlength=self.groups)
        left_out = np.array([float(rows - used.sum())])
        return Sums({HISTOGRAM: np.concatenate([left_out, histogram.astype(np.float64)]), TOTALS: totals.ravel()})

    def place(self, odds: Reals) -> Places:
        """The bin of log odds."""
        at = np.floor((odds + FARTHEST) / (2 * FARTHEST) * self.bins)
        return np.clip(at, 0, self.bins - 1).astype(np.intp)

    def encode(self, ask: EvaluateAsk, sums: Sums) -> Vector:
        """What a city adds noise to. Errors: `PeerError MODEL_ASK_FOREIGN` for an ask of another study or layout."""
        if ask.study != self.setting.study or ask.layout != layout_digest(self.blocks(ask)):
            raise PeerError("MODEL_ASK_FOREIGN")
        return np.concatenate([sums.values[name].astype(np.int64) for name in SHARES])

    # --- what a total means

    def tell(self, state: Evaluating, ask: EvaluateAsk, total: Vector) -> Evaluating:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE` if the ask does not follow from the state."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != self.length(ask):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        cells = total.astype(np.float64)
        histogram, totals = np.split(cells, [self._cells(HISTOGRAM)])
        sums = {HISTOGRAM: tuple(histogram.tolist()), TOTALS: tuple((totals / UNIT).tolist())}
        return state.model_copy(update={"round": 1, "chain": chained(state.chain, ask, total), "sums": sums})

    def seen(self, state: Evaluating) -> Seen | None:  # noqa: ARG002 exact sums alone say what thresholds can be held against
        return None

    # --- the answer

    def told(self, state: Evaluating) -> tuple[Told, ...]:
        """Of all rows, and then of each group."""
        each = self.setting.variances.get(HISTOGRAM, 0.0)
        total = self.setting.variances.get(TOTALS, 0.0) / UNIT**2
        cells = np.array(state.sums[HISTOGRAM][1:]).reshape(self.groups, 2, self.bins)
        totals = np.array(state.sums[TOTALS]).reshape(self.groups, 4)
        whole = _told(cells.sum(axis=0), self.groups * each, totals.sum(axis=0), self.groups * total)
        groups = zip(cells, totals, strict=True) if self.question.by else ()
        return (whole, *(_told(of, each, four, total) for of, four in groups))

    def metrics(self, state: Evaluating) -> Iterator[Metric]:
        names = (None, *(self.plain.groups if self.question.by else ()))
        for group, told in zip(names, self.told(state), strict=True):
            found = [*self._ranking(told, group or ""), *self._calibration(told)]
            yield from (replace(each, group=group) for each in found)

    def result(self, state: Evaluating) -> Result:
        metrics, by = tuple(self.metrics(state)), self.question.by[0] if self.question.by else ""
        whole = self.told(state)[0]
        fit: dict[str, Any] = {
            "converged": True,
            "rounds": state.round,
            "n": float(round(whole.rows)),
            "left_out": max(0, round(state.sums[HISTOGRAM][0])),
            "in_sample": self.plain.in_sample,
            "curve": [[significant(each) for each in corner] for corner in self._curve(whole)],
            "bands": [],
            "unsaid": dict.fromkeys(unsaid(self.question), WHY),
            **({} if self.plain.release == "pooled" else {"cities_unsaid": WHY_CITIES}),
            **self.plain.files,
        }
        rows = [row for each in metrics for row in printed_rows(each, by)]
        rows += [row for name in unsaid(self.question) for row in printed_rows(Metric(name, None, obs_status="x"), by)]
        return Result(rows=tuple(rows), fit=fit)

    @property
    def _z(self) -> float:
        return z_of(self.plain.confidence)

    def _ranking(self, told: Told, group: str) -> Iterator[Metric]:
        """Of an area: to first order, noise in a cell of events moves it by how much more of the others lie below that cell than below an
        event; in second order, noise meets noise. Of KS: the distributions lie in a band, so that what is farthest does."""
        p, n, rows = float(told.events.sum()), float(told.others.sum()), told.rows
        noise = sqrt(self.bins * told.each)
        if min(p, n) <= marks.DIVISIBLE * noise:
            yield from (Metric(name, None, obs_status="x") for name in RANKS)
            return
        doubtful = "u" if min(p, n) < marks.CLEAR_OF_NOISE * noise else ""
        below = (np.cumsum(told.others) - told.others / 2) / n
        above = 1 - (np.cumsum(told.events) - told.events / 2) / p
        auc = float(told.events @ below) / p + self._inside(told, p, n)
        first = ((below - auc) ** 2).sum() / p**2 + ((above - auc) ** 2).sum() / n**2
        second = told.each * self.bins**2 / (2 * p**2 * n**2)
        smooth = ranked(simplex(told.events), simplex(told.others))
        assert smooth is not None  # noqa: S101 neither is empty
        sampling, of_noise = smooth.variance, told.each * (first + second)
        error, bound = sqrt(sampling + of_noise), self._bound(told, p, n)
        for name, value, factor in (("auc", auc, 1.0), ("gini", 2 * auc - 1, 2.0)):
            least = 1.0 - factor
            held = min(1.0, max(least, value))
            yield Metric(
                name,
                held,
                base=rows,
                low=max(least, held - factor * bound),
                high=min(1.0, held + factor * bound),
                std_error=factor * sqrt(sampling),
                noise=factor * sqrt(of_noise),
                ci_low=max(least, min(held, value - factor * self._z * error)),
                ci_high=min(1.0, max(held, value + factor * self._z * error)),
                obs_status=doubtful,
            )
        low, high, sampled, noised = self._farthest(told, group)
        yield Metric(
            "ks",
            smooth.ks,
            base=rows,
            low=smooth.ks,
            high=smooth.ks_high,
            std_error=sampled,
            noise=noised,
            ci_low=min(low, smooth.ks),
            ci_high=max(high, smooth.ks),
            obs_status=doubtful,
        )

    def _inside(self, told: Told, p: float, n: float) -> float:
        """What a score tells inside a bin, where a tie counts half: where the log odds of an event rise by a slope, two rows of a bin of
        width h stand in their order h / 12 slopes more often than by half. The slope is that between the bins."""
        width = 2 * FARTHEST / self.bins
        return width / 12 * slope_of(simplex(told.others), simplex(told.events), self.middle) * self._tied(told, p, n)

    def _tied(self, told: Told, p: float, n: float) -> float:
        """Of all pairs, the part that one bin holds: unbiased, and no less than none."""
        return max(0.0, float(told.events @ told.others)) / (p * n)

    @cached_property
    def middle(self) -> Reals:
        """Log odds in the middle of each bin."""
        return (np.arange(self.bins) + 0.5) / self.bins * 2 * FARTHEST - FARTHEST

    def _bound(self, told: Told, p: float, n: float) -> float:
        """How far ties in a bin can have moved the area, with the same confidence: half the sum of the products of shares."""
        both = float(told.events @ told.others)
        spread = told.each * (float(told.events @ told.events) + float(told.others @ told.others))
        return max(0.0, both + self._z * sqrt(max(0.0, spread) + self.bins * told.each**2)) / (2 * p * n)

    def _farthest(self, told: Told, group: str) -> tuple[float, float, float, float]:
        """An interval of the largest distance of the two distributions, and of that distance both errors.

        With the confidence wanted, both distributions lie everywhere in a band around what was told: as wide as made-up processes of the
        same noise and sampling are. So does the largest of their distances.
        """
        stream = entropy.public_stream(self.setting.study, self.name, f"band {group}")
        distance, apart, variances = np.zeros(self.bins), np.zeros((DRAWN, self.bins)), np.zeros((2, self.bins))
        for sign, counts in ((1, told.others), (-1, told.events)):
            total, shares = float(counts.sum()), simplex(counts) / counts.sum()
            drawn = stream.normal(size=(DRAWN, self.bins))
            sampled = drawn * np.sqrt(shares / total)
            sampled -= shares * sampled.sum(axis=1, keepdims=True)
            noised = stream.normal(size=(DRAWN, self.bins)) * sqrt(told.each) / total
            share = np.cumsum(counts) / total
            noised = np.cumsum(noised, axis=1) - share * noised.sum(axis=1, keepdims=True)
            sampled = np.cumsum(sampled, axis=1)
            distance = distance + sign * share
            apart = apart + sign * (sampled + noised)
            variances += np.stack([sampled.var(axis=0), noised.var(axis=0)])
        spread = np.maximum(np.sqrt(variances.sum(axis=0)), 1e-12)[:-1]
        distance, apart = np.abs(distance[:-1]), np.abs(apart[:, :-1])
        wide = float(np.quantile((apart / spread).max(axis=1), self.plain.confidence)) * spread
        at = int(distance.argmax())
        errors = np.sqrt(variances[:, at])
        low, high = float((distance - wide).max()), float((distance + wide).max())
        return max(0.0, low), min(1.0, high), float(errors[0]), float(errors[1])

    def _calibration(self, told: Told) -> Iterator[Metric]:
        """Ratios of totals, each with all values that noise and sampling allow (Fieller). What sampling does is seen in the histogram."""
        rows, v = told.rows, told.total
        if rows <= marks.DIVISIBLE * sqrt(2 * v):
            yield from (Metric(name, None, obs_status="x") for name in CALIBRATION)
            return
        p = expit(self.middle)
        held = np.stack([simplex(told.others), simplex(told.events)])
        parts = held / max(float(held.sum()), 1.0)

        def spread(no: Reals, yes: Reals) -> float:
            """Variance of what a row is, as the histogram has it."""
            mean = float(parts[0] @ no + parts[1] @ yes)
            return max(0.0, float(parts[0] @ no**2 + parts[1] @ yes**2) - mean**2)

        ratio = told.yes / told.expected if told.expected > marks.DIVISIBLE * sqrt(v) else None
        shared = {"brier": 0.0, "observed": v, "expected": 0.0, "calibration_in_the_large": v}
        parts_of = {
            "brier": (told.squares, v, spread(p**2, (1 - p) ** 2)),
            "observed": (told.yes, v, spread(np.zeros(self.bins), np.ones(self.bins))),
            "expected": (told.expected, v, spread(p, p)),
            "calibration_in_the_large": (told.yes - told.expected, 2 * v, spread(-p, 1 - p)),
        }
        for name in CALIBRATION:
            if name != "observed_expected":
                part, own, sampling = parts_of[name]
                yield self._quotient(name, part, rows, (own, shared[name], 2 * v), rows * sampling)
            elif ratio is None:
                yield Metric(name, None, obs_status="x")
            else:
                sampling = spread(-ratio * p, 1 - ratio * p)
                yield self._quotient(name, told.yes, told.expected, (v, 0.0, v), rows * sampling)

    def _quotient(
        self, name: str, part: float, whole: float, noise: tuple[float, float, float], drawn: float
    ) -> Metric:
        """noise: variance of the part, covariance, variance of the whole."""
        own, both, other = noise
        matrix = np.array([[own, both], [both, other]])
        _, low, high = intervals.ratio(np.array(part), np.array(whole), matrix, np.array(drawn), self._z)
        value = part / whole
        of_noise = max(0.0, own - 2 * value * both + value**2 * other)
        least, most = {"calibration_in_the_large": (-1.0, 1.0), "observed_expected": (0.0, np.inf)}.get(
            name, (0.0, 1.0)
        )
        held = float(np.clip(value, least, most))
        if np.isnan(low):
            return Metric(name, None, base=self._base(name, whole), obs_status="x")
        return Metric(
            name,
            held,
            base=self._base(name, whole),
            std_error=sqrt(drawn) / whole,
            noise=sqrt(of_noise) / whole,
            ci_low=min(held, float(np.clip(low, least, most))),
            ci_high=max(held, float(np.clip(high, least, most))),
        )

    def _base(self, name: str, whole: float) -> float | None:
        return None if name == "observed_expected" else whole

    def _curve(self, told: Told) -> tuple[tuple[float, float, float], ...]:
        """Of the nearest histogram that has no negative cell: as `Evaluation.curve`."""
        shares = [simplex(each) for each in (told.others, told.events)]
        if not all(each.sum() > 0 for each in shares):
            return ()
        above = [np.cumsum(each[::-1]) / each.sum() for each in shares]
        edges = expit(self.middle - FARTHEST / self.bins)
        corners = zip(edges[::-1], *above, strict=True)
        return ((1.0, 0.0, 0.0), *((float(at), float(x), float(y)) for at, x, y in corners))


def slope_of(others: Reals, events: Reals, odds: Reals) -> float:
    """Of the log odds of an event by those that were predicted: a logistic regression on counts by Newton's steps; 0 where none is told."""
    x, rows = np.column_stack([np.ones_like(odds), odds]), others + events
    if rows.astype(bool).sum() < 2 or not events.any() or not others.any():
        return 0.0
    at = np.array([0.0, 1.0])
    for _ in range(STEPS):
        chance = expit(np.clip(x @ at, -30, 30))
        information = x.T @ (x * (rows * np.maximum(chance * (1 - chance), 1e-6))[:, None])
        at = np.clip(at + np.linalg.solve(information, x.T @ (events - rows * chance)), -STEEPEST, STEEPEST)
    return float(np.clip(at[1], 0.0, STEEPEST))


def plan(plain: EvaluatePlan, setting: Setting, name: str) -> PrivateEvaluatePlan:
    """Errors: `ConfigError MODEL_DP_NOT_OFFERED` for keys whose answers have no interval over noise."""
    what = not_offered(plain.question)
    if what is not None:
        raise ConfigError("MODEL_DP_NOT_OFFERED", kind=f"evaluate ({what})")
    return PrivateEvaluatePlan(plain, setting, name)
