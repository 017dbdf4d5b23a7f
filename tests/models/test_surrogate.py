"""Centres from tables of pairs: the least squares, the tree, the points and their weights, each beside another way to the same."""

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree

from protocols import entropy
from protocols.models.surrogate import POINTS, agreeing, cloud, drawn, information, spanning, weighed
from tests.models.clustered import mixture

sizes = st.lists(st.integers(2, 4), min_size=2, max_size=4)


def tables_of(shape: list[int], seed: int, low: int = -5) -> dict[tuple[int, int], Any]:
    draw = entropy.public_stream("tables", str(seed), str(shape))
    return {
        (i, j): draw.integers(low, 60, (shape[i], shape[j])).astype(float)
        for i, j in combinations(range(len(shape)), 2)
    }


def pooled(points: Any) -> dict[tuple[int, int], Any]:
    """Tables of 8 x 8 cells over [-1, 1]."""
    cells = np.clip(((points + 1) * 4).astype(int), 0, 7)
    found = {}
    for i, j in combinations(range(points.shape[1]), 2):
        found[i, j] = np.bincount(cells[:, i] * 8 + cells[:, j], minlength=64).reshape(8, 8).astype(float)
    return found


EIGHTHS = (np.arange(8) / 4 - 1, np.arange(1, 9) / 4 - 1)


@given(sizes, st.integers(0, 1000))
@settings(max_examples=40)
def test_tables_of_pairs_agree_as_dense_least_squares_has_them(shape: list[int], seed: int) -> None:
    tables = tables_of(shape, seed)
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    rows = []
    for i, j in tables:
        for a, b in np.ndindex(shape[i], shape[j]):
            inside = np.take(np.take(whole, [a], axis=i), [b], axis=j).ravel()
            rows.append(np.isin(np.arange(whole.size), inside).astype(float))
    design, measured = np.array(rows), np.concatenate([each.ravel() for each in tables.values()])
    fitted = design @ np.linalg.lstsq(design, measured, rcond=None)[0]
    found = np.concatenate([each.ravel() for each in agreeing(tables).values()])
    assert np.abs(found - fitted).max() < 1e-9


@given(sizes, st.integers(0, 1000))
@settings(max_examples=40)
def test_the_tree_is_a_spanning_tree_of_most_information(shape: list[int], seed: int) -> None:
    tables = tables_of(shape, seed, low=0)
    size, tree = len(shape), spanning(tables)
    told = np.zeros((size, size))
    for (i, j), each in tables.items():
        told[i, j] = 10 - information(each)
    lightest = minimum_spanning_tree(told).toarray()
    assert len(tree) == size - 1
    assert sum(10 - information(tables[min(each), max(each)]) for each in tree) - lightest.sum() < 1e-9
    reached = {0}
    for parent, child in tree:
        assert parent in reached
        assert child not in reached
        reached.add(child)


def test_information_is_that_of_its_definition() -> None:
    assert information(np.outer([1.0, 3.0], [2.0, 5.0])) == 0 or abs(information(np.outer([1, 3], [2, 5]))) < 1e-12
    assert abs(information(np.eye(4)) - np.log(4)) < 1e-12
    assert information(np.zeros((2, 2))) == 0


def test_weighted_points_have_every_table_of_pairs_and_not_only_those_of_the_tree() -> None:
    """Six clusters apart from each other: along the tree they are joined, and the weights tell them apart again."""
    tables = pooled(mixture(3, 26_606))
    cells = drawn(tables, POINTS, entropy.public_stream("points", "", ""))
    weights = weighed(cells, tables)

    def apart(by: Any) -> float:
        """The largest distance in variation of a table from that of the points."""
        far = []
        for (i, j), each in tables.items():
            have = np.bincount(cells[:, i] * 8 + cells[:, j], by, 64)
            far.append(np.abs(have - each.ravel() / each.sum()).sum() / 2)
        return float(max(far))

    assert apart(np.full(POINTS, 1 / POINTS)) > 0.15
    assert apart(weights) < 0.02
    assert abs(weights.sum() - 1) < 1e-9


def test_the_same_draws_give_the_same_centres_and_tables_of_nobody_some() -> None:
    nobody = {pair: np.zeros((8, 8)) for pair in combinations(range(3), 2)}
    for tables in (pooled(mixture(1, 2_000, 3, 3)), nobody):
        both = []
        for _ in range(2):
            stream = entropy.public_stream("same", "", "")
            both.append(cloud(tables, [EIGHTHS] * 3, stream).centres(3, stream))
        assert np.array_equal(both[0], both[1])
        assert (np.abs(both[0]) <= 1).all()
