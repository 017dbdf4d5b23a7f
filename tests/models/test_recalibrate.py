"""A recalibrated model has other probabilities and the same ranking, whatever kind it is."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.modelfile import Card, ModelFile, Predictor, Taken
from protocols.models.recalibrate import Method, possible, recalibrated, solved
from protocols.models.scoring import scores
from tests.models.test_evaluate import logit, people
from tests.models.test_modelfile import boosted
from tests.unit.test_scores import card as points_of

CARD = Predictor(
    variables=(
        Taken(name="sex", type="category", codes=("male", "female", "unknown")),
        Taken(name="amount", type="money", range=(-1000.0, 1000000.0)),
    ),
    outcome="paid",
    fit=points_of(),
)


def drawn(rows: int = 5000) -> tuple[Any, Any]:
    """Log odds that are too far apart and too high, and outcomes."""
    draw = public_stream("tests", "recalibrate", "rows")
    margin = draw.normal(-1.0, 1.5, rows)
    return margin, (draw.random(rows) < expit(-0.6 + 0.7 * margin)).astype(float)


@pytest.mark.parametrize("method", ["intercept", "slope"])
def test_constant_and_slope_are_those_of_statsmodels(method: Method) -> None:
    margin, y = drawn()
    constant, slope = solved(margin, y, method, "m")
    ones = np.ones(len(y))
    if method == "slope":
        theirs = sm.GLM(y, np.column_stack([ones, margin]), family=sm.families.Binomial()).fit(tol=1e-13).params
    else:
        theirs = [*sm.GLM(y, ones, offset=margin, family=sm.families.Binomial()).fit(tol=1e-13).params, 1.0]
    assert (constant, slope) == pytest.approx(tuple(theirs), abs=1e-9)
    assert y.sum() / expit(constant + slope * margin).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("model", [logit(), boosted()], ids=["glm", "gbdt"])
def test_every_log_odds_is_the_line_of_what_it_was(model: ModelFile) -> None:
    rows = people(400)
    before = scores(model, rows.columns.__getitem__, rows.rows)
    after = scores(recalibrated(model, -0.3, 1.4, "m"), rows.columns.__getitem__, rows.rows)
    assert (after.known == before.known).all()
    assert after.margin[before.known] == pytest.approx(-0.3 + 1.4 * before.margin[before.known], abs=1e-12)
    order = np.argsort(before.margin[before.known], kind="stable")
    assert (np.diff(after.margin[before.known][order]) >= 0).all(), "nobody passes anybody"


def test_a_scorecard_has_the_points_of_its_new_weights() -> None:
    new = recalibrated(CARD, -0.3, 1.4, "m").fit
    assert isinstance(new, Card)
    assert [each.estimate for each in new.weights] == pytest.approx([-0.3 + 1.4 * -1.0, -1.4, -1.26])
    factor = 20 / np.log(2)
    share = (600 - factor * (np.log(50) + new.weights[0].estimate)) / 2
    for feature, weight in zip(new.features, new.weights[1:], strict=True):
        assert [each.points for each in feature.card] == [
            round(share - factor * weight.estimate * each.woe) for each in feature.card
        ]
        assert min(each.points for each in feature.card) <= feature.neutral <= max(each.points for each in feature.card)


def test_what_cannot_be_recalibrated_says_why() -> None:
    margin, y = drawn(400)
    with pytest.raises(ConfigError, match="fewer than 100 events") as few:
        solved(margin, np.where(np.arange(400) < 50, 1.0, 0.0), "slope", "m")
    assert few.value.code == "MODEL_FEW_OUTCOMES"
    for case in (lambda: solved(np.zeros(400), y, "slope", "m"), lambda: recalibrated(logit(), 0.0, -0.2, "m")):
        with pytest.raises(ConfigError) as caught:
            case()
        assert caught.value.code == "MODEL_RECALIBRATE"
    probit = logit().model_copy(update={"fit": logit().fit.model_copy(update={"link": "probit"})})
    offset = logit().model_copy(update={"fit": logit().fit.model_copy(update={"offset": "age"})})
    possible(offset, "intercept", "m")
    for model, why in ((probit, "not a logit"), (offset, "has an offset")):
        with pytest.raises(ConfigError, match=why):
            possible(model, "slope", "m")
