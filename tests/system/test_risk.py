"""A scorecard, trees and their evaluation in one study, end to end: over real gates, beside each other, checked again from the bundle."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coordinator import modelcard, output
from coordinator.modelcard import ModelCard
from coordinator.results import Results
from coordinator.verify import verify
from protocols.dictionary import Column
from protocols.errors import ConfigError
from protocols.models.discrimination import ranked
from protocols.models.modelfile import Card, ModelFile, Trees, load
from protocols.models.scoring import scores
from simulations import world
from tests.models.test_evaluate import auc_of, counted
from tests.six import CITIES, Six, results, rows_of, unsound

QUESTIONS = """  - {id: stops, kind: glm, family: binomial, outcome: withdrew, terms: [age, sex, product], influence: true}
  - {id: card, kind: scorecard, outcome: withdrew, features: [age, sex, product, amount], bins: 12}
  - {id: trees, kind: gbdt, outcome: withdrew, features: [age, product, amount], trees: 1, depth: 2}
  - {id: how_good, kind: evaluate, model: stops, by: sex, cut: 0.3, release: both}
  - {id: trees_good, kind: evaluate, model: trees}
  - {id: nothing, kind: scorecard, outcome: withdrew, features: [sex]}
  - {id: nothing_good, kind: evaluate, model: nothing}
"""


@pytest.fixture(scope="module")
def outcome(six: Six, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return six.ask(six.study(QUESTIONS, "", "exact"), tmp_path_factory.mktemp("risk"))


@pytest.fixture(scope="module")
def out(outcome: world.Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("risk") / "out"
    assert unsound(outcome, found) == {}, "every number, and every model, follows from the record of the session"
    return found


def model(out: Path, name: str) -> ModelFile:
    return load((out / "models" / f"{name}.json").read_bytes(), name, date(2022, 6, 1))


def scored(of: ModelFile, rows: pd.DataFrame) -> tuple[Any, Any]:
    """The probability of every row, and whether there is one, by the file alone."""

    def read(name: str) -> Column:
        known = rows[name].notna().to_numpy()
        codes = of.domain.codes(name)
        filled = rows[name].fillna(codes[0] if codes else "0")
        unit = 100 if of.domain.type_of(name) == "money" else 1
        values = [codes.index(each) for each in filled] if codes else filled.astype(int) * unit
        return Column(np.array(values, np.int64), known)

    found = scores(of, read, len(rows))
    return found.mean, found.known


def test_what_is_said_of_a_model_holds_for_the_pooled_rows(six: Six, outcome: world.Outcome, out: Path) -> None:
    for question, name in (("how_good", "stops"), ("trees_good", "trees")):
        mean, has = scored(model(out, name), six.rows)
        used = has & six.rows["withdrew"].notna().to_numpy()
        yes = (six.rows["withdrew"] == "true").to_numpy()[used]
        (auc,), (bound,) = rows_of(outcome, question, "auc"), rows_of(outcome, question, "auc_bound")
        assert abs(auc["estimate"] - auc_of(mean[used], yes)) <= bound["estimate"]
        (brier,) = rows_of(outcome, question, "brier")
        assert brier["estimate"] == pytest.approx(np.mean((mean[used] - yes) ** 2), abs=1e-11)
        fit = results(outcome)["questions"][question]["fit"]
        assert (fit["n"], fit["left_out"], fit["in_sample"]) == (used.sum(), (~used).sum(), True)
    groups = {row["sex"]: row["estimate"] for row in rows_of(outcome, "how_good", "group_approved")}
    mean, has = scored(model(out, "stops"), six.rows)
    inside = (
        has & six.rows["withdrew"].notna().to_numpy() & (six.rows["sex"] == "female").to_numpy(bool, na_value=False)
    )
    assert groups["female"] == pytest.approx((mean[inside] < 0.3).mean(), abs=1e-11)


def test_each_city_tells_of_itself_in_its_own_slot(six: Six, outcome: world.Outcome, out: Path) -> None:
    found = model(out, "stops")
    for city in CITIES:
        rows = {
            row["measure"]: row for row in results(outcome)["questions"]["how_good"]["rows"] if row["scope"] == city
        }
        home = six.rows[six.rows["city"] == city].reset_index(drop=True)
        mean, has = scored(found, home)
        used = has & home["withdrew"].notna().to_numpy()
        yes = (home["withdrew"] == "true").to_numpy()[used]
        if min(yes.sum(), (~yes).sum()) < 100:
            assert {(row["estimate"], row["conf_status"]) for row in rows.values()} == {(None, "C")}
            continue
        binned = ranked(*counted(mean[used], yes, 1000))
        assert binned is not None
        assert rows["auc"]["estimate"] == pytest.approx(binned.auc, abs=1.1e-3)
        assert rows["observed_expected"]["estimate"] == pytest.approx(yes.mean() / mean[used].mean(), abs=5.1e-4)
        assert rows["psi"]["base"] > 0
    told = [test for test in results(outcome)["questions"]["how_good"]["tests"] if test["name"] == "psi_verdict"]
    assert told
    assert {test["verdict"] for test in told} == {"stable"}, "cities drawn alike have not drifted"


def test_the_card_counts_the_pooled_rows_and_its_file_scores(six: Six, outcome: world.Outcome, out: Path) -> None:
    known = six.rows.dropna(subset=["withdrew"])
    values = {row["feature"]: row["estimate"] for row in rows_of(outcome, "card", "iv")}
    assert list(values) == ["age", "sex", "product", "amount"]
    counts = [row for row in rows_of(outcome, "card", "events") if row["estimate"] is not None]
    features = {row["feature"] for row in counts}
    assert features
    for name in features:
        events = sum(row["estimate"] for row in counts if row["feature"] == name)
        assert events == (known["withdrew"] == "true").sum()
    card, trees = model(out, "card").fit, model(out, "trees").fit
    assert isinstance(card, Card)
    assert {each.bins.name for each in card.features} == features
    points = {(row["feature"], row["bin"]): row["estimate"] for row in rows_of(outcome, "card", "points")}
    assert points == {(f.bins.name, entry.label): entry.points for f in card.features for entry in f.card}
    assert isinstance(trees, Trees)
    assert model(out, "trees").rows == len(known)


def test_the_page_names_each_kind_and_shows_no_key_that_a_row_has_not(out: Path) -> None:
    for language, said in (
        ("zh", ("评分卡", "梯度提升树", "的检验")),
        ("en", ("scorecard", "boosted trees", "How well the model")),
    ):
        page = (out / f"report.{language}.html").read_text(encoding="utf-8")
        assert all(words in page for words in said)
        assert ">None<" not in page


def test_what_has_no_answer_says_why(outcome: world.Outcome, out: Path) -> None:
    found = results(outcome)["questions"]
    assert found["nothing"]["fit"]["cause"] == "MODEL_NO_FEATURE"
    assert found["nothing_good"]["fit"]["cause"] == "MODEL_ABSENT"
    assert not (out / "models" / "nothing.json").exists()


def test_every_city_tells_how_far_the_fit_would_move_without_it(outcome: world.Outcome, out: Path) -> None:
    told = results(outcome)["questions"]["stops"]["fit"]["influence"]
    assert [each["city"] for each in told] == list(CITIES)
    assert all(0 < each["estimate"] < 4 and each["marked"] == (each["estimate"] > 2) for each in told)
    page = (out / "report.en.html").read_text(encoding="utf-8")
    assert f"{told[0]['city']} {told[0]['estimate']:.1f}" in page


def test_with_noise_no_city_tells_its_influence(six: Six) -> None:
    asked = QUESTIONS.splitlines()[0]
    with pytest.raises(ConfigError) as caught:
        six.study(asked + "\n", "", "dp")
    assert caught.value.code == "MODEL_DP_NOT_OFFERED"
    assert "influence" in str(caught.value)


def test_every_model_that_scores_has_a_card_with_no_empty_field(outcome: world.Outcome, out: Path) -> None:
    found = results(outcome)["questions"]
    named = {path.name.removesuffix(".card.json") for path in (out / "models").glob("*.card.json")}
    assert named == {name for name, each in found.items() if "model" in each} == {"stops", "card", "trees"}
    for name in named:
        tree = json.loads((out / "models" / f"{name}.card.json").read_bytes())
        assert not [place for place, value in values(tree) if value in ("", None, [], {})]
        card = ModelCard.model_validate_json((out / "models" / f"{name}.card.json").read_bytes())
        assert card.content == (out / "models" / f"{name}.card.json").read_bytes()
        assert card.digest == model(out, name).digest
        for language in ("zh", "en"):
            page = (out / "models" / f"{name}.card.{language}.md").read_text(encoding="utf-8")
            assert card.digest in page
            assert all(each.text(language) in page.replace("\\", "") for each in card.limits)


def test_every_figure_of_a_card_is_one_of_the_results(outcome: world.Outcome, out: Path) -> None:
    found = results(outcome)["questions"]
    by = {each.id: each for each in modelcard.of(Results.load(out))}
    terms = by["stops"].terms
    assert terms is not None
    told = [(each.term, each.estimate, each.std_error, each.error_bound) for each in terms]
    assert told == [
        tuple(each[key] for key in ("term", "estimate", "std_error", "error_bound"))
        for each in found["stops"]["coefficients"]
    ]
    fit = found["stops"]["fit"]
    certificate = by["stops"].certificate
    assert (certificate.digits, certificate.bound) == (fit["fixed_point"], fit["coefficient_error_bound"])
    assert certificate.digits is not None
    assert 28 <= certificate.digits <= 40
    metrics = by["stops"].metrics
    assert metrics is not None
    rows = {(row["measure"], row.get("sex")): row for row in found["how_good"]["rows"] if row["scope"] == "pooled"}
    for each in metrics:
        group = (each.group or {}).get("sex")
        row = rows[each.measure, group]
        assert (each.estimate, each.interval) == (row["estimate"], interval_of(row))
        bound = rows.get((f"{each.measure}_bound", group))
        assert each.bound == (bound["estimate"] if bound else None)
    assert {each.measure for each in metrics} >= {"auc", "ks", "brier", "group_auc"}
    assert by["stops"].fairness is None, "the model reads sex: it is not kept for fairness alone"
    assert by["trees"].fairness is None
    assert by["card"].metrics is None
    assert "尚未检验" in by["card"].doubts[0].zh


def test_a_card_that_says_otherwise_does_not_verify(outcome: world.Outcome, tmp_path: Path) -> None:
    assert unsound(outcome, tmp_path) == {}
    (path,) = (tmp_path / "models").glob("stops.card.en.*")
    path.write_text(path.read_text(encoding="utf-8").replace("decisions", "refusals"), encoding="utf-8")
    failed = [step.name for step in verify(tmp_path, None, output.made) if not step.holds]
    assert "files" in failed


def values(tree: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    yield at, tree
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, each in pairs:
        yield from values(each, f"{at}.{key}")


def interval_of(row: dict[str, Any]) -> tuple[float, float] | None:
    low, high = row.get("ci_low"), row.get("ci_high")
    return None if low is None or high is None else (low, high)


def test_an_evaluation_of_no_model_of_the_study_is_refused_beforehand(six: Six) -> None:
    with pytest.raises(ConfigError, match="no model stops"):
        six.study("  - {id: stops, kind: count}\n  - {id: good, kind: evaluate, model: stops}\n", "", "exact")
