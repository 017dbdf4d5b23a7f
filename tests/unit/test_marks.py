"""The one rule of marks, on both sides of each of its limits."""

import numpy as np
import pytest

from protocols.statistics import marks
from protocols.statistics.estimates import Floats
from protocols.statistics.rows import Row


def at(value: float) -> Floats:
    return np.array([value])


@pytest.mark.parametrize(
    ("count", "sd", "min_cell", "half_width", "low"),
    [
        (50.0, 10.0, 0, 15.0, False),
        (49.999999, 10.0, 0, 1.0, True),  # under five standard deviations of its noise
        (10.0, 0.0, 10, 0.0, False),
        (9.999999, 0.0, 10, 0.0, True),  # under the least cell
        (100.0, 1.0, 10, 30.0, False),
        (100.0, 1.0, 10, 30.000001, True),  # wider than 30 %
        (0.0, 0.0, 0, 0.0, False),  # an exact 0
        (-8.0, 2.0, 0, 1.0, True),
    ],
)
def test_a_count_is_doubtful_if_small_or_wide(
    count: float, sd: float, min_cell: float, half_width: float, low: bool
) -> None:
    assert marks.doubtful_count(at(count), sd, min_cell, at(half_width)).tolist() == [low]


@pytest.mark.parametrize(
    ("count", "half_width", "estimate", "low"),
    [
        (100.0, 0.06, 0.2, False),  # wide in itself, not for its size
        (100.0, 0.05, 0.1, False),  # wide for its size, not in itself
        (100.0, 0.060001, 0.2, True),
        (49.0, 0.001, 0.5, True),  # numerator under five standard deviations
    ],
)
def test_a_share_is_doubtful_if_its_numerator_is_small_or_if_it_is_wide_twice(
    count: float, half_width: float, estimate: float, low: bool
) -> None:
    assert marks.doubtful_share(at(count), 10.0, 0, at(half_width), at(estimate)).tolist() == [low]


@pytest.mark.parametrize(
    ("count", "low", "high", "doubtful"),
    [(50.0, 60.0, 120.0, False), (50.0, 60.0, 120.1, True), (49.0, 90.0, 110.0, True), (50.0, 0.0, 1.0, True)],
)
def test_an_index_is_doubtful_if_its_count_is_small_or_its_interval_doubles(
    count: float, low: float, high: float, doubtful: bool
) -> None:
    assert marks.doubtful_index(at(count), 10.0, at(low), at(high)).tolist() == [doubtful]


@pytest.mark.parametrize(
    ("denominator", "sd", "gone"),
    [(30.0, 10.0, False), (29.9, 10.0, True), (0.0, 0.0, True), (1.0, 0.0, False), (-5.0, 1.0, True)],
)
def test_nothing_is_divided_by_what_may_be_nothing(denominator: float, sd: float, gone: bool) -> None:
    assert marks.undivided(at(denominator), sd).tolist() == [gone]


def test_not_available_excludes_low_reliability() -> None:
    gone, doubtful = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert marks.letters(gone, doubtful).tolist() == ["x", "x", "u", ""]


def test_a_row_that_is_withheld_says_neither_its_base_nor_why_it_had_no_number() -> None:
    """In mode exact a share over a base of 0 is not available: beside withheld counts that would say that each of them is 0."""
    nobody = Row("share", {"sex": "male"}, base=0, obs_status="x")
    few = Row("share", {"sex": "male"}, base=3, estimate=1 / 3, obs_status="u")
    assert nobody.withheld() == few.withheld() == Row("share", {"sex": "male"}, conf_status="C")
    assert Row("change", {}, obs_status="bz").withheld().obs_status == "bz"
    assert Row("value", {}, estimate=1.0, obs_status="bu").withheld().obs_status == "b"
