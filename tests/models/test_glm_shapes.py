"""A dispersion of counts that is estimated, and Firth's penalty where codes separate: equal to fits of the pooled rows."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.glm import Firth, Glm
from tests.models.data import germancredit, randhie
from tests.models.federation import fitted
from tests.models.test_city_effects import found
from tests.models.test_glm_bad_input import PLACE, ROWS
from tests.models.test_glm_bad_input import rows as bad_rows
from tests.models.test_glm_pooled import FAMILIES, RANDHIE, pooled


def test_the_alpha_of_a_negative_binomial_is_that_of_the_largest_likelihood() -> None:
    """statsmodels' own alpha is accurate to 1e-6; at the alpha found, its coefficients and errors are ours."""
    frame = randhie().take(np.arange(0, 20190, 4))
    question = Glm(family="negative_binomial", outcome="visits", terms=RANDHIE, alpha="estimate")
    fit, _ = fitted(frame, question, np.arange(frame.rows) % 6)
    assert fit.alpha is not None
    assert fit.rounds <= 10
    reference = pooled(frame, "visits", RANDHIE, FAMILIES.NegativeBinomial(alpha=fit.alpha))
    assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
    assert fit.null_deviance == pytest.approx(reference.null_deviance, rel=1e-10)
    joint = sm.NegativeBinomial(frame.values("visits"), frame.matrix(RANDHIE)).fit(
        method="newton", tol=1e-14, maxiter=50, disp=0, start_params=[*reference.params, fit.alpha]
    )
    assert fit.alpha == pytest.approx(joint.params[-1], rel=1e-8)
    assert fit.alpha_error == pytest.approx(joint.bse[-1], rel=0.02)  # theirs of all parameters together
    assert np.abs(found(fit)[:, 0] - joint.params[:-1]).max() <= 1e-8
    assert fit.log_likelihood == pytest.approx(joint.llf, rel=1e-12)
    assert fit.aic == pytest.approx(joint.aic, rel=1e-10)


def test_counts_that_vary_less_than_by_chance_have_no_alpha() -> None:
    count = (np.arange(ROWS) % 3 + 1).astype(np.int64)
    question = Glm(family="negative_binomial", outcome="count", terms=("x",), alpha="estimate")
    fit, _ = fitted(bad_rows(count=count), question, PLACE)
    assert (fit.converged, fit.cause, fit.named, fit.obs_status) == (False, "underdispersed", ("alpha",), "x")


def firth(x: Any, y: Any) -> tuple[Any, Any]:
    """The formula on pooled rows: score + (1/2 - mu) h x, h the leverages, by steps of the information until nothing moves."""
    point = np.zeros(x.shape[1])
    for _ in range(500):
        mu = 1 / (1 + np.exp(-(x @ point)))
        w = mu * (1 - mu)
        inverse = np.linalg.inv(x.T @ (x * w[:, None]))
        leverage = w * np.einsum("ij,jk,ik->i", x, inverse, x)
        step = inverse @ (x.T @ (y - mu + (0.5 - mu) * leverage))
        point = point + step
        if np.abs(step).max() < 1e-14:
            break
    return point, np.sqrt(np.diag(inverse))


def test_firth_equals_its_formula_on_credits_and_where_a_column_separates() -> None:
    credit = germancredit()
    terms = ("v0", "v1", "v2", "v4", "v12")
    fit, log = fitted(
        credit, Glm(family="binomial", outcome="bad", terms=terms, penalty=Firth(kind="firth")), np.arange(1000) % 6
    )
    expected = np.column_stack(firth(credit.matrix(terms), credit.values("bad")))
    assert np.abs(found(fit) - expected).max() <= 1e-8
    assert np.abs(found(fit)[:, 0] - expected[:, 0]).max() <= (fit.coefficient_error_bound or 0) <= 1e-8
    assert len(log.vectors[1][0]) == len(log.vectors[2][0]), "the second message has nothing more in it"
    assert fit.shrunken

    work = public_stream("tests", "models", "codes").integers(0, 3, ROWS).astype(np.int16)
    frame = bad_rows(work=work, yes=bad_rows().columns["yes"].values & (work != 2))
    question = Glm(family="binomial", outcome="yes", terms=("x", "work"), penalty=Firth(kind="firth"))
    apart, _ = fitted(frame, question, PLACE)
    expected = np.column_stack(firth(frame.matrix(("x", "work")), frame.values("yes")))
    assert np.abs(found(apart) - expected).max() <= 1e-8
    assert np.abs(found(apart)[:, 0] - expected[:, 0]).max() <= (apart.coefficient_error_bound or 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"penalty": Firth(kind="firth"), "link": "probit"},
        {"penalty": Firth(kind="firth"), "errors": "hc0"},
        {"penalty": Firth(kind="firth"), "city_effects": "fixed"},
    ],
    ids=str,
)
def test_firth_is_of_a_plain_logit(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        fitted(bad_rows(), Glm(**{"family": "binomial", "outcome": "yes", "terms": ("x",)} | changed), PLACE)
    assert refused.value.code == "MODEL_TOGETHER"
