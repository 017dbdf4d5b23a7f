"""T11: a wrong sum is announced, and suppressed cells of an exact sum are tried out against what its receipt says."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from protocols.entropy import Entropy
from protocols.errors import PeerError
from protocols.ring import Vector
from protocols.secagg import collector, keys
from protocols.secagg.transcript import Transcript
from simulations.attacks.doubles import bare_sum_digest, signatures_only
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World, seated

THREAT: Final = "T11"
WHAT: Final = {"zh": "公布错误的合计；试出被隐去的格", "en": "a wrong sum announced; suppressed cells tried out"}
HOLDS: Final = {"zh": "协调方的密钥；或一份回执", "en": "the coordinator's key; or a receipt"}
WEAKENED: Final[tuple[Weaken, ...]] = (
    lambda world: replace(world, sum_checked=signatures_only),
    lambda world: replace(world, sum_digest=bare_sum_digest),
)
SUPPRESSED: Final = 4
BELOW: Final = 9  # each suppressed cell holds 0 to 8


def run(world: World, entropy: Entropy) -> Outcome:
    """False sums that verify, and suppressed cells that were found. The true sum verifies."""
    table = seated(world, entropy, 4, cells=16)
    state = table.finish(table.start())
    assert isinstance(state, collector.Summed)  # noqa: S101 nobody lied yet
    shown = collector.transcript(state, table.log.__getitem__)
    world.sum_checked(shown, table.root_key, state.total)
    believed, codes = 0, set[str]()
    for transcript, announced in forged(shown, state.total):
        try:
            world.sum_checked(transcript, table.root_key, announced)
        except PeerError as fault:
            codes.add(fault.code.removeprefix("SECAGG_").lower())
        else:
            believed += 1
    return Outcome(believed + tried_out(world, entropy), 0, "sums", codes=frozenset(codes))


def forged(shown: Transcript, total: Vector) -> Iterator[tuple[Transcript, Vector]]:
    """The true record with a false sum; and false records with a sum to match, as far as one without the cities' keys can go."""
    for cell in range(total.size):
        for by in (1, -1):
            changed = total.copy()
            changed[cell] += by
            yield shown, changed
    yield shown, np.roll(total, 1)
    yield shown, total[:-1]  # what a careless reader might hand in
    for at, content in enumerate(shown.masked):
        wrong = bytearray(content)
        wrong[-65] ^= 1  # the last byte of y
        yield replace(shown, masked=(*shown.masked[:at], bytes(wrong), *shown.masked[at + 1 :])), total
    yield replace(shown, masked=shown.masked[1:]), total
    yield replace(shown, reveals=shown.reveals[2:]), total
    yield replace(shown, masked=shown.masked[::-1]), total


def tried_out(world: World, entropy: Entropy) -> int:
    """9^4 values of four suppressed cells against the sum_digest of a receipt, by a city that holds one Reveal, its own."""
    table = seated(world, entropy, 4, exact=True, cells=12)
    for city, counts in table.tables.items():
        counts[:SUPPRESSED] = city % 2
    state = table.finish(table.start())
    assert isinstance(state, collector.Summed)  # noqa: S101 nobody lied
    u3 = keys.u3_digest(state.turn.rctx, state.u3)
    reveals = [state.reveals[city] for city in sorted(state.reveals)]
    published = world.sum_digest(state.turn.rctx, u3, reveals, state.total.tobytes())
    own = [reveals[0]]
    return sum(
        world.sum_digest(state.turn.rctx, u3, held, guess) == published
        for guess in guesses(state.total)
        for held in (own, [])
    )


def guesses(released: Vector) -> Iterator[bytes]:
    """Every way to fill the suppressed cells beside the released ones."""
    rest = released[SUPPRESSED:].tobytes()
    for values in product(range(BELOW), repeat=SUPPRESSED):
        yield np.array(values, dtype="<i8").tobytes() + rest
