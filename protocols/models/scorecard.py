"""A scorecard: features in bins, their weight of evidence in a logit, and whole points. Exact mode.

Leaves the city: rows by leaf of the public range, for numbers whose edges are not written (one round); rows by pre-bin and class, all
features in one vector (one round); then the rounds of a model of the weights of evidence (`glm.py`). One holder moves one cell of each
feature by 1.

woe of a bin: ln of its share of the others (non-events) over its share of the events, so that every coefficient of the event's log odds is
negative where the card is right. A bin that lacks a class has 0.5 added to both, and is marked.

Source: N. Siddiqi, Credit Risk Scorecards, chapters 6 and 7.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from protocols.dictionary import MISSING, Column, Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import binning, design, fixedpoint, glm
from protocols.models.answer import Cause, Fit, published
from protocols.models.binning import MOST_BINS, Bins, Edges, all_bins, leaves, quantile_edges, searching
from protocols.models.fixedpoint import HEADER, Block, Reals, Total
from protocols.models.glm import Fitting, Glm, GlmPlan, Limits
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, chained, layout_digest
from protocols.models.modelfile import Card, CardBin, CardFeature, Points, Weight
from protocols.models.optimal import Division, Least, Trend, division
from protocols.models.saved import left
from protocols.models.staged import plain, widened
from protocols.ring import Vector
from protocols.statistics.question import Names
from protocols.statistics.rows import Row, significant
from protocols.yamltext import Flag, Record, Whole

MOST_ROUNDS: Final = 40
LEAST_SHARE: Final = 0.05
LEAST_CLASS: Final = 20
LEAST_VALUE: Final = 0.02
LEAST_TOLD: Final = 10  # rows of a bin of the missing that has weight and is shown
Counts = tuple[Whole, ...]
Stage = Literal["leaves", "histogram", "fit", "done"]


class Scorecard(Record):
    """The keys of a question `kind: scorecard`. bins: pre-bins of a number, or edges by name, others 20 of equal shares. trend: of the
    event's share from bin to bin of a number, for all or by name."""

    outcome: str
    features: Annotated[Names, Field(min_length=1)]
    bins: Annotated[Whole, Field(ge=2, le=MOST_BINS)] | dict[str, Edges] = 20
    trend: Trend | dict[str, Trend] = "auto"
    points: Points = Points()
    drop_wrong_sign: Flag = False


class Binned(Record):
    """A feature in its bins. place: of each pre-bin, the missing last, its bin; events, others: of each bin, the missing last."""

    bins: Bins
    place: Counts
    events: Counts
    others: Counts


class CardAsk(Ask):
    """A round of a card. edges: of the numbers whose leaves were counted. binned: the features of the logit in this round."""

    stage: Stage
    edges: dict[str, Edges] = Field(default_factory=dict)
    binned: tuple[Binned, ...] = ()


class Carding(Record):
    """The state between two rounds. histogram: events, then others, of all pre-bins. left_out, wrong: features, with why."""

    round: Whole = 0
    chain: str
    stage: Stage = "leaves"
    edges: dict[str, Edges] = Field(default_factory=dict)
    binned: tuple[Binned, ...] = ()
    values: dict[str, float] = Field(default_factory=dict)
    rows: Whole = 0
    unknown: Whole = 0
    poor: dict[str, Literal["value", "bins"]] = Field(default_factory=dict)
    wrong: tuple[str, ...] = ()
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


# --- what counts mean


def evidence(events: Sequence[int], others: Sequence[int]) -> tuple[Reals, Reals, tuple[bool, ...]]:
    """Of each bin, the missing last: woe, its part of the information value, and whether 0.5 was added. The missing count where they are
    told; they have no weight where there are fewer than 10."""
    e, o = np.array(events, np.float64), np.array(others, np.float64)
    told = np.append(np.ones(len(e) - 1, bool), e[-1] + o[-1] >= LEAST_TOLD)
    adjusted = told & ((e == 0) | (o == 0))
    half = np.where(adjusted, 0.5, 0.0)
    p, q = (e + half) / e.sum(), (o + half) / o.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        woe = np.where(told, np.log(q / p), 0.0)
    return woe, np.where(told, (q - p) * woe, 0.0), tuple(bool(each) for each in adjusted)


def binned(bins: Bins, events: Reals, others: Reals, trend: Trend) -> tuple[Binned | None, float]:
    """The best bins of a feature and its information value; no bins where fewer than two have enough. events, others: of its pre-bins.

    Codes are divided in the order of their share of events, where every union of neighbours keeps the order.
    """
    e, o = events[:-1], others[:-1]
    least = Least(LEAST_SHARE * float(events.sum() + others.sum()), LEAST_CLASS, LEAST_CLASS)
    order = np.arange(bins.values)
    if bins.codes:
        pooled = e.sum() / max(e.sum() + o.sum(), 1.0)
        share = np.where(e + o > 0, e / np.maximum(e + o, 1), pooled)  # a code of nobody stands in the middle
        order = np.argsort(share, kind="stable")
    found: Division | None = division(e[order], o[order], least, "none" if bins.codes else trend)
    if found is None or len(found.starts) < 2:
        return None, 0.0
    place = np.zeros(bins.cells, np.intp)
    place[order] = np.searchsorted(np.array(found.starts), np.arange(bins.values), side="right") - 1
    place[-1] = len(found.starts)
    sums = [np.bincount(place, weights=each, minlength=len(found.starts) + 1) for each in (events, others)]
    inside = [tuple(int(each) for each in counts) for counts in sums]
    made = Binned(bins=bins, place=tuple(place.tolist()), events=inside[0], others=inside[1])
    return made, float(evidence(made.events, made.others)[1].sum())


def _labels(of: Binned) -> tuple[str, ...]:
    """Of each bin: its codes, or its interval; the missing last."""
    bins, inside = of.bins, max(of.place)
    if bins.codes:
        joined = [
            ", ".join(c for c, at in zip(bins.codes, of.place, strict=False) if at == number)
            for number in range(inside)
        ]
        return (*joined, MISSING)
    edges = [
        edge
        for edge, (at, after) in zip(bins.edges, zip(of.place, of.place[1:], strict=False), strict=False)
        if at != after
    ]
    return (*binning.labels(edges), MISSING)


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
        searched = 2 + len(self.searched) * (binning.LEAVES + 1)
        cells = sum(len(self.dictionary.codes(name)) or MOST_BINS for name in self.question.features)
        p = 1 + len(self.question.features)
        fitting = 2 * (p * (p + 1) // 2 + p + 8) + 4 * p
        return HEADER + max(searched, 1 + 2 * (cells + len(self.question.features)), fitting)

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
        return all_bins(self.question.features, self.written, edges, self.dictionary)

    # --- what is asked

    def start(self) -> Carding:
        return Carding(chain=self.study, stage="leaves" if self.searched else "histogram")

    def ask(self, state: Carding) -> CardAsk | Done:
        """Errors: `ConfigError MODEL_PRECISION`."""
        if state.stage == "done":
            return Done()
        if state.stage == "fit" and state.fit is not None:
            asked = self._logit(state.binned).ask(state.fit)
            return asked if isinstance(asked, Done) else widened(CardAsk, asked, stage="fit", binned=state.binned)
        bare = Ask(round=state.round, purpose=state.stage, study=self.study, layout="", chain=state.chain)
        ask = widened(CardAsk, bare, stage=state.stage, edges=state.edges)
        return ask.model_copy(update={"layout": layout_digest(self.blocks(ask))})

    def blocks(self, ask: CardAsk) -> tuple[Block, ...]:
        match ask.stage:
            case "leaves":
                cells = sum(leaves(self.dictionary, name).cells for name in self.searched)
                return (Block("unknown", 1), Block("leaves", cells))
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
        if not features:
            raise PeerError("MODEL_ASK_FOREIGN")
        variables: dict[str, object] = {_EVENT: {"type": "boolean"}}
        for each in features:
            woe, _, _ = evidence(each.events, each.others)
            ends = [f"{np.floor(woe.min() * 8) / 8 - 0.125:.3f}", f"{np.ceil(woe.max() * 8) / 8 + 0.125:.3f}"]
            variables[each.bins.name] = {"type": "number", "range": ends}
        tree = {"dictionary": "weights-of-evidence", "version": 1, "variables": variables}
        terms = tuple(each.bins.name for each in features)
        return glm.plan(
            Glm(family="binomial", outcome=_EVENT, terms=terms, collinear="drop"),
            Dictionary.model_validate(tree, strict=False),
            self.cities,
            self.most_rows,
            self.study,
            self.limits,
            self.confidence,
        )

    # --- in a city

    def measure(self, ask: CardAsk, read: Read, rows: int) -> Sums:
        outcome = read(self.question.outcome)
        known = outcome.known
        if ask.stage == "fit":
            columns = {_EVENT: outcome}
            for each in ask.binned:
                woe, _, _ = evidence(each.events, each.others)
                place = each.bins.places(self.dictionary, read)
                columns[each.bins.name] = Column(woe[np.array(each.place)][place], np.ones(rows, bool))
            return self._logit(ask.binned).measure(plain(ask), columns.__getitem__, rows)
        unknown = {"unknown": np.array([float(rows - known.sum())])}
        if ask.stage == "leaves":
            found = [self._counted(leaves(self.dictionary, name), read, known) for name in self.searched]
            return Sums(unknown | {"leaves": np.concatenate(found)})
        yes = known & (outcome.values != 0)
        every = self.bins(ask.edges)
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
        for name in self.searched:
            fine = leaves(self.dictionary, name)
            edges[name] = quantile_edges(fine.edges, found["leaves"][at : at + fine.values], self.prebins)
            at += fine.cells
        return state.model_copy(update={"stage": "histogram", "edges": edges})

    def _on_histogram(self, state: Carding, found: Total) -> Carding:
        every = self.bins(state.edges)
        ends = np.cumsum([each.cells for each in every])[:-1]
        events, others = (np.split(found[name], ends) for name in ("events", "others"))
        rows, yes = int(events[0].sum() + others[0].sum()), int(events[0].sum())
        least = self.limits.events_per_column * 2
        if min(yes, rows - yes) < max(least, LEAST_CLASS):
            raise ConfigError(
                "MODEL_TOO_FEW_EVENTS", name=self.question.outcome, least=max(least, LEAST_CLASS), columns=2
            )
        kept, values, poor = [], {}, {}
        for bins, e, o in zip(every, events, others, strict=True):
            given = self.question.trend
            made, value = binned(bins, e, o, given.get(bins.name, "auto") if isinstance(given, dict) else given)
            values[bins.name] = value
            if made is None:
                poor[bins.name] = "bins"
            elif value < LEAST_VALUE:
                poor[bins.name] = "value"
            else:
                kept.append(made)
        if not kept:
            raise ConfigError("MODEL_NO_FEATURE", least=f"{LEAST_VALUE:g}")
        update = {"rows": rows, "unknown": int(found.number("unknown")), "values": values, "poor": poor}
        return self._fitting(state.model_copy(update=update), tuple(kept))

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
        smallest = min(min(each.events[:-1] + each.others[:-1]) for each in state.binned)
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
            return Result(rows=tuple(_values(found)), fit=said | {"obs_status": "x"})
        names = [each.bins.name for each in found.card.features]
        model = left(names, self.question.outcome, found.card, self.dictionary)
        rows = (*_values(found), *_weights(found), *_entries(found.card))
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
        """Points of a bin: factor (-b woe - (b0 + ln odds0) / m) + base / m, rounded; so m bins add up to the score within m / 2."""
        estimates = {each.term: each for each in fit.coefficients}
        features = [each for each in state.binned if each.bins.name in estimates]
        scale, factor = self.question.points, self.question.points.pdo / log(2)
        share = (scale.base - factor * (log(scale.odds) + fit.coefficients[0].estimate)) / len(features)
        made = []
        for each in features:
            woe, _, adjusted = evidence(each.events, each.others)
            points = np.rint(share - factor * estimates[each.bins.name].estimate * woe).astype(np.intp)
            rows = np.array(each.events) + np.array(each.others)
            told = [*[True] * (len(rows) - 1), bool(rows[-1] >= LEAST_TOLD)]
            entries = tuple(
                CardBin(
                    label=label,
                    events=each.events[place] if told[place] else None,
                    nonevents=each.others[place] if told[place] else None,
                    woe=float(woe[place]),
                    points=int(points[place]),
                    adjusted=adjusted[place],
                )
                for place, label in enumerate(_labels(each))
            )
            neutral = float(points @ rows / rows.sum())
            value = state.values[each.bins.name]
            made.append(CardFeature(bins=each.bins, place=each.place, card=entries, iv=value, neutral=neutral))
        weights = tuple(
            Weight(
                term=each.term,
                columns=() if number == 0 else (each.term,),
                estimate=each.estimate,
                std_error=each.std_error,
            )
            for number, each in enumerate(fit.coefficients)
        )
        bound = fit.coefficient_error_bound or 0.0
        return Card(weights=weights, covariance=fit.covariance, error_bound=bound, points=scale, features=tuple(made))


def _values(found: CardAnswer) -> Iterator[Row]:
    """The information value of each feature; none (`z`) of one without two bins."""
    for name, value in found.values.items():
        told = found.poor.get(name) != "bins"
        yield Row(
            "iv", {"feature": name}, estimate=significant(value) if told else None, obs_status="" if told else "z"
        )


def _weights(found: CardAnswer) -> Iterator[Row]:
    """The coefficient of each feature's weight of evidence."""
    for each in found.fit.coefficients[1:] if found.fit else ():
        numbers = {
            "se_sampling": each.std_error,
            "ci_low": each.ci_low,
            "ci_high": each.ci_high,
            "p_value": each.p_value,
        }
        printed: dict[str, Any] = {name: significant(value) for name, value in numbers.items()}
        status = "u" if each.term in found.wrong else ""
        estimate = significant(each.estimate)
        yield Row("weight", {"feature": each.term}, estimate=estimate, se_noise=0.0, **printed, obs_status=status)


def _entries(card: Card) -> Iterator[Row]:
    """Of each bin its events, others, weight of evidence and points."""
    for feature in card.features:
        for entry in feature.card:
            keys, thin = {"feature": feature.bins.name, "bin": entry.label}, entry.events is None
            for measure, count in (("events", entry.events), ("nonevents", entry.nonevents)):
                yield Row(measure, keys, estimate=count, conf_status="C" if thin else "")
            yield Row("woe", keys, estimate=significant(entry.woe), obs_status="u" if entry.adjusted else "")
            yield Row("points", keys, estimate=entry.points)


_EVENT: Final = "event_of_card"


def plan(
    question: Scorecard,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
) -> ScorecardPlan:
    """Errors: `ConfigError` STUDY_VARIABLE, MODEL_TYPE, STUDY_TWICE, MODEL_BINS, MODEL_TERM_OUTCOME."""
    made = ScorecardPlan(question, dictionary, cities, most_rows, study, limits or Limits(), confidence)
    design.known(dictionary, question.outcome, ("boolean",), "outcome")
    binning.checked(question.features, made.written, dictionary)
    if question.outcome in question.features:
        raise ConfigError("MODEL_TERM_OUTCOME", name=question.outcome)
    if isinstance(question.trend, dict):
        for name in question.trend:
            if name not in question.features:
                raise ConfigError("STUDY_VARIABLE", name=name, near="")
    return made
