"""What a home says of the processes that run on it, and that one node runs on it at a time.

run/lock           held by the node as long as it runs, and by nobody else
run/state.json     its process id, and how its children stand: as it last wrote it
run/gate.sock      where the gate listens
transport/heard    touched when the link heard of the coordinator
transport/answered touched when it sent an answer of the gate
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from protocols.errors import Refusal
from protocols.supervision import aged

SOCKET: Final = Path("run") / "gate.sock"
LOCK: Final = Path("run") / "lock"
STATE: Final = Path("run") / "state.json"
HEARD: Final = Path("transport") / "heard"
ANSWERED: Final = Path("transport") / "answered"
SEEN_S: Final = 60  # a link that heard within so long is there
KEPT: Final = "HPFED_KEPT"  # in the environment of a child: its stdin ends when its keeper does


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """The only node of a home, while the block lasts. Errors: `Refusal NODE_RUNNING`."""
    path = home / LOCK
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("NODE_RUNNING", pid=_state(home).get("pid", "-")) from None
        try:
            yield
        finally:
            (home / STATE).unlink(missing_ok=True)


def write(home: Path, state: Mapping[str, Any]) -> None:
    """How the children stand, whole or not at all."""
    part = home / STATE.with_suffix(".part")
    part.write_text(json.dumps(state), encoding="utf-8")
    part.rename(home / STATE)


def running(home: Path) -> dict[str, Any] | None:
    """What the node of a home last wrote; None where none runs."""
    try:
        with (home / LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _state(home)
    except FileNotFoundError:
        pass
    return None


def _state(home: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = dict(json.loads((home / STATE).read_text(encoding="utf-8")))
        return {**found, "children": aged(found.get("children", {}), time.monotonic() - found.get("at", 0))}
    return {}


def touched(path: Path) -> int | None:
    """When a file was last touched (Unix s); None where it never was."""
    with suppress(OSError):
        return int(path.stat().st_mtime)
    return None


def when_left(stop: Callable[[], None]) -> None:
    """Where another process keeps this one, call `stop` when that one has gone, however it ended: it held the other end of stdin."""
    if os.environ.pop(KEPT, None) is None:
        return

    def wait() -> None:
        while os.read(
            0, 1
        ):  # nobody writes anything; not through `sys.stdin`, which an end of the program would wait for
            pass
        stop()

    threading.Thread(target=wait, daemon=True).start()
