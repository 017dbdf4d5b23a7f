"""Models leave as what other libraries have: the same scores by scikit-learn and XGBoost as by the file itself."""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coordinator import exports
from protocols.errors import ConfigError
from protocols.models import gbdt, scorecard
from protocols.models.families import Family
from protocols.models.gbdt import Gbdt
from protocols.models.glm import Glm
from protocols.models.modelfile import ModelFile
from protocols.models.saved import linear
from protocols.models.scoring import adapted, scores
from tests.models import federation
from tests.models.data import Frame, dictionary
from tests.models.noised import names, population
from tests.models.rounds import STUDY, conversation, divided, filed
from tests.models.test_scorecard import QUESTION, ROWS, workers

WORKERS = workers()


def fitted(question: Glm, frame: Frame) -> ModelFile:
    planned = federation.planned(frame, question, [frame])
    _, log = federation.conversation(planned, [frame])
    named = [*planned.design.variables, *((question.offset,) if question.offset else ())]
    return filed(frame, linear(planned, log.states[-1]), question.outcome, named)


def card() -> ModelFile:
    planned = scorecard.plan(QUESTION, WORKERS.dictionary, 6, ROWS, STUDY)
    made = planned.finalize(conversation(planned, planned.start(), divided(WORKERS))[0]).card
    assert made is not None
    return filed(WORKERS, made, "stopped", [each.bins.name for each in made.features])


def trees() -> ModelFile:
    planned = gbdt.plan(Gbdt(outcome="stopped", features=("age", "work"), trees=2), WORKERS.dictionary, 6, ROWS, STUDY)
    fit = planned.finalize(conversation(planned, planned.start(), divided(WORKERS))[0]).fit
    return filed(WORKERS, fit, "stopped", ["age", "work"])


def both(model: ModelFile, frame: Frame) -> tuple[Any, Any, Any]:
    """The estimator, its rows, and what the file says of them."""
    read = adapted(model, frame.dictionary, frame.columns.__getitem__)
    named, matrix, known = exports.columns(model, read, frame.rows)
    assert len(named) == matrix.shape[1]
    found = scores(model, read, frame.rows)
    assert np.array_equal(found.known, known)
    return exports.to_sklearn(model), matrix[known], found.mean[known]


def test_a_logit_and_a_scorecard_are_logistic_regressions_with_the_same_probabilities() -> None:
    logit = Glm(family="binomial", outcome="stopped", terms=("log1p(income)", "work", "age", "age:noise"))
    for model in (fitted(logit, WORKERS), card()):
        estimator, matrix, mean = both(model, WORKERS)
        assert np.abs(estimator.predict_proba(matrix)[:, 1] - mean).max() < 1e-12
        assert np.array_equal(estimator.predict(matrix), mean > 0.5)
        assert len(matrix) > 3000


@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
def test_other_families_are_their_regressors_with_the_same_expectations(family: Family) -> None:
    frame = population(1500, 3, 2, "poisson")
    outcome = "y"
    if family == "gamma":  # of what is above 0
        frame = frame.take(np.flatnonzero(frame.values("y") > 0))
        variables = {
            name: each.model_dump(mode="json", exclude_defaults=True)
            for name, each in frame.dictionary.variables.items()
        }
        variables["y"]["range"] = [1, 40]
        frame = Frame(dictionary(variables), frame.columns, frame.rows)
    model = fitted(Glm(family=family, outcome=outcome, terms=tuple(names(frame))), frame)
    estimator, matrix, mean = both(model, frame)
    assert estimator.predict(matrix) == pytest.approx(mean, rel=1e-12, abs=1e-12)


def test_trees_are_the_json_of_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost", reason="the oracle of the trees comes with requirements/test.txt")
    model = trees()
    booster = xgboost.Booster()
    booster.load_model(bytearray(exports.to_xgboost(model)))
    assert json.loads(exports.to_xgboost(model))["learner"]["feature_names"] == ["age", "work"]
    columns = [WORKERS.columns[name] for name in ("age", "work")]
    raw = np.stack([np.where(each.known, each.values.astype(float), np.nan) for each in columns], axis=1)
    theirs = booster.predict(xgboost.DMatrix(raw, feature_names=["age", "work"]), output_margin=True)
    ours = scores(model, adapted(model, WORKERS.dictionary, WORKERS.columns.__getitem__), ROWS).margin
    assert np.abs(theirs - ours).max() < 1e-5


def test_what_another_library_does_not_have_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Glm(family="binomial", outcome="stopped", terms=("age",))
    offset = Glm(family="poisson", outcome="age", terms=("work",), offset="noise")
    refused: list[Callable[[], Any]] = [
        lambda: exports.to_sklearn(fitted(plain.model_copy(update={"link": "probit"}), WORKERS)),
        lambda: exports.to_sklearn(fitted(offset, WORKERS)),
        lambda: exports.to_sklearn(trees()),
        lambda: exports.columns(trees(), WORKERS.columns.__getitem__, ROWS),
        lambda: exports.to_xgboost(fitted(plain, WORKERS)),
        lambda: exports.to_sklearn(fitted(plain, WORKERS)),  # without scikit-learn
    ]
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for each in refused:
        with pytest.raises(ConfigError) as no:
            each()
        assert no.value.code == "MODEL_EXPORT"
