"""T04: every message of five conversations, direct or relayed, shown in every other place and time."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.errors import Refusal
from protocols.messages import Kind
from protocols.secagg import collector, member
from simulations.attacks.doubles import Rewound
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import NOW, Sitting, Weaken, World, again, counts, seated

THREAT: Final = "T04"
WHAT: Final = {"zh": "重放到别的会话、轮次、研究或城市", "en": "replays into another conversation, run, study or city"}
HOLDS: Final = {"zh": "以往全部报文与协调方的密钥", "en": "every message so far and the coordinator's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=Rewound()),)
MOMENTS: Final = (Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT)


def run(world: World, entropy: Entropy, n: int = 4) -> Outcome:
    """How many messages moved a party, or got an answer that had not been given before, out of their place."""
    first = seated(world, entropy, n, cells=2)
    settings: dict[str, dict[str, Any]] = {
        "conversation": {},
        "run": {"run": 2},
        "study": {"study": sha256(b"another").digest()},
    }
    if n > 3:
        settings["cities"] = {"cities": first.ids[:3], "threshold": 3, "dropouts": 0}
    others = {name: again(first, entropy, **fields) for name, fields in settings.items()}
    heard: list[bytes] = []
    for table in others.values():
        table.finish(table.start())
        heard += everything(table)
    effects, codes = 0, set[str]()
    for own in moments(first):
        effects += moved(world, first, heard, own)
    refused, code = opened_again(world, first, entropy)
    return Outcome(effects + (not refused), 0, "messages", codes=frozenset(codes | {code}))


def everything(table: Sitting) -> list[bytes]:
    """What was on the wire, and what was relayed inside it."""
    inside: list[bytes] = []
    for content in (*table.sent(Kind.ADVERTS)[:1], *table.sent(Kind.CONFIRMS)[:1]):
        body = messages.body_of(content)
        if messages.peek(content).kind is Kind.ADVERTS:
            inside += messages.Adverts.decode(body).adverts
        else:
            inside += messages.Confirms.decode(body).confirms
    return [content for _, _, content in table.wire] + inside


def moments(table: Sitting) -> Iterator[list[bytes]]:
    """Play the conversation; stop before every exchange, and say what was sent so far."""
    sent = table.start()
    while sent:
        yield everything(table)
        sent = table.exchange(sent)


def moved(world: World, table: Sitting, heard: list[bytes], own: list[bytes]) -> int:
    """Every message of the others, and every earlier one of this conversation, put to every city and to the coordinator."""
    effects, answered = 0, {content for sender, _, content in table.wire if sender}
    for seat in table.seats.values():
        if isinstance(seat.state, member.Idle):
            continue
        changed = counts(_zeros, table.plan.length) + 7  # a city's rows are never the same twice
        for content in (*heard, *own):
            following, sent = world.step(seat.state, content, messages.Stamp(table.now, {0: seat.number + 1000}))
            if isinstance(following, member.Asked) and following is not seat.state:
                entropy = seat.entropy
                following, sent = world.mask(
                    following, changed, bytes(32), bytes(32), entropy, messages.Stamp(table.now, {0: 2000})
                )
            new = bool(sent) and sent[0][1] not in answered
            effects += new or (following is not seat.state and not isinstance(following, member.Refused))
    assert table.state is not None  # noqa: S101 started
    for content in heard:
        before = table.state
        following_, out = collector.step(before, content, table.stamp(), table.log.__getitem__)
        effects += following_ is not before or bool(out)
    return effects


def _zeros(size: int) -> bytes:
    return bytes(size)


def opened_again(world: World, table: Sitting, entropy: Entropy) -> tuple[bool, str]:
    """The same Open once more, to a city whose ledger knows the conversation: whether it gets no key, and the word."""
    seat = table.seats[1]
    terms = replace(seat.terms, history=Refusal("SECAGG_REPLAY"))
    (_, opening) = next((city, content) for _, city, content in table.wire if city == 1)
    fresh = exactly(entropy, 32)
    state, sent = world.join(
        terms, opening, lambda size: (fresh * (size // 32 + 1))[:size], messages.Stamp(NOW, {0: 1})
    )
    liar = Liar(table)
    liar.takes(1, sent)
    return isinstance(state, member.Refused), next(iter(liar.codes), "none")
