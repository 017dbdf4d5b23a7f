"""One least squares over all released sums of a study, in closed form (statistics.md, section 3).

Every number that two tables share becomes the same number, and cells add up to margins to the last digit. Tables of one measure over
one cohort form a family. The space of a table on axes B splits into one part per set of axes A inside B: what remains of the margin on
A after centring along each of its axes. Measured blocks speak about these parts independently, so that weighted least squares is one
inverse-variance mean per part:

    1. sum each measured block M down to A; the sum's cells have variance w = V_M * product of the sizes of M without A
    2. part A = the inverse-variance mean of these margins over all M that hold A, centred along each axis of A;  V_A = 1 / sum(1/w)
    3. the table on B = sum over A in B of part A, spread evenly over the other axes
    4. corner cells (never the last position of an axis) are rounded to the quantum; all others follow by whole-number subtraction
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np

from protocols.errors import PeerError
from protocols.statistics.estimates import (
    KNOWN,
    QUANTA,
    AxisSet,
    Box,
    Families,
    Family,
    FamilyKey,
    Floats,
    Units,
    family_of,
    subsets,
)
from protocols.statistics.layout import Axis, Block, Layout, Measure
from protocols.statistics.measures import Vector

LARGEST_SUM: Final = 1 << 42  # cells of a block, in absolute value and together: quanta of 10^-6 then fit int64


@dataclass(frozen=True)
class Measured:
    """One block as it was summed. `cells`: one dimension per axis, axes ascending by name. `variance`: of the noise in each cell."""

    block: Block
    cells: Vector
    variance: float

    @property
    def names(self) -> AxisSet:
        return frozenset(axis.name for axis in self.block.axes)

    def margin(self, kept: AxisSet) -> Vector:
        over = tuple(number for number, axis in enumerate(self.block.axes) if axis.name not in kept)
        return np.asarray(self.cells.sum(axis=over), dtype=np.int64)

    def margin_variance(self, kept: AxisSet) -> float:
        return self.variance * prod(axis.size for axis in self.block.axes if axis.name not in kept)


def reconcile(layout: Layout, summed: Vector, variances: Sequence[Fraction | float]) -> Families:
    """Official tables from the sum over cities. `variances`: of the noise in each cell of each block; all 0 in exact mode.

    Pre-condition: blocks of weight 1 whose cells add up to margins, so none of yes-no.
    Errors: `PeerError SUM_LENGTH | SUM_VARIANCE | SUM_BOUND | SUM_MARGINS`; no table is made then.
    """
    groups: dict[FamilyKey, list[Measured]] = {}
    for measured in _measured(layout, summed, variances):
        groups.setdefault(family_of(measured.block), []).append(measured)
    return {key: _family(group) for key, group in groups.items()}


def _measured(layout: Layout, summed: Vector, variances: Sequence[Fraction | float]) -> list[Measured]:
    if summed.shape != (layout.length,):
        raise PeerError("SUM_LENGTH", cells=summed.size, expected=layout.length)
    noise = [float(variance) for variance in variances]
    noised = [variance > 0 for variance in noise]
    if len(noise) != len(layout.blocks) or not all(np.isfinite(noise)) or min(noise) < 0 or any(noised) != all(noised):
        raise PeerError("SUM_VARIANCE", blocks=len(layout.blocks), given=len(noise))
    found = []
    for block, offset, variance in zip(layout.blocks, layout.offsets, noise, strict=True):
        if block.measure is Measure.YES_NO or block.weight != 1:
            raise ValueError(f"{block.name}: its cells are not plain sums that add up to margins")
        cells = summed[offset : offset + block.cells]
        if np.abs(cells.astype(np.float64)).sum() > LARGEST_SUM:
            raise PeerError("SUM_BOUND", block=block.name, limit=LARGEST_SUM)
        found.append(Measured(block, cells.reshape(block.shape), variance))
    return found


def _family(measured: Sequence[Measured]) -> Family:
    axes = {axis.name: axis for each in measured for axis in each.block.axes}
    closure = sorted(
        {part for each in measured for part in subsets(each.names)}, key=lambda part: (len(part), sorted(part))
    )
    if not any(each.variance for each in measured):
        units = {part: _agreed(part, measured) * QUANTA for part in closure}
        return Family(axes, units, dict.fromkeys(closure, 0.0))
    parts: dict[AxisSet, Floats] = {}
    noise: dict[AxisSet, float] = {}
    for part in closure:
        holding = [each for each in measured if part <= each.names]
        weights = [1 / each.margin_variance(part) for each in holding]
        noise[part] = 1 / sum(weights)
        margins = sum(weight * each.margin(part) for weight, each in zip(weights, holding, strict=True))
        parts[part] = _centred(np.asarray(margins, dtype=np.float64) * noise[part])
    settled: dict[AxisSet, Units] = {}
    for part in closure:
        shape = tuple(axes[name] for name in sorted(part))
        settled[part] = _last_digit(shape, _recombined(shape, parts), settled)
    return Family(axes, settled, noise)


def _agreed(part: AxisSet, measured: Sequence[Measured]) -> Vector:
    """Exact mode: the margin that every block holding it gives, in whole numbers. A difference is a bug, or a city that cheats."""
    margins = [(each.block.name, each.margin(part)) for each in measured if part <= each.names]
    name, first = margins[0]
    for other, margin in margins[1:]:
        if not np.array_equal(first, margin):
            raise PeerError("SUM_MARGINS", block=name, other=other)
    return first


def _centred(table: Floats) -> Floats:
    for at in range(table.ndim):
        table = table - table.mean(axis=at, keepdims=True)
    return table


def _recombined(axes: tuple[Axis, ...], parts: dict[AxisSet, Floats]) -> Floats:
    """The table on `axes` from its parts."""
    total = np.zeros(tuple(axis.size for axis in axes))
    for chosen in subsets(frozenset(axis.name for axis in axes)):
        shape = [axis.size if axis.name in chosen else 1 for axis in axes]
        total += parts[chosen].reshape(shape) / prod(axis.size for axis in axes if axis.name not in chosen)
    return total


def _last_digit(axes: tuple[Axis, ...], table: Floats, settled: dict[AxisSet, Units]) -> Units:
    """Whole quanta that add up to the margins settled before. Rounding moves a cell by at most cells * quantum / 2."""
    units: Units = np.zeros(table.shape, dtype=np.int64)
    corner = (KNOWN,) * len(axes)
    units[corner] = np.rint(table[corner] * QUANTA).astype(np.int64)
    names = frozenset(axis.name for axis in axes)
    for at, axis in enumerate(axes):
        before, after = (slice(None),) * at, corner[at + 1 :]
        last: Box = (*before, -1, *after)
        others: Box = (*before, KNOWN, *after)
        units[last] = settled[names - {axis.name}][(*before, *after)] - units[others].sum(axis=at)
    return units
