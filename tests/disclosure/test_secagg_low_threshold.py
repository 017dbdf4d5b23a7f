"""T05 `secagg-low-threshold`: plans under which few would be enough, or one city would stand alone."""

from dataclasses import replace
from typing import Final

import pytest

from protocols.entropy import seeded
from protocols.secagg import member
from simulations.attacks import secagg_low_threshold
from simulations.attacks.parties import Sitting, World, again, seated
from tests.disclosure.attacked import tried, words

NAME = "secagg-low-threshold"
CODES: Final = {
    "one is enough": "threshold",
    "two are enough": "threshold",
    "half is enough": "threshold",
    "t does not follow from d": "threshold",
    "two cities": "cohort_size",
    "one city": "cohort_size",
    "all but one collude": "colluders",
    "more colluders than cities": "colluders",
    "exact, and one may be lost": "threshold",
    "fewer than the study's least": "threshold",
}


def sitting(**fields: object) -> Sitting:
    entropy = seeded("low threshold")
    return again(seated(World(), entropy), entropy, **fields)


@pytest.mark.parametrize("name", secagg_low_threshold.PLANS)
def test_a_plan_with_too_low_a_threshold_gets_no_key_from_any_city(name: str) -> None:
    fields = secagg_low_threshold.PLANS[name]
    table = sitting(**fields)
    found = secagg_low_threshold.read(World(), table, fields)
    assert found.held
    assert found.codes == {CODES[name]}
    assert all(isinstance(seat.state, member.Refused) for seat in table.seats.values())


@pytest.mark.parametrize(
    ("policy", "joins"),
    [({"least": 5, "least_colluders": 1}, True), ({"least": 6}, False), ({"least_colluders": 2}, False)],
)
def test_a_city_holds_its_own_minimums_against_a_plan_that_is_sound_otherwise(
    policy: dict[str, int], joins: bool
) -> None:
    table = sitting()
    seat = table.seats[1]
    seat.terms = replace(seat.terms, **policy)  # type: ignore[arg-type]  # policy minimums by name
    seat.on(dict(table.start())[1])
    assert isinstance(seat.state, member.Advertised) is joins


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    assert tried(NAME).good
    assert words(NAME) == {"threshold", "colluders", "cohort_size"}
