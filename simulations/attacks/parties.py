"""The parties that an attack on the aggregation meets: real members, a real collector, and every message as bytes.

`World` lists the doors of the product that attacks go through. In an honest world each is the product's own; in a weakened one a double of
`doubles.py` stands in one of them. The attack's code is the same in both, and so are the parties.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.gate import Gate
from protocols import messages, ring, roster
from protocols.entropy import Entropy, aes_stream, exactly
from protocols.errors import PeerError
from protocols.messages import Advert, Identity, Kind, Outgoing, Plan, Stamp
from protocols.ring import Vector, Words
from protocols.roster import City, Entries, Key, Roster, Software, sign_roster
from protocols.secagg import collector, keys, member, recovery, transcript
from protocols.secagg.collector import Question
from protocols.secagg.masks import add_masks
from protocols.secagg.plan import DP, EXACT, noise_plan, thresholds
from protocols.statistics.dominance import Amounts, withheld_amounts
from protocols.statistics.estimates import Families, Family
from protocols.statistics.layout import Layout
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Withheld, withheld

NOW: Final = 1_700_000_000  # where the clock of these conversations stands
BOUND: Final = 1000
SUPPORT: Final = 50
STUDY: Final = sha256(b"study").digest()
LAYOUT: Final = sha256(b"layout").digest()
SOFTWARE: Final = Software(version="0.1.0", sha256="0" * 64)

Join = Callable[[member.Terms, bytes, Entropy, Stamp], tuple[member.State, Outgoing]]
Step = Callable[[member.State, bytes, Stamp], tuple[member.State, Outgoing]]
Mask = Callable[[member.Asked, Vector, bytes, bytes, Entropy, Stamp], tuple[member.State, Outgoing]]
WaitOver = Callable[[collector.State, Stamp], tuple[collector.State, Outgoing]]
Weaken = Callable[["World"], "World"]
Opens = Callable[[bytes, Roster], object]


def stream_of_words(key: bytes, cells: int, bits: int) -> Words:
    """The mask that a key gives."""
    words = ring.zeros(cells, bits)
    add_masks(words, [(key, 1)])
    return words


def received(content: bytes, held: Roster) -> messages.Envelope:
    """What the coordinator does first with anything that arrives."""
    return messages.open_envelope(content, me=0, roster=held, now=NOW)


def same(gate: Gate) -> Gate:
    """A gate as it is."""
    return gate


@dataclass(frozen=True)
class World:
    """Every door, with what the product has there."""

    join: Join = member.join
    step: Step = member.step
    mask: Mask = member.mask
    secrets: Callable[[Entropy, int], Entropy] = lambda entropy, _city: entropy  # a city's own source of randomness
    wait_over: WaitOver = collector.wait_over
    unmask: Callable[..., recovery.Unmasked] = recovery.unmask
    sum_checked: Callable[[transcript.Transcript, bytes, Vector], None] = transcript.verify
    sum_digest: Callable[[bytes, bytes, Sequence[bytes], bytes], bytes] = keys.sum_digest
    read_roster: Callable[[bytes, bytes], Roster] = roster.read
    received: Opens = received
    keystream: Callable[[bytes, int, int], Words] = stream_of_words
    commitment: Callable[[bytes, bytes, bytes, bytes], bytes] = keys.input_commit
    noise_share: Callable[[int, int], int] = lambda t, c: t - c  # over how many cities the noise is shared out
    gate: Callable[[Gate], Gate] = same
    withheld: Callable[[Family, Resolution, int], Withheld] = withheld
    amounts: Callable[[Layout, Families, Vector, Withheld], Amounts] = withheld_amounts
    root: Callable[[bytes, Roster], bytes] = lambda pinned, _shown: pinned  # the key that a reader of a bundle goes by
    fits: Callable[[], AbstractContextManager[object]] = (
        nullcontext  # within which all parties plan and answer exact models
    )


def key_from(entropy: Entropy) -> Ed25519PrivateKey:
    """A fresh signing key."""
    return Ed25519PrivateKey.from_private_bytes(exactly(entropy, 32))


def counts(entropy: Entropy, cells: int) -> Vector:
    """A city's table: whole numbers from 0 to 999."""
    drawn = np.frombuffer(exactly(entropy, 4 * cells), "<u4")
    return np.ascontiguousarray((drawn % 1000).astype(np.int64))


def read_cells(left: Vector, own: Vector) -> int:
    """In how many cells what an adversary is left with is a city's own number."""
    return int(np.count_nonzero(left == own))


@dataclass
class Seat:
    """One city: its state, its source of randomness, and the table that it answers from."""

    terms: member.Terms
    entropy: Entropy
    world: World
    answer: Callable[[messages.Ask], Vector]
    state: member.State = field(default_factory=member.Idle)
    number: int = 0
    y: dict[int, bytes] = field(default_factory=dict)  # the Masked envelope of each round

    @property
    def id(self) -> int:
        return self.terms.identity.id

    def stamp(self, now: int) -> Stamp:
        self.number += 1
        return Stamp(now, {0: self.number})

    def on(self, content: bytes, now: int = NOW) -> Outgoing:
        """What a gate does with a request: the member's step, and for a question the vector, at once."""
        before = self.state
        if isinstance(before, member.Idle):
            self.state, sent = self.world.join(self.terms, content, self.entropy, self.stamp(now))
            return sent
        self.state, sent = self.world.step(before, content, self.stamp(now))
        if isinstance(self.state, member.Asked) and self.state is not before:
            asked = self.state
            vector = self.answer(asked.turn.ask)
            self.state, sent = self.world.mask(asked, vector, bytes(32), bytes(32), self.entropy, self.stamp(now))
            if sent:
                self.y[asked.turn.round] = sent[0][1]
        return sent


@dataclass
class Sitting:
    """One conversation. `log`: every reply that the coordinator took, by imprint; `wire`: every message (from, to, bytes) in order."""

    world: World
    root: Ed25519PrivateKey
    roster: Roster
    identities: dict[int, Identity]
    plan: Plan
    seats: dict[int, Seat]
    tables: dict[int, Vector]
    state: collector.State | None = None
    now: int = NOW
    number: int = 0
    log: dict[bytes, bytes] = field(default_factory=dict)
    wire: list[tuple[int, int, bytes]] = field(default_factory=list)

    @property
    def ids(self) -> tuple[int, ...]:
        return self.plan.cities

    @property
    def root_key(self) -> bytes:
        return self.root.public_key().public_bytes_raw()

    def stamp(self) -> Stamp:
        self.number += 1
        return Stamp(self.now, dict.fromkeys(self.plan.cities, self.number))

    def start(self) -> Outgoing:
        question = Question(self.plan.length, self.plan.layout, b"{}")
        self.state, sent = collector.start(self.identities[0], self.roster, self.plan, question, {}, self.stamp())
        return sent

    def reply(self, city: int, content: bytes) -> Outgoing:
        """A reply reaches the coordinator."""
        assert self.state is not None  # noqa: S101 started
        self.wire.append((city, 0, content))
        following, sent = collector.step(self.state, content, self.stamp(), self.log.__getitem__)
        if following is not self.state:
            self.log[messages.imprint(content)] = content
        self.state = following
        return sent

    def exchange(self, requests: Outgoing, lost: Sequence[int] = ()) -> Outgoing:
        """Requests to the cities, their replies back; then the wait is over, if the step is still open."""
        before, following = self.state, Outgoing()
        for city, content in requests:
            self.wire.append((0, city, content))
            if city not in lost:
                for _, reply in self.seats[city].on(content, self.now):
                    following += self.reply(city, reply)
        self.now += 1
        if self.state is not None and type(self.state) is type(before) and not following:
            self.state, following = self.world.wait_over(self.state, self.stamp())
        return following

    def until(self, kind: Kind) -> Outgoing:
        """Play from Open to the requests of a kind, which are not carried."""
        sent = self.start()
        while sent and messages.peek(sent[0][1]).kind is not kind:
            sent = self.exchange(sent)
        return sent

    def finish(self, sent: Outgoing, lost: Sequence[int] = ()) -> collector.State:
        """Play on to the end."""
        while sent:
            sent = self.exchange(sent, lost)
        assert self.state is not None  # noqa: S101 started
        return self.state

    def plain(self, cities: Sequence[int]) -> Vector:
        """The sum of these cities' tables in the clear: what the sum must be."""
        total = np.zeros(self.plan.length, dtype=np.int64)
        for city in cities:
            total += self.tables[city]
        return total

    # what anyone on the coordinator's host has read off the wire

    def sent(self, kind: Kind, of: int | None = None) -> list[bytes]:
        return [c for sender, _, c in self.wire if messages.peek(c).kind is kind and of in (None, sender)]

    @property
    def adverts(self) -> dict[int, Advert]:
        found = {messages.peek(content).sender: content for content in self.sent(Kind.ADVERT)}
        return {c: Advert.decode(messages.body_of(one), rounds=self.plan.rounds) for c, one in found.items()}

    def masked(self, city: int, round_: int = 0) -> messages.Masked:
        return messages.Masked.decode(messages.body_of(self.seats[city].y[round_]))

    @property
    def rctx(self) -> bytes:
        return self.masked(self.ids[0]).rctx


def roster_of(
    identities: dict[int, Identity], root: Ed25519PrivateKey, version: int = 1, previous: Roster | None = None
) -> Roster:
    """These parties, signed by `root`. Identity 0 is the coordinator."""

    def listed(party: int) -> Key:
        named = {"key": identities[party].public.hex(), "from": NOW - 1000, "until": NOW + 10**7}
        return Key.model_validate(named)

    cities = [
        City(id=each, name=f"city-{each}", code="000000", size_class=1024, identity=(listed(each),), since=NOW - 1000)
        for each in sorted(identities)
        if each
    ]
    entries = Entries(
        consortium="attacked",
        version=version,
        previous=f"sha256:{previous.sha256.hex()}" if previous else "",
        issued=NOW - 1000,
        valid_until=NOW + 90 * 86_400,
        root=root.public_key().public_bytes_raw().hex(),
        coordinator=(listed(0),),
        software=(SOFTWARE,),
        cities=tuple(cities),
    )
    return sign_roster(entries, root)


def plan_of(
    held: Roster,
    ids: Sequence[int],
    conversation: bytes,
    *,
    exact: bool = False,
    colluders: int = 1,
    dropouts: int = 1,
    least: int = 3,
    cells: int = 64,
    rounds: int = 1,
    bits: int = 32,
) -> Plan:
    """A plan that keeps every rule."""
    limits = thresholds(len(ids), colluders, dropouts, least, exact=exact)
    bound, support = BOUND if bits == 32 else 1 << 40, 0 if exact else SUPPORT
    return Plan(
        suite=1,
        conversation=conversation,
        study=STUDY,
        run=1,
        roster=held.sha256,
        layout=LAYOUT,
        noise=sha256(noise_plan([], h=0 if exact else limits.t - colluders)).digest(),
        mode=EXACT if exact else DP,
        ring=ring.width(len(ids), bound, support),
        rounds=rounds,
        length=cells,
        bound=bound,
        support=support,
        threshold=limits.t,
        colluders=colluders,
        dropouts=limits.d,
        least=least,
        expires=NOW + 7200,
        waits=(60, 60, 600, 60, 60),
        cities=tuple(ids),
        cannot=(),
    )


def terms_of(identity: Identity, held: Roster, plan: Plan) -> member.Terms:
    """A city that approves this plan and objects to nothing."""
    return member.Terms(
        identity=identity,
        roster=held,
        least=3,
        least_colluders=0,
        history=None,
        approved=plan,
        size=None,
        snapshot=None,
        cannot=dict(plan.cannot).get(identity.id, ()),
        able=None,
        exact=None,
        policy=None,
        budget=None,
    )


def seated(
    world: World,
    entropy: Entropy,
    n: int = 6,
    *,
    ids: Sequence[int] | None = None,
    identities: dict[int, Identity] | None = None,
    root: Ed25519PrivateKey | None = None,
    exact: bool = False,
    colluders: int = 1,
    dropouts: int = 1,
    cells: int = 64,
    rounds: int = 1,
    bits: int = 32,
    tables: dict[int, Vector] | None = None,
) -> Sitting:
    """n cities of an honest consortium and their coordinator, before the first message. Each city holds a table of `cells` counts."""
    cities = tuple(ids or range(1, n + 1))
    known = identities or {party: Identity(party, key_from(entropy), SOFTWARE) for party in (0, *cities)}
    root = root or key_from(entropy)
    held = roster_of(known, root)
    plan = plan_of(
        held,
        cities,
        exactly(entropy, 16),
        exact=exact,
        colluders=colluders,
        dropouts=dropouts,
        cells=cells,
        rounds=rounds,
        bits=bits,
    )
    held_by = {city: counts(entropy, cells) for city in cities} if tables is None else tables
    seats = {
        city: Seat(
            terms_of(known[city], held, plan),
            world.secrets(aes_stream(exactly(entropy, 32)), city),
            world,
            lambda _ask, city=city: held_by[city],  # type: ignore[misc]  # bound here, for the loop
        )
        for city in cities
    }
    return Sitting(world, root, held, known, plan, seats, held_by)


def again(sitting: Sitting, entropy: Entropy, **changed: object) -> Sitting:
    """Another conversation of the same parties over the same tables; `changed`: fields of its plan."""
    plan = replace(sitting.plan, conversation=exactly(entropy, 16), **changed)  # type: ignore[arg-type]  # fields by name
    seats = {
        city: Seat(
            replace(seat.terms, approved=plan), sitting.world.secrets(aes_stream(exactly(entropy, 32)), city),
            seat.world, seat.answer,
        )
        for city, seat in sitting.seats.items()
        if city in plan.cities
    }  # fmt: skip
    return replace(sitting, plan=plan, seats=seats, state=None, now=NOW, log={}, wire=[])


def opens(content: bytes) -> Kind | None:
    """The kind that a message says it is, if it can be read."""
    try:
        return messages.peek(content).kind
    except PeerError:
        return None
