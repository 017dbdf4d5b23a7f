"""T13: two cohorts that differ by one holder, and trackers of three large ones, each summed; then the sums are subtracted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np

from node import gate
from protocols import pld
from protocols.entropy import Entropy, exactly
from protocols.errors import HpfedError
from protocols.noise import node_v20
from protocols.plan import agree
from protocols.privacy import Need
from protocols.ring import Vector
from protocols.statistics.layout import Axis, Layout, count
from simulations.attacks.doubles import UncomparedGate, as_double, as_if_shared
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import POLICY, Towns, said, towns

THREAT: Final = "T13"
WHAT: Final = {"zh": "两个人群只差一人", "en": "two cohorts that differ by one holder"}
HOLDS: Final = {
    "zh": "协调方的密钥与全部合计；已知某人的职业和性别",
    "en": "the coordinator's key and every sum; it knows one holder's job and sex",
}
WEAKENED: Final[tuple[Weaken, ...]] = (
    lambda world: replace(world, gate=as_double(UncomparedGate)),
    lambda world: replace(world, noise_share=as_if_shared(20_000)),
)
STRICT: Final = POLICY.replace("min_cohort: 1", "min_cohort: 5")
N, ROWS = 3, 90
TRIALS: Final = 2_000
BOUND: Final = 0.7311 + 0.02  # of guesses at epsilon 1


def run(world: World, entropy: Entropy) -> Outcome:
    """Exact: holders whose own cells a difference gives. In mode dp: how often their bit is guessed, above what epsilon 1 allows."""
    told = Outcome(0, 0, "holders")
    if world.noise_share is World().noise_share:
        told = exact(world, entropy)
    guessed = guesses(world, entropy)
    return told if told.measured or guessed <= BOUND else Outcome(guessed, BOUND, "guesses")


def exact(world: World, entropy: Entropy) -> Outcome:
    """Three ways to be told of the holders of one job and sex, whom every city counts 1 to 4 of."""
    tricks: Mapping[str, Sequence[tuple[int, str]]] = {
        "complement": ((1, ""), (-1, "{{not: {few}}}")),
        "slice": ((1, "{{any: [{sex}, {few}]}}"), (-1, "{sex}")),
        "tracker": ((1, "{{any: [{few}, {sex}]}}"), (1, "{{any: [{few}, {{not: {sex}}}]}}"), (-1, "")),
    }
    codes, found = set[str](), []
    for name, steps in tricks.items():
        with towns(world, entropy, N, rows=ROWS, policy=STRICT) as place:
            job = rare(place)
            few = f"{{all: [{{variable: job, is: j{job}}}, {{variable: sex, is: male}}]}}"
            sex = "{variable: sex, is: female}" if name == "slice" else "{variable: sex, is: male}"
            if name == "tracker":
                sex = "{variable: job, in: [" + ", ".join(f"j{each}" for each in range(0, 60, 2)) + "]}"
            sums = [
                (sign, total(place, f"{name}-{at}", cohort.format(few=few, sex=sex), codes))
                for at, (sign, cohort) in enumerate(steps)
            ]
            found.append(told_of(place, few, sums))
    return Outcome(max(found), 0, "holders", codes=frozenset(codes))


def rare(place: Towns) -> int:
    """A job that 1 to 4 men of some city have: whoever attacks knows that one of them does."""
    study = place.study("seen", mode="exact")
    agreement = agree(study, tuple(range(1, N + 1)), place.post.roster)
    men = place.table(agreement, 1).reshape(61, 3)[:60, 0]
    return int(np.flatnonzero((men > 0) & (men < 5))[0])


def total(place: Towns, name: str, cohort: str, codes: set[str]) -> Vector | None:
    """The exact sum over a cohort, if it is given."""
    everyone = tuple(range(1, N + 1))
    try:
        return place.summed(place.study(name, mode="exact", cohort=cohort), everyone).opened.total
    except HpfedError as fault:
        codes |= said(fault)
        return None


def told_of(place: Towns, few: str, sums: Sequence[tuple[int, Vector | None]]) -> int:
    """How many holders the table is about that sums and differences give."""
    given = [sign * one for sign, one in sums if one is not None]
    if len(given) < len(sums):
        return 0
    study = place.study("few", mode="exact", cohort=few)
    agreement = agree(study, tuple(range(1, N + 1)), place.post.roster)
    truth = np.sum([place.table(agreement, city) for city in agreement.cities], axis=0)
    return int(truth.sum()) if np.array_equal(np.sum(given, axis=0), truth) else 0


def guesses(world: World, entropy: Entropy) -> float:
    """Mode dp: two counts that one holder makes the difference of, both charged, epsilon 1 in all; how often the guess is right."""
    (total_v20, _) = pld.calibrate([Need(1, 1, Fraction(1, 2))] * 2, Decimal(1), Decimal("1e-6"))
    own = node_v20(total_v20, world.noise_share(N, 0))
    layout = Layout((count([Axis("trial", tuple(map(str, range(TRIALS))), "trial")]),))
    with_, without = (
        np.sum([gate.noise(layout, [own], exactly(entropy, 32)) for _ in range(N)], axis=0) for _ in range(2)
    )
    bits = np.frombuffer(exactly(entropy, TRIALS), np.uint8) & 1
    return float(((2 * (with_ + bits - without) > 1) == bits).mean())
