"""Laws of the secure aggregation: whatever the network does, the right sum or none; what leaves a city is uniform."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from protocols import messages, ring
from protocols.entropy import aes_stream
from protocols.messages import Kind
from protocols.secagg import collector, keys, member
from protocols.secagg.masks import add_masks
from tests.conversations.bad import flipped
from tests.conversations.table import Table, lost_at, nobody, table_of, vector_of
from tests.conversations.test_dropouts import no_share_leaves_early

IDS: Final = (1, 2, 3, 4)


@dataclass
class Network:
    """Two conversations of the same cities over one network that reorders, doubles, delays and misdelivers."""

    tables: tuple[Table, Table]
    pool: list[tuple[int, int, bytes]] = field(default_factory=list)  # table, receiver, content
    confirmed: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)

    @classmethod
    def open(cls, exact: bool) -> "Network":
        first = table_of(IDS, exact=exact)
        second = table_of(IDS, exact=exact, seed=b"second", conversation=bytes(range(16, 32)))
        network = cls((first, second))
        for number, table in enumerate(network.tables):
            network.send(number, table.start())
        return network

    def send(self, number: int, out: messages.Outgoing, sender: int = 0) -> None:
        for receiver, content in out:
            self.tables[number].wire.append((sender, receiver, content))
            self.pool.append((number, receiver, content))
            if messages.peek(content).kind is Kind.CONFIRM:
                digest = messages.Confirm.decode(messages.body_of(content)).u3_digest
                self.confirmed.setdefault((number, sender), set()).add(digest)

    def deliver(self, at: int, *, to_table: int | None = None, to_city: int | None = None) -> None:
        """A message of the pool reaches its receiver, or another party or the other conversation's state."""
        number, receiver, content = self.pool[at % len(self.pool)]
        number = number if to_table is None else to_table
        table = self.tables[number]
        receiver = receiver if to_city is None else to_city
        if receiver == 0:
            self.send(number, table.reply(content))
        else:
            seat, header = table.cities[receiver], messages.peek(content)
            own = header.kind is Kind.OPEN and header.conversation == table.plan.conversation.hex()
            if own or not isinstance(seat.state, member.Idle):  # a gate opens one state per conversation
                self.send(number, seat.on(content, table.now), receiver)

    def wait_over(self, number: int) -> None:
        self.send(number, self.tables[number].wait_over())


Step = tuple[str, int, int]
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "any", "cross", "stray", "wait"]), st.integers(0, 2**16), st.integers(0, 4)
    ),
    max_size=100,
)


def network_law(exact: bool, steps: list[Step]) -> None:
    """Play the schedule, then carry what is left in order until both conversations have ended."""
    network, done, hasty = Network.open(exact), 0, False
    for action, number, party in steps:
        match action:
            case "next" if done < len(network.pool):
                network.deliver(done)
                done += 1
            case "cross":
                network.deliver(number, to_table=number % 2)
            case "stray":
                network.deliver(number, to_city=party)
            case "wait" if number % 16 == 0:
                network.wait_over(party % 2)
                hasty = True
            case _:
                network.deliver(number)
    while done < len(network.pool) or any(isinstance(table.state, collector.Open) for table in network.tables):
        if done < len(network.pool):
            network.deliver(done)
            done += 1
        else:
            network.wait_over(0)
            network.wait_over(1)
    for table in network.tables:
        no_share_leaves_early(table)
        for seat in table.cities.values():
            assert not isinstance(seat.state, member.Refused), seat.state  # nobody was dishonest
        state = table.state
        assert isinstance(state, collector.State)
        assert not state.talk.faults
        if isinstance(state, collector.Summed):
            assert np.array_equal(table.total, table.plain(state.u3))
            assert len(state.u3) >= table.plan.threshold
        assert hasty or (isinstance(state, collector.Summed) and state.u3 == IDS)
    assert all(len(sets) == 1 for sets in network.confirmed.values())  # one U3 per city and conversation


@given(st.booleans(), STEPS)
@settings(max_examples=20)
def test_reordered_doubled_delayed_and_crossed_messages_give_the_right_sum_or_none(
    exact: bool, steps: list[Step]
) -> None:
    network_law(exact, steps)


@pytest.mark.slow  # 2,000 schedules of two conversations, some minutes
@given(st.booleans(), STEPS)
@settings(max_examples=2_000)
def test_the_same_over_many_schedules(exact: bool, steps: list[Step]) -> None:
    network_law(exact, steps)


@given(st.integers(0, 47), st.integers(0, 2**20), st.integers(0, 7))
@settings(max_examples=40)
def test_one_flipped_bit_anywhere_is_a_lost_message_and_never_a_wrong_sum(which: int, where: int, bit: int) -> None:
    """Any bit of any one of the messages of four cities; one drop-out is tolerated."""
    table, carried = table_of(IDS), 0

    def carry(content: bytes) -> bytes:
        nonlocal carried
        carried += 1
        wrong = bytearray(content)
        wrong[where % len(content)] ^= (carried == which + 1) << bit
        return bytes(wrong)

    table.carry = carry
    table.run(nobody)
    assert isinstance(table.state, collector.Summed)
    assert carried > 30
    assert np.array_equal(table.total, table.plain(table.state.u3))
    assert not table.state.talk.faults
    assert not any(isinstance(seat.state, member.Refused) for seat in table.cities.values())


@pytest.mark.parametrize("bits", [32, 64])
def test_what_leaves_a_city_is_uniform_even_for_a_vector_of_zeros(bits: int) -> None:
    """y, and y without its self mask: chi-square over the bytes, and both ends of a pair opposite."""
    cells = 50_000
    table = table_of((1, 2, 3), lengths=cells, bits=bits)
    for seat in table.cities.values():
        seat.vectors[0] = np.zeros(cells, dtype=np.int64)
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.DELIVER:
        out = table.exchange(out, nobody)
    shared = table.cities[1].state
    assert isinstance(shared, member.Shared)
    b = shared.masks[0][0]
    table.exchange(out, nobody)
    masked = messages.Masked.decode(messages.body_of(table.sent(Kind.MASKED, 1)[0]))
    words = np.frombuffer(masked.y, ring.zeros(0, bits).dtype).copy()
    without = words.copy()
    add_masks(without, [(keys.self_key(b, masked.rctx, 1), -1)])
    for drawn in (words, without):
        counts = np.bincount(np.frombuffer(drawn.tobytes(), np.uint8), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
    assert not np.array_equal(words, without)


@given(st.integers(0, 2**32), st.sampled_from([32, 64]), st.integers(1, 60), st.booleans())
@settings(max_examples=12)
def test_the_sum_is_the_plain_sum_of_the_survivors_for_any_vectors(
    seed: int, bits: int, cells: int, lose: bool
) -> None:
    table = table_of(IDS, lengths=cells, bits=bits)
    most = table.plan.bound + table.plan.support
    stream = aes_stream(seed.to_bytes(32))
    for seat in table.cities.values():
        drawn = np.frombuffer(stream(8 * cells), "<u8")
        seat.vectors[0] = (drawn % np.uint64(2 * most + 1)).astype(np.int64) - most
    table.run(lost_at({"masked": (2,) if lose else ()}))
    assert np.array_equal(table.total, table.plain((1, 3, 4) if lose else IDS))


def test_a_broken_law_is_seen() -> None:
    """The harness above can fail: a coordinator that adds one vector twice gives another sum than the plain one."""
    table = table_of(IDS)
    table.run(nobody)
    wrong: Any = table.total + vector_of(table.plan, 1)
    assert not np.array_equal(wrong, table.plain(IDS))
    assert flipped(b"\0", 0) == b"\1"
