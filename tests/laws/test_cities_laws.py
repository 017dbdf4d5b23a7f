"""Laws of consistency with the axis `city`: cities add up to the total to the last digit, and least squares is what it claims to be."""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.consistency import Reconciled, reconcile_cities
from protocols import entropy
from protocols.statistics.estimates import QUANTA, Family
from protocols.statistics.example import example_dictionary
from protocols.statistics.layout import NOTHING, Domain, Layout, amount, count
from protocols.statistics.measures import Vector
from tests.laws.test_consistency_laws import axis, decimals, design, family, inside, noised, parts, seeds, workloads

MANY: Final = settings(max_examples=200)
CITIES: Final = (3, 5, 8, 9)  # roster ids
DOMAIN: Final = Domain(example_dictionary())


@dataclass(frozen=True)
class Asked:
    """What a study measures in the sum over `survivors`, and in each city of `counted` by itself."""

    layout: Layout
    own: Layout
    variances: list[float]
    own_variances: list[float]
    survivors: tuple[int, ...]
    counted: tuple[int, ...]

    @property
    def linked(self) -> bool:
        return set(self.survivors) <= set(self.counted)

    @property
    def noise(self) -> Any:
        """Its variance in every cell that was measured: of the sum, then of each city."""
        of_sum = np.repeat(self.variances, [block.cells for block in self.layout.blocks])
        own = np.repeat(self.own_variances, [block.cells for block in self.own.blocks])
        return np.concatenate([of_sum, *(own for _ in self.counted)])

    def measured(self, seed: int) -> tuple[Vector, dict[int, Vector]]:
        """The secure sum, and the own answers."""
        exact = [0.0] * len(self.layout.blocks)
        crowds = {city: noised(self.layout, exact, seed + city) for city in self.survivors}
        total = np.sum(list(crowds.values()), axis=0) if crowds else np.zeros(0, dtype=np.int64)
        generator = entropy.public_stream("laws", str(seed), "sum")
        sds = np.repeat(np.sqrt(self.variances), [block.cells for block in self.layout.blocks])
        total = total + np.rint(generator.normal(0, 1, self.layout.length) * sds).astype(np.int64)
        return total, {city: noised(self.own, self.own_variances, seed + city) for city in self.counted}

    def found(self, total: Vector, own: dict[int, Vector]) -> Reconciled:
        return reconcile_cities(self.layout, total, self.variances, self.own, own, self.own_variances, self.survivors)


@st.composite
def studies(draw: st.DrawFn) -> Asked:
    """Tables of counts over the same axes, some pooled, some by city, some both; perhaps a city that is in the sum alone."""
    every = draw(workloads())
    where = draw(st.lists(st.sampled_from("pcb"), min_size=len(every.blocks), max_size=len(every.blocks)))
    blocks = list(zip(every.blocks, where, strict=True))
    layout = Layout(tuple(block for block, at in blocks if at in "pb"))
    own = Layout(tuple(block for block, at in blocks if at in "cb"))
    if not own.blocks:
        own = Layout(every.blocks[:1])
    variance = st.sampled_from((4.0, 11.5, 90.0, 4e3))
    number = draw(st.integers(2, 4))
    survivors = CITIES[:number] if layout.blocks else ()
    counted = CITIES[: draw(st.integers(1, 4))]
    return Asked(
        layout,
        own,
        [draw(variance) for _ in layout.blocks],
        [draw(variance) for _ in own.blocks],
        survivors,
        counted,
    )


def solved(asked: Asked) -> tuple[Any, Any]:
    """Weighted least squares by numpy's own solver, over every cell of every city: the matrix from what was measured (the sum, then each
    city) to these cells, and that from them to what was measured."""
    everyone = sorted({*asked.survivors, *asked.counted})
    together = Layout(tuple(dict.fromkeys((*asked.layout.blocks, *asked.own.blocks))))
    every = design(together)

    def measured(layout: Layout, cities: tuple[int, ...]) -> Any:
        rows = np.concatenate([every[:0], *(every[together.span(block)] for block in layout.blocks)])
        return np.hstack([rows * (city in cities) for city in everyone])

    rows = np.concatenate(
        [measured(asked.layout, asked.survivors), *(measured(asked.own, (c,)) for c in asked.counted)]
    )
    scale = np.sqrt(asked.noise)
    return np.linalg.pinv(rows / scale[:, None], rcond=1e-11) / scale, rows


@MANY
@given(studies(), seeds)
def test_tables_of_cities_and_their_total_are_those_of_dense_least_squares(asked: Asked, seed: int) -> None:
    total, own = asked.measured(seed)
    found = asked.found(total, own)
    inverse, rows = solved(asked)
    fitted = rows @ (inverse @ np.concatenate([total, *own.values()]))
    tables = [(found.pooled, asked.layout), *((found.cities[city], asked.own) for city in asked.counted)]
    at = 0
    for families, layout in tables:
        for block in layout.blocks:
            table = family(families).table(frozenset(each.name for each in block.axes))
            fine = fitted[at : at + block.cells]
            most = (len(CITIES) + 1) * block.cells / QUANTA + 1e-9 * np.abs(fitted).max()
            assert np.abs(table.values.ravel() - fine).max() <= most
            at += block.cells


@MANY
@given(studies(), st.data())
def test_noise_of_cities_and_their_total_is_that_of_dense_least_squares(asked: Asked, data: st.DataObject) -> None:
    zeros = {city: np.zeros(asked.own.length, dtype=np.int64) for city in asked.counted}
    found = asked.found(np.zeros(asked.layout.length, dtype=np.int64), zeros)
    inverse, rows = solved(asked)
    noise = asked.noise
    covariance = rows @ (inverse * noise) @ inverse.T @ rows.T
    city = data.draw(st.sampled_from(asked.counted))
    start = asked.layout.length + asked.counted.index(city) * asked.own.length
    for families, layout, at in ((found.cities[city], asked.own, start), (found.pooled, asked.layout, 0)):
        if not layout.blocks:
            continue
        block = data.draw(st.sampled_from(layout.blocks))
        boxes = data.draw(st.lists(st.tuples(*(parts for _ in block.axes)), min_size=1, max_size=3))
        here = slice(at + layout.span(block).start, at + layout.span(block).stop)
        sums = np.array([inside(block, box).ravel() for box in boxes], dtype=float)
        claimed = family(families).table(frozenset(each.name for each in block.axes)).covariance(*boxes)
        assert np.allclose(claimed, sums @ covariance[here, here] @ sums.T, rtol=1e-9, atol=1e-9 * noise.max())


@MANY
@given(studies(), seeds, st.booleans())
def test_cities_add_up_to_the_total_to_the_last_digit(asked: Asked, seed: int, exact: bool) -> None:
    """In decimal arithmetic, over every table that cities have, where every city of the sum answered; and so do cells to margins."""
    if exact:
        own = {city: noised(asked.own, [0.0] * len(asked.own.blocks), seed + city) for city in asked.counted}
        found = reconcile_cities(
            NOTHING, np.zeros(0, dtype=np.int64), (), asked.own, own, [0.0] * len(asked.own.blocks), asked.counted
        )
        survivors = asked.counted
    else:
        found, survivors = asked.found(*asked.measured(seed)), asked.survivors if asked.linked else ()
    some: Family = family(found.cities[asked.counted[0]])
    for names in some.units:
        for city in asked.counted:
            table = family(found.cities[city]).table(names)
            for number, each in enumerate(table.axes):
                margin = decimals(family(found.cities[city]).table(names - {each.name}))
                assert np.array_equal(decimals(table).sum(axis=number), margin)
        if survivors:
            total = sum(decimals(family(found.cities[city]).table(names)) for city in survivors)
            assert np.array_equal(total, decimals(family(found.pooled).table(names)))


def test_declared_standard_deviations_are_those_of_the_specification() -> None:
    """No margin for noise, V = 1 / (1 - f) and V_s = 1 / f; city and joint, over the naive sum."""
    published = {(3, 0.1): (1.01, 1.58), (20, 0.1): (1.036, 2.63), (20, 0.3): (1.17, 1.73), (300, 0.1): (1.05, 3.12)}
    for (cities, part), (of_city, joint) in published.items():
        layout, ids = Layout((count(),)), tuple(range(1, cities + 1))
        own = {city: np.zeros(1, dtype=np.int64) for city in ids}
        found = reconcile_cities(layout, np.zeros(1, dtype=np.int64), [1 / part], layout, own, [1 / (1 - part)], ids)
        sds = [float(family(each).table(frozenset()).sd) for each in (found.cities[1], found.pooled)]
        assert np.allclose(sds, (of_city, joint), rtol=6e-3)


def test_amounts_of_cities_add_up_to_the_fen_and_have_the_noise_that_is_declared() -> None:
    """Totals are c times the number of holders and what was measured; both halves are shared out."""
    x, by = DOMAIN.amount("income"), axis(0, 3)
    blocks = (count([by, DOMAIN.known("income")]), amount(x, [by]))
    layout = own = Layout(blocks)
    survivors, runs = (1, 2, 3), 400
    generator = entropy.public_stream("laws", "amounts", "cities")
    variances, own_variances = [40.0, 4e10], [6.0, 5e9]
    key = next(
        key
        for key in reconcile_cities(layout, np.zeros(layout.length, dtype=np.int64), variances, own, {}, (), ()).pooled
        if key[1]
    )
    seen = []
    for _ in range(runs):
        total = np.rint(generator.normal(0, np.repeat(np.sqrt(variances), [6, 3]))).astype(np.int64)
        answers = {
            city: np.rint(generator.normal(0, np.repeat(np.sqrt(own_variances), [6, 3]))).astype(np.int64)
            for city in survivors
        }
        found = reconcile_cities(layout, total, variances, own, answers, own_variances, survivors)
        tables = {city: found.cities[city][key].table(frozenset({by.name})) for city in survivors}
        whole = found.pooled[key].table(frozenset({by.name}))
        assert np.array_equal(np.sum([table.units for table in tables.values()], axis=0), whole.units)
        counts = found.cities[1][next(iter(found.pooled))].table(frozenset({by.name, f"known({'income'})"}))
        held = counts.units[..., 0] / counts.quantum
        seen.append((tables[1].units / tables[1].quantum - x.centre * held) / tables[1].sd)
    assert abs(np.mean(np.square(seen)) - 1) < 5 * sqrt(2 / (3 * runs))
