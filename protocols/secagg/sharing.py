"""Shamir's secret sharing over GF(p), p = 2^256 + 297 (Shamir 1979)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from protocols.entropy import Entropy, exactly

P: Final = 2**256 + 297

Polynomial = tuple[int, ...]  # a_0 (the secret), a_1, ..., a_{k-1}


def polynomial(secret: bytes, k: int, entropy: Entropy) -> Polynomial:
    """A polynomial of degree k - 1 through the 32-byte `secret` at 0, its other coefficients uniform in [0, p)."""
    return (int.from_bytes(secret, "big"), *(_uniform(entropy) for _ in range(k - 1)))


def _uniform(entropy: Entropy) -> int:
    """Rejection from 33 bytes with the top 7 bits cleared: two draws on average."""
    while (drawn := int.from_bytes(exactly(entropy, 33), "big") & (2**257 - 1)) >= P:
        pass
    return drawn


def share(coefficients: Polynomial, city: int) -> bytes:
    """f(id) mod p, 33 bytes big-endian (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * city + coefficient) % P
    return value.to_bytes(33, "big")


def is_share(content: bytes) -> bool:
    """Whether 33 bytes are an element of the field."""
    return int.from_bytes(content, "big") < P


class Points:
    """Lagrange weights at 0 for subsets of one set of cities: quadratic once, then cheap for each subset that leaves
    few out.

    For a subset S of V: w_i = (product of x_j over S) * g_i * (product of x_z - x_i over V \\ S), g_i = 1 / (x_i *
    product of x_j - x_i over V).
    """

    def __init__(self, cities: Iterable[int]) -> None:
        self.cities = tuple(sorted(cities))
        self._inverse = dict(
            zip(self.cities, _inverses([self._differences(city) * city % P for city in self.cities]), strict=True)
        )

    def _differences(self, city: int) -> int:
        return _product(other - city for other in self.cities if other != city)

    def weights(self, subset: Sequence[int]) -> dict[int, int]:
        """w_i for each i of `subset`: the secret is the sum of w_i * share_i."""
        left_out = [city for city in self.cities if city not in frozenset(subset)]
        whole = _product(subset)
        return {i: whole * self._inverse[i] * _product(z - i for z in left_out) % P for i in subset}


def _product(factors: Iterable[int]) -> int:
    result = 1
    for factor in factors:
        result = result * factor % P
    return result


def _inverses(values: Sequence[int]) -> list[int]:
    """All inverses by one exponentiation: running products up, then down."""
    running = [1]
    for value in values:
        running.append(running[-1] * value % P)
    inverse, found = pow(running[-1], -1, P), []
    for value, before in zip(reversed(values), reversed(running[:-1]), strict=True):
        found.append(inverse * before % P)
        inverse = inverse * value % P
    return found[::-1]


def combine(weights: Mapping[int, int], values: Mapping[int, int]) -> int:
    """f(0) of the polynomial through the weighted cities' values."""
    return sum(weight * values[city] for city, weight in weights.items()) % P


def secret(value: int) -> bytes:
    """The 32 bytes that a_0 stands for; empty for one of the 297 values that no secret has (`inconsistent`)."""
    return value.to_bytes(32, "big") if value < 2**256 else b""
