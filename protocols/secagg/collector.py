"""The coordinator in one conversation (docs/protocol.md).

The transitions are the table `MOVES` below.

A message that does not open, comes late or comes twice changes nothing: the very state that went in comes back. One
that opens but breaks its rules takes its city out and names it (`Fault`). Vectors are added on arrival and not kept:
`recall` gives back, by its imprint, an envelope that was accepted, from the caller's log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Final, assert_never

import numpy as np

from protocols import messages, ring
from protocols.errors import ABORT_NUMBERS, IncompleteError, PeerError, declined
from protocols.messages import (
    Body,
    Envelope,
    Identity,
    Kind,
    Letter,
    Outgoing,
    Plan,
    Stamp,
    imprint,
    matter_of,
    open_envelope,
    seal,
)
from protocols.ring import Vector, Words
from protocols.roster import COORDINATOR, Roster
from protocols.secagg import keys, sharing
from protocols.secagg.moves import Move
from protocols.secagg.plan import STEPS, check, shares_to_open
from protocols.secagg.recovery import unmask
from protocols.secagg.transcript import Members, Transcript

Recall = Callable[[bytes], bytes]  # imprint of an accepted envelope -> the envelope


@dataclass(frozen=True)
class Fault:
    """A city that broke the protocol. `evidence`: the imprints of its envelopes, which the log holds."""

    city: int
    step: str
    code: str
    evidence: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Question:
    """What one round asks: cells, digest of their layout, and the question itself."""

    length: int
    layout: bytes
    question: bytes


@dataclass(frozen=True)
class Talk:
    """What holds for the whole conversation. By city: `requests` the SHA-256 of the open request, `gone` why it is out for good."""

    identity: Identity
    roster: Roster
    plan: Plan
    plan_bytes: bytes
    plan_digest: bytes
    requests: Mapping[int, bytes] = field(default_factory=dict)
    pinned: Mapping[int, bytes] = field(default_factory=dict)  # identity keys under which cities first spoke
    missing: Mapping[int, str] = field(default_factory=dict)  # reasons, of cities that are in no sum
    gone: frozenset[int] = frozenset()
    faults: tuple[Fault, ...] = ()
    blamed: Mapping[int, frozenset[int]] = field(default_factory=dict)  # dealer -> who could not open its box
    receipts: Mapping[int, tuple[bytes, messages.Receipt, int]] = field(default_factory=dict)  # request, body, round
    acks: Mapping[int, bytes] = field(default_factory=dict)  # last Ack envelope, to be shown in the next Open
    since: int = 0  # when the open step was asked, Unix s: its wait counts from here


@dataclass(frozen=True)
class Room:
    """Who is in: U1 while shares are dealt, U2 from Deliver on."""

    adverts_body: bytes
    adverts: Mapping[int, messages.Advert]
    ctx: bytes
    cities: tuple[int, ...]


@dataclass(frozen=True)
class Turn:
    """One question to a room."""

    room: Room
    ask: messages.Ask

    @property
    def round(self) -> int:
        return self.ask.round

    @cached_property
    def rctx(self) -> bytes:
        digest = keys.ask_digest(self.ask.encode())
        return keys.rctx(self.room.ctx, keys.u2_digest(self.room.cities), self.round, digest)


@dataclass(frozen=True)
class Input:
    """A vector that was added: the imprint of its envelope, and y_digest."""

    envelope: bytes
    y_digest: bytes


@dataclass(frozen=True)
class Gathering:
    talk: Talk
    question: Question
    came: Mapping[int, bytes]  # Advert envelopes
    points: frozenset[int] = frozenset()  # every key in them


@dataclass(frozen=True)
class Sharing:
    talk: Talk
    question: Question
    room: Room
    came: Mapping[int, Mapping[int, bytes]]  # dealer -> recipient -> box


@dataclass(frozen=True)
class Summing:
    talk: Talk
    turn: Turn
    total: Words
    came: Mapping[int, Input]


@dataclass(frozen=True)
class Confirming:
    talk: Talk
    turn: Turn
    total: Words
    inputs: Mapping[int, Input]
    u3: tuple[int, ...]
    came: Mapping[int, bytes]  # Confirm envelopes


@dataclass(frozen=True)
class Unmasking:
    talk: Talk
    turn: Turn
    total: Words
    inputs: Mapping[int, Input]
    u3: tuple[int, ...]
    confirms: bytes  # body
    came: Mapping[int, bytes]  # Reveal envelopes


@dataclass(frozen=True)
class Summed:
    """The sum over `u3`, int64. `receipt` names it and the transcript."""

    talk: Talk
    turn: Turn
    total: Vector
    inputs: Mapping[int, Input]
    u3: tuple[int, ...]
    confirms: bytes
    reveals: Mapping[int, bytes]
    receipt: messages.Receipt


@dataclass(frozen=True)
class RoundLost:
    """This round gives no sum. `code`: SECAGG_ROUND_LOST, or SECAGG_INCONSISTENT where the shares open nothing and nobody can be named."""

    talk: Talk
    turn: Turn
    step: str
    came: int
    needed: int
    missing: Mapping[int, str]
    code: str = "SECAGG_ROUND_LOST"


@dataclass(frozen=True)
class Failed:
    """The conversation is over without a sum."""

    talk: Talk
    step: str
    came: int
    needed: int
    missing: Mapping[int, str]


@dataclass(frozen=True)
class Closed:
    talk: Talk


Open = Gathering | Sharing | Summing | Confirming | Unmasking
State = Open | Summed | RoundLost | Failed | Closed
_STATES: Final = (Gathering, Sharing, Summing, Confirming, Unmasking)
_STEP: Final = dict(zip(_STATES, STEPS, strict=True))
_REPLY: Final = dict(zip(_STATES, (Kind.ADVERT, Kind.SHARES, Kind.MASKED, Kind.CONFIRM, Kind.REVEAL), strict=True))
_LEFT: Final = (RoundLost, Failed)  # Failed where too few are left for another round
MOVES: Final = (
    Move((Gathering,), Kind.ADVERT, "all in, or wait over: t", Sharing, Kind.ADVERTS, (Failed,)),
    Move((Sharing,), Kind.SHARES, "all in, or wait over: t", Summing, Kind.DELIVER, (Failed,)),
    Move((Summing,), Kind.MASKED, "all in, or wait over: t", Confirming, Kind.SURVIVORS, _LEFT),
    Move((Confirming,), Kind.CONFIRM, "all in, or wait over: t", Unmasking, Kind.CONFIRMS, _LEFT),
    Move((Unmasking,), Kind.REVEAL, "all in, or wait over: k, and the secrets open", Summed, Kind.RECEIPT, _LEFT),
    Move((Summed, RoundLost), "`ask`", "a round is left, and t cities", Summing, Kind.ASK, (Closed,)),
    Move(_STATES, Kind.ABORT, "too few can come, in any round", Failed, Kind.ABORT, (RoundLost,)),
    Move(_STATES, "a newer roster revokes cities", "too few can come", Failed, Kind.ABORT, (RoundLost,)),
    Move((*_STATES, Summed, *_LEFT), "`close`", "", Closed, Kind.ABORT),
)


def start(
    identity: Identity, roster: Roster, plan: Plan, question: Question, acks: Mapping[int, bytes], stamp: Stamp
) -> tuple[Gathering, Outgoing]:
    """Open the conversation with every city of the plan. `acks`: the last Ack envelope of each that is known.

    No entropy is used from here on, so the same events give the same bytes. Errors: `Refusal` SECAGG_… if the plan
    breaks a rule.
    """
    check(plan)
    content = plan.encode()
    talk = Talk(identity, roster, plan, content, keys.plan_digest(content), acks=dict(acks))
    bodies: dict[int, Body] = {city: messages.Open(content, acks.get(city, b"")) for city in plan.cities}
    talk, sent = _send(talk, bodies, stamp)
    return Gathering(talk, question, {}), sent


def step(state: State, content: bytes, stamp: Stamp, recall: Recall) -> tuple[State, Outgoing]:
    """Take one reply. Log the event, with its stamp, whenever another state comes back, and before anything is sent."""
    talk = state.talk
    try:
        letter = messages.read(content)
    except PeerError:
        return state, ()
    header, city = letter.header, letter.header.sender
    if header.kind is Kind.ACK:
        return _on_ack(state, letter, stamp), ()
    if not isinstance(state, Open) or header.kind not in (_REPLY[type(state)], Kind.ABORT):
        return state, ()  # a late Masked among them: unread
    if city not in talk.requests or city in talk.gone or (city in state.came and not isinstance(state, Summing)):
        return state, ()
    round_ = 0 if isinstance(state, Gathering | Sharing) else state.turn.round
    limit = _largest(state.turn, talk.plan) if isinstance(state, Summing) else messages.LARGEST_BODY
    try:
        reply = _opened(talk, letter, talk.requests[city], round_, stamp, limit)
    except PeerError:
        return state, ()
    following: Open = state
    try:
        following = _on_abort(state, reply) if header.kind is Kind.ABORT else _take(state, reply, recall)
    except PeerError as fault:
        following = replace(state, talk=_name(talk, Fault(city, _STEP[type(state)], fault.code, (imprint(content),))))
    return (state, ()) if following is state else _advance(following, stamp)


def wait_over(state: State, stamp: Stamp) -> tuple[State, Outgoing]:
    """The wait of the open step has passed: go on with those who came, or say that they are too few."""
    return _advance(state, stamp, over=True) if isinstance(state, Open) else (state, ())


def renew(state: State, newest: Roster, stamp: Stamp) -> tuple[State, Outgoing]:
    """A newer roster was accepted: cities that it revokes, or whose key it no longer lists, are lost from the open step on.

    What came of them counts, as of any city that falls silent; the conversation itself stays under the roster of its plan.
    """
    talk = state.talk
    lost = {city for city in talk.plan.cities if not _stands(talk, newest, city)} - talk.gone
    if not lost or isinstance(state, Failed | Closed):
        return state, ()
    following = replace(state, talk=replace(talk, gone=talk.gone | lost))
    return _advance(following, stamp) if isinstance(following, Open) else (following, ())


def _stands(talk: Talk, newest: Roster, city: int) -> bool:
    return newest.stands(city, talk.pinned[city]) if city in talk.pinned else newest.active(city)


def deadline(state: Open) -> int:
    """When the wait of the open step is over, Unix s."""
    return state.talk.since + state.talk.plan.waits[STEPS.index(_STEP[type(state)])]


def ask(state: Summed | RoundLost, question: Question, stamp: Stamp) -> tuple[Summing | Closed, Outgoing]:
    """The next round of a session; Closed if the rounds are used up or too few are left."""
    talk, room, round_ = state.talk, state.turn.room, state.turn.round + 1
    left = [city for city in room.cities if city not in talk.gone]
    if round_ >= talk.plan.rounds or len(left) < talk.plan.threshold:
        return close(state, stamp)
    body = messages.Ask(room.ctx, round_, question.length, question.layout, question.question)
    talk, sent = _send(talk, dict.fromkeys(left, body), stamp, round_)
    return _summing(talk, Turn(room, body)), sent


def close(state: State, stamp: Stamp) -> tuple[Closed, Outgoing]:
    """End the conversation and tell those who are still in it."""
    if isinstance(state, Failed | Closed):
        return Closed(state.talk), ()
    talk, sent = _abort(state, "CLOSED", stamp)
    return Closed(talk), sent


def missing(state: State) -> dict[int, str]:
    """Why each city of the plan that is not in the sum is not: no_advert, no_shares, no_masked, declined:…, equivocation."""
    if isinstance(state, RoundLost | Failed):
        return dict(state.missing)
    lost = [] if not isinstance(state, Confirming | Unmasking | Summed) else set(state.turn.room.cities) - set(state.u3)
    return {**dict.fromkeys(lost, "no_masked"), **state.talk.missing}


def failure(state: Failed | RoundLost) -> IncompleteError:
    """What to raise for a conversation without a sum; `also` names those who broke the protocol."""
    talk = state.talk
    code = "SECAGG_ROUND_LOST" if isinstance(state, RoundLost) else "SECAGG_TOO_FEW"
    named = [PeerError(each.code, who=talk.roster.name(each.city), step=each.step) for each in talk.faults]
    if isinstance(state, RoundLost) and state.code != code:
        named.append(PeerError(state.code, who="-", step=state.step))
    return IncompleteError(code, step=state.step, came=state.came, needed=state.needed, also=named)


def transcript(state: Summed, recall: Recall) -> Transcript:
    """The record of the round (`verify`). It holds every masked vector."""
    shown = _record(state.talk, state.turn, state.u3, state.confirms, state.reveals)
    return replace(shown, masked=tuple(recall(state.inputs[city].envelope) for city in state.u3))


# --- what arrives


def _largest(turn: Turn, plan: Plan) -> int:
    return messages.largest_body(Kind.MASKED, turn.ask.length, plan.ring)


def _take(state: Open, reply: Envelope, recall: Recall) -> Open:
    """One reply of the awaited kind, under the rules of its step. Errors: `PeerError`: its sender broke them."""
    talk, city, rounds = state.talk, reply.header.sender, state.talk.plan.rounds
    at = _STEP[type(state)]

    def must(holds: bool, code: str) -> None:
        if not holds:
            raise PeerError("SECAGG_" + code, who=talk.roster.name(city), step=at)

    match state:
        case Gathering():
            advert = messages.Advert.decode(reply.body, rounds=rounds)
            must(advert.plan_digest == talk.plan_digest, "FOREIGN_ADVERT")
            shown = [advert.c_pk, *(s_pk for s_pk, _ in advert.pairs)]
            points = state.points.union(map(keys.point, shown))
            must(len(points) == len(state.points) + len(shown), "REPEATED_KEY")
            must(not any(map(keys.of_low_order, shown)), "LOW_ORDER_KEY")
            talk = replace(talk, pinned={**talk.pinned, city: reply.key})
            return replace(state, talk=talk, came={**state.came, city: reply.content}, points=points)
        case Sharing():
            shares = messages.Shares.decode(reply.body, rounds=rounds)
            boxes = dict(shares.boxes)
            must(shares.ctx == state.room.ctx and tuple(boxes) == _others(state.room.cities, city), "BAD_BOX")
            return replace(state, came={**state.came, city: boxes})
        case Summing():
            return _on_masked(state, reply, recall)
        case Confirming():
            confirm = messages.Confirm.decode(reply.body)
            same = confirm == messages.Confirm(state.turn.rctx, keys.u3_digest(state.turn.rctx, state.u3))
            must(same, "SPLIT_SURVIVORS")
            return replace(state, came={**state.came, city: reply.content})
        case Unmasking():
            reveal = messages.Reveal.decode(reply.body)
            must(reveal.rctx == state.turn.rctx, "FOREIGN_ROUND")
            named = tuple(one for one, _ in reveal.b_shares), tuple(one for one, _ in reveal.s_shares)
            must(named == (state.u3, tuple(one for one in state.turn.room.cities if one not in state.u3)), "BAD_U3")
            must(all(sharing.is_share(share) for _, share in (*reveal.b_shares, *reveal.s_shares)), "BAD_SHARE")
            return replace(state, came={**state.came, city: reply.content})
        case _:
            assert_never(state)


def _on_masked(state: Summing, reply: Envelope, recall: Recall) -> Summing:
    """Add a vector as it arrives. A second, different one of a city takes both out again: equivocation."""
    talk, turn, city = state.talk, state.turn, reply.header.sender
    if city in state.came:
        first = state.came[city].envelope
        if first == imprint(reply.content):
            return state
        y = messages.Masked.decode(messages.body_of(recall(first)), _largest(turn, talk.plan)).y
        fault = Fault(city, "masked", "SECAGG_EQUIVOCATION", (first, imprint(reply.content)))
        talk = replace(_name(talk, fault), missing={**talk.missing, city: "equivocation"})
        came = {each: one for each, one in state.came.items() if each != city}
        return replace(state, talk=talk, came=came, total=state.total - np.frombuffer(y, state.total.dtype))
    masked = messages.Masked.decode(reply.body, _largest(turn, talk.plan))
    if masked.rctx != turn.rctx:
        raise PeerError("SECAGG_FOREIGN_ROUND", who=talk.roster.name(city), step="masked")
    if len(masked.y) != state.total.nbytes:
        raise PeerError("SECAGG_FOREIGN_QUESTION", who=talk.roster.name(city), step="masked")
    added = Input(imprint(reply.content), keys.y_digest(turn.rctx, city, bytes.fromhex(reply.header.body.sha256)))
    total = state.total + np.frombuffer(masked.y, state.total.dtype)
    return replace(state, total=total, came={**state.came, city: added})


def _on_abort(state: Open, reply: Envelope) -> Open:
    """A city declines or has found a fault. One that more than c cities could not open a box of is named."""
    abort, talk, city, at = messages.Abort.decode(reply.body), state.talk, reply.header.sender, _STEP[type(state)]
    if city in state.came:
        return state  # what it sent counts
    strayed = abort.code == ABORT_NUMBERS["SECAGG_OUT_OF_ORDER"]  # it missed a step and cannot follow: lost, no decline
    reason = f"no_{at}" if strayed else declined(abort.code)
    reasons = {**talk.missing, city: reason} if at in STEPS[:3] else talk.missing
    talk = replace(talk, gone=talk.gone | {city}, missing=reasons)
    if abort.code == ABORT_NUMBERS["SECAGG_BAD_BOX"]:
        blamed = talk.blamed.get(abort.about, frozenset()) | {city}
        talk = replace(talk, blamed={**talk.blamed, abort.about: blamed})
        if len(blamed) == talk.plan.colluders + 1:
            talk = replace(talk, faults=(*talk.faults, Fault(abort.about, "shares", "SECAGG_BAD_BOX")))
    return replace(state, talk=talk)


def _on_ack(state: State, letter: Letter, stamp: Stamp) -> State:
    """Keep the last Ack of a city: it shows the city's ledger head, and goes back to it in the next Open."""
    talk, city = state.talk, letter.header.sender
    if city not in talk.receipts:
        return state
    request, receipt, round_ = talk.receipts[city]
    try:
        reply = _opened(talk, letter, request, round_, stamp, messages.largest_body(Kind.ACK))
        ack = messages.Ack.decode(reply.body)
    except PeerError:
        return state
    answered = (ack.rctx, ack.receipt) == (receipt.rctx, keys.receipt_digest(receipt.encode()))
    if not answered or talk.acks.get(city) == letter.content:
        return state
    return replace(state, talk=replace(talk, acks={**talk.acks, city: letter.content}))


# --- what follows


def _advance(state: Open, stamp: Stamp, over: bool = False) -> tuple[State, Outgoing]:
    """Close the step when everyone awaited has come, the wait is over, or too few can come."""
    talk, plan = state.talk, state.talk.plan
    needed = shares_to_open(plan) if isinstance(state, Unmasking) else plan.threshold
    awaited = talk.requests.keys() - state.came.keys() - talk.gone
    if awaited and not over and len(state.came) + len(awaited) >= needed:
        return state, ()
    if len(state.came) < needed:
        return _lost(state, needed, stamp)
    talk = replace(talk, missing=_absent(state))
    came = tuple(sorted(state.came))
    match state:
        case Gathering():
            shown = {city: messages.body_of(state.came[city]) for city in came}
            adverts = {city: messages.Advert.decode(each, rounds=plan.rounds) for city, each in shown.items()}
            body = messages.Adverts(talk.plan_digest, tuple(state.came[city] for city in came))
            room = Room(body.encode(), adverts, keys.ctx(talk.plan_digest, body.adverts), came)
            talk, sent = _send(talk, dict.fromkeys(came, body), stamp)
            return Sharing(talk, state.question, room, {}), sent
        case Sharing():
            room, question = replace(state.room, cities=came), state.question
            first = messages.Ask(room.ctx, 0, question.length, question.layout, question.question)
            boxes = {to: tuple((dealer, state.came[dealer][to]) for dealer in _others(came, to)) for to in came}
            content = first.encode()
            bodies: dict[int, Body] = {to: messages.Deliver(room.ctx, came, boxes[to], content) for to in came}
            talk, sent = _send(talk, bodies, stamp)
            return _summing(talk, Turn(room, first)), sent
        case Summing():
            talk = replace(talk, missing=state.talk.missing)  # who is lost in one round may answer the next
            survivors = messages.Survivors(state.turn.rctx, came)
            talk, sent = _send(talk, dict.fromkeys(came, survivors), stamp, state.turn.round)
            return Confirming(talk, state.turn, state.total, state.came, came, {}), sent
        case Confirming():
            confirms = messages.Confirms(state.turn.rctx, tuple(state.came[city] for city in came))
            talk, sent = _send(talk, dict.fromkeys(came, confirms), stamp, state.turn.round)
            return Unmasking(talk, state.turn, state.total, state.inputs, state.u3, confirms.encode(), {}), sent
        case Unmasking():
            return _unmasked(replace(state, talk=talk), stamp)
        case _:
            assert_never(state)


def _unmasked(state: Unmasking, stamp: Stamp) -> tuple[Summed | RoundLost, Outgoing]:
    """Section 10: the sum, or nothing; culprits are named either way."""
    talk, turn, u3 = state.talk, state.turn, state.u3
    reveals = {city: state.came[city] for city in sorted(state.came)}
    bodies = {city: messages.Reveal.decode(messages.body_of(content)) for city, content in reveals.items()}
    plan, digest = talk.plan, talk.plan_digest
    found = unmask(plan, digest, turn.rctx, turn.round, turn.room.adverts, u3, bodies, state.total)
    for city in sorted(found.bad_revealers):
        talk = _name(talk, Fault(city, "reveal", "SECAGG_BAD_SHARE", (imprint(reveals[city]),)))
    for dealer in found.blamed:
        talk = _name(talk, Fault(dealer, "shares", "SECAGG_BAD_DEALING"))
    if found.total is None:
        code = "SECAGG_ROUND_LOST" if found.blamed else "SECAGG_INCONSISTENT"
        return RoundLost(talk, turn, "reveal", len(reveals), shares_to_open(plan), missing(state), code), ()
    total = found.total.astype("<i8", copy=False)
    receipt = messages.Receipt(
        turn.rctx,
        keys.sum_digest(turn.rctx, keys.u3_digest(turn.rctx, u3), reveals.values(), total.view(np.uint8).data),
        _record(talk, turn, u3, state.confirms, reveals).digest(state.inputs[city].envelope for city in u3),
        tuple((city, state.inputs[city].y_digest) for city in u3),
    )
    talk, sent = _send(talk, dict.fromkeys(u3, receipt), stamp, turn.round)
    receipts = {city: (request, receipt, turn.round) for city, request in talk.requests.items()}
    talk = replace(talk, receipts={**talk.receipts, **receipts})
    return Summed(talk, turn, total, state.inputs, u3, state.confirms, reveals, receipt), sent


def _lost(state: Open, needed: int, stamp: Stamp) -> tuple[RoundLost | Failed, Outgoing]:
    """Too few. The conversation goes on without this round if enough cities are left in it."""
    talk, at, came = state.talk, _STEP[type(state)], len(state.came)
    absent = _absent(state)
    enough = talk.plan.threshold
    if isinstance(state, Summing | Confirming | Unmasking) and len(set(state.turn.room.cities) - talk.gone) >= enough:
        return RoundLost(talk, state.turn, at, came, needed, absent), ()
    talk, sent = _abort(state, "SECAGG_TOO_FEW", stamp)
    return Failed(talk, at, came, needed, absent), sent


def _absent(state: Open) -> dict[int, str]:
    """`missing`, and those who did not come at this step; a city lost at confirm or reveal counts as answered."""
    at, asked = _STEP[type(state)], state.talk.requests.keys()
    lost = asked - state.came.keys() if at in STEPS[:3] else set()
    return {**missing(state), **{city: state.talk.missing.get(city, f"no_{at}") for city in lost}}


def _summing(talk: Talk, turn: Turn) -> Summing:
    return Summing(talk, turn, ring.zeros(turn.ask.length, talk.plan.ring), {})


def _record(talk: Talk, turn: Turn, u3: tuple[int, ...], confirms: bytes, reveals: Mapping[int, bytes]) -> Transcript:
    """The transcript without its vectors."""
    return Transcript(
        talk.roster.file,
        talk.plan_bytes,
        turn.room.adverts_body,
        Members(turn.room.cities).encode(),
        turn.ask.encode(),
        (),
        messages.Survivors(turn.rctx, u3).encode(),
        confirms,
        tuple(reveals.values()),
    )


def _others(cities: tuple[int, ...], city: int) -> tuple[int, ...]:
    return tuple(each for each in cities if each != city)


def _name(talk: Talk, fault: Fault) -> Talk:
    """Take a city out, and say why."""
    return replace(talk, gone=talk.gone | {fault.city}, faults=(*talk.faults, fault))


def _opened(talk: Talk, letter: Letter, request: bytes, round_: int, stamp: Stamp, limit: int) -> Envelope:
    return open_envelope(
        letter,
        me=COORDINATOR,
        roster=talk.roster,
        now=stamp.now,
        matter=matter_of(talk.plan, round_),
        in_reply_to=request,
        limit=limit,
        pinned=talk.pinned,
    )


def _send(talk: Talk, bodies: Mapping[int, Body], stamp: Stamp, round_: int = 0) -> tuple[Talk, Outgoing]:
    """Seal one request per city. The replies that are awaited from now on are the answers to these."""
    forms = {id(body): messages.written(body) for body in bodies.values()}  # one that goes to many is hashed once
    sent = tuple(
        (
            city,
            seal(
                forms[id(body)],
                identity=talk.identity,
                to=city,
                roster=talk.roster,
                matter=matter_of(talk.plan, round_),
                seq=stamp.seq[city],
                now=stamp.now,
                poll_s=stamp.poll_s,
            ),
        )
        for city, body in bodies.items()
    )
    requests = {city: sha256(content).digest() for city, content in sent}
    return replace(talk, requests=requests, since=stamp.now), sent


def _abort(state: State, code: str, stamp: Stamp) -> tuple[Talk, Outgoing]:
    """Tell every city that is still in."""
    talk, round_ = state.talk, 0
    cities = set(talk.plan.cities)
    if isinstance(state, Sharing):
        cities = set(state.room.cities)
    elif not isinstance(state, Gathering | Failed | Closed):
        cities, round_ = set(state.turn.room.cities), state.turn.round
    body = messages.Abort(ABORT_NUMBERS[code], COORDINATOR)
    return _send(talk, dict.fromkeys(sorted(cities - talk.gone), body), stamp, round_)
