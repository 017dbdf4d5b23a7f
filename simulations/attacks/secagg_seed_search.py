"""T09: masks guessed from their seed, or foretold from a part of them: the shortest linear recurrence of 50,000 bits of a mask."""

from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy, exactly
from simulations.attacks.doubles import mersenne
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T09"
WHAT: Final = {"zh": "由部分掩码推算其余", "en": "the rest of a mask foretold from a part of it"}
HOLDS: Final = {"zh": "掩码的前五万个字", "en": "the first 50,000 words of a mask"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, keystream=mersenne),)
BITS: Final = 50_000


def run(world: World, entropy: Entropy) -> Outcome:
    """How far the linear complexity of the lowest and of the highest bit of its words is from that of chance, half their number."""
    words = world.keystream(exactly(entropy, 32), BITS, 32)
    found = [complexity([int(word) >> at & 1 for word in words]) for at in (0, 31)]
    return worst([Outcome(abs(length - BITS // 2), 100, "off") for length in found])


def complexity(bits: list[int]) -> int:
    """Length of the shortest linear feedback shift register over GF(2) that gives the bits (Massey 1969). Integers as polynomials."""
    now, before, length, since, past = 1, 1, 0, 1, 0
    for at, bit in enumerate(bits):
        past = past << 1 | bit  # bit i: the bit i places back
        if not (now & past).bit_count() & 1:
            since += 1
            continue
        following = now ^ before << since
        if 2 * length <= at:
            before, length, since = now, at + 1 - length, 1
        else:
            since += 1
        now = following
    return length
