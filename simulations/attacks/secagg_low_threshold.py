"""T05: plans under which few would be enough, or one city would stand alone."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from protocols import messages, ring
from protocols.entropy import Entropy
from protocols.messages import Plan
from protocols.secagg import member
from protocols.secagg.plan import EXACT, shares_to_open
from simulations.attacks.doubles import unmeasured
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Sitting, Weaken, World, again, read_cells, seated

THREAT: Final = "T05"
WHAT: Final = {"zh": "门限过低、城市过少的方案", "en": "plans with a tiny threshold or few cities"}
HOLDS: Final = {"zh": "协调方的密钥，以及一个城市", "en": "the coordinator's key and one city"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, join=unmeasured),)
TARGET: Final = 6
PLANS: Final[dict[str, dict[str, Any]]] = {
    "one is enough": {"threshold": 1, "dropouts": 5},
    "two are enough": {"threshold": 2, "dropouts": 4},
    "half is enough": {"threshold": 3, "dropouts": 3},
    "t does not follow from d": {"threshold": 4},
    "two cities": {"cities": (1, 6), "threshold": 2, "dropouts": 0, "colluders": 0, "least": 2},
    "one city": {"cities": (6,), "threshold": 1, "dropouts": 0, "colluders": 0, "least": 1},
    "all but one collude": {"colluders": 5},
    "more colluders than cities": {"colluders": 60_000},
    "exact, and one may be lost": {"mode": EXACT, "support": 0, "threshold": 5},
    "fewer than the study's least": {"least": 6},
}


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the target's table, when two cities, one of them the adversary's, are declared the survivors."""
    table = seated(world, entropy)
    found = [read(world, again(table, entropy, **fields), fields) for fields in PLANS.values()]
    return worst([*found, lowered(table, entropy)])


def read(world: World, table: Sitting, fields: dict[str, Any]) -> Outcome:
    """Offer the plan, and where it is taken play it to its end with the two survivors. `table.plan` is the dishonest one."""
    liar = Liar(table)
    adverts = {}
    for city, seat in table.seats.items():
        body, content = opened(liar, city, table.plan)
        if isinstance(seat.state, member.Advertised):
            adverts[city] = content
    if len(adverts) < len(table.ids):
        return Outcome(0, 0, "cells", codes=frozenset(liar.codes))
    if table.plan.threshold > 2 or len(table.ids) == 1:  # keys for a plan that must not be: counts as read
        return Outcome(table.plan.length, 0, "cells", codes=frozenset(liar.codes))
    table.wire += [(city, 0, content) for city, content in adverts.items()]
    digest = table.adverts[TARGET].plan_digest
    boxes: dict[int, dict[int, bytes]] = {}
    for city in table.ids:
        body, _ = liar.asks(city, messages.Adverts(digest, tuple(adverts.values())))
        assert isinstance(body, messages.Shares)  # noqa: S101 it has given its keys
        boxes[city] = dict(body.boxes)
        ctx = body.ctx
    ask = messages.Ask(ctx, 0, table.plan.length, table.plan.layout, b"{}").encode()
    for city in table.ids:
        mine = tuple((dealer, boxes[dealer][city]) for dealer in table.ids if dealer != city)
        liar.asks(city, messages.Deliver(ctx, table.ids, mine, ask))
    u3 = (1, TARGET)
    reveals = {}
    signed = liar.survivors(u3, u3, table.rctx)
    for city in u3:
        body, _ = liar.asks(city, messages.Confirms(table.rctx, tuple(signed.values())))
        if isinstance(body, messages.Reveal):
            reveals[city] = body
    if len(reveals) < shares_to_open(table.plan):
        return Outcome(0, 0, "cells", codes=frozenset(liar.codes))
    words = [np.frombuffer(table.masked(city).y, ring.zeros(0, table.plan.ring).dtype) for city in u3]
    total = world.unmask(table.plan, digest, table.rctx, 0, table.adverts, u3, reveals, words[0] + words[1]).total
    assert total is not None, fields  # noqa: S101 nobody lied but the plan
    return Outcome(read_cells(total - table.tables[1], table.tables[TARGET]), 0, "cells")


def opened(liar: Liar, city: int, plan: Plan) -> tuple[messages.Body | None, bytes]:
    """Offer the plan to a city. An Advert is not decoded here; its envelope is what counts."""
    sent = liar.sitting.seats[city].on(liar.says(city, messages.Open(plan.encode(), b"")))
    if sent and messages.peek(sent[0][1]).kind is messages.Kind.ABORT:
        return liar.takes(city, sent)
    return None, sent[0][1] if sent else b""


def lowered(first: Sitting, entropy: Entropy) -> Outcome:
    """A sound plan, at a city whose own policy asks for more. Keys for it count as read."""
    given, codes = 0, set[str]()
    for fields in ({"least": 6}, {"least_colluders": 2}):
        table = again(first, entropy)
        liar, seat = Liar(table), table.seats[TARGET]
        seat.terms = replace(seat.terms, **fields)  # type: ignore[arg-type]  # policy minimums by name
        opened(liar, TARGET, table.plan)
        given += isinstance(seat.state, member.Advertised)
        codes |= liar.codes
    return Outcome(given * first.plan.length, 0, "cells", codes=frozenset(codes))
