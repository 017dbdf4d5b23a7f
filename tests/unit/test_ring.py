"""The ring at its limits, against Python integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ring
from protocols.errors import Refusal


@pytest.mark.parametrize("n", [3, 6, 341, 512])
@pytest.mark.parametrize("bits", [32, 64])
def test_the_ring_changes_exactly_where_a_sum_no_longer_fits(n: int, bits: int) -> None:
    most = 2 ** (bits - 1) - 1
    bound = most // n
    for support in (0, 1, bound // 2):
        assert ring.width(n, bound - support, support) == bits
        above = bound + 1 - support
        if bits == 32:
            assert ring.width(n, above, support) == 64
        else:
            with pytest.raises(Refusal, match="64 bits"):
                ring.width(n, above, support)


def test_the_choice_is_made_in_whole_numbers_of_any_size() -> None:
    with pytest.raises(Refusal):
        ring.width(3, 2**64, 0)  # would be 0 if it wrapped
    with pytest.raises(Refusal):
        ring.width(512, 2**62, 2**62)


@given(
    st.sampled_from([32, 64]).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            st.integers(3, 12).flatmap(
                lambda n: st.lists(
                    st.lists(
                        st.integers(-(2 ** (bits - 1) // n) + 1, 2 ** (bits - 1) // n - 1), min_size=4, max_size=4
                    ),
                    min_size=n,
                    max_size=n,
                )
            ),
        )
    )
)
def test_a_sum_modulo_the_ring_lifts_to_the_sum(case: tuple[int, list[list[int]]]) -> None:
    bits, rows = case
    total = ring.zeros(4, bits)
    for row in rows:
        total = total + ring.residues(np.array(row, dtype=np.int64), bits)
    assert ring.centred(total).tolist() == [sum(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("n", [3, 6, 341])
@pytest.mark.parametrize("sign", [1, -1])
def test_every_city_at_its_bound_does_not_wrap(bits: int, n: int, sign: int) -> None:
    bound = (2 ** (bits - 1) - 1) // n
    assert ring.width(n, bound, 0) == bits
    total = ring.zeros(2, bits)
    for _ in range(n):
        total = total + ring.residues(np.array([sign * bound, -1], dtype=np.int64), bits)
    assert ring.centred(total).tolist() == [sign * bound * n, -n]


def test_the_least_int64_is_beyond_every_bound() -> None:
    """abs() of it is itself: a comparison by abs would let it pass."""
    least = np.array([-(2**63), 0], dtype=np.int64)
    assert int(np.abs(least)[0]) < 0
    assert not ring.within(least, 2**63 - 1)
    assert not ring.within(least, 5)


@pytest.mark.parametrize("most", [0, 1, 2**31, 2**63 - 1])
def test_a_cell_at_its_bound_is_within_and_one_beyond_is_not(most: int) -> None:
    assert ring.within(np.array([most, -most], dtype=np.int64), most)
    if most < 2**63 - 1:
        assert not ring.within(np.array([most + 1], dtype=np.int64), most)
        assert not ring.within(np.array([-most - 1], dtype=np.int64), most)


def test_a_vector_without_cells_is_within_any_bound() -> None:
    assert ring.within(np.array([], dtype=np.int64), 0)


@pytest.mark.parametrize("bits", [32, 64])
def test_residues_are_little_endian_words_and_leave_their_vector_alone(bits: int) -> None:
    vector = np.array([-1, 1], dtype=np.int64)
    words = ring.residues(vector, bits)
    assert words.tobytes() == b"\xff" * (bits // 8) + b"\x01" + bytes(bits // 8 - 1)
    words += words
    assert vector.tolist() == [-1, 1]
