"""T19 `difference-snapshots`: the same exact question before and after an ingest that moved one holder."""

from tests.disclosure.attacked import tried, words

NAME = "difference-snapshots"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_the_city_says_one_word_and_no_number() -> None:
    assert words(NAME) == {"disclosure"}
