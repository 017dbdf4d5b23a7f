"""Newton's method over sums: where a fit stands between two rounds, and what the next total makes of it.

A step that raises the objective is halved, at most ten times. The last step, below 1e-6 or below the noise of the sums, is applied too, and
then looked at once more. Pure, the same at the coordinator and in every city.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from protocols.errors import ConfigError
from protocols.models.answer import Cause
from protocols.models.design import Columns, Numbers
from protocols.models.fixedpoint import Reals
from protocols.yamltext import Flag, Record, Whole

MOST_STEPS: Final = 25
MOST_HALVINGS: Final = 10
SMALL_STEP: Final = 1e-6
NEAR: Final = 0.1  # from steps this small on, observed information is asked for
FAR: Final = 15.0  # a standardised coefficient beyond this, or
LOST: Final = 50.0  # a growing one with this standard error, has no estimate
FLAT: Final = 1e-12  # least over largest eigenvalue of the information
PERFECT: Final = 1e-4  # deviance per row
Places = npt.NDArray[np.intp]


class Limits(Record):
    """What policies ask of exact sums: rows and cities of an indicator column; events, and non-events, per column."""

    column_rows: Whole = 5
    column_cities: Whole = 3
    events_per_column: Whole = 5


class Stop(Record):
    """A point of a path: the strength of a penalty, the coefficients at it, -2 log-likelihood, the extended BIC, and the KKT residual."""

    strength: float
    point: Numbers
    fit: float
    criterion: float
    residual: float


class Fitting(Record):
    """The state between two rounds. Plain JSON.

    base, objective: the last point whose deviance did not rise, and that deviance; point = base + step is asked for next.
    final: the decoded sums at the converged point.
    """

    round: Whole = 0
    purpose: Literal["standardise", "step", "final", "influence", "done"] = "standardise"
    chain: str
    columns: Columns = Columns()
    dropped: tuple[str, ...] = ()
    collinear: tuple[str, ...] = ()
    places: tuple[Whole, ...] = ()  # with `city_effects: fixed`, the cities that have rows
    rows: Whole = 0
    smallest: Whole | None = None  # rows of the thinnest indicator in the fit
    pair: Whole | None = None  # rows of the thinnest pair of codes, once they were added up
    left_out: Whole = 0
    units: tuple[
        Whole, ...
    ] = ()  # where a holder has several rows: holders, those with an event, those with a row without one
    sums: Numbers = ()  # of round 0: frequency, weight, weighted y, y's own part of the deviance, weighted offset
    point: Numbers = ()
    base: Numbers = ()
    step: Numbers = ()
    null: float | None = None
    null_step: float = 0.0
    shape: float | None = None
    shape_step: float = 0.0
    inverse: Numbers = ()
    objective: float | None = None
    observed: Flag = False
    steps: Whole = 0
    halvings: Whole = 0
    grew: tuple[Whole, ...] = ()
    cause: Cause = ""
    named: tuple[str, ...] = ()
    roundings: Whole = 0
    final: dict[str, Numbers] = Field(default_factory=dict)
    strengths: Numbers = ()  # of a penalty that chooses columns, in the order in which they are fitted
    path: tuple[Stop, ...] = ()


def rose(state: Fitting, objective: float, rounding: float) -> bool:
    """Whether the objective is above that of the last accepted point by more than noise. rounding: the most that a sum of it is off."""
    noise = rounding * 2 + 1e-12 * abs(objective)
    return state.objective is not None and objective > state.objective + noise


def halved(state: Fitting, coarse: ConfigError) -> Fitting:
    """Half the last step. Errors: `coarse` where there is none yet."""
    if state.objective is None:
        raise coarse
    if state.halvings >= MOST_HALVINGS:
        return state.model_copy(update={"purpose": "done", "cause": "no_descent"})
    step = np.array(state.step) / 2
    shape = state.shape if state.shape is None else state.shape - state.shape_step / 2
    null = state.null if state.null is None else state.null - state.null_step / 2
    return state.model_copy(
        update={
            "point": tuple((np.array(state.base) + step).tolist()),
            "step": tuple(step.tolist()),
            "halvings": state.halvings + 1,
            "null": null,
            "null_step": state.null_step / 2,
            "shape": shape,
            "shape_step": state.shape_step / 2,
        }
    )


def growing(state: Fitting, point: Reals, kept: Places) -> tuple[int, ...]:
    """For how many rounds in a row each coefficient grew."""
    before = np.array(state.base)[kept] if state.base else np.full(len(kept), np.inf)
    past = np.array(state.grew)[kept]
    return tuple(
        int(times) + 1 if abs(now) > abs(was) else 0 for times, now, was in zip(past, point, before, strict=True)
    )


def separated(state: Fitting, hessian: Reals, names: Sequence[str], perfect: bool) -> tuple[str, ...]:
    """Columns that separate the outcome: their coefficients have no finite estimate. names: of all parameters, empty for a constant."""
    point = np.abs(np.array(state.point))
    eigenvalues = np.linalg.eigvalsh(hessian)
    if eigenvalues[0] < FLAT * eigenvalues[-1]:
        return farthest(names, point)
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    grew = np.array(state.grew) >= 3
    lost = (point > FAR) | (grew & (errors > LOST))
    found = tuple(name for name, gone in zip(names, lost.tolist(), strict=True) if gone and name)
    return found or (farthest(names, point) if perfect else ())


def farthest(names: Sequence[str], sizes: Reals) -> tuple[str, ...]:
    """The name of the largest that has one."""
    named = {name: abs(size) for name, size in zip(names, sizes.tolist(), strict=True) if name}
    return (max(named, key=lambda name: named[name]),) if named else ()


def square(upper: Reals, p: int) -> Reals:
    """The symmetric matrix of an upper triangle."""
    whole = np.zeros((p, p))
    whole[np.triu_indices(p)] = upper
    return np.asarray(whole + np.triu(whole, 1).T, np.float64)
