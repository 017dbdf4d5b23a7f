"""Shamir over GF(2^256 + 297), against a library and against plain Lagrange."""

from collections.abc import Callable
from itertools import combinations

import pytest
import shamirs
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.entropy import seeded
from protocols.errors import Refusal
from protocols.secagg import recovery, sharing
from protocols.secagg.sharing import P, Points, combine
from tests.oracles import secagg_plain

Secrets = st.binary(min_size=32, max_size=32)


def dealt(secret: bytes, k: int, cities: list[int], *names: str | int) -> dict[int, int]:
    poly = sharing.polynomial(secret, k, seeded("sharing", *names))
    return {city: int.from_bytes(sharing.share(poly, city)) for city in cities}


def test_the_modulus_passes_forty_rounds_of_miller_and_rabin() -> None:
    odd, twos = P - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    draw = seeded("miller-rabin")
    for _ in range(40):
        x = pow(2 + int.from_bytes(draw(32)) % (P - 4), odd, P)
        if x not in (1, P - 1):
            assert P - 1 in [pow(x, 2**power, P) for power in range(1, twos)]
    assert 2**256 < P < 2**257


@given(Secrets, st.integers(2, 10), st.data())
@settings(max_examples=40)
def test_any_k_shares_open_the_secret_and_the_others_lie_on_the_same_polynomial(
    secret: bytes, k: int, data: st.DataObject
) -> None:
    cities = sorted(data.draw(st.sets(st.integers(1, 2**32 - 1), min_size=k, max_size=k + 3)))
    held = dealt(secret, k, cities, k)
    points = Points(cities)
    for subset in combinations(cities, k):
        weights = points.weights(subset)
        assert sharing.secret(combine(weights, held)) == secret
        assert secagg_plain.at_zero({city: held[city] for city in subset}) == int.from_bytes(secret)


@pytest.mark.parametrize("case", range(200))
def test_a_library_opens_what_we_deal_and_we_open_what_it_deals(case: int) -> None:
    draw = seeded("shamirs", case)
    n = 2 + draw(1)[0] % 20
    k = 2 + draw(1)[0] % (n - 1)
    secret = draw(32)
    held = dealt(secret, k, list(range(1, n + 1)), case)
    theirs = [shamirs.share(city, value, P) for city, value in held.items()]
    assert shamirs.interpolate(theirs[:k], threshold=k) == int.from_bytes(secret)
    given_ = shamirs.shares(int.from_bytes(secret), quantity=n, modulus=P, threshold=k)
    values = {share.index: share.value for share in given_}
    weights = Points(values).weights(sorted(values)[-k:])
    assert sharing.secret(combine(weights, values)) == secret


def test_fewer_than_k_shares_say_nothing_about_the_secret() -> None:
    """For every other secret there is a polynomial through the same k - 1 shares."""
    held = dealt(b"\x07" * 32, 4, [1, 2, 3])
    for other in (0, 1, 2**256 - 1):
        values = {**held, 0: other}
        # the polynomial through (0, other) and the three shares exists and is unique: k points of degree < k
        line = {x + 1: y for x, y in values.items()}
        assert 0 <= secagg_plain.at_zero(line) < P


def test_a_share_is_33_bytes_and_below_the_modulus() -> None:
    assert sharing.is_share((P - 1).to_bytes(33))
    assert not sharing.is_share(P.to_bytes(33))
    assert len(sharing.share((P - 1, P - 1), 2**32 - 1)) == 33


def test_coefficients_are_uniform_by_rejection_and_a_short_source_is_refused() -> None:
    given_ = iter([b"\xff" * 33, (2**257 - 1).to_bytes(33), P.to_bytes(33), b"\xfe" + bytes(31) + b"\x05"])
    assert sharing.polynomial(bytes(32), 2, lambda _: next(given_)) == (0, 5)  # the top 7 bits do not count
    with pytest.raises(Refusal, match="random source"):
        sharing.polynomial(bytes(32), 2, lambda size: bytes(size - 1))


def test_a_value_that_no_secret_has_is_no_secret() -> None:
    assert sharing.secret(2**256) == b""
    assert sharing.secret(2**256 - 1) == b"\xff" * 32


# --- recovery: who lied


def reveals(n: int, k: int, dealers: int) -> tuple[dict[int, bytes], dict[int, dict[int, bytes]]]:
    secrets = {dealer: seeded("dealer", dealer)(32) for dealer in range(1, dealers + 1)}
    shares = {}
    for dealer, secret in secrets.items():
        poly = sharing.polynomial(secret, k, seeded("poly", dealer))
        shares[dealer] = {city: sharing.share(poly, city) for city in range(1, n + 1)}
    return secrets, shares


def opener(secrets: dict[int, bytes]) -> Callable[[int, bytes], bool]:
    return lambda dealer, secret: secrets[dealer] == secret


def spoiled(share: bytes) -> bytes:
    return ((int.from_bytes(share) + 12_345) % P).to_bytes(33)


@pytest.mark.parametrize(
    ("n", "k", "c", "at"), [(6, 5, 1, 1), (6, 5, 1, 3), (30, 27, 2, 1), (30, 27, 2, 3), (341, 311, 10, 2)]
)
@pytest.mark.parametrize("which", ["lowest", "middle", "highest"])
def test_one_bad_revealer_is_named_and_every_secret_is_right(n: int, k: int, c: int, at: int, which: str) -> None:
    secrets, shares = reveals(n, k, 3)
    liar = {"lowest": 1, "middle": n // 2, "highest": n}[which]
    shares[at][liar] = spoiled(shares[at][liar])
    found = recovery.recover(shares, range(1, n + 1), k, c, opener(secrets))
    assert found.secrets == secrets
    assert found.bad_revealers == {liar}
    assert not found.blamed


def test_several_bad_revealers_are_found_one_dealer_after_the_other() -> None:
    secrets, shares = reveals(12, 8, 4)
    for dealer, liar in ((1, 2), (3, 5), (4, 2)):
        shares[dealer][liar] = spoiled(shares[dealer][liar])
    found = recovery.recover(shares, range(1, 13), 8, 3, opener(secrets))
    assert found.secrets == secrets
    assert found.bad_revealers == {2, 5}


def test_a_liar_whom_nobody_can_name_costs_one_search_and_not_one_per_dealer() -> None:
    secrets, shares = reveals(7, 6, 5)
    for held in shares.values():
        held[6] = spoiled(held[6])
    tried = list[int]()

    def opens(dealer: int, secret: bytes) -> bool:
        tried.append(dealer)
        return secrets[dealer] == secret

    found = recovery.recover(shares, range(1, 8), 6, 3, opens)
    assert found.secrets == secrets
    assert not found.bad_revealers | found.blamed  # six are on the polynomial, and three of them may have made it up
    assert tried == [*[1] * 7, 2, 3, 4, 5]


def test_colluders_who_keep_the_secret_cannot_have_an_honest_city_named() -> None:
    """Two liars add a polynomial that is 0 at 0 and at three honest cities: the secret opens, and an honest city seems off."""
    secrets, shares = reveals(7, 5, 1)
    liars, honest = (1, 2), (3, 4, 5)
    for city in liars:
        extra = city
        for other in honest:
            extra = extra * (city - other) % P
        shares[1][city] = ((int.from_bytes(shares[1][city]) + extra) % P).to_bytes(33)
    found = recovery.recover(shares, range(1, 8), 5, 2, opener(secrets))
    assert found.secrets == secrets
    assert found.bad_revealers == frozenset()


def test_an_honest_dealer_is_never_named_whatever_up_to_c_revealers_say() -> None:
    n, k, c = 12, 8, 3
    for case in range(40):
        draw = seeded("liars", case)
        secrets, shares = reveals(n, k, 2)
        came = sorted(set(range(1, n + 1)) - {1 + draw(1)[0] % n for _ in range(case % 4)})
        for liar in {came[draw(1)[0] % len(came)] for _ in range(c)}:
            for dealer in shares:
                shares[dealer][liar] = draw(32).rjust(33, b"\0")
        found = recovery.recover(shares, came, k, c, opener(secrets))
        assert not found.blamed
        if len(came) - c >= k:
            assert found.secrets == secrets


def test_a_dealer_is_not_blamed_where_too_many_sets_would_have_to_be_tried() -> None:
    secrets, shares = reveals(60, 50, 1)
    found = recovery.recover(shares, range(1, 61), 50, 3, lambda _dealer, _secret: False)
    assert secrets
    assert not found.secrets
    assert not found.blamed  # 36,050 sets of up to three; 1,000 were tried
    small = recovery.recover(shares, range(1, 61), 50, 1, lambda _dealer, _secret: False)
    assert small.blamed == {1}
