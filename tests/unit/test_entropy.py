"""Where randomness comes from: published vectors, exact sizes, streams that never meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.entropy import aes_stream, exactly, operating_system, public_stream, seeded
from protocols.errors import Refusal


def test_the_stream_is_aes_256_in_counter_mode_from_zero() -> None:
    """Blocks 0, 1 and 2 under the zero key: H, the tag of case 13 and the ciphertext of case 14 (McGrew, Viega: GCM, appendix B)."""
    stream = aes_stream(bytes(32))
    assert stream(16).hex() == "dc95c078a2408989ad48a21492842087"
    assert stream(16).hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    assert stream(16).hex() == "cea7403d4d606b6e074ec5d3baf39d18"


@given(st.lists(st.integers(0, 100), max_size=8))
def test_a_stream_read_in_pieces_is_the_stream(sizes: list[int]) -> None:
    pieces, whole = aes_stream(bytes(range(32))), aes_stream(bytes(range(32)))
    assert b"".join(pieces(size) for size in sizes) == whole(sum(sizes))


def test_seeds_repeat_and_names_do_not_run_into_each_other() -> None:
    assert seeded("city", 7)(32) == seeded("city", 7)(32)
    names: list[tuple[str | int, ...]] = [
        (),
        ("",),
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("abc", ""),
        ("c", "ab"),
        (7,),
        (70,),
        ("城",),
    ]
    assert len({seeded(*each)(32) for each in names}) == len(names)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_two_lists_of_names_share_a_stream_only_if_they_are_one_list(first: list[str], second: list[str]) -> None:
    assert (seeded(*first)(16) == seeded(*second)(16)) == (first == second)


def test_public_draws_can_be_repeated_by_anyone() -> None:
    """Frozen: a change here changes every bootstrap that was ever published."""
    first = public_stream("sha256:00", "tgi", "bootstrap").integers(0, 1 << 30, size=3).tolist()
    assert first == public_stream("sha256:00", "tgi", "bootstrap").integers(0, 1 << 30, size=3).tolist()
    assert first == [14334144, 534942237, 931813579]
    others = [("sha256:01", "tgi", "bootstrap"), ("sha256:00", "tgi2", "bootstrap"), ("sha256:00", "tgi", "ranks")]
    for each in others:
        assert public_stream(*each).integers(0, 1 << 30, size=3).tolist() != first


def test_a_source_that_gives_the_wrong_number_of_bytes_is_refused() -> None:
    assert exactly(seeded("x"), 0) == b""
    assert len(exactly(operating_system, 32)) == 32
    for given_bytes in (b"", bytes(31), bytes(33)):
        with pytest.raises(Refusal) as caught:
            exactly(lambda _, drawn=given_bytes: drawn, 32)  # type: ignore[misc]  # a source is called with a size alone
        assert caught.value.code == "ENTROPY_SHORT"
        assert caught.value.exit_code == 3
