"""Constants of cities, and effects that differ between them: equal to dummies in statsmodels, and to its meta-analysis of city fits."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.meta_analysis import combine_effects

from protocols.errors import ConfigError
from protocols.models.answer import Fit
from protocols.models.glm import Clustered, Glm, Weights
from tests.models.data import Frame, randhie, social_insure
from tests.models.federation import divided, fitted, planned
from tests.models.test_glm_bad_input import rows as bad_rows
from tests.models.test_glm_pooled import FAMILIES, FARMERS, clustered

FARM: dict[str, Any] = {"family": "binomial", "outcome": "took", "terms": FARMERS}


@pytest.fixture(scope="module")
def farmers() -> Frame:
    return social_insure()


def places(frame: Frame) -> Any:
    return frame.values("village").astype(np.int64) % 6


def dummies(place: Any, frame: Frame, terms: tuple[str, ...]) -> Any:
    """A constant for each city, then the terms."""
    return np.column_stack([place[:, None] == np.arange(place.max() + 1), frame.matrix(terms)[:, 1:]]).astype(float)


def found(fit: Fit) -> Any:
    assert fit.converged, fit
    return np.array([[each.estimate, each.std_error] for each in fit.coefficients])


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_a_constant_for_each_city_equals_dummies_and_leaving_it_at_home_changes_no_slope(
    farmers: Frame, link: Any
) -> None:
    place = places(farmers)
    x, y = dummies(place, farmers, FARMERS), farmers.values("took")
    family = FAMILIES.Binomial({"logit": sm.families.links.Logit, "cloglog": sm.families.links.CLogLog}[link]())
    villages = farmers.values("village").astype(np.int64)
    kinds: tuple[tuple[Any, dict[str, Any]], ...] = (
        ("model", {}),
        ("hc0", {"cov_type": "HC0"}),
        (Clustered(cluster="village"), clustered(villages, True)),
    )
    for errors, how in kinds:
        reference = sm.GLM(y, x, family=family).fit(tol=1e-13, **how)
        told = Glm(**FARM, link=link, errors=errors, city_effects="fixed")
        fit, _ = fitted(farmers, told, place)
        assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
        home, log = fitted(farmers, told.model_copy(update={"city_effects": "concentrated"}), place)
        slopes = np.column_stack([reference.params[6:], reference.bse[6:]])
        assert np.abs(found(home) - slopes).max() <= 1e-8
        assert (fit.rounds, home.rounds) <= (9, 9)
        for each in (fit, home):
            assert each.aic == pytest.approx(reference.aic, rel=1e-10)
            assert each.deviance == pytest.approx(reference.deviance, rel=1e-10)
    assert [each.term for each in fit.coefficients[:2]] == ["intercept[1]", "intercept[2]"]
    assert len(log.vectors[1][0]) == 2 + 3 + 8 + 8 * 9 // 2 + 8 + 1, "no cell of a constant"


@pytest.mark.parametrize(
    ("family", "outcome"), [("gaussian", "visits"), ("poisson", "visits"), ("gamma", "visits1")], ids=str
)
def test_the_dispersion_counts_the_constants_that_stay_at_home(family: Any, outcome: str) -> None:
    frame = randhie().take(np.arange(3000))
    place = np.arange(frame.rows) % 5
    terms = ("idp", "physlm", "disea")
    law = {"gaussian": FAMILIES.Gaussian(), "poisson": FAMILIES.Poisson()}.get(
        family, FAMILIES.Gamma(sm.families.links.Log())
    )
    reference = sm.GLM(frame.values(outcome), dummies(place, frame, terms), family=law).fit(tol=1e-13, maxiter=200)
    effects: Any
    for effects in ("fixed", "concentrated"):
        question = Glm(family=family, outcome=outcome, terms=terms, city_effects=effects)
        fit, _ = fitted(frame, question, place)
        skipped = 5 if effects == "concentrated" else 0
        expected = np.column_stack([reference.params, reference.bse])[skipped:]
        assert np.abs(found(fit) - expected).max() <= 1e-8
        assert np.abs(found(fit)[:, 0] - expected[:, 0]).max() <= max(float(fit.coefficient_error_bound or 0), 3e-11)


def test_weights_and_an_offset_go_with_constants_at_home() -> None:
    frame = randhie().take(np.arange(2000))
    place = np.arange(frame.rows) % 4
    terms = ("idp", "disea")
    question = Glm(
        family="poisson",
        outcome="visits",
        terms=terms,
        offset="lpi",
        weights=Weights(kind="frequency", of="visits1"),
        city_effects="concentrated",
    )
    x, offset, times = dummies(place, frame, terms), frame.values("lpi"), frame.values("visits1")
    law = FAMILIES.Poisson()
    reference = sm.GLM(frame.values("visits"), x, family=law, offset=offset, freq_weights=times).fit(tol=1e-13)
    fit, _ = fitted(frame, question, place)
    assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])[4:]).max() <= 1e-8


def test_effects_of_cities_are_combined_as_a_meta_analysis_of_their_fits_combines_them(farmers: Frame) -> None:
    """statsmodels' tau^2 is not cut at 0, nor is that told beside ours; its mean is compared where it is above."""
    place, terms = places(farmers), ("age", "area", "disaster_prob", "male", "literacy")
    fit, log = fitted(farmers, Glm(**FARM | {"terms": terms}, city_effects="random"), place)
    fits = []
    for city in divided(farmers, place):
        model = sm.GLM(city.values("took"), city.matrix(terms), family=FAMILIES.Binomial())
        one = model.fit(
            start_params=model.fit(tol=1e-13).params, tol=1e-13
        )  # its errors are of the point before the last
        fits.append(np.column_stack([one.params, one.bse**2]))
    assert len(log.asks) == fit.rounds == 4
    above = 0
    for number, (each, said) in enumerate(zip(fit.coefficients, fit.heterogeneity, strict=True)):
        estimates, variances = np.array([one[number] for one in fits]).T
        reference = combine_effects(estimates, variances, method_re="dl")
        scale = np.mean(variances)
        assert said.q == pytest.approx(reference.q, abs=1e-9)
        assert said.tau2 / scale == pytest.approx(reference.tau2 / scale, abs=1e-9)
        assert said.i2 == pytest.approx(max(0, reference.i2), abs=1e-9)
        if reference.tau2 > 0:
            above += 1
            assert each.estimate == pytest.approx(reference.mean_effect_re, abs=each.error_bound + 1e-13)
            assert each.std_error == pytest.approx(reference.sd_eff_w_re, rel=1e-8)
        else:
            assert each.estimate == pytest.approx(reference.mean_effect_fe, abs=each.error_bound + 1e-13)
        assert each.error_bound < 1e-8 * each.std_error * 2
    assert above > 0


@pytest.mark.parametrize("effects", ["fixed", "concentrated", "random"])
def test_the_order_of_rows_and_a_city_without_rows_do_not_matter(farmers: Frame, effects: Any) -> None:
    place = places(farmers)
    question = Glm(**FARM | {"terms": ("age", "male", "literacy")}, city_effects=effects)
    fit, _ = fitted(farmers, question, place)
    mixed = np.argsort(farmers.values("area"), kind="stable")
    apart, _ = fitted(farmers.take(mixed), question, place[mixed] + (place[mixed] > 2))
    bound = float(fit.coefficient_error_bound or 0) + float(apart.coefficient_error_bound or 0)
    assert np.abs(found(fit) - found(apart))[:, 0].max() <= bound
    if effects == "fixed":
        assert "intercept[4]" not in [each.term for each in apart.coefficients]
        halves, _ = fitted(farmers, question, place, batch=100)
        assert np.abs(found(fit) - found(halves)).max() <= 1e-10


def test_a_city_where_all_are_alike_tells_nothing_of_slopes_and_its_constant_has_no_estimate() -> None:
    frame = bad_rows()
    place = np.arange(frame.rows) % 6
    yes = frame.columns["yes"].values | (place == 2)
    frame = bad_rows(yes=yes)
    question = Glm(family="binomial", outcome="yes", terms=("x",))
    told, _ = fitted(frame, question.model_copy(update={"city_effects": "fixed"}), place)
    assert (told.converged, told.cause, told.named) == (False, "separation", ("intercept[3]",))
    home, _ = fitted(frame, question.model_copy(update={"city_effects": "concentrated"}), place)
    others = frame.take(np.flatnonzero(place != 2))
    alone, _ = fitted(others, question.model_copy(update={"city_effects": "fixed"}), place[place != 2])
    assert found(home)[-1] == pytest.approx(found(alone)[-1], abs=1e-9)


def test_cities_that_cannot_fit_send_zeros_and_fewer_than_three_fits_are_no_answer() -> None:
    frame = bad_rows()
    question = Glm(family="binomial", outcome="yes", terms=("x",), city_effects="random")
    place = np.where(np.arange(frame.rows) < 12, 0, 1 + np.arange(frame.rows) % 4)
    small = place.copy()
    small[:9] = 1
    fit, _ = fitted(frame, question, small)
    assert fit.heterogeneity[0].cities == 4, "a city of three rows has no fit of its own"
    none, log = fitted(bad_rows(yes=frame.columns["yes"].values & (place < 2)), question, place)
    assert (none.converged, none.cause, none.obs_status, none.coefficients) == (False, "few_cities", "x", ())
    assert [ask.purpose for ask in log.asks] == ["standardise", "able"], "no sum over two cities is asked for"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"terms": (), "city_effects": "concentrated"}, "terms: [] and city_effects: concentrated"),
        ({"errors": "hc0", "city_effects": "random"}, "errors and city_effects: random"),
    ],
    ids=str,
)
def test_keys_that_do_not_go_with_effects_of_cities_are_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("[", r"\[").replace("]", r"\]")) as refused:
        fitted(
            bad_rows(),
            Glm(**{"family": "binomial", "outcome": "yes", "terms": ("x",)} | changed),
            places_of(bad_rows()),
        )
    assert refused.value.code == "MODEL_TOGETHER"


def places_of(frame: Frame) -> Any:
    return np.arange(frame.rows) % 6


@pytest.mark.parametrize("effects", ["fixed", "concentrated"])
def test_what_is_the_same_within_each_city_is_part_of_its_constant(effects: Any) -> None:
    frame = bad_rows(cost=places_of(bad_rows()) * 3.0 + 1)
    question = Glm(family="binomial", outcome="yes", terms=("x", "cost"), city_effects=effects)
    with pytest.raises(ConfigError, match="cost is determined by") as refused:
        fitted(frame, question, places_of(frame))
    assert refused.value.code == "MODEL_COLLINEAR"
    kept, _ = fitted(frame, question.model_copy(update={"collinear": "drop"}), places_of(frame))
    assert kept.collinear == ("cost",)
    with pytest.raises(ConfigError, match=rf"city.gdp is determined by city_effects: {effects}"):
        planned(frame, question.model_copy(update={"terms": ("city.gdp",)}), [frame] * 6)
