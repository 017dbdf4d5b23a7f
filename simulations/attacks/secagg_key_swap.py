"""T03: other keys under a city's name: adverts swapped or from elsewhere, an old roster, and a consortium made up around one real city."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.errors import PeerError
from protocols.messages import Identity, Kind
from protocols.secagg import collector
from simulations.attacks.doubles import trusting
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import (
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
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, read_roster=trusting),)
TARGET: Final = 6


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the target's table that any of the four ways gives."""
    return worst([swapped(world, entropy), foreign(world, entropy), old(world, entropy), invented(world, entropy)])


def swapped(world: World, entropy: Entropy) -> Outcome:
    """Every other city's advert, made anew by the coordinator under its own key."""
    table = seated(world, entropy)
    table.until(Kind.ADVERTS)
    liar = Liar(table)
    own = {city: table.sent(Kind.ADVERT, city)[0] for city in table.ids}
    mine = {
        city: liar.says(TARGET, replace(table.adverts[city], c_pk=exactly(entropy, 32)))
        for city in table.ids
        if city != TARGET
    }
    body = messages.Adverts(table.adverts[TARGET].plan_digest, (*mine.values(), own[TARGET]))
    answer, _ = liar.asks(TARGET, body)
    return Outcome(0 if isinstance(answer, messages.Abort) else 64, 0, "cells", codes=frozenset(liar.codes))


def foreign(world: World, entropy: Entropy) -> Outcome:
    """Adverts that the cities did sign, in another conversation and for another run: under keys whose shares are long open."""
    first = seated(world, entropy)
    first.finish(first.start())
    later = again(first, entropy, run=2)
    later.until(Kind.ADVERTS)
    liar, codes = Liar(later), set[str]()
    own = {city: later.sent(Kind.ADVERT, city)[0] for city in later.ids}
    answers = []
    for content in (first.sent(Kind.ADVERT, 1)[0], of_another_plan(later)):
        seat = later.seats[TARGET]
        before = seat.state
        body = messages.Adverts(later.adverts[TARGET].plan_digest, (content, *(own[i] for i in later.ids[1:])))
        answers.append(liar.asks(TARGET, body)[0])
        seat.state = before
    codes |= liar.codes
    refused = all(isinstance(each, messages.Abort) for each in answers)
    return Outcome(0 if refused else 64, 0, "cells", codes=frozenset(codes))


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
    return Outcome(64 if given else 0, 0, "cells", codes=frozenset(liar.codes))


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
