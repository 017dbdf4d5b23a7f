"""Least squares over the levels of a tree, in closed form.

Level l counts holders at b^l nodes. How the children of a node differ from their mean is measured by level k, where the children stand,
and by every level below, summed up to it: with variance V_l b^(l-k) in each child. So

    1. differences of siblings at level k = the inverse-variance mean of these sums over all l >= k, centred;  W_k = 1 / sum(1 / variance)
    2. a node at level k = its parent / b + its difference; level 0 is the group's official number of holders with a known value

Numbers of holders are thus those of every other table of the study. Nodes themselves are printed nowhere; what is read from them is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from protocols.errors import PeerError
from protocols.statistics.estimates import QUANTA, AxisSet, Family, Floats, Units
from protocols.statistics.layout import KNOWN as KNOWN_OF
from protocols.statistics.layout import Axis, Block, coarser_nodes
from protocols.statistics.measures import Vector
from protocols.statistics.nested import TreeTable, level
from protocols.statistics.tree import Tree


class Counted(Protocol):
    """One block as it was summed (`consistency.Measured`)."""

    @property
    def block(self) -> Block: ...
    @property
    def cells(self) -> Vector: ...
    @property
    def variance(self) -> float: ...


@dataclass(frozen=True)
class Grown:
    """A fitted tree. `leaves`: groups x leaves, known values alone. `spread`: W_1 .. W_H; all 0 in mode exact."""

    tree: Tree
    axes: tuple[Axis, ...]
    leaves: Floats
    spread: tuple[float, ...]

    @classmethod
    def of(cls, measured: Sequence[Counted], counts: Family) -> "Grown":
        """Errors: `PeerError SUM_MARGINS` where sums without noise do not agree."""
        tree, axes = _tree(measured)
        held = _held(tree, axes, counts)[..., 0] / QUANTA
        sums = [(number, _nodes(each), each) for each in measured for number in [_level(each)]]
        if not any(each.variance for each in measured):
            return cls(tree, axes, _agreed(sums, held, tree), (0.0,) * tree.height)
        nodes, spread = held[..., None], []
        for number in range(1, tree.height + 1):
            known, precision = np.zeros((*held.shape, tree.nodes(number))), 0.0
            for below, cells, each in sums:
                if below >= number:
                    parts = tree.nodes(below) // tree.nodes(number)
                    weight = 1 / (each.variance * parts)
                    known += weight * cells.reshape(*held.shape, tree.nodes(number), parts).sum(axis=-1)
                    precision += weight
            siblings = (known / precision).reshape(*nodes.shape, tree.branching)
            siblings = siblings - siblings.mean(axis=-1, keepdims=True) + nodes[..., None] / tree.branching
            nodes = siblings.reshape(*held.shape, tree.nodes(number))
            spread.append(1 / precision)
        return cls(tree, axes, nodes, tuple(spread))

    def family(self, counts: Family) -> Family:
        """Tables of all levels, in whole quanta that add up to the official numbers of holders."""
        held = _held(self.tree, self.axes, counts)
        upto = np.rint(np.cumsum(self.leaves, axis=-1) * QUANTA).astype(np.int64)
        upto[..., -1] = held[..., 0]
        leaves = np.concatenate([np.diff(upto, axis=-1, prepend=0), held[..., 1:]], axis=-1)
        units, noise = dict[AxisSet, Units](), dict[AxisSet, Mapping[AxisSet, Floats]]()
        axes = {axis.name: axis for axis in self.axes}
        by = [axis for axis in self.axes if axis.tree is None]
        for nodes in (axis for axis in self.axes if axis.tree is not None):
            names = sorted([*(axis.name for axis in by), nodes.name])
            table = coarser_nodes(leaves, leaves.ndim - 1, self.tree.nodes(nodes.level))
            units[frozenset(names)] = np.moveaxis(table, -1, names.index(nodes.name))
            noise[frozenset(names)] = {
                level(number): np.array(self.spread[number - 1]) for number in range(1, nodes.level + 1)
            }
        return Family(axes, units, noise, kind=TreeTable)


def linked(whole: Grown, cities: Mapping[int, Grown]) -> dict[int, Grown]:
    """Trees of all cities in the sum, each told what the sum knows beyond them: C + (T - S) / K, as `consistency` does for tables."""
    if not cities:
        return {}
    number = len(cities)
    lacking = (whole.leaves - np.sum([each.leaves for each in cities.values()], axis=0)) / number
    return {
        city: Grown(
            each.tree,
            each.axes,
            each.leaves + lacking,
            tuple(
                own * (1 - 1 / number) + of_sum / number**2
                for own, of_sum in zip(each.spread, whole.spread, strict=True)
            ),
        )
        for city, each in cities.items()
    }


def _tree(measured: Sequence[Counted]) -> tuple[Tree, tuple[Axis, ...]]:
    """The tree of some blocks, and all their axes: those it is split by, then its levels."""
    axes = dict.fromkeys(axis for each in measured for axis in each.block.axes)
    nodes = sorted((axis for axis in axes if axis.tree is not None), key=lambda axis: axis.level)
    trees = {axis.tree for axis in nodes if axis.tree is not None}
    (tree,) = trees
    return tree, (*(axis for axis in axes if axis.tree is None), *nodes)


def _level(of: Counted) -> int:
    return next(axis.level for axis in of.block.axes if axis.tree is not None)


def _nodes(of: Counted) -> Vector:
    """Groups x nodes, without those whose value is not known."""
    at = [axis.tree is not None for axis in of.block.axes].index(True)
    return np.asarray(np.moveaxis(of.cells, at, -1)[..., :-1])


def _held(tree: Tree, axes: Sequence[Axis], counts: Family) -> Units:
    """Official numbers of holders: groups x (known, `_missing`), in quanta."""
    known = f"{KNOWN_OF}({tree.variable})"
    names = sorted([known, *(axis.name for axis in axes if axis.tree is None)])
    return np.moveaxis(counts.units[frozenset(names)], names.index(known), -1)


def _agreed(sums: Sequence[tuple[int, Vector, Counted]], held: Floats, tree: Tree) -> Floats:
    finest = max(sums, key=lambda each: each[0])
    for number, cells, each in sums:
        parts = tree.nodes(finest[0]) // tree.nodes(number)
        if not np.array_equal(finest[1].reshape(*cells.shape, parts).sum(axis=-1), cells):
            raise PeerError("SUM_MARGINS", block=finest[2].block.name, other=each.block.name)
    if not np.array_equal(finest[1].sum(axis=-1), held):
        raise PeerError("SUM_MARGINS", block=finest[2].block.name, other=f"{KNOWN_OF}({tree.variable})")
    return finest[1].astype(np.float64)
