"""The gate in a process of its own, behind a Unix socket: no network, and nothing but envelopes goes through.

A frame is a length (u32, big-endian) and so many bytes. A request is a frame with an envelope, and one frame answers it: the gate's
envelope, or `NOTHING` where nothing may be answered, or `BUSY` where `QUEUE` requests wait already. A connection asks once. The gate takes
one request at a time, in the order they came, in the thread that opened its books.

Whoever may ask may also ask how the gate is (`stats`): the mark `STATS` instead of a length, and `Stats` of fixed size comes back, from
what holds the socket and not from the gate behind it. No envelope is so long: nothing that a coordinator sends becomes this question.

The link process imports this file and not the gate.
"""

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from protocols.errors import ConfigError, Place
from protocols.messages import LARGEST

NOTHING: Final = 0xFFFF_FFFF  # instead of a length
BUSY: Final = 0xFFFF_FFFE
STATS: Final = 0xFFFF_FFFD  # instead of the length of a request
QUEUE: Final = 64
MODE: Final = 0o660  # of the socket: the gate's user and the link's group
LONGEST_PATH: Final = 103 if sys.platform == "darwin" else 107  # bytes of `sun_path`, without the NUL at its end
LOOK_S: Final = 0.1
SENDS_S: Final = 30.0  # for whoever asked to take an answer; others wait behind it
DRAIN_S: Final = 60.0  # an open conversation may be finished so long after the end was asked for
Answer = Callable[[bytes, int], bytes | None]
Remaining = Callable[[int], float | None]
STEPS: Final = 20  # of the budget: 0.05 each
UNKNOWN: Final = 0xFF


class GateAwayError(Exception):
    """No gate answered: it is not there, went away in mid-call, or took too long."""


class GateBusyError(Exception):
    """The gate has as many requests waiting as it takes."""


@dataclass(frozen=True)
class Stats:
    """How a gate is. `queue`: requests that wait. `busy_s`: how long it has been at the present one, 0 for none.

    `budget`: what is left of the cap that is used up most, in steps of 0.05; None where it is not known.
    """

    queue: int
    busy_s: int
    budget: float | None

    def encode(self) -> bytes:
        """`SIZE` bytes, whatever they say."""
        steps = UNKNOWN if self.budget is None else round(min(1.0, max(0.0, self.budget)) * STEPS)
        return self.queue.to_bytes(1, "big") + min(self.busy_s, 0xFFFF).to_bytes(2, "big") + bytes((steps,))

    @classmethod
    def decode(cls, content: bytes) -> "Stats":
        """Errors: `ValueError` for what is none."""
        if len(content) != cls.SIZE or STEPS < content[3] < UNKNOWN:
            raise ValueError
        budget = None if content[3] == UNKNOWN else content[3] / STEPS
        return cls(content[0], int.from_bytes(content[1:3], "big"), budget)

    SIZE: ClassVar[int] = 4


def stats(path: Path, timeout_s: float) -> Stats:
    """How the gate behind a socket is. Errors: `GateAwayError`."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(str(path))
            line.sendall(STATS.to_bytes(4, "big"))
            return Stats.decode(_exactly(line, Stats.SIZE))
    except (OSError, ValueError):
        raise GateAwayError from None


def ask(path: Path, content: bytes, timeout_s: float) -> bytes | None:
    """One request to the gate behind a socket; None where it answers nothing. Errors: `GateAwayError`, `GateBusyError`."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(str(path))
            line.sendall(len(content).to_bytes(4, "big") + content)
            length = int.from_bytes(_exactly(line, 4), "big")
            if length == BUSY:
                raise GateBusyError
            return None if length == NOTHING else _exactly(line, length)
    except OSError:
        raise GateAwayError from None


def _exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes. Errors: `ConnectionError` if the other end closes before."""
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        got = line.recv_into(view[at:])
        if not got:
            raise ConnectionError
        at += got
    return bytes(found)


class Served:
    """A socket that listens, and the requests that wait."""

    def __init__(self, listening: socket.socket, largest: int = LARGEST) -> None:
        self._listening, self._largest = listening, largest
        self._waiting: queue.Queue[tuple[bytes, socket.socket] | None] = queue.Queue(QUEUE)
        self._since: float | None = None  # monotonic s, when the present request was begun
        self._budget: float | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def answer(self, answer: Answer, clock: Callable[[], int], remaining: Remaining = lambda _now: None) -> None:
        """Answer request after request, in this thread, until `stop`. An error of `answer` goes through: the process ends.

        `remaining`: of the budget, as a part of it; asked for in this thread, before the first request and after each.
        """
        self._budget = remaining(clock())
        while (asked := self._waiting.get()) is not None:
            content, line = asked
            self._since = time.monotonic()
            reply = answer(content, clock())
            with (
                line,
                suppress(OSError),
            ):  # who asked has gone, or stands still: the answer is in the books, and the same request gets it again
                line.settimeout(SENDS_S)
                line.sendall(NOTHING.to_bytes(4, "big") if reply is None else len(reply).to_bytes(4, "big") + reply)
            self._budget, self._since = remaining(clock()), None

    def drain(self, open_: Callable[[], bool], seconds: float) -> None:
        """Stop when nothing is open any more, or after so long. From any thread but the one that answers."""
        end = time.monotonic() + seconds
        while open_() and time.monotonic() < end:
            time.sleep(LOOK_S)
        self.stop()

    def stop(self) -> None:
        """Nothing more is taken; what waits is still answered."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._waiting.put(None)

    def stats(self) -> Stats:
        """How it is now."""
        since = self._since
        busy_s = 0 if since is None else int(time.monotonic() - since)
        return Stats(min(self._waiting.qsize(), QUEUE), busy_s, self._budget)

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def _read(self, line: socket.socket) -> None:
        try:
            line.settimeout(SENDS_S)
            size = int.from_bytes(_exactly(line, 4), "big")
            if size == STATS:
                line.sendall(self.stats().encode())
            elif size <= self._largest:
                self._waiting.put_nowait((_exactly(line, size), line))
                return
        except queue.Full:
            with suppress(OSError):
                line.sendall(BUSY.to_bytes(4, "big"))
        except OSError:
            pass
        line.close()


def fitting(path: Path) -> Path:
    """The path of a socket. Errors: `ConfigError SOCKET_PATH` where the operating system takes none so long."""
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ConfigError("SOCKET_PATH", Place(str(path)), length=length, limit=LONGEST_PATH)
    return path


@contextmanager
def listening(path: Path) -> Iterator[Served]:
    """A socket at `path`, which is taken over from a process that died. Errors: `FileExistsError` where something answers there;
    `ConfigError SOCKET_PATH`."""
    fitting(path)
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, suppress(ConnectionRefusedError):
            line.connect(str(path))
            raise FileExistsError(17, "a gate is listening there already", str(path))
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        before = os.umask(0o777 & ~MODE)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        bound.listen()
        served = Served(bound)
        try:
            yield served
        finally:
            served.stop()
            path.unlink(missing_ok=True)
