"""A scorecard in mode dp: noisy counts by bin and class, and a regression with noise on the weights of evidence of these.

Leaves the city, as sums over its holders, with noise: rows by leaf of the public range, for numbers whose edges are not written; rows by
pre-bin and class, all features in one vector; then the products and the five scores of `private.py`. Three tenths of the budget are for the
counts, a third of these for leaves where there are some. The centre and the spread of each weight of evidence follow from the noisy counts,
so that no moments are asked for.

The features that are left out are known after the counts alone, and the noise before them: it is that of all features of the question. What
the fewer that are left ask for is written in front of a vector of the declared length; behind it stands noise. A sign that noise turned is
no reason to fit again: there is no budget for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import sqrt
from typing import Any, Final

import numpy as np
from pydantic import Field
from scipy.optimize import isotonic_regression

from protocols.dictionary import Read
from protocols.errors import ConfigError, PeerError
from protocols.models import evidence
from protocols.models.binning import Edges, quantile_edges
from protocols.models.evidence import LEAST_CLASS, LEAST_VALUE, SURE, Binned
from protocols.models.fixedpoint import Block, Reals
from protocols.models.interface import Done, Draw, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.likeness import Levels
from protocols.models.modelfile import Weight
from protocols.models.private import PrivateAsk, PrivateFit, PrivatePlan
from protocols.models.question import Setting
from protocols.models.saved import left
from protocols.models.scorecard import CardState, ScorecardPlan, Stage
from protocols.models.staged import inner, widened
from protocols.ring import Vector
from protocols.statistics.rows import Row, significant

LEAVES: Final = "leaves"
HISTOGRAM: Final = "histogram"
COUNTS: Final = Fraction(3, 10)  # of the budget
SEARCH: Final = Fraction(1, 10)  # of it, for leaves
LEAST_SPREAD: Final = 0.05  # of a weight of evidence, so that noise is not what columns are divided by
WITHOUT: Final = ("iv", "woe", "points")  # measures of bins that the same counts chose


class PrivateCardAsk(PrivateAsk):
    """A round of a card with noise: `edges` and `binned` as of a card (`scorecard.py`)."""

    stage: Stage
    edges: dict[str, Edges] = Field(default_factory=dict)
    binned: tuple[Binned, ...] = ()


class PrivateCarding(CardState):
    fit: PrivateFit | None = None


@dataclass(frozen=True)
class PrivateCardPlan:
    """A card with noise that every party has planned alike. `plain`: the same card in mode exact."""

    plain: ScorecardPlan
    setting: Setting
    name: str

    # --- the schedule

    @cached_property
    def regression(self) -> PrivatePlan:
        """Of all features, with columns of any range: what it declares, none of fewer features exceeds."""
        any_ = {"type": "number", "range": ["-1", "1"], "centre": "0", "spread": "1"}
        return self._regression(dict.fromkeys(self.plain.question.features, any_))

    def _regression(self, variables: dict[str, dict[str, Any]], levels: Levels | None = None) -> PrivatePlan:
        return PrivatePlan(self.plain.logit(variables), self.setting, self.name, levels=levels or {})

    @property
    def counting(self) -> tuple[str, ...]:
        """The rounds of counts."""
        return (LEAVES, HISTOGRAM) if self.plain.searched else (HISTOGRAM,)

    @cached_property
    def draws(self) -> tuple[Draw, ...]:
        """One holder is in one leaf and one pre-bin of each feature, or among those without an outcome."""
        searched, features = len(self.plain.searched), len(self.plain.question.features)
        leaves = [Draw(LEAVES, self._cells[LEAVES], searched, searched, SEARCH)] if searched else []
        share = COUNTS - sum(each.share for each in leaves)
        scores = [replace(each, share=(1 - COUNTS) * each.share) for each in self.regression.draws]
        return (*leaves, Draw(HISTOGRAM, self._cells[HISTOGRAM], features, features, share), *scores)

    @cached_property
    def _cells(self) -> dict[str, int]:
        """Of every round: as many as there can be at most."""
        found = {LEAVES: sum(each.cells for each in self.plain.leaves)}
        most = tuple(float(at) for at in range(1, self.plain.prebins))
        every = self.plain.bins(dict.fromkeys(self.plain.searched, most))
        found[HISTOGRAM] = 1 + 2 * sum(each.cells for each in every)
        return found | {each: self.regression.length_of(each) for each in self.regression.purposes}

    @property
    def most_rounds(self) -> int:
        return len(self.counting) + self.regression.most_rounds

    @property
    def most_cells(self) -> int:
        return max(each.cells for each in self.draws)

    @property
    def scope(self) -> str:
        return "rows"

    @cached_property
    def sd(self) -> float:
        """Of the noise of one pre-bin and class in the sum of all cities, in holders."""
        return sqrt(self.setting.variances.get(HISTOGRAM, 0.0))

    def ratio(self, rows: float) -> float | None:
        """As of a regression on all features (`private.py`)."""
        return self.regression.ratio(rows)

    # --- what is asked

    def start(self) -> PrivateCarding:
        return PrivateCarding(chain=self.setting.study, stage="leaves" if self.plain.searched else "histogram")

    def ask(self, state: PrivateCarding) -> PrivateCardAsk | Done:
        if state.fit is not None:
            of_fit = self._fitted(state.binned).ask(state.fit)
            if isinstance(of_fit, Done):
                return of_fit
            ask = widened(PrivateCardAsk, of_fit, stage="fit", binned=state.binned, round=state.round)
            return ask.model_copy(update={"layout": layout_digest(self.blocks(ask))})
        named, study = ("stage", "edges"), self.setting.study
        return asked(PrivateCardAsk, study, state, named, self.blocks, purpose=state.stage)

    def _fitted(self, features: Sequence[Binned]) -> PrivatePlan:
        """The regression of these features: the noisy counts say where the middle of each column is, and how wide it is."""
        variables, levels = {}, {}
        for each in features:
            woe, _, _ = each.evidence(self.sd)
            part = each.rows / max(each.rows.sum(), 1.0)
            centre = float(part @ woe)
            spread = max(sqrt(float(part @ (woe - centre) ** 2)), LEAST_SPREAD)
            ends = (min(float(woe.min()), centre) - 0.125, max(float(woe.max()), centre) + 0.125)
            low, high, middle, wide = (f"{value:.6f}" for value in (*ends, centre, spread))
            variables[each.bins.name] = {"type": "number", "range": [low, high], "centre": middle, "spread": wide}
            levels[each.bins.name] = (woe, part)
        return self._regression(variables, levels)

    def _inner(self, ask: PrivateCardAsk) -> tuple[PrivatePlan, PrivateAsk]:
        """The regression that an ask is about, and what it asks there. Errors: `PeerError MODEL_ASK_FOREIGN`."""
        plan = self._fitted(ask.binned)
        return plan, inner(
            PrivateAsk, ask, round=ask.round - len(self.counting), layout=layout_digest(plan.blocks(ask))
        )

    def blocks(self, ask: PrivateCardAsk) -> tuple[Block, ...]:
        return (Block(ask.purpose, self._cells[ask.purpose]),)

    def length(self, ask: PrivateCardAsk) -> int:
        return self._cells[ask.purpose]

    def drawn(self, ask: PrivateCardAsk) -> tuple[str, ...]:
        return (ask.purpose,)

    # --- in a city

    def measure(self, ask: PrivateCardAsk, read: Read, rows: int) -> Sums:
        if ask.stage != "fit":
            return self.plain.counted(ask.stage, ask.edges, read, rows)
        plan, within = self._inner(ask)
        return plan.measure(within, self.plain.columns(ask.binned, read, rows, self.sd).__getitem__, rows)

    def encode(self, ask: PrivateCardAsk, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if ask.study != self.setting.study or ask.layout != layout_digest(self.blocks(ask)):
            raise PeerError("MODEL_ASK_FOREIGN")
        vector = np.zeros(self.length(ask), np.int64)
        if ask.stage == "fit":
            plan, within = self._inner(ask)
            cells = plan.encode(within, sums)
        else:
            names = ("leaves",) if ask.stage == "leaves" else ("unknown", "events", "others")
            cells = np.concatenate([sums.values[name] for name in names]).astype(np.int64)
        vector[: len(cells)] = cells
        return vector

    # --- what a total means

    def tell(self, state: PrivateCarding, ask: PrivateCardAsk, total: Vector) -> PrivateCarding:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError MODEL_…` where there is no card to make."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != self.length(ask):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        if state.fit is not None:
            plan, within = self._inner(ask)
            fit = plan.tell(state.fit, within, total[: plan.length(within)])
            return state.model_copy(update={"round": state.round + 1, "chain": fit.chain, "fit": fit})
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total)})
        cells = total.astype(np.float64)
        return self._on_leaves(state, cells) if ask.stage == "leaves" else self._on_histogram(state, cells)

    def _on_leaves(self, state: PrivateCarding, cells: Reals) -> PrivateCarding:
        """Edges of equal shares of the nearest counts that none is below 0: sums of noisy cells that rise."""
        edges, at = {}, 0
        for fine in self.plain.leaves:
            counts = cells[at : at + fine.values]
            whole = max(float(counts.sum()), 0.0)
            below = np.clip(isotonic_regression(np.cumsum(counts)[:-1]).x, 0.0, whole)
            edges[fine.name] = quantile_edges(fine.edges, np.diff(below, prepend=0.0, append=whole), self.plain.prebins)
            at += fine.cells
        return state.model_copy(update={"stage": "histogram", "edges": edges})

    def _on_histogram(self, state: PrivateCarding, cells: Reals) -> PrivateCarding:
        every, question = self.plain.bins(state.edges), self.plain.question
        size = sum(each.cells for each in every)
        events, others = cells[1 : 1 + size], cells[1 + size : 1 + 2 * size]
        # every feature counts all rows; those of few bins with the least noise
        weights = 1 / np.repeat([float(each.cells) for each in every], [each.cells for each in every])
        yes, no = (float(weights @ each / sum(1 / one.cells for one in every)) for each in (events, others))
        least = max(LEAST_CLASS, round(SURE * self.sd))
        if min(yes, no) < least:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=question.outcome, least=least, columns=2)
        kept, values, poor = evidence.chosen(every, (events, others), question.trend, self.sd)
        if not kept:
            raise ConfigError("MODEL_NO_FEATURE", least=f"{LEAST_VALUE:g}")
        fit = self._fitted(kept).start().model_copy(update={"chain": state.chain})
        return state.model_copy(
            update={
                "stage": "fit",
                "binned": kept,
                "values": values,
                "poor": poor,
                "rows": round(yes + no),
                "unknown": max(round(float(cells[0])), 0),
                "fit": fit,
            }
        )

    def seen(self, state: PrivateCarding) -> Seen | None:  # noqa: ARG002 exact sums alone say what thresholds can be held against
        return None

    # --- the answer

    def result(self, state: PrivateCarding) -> Result:
        """Errors: `ConfigError MODEL_FEW_ROWS`. Pre-condition: nothing is left to ask."""
        assert state.fit is not None  # noqa: S101 the pre-condition
        found = self._fitted(state.binned).result(state.fit)
        weights = [
            Weight(
                term=each["term"],
                columns=(each["term"],) if number else (),
                estimate=each["estimate"],
                std_error=each["std_error"],
            )
            for number, each in enumerate(found.coefficients)
        ]
        covariance = tuple(tuple(row) for row in found.model["fit"]["covariance"])
        question = self.plain.question
        card = evidence.card(state.binned, weights, covariance, state.values, question.points, sd=self.sd)
        wrong = tuple(each["term"] for each in found.coefficients[1:] if each["estimate"] > 0)
        said = {
            "rounds": state.round,
            "cause": "",
            "poor": dict(state.poor),
            "wrong_sign": list(wrong),
            "without_interval": list(WITHOUT),
            "count_noise": significant(self.sd),
        }
        rows = (
            *evidence.value_rows(state.values, state.poor),
            *evidence.weight_rows(found.coefficients[1:], wrong),
            *self._entries(state.binned, evidence.entry_rows(card)),
        )
        names = [each.bins.name for each in state.binned]
        model = left(names, question.outcome, card, self.plain.dictionary)
        return Result(rows=rows, fit=dict(found.fit) | said, model=model)

    def _entries(self, features: Sequence[Binned], rows: Iterator[Row]) -> Iterator[Row]:
        """Counts with what noise made of them: intervals that hold at once for every bin that could have been chosen, and so for those that
        these counts chose. A weight of evidence has an error and no interval."""
        of = {each.bins.name: each for each in features}
        for row in rows:
            each = of[row.keys["feature"]]
            place = evidence.labels(each).index(row.keys["bin"])
            error = self.sd * sqrt(each.widths[place])
            counts = {"events": each.events, "nonevents": each.others}
            if row.measure in counts:
                count, far = counts[row.measure][place], evidence.reach(each, self.setting.confidence) * error
                yield replace(
                    row,
                    estimate=count,
                    se_noise=significant(error),
                    ci_low=significant(max(count - far, 0.0)),
                    ci_high=significant(count + far),
                    obs_status="" if each.told(self.sd)[place] else "u",
                    conf_status="",
                )
            elif row.measure == "woe":
                parts = [max(float(of_class[place]), self.sd, 0.5) for of_class in counts.values()]
                yield replace(row, se_noise=significant(error * sqrt(sum(1 / part**2 for part in parts))))
            else:
                yield row
