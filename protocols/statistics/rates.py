"""One sum over another, so that cities can be held against each other: a share, a mean, a ratio, code by code and group by group.

Kinds say in `rates` which sums these are; `compare` alone reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np

from protocols.statistics.estimates import KNOWN, OWN, Floats, Table
from protocols.statistics.layout import Axis

Pair: TypeAlias = tuple[Floats, Floats]  # weights of numerators and denominators, each codes x groups
ONE: Final = ""  # the code of what has none


@dataclass(frozen=True)
class Part:
    """What a sum takes from one table: all within a box of the axes before the groups, `value` times; and its noise `noise` times, since an
    official amount has the noise of what was measured about a centre, and that of the centre times the number of holders."""

    table: str
    box: tuple[slice, ...]
    value: float
    noise: float


Sum: TypeAlias = tuple[Part, ...]


def whole(table: str, *box: slice) -> Part:
    """A number of holders."""
    return Part(table, box, 1.0, 1.0)


def centre(table: str, *box: slice, times: float) -> Part:
    """The noise that the centre of an amount brings, of the holders whose value is known."""
    return Part(table, box, 0.0, times)


@dataclass(frozen=True)
class Rates:
    """`measure`: of the kind's own rows that are these rates. `of`: the key of the codes, empty where there are none.

    `tables`: with the groups as their last axes, in this order. `squares`: sums of x^2, x y and y^2 over holders, codes x groups x 3; a
    holder who adds x and y moves a rate R by x - R y. `bessel`: these deviations are from a mean of the same holders. `low`, `high`: range.
    """

    measure: str
    of: str
    numerators: Mapping[str, Sum]
    denominator: Sum
    tables: Mapping[str, Table]
    groups: tuple[Axis, ...]
    squares: Floats
    low: float
    high: float
    bessel: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(self.numerators)

    @property
    def numerator(self) -> Floats:
        """Codes x groups."""
        return np.stack([self._total(each) for each in self.numerators.values()])

    @property
    def below(self) -> Floats:
        """The denominator, by group."""
        return self._total(self.denominator)

    @property
    def below_sd(self) -> Floats:
        """Of the noise in it."""
        variance = np.zeros(self.below.shape)
        for part in self.denominator:
            table = self.tables[part.table]
            found = table.covariances((*part.box, *(OWN,) * len(self.groups)))[..., 0, 0]
            variance += part.noise**2 * found[(0,) * len(part.box)]
        return np.sqrt(np.maximum(variance, 0.0))

    def spread(self, at: Floats) -> Floats:
        """Sum over holders of (x - at y)^2, by code and group: what their drawing varies a numerator by. At most rounding below 0."""
        found = self.squares[..., 0] - 2 * at * self.squares[..., 1] + at**2 * self.squares[..., 2]
        if self.bessel:
            n = self.squares[..., 2]
            found = found * np.divide(n, n - 1, out=np.ones_like(n), where=n > 1)
        return np.asarray(np.maximum(found, 0.0))

    def noise(self, first: Pair, second: Pair) -> Floats:
        """Covariance of two weighted sums of numerators and denominators, code by code. Weights: codes x groups; groups are added up."""
        total = np.zeros(len(self.numerators))
        for name, table in self.tables.items():
            one, other = (self._weights(name, table, each) for each in (first, second))
            total += table.weighted(one, other)
        return total

    def _weights(self, name: str, table: Table, pair: Pair) -> Floats:
        numerators, denominators = pair
        found = np.zeros((len(self.numerators), *table.units.shape))
        known = (KNOWN,) * len(self.groups)
        for at, each in enumerate(self.numerators.values()):
            for parts, weights in ((each, numerators), (self.denominator, denominators)):
                for part in parts:
                    if part.table == name:
                        place: Any = (at, *part.box, *known)
                        found[place] += part.noise * weights[at]
        return found

    def _total(self, parts: Sum) -> Floats:
        total = np.zeros(tuple(axis.size - 1 for axis in self.groups))
        for part in parts:
            table = self.tables[part.table]
            inside = table.units[(*part.box, *(KNOWN,) * len(self.groups))]
            cells = inside.reshape((prod(inside.shape[: len(part.box)]), *total.shape)).sum(axis=0)
            total += part.value * (cells / table.quantum)
        return total


def of_counts(measure: str, of: str, table: Table, codes: Mapping[str, slice]) -> Rates:
    """Shares of codes among the known ones. `table`: holders by the axis of the codes, then the groups."""
    groups = table.axes[1:]
    base = (whole("holders", KNOWN),)
    found = Rates(
        measure=measure,
        of=of,
        numerators={code: (whole("holders", place),) for code, place in codes.items()},
        denominator=base,
        tables={"holders": table},
        groups=groups,
        squares=np.zeros(()),
        low=0.0,
        high=1.0,
    )
    a, n = found.numerator, found.below  # 1 and 0 are their own squares
    return replace(found, squares=np.stack([a, a, np.broadcast_to(n, a.shape)], axis=-1))
