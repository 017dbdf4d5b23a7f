"""Levels of a tree, fitted in closed form, against one dense least squares with the whole design."""

from typing import Any, Final

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.consistency import reconcile, reconcile_cities
from protocols import entropy
from protocols.statistics.estimates import COUNTS, QUANTA, Families
from protocols.statistics.layout import NOTHING, Block, Layout, count
from protocols.statistics.nested import TreeTable
from protocols.statistics.tree import tree
from tests.laws.generated import DOMAIN, crowds, encoded

FOUR: Final = tree("months_paying", "linear", 1024, (0, 36), 1)
SIXTEEN: Final = tree("months_paying", "linear", 4096, (0, 36), 1)
variances: Final = st.lists(st.sampled_from((4.0, 9.0, 50.0, 700.0)), min_size=8, max_size=8)


def blocks(of: Any, levels: list[int], by: tuple[str, ...]) -> list[Block]:
    axes = [DOMAIN.axis(name) for name in by]
    known = count([DOMAIN.known("months_paying"), *axes])
    return [known, *(count([DOMAIN.nodes(of, level), *axes]) for level in levels)]


def fitted(families: Families, of: Any, by: tuple[str, ...]) -> TreeTable:
    (family,) = (family for family in families.values() if family.kind is TreeTable)
    found = family.table(frozenset({DOMAIN.nodes(of, of.height).name, *by}))
    assert isinstance(found, TreeTable)
    return found


@settings(max_examples=25)  # each has a pseudo-inverse of up to 600 x 256
@given(st.sampled_from((FOUR, SIXTEEN)), variances, st.integers(0, 10**6))
def test_a_tree_is_the_dense_least_squares_with_its_total_held(of: Any, noise: list[float], seed: int) -> None:
    """Estimates, and the variance of what is counted up to every edge. Two blocks may measure one level, as cities and their sum do."""
    draw: Any = entropy.public_stream("law", str(seed), "tree")
    measured = blocks(of, list(range(1, of.height + 1)), ())
    layout = Layout(tuple(measured))
    vector = np.rint(draw.normal(100, 30, layout.length)).astype(np.int64)
    given_ = noise[: len(measured)]
    families = reconcile(layout, vector, given_)
    table = fitted(families, of, ())
    held = families[COUNTS].units[frozenset({"known(months_paying)"})][0] / QUANTA
    rows, values, weights = [], [], []
    for block, variance in zip(measured[1:], given_[1:], strict=True):
        nodes = block.cells - 1
        rows.append(np.kron(np.eye(nodes), np.ones(of.leaves // nodes)))
        values.append(vector[layout.span(block)][:-1])
        weights.append(np.full(nodes, variance**-0.5))
    design, scale = np.concatenate(rows), np.concatenate(weights)[:, None]
    null = np.linalg.svd(np.ones((1, of.leaves)))[2][1:].T  # leaves that add up to nothing
    start = np.full(of.leaves, held / of.leaves)
    inverse = np.linalg.pinv(scale * (design @ null))
    leaves = start + null @ (inverse @ (scale[:, 0] * (np.concatenate(values) - design @ start)))
    assert np.allclose(table.values[:-1], leaves, atol=2e-6)
    covariance = null @ inverse @ inverse.T @ null.T
    upto = np.tril(np.ones((of.leaves, of.leaves)))
    expected = np.concatenate([[0], np.diag(upto @ covariance @ upto.T)])
    assert np.allclose(table.before(), expected, rtol=1e-9, atol=1e-8)


@settings(max_examples=60)
@given(crowds, st.sampled_from((("owner",), ("sex", "owner"), ())))
def test_without_noise_a_tree_is_what_was_counted(crowd: list[Any], by: tuple[str, ...]) -> None:
    layout = Layout(tuple(blocks(FOUR, [1, 2, 3], by)))
    vector = encoded(layout, crowd)
    table = fitted(reconcile(layout, vector, [0] * len(layout.blocks)), FOUR, by)
    leaf = layout.blocks[-1]
    assert np.array_equal(table.units, vector[layout.span(leaf)].reshape(leaf.shape) * QUANTA)
    assert table.exact


def test_trees_of_cities_add_up_to_that_of_the_sum() -> None:
    """Released both ways, leaves of three cities are those of the sum, up to the last digit; and each knows more than alone."""
    draw: Any = entropy.public_stream("law", "cities", "tree")
    layout = Layout(tuple(blocks(FOUR, [1, 2, 3], ("owner",))))
    answers = {city: np.rint(draw.normal(50, 10, layout.length)).astype(np.int64) for city in (1, 2, 3)}
    total = np.rint(np.sum([*answers.values()], axis=0) + draw.normal(0, 30, layout.length)).astype(np.int64)
    noise, own = [900.0] * 4, [100.0] * 4
    found = reconcile_cities(layout, total, noise, layout, answers, own, (1, 2, 3))
    whole = fitted(found.pooled, FOUR, ("owner",))
    parts = [fitted(found.cities[city], FOUR, ("owner",)) for city in answers]
    assert np.abs(np.sum([part.units for part in parts], axis=0) - whole.units).max() <= len(parts)
    alone = reconcile_cities(NOTHING, total[:0], (), layout, answers, own, ())
    assert (parts[0].before()[1:-1] < fitted(alone.cities[1], FOUR, ("owner",)).before()[1:-1]).all()
