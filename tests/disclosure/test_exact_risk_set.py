"""T24 `exact-risk-set`: a risk set of an exact model that one holder ends."""

from tests.disclosure.attacked import tried, words

NAME = "exact-risk-set"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_it_is_refused_in_these_words() -> None:
    assert words(NAME) >= {"disclosure"}
