"""A lasso over sums: its conditions are met on the pooled rows, and it keeps the columns that scikit-learn keeps."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

from protocols.errors import ConfigError
from protocols.models.glm import Glm, Sparse
from tests.models.data import Frame, germancredit, randhie
from tests.models.federation import fitted
from tests.models.test_glm_bad_input import PLACE
from tests.models.test_glm_bad_input import rows as bad_rows
from tests.models.test_glm_pooled import RANDHIE

CREDIT = ("v0", "v1", "v2", "v3", "v4", "v5", "v12", "v15")


def standardised(frame: Frame, terms: tuple[str, ...]) -> Any:
    x = frame.matrix(terms)[:, 1:]
    return (x - x.mean(axis=0)) / x.std(axis=0), x.std(axis=0)


def slopes(fit: Any) -> Any:
    assert fit.converged, fit
    return np.array([each.estimate for each in fit.selected[1:]])


@pytest.fixture(scope="module")
def credit() -> Frame:
    return germancredit()


@pytest.mark.filterwarnings("ignore:'penalty' was deprecated")
@pytest.mark.parametrize(("kind", "mix"), [("lasso", 1.0), ("elastic_net", 0.5)])
def test_a_logit_meets_its_conditions_and_keeps_the_columns_of_scikit_learn(
    credit: Frame, kind: Any, mix: float
) -> None:
    question = Glm(family="binomial", outcome="bad", terms=CREDIT, penalty=Sparse(kind=kind, strength=12.0, mix=mix))
    fit, _ = fitted(credit, question, np.arange(credit.rows) % 6)
    z, sd = standardised(credit, CREDIT)
    y, b = credit.values("bad"), slopes(fit) * sd
    constant = fit.selected[0].estimate + float((credit.matrix(CREDIT)[:, 1:].mean(axis=0) * slopes(fit)).sum())
    pull = z.T @ (y - 1 / (1 + np.exp(-(constant + z @ b)))) - 12 * (1 - mix) * b
    off = np.where(b == 0, np.maximum(np.abs(pull) - 12 * mix, 0), np.abs(pull - 12 * mix * np.sign(b)))
    assert off.max() / credit.rows <= 1e-8
    assert (fit.kkt_residual or 0) <= 1e-8
    theirs = LogisticRegression(l1_ratio=mix, C=1 / 12, solver="saga", tol=1e-10, max_iter=20_000).fit(z, y)
    assert (b != 0).tolist() == (np.abs(theirs.coef_[0]) > 1e-8).tolist()
    assert 0 < np.count_nonzero(b) < len(b)
    assert np.abs(b - theirs.coef_[0]).max() < 1e-5
    assert fit.rounds <= 10


@pytest.mark.parametrize(("kind", "mix"), [("lasso", 1.0), ("elastic_net", 0.3)])
def test_a_gaussian_is_solved_as_scikit_learn_solves_it(kind: Any, mix: float) -> None:
    frame = randhie().take(np.arange(4000))
    penalty = Sparse(kind=kind, strength=60.0, mix=mix)
    fit, _ = fitted(
        frame, Glm(family="gaussian", outcome="visits", terms=RANDHIE, penalty=penalty), np.arange(4000) % 5
    )
    z, sd = standardised(frame, RANDHIE)
    y = frame.values("visits")
    half = 39  # the outcome is scaled by its public range, 0 to 78
    law: Any = Lasso(alpha=60 / 4000, tol=1e-13, max_iter=100_000)
    if kind == "elastic_net":
        law = ElasticNet(alpha=60 / 4000, l1_ratio=mix, tol=1e-13, max_iter=100_000)
    theirs = law.fit(z, y / half).coef_ * half
    assert 0 < np.count_nonzero(theirs) < len(theirs)
    assert np.abs(slopes(fit) * sd - theirs).max() <= 1e-8
    assert fit.rounds <= 4


def test_a_path_starts_where_nothing_stays_and_answers_the_least_extended_bic(credit: Frame) -> None:
    question = Glm(family="binomial", outcome="bad", terms=CREDIT, penalty=Sparse(kind="lasso", steps=8))
    fit, log = fitted(credit, question, np.arange(credit.rows) % 6)
    assert len(fit.path) == 8
    assert fit.path[0].columns == 0
    counts = [stop.columns for stop in fit.path]
    assert counts == sorted(counts)
    best = min(fit.path, key=lambda stop: stop.criterion)
    assert np.count_nonzero(slopes(fit)) == best.columns
    alone = question.model_copy(update={"penalty": Sparse(kind="lasso", strength=best.strength)})
    again, _ = fitted(credit, alone, np.arange(credit.rows) % 6)
    bound = (fit.coefficient_error_bound or 0) + (again.coefficient_error_bound or 0)
    assert np.abs(slopes(fit) - slopes(again)).max() <= bound < 1e-6
    assert fit.rounds == len(log.asks) <= 38
    mixed = np.argsort(credit.values("v1"), kind="stable")
    apart, _ = fitted(credit.take(mixed), question, (np.arange(credit.rows) % 6)[mixed] + 1)
    assert np.abs(slopes(fit) - slopes(apart)).max() <= 2 * bound


@pytest.mark.parametrize(
    "changed",
    [
        {"penalty": Sparse(kind="lasso")},
        {"penalty": Sparse(kind="lasso", strength=1.0, steps=4)},
        {"penalty": Sparse(kind="lasso", strength=1.0, mix=0.5)},
        {"penalty": Sparse(kind="elastic_net", strength=1.0)},
        {"penalty": Sparse(kind="lasso", strength=1.0), "errors": "hc0"},
        {"penalty": Sparse(kind="lasso", strength=1.0), "terms": ()},
    ],
    ids=str,
)
def test_keys_that_do_not_go_with_a_choice_of_columns_are_named(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        fitted(bad_rows(), Glm(**{"family": "binomial", "outcome": "yes", "terms": ("x",)} | changed), PLACE)
    assert refused.value.code == "MODEL_TOGETHER"
