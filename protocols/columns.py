"""Values of holders and of their event rows, column by column, and the rules that make one value of a holder's rows.

A month is a number, year * 12 + month - 1, so that the next month is one more. All rules are pure, look at one holder at a time, and know
only what a snapshot kept: at most one row per holder and month, none after the month of `as_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocols.filters import Bools

EPOCH_MONTH: Final = 1970 * 12


@dataclass(frozen=True)
class Column:
    """One variable of n holders. `values`: codes by index, booleans 0/1, integers, fen, floats, days; anything where not `known`."""

    values: npt.NDArray[Any]
    known: Bools


@dataclass(frozen=True)
class EventRows:
    """Rows of one events table for the holders of a batch: those of a holder together, months ascending, each month once.

    `holder`: whose row it is, as a place in the batch. `month`: its month. `columns`: the variables that were asked for.
    """

    holder: npt.NDArray[np.int64]
    month: npt.NDArray[np.int64]
    columns: Mapping[str, Column]

    def taken(self, chosen: npt.NDArray[Any]) -> "EventRows":
        """The rows of a mask, or at places, in that order."""
        columns = {name: Column(each.values[chosen], each.known[chosen]) for name, each in self.columns.items()}
        return EventRows(self.holder[chosen], self.month[chosen], columns)

    def within(self, first: int, last: int) -> "EventRows":
        """The rows of the months `first` to `last`, both included."""
        return self.taken((self.month >= first) & (self.month <= last))

    def among(self, inside: Bools) -> "EventRows":
        """The rows of the holders inside, whose places are counted anew."""
        left = self.taken(inside[self.holder])
        return EventRows((np.cumsum(inside) - 1)[left.holder], left.month, left.columns)

    def followed(self) -> npt.NDArray[np.int64]:
        """Places of the rows whose next row is that of the same holder in the next month."""
        same = (self.holder[1:] == self.holder[:-1]) & (self.month[1:] == self.month[:-1] + 1)
        return np.flatnonzero(same)


def month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def month_of_text(text: str) -> int:
    """2022-05 as a month."""
    year, month = text.split("-")
    return int(year) * 12 + int(month) - 1


def month_text(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def months_of_days(days: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Days since 1970-01-01 as months."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) + EPOCH_MONTH


def first_days(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Months as the days, since 1970-01-01, that they begin with."""
    return (months - EPOCH_MONTH).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


# --- one value of a holder's rows; `rows` are those of the months that the rule looks at


def summed(rows: EventRows, holders: int, variable: str) -> Column:
    """The sum over a holder's rows, 0 without any; not known where the value of one of them is not."""
    given = rows.columns[variable]
    total = np.zeros(holders, dtype=np.int64)
    np.add.at(total, rows.holder[given.known], given.values[given.known].astype(np.int64))
    return Column(total, ~_any(rows.holder[~given.known], holders))


def counted(rows: EventRows, holders: int, variable: str | None = None) -> Column:
    """How many rows a holder has; of an amount, how many above 0."""
    some, sure = _above(rows, holders, variable)
    return Column(np.bincount(some.holder, minlength=holders).astype(np.int64), sure)


def latest(rows: EventRows, holders: int, variable: str) -> Column:
    """The value in a holder's last row; not known without any."""
    given, last = rows.columns[variable], np.flatnonzero(np.append(rows.holder[1:] != rows.holder[:-1], True))
    values = np.zeros(holders, dtype=given.values.dtype)
    known = np.zeros(holders, dtype=bool)
    if rows.holder.size:
        values[rows.holder[last]], known[rows.holder[last]] = given.values[last], given.known[last]
    return Column(values, known)


def streak(rows: EventRows, holders: int, end: int, variable: str | None = None) -> Column:
    """How many months in a row, up to `end`, a holder has a row in; of an amount, one above 0."""
    some, sure = _above(rows, holders, variable)
    ends = np.cumsum(np.bincount(some.holder, minlength=holders))
    after = ends[some.holder] - 1 - np.arange(some.holder.size)  # rows of the holder that follow this one
    return Column(counted(some.taken(some.month + after == end), holders).values, sure)


def gap(rows: EventRows, holders: int, variable: str | None = None) -> Column:
    """Whether a holder has no row; of an amount, none above 0."""
    some, sure = _above(rows, holders, variable)
    there = _any(some.holder, holders)
    return Column(~there, there | sure)


def first(rows: EventRows, holders: int) -> Column:
    """The day that the month of a holder's first row begins with; not known without any."""
    begins = np.flatnonzero(np.insert(rows.holder[1:] != rows.holder[:-1], 0, True))[: rows.holder.size]
    values, known = np.zeros(holders, dtype=np.int64), np.zeros(holders, dtype=bool)
    values[rows.holder[begins]], known[rows.holder[begins]] = first_days(rows.month[begins]), True
    return Column(values, known)


def _above(rows: EventRows, holders: int, variable: str | None) -> tuple[EventRows, Bools]:
    """The rows, or those whose amount is above 0; and the holders of whom every amount is known."""
    if variable is None:
        return rows, np.ones(holders, dtype=bool)
    given = rows.columns[variable]
    return rows.taken(given.known & (given.values > 0)), ~_any(rows.holder[~given.known], holders)


def _any(holder: npt.NDArray[np.int64], holders: int) -> Bools:
    found = np.zeros(holders, dtype=bool)
    found[holder] = True
    return found
