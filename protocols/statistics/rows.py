"""Rows of an answer: one released number each, with all that is said about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from protocols.statistics.layout import Axis

DIGITS: Final = 12  # significant, of every number that is not a sum
WHERE_MEANT: Final = frozenset(("base", "p_value", "q_value", "preference", "position", "contrast", "tie", "item"))


def significant(value: float) -> float:
    """A number as it is printed: 12 significant digits. Sums are not rounded this way: they carry the decimals of their quantum."""
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class Row:
    """`keys`: axis name to code, in the question's order. Numbers are as they are printed; `None` is null."""

    measure: str
    keys: Mapping[str, str] = field(default_factory=dict)
    base: float | int | None = None
    estimate: float | int | None = None
    display: float | int | None = None
    se_noise: float | None = None
    se_sampling: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    preference: str | None = None
    position: str | None = None
    contrast: bool = False
    tie: str | None = None  # letters: rows that share one cannot be told apart
    item: str | None = None  # of a row that is keyed by its place: what stands there
    obs_status: str = ""
    conf_status: str = ""

    def withheld(self) -> "Row":
        """The same row where its number is not to be known. Nor is why there is none (`x`: its base may be 0), or how sure it is (`u`);
        that no number applies is public."""
        if "z" in self.obs_status:
            return self
        public = "".join(letter for letter in self.obs_status if letter not in "ux")
        return Row(self.measure, self.keys, contrast=self.contrast, obs_status=public, conf_status="C")

    def published(self, scope: str) -> dict[str, Any]:
        """The row as results.json and the tables hold it, columns in order. Some stand only where they are meant."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)[2:]}
        kept = {
            name: value
            for name, value in columns.items()
            if name not in WHERE_MEANT or (value is not None and value is not False)
        }
        return {"scope": scope, "measure": self.measure, **self.keys, **kept}


@dataclass(frozen=True)
class Test:
    """A statement about a whole table: chi_square, cramers_v. `values` in the order they are printed."""

    __test__: ClassVar[bool] = False  # the word of statistics, not of pytest

    name: str
    values: Mapping[str, float | int | str | None]


@dataclass(frozen=True)
class Answer:
    rows: tuple[Row, ...]
    tests: tuple[Test, ...] = ()

    def without(self, hidden: Callable[[Row], bool], *, tested: bool) -> "Answer":
        """The same rows without the numbers of those that are not to be known (status `C`); what is said of the whole table only where
        `tested`."""
        rows = tuple(each.withheld() if hidden(each) else each for each in self.rows)
        untold = (replace(test, values=dict.fromkeys(test.values) | {"conf_status": "C"}) for test in self.tests)
        return Answer(rows, self.tests if tested else tuple(untold))

    def unavailable(self) -> "Answer":
        """The same rows without their numbers, for a question that too few cities could answer in the end."""
        rows = tuple(
            Row(
                row.measure,
                row.keys,
                contrast=row.contrast,
                obs_status=row.obs_status if "z" in row.obs_status else "x",
            )
            for row in self.rows
        )
        tests = tuple(replace(test, values=dict.fromkeys(test.values) | {"obs_status": "x"}) for test in self.tests)
        return Answer(rows, tests)


def table_rows(
    measure: str,
    axes: Sequence[Axis],
    sums: Mapping[str, npt.NDArray[Any]],
    figures: Mapping[str, npt.NDArray[Any]],
    marks: npt.NDArray[Any],
    preference: npt.NDArray[Any] | None = None,
) -> tuple[Row, ...]:
    """One row per cell, cells of holders whose place is known first, in the order of the axes.

    `sums`: columns printed as they are; `figures`: columns to be rounded; NaN is null. `marks`: the obs_status. All arrays have one entry
    per known position of each axis, or per position; a measure that was given for known positions is not applicable to the others.
    """
    columns = [(name, values.ravel().tolist(), False) for name, values in sums.items()]
    columns += [(name, values.ravel().tolist(), True) for name, values in figures.items()]
    at = {index: number for number, index in enumerate(np.ndindex(marks.shape))}
    statuses = marks.ravel().tolist()
    leaning = None if preference is None else preference.ravel().tolist()
    rows = []
    for index in positions(axes):
        keys = {axis.name: axis.positions[place] for axis, place in zip(axes, index, strict=True)}
        if index not in at:
            rows.append(Row(measure, keys, obs_status="z"))
            continue
        number = at[index]
        numbers: dict[str, Any] = {name: _printed(values[number], rounded) for name, values, rounded in columns}
        lean = leaning[number] if leaning and statuses[number] != "x" else None
        rows.append(Row(measure, keys, **numbers, preference=lean, obs_status=statuses[number]))
    return tuple(rows)


def positions(axes: Sequence[Axis]) -> Iterator[tuple[int, ...]]:
    """Every cell of a table: all-known ones first."""
    yield from product(*(range(axis.size - 1) for axis in axes))
    for index in product(*(range(axis.size) for axis in axes)):
        if any(place == axis.size - 1 for place, axis in zip(index, axes, strict=True)):
            yield index


def _printed(value: float | int | None, rounded: bool) -> float | int | None:
    if value is None or value != value:
        return None
    return significant(value) if rounded else value
