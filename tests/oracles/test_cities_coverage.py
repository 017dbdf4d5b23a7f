"""Do intervals of cities, and of their total, hold the truth as often as they say, where both are fitted together?"""

from collections import defaultdict
from datetime import date
from math import sqrt
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile_cities
from protocols import dictionary as dictionaries
from protocols import entropy
from protocols.dictionary import Column, Table
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.measures import encode
from protocols.statistics.question import Release
from protocols.statistics.workload import Workload
from protocols.yamltext import read

AS_OF: Final = date(2022, 5, 31)
DICTIONARY: Final = dictionaries.parse(
    read(
        b"""
dictionary: coverage
version: 1
variables:
  product: {type: category, codes: {lump: {}, monthly: {}, free: {}}}
  sex: {type: category, codes: {male: {}, female: {}}}
  age: {type: integer, range: [16, 80]}
""",
        "coverage.yaml",
    )
)
DOMAIN: Final = Domain(DICTIONARY)
ASKED: Final[tuple[dict[str, Any], ...]] = (
    {"id": "all", "kind": "count"},
    {"id": "products", "kind": "frequency", "of": "product"},
    {"id": "lean", "kind": "tgi", "target": "product", "by": "sex"},
    {"id": "age", "kind": "mean", "of": "age", "by": "sex"},
)
QUESTIONS: Final = tuple(KINDS[each["kind"]].model_validate(each) for each in ASKED)
MEASURES: Final = ("count", "share", "index", "mean")
CITIES: Final = (1, 2, 3)
VARIANCE: Final = 120.0  # of a count, whole budget; epsilon 1 among some ten blocks
Runs = dict[tuple[str, ...], list[bool]]


def population() -> tuple[Table, Any]:
    """One holder of every kind, and the chance of each: product (3, unknown) x sex x age (16 to 80 by 8, unknown)."""
    ages = np.append(np.arange(16, 81, 8), 0)
    places = np.indices((4, 2, ages.size)).reshape(3, -1)
    product, sex, at = places
    lean = (
        np.array([[0.30, 0.20], [0.25, 0.40], [0.40, 0.37], [0.05, 0.03]])[product, sex] * np.array([0.55, 0.45])[sex]
    )
    spread = np.append(np.exp(-((np.arange(16, 81, 8) - 40) ** 2) / 300), 0.05)
    columns = {
        "product": Column(product, product < 3),
        "sex": Column(sex, np.ones(sex.size, dtype=bool)),
        "age": Column(ages[at], at < ages.size - 1),
    }
    chances = lean * spread[at]
    return Table(sex.size, columns), chances / chances.sum()


def truth(row: Any, table: Table, register: Any, chances: Any) -> float:
    """Counts are of the register; shares, indices and means of those it is drawn from."""
    inside = np.ones(table.holders, dtype=bool)
    codes = {"product": ("lump", "monthly", "free"), "sex": ("male", "female")}

    def of(name: str) -> Any:
        column = table.columns[name]
        return column.known & (column.values == codes[name].index(row.keys[name]))

    if row.measure == "mean":
        known = of("sex") & table.columns["age"].known
        return float((table.columns["age"].values * chances)[known].sum() / chances[known].sum())
    for name in row.keys:
        inside &= table.columns["age"].known if name == "age" else of(name)
    if row.measure == "count":
        return float(register[inside].sum())
    known = table.columns["product"].known
    if row.measure == "share":
        return float(chances[inside].sum() / chances[known].sum())
    a, target, group, every = (chances[each].sum() for each in (inside, of("product"), of("sex") & known, known))
    return float(100 * (a / target) / (group / every))


def simulated(release: Release, n: int, runs: int, seed: str, scale: float = 1.0) -> Runs:
    """For each row of every scope, in which runs its interval held the truth. `scale`: of the noise that is declared."""
    generator = entropy.public_stream("coverage", f"cities {release} {n}", seed)
    table, chances = population()
    workload = Workload.of(QUESTIONS, DOMAIN, release)

    def effects(layout: Layout) -> Any:
        one = [
            Table(1, {k: Column(c.values[at : at + 1], c.known[at : at + 1]) for k, c in table.columns.items()})
            for at in range(table.holders)
        ]
        return (
            np.array([encode(layout, each, DICTIONARY, AS_OF, None, exact=False) for each in one])
            if layout.blocks
            else np.zeros((table.holders, 0), dtype=np.int64)
        )

    parts = {"both": (10.0, 1 / 0.9)}.get(release, (1.0, 1.0))
    variances, own_variances = (
        [VARIANCE * part * block.l2sq for block in layout.blocks]
        for layout, part in zip((workload.layout, workload.own), parts, strict=True)
    )
    of_sum, of_city = effects(workload.layout), effects(workload.own)
    sds = [
        np.sqrt(np.repeat(each, [block.cells for block in layout.blocks]))
        for each, layout in ((variances, workload.layout), (own_variances, workload.own))
    ]
    found: Runs = defaultdict(list)
    for _ in range(runs):
        crowds = {city: generator.multinomial(n // len(CITIES), chances) for city in CITIES}
        crowd = np.sum(list(crowds.values()), axis=0)
        total = crowd @ of_sum + np.rint(generator.normal(0, 1, of_sum.shape[1]) * sds[0]).astype(np.int64)
        own = {
            city: each @ of_city + np.rint(generator.normal(0, 1, of_city.shape[1]) * sds[1]).astype(np.int64)
            for city, each in crowds.items()
        }
        fitted = reconcile_cities(
            workload.layout, total, [scale * each for each in variances], workload.own, own,
            [scale * each for each in own_variances], CITIES,
        )  # fmt: skip
        scopes = [("city", fitted.cities[city], crowds[city]) for city in CITIES]
        scopes += [("pooled", fitted.pooled, crowd)] if release == "both" else []
        for scope, families, register in scopes:
            for question in QUESTIONS:
                sums = Estimates.of(
                    families,
                    workload.blocks[question.id],
                    study="sha256:c",
                    question=question.id,
                    confidence=0.95,
                    min_cell=10,
                )
                for row in question.finalize(sums, DOMAIN).rows:
                    if row.estimate is None or "_missing" in row.keys.values() or row.measure not in MEASURES:
                        continue
                    held = bool((row.ci_low or 0) <= truth(row, table, register, chances) <= (row.ci_high or 0))
                    found[(scope, row.measure, question.id, *row.keys.values())].append(held)
    return found


def cover(found: Runs, scope: str, measure: str) -> float:
    every = [held for key, runs in found.items() if key[:2] == (scope, measure) for held in runs]
    return float(np.mean(every))


def scopes_of(release: Release) -> tuple[str, ...]:
    return ("city", "pooled") if release == "both" else ("city",)


@pytest.mark.parametrize("release", ["by_city", "both"])
def test_intervals_by_city_hold_the_truth_about_as_often_as_they_say(release: Release) -> None:
    found = simulated(release, 26_606, 60, "fast")
    for scope in scopes_of(release):
        for measure in MEASURES:
            assert abs(cover(found, scope, measure) - 0.95) <= 4 * sqrt(0.95 * 0.05 / 60), (scope, measure)


def test_intervals_by_city_that_forget_noise_are_found_out() -> None:
    """The control: the same check fails where a hundredth of the noise is declared."""
    found = simulated("both", 3_000, 30, "fast", scale=0.01)
    for scope in ("city", "pooled"):
        assert cover(found, scope, "count") < 0.5


@pytest.mark.slow  # 1,000 runs of each design
@pytest.mark.parametrize("release", ["by_city", "both"])
@pytest.mark.parametrize("n", [3_000, 26_606, 1_000_000])
def test_intervals_by_city_hold_the_truth_as_often_as_they_say(release: Release, n: int) -> None:
    found = simulated(release, n, 1_000, "slow")
    for scope in scopes_of(release):
        for measure in MEASURES:
            assert 0.93 <= cover(found, scope, measure) <= 0.97, (scope, measure)
    for key, runs in found.items():
        assert np.mean(runs) >= 0.90, key
