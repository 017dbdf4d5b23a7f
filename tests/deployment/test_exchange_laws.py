"""The laws of the exchange, over every implementation."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from coordinator.exchange import Attended, Exchange, Failure, exchange
from coordinator.link_flower import AGAIN_S
from protocols.flower import PART
from protocols.messages import LARGEST
from simulations import world
from tests.deployment.stage import CITIES, Answers, Stage

TIME_S = 30.0


class Carrier(Protocol):
    def answering(self, answer: Answers) -> AbstractContextManager[Attended]: ...


@dataclass(frozen=True)
class Called:
    """What an in-process exchange needs of a gate."""

    said: Answers

    def answer(self, content: bytes, now: int) -> bytes | None:
        return self.said(content, now)


class Calls:
    """The exchange of one process."""

    @contextmanager
    def answering(self, answer: Answers) -> Iterator[Attended]:
        gates: Any = {city: Called(answer) for city in CITIES}
        yield world.InProcess(gates, world.Clock(0))


@pytest.fixture(params=["in-process", "flower"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    made: Carrier = Calls() if request.param == "in-process" else request.getfixturevalue("stage")
    return made


def mirrored(content: bytes, _now: int) -> bytes | None:
    return None if content == b"nothing" else content[::-1]


def test_everyone_asked_comes_back_once_whatever_becomes_of_it(carrier: Carrier) -> None:
    requests = {"east": b"one", "north": b"nothing", "south": bytes(LARGEST + 1), "west": b"four", "nowhere": b"five"}
    with carrier.answering(mirrored) as link:
        came = list(link.each("ping", requests, TIME_S))
    assert sorted(city for city, _ in came) == sorted(requests)
    found = dict(came)
    assert (found["east"], found["west"]) == (b"eno", b"ruof")
    assert (found["north"], found["south"]) == (Failure("invalid_reply"), Failure("oversize"))
    assert found["nowhere"] in (Failure("refused"), Failure("not_enrolled"))
    assert exchange(link, "ping", {}, TIME_S) == {}


def test_bytes_arrive_bit_for_bit_whatever_their_length(carrier: Carrier) -> None:
    lengths = (0, 1, PART - 1, PART, PART + 1, 3 * PART)
    contents = [bytes(range(256)) * (length // 256) + b"\x00\xff" * (length % 256 // 2) for length in lengths]
    contents = [content + bytes(length - len(content)) for length, content in zip(lengths, contents, strict=True)]
    with carrier.answering(mirrored) as link:
        for first in range(0, len(contents), len(CITIES)):
            asked = dict(zip(CITIES, contents[first:], strict=False))
            assert exchange(link, "ping", asked, TIME_S) == {city: content[::-1] for city, content in asked.items()}


def test_eight_calls_at_once_get_their_own_replies(carrier: Carrier) -> None:
    found: dict[int, Mapping[str, Any]] = {}

    def call(link: Exchange, number: int) -> None:
        cities = CITIES[number % 4 :] + CITIES[: number % 2]
        found[number] = exchange(link, "ping", {city: f"{number} {city}".encode() for city in cities}, TIME_S)

    with carrier.answering(mirrored) as link:
        threads = [threading.Thread(target=call, args=(link, number)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(found) == 8
    for number, replies in found.items():
        assert replies == {city: f"{number} {city}".encode()[::-1] for city in replies}
        assert set(replies) == set(CITIES[number % 4 :] + CITIES[: number % 2])


def test_who_is_there_is_known(carrier: Carrier) -> None:
    with carrier.answering(mirrored) as link:
        assert link.present() == set(CITIES)


def test_a_call_ends_in_time_and_what_comes_later_reaches_no_other_call(stage: Stage) -> None:
    """The first call waits too short for its reply; the second gets its own, and not the one of before."""
    slow, asked = threading.Event(), Counter[bytes]()  # by request: what other calls sent may still be on its way

    def answer(content: bytes, _now: int) -> bytes | None:
        if content == b"slow":
            slow.wait(TIME_S)
        asked[content] += 1
        return content + b" %d" % asked[content]

    with stage.answering(answer) as link:
        late = stage.federation.exchange.late
        began = time.monotonic()
        found = exchange(link, "ping", {"east": b"slow", "west": b"quick"}, 4.0)
        assert time.monotonic() - began < 4.0 + 2
        assert (found["east"], found["west"]) == (Failure("timed_out"), b"quick 1")
        slow.set()
        assert exchange(link, "ping", {"east": b"next"}, TIME_S) == {"east": b"next 1"}
        end = time.monotonic() + TIME_S
        while stage.federation.exchange.late == late and time.monotonic() < end:
            time.sleep(0.1)
        assert stage.federation.exchange.late == late + 1


def test_a_request_that_is_sent_again_meanwhile_is_asked_of_the_gate_once(stage: Stage) -> None:
    asked: list[bytes] = []

    def answer(content: bytes, _now: int) -> bytes | None:
        asked.append(content)
        time.sleep(AGAIN_S + 2)
        return content

    with stage.answering(answer) as link:
        assert exchange(link, "ping", {"north": b"long"}, TIME_S) == {"north": b"long"}
    assert asked == [b"long"]


def test_a_city_whose_gate_is_away_is_told_from_one_that_is_silent(stage: Stage) -> None:
    began = time.monotonic()
    assert exchange(stage.exchange, "ping", {"east": b"who"}, 10.0) == {"east": Failure("crashed")}
    assert time.monotonic() - began < 12


@pytest.mark.slow  # 64 MiB each way through one SuperLink
def test_the_largest_envelope_arrives(stage: Stage) -> None:
    content = bytes(LARGEST - 1) + b"!"
    with stage.answering(mirrored) as link:
        assert exchange(link, "ping", {"east": content}, 300.0) == {"east": content[::-1]}
