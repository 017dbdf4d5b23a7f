"""T01 `secagg-two-faces`: the coordinator asks a city's neighbours for both of its roles, survivor and lost."""

import pytest

from protocols.entropy import seeded
from simulations.attacks import flower_two_faces, secagg_two_faces
from simulations.attacks.parties import World
from tests.disclosure.attacked import tried

NAME = "secagg-two-faces"


@pytest.mark.parametrize("exact", [False, True])
def test_a_city_that_signed_one_set_never_gives_the_other_role(exact: bool) -> None:
    found = secagg_two_faces.in_turn(World(), seeded("faces"), exact=exact)
    assert found.held
    assert found.codes == {"out_of_order"}


def test_the_lists_of_the_coordinator_do_not_choose_the_role() -> None:
    """It asks half of the cities with the target in, half with the target out: neither half reaches t, and no share leaves."""
    found = secagg_two_faces.by_halves(World(), seeded("faces"))
    assert found.held
    assert found.codes == {"split_survivors", "too_few"}


def test_a_city_that_forgets_what_it_signed_is_read() -> None:
    assert tried(NAME).good, [each.observed("en") for each in tried(NAME).controls]


def test_the_same_attack_reads_a_client_of_flower_s_secagg_plus() -> None:
    """Both lists with the target in them: every cell, up to the quantisation."""
    outcome = flower_two_faces.run(seeded("flower"))
    assert outcome.measured == flower_two_faces.CELLS
