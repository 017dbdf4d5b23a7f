"""Families of our own against those of statsmodels, row by row, and derivatives against differences."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.genmod.families import links

from protocols.entropy import public_stream
from protocols.models.families import Law

SAMPLE = public_stream("tests", "models", "families")
ETA = np.sort(SAMPLE.normal(size=400) * 1.2)
COUNTS = SAMPLE.poisson(3.0, 400).astype(float)
CASES: list[tuple[Law, Any, Any, Any]] = [
    (Law("gaussian", "identity"), sm.families.Gaussian(), ETA, SAMPLE.normal(size=400)),
    (Law("binomial", "logit"), sm.families.Binomial(), ETA, (SAMPLE.random(400) < 0.5).astype(float)),
    (Law("binomial", "logit"), sm.families.Binomial(), ETA, SAMPLE.random(400)),
    (Law("binomial", "probit"), sm.families.Binomial(links.Probit()), ETA, (SAMPLE.random(400) < 0.5).astype(float)),
    (Law("binomial", "cloglog"), sm.families.Binomial(links.CLogLog()), ETA, (SAMPLE.random(400) < 0.5).astype(float)),
    (Law("poisson", "log"), sm.families.Poisson(), ETA, COUNTS),
    (Law("gamma", "log"), sm.families.Gamma(links.Log()), ETA, SAMPLE.gamma(2.0, size=400)),
    (Law("gamma", "inverse"), sm.families.Gamma(), np.exp(ETA), SAMPLE.gamma(2.0, size=400)),
    (Law("negative_binomial", "log", 0.7), sm.families.NegativeBinomial(alpha=0.7), ETA, COUNTS),
]


@pytest.mark.parametrize(("law", "family", "eta", "y"), CASES, ids=lambda each: getattr(each, "link", ""))
def test_a_row_contributes_what_it_does_in_statsmodels(law: Law, family: Any, eta: Any, y: Any) -> None:
    at = law.mean(eta)
    mu = family.link.inverse(eta)
    assert np.allclose(at.mu, mu, rtol=1e-12)
    assert np.allclose(at.slope, family.link.inverse_deriv(eta), rtol=1e-9)
    assert np.allclose(law.variance(at), family.variance(mu), rtol=1e-9)
    assert np.allclose(at.slope * at.h, family.weights(mu), rtol=1e-8)
    assert law.null_deviance(400, y.sum(), law.own(y).sum()) == pytest.approx(
        family.deviance(y, np.full(400, y.mean()))
    )
    assert law.deviance(y, at).sum() == pytest.approx(family.deviance(y, mu), rel=1e-9)
    assert law.link_of(float(mu[7])) == pytest.approx(float(eta[7]), rel=1e-9)
    whole = np.array_equal(y, np.round(y))
    if law.dispersed:
        likelihood = law.dispersed_likelihood(
            400, law.deviance(y, at).sum(), (y / at.mu).sum(), law.likelihood(y, at).sum(), 0.6
        )
        scale = 0.6 if law.family == "gamma" else ((y - mu) ** 2).mean()
        assert likelihood == pytest.approx(family.loglike(y, mu, scale=scale), rel=1e-10)
    elif whole:  # of shares, statsmodels adds gamma functions that do not depend on the fit
        assert law.likelihood(y, at).sum() == pytest.approx(family.loglike(y, mu), rel=1e-9)


@pytest.mark.parametrize(
    ("law", "eta", "y"), [(law, eta, y) for law, _, eta, y in CASES], ids=lambda each: getattr(each, "link", "")
)
def test_the_score_is_the_slope_of_the_deviance_and_observed_information_that_of_the_score(
    law: Law, eta: Any, y: Any
) -> None:
    step = 1e-5
    at, above, below = (law.mean(eta + shift) for shift in (0.0, step, -step))
    score = (y - at.mu) * at.h
    difference = (law.deviance(y, below) - law.deviance(y, above)) / (4 * step)
    assert np.allclose(score, difference, rtol=1e-6, atol=1e-6)
    observed = at.slope * at.h - (y - at.mu) * at.bend
    difference = ((y - below.mu) * below.h - (y - above.mu) * above.h) / (2 * step)
    assert np.allclose(observed, difference, rtol=1e-6, atol=1e-6)
    assert np.all(observed > 0), "so that Newton's steps go downhill"
    assert law.canonical == np.allclose(observed, at.slope * at.h, rtol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_the_far_ends_of_a_link_are_finite(link: Any) -> None:
    law, eta = Law("binomial", link), np.array([-1e4, -36.0, 6.4, 1e4])
    for y in (np.zeros(4), np.ones(4)):
        at = law.mean(eta)
        assert np.all(np.isfinite(law.deviance(y, at)))
        assert np.all(np.isfinite((y - at.mu) * at.h))
        assert np.all(np.isfinite(at.slope * at.h - (y - at.mu) * at.bend))


def test_the_inverse_link_has_a_domain() -> None:
    law = Law("gamma", "inverse")
    assert law.inside(np.array([0.1]))
    assert not law.inside(np.array([0.1, -0.1]))
    assert not Law("poisson", "log").inside(np.array([np.nan]))
