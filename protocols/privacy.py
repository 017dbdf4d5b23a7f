"""What an answer costs, how much noise a budget buys, and whether a cap still has room.

*Event*: one released block of cells with Skellam noise. *Curve*: its cost at every order of Rényi differential privacy; costs of blocks,
questions, rounds and studies add. *Conversion*: a curve and a delta give epsilon. *Cap*: one order and a room that costs must fit.

No float is used. Costs are integers in units of 2**-64, rounded up; rooms are rounded down; logarithms have 50 digits and are rounded
outward. So two parties that compute the same plan compute the same integers, on any machine.

Cost of a block: Agarwal, Kairouz, Liu, "The Skellam mechanism for differentially private federated learning" (2021), for integer orders.
Conversion: Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy" (2020), proposition 12.
Caps: Feldman, Zrnic, "Individual privacy accounting via a Rényi filter" (2021): at one fixed order a plain sum is a valid stopping rule,
also for askers who choose each study after seeing earlier answers.

Every epsilon and delta is a `Decimal` of the text that was written: finite, epsilon > 0, 0 < delta < 1.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final

from protocols.errors import ConfigError, Refusal
from protocols.noise import UNIT

ORDERS: Final = (
    *range(2, 129),
    *(144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048, 3072, 4096),
)
COST_UNIT: Final = 1 << 64  # a cost of 1 at some order
SAMPLER_UNIT: Final = 1 << 176  # a delta of 1, for what the sampler's finite table adds
SAMPLER_PART: Final = 1000  # of the delta of a cap, one part in so many may be the sampler's
LEAST_V20: Final = 4 * UNIT  # least total variance per cell: V >= 4
POOLED_PART: Final = Fraction(1, 10)  # of a question's cost, where it is released both pooled and by city

Curve = tuple[int, ...]  # one cost per order of ORDERS, in units of 2**-64
NOTHING: Final[Curve] = (0,) * len(ORDERS)

_DIGITS: Final = 50
_UP: Final = Context(prec=_DIGITS, rounding=ROUND_CEILING)
_DOWN: Final = Context(prec=_DIGITS, rounding=ROUND_FLOOR)

# Candidates for lambda: (2**20 + i mod 2**20) * 2**(i div 2**20 - 64 - 20), i = 0 .. 2**27; neighbours differ by 1e-6 at most.
_GRID: Final = 1 << 20
_OCTAVES: Final = 128
SPARSE: Final = 8  # orders, one of which is looked at first
_LAMBDA_UNIT: Final = 1 << (_OCTAVES // 2 + 20)


@dataclass(frozen=True)
class Event:
    """A block released `times` times (rounds of a model, runs of a repeat) with total variance v20 / 2**20 per cell, each time afresh.

    One holder changes the block by at most `l1` in sum of absolute values and `l2sq` in sum of squares: 1 <= l1 <= l2sq.
    Errors: `Refusal NOISE_VARIANCE` below variance 4.
    """

    l1: int
    l2sq: int
    v20: int
    times: int = 1

    def __post_init__(self) -> None:
        _demand(1 <= self.l1 <= self.l2sq and self.times >= 1, f"1 <= l1 <= l2sq and times >= 1, not {self}")
        if self.v20 < LEAST_V20:
            raise Refusal("NOISE_VARIANCE", v20=self.v20, least=LEAST_V20, most="2^58")


@dataclass(frozen=True)
class Need:
    """A block that is to be released `times` times for `share` of the study's cost, all times together."""

    l1: int
    l2sq: int
    share: Fraction
    times: int = 1


@dataclass(frozen=True)
class Cost:
    """What a study, or all that was spent so far, costs. `sampler`: delta of the finite tables, in units of 2**-176."""

    curve: Curve
    sampler: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(compose((self.curve, other.curve)), self.sampler + other.sampler)

    def times(self, number: int) -> "Cost":
        """So many of it."""
        return Cost(tuple(number * at for at in self.curve), number * self.sampler)

    def beyond(self, held: "Cost") -> "Cost":
        """What is not covered by a cost that is held already, at each order."""
        more = [max(0, one - other) for one, other in zip(self.curve, held.curve, strict=True)]
        return Cost(tuple(more), max(0, self.sampler - held.sampler))


FREE: Final = Cost(NOTHING, 0)


@dataclass(frozen=True)
class Cap:
    """(epsilon, delta) as one `order` and the `room` at that order, in units of 2**-64. Both stay as they were first written."""

    epsilon: Decimal
    delta: Decimal
    order: int
    room: int


# --- costs


@lru_cache(maxsize=1024)
def rdp(event: Event) -> Curve:
    """Cost of `event` at every order a: `times` times R(a), which is rounded up.

    R(a) = a D2 / (2V) + min(((2a - 1) D2 + 6 D1) / (4 V**2), 3 D1 / (2V)).
    """
    return _costs(event, ORDERS)


def rdp_at(event: Event, order: int) -> int:
    """The same at one order."""
    return _costs(event, (order,))[0]


def compose(curves: Iterable[Curve]) -> Curve:
    """Cost of all of them together, also if each was chosen after seeing the answers before it."""
    return tuple(map(sum, zip(NOTHING, *curves, strict=True)))


def cost_at(curve: Curve, order: int) -> int:
    """Cost at one of ORDERS, in units of 2**-64."""
    return curve[ORDERS.index(order)]


def epsilon_of(curve: Curve, delta: Decimal) -> Decimal:
    """Epsilon at `delta`, rounded up in the 50th digit: least over orders a of R(a) + ln((a-1)/a) - (ln delta + ln a) / (a-1), or 0."""
    costs = [_UP.divide(Decimal(cost), COST_UNIT) for cost in curve]
    return max(Decimal(0), min(map(_UP.add, costs, _prices(delta))))


def sampler_delta(draws: int, epsilon: Decimal) -> int:
    """What `draws` draws from finite tables add to the delta of a release that costs `epsilon`: (1 + e**epsilon) * draws, in 2**-176, up.

    Counts the draws of every city whose noise the guarantee rests on (`noise.draws` for each cell), not those of one city alone.
    From epsilon 200 on it is counted as for 200, which is far above every delta.
    """
    _demand(draws >= 0 and epsilon.is_finite() and epsilon >= 0, f"draws >= 0 and epsilon >= 0, not {draws}, {epsilon}")
    growth = _UP.next_plus(_UP.exp(min(epsilon, Decimal(200))))
    return ceil(Fraction(_UP.add(1, growth)) * draws)


def cost(events: Iterable[Event], draws: int, delta: Decimal) -> Cost:
    """Cost of a study that releases `events` and makes `draws` draws for them."""
    curve = compose(rdp(event) for event in events)
    return Cost(curve, sampler_delta(draws, epsilon_of(curve, delta)))


# --- noise for a budget


def cost_shares(weights: Sequence[int | Decimal | Fraction]) -> tuple[Fraction, ...]:
    """Share of each block: its weight over the sum of weights. Equal weights, equal cost; twice the weight, half the variance.

    The weight of a block is that of its question (a question of three blocks has three shares). Of a question released both pooled and
    by city, the two blocks weigh POOLED_PART and 1 - POOLED_PART of it.
    """
    exact = [Fraction(weight) for weight in weights]
    _demand(bool(exact) and min(exact) > 0, "at least one weight, all > 0")
    whole = sum(exact)
    return tuple(weight / whole for weight in exact)


def calibrate(needs: Sequence[Need], epsilon: Decimal, delta: Decimal) -> tuple[int, ...]:
    """Total variance (v20) of each block, so that all together cost at most `epsilon` at `delta`.

    V_b = D2_b * times_b * lambda / share_b, rounded up to 2**-20, but at least 4; lambda is the least value of a public grid (steps of at
    most 1e-6) that meets the budget, where a block at 4 is charged for 4. Cost falls as lambda rises, so the search has one answer.
    1 <= l1 <= l2sq, shares > 0 that add to 1. Errors: `ConfigError PRIVACY_EPSILON_TOO_SMALL`.
    """
    return _calibrated(tuple(needs), epsilon, delta)


@lru_cache(maxsize=32)  # every step of a conversation finds the noise again: the same, of the same study
def _calibrated(needs: tuple[Need, ...], epsilon: Decimal, delta: Decimal) -> tuple[int, ...]:
    _demand_budget(epsilon, delta)
    _demand(sum(need.share for need in needs) == 1, "cost shares that add to 1")
    _demand(min(need.share for need in needs) > 0, "cost shares > 0")
    parts = Counter(needs)
    slopes = {need: need.l2sq * need.times / need.share for need in parts}

    def v20(need: Need, index: int) -> int:
        steps = (_GRID + index % _GRID) << (index // _GRID)  # lambda in 1 / _LAMBDA_UNIT
        slope = slopes[need]
        return max(LEAST_V20, -(-slope.numerator * steps * UNIT // (slope.denominator * _LAMBDA_UNIT)))

    prices = dict(zip(ORDERS, _prices(delta), strict=True))

    def at(index: int, orders: Sequence[int]) -> list[Decimal]:
        """Epsilon at each of these orders."""
        events = (Event(n.l1, n.l2sq, v20(n, index), n.times * count) for n, count in parts.items())
        costs = map(sum, zip(*(_costs(event, orders) for event in events), strict=True))
        found = (_UP.divide(Decimal(cost), COST_UNIT) for cost in costs)
        return [_UP.add(each, prices[order]) for each, order in zip(found, orders, strict=True)]

    def meets(index: int, orders: Sequence[int] = ORDERS) -> bool:
        return max(Decimal(0), min(at(index, orders))) <= epsilon

    most = _OCTAVES * _GRID
    if not meets(most):
        raise _too_small(epsilon, delta)
    some = bisect_left(range(most), True, key=lambda index: meets(index, ORDERS[::SPARSE]))
    there = at(some, ORDERS)
    best = there.index(
        min(there)
    )  # the order that counts, up to a neighbour: few are looked at on the way, all where it ends
    close = ORDERS[max(0, best - 2) : best + 3]
    least = _least(meets, bisect_left(range(most), True, key=lambda index: meets(index, close)), most)
    return tuple(v20(need, least) for need in needs)


def _least(meets: Callable[[int], bool], near: int, most: int) -> int:
    """The least index up to `most`, which meets the budget, that does. Cost falls with the index; `near`: about where."""
    low, high, step = max(near - 1, 0), min(near, most), 1
    while not meets(high):
        low, high, step = high, min(high + step, most), 2 * step
    while low > 0 and meets(low):
        high, low, step = low, max(low - step, 0), 2 * step
    return low + bisect_left(range(low, high), True, key=meets)


# --- caps


def cap(epsilon: Decimal, delta: Decimal) -> Cap:
    """The order that admits the most cost that is linear in the order (room / order; the smaller of two equal ones), and its room.

    room = epsilon - ln((a-1)/a) + (ln delta + ln a) / (a-1), rounded down. Errors: `ConfigError PRIVACY_EPSILON_TOO_SMALL`.
    """
    _demand_budget(epsilon, delta)
    rooms = [_units_down(_DOWN.subtract(epsilon, price)) for price in _prices(delta)]
    admitted, order, room = max(
        (Fraction(room, order), -order, room) for order, room in zip(ORDERS, rooms, strict=True)
    )
    if admitted <= 0:
        raise _too_small(epsilon, delta)
    return Cap(epsilon, delta, -order, room)


def fits(limit: Cap, spent: Cost, study: Cost) -> bool:
    """Whether `study` may still be answered after all that was `spent` and reserved under this cap."""
    total = spent + study
    within_sampler = Fraction(total.sampler * SAMPLER_PART, SAMPLER_UNIT) < Fraction(limit.delta)
    return cost_at(total.curve, limit.order) <= limit.room and within_sampler


def left(limit: Cap, spent: Cost) -> int:
    """Room left under a cap, at its order, in units of 2**-64; never below 0."""
    return max(0, limit.room - cost_at(spent.curve, limit.order))


# --- exact arithmetic


def _costs(event: Event, orders: Iterable[int]) -> Curve:
    """R(a) of `rdp` over the common denominator 4 v**2, where V = v / u: a * gaussian + min(a * rising + fixed, flat)."""
    u, v, d1, d2 = UNIT, event.v20, event.l1, event.l2sq
    gaussian, rising, fixed, flat = 2 * d2 * u * v, 2 * d2 * u * u, (6 * d1 - d2) * u * u, 6 * d1 * u * v
    times, below = event.times, 4 * v * v
    return tuple([times * -(-COST_UNIT * (a * gaussian + min(a * rising + fixed, flat)) // below) for a in orders])


@lru_cache(maxsize=64)
def _prices(delta: Decimal) -> tuple[Decimal, ...]:
    """At each order a, no less than ln((a-1)/a) - (ln delta + ln a) / (a-1), which conversion adds to the cost."""
    _demand(delta.is_finite() and 0 < delta < 1, f"0 < delta < 1, not {delta}")
    return tuple(_price(a, _ln(_DOWN, delta)) for a in ORDERS)


def _price(a: int, ln_delta: Decimal) -> Decimal:
    ratio = _UP.subtract(_ln(_UP, Decimal(a - 1)), _ln(_DOWN, Decimal(a)))
    return _UP.subtract(ratio, _DOWN.divide(_DOWN.add(ln_delta, _ln(_DOWN, Decimal(a))), a - 1))


def _ln(outward: Context, x: Decimal) -> Decimal:
    """`Decimal.ln` is within half a unit of the last digit; one unit further out is a bound."""
    step = outward.next_plus if outward.rounding == ROUND_CEILING else outward.next_minus
    return step(outward.ln(x))


def _units_down(x: Decimal) -> int:
    return int(_DOWN.to_integral_value(_DOWN.multiply(x, COST_UNIT)))


def _too_small(epsilon: Decimal, delta: Decimal) -> ConfigError:
    least = max(Decimal(0), min(_prices(delta)))
    return ConfigError("PRIVACY_EPSILON_TOO_SMALL", epsilon=epsilon, delta=delta, least=f"{least:.2g}")


def _demand_budget(epsilon: Decimal, delta: Decimal) -> None:
    _demand(epsilon.is_finite() and epsilon > 0, f"epsilon > 0, not {epsilon}")
    _demand(delta.is_finite() and 0 < delta < 1, f"0 < delta < 1, not {delta}")


def _demand(holds: bool, what: str) -> None:
    """Pre-conditions that schemas and layouts guarantee; a breach is a fault of this program."""
    if not holds:
        raise ValueError(f"privacy: needs {what}")
