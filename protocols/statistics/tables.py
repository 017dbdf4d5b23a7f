"""Counts and shares of a table of holders: what `count`, `frequency` and `crosstab` make of their one block."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, OWN, QUANTA, Box, Estimates, Floats, Table, Units
from protocols.statistics.layout import Axis
from protocols.statistics.rows import Row, table_rows


def count_rows(table: Table, sums: Estimates, sampling: bool) -> tuple[Row, ...]:
    """One row per cell, `_missing` ones too. Normal interval, cut at 0.

    Sampling takes holders to arrive independently: a count varies by its own size.
    """
    count = table.values
    drawn = np.maximum(count, 0.0)
    low, high = intervals.normal(count, table.sd**2 + sampling * drawn, sums.z)
    doubtful = marks.doubtful_count(count, table.sd, sums.least(table), (high - low) / 2)
    printed = table.printed(table.units)
    negative = bool((count < 0).any())
    return table_rows(
        "count",
        table.axes,
        sums={"estimate": printed} | ({} if negative else {"display": printed}),
        figures={
            "se_noise": np.broadcast_to(table.sd, count.shape),
            "se_sampling": np.sqrt(drawn),
            "ci_low": np.maximum(low, 0.0),
            "ci_high": np.maximum(high, 0.0),
        }
        | ({"display": intervals.simplex(count)} if negative else {}),
        marks=marks.letters(np.zeros_like(doubtful), doubtful),
    )


@dataclass(frozen=True)
class Shares:
    """Parts of a base, entry by entry; NaN where the base may be nothing. `noise` and `sampling` are variances."""

    base_units: Units
    base: Floats
    estimate: Floats
    display: Floats
    noise: Floats
    sampling: Floats
    low: Floats
    high: Floats
    marks: npt.NDArray[Any]

    def rows(self, measure: str, table: Table, axes: Sequence[Axis]) -> tuple[Row, ...]:
        return table_rows(
            measure,
            axes,
            sums={"base": table.printed(self.base_units)},
            figures={
                "estimate": self.estimate,
                "display": self.display,
                "se_noise": np.sqrt(self.noise),
                "se_sampling": np.sqrt(self.sampling),
                "ci_low": self.low,
                "ci_high": self.high,
            },
            marks=self.marks,
        )


def shares(table: Table, held: Collection[int], sums: Estimates, sampling: bool) -> Shares:
    """a / B for every known cell: B counts the known holders who stand on the cell's code of each `held` axis.

    `held`: numbers of axes. The estimate is not cut to [0, 1], the interval is.
    """
    axes = range(len(table.axes))
    over = tuple(axis for axis in axes if axis not in held)
    units, shown = table.units[table.known], intervals.simplex(table.values)[table.known]
    noise = table.covariances((OWN,) * len(axes), tuple(OWN if axis in held else KNOWN for axis in axes))
    whole = np.broadcast_to(units.sum(axis=over, keepdims=True), units.shape)
    return shares_of(units, whole, shown, shown.sum(axis=over, keepdims=True), noise, table, sums, sampling)


def share_rows(measure: str, table: Table, held: Collection[int], sums: Estimates, sampling: bool) -> tuple[Row, ...]:
    return shares(table, held, sums, sampling).rows(measure, table, table.axes)


def share_row(measure: str, table: Table, part: Box, whole: Box, sums: Estimates, sampling: bool) -> Row:
    """The share of one box in another that holds it, as a row without keys."""
    shown = intervals.simplex(table.values)
    units, whole_units = (np.asarray(table.units[box].sum()) for box in (part, whole))
    display, whole_display = (np.asarray(shown[box].sum()) for box in (part, whole))
    noise = table.covariance(part, whole)
    found = shares_of(units, whole_units, display, whole_display, noise, table, sums, sampling)
    (row,) = found.rows(measure, table, ())
    return row


def shares_of(
    units: Units,
    whole: Units,
    shown: Floats,
    shown_whole: Floats,
    noise: Floats,
    table: Table,
    sums: Estimates,
    sampling: bool,
) -> Shares:
    """Parts of wholes, entry by entry. `noise`: covariance of a part and its whole, 2 x 2, or one for each."""
    count, base = units / QUANTA, whole / QUANTA
    part_sd, base_sd = (np.sqrt(noise[..., at, at]) for at in (0, 1))
    gone = marks.undivided(base, base_sd)
    divisor = np.where(gone, np.nan, base)
    estimate = count / divisor
    low, high = intervals.share(count, divisor, noise, sums.z, sampling)
    with np.errstate(divide="ignore", invalid="ignore"):
        display = np.where(gone, np.nan, shown / shown_whole)
    chance = np.clip(estimate, 0.0, 1.0)
    return Shares(
        base_units=whole,
        base=divisor,
        estimate=estimate,
        display=display,
        noise=intervals.quadratic(np.stack([np.ones_like(estimate), -estimate], axis=-1), noise) / divisor**2,
        sampling=chance * (1 - chance) / divisor,
        low=low,
        high=high,
        marks=marks.letters(gone, marks.doubtful_share(count, part_sd, sums.least(table), (high - low) / 2, estimate)),
    )
