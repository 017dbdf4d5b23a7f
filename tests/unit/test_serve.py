"""The socket in front of the gate, and the keys of a link."""

import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from node import transport
from node.link import ACTIVE_S, Pace, Way
from node.serve import QUEUE, Answer, GateAwayError, GateBusyError, ask, listening
from protocols.entropy import seeded
from protocols.errors import ConfigError
from protocols.messages import LARGEST


@contextmanager
def serving(path: Path, answer: Answer) -> Iterator[None]:
    with listening(path) as served:
        thread = threading.Thread(target=served.answer, args=(answer, lambda: 7))
        thread.start()
        try:
            yield
        finally:
            served.stop()
            thread.join()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s", numbered=True) / "g"


def test_a_frame_goes_in_and_its_answer_comes_out_with_the_time_of_the_gate(path: Path) -> None:
    with serving(path, lambda content, now: content + b" at %d" % now if content else None):
        assert ask(path, b"asked", 5) == b"asked at 7"
        assert ask(path, bytes(1 << 20), 5) == bytes(1 << 20) + b" at 7"
        assert ask(path, b"", 5) is None
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


def test_requests_are_answered_one_at_a_time_and_more_than_can_wait_are_told_so(path: Path) -> None:
    go, inside = threading.Event(), threading.Semaphore(1)

    def answer(content: bytes, _now: int) -> bytes:
        assert inside.acquire(blocking=False), "two at once"
        go.wait(10)
        inside.release()
        return content

    found: list[bytes | None] = []

    def asks() -> None:
        try:
            found.append(ask(path, b"x", 20))
        except GateBusyError:
            found.append(None)

    with serving(path, answer):
        threads = [threading.Thread(target=asks) for _ in range(QUEUE + 3)]
        for each in threads:
            each.start()
        end = time.monotonic() + 10
        while None not in found and time.monotonic() < end:
            time.sleep(0.01)
        go.set()
        for each in threads:
            each.join()
    assert 1 <= found.count(None) <= 2
    assert found.count(b"x") + found.count(None) == QUEUE + 3


def test_a_gate_that_is_not_there_or_too_slow_is_away(path: Path) -> None:
    with pytest.raises(GateAwayError):
        ask(path, b"x", 1)
    release = threading.Event()
    with serving(path, lambda content, _now: content if release.wait(5) else None):
        with pytest.raises(GateAwayError):
            ask(path, b"x", 0.1)
        release.set()


def test_whoever_asks_and_then_takes_no_answer_is_not_waited_for_and_the_next_one_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that stands still is hung up on; so is one that never says what it wants."""
    monkeypatch.setattr("node.serve.SENDS_S", 0.2)
    long = bytes(8 << 20)  # more than a socket holds
    with (
        serving(path, lambda _content, _now: long),
        socket.socket(socket.AF_UNIX) as stands,
        socket.socket(socket.AF_UNIX) as silent,
    ):
        stands.connect(str(path))
        stands.sendall((5).to_bytes(4, "big") + b"asked")
        silent.settimeout(10)
        silent.connect(str(path))
        assert ask(path, b"asked", 20) == long
        assert silent.recv(1) == b""


def test_a_frame_that_is_longer_than_an_envelope_may_be_is_hung_up_on(path: Path) -> None:
    with serving(path, lambda content, _now: content), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(path))
        line.sendall((LARGEST + 1).to_bytes(4, "big"))
        assert line.recv(1) == b""


def test_a_socket_is_taken_over_from_the_dead_and_not_from_the_living(path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with serving(path, lambda content, _now: content):
        assert ask(path, b"x", 5) == b"x"
        with pytest.raises(FileExistsError), listening(path):
            pass
        assert ask(path, b"x", 5) == b"x"


def test_a_gate_that_is_to_end_answers_what_is_open_and_no_longer_than_it_may(path: Path) -> None:
    left, began = [3], time.monotonic()
    with listening(path) as served:

        def answer(content: bytes, _now: int) -> bytes:
            left[0] -= 1
            return content

        thread = threading.Thread(target=served.answer, args=(answer, lambda: 7))
        thread.start()
        draining = threading.Thread(target=served.drain, args=(lambda: left[0] > 0, 20.0))
        draining.start()
        while left[0]:
            assert ask(path, b"x", 5) == b"x"
        draining.join(5)
        thread.join(5)
        assert [each.is_alive() for each in (draining, thread)] == [False, False]
    assert time.monotonic() - began < 5
    with listening(path) as served:
        served.drain(lambda: True, 0.2)
        served.answer(lambda content, _now: content, lambda: 7)  # it has ended already


def test_a_transport_key_is_made_once_and_the_roster_lists_its_point(tmp_path: Path) -> None:
    made = transport.transport(tmp_path, seeded("key"))
    again = transport.transport(tmp_path, seeded("another"))
    assert transport.public(made) == transport.public(again)
    assert len(transport.public(made)) == 98
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), bytes.fromhex(transport.public(made)))
    assert point == made.public_key()
    assert stat.S_IMODE((tmp_path / transport.KEY).stat().st_mode) == 0o600
    assert ec.SECP384R1().group_order == transport.ORDER
    (tmp_path / transport.KEY).write_text("no key", encoding="ascii")
    with pytest.raises(ConfigError) as caught:
        transport.transport(tmp_path, seeded("key"))
    assert caught.value.code == "TRANSPORT_KEY"


def test_a_link_asks_often_while_it_answers_then_less_and_less_and_follows_a_hint() -> None:
    pace = Pace(0.2, 5.0).after_answer(100.0, 0.0)
    assert pace.next(100.0 + ACTIVE_S - 1).wait_s == 0.2
    waits = []
    for _ in range(12):
        pace = pace.next(100.0 + ACTIVE_S + 1)
        waits.append(pace.wait_s)
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(0.3)
    assert waits[-1] == 5.0
    hinted = pace.after_answer(200.0, 8.5)
    assert hinted.next(201.0).wait_s == 8.5
    for _ in range(5):
        hinted = hinted.next(200.0 + ACTIVE_S + 1)
        assert 8.5 < hinted.wait_s <= 17.0
    assert hinted.wait_s == 17.0  # of 341 cities: an idle one asks half as often as one that answers


def test_a_way_is_read_as_it_was_written(tmp_path: Path) -> None:
    way = Way("127.0.0.1:1", "ca", "key", "gate", "home/node", idle_s=1.5)
    way.write(tmp_path / "way")
    assert Way.read(tmp_path / "way") == way
    assert way.beside("heard") == Path("home/heard")
