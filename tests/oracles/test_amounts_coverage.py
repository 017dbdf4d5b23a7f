"""Do intervals of means, standard deviations, totals and bins hold the truth as often as they say?"""

from math import sqrt

import numpy as np
import pytest

from simulations.bench.amounts import BOUNDED, MEASURES, both, pooled, simulated


def test_intervals_of_amounts_hold_the_truth_about_as_often_as_they_say() -> None:
    unmarked, _ = simulated(26_606, 6, 120, "fast")
    for measure in MEASURES:
        assert abs(pooled(unmarked, measure) - 0.95) <= 4 * sqrt(0.95 * 0.05 / 120), measure


def test_a_standard_deviation_of_skewed_amounts_as_a_draw_has_an_interval_that_is_long_enough() -> None:
    """As of a normal variable it held the truth in two of three runs."""
    unmarked, marked = simulated(26_606, 6, 60, "skewed")
    held = [each for key, runs in both(unmarked, marked).items() if key[:2] == BOUNDED for each in runs]
    assert len(held) > 150  # the others have no variance apart from 0
    assert np.mean(held) >= 0.95


def test_intervals_that_forget_noise_are_found_out() -> None:
    """The control: the same check fails where a hundredth of the noise is declared."""
    unmarked, marked = simulated(3_000, 3, 60, "fast", scale=0.01)
    assert pooled(both(unmarked, marked), "mean") < 0.85
    assert pooled(both(unmarked, marked), "total") < 0.5
    assert pooled(both(unmarked, marked), "sd") < 0.5
    assert pooled(both(unmarked, marked), "count") < 0.5


@pytest.mark.slow  # 1,000 runs of each design
@pytest.mark.parametrize("cities", [3, 20])
@pytest.mark.parametrize("n", [3_000, 26_606, 1_000_000])
def test_intervals_of_amounts_hold_the_truth_as_often_as_they_say(n: int, cities: int) -> None:
    """Of all runs; and of unmarked ones where nearly all are, since which are unmarked depends on where noise has moved them."""
    unmarked, marked = simulated(n, cities, 1_000, "slow")
    every = both(unmarked, marked)
    for measure in MEASURES:
        most = 0.985 if measure == "sd" else 0.97  # the wider of two intervals
        assert 0.93 <= pooled(every, measure) <= most, measure
        if n > 3_000:
            assert 0.93 <= pooled(unmarked, measure) <= most, measure
    for key, runs in every.items():
        assert np.mean(runs) >= 0.90, key
