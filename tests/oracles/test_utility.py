"""What the benchmark of utility must find: the same ratios from declared variances alone, and an interval that covers."""

import math
from fractions import Fraction
from typing import Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import entropy, pld
from protocols.noise import UNIT, node_v20
from simulations.bench import utility
from simulations.bench.utility import FEDERATIONS, Federation

WORKLOAD: Final = utility.Workload.of(utility.SIZES, 0)


def declared(v20: list[int]) -> float:
    """RMSE after least squares, as tables declare it."""
    zero = np.zeros(WORKLOAD.layout.length, dtype=np.int64)
    (family,) = reconcile(WORKLOAD.layout, zero, [Fraction(each, UNIT) for each in v20]).values()
    names = [frozenset(axis.name for axis in block.axes) for block in WORKLOAD.layout.blocks]
    return math.sqrt(np.mean([family.table(each).sd.item() ** 2 for each in names]))


def test_the_library_finds_the_published_scale() -> None:
    """zCDP at epsilon 1, delta 10^-6: 4.531 for one count, the root of 29 times as much for 29."""
    assert utility.opendp_scale(1) == pytest.approx(4.531, abs=1e-3)
    assert utility.opendp_scale(29) == pytest.approx(4.531 * math.sqrt(29), abs=5e-3)


@pytest.mark.parametrize("federation", FEDERATIONS, ids=lambda each: each.name)
def test_every_target_follows_from_declared_variances(federation: Federation) -> None:
    """And nothing below the floor: a federation adds n shares of noise of which h suffice."""
    n = federation.cities
    total, equal = WORKLOAD.total, WORKLOAD.calibrated(pld.calibrate)
    honest = n - federation.dropouts - federation.colluders
    ours = declared([n * node_v20(each, honest) for each in total])
    one_place, every_city = declared(list(total)), math.sqrt(n * equal[0] / UNIT)
    ratios = ours / utility.opendp_scale(29), ours / one_place, ours / every_city
    assert all(found <= most for found, most in zip(ratios, federation.most, strict=True))
    assert ratios[1] == pytest.approx(federation.floor, rel=1e-6)
    assert ratios[1] >= federation.floor * (1 - 1e-12)


def test_errors_that_are_measured_are_those_declared() -> None:
    total = WORKLOAD.total
    found = utility.Workload.of(utility.SIZES, 0).errors_of(FEDERATIONS[1], total, 30)
    expected = declared([20 * node_v20(each, 16) for each in total])
    assert math.sqrt(found.mean()) == pytest.approx(expected, rel=0.1)  # the mean of 30 is right to 2 %


def test_the_interval_of_a_ratio_covers_it() -> None:
    """95 % of 1,000 intervals, each of two times 60 mean squares; between 93 and 97."""
    generator = entropy.public_stream("laws", "utility", "ratio")
    inside = 0
    for _ in range(1_000):
        ours, peer = (scale**2 * generator.chisquare(50, 60) / 50 for scale in (3.0, 4.0))
        _, low, high = utility.ratio(ours, peer)
        inside += low <= 0.75 <= high
    assert 930 <= inside <= 970
