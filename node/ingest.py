"""A city's own files become a harmonised snapshot: all or nothing, counted, the same again for the same files.

1. the mapping against schema and dictionary; 2. files found and named by SHA-256; 3. nothing changed: done; headers against the mapping;
4. every column read as text, holders named by keyed hashes, side tables joined; 5. one statement casts every variable to value and status;
6. what was found is counted; 7. a rule that says `fail` was hit: its first places are looked up in a second reading, nothing is written;
8. rows sorted and written, then the event rows of these holders: those of one month added up and then clipped, the latest months kept;
9. closed, on disk, renamed, `current.json` replaced.

A holder's key never leaves the statement that reads it: outside it there is only BLAKE2b keyed with this city's secret (section 3).
"""

# ruff: noqa: S608 statements are made of quoted identifiers, names made here and bound values only (threat-model.md T46)

import fcntl
import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node import casts, city, snapshot
from node.casts import CUT, FAIL, FARTHEST, LOST, ROUNDED, STATUS, UNPARSED, Column, Layers
from node.connectors import Bound, Part, TextTable, Wanted, csv, parquet, quoted, xlsx
from node.connectors.files import Found, column_name, find, fingerprint, trimmed
from node.engine import engine
from node.mapping import (
    HIGH,
    IMPOSSIBLE,
    LOW,
    MISSING,
    NOT_KNOWN,
    At,
    CsvSource,
    DictionaryLookup,
    EventRule,
    Mapping,
    Newest,
    ParquetSource,
    Rule,
    SheetSource,
    key_path,
    load,
    row_leaves,
    split_name,
    unmatched,
)
from node.quality import FILE as QUALITY
from node.quality import (
    FRACTION,
    Counters,
    EventCount,
    FileCount,
    Marks,
    Quality,
    SourceCount,
    Suspect,
    TableCount,
    counters,
    few,
    shape,
    suspect,
)
from node.snapshot import HASH_SIZE, HOLDERS, MAIN, EventsPart, Made, Manifest
from protocols import dictionary as dictionaries
from protocols.canonical import canonical, digest
from protocols.columns import month_number
from protocols.dictionary import Money
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, HpfedError, Place, joined

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INGEST: Final = 1  # raised when the same files would give another snapshot
PERSON: Final = b"hpfed-holder-1"
HOLDER_KEY: Final = Path("secrets") / "holder.key"
KEY_SIZE: Final = 32
MOST_PLACES: Final = 20
AMOUNTS: Final = ("integer", "money")  # kinds of event variables that add up within a month
THREADS: Final = 2
TOTALS: Final = (
    "合计",
    "合 计",
    "总计",
    "总 计",
    "小计",
    "小 计",
    "共计",
    "累计",
    "汇总",
    "Total",
    "Sum",
)  # no account is called so


@dataclass(frozen=True)
class Ingested:
    """What an ingest came to. `content`: hex, never leaves the city; `unchanged`: nothing was read, the snapshot stands as it was."""

    content: str
    rows: int
    unchanged: bool
    quality: Quality
    doubts: tuple[HpfedError, ...] = ()  # what no rule forbids and is hardly meant

    @property
    def counters(self) -> dict[str, Counters]:
        return self.quality.variables


# --- identifiers


def holder_key(home: Path, entropy: Entropy) -> bytes:
    """The secret that names this city's holders: 32 bytes in `secrets/holder.key`, made once, readable by its owner alone."""
    path = home / HOLDER_KEY
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh_holder_key(path, entropy)
    key = path.read_bytes()
    if len(key) != KEY_SIZE:
        raise ConfigError("HOLDER_KEY", Place(str(path)), size=KEY_SIZE)
    return key


def fresh_holder_key(path: Path, entropy: Entropy) -> None:
    """A new key at `path`, whole or not at all, in place of the one that is there."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(exactly(entropy, KEY_SIZE))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def holder(key: bytes, text: str) -> bytes:
    """BLAKE2b keyed with a city's secret (RFC 7693), 16 bytes, of a key as keys are compared: NFKC, trimmed, upper case."""
    same = trimmed(unicodedata.normalize("NFKC", text)).upper()
    return hashlib.blake2b(same.encode(), key=key, person=PERSON, digest_size=HASH_SIZE).digest()


def _hasher(key: bytes) -> Callable[[str | None], bytes | None]:
    """For a statement: the holder's name, or NULL where the key is blank."""

    def name(text: str | None) -> bytes | None:
        return holder(key, text) if text and trimmed(text) else None

    return name


# --- the work folder


@contextmanager
def workplace(home: Path) -> Iterator[Path]:
    """The empty folder `work`, for one ingest of this home at a time; emptied again at the end, whatever happened.

    A snapshot that a killed ingest had moved aside and not yet replaced is put back first.
    Errors: `HpfedError INGEST_RUNNING` if another one is at work.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = home / "work"
    work.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(home / "ingest.lock", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HpfedError("INGEST_RUNNING", Place(str(home))) from None
        snapshot.recover(home)
        _empty(work)
        try:
            yield work
        finally:
            _empty(work)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Faults of the engine and of the disk, without their texts: these may quote a row."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise HpfedError("INGEST_MEMORY") from None
    except (duckdb.IOException, OSError) as fault:
        raise HpfedError("INGEST_DISK", kind=type(fault).__name__) from None
    except duckdb.Error as fault:
        raise HpfedError("INGEST_ENGINE", kind=type(fault).__name__) from None


# --- the whole


def ingest(folder: Path, home: Path, entropy: Entropy, lookup: DictionaryLookup = dictionaries.load) -> Ingested:
    """Files of the city folder `folder` to the newest snapshot of `home`. `entropy` is read once in the life of a home.

    Errors: `ConfigError` MAP_, SOURCE_, CSV_, ROW_ codes, every one with its place; `HpfedError` INGEST_ codes of disk and memory.
    After any of them the snapshots are byte for byte what they were.
    """
    from duckdb.func import SPECIAL  # blank keys reach the function too

    mapping = load(folder, lookup)  # 1
    with workplace(home) as work, _said_plainly():
        found = {
            name: find(folder, source.files, mapping.document.at("sources", name, "files"))
            for name, source in mapping.read().items()
        }
        key = holder_key(home, entropy)
        inputs = _inputs(mapping, found, key)  # 2
        if standing := _unchanged(home, mapping, inputs):  # 3
            return standing
        readable = [each.path for files in found.values() for each in files]
        with engine(readable, work, THREADS) as connection:
            connection.create_function("holder", _hasher(key), ["varchar"], "blob", null_handling=SPECIAL)
            made = _Making(mapping, connection, work, found).made(inputs)
        for each in (each for files in found.values() for each in files):
            if not each.same():
                raise ConfigError("SOURCE_CHANGED", Place(each.shown))
        snapshot.publish(home, made)  # 9
        doubts = _doubts(mapping, made.quality)
        return Ingested(made.manifest.content, made.manifest.rows, False, made.quality, doubts)


def _doubts(mapping: Mapping, quality: Quality) -> tuple[HpfedError, ...]:
    return tuple(
        ConfigError("QUALITY_UNIT", mapping.document.at("variables", each.variable), name=each.variable, times=FRACTION)
        for each in quality.suspects
    )


def _inputs(mapping: Mapping, found: dict[str, tuple[Found, ...]], key: bytes) -> str:
    """One name for all that a snapshot is made from: files by their bytes, mapping, dictionary, holder key, this code's version."""
    files = {name: [[each.name, fingerprint(each)] for each in files] for name, files in found.items()}
    stated = {name: each.model_dump() for name, each in _stated(mapping).items()}
    return digest(
        canonical(
            {
                "ingest": INGEST,
                "files": files,
                "mapping": mapping.digest,
                "dictionary": mapping.meant.digest,
                "key": hashlib.blake2b(b"", key=key, person=b"hpfed-key-name", digest_size=HASH_SIZE).hexdigest(),
                **({"facts": stated} if stated else {}),
            }
        )
    )


def _stated(mapping: Mapping) -> dict[str, city.Told]:
    return city.told(mapping.city, mapping.meant, mapping.snapshot)


def _unchanged(home: Path, mapping: Mapping, inputs: str) -> Ingested | None:
    try:
        newest = snapshot.current(home).dates.get(mapping.snapshot)
        if newest is None or newest.inputs != inputs:
            return None
        standing = snapshot.open_for(home, mapping.snapshot)
    except ConfigError:  # altered: made again from the files
        return None
    quality = standing.quality()
    return Ingested(standing.content, standing.rows, True, quality, _doubts(mapping, quality))


class _Making:
    """One ingest on its way: what has been opened and counted so far."""

    def __init__(
        self, mapping: Mapping, connection: "DuckDBPyConnection", work: Path, found: dict[str, tuple[Found, ...]]
    ) -> None:
        self.mapping, self.connection, self.work, self.found = mapping, connection, work, found
        self.sources = {name: self._open(name) for name in mapping.read()}
        faults = unmatched(mapping, {name: table.kinds for name, table in self.sources.items()})
        if fault := joined(faults):
            raise fault
        self.used = list(mapping.used())
        self.marks: dict[str, Marks] = {}
        self.failures: dict[str, int] = {}
        self.suspects: list[Suspect] = []
        self.events: dict[str, EventCount] = {}
        self.sides = [name for name in mapping.tables if name != mapping.main]

    def _open(self, name: str) -> TextTable:
        match self.mapping.sources[name]:
            case CsvSource(dialect=dialect):
                return csv.open_table(self.found[name], dialect, self.work)
            case SheetSource(layout=layout):
                return xlsx.open_table(self.found[name], layout, self.mapping.needed(name), self.work)
            case ParquetSource():
                return parquet.open_table(self.connection, self.found[name])

    def made(self, inputs: str) -> Made:
        self._read()  # 4, 5
        tables = self._selected()
        self._unrepeated(tables)
        self._counts()  # 6
        self._failed()  # 7
        folder = self.work / "made"
        folder.mkdir(mode=0o700)
        rows = self._written(folder)  # 8
        self._events(folder)
        return self._described(folder, rows, tables, inputs)

    # 4, 5: reading and casting

    def _read(self) -> None:
        """Casts all rows into the table `rows`. A file that DuckDB cannot split is split by the strict reader, which finds the fault."""
        import duckdb

        try:
            self._cast()
        except duckdb.InvalidInputException:
            self.sources = {name: self._plain(name, table) for name, table in self.sources.items()}
            self._cast()

    def _plain(self, name: str, table: TextTable) -> TextTable:
        if not isinstance(self.mapping.sources[name], CsvSource):
            return table
        return replace(table, parts=tuple(csv.plain(part, self.work) for part in table.parts))

    def _cast(self) -> None:
        for number, name in enumerate(self.sides):
            self._side(number, name)
        bound = Bound()
        main = self.mapping.main
        relation = f"({self._columns(main, 'm', bound)}) m"
        extra = ["m._h", "m._lost"]
        for number in range(len(self.sides)):
            relation += f" LEFT JOIN side_{number} s{number} ON s{number}._h = m._h"
            extra.append(f"(s{number}._h IS NULL) AS _alone_{number}")
        mine = [number for number, at in enumerate(self.used) if at.table in self.mapping.tables]
        raw = ", ".join([*extra, *(self._raw(number) for number in mine)])
        layers, selected = self._layers(self.mapping.rules, bound)
        for column in ["_h", "_lost", *(f"_alone_{number}" for number in range(len(self.sides)))]:
            layers.add(5, column, column)
        layers.add(5, self._newest(layers, bound), "_newest")
        statement = layers.over(f"(SELECT {raw} FROM {relation})", selected)
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE rows AS {statement}", bound.values)

    def _side(self, number: int, name: str) -> None:
        bound = Bound()
        statement = self._columns(name, f"s{number}", bound)
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE side_{number} AS {statement}", bound.values)
        repeated = f"SELECT _h FROM side_{number} WHERE _h IS NOT NULL GROUP BY _h HAVING count(*) > 1"
        if count := self._count(f"SELECT count(*) FROM ({repeated})"):
            raise self._keys("ROW_SIDE_DUPLICATE", name, repeated, count)
        if count := self._count(f"SELECT count(*) FROM side_{number} WHERE _lost"):
            raise self._keys("ROW_DIGITS_LOST", name, f"SELECT _h FROM side_{number} WHERE _lost", count)

    def _columns(self, table: str, alias: str, bound: Bound) -> str:
        """A table of the mapping as holder, mark of lost digits, and the columns that are used of it, as text."""
        key = self.mapping.every[table].key
        wanted = [self._wanted(at) for at in self.used if at.table == table]
        names = [f"x{number}" for number, at in enumerate(self.used) if at.table == table]
        source = self.sources[self.mapping.every[table].source]
        if key is None:
            if not wanted:  # no column is asked for: any one of them counts the rows
                wanted, names = [Wanted(source.columns[0])], ["_nothing"]
            listed = ", ".join(["CAST(NULL AS BLOB) AS _h", "false AS _lost", *names])
            return f"SELECT {listed} FROM ({source.sql(wanted, names, bound)}) {alias}_text"
        text = source.sql([Wanted(column_name(key)), *wanted], ["_k", *names], bound)
        lost = f"coalesce(regexp_full_match(trim(_k), {bound.bind(casts.LOST_DIGITS)}), false) AS _lost"
        return f"SELECT {', '.join(['holder(_k) AS _h', lost, *names])} FROM ({text}) {alias}_text"

    def _wanted(self, at: At) -> Wanted:
        source = self.sources[self.mapping.every[at.table].source]
        kinds = {rule.kind for rule in self.mapping.every_rule if rule.source == at}
        money = source.kinds[at.column] == "float" and "money" in kinds
        return Wanted(at.column, "money" if money else "text")

    def _raw(self, number: int) -> str:
        at = self.used[number]
        alias = "m" if at.table == self.mapping.main else f"s{self.sides.index(at.table)}"
        return f"{alias}.x{number} AS x{number}"

    def _layers(self, rules: Sequence[Rule], bound: Bound, of: str = "") -> tuple[Layers, str]:
        """All layers of some rules, and the filter of the mapping over layer t; empty if there is none.

        `of`: the one table that is read; a filter that looks at others then selects nothing.
        """
        layers = Layers()
        filtered = {split_name(leaf.column) for leaf in row_leaves(self.mapping.rows)}
        if of and {at.table for at in filtered} != {of}:
            filtered = set()
        needed = {rule.source for rule in rules} | filtered
        cleaned: dict[At, str] = {}
        for number, at in enumerate(self.used):
            if at in needed:
                cleaned[at] = layers.add(0, casts.clean(f"x{number}", bound), f"c{number}")
        for number, rule in enumerate(rules):
            kind = self.sources[self.mapping.every[rule.source.table].source].kinds[rule.source.column]
            column = Column(rule.source, cleaned[rule.source], kind)
            casts.cast(rule, number, column, self.mapping.snapshot, layers, bound)
        if not filtered or self.mapping.rows is None:
            return layers, ""
        texts = {
            at: layers.add(1, casts.unless_null(cleaned[at], self.mapping.null_texts(at.table), bound), f"f{number}")
            for number, at in enumerate(sorted(filtered, key=str))
        }
        return layers, casts.selected(self.mapping.rows, texts, bound)

    def _newest(self, layers: Layers, bound: Bound) -> str:
        """What decides between rows of one key: the day, or else the text, of the column that the mapping names."""
        rule = self.mapping.tables[self.mapping.main].duplicates
        if not isinstance(rule, Newest):
            return "NULL"
        number = self.used.index(At(self.mapping.main, column_name(rule.by)))
        text = layers.add(0, casts.clean(f"x{number}", bound), "_by")
        if not rule.parse:
            return text
        cases = " ".join(casts.parsed(parser, text, bound) for parser in rule.parse)
        return f"CAST(CASE {cases} END AS VARCHAR)"

    # rows that stay

    def _selected(self) -> dict[str, TableCount]:
        """Rows without a partner, and keys that name nobody."""
        main, tables = self.mapping.main, dict[str, TableCount]()
        read = self.sources[self.mapping.tables[main].source].rows
        tables[main] = TableCount(rows=read, selected=self._count("SELECT count(*) FROM rows"))
        for number, name in enumerate(self.sides):
            alone = self._count(f"SELECT count(*) FROM rows WHERE _alone_{number}")
            tables[name] = TableCount(rows=self.sources[self.mapping.tables[name].source].rows, alone=alone)
            if alone and self.mapping.tables[name].missing == "fail":
                raise self._keys("ROW_ALONE", main, f"SELECT _h FROM rows WHERE _alone_{number}", alone, name)
        for number, name in enumerate(self.sides):
            if self.mapping.tables[name].missing == "drop":
                self.connection.execute(f"DELETE FROM rows WHERE _alone_{number}")
        if not self._count("SELECT count(*) FROM rows"):
            raise ConfigError("ROW_NONE", self.mapping.document.at("rows"))
        if count := self._count("SELECT count(*) FROM rows WHERE _lost"):
            raise self._keys("ROW_DIGITS_LOST", main, "SELECT _h FROM rows WHERE _lost", count)
        words = ", ".join(f"('{word}')" for word in TOTALS)
        totals = f"SELECT _h FROM rows WHERE _h IN (SELECT holder(word) FROM (VALUES {words}) AS totals(word))"
        if self.mapping.keyed and (count := self._count(f"SELECT count(*) FROM ({totals})")):
            raise self._keys("ROW_TOTAL", main, totals, count)
        if self.mapping.keyed and (count := self._count("SELECT count(*) FROM rows WHERE _h IS NULL")):
            raise self._keys("ROW_KEY", main, "", count)
        return tables

    def _unrepeated(self, tables: dict[str, TableCount]) -> None:
        """One row for each key, by the rule of the main table."""
        main = self.mapping.main
        if not self.mapping.keyed:
            return
        repeated = "SELECT _h FROM rows GROUP BY _h HAVING count(*) > 1"
        count = self._count(f"SELECT count(*) FROM ({repeated})")
        if not count:
            return
        if not isinstance(self.mapping.tables[main].duplicates, Newest):
            raise self._keys("ROW_DUPLICATE", main, repeated, count)
        undecided = (
            "SELECT _h FROM (SELECT _h, _newest, max(_newest) OVER (PARTITION BY _h) AS top FROM rows "
            f"WHERE _h IN ({repeated})) GROUP BY _h HAVING count(_newest) < count(*) "
            "OR min(length(_newest)) < max(length(_newest)) OR count(*) FILTER (_newest = top) > 1"
        )
        if count := self._count(f"SELECT count(*) FROM ({undecided})"):
            raise self._keys("ROW_DUPLICATE_TIE", main, undecided, count)
        older = (
            "SELECT id FROM (SELECT rowid AS id, _newest, max(_newest) OVER (PARTITION BY _h) AS top FROM rows "
            f"WHERE _h IN ({repeated})) WHERE _newest <> top"
        )
        gone = self._count(f"SELECT count(*) FROM ({older})")
        self.connection.execute(f"DELETE FROM rows WHERE rowid IN ({older})")
        tables[main] = tables[main].model_copy(update={"superseded": gone})

    # 6, 7: counting

    def _count(self, statement: str) -> int:
        return int(self.connection.execute(statement).fetchall()[0][0])

    def _counts(self) -> None:
        """How many holders carry each mark of each variable, in one pass."""
        asked = [
            f"count(*) FILTER ({casts.quoted_status(rule)} & {mark} > 0)"
            for rule in self.mapping.rules
            for mark in (UNPARSED, ROUNDED, FAIL | LOST)
        ]
        counted = self.connection.execute(f"SELECT {', '.join(asked)} FROM rows").fetchall()[0] if asked else ()
        for place, rule in enumerate(self.mapping.rules):
            unparsed, rounded, failed = (int(count) for count in counted[3 * place : 3 * place + 3])
            self.marks[rule.variable] = Marks(unparsed, rounded)
            self.failures[rule.variable] = failed
        self._amounts()
        self._cut()

    def _amounts(self) -> None:
        """Amounts that are far too small as a whole: their unit is another than the mapping says."""
        amounts: list[Rule] = []
        asked: list[str] = []
        for rule in self.mapping.rules:
            meant = self.mapping.stored[rule.variable]
            if isinstance(meant, Money):
                amounts.append(rule)
                small, column = int(meant.range[1] * 100) // FRACTION, casts.quoted_value(rule)
                asked += [f"count(*) FILTER ({column} > 0)", f"count(*) FILTER ({column} BETWEEN 1 AND {small})"]
        counted = self.connection.execute(f"SELECT {', '.join(asked)} FROM rows").fetchall()[0] if asked else ()
        for place, rule in enumerate(amounts):
            self.suspects += suspect(rule.variable, *(int(count) for count in counted[2 * place : 2 * place + 2]))

    def _cut(self) -> None:
        """Of multi-response variables, how many holders named more codes than are kept."""
        sets = [rule for rule in self.mapping.rules if rule.kind == "set"]
        asked = [f"count(*) FILTER ({casts.quoted_status(rule)} & {CUT} > 0)" for rule in sets]
        counted = self.connection.execute(f"SELECT {', '.join(asked)} FROM rows").fetchall()[0] if asked else ()
        for rule, count in zip(sets, counted, strict=True):
            self.marks[rule.variable] = replace(self.marks[rule.variable], dropped=int(count))

    def _failed(self) -> None:
        """Texts that a rule says must not be there. All variables at once, each with its first places."""
        found = [(rule, self.failures[rule.variable]) for rule in self.mapping.rules]
        if fault := joined(self._texts(rule, count) for rule, count in found if count):
            raise fault

    # 7: places

    def _texts(self, rule: Rule, count: int, into: str = "rows") -> ConfigError:
        """Where the texts of a variable stand that no rule reads, in a second reading of its table. `into`: what they were cast into."""
        status = casts.quoted_status(rule)
        number = self.used.index(rule.source)
        found: list[tuple[str, str, int]] = []
        for part in self._parts(rule.source.table):
            bound = Bound()
            layers, selected = self._layers([rule], bound, rule.source.table)
            for column in ("_n", "_h", f"c{number}"):
                layers.add(5, column, column)
            cast = layers.over(f"({self._numbered(rule.source.table, part, bound)})", selected)
            among = (
                f" AND _h IN (SELECT _h FROM {into} WHERE {status} & {FAIL | LOST} > 0)" if self.mapping.keyed else ""
            )
            statement = (
                f"SELECT _n, c{number}, {status} FROM ({cast}) WHERE {status} & {FAIL | LOST} > 0{among} "
                f"ORDER BY _n LIMIT {MOST_PLACES - len(found)}"
            )
            rows = self.connection.execute(statement, bound.values).fetchall()
            found += [(part.at(int(row), rule.source.column), text, int(marks)) for row, text, marks in rows]
            if len(found) >= MOST_PLACES:
                break
        coded = rule.kind in ("category", "boolean", "set") and rule.make in ("value", "split")
        lost = any(marks & LOST for _, _, marks in found)
        unread = any(marks & UNPARSED for _, _, marks in found)
        bare = {text.lstrip("0") for text, _ in rule.codes}
        zeros = coded and any(text.lstrip("0") in bare for _, text, _ in found)
        return ConfigError(
            "ROW_DIGITS_LOST" if lost else "ROW_UNPARSED" if unread or not coded else "ROW_OTHER",
            rule.place,
            column=rule.source.column,
            count=few(count),
            places="; ".join(
                f"{place} {text if text in casts.CELL_ERRORS else shape(text)}" for place, text, _ in found
            ),
            hint_zh="；01 与 1 是两个代码" if zeros else "",
            hint_en="; 01 and 1 are two codes" if zeros else "",
        )

    def _keys(self, code: str, table: str, holders: str, count: int, side: str = "") -> ConfigError:
        """Where the keys of some holders stand in a table; of blank keys if `holders` is empty."""
        among = f"_h IN ({holders})" if holders else "_h IS NULL"
        column = column_name(self.mapping.every[table].key or "")
        found: list[str] = []
        for part in self._parts(table):
            bound = Bound()
            layers, selected = self._layers([], bound, table)
            for name in ("_n", "_h"):
                layers.add(5, name, name)
            numbered = layers.over(f"({self._numbered(table, part, bound)})", selected)
            left = MOST_PLACES - len(found)
            statement = f"SELECT _n FROM ({numbered}) WHERE {among} ORDER BY _n LIMIT {left}"
            rows = self.connection.execute(statement, bound.values).fetchall()
            found += [part.at(int(row), column) for (row,) in rows]
            if len(found) >= MOST_PLACES:
                break
        at = self.mapping.document.at(*key_path(table))
        return ConfigError(code, at, column=column, count=few(count), places="; ".join(found), side=side, table=table)

    def _parts(self, table: str) -> tuple[Part, ...]:
        return self.sources[self.mapping.every[table].source].parts

    def _numbered(self, table: str, part: Part, bound: Bound) -> str:
        """One file of a table with its row numbers, from 1."""
        name = self.mapping.every[table].source
        whole = self.sources[name]
        try:
            self.sources[name] = replace(whole, parts=(part,))
            return f"SELECT row_number() OVER () AS _n, * FROM ({self._columns(table, 'p', bound)})"
        finally:
            self.sources[name] = whole

    # 8: writing

    def _written(self, folder: Path) -> int:
        """main.parquet, sorted by holder, and the holders in the same order: the number of rows."""
        listed = [item for name in sorted(self.mapping.stored) for item in self._stored(name)]
        bound = Bound()
        order = " ORDER BY _h" if self.mapping.keyed else ""
        self.connection.execute(
            f"COPY (SELECT {', '.join(listed)} FROM rows{order}) TO {bound.bind(str(folder / MAIN))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {snapshot.BLOCK})",
            bound.values,
        )
        rows = self._count("SELECT count(*) FROM rows")
        with (folder / HOLDERS).open("wb") as file:
            if self.mapping.keyed:
                names = self.connection.execute("SELECT _h FROM rows ORDER BY _h")
                while several := names.fetchmany(1 << 16):
                    file.write(b"".join(name for (name,) in several))
        return rows

    def _stored(self, name: str) -> list[str]:
        column, status = quoted(name), quoted(name + snapshot.STATUS)
        if name in self.mapping.cannot:
            kind = self.mapping.stored[name].type
            empty = -1 if kind == "category" else 0
            return [
                f"CAST({empty} AS {casts.PHYSICAL[kind]}) AS {column}",
                f"CAST({IMPOSSIBLE} AS UTINYINT) AS {status}",
            ]
        return [column, f"{status} & CAST({STATUS} AS UTINYINT) AS {status}"]

    # event rows

    def _events(self, folder: Path) -> None:
        """events.<name>.parquet of every table that the city maps: rows by holder and month, each pair once."""
        if self.mapping.events:
            self.connection.execute(
                "CREATE OR REPLACE TEMP TABLE places AS SELECT _h, row_number() OVER (ORDER BY _h) - 1 AS _row FROM rows"
            )
        for name, rule in self.mapping.events.items():
            found = self._occurred(rule)
            self.events[name] = self._monthly(rule, found, folder / snapshot.events_file(name))

    def _occurred(self, rule: EventRule) -> EventCount:
        """Casts the rows of a table into `occurred`, those of selected holders with a month that has come; amounts are not clipped yet."""
        bound = Bound()
        amounts = [replace(each, low=-FARTHEST, high=FARTHEST) if each.kind in AMOUNTS else each for each in rule.rules]
        layers, _ = self._layers([rule.month, *amounts], bound, rule.at)
        for column in ("_h", "_lost"):
            layers.add(5, column, column)
        cast = layers.over(f"({self._columns(rule.at, 'e', bound)})")
        day = f"(DATE '1970-01-01' + {casts.quoted_value(rule.month)})"
        known = f"{casts.quoted_status(rule.month)} & {STATUS} NOT IN {NOT_KNOWN}"
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE occurred AS SELECT e.*, p._row, "
            f"CASE WHEN {known} THEN year({day}) * 12 + month({day}) - 1 END AS _at "
            f"FROM ({cast}) e LEFT JOIN places p ON p._h = e._h",
            bound.values,
        )
        count = self._count("SELECT count(*) FROM occurred WHERE _lost")
        if count:
            raise self._keys("ROW_DIGITS_LOST", rule.at, "SELECT _h FROM occurred WHERE _lost", count)
        every = self._count("SELECT count(*) FROM occurred")
        alone = self._count("SELECT count(*) FROM occurred WHERE _row IS NULL")
        self.connection.execute("DELETE FROM occurred WHERE _row IS NULL")
        failed = [
            (each, self._count(f"SELECT count(*) FROM occurred WHERE {casts.quoted_status(each)} & {FAIL | LOST} > 0"))
            for each in (rule.month, *rule.rules)
        ]
        if fault := joined(self._texts(each, count, "occurred") for each, count in failed if count):
            raise fault
        for each in rule.rules:
            marks = [
                self._count(f"SELECT count(*) FROM occurred WHERE {casts.quoted_status(each)} & {mark} > 0")
                for mark in (UNPARSED, ROUNDED)
            ]
            self.marks[f"{rule.name}.{each.variable}"] = Marks(*marks)
        last = month_number(self.mapping.snapshot)
        undated = self._count("SELECT count(*) FROM occurred WHERE _at IS NULL")
        later = self._count(f"SELECT count(*) FROM occurred WHERE _at > {last}")
        self.connection.execute(f"DELETE FROM occurred WHERE _at IS NULL OR _at > {last}")
        return EventCount(rows=every, alone=alone, undated=undated, later=later, merged=0, dropped=0, kept=0)

    def _monthly(self, rule: EventRule, found: EventCount, file: Path) -> EventCount:
        """One row per holder and month, of each holder the latest months; written by holder and month."""
        listed, values = [], []
        mapped = {each.variable: each for each in rule.rules}
        for name, variable in sorted(rule.meant.variables.items()):
            column, status, physical = quoted(name), quoted(name + snapshot.STATUS), casts.PHYSICAL[variable.type]
            if name in mapped:
                value, state = _of_a_month(mapped[name])
            else:
                value, state = str(-1 if variable.type == "category" else 0), str(IMPOSSIBLE)
            values += [f"{value} AS {column}", f"{state} AS {status}"]
            listed += [f"CAST({column} AS {physical}) AS {column}", f"CAST({status} AS UTINYINT) AS {status}"]
        summed = f"SELECT _row, _at, count(*) AS _n{''.join(f', {each}' for each in values)} FROM occurred GROUP BY _row, _at"
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE monthly AS "
            f"SELECT *, row_number() OVER (PARTITION BY _row ORDER BY _at DESC) AS _nth FROM ({summed})"
        )
        merged = self._count("SELECT coalesce(sum(_n - 1), 0) FROM monthly")
        dropped = self._count(f"SELECT count(*) FROM monthly WHERE _nth > {rule.meant.most_rows_per_holder}")
        kept = self._count("SELECT count(*) FROM monthly") - dropped
        bound = Bound()
        columns = ", ".join(["CAST(_row AS INTEGER) AS row", "CAST(_at AS INTEGER) AS month", *listed])
        self.connection.execute(
            f"COPY (SELECT {columns} FROM monthly WHERE _nth <= {rule.meant.most_rows_per_holder} ORDER BY _row, _at) "
            f"TO {bound.bind(str(file))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {snapshot.BLOCK})",
            bound.values,
        )
        return found.model_copy(update={"merged": merged, "dropped": dropped, "kept": kept})

    def _described(self, folder: Path, rows: int, tables: dict[str, TableCount], inputs: str) -> Made:
        mapping = self.mapping
        types: dict[str, str] = {name: variable.type for name, variable in mapping.stored.items()}
        events = {
            name: EventsPart(
                rows=self.events[name].kept,
                most_rows_per_holder=rule.meant.most_rows_per_holder,
                types={each: variable.type for each, variable in rule.meant.variables.items()},
            )
            for name, rule in mapping.events.items()
        }
        named = snapshot.content(
            self.connection, folder / MAIN, rows, mapping.meant.name, mapping.snapshot, types, events
        )
        quality = Quality(
            snapshot=mapping.snapshot,
            rows=rows,
            variables={name: counters(named.statuses[name], self.marks.get(name, Marks())) for name in sorted(types)},
            tables=tables,
            sources={name: _source(self.found[name], table) for name, table in self.sources.items()},
            suspects=tuple(self.suspects),
            events=self.events or None,
            event_variables={
                name: counters(found, self.marks.get(name, Marks()))
                for name, found in sorted(named.statuses.items())
                if name not in types
            }
            or None,
        )
        (folder / QUALITY).write_bytes(quality.content)
        manifest = Manifest(
            content=named.digest,
            snapshot=mapping.snapshot,
            rows=rows,
            keyed=mapping.keyed,
            dictionary=mapping.meant.name,
            dictionary_digest=mapping.meant.digest,
            mapping_digest=mapping.digest,
            cannot=mapping.cannot,
            types=types,
            events=events,
            made_of={
                name: mapping.meant.made_of(name)
                for name in mapping.meant.of_events
                if name not in types and name not in mapping.cannot
            },
            facts=_stated(mapping),
            files=snapshot.sealed(folder),
            ingest=INGEST,
            software=metadata.version("hpfed"),
        )
        return Made(folder, manifest, quality, inputs)


def _of_a_month(rule: Rule) -> tuple[str, str]:
    """Value and status of all of a holder's rows of one month, as SQL. Amounts are added up, then clipped; not known if one is not. Of
    codes that differ none is known."""
    column, status = casts.quoted_value(rule), f"({casts.quoted_status(rule)} & {STATUS})"
    unknown = f"{status} IN {NOT_KNOWN}"
    none = f"coalesce(max({status}) FILTER ({unknown}), {MISSING})"
    if rule.kind in AMOUNTS:
        low, high = int(rule.low), int(rule.high)
        value = f"CASE WHEN bool_or({unknown}) THEN 0 ELSE least(greatest(sum({column}), {low}), {high}) END"
        clipped = f"WHEN sum({column}) < {low} THEN {LOW} WHEN sum({column}) > {high} THEN {HIGH}"
        return value, f"CASE WHEN bool_or({unknown}) THEN {none} {clipped} ELSE min({status}) END"
    one = f"NOT bool_or({unknown}) AND min({column}) = max({column})"
    empty = -1 if rule.kind == "category" else 0
    return f"CASE WHEN {one} THEN min({column}) ELSE {empty} END", f"CASE WHEN {one} THEN min({status}) ELSE {none} END"


def _source(found: Sequence[Found], table: TextTable) -> SourceCount:
    files = [
        FileCount(name=each.name, rows=part.rows, blank=part.blank, merged=part.merged)
        for each, part in zip(found, table.parts, strict=True)
    ]
    return SourceCount(encoding=table.encoding, files=tuple(files))
