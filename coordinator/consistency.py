"""One least squares over all released sums of a study, in closed form.

Every number that two tables share becomes the same number, and cells add up to margins to the last digit. Tables of one measure over
one cohort form a family. The space of a table on axes B splits into one part per set of axes A inside B: what remains of the margin on
A after centring along each of its axes. Measured blocks speak about these parts independently, so that weighted least squares is one
inverse-variance mean per part:

    1. sum each measured block M down to A; the sum's cells have variance w = V_M * product of the sizes of M without A
    2. part A = the inverse-variance mean of these margins over all M that hold A, centred along each axis of A;  V_A = 1 / sum(1/w)
    3. the table on B = sum over A in B of part A, spread evenly over the other axes
    4. corner cells (never the last position of an axis) are rounded to the quantum; all others follow by whole-number subtraction

Axes of one variable at several resolutions (`resolution.py`) are kept whole: A runs over the other axes alone, and step 2 is a dense least
squares per A, whose unknowns are the contrasts of atoms of every set of shared dimensions that a block has. Step 4 settles atoms, and
every table on such axes is a whole-number sum of them.

The levels of a tree are a family of their own, fitted on top of the numbers of holders (`trees.py`).

Where cities answer for themselves as well (`reconcile_cities`), `city` is one more axis. All K of them measure the same blocks with
the same noise, so that all that their answers say about their total T is in the sum of the answers, and nothing in the differences. With
C the answer of one city and S the sum of all K answers, each fitted alone, and T fitted from S and the secure sum together,

    the table of the city is  C + (T - S) / K,  with the noise of C - S / K and that of T / K, which are independent.

Cells of the cities then add up to T, and by step 4, with the last city as the last position, to its last digit.

Amounts are measured about a centre c. Their official tables are sums of x itself: c times the official number of holders whose x is
known, and what was measured. Then totals, means and numbers of holders agree with each other in every table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Final, TypeAlias

import numpy as np

from coordinator.trees import Grown
from coordinator.trees import linked as told
from protocols.errors import PeerError
from protocols.statistics.estimates import (
    COUNTS,
    KNOWN,
    QUANTA,
    AxisSet,
    Box,
    Families,
    Family,
    FamilyKey,
    Floats,
    Units,
    counts_of,
    family_of,
    subsets,
)
from protocols.statistics.layout import NOTHING, Amount, Block, Branches, Choice, Layout, Measure, known_of
from protocols.statistics.measures import Vector
from protocols.statistics.resolution import Dims, Resolution

LARGEST_SUM: Final = 1 << 62  # of the quanta of a block's cells, in absolute value and together
Settled: TypeAlias = dict[Dims, Units]


@dataclass(frozen=True)
class Measured:
    """One block as it was summed, of a set one code of it. `cells`: one dimension per axis, axes ascending by name. `variance`: of the
    noise in each cell. Both are of `block.weight` times what is to be known."""

    block: Block
    cells: Vector
    variance: float

    @property
    def names(self) -> AxisSet:
        return frozenset(axis.name for axis in self.block.axes)

    def margin(self, kept: AxisSet) -> Vector:
        over = tuple(number for number, axis in enumerate(self.block.axes) if axis.name not in kept)
        return np.asarray(self.cells.sum(axis=over), dtype=np.int64)

    def margin_variance(self, kept: AxisSet) -> float:
        variance = self.variance / self.block.weight**2
        return variance * prod(axis.size for axis in self.block.axes if axis.name not in kept)


@dataclass(frozen=True)
class Reconciled:
    """Official tables of the sum, and of each city that answered by itself."""

    pooled: Families
    cities: Mapping[int, Families]


def reconcile(layout: Layout, summed: Vector, variances: Sequence[Fraction | float]) -> Families:
    """Official tables from the sum over cities. `variances`: of the noise in each cell of each block, in the unit that the block is carried
    in; all 0 in exact mode.

    Pre-condition: amounts, and codes of sets, beside the numbers of holders whose value is known, on the same axes; a weight other than 1
    only where there is noise. Errors: `PeerError SUM_LENGTH | SUM_VARIANCE | SUM_BOUND | SUM_MARGINS`; no table is made then.
    """
    return reconcile_cities(layout, summed, variances, NOTHING, {}, (), ()).pooled


def reconcile_cities(
    layout: Layout,
    summed: Vector,
    variances: Sequence[Fraction | float],
    own: Layout,
    answers: Mapping[int, Vector],
    own_variances: Sequence[Fraction | float],
    survivors: Sequence[int],
) -> Reconciled:
    """Official tables from the secure sum over `survivors`, and from what each city in `answers` measured of `own` by itself; both ascend.

    Where all survivors answered, pooled tables are those of the sum of their answers too, and cells of the survivors add up to them. Where
    one did not, the secure sum holds what nobody else knows: then the two are fitted apart. Pre-conditions, errors: as `reconcile`.
    """
    resolution = Resolution.of(Layout(tuple(dict.fromkeys((*layout.blocks, *own.blocks)))))
    apart = {city: _grouped(_measured(own, cells, own_variances)) for city, cells in answers.items()}
    linked = tuple(survivors) if set(survivors) <= apart.keys() else ()
    measured = _measured(layout, summed, variances)
    if linked:
        together: Vector = np.stack([answers[city] for city in linked]).sum(axis=0)
        measured += _measured(own, together, [len(linked) * variance for variance in own_variances])
    total = _grouped(measured)
    pooled, cities = dict[FamilyKey, Family](), {city: dict[FamilyKey, Family]() for city in apart}
    settled_counts: dict[object, Settled] = {}  # by scope, by holders or rows, and by whose
    keys = dict.fromkeys((*total, *(key for groups in apart.values() for key in groups)))
    for key in sorted(keys, key=lambda key: key[:2] != COUNTS[:2]):  # amounts, sets and trees rest on counts
        counts = {scope: settled_counts.setdefault((scope, *key[3:]), {}) for scope in (None, *apart)}
        own_groups = {city: groups[key] for city, groups in apart.items() if key in groups}
        if isinstance(key[1], Branches):
            holders = counts_of(key)
            grown = {city: Grown.of(group, cities[city][holders]) for city, group in own_groups.items()}
            if key in total:
                whole_tree = Grown.of(total[key], pooled[holders])
                pooled[key] = whole_tree.family(pooled[holders])
                grown |= told(whole_tree, {city: grown[city] for city in linked if city in grown})
            for city, tree in grown.items():
                cities[city][key] = tree.family(cities[city][holders])
            continue
        everything = (*total.get(key, ()), *(each for group in own_groups.values() for each in group))
        if not any(each.variance for each in everything):
            if key in total:
                pooled[key] = _exact(total[key], resolution, counts[None])
            for city, group in own_groups.items():
                cities[city][key] = _exact(group, resolution, counts[city])
            continue
        fits = {city: Fit.of(group, resolution) for city, group in own_groups.items()}
        if key in total:
            whole = Fit.of(total[key], resolution)
            settled = whole.settled({dims: whole.table(dims) for dims in whole.dims}, counts[None])
            pooled[key] = whole.family(settled, {part: whole.noise(part) for part in whole.closure})
            linking = {city: fits.pop(city) for city in linked if city in fits}
            cities_of = _adding_up(whole, settled, linking, counts)
            for city, family in cities_of.items():
                cities[city][key] = family
        for city, fit in fits.items():
            alone = fit.settled({dims: fit.table(dims) for dims in fit.dims}, counts[city])
            cities[city][key] = fit.family(alone, {part: fit.noise(part) for part in fit.closure})
    return Reconciled({key: pooled[key] for key in keys if key in pooled}, cities)


def _grouped(measured: Sequence[Measured]) -> dict[FamilyKey, list[Measured]]:
    groups: dict[FamilyKey, list[Measured]] = {}
    for each in measured:
        groups.setdefault(family_of(each.block), []).append(each)
    return groups


def _measured(layout: Layout, summed: Vector, variances: Sequence[Fraction | float]) -> list[Measured]:
    if summed.shape != (layout.length,):
        raise PeerError("SUM_LENGTH", cells=summed.size, expected=layout.length)
    if not layout.blocks:
        return []
    noise = [float(variance) for variance in variances]
    noised = [variance > 0 for variance in noise]
    if len(noise) != len(layout.blocks) or not all(np.isfinite(noise)) or min(noise) < 0 or any(noised) != all(noised):
        raise PeerError("SUM_VARIANCE", blocks=len(layout.blocks), given=len(noise))
    found = []
    for block, offset, variance in zip(layout.blocks, layout.offsets, noise, strict=True):
        if block.measure in (Measure.DOMINATED, Measure.STATED):  # of cities: they add up to no margin
            continue
        if block.weight != 1 and not variance:
            raise ValueError(f"{block.name}: a sum without noise has no weight")
        cells, unit = summed[offset : offset + block.cells], 1 << _shift(block)
        limit = LARGEST_SUM // (_quantum(block) * unit)
        if np.abs(cells.astype(np.float64)).sum() > limit:
            raise PeerError("SUM_BOUND", block=block.name, limit=limit)
        if isinstance(block.of, Choice):
            planes = cells.reshape(block.shape)
            found += [
                Measured(replace(block, of=code), np.asarray(planes[at]), variance)
                for at, code in enumerate(block.of.apart)
            ]
            continue
        found.append(Measured(block, (cells * unit).reshape(block.shape), variance * unit**2))
    return found


def _shift(block: Block) -> int:
    """Sums of amounts are given in their own units; squares in the unit of a centred square of steps."""
    return block.shift + (_amount(block).shift if block.measure is Measure.AMOUNT else 0)


def _amount(block: Block) -> Amount:
    if not isinstance(block.of, tuple):
        raise TypeError(block.of)
    return block.of[0]


def _quantum(block: Block) -> int:
    """Of counts 10^-6, of amounts about a millionth of what one holder adds, of squares and products (which are never printed) 1."""
    if block.measure in (Measure.ONE, Measure.YES_NO):
        return QUANTA
    return _amount(block).quantum if block.measure is Measure.AMOUNT else 1


def _halved(block: Block) -> bool:
    """Whether it says of a code of a set how many more named it than did not, so that the number who did is half of that and of all."""
    return isinstance(block.of, Choice) and block.of.most is None


def _known_axes(block: Block) -> tuple[str, ...]:
    """What the axis may be called that says whether the value of an amount, or of a set, is known."""
    if isinstance(block.of, Choice):
        return (known_of((block.of.variable,)),)
    return _amount(block).known_on


def _rounding(measured: Sequence[Measured]) -> float:
    """Variance that coarse steps add for each holder: the most of the blocks."""
    return max(4.0 ** _shift(each.block) / 12 if _shift(each.block) else 0.0 for each in measured)


def _closure(measured: Sequence[Measured]) -> list[AxisSet]:
    return sorted(
        {part for each in measured for part in subsets(each.names)}, key=lambda part: (len(part), sorted(part))
    )


# --- mode exact


def _exact(measured: Sequence[Measured], resolution: Resolution, counts: Settled) -> Family:
    """What was summed, in whole numbers. `counts`: numbers of holders by axes, filled by the first family, read by the others."""
    axes = {axis.name: axis for each in measured for axis in each.block.axes}
    block, quantum = measured[0].block, _quantum(measured[0].block)
    whole = frozenset(resolution.shared(axes))
    units, noise = {}, {}
    for part in _closure(measured):
        cells = _agreed(part, measured, resolution)
        if block.measure is Measure.ONE:
            counts[part] = cells
        if block.measure is Measure.AMOUNT or _halved(block):
            name, table = _known(part, block, counts)
            held = np.moveaxis(table, sorted(part | {name}).index(name), 0)[KNOWN].sum(axis=0)
            cells = (cells + held) // 2 if _halved(block) else cells + _amount(block).centre * held
        units[part] = cells * quantum
        shape = tuple(axes[name].size for name in sorted(part & whole)) * 2
        noise[part] = {chosen: np.zeros(shape) for chosen in subsets(part - whole)}
    return Family(axes, units, noise, whole, quantum)


def _known(part: AxisSet, block: Block, counts: Settled) -> tuple[str, Units]:
    """The axis that says whether an amount is known, and the table of it and of `part`."""
    for name in _known_axes(block):
        if part | {name} in counts:
            return name, counts[part | {name}]
    raise ValueError(f"{block.name}: the number of holders whose value is known was not measured")


def _agreed(part: AxisSet, measured: Sequence[Measured], resolution: Resolution) -> Vector:
    """The margin that every block gives that looks at least as closely. A difference is a bug, or a city that cheats."""
    found = [(each.block.name, _coarser(part, each, resolution)) for each in measured]
    margins = [(name, margin) for name, margin in found if margin is not None]
    name, first = margins[0]
    for other, margin in margins[1:]:
        if not np.array_equal(first, margin):
            raise PeerError("SUM_MARGINS", block=name, other=other)
    return first


def _coarser(part: AxisSet, measured: Measured, resolution: Resolution) -> Vector | None:
    """The table on `part` from a block whose axes are those, or finer; None if they are not."""
    if part <= measured.names:
        return measured.margin(part)
    wanted = sorted(part)
    chosen = {axis: resolution.finer(axis, measured.names) for axis in wanted}
    if any(finer is None for finer in chosen.values()):
        return None
    kept = frozenset(finer[0] for finer in chosen.values() if finer)
    margin, names = measured.margin(kept), sorted(kept)
    places = np.indices(margin.shape)
    at = tuple(finer[1][places[names.index(finer[0])]] for finer in chosen.values() if finer)
    found = np.zeros([resolution.axes[axis].size for axis in wanted], dtype=np.int64)
    np.add.at(found, at, margin)
    return found


# --- mode dp


@dataclass(frozen=True)
class Solved:
    """What is known of one part A: contrasts of atoms for every set of shared dimensions that it was measured with.

    `at`: where the contrasts of a set stand among the unknowns. `unknowns`: unknowns x cells of A. `noise`: their covariance, per V_A.
    """

    part: AxisSet
    at: Mapping[Dims, slice]
    unknowns: Floats
    noise: Floats

    def design(self, dims: Sequence[str], resolution: Resolution) -> Floats:
        """Rows: combinations of atoms of shared `dims`. Columns: the unknowns."""
        rows = np.zeros((prod(resolution.size(dim) for dim in dims), len(self.unknowns)))
        for chosen, columns in self.at.items():
            if chosen <= set(dims):
                rows[:, columns] = _kron([_basis(resolution.size(dim), dim in chosen) for dim in dims])
        return rows

    def covariance(self, axes: Sequence[str], resolution: Resolution) -> Floats:
        """V_A over the positions of whole `axes`: an array of their sizes, twice over."""
        rows = rows_of(axes, self, resolution)
        sizes = [resolution.axes[axis].size for axis in axes]
        return np.asarray(rows @ self.noise @ rows.T).reshape((*sizes, *sizes))


@dataclass(frozen=True)
class Fit:
    """Least squares over the blocks of one family. Tables are of what was measured: amounts about their centre."""

    measured: Sequence[Measured]
    resolution: Resolution
    closure: Sequence[AxisSet]
    solved: Mapping[AxisSet, Solved]

    @classmethod
    def of(cls, measured: Sequence[Measured], resolution: Resolution) -> "Fit":
        closure = _closure(measured)
        whole = frozenset(resolution.shared({axis.name for each in measured for axis in each.block.axes}))
        solved = {part: _solved(part, measured, resolution) for part in closure if not part & whole}
        return cls(measured, resolution, closure, solved)

    @property
    def block(self) -> Block:
        return self.measured[0].block

    @property
    def whole(self) -> AxisSet:
        return frozenset(self.resolution.shared({name for part in self.closure for name in part}))

    @property
    def dims(self) -> list[Dims]:
        """Of all tables, margins before what they are margins of."""
        found = {self.resolution.dims(part) for part in self.closure}
        return sorted(found, key=lambda dims: (len(dims), sorted(dims)))

    def table(self, dims: Dims) -> Floats:
        return _recombined(dims, self.solved, self.resolution)

    def noise(self, part: AxisSet) -> dict[AxisSet, Floats]:
        """V_A of the table on `part`, for every A of its axes that are not whole."""
        axes = sorted(part & self.whole)
        return {
            chosen: self.solved[chosen].covariance(axes, self.resolution) for chosen in subsets(part - frozenset(axes))
        }

    def settled(self, tables: Mapping[Dims, Floats], counts: Settled) -> Settled:
        """The last digit of tables on all `dims`. `counts`: numbers of holders, filled by the first family, read by the others."""
        found: Settled = {}
        block, quantum = self.block, _quantum(self.block)
        for dims in self.dims:
            table = tables[dims]
            if block.measure is Measure.AMOUNT:
                table = table + _amount(block).centre * _held(dims, block, self.resolution, counts)
            if _halved(block):
                table = (table + _held(dims, block, self.resolution, counts)) / 2
            found[dims] = _last_digit(tuple(sorted(dims)), table, found, quantum, block)
        if block.measure is Measure.ONE:
            counts |= found
        return found

    def family(self, settled: Settled, noise: Mapping[AxisSet, Mapping[AxisSet, Floats]]) -> Family:
        axes = {axis.name: axis for each in self.measured for axis in each.block.axes}
        units = {part: _cut(part, settled, self.resolution) for part in self.closure}
        if _halved(self.block):
            noise = {part: {chosen: each / 4 for chosen, each in of.items()} for part, of in noise.items()}
        return Family(axes, units, noise, self.whole, _quantum(self.block), _rounding(self.measured))


def _adding_up(
    whole: Fit, settled: Settled, cities: Mapping[int, Fit], counts: Mapping[int | None, Settled]
) -> dict[int, Family]:
    """The families of cities whose cells add up to the sum over all of them, `settled` from `whole`. The last one gets what is left."""
    if not cities:
        return {}
    number, found = len(cities), dict[int, Family]()
    some = next(iter(cities.values()))
    apart = {city: {dims: fit.table(dims) for dims in fit.dims} for city, fit in cities.items()}
    lacking = {dims: whole.table(dims) - np.sum([apart[city][dims] for city in cities], axis=0) for dims in some.dims}
    left = {dims: settled[dims] for dims in some.dims}
    noise = {
        part: {
            chosen: own * (1 - 1 / number) + of_sum / number**2
            for (chosen, own), of_sum in zip(some.noise(part).items(), whole.noise(part).values(), strict=True)
        }
        for part in some.closure
    }
    for at, (city, fit) in enumerate(cities.items(), 1):
        if at < number:
            tables = {dims: apart[city][dims] + lacking[dims] / number for dims in fit.dims}
            mine = fit.settled(tables, counts[city])
            left = {dims: left[dims] - mine[dims] for dims in fit.dims}
        else:
            mine = left
            if fit.block.measure is Measure.ONE:
                counts[city].update(mine)
        found[city] = fit.family(mine, noise)
    return found


def _basis(size: int, contrasts: bool) -> Floats:
    """Of one dimension, atoms x contrasts: an orthonormal basis of what sums to 0; or the even spread of a total, a single column."""
    if not contrasts:
        return np.full((size, 1), 1 / size)
    steps = np.arange(1, size)  # Helmert: each atom against the mean of those before it
    basis = np.triu(np.ones((size, size - 1)))
    basis[steps, steps - 1] = -steps
    return np.asarray(basis / np.sqrt(steps * (steps + 1.0)))


def _kron(factors: Sequence[Floats]) -> Floats:
    found: Floats = np.ones((1, 1))
    for factor in factors:
        found = np.asarray(np.kron(found, factor))
    return found


def rows_of(axes: Sequence[str], solved: Solved, resolution: Resolution) -> Floats:
    """The design at the resolution of whole `axes`: one row per combination of their positions."""
    dims = sorted(resolution.dims(axes))
    atoms = solved.design(dims, resolution)
    rows = np.zeros((prod(resolution.axes[axis].size for axis in axes), atoms.shape[1]))
    np.add.at(rows, resolution.places(axes, dims), atoms)
    return rows


def unsolved(part: AxisSet, holding: Sequence[AxisSet], resolution: Resolution) -> Solved:
    """Where the unknowns of part A stand that blocks on the axes `holding` speak about."""
    sets = {frozenset(inside) for names in holding for inside in subsets(resolution.dims(resolution.shared(names)))}
    at, end = dict[Dims, slice](), 0
    for chosen in sorted(sets, key=lambda chosen: (len(chosen), sorted(chosen))):
        unknowns = prod(resolution.size(dim) - 1 for dim in chosen)
        at[chosen] = slice(end, end + unknowns)
        end += unknowns
    return Solved(part, at, np.zeros((end, 0)), np.zeros((end, end)))


def _solved(part: AxisSet, measured: Sequence[Measured], resolution: Resolution) -> Solved:
    """Part A of every table at once: a mean weighted by precision, or a dense least squares where axes are kept whole."""
    holding = [each for each in measured if part <= each.names]
    blank = unsolved(part, [each.names for each in holding], resolution)
    designs, sums = [], []
    for each in holding:
        whole = resolution.shared(each.names)
        scale = np.sqrt(each.margin_variance(part | set(whole)))
        designs.append(rows_of(whole, blank, resolution) / scale)
        sums.append(_parted(each, part, whole) / scale)
    design, observed = np.concatenate(designs), np.concatenate(sums)
    inverse = np.linalg.pinv(design, rcond=1e-10)
    return Solved(part, blank.at, inverse @ observed, inverse @ inverse.T)


def _parted(measured: Measured, part: AxisSet, whole: Sequence[str]) -> Floats:
    """The margin on A and the whole axes, centred along every axis of A: positions of the whole axes x cells of A."""
    kept = part | set(whole)
    table = measured.margin(kept) / measured.block.weight
    names = sorted(kept)
    for number, name in enumerate(names):
        if name in part:
            table = table - table.mean(axis=number, keepdims=True)
    order = [names.index(name) for name in (*whole, *sorted(part))]
    sizes = [table.shape[names.index(name)] for name in whole]
    return np.asarray(np.transpose(table, order).reshape((prod(sizes), prod(table.shape) // prod(sizes))))


def _recombined(dims: Dims, solved: Mapping[AxisSet, Solved], resolution: Resolution) -> Floats:
    """The table on dimensions from its parts; dimensions ascend by name."""
    names, shared = sorted(dims), sorted(dims & resolution.parts.keys())
    total = np.zeros([resolution.size(dim) for dim in names])
    for chosen in subsets(dims - set(shared)):
        part = solved[chosen]
        found = part.design(shared, resolution) @ part.unknowns
        mine = [*shared, *sorted(chosen)]
        table = found.reshape([resolution.size(dim) for dim in mine])
        table = np.transpose(table, [mine.index(dim) for dim in names if dim in mine])
        shape = [resolution.size(dim) if dim in mine else 1 for dim in names]
        total += table.reshape(shape) / prod(resolution.size(dim) for dim in names if dim not in mine)
    return total


def _held(dims: Dims, block: Block, resolution: Resolution, counts: Settled) -> Floats:
    """How many holders have a known value, on dimensions: the official table of them and of the amount, summed over known values."""
    for axis in _known_axes(block):
        if axis in resolution.axes and dims | {resolution.dim(axis)} in counts:
            dim = resolution.dim(axis)
            names = sorted(dims | {dim})
            known = np.arange(resolution.axes[axis].size) < resolution.axes[axis].size - 1
            if dim in resolution.parts:
                known = known[resolution.parts[dim][axis]]
            along = [-1 if name == dim else 1 for name in names]
            table = counts[frozenset(names)] * known.reshape(along)
            return np.asarray((table if dim in dims else table.sum(axis=names.index(dim))) / QUANTA)
    raise ValueError(f"{block.name}: the number of holders whose value is known was not measured")


def _cut(part: AxisSet, settled: Settled, resolution: Resolution) -> Units:
    """The official table on axes, by adding atoms. Shared axes ascend by name, as all do."""
    dims = sorted(resolution.dims(part))
    units = settled[frozenset(dims)]
    shared = [dim for dim in dims if dim in resolution.parts]
    if not shared:
        return units
    axes, others = resolution.shared(part), sorted(part - set(resolution.shared(part)))
    moved = np.moveaxis(units, [dims.index(dim) for dim in shared], range(len(shared)))
    rest = moved.shape[len(shared) :]
    found = np.zeros((prod(resolution.axes[axis].size for axis in axes), prod(rest)), dtype=np.int64)
    np.add.at(found, resolution.places(axes, shared), moved.reshape(-1, prod(rest)))
    order = [*axes, *others]
    table = found.reshape([resolution.axes[axis].size for axis in order])
    return np.transpose(table, [order.index(axis) for axis in sorted(part)])


def _last_digit(dims: tuple[str, ...], table: Floats, settled: Settled, quantum: int, block: Block) -> Units:
    """Whole quanta that add up to the margins settled before. Rounding moves a cell by at most cells * quantum / 2.

    Errors: `PeerError SUM_BOUND` for what int64 cannot hold.
    """
    if np.abs(table).sum() * quantum > LARGEST_SUM:
        raise PeerError("SUM_BOUND", block=block.name, limit=LARGEST_SUM // quantum)
    units: Units = np.zeros(table.shape, dtype=np.int64)
    corner = (KNOWN,) * len(dims)
    units[corner] = np.rint(table[corner] * quantum).astype(np.int64)
    names = frozenset(dims)
    for at, dim in enumerate(dims):
        before, after = (slice(None),) * at, corner[at + 1 :]
        last: Box = (*before, -1, *after)
        others: Box = (*before, KNOWN, *after)
        units[last] = settled[names - {dim}][(*before, *after)] - units[others].sum(axis=at)
    return units
