"""The five measures: the only code that turns rows into cells, but for who leads in them (`dominance.py`).

Each is additive over batches, shuffles and cities, and each adds for one holder at most what the block declares (`layout.py`). All
arithmetic is on int64. Nothing here looks at two holders at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.columns import EventRows, months_of_days
from protocols.dictionary import Column, Dictionary, Integer, Money, Number, Reading, Set, Table, holds
from protocols.errors import Refusal
from protocols.filters import Bools
from protocols.statistics.dominance import Leaders
from protocols.statistics.layout import (
    LIMB_BITS,
    POINT_BITS,
    Amount,
    Axis,
    Block,
    Centres,
    Choice,
    Layout,
    Limb,
    Measure,
    Months,
    Occasions,
    Point,
    Stand,
)

Vector: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
JOINT_LIMIT: Final = 1 << 62  # a mixed-radix code must fit int64


@dataclass(frozen=True)
class Positions:
    """Where each holder stands: `codes` in 0..cells-1, row-major over the axes."""

    codes: npt.NDArray[Any]
    cells: int


@dataclass(frozen=True)
class Steps:
    """A centred amount per holder, in whole steps, clipped to `-half_width..half_width`; meaningless where not `known`."""

    centred: Vector
    known: Bools
    half_width: int


def count(at: Positions) -> Vector:
    """Holders at each position. One holder: one position, by 1."""
    return np.bincount(at.codes, minlength=at.cells).astype(np.int64)


def amount(x: Steps, at: Positions, shift: int) -> Vector:
    """Sum of x - c at each position, over holders whose x is known. One holder: one position, by at most the half-width."""
    return _sum_at(at.codes[x.known], coarser(x.centred[x.known], shift), at.cells)


def squared(x: Steps, of: Amount, at: Positions, shift: int) -> Vector:
    """Sum of round(((x-c)^2 - h^2/2) / s2), half to even, at each position. One holder: one position, by at most h_q."""
    twice = 2 * x.centred[x.known] ** 2 - of.half_width**2
    return _sum_at(at.codes[x.known], coarser(_round_half_even(twice, of.square_halves), shift), at.cells)


def squared_limb(x: Steps, limb: Limb, at: Positions) -> Vector:
    """Sum of one part of (x-c)^2 = high * 2^24 + low. Mode exact only. One holder: one position."""
    square = x.centred[x.known] ** 2
    part = square >> LIMB_BITS if limb is Limb.HIGH else square & ((1 << LIMB_BITS) - 1)
    return _sum_at(at.codes[x.known], part, at.cells)


def product(x: Steps, y: Steps, at: Positions, shift: int) -> Vector:
    """Sum of (x-c)(y-d) at each position, over holders of whom both are known. One holder: one position, by at most h_x h_y."""
    both = x.known & y.known
    return _sum_at(at.codes[both], coarser(x.centred[both] * y.centred[both], shift), at.cells)


def product_limb(x: Steps, y: Steps, limb: Limb, at: Positions) -> Vector:
    """Sum of one part of (x-c)(y-d) = high * 2^24 + low, low >= 0. Mode exact only. One holder: one position."""
    both = x.known & y.known
    found = x.centred[both] * y.centred[both]
    part = found >> LIMB_BITS if limb is Limb.HIGH else found & ((1 << LIMB_BITS) - 1)
    return _sum_at(at.codes[both], part, at.cells)


def point(of: Sequence[Steps], reach: float, at: Positions) -> Vector:
    """Sums of coordinates at each position, over holders of whom all are known: in -1..1, the point made no longer than `reach`, carried in
    steps of 2^-POINT_BITS. One holder: one position of each, together by no more than `layout.Point` declares.

    Result: coordinates x positions, row-major.
    """
    known = np.logical_and.reduce([each.known for each in of])
    scaled = [each.centred[known] / each.half_width for each in of]
    square = np.zeros(int(known.sum()))
    for each in scaled:
        square += each * each
    length = np.sqrt(square)
    times = (1 << POINT_BITS) * np.where(length > reach, reach / np.maximum(length, reach), 1.0)
    return np.concatenate(
        [_sum_at(at.codes[known], np.rint(each * times).astype(np.int64), at.cells) for each in scaled]
    )


def nearest_of(points: Sequence[Floats], centres: Sequence[Sequence[float]] | Floats) -> tuple[Vector, Floats]:
    """The nearest centre of each point, the first of equally near ones, and the squared distance to it. `points`: one array per coordinate.

    One product and one sum at a time, so that every machine finds the same.
    """
    place = np.zeros(len(points[0]), dtype=np.int64)
    least = np.full(len(points[0]), np.inf)
    for number, centre in enumerate(centres):
        square = np.zeros(len(points[0]))
        for coordinate, x in zip(centre, points, strict=True):
            away = x - coordinate
            square += away * away
        nearer = square < least
        place[nearer] = number
        least[nearer] = square[nearer]
    return place, least


def yes_no(
    chosen: npt.NDArray[np.uint64], answered: Bools, codes: int, at: Positions, most: int | None = None
) -> Vector:
    """+1 for each code that a holder named, -1 for each other, over holders who answered. One holder: `codes` cells, by 1 each.

    With `most`, +1 for each of the first so many codes that a holder named, and nothing for the others. One holder: `most` cells, by 1
    each.
    `chosen`: bit k is code k. Result: codes x positions, row-major.
    """
    where, bits = at.codes[answered], chosen[answered]
    tables, taken = [], np.zeros(len(bits), dtype=np.int64)
    for k in range(codes):
        named = ((bits >> np.uint64(k)) & np.uint64(1)).astype(np.int64)
        if most is None:
            tables.append(_sum_at(where, 2 * named - 1, at.cells))
        else:
            named = named * (taken < most)
            taken += named
            tables.append(_sum_at(where, named, at.cells))
    return np.concatenate(tables) if tables else np.zeros(0, dtype=np.int64)


def encode(
    layout: Layout,
    table: Table,
    dictionary: Dictionary,
    as_of: date,
    cohort: Any,
    exact: bool,
    leaders: Leaders | None = None,
) -> Vector:
    """One batch of a snapshot as the layout's vector: length `layout.length`, holders of the cohort only.

    `leaders`: takes note of who holds most of an amount, which no batch knows alone; cells of DOMINATED and STATED are
    0 here.

    `exact`: a value outside the public domain is refused (`Refusal SNAPSHOT_OUT_OF_DOMAIN`, naming column and rule); in dp mode no
    refusal may depend on rows, so such a holder stands on `_missing`, or is clipped.
    """
    everybody = among(table, members(table, dictionary, as_of, cohort))
    vector = np.zeros(layout.length, dtype=np.int64)
    for chosen in dict.fromkeys(block.cohort for block in layout.blocks):
        inside = everybody if chosen is None else among(everybody, members(everybody, dictionary, as_of, chosen))
        _fill(vector, layout, chosen, inside, Reading(inside, dictionary, as_of), exact, leaders)
    return vector


def summed(layout: Layout, read: Reading, exact: bool) -> Vector:
    """The same of holders who are chosen already, whose columns `read` gives: one batch of a round of a model."""
    vector = np.zeros(layout.length, dtype=np.int64)
    _fill(vector, layout, None, read.table, read, exact, None)
    return vector


def _fill(
    vector: Vector,
    layout: Layout,
    cohort: Any,
    table: Table,
    read: Reading,
    exact: bool,
    leaders: Leaders | None,
) -> None:
    """The cells of the blocks over one cohort, whose rows are `table`."""
    dictionary, holders = read.dictionary, table.holders
    amounts: dict[Amount, Steps] = {}
    codes: dict[str, npt.NDArray[Any]] = {}

    def values(name: str) -> Column:
        if exact and name in table.columns:
            within_range(table.columns[name], dictionary, name)
        return whole_steps(read(name), dictionary, name)

    def known(names: Sequence[str]) -> Bools:
        return np.asarray(np.logical_and.reduce([values(name).known for name in names]))

    def steps_of(of: Amount) -> Steps:
        if of not in amounts:
            given = steps(of, values(of.variable))
            amounts[of] = replace(given, known=given.known & known(of.among)) if of.among else given
        return amounts[of]

    def at(axes: Sequence[Axis]) -> Positions:
        for axis in axes:
            if axis.name not in codes and axis.centres is not None:
                codes[axis.name] = _nearest([steps_of(of) for of in axis.centres.of], axis.centres)
            elif axis.name not in codes:
                given = values(axis.source)
                given = Column(given.values, known(axis.sources)) if axis.beside else given
                codes[axis.name] = position_codes(axis, given, exact)
        return joint([codes[axis.name] for axis in axes], [axis.size for axis in axes], holders)

    events = _Events(read, dictionary, exact)
    for carrier in layout.carriers:
        if carrier.cohort != cohort:
            continue
        table_of_counts = count(at(carrier.axes)).reshape(carrier.shape)
        for place in carrier.places:
            block, first = layout.blocks[place], layout.offsets[place]
            vector[first : first + block.cells] = block.weight * carrier.margin(table_of_counts, block).ravel()
    for block, first in zip(layout.blocks, layout.offsets, strict=True):
        if block.cohort != cohort or block.measure is Measure.STATED:  # of the city, not of its rows
            continue
        if block.measure is Measure.DOMINATED and isinstance(block.of, tuple):
            if leaders is not None:
                x = steps_of(block.of[0])
                leaders.add(block, at(block.axes).codes[x.known], x.centred[x.known])
        elif block.over is not None:
            vector[first : first + block.cells] = block.weight * events.measured(block, block.over)
        elif block.measure is not Measure.ONE:
            vector[first : first + block.cells] = block.weight * _measured(block, at(block.axes), values, steps_of)


def members(table: Table, dictionary: Dictionary, as_of: date, cohort: Any) -> Bools:
    """Which holders of a batch belong to the cohort: those for whom its filter is true."""
    return np.ones(table.holders, dtype=bool) if cohort is None else holds(table, dictionary, cohort, as_of).true


def among(table: Table, inside: Bools) -> Table:
    """The rows of the holders inside."""
    if inside.all():
        return table
    columns = {name: Column(each.values[inside], each.known[inside]) for name, each in table.columns.items()}
    events = {name: rows.among(inside) for name, rows in table.events.items()}
    return Table(int(inside.sum()), columns, events)


def within_range(given: Column, dictionary: Dictionary, name: str) -> None:
    """Errors: `Refusal SNAPSHOT_OUT_OF_DOMAIN` for a number outside the public range of a given variable, or one of events; for a code
    that a set has not."""
    variable = dictionary.entry(name) if dictionary.event_of(name) else dictionary.variables.get(name)
    if isinstance(variable, Set) and len(variable.codes) < 64:
        strange = given.values.astype(np.uint64) >> np.uint64(len(variable.codes))
        if bool(np.any((strange > 0) & given.known)):
            raise Refusal("SNAPSHOT_OUT_OF_DOMAIN", column=name, rule="codes of the dictionary")
    if isinstance(variable, Integer | Number | Money):
        real = isinstance(variable, Number)  # its values are read as they are written, and counted in steps later
        low, high = map(float, variable.range) if real else dictionary.whole_range(name)
        inside = (given.values >= low) & (given.values <= high)
        if bool(np.any(~inside & given.known)):
            raise Refusal("SNAPSHOT_OUT_OF_DOMAIN", column=name, rule="range of the dictionary")


def whole_steps(given: Column, dictionary: Dictionary, name: str) -> Column:
    """A column as whole units. Real numbers are clipped to their public range and rounded, half to even, to their decimal places; what is
    no number at all is not known."""
    if given.values.dtype.kind != "f":
        return given
    number = ~np.isnan(given.values)
    low, high = dictionary.whole_range(name)
    scaled = np.rint(np.where(number, given.values, 0.0) * dictionary.per(name))
    return Column(np.clip(scaled, low, high).astype(np.int64), given.known & number)


class _Events:
    """Blocks over event rows. What several of them ask for is made once: the rows of an occasion, and where these stand on an axis."""

    def __init__(self, read: Reading, dictionary: Dictionary, exact: bool) -> None:
        self.read, self.dictionary, self.exact = read, dictionary, exact
        self.taken: dict[Occasions, tuple[EventRows, EventRows]] = {}
        self.codes: dict[tuple[Occasions, str], npt.NDArray[Any]] = {}

    def measured(self, block: Block, over: Occasions) -> Vector:
        """Counts of rows, or sums of x - c over the rows whose x is known. One holder: `block.touches` cells, by `block.step` each."""
        if over.table not in self.read.table.events:
            return np.zeros(block.cells, dtype=np.int64)
        rows, after = self._rows(over)
        codes = [self._codes(over, axis, rows, after) for axis in block.axes]
        at = joint(codes, [axis.size for axis in block.axes], len(rows.holder))
        match block.of:
            case ():
                return count(at)
            case (one,) if block.measure is Measure.AMOUNT:
                return amount(steps(one, self._values(rows, one.variable)), at, block.shift)
        raise TypeError(block.measure)

    def _rows(self, over: Occasions) -> tuple[EventRows, EventRows]:
        """The rows that are added up, and of pairs those that follow them."""
        if over not in self.taken:
            rows = self.read.table.events[over.table].within(over.months.first, over.months.last)
            if over.active:
                active = self._values(rows, over.active)
                rows = rows.taken(active.known & (active.values == 1))
            if over.since:
                since, dated = self._since(over.since, over.months.first, rows)
                rows = rows.taken(dated & (since >= 0))
            places = rows.followed() if over.pairs else np.arange(len(rows.holder))
            self.taken[over] = rows.taken(places), rows.taken(places + over.pairs)
        return self.taken[over]

    def _values(self, rows: EventRows, name: str) -> Column:
        variable = name.partition(".")[2]
        if variable not in rows.columns:  # the city cannot map it
            return Column(np.zeros(len(rows.holder), dtype=np.int64), np.zeros(len(rows.holder), dtype=bool))
        if self.exact:
            within_range(rows.columns[variable], self.dictionary, name)
        return rows.columns[variable]

    def _since(self, name: str, first: int, rows: EventRows) -> tuple[Vector, Bools]:
        """Months from the month of a holder's date to that of each row; whether the date is known, and not before the month `first`."""
        given = self.read(name)
        month = months_of_days(given.values)
        return rows.month - month[rows.holder], (given.known & (month >= first))[rows.holder]

    def _codes(self, over: Occasions, axis: Axis, rows: EventRows, after: EventRows) -> npt.NDArray[Any]:
        """The position of each row on one axis."""
        if (over, axis.name) not in self.codes:
            self.codes[over, axis.name] = self._placed(axis, rows, after)
        return self.codes[over, axis.name]

    def _placed(self, axis: Axis, rows: EventRows, after: EventRows) -> npt.NDArray[Any]:
        match axis.stand:
            case Stand.HOLDER:
                return position_codes(axis, self.read(axis.source), self.exact)[rows.holder]
            case Stand.MONTH if axis.months is not None:
                return rows.month - axis.months.first
            case Stand.SINCE if axis.months is not None:
                return self._since(axis.source, axis.months.first, rows)[0]
            case Stand.TO:
                return position_codes(axis, self._values(after, axis.source), self.exact)
        return position_codes(axis, self._values(rows, axis.source), self.exact)


def _measured(
    block: Block, at: Positions, values: Callable[[str], Column], steps_of: Callable[[Amount], Steps]
) -> Vector:
    match block.of:
        case Choice(variable=name, codes=codes, most=most):
            given = values(name)
            return yes_no(given.values, given.known, len(codes), at, most)
        case Point(of=of, reach=reach):
            return point([steps_of(each) for each in of], reach, at)
        case (one,) if block.measure is Measure.AMOUNT:
            return amount(steps_of(one), at, block.shift)
        case (one,) if block.limb is not None:
            return squared_limb(steps_of(one), block.limb, at)
        case (one,):
            return squared(steps_of(one), one, at, block.shift)
        case (one, other) if block.limb is not None:
            return product_limb(steps_of(one), steps_of(other), block.limb, at)
        case (one, other):
            x, y = (steps_of(each) for each in (one, other))
            return product(x, y, at, block.shift)
    raise TypeError(block.of)


def position_codes(axis: Axis, given: Column, exact: bool) -> npt.NDArray[Any]:
    """The position of each holder on one axis; `_missing`, the last one, where the value is unknown or outside the domain."""
    last = axis.size - 1
    if axis.months is not None:
        return np.where(given.known, _in_months(given.values, axis.months), last)
    dtype = np.uint8 if last < 256 else np.uint16 if last < 65_536 else np.int64
    if axis.cuts is not None:
        place = np.searchsorted(axis.cuts, given.values.astype(np.int64, casting="safe"), side="right") - axis.skip
        return np.where(given.known, np.maximum(place, 0), last).astype(dtype)
    if axis.known_only:
        return np.where(given.known, 0, 1).astype(dtype)
    inside = given.known & (given.values >= 0) & (given.values < last)
    if exact and not np.array_equal(inside, given.known):
        raise Refusal("SNAPSHOT_OUT_OF_DOMAIN", column=axis.source, rule="codes of the dictionary")
    return np.where(inside, given.values, last).astype(dtype)


def _nearest(of: Sequence[Steps], centres: Centres) -> npt.NDArray[Any]:
    """The nearest centre of each holder; `_missing`, the last position, of those of whom not all is known."""
    place, _ = nearest_of([each.centred / each.half_width for each in of], centres.at)
    known = np.logical_and.reduce([each.known for each in of])
    return np.where(known, place, len(centres.at)).astype(np.uint8)


def _in_months(days: npt.NDArray[Any], months: Months) -> npt.NDArray[np.int64]:
    """Places of days among months; the one after the last month, `_outside`, for all other days."""
    place = months_of_days(days) - months.first
    return np.where((place >= 0) & (place < months.number), place, months.number)


def joint(codes: Sequence[npt.NDArray[Any]], sizes: Sequence[int], holders: int) -> Positions:
    """Mixed radix: c = c * m + next. Integers of 8 or 16 bits are kept while the product of sizes fits."""
    cells = 1
    at: npt.NDArray[Any] = np.zeros(holders, dtype=np.uint8)
    for code, size in zip(codes, sizes, strict=True):
        cells *= size
        if cells >= JOINT_LIMIT:
            raise ValueError("a table of this many cells does not fit")
        wide: Any = np.uint8 if cells < 256 else np.uint16 if cells < 65_536 else np.int64  # the size itself must fit
        at = at.astype(wide) * wide(size) + code.astype(wide)
    return Positions(at, cells)


def steps(of: Amount, given: Column) -> Steps:
    """A column of whole units as centred steps, clipped to the amount's bounds: those of the study, else the public range."""
    clipped = np.clip(given.values.astype(np.int64, casting="safe"), of.low, of.high)
    return Steps(coarser(clipped - of.centre, of.shift), given.known, of.half_width)


def coarser(values: Vector, shift: int) -> Vector:
    """Each holder's value to the nearest multiple of 2^shift, ties to the even one, in that unit."""
    return _round_half_even(values, 1 << shift) if shift else values


def _round_half_even(numerator: Vector, denominator: int) -> Vector:
    """Whole-number division to the nearest, ties to even; the same rule as `layout.round_half_even`."""
    up = numerator + denominator // 2
    quotient = up // denominator
    if denominator % 2 == 0:  # a tie went up
        quotient -= (up == quotient * denominator) & (quotient & 1 == 1)
    return quotient


def _sum_at(codes: npt.NDArray[Any], values: Vector, cells: int) -> Vector:
    """Integer sums by position, exact. (`bincount` with weights would add floats.)"""
    total = np.zeros(cells, dtype=np.int64)
    np.add.at(total, codes, values)
    return total
