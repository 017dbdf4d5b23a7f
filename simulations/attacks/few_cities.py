"""T66: a question that one city alone can fill: the pooled answer is that city's own table."""

from dataclasses import replace
from typing import Final

from protocols import messages
from protocols.answerable import shortages
from protocols.entropy import Entropy
from protocols.errors import HpfedError
from protocols.messages import Kind, matter_of, seal
from protocols.plan import agree
from simulations.attacks.doubles import AgreeableGate, as_double
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World, read_cells
from simulations.attacks.towns import ABORTS, Towns, said, towns, word

THREAT: Final = "T66"
WHAT: Final = {"zh": "只有一市能回答的问题", "en": "a question that one city alone can fill"}
HOLDS: Final = {"zh": "协调方的密钥", "en": "the coordinator's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(AgreeableGate)),)
N, ABLE = 6, 1


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the able city's exact table in the pooled sum, beside the cells where holders stand whose city keeps no `job`."""
    others = tuple(city for city in range(1, N + 1) if city != ABLE)
    with towns(world, entropy, N, unmapped=others, rows=60) as place:
        return worst([pooled(place), false_cannot(place)])


def pooled(place: Towns) -> Outcome:
    """The study over all six, by a coordinator that does not mind."""
    everyone = tuple(range(1, N + 1))
    study = place.study("lonely", mode="exact")
    try:
        opened = place.summed(study, everyone).opened
    except HpfedError as fault:
        return Outcome(0, 0, "cells", codes=frozenset(said(fault)))
    own = place.table(opened.agreement, ABLE)
    elsewhere = sum(place.table(opened.agreement, city) for city in everyone if city != ABLE)
    alone = elsewhere == 0
    return Outcome(read_cells(opened.total[alone], own[alone]), 0, "cells")


def false_cannot(place: Towns) -> Outcome:
    """A plan that says of an unable city that it is able: that city sends no Advert, so nothing is ever summed under it."""
    study = place.study("falsely", mode="exact")
    everyone = tuple(range(1, N + 1))
    place.approved(study, everyone)
    agreement = agree(study, everyone, place.post.roster)
    plan = agreement.plan(
        conversation=bytes(16), roster=place.post.roster, expires=place.post.clock() + 3600, cannot={}
    )
    assert not shortages(study, dict.fromkeys((f"t{city}" for city in everyone), ()))  # noqa: S101 it looks sound
    stamp = place.post.stamp()
    content = seal(
        messages.Open(plan.encode(), b""),
        identity=place.post.identity,
        to=2,
        roster=place.post.roster,
        matter=matter_of(plan),
        seq=stamp.seq[2],
        now=stamp.now,
    )
    reply = place.gate(2).answer(content, stamp.now)
    if reply is None or messages.peek(reply).kind is Kind.ADVERT:
        return Outcome(1, 0, "cells")
    code = word(ABORTS[messages.Abort.decode(messages.body_of(reply)).code])
    return Outcome(0, 0, "cells", codes=frozenset({code}))
