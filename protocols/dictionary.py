"""What a variable means, for every party: its type, its public domain, its words in Chinese and English.

A dictionary is public. Every variable has a domain, `codes` or a `range`, that depends on this file alone and never on rows. Derived
variables are computed from columns and `as_of` by the pure code below, the same in every city.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from protocols import filters, yamltext
from protocols.canonical import canonical, digest
from protocols.errors import Both, ConfigError, Unfit, worded
from protocols.filters import Bools, Filter, Leaf, Truth
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
) | {"preference", "contrast", "total_share", "position", "at", "obs_status", "conf_status"}
TAKEN: Final = COLUMNS | {"city", "known"}
STATUS: Final = "__s"  # a snapshot keeps how each value of `x` came about in a column `x__s`
MOST_CODES: Final = 65_536
MOST_CHOICES: Final = 64  # codes of a set: a holder's are the bits of one whole number
RISING: Final = Both("取值范围必须递增", "the range must rise")
MOST_LAYERS: Final = 8  # derived variables on top of derived ones


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
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    for name in ("as_of_year_minus", "rules"):
        if name in keys:
            return f"<{name}>"
    return "<bands>"


Derived: TypeAlias = Annotated[
    Annotated[YearsBefore, Tag("<as_of_year_minus>")]
    | Annotated[Bands, Tag("<bands>")]
    | Annotated[Rules, Tag("<rules>")],
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
        """Canonical JSON with every default filled in. Canonical JSON sorts keys, and the order of codes says which index is which
        (and which band comes first): both are written as lists of pairs."""
        return canonical(_ordered(self.model_dump(mode="json", by_alias=True, exclude_none=True), listed=True))

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
        found = [*self._misnamed(), *self._unsound()]
        found = found or list(self._underivable())
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
        for name, variable in self.variables.items():
            low, high = getattr(variable, "range", (0, 1))
            if low >= high:
                yield ("variables", name, "range"), RISING
            if isinstance(variable, Integer | Number | Money):
                for key, value in [("centre", variable.centre), *(("points", point) for point in variable.points)]:
                    if value is not None and not low <= value <= high:
                        yield (
                            ("variables", name, key),
                            Both(f"{value} 在取值范围之外", f"{value} lies outside the range"),
                        )
                if variable.spread is not None and variable.spread <= 0:
                    yield ("variables", name, "spread"), Both("必须大于 0", "must be above 0")
            if variable.default_null == "0" and not (
                isinstance(variable, Integer | Number | Money) and low <= 0 <= high
            ):
                yield (
                    ("variables", name, "default_null"),
                    Both("0 不是这个变量的取值", "0 is no value of this variable"),
                )
            if isinstance(variable, Set) and len(variable.codes) > MOST_CHOICES:
                said = Both(f"多选变量至多 {MOST_CHOICES} 个代码", f"a set has at most {MOST_CHOICES} codes")
                yield ("variables", name, "codes"), said
            for code, entry in getattr(variable, "codes", {}).items():
                if entry.from_ and entry.until and entry.from_ > entry.until:
                    yield ("variables", name, "codes", code, "until"), Both("早于 `from`", "lies before `from`")
        for name, made in self.derived.items():
            if isinstance(made, YearsBefore) and made.range[0] >= made.range[1]:
                yield ("derived", name, "range"), RISING

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

    def unit_of(self, name: str) -> str:
        """What a number is counted in, as the dictionary says; empty for what has none. Derived ages are in years."""
        if name in self.derived:
            return "year" if isinstance(self.derived[name], YearsBefore) else ""
        return getattr(self.variables[name], "unit", "")

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
        reached, waiting = {name}, [name]
        while waiting:
            entry = self.derived.get(waiting.pop())
            fresh = set(sources(entry)) - reached if entry else set()
            reached |= fresh
            waiting += fresh
        return frozenset(reached & self.variables.keys())

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
    for group in ("variables", "derived"):
        turned[group] = {
            name: {key: _turned(value, listed) if key in ("codes", "bands") else value for key, value in entry.items()}
            for name, entry in tree.get(group, {}).items()
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
