"""T07: the keys of one round used in another: b from the round that a city survived, s from one in which it was lost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protocols import messages
from protocols.entropy import Entropy
from protocols.messages import Kind
from protocols.ring import Vector
from protocols.secagg import collector
from simulations.attacks.doubles import Rewound, same_seed
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World, read_cells, seated
from simulations.attacks.secagg_late_upload import evenness

THREAT: Final = "T07"
WHAT: Final = {"zh": "一次性密钥用于两轮", "en": "one-time keys used in two rounds"}
HOLDS: Final = {"zh": "协调方的密钥与全部报文", "en": "the coordinator's key and every message"}
WEAKENED: Final[tuple[Weaken, ...]] = (
    lambda world: replace(world, step=Rewound()),  # rounds only rise
    lambda world: replace(world, secrets=same_seed),  # and each has seeds of its own
)
TARGET: Final = 6
CELLS: Final = 20_000


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the target's table that either way gives; all, where what is left of its vector is not uniform."""
    return worst([asked_again(world, entropy), next_round(world, entropy)])


def asked_again(world: World, entropy: Entropy) -> Outcome:
    """Round 0 once more, with another question and the target lost: by an Ask, and by a second Deliver."""
    table = seated(world, entropy, rounds=2, cells=CELLS)
    table.finish(table.start())
    liar, first, y = Liar(table), table.rctx, dict(table.seats[TARGET].y)
    for city in table.ids:
        reveal = messages.Reveal.decode(messages.body_of(table.sent(Kind.REVEAL, city)[0]))
        for dealer, share in reveal.b_shares:
            liar.b.setdefault((0, dealer), {})[city] = share
    asked = messages.Ask.decode(messages.Deliver.decode(messages.body_of(table.sent(Kind.DELIVER)[0]), rounds=2).ask)
    question = replace(asked, question=b'{"again":1}')
    deliveries = {messages.peek(content).to: content for content in table.sent(Kind.DELIVER)}
    for city in table.ids:
        liar.asks(city, question)
        body = messages.Deliver.decode(messages.body_of(deliveries[city]), rounds=2)
        liar.asks(city, replace(body, ask=question.encode()))
    second = table.masked(1).rctx
    if second != first:  # they did mask round 0 again
        liar.set_opened([city for city in table.ids if city != TARGET], second)
    table.seats[TARGET].y = y
    return read(liar, [liar.left_of(TARGET)])


def next_round(world: World, entropy: Entropy) -> Outcome:
    """Round 1 as it may be asked, with the target lost: its s of round 1 and its b of round 0, on its vectors of both rounds."""
    table = seated(world, entropy, rounds=2, cells=CELLS)
    state = table.finish(table.start())
    assert isinstance(state, collector.Summed)  # noqa: S101 nobody lied yet
    liar = Liar(table)
    for city in table.ids:
        reveal = messages.Reveal.decode(messages.body_of(table.sent(Kind.REVEAL, city)[0]))
        for dealer, share in reveal.b_shares:
            liar.b.setdefault((0, dealer), {})[city] = share
    question = messages.Ask(state.turn.ask.ctx, 1, table.plan.length, state.turn.ask.layout, b"{}")
    for city in table.ids:
        liar.asks(city, question, 1)
    liar.set_opened([city for city in table.ids if city != TARGET], table.masked(1, 1).rctx, 1)
    assert liar.secret(liar.s, 1, TARGET)  # noqa: S101 as the round allows
    pairs = [(round_, keys_of) for round_ in (0, 1) for keys_of in ((0, 1), (1, 0), (0, 0), (1, 1))]
    return read(liar, [liar.left_of(TARGET, round_, keys_of) for round_, keys_of in pairs])


def read(liar: Liar, left: Sequence[Vector]) -> Outcome:
    """Cells of the target's table in what is left; all, where its bytes are not uniform."""
    table = liar.sitting.tables[TARGET]
    found = [CELLS if evenness(each, liar.sitting.plan.ring) < 1e-6 else read_cells(each, table) for each in left]
    return Outcome(max(found), 0, "cells", codes=frozenset(liar.codes))
