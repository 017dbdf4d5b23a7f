"""T07 `secagg-reused-round`: keys of one round used in another."""

from protocols.entropy import seeded
from simulations.attacks import secagg_reused_round
from simulations.attacks.parties import World
from tests.disclosure.attacked import tried, words

NAME = "secagg-reused-round"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_each_guard_bars_a_way_of_its_own() -> None:
    """A city that masks a round again; seeds that serve two rounds."""
    ways = (secagg_reused_round.asked_again, secagg_reused_round.next_round)
    for guard, weaken in enumerate(secagg_reused_round.WEAKENED):
        held = [way(weaken(World()), seeded("reused", guard)).held for way in ways]
        assert held == [at != guard for at in range(2)]


def test_it_is_refused_in_these_words() -> None:
    assert words(NAME) >= {"round_used"}
