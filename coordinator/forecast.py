"""How sure the numbers of a study would be, before any city is asked: the release run on what stand-ins would give, without noise.

    sums of a twin, no noise ──reconcile (exact variances after least squares)──▶ finalize ──▶ the interval each row would have
                                └── the same tables with noise drawn from those variances ──▶ how often each row would be marked

A *twin* is public: synthetic or open cities that stand in for those asked. Without one only the errors are known that no count can change;
all others are None, never a guess. Expected numbers are of a run in which every city answers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from statistics import NormalDist, median
from typing import Final, TypeAlias

import numpy as np

from coordinator.consistency import Reconciled
from coordinator.release import POOLED, Opened, hidden, reconciled, scoped, without_thin_levels
from coordinator.release import Scope as City
from protocols.dictionary import MISSING
from protocols.plan import Agreement
from protocols.ring import Vector
from protocols.statistics import dominance
from protocols.statistics.dominance import Amounts, withheld_amounts
from protocols.statistics.estimates import KNOWN, Estimates, Families, Floats, Table, singled
from protocols.statistics.layout import KNOWN as KNOWN_OF
from protocols.statistics.layout import Amount, Block, Blocks, Choice, Layout, Measure
from protocols.statistics.question import Question
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import Withheld
from protocols.statistics.workload import margin_of

STRATA: Final = 10  # draws of the noise of a table; of each cell they are the middles of as many equally likely parts of the normal law
NOISY_ROWS: Final = (
    0.5  # of the rows of a question: where more of them are noise, a run must be told that this is accepted
)
NOISE: Final = 1.0  # relative half-width from which a row says nothing
NOTHING: Final = 1e-6  # of a half-width: what the rounding of official tables leaves in a cell without holders
PLENTY: Final = 10**6  # holders per cell of the made-up tables that show which errors no count can change

Scope: TypeAlias = str  # POOLED, or the name of a city
Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...], bool]


@dataclass(frozen=True)
class Cell:
    """One row to come. `half_width` = half of its interval; `of_noise`, `of_sampling`: what either alone would make. None: not known.

    `doubtful`, `unavailable`: how likely noise alone gives it the mark `u` or `x`. `withheld`: whether it is not printed (`C`), 1 or 0:
    of an exact table as in the twin, of a level of cities as the study says; None where nothing is.
    """

    scope: Scope
    measure: str
    keys: Mapping[str, str]
    contrast: bool
    expected: float | None
    half_width: float | None
    of_noise: float | None
    of_sampling: float | None
    doubtful: float | None = None
    unavailable: float | None = None
    withheld: float | None = None

    @property
    def key(self) -> Key:
        return (self.scope, self.measure, tuple(self.keys.items()), self.contrast)

    @property
    def counted(self) -> bool:
        """Whether it is one of the rows that a question is judged by: not those of holders without a value, and no difference, which may
        well be none."""
        return not self.contrast and MISSING not in self.keys.values()

    @property
    def empty(self) -> bool:
        """Nobody in the twin stands there, up to the last digit of a table: nothing is wide or narrow beside nothing."""
        return None not in (self.expected, self.half_width) and abs(self.expected or 0.0) <= NOTHING * (
            self.half_width or 0.0
        )

    @property
    def noise(self) -> bool:
        """Its interval is wider than the number itself, either way; or there would be no number."""
        if self.expected is None or self.half_width is None:
            return True
        return self.half_width > NOISE * abs(self.expected)


@dataclass(frozen=True)
class Twin:
    """What stand-ins give: for each city of the plan by roster id, the sums of `layout` (the whole workload, in its finest units)."""

    layout: Layout
    sums: Mapping[int, Vector]

    def of(self, city: int, layout: Layout) -> Vector:
        """What one city gives in the units of `layout`, whose blocks are those of the workload."""
        parts = []
        for block in layout.blocks:
            cells = self.sums[city][self.layout.span(replace(block, shift=0))]
            parts.append(np.rint(cells / 2**block.shift).astype(np.int64) if block.shift else cells)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def margins(self, layout: Layout) -> "Twin":
        """The same stand-ins for fewer questions. A block that is measured only then, and was a margin before, is summed from the other."""
        return Twin(
            layout, {city: np.concatenate([self._margin(city, b) for b in layout.blocks]) for city in self.sums}
        )

    def _margin(self, city: int, block: Block) -> Vector:
        if block in self.layout.blocks:
            return self.sums[city][self.layout.span(block)]
        finer = next(each for each in self.layout.blocks if margin_of(block, each))
        names = {axis.name for axis in block.axes}
        over = tuple(number for number, axis in enumerate(finer.axes) if axis.name not in names)
        cells = self.sums[city][self.layout.span(finer)].reshape(finer.shape)
        return np.asarray(cells.sum(axis=over), dtype=np.int64).ravel()


@dataclass(frozen=True)
class Forecast:
    """`names`: of the cities, by roster id. `min_cells`: by roster id. `short`: ids of questions that too few cities can answer.

    `cannot`: of every city, what it cannot map; None where that is not known of all, and each is taken to map everything.
    `least_exact`: of mode exact, the fewest holders of a cell and of a sum that all cities let be printed.
    """

    agreement: Agreement
    names: Mapping[int, str]
    min_cells: Mapping[int, int]
    twin: Twin | None
    short: frozenset[str] = frozenset()
    least_exact: tuple[int, int] = (0, 0)
    cannot: Mapping[str, tuple[str, ...]] | None = None

    def cells(self, question: Question) -> tuple[Cell, ...]:
        """Its rows to come, of every scope, with how likely each is marked."""
        plain = self.widths(question)
        if self.twin is None:
            return plain
        chances = [each for sums in self._apart(question, self._tables) for each in self._chances(question, sums)]
        return tuple(
            replace(cell, doubtful=doubtful, unavailable=unavailable)
            for cell, (doubtful, unavailable) in zip(plain, chances, strict=True)
        )

    def widths(self, question: Question, scale: float = 1.0) -> tuple[Cell, ...]:
        """The same without the marks, where every variance of noise is `scale` times that of the plan."""
        if (question.id, scale) not in self._widths:
            self._widths[question.id, scale] = self._expected(question, scale)
        return self._widths[question.id, scale]

    @cached_property
    def _widths(self) -> dict[tuple[str, float], tuple[Cell, ...]]:
        """What was computed already."""
        return {}

    def _expected(self, question: Question, scale: float) -> tuple[Cell, ...]:
        if self.twin is None:
            return self._certain(question, scale)
        return tuple(
            self._cell(scope, row)
            for sums in self._apart(question, self._tables)
            for scope, rows in self._rows(
                question, {scope: _scaled(each, scale) for scope, each in sums.items()}
            ).items()
            for row in self._covered(question, scope, rows)
            if "z" not in row.obs_status
        )

    def noisy(self, question: Question, scale: float = 1.0) -> bool | None:
        """Whether most of its rows would be noise; None without a twin."""
        return None if self.twin is None else mostly_noise(self.widths(question, scale))

    # --- tables

    @cached_property
    def _tables(self) -> "Tables":
        assert self.twin is not None  # noqa: S101 callers looked
        twin, agreement = self.twin, self.agreement
        own = {city: twin.of(city, agreement.own) for city in agreement.cities} if agreement.own.blocks else {}
        return self._fitted(self._total, own)

    @cached_property
    def _total(self) -> Vector:
        """The sum over all cities of what their stand-ins give."""
        assert self.twin is not None  # noqa: S101 callers looked
        of_cities = [self.twin.of(city, self.agreement.layout) for city in self.agreement.cities]
        return np.asarray(np.sum(of_cities, axis=0), dtype=np.int64)

    @cached_property
    def _made_up(self) -> tuple["Tables", "Tables"]:
        """Two worlds of the same noise and other holders."""

        exact = (
            self.agreement.study.exact
        )  # tables that share margins would not agree; nobody is in them, and nothing is noise

        def world(holders: int) -> Tables:
            def cells(layout: Layout, times: int) -> Vector:
                parts = [
                    np.full(
                        block.cells,
                        block.weight * times * holders if block.measure is Measure.ONE and not exact else 0,
                    )
                    for block in layout.blocks
                ]
                return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

            one = {city: cells(self.agreement.own, 1) for city in self.agreement.cities}
            own = one if self.agreement.own.blocks else {}
            return self._fitted(cells(self.agreement.layout, len(self.agreement.cities)), own)

        return world(PLENTY), world(2 * PLENTY)

    def _fitted(self, total: Vector, own: Mapping[int, Vector]) -> "Tables":
        of_sum, of_cities = reconciled(Opened(self.agreement, total, self.agreement.cities, (), {}, own))
        return Tables(of_sum.pooled, of_cities.pooled, of_cities.cities)

    def _apart(self, question: Question, tables: "Tables") -> Iterator[dict[Scope, Estimates]]:
        """What each scope of its answer is made from, together where what is said of one needs the others."""
        study = self.agreement.study
        of_all = tables.of_sum if study.release_of(question) == "pooled" else tables.of_all
        cities = [City(city, self.names[city], self.min_cells[city]) for city in self.agreement.cities]
        everyone = tuple(each.name for each in cities)
        found = Reconciled(of_all, tables.of_cities)
        sums = scoped(study, question, found, cities, everyone, (POOLED, *everyone), linked=True)
        ones = {
            name: Decimal(1) for name in question.facts()
        }  # what cities will state is not known: no width in parts depends on it
        sums = {
            scope: replace(
                each, tested=False, facts={name: dict.fromkeys(each.cities, one) for name, one in ones.items()}
            )
            for scope, each in sums.items()
        }
        yield from [sums] if question.TOGETHER else ({scope: each} for scope, each in sums.items())

    # --- rows

    def _rows(self, question: Question, sums: Mapping[Scope, Estimates]) -> dict[Scope, tuple[Row, ...]]:
        """By scope; of all cities together only where that is released."""
        study = self.agreement.study
        answers = question.answers(sums, sums.keys(), study.domain)
        if study.release_of(question) == "by_city":
            answers.pop(POOLED, None)
        short = question.id in self.short
        return {scope: (each.unavailable() if short else each).rows for scope, each in answers.items()}

    def _covered(self, question: Question, scope: Scope, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """The rows of an answer without those that would be withheld, as the release covers them."""
        if scope != POOLED:
            return rows
        study = self.agreement.study
        answer = Answer(rows)
        if self._hidden is not None:
            blocks = study.workload.blocks[question.id]
            answer = question.withhold(answer, self._hidden, blocks)
            if study.release_of(question) == "pooled":
                answer = dominance.covered(answer, blocks, self._amounts)
        return without_thin_levels(study, question, self._able(question), answer).rows

    def _able(self, question: Question) -> tuple[str, ...]:
        """The cities that can answer it, as far as that is known."""
        known = self.cannot or dict.fromkeys(self.names.values(), ())
        return self.agreement.study.able(question, dict(known))

    @cached_property
    def _amounts(self) -> Amounts:
        if self._hidden is None:
            return {}
        return withheld_amounts(self.agreement.layout, self._tables.of_sum, self._total, self._hidden)

    @cached_property
    def _hidden(self) -> Withheld | None:
        if not (self.agreement.study.exact and self.agreement.study.summed):
            return None
        return hidden(self.agreement, self._tables.of_sum, *self.least_exact)

    def _cell(self, scope: Scope, row: Row) -> Cell:
        ends = None if row.ci_low is None or row.ci_high is None else (row.ci_high - row.ci_low) / 2
        expected = None if row.estimate is None else float(row.estimate)
        of_noise, of_sampling = (None if se is None else self.z * se for se in (row.se_noise, row.se_sampling))
        study = self.agreement.study
        levels = study.file.cities.attributes is not None
        withheld = float("C" in row.conf_status) if levels or (study.exact and self.twin is not None) else None
        return Cell(
            scope, row.measure, row.keys, row.contrast, expected, ends, of_noise, of_sampling, withheld=withheld
        )

    def _certain(self, question: Question, scale: float = 1.0) -> tuple[Cell, ...]:
        """Rows without a twin: only errors of noise that are the same in both made-up worlds."""
        few, many = self._made_up
        found = []
        for worlds in zip(self._apart(question, few), self._apart(question, many), strict=True):
            one, other = (
                self._rows(question, {scope: _scaled(each, scale) for scope, each in sums.items()}) for sums in worlds
            )
            if POOLED in one:
                study, able = self.agreement.study, self._able(question)
                one[POOLED] = without_thin_levels(study, question, able, Answer(one[POOLED])).rows
            pairs = [(scope, *pair) for scope, rows in one.items() for pair in zip(rows, other[scope], strict=True)]
            for scope, row, again in pairs:
                if "z" in row.obs_status:
                    continue
                sure = row.se_noise is not None and row.se_noise == again.se_noise
                noise = self.z * row.se_noise if sure and row.se_noise is not None else None
                found.append(
                    replace(self._cell(scope, row), expected=None, half_width=None, of_noise=noise, of_sampling=None)
                )
        return tuple(found)

    @property
    def z(self) -> float:
        return NormalDist().inv_cdf((1 + self.agreement.study.file.confidence) / 2)

    def _chances(self, question: Question, sums: Mapping[Scope, Estimates]) -> tuple[tuple[float, float], ...]:
        """Of every row that can have a number: how often it is marked `u`, and `x`, in draws of the noise."""
        worlds: Iterable[Mapping[Scope, Estimates]] = [sums]
        if not all(table.exact for each in sums.values() for table in each.tables.values()):
            blocks = self.agreement.study.workload.published[question.id]
            drawn = zip(*(_drawn(each, blocks) for each in sums.values()), strict=True)
            worlds = (dict(zip(sums, each, strict=True)) for each in drawn)
        statuses = [
            [row.obs_status for rows in self._rows(question, world).values() for row in rows] for world in worlds
        ]
        return tuple(
            (sum("u" in each for each in column) / len(column), sum("x" in each for each in column) / len(column))
            for column in zip(*statuses, strict=True)
            if not any("z" in each for each in column)
        )


@dataclass(frozen=True)
class Tables:
    """Official tables: of questions released pooled, of the sums of those that cities answer themselves, and of each city."""

    of_sum: Families
    of_all: Families
    of_cities: Mapping[int, Families]


def judged(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The rows that a question is judged by: its pooled ones, or those of cities where there are no others. Rows that are empty in the
    twin stand apart, and those that are withheld: no noise made them so."""
    pooled = [cell for cell in cells if cell.scope == POOLED]
    return tuple(cell for cell in pooled or cells if cell.counted and not cell.empty and not cell.withheld)


def mostly_noise(cells: Sequence[Cell]) -> bool:
    """More than half of the rows are wider than what they say."""
    found = judged(cells)
    return sum(cell.noise for cell in found) > NOISY_ROWS * len(found)


def typical(cells: Sequence[Cell], of: Callable[[Cell], float | None]) -> float | None:
    """The median of one figure over rows that have it; None if none has."""
    found = [value for cell in cells if cell.counted and (value := of(cell)) is not None]
    return median(found) if found else None


def _scaled(sums: Estimates, scale: float) -> Estimates:
    """The same estimates with `scale` times the noise variance; coarse units keep their rounding."""
    if scale == 1.0:
        return sums
    return replace(
        sums,
        tables={
            name: replace(table, noise={part: noise * scale for part, noise in table.noise.items()})
            for name, table in sums.tables.items()
        },
    )


def _drawn(sums: Estimates, blocks: Blocks) -> Iterator[Estimates]:
    """The tables of a question with noise in them, STRATA times.

    Errors are drawn with the covariance of the tables, then moved, cell by cell and in their order, to the middles of STRATA equally likely
    parts of the cell's own law: so few draws then say how often a cell falls below a limit as well as two hundred independent ones.
    """
    stream = sums.stream("forecast")
    errors = {name: _stratified(table, stream) for name, table in sums.tables.items()}
    for name, block in blocks.items():
        if block.measure is Measure.AMOUNT and isinstance(block.of, tuple):
            errors[name] = errors[name] + block.of[0].centre * _held(block, block.of[0], blocks, errors)
        if isinstance(block.of, Choice) and block.of.most is None:
            held = _held(block, block.of, blocks, errors)
            for each in singled({name: block}):
                errors[each] = errors[each] + held / 2
    for number in range(STRATA):
        tables = {
            name: replace(table, units=table.units + np.rint(errors[name][number] * table.quantum).astype(np.int64))
            for name, table in sums.tables.items()
        }
        yield replace(sums, tables=tables)


def _stratified(table: Table, stream: object) -> Floats:
    """STRATA x shape."""
    drawn = table.draws(stream, STRATA)
    ranks = drawn.argsort(axis=0).argsort(axis=0)
    middles = np.array([NormalDist().inv_cdf((number + 0.5) / STRATA) for number in range(STRATA)])
    return np.asarray(middles[ranks] * np.broadcast_to(table.sd, table.units.shape))


def _held(block: Block, of: Amount | Choice, blocks: Blocks, errors: Mapping[str, Floats]) -> Floats:
    """Errors of the numbers of holders whose value is known, cell by cell of an amount or a set: official sums are of x itself."""
    called = (of.variable, of.name) if isinstance(of, Amount) else (of.variable,)
    for name, other in blocks.items():
        names = [axis.name for axis in other.axes]
        for known in (f"{KNOWN_OF}({each})" for each in called):
            if other.measure is Measure.ONE and set(names) == {axis.name for axis in block.axes} | {known}:
                return np.asarray(np.moveaxis(errors[name], 1 + names.index(known), 0)[KNOWN].sum(axis=0))
    raise ValueError(f"{block.name}: the number of holders whose value is known was not measured")
