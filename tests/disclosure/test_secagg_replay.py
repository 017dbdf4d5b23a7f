"""T04 `secagg-replay`: every message of one conversation, direct or relayed, shown in every other place and time."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np
import pytest

from protocols import messages, ring
from protocols.entropy import seeded
from protocols.errors import Refusal
from protocols.messages import Kind
from protocols.secagg import collector, keys, member
from protocols.secagg.masks import add_masks
from simulations.attacks import secagg_replay
from simulations.attacks.parties import World
from tests.conversations.table import NOW, Table, nobody, table_of
from tests.disclosure.secagg_attack import answer

IDS: Final = (1, 2, 3, 4)
OTHERS: Final[dict[str, dict[str, Any]]] = {
    "the same": {},
    "another conversation": {"conversation": bytes(range(16, 32)), "seed": b"other"},
    "another run": {"run": 2},
    "another study": {"study": b"x" * 32},
    "another set of cities": {"ids": (1, 2, 3)},
}


@cache
def messages_of(name: str) -> tuple[bytes, ...]:
    """Everything that was on the wire of a whole conversation, and what was relayed inside it."""
    table = played(name)
    table.run(nobody)
    assert isinstance(table.state, collector.Summed)
    inside = []
    for content in (*table.sent(Kind.ADVERTS)[:1], *table.sent(Kind.CONFIRMS)[:1]):
        kind: type[Any] = messages.Adverts if messages.peek(content).kind is Kind.ADVERTS else messages.Confirms
        body = kind.decode(messages.body_of(content))
        inside += [*getattr(body, "adverts", ()), *getattr(body, "confirms", ())]
    return tuple(content for _, _, content in table.wire) + tuple(inside)


def played(name: str) -> Table:
    """A table for one of the settings, not yet played."""
    setting = dict(OTHERS[name])
    fields = {key: setting.pop(key) for key in ("run", "study") if key in setting}
    table = table_of(setting.pop("ids", IDS), **setting)
    table.plan = replace(table.plan, **fields)
    for seat in table.cities.values():
        seat.plan = table.plan
        seat.terms = replace(seat.terms, approved=table.plan)
    return table


def moments() -> Iterator[tuple[str, Table]]:
    """The first table, stopped before every exchange."""
    kinds = (Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT)
    for kind in kinds:
        table = played("the same")
        out = table.start()
        while messages.peek(out[0][1]).kind is not kind:
            out = table.exchange(out, nobody)
        yield kind.value, table


@pytest.mark.parametrize("name", OTHERS)
def test_a_message_out_of_its_place_moves_no_city_and_gets_no_new_answer(name: str) -> None:
    """Of another conversation, run, study, city or direction: dropped. Of its own past: the answer that was given then, or none."""
    for at, table in moments():
        for city, seat in table.cities.items():
            if isinstance(seat.state, member.Idle):
                continue
            known = {reply for sender, _, reply in table.wire if sender == city}
            past = set(seat.requests)
            for content in messages_of(name):
                if name == "the same" and messages.peek(content).to == city and content not in past:
                    continue  # its future: the honest next message
                state, sent = answer(seat, seat.state, content)
                assert state is seat.state, (at, messages.peek(content).kind)
                assert not sent or sent[0][1] in known


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "the same"])
def test_a_reply_out_of_its_place_moves_no_coordinator(name: str) -> None:
    for at, table in moments():
        assert table.state is not None
        for content in messages_of(name):
            state, sent = collector.step(table.state, content, table.stamp(), table.recall)
            assert state is table.state, (at, messages.peek(content).kind)
            assert sent == ()


def test_an_open_again_joins_no_second_time() -> None:
    """The gate says so (P3); without that the same Open would give new keys, under which nothing old opens."""
    table = played("the same")
    (_, opening), *_ = table.start()
    seat = table.cities[1]
    seat.on(opening, NOW)
    again = replace(seat.terms, history=Refusal("SECAGG_REPLAY"))
    state, _ = member.join(again, opening, seat.entropy, seat.stamp(NOW))
    assert isinstance(state, member.Refused)


def test_the_guard_taken_out_two_vectors_show_their_difference() -> None:
    """Were keys not derived from rctx, a question asked twice would be masked twice by the same stream, and its change would be plain."""
    one, other = played("the same"), played("another conversation")
    for table in (one, other):
        table.run(nobody)
    secret = b"s" * 32
    for bound in (True, False):
        masked, inputs = list[ring.Words](), list[ring.Vector]()
        for table in (one, other):
            assert isinstance(table.state, collector.Summed)
            vector = table.cities[1].vectors[0] // (1 + len(inputs))
            words = ring.residues(vector, table.plan.ring)
            add_masks(words, [(keys.self_key(secret, table.state.turn.rctx if bound else bytes(32), 1), 1)])
            masked.append(words)
            inputs.append(vector)
        shown = ring.centred(masked[0] - masked[1])
        assert np.array_equal(shown, inputs[0] - inputs[1]) is not bound


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    """Three cities here; `hpfed-simulate attack` plays four."""
    (weaken,) = secagg_replay.WEAKENED
    assert secagg_replay.run(World(), seeded("replay"), 3).held
    assert not secagg_replay.run(weaken(World()), seeded("replay"), 3).held
