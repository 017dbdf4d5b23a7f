"""T55: a city stalls at a step, or floods the coordinator with whatever it can sign."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols import messages
from protocols.entropy import Entropy
from protocols.messages import Kind, matter_of, seal
from protocols.secagg import collector
from simulations.attacks.doubles import patient
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, seated

THREAT: Final = "T55"
WHAT: Final = {"zh": "城市拖延或泛滥发送", "en": "a city stalls or floods"}
HOLDS: Final = {"zh": "一个城市的密钥", "en": "one city's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, wait_over=patient),)
STEPS: Final = (Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS)
SLOW: Final = 6
FLOOD: Final = 20


def run(world: World, entropy: Entropy) -> Outcome:
    """Conversations that ended without the right sum over the others."""
    ended = sum(not right(stalled(world, entropy, kind)) for kind in STEPS)
    return Outcome(ended + (not right(flooded(world, entropy))), 0, "ended")


def right(table: Sitting) -> bool:
    return isinstance(table.state, collector.Summed) and np.array_equal(table.state.total, table.plain(table.state.u3))


def stalled(world: World, entropy: Entropy, kind: Kind) -> Sitting:
    """The slow city says nothing from a step on."""
    table = seated(world, entropy, cells=4)
    table.finish(table.until(kind), (SLOW,))
    return table


def flooded(world: World, entropy: Entropy) -> Sitting:
    """Each of its replies comes many times, with as many other signed messages, before those of the others."""
    table = seated(world, entropy, cells=4)
    sent = table.start()
    while sent:
        following: messages.Outgoing = ()
        for city, content in sorted(sent, reverse=True):
            table.wire.append((0, city, content))
            for _, reply in table.seats[city].on(content, table.now):
                following += table.reply(city, reply)
                for number in range(FLOOD if city == SLOW else 0):
                    following += table.reply(city, reply)
                    following += table.reply(city, other(table, number))
        table.now += 1
        if not following and isinstance(table.state, collector.Open):
            table.state, following = world.wait_over(table.state, table.stamp())
        sent = following
    return table


def other(table: Sitting, number: int) -> bytes:
    """Something else that the slow city signs: an answer to nothing."""
    return seal(
        messages.Abort(1, number),
        identity=table.identities[SLOW],
        to=0,
        roster=table.roster,
        matter=matter_of(table.plan),
        seq=10_000 + number,
        now=table.now,
        in_reply_to=number.to_bytes(32, "big"),
    )
