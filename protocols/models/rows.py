"""From the rows of one city to the numbers that a regression adds up. Nothing here sees another city."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.dictionary import Column, Dictionary, Read
from protocols.models import design
from protocols.models.design import Design, Flags, Piece
from protocols.models.families import Law
from protocols.models.fixedpoint import Reals
from protocols.models.interface import Sums
from protocols.yamltext import Record

NEAR: Final = 1 << 14  # rows of a piece
Whole: TypeAlias = npt.NDArray[np.int64]


class Weights(Record):
    """frequency: a row stands for so many; analytic: its variance is that of one row by the weight."""

    kind: Literal["frequency", "analytic"]
    of: str


@dataclass(frozen=True)
class Used:
    """The rows of a batch that are in the fit."""

    matrix: Reals
    y: Reals
    offset: Reals
    frequency: Reals
    weight: Reals  # frequency times analytic weight
    cluster: Reals
    left_out: int
    unit: Whole | None = None  # whose row it is, where a holder has several; those of one stand together

    def none(self) -> "Used":
        """No row at all."""
        return Used(
            self.matrix[:0],
            self.y[:0],
            self.offset[:0],
            self.frequency[:0],
            self.weight[:0],
            self.cluster[:0],
            0,
            None if self.unit is None else self.unit[:0],
        )

    def holders(self, marked: Flags) -> Whole:
        """Of each column of marks, how many holders have a row with it. Pre-condition: rows have a unit."""
        if self.unit is None or not len(self.unit):
            return np.zeros(marked.shape[1], np.int64)
        starts = np.flatnonzero(np.r_[True, self.unit[1:] != self.unit[:-1]])
        return np.asarray(np.logical_or.reduceat(marked, starts, axis=0).sum(axis=0), np.int64)


@dataclass(frozen=True)
class Rows:
    """What is read of a row. outcome: with its public range, by which y is centred; cluster, unit: a column, or an empty text. unit: tells
    holders apart where one has several rows, which count as one where a count protects holders."""

    dictionary: Dictionary
    design: Design
    outcome: Piece
    offset: Design | None = None
    weights: Weights | None = None
    cluster: str = ""
    unit: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """What is read."""
        beside = (
            *(self.offset.variables if self.offset else ()),
            self.weights.of if self.weights else "",
            self.cluster,
        )
        return tuple(dict.fromkeys((self.outcome.name, *self.design.variables, *(name for name in beside if name))))

    def used(self, read: Read, rows: int) -> Used:
        matrix, whole = self.design.matrix(read, rows)
        name = self.outcome.name
        whole &= read(name).known
        y = (design.amounts(self.dictionary, name, read(name)) - self.outcome.middle) / self.outcome.half
        offset, frequency, analytic, cluster = np.zeros(rows), np.ones(rows), np.ones(rows), np.zeros(rows)
        if self.offset is not None:
            columns, knows = self.offset.matrix(read, rows)
            offset, whole = columns[:, 0] / self.outcome.half, whole & knows
        if self.weights is not None:
            given = read(self.weights.of)
            weight = design.amounts(self.dictionary, self.weights.of, given)
            whole &= given.known
            frequency, analytic = (weight, analytic) if self.weights.kind == "frequency" else (frequency, weight)
        if self.cluster:
            cluster = read(self.cluster).values.astype(np.float64)
            whole &= read(self.cluster).known
        left_out = int(rows - whole.sum())
        kept: Flags = whole & (frequency > 0) & (analytic > 0)  # a row of no weight is none
        unit = read(self.unit).values[kept].astype(np.int64) if self.unit else None
        weight = frequency * analytic
        if kept.all():
            return Used(matrix, y, offset, frequency, weight, cluster, left_out, unit)
        x = matrix.T[:, kept].T
        return Used(x, y[kept], offset[kept], frequency[kept], weight[kept], cluster[kept], left_out, unit)

    def moments(self, used: Used, outcome: Reals) -> Sums:
        """Round 0. outcome: what is added up of it."""
        x, there = design.scaled(self.design.pieces, used.matrix), used.matrix != 0
        values = {
            "rows": np.array([float(len(used.y))]),
            "left_out": np.array([float(used.left_out)]),
            "frequency": np.array([used.frequency.sum()]),
            "nonzero": np.count_nonzero(used.matrix, axis=0).astype(np.float64),
            "x": x.sum(axis=0),
            "square": np.einsum("ij,ij->j", x, x),
            "outcome": outcome,
        }
        if used.unit is not None:
            happened = used.y > 0
            three = np.column_stack([np.ones(len(used.y), bool), happened, ~happened])
            values["units"] = used.holders(three).astype(np.float64)
            values["nonzero"] = used.holders(there).astype(np.float64)
            values["without"] = used.holders(~there).astype(np.float64)
        return Sums(values)


def in_pieces(names: Sequence[str], read: Read, rows: int, measure: Callable[[Read, int], Sums]) -> Sums:
    """What is measured of rows that may be cut anywhere, added up over pieces that stay near the processor. names: what is read."""
    if rows <= NEAR:
        return measure(read, rows)
    held = {name: read(name) for name in names}
    found: Sums | None = None
    for first in range(0, rows, NEAR):
        part = slice(first, first + NEAR)
        near = {name: Column(each.values[part], each.known[part]) for name, each in held.items()}
        sums = measure(near.__getitem__, min(NEAR, rows - first))
        found = sums if found is None else found + sums
    assert found is not None  # noqa: S101 there are rows
    return found


def null(law: Law, constant: float, used: Used) -> Reals:
    """Deviance, score and observed information of the constant alone."""
    at = law.mean(constant + used.offset)
    u = used.weight * (used.y - at.mu)
    curvature = used.weight * at.slope * at.h - u * at.bend
    return np.array([used.weight @ law.deviance(used.y, at), u @ at.h, curvature.sum()])
