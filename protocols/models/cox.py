"""Cox regression: hazards proportional to exp(x'b), whatever the baseline. `kind: cox`.

Leaves the city: how many rows and events, moments of the columns and of the times of events; then, at a point,

- `stratify: city`: its own partial log-likelihood, score and information. Risk sets are those of the city; no time leaves it.
- `stratify: none`: at each time of the public range, sums over rows and over events of exp(z'b), z exp(z'b), zz' exp(z'b), events, and
  sums of z over events. Risk sets are pooled, and so is the baseline; a city's policy says whether such tables are answered
  (`models.cox_time_tables`). They are tables of those who end at a time, with the event and without: how many these are is added up first,
  and where somewhere they are a few, no city goes on (threat T24).

With d events at a time, Efron's approximation takes the share r / d of these events out of the risk set, r = 0 .. d - 1; Breslow's none.

Source: B. Efron, JASA 72 (1977); N. Breslow, Biometrics 30 (1974); T. Therneau and P. Grambsch, Modeling Survival Data, 3.3.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError
from protocols.models import design, newton
from protocols.models.design import Columns, Design, Flags, Numbers
from protocols.models.fixedpoint import Block, Reals, Total, decode
from protocols.models.glm_keys import Names, of_cities
from protocols.models.interface import Ask
from protocols.models.likelihood import Known, LikelihoodPlan, Look, MakeBlock, Part, plain_blocks, plain_look
from protocols.models.newton import Fitting, Limits
from protocols.ring import Vector
from protocols.yamltext import Record

MOST_TIMES: Final = 600
RISKS: Final = 64.0  # exp(z'b) of a row, on average over a city at most
TABLES: Final = ("at_risk", "at_event")
PLAIN: Final = 4  # numbers of the outcome that both forms add up


class Cox(Record):
    """duration: an integer, in the units of its public range. event: a boolean; false is a holder who was only watched so long."""

    duration: str
    event: str
    terms: Names
    stratify: Literal["city", "none"] = "city"
    ties: Literal["efron", "breslow"] = "efron"
    missing: Literal["drop", "indicator"] = "drop"
    collinear: Literal["refuse", "drop"] = "refuse"


@dataclass(frozen=True)
class Tables:
    """Sums by time. at_risk, at_event: times x (1 + q + q (q + 1) / 2), of w, wz and the triangle of wzz', w = exp(z'b), over the rows that
    end at a time, and over those that end in an event. events: their number; moved: times x q, sums of z over events."""

    at_risk: Reals
    at_event: Reals
    events: Reals
    moved: Reals

    @classmethod
    def of(cls, z: Reals, eta: Reals, time: Reals, event: Flags, times: int) -> "Tables":
        place = time.astype(np.int64)
        w = np.exp(eta)
        upper = np.triu_indices(z.shape[1])

        def table(rows: Flags | slice, weights: Reals, pairs: bool) -> Reals:
            x, at = z[rows], place[rows]
            columns = [weights, *(weights * x[:, j] for j in range(x.shape[1]))]
            if pairs:
                columns += [columns[1 + i] * x[:, j] for i, j in zip(*upper, strict=True)]
            return np.column_stack([np.bincount(at, column, times) for column in columns])

        ended = table(event, np.ones(int(event.sum())), False)
        return cls(table(slice(None), w, True), table(event, w[event], True), ended[:, 0], ended[:, 1:])


@dataclass(frozen=True)
class Partial:
    """The partial log-likelihood of tables with its derivatives. risk: per time with events, the sum over its events of 1 / (risk set), and
    the largest root mean square of a column in it: what rounding of the tables comes through with. rate: the jump of the baseline."""

    likelihood: float
    score: Reals
    information: Reals
    times: Reals
    risk: Reals
    size: Reals
    rate: Reals


def partial(tables: Tables, point: Reals, ties: str) -> Partial:
    q = len(point)
    at_risk = np.cumsum(tables.at_risk[::-1], axis=0)[::-1]
    likelihood, score, information = 0.0, np.zeros(q), np.zeros((q, q))
    times = np.flatnonzero(tables.events > 0.5)
    risk, size, rate = np.zeros(len(times)), np.zeros(len(times)), np.zeros(len(times))
    for number, time in enumerate(times.tolist()):
        d = round(float(tables.events[time]))
        taken = np.arange(d) / d if ties == "efron" else np.zeros(d)
        s0, s1, s2 = at_risk[time, 0], at_risk[time, 1 : 1 + q], newton.square(at_risk[time, 1 + q :], q)
        e = tables.at_event[time]
        e0, e1, e2 = e[0], e[1 : 1 + q], newton.square(e[1 + q :], q)
        left = s0 - taken * e0
        one, tied = (1 / left).sum(), (taken / left).sum()
        squared, crossed, both = (left**-2).sum(), (taken / left**2).sum(), (taken**2 / left**2).sum()
        likelihood += float(tables.moved[time] @ point) - float(np.log(left).sum())
        score += tables.moved[time] - (one * s1 - tied * e1)
        mixed = np.outer(s1, e1)
        second = squared * np.outer(s1, s1) - crossed * (mixed + mixed.T) + both * np.outer(e1, e1)
        information += one * s2 - tied * e2 - second
        worst = left.min()
        risk[number], rate[number] = one, one
        size[number] = np.sqrt(max(float(np.diag(s2 - taken[-1] * e2).max() / worst), 0.0))
    return Partial(likelihood, score, information, times.astype(np.float64), risk, size, rate)


@dataclass(frozen=True)
class _Survival(ABC):
    """What both forms share. low, times: of the public range of the duration."""

    duration: str
    happened: str
    ties: str
    low: int
    times: int

    def read(self, read: Read, rows: int, columns: Design) -> Known:
        matrix, whole = columns.matrix(read, rows)
        time, event = read(self.duration), read(self.happened)
        whole &= time.known & event.known
        inside = whole & (time.values >= self.low) & (time.values < self.low + self.times)
        y = time.values[inside].astype(np.float64) - self.low
        return Known(matrix[inside], y, event.values[inside].astype(bool), int(rows - inside.sum()))

    def outcome(self, known: Known) -> Reals:
        """Events, rows without one, and sums of the times of events and of the squares of these; then what a form adds."""
        time = known.y[known.event]
        found = [float(len(time)), float(len(known.y) - len(time)), time.sum(), time @ time]
        return np.concatenate([found, self.beside(known)])

    @abstractmethod
    def beside(self, known: Known) -> Reals:
        """What of the outcome a form adds up beside that of both."""

    def kept(self, counts: Reals) -> tuple[int, ...]:  # noqa: ARG002 there are no classes
        return ()

    def start(self, counts: Reals, columns: int, limits: Limits) -> Numbers:
        """Errors: `ConfigError` MODEL_TOO_FEW_EVENTS; MODEL_COLUMN_CONSTANT where all events are at one time."""
        events, others, first, second = counts[:PLAIN].tolist()
        least = max(limits.events_per_column * columns, 1)
        if min(events, others) < least:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.happened, least=least, columns=columns)
        if second * events <= first * first:
            raise ConfigError("MODEL_COLUMN_CONSTANT", name=self.duration)
        return (0.0,) * columns

    def names(self, kept: Sequence[int], columns: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 there are no classes
        return tuple(columns)

    def free(self, kept: Sequence[int], columns: int) -> Flags:  # noqa: ARG002 there is no constant
        return np.zeros(columns, bool)

    def of_columns(self, kept: Sequence[int], columns: int, gone: Sequence[int]) -> Flags:  # noqa: ARG002 as above
        return ~np.isin(np.arange(columns), gone)

    def back(self, kept: Sequence[int], columns: Columns) -> Reals:  # noqa: ARG002 as above
        return columns.back()[1:, 1:]

    def events(self, counts: Reals) -> int | None:
        return round(float(counts[0]))

    def tables(self, z: Reals, known: Known, eta: Reals) -> tuple[Tables, Reals]:
        """The tables of these rows, and how their weights are spread over rows."""
        weights = np.exp(eta)
        spread = np.array([float(len(eta)), weights.sum(), weights @ weights])
        return Tables.of(z[:, 1:], eta, known.y, known.event, self.times), spread


@dataclass(frozen=True)
class Stratified(_Survival):
    whole = True
    outcomes = PLAIN + 1

    def beside(self, known: Known) -> Reals:
        """Whether the city has an event: without one its rows tell nothing."""
        return np.array([float(known.event.any())])

    def cities(self, counts: Reals) -> int | None:
        return round(float(counts[PLAIN]))

    def thinnest(self, counts: Reals) -> int | None:  # noqa: ARG002 no time leaves a city
        return None

    def blocks(self, ask: Ask, z: float, make: MakeBlock) -> tuple[Block, ...]:
        return plain_blocks(len(ask.point), 2 * z, z * z, make)

    def measure(self, ask: Ask, z: Reals, known: Known) -> Mapping[str, Reals]:
        point = np.array(ask.point)
        eta = z[:, 1:] @ point
        highest = float(eta.max()) if len(eta) else 0.0  # a common factor of all risks changes nothing
        tables, spread = self.tables(z, known, eta - highest)
        found = partial(tables, point, self.ties)
        return {
            "spread": spread,
            "likelihood": np.array([found.likelihood - highest * float(tables.events.sum())]),
            "score": found.score,
            "information": found.information[np.triu_indices(len(point))],
        }

    def look(self, ask: Ask, found: Total, rounding: Mapping[str, float]) -> Look:  # noqa: ARG002 the sums say it all
        return plain_look(found, rounding)


@dataclass(frozen=True)
class Pooled(_Survival):
    whole = False

    @property
    def outcomes(self) -> int:
        return PLAIN + 2 * self.times

    def beside(self, known: Known) -> Reals:
        """By time, rows that end with the event, and without."""
        place = known.y.astype(np.int64)
        ended = [np.bincount(place[rows], minlength=self.times) for rows in (known.event, ~known.event)]
        return np.concatenate(ended).astype(np.float64)

    def cities(self, counts: Reals) -> int | None:  # noqa: ARG002 risk sets are pooled
        return None

    def thinnest(self, counts: Reals) -> int | None:
        """The fewest who end at one time, with the event or without: those whose sums a table would show."""
        found = counts[PLAIN:]
        return int(found[found > 0].min()) if (found > 0).any() else None

    def blocks(self, ask: Ask, z: float, make: MakeBlock) -> tuple[Block, ...]:
        q = len(ask.point)
        cells = self.times * (1 + q + q * (q + 1) // 2)
        risks = [make(name, cells, RISKS * z * z) for name in TABLES]
        return (*risks, Block("events", self.times), make("moved", self.times * q, z))

    def measure(self, ask: Ask, z: Reals, known: Known) -> Mapping[str, Reals]:
        tables, spread = self.tables(z, known, z[:, 1:] @ np.array(ask.point))
        told = {name: getattr(tables, name).ravel() for name in (*TABLES, "events", "moved")}
        return {**told, "spread": spread}

    def told(self, found: Total) -> Tables:
        shaped = {name: found[name].reshape(self.times, -1) for name in (*TABLES, "moved")}
        return Tables(events=found["events"], **shaped)

    def look(self, ask: Ask, found: Total, rounding: Mapping[str, float]) -> Look:
        """A risk set adds up the cells of later times, each rounded: what is off of it comes through 1 / (risk set)."""
        point = np.array(ask.point)
        here = partial(self.told(found), point, self.ties)
        off = rounding["at_risk"] * (self.times - here.times + 1)
        through, m = off * here.risk, here.size
        return Look(
            likelihood=here.likelihood,
            score=here.score,
            information=here.information,
            likelihood_off=float(through.sum() + rounding["moved"] * len(here.times) * np.abs(point).sum()),
            score_off=float((through * (1 + m)).sum() + rounding["moved"] * len(here.times)),
            information_off=float((through * (1 + m * m + 2 * m * (1 + m))).sum()),
        )


def baseline(model: LikelihoodPlan, state: Fitting, ask: Ask, total: Vector) -> tuple[tuple[float, float], ...]:
    """The cumulative baseline hazard at the means of the columns, by time, from the last round of a pooled fit.

    With Efron's ties each event takes its share out of the risk set, else it is Breslow's. Errors: `ConfigError MODEL_TOGETHER` of a fit
    that is stratified, where no time leaves a city.
    """
    part = model.part
    if not isinstance(part, Pooled):
        raise ConfigError("MODEL_TOGETHER", key="baseline", other="stratify: city")
    found = decode(model.blocks(ask), total)
    here = partial(part.told(found), np.array(state.point), part.ties)
    return tuple(zip((here.times + part.low).tolist(), np.cumsum(here.rate).tolist(), strict=True))


def plan(
    question: Cox,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
) -> LikelihoodPlan:
    """Errors: `ConfigError` for names, types and ranges. At least one term."""
    if question.stratify == "city":
        of_cities(question.terms, "stratify: city")
    columns = Design.of(question.terms, dictionary, question.missing)
    design.known(dictionary, question.duration, ("integer",), "duration")
    design.known(dictionary, question.event, ("boolean",), "event")
    for name in (question.duration, question.event):
        if name in columns.variables:
            raise ConfigError("MODEL_TERM_OUTCOME", name=name)
    if not question.terms:
        raise ConfigError("MODEL_TOGETHER", key="terms: []", other="kind: cox")
    low, high = (int(end) for end in design.range_of(dictionary, question.duration))
    if high - low >= MOST_TIMES:
        raise ConfigError("MODEL_TIMES", name=question.duration, count=high - low + 1, most=MOST_TIMES)
    made = Stratified if question.stratify == "city" else Pooled
    part: Part = made(question.duration, question.event, question.ties, low, high - low + 1)
    return LikelihoodPlan(
        part=part,
        dictionary=dictionary,
        design=columns,
        outcome=question.duration,
        cities=cities,
        most_rows=most_rows,
        study=study,
        limits=limits or Limits(),
        confidence=confidence,
        collinear=question.collinear == "drop",
    )
