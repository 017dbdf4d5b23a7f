"""What anyone can recompute of one round (docs/protocol.md).

A transcript is the coordinator's own view: it shows nothing beyond the sum. `verify` uses no code of `member.py` or
`collector.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from protocols import messages, ring, roster
from protocols.errors import PeerError, Refusal
from protocols.messages import Body, Envelope, Envelopes, Ids, Kind, Plan, Sized, imprint, matter_of, open_envelope
from protocols.ring import Vector
from protocols.roster import COORDINATOR
from protocols.secagg import keys, sharing
from protocols.secagg.plan import check, shares_to_open
from protocols.secagg.recovery import unmask


@dataclass(frozen=True)
class Members(Body):
    """A list of cities, as it stands in Deliver."""

    ids: Ids


@dataclass(frozen=True)
class Transcript(Body):
    """One round, in the order in which it is hashed. As bytes: a file of the bundle."""

    roster: Sized  # the signed file
    plan: Sized
    adverts: Sized  # body
    u2: Sized  # `Members`
    ask: Sized  # body
    masked: Envelopes  # of U3, by id
    survivors: Sized  # body
    confirms: Sized  # body
    reveals: Envelopes  # every accepted one, by id

    def digest(self, imprints: Iterable[bytes] | None = None) -> bytes:
        """What the Receipt names. `imprints`: of the Masked envelopes, where those are not at hand."""
        masked = map(imprint, self.masked) if imprints is None else imprints
        before = (self.roster, self.plan, self.adverts, self.u2, self.ask)
        return keys.transcript_digest((*before, *masked, self.survivors, self.confirms, *self.reveals))


def verify(transcript: Transcript, root: bytes, announced: Vector) -> None:
    """Recompute the sum and compare bit for bit. `announced`: int64. Errors: those of `recomputed`; SECAGG_WRONG_SUM."""
    total = recomputed(transcript, root)
    if announced.dtype != np.int64 or not np.array_equal(announced, total):
        raise PeerError("SECAGG_WRONG_SUM", who="coordinator", step="sum")


def recomputed(transcript: Transcript, root: bytes) -> Vector:
    """The sum, int64, from the messages alone. `root`: the pinned key of the consortium.

    1 the roster is signed by `root`; the plan names it and keeps the rules;
    2 every Advert is signed by a city of the plan, for this plan; at least t, no key twice;
    3 U2 lies in U1, at least t; the question is of this conversation;
    4 every Masked, Confirm and Reveal is signed by its city and about this question; U3 is the cities whose Masked is
      shown, at least t of them confirmed exactly that, at least k of those revealed exactly what it takes;
    5 every seed opens its commitment, every lost city's key its advert; the sum is the y minus the masks.

    Errors: `PeerError` that names the first message that fails (`step`) and, where one sent it, its city (`who`).
    """
    try:
        held = roster.read(transcript.roster, root)  # 1
    except PeerError as fault:
        raise PeerError("SECAGG_BAD_SIGNATURE", who="root", step="roster") from fault
    plan = _record(Plan, transcript.plan, "plan")
    try:
        check(plan)
    except Refusal as fault:
        raise PeerError("SECAGG_INCONSISTENT", who="coordinator", step="plan") from fault
    _must(plan.roster == held.sha256, "INCONSISTENT", "plan")
    digest, pinned = keys.plan_digest(transcript.plan), dict[int, bytes]()

    def shown(contents: Iterable[bytes], kind: Kind, round_: int) -> dict[int, Envelope]:
        """Open relayed envelopes, ascending by city, each under the key of its city's Advert."""
        opened: dict[int, Envelope] = {}
        for content in contents:
            try:
                envelope = open_envelope(
                    content,
                    me=COORDINATOR,
                    roster=held,
                    now=0,
                    matter=matter_of(plan, round_),
                    kind=kind,
                    pinned=pinned,
                    relayed=True,
                )
            except PeerError as fault:
                raise PeerError("SECAGG_BAD_SIGNATURE", who=fault.who, step=kind.value) from fault
            _must(envelope.header.sender > max(opened, default=0), "BAD_SIGNATURE", kind.value)
            opened[envelope.header.sender] = envelope
        return opened

    body = _record(messages.Adverts, transcript.adverts, "adverts")  # 2
    u1 = shown(body.adverts, Kind.ADVERT, 0)
    pinned.update({city: envelope.key for city, envelope in u1.items()})
    adverts = {city: _record(messages.Advert, one.body, "advert", plan.rounds) for city, one in u1.items()}
    _must({body.plan_digest, *(one.plan_digest for one in adverts.values())} == {digest}, "FOREIGN_ADVERT", "advert")
    _must(u1.keys() <= set(plan.cities), "FOREIGN_ADVERT", "advert")
    _enough(len(u1), plan.threshold, "advert")
    points = [keys.point(key) for one in adverts.values() for key in (one.c_pk, *(s_pk for s_pk, _ in one.pairs))]
    _must(len(set(points)) == len(points), "REPEATED_KEY", "advert")
    u2 = _record(Members, transcript.u2, "deliver").ids  # 3
    _must(set(u2) <= u1.keys() and len(u2) >= plan.threshold, "BAD_U2", "deliver")
    ask = _record(messages.Ask, transcript.ask, "ask")
    ctx = keys.ctx(digest, body.adverts)
    _must(ask.ctx == ctx and ask.round < plan.rounds and 1 <= ask.length <= plan.length, "ROUND_USED", "ask")
    rctx = keys.rctx(ctx, keys.u2_digest(u2), ask.round, keys.ask_digest(transcript.ask))

    total = ring.zeros(ask.length, plan.ring)  # 4
    inputs = shown(transcript.masked, Kind.MASKED, ask.round)
    for city, envelope in inputs.items():
        masked = _record(messages.Masked, envelope.body, "masked")
        _must(masked.rctx == rctx and len(masked.y) == total.nbytes, "FOREIGN_ROUND", "masked", held.name(city))
        total += np.frombuffer(masked.y, total.dtype)
    survivors = _record(messages.Survivors, transcript.survivors, "survivors")
    u3 = survivors.u3
    _must(survivors.rctx == rctx and u3 == tuple(inputs) and set(u3) <= set(u2), "BAD_U3", "survivors")
    listed = _record(messages.Confirms, transcript.confirms, "confirms")
    signers = shown(listed.confirms, Kind.CONFIRM, ask.round)
    confirm = messages.Confirm(rctx, keys.u3_digest(rctx, u3))
    for city, envelope in signers.items():
        said = _record(messages.Confirm, envelope.body, "confirm")
        _must(city in u3 and said == confirm, "SPLIT_SURVIVORS", "confirm", held.name(city))
    _must(listed.rctx == rctx, "FOREIGN_ROUND", "confirms")
    _enough(len(signers), plan.threshold, "confirms")
    lost = tuple(city for city in u2 if city not in u3)
    reveals = {}
    for city, envelope in shown(transcript.reveals, Kind.REVEAL, ask.round).items():
        reveal = _record(messages.Reveal, envelope.body, "reveal")
        _must(city in signers and reveal.rctx == rctx, "FOREIGN_ROUND", "reveal", held.name(city))
        named = tuple(one for one, _ in reveal.b_shares), tuple(one for one, _ in reveal.s_shares)
        _must(named == (u3, lost), "BAD_U3", "reveal", held.name(city))
        given = (share for _, share in (*reveal.b_shares, *reveal.s_shares))
        _must(all(map(sharing.is_share, given)), "BAD_SHARE", "reveal", held.name(city))  # one share, one spelling
        reveals[city] = reveal
    _enough(len(reveals), shares_to_open(plan), "reveal")
    found = unmask(plan, digest, rctx, ask.round, adverts, u3, reveals, total)  # 5
    if found.total is None:
        raise PeerError("SECAGG_INCONSISTENT", who="coordinator", step="reveal")
    return found.total


Read = TypeVar("Read", bound=Body)


def _record(kind: type[Read], content: bytes | memoryview, at: str, rounds: int = 1) -> Read:
    try:
        return kind.decode(content, messages.LARGEST, rounds)
    except PeerError as fault:
        raise PeerError("SECAGG_INCONSISTENT", who="coordinator", step=at) from fault


def _must(holds: bool, code: str, at: str, who: str = "coordinator") -> None:
    if not holds:
        raise PeerError("SECAGG_" + code, who=who, step=at)


def _enough(came: int, needed: int, at: str) -> None:
    if came < needed:
        raise PeerError("SECAGG_TOO_FEW", who="coordinator", step=at, came=came, needed=needed)
