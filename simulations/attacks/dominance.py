"""T27: what one holder has is computed, to within a few percent, from exact sums of amounts, their margins and their squares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from coordinator.consistency import reconcile
from protocols.entropy import Entropy, exactly
from protocols.ring import Vector
from protocols.statistics.dominance import Leaders, guards
from protocols.statistics.estimates import Families
from protocols.statistics.layout import LIMB_BITS, Amount, Axis, Layout, Limb, amount, count, known_of, squared
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Withheld, withheld
from simulations.attacks.doubles import counted_amounts, no_further_amounts
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T27"
WHAT: Final = {"zh": "由金额合计推算一人的金额", "en": "the amount of one holder computed from sums"}
HOLDS: Final = {
    "zh": "公布的精确金额、其全部合计及平方和，另知城市中第二大的金额",
    "en": "exact amounts as printed, all margins, sums of squares, and the second largest amount",
}
WEAKENED: Final[tuple[Weaken, ...]] = (
    lambda world: replace(world, amounts=counted_amounts),
    lambda world: replace(world, amounts=no_further_amounts),
)
TABLES: Final = 8
LEAST: Final = 10
CITIES: Final = 3
RICH: Final = 3
PERCENT: Final = 0.10
LARGE: Final = 10_000.0  # of all together in a linear programme
NEARLY: Final = 1 - 1e-4  # its error
X: Final = Amount("x", 0, 1_000_000, "fen", per=100)
KNOWN: Final = Axis(known_of(("x",)), ("known", "_missing"), "x", known_only=True)


@dataclass(frozen=True)
class Crowd:
    """Holders of all cities, one entry each: where they stand on each axis, their city, and what they have."""

    axes: tuple[Axis, ...]
    places: tuple[Vector, ...]
    city: Vector
    held: Vector

    def within(self, part: Mapping[str, int]) -> Any:
        """Who stands at some positions, by axis."""
        found = np.ones(len(self.held), dtype=bool)
        for axis, place in zip(self.axes, self.places, strict=True):
            found &= place == part.get(axis.name, place)
        return found


def run(world: World, entropy: Entropy) -> Outcome:
    """Holders, most of a sum in their city, of whom an attacker finds out by ten percent or better what they have."""
    return Outcome(sum(found_out(world, drawn(entropy, 1 + at % 2)) for at in range(TABLES)), 0, "holders")


def drawn(entropy: Entropy, axes: int) -> Crowd:
    """Some hundred holders in three cities. Those on one position have much; elsewhere three have very much more than the others."""
    names = tuple(Axis(name, ("p0", "p1", "p2", "p3", "_missing"), name) for name in "ab"[:axes])
    holders = 200 * axes**2
    draws = np.frombuffer(exactly(entropy, 8 * holders), np.uint8).reshape(8, holders).astype(np.int64)
    places = tuple((draws[2 + at] % 16) // 4 for at in range(axes))
    held = np.where(places[0] == RICH, 50_000 + 500 * draws[0], 200 + 3 * draws[0])
    held[:3] = 200_000 + 1000 * draws[1, :3]
    places[0][:3] %= RICH
    return Crowd(names, places, draws[4] % CITIES, held)


def tables(crowd: Crowd) -> tuple[Layout, Vector, Families]:
    """What the cities sum, and the tables that this gives."""
    limbs = [replace(squared(X, crowd.axes), limb=limb) for limb in Limb]
    blocks = [count([KNOWN, *crowd.axes]), amount(X, crowd.axes), *limbs]
    layout = Layout((*blocks, *guards(blocks)))
    total = np.concatenate([summed(crowd, block.axes, at) for at, block in enumerate(blocks)])
    guarded = np.zeros(layout.length - len(total), dtype=np.int64)
    for city in range(CITIES):
        leaders, own = Leaders(), crowd.city == city
        for block in guards(blocks):
            leaders.add(block, codes(crowd, block.axes)[own], crowd.held[own] - X.centre)
        guarded += np.concatenate([leaders.dominated(block) for block in guards(blocks)])
    vector = np.concatenate([total, guarded])
    return layout, vector, reconcile(layout, vector, [0] * len(layout.blocks))


def summed(crowd: Crowd, axes: Sequence[Axis], measure: int) -> Vector:
    """The cells of one block: of holders, amounts, and the two parts of squares."""
    size = int(np.prod([axis.size for axis in axes]))
    square = (crowd.held - X.centre) ** 2
    each = (np.ones_like(square), crowd.held - X.centre, square & ((1 << LIMB_BITS) - 1), square >> LIMB_BITS)[measure]
    found = np.zeros(size, dtype=np.int64)
    np.add.at(found, codes(crowd, axes), each)
    return found


def codes(crowd: Crowd, axes: Sequence[Axis]) -> Vector:
    """The cell of each holder; everybody's amount is known."""
    places = dict(zip((axis.name for axis in crowd.axes), crowd.places, strict=True))
    at = np.zeros(len(crowd.held), dtype=np.int64)
    for axis in axes:
        at = at * axis.size + places.get(axis.name, 0)
    return at


def found_out(world: World, crowd: Crowd) -> int:
    """How many holders an attacker finds out about who are most of a sum, in their city, of any cell or margin."""
    layout, total, families = tables(crowd)
    (counts,) = (family for key, family in families.items() if not key[1])
    hidden = world.amounts(layout, families, total, withheld(counts, Resolution.of(layout), LEAST))[X]
    leaked = set[int]()
    for part, cells in hidden.cells.items():
        for at in np.ndindex(cells.shape):
            chosen = dict(zip(sorted(part), at, strict=True))
            inside = crowd.within(chosen)
            for who in leading(crowd, inside):
                first, second = float(crowd.held[who]), float(np.sort(np.append(crowd.held[inside], 0))[-2])
                far = (1 + PERCENT) * first * NEARLY
                if most(crowd, hidden, chosen, crowd.held) - second < far:
                    leaked.add(who)
                if most(crowd, hidden, chosen, crowd.held**2) - second**2 < far**2:
                    leaked.add(who)
    return len(leaked)


def leading(crowd: Crowd, inside: Any) -> list[int]:
    """The largest holder of a cell, if without the second the sum of all, or of squares, is theirs to within ten percent."""
    who = int(np.argmax(np.where(inside, crowd.held, -1)))
    if not inside.any():
        return []
    rest = np.sort(crowd.held[inside])[::-1][2:].astype(float)
    first = float(crowd.held[who])
    steep = (rest**2).sum() < (2 * PERCENT + PERCENT**2) * first**2
    return [who] if rest.sum() < PERCENT * first or steep else []


def most(crowd: Crowd, hidden: Withheld, wanted: Mapping[str, int], held: Vector) -> float:
    """The most that holders in one cell can have together, by all that is printed of the sums of `held`."""
    from scipy.optimize import linprog

    cells = np.indices([axis.size for axis in crowd.axes]).reshape(len(crowd.axes), -1)
    places = {axis.name: place for axis, place in zip(crowd.axes, cells, strict=True)}

    def row(chosen: Mapping[str, int]) -> Any:
        return np.logical_and.reduce([places[name] == chosen.get(name, places[name]) for name in places])

    printed = [
        dict(zip(sorted(part), at.tolist(), strict=True))
        for part, cells in hidden.cells.items()
        for at in np.argwhere(~cells)
    ]
    if not printed:
        return float("inf")
    scale = float(held.sum()) / LARGE
    known = np.array([row(each) for each in printed], dtype=float)
    values = [float(held[crowd.within(each)].sum()) / scale for each in printed]
    found = linprog(-row(wanted).astype(float), A_eq=known, b_eq=values, bounds=(0, 10 * LARGE))
    return -float(found.fun or 0.0) * scale
