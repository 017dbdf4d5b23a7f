"""Typed columns as Parquet files, by DuckDB; the same columns give the same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

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
    """One file. Labels reach the database as categories, which it writes as they are, without making a text of every cell."""
    import pandas

    held = {f"c{place}": _held(typed) for place, typed in enumerate(columns.values())}
    database.register("columns", pandas.DataFrame(held, copy=False))
    parts = [f"{_cast(f'c{place}', typed)} as {_name(name)}" for place, (name, typed) in enumerate(columns.items())]
    query = f"select {', '.join(parts)} from columns"  # noqa: S608 names are constants of this package, quoted above
    database.execute(f"copy ({query}) to {_text(str(path))} (format parquet, compression zstd)")
    database.unregister("columns")


def _held(typed: Typed) -> Any:
    """The column, or its codes as a categorical of pandas."""
    if not typed.labels:
        return typed.column
    import pandas

    known = tuple(dict.fromkeys(typed.labels))
    place = np.array([*(known.index(label) for label in typed.labels), NOT_GIVEN], dtype=np.int16)  # last: NOT_GIVEN
    return pandas.Categorical.from_codes(np.asarray(place[typed.column]), pandas.Index(known))


def _cast(name: str, typed: Typed) -> str:
    if typed.labels:
        return name
    known = f"nullif({name}, {NOT_GIVEN})"
    if typed.kind == "text":
        return f"{known}::varchar"
    return f"date '1970-01-01' + {known}::integer" if typed.kind == "date" else f"{known}::{typed.kind}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
