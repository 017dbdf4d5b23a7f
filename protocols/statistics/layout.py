"""The shape of what leaves a city: axes, blocks, and one layout for a whole study.

A *block* is one measure summed over the holders at each position of some axes. Its length, bounds and the most that one holder can
change (D1, D2) follow from the measure and the dictionary alone, never from rows. A *layout* is the list of a study's blocks, laid
end to end in one vector of integers.

Every axis is a public list of positions and ends with `_missing`; a holder of the cohort stands on exactly one position of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, Final

from protocols.canonical import canonical, digest
from protocols.dictionary import MISSING, Dictionary
from protocols.errors import ConfigError
from protocols.filters import Filter, leaves, spelled
from protocols.statistics.levels import Levels, levels_of

KNOWN: Final = "known"
CLIPPED: Final = ("low", "inside", "high")  # known(x) where x is clipped: how many values were moved, at no cost
LIMB_BITS: Final = 24  # of the lower part of an exact square
SQUARE_LIMIT: Final = 1 << LIMB_BITS  # h_q: a centred square is carried in at most so many units
# An amount of more than 2^24 steps is carried in coarser ones; in mode exact its square alone is, beyond 2^31, so that it fits int64.
TOP_BITS: Final = 24
CARRIER_CELLS: Final = (
    1 << 14
)  # of a joint table from which several blocks are summed: it stays in cache, and its codes in 16 bits
EXACT_TOP_BITS: Final = 31
WEIGHTS: Final = range(1, 7)  # of the number of holders who answered, beside the codes of a set
MOST_SHIFT: Final = 40
MOST_CELLS_PER_QUESTION: Final = (
    262_144  # what one table can hold and still be read, and one carrier can count in cache
)


class Measure(StrEnum):
    """What is added for one holder. There is no sixth."""

    ONE = "1"
    AMOUNT = "x-c"
    SQUARE = "(x-c)^2"
    PRODUCT = "(x-c)(y-d)"
    YES_NO = "yes-no"


@dataclass(frozen=True)
class Axis:
    """A named list of positions, `_missing` last. `source` is the variable that decides where a holder stands.

    `known_only`: the two positions (known, `_missing`) of a variable, written known(x). `cuts`: of a numeric variable in whole units,
    ascending; the position is the number of cuts that are <= x, less `skip` positions below that nobody can stand on.
    `levels`: how the position follows from one variable, where axes of that variable at other resolutions are to agree with this one.
    """

    name: str
    positions: tuple[str, ...]
    source: str
    known_only: bool = False
    cuts: tuple[int, ...] | None = None
    skip: int = 0
    levels: Levels | None = None

    @property
    def size(self) -> int:
        return len(self.positions)

    @property
    def codes(self) -> tuple[str, ...]:
        """The positions that stand for known values."""
        return self.positions[:-1]


@dataclass(frozen=True)
class Amount:
    """A number of whole units (fen, years) within `low..high`; a holder adds x - centre in steps of 2^`shift` units.

    `per`: units in one of what people read (fen in a yuan).
    """

    variable: str
    low: int
    high: int
    unit: str
    shift: int = 0
    per: int = 1

    @property
    def name(self) -> str:
        """Unique in a study: the same variable may be clipped in two ways."""
        return f"{self.variable} {self.low}..{self.high}"

    @property
    def quantum(self) -> int:
        """An official sum is whole in this part of a unit: about a millionth of what one holder may add, a whole fen of money."""
        return 10 ** max(0, 6 - len(str(max(abs(self.low), abs(self.high))))) if self.per == 1 else 1

    @property
    def centre(self) -> int:
        return (self.low + self.high) // 2

    @property
    def half_width(self) -> int:
        """h: the most steps that one holder adds, either way. (`high` is never nearer to the centre than `low`.)"""
        return -((self.centre - self.high) >> self.shift)

    @property
    def square_unit(self) -> int:
        """s2: the smallest integer with (h^2 - h^2/2) / s2 <= 2^24, so that a centred square fits."""
        return max(1, -(-(self.half_width**2) // (2 * SQUARE_LIMIT)))

    @property
    def square_width(self) -> int:
        """h_q: the most that the centred square of one holder adds, in units of `square_unit`, after rounding half to even."""
        return round_half_even(self.half_width**2, 2 * self.square_unit)


@dataclass(frozen=True)
class Choice:
    """A multi-response variable and its codes, in dictionary order.

    `most`: in the plain layout, where a holder adds 1 for each code named and nothing for the others, how many codes that can be; None in
    the centred one, where a holder adds 1 for each code named and takes 1 away for each other.
    """

    variable: str
    codes: tuple[str, ...]
    most: int | None = None

    @property
    def apart(self) -> tuple["Choice", ...]:
        """Each code by itself: tables of different codes share nothing but the holders who answered."""
        return tuple(replace(self, codes=(code,)) for code in self.codes)


class Limb(IntEnum):
    """The two parts of an exact square: u^2 = high * 2^24 + low. Neither is centred: they leave without noise."""

    LOW = 0
    HIGH = 1


@dataclass(frozen=True)
class Block:
    """One measure over its axes. Axes ascend by name, so that a question's own order does not make another block.

    `of`: what is measured beside the holder: nothing, one amount, two for a product, or a choice for yes-no. `shift`: what a holder adds is
    rounded, half to even, to a multiple of 2^`shift`, and carried in that unit. `limb`: of a square in mode exact. `cohort`: whom it is
    over, where that is not the study's whole cohort.
    """

    measure: Measure
    axes: tuple[Axis, ...] = ()
    of: tuple[Amount, ...] | Choice = ()
    weight: int = 1
    shift: int = 0
    limb: Limb | None = None
    cohort: Filter | None = None

    def __post_init__(self) -> None:
        if any(first.name >= second.name for first, second in pairwise(self.axes)):
            raise ValueError("the axes of a block ascend by name, each once")

    @property
    def name(self) -> str:
        """Readable, and unique in a study."""
        measured = self.of.variable if isinstance(self.of, Choice) else " * ".join(each.name for each in self.of)
        limb = "" if self.limb is None else f" {self.limb.name.lower()}"
        whom = "" if self.cohort is None else f" where {spelled(self.cohort)}"
        times = f"{self.weight}*" if self.weight != 1 else ""
        return f"{times}{self.measure}{limb}{f'[{measured}]' if measured else ''} by ({', '.join(axis.name for axis in self.axes)}){whom}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The variables that it is about; those that decide whom it is over among them."""
        of = (self.of.variable,) if isinstance(self.of, Choice) else (each.variable for each in self.of)
        chosen = () if self.cohort is None else (leaf.variable for leaf in leaves(self.cohort))
        return (*(axis.source for axis in self.axes), *of, *chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """One length per axis; for yes-no the codes come first."""
        first = (len(self.of.codes),) if isinstance(self.of, Choice) else ()
        return (*first, *(axis.size for axis in self.axes))

    @property
    def cells(self) -> int:
        return prod(self.shape)

    @property
    def step(self) -> int:
        """The most that one holder adds to one cell, either way, in units of 2^`shift`."""
        return self.weight * round_half_even(self._reach, 1 << self.shift)

    @property
    def _reach(self) -> int:
        match self.of:
            case () | Choice():
                return 1
            case (one,) if self.measure is Measure.AMOUNT:
                return one.half_width
            case (one,) if self.limb is Limb.LOW:
                return min(one.half_width**2, (1 << LIMB_BITS) - 1)
            case (one,) if self.limb is Limb.HIGH:
                return one.half_width**2 >> LIMB_BITS
            case (one,):
                return one.square_width
            case (one, other):
                return one.half_width * other.half_width
        raise TypeError(self.of)

    @property
    def rounded(self) -> bool:
        """Whether it may be carried in coarser units: amounts may, counts of holders may not."""
        return bool(self.of) and not isinstance(self.of, Choice) and self.limb is None

    @property
    def touches(self) -> int:
        """The most cells that one holder changes."""
        return (self.of.most or len(self.of.codes)) if isinstance(self.of, Choice) else 1

    @property
    def low(self) -> int:
        plain = isinstance(self.of, Choice) and self.of.most is not None
        return 0 if self.measure is Measure.ONE or self.limb is not None or plain else -self.step

    @property
    def high(self) -> int:
        return self.step

    @property
    def l1(self) -> int:
        """D1: the most that the block changes in all when one holder is added or removed."""
        return self.touches * self.step

    @property
    def l2sq(self) -> int:
        """D2: the most that it changes in squares."""
        return self.touches * self.step**2

    @property
    def unit(self) -> str:
        return "*".join(each.unit for each in self.of) if isinstance(self.of, tuple) and self.of else "holders"

    def declared(self) -> dict[str, Any]:
        """The block as cities sign it."""
        return {
            "block": self.name,
            "measure": str(self.measure),
            "axes": [{"name": axis.name, "positions": list(axis.positions)} for axis in self.axes],
            "of": self._of(),
            "weight": self.weight,
            "shift": self.shift,
            "limb": "" if self.limb is None else self.limb.name.lower(),
            "cells": self.cells,
            "touches": self.touches,
            "step": str(self.step),
            "low": str(self.low),
            "high": str(self.high),
            "l1": str(self.l1),
            "l2sq": str(self.l2sq),
            "unit": self.unit,
            **({} if self.cohort is None else {"cohort": spelled(self.cohort)}),
        }

    def _of(self) -> list[dict[str, Any]]:
        if isinstance(self.of, Choice):
            most = {} if self.of.most is None else {"most": self.of.most}
            return [{"variable": self.of.variable, "codes": list(self.of.codes), **most}]
        return [
            {
                "variable": each.variable,
                "centre": str(each.centre),
                "half_width": str(each.half_width),
                "shift": each.shift,
                "unit": each.unit,
            }
            for each in self.of
        ]


@dataclass(frozen=True)
class Carrier:
    """One joint table of counts, from which the blocks of the layout at `places`, of one cohort, are summed. It never leaves the city."""

    axes: tuple[Axis, ...]
    places: tuple[int, ...]
    cohort: Filter | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    def margin(self, table: Any, block: Block) -> Any:
        """The block's cells, of a table with this shape."""
        return table.sum(axis=tuple(at for at, axis in enumerate(self.axes) if axis not in block.axes))


def carriers(blocks: Sequence[Block]) -> tuple[Carrier, ...]:
    """Joint tables that cover all blocks of counts: the largest block first, each into the table that it makes the least larger.

    A table of a single block may have any size; one of several has at most CARRIER_CELLS. Cohorts are counted apart.
    """
    return tuple(
        carrier for cohort in dict.fromkeys(block.cohort for block in blocks) for carrier in _carriers(blocks, cohort)
    )


def _carriers(blocks: Sequence[Block], cohort: Filter | None) -> tuple[Carrier, ...]:
    cover: list[tuple[set[Axis], list[int]]] = []
    counted = [place for place, each in enumerate(blocks) if each.measure is Measure.ONE and each.cohort == cohort]
    for place in sorted(counted, key=lambda at: -blocks[at].cells):
        axes = set(blocks[place].axes)
        joined = [prod(axis.size for axis in held | axes) for held, _ in cover]
        growth = [new / prod(axis.size for axis in held) for new, (held, _) in zip(joined, cover, strict=True)]
        fits = [at for at, new in enumerate(joined) if new <= CARRIER_CELLS or growth[at] == 1]
        if fits:
            held, places = cover[min(fits, key=lambda at: growth[at])]
            held |= axes
            places.append(place)
        else:
            cover.append((axes, [place]))
    return tuple(Carrier(_ascending(tuple(held)), tuple(sorted(places)), cohort) for held, places in cover)


@dataclass(frozen=True)
class Layout:
    """Blocks end to end: cell i of block b stands at `offsets[b] + i`, row-major over the block's axes."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        """Errors: `ConfigError LAYOUT_EFFECT` for a block that declares less than one of its cells can change."""
        for block in self.blocks:
            if not 1 <= block.step <= block.l1 <= block.l2sq or block.l2sq < max(abs(block.low), abs(block.high)) ** 2:
                raise ConfigError("LAYOUT_EFFECT", block=block.name)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        starts, at = [], 0
        for block in self.blocks:
            starts.append(at)
            at += block.cells
        return tuple(starts)

    @cached_property
    def carriers(self) -> tuple[Carrier, ...]:
        """How a city counts; it follows from the blocks and is seen by nobody."""
        return carriers(self.blocks)

    @property
    def length(self) -> int:
        return sum(block.cells for block in self.blocks)

    @property
    def largest_step(self) -> int:
        """The most that one holder adds to any cell."""
        return max((block.step for block in self.blocks), default=0)

    @cached_property
    def digest(self) -> str:
        return digest(canonical([block.declared() for block in self.blocks]))

    def span(self, block: Block) -> slice:
        """Where a block's cells stand in the vector."""
        at = self.offsets[self.blocks.index(block)]
        return slice(at, at + block.cells)


NOTHING: Final = Layout(())  # a layout without blocks: nothing of its kind leaves
Blocks = Mapping[str, Block]


@dataclass(frozen=True)
class Domain:
    """What a kind may know: the dictionary, and whether sums are exact. It hands out axes and amounts by variable name."""

    dictionary: Dictionary
    exact: bool = False

    def axis(self, name: str) -> Axis:
        """Codes of a category, boolean or derived category, then `_missing`. Pre-condition: the name was checked."""
        codes = self.dictionary.codes(name)
        return Axis(name, (*codes, MISSING), name, levels=levels_of(self.dictionary, name))

    def known(self, name: str) -> Axis:
        """The axis known(x)."""
        levels = levels_of(self.dictionary, name).known()
        return Axis(f"{KNOWN}({name})", (KNOWN, MISSING), name, known_only=True, levels=levels)

    def is_set(self, name: str) -> bool:
        """Whether a variable is multi-response."""
        return self.dictionary.type_of(name) == "set"

    def choice(self, name: str) -> tuple[Choice, int]:
        """A multi-response variable, and the weight of the number of those who answered beside it.

        Centred, D2 = K + w^2 for K codes, and the count of a code, (S + n) / 2, has the variance (K + w^2)(1 + 1/w^2)/4 of one that
        costs 1; w makes it least. Plain, with at most m codes of a holder, it has m + 1. The smaller one is taken. Without noise there
        is no weight.
        """
        entry, codes = self.dictionary.variables[name], self.dictionary.codes(name)
        if self.exact:
            return Choice(name, codes), 1

        def variance(weight: int) -> Fraction:
            return Fraction((len(codes) + weight**2) * (weight**2 + 1), 4 * weight**2)

        best, most = min(WEIGHTS, key=variance), getattr(entry, "most_codes", None)
        if most is not None and most + 1 < variance(best):
            return Choice(name, codes, min(most, len(codes))), 1
        return Choice(name, codes), best

    def clipped(self, of: Amount) -> Axis:
        """The axis known(x), known values apart by whether clipping moves them: low, inside, high."""
        cuts = (of.low, of.high + 1)
        levels = Levels.of_cuts(of.variable, cuts, 0)
        return Axis(f"{KNOWN}({of.name})", (*CLIPPED, MISSING), of.variable, cuts=cuts, levels=levels)

    def bins(self, name: str, cuts: Sequence[int]) -> Axis:
        """Bins [a, b) of an integer or money variable between cuts in whole units, one below the first and one from the last on.

        A bin below the least value of the range is left out. A bin of one whole number is called by it.
        """
        per, (low, high) = self.per(name), self.range(name)
        skip = int(bool(cuts) and cuts[0] <= low)
        edges = (*([] if skip else [low]), *cuts, high + 1)
        whole = [_bin_label(first, after, per, high) for first, after in pairwise(edges)]
        levels = Levels.of_cuts(name, tuple(cuts), skip)
        shown = ", ".join(plain(cut, per) for cut in cuts)
        return Axis(f"{name}: {shown}", (*whole, MISSING), name, cuts=tuple(cuts), skip=skip, levels=levels)

    def per(self, name: str) -> int:
        """Whole units in one of what is written: fen in a yuan."""
        return 100 if self.dictionary.type_of(name) == "money" else 1

    def range(self, name: str) -> tuple[int, int]:
        """The public range of an integer or money variable, in whole units."""
        entry = self.dictionary.variables.get(name) or self.dictionary.derived[name]
        low, high = getattr(entry, "range", (0, 0))
        return int(Decimal(low) * self.per(name)), int(Decimal(high) * self.per(name))

    def amount(self, name: str, low: Decimal | None = None, high: Decimal | None = None) -> Amount:
        """An integer or money variable over `low..high` (default: its range), centred and in whole steps."""
        if self.dictionary.type_of(name) not in ("integer", "money"):
            raise TypeError(f"{name} is not an amount in whole steps")
        per, (lowest, highest) = self.per(name), self.range(name)
        bottom, top = (whole if edge is None else int(edge * per) for edge, whole in ((low, lowest), (high, highest)))
        unit = "fen" if per == 100 else self.dictionary.unit_of(name) or "1"
        whole = Amount(name, bottom, top, unit, per=per)
        return whole if self.exact else self.squarable(whole)

    def squarable(self, of: Amount) -> Amount:
        """The amount in steps so coarse that its square fits; the same for all but very wide ones."""
        bits = EXACT_TOP_BITS if self.exact else TOP_BITS
        return replace(of, shift=max(0, ((of.high - of.low + 1) // 2 - 1).bit_length() - bits))

    def squares(self, of: Amount, axes: Sequence[Axis] = ()) -> dict[str, Block]:
        """Blocks that give the sum of (x - c)^2: one centred square, or in mode exact its two limbs."""
        if not self.exact:
            return {"square": squared(of, axes)}
        block = squared(self.squarable(of), axes)
        return {
            f"square_{limb.name.lower()}": replace(block, limb=limb)
            for limb in Limb
            if _reaches(self.squarable(of), limb)
        }


def _reaches(of: Amount, limb: Limb) -> bool:
    """Small amounts have no upper limb."""
    return limb is Limb.LOW or of.half_width**2 >> LIMB_BITS > 0


def _bin_label(first: int, after: int, per: int, high: int) -> str:
    if after == first + 1 and per == 1:
        return plain(first, per)
    if after == high + 1:
        return f"[{plain(first, per)}, {plain(high, per)}]"
    return f"[{plain(first, per)}, {plain(after, per)})"


def plain(units: int, per: int) -> str:
    """Whole units as they are written in a study: 180 yuan, 180.5 yuan."""
    return f"{(Decimal(units) / per).normalize():f}"


def count(axes: Sequence[Axis] = ()) -> Block:
    """How many holders stand at each position."""
    return Block(Measure.ONE, _ascending(axes))


def amount(of: Amount, axes: Sequence[Axis] = ()) -> Block:
    """Sum of x - c over the holders whose x is known."""
    return Block(Measure.AMOUNT, _ascending(axes), (of,))


def squared(of: Amount, axes: Sequence[Axis] = ()) -> Block:
    """Sum of centred squares over the holders whose x is known."""
    return Block(Measure.SQUARE, _ascending(axes), (of,))


def product(first: Amount, second: Amount, axes: Sequence[Axis] = ()) -> Block:
    """Sum of (x - c)(y - d) over the holders of whom both are known."""
    return Block(Measure.PRODUCT, _ascending(axes), (first, second))


def yes_no(of: Choice, axes: Sequence[Axis] = ()) -> Block:
    """For each code, +1 per holder who named it and -1 per holder who answered and did not."""
    return Block(Measure.YES_NO, _ascending(axes), of)


def _ascending(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda axis: axis.name))


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to the even one, in whole numbers. Pre-condition: denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))
