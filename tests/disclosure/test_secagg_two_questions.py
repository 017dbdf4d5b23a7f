"""T08 `secagg-two-questions`: two questions in one round."""

from tests.disclosure.attacked import tried, words

NAME = "secagg-two-questions"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_it_ends_before_a_second_sum() -> None:
    assert words(NAME) & {"split_survivors", "too_few"}
