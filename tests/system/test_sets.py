"""Multi-response variables from files of cities to a verified bundle, against pandas in mode exact and within their errors in mode dp."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from coordinator import beforehand, plan
from coordinator.beforehand import Beforehand, Known, StandIn
from coordinator.results import Results
from node import ingest, snapshot
from protocols.entropy import seeded
from protocols.errors import ConfigError
from simulations import standins
from tests.six import CITIES, DICTIONARY, LOCAL, MAPPING, Six, counts, frame, results, rows_of, unsound

QUESTIONS: Final = """  - {id: worries, kind: frequency, of: worries}
  - {id: worries_sex, kind: frequency, of: worries, by: sex}
  - {id: worries_product, kind: crosstab, by: [product, worries]}
  - {id: habits, kind: frequency, of: habits}
  - {id: worries_withdrew, kind: frequency, of: worries, cohort: {variable: withdrew, is: true}}
  - {id: sexes, kind: frequency, of: sex}
  - {id: worries_region, kind: frequency, of: worries, by: city.region}
"""
REGION: Final = "cities: {attributes: {region: {aa: west, bb: west, cc: west, dd: east, ee: east, ff: east}}}\n"
HABITS: Final = ("save", "spend", "borrow", "invest", "give")


def exploded(rows: pd.DataFrame, mark: str, codes: dict[str, str] | None = None) -> pd.DataFrame:
    """One line per holder and code named, as pandas would have it; `name` holds the code, NA where the holder did not answer."""
    column = "worries" if codes else "habits"
    answered = rows.dropna(subset=[column])
    long = answered.assign(name=answered[column].str.split(mark)).explode("name")
    long["name"] = long["name"].str.strip()
    long = long[long["name"] != ""]
    if codes:
        long["name"] = long["name"].map(codes)
    return long.drop_duplicates(["id", "name"])


def sized(long: pd.DataFrame, keys: list[str]) -> dict[Any, int]:
    found: dict[Any, int] = long.groupby(keys).size().to_dict()
    return found


def test_exact_counts_are_those_of_pandas_and_shares_are_of_those_who_answered(six: Six, tmp_path: Path) -> None:
    outcome = six.ask(six.study(QUESTIONS, REGION, "exact"), tmp_path)
    rows = six.rows.fillna({"product": "_missing"}).assign(region=np.where(six.rows["city"] < "dd", "west", "east"))
    long = exploded(rows, ";", LOCAL)
    answered = rows.dropna(subset=["worries"])
    alone = counts(outcome, "worries")
    assert {code: alone[(code,)] for code in set(LOCAL.values())} == long.groupby("name").size().to_dict()
    assert alone[("_missing",)] == int(rows["worries"].isna().sum())
    by_sex, products = counts(outcome, "worries_sex"), counts(outcome, "worries_product")
    sizes = sized(long, ["name", "sex"])
    assert {key: by_sex[key] for key in sizes} == sizes
    sizes = sized(long, ["product", "name"])
    assert {key: products[key] for key in sizes} == sizes
    withdrew = exploded(rows[rows["withdrew"].eq("true").fillna(False)], ";", LOCAL).groupby("name").size()
    found = counts(outcome, "worries_withdrew")
    assert {code: found[(code,)] for code in map(str, withdrew.index)} == withdrew.to_dict()
    regions = counts(outcome, "worries_region")
    sizes = sized(long, ["name", "region"])
    assert {key: regions[key] for key in sizes} == sizes
    first = rows["habits"].dropna().map(lambda text: min(text.split("|"), key=HABITS.index))
    habits = counts(outcome, "habits")
    assert {key[0]: number for key, number in habits.items()} == {
        **first.value_counts().to_dict(),
        "_missing": int(rows["habits"].isna().sum()),
    }
    base = answered.groupby("sex").size()
    for row in rows_of(outcome, "worries_sex", "share"):
        if row["estimate"] is None or row.get("contrast"):
            continue
        number = by_sex[(row["worries"], row["sex"])]
        assert row["base"] == base[row["sex"]]
        assert row["estimate"] == pytest.approx(number / row["base"], rel=1e-11)
        wilson = proportion_confint(number, row["base"], method="wilson")
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(wilson, rel=1e-10)
    contrast = [row for row in rows_of(outcome, "worries_sex", "share") if row.get("contrast")]
    assert {row["worries"] for row in contrast} == {*LOCAL.values()}
    assert unsound(outcome, tmp_path / "out") == {}
    assert Results.parse(outcome.results).questions["worries"].codes("worries")[-1] == "_missing"


def test_in_dp_mode_shared_numbers_agree_and_errors_are_as_declared(six: Six, tmp_path: Path) -> None:
    study = six.study(QUESTIONS, REGION)
    blocks = {block.name: block for block in study.workload.layout.blocks}
    assert blocks["yes-no[worries] by ()"].low == -1
    assert blocks["yes-no[habits] by ()"].low == 0, "one habit at most: the plain layout is better"
    outcome = six.ask(study, tmp_path)
    alone = {key[0]: Decimal(repr(value)) for key, value in counts(outcome, "worries").items()}
    for name, at in (("worries_sex", 0), ("worries_product", 1), ("worries_region", 0)):
        added = dict.fromkeys(alone, Decimal(0))
        for key, value in counts(outcome, name).items():
            added[key[at]] += Decimal(repr(value))
        assert added == alone, name
    truth = exploded(six.rows, ";", LOCAL).groupby("name").size()
    for row in rows_of(outcome, "worries", "count"):
        if row["worries"] != "_missing":
            assert abs(row["estimate"] - truth[row["worries"]]) < 5 * row["se_noise"]
    assert results(outcome)["questions"]["worries_withdrew"]["cohort_is"] == "slice"
    assert unsound(outcome, tmp_path / "out") == {}


def test_a_plan_foresees_sets_and_slices_with_the_width_that_they_will_have(six: Six, tmp_path: Path) -> None:
    """The cities stand in for themselves: expected numbers are their counts, half-widths those of the release."""
    study = six.study(QUESTIONS, REGION)
    sums = tuple(StandIn(city=name, sums=standins.given(study, six.homes / name, name)) for name in CITIES)
    known = [Known(city=name) for name in CITIES]
    planned = plan.planned(
        study, known, "folder", lambda names: beforehand.stand_ins(names, study, Beforehand(twin=sums))
    )
    said = {each["id"]: each for each in plan.published(planned, ())["questions"]}
    assert said["worries_withdrew"]["cohort_is"] == "slice"
    outcome = six.ask(study, tmp_path)
    sizes = sized(exploded(six.rows, ";", LOCAL), ["name", "sex"])
    for name in ("worries_sex", "worries_withdrew", "habits"):
        keys = results(outcome)["questions"][name]["keys"]
        rows = {tuple(row[key] for key in keys): row for row in rows_of(outcome, name, "count")}
        for cell in said[name]["cells"]:
            if cell["measure"] != "count":
                continue
            row = rows[tuple(cell[key] for key in keys)]
            assert cell["of_noise"] == pytest.approx(1.959963984540054 * row["se_noise"], rel=1e-9)
            assert cell["doubtful"] is not None
            if name == "worries_sex" and cell["worries"] != "_missing" and cell["sex"] != "_missing":
                assert cell["expected"] == pytest.approx(sizes[cell["worries"], cell["sex"]], abs=1e-3)


# --- from files


def taken_in(tmp_path: Path, rows: pd.DataFrame, change: tuple[str, str] = ("", "")) -> ingest.Ingested:
    six_ = tmp_path / "one"
    place = six_ / "aa"
    (place / "data").mkdir(parents=True)
    (six_ / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    (place / "city.yaml").write_text(
        'city: aa\nname: {zh: a, en: a}\ncode: "000000"\nsynthetic: true\n', encoding="utf-8"
    )
    (place / "mapping.yaml").write_text(MAPPING.format(city="aa").replace(*change, 1), encoding="utf-8")
    rows.to_csv(place / "data" / "rows.csv", index=False, na_rep="")
    return ingest.ingest(place, tmp_path / "home", seeded("sets"))


def masks(tmp_path: Path, name: str) -> dict[int, int]:
    home = tmp_path / "home"
    rows = snapshot.open_for(home, next(iter(snapshot.current(home).dates)))
    (table,) = rows.batches([name])
    values, numbers = np.unique(table.columns[name].values[table.columns[name].known], return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def few(worries: list[Any], habits: str = "save") -> pd.DataFrame:
    return frame("aa", len(worries)).assign(worries=worries, habits=habits)


def test_texts_become_masks_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    """Blanks and empty pieces say nothing; a text of separators alone is an answer without a code; two local words may be one code."""
    done = taken_in(tmp_path, few(["病", "老;养老", " 失业 ;病;", ";;", None, "意外;病;老;失业"], "give|spend|save"))
    assert masks(tmp_path, "worries") == {0: 1, 1: 1, 2: 1, 9: 1, 15: 1}
    assert masks(tmp_path, "habits") == {1: 6}
    worries, habits = done.counters["worries"], done.counters["habits"]
    assert (worries.given, worries.missing, worries.dropped) == (5, 1, 0)
    assert (habits.given, habits.dropped) == (6, 6)
    assert done.counters["sex"].dropped is None


def test_a_code_that_the_mapping_does_not_list_stops_the_ingest_or_is_the_other_one(tmp_path: Path) -> None:
    rows = few(["病", "病;天灾", "天灾"])
    with pytest.raises(ConfigError) as caught:
        taken_in(tmp_path, rows)
    (fault,) = caught.value.every()
    assert (fault.code, fault.at and fault.at.key) == ("ROW_OTHER", "variables.worries")
    assert "天灾" not in str(caught.value)
    done = taken_in(tmp_path / "again", rows, ("失业: job}", "失业: job}, other: accident"))
    assert masks(tmp_path / "again", "worries") == {1: 1, 5: 1, 4: 1}
    assert (done.counters["worries"].given, done.counters["worries"].other) == (1, 2)


def test_an_empty_field_is_missing_unless_the_mapping_says_what_it_means(tmp_path: Path) -> None:
    rows = few(["病", None])
    for number, (rule, expected) in enumerate(
        {"{category: job}": {1: 1, 8: 1}, "keep": {1: 1}, "drop": {1: 1}}.items()
    ):
        place = tmp_path / str(number)
        taken_in(place, rows, ("失业: job}", f"失业: job}}, null: {rule}"))
        assert masks(place, "worries") == expected
