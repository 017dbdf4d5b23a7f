"""T26: a small count of an exact table is computed from all that is printed: margins, other cells, and linear programmes."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from protocols.entropy import Entropy, exactly
from protocols.ring import Vector
from protocols.statistics.estimates import Family, subsets
from protocols.statistics.layout import Axis, Layout, count
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Withheld
from simulations.attacks.doubles import only_small_cells
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T26"
WHAT: Final = {"zh": "由合计行列推算小单元格", "en": "a small cell computed from its margins"}
HOLDS: Final = {"zh": "公布的精确表及其全部合计", "en": "an exact table as printed, with all its margins"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, withheld=only_small_cells),)
TABLES: Final = 6
LEAST: Final = 10


def run(world: World, entropy: Entropy) -> Outcome:
    """Withheld counts that are known to within less than the least cell, over tables of two to four axes."""
    return Outcome(sum(known(world, *drawn(entropy, 2 + at % 3)) for at in range(TABLES)), 0, "known")


def drawn(entropy: Entropy, axes: int) -> tuple[Layout, Family]:
    """A table of some hundred holders, unevenly spread, with all its margins."""
    size = {2: 5, 3: 3, 4: 2}[axes] + 1
    names = [Axis(name, tuple(f"p{at}" for at in range(size)), name) for name in "abcd"[:axes]]
    cells = size**axes
    spread = np.frombuffer(exactly(entropy, cells), np.uint8).astype(np.float64) ** 3
    table = np.rint(spread / spread.sum() * 120 * axes).astype(np.int64).reshape((size,) * axes)
    parts = subsets(frozenset(axis.name for axis in names))
    order = sorted(axis.name for axis in names)
    units = {part: table.sum(axis=tuple(at for at, name in enumerate(order) if name not in part)) for part in parts}
    noise = {part: {chosen: np.zeros(()) for chosen in subsets(part)} for part in parts}
    return Layout((count(names),)), Family({axis.name: axis for axis in names}, units, noise, quantum=1)


def known(world: World, layout: Layout, family: Family) -> int:
    """How many withheld cells that hold somebody an attacker knows to within less than the least cell."""
    hidden: Withheld = world.withheld(family, Resolution.of(layout), LEAST)
    (block,) = layout.blocks
    places = np.indices(block.shape).reshape(len(block.axes), block.cells)
    rows, values, wanted = [], [], []
    for part, cells in hidden.cells.items():
        for at in np.ndindex(cells.shape):
            chosen = dict(zip(sorted(part), at, strict=True))
            inside = np.ones(block.cells, dtype=bool)
            for place, axis in zip(places, block.axes, strict=True):
                inside &= place == chosen.get(axis.name, place)
            if not cells[at]:
                rows.append(inside)
                values.append(int(family.units[part][at]))
            elif family.units[part][at] > 0:
                wanted.append(inside)
    return sum(width(np.array(rows, dtype=float), np.array(values), inside) < LEAST - 1e-6 for inside in wanted)


def width(rows: Any, values: Vector, wanted: Any) -> float:
    """How far apart the least and the most are that these joint cells can hold together."""
    from scipy.optimize import linprog

    aims = (sign * wanted.astype(float) for sign in (1, -1))
    low, high = (float(linprog(aim, A_eq=rows, b_eq=values, bounds=(0, 10_000)).fun or 0.0) for aim in aims)
    return -high - low
