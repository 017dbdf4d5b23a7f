"""How many holders: one row."""

import numpy as np
import pytest

from protocols.statistics.count import Count
from protocols.statistics.rows import Row
from tests.laws.generated import finalized


def row(holders: int, variance: float = 0.0, sampling: bool | None = None, min_cell: int = 10) -> Row:
    question = Count(id="holders", sampling=sampling)
    (found,) = finalized(question, np.array([holders]), variance, min_cell=min_cell).rows
    return found


def test_in_exact_mode_the_count_is_a_whole_number_and_its_interval_a_point() -> None:
    found = row(26_606)
    assert (found.estimate, found.display, found.ci_low, found.ci_high) == (26_606, 26_606, 26_606, 26_606)
    assert isinstance(found.estimate, int)
    assert (found.se_noise, found.obs_status, found.base) == (0, "", None)


def test_the_register_is_the_population_unless_the_question_says_otherwise() -> None:
    """se_sampling is shown either way; it enters the interval only where the holders are a draw."""
    silent, drawn = row(10_000, 25.0), row(10_000, 25.0, sampling=True)
    assert silent.se_sampling == drawn.se_sampling == 100
    assert silent.ci_high == pytest.approx(10_000 + 1.959963985 * 5)
    assert drawn.ci_high == pytest.approx(10_000 + 1.959963985 * np.sqrt(25 + 10_000))
    assert row(10_000, 25.0, sampling=False) == silent


def test_a_count_below_zero_stays_as_it_is_and_is_shown_as_zero() -> None:
    found = row(-7, 25.0)
    assert (found.estimate, found.display, found.obs_status) == (-7, 0, "u")
    assert found.ci_low == 0
    assert found.ci_high == pytest.approx(-7 + 1.959963985 * 5)
    assert row(-70, 25.0).ci_high == 0


def test_a_small_count_is_marked_in_dp_mode_only() -> None:
    assert row(9).obs_status == ""
    assert row(9, 1.0).obs_status == "u"
    assert row(9, 1.0, min_cell=5).obs_status == ""
    assert row(49, 100.0).obs_status == "u"
    assert row(70, 100.0).obs_status == ""
    assert row(60, 100.0).obs_status == "u", "half-width above 30 %"
