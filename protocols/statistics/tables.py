"""Counts and shares of a table of holders: what `count`, `frequency` and `crosstab` make of their one block."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, QUANTA, Estimates, Floats, Table, Units
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
            "se_noise": np.full_like(count, table.sd),
            "se_sampling": np.sqrt(drawn),
            "ci_low": np.maximum(low, 0.0),
            "ci_high": np.maximum(high, 0.0),
        }
        | ({"display": intervals.simplex(count)} if negative else {}),
        marks=marks.letters(np.zeros_like(doubtful), doubtful),
    )


@dataclass(frozen=True)
class Shares:
    """Of the known cells, each among a base of known holders. One entry per known cell; NaN where the base may be nothing."""

    count: Floats
    base: Floats
    base_units: Units
    estimate: Floats
    display: Floats
    noise: Floats
    sampling: Floats
    low: Floats
    high: Floats
    marks: npt.NDArray[Any]


def shares(table: Table, held: Collection[int], sums: Estimates, sampling: bool) -> Shares:
    """a / B for every known cell: B counts the known holders who stand on the cell's code of each `held` axis (statistics.md 2.3).

    `held`: numbers of axes. `noise` and `sampling` are variances. The estimate is not cut to [0, 1], the interval is.
    """
    axes = range(len(table.axes))
    over = tuple(axis for axis in axes if axis not in held)
    units = table.units[table.known]
    base_units = np.broadcast_to(units.sum(axis=over, keepdims=True), units.shape)
    count, base = units / QUANTA, base_units / QUANTA
    noise = table.covariance((0,) * len(axes), tuple(0 if axis in held else KNOWN for axis in axes))
    gone = marks.undivided(base, float(np.sqrt(noise[1, 1])))
    divisor = np.where(gone, np.nan, base)
    estimate = count / divisor
    drawn = np.clip(estimate, 0.0, 1.0) * (1 - np.clip(estimate, 0.0, 1.0)) / divisor
    low, high = intervals.share(count, divisor, noise, sums.z, sampling)
    shown = intervals.simplex(table.values)[table.known]
    with np.errstate(divide="ignore", invalid="ignore"):
        display = np.where(gone, np.nan, shown / shown.sum(axis=over, keepdims=True))
    doubtful = marks.doubtful_share(count, table.sd, sums.least(table), (high - low) / 2, estimate)
    return Shares(
        count=count,
        base=base,
        base_units=base_units,
        estimate=estimate,
        display=display,
        noise=intervals.quadratic(np.stack([np.ones_like(estimate), -estimate], axis=-1), noise) / divisor**2,
        sampling=drawn,
        low=low,
        high=high,
        marks=marks.letters(gone, doubtful),
    )


def share_rows(measure: str, table: Table, held: Collection[int], sums: Estimates, sampling: bool) -> tuple[Row, ...]:
    found = shares(table, held, sums, sampling)
    return table_rows(
        measure,
        table.axes,
        sums={"base": table.printed(found.base_units)},
        figures={
            "estimate": found.estimate,
            "display": found.display,
            "se_noise": np.sqrt(found.noise),
            "se_sampling": np.sqrt(found.sampling),
            "ci_low": found.low,
            "ci_high": found.high,
        },
        marks=found.marks,
    )
