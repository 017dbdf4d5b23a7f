"""T21: who knows all rows but one guesses from many releases whether that one is there; noise must hide as much as was said."""

from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy
from protocols.noise import UNIT, node_v20
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.bench import audit

THREAT: Final = "T21"
WHAT: Final = {"zh": "噪声是否如所称", "en": "is the noise as wide as claimed"}
HOLDS: Final = {
    "zh": "除一人外的全部记录，一万次有此人与无此人的发布",
    "en": "all rows but one, 10^4 releases with that one and without",
}
# Noise of half the width: every city draws as if four times as many shared it.
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, noise_share=lambda t, c: 4 * (t - c)),)
VARIANCE: Final = 519  # of a cell of 29 tables at epsilon 1
PAIRS: Final = 10**4


def run(world: World, entropy: Entropy) -> Outcome:
    """The lower bound of mu that these releases give, over the mu that was promised."""
    total = VARIANCE * UNIT
    own = node_v20(total, world.noise_share(audit.CITIES, 0))
    found = audit.audited(own, audit.CITIES, PAIRS, entropy)
    return Outcome(found / audit.mu(total), audit.TOLERANCE, "mu")
