"""Do intervals hold the truth as often as they say, with noise and sampling together? Studies that are simulated again and again.

Holders are drawn from a known population; the sums of their cities carry the noise that a plan of epsilon 1 gives them, one city lost where
it may be; intervals are those of the release. What is counted is how many hold the truth: numbers of the register, or chances of the
population, as a row claims. Cells on the edge of a mark are judged unmarked and marked apart. Of amounts: `amounts.py`.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any, Final, TypeAlias

import numpy as np

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols import entropy, privacy
from protocols.dictionary import MISSING
from protocols.noise import UNIT, node_v20
from protocols.privacy import Need
from protocols.secagg.plan import thresholds
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates, Floats
from protocols.statistics.layout import Domain
from protocols.statistics.rows import Answer, Row
from protocols.statistics.workload import Workload
from protocols.yamltext import read
from simulations.bench import Line, line

EPSILON: Final = Decimal(1)
DELTA: Final = Decimal("1e-6")
MEASURES: Final = ("count", "share", "row_share", "column_share", "index")
NOMINAL: Final = 95.0  # % of intervals
HOLDERS: Final = 26_606  # of the survey; with fewer, which amounts are unmarked depends on their noise
BAND: Final = 2.0  # points either way, within which they must be
DOMAIN: Final = Domain(
    dictionaries.parse(
        read(
            b"""
dictionary: coverage
version: 1
variables:
  product: {type: category, codes: {lump: {}, monthly: {}, free: {}}}
  generation: {type: category, codes: {60s: {}, 70s: {}, 80s: {}, 90s: {}, 00s: {}}}
  owner: {type: boolean}
""",
            "coverage.yaml",
        )
    )
)
ASKED: Final[tuple[dict[str, Any], ...]] = (
    {"id": "holders", "kind": "count"},
    {"id": "products", "kind": "frequency", "of": "product", "by": "owner"},
    {"id": "traits", "kind": "crosstab", "by": ["product", "generation"]},
    {"id": "preference", "kind": "tgi", "target": "product", "by": "generation"},
)
STUDY: Final = tuple(KINDS[asked["kind"]].model_validate(asked) for asked in ASKED)
WORKLOAD: Final = Workload.of(STUDY, DOMAIN)

# Of every 1,000 holders: product (3 and `_missing`) by generation (5 and `_missing`), then whether they own a home.
CHANCES: Final = np.array(
    [[2, 15, 80, 104, 60, 3], [1, 30, 88, 140, 37, 3], [12, 52, 134, 136, 38, 5], [1, 4, 20, 20, 12, 3]]
)
OWNERS: Final = np.array([0.30, 0.10, 0.25])  # yes, unknown, by product; the rest no


def truth() -> Floats:
    """Chances of product x generation x owner (false, true, `_missing`)."""
    of_product = np.array([[1 - yes - 0.02, yes, 0.02] for yes in (*OWNERS, 0.2)])
    return np.asarray((CHANCES / CHANCES.sum())[:, :, None] * of_product[:, None, :])


def of_truth(row: Row, holders: Any, chances: Floats) -> float:
    """What a row claims to hold: counts of the register (`holders`), shares and indices of those it is drawn from (`chances`)."""
    axes = {"product": 0, "generation": 1, "owner": 2}
    over = tuple(axis for name, axis in axes.items() if name not in row.keys)
    codes = {name: (*DOMAIN.axis(name).positions,).index(code) for name, code in row.keys.items()}
    table = (holders if row.measure == "count" else chances).sum(axis=over)
    if row.measure == "count":
        return float(table[tuple(codes[name] for name in sorted(codes, key=lambda name: axes[name]))])
    known = table[tuple(slice(None, -1) for _ in codes)]
    at = codes.get("product", 0)
    if row.contrast:
        shares = known / known.sum(axis=0)
        return float(shares[at, 1] - shares[at, 0])
    other = codes["owner"] if "owner" in codes else codes["generation"]
    a = known[at, other]
    match row.measure, "owner" in codes:
        case ("share", True) | ("column_share", _):
            return float(a / known[:, other].sum())
        case "row_share", _:
            return float(a / known[at].sum())
        case "share", False:
            return float(a / known.sum())
    return float(100 * a / known[at].sum() * known.sum() / known[:, other].sum())


Runs: TypeAlias = dict[Any, list[bool]]


@dataclass(frozen=True)
class Coverage:
    """For each row, in which runs its interval held the truth, unmarked and marked ones apart; `v`: the same for Cramér's V."""

    unmarked: Runs
    marked: Runs
    v: list[bool]


def variance(blocks: int, cities: int) -> float:
    """Of a cell to which a holder adds at most 1, at epsilon 1 over so many equal blocks. One city of the plan may collude; one may drop
    out, and does so where the plan can bear it: of three cities none can."""
    limits = thresholds(cities, 1, 1, 3, exact=False)
    (total,) = set(privacy.calibrate([Need(1, 1, Fraction(1, blocks))] * blocks, EPSILON, DELTA))
    return float(Fraction(node_v20(total, limits.t - 1) * (cities - limits.d), UNIT))


def simulated(n: int, cities: int, noise: float, runs: int, seed: str) -> Coverage:
    """Cities draw their holders; the sum of each block carries noise of variance `noise` in each cell, as the survivors left it."""
    generator = entropy.public_stream("coverage", f"{n} {cities} {noise}", seed)
    chances = truth()
    table = chances.sum(axis=2)[:-1, :-1] / chances.sum(axis=2)[:-1, :-1].sum()
    e = table.sum(axis=0) * table.sum(axis=1, keepdims=True)
    phi = sqrt(((table - e) ** 2 / e).sum() / 2)
    unmarked: Runs = defaultdict(list)
    marked: Runs = defaultdict(list)
    v: list[bool] = []
    for holders, answered in answers(n, cities, noise, runs, generator, chances):
        for question, answer in answered:
            for row in answer.rows:
                if row.estimate is not None and MISSING not in row.keys.values():
                    key = (question.id, row.measure, row.contrast, *row.keys.items())
                    (marked if row.obs_status else unmarked)[key].append(holds(row, of_truth(row, holders, chances)))
            v += [holds(test.values, phi) for test in answer.tests if test.name == "cramers_v"]
    return Coverage(unmarked, marked, v)


def answers(
    n: int, cities: int, noise: float, runs: int, generator: Any, chances: Floats
) -> Iterator[tuple[Any, list[tuple[Any, Answer]]]]:
    """Of each run the holders of all cities, drawn anew from `chances`, and what every question of the study says of them."""
    for _ in range(runs):
        holders = np.sum([generator.multinomial(n // cities, chances.ravel()) for _ in range(cities)], axis=0)
        holders = holders.reshape(chances.shape)
        families = reconcile(WORKLOAD.layout, summed(holders, noise, generator), [noise] * len(WORKLOAD.layout.blocks))
        answered = []
        for question in STUDY:
            sums = Estimates.of(
                families,
                WORKLOAD.blocks[question.id],
                study=f"sha256:{generator.integers(1 << 60)}",
                question=question.id,
                confidence=0.95,
                min_cell=10,
            )
            answered.append((question, question.finalize(sums, DOMAIN)))
        yield holders, answered


def summed(holders: Any, noise: float, generator: Any) -> Any:
    """The study's vector: tables of product x generation x owner, axes ascending by name, and Skellam noise."""
    names = ("product", "generation", "owner")
    vector = []
    for block in WORKLOAD.layout.blocks:
        kept = [axis.name for axis in block.axes]
        cells = holders.sum(axis=tuple(at for at, name in enumerate(names) if name not in kept))
        standing = [name for name in names if name in kept]
        cells = np.transpose(cells, [standing.index(name) for name in kept]).ravel()
        vector.append(cells + generator.poisson(noise / 2, cells.size) - generator.poisson(noise / 2, cells.size))
    return np.concatenate(vector)


def holds(row: Any, truth: float) -> bool:
    low, high = (row["ci_low"], row["ci_high"]) if isinstance(row, dict) else (row.ci_low, row.ci_high)
    return bool(low <= truth <= high)


def pooled(found: Runs, measure: str) -> float:
    every = [held for key, runs in found.items() if key[1] == measure for held in runs]
    return float(np.mean(every)) if every else 0.95


def lines(quick: bool = False) -> Iterator[Line]:
    """Of every measure, how far from 95 % the part of unmarked intervals is that hold the truth; at most two points. And that the same
    check finds intervals out which forget their noise."""
    from simulations.bench import amounts

    runs = 40 if quick else 300
    for n, cities in ((26_606, 20),) if quick else ((3_000, 3), (26_606, 3), (26_606, 20), (1_000_000, 20)):
        noise = variance(len(WORKLOAD.layout.blocks), cities)
        counts = simulated(n, cities, noise, runs, "bench").unmarked
        unmarked, marked = amounts.simulated(n, cities, runs, "bench")
        where = f"{n:,}, {cities} cities"
        yield from (_line(measure, where, _of(counts, measure)) for measure in MEASURES)
        of_amounts = amounts.both(unmarked, marked) if n < HOLDERS else unmarked
        yield from (_line(each, where, _of(of_amounts, each, at=0)) for each in ("mean", "total", "total_share"))
    forgetful, also = amounts.simulated(3_000, 3, runs, "bench", scale=0.01)
    held = _of(amounts.both(forgetful, also), "mean", at=0)
    yield _line("mean, noise forgotten", "3,000, 3 cities", held, found_out=True)


def _of(found: Any, measure: str, at: int = 1) -> list[bool]:
    """Every interval of a measure, which stands in its place of the key of a row."""
    return [held for key, runs in found.items() if key[at] == measure for held in runs]


def _line(measure: str, where: str, held: list[bool], *, found_out: bool = False) -> Line:
    covered = 100 * float(np.mean(held)) if held else NOMINAL
    name, off = f"coverage, {measure}, {where}", max(abs(covered - NOMINAL), 1e-3)
    note = f"{covered:.1f} % of {len(held):,} intervals held the truth"
    return line(name, "points off 95 %", off, BAND, "what is allowed", 1.0, "more" if found_out else "less", note)
