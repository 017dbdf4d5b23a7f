"""Costs, conversion, calibration and caps against published values and independent computations."""

import ast
import inspect
import json
import time
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, isqrt
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from dp_accounting.rdp import rdp_privacy_accountant
from scipy.special import ive, logsumexp

from protocols import privacy
from protocols.errors import ConfigError, Refusal
from protocols.noise import MOST_DRAWS, UNIT
from protocols.privacy import COST_UNIT, FREE, NOTHING, ORDERS, Cost, Event, Need

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/privacy/rdp.json").read_text())
REFERENCE = json.loads((Path(__file__).parents[1] / "vectors/privacy/reference.json").read_text())
DELTA = Decimal(VECTORS["delta"])
PLAN = (1_250_036_416, 258_628_224_000, 258_628_224)
ROOM = 58_506_161_865_748_711_546
FLAGSHIP = Event(29, 29, ceil(518.852 * UNIT))


def count(variance: float, m: int = 1) -> Event:
    """A count block: one holder moves m cells by one."""
    return Event(m, m, ceil(variance * UNIT))


def spent(event: Event) -> Cost:
    return privacy.cost([event], 0, DELTA)


# --- vectors


def test_orders_are_those_of_the_specification() -> None:
    assert ORDERS[:127] == tuple(range(2, 129))
    assert len(ORDERS) == 143
    assert list(ORDERS) == sorted(set(ORDERS))
    assert ORDERS[-1] == 4096


@pytest.mark.parametrize("vector", VECTORS["epsilon"])
def test_epsilon_vectors(vector: dict[str, Any]) -> None:
    epsilon = privacy.epsilon_of(privacy.rdp(count(vector["variance"], vector["m"])), DELTA)
    assert float(epsilon) == pytest.approx(vector["epsilon"], rel=5e-3)


@pytest.mark.parametrize("vector", VECTORS["variance"])
def test_variance_vectors(vector: dict[str, Any]) -> None:
    m, epsilon = vector["m"], Decimal(vector["epsilon"])
    (v20,) = privacy.calibrate([Need(m, m, Fraction(1))], epsilon, DELTA)
    assert v20 / UNIT == pytest.approx(vector["variance"], rel=5e-3)


@pytest.mark.parametrize("vector", VECTORS["cost"])
def test_cost_vectors(vector: dict[str, Any]) -> None:
    cost = privacy.cost_at(privacy.rdp(count(vector["variance"])), vector["order"])
    assert cost / COST_UNIT == pytest.approx(vector["cost"], abs=5e-5)


@pytest.mark.parametrize("vector", VECTORS["caps"])
def test_cap_vectors(vector: dict[str, Any]) -> None:
    cap = privacy.cap(Decimal(vector["epsilon"]), DELTA)
    assert cap.order == vector["order"]
    decimals = len(vector["room"].split(".")[1])
    assert abs(Decimal(cap.room) / COST_UNIT - Decimal(vector["room"])) < Decimal(10) ** -decimals


@pytest.mark.parametrize("vector", REFERENCE["cost"], ids=lambda v: f"{v['l1']}-{v['l2sq']}-{v['order']}")
def test_costs_equal_those_of_the_public_reference_code(vector: dict[str, Any]) -> None:
    event = Event(vector["l1"], vector["l2sq"], round(vector["variance"] * UNIT))
    assert privacy.rdp_at(event, vector["order"]) / COST_UNIT == pytest.approx(vector["cost"], rel=1e-12)


@pytest.mark.parametrize("delta", ["1e-6", "1e-5", "1e-9"])
@pytest.mark.parametrize("event", [count(25), count(4), count(518.852, 29), Event(900, 640_000, 77_000_000 * UNIT)])
def test_conversion_equals_that_of_dp_accounting(event: Event, delta: str) -> None:
    curve = privacy.rdp(event)
    theirs, _ = rdp_privacy_accountant.compute_epsilon(ORDERS, [cost / COST_UNIT for cost in curve], float(delta))
    assert float(privacy.epsilon_of(curve, Decimal(delta))) == pytest.approx(theirs, rel=1e-6)


# --- the bound, against the law itself


def exact_rdp(variance: float, step: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rényi divergence of Sk(V) from Sk(V) + step at every order, by summing over the integers in logarithms.

    Ratios I_k / I_{k-1} by the continued fraction, downward. At order a the sum has its weight near a * step or nearer to 0; it is taken
    over twice that and 60 standard deviations, on both sides.
    """

    def reach(order: int) -> int:
        return 2 * order * step + 60 * (isqrt(ceil(variance)) + 1) + 200

    last = reach(ORDERS[-1]) + step
    ratios = np.empty(last + 100)
    ratio = 0.0
    for k in range(len(ratios), 0, -1):
        ratio = 1 / (2 * k / variance + ratio)
        ratios[k - 1] = ratio
    half = np.log(ive(0, variance)) + np.concatenate([[0], np.cumsum(np.log(ratios[:last]))])
    log_p = np.concatenate([half[:0:-1], half])

    def divergence(a: int) -> Any:
        low, high = last - reach(a), last + reach(a) + 1
        return logsumexp(a * log_p[low:high] + (1 - a) * log_p[low - step : high - step]) / (a - 1)

    return np.array([divergence(a) for a in ORDERS])


@pytest.mark.parametrize("step", [1, 5, 32])
@pytest.mark.parametrize("variance", [4, 25, 100, 10_000])
def test_the_bound_is_never_below_the_exact_divergence(variance: int, step: int) -> None:
    """At every order, for one cell that one holder changes by `step` (D1 = step, D2 = step**2)."""
    bound = np.array(privacy.rdp(Event(step, step**2, variance * UNIT))) / COST_UNIT
    exact = exact_rdp(variance, step)
    assert (bound >= exact * (1 - 1e-10)).all()
    if (variance, step) == (25, 1):
        assert bound[ORDERS.index(8)] / exact[ORDERS.index(8)] < 1.08


@pytest.mark.parametrize("vector", VECTORS["cost"])
def test_the_exact_divergence_is_the_published_one(vector: dict[str, Any]) -> None:
    assert exact_rdp(vector["variance"], 1)[ORDERS.index(vector["order"])] == pytest.approx(vector["exact"], rel=5e-3)


def test_at_large_variance_the_cost_is_that_of_gaussian_noise() -> None:
    """a D2 / (2V), within a part in 10^5 at V = 10^6."""
    curve = privacy.rdp(count(10**6))
    assert all(
        1 < Fraction(cost, COST_UNIT) / Fraction(a, 2 * 10**6) < 1.00001 for a, cost in zip(ORDERS, curve, strict=True)
    )


# --- rounding


def test_logarithms_are_rounded_outward() -> None:
    """What conversion adds is never below its 80-digit value, and less than 1e-45 above it."""
    with mpmath.workdps(80):
        for delta in (DELTA, Decimal("1e-9"), Decimal("0.00001234")):
            for a, price in zip(ORDERS, privacy._prices(delta), strict=True):
                exact = mpmath.log(mpmath.mpf(a - 1) / a)
                exact -= (mpmath.log(mpmath.mpf(str(delta))) + mpmath.log(a)) / (a - 1)
                assert 0 <= mpmath.mpf(str(price)) - exact < mpmath.mpf(10) ** -45


@pytest.mark.parametrize("epsilon", ["1", "2", "4", "6", "8", "16"])
def test_a_room_is_rounded_down_by_less_than_one_unit(epsilon: str) -> None:
    cap = privacy.cap(Decimal(epsilon), DELTA)
    with mpmath.workdps(80):
        a = mpmath.mpf(cap.order)
        exact = (
            mpmath.mpf(epsilon) - mpmath.log((a - 1) / a) + (mpmath.log(mpmath.mpf("1e-6")) + mpmath.log(a)) / (a - 1)
        )
        assert 0 <= exact * COST_UNIT - cap.room < 1


def test_an_unusual_decimal_context_of_the_caller_changes_nothing() -> None:
    """Two parties must compute the same integers, whatever else their programs do with decimals."""

    def everything() -> tuple[object, ...]:
        privacy._prices.cache_clear()
        needs = [Need(1, 1, Fraction(1, 3)), Need(7, 30, Fraction(2, 3))]
        return (
            privacy.calibrate(needs, Decimal("0.7"), DELTA),
            privacy.cap(Decimal(6), DELTA),
            privacy.cost([FLAGSHIP], 1000, DELTA),
        )

    usual = everything()
    with localcontext() as context:
        context.prec, context.rounding = 4, "ROUND_DOWN"
        assert everything() == usual


def test_no_float_enters_a_cost_a_cap_or_a_plan() -> None:
    source = inspect.getsource(privacy)
    nodes = list(ast.walk(ast.parse(source)))
    assert not [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, float)]
    assert not {node.id for node in nodes if isinstance(node, ast.Name)} & {"float", "log", "exp", "round", "np"}


def test_the_units_that_ledgers_and_plans_must_agree_on() -> None:
    """Frozen: stored costs are compared to the last unit. 0.0436 is the cost at order 2 of V = 25, exactly."""
    assert (privacy.COST_UNIT, privacy.SAMPLER_UNIT, privacy.LEAST_V20) == (2**64, 2**176, 2**22)
    assert privacy.rdp_at(count(25), 2) == ceil(Fraction(436, 10_000) * 2**64)
    assert privacy.cap(Decimal(6), DELTA).room == ROOM


# --- calibration


def test_two_blocks_of_money_and_count_are_paid_by_their_squares() -> None:
    """D2, not D1, drives the noise of a money block: taking D1 for it would give a hundredth of the variance."""
    money, counted = privacy.calibrate(
        [Need(100, 10_000, Fraction(1, 2)), Need(1, 1, Fraction(1, 2))], Decimal(1), DELTA
    )
    assert money == pytest.approx(10_000 * counted, rel=1e-6)
    assert privacy.rdp_at(Event(100, 10_000, money), 8) > 0.9 * privacy.rdp_at(Event(1, 1, counted), 8)


def test_twice_the_weight_halves_the_variance() -> None:
    shares = privacy.cost_shares([1, 2, Decimal("0.5")])
    single, double, half = privacy.calibrate([Need(1, 1, share) for share in shares], Decimal("0.2"), DELTA)
    assert double * 2 == pytest.approx(single, rel=1e-6)
    assert half == pytest.approx(2 * single, rel=1e-6)


def test_a_question_released_both_ways_pays_a_tenth_for_the_pooled_block() -> None:
    part = privacy.POOLED_PART
    shares = privacy.cost_shares([part, 1 - part, 1])
    assert shares == (Fraction(1, 20), Fraction(9, 20), Fraction(1, 2))


def test_a_block_that_needs_little_noise_gets_variance_four_and_the_others_profit() -> None:
    cheap, dear = Need(1, 1, Fraction(99, 100)), Need(20, 400, Fraction(1, 100))
    epsilon = Decimal(4)
    v_cheap, v_dear = privacy.calibrate([cheap, dear], epsilon, DELTA)
    assert v_cheap == 4 * UNIT < v_dear
    charged = privacy.compose([privacy.rdp(Event(1, 1, v_cheap)), privacy.rdp(Event(20, 400, v_dear))])
    assert Decimal("0.9999") * epsilon < privacy.epsilon_of(charged, DELTA) <= epsilon


def test_a_generous_budget_still_gets_variance_four() -> None:
    needs = [Need(1, 1, Fraction(1, 2)), Need(1, 1, Fraction(1, 2))]
    assert privacy.calibrate(needs, Decimal(50), DELTA) == (4 * UNIT, 4 * UNIT)


def test_all_runs_of_a_repeat_and_rounds_of_a_model_are_paid_for() -> None:
    """Twelve runs of one block are twelve blocks."""
    (each,) = privacy.calibrate([Need(3, 5, Fraction(1), times=12)], Decimal(1), DELTA)
    assert privacy.calibrate([Need(3, 5, Fraction(1, 12))] * 12, Decimal(1), DELTA) == (each,) * 12
    assert privacy.rdp(Event(3, 5, each, times=12)) == privacy.compose([privacy.rdp(Event(3, 5, each))] * 12)


def test_an_epsilon_below_what_the_orders_can_show_is_refused_with_the_least() -> None:
    for refused in (
        lambda: privacy.calibrate([Need(1, 1, Fraction(1))], Decimal("0.001"), DELTA),
        lambda: privacy.cap(Decimal("0.001"), DELTA),
    ):
        with pytest.raises(ConfigError) as found:
            refused()
        assert found.value.code == "PRIVACY_EPSILON_TOO_SMALL"
        assert "0.0011" in found.value.text("en")


def test_a_plan_of_eighty_different_blocks_takes_at_most_two_seconds() -> None:
    needs = [Need(i, i * i, share) for i, share in enumerate(privacy.cost_shares(range(1, 81)), 1)]
    start = time.process_time()
    variances = privacy.calibrate(needs, Decimal(1), DELTA)
    assert time.process_time() - start <= 2
    assert len(variances) == 80


def test_a_known_plan_has_the_same_integers_on_every_machine() -> None:
    """Frozen: nodes recompute a plan and compare it exactly, so that a change here is a change of the protocol."""
    needs = [Need(29, 29, Fraction(1, 2)), Need(100, 4000, Fraction(1, 3)), Need(1, 1, Fraction(1, 6), times=2)]
    assert privacy.calibrate(needs, Decimal("1"), DELTA) == PLAN


# --- caps


def test_one_asker_gets_22_flagship_studies_in_a_year_and_not_23() -> None:
    cap = privacy.cap(Decimal(6), DELTA)
    study = spent(FLAGSHIP)
    assert privacy.rdp_at(FLAGSHIP, 5) / COST_UNIT == pytest.approx(0.14014, abs=5e-6)
    total, answered = FREE, 0
    while privacy.fits(cap, total, study):
        total, answered = total + study, answered + 1
    assert answered == 22
    assert 0 < privacy.left(cap, total) < privacy.cost_at(study.curve, cap.order)


def test_a_study_that_fills_the_room_to_the_last_unit_fits_and_one_more_unit_does_not() -> None:
    cap = privacy.cap(Decimal(1), DELTA)
    full = tuple(cap.room if order == cap.order else 0 for order in ORDERS)
    over = tuple(cost + 1 for cost in full)
    assert privacy.fits(cap, FREE, Cost(full, 0))
    assert privacy.left(cap, Cost(full, 0)) == 0
    assert not privacy.fits(cap, FREE, Cost(over, 0))
    assert not privacy.fits(cap, Cost(full, 0), Cost((1,) * len(ORDERS), 0))
    assert privacy.left(cap, Cost(over, 0)) == 0


def test_only_the_order_of_the_cap_counts() -> None:
    cap = privacy.cap(Decimal(1), DELTA)
    elsewhere = tuple(0 if order == cap.order else 1 << 200 for order in ORDERS)
    assert privacy.fits(cap, FREE, Cost(elsewhere, 0))


def test_deltas_of_the_sampler_stay_below_a_thousandth_of_the_delta_of_the_cap() -> None:
    cap = privacy.cap(Decimal(6), DELTA)
    least_too_many = ceil(Fraction(DELTA) / 1000 * privacy.SAMPLER_UNIT)
    assert privacy.fits(cap, Cost(NOTHING, 1), Cost(NOTHING, least_too_many - 2))
    assert not privacy.fits(cap, Cost(NOTHING, 1), Cost(NOTHING, least_too_many - 1))


def test_the_sampler_adds_draws_times_one_plus_e_to_the_epsilon_rounded_up() -> None:
    assert privacy.sampler_delta(0, Decimal(1)) == 0
    assert privacy.sampler_delta(1, Decimal(0)) == 3  # 2, and the outward step of the exponential
    assert privacy.sampler_delta(1, Decimal(1)) == 4
    with mpmath.workdps(60):
        assert privacy.sampler_delta(10**30, Decimal("0.5")) == int(mpmath.ceil(10**30 * (1 + mpmath.exp("0.5"))))


def test_a_whole_year_of_full_blocks_adds_less_than_1e_40_to_delta() -> None:
    """10^4 studies of 80 blocks of the most draws, in 300 cities."""
    assert privacy.sampler_delta(10**4 * 80 * MOST_DRAWS * 300, Decimal(4)) / privacy.SAMPLER_UNIT < 1e-37


def test_a_plan_of_absurd_cost_has_a_cost_and_does_not_fit() -> None:
    absurd = privacy.cost([Event(10**9, 10**18, 4 * UNIT)], 1, DELTA)
    assert absurd.sampler > privacy.SAMPLER_UNIT
    assert not privacy.fits(privacy.cap(Decimal(16), DELTA), FREE, absurd)


def test_nothing_costs_nothing() -> None:
    assert privacy.compose([]) == NOTHING
    assert privacy.cost([], 0, DELTA).curve == NOTHING
    assert privacy.epsilon_of(NOTHING, Decimal("0.5")) == 0


# --- bad input


def test_a_total_variance_below_four_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        Event(1, 1, 4 * UNIT - 1)
    assert refused.value.code == "NOISE_VARIANCE"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Event(0, 0, 4 * UNIT),
        lambda: Event(2, 1, 4 * UNIT),
        lambda: Event(1, 1, 4 * UNIT, times=0),
        lambda: privacy.cost_shares([]),
        lambda: privacy.cost_shares([1, 0]),
        lambda: privacy.calibrate([], Decimal(1), DELTA),
        lambda: privacy.calibrate([Need(1, 1, Fraction(1, 2))], Decimal(1), DELTA),
        lambda: privacy.calibrate([Need(1, 1, Fraction(2)), Need(1, 1, Fraction(-1))], Decimal(1), DELTA),
        lambda: privacy.sampler_delta(-1, Decimal(1)),
        lambda: privacy.sampler_delta(1, Decimal("NaN")),
    ],
)
def test_what_a_layout_cannot_be_is_not_given_a_cost(wrong: Any) -> None:
    with pytest.raises(ValueError, match="privacy: needs"):
        wrong()


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity"])
def test_epsilons_and_deltas_are_finite_and_positive(amount: str) -> None:
    bad, need = Decimal(amount), [Need(1, 1, Fraction(1))]
    for use in (
        lambda: privacy.cap(bad, DELTA),
        lambda: privacy.cap(Decimal(1), bad),
        lambda: privacy.calibrate(need, bad, DELTA),
        lambda: privacy.calibrate(need, Decimal(1), bad),
        lambda: privacy.epsilon_of(NOTHING, bad),
    ):
        with pytest.raises(ValueError, match="privacy: needs"):
            use()
