"""T60 over the shipped study: subtracting any two of its released tables yields nothing new.

In mode dp every table is made of blocks that were noised once: where two of them speak of the same holders they are one number, to the last
digit, so that their difference holds no second draw. In mode exact cells are withheld, and no equation between all printed tables gives one
of them back.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations, permutations
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from coordinator import split
from protocols import study as studies
from protocols.statistics.layout import Layout, Measure
from protocols.statistics.resolution import Resolution
from protocols.study import Study
from simulations import world as worlds
from tests.system.test_flagship import FLAGSHIP

COUNTED: Final = ("count", "frequency", "crosstab", "histogram")
LEAST: Final = 25
SMALL: Final = {"count", "frequency", "crosstab", "tgi"}
Cells = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The printed numbers of holders of one question, along the axes of its block, `_missing` last; None where one is withheld. Of a slice
    the other positions are not printed at all."""

    question: str
    axes: tuple[str, ...]
    cells: Cells
    slice: tuple[str, int] | None = None


def tables(study: Study, results: Mapping[str, Any]) -> Iterator[Table]:
    for question in study.file.questions:
        if question.kind not in COUNTED or study.release_of(question) == "by_city":
            continue
        (block,) = study.workload.blocks[question.id].values()
        part = study.workload.slices.get(question.id)
        axes = tuple(axis for axis in block.axes if part is None or axis.name != part.axis)
        found: dict[tuple[str, ...], Decimal | None] = {}
        for row in results["questions"][question.id]["rows"]:
            if row["scope"] == "pooled" and row["measure"] == "count":
                estimate = row["estimate"]
                at = tuple(row[axis.name] if axis.name in row else row[axis.source] for axis in axes)
                found[at] = None if estimate is None else Decimal(repr(estimate))
        cells = np.empty([axis.size for axis in axes], dtype=object)
        for place in np.ndindex(cells.shape):
            cells[place] = found[tuple(axis.positions[at] for axis, at in zip(axes, place, strict=True))]
        cut = None if part is None else (part.axis, part.position)
        yield Table(question.id, tuple(axis.name for axis in axes), cells, cut)


def counts(layout: Layout) -> Layout:
    """Its blocks of holders of the whole cohort, in the order of the layout."""
    return Layout(
        tuple(
            b
            for b in layout.blocks
            if b.measure is Measure.ONE and b.cohort is None and b.over is None and b.branches is None
        )
    )


# --- mode dp


@pytest.fixture(scope="module")
def released(made: Path, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Any]]:
    """Over six small cities."""
    asked, homes = split.stated(studies.load(FLAGSHIP)), tmp_path_factory.mktemp("released") / "homes"
    shutil.copytree(ingested, homes)
    return asked, json.loads(worlds.run(asked, made, homes, seed=7).results)


def brought(table: Table, onto: str, resolution: Resolution) -> Table | None:
    """The table along a coarser axis in the place of one of its own; None if it has none that is finer."""
    if onto in table.axes:
        return table
    finer = resolution.finer(onto, table.axes) if onto in resolution.axes else None
    if finer is None:
        return None
    name, to = finer
    at = table.axes.index(name)
    cells = np.full([*table.cells.shape[:at], resolution.axes[onto].size, *table.cells.shape[at + 1 :]], Decimal(0))
    for position in range(table.cells.shape[at]):
        cells[(slice(None),) * at + (int(to[position]),)] += table.cells[(slice(None),) * at + (position,)]
    return Table(table.question, (*table.axes[:at], onto, *table.axes[at + 1 :]), cells, table.slice)


def shared(one: Table, other: Table, resolution: Resolution) -> tuple[Cells, Cells] | None:
    """What both say of the same holders: along every axis of the one that the other has too, or has finer; None if one is a slice that the
    other cannot be cut to."""
    if one.slice != other.slice:
        if one.slice is None:
            one, other = other, one
        axis, position = one.slice or ("", 0)
        if other.slice is not None or axis not in other.axes:
            return None
        at = other.axes.index(axis)
        cells = np.take(other.cells, position, axis=at)
        other = Table(other.question, (*other.axes[:at], *other.axes[at + 1 :]), cells)
    kept = list[str]()
    for name in one.axes:
        found = brought(other, name, resolution)
        if found is not None and not (found is not other and set(found.axes) & set(kept) != set(kept)):
            other, kept = found, [*kept, name]
    return margin(one, kept), margin(other, kept)


def margin(table: Table, kept: list[str]) -> Cells:
    over = tuple(at for at, name in enumerate(table.axes) if name not in kept)
    left = [name for name in table.axes if name in kept]
    added = table.cells.sum(axis=over) if over else table.cells
    return np.transpose(np.asarray(added, dtype=object), [left.index(name) for name in kept])


def test_in_mode_dp_no_two_released_tables_differ_where_they_speak_of_the_same_holders(
    released: tuple[Study, dict[str, Any]],
) -> None:
    study, results = released
    resolution = Resolution.of(counts(study.workload.layout))
    found = list(tables(study, results))
    assert sum(table.slice is not None for table in found) == 3
    assert len(found) > 35
    told = 0
    for one, other in permutations(found, 2):
        both = shared(one, other, resolution)
        if both is not None:
            assert np.array_equal(*both), (one.question, other.question)
            told += both[0].size > 1
    assert told > 170  # tables with more in common than the number of all holders


def test_in_mode_dp_a_table_of_all_cities_is_the_sum_of_those_of_each(
    released: tuple[Study, dict[str, Any]],
) -> None:
    study, results = released
    both = [question.id for question in study.file.questions if study.release_of(question) == "both"]
    assert len(both) == 8
    for name in both:
        entry = results["questions"][name]
        sums: dict[tuple[object, ...], dict[bool, Decimal]] = {}
        for row in entry["rows"]:
            if row["measure"] == "count":
                at = sums.setdefault(tuple(row[key] for key in entry["keys"]), {True: Decimal(0), False: Decimal(0)})
                at[row["scope"] == "pooled"] += Decimal(repr(row["estimate"]))
        assert sums
        assert all(each[True] == each[False] for each in sums.values()), name


def test_in_mode_dp_no_table_of_holders_is_noised_twice(released: tuple[Study, dict[str, Any]]) -> None:
    """Whatever is published of holders is a margin of blocks, of which no two are of the same axes."""
    study, _ = released
    blocks = counts(study.workload.layout).blocks
    axes = [frozenset(axis.name for axis in block.axes) for block in blocks]
    assert len(set(axes)) == len(axes)


# --- mode exact


def restricted(study: Study) -> Study:
    """Its questions of numbers of holders, of all of them, released pooled: what a city that withholds small cells answers exactly."""
    questions = tuple(
        question.model_copy(update={"release": None})
        for question in study.file.questions
        if question.kind in SMALL
        and question.cohort is None
        and not any("city." in name for name in question.variables())
    )
    assert len(questions) > 35
    cities = study.file.cities.model_copy(update={"attributes": None})
    file = study.file.model_copy(update={"questions": questions, "cities": cities})
    return Study(file, study.dictionary, study.written).in_exact_mode()


@pytest.fixture(scope="module")
def suppressed(made: Path, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[Table]]:
    folder = tmp_path_factory.mktemp("differences")
    shutil.copytree(made, folder / "cities")
    shutil.copytree(ingested, folder / "homes")
    policy = folder / "cities" / "suzhou" / "policy.yaml"
    policy.write_text(policy.read_text(encoding="utf-8").replace("min_cell: 1", f"min_cell: {LEAST}"), encoding="utf-8")
    study = restricted(studies.load(FLAGSHIP))
    outcome = worlds.run(study, folder / "cities", folder / "homes", seed=7)
    return study, list(tables(study, json.loads(outcome.results)))


def determined(study: Study, found: list[Table]) -> tuple[int, dict[tuple[str, tuple[int, ...]], float]]:
    """How many cells are withheld, and the numbers of those that follow from what is printed: every printed number is a sum of atoms of a
    table, and atoms of tables with common dimensions have common margins."""
    resolution = Resolution.of(counts(study.workload.layout))
    dims = {frozenset(resolution.dims(table.axes)) for table in found}
    whole = {
        frozenset(part) for each in dims for size in range(len(each) + 1) for part in combinations(sorted(each), size)
    }
    order = sorted(whole, key=lambda each: (len(each), sorted(each)))
    shape = {each: tuple(resolution.size(dim) for dim in sorted(each)) for each in order}
    ends = np.cumsum([prod(shape[each]) for each in order])
    first = dict(zip(order, (0, *ends.tolist()), strict=False))
    place = {each: first[each] + np.arange(prod(shape[each])).reshape(shape[each]) for each in order}
    rows, sums = list[Floats](), list[float]()
    for each in order:  # a table added up along one dimension is the table without it
        for at, dim in enumerate(sorted(each)):
            along = np.moveaxis(place[each], at, 0).reshape(shape[each][at], -1)
            for cells, total in zip(along.T, place[each - {dim}].ravel(), strict=True):
                row = np.zeros(ends[-1])
                row[cells], row[total] = 1, -1
                rows.append(row)
                sums.append(0.0)
    hidden: list[tuple[str, tuple[int, ...], Floats]] = []
    for table in found:
        names = sorted(resolution.dims(table.axes))
        for cell in np.ndindex(table.cells.shape):
            row, inside = np.zeros(ends[-1]), np.ones(tuple(resolution.size(dim) for dim in names), dtype=bool)
            for name, at in zip(table.axes, cell, strict=True):
                dim = resolution.dim(name)
                to = resolution.parts[dim][name] if dim in resolution.parts else np.arange(resolution.size(dim))
                inside &= (to == at).reshape([-1 if each == dim else 1 for each in names])
            row[place[frozenset(names)][inside]] = 1
            if table.cells[cell] is None:
                hidden.append((table.question, cell, row))
            else:
                rows.append(row)
                sums.append(float(table.cells[cell]))
    matrix = np.array(rows)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    kept = values > 1e-9 * values[-1]
    basis = vectors[:, kept]
    solution = basis @ ((basis.T @ (matrix.T @ np.array(sums))) / values[kept])
    follows = {
        (question, cell): float(row @ solution)
        for question, cell, row in hidden
        if np.linalg.norm(row - basis @ (basis.T @ row)) < 1e-6
    }
    return len(hidden), follows


def test_in_mode_exact_no_equation_between_printed_tables_gives_a_small_number(
    suppressed: tuple[Study, list[Table]],
) -> None:
    """Of what is withheld only empty cells can be worked out: policies let it be known that there is nobody."""
    hidden, follows = determined(*suppressed)
    assert hidden > 200
    assert len(follows) < hidden / 5
    assert all(abs(number) < 1e-3 for number in follows.values()), follows


def test_without_complementary_cells_a_withheld_number_follows_from_its_margins(
    suppressed: tuple[Study, list[Table]],
) -> None:
    """The control: where all other cells of a line are printed, the one that is not follows."""
    study, found = suppressed
    open_ = [Table(each.question, each.axes, each.cells.copy()) for each in found]
    for table in open_:
        table.cells[table.cells == None] = Decimal(0)  # noqa: E711 element by element
    last = open_[-1]
    last.cells[(0,) * last.cells.ndim] = None
    assert set(determined(study, open_)[1]) == {(last.question, (0,) * last.cells.ndim)}
