"""Made-up rows in which columns have the shape that everybody knows they have: a code is one of its category's codes, a product is a
product, and a weight of evidence is that of a bin. Numbers are normal. Nothing here has seen a row: parts of codes are those of released
sums.

How uncertain a coefficient is, and how far a step goes, depends on the rows that a code holds: where an event is rare among them, rows of
the same mean and covariance that are normal tell too much.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from protocols.models.design import Columns, Design, Term
from protocols.models.fixedpoint import Reals

Levels: TypeAlias = Mapping[
    str, tuple[Reals, Reals]
]  # of a column that takes few values: these, and the part of the rows with each
FEWEST: Final = 8  # made-up rows with a code, at least, so that no column is constant
FLATTEST: Final = 1e-3  # the least eigenvalue of the correlations of columns that are taken


def shaped(design: Design, columns: Columns, mean: Reals, levels: Levels, normal: Reals) -> Reals:
    """Rows x pieces, each column of mean 0 and variance 1. mean: of the standardised columns; normal: standard normal draws of that shape.
    They are taken as they are where the columns made of them would be collinear."""
    centre, scale = np.array(columns.centre), np.array(columns.scale)
    parts, made = centre + scale * mean, normal.copy()
    families = dict(zip(map(str, design.terms), design.families, strict=False))
    for at, piece in enumerate(design.pieces):
        if piece.name in levels:
            made[:, at] = _drawn(*levels[piece.name], normal[:, at])
        elif not piece.indicator:
            made[:, at] = parts[at] + scale[at] * normal[:, at]
    for family in design.families:
        if all(design.pieces[at].indicator for at in family):
            made[:, list(family)] = _codes(parts[list(family)], normal[:, family[0]])
    for term, family in zip(design.terms, design.families, strict=False):
        if len(term.factors) > 1:
            _multiplied(term, family, families, made)
    made -= made.mean(axis=0)
    spread = made.std(axis=0)
    if not (spread > 0).all():
        return normal
    made /= spread
    return made if np.linalg.eigvalsh(made.T @ made / len(made))[0] > FLATTEST else normal


def _multiplied(term: Term, family: Sequence[int], families: Mapping[str, tuple[int, ...]], made: Reals) -> None:
    """The columns of a product whose factors are terms, too; another keeps columns of its own."""
    first, second = (families.get(str(factor), ()) for factor in term.factors)
    if first and second:
        pairs = (made[:, one] * made[:, other] for one in first for other in second)
        for at, column in zip(family, pairs, strict=True):
            made[:, at] = column


def _codes(parts: Reals, normal: Reals) -> Reals:
    """An indicator for each code but the first; of the rows, each code has its part."""
    least = min(FEWEST / len(normal), 1 / (len(parts) + 1))
    every = np.maximum(np.concatenate([[1 - parts.sum()], parts]), least)
    code = _drawn(np.arange(len(every), dtype=np.float64), every, normal)
    return np.asarray(code[:, None] == np.arange(1, len(every)), np.float64)


def _drawn(values: Reals, parts: Reals, normal: Reals) -> Reals:
    """A value for each row, by the place of its normal draw among all: as many of each as its part says."""
    place = np.empty(len(normal))
    place[np.argsort(normal, kind="stable")] = (np.arange(len(normal)) + 0.5) / len(normal)
    heights = np.cumsum(parts) / parts.sum()
    return np.asarray(values[np.minimum(np.searchsorted(heights, place), len(values) - 1)], np.float64)
