"""Gates of a simulated federation that Flower's own simulation engine runs: each is a process that the first who needs it starts.

Whoever runs client apps hands the messages of one node to any of its workers. The secrets of a round are in a gate's memory and its books
are open once, so a gate is in no worker: every worker reaches it by its socket, and it ends when the worker that started it does.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from node.running import KEPT
from node.serve import GateAwayError, stats

TOLD: Final = "gate.json"  # in each home: what the gate of that city is told
PROGRAM: Final = "simulations.gate_process"
OPENS_S: Final = 60.0
LOOK_S: Final = 0.05
STARTED: dict[Path, "subprocess.Popen[bytes]"] = {}  # by this process: their stdin ends with it


def gate(homes: Path, number: int) -> Path:
    """The socket of the gate of home `number`, in the order of their names; it is started where nothing listens.

    Errors: `GateAwayError` where there is no such home, or its gate does not open.
    """
    told = sorted(homes.glob(f"*/{TOLD}"))
    if not 0 <= number < len(told):
        raise GateAwayError
    path = Path(json.loads(told[number].read_text(encoding="utf-8"))["socket"])
    with told[number].with_suffix(".lock").open("a") as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        if not listens(path):
            _start(told[number], path)
    return path


def _start(told: Path, path: Path) -> None:
    with told.with_suffix(".said").open("ab") as said:
        started = subprocess.Popen(  # noqa: S603 our own program
            [sys.executable, "-m", PROGRAM, str(told)],
            env={**os.environ, KEPT: "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    STARTED[told] = started
    end = time.monotonic() + OPENS_S
    while not listens(path):
        if started.poll() is not None or time.monotonic() > end:
            raise GateAwayError
        time.sleep(LOOK_S)


def listens(path: Path) -> bool:
    """Whether a gate is behind a socket."""
    try:
        stats(path, OPENS_S)
    except GateAwayError:
        return False
    return True


def close() -> None:
    """End every gate that this process started."""
    while STARTED:
        _, started = STARTED.popitem()
        assert started.stdin is not None  # noqa: S101 it was asked for
        started.stdin.close()
        started.wait(OPENS_S)
