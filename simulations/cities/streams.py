"""Where an invented population's chance comes from: one stream per seed, city, field and chunk, none of which moves another.

Adding a field, a city or a chunk leaves every other stream as it was. Only uniform doubles, integers, permutations and normal
draws are used, of PCG64DXSM.
"""

from hashlib import sha256

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64DXSM, Generator, SeedSequence  # noqa: TID251 simulated worlds are drawn from a stated seed

from simulations.cities.solve import DIGITS, Reals, Wholes, apportion

Booleans = npt.NDArray[np.bool_]


class Streams:
    """The streams of one chunk of one city; `streams("income")` starts that field's stream from its beginning."""

    def __init__(self, seed: int, city: str, chunk: int = 0) -> None:
        self.seed, self.city, self.chunk = seed, city, chunk

    def __call__(self, field: str) -> Generator:
        path = (_word(self.city), _word(field), self.chunk)
        return Generator(PCG64DXSM(SeedSequence(self.seed, spawn_key=path)))


def _word(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def choose(probabilities: Reals, stream: Generator, order: Wholes | None = None) -> Booleans:
    """Randomised systematic sampling: row i is chosen with probability p_i, and the number chosen is their sum, up to rounding.

    Rows are met in random order, or in `order`, in which case every run of that order is represented in proportion (Madow 1949).
    """
    met = stream.permutation(len(probabilities)) if order is None else order
    steps = np.floor(np.round(np.cumsum(probabilities[met]), DIGITS) + stream.random())
    chosen = np.zeros(len(probabilities), dtype=np.bool_)
    chosen[met] = np.diff(steps, prepend=0.0) > 0
    return chosen


def deal(cells: npt.NDArray[np.integer], shares: Reals, stream: Generator) -> npt.NDArray[np.int8]:
    """A code for each row, in every cell as close to that cell's shares as whole numbers allow, otherwise at random.

    `cells`: (rows,) in range(len(shares)). `shares`: (cells, codes).
    """
    met = np.argsort(stream.random(len(cells)))
    if len(shares) > 1:  # cell by cell; small whole numbers are sorted in linear time
        met = met[np.argsort(cells[met].astype(np.uint16), kind="stable")]
    held = np.bincount(cells, minlength=len(shares))
    dealt = [np.repeat(np.arange(len(share)), apportion(share, int(n))) for share, n in zip(shares, held, strict=True)]
    codes = np.empty(len(cells), dtype=np.int8)
    codes[met] = np.concatenate(dealt)
    return codes


def keys(streams: Streams, first: int, rows: int) -> Wholes:
    """A key for each row of a chunk: 12 digits that start with 99, no two alike in a city. `first`: the number of its first row.

    The last ten are a permutation of the row number: four Feistel rounds over two halves of five digits, with random tables of the city.
    """
    rounds = Streams(streams.seed, streams.city)("account keys").integers(0, 10**5, (4, 10**5))
    number = streams("order of keys").permutation(rows) + first
    left, right = number // 10**5, number % 10**5
    for table_of_round in rounds:
        left, right = right, (left + table_of_round[right]) % 10**5
    return 99 * 10**10 + left * 10**5 + right
