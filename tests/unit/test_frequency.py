"""How holders spread over codes: counts, shares of the known, and the difference between two groups."""

from typing import Any

import numpy as np
import pytest

from protocols.statistics.frequency import Frequency
from protocols.statistics.rows import Answer
from tests.laws.generated import finalized


def frequency(cells: list[int], by: tuple[str, ...] = (), variance: float = 0.0, **keys: Any) -> Answer:
    """Of `sex` (male, female, unknown, `_missing`), by nothing or by `owner` (false, true, `_missing`: owner comes first in a block)."""
    return finalized(Frequency(id="q", of="sex", by=by, **keys), np.array(cells), variance)


# owner x sex
GROUPS = [300, 100, 0, 5, 30, 70, 0, 1, 2, 2, 1, 0]


def of(answer: Answer, measure: str, contrast: bool = False) -> dict[tuple[str, ...], Any]:
    return {tuple(row.keys.values()): row for row in answer.rows if (row.measure, row.contrast) == (measure, contrast)}


def test_shares_are_of_holders_whose_value_is_known() -> None:
    answer = frequency([30, 60, 10, 900])
    shares = of(answer, "share")
    assert [shares[code,].estimate for code in ("male", "female", "unknown")] == [0.3, 0.6, 0.1]
    assert {row.base for row in shares.values() if row.base is not None} == {100}
    assert shares["_missing",].obs_status == "z"
    assert (shares["_missing",].estimate, shares["_missing",].base, shares["_missing",].ci_low) == (None, None, None)
    assert of(answer, "count")["_missing",].estimate == 900


def test_rows_come_measure_by_measure_with_missing_last() -> None:
    answer = frequency(GROUPS, by=("owner",))
    assert [row.measure for row in answer.rows] == ["count"] * 12 + ["share"] * 15
    keys = [tuple(row.keys.items()) for row in answer.rows[:12]]
    assert keys[:3] == [
        (("sex", "male"), ("owner", "false")),
        (("sex", "male"), ("owner", "true")),
        (("sex", "female"), ("owner", "false")),
    ]
    assert all("_missing" in dict(key).values() for key in keys[6:])


def test_a_share_is_of_its_own_group() -> None:
    shares = of(frequency(GROUPS, by=("owner",)), "share")
    assert shares["male", "false"].estimate == 0.75
    assert shares["male", "true"].estimate == 0.3
    assert (shares["male", "false"].base, shares["male", "true"].base) == (400, 100)


def test_two_groups_are_compared_code_by_code() -> None:
    """The second less the first, keyed by the second."""
    contrasts = of(frequency(GROUPS, by=("owner",)), "share", contrast=True)
    assert list(contrasts) == [("male", "true"), ("female", "true"), ("unknown", "true")]
    male = contrasts["male", "true"]
    sd = np.sqrt(0.75 * 0.25 / 400 + 0.3 * 0.7 / 100)
    assert male.estimate == pytest.approx(-0.45)
    assert (male.ci_low, male.ci_high) == pytest.approx((-0.45 - 1.959963985 * sd, -0.45 + 1.959963985 * sd))
    assert male.p_value < 1e-15
    assert male.q_value == pytest.approx(male.p_value * 3 / 2, rel=1e-6), "male and female differ by the same"
    assert contrasts["unknown", "true"].p_value == 1
    assert male.base is None


def test_a_difference_is_doubtful_only_if_a_share_in_it_is() -> None:
    answer = frequency([10 * cell for cell in GROUPS], by=("owner",), variance=9.0)
    shares, contrasts = of(answer, "share"), of(answer, "share", contrast=True)
    assert [row.obs_status for row in contrasts.values()] == ["", "", "u"]
    assert shares["unknown", "false"].obs_status == "u"


def test_a_group_that_may_be_empty_has_no_shares_and_no_difference() -> None:
    answer = frequency([300, 100, 0, 5, 3, 1, 0, 1, 2, 2, 1, 0], by=("owner",), variance=9.0)
    shares, contrasts = of(answer, "share"), of(answer, "share", contrast=True)
    assert [shares[code, "true"].obs_status for code in ("male", "female", "unknown")] == ["x"] * 3
    assert shares["male", "true"].estimate is None
    assert shares["male", "true"].base == 4, "what may be nothing is still shown"
    assert {row.obs_status for row in contrasts.values()} == {"x"}
    assert {(row.estimate, row.p_value, row.q_value) for row in contrasts.values()} == {(None, None, None)}


def test_three_groups_are_not_compared() -> None:
    answer = finalized(Frequency(id="q", of="owner", by=("product",)), np.full(12, 50))
    assert not any(row.contrast for row in answer.rows)


def test_a_register_that_is_the_population_has_no_sampling_in_its_shares() -> None:
    shares = of(frequency([30, 60, 10, 900], sampling=False), "share")
    assert (shares["male",].ci_low, shares["male",].ci_high) == (0.3, 0.3)
    assert shares["male",].se_sampling == pytest.approx(np.sqrt(0.3 * 0.7 / 100))


def test_shown_shares_are_those_of_the_shown_counts() -> None:
    answer = frequency([40, 60, -8, 12], variance=16.0)
    counts, shares = of(answer, "count"), of(answer, "share")
    shown = {code: counts[code,].display for code in ("male", "female", "unknown", "_missing")}
    assert sum(shown.values()) == pytest.approx(104)
    assert shown["unknown"] == 0
    assert shares["male",].display == pytest.approx(shown["male"] / (shown["male"] + shown["female"]))
    assert shares["unknown",].estimate == pytest.approx(-8 / 92)
    assert shares["unknown",].ci_low == 0


def test_a_row_is_published_with_the_columns_that_are_meant() -> None:
    answer = frequency(GROUPS, by=("owner",))
    count, share, contrast = answer.rows[0], answer.rows[12], answer.rows[-1]
    always = ["estimate", "display", "se_noise", "se_sampling", "ci_low", "ci_high", "obs_status", "conf_status"]
    keys = ["scope", "measure", "sex", "owner"]
    assert list(count.published("pooled")) == [*keys, *always]
    assert list(share.published("pooled")) == [*keys, "base", *always]
    assert list(contrast.published("pooled")) == [*keys, *always[:6], "p_value", "q_value", "contrast", *always[6:]]
    assert contrast.published("pooled")["contrast"] is True
    zero = frequency([0, 10, 0, 0]).rows[4].published("pooled")
    assert (zero["measure"], zero["estimate"], zero["base"]) == ("share", 0, 10)
