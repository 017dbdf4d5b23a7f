"""Regressions in a study, end to end: equal to the pooled fit, beside tables, all or nothing, and checked again from the bundle."""

import json
import shutil
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from coordinator.verify import verify
from protocols import manifest
from protocols import session as sessions
from protocols.canonical import canonical
from protocols.errors import ConfigError, IncompleteError
from protocols.study import Study
from simulations import world
from tests.six import Six, counts, results, unsound

QUESTIONS = """  - {id: products, kind: frequency, of: product}
  - {id: stops, kind: glm, family: binomial, outcome: withdrew, terms: [age, sex, product, log1p(amount)], errors: hc0}
  - {id: paid, kind: glm, family: gaussian, outcome: amount, terms: [age, city.region]}
  - {id: few, kind: glm, family: binomial, outcome: withdrew, terms: [sex, product], cohort: {variable: age, below: 20}}
  - {id: ages, kind: glm, family: binomial, outcome: withdrew, terms: [sex], errors: {cluster: age}}
"""
MORE = "cities: {attributes: {region: {aa: west, bb: west, cc: west, dd: east, ee: east, ff: east}}}\n"


def asked(six: Six) -> Study:
    return six.study(QUESTIONS, MORE, "exact")


@pytest.fixture(scope="module")
def outcome(six: Six, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return six.ask(asked(six), tmp_path_factory.mktemp("models"))


def pooled(six: Six, outcome: str, columns: dict[str, Any], family: Any, **how: Any) -> Any:
    """statsmodels on the rows of all cities together."""
    rows = six.rows
    table = pd.DataFrame({"intercept": 1.0} | columns, index=rows.index, dtype=float)
    y = pd.to_numeric(rows[outcome].replace({"true": 1, "false": 0}), errors="coerce").astype(float)
    whole = table.notna().all(axis=1) & y.notna()
    return sm.GLM(y[whole].to_numpy(), table[whole].to_numpy(), family=family).fit(tol=1e-13, maxiter=200, **how)


def is_(values: pd.Series, code: str) -> pd.Series:
    return (values == code).astype(float).where(values.notna())


def test_each_fit_equals_that_of_the_pooled_rows(six: Six, outcome: world.Outcome) -> None:
    rows, found = six.rows, results(outcome)["questions"]
    age, amount = pd.to_numeric(rows["age"]).astype(float), pd.to_numeric(rows["amount"]).astype(float)
    female = is_(rows["sex"], "female")
    products = {f"product[{code}]": is_(rows["product"], code) for code in ("monthly", "free")}
    stops = {"age": age, "sex[female]": female, **products, "log1p(amount)": np.log1p(amount)}
    west = {"age": age, "city.region[west]": rows["city"].isin(["aa", "bb", "cc"]).astype(float)}
    references: dict[str, tuple[dict[str, Any], Any]] = {
        "stops": (stops, pooled(six, "withdrew", stops, sm.families.Binomial(), cov_type="HC0")),
        "paid": (west, pooled(six, "amount", west, sm.families.Gaussian())),
    }
    for name, (columns, reference) in references.items():
        listed = {each["term"]: each for each in found[name]["coefficients"]}
        assert list(listed) == ["intercept", *columns]
        for each, estimate, error in zip(listed.values(), reference.params, reference.bse, strict=True):
            assert each["estimate"] == pytest.approx(estimate, abs=1e-8, rel=5e-12)  # twelve digits are printed
            assert each["std_error"] == pytest.approx(error, abs=1e-8, rel=1e-8)
            assert each["error_bound"] <= 1e-6
        fit = found[name]["fit"]
        assert (fit["converged"], fit["n"], fit["rounds"] <= 9) == (True, reference.nobs, True)
        assert fit["deviance"] == pytest.approx(reference.deviance, rel=1e-10)


def test_a_question_without_an_answer_says_why_and_the_others_go_on(six: Six, outcome: world.Outcome) -> None:
    found = results(outcome)["questions"]
    fit = found["few"]["fit"]
    assert (fit["converged"], fit["cause"], fit["obs_status"]) == (False, "MODEL_TOO_FEW_EVENTS", "x")
    assert found["few"]["coefficients"] == []
    assert "withdrew" in fit["why"]["en"]
    whole = six.rows.dropna(subset=["age", "sex", "withdrew"])
    assert (
        found["ages"]["fit"]["clusters"] == whole.groupby("city")["age"].nunique().sum()
    )  # clusters lie inside cities
    assert counts(outcome, "products")[("free",)] == (six.rows["product"] == "free").sum()


def test_the_bundle_is_replayed_and_another_coefficient_is_found_out(outcome: world.Outcome, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    model = json.loads((out / "models" / "stops.json").read_bytes())
    assert (model["model"], model["fit"]["kind"], len(model["fit"]["covariance"])) == ("hpf-model@1", "glm", 6)
    assert not (out / "models" / "few.json").exists()
    page = (out / "report.zh.html").read_text(encoding="utf-8")
    assert "回归系数" in page
    assert (
        (out / "tables" / "stops.csv")
        .read_text(encoding="utf-8-sig")
        .splitlines()[2]
        .startswith("pooled,coefficient,age")
    )
    held = json.loads((out / manifest.SESSION).read_bytes())
    assert len(held["rounds"]) == max(
        each["fit"]["rounds"] for each in results(outcome)["questions"].values() if "fit" in each
    )

    tree = results(outcome)
    tree["questions"]["stops"]["coefficients"][1]["estimate"] *= 1.001
    (out / manifest.RESULTS).write_bytes(canonical(tree))
    found = sealed_again(out, outcome)
    steps = {step.name: [fault.code for fault in step.faults] for step in verify(found) if not step.holds}
    assert steps["numbers"] == ["BUNDLE_NUMBERS"]


def sealed_again(out: Path, outcome: world.Outcome, instead: Mapping[str, bytes] = MappingProxyType({})) -> Path:
    """The files of a folder under the coordinator's signature; `instead`: files of the bundle that it forges."""
    assert outcome.sealer is not None
    unsealed = replace(outcome.sealer.unsealed, files={**outcome.sealer.unsealed.files, **instead})
    beside = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
        and path.relative_to(out).as_posix() not in (*unsealed.files, manifest.MANIFEST, manifest.SIGNATURE)
    }
    for path, content in replace(outcome.sealer, unsealed=unsealed).sealed(beside, ()).items():
        (out / path).write_bytes(content)
    return out


def test_an_exact_fit_is_all_or_nothing_and_goes_on_from_its_last_sum(six: Six, tmp_path: Path) -> None:
    """A city is lost in the fourth round: no result. The same command goes on where it was, and comes to the same bytes as one that a
    coordinator without a memory begins anew, over the very snapshots: the order of rows, which a home's key makes, shows in last digits."""
    study, homes = asked(six), tmp_path / "homes"
    with pytest.raises(IncompleteError) as lost:
        world.run(study, six.folder, homes, seed=None, drops=[world.drop("cc@masked:3")])
    assert lost.value.code == "SECAGG_ROUND_LOST"
    assert len(list(homes.glob("coordinator/runs/*/1/*/log"))) == 2  # of the sum, and of the session
    anew = shutil.copytree(homes, tmp_path / "anew")
    shutil.rmtree(anew / "coordinator" / "runs")
    again = world.run(study, six.folder, homes, seed=None)
    assert again.missing == ()
    assert results(again)["questions"] == results(world.run(study, six.folder, anew, seed=None))["questions"]
    asks = [each for each in again.events if each["event"] == "ask" and each["city"] == "aa"]
    rounds = max(each["fit"]["rounds"] for each in results(again)["questions"].values() if "fit" in each)
    assert len(asks) == rounds - 4  # three sums were there; the first round of a session comes with its shares
    assert unsound(again, tmp_path / "out") == {}
    assert not list(homes.glob("coordinator/runs/*/1/*/log"))
    assert world.run(study, six.folder, homes, seed=None).stored


def test_a_fit_of_more_rounds_than_a_session_has_goes_on_in_the_next_one_which_is_no_new_attempt(
    six: Six, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions of two rounds, one of which loses a city: more of them than a study has attempts."""
    monkeypatch.setattr(sessions, "MOST_ROUNDS", 2)
    study, homes = asked(six), tmp_path / "homes"
    with pytest.raises(IncompleteError):
        world.run(study, six.folder, homes, seed=None, drops=[world.drop("cc@masked:1")])
    whole = shutil.copytree(homes, tmp_path / "whole")
    shutil.rmtree(whole / "coordinator" / "runs")
    again = world.run(study, six.folder, homes, seed=None)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "MOST_ROUNDS", 64)
        assert results(again)["questions"] == results(world.run(study, six.folder, whole, seed=None))["questions"]
    assert unsound(again, tmp_path / "out") == {}
    assert not list(homes.glob("coordinator/runs/*/1/*/log"))
    held = json.loads((tmp_path / "out" / manifest.SESSION).read_bytes())
    sizes = list(Counter(each["conversation"] for each in held["rounds"]).values())
    assert len(sizes) > 3
    assert sizes[:-1] == [1, *[2] * (len(sizes) - 2)]


def test_a_record_of_a_session_that_its_cities_did_not_attest_is_found_out(
    outcome: world.Outcome, tmp_path: Path
) -> None:
    """What every city signed binds all rounds: a record of other asks, or of another last sum, does not go with these signatures."""
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    held = json.loads((out / manifest.SESSION).read_bytes())
    for altered in (otherwise(held, 1, "asks"), otherwise(held, -1, "total")):
        found = verify(sealed_again(out, outcome, {manifest.SESSION: canonical(altered)}))
        assert "SESSION_ATTESTED" in [fault.code for step in found for fault in step.faults]
    path = manifest.attestation_of("bb")
    said = json.loads(b64decode(json.loads((out / path).read_bytes())["payload"]))
    (second,) = [each for each in said["conversations"] if each["kind"] == "session" and each["round"] == 1]
    second["asked"] = "sha256:" + "0" * 64
    signed = json.loads((out / path).read_bytes()) | {"payload": b64encode(canonical(said)).decode()}
    forged = verify(sealed_again(out, outcome, {path: canonical(signed)}))
    assert [step for step in forged if step.faults], "what another put down is no city's word"


def otherwise(held: dict[str, Any], number: int, part: str) -> dict[str, Any]:
    """The record of a session with one round asked at another point, or summed to something else."""
    found: dict[str, Any] = json.loads(json.dumps(held))
    told = found["rounds"][number]["told"]
    if part == "asks":
        next(iter(told["asks"].values()))["point"][0] += 0.5
    else:
        total = np.frombuffer(b64decode(told["total"]), "<i8").copy()
        total[-1] += 1
        told["total"] = b64encode(total.tobytes()).decode()
    return found


def test_a_regression_has_no_release_by_city_and_not_all_of_them_a_mode_dp(six: Six) -> None:
    for more, code in ((", errors: hc0", "MODEL_DP_NOT_OFFERED"), (", release: by_city", "MODEL_RELEASE")):
        with pytest.raises(ConfigError) as fault:
            six.study("  - {id: f, kind: glm, family: poisson, outcome: age, terms: [sex]" + more + "}\n", MORE)
        assert code in [each.code for each in fault.value.every()]


@pytest.mark.parametrize(
    ("question", "code", "key"),
    [
        ("family: poisson, outcome: age, terms: [sexx]", "STUDY_VARIABLE", "questions[0].terms"),
        ("family: poisson, outcome: agee, terms: [sex]", "STUDY_VARIABLE", "questions[0].outcome"),
        ("family: poisson, outcome: amount, terms: [sex]", "MODEL_OUTCOME_RANGE", "questions[0].outcome"),
        ("family: binomial, link: log, outcome: withdrew, terms: [sex]", "MODEL_LINK", "questions[0].link"),
        ("family: binomial, outcome: withdrew, terms: [log(age, sex)]", "MODEL_TERM", "questions[0].terms"),
        ("family: binomial, outcome: withdrew, terms: [city.regio]", "STUDY_VARIABLE", "questions[0].terms"),
        ("family: gausian, outcome: amount, terms: [sex]", "SCHEMA_VALUE", "questions[0].family"),
    ],
)
def test_a_fault_of_a_regression_stands_at_its_line_and_key(six: Six, question: str, code: str, key: str) -> None:
    with pytest.raises(ConfigError) as fault:
        six.study("  - {id: f, kind: glm, " + question + "}\n", MORE, "exact")
    assert (fault.value.code, fault.value.at and fault.value.at.key) == (code, key)
    assert fault.value.at
    assert fault.value.at.line == 10
