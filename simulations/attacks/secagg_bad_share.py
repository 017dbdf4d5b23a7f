"""T10: wrong shares, from those who reveal and from one who deals; 30 cities, two of them liars."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from protocols import ring
from protocols.entropy import Entropy
from protocols.messages import Kind, Reveal
from simulations.attacks.doubles import uncommitted
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, seated

THREAT: Final = "T10"
WHAT: Final = {"zh": "揭示或分发错误份额", "en": "wrong shares revealed or dealt"}
HOLDS: Final = {"zh": "c 个城市的密钥", "en": "the keys of c cities"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, unmask=uncommitted),)
N: Final = 30
LIARS: Final = ((1, 2), (15, 30), (29, 30))


def run(world: World, entropy: Entropy) -> Outcome:
    """Rounds that gave a wrong sum, gave none though enough told the truth, named someone who did, or let a liar go unnamed whom no
    coalition could have framed (all thirty answered).
    """
    table = seated(world, entropy, N, colluders=2, dropouts=3, cells=8)
    liar, reveals = Liar(table), dict[int, Reveal]()
    for city, content in table.until(Kind.CONFIRMS):
        body, _ = liar.takes(city, table.seats[city].on(content))
        assert isinstance(body, Reveal)  # noqa: S101 nobody lied yet
        reveals[city] = body
    wrong = 0
    for liars in LIARS:
        spoiled = {city: off(body, 3**city) if city in liars else body for city, body in reveals.items()}
        wrong += judged(world, table, spoiled, liars, must=True, all_named=True)
        few = {city: body for city, body in spoiled.items() if city in liars or city > N // 10}
        wrong += judged(world, table, few, liars, must=len(few.keys() - set(liars)) >= table.plan.threshold)
    dealt = {city: off(body, 5**city, dealer=4) for city, body in reveals.items()}
    wrong += judged(world, table, dealt, (4,), must=False)
    return Outcome(wrong, 0, "wrong")


def off(body: Reveal, by: int, dealer: int = 0) -> Reveal:
    """A Reveal with something added to the share of one dealer, by default the first."""
    of = dealer or body.b_shares[0][0]
    shares = tuple(
        (city, ((int.from_bytes(share, "big") + by) % 2**256).to_bytes(33, "big") if city == of else share)
        for city, share in body.b_shares
    )
    return replace(body, b_shares=shares)


def judged(
    world: World,
    table: Sitting,
    reveals: Mapping[int, Reveal],
    liars: Sequence[int],
    *,
    must: bool,
    all_named: bool = False,
) -> bool:
    """Whether a round went wrong. `must`: enough told the truth for a sum; `all_named`: and for every liar to be named."""
    total = ring.zeros(table.plan.length, table.plan.ring)
    for city in table.ids:
        total += np.frombuffer(table.masked(city).y, total.dtype)
    digest = table.adverts[1].plan_digest
    found = world.unmask(table.plan, digest, table.rctx, 0, table.adverts, table.ids, reveals, total)
    named = found.bad_revealers | found.blamed
    if all_named and named != set(liars):
        return True
    if found.total is None:
        return must or not named <= set(liars)
    return not np.array_equal(found.total, table.plain(table.ids)) or not named <= set(liars)
