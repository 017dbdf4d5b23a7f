"""Hazards in mode dp: the schedule of `private.py` over person-months, of which all those of a holder change a sum by one bound.

- moments: a holder counts once, with the mean of its months. They only centre and scale.
- products: each month by the length of its row; a holder has as many as its rows in the window at most.
- scores: a holder is followed until the hazards that were fitted for its months add up to one event; what comes later is left out, as
  where somebody moves away. That is decided before the month it is about, so that no outcome decides it and no coefficient is moved. The
  residuals that are left add up, in size, to one event and as much of hazards at most: twice the longest row is the most of the vector.

With hazards of a few per cent nobody is left out. Where more than one in fifty is, or has a row that is too long, the fit is marked `u`.
"""

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from protocols.dictionary import Read
from protocols.models.fixedpoint import Reals
from protocols.models.hazard import HOLDER, AtMeans, HazardPlan
from protocols.models.interface import Result, Sums
from protocols.models.private import FINE, GRID, MOMENTS, PRODUCTS, PrivateAsk, PrivateFit, PrivatePlan, worth
from protocols.models.question import Setting

FOLLOWED: Final = 1.0  # fitted hazards of the months of one holder, together
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PrivateHazard(PrivatePlan):
    """hazard: the same question in mode exact."""

    hazard: HazardPlan

    @property
    def most_rows_each(self) -> int:
        return self.hazard.most_months

    @property
    def reach(self) -> float:
        """And the rounding of each residual."""
        return 1 + FOLLOWED + self.most_rows_each / float(1 << (FINE + 1))

    @property
    def beside(self) -> int:
        """Person-months, those left out, events, holders."""
        return 4

    @property
    def scope(self) -> str:
        return self.hazard.scope

    def ratio(self, rows: float) -> float | None:
        """`rows`: holders, of whom half have the event: that many events are what is known."""
        found = super().ratio(rows)
        return None if found is None else found / sqrt(2)

    # --- in a city

    def measure(self, ask: PrivateAsk, read: Read, rows: int) -> Sums:  # noqa: ARG002 as many as the events say
        column, count = self.hazard.person_months(read)
        x, y, whole = self.known(column, count)
        holder = column(HOLDER).values[whole].astype(np.int64)
        if ask.purpose == MOMENTS:
            each = _per_holder(self.moments(x, y), holder) / _per_holder(np.ones((len(y), 1)), holder)
            return Sums({"cells": np.rint(each * (1 << FINE)).sum(axis=0)})
        z = ask.columns.standardised(x)
        return self._products(z, y, holder, count) if ask.purpose == PRODUCTS else self._scores(ask, z, y, holder)

    def _products(self, z: Reals, y: Reals, holder: Whole, count: int) -> Sums:
        sums = self.products(z, y, float(count - len(y)))
        months, left_out, events = sums.values["beside"]
        holders, most = len(np.unique(holder)), self.most_rows_each
        beside = np.array([months, left_out, events * most, float(holders * self.counted * most)])
        return Sums({"cells": sums.values["cells"], "beside": beside})

    def _scores(self, ask: PrivateAsk, z: Reals, y: Reals, holder: Whole) -> Sums:
        white = z @ np.array(ask.whiten).reshape(self.p, self.p)
        factor, moved = self.factor(white)
        fitted = self.curve(ask.outcome).mean(z @ np.array(ask.point))
        followed = _up_to(fitted, holder) <= FOLLOWED
        whole = np.rint(white * np.where(followed, factor, 0.0)[:, None] * (1 << GRID))
        score = whole.T @ np.rint((y - fitted) * (1 << FINE))
        marked = len(np.unique(holder[moved | ~followed]))
        return Sums({"cells": score, "beside": np.array([float(marked * self.marked)])})

    # --- what a total means

    def counts(self, beside: Reals) -> tuple[float, ...]:
        months, left_out, events, _ = (float(each) for each in beside / self.counted)
        return months, left_out, events / self.most_rows_each

    def told(self, state: PrivateFit, cells: Reals) -> PrivateFit:
        """How many holders the months are of stands beside their products."""
        holders = float(cells[-1]) / self.counted / self.most_rows_each
        return super().told(state, cells).model_copy(update={"holders": max(holders, 1.0)})

    def marks(self, state: PrivateFit) -> float:
        return state.holders

    def result(self, state: PrivateFit) -> Result:
        found = super().result(state)
        terms = [each["term"] for each in found.coefficients]
        rows = self.hazard.baseline(terms, self._at_means(state, found), found.fit["obs_status"])
        return replace(found, rows=rows, fit={**found.fit, "holders": round(state.holders)})

    def _at_means(self, state: PrivateFit, found: Result) -> AtMeans:
        answer, back = self.answered(state), state.columns.back()
        means = answer.released.products[0, 1:] / answer.released.products[0, 0]
        return AtMeans(
            means=np.array([1.0, *(np.array(state.columns.centre) + np.array(state.columns.scale) * means)]),
            estimates=np.array([each["estimate"] for each in found.coefficients]),
            covariance=np.array(found.model["fit"]["covariance"]),
            sampling=back @ answer.sampling @ back.T,
            reach=-float(ndtri((1 - self.setting.confidence) / 2)),
        )

    def left(self, found: Result, covariance: Reals) -> dict[str, Any]:
        return self.hazard.left(self.linear(found, covariance))


def plan(hazard: HazardPlan, setting: Setting, name: str) -> PrivateHazard:
    """Errors: `ConfigError MODEL_DP_TOO_NOISY`, as `private.plan`."""
    made = PrivateHazard(hazard.inner, setting, name, hazard)
    worth(name, made.ratio, setting)
    return made


def _starts(holder: Whole) -> Whole:
    """Where the rows of each holder begin; they stand together."""
    return np.flatnonzero(np.insert(holder[1:] != holder[:-1], 0, True))[: len(holder)]


def _per_holder(rows: Reals, holder: Whole) -> Reals:
    """The sum over the rows of each."""
    return np.add.reduceat(rows, _starts(holder), axis=0) if len(holder) else rows


def _up_to(values: Reals, holder: Whole) -> Reals:
    """Of each row, the sum over those of its holder up to it."""
    starts = _starts(holder)
    sums = np.cumsum(values)
    before = np.concatenate([[0.0], sums])[starts]
    return np.asarray(sums - np.repeat(before, np.diff(np.append(starts, len(holder)))), np.float64)
