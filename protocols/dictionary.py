"""What a variable means, for every party: its type, its public domain, its words in Chinese and English.

A dictionary is public. Every variable has a domain, `codes` or a `range`, that depends on this file alone and never on rows. Derived
variables are computed from columns and `as_of` by the pure code below, the same in every city.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from protocols import filters
from protocols.canonical import canonical, digest
from protocols.errors import ConfigError, Place
from protocols.filters import Bools, Filter, Leaf, Truth
from protocols.yamltext import Document, Flag, Record, Whole, fit, read

MISSING: Final = "_missing"
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
TAKEN: Final = frozenset(("scope", "measure", "base", "estimate", "display", "city", "known"))
MOST_CODES: Final = 65_536


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
Bound = Annotated[
    Decimal, BeforeValidator(lambda value: filters.decimal(value) if isinstance(value, str) else Decimal(str(value)))
]


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


class _Ranged(_Variable):
    unit: str = ""
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


def _derivation(value: Any) -> str:
    keys = value if isinstance(value, dict) else value.__class__.model_fields
    for name in ("as_of_year_minus", "rules"):
        if name in keys:
            return name
    return "bands"


Derived: TypeAlias = Annotated[
    Annotated[YearsBefore, Tag("as_of_year_minus")] | Annotated[Bands, Tag("bands")] | Annotated[Rules, Tag("rules")],
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

    @property
    def name(self) -> str:
        return f"{self.dictionary}@{self.version}"

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON with every default filled in."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @cached_property
    def digest(self) -> str:
        return digest(self.content)

    @field_validator("variables", "derived")
    @classmethod
    def _names(cls, entries: dict[str, Any]) -> dict[str, Any]:
        for name, entry in entries.items():
            if not NAME.fullmatch(name) or name in TAKEN:
                raise ValueError(f"{name!r} cannot name a variable: use a-z, 0-9 and _, and none of {sorted(TAKEN)}")
            for code in getattr(entry, "codes", {}):
                if not CODE.fullmatch(code):
                    raise ValueError(f"{name}: {code!r} cannot name a code: use letters, digits and _")
        return entries

    @model_validator(mode="after")
    def _whole(self) -> "Dictionary":
        twice = sorted(set(self.variables) & set(self.derived))
        if twice:
            raise ValueError(f"named as a variable and as derived: {', '.join(twice)}")
        for name, variable in self.variables.items():
            low, high = getattr(variable, "range", (0, 1))
            if low >= high:
                raise ValueError(f"{name}: the range must rise")
        self._derivable(list(self.derived))
        return self

    def _derivable(self, waiting: list[str]) -> None:
        """Derived variables may build on each other, without a circle, and on variables of the right type."""
        done = dict.fromkeys(self.variables)
        while waiting:
            ready = [name for name in waiting if all(source in done for source in sources(self.derived[name]))]
            for name in waiting:
                for source in sources(self.derived[name]):
                    if source not in self.variables and source not in self.derived:
                        raise ValueError(
                            f"{name} is derived from {source!r}, which is not a variable{_hint(source, self.known())}"
                        )
            if not ready:
                raise ValueError(f"derived from each other in a circle: {', '.join(waiting)}")
            for name in ready:
                self._check_derived(name)
                done[name] = None
                waiting.remove(name)

    def _check_derived(self, name: str) -> None:
        entry = self.derived[name]
        match entry:
            case YearsBefore(as_of_year_minus=source):
                if self.type_of(source) != "integer":
                    raise ValueError(f"{name}: {source} must be an integer, a year")
            case Bands(of=source):
                if self.type_of(source) not in ("integer", "number", "money"):
                    raise ValueError(f"{name}: bands need a number, and {source} is not one")
                edges = sorted(entry.bands.values())
                if any(low > high for low, high in edges) or any(a[1] >= b[0] for a, b in pairwise(edges)):
                    raise ValueError(f"{name}: bands must not overlap, and each must rise")
            case Rules(rules=rules):
                for rule in rules:
                    self.check_filter(rule.when, name)

    def known(self) -> tuple[str, ...]:
        """All variables, given and derived."""
        return (*self.variables, *self.derived)

    def type_of(self, name: str) -> str:
        """category, set, boolean, integer, number, money or date. Derived ages are integers, derived bands and rules categories."""
        if name in self.variables:
            return self.variables[name].type
        return "integer" if isinstance(self.derived[name], YearsBefore) else "category"

    def label_of(self, name: str, language: Literal["zh", "en"]) -> str:
        entry = self.variables.get(name) or self.derived[name]
        return entry.label.text(language, name)

    def codes(self, name: str) -> tuple[str, ...]:
        """The codes of a category, set or boolean, in dictionary order. `else` comes last unless it is a code already."""
        entry = self.variables.get(name) or self.derived[name]
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
        entry = self.variables.get(name) or self.derived[name]
        if isinstance(entry, Boolean):
            return {"zh": {"true": "是", "false": "否"}, "en": {"true": "yes", "false": "no"}}[language][code]
        words = getattr(entry, "codes", {}).get(code)
        return words.text(language, code) if words else code

    def needs(self, name: str) -> frozenset[str]:
        """The given variables that a variable is made of; itself if it is given."""
        if name in self.variables:
            return frozenset((name,))
        return frozenset().union(*(self.needs(source) for source in sources(self.derived[name])))

    def reader(self, name: str) -> filters.Reader:
        """How an operand of a filter on this variable is read: codes by their index, yuan as fen, dates as days."""
        kind = self.type_of(name)
        if kind == "category":
            index = {code: position for position, code in enumerate(self.codes(name))}

            def position(word: str) -> int:
                if word not in index:
                    raise ValueError(f"{name} has no code {word!r}{_hint(word, index)}")
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
                raise ValueError(f"{where}: there is no variable {leaf.variable!r}{_hint(leaf.variable, self.known())}")
            kind, operator = self.type_of(leaf.variable), leaf.operator()
            if kind == "set" or (kind in ("category", "boolean") and operator not in ("is", "in", "missing")):
                raise ValueError(f"{where}: {leaf.variable} is a {kind} and cannot be compared by {operator!r}")
            empty = np.zeros(0)
            try:
                filters.compare_values(leaf, empty, empty.astype(bool), self.reader(leaf.variable))
            except ValueError as fault:
                raise ValueError(f"{where}: {leaf.variable} {operator}: {fault}") from None


def sources(entry: Any) -> tuple[str, ...]:
    """The variables that a derived one is computed from."""
    match entry:
        case YearsBefore(as_of_year_minus=source) | Bands(of=source):
            return (source,)
        case Rules(rules=rules):
            return tuple(dict.fromkeys(leaf.variable for rule in rules for leaf in filters.leaves(rule.when)))
    raise TypeError(entry)


def near(word: str, among: Iterable[str]) -> str:
    """The known name nearest to a word, or an empty text."""
    found = difflib.get_close_matches(word, list(among), 1)
    return found[0] if found else ""


def _hint(word: str, among: Iterable[str]) -> str:
    found = near(word, among)
    return f"; did you mean {found!r}?" if found else ""


# --- rows, column by column


@dataclass(frozen=True)
class Column:
    """One variable of n holders. `values`: codes by index, booleans 0/1, integers, fen, floats, days; anything where not `known`."""

    values: npt.NDArray[Any]
    known: Bools


@dataclass(frozen=True)
class Table:
    """Rows of a snapshot in dictionary terms: `holders` of them, one `Column` per given variable that was asked for."""

    holders: int
    columns: Mapping[str, Column]


def column(table: Table, dictionary: Dictionary, name: str, as_of: date) -> Column:
    """A given or derived variable of every holder. Pure and row by row: the order of rows and their batching change nothing."""
    if name in dictionary.variables:
        return table.columns[name]
    entry = dictionary.derived[name]
    match entry:
        case YearsBefore(as_of_year_minus=source, range=(low, high)):
            given = column(table, dictionary, source, as_of)
            return Column(np.clip(as_of.year - given.values, low, high), given.known)
        case Bands(of=source):
            return _banded(column(table, dictionary, source, as_of), entry, dictionary, name)
        case Rules():
            return _ruled(table, entry, dictionary, name, as_of)
    raise TypeError(entry)


def holds(table: Table, dictionary: Dictionary, condition: Any, as_of: date) -> Truth:
    """A filter over the rows of a table."""

    def compare(leaf: Leaf) -> Truth:
        given = column(table, dictionary, leaf.variable, as_of)
        return filters.compare_values(leaf, given.values, given.known, dictionary.reader(leaf.variable))

    return filters.evaluate(condition, compare)


def _banded(given: Column, entry: Bands, dictionary: Dictionary, name: str) -> Column:
    codes = dictionary.codes(name)
    steps = 100 if dictionary.type_of(entry.of) == "money" else 1
    chosen = np.full(len(given.known), codes.index(entry.else_) if entry.else_ else -1, dtype=np.int16)
    for code, (low, high) in entry.bands.items():
        chosen[(given.values >= float(low * steps)) & (given.values <= float(high * steps))] = codes.index(code)
    return Column(chosen, given.known & (chosen >= 0))


def _ruled(table: Table, entry: Rules, dictionary: Dictionary, name: str, as_of: date) -> Column:
    codes = dictionary.codes(name)
    chosen = np.full(table.holders, -1, dtype=np.int16)
    open_ = np.ones(table.holders, dtype=bool)
    for rule in entry.rules:
        answer = holds(table, dictionary, rule.when, as_of)
        chosen[open_ & answer.true] = codes.index(rule.code)
        open_ &= answer.known & ~answer.true
    if entry.else_:
        chosen[open_] = codes.index(entry.else_)
    return Column(chosen, chosen >= 0)


# --- files


def load(reference: str, beside: Path | None = None) -> Dictionary:
    """A built-in dictionary by `name@version`, or a file by its path (relative to the folder `beside`).

    Errors: `ConfigError` with file, line and key; `DICTIONARY_UNKNOWN` with the nearest built-in name.
    """
    if "@" in reference and not reference.endswith((".yaml", ".yml")):
        shipped = {
            entry.name.removesuffix(".yaml"): entry for entry in resources.files("protocols.dictionaries").iterdir()
        }
        if reference not in shipped:
            names = sorted(name for name in shipped if "@" in name)
            raise ConfigError("DICTIONARY_UNKNOWN", name=reference, known=", ".join(names), near=near(reference, names))
        return parse(read(shipped[reference].read_bytes(), f"{reference}.yaml"))
    path = (beside or Path()) / reference
    if not path.is_file():
        raise ConfigError("FILE_MISSING", Place(str(path)))
    return parse(read(path.read_bytes(), str(path)))


def parse(document: Document) -> Dictionary:
    """A dictionary file as a value, or every fault with its line."""
    tree = document.tree
    if isinstance(tree, dict):
        for key in ("events", "breaks", "facts"):
            if key in tree:
                raise ConfigError("NOT_YET", document.at(key), thing=f"`{key}` of a dictionary")
        derived = tree.get("derived", {})
        for name, entry in derived.items() if isinstance(derived, dict) else ():
            if isinstance(entry, dict) and "of_events" in entry:
                raise ConfigError("NOT_YET", document.at("derived", name), thing="`of_events`")
    return fit(Dictionary, document)
