"""T61 `extreme-quantile`: the least or the largest value asked for as the quantile at 0 or 1.

Each is one holder's own value. Rows of both are there, and hold no number: not with noise, not without, not for one group, and however the
level is written. The level next to them is answered; what is withheld is not a range of levels but the ends.
"""

import pytest

from protocols.statistics.quantiles import Quantiles
from protocols.statistics.rows import Row
from tests.laws.generated import encoded, finalized, layout_of

CROWD = [{"months_paying": number % 30, "owner": number % 2} for number in range(600)] + [
    {"months_paying": 36, "owner": 1}
]


def rows(at: list[str], variance: float) -> dict[str, Row]:
    question = Quantiles.model_validate(
        {"id": "q", "kind": "quantiles", "of": "months_paying", "at": at, "by": "owner"}
    )
    answer = finalized(question, encoded(layout_of(question), CROWD), variance)
    return {
        row.keys["at"]: row
        for row in answer.rows
        if row.measure == "quantile" and row.keys["owner"] == "true" and row.keys["at"] != "_missing"
    }


@pytest.mark.parametrize("variance", [0.0, 9.0])
@pytest.mark.parametrize("written", ["0", "1", "0.0", "1.000"])
def test_the_least_and_the_largest_value_are_never_answered(written: str, variance: float) -> None:
    (row,) = rows([written], variance).values()
    assert (row.estimate, row.display, row.base, row.se_noise, row.ci_low, row.ci_high) == (None,) * 6
    assert (row.obs_status, row.conf_status) == ("", "C")


def test_the_value_that_stands_out_is_in_no_row_beside_them() -> None:
    found = rows(["0", "0.01", "0.5", "0.99", "1"], 0.0)
    assert [row.conf_status for row in found.values()] == ["C", "", "", "", "C"]
    assert found["0.99"].estimate == 29, "one holder of 301 with 36 months moves it by no month"
