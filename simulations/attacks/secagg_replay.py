"""T04: every message of other conversations, runs, studies, cities and rounds, direct or relayed, shown in every place and time of one."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.errors import Refusal
from protocols.messages import Kind
from protocols.secagg import collector, member
from protocols.secagg.collector import Question
from simulations.attacks.doubles import unaddressed
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import NOW, Sitting, Weaken, World, again, counts, seated

THREAT: Final = "T04"
WHAT: Final = {"zh": "重放到别的会话、轮次、研究或城市", "en": "replays into another conversation, run, study or city"}
HOLDS: Final = {"zh": "以往全部报文与协调方的密钥", "en": "every message so far and the coordinator's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=unaddressed),)  # headers bind to their place
ROUNDS: Final = 2


def run(world: World, entropy: Entropy, n: int = 4) -> Outcome:
    """How many messages moved a party, or got an answer that had not been given before, out of their place."""
    first = seated(world, entropy, n, cells=2, rounds=ROUNDS)
    settings: dict[str, dict[str, Any]] = {
        "conversation": {},
        "run": {"run": 2},
        "study": {"study": sha256(b"another").digest()},
    }
    if n > 3:
        settings["cities"] = {"cities": first.ids[:3], "threshold": 3, "dropouts": 0}
    heard: list[bytes] = []
    for fields in settings.values():
        table = again(first, entropy, **fields)
        for _ in moments(table):
            pass
        heard += everything(table)
    effects, codes = 0, set[str]()
    for sent in moments(first):
        effects += moved(world, first, heard, everything(first))
        counted, said = relayed(world, first, sent, heard)
        effects += counted
        codes |= said
    refused, code = opened_again(world, first, entropy)
    return Outcome(effects + (not refused), 0, "messages", codes=frozenset(codes | {code}))


def everything(table: Sitting) -> list[bytes]:
    """What was on the wire, and what was relayed inside it."""
    inside: list[bytes] = []
    for kind in (Kind.ADVERTS, Kind.CONFIRMS):
        for content in {messages.peek(each).round: each for each in table.sent(kind)}.values():
            inside += shown(content)
    return [content for _, _, content in table.wire] + inside


def shown(content: bytes) -> tuple[bytes, ...]:
    """The envelopes that an Adverts or a Confirms relays."""
    body = messages.body_of(content)
    if messages.peek(content).kind is Kind.ADVERTS:
        return messages.Adverts.decode(body).adverts
    return messages.Confirms.decode(body).confirms


def opens_with(sent: messages.Outgoing) -> Kind:
    """What kind of request an exchange carries."""
    return messages.peek(sent[0][1]).kind


def moments(table: Sitting) -> Iterator[messages.Outgoing]:
    """Play the conversation, both rounds; stop before every exchange: what is about to be sent."""
    sent = table.start()
    for number in range(ROUNDS):
        while sent:
            yield sent
            sent = table.exchange(sent)
        assert isinstance(table.state, collector.Summed)  # noqa: S101 nobody lied
        if number + 1 < ROUNDS:
            question = Question(table.plan.length, table.plan.layout, b"{}")
            table.state, sent = collector.ask(table.state, question, table.stamp())


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
            effects += following is not seat.state or (bool(sent) and sent[0][1] not in answered)
    assert table.state is not None  # noqa: S101 started
    for content in (*heard, *own):
        before = table.state
        following_, out = collector.step(before, content, table.stamp(), table.log.__getitem__)
        if messages.peek(content).kind is not Kind.ACK:  # an Ack is kept whenever it comes
            effects += following_ is not before or bool(out)
    return effects


def relayed(world: World, table: Sitting, sent: messages.Outgoing, heard: list[bytes]) -> tuple[int, set[str]]:
    """What is about to be relayed, with one envelope in it replaced by each of the same city that was heard elsewhere: how often the first
    city went on, and the words with which it did not.
    """
    to, honest = sent[0]
    if opens_with(sent) not in (Kind.ADVERTS, Kind.CONFIRMS):
        return 0, set()
    liar, seat, envelopes, effects = Liar(table), table.seats[to], shown(honest), 0
    body: Any = messages.Adverts if opens_with(sent) is Kind.ADVERTS else messages.Confirms
    first = body.decode(messages.body_of(honest))
    context = getattr(first, "plan_digest", b"") or first.rctx
    earlier = [content for sender, _, content in table.wire if sender and content not in envelopes]
    for foreign in (*heard, *earlier):
        sender = messages.peek(foreign).sender
        if sender == to:
            continue  # its own is compared byte for byte
        places = [at for at, each in enumerate(envelopes) if messages.peek(each).sender == sender] or [1]
        listed = tuple(foreign if at in places else each for at, each in enumerate(envelopes))
        content = liar.says(to, body(context, listed), messages.peek(honest).round)
        following, out = world.step(seat.state, content, messages.Stamp(NOW + 1, {0: 5000}))
        liar.takes(to, out)
        effects += not isinstance(following, member.Refused)
    return effects, liar.codes


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
