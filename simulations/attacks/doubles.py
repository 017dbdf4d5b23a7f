"""Doubles that take one guard out: what the product would be without it. They exist only here; the product has no switch for them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any
from unittest.mock import patch

import numpy as np

from node import snapshot
from node.gate import Gate, Talk
from node.ledger import Claim, Ledger, Reservation
from protocols import messages, ring
from protocols.entropy import Entropy, aes_stream
from protocols.errors import PeerError, Refusal
from protocols.messages import Envelope, Kind, Outgoing, Plan, Stamp, open_envelope, seal
from protocols.models import gbdt, glm, protect
from protocols.models.session import Asks, Models, Progress, Round
from protocols.plan import Agreement
from protocols.ring import Vector, Words
from protocols.roster import COORDINATOR, Roster, self_declared
from protocols.secagg import collector, keys, member, recovery, sharing
from protocols.secagg.masks import add_masks
from protocols.secagg.plan import shares_to_open
from protocols.secagg.transcript import Transcript, recomputed
from protocols.session import Session
from protocols.statistics.dominance import Amounts, withheld_amounts
from protocols.statistics.estimates import Families, Family
from protocols.statistics.layout import Layout, Measure
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Withheld
from protocols.study import Study
from simulations.attacks.parties import Step, received

# --- members


@dataclass
class Rewound:
    """A `step` that forgets what it did: what a city will not take as it stands, it takes as it stood before, as from a copy."""

    past: dict[tuple[int, str], dict[tuple[type, int], member.State]] = field(default_factory=dict)

    def __call__(self, state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
        try:
            header = messages.peek(content)
        except PeerError:
            return member.step(state, content, stamp)
        held = self.past.setdefault((header.to, header.conversation), {})
        for earlier in (state, *reversed(held.values())):
            following, sent = member.step(earlier, content, stamp)
            if following is not earlier and not isinstance(following, member.Refused | member.Closed):
                held.setdefault((type(earlier), header.round), earlier)
                return following, sent
        return member.step(state, content, stamp)


def believing(threshold: int, *at: type) -> Step:
    """A `step` of cities that hold lists against this threshold, whatever their plan must say: by default the signatures on one (F3),
    in state Masked the list itself (S2)."""

    def step(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
        if isinstance(state, member.Masked | member.Confirmed) and isinstance(state, at or (member.Confirmed,)):
            believed = replace(state, talk=replace(state.talk, plan=replace(state.talk.plan, threshold=threshold)))
            following, sent = member.step(believed, content, stamp)
            if isinstance(following, member.Live):
                following = replace(following, talk=replace(following.talk, plan=state.talk.plan))
            return following, sent
        return member.step(state, content, stamp)

    return step


def unaddressed(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `step` of cities that do not look at which study, run, conversation and round a header names."""

    def opened(content_: bytes, **named: Any) -> Envelope:
        return open_envelope(content_, **{**named, "matter": None})

    with patch.object(member, "open_envelope", opened):
        return member.step(state, content, stamp)


def unverified(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `step` of cities that do not verify who signed what the coordinator shows them of others."""

    def opened(content_: bytes, *, relayed: bool = False, **named: Any) -> Envelope:
        if not relayed:
            return open_envelope(content_, **named)
        return Envelope(messages.peek(content_), memoryview(messages.body_of(content_)), content_, b"")

    with patch.object(member, "open_envelope", opened):
        return member.step(state, content, stamp)


def of_any_plan(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `step` of cities that take an advert over whatever plan it names."""
    if not isinstance(state, member.Advertised):
        return member.step(state, content, stamp)
    decode, own = messages.Advert.decode, state.talk.plan_digest

    def decoded(*arguments: Any, **named: Any) -> messages.Advert:
        return replace(decode(*arguments, **named), plan_digest=own)

    with patch.object(messages.Advert, "decode", decoded):
        return member.step(state, content, stamp)


def unbound(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `step` of cities whose keys do not depend on the question."""
    following, sent = member.step(state, content, stamp)
    if isinstance(following, member.Asked) and following is not state:
        room, turn = following.room, following.turn
        following = replace(
            following, turn=replace(turn, rctx=keys.rctx(room.ctx, room.u2_digest, turn.round, bytes(32)))
        )
    return following, sent


def obeying(state: member.State, content: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `step` of cities that end a conversation when they are told to, by whomever."""
    try:
        if messages.peek(content).kind is Kind.ABORT:
            return member.Closed(), ()
    except PeerError:
        pass
    return member.step(state, content, stamp)


def unmeasured(terms: member.Terms, content: bytes, entropy: Entropy, stamp: Stamp) -> tuple[member.State, Outgoing]:
    """A `join` without the rules of n, c, d, t and least (of P1)."""
    with patch.object(member, "check", lambda *_, **__: None):
        return member.join(terms, content, entropy, stamp)


def under_any_roster(
    terms: member.Terms, content: bytes, entropy: Entropy, stamp: Stamp
) -> tuple[member.State, Outgoing]:
    """A `join` that does not mind which roster the plan is made on (P2)."""
    allow = member._allow

    def allowed(holds: bool, code: str) -> None:
        allow(holds or code == "SECAGG_ROSTER", code)

    with patch.object(member, "_allow", allowed):
        return member.join(terms, content, entropy, stamp)


def without_self_mask(
    state: member.Asked, vector: Vector, snapshot_: bytes, seed: bytes, entropy: Entropy, stamp: Stamp
) -> tuple[member.State, Outgoing]:
    """A `mask` that leaves the self mask out."""
    me, turn = state.talk.identity.id, state.turn
    b = state.room.masks[turn.round][0]
    following, sent = member.mask(state, vector, snapshot_, seed, entropy, stamp)
    if not sent:
        return following, sent
    body = messages.Masked.decode(messages.body_of(sent[0][1]))
    words = np.frombuffer(body.y, ring.zeros(0, state.talk.plan.ring).dtype).copy()
    add_masks(words, [(keys.self_key(b, turn.rctx, me), -1)])
    bare = messages.Masked(body.rctx, body.input_commit, words.view(np.uint8).data)
    return following, _answer(state.talk.identity, state.talk.roster, bare, state.request, stamp)


def known_boxes(entropy: Entropy, city: int) -> Entropy:
    """A city's randomness whose first 32 bytes, the secret that seals its boxes, anyone can work out: `box_secret`."""
    first = [box_secret(city)]
    return lambda size: first.pop() if first and size == 32 else entropy(size)


def same_seed(entropy: Entropy, _city: int) -> Entropy:
    """A city's randomness that gives the self-mask seed of round 0 (the third draw: c, s, b) for round 1 too (the fifth)."""
    drawn = list[bytes]()

    def drawing(size: int) -> bytes:
        if len(drawn) < 5:
            drawn.append(entropy(size))
            return drawn[2] if len(drawn) == 5 else drawn[-1]
        return entropy(size)

    return drawing


def box_secret(city: int) -> bytes:
    """What `known_boxes` draws first."""
    return bytes(28) + messages.u32(city)


def _answer(
    identity: messages.Identity, held: Roster, body: messages.Body, request: Envelope, stamp: Stamp
) -> Outgoing:
    header = request.header
    matter = messages.Matter(
        header.expires, bytes.fromhex(header.study), header.run, bytes.fromhex(header.conversation), header.round
    )
    content = seal(
        body,
        identity=identity,
        to=COORDINATOR,
        roster=held,
        matter=matter,
        seq=stamp.seq[COORDINATOR],
        now=stamp.now,
        in_reply_to=request.sha256,
    )
    return ((COORDINATOR, content),)


# --- coordinator and readers


def patient(state: collector.State, _stamp: Stamp) -> tuple[collector.State, Outgoing]:
    """A `wait_over` of a coordinator that waits for everyone, for ever."""
    return state, ()


def trusting(file: bytes, _root: bytes) -> Roster:
    """A `read_roster` that goes by the root that the file itself names."""
    return self_declared(file)


def uncommitted(
    plan: Plan,
    _plan_digest: bytes,
    rctx: bytes,
    _round: int,
    _adverts: Mapping[int, messages.Advert],
    u3: Sequence[int],
    reveals: Mapping[int, messages.Reveal],
    masked: Words,
) -> recovery.Unmasked:
    """An `unmask` that takes what the first k revealers give for the secrets. For rounds in which nobody is lost."""
    chosen = sorted(reveals)[: shares_to_open(plan)]
    weights = sharing.Points(chosen).weights(chosen)
    given = {city: dict(reveals[city].b_shares) for city in chosen}
    total = masked.copy()
    for dealer in u3:
        values = {city: int.from_bytes(given[city][dealer], "big") for city in chosen}
        b = sharing.secret(sharing.combine(weights, values)) or bytes(32)
        add_masks(total, [(keys.self_key(b, rctx, dealer), -1)])
    return recovery.Unmasked(ring.centred(total), frozenset(), frozenset())


def signatures_only(transcript: Transcript, root: bytes, _announced: Vector) -> None:
    """A `sum_checked` that opens every message and does not compare the sum."""
    recomputed(transcript, root)


def bare_sum_digest(context: bytes, u3: bytes, _reveals: Sequence[bytes], total: bytes) -> bytes:
    """A `sum_digest` over nothing that a reader of the receipt could not guess."""
    return keys.sum_digest(context, u3, (), total)


def generous(content: bytes, held: Roster) -> object:
    """A `received` that makes room for as many bytes as a message says it has."""
    room = bytearray(min(int.from_bytes(content[5:9], "big"), 1 << 26))
    room[: len(content)] = content
    return received(content, held)


def mersenne(key: bytes, cells: int, bits: int) -> Words:
    """A `keystream` of the Mersenne Twister (Matsumoto and Nishimura 1998), seeded with 32 bits of the key."""
    state = [int.from_bytes(key[:4], "big")]
    for i in range(1, 624):
        state.append((1_812_433_253 * (state[-1] ^ state[-1] >> 30) + i) & 0xFFFFFFFF)
    words, size = np.zeros(cells * bits // 32, "<u4"), cells * bits // 32
    for at in range(size):
        i = at % 624
        mixed = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
        state[i] = state[(i + 397) % 624] ^ mixed >> 1 ^ (0x9908B0DF if mixed & 1 else 0)
        y = state[i]
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        words[at] = y ^ y >> 18
    return words.view(ring.zeros(0, bits).dtype)


def no_commitment(_rctx: bytes, _salt: bytes, _snapshot: bytes, _seed: bytes) -> bytes:
    """A `commitment` to nothing."""
    return bytes(32)


def only_small_cells(family: Family, _resolution: Resolution, least: int) -> Withheld:
    """A `withheld` of small counts and of nothing else, as tables are often published."""
    counts = {part: units // family.quantum for part, units in family.units.items()}
    return Withheld(family.axes, {part: (held > 0) & (held < least) for part, held in counts.items()})


def counted_amounts(layout: Layout, families: Families, total: Vector, counts: Withheld) -> Amounts:
    """A `withheld_amounts` that looks at no holder's part: sums of withheld counts, and what gives these away."""
    blind = total.copy()
    for block in layout.blocks:
        if block.measure is Measure.DOMINATED:
            blind[layout.span(block)] = 0
    return withheld_amounts(layout, families, blind, counts)


def no_further_amounts(layout: Layout, families: Families, total: Vector, _counts: Withheld) -> Amounts:
    """A `withheld_amounts` of dominated sums and of nothing else, so that margins give them back."""
    blocks = [block for block in layout.blocks if block.measure is Measure.DOMINATED and isinstance(block.of, tuple)]
    axes = {axis.name: axis for block in blocks for axis in block.axes}
    cells = {frozenset(axis.name for axis in b.axes): total[layout.span(b)].reshape(b.shape) > 0 for b in blocks}
    return {of: Withheld(axes, cells) for key in families if key[0] is Measure.AMOUNT for of in key[1]}  # type: ignore[union-attr]  # amounts


# --- exact models


@contextmanager
def any_column() -> Iterator[None]:
    """Parties that leave no indicator out of a fit, however few holders have it, and hold no sum against a policy."""
    whole = partial(glm.plan, limits=glm.Limits(column_rows=1, column_cities=1, events_per_column=1))
    with patch.object(glm, "plan", whole), patch.object(protect, "crowded", lambda *_: None):
        yield


@contextmanager
def any_risk_set() -> Iterator[None]:
    """Parties that hold no sum of a first round against a policy."""
    with patch.object(protect, "crowded", lambda *_: None):
        yield


@contextmanager
def any_leaf() -> Iterator[None]:
    """Parties whose trees are divided down to single holders."""
    with patch.object(gbdt, "plan", partial(gbdt.plan, least_rows=1)):
        yield


@contextmanager
def any_step() -> Iterator[None]:
    """Cities that answer an ask at whatever coefficients it has, and do not mind which of their rows it leaves with weight."""

    def taken(models: Models, asked: Round) -> tuple[Progress, Asks]:
        return Progress(asked.round, {}, {}, {}), models.parsed(asked.asks)

    with patch.object(Models, "replayed", taken), patch.object(protect, "spread", lambda *_: None):
        yield


# --- gates


@dataclass
class AgreeableGate(Gate):
    """A gate that takes the plan for what its study gives, and minds nothing in it. It holds a budget all the same."""

    def _terms(self, request: Envelope, now: int) -> tuple[member.Terms, Agreement | Session | None]:
        terms, agreement = super()._terms(request, now)
        plan = Plan.decode(messages.Open.decode(request.body).plan)
        agreeable = replace(terms, approved=plan, able=None, policy=None, size=None)
        if agreement is None or self.ledger.reservation(plan.conversation) is not None:
            return agreeable, agreement
        rows = snapshot.open_for(self.station.home, agreement.study.file.as_of)
        return self._held(agreeable, agreement, plan, rows, now), agreement


@dataclass
class SameNoiseGate(Gate):
    """A gate whose noise is the same at every attempt."""

    def _on_ask(self, talk: Talk, state: member.Asked, about: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
        fresh, self.entropy = self.entropy, aes_stream(self.station.identity.public)
        try:
            return super()._on_ask(talk, state, about, stamp)
        finally:
            self.entropy = fresh


class ForgetfulLedger(Ledger):
    """A ledger that does not hold a set of cities against the sets of before."""

    def _isolates(self, claim: Claim, cohorts: Collection[str], now: int) -> tuple[list[Reservation], bool]:
        return super()._isolates(claim, cohorts, now)[0], False


@dataclass
class UncomparedGate(Gate):
    """A gate that does not ask which holders an exact study is about, how many they are, and whom it was asked about before."""

    def _told_apart(self, study: Study, rows: snapshot.Snapshot, about: bytes, now: int) -> Refusal | None:
        self.ledger.exact(
            about, rows=sha256(about + rows.content.encode()).digest(), cells=study.workload.cells, now=now
        )
        return None


@dataclass
class ForgetfulGate(Gate):
    """A gate over such a ledger, which is the one that was open."""

    def __post_init__(self) -> None:
        self.ledger.__class__ = ForgetfulLedger


def as_if_shared(cities: int) -> Callable[[int, int], int]:
    """A `noise_share` over so many cities that hardly any noise is left."""

    def share(_t: int, _c: int) -> int:
        return cities

    return share


def as_double(double: type[Gate]) -> Callable[[Gate], Gate]:
    """The same gate, books and keys, as a double."""

    def made(gate: Gate) -> Gate:
        return double(gate.station, gate.policy, gate.ledger, gate.entropy, gate.desk, gate.talks)

    return made
