"""Real numbers as integers of the ring, and when that is refused.

A cell x with f binary digits travels as round-half-even(x 2^f). What is rounded is the sum of a whole batch, once; the cell `parts` counts
the roundings R of the whole sum, so that the decoded cell is off by at most R 2^-(f+1).

Why no sum wraps: k cities each check |cell| < 2^62 / k before masking, so the sum of all stays below 2^62 in a ring of 2^64. A city whose
cell is larger, or not finite, sends zeros and the cell `overflow` = 1: the step is halved, and nothing is ever wrapped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from protocols.ring import Vector

Reals = npt.NDArray[np.float64]
MOST_DIGITS: Final = 40
ONE_LIMB: Final = 32  # with fewer digits than this a block is written in two limbs
TWO_LIMBS: Final = 36
LEAST_DIGITS: Final = 28
LIMB: Final = 31  # bits of the lower limb
ROOM: Final = 62
HEADER: Final = 2  # the cells `parts` and `overflow` in front of every vector


class TooCoarse(ValueError):
    """A block would have fewer than 28 digits, two limbs or not. Whoever knows the column makes a `ConfigError MODEL_PRECISION` of it."""


@dataclass(frozen=True)
class Block:
    """`cells` numbers with `digits` binary digits each, in one limb or two. Counts have no digits and are exact."""

    name: str
    cells: int
    digits: int = 0
    limbs: int = 1

    @property
    def length(self) -> int:
        return self.cells * self.limbs

    @property
    def rounding(self) -> float:
        """The most that one rounding moves a cell; 0 for counts."""
        return 2.0 ** -(self.digits + 1) if self.digits else 0.0


def block(name: str, cells: int, largest: float, cities: int, most_rows: int) -> Block:
    """A block with as many digits as fit: f = min(40, 62 - ceil(log2(k n e))), two limbs where that is below 32.

    largest (e): the largest entry of one row, by public ranges; most_rows (n): of one city. Errors: `TooCoarse`.
    """
    bits = ceil(log2(max(cities * most_rows * largest, 1.0)))
    digits = min(MOST_DIGITS, ROOM - bits)
    if digits >= ONE_LIMB:
        return Block(name, cells, digits)
    digits = min(TWO_LIMBS, ROOM + LIMB - bits)
    if digits < LEAST_DIGITS:
        raise TooCoarse(name)
    return Block(name, cells, digits, 2)


def length(blocks: Sequence[Block]) -> int:
    """Cells of the whole vector, with its header."""
    return HEADER + sum(each.length for each in blocks)


def encode(blocks: Sequence[Block], sums: Mapping[str, Reals], cities: int) -> Vector:
    """The vector of one batch: parts, overflow, then the blocks; zeros with overflow = 1 where a cell is not below 2^62 / cities."""
    out = np.zeros(length(blocks), np.int64)
    written = [_limbs(each, sums[each.name]) for each in blocks]
    whole = np.concatenate([np.zeros(0), *written])
    if not np.all(np.isfinite(whole)) or np.any(np.abs(whole) >= 2.0**ROOM / cities):
        out[1] = 1
        return out
    out[0] = 1
    out[HEADER:] = whole.astype(np.int64)
    return out


def _limbs(block: Block, values: Reals) -> Reals:
    """Whole numbers in float64: exact, because scaling by a power of two and cutting at one are."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(np.ldexp(np.asarray(values, np.float64).reshape(block.cells), block.digits))
        if block.limbs == 1:
            return scaled
        high = np.floor(np.ldexp(scaled, -LIMB))
        return np.concatenate([high, scaled - np.ldexp(high, LIMB)])


@dataclass(frozen=True)
class Total:
    """A decoded sum. parts: the roundings R in it; overflow: how many cities sent zeros because a cell was too large."""

    parts: int
    overflow: int
    values: Mapping[str, Reals]

    def __getitem__(self, name: str) -> Reals:
        return self.values[name]

    def number(self, name: str) -> float:
        """The value of a block of one cell."""
        return float(self.values[name][0])


def decode(blocks: Sequence[Block], total: Vector) -> Total:
    """The sum of k vectors as real numbers. Pre-condition: `total` is the centred lift, `len(total) == length(blocks)`."""
    values: dict[str, Reals] = {}
    at = HEADER
    for each in blocks:
        cells = [int(cell) for cell in total[at : at + each.length]]
        if each.limbs == 2:
            cells = [(high << LIMB) + low for high, low in zip(cells[: each.cells], cells[each.cells :], strict=True)]
        values[each.name] = np.ldexp(np.array([float(cell) for cell in cells], np.float64), -each.digits)
        at += each.length
    return Total(int(total[0]), int(total[1]), values)
