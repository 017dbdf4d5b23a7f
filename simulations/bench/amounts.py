"""How often intervals of means, standard deviations, totals and bins hold the truth: `coverage.py` for amounts.

Holders draw one of some sixty amounts, skewed and with lumps as contributions are, so that sums of any number of holders are quickly
made. Amounts travel in the units that a plan would give them, and sums carry noise of the declared variance.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols import entropy, plan
from protocols.dictionary import Column, Table
from protocols.noise import UNIT
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates, Floats
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.measures import encode
from protocols.statistics.rows import Row
from protocols.statistics.workload import Workload
from protocols.yamltext import read
from simulations.bench.coverage import variance

AS_OF: Final = date(2022, 5, 31)
DICTIONARY: Final = dictionaries.parse(
    read(
        b"""
dictionary: coverage
version: 1
variables:
  product: {type: category, codes: {lump: {}, monthly: {}, free: {}}}
  paid: {type: money, unit: CNY, range: [0, 5000000]}
""",
        "coverage.yaml",
    )
)
DOMAIN: Final = Domain(DICTIONARY)
STUDY: Final = (
    KINDS["mean"].model_validate({"id": "all", "kind": "mean", "of": "paid", "clip": ["0", "50000"]}),
    KINDS["mean"].model_validate({"id": "by", "kind": "mean", "of": "paid", "clip": ["0", "50000"], "by": "product"}),
    KINDS["mean"].model_validate(
        {"id": "register", "kind": "mean", "of": "paid", "clip": ["0", "50000"], "by": "product", "sampling": "false"}
    ),
    KINDS["mean"].model_validate(
        {"id": "drawn", "kind": "mean", "of": "paid", "clip": ["0", "50000"], "by": "product", "sampling": "true"}
    ),
    KINDS["histogram"].model_validate(
        {
            "id": "bins",
            "kind": "histogram",
            "of": "paid",
            "bins": ["0", "180", "1000", "5000", "20000"],
            "by": "product",
        }
    ),
)
WORKLOAD: Final = Workload.of(STUDY, DOMAIN)
SIZES: Final = (0.28, 0.32, 0.37, 0.03)  # of the products, and of holders without one


def population() -> tuple[Table, Floats]:
    """One holder of every kind that there is, and the chance of each."""
    fen = np.concatenate([[0, 18_000, 350_000], np.rint(np.exp(np.linspace(8, 15.4, 60)))]).astype(np.int64)
    chances = []
    for product, size in enumerate(SIZES):
        spread = np.exp(-((np.log(fen[3:]) - (10.5 + 0.7 * product)) ** 2) / 3)
        own = np.concatenate([[0.05, 0.25, 0.1], 0.6 * spread / spread.sum()])
        chances.append(size * np.concatenate([0.97 * own, [0.03]]))
    kinds = len(fen) + 1  # the last has no value
    values = np.tile(np.concatenate([fen, [0]]), len(SIZES))
    known = np.tile(np.arange(kinds) < kinds - 1, len(SIZES))
    product_of = np.repeat(np.arange(len(SIZES)), kinds)
    columns = {"paid": Column(values, known), "product": Column(product_of, product_of < len(SIZES) - 1)}
    return Table(len(values), columns), np.concatenate(chances)


@dataclass(frozen=True)
class Truth:
    """Of one group, over the distribution `weights`: numbers of holders, or chances."""

    values: Floats
    weights: Floats

    @property
    def mean(self) -> float:
        return float((self.values * self.weights).sum() / self.weights.sum())

    @property
    def spread(self) -> float:
        """The standard deviation of one draw."""
        return float(np.sqrt(((self.values - self.mean) ** 2 * self.weights).sum() / self.weights.sum()))

    @property
    def sd(self) -> float:
        """Of these holders, by n - 1."""
        n, apart = self.weights.sum(), (self.values - self.mean) ** 2
        return float(np.sqrt((apart * self.weights).sum() / (n - 1)))

    @property
    def total(self) -> float:
        return float((self.values * self.weights).sum())


Runs = dict[tuple[str, ...], list[bool]]


def simulated(n: int, cities: int, runs: int, seed: str, scale: float = 1.0) -> tuple[Runs, Runs]:
    """For each row, in which runs its interval held the truth: unmarked ones, marked ones. `scale`: of the noise that is declared."""
    generator = entropy.public_stream("coverage", f"amounts {n} {cities}", seed)
    noised = variance(len(WORKLOAD.layout.blocks), cities)
    table, chances = population()
    blocks = [plan.carried(block, round(noised * block.l2sq * UNIT) // 4) for block in WORKLOAD.layout.blocks]
    layout = Layout(tuple(blocks))
    variances = [noised * block.l2sq for block in blocks]
    one_by_one = [
        encode(layout, Table(1, {name: Column(each.values[at : at + 1], each.known[at : at + 1]) for name, each in table.columns.items()}),
               DICTIONARY, AS_OF, None, exact=False)
        for at in range(table.holders)
    ]  # fmt: skip
    effects = np.array(one_by_one)
    sd = np.sqrt(np.repeat(variances, [block.cells for block in blocks]))
    paid = np.minimum(table.columns["paid"].values, 5_000_000) / 100
    sure = table.columns["paid"].known
    unmarked: Runs = defaultdict(list)
    marked: Runs = defaultdict(list)
    for _ in range(runs):
        holders = generator.multinomial(n, chances / chances.sum())
        noise = np.rint(generator.normal(0, 1, layout.length) * sd).astype(np.int64)
        families = reconcile(layout, holders @ effects + noise, [scale * each for each in variances])
        for question in STUDY:
            sums = Estimates.of(
                families, WORKLOAD.blocks[question.id], study="sha256:c", question=question.id, confidence=0.95, min_cell=10
            )  # fmt: skip
            for row in question.finalize(sums, DOMAIN).rows:
                if row.estimate is None or "_missing" in row.keys.values() or (question.id, row.measure) in NOT_ASKED:
                    continue
                if question.id == "bins":
                    truth = binned(row, chances @ effects if row.measure == "share" else holders @ effects)
                else:
                    codes, of = ("lump", "monthly", "free"), table.columns["product"]
                    group = of.values == codes.index(row.keys["product"]) if "product" in row.keys else sure
                    drawn, register = (
                        Truth(paid[group & sure], np.asarray(each, dtype=np.float64)[group & sure])
                        for each in (chances, holders)
                    )
                    every = Truth(paid[of.known & sure], chances[of.known & sure])
                    among = register if question.id == "register" else drawn
                    truth = {
                        "mean": among.mean,
                        "sd": drawn.spread if question.id == "drawn" else register.sd,
                        "total": register.total,
                        "total_share": drawn.total / every.total,
                        "count": 0.0,
                    }[row.measure]
                held = bool((row.ci_low or 0) <= truth <= (row.ci_high or 0))
                key = (row.measure, question.id, *row.keys.values())
                (marked if row.obs_status else unmarked)[key].append(held)
    return unmarked, marked


NOT_ASKED: Final = {
    *(("drawn", measure) for measure in ("mean", "total", "total_share", "count")),
    ("all", "count"),
    ("by", "count"),
    ("register", "count"),
    ("register", "total_share"),
}


def binned(row: Row, vector: Any) -> float:
    """A bin's count, or its share of the holders of its group whose amount is known, in a vector without noise."""
    block = WORKLOAD.blocks["bins"]["holders"]
    cells = vector[WORKLOAD.layout.span(block)].reshape(block.shape)
    places = [axis.positions.index(row.keys[axis.source]) for axis in block.axes]
    if row.measure == "count":
        return float(cells[tuple(places)])
    across = tuple(
        slice(None, -1) if axis.source == "paid" else place for axis, place in zip(block.axes, places, strict=True)
    )
    return float(cells[tuple(places)] / cells[across].sum())


def pooled(found: Runs, measure: str) -> float:
    every: list[Any] = [
        held for key, runs in found.items() if key[:2] != BOUNDED and key[0] == measure for held in runs
    ]
    return float(np.mean(every)) if every else 0.95


def both(first: Runs, second: Runs) -> Runs:
    return {key: [*first.get(key, []), *second.get(key, [])] for key in {**first, **second}}


BOUNDED: Final = ("sd", "drawn")  # by the most that sampling may vary: never too short, as a rule too wide
MEASURES: Final = ("mean", "sd", "total", "total_share", "count", "share")
