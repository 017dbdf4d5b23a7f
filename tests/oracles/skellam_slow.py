"""Skellam noise a second time, slowly: from the definition, in 110 digits, with nothing of `protocols`.

P(k) is the sum over j of the Poisson probabilities of j and j + k, both of mean V/2. Two neighbouring values far out are summed so; the
others follow by the three-term recurrence, which is stable downward. Nothing is normalised, so that the sum being 1 is a check.
`python -m tests.oracles.skellam_slow` prints the known answers that are frozen in `tests/vectors/noise/`.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import mpmath
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

DIGITS: Final = 110
ROW: Final = 1 << 192
KNOWN_KEY: Final = bytes(range(32))
KNOWN_V20: Final = (1 << 10, 4 << 20, 10_000 << 20)


@dataclass(frozen=True)
class Law:
    """`pmf[k]` and `tail[k]` = P(X >= k) for k >= 0, as mpf; beyond the end P(X >= k) < 10**-75."""

    pmf: list[Any]
    tail: list[Any]

    def support(self) -> int:
        """Least k with P(|X| > k) < 2**-192."""
        return next(k for k in range(len(self.tail)) if 2 * self.tail[k + 1] * ROW < 1)

    def rows(self) -> list[int]:
        """floor(2**192 * P(X <= j)) for j = -K .. K - 1."""
        with mpmath.workdps(DIGITS):
            k = self.support()
            lower = [int(mpmath.floor(ROW * self.tail[-j])) for j in range(-k, 0)]
            upper = [int(mpmath.floor(ROW * (1 - self.tail[j + 1]))) for j in range(k)]
        return lower + upper


def probability(variance: Any, k: int) -> Any:
    """P(X = k) by summing products of Poisson probabilities outward from the largest."""
    with mpmath.workdps(DIGITS):
        half = mpmath.mpf(variance) / 2
        j = centre = int(mpmath.floor((mpmath.sqrt(mpmath.mpf(k) ** 2 + 4 * half**2) - k) / 2))
        largest = mpmath.exp(
            (2 * j + k) * mpmath.log(half) - 2 * half - mpmath.loggamma(j + 1) - mpmath.loggamma(j + k + 1)
        )
        total, term, least = largest, largest, largest * mpmath.mpf(10) ** -DIGITS
        while term > least:
            j += 1
            term = term * half * half / (j * (j + k))
            total += term
        j, term = centre, largest
        while j > 0 and term > least:
            term = term * j * (j + k) / (half * half)
            total += term
            j -= 1
        return total


@lru_cache(maxsize=16)
def law(v20: int) -> Law:
    """The law of variance v20 / 2**20."""
    with mpmath.workdps(DIGITS):
        variance = mpmath.mpf(v20) / 2**20
        last = int(19 * mpmath.sqrt(variance)) + 60
        above, here = probability(variance, last + 1), probability(variance, last)
        pmf = [here]
        for k in range(last, 0, -1):
            above, here = here, above + 2 * k / variance * here
            pmf.append(here)
        pmf.reverse()
        tail, beyond = [], mpmath.mpf(0)
        for value in reversed(pmf):
            beyond += value
            tail.append(beyond)
        tail.reverse()
    return Law(pmf, tail)


def inverse(u: int, rows: list[int]) -> int:
    """The least j with u / 2**192 < F(j), by trying one after another."""
    k = len(rows) // 2
    for j, row in zip(range(-k, k), rows, strict=True):
        if Fraction(u, ROW) < Fraction(row, ROW):
            return j
    return k


def keystream_words(key: bytes, count: int) -> list[int]:
    """AES-256 in counter mode from 0, block by block, cut into little-endian words of 64 bits."""
    encryptor = Cipher(AES256(key), ECB()).encryptor()  # noqa: S305 one block at a time is how counter mode is defined
    stream = b"".join(encryptor.update(block.to_bytes(16, "big")) for block in range(-(-count // 2)))
    return [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(count)]


def draw(v20: int, words: list[int]) -> list[int]:
    """One draw per word. A word that equals the first word of a row would need more of the stream; no frozen stream holds one."""
    rows = law(v20).rows()
    firsts = {row >> 128 for row in rows}
    if firsts & set(words):
        raise ValueError("a tie: this stream needs more words")
    return [inverse(word << 128, rows) for word in words]


def known_answers() -> dict[str, Any]:
    """The first 32 draws at three variances; at the least one, also where the first 4,096 are not 0."""
    least = draw(KNOWN_V20[0], keystream_words(KNOWN_KEY, 4096))
    return {
        "key": KNOWN_KEY.hex(),
        "draws": {str(v20): draw(v20, keystream_words(KNOWN_KEY, 32)) for v20 in KNOWN_V20},
        "not_zero_in_4096_at_1024": {str(at): value for at, value in enumerate(least) if value},
    }


if __name__ == "__main__":
    print(json.dumps(known_answers(), indent=1))
