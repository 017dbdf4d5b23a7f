"""Messages over which this gate left a conversation, as they came: what an officer shows to whoever asks why (rule G3 of the protocol).

    <home>/evidence/<64 hex digits>.message      one signed envelope, whole; named by its SHA-256

The audit line of the refusal says the same digest, and the code. Mode 0600, the folder 0700. Nobody but the coordinator can have signed
such a message, and nothing of this city's rows is in it.

At most `MOST` messages and `ROOM` bytes are kept: the oldest goes first, when the next one comes. Lines of the audit file are never
removed, so what is gone is still known by its digest.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from protocols.errors import Place, Refusal

FOLDER: Final = "evidence"
MOST: Final = 1_000
ROOM: Final = 256 << 20  # bytes


def keep(home: Path, content: bytes) -> str:
    """Write a message down, on disk when this returns; its digest. The same one twice is kept once.

    Errors: `Refusal LEDGER_UNAVAILABLE`.
    """
    digest = sha256(content).hexdigest()
    path = _path(home, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make_room(home, len(content))
            part = path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError:
        raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None
    return "sha256:" + digest


def find(home: Path, digest: str) -> Path | None:
    """Where the message of a digest (`sha256:…`) lies; None if it was not kept, or has made room for others."""
    path = _path(home, digest.removeprefix("sha256:"))
    return path if path.is_file() else None


def _path(home: Path, digest: str) -> Path:
    return home / FOLDER / f"{digest}.message"


def _make_room(home: Path, size: int) -> None:
    """The oldest go until one more of `size` bytes fits."""
    held = sorted(_held(home))
    taken = sum(each for _, each, _ in held) + size
    while held and (len(held) >= MOST or taken > ROOM):
        _, freed, path = held.pop(0)
        path.unlink()
        taken -= freed


def _held(home: Path) -> Iterator[tuple[int, int, Path]]:
    """When each was written, and its size."""
    for path in (home / FOLDER).glob("*.message"):
        found = path.stat()
        yield found.st_mtime_ns, found.st_size, path
