"""Axes that look at one variable at several resolutions, brought to their finest common parts.

An axis alone of its root is an ordinary one. Two or more of one root (single years and bands of age; bins of an amount and whether it is
known) share a *dimension*: the root, whose positions are the finest parts, *atoms*, that any of them tells apart. A table on such axes is
a sum of atoms, so that numbers which two of them share are one number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.statistics.layout import Axis, Block, Layout
from protocols.statistics.levels import atoms

MOST_UNKNOWNS: Final = 2_000  # of one dense solve
Dims: TypeAlias = frozenset[str]


@dataclass(frozen=True)
class Resolution:
    """`parts`: of each shared root, the position of every atom on each of its axes, by name; `_missing` last."""

    axes: Mapping[str, Axis]
    parts: Mapping[str, Mapping[str, npt.NDArray[np.int64]]]

    @classmethod
    def of(cls, layout: Layout) -> "Resolution":
        axes = {axis.name: axis for block in layout.blocks for axis in block.axes}
        roots: dict[str, list[Axis]] = {}
        for axis in axes.values():
            if axis.levels is not None:
                roots.setdefault(axis.levels.root, []).append(axis)
        parts = {}
        for root, sharing in roots.items():
            if len(sharing) > 1:
                found = np.array(atoms([(axis.levels, axis.size) for axis in sharing if axis.levels is not None]))
                parts[root] = {axis.name: found[:, number] for number, axis in enumerate(sharing)}
        return cls(axes, parts)

    def dim(self, axis: str) -> str:
        """The dimension that an axis is cut from: its shared root, else itself."""
        if axis not in self.axes:
            return axis  # a dimension already
        levels = self.axes[axis].levels
        return axis if levels is None or levels.root not in self.parts else levels.root

    def dims(self, axes: Iterable[str]) -> Dims:
        return frozenset(self.dim(axis) for axis in axes)

    def size(self, dim: str) -> int:
        return len(next(iter(self.parts[dim].values()))) if dim in self.parts else self.axes[dim].size

    def shared(self, names: Iterable[str]) -> tuple[str, ...]:
        """Of axes or dimensions, the shared ones, ascending."""
        return tuple(sorted(name for name in names if name in self.parts or self.dim(name) in self.parts))

    def places(self, axes: Sequence[str], dims: Sequence[str]) -> npt.NDArray[np.int64]:
        """The cell of the table on shared `axes` in which each combination of atoms of `dims` stands; both row-major.

        Pre-condition: every axis is cut from one of the dimensions.
        """
        shape = tuple(self.size(dim) for dim in dims)
        found = np.zeros(shape, dtype=np.int64)
        for axis in axes:
            at = dims.index(self.dim(axis))
            along = [1] * len(dims)
            along[at] = shape[at]
            found = found * self.axes[axis].size + self.parts[dims[at]][axis].reshape(along)
        return found.ravel()

    def finer(self, axis: str, among: Iterable[str]) -> tuple[str, npt.NDArray[np.int64]] | None:
        """An axis among others that tells at least as much as `axis`, and where its positions stand on `axis`; None if there is none."""
        for other in sorted(among):
            if other == axis:
                return other, np.arange(self.axes[axis].size)
            dim = self.dim(axis)
            if dim in self.parts and self.dim(other) == dim:
                to = np.full(self.axes[other].size, self.axes[axis].size - 1)
                fine, coarse = self.parts[dim][other], self.parts[dim][axis]
                to[fine] = coarse
                if np.array_equal(to[fine], coarse):
                    return other, to
        return None

    def largest(self, blocks: Sequence[Block]) -> tuple[str, int] | None:
        """What no solve may be: the variables and the unknowns of a family beyond MOST_UNKNOWNS; None if there is none."""
        families: dict[object, list[Block]] = {}
        for block in blocks:
            families.setdefault((block.measure, block.of, block.over, block.cohort), []).append(block)
        for family in families.values():
            if (unknowns := self.unknowns(family)) > MOST_UNKNOWNS:
                axes = {axis.name for block in family for axis in block.axes}
                return ", ".join(self.shared(self.dims(axes))), unknowns
        return None

    def unknowns(self, blocks: Iterable[Block]) -> int:
        """Of the largest solve over blocks of one family: contrasts of atoms of every set of shared dimensions that one of them has."""
        sets = {frozenset(self.shared(self.dims(axis.name for axis in block.axes))) for block in blocks}
        inside = {frozenset(chosen) for found in sets for chosen in _subsets(sorted(found))}
        return sum(prod(self.size(dim) - 1 for dim in each) for each in inside)


def _subsets(names: Sequence[str]) -> Iterable[tuple[str, ...]]:
    for chosen in product((False, True), repeat=len(names)):
        yield tuple(name for name, taken in zip(names, chosen, strict=True) if taken)
