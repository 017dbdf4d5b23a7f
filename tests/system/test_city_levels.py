"""Attributes of cities as axes: each city fills its own level, and a level of few cities is not printed."""

import json
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from coordinator import beforehand, plan
from coordinator import cli as coordinator
from coordinator.beforehand import Beforehand, Known, StandIn
from protocols.answerable import shortages
from protocols.errors import ConfigError, Refusal
from simulations import standins
from tests.six import CITIES, Six, counts, results, rows_of, unsound

REGION: Final = "region: {aa: west, bb: west, cc: west, dd: east, ee: east, ff: east}"
THIN: Final = "region: {aa: west, bb: west, cc: north, dd: east, ee: east, ff: east}"
QUESTIONS: Final = """  - {id: regions, kind: frequency, of: city.region}
  - {id: products, kind: frequency, of: product, by: city.region}
  - {id: product, kind: frequency, of: product}
  - {id: tgi, kind: tgi, target: product, by: city.region}
  - {id: amounts, kind: mean, of: amount, by: city.region}
  - {id: cross, kind: crosstab, by: [city.region, sex]}
"""


def cities(attributes: str) -> str:
    return f"cities: {{attributes: {{{attributes}}}}}\n"


def test_in_exact_mode_every_city_fills_its_own_level_to_the_last_holder(six: Six, tmp_path: Path) -> None:
    outcome = six.ask(six.study(QUESTIONS, cities(REGION), "exact"), tmp_path)
    rows = six.rows.assign(region=six.rows["city"].map(lambda city: "west" if city < "dd" else "east"))
    rows["product"] = rows["product"].fillna("_missing")
    assert counts(outcome, "regions") == {("east",): 1200, ("west",): 1200, ("_missing",): 0}
    by = rows.groupby(["product", "region"]).size()
    found = counts(outcome, "products")
    assert {key: found[key] for key in by.index} == by.to_dict()
    assert all(count == 0 for key, count in found.items() if key[1] == "_missing")
    known = rows.dropna(subset=["amount"])
    totals = known["amount"].astype(float).groupby(known["region"]).sum()
    found = {row["city.region"]: row["estimate"] for row in rows_of(outcome, "amounts", "total") if row["estimate"]}
    assert found == totals.to_dict()
    assert results(outcome)["cities"]["attributes"] == {
        "region": {city: "west" if city < "dd" else "east" for city in CITIES}
    }
    assert unsound(outcome, tmp_path / "out") == {}


def test_levels_of_few_cities_are_withheld_with_the_next_smallest_and_stay_in_every_sum(
    six: Six, tmp_path: Path
) -> None:
    """west has two cities and north one: three together, so that east, of three, is printed. Without north, west takes east with it."""
    outcome = six.ask(six.study(QUESTIONS, cities(THIN)), tmp_path)
    for name in ("regions", "products", "amounts", "cross"):
        for row in rows_of(outcome, name, "mean" if name == "amounts" else "count"):
            hidden = row["city.region"] in ("west", "north")
            assert row["conf_status"] == ("C" if hidden and row["obs_status"] != "z" else "")
            assert (row["estimate"] is None) == (hidden or row["obs_status"] in ("x", "z"))
    assert [row["conf_status"] for row in rows_of(outcome, "product", "count")] == [""] * 4
    assert {test["conf_status"] for test in results(outcome)["questions"]["cross"]["tests"]} == {"C"}
    assert unsound(outcome, tmp_path / "out") == {}

    two = "region: {aa: west, bb: west, cc: east, dd: east, ee: east, ff: east}"
    study = six.study(QUESTIONS, cities(two))
    split = study.split(study.file.questions[0], CITIES, 3)
    assert split.withheld == {("west",), ("east",)}


def test_a_lost_city_can_make_a_level_thin(six: Six, tmp_path: Path) -> None:
    outcome = six.ask(six.study(QUESTIONS, cities(REGION)), tmp_path, drops=("aa@masked",))
    assert {row["city.region"] for row in rows_of(outcome, "regions", "count") if row["conf_status"]} == {
        "west",
        "east",
    }
    assert {row["conf_status"] for row in rows_of(outcome, "product", "count")} == {""}


def test_exact_mode_refuses_a_thin_level_at_every_node_and_before_it(six: Six, tmp_path: Path) -> None:
    study = six.study(QUESTIONS, cities(THIN), "exact")
    able = dict.fromkeys(CITIES, ())
    found = {(each.name, each.count) for each in shortages(study, able) if each.of == "level"}
    assert found == {("city.region=west", 2), ("city.region=north", 1)}
    with pytest.raises(Refusal) as caught:
        six.ask(study, tmp_path)
    assert caught.value.code == "POLICY_CITIES"
    assert "city.region=" in caught.value.text("en")


def test_a_cohort_of_cities_holds_only_them_and_says_so_to_their_gates(six: Six, tmp_path: Path) -> None:
    """A city outside answers like any other, with nobody, and is exempt from the least cohort as everybody knows that it stands outside."""
    where = "cohort: {all: [{variable: city.region, is: west}, {variable: sex, is: male}]}\n"
    outcome = six.ask(six.study("  - {id: all, kind: count}\n", cities(REGION) + where, "exact"), tmp_path)
    inside = six.rows[(six.rows["city"] < "dd") & (six.rows["sex"] == "male")]
    assert counts(outcome, "all") == {(): len(inside)}
    thin = "cohort: {variable: city.region, is: north}\n"
    dp = six.ask(six.study("  - {id: all, kind: count}\n", cities(THIN) + thin), tmp_path / "dp")
    assert [row["conf_status"] for row in rows_of(dp, "all", "count")] == ["C"]


def test_a_city_that_the_roster_does_not_have_stops_the_study_before_anything_is_sent(six: Six, tmp_path: Path) -> None:
    study = six.study(QUESTIONS, cities("region: {aa: west, gg: east}"))
    with pytest.raises(ConfigError) as caught:
        six.ask(study, tmp_path)
    assert (caught.value.code, caught.value.values["name"]) == ("STUDY_CITY", "gg")


def test_the_digest_covers_attributes_and_levels_do_not_depend_on_the_order_of_a_file(six: Six) -> None:
    one = six.study(QUESTIONS, cities("region: {aa: west, bb: east}"))
    same = six.study(QUESTIONS, cities("region: {bb: east, aa: west}"))
    other = six.study(QUESTIONS, cities("region: {aa: east, bb: west}"))
    assert one.digest == same.digest != other.digest
    assert one.domain.axis("city.region").positions == ("east", "west", "_missing")
    assert one.workload.layout.digest == other.workload.layout.digest, "what leaves has the same shape"


def test_what_will_be_withheld_or_refused_is_said_before_any_city_is_asked(six: Six) -> None:
    """By `study check`, and row by row by a plan, with a twin and without."""
    for mode, outcome in (("dp", "withheld"), ("exact", "refused")):
        study = six.study(QUESTIONS, cities(THIN), mode)
        path = six.folder / "study.yaml"
        said = CliRunner().invoke(coordinator.app, ["study", "check", str(path), "--json"])
        levels = {(each["question"], each["level"]): each for each in json.loads(said.stdout)["levels"]}
        assert levels["regions", "city.region=north"] == {
            "question": "regions", "level": "city.region=north", "cities": 1, "least": 3, "outcome": outcome
        }  # fmt: skip
        assert ("product", "city.region=north") not in levels
        words = CliRunner().invoke(coordinator.app, ["study", "check", str(path), "--lang", "zh"]).stdout
        assert "属于 city.region=north 的城市只有 1 个，至少要 3 个" in words
    study = six.study(QUESTIONS, cities(THIN))
    known = [Known(city=name) for name in CITIES]
    sums = [StandIn(city=name, sums=standins.given(study, six.homes / name, name)) for name in CITIES[:2]]
    for twin in (None, Beforehand(twin=tuple(sums))):
        planned = plan.planned(
            study,
            known,
            "study",
            lambda names, twin=twin: twin and beforehand.stand_ins(names, study, twin),  # type: ignore[misc]  # bound here, for the loop
        )
        cells = plan.published(planned, ())["questions"][0]["cells"]
        by_level = {each["city.region"]: each["withheld"] for each in cells if each["measure"] == "count"}
        assert by_level == {"west": 1.0, "north": 1.0, "east": 0.0, "_missing": 0.0}
        expected = {each["city.region"]: each["expected"] for each in cells if each["measure"] == "count"}
        assert expected["east"] == (None if twin is None else 1200), (
            "stand-ins move to the level of whom they stand for"
        )
        assert "regions" not in planned.noisy
