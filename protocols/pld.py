"""What a study of nothing but counts costs: less than its Rényi orders say, by the distribution of its privacy loss.

A holder changes m cells of a count block by 1 each. Each such cell shows Sk(V) or Sk(V) + 1: a pair of known laws, whose loss distribution
composes by convolution. The library dp-accounting does that, with every loss rounded up to a multiple of 10^-4, so that epsilon is never
below what it is (Koskela, Jälkö, Honkela 2020; Doroshenko et al. 2022). Both directions are equal, since the law is symmetric.

The library works in floats. So this makes a statement about one study, and calibrates it; the ledger adds Rényi curves and never this.
A study with anything but counts in it, or a party without the library, uses `privacy` alone.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from math import ceil
from typing import Any, Final

from protocols import privacy
from protocols.noise import UNIT, largest_noise
from protocols.privacy import LEAST_V20, Event, Need

INTERVAL: Final = 1e-4  # of losses
BELOW: Final = Decimal(
    "0.999999"
)  # of its epsilon a plan aims at, since two machines may differ in the last digits of a float
STEPS: Final = 4096  # of the grid of lambda, in each factor of two: 0.017 % of a variance
OCTAVES: Final = 4  # below lambda of the Rényi orders


def available() -> bool:
    """Whether the library is installed."""
    return find_spec("dp_accounting") is not None


def counts(needs: Iterable[Need]) -> bool:
    """Whether every block is one of counts: a holder changes D1 = D2 cells by 1."""
    return all(need.l1 == need.l2sq for need in needs)


def epsilon_of(events: Iterable[Event], delta: Decimal) -> Decimal:
    """Epsilon at `delta` of count blocks released with their variances, rounded up in the 6th decimal; at least 0.

    Errors: `ValueError` for a block that is not one of counts; `ImportError` without the library.
    """
    times = Counter[int]()
    for event in events:
        if event.l1 != event.l2sq:
            raise ValueError(f"{event} is not a block of counts")
        times[event.v20] += event.l1 * event.times
    return Decimal(_epsilon(tuple(sorted(times.items())), float(delta))).quantize(Decimal("1e-6"), ROUND_CEILING)


def calibrate(needs: Sequence[Need], epsilon: Decimal, delta: Decimal) -> tuple[int, ...]:
    """Total variance (v20) of each block of counts, so that all together cost at most `epsilon`, and one part in a million less.

    As `privacy.calibrate`, whose variances are never smaller: V_b = D2_b * times_b * lambda / share_b, at least 4, with the least lambda of
    a grid of 2^-12 that meets the budget.
    """
    above = privacy.calibrate(needs, epsilon, delta)
    slopes = [need.l2sq * need.times / need.share for need in needs]
    highest = max(Fraction(v20) / slope for v20, slope in zip(above, slopes, strict=True))  # lambda in 2^-20

    def v20s(index: int) -> tuple[int, ...]:
        """Of ever larger lambda, up to that of the Rényi orders."""
        octave, step = divmod(index, STEPS)
        scale = highest * Fraction(STEPS + step, STEPS) / 2 ** (OCTAVES - octave)
        found = (max(LEAST_V20, ceil(slope * scale)) for slope in slopes)
        return tuple(map(min, found, above))

    def meets(index: int) -> bool:
        events = [Event(n.l1, n.l2sq, v20, n.times) for n, v20 in zip(needs, v20s(index), strict=True)]
        return epsilon_of(events, delta) <= epsilon * BELOW

    last = OCTAVES * STEPS
    least = bisect_left(range(last), True, key=meets)
    return v20s(least)


@lru_cache(maxsize=256)
def _epsilon(times: tuple[tuple[int, int], ...], delta: float) -> float:
    from functools import reduce

    composed = [_pair(v20).self_compose(number) if number > 1 else _pair(v20) for v20, number in times]
    return float(reduce(lambda one, other: one.compose(other), composed).get_epsilon_for_delta(delta))


@lru_cache(maxsize=64)
def _pair(v20: int) -> Any:
    """Losses of one cell: Sk(V) against Sk(V) + 1. P(k) = e^-V I_k(V), over the support of the sampler's table."""
    import numpy as np
    from dp_accounting.pld import privacy_loss_distribution
    from scipy.special import ive

    most = largest_noise(min(v20, 1 << 40))
    places = np.arange(-most, most + 1)
    held = ive(np.abs(places), v20 / UNIT)
    inside = held > 0
    logs, at = np.log(held[inside]).tolist(), places[inside].tolist()
    here = dict(zip(at, logs, strict=True))
    beside = dict(zip((place + 1 for place in at), logs, strict=True))
    return privacy_loss_distribution.from_two_probability_mass_functions(
        beside, here, pessimistic_estimate=True, value_discretization_interval=INTERVAL
    )
