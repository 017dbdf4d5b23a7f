"""A regression and a scorecard with noise through the real gates: one charge, near the pooled rows, replayed from the bundle."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from coordinator import modelcard, plan, plan_text
from coordinator.beforehand import Beforehand, Known, StandIn, people
from coordinator.results import Results
from node import ledger
from protocols import privacy
from protocols.errors import ConfigError
from protocols.models.modelfile import Card, load
from tests.six import CITIES, Six, results, unsound

QUESTION = "  - {id: stops, kind: glm, family: binomial, outcome: withdrew, terms: [age, sex]}\n"
EVALUATED = QUESTION + "  - {id: good, kind: evaluate, model: stops, by: sex}\n"


def test_a_regression_with_noise_and_its_evaluation_are_charged_once_and_intervals_hold_the_pooled_rows(
    six: Six, tmp_path: Path
) -> None:
    outcome = six.ask(six.study(EVALUATED), tmp_path, drops=("cc@masked:2",))
    found = results(outcome)
    entry = found["questions"]["stops"]
    rows = six.rows
    table = pd.DataFrame({"1": 1.0, "age": pd.to_numeric(rows["age"]).astype(float), "sex": rows["sex"] == "female"})
    y = rows["withdrew"].map({"true": 1.0, "false": 0.0})
    whole = table.notna().all(axis=1) & y.notna()
    pooled = sm.Logit(y[whole].astype(float), table[whole].astype(float)).fit(disp=False)
    assert [each["term"] for each in entry["coefficients"]] == ["intercept", "age", "sex[female]"]
    for each, estimate in zip(entry["coefficients"], pooled.params, strict=True):
        assert abs(each["estimate"] - estimate) < 4 * each["se_noise"]
        assert each["std_error"] ** 2 == pytest.approx(each["se_sampling"] ** 2 + each["se_noise"] ** 2)
        assert each["ci_low"] < each["estimate"] < each["ci_high"]
    fit = entry["fit"]
    assert fit["rounds"] == 7
    assert fit["widened"] > 1
    assert (fit["deviance"], fit["aic"], fit["log_likelihood"]) == (None, None, None)
    assert abs(fit["n"] - whole.sum()) < 0.3 * whole.sum()

    (session,) = ledger.look(tmp_path / ".hpfed" / "aa" / ledger.FILE, now=0).reservations
    assert [each.block for each in session.claim.charges] == [
        "stops: moments",
        "stops: products",
        *(f"stops: score {number}" for number in range(1, 6)),
        "good: histogram",
        "good: totals",
    ]
    assert Decimal("3.96") < privacy.epsilon_of(session.claim.cost.curve, Decimal("1e-6")) <= 4
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    page = (out / "report.zh.html").read_text(encoding="utf-8")
    assert "因为噪声，区间一般为没有噪声时的" in page
    assert "其中噪声" in page
    model = json.loads((out / "models" / "stops.json").read_bytes())
    assert np.array(model["fit"]["covariance"]).shape == (3, 3)
    (card,) = modelcard.of(Results.load(out))
    assert (card.mode, card.budget and card.budget.epsilon, card.certificate.digits) == ("dp", 4.0, None)
    assert [each.se_noise for each in card.terms or ()] == [each["se_noise"] for each in entry["coefficients"]]
    assert [each.name for each in card.cities] == entry["cities"]
    assert not [value for value in json.loads(card.content).values() if value in ("", None, [], {})]

    entry = found["questions"]["good"]
    assert (entry["fit"]["rounds"], entry["fit"]["in_sample"], set(entry["fit"]["unsaid"])) == (
        1,
        True,
        {"psi", "hosmer_lemeshow"},
    )
    said = {row["measure"]: row for row in entry["rows"] if row.get("sex") in (None, "female")}
    share = float(y[whole].mean())
    assert said["observed"]["ci_low"] < share < said["observed"]["ci_high"]
    assert all(said[name]["se_noise"] > 0 for name in ("auc", "brier", "observed_expected", "group_observed"))
    assert said["auc"]["ci_low"] < 0.52 < said["auc"]["ci_high"]


CARD = (
    "  - {id: card, kind: scorecard, outcome: withdrew, features: [age, product, amount], bins: {age: [25, 35, 45]}}\n"
)


GOOD = "  - {id: good, kind: evaluate, model: card}\n"


def test_a_scorecard_with_noise_is_charged_once_and_counts_the_pooled_rows(six: Six, tmp_path: Path) -> None:
    outcome = six.ask(six.study(CARD + GOOD), tmp_path, drops=("cc@masked:3",))
    entry = results(outcome)["questions"]["card"]
    assert entry["fit"]["converged"], entry["fit"]
    assert entry["fit"]["rounds"] == 8
    known = six.rows[six.rows["withdrew"].notna()]
    events = [row for row in entry["rows"] if row["measure"] == "events"]
    total = {row["feature"]: [each for each in events if each["feature"] == row["feature"]] for row in events}
    for rows in total.values():
        noise = sum(row["se_noise"] ** 2 for row in rows) ** 0.5
        assert abs(sum(row["estimate"] for row in rows) - (known["withdrew"] == "true").sum()) < 5 * noise
    assert {"iv", "weight", "woe", "points"} <= {row["measure"] for row in entry["rows"]}
    (session,) = ledger.look(tmp_path / ".hpfed" / "aa" / ledger.FILE, now=0).reservations
    assert [each.block for each in session.claim.charges if each.block.startswith("card: ")] == [
        *(f"card: {name}" for name in ("leaves", "histogram", "products")),
        *(f"card: score {number}" for number in range(1, 6)),
    ]
    assert Decimal("3.96") < privacy.epsilon_of(session.claim.cost.curve, Decimal("1e-6")) <= 4
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    model = load((out / "models" / "card.json").read_bytes(), "card", date(2022, 6, 1))
    assert isinstance(model.fit, Card)
    (auc,) = [row for row in results(outcome)["questions"]["good"]["rows"] if row["measure"] == "auc"]
    assert 0 < auc["ci_low"] < auc["estimate"] < auc["ci_high"] < 1, "the same session evaluates the card that it makes"
    for language, said in (("zh", "因为噪声，区间一般为没有噪声时的"), ("en", "scorecard")):
        page = (out / f"report.{language}.html").read_text(encoding="utf-8")
        assert said in page
        assert ">None<" not in page


def test_a_plan_warns_of_noise_and_refuses_a_fit_that_would_be_noise_alone(six: Six) -> None:
    study = six.study(QUESTION)

    def of(people: int) -> plan.Planned:
        return plan.planned(study, [Known(city=name) for name in CITIES], "folder", lambda _names: None, people)

    (ratio,) = plan.noise_of_models(of(2400)).values()
    assert ratio < 1
    few = round(2400 * (ratio / 2) ** 2)
    value = plan.published(of(few), [])
    (warning,) = [each for each in value["warnings"] if each["warning"] == "noisy_model"]
    assert warning["times"] == pytest.approx(2, rel=0.1)
    assert "2" in plan_text.table(value, "zh")
    with pytest.raises(ConfigError) as no:
        plan.published(of(few // 4), [])
    assert no.value.code == "MODEL_DP_TOO_NOISY"
    with pytest.raises(ConfigError):
        plan.refuse_noise(of(few // 4))
    with_rows = Beforehand(twin=(StandIn(city="aa", sums=(), rows=400),))
    assert people([Known(city=name) for name in CITIES], with_rows) == 2400


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("family: negative_binomial, alpha: 0.5, outcome: age, terms: [sex]", "family: negative_binomial"),
        ("family: binomial, link: probit, outcome: withdrew, terms: [sex]", "link: probit"),
        ("family: binomial, outcome: withdrew, terms: [sex], errors: hc0", "errors: robust"),
        ("family: binomial, outcome: withdrew, terms: [sex], city_effects: concentrated", "city_effects: concentrated"),
        ("family: poisson, outcome: age, terms: [sex], offset: log1p(amount)", "offset: log1p(amount)"),
    ],
)
def test_what_has_no_bound_on_one_holder_is_not_offered_with_noise(six: Six, asked: str, what: str) -> None:
    with pytest.raises(ConfigError) as fault:
        six.study("  - {id: f, kind: glm, " + asked + "}\n")
    assert (fault.value.code, fault.value.values["kind"]) == ("MODEL_DP_NOT_OFFERED", f"glm ({what})")
