"""Exact tables of one city as they leave it: counts with every margin, and in some cells not a number but `WITHHELD`.

In mode exact a city's own answer holds each margin of its tables as a block of its own. Then the city can withhold a cell and still say the
line it stands in, and nothing but what it says is ever known of it. Which cells these are is decided by `suppression.py`, at the city.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.errors import PeerError
from protocols.ring import Vector
from protocols.statistics.estimates import QUANTA, AxisSet, Families, Family, Units, family_of, subsets
from protocols.statistics.layout import Axis, Block, Layout, Measure, count
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Bools, Withheld, possible, withheld

WITHHELD: Final = -(2**63)  # in the place of a cell that a city does not say


def margins(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Every margin of the counts among some blocks that is not among them, smaller ones first."""
    found = dict[Block, None]()
    for block in blocks:
        if tabled(block):
            axes = {axis.name: axis for axis in block.axes}
            found |= dict.fromkeys(count([axes[name] for name in part]) for part in subsets(frozenset(axes)))
    return tuple(sorted((each for each in found if each not in blocks), key=lambda each: (len(each.axes), each.name)))


def tabled(block: Block) -> bool:
    """Whether it is a table of the study's holders whose margins mean something by themselves: no amount, no set, no rows of events, no
    level of a tree, no cohort of a question."""
    plain = block.branches is None and block.over is None and block.cohort is None
    return block.measure is Measure.ONE and block.weight == 1 and plain


@dataclass(frozen=True)
class Earlier:
    """What a city said by itself before, of the same holders on the same snapshot."""

    layout: Layout
    cells: Vector

    def without(self, strange: AxisSet) -> "Earlier":
        """Without the tables by axes that mean something else now; their margins are tables too, and stay."""
        kept = [block for block in self.layout.blocks if strange.isdisjoint(axis.name for axis in block.axes)]
        parts = [self.cells[self.layout.span(block)] for block in kept]
        return Earlier(Layout(tuple(kept)), np.concatenate(parts) if parts else self.cells[:0])


def suppressed(layout: Layout, cells: Vector, least: int, earlier: Sequence[Earlier] = ()) -> Vector:
    """The cells as they may leave: where they, and all that was said before, gave away a count of 1 .. `least` - 1, they are WITHHELD.

    `cells`: of `layout`, then of the blocks in `beside(layout, earlier)`, which are known from the same rows. Amounts and trees are
    withheld whole: no rule here looks at who holds most of an amount, nor at what levels of a tree say together.
    """
    every = Layout((*layout.blocks, *beside(layout, earlier)))
    family, _ = _counts(every, cells)
    known: dict[AxisSet, Bools] = {}
    for said in earlier:
        for part, hidden in _counts(said.layout, said.cells)[1].items():
            known[part] = known.get(part, np.zeros_like(hidden)) | ~hidden
    found = withheld(family, Resolution.of(every), least, known=known)
    left = cells[: layout.length].copy()
    for block, offset in zip(layout.blocks, layout.offsets, strict=True):
        span = slice(offset, offset + block.cells)
        counted = tabled(block)
        left[span] = np.where(found.cells[_part(block)].ravel(), WITHHELD, left[span]) if counted else WITHHELD
    return left


def beside(layout: Layout, earlier: Sequence[Earlier]) -> tuple[Block, ...]:
    """Blocks of counts that were said before and are not asked now."""
    said = (block for each in earlier for block in each.layout.blocks if tabled(block))
    return tuple(block for block in dict.fromkeys(said) if block not in layout.blocks)


@dataclass(frozen=True)
class OwnTables:
    """What a city said, as tables, and which of their cells it did not say. Those hold whole numbers with which everything adds up, found
    from what it said alone: neither they nor anything that depends on them is ever printed."""

    families: Families
    withheld: Withheld

    @classmethod
    def of(cls, layout: Layout, cells: Vector) -> "OwnTables":
        """Errors: `PeerError SUM_MARGINS` where what a city says does not add up."""
        family, hidden = _counts(layout, cells)
        try:
            whole = possible(family, Resolution.of(layout), hidden)
        except ValueError:
            raise PeerError("SUM_MARGINS", block=layout.blocks[0].name, other=layout.blocks[-1].name) from None
        return cls({family_of(count()): whole}, Withheld(family.axes, hidden))

    @classmethod
    def together(cls, cities: Sequence["OwnTables"]) -> "OwnTables":
        """Their sum, of which a cell is known where every city said it."""
        (key,) = cities[0].families
        families = [each.families[key] for each in cities]
        units = {part: np.sum([each.units[part] for each in families], axis=0) for part in families[0].units}
        hidden = {part: np.logical_or.reduce([each.withheld.cells[part] for each in cities]) for part in units}
        first = families[0]
        summed = Family(first.axes, units, first.noise, first.whole, first.quantum)
        return cls({key: summed}, Withheld(first.axes, hidden))


def _part(block: Block) -> AxisSet:
    return frozenset(axis.name for axis in block.axes)


def _counts(layout: Layout, cells: Vector) -> tuple[Family, Mapping[AxisSet, Bools]]:
    """The tables of counts of a layout that holds all their margins, and which cells are WITHHELD."""
    axes, tables, hidden = dict[str, Axis](), dict[AxisSet, Units](), dict[AxisSet, Bools]()
    for block, offset in zip(layout.blocks, layout.offsets, strict=True):
        if tabled(block):
            axes |= {axis.name: axis for axis in block.axes}
            table = cells[offset : offset + block.cells].reshape(block.shape)
            hidden[_part(block)] = table == WITHHELD
            tables[_part(block)] = np.where(table == WITHHELD, 0, table)
    whole = frozenset(Resolution.of(layout).shared(axes))
    noise = {
        part: {
            chosen: np.zeros([axes[name].size for name in sorted(part & whole)] * 2) for chosen in subsets(part - whole)
        }
        for part in tables
    }
    return Family(axes, {part: table * QUANTA for part, table in tables.items()}, noise, whole), hidden
