"""The cross-table that the information of a fit is while all coefficients but the constant are zero: every row has the same weight then.

Codes of one variable by those of another stand in it as counts, their first codes too, which have no column: what the other columns leave.
Where rows have weights or an offset, cells are their sums, in rows of mean weight.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from protocols.models.design import Columns, Piece
from protocols.models.fixedpoint import Reals


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
    terms = [np.array(chosen) for family in families if (chosen := list(_codes(set(family), pieces, columns, q)))]
    cells = [np.diag(each @ table @ each.T) for each in terms]
    cells += [(one @ table @ other.T).ravel() for one, other in combinations(terms, 2)]
    counts = np.rint(np.concatenate(cells)) if cells else np.zeros(0)
    return int(counts[counts > 0].min()) if (counts > 0).any() else None


def _codes(family: set[int], pieces: Sequence[Piece], columns: Columns, q: int) -> Iterator[Reals]:
    """Of a term of codes alone, which columns add up to each of them: its columns, and the rest."""
    inside = [at for at, group in enumerate(columns.groups) if group[0] in family]
    if not inside or not all(pieces[columns.groups[at][0]].indicator for at in inside):
        return
    unit = np.eye(1 + q)
    yield unit[0] - unit[[1 + at for at in inside]].sum(axis=0)
    yield from unit[[1 + at for at in inside]]
