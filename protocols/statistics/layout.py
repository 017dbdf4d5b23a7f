"""The shape of what leaves a city: axes, blocks, and one layout for a whole study.

A *block* is one measure summed over the holders at each position of some axes. Its length, bounds and the most that one holder can
change (D1, D2) follow from the measure and the dictionary alone, never from rows. A *layout* is the list of a study's blocks, laid
end to end in one vector of integers.

Every axis is a public list of positions and ends with `_missing`; a holder of the cohort stands on exactly one position of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil, prod, sqrt
from typing import Any, Final, Literal

import numpy as np

from protocols.canonical import canonical, digest
from protocols.columns import month_number, month_of_text, month_text
from protocols.dictionary import MISSING, Dictionary
from protocols.errors import Both, ConfigError
from protocols.filters import Filter, leaves, spelled
from protocols.statistics.levels import Levels, levels_of
from protocols.statistics.tree import SHAPES, SPREAD, Tree, tree

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
POINT_BITS: Final = (
    8  # half of a range is 2^8 steps of a coordinate: far below any noise, and the noise is cheap to draw
)
REACH: Final = Fraction(4, 5)  # of sqrt(d), the length of the farthest corner: few points are longer, and noise is less
OUTSIDE: Final = "_outside"  # of a date: known, and in no month of the window
NUMERIC: Final = ("integer", "number", "money")  # counted in whole units
MONTH: Final = "month"  # keys of the rows that events answer in
FROM: Final = "from"
TO: Final = "to"
SINCE: Final = "since"
MOST_CELLS_PER_QUESTION: Final = (
    262_144  # what one table can hold and still be read, and one carrier can count in cache
)


class Measure(StrEnum):
    """What is added for one holder. There is no sixth.

    DOMINATED adds up over cities and not over holders: 1 for a city of whose amount a few holders are most (`dominance.py`). So does
    STATED: a figure of the city itself (`protocols/facts.py`), which no holder moves.
    """

    ONE = "1"
    AMOUNT = "x-c"
    SQUARE = "(x-c)^2"
    PRODUCT = "(x-c)(y-d)"
    YES_NO = "yes-no"
    DOMINATED = "dominated"
    STATED = "stated"


class Stand(StrEnum):
    """What decides a position: a holder; or, of an event row, its own value, its month, the months since the holder's date, or, of a pair
    of rows in consecutive months, the value in the first or in the second."""

    HOLDER = "holder"
    VALUE = "value"
    MONTH = "month"
    SINCE = "since"
    FROM = "from"
    TO = "to"


@dataclass(frozen=True)
class Months:
    """Consecutive months, by number (`protocols.columns`): the window of a study."""

    first: int
    number: int

    @classmethod
    def between(cls, first: str, last: str) -> "Months":
        """2021-08 to 2022-05, both included."""
        return cls(month_of_text(first), month_of_text(last) - month_of_text(first) + 1)

    @property
    def last(self) -> int:
        return self.first + self.number - 1

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(month_text(self.first + at) for at in range(self.number))


@dataclass(frozen=True)
class Occasions:
    """What a block over event rows adds up: the rows of a table in some months, where `active` is given those in which that variable is
    true; or, `pairs`, those that the same holder's row of the next month follows. `since`: of these the rows from the month of that date of
    their holder on, where it lies in the months or after them. `kept`: rows that a holder has at most."""

    table: str
    months: Months
    kept: int
    active: str = ""
    pairs: bool = False
    since: str = ""

    @property
    def most(self) -> int:
        """M, or of pairs M - 1: the most that one holder has."""
        return min(self.months.number, self.kept) - self.pairs

    def declared(self) -> dict[str, Any]:
        months = {"from": self.months.texts[0], "to": self.months.texts[-1]}
        found = {"table": self.table, "months": months, "kept": self.kept, "active": self.active, "pairs": self.pairs}
        return found | ({"since": self.since} if self.since else {})

    @property
    def name(self) -> str:
        true = f" {self.active}" if self.active else ""
        since = f" since {self.since}" if self.since else ""
        months = f"{self.months.texts[0]}..{self.months.texts[-1]}"
        return f"{'pairs of ' if self.pairs else ''}{self.table}{true}{since} {months}"


@dataclass(frozen=True)
class Axis:
    """A named list of positions, `_missing` last. `source` is the variable that decides where a holder stands.

    `known_only`: the two positions (known, `_missing`) of a variable, written known(x); with `beside`, of several at once.
    `cuts`: of a numeric variable in whole units, ascending; the position is the number of cuts that are <= x, less `skip` positions below
    that nobody can stand on.
    `levels`: how the position follows from one variable, where axes of that variable at other resolutions are to agree with this one.
    `tree`: the nodes of one `level` of it; those that hold no values come last before `_missing`.
    `centres`: of several amounts at once, known where all of them are; the position is the nearest centre.
    `stand`: what decides. `months`: of a date, of an event row's month, and of months since a date, those that the positions are.
    """

    name: str
    positions: tuple[str, ...]
    source: str
    known_only: bool = False
    beside: tuple[str, ...] = ()
    cuts: tuple[int, ...] | None = None
    skip: int = 0
    levels: Levels | None = None
    tree: Tree | None = None
    level: int = 0
    stand: Stand = Stand.HOLDER
    months: Months | None = None
    centres: "Centres | None" = None

    @property
    def size(self) -> int:
        return len(self.positions)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, *self.beside)

    @property
    def codes(self) -> tuple[str, ...]:
        """The positions that stand for known values."""
        return self.positions[:-1]


@dataclass(frozen=True)
class Amount:
    """A number of whole units (fen, years) within `low..high`; a holder adds x - centre in steps of 2^`shift` units.

    `per`: units in one of what people read (fen in a yuan). `among`: only of holders of whom all of these are known.
    """

    variable: str
    low: int
    high: int
    unit: str
    shift: int = 0
    per: int = 1
    among: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique in a study: the same variable may be clipped in two ways, and be summed over all or over some."""
        return f"{self.variable} {self.low}..{self.high}{f' among {known_of(self.among)}' if self.among else ''}"

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.variable, *self.among)))

    @property
    def known_on(self) -> tuple[str, ...]:
        """Names of axes that say of whom it is summed."""
        return (known_of(self.among),) if self.among else (known_of((self.name,)), known_of((self.variable,)))

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
    def square_halves(self) -> int:
        """Twice s2, the smallest unit with (h^2 - h^2/2) / s2 <= 2^24, so that a centred square fits. s2 is whole, but a half where h is
        odd and small: h^2 / 2 is no whole number then, and rounding it for every holder alike would add up."""
        if self.half_width % 2 and self.half_width**2 <= SQUARE_LIMIT:
            return 1
        return 2 * max(1, -(-(self.half_width**2) // (2 * SQUARE_LIMIT)))

    @property
    def square_width(self) -> int:
        """h_q: the most that the centred square of one holder adds, in units of s2, after rounding half to even."""
        return round_half_even(self.half_width**2, self.square_halves)


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
    def name(self) -> str:
        return self.variable

    @property
    def apart(self) -> tuple["Choice", ...]:
        """Each code by itself: tables of different codes share nothing but the holders who answered."""
        return tuple(replace(self, codes=(code,)) for code in self.codes)


@dataclass(frozen=True)
class Centres:
    """Points to be near to. `of`: the amounts, each known only together with all; `at`: of each centre, one coordinate per amount, where -1
    and 1 are the ends of its bounds."""

    of: tuple[Amount, ...]
    at: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Point:
    """Several amounts of one holder as a point, -1 and 1 being the ends of the bounds of each, moved towards the middle until it is at most
    REACH sqrt(d) long, and carried in steps of 2^-POINT_BITS. All of it is one contribution: a holder moves d cells, together by no more.

    Rounding half to even moves a coordinate by half a step at most, and a point of length r so to r + sqrt(d) / 2 at most.
    """

    of: tuple[Amount, ...]

    @property
    def name(self) -> str:
        return f"({', '.join(each.name for each in self.of)})"

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self.of for name in each.variables))

    @property
    def reach(self) -> float:
        """The longest that a point is, before rounding."""
        return float(REACH) * sqrt(len(self.of))

    @property
    def step(self) -> int:
        """The most in one cell: the end of a range, or all of the length in one."""
        return min(1 << POINT_BITS, ceil(self.reach * (1 << POINT_BITS) + 0.5))

    @property
    def l1(self) -> int:
        """r sqrt(d), and half a step for each coordinate."""
        d = len(self.of)
        return ceil(REACH * d * (1 << POINT_BITS) + Fraction(d, 2))

    @property
    def l2sq(self) -> int:
        """(r + sqrt(d) / 2)^2."""
        d = len(self.of)
        r = REACH * (1 << POINT_BITS)  # by sqrt(d)
        return ceil(d * (r + Fraction(1, 2)) ** 2)


class Limb(IntEnum):
    """The two parts of an exact square or product: u v = high * 2^24 + low, low >= 0. Neither is centred: they leave without noise."""

    LOW = 0
    HIGH = 1


@dataclass(frozen=True)
class Branches:
    """A tree, and by which axes its nodes are split: levels of one such tree are fitted together, and with nothing else."""

    tree: Tree
    by: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One measure over its axes. Axes ascend by name, so that a question's own order does not make another block.

    `over`: what is added up is event rows, or pairs of them, and not holders. Those of one holder stand in one cell each where their month
    is an axis; where it is not, all of them may meet in one.

    `of`: what is measured beside the holder: nothing, one amount, two for a product, several as one point, or a choice for yes-no.
    `shift`: what a holder adds is rounded, half to even, to a multiple of 2^`shift`, and carried in that unit. `limb`: of a square in mode
    exact. `cohort`: whom it is over, where that is not the study's whole cohort.
    """

    measure: Measure
    axes: tuple[Axis, ...] = ()
    of: tuple[Amount, ...] | Choice | Point = ()
    weight: int = 1
    shift: int = 0
    limb: Limb | None = None
    over: Occasions | None = None
    cohort: Filter | None = None

    def __post_init__(self) -> None:
        if any(first.name >= second.name for first, second in pairwise(self.axes)):
            raise ValueError("the axes of a block ascend by name, each once")

    @property
    def name(self) -> str:
        """Readable, and unique in a study."""
        measured = self.of.name if isinstance(self.of, Choice | Point) else " * ".join(each.name for each in self.of)
        limb = "" if self.limb is None else f" {self.limb.name.lower()}"
        over = "" if self.over is None else f" over {self.over.name}"
        whom = "" if self.cohort is None else f" where {spelled(self.cohort)}"
        times = f"{self.weight}*" if self.weight != 1 else ""
        axes = ", ".join(axis.name for axis in self.axes)
        return f"{times}{self.measure}{limb}{f'[{measured}]' if measured else ''}{over} by ({axes}){whom}"

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """Those that are measured, as one or as a point."""
        match self.of:
            case Choice():
                return ()
            case Point(of=of):
                return of
            case of:
                return of

    @property
    def sources(self) -> tuple[str, ...]:
        """The variables that it is about; those that decide whom it is over among them."""
        if self.measure is Measure.STATED:
            return ()
        of = [name for each in self.amounts for name in each.variables]
        of = [self.of.variable] if isinstance(self.of, Choice) else of
        over = () if self.over is None else (self.over.table, *([self.over.active] if self.over.active else []))
        chosen = () if self.cohort is None else (leaf.variable for leaf in leaves(self.cohort))
        return (*(name for axis in self.axes for name in axis.sources), *of, *over, *chosen)

    @property
    def branches(self) -> Branches | None:
        """Of counts of holders at the nodes of a tree: which one, and split by which axes."""
        trees = [axis.tree for axis in self.axes if axis.tree is not None]
        return Branches(trees[0], tuple(axis.name for axis in self.axes if axis.tree is None)) if trees else None

    @property
    def shape(self) -> tuple[int, ...]:
        """One length per axis; for yes-no the codes come first, of points the coordinates."""
        match self.of:
            case Choice(codes=first) | Point(of=first):
                return (len(first), *(axis.size for axis in self.axes))
        return tuple(axis.size for axis in self.axes)

    @property
    def cells(self) -> int:
        return prod(self.shape)

    @property
    def step(self) -> int:
        """The most that one holder adds to one cell, either way, in units of 2^`shift`."""
        if self.measure is Measure.STATED:
            return 0
        return self.weight * round_half_even(self._reach, 1 << self.shift) * (1 if self.apart else self.touches)

    @property
    def apart(self) -> bool:
        """No two of one holder's event rows stand in one cell: each has a month of its own."""
        return self.over is None or any(axis.stand in (Stand.MONTH, Stand.SINCE) for axis in self.axes)

    @property
    def _reach(self) -> int:
        if self.measure is Measure.DOMINATED:
            return 1
        match self.of:
            case () | Choice():
                return 1
            case Point(step=step):
                return step
            case (one,) if self.measure is Measure.AMOUNT:
                return one.half_width
            case (one,) if self.limb is Limb.LOW:
                return min(one.half_width**2, (1 << LIMB_BITS) - 1)
            case (one,) if self.limb is Limb.HIGH:
                return one.half_width**2 >> LIMB_BITS
            case (one,):
                return one.square_width
            case (one, other) if self.limb is Limb.LOW:
                return (1 << LIMB_BITS) - 1
            case (one, other) if self.limb is Limb.HIGH:  # rounded down, so that the lower limb is never below 0
                return -(-one.half_width * other.half_width >> LIMB_BITS)
            case (one, other):
                return one.half_width * other.half_width
        raise TypeError(self.of)

    @property
    def rounded(self) -> bool:
        """Whether it may be carried in coarser units: amounts may, counts of holders may not."""
        plain = self.limb is None and self.measure not in (Measure.DOMINATED, Measure.STATED)
        return bool(self.of) and not isinstance(self.of, Choice | Point) and plain

    @property
    def touches(self) -> int:
        """The most cells that one holder changes."""
        if self.measure is Measure.STATED:
            return 0
        if self.over is not None:
            return self.over.most
        match self.of:
            case Choice(codes=codes, most=most):
                return most or len(codes)
            case Point(of=of):
                return len(of)
        return 1

    @property
    def low(self) -> int:
        if self.measure is Measure.STATED and isinstance(self.of, tuple):
            return min(self.of[0].low, 0)
        plain = isinstance(self.of, Choice) and self.of.most is not None
        upright = self.limb is not None and not (self.measure is Measure.PRODUCT and self.limb is Limb.HIGH)
        return 0 if self.measure in (Measure.ONE, Measure.DOMINATED) or upright or plain else -self.step

    @property
    def high(self) -> int:
        if self.measure is Measure.STATED and isinstance(self.of, tuple):
            return max(self.of[0].high, 0)
        return self.step

    @property
    def l1(self) -> int:
        """D1: the most that the block changes in all when one holder is added or removed, with all event rows."""
        if isinstance(self.of, Point):
            return self.weight * self.of.l1
        return self.touches * self.step if self.apart else self.step

    @property
    def l2sq(self) -> int:
        """D2: the most that it changes in squares. Event rows that may meet in one cell: all of them there."""
        if isinstance(self.of, Point):
            return self.weight**2 * self.of.l2sq
        return self.touches * self.step**2 if self.apart else self.step**2

    @property
    def unit(self) -> str:
        if self.measure is Measure.DOMINATED:
            return "cities"
        if isinstance(self.of, Point):
            return f"half ranges / {1 << POINT_BITS}"
        if isinstance(self.of, tuple) and self.of:
            return "*".join(each.unit for each in self.of)
        return "holders" if self.over is None else "pairs of rows" if self.over.pairs else "rows"

    def declared(self) -> dict[str, Any]:
        """The block as cities sign it."""
        return {
            "block": self.name,
            "measure": str(self.measure),
            "axes": [{"name": axis.name, "positions": list(axis.positions)} for axis in self.axes],
            **({} if self.over is None else {"over": self.over.declared()}),
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
                **({"among": list(each.among)} if each.among else {}),
            }
            for each in self.amounts
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
        finer = {_finest(axis, self.axes): axis for axis in block.axes}
        found = table.sum(axis=tuple(at for at, axis in enumerate(self.axes) if axis not in finer))
        for at, axis in enumerate(axis for axis in self.axes if axis in finer):
            if axis != finer[axis]:
                found = coarser_nodes(found, at, finer[axis].size - 1)
        return found


def coarser_nodes(table: Any, at: int, nodes: int) -> Any:
    """A table whose axis number `at` has the nodes of a tree and `_missing`, at a coarser level of `nodes` nodes."""
    moved = np.moveaxis(table, at, -1)
    known = moved[..., :-1]
    known = known.reshape(*known.shape[:-1], nodes, known.shape[-1] // nodes).sum(axis=-1)
    return np.moveaxis(np.concatenate([known, moved[..., -1:]], axis=-1), -1, at)


def _finest(axis: Axis, among: Sequence[Axis]) -> Axis:
    """The finest axis of the same tree; itself where it is of none."""
    same = [other for other in among if axis.tree is not None and other.tree == axis.tree]
    return max(same, key=lambda other: other.level, default=axis)


def carriers(blocks: Sequence[Block]) -> tuple[Carrier, ...]:
    """Joint tables that cover all blocks of counts: the largest block first, each into the table that it makes the least larger.

    A table of a single block may have any size; one of several has at most CARRIER_CELLS. Cohorts are counted apart.
    """
    return tuple(
        carrier for cohort in dict.fromkeys(block.cohort for block in blocks) for carrier in _carriers(blocks, cohort)
    )


def _carriers(blocks: Sequence[Block], cohort: Filter | None) -> tuple[Carrier, ...]:
    cover: list[tuple[set[Axis], list[int]]] = []
    mine = [block for block in blocks if block.cohort == cohort]
    every = [axis for axis in dict.fromkeys(axis for block in mine for axis in block.axes) if axis.tree is not None]
    counted = [
        place
        for place, each in enumerate(blocks)
        if each.measure is Measure.ONE and each.over is None and each.cohort == cohort
    ]
    for place in sorted(counted, key=lambda at: -blocks[at].cells):
        axes = {_finest(axis, every) for axis in blocks[place].axes}
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
            if block.measure is Measure.STATED:
                continue
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

    @property
    def largest_stated(self) -> int:
        """The most that a city states about itself in any cell, either way."""
        found = [block for block in self.blocks if block.measure is Measure.STATED]
        return max((max(-block.low, block.high) for block in found), default=0)

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
    """What a kind may know: the dictionary, and whether sums are exact. It hands out axes and amounts by variable name.

    `as_of` and `window`: those of the study; a kind that asks for months needs the one or the other (`months_of`).
    `cities`: who is in the sums that a question is finalized from, where that is known. `questions`: those of the study, by id.
    `scopes`: of each city, who of its holders its files cover, in one word for all flags together. `release`: of questions that say
    nothing else.
    """

    dictionary: Dictionary
    exact: bool = False
    as_of: date | None = None
    window: Months | None = None
    cities: tuple[str, ...] = ()
    questions: Mapping[str, Any] = field(default_factory=dict)
    scopes: Mapping[str, str] = field(default_factory=dict)
    release: Literal["pooled", "by_city", "both"] = "pooled"

    def axis(self, name: str) -> Axis:
        """Codes of a category, boolean or derived category, then `_missing`. Pre-condition: the name was checked."""
        codes = self.dictionary.codes(name)
        return Axis(name, (*codes, MISSING), name, levels=levels_of(self.dictionary, name))

    def months_of(self, table: str | None = None) -> Months:
        """The window of the study; left out, the months up to as_of in which a holder may have rows of an events table.

        Errors: `ConfigError STUDY_WINDOW` where there is neither, or where the window goes on after as_of.
        """
        last = None if self.as_of is None else month_number(self.as_of)
        if self.window is not None:
            if last is not None and self.window.last > last:
                raise ConfigError("STUDY_WINDOW", problem=Both("业务期间晚于 as_of", "the window ends after as_of"))
            return self.window
        if table is None or last is None:
            raise ConfigError("STUDY_WINDOW", problem=Both("没有写 window", "there is no `window`"))
        kept = self.dictionary.events[table].most_rows_per_holder
        return Months(last - kept + 1, kept)

    def date_axis(self, name: str, months: Months | None = None) -> Axis:
        """Months (default: the window), then `_outside` and `_missing`: where a date of the main table lies. One holder: one position."""
        months = self.months_of() if months is None else months
        return Axis(name, (*months.texts, OUTSIDE, MISSING), name, months=months)

    def occasions(self, table: str, *, active: str = "", pairs: bool = False, since: str = "") -> Occasions:
        """The rows of an events table in the months of the study. `active`: the full name of a boolean of it, `since`: a date of the main
        table, or nothing."""
        kept = self.dictionary.events[table].most_rows_per_holder
        return Occasions(table, self.months_of(table), kept, active, pairs, since)

    def month_axis(self, table: str) -> Axis:
        """The month of an event row. Rows outside the window are not added up, so that nobody stands on `_missing`."""
        months = self.months_of(table)
        return Axis(f"{MONTH} of {table}", (*months.texts, MISSING), table, stand=Stand.MONTH, months=months)

    def state_axis(self, name: str, stand: Stand) -> Axis:
        """The codes of a category or boolean of events, as a row or one of a pair has them, then `_missing`."""
        return Axis(f"{stand.value} {name}", (*self.dictionary.codes(name), MISSING), name, stand=stand)

    def since_axis(self, opened: str, table: str) -> Axis:
        """Months from the month of a holder's date to that of an event row. Only rows since that date are added up: nobody stands on
        `_missing`."""
        months = self.months_of(table)
        positions = (*(str(at) for at in range(months.number)), MISSING)
        return Axis(f"{SINCE} {opened} of {table}", positions, opened, stand=Stand.SINCE, months=months)

    def known(self, name: str) -> Axis:
        """The axis known(x); of a variable of events, by row."""
        if self.dictionary.event_of(name) is not None:
            return Axis(f"{KNOWN}({name})", (KNOWN, MISSING), name, known_only=True, stand=Stand.VALUE)
        levels = levels_of(self.dictionary, name).known()
        return Axis(known_of((name,)), (KNOWN, MISSING), name, known_only=True, levels=levels)

    def known_together(self, names: Sequence[str]) -> Axis:
        """The axis known(x, y, ...): known where all of them are."""
        first, *others = names
        return Axis(known_of(names), (KNOWN, MISSING), first, known_only=True, beside=tuple(others))

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
        return Axis(known_of((of.name,)), (*CLIPPED, MISSING), of.variable, cuts=cuts, levels=levels)

    def bins(self, name: str, cuts: Sequence[int]) -> Axis:
        """Bins [a, b) of an integer, number or money variable between cuts in whole units, one below the first and one from the last on.

        A bin below the least value of the range is left out. A bin of one whole number is called by it.
        """
        per, (low, high) = self.per(name), self.range(name)
        skip = int(bool(cuts) and cuts[0] <= low)
        edges = (*([] if skip else [low]), *cuts, high + 1)
        whole = [_bin_label(first, after, per, high) for first, after in pairwise(edges)]
        levels = Levels.of_cuts(name, tuple(cuts), skip)
        shown = ", ".join(plain(cut, per) for cut in cuts)
        return Axis(f"{name}: {shown}", (*whole, MISSING), name, cuts=tuple(cuts), skip=skip, levels=levels)

    def tree(self, name: str, scale: str | None = None, leaves: int | None = None) -> Tree:
        """The grid of an amount. Default: of money 4096 leaves that widen with the amount, else 1024 equal ones."""
        money, per = self.dictionary.type_of(name) == "money", self.per(name)
        entry = self.dictionary.variables.get(name)
        points = tuple(int(point * per) for point in getattr(entry, "points", ()))
        wanted = leaves or max(SHAPES) if money else leaves or min(SHAPES)
        scale, step = scale or ("asinh" if money else "linear"), per if money else 1
        return tree(name, scale, wanted, self.range(name), step, points, SPREAD * per // step)

    def nodes(self, of: Tree, level: int) -> Axis:
        """One level of a tree as an axis."""
        per, (_, high) = self.per(of.variable), self.range(of.variable)
        starts = of.starts(level)
        whole = [_bin_label(first, after, per, high) for first, after in pairwise((*starts, high + 1))]
        empty = [f"empty {number}" for number in range(len(starts), of.nodes(level))]
        name = f"{of.name} level {level}"
        return Axis(name, (*whole, *empty, MISSING), of.variable, cuts=starts[1:], tree=of, level=level)

    def per(self, name: str) -> int:
        """Whole units in one of what is written: fen in a yuan, decimal places of a number."""
        return self.dictionary.per(name)

    def range(self, name: str) -> tuple[int, int]:
        """The public range of an integer, number or money variable, in whole units."""
        return self.dictionary.whole_range(name)

    def amount(self, name: str, low: Decimal | None = None, high: Decimal | None = None) -> Amount:
        """An integer, number or money variable over `low..high` (default: its range), centred and in whole steps."""
        kind = self.dictionary.type_of(name)
        if kind not in NUMERIC:
            raise TypeError(f"{name} is not an amount in whole steps")
        per, (lowest, highest) = self.per(name), self.range(name)
        bottom, top = (whole if edge is None else int(edge * per) for edge, whole in ((low, lowest), (high, highest)))
        unit = "fen" if kind == "money" else self.dictionary.unit_of(name) or "1"
        unit = f"{unit} / {per}" if kind == "number" and per > 1 else unit
        whole = Amount(name, bottom, top, unit, per=per)
        return whole if self.exact else self.squarable(whole)

    def squarable(self, of: Amount) -> Amount:
        """The amount in steps so coarse that its square fits; the same for all but very wide ones."""
        bits = EXACT_TOP_BITS if self.exact else TOP_BITS
        return replace(of, shift=max(of.shift, ((of.high - of.low + 1) // 2 - 1).bit_length() - bits))

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

    def products(self, x: Amount, y: Amount, axes: Sequence[Axis] = ()) -> dict[str, Block]:
        """Blocks that give the sum of (x - c)(y - d) over holders of whom both are known: one, or in mode exact its two limbs."""
        block = product(self.squarable(x), self.squarable(y), axes)
        return (
            {f"product_{limb.name.lower()}": replace(block, limb=limb) for limb in Limb}
            if self.exact
            else {"product": block}
        )


def _reaches(of: Amount, limb: Limb) -> bool:
    """Small amounts have no upper limb."""
    return limb is Limb.LOW or of.half_width**2 >> LIMB_BITS > 0


def known_of(names: Sequence[str]) -> str:
    """The name of an axis of known values."""
    return f"{KNOWN}({', '.join(names)})"


def _bin_label(first: int, after: int, per: int, high: int) -> str:
    if after == first + 1 and per == 1:
        return plain(first, per)
    if after == high + 1:
        return f"[{plain(first, per)}, {plain(high, per)}]"
    return f"[{plain(first, per)}, {plain(after, per)})"


def plain(units: int, per: int) -> str:
    """Whole units as they are written in a study: 180 yuan, 180.5 yuan."""
    return f"{(Decimal(units) / per).normalize():f}"


def count(axes: Sequence[Axis] = (), over: Occasions | None = None) -> Block:
    """How many holders stand at each position; or how many event rows."""
    return Block(Measure.ONE, _ascending(axes), over=over)


def amount(of: Amount, axes: Sequence[Axis] = (), over: Occasions | None = None) -> Block:
    """Sum of x - c over the holders, or event rows, whose x is known."""
    return Block(Measure.AMOUNT, _ascending(axes), (of,), over=over)


def dominated(of: Amount, axes: Sequence[Axis] = ()) -> Block:
    """How many cities there are of whose sum of x a few holders are most. Mode exact only."""
    return Block(Measure.DOMINATED, _ascending(axes), (of,))


def stated(name: str, low: int, high: int, unit: str) -> Block:
    """One figure of each city, summed over cities: within `low..high` whole units, 0 from who does not add it. Mode exact only."""
    return Block(Measure.STATED, (), (Amount(name, low, high, unit),))


def squared(of: Amount, axes: Sequence[Axis] = ()) -> Block:
    """Sum of centred squares over the holders whose x is known."""
    return Block(Measure.SQUARE, _ascending(axes), (of,))


def product(first: Amount, second: Amount, axes: Sequence[Axis] = ()) -> Block:
    """Sum of (x - c)(y - d) over the holders of whom both are known."""
    return Block(Measure.PRODUCT, _ascending(axes), (first, second))


def point(of: Point, axes: Sequence[Axis]) -> Block:
    """Sums of the coordinates, over the holders of whom all are known."""
    return Block(Measure.AMOUNT, _ascending(axes), of)


def yes_no(of: Choice, axes: Sequence[Axis] = ()) -> Block:
    """For each code, +1 per holder who named it and -1 per holder who answered and did not."""
    return Block(Measure.YES_NO, _ascending(axes), of)


def _ascending(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda axis: axis.name))


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to the even one, in whole numbers. Pre-condition: denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))
