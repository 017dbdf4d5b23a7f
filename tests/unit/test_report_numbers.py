"""Printed numbers: one scale per measure, the error beside it, the interval where it is not even."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.report.numbers import (
    MINUS,
    delta,
    epsilon,
    error,
    fixed,
    printed,
    probability,
    significant,
    span,
    tint,
)
from coordinator.results import Row


def row(
    measure: str, estimate: float | None, low: float | None = None, high: float | None = None, **more: object
) -> Row:
    status = {} if estimate is not None else {"obs_status": "x"}
    return Row.model_validate(
        {"measure": measure, "estimate": estimate, "ci_low": low, "ci_high": high, **status, **more}
    )


@pytest.mark.parametrize(
    ("made", "value", "shown"),
    [
        (row("count", 26604.2, 26556.0, 26652.4), "26,604", "±48"),
        (row("count", -3.2, 0.0, 41.4), f"{MINUS}3", "[0–41]"),
        (row("count", 5.0, -7.0, 17.0), "5", "±12"),
        (row("share", 0.053, 0.0512, 0.0548), "5.30", "±0.18"),
        (row("share", 0.408, 0.405, 0.411), "40.8", "±0.3"),
        (row("row_share", 0.0999, 0.05, 0.2), "9.99", "[5.00–20.00]"),
        (row("index", 118.9, 116.1, 121.7), "118.9", "±2.8"),
        (row("index", 26.07, 23.05, 29.49), "26.1", "[23.1–29.5]"),
        (row("quantile", 180, 180, 190), "180", "[180–190]"),
        (row("mean", -12.0, -20.0, 4.0), f"{MINUS}12.0", f"[{MINUS}20.0, 4.0]"),
        (row("mean", 7672.1, 7551.6, 7792.6), "7,672", "±120"),
        (row("sd", 6.1884, 5.68, 6.74), "6.19", "[5.68–6.74]"),
        (row("total", 849748375.53, 845365828.52, 854130922.54), "849,748,376", "±4,382,547"),
        (row("count", 7.0), "7", ""),
        (row("count", 7.0, 7.0, 7.0), "7", "±0"),
        (row("something", 0.081234, 0.0712, 0.0912), "0.0812", "±0.0100"),
    ],
)
def test_a_number_is_printed_with_its_error(made: Row, value: str, shown: str) -> None:
    number = printed(made)
    assert number is not None
    assert (number.value, number.error) == (value, shown)


def test_what_is_not_given_is_not_printed() -> None:
    assert printed(row("count", None)) is None


def test_small_values_never_look_like_nothing() -> None:
    assert [probability(p) for p in (0.0, 0.0009, 0.001, 0.0494, 1.0)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.049",
        "1.000",
    ]
    assert [epsilon(value) for value in (1.0, 0.999999, 0.125, 0.004)] == ["1.00", "1.00", "0.12", "0.0040"]
    assert [delta(value) for value in (1e-6, 2.5e-7, 1e-10)] == ["1e-6", "2.5e-7", "1e-10"]
    assert [significant(value) for value in (0.0123456, 123.456, 0.0, -0.00081)] == [
        "0.0123",
        "123",
        "0",
        f"{MINUS}0.000810",
    ]


def test_minus_is_a_minus_and_never_stands_before_zero() -> None:
    assert fixed(-1234.5, 1) == f"{MINUS}1,234.5"
    assert fixed(-0.04, 1) == "0.0"
    assert span("1", "2") == "1–2"
    assert span(f"{MINUS}1", "2") == f"{MINUS}1, 2"


@given(st.floats(-1e6, 1e6), st.floats(0, 1e5), st.floats(0, 1e5), st.integers(0, 3))
def test_half_of_an_interval_is_only_written_where_it_is_the_interval(
    value: float, below: float, above: float, places: int
) -> None:
    shown = error(value, value - below, value + above, places)
    unit = 10**-places
    if shown.startswith("±"):
        half = float(shown[1:].replace(",", ""))
        assert abs(half - below) <= 1.001 * unit + 1e-9
        assert abs(half - above) <= 1.001 * unit + 1e-9
    else:
        assert abs(above - below) > unit - 1e-6


@pytest.mark.parametrize(
    ("made", "look"),
    [
        (row("index", 100.0, 99, 101, preference="none"), "grey"),
        (row("index", 177.8, 170, 180, preference="over"), "o5"),
        (row("index", 155.0, 150, 160, preference="over"), "o4"),
        (row("index", 140.1, 130, 150, preference="over"), "o4"),
        (row("index", 125.1, 120, 130, preference="over"), "o3"),
        (row("index", 110.1, 105, 115, preference="over"), "o2"),
        (row("index", 104.0, 103, 105, preference="over"), "o1"),
        (row("index", 96.0, 95, 97, preference="under"), "u1"),
        (row("index", 44.9, 40, 50, preference="under"), "u5"),
        (row("index", 177.8, 90, 300, preference="over", obs_status="u"), "grey"),
        (row("index", 130.0, 120, 140), "grey"),
        (row("index", None), "held"),
        (row("index", None, conf_status="C", obs_status=""), "held"),
    ],
)
def test_colour_follows_the_distance_from_100_and_nothing_else(made: Row, look: str) -> None:
    assert tint(made) == look
