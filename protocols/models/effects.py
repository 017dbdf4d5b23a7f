"""How the constants of cities enter a regression.

`none`: one constant for all. `fixed`: one for each city, told to all; its sums touch only the slopes and itself, so that the information is
an arrow. `concentrated`: each city solves for its own constant at the slopes it is asked about, tells nobody, and sends what is left of
score and information: with a row of the constant first, S = H_bb - H_b0 H_0b / H_00. Slopes and their errors are those of `fixed`, by
the block inverse; the constants stay at home.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from protocols.models.design import Columns
from protocols.models.families import Law
from protocols.models.fixedpoint import Reals
from protocols.models.newton import square
from protocols.models.rows import Used

MOST_SOLVING: Final = 200
CityEffects = Literal["none", "fixed", "concentrated", "random"]


@dataclass(frozen=True)
class Constants:
    """places: with `fixed`, which cities have rows, each with a constant. p below counts columns with one constant."""

    kind: CityEffects
    places: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Of constants among the parameters, in front of the slopes."""
        return {"fixed": len(self.places), "concentrated": 0}.get(self.kind, 1)

    def linear(self, p: int) -> int:
        """Cells of a score."""
        return self.count + p - 1

    def quadratic(self, p: int) -> int:
        """Cells of an information."""
        return p * (p - 1) // 2 + self.count * p

    def vector(self, score: Reals, at: int) -> Reals:
        """A score of 1 constant and p - 1 slopes, as cells; at: which constant it is."""
        constants = np.zeros(self.count)
        constants[at : at + 1] = score[0]
        return np.concatenate([constants, score[1:]])

    def left(self, form: Reals) -> Reals:
        """What of p x p is sent: all, or, concentrated, what its own constant leaves of it."""
        if self.kind != "concentrated":
            return form
        row = form[0, 1:]
        return form[1:, 1:] - np.outer(row, row) / form[0, 0] if form[0, 0] > 0 else np.zeros_like(form[1:, 1:])

    def cells(self, form: Reals, at: int) -> Reals:
        """A quadratic form of `left` as cells."""
        upper = np.asarray(form[np.triu_indices(len(form))], np.float64)
        if self.kind != "fixed":
            return upper
        p = len(form)
        arrow = np.zeros((self.count, p))
        arrow[at : at + 1] = form[0]
        return np.concatenate([arrow.ravel(), upper[p:]])

    def whole(self, cells: Reals, p: int) -> Reals:
        """The matrix of all parameters."""
        if self.kind != "fixed":
            return square(cells, self.linear(p))
        m = self.count
        arrow = cells[: m * p].reshape(m, p)
        out = np.zeros((m + p - 1, m + p - 1))
        out[:m, :m] = np.diag(arrow[:, 0])
        out[:m, m:] = arrow[:, 1:]
        out[m:, :m] = arrow[:, 1:].T
        out[m:, m:] = square(cells[m * p :], p - 1)
        return out

    def back(self, columns: Columns) -> Reals:
        """T: parameters of x from those of z."""
        plain, m = columns.back(), self.count
        out = np.eye(m + len(plain) - 1)
        out[m:, m:] = plain[1:, 1:]
        out[:m, m:] = plain[0, 1:]
        return out

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        if self.kind == "fixed":
            return tuple(f"intercept[{labels[place] if labels else place + 1}]" for place in self.places)
        return ("intercept",) * self.count


def solved(law: Law, used: Used, slopes: Reals) -> float | None:
    """The constant of one city at given slopes, slopes: of each row, offset included. None where it has no finite one: all outcomes are
    at an end. Newton's method with halving; the deviance in one constant has one minimum."""
    weight = used.weight
    total, y = float(weight.sum()), float(weight @ used.y)
    bounded = law.family == "binomial"
    if total <= 0 or (law.family != "gaussian" and y <= 0) or (bounded and y >= total):
        return None
    here = law.link_of(y / total) - float(weight @ slopes) / total

    def deviance(constant: float) -> float:
        eta = constant + slopes
        return float(weight @ law.deviance(used.y, law.mean(eta))) if law.inside(eta) else np.inf

    if law.link == "inverse":
        here = max(here, 1e-6 - float(slopes.min()))
    with np.errstate(all="ignore"):  # an infinite deviance is too long a step
        best = deviance(here)
        for _ in range(MOST_SOLVING):
            at = law.mean(here + slopes)
            u = weight * (used.y - at.mu) * at.h
            observed = float((weight * at.slope * at.h - weight * (used.y - at.mu) * at.bend).sum())
            expected = float((weight * at.slope * at.h).sum())
            step = float(u.sum()) / (observed if observed > 0.1 * expected else expected)
            if abs(step) <= 4e-16 * (1 + abs(here)):
                break
            if abs(step) < 1e-7:  # below this a deviance can no longer tell; the step squares the error
                here += step
                if abs(step) < 1e-12:
                    break
                continue
            while not (there := deviance(here + step)) <= best * (1 + 1e-13) and abs(step) > 1e-9:
                step /= 2
            here, best = here + step, min(best, there)
    return here
