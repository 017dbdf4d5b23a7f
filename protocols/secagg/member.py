"""A city in one conversation (docs/protocol.md).

The transitions are the table `MOVES`, at the end of this file.

G1 what does not open is dropped; G2 the identical request gets the identical reply; G3 a signed message that breaks a
check, and G4 one that is not in the table, end in Refused with a signed Abort; G5 after its wait a round is over here,
and with the last round, or when the plan expires, the conversation.
What only the city's gate can know (ledger, policy, approvals, rows) comes in as `Terms`. Safety rests on three
sentences: an honest city signs one U3 per round (S3), opens shares only after t cities signed that same one (F3), and
works out by itself whose share of which secret it gives (F4).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, assert_never

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.entropy import Entropy, exactly
from protocols.errors import HpfedError, IncompleteError, PeerError, Refusal, abort_number
from protocols.messages import Envelope, Identity, Kind, Matter, Outgoing, Plan, Stamp, matter_of, open_envelope, seal
from protocols.ring import Vector
from protocols.roster import COORDINATOR, Roster
from protocols.secagg import keys, sharing
from protocols.secagg.masks import add_masks, pair_sign
from protocols.secagg.moves import Move
from protocols.secagg.plan import check, shares_to_open
from protocols.secagg.sharing import Polynomial

GRACE_S: Final = 60  # G5: how much longer than the step's wait a member listens
LONGEST_WAIT_S: Final = 7 * 86_400


@dataclass(frozen=True, repr=False)
class _Quiet:
    """A value that may hold secrets: it prints its type and nothing else."""

    def __repr__(self) -> str:
        return type(self).__name__


Objection = Refusal | None  # None: the gate has looked, and has nothing against it


@dataclass(frozen=True, repr=False)
class Terms(_Quiet):
    """What the gate of this city knows when an Open arrives; each answer is about the plan of that Open. Nothing has a default."""

    identity: Identity
    roster: Roster  # the newest held; its root signature was checked when it was accepted
    least: int  # own policy: fewest cities (P1)
    least_colluders: int  # own policy: noise for at least so many (P1)
    history: Objection  # P3: SECAGG_REPLAY (kept for good), SECAGG_ALREADY_ANSWERED, LEDGER_ROLLED_BACK (`messages.open_echo`)
    approved: (
        Plan | None
    )  # P4: as this city derives it from study, run and the cities of the offered plan; None: not approved
    size: Objection  # P6: SECAGG_BOUND if there are more rows than the size class of this city on the roster
    snapshot: Objection  # P8: the own snapshot is of the run's `as_of`
    cannot: tuple[int, ...]  # P9: of the own approval, positions of the variables that this city cannot map
    able: Objection  # P9: POLICY_CITIES if too few of the plan's cities can map a question (`answerable.py`)
    exact: Objection  # P10, mode exact: SECAGG_EXACT for kinds that policy does not allow, SECAGG_COHORT_DIFFERENCE for rule X1
    policy: Objection  # whatever else this city minds: its policy, disclosure
    budget: Objection  # P11: SECAGG_BUDGET_... unless the whole budget is reserved until the plan expires


@dataclass(frozen=True, repr=False)
class Talk(_Quiet):
    """What holds for the whole conversation. `answered`: SHA-256 of every request so far, and the reply (G2)."""

    identity: Identity
    roster: Roster
    plan: Plan
    plan_digest: bytes
    pinned: Mapping[int, bytes]  # identity keys under which the parties first spoke
    answered: Mapping[bytes, Outgoing]
    since: int  # when this state was entered, Unix s


@dataclass(frozen=True, repr=False)
class Room(_Quiet):
    """Who is in, and the secrets of the rounds that are still to come. A round's masks go when used, its shares when revealed."""

    ctx: bytes
    u2: tuple[int, ...]
    u2_digest: bytes
    masks: Mapping[int, tuple[bytes, Mapping[int, bytes]]]  # round -> own b; X25519 secret with each other city of U2
    shares: Mapping[int, Mapping[int, tuple[bytes, bytes]]]  # round -> dealer -> (b share, s share)

    def without(self, before: int, *, masks_of: int | None = None, shares_of: int | None = None) -> "Room":
        """Drop the secrets of rounds below `before`, and of the rounds named."""
        return replace(
            self,
            masks={r: held for r, held in self.masks.items() if r >= before and r != masks_of},
            shares={r: held for r, held in self.shares.items() if r >= before and r != shares_of},
        )


@dataclass(frozen=True, repr=False)
class Turn(_Quiet):
    """One question: what the ledger names it by."""

    ask: messages.Ask
    ask_digest: bytes
    rctx: bytes

    @property
    def round(self) -> int:
        return self.ask.round


@dataclass(frozen=True, repr=False)
class Idle(_Quiet):
    """No conversation."""


@dataclass(frozen=True, repr=False)
class Advertised(_Quiet):
    talk: Talk
    advert: bytes  # own envelope
    c: X25519PrivateKey
    s: tuple[X25519PrivateKey, ...]
    b: tuple[bytes, ...]
    polynomials: tuple[tuple[Polynomial, Polynomial], ...]  # per round, of b and of s


@dataclass(frozen=True, repr=False)
class Shared(_Quiet):
    talk: Talk
    ctx: bytes
    boxes: Mapping[int, bytes]  # X25519(c, c_pk) with each other city of U1
    masks: tuple[tuple[bytes, Mapping[int, bytes]], ...]  # per round as in `Room`, still for all of U1
    own: tuple[tuple[bytes, bytes], ...]  # per round, own (b share, s share)


@dataclass(frozen=True, repr=False)
class InRound(_Quiet):
    """What every state from the first question on holds."""

    talk: Talk
    room: Room
    turn: Turn


@dataclass(frozen=True, repr=False)
class Asked(InRound):
    request: Envelope


@dataclass(frozen=True, repr=False)
class Masked(InRound):
    y_digest: bytes


@dataclass(frozen=True, repr=False)
class Confirmed(InRound):
    u3: tuple[int, ...]
    confirm: messages.Confirm
    own: bytes  # its envelope


@dataclass(frozen=True, repr=False)
class Revealed(InRound):
    """The round is done; the next question may come."""


@dataclass(frozen=True, repr=False)
class Missed(InRound):
    """A round that went on without this city. Its secrets are dropped, its messages are not answered; the next question is."""


@dataclass(frozen=True, repr=False)
class Refused(_Quiet):
    """A check failed. `evidence`: the message that broke it, as it came."""

    fault: HpfedError
    evidence: bytes
    answered: Mapping[bytes, Outgoing]


@dataclass(frozen=True, repr=False)
class Closed(_Quiet):
    """Ended by the coordinator's Abort, by `close`, or by time."""


Live = Advertised | Shared | Asked | Masked | Confirmed | Revealed | Missed
State = Idle | Live | Refused | Closed


def join(terms: Terms, content: bytes, entropy: Entropy, stamp: Stamp) -> tuple[Idle | Advertised | Refused, Outgoing]:
    """Answer the first message of a conversation, an Open.

    Draws, in this order: c; per round s, b; per round the coefficients of b, then of s. The gate reserves the budget before it calls this,
    so that `terms` can say so; it frees the reservation if Refused or Idle comes back.
    """
    me, roster = terms.identity.id, terms.roster
    try:
        request = open_envelope(content, me=me, roster=roster, now=stamp.now)
    except PeerError:
        return Idle(), ()  # G1
    if request.header.kind in (Kind.RECEIPT, Kind.ABORT):
        return Idle(), ()
    try:
        if request.header.kind is not Kind.OPEN:
            raise PeerError("SECAGG_OUT_OF_ORDER", who="coordinator", step="advert")  # G4
        opened = messages.Open.decode(request.body)
        plan = Plan.decode(opened.plan)
        _decide(terms, plan, request, stamp.now)
    except (PeerError, Refusal) as fault:
        return _refused(terms.identity, roster, request, fault, {}, stamp)
    digest, k = keys.plan_digest(opened.plan), shares_to_open(plan)
    c = X25519PrivateKey.from_private_bytes(exactly(entropy, 32))
    drawn = [(exactly(entropy, 32), exactly(entropy, 32)) for _ in range(plan.rounds)]
    polynomials = tuple((sharing.polynomial(b, k, entropy), sharing.polynomial(s, k, entropy)) for s, b in drawn)
    s = tuple(X25519PrivateKey.from_private_bytes(each) for each, _ in drawn)
    pairs = tuple(
        (secret.public_key().public_bytes_raw(), keys.b_commit(digest, me, r, b))
        for r, (secret, (_, b)) in enumerate(zip(s, drawn, strict=True))
    )
    talk = Talk(terms.identity, roster, plan, digest, {COORDINATOR: request.key}, {}, stamp.now)
    advert = messages.Advert(digest, c.public_key().public_bytes_raw(), pairs)
    talk, sent = _reply(talk, advert, request, stamp)
    return Advertised(talk, sent[0][1], c, s, tuple(b for _, b in drawn), polynomials), sent


def _decide(terms: Terms, plan: Plan, request: Envelope, now: int) -> None:
    """P1-P11, in order. Errors: `Refusal` with the code of the first rule that fails."""
    roster, me, cities = terms.roster, terms.identity.id, frozenset(plan.cities)
    check(plan, least=terms.least, least_colluders=terms.least_colluders)  # P1
    _allow(messages.is_about(request.header, matter_of(plan)), "SECAGG_PLAN")
    _allow(me in cities and all(map(roster.active, cities)), "SECAGG_PLAN")
    _allow(plan.roster == roster.sha256 and roster.in_force(now), "SECAGG_ROSTER")  # P2
    _allow(terms.identity.public in roster.keys_at(me, now), "SECAGG_ROSTER")
    _object(terms.history)  # P3
    approved = terms.approved
    chosen: dict[str, Any] = {name: getattr(plan, name) for name in _NOT_OF_THE_STUDY}
    if approved is None or replace(approved, **chosen) != plan:  # P4
        raise Refusal("SECAGG_NOT_APPROVED")
    in_time = now < plan.expires <= now + messages.LONGEST_LIFE_S
    _allow(in_time and all(1 <= wait <= LONGEST_WAIT_S for wait in plan.waits), "SECAGG_EXPIRED")  # P5
    width = ring.width(len(cities), approved.bound, approved.support)  # P6
    _allow((plan.bound, plan.support, plan.ring) == (approved.bound, approved.support, width), "SECAGG_RING")
    _object(terms.size)
    _allow(plan.noise == approved.noise, "SECAGG_NOISE")  # P7
    _object(terms.snapshot)  # P8
    _object(None if dict(plan.cannot).get(me, ()) == terms.cannot else _own_entry())  # P9
    _object(terms.able)
    _object(terms.exact)  # P10
    _object(terms.policy)
    _object(terms.budget)  # P11


def _own_entry() -> Refusal:
    """POLICY_CITIES for an own entry of `cannot` that is not the own approval's."""
    return Refusal(
        "POLICY_CITIES",
        what_zh="方案所载本市不能提供的变量，与本市批准一致者",
        what_en="own entry of the variables that cannot be mapped, as approved here",
        count=0,
        limit=1,
        or_none_zh="",
        or_none_en="",
    )


# P4: the coordinator chooses the first five; P6, P7 and P9 judge the others.
_NOT_OF_THE_STUDY: Final = ("conversation", "roster", "expires", "waits", "cannot", "ring", "bound", "support", "noise")


def step(state: State, content: bytes, stamp: Stamp) -> tuple[State, Outgoing]:
    """Take one message from the coordinator, as `MOVES` says. A Receipt changes nothing here: `acknowledge` answers it, from the ledger."""
    if isinstance(state, Idle | Closed):
        return state, ()
    answered = state.answered if isinstance(state, Refused) else state.talk.answered
    request_digest = sha256(content).digest()
    if isinstance(state, Refused):
        return state, answered.get(request_digest, ())
    state = timely(state, stamp.now)  # G5
    if isinstance(state, Closed):
        return state, ()
    if request_digest in answered:
        return state, answered[request_digest]  # G2
    talk = state.talk
    try:
        letter = messages.read(content)
        header = letter.header
        # An Ask names a later round, its body the same one (Q1); an Abort may come from a round that passed this city by.
        expected = header.round if header.kind in (Kind.ASK, Kind.ABORT) else _round(state)
        request = open_envelope(
            letter,
            me=talk.identity.id,
            roster=talk.roster,
            now=stamp.now,
            matter=matter_of(talk.plan, expected),
            pinned=talk.pinned,
        )
    except PeerError:
        return state, ()  # G1
    if request.header.kind is Kind.RECEIPT or (isinstance(state, Missed) and request.header.kind in _OF_A_ROUND):
        return state, ()
    try:
        take = _TAKES.get((type(state), request.header.kind))
        if take is None:
            raise PeerError("SECAGG_OUT_OF_ORDER", who="coordinator", step=_STEP[type(state)])  # G4
        following: tuple[State, Outgoing] = take(state, request, stamp)
        return following
    except (PeerError, IncompleteError) as fault:
        return _refused(talk.identity, talk.roster, request, fault, answered, stamp)  # G3


def _on_adverts(state: Advertised, request: Envelope, stamp: Stamp) -> tuple[Shared, Outgoing]:
    """A1-A5, then one box per other city of U1: for each round the shares of b and s."""
    talk, me, rounds = state.talk, state.talk.identity.id, state.talk.plan.rounds
    body = messages.Adverts.decode(request.body)
    _must(body.plan_digest == talk.plan_digest, "FOREIGN_ADVERT", "shares")
    envelopes = {
        each.header.sender: each for each in _relayed(talk, body.adverts, Kind.ADVERT, 0, "shares", stamp, state.advert)
    }  # A1
    adverts = {}
    for city, envelope in envelopes.items():  # A2
        _must(city in talk.plan.cities and len(envelope.body) == 64 + 64 * rounds, "FOREIGN_ADVERT", "shares")
        adverts[city] = messages.Advert.decode(envelope.body, rounds=rounds)
        _must(adverts[city].plan_digest == talk.plan_digest, "FOREIGN_ADVERT", "shares")
    _must(me in envelopes and envelopes[me].content == state.advert, "OWN_ADVERT", "shares")  # A3
    _enough(len(adverts), talk.plan.threshold, "shares")  # A4
    shown = [keys.point(key) for a in adverts.values() for key in (a.c_pk, *(s_pk for s_pk, _ in a.pairs))]
    _must(len(set(shown)) == len(shown), "REPEATED_KEY", "shares")  # A5
    others = {city: advert for city, advert in adverts.items() if city != me}
    boxes = {city: keys.agree(state.c, advert.c_pk) for city, advert in others.items()}
    masks = tuple(
        (state.b[r], {city: keys.agree(state.s[r], advert.pairs[r][0]) for city, advert in others.items()})
        for r in range(rounds)
    )
    ctx = keys.ctx(talk.plan_digest, body.adverts)
    dealt = {
        city: tuple((sharing.share(b, city), sharing.share(s, city)) for b, s in state.polynomials) for city in adverts
    }
    sealed = tuple(
        (city, keys.seal_box(boxes[city], ctx, me, city, rounds, b"".join(b + s for b, s in dealt[city])))
        for city in others
    )
    pinned = {**talk.pinned, **{city: envelope.key for city, envelope in envelopes.items()}}
    talk, sent = _reply(replace(talk, pinned=pinned), messages.Shares(ctx, sealed), request, stamp)
    return Shared(talk, ctx, boxes, masks, dealt[me]), sent


def _on_deliver(state: Shared, request: Envelope, stamp: Stamp) -> tuple[Asked, Outgoing]:
    """D1-D2, then the question of round 0."""
    talk, me, rounds = state.talk, state.talk.identity.id, state.talk.plan.rounds
    body = messages.Deliver.decode(request.body, rounds=rounds)
    others = tuple(city for city in body.u2 if city != me)
    _must(body.ctx == state.ctx and me in body.u2, "BAD_U2", "masked")  # D1
    _must(state.boxes.keys() >= set(others) and len(body.u2) >= talk.plan.threshold, "BAD_U2", "masked")
    _must(tuple(city for city, _ in body.boxes) == others, "BAD_U2", "masked")
    held: dict[int, dict[int, tuple[bytes, bytes]]] = {r: {me: own} for r, own in enumerate(state.own)}
    for city, box in body.boxes:  # D2
        content = keys.open_box(state.boxes[city], state.ctx, city, me, rounds, box)
        dealt = [(content[at : at + 33], content[at + 33 : at + 66]) for at in range(0, len(content), 66)]
        if not content or not all(sharing.is_share(each) for pair in dealt for each in pair):
            raise PeerError("SECAGG_BAD_BOX", who=talk.roster.name(city), step="masked", about=city)
        for r, pair in enumerate(dealt):
            held[r][city] = pair
    masks = {r: (b, {city: secrets[city] for city in others}) for r, (b, secrets) in enumerate(state.masks)}
    room = Room(state.ctx, body.u2, keys.u2_digest(body.u2), masks, held)
    ask = messages.Ask.decode(body.ask, messages.largest_body(Kind.ASK))
    _must(ask.round == 0, "ROUND_USED", "masked")
    return _on_ask(talk, room, 0, ask, request, stamp)


def _on_question(state: InRound, request: Envelope, stamp: Stamp) -> tuple[Asked, Outgoing]:
    """The question of a later round."""
    ask = messages.Ask.decode(request.body, messages.largest_body(Kind.ASK))
    _must(ask.round == request.header.round, "ROUND_USED", "masked")
    return _on_ask(state.talk, state.room, state.turn.round + 1, ask, request, stamp)


def _on_abort(state: Live, request: Envelope, stamp: Stamp) -> tuple[Closed, Outgoing]:  # noqa: ARG001 the shape of a step
    return Closed(), ()


def _on_ask(
    talk: Talk, room: Room, first: int, ask: messages.Ask, request: Envelope, stamp: Stamp
) -> tuple[Asked, Outgoing]:
    """Q1-Q2. Whether the decoded question is one that the study allows at this round (Q2), and the budget (Q3), the gate says: `refuse`."""
    plan = talk.plan
    _must(ask.ctx == room.ctx and first <= ask.round < plan.rounds, "ROUND_USED", "masked")  # Q1
    one_round = plan.rounds > 1 or (ask.layout == plan.layout and ask.length == plan.length)
    _must(1 <= ask.length <= plan.length and one_round, "FOREIGN_QUESTION", "masked")  # Q2
    digest = keys.ask_digest(ask.encode())
    turn = Turn(ask, digest, keys.rctx(room.ctx, room.u2_digest, ask.round, digest))
    answered = dict.fromkeys(talk.answered, ()) if ask.round else talk.answered  # old rounds' replies go
    talk = replace(talk, answered={**answered, request.sha256: ()}, since=stamp.now)
    return Asked(talk, room.without(ask.round), turn, request), ()


def mask(
    state: Asked, vector: Vector, snapshot: bytes, seed: bytes, entropy: Entropy, stamp: Stamp
) -> tuple[Masked | Missed | Refused | Closed, Outgoing]:
    """Mask this city's vector, noise already in it. Draws the 32 bytes of the commitment's salt.

    `snapshot`: digest of the rows, 32 bytes; `seed`: of the noise, 32 bytes (zeros in mode exact). The gate commits
    `spent` with the digest of the envelope before it lets it go. Errors: `TypeError` for another dtype, shape or memory
    order (V1).
    """
    talk, room, turn, plan = state.talk, state.room, state.turn, state.talk.plan
    if vector.dtype != np.int64 or vector.shape != (turn.ask.length,) or not vector.flags.c_contiguous:  # V1
        raise TypeError(f"an int64 vector of {turn.ask.length} cells, C-contiguous, is wanted")
    following = timely(state, stamp.now)
    if isinstance(following, Missed | Closed):  # G5
        return following, ()
    if not ring.within(vector, plan.bound + plan.support):  # V2
        return refuse(state, Refusal("SECAGG_BOUND"), stamp)
    me, (b, secrets) = talk.identity.id, room.masks[turn.round]
    y = ring.residues(vector, plan.ring)
    pairs = [(keys.pair_key(secret, turn.rctx, me, city), pair_sign(me, city)) for city, secret in secrets.items()]
    add_masks(y, [(keys.self_key(b, turn.rctx, me), 1), *pairs])
    commit = keys.input_commit(turn.rctx, exactly(entropy, 32), snapshot, seed)
    body = messages.written(messages.Masked(turn.rctx, commit, y.view(np.uint8).data))
    talk, sent = _reply(talk, body, state.request, stamp, turn.round)
    return Masked(talk, room.without(0, masks_of=turn.round), turn, keys.y_digest(turn.rctx, me, body.sha256)), sent


def _on_survivors(state: Masked, request: Envelope, stamp: Stamp) -> tuple[Confirmed, Outgoing]:
    """S1-S2. S3, one U3 per round, holds because this state is left for good; over a restart the gate's ledger holds it."""
    talk, turn = state.talk, state.turn
    body = messages.Survivors.decode(request.body)
    _must(body.rctx == turn.rctx, "FOREIGN_ROUND", "confirm")  # S1
    inside = set(body.u3) <= set(state.room.u2) and talk.identity.id in body.u3
    _must(inside and len(body.u3) >= talk.plan.threshold, "BAD_U3", "confirm")  # S2; exact: t is every city of the plan
    confirm = messages.Confirm(turn.rctx, keys.u3_digest(turn.rctx, body.u3))
    talk, sent = _reply(talk, confirm, request, stamp, turn.round)
    return Confirmed(talk, state.room, turn, body.u3, confirm, sent[0][1]), sent


def _on_confirms(state: Confirmed, request: Envelope, stamp: Stamp) -> tuple[Revealed, Outgoing]:
    """F1-F4: shares leave only if t cities signed what this one signed."""
    talk, turn, me = state.talk, state.turn, state.talk.identity.id
    body = messages.Confirms.decode(request.body)
    _must(body.rctx == turn.rctx, "SPLIT_SURVIVORS", "reveal")
    signers = {me}
    for envelope in _relayed(talk, body.confirms, Kind.CONFIRM, turn.round, "reveal", stamp, state.own):  # F1
        _must(envelope.header.sender in state.u3, "BAD_SIGNATURE", "reveal")
        _must(messages.Confirm.decode(envelope.body) == state.confirm, "SPLIT_SURVIVORS", "reveal")  # F2
        signers.add(envelope.header.sender)
    _enough(len(signers), talk.plan.threshold, "reveal")  # F3; exact: t is every city of the plan
    held = state.room.shares[turn.round]
    reveal = messages.Reveal(  # F4
        turn.rctx,
        tuple((city, held[city][0]) for city in state.u3),
        tuple((city, held[city][1]) for city in state.room.u2 if city not in state.u3),
    )
    talk, sent = _reply(talk, reveal, request, stamp, turn.round)
    return Revealed(talk, state.room.without(0, shares_of=turn.round), turn), sent


def refuse(state: Asked, fault: HpfedError, stamp: Stamp) -> tuple[Refused, Outgoing]:
    """The gate says no to a question: not one of the study's (Q2), budget gone (Q3), disclosure."""
    return _refused(state.talk.identity, state.talk.roster, state.request, fault, state.talk.answered, stamp)


def close(state: State) -> State:
    """Leave: the secrets are dropped, nothing is sent."""
    return state if isinstance(state, Idle | Refused) else Closed()


@dataclass(frozen=True)
class Contribution:
    """What the ledger holds about one Masked of this city. `u3` is empty if no survivors were confirmed."""

    matter: Matter
    rctx: bytes
    y_digest: bytes
    u3: tuple[int, ...]


def acknowledge(
    identity: Identity,
    roster: Roster,
    content: bytes,
    spent: Contribution,
    seq: int,
    head: bytes,
    stamp: Stamp,
    pinned: Mapping[int, bytes] | None = None,
) -> Outgoing:
    """Answer a Receipt from the ledger, in any state, also after a restart; nothing if it does not open or is about
    something else.

    `seq`, `head`: the ledger's, which the coordinator must show again in its next Open. `pinned`: as in `open_envelope`.
    """
    try:
        request = open_envelope(
            content,
            me=identity.id,
            roster=roster,
            now=stamp.now,
            matter=spent.matter,
            kind=Kind.RECEIPT,
            pinned=pinned,
        )
        receipt = messages.Receipt.decode(request.body)
    except PeerError:
        return ()
    inputs = dict(receipt.inputs)
    if receipt.rctx != spent.rctx or inputs.get(identity.id) != spent.y_digest:
        return ()
    if spent.u3 and tuple(inputs) != spent.u3:
        return ()
    ack = messages.Ack(spent.rctx, keys.receipt_digest(bytes(request.body)), seq, head)
    return _sealed(identity, roster, ack, request, spent.matter.round, stamp)


def _relayed(
    talk: Talk, contents: tuple[bytes, ...], kind: Kind, round_: int, at: str, stamp: Stamp, own: bytes
) -> Iterator[Envelope]:
    """A1, F1: each opens as relayed, no city twice, ascending. `own`: what this city signed itself and need not verify."""
    last, matter, identity = COORDINATOR, matter_of(talk.plan, round_), talk.identity
    mine = messages.read(own)
    for content in contents:
        if content == own:
            _must(identity.id > last, "BAD_SIGNATURE", at)
            last = identity.id
            yield Envelope(mine.header, mine.body, own, identity.public)
            continue
        try:
            envelope = open_envelope(
                content,
                me=identity.id,
                roster=talk.roster,
                now=stamp.now,
                matter=matter,
                kind=kind,
                pinned=talk.pinned,
                relayed=True,
            )
        except PeerError:
            raise PeerError("SECAGG_BAD_SIGNATURE", who="coordinator", step=at) from None
        _must(envelope.header.sender > last, "BAD_SIGNATURE", at)
        last = envelope.header.sender
        yield envelope


_LIVE: Final = (Advertised, Shared, Asked, Masked, Confirmed, Revealed, Missed)
_OF_A_ROUND: Final = (Kind.SURVIVORS, Kind.CONFIRMS)
MOVES: Final = (
    Move((Idle,), Kind.OPEN, "P1-P11", Advertised, Kind.ADVERT),  # `join`
    Move((Advertised,), Kind.ADVERTS, "A1-A5", Shared, Kind.SHARES, take=_on_adverts),
    Move((Shared,), Kind.DELIVER, "D1-D2, Q1-Q3", Asked, None, take=_on_deliver),
    Move((Asked,), "mask", "V1-V2", Masked, Kind.MASKED),  # `mask`: the gate has the vector
    Move((Masked,), Kind.SURVIVORS, "S1-S3", Confirmed, Kind.CONFIRM, take=_on_survivors),
    Move((Confirmed,), Kind.CONFIRMS, "F1-F4", Revealed, Kind.REVEAL, take=_on_confirms),
    Move((Asked, Masked, Confirmed, Revealed), Kind.ASK, "Q1-Q3", Asked, None, take=_on_question),
    Move((Missed,), Kind.ASK, "Q1-Q3", Asked, None, take=_on_question),
    Move(_LIVE, Kind.ABORT, "", Closed, None, take=_on_abort),
    Move((Asked, Masked, Confirmed), "its wait is over", "G5, a round is left", Missed, None),
    Move((Missed,), "`survivors`, `confirms` of that round", "", Missed, None),
    Move(_LIVE, "its time is over, or `close`", "G5", Closed, None),
    Move((Idle, *_LIVE), "a signed message that breaks a check or is not in this table", "G3, G4", Refused, Kind.ABORT),
)
_TAKES: Final = {(at, move.on): move.take for move in MOVES if move.take for at in move.at}
_STEP: Final[Mapping[type, str]] = {  # what each state waits for
    Advertised: "shares",
    Shared: "masked",
    Asked: "masked",
    Masked: "confirm",
    Confirmed: "reveal",
    Revealed: "masked",
    Missed: "masked",
}


def _round(state: Live) -> int:
    return state.turn.round if isinstance(state, InRound) else 0


def timely(state: Live, now: int) -> Live | Closed:
    """G5: the state at `now`. Inside a round its step's wait counts from the own last reply; a city that was left out of U3 cannot know, so
    that ends this round for it, and the conversation if it was the last. Between rounds only the plan's end counts."""
    talk = state.talk
    advert, shares, masked, confirm, _ = talk.plan.waits
    match state:
        case Advertised():
            wait = advert
        case Shared():
            wait = shares
        case Asked() | Masked():
            wait = masked
        case Confirmed():
            wait = confirm
        case Revealed() | Missed():
            wait = talk.plan.expires
        case _:
            assert_never(state)
    if now > talk.plan.expires:
        return Closed()
    if now <= talk.since + wait + GRACE_S:
        return state
    if isinstance(state, Asked | Masked | Confirmed) and state.turn.round + 1 < talk.plan.rounds:
        return Missed(talk, state.room.without(state.turn.round + 1), state.turn)
    return Closed()


def _allow(holds: bool, code: str) -> None:
    if not holds:
        raise Refusal(code)


def _object(objection: Objection) -> None:
    if objection is not None:
        raise objection


def _must(holds: bool, code: str, at: str) -> None:
    if not holds:
        raise PeerError("SECAGG_" + code, who="coordinator", step=at)


def _enough(came: int, needed: int, at: str) -> None:
    if came < needed:
        raise IncompleteError("SECAGG_TOO_FEW", step=at, came=came, needed=needed)


def _sealed(
    identity: Identity,
    roster: Roster,
    body: messages.Body | messages.Written,
    request: Envelope,
    round_: int,
    stamp: Stamp,
) -> Outgoing:
    header = request.header
    matter = Matter(header.expires, bytes.fromhex(header.study), header.run, bytes.fromhex(header.conversation), round_)
    content = seal(
        body,
        identity=identity,
        to=COORDINATOR,
        roster=roster,
        matter=matter,
        seq=stamp.seq[COORDINATOR],
        now=stamp.now,
        in_reply_to=request.sha256,
    )
    return ((COORDINATOR, content),)


def _reply(
    talk: Talk, body: messages.Body | messages.Written, request: Envelope, stamp: Stamp, round_: int = 0
) -> tuple[Talk, Outgoing]:
    """The sealed reply, and the conversation that remembers it (G2) and counts its time from it (G5)."""
    sent = _sealed(talk.identity, talk.roster, body, request, round_, stamp)
    return replace(talk, answered={**talk.answered, request.sha256: sent}, since=stamp.now), sent


def _refused(
    identity: Identity,
    roster: Roster,
    request: Envelope,
    fault: HpfedError,
    answered: Mapping[bytes, Outgoing],
    stamp: Stamp,
) -> tuple[Refused, Outgoing]:
    """G3: secrets dropped, a signed Abort with the code, the message kept."""
    told = fault.values.get("about", COORDINATOR)
    about = told if isinstance(told, int) else COORDINATOR
    abort = messages.Abort(abort_number(fault.code), about)
    sent = _sealed(identity, roster, abort, request, request.header.round, stamp)
    return Refused(fault, request.content, {**answered, request.sha256: sent}), sent
