"""Joint tables: every block of counts is summed from one of them, and the tables stay small."""

from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.statistics import layout as layouts
from protocols.statistics.layout import Axis, Block, Layout, Measure, carriers
from simulations.bench.encoding import flagship

AXES = tuple(
    Axis(f"v{at}", tuple(f"p{place}" for place in range(size)), f"v{at}")
    for at, size in enumerate((2, 3, 5, 9, 40, 300))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sets(st.sampled_from(AXES), max_size=4), max_size=12, unique_by=frozenset))
def test_every_count_is_covered_once_by_a_table_that_holds_its_axes_and_is_small(chosen: list[set[Axis]]) -> None:
    blocks = [layouts.count(tuple(axes)) for axes in chosen]
    found = carriers(blocks)
    assert sorted(place for carrier in found for place in carrier.places) == list(range(len(blocks)))
    for carrier in found:
        assert all(set(blocks[place].axes) <= set(carrier.axes) for place in carrier.places)
        assert {axis for place in carrier.places for axis in blocks[place].axes} == set(carrier.axes)
        assert prod(carrier.shape) <= max(layouts.CARRIER_CELLS, *(blocks[place].cells for place in carrier.places))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*(st.integers(0, axis.size - 1) for axis in AXES[:4])), max_size=60),
    st.sets(st.sampled_from(AXES[:4])),
)
def test_a_block_is_the_margin_of_its_table(holders: list[tuple[int, ...]], kept: set[Axis]) -> None:
    blocks = [layouts.count(AXES[:4]), layouts.count(tuple(kept))]
    (carrier,) = carriers(blocks)
    table = np.zeros(carrier.shape, dtype=np.int64)
    alone = np.zeros(blocks[1].shape, dtype=np.int64)
    for places in holders:
        table[places] += 1
        alone[tuple(place for place, axis in zip(places, AXES, strict=False) if axis in kept)] += 1
    assert np.array_equal(carrier.margin(table, blocks[1]), alone)


def test_amounts_are_in_no_joint_table_and_joint_tables_in_no_declaration() -> None:
    """What leaves is named by blocks: the digest that cities sign is that of the blocks alone."""
    _, layout = flagship()
    carried = {place for carrier in layout.carriers for place in carrier.places}
    assert carried == {at for at, block in enumerate(layout.blocks) if block.measure is Measure.ONE}
    assert len(layout.carriers) < len(carried) / 4
    assert Layout(layout.blocks).digest == layout.digest
    assert sum(block.cells for block in layout.blocks) == layout.length


def test_a_table_larger_than_the_limit_stands_alone() -> None:
    wide = layouts.count((AXES[4], AXES[5], AXES[2]))
    assert wide.cells > layouts.CARRIER_CELLS
    margin: Block = layouts.count((AXES[4],))
    other: Block = layouts.count((AXES[1], AXES[0]))
    assert [carrier.places for carrier in carriers([margin, wide, other])] == [(0, 1), (2,)]
