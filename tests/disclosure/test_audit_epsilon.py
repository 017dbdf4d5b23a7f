"""T21 `audit-epsilon`: is the noise as wide as claimed? Measured on what gates draw, with a bound that is right 95 times in 100.

An audit refutes and never proves: these tests show that the claim survives it, and that it finds noise that is too narrow.
"""

import math
from typing import Final

import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_mechanism import GaussianPrivacyLoss
from statsmodels.stats.proportion import proportion_confint

from protocols.entropy import seeded
from protocols.noise import UNIT, node_v20
from protocols.statistics.layout import Measure
from simulations.bench import audit, utility
from tests.disclosure.attacked import tried
from tests.laws.test_consistency_laws import reference

NAME: Final = "audit-epsilon"
FEW: Final = 10**4
MANY: Final = 10**6


def allowed() -> float:
    """mu that a bound may reach: 0.241."""
    return audit.TOLERANCE * audit.mu(audit.claimed())


def test_the_claim_is_that_of_29_tables_at_epsilon_1() -> None:
    variance = audit.claimed() / UNIT
    assert variance == pytest.approx(518.9, rel=5e-3)  # of a coarser grid; ours is 517.5, and never below the exact sum
    assert allowed() == pytest.approx(0.241, abs=5e-4)
    assert audit.epsilon_low(audit.mu(audit.claimed())) == pytest.approx(1, abs=0.01)  # at this V all but Gaussian


def test_one_holder_moves_one_cell_of_each_of_29_tables_by_one() -> None:
    """What the audit takes for granted, on the workload that is asked."""
    one, nobody = (utility.Workload.of(utility.SIZES, holders).truth for holders in (1, 0))
    assert sorted((one - nobody).tolist()) == [0] * (704 - audit.TABLES) + [1] * audit.TABLES
    assert {block.measure for block in utility.studied(utility.SIZES).workload.layout.blocks} == {Measure.ONE}
    sizes = [block.shape for block in utility.studied(utility.SIZES).workload.layout.blocks]
    assert sizes == [block.shape for block in reference().blocks]


def test_the_surplus_of_a_release_has_the_planned_variance() -> None:
    drawn = audit.surplus(node_v20(audit.claimed(), audit.CITIES), audit.CITIES, FEW, seeded("audit", "variance"))
    planned = audit.TABLES * audit.claimed() / UNIT
    assert np.mean(drawn.astype(float) ** 2) == pytest.approx(planned, rel=5 * math.sqrt(2 / FEW))


def audited(own_v20: int, cities: int, pairs: int, name: str) -> float:
    return audit.audited(own_v20, cities, pairs, seeded("audit", name))


def test_the_claim_survives_the_audit() -> None:
    """And the audit is not blind: at 10^4 pairs it sees most of what there is to see."""
    found = audited(node_v20(audit.claimed(), audit.CITIES), audit.CITIES, FEW, "honest")
    assert 0.15 < found <= allowed()


def test_noise_that_is_half_as_wide_is_found() -> None:
    found = audited(node_v20(audit.claimed(), audit.CITIES) // 4, audit.CITIES, FEW, "halved")
    assert found > allowed()
    assert audit.epsilon_low(found) > 1.5


@pytest.mark.slow  # 10^6 pairs: 6 * 10^7 draws for each city
@pytest.mark.parametrize("cities", [3, 6])
def test_the_claim_survives_a_million_pairs(cities: int) -> None:
    found = audited(node_v20(audit.claimed(), cities), cities, MANY, f"honest {cities}")
    assert 0.95 * audit.mu(audit.claimed()) < found <= allowed()


@pytest.mark.slow  # 10^6 pairs, fewer do not tell the two apart
def test_one_share_of_three_left_out_is_found() -> None:
    assert audited(node_v20(audit.claimed(), 3), 2, MANY, "left out") > allowed()


@pytest.mark.parametrize("errors", [0, 1, 4_400, 9_999, 10_000])
def test_rates_of_errors_are_bounded_as_clopper_and_pearson_bound_them(errors: int) -> None:
    upper = proportion_confint(errors, 10_000, alpha=0.05, method="beta")[1]
    assert audit._at_most(errors, 10_000) == pytest.approx(upper, rel=1e-9)


def test_a_guess_that_never_errs_or_always_gives_what_can_be_said() -> None:
    nothing, all_of_it = np.zeros(100, dtype=np.int64), np.full(100, audit.TABLES)
    assert audit.mu_low(nothing, all_of_it) > 3
    assert audit.mu_low(nothing, nothing) == 0
    assert audit.epsilon_low(0) == 0


@pytest.mark.parametrize("sd", [0.5, 2.0, 4.225, 40.0])
def test_epsilon_of_a_gaussian_number_is_that_of_dp_accounting(sd: float) -> None:
    """And, at standard deviation 4.225, the published 1 (Balle, Wang 2018)."""
    found = audit.epsilon_low(1 / sd)
    assert GaussianPrivacyLoss(sd).get_delta_for_epsilon(found) == pytest.approx(1e-6, rel=1e-6)
    assert sd != 4.225 or found == pytest.approx(1, abs=1e-3)


# --- as the attack of the suite


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]
