"""Blocks and layouts: what follows from a measure and a dictionary alone."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Final

import pytest

from protocols.canonical import canonical, digest
from protocols.errors import ConfigError
from protocols.statistics.layout import (
    Amount,
    Axis,
    Block,
    Choice,
    Domain,
    Layout,
    Measure,
    amount,
    count,
    product,
    round_half_even,
    squared,
    yes_no,
)
from tests.laws.generated import BIRTH_YEAR, DOMAIN, INCOME, SMALL, WORRIES

SEX, PRODUCT = DOMAIN.axis("sex"), DOMAIN.axis("product")

# block, cells, step, touches, D1, D2, low, unit
BLOCKS: Final = {
    "holders": (count(), 1, 1, 1, 1, 1, 0, "holders"),
    "holders by two axes": (count([PRODUCT, SEX]), 16, 1, 1, 1, 1, 0, "holders"),
    "an amount": (amount(INCOME, [SEX]), 4, 10**7, 1, 10**7, 10**14, -(10**7), "fen"),
    "a square": (squared(BIRTH_YEAR), 1, 800, 1, 800, 800**2, -800, "year"),
    "a product": (product(INCOME, BIRTH_YEAR), 1, 4 * 10**8, 1, 4 * 10**8, 16 * 10**16, -4 * 10**8, "fen*year"),
    "yes or no": (yes_no(WORRIES, [SEX]), 12, 1, 3, 3, 3, -1, "holders"),
}


@pytest.mark.parametrize(
    ("block", "cells", "step", "touches", "l1", "l2sq", "low", "unit"), BLOCKS.values(), ids=BLOCKS.keys()
)
def test_bounds_follow_from_the_measure(
    block: Block, cells: int, step: int, touches: int, l1: int, l2sq: int, low: int, unit: str
) -> None:
    assert (block.cells, block.step, block.touches, block.l1, block.l2sq) == (cells, step, touches, l1, l2sq)
    assert (block.low, block.high, block.unit) == (low, step, unit)


def test_a_weight_multiplies_what_a_holder_adds() -> None:
    block = Block(Measure.ONE, (SEX,), (), weight=3)
    assert (block.step, block.l1, block.l2sq) == (3, 3, 9)


def test_every_axis_ends_with_missing() -> None:
    assert SEX.positions == ("male", "female", "unknown", "_missing")
    assert DOMAIN.axis("owner").positions == ("false", "true", "_missing")
    assert DOMAIN.axis("generation").positions == ("80s", "90s", "other", "_missing")
    assert DOMAIN.known("income").positions == ("known", "_missing")
    assert DOMAIN.known("income").name == "known(income)"


def test_the_order_in_which_a_question_names_its_axes_makes_no_other_block() -> None:
    assert count([SEX, PRODUCT]) == count([PRODUCT, SEX])
    assert count([SEX, PRODUCT]).name == "1 by (product, sex)"
    with pytest.raises(ValueError, match="ascend by name"):
        Block(Measure.ONE, (SEX, PRODUCT))
    with pytest.raises(ValueError, match="each once"):
        count([SEX, SEX])


def test_blocks_stand_end_to_end() -> None:
    blocks = (count(), count([SEX]), yes_no(WORRIES), count([PRODUCT, SEX]))
    layout = Layout(blocks)
    assert layout.offsets == (0, 1, 5, 8)
    assert layout.length == 24
    assert [layout.span(block) for block in blocks] == [slice(0, 1), slice(1, 5), slice(5, 8), slice(8, 24)]
    assert layout.largest_step == 1
    assert Layout((count(), amount(BIRTH_YEAR))).largest_step == 40


def test_the_digest_covers_all_that_cities_approve() -> None:
    layout = Layout((count([SEX]), amount(INCOME)))
    assert layout.digest == digest(canonical([block.declared() for block in layout.blocks]))
    others = (
        Layout((amount(INCOME), count([SEX]))),
        Layout((count([PRODUCT]), amount(INCOME))),
        Layout((count([SEX]), amount(DOMAIN.amount("income", high=Decimal(100_000))))),
        Layout((count([Axis("sex", ("female", "male", "unknown", "_missing"), "sex")]), amount(INCOME))),
        Layout((Block(Measure.ONE, (SEX,), (), 2), amount(INCOME))),
        Layout((count([SEX]), squared(INCOME))),
    )
    assert len({layout.digest, *(other.digest for other in others)}) == 7
    assert count([SEX]).declared() == {
        "block": "1 by (sex)", "measure": "1", "axes": [{"name": "sex", "positions": [*SEX.positions]}], "of": [], "weight": 1,
        "shift": 0, "limb": "", "cells": 4, "touches": 1, "step": "1", "low": "0", "high": "1", "l1": "1", "l2sq": "1", "unit": "holders",
    }  # fmt: skip
    assert yes_no(WORRIES).declared()["of"] == [{"variable": "worries", "codes": ["illness", "pension", "accident"]}]


def test_a_block_that_declares_less_than_a_cell_allows_makes_no_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block(Measure.ONE, (), (), weight=4)
    cases: list[tuple[str, Callable[[Block], int]]] = [
        ("l2sq", lambda _: 15),
        ("l1", lambda _: 3),
        ("l1", lambda _: 17),
    ]
    for name, declared in cases:
        with monkeypatch.context() as changed:
            changed.setattr(Block, name, property(declared))
            with pytest.raises(ConfigError) as caught:
                Layout((block,))
            assert caught.value.code == "LAYOUT_EFFECT"
    Layout((Block(Measure.ONE, (), (), weight=4),))


def test_an_amount_is_centred_in_whole_steps() -> None:
    assert (INCOME.centre, INCOME.half_width, INCOME.unit, INCOME.shift) == (10_000_000, 10_000_000, "fen", 0)
    assert (BIRTH_YEAR.centre, BIRTH_YEAR.half_width, BIRTH_YEAR.unit) == (1970, 40, "year")
    odd = Amount("x", 0, 5, "1")
    assert (odd.centre, odd.half_width) == (2, 3)
    clipped = DOMAIN.amount("income", low=Decimal(10), high=Decimal("1000.50"))
    assert (clipped.low, clipped.high) == (1_000, 100_050)
    with pytest.raises(TypeError, match="whole steps"):
        DOMAIN.amount("sex")


def test_a_wide_amount_is_carried_in_coarser_steps_so_that_its_square_fits() -> None:
    """Half-widths of 2^24 steps fit as they are; one more needs steps of two."""
    for half, shift in ((1 << 24, 0), ((1 << 24) + 1, 1), (1 << 25, 1), ((1 << 25) + 1, 2), (1 << 34, 10)):
        words = SMALL.variables["birth_year"].model_copy(update={"range": (0, 2 * half)})
        dictionary = SMALL.model_copy(update={"variables": {**SMALL.variables, "birth_year": words}})
        found = Domain(dictionary).amount("birth_year")
        assert found.shift == shift
        assert found.half_width <= 1 << 24
        assert found.half_width << shift >= half


def test_a_centred_square_is_carried_in_at_most_2_to_the_24_units() -> None:
    for half in (1, 40, 5_792, 5_793, 10_000_000, 1 << 24):
        found = Amount("x", -half, half, "1")
        assert found.square_width <= 1 << 24
        assert found.square_width == round(Fraction(half**2, found.square_halves))
        assert found.square_halves <= 2 or half**2 / (found.square_halves - 2) > 1 << 24
        assert found.square_halves > 2 or half**2 % found.square_halves == 0, "no square of a small amount is rounded"


def test_halves_go_to_the_even_number() -> None:
    for numerator in range(-20, 21):
        for denominator in (1, 2, 3, 4, 8):
            assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_choice_has_a_cell_for_each_code_and_position() -> None:
    assert Choice("worries", SMALL.codes("worries")) == WORRIES
    assert yes_no(WORRIES, [SEX, PRODUCT]).shape == (3, 4, 4)
