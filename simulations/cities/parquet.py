"""Typed columns as Parquet files, by DuckDB; the same columns give the same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from simulations.cities.terms import NOT_GIVEN, Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Typed:
    """A column of a Parquet file. NOT_GIVEN is null. `kind` text: positions in `labels`, or the digits of the number without labels."""

    column: Column
    kind: Literal["tinyint", "smallint", "integer", "bigint", "date", "boolean", "text"] = "bigint"
    labels: tuple[str, ...] = ()


def connection(spill: Path) -> "DuckDBPyConnection":
    """A database in memory that spills into a folder which goes away with its caller."""
    import duckdb

    database = duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(spill)})
    database.execute("set preserve_insertion_order = true")
    return database


def write_parquet(database: "DuckDBPyConnection", columns: Mapping[str, Typed], path: Path) -> None:
    """One file."""
    query = selected(database, columns)
    database.execute(f"copy ({query}) to {_text(str(path))} (format parquet, compression zstd)")


def selected(database: "DuckDBPyConnection", columns: Mapping[str, Typed]) -> str:
    """A query for the columns, which it makes known to the database under the name `columns`."""
    database.register("columns", {f"c{place}": typed.column for place, typed in enumerate(columns.values())})
    parts = [f"{_cast(f'c{place}', typed)} as {_name(name)}" for place, (name, typed) in enumerate(columns.items())]
    return f"select {', '.join(parts)} from columns"  # noqa: S608 names and labels are constants of this package, quoted above


def _cast(name: str, typed: Typed) -> str:
    if typed.labels:
        labels = ", ".join(_text(label) for label in typed.labels)
        return f"[{labels}][{name}::integer + 1]"  # position 0 of a list is null
    known = f"nullif({name}, {NOT_GIVEN})"
    if typed.kind == "text":
        return f"{known}::varchar"
    return f"date '1970-01-01' + {known}::integer" if typed.kind == "date" else f"{known}::{typed.kind}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
