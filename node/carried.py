"""Requests that were carried here in files, and the gate's replies to them."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from node.serve import GateAwayError, GateBusyError
from protocols.errors import ConfigError, PeerError, Place
from protocols.files import ENDING, file_name
from protocols.messages import LARGEST, Header, Kind, peek

PATIENCE_S: Final = 3600.0  # the gate reads its rows in the meantime


@dataclass(frozen=True)
class Carried:
    """Names of files, by what became of them. `others`: no envelope, or none that was opened."""

    answered: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def answered(asked: Path, replies: Path, city: str, ask: Callable[[bytes], bytes | None]) -> Carried:
    """Ask the gate about every envelope of a folder, in the order in which they were sealed, and write its replies.

    A study that an officer has to decide gets no file yet. A reply that lies there already is not asked for again. Errors: `ConfigError
    GATE_AWAY`.
    """
    found: dict[str, list[str]] = {name: [] for name in ("answered", "waiting", "silent", "before", "others")}
    read: list[tuple[Header, str, bytes]] = []
    for path in sorted(asked.iterdir()):
        if path.is_symlink() or not path.is_file() or path.suffix != ENDING or path.stat().st_size > LARGEST:
            found["others"].append(path.name)
            continue
        try:
            read.append((peek(content := path.read_bytes()), path.name, content))
        except PeerError:
            found["others"].append(path.name)
    for _, name, content in sorted(read, key=lambda each: (each[0].seq, each[1])):
        there = [path for path in replies.glob(f"*-{city}{ENDING}") if _answers(path) == sha256(content).hexdigest()]
        if there:
            found["before"].append(name)
            continue
        try:
            reply = ask(content)
        except (GateAwayError, GateBusyError):
            raise ConfigError("GATE_AWAY", Place(name)) from None
        if reply is None:
            found["silent"].append(name)
        elif peek(reply).kind is Kind.PENDING:
            found["waiting"].append(name)
        else:
            _write(replies, file_name(reply, city), reply)
            found["answered"].append(name)
    return Carried(**{each: tuple(names) for each, names in found.items()})


def _answers(path: Path) -> str:
    try:
        return peek(path.read_bytes()).in_reply_to or ""
    except PeerError:
        return ""


def _write(folder: Path, name: str, content: bytes) -> None:
    """Whole or not at all; a medium that people carry has no modes."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.part"
    part.write_bytes(content)
    part.rename(folder / name)
