"""T13 `difference-cohorts`: two cohorts that differ by one holder, trackers of three, each summed; and a bit guessed in mode dp."""

from protocols.entropy import seeded
from simulations.attacks.difference_cohorts import STRICT, total
from simulations.attacks.parties import World
from simulations.attacks.towns import towns
from tests.disclosure.attacked import tried, words

NAME = "difference-cohorts"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_the_city_says_one_word_and_no_number() -> None:
    assert words(NAME) == {"disclosure"}


def test_what_leaves_enough_holders_apart_is_answered() -> None:
    """The nearest allowed request: all holders, then the men, of whom and of others every city has 5 at least."""
    codes = set[str]()
    with towns(World(), seeded("allowed"), 3, rows=40, policy=STRICT) as place:
        assert total(place, "all", "", codes) is not None
        assert total(place, "men", "{variable: sex, is: male}", codes) is not None
        assert total(place, "men-again", "{not: {variable: sex, is: female}}", codes) is not None
    assert not codes
