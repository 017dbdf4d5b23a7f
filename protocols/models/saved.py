"""What a finished fit leaves behind, as a part of a model file."""

from collections.abc import Iterable
from typing import Any, Final

from protocols.dictionary import Dictionary
from protocols.models.glm import Fitting, GlmPlan
from protocols.models.modelfile import Card, Linear, Monthly, Predictor, Trees, Weight, taken
from protocols.statistics.rows import significant

EXACT: Final = ("edges", "range")  # public numbers, the same on every machine


def left(
    names: Iterable[str], outcome: str, fit: Linear | Monthly | Card | Trees, dictionary: Dictionary
) -> dict[str, Any]:
    """What scores by this fit, as JSON. Its numbers have 12 digits: the last ones of a float are another machine's."""
    return written(Predictor(variables=taken(dictionary, names), outcome=outcome, fit=fit))


def written(found: Predictor) -> dict[str, Any]:
    """What scores, as JSON, with 12 digits."""
    made: dict[str, Any] = _rounded(found.model_dump(mode="json"))
    return made


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: each if name in EXACT else _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return significant(value) if isinstance(value, float) else value


def linear(plan: GlmPlan, state: Fitting) -> Linear:
    """Pre-condition: the fit has converged, with one constant for all cities."""
    fit, pieces = plan.finalize(state), plan.design.pieces
    groups: tuple[tuple[int, ...], ...] = ((), *state.columns.groups)
    return Linear(
        family=plan.question.family,
        link=plan.law.link,
        alpha=fit.alpha if isinstance(plan.question.alpha, str) else plan.question.alpha,
        terms=plan.question.terms,
        missing=plan.question.missing,
        offset=plan.question.offset,
        weights=tuple(
            Weight(
                term=each.term,
                columns=tuple(pieces[place].name for place in group),
                estimate=each.estimate,
                std_error=each.std_error,
            )
            for each, group in zip(fit.coefficients, groups, strict=True)
        ),
        covariance=fit.covariance,
        error_bound=fit.coefficient_error_bound or 0.0,
    )
