"""T03: other keys under a city's name: adverts swapped or from elsewhere, an old roster, and a consortium made up around one real city."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.errors import PeerError
from protocols.messages import Identity, Kind
from protocols.secagg import collector, keys, sharing
from protocols.secagg.plan import shares_to_open
from simulations.attacks.doubles import of_any_plan, trusting, under_any_roster, unverified
from simulations.attacks.liar import Liar, unmasked
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import (
    NOW,
    SOFTWARE,
    Sitting,
    Weaken,
    World,
    again,
    key_from,
    read_cells,
    roster_of,
    seated,
    terms_of,
)

THREAT: Final = "T03"
WHAT: Final = {"zh": "替换密钥、虚构城市、旧名册", "en": "swapped keys, invented cities, an old roster"}
HOLDS: Final = {"zh": "协调方的密钥，没有联合体根密钥", "en": "the coordinator's key, not the consortium root"}
WEAKENED: Final[tuple[Weaken, ...]] = (  # one guard for each of `WAYS`, in their order
    lambda world: replace(world, step=unverified),
    lambda world: replace(world, step=of_any_plan),
    lambda world: replace(world, join=under_any_roster),
    lambda world: replace(world, read_roster=trusting),
)
TARGET: Final = 6


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the target's table that any of the four ways gives; all, where it goes on under keys that it must not take."""
    return worst([way(world, entropy) for way in WAYS])


def swapped(world: World, entropy: Entropy) -> Outcome:
    """Every other city's advert made anew, with keys of the coordinator's and under its signature: it then plays all of them."""
    table = seated(world, entropy)
    table.until(Kind.ADVERTS)
    liar, plan, others = Liar(table), table.plan, [city for city in table.ids if city != TARGET]
    own, digest, k = table.adverts[TARGET], table.adverts[TARGET].plan_digest, shares_to_open(table.plan)
    secrets = {
        city: tuple(X25519PrivateKey.from_private_bytes(exactly(entropy, 32)) for _ in range(2)) for city in others
    }
    adverts = {TARGET: own}
    relayed = {TARGET: table.sent(Kind.ADVERT, TARGET)[0]}
    for city, (c, s) in secrets.items():
        adverts[city] = replace(own, c_pk=public(c), pairs=((public(s), bytes(32)),))
        relayed[city] = messages.seal(
            adverts[city],
            identity=Identity(city, table.identities[0].key, SOFTWARE),
            to=0,
            roster=table.roster,
            matter=messages.matter_of(plan),
            seq=1,
            now=NOW,
            in_reply_to=bytes(32),
        )
    listed = tuple(relayed[city] for city in table.ids)
    dealt, _ = liar.asks(TARGET, messages.Adverts(digest, listed))
    if not isinstance(dealt, messages.Shares):
        return Outcome(0, 0, "cells", codes=frozenset(liar.codes))
    boxes = dict[int, bytes]()
    for city, box in dealt.boxes:
        key = keys.agree(secrets[city][0], own.c_pk)
        opened = keys.open_box(key, dealt.ctx, TARGET, city, 1, box)
        liar.b.setdefault((0, TARGET), {})[city], liar.s.setdefault((0, TARGET), {})[city] = opened[:33], opened[33:]
        polynomial = sharing.polynomial(bytes(32), k, entropy)
        boxes[city] = keys.seal_box(key, dealt.ctx, city, TARGET, 1, 2 * sharing.share(polynomial, TARGET))
    ask = messages.Ask(dealt.ctx, 0, plan.length, plan.layout, b"{}").encode()
    masked, _ = liar.asks(TARGET, messages.Deliver(dealt.ctx, table.ids, tuple(sorted(boxes.items())), ask))
    assert isinstance(masked, messages.Masked)  # noqa: S101 it has dealt its shares
    b, s_ = liar.secret(liar.b, 0, TARGET), liar.secret(liar.s, 0, TARGET)
    left = unmasked(masked, TARGET, table.ids, adverts, plan.ring, 0, b, s_)
    return Outcome(read_cells(left, table.tables[TARGET]), 0, "cells")


def public(secret: X25519PrivateKey) -> bytes:
    return secret.public_key().public_bytes_raw()


def foreign(world: World, entropy: Entropy) -> Outcome:
    """An advert that a city did sign elsewhere: in another conversation and run, under keys whose shares are long open; or here, over
    another plan."""
    first = seated(world, entropy)
    first.finish(first.start())
    later = again(first, entropy, run=2)
    later.until(Kind.ADVERTS)
    liar, went_on = Liar(later), 0
    own = {city: later.sent(Kind.ADVERT, city)[0] for city in later.ids}
    for content in (first.sent(Kind.ADVERT, 1)[0], of_another_plan(later)):
        seat = later.seats[TARGET]
        before = seat.state
        body = messages.Adverts(later.adverts[TARGET].plan_digest, (content, *(own[i] for i in later.ids[1:])))
        went_on += isinstance(liar.asks(TARGET, body)[0], messages.Shares)
        seat.state = before
    return Outcome(went_on * later.plan.length, 0, "cells", codes=frozenset(liar.codes))


def of_another_plan(sitting: Sitting) -> bytes:
    """An advert that a colluding city 1 signs in this conversation, over another plan."""
    body = replace(sitting.adverts[1], plan_digest=bytes(32))
    return messages.seal(
        body,
        identity=sitting.identities[1],
        to=0,
        roster=sitting.roster,
        matter=messages.matter_of(sitting.plan),
        seq=9,
        now=sitting.now,
        in_reply_to=bytes(32),
    )


def old(world: World, entropy: Entropy) -> Outcome:
    """A plan under the roster before the newest, on which a city stood that has been revoked since."""
    table = seated(world, entropy)
    newer = roster_of(table.identities, table.root, version=2, previous=table.roster)
    liar, given = Liar(table), 0
    for city, content in table.start():
        seat = table.seats[city]
        seat.terms = replace(seat.terms, roster=newer)
        given += bool(seat.on(content))  # it names the old roster: nothing of it opens here
        content = messages.seal(
            messages.Open(table.plan.encode(), b""),
            identity=table.identities[0],
            to=city,
            roster=newer,
            matter=messages.matter_of(table.plan),
            seq=1,
            now=table.now,
        )
        answer, _ = liar.takes(city, seat.on(content))
        given += not isinstance(answer, messages.Abort)
    return Outcome(table.plan.length if given else 0, 0, "cells", codes=frozenset(liar.codes))


def invented(world: World, entropy: Entropy) -> Outcome:
    """A consortium in which the target is the only real city. Whoever plays the others takes their tables off the sum."""
    real = seated(world, entropy)
    names = {party: Identity(party, key_from(entropy), SOFTWARE) for party in (0, *real.ids)}
    fake = seated(world, entropy, identities={**names, TARGET: real.identities[TARGET]})
    try:
        held = world.read_roster(fake.roster.file, real.root_key)
    except PeerError as fault:
        return Outcome(0, 0, "cells", codes=frozenset({fault.code.lower()}))
    seat = fake.seats[TARGET]
    seat.terms = terms_of(real.identities[TARGET], held, fake.plan)
    seat.answer = lambda _ask: real.tables[TARGET]
    state = fake.finish(fake.start())
    if not isinstance(state, collector.Summed):
        return Outcome(0, 0, "cells")
    left = state.total - np.sum([fake.tables[city] for city in fake.ids if city != TARGET], axis=0)
    return Outcome(read_cells(left, real.tables[TARGET]), 0, "cells")


WAYS: Final[tuple[Callable[[World, Entropy], Outcome], ...]] = (swapped, foreign, old, invented)
