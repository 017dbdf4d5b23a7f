"""Encoding by example: values outside the public domain, the limits of small integers, cohorts of nobody."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Column
from protocols.errors import Refusal
from protocols.statistics.layout import Amount, Axis, Domain, Layout, Limb, amount, count, squared, yes_no
from protocols.statistics.measures import joint, position_codes, steps
from tests.laws.generated import BIRTH_YEAR, DOMAIN, INCOME, SMALL, WORRIES, encoded


def column(values: list[Any], known: list[bool] | None = None, dtype: Any = np.int64) -> Column:
    return Column(np.array(values, dtype=dtype), np.array(known or [True] * len(values)))


def axis(codes: int) -> Axis:
    return Axis("x", (*(f"c{code}" for code in range(codes)), "_missing"), "x")


def test_a_value_outside_the_domain_stands_on_missing_in_dp_mode() -> None:
    given = column([0, 2, 3, -1, 1, 10**12], [True, True, True, True, False, True])
    assert position_codes(axis(3), given, exact=False).tolist() == [0, 2, 3, 3, 3, 3]


def test_a_value_outside_the_domain_is_refused_in_exact_mode_without_saying_it() -> None:
    with pytest.raises(Refusal) as caught:
        position_codes(axis(3), column([0, 77_777]), exact=True)
    assert caught.value.code == "SNAPSHOT_OUT_OF_DOMAIN"
    assert "77777" not in caught.value.text("en") + caught.value.text("zh")
    assert position_codes(axis(3), column([0, 77_777], [True, False]), exact=True).tolist() == [0, 3]
    for value in (20_000_001, -1):
        with pytest.raises(Refusal) as caught:
            encoded(Layout((amount(INCOME),)), [{"income": value}], exact=True)
        assert caught.value.code == "SNAPSHOT_OUT_OF_DOMAIN"
        assert str(value) not in caught.value.text("en")


def test_an_amount_outside_its_range_is_clipped_in_dp_mode() -> None:
    of = Amount("x", 0, 5, "1")
    found = steps(of, column([-9, 0, 2, 5, 6, 2**62]))
    assert found.centred.tolist() == [-2, -2, 0, 3, 3, 3]
    assert found.half_width == 3


def test_coarse_steps_round_halves_to_even() -> None:
    of = Amount("x", -8, 8, "1", shift=2)
    assert steps(of, column([-8, -6, -2, 1, 2, 3, 6, 8])).centred.tolist() == [-2, -2, 0, 0, 0, 1, 2, 2]


def test_amounts_are_rounded_holder_by_holder_to_the_unit_they_are_carried_in() -> None:
    """Halves to even; two holders of half a unit each add up to none, and one of a whole unit to one."""
    block = replace(amount(INCOME), shift=4)
    for incomes, cell in (((8,), 0), ((24,), 2), ((8, 8), 0), ((16,), 1), ((-8,), 0), ((-24, 16), -1), ((7, 9), 1)):
        crowd = [{"income": INCOME.centre + each} for each in incomes]
        assert encoded(Layout((block,)), crowd).tolist() == [cell]
    assert (block.step, block.l1, block.l2sq) == (625_000, 625_000, 625_000**2)
    assert replace(amount(Amount("x", -12, 12, "1")), shift=3).step == 2
    coarse = replace(squared(INCOME), shift=10)
    fine = encoded(Layout((squared(INCOME),)), [{"income": 5}])
    assert encoded(Layout((coarse,)), [{"income": 5}]).tolist() == [round(fine[0] / 1024)]


def test_exact_squares_travel_in_two_limbs_that_add_up_to_them() -> None:
    blocks = tuple(Domain(SMALL, exact=True).squares(INCOME).values())
    assert [block.name for block in blocks] == [
        "(x-c)^2 low[income 0..20000000] by ()",
        "(x-c)^2 high[income 0..20000000] by ()",
    ]
    for incomes in ([0], [10_000_000], [3, 19_999_999, 7_777_777], [20_000_000] * 9):
        low, high = encoded(Layout(blocks), [{"income": each} for each in incomes], exact=True).tolist()
        assert low + (high << 24) == sum((each - INCOME.centre) ** 2 for each in incomes)
        assert 0 <= low <= blocks[0].high * len(incomes)
        assert 0 <= high <= blocks[1].high * len(incomes)
    (years,) = Domain(SMALL, exact=True).squares(BIRTH_YEAR).values()
    assert (years.limb, years.step) == (Limb.LOW, 1600), "small squares have no upper limb"


def test_a_number_stands_in_its_bin_and_clipped_ones_are_told_apart() -> None:
    bins = DOMAIN.bins("income", [0, 18_000, 18_100])
    assert bins.positions == ("[0, 180)", "[180, 181)", "[181, 200000]", "_missing")
    given = column([-5, 0, 17_999, 18_000, 18_099, 18_100, 20_000_000, 10**9, 0], [True] * 8 + [False])
    assert position_codes(bins, given, exact=False).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3]
    assert DOMAIN.bins("birth_year", [1931, 1932, 2010]).positions == (
        "1930",
        "1931",
        "[1932, 2010)",
        "2010",
        "_missing",
    )
    clip = DOMAIN.clipped(Amount("income", 1_000, 2_000, "fen", per=100))
    assert clip.positions == ("low", "inside", "high", "_missing")
    assert position_codes(clip, column([999, 1_000, 2_000, 2_001]), exact=False).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("codes", [3, 253, 254, 255, 256, 65_533, 65_534, 65_535, 65_536])
def test_positions_are_right_on_both_sides_of_every_integer_width(codes: int) -> None:
    """255 known codes and `_missing` are 256 positions: the last that one byte can hold, and a size that it cannot."""
    given = column([0, codes - 1, codes, 1])
    at = position_codes(axis(codes), given, exact=False)
    assert at.tolist() == [0, codes - 1, codes, 1]
    alone = joint([at], [codes + 1], 4)
    assert (alone.codes.tolist(), alone.cells) == (at.tolist(), codes + 1)
    crossed = joint([at, at], [codes + 1, codes + 1], 4)
    assert crossed.codes.tolist() == [each * (codes + 1) + each for each in at.tolist()]


def test_a_table_beyond_64_bits_is_no_table() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        joint([np.zeros(1, dtype=np.int64)] * 4, [65_537] * 4, 1)


def test_nobody_is_a_vector_of_zeros() -> None:
    layout = Layout((count([DOMAIN.axis("sex")]), amount(INCOME), yes_no(WORRIES)))
    assert encoded(layout, []).tolist() == [0] * 8
    assert encoded(layout, [{}]).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


def test_a_set_is_plus_one_for_each_code_named_and_minus_one_for_each_other() -> None:
    layout = Layout((yes_no(WORRIES),))
    assert encoded(layout, [{"worries": 0b101}]).tolist() == [1, -1, 1]
    assert encoded(layout, [{"worries": 0}, {"worries": 0b111}, {"worries": 0b001}, {}]).tolist() == [1, -1, -1]
