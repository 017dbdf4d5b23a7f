"""T54: a city that keeps everything, with a tap on the line: every message of everyone, and all that city's own keys."""

from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages
from protocols.entropy import Entropy
from protocols.messages import Kind
from protocols.secagg import keys, member
from simulations.attacks.doubles import box_secret, known_boxes
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, read_cells, seated

THREAT: Final = "T54"
WHAT: Final = {"zh": "好奇的城市窃听全部线路", "en": "a curious city that taps every line"}
HOLDS: Final = {"zh": "一个城市的全部密钥与线路上的全部报文", "en": "one city's keys and every message on the line"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, secrets=known_boxes),)
OWN, TARGET = 1, 6


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of another city's table that can be worked out from all this."""
    table = seated(world, entropy)
    sent = table.exchange(table.start())
    state = table.seats[OWN].state
    assert isinstance(state, member.Advertised)  # noqa: S101 as every city by now
    table.finish(sent)
    tapped = Liar(table)
    boxes = opened(table, state.c)
    for (dealer, keeper), content in boxes.items():
        tapped.b.setdefault((0, dealer), {})[keeper] = content[:33]
        tapped.s.setdefault((0, dealer), {})[keeper] = content[33:]
    return Outcome(read_cells(tapped.left_of(TARGET), table.tables[TARGET]), 0, "cells")


def opened(table: Sitting, own: X25519PrivateKey) -> dict[tuple[int, int], bytes]:
    """Every box on the line that a key in hand opens, by dealer and keeper. Tried: the city's own key, and keys that anyone can guess."""
    adverts, found = table.adverts, dict[tuple[int, int], bytes]()
    guessed = {city: X25519PrivateKey.from_private_bytes(box_secret(city)) for city in table.ids if city != OWN}
    guessed = {c: key for c, key in guessed.items() if key.public_key().public_bytes_raw() == adverts[c].c_pk}
    held = {**guessed, OWN: own}
    for envelope in table.sent(Kind.SHARES):
        dealer = messages.peek(envelope).sender
        body = messages.Shares.decode(messages.body_of(envelope))
        for keeper, box in body.boxes:
            for one, other in ((dealer, keeper), (keeper, dealer)):
                if one in held:
                    shared = keys.agree(held[one], adverts[other].c_pk)
                    content = keys.open_box(shared, body.ctx, dealer, keeper, 1, box)
                    if content:
                        found[dealer, keeper] = content
    return found
