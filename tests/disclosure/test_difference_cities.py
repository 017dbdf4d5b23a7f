"""T15 `difference-cities`: exact sums over sets of cities that differ by one."""

import pytest

from protocols.entropy import seeded
from simulations.attacks import difference_cities
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import World
from tests.disclosure.attacked import SEED

HELD = "retry"  # by a second guard: inside one study the set of cities is the first one confirmed


@pytest.fixture(scope="module", params=["product", "control"])
def ways(request: pytest.FixtureRequest) -> tuple[bool, dict[str, Outcome]]:
    (weaken,) = difference_cities.WEAKENED
    weak = request.param == "control"
    return weak, difference_cities.ways(weaken(World()) if weak else World(), seeded("ways", SEED))


def test_no_way_gives_a_city_s_table_unless_its_ledger_forgets_the_sets_of_before(
    ways: tuple[bool, dict[str, Outcome]],
) -> None:
    """Two studies, kinds and snapshots; sets 1-7, 1-4, 4-7; two Opens at once; a retry with one city fewer."""
    weak, found = ways
    assert {name: each.held for name, each in found.items()} == {name: not weak or name == HELD for name in found}
    assert weak or all(each.codes == {"cohort_difference"} for each in found.values())


def test_one_city_cut_off_midway_signs_nothing() -> None:
    found = difference_cities.cut_off(World(), seeded("cut off"))
    assert found.held
    assert found.codes == {"bad_u3"}
