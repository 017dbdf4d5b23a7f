"""Is the noise as wide as claimed? Many releases with and without one holder, drawn by the cities' own gates, and what they give away.

The holder changes one cell by 1 in each of m tables, and whoever attacks knows all else: the best that is left is the sum of what these
cells have too much, and a guess whether it is nearer to m than to 0. From how often the guess errs, both ways, follows with 95 %
confidence a lower bound mu_low: the release is no better hidden than one Gaussian number of variance 1, moved by mu_low (Nasr et al.,
"Tight auditing of differentially private machine learning", 2023). Noise of variance V in every cell has mu = sqrt(m / V).

mu is what is compared, and not epsilon: at small V the noise costs less than Gaussian noise of the same variance, and an epsilon read off
a Gaussian would raise false alarms. An audit can refute a claim and never prove it.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
from scipy import optimize, special

from node import gate
from protocols import pld
from protocols.entropy import Entropy, exactly, operating_system
from protocols.noise import UNIT, node_v20
from protocols.privacy import Need
from protocols.statistics.layout import Axis, Layout, count
from protocols.statistics.measures import Vector
from simulations.bench import Line, line

TABLES: Final = 29  # m: of the reference workload
CITIES: Final = 6
DELTA: Final = Decimal("1e-6")
CONFIDENCE: Final = 0.95
TOLERANCE: Final = 1.02  # of mu: what a bound that is right 95 times in 100 may be above it
AT_ONCE: Final = 10_000  # releases


@cache
def claimed() -> int:
    """Total variance (v20) in every cell of 29 tables at epsilon 1, delta 10^-6: 517.5."""
    needs = [Need(1, 1, Fraction(1, TABLES))] * TABLES
    (total,) = set(pld.calibrate(needs, Decimal(1), DELTA))
    return total


def mu(v20: int, tables: int = TABLES) -> float:
    """What noise of this total variance promises: sqrt(m / V)."""
    return math.sqrt(tables * UNIT / v20)


def surplus(own_v20: int, cities: int, releases: int, entropy: Entropy, tables: int = TABLES) -> Vector:
    """Of each release, the sum of the noise in the holder's cells, over all cities: what is seen where the holder is not there."""
    found = []
    for first in range(0, releases, AT_ONCE):
        many = min(AT_ONCE, releases - first)
        layout = _releases(many, tables)
        noise = [gate.noise(layout, [own_v20], exactly(entropy, 32)) for _ in range(cities)]
        found.append(np.add.reduce(noise).reshape(many, tables).sum(axis=1))
    return np.concatenate(found)


def _releases(many: int, tables: int) -> Layout:
    """So many releases of the holder's cells as one table, for speed: noise is independent from cell to cell."""
    axes = [Axis(name, tuple(map(str, range(size))), name) for name, size in (("a", many), ("b", tables))]
    return Layout((count(axes),))


def mu_low(without: Vector, with_: Vector, tables: int = TABLES) -> float:
    """Lower bound of mu, right with probability 95 %: of guessing "there" where the surplus is above m / 2, which is fixed beforehand.

    Each of the two rates of errors is bounded from above by Clopper and Pearson at 97.5 %.
    """
    false_alarms, misses = int((2 * without > tables).sum()), int((2 * with_ <= tables).sum())
    alpha, beta = _at_most(false_alarms, len(without)), _at_most(misses, len(with_))
    return float(max(0.0, special.ndtri(1 - alpha) - special.ndtri(beta)))


def _at_most(errors: int, tries: int) -> float:
    """The largest rate at which so few errors are still seen with a probability of 2.5 %."""
    return 1.0 if errors == tries else float(special.betaincinv(errors + 1, tries - errors, (1 + CONFIDENCE) / 2))


def epsilon_low(shift: float, delta: float = float(DELTA)) -> float:
    """Epsilon at delta of one Gaussian number moved by `shift`; 0 if less than delta is given away (Balle, Wang 2018)."""

    def beyond(epsilon: float) -> float:
        near, far = special.ndtr(shift / 2 - epsilon / shift), special.log_ndtr(-shift / 2 - epsilon / shift)
        return float(near - math.exp(epsilon + far) - delta)

    if shift <= 0 or beyond(0) <= 0:
        return 0.0
    return float(optimize.brentq(beyond, 0, 100 + shift**2))


def audited(own_v20: int, cities: int, pairs: int, entropy: Entropy = operating_system, tables: int = TABLES) -> float:
    """mu_low of `pairs` releases without and as many with the holder. `own_v20`: what each city draws; `cities`: those that do."""
    without = surplus(own_v20, cities, pairs, entropy, tables)
    with_ = tables + surplus(own_v20, cities, pairs, entropy, tables)
    return mu_low(without, with_, tables)


def lines(quick: bool = False) -> Iterator[Line]:
    """The bound beside the claim at 10^4 and 10^6 pairs; and the same of noise that is half as wide, and of a share left out, which it must
    find: epsilon above 1.5, mu above what the claim allows."""
    few, many = (4_000, 4_000) if quick else (10**4, 10**6)
    total = claimed()
    own, promised = node_v20(total, CITIES), mu(total)
    for pairs in (few, many):
        found = audited(own, CITIES, pairs)
        note = f"epsilon at least {epsilon_low(found):.2f} of 1"
        yield line(f"audit, {pairs:,} pairs, mu", "mu", found, promised, "sqrt(m / V)", TOLERANCE, "less", note)
    halved = epsilon_low(audited(own // 4, CITIES, few))
    yield line(f"audit finds noise halved, {few:,} pairs", "epsilon", halved, 1.5, "to be exceeded", 1.0, "more")
    left_out = audited(node_v20(total, 3), 2, many)
    what = f"audit finds 1 of 3 left out, {many:,}"
    yield line(what, "mu", left_out, TOLERANCE * promised, "what is allowed", 1.0, "more")
