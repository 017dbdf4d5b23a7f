"""A study's tables a second time, as bare SQL over the same Parquet file: what one would write without a federation.

One query per set of axes, with every sum that has these axes. NULL stands for `_missing`; SQL's own three-valued logic is that of the
filters. Whole numbers, categories, booleans, money and months of dates; not sets and not limbs of exact squares. A file is of no city that
a study knows, and stands on `_missing` of what is said about cities.
"""

# ruff: noqa: S608 names of dictionary variables, quoted, and numbers

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from node.mapping import NOT_KNOWN
from node.snapshot import STATUS
from protocols import filters
from protocols.attributes import of_cities
from protocols.dictionary import Bands, Dictionary, Rules, YearsBefore
from protocols.statistics.layout import Axis, Block, Layout, Measure
from protocols.statistics.measures import Vector
from protocols.study import Study

Run = Callable[[str], list[tuple[Any, ...]]]
ORDER: Final = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<", "is": "="}


def queries(layout: Layout, study: Study, source: str) -> list[tuple[tuple[Block, ...], str]]:
    """The blocks that each query answers, and the query: positions of the axes, then a column per block."""
    write = _Writer(study.dictionary, study.file.as_of)
    together: dict[tuple[Axis, ...], list[Block]] = {}
    for block in layout.blocks:
        together.setdefault(block.axes, []).append(block)
    where = "" if study.file.cohort is None else f" WHERE {write.condition(study.file.cohort)}"
    found = []
    for axes, blocks in together.items():
        given = [f"({write.given(axis)}) AS g{place}" for place, axis in enumerate(axes)]
        keys = [f"{write.position(axis, f'g{place}')} AS a{place}" for place, axis in enumerate(axes)]
        sums = [write.summed(block) for block in blocks]
        group = f" GROUP BY {', '.join(f'a{place}' for place in range(len(axes)))}" if axes else ""
        rows = f"(SELECT {', '.join(['*', *given])} FROM {source}{where})"
        found.append((tuple(blocks), f"SELECT {', '.join([*keys, *sums])} FROM {rows}{group}"))
    return found


def vector(layout: Layout, study: Study, source: str, run: Run) -> Vector:
    """The answers laid out as a city's vector. What is carried in coarser units is not rounded one by one, and may differ by
    half a unit per holder."""
    total = np.zeros(layout.length, dtype=np.int64)
    for blocks, query in queries(layout, study, source):
        rows, axes = run(query), blocks[0].axes
        for at, block in enumerate(blocks):
            cells = np.zeros(block.shape, dtype=np.int64)
            for row in rows:
                places = row[: len(axes)]
                cells[tuple(a.size - 1 if p is None else p for a, p in zip(axes, places, strict=True))] = round(
                    row[len(axes) + at] or 0
                )
            total[layout.span(block)] = cells.ravel()
    return total


class _Writer:
    """Expressions over the columns of a snapshot."""

    def __init__(self, dictionary: Dictionary, as_of: date) -> None:
        self.dictionary, self.as_of = dictionary, as_of

    def variable(self, name: str) -> str:
        """NULL where not known; codes by their index, money in fen."""
        entry = self.dictionary.derived.get(name)
        match entry:
            case None:
                unknown = ", ".join(str(status) for status in sorted(NOT_KNOWN))
                return f'CASE WHEN "{name}{STATUS}" NOT IN ({unknown}) THEN "{name}" END'
            case YearsBefore(as_of_year_minus=source, range=(low, high)):
                return _clipped(f"({self.as_of.year} - ({self.variable(source)}))", low, high)
            case Bands(of=source, bands=bands):
                of, per = self.variable(source), 100 if self.dictionary.type_of(source) == "money" else 1
                edges = [(f"({of}) BETWEEN {low * per} AND {high * per}", code) for code, (low, high) in bands.items()]
                return self._chosen(name, [(f"({of}) IS NULL", None), *edges], entry.else_)
            case Rules(rules=rules):
                met = [(self.condition(rule.when), rule.code) for rule in rules]
                parts = [part for when, code in met for part in ((f"({when}) IS NULL", None), (when, code))]
                return self._chosen(name, parts, entry.else_)
        raise TypeError(entry)

    def _chosen(self, name: str, parts: Sequence[tuple[str, str | None]], otherwise: str | None) -> str:
        codes = self.dictionary.codes(name)
        place: dict[str | None, str] = {None: "NULL"}
        place.update({code: str(at) for at, code in enumerate(codes)})
        cases = " ".join(f"WHEN {when} THEN {place[code]}" for when, code in parts)
        return f"CASE {cases} ELSE {place[otherwise]} END"

    def condition(self, condition: Any) -> str:
        """A filter; NULL where it is unknown."""
        match condition:
            case filters.All(all=several):
                return " AND ".join(f"({self.condition(each)})" for each in several)
            case filters.Any_(any=several):
                return " OR ".join(f"({self.condition(each)})" for each in several)
            case filters.Not(not_=one):
                return f"NOT ({self.condition(one)})"
        name, operator = condition.variable, condition.operator()
        given, read = f"({self.variable(name)})", self.dictionary.reader(name)
        match operator:
            case "missing":
                return f"{given} IS {'' if condition.missing else 'NOT '}NULL"
            case "in":
                return f"{given} IN ({', '.join(str(read(word)) for word in condition.in_)})"
            case "between":
                low, high = condition.between
                return f"{given} BETWEEN {read(low)} AND {read(high)}"
        return f"{given} {ORDER[operator]} {read(condition.is_ if operator == 'is' else getattr(condition, operator))}"

    def given(self, axis: Axis) -> str:
        """What decides the position; of a date, its month by number."""
        if of_cities(axis.source):
            return "NULL::BIGINT"
        of = self.variable(axis.source)
        if axis.months is None:
            return of
        day = f"(DATE '1970-01-01' + ({of})::INTEGER)"
        return f"year({day}) * 12 + month({day}) - 1"

    def position(self, axis: Axis, given: str) -> str:
        """Where a row stands, by the column `given`."""
        if axis.known_only:
            return f"CASE WHEN {given} IS NOT NULL THEN 0 END"
        if axis.months is not None:
            months = axis.months
            inside = f"WHEN {given} BETWEEN {months.first} AND {months.last} THEN {given} - {months.first}"
            return f"CASE WHEN {given} IS NULL THEN NULL {inside} ELSE {months.number} END"
        if axis.cuts is None:
            return given
        return f"CASE WHEN {given} IS NOT NULL THEN {_searched(given, axis.cuts, axis.skip, 0, len(axis.cuts))} END"

    def summed(self, block: Block) -> str:
        if block.measure is Measure.ONE:
            return "count(*)"
        if not isinstance(block.of, tuple) or block.limb is not None or len(block.of) != 1:
            raise TypeError(block.name)
        (of,) = block.of
        if of.shift:
            raise TypeError(of)
        u = f"({_clipped(f'({self.variable(of.variable)})', of.low, of.high)} - {of.centre})"
        if block.measure is Measure.AMOUNT:
            return f"sum({u}) / {1 << block.shift}"
        return f"(sum({u} * {u}) * 2 - count({u})::HUGEINT * {of.half_width**2}) / {of.square_halves << block.shift}"


def _searched(given: str, cuts: Sequence[int], skip: int, least: int, most: int) -> str:
    """How many of the cuts a value has reached, less `skip`, but never below 0: by halves, as thousands of them are not tried in turn.
    It is known to have reached `least`, and not more than `most`."""
    if least == most:
        return str(max(0, least - skip))
    half = (least + most + 1) // 2
    above, below = (_searched(given, cuts, skip, *part) for part in ((half, most), (least, half - 1)))
    return f"CASE WHEN {given} >= {cuts[half - 1]} THEN {above} ELSE {below} END"


def _clipped(given: str, low: int, high: int) -> str:
    """NULL stays NULL, which `greatest` and `least` of DuckDB would forget."""
    return f"(CASE WHEN {given} < {low} THEN {low} WHEN {given} > {high} THEN {high} ELSE {given} END)::BIGINT"
