"""What a variable means, for every party: its type, its public domain, its words in Chinese and English.

A dictionary is public. Every variable has a domain, `codes` or a `range`, that depends on this file alone and never on rows. Derived
variables are computed from columns and `as_of` by the pure code below, the same in every city.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from importlib import resources
from itertools import pairwise
from math import ceil, floor
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from protocols import columns, filters, yamltext
from protocols.canonical import canonical, digest
from protocols.columns import Column as Column
from protocols.columns import EventRows, month_number
from protocols.errors import Both, ConfigError, Unfit, worded
from protocols.filters import Filter, Leaf, Truth
from protocols.yamltext import Document, Faults, Flag, Path, Record, Whole, fit, read

MISSING: Final = "_missing"
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
# Columns of results, beside which the keys of a row stand; and words of studies.
COLUMNS: Final = frozenset(
    (
        "scope",
        "measure",
        "base",
        "estimate",
        "display",
        "se_noise",
        "se_sampling",
        "ci_low",
        "ci_high",
        "p_value",
        "q_value",
    )
) | {"preference", "contrast", "tie", "item", "total_share", "position", "at", "obs_status", "conf_status"}
TAKEN: Final = COLUMNS | {"city", "known"}
STATUS: Final = "__s"  # a snapshot keeps how each value of `x` came about in a column `x__s`
MOST_CODES: Final = 65_536
MOST_CHOICES: Final = 64  # codes of a set: a holder's are the bits of one whole number
RISING: Final = Both("取值范围必须递增", "the range must rise")
MOST_LAYERS: Final = 8  # derived variables on top of derived ones
NUMBER_STEPS: Final = (
    1 << 24
)  # in half of the range of a number, at most: squares of so many fit, and are centred without loss
MOST_PLACES: Final = 12
MOST_WHOLE: Final = 1 << 53  # float64 counts up to here without a gap
MOST_MONTHS: Final = 600  # that a holder may have rows in: fifty years
MONEY: Final = {"分": 1, "元": 100, "万元": 1_000_000, "亿元": 10_000_000_000}  # fen in each
MOST_STEPS: Final = 1 << 53  # of a fact: what is added up over all cities stays far inside 64 bits
NOT_EVENT: Final = ("month", "count", "row")  # words of an event row: its month, its being there, whose it is


class Words(Record):
    """A label in two languages. Where one is left out the other stands in; where both are, the code does."""

    zh: str = ""
    en: str = ""

    def text(self, language: Literal["zh", "en"], instead: str = "") -> str:
        first, second = (self.zh, self.en) if language == "zh" else (self.en, self.zh)
        return first or second or instead


class Standard(Record):
    """Where the name comes from, for suggestions only. `verified: false` until read in the standard itself."""

    table: str = ""
    name: str = ""
    codes: str = ""
    verified: Flag = False


class Code(Words):
    """One value of a category. `comparable: false` is shown but not compared between cities."""

    from_: date | None = Field(None, alias="from")
    until: date | None = None
    comparable: Flag = True
    standard: str = ""


class _Variable(Record):
    label: Words = Words()
    standard: Standard | None = None
    sensitivity: Literal["C1", "C2"] = "C1"
    aliases: tuple[str, ...] = ()
    default_null: Literal["keep", "0", "drop"] = "keep"


Codes = Annotated[dict[str, Code], Field(min_length=1, max_length=MOST_CODES)]
Bound = Annotated[Decimal, BeforeValidator(lambda value: filters.decimal(value) if isinstance(value, str) else value)]


class Category(_Variable):
    type: Literal["category"]
    codes: Codes


class Set(_Variable):
    """Multi-response: a holder has any number of the codes."""

    type: Literal["set"]
    codes: Codes
    most_codes: Whole | None = Field(None, ge=1)


class Boolean(_Variable):
    type: Literal["boolean"]


Timing = Literal["flow", "balance"]  # an amount of a period, or of its last day


class _Ranged(_Variable):
    unit: str = ""
    timing: Timing | None = None
    points: tuple[Bound, ...] = ()
    centre: Bound | None = None
    spread: Bound | None = None


class Integer(_Ranged):
    type: Literal["integer"]
    range: tuple[Whole, Whole]


class Number(_Ranged):
    type: Literal["number"]
    range: tuple[Bound, Bound]


class Money(_Ranged):
    """Yuan in files, whole fen inside: exact."""

    type: Literal["money"]
    range: tuple[Bound, Bound]


class Date(_Variable):
    type: Literal["date"]
    range: tuple[date, date]


Variable: TypeAlias = Annotated[Category | Set | Boolean | Integer | Number | Money | Date, Field(discriminator="type")]


class YearsBefore(Record):
    """`{as_of_year_minus: birth_year}`: year(as_of) minus a year, clipped to `range`. The one convention of age."""

    as_of_year_minus: str
    range: tuple[Whole, Whole]
    label: Words = Words()


class Bands(Record):
    """`{of: birth_year, bands: {60s: [1960, 1969]}, else: other}`: the first band that holds the value, both ends included."""

    of: str
    bands: dict[str, tuple[Bound, Bound]] = Field(min_length=1)
    else_: str | None = Field(None, alias="else")
    label: Words = Words()
    codes: dict[str, Code] = Field(default_factory=dict)


class Rule(Record):
    code: str
    when: Filter


class Rules(Record):
    """The code of the first rule that holds, `else` where none does. Missing where the deciding rule is unknown."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    else_: str | None = Field(None, alias="else")
    label: Words = Words()
    codes: dict[str, Code] = Field(default_factory=dict)


class OfEvents(Record):
    """`{of_events: contributions, rule: sum, variable: amount, months: 12}`: one value of a holder's event rows of the last months.

    Of an amount, `count`, `streak` and `gap` look at rows above 0. `months`: up to that of as_of; left out, all that are kept. `range`: a
    sum is clipped to it. `opened`: of a gap, the date before which there is nothing to be missed; who opened less than `months` before
    as_of has no value. A city may give a column instead.
    """

    of_events: str
    rule: Literal["sum", "count", "latest", "streak", "gap", "first"]
    variable: str | None = None
    months: Annotated[Whole, Field(ge=1, le=MOST_MONTHS)] | None = None
    range: tuple[Bound, Bound] | None = None
    opened: str | None = None
    label: Words = Words()


EventVariable: TypeAlias = Annotated[Category | Boolean | Integer | Money, Field(discriminator="type")]


class Events(Record):
    """A longitudinal table: one row per holder and month, the latest `most_rows_per_holder` of each. `month`: what it calls months."""

    month: str = "month"
    variables: dict[str, EventVariable] = Field(default_factory=dict)
    most_rows_per_holder: Annotated[Whole, Field(ge=1, le=MOST_MONTHS)]
    label: Words = Words()


class Fact(Record):
    """A figure of a centre itself, that no row of a holder is summed for. `range` is in `unit`; money is in 分, 元, 万元 or 亿元."""

    type: Literal["integer", "number", "money"]
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    range: tuple[Bound, Bound]
    timing: Timing | None = None
    label: Words = Words()

    @property
    def steps(self) -> int:
        """How many of the whole steps that it is carried in are one `unit`: fen of money, millionths of a number."""
        return {"integer": 1, "number": 1_000_000, "money": MONEY.get(self.unit, 1)}[self.type]


class Break(Record):
    """From a day on, what some variables mean is another thing, in all cities or in some."""

    from_: date = Field(alias="from")
    label: Words = Words()
    affects: Annotated[tuple[str, ...], Field(min_length=1)]
    cities: tuple[str, ...] = ()

    def between(self, earlier: int, later: int) -> bool:
        """Whether the month `earlier` has a day before it, and the month `later` one from it on."""
        month = month_number(self.from_)
        return earlier < month + (self.from_.day > 1) and later >= month


def _derivation(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    for name in ("as_of_year_minus", "rules", "of_events"):
        if name in keys:
            return f"<{name}>"
    return "<bands>"


Derived: TypeAlias = Annotated[
    Annotated[YearsBefore, Tag("<as_of_year_minus>")]
    | Annotated[Bands, Tag("<bands>")]
    | Annotated[Rules, Tag("<rules>")]
    | Annotated[OfEvents, Tag("<of_events>")],
    Discriminator(_derivation),
]


class Dictionary(Record):
    """The parsed file. `digest` names it in studies, approvals and results."""

    dictionary: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")]
    version: Annotated[Whole, Field(ge=1)]
    unit: str = "account_holder"
    label: Words = Words()
    public: Flag = False
    variables: dict[str, Variable] = Field(min_length=1)
    derived: dict[str, Derived] = Field(default_factory=dict)
    events: dict[str, Events] = Field(default_factory=dict)
    breaks: tuple[Break, ...] = ()
    facts: dict[str, Fact] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.dictionary}@{self.version}"

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON with every default filled in. Canonical JSON sorts keys, and the order of codes says which index is which (and
        which band comes first): both are written as lists of pairs. Of events, breaks and facts a dictionary without them says nothing."""
        tree = _ordered(self.model_dump(mode="json", by_alias=True, exclude_none=True), listed=True)
        later = ("events", "breaks", "facts")
        return canonical({key: value for key, value in tree.items() if value or key not in later})

    @classmethod
    def of_content(cls, content: bytes) -> "Dictionary":
        """The dictionary that has these canonical bytes. Errors: `ValueError`, pydantic's among them, if there is none."""
        try:
            tree = _ordered(json.loads(content), listed=False)
        except (TypeError, AttributeError):  # no mappings, or no pairs, where there should be some
            raise ValueError("not the canonical bytes of a dictionary") from None
        found = cls.model_validate_json(json.dumps(tree), strict=True)
        if found.content != content:
            raise ValueError("not the canonical bytes of a dictionary")
        return found

    @cached_property
    def digest(self) -> str:
        return digest(self.content)

    @model_validator(mode="after")
    def _whole(self) -> "Dictionary":
        found = [*self._misnamed(), *self._unsound(), *self._odd_events(), *self._odd_facts()]
        found = found or list(self._underivable())
        found = found or [
            f for name, each in self.of_events.items() for f in self._ill_of_events(("derived", name), each)
        ]
        found = found or [fault for name in self.derived for fault in self._ill_derived(name)]
        if found:
            raise Faults(found)
        return self

    def _misnamed(self) -> Iterator[tuple[Path, Both]]:
        for kind, entries in (("variables", self.variables), ("derived", self.derived)):
            for name, entry in entries.items():
                if not NAME.fullmatch(name) or name in TAKEN:
                    yield (
                        (kind, name),
                        Both(
                            f"不能用作变量名：只用 a-z、0-9 和 _，且不得是 {', '.join(sorted(TAKEN))}",
                            f"cannot name a variable: use a-z, 0-9 and _, and none of {', '.join(sorted(TAKEN))}",
                        ),
                    )
                whose = name.removesuffix(STATUS)
                if whose != name and whose in self.variables:
                    said = Both(
                        f"快照以此名保存 {whose!r} 的状态", f"a snapshot keeps the status of {whose!r} under this name"
                    )
                    yield (kind, name), said
                if name in self.variables and kind == "derived":
                    yield (kind, name), Both("已经是一个变量的名称", "is the name of a variable already")
                for where, code in _coded(entry):
                    if not CODE.fullmatch(code):
                        yield (
                            (kind, name, *where),
                            Both(
                                f"{code!r} 不能用作代码：只用字母、数字和 _",
                                f"{code!r} cannot name a code: use letters, digits and _",
                            ),
                        )
        for name, made in self.derived.items():
            for code in getattr(made, "codes", {}):
                if code not in self.codes(name):
                    yield (
                        ("derived", name, "codes", code),
                        _hinted(
                            "没有分档或规则给出这个代码", "no band and no rule gives this code", code, self.codes(name)
                        ),
                    )

    def _unsound(self) -> Iterator[tuple[Path, Both]]:
        """Ranges that do not rise, and numbers that lie outside them."""
        given: list[tuple[Path, Any]] = [(("variables", name), variable) for name, variable in self.variables.items()]
        given += [
            (("events", table, "variables", name), variable)
            for table, entry in self.events.items()
            for name, variable in entry.variables.items()
        ]
        for path, variable in given:
            low, high = getattr(variable, "range", (0, 1))
            if low >= high:
                yield (*path, "range"), RISING
            if isinstance(variable, Integer | Number | Money):
                for key, value in [("centre", variable.centre), *(("points", point) for point in variable.points)]:
                    if value is not None and not low <= value <= high:
                        yield (*path, key), Both(f"{value} 在取值范围之外", f"{value} lies outside the range")
                if variable.spread is not None and variable.spread <= 0:
                    yield (*path, "spread"), Both("必须大于 0", "must be above 0")
            if variable.default_null == "0" and not (
                isinstance(variable, Integer | Number | Money) and low <= 0 <= high
            ):
                yield (*path, "default_null"), Both("0 不是这个变量的取值", "0 is no value of this variable")
            if isinstance(variable, Set) and len(variable.codes) > MOST_CHOICES:
                said = Both(f"多选变量至多 {MOST_CHOICES} 个代码", f"a set has at most {MOST_CHOICES} codes")
                yield (*path, "codes"), said
            for code, entry in getattr(variable, "codes", {}).items():
                if entry.from_ and entry.until and entry.from_ > entry.until:
                    yield (*path, "codes", code, "until"), Both("早于 `from`", "lies before `from`")
        for name, made in self.derived.items():
            if isinstance(made, YearsBefore) and made.range[0] >= made.range[1]:
                yield ("derived", name, "range"), RISING

    def _odd_events(self) -> Iterator[tuple[Path, Both]]:
        """Names of events tables, of their variables and codes; what breaks name."""
        for table, entry in self.events.items():
            if not NAME.fullmatch(table) or table in TAKEN | set(NOT_EVENT):
                yield ("events", table), Both("不能用作事件表的名称", "cannot name a table of events")
            if table in self.known():
                yield ("events", table), Both("已经是一个变量的名称", "is the name of a variable already")
            if not NAME.fullmatch(entry.month) or entry.month in entry.variables:
                yield (
                    ("events", table, "month"),
                    Both("应为月份列的名称，且不得与变量同名", "names the column of months, and no variable"),
                )
            for name, variable in entry.variables.items():
                path = ("events", table, "variables", name)
                if not NAME.fullmatch(name) or name in TAKEN | set(NOT_EVENT) or name.endswith(STATUS):
                    yield path, Both("不能用作事件变量的名称", "cannot name a variable of events")
                for where, code in _coded(variable):
                    if not CODE.fullmatch(code):
                        yield (*path, *where), Both(f"{code!r} 不能用作代码", f"{code!r} cannot name a code")
        for number, each in enumerate(self.breaks):
            for name in each.affects:
                if name not in self.known() and self.event_of(name) is None:
                    known = (*self.known(), *self.event_names())
                    yield (
                        ("breaks", number, "affects"),
                        _hinted(f"没有变量 {name!r}", f"there is no variable {name!r}", name, known),
                    )

    def _odd_facts(self) -> Iterator[tuple[Path, Both]]:
        """Names of facts, ranges that do not rise, units that money is not counted in, bounds between two steps."""
        for name, fact in self.facts.items():
            path = ("facts", name)
            if not NAME.fullmatch(name) or name in TAKEN | {"summed"}:  # which is a word of results
                yield path, Both("不能用作数据项的名称", "cannot name a fact")
            if fact.range[0] >= fact.range[1]:
                yield (*path, "range"), RISING
            if fact.type == "money" and fact.unit not in MONEY:
                known = ", ".join(MONEY)
                said = _hinted(f"金额的单位为 {known}", f"money is counted in {known}", fact.unit, MONEY)
                yield (*path, "unit"), said
            elif any(bound * fact.steps % 1 for bound in fact.range):
                said = Both("上下限须为整数步长", "the range must end on whole steps of this type")
                yield (*path, "range"), said
            elif max(abs(bound * fact.steps) for bound in fact.range) > MOST_STEPS:
                yield (*path, "range"), Both("取值范围过大", "the range is too wide to be carried")

    def _underivable(self) -> Iterator[tuple[Path, Both]]:
        """Derived variables may build on each other, a few layers high and without a circle."""
        known = set(self.known())
        for name, entry in self.derived.items():
            for source in sources(entry):
                if source not in known:
                    zh, en = f"由 {source!r} 派生，但没有这个变量", f"is made of {source!r}, which is not a variable"
                    yield ("derived", name), _hinted(zh, en, source, known)
        done, waiting = set(self.variables), list(self.derived)
        for _ in range(MOST_LAYERS):
            ready = {
                name
                for name in waiting
                if all(source in done or source not in known for source in sources(self.derived[name]))
            }
            done |= ready
            waiting = [name for name in waiting if name not in ready]
        for name in waiting:
            yield (
                ("derived", name),
                Both(
                    f"循环地由自身派生，或叠在超过 {MOST_LAYERS} 层派生变量之上",
                    f"is made of itself in a circle, or stands on more than {MOST_LAYERS} layers of derived variables",
                ),
            )

    def _ill_derived(self, name: str) -> Iterator[tuple[Path, Both]]:
        """Sources of the wrong type, bands that overlap, filters that do not fit. Pre-condition: everything named is there."""
        entry = self.derived[name]
        match entry:
            case YearsBefore(as_of_year_minus=source):
                if self.type_of(source) != "integer":
                    yield (
                        ("derived", name, "as_of_year_minus"),
                        Both(f"{source} 必须是整数（年份）", f"{source} must be an integer, a year"),
                    )
            case Bands(of=source):
                if self.type_of(source) not in ("integer", "number", "money"):
                    yield (
                        ("derived", name, "of"),
                        Both(f"分档需要数字，而 {source} 不是", f"bands need a number, and {source} is not one"),
                    )
                for code, (low, high) in entry.bands.items():
                    if low > high:
                        yield (
                            ("derived", name, "bands", code),
                            Both("下限大于上限", "the lower end is above the upper one"),
                        )
                edges = sorted((low, high, code) for code, (low, high) in entry.bands.items())
                for (_, top, code), (bottom, _, other) in pairwise(edges):
                    if top >= bottom:
                        yield ("derived", name, "bands", other), Both(f"与 {code} 重叠", f"overlaps with {code}")
            case Rules(rules=rules):
                for number, rule in enumerate(rules):
                    try:
                        self.check_filter(rule.when, rule.code)
                    except ValueError as fault:
                        yield ("derived", name, "rules", number, "when"), worded(fault)

    def _ill_of_events(self, path: Path, entry: OfEvents) -> Iterator[tuple[Path, Both]]:
        """A rule over events: its table, its variable and that one's type, months that are kept, and keys that say something."""
        table = self.events.get(entry.of_events)
        if table is None:
            zh, en = f"没有事件表 {entry.of_events!r}", f"there is no table of events {entry.of_events!r}"
            yield (*path, "of_events"), _hinted(zh, en, entry.of_events, self.events)
            return
        needed = {"sum": True, "latest": True, "first": False}.get(entry.rule)  # of the others, rows or amounts above 0
        if needed is not None and needed != (entry.variable is not None):
            said = ("缺少变量", "needs a variable") if needed else ("不需要变量", "takes no variable")
            yield (*path, "variable"), Both(f"{entry.rule} {said[0]}", f"{entry.rule} {said[1]}")
        elif entry.variable is not None and entry.variable not in table.variables:
            zh, en = f"没有事件变量 {entry.variable!r}", f"there is no variable of events {entry.variable!r}"
            yield (*path, "variable"), _hinted(zh, en, entry.variable, table.variables)
        elif entry.variable is not None and not (
            entry.rule == "latest" or isinstance(table.variables[entry.variable], Integer | Money)
        ):
            amounts = Both(f"{entry.rule} 需要金额或整数", f"{entry.rule} needs an amount or a whole number")
            yield (*path, "variable"), amounts
        if entry.months is not None and entry.months > table.most_rows_per_holder:
            yield (
                (*path, "months"),
                Both(
                    f"每人只保留最近 {table.most_rows_per_holder} 个月",
                    f"only the latest {table.most_rows_per_holder} months of a holder are kept",
                ),
            )
        if entry.rule == "gap" and entry.months is None:
            yield (*path, "months"), Both("gap 需要月数", "a gap needs its number of months")
        if (entry.range is not None) != (entry.rule == "sum"):
            yield (
                (*path, "range"),
                Both("合计需要取值范围，其余规则没有", "a sum needs its range, no other rule has one"),
            )
        elif entry.range is not None and entry.range[0] >= entry.range[1]:
            yield (*path, "range"), RISING
        if entry.opened is not None and (entry.rule != "gap" or not isinstance(self.variables.get(entry.opened), Date)):
            yield (*path, "opened"), Both("应为 gap 的开户日期变量", "is the date variable of a gap")

    def known(self) -> tuple[str, ...]:
        """All variables, given and derived."""
        return (*self.variables, *self.derived)

    def event_of(self, name: str) -> tuple[str, str] | None:
        """What a name of events means: a table, and its variable, or no variable where rows are counted; None if it is no such name.

        `contributions.amount`, or `amount` where one table alone has it; `contributions`, or `count` where there is one table.
        """
        table, dot, variable = name.partition(".")
        if dot:
            found = self.events.get(table)
            counted = found is not None and variable == "count"
            return (
                None
                if found is None or not (counted or variable in found.variables)
                else (table, variable * (not counted))
            )
        if name in self.events:
            return name, ""
        if name in self.known():
            return None
        having = [each for each, entry in self.events.items() if name == "count" or name in entry.variables]
        return (having[0], "" if name == "count" else name) if len(having) == 1 else None

    def event_name(self, name: str) -> str:
        """The full form of a name of events. Pre-condition: `event_of` knows it."""
        found = self.event_of(name)
        if found is None:
            raise KeyError(name)
        return ".".join(part for part in found if part)

    def event_names(self) -> tuple[str, ...]:
        """Full names of all tables of events and their variables."""
        return tuple(
            each for table, entry in self.events.items() for each in (table, *(f"{table}.{v}" for v in entry.variables))
        )

    def named(self, name: str) -> bool:
        """Whether a variable, a table of events or one of its variables goes by this name."""
        return name in self.known() or self.event_of(name) is not None

    def entry(self, name: str) -> Any:
        """What the dictionary says of a name; of what events give, the variable that a city may give in its place. Errors: `KeyError`."""
        if name in self.variables:
            return self.variables[name]
        if name in self.derived:
            made = self.derived[name]
            return self._given_as(made) if isinstance(made, OfEvents) else made
        table, variable = self.event_of(name) or (name, "")
        return self.events[table].variables[variable] if variable else self.events[table]

    @property
    def of_events(self) -> dict[str, OfEvents]:
        """The derived variables that events give, by name."""
        return {name: each for name, each in self.derived.items() if isinstance(each, OfEvents)}

    def _given_as(self, made: OfEvents) -> Category | Boolean | Integer | Money | Date:
        table = self.events[made.of_events]
        months = made.months or table.most_rows_per_holder
        match made.rule:
            case "gap":
                return Boolean(type="boolean", label=made.label)
            case "count" | "streak":
                return Integer(type="integer", unit="month", range=(0, months), label=made.label)
            case "first":
                return Date(type="date", range=(date(1, 1, 1), date.max), label=made.label)
        of = table.variables[made.variable or ""]
        changed: dict[str, Any] = {"label": made.label} | ({} if made.range is None else {"range": made.range})
        if isinstance(of, Integer) and made.range is not None:
            changed["range"] = tuple(int(end) for end in made.range)
        return of.model_copy(update=changed)

    def type_of(self, name: str) -> str:
        """category, set, boolean, integer, number, money or date. Derived ages are integers, derived bands and rules categories.

        A table of events is none of these: `events`.
        """
        entry = self.entry(name)
        if isinstance(entry, Events):
            return "events"
        if not isinstance(entry, YearsBefore | Bands | Rules):
            return str(entry.type)
        return "integer" if isinstance(entry, YearsBefore) else "category"

    def label_of(self, name: str, language: Literal["zh", "en"]) -> str:
        return str(self.entry(name).label.text(language, name))

    def unit_of(self, name: str) -> str:
        """What a number is counted in, as the dictionary says; empty for what has none. Derived ages are in years."""
        entry = self.entry(name)
        return "year" if isinstance(entry, YearsBefore) else getattr(entry, "unit", "")

    def timing_of(self, name: str) -> Timing | None:
        """Whether an amount is of a period or of its last day, where the dictionary says so."""
        found: Timing | None = getattr(self.entry(name), "timing", None)
        return found

    def per(self, name: str) -> int:
        """Whole units in one of what people write: fen in a yuan. A number is counted in decimal places, as many as its public range has
        room for: up to 2^24 steps in half of it."""
        entry = self.entry(name)
        if isinstance(entry, Money):
            return 100
        if not isinstance(entry, Number):
            return 1
        low, high = entry.range
        reach = max((high - low) / 2 / NUMBER_STEPS, abs(low) / MOST_WHOLE, abs(high) / MOST_WHOLE)
        return int(10 ** max(places for places in range(MOST_PLACES + 1) if not places or reach * 10**places <= 1))

    def whole_range(self, name: str) -> tuple[int, int]:
        """The public range of an integer, number or amount of money, in whole units; of a number, both ends inside."""
        low, high = getattr(self.entry(name), "range", (0, 0))
        return floor(low * self.per(name)), ceil(high * self.per(name))

    def codes(self, name: str) -> tuple[str, ...]:
        """The codes of a category, set or boolean, in dictionary order. `else` comes last unless it is a code already."""
        entry = self.entry(name)
        match entry:
            case Category(codes=codes) | Set(codes=codes):
                return tuple(codes)
            case Boolean():
                return ("false", "true")
            case Bands() | Rules():
                named = entry.bands if isinstance(entry, Bands) else [rule.code for rule in entry.rules]
                return tuple(dict.fromkeys([*named, *([entry.else_] if entry.else_ else [])]))
            case _:
                return ()

    def code_label(self, name: str, code: str, language: Literal["zh", "en"]) -> str:
        entry = self.entry(name)
        if isinstance(entry, Boolean):
            return {"zh": {"true": "是", "false": "否"}, "en": {"true": "yes", "false": "no"}}[language][code]
        words = getattr(entry, "codes", {}).get(code)
        return words.text(language, code) if words else code

    def comparable(self, name: str, code: str) -> bool:
        """Whether a code means the same in every city."""
        words = getattr(self.variables.get(name), "codes", {}).get(code)
        return words is None or bool(words.comparable)

    def needs(self, name: str) -> frozenset[str]:
        """The given variables that a variable is made of; itself if it is given. What events give counts as given: a city makes it of its
        events, or of a column. Of a name of events, its full form."""
        if name not in self.known() and self.event_of(name) is not None:
            return frozenset((self.event_name(name),))
        reached, waiting = {name}, [name]
        while waiting:
            entry = self.derived.get(waiting.pop())
            fresh = set(sources(entry)) - reached if entry and not isinstance(entry, OfEvents) else set()
            reached |= fresh
            waiting += fresh
        return frozenset(reached & (self.variables.keys() | self.of_events.keys()))

    def made_of(self, name: str) -> tuple[str, ...]:
        """Of what events give: the names of events, and the date, that it is made of."""
        made = self.of_events[name]
        variable = (f"{made.of_events}.{made.variable}",) if made.variable else ()
        return (made.of_events, *variable, *sources(made))

    @cached_property
    def _indices(self) -> dict[str, dict[str, int]]:
        return {}

    def _index(self, name: str) -> dict[str, int]:
        """Code to position; made once for each variable."""
        if name not in self._indices:
            self._indices[name] = {code: position for position, code in enumerate(self.codes(name))}
        return self._indices[name]

    def reader(self, name: str) -> filters.Reader:
        """How an operand of a filter on this variable is read: codes by their index, yuan as fen, dates as days."""
        kind = self.type_of(name)
        if kind == "category":
            index = self._index(name)

            def position(word: str) -> int:
                if word not in index:
                    said = _hinted(f"{name} 没有代码 {word!r}", f"{name} has no code {word!r}", word, index)
                    raise Unfit(said.zh, said.en)
                return index[word]

            return position
        simple: Mapping[str, filters.Reader] = {
            "boolean": filters.flag,
            "integer": filters.integer,
            "number": lambda word: float(filters.decimal(word)),
            "money": filters.fen,
            "date": filters.days,
        }
        return simple[kind]

    def check_filter(self, condition: Any, where: str) -> None:
        """Every variable, code and operand of a filter is known and of the right type, else `ValueError`."""
        for leaf in filters.leaves(condition):
            if leaf.variable not in self.known():
                zh, en = f"{where}：没有变量 {leaf.variable!r}", f"{where}: there is no variable {leaf.variable!r}"
                said = _hinted(zh, en, leaf.variable, self.known())
                raise Unfit(said.zh, said.en)
            kind, operator = self.type_of(leaf.variable), leaf.operator()
            if kind == "set" or (kind in ("category", "boolean") and operator not in ("is", "in", "missing")):
                raise Unfit(
                    f"{where}：{leaf.variable} 的类型是 {kind}，不能用 {operator!r} 比较",
                    f"{where}: {leaf.variable} is a {kind} and cannot be compared by {operator!r}",
                )
            empty = np.zeros(0)
            try:
                filters.compare_values(leaf, empty, empty.astype(bool), self.reader(leaf.variable))
            except ValueError as fault:
                said, place = worded(fault), f"{leaf.variable} {operator}"
                raise Unfit(f"{where}：{place}：{said.zh}", f"{where}: {place}: {said.en}") from None


def _coded(entry: Any) -> Iterator[tuple[Path, str]]:
    """Every code that an entry names, and the keys that lead there."""
    for code in getattr(entry, "codes", {}):
        yield ("codes", code), code
    for code in getattr(entry, "bands", {}):
        yield ("bands", code), code
    for number, rule in enumerate(getattr(entry, "rules", ())):
        yield ("rules", number, "code"), rule.code
    if getattr(entry, "else_", None) is not None:
        yield ("else",), entry.else_


def _ordered(tree: dict[str, Any], *, listed: bool) -> dict[str, Any]:
    """`codes` and `bands` of every entry as lists of [name, value] pairs, or back."""
    turned = dict(tree)

    def entries(group: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {key: _turned(value, listed) if key in ("codes", "bands") else value for key, value in entry.items()}
            for name, entry in group.items()
        }

    for group in ("variables", "derived"):
        turned[group] = entries(tree.get(group, {}))
    if "events" in tree:
        turned["events"] = {
            name: {key: entries(value) if key == "variables" else value for key, value in table.items()}
            for name, table in tree["events"].items()
        }
    return turned


def _turned(value: Any, listed: bool) -> Any:
    return [[name, each] for name, each in value.items()] if listed else dict(value)


def sources(entry: Any) -> tuple[str, ...]:
    """The variables that a derived one is computed from."""
    match entry:
        case YearsBefore(as_of_year_minus=source) | Bands(of=source):
            return (source,)
        case Rules(rules=rules):
            return tuple(dict.fromkeys(leaf.variable for rule in rules for leaf in filters.leaves(rule.when)))
        case OfEvents(opened=opened):
            return (opened,) if opened is not None else ()
    raise TypeError(entry)


def near(word: str, among: Iterable[str]) -> str:
    """The known name nearest to a word, or an empty text."""
    found = difflib.get_close_matches(word, list(among), 1)
    return found[0] if found else ""


def _hinted(zh: str, en: str, word: str, among: Iterable[str]) -> Both:
    """A message, with the nearest known word if one comes near."""
    found = near(word, among)
    return Both(f"{zh}，是否想写 {found!r}？", f"{en}; did you mean {found!r}?") if found else Both(zh, en)


# --- rows, column by column


@dataclass(frozen=True)
class Table:
    """Rows of a snapshot in dictionary terms: `holders` of them, one `Column` per given variable that was asked for.

    `events`: by table, all rows of these holders; a table that the city cannot map is not there.
    """

    holders: int
    columns: Mapping[str, Column]
    events: Mapping[str, EventRows] = field(default_factory=dict)


def column(table: Table, dictionary: Dictionary, name: str, as_of: date) -> Column:
    """A given or derived variable of every holder. Pure and row by row: the order of rows and their batching change nothing."""
    return Reading(table, dictionary, as_of)(name)


def holds(table: Table, dictionary: Dictionary, condition: Any, as_of: date) -> Truth:
    """A filter over the rows of a table."""
    return _holds(condition, dictionary, Reading(table, dictionary, as_of))


Read = Callable[[str], Column]


class Reading:
    """Columns of a table by name, each derived one made once, however many others stand on it."""

    def __init__(self, table: Table, dictionary: Dictionary, as_of: date) -> None:
        self.table, self.dictionary, self.as_of = table, dictionary, as_of
        self.made: dict[str, Column] = dict(table.columns)

    def __call__(self, name: str) -> Column:
        if name not in self.made:
            made = self.dictionary.derived[name]
            if isinstance(made, OfEvents):
                self.made[name] = _of_events(self.table, made, self.dictionary, self, self.as_of)
            else:
                self.made[name] = _derived(name, self.table.holders, self.dictionary, self, self.as_of)
        return self.made[name]


def _derived(name: str, holders: int, dictionary: Dictionary, read: Read, as_of: date) -> Column:
    entry = dictionary.derived[name]
    match entry:
        case YearsBefore(as_of_year_minus=source, range=(low, high)):
            given = read(source)
            return Column(np.clip(as_of.year - given.values.astype(np.int64), low, high), given.known)
        case Bands(of=source):
            return _banded(read(source), entry, dictionary, name)
        case Rules():
            return _ruled(holders, entry, dictionary, name, read)
    raise TypeError(entry)


def _of_events(table: Table, entry: OfEvents, dictionary: Dictionary, read: Read, as_of: date) -> Column:
    """What a holder's rows of the last months up to as_of give; known of nobody where the city cannot map the table."""
    if entry.of_events not in table.events:
        return Column(np.zeros(table.holders, dtype=np.int64), np.zeros(table.holders, dtype=bool))
    end, holders = month_number(as_of), table.holders
    rows, variable = table.events[entry.of_events], entry.variable or ""
    if entry.months is not None:
        rows = rows.within(end - entry.months + 1, end)
    match entry.rule:
        case "sum":
            found = columns.summed(rows, holders, variable)
            low, high = entry.range or (Decimal(0), Decimal(0))
            per = 100 if dictionary.type_of(f"{entry.of_events}.{variable}") == "money" else 1
            return Column(np.clip(found.values, int(low * per), int(high * per)), found.known)
        case "count":
            return columns.counted(rows, holders, entry.variable)
        case "latest":
            return columns.latest(rows, holders, variable)
        case "streak":
            return columns.streak(rows, holders, end, entry.variable)
        case "first":
            return columns.first(rows, holders)
    found = columns.gap(rows, holders, entry.variable)
    if entry.opened is None or entry.months is None:
        return found
    opened = read(entry.opened)
    old = opened.known & (columns.months_of_days(opened.values) <= end - entry.months)
    return Column(found.values, found.known & old)


def _holds(condition: Any, dictionary: Dictionary, read: Read) -> Truth:
    def compare(leaf: Leaf) -> Truth:
        given = read(leaf.variable)
        return filters.compare_values(leaf, given.values, given.known, dictionary.reader(leaf.variable))

    return filters.evaluate(condition, compare)


def _banded(given: Column, entry: Bands, dictionary: Dictionary, name: str) -> Column:
    codes = dictionary.codes(name)
    steps = 100 if dictionary.type_of(entry.of) == "money" else 1
    chosen = np.full(len(given.known), codes.index(entry.else_) if entry.else_ else -1, dtype=np.int16)
    for code, (low, high) in entry.bands.items():
        chosen[(given.values >= float(low * steps)) & (given.values <= float(high * steps))] = codes.index(code)
    return Column(chosen, given.known & (chosen >= 0))


def _ruled(holders: int, entry: Rules, dictionary: Dictionary, name: str, read: Read) -> Column:
    codes = dictionary.codes(name)
    chosen = np.full(holders, -1, dtype=np.int16)
    open_ = np.ones(holders, dtype=bool)
    for rule in entry.rules:
        answer = _holds(rule.when, dictionary, read)
        chosen[open_ & answer.true] = codes.index(rule.code)
        open_ &= answer.known & ~answer.true
    if entry.else_:
        chosen[open_] = codes.index(entry.else_)
    return Column(chosen, chosen >= 0)


# --- files


def is_shipped(reference: str) -> bool:
    """Whether a reference names a built-in dictionary, `name@version`, and not a file."""
    return "@" in reference and not reference.endswith((".yaml", ".yml"))


def load(reference: str, beside: FilePath | None = None) -> Dictionary:
    """A built-in dictionary by `name@version`, or a file by its path (relative to the folder `beside`).

    Errors: `ConfigError` with file, line and key; `DICTIONARY_UNKNOWN` with the nearest built-in name.
    """
    content, file = written(reference, beside)
    return parse(read(content, file))


def written(reference: str, beside: FilePath | None = None) -> tuple[bytes, str]:
    """The bytes of a dictionary as they were written, and the name of the file. Errors: `ConfigError` FILE_MISSING, DICTIONARY_UNKNOWN."""
    if is_shipped(reference):
        shipped = {
            entry.name.removesuffix(".yaml"): entry for entry in resources.files("protocols.dictionaries").iterdir()
        }
        if reference not in shipped:
            names = sorted(name for name in shipped if "@" in name)
            raise ConfigError("DICTIONARY_UNKNOWN", name=reference, known=", ".join(names), near=near(reference, names))
        return shipped[reference].read_bytes(), f"{reference}.yaml"
    path = (beside or FilePath()) / reference
    return yamltext.content(path), str(path)


def parse(document: Document) -> Dictionary:
    """A dictionary file as a value, or every fault with its line."""
    return fit(Dictionary, document)
