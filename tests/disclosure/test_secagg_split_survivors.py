"""T02 `secagg-split-survivors`: different survivors to different cities, with c cities that sign whatever is wanted."""

from dataclasses import replace
from typing import Final

import pytest

from protocols.entropy import seeded
from protocols.secagg import member
from simulations.attacks import secagg_split_survivors
from simulations.attacks.doubles import believing
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import World
from tests.disclosure.attacked import tried

SMALL: Final = range(3, 7)


def played(world: World, sizes: range = SMALL) -> Outcome:
    return secagg_split_survivors.run(world, seeded("split"), sizes)


def test_at_most_one_set_of_survivors_is_ever_opened() -> None:
    """Three to six cities here; `hpfed-simulate attack` plays every n to 12. The attack itself sees to it that one set does open."""
    found = played(World())
    assert found.held
    assert found.codes == {"too_few", "bad_u3"}


def test_the_signatures_alone_hold_where_the_length_of_the_list_is_not_looked_at() -> None:
    """S2 off, F3 on: a list that is too short is signed, and nobody reveals for it."""
    found = played(replace(World(), step=believing(2, member.Masked)))
    assert found.held
    assert found.codes == {"too_few"}


def test_without_the_signatures_both_halves_open_and_the_list_holds_only_where_no_city_may_be_lost() -> None:
    """F3 off: lists of n and of n - 1 cities are both long enough, unless t = n."""
    weak = secagg_split_survivors.WEAKENED[0](World())
    assert not played(weak).held
    assert played(weak, range(3, 4)).held  # n = 3: t = 3, and S2 alone refuses the list of two


@pytest.mark.slow  # 74 plans of up to twelve cities, twice: a quarter of a minute
def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    assert tried("secagg-split-survivors").good
