"""Cohorts of single questions: slices of tables of everybody, families of their own, and what gates say in mode exact."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest

from coordinator.report import html
from coordinator.results import Results
from protocols.errors import Refusal
from protocols.study import Study
from simulations import world
from tests.six import LOOSE, Six, counts, results, rows_of, unsound, written

QUESTIONS: Final = """  - {id: all, kind: count}
  - {id: withdrew, kind: frequency, of: withdrew}
  - {id: ages, kind: histogram, of: age, bins: [16, 35, 50]}
  - {id: who, kind: count, cohort: {variable: withdrew, is: true}}
  - {id: ages_withdrew, kind: histogram, of: age, bins: [16, 35, 50], by: sex, cohort: {variable: withdrew, is: true}}
  - {id: sexes_withdrew, kind: frequency, of: sex, by: product, cohort: {variable: withdrew, is: true}}
  - {id: amount_withdrew, kind: mean, of: amount, by: sex, cohort: {variable: withdrew, is: true}}
  - {id: older, kind: crosstab, by: [sex, product], cohort: {variable: age, at_least: 35}}
"""


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Six:
    """One of the cities cannot map what cohorts are decided by."""
    return written(tmp_path_factory.mktemp("cohorts"), {"ff": ("withdrew",)})


@pytest.fixture(scope="module")
def outcome(lacking: Six, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return lacking.ask(lacking.study(QUESTIONS), tmp_path_factory.mktemp("asked"))


def decimals(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[str, ...], Decimal]:
    found = dict[tuple[str, ...], Decimal]()
    for row in rows:
        at = tuple(row[key] for key in keys)
        found[at] = found.get(at, Decimal(0)) + Decimal(repr(row["estimate"]))
    return found


def test_a_slice_agrees_with_every_other_table_to_the_last_digit(
    lacking: Six, outcome: world.Outcome, tmp_path: Path
) -> None:
    study = lacking.study(QUESTIONS)
    assert set(study.workload.slices) == {"who", "ages_withdrew", "sexes_withdrew", "amount_withdrew"}
    withdrew = counts(outcome, "withdrew")[("true",)]
    assert counts(outcome, "who") == {(): withdrew}
    for name in ("ages_withdrew", "sexes_withdrew"):
        assert decimals(rows_of(outcome, name, "count")) == {(): Decimal(repr(withdrew))}
    by_sex = decimals(rows_of(outcome, "ages_withdrew", "count"), "sex")
    assert decimals(rows_of(outcome, "sexes_withdrew", "count"), "sex") == by_sex
    known = {row["sex"]: row for row in rows_of(outcome, "amount_withdrew", "count") if row["amount"] != "_missing"}
    assert set(known) == {"male", "female", "_missing"}
    questions = results(outcome)["questions"]
    assert (questions["who"]["cohort_is"], questions["older"]["cohort_is"]) == ("slice", "family")
    assert questions["older"]["cohort"] == {"variable": "age", "at_least": "35"}
    assert "ff" not in questions["who"]["cities"], "it cannot map what the cohort is decided by"
    assert unsound(outcome, tmp_path / "out") == {}
    page = html.render(Results.parse(outcome.results), "en")
    assert "a part of one table of everybody" in page
    assert "fitted by itself" in page


def test_slices_are_right_within_their_noise(lacking: Six, outcome: world.Outcome) -> None:
    rows = lacking.rows[lacking.rows["withdrew"].eq("true").fillna(False)]
    truth = rows.groupby("sex").size().to_dict()
    found = rows_of(outcome, "sexes_withdrew", "count")
    for sex, number in truth.items():
        mine = [row for row in found if row["sex"] == sex]
        sd = sum(row["se_noise"] ** 2 for row in mine) ** 0.5
        assert abs(sum(row["estimate"] for row in mine) - number) < 5 * sd
    means = {row["sex"]: row for row in rows_of(outcome, "amount_withdrew", "mean") if row["estimate"] is not None}
    for sex, mean in rows.dropna(subset=["amount"])["amount"].astype(float).groupby(rows["sex"]).mean().items():
        assert abs(means[sex]["estimate"] - mean) < 5 * means[sex]["se_noise"]


def exact(frame: pd.DataFrame) -> dict[str, dict[Any, int]]:
    withdrew = frame[frame["withdrew"].eq("true").fillna(False)]
    older = frame[pd.to_numeric(frame["age"]).ge(35).fillna(False)].fillna({"product": "_missing"})
    return {
        "sexes": withdrew.fillna({"product": "_missing"}).groupby(["sex", "product"]).size().to_dict(),
        "older": older.groupby(["sex", "product"]).size().to_dict(),
    }


def test_in_exact_mode_no_cohort_is_widened_and_counts_are_those_of_pandas(six: Six, tmp_path: Path) -> None:
    study = six.study(QUESTIONS, mode="exact")
    assert not study.workload.slices
    assert all(
        "withdrew" not in [axis.name for axis in block.axes] for block in study.workload.layout.blocks if block.cohort
    )
    outcome = six.ask(study, tmp_path)
    truth = exact(six.rows)
    sexes, older = counts(outcome, "sexes_withdrew"), counts(outcome, "older")
    assert {key: sexes[key] for key in truth["sexes"]} == truth["sexes"]
    assert {key: older[key] for key in truth["older"]} == truth["older"]
    assert counts(outcome, "who") == {(): int(six.rows["withdrew"].eq("true").sum())}
    assert results(outcome)["questions"]["who"]["cohort_is"] == "family"
    assert unsound(outcome, tmp_path / "out") == {}


CASES: Final = {
    "a cohort of few rows": ("{variable: amount, at_least: 8970}", 5, ""),
    "cohorts that differ by few rows": ("{variable: amount, at_least: 530}", 20, ""),
    "cohorts of which one could be subtracted": ("{variable: sex, is: male}", 1, "min_cell: 5"),
}


@pytest.mark.parametrize(("cohort", "least", "more"), CASES.values(), ids=CASES.keys())
def test_each_gate_judges_each_cohort_of_an_exact_study(
    six: Six, tmp_path: Path, cohort: str, least: int, more: str
) -> None:
    def run() -> world.Outcome:
        asked: Study = six.study(
            f"  - {{id: all, kind: count}}\n  - {{id: few, kind: count, cohort: {cohort}}}\n", mode="exact"
        )
        return six.ask(asked, tmp_path)

    policy = six.folder / "cc" / "policy.yaml"
    text = LOOSE.replace("min_cohort: 1,", f"min_cohort: {least},")
    policy.write_text(text.replace("min_cell: 1", more) if more else text, encoding="utf-8")
    try:
        with pytest.raises(Refusal) as caught:
            run()
    finally:
        policy.write_text(LOOSE, encoding="utf-8")
    told = caught.value.text("en")
    assert ("POLICY_KIND" if more else "declines this study: disclosure.") in told
