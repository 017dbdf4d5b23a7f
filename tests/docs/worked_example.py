"""The worked example of docs/protocol.md, played by the code: four cities, one cell, city 4 lost after it dealt its shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols import messages
from protocols.messages import Kind
from protocols.secagg import collector, keys, member
from protocols.secagg.masks import add_masks
from tests.conversations.table import lost_at, nobody, table_of

CITIES: Final = (1, 2, 3, 4)
ROWS: Final = {1: 120, 2: 80, 3: 45, 4: 200}
NOISE: Final = {1: 3, 2: -5, 3: 2, 4: 1}


@dataclass(frozen=True)
class Example:
    """Words modulo 2^32. `pairs[i, j]`, i < j: what i adds and j takes away."""

    own: Mapping[int, int]
    pairs: Mapping[tuple[int, int], int]
    sent: Mapping[int, int]
    total: int


def word(key: bytes) -> int:
    """The first word of a key's mask."""
    drawn = np.zeros(1, dtype="<u4")
    add_masks(drawn, [(key, 1)])
    return int(drawn[0])


def example() -> Example:
    table = table_of(CITIES, seed=b"worked example", lengths=1)
    assert (table.plan.threshold, table.plan.colluders, table.plan.dropouts, table.plan.ring) == (3, 1, 1, 32)
    for seat in table.cities.values():
        seat.vectors[0] = np.array([ROWS[seat.id] + NOISE[seat.id]], dtype=np.int64)
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.DELIVER:
        out = table.exchange(out, nobody)
    state = table.state
    assert isinstance(state, collector.Summing)
    rctx, own, pairs = state.turn.rctx, dict[int, int](), dict[tuple[int, int], int]()
    for city, seat in table.cities.items():
        assert isinstance(seat.state, member.Shared)
        b, secrets = seat.state.masks[0]
        own[city] = word(keys.self_key(b, rctx, city))
        pairs |= {
            (city, other): word(keys.pair_key(s, rctx, city, other)) for other, s in secrets.items() if city < other
        }
    while out:
        out = table.exchange(out, lost_at({"masked": (4,)}))
    masked = {city: messages.Masked.decode(messages.body_of(table.sent(Kind.MASKED, city)[0])) for city in (1, 2, 3)}
    sent = {city: int.from_bytes(each.y, "little") for city, each in masked.items()}
    return Example(own, pairs, sent, int(table.total[0]))


def lines() -> str:
    """The table of the page."""
    found = example()
    rows = [
        ["rows", *(f"{ROWS[i]}" for i in CITIES)],
        ["noise", *(f"{NOISE[i]:+}" for i in CITIES)],
        ["own mask", *(f"+{found.own[i]}" for i in CITIES)],
    ]
    for j in CITIES:
        cells = []
        for i in CITIES:
            cells.append("" if i == j else f"{'+' if i < j else '-'}{found.pairs[min(i, j), max(i, j)]}")
        rows.append([f"mask with city {j}", *cells])
    rows.append(["sent", *(str(found.sent[i]) for i in (1, 2, 3)), "lost"])
    head = ["modulo 2^32", *(f"city {i}" for i in CITIES)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * 5, *rows]) + "\n"
