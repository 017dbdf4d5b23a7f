"""The cross-table that the information of a fit is while all coefficients but the constant are zero: every row has the same weight then.

Codes of one variable by those of another stand in it as counts, their first codes too, which have no column: what the other columns leave.
Where rows have weights or an offset, cells are their sums, in rows of mean weight.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from protocols.models.design import Columns, Piece
from protocols.models.fixedpoint import Reals
from protocols.models.rows import Used


def thinnest(
    families: Sequence[Sequence[int]], pieces: Sequence[Piece], columns: Columns, information: Reals, rows: int
) -> int | None:
    """The rows of the smallest cell that has any, over codes and pairs of codes of two terms; None where no term has codes.

    families: the places of the pieces of each term. information: of the constant and the columns, z'z times any factor.
    """
    q = len(columns.groups)
    back = np.diag(np.array([1.0, *columns.scale]))
    back[1:, 0] = columns.centre
    table = back @ information @ back.T * (rows / information[0, 0])
    unit = np.eye(1 + q)
    terms = [
        np.array([unit[0] - unit[[1 + at for at in inside]].sum(axis=0), *(unit[1 + at] for at in inside)])
        for inside in _coded(families, pieces, columns)
    ]
    counts = [np.diag(each @ table @ each.T) for each in terms]
    counts += [(one @ table @ other.T).ravel() for one, other in combinations(terms, 2)]
    return least(np.rint(np.concatenate([np.zeros(0), *counts])))


def held(families: Sequence[Sequence[int]], pieces: Sequence[Piece], columns: Columns, used: Used) -> Reals:
    """The same cross-table where a holder has several rows: how many holders have a row in each cell. All of the codes of each term, then
    the pairs of each two."""
    placed = []
    for inside in _coded(families, pieces, columns):
        at = np.zeros(len(used.y), np.int64)  # 0: none of the columns
        for code, column in enumerate(inside, 1):
            at[(used.matrix[:, list(columns.groups[column])] != 0).any(axis=1)] = code
        placed.append((at, 1 + len(inside)))
    tables = [(at, size) for at, size in placed]
    tables += [(one * more + other, size * more) for (one, size), (other, more) in combinations(placed, 2)]
    return np.concatenate([np.zeros(0), *(_holders(at, size, used) for at, size in tables)])


def _holders(at: npt.NDArray[np.int64], size: int, used: Used) -> Reals:
    """Of each cell, how many holders have a row in it."""
    if used.unit is None or not len(at):
        return np.zeros(size)
    return np.bincount(np.unique(used.unit * size + at) % size, minlength=size).astype(np.float64)


def cells(families: Sequence[Sequence[int]], pieces: Sequence[Piece], columns: Columns) -> int:
    """How many numbers `held` gives."""
    sizes = [1 + len(inside) for inside in _coded(families, pieces, columns)]
    return sum(sizes) + sum(one * other for one, other in combinations(sizes, 2))


def least(counts: Reals) -> int | None:
    """The smallest cell that has anybody."""
    return int(counts[counts > 0].min()) if (counts > 0).any() else None


def _coded(families: Sequence[Sequence[int]], pieces: Sequence[Piece], columns: Columns) -> list[list[int]]:
    """Of each term of codes alone, its columns in the fit."""
    found = []
    for family in map(set, families):
        inside = [at for at, group in enumerate(columns.groups) if group[0] in family]
        if inside and all(pieces[columns.groups[at][0]].indicator for at in inside):
            found.append(inside)
    return found
