"""What was found in a city's files, counted: `quality.json` beside the snapshot. It stays in the city.

The first eight counters of a variable are the status of its holders and sum to the rows of the snapshot; `unparsed`, `rounded` and, of a
set, `dropped` (more codes than are kept) are marks that some of those holders carry besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field

from protocols.canonical import canonical
from protocols.yamltext import Record

FILE: Final = "quality.json"
FEW: Final = 10
FRACTION: Final = 10_000  # 万元 read as 元: an amount so many times too small
STATUSES: Final = (
    "given",
    "filled",
    "missing",
    "missing_drop",
    "other",
    "clipped_low",
    "clipped_high",
    "impossible",
)  # in the order of their numbers in a snapshot

Count = Annotated[int, Field(ge=0)]


class Counters(Record):
    """One variable."""

    given: Count = 0
    filled: Count = 0
    missing: Count = 0
    missing_drop: Count = 0
    other: Count = 0
    clipped_low: Count = 0
    clipped_high: Count = 0
    impossible: Count = 0
    unparsed: Count = 0
    rounded: Count = 0
    dropped: Count | None = None

    @property
    def rows(self) -> int:
        """Holders, by their status."""
        return sum(getattr(self, status) for status in STATUSES)


class TableCount(Record):
    """A table of the mapping. `selected`: rows that the filter of the mapping took; `alone`: selected main rows without a row here."""

    rows: Count
    selected: Count | None = None
    superseded: Count = 0
    alone: Count = 0


class EventCount(Record):
    """Rows of an events table. `alone`: of no selected holder; `undated`: without a month; `later`: after the snapshot's month; `merged`:
    added to an earlier one of their holder and month; `dropped`: months of a holder beyond the latest that are kept; `kept`: what is left.
    """

    rows: Count
    alone: Count
    undated: Count
    later: Count
    merged: Count
    dropped: Count
    kept: Count


class Suspect(Record):
    """A variable that looks wrong as a whole. `unit`: nine tenths of the amounts above 0 are below 1/10,000 of the most possible."""

    variable: str
    why: Literal["unit"]


class FileCount(Record):
    """A file. Of a sheet: `blank` rows were skipped, `merged` fields took the value of the block that they belong to."""

    name: str
    rows: Count
    blank: Count = 0
    merged: Count = 0


class SourceCount(Record):
    encoding: str = ""
    files: tuple[FileCount, ...]


class Quality(Record):
    quality: Annotated[int, Field(ge=1, le=1)] = 1
    snapshot: date
    rows: Count
    variables: dict[str, Counters]
    tables: dict[str, TableCount]
    sources: dict[str, SourceCount]
    suspects: tuple[Suspect, ...] = ()
    events: dict[str, EventCount] | None = None
    event_variables: dict[str, Counters] | None = None  # by full name; statuses of kept rows

    @property
    def content(self) -> bytes:
        return canonical(self.model_dump(mode="json", exclude_none=True))


@dataclass(frozen=True)
class Marks:
    """How many holders carry each mark of a variable."""

    unparsed: int = 0
    rounded: int = 0
    dropped: int | None = None


def counters(statuses: Mapping[int, int], marks: Marks) -> Counters:
    """From the number of holders by status."""
    by_name = {name: statuses.get(number, 0) for number, name in enumerate(STATUSES)}
    return Counters(**by_name, unparsed=marks.unparsed, rounded=marks.rounded, dropped=marks.dropped)


def suspect(variable: str, amounts: int, small: int) -> tuple[Suspect, ...]:
    """`amounts`: how many are above 0; `small`: how many of these lie below 1/`FRACTION` of the top of the public range."""
    return (Suspect(variable=variable, why="unit"),) if amounts >= FEW and 10 * small >= 9 * amounts else ()


def few(count: int) -> str:
    """A count as a message may show it."""
    return f"<{FEW}" if count < FEW else str(count)


def shape(text: str) -> str:
    """The look of a text without the text: digits 9, letters A and a, Chinese characters 汉, other marks as they are or ·; runs counted."""
    marks = [_mark(mark) for mark in text[:64]]
    runs: list[tuple[str, int]] = []
    for mark in marks:
        if runs and runs[-1][0] == mark:
            runs[-1] = (mark, runs[-1][1] + 1)
        else:
            runs.append((mark, 1))
    drawn = "".join(mark if length == 1 else f"{mark}{{{length}}}" for mark, length in runs)
    return drawn + ("…" if len(text) > 64 else "")


def _mark(mark: str) -> str:
    if mark.isdecimal():
        return "9"
    if "\u4e00" <= mark <= "\u9fff" or "\u3400" <= mark <= "\u4dbf" or mark >= "\U00020000":
        return "汉"
    if mark.isalpha():
        return "A" if mark.isupper() else "a"
    return mark if mark in ".,-+/:;%()" else "·"
