"""T55 `slow-city`: a city stalls or floods."""

from protocols.entropy import seeded
from protocols.secagg import collector
from simulations.attacks import slow_city
from simulations.attacks.parties import World
from tests.disclosure.attacked import tried

NAME = "slow-city"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_the_wait_of_a_step_ends_it_and_no_message_of_the_flood_is_kept() -> None:
    table = slow_city.flooded(World(), seeded("flood"))
    assert isinstance(table.state, collector.Summed)
    assert table.state.u3 == table.ids
    assert not table.state.talk.faults
