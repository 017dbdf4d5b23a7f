"""A scorecard, trees and their evaluation in one study, end to end: over real gates, beside each other, checked again from the bundle."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.dictionary import Column
from protocols.errors import ConfigError
from protocols.models.discrimination import ranked
from protocols.models.modelfile import Card, ModelFile, Trees, load
from protocols.models.scoring import scores
from simulations import world
from tests.models.test_evaluate import auc_of, counted
from tests.six import CITIES, Six, results, rows_of, unsound

QUESTIONS = """  - {id: stops, kind: glm, family: binomial, outcome: withdrew, terms: [age, sex, product]}
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


def test_an_evaluation_of_no_model_of_the_study_is_refused_beforehand(six: Six) -> None:
    with pytest.raises(ConfigError, match="no model stops"):
        six.study("  - {id: stops, kind: count}\n  - {id: good, kind: evaluate, model: stops}\n", "", "exact")
