"""The two logits of the survey through real gates: equal to the fits of the pooled rows, and the slopes of the report are found again."""

import json
from typing import Final

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from coordinator import templates
from protocols import dictionary as dictionaries
from protocols import study as studies
from simulations import cities, world
from simulations.cities import respondents

Outcome = tuple[dict[str, dict[str, dict[str, float]]], pd.DataFrame]
LOCAL: Final = {"是": 1, "否": 0}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Coefficients of both questions by term, with their standard errors, and the rows of all parties."""
    place = tmp_path_factory.mktemp("logits")
    cities.write_respondents(place / "cities")
    templates.written(place / "study.yaml", templates.content("platform-workers-logits"))
    run = world.run(studies.load(place / "study.yaml"), place / "cities", place / "homes", seed=3)
    questions = json.loads(run.results)["questions"]
    found = {name: {each["term"]: each for each in asked["coefficients"]} for name, asked in questions.items()}
    names = {each.label.zh: name for name, each in dictionaries.load(respondents.DICTIONARY).variables.items()}
    files = (path for party in respondents.PARTIES for path in (place / "cities" / party / "data").iterdir())
    rows = pd.concat(pd.read_csv(path) for path in files).rename(columns=names)
    return found, rows[list(names.values())].replace(LOCAL).apply(pd.to_numeric)


@pytest.mark.parametrize("name", ["flexible", "constrained"])
def test_a_logit_over_secure_sums_is_the_pooled_one_and_finds_the_planted_slopes(name: str, outcome: Outcome) -> None:
    found, rows = outcome
    planted = respondents.planted()[name]
    terms = [term for term in planted if term != "intercept"]
    among = rows if name == "flexible" else rows[rows["flexible"] == 1]
    known = among[[name, *terms]].dropna()
    fit = sm.Logit(known[name], sm.add_constant(known[terms])).fit(disp=0, tol=1e-14, maxiter=60)
    mine = {term.removesuffix("[true]"): each for term, each in found[name].items()}
    assert set(mine) == {"intercept", *terms}
    for term in terms:
        assert mine[term]["estimate"] == pytest.approx(fit.params[term], abs=1e-8)
        assert abs(mine[term]["estimate"] - planted[term]) < 3.5 * mine[term]["std_error"], term
    assert mine["intercept"]["estimate"] == pytest.approx(fit.params["const"], abs=1e-8)
    assert np.isfinite([each["std_error"] for each in mine.values()]).all()
