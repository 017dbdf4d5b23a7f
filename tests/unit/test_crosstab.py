"""Cells of tables of one to four variables, and whether two variables go together."""

from typing import Any

import numpy as np
import pytest

from protocols.statistics.crosstab import Crosstab
from protocols.statistics.independence import adjusted
from protocols.statistics.rows import Answer
from tests.laws.generated import finalized


def crosstab(by: tuple[str, ...], cells: Any, variance: float = 0.0, **keys: Any) -> Answer:
    """`cells` in the order of the block: axes ascend by name."""
    return finalized(Crosstab(id="q", by=by, **keys), np.asarray(cells).ravel(), variance)


# owner (false, true, _missing) x sex (male, female, unknown, _missing)
TABLE = np.array([[40, 30, 10, 1], [10, 10, 0, 2], [3, 0, 0, 4]])


def of(answer: Answer, measure: str) -> dict[tuple[str, ...], Any]:
    return {tuple(row.keys.values()): row for row in answer.rows if row.measure == measure}


def test_two_axes_have_shares_by_row_by_column_and_of_all() -> None:
    answer = crosstab(("sex", "owner"), TABLE)
    key = ("male", "true")
    assert of(answer, "count")[key].estimate == 10
    assert of(answer, "row_share")[key].estimate == 0.2
    assert of(answer, "row_share")[key].base == 50
    assert of(answer, "column_share")[key].estimate == 0.5
    assert of(answer, "column_share")[key].base == 20
    assert of(answer, "share")[key].estimate == 0.1
    assert of(answer, "share")[key].base == 100


def test_the_order_of_axes_turns_rows_into_columns() -> None:
    one, other = crosstab(("sex", "owner"), TABLE), crosstab(("owner", "sex"), TABLE)
    assert {key: row.estimate for key, row in of(one, "row_share").items()} == {
        (sex, owner): row.estimate for (owner, sex), row in of(other, "column_share").items()
    }
    assert one.tests[0].values["statistic"] == pytest.approx(other.tests[0].values["statistic"], rel=1e-11)


@pytest.mark.parametrize("by", [("sex",), ("sex", "owner", "product"), ("sex", "owner", "product", "generation")])
def test_other_tables_have_shares_of_all_and_no_test(by: tuple[str, ...]) -> None:
    cells = int(np.prod([{"sex": 4, "owner": 3, "product": 4, "generation": 4}[name] for name in by]))
    answer = crosstab(by, np.full(cells, 3))
    assert {row.measure for row in answer.rows} == {"count", "share"}
    assert len(answer.rows) == 2 * cells
    assert answer.tests == ()


def test_without_noise_the_tests_are_the_textbooks() -> None:
    """Codes that nobody has are left out, so that df counts the table that is there."""
    cells = np.zeros((3, 4), dtype=int)
    cells[:2, :2] = [[30, 10], [20, 40]]
    chi_square, v = crosstab(("owner", "sex"), cells).tests
    assert chi_square.values["statistic"] == pytest.approx(100 * (30 * 40 - 10 * 20) ** 2 / (40 * 60 * 50 * 50))
    assert chi_square.values["df"] == 1
    assert v.values["estimate"] == pytest.approx(np.sqrt(1 / 6))
    assert v.values["adjusted"] == pytest.approx(np.sqrt((1 / 6 - 1 / 99) / (1 - 1 / 99)))
    assert list(v.values) == ["estimate", "adjusted", "ci_low", "ci_high", "obs_status"]


def test_with_noise_the_table_is_that_of_the_dictionary() -> None:
    chi_square, v = crosstab(("sex", "owner"), 50 * TABLE, variance=16.0).tests
    assert chi_square.values["df"] == 2
    assert chi_square.values["p_value"] == 0.001, "none of 999 draws comes near: (1 + 0) / 1000"
    low, estimate, high = (v.values[name] for name in ("ci_low", "estimate", "ci_high"))
    assert isinstance(low, float)
    assert isinstance(estimate, float)
    assert isinstance(high, float)
    assert low < estimate < high


def test_the_same_study_gives_the_same_draws() -> None:
    first, again = (crosstab(("sex", "owner"), TABLE, variance=16.0).tests for _ in range(2))
    assert first == again


def test_a_table_of_one_code_has_no_test() -> None:
    cells = np.zeros((3, 4), dtype=int)
    cells[0] = [5, 6, 7, 8]
    for test in crosstab(("owner", "sex"), cells).tests:
        assert test.values == dict.fromkeys(test.values) | {"obs_status": "z"}


@pytest.mark.parametrize("variance", [0.0, 400.0])
def test_a_table_that_may_be_empty_has_no_test(variance: float) -> None:
    for test in crosstab(("owner", "sex"), np.zeros((3, 4), dtype=int), variance).tests:
        assert test.values == dict.fromkeys(test.values) | {"obs_status": "x"}


def test_noise_alone_is_not_taken_for_dependence() -> None:
    """Independent counts of 1,000 with noise of 30 in each cell: V with the noise left in would be above 0."""
    cells = np.full((3, 4), 1_000) + np.array([[20, -15, 5, 0], [-15, 10, -5, 0], [0, 0, 0, 0]])
    chi_square, v = crosstab(("owner", "sex"), cells, variance=900.0).tests
    assert isinstance(chi_square.values["p_value"], float)
    assert chi_square.values["p_value"] > 0.3
    assert v.values["estimate"] == 0
    assert v.values["ci_low"] == 0


def test_in_a_register_that_is_the_population_v_is_known_without_noise() -> None:
    _, v = crosstab(("owner", "sex"), TABLE, sampling=False).tests
    assert (v.values["ci_low"], v.values["ci_high"]) == pytest.approx((v.values["estimate"],) * 2)


def test_a_table_of_no_more_holders_than_codes_has_no_adjusted_v() -> None:
    assert adjusted(0.8, 3, 3, 2) == 0
    assert adjusted(1.0, 1e9, 2, 2) == pytest.approx(1)
    assert adjusted(1e-9, 100, 3, 3) == 0
