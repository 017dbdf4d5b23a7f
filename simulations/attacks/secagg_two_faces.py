"""T01: the coordinator asks the neighbours of a city for both of its shares: as a survivor's, and as those of a city that was lost."""

from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy
from protocols.messages import Kind
from simulations.attacks.doubles import Rewound
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World, read_cells, seated

THREAT: Final = "T01"
WHAT: Final = {"zh": "同一城市既作幸存者又作失联者", "en": "one city asked for as survivor and as lost"}
HOLDS: Final = {"zh": "协调方的密钥与全部报文", "en": "the coordinator's key and every message"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=Rewound()),)
TARGET: Final = 6


def run(world: World, entropy: Entropy) -> Outcome:
    """Both lists to everyone in turn, in both modes; then each list to one half, and every half shown both halves' signatures."""
    return worst([in_turn(world, entropy, exact=False), in_turn(world, entropy, exact=True), by_halves(world, entropy)])


def in_turn(world: World, entropy: Entropy, *, exact: bool) -> Outcome:
    """All cities confirm and reveal with the target in; then with the target out."""
    table = seated(world, entropy, exact=exact)
    table.until(Kind.SURVIVORS)
    liar = Liar(table)
    for u3 in (table.ids, table.ids[:-1]):
        liar.set_opened(u3, table.rctx)
    return Outcome(read_cells(liar.left_of(TARGET), table.tables[TARGET]), 0, "cells", codes=frozenset(liar.codes))


def by_halves(world: World, entropy: Entropy) -> Outcome:
    """Odd cities are shown the target in, even ones the target out; all signatures go to the odd, each half's own to the even."""
    table = seated(world, entropy)
    table.until(Kind.SURVIVORS)
    liar, others = Liar(table), table.ids[:-1]
    odd, even = [i for i in others if i % 2], [i for i in others if i % 2 == 0]
    signed = {**liar.survivors(table.ids, odd, table.rctx), **liar.survivors(others, even, table.rctx)}
    liar.confirms(signed, odd, table.rctx)
    liar.confirms({city: signed[city] for city in even}, even, table.rctx)
    return Outcome(read_cells(liar.left_of(TARGET), table.tables[TARGET]), 0, "cells", codes=frozenset(liar.codes))
