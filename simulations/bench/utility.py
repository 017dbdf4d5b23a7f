"""How far published numbers are from the truth at equal privacy: beside a common library, and beside ourselves without a federation.

The workload: 26,606 holders of 8 attributes (6, 2, 4, 5, 8, 4, 6, 2 positions), all 28 tables of two attributes and one of three, 704
cells; epsilon 1, delta 10^-6, one holder. Error: root of the mean over tables of a table's mean squared error. Peers, in the same run:

    A  opendp as it comes: all rows in one place, discrete Gaussian noise whose scale opendp's own accounting finds; no least squares
    B  all rows in one place, and our accounting, noise and least squares
    C  every city publishes its own tables with the whole noise of our accounting, and they are added up; no least squares

Ours: the cities' shares of the noise as their gates draw them, added up, least squares. Nobody drops out. Against B no federation can do
better than sqrt(n / h): n cities add noise of which h suffice. What a run finds below that is chance.

Noise is that of the plan of such a study: calibrated by privacy loss distributions (`protocols/pld.py`), and for the 29 tables split over
them as `coordinator/split.py` finds best; for B as well, and C has the former. What equal shares by the Rényi orders alone give, beside the
same peers, stands in the notes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from itertools import combinations
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from coordinator.consistency import reconcile, reconcile_cities
from coordinator.split import stated
from node import gate
from protocols import pld, privacy, study
from protocols.dictionary import Column, Table
from protocols.entropy import exactly, operating_system, public_stream
from protocols.noise import UNIT, node_v20
from protocols.plan import Agreement
from protocols.privacy import Need
from protocols.ring import Vector
from protocols.secagg.plan import thresholds
from protocols.statistics.estimates import Families
from protocols.statistics.layout import Axis, Layout, count
from protocols.statistics.measures import encode
from protocols.study import Study, Written
from simulations.bench import Line, line

EPSILON: Final = Decimal(1)
DELTA: Final = Decimal("1e-6")
SIZES: Final = (6, 2, 4, 5, 8, 4, 6, 2)  # positions, `_missing` with them
TRIPLE: Final = (0, 2, 3)
HOLDERS: Final = 26_606
NORMAL: Final = 1.959964  # 97.5 %

Floats: TypeAlias = NDArray[np.float64]
Calibrate: TypeAlias = Callable[[Sequence[Need], Decimal, Decimal], tuple[int, ...]]
CALIBRATED: Final[dict[str, Calibrate]] = {"pld": pld.calibrate, "orders": privacy.calibrate}
CITIES: Final = 20  # of the lines about one number, and about both ways
PARTS: Final = (privacy.POOLED_PART, 1 - privacy.POOLED_PART)  # of the budget, for the secure sum and for own answers
Ways: TypeAlias = tuple[Floats, Floats]  # errors of what cities answer, and of their total


@dataclass(frozen=True)
class Federation:
    """Cities, and what their secure sum bears. `most`: the ratios to reach against A, B and C."""

    cities: int
    dropouts: int
    colluders: int
    most: tuple[float, float, float]

    @property
    def name(self) -> str:
        margin = f"{self.dropouts}+{self.colluders} of " if self.dropouts else ""
        return f"{margin}{self.cities} cities"

    @property
    def floor(self) -> float:
        """sqrt(n / h): what is lost to one place, whatever the method."""
        return math.sqrt(self.cities / (self.cities - self.dropouts - self.colluders))


FEDERATIONS: Final = (
    Federation(20, 0, 0, (0.75, 1.02, 0.25)),
    Federation(20, 2, 2, (0.84, 1.15, 0.25)),
    Federation(6, 1, 1, (0.92, 1.26, 0.60)),
)


def lines(quick: bool = False) -> Iterator[Line]:
    """Every ratio with its 95 % interval. Targets: `FEDERATIONS`; of the standard deviation of one count, 0.85 of A and 1.01 of B; released
    both ways, 1.05 for a city, 2.7 for the total, and 0.62 of C."""
    sizes, holders, times, draws = (SIZES[:3], 300, 4, 400) if quick else (SIZES, HOLDERS, 400, 400_000)
    workload = Workload.of(sizes, holders)
    yield from _tables(workload, times)
    yield from _one_count(draws)
    yield from _both_tables(workload, times // (1 if quick else 4))
    yield from _both_count(draws // 10)


def _tables(workload: "Workload", times: int) -> Iterator[Line]:
    touched = len(workload.layout.blocks)
    library = opendp_gaussian(touched, workload.layout.length)
    total, (equal, by_orders) = workload.total, (workload.calibrated(each) for each in CALIBRATED.values())
    a = workload.errors(library, None, times)
    b = workload.errors(partial(workload.drawn, total), total, times)
    for federation in FEDERATIONS:
        ours, orders = (workload.errors_of(federation, v20, times) for v20 in (total, by_orders))
        c = workload.errors(partial(workload.drawn, equal, federation.cities), None, times)
        peers = (
            (a, "A: opendp, all rows in one place", 0.0),
            (b, "B: our methods, all rows in one place", federation.floor),
            (c, "C: tables of every city, added up", 0.0),
        )
        for (errors, name, floor), most in zip(peers, federation.most, strict=True):
            what = f"utility, {touched} tables, {federation.name} / {name[0]}"
            yield beside(what, "RMSE", ours, errors, name, most, floor, orders)


def _one_count(draws: int) -> Iterator[Line]:
    """The standard deviation of one number at the whole budget, 20 cities, no margin: `draws` of it at once, as a table that wide."""
    table, found = wide(draws), dict[str, Floats]()
    for name, calibrate in CALIBRATED.items():
        (total,) = calibrate([Need(1, 1, Fraction(1))], EPSILON, DELTA)
        found[name] = squares(drawn(table, node_v20(total, CITIES), CITIES))
        found[f"{name}, pooled"] = squares(drawn(table, total))
    library, pooled = squares(opendp_gaussian(1, draws // 4)()), found["pld, pooled"]
    for errors, name, most in ((library, "A: opendp, one place", 0.85), (pooled, "B: our methods, one place", 1.01)):
        what, floor = f"utility, one count, {CITIES} cities / {name[0]}", 0.0 if errors is library else 1.0
        yield beside(what, "sd", found["pld"], errors, name, most, floor, found["orders"])


def _both_tables(workload: "Workload", times: int) -> Iterator[Line]:
    """All tables released both ways: by each of 20 cities and in total, a tenth of the budget for the secure sum. No margin.

    Peers put the whole budget in one place: into what each city answers, or into the secure sum; C adds up what cities would answer.
    """
    whole = workload.calibrated(pld.calibrate)
    found = {name: workload.errors_both(calibrate, times) for name, calibrate in CALIBRATED.items()}
    one = workload.errors(partial(workload.drawn, whole), whole, times)
    naive = workload.errors(partial(workload.drawn, whole, CITIES), None, times)
    yield from _both(f"{len(whole)} tables", "RMSE", found, one, naive)


def _both_count(draws: int) -> Iterator[Line]:
    """The same of one number. Its noise is so small that an integer hides more than its variance says, unless it is released twice."""
    table, found = wide(draws), dict[str, Ways]()
    for name, calibrate in CALIBRATED.items():
        of_sum, of_city = calibrate([Need(1, 1, share) for share in PARTS], EPSILON, DELTA)
        share = node_v20(of_sum, CITIES)
        own = {city: drawn(table, of_city) for city in range(CITIES)}
        variances = [Fraction(CITIES * share, UNIT)], [Fraction(of_city, UNIT)]
        fit = reconcile_cities(table, drawn(table, share, CITIES), variances[0], table, own, variances[1], tuple(own))
        cities = [_wide_cells(table, each) ** 2 for each in fit.cities.values()]
        found[name] = np.mean(cities, axis=0), _wide_cells(table, fit.pooled) ** 2
    (whole,) = pld.calibrate([Need(1, 1, Fraction(1))], EPSILON, DELTA)
    yield from _both("one count", "sd", found, squares(drawn(table, whole)), squares(drawn(table, whole, CITIES)))


def _both(of: str, unit: str, found: "dict[str, Ways]", one: Floats, naive: Floats) -> Iterator[Line]:
    for at, what, peer, name, most in (
        (0, "each city", one, "whole budget for the city", 1.05),
        (1, "total", one, "whole budget for the total", 2.7),
        (1, "total / C", naive, "C: answers of every city, added up", 0.62),
    ):
        ours, orders = found["pld"][at], found["orders"][at]
        yield beside(f"utility, both, {of}, {what}", unit, ours, peer, name, most, 0.0, orders)


def _wide_cells(table: Layout, families: Families) -> Floats:
    ((_, family),) = families.items()
    return np.asarray(family.table(frozenset(axis.name for axis in table.blocks[0].axes)).values.ravel())


# --- the workload


@dataclass(frozen=True)
class Workload:
    """Attributes of so many positions, the tables that a study makes of them, and those without noise."""

    sizes: tuple[int, ...]
    truth: Vector

    @property
    def asked(self) -> Study:
        return studied(self.sizes)

    @property
    def layout(self) -> Layout:
        return self.asked.workload.layout

    @classmethod
    def of(cls, sizes: tuple[int, ...], holders: int) -> "Workload":
        """Attributes that are independent and uneven, a few values of each missing. The same holders at every run."""
        asked, generator = studied(sizes), public_stream("bench", "utility", "holders")
        columns = {}
        for number, size in enumerate(sizes):
            places = (size * generator.random(holders) ** 1.5).astype(np.int64)
            columns[f"a{number}"] = Column(places, places < size - 1)
        crowd = Table(holders, columns)
        truth = encode(asked.workload.layout, crowd, asked.dictionary, asked.file.as_of, None, False)
        return cls(sizes, truth)

    @property
    def total(self) -> tuple[int, ...]:
        """Total variance of every block, as its plan has it."""
        return stated(self.asked).variances

    def calibrated(self, calibrate: Calibrate) -> tuple[int, ...]:
        """The same of equal shares."""
        shares_ = self.asked.workload.shares()
        needs = [Need(b.l1, b.l2sq, share) for b, share in zip(self.layout.blocks, shares_, strict=True)]
        return calibrate(needs, EPSILON, DELTA)

    def drawn(self, v20: Sequence[int], places: int = 1) -> Vector:
        """The noise of every block, drawn in so many places, each time whole, and added up."""
        seeds = [exactly(operating_system, 32) for _ in range(places)]
        noise: Vector = np.add.reduce([gate.noise(self.layout, v20, seed) for seed in seeds])
        return noise

    def errors(self, noise: Callable[[], Vector], v20: Sequence[int] | None, times: int) -> Floats:
        """Mean over tables of their mean squared errors, once for each repetition. `v20`: of the noise, for least squares; None: none."""
        return np.array([self._error(self.truth + noise(), v20) for _ in range(times)])

    def errors_of(self, federation: Federation, v20: tuple[int, ...], times: int) -> Floats:
        """The same of cities that would be held to these total variances: each draws its share, and all shares add up."""
        n, d, c = federation.cities, federation.dropouts, federation.colluders
        asked = studied(self.sizes, d, c)
        limits = thresholds(n, c, d, asked.file.cities.least, exact=False)
        own = Agreement(asked, tuple(range(1, n + 1)), HOLDERS, limits, self.layout, v20).node_v20
        return self.errors(partial(self.drawn, own, n), [n * each for each in own], times)

    def errors_both(self, calibrate: Calibrate, times: int) -> Ways:
        """The errors of 20 cities that answer by themselves and in sum, and those of their total."""
        parts = [part / len(self.layout.blocks) for part in PARTS for _ in self.layout.blocks]
        v20 = calibrate([Need(1, 1, part) for part in parts], EPSILON, DELTA)
        of_sum, of_city = v20[: len(v20) // 2], v20[len(v20) // 2 :]
        share = [node_v20(each, CITIES) for each in of_sum]
        variances = [Fraction(CITIES * each, UNIT) for each in share], [Fraction(each, UNIT) for each in of_city]
        cities, totals = [], []
        for _ in range(times):  # noise alone: least squares is linear, and its fit of nothing is its error
            summed, own = self.drawn(share, CITIES), {city: self.drawn(of_city) for city in range(CITIES)}
            fit = reconcile_cities(self.layout, summed, variances[0], self.layout, own, variances[1], tuple(own))
            cities.append(np.mean([self._square(each) for each in fit.cities.values()]))
            totals.append(self._square(fit.pooled))
        return np.array(cities), np.array(totals)

    def _square(self, families: Families) -> float:
        (family,) = families.values()
        tables = [family.table(frozenset(axis.name for axis in block.axes)).values for block in self.layout.blocks]
        return float(np.mean([np.mean(table**2) for table in tables]))

    def _error(self, vector: Vector, v20: Sequence[int] | None) -> float:
        spans = [self.layout.span(block) for block in self.layout.blocks]
        if v20 is None:
            found = [vector[span].astype(np.float64) for span in spans]
        else:
            (family,) = reconcile(self.layout, vector, [Fraction(each, UNIT) for each in v20]).values()
            found = [family.table(frozenset(a.name for a in b.axes)).values.ravel() for b in self.layout.blocks]
        apart = [np.mean((mine - self.truth[span]) ** 2) for mine, span in zip(found, spans, strict=True)]
        return float(np.mean(apart))


@cache
def studied(sizes: tuple[int, ...], dropouts: int = 0, colluders: int = 0) -> Study:
    """A study of all pairs of attributes and, where there are enough, one triple."""
    pairs: list[tuple[int, ...]] = list(combinations(range(len(sizes)), 2))
    asked = [*pairs, TRIPLE] if len(sizes) > max(TRIPLE) else pairs
    codes = [", ".join(f"p{code}: {{}}" for code in range(size - 1)) for size in sizes]
    variables = "".join(f"  a{number}: {{type: category, codes: {{{each}}}}}\n" for number, each in enumerate(codes))
    questions = "".join(
        f"  - {{id: q{number}, kind: crosstab, by: [{', '.join(f'a{each}' for each in by)}]}}\n"
        for number, by in enumerate(asked)
    )
    tolerate = f"{{dropouts: {dropouts}, colluders: {colluders}}}"
    text = (
        "study: utility\ntitle: {zh: 效用, en: Utility}\npurpose: {zh: 测量, en: measured}\nasker: analyst\n"
        "dictionary: dictionary.yaml\nas_of: 2022-05-31\n"
        f"privacy: {{mode: dp, epsilon: {EPSILON}.0, delta: {DELTA:f}, tolerate: {tolerate}}}\n"
        f"questions:\n{questions}"
    )
    dictionary = f"dictionary: utility\nversion: 1\nvariables:\n{variables}"
    return study.from_files(Written(text.encode(), dictionary.encode()))


# --- the library, and what is said


def wide(cells: int) -> Layout:
    """One table of so many cells, of which a holder changes one: as many repetitions of one number."""
    return Layout((count([Axis("a", tuple(map(str, range(cells))), "a")]),))


def drawn(table: Layout, v20: int, cities: int = 1) -> Vector:
    """What the gates of so many cities add to it."""
    seeds = [exactly(operating_system, 32) for _ in range(cities)]
    noise: Vector = np.add.reduce([gate.noise(table, [v20], seed) for seed in seeds])
    return noise


def squares(errors: Vector) -> Floats:
    return errors.astype(np.float64) ** 2


def opendp_gaussian(touched: int, cells: int) -> Callable[[], Vector]:
    """opendp's integer Gaussian noise on `cells` zeros of which a holder changes `touched` by 1, at the scale that opendp finds."""
    measurement, zeros = _opendp(cells, opendp_scale(touched)), [0] * cells
    return lambda: np.array(measurement(zeros), dtype=np.int64)


@cache
def opendp_scale(touched: int) -> float:
    """The least scale that opendp's accounting (zCDP, converted) admits at this epsilon and delta."""
    import opendp.prelude as dp

    def promised(scale: float) -> Any:
        return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(_opendp(1, scale)), float(DELTA))

    budget = (float(EPSILON), float(DELTA))
    found = dp.binary_search_param(promised, d_in=math.sqrt(touched), d_out=budget, T=float, bounds=(0.1, 1e4))
    return float(found)


def _opendp(cells: int, scale: float) -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64"), size=cells), dp.l2_distance(T=float)
    return dp.m.make_gaussian(*space, scale=scale)


def ratio(ours: Floats, peer: Floats) -> tuple[float, float, float]:
    """Root of the ratio of two means of squares, each over independent repetitions, and its 95 % interval (normal, on the log)."""
    found = math.sqrt(ours.mean() / peer.mean())
    relative = [each.var(ddof=1) / len(each) / each.mean() ** 2 for each in (ours, peer)]
    half = NORMAL * math.sqrt(sum(relative)) / 2
    return found, found * math.exp(-half), found * math.exp(half)


def beside(
    name: str, unit: str, ours: Floats, peer: Floats, peer_name: str, most: float, floor: float, orders: Floats
) -> Line:
    """`floor`: a ratio that cannot be passed, so that nothing below it may be claimed. `orders`: errors of ours where Rényi orders alone
    calibrate it."""
    _, low, high = ratio(ours, peer)
    other, other_low, other_high = ratio(orders, peer)
    note = (
        f"95 %: {low:.3f} .. {high:.3f}; "
        + (f"no less than {floor:.3f} may be claimed; " if floor else "")
        + f"equal shares by Rényi orders {math.sqrt(orders.mean()):.4g}, {other:.3f}x ({other_low:.3f} .. {other_high:.3f})"
    )
    mine, theirs = (math.sqrt(each.mean()) for each in (ours, peer))
    return line(name, unit, mine, theirs, peer_name, most, "less", note)
