"""T27 `dominance`: what one holder has, computed from exact sums of amounts."""

from tests.disclosure.attacked import tried

NAME = "dominance"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]
