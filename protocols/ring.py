"""Integers modulo 2^32 or 2^64, and why no sum of them ever wraps (docs/protocol.md).

B bounds |x_i| of one city in one cell, K bounds |e_i| of its noise (finite by construction), n is the number of cities
in the plan. Every member checks |x_i + e_i| <= B + K exactly, at most n of them are added, so |S| <= n(B + K) <
2^(w-1): S is the one representative of S mod 2^w in [-2^(w-1), 2^(w-1)), and the centred lift returns it. The
probability of a wrap is zero, not small.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import Refusal

Vector = NDArray[np.int64]
Words = NDArray[Any]  # unsigned words of the ring, little-endian on any host


def width(n: int, bound: int, support: int) -> int:
    """The least ring that holds n(B + K): 32 or 64 bits. Python integers throughout. Errors: `Refusal SECAGG_RING`."""
    largest = n * (bound + support)
    if largest <= 2**31 - 1:
        return 32
    if largest <= 2**63 - 1:
        return 64
    raise Refusal("SECAGG_RING")


def within(vector: Vector, most: int) -> bool:
    """Whether -most <= every cell <= most, for most < 2^63. Compared without `abs`: of the least int64 that is itself, negative."""
    return vector.size == 0 or (int(vector.min()) >= -most and int(vector.max()) <= most)


def zeros(cells: int, bits: int) -> Words:
    """The sum of no vectors."""
    return np.zeros(cells, "<u4" if bits == 32 else "<u8")


def residues(vector: Vector, bits: int) -> Words:
    """The vector modulo 2^bits, as a new array of unsigned words."""
    return vector.astype("<i8", copy=False).view("<u8").astype("<u4" if bits == 32 else "<u8")


def centred(words: Words) -> Vector:
    """The representatives in [-2^(w-1), 2^(w-1)), as int64. Inverse of `residues` on that range."""
    return words.view("<i4" if words.itemsize == 4 else "<i8").astype(np.int64)
