"""Where clusters may lie, from tables of pairs of variables alone: points that stand in for holders, and centres among them.

    tables of all pairs ──▶ least squares ──▶ none below 0 ──▶ a tree of the strongest pairs ──▶ points ──▶ weights ──▶ k centres

A tree of pairs (Chow, Liu 1968) gives points that are cheap to draw, and joins clusters that the pairs outside the tree tell apart: weights
put that right, so that the points agree with every pair of variables (iterative proportional fitting). Nothing here has seen a row, and all
of it is repeatable: the one stream of draws is public.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import log
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.statistics.intervals import simplex
from protocols.statistics.measures import nearest_of

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int64]
Generator: TypeAlias = Any  # of `entropy.public_stream`, handed in
Pair: TypeAlias = tuple[int, int]
Tables: TypeAlias = Mapping[Pair, Floats]  # of variables i < j: cells of i by cells of j

POINTS: Final = 20_000
RESTARTS: Final = 10
FITTED: Final = 20  # passes of the weights over all pairs
MOST_STEPS: Final = 40  # of one restart: what is left to move then is less than noise will move it
NONE: Final = 1e-9  # in place of an empty row of a table, from which nobody is drawn


def agreeing(tables: Tables) -> dict[Pair, Floats]:
    """Least squares over the tables of all pairs, each measured with the same variance: totals and margins that several tables tell are
    told alike. In closed form: the parts of a table that only it tells stay, the others are means weighted by what they are summed from."""
    sizes = _sizes(tables)
    size = {pair: sizes[pair[0]] * sizes[pair[1]] for pair in tables}
    total = _weighted([float(each.sum()) for each in tables.values()], list(size.values()))
    effects = {}
    for one, cells in enumerate(sizes):
        margins = [each.sum(axis=1 - pair.index(one)) for pair, each in tables.items() if one in pair]
        others = [size[pair] // cells for pair in tables if one in pair]
        margin = _weighted(margins, others)
        effects[one] = margin - margin.mean()
    return {
        (i, j): each
        - each.mean(axis=0, keepdims=True)
        - each.mean(axis=1, keepdims=True)
        + each.mean()
        + total / size[i, j]
        + effects[i][:, None] / sizes[j]
        + effects[j][None, :] / sizes[i]
        for (i, j), each in tables.items()
    }


def _weighted(values: Sequence[Floats | float], variances: Sequence[int]) -> Floats:
    """The mean by inverse variance."""
    weights = 1 / np.array(variances, dtype=np.float64)
    return np.asarray(np.tensordot(weights / weights.sum(), np.array(values), 1))


def _sizes(tables: Tables) -> list[int]:
    """Cells of each variable."""
    found = {}
    for (i, j), each in tables.items():
        found[i], found[j] = each.shape
    return [found[at] for at in range(len(found))]


def information(table: Floats) -> float:
    """Mutual information, in nats. Pre-condition: no cell below 0; nothing is told by an empty table."""
    whole = float(table.sum())
    if whole <= 0:
        return 0.0
    p = table / whole
    apart = np.outer(p.sum(axis=1), p.sum(axis=0))
    held = p > 0
    return float((p[held] * np.log(p[held] / apart[held])).sum())


def spanning(tables: Tables) -> tuple[Pair, ...]:
    """The tree over all variables whose pairs tell most of each other (Kruskal); of equal ones the first. Parents come before children,
    from the first variable on: (parent, child)."""
    group = list(range(len(_sizes(tables))))
    joined = []
    for pair in sorted(tables, key=lambda each: (-information(tables[each]), each)):
        first, second = (group[at] for at in pair)
        if first != second:
            joined.append(pair)
            group = [first if each == second else each for each in group]
    reached, tree = {0}, list[Pair]()
    while len(tree) < len(joined):
        for i, j in joined:
            if (i in reached) != (j in reached):
                parent, child = (i, j) if i in reached else (j, i)
                tree.append((parent, child))
                reached.add(child)
    return tuple(tree)


def drawn(tables: Tables, number: int, stream: Generator) -> Places:
    """Cells of points drawn along the tree: points x variables. Tables without cells below 0."""
    tree, sizes = spanning(tables), _sizes(tables)
    cells = np.zeros((number, len(sizes)), dtype=np.int64)
    margin = next(each for pair, each in tables.items() if pair[0] == 0).sum(axis=1)
    cells[:, 0] = _chosen(np.broadcast_to(margin, (1, sizes[0])), np.zeros(number, dtype=np.int64), stream)
    for parent, child in tree:
        table = tables[parent, child] if parent < child else tables[child, parent].T
        cells[:, child] = _chosen(table, cells[:, parent], stream)
    return cells


def _chosen(rows: Floats, at: Places, stream: Generator) -> Places:
    """A position for each point, by the weights in its row."""
    heights = np.cumsum(rows + NONE, axis=1)
    heights = heights / heights[:, -1:]
    place: Places = (stream.random(len(at))[:, None] >= heights[at]).sum(axis=1)
    return np.asarray(np.minimum(place, rows.shape[1] - 1))


def weighed(cells: Places, tables: Tables) -> Floats:
    """Weights with which the points have the tables of all pairs, as nearly as points where they lie can; sum 1."""
    weights = np.full(len(cells), 1 / len(cells))
    where = {(i, j): cells[:, i] * each.shape[1] + cells[:, j] for (i, j), each in tables.items()}
    for _ in range(FITTED):
        for pair, each in tables.items():
            have = np.bincount(where[pair], weights, each.size)
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.where(have > 0, each.ravel() / each.sum() / have, 0.0)
            changed = weights * factor[where[pair]]
            if changed.sum() > 0:  # noise may leave a table whose cells no point stands in
                weights = changed / changed.sum()
    return weights


@dataclass(frozen=True)
class Cloud:
    """Points in [-1, 1]^d and their weights; sum 1."""

    points: Floats
    weights: Floats

    @cached_property
    def columns(self) -> list[Floats]:
        """One array per coordinate."""
        return [np.ascontiguousarray(x) for x in self.points.T]

    def centres(self, clusters: int, stream: Generator) -> Floats:
        """The best of several restarts: k-means++ (Arthur, Vassilvitskii 2007), then Lloyd's steps until nothing moves."""
        found = [self.settled(self._spread(clusters, stream)) for _ in range(RESTARTS)]
        return min(found, key=self.inertia)

    def settled(self, centres: Floats) -> Floats:
        """Lloyd's steps from here."""
        before: Places = np.zeros(0, dtype=np.int64)
        for _ in range(MOST_STEPS):
            place, _ = nearest_of(self.columns, centres)
            if np.array_equal(place, before):
                break
            before = place
            held = np.bincount(place, self.weights, len(centres))
            sums = [np.bincount(place, self.weights * x, len(centres)) for x in self.columns]
            with np.errstate(divide="ignore", invalid="ignore"):
                centres = np.where(held[:, None] > 0, np.stack(sums, axis=1) / held[:, None], centres)
        return centres

    def inertia(self, centres: Floats) -> float:
        _, squares = nearest_of(self.columns, centres)
        return float((self.weights * squares).sum())

    def _spread(self, clusters: int, stream: Generator) -> Floats:
        """First centres far from each other: each the best of a few points, drawn by how far they are from those before."""
        chosen = [self._one(self.weights, stream)]
        _, squares = nearest_of(self.columns, self.points[chosen])
        while len(chosen) < clusters:
            tried = [self._one(self.weights * squares, stream) for _ in range(2 + int(log(clusters)))]
            left = [np.minimum(squares, nearest_of(self.columns, self.points[[each]])[1]) for each in tried]
            best = min(range(len(tried)), key=lambda at: float((self.weights * left[at]).sum()))
            chosen.append(tried[best])
            squares = left[best]
        return self.points[chosen]

    @staticmethod
    def _one(weights: Floats, stream: Generator) -> int:
        """A point by its weight; any where none has one."""
        heights = np.cumsum(weights)
        if not heights[-1] > 0:
            return int(stream.integers(len(weights)))
        return int(np.searchsorted(heights, stream.random() * heights[-1], side="right").clip(0, len(weights) - 1))


def cloud(tables: Tables, edges: Sequence[tuple[Floats, Floats]], stream: Generator) -> Cloud:
    """Points that stand in for the holders of whom these noised tables are. `edges`: of each variable, where its cells begin and end, both
    inside the cell; a point lies anywhere in its own."""
    pairs = {pair: simplex(each) for pair, each in agreeing(tables).items()}
    if any(each.sum() <= 0 for each in pairs.values()):  # of nobody, as far as one can tell
        pairs = {pair: np.ones_like(each) for pair, each in pairs.items()}
    cells = drawn(pairs, POINTS, stream)
    weights = weighed(cells, pairs)
    inside = stream.random(cells.shape)
    columns = [low[cells[:, at]] + inside[:, at] * (high - low)[cells[:, at]] for at, (low, high) in enumerate(edges)]
    return Cloud(np.stack(columns, axis=1), weights)


def pairs_of(variables: int) -> tuple[Pair, ...]:
    return tuple(combinations(range(variables), 2))
