"""Encoding by example: values outside the public domain, the limits of small integers, cohorts of nobody."""

from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Column
from protocols.errors import Refusal
from protocols.statistics.layout import Amount, Axis, Layout, amount, count, yes_no
from protocols.statistics.measures import joint, position_codes, steps
from tests.laws.generated import DOMAIN, INCOME, WORRIES, encoded


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
