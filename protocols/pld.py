"""What a study of nothing but counts costs: less than its Rényi orders say, by the distribution of its privacy loss.

A holder changes m cells of a count block by 1 each. Each such cell shows Sk(V) or Sk(V) + 1: a pair of known laws, whose loss
ln(P(k - 1) / P(k)) has a known distribution. Losses of cells add, so that their distributions are convolved (here by Fourier transforms;
Koskela, Jälkö, Honkela 2020), and delta(epsilon) = E max(0, 1 - e^(epsilon - loss)). Both directions are equal, since the law is symmetric.

Epsilon is never below what it is. What is computed is that of a worse pair, or delta is raised by a bound on what is left out:

    losses lie on a grid    an atom between two points of the grid is split on both, so that its probability under either law stays. Who
                            sees the parts can merge them again: the split pair is the worse one (Doroshenko et al. 2022)
    tails of one cell       beyond probability TAIL (Chernoff) count as an infinite loss
    tails of the sum        what passes the ends of the window (Chernoff) would come in again at the other one: it is added to delta
    floats                  errors of the transforms by Higham, "Accuracy and stability of numerical algorithms", theorem 24.2, twice over;
                            of the masses by the length of the recurrence; of the losses on epsilon

Floats differ in their last digits from machine to machine. So nothing here decides which noise is drawn: a study that is accounted like
this states its noise, found by its coordinator to cost BELOW of its epsilon, and everybody computes whether it costs no more than all
of it. It is a statement about one study; the ledger adds Rényi curves and never this.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import lru_cache
from math import asinh, ceil, cosh, floor, inf, log, log2, sqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols import privacy
from protocols.noise import UNIT
from protocols.privacy import LEAST_V20, Event, Need

Floats: TypeAlias = NDArray[np.float64]

FINE: Final = 256  # points of the grid of losses in one standard deviation of a cell's: splitting adds 1 / 260,000 of the variance at most
TAIL: Final = 1e-18  # of one cell, that is not looked at
OUTSIDE: Final = 1e-15  # of the sum of all losses, at either end of the window
ROUNDING: Final = 2.0**-53
MOST_V20: Final = UNIT << 24  # variance of a cell, beyond which its law takes long, and is a Gaussian one
MOST_POINTS: Final = 1 << 20  # of the window
MOST_WORK: Final = (
    1 << 24
)  # variances, times the support of the widest; an eighth of what they are times the points of the window
BELOW: Final = Decimal("0.999999")  # of its epsilon, which a plan aims at
TILTS: Final = (2.0, 4.0, 6.0, 8.0, 10.0, 13.0)  # of Chernoff's bound on the sum, in parts of its standard deviation
LINES: Final = 8  # steps of a search before it halves
STEPS: Final = 14  # bits of the grid of lambda in each factor of two: 0.004 % of a variance


def counts(needs: Iterable[Need]) -> bool:
    """Whether every block is one of counts: a holder changes D1 = D2 cells by 1."""
    return all(need.l1 == need.l2sq for need in needs)


def epsilon_of(events: Iterable[Event], delta: Decimal, cities: int = 1) -> Decimal:
    """Epsilon at `delta` of count blocks released with their variances, rounded up in the 6th decimal; at least 0, at most infinite.

    `cities`: for a person who is a holder in so many of them, whose cells change together by as much, or so many times by 1: the worse one.
    Infinite where the tails alone pass delta, or where variances are too large, or too many, for this room. Errors:
    `ValueError` for a block that is not one of counts.
    """
    times = Counter[int]()
    for event in events:
        if event.l1 != event.l2sq:
            raise ValueError(f"{event} is not a block of counts")
        times[event.v20] += event.l1 * event.times
    if not times:
        return Decimal(0)
    changes = [(tuple(sorted(times.items())), cities)]
    if cities > 1:
        changes.append((tuple((v20, cities * count) for v20, count in sorted(times.items())), 1))
    found = max(_epsilon(cells, float(delta), step) for cells, step in changes)
    return Decimal(found).quantize(Decimal("1e-6"), ROUND_CEILING) if found < inf else Decimal("Infinity")


def variances(needs: Sequence[Need], scale: int) -> tuple[int, ...]:
    """Total variance (v20) of each block of counts: V_b = D2_b * times_b * lambda / share_b, rounded up, at least 4. `scale`: lambda, in
    2^-20."""
    return tuple(max(LEAST_V20, ceil(need.l2sq * need.times * scale / need.share)) for need in needs)


def cost(needs: Sequence[Need], scale: int, delta: Decimal) -> Decimal:
    """Epsilon of blocks with these variances."""
    return epsilon_of(
        [Event(n.l1, n.l2sq, v20, n.times) for n, v20 in zip(needs, variances(needs, scale), strict=True)], delta
    )


def calibrate(needs: Sequence[Need], epsilon: Decimal, delta: Decimal) -> tuple[int, ...]:
    """Total variance (v20) of each block of counts, so that all together cost at most BELOW of `epsilon`; never more than that of the Rényi
    orders. Errors: `ConfigError PRIVACY_EPSILON_TOO_SMALL`."""
    found = scale_for(needs, epsilon, delta)
    return privacy.calibrate(needs, epsilon, delta) if found is None else variances(needs, found)


def scale_for(needs: Sequence[Need], epsilon: Decimal, delta: Decimal) -> int | None:
    """The least `scale` of a grid with which blocks of counts cost at most BELOW of `epsilon`; None where Rényi orders need no more noise.

    Noise falls about as 1 / epsilon^2: a few steps on a line through logarithms come close, then halves. Errors: as `calibrate`.
    """
    above = privacy.calibrate(needs, epsilon, delta)
    high = max(_index(Fraction(v20) * n.share / (n.l2sq * n.times)) for n, v20 in zip(needs, above, strict=True))
    target, low = float(epsilon * BELOW), 0
    dear, cheap = inf, float(cost(needs, _scale(high), delta))  # at low, at high
    if set(above) == {LEAST_V20} or not 0 < cheap <= target:
        return None
    slope, tried = -0.5 * log(2) / (1 << STEPS), 0  # of ln epsilon along the grid
    while high - low > 1:
        ahead = log(target / cheap) / slope if cheap > 0 and tried < LINES else (low - high) / 2
        at = min(max(high + ceil(ahead), low + 1), high - 1)
        price, tried = float(cost(needs, _scale(at), delta)), tried + 1
        if price <= target:
            high, cheap = at, price
        else:
            low, dear = at, price
        if 0 < cheap < dear < inf:
            slope = log(cheap / dear) / (high - low)
    return _scale(high)


def _index(scale: Fraction) -> int:
    """The least index of the grid of lambda that is no smaller than `scale`."""
    whole = ceil(scale)
    octave = max(0, whole.bit_length() - 1 - STEPS)
    return (octave << STEPS) + ceil(Fraction(whole, 1 << octave))


def _scale(index: int) -> int:
    """Ascends with index, in steps of 2^-STEPS of itself or of 1."""
    octave = max(0, (index >> STEPS) - 1)
    return (index - (octave << STEPS)) << octave


# --- distributions of losses


@lru_cache(maxsize=512)
def _epsilon(cells: tuple[tuple[int, int], ...], delta: float, step: int) -> float:
    """Of `cells`: (v20, how many cells of it a person changes by `step`)."""
    widest_v20 = max(v20 for v20, _ in cells)
    if widest_v20 > MOST_V20 or len(cells) * _support(widest_v20 / UNIT) > MOST_WORK:
        return inf
    number = sum(count for _, count in cells)
    inverse = sum(count * UNIT / v20 for v20, count in cells)
    spread = step * sqrt(inverse)  # about the standard deviation of all losses together
    interval = 2.0 ** floor(log2(spread / sqrt(number) / FINE))
    laws = _laws(tuple(v20 for v20, _ in cells), step)
    low, high = _window(laws, [count for _, count in cells], spread, interval)
    points = 1 << ceil(log2((high - low) / interval + 2))
    if points > MOST_POINTS or len(cells) * points > 8 * MOST_WORK:
        return inf
    spectrum: NDArray[np.complex128] = np.ones(points // 2 + 1, dtype=np.complex128)
    widest = 0.0
    for (losses, masses), (_, count) in zip(laws, cells, strict=True):
        one = _on_grid(losses / interval, masses, points, interval)
        spectrum = spectrum * np.fft.rfft(one) ** count
        widest = max(widest, sqrt(one.max()))  # the squares of masses add up to no more than the largest
    ring: Floats = np.fft.irfft(spectrum, points)
    found: Floats = np.roll(np.maximum(ring, 0.0), -ceil(low / interval))
    transforms = 2 * (number + len(cells) + 2) * log2(points) * 16 * ROUNDING * sqrt(points) * widest
    lost = number * TAIL + 2 * OUTSIDE + transforms
    relative = 8 * (number * max(len(losses) for losses, _ in laws) + points) * ROUNDING
    target = delta / (1 + relative) - lost
    grid = (ceil(low / interval) + np.arange(points, dtype=np.float64)) * interval
    return _reached(grid, found, target) + relative if target > 0 else inf


def _reached(losses: Floats, masses: Floats, delta: float) -> float:
    """The least epsilon >= 0 with sum of max(0, 1 - e^(epsilon - loss)) over the masses <= `delta`. `losses` ascend."""
    with np.errstate(over="ignore"):
        above = np.cumsum(masses[::-1])[::-1]
        tilted = np.cumsum((masses * np.exp(-losses))[::-1])[::-1]
        rest = above - np.exp(losses) * tilted  # delta at each point of the grid; falls
    start = int(np.searchsorted(losses, 0.0))
    at = start + int(np.argmax(rest[start:] <= delta))
    if rest[at] > delta:
        return inf
    if above[at] <= delta:
        return 0.0
    return max(0.0, float(np.log((above[at] - delta) / tilted[at])))


def _laws(v20s: Sequence[int], step: int) -> list[tuple[Floats, Floats]]:
    """Of each variance, the losses of one cell that is changed by `step`, and their probabilities.

    With r_k = I_k(V) / I_(k-1)(V) the loss of a change by 1 is -ln r_k at k >= 1, and ln r_(1-k) at k <= 0; of a larger one, a sum of such.
    r by its continued fraction, downwards: r_k = 1 / (2k / V + r_(k+1)), all terms positive, so that errors shrink. All variances at once.
    """
    v = np.array(v20s, dtype=np.float64) / UNIT
    most = [_support(each) + step for each in v.tolist()]
    top = max(most) + int(2 * sqrt(v.max())) + 40
    ratios = np.zeros((top + 2, len(v)))
    for k in range(top, 0, -1):
        ratios[k] = 1.0 / (2 * k / v + ratios[k + 1])
    found = []
    for column, last in enumerate(most):
        ratio = ratios[1 : last + 1, column]
        masses = np.concatenate([[1.0], np.cumprod(ratio)])
        masses /= masses[0] + 2 * masses[1:].sum()
        of_one = np.concatenate([np.log(ratio[::-1]), -np.log(ratio)])  # at 1 - last .. last
        losses = np.convolve(of_one, np.ones(step), "valid")  # at step - last .. last
        found.append((losses, masses[np.abs(np.arange(-last, last - step + 1))]))
    return found


def _support(variance: float) -> int:
    """K: what is beyond has probability TAIL at most. P(|X| > K) <= 2 exp(V (cosh t - 1) - K t) for every t."""
    k = 1
    while True:
        tilt = asinh(k / variance)
        if variance * (cosh(tilt) - 1) - k * tilt < log(TAIL / 2):
            return k
        k += max(1, k // 8)


def _window(
    laws: Sequence[tuple[Floats, Floats]], counts: Sequence[int], spread: float, interval: float
) -> tuple[float, float]:
    """Ends that the sum of all losses passes with probability OUTSIDE at most, either of them. `spread`: about its standard deviation."""
    ends = []
    for sign in (-1.0, 1.0):
        tilts = sign * np.array(TILTS) / spread
        grown = sum(
            count * _log_moments(tilts, losses, masses) for (losses, masses), count in zip(laws, counts, strict=True)
        )
        found = float(np.min((grown - log(OUTSIDE)) / np.abs(tilts)))
        ends.append(sign * (found + sum(counts) * interval))  # splitting moves a loss by less than a step
    return ends[0], ends[1]


def _log_moments(tilts: Floats, losses: Floats, masses: Floats) -> Floats:
    """ln E e^(tilt * loss), of each tilt."""
    terms = np.log(masses) + np.multiply.outer(tilts, losses)
    largest = terms.max(axis=1)
    return np.asarray(largest + np.log(np.exp(terms - largest[:, None]).sum(axis=1)))


def _on_grid(losses: Floats, masses: Floats, points: int, interval: float) -> Floats:
    """Masses on the grid, in a window of `points` that is closed to a ring: loss i * interval at i modulo `points`. `losses`: in units of
    `interval`."""
    below = np.floor(losses)
    upper = masses * np.expm1((below - losses) * interval) / np.expm1(-interval)  # so that e^-loss keeps its mean
    at = below.astype(np.int64)
    return np.asarray(np.bincount(at % points, masses - upper, points) + np.bincount((at + 1) % points, upper, points))
