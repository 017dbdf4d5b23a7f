"""Which axes look at one variable at different resolutions, and how.

Single years of age and bands of age, income and whether income is known, the bins of a histogram: each position of the coarse axis is
made of positions of a finer one, or both are made of the same finest parts. Such axes must agree to the last digit. A *root* is the
variable whose value alone decides the position; every value of it has one, and a holder without a value stands on `_missing`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor

import numpy as np

from protocols.dictionary import Bands, Column, Dictionary, OfEvents, Rules, Table, YearsBefore, column, sources
from protocols.filters import Leaf, leaves

LOWEST = -(1 << 62)  # no value of any root lies below
NO_DATE = date(2000, 1, 1)  # no derivation that is followed here depends on the date


@dataclass(frozen=True)
class Levels:
    """Values of `root` from points[i] up to the next point stand on position at[i]; -1: on `_missing`. Points ascend from LOWEST."""

    root: str
    points: tuple[int, ...]
    at: tuple[int, ...]

    @classmethod
    def of_cuts(cls, root: str, cuts: Sequence[int], skip: int) -> "Levels":
        """Position = number of cuts <= x, less `skip`; a position that nobody can stand on is left out."""
        return cls(root, (LOWEST, *cuts), tuple(max(0, number - skip) for number in range(len(cuts) + 1)))

    def known(self) -> "Levels":
        """The same variable at the resolution (known, `_missing`)."""
        return Levels(self.root, self.points, tuple(min(each, 0) for each in self.at))

    def positions(self, values: Sequence[int]) -> list[int]:
        """Where each value stands."""
        found: list[int] = np.array(self.at)[np.searchsorted(self.points, values, side="right") - 1].tolist()
        return found


def atoms(of: Sequence[tuple[Levels, int]]) -> tuple[tuple[int, ...], ...]:
    """The finest parts that axes of one root see: for each, its position on every axis; all on `_missing` last.

    `of`: levels of each axis, and its number of positions.
    """
    points = sorted({point for levels, _ in of for point in levels.points})
    last = tuple(size - 1 for _, size in of)
    placed = ([place % size for place in levels.positions(points)] for levels, size in of)
    found = dict.fromkeys(zip(*placed, strict=True))
    return (*(each for each in found if each != last), last)


def levels_of(dictionary: Dictionary, name: str) -> Levels:
    """How the position on the axis of a variable follows from its root. Of what has no codes: whether there is a value."""
    root = _root(dictionary, name)
    if root != name:
        values, points = _probes(dictionary, name, root)
        at = _positions(dictionary, name, root, values)
        if at is not None:
            return Levels(root, points, at)
    codes = tuple(range(len(dictionary.codes(name)))) or (0,)
    return Levels(name, (LOWEST, *codes[1:]), codes)


def _root(dictionary: Dictionary, name: str) -> str:
    """The one variable that decides: given, or an age. Of bands and rules over several, or over none that can be told apart, themselves.

    What events give counts as given."""
    entry = dictionary.derived.get(name)
    if entry is None or isinstance(entry, YearsBefore | OfEvents):
        return name
    roots = {_root(dictionary, source) for source in sources(entry)}
    root = roots.pop()
    return name if roots or dictionary.type_of(root) not in ("category", "boolean", "integer", "money") else root


def _probes(dictionary: Dictionary, name: str, root: str) -> tuple[list[int], tuple[int, ...]]:
    """One value of the root between any two at which the position may change, and where each begins to stand for others."""
    codes = len(dictionary.codes(root))
    edges = list(range(1, codes)) if codes else sorted(set(_edges(dictionary, name, root)))
    return [edges[0] - 1 if edges else 0, *edges], (LOWEST, *edges)


def _positions(dictionary: Dictionary, name: str, root: str, values: list[int]) -> tuple[int, ...] | None:
    """Where holders with these values stand; None if one without a value stands anywhere but on `_missing`."""
    dtype = np.bool_ if dictionary.type_of(root) == "boolean" else np.int64
    known = np.array([True] * len(values) + [False])
    given = Table(len(known), {root: Column(np.array([*values, 0], dtype=dtype), known)})
    found = column(given, dictionary, name, NO_DATE)
    return None if found.known[-1] else tuple(np.where(found.known, found.values.astype(np.int64), -1)[:-1].tolist())


def _edges(dictionary: Dictionary, name: str, root: str) -> Iterator[int]:
    """Whole values of a numeric root at which the position may change."""
    match dictionary.derived.get(name):
        case Bands(of=source, bands=bands) if source == root:
            per = dictionary.per(root)
            for low, high in bands.values():
                yield from (ceil(low * per), floor(high * per) + 1)
        case Bands(of=source):
            yield from _edges(dictionary, source, root)
        case Rules(rules=rules):
            for leaf in (each for rule in rules for each in leaves(rule.when)):
                if leaf.variable != root:
                    yield from _edges(dictionary, leaf.variable, root)
                for word in _operands(leaf) if leaf.variable == root else ():
                    value = dictionary.reader(root)(word)
                    yield from (value, value + 1)


def _operands(leaf: Leaf) -> tuple[str, ...]:
    match leaf.operator():
        case "missing":
            return ()
        case "is" | "in" | "between":
            return (leaf.is_,) if leaf.is_ is not None else leaf.in_ or leaf.between or ()
        case operator:
            return (getattr(leaf, operator),)
