"""Cox, classes, effects of cities and penalties in a study, end to end: equal to the fits of the pooled rows, and checked again."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

from node import policy
from protocols.errors import ConfigError, Refusal
from protocols.models import KINDS
from protocols.models.question import supposed
from protocols.statistics import EXAMPLE_DOMAIN
from simulations import world
from tests.six import CITIES, Six, results, unsound

HEAD = "kind: glm, family: binomial, outcome: withdrew"
QUESTIONS = f"""  - {{id: times, kind: cox, duration: age, event: withdrew, terms: [sex, product]}}
  - {{id: choices, kind: multinomial, outcome: product, terms: [age, sex]}}
  - {{id: levels, kind: ordinal, outcome: product, terms: [age]}}
  - {{id: home, {HEAD}, terms: [age, sex], city_effects: concentrated}}
  - {{id: apart, {HEAD}, terms: [age], city_effects: random}}
  - {{id: few, {HEAD}, terms: [age, sex, product], penalty: {{kind: lasso, strength: 30.0}}}}
"""


@pytest.fixture(scope="module")
def outcome(six: Six, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return six.ask(six.study(QUESTIONS, "", "exact"), tmp_path_factory.mktemp("more"))


def columns(six: Six) -> pd.DataFrame:
    """Known values of all cities' rows as numbers."""
    rows = six.rows
    made = {
        "age": pd.to_numeric(rows["age"]),
        "sex": (rows["sex"] == "female").where(rows["sex"].notna()),
        "product": rows["product"].map({"lump": 0, "monthly": 1, "free": 2}),
        "withdrew": rows["withdrew"].map({"true": 1, "false": 0, True: 1, False: 0}),
        "city": rows["city"].astype("category").cat.codes,
    }
    return pd.DataFrame(made).astype(float)


def told(outcome: world.Outcome, name: str) -> Any:
    entry = results(outcome)["questions"][name]
    assert entry["fit"]["converged"], entry["fit"]
    return np.array([[each["estimate"], each.get("std_error", np.nan)] for each in entry["coefficients"]], float)


def test_each_fit_equals_that_of_the_pooled_rows(six: Six, outcome: world.Outcome) -> None:
    table = columns(six)
    whole = table[["age", "sex", "product", "withdrew", "city"]].dropna()
    x = np.column_stack([whole["sex"], whole["product"] == 1, whole["product"] == 2]).astype(float)
    cox = PHReg(whole["age"], x, whole["withdrew"], ties="efron", strata=whole["city"]).fit(disp=0)
    assert np.abs(told(outcome, "times") - np.column_stack([cox.params, cox.bse])).max() <= 1e-8
    known = table[["product", "age", "sex"]].dropna()
    x = sm.add_constant(known[["age", "sex"]].to_numpy())
    choice = sm.MNLogit(known["product"].to_numpy(), x).fit(method="newton", tol=1e-13, maxiter=50, disp=0)
    assert np.abs(told(outcome, "choices")[:, 0] - np.asarray(choice.params).T.ravel()).max() <= 1e-8
    known = table[["withdrew", "age", "sex", "city"]].dropna()
    dummies = (known["city"].to_numpy()[:, None] == np.arange(6)).astype(float)
    x = np.column_stack([dummies, known[["age", "sex"]]])
    logit = sm.GLM(known["withdrew"].to_numpy(), x, family=sm.families.Binomial()).fit(tol=1e-13)
    assert np.abs(told(outcome, "home") - np.column_stack([logit.params, logit.bse])[6:]).max() <= 1e-8
    for name, size in (("levels", 3), ("apart", 2), ("few", 5)):
        assert len(told(outcome, name)) == size
    fits = results(outcome)["questions"]
    assert fits["apart"]["fit"]["heterogeneity"][1]["cities"] == 6
    assert fits["times"]["fit"]["events"] > 0
    assert fits["few"]["fit"]["kkt_residual"] <= 1e-8


def test_the_bundle_gives_the_same_fits_again(outcome: world.Outcome, tmp_path: Path) -> None:
    assert unsound(outcome, tmp_path / "out") == {}


@pytest.mark.parametrize("kind", ["cox", "ordinal", "multinomial"])
def test_an_example_of_each_kind_plans_all_that_it_asks(kind: str) -> None:
    question = KINDS[kind].model_validate(KINDS[kind].EXAMPLE.question, strict=False)
    model = question.planned(supposed(EXAMPLE_DOMAIN))
    asks = question.example_asks(model)
    assert all(model.length(ask) <= model.most_cells for ask in asks)
    assert [ask.purpose for ask in asks] == ["standardise", "step"]


TOLD = f"""  - {{id: risks, kind: cox, duration: age, event: withdrew, terms: [sex, product], stratify: none}}
  - {{id: rates, {HEAD}, terms: [age, sex], city_effects: fixed}}
"""


def test_what_a_policy_allows_beyond_the_shipped_one_equals_the_pooled_fits_and_verifies(
    six: Six, tmp_path: Path
) -> None:
    shutil.copytree(six.folder, tmp_path / "six")
    for city in CITIES:
        with (tmp_path / "six" / city / "policy.yaml").open("a", encoding="utf-8") as file:
            file.write("models: {cox_time_tables: true, city_constants: true}\n")
    there = replace(six, folder=tmp_path / "six")
    outcome = there.ask(there.study(TOLD, "", "exact"), tmp_path)
    table = columns(six)
    whole = table[["age", "sex", "product", "withdrew"]].dropna()
    x = np.column_stack([whole["sex"], whole["product"] == 1, whole["product"] == 2]).astype(float)
    cox = PHReg(whole["age"], x, whole["withdrew"], ties="efron").fit(disp=0)
    assert np.abs(told(outcome, "risks") - np.column_stack([cox.params, cox.bse])).max() <= 1e-8
    known = table[["withdrew", "age", "sex", "city"]].dropna()
    x = np.column_stack([(known["city"].to_numpy()[:, None] == np.arange(6)).astype(float), known[["age", "sex"]]])
    logit = sm.GLM(known["withdrew"].to_numpy(), x, family=sm.families.Binomial()).fit(tol=1e-13)
    assert np.abs(told(outcome, "rates") - np.column_stack([logit.params, logit.bse])).max() <= 1e-8
    named = [each["term"] for each in results(outcome)["questions"]["rates"]["coefficients"]]
    assert named == [*(f"intercept[{city}]" for city in CITIES), "age", "sex[female]"]
    assert unsound(outcome, tmp_path / "out") == {}


@pytest.mark.parametrize(("number", "key"), [(0, "models.cox_time_tables"), (1, "models.city_constants")])
def test_what_a_policy_does_not_allow_is_declined_before_anything_is_summed(
    six: Six, tmp_path: Path, number: int, key: str
) -> None:
    study = six.study(TOLD.splitlines(keepends=True)[number], "", "exact")
    said = policy.decide(
        study, role="analyst", cities=CITIES, cannot=None, policy=policy.load(six.folder / "aa", loose=True)
    ).refusal()
    assert said is not None
    assert (said.code, said.values["key"]) == ("POLICY_MODELS", key)
    with pytest.raises(Refusal) as no:
        six.ask(study, tmp_path)
    assert "POLICY_MODELS" in str(no.value.values)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{HEAD}, terms: [sex], city_effects: random, errors: hc0", "errors and city_effects: random"),
        ("kind: ordinal, outcome: age, terms: [sex]", "age is a integer"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_its_key(six: Six, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        six.study(f"  - {{id: one, {line}}}\n", "", "exact")
    assert said in refused.value.text("en")
