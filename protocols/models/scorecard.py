"""A scorecard: features in bins, their weight of evidence in a logit, and whole points. Exact mode.

Leaves the city: rows by leaf of the public range, for numbers whose edges are not written (one round); rows by pre-bin and class, all
features in one vector (one round); then the rounds of a model of the weights of evidence (`glm.py`). One holder moves one cell of each
feature by 1.

What counts mean, and how points are made of them, stands in `evidence.py`; the same in mode dp in `private_card.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from protocols.dictionary import Column, Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import binning, design, evidence, fixedpoint, glm
from protocols.models.answer import Cause, Coefficient, Fit, published
from protocols.models.binning import MOST_BINS, Bins, Edges, all_bins, leaves, quantile_edges, searching
from protocols.models.evidence import LEAST_CLASS, LEAST_VALUE, Binned, Poor
from protocols.models.fixedpoint import HEADER, Block, Reals, Total
from protocols.models.glm import Fitting, Glm, GlmPlan, Limits
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.modelfile import Card, Points, Weight
from protocols.models.optimal import Trend
from protocols.models.saved import left
from protocols.models.staged import plain, widened
from protocols.ring import Vector
from protocols.statistics.question import Names
from protocols.statistics.rows import significant
from protocols.yamltext import Flag, Record, Whole

MOST_ROUNDS: Final = 40
Stage = Literal["leaves", "histogram", "fit", "done"]


class Scorecard(Record):
    """The keys of a question `kind: scorecard`. bins: pre-bins of a number, or edges by name, others 20 of equal shares. special: by
    name, codes or numbers that have one bin of their own. trend: of the event's share from bin to bin of a number, for all or by name."""

    outcome: str
    features: Annotated[Names, Field(min_length=1)]
    bins: Annotated[Whole, Field(ge=2, le=MOST_BINS)] | dict[str, Edges] = 20
    special: dict[str, Names] = Field(default_factory=dict)
    trend: Trend | dict[str, Trend] = "auto"
    points: Points = Points()
    drop_wrong_sign: Flag = False


class CardAsk(Ask):
    """A round of a card. edges: of the numbers whose leaves were counted. binned: the features of the logit in this round."""

    stage: Stage
    edges: dict[str, Edges] = Field(default_factory=dict)
    binned: tuple[Binned, ...] = ()


class CardState(Record):
    """The state between two rounds, in both modes. poor, wrong: features, with why."""

    round: Whole = 0
    chain: str
    stage: Stage = "leaves"
    edges: dict[str, Edges] = Field(default_factory=dict)
    binned: tuple[Binned, ...] = ()
    values: dict[str, float] = Field(default_factory=dict)
    rows: Whole = 0
    unknown: Whole = 0
    poor: dict[str, Poor] = Field(default_factory=dict)
    wrong: tuple[str, ...] = ()


class Carding(CardState):
    fit: Fitting | None = None
    cause: Cause | Literal["rounds"] = ""


@dataclass(frozen=True)
class CardAnswer:
    """card: none where its logit found no end (`cause`). values: the information value of every feature; poor: those that are left out,
    because it is below 0.02 (`value`) or because there are fewer than two bins (`bins`). wrong: features whose coefficient had the wrong
    sign, left out with `drop_wrong_sign`, and in the card otherwise. unknown: rows without an outcome."""

    card: Card | None
    fit: Fit | None
    cause: str
    values: Mapping[str, float]
    poor: Mapping[str, str]
    wrong: tuple[str, ...]
    rows: int
    unknown: int
    rounds: int


# --- the plan


@dataclass(frozen=True)
class ScorecardPlan:
    question: Scorecard
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    limits: Limits
    confidence: float

    @property
    def most_rounds(self) -> int:
        """Refits after wrong signs take what is left of 40."""
        once = 1 + bool(self.searched) + glm.MOST_STEPS + 2
        return MOST_ROUNDS if self.question.drop_wrong_sign else once

    @property
    def most_cells(self) -> int:
        searched = 1 + sum(each.cells for each in self.leaves)
        p = 1 + len(self.question.features)
        fitting = 2 * (p * (p + 1) // 2 + p + 8) + 4 * p
        return HEADER + max(searched, 1 + 2 * sum(map(self._most_bins, self.question.features)), fitting)

    def _most_bins(self, name: str) -> int:
        return (len(self.dictionary.codes(name)) or MOST_BINS) + 1 + bool(self.question.special.get(name))

    @property
    def scope(self) -> str:
        return "rows"

    @cached_property
    def written(self) -> Mapping[str, Edges]:
        return self.question.bins if isinstance(self.question.bins, dict) else {}

    @property
    def prebins(self) -> int:
        return 20 if isinstance(self.question.bins, dict) else self.question.bins

    @cached_property
    def searched(self) -> tuple[str, ...]:
        return searching(self.question.features, self.written, self.dictionary)

    def bins(self, edges: Mapping[str, Edges]) -> tuple[Bins, ...]:
        return all_bins(self.question.features, self.written, edges, self.dictionary, self.question.special)

    @cached_property
    def leaves(self) -> tuple[Bins, ...]:
        """Of the features whose edges are to be found."""
        return tuple(leaves(self.dictionary, name, self.question.special.get(name, ())) for name in self.searched)

    # --- what is asked

    def start(self) -> Carding:
        return Carding(chain=self.study, stage="leaves" if self.searched else "histogram")

    def ask(self, state: Carding) -> CardAsk | Done:
        """Errors: `ConfigError MODEL_PRECISION`."""
        if state.stage == "done":
            return Done()
        if state.stage == "fit" and state.fit is not None:
            of_fit = self._logit(state.binned).ask(state.fit)
            return of_fit if isinstance(of_fit, Done) else widened(CardAsk, of_fit, stage="fit", binned=state.binned)
        return asked(CardAsk, self.study, state, ("stage", "edges"), self.blocks, purpose=state.stage)

    def blocks(self, ask: CardAsk) -> tuple[Block, ...]:
        match ask.stage:
            case "leaves":
                return (Block("unknown", 1), Block("leaves", sum(each.cells for each in self.leaves)))
            case "histogram":
                cells = sum(each.cells for each in self.bins(ask.edges))
                return (Block("unknown", 1), Block("events", cells), Block("others", cells))
            case _:
                return self._logit(ask.binned).blocks(plain(ask))

    def length(self, ask: CardAsk) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: CardAsk) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    def _logit(self, features: Sequence[Binned]) -> GlmPlan:
        """The model of the weights of evidence, over a dictionary of its own. Errors: `PeerError MODEL_ASK_FOREIGN` without features."""
        variables: dict[str, dict[str, object]] = {}
        for each in features:
            woe, _, _ = each.evidence()
            ends = [f"{np.floor(woe.min() * 8) / 8 - 0.125:.3f}", f"{np.ceil(woe.max() * 8) / 8 + 0.125:.3f}"]
            variables[each.bins.name] = {"type": "number", "range": ends}
        return self.logit(variables)

    def logit(self, variables: Mapping[str, Mapping[str, object]]) -> GlmPlan:
        """The model of columns of these entries of a dictionary. Errors: `PeerError MODEL_ASK_FOREIGN` without any."""
        if not variables:
            raise PeerError("MODEL_ASK_FOREIGN")
        entries = {EVENT: {"type": "boolean"}, **variables}
        tree = {"dictionary": "weights-of-evidence", "version": 1, "variables": entries}
        return glm.plan(
            Glm(family="binomial", outcome=EVENT, terms=tuple(variables), collinear="drop"),
            Dictionary.model_validate(tree, strict=False),
            self.cities,
            self.most_rows,
            self.study,
            self.limits,
            self.confidence,
        )

    # --- in a city

    def measure(self, ask: CardAsk, read: Read, rows: int) -> Sums:
        if ask.stage == "fit":
            return self._logit(ask.binned).measure(plain(ask), self.columns(ask.binned, read, rows).__getitem__, rows)
        return self.counted(ask.stage, ask.edges, read, rows)

    def columns(self, features: Sequence[Binned], read: Read, rows: int, sd: float = 0.0) -> dict[str, Column]:
        """The outcome, and the weight of evidence of each row in each feature."""
        found = {EVENT: read(self.question.outcome)}
        for each in features:
            woe, _, _ = each.evidence(sd)
            place = each.bins.places(self.dictionary, read)
            found[each.bins.name] = Column(woe[np.array(each.place)][place], np.ones(rows, bool))
        return found

    def counted(self, stage: Stage, edges: Mapping[str, Edges], read: Read, rows: int) -> Sums:
        """Rows by leaf, or by pre-bin and class."""
        outcome = read(self.question.outcome)
        known = outcome.known
        unknown = {"unknown": np.array([float(rows - known.sum())])}
        if stage == "leaves":
            return Sums(
                unknown | {"leaves": np.concatenate([self._counted(each, read, known) for each in self.leaves])}
            )
        yes = known & (outcome.values != 0)
        every = self.bins(edges)
        events, others = (
            np.concatenate([self._counted(each, read, of) for each in every]) for of in (yes, known & ~yes)
        )
        return Sums(unknown | {"events": events, "others": others})

    def _counted(self, bins: Bins, read: Read, of: design.Flags) -> Reals:
        return np.bincount(bins.places(self.dictionary, read)[of], minlength=bins.cells).astype(np.float64)

    def encode(self, ask: CardAsk, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if ask.stage == "fit":
            return self._logit(ask.binned).encode(plain(ask), sums)
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        return fixedpoint.encode(blocks, sums.values, self.cities)

    # --- what a total means

    def tell(self, state: Carding, ask: CardAsk, total: Vector) -> Carding:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError MODEL_…` where there is no card to make."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        if state.fit is not None:
            return self._on_fit(state, self._logit(state.binned).tell(state.fit, plain(ask), total))
        blocks = self.blocks(ask)
        if len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total)})
        return self._on_leaves(state, found) if ask.stage == "leaves" else self._on_histogram(state, found)

    def _on_leaves(self, state: Carding, found: Total) -> Carding:
        edges, at = {}, 0
        for fine in self.leaves:
            edges[fine.name] = quantile_edges(fine.edges, found["leaves"][at : at + fine.values], self.prebins)
            at += fine.cells
        return state.model_copy(update={"stage": "histogram", "edges": edges})

    def _on_histogram(self, state: Carding, found: Total) -> Carding:
        counts = (found["events"], found["others"])
        cells = self.bins(state.edges)[0].cells  # every row has a place in the first feature
        yes, no = (int(each[:cells].sum()) for each in counts)
        least = max(self.limits.events_per_column * 2, LEAST_CLASS)
        if min(yes, no) < least:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.question.outcome, least=least, columns=2)
        kept, values, poor = evidence.chosen(self.bins(state.edges), counts, self.question.trend)
        if not kept:
            raise ConfigError("MODEL_NO_FEATURE", least=f"{LEAST_VALUE:g}")
        update = {"rows": yes + no, "unknown": int(found.number("unknown")), "values": values, "poor": poor}
        return self._fitting(state.model_copy(update=update), kept)

    def _fitting(self, state: Carding, features: tuple[Binned, ...]) -> Carding:
        first = self._logit(features).start().model_copy(update={"round": state.round, "chain": state.chain})
        return state.model_copy(update={"stage": "fit", "binned": features, "fit": first})

    def _on_fit(self, state: Carding, fit: Fitting) -> Carding:
        state = state.model_copy(update={"round": fit.round, "chain": fit.chain, "fit": fit})
        if fit.purpose != "done":
            return (
                state
                if state.round < self.most_rounds
                else state.model_copy(update={"stage": "done", "cause": "rounds"})
            )
        if fit.cause:
            return state.model_copy(update={"stage": "done", "cause": fit.cause})
        found = self._logit(state.binned).finalize(fit)
        wrong = tuple(each.term for each in found.coefficients[1:] if each.estimate > 0)
        state = state.model_copy(update={"wrong": (*state.wrong, *wrong)})
        left = tuple(each for each in state.binned if each.bins.name not in wrong)
        if not wrong or not self.question.drop_wrong_sign:
            return state.model_copy(update={"stage": "done"})
        if not left:
            raise ConfigError("MODEL_NO_FEATURE", least=f"{LEAST_VALUE:g}")
        if state.round >= self.most_rounds:
            return state.model_copy(update={"stage": "done", "cause": "rounds"})
        return self._fitting(state, left)

    def seen(self, state: Carding) -> Seen | None:
        """Once the bins are counted: the thinnest class of a bin, and a coefficient for each feature."""
        if not state.binned:
            return None
        smallest = min(min(each.events[: -each.bins.apart] + each.others[: -each.bins.apart]) for each in state.binned)
        return Seen(state.rows, 1 + len(state.binned), state.rows, smallest)

    # --- the answer

    def result(self, state: Carding) -> Result:
        """`finalize` as results.json has it, and what scores by it."""
        found = self.finalize(state)
        base = Result(fit={"converged": False}) if found.fit is None else published(found.fit)
        said = {
            **base.fit,
            "converged": found.card is not None,
            "cause": found.cause,
            "rounds": found.rounds,
            "n": found.rows,
            "left_out": found.unknown,
            "poor": dict(found.poor),
            "wrong_sign": list(found.wrong),
        }
        if found.card is None:
            return Result(rows=tuple(evidence.value_rows(found.values, found.poor)), fit=said | {"obs_status": "x"})
        names = [each.bins.name for each in found.card.features]
        model = left(names, self.question.outcome, found.card, self.dictionary)
        weights = [_printed(each) for each in found.fit.coefficients[1:]] if found.fit else []
        rows = (
            *evidence.value_rows(found.values, found.poor),
            *evidence.weight_rows(weights, found.wrong),
            *evidence.entry_rows(found.card),
        )
        return Result(rows=rows, fit=said, model=model)

    def finalize(self, state: Carding) -> CardAnswer:
        fit = None if state.fit is None else self._logit(state.binned).finalize(state.fit)
        card = None if fit is None or state.cause else self._card(state, fit)
        return CardAnswer(
            card=card,
            fit=None if state.cause else fit,
            cause=state.cause,
            values=state.values,
            poor=state.poor,
            wrong=state.wrong,
            rows=state.rows,
            unknown=state.unknown,
            rounds=state.round,
        )

    def _card(self, state: Carding, fit: Fit) -> Card:
        named = {each.term for each in fit.coefficients}
        features = [each for each in state.binned if each.bins.name in named]
        weights = [
            Weight(
                term=each.term,
                columns=() if number == 0 else (each.term,),
                estimate=each.estimate,
                std_error=each.std_error,
            )
            for number, each in enumerate(fit.coefficients)
        ]
        bound = fit.coefficient_error_bound or 0.0
        return evidence.card(features, weights, fit.covariance, state.values, self.question.points, bound)


def _printed(each: Coefficient) -> dict[str, object]:
    numbers = {"se_sampling": each.std_error, "ci_low": each.ci_low, "ci_high": each.ci_high, "p_value": each.p_value}
    printed = {name: significant(value) for name, value in numbers.items()}
    return {"term": each.term, "estimate": significant(each.estimate), "se_noise": 0.0, **printed}


EVENT: Final = "event_of_card"


def plan(
    question: Scorecard,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
) -> ScorecardPlan:
    """Errors: `ConfigError` STUDY_VARIABLE, MODEL_TYPE, STUDY_TWICE, MODEL_BINS, MODEL_SPECIAL, MODEL_TERM_OUTCOME."""
    made = ScorecardPlan(question, dictionary, cities, most_rows, study, limits or Limits(), confidence)
    design.known(dictionary, question.outcome, ("boolean",), "outcome")
    binning.checked(question.features, made.written, dictionary)
    binning.special_checked(question.features, question.special, dictionary)
    if question.outcome in question.features:
        raise ConfigError("MODEL_TERM_OUTCOME", name=question.outcome)
    if isinstance(question.trend, dict):
        for name in question.trend:
            if name not in question.features:
                raise ConfigError("STUDY_VARIABLE", name=name, near="")
    return made
