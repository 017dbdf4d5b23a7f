"""A change between two rows: by hand, by what is published elsewhere, and what marks it carries."""

from math import exp, log, sqrt
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from coordinator import change, templates
from coordinator.change import Change, Reason
from coordinator.results import Question, Results, Row
from protocols import study as studies

ASKED = Question(kind="frequency", cities=("east",), keys=("product",))


def row(estimate: float | None, low: float | None = None, high: float | None = None, **more: Any) -> Row:
    given = {} if low is None else {"ci_low": low, "ci_high": high}
    return Row.model_validate({"measure": "mean", "product": "free", "estimate": estimate, **given, **more})


def ends(found: Change) -> list[float | None]:
    return [found.ci_low, found.ci_high]


def by(one: Row, other: Row) -> Change:
    return change.between(one, other, ASKED)


def share(a: int, n: int) -> Row:
    low, high = (float(end) for end in proportion_confint(a, n, method="wilson"))
    return row(a / n, low, high, measure="share", se_noise=0.0)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 20), (0, 10), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((0, 20), (10, 10), 0.6791, 1.0),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ],
)
def test_without_noise_a_change_of_shares_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table II, method 10."""
    found = by(share(*one), share(*other))
    assert ends(found) == pytest.approx([low, high], abs=5e-5)


def test_a_change_by_hand() -> None:
    """Arms of 3 and 4 below and above, then of 5 and 12: below sqrt(25 + 16), above sqrt(144 + 9)."""
    found = by(row(100, 97, 104, se_noise=3.0, se_sampling=1.0), row(90, 85, 102, se_noise=4.0, se_sampling=1.0))
    assert (found.scale, found.estimate) == ("difference", -10)
    assert found.ci_low == pytest.approx(-10 - sqrt(41), abs=1e-9)
    assert found.ci_high == pytest.approx(-10 + sqrt(153), abs=1e-9)
    assert found.se_noise == pytest.approx(5, abs=1e-9)
    assert found.se_sampling == pytest.approx(sqrt(2), abs=1e-9)


def test_an_index_by_hand() -> None:
    found = by(row(80, 40, 160, measure="index", se_noise=8.0), row(120, 60, 240, measure="index", se_noise=12.0))
    half = sqrt(2) * log(2)
    assert found.scale == "quotient"
    assert found.estimate == pytest.approx(1.5)
    assert found.ci_low == pytest.approx(1.5 * exp(-half), rel=1e-9)
    assert found.ci_high == pytest.approx(1.5 * exp(half), rel=1e-9)
    assert found.se_noise == pytest.approx(sqrt(2) * 0.1)


def test_an_end_that_was_cut_at_zero_does_not_shorten_the_interval() -> None:
    """A noised count of -3 with an error of 10 either way is printed as 0 to 7."""
    found = by(row(-3, 0, 7, measure="count", se_noise=5.0), row(50, 40, 60, measure="count", se_noise=5.0))
    assert ends(found) == pytest.approx([53 - sqrt(200), 53 + sqrt(200)])


def test_an_index_whose_interval_reaches_zero_has_no_quotient() -> None:
    found = by(row(80, 0, 160, measure="index"), row(120, 60, 240, measure="index"))
    assert (found.estimate, found.ci_low, found.obs_status) == (None, None, "x")
    assert by(row(-1, 0, 9, measure="index"), row(120, 60, 240, measure="index")).obs_status == "x"


def test_without_a_published_error_there_is_no_interval_and_no_test() -> None:
    found = by(row(1.5, measure="vif", obs_status="u"), row(2.0, measure="vif"))
    assert (found.estimate, found.ci_low, found.p_value, found.obs_status) == (0.5, None, None, "u")


def test_places_are_compared_of_what_stands_there_and_not_tested() -> None:
    first, second = (row(at, at - 1, at + 2, measure="rank", product=str(at), item="lump") for at in (3, 1))
    found = by(first, second)
    assert (found.keys, found.estimate, found.p_value) == ({"item": "lump"}, -2, None)
    assert found.ci_low is not None


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        ({"obs_status": "u"}, {}, ("u", "")),
        ({"obs_status": "b"}, {"obs_status": "u"}, ("bu", "")),
        ({"estimate": None, "obs_status": "x"}, {}, ("x", "")),
        ({"estimate": None, "obs_status": "z"}, {"estimate": None, "obs_status": "z"}, ("z", "")),
        ({"estimate": None, "conf_status": "C"}, {}, ("", "C")),
        ({}, {"estimate": None, "conf_status": "C"}, ("", "C")),
    ],
)
def test_a_change_has_the_marks_of_either_row(
    one: dict[str, Any], other: dict[str, Any], status: tuple[str, str]
) -> None:
    found = by(row(**{"estimate": 3.0, **one}), row(**{"estimate": 4.0, **other}))
    assert (found.obs_status, found.conf_status) == status
    assert (found.estimate is None) == (None in (one.get("estimate", 3), other.get("estimate", 4)))


def test_the_break_is_marked_where_the_reason_holds() -> None:
    rows = [
        change.between(row(3.0, scope=at), row(4.0, scope=at, obs_status="u"), ASKED)
        for at in ("pooled", "east", "west")
    ]
    reasons = (Reason("codes", {"cities": ["east"]}, frozenset(("pooled", "east"))),)
    assert [change._broken(each, reasons).obs_status for each in rows] == ["bu", "bu", "u"]
    assert change._broken(rows[2], (Reason("definition", {"parts": ["clip"]}),)).obs_status == "bu"


def yearly(folder: Path, year: int) -> change.Side:
    """The annual report of a year, of which nothing is known but what is asked."""
    text = templates.content("annual-report").decode().replace("2025-12", f"{year}-12").replace("2025-01", f"{year}-01")
    file = folder / f"{year}.yaml"
    file.write_text(text, encoding="utf-8")
    return change.Side(cast(Results, None), studies.load(file))


def test_yearly_figures_break_with_the_year_of_the_amendment_and_the_next(tmp_path: Path) -> None:
    """In force from 2026-09-20: the withdrawals of 2026 are partly of the old regulation. Who paid in is not touched by it."""
    years = {year: yearly(tmp_path, year) for year in (2024, 2025, 2026, 2027, 2028)}
    for first, second, broken in ((2024, 2025, False), (2025, 2026, True), (2026, 2027, True), (2027, 2028, False)):
        for name, touched in (("withdrawn_by_reason", True), ("withdrawal_rate", True), ("payers", False)):
            sides = (years[first], years[second])
            for pair in (sides, sides[::-1]):
                assert bool(change._breaks(name, *pair)) == (broken and touched), (first, second, name)


@given(
    st.tuples(*[st.floats(-1e6, 1e6) for _ in range(2)]),
    st.tuples(*[st.floats(1e-6, 1e3) for _ in range(4)]),
)
def test_a_change_holds_the_difference_and_turns_around_with_its_sides(
    values: tuple[float, ...], arms: tuple[float, ...]
) -> None:
    one, other = (row(v, v - b, v + a) for v, b, a in zip(values, arms[:2], arms[2:], strict=True))
    found, back = by(one, other), by(other, one)
    assert found.estimate is not None
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low <= found.estimate <= found.ci_high
    assert back.estimate == -found.estimate
    assert ends(back) == pytest.approx([-found.ci_high, -found.ci_low])
    if found.p_value is not None and abs(found.p_value - 0.05) > 1e-6:
        assert (found.p_value < 0.05) == (not found.ci_low <= 0 <= found.ci_high)
