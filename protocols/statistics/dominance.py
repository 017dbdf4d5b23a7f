"""Amounts of which a few holders are most: who counts them, and which sums of an exact study may not be printed.

    city         for every cell and margin of a sum of x: 1 if a few holders are most of its own part of it, else 0
    sum          how many cities say 1, under the masks of the sum itself
    coordinator  withholds what is dominated anywhere, or of a withheld count; and then, as long as a linear programme gives one of these
                 sums, or its sum of squares, to within PROTECTED of it, the smallest further cell that stands in a sum with it

A withheld sum takes with it all that is made of it: means, deviations, ratios. Amounts are taken above 0, or above their least value where
that is below 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocols.ring import Vector
from protocols.statistics.estimates import COUNTS, KNOWN, AxisSet, Families, Family, FamilyKey, Units, subsets
from protocols.statistics.layout import LIMB_BITS, Amount, Axis, Block, Blocks, Layout, Limb, Measure, dominated
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import (
    MOST_ADDED,
    SLACK,
    Attack,
    Bools,
    Withheld,
    further_cell,
    narrow_cells,
    withheld_row,
)

PROTECTED: Final = (
    0.10  # of a withheld sum, either way: how far off an attacker must stay; the shipped `exact.dominance.p_percent`
)
SCALE: Final = 1e6  # of the largest sum in a linear programme, whose tolerances are absolute


@dataclass(frozen=True)
class Few:
    """When a few holders are most of a sum (policy `exact.dominance`): the `top` largest are more than `share` of it, or all but the two
    largest are less than `p_percent` % of the largest. Then the second knows the first to within p_percent."""

    top: int = 2
    share: Decimal = Decimal("0.75")
    p_percent: Decimal = Decimal(10)


SHIPPED: Final = Few()


@dataclass
class Leaders:
    """The largest amounts of every cell, as the batches of one city go by; its own, and never sent.

    `found`: by block, the largest amounts (cells x `top`, descending), their sum, and their sum of squares.
    """

    few: Few = SHIPPED
    found: dict[Block, tuple[Vector, Vector, npt.NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, block: Block, codes: npt.NDArray[Any], centred: Vector) -> None:
        """One batch: where each holder stands whose amount is known, and that amount about its centre."""
        if not isinstance(block.of, tuple):
            raise TypeError(block.of)
        values = centred + (block.of[0].centre - floor(block.of[0]))
        size, most = block.cells, max(self.few.top, 2)
        largest, total, squares = self.found.get(
            block, (np.zeros((size, most), np.int64), np.zeros(size, np.int64), np.zeros(size))
        )
        order = np.lexsort((-values, codes))
        at, ordered = codes[order].astype(np.int64), values[order]
        rank = np.arange(len(at)) - np.searchsorted(at, at)
        fresh = np.zeros((size, most), np.int64)
        fresh[at[rank < most], rank[rank < most]] = ordered[rank < most]
        largest = -np.sort(-np.concatenate([largest, fresh], axis=1), axis=1)[:, :most]
        np.add.at(total, at, ordered)
        squares = squares + np.bincount(at, ordered.astype(np.float64) ** 2, size)
        self.found[block] = largest, total, squares

    def dominated(self, block: Block) -> Vector:
        """1 for each cell of which a few holders are most: of the sum, or so much of its squares that these give the largest away."""
        if block not in self.found:
            return np.zeros(block.cells, dtype=np.int64)
        largest, total, squares = self.found[block]
        held, first, second = total.astype(object), largest[:, 0].astype(object), largest[:, 1].astype(object)
        share, p = Fraction(self.few.share), Fraction(self.few.p_percent) / 100
        top = largest[:, : self.few.top].astype(object).sum(axis=1)
        most = top * share.denominator > held * share.numerator
        near = (held - first - second) * p.denominator < first * p.numerator
        one, other = largest[:, 0].astype(np.float64), largest[:, 1].astype(np.float64)
        steep = squares - one**2 - other**2 < float(2 * p + p**2) * one**2
        return np.asarray(most.astype(bool) | near.astype(bool) | steep, dtype=np.int64)


def floor(of: Amount) -> int:
    """What amounts are taken above."""
    return min(of.low, 0)


def guards(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """For every sum of amounts among some blocks, and every margin of it: how many cities have a part of which a few holders are most."""
    found = dict[Block, None]()
    for block in blocks:
        if block.measure is Measure.AMOUNT and isinstance(block.of, tuple) and block.over is None:
            axes = {axis.name: axis for axis in block.axes}
            parts = subsets(frozenset(axes))
            found |= dict.fromkeys(
                replace(dominated(block.of[0], [axes[name] for name in part]), cohort=block.cohort) for part in parts
            )
    return tuple(found)


# --- what is withheld of a sum


@dataclass(frozen=True)
class Printed:
    """What was published of the amounts of one variable before, of the same holders: clipped how, and whether some of it was withheld."""

    variable: str
    name: str
    withheld: bool


Amounts = Mapping[Amount, Withheld]


def withheld_amounts(
    layout: Layout, families: Families, total: Vector, counts: Withheld, before: Sequence[Printed] = ()
) -> Amounts:
    """Of every amount that an exact study sums, which cells and margins may not be printed. `total`: the opened sum, of `layout`.

    `counts`: what is withheld of the numbers of holders. Where something of the variable was published before, a reader may subtract:
    then all of it is printed, or nothing, and nothing of it with other bounds.
    """
    resolution = Resolution.of(layout)
    found = {}
    for key in families:
        if key[0] is not Measure.AMOUNT or not isinstance(key[1], tuple) or key[3:] != (None, None):
            continue
        (of,) = key[1]
        said = {
            frozenset(axis.name for axis in block.axes): total[layout.span(block)].reshape(block.shape) > 0
            for block in layout.blocks
            if block.measure is Measure.DOMINATED and block.of == (of,)
        }
        sums = _Sums.of(families, key, of)
        cells = sums.withheld(said, counts, resolution)
        earlier = [each for each in before if each.variable == of.variable]
        some = any(part.any() for part in cells.values()) or any(each.withheld for each in earlier)
        if earlier and (some or any(each.name != of.name for each in earlier)):
            cells = {part: np.ones_like(hidden) for part, hidden in cells.items()}
        found[of] = Withheld(sums.family.axes, cells)
    return found


def covered(answer: Answer, blocks: Blocks, amounts: Amounts) -> Answer:
    """The answer without what is made of withheld sums. `blocks`: of its question. Numbers of holders are not its matter."""
    for block in blocks.values():
        if block.measure is Measure.AMOUNT and isinstance(block.of, tuple) and block.over is None:
            rows = tuple(_without(row, block.axes, amounts[block.of[0]]) for row in answer.rows)
            answer = Answer(rows, answer.tests)
    return answer


def _without(row: Row, axes: Sequence[Axis], hidden: Withheld) -> Row:
    if row.measure == "count" or row.estimate is None:
        return row
    names = frozenset(axis.name for axis in axes)
    if row.measure == "total_share":  # a total and its share give the sum over all groups
        gone = any(hidden.cells[part].any() for part in subsets(names))
    else:
        codes = {axis.name: row.keys.get(axis.name) for axis in axes}
        fixed = {axis.name: axis.positions.index(code) for axis in axes if (code := codes[axis.name]) is not None}
        others = names - set(fixed)  # of these the row is about known values: all less `_missing`, one after another
        gone = any(
            hidden.cells[part][_place(part, fixed)].any() for more in subsets(others) for part in [more | set(fixed)]
        )
    return withheld_row(row) if gone else row


def _place(part: AxisSet, fixed: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(fixed.get(name, -1) for name in sorted(part))


@dataclass(frozen=True)
class _Sums:
    """The official tables of one amount. `n`: how many holders are in each of its cells, and by which axis that is known. `squares`: of
    each of its cells that has one, the sum of squares, whole numbers."""

    amount: Amount
    family: Family
    n: Mapping[AxisSet, tuple[str, Units]]
    squares: Mapping[AxisSet, npt.NDArray[Any]]

    @classmethod
    def of(cls, families: Families, key: FamilyKey, of: Amount) -> "_Sums":
        counts = families[COUNTS]
        family, n = families[key], dict[AxisSet, tuple[str, Units]]()
        for part in family.units:
            name = next(name for name in of.known_on if part | {name} in counts.units)
            table = np.moveaxis(counts.units[part | {name}], sorted(part | {name}).index(name), 0)
            n[part] = name, table[KNOWN].sum(axis=0) // counts.quantum
        limbs = {
            each: families[found]
            for each in Limb
            if (found := next((k for k in families if k == (Measure.SQUARE, (of,), each, None, None)), None))
        }
        squares = {}
        if limbs:
            for part, low in limbs[Limb.LOW].units.items():
                high = limbs[Limb.HIGH].units[part] if Limb.HIGH in limbs else np.zeros_like(low)
                about = low.astype(object) + (high.astype(object) << LIMB_BITS)
                squares[part] = _above(about, family.units[part] // family.quantum, n[part][1], of)
        return cls(of, family, n, squares)

    def withheld(self, said: Mapping[AxisSet, Bools], counts: Withheld, resolution: Resolution) -> dict[AxisSet, Bools]:
        """`said`: dominated in some city."""
        small = {part: self._uncounted(part, counts) for part in self.family.units}
        hidden = {part: cells | said[part] for part, cells in small.items()}
        amounts = {
            part: (units // self.family.quantum).astype(object) - floor(self.amount) * self.n[part][1].astype(object)
            for part, units in self.family.units.items()
        }
        for values, protected in ((amounts, PROTECTED), (self.squares, 2 * PROTECTED + PROTECTED**2)):
            if values:
                found = _complement(self.family, values, {part: hidden[part] for part in values}, protected, resolution)
                hidden = hidden | found
        return hidden

    def _uncounted(self, part: AxisSet, counts: Withheld) -> Bools:
        """Cells whose number of holders is withheld, or would be known from a withheld one alone."""
        name, _ = self.n[part]
        axes = sorted(part | {name})
        table = np.moveaxis(counts.cells[part | {name}], axes.index(name), 0)
        known: Bools = np.asarray(table[0] if len(table) == 2 else counts.cells[part] | table[-1])
        return known


def _above(about: npt.NDArray[Any], total: Units, n: Units, of: Amount) -> npt.NDArray[Any]:
    """Sums of squares above the floor, from those about the centre."""
    away, held = of.centre - floor(of), n.astype(object)
    return np.asarray(about + 2 * away * (total.astype(object) - of.centre * held) + away**2 * held)


def _complement(
    family: Family,
    values: Mapping[AxisSet, npt.NDArray[Any]],
    hidden: Mapping[AxisSet, Bools],
    protected: float,
    resolution: Resolution,
) -> dict[AxisSet, Bools]:
    """The withheld cells and those that must be withheld for them: no withheld sum is known to within `protected` of it, on either side."""
    blank = replace(
        family, units={part: np.zeros(cells.shape, dtype=np.int64) for part, cells in hidden.items()}, quantum=1
    )
    attack = Attack.on(blank, resolution)
    held = np.concatenate([np.asarray(values[part], dtype=np.float64).ravel() for part in attack.tables])
    gone = np.concatenate([hidden[part].ravel() for part in attack.tables])
    if gone.any() and held.max() > 0:
        held = held * (SCALE / held.max())
        attack = replace(attack, values=held)
        guarded, (low, high) = gone & (held > 0), (held.copy(), held.copy())
        down, up = held * (1 - protected), held * (1 + protected)
        table_of = np.concatenate([np.full(cells.size, number) for number, cells in enumerate(attack.tables.values())])
        given = np.zeros(len(attack.tables), dtype=np.int64)

        def wide(low: Any, high: Any) -> Bools:
            return np.asarray((low <= np.maximum(down - SLACK, 0.0)) & (high >= up + SLACK))

        try:
            while narrow := narrow_cells(attack, gone, guarded, (low, high), 4 * SCALE, wide):
                found = [more for cell in narrow if (more := further_cell(attack, gone, cell)) is not None]
                if not found:  # nothing is left to withhold
                    break
                for more in found:
                    given[table_of[more]] += 1
                    gone[table_of == table_of[more] if given[table_of[more]] > MOST_ADDED else more] = True
        except ValueError:  # no programme in floats can tell
            gone[:] = True
    return {part: gone[cells] for part, cells in attack.tables.items()}
