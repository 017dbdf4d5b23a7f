"""T04 `secagg-replay`: every message of one conversation, direct or relayed, shown in every other place and time."""

from typing import Final

import numpy as np

from protocols import ring
from protocols.entropy import seeded
from protocols.messages import Kind
from protocols.secagg import collector, keys
from protocols.secagg.masks import add_masks
from simulations.attacks import secagg_replay
from simulations.attacks.parties import World, again, seated
from tests.disclosure.attacked import tried, words

NAME: Final = "secagg-replay"


def test_no_message_out_of_its_place_moves_anyone_or_gets_a_new_answer() -> None:
    """Of another conversation, run, study, set of cities, city, round or direction; and relayed: an envelope of elsewhere among the right
    ones. Also an Open that was answered once.
    """
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")
    assert words(NAME) == {"bad_signature", "replay"}


def test_cities_that_do_not_look_at_where_a_header_belongs_are_moved() -> None:
    assert tried(NAME).broken


def test_every_kind_of_message_is_shown_at_every_moment() -> None:
    """What the attack is made of: two rounds of every exchange, and what was relayed inside."""
    entropy = seeded("replay")
    table = seated(World(), entropy, 3, cells=2, rounds=secagg_replay.ROUNDS)
    at = [secagg_replay.opens_with(sent) for sent in secagg_replay.moments(table)]
    first = [Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT]
    assert at == [*first, Kind.ASK, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT]
    heard = secagg_replay.everything(table)
    assert len(heard) == len(table.wire) + 3 * 3  # one Adverts and two Confirms relay three envelopes each


def test_the_guard_behind_it_two_vectors_under_one_context_would_show_their_difference() -> None:
    """Were keys not derived from rctx, a question asked twice would be masked twice by the same stream, and its change would be plain."""
    entropy = seeded("rctx")
    one = seated(World(), entropy, 3)
    other, secret = again(one, entropy), b"s" * 32
    for bound in (True, False):
        masked, inputs = list[ring.Words](), list[ring.Vector]()
        for table in (one, other):
            if table.state is None:
                table.finish(table.start())
            assert isinstance(table.state, collector.Summed)
            vector = table.tables[1] // (1 + len(inputs))
            words_ = ring.residues(vector, table.plan.ring)
            add_masks(words_, [(keys.self_key(secret, table.state.turn.rctx if bound else bytes(32), 1), 1)])
            masked.append(words_)
            inputs.append(vector)
        shown = ring.centred(masked[0] - masked[1])
        assert np.array_equal(shown, inputs[0] - inputs[1]) is not bound
