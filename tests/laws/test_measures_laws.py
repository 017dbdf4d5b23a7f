"""Laws of the five measures, over generated axes, blocks and holders."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.filters import Leaf
from protocols.statistics.layout import Block, Choice, Layout, Measure, amount, product, squared, yes_no
from tests.laws.generated import (
    AXES,
    BIRTH_YEAR,
    INCOME,
    SMALL,
    WORRIES,
    Holder,
    blocks,
    crowds,
    encoded,
    holders,
    layouts,
)

MANY: Final = settings(max_examples=200)


@MANY
@given(layouts, crowds, crowds)
def test_two_batches_add_up_to_the_whole(layout: Layout, first: list[Holder], second: list[Holder]) -> None:
    assert np.array_equal(encoded(layout, first) + encoded(layout, second), encoded(layout, [*first, *second]))


@MANY
@given(layouts, crowds.flatmap(lambda crowd: st.tuples(st.just(crowd), st.permutations(crowd))))
def test_the_order_of_rows_changes_nothing(layout: Layout, orders: tuple[list[Holder], list[Holder]]) -> None:
    assert np.array_equal(encoded(layout, orders[0]), encoded(layout, orders[1]))


@MANY
@given(layouts, crowds)
def test_length_bounds_and_zero_for_nobody(layout: Layout, crowd: list[Holder]) -> None:
    vector = encoded(layout, crowd)
    assert vector.shape == (layout.length,)
    assert vector.dtype == np.int64
    assert not encoded(layout, []).any()
    for block in layout.blocks:
        cells = vector[layout.span(block)]
        assert (cells >= block.low * len(crowd)).all()
        assert (cells <= block.high * len(crowd)).all()
        assert abs(int(cells.sum())) <= block.l1 * len(crowd)


@MANY
@given(layouts, crowds, holders)
def test_one_holder_changes_no_more_than_is_declared(layout: Layout, crowd: list[Holder], one: Holder) -> None:
    assert not beyond_declared(layout, crowd, one)


def beyond_declared(layout: Layout, crowd: list[Holder], one: Holder) -> list[str]:
    """Names of the blocks that change by more than they declare when one holder joins."""
    change = encoded(layout, [*crowd, one]) - encoded(layout, crowd)
    found = []
    for block in layout.blocks:
        moved = change[layout.span(block)].astype(object)  # Python integers: squares of products are beyond int64
        within = (
            sum(abs(moved)) <= block.l1
            and sum(moved**2) <= block.l2sq
            and sum(moved != 0) <= block.touches
            and all((moved >= block.low) & (moved <= block.high))
        )
        if not within:
            found.append(block.name)
    return found


EXTREME: Final[Holder] = {
    "sex": 0, "birth_year": 2010, "product": 2, "owner": 1, "income": 20_000_000, "worries": 5
}  # fmt: skip


@MANY
@given(blocks)
def test_some_holder_moves_a_block_as_far_as_is_declared(block: Block) -> None:
    layout = Layout((block,))
    moved = encoded(layout, [EXTREME]).astype(object)
    assert sum(moved**2) >= 0.9 * block.l2sq
    assert sum(abs(moved)) >= 0.9 * block.l1


@MANY
@given(layouts, crowds)
def test_a_cohort_is_the_same_as_leaving_the_others_out(layout: Layout, crowd: list[Holder]) -> None:
    """A holder for whom the filter is unknown is not in the cohort."""
    cohort = Leaf.model_validate({"variable": "product", "in": ("monthly", "free")})
    inside = [holder for holder in crowd if holder.get("product") in (1, 2)]
    assert np.array_equal(encoded(layout, crowd, cohort), encoded(layout, inside))


@MANY
@given(blocks, crowds)
def test_cells_are_what_a_loop_over_holders_gives(block: Block, crowd: list[Holder]) -> None:
    assert encoded(Layout((block,)), crowd).tolist() == slowly(block, crowd)


def slowly(block: Block, crowd: list[Holder]) -> list[int]:
    """The block's cells once more, in Python integers, from the definitions alone."""
    cells = [0] * block.cells
    width = block.cells // len(block.of.codes) if isinstance(block.of, Choice) else block.cells
    for holder in crowd:
        at = 0
        for axis in block.axes:
            at = at * axis.size + _place(axis.name, axis.size, holder)
        names = [block.of.variable] if isinstance(block.of, Choice) else [each.variable for each in block.amounts]
        if not all(name in holder for name in names):
            continue
        if isinstance(block.of, Choice):
            for code in range(len(block.of.codes)):
                cells[code * width + at] += 1 if holder["worries"] >> code & 1 else -1
            continue
        steps = [
            min(max(holder[each.variable], each.low), each.high) - (each.low + each.high) // 2 for each in block.amounts
        ]
        match block.measure:
            case Measure.ONE:
                cells[at] += 1
            case Measure.AMOUNT:
                cells[at] += steps[0]
            case Measure.SQUARE:
                x = block.amounts[0]
                half = x.high - (x.low + x.high) // 2
                unit = -(-(half**2) // 2**25)
                cells[at] += round(Fraction(2 * steps[0] ** 2 - half**2, 2 * max(unit, 1)))  # halves to even
            case Measure.PRODUCT:
                cells[at] += steps[0] * steps[1]
    return cells


def _place(name: str, size: int, holder: Holder) -> int:
    if name == "known(income)":
        return 0 if "income" in holder else 1
    if name == "generation":
        year = holder.get("birth_year")
        return size - 1 if year is None else 0 if 1980 <= year <= 1989 else 1 if 1990 <= year <= 1999 else 2
    value = holder.get(name, -1)
    return value if 0 <= value < size - 1 else size - 1


# --- a layout that lies is found


@dataclass(frozen=True)
class TooSmall(Block):
    """Declares that a holder names one code only."""

    @property
    def touches(self) -> int:
        return 1


def test_a_block_that_declares_too_small_an_effect_breaks_the_law() -> None:
    honest = yes_no(WORRIES, AXES[2:3])
    lying = Layout((TooSmall(honest.measure, honest.axes, honest.of),))
    assert beyond_declared(lying, [], EXTREME) == [honest.name]
    assert not beyond_declared(Layout((honest,)), [], EXTREME)


@pytest.mark.parametrize(
    "honest",
    [amount(INCOME), squared(INCOME), product(INCOME, BIRTH_YEAR), amount(BIRTH_YEAR, AXES[:1])],
    ids=lambda block: block.name,
)
def test_halving_a_declared_step_breaks_the_law(honest: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = honest.step
    monkeypatch.setattr(Block, "step", property(lambda _: whole // 2))
    assert beyond_declared(Layout((honest,)), [], EXTREME) == [honest.name]


def test_the_example_dictionary_shows_every_type_that_a_measure_reads() -> None:
    assert {SMALL.type_of(name) for name in SMALL.known()} == {"category", "integer", "boolean", "money", "set", "date"}
