"""T20: who knows all holders but one, and the count that was released, says whether that one is a holder."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import exp
from typing import Final

import numpy as np

from node import gate
from protocols import pld
from protocols.entropy import Entropy, exactly
from protocols.noise import node_v20
from protocols.privacy import Need
from protocols.statistics.layout import Axis, Layout, count
from simulations.attacks.doubles import as_if_shared
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T20"
WHAT: Final = {"zh": "某人是否在册", "en": "is a known person a holder"}
HOLDS: Final = {"zh": "除一人外的全部记录和公布的数", "en": "all rows but one, and the released number"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, noise_share=as_if_shared(4_000)),)
CITIES: Final = 6
TRIALS: Final = 4_000  # for each epsilon
MARGIN: Final = 0.02
DELTA: Final = Decimal("1e-6")


def run(world: World, entropy: Entropy) -> Outcome:
    """Right guesses from even odds, above the bound (e^epsilon + delta) / (e^epsilon + 1), at epsilon 0.5, 1 and 4: the most."""
    above = [guessed(world, entropy, epsilon) - bound(float(epsilon)) for epsilon in map(Decimal, ("0.5", "1", "4"))]
    return Outcome(max(above), MARGIN, "guesses")


def bound(epsilon: float) -> float:
    """What the promise of epsilon allows."""
    return (exp(epsilon) + float(DELTA)) / (exp(epsilon) + 1)


def guessed(world: World, entropy: Entropy, epsilon: Decimal) -> float:
    """How often the nearer of the two numbers is the right one."""
    (total,) = pld.calibrate([Need(1, 1, Fraction(1))], epsilon, DELTA)
    own = node_v20(total, world.noise_share(CITIES, 0))
    layout = Layout((count([Axis("trial", tuple(map(str, range(TRIALS))), "trial")]),))
    noise = np.sum([gate.noise(layout, [own], exactly(entropy, 32)) for _ in range(CITIES)], axis=0)
    there = np.frombuffer(exactly(entropy, TRIALS), np.uint8) & 1
    return float(((2 * (noise + there) > 1) == there).mean())
