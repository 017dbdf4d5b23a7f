"""T62: the network swaps, replays, delays, drops, doubles, truncates and forges. It can stop a sum, and nothing else.

A courier between the coordinator's own driver and the cities does at every message, both ways, what a schedule says. Whatever it does: a
sum is the right one of the cities that it names, a city makes one vector and is charged once, nothing is asked in two ways, and nobody is
held to have broken the protocol for what the courier did.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random  # noqa: TID251 a schedule is no secret, and is given its seed
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import rounds
from coordinator.exchange import Exchange, Failure
from coordinator.log import Log
from protocols import messages
from protocols.errors import IncompleteError, Refusal
from protocols.messages import Identity, Kind, Matter, Written, seal
from protocols.secagg import collector
from protocols.secagg.transcript import verify
from protocols.study import load
from tests import gates
from tests.conversations.line import Line, begun
from tests.conversations.rounds_of_gates import POLICY
from tests.conversations.table import ROOT_KEY, ROSTERS, SOFTWARE, key_of, table_of
from tests.conversations.test_coordinator_crashes import one_of_everything
from tests.conversations.test_node_crashes import FOUR, caught

IDS: Final = (1, 2, 3, 4)  # dp: t = 3, c = d = 1
HELD_S: Final = 3 * 3600  # longer than a conversation lives
Trick = Callable[
    ["Tricks", bytes], list[bytes]
]  # what becomes of a message: nothing, another, or several in this order


@dataclass
class Tricks:
    """What a courier does to messages of one direction. `seen`: all that it has carried, of either."""

    random: Random
    seen: list[bytes]
    elsewhere: tuple[bytes, ...] = ()

    def of(self, name: str, content: bytes) -> list[bytes]:
        self.seen.append(content)
        return TRICKS[name](self, content)

    def flipped(self, content: bytes) -> bytes:
        """One bit of header, body or signature is another."""
        start = 9 + int.from_bytes(content[5:9], "big")
        first, end = self.random.choice([(0, start), (start, len(content) - 64), (len(content) - 64, len(content))])
        at = self.random.randrange(first, max(first + 1, end)) % len(content)
        return content[:at] + bytes([content[at] ^ 1 << self.random.randrange(8)]) + content[at + 1 :]

    def forged(self, content: bytes) -> bytes:
        """Another message of the same shape and sender, well signed by a key that no roster lists."""
        header, body = messages.peek(content), bytes(messages.body_of(content))
        body = self.random.choice([body, body[:-1] + bytes([(body or b"\0")[-1] ^ 1])])
        return seal(
            Written(header.kind, (body,), len(body), sha256(body).digest()),
            identity=Identity(header.sender, key_of("stranger"), SOFTWARE),
            to=header.to,
            roster=ROSTERS[header.roster.sha256],
            matter=Matter(
                header.expires,
                bytes.fromhex(header.study),
                header.run,
                bytes.fromhex(header.conversation),
                header.round,
            ),
            seq=header.seq,
            now=header.issued,
            in_reply_to=bytes.fromhex(header.in_reply_to) if header.in_reply_to else None,
        )

    def old(self) -> bytes:
        return self.random.choice(self.seen)


TRICKS: Final[dict[str, Trick]] = {
    "carry": lambda _, content: [content],
    "drop": lambda _, __: [],
    "double": lambda _, content: [content] * 10,
    "truncate": lambda made, content: [content[: made.random.randrange(len(content))], content],
    "truncate instead": lambda made, content: [content[: made.random.randrange(len(content))]],
    "extend": lambda _, content: [content + b"\0"],
    "flip": lambda made, content: [made.flipped(content), content],
    "flip instead": lambda made, content: [made.flipped(content)],
    "forge": lambda made, content: [made.forged(content), content],
    "forge instead": lambda made, content: [made.forged(content)],
    "replay": lambda made, content: [made.old(), content],  # also a reply as a request, and to another city
    "replay instead": lambda made, _: [made.old()],
    "replay after": lambda made, content: [content, made.old()],
    "elsewhere": lambda made, content: [content, made.random.choice(made.elsewhere)],
    "noise": lambda made, content: [made.random.randbytes(len(content)), content],
}
NAMES: Final = [
    *TRICKS,
    *["carry"] * 200,
]  # most messages arrive: a schedule of nothing but harm ends at the first step


@dataclass(frozen=True)
class Schedule:
    """`names`: tricks in turn, for requests and replies; `swapped`: steps where everybody gets another's; `held`: steps that wait."""

    seed: int
    names: tuple[str, ...]
    swapped: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()


SCHEDULES: Final = st.builds(
    Schedule,
    st.integers(0, 2**32),
    st.lists(st.sampled_from(NAMES), min_size=47, max_size=47).map(tuple),
    st.sampled_from([frozenset[int]()] * 4 + [frozenset({step}) for step in range(5)]),
    st.sampled_from([frozenset[int]()] * 9 + [frozenset({step}) for step in range(5)]),
)


@dataclass
class Courier(Line):
    """A line whose messages meet a schedule, the replies as well as the requests."""

    schedule: Schedule = Schedule(0, ("carry",))
    elsewhere: tuple[bytes, ...] = ()
    step: int = -1
    carried: int = 0

    def __post_init__(self) -> None:
        self.tricks = Tricks(Random(self.schedule.seed), [], self.elsewhere)  # noqa: S311 a schedule, not a secret

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        assert timeout_s > 0, kind
        self.step += 1
        self.table.now += HELD_S if self.step in self.schedule.held else 1
        names = list(requests)
        to = names[1:] + names[:1] if self.step in self.schedule.swapped else names
        self.tricks.random.shuffle(order := list(range(len(names))))
        for at in order:
            asked = requests[names[at]]
            self.wire.append((0, asked))
            city = int(to[at].removeprefix("city-"))
            for content in self.tricks.of(self.next(), asked):
                for _, reply in self.table.cities[city].on(content, self.table.now):
                    self.wire.append((city, reply))
                    for came in self.tricks.of(self.next(), reply):
                        yield names[at], came  # as often as it likes: the state machine has to know

    def next(self) -> str:
        self.carried += 1
        return self.schedule.names[self.carried % len(self.schedule.names)]


@cache
def elsewhere() -> tuple[bytes, ...]:
    """All that was said in another conversation of the same parties, but its Open: a seat sits in one, and would sit in that."""
    line = Line(table_of(IDS, seed=b"elsewhere", conversation=bytes(reversed(range(16)))))
    begun(line).play()
    return tuple(content for _, content in line.wire if messages.peek(content).kind is not Kind.OPEN)


def played(schedule: Schedule, *, exact: bool = False) -> tuple[Courier, rounds.Conversation]:
    courier = Courier(table_of(IDS, exact=exact), schedule=schedule, elsewhere=elsewhere())
    talk = begun(courier, Log())
    talk.play()
    return courier, talk


def holds(courier: Courier, talk: rounds.Conversation) -> None:
    """What has to be so, whatever the courier did."""
    state, table = talk.state, courier.table
    one_of_everything(courier)
    for seat in table.cities.values():
        assert len(seat.spent) <= 1, "a second vector"
    assert state.talk.faults == (), "a city is blamed for what the courier did"
    if isinstance(state, collector.Summed):
        assert len(state.u3) >= talk.state.talk.plan.threshold
        assert np.array_equal(state.total, table.plain(state.u3))
        verify(collector.transcript(state, talk.log.recall), ROOT_KEY, state.total)
    else:
        assert isinstance(state, collector.Failed | collector.RoundLost)


@given(SCHEDULES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_hostile_courier_stops_a_sum_or_leaves_it_right(schedule: Schedule, exact: bool) -> None:
    holds(*played(schedule, exact=exact))


@pytest.mark.slow  # 2,000 conversations, half a minute
@given(SCHEDULES, st.booleans())
@settings(max_examples=2000, deadline=None)
def test_two_thousand_hostile_couriers(schedule: Schedule, exact: bool) -> None:
    holds(*played(schedule, exact=exact))


@pytest.mark.parametrize("name", [name for name in TRICKS if name not in ("drop", "extend") and "instead" not in name])
@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
def test_what_comes_beside_an_honest_message_changes_nothing(name: str, exact: bool) -> None:
    """At every message of a conversation, in both directions: everybody is in the sum."""
    courier, talk = played(Schedule(7, (name,)), exact=exact)
    holds(courier, talk)
    assert isinstance(talk.state, collector.Summed)
    assert talk.state.u3 == IDS


@pytest.mark.parametrize("name", [name for name in TRICKS if name in ("drop", "extend") or "instead" in name])
def test_what_comes_in_its_place_is_a_message_that_did_not_come(name: str) -> None:
    """To one city of four, from the questions on: the others' sum is right."""
    names = ["carry"] * 16 + [name]  # the seventeenth message, and from there no further one in 48
    courier, talk = played(Schedule(7, (*names, *["carry"] * 60)))
    holds(courier, talk)
    assert isinstance(talk.state, collector.Summed)
    assert len(talk.state.u3) in (len(IDS) - 1, len(IDS))


@pytest.mark.parametrize("step", range(5))
def test_requests_that_reach_each_other_s_city_are_answered_by_none(step: int) -> None:
    courier, talk = played(Schedule(7, ("carry",), swapped=frozenset({step})))
    holds(courier, talk)
    assert not isinstance(talk.state, collector.Summed)
    assert not any(seat.spent for seat in courier.table.cities.values()) or step > 2


@pytest.mark.parametrize("step", range(5))
def test_what_is_held_past_its_date_is_worth_nothing(step: int) -> None:
    courier, talk = played(Schedule(7, ("carry",), held=frozenset({step})))
    holds(courier, talk)
    assert not isinstance(talk.state, collector.Summed)


AT_GATES: Final = [
    name for name in TRICKS if "forge" not in name and name != "elsewhere"
]  # whose roster and studies are their own


@dataclass
class AtGates:
    """The same courier before whole gates, with their books: it carries offers, receipts and attestations too."""

    line: Exchange
    tricks: Tricks
    names: tuple[str, ...]
    carried: int = 0

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        for name, asked in requests.items():
            came: list[bytes] = []
            for content in self.of(asked):
                ((_, reply),) = self.line.each(kind, {name: content}, timeout_s)
                came += self.of(reply) if isinstance(reply, bytes) else []
            yield name, came[0] if came else Failure("timed_out")  # of an Exchange each city comes back once

    def of(self, content: bytes) -> list[bytes]:
        self.carried += 1
        return self.tricks.of(self.names[self.carried % len(self.names)], content)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
def test_gates_behind_a_hostile_courier_are_charged_once_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    """A study asked again and again: it comes to the sum of what cities masked, or ends incomplete. A vector is written down once."""
    gates.write(tmp_path / "cities", 12, gates.STUDY.replace("dropouts: 0", "dropouts: 1"), FOUR)
    for city in FOUR:
        policy = f"{POLICY}retries: 40\nlimits: {{conversations_per_day: 100}}\n"
        (tmp_path / "cities" / city / "policy.yaml").write_text(policy, encoding="utf-8")
    study = load(tmp_path / "cities" / "study.yaml")
    ended, random, seen = list[str](), Random(62), list[bytes]()  # noqa: S311 a schedule, not a secret
    mostly = ["carry"] * (200 if exact else 40)  # an exact sum needs everybody
    with gates.rig(tmp_path / "cities", study=study.in_exact_mode() if exact else study) as rig:
        answers, agreement = rig.approved()
        for _ in range(16):
            names = ("carry", *random.choices([*AT_GATES, *mostly], k=23))
            post = replace(rig.present.post, link=AtGates(rig.present.link, Tricks(random, seen), names))
            before = {city: drawn(gate, rig.now) for city, gate in rig.gates.items()}
            with monkeypatch.context() as patch:
                vectors = caught(patch)
                try:
                    opened = rounds.summed(post, agreement, answers, {}).opened
                    assert np.array_equal(opened.total, sum(vectors[city] for city in opened.survivors))
                    ended.append("sum")
                except (IncompleteError, Refusal) as stopped:
                    ended.append(stopped.code)
            after = {city: drawn(gate, rig.now) for city, gate in rig.gates.items()}
            assert {city: after[city] - before[city] for city in FOUR} == {
                city: int(at in vectors) for at, city in enumerate(FOUR, 1)
            }
            rig.present.post.number = post.number
    assert 1 < ended.count("sum") < len(ended) - 1, ended


def drawn(gate: Any, now: int) -> int:
    """Vectors that this city has written down."""
    return sum(len(each.rounds) for each in gate.ledger.view(now).reservations)
