"""Real public microdata through the product's own door, against pandas on the pooled rows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols import study
from simulations import world
from simulations.examples import social_insure

BANDS = {"under_40": (16, 39), "40_49": (40, 49), "50_59": (50, 59), "from_60": (60, 100)}


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    header, rows = social_insure.data()
    frame = pd.DataFrame(rows, columns=header)
    villages = sorted(set(frame["village"]))
    groups = {name: number * len(social_insure.GROUPS) // len(villages) for number, name in enumerate(villages)}
    frame["group"] = frame["village"].map(groups)
    frame["takeup"] = frame["takeup_survey"].map({"1": "insured", "0": "not_insured"})
    frame["sex"] = frame["male"].map({"1": "male", "0": "female"})
    frame["literate"] = (
        frame["literacy"].map({"1": "true", "0": "false"}).where(frame["group"] != len(social_insure.GROUPS) - 1)
    )
    years = pd.to_numeric(frame["age"])
    frame["age_band"] = None
    for band, (low, high) in BANDS.items():
        frame.loc[years.between(low, high), "age_band"] = band
    return frame


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("microdata") / "cities"
    social_insure.write(out)
    outcome = world.run(study.load(out / "study.yaml"), out, out / ".hpfed", seed=1)
    found: dict[str, Any] = json.loads(outcome.results)
    return found


def counts(results: dict[str, Any], question: str) -> dict[tuple[str, ...], int]:
    entry = results["questions"][question]
    rows = [row for row in entry["rows"] if row["measure"] == "count"]
    return {tuple(row[key] for key in entry["keys"]): row["estimate"] for row in rows}


def frequencies(frame: pd.DataFrame, names: list[str]) -> dict[tuple[str, ...], int]:
    cells = frame[names].astype(object).where(frame[names].notna(), "_missing")
    return dict(Counter(tuple(row) for row in cells.itertuples(index=False, name=None)))


def test_counts_equal_pandas_to_the_last_digit(results: dict[str, Any], pooled: pd.DataFrame) -> None:
    assert counts(results, "households") == {(): len(pooled)}
    for question, names in {
        "takeup": ["takeup"],
        "sex": ["sex"],
        "takeup_literate": ["takeup", "literate"],
        "takeup_age": ["takeup", "age_band"],
    }.items():
        found = {key: n for key, n in counts(results, question).items() if n}
        assert found == frequencies(pooled, names), question


def test_an_unrecorded_variable_and_missing_values_stand_on_missing(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    assert results["cities"]["cannot"] == {social_insure.UNRECORDED: ["literate"]}
    missing = sum(n for key, n in counts(results, "takeup_literate").items() if key[1] == "_missing")
    unrecorded = (pooled["group"] == len(social_insure.GROUPS) - 1).sum()
    assert missing == pooled["literate"].isna().sum() > unrecorded


def test_chi_square_and_cramers_v_equal_scipy_on_the_pooled_rows(results: dict[str, Any], pooled: pd.DataFrame) -> None:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association

    table = pd.crosstab(pooled["takeup"], pooled["age_band"]).to_numpy()
    expected = chi2_contingency(table, correction=False)
    tests = {test["name"]: test for test in results["questions"]["takeup_age"]["tests"]}
    assert tests["chi_square"]["statistic"] == pytest.approx(expected.statistic, rel=1e-11)
    assert tests["chi_square"]["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert tests["cramers_v"]["estimate"] == pytest.approx(association(table, method="cramer"), rel=1e-11)


def test_every_output_says_that_the_data_are_public(results: dict[str, Any]) -> None:
    assert results["privacy"]["open_data"] is True
    assert results["privacy"]["mode"] == "exact"


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    assert social_insure.main([str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
