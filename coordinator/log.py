"""What happened in a conversation, on disk before it is acted on, so that a coordinator that dies goes on where it was.

    u32 length | u32 CRC-32 of it | content | SHA-256(hash before || content)          one record; hashes begin at 32 zero bytes

The first record is the `Opening`, every other an `Event`: a reply that was taken, "wait over", the next question, the end, a newer roster;
each with the stamp that it was judged with. The state machine is pure and signatures are deterministic, so replaying the events gives the
same state and the same bytes to send again. The log holds no secret of a city, only what the coordinator has seen.

A crash in the middle of a write leaves a record without its end: it was not acted on, and is cut off. Anything else that does not fit is
damage, and the conversation is not gone on with.
"""

import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

from protocols.errors import ConfigError, PeerError, Place
from protocols.messages import LARGEST, U8, U32, U64, Body, Digest, Kept, Rest, Sized, imprint, u32
from protocols.secagg.collector import Question

HEAD: Final = 8  # bytes before the content
NOTHING: Final = bytes(32)
LONGEST: Final = LARGEST + (1 << 20)  # bytes of a content: an envelope and what stands around it


class What(IntEnum):
    """What an event is."""

    REPLY = 1
    WAIT_OVER = 2
    ASK = 3
    CLOSE = 4
    ROSTER = 5


@dataclass(frozen=True)
class Opening(Body):
    """All that `collector.start` was given, but the coordinator's own key, and what cities said before."""

    now: U64
    number: U64  # of the first messages
    roster: Sized  # the signed file
    plan: Sized
    length: U32
    layout: Digest
    question: Sized
    acks: Kept
    approvals: Kept  # the signed files
    missing: Sized  # canonical JSON: who was missing before it, and why


@dataclass(frozen=True)
class Event(Body):
    """`content`: the envelope of a reply, the question of an ask, or the signed file of a roster."""

    what: U8
    now: U64
    number: U64
    content: Rest


@dataclass(frozen=True)
class Asking(Body):
    """The content of an ask."""

    length: U32
    layout: Digest
    question: Rest

    @property
    def asks(self) -> Question:
        return Question(self.length, self.layout, bytes(self.question))


class Log:
    """An open log. `path`: None keeps it in memory, for conversations that nobody goes on with.

    Errors: `PeerError LOG_DAMAGED`; `ConfigError LOG_IN_USE` where another process has it open.
    """

    def __init__(self, path: Path | None = None, written: Callable[[], None] = lambda: None) -> None:
        self.path, self._written = path, written
        self._last, self._where = NOTHING, dict[bytes, tuple[int, int]]()
        self._file: BinaryIO = io.BytesIO() if path is None else _opened(path)
        self.opening: Opening | None = None
        self.events = 0
        try:
            for content, at in self._records():
                self._index(content, at)
        except BaseException:
            self.close()
            raise

    def open(self, opening: Opening) -> None:
        """The first record."""
        self._append(opening.encode())

    def append(self, event: Event) -> None:
        """One more event, on disk when this returns."""
        self._append(event.encode())

    def replay(self) -> Iterator[Event]:
        """Every event, as it was written."""
        records = self._records()
        next(records, None)
        for content, _ in records:
            yield Event.decode(content, LONGEST)

    def recall(self, digest: bytes) -> bytes:
        """A reply by the imprint of its envelope. Errors: `KeyError` if it was not taken."""
        at, size = self._where[digest]
        self._file.seek(at)
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    def remove(self, evidence: Iterable[bytes] = ()) -> None:
        """The conversation is over, and all that matters of it is kept elsewhere.

        `evidence`: imprints of envelopes that convict a city; they stay, each as `<its SHA-256>.message` where the log was.
        """
        kept = [self.recall(imprint) for imprint in evidence]
        self.close()
        if self.path is not None:
            for content in kept:
                path = self.path.with_name(f"{sha256(content).hexdigest()}.message")
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            self.path.unlink()
            if not kept:
                self.path.parent.rmdir()

    def _append(self, content: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        at, length = self._file.tell() + HEAD, u32(len(content))
        self._last = sha256(self._last + content).digest()
        self._file.write(b"".join((length, u32(crc32(length)), content, self._last)))
        self._file.flush()
        if self.path is not None:
            os.fsync(self._file.fileno())
        self._index(content, at)
        self._written()

    def _index(self, content: bytes, at: int) -> None:
        """Remember what a record is about, and where its envelope stands."""
        if self.opening is None:
            self.opening = Opening.decode(content, LONGEST)
            return
        event = Event.decode(content, LONGEST)
        self.events += 1
        if event.what == What.REPLY:
            self._where[imprint(event.content)] = (at + len(content) - len(event.content), len(event.content))

    def _records(self) -> Iterator[tuple[bytes, int]]:
        """Every whole record, and where its content begins. What a crash left unfinished at the end is cut off."""
        self._file.seek(0, os.SEEK_END)
        size, at, self._last = self._file.tell(), 0, NOTHING
        while at < size:
            self._file.seek(at)
            head = self._file.read(HEAD)
            length = int.from_bytes(head[:4], "big")
            if len(head) == HEAD and head[4:] != u32(crc32(head[:4])) and not _blank(head + self._file.read()):
                raise PeerError("LOG_DAMAGED", at=Place(str(self.path)), byte=at)
            end = at + HEAD + length + 32
            if end > size or head[4:] != u32(crc32(head[:4])):
                self._file.truncate(at)
                return
            content, hashed = self._file.read(length), self._file.read(32)
            if hashed != sha256(self._last + content).digest():
                raise PeerError("LOG_DAMAGED", at=Place(str(self.path)), byte=at)
            self._last = hashed
            yield content, at + HEAD
            at = end


def _blank(content: bytes) -> bool:
    """Space that the disk gave and the crash left empty."""
    return not any(content)


def _opened(path: Path) -> BinaryIO:
    """The file, this process alone: mode 0600, folders 0700."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError("LOG_IN_USE", Place(str(path))) from None
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return file
