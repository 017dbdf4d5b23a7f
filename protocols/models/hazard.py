"""Discrete-time hazard: a binomial regression over the months of a holder until its first event. `kind: hazard`.

A holder's rows of an events table are its months, one row each. A holder is at risk in each of its rows in the window of the study up to
the row of its first event, with it. Left out are: rows after that event, all rows of a holder whose first event lies before the window,
rows in which the event is not known, and months without a row, in which nobody looked. A holder without an event was watched up to its
last row. The city makes these person-months from its holders and their rows; what leaves it are the sums of `glm_city.py`.

One holder has at most one event, so that the likelihood of its months is the product of theirs and errors are those of a binomial
regression (docs/adr/0087). Where a count protects holders, it is of holders and not of their months; batches never split one.

With `baseline: month` each month has a constant of its own: months since `opened`, or calendar months. An interaction `month:term` asks
whether a hazard is proportional.

Source: J. D. Singer and J. B. Willett, Applied Longitudinal Data Analysis, chapter 11; for cloglog as grouped proportional hazards,
R. L. Prentice and L. A. Gloeckler, Biometrics 34 (1978).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtri, stdtrit

from protocols.columns import Column, EventRows, month_text
from protocols.dictionary import Boolean, Category, Code, Dictionary, Integer, Read, near
from protocols.errors import ConfigError, Unfit
from protocols.filters import Word, Words
from protocols.models import design, glm, saved
from protocols.models.answer import Fit, published
from protocols.models.effects import CityEffects
from protocols.models.families import Law
from protocols.models.fixedpoint import Block, Reals
from protocols.models.glm import Fitting, Glm, GlmPlan, Limits
from protocols.models.glm_keys import Clustered, Names, Ridge
from protocols.models.interface import Ask, Done, Result, Seen, Sums
from protocols.models.modelfile import MONTH as MONTH
from protocols.models.modelfile import Followed, Linear, Monthly
from protocols.ring import Vector
from protocols.statistics.layout import SINCE
from protocols.statistics.rows import Row, significant
from protocols.yamltext import Record, Whole

EVENT: Final = "event"
HOLDER: Final = "holder"
BASELINE: Final = "hazard"
INTERCEPT: Final = "intercept"
MOST_MONTHS: Final = 120


class Happening(Record):
    """A month in which a category of the events table has one of these codes."""

    variable: str
    is_: Word | None = Field(None, alias="is")
    in_: Words | None = Field(None, alias="in", min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Happening":
        if (self.is_ is None) == (self.in_ is None):
            raise Unfit("恰好需要 is 或 in 之一", "needs either is or in")
        return self

    @property
    def codes(self) -> tuple[str, ...]:
        return self.in_ or (self.is_ or "",)


class Hazard(Record):
    """event: a boolean of an events table, `table.variable`, or some codes of a category of it. terms: variables of holders, variables of
    the table by their short name, and `month`. opened: a date of the holder, from which months are counted. months: how many of these
    there are, from month 0."""

    event: str | Happening
    terms: Names = ()
    link: Literal["logit", "cloglog"] = "logit"
    baseline: Literal["month", "none"] = "month"
    opened: str | None = None
    months: Annotated[Whole, Field(ge=1, le=MOST_MONTHS)] | None = None
    missing: Literal["drop", "indicator"] = "drop"
    collinear: Literal["refuse", "drop"] = "refuse"
    errors: Literal["model", "robust", "hc0", "hc1"] | Clustered = "model"
    penalty: Ridge | None = None
    city_effects: CityEffects = "none"

    @property
    def happening(self) -> Happening:
        """A boolean happens where it is true."""
        if isinstance(self.event, Happening):
            return self.event
        return Happening.model_validate({"variable": self.event, "is": "true"})

    @property
    def regression(self) -> Glm:
        """Of person-months."""
        dated = self.baseline == "month" and MONTH not in self.terms
        return Glm(
            family="binomial",
            link=self.link,
            outcome=EVENT,
            terms=(MONTH, *self.terms) if dated else self.terms,
            missing=self.missing,
            collinear=self.collinear,
            errors=self.errors,
            penalty=self.penalty,
            city_effects=self.city_effects,
        )


@dataclass(frozen=True)
class Months:
    """Which person-months there are: of `table`, in the calendar months `first` to `last`; since `opened`, a date of the holder."""

    table: str
    event: str
    first: int
    last: int
    opened: str | None
    count: int
    codes: tuple[str, ...] = ("true",)
    places: tuple[int, ...] = (1,)

    @property
    def followed(self) -> Followed:
        """As a model file has it."""
        return Followed(
            table=self.table,
            event=self.event,
            codes=self.codes,
            opened=self.opened,
            first=month_text(self.first),
            count=self.count,
        )

    def happened(self, rows: EventRows) -> Column:
        """Whether it did in each row."""
        given = rows.columns[self.event]
        return Column(np.isin(given.values.astype(np.int64), self.places).astype(np.int8), given.known)

    def at_risk(self, events: EventRows, read: Read) -> tuple[EventRows, "Column"]:
        """The rows at risk, and the month of each, counted from 0. Pre-condition: rows of a holder stand together, months ascending."""
        rows = events.taken(events.month <= self.last)
        event = self.happened(rows)
        happened = event.known & (event.values == 1)
        before = np.cumsum(happened) - happened  # events in earlier rows, of all holders
        starts = (
            np.flatnonzero(np.r_[True, rows.holder[1:] != rows.holder[:-1]]) if len(rows.holder) else np.zeros(0, int)
        )
        owed = np.repeat(before[starts], np.diff(np.r_[starts, len(rows.holder)]))
        rows = rows.taken((before == owed) & (rows.month >= self.first))
        if self.opened is None:
            return rows, Column(rows.month - self.first, np.ones(len(rows.month), bool))
        since = read(self.opened)
        days = since.values[rows.holder].astype("datetime64[D]")
        month = rows.month - (days.astype("datetime64[M]").astype(np.int64) + 1970 * 12)
        known = since.known[rows.holder] & (month >= 0) & (month < self.count)
        return rows, Column(np.where(known, month, 0), known)

    def expanded(self, events: EventRows, read: Read, holder_names: frozenset[str]) -> tuple[Read, int]:
        """Columns of person-months by name, and how many there are. Names of holders come first."""
        rows, month = self.at_risk(events, read)
        made = {
            **rows.columns,
            MONTH: month,
            HOLDER: Column(rows.holder, np.ones(len(rows.holder), bool)),
            EVENT: self.happened(rows),
        }

        def column(name: str) -> Column:
            if name not in made or (name in holder_names and name in rows.columns):
                given = read(name)
                made[name] = Column(given.values[rows.holder], given.known[rows.holder])
            return made[name]

        return column, len(rows.holder)


@dataclass(frozen=True)
class AtMeans:
    """Coefficients with their covariances: all of it, and what of it is sampling. means: of the columns, 1 of the constant. reach: of an
    interval, in errors."""

    means: Reals
    estimates: Reals
    covariance: Reals
    sampling: Reals
    reach: float

    def hazard(self, law: Law, x: Reals) -> Row:
        """Of a holder with these columns, with its errors to first order; its interval is that of the linear predictor."""
        eta = float(x @ self.estimates)
        error, sampling = (float(np.sqrt(x @ each @ x)) for each in (self.covariance, self.sampling))
        mean = law.mean(eta + self.reach * error * np.array([0.0, -1.0, 1.0]))
        middle, low, high = mean.mu.tolist()
        slope = float(mean.slope[0])
        return Row(
            BASELINE,
            estimate=significant(middle),
            se_noise=significant(slope * float(np.sqrt(max(error**2 - sampling**2, 0.0)))),
            se_sampling=significant(slope * sampling),
            ci_low=significant(low),
            ci_high=significant(high),
        )


@dataclass(frozen=True)
class HazardPlan:
    """A binomial regression (`inner`) over person-months."""

    inner: GlmPlan
    months: Months
    holder_names: frozenset[str]

    @property
    def study(self) -> str:
        return self.inner.study

    @property
    def most_rounds(self) -> int:
        return self.inner.most_rounds

    @property
    def most_cells(self) -> int:
        return self.inner.most_cells

    @property
    def scope(self) -> str:
        """Months of one holder are measured together."""
        return f"group:{HOLDER}" if self.inner.scope == "rows" else self.inner.scope

    @property
    def most_months(self) -> int:
        """Of one holder."""
        kept = self.inner.dictionary.events[self.months.table].most_rows_per_holder
        return min(kept, self.months.last - self.months.first + 1, self.months.count)

    @property
    def reads(self) -> tuple[str, ...]:
        """Variables of the events table that `expanded` needs."""
        table = self.inner.dictionary.events[self.months.table].variables
        named = [name for name in self.inner.design.variables if name in table and name not in self.holder_names]
        return tuple(dict.fromkeys((self.months.event, *named)))

    def at(self, place: int) -> "HazardPlan":
        return replace(self, inner=self.inner.at(place))

    def start(self) -> Fitting:
        return self.inner.start()

    def ask(self, state: Fitting) -> Ask | Done:
        return self.inner.ask(state)

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        return self.inner.blocks(ask)

    def length(self, ask: Ask) -> int:
        return self.inner.length(ask)

    def drawn(self, ask: Ask) -> tuple[str, ...]:
        return self.inner.drawn(ask)

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:  # noqa: ARG002 as many as the events say
        return self.inner.measure(ask, *self.person_months(read))

    def person_months(self, read: Read) -> tuple[Read, int]:
        """Columns of person-months by name, and how many there are. `read` is a `Reading`, whose table has the events of these holders. A
        city without the table, or without a variable of it that is read, has none."""
        table: Any = getattr(read, "table", None)
        events = table.events.get(self.months.table) if table is not None else None
        if events is None or not set(self.reads) <= events.columns.keys():
            empty = {name: Column(np.zeros(0, np.int64), np.zeros(0, bool)) for name in self.reads}
            events = EventRows(np.zeros(0, np.int64), np.zeros(0, np.int64), empty)
        return self.months.expanded(events, read, self.holder_names)

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        return self.inner.encode(ask, sums)

    def tell(self, state: Fitting, ask: Ask, total: Vector) -> Fitting:
        """Errors: as of `GlmPlan.tell`, by the name that the event has in the dictionary."""
        try:
            return self.inner.tell(state, ask, total)
        except ConfigError as fault:
            if fault.values.get("name") != EVENT:
                raise
            said = {**fault.values, "name": f"{self.months.table}.{self.months.event}"}
            raise ConfigError(fault.code, None, (), **said) from None

    def seen(self, state: Fitting) -> Seen | None:
        return self.inner.seen(state)

    def result(self, state: Fitting) -> Result:
        """The regression; the hazard of each month; what scores the next one."""
        fit = self.finalize(state)
        said, terms = published(fit, self.inner.tests(fit)), [each.term for each in fit.coefficients]
        if terms.count(INTERCEPT) != 1:  # nothing was fitted, or cities have constants of their own
            return said
        rows = self.baseline(terms, self._at_means(state, fit), fit.obs_status)
        return replace(said, rows=rows, model=self.left(saved.linear(self.inner, state)))

    def left(self, plain: Linear) -> dict[str, Any]:
        """What scores the next month by this regression of person-months."""
        kept = {name: getattr(plain, name) for name in type(plain).model_fields if name != "kind"}
        outcome, inner = f"{self.months.table}.{self.months.event}", self.inner
        if self.months.codes != ("true",):
            outcome += f"[{'|'.join(self.months.codes)}]"
        fit = Monthly(**kept, months=self.months.followed)
        return saved.left(inner.design.variables, outcome, fit, inner.dictionary)

    def _at_means(self, state: Fitting, fit: Fit) -> AtMeans:
        covariance, tail = np.array(fit.covariance), (1 - self.inner.confidence) / 2
        return AtMeans(
            means=np.array([1.0, *state.columns.centre]),
            estimates=np.array([each.estimate for each in fit.coefficients]),
            covariance=covariance,
            sampling=covariance,
            reach=-float(ndtri(tail) if fit.degrees is None else stdtrit(fit.degrees, tail)),
        )

    def finalize(self, state: Fitting) -> Fit:
        """`n` counts person-months, `holders` who has them."""
        fit = self.inner.finalize(state)
        return replace(fit, holders=state.units[0], events=state.units[1]) if state.units else fit

    def baseline(self, terms: Sequence[str], at: AtMeans, obs_status: str) -> tuple[Row, ...]:
        """The hazard of each month. None where a month has no constant of its own, or where what a term does differs by month. A month that
        too few holders have has joined the first, and is not told."""
        codes, names = self.inner.dictionary.codes(MONTH), f"{MONTH}["
        if not codes or any(":" in term and names in term for term in terms):
            return ()
        month = MONTH if self.months.opened is None else SINCE
        found = []
        for code in codes:
            name = f"{names}{code}]"
            if code != codes[0] and name not in terms:
                found.append(Row(BASELINE, {month: code}, obs_status="x"))
                continue
            here = [
                float(term == name) if term.startswith(names) else mean
                for term, mean in zip(terms, at.means, strict=True)
            ]
            row = replace(at.hazard(self.inner.law, np.array(here)), keys={month: code}, obs_status=obs_status)
            found.append(row)
        return tuple(found)


def plan(
    question: Hazard,
    dictionary: Dictionary,
    cities: int,
    most_holders: int,
    study: str,
    window: tuple[int, int],
    limits: Limits | None = None,
    confidence: float = 0.95,
    labels: tuple[str, ...] = (),
) -> HazardPlan:
    """window: the first and last calendar month of the study.

    Errors: `ConfigError` STUDY_VARIABLE, MODEL_TYPE, MODEL_TOGETHER, and those of `glm.plan`.
    """
    happening = question.happening
    found = dictionary.event_of(happening.variable)
    if found is None or not found[1]:
        names = dictionary.event_names()
        raise ConfigError("STUDY_VARIABLE", name=happening.variable, near=near(happening.variable, names))
    table, event = found
    entry = dictionary.events[table]
    kind = entry.variables[event].type
    codes, types = (
        dictionary.codes(f"{table}.{event}"),
        ("boolean",) if isinstance(question.event, str) else design.CODED,
    )
    if kind not in types:
        raise ConfigError("MODEL_TYPE", name=happening.variable, kind=kind, types=" / ".join(types), where="event")
    for code in happening.codes:
        if code not in codes:
            raise ConfigError("STUDY_VARIABLE", name=code, near=near(code, codes))
    places = tuple(codes.index(code) for code in happening.codes)
    if question.opened is not None:
        design.known(dictionary, question.opened, ("date",), "opened")
    if (question.opened is None) != (question.months is None):
        raise ConfigError("MODEL_TOGETHER", key="opened", other="no months" if question.opened else "no opened")
    if question.city_effects == "random":
        raise ConfigError("MODEL_TOGETHER", key="kind: hazard", other="city_effects: random")
    clustered = question.errors.cluster if isinstance(question.errors, Clustered) else "city"
    if clustered not in ("city", HOLDER, *dictionary.known()):  # months of one holder lie in one cluster
        raise ConfigError("STUDY_VARIABLE", name=clustered, near=near(clustered, dictionary.known()))
    first, last = window
    count = question.months or last - first + 1
    months = Months(table, event, first, last, question.opened, count, happening.codes, places)
    dated = question.baseline == "month"
    reserved = {
        MONTH: _monthly(months) if dated else Integer(type="integer", range=(0, max(months.count - 1, 1))),
        EVENT: Boolean(type="boolean"),
        HOLDER: Integer(type="integer", range=(0, most_holders)),
    }
    holders = {name: each for name, each in dictionary.variables.items() if name not in reserved}
    variables = {
        **{n: each for n, each in entry.variables.items() if n not in dictionary.known()},
        **holders,
        **reserved,
    }
    expanded = dictionary.model_copy(update={"variables": variables})
    rows = most_holders * min(entry.most_rows_per_holder, months.count)
    inner = glm.plan(question.regression, expanded, cities, rows, study, limits, confidence, labels)
    inner = replace(inner, city=replace(inner.city, unit=HOLDER))
    return HazardPlan(inner, months, frozenset((*holders, *dictionary.derived)))


def _monthly(months: Months) -> Category:
    """One code for each month: calendar months, or months since the opening."""
    names = [f"{m // 12}-{m % 12 + 1:02}" for m in range(months.first, months.last + 1)]
    if months.opened is not None:
        names = [str(month) for month in range(months.count)]
    return Category(type="category", codes={name: Code() for name in names})
