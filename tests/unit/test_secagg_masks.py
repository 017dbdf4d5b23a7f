"""The hot loop: the same sum whatever the chunk, NIST's keystream, and masks that cancel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ring
from protocols.entropy import seeded
from protocols.secagg.masks import CHUNK, add_masks, pair_sign
from tests.oracles import secagg_plain

KEYS = [seeded("mask", n)(32) for n in range(4)]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("cells", [1, 7, 16_383, 16_384, 16_385])
def test_chunks_of_any_size_give_the_plain_sum(bits: int, cells: int) -> None:
    masks = [(KEYS[0], 1), (KEYS[1], -1), (KEYS[2], -1)]
    start = ring.residues(np.arange(cells, dtype=np.int64) - 3, bits)
    drawn = [secagg_plain.words(key, cells, bits) for key, _ in masks]
    columns = zip(start.tolist(), *drawn, strict=True)
    expected = [(x + a - b - c) % 2**bits for x, a, b, c in columns]
    for chunk in (16, 4 << 10, CHUNK, 8 << 20):
        if chunk == 16 and cells > 7:
            continue  # one block at a time: the short vectors show it
        total = start.copy()
        add_masks(total, masks, chunk)
        assert total.tolist() == expected


def test_the_keystream_is_that_of_nist_sp_800_38a_f_5_5() -> None:
    """Published for another first counter: counter mode is compared there, and our loop from counter 0."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    first = int.from_bytes(bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = bytes.fromhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5")
    assert bytes(a ^ b for a, b in zip(plain, secagg_plain.aes_ctr(key, 32, first), strict=True)) == sealed
    words = ring.zeros(64, 64)
    add_masks(words, [(key, 1)])
    assert words.tobytes() == secagg_plain.aes_ctr(key, 512)


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([1, -1])), max_size=6), st.sampled_from([32, 64]))
def test_a_mask_and_its_opposite_cancel(masks: list[tuple[bytes, int]], bits: int) -> None:
    start = ring.residues(np.arange(50, dtype=np.int64), bits)
    total = start.copy()
    add_masks(total, masks)
    add_masks(total, [(key, -sign) for key, sign in masks])
    assert np.array_equal(total, start)


def test_the_two_ends_of_a_pair_use_opposite_signs() -> None:
    for one, other in ((1, 2), (2, 1), (1, 2**32 - 1)):
        assert pair_sign(one, other) == -pair_sign(other, one)


def test_no_masks_and_no_cells_are_nothing() -> None:
    total = ring.zeros(0, 32)
    add_masks(total, [(KEYS[0], 1)])
    assert total.size == 0
    total = ring.zeros(3, 64)
    add_masks(total, [])
    assert total.tolist() == [0, 0, 0]
