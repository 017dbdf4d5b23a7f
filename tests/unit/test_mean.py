"""Means and histograms by example: what is refused, what is marked, and what a group without holders says."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols.dictionary import Number
from protocols.errors import CODES
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.intervals import ratio
from protocols.statistics.layout import Domain
from protocols.statistics.marks import clipped
from protocols.statistics.measures import encode
from protocols.statistics.rows import Answer, Row
from protocols.statistics.workload import Workload
from tests.laws.generated import AS_OF, DOMAIN, SMALL, encoded, finalized, layout_of, table

NUMBERS: Final = SMALL.model_copy(
    update={"variables": {**SMALL.variables, "rate": Number.model_validate({"type": "number", "range": ("0", "1")})}}
)
FAULTS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "no such variable": ({"kind": "mean", "of": "incom"}, "of", "STUDY_VARIABLE"),
    "an attribute of cities": ({"kind": "mean", "of": "city.rate"}, "of", "STUDY_ATTRIBUTE"),
    "a number by itself": ({"kind": "mean", "of": "owner", "by": "rate"}, "by", "STUDY_NOT_AN_AXIS"),
    "bounds between two steps": ({"kind": "mean", "of": "rate", "clip": ["0", "0.12345678"]}, "clip", "STUDY_BOUNDS"),
    "a category": ({"kind": "mean", "of": "sex"}, "of", "STUDY_NOT_AN_AMOUNT"),
    "a boolean in bins": ({"kind": "histogram", "of": "owner", "bins": ["1", "2"]}, "of", "STUDY_NOT_AN_AMOUNT"),
    "by itself": ({"kind": "mean", "of": "owner", "by": "owner"}, "by", "STUDY_TWICE"),
    "by an amount": ({"kind": "mean", "of": "owner", "by": "income"}, "by", "STUDY_NOT_AN_AXIS"),
    "bounds that fall": ({"kind": "mean", "of": "income", "clip": ["5", "4"]}, "clip", "STUDY_BOUNDS"),
    "bounds beyond the range": ({"kind": "mean", "of": "income", "clip": ["0", "200000.01"]}, "clip", "STUDY_BOUNDS"),
    "less than a fen": ({"kind": "mean", "of": "income", "clip": ["0", "1.005"]}, "clip", "STUDY_BOUNDS"),
    "half a year": ({"kind": "mean", "of": "birth_year", "clip": ["1950.5", "1960"]}, "clip", "STUDY_BOUNDS"),
    "bounds of a boolean": ({"kind": "mean", "of": "owner", "clip": ["0", "1"]}, "clip", "STUDY_NOT_AN_AMOUNT"),
    "no bins": ({"kind": "histogram", "of": "income", "bins": []}, "bins", "STUDY_EMPTY"),
    "one bin": ({"kind": "histogram", "of": "income", "bins": "1"}, "bins", "STUDY_BINS"),
    "half a bin": ({"kind": "histogram", "of": "income", "bins": "2.5"}, "bins", "STUDY_BINS"),
    "more bins than values": ({"kind": "histogram", "of": "birth_year", "bins": "82"}, "bins", "STUDY_BINS"),
    "too many cuts": ({"kind": "histogram", "of": "income", "bins": [str(n) for n in range(1001)]}, "bins", "STUDY_BINS"),
    "cuts that fall": ({"kind": "histogram", "of": "income", "bins": ["0", "9", "9"]}, "bins", "STUDY_BOUNDS"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "key", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_asked_is_named(asked: dict[str, Any], key: str, code: str) -> None:
    question = KINDS[asked["kind"]].model_validate({"id": "q", **asked})
    found = list(question.faults(NUMBERS))
    assert [(fault.key, fault.code) for fault in found] == [(key, code)]
    assert code in CODES
    assert len(str(found[0].values)) < 300


def test_what_can_be_asked_has_no_fault() -> None:
    asking: tuple[dict[str, Any], ...] = (
        {"kind": "mean", "of": "owner", "by": ["sex", "product", "generation"]},
        {"kind": "mean", "of": "birth_year", "clip": ["1950", "1960"]},
        {"kind": "histogram", "of": "birth_year", "bins": "81"},
        {"kind": "histogram", "of": "income", "bins": ["180", "200000"]},
    )
    for asked in asking:
        question = KINDS[asked["kind"]].model_validate({"id": "q", **asked})
        assert not list(question.faults(NUMBERS))
        assert question.blocks(Domain(NUMBERS))


def test_one_spelling_of_a_number_one_study() -> None:
    one, other = (
        KINDS["histogram"].model_validate({"id": "q", "kind": "histogram", "of": "income", "bins": bins})
        for bins in (["0", "180.50"], ["0.0", "180.5"])
    )
    assert one == other
    assert one.model_dump_json() == other.model_dump_json()


def by(answer: Answer, measure: str) -> dict[tuple[str, ...], Row]:
    return {tuple(row.keys.values()): row for row in answer.rows if row.measure == measure}


def ask(crowd: list[dict[str, int]], variance: float = 0.0, min_cell: int = 10, **asked: Any) -> Answer:
    question = KINDS["mean"].model_validate({"id": "q", "kind": "mean", "of": "income", **asked})
    return finalized(question, encoded(layout_of(question), crowd), variance, min_cell=min_cell)


def test_a_group_of_nobody_has_no_mean_and_one_of_one_no_deviation() -> None:
    found = ask([{"income": 500_000, "owner": 1}], by="owner")
    assert by(found, "mean")["false", "known"].obs_status == "x"
    assert by(found, "total")["false", "known"].estimate == 0
    alone = by(found, "mean")["true", "known"]
    assert (alone.estimate, alone.ci_low, alone.ci_high, alone.obs_status) == (5000, 5000, 5000, "u")
    assert by(found, "sd")["true", "known"].obs_status == "x"
    assert by(found, "total_share")["true", "known"].estimate == 1
    nobody = ask([], by="owner")
    assert by(nobody, "total_share")["true", "known"].obs_status == "x"


def test_means_of_few_holders_beside_their_noise_are_not_given() -> None:
    """Two holders where noise has a standard deviation of 10."""
    found = ask([{"income": 100, "owner": 1}] * 2 + [{"income": 100, "owner": 0}] * 4_000, 100.0, by="owner")
    assert by(found, "mean")["true", "known"].obs_status == "x"
    assert by(found, "mean")["true", "known"].estimate is None
    assert by(found, "total")["true", "known"].obs_status == "u"
    assert by(found, "mean")["false", "known"].estimate == pytest.approx(1, abs=1e-6)


def test_clipping_that_moves_more_than_one_in_a_thousand_marks_its_group() -> None:
    crowd = [{"income": 1_000 + n, "owner": 0} for n in range(3_000)] + [
        {"income": 500_000 if n < 30 else 2_000 + n, "owner": 1} for n in range(3_000)
    ]
    found = ask(crowd, clip=["0", "1000"], by="owner")
    assert by(found, "mean")["false", "known"].obs_status == ""
    assert by(found, "mean")["true", "known"].obs_status == "u"
    (note,) = found.tests
    assert (note.values["high"], note.values["low"], note.values["obs_status"]) == (30, 0, "u")
    noised = ask(crowd, 25.0, clip=["0", "1000"], by="owner")
    assert by(noised, "mean")["false", "known"].obs_status == "", "noise alone moves nobody"
    assert by(noised, "mean")["true", "known"].obs_status == "u"
    assert clipped(np.array([2.0]), 0.0, np.array([1_000.0])).all()
    assert not clipped(np.array([1.0]), 0.0, np.array([1_000.0])).any()
    assert ask([], clip=["0", "1000"]).tests[0].values["obs_status"] == "x"


def test_coarse_units_add_their_variance() -> None:
    """4^s / 12 for each holder, to the variance of a total."""
    question = KINDS["mean"].model_validate({"id": "q", "kind": "mean", "of": "income", "by": "sex"})
    workload = Workload.of((question,), DOMAIN)
    holders, total, square = workload.layout.blocks
    crowd = [{"income": 4_000_000, "sex": 0}] * 700 + [{"income": 5_000_000, "sex": 1}] * 900
    fine, coarse = (replace(workload.layout, blocks=(holders, replace(total, shift=s), square)) for s in (0, 20))
    sd = {}
    for layout in (fine, coarse):
        variances = [4.0, 4.0 * 4.0 ** (20 - layout.blocks[1].shift), 4.0]
        families = reconcile(layout, encoded(layout, crowd), variances)
        sums = Estimates.of(
            families, workload.blocks["q"], study="sha256:c", question="q", confidence=0.95, min_cell=10
        )
        sd[layout.blocks[1].shift] = by(question.finalize(sums, DOMAIN), "total")["male", "known"].se_noise
    assert sd[0] is not None
    assert sd[20] is not None
    assert sd[20] ** 2 - sd[0] ** 2 == pytest.approx(700 * 4.0**20 / 12 / 100**2, rel=0.01)


def test_fiellers_interval_is_the_set_that_it_claims_to_be() -> None:
    """Against a grid, with covariance between numerator and denominator; unbounded where the denominator may be nothing."""
    noise = np.array([[90.0, 20.0], [20.0, 40.0]])
    for a, b, drawn in ((300.0, 150.0, 0.0), (-20.0, 60.0, 30.0), (0.0, 40.0, 5.0)):
        estimate, low, high = (float(each) for each in ratio(np.array(a), np.array(b), noise, np.array(drawn), 1.96))
        grid = np.linspace(-5, 5, 1_000_001)
        spread = noise[0, 0] - 2 * grid * noise[0, 1] + grid**2 * noise[1, 1] + drawn
        inside = grid[(a - grid * b) ** 2 <= 1.96**2 * spread]
        assert estimate == a / b
        assert (low, high) == pytest.approx((inside[0], inside[-1]), abs=1e-5)
    assert np.isnan(ratio(np.array(5.0), np.array(10.0), noise, np.array(0.0), 1.96)).all()


@pytest.mark.parametrize("high", [1, 2, 3, 6, 7])
def test_small_ranges_lose_nothing_in_their_squares(high: int) -> None:
    """Half of the range may be odd, and half of its square no whole number; rounding that for every holder alike would add up."""
    words = SMALL.variables["birth_year"].model_copy(update={"range": (0, high)})
    domain = Domain(SMALL.model_copy(update={"variables": {**SMALL.variables, "birth_year": words}}))
    question = KINDS["mean"].model_validate({"id": "q", "kind": "mean", "of": "birth_year"})
    values = [number for number in range(high + 1) for _ in range(3 + number % 2)]
    crowd = table([{"birth_year": value} for value in values])
    vector = encode(layout_of(question, domain), crowd, domain.dictionary, AS_OF, None, exact=False)
    answer = finalized(question, vector, domain=domain)
    (row,) = [row for row in answer.rows if row.measure == "sd" and row.estimate is not None]
    assert row.estimate == pytest.approx(np.std(values, ddof=1), rel=1e-11)
