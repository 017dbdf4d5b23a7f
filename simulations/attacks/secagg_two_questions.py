"""T08: two questions in one round: the target is asked for its table, the others for one in which every cell is zero."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from protocols import messages, ring
from protocols.entropy import Entropy
from protocols.messages import Kind
from protocols.ring import Vector
from simulations.attacks.doubles import unbound
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World, read_cells, seated

THREAT: Final = "T08"
WHAT: Final = {"zh": "同一轮向不同城市提不同问题", "en": "two questions put in one round"}
HOLDS: Final = {"zh": "协调方的密钥与全部报文", "en": "the coordinator's key and every message"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=unbound),)
TARGET: Final = 6
EMPTY: Final = b'{"questions":["nobody"]}'


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the target's table in the one sum that comes out, if one does."""
    table = seated(world, entropy, cells=64)
    for city, seat in table.seats.items():
        seat.answer = answering(table.tables[city])
    liar = Liar(table)
    for city, content in table.until(Kind.DELIVER):
        body = messages.Deliver.decode(messages.body_of(content))
        asked = messages.Ask.decode(body.ask)
        other = asked if city == TARGET else replace(asked, question=EMPTY)
        liar.asks(city, replace(body, ask=other.encode()))
    everyone = table.ids
    signed = dict[int, bytes]()
    for city in everyone:
        signed |= liar.survivors(everyone, [city], table.masked(city).rctx)
    reveals = dict[int, messages.Reveal]()
    for city in everyone:
        listed = tuple(signed[each] for each in sorted(signed))
        body_, _ = liar.asks(city, messages.Confirms(table.masked(city).rctx, listed))
        if isinstance(body_, messages.Reveal):
            reveals[city] = body_
    if len(reveals) < len(everyone):
        return Outcome(0, 0, "cells", codes=frozenset(liar.codes))
    total = ring.zeros(table.plan.length, table.plan.ring)
    for city in everyone:
        total += np.frombuffer(table.masked(city).y, total.dtype)
    digest = table.adverts[TARGET].plan_digest
    rctx = table.masked(TARGET).rctx
    opened = world.unmask(table.plan, digest, rctx, 0, table.adverts, everyone, reveals, total).total
    assert opened is not None  # noqa: S101 nobody lied about a share
    return Outcome(read_cells(opened, table.tables[TARGET]), 0, "cells", codes=frozenset(liar.codes))


def answering(table: Vector) -> Callable[[messages.Ask], Vector]:
    """A city that answers what it is asked."""
    return lambda ask: np.zeros_like(table) if ask.question == EMPTY else table
