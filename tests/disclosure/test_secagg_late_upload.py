"""T06 `secagg-late-upload`: a city is declared lost, its neighbours open its pair masks, then its vector arrives."""

from tests.disclosure.attacked import tried, words

NAME = "secagg-late-upload"


def test_the_late_vector_stays_uniform_and_no_share_of_its_self_mask_leaves() -> None:
    """In both rings. The attack itself sees to it that the pair masks are open."""
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_without_a_self_mask_the_same_attack_reads_it() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_nobody_opens_the_self_mask_afterwards() -> None:
    """The neighbours have left the state in which they could; the city itself refuses a set without it."""
    assert words(NAME) == {"out_of_order", "bad_u3"}
