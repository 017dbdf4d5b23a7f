"""Models as other libraries have them: scikit-learn's estimators, and the JSON that XGBoost reads.

    model = protocols.models.modelfile.load(content, "card.json", today)
    names, matrix, known = exports.columns(model, read, rows)
    exports.to_sklearn(model).predict_proba(matrix[known])[:, 1]      the same probabilities as `scoring.scores`

An estimator of scikit-learn is one that was fitted elsewhere: coefficients, intercept and classes are those of the model, nothing is fitted
again. Its columns are those of the model's terms as `columns` makes them, in a fixed order: numbers after their transform, indicators of
codes, and of a scorecard the weight of evidence of the bin. Rows of which the model needs a value that is not known have no score.

scikit-learn is no dependency of ours and is imported where it is asked for. No estimator is written to a file: a pickle is a program.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from protocols.dictionary import Read
from protocols.errors import Both, ConfigError
from protocols.models import xgb
from protocols.models.design import Design, Flags
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, Linear, Predictor, Trees
from protocols.models.scoring import woe
from protocols.statistics.question import Names

ESTIMATORS: Final = {  # by family and link
    ("binomial", "logit"): "LogisticRegression",
    ("gaussian", "identity"): "LinearRegression",
    ("poisson", "log"): "PoissonRegressor",
    ("gamma", "log"): "GammaRegressor",
}


def columns(model: Predictor, read: Read, rows: int) -> tuple[Names, Reals, Flags]:
    """The names of the columns, rows x columns, and which rows have all of them. read: in the terms of the model (`scoring.Adapted`).

    Errors: `ConfigError MODEL_EXPORT` for trees, whose rows XGBoost takes as they are.
    """
    match model.fit:
        case Linear() as fit:
            design = Design.of(fit.terms, model.domain, fit.missing)
            matrix, known = design.matrix(read, rows)
            names = [piece.name for piece in design.pieces]
            made = [matrix[:, [names.index(name) for name in each.columns]].sum(axis=1) for each in fit.weights[1:]]
        case Card() as fit:
            made = [woe(each)[each.bins.places(model.domain, read)] for each in fit.features]
            known = np.ones(rows, bool)
        case Trees():
            raise _not(Both("提升树没有设计矩阵，请用 to_xgboost", "trees have no columns of terms: use to_xgboost"))
    found = np.column_stack(made) if made else np.zeros((rows, 0))
    return tuple(each.term for each in model.fit.weights[1:]), found, known


def to_sklearn(model: Predictor) -> Any:
    """A fitted `LogisticRegression` of a logit or scorecard (classes False and True); `LinearRegression`, `PoissonRegressor` or
    `GammaRegressor` of those families. Of a matrix of `columns`, `predict_proba` or `predict` is the `mean` of `scoring.scores`.

    Errors: `ConfigError MODEL_EXPORT` for a model that scikit-learn has no estimator for, and where it is not installed.
    """
    fit = model.fit
    if isinstance(fit, Trees):
        raise _not(Both("提升树请用 to_xgboost", "use to_xgboost for trees"))
    if isinstance(fit, Linear) and fit.offset is not None:
        raise _not(Both("含 offset 的模型没有对应的估计器", "no estimator has an offset"))
    name = ESTIMATORS.get(("binomial", "logit") if isinstance(fit, Card) else (fit.family, fit.link))
    if name is None:
        raise _not(Both("没有该分布族与连接函数的估计器", "there is no estimator of this family and link"))
    made = _estimator(name)()
    weights = np.array([each.estimate for each in fit.weights])
    made.n_features_in_ = len(weights) - 1
    if name == "LogisticRegression":
        made.classes_, made.coef_, made.intercept_ = np.array([False, True]), weights[None, 1:], weights[:1]
        made.n_iter_ = np.zeros(1, np.int32)
    else:
        made.coef_, made.intercept_ = weights[1:], float(weights[0])
    if name.endswith("Regressor"):  # the loss has the inverse of the link, and is otherwise made by `fit`
        made._base_loss = made._get_loss()
    return made


def _estimator(name: str) -> Callable[[], Any]:
    try:
        from sklearn import linear_model
    except ModuleNotFoundError:
        raise _not(Both("未安装 scikit-learn（pip install scikit-learn）", "pip install scikit-learn first")) from None
    found: Callable[[], Any] = getattr(linear_model, name)
    return found


def to_xgboost(model: Predictor) -> bytes:
    """The JSON that `xgboost.Booster.load_model` reads, of a model of `kind: gbdt` (`protocols/models/xgb.py` says what its rows are).

    Errors: `ConfigError MODEL_EXPORT` for any other.
    """
    if not isinstance(model.fit, Trees):
        raise _not(Both("不是提升树，请用 to_sklearn", "it has no trees: use to_sklearn"))
    return json.dumps(xgb.exported(model.fit), separators=(",", ":")).encode()  # XGBoost tells 0.0 from 0


def _not(problem: Both) -> ConfigError:
    return ConfigError("MODEL_EXPORT", problem=problem)
