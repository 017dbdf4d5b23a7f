"""Finished sums, as `finalize` sees them: official tables that agree with each other, and the noise that is still in them.

A *family* is every table of one measure over one cohort. Its noise is known exactly: the table on axes B is a sum of independent parts,
one for each set of axes A inside B, and part A has variance V_A within its own subspace (statistics.md, section 3):

    Cov(g'T, h'T) = sum over A in B of
        V_A * product over A of (g.h - (sum g)(sum h) / m) * product over B without A of (sum g)(sum h) / m^2

for contrasts g, h that are products over the axes, m being the positions of an axis. In exact mode every V_A is 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols import entropy
from protocols.statistics.layout import Amount, Axis, Block, Blocks, Choice, Measure

PLACES: Final = 6  # a count is official to 10^-6: far below any noise, and exact in decimal arithmetic
QUANTA: Final = 10**PLACES

Units: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
AxisSet: TypeAlias = frozenset[str]
Part: TypeAlias = int | slice
Box: TypeAlias = tuple[Part, ...]
FamilyKey: TypeAlias = tuple[Measure, tuple[Amount, ...] | Choice]

ALL: Final = slice(None)
KNOWN: Final = slice(None, -1)  # the positions of an axis that stand for known values


def subsets(axes: AxisSet) -> tuple[AxisSet, ...]:
    """Every set of axes inside one, itself and the empty one too, by size, then name."""
    names = sorted(axes)
    return tuple(frozenset(chosen) for size in range(len(names) + 1) for chosen in combinations(names, size))


@dataclass(frozen=True)
class Table:
    """One official table. `units`: whole quanta of 10^-6, one dimension per axis. `noise`: V_A for every A inside its axes.

    A *box* names, per axis, one position or several (`KNOWN`, `ALL`, any slice); its sum is the sum over their product.
    """

    axes: tuple[Axis, ...]
    units: Units
    noise: Mapping[AxisSet, float]

    @property
    def exact(self) -> bool:
        return not any(self.noise.values())

    @property
    def values(self) -> Floats:
        return self.units / QUANTA

    @property
    def known(self) -> tuple[slice, ...]:
        """The box of all holders whose place on every axis is known."""
        return (KNOWN,) * len(self.axes)

    def ordered(self, names: tuple[str, ...]) -> "Table":
        """The same table with its axes in a question's order."""
        at = [axis.name for axis in self.axes]
        order = [at.index(name) for name in names]
        return Table(tuple(self.axes[number] for number in order), np.transpose(self.units, order), self.noise)

    def printed(self, units: Units) -> npt.NDArray[Any]:
        """Sums of quanta as they are printed: whole numbers in exact mode, else the decimals of the quantum and no more."""
        return units // QUANTA if self.exact else units / QUANTA

    def covariance(self, *boxes: Box) -> Floats:
        """Noise covariance of the sums of k boxes, k x k. Which code stands where makes no difference to noise, only how boxes overlap."""
        inside = [self._overlaps(number, [box[number] for box in boxes]) for number in range(len(self.axes))]
        total = np.zeros((len(boxes), len(boxes)))
        for chosen in subsets(frozenset(axis.name for axis in self.axes)):
            parts = [
                centred if axis.name in chosen else spread
                for axis, (centred, spread) in zip(self.axes, inside, strict=True)
            ]
            total += self.noise[chosen] * prod(parts, start=np.ones_like(total))
        return total

    def _overlaps(self, number: int, parts: list[Part]) -> tuple[Floats, Floats]:
        """|S and T| - |S||T|/m and |S||T|/m^2 for every pair of parts of one axis."""
        size = self.axes[number].size
        rows = np.zeros((len(parts), size))
        for row, part in zip(rows, parts, strict=True):
            row[part] = 1.0
        both = np.outer(rows.sum(axis=1), rows.sum(axis=1)) / size
        return rows @ rows.T - both, both / size

    @cached_property
    def sd(self) -> float:
        """Standard deviation of the noise in one cell; the same in all."""
        return float(np.sqrt(self.covariance((0,) * len(self.axes))[0, 0]))

    def draws(self, generator: Any, number: int) -> Floats:
        """`number` draws of normal noise with this table's covariance: number x shape. `generator`: from `entropy.public_stream`.

        Each part is drawn in its own subspace: white noise on A, centred along every axis of A, spread evenly over the others.
        """
        total = np.zeros((number, *self.units.shape))
        for chosen in subsets(frozenset(axis.name for axis in self.axes)):
            shape = [axis.size if axis.name in chosen else 1 for axis in self.axes]
            part = generator.standard_normal((number, *shape)) * np.sqrt(self.noise[chosen])
            for at, axis in enumerate(self.axes, 1):
                if axis.name in chosen:
                    part -= part.mean(axis=at, keepdims=True)
                else:
                    part /= axis.size
            total += part
        return total


@dataclass(frozen=True)
class Family:
    """Tables of one measure over one cohort: every margin of every measured block.

    `units` and `noise` are keyed by axis names; a table's dimensions ascend by name.
    """

    axes: Mapping[str, Axis]
    units: Mapping[AxisSet, Units]
    noise: Mapping[AxisSet, float]

    def table(self, names: AxisSet) -> Table:
        inside = {chosen: self.noise[chosen] for chosen in subsets(names)}
        return Table(tuple(self.axes[name] for name in sorted(names)), self.units[names], inside)


Families: TypeAlias = Mapping[FamilyKey, Family]


def family_of(block: Block) -> FamilyKey:
    return block.measure, block.of


@dataclass(frozen=True)
class Estimates:
    """What one question is finalized from: its tables, by the names that it gave to its blocks.

    `min_cell`: counts below it are of low reliability in dp mode (policy `dp.min_cell`, the largest of the cities in the sum).
    """

    tables: Mapping[str, Table]
    confidence: float
    min_cell: int
    study: str
    question: str

    @classmethod
    def of(
        cls, families: Families, blocks: Blocks, *, study: str, question: str, confidence: float, min_cell: int
    ) -> "Estimates":
        """The tables of a question's blocks. `study`: its digest; `question`: its id: they name the public stream of draws."""
        tables = {
            name: families[family_of(block)].table(frozenset(axis.name for axis in block.axes))
            for name, block in blocks.items()
        }
        return cls(tables, confidence, min_cell, study, question)

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    @cached_property
    def z(self) -> float:
        """The normal quantile of `confidence`, two-sided."""
        from scipy.special import ndtri

        return float(ndtri((1 + self.confidence) / 2))

    def least(self, table: Table) -> int:
        """The count below which one of this table is of low reliability, whatever its noise."""
        return 0 if table.exact else self.min_cell

    def stream(self, label: str) -> Any:
        """Public, reproducible draws for one purpose (statistics.md R8); they share nothing with any noise."""
        return entropy.public_stream(self.study, self.question, label)
