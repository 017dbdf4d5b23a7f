"""T58: someone on the line without any key ends a conversation: forged aborts, flipped bits, messages signed by nobody or a stranger."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.messages import Identity, matter_of, seal
from protocols.secagg import collector, member
from simulations.attacks.doubles import obeying
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import SOFTWARE, Sitting, Weaken, World, key_from, seated

THREAT: Final = "T58"
WHAT: Final = {"zh": "未签名报文中断会话", "en": "unsigned messages meant to end a conversation"}
HOLDS: Final = {"zh": "线路，没有任何密钥", "en": "the line, no key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=obeying),)


def run(world: World, entropy: Entropy) -> Outcome:
    """Conversations that did not end with the right sum over everyone."""
    return Outcome(sum(not right(disturbed(world, entropy, exact)) for exact in (False, True)), 0, "ended")


def right(table: Sitting) -> bool:
    state = table.state
    return isinstance(state, collector.Summed) and np.array_equal(state.total, table.plain(table.ids))


def disturbed(world: World, entropy: Entropy, exact: bool) -> Sitting:
    """A conversation in which noise comes before every message, to whomever the message goes."""
    table = seated(world, entropy, 4, exact=exact, cells=4)
    sent = table.start()
    while sent:
        following: messages.Outgoing = ()
        for city, content in sent:
            seat = table.seats[city]
            table.wire.append((0, city, content))
            for noise in forged(table, city, content, entropy):
                if not isinstance(seat.state, member.Idle):
                    seat.on(noise, table.now)
            for _, reply in seat.on(content, table.now):
                for noise in forged(table, 0, reply, entropy):
                    following += table.reply(city, noise)
                following += table.reply(city, reply)
        table.now += 1
        sent = following
    return table


def forged(table: Sitting, to: int, content: bytes, entropy: Entropy) -> Iterator[bytes]:
    """The message with one bit flipped, at its head, in its body, in its signature; an Abort signed by a stranger, and by nobody."""
    for at in (12, len(content) // 2, len(content) - 70, len(content) - 1):
        wrong = bytearray(content)
        wrong[at] ^= 1
        yield bytes(wrong)
    header = messages.peek(content)
    abort = seal(
        messages.Abort(1, 0),
        identity=Identity(header.sender, key_from(entropy), SOFTWARE),
        to=to,
        roster=table.roster,
        matter=matter_of(table.plan),
        seq=header.seq + 1,
        now=table.now,
        in_reply_to=bytes.fromhex(header.in_reply_to) if header.in_reply_to else None,
    )
    yield abort
    yield abort[:-64] + bytes(64)
    yield abort[:-64] + exactly(entropy, 64)
