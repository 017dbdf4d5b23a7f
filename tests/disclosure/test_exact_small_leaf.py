"""T25 `exact-small-leaf`: a leaf of an exact model's trees that a few holders stand in."""

from tests.disclosure.attacked import tried

NAME = "exact-small-leaf"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]
