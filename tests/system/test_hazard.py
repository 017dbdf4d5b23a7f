"""Hazards in a study, end to end: equal to the regression on the pooled person-months, scored at home, and checked again."""

import json
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from coordinator import plan
from coordinator.beforehand import Known
from node import scores
from protocols.models import modelfile
from simulations import world
from tests import monthly
from tests.monthly import MONTHS, SEXES, STATES, Monthly
from tests.six import results, unsound

QUESTIONS: Final = """  - {id: since, kind: hazard, event: stopped, terms: [sex, owner, state], opened: opened, months: 12}
  - {id: calendar, kind: hazard, event: contributions.stopped, terms: [owner, log1p(amount)], link: cloglog}
  - {id: line, kind: hazard, event: stopped, terms: [month, sex], baseline: none, errors: {cluster: holder}}
  - {id: sealed, kind: hazard, event: {variable: contributions.state, is: sealed}, terms: [owner], baseline: none}
  - {id: home, kind: hazard, event: stopped, terms: [owner], baseline: none, city_effects: concentrated}
"""


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Monthly:
    return monthly.written(tmp_path_factory.mktemp("monthly"))


@pytest.fixture(scope="module")
def outcome(cities: Monthly, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return cities.ask(cities.study(QUESTIONS), tmp_path_factory.mktemp("outcome"))


def dummies(values: pd.Series, codes: tuple[Any, ...]) -> dict[str, Any]:
    return {str(code): (values == code).astype(float) for code in codes[1:]}


def columns(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """The pooled design of a question, in the order of its coefficients."""
    owner, sex = {"owner": (table["owner"] == "true").astype(float)}, dummies(table["sex"], SEXES)
    return {
        "since": {**dummies(table["since"], tuple(range(12))), **sex, **owner, **dummies(table["state"], STATES)},
        "calendar": {
            **dummies(table["at"], tuple(range(MONTHS))),
            **owner,
            "pay": np.log1p(table["amount"].astype(float)),
        },
        "line": {"month": table["at"].astype(float), **sex},
        "home": {**{f"city {city}": (table["city"] == city).astype(float) for city in monthly.CITIES[1:]}, **owner},
    }[name]


def pooled(cities: Monthly, name: str) -> Any:
    table = cities.at_risk
    x = np.column_stack([np.ones(len(table)), *columns(table, name).values()]).astype(float)
    link = sm.families.links.CLogLog() if name == "calendar" else sm.families.links.Logit()
    model = sm.GLM((table["stopped"] == "1").to_numpy(float), x, family=sm.families.Binomial(link))
    groups = {"groups": pd.Categorical(table["id"]).codes, "use_correction": True, "df_correction": True}
    how = {"cov_type": "cluster", "cov_kwds": groups} if name == "line" else {}
    return model.fit(start_params=model.fit(tol=1e-13).params, tol=1e-13, **how)


@pytest.mark.parametrize("name", ["since", "calendar", "line", "home"])
def test_each_hazard_equals_that_of_the_pooled_person_months(
    cities: Monthly, outcome: world.Outcome, name: str
) -> None:
    entry, reference, table = results(outcome)["questions"][name], pooled(cities, name), cities.at_risk
    fit = entry["fit"]
    assert fit["converged"], fit
    found = np.array([[each["estimate"], each["std_error"]] for each in entry["coefficients"]])
    wanted = np.column_stack([reference.params, reference.bse])
    assert np.abs(found - (wanted[3:] if name == "home" else wanted)).max() <= 1e-8
    assert (fit["n"], fit["holders"], fit["events"]) == (
        len(table),
        table["id"].nunique(),
        (table["stopped"] == "1").sum(),
    )
    assert fit["rounds"] <= 9


def test_the_hazard_of_each_month_is_that_of_a_holder_at_the_means(cities: Monthly, outcome: world.Outcome) -> None:
    questions, table = results(outcome)["questions"], cities.at_risk
    assert [questions[name]["rows"] for name in ("line", "home")] == [[], []]
    rows, reference = questions["since"]["rows"], pooled(cities, "since")
    assert [row["since"] for row in rows] == [str(month) for month in range(12)]
    means = np.array([float(np.mean(each)) for each in list(columns(table, "since").values())[11:]])
    for month, row in enumerate(rows):
        at = np.concatenate([[1.0], np.arange(1, 12) == month, means])
        eta, error = at @ reference.params, np.sqrt(at @ reference.cov_params() @ at)
        expected = [1 / (1 + np.exp(-(eta + each * error))) for each in (0.0, -1.959963984540054, 1.959963984540054)]
        assert [row["estimate"], row["ci_low"], row["ci_high"]] == pytest.approx(expected, rel=1e-7)
    assert [row["month"] for row in questions["calendar"]["rows"]][::9] == ["2021-08", "2022-05"]


def test_the_bundle_is_replayed_and_the_report_is_drawn(outcome: world.Outcome, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    for language in ("zh", "en"):
        assert "sex" in (out / f"report.{language}.html").read_text(encoding="utf-8")


def test_codes_of_a_category_are_an_event(cities: Monthly, outcome: world.Outcome) -> None:
    """The first month in which a holder is sealed, whether or not it had stopped."""
    entry, rows = results(outcome)["questions"]["sealed"], cities.months.sort_values(["city", "id", "at"])
    first = rows[rows["state"] == "sealed"].groupby("id")["at"].min().rename("first")
    rows = rows.join(first, on="id").merge(cities.holders, on=["id", "city"])
    kept = rows[(rows["at"] >= 0) & ~(rows["at"] > rows["first"])]
    x = np.column_stack([np.ones(len(kept)), kept["owner"] == "true"]).astype(float)
    reference = sm.GLM((kept["state"] == "sealed").to_numpy(float), x, family=sm.families.Binomial()).fit(tol=1e-13)
    found = [each["estimate"] for each in entry["coefficients"]]
    assert np.abs(np.array(found) - reference.params).max() <= 1e-8
    assert entry["fit"]["events"] == (kept["state"] == "sealed").sum()


def test_the_model_scores_the_next_month_of_who_is_still_at_risk(
    cities: Monthly, outcome: world.Outcome, tmp_path: Path
) -> None:
    unsound(outcome, tmp_path / "out")
    path = tmp_path / "out" / "models" / "since.json"
    model = modelfile.load(path.read_bytes(), path.name, date(2022, 6, 1))
    folder = cities.folder / "aa"
    said = scores.score(model, folder, world.home(folder, cities.homes), tmp_path / "scores.csv", "en")
    found = pd.read_csv(tmp_path / "scores.csv")["probability"].to_numpy()
    holders, months = (table[table["city"] == "aa"] for table in (cities.holders, cities.months))
    last = months.sort_values("at").groupby("id").last()
    over = set(months.loc[months["stopped"] == "1", "id"])
    fitted = {each["term"]: each["estimate"] for each in json.loads(path.read_bytes())["fit"]["weights"]}
    expected = []
    states = dict(zip(last.index, last["state"], strict=True))
    for row in holders.to_dict("records"):
        since = MONTHS - (int(row["opened"][:4]) - 2021) * 12 - int(row["opened"][5:7]) + 8
        if row["id"] in over or row["id"] not in states or since >= 12:
            expected.append(np.nan)
            continue
        terms = [
            f"month[{since}]",
            f"state[{states[row['id']]}]",
            *(f"{name}[{row[name]}]" for name in ("sex", "owner")),
        ]
        eta = fitted["intercept"] + sum(fitted.get(term, 0.0) for term in terms)
        expected.append(1 / (1 + np.exp(-eta)))
    assert np.sort(found) == pytest.approx(
        np.sort(expected), abs=1e-11, nan_ok=True
    )  # a snapshot has an order of its own
    assert 0 < said.without < 400
    assert (said.rows, said.without) == (400, int(np.isnan(found).sum()))


def test_a_hazard_with_noise_is_charged_and_its_intervals_hold_the_pooled_fit(cities: Monthly, tmp_path: Path) -> None:
    asked = "  - {id: noisy, kind: hazard, event: stopped, terms: [month, owner], baseline: none}\n"
    study = cities.study(asked, "dp")
    planned = plan.planned(study, [Known(city=name) for name in monthly.CITIES], "folder", lambda _names: None, 1200)
    assert 0 < plan.noise_of_models(planned)["noisy"] < 1
    outcome = cities.ask(study, tmp_path)
    entry, table = results(outcome)["questions"]["noisy"], cities.at_risk
    design = np.column_stack([np.ones(len(table)), table["at"], table["owner"] == "true"]).astype(float)
    reference = sm.GLM((table["stopped"] == "1").to_numpy(float), design, family=sm.families.Binomial()).fit()
    for each, estimate in zip(entry["coefficients"], reference.params, strict=True):
        assert abs(each["estimate"] - estimate) < 4 * each["se_noise"]
        assert each["std_error"] ** 2 == pytest.approx(each["se_sampling"] ** 2 + each["se_noise"] ** 2)
    assert entry["fit"]["holders"] == pytest.approx(table["id"].nunique(), rel=0.3)
    assert unsound(outcome, tmp_path / "out") == {}
