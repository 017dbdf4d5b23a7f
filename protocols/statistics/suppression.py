"""Which cells of exact tables may not be printed, so that nobody computes a small count back.

    1. primary: counts of 1 .. least - 1; and a line in which a single cell holds everybody, since it tells something of each of them
    2. attack: printed cells are known; of the others, that they are >= 0 and add up. Linear programmes give the range of each
    3. complementary: while the range of one is narrower than `least`, the smallest further cell that stands in a sum with it

All tables of a study over one cohort are attacked together, with every margin, and with the finest parts that two axes of one variable have
in common (years and bands of age). A *line* is a row or column: the cells along one axis, all else fixed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.statistics.estimates import AxisSet, Family, subsets
from protocols.statistics.intervals import benjamini_hochberg, leaning
from protocols.statistics.layout import Axis
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, Row, Test, significant

MOST_ADDED: Final = 200  # cells that one table gives up for others; beyond, it is withheld whole
MOST_UNKNOWN: Final = 20_000  # cells of one attack; beyond, all but the total is withheld
SLACK: Final = 1e-6  # of a linear programme's answer

Bools: TypeAlias = npt.NDArray[np.bool_]
Cells: TypeAlias = npt.NDArray[np.int64]  # numbers in a list of all cells of all tables
Wide: TypeAlias = Callable[
    [Any, Any], Bools
]  # from the least and the most that cells were shown to hold: whether that is enough


@dataclass(frozen=True)
class Withheld:
    """`cells`: of every table and margin, by its axes (names ascending), whether each cell is withheld; the table on () is the total."""

    axes: Mapping[str, Axis]
    cells: Mapping[AxisSet, Bools]

    @property
    def number(self) -> int:
        return sum(int(cells.sum()) for cells in self.cells.values())

    def covered(self, answer: Answer, axes: Sequence[Axis]) -> Answer:
        """The answer without what must not be printed: such rows and tests have status C and no number. `axes`: of its table of holders.

        A count is withheld with its cell. Whatever else is said of a cell is made of it, of its line totals and of those without a value:
        it is withheld with any of them. What is said of a whole table is withheld with any of its cells, and q-values are those of the
        tests that are printed: one over all tests would tell of the others.
        """
        rows = tuple(
            withheld_row(row) if row.estimate is not None and self._holds(row, axes) else row for row in answer.rows
        )
        if rows != answer.rows:
            rows = _corrected(rows)
        if not self.touches(axes):
            return Answer(rows, answer.tests)
        return Answer(rows, tuple(_untold(test) for test in answer.tests))

    def touches(self, axes: Sequence[Axis]) -> bool:
        """Whether any cell of a table, or of its margins, is withheld."""
        return any(self.cells[part].any() for part in subsets(frozenset(axis.name for axis in axes)))

    def _holds(self, row: Row, axes: Sequence[Axis]) -> bool:
        choices = [_choices(axis, row) for axis in axes]
        return any(self._at(axes, places) for places in product(*choices))

    def _at(self, axes: Sequence[Axis], places: Sequence[int | None]) -> bool:
        chosen = {axis.name: at for axis, at in zip(axes, places, strict=True) if at is not None}
        return bool(self.cells[frozenset(chosen)][tuple(chosen[name] for name in sorted(chosen))])


def _choices(axis: Axis, row: Row) -> tuple[int | None, ...]:
    """Where on an axis the cells stand that a row is made of; None: on all of it together."""
    missing = axis.size - 1
    code = row.keys.get(axis.name, row.keys.get(axis.source))
    if row.contrast:  # of one group with the others
        return (None, *range(axis.size))
    if code is None or code not in axis.positions:  # all of it, or all whose value is known
        if row.measure != "count" and not axis.known_only and axis.cuts is None:
            return (None, *range(axis.size))  # how many said yes is what a mean of a boolean, or a ratio, is made of
        return (None,) if code is None and row.measure == "count" else (None, missing)
    at = axis.positions.index(code)
    return (at,) if row.measure == "count" else (at, None, missing)


def uncovered(answer: Answer) -> Answer:
    """Without any number: what an answer says cannot be taken apart into cells that are printed and others."""
    rows = tuple(row if row.estimate is None else withheld_row(row) for row in answer.rows)
    return Answer(rows, tuple(_untold(test) for test in answer.tests))


def withheld_row(row: Row) -> Row:
    """A row of which nothing is printed."""
    return Row(row.measure, row.keys, contrast=row.contrast, obs_status=row.obs_status, conf_status="C")


def _corrected(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows with q-values, and what is said by them, over the printed tests alone."""
    tested = [row for row in rows if row.p_value is not None]
    corrected = benjamini_hochberg(np.array([row.p_value for row in tested], dtype=np.float64)).tolist()
    found = {id(row): significant(q) for row, q in zip(tested, corrected, strict=True)}

    def anew(row: Row) -> Row:
        q = found.get(id(row))
        if q is None or row.preference is None:
            return replace(row, q_value=q)
        cells = sum(other.measure == row.measure for other in rows)
        return replace(row, q_value=q, preference=str(leaning(row.ci_low, row.ci_high, q, cells)))

    return tuple(map(anew, rows))


def _untold(test: Test) -> Test:
    return Test(test.name, dict.fromkeys(test.values) | {"conf_status": "C"})


def withheld(
    family: Family,
    resolution: Resolution,
    least: int,
    fewest: int = 0,
    known: Mapping[AxisSet, Bools] = MappingProxyType({}),
) -> Withheld:
    """What must not be printed of the exact counts of one cohort, where no count of 1 .. `least` - 1 may be known.

    With `least` <= 1 nothing is withheld; with fewer than `fewest` holders in all, everything. `resolution`: of the layout, where axes
    share a variable. `known`: cells that were printed before, of tables of the family; the attacker has them whatever is withheld now. The
    answer depends on the counts, and on them, alone.
    """
    attack = Attack.on(family, resolution)
    total = attack.values[attack.tables[frozenset()]]
    hidden = np.full(len(attack.values), bool(total < fewest))
    if least > 1 and total >= fewest:
        printed = np.zeros(len(attack.values), dtype=bool)
        for part, cells in known.items():
            printed[attack.tables[part][cells]] = True
        small = _primary(attack, least)
        hidden = small & ~printed
        _complement(attack, hidden, least, printed)
        hidden |= small
    return Withheld(family.axes, {part: hidden[cells] for part, cells in attack.tables.items()})


def possible(family: Family, resolution: Resolution, hidden: Mapping[AxisSet, Bools]) -> Family:
    """The family with whole numbers >= 0 in the place of withheld cells, with which all tables add up: one of many ways.

    Errors: `ValueError` where there is none.
    """
    attack = Attack.on(family, resolution)
    unknown, values = attack.left(np.concatenate([hidden[part].ravel() for part in attack.tables]))
    columns = np.flatnonzero(unknown)
    ties = attack.sums[:, columns]
    rows = np.flatnonzero(np.diff(ties.indptr))
    if len(columns):
        most = float(attack.values.max() + 1) * 2
        programme = _Programme(ties[rows], -(attack.sums[rows] @ values), most)
        found = programme.least(np.zeros(len(columns)))
        values[columns] = np.rint(found if np.allclose(found, np.rint(found), atol=SLACK) else programme.whole())
    if (attack.sums @ values).any() or values.min() < 0:
        raise ValueError("the counts do not add up")
    units = {part: values[cells] * family.quantum for part, cells in attack.tables.items()}
    return replace(family, units=units)


# --- what an attacker knows


@dataclass(frozen=True)
class Attack:
    """All cells in one list: those of the printed tables first, then those of no printed table, the finest parts of shared axes.

    `values`: of the printed ones. `tables`: the numbers of the cells of each printed table, and `finest`: of each finest one. `sums`: rows
    over cells, 1 for each part and -1 for its total, so that each row gives 0.
    """

    values: Cells
    tables: Mapping[AxisSet, Cells]
    finest: Mapping[AxisSet, Cells]
    sums: Any

    @classmethod
    def on(cls, family: Family, resolution: Resolution) -> "Attack":
        printed = {part: units // family.quantum for part, units in family.units.items()}
        shared = {part: resolution.dims(part) for part in printed if resolution.shared(part)}
        number = 0
        tables, finest = dict[AxisSet, Cells](), dict[AxisSet, Cells]()
        for part, units in printed.items():
            tables[part] = np.arange(number, number + units.size).reshape(units.shape)
            number += units.size
        for dims in sorted(set(shared.values()), key=sorted):
            shape = [resolution.size(dim) for dim in sorted(dims)]
            finest[dims] = np.arange(number, number + int(np.prod(shape))).reshape(shape)
            number += finest[dims].size
        pieces = [*_margins(tables, tables), *_margins(finest, {**tables, **finest})]
        pieces += [_cut(tables[part], part, finest[dims], dims, resolution) for part, dims in shared.items()]
        values = np.concatenate([units.ravel() for units in printed.values()])
        return cls(values, tables, finest, _sparse(pieces, number))

    @cached_property
    def by_cell(self) -> Any:
        """The sums again, column by column."""
        return self.sums.tocsc()

    def sums_of(self, cell: int) -> frozenset[int]:
        """The rows in which a cell stands, as part or as total."""
        columns = self.by_cell
        return frozenset(columns.indices[columns.indptr[cell] : columns.indptr[cell + 1]].tolist())

    def left(self, hidden: Bools) -> tuple[Bools, Cells]:
        """Of all cells: whether one is neither printed nor found by simple subtraction; and the values of those that are."""
        unknown = np.ones(self.sums.shape[1], dtype=bool)
        unknown[: len(hidden)] = hidden
        values = np.zeros(len(unknown), dtype=self.values.dtype)
        values[: len(hidden)][~hidden] = self.values[~hidden]
        held = abs(self.sums)
        while True:
            alone = np.flatnonzero(held @ unknown.astype(np.int64) == 1)
            if not len(alone):
                return unknown, values
            lines = self.sums[alone].tocoo()
            signs = np.where(unknown[lines.col], lines.data, 0)
            rest = self.sums[alone] @ values
            found = signs != 0
            values[lines.col[found]] = -signs[found] * rest[lines.row[found]]
            unknown[lines.col[found]] = False


def _margins(tables: Mapping[AxisSet, Cells], totals: Mapping[AxisSet, Cells]) -> Iterator[tuple[Cells, Cells]]:
    """(total of each line, its cells), line by line, of every table along every axis."""
    for part, cells in tables.items():
        for axis, name in enumerate(sorted(part)):
            yield totals[part - {name}].ravel(), np.moveaxis(cells, axis, -1).reshape(-1, cells.shape[axis])


def _cut(cells: Cells, part: AxisSet, fine: Cells, dims: AxisSet, resolution: Resolution) -> tuple[Cells, Cells]:
    """(cell of a printed table, finest parts that make it); -1 fills up."""
    order, axes = sorted(dims), sorted(part)
    at = [
        np.asarray(resolution.parts[resolution.dim(axis)][axis])[place] if resolution.shared([axis]) else place
        for axis in axes
        for place in [np.indices(fine.shape)[order.index(resolution.dim(axis))]]
    ]
    made = cells[tuple(at)].ravel()
    lines = [fine.ravel()[made == cell] for cell in cells.ravel()]
    found = np.full((len(lines), max(map(len, lines))), -1)
    for row, line in zip(found, lines, strict=True):
        row[: len(line)] = line
    return cells.ravel(), found


def _sparse(pieces: Sequence[tuple[Cells, Cells]], number: int) -> Any:
    from scipy.sparse import coo_array

    rows, columns, signs, at = [], [], [], 0
    for totals, parts in pieces:
        lines = np.arange(at, at + len(totals))
        inside = parts >= 0
        rows += [lines, np.broadcast_to(lines[:, None], parts.shape)[inside]]
        columns += [totals, parts[inside]]
        signs += [np.full(len(totals), -1), np.ones(int(inside.sum()), dtype=np.int64)]
        at += len(totals)
    if not pieces:
        return coo_array((0, number), dtype=np.int64).tocsr()
    triple = (np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns)))
    return coo_array(triple, shape=(at, number)).tocsr()


# --- primary


def _primary(attack: Attack, least: int) -> Bools:
    """Small counts, and lines in which one cell holds everybody although other positions of the axis are held by others."""
    values = attack.values
    hidden = (values > 0) & (values < least)
    for part, cells in attack.tables.items():
        if len(part) < 2:
            continue
        held = values[cells]
        for axis in range(cells.ndim):
            alive = held.sum(axis=tuple(other for other in range(cells.ndim) if other != axis), keepdims=False) > 0
            alone = (np.moveaxis(held, axis, -1) > 0).sum(axis=-1) == 1
            if alive.sum() > 1:
                lines = np.moveaxis(cells, axis, -1)
                hidden[lines[alone][:, alive].ravel()] = True
    return hidden


# --- complementary


def _complement(attack: Attack, hidden: Bools, least: int, known: Bools) -> None:
    """Withhold further cells, in place, until none that must be guarded has a narrower range than `least`. `known`: cells that cannot be
    withheld any more."""
    guarded = hidden.copy()
    low, high = (
        attack.values.astype(np.float64) for _ in range(2)
    )  # shown to be possible; withholding more only widens it
    given = dict.fromkeys(attack.tables, 0)
    table_of = np.empty(len(hidden), dtype=object)
    for part, cells in attack.tables.items():
        table_of[cells.ravel()] = [part] * cells.size
    while True:
        most = float(attack.values.max() + least) * 2
        narrow = narrow_cells(attack, hidden, guarded, (low, high), most, lambda low, high: high - low >= least - SLACK)
        found = [further for cell in narrow if (further := further_cell(attack, hidden | known, cell)) is not None]
        if not found:  # all ranges are wide enough, or nothing is left to withhold
            return
        for further in found:
            part = table_of[further]
            given[part] += 1
            chosen = attack.tables[part].ravel() if given[part] > MOST_ADDED else np.array([further])
            chosen = chosen[~known[chosen]]
            hidden[chosen] = True
            guarded[chosen] |= attack.values[chosen] > 0


def further_cell(attack: Attack, hidden: Bools, cell: int) -> int | None:
    """The smallest cell not in `hidden` that stands in a sum with one: parts before totals, cells that hold somebody before empty ones."""
    reached, seen = {cell}, {cell}
    while reached:
        rows = sorted(frozenset[int]().union(*map(attack.sums_of, reached)))
        lines = attack.sums[rows].tocoo()
        at, signs = lines.col, lines.data
        printed = at < len(hidden)
        printed[printed] = ~hidden[at[printed]]
        if printed.any():
            values = attack.values[at[printed]]
            order = np.lexsort((at[printed], values, values == 0, signs[printed] < 0))
            return int(at[printed][order[0]])
        reached = set(at.tolist()) - seen
        seen |= reached
    return None


def narrow_cells(
    attack: Attack, hidden: Bools, guarded: Bools, shown: tuple[Any, Any], most: float, wide: Wide
) -> list[int]:
    """Guarded cells whose range is not `wide` enough, no two in one sum: one further cell may help both.

    `shown`: the least and the most that each was shown to hold, updated in place. `most`: above all that they can. Empty only where all
    ranges are wide enough.
    """
    low, high = shown
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    unknown, values = attack.left(hidden)
    printed = len(hidden)
    found, helped = list[int](), set[int]()
    for cell in np.flatnonzero(guarded & ~unknown[:printed]).tolist():
        if not helped & attack.sums_of(cell):
            found.append(cell)
            helped |= attack.sums_of(cell)
    columns = np.flatnonzero(unknown)
    ties = attack.sums[:, columns]
    rows = np.flatnonzero(np.diff(ties.indptr))
    ties = csr_array(ties[rows])
    wanted = -(attack.sums[rows] @ values)
    _, group = connected_components(abs(ties).T @ abs(ties), directed=False)
    for number in dict.fromkeys(
        group[np.isin(columns, np.flatnonzero(_open(guarded & unknown[:printed], low, high, wide)))]
    ):
        inside = np.flatnonzero(group == number)
        cells = columns[inside]
        about = np.flatnonzero(np.diff(ties[:, inside].tocsr().indptr))
        seen = cells[cells < printed]
        if len(cells) > MOST_UNKNOWN:
            kept = bool(hidden[attack.tables[frozenset()]])
            hidden[:] = True
            hidden[attack.tables[frozenset()]] = kept
            return []
        programme = _Programme(ties[about][:, inside], wanted[about], most)
        still = seen[_open(guarded, low, high, wide)[seen]]
        while True:  # as many at once as can rise together
            _show(programme.least(-np.isin(cells, still).astype(float)), cells, printed, low, high)
            after = seen[_open(guarded, low, high, wide)[seen]]
            if len(after) in (0, len(still)):
                break
            still = after
        for cell in after.tolist():
            if helped & attack.sums_of(cell):
                continue
            for sign in (-1.0, 1.0):
                if _open(guarded, low, high, wide)[cell]:
                    _show(programme.least(np.where(cells == cell, sign, 0.0)), cells, printed, low, high)
            if _open(guarded, low, high, wide)[cell]:
                found.append(cell)
                helped |= attack.sums_of(cell)
    return found


def _open(guarded: Bools, low: Any, high: Any, wide: Wide) -> Bools:
    """Guarded cells whose range was not yet shown to be wide enough."""
    return np.asarray(guarded & ~wide(low, high))


def _show(found: Any, cells: Cells, printed: int, low: Any, high: Any) -> None:
    seen = cells < printed
    low[cells[seen]] = np.minimum(low[cells[seen]], found[seen])
    high[cells[seen]] = np.maximum(high[cells[seen]], found[seen])


@cache
def _greeted() -> None:
    """The solver greets on the process's standard output at its first use, where a program prints data: it is made to say so to nobody."""
    import highspy

    output = os.dup(1)
    nobody = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nobody, 1)
        highspy.Highs()  # type: ignore[no-untyped-call]  # the library has no types
    finally:
        os.dup2(output, 1)
        os.close(output)
        os.close(nobody)


class _Programme:
    """x >= 0 with ties @ x = wanted; `most`: above all that can be, so that every programme ends. Each begins where the last one ended."""

    def __init__(self, ties: Any, wanted: Cells, most: float) -> None:
        import highspy

        _greeted()
        lines = ties.tocsr().astype(np.float64)
        number, cells = lines.shape
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = cells, number
        model.col_cost_ = np.zeros(cells)
        model.col_lower_, model.col_upper_ = np.zeros(cells), np.full(cells, most)
        model.row_lower_ = model.row_upper_ = wanted.astype(np.float64)
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = lines.indptr, lines.indices, lines.data
        self.solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # the library has no types
        for option, value in (
            ("output_flag", False),
            ("log_to_console", False),
            ("threads", 1),
            ("simplex_strategy", 4),
            ("presolve", "off"),
        ):
            self.solver.setOptionValue(option, value)
        self.solver.passModel(model)
        self.optimal = highspy.HighsModelStatus.kOptimal
        self.columns = np.arange(cells, dtype=np.int32)

    def whole(self) -> Any:
        """A solution in whole numbers, whichever comes first."""
        import highspy

        whole = np.full(len(self.columns), highspy.HighsVarType.kInteger)
        self.solver.changeColsIntegrality(len(self.columns), self.columns, whole)
        return self.least(np.zeros(len(self.columns)))

    def least(self, aim: Any) -> Any:
        """A solution in which aim @ x is least."""
        self.solver.changeColsCost(len(self.columns), self.columns, np.ascontiguousarray(aim, dtype=np.float64))
        self.solver.run()
        if self.solver.getModelStatus() != self.optimal:
            raise ValueError(f"the counts of a study do not add up: {self.solver.getModelStatus()}")
        return np.array(self.solver.getSolution().col_value)
