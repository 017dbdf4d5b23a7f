"""Parquet: typed columns become canonical text.

Integers without a point, decimals exact, dates and times as ISO, booleans `true` and `false`. A binary float that is whole is written as an
integer, any other one as the shortest text that reads back as the same number; from 10^15 on, where digits are lost, with an exponent.
Where it holds money it must lie within 1e-9 (relative) of a multiple of 1/10000, and is written with four decimals; else it is left as text
that no rule reads.
"""

# ruff: noqa: S608 statements are made of quoted identifiers, names made here and bound values only (threat-model.md T46)

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.connectors import Bound, Kind, Part, TextTable, Wanted, quoted
from node.connectors.files import Found, column_name
from protocols.errors import ConfigError, Place

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_COLUMNS: Final = 2_000
FLOATS: Final = ("FLOAT", "DOUBLE")
WHOLE: Final = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)
TIMES: Final = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
UNREADABLE: Final = "?"


@dataclass(frozen=True)
class Typed:
    """How DuckDB reads one Parquet file. `types`: by column name as names are compared; `stored`: the name in the file."""

    path: Path
    types: dict[str, str]
    stored: dict[str, str]

    def sql(self, wanted: Sequence[Wanted], names: Sequence[str], bound: Bound) -> str:
        chosen = ", ".join(f"{self._text(want)} AS {name}" for want, name in zip(wanted, names, strict=True))
        return f"SELECT {chosen} FROM read_parquet({bound.bind(str(self.path))})"

    def at(self, row: int, column: str) -> str:
        del column
        return str(row)

    def _text(self, want: Wanted) -> str:
        column = quoted(self.stored[want.column])
        if self.types[want.column] not in FLOATS:
            return f"CAST({column} AS VARCHAR)"
        value = f"CAST({column} AS DOUBLE)"
        if want.flavour == "money":
            units = f"{value} * 10000"
            return (
                f"CASE WHEN {column} IS NULL THEN NULL WHEN isfinite({value}) AND abs({value}) < 1e14 AND "
                f"abs({units} - round({units})) <= 1e-9 * abs({units}) THEN CAST(CAST({value} AS DECIMAL(38, 4)) AS VARCHAR) "
                f"ELSE '{UNREADABLE}' END"
            )
        return (
            f"CASE WHEN abs({value}) >= 1e15 THEN printf('%.17e', {value}) "
            f"WHEN {value} = trunc({value}) THEN CAST(CAST({value} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
        )


def open_table(connection: "DuckDBPyConnection", found: Sequence[Found]) -> TextTable:
    """The files of a source.

    Errors: `ConfigError SOURCE_UNREADABLE`, `SOURCE_HEADER`, `SOURCE_HEADER_DIFFERS`, `SOURCE_COLUMNS`, `CSV_NO_ROWS`.
    """
    typed = _typed(connection, found)
    parts = []
    for each, one in zip(found, typed, strict=True):
        rows = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata($path)", {"path": str(each.path)})
        counted = rows.fetchall()[0][0]
        if not counted:
            raise ConfigError("CSV_NO_ROWS", Place(each.shown))
        parts.append(Part(each.shown, int(counted), one))
    kinds = {name: _common({_kind(one.types[name]) for one in typed}) for name in typed[0].types}
    return TextTable(tuple(kinds), kinds, tuple(parts))


def _typed(connection: "DuckDBPyConnection", found: Sequence[Found]) -> list[Typed]:
    typed = [_described(connection, each) for each in found]
    for each, one in zip(found, typed, strict=True):
        if set(one.types) != set(typed[0].types):
            raise ConfigError("SOURCE_HEADER_DIFFERS", Place(each.shown), other=found[0].shown)
    return typed


def _described(connection: "DuckDBPyConnection", found: Found) -> Typed:
    import duckdb

    try:
        described = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(found.path)}
        ).fetchall()
    except duckdb.Error:
        raise ConfigError("SOURCE_UNREADABLE", Place(found.shown), kind="Parquet") from None
    if len(described) > MOST_COLUMNS:
        raise ConfigError("SOURCE_COLUMNS", Place(found.shown), limit=MOST_COLUMNS)
    types: dict[str, str] = {}
    stored: dict[str, str] = {}
    for position, (raw, kind, *_) in enumerate(described, 1):
        name = column_name(raw)
        if not name or name in types:
            raise ConfigError("SOURCE_HEADER", Place(found.shown), column=position)
        types[name], stored[name] = kind, raw
    return Typed(found.path, types, stored)


def _kind(type_: str) -> Kind:
    if type_ in FLOATS:
        return "float"
    if type_ == "DATE":
        return "date"
    if type_ in TIMES:
        return "time"
    return "text" if type_ in ("VARCHAR", "BOOLEAN", *WHOLE) or type_.startswith("DECIMAL") else "other"


def _common(kinds: set[Kind]) -> Kind:
    """One kind for the files of a source: theirs if they agree, else what asks for the most care."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "other" if "other" in kinds else "float" if "float" in kinds else "text"
