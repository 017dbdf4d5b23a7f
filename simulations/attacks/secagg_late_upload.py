"""T06: a city is declared lost, its neighbours open its pair masks, then its vector arrives."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols import messages, ring
from protocols.entropy import Entropy
from protocols.messages import Kind
from protocols.ring import Vector
from simulations.attacks.doubles import without_self_mask
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World, read_cells, seated

THREAT: Final = "T06"
WHAT: Final = {"zh": "被判失联的城市迟到的向量", "en": "the late vector of a city declared lost"}
HOLDS: Final = {"zh": "协调方的密钥与全部报文", "en": "the coordinator's key and every message"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, mask=without_self_mask),)
TARGET: Final = 3
CELLS: Final = 20_000


def evenness(vector: Vector, bits: int) -> float:
    """p of the hypothesis that the bytes of the words are uniform (chi-square, 255 degrees)."""
    from scipy.stats import chisquare

    found = np.bincount(np.frombuffer(ring.residues(vector, bits).tobytes(), np.uint8), minlength=256)
    return float(chisquare(found).pvalue)


def run(world: World, entropy: Entropy) -> Outcome:
    """How even what is left of the late vector is; it is not even at all where a cell of it can be read."""
    return worst([late(world, entropy, bits) for bits in (32, 64)])


def late(world: World, entropy: Entropy, bits: int) -> Outcome:
    table = seated(world, entropy, cells=CELLS, bits=bits)
    table.until(Kind.SURVIVORS)
    liar, u3 = Liar(table), tuple(city for city in table.ids if city != TARGET)
    liar.set_opened(u3, table.rctx)
    for city in u3:  # and now it is a survivor after all
        liar.asks(city, messages.Survivors(table.rctx, table.ids))
    liar.asks(TARGET, messages.Survivors(table.rctx, u3))
    assert liar.secret(liar.s, 0, TARGET)  # noqa: S101 the attack gets as far as it must: its pair masks are open
    left, read = liar.left_of(TARGET), liar.b.get((0, TARGET))  # not one share of its self mask may leave
    p = 0.0 if read or read_cells(left, table.tables[TARGET]) else evenness(left, bits)
    return Outcome(p, 1e-6, "p", "≥", frozenset(liar.codes))
