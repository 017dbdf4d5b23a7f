"""Cities and a coordinator at one table: whole conversations in memory, every message as bytes, one virtual clock, faults as arguments."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols import messages
from protocols.entropy import Entropy, aes_stream
from protocols.errors import PeerError
from protocols.messages import Identity, Kind, Outgoing, Plan, Stamp
from protocols.ring import Vector
from protocols.roster import City, Entries, Key, Roster, sign_roster
from protocols.secagg import collector, member
from protocols.secagg.collector import Question
from protocols.secagg.plan import STEPS
from simulations.attacks import parties

NOW: Final = parties.NOW
SOFTWARE: Final = parties.SOFTWARE
BOUND: Final = parties.BOUND
SUPPORT: Final = parties.SUPPORT
QUESTION: Final = b'{"questions":["q"]}'
AWAITED: Final = {  # where a city stands when it is lost at a step: it no longer answers what would make that reply
    "advert": Kind.OPEN,
    "shares": Kind.ADVERTS,
    "masked": Kind.DELIVER,
    "confirm": Kind.SURVIVORS,
    "reveal": Kind.CONFIRMS,
}
REQUEST_OF: Final = {Kind.ASK: "masked", **{kind: step for step, kind in AWAITED.items()}}


def part(content: bytes) -> bytes:
    """u32 length and content, written here a second time."""
    return len(content).to_bytes(4, "big") + content


def test_entropy(city: int, seed: bytes) -> Entropy:
    """Keystream of AES-256-CTR under D("test-entropy", u32 id, seed) (docs/protocol.md)."""
    parts = (b"hpf-secagg/1", b"test-entropy", city.to_bytes(4, "big"), seed)
    return aes_stream(sha256(b"".join(map(part, parts))).digest())


test_entropy.__test__ = False  # type: ignore[attr-defined]  # a source of bytes, not a test


@cache
def key_of(party: int | str) -> Ed25519PrivateKey:
    """The identity key of a party in tests: 0 the coordinator, else a city's id or any other name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(f"test-identity-{party}".encode()).digest())


ROOT: Final = key_of("root")
ROOT_KEY: Final = ROOT.public_key().public_bytes_raw()


def hex_of(party: int | str) -> str:
    return key_of(party).public_key().public_bytes_raw().hex()


def valid(party: int | str) -> Key:
    """The identity key of a party as the roster lists it."""
    return Key.model_validate({"key": hex_of(party), "from": NOW - 1000, "until": NOW + 10**7})


ROSTERS: Final[dict[str, Roster]] = {}  # every one that `roster_of` made, by digest


@cache
def roster_of(ids: tuple[int, ...], version: int = 1) -> Roster:
    """A signed roster of these cities."""
    roster = sign_roster(entries_of(ids, version), ROOT)
    ROSTERS[roster.sha256.hex()] = roster
    return roster


def entries_of(ids: tuple[int, ...], version: int = 1) -> Entries:
    cities = tuple(
        City(id=each, name=f"city-{each}", code="500000", size_class=1024, identity=(valid(each),), since=NOW - 1000)
        for each in ids
    )
    return Entries(
        consortium="test-consortium",
        version=version,
        issued=NOW - 1000,
        valid_until=NOW + 90 * 86_400,
        root=hex_of("root"),
        coordinator=(valid(0),),
        software=(SOFTWARE,),
        cities=cities,
    )


def identity(party: int) -> Identity:
    return Identity(party, key_of(party), SOFTWARE)


def plan_of(
    roster: Roster,
    ids: Sequence[int] | None = None,
    *,
    exact: bool = False,
    colluders: int = 1,
    dropouts: int = 1,
    least: int = 3,
    length: int = 7,
    rounds: int = 1,
    bits: int | None = None,
    conversation: bytes = bytes(range(16)),
) -> Plan:
    """A plan that keeps every rule, over `ids` or all of the roster. `bits`: of the ring; by default what the sum needs."""
    return parties.plan_of(
        roster,
        tuple(ids or roster.cities),
        conversation,
        exact=exact,
        colluders=colluders,
        dropouts=dropouts,
        least=least,
        cells=length,
        rounds=rounds,
        bits=bits or 32,
    )


def terms_of(roster: Roster, plan: Plan, city: int) -> member.Terms:
    """A city that approves this very plan and objects to nothing."""
    return parties.terms_of(identity(city), roster, plan)


def question_of(plan: Plan, length: int | None = None) -> Question:
    return Question(plan.length if length is None else length, plan.layout, QUESTION)


def vector_of(plan: Plan, city: int, round_: int = 0, length: int | None = None) -> Vector:
    """A city's vector in tests: small whole numbers of either sign, the first cell at the bound."""
    most = plan.bound + plan.support
    cells = np.arange(plan.length if length is None else length, dtype=np.int64)
    vector = (cells * 7919 + city % 1009 * 104_729 + round_ * 31) % (2 * most + 1) - most
    vector[0] = most
    return np.ascontiguousarray(vector)


def kind_in(content: bytes) -> Kind | None:
    """What a message says it is, if it can be read at all."""
    try:
        return messages.peek(content).kind
    except PeerError:
        return None


@dataclass
class Seat:
    """One city at the table: its state, and what its gate would keep."""

    id: int
    plan: Plan
    roster: Roster
    terms: member.Terms
    entropy: Entropy
    state: member.State = field(default_factory=member.Idle)
    spent: list[member.Contribution] = field(default_factory=list)
    vectors: dict[int, Vector] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0

    def stamp(self, now: int) -> Stamp:
        self.sent += 1
        return Stamp(now, {0: self.sent})

    def on(self, content: bytes, now: int) -> Outgoing:
        """What a gate does with a request: the member's step, and for a question the vector, at once."""
        stamp = self.stamp(now)
        self.requests.append(content)
        if kind_in(content) is Kind.RECEIPT:
            return self.acknowledge(content, stamp)
        if isinstance(self.state, member.Idle):
            self.state, out = member.join(self.terms, content, self.entropy, stamp)
            return out
        before = self.state
        self.state, out = member.step(self.state, content, stamp)
        if isinstance(self.state, member.Asked) and self.state is not before:
            return self.mask(now)
        if isinstance(self.state, member.Confirmed) and self.state is not before:
            self.spent[-1] = replace(self.spent[-1], u3=self.state.u3)
        return out

    def mask(self, now: int) -> Outgoing:
        assert isinstance(self.state, member.Asked)
        asked = self.state
        vector = self.vectors.setdefault(
            asked.turn.round, vector_of(self.plan, self.id, asked.turn.round, asked.turn.ask.length)
        )
        self.state, out = member.mask(asked, vector, bytes(32), bytes(32), self.entropy, self.stamp(now))
        if isinstance(self.state, member.Masked):
            matter = messages.matter_of(self.plan, asked.turn.round)
            self.spent.append(member.Contribution(matter, asked.turn.rctx, self.state.y_digest, ()))
        return out

    def acknowledge(self, content: bytes, stamp: Stamp) -> Outgoing:
        spent = [each for each in self.spent if each.matter.round == messages.peek(content).round]
        if not spent:
            return ()
        return member.acknowledge(identity(self.id), self.roster, content, spent[-1], 5, bytes(32), stamp)


@dataclass
class Table:
    """A whole conversation. `log` holds every envelope that was taken by its imprint, `wire` all of them in order with their direction."""

    roster: Roster
    plan: Plan
    cities: dict[int, Seat]
    state: collector.State | None = None
    log: dict[bytes, bytes] = field(default_factory=dict)
    wire: list[tuple[int, int, bytes]] = field(default_factory=list)
    now: int = NOW
    numbers: Counter[int] = field(default_factory=Counter)
    carry: Callable[[bytes], bytes] = bytes  # what the network makes of a message

    def stamp(self) -> Stamp:
        for city in self.plan.cities:
            self.numbers[city] += 1
        return Stamp(self.now, dict(self.numbers))

    def recall(self, digest: bytes) -> bytes:
        return self.log[digest]

    def start(self) -> Outgoing:
        self.state, out = collector.start(identity(0), self.roster, self.plan, question_of(self.plan), {}, self.stamp())
        return out

    def reply(self, content: bytes) -> Outgoing:
        """One reply reaches the coordinator. Logged if it changed anything, before anything is sent."""
        assert self.state is not None
        following, out = collector.step(self.state, content, self.stamp(), self.recall)
        if following is not self.state:
            self.log[messages.imprint(content)] = content
        self.state = following
        return out

    def wait_over(self) -> Outgoing:
        assert self.state is not None
        self.state, out = collector.wait_over(self.state, self.stamp())
        return out

    def exchange(self, requests: Outgoing, lost: Callable[[int, Kind, int], bool]) -> Outgoing:
        """Carry requests to the cities and their replies back; then the wait is over, if the step is still open."""
        before, following = self.state, Outgoing()
        for city, content in requests:
            self.wire.append((0, city, content))
            header = messages.peek(content)
            if lost(city, header.kind, header.round):
                continue
            for _, reply in self.cities[city].on(self.carry(content), self.now):
                self.wire.append((city, 0, reply))
                following += self.reply(self.carry(reply))
        self.now += 1
        if not following and type(self.state) is type(before):
            following = self.wait_over()
        return following

    def run(self, lost: Callable[[int, Kind, int], bool]) -> None:
        """From Open to the Receipt, or as far as it goes."""
        out = self.start()
        while out:
            out = self.exchange(out, lost)

    def branch(self) -> "Table":
        """The same conversation at the same moment, to go on in another way. States are values: only what keeps them is copied."""
        cities = {
            city: replace(seat, spent=list(seat.spent), vectors=dict(seat.vectors), requests=list(seat.requests))
            for city, seat in self.cities.items()
        }
        return replace(self, cities=cities, log=dict(self.log), wire=list(self.wire), numbers=self.numbers.copy())

    @property
    def total(self) -> Vector:
        assert isinstance(self.state, collector.Summed), self.state
        return self.state.total

    def plain(self, cities: Collection[int], round_: int = 0) -> Vector:
        """The functional oracle: the sum in plain integers."""
        rows = [self.cities[city].vectors[round_].tolist() for city in cities]
        return np.array([sum(column) for column in zip(*rows, strict=True)], dtype=np.int64)

    def sent(self, kind: Kind, of: int | None = None) -> list[bytes]:
        """Every message of a kind on the wire, of one sender or of all."""
        return [c for sender, _, c in self.wire if messages.peek(c).kind is kind and of in (None, sender)]


def table_of(
    ids: Sequence[int] = (1, 2, 3),
    *,
    seed: bytes = b"seed",
    lengths: int = 7,
    terms: Callable[[member.Terms], member.Terms] = lambda terms: terms,
    also: Sequence[int] = (),
    roster: Roster | None = None,
    **plan: object,
) -> Table:
    """A table with these cities; `also` are on the roster, not in the plan; keyword arguments as in `plan_of`."""
    roster = roster or roster_of((*ids, *also))
    made = plan_of(roster, ids, length=lengths, **plan)  # type: ignore[arg-type]  # passed on as they are
    cities = {
        each: Seat(each, made, roster, terms(terms_of(roster, made, each)), test_entropy(each, seed)) for each in ids
    }
    return Table(roster, made, cities)


def nobody(city: int, kind: Kind, round_: int) -> bool:  # noqa: ARG001 the shape of a loss
    return False


def lost_at(losses: Mapping[str, Collection[int]]) -> Callable[[int, Kind, int], bool]:
    """Cities that are gone from a step on, in every round."""

    def lost(city: int, kind: Kind, round_: int) -> bool:  # noqa: ARG001 the shape of a loss
        if kind not in REQUEST_OF:
            return any(city in gone for gone in losses.values())
        reached = STEPS.index(REQUEST_OF[kind])
        return any(city in gone for step, gone in losses.items() if STEPS.index(step) <= reached)

    return lost


def at_step(step: str, ids: Sequence[int] = (1, 2, 3, 4, 5, 6), **kinds: Any) -> tuple[Table, Outgoing]:
    """A table (six cities: t = 5, c = 1) just before the requests of a step are carried."""
    table = table_of(ids, **kinds)
    out = table.start()
    while messages.peek(out[0][1]).kind is not AWAITED[step]:
        out = table.exchange(out, nobody)
    return table, out


def answers(table: Table, out: Outgoing) -> dict[int, bytes]:
    """The honest reply of every city to these requests."""
    return {city: table.cities[city].on(content, table.now)[0][1] for city, content in out}
