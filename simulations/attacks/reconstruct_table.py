"""T18: every pair of three attributes is released as a table; a linear programme puts the whole table of all three together again."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any, Final

import numpy as np

from node import gate
from protocols import pld
from protocols.entropy import Entropy, exactly
from protocols.noise import node_v20
from protocols.privacy import Need
from protocols.ring import Vector
from protocols.statistics.layout import Axis, Layout, count
from simulations.attacks.doubles import as_if_shared
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T18"
WHAT: Final = {"zh": "由多张交叉的表还原整表", "en": "a whole table rebuilt from overlapping ones"}
HOLDS: Final = {"zh": "公布的全部两两交叉表", "en": "the tables of every pair of attributes"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, noise_share=as_if_shared(40_000)),)
CITIES: Final = 6
SIZE, HOLDERS = 12, 40  # codes of each attribute; people
LIMIT: Final = 0.02
AXES: Final = tuple(Axis(name, tuple(f"p{at}" for at in range(SIZE)), name) for name in "abc")
PAIRS: Final = tuple(combinations(range(3), 2))


def run(world: World, entropy: Entropy) -> Outcome:
    """The part of all holders whose three attributes are rebuilt, beyond what the best guess without tables of pairs rebuilds."""
    drawn = np.frombuffer(exactly(entropy, 3 * HOLDERS), np.uint8).reshape(3, HOLDERS) % (SIZE * SIZE)
    codes = np.floor(np.sqrt(drawn)).astype(np.int64)  # some codes are more frequent than others
    whole: Vector = np.zeros((SIZE,) * 3, dtype=np.int64)
    np.add.at(whole, tuple(codes), 1)
    single = [whole.sum(axis=tuple(at for at in range(3) if at != axis)) / HOLDERS for axis in range(3)]
    guess = HOLDERS * np.einsum("i,j,k->ijk", *single)
    beyond = rebuilt(whole, attacked(released(world, entropy, whole))) - rebuilt(whole, guess)
    return Outcome(beyond, LIMIT, "rebuilt")


def released(world: World, entropy: Entropy, whole: Vector) -> list[Vector]:
    """The tables of pairs at epsilon 1 in all, as the cities' gates draw their noise."""
    layout = Layout(tuple(count([AXES[at] for at in pair]) for pair in PAIRS))
    total = pld.calibrate([Need(1, 1, Fraction(1, len(PAIRS)))] * len(PAIRS), Decimal(1), Decimal("1e-6"))
    own = [node_v20(v20, world.noise_share(CITIES, 0)) for v20 in total]
    noise = np.sum([gate.noise(layout, own, exactly(entropy, 32)) for _ in range(CITIES)], axis=0)
    tables = [whole.sum(axis=next(at for at in range(3) if at not in pair)) for pair in PAIRS]
    return [
        table + noise[layout.span(block)].reshape(table.shape)
        for table, block in zip(tables, layout.blocks, strict=True)
    ]


def attacked(tables: list[Vector]) -> Any:
    """The table >= 0 of so many holders whose pairs are nearest to the released ones, by the sum of all distances."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    cells = SIZE**3
    places = np.indices((SIZE,) * 3).reshape(3, cells)
    rows = np.concatenate([at * SIZE**2 + places[i] * SIZE + places[j] for at, (i, j) in enumerate(PAIRS)])
    sums = csr_array((np.ones(len(rows)), (rows, np.tile(np.arange(cells), len(PAIRS)))))
    wide = eye_array(sums.shape[0])
    aim = np.concatenate([np.zeros(cells), np.ones(2 * sums.shape[0])])
    everyone = np.concatenate([np.ones(cells), np.zeros(2 * sums.shape[0])])[None]
    known: Any = vstack([hstack([sums, wide, -wide]), csr_array(everyone)])
    found: Any = linprog(aim, A_eq=known, b_eq=np.concatenate([*(table.ravel() for table in tables), [HOLDERS]]))
    return found.x[:cells].reshape((SIZE,) * 3)


def rebuilt(whole: Vector, guess: Any) -> float:
    """The part of the holders that stand where they do."""
    return float(np.minimum(whole, guess).sum() / HOLDERS)
