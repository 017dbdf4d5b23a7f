"""What the gate did, line after line, in a file that only grows; every line is chained to all before it.

    {"body":{...},"hash":"<64 hex>","salt":"<64 hex>"}
    hash = SHA-256("hpfed-audit/1" || hash of the line before (32 zero bytes at first) || line number (u64) || salt || bytes of the body)

Salts are fresh and never leave the city, so a hash that does leave cannot be tried out against candidate contents. A body holds codes,
names of the protocol and digests; never a row, a count, a path or a text from elsewhere. A ledger's heads are written here after each of
its commits: this is the second place that a rolled-back ledger is compared with, and, as a line about a reservation says what it holds, the
one from which a ledger that is restored on purpose learns what it lost.

A line is on disk before `append` returns. One process at a time: the file is locked while it is open.
"""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import Field

from protocols.canonical import canonical
from protocols.entropy import Entropy, exactly
from protocols.errors import Place, Refusal
from protocols.yamltext import Record

LABEL: Final = b"hpfed-audit/1"
NOTHING: Final = bytes(32)  # the hash before the first
SALT: Final = 32
Sha256Name = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Code = Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]{1,60}$")]
Word = Annotated[str, Field(pattern="^[a-z][a-z0-9_ -]{0,60}$")]


class Head(NamedTuple):
    """How long a chain is, and the hash of its last entry."""

    seq: int = 0
    hash: bytes = NOTHING


def link(label: bytes, head: Head, salt: bytes, body: bytes) -> Head:
    """The head after one more entry."""
    seq = head.seq + 1
    return Head(seq, sha256(label + head.hash + seq.to_bytes(8, "big") + salt + body).digest())


class Event(StrEnum):
    """What happened. `ledger`: the ledger has a new head."""

    RECEIVED = "received"
    DROPPED = "dropped"
    DECIDED = "decided"
    REFUSED = "refused"
    ANSWERED = "answered"
    REPEATED = "repeated"
    ENDED = "ended"
    FAILED = "failed"
    TORN = "torn"
    LEDGER = "ledger"
    ROTATED = "rotated"  # the holder key


class Line(Record):
    """One entry. `at`: Unix s. `of`: kind of envelope or of ledger entry. `by`: a rule, or who approved. Most may be empty.

    `asker`, `events`, `sampler`: of a reservation, who asks and what it costs: D1, D2, v20 and times of its blocks; none in mode exact.
    """

    event: Event
    at: Annotated[int, Field(ge=0, lt=2**53)]
    peer: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    of: Word | Literal[""] = ""
    study: Sha256Name | Literal[""] = ""
    run: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    conversation: Hex32 | Literal[""] = ""
    round: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    codes: tuple[Code, ...] = ()
    digest: Sha256Name | Literal[""] = ""
    by: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\[\] -]{0,60}$")], ...] = ()
    ledger_seq: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    ledger_head: Hex64 | Literal[""] = ""
    asker: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")] | Literal[""] = ""
    events: Annotated[str, Field(pattern=r"^([0-9]+(:[0-9]+){3}( |$))*$")] = ""
    sampler: Annotated[str, Field(pattern=r"^[0-9]*$")] = ""


@dataclass(frozen=True)
class Chain:
    """What a whole file says: its head, the last ledger head written in it, and how many bytes of whole lines it has."""

    head: Head
    ledger: Head
    size: int


def verify(path: Path) -> Chain:
    """Check every line, first to last. Errors: `Refusal` AUDIT_BROKEN with the number of the first bad one, LEDGER_UNAVAILABLE."""
    try:
        content = path.read_bytes()
    except OSError:
        raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None
    chain = _whole(content, path)
    if chain.size != len(content):
        raise Refusal("AUDIT_BROKEN", Place(str(path)), entry=chain.head.seq + 1)
    return chain


def lines(path: Path) -> Iterator[Line]:
    """The entries of a file that holds. Errors: as `verify`."""
    verify(path)
    for line in path.read_bytes().splitlines():
        yield Line.model_validate_json(_body(line), strict=True)


class Audit:
    """An open audit file: the one writer of it. Close it, or use it in `with`."""

    def __init__(self, path: Path, file: int, chain: Chain, entropy: Entropy) -> None:
        self._path, self._file, self._entropy = path, file, entropy
        self._head = chain.head
        self.ledger = chain.ledger  # the last head of the ledger that is written here

    @classmethod
    def open(cls, path: Path, *, now: int, entropy: Entropy) -> Self:
        """Open or begin the file; mode 0600, its folder 0700.

        1 nobody else has it open; 2 every line holds; 3 what a crash left of a last line is cut off, and a line says so.
        Errors: `Refusal` LEDGER_LOCKED (1), AUDIT_BROKEN (2), LEDGER_UNAVAILABLE.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # 1
            content = path.read_bytes()
            chain = _whole(content, path)  # 2
            audit = cls(path, file, chain, entropy)
            if chain.size != len(content):
                os.ftruncate(file, chain.size)  # 3
                audit.append(Line(event=Event.TORN, at=now))
        except BlockingIOError:
            os.close(file)
            raise Refusal("LEDGER_LOCKED", Place(str(path))) from None
        except BaseException:
            os.close(file)
            raise
        return audit

    @property
    def head(self) -> Head:
        return self._head

    def append(self, line: Line) -> None:
        """Write one line and wait until it is on disk.

        Errors: `Refusal LEDGER_UNAVAILABLE`; the file is then closed, and what was written of the line is cut off when it is opened again.
        """
        body, salt = canonical(line.model_dump(mode="json", exclude_defaults=True)), exactly(self._entropy, SALT)
        head = link(LABEL, self._head, salt, body)
        written = _line(body, head.hash, salt)
        try:
            if os.write(self._file, written) != len(written):
                raise OSError
            os.fsync(self._file)
        except OSError:
            self.close()
            raise Refusal("LEDGER_UNAVAILABLE", Place(str(self._path))) from None
        self._head = head
        if line.event is Event.LEDGER:
            self.ledger = _ledger_head(line)

    def close(self) -> None:
        """Let others open it. Closing twice is allowed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole(content: bytes, path: Path) -> Chain:
    """All lines that end; what follows the last end is left out of `size`."""
    head, newest, size = Head(), b"", 0
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        body = _body(line)
        try:
            salt = bytes.fromhex(line[-66:-2].decode("ascii"))
        except ValueError:
            salt = b""
        head = link(LABEL, head, salt, body)
        if line + b"\n" != _line(body, head.hash, salt):
            raise Refusal("AUDIT_BROKEN", Place(str(path)), entry=number)
        if b'"event":"ledger"' in body:
            newest = body
        size += len(line) + 1
    ledger = _ledger_head(Line.model_validate_json(newest, strict=True)) if newest else Head()
    return Chain(head, ledger, size)


def _line(body: bytes, hashed: bytes, salt: bytes) -> bytes:
    """Canonical JSON: its keys ascend, and the body is canonical itself."""
    return b'{"body":%s,"hash":"%s","salt":"%s"}\n' % (body, hashed.hex().encode(), salt.hex().encode())


def _body(line: bytes) -> bytes:
    """The body of a line without its end. Hash and salt have fixed lengths, so it is found without reading JSON."""
    return line[len(b'{"body":') : -(len(b',"hash":"') + 64 + len(b'","salt":"') + 64 + len(b'"}'))]


def _ledger_head(line: Line) -> Head:
    return Head(line.ledger_seq or 0, bytes.fromhex(line.ledger_head))
