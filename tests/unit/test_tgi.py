"""Target-group index: where it is, what it says, and where it says nothing."""

from typing import Any, Final

import numpy as np
import pytest

from protocols.dictionary import parse
from protocols.statistics.layout import Domain
from protocols.statistics.rows import Answer
from protocols.statistics.tgi import Tgi
from protocols.yamltext import read
from tests.laws.generated import finalized


def tgi(cells: Any, variance: float = 0.0) -> Answer:
    """`cells`: product (lump_sum, monthly, free, _missing) x generation (80s, 90s, other, _missing), by row."""
    question = Tgi(id="q", target="product", by="generation")
    return finalized(question, np.asarray(cells).T.ravel(), variance)  # in a block, axes ascend by name


TABLE = np.array([[216, 281, 306, 9], [241, 374, 204, 8], [367, 366, 352, 7], [20, 30, 10, 40]]) * 10


def of(answer: Answer, measure: str = "index") -> dict[tuple[str, ...], Any]:
    return {tuple(row.keys.values()): row for row in answer.rows if row.measure == measure}


def test_an_index_compares_a_group_among_the_target_with_the_group_among_all() -> None:
    """a/A over b/B, of holders whose product and generation are both known."""
    found = of(tgi(TABLE))["monthly", "90s"]
    known = TABLE[:3, :3]
    assert found.estimate == pytest.approx(100 * (3740 / 8190) / (known[:, 1].sum() / known.sum()))
    assert found.base == 8190
    assert (found.se_noise, found.obs_status, found.preference) == (0, "", "over")
    assert found.ci_low < found.estimate < found.ci_high


def test_an_index_leans_over_under_or_nowhere() -> None:
    found = of(tgi(TABLE // 10))
    assert [found["monthly", group].preference for group in ("80s", "90s", "other")] == ["none", "over", "under"]
    assert found["monthly", "80s"].ci_low <= 100 <= found["monthly", "80s"].ci_high
    assert found["monthly", "90s"].ci_low > 100
    assert found["monthly", "other"].ci_high < 100


def test_holders_without_a_value_are_counted_and_have_no_index() -> None:
    answer = tgi(TABLE)
    rows = of(answer)
    assert [row.measure for row in answer.rows] == ["index"] * 16 + ["count"] * 7
    assert {key for key, row in rows.items() if row.obs_status == "z"} == {key for key in rows if "_missing" in key}
    counts = of(answer, "count")
    assert set(counts) == {key for key in rows if "_missing" in key}
    assert counts["free", "_missing"].estimate == 70
    assert counts["_missing", "_missing"].estimate == 400
    assert {row.preference for key, row in rows.items() if "_missing" in key} == {None}


def test_noise_widens_the_interval_and_is_shown_apart() -> None:
    still, noised = of(tgi(TABLE))["free", "90s"], of(tgi(TABLE, 400.0))["free", "90s"]
    assert noised.estimate == pytest.approx(still.estimate)
    assert noised.se_sampling == pytest.approx(still.se_sampling)
    assert noised.se_noise > 0
    assert noised.ci_low < still.ci_low < still.ci_high < noised.ci_high
    width, expected = noised.ci_high - noised.ci_low, 2 * 1.96 * np.hypot(noised.se_noise, noised.se_sampling)
    assert width == pytest.approx(expected, rel=0.02)


def test_a_group_that_may_be_empty_has_no_index() -> None:
    cells = TABLE.copy()
    cells[:, 0] = [2, 1, 3, 0]
    rows = of(tgi(cells, 25.0))
    assert [rows[target, "80s"].obs_status for target in ("lump_sum", "monthly", "free")] == ["x"] * 3
    assert rows["monthly", "80s"].estimate is None
    assert rows["monthly", "80s"].preference is None
    assert rows["monthly", "80s"].base == cells[1, :3].sum()
    assert rows["monthly", "90s"].obs_status == ""
    cells[:, 0] = 0
    exact = of(tgi(cells))
    assert exact["monthly", "80s"].obs_status == "x"
    assert exact["monthly", "90s"].obs_status == ""


def test_a_rare_cell_is_doubtful() -> None:
    cells = TABLE.copy()
    cells[1, 0] = 60
    assert of(tgi(cells, 225.0))["monthly", "80s"].obs_status == "u"
    assert of(tgi(cells, 25.0))["monthly", "80s"].obs_status == ""
    cells[1, 0] = 3
    assert of(tgi(cells))["monthly", "80s"].obs_status == "u", "the interval more than doubles"


HUES: Final = Domain(
    parse(
        read(
            b"""
dictionary: hues
version: 1
variables:
  hue: {type: category, codes: {red: {}, green: {}, blue: {}}}
  shade: {type: category, codes: {pale: {}, light: {}, dark: {}, black: {}}}
  tone: {type: category, codes: {low: {}, middle: {}, high: {}}}
""",
            "hues.yaml",
        )
    )
)


@pytest.mark.parametrize(("by", "groups", "preference"), [("tone", 3, "over"), ("shade", 4, "none")])
def test_in_a_question_of_more_than_ten_cells_a_leaning_must_stand_against_their_number(
    by: str, groups: int, preference: str
) -> None:
    """One cell whose interval leaves out 100 is a finding among 9, and to be expected among 12."""
    cells = np.zeros((4, groups + 1), dtype=np.int64)
    cells[:3, :groups] = 1_000
    cells[0, 0] += 110
    answer = finalized(Tgi(id="q", target="hue", by=by), cells.ravel(), domain=HUES)
    first = answer.rows[0]
    assert first.keys["hue"] == "red"
    assert first.ci_low is not None
    assert first.ci_low > 100
    assert first.q_value is not None
    assert first.q_value > 0.05
    assert first.preference == preference


def test_a_shown_index_is_never_negative() -> None:
    cells = TABLE.copy()
    cells[0, 2] = -80
    found = of(tgi(cells, 400.0))["lump_sum", "other"]
    assert found.estimate < 0
    assert (found.display, found.ci_low) == (0, 0)
