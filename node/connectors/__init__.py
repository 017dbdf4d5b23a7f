"""Bytes and rows in, text columns out. Every kind of source becomes a `TextTable`; no value is cast here.

A connector finds its files inside the city folder, names their bytes by SHA-256, reads the header, and says in SQL how DuckDB reads
its columns as text. Only the columns that a mapping names are read further than the header. Rows never pass through Python.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal[
    "text", "cells", "float", "date", "time", "other"
]  # cells: text in which error values of a spreadsheet may stand
Flavour = Literal["text", "money"]


@dataclass
class Bound:
    """Values of one statement. SQL text is made of quoted identifiers and of the names handed out here, and of nothing else."""

    values: dict[str, object] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        """The name that stands for a value in the statement."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def quoted(identifier: str) -> str:
    """An SQL identifier, whatever its text."""
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True)
class Wanted:
    """A column to be read. A binary float that holds money is written with four decimals, where it is one (see parquet.py)."""

    column: str
    flavour: Flavour = "text"


@dataclass(frozen=True)
class Part:
    """One file of a source, ready to be read. `shown`: its name as the user knows it. `rows`: records after the header.

    Of a sheet: `blank` rows that hold nothing were skipped, `merged` fields were given the value of the block that they belong to.
    """

    shown: str
    rows: int
    select: "Select"
    blank: int = 0
    merged: int = 0

    def at(self, row: int, column: str) -> str:
        """Where a value stands, as a message names it. `row`: of the records, from 1."""
        return f"{self.shown} [{self.select.at(row, column)}]"


class Select(Protocol):
    """How DuckDB reads one file."""

    def sql(self, wanted: Sequence[Wanted], names: Sequence[str], bound: Bound) -> str:
        """A select of the columns as text, called `names`, in the order of the file."""
        ...

    def at(self, row: int, column: str) -> str:
        """Where a value stands in the file, as its user finds it: the number of its record, or a cell of a sheet."""
        ...


@dataclass(frozen=True)
class TextTable:
    """A source as a table of text. `kinds`: how each column is stored; `encoding`: of text files, for the quality report."""

    columns: tuple[str, ...]
    kinds: dict[str, Kind]
    parts: tuple[Part, ...]
    encoding: str = ""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def sql(self, wanted: Iterable[Wanted], names: Sequence[str], bound: Bound) -> str:
        """All parts one after the other, in order."""
        columns = tuple(wanted)
        return " UNION ALL ".join(part.select.sql(columns, names, bound) for part in self.parts)
