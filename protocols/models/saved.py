"""What a finished fit leaves behind, as a part of a model file."""

from protocols.models.glm import Fitting, GlmPlan
from protocols.models.modelfile import Linear, Weight


def linear(plan: GlmPlan, state: Fitting) -> Linear:
    """Pre-condition: the fit has converged."""
    fit, pieces = plan.finalize(state), plan.design.pieces
    groups: tuple[tuple[int, ...], ...] = ((), *state.columns.groups)
    return Linear(
        family=plan.question.family,
        link=plan.law.link,
        alpha=plan.question.alpha,
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
