"""T09 `secagg-seed-search`: a mask foretold from a part of it."""

from simulations.attacks import doubles
from simulations.attacks.secagg_seed_search import complexity
from tests.disclosure.attacked import tried

NAME = "secagg-seed-search"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_the_measure_is_the_shortest_recurrence() -> None:
    """Known registers: a run of ones, the Fibonacci bits of x^4 + x + 1, an impulse; and against trying every register."""
    assert complexity([1] * 20) == 1
    bits = [1, 0, 0, 0]
    while len(bits) < 60:
        bits.append(bits[-3] ^ bits[-4])
    assert complexity(bits) == 4
    assert complexity([0] * 9 + [1]) == 10
    assert complexity([0] * 12) == 0
    for number in range(256):
        word = [number >> at & 1 for at in range(8)]
        assert complexity(word) == shortest(word)


def shortest(bits: list[int]) -> int:
    for length in range(len(bits) + 1):
        for taps in range(1 << length):
            if all(
                bits[at] == sum(taps >> back & bits[at - 1 - back] for back in range(length)) % 2
                for at in range(length, len(bits))
            ):
                return length
    raise AssertionError


def test_the_double_is_the_mersenne_twister() -> None:
    """The first outputs for the seed 5489, as its authors published them."""
    words_ = doubles.mersenne((5489).to_bytes(4, "big") + bytes(28), 5, 32)
    assert words_.tolist() == [3499211612, 581869302, 3890346734, 3586334585, 545404204]
