"""Ratios by example: what is refused, what published figures do, and where a band says nothing."""

from decimal import Decimal
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols.errors import CODES, Place
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.rows import Row
from protocols.statistics.workload import Workload
from tests.laws.generated import DOMAIN, SMALL, encoded, layout_of

BASE: Final = {"id": "q", "kind": "ratio", "numerator": "owner", "denominator": "income"}
FAULTS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "no such variable": ({"numerator": "incom"}, "numerator", "STUDY_VARIABLE"),
    "a category": ({"denominator": "sex"}, "denominator", "STUDY_NOT_AN_AMOUNT"),
    "of itself": ({"numerator": "income"}, "denominator", "STUDY_TWICE"),
    "by one of its sides": ({"by": "owner"}, "by", "STUDY_TWICE"),
    "bounds of another variable": ({"clip": {"birth_year": ["1950", "1960"]}}, "clip", "STUDY_CLIP"),
    "bounds of a boolean": ({"clip": {"owner": ["0", "1"]}}, "clip", "STUDY_CLIP"),
    "bounds beyond the range": ({"clip": {"income": ["0", "200001"]}}, "clip", "STUDY_BOUNDS"),
    "a band that falls": ({"band": ["0.95", "0.85"]}, "band", "RATIO_BAND"),
    "published figures by group": ({"denominator": {"public": {"a": "5"}}, "by": "sex"}, "by", "RATIO_CONSTANT_BY"),
    "published figures above": ({"numerator": {"public": {"a": "5"}}}, "numerator", "RATIO_PUBLISHED"),
    "a fact that there is not": ({"denominator": {"fact": "deposits"}}, "denominator", "STUDY_FACT"),
}


@pytest.mark.parametrize(("asked", "key", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_asked_is_named(asked: dict[str, Any], key: str, code: str) -> None:
    found = list(KINDS["ratio"].model_validate({**BASE, **asked}).faults(SMALL))
    assert [(fault.key, fault.code) for fault in found] == [(key, code)]
    assert code in CODES


def rows(
    asked: dict[str, Any], crowd: list[dict[str, int]], variance: float = 0.0, cities: tuple[str, ...] = ()
) -> list[Row]:
    question = KINDS["ratio"].model_validate({**BASE, **asked})
    assert not list(question.faults(SMALL))
    workload = Workload.of([question], DOMAIN)
    families = reconcile(workload.layout, encoded(layout_of(question), crowd), [variance] * len(workload.layout.blocks))
    sums = Estimates.of(
        families, workload.blocks["q"], study="sha256:s", question="q", confidence=0.95, min_cell=0, cities=cities
    )
    return [row for row in question.finalize(sums, DOMAIN).rows if row.measure == "ratio"]


def owners(yes: int, no: int) -> list[dict[str, int]]:
    return [{"owner": 1}] * yes + [{"owner": 0}] * no


def test_published_figures_of_the_answering_cities_are_added_up_and_cost_nothing() -> None:
    asked = {"denominator": {"public": {"a": "100.5", "b": "99.5", "c": "1000"}}}
    (row,) = rows(asked, owners(30, 10), cities=("a", "b"))
    assert row.estimate == pytest.approx(0.15)
    assert (row.se_noise, row.base) == (0, 40)
    (without,) = rows(asked, owners(30, 10), cities=("a", "d"))
    assert (without.estimate, without.obs_status) == (None, "x"), "of one city no figure is known"
    question = KINDS["ratio"].model_validate({**BASE, **asked})
    assert [block.name for block in question.blocks(DOMAIN).values()] == ["1 by (owner)"]
    assert question.without_figures(("a", "d")) == ("d",)


@pytest.mark.parametrize(
    ("figure", "position"), [("40", "within"), ("36", "undecided"), ("25", "above"), ("80", "below")]
)
def test_a_band_holds_the_whole_interval_or_nothing_is_said(figure: str, position: str) -> None:
    """30 of `figure`, with noise of standard deviation 1."""
    asked = {"denominator": {"public": {"a": figure}}, "band": ["0.5", "0.85"]}
    (row,) = rows(asked, owners(30, 10), variance=1.0, cities=("a",))
    assert row.position == position
    assert row.estimate == pytest.approx(30 / float(Decimal(figure)))


def test_a_denominator_that_may_be_nothing_gives_no_ratio() -> None:
    (row,) = rows({}, [{"owner": 1, "income": 3}] * 4, variance=1e9)
    assert (row.estimate, row.ci_low, row.position, row.obs_status) == (None, None, None, "x")


def test_only_holders_of_whom_both_are_known_count() -> None:
    crowd = [{"owner": 1, "income": 100}, {"owner": 1}, {"income": 900}, {"owner": 0, "income": 300}]
    (row,) = rows({}, crowd)
    assert (row.estimate, row.base) == (0.25, 2)
    assert np.isclose(row.estimate or 0, 1 / 4.0)


def test_an_amount_of_the_year_is_not_divided_by_one_of_its_last_day() -> None:
    core = dictionaries.load("hpf-core@1")
    asked = {"numerator": "loan_balance", "denominator": "deposited_year"}
    (fault,) = KINDS["ratio"].model_validate({**BASE, **asked}).faults(core)
    assert (fault.key, fault.code) == ("denominator", "RATIO_TIMING")
    said = fault.at(Place("study.yaml")).text("en")
    assert "deposited_year is an amount of the year and loan_balance one of its last day" in said
    for sound in (
        {"numerator": "loan_issued_year", "denominator": "deposited_year"},  # of events: the timing of their amounts
        {"numerator": "loan_balance", "denominator": "deposit_balance"},
        {"numerator": {"fact": "deposits_in_bank"}, "denominator": {"fact": "withdrawn_year"}},  # the page says so
        {"numerator": "is_payer", "denominator": "deposited_year"},
    ):
        assert not list(KINDS["ratio"].model_validate({**BASE, **sound}).faults(core))
