"""All many-round questions of a study, driven together: round r of a session carries the r-th asks of all of them.

    begin ──▶ asks of round 0 ──▶ the sum over cities ──▶ tell ──▶ asks of round 1 ──▶ … ──▶ nothing left to ask

Every party plans the same models and the same functions run on both sides, so that a city can replay all earlier rounds from their totals.
A question that cannot be fitted ends with the cause, and the others go on. The vector of a round is the answers of its questions end to
end, in the order of the study.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from protocols.canonical import canonical, digest, parse_canonical
from protocols.errors import ConfigError, HpfedError, PeerError
from protocols.models import protect
from protocols.models.fixedpoint import MOST_DIGITS
from protocols.models.interface import Ask, Done, Model, Result, Seen, agrees
from protocols.models.question import ManyRounds, Setting
from protocols.ring import Vector
from protocols.yamltext import Record, Whole

Asks = Mapping[str, Ask]  # by question
BROKEN: Final = (ArithmeticError, np.linalg.LinAlgError)  # what honest sums of sound rows do not lead to


class Told(Record):
    """A round that is over. `asks`: by question; `total`: the sum of all cities, little-endian int64 in base64."""

    asks: dict[str, dict[str, Any]]
    total: str

    @classmethod
    def of(cls, asks: Asks, total: Vector) -> "Told":
        return cls(asks=_written(asks), total=b64encode(np.asarray(total, "<i8").tobytes()).decode())


class Round(Record):
    """What the Ask of a session says: the asks of one round, and all rounds before it."""

    round: Whole
    asks: dict[str, dict[str, Any]]
    before: tuple[Told, ...] = ()

    @classmethod
    def of(cls, asks: Asks, before: Sequence[Told]) -> "Round":
        return cls(round=len(before), asks=_written(asks), before=tuple(before))

    @property
    def content(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json"))


def _written(asks: Asks) -> dict[str, dict[str, Any]]:
    return {name: each.model_dump(mode="json") for name, each in asks.items()}


def read_round(content: bytes) -> Round:
    """Errors: `PeerError MODEL_ASK_FOREIGN` for anything else than canonical JSON of a round."""
    try:
        return Round.model_validate_json(canonical(parse_canonical(content, "ask")), strict=True)
    except (PeerError, ValidationError):
        raise PeerError("MODEL_ASK_FOREIGN") from None


@dataclass(frozen=True)
class Progress:
    """Where every question stands after so many rounds. `asks`: those of the next round; of no question when all are over. `digits`: the
    fewest binary digits after the point that a real number of its rounds had; of none where all were whole."""

    round: int
    states: Mapping[str, Record]
    ended: Mapping[str, HpfedError]
    asks: Asks
    digits: Mapping[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return not self.asks


@dataclass(frozen=True)
class Models:
    """The planned many-round questions of a study by id, in its order."""

    questions: Mapping[str, ManyRounds]
    models: Mapping[str, Model[Any, Any]]

    @classmethod
    def of(
        cls, questions: Sequence[Any], setting: Setting, variances: Mapping[str, Mapping[str, float]] | None = None
    ) -> "Models":
        """Of all `questions`, those of many rounds. `variances`: those of a `Setting`, by question. Errors: `ConfigError` of planning."""
        many = {each.id: each for each in questions if isinstance(each, ManyRounds)}
        settings = {name: replace(setting, variances=(variances or {}).get(name, {})) for name in many}
        return cls(many, {name: each.planned(settings[name]) for name, each in many.items()})

    @cached_property
    def most_rounds(self) -> int:
        """Of the longest chain of questions that wait for each other."""
        return max((self._rounds_of(name) for name in self.models), default=0)

    def _rounds_of(self, name: str) -> int:
        return self.models[name].most_rounds + max(map(self._rounds_of, self._waits(name)), default=0)

    @property
    def most_cells(self) -> int:
        return sum(each.most_cells for each in self.models.values())

    # --- from round to round

    def begin(self) -> Progress:
        return self._onward(Progress(0, {}, {}, {}))

    def tell(self, at: Progress, asks: Asks, total: Vector) -> Progress:
        """What the total of a round leads to. `asks`: what was asked with, which may differ from `at.asks` in their last digits.

        Errors: `PeerError MODEL_NOT_REPLAYABLE` where it is no total of these asks.
        """
        states, ended, digits = dict(at.states), dict(at.ended), dict(at.digits)
        for name, part in self.parts(asks, total).items():
            model = self.models[name]
            try:
                states[name] = model.tell(states[name], asks[name], part)
            except ConfigError as fault:
                ended[name] = fault
                continue
            except BROKEN:
                ended[name] = ConfigError("MODEL_NUMBERS", name=name)
                continue
            real = [each.digits for each in model.blocks(asks[name]) if each.digits]
            digits |= {name: min(*real, digits.get(name, MOST_DIGITS))} if real else {}
            seen = model.seen(states[name])
            crowded = None if seen is None else protect.crowded(name, seen, protect.SHIPPED)
            if crowded is not None:
                ended[name] = crowded
        return self._onward(Progress(at.round + 1, states, ended, {}, digits))

    def _onward(self, at: Progress) -> Progress:
        """The next asks. Questions that wait for others begin when these are over."""
        states, ended, asks = dict(at.states), dict(at.ended), dict[str, Ask]()
        for name in self._order:
            waits = self._waits(name)
            if name in ended or any(each in asks or each not in {*states, *ended} for each in waits):
                continue
            model, now = self.models[name], Progress(at.round, states, ended, {}, at.digits)
            try:
                if name not in states:
                    given = {each: self.result(now, each) for each in waits}
                    states[name] = self.questions[name].start(model, given)
                ask = model.ask(states[name])
            except ConfigError as fault:
                ended[name] = fault
            except BROKEN:
                ended[name] = ConfigError("MODEL_NUMBERS", name=name)
            else:
                asks |= {} if isinstance(ask, Done) else {name: ask}
        asked = {name: asks[name] for name in self.models if name in asks}
        return Progress(at.round, states, ended, asked, at.digits)

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """Each after those that it waits for."""
        return tuple(sorted(self.models, key=lambda name: len(self._before(name))))

    def _before(self, name: str) -> frozenset[str]:
        """All that must be over first."""
        return frozenset(self._waits(name)).union(*map(self._before, self._waits(name)))

    def _waits(self, name: str) -> tuple[str, ...]:
        return tuple(each for each in self.questions[name].named() if each in self.models)

    # --- vectors

    def length(self, asks: Asks) -> int:
        return sum(self.models[name].length(ask) for name, ask in asks.items())

    def layout(self, asks: Asks) -> str:
        """Digest of the layouts of one round, `sha256:…`."""
        return digest(canonical([[name, ask.layout] for name, ask in asks.items()]))

    def parts(self, asks: Asks, total: Vector) -> dict[str, Vector]:
        """The answer of each question. Errors: `PeerError MODEL_NOT_REPLAYABLE` for another length."""
        ends = list(accumulate((self.models[name].length(ask) for name, ask in asks.items()), initial=0))
        if len(total) != ends[-1]:
            raise PeerError("MODEL_NOT_REPLAYABLE", round=next((ask.round for ask in asks.values()), 0))
        return {name: total[first:end] for name, first, end in zip(asks, ends[:-1], ends[1:], strict=True)}

    def parsed(self, asks: Mapping[str, Mapping[str, Any]]) -> Asks:
        """Asks as they came, each of its kind, in the order of the study. Errors: `PeerError MODEL_ASK_FOREIGN`."""
        if not asks or not asks.keys() <= self.models.keys():
            raise PeerError("MODEL_ASK_FOREIGN")
        try:
            return {
                name: question.asks_of(self.models[name]).model_validate_json(canonical(asks[name]), strict=True)
                for name, question in self.questions.items()
                if name in asks
            }
        except ValidationError:
            raise PeerError("MODEL_ASK_FOREIGN") from None

    # --- in a city

    def again(self, before: Sequence[Told]) -> Progress:
        """Where the totals of these rounds lead.

        Errors: `PeerError MODEL_ASK_FOREIGN`, MODEL_NOT_REPLAYABLE: asks among them do not follow from the totals before.
        """
        at = self.begin()
        for told in before:
            asks = self._following(at, self.parsed(told.asks))
            try:
                at = self.tell(at, asks, total_of(told))
            except ValueError:  # numbers that no sum of sound rows has
                raise PeerError("MODEL_NOT_REPLAYABLE", round=at.round) from None
        return at

    def replayed(self, asked: Round) -> tuple[Progress, Asks]:
        """Where the totals of all earlier rounds lead, and the asks of this one, which follow from them. Errors: as `again`."""
        at = self.again(asked.before)
        if asked.round != at.round:
            raise PeerError("MODEL_NOT_REPLAYABLE", round=asked.round)
        return at, self._following(at, self.parsed(asked.asks))

    def _following(self, at: Progress, asks: Asks) -> Asks:
        """Asks that are those of a replay, but for their last digits."""
        if asks.keys() != at.asks.keys() or not all(agrees(each, at.asks[name]) for name, each in asks.items()):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=at.round)
        return asks

    def seen(self, at: Progress) -> Iterator[tuple[str, Seen]]:
        """What the first sums of every question that is asked on say of the whole."""
        for name in at.asks:
            found = self.models[name].seen(at.states[name])
            if found is not None:
                yield name, found

    # --- the answer

    def result(self, at: Progress, name: str) -> Result:
        """What a question that is over answers; where it ended without an answer, why. Pre-condition: nothing of it is left to ask."""
        fault = at.ended.get(name)
        if fault is None:
            try:
                found = self.models[name].result(at.states[name])
                digits = {"fixed_point": at.digits[name]} if name in at.digits else {}
                return replace(found, fit={**found.fit, **digits})
            except ConfigError as late:
                fault = late
        return _without(fault, at.round)

    def results(self, at: Progress) -> dict[str, Result]:
        """Of every question. Pre-condition: `at.over`."""
        return {name: self.result(at, name) for name in self.models}


def _without(fault: HpfedError, rounds: int) -> Result:
    words = {"zh": fault.text("zh"), "en": fault.text("en")}
    fit = {"converged": False, "cause": fault.code, "why": words, "rounds": rounds, "obs_status": "x"}
    return Result(fit=fit)


def total_of(told: Told) -> Vector:
    """Errors: `PeerError MODEL_ASK_FOREIGN` where it is no vector."""
    try:
        return np.frombuffer(b64decode(told.total, validate=True), "<i8").astype(np.int64)
    except ValueError:
        raise PeerError("MODEL_ASK_FOREIGN") from None
