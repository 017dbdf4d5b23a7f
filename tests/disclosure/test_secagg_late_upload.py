"""T06 `secagg-late-upload`: a city is declared lost, its neighbours open its pair masks, then its vector arrives."""

from typing import Final

import numpy as np
import pytest
from scipy.stats import chisquare

from protocols import messages, ring
from protocols.secagg import keys, member
from protocols.secagg.masks import add_masks
from tests.conversations.table import Table
from tests.disclosure.attacked import tried
from tests.disclosure.secagg_attack import Coordinator, answer, masked_table

IDS: Final = (1, 2, 3, 4, 5, 6)
TARGET: Final = 3
CELLS: Final = 20_000


def declared_lost(table: Table, rctx: bytes) -> Coordinator:
    """Everyone but the target confirms and reveals a set without it."""
    coordinator, u3 = Coordinator(table), tuple(city for city in IDS if city != TARGET)
    states, confirms = {}, []
    for city in u3:
        survivors = coordinator.says(city, messages.Survivors(rctx, u3))
        states[city], sent = answer(table.cities[city], table.cities[city].state, survivors)
        confirms.append(sent[0][1])
    for city in u3:
        content = coordinator.says(city, messages.Confirms(rctx, tuple(confirms)))
        coordinator.takes(city, answer(table.cities[city], states[city], content)[1])
    return coordinator


def evenness(vector: ring.Vector, bits: int) -> float:
    """p of the hypothesis that the bytes of the words are uniform."""
    counts = np.bincount(np.frombuffer(ring.residues(vector, bits).tobytes(), np.uint8), minlength=256)
    return float(chisquare(counts).pvalue)


@pytest.mark.parametrize("bits", [32, 64])
def test_the_late_vector_stays_uniform_and_its_self_mask_is_never_opened(bits: int) -> None:
    table, ys, adverts, rctx = masked_table(IDS, lengths=CELLS, bits=bits)
    coordinator = declared_lost(table, rctx)
    assert coordinator.opened(coordinator.s, TARGET)  # its pair masks are open
    assert TARGET not in coordinator.b  # not one share of its self mask
    left = coordinator.unmask(TARGET, ys[TARGET], rctx, IDS, adverts)
    assert evenness(left, bits) > 1e-6
    assert np.mean(left == table.cities[TARGET].vectors[0]) < 0.001


def test_nobody_opens_the_self_mask_afterwards() -> None:
    """The neighbours have left the state in which they could; the target itself refuses a set without it."""
    table, _, _, rctx = masked_table(IDS)
    coordinator = declared_lost(table, rctx)
    seat = table.cities[TARGET]
    without = coordinator.says(TARGET, messages.Survivors(rctx, tuple(city for city in IDS if city != TARGET)))
    state, _ = answer(seat, seat.state, without)
    assert isinstance(state, member.Refused)
    assert state.fault.code == "SECAGG_BAD_U3"


def test_the_guard_taken_out_the_late_vector_is_read() -> None:
    """Without the self mask the pair masks are all there is, and these are open."""
    table, ys, adverts, rctx = masked_table(IDS)
    seat = table.cities[TARGET]
    asked = replace_self_mask(table, ys, rctx)
    coordinator = declared_lost(table, rctx)
    left = coordinator.unmask(TARGET, asked, rctx, IDS, adverts)
    assert np.array_equal(left, seat.vectors[0])


def replace_self_mask(table: Table, ys: dict[int, bytes], rctx: bytes) -> bytes:
    """The target's y as a city without self mask would have sent it. b is dealt to the neighbours, so the test can put it together."""
    helper = Coordinator(table)
    for city in IDS:
        state = table.cities[city].state
        assert isinstance(state, member.Masked)
        helper.b.setdefault(TARGET, {})[city] = state.room.shares[0][TARGET][0]
    words = np.frombuffer(ys[TARGET], ring.zeros(0, table.plan.ring).dtype).copy()
    add_masks(words, [(keys.self_key(helper.opened(helper.b, TARGET), rctx, TARGET), -1)])
    return words.tobytes()


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    assert tried("secagg-late-upload").good
