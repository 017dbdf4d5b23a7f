"""Laws of costs, budgets and caps, on a thousand cases each."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import noise, privacy
from protocols.noise import UNIT
from protocols.privacy import COST_UNIT, ORDERS, Cost, Curve, Event, Need

THOUSAND = settings(max_examples=1000, deadline=None)
DELTAS = st.sampled_from([Decimal("1e-5"), Decimal("1e-6"), Decimal("3e-9")])
STEPS = st.integers(1, 40)


@st.composite
def events(draw: st.DrawFn) -> Event:
    l1 = draw(st.integers(1, 1000))
    return Event(l1, l1 * draw(st.integers(1, l1)), draw(st.integers(4 * UNIT, 10**7 * UNIT)), draw(STEPS))


def epsilon(event: Event, delta: Decimal) -> Decimal:
    return privacy.epsilon_of(privacy.rdp(event), delta)


def no_dearer(one: Event, other: Event, delta: Decimal) -> bool:
    """At every order, and so in epsilon."""
    each = all(a <= b for a, b in zip(privacy.rdp(one), privacy.rdp(other), strict=True))
    return each and epsilon(one, delta) <= epsilon(other, delta)


@THOUSAND
@given(event=events(), more=st.integers(0, 10**7 * UNIT), delta=DELTAS)
def test_more_variance_never_costs_more(event: Event, more: int, delta: Decimal) -> None:
    assert no_dearer(Event(event.l1, event.l2sq, event.v20 + more, event.times), event, delta)


@THOUSAND
@given(event=events(), more=STEPS, delta=DELTAS)
def test_a_larger_square_costs_more(event: Event, more: int, delta: Decimal) -> None:
    larger = Event(event.l1, event.l2sq + more, event.v20, event.times)
    assert no_dearer(event, larger, delta)
    assert sum(privacy.rdp(event)) < sum(privacy.rdp(larger))


@THOUSAND
@given(event=events(), less=st.integers(0, 999), delta=DELTAS)
def test_a_smaller_sum_never_costs_more(event: Event, less: int, delta: Decimal) -> None:
    assert no_dearer(Event(max(1, event.l1 - less), event.l2sq, event.v20, event.times), event, delta)


@THOUSAND
@given(m=st.integers(1, 200), more=STEPS, v20=st.integers(4 * UNIT, 10**5 * UNIT), delta=DELTAS)
def test_more_touched_cells_cost_more(m: int, more: int, v20: int, delta: Decimal) -> None:
    assert no_dearer(Event(m, m, v20), Event(m + more, m + more, v20), delta)


@THOUSAND
@given(event=events(), more=STEPS, delta=DELTAS)
def test_more_rounds_cost_more_and_exactly_their_sum(event: Event, more: int, delta: Decimal) -> None:
    further = Event(event.l1, event.l2sq, event.v20, more)
    both = Event(event.l1, event.l2sq, event.v20, event.times + more)
    assert privacy.compose([privacy.rdp(event), privacy.rdp(further)]) == privacy.rdp(both)
    assert no_dearer(event, both, delta)


@THOUSAND
@given(v20=st.integers(4 * UNIT, 10**6 * UNIT), h=st.integers(1, 300), extra=st.integers(0, 300), delta=DELTAS)
def test_more_survivors_never_cost_more_and_the_fewest_cost_no_more_than_planned(
    v20: int, h: int, extra: int, delta: Decimal
) -> None:
    share = noise.node_v20(v20, h)
    planned, fewest, more = (Event(3, 5, total) for total in (v20, h * share, (h + extra) * share))
    assert no_dearer(fewest, planned, delta)
    assert no_dearer(more, fewest, delta)


CURVES = st.lists(events().map(privacy.rdp), max_size=3)


@THOUSAND
@given(curves=CURVES, data=st.data())
def test_composition_commutes_and_may_be_grouped_at_will(curves: list[Curve], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(curves))
    cut = data.draw(st.integers(0, len(curves)))
    grouped = privacy.compose([privacy.compose(shuffled[:cut]), privacy.compose(shuffled[cut:])])
    assert grouped == privacy.compose(curves)


@THOUSAND
@given(event=events(), order=st.sampled_from(ORDERS))
def test_a_cost_is_its_rational_value_rounded_up_by_less_than_one_unit(event: Event, order: int) -> None:
    v = Fraction(event.v20, UNIT)
    exact = order * event.l2sq / (2 * v)
    exact += min(((2 * order - 1) * event.l2sq + 6 * event.l1) / (4 * v * v), 3 * event.l1 / (2 * v))
    assert privacy.rdp_at(event, order) == event.times * ceil(exact * COST_UNIT)


@settings(max_examples=100, deadline=None)
@given(
    effects=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 3)), min_size=1, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    hundredths=st.integers(5, 600),
    delta=DELTAS,
)
def test_calibration_meets_the_budget_with_the_least_noise_in_any_order(
    effects: list[tuple[int, int, int]], weights: list[int], hundredths: int, delta: Decimal
) -> None:
    """Two parts in a million less of everything would break the budget, unless all blocks are at variance 4."""
    budget = Decimal(hundredths) / 100
    shares = privacy.cost_shares(weights[: len(effects)])
    needs = [Need(l1, l1 * factor, share, times) for (l1, factor, times), share in zip(effects, shares, strict=True)]
    variances = privacy.calibrate(needs, budget, delta)

    def spends(cut: Fraction) -> Decimal:
        least = [max(4 * UNIT, ceil(v * (1 - cut))) for v in variances]
        costs = [Event(n.l1, n.l2sq, v, n.times) for n, v in zip(needs, least, strict=True)]
        return privacy.epsilon_of(privacy.compose(map(privacy.rdp, costs)), delta)

    assert spends(Fraction(0)) <= budget
    assert spends(Fraction(2, 10**6)) > budget or set(variances) == {4 * UNIT}
    assert privacy.calibrate(needs[::-1], budget, delta) == variances[::-1]


@settings(max_examples=200, deadline=None)
@given(smaller=st.integers(1, 1000), larger=st.integers(0, 1000))
def test_a_larger_cap_admits_every_flagship_that_a_smaller_one_admits(smaller: int, larger: int) -> None:
    """The linear cost that a cap admits rises with its epsilon."""
    low, high = (privacy.cap(Decimal(tenths) / 10, Decimal("1e-6")) for tenths in (smaller, smaller + larger))
    assert Fraction(low.room, low.order) <= Fraction(high.room, high.order)
    assert all(
        Fraction(low.room, low.order) >= Fraction(int((Decimal(smaller) / 10 - price) * COST_UNIT) - 1, order)
        for order, price in zip(ORDERS, privacy._prices(Decimal("1e-6")), strict=True)
    )


@settings(max_examples=200, deadline=None)
@given(studies=st.lists(events(), min_size=1, max_size=12), epsilon=st.integers(1, 16))
def test_what_a_cap_admits_in_sequence_never_exceeds_its_epsilon(studies: list[Event], epsilon: int) -> None:
    """Whatever is asked next: the sum of what was admitted converts to at most the epsilon of the cap, at its order."""
    delta = Decimal("1e-6")
    cap, total = privacy.cap(Decimal(epsilon), delta), privacy.FREE
    for event in studies:
        study = privacy.cost([event], event.times, delta)
        if privacy.fits(cap, total, study):
            total += study
    assert privacy.epsilon_of(total.curve, delta) <= epsilon
    assert Fraction(total.sampler, privacy.SAMPLER_UNIT) * 1000 < Fraction(delta)
    assert isinstance(total, Cost)
