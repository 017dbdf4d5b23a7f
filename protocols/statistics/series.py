"""A month by month account: how many event rows there are, or what an amount of them comes to; or how many holders a date falls to.

Leaves the city: one number per month and group. Of events one holder may have a row in each of M months, M being the months of the window
or those that are kept of a holder, whichever are fewer: M cells move by 1, or of an amount by at most h (half the public range, in steps).
A date of the main table is one month per holder, or `_outside`, or `_missing`: one cell moves by 1.

A change is relative, of the count or of the total: `change` on the month before, `change_year` on the same month a year before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from protocols.dictionary import Dictionary
from protocols.statistics import intervals, marks
from protocols.statistics.breaks import after, touching
from protocols.statistics.estimates import KNOWN, OWN, QUANTA, Estimates, Floats, Table, Units
from protocols.statistics.example import Example
from protocols.statistics.layout import MONTH, OUTSIDE, Amount, Axis, Blocks, Domain, Months, amount, count
from protocols.statistics.question import MOST_AXES, Fault, Names, Question, axis_faults, event_fault
from protocols.statistics.rows import Answer, Row, table_rows
from protocols.statistics.tables import count_rows
from protocols.yamltext import Flag

YEAR: Final = 12  # months


class Series(Question):
    """`of`: a table of events or `count`, whose rows are counted; an amount of events; or a date of the main table."""

    EXAMPLE = Example(
        {"id": "payments", "kind": "series", "of": "contributions.amount", "by": "owner"},
        holder={"owner": "true"},
        events={"contributions": tuple({"amount": "8000000", "state": "normal", "active": "true"} for _ in range(6))},
    )

    kind: Literal["series"] = "series"
    of: str
    every: Literal["month"] = "month"
    by: Names = ()
    across_breaks: Flag = False

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if not self._dated(dictionary):
            yield from event_fault("of", self.of, dictionary, ("events", "integer", "money"))
        yield from axis_faults("by", self.by, dictionary)
        if len(self.by) >= MOST_AXES:
            yield Fault("by", "STUDY_AXES", {"count": len(self.by) + 1, "limit": MOST_AXES})
        for name in self.by:
            if name in (MONTH, self.of):
                yield Fault("by", "STUDY_TWICE", {"name": name})

    def _dated(self, dictionary: Dictionary) -> bool:
        return self.of in dictionary.known() and dictionary.type_of(self.of) == "date"

    def _amount(self, domain: Domain) -> Amount | None:
        """The amount that is summed; None where rows or holders are counted."""
        if self._dated(domain.dictionary):
            return None
        name = domain.dictionary.event_name(self.of)
        return None if domain.dictionary.type_of(name) == "events" else domain.amount(name)

    def _months(self, domain: Domain) -> Axis:
        if self._dated(domain.dictionary):
            return domain.date_axis(self.of)
        return domain.month_axis(domain.dictionary.event_name(self.of).partition(".")[0])

    def blocks(self, domain: Domain) -> Blocks:
        axes, of = [self._months(domain), *map(domain.axis, self.by)], self._amount(domain)
        if self._dated(domain.dictionary):
            return {"rows": count(axes)}
        over = domain.occasions(axes[0].source)
        if of is None:
            return {"rows": count(axes, over)}
        return {"rows": count([domain.known(of.variable), *axes], over), "total": amount(of, axes, over)}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """Every month of the window is a row. Changes are of the count, or of the total where there is one."""
        axis, of = self._months(domain), self._amount(domain)
        months = axis.months or Months(0, 0)
        if of is None:
            rows = sums["rows"].renamed(axis.name, MONTH).ordered((MONTH, *self.by))
            answered = count_rows(rows, sums, sampling=self.sampling is True)
            changed = _Changing(rows, rows.units / QUANTA, rows, None, self.sampling is True)
        else:
            known = domain.known(of.variable).name
            rows = sums["rows"].renamed(axis.name, MONTH).ordered((MONTH, *self.by, known))
            total = sums["total"].renamed(axis.name, MONTH).ordered((MONTH, *self.by))
            answered = _counted(rows, sums, self.sampling is True) + _totals(rows, total, of, sums)
            changed = _Changing(total, total.units / total.quantum, rows, of, False)
        breaks = touching(domain, (axis.source if of is None else of.variable, *self.by))
        for measure, back in (("change", 1), ("change_year", YEAR)):
            if months.number > back:
                across = [
                    not self.across_breaks and any(each.between(at - back, at) for each in breaks)
                    for at in range(months.first, months.last + 1)
                ]
                answered += changed.rows(measure, back, across, sums)
        shown = tuple(
            row for row in answered if axis.months is None or row.keys[MONTH] in (*months.texts, *_beyond(axis))
        )
        broken = {
            text
            for text, at in zip(months.texts, range(months.first, months.last + 1), strict=True)
            if after(breaks, months.first, at)
        }
        return Answer(tuple(_marked(row) if row.keys[MONTH] in broken else row for row in shown))


def _beyond(axis: Axis) -> tuple[str, ...]:
    """Of a date, the positions that are no months. (On those of an event row nobody stands.)"""
    return axis.positions[-2:] if OUTSIDE in axis.positions else ()


def _marked(row: Row) -> Row:
    return replace(row, obs_status="".join(sorted({*row.obs_status, "b"})))


def _counted(table: Table, sums: Estimates, sampling: bool) -> tuple[Row, ...]:
    """How many rows have a value, by month and group. `table`: these, then whether the value is known."""
    *_, known = table.axes
    rows = (row for row in count_rows(table, sums, sampling=sampling) if row.keys[known.name] == known.positions[0])
    return tuple(replace(row, keys={name: row.keys[name] for name in row.keys if name != known.name}) for row in rows)


def _own(table: Table, *last: slice) -> tuple[slice | None, ...]:
    return (OWN,) * (len(table.axes) - len(last)) + last


@dataclass(frozen=True)
class _Total:
    """Totals as people read them, with rows whose value is known: known cells of months and groups; `noise`: ... x 2 x 2 of both."""

    printed: npt.NDArray[np.generic]
    n_units: Units
    noise: Floats

    @property
    def n(self) -> Floats:
        return self.n_units / QUANTA


def _total(rows: Table, total: Table, of: Amount) -> _Total:
    known, first = total.known, slice(0, 1)
    n_units, units = rows.units[rows.known][..., 0], total.units[known]
    of_n = rows.covariances(_own(rows, first))[..., 0, 0, 0]
    of_u = total.covariances(_own(total))[..., 0, 0]
    noise = np.zeros((*np.broadcast_shapes(of_n.shape, of_u.shape, n_units.shape), 2, 2))
    coarse = total.rounding * np.maximum(n_units / QUANTA, 0.0)
    noise[..., 0, 0] = (of_u + of.centre**2 * of_n + coarse) / of.per**2
    noise[..., 0, 1] = noise[..., 1, 0] = of.centre * of_n / of.per
    noise[..., 1, 1] = of_n
    parts = total.quantum * of.per
    whole = total.exact and not (units % parts).any()
    return _Total(units // parts if whole else units / parts, n_units, noise)


def _totals(rows: Table, total: Table, of: Amount, sums: Estimates) -> tuple[Row, ...]:
    """Total and mean of the rows whose value is known. How values spread is not measured, so that no sampling error is given."""
    found, least = _total(rows, total, of), 0.0 if of.low >= 0 else -np.inf
    value, n = found.printed.astype(np.float64), found.n
    n_sd = np.sqrt(found.noise[..., 1, 1])
    low, high = intervals.normal(value, found.noise[..., 0, 0], sums.z)
    inside = np.maximum(value, least)
    low, high = np.minimum(np.maximum(low, least), inside), np.maximum(np.maximum(high, least), inside)
    doubtful = marks.doubtful_mean(n, n_sd, sums.least(rows), (high - low) / 2, value)
    answered = table_rows(
        "total",
        total.axes,
        sums={"base": rows.printed(found.n_units), "estimate": found.printed},
        figures={
            "display": intervals.simplex(value) if of.low >= 0 else value,
            "se_noise": np.sqrt(found.noise[..., 0, 0]),
            "ci_low": low,
            "ci_high": high,
        },
        marks=marks.letters(np.zeros(value.shape, dtype=bool), doubtful),
    )
    gone = marks.undivided(n, n_sd)
    mean, low, high = intervals.ratio(value, np.where(gone, np.nan, n), found.noise, np.zeros_like(n), sums.z)
    bottom, top = of.low / of.per, of.high / of.per
    inside = np.clip(mean, bottom, top)
    low, high = np.minimum(np.clip(low, bottom, top), inside), np.maximum(np.clip(high, bottom, top), inside)
    still = found.noise[..., 0, 0] - 2 * mean * found.noise[..., 0, 1] + mean**2 * found.noise[..., 1, 1]
    doubtful = marks.doubtful_mean(n, n_sd, sums.least(rows), (high - low) / 2, mean)
    return answered + table_rows(
        "mean",
        total.axes,
        sums={"base": rows.printed(found.n_units)},
        figures={
            "estimate": mean,
            "display": inside,
            "se_noise": np.sqrt(np.maximum(still, 0.0)) / n,
            "ci_low": low,
            "ci_high": high,
        },
        marks=marks.letters(np.isnan(mean), doubtful),
    )


@dataclass(frozen=True)
class _Changing:
    """What changes are of: the table of counts, or of totals beside that of the rows whose value is known (`of`: the amount).

    `values`: of every cell, in the table's own units.
    """

    table: Table
    values: Floats
    rows_table: Table
    of: Amount | None
    sampling: bool

    def rows(self, measure: str, back: int, across: Sequence[bool], sums: Estimates) -> tuple[Row, ...]:
        """x / x0 - 1 by Fieller, x0 `back` months earlier. The first months have none, nor has a month across a break: `z`."""
        months = len(across)
        by = (slice(None, -1),) * (len(self.table.axes) - 1)
        known = self.values[(slice(0, months), *by)]
        shape = known.shape
        now, then = known[back:], known[:-back]
        noise = np.zeros((*now.shape, 2, 2))
        for at in range(months - back):
            noise[at] = self._noise(at + back, at, now.shape[1:])
        if self.of is not None:
            n = _total(self.rows_table, self.table, self.of).n
            for place, of_months in enumerate((n[back:], n[:-back])):
                noise[..., place, place] += self.table.rounding * np.maximum(of_months, 0.0)
        sd = np.sqrt(noise[..., 1, 1])
        gone = marks.undivided(then, sd)
        divisor = np.where(gone, np.nan, then)
        drawn = np.zeros_like(now)
        if self.sampling:
            with np.errstate(invalid="ignore"):
                drawn = np.maximum(now, 0.0) + (now / divisor) ** 2 * np.maximum(then, 0.0)
        ratio, low, high = intervals.ratio(now, divisor, noise, drawn, sums.z)
        still = np.maximum(noise[..., 0, 0] - 2 * ratio * noise[..., 0, 1] + ratio**2 * noise[..., 1, 1], 0.0)
        floor = 0.0 if self.of is None or self.of.low >= 0 else -np.inf
        inside = np.maximum(ratio, floor)
        low, high = np.minimum(np.maximum(low, floor), inside), np.maximum(high, inside)
        doubtful = self._doubtful(sums, shape)
        letters = np.full(shape, "z", dtype=object)
        letters[back:] = marks.letters(np.isnan(ratio), doubtful[back:] | doubtful[:-back])
        letters[np.array(across)] = "z"
        figures = {
            "estimate": ratio - 1,
            "display": inside - 1,
            "se_noise": np.sqrt(still) / divisor,
            "se_sampling": np.sqrt(np.maximum(now, 0.0) + ratio**2 * np.maximum(then, 0.0)) / divisor,
            "ci_low": low - 1,
            "ci_high": high - 1,
        }
        if self.of is not None:
            del figures["se_sampling"]
        full = {name: np.full(shape, np.nan) for name in figures}
        for name, found in figures.items():
            full[name][back:] = np.where((letters[back:] == "x") | (letters[back:] == "z"), np.nan, found)
        return table_rows(measure, self.table.axes, sums={}, figures=full, marks=letters)

    def _noise(self, now: int, then: int, shape: tuple[int, ...]) -> Floats:
        """Covariance of the months `now` and `then` of each group: groups x 2 x 2."""
        months = [slice(at, at + 1) for at in (now, then)]

        def of_table(table: Table, *last: slice) -> Floats:
            groups = len(table.axes) - 1 - len(last)
            found: Floats = table.covariances(*((month, *(OWN,) * groups, *last) for month in months))[0]
            return np.asarray(found[..., 0, :, :]) if last else found

        found = of_table(self.table)
        if self.of is not None:
            found = found + self.of.centre**2 * of_table(self.rows_table, slice(0, 1))
        return np.broadcast_to(found, (*shape, 2, 2))

    def _doubtful(self, sums: Estimates, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Whether a month's own number is of low reliability."""
        by = (KNOWN,) * (len(shape) - 1)
        cells = (slice(0, shape[0]), *by)
        if self.of is None:
            sd = np.broadcast_to(self.table.sd, self.table.units.shape)[cells]
            half = sums.z * np.sqrt(sd**2 + self.sampling * np.maximum(self.values[cells], 0.0))
            return marks.doubtful_count(self.values[cells], sd, sums.least(self.table), half)
        found = _total(self.rows_table, self.table, self.of)
        value, half = found.printed.astype(np.float64), sums.z * np.sqrt(found.noise[..., 0, 0])
        return marks.doubtful_mean(found.n, np.sqrt(found.noise[..., 1, 1]), sums.least(self.rows_table), half, value)
