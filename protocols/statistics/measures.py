"""The five measures: the only code that turns rows into cells.

Each is additive over batches, shuffles and cities, and each adds for one holder at most what the block declares (`layout.py`). All
arithmetic is on int64. Nothing here looks at two holders at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.dictionary import Column, Dictionary, Table, column, holds
from protocols.errors import Refusal
from protocols.filters import Bools
from protocols.statistics.layout import Amount, Axis, Block, Choice, Layout, Measure

Vector: TypeAlias = npt.NDArray[np.int64]
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


def amount(x: Steps, at: Positions) -> Vector:
    """Sum of x - c at each position, over holders whose x is known. One holder: one position, by at most the half-width."""
    return _sum_at(at.codes[x.known], x.centred[x.known], at.cells)


def squared(x: Steps, of: Amount, at: Positions) -> Vector:
    """Sum of round(((x-c)^2 - h^2/2) / s2), half to even, at each position. One holder: one position, by at most h_q."""
    twice = 2 * x.centred[x.known] ** 2 - of.half_width**2
    return _sum_at(at.codes[x.known], _round_half_even(twice, 2 * of.square_unit), at.cells)


def product(x: Steps, y: Steps, at: Positions) -> Vector:
    """Sum of (x-c)(y-d) at each position, over holders of whom both are known. One holder: one position, by at most h_x h_y."""
    both = x.known & y.known
    return _sum_at(at.codes[both], x.centred[both] * y.centred[both], at.cells)


def yes_no(chosen: npt.NDArray[np.uint64], answered: Bools, codes: int, at: Positions) -> Vector:
    """+1 for each code that a holder named, -1 for each other, over holders who answered. One holder: `codes` cells, by 1 each.

    `chosen`: bit k is code k. Result: codes x positions, row-major.
    """
    where, bits = at.codes[answered], chosen[answered]
    tables = [
        _sum_at(where, 2 * ((bits >> np.uint64(k)) & np.uint64(1)).astype(np.int64) - 1, at.cells) for k in range(codes)
    ]
    return np.concatenate(tables) if tables else np.zeros(0, dtype=np.int64)


def encode(layout: Layout, table: Table, dictionary: Dictionary, as_of: date, cohort: Any, exact: bool) -> Vector:
    """One batch of a snapshot as the layout's vector: length `layout.length`, holders of the cohort only.

    `exact`: a value outside the public domain is refused (`Refusal SNAPSHOT_OUT_OF_DOMAIN`, naming column and rule); in dp mode no
    refusal may depend on rows, so such a holder stands on `_missing`, or is clipped.
    """
    inside = members(table, dictionary, as_of, cohort)
    cache: dict[str, Column] = {}

    def values(name: str) -> Column:
        if name not in cache:
            given = column(table, dictionary, name, as_of)
            cache[name] = Column(given.values[inside], given.known[inside])
        return cache[name]

    codes: dict[str, npt.NDArray[Any]] = {}

    def at(axes: Sequence[Axis]) -> Positions:
        for axis in axes:
            if axis.name not in codes:
                codes[axis.name] = position_codes(axis, values(axis.source), exact)
        return joint([codes[axis.name] for axis in axes], [axis.size for axis in axes], int(inside.sum()))

    vector = np.zeros(layout.length, dtype=np.int64)
    for block in layout.blocks:
        vector[layout.span(block)] = block.weight * _measured(block, at(block.axes), values, exact)
    return vector


def members(table: Table, dictionary: Dictionary, as_of: date, cohort: Any) -> Bools:
    """Which holders of a batch belong to the cohort: those for whom its filter is true."""
    return np.ones(table.holders, dtype=bool) if cohort is None else holds(table, dictionary, cohort, as_of).true


def _measured(block: Block, at: Positions, values: Callable[[str], Column], exact: bool) -> Vector:
    match block.of:
        case ():
            return count(at)
        case Choice(variable=name, codes=codes):
            given = values(name)
            return yes_no(given.values, given.known, len(codes), at)
        case (one,) if block.measure is Measure.AMOUNT:
            return amount(steps(one, values(one.variable), exact), at)
        case (one,):
            return squared(steps(one, values(one.variable), exact), one, at)
        case (one, other):
            return product(steps(one, values(one.variable), exact), steps(other, values(other.variable), exact), at)
    raise TypeError(block.of)


def position_codes(axis: Axis, given: Column, exact: bool) -> npt.NDArray[Any]:
    """The position of each holder on one axis; `_missing`, the last one, where the value is unknown or outside the domain."""
    last = axis.size - 1
    dtype = np.uint8 if last < 256 else np.uint16 if last < 65_536 else np.int64
    if axis.known_only:
        return np.where(given.known, 0, 1).astype(dtype)
    inside = given.known & (given.values >= 0) & (given.values < last)
    if exact and not np.array_equal(inside, given.known):
        raise Refusal("SNAPSHOT_OUT_OF_DOMAIN", column=axis.source, rule="codes of the dictionary")
    return np.where(inside, given.values, last).astype(dtype)


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


def steps(of: Amount, given: Column, exact: bool) -> Steps:
    """A column of whole units as centred steps. Outside the public range: clipped in dp mode, refused in exact mode."""
    values = given.values.astype(np.int64, casting="safe")
    clipped = np.clip(values, of.low, of.high)
    if exact and bool(np.any((values != clipped) & given.known)):
        raise Refusal("SNAPSHOT_OUT_OF_DOMAIN", column=of.variable, rule="range of the dictionary")
    return Steps(_round_half_even(clipped - of.centre, 1 << of.shift), given.known, of.half_width)


def _round_half_even(numerator: Vector, denominator: int) -> Vector:
    """Whole-number division to the nearest, ties to even; the same rule as `layout.round_half_even`."""
    quotient, rest = np.divmod(numerator, denominator)
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def _sum_at(codes: npt.NDArray[Any], values: Vector, cells: int) -> Vector:
    """Integer sums by position, exact. (`bincount` with weights would add floats.)"""
    total = np.zeros(cells, dtype=np.int64)
    np.add.at(total, codes, values)
    return total
