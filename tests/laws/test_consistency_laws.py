"""Laws of consistency: shared numbers are the same number, to the last digit, and least squares is what it claims to be."""

from decimal import Decimal
from itertools import combinations, pairwise
from math import prod, sqrt
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.errors import PeerError
from protocols.statistics.estimates import ALL, KNOWN, QUANTA, Box, Families, Family, Part, Table
from protocols.statistics.layout import Axis, Block, Layout, count
from protocols.statistics.measures import Vector

MANY: Final = settings(max_examples=200)


def axis(number: int, size: int) -> Axis:
    return Axis(f"a{number}", (*(f"p{code}" for code in range(size - 1)), "_missing"), f"a{number}")


@st.composite
def workloads(draw: st.DrawFn) -> Layout:
    """Tables of counts over up to four axes, at most 400 cells in all."""
    number = draw(st.integers(1, 4))
    axes = [axis(each, draw(st.integers(2, 6 - number))) for each in range(number)]
    chosen = draw(
        st.lists(st.lists(st.sampled_from(axes), unique=True, max_size=3), min_size=1, max_size=6).map(
            lambda lists: {count(each) for each in lists}
        )
    )
    layout = Layout(tuple(sorted(chosen, key=lambda block: block.name)))
    return layout if layout.length <= 400 else Layout(layout.blocks[:1])


def noised(layout: Layout, variances: list[float], seed: int, holders: int = 500) -> Vector:
    """Tables of one crowd, with normal noise rounded to whole numbers."""
    generator = entropy.public_stream("laws", str(seed), "tables")
    axes = {each.name: each for block in layout.blocks for each in block.axes}
    places = {name: generator.integers(0, each.size, holders) for name, each in axes.items()}
    tables = []
    for block, variance in zip(layout.blocks, variances, strict=True):
        code = np.zeros(holders, dtype=np.int64)
        for each in block.axes:
            code = code * each.size + places[each.name]
        exact = np.bincount(code, minlength=block.cells)
        tables.append(exact + np.rint(generator.normal(0, sqrt(variance), block.cells)).astype(np.int64))
    return np.concatenate(tables)


def family(families: Families) -> Family:
    (only,) = families.values()
    return only


seeds: Final = st.integers(0, 10**6)
spreads: Final = st.lists(st.sampled_from((4.0, 11.5, 90.0, 4e3)), min_size=6, max_size=6)


@MANY
@given(workloads(), spreads, seeds, st.booleans())
def test_every_margin_is_the_sum_of_its_cells_to_the_last_digit(
    layout: Layout, spread: list[float], seed: int, exact: bool
) -> None:
    variances = [0.0] * len(layout.blocks) if exact else spread[: len(layout.blocks)]
    found = family(reconcile(layout, noised(layout, variances, seed), variances))
    for names in found.units:
        table = found.table(names)
        printed = decimals(table)
        for number, each in enumerate(table.axes):
            margin = decimals(found.table(names - {each.name}))
            assert np.array_equal(printed.sum(axis=number), margin)


def decimals(table: Table) -> Any:
    """The table as a reader of results.json adds it up: shortest text of each number, in decimal arithmetic."""
    texts = [Decimal(repr(value)) for value in table.printed(table.units).ravel().tolist()]
    return np.array(texts, dtype=object).reshape(table.units.shape)


@MANY
@given(workloads(), seeds)
def test_exact_sums_come_out_as_they_went_in(layout: Layout, seed: int) -> None:
    vector = noised(layout, [0.0] * len(layout.blocks), seed)
    found = family(reconcile(layout, vector, [0.0] * len(layout.blocks)))
    for block in layout.blocks:
        table = found.table(frozenset(each.name for each in block.axes))
        assert np.array_equal(table.units, QUANTA * vector[layout.span(block)].reshape(block.shape))
        assert table.sd == 0
        assert table.exact


@MANY
@given(workloads(), spreads, seeds)
def test_tables_that_agree_already_are_left_as_they_are(layout: Layout, spread: list[float], seed: int) -> None:
    """Least squares, whatever the variances, finds nothing to change: the law that noise of variance 0 equals exact mode."""
    vector = noised(layout, [0.0] * len(layout.blocks), seed)
    exact = family(reconcile(layout, vector, [0.0] * len(layout.blocks)))
    fitted = family(reconcile(layout, vector, spread[: len(layout.blocks)]))
    assert {name: units.tolist() for name, units in exact.units.items()} == {
        name: units.tolist() for name, units in fitted.units.items()
    }


@MANY
@given(workloads(), spreads, seeds, st.sampled_from((1, 10**6)))
def test_tables_are_those_of_dense_least_squares(layout: Layout, spread: list[float], seed: int, scale: int) -> None:
    """To 1e-9 of the sums, but for rounding, which moves a cell by no more than half a quantum per cell."""
    variances = spread[: len(layout.blocks)]
    vector = scale * noised(layout, variances, seed)
    found = family(reconcile(layout, vector, variances))
    fine = dense(layout, vector, variances)[0]
    for block in layout.blocks:
        table = found.table(frozenset(each.name for each in block.axes))
        distance = np.abs(table.values.ravel() - fine[layout.span(block)]).max()
        assert distance <= block.cells / (2 * QUANTA) + 1e-9 * np.abs(fine).max()
        assert scale == 1 or distance <= 1e-9 * np.abs(fine).max()


def design(layout: Layout) -> Any:
    """Every measured cell as a row over the cells of the table on all axes."""
    axes = sorted({each for block in layout.blocks for each in block.axes}, key=lambda each: each.name)
    shape = [each.size for each in axes]
    places = np.indices(shape).reshape(len(axes), prod(shape))
    rows = []
    for block in layout.blocks:
        code = np.zeros(prod(shape), dtype=np.int64)
        for each in block.axes:
            code = code * each.size + places[axes.index(each)]
        rows.append(code == np.arange(block.cells)[:, None])
    return np.concatenate(rows).astype(float)


def dense(layout: Layout, vector: Vector, variances: list[float]) -> tuple[Any, Any]:
    """Weighted least squares by numpy's own solver: fitted measured cells, and their covariance."""
    rows = design(layout)
    scale = np.sqrt(np.repeat(variances, [block.cells for block in layout.blocks]))[:, None]
    solution = np.linalg.lstsq(rows / scale, vector / scale[:, 0], rcond=None)[0]
    return rows @ solution, rows @ np.linalg.pinv((rows / scale).T @ (rows / scale), rcond=1e-12) @ rows.T


parts: Final[st.SearchStrategy[Part]] = st.sampled_from((0, -1, 1, KNOWN, ALL, slice(1, None)))


@MANY
@given(workloads(), spreads, st.data())
def test_covariance_of_boxes_is_that_of_dense_least_squares(
    layout: Layout, spread: list[float], data: st.DataObject
) -> None:
    variances = spread[: len(layout.blocks)]
    zero = np.zeros(layout.length, dtype=np.int64)
    found = family(reconcile(layout, zero, variances))
    block = data.draw(st.sampled_from(layout.blocks))
    table = found.table(frozenset(each.name for each in block.axes))
    boxes = data.draw(st.lists(st.tuples(*(parts for _ in block.axes)), min_size=1, max_size=3))
    covariance = dense(layout, zero, variances)[1][layout.span(block), layout.span(block)]
    rows = np.array([inside(block, box).ravel() for box in boxes], dtype=float)
    assert np.allclose(table.covariance(*boxes), rows @ covariance @ rows.T, rtol=1e-9, atol=1e-9 * max(variances))


def inside(block: Block, box: tuple[Part, ...]) -> Any:
    mask = np.zeros(block.shape, dtype=bool)
    mask[box] = True
    return mask


def test_draws_have_the_covariance_that_is_claimed() -> None:
    first, second, third = axis(0, 3), axis(1, 4), axis(2, 2)
    layout = Layout((count([first, second]), count([second, third]), count([first])))
    table = family(reconcile(layout, np.zeros(layout.length, dtype=np.int64), [50.0, 20.0, 5.0])).table(
        frozenset(("a0", "a1"))
    )
    draws = table.draws(entropy.public_stream("laws", "draws", "noise"), 40_000)
    boxes: list[Box] = [(0, 0), (0, 1), (0, KNOWN), (KNOWN, 0), (ALL, ALL), (-1, KNOWN)]
    sums = np.array([draws[(slice(None), *box)].reshape(len(draws), -1).sum(axis=1) for box in boxes])
    claimed = table.covariance(*boxes)
    spread = np.sqrt(
        np.outer(np.diag(claimed), np.diag(claimed)) + claimed**2
    )  # of a sample covariance, times the root of its size
    assert (np.abs(np.cov(sums) - claimed) <= 5 * spread / sqrt(len(draws))).all()
    assert np.abs(sums.mean(axis=1) / np.sqrt(np.diag(claimed))).max() <= 5 / sqrt(len(draws))


# --- the reference workload: 8 attributes, all 28 pairs and one triple


SIZES: Final = (6, 2, 4, 5, 8, 4, 6, 2)
V: Final = 518.85


def reference() -> Layout:
    axes = [axis(number, size) for number, size in enumerate(SIZES)]
    return Layout((*(count(pair) for pair in combinations(axes, 2)), count([axes[0], axes[2], axes[3]])))


def test_declared_variances_of_the_reference_workload_are_the_published_ones() -> None:
    layout = reference()
    assert layout.length == 704
    found = family(reconcile(layout, np.zeros(704, dtype=np.int64), [V] * 29))
    variances = [found.table(frozenset(each.name for each in block.axes)).sd.item() ** 2 for block in layout.blocks]
    assert sqrt(np.mean(variances)) == pytest.approx(17.54, abs=0.005)
    assert sqrt(np.average(variances, weights=[block.cells for block in layout.blocks])) == pytest.approx(
        18.07, abs=0.005
    )


def test_errors_shrink_to_four_fifths_of_the_raw_ones() -> None:
    layout = reference()
    truth = noised(layout, [0.0] * 29, 1, holders=26_606)
    raw, after = [], []
    for seed in range(10):
        generator = entropy.public_stream("laws", str(seed), "reference")
        noise = np.rint(generator.normal(0, sqrt(V), layout.length)).astype(np.int64)
        found = family(reconcile(layout, truth + noise, [V] * 29))
        for block in layout.blocks:
            table = found.table(frozenset(each.name for each in block.axes))
            raw.append(np.mean(noise[layout.span(block)] ** 2.0))
            after.append(np.mean((table.values.ravel() - truth[layout.span(block)]) ** 2))
    assert sqrt(np.mean(after)) <= 0.80 * sqrt(np.mean(raw))


def found_over_declared(draws: int) -> Any:
    """For each table of the reference workload, the mean square of its errors over the variance that it declares."""
    layout = reference()
    generator = entropy.public_stream("laws", "declared", "reference")
    squares = np.zeros(layout.length)
    for _ in range(draws):
        noise = np.rint(generator.normal(0, sqrt(V), layout.length)).astype(np.int64)
        found = family(reconcile(layout, noise, [V] * 29))
        tables = [found.table(frozenset(each.name for each in block.axes)) for block in layout.blocks]
        squares += np.concatenate([table.values.ravel() ** 2 for table in tables])
    return np.array(
        [
            squares[layout.span(block)].mean() / draws / table.sd.item() ** 2
            for block, table in zip(layout.blocks, tables, strict=True)
        ]
    )


@pytest.mark.slow  # 2,000 least-squares fits
def test_in_every_table_the_noise_that_is_found_is_the_noise_that_is_declared() -> None:
    ratios = found_over_declared(2_000)
    assert ((ratios >= 0.95) & (ratios <= 1.05)).all()


def test_over_all_tables_the_noise_that_is_found_is_the_noise_that_is_declared() -> None:
    assert 0.95 <= found_over_declared(150).mean() <= 1.05


def test_cities_that_cannot_map_a_variable_bend_no_table() -> None:
    """Six cities, one without `a1`: all shared margins agree, and over 200 seeds no cell is off."""
    first, second = axis(0, 3), axis(1, 4)
    layout = Layout((count([first, second]), count([first]), count([second])))
    generator = entropy.public_stream("laws", "impossible", "cities")
    truth = np.zeros((3, 4), dtype=np.int64)
    for city in range(6):
        shares = np.zeros((3, 4))
        shares[:, 3 if city == 0 else slice(None)] = 1
        truth += generator.multinomial(900, (shares / shares.sum()).ravel()).reshape(3, 4)
    exact = np.concatenate([truth.ravel(), truth.sum(axis=1), truth.sum(axis=0)])
    errors = []
    for _ in range(200):
        found = family(
            reconcile(layout, exact + np.rint(generator.normal(0, 10, layout.length)).astype(np.int64), [100.0] * 3)
        )
        errors.append(found.table(frozenset(("a0", "a1"))).values - truth)
    sd = found.table(frozenset(("a0", "a1"))).sd.item()
    assert np.abs(np.mean(errors, axis=0)).max() <= 3 * sd / sqrt(200)


# --- sums that cannot be


def test_a_sum_that_cannot_be_gives_no_table() -> None:
    layout = Layout((count([axis(0, 3)]), count([axis(0, 3), axis(1, 2)])))
    good = np.array([1, 2, 3, 1, 0, 1, 1, 2, 1], dtype=np.int64)
    cases: list[tuple[str, Vector, list[float]]] = [
        ("SUM_LENGTH", good[:-1], [4.0, 4.0]),
        ("SUM_LENGTH", good.reshape(3, 3), [4.0, 4.0]),
        ("SUM_VARIANCE", good, [4.0]),
        ("SUM_VARIANCE", good, [4.0, 0.0]),
        ("SUM_VARIANCE", good, [4.0, -4.0]),
        ("SUM_VARIANCE", good, [4.0, float("nan")]),
        ("SUM_VARIANCE", good, []),
        ("SUM_BOUND", good + (1 << 42), [4.0, 4.0]),
        ("SUM_BOUND", np.full(9, np.iinfo(np.int64).min), [4.0, 4.0]),
        ("SUM_MARGINS", good + np.array([1, 0, 0, 0, 0, 0, 0, 0, 0]), [0.0, 0.0]),
    ]
    for code, vector, variances in cases:
        with pytest.raises(PeerError) as caught:
            reconcile(layout, vector, variances)
        assert caught.value.code == code
    assert family(reconcile(layout, good, [0.0, 0.0])).table(frozenset(("a0",))).values.tolist() == [1, 2, 3]


def test_every_set_of_axes_inside_a_block_has_a_table() -> None:
    layout = Layout((count([axis(0, 3), axis(1, 2), axis(2, 2)]),))
    found = family(reconcile(layout, np.arange(12), [0.0]))
    assert [sorted(names) for names in found.units] == [
        [], ["a0"], ["a1"], ["a2"], ["a0", "a1"], ["a0", "a2"], ["a1", "a2"], ["a0", "a1", "a2"]
    ]  # fmt: skip
    assert all(first <= second for first, second in pairwise(len(names) for names in found.units))
