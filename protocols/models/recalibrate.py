"""A model whose probabilities are too high or too low everywhere, put right: log odds become a + b times what they were, b > 0.

The ranking of rows stays as it was. a and b are those of a logit of the outcome on the log odds that were predicted: of all cities, by the
rounds of an evaluation (`recalibrate` of `evaluate`), or of one city on its own rows (`node/recalibrate.py`).

Source: D. R. Cox, Two further applications of a model for binary regression, Biometrika 45 (1958).
"""

from math import log
from typing import Final, Literal, TypeAlias

import numpy as np
from scipy.special import expit

from protocols.errors import Both, ConfigError
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, CardFeature, Linear, Monthly, Predictor, Tree, Trees, Weight
from protocols.models.modelfile import Reals as Numbers

Method: TypeAlias = Literal["intercept", "slope"]
LEAST: Final = 100  # events, and as many others, of rows that a model is recalibrated on
MOST_STEPS: Final = 50
SMALL: Final = 1e-12


def possible(model: Predictor, method: Method, name: str) -> None:
    """Errors: `ConfigError MODEL_RECALIBRATE` where log odds are not what a model adds up, or a part of them has no coefficient."""
    fit = model.fit
    if isinstance(fit, Monthly):
        why = Both("它给出的是某一个月的风险，请重新拟合", "it is the hazard of one month: fit it anew")
        raise ConfigError("MODEL_RECALIBRATE", id=name, why=why)
    if not isinstance(fit, Linear):
        return
    if fit.family != "binomial" or fit.link != "logit":
        why = Both(
            f"联接函数是 {fit.family} {fit.link}，不是 logit", f"its link is {fit.family} {fit.link}, not a logit"
        )
        raise ConfigError("MODEL_RECALIBRATE", id=name, why=why)
    if fit.offset is not None and method == "slope":
        why = Both(
            "带有 offset，只能改截距（method: intercept）",
            "it has an offset: its constant alone can change (intercept)",
        )
        raise ConfigError("MODEL_RECALIBRATE", id=name, why=why)


def recalibrated(model: Predictor, constant: float, slope: float, name: str) -> Predictor:
    """The same model with log odds constant + slope x. Its reference is left out: its scores are others.

    Errors: `ConfigError MODEL_RECALIBRATE` where the slope would turn the ranking round.
    """
    if not slope > 0:
        why = Both(
            f"斜率 {slope:.3g} 不为正，排序会颠倒：请重新拟合",
            f"its slope {slope:.3g} turns the ranking round: fit it anew",
        )
        raise ConfigError("MODEL_RECALIBRATE", id=name, why=why)
    match model.fit:
        case Linear() as fit:
            made: Linear | Card | Trees = fit.model_copy(update=_weighted(fit, constant, slope))
        case Card() as fit:
            made = fit.model_copy(update=_weighted(fit, constant, slope))
            made = made.model_copy(update={"features": _points(made)})
        case Trees() as fit:
            trees = tuple(_tree(each, slope) for each in fit.trees)
            made = fit.model_copy(update={"base": constant + slope * fit.base, "trees": trees})
    return Predictor(variables=model.variables, outcome=model.outcome, fit=made)


def _weighted(fit: Linear | Card, constant: float, slope: float) -> dict[str, object]:
    weights = tuple(
        each.model_copy(
            update={
                "estimate": slope * each.estimate + (constant if number == 0 else 0.0),
                "std_error": slope * each.std_error,
            }
        )
        for number, each in enumerate(fit.weights)
    )
    covariance: tuple[Numbers, ...] = tuple(tuple(slope * slope * cell for cell in row) for row in fit.covariance)
    return {"weights": weights, "covariance": covariance, "error_bound": slope * fit.error_bound}


def _points(card: Card) -> tuple[CardFeature, ...]:
    """Points of the new weights, by the formula of `scorecard.py`. A feature's neutral points move as those of its bins do on average."""
    weights: dict[str, Weight] = {each.term: each for each in card.weights[1:]}
    factor = card.points.pdo / log(2)
    share = (card.points.base - factor * (log(card.points.odds) + card.weights[0].estimate)) / len(card.features)
    found = []
    for feature, weight in zip(card.features, weights.values(), strict=True):
        entries = tuple(
            each.model_copy(update={"points": round(share - factor * weight.estimate * each.woe)})
            for each in feature.card
        )
        before = np.array([each.points for each in feature.card], float)
        after = np.array([each.points for each in entries], float)
        flat = len(set(before.tolist())) == 1
        neutral = after[0] if flat else float(np.polyval(np.polyfit(before, after, 1), feature.neutral))
        found.append(feature.model_copy(update={"card": entries, "neutral": float(neutral)}))
    return tuple(found)


def _tree(tree: Tree, slope: float) -> Tree:
    return tree.model_copy(update={"value": tuple(slope * each for each in tree.value)})


def solved(margin: Reals, y: Reals, method: Method, name: str) -> tuple[float, float]:
    """Constant and slope of rows with log odds `margin`: the maximum of the likelihood, by Newton's method with halving.

    Errors: `ConfigError MODEL_FEW_OUTCOMES` with fewer than 100 events, or others; MODEL_RECALIBRATE where there is no maximum.
    """
    events = float(y.sum())
    if min(events, len(y) - events) < LEAST:
        raise ConfigError("MODEL_FEW_OUTCOMES", id=name, least=LEAST)
    x = np.column_stack([np.ones(len(margin)), margin]) if method == "slope" else np.ones((len(margin), 1))
    offset = np.zeros(len(margin)) if method == "slope" else margin
    at = np.array([0.0, 1.0]) if method == "slope" else np.zeros(1)

    def deviance(point: Reals) -> float:
        eta = x @ point + offset
        return float((np.logaddexp(0, eta) - y * eta).sum())

    for _ in range(MOST_STEPS):
        p = expit(x @ at + offset)
        information = x.T @ (x * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1 / SMALL:
            break
        step = np.linalg.solve(information, x.T @ (y - p))
        while deviance(at + step) > deviance(at) and np.abs(step).max() > SMALL:
            step = step / 2
        at = at + step
        if np.abs(step).max() <= SMALL * (1 + np.abs(at).max()):
            return float(at[0]), float(at[1]) if method == "slope" else 1.0
    why = Both(
        "评分与结果完全对应或评分都相同，没有估计值",
        "its scores separate the outcome or are all the same: there is no estimate",
    )
    raise ConfigError("MODEL_RECALIBRATE", id=name, why=why)
