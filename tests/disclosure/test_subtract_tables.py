"""T60: two released tables of one study, or a slice of its cohort and the whole, are subtracted: no second draw of a number is there."""

from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np

from coordinator.consistency import reconcile
from protocols.noise import UNIT
from protocols.ring import Vector
from protocols.statistics.estimates import AxisSet
from protocols.statistics.layout import Block, Layout
from simulations.bench import utility

WORKLOAD: Final = utility.Workload.of(utility.SIZES, 300)


def margin(table: Vector, block: Block, kept: AxisSet) -> Vector:
    """A table added up over all axes but those of `kept`; dimensions ascend by name."""
    names = [axis.name for axis in block.axes]
    cells = table.reshape(block.shape)
    over = tuple(at for at, name in enumerate(names) if name not in kept)
    left = [name for name in names if name in kept]
    return np.asarray(np.transpose(cells.sum(axis=over), [left.index(name) for name in sorted(kept)]))


def differences(layout: Layout, tables: dict[str, Vector]) -> list[Vector]:
    """Of every two tables, the one less the other where they speak of the same holders: what they share, down to the total."""
    found = []
    for one, other in combinations(layout.blocks, 2):
        shared = frozenset(a.name for a in one.axes) & frozenset(a.name for a in other.axes)
        found.append(margin(tables[one.name], one, shared) - margin(tables[other.name], other, shared))
    return found


def test_no_two_released_tables_differ_where_they_speak_of_the_same_holders() -> None:
    """Nor do two vectors of noise lie below them: what cities sent holds a block once, and every other number is made of blocks."""
    layout, total = WORKLOAD.layout, WORKLOAD.total
    noised = WORKLOAD.truth + WORKLOAD.drawn(total)
    (family,) = reconcile(layout, noised, [Fraction(each, UNIT) for each in total]).values()
    official = {block.name: family.units[frozenset(axis.name for axis in block.axes)] for block in layout.blocks}
    pairs = differences(layout, official)
    assert len(pairs) == 29 * 28 // 2
    assert not any(each.any() for each in pairs)
    assert len({frozenset(axis.name for axis in block.axes) for block in layout.blocks}) == len(layout.blocks) == 29


def test_tables_as_they_were_drawn_do_differ() -> None:
    """The control: tables that are released as they were noised give every shared margin twice, with noise of its own."""
    layout = WORKLOAD.layout
    noised = WORKLOAD.truth + WORKLOAD.drawn(WORKLOAD.total)
    raw = {block.name: noised[layout.span(block)] for block in layout.blocks}
    assert np.mean([each.any() for each in differences(layout, raw)]) > 0.9  # two totals may be equal by chance


def test_a_slice_of_the_cohort_is_a_cell_of_the_whole() -> None:
    """Holders of one code, asked as a table by that variable, and all of them asked beside it: the total is the sum of its slices."""
    layout, total = WORKLOAD.layout, WORKLOAD.total
    noised = WORKLOAD.truth + WORKLOAD.drawn(total)
    (family,) = reconcile(layout, noised, [Fraction(each, UNIT) for each in total]).values()
    whole = family.units[frozenset()]
    for name, axis in family.axes.items():
        assert family.units[frozenset({name})].shape == (axis.size,)
        assert family.units[frozenset({name})].sum() == whole
