"""Real numbers in every kind of amounts, from a dictionary's `number` to rows: beside pandas and numpy on the same values."""

from decimal import Decimal
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.dictionary import Column, Number, Table
from protocols.errors import Refusal
from protocols.statistics import KINDS
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode, whole_steps
from protocols.statistics.workload import Workload
from tests.oracles.test_amounts_oracles import AS_OF, DICTIONARY, EXACT, answers, crowd


def ranged(low: str, high: str) -> Domain:
    """A domain whose `rate` has another public range."""
    rate = Number.model_validate({"type": "number", "range": (low, high)})
    return Domain(DICTIONARY.model_copy(update={"variables": {**DICTIONARY.variables, "rate": rate}}))


@pytest.mark.parametrize(
    ("low", "high", "per"),
    [
        ("0", "1", 10**7),  # half of it is 5 * 10^6 steps; ten times as many would be more than 2^24
        ("-1.5", "2.25", 10**6),
        ("0", "100", 10**5),
        ("0", "33554432", 1),  # exactly 2^24 whole numbers
        ("0", "1e15", 1),  # never coarser than one: the amount is, as of money
        ("0", "0.000001", 10**12),
        ("1000000000000", "1000000000000.5", 10**3),  # float64 has no more places there
    ],
)
def test_a_number_has_as_many_decimal_places_as_its_range_has_room_for(low: str, high: str, per: int) -> None:
    domain = ranged(low, high)
    assert domain.per("rate") == per
    assert domain.range("rate") == (int(Decimal(low) * per), int(Decimal(high) * per))
    assert per == 1 or domain.amount("rate").half_width <= 1 << 24


reals: Final = st.floats(-3, 4) | st.sampled_from([-1.5, 2.25, np.nan, np.inf, -np.inf, 1e300, 5e-7, 1.5e-6, -0.0])


@given(st.lists(reals, max_size=20))
def test_values_are_clipped_and_rounded_half_to_even_to_their_places(values: list[float]) -> None:
    found = whole_steps(Column(np.array(values, dtype=float), np.ones(len(values), dtype=bool)), DICTIONARY, "rate")
    assert found.values.dtype == np.int64
    assert found.known.tolist() == [not np.isnan(value) for value in values]
    for value, step in zip(values, found.values.tolist(), strict=True):
        if not np.isnan(value):
            assert step == round(min(max(value, -1.5), 2.25) * 10**6)


def test_an_exact_study_refuses_a_number_outside_its_range_and_one_that_is_none() -> None:
    layout = Workload.of([KINDS["mean"].model_validate({"id": "q", "kind": "mean", "of": "rate"})], EXACT).layout
    for value, known, sound in (
        (2.25, True, True),
        (2.2500001, True, False),
        (np.nan, True, False),
        (9.0, False, True),
    ):
        table = Table(1, {"rate": Column(np.array([value]), np.array([known]))})
        if sound:
            assert encode(layout, table, DICTIONARY, AS_OF, None, exact=True)[0] == known
        else:
            with pytest.raises(Refusal, match="rate"):
                encode(layout, table, DICTIONARY, AS_OF, None, exact=True)


@pytest.mark.parametrize("seed", range(3))
def test_histogram_quantiles_ratio_and_moments_of_numbers_are_those_of_numpy(seed: int) -> None:
    table, frame = crowd(seed)
    found = answers(
        [
            {"id": "bins", "kind": "histogram", "of": "rate", "bins": ["-0.5", "0", "0.25001"]},
            {"id": "equal", "kind": "histogram", "of": "rate", "bins": "5"},
            {"id": "ranks", "kind": "quantiles", "of": "rate", "at": ["0.1", "0.5", "0.9"]},
            {"id": "over", "kind": "ratio", "numerator": "rate", "denominator": "height"},
            {"id": "clipped", "kind": "mean", "of": "rate", "clip": ["0.00001", "1"]},
            {"id": "pair", "kind": "moments", "of": ["rate", "height"]},
        ],
        table,
    )
    rate = frame["rate"].dropna()
    assert counts(found["bins"]) == np.histogram(rate, [-1.5, -0.5, 0, 0.25001, np.inf])[0].tolist()
    assert counts(found["equal"]) == np.histogram(rate, np.append(np.linspace(-1.5, 1.5, 5), np.inf))[0].tolist()
    names = [row.keys["rate"] for row in found["bins"].rows if row.measure == "count"]
    assert names == ["[-1.5, -0.5)", "[-0.5, 0)", "[0, 0.25001)", "[0.25001, 2.25]", "_missing"]
    leaf = 3.75 / 1024
    for row in (row for row in found["ranks"].rows if row.measure == "quantile" and row.base):
        assert row.estimate == pytest.approx(rate.quantile(float(row.keys["at"]), interpolation="lower"), abs=leaf)
        assert (row.ci_low or 0) < (row.estimate or 0) < (row.ci_high or 0)
    both = frame.dropna(subset=["rate", "height"])
    (over,) = (row for row in found["over"].rows if row.measure == "ratio" and row.estimate is not None)
    assert over.estimate == pytest.approx(both["rate"].sum() / both["height"].sum(), rel=1e-10)
    (mean,) = (row for row in found["clipped"].rows if row.measure == "mean" and row.estimate is not None)
    assert mean.estimate == pytest.approx(rate.clip(0.00001, 1).mean(), rel=1e-11)
    (pair,) = (row for row in found["pair"].rows if row.measure == "correlation")
    assert pair.estimate == pytest.approx(np.corrcoef(both["rate"], both["height"])[0, 1], rel=1e-10)


def counts(answer: Any) -> list[Any]:
    """Of the bins, in order."""
    return [row.estimate for row in answer.rows if row.measure == "count" and row.keys["rate"] != "_missing"]
