"""Intervals by example: known values, noise and sampling apart and together, and where nothing can be said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import entropy
from protocols.statistics.estimates import Estimates, Floats, Table
from protocols.statistics.intervals import Index, benjamini_hochberg, quadratic, share, simplex, two_sided
from protocols.statistics.rows import significant
from tests.laws.generated import DOMAIN

Z = 1.959963984540054
STILL = np.zeros((2, 2))


def one(a: float, base: float, noise: Floats = STILL, sampling: bool = True, z: float = Z) -> tuple[float, float]:
    low, high = share(np.array([a]), np.array([base]), noise, z, sampling)
    return float(low[0]), float(high[0])


def test_without_noise_a_share_has_wilsons_interval() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for a, base, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert one(a, base) == pytest.approx((low, high), abs=5e-5)


def test_without_noise_and_sampling_a_share_is_a_point() -> None:
    assert one(30, 120, sampling=False) == pytest.approx((0.25, 0.25), abs=1e-12)


def test_noise_alone_moves_a_share_by_its_numerator_and_its_base() -> None:
    """Ends are where |a - pB| is z standard deviations of a - pB."""
    noise = np.array([[100.0, 60.0], [60.0, 400.0]])
    for p in one(300, 1_000, noise, sampling=False):
        assert abs(300 - p * 1_000) == pytest.approx(Z * np.sqrt(100 - 2 * p * 60 + p * p * 400))


@settings(max_examples=300)
@given(
    st.floats(-200, 2_000),
    st.floats(1, 2_000),
    st.floats(0, 900),
    st.floats(0, 900),
    st.floats(-1, 1),
    st.booleans(),
    st.floats(0.6, 4),
)
def test_a_share_interval_lies_in_0_to_1_and_holds_the_estimate(
    a: float, base: float, first: float, second: float, together: float, sampling: bool, z: float
) -> None:
    across = together * np.sqrt(first * second)
    low, high = one(a, base, np.array([[first, across], [across, second]]), sampling, z)
    assert 0 <= low <= np.clip(a / base, 0, 1) <= high <= 1


def test_a_base_that_noise_could_make_nothing_of_leaves_every_share_possible() -> None:
    assert one(5, 10, np.diag([100.0, 100.0])) == (0, 1)


def test_more_noise_never_narrows_an_interval() -> None:
    widths = [
        high - low for v in (0, 4, 50, 400, 2_000) for low, high in [one(120, 700, v * np.array([[1, 1], [1, 5.0]]))]
    ]
    assert widths == sorted(widths)


def test_an_index_of_one_code_that_everybody_has_is_100() -> None:
    sizes = [np.array([500.0])] * 2
    index = Index(sizes[0], sizes[0], sizes[1], sizes[1], np.zeros((4, 4)), sampling=True)
    assert index.estimate[0] == 1
    assert index.p_value[0] == 1
    assert [float(end[0]) for end in index.interval(Z)] == pytest.approx([1, 1])


def test_an_index_below_everything_that_noise_explains_is_a_point_at_0() -> None:
    noise = 4.0 * np.array([[1, 1, 1, 1], [1, 5, 1, 5], [1, 1, 3, 3], [1, 5, 3, 15.0]])
    numbers = [np.array([number]) for number in (-60.0, 900.0, 800.0, 3_000.0)]
    index = Index(numbers[0], numbers[1], numbers[2], numbers[3], noise, sampling=True)
    low, high = index.interval(Z)
    assert (low[0], high[0]) == (0, 0)


def test_two_sided_p_values_are_the_normals() -> None:
    found = two_sided(np.array([0.0, 1.959963984540054, -2.5758293035489, 0.0, 3.0]), np.array([1, 1, 1, 0, 0.0]))
    assert found.tolist() == pytest.approx([1, 0.05, 0.01, 1, 0], abs=1e-12)


def test_benjamini_and_hochberg_by_hand() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.04, np.nan, 0.16 / 3, 0.16 / 3, 0.5], nan_ok=True)
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def test_display_takes_from_all_cells_alike_what_the_negative_ones_lack() -> None:
    assert simplex(np.array([10.0, 5.0, -3.0])).tolist() == [8.5, 3.5, 0]
    assert simplex(np.array([[4.0, 0.0], [1.0, 2.0]])).tolist() == [[4, 0], [1, 2]]
    assert simplex(np.array([1.0, -3.0])).tolist() == [0, 0]
    assert simplex(np.array([-3.0])).tolist() == [0]


def test_a_quadratic_form_is_never_below_0() -> None:
    assert quadratic(np.array([[1.0, -1.0], [1.0, 0.0]]), np.array([[1, 1 + 1e-9], [1 + 1e-9, 1]])).tolist() == [0, 1]


def test_numbers_are_printed_with_12_significant_digits() -> None:
    assert significant(123456.78901234567) == 123456.789012
    assert significant(-1 / 3) == -0.333333333333
    assert significant(2e-9) == 2e-9


def test_the_public_stream_is_that_of_the_study_the_question_and_the_label() -> None:
    table = Table(
        (DOMAIN.axis("owner"),), np.array([1, 2, 3]), {frozenset(): np.zeros(()), frozenset(("owner",)): np.zeros(())}
    )
    sums = Estimates({"holders": table}, 0.95, 10, "sha256:a", "q")
    assert sums.stream("x").bytes(16) == entropy.public_stream("sha256:a", "q", "x").bytes(16)
    assert sums.stream("x").bytes(16) != sums.stream("y").bytes(16)
    assert sums.z == pytest.approx(Z, rel=1e-14)
    assert sums.least(table) == 0, "in exact mode no count is of low reliability for being small"
