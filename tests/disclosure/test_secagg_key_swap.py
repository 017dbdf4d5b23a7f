"""T03 `secagg-key-swap`: other keys under a city's name, invented cities, an old roster."""

import pytest

from protocols.entropy import seeded
from simulations.attacks import secagg_key_swap
from simulations.attacks.parties import World
from tests.disclosure.attacked import tried, words

NAME = "secagg-key-swap"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


@pytest.mark.parametrize("guard", range(len(secagg_key_swap.WEAKENED)))
def test_with_one_guard_taken_out_exactly_the_way_that_it_bars_succeeds(guard: int) -> None:
    world = secagg_key_swap.WEAKENED[guard](World())
    found = [way(world, seeded("swap", guard)).held for way in secagg_key_swap.WAYS]
    assert found == [at != guard for at in range(len(secagg_key_swap.WAYS))]


def test_it_is_refused_in_these_words() -> None:
    assert words(NAME) == {"bad_signature", "foreign_advert", "roster", "roster_root"}
