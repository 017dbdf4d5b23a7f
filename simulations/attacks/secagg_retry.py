"""T12: the coordinator keeps the sum of a conversation to itself, says that it failed, and asks again with one city fewer."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols.entropy import Entropy
from protocols.errors import HpfedError
from protocols.noise import UNIT
from simulations.attacks.doubles import SameNoiseGate, as_double
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import said, towns

THREAT: Final = "T12"
WHAT: Final = {"zh": "中止后少一市重问", "en": "abort, then the same question with one city fewer"}
HOLDS: Final = {"zh": "协调方的密钥与两次合计", "en": "the coordinator's key and both sums"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(SameNoiseGate)),)
N, TARGET = 5, 5


def run(world: World, entropy: Entropy) -> Outcome:
    """Noise about the target's own table in the difference of the two sums, over the promised variance; 0 unless it was charged twice."""
    with towns(world, entropy, N) as place:
        study = place.study("retried")
        everyone = tuple(range(1, N + 1))
        first = place.summed(study, everyone).opened
        second = place.summed(study, everyone, (TARGET,)).opened
        agreement, codes = first.agreement, set[str]()
        at, block = max(enumerate(agreement.layout.blocks), key=lambda each: each[1].cells)
        start = sum(each.cells for each in agreement.layout.blocks[:at])
        cells = slice(start, start + block.cells)
        left = (first.total - second.total - place.table(agreement, TARGET))[cells]
        ratio = float(np.mean(left.astype(float) ** 2)) * UNIT / agreement.v20[at]
        used = place.gate(1).ledger.view(place.post.clock()).rooms[-1].used.curve
        if used != tuple(2 * cost for cost in agreement.cost.curve):
            ratio = 0.0
        try:
            for _ in range(2):
                place.summed(study, everyone)
        except HpfedError as fault:
            codes = said(fault)
    return Outcome(ratio, 1, "variance", "≥", frozenset(codes))
