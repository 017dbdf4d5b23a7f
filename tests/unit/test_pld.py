"""Privacy loss distributions: the published figures, an epsilon from first principles, and what may not be asked of them."""

from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Final

import mpmath
import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive

from protocols import pld, privacy
from protocols.noise import UNIT
from protocols.privacy import LEAST_V20, Event, Need

DELTA: Final = Decimal("1e-6")
WHOLE: Final = Fraction(1)


def count(variance: float, m: int = 1) -> Event:
    return Event(m, m, round(variance * UNIT))


# Table of the specification of the mechanism, column PLD, delta 1e-6; 0.5 %.
@pytest.mark.parametrize(
    ("variance", "m", "epsilon"), [(25, 1, 0.7757), (4, 1, 1.6420), (14.24, 1, 1.0), (518.9, 29, 1.0)]
)
def test_epsilon_vectors(variance: float, m: int, epsilon: float) -> None:
    assert float(pld.epsilon_of([count(variance, m)], DELTA)) == pytest.approx(epsilon, rel=0.005)


@pytest.mark.parametrize(
    ("epsilon", "m", "variance"),
    [("0.1", 1, 1315.0), ("0.5", 1, 61.23), ("1", 1, 14.24), ("1", 4, 70.39), ("1", 8, 142.4), ("1", 29, 518.9)],
)
def test_variance_vectors(epsilon: str, m: int, variance: float) -> None:
    (found,) = pld.calibrate([Need(m, m, WHOLE)], Decimal(epsilon), DELTA)
    assert found / UNIT == pytest.approx(variance, rel=0.005)
    assert pld.epsilon_of([Event(m, m, found)], DELTA) <= Decimal(epsilon)


def hockey_stick(variance: int, epsilon: float, change: int = 1) -> float:
    """Delta of one cell at `epsilon`: sum over k of max(0, P(k - change) - e^epsilon P(k)), with 60 digits."""
    with mpmath.workdps(60):
        v = mpmath.mpf(variance)
        law = [mpmath.exp(-v) * mpmath.besseli(k, v) for k in range(int(20 * variance**0.5) + 60)]
        growth = mpmath.exp(mpmath.mpf(epsilon))
        sides = [law[abs(k - change)] - growth * law[abs(k)] for k in range(change + 1 - len(law), len(law))]
        return float(mpmath.fsum(each for each in sides if each > 0))


@pytest.mark.parametrize("variance", [4, 25, 100])
def test_epsilon_of_one_cell_is_that_of_its_law_and_never_below(variance: int) -> None:
    found = pld.epsilon_of([count(variance)], DELTA)
    assert hockey_stick(variance, float(found)) <= 1e-6
    assert hockey_stick(variance, float(found) * 0.999) > 1e-6


def test_a_person_in_two_cities_costs_what_a_change_by_two_shows() -> None:
    """P(k - 2) against P(k), by its sum with 60 digits; and no less than two cells that change by 1."""
    found = pld.epsilon_of([count(25)], DELTA, cities=2)
    assert hockey_stick(25, float(found), change=2) <= 1e-6
    assert hockey_stick(25, float(found) * 0.999, change=2) > 1e-6
    assert found > pld.epsilon_of([count(25, 2)], DELTA)


@pytest.mark.parametrize(
    "blocks", [[(517.4, 29)], [(70.0, 4)], [(200.0, 3), (90.0, 2), (400.0, 7)], [(12.2, 29)]], ids=str
)
def test_many_cells_lie_between_the_two_estimates_of_dp_accounting(blocks: list[tuple[float, int]]) -> None:
    """Its optimistic one is below the truth, its pessimistic one above; both round losses to a grid of 5 * 10^-5."""
    below, above = (
        reduce(lambda one, other: one.compose(other), [library(v, sure).self_compose(m) for v, m in blocks])
        for sure in (False, True)
    )
    for delta in ("1e-6", "1e-9"):
        found = float(pld.epsilon_of([count(variance, m) for variance, m in blocks], Decimal(delta)))
        assert below.get_epsilon_for_delta(float(delta)) <= found
        assert found <= 1.003 * above.get_epsilon_for_delta(float(delta))


def library(variance: float, pessimistic: bool) -> privacy_loss_distribution.PrivacyLossDistribution:
    places = np.arange(-int(14 * variance**0.5) - 60, int(14 * variance**0.5) + 60)
    logs = np.log(np.maximum(ive(np.abs(places), variance), 1e-300)).tolist()
    here = dict(zip(places.tolist(), logs, strict=True))
    beside = dict(zip((places + 1).tolist(), logs, strict=True))
    return privacy_loss_distribution.from_two_probability_mass_functions(
        beside, here, pessimistic_estimate=pessimistic, value_discretization_interval=5e-5
    )


def test_what_floats_cannot_say_costs_without_end_and_is_left_to_renyi_orders() -> None:
    """A delta below what transforms may be wrong by; variances beyond this room, each or together; and noise that nothing makes less."""
    assert pld.epsilon_of([count(100.0, 29)], Decimal("1e-14")) == Decimal("Infinity")
    assert pld.epsilon_of([Event(1, 1, pld.MOST_V20 + 1)], DELTA) == Decimal("Infinity")
    wide, many = ([Event(1, 1, first - at) for at in range(2_000)] for first in (pld.MOST_V20, 5_000 * UNIT))
    for unlike in (wide, many):  # whoever sends such a study must not keep a city busy with it
        assert pld.epsilon_of(unlike, DELTA) == Decimal("Infinity")
        assert pld.epsilon_of([Event(1, 1, unlike[0].v20)] * 2_000, DELTA) < 30
    for needs, epsilon in (([Need(1, 1, WHOLE)], "20"), ([Need(29, 29, WHOLE)], "0.002")):
        assert pld.scale_for(needs, Decimal(epsilon), DELTA) is None
        assert pld.calibrate(needs, Decimal(epsilon), DELTA) == privacy.calibrate(needs, Decimal(epsilon), DELTA)
    assert pld.epsilon_of([], DELTA) == 0


def test_a_scale_is_the_least_of_its_grid_and_aims_below_the_budget() -> None:
    needs = [Need(1, 1, Fraction(1, 4)), Need(2, 2, Fraction(3, 4), times=2)]
    scale = pld.scale_for(needs, Decimal(1), DELTA)
    assert scale is not None
    assert pld.cost(needs, scale, DELTA) <= pld.BELOW < pld.cost(needs, scale - (scale >> 13), DELTA)
    one, two = pld.variances(needs, scale)
    assert one == pytest.approx(4 * scale, rel=1e-6)
    assert two == pytest.approx(2 * 2 * scale * 4 / 3, rel=1e-6)


@settings(max_examples=6, deadline=None)  # a convolution for every step of two searches
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3),
    st.sampled_from(["0.2", "0.5", "1", "3"]),
)
def test_no_plan_costs_more_than_it_says_nor_needs_more_noise_than_renyi_orders(
    blocks: list[tuple[int, int]], epsilon: str
) -> None:
    shares = privacy.cost_shares([weight for _, weight in blocks])
    needs = [Need(m, m, share) for (m, _), share in zip(blocks, shares, strict=True)]
    found, above = (room.calibrate(needs, Decimal(epsilon), DELTA) for room in (pld, privacy))
    assert all(LEAST_V20 <= mine <= theirs for mine, theirs in zip(found, above, strict=True))
    events = [Event(need.l1, need.l2sq, v20) for need, v20 in zip(needs, found, strict=True)]
    assert pld.epsilon_of(events, DELTA) <= Decimal(epsilon)
    if min(found) > LEAST_V20:  # and a little less noise would not do
        events = [Event(need.l1, need.l2sq, v20 * 995 // 1000) for need, v20 in zip(needs, found, strict=True)]
        assert pld.epsilon_of(events, DELTA) > Decimal(epsilon) * Decimal("0.999")


def test_more_releases_cost_more_and_their_order_does_not_matter() -> None:
    one, two = count(50.0), count(80.0, 2)
    both = pld.epsilon_of([one, two], DELTA)
    assert pld.epsilon_of([one], DELTA) < both == pld.epsilon_of([two, one], DELTA)
    assert pld.epsilon_of([Event(1, 1, one.v20, times=3)], DELTA) == pld.epsilon_of([one] * 3, DELTA)


def test_amounts_are_not_counts() -> None:
    assert not pld.counts([Need(1, 1, Fraction(1, 2)), Need(3, 9, Fraction(1, 2))])
    assert pld.counts([Need(1, 1, Fraction(1, 2)), Need(3, 3, Fraction(1, 2))])
    with pytest.raises(ValueError, match="not a block of counts"):
        pld.epsilon_of([Event(3, 9, LEAST_V20)], DELTA)
