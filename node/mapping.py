"""`mapping.yaml`: a city's own columns and codes, said in the words of a dictionary.

Read once into `Mapping`: for every variable that the city can give one `Rule` in which nothing is left to be guessed; all other variables
of the dictionary are `cannot`. Every fault of the file is reported at once, with file, line and key.

Where the specification leaves a choice: `null_texts` may stand at the top, in a source and in a variable; the nearest list holds, alone.
Codes are compared as texts, trimmed and in Unicode normal form C. A text that `codes` lists is never null. A column of a set holds the
codes of a holder in one text, with `split` between them; a text of separators alone says that none was named. An events table is read as
a table of its own, named `events.<name>`, with the rules of the main table's variables.
"""

import csv
import difflib
import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Lookup
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from node import city
from node.connectors import Kind, xlsx
from node.connectors import csv as csv_files
from node.connectors.files import column_name, find, trimmed
from protocols import dictionary as dictionaries
from protocols import filters, yamltext
from protocols.canonical import canonical, digest
from protocols.dictionary import Boolean, Category, Date, Dictionary, Events, Integer, Money, Number, Set, Words, near
from protocols.errors import CODES, ConfigError, HpfedError, Language, Place, joined, worded
from protocols.yamltext import Document, Flag, Record, Whole, fit

FILE: Final = "mapping.yaml"
NULL_TEXTS: Final = ("", "NULL", "\\N", "-", "/")
Parser = Literal[
    "yyyymmdd", "yyyy-mm-dd", "yyyy/m/d", "yyyy年m月d日", "yyyymm", "yyyy-mm", "yyyy",
    "excel_serial", "excel_serial_1904", "iso_datetime",
]  # fmt: skip
SAME_TEXT: Final = (
    frozenset(("excel_serial", "excel_serial_1904")),
)  # pairs of parsers that read one text differently
Make = Literal["value", "year_of", "snapshot_year_minus", "months_to_snapshot", "present", "positive", "split"]
DATED: Final = ("year_of", "months_to_snapshot")
FEN: Final = {"元": 100, "元/月": 100, "万元": 1_000_000, "分": 1}
MAGNITUDE: Final = {"万": 10_000, "亿": 100_000_000}  # suffixes that count; every other suffix is only taken off
PER: Final = {"%": -2, "percent": -2, "‰": -3, "permille": -3}  # power of ten
MOST_TEXT: Final = 1 << 20
EVENTS: Final = "events"
MONTH: Final = "_month"  # the column of an events table's months, among those of its variables

# Columns that are never read: names, documents, phones, addresses, accounts at banks, in the spellings that files use.
NEVER: Final = frozenset(
    (
        *("姓名", "职工姓名", "个人姓名", "客户姓名", "配偶姓名", "xingming", "xm", "name", "full_name"),
        *("证件号码", "证件号", "身份证", "身份证号", "身份证号码", "公民身份号码", "配偶证件号码"),
        *("zjhm", "zjh", "sfzh", "sfzhm", "sfz", "id_no", "id_number", "idcard", "id_card"),
        *("手机号", "手机号码", "手机", "移动电话", "联系电话", "电话", "固定电话", "家庭电话", "单位电话"),
        *("sjhm", "sjh", "sj", "lxdh", "dhhm", "gddhhm", "phone", "mobile", "telephone", "tel"),
        *("住址", "地址", "家庭住址", "家庭地址", "通讯地址", "联系地址", "户籍地址", "jtzz", "jtdz", "txdz", "address"),
        *("银行账号", "银行卡号", "银行账户", "卡号", "个人存款账户号码", "grckzhhm", "yhzh", "yhkh", "bank_account"),
        *("电子邮箱", "邮箱", "email", "微信号", "openid"),
    )
)  # fmt: skip


def _texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
ENCODINGS: Final = {"gbk": "gb18030", "gb2312": "gb18030", "utf8": "utf-8"}
Encoding = Annotated[
    Literal["utf-8", "utf-8-sig", "gb18030"],
    BeforeValidator(lambda value: ENCODINGS.get(value.lower(), value.lower()) if isinstance(value, str) else value),
]
Delimiter = Annotated[
    Literal[",", "\t", ";", "|"], BeforeValidator(lambda value: "\t" if value in ("\\t", "tab") else value)
]


class CsvSource(Record):
    kind: Literal["csv"]
    files: Annotated[Texts, Field(min_length=1)]
    encoding: Encoding | None = None
    delimiter: Delimiter = ","
    header_row: Whole = Field(1, ge=1, le=100)
    null_texts: tuple[str, ...] | None = None

    @property
    def dialect(self) -> csv_files.Dialect:
        return csv_files.Dialect(self.encoding or "", self.delimiter, self.header_row)


class ParquetSource(Record):
    kind: Literal["parquet"]
    files: Annotated[Texts, Field(min_length=1)]
    null_texts: tuple[str, ...] | None = None


class SheetSource(Record):
    """A sheet of a workbook. `header_row`: as the spreadsheet numbers its rows."""

    kind: Literal["xlsx", "xls"]
    files: Annotated[Texts, Field(min_length=1)]
    sheet: str = ""
    header_row: Whole = Field(1, ge=1, le=100)
    null_texts: tuple[str, ...] | None = None

    @property
    def layout(self) -> xlsx.Layout:
        return xlsx.Layout(self.kind, self.sheet, self.header_row)


AnySource: TypeAlias = CsvSource | ParquetSource | SheetSource
Source: TypeAlias = Annotated[AnySource, Field(discriminator="kind")]


class Newest(Record):
    """Of a key's rows the one whose `by` is latest. Without `parse` the texts of one key are compared, and must be equally long."""

    keep: Literal["newest"]
    by: str
    parse: tuple[Parser, ...] = ()


class TableRule(Record):
    source: str
    key: str | None = None
    main: Flag = False
    duplicates: Literal["fail"] | Newest = "fail"
    missing: Literal["keep", "drop", "fail"] = "keep"


class Coverage(Record):
    sub_centres: Literal["included", "excluded", "none"]
    note: str = ""


class RowLeaf(Record):
    """A local column compared as trimmed text."""

    column: str
    is_: str | None = Field(None, alias="is")
    in_: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(None, alias="in")
    missing: Flag | None = None


class RowAll(Record):
    all: Annotated[tuple["RowFilter", ...], Field(min_length=1)]


class RowAny(Record):
    any: Annotated[tuple["RowFilter", ...], Field(min_length=1)]


class RowNot(Record):
    not_: "RowFilter" = Field(alias="not")


def _shape(value: Any) -> str:
    keys = value if isinstance(value, dict) else {name.rstrip("_") for name in getattr(type(value), "model_fields", ())}
    return next((name for name in ("all", "any", "not") if name in keys), "leaf")


RowFilter: TypeAlias = Annotated[
    Annotated[RowLeaf, Tag("leaf")]
    | Annotated[RowAll, Tag("all")]
    | Annotated[RowAny, Tag("any")]
    | Annotated[RowNot, Tag("not")],
    Discriminator(_shape),
]


class NumberForm(Record):
    """Spellings of a number beyond plain digits that a city's files use."""

    thousands: Flag = True
    fullwidth: Flag = True
    suffixes: tuple[str, ...] = ()


class NullCategory(Record):
    category: str


NullRule: TypeAlias = Annotated[
    Annotated[Literal["keep", "0", "drop"], Tag("word")] | Annotated[NullCategory, Tag("category")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "category"),
]


class Given(Record):
    """One entry of `variables`, as written."""

    from_: str | None = Field(None, alias="from")
    type: str | None = None
    make: Make = "value"
    unit: str | None = None
    number: NumberForm = NumberForm()
    parse: tuple[Parser, ...] = ()
    split: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    codes: dict[str, str] | None = None
    codes_file: str | None = None
    other: str = "fail"
    null: NullRule | None = None
    null_texts: tuple[str, ...] | None = None
    unparsed: Literal["fail", "null"] = "fail"
    clip: tuple[str, str] | None = None
    status: Literal["ready", "draft", "impossible"] = "ready"
    reason: Words | None = None


class EventGiven(Given):
    """One variable of an events table, as written: a column of the table's own source."""

    column: str = ""


class MonthGiven(Record):
    """The column that says in which month an event was. `unparsed`: what of a text that is no month."""

    column: str
    parse: tuple[Parser, ...] = ()
    unparsed: Literal["fail", "null"] = "fail"


class EventsGiven(Record):
    source: str
    key: str
    month: MonthGiven
    variables: dict[str, EventGiven] = Field(default_factory=dict)


class Review(Record):
    """Who looked at a suggested entry, and when. For the reader; nothing depends on it."""

    status: str
    by: str = ""
    on: date | None = None
    score: yamltext.Real | None = None
    suggested_by: tuple[str, ...] = ()


class MappingFile(Record):
    mapping: Annotated[Whole, Field(ge=1, le=1)]
    city: str
    dictionary: str
    snapshot: date
    scope: Coverage | None = None
    null_texts: tuple[str, ...] = NULL_TEXTS
    sources: dict[str, Source] = Field(min_length=1)
    tables: dict[str, TableRule] = Field(min_length=1)
    events: dict[str, EventsGiven] = Field(default_factory=dict)
    rows: RowFilter | None = None
    variables: dict[str, Given] = Field(min_length=1)
    never: tuple[str, ...] = ()
    review: dict[str, Review] = Field(default_factory=dict)


# --- what a mapping comes to


@dataclass(frozen=True)
class At:
    """A local column: the table of the mapping and the column's name."""

    table: str
    column: str


@dataclass(frozen=True)
class Rule:
    """How one variable is read. All bounds and values are as stored: codes by index, fen, days since 1970-01-01."""

    variable: str
    kind: Literal["category", "set", "boolean", "integer", "number", "money", "date"]
    source: At
    place: Place
    make: Make
    null_texts: tuple[str, ...]
    null_status: int  # status of a holder without a value, and what is stored then
    null_value: int
    unparsed_fails: bool
    codes: tuple[tuple[str, int], ...] = ()
    other: int | None = None  # None: text that `codes` does not list stops the ingest
    factor: int = 1  # integers and money: stored units in one local unit
    shift: int = 0  # numbers: power of ten
    form: NumberForm = field(default_factory=NumberForm)
    parse: tuple[Parser, ...] = ()
    low: int | float = 0
    high: int | float = 0
    split: str = ""  # between the codes of a set
    most: int = 0  # codes of a set that are kept of a holder, the first in the order of the dictionary


@dataclass(frozen=True)
class EventRule:
    """How an events table is read. `rules`: of the variables that the city can give; their bounds hold for the sum over a month."""

    name: str
    table: TableRule
    month: Rule
    rules: tuple[Rule, ...]
    meant: Events

    @property
    def at(self) -> str:
        """What it is called among the tables of a mapping."""
        return f"{EVENTS}.{self.name}"


GIVEN, FILLED, MISSING, DROPPED, OTHER, LOW, HIGH, IMPOSSIBLE = range(8)
NOT_KNOWN: Final = (MISSING, DROPPED, IMPOSSIBLE)


@dataclass(frozen=True)
class Mapping:
    """A city's mapping, whole and sound. `dictionary` is the reference as written, `meant` what it names."""

    folder: Path
    document: Document
    city: city.City
    dictionary: str
    meant: Dictionary
    snapshot: date
    scope: Coverage | None
    sources: Lookup[str, AnySource]
    tables: Lookup[str, TableRule]
    main: str
    rows: RowFilter | None
    rules: tuple[Rule, ...]
    cannot: tuple[str, ...]
    left_out: tuple[str, ...]
    never: frozenset[str]
    digest: str
    events: Lookup[str, EventRule] = field(default_factory=dict)

    @property
    def every(self) -> dict[str, TableRule]:
        """The main table, those joined to it, and events tables by `EventRule.at`."""
        return {**self.tables, **{rule.at: rule.table for rule in self.events.values()}}

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """The rules of all columns, those of events after the others."""
        return (*self.rules, *(each for rule in self.events.values() for each in (rule.month, *rule.rules)))

    @property
    def stored(self) -> dict[str, Any]:
        """The variables of the main table: those of the dictionary, and those of events that a column of the city gives."""
        given = {rule.variable for rule in self.rules}
        return {
            **self.meant.variables,
            **{name: self.meant.entry(name) for name in self.meant.of_events if name in given},
        }

    @property
    def keyed(self) -> bool:
        return self.tables[self.main].key is not None

    def read(self) -> dict[str, AnySource]:
        """The sources that a table stands on."""
        used = {table.source for table in self.every.values()}
        return {name: source for name, source in self.sources.items() if name in used}

    def needed(self, source: str) -> frozenset[str]:
        """The columns of a source that are looked at, keys included."""
        tables = {name: table for name, table in self.every.items() if table.source == source}
        keys = {column_name(table.key) for table in tables.values() if table.key is not None}
        return frozenset(keys | {at.column for at in self.used() if at.table in tables})

    @property
    def unused(self) -> dict[str, tuple[str, ...]]:
        """Of each category, the codes that no local text becomes, where there are any; names ascend, codes are in the dictionary's order.

        Holders whom the dictionary means by such a code stand under another one here, as 中专 under 高中, or there are none.
        """
        found: dict[str, tuple[str, ...]] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.variable):
            if rule.kind in ("category", "set"):
                reached = {code for _, code in rule.codes} | {rule.other}
                reached |= {rule.null_value} if rule.kind == "category" else set()
                codes = enumerate(self.meant.codes(rule.variable))
                found[rule.variable] = tuple(code for place, code in codes if place not in reached)
        return {name: codes for name, codes in found.items() if codes}

    def used(self) -> dict[At, Place]:
        """Every local column whose values are looked at, but the keys, and the place that first asks for it."""
        wanted: dict[At, Place] = {}
        for rule in self.every_rule:
            wanted.setdefault(rule.source, rule.place)
        for leaf in row_leaves(self.rows):
            wanted.setdefault(split_name(leaf.column), self.document.at("rows"))
        newest = self.tables[self.main].duplicates
        if isinstance(newest, Newest):
            at = self.document.at("tables", self.main, "duplicates", "by")
            wanted.setdefault(At(self.main, column_name(newest.by)), at)
        return wanted

    def null_texts(self, table: str) -> tuple[str, ...]:
        """Texts that mean null in a table, where a variable does not say otherwise."""
        own = self.sources[self.every[table].source].null_texts
        return self._null_texts if own is None else own

    _null_texts: tuple[str, ...] = NULL_TEXTS


def split_name(name: str) -> At:
    """`table.column`, as compared."""
    table, _, column = name.partition(".")
    return At(table, column_name(column))


def row_leaves(condition: "RowLeaf | RowAll | RowAny | RowNot | None") -> Iterator[RowLeaf]:
    match condition:
        case RowLeaf():
            yield condition
        case RowAll(all=parts) | RowAny(any=parts):
            for part in parts:
                yield from row_leaves(part)
        case RowNot(not_=part):
            yield from row_leaves(part)


DictionaryLookup = Callable[[str, Path], Dictionary]


def load(folder: Path, lookup: DictionaryLookup = dictionaries.load) -> Mapping:
    """The mapping of a city folder, checked against schema and dictionary; columns are checked by `unmatched`.

    Errors: `ConfigError MAP_…`, all faults at once, each with file, line and key; those of `city.yaml`, of the dictionary, of code files.
    """
    try:
        document = yamltext.load(folder / FILE)
        _not_yet(document)
        written = fit(MappingFile, document)
    except HpfedError as fault:
        raise joined(_renamed(each) for each in fault.every()) or fault from None
    who = city.load(folder)
    terms = lookup(written.dictionary, folder)
    reading = _Reading(folder, document, written, who, terms)
    mapping = reading.mapping()
    if reading.faults:
        raise joined(reading.faults) or reading.faults[0]
    return mapping


def check(folder: Path, lookup: DictionaryLookup = dictionaries.load) -> list[HpfedError]:
    """Every fault of a mapping: schema, dictionary, then the headers of its files. Looks at no rows."""
    from node.connectors import parquet
    from node.engine import engine

    try:
        mapping = load(folder, lookup)
        columns: dict[str, Lookup[str, Kind]] = {}
        for name, source in mapping.read().items():
            found = find(folder, source.files, mapping.document.at("sources", name, "files"))
            match source:
                case CsvSource():
                    columns[name] = dict.fromkeys(csv_files.columns(found, source.dialect), "text")
                case SheetSource():
                    columns[name] = dict.fromkeys(xlsx.columns(found, source.layout), "cells")
                case ParquetSource():
                    with engine([each.path for each in found]) as connection:
                        columns[name] = parquet.open_table(connection, found).kinds
        return unmatched(mapping, columns)
    except HpfedError as fault:
        return list(fault.every())


def warnings(mapping: Mapping) -> list[HpfedError]:
    """What is no fault but deserves a look: variables that were left out, facts of other days, codes of mixed width (`1` is not `01`),
    codes that no local text becomes (`Mapping.unused`).
    """
    unused = mapping.unused
    found: list[HpfedError] = [
        ConfigError("MAP_FACT_DATE", Place(city.FILE, 0, f"facts.{name}"), name=name, day=mapping.snapshot.isoformat())
        for name, several in mapping.city.facts.items()
        if mapping.snapshot not in [each.as_of for each in several]
    ]
    found += [
        ConfigError("MAP_LEFT_OUT", mapping.document.at("variables", name), name=name) for name in mapping.left_out
    ]
    for rule in mapping.rules:
        digits = {text for text, _ in rule.codes if text.isdigit()}
        bare = {text.lstrip("0") or "0" for text in digits}
        if rule.kind in ("category", "boolean") and len({len(text) for text in digits}) > 1 and bare != digits:
            found.append(ConfigError("MAP_CODE_ZEROS", rule.place, name=rule.variable))
        if rule.variable in unused:
            codes = ", ".join(unused[rule.variable])
            found.append(ConfigError("MAP_CODE_UNUSED", rule.place, name=rule.variable, codes=codes))
    return found


def _renamed(fault: HpfedError) -> HpfedError:
    """Faults of YAML and schema go by one code for this file; what they say stays."""
    if not fault.code.startswith(("YAML_", "SCHEMA_", "FILE_ENCODING")):
        return fault
    texts: dict[str, str] = {}
    for language in ("zh", "en"):
        what, following = _sentences(fault, language)
        texts |= {language: what, f"{language}_next": following}
    return ConfigError("MAP_SCHEMA", fault.at, (), **texts)


def _sentences(fault: HpfedError, language: Language) -> tuple[str, str]:
    what, following = CODES[fault.code][language]
    values = fault.values_in(language)
    return what.format_map(values), following.format_map(values)


def _not_yet(document: Document) -> None:
    """What the specification has and this version does not."""
    tree = document.tree if isinstance(document.tree, dict) else {}
    sources, variables = tree.get("sources", {}), tree.get("variables", {})
    for name, source in sources.items() if isinstance(sources, dict) else ():
        if isinstance(source, dict) and source.get("kind") == "database":
            raise ConfigError("NOT_YET", document.at("sources", name, "kind"), thing=f"`kind: {source['kind']}`")
    for name, entry in variables.items() if isinstance(variables, dict) else ():
        if isinstance(entry, dict) and "codes_from" in entry:
            raise ConfigError("NOT_YET", document.at("variables", name, "codes_from"), thing="`codes_from`")


# --- from text to rules


class _Reading:
    """One look at a mapping file: collects rules and faults."""

    def __init__(
        self, folder: Path, document: Document, written: MappingFile, who: city.City, terms: Dictionary
    ) -> None:
        self.folder, self.document, self.written, self.who, self.terms = folder, document, written, who, terms
        self.prefix = ""  # of the full names of an events table's variables, while one is read
        self.root: tuple[str, ...] = ("variables",)  # where the variables stand that are read
        self.faults: list[HpfedError] = []
        self.code_files: dict[str, str] = {}

    def fault(self, code: str, /, *path: str | int, **values: object) -> None:
        self.faults.append(ConfigError(code, self.document.at(*path), (), **values))

    def mapping(self) -> Mapping:
        written = self.written
        if written.city != self.who.city:
            self.fault("MAP_CITY", "city", found=written.city, expected=self.who.city)
        if self.who.open_data and not self.terms.public:
            self.fault("MAP_OPEN_DATA", "dictionary", name=self.terms.name)
        self.faults += city.ill_stated(self.folder, self.who, self.terms) if self.who.facts else ()
        main = self.main()
        self.row_filter()
        rules: list[Rule] = []
        for name, entry in written.variables.items():
            rule = self.variable(name, entry)
            if rule:
                rules.append(rule)
        given = {name for name, entry in written.variables.items() if entry.status != "impossible"}
        events = self.events()
        return Mapping(
            self.folder,
            self.document,
            self.who,
            written.dictionary,
            self.terms,
            written.snapshot,
            written.scope,
            written.sources,
            written.tables,
            main,
            written.rows,
            tuple(sorted(rules, key=lambda rule: rule.variable)),
            tuple(sorted(self.cannot(given, events))),
            tuple(sorted(set(self.terms.variables) - set(written.variables))),
            frozenset(column_name(name).casefold() for name in written.never) | NEVER,
            digest(canonical({"mapping": self.document.tree, "codes": self.code_files})),
            events,
            written.null_texts,
        )

    def cannot(self, given: set[str], events: Lookup[str, EventRule]) -> set[str]:
        """Variables, events and what is made of events that this city does not have. `given`: variables that have a column."""
        has = {f"{name}.{rule.variable}" for name, each in events.items() for rule in each.rules} | events.keys()
        lacking = (set(self.terms.variables) - given) | (set(self.terms.event_names()) - has)
        made = {name for name in self.terms.of_events if name not in given and lacking & set(self.terms.made_of(name))}
        return lacking | made

    # tables

    def main(self) -> str:
        tables = self.written.tables
        chosen = [name for name, table in tables.items() if table.main or len(tables) == 1]
        if len(chosen) != 1:
            self.fault("MAP_TABLE", "tables", zh="恰好一张表要写 main: true", en="exactly one table says `main: true`")
        for name, table in tables.items():
            if "." in name or not name:
                self.fault("MAP_TABLE", "tables", name, zh="表名不能含点号", en="a table's name holds no dot")
            if table.source not in self.written.sources:
                hint = near(table.source, self.written.sources)
                self.fault("MAP_SOURCE", "tables", name, "source", name=table.source, near=hint)
            if len(tables) > 1 and not table.key:
                zh, en = "多张表按 key 连接，每张都要写 key", "several tables are joined by `key`: every one needs it"
                self.fault("MAP_TABLE", "tables", name, zh=zh, en=en)
            if name not in chosen and table.duplicates != "fail":
                zh, en = "只有主表可以重复", "only the main table may hold a key twice"
                self.fault("MAP_TABLE", "tables", name, "duplicates", zh=zh, en=en)
            if isinstance(table.duplicates, Newest):
                self.parsers(table.duplicates.parse, "tables", name, "duplicates", "parse")
                if not table.key:
                    zh, en = "没有 key 就无从判断重复", "without a key nothing can be there twice"
                    self.fault("MAP_TABLE", "tables", name, "duplicates", zh=zh, en=en)
        return chosen[0] if chosen else next(iter(tables))

    def column(self, name: str, *path: str | int) -> At:
        at = split_name(name)
        if at.table not in self.written.tables or not at.column:
            hint = near(at.table, self.written.tables)
            self.fault("MAP_FROM", *path, name=name, near=f"{hint}.{at.column}" if hint and at.column else "")
        return at

    def row_filter(self) -> None:
        for leaf in row_leaves(self.written.rows):
            self.column(leaf.column, "rows")
            if sum(part is not None for part in (leaf.is_, leaf.in_, leaf.missing)) != 1:
                self.fault("MAP_ROWS", "rows", column=leaf.column)

    def parsers(self, parse: Sequence[str], *path: str | int) -> None:
        twice = {name for name in parse if parse.count(name) > 1}
        for pair in (*SAME_TEXT, *(frozenset((name,)) for name in twice)):
            if pair <= set(parse):
                self.fault("MAP_PARSE_TWICE", *path, names=", ".join(sorted(pair)))

    # events

    def events(self) -> dict[str, EventRule]:
        """The rules of all events tables; of one at fault those parts that are sound."""
        found: dict[str, EventRule] = {}
        for name, entry in self.written.events.items():
            meant, at = self.terms.events.get(name), f"{EVENTS}.{name}"
            if meant is None:
                self.fault("MAP_VARIABLE", EVENTS, name, name=name, near=near(name, self.terms.events))
                continue
            if entry.source not in self.written.sources:
                hint = near(entry.source, self.written.sources)
                self.fault("MAP_SOURCE", EVENTS, name, "source", name=entry.source, near=hint)
            if not self.written.tables[self.main_name()].key:
                zh, en = "事件按 key 归到主表，主表要写 key", "events are joined to the main table, which needs a `key`"
                self.fault("MAP_TABLE", EVENTS, name, "key", zh=zh, en=en)
            self.prefix, self.root = f"{name}.", (EVENTS, name, "variables")
            rules = [self.event_variable(each, given, meant, at) for each, given in entry.variables.items()]
            self.prefix, self.root = "", ("variables",)
            self.parsers(entry.month.parse, EVENTS, name, "month", "parse")
            table = TableRule(source=entry.source, key=entry.key)
            month = Rule(
                MONTH,
                "date",
                At(at, column_name(entry.month.column)),
                self.document.at(EVENTS, name, "month"),
                "value",
                self.nulls(Given(), table),
                MISSING,
                0,
                entry.month.unparsed == "fail",
                parse=entry.month.parse,
                low=int(date(1000, 1, 1).toordinal() - date(1970, 1, 1).toordinal()),
                high=int(date.max.toordinal() - date(1970, 1, 1).toordinal()),
            )
            found[name] = EventRule(name, table, month, tuple(rule for rule in rules if rule), meant)
        return found

    def event_variable(self, name: str, entry: EventGiven, meant: Events, at: str) -> Rule | None:
        if name not in meant.variables:
            self.fault("MAP_VARIABLE", *self.root, name, name=name, near=near(name, meant.variables))
            return None
        if entry.from_ is not None:
            self.fault("MAP_USELESS", *self.root, name, "from", name=name, key="from", type=meant.variables[name].type)
            return None
        return self.rule(
            name, entry, meant.variables[name], At(at, column_name(entry.column)) if entry.column else None
        )

    def main_name(self) -> str:
        """The main table, or the first where that is at fault."""
        tables = self.written.tables
        return next((name for name, table in tables.items() if table.main), next(iter(tables)))

    # variables

    def variable(self, name: str, entry: Given) -> Rule | None:
        """The rule of one entry; `None` if it is impossible, a draft or at fault."""
        meant = self.terms.variables.get(name) or (self.terms.entry(name) if name in self.terms.of_events else None)
        path: tuple[str | int, ...] = ("variables", name)
        if meant is None:
            code = "MAP_DERIVED" if name in self.terms.derived else "MAP_VARIABLE"
            self.fault(code, *path, name=name, near=near(name, self.terms.variables))
            return None
        at = None if entry.from_ is None or entry.status != "ready" else self.column(entry.from_, *path, "from")
        return self.rule(name, entry, meant, at)

    def rule(self, name: str, entry: Given, meant: Any, at: At | None) -> Rule | None:
        """The rule of a variable of the main table, or of events. `at`: its column; None if the mapping names none."""
        path: tuple[str | int, ...] = (*self.root, name)
        before = len(self.faults)
        if entry.type not in (None, meant.type):
            self.fault("MAP_TYPE", *path, "type", name=name, found=entry.type, expected=meant.type)
        if entry.status == "draft":
            self.fault("MAP_DRAFT", *path, "status", name=name)
            return None
        if entry.status == "impossible":
            if entry.reason is None:
                self.fault("MAP_REASON", *path, name=name)
            return None
        if at is None:
            self.fault("MAP_FROM", *path, name=name, near="")
            return None
        self.fitting(name, meant, entry)
        source = self.written.events[at.table.removeprefix(f"{EVENTS}.")].source if self.prefix else ""
        table = TableRule(source=source) if self.prefix else self.written.tables.get(at.table)
        null_texts = self.nulls(entry, table)
        status, value = self.null(name, meant, entry)
        codes, other = self.codes(name, meant, entry, null_texts)
        factor, shift = self.unit(name, meant, entry)
        low, high = self.clip(name, meant, entry)
        most = self.split(name, meant, entry, codes)
        if status == FILLED and not isinstance(meant, Category | Boolean | Set) and not low <= value <= high:
            self.fault("MAP_NULL", *path, "null", name=name, zh="0 不在值域内", en="0 lies outside its range")
        self.parsers(entry.parse, *path, "parse")
        if len(self.faults) > before:
            return None
        return Rule(
            name,
            meant.type,
            at,
            self.document.at(*path),
            entry.make,
            tuple(text for text in null_texts if text not in dict(codes)),
            status,
            value,
            entry.unparsed == "fail",
            codes,
            other,
            factor,
            shift,
            entry.number,
            entry.parse,
            low,
            high,
            entry.split or "",
            most,
        )

    def split(self, name: str, meant: Any, entry: Given, codes: tuple[tuple[str, int], ...]) -> int:
        """How many codes of a holder are kept; 0 for what is no set."""
        if not isinstance(meant, Set):
            return 0
        mark = entry.split
        if mark is None or any(mark in text for text, _ in codes):
            self.fault("MAP_SPLIT", *self.root, name, "split", name=name, mark=mark or "")
        return min(meant.most_codes or len(meant.codes), len(meant.codes))

    def nulls(self, entry: Given, table: TableRule | None) -> tuple[str, ...]:
        source = self.written.sources.get(table.source) if table else None
        lists = (entry.null_texts, source.null_texts if source else None, self.written.null_texts)
        nearest = next(texts for texts in lists if texts is not None)
        return tuple(dict.fromkeys(unicodedata.normalize("NFC", trimmed(text)) for text in nearest))

    def fitting(self, name: str, meant: Any, entry: Given) -> None:
        """Keys that say nothing about a variable of this type, and a `make` that does not give its type."""
        made = {"present": Boolean, "positive": Boolean, "split": Set}.get(entry.make) or (
            Integer if entry.make != "value" else type(meant)
        )
        if not isinstance(meant, made):
            self.fault("MAP_MAKE", *self.root, name, "make", name=name, make=entry.make, type=meant.type)
        dated = entry.make in DATED or (isinstance(meant, Date) and entry.make == "value")
        counted = (isinstance(meant, Integer | Number | Money) and not dated) or entry.make == "positive"
        coded = isinstance(meant, Category | Boolean | Set) and entry.make in ("value", "split")
        useless = {
            "parse": bool(entry.parse) and not dated,
            "codes": entry.codes is not None and not coded,
            "codes_file": entry.codes_file is not None and not coded,
            "other": entry.other != "fail" and not coded,
            "unit": entry.unit is not None and not (counted and entry.make == "value"),
            "number": entry.number != NumberForm() and not counted,
            "clip": entry.clip is not None and isinstance(meant, Category | Boolean | Set),
            "split": entry.split is not None and not isinstance(meant, Set),
            "null": entry.null is not None and entry.make == "present",
        }
        for key in (key for key, wrong in useless.items() if wrong):
            self.fault("MAP_USELESS", *self.root, name, key, name=name, key=key, type=meant.type)
        self.suffixes(name, entry)

    def suffixes(self, name: str, entry: Given) -> None:
        """A suffix of magnitude (万, 亿) multiplies the number, and must not meet a unit that does so already."""
        for suffix in entry.number.suffixes:
            large = any(word in suffix for word in MAGNITUDE)
            if not suffix.strip() or (
                large and suffix != entry.unit and (suffix not in MAGNITUDE or entry.unit == "万元")
            ):
                self.fault("MAP_SUFFIX", *self.root, name, "number", suffix=suffix)

    def null(self, name: str, meant: Any, entry: Given) -> tuple[int, int]:
        """Status and stored value of a holder without a value."""
        rule = entry.null if entry.null is not None else meant.default_null
        path = (*self.root, name, "null")
        empty = -1 if isinstance(meant, Category) else 0
        if isinstance(rule, NullCategory):
            known = self.terms.codes(self.prefix + name) if isinstance(meant, Category | Boolean | Set) else ()
            if rule.category not in known:
                self.fault("MAP_CODE", *path, code=rule.category, name=name, near=near(rule.category, known))
                return MISSING, empty
            at = known.index(rule.category)
            return FILLED, 1 << at if isinstance(meant, Set) else at
        if rule == "0" and isinstance(meant, Category | Boolean | Date):
            zh, en = "可写 {category: 代码}", "write {category: CODE}"
            self.fault("MAP_NULL", *path, name=name, zh=zh, en=en)
            return MISSING, empty
        return {"keep": MISSING, "drop": DROPPED, "0": FILLED}[rule], empty

    def codes(
        self, name: str, meant: Any, entry: Given, null_texts: tuple[str, ...]
    ) -> tuple[tuple[tuple[str, int], ...], int | None]:
        """Local text to index, and the index of text that is not listed. Without `codes` a local text must be a code itself."""
        if not isinstance(meant, Category | Boolean | Set) or entry.make not in ("value", "split"):
            return (), None
        known = self.terms.codes(self.prefix + name)
        if entry.other != "fail" and entry.other not in known:
            near_other = near(entry.other, known)
            self.fault("MAP_CODE", *self.root, name, "other", code=entry.other, name=name, near=near_other)
            return (), None
        other = None if entry.other == "fail" else known.index(entry.other)
        if entry.codes is not None and entry.codes_file is not None:
            self.fault("MAP_USELESS", *self.root, name, "codes_file", name=name, key="codes_file", type=meant.type)
        written = self.code_file(name, entry.codes_file) if entry.codes_file is not None else entry.codes
        if written is None:
            return tuple((code, index) for index, code in enumerate(known)), other
        listed: dict[str, int] = {}
        for raw, code in written.items():
            text = unicodedata.normalize("NFC", trimmed(raw))
            path = (*self.root, name, "codes", raw) if entry.codes_file is None else (*self.root, name, "codes_file")
            if code not in known:
                self.fault("MAP_CODE", *path, code=code, name=name, near=near(code, known))
            elif not text or text in listed:
                self.fault("MAP_CODE_TWICE", *path, name=name)
            elif text in null_texts and entry.null_texts is not None:
                self.fault("MAP_CODE_NULL", *path, name=name)
            else:
                listed[text] = known.index(code)
        return tuple(listed.items()), other

    def code_file(self, name: str, file: str) -> dict[str, str]:
        """`local,code` in UTF-8, with that header."""
        at = self.document.at(*self.root, name, "codes_file")
        found = find(self.folder, (file,), at)[0]
        content = found.path.read_bytes()
        self.code_files[found.name] = hashlib.sha256(content).hexdigest()
        codes: dict[str, str] = {}
        try:
            text = content.decode("utf-8-sig") if len(content) <= MOST_TEXT else ""
            records = list(csv.reader(text.splitlines(keepends=True), strict=True))
        except (UnicodeDecodeError, csv.Error):
            records = []
        if not records or [column_name(cell) for cell in records[0]] != ["local", "code"]:
            self.faults.append(ConfigError("MAP_CODES_FILE", Place(found.shown, 1)))
            return codes
        for number, record in enumerate(records[1:], 2):
            if not record:
                continue
            if len(record) != 2 or record[0] in codes:
                self.faults.append(ConfigError("MAP_CODES_FILE", Place(found.shown, number)))
                continue
            codes[record[0]] = trimmed(record[1])
        return codes

    def unit(self, name: str, meant: Any, entry: Given) -> tuple[int, int]:
        """How many stored units one local unit is: a whole factor, or for numbers a power of ten."""
        if entry.make != "value":
            return 1, 0
        known: Lookup[str, int] = {}
        required = False
        match meant:
            case Money():
                known, required = FEN, True
            case Number():
                base = PER.get(meant.unit, 0)
                if meant.unit in ("", "1", *PER):
                    known, required = {unit: power - base for unit, power in PER.items()}, meant.unit in PER
            case Integer():
                known = {"month": {"月": 1, "年": 12}, "year": {"年": 1}}.get(meant.unit, {})
            case _:
                return 1, 0
        if entry.unit is None and not required:
            return 1, 0
        if entry.unit not in known:
            options = ", ".join(known) or "–"
            self.fault("MAP_UNIT", *self.root, name, "unit", name=name, found=entry.unit or "–", known=options)
            return 1, 0
        size = known[entry.unit or ""]
        return (1, size) if isinstance(meant, Number) else (size, 0)

    def clip(self, name: str, meant: Any, entry: Given) -> tuple[int | float, int | float]:
        """The range of values that are stored, in stored units: the dictionary's, or a narrower one."""
        if isinstance(meant, Category | Boolean | Set):
            return 0, 0
        read: Callable[[str], Any] = {
            "money": filters.fen,
            "date": filters.days,
            "integer": filters.integer,
            "number": lambda word: float(filters.decimal(word)),
        }[meant.type]
        low, high = (_stored(meant, bound) for bound in meant.range)
        if entry.clip is None:
            return low, high
        try:
            bottom, top = read(entry.clip[0]), read(entry.clip[1])
        except ValueError as problem:
            at = self.document.at(*self.root, name, "clip")
            self.faults.append(_renamed(ConfigError("SCHEMA_VALUE", at, problem=worded(problem))))
            return low, high
        if not low <= bottom <= top <= high:
            ends = [str(bound) for bound in meant.range]
            self.fault("MAP_CLIP", *self.root, name, "clip", name=name, low=ends[0], high=ends[1])
        return bottom, top


def _stored(meant: Any, bound: Any) -> int | float:
    match meant:
        case Money():
            return int((Decimal(bound) * 100).to_integral_value())
        case Date():
            return int(bound.toordinal() - date(1970, 1, 1).toordinal())
        case Number():
            return float(bound)
    return int(bound)


# --- columns


def unmatched(mapping: Mapping, columns: Lookup[str, Lookup[str, Kind]]) -> list[HpfedError]:
    """Faults of a mapping against the headers of its sources: columns by source, and how each is stored."""
    faults: list[HpfedError] = []
    for name, table in mapping.every.items():
        if table.key is not None and column_name(table.key) not in columns[table.source]:
            where = mapping.document.at(*key_path(name))
            faults.append(_no_column(where, column_name(table.key), columns[table.source]))
    keys = {(table.source, column_name(table.key)) for table in mapping.every.values() if table.key is not None}
    filtered = {split_name(leaf.column) for leaf in row_leaves(mapping.rows)}
    filtered -= {rule.source for rule in mapping.rules}
    for at, place in mapping.used().items():
        source = mapping.every[at.table].source
        if at.column.casefold() in mapping.never:
            faults.append(ConfigError("MAP_COLUMN_NEVER", place, column=at.column))
        elif (source, at.column) in keys and at not in filtered:  # a line of totals is known by its key
            faults.append(ConfigError("MAP_COLUMN_IDENTIFIER", place, column=at.column))
        elif at.column not in columns[source]:
            faults.append(_no_column(place, at.column, columns[source]))
        elif columns[source][at.column] == "other":
            faults.append(ConfigError("MAP_COLUMN_TYPE", place, column=at.column))
    for rule in mapping.every_rule:
        kind = columns[mapping.every[rule.source.table].source].get(rule.source.column)
        dated = rule.make in DATED or (rule.kind == "date" and rule.make == "value")
        if dated and not rule.parse and kind not in ("date", "time", None):
            faults.append(ConfigError("MAP_PARSE", rule.place, name=rule.variable))
    return faults


def key_path(table: str) -> tuple[str, ...]:
    """Where the file says which column is the key of a table."""
    return (*(table.split(".", 1) if table.startswith(f"{EVENTS}.") else ("tables", table)), "key")


def _no_column(place: Place, column: str, columns: Lookup[str, Kind]) -> ConfigError:
    close = difflib.get_close_matches(column, list(columns), 3, 0.4)
    return ConfigError("MAP_COLUMN_MISSING", place, column=column, close=", ".join(close) or "–")
