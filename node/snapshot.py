"""The harmonised snapshot on disk: written all or nothing, verified on opening, streamed as dictionary columns. DuckDB stops here.

    <home>/snapshots/<first 16 hex of content>/  main.parquet  events.<name>.parquet  holders.bin  manifest.json  quality.json
    <home>/snapshots/current.json

The home's `work` folder is emptied at start and at exit.

In main.parquet every variable of the dictionary is a column that is never NULL, beside its status `<variable>__s` (uint8):
0 given, 1 filled, 2 missing, 3 missing by rule, 4 other, 5 clipped low, 6 clipped high, 7 impossible; the value of 2, 3 and 7 is not known.
Rows stand in the order of the holders' keyed hashes, or in that of the source where it has no key.

In events.<name>.parquet `row` is the place of the holder's row in main.parquet and `month` is year * 12 + month - 1; both ascend, and no
pair of them is there twice. Their variables are stored as those of the main table.

`content` names the rows: SHA-256 over dictionary, date, column names and types, then for each 2^20 rows and each column, by name, the
little-endian bytes; then the same for every events table, by name. It depends on no file byte, thread or version of DuckDB, and never
leaves the city.
"""

# ruff: noqa: S608 statements are made of quoted identifiers, names made here and bound values only (threat-model.md T46)

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from node.city import Told
from node.connectors import quoted
from node.engine import engine
from node.mapping import NOT_KNOWN
from node.quality import FILE as QUALITY
from node.quality import Quality
from protocols.canonical import canonical, digest
from protocols.columns import Column, EventRows
from protocols.dictionary import Table
from protocols.errors import ConfigError, Place, Refusal
from protocols.yamltext import Record

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAIN: Final = "main.parquet"
HOLDERS: Final = "holders.bin"
MANIFEST: Final = "manifest.json"
CURRENT: Final = "current.json"
REPLACED: Final = "replaced"
HASH_SIZE: Final = 16
BLOCK: Final = 1 << 20
MOST_CELLS: Final = 4 << 20
MOST_EVENTS: Final = 1 << 22  # event rows that a batch may hold
STATUS: Final = "__s"
STORED: Final = {
    "category": "int16",
    "set": "uint64",
    "boolean": "int8",
    "integer": "int64",
    "money": "int64",
    "number": "float64",
    "date": "int32",
}  # by type of a dictionary variable

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Named = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class EventsPart(Record):
    """One events table: its rows, the most of a holder, and the type of each of its variables."""

    rows: Annotated[int, Field(ge=0)]
    most_rows_per_holder: Annotated[int, Field(ge=1)]
    types: dict[str, str]


class Manifest(Record):
    """What a snapshot is. `facts`: what the city states about itself of this day. `files`: SHA-256 of every other file of its folder.
    `made_of`: of variables that are made of events when they are read, the names of what they are made of."""

    manifest: Annotated[int, Field(ge=1, le=1)] = 1
    content: Hex
    snapshot: date
    rows: Annotated[int, Field(ge=1)]
    keyed: bool
    dictionary: str
    dictionary_digest: Named
    mapping_digest: Named
    cannot: tuple[str, ...]
    types: dict[str, str]
    events: dict[str, EventsPart] = Field(default_factory=dict)
    made_of: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    facts: dict[str, Told] = Field(default_factory=dict)
    files: dict[str, Hex]
    ingest: Annotated[int, Field(ge=1)]
    software: str


class Newest(Record):
    """The newest snapshot of a date; `inputs` names the files and rules that it was made from."""

    snapshot: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    manifest: Named
    inputs: Named


class Current(Record):
    current: Annotated[int, Field(ge=1, le=1)] = 1
    dates: dict[date, Newest] = Field(default_factory=dict)


# --- reading


def _block(
    connection: "DuckDBPyConnection", main: Path, first: int, last: int, columns: Collection[str]
) -> dict[str, npt.NDArray[Any]]:
    """Rows `first` to `last` - 1 of main.parquet, in order. Row groups that hold none of them are not read."""
    if not columns:
        return {}
    statement = (
        f"SELECT {', '.join(quoted(column) for column in columns)} FROM read_parquet($main, file_row_number = true) "
        "WHERE file_row_number >= $first AND file_row_number < $last"
    )
    found = connection.execute(statement, {"main": str(main), "first": first, "last": last}).fetchnumpy()
    return {column: np.asarray(values) for column, values in found.items()}


# --- what names the rows


@dataclass(frozen=True)
class Content:
    """The digest of the rows, in hex, and for each variable how many holders have each status; of those of events, how many rows."""

    digest: str
    statuses: dict[str, Counter[int]]


def content(
    connection: "DuckDBPyConnection",
    main: Path,
    rows: int,
    dictionary: str,
    snapshot: date,
    types: Lookup[str, str],
    events: Lookup[str, EventsPart] | None = None,
) -> Content:
    """One pass over main.parquet and the files of events beside it. `types`: the type of every variable of the dictionary."""
    names = sorted(types)
    written = [[column, _physical(column, types)] for column in _paired(names)]
    start = canonical({"snapshot": 1, "dictionary": dictionary, "date": snapshot.isoformat(), "columns": written})
    running = hashlib.sha256(len(start).to_bytes(8, "little") + start)
    statuses: dict[str, Counter[int]] = {name: Counter() for name in names}
    several = max(1, MOST_CELLS // min(rows, BLOCK))  # variables at a time, so that a block stays small
    for first in range(0, rows, BLOCK):
        for place in range(0, len(names), several):
            group = names[place : place + several]
            arrays = _block(connection, main, first, min(first + BLOCK, rows), _paired(group))
            for name in group:
                running.update(_bytes(arrays[name], _physical(name, types)))
                running.update(_bytes(arrays[name + STATUS], "uint8"))
                found = np.bincount(arrays[name + STATUS], minlength=8)
                statuses[name].update({status: int(number) for status, number in enumerate(found)})
    for table, part in sorted((events or {}).items()):
        columns = [("row", "int32"), ("month", "int32")]
        columns += [(column, _physical(column, part.types)) for column in _paired(sorted(part.types))]
        start = canonical({"events": table, "rows": part.rows, "columns": [list(each) for each in columns]})
        running.update(len(start).to_bytes(8, "little") + start)
        statuses |= {f"{table}.{name}": Counter() for name in part.types}
        for first in range(0, part.rows, BLOCK):
            last = min(first + BLOCK, part.rows)
            arrays = _block(connection, main.with_name(events_file(table)), first, last, [name for name, _ in columns])
            for column, stored in columns:
                running.update(_bytes(arrays[column], stored))
            for name in part.types:
                found = np.bincount(arrays[name + STATUS], minlength=8)
                statuses[f"{table}.{name}"].update({status: int(number) for status, number in enumerate(found)})
    return Content(running.hexdigest(), statuses)


def events_file(table: str) -> str:
    return f"events.{table}.parquet"


def _bytes(values: npt.NDArray[Any], stored: str) -> memoryview:
    return np.ascontiguousarray(values, dtype=np.dtype(stored).newbyteorder("<")).data


def _paired(names: Iterable[str]) -> list[str]:
    """Columns of some variables: each value, then its status."""
    return [column for name in names for column in (name, name + STATUS)]


def _physical(column: str, types: Lookup[str, str]) -> str:
    return STORED[types[column]] if column in types else "uint8"


# --- writing


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    _sync(path)


@dataclass(frozen=True)
class Made:
    """A snapshot that lies ready in a folder below `work`: main.parquet and holders.bin are written, the rest is said here."""

    folder: Path
    manifest: Manifest
    quality: Quality
    inputs: str


def sealed(folder: Path) -> dict[str, str]:
    """Closes the files of a made snapshot to others and brings them to disk: SHA-256 of each by name."""
    for path in folder.iterdir():
        path.chmod(0o600)
        _sync(path)
    return {path.name: _hash(path) for path in sorted(folder.iterdir())}


def publish(home: Path, made: Made) -> None:
    """Makes a snapshot the newest of its date. Until `current.json` is replaced, in one rename, nothing has changed for a reader.

    1. the files are closed to others and on disk; 2. the folder gets its name; 3. `current.json` is replaced.
    """
    manifest = canonical(made.manifest.model_dump(mode="json"))
    _write(made.folder / MANIFEST, manifest)  # 1
    made.folder.chmod(0o700)
    _sync(made.folder)
    snapshots = home / "snapshots"
    snapshots.mkdir(mode=0o700, exist_ok=True)
    name = made.manifest.content[:16]
    place = snapshots / name
    if place.exists():  # the same rows were ingested before: from other files, or by other rules
        place.rename(home / "work" / REPLACED)
    made.folder.rename(place)  # 2
    _sync(snapshots)
    newest = Newest(snapshot=name, manifest=digest(manifest), inputs=made.inputs)
    try:
        known = current(home).dates
    except ConfigError:  # damaged: the other dates are to be ingested again
        known = {}
    _point(home, {**known, made.manifest.snapshot: newest})  # 3


def _point(home: Path, dates: dict[date, Newest]) -> None:
    snapshots = home / "snapshots"
    fresh = home / "work" / CURRENT
    ordered = {day: dates[day] for day in sorted(dates)}
    _write(fresh, canonical(Current(dates=ordered).model_dump(mode="json")))
    fresh.replace(snapshots / CURRENT)
    _sync(snapshots)


def recover(home: Path) -> None:
    """Puts a snapshot back that `publish` had moved aside when it was killed, before the new one had taken its name."""
    aside = home / "work" / REPLACED
    if (aside / MANIFEST).is_file():
        name = Manifest.model_validate_json((aside / MANIFEST).read_bytes(), strict=True).content[:16]
        place = home / "snapshots" / name
        if not place.exists():
            aside.rename(place)


def current(home: Path) -> Current:
    """What `current.json` says; nothing if there is none yet. Errors: `ConfigError SNAPSHOT_ALTERED`."""
    path = home / "snapshots" / CURRENT
    if not path.is_file():
        return Current()
    try:
        return Current.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError:
        raise ConfigError("SNAPSHOT_ALTERED", Place(str(path))) from None


def prune(home: Path, keep: Collection[str] = (), dates: int = 3) -> tuple[str, ...]:
    """Removes all but the newest snapshot of each of the last `dates` dates, and those whose content is in `keep`: names removed.

    Pre-condition: no ingest of this home is running (`ingest.workplace`).
    """
    known = current(home).dates
    kept = {day: known[day] for day in sorted(known)[-dates:]}
    stay = {newest.snapshot for newest in kept.values()} | {content[:16] for content in keep}
    snapshots = home / "snapshots"
    going = sorted(path.name for path in snapshots.glob("*") if path.is_dir() and path.name not in stay)
    _point(home, {day: newest for day, newest in known.items() if newest.snapshot in stay})
    for name in going:
        shutil.rmtree(snapshots / name)
    return tuple(going)


# --- reading


def open_for(home: Path, as_of: date) -> "Snapshot":
    """The newest snapshot of a date, every file of it compared with the manifest.

    Errors: `Refusal SNAPSHOT_DATE` if there is none; `ConfigError SNAPSHOT_ALTERED` if a byte changed.
    """
    newest = current(home).dates.get(as_of)
    if newest is None:
        raise Refusal("SNAPSHOT_DATE", as_of=as_of.isoformat())
    folder = home / "snapshots" / newest.snapshot
    return Snapshot(folder, _verified(folder, newest))


@dataclass(frozen=True)
class Snapshot:
    """A verified snapshot. `content`: hex, never leaves the city; `cannot`: variables that the city cannot give, ascending."""

    folder: Path
    manifest: Manifest

    @property
    def content(self) -> str:
        return self.manifest.content

    @property
    def as_of(self) -> date:
        return self.manifest.snapshot

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def cannot(self) -> tuple[str, ...]:
        return self.manifest.cannot

    @property
    def facts(self) -> Lookup[str, Told]:
        return self.manifest.facts

    @property
    def dictionary_digest(self) -> str:
        return self.manifest.dictionary_digest

    def quality(self) -> Quality:
        """What was counted when these rows were ingested."""
        return Quality.model_validate_json((self.folder / QUALITY).read_bytes(), strict=True)

    def holders(self) -> npt.NDArray[np.uint8]:
        """Keyed hashes of the holders, one row of 16 bytes each, in the order of the rows; no rows where the source has no key."""
        return np.fromfile(self.folder / HOLDERS, dtype=np.uint8).reshape(-1, HASH_SIZE)

    def batches(self, variables: Collection[str], size: int = BLOCK) -> Iterator[Table]:
        """All rows in order, at most `size` at a time, with the variables of the dictionary that are asked for: given ones, those that
        events make, tables of events and their variables by full name.

        Memory does not grow with the rows. A variable that the city cannot give is there, and known of nobody; a table of events is not.
        """
        wanted = self._wanted(variables)
        names = sorted(name for name in wanted if name in self.manifest.types)
        tables = {table: part for table, part in self.manifest.events.items() if table in wanted}
        absent = [name for name in variables if name in self.cannot and name not in self.manifest.types]
        main = self.folder / MAIN
        files = {table: self.folder / events_file(table) for table in tables}
        for part in tables.values():  # the rows of a holder are never parted
            size = min(size, max(1, MOST_EVENTS // part.most_rows_per_holder))
        with engine((main, *files.values())) as connection:
            for first in range(0, self.rows, size):
                last = min(first + size, self.rows)
                arrays = _block(connection, main, first, last, _paired(names))
                columns = {name: Column(arrays[name], _known(arrays[name + STATUS])) for name in names}
                for name in absent:
                    columns[name] = Column(np.zeros(last - first, dtype=np.int64), np.zeros(last - first, dtype=bool))
                events = {
                    table: _events(
                        connection, file, first, last, [v for v in tables[table].types if f"{table}.{v}" in wanted]
                    )
                    for table, file in files.items()
                }
                yield Table(last - first, columns, events)

    def _wanted(self, variables: Collection[str]) -> set[str]:
        """The variables, what those that are made of events are made of, and the tables of all event variables."""
        found = set[str]()
        for name in variables:
            found |= {name} if name in self.manifest.types else {name, *self.manifest.made_of.get(name, ())}
        return found | {name.partition(".")[0] for name in found if "." in name}


def _events(connection: "DuckDBPyConnection", file: Path, first: int, last: int, variables: list[str]) -> EventRows:
    """The event rows of the holders `first` to `last` - 1, in order. Row groups that hold none of them are not read."""
    statement = (
        f"SELECT {', '.join(quoted(column) for column in ('row', 'month', *_paired(variables)))} FROM read_parquet($file) "
        "WHERE row >= $first AND row < $last"
    )
    found = connection.execute(statement, {"file": str(file), "first": first, "last": last}).fetchnumpy()
    arrays = {name: np.asarray(values) for name, values in found.items()}
    columns = {name: Column(arrays[name], _known(arrays[name + STATUS])) for name in variables}
    return EventRows(arrays["row"].astype(np.int64) - first, arrays["month"].astype(np.int64), columns)


def _known(status: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """By comparisons, which are several times as fast as looking each status up."""
    return np.asarray(np.logical_and.reduce([status != code for code in NOT_KNOWN]))


def _verified(folder: Path, newest: Newest) -> Manifest:
    try:
        written = (folder / MANIFEST).read_bytes()
        manifest = Manifest.model_validate_json(written, strict=True)
    except (OSError, ValidationError):
        raise ConfigError("SNAPSHOT_ALTERED", Place(str(folder / MANIFEST))) from None
    if digest(written) != newest.manifest:
        raise ConfigError("SNAPSHOT_ALTERED", Place(str(folder / MANIFEST)))
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or _hash(path) != expected:
            raise ConfigError("SNAPSHOT_ALTERED", Place(str(path)))
    return manifest
