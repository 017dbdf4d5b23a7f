"""Unmasking a sum, and recovery that names who broke it (docs/protocol.md). Used by the collector and by `verify`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, combinations, islice
from math import comb
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import ring
from protocols.messages import Advert, Plan, Reveal
from protocols.ring import Vector, Words
from protocols.secagg import keys, sharing
from protocols.secagg.masks import add_masks, pair_sign
from protocols.secagg.plan import shares_to_open
from protocols.secagg.sharing import P, Points, combine

MOST_TRIES: Final = 1_000


@dataclass(frozen=True, repr=False)
class Recovery:
    """What the reveals of a round opened: `secrets` by dealer, empty where one dealer's secret does not open.

    `bad_revealers` gave a share off the polynomial that opened; `blamed` is a dealer who must have dealt badly, or nobody.
    """

    secrets: Mapping[int, bytes]
    bad_revealers: frozenset[int]
    blamed: frozenset[int] = frozenset()


def recover(
    shares: Mapping[int, Mapping[int, bytes]],
    revealers: Iterable[int],
    k: int,
    colluders: int,
    opens: Callable[[int, bytes], bool],
) -> Recovery:
    """Open every dealer's secret from `shares[dealer][revealer]`; `opens(dealer, secret)` compares with what the dealer
    committed to.

    1 the first k revealers, with one weight vector for all dealers: after a search (2) those that it ended with, whether or not anybody
      could be named, so that a liar costs one search and not one per dealer;
    2 where a secret does not open: the first k outside a left-out set, sets of size 1, 2, ... in lexicographic order, at most 1,000;
    3 one that opens fixes the polynomial: every revealer off it is bad, and left out from then on. Nobody is named unless k + c - 1
      revealers are on it: another polynomial with the same secret meets an honest dealer's own in at most k - 2 honest cities, so c
      colluders cannot have an honest city named for what such a dealer dealt;
    4 none opens: lost, and nothing partial is returned. The dealer is to blame only if every set of <= c revealers was left out and k
      remained: one of these sets holds all colluders, so an honest dealer's secret opens;
    5 revealers that were not needed are held against the polynomials as well, all dealers at once: the shares are added up with powers of
      a number that depends on all of them, so a share off its polynomial goes unseen with probability n/p.

    Pre-condition: at least k revealers.
    """

    def named(subset: Sequence[int], pool: Sequence[int], held: Mapping[int, int]) -> set[int]:
        off = _off(points, subset, pool, held)
        return off if len(pool) - len(off) >= k + colluders - 1 else set()

    points, secrets, bad = Points(revealers), dict[int, bytes](), set[int]()
    values = {dealer: {i: int.from_bytes(held[i], "big") for i in points.cities} for dealer, held in shares.items()}
    weights = points.weights(points.cities[:k])
    for dealer, held in values.items():
        secret = sharing.secret(combine(weights, held))  # 1
        if not (secret and opens(dealer, secret)):
            pool = [city for city in points.cities if city not in bad]
            for left_out in islice(_sets(pool, len(pool) - k), MOST_TRIES):  # 2
                subset = [city for city in pool if city not in left_out][:k]
                weights = points.weights(subset)
                secret = sharing.secret(combine(weights, held))
                if secret and opens(dealer, secret):
                    break
            else:  # 4
                every = sum(comb(len(pool), size) for size in range(1, colluders + 1)) <= MOST_TRIES
                sure = every and len(pool) - colluders >= k
                return Recovery({}, frozenset(bad), frozenset({dealer} if sure else ()))
            bad |= named(subset, pool, held)  # 3
        secrets[dealer] = secret
    every_share = b"".join(held[city] for held in shares.values() for city in points.cities)
    factor = int.from_bytes(sha256(every_share).digest(), "big")  # 5
    mixed = dict.fromkeys(points.cities, 0)
    for held in values.values():
        mixed = {city: (total * factor + held[city]) % P for city, total in mixed.items()}
    bad |= named(list(weights), [city for city in points.cities if city not in bad], mixed)
    return Recovery(secrets, frozenset(bad))


def _sets(pool: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(pool, size) for size in range(1, most + 1))


def _off(points: Points, subset: Sequence[int], pool: Iterable[int], held: Mapping[int, int]) -> set[int]:
    """Cities of `pool` whose value is not on the polynomial through `subset`.

    Exchanging one point of the subset for the city's own gives the same f(0) only if it is: two polynomials of degree <
    k that agree on k - 1 points and at 0 are one.
    """
    at_zero = combine(points.weights(subset), held)
    others = [city for city in pool if city not in frozenset(subset)]
    return {city for city in others if combine(points.weights([*subset[1:], city]), held) != at_zero}


@dataclass(frozen=True, repr=False)
class Unmasked:
    """The sum, or nothing; never anything partial. The rest as in `Recovery`."""

    total: Vector | None
    bad_revealers: frozenset[int]
    blamed: frozenset[int]


def unmask(
    plan: Plan,
    plan_digest: bytes,
    rctx: bytes,
    round_: int,
    adverts: Mapping[int, Advert],
    u3: Sequence[int],
    reveals: Mapping[int, Reveal],
    masked: Words,
) -> Unmasked:
    """The sum of the vectors of U3 from the sum of their y, modulo 2^w, which is left as it is.

    Opens b of each city in U3 (must match its commitment) and s of each city lost after sharing (must give the key it
    advertised), and takes off every self mask and, for each lost city, its pair mask with each of U3, under the sign
    that the survivor used. Pre-condition: at least k reveals, each naming exactly U3 and the lost cities.
    """

    def opens(city: int, secret: bytes) -> bool:
        s_pk, commitment = adverts[city].pairs[round_]
        if city in survivors:
            return keys.b_commit(plan_digest, city, round_, secret) == commitment
        return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw() == s_pk

    survivors = frozenset(u3)
    shares: dict[int, dict[int, bytes]] = {}
    for revealer, reveal in reveals.items():
        for city, share in (*reveal.b_shares, *reveal.s_shares):
            shares.setdefault(city, {})[revealer] = share
    found = recover(shares, reveals, shares_to_open(plan), plan.colluders, opens)
    if not found.secrets:
        return Unmasked(None, found.bad_revealers, found.blamed)
    masks = [(keys.self_key(found.secrets[city], rctx, city), -1) for city in u3]
    for lost in found.secrets.keys() - survivors:
        s = X25519PrivateKey.from_private_bytes(found.secrets[lost])
        for city in u3:
            shared = keys.agree(s, adverts[city].pairs[round_][0])
            masks.append((keys.pair_key(shared, rctx, city, lost), -pair_sign(city, lost)))
    total = masked.copy()
    add_masks(total, masks)
    return Unmasked(ring.centred(total), found.bad_revealers, found.blamed)
