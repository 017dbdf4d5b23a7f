"""Finished sums, as `finalize` sees them: official tables that agree with each other, and the noise that is still in them.

A *family* is every table of one measure over one cohort. Its noise is known exactly: the table on axes B is a sum of independent parts,
one for each set of axes A inside B, and part A has variance V_A within its own subspace:

    Cov(g'T, h'T) = sum over A in B of
        V_A * product over A of (g.h - (sum g)(sum h) / m) * product over B without A of (sum g)(sum h) / m^2

for contrasts g, h that are products over the axes, m being the positions of an axis. In exact mode every V_A is 0.

Axes of one variable at several resolutions are kept *whole* (`resolution.py`): A runs over the other axes, and V_A is the covariance
matrix over the positions of the whole ones, so that noise may differ from cell to cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from math import prod
from string import ascii_lowercase
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols import entropy
from protocols.dictionary import MISSING
from protocols.filters import Filter
from protocols.statistics.cohorts import Slice
from protocols.statistics.layout import KNOWN as CODE
from protocols.statistics.layout import Amount, Axis, Block, Blocks, Branches, Choice, Limb, Measure, Occasions, Point

PLACES: Final = 6  # a count is official to 10^-6: far below any noise, and exact in decimal arithmetic
QUANTA: Final = 10**PLACES

Units: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
AxisSet: TypeAlias = frozenset[str]
Part: TypeAlias = int | slice
Box: TypeAlias = tuple[Part, ...]
Pattern: TypeAlias = tuple[slice | None, ...]
FamilyKey: TypeAlias = tuple[
    Measure, tuple[Amount, ...] | Choice | Point | Branches, Limb | None, Occasions | None, Filter | None
]

ALL: Final = slice(None)
KNOWN: Final = slice(None, -1)  # the positions of an axis that stand for known values
OWN: Final = None  # in a pattern of boxes: the position of the cell itself


def subsets(axes: AxisSet) -> tuple[AxisSet, ...]:
    """Every set of axes inside one, itself and the empty one too, by size, then name."""
    names = sorted(axes)
    return tuple(frozenset(chosen) for size in range(len(names) + 1) for chosen in combinations(names, size))


@dataclass(frozen=True)
class Table:
    """One official table. `units`: whole quanta, `quantum` of them in one, one dimension per axis.

    `noise`: V_A for every set A of axes that are not in `whole`; an array of as many dimensions as there are whole axes, twice over, in the
    order of the table. `rounding`: variance that carrying one holder's amount in coarse steps adds.
    A *box* names, per axis, one position or several (`KNOWN`, `ALL`, any slice); its sum is the sum over their product.
    """

    axes: tuple[Axis, ...]
    units: Units
    noise: Mapping[AxisSet, Floats]
    whole: AxisSet = frozenset()
    quantum: int = QUANTA
    rounding: float = 0.0

    @property
    def exact(self) -> bool:
        return not any(part.any() for part in self.noise.values())

    @property
    def values(self) -> Floats:
        return self.units / self.quantum

    @property
    def known(self) -> tuple[slice, ...]:
        """The box of all holders whose place on every axis is known."""
        return (KNOWN,) * len(self.axes)

    def ordered(self, names: tuple[str, ...]) -> "Table":
        """The same table with its axes in a question's order."""
        at = [axis.name for axis in self.axes]
        order = [at.index(name) for name in names]
        stood = [name for name in at if name in self.whole]
        moved = [stood.index(name) for name in names if name in self.whole]
        both = (*moved, *(len(moved) + place for place in moved))
        noise = {chosen: np.transpose(part, both) for chosen, part in self.noise.items()}
        axes = tuple(self.axes[number] for number in order)
        return replace(self, axes=axes, units=np.transpose(self.units, order), noise=noise)

    def collapsed(self, name: str, into: Axis) -> "Table":
        """The same table with the known positions of one axis added up: `into` has two positions, known and `_missing`, and is whole."""
        at = [axis.name for axis in self.axes].index(name)
        size = self.axes[at].size
        adds = np.zeros((2, size))
        adds[0, :-1] = adds[1, -1] = 1.0
        axes = tuple(into if axis.name == name else axis for axis in self.axes)
        place = sum(axis.name in self.whole for axis in self.axes[:at])
        noise = {}
        for chosen, part in self.noise.items():
            depth = part.ndim // 2
            if name in self.whole:
                turned = np.moveaxis(np.tensordot(adds, part, (1, place)), 0, place)
                noise[chosen] = np.moveaxis(np.tensordot(adds, turned, (1, depth + place)), 0, depth + place)
            elif name not in chosen:  # what the axis says about its total, and about the rest
                centred = self.noise[chosen | {name}]
                both = np.multiply.outer(part, np.full((size, size), 1 / size**2))
                both = both + np.multiply.outer(centred, np.eye(size) - 1 / size)
                both = np.tensordot(np.tensordot(both, adds, (-2, 1)), adds, (-2, 1))
                noise[chosen] = np.moveaxis(both, (-2, -1), (place, depth + 1 + place))
        known, missing = (
            np.take(self.units, where, axis=at).sum(axis=at, keepdims=True) for where in (range(size - 1), [-1])
        )
        units = np.concatenate([known, missing], axis=at)
        return replace(self, axes=axes, units=units, noise=noise, whole=(self.whole - {name}) | {into.name})

    def of_known(self, name: str) -> "Table":
        """The same table of those alone whose place on one axis is known; it has that axis no more."""
        two = self.collapsed(name, Axis(name, (CODE, MISSING), name))
        at = [axis.name for axis in two.axes].index(name)
        place = sum(axis.name in two.whole for axis in two.axes[:at])
        noise = {
            chosen: np.take(np.take(part, 0, axis=part.ndim // 2 + place), 0, axis=place)
            for chosen, part in two.noise.items()
        }
        axes = tuple(axis for axis in two.axes if axis.name != name)
        return replace(two, axes=axes, units=np.take(two.units, 0, axis=at), noise=noise, whole=two.whole - {name})

    def sliced(self, name: str, position: int) -> "Table":
        """The cells at one position of one axis, with the noise that they have in the table."""
        at = [axis.name for axis in self.axes].index(name)
        size, noise = self.axes[at].size, dict[AxisSet, Floats]()
        place = sum(axis.name in self.whole for axis in self.axes[:at])
        for chosen, part in self.noise.items():
            if name in self.whole:
                noise[chosen] = np.asarray(np.take(np.take(part, position, part.ndim // 2 + place), position, place))
            elif name not in chosen:
                noise[chosen] = part / size**2 + self.noise[chosen | {name}] * (1 - 1 / size)
        axes = (*self.axes[:at], *self.axes[at + 1 :])
        return replace(
            self, axes=axes, units=np.asarray(np.take(self.units, position, at)), noise=noise, whole=self.whole - {name}
        )

    def renamed(self, old: str, new: str) -> "Table":
        """The same table with another name for one axis, as readers know it."""

        def named(names: AxisSet) -> AxisSet:
            return frozenset(new if name == old else name for name in names)

        axes = tuple(replace(axis, name=new) if axis.name == old else axis for axis in self.axes)
        noise = {named(chosen): part for chosen, part in self.noise.items()}
        return replace(self, axes=axes, noise=noise, whole=named(self.whole))

    def printed(self, units: Units) -> npt.NDArray[Any]:
        """Sums of quanta as they are printed: whole numbers in exact mode, else the decimals of the quantum and no more."""
        return units // self.quantum if self.exact else units / self.quantum

    def covariance(self, *boxes: Box) -> Floats:
        """Noise covariance of the sums of k boxes, k x k. On axes that are not whole, which code stands where makes no difference to
        noise, only how boxes overlap."""
        inside = {
            axis.name: self._overlaps(number, [box[number] for box in boxes])
            for number, axis in enumerate(self.axes)
            if axis.name not in self.whole
        }
        weights = np.ones((len(boxes), 1))
        for number, axis in enumerate(self.axes):
            if axis.name in self.whole:
                rows = _indicators(axis.size, [box[number] for box in boxes])
                weights = (weights[:, :, None] * rows[:, None, :]).reshape(len(boxes), -1)
        total = np.zeros((len(boxes), len(boxes)))
        for chosen, part in self.noise.items():
            parts = [centred if name in chosen else spread for name, (centred, spread) in inside.items()]
            between = weights @ part.reshape(weights.shape[1], -1) @ weights.T
            total += between * prod(parts, start=np.ones_like(total))
        return total

    def covariances(self, *patterns: Pattern) -> Floats:
        """Noise covariance of k boxes around each known cell: known cells x k x k, of length 1 along axes that make no difference.

        A *pattern* names, per axis, `OWN` for the position of the cell itself, or several positions.
        """
        shape = tuple(axis.size - 1 if axis.name in self.whole else 1 for axis in self.axes)
        whole = [number for number, axis in enumerate(self.axes) if axis.name in self.whole]
        inside = {
            axis.name: self._overlaps(number, [part if (part := each[number]) is not OWN else 0 for each in patterns])
            for number, axis in enumerate(self.axes)
            if number not in whole
        }
        found = np.zeros((*shape, len(patterns), len(patterns)))
        for chosen, noise in self.noise.items():
            overlaps = [centred if name in chosen else spread for name, (centred, spread) in inside.items()]
            factor = prod(overlaps, start=np.ones((len(patterns), len(patterns))))
            for one, first in enumerate(patterns):
                for other, second in enumerate(patterns):
                    between = _between(noise, [first[at] for at in whole], [second[at] for at in whole])
                    sizes = iter(between.shape)
                    aligned = [next(sizes) if number in whole else 1 for number in range(len(self.axes))]
                    found[..., one, other] += factor[one, other] * between.reshape(aligned)
        return found

    def weighted(self, first: Floats, second: Floats) -> Floats:
        """Noise covariance of weighted sums of cells, g'Vh, pair by pair: `first` and `second` are ... x the table's shape."""
        pairs = first.shape[: first.ndim - self.units.ndim]
        whole = [len(pairs) + at for at, axis in enumerate(self.axes) if axis.name in self.whole]
        total = np.zeros(pairs)
        for chosen, noise in self.noise.items():
            size, sides = prod(noise.shape[: len(whole)]), []
            for weights in (first, second):
                for at, axis in enumerate(self.axes, len(pairs)):
                    if axis.name in chosen:
                        weights = weights - weights.mean(axis=at, keepdims=True)
                    elif axis.name not in self.whole:
                        weights = weights.mean(axis=at, keepdims=True)
                moved = np.moveaxis(weights, whole, range(-len(whole), 0))
                sides.append(moved.reshape((*pairs, -1, size)))
            total += np.einsum("...aw,wv,...av->...", sides[0], noise.reshape(size, size), sides[1])
        return total

    def spread(self, weights: Floats) -> Floats:
        """g'Vg of the noise for k contrasts g of the cells. `weights`: k x the shape of the table, any numbers."""
        return np.maximum(self.weighted(weights, weights), 0.0)

    def _overlaps(self, number: int, parts: list[Part]) -> tuple[Floats, Floats]:
        """|S and T| - |S||T|/m and |S||T|/m^2 for every pair of parts of one axis."""
        size = self.axes[number].size
        rows = _indicators(size, parts)
        both = np.outer(rows.sum(axis=1), rows.sum(axis=1)) / size
        return rows @ rows.T - both, both / size

    @cached_property
    def sd(self) -> Floats:
        """Standard deviation of the noise in each cell; of length 1 along axes that make no difference."""
        total = np.zeros(tuple(axis.size if axis.name in self.whole else 1 for axis in self.axes))
        for chosen, part in self.noise.items():
            others = [axis for axis in self.axes if axis.name not in self.whole]
            factors = [(1 - 1 / axis.size) if axis.name in chosen else 1 / axis.size**2 for axis in others]
            size = prod(part.shape[: part.ndim // 2])
            total += prod(factors) * np.diagonal(part.reshape(size, size)).reshape(total.shape)
        return np.sqrt(np.maximum(total, 0.0))

    def draws(self, generator: Any, number: int) -> Floats:
        """`number` draws of normal noise with this table's covariance: number x shape. `generator`: from `entropy.public_stream`.

        Each part is drawn in its own subspace: white noise on A, centred along every axis of A, spread evenly over the others.
        """
        total = np.zeros((number, *self.units.shape))
        whole = [at for at, axis in enumerate(self.axes, 1) if axis.name in self.whole]
        for chosen, noise in self.noise.items():
            shape = [axis.size if axis.name in chosen | self.whole else 1 for axis in self.axes]
            part = np.moveaxis(generator.standard_normal((number, *shape)), whole, range(-len(whole), 0))
            part = (part.reshape(-1, prod(noise.shape[: len(whole)])) @ _root(noise)).reshape(part.shape)
            part = np.moveaxis(part, range(-len(whole), 0), whole)
            for at, axis in enumerate(self.axes, 1):
                if axis.name in chosen:
                    part = part - part.mean(axis=at, keepdims=True)
                elif axis.name not in self.whole:
                    part = part / axis.size
            total += part
        return total


def _indicators(size: int, parts: list[Part]) -> Floats:
    rows = np.zeros((len(parts), size))
    for row, part in zip(rows, parts, strict=True):
        row[part] = 1.0
    return rows


def _between(noise: Floats, first: Sequence[slice | None], second: Sequence[slice | None]) -> Floats:
    """V_A between two boxes around each known cell of the whole axes: a number per cell, of length 1 along axes where both are fixed."""
    depth, boxes = len(first), (*first, *second)
    taken = noise[tuple(KNOWN if part is OWN else part for part in boxes)]
    names = [ascii_lowercase[at % depth if part is OWN else depth + at] for at, part in enumerate(boxes)]
    own = [name for name in ascii_lowercase[:depth] if name in names]
    found = np.asarray(np.einsum(f"{''.join(names)}->{''.join(own)}", taken))
    return np.expand_dims(found, [at for at, name in enumerate(ascii_lowercase[:depth]) if name not in own])


def _root(noise: Floats) -> Floats:
    """The symmetric root of a covariance matrix."""
    size = prod(noise.shape[: noise.ndim // 2])
    values, vectors = np.linalg.eigh(noise.reshape(size, size))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


@dataclass(frozen=True)
class Family:
    """Tables of one measure over one cohort: every margin of every measured block.

    `units` and `noise` are keyed by axis names; a table's dimensions ascend by name. Of an amount, cells are sums of x itself over the
    holders whose x is known: c times their number, and what was measured. `noise` is that of what was measured. Of one code of a set, cells
    are numbers of holders who named it: in the centred layout half of what was measured and of those who answered, and `noise` is that of
    the former half.
    """

    axes: Mapping[str, Axis]
    units: Mapping[AxisSet, Units]
    noise: Mapping[AxisSet, Mapping[AxisSet, Floats]]
    whole: AxisSet = frozenset()
    quantum: int = QUANTA
    rounding: float = 0.0
    kind: type[Table] = Table

    def table(self, names: AxisSet) -> Table:
        axes = tuple(self.axes[name] for name in sorted(names))
        return self.kind(axes, self.units[names], self.noise[names], self.whole & names, self.quantum, self.rounding)


Families: TypeAlias = Mapping[FamilyKey, Family]
COUNTS: Final[FamilyKey] = (Measure.ONE, (), None, None, None)  # the family of the numbers of holders


def singled(blocks: Blocks) -> Blocks:
    """The blocks with each code of a set by itself, named `NAME CODE`: what has a table of its own."""
    found = dict[str, Block]()
    for name, block in blocks.items():
        if isinstance(block.of, Choice):
            found |= {f"{name} {each.codes[0]}": replace(block, of=each) for each in block.of.apart}
        else:
            found[name] = block
    return found


def family_of(block: Block) -> FamilyKey:
    """Holders are one family of counts; the rows of an events table are another, since a holder may have several; so are the holders, or
    the rows, of each cohort of a question."""
    return block.measure, block.branches or block.of, block.limb, block.over, block.cohort


def counts_of(key: FamilyKey) -> FamilyKey:
    """The family of numbers, of the same holders or rows, that another family rests on."""
    return (*COUNTS[:3], *key[3:])


@dataclass(frozen=True)
class Estimates:
    """What one question is finalized from: its tables, by the names that it gave to its blocks.

    `min_cell`: counts below it are of low reliability in dp mode (policy `dp.min_cell`, the largest of the cities in the sum). `tested`:
    whether statements about whole tables are wanted as well; a forecast wants rows alone. `cities`: whom the sums are over. `facts`: what
    these state about themselves, by name and city; `summed`: by name, the sum over those that only add it up. `parts`: of how many cities,
    all with the same noise, these tables are the sums to the last digit; 0 where they are not.
    """

    tables: Mapping[str, Table]
    confidence: float
    min_cell: int
    study: str
    question: str
    tested: bool = True
    cities: tuple[str, ...] = ()
    facts: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    summed: Mapping[str, Decimal] = field(default_factory=dict)
    parts: int = 0

    @classmethod
    def of(
        cls,
        families: Families,
        blocks: Blocks,
        *,
        study: str,
        question: str,
        confidence: float,
        min_cell: int,
        cities: tuple[str, ...] = (),
        part: Slice | None = None,
    ) -> "Estimates":
        """The tables of a question's blocks, or of one position of one axis of them (`part`). `study`: its digest; `question`: its id: they
        name the public stream of draws."""
        tables = {
            name: families[family_of(block)].table(frozenset(axis.name for axis in block.axes))
            for name, block in singled(blocks).items()
        }
        if part is not None:
            tables = {name: table.sliced(part.axis, part.position) for name, table in tables.items()}
        return cls(tables, confidence, min_cell, study, question, cities=cities)

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def within(self, prefix: str) -> "Estimates":
        """The tables whose names begin so, by the rest of their names."""
        found = {name: table for name, table in self.tables.items() if name.startswith(prefix)}
        return replace(self, tables={name.removeprefix(prefix): table for name, table in found.items()})

    def added(self, others: Sequence["Estimates"]) -> "Estimates":
        """The same with the sums of its tables and of theirs. Pre-condition: noise in them is independent."""
        tables = dict(self.tables)
        for other in others:
            for name, table in other.tables.items():
                noise = {part: one + table.noise[part] for part, one in tables[name].noise.items()}
                tables[name] = replace(tables[name], units=tables[name].units + table.units, noise=noise)
        return replace(self, tables=tables)

    @cached_property
    def z(self) -> float:
        """The normal quantile of `confidence`, two-sided."""
        from scipy.special import ndtri

        return float(ndtri((1 + self.confidence) / 2))

    def least(self, table: Table) -> int:
        """The count below which one of this table is of low reliability, whatever its noise."""
        return 0 if table.exact else self.min_cell

    def stream(self, label: str) -> Any:
        """Public, reproducible draws for one purpose; they share nothing with any noise."""
        return entropy.public_stream(self.study, self.question, label)
