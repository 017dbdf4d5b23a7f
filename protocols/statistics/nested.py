"""Official tables of a tree: how many holders stand in each node, with the exact variance of every number that is counted up to an edge.

What the levels say about a node's children splits into the node itself and how its children differ. Of the latter, level k says with
variance W_k. Counted up to edge i of L, less a part p of all holders N, which level 0 knows with variance V_0,

    Var(C_i - p N) = V_0 (i/L - p)^2 + sum over k of W_k |centred weights of the b children of the node at level k-1 that edge i cuts|^2

a child's weight being the part of it that lies below the edge.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocols.statistics.estimates import AxisSet, Box, Floats, Pattern, Table
from protocols.statistics.layout import Axis
from protocols.statistics.tree import Tree


def level(number: int) -> AxisSet:
    """What the noise of one level is called."""
    return frozenset((f"level {number}",))


@dataclass(frozen=True)
class TreeTable(Table):
    """The nodes of one level, by the axes that the tree is split by. `noise`: W_k of every level k down to this one, all groups alike.

    What a group sums to, and its noise, is known from the table of numbers of holders.
    """

    @property
    def nodes(self) -> Axis:
        return next(axis for axis in self.axes if axis.tree is not None)

    @property
    def tree(self) -> Tree:
        assert self.nodes.tree is not None  # noqa: S101 of the definition of `nodes`
        return self.nodes.tree

    def between(self, number: int) -> float:
        """W_k."""
        return float(self.noise[level(number)])

    def before(self) -> Floats:
        """Noise variance of C_i - (i/L) N for every edge i = 0..L of the leaves."""
        of = self.tree
        edges, total = np.arange(of.leaves + 1), np.zeros(of.leaves + 1)
        for number in range(1, self.nodes.level + 1):
            size = of.leaves // of.nodes(number)
            within = (edges % (of.branching * size)) / size
            full = np.floor(within)
            total += self.between(number) * (full + (within - full) ** 2 - within**2 / of.branching)
        return total

    @property
    def sd(self) -> Floats:
        """Of each node beside its part of the group's total."""
        of = self.tree
        spreads = (
            self.between(number) * (1 - 1 / of.branching) / (of.nodes(self.nodes.level) // of.nodes(number)) ** 2
            for number in range(1, self.nodes.level + 1)
        )
        return np.full((1,) * len(self.axes), np.sqrt(sum(spreads)))

    def draws(self, generator: Any, number: int) -> Floats:
        """`number` draws of the noise of all levels, totals apart: number x shape; none on `_missing`."""
        of, at = self.tree, [axis.tree is not None for axis in self.axes].index(True)
        groups = [axis.size for axis in self.axes if axis.tree is None]
        total = np.zeros((number, *groups, of.nodes(self.nodes.level)))
        for each in range(1, self.nodes.level + 1):
            part = generator.standard_normal((number, *groups, of.nodes(each - 1), of.branching))
            part = (part - part.mean(axis=-1, keepdims=True)) * np.sqrt(self.between(each))
            size = of.nodes(self.nodes.level) // of.nodes(each)
            total += np.repeat(part.reshape(number, *groups, of.nodes(each)) / size, size, axis=-1)
        whole = np.concatenate([total, np.zeros((number, *groups, 1))], axis=-1)
        return np.moveaxis(whole, -1, 1 + at)

    def covariance(self, *boxes: Box) -> Floats:  # noqa: ARG002 as of every table
        raise TypeError("a tree knows the noise of what is counted up to an edge")

    def covariances(self, *patterns: Pattern) -> Floats:  # noqa: ARG002 as of every table
        raise TypeError("a tree knows the noise of what is counted up to an edge")

    def spread(self, weights: Floats) -> Floats:  # noqa: ARG002 as of every table
        raise TypeError("a tree knows the noise of what is counted up to an edge")
