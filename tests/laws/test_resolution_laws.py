"""Laws of axes at several resolutions: bands, bins and known(x) of one variable agree, and least squares is what it claims to be."""

from itertools import product as combinations_of
from math import prod, sqrt
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.errors import PeerError
from protocols.statistics.estimates import ALL, KNOWN, OWN, QUANTA, Box, Family, Table
from protocols.statistics.layout import Axis, Layout, count
from protocols.statistics.levels import LOWEST, Levels, atoms
from protocols.statistics.measures import Vector
from protocols.statistics.resolution import MOST_UNKNOWNS, Resolution
from tests.laws.generated import DOMAIN

MANY: Final = settings(max_examples=200)
VALUES: Final = 6  # of each root, and `_missing`
ROOTS: Final = ("x", "y")


def cut(root: str, at: tuple[int, ...]) -> Axis:
    """An axis on which value v of the root stands at position at[v]; the last position is `_missing`, -1 is on it too."""
    size = max(max(at), 0) + 2
    positions = (*(f"p{place}" for place in range(size - 1)), "_missing")
    return Axis(f"{root}{''.join(map(str, at))}", positions, root, levels=Levels(root, (LOWEST, *range(1, VALUES)), at))


CUTS: Final = (
    (0, 1, 2, 3, 4, 5),
    (0, 0, 0, 1, 1, 1),
    (0, 0, 1, 1, 1, 2),
    (0, 0, 0, 0, 0, 0),
    (1, 0, 0, 1, 1, 0),
    (-1, 0, 0, 1, 1, -1),
)
PLAIN: Final = Axis("z", ("a", "b", "_missing"), "z")
AXES: Final = tuple(cut(root, at) for root in ROOTS for at in CUTS)


@st.composite
def workloads(draw: st.DrawFn) -> Layout:
    """Tables of counts over axes of two roots at several resolutions, and of one ordinary axis."""
    axes = st.lists(st.sampled_from((*AXES, PLAIN)), unique=True, max_size=3)
    chosen = draw(st.lists(axes, min_size=2, max_size=5).map(lambda lists: {count(each) for each in lists}))
    return Layout(tuple(sorted(chosen, key=lambda block: block.name)))


def world(layout: Layout) -> tuple[Any, dict[str, Any]]:
    """Every combination of a value of each root and of z, and where each stands on every axis."""
    sizes = (VALUES + 1, VALUES + 1, PLAIN.size)
    cells = np.array(list(combinations_of(*map(range, sizes))))
    places = {PLAIN.name: cells[:, 2]}
    for axis in {axis for block in layout.blocks for axis in block.axes} - {PLAIN}:
        assert axis.levels is not None
        to = np.array([place % axis.size for place in (*axis.levels.at, -1)])
        places[axis.name] = to[cells[:, ROOTS.index(axis.source)]]
    return cells, places


def design(layout: Layout) -> Any:
    """Every measured cell as a row over all combinations of values."""
    cells, places = world(layout)
    rows = []
    for block in layout.blocks:
        code = np.zeros(len(cells), dtype=np.int64)
        for axis in block.axes:
            code = code * axis.size + places[axis.name]
        rows.append(code == np.arange(block.cells)[:, None])
    return np.concatenate(rows).astype(float)


def noised(layout: Layout, variances: list[float], seed: int, holders: int = 500) -> Vector:
    generator = entropy.public_stream("laws", str(seed), "resolutions")
    rows = design(layout)
    truth = generator.multinomial(holders, np.full(rows.shape[1], 1 / rows.shape[1]))
    sd = np.sqrt(np.repeat(variances, [block.cells for block in layout.blocks]))
    return np.asarray(rows @ truth + np.rint(generator.normal(0, 1, len(rows)) * sd)).astype(np.int64)


def tables(layout: Layout, vector: Vector, variances: list[float]) -> tuple[Family, list[Table]]:
    (family,) = reconcile(layout, vector, variances).values()
    return family, [family.table(frozenset(axis.name for axis in block.axes)) for block in layout.blocks]


seeds: Final = st.integers(0, 10**6)
spreads: Final = st.lists(st.sampled_from((4.0, 11.5, 90.0, 4e3)), min_size=5, max_size=5)


@MANY
@given(workloads(), spreads, seeds)
def test_tables_are_those_of_dense_least_squares(layout: Layout, spread: list[float], seed: int) -> None:
    """And the covariance of their noise, cell by cell and of sums over boxes."""
    variances = spread[: len(layout.blocks)]
    vector = noised(layout, variances, seed)
    rows = design(layout)
    scale = np.sqrt(np.repeat(variances, [block.cells for block in layout.blocks]))[:, None]
    fine = rows @ np.linalg.lstsq(rows / scale, vector / scale[:, 0], rcond=None)[0]
    covariance = rows @ np.linalg.pinv((rows / scale).T @ (rows / scale), rcond=1e-12) @ rows.T
    for block, table in zip(layout.blocks, tables(layout, vector, variances)[1], strict=True):
        span = layout.span(block)
        assert np.abs(table.values.ravel() - fine[span]).max() <= 400 / QUANTA + 1e-7
        claimed = covariance[span, span]
        assert np.allclose(
            np.broadcast_to(table.sd, block.shape).ravel() ** 2, np.diag(claimed), atol=1e-7 * max(variances)
        )
        boxes: list[Box] = [
            (0,) * len(block.axes),
            (KNOWN,) * len(block.axes),
            (-1,) * len(block.axes),
            (ALL,) * len(block.axes),
        ]
        inside = np.array([[mask(block.shape, box)] for box in boxes], dtype=float).reshape(len(boxes), -1)
        expected = inside @ claimed @ inside.T
        assert np.allclose(table.covariance(*boxes), expected, atol=1e-7 * max(variances))
        mixed = tuple(OWN if number % 2 else KNOWN for number in range(len(block.axes)))
        patterns = ((OWN,) * len(block.axes), mixed, (KNOWN,) * len(block.axes))
        known = tuple(size - 1 for size in block.shape)
        around = np.broadcast_to(table.covariances(*patterns), (*known, len(patterns), len(patterns)))
        own = np.diag(claimed).reshape(block.shape)[table.known]
        assert np.allclose(around[..., 0, 0], own, atol=1e-7 * max(variances))
        for cell in ((0,) * len(known), tuple(size - 1 for size in known)):
            near = [
                tuple(at if part is OWN else part for at, part in zip(cell, each, strict=True)) for each in patterns
            ]
            assert np.allclose(around[cell], table.covariance(*near), atol=1e-7 * max(variances))


def mask(shape: tuple[int, ...], box: tuple[Any, ...]) -> Any:
    found = np.zeros(shape, dtype=bool)
    found[box] = True
    return found


@MANY
@given(workloads(), spreads, seeds, st.booleans())
def test_numbers_that_two_resolutions_share_are_one_number_to_the_last_digit(
    layout: Layout, spread: list[float], seed: int, exact: bool
) -> None:
    """Any sum of cells that stands for the same values in two tables, whatever they are cut into."""
    variances = [0.0] * len(layout.blocks) if exact else spread[: len(layout.blocks)]
    family, _ = tables(layout, noised(layout, variances, seed), variances)
    _, places = world(layout)
    whole = set[tuple[bytes, int]]()
    for names, units in family.units.items():
        code = np.zeros(len(places[PLAIN.name]), dtype=np.int64)
        for name in sorted(names):
            code = code * family.axes[name].size + places[name]
        for cell, number in enumerate(units.ravel().tolist()):
            whole.add(((code == cell).tobytes(), number))
        known = np.all(
            [places[name] < family.axes[name].size - 1 for name in names] or [np.full(len(code), True)], axis=0
        )
        whole.add((known.tobytes(), int(units[(KNOWN,) * units.ndim].sum())))
    holders = {holders for holders, _ in whole}
    assert len(whole) == len(holders)


@MANY
@given(workloads(), spreads, seeds)
def test_tables_that_agree_already_are_left_as_they_are(layout: Layout, spread: list[float], seed: int) -> None:
    vector = noised(layout, [0.0] * len(layout.blocks), seed)
    exact, _ = tables(layout, vector, [0.0] * len(layout.blocks))
    fitted, _ = tables(layout, vector, spread[: len(layout.blocks)])
    most = (VALUES + 1) ** 2 * PLAIN.size / 2  # atoms are rounded, half a quantum each
    assert exact.units.keys() == fitted.units.keys()
    assert all(np.abs(units - fitted.units[name]).max() <= most for name, units in exact.units.items())


def test_exact_sums_that_differ_between_resolutions_are_refused() -> None:
    fine, coarse = cut("x", CUTS[0]), cut("x", CUTS[1])
    layout = Layout((count([fine]), count([coarse])))
    good = np.array([1, 2, 3, 4, 5, 6, 7, 6, 15, 7])
    tables(layout, good, [0.0, 0.0])
    for at in range(10):
        with pytest.raises(PeerError) as caught:
            tables(layout, good + (np.arange(10) == at), [0.0, 0.0])
        assert caught.value.code == "SUM_MARGINS"


def test_draws_have_the_covariance_that_is_claimed_and_so_has_a_table_with_one_axis_collapsed() -> None:
    fine, coarse = cut("x", CUTS[0]), cut("x", CUTS[1])
    layout = Layout((count([fine, PLAIN]), count([coarse]), count([PLAIN])))
    family, (table, *_) = tables(layout, np.zeros(layout.length, dtype=np.int64), [50.0, 5.0, 20.0])
    draws = table.draws(entropy.public_stream("laws", "draws", "resolutions"), 40_000)
    boxes: list[Box] = [(0, 0), (5, 1), (KNOWN, 0), (slice(0, 3), KNOWN), (ALL, ALL), (-1, KNOWN), (-1, -1)]
    sums = np.array([draws[(slice(None), *box)].reshape(len(draws), -1).sum(axis=1) for box in boxes])
    claimed = table.covariance(*boxes)
    spread = np.sqrt(np.outer(np.diag(claimed), np.diag(claimed)) + claimed**2)
    assert (np.abs(np.cov(sums) - claimed) <= 5 * spread / sqrt(len(draws))).all()
    for name, kept in ((fine.name, (0, 1)), (PLAIN.name, (1, 0))):
        into = Axis(name, ("known", "_missing"), name)
        less = table.collapsed(name, into)
        assert less.units.sum() == table.units.sum()
        at = [axis.name for axis in table.axes].index(name)
        for place, part in ((0, KNOWN), (1, slice(-1, None))):
            for other in (0, 2, KNOWN):
                narrow, wide = (tuple(x if axis == at else other for axis in (0, 1)) for x in (place, part))
                assert less.units[narrow].sum() == table.units[wide].sum()
                assert less.covariance(narrow)[0, 0] == pytest.approx(table.covariance(wide)[0, 0])
        assert less.ordered(tuple(less.axes[number].name for number in kept)).covariance((0, 0))[0, 0] == pytest.approx(
            less.covariance((0, 0))[0, 0]
        )
    assert family.whole == {fine.name, coarse.name}


def test_a_dictionary_says_which_axes_look_at_one_variable() -> None:
    """Bins of a year, its generations and whether it is known; a money band; a rule; and what more than one variable decides."""
    axes = (
        DOMAIN.axis("generation"), DOMAIN.known("birth_year"), DOMAIN.known("generation"), DOMAIN.bins("birth_year", [1930, 1985]),
        DOMAIN.axis("sex"), DOMAIN.known("sex"),
    )  # fmt: skip
    resolution = Resolution.of(Layout(tuple(count([axis]) for axis in axes)))
    assert set(resolution.parts) == {"birth_year", "sex"}
    found = atoms([(axis.levels, axis.size) for axis in axes[:4] if axis.levels is not None])
    assert found == ((2, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 1), (3, 1, 1, 2))
    assert resolution.finer("known(birth_year)", ["generation"]) is not None
    assert resolution.finer("generation", ["known(birth_year)"]) is None
    assert resolution.finer("sex", ["generation"]) is None
    blocks = [count([axes[0], axes[4]]), count([axes[3], axes[5]])]
    shared = Resolution.of(Layout(tuple(blocks)))
    assert shared.unknowns(blocks) == prod((6 - 1 + 1, 4 - 1 + 1))
    assert shared.largest(blocks) is None
    assert MOST_UNKNOWNS == 2_000
