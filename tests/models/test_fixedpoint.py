"""Real numbers as integers of the ring: exact up to one rounding per vector, and never wrapped."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.models.fixedpoint import HEADER, Block, TooCoarse, block, decode, encode, length
from tests.models.federation import secure_sum

REALS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.lists(REALS, min_size=3, max_size=3), min_size=1, max_size=300), st.booleans())
def test_a_decoded_sum_is_the_sum_within_half_a_unit_per_rounding(cities: list[list[float]], wide: bool) -> None:
    """In one limb and in two, for up to 300 cities; the exact sum in Python's fractions."""
    largest = 1e6 if not wide else 1e10
    blocks = (block("x", 3, largest, len(cities), 1), Block("n", 1))
    vectors = [encode(blocks, {"x": np.array(row), "n": np.array([2.0])}, len(cities)) for row in cities]
    total = decode(blocks, secure_sum(vectors))
    assert total.parts == len(cities)
    assert total.overflow == 0
    assert total.number("n") == 2 * len(cities)
    for place in range(3):
        exact = sum((Fraction(row[place]) for row in cities), Fraction(0))
        float64 = abs(exact) * Fraction(2) ** -52  # of the decoded number itself
        off = abs(Fraction(float(total["x"][place])) - exact)
        assert off <= len(cities) * Fraction(blocks[0].rounding) + float64


@pytest.mark.parametrize("cities", [1, 3, 6, 300])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_cell_is_exact_and_one_more_is_flagged_and_not_wrapped(cities: int, sign: int) -> None:
    blocks = (Block("n", 1),)
    limit = 2**62 / cities
    below = float(np.floor(np.nextafter(limit, 0)))
    largest = encode(blocks, {"n": np.array([sign * below])}, cities)
    assert largest.tolist() == [1, 0, sign * int(below)]
    assert decode(blocks, secure_sum([largest] * cities)).number("n") == sign * float(int(below) * cities)
    assert encode(blocks, {"n": np.array([sign * 2.0**62 / cities])}, cities).tolist() == [0, 1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_or_too_large_sends_zeros_and_says_so(value: float) -> None:
    blocks = (block("x", 2, 1.0, 6, 1000), Block("n", 1))
    vector = encode(blocks, {"x": np.array([1.0, value]), "n": np.array([5.0])}, 6)
    assert vector.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("largest", "digits", "limbs"),
    [(1.0, 40, 1), (2.0**12, 40, 1), (2.0**20, 32, 1), (2.0**21, 36, 2), (2.0**47, 36, 2), (2.0**55, 28, 2)],
)
def test_digits_follow_from_public_ranges_and_a_second_limb_comes_by_itself(
    largest: float, digits: int, limbs: int
) -> None:
    found = block("x", 4, largest, 2, 512)  # k n = 2^10
    assert (found.digits, found.limbs) == (digits, limbs)
    assert length((found,)) == HEADER + 4 * limbs


def test_fewer_than_28_digits_are_refused() -> None:
    with pytest.raises(TooCoarse, match="x"):
        block("x", 4, 2.0**56, 2, 512)
