"""Skellam noise: integers that hide one holder, and that add up across cities to noise of a known law.

Sk(V) is the difference of two Poisson variables of mean V/2: P(k) = exp(-V) I_|k|(V), mean 0, variance V. Sums of independent Sk(a)
and Sk(b) are Sk(a + b), so that the noise of any set of cities is Skellam with the sum of their variances. A variance is an integer
`v20` in units of 2**-20, here and everywhere.

A draw inverts the distribution function, tabulated to 192 bits by integer arithmetic alone. Its law lies within (rows + 1) * 2**-192
<= 2**-176 of Sk(V) in total variation; `privacy.sampler_delta` charges that. No float and no generator of pseudo-random numbers is in
the path. Not constant in time: how long a draw takes depends a little on its value, which an observer inside the city could measure.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.entropy import Entropy, aes_stream, exactly
from protocols.errors import ConfigError, Refusal

UNIT: Final = 1 << 20  # v20 of variance 1
LEAST: Final = UNIT >> 10  # v20 of variance 2**-10, the least that one node draws
PER_TABLE: Final = UNIT << 20  # v20 of variance 2**20, the most that one table draws
MOST_DRAWS: Final = 1 << 18  # draws that one cell, and one block, may cost

_SEED_BITS: Final = 320  # relative precision of the recurrence
_AT_ONCE: Final = 1 << 16  # draws of many summands that are read together
_ROW_BITS: Final = 192  # three words of 64 bits


def node_v20(v20: int, h: int) -> int:
    """What each city adds so that any `h` honest ones reach the total `v20`: ceil(v20 / h).

    `h` = survivors that the protocol accepts at least, minus colluders. Errors: `ConfigError PRIVACY_NO_HONEST_SHARE` if h < 1.
    """
    if h < 1:
        raise ConfigError("PRIVACY_NO_HONEST_SHARE", h=h)
    return -(-v20 // h)


def draws(v20: int) -> int:
    """How many equal independent draws are summed to reach `v20` at one node: ceil(v20 / PER_TABLE).

    Errors: `Refusal NOISE_VARIANCE` outside LEAST <= v20 <= MOST_DRAWS * PER_TABLE.
    """
    if not LEAST <= v20 <= MOST_DRAWS * PER_TABLE:
        raise Refusal("NOISE_VARIANCE", v20=v20, least=LEAST, most=MOST_DRAWS * PER_TABLE)
    return -(-v20 // PER_TABLE)


def per_draw(v20: int) -> int:
    """Variance of each of those draws, rounded up: together they exceed `v20` by less than draws(v20) units."""
    return -(-v20 // draws(v20))


def support(v20: int) -> int:
    """K, for one draw of variance `v20` <= PER_TABLE: it is in -K..K. Least k with P(|X| > k) < 2**-192."""
    return _table(v20).support


def largest_noise(v20: int) -> int:
    """The most that the noise of one node can be in one cell, in absolute value. Used in the proof that the ring cannot overflow."""
    return draws(v20) * support(per_draw(v20))


def release_stream(entropy: Entropy) -> Entropy:
    """The AES-256-CTR stream of one release, keyed by 32 bytes of `entropy`. One per release; no fork and no thread shares it."""
    return aes_stream(exactly(entropy, 32))


def skellam(entropy: Entropy, v20: int, size: int) -> NDArray[np.int64]:
    """`size` independent draws of Sk(v20 / 2**20).

    Reads `entropy` in bulk, for as many of the draws(v20) summands at a time as make up _AT_ONCE draws: 8 bytes per draw, then 16 more
    for each draw whose word is the first word of a row (probability about rows * 2**-64). Words are little-endian. Needs 25 bytes per
    draw of one read beside the result. Errors: `Refusal` NOISE_VARIANCE, ENTROPY_SHORT; nothing is returned then.
    """
    count, table = draws(v20), _table(per_draw(v20))
    total: NDArray[np.int64] = np.zeros(size, np.int64)
    together = min(count, max(1, _AT_ONCE // max(size, 1)))
    for first in range(0, count, together):
        summands = min(together, count - first)
        total += _draw(entropy, table, summands * size).reshape(summands, size).sum(axis=0)
    return total


@dataclass(frozen=True, eq=False)
class _Table:
    """`rows[i]`: floor(2**192 * P(X <= i - K)) for i = 0 .. 2K - 1, as three words, the most significant first. `first`: their first."""

    support: int
    rows: NDArray[np.uint64]
    first: NDArray[np.uint64]


def _draw(entropy: Entropy, table: _Table, size: int) -> NDArray[np.int64]:
    """Inversion: with U uniform on 192 bits, the draw is -K + the number of rows that are <= U.

    The first word of U decides unless it equals that of a row. The first row begins with a word of zeros and the last with a word of
    ones, so `place` is always the index of a row.
    """
    words = np.frombuffer(exactly(entropy, 8 * size), "<u8")
    place = np.searchsorted(table.first, words)
    tied = np.flatnonzero(table.first[place] == words)
    if len(tied):
        more = np.frombuffer(exactly(entropy, 16 * len(tied)), "<u8").reshape(-1, 2)
        for at, rest in zip(tied, more, strict=True):
            value = [int(words[at]), *rest.tolist()]
            place[at] = bisect_right(range(len(table.rows)), value, key=lambda row: table.rows[row].tolist())
    drawn = place.astype(np.int64, copy=False)
    drawn -= table.support
    return drawn


@lru_cache(maxsize=64)
def _table(v20: int) -> _Table:
    """The distribution function of Sk(v20 / 2**20), from I_{k-1} = I_{k+1} + (2k/V) I_k downward (Miller), divided by I_0 + 2 sum I_k.

    All terms are positive, so each step loses 2**-320 of its value and no more. The law is symmetric: the upper half mirrors the lower.
    """
    if not LEAST <= v20 <= PER_TABLE:
        raise Refusal("NOISE_VARIANCE", v20=v20, least=LEAST, most=PER_TABLE)
    above, here, tail = 0, 1 << _SEED_BITS, 0
    tails = []  # of k = start .. 1: I_k + I_{k+1} + ...
    for k in range(_start(v20), 0, -1):
        tail += here
        tails.append(tail)
        above, here = here, above + ((k << 21) * here) // v20
    whole = here + 2 * tail
    kept = [t for t in tails if 2 * t << _ROW_BITS >= whole]  # of k = K .. 1
    lower = b"".join(((t << _ROW_BITS) // whole).to_bytes(24, "big") for t in kept)
    half = np.frombuffer(lower, ">u8").astype(np.uint64).reshape(-1, 3)
    rows = np.concatenate([half, ~half[::-1]])
    first = np.ascontiguousarray(rows[:, 0])
    rows.setflags(write=False)
    first.setflags(write=False)
    return _Table(len(kept), rows, first)


def _start(v20: int) -> int:
    """At least K + 6 sd + 40, where what the recurrence leaves out is far below 2**-192: K <= 16.15 sd + 22.5 up to variance 2**20."""
    return (45 * isqrt(v20) >> 11) + 64
