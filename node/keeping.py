"""The node of a home: its gate and its link as children, which are started again when they end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from node.running import HEARD, KEPT, SOCKET, write
from node.serve import DRAIN_S, GateAwayError, stats
from protocols.entropy import operating_system
from protocols.logfile import Log, silent
from protocols.logged import Event, status
from protocols.supervision import Child, Supervision, World, keep, value

LOOK_S: Final = 0.5
GRACE_S: Final = DRAIN_S + 15.0
FINAL: Final = frozenset({2, 3, 5})  # of the gate: a broken file, a refusal, a signature that does not hold
GATE: Final = Child("gate", final=FINAL, grace_s=GRACE_S)
LINK: Final = Child("link", needs=("gate",), outlives=("gate",))


@dataclass
class Kept:
    """The children of a home. `commands`: by name. `said`: is told the state whenever it changes; `log`: of every end."""

    home: Path
    commands: Mapping[str, Sequence[str]]
    environment: Mapping[str, str]
    said: Callable[[dict[str, Any]], None]
    log: Log = field(default_factory=silent)
    stopping: threading.Event = field(default_factory=threading.Event)
    ends: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    def run(self) -> Supervision:
        """Until `stopping` is set, or a child is given up."""
        listed = {"gate": GATE, "link": LINK}
        world = World(
            spawn=self._spawn,
            answers=self._answers,
            told=self._told,
            stopping=self.stopping.is_set,
            clock=time.monotonic,
            wait=time.sleep,
            jitter=lambda: int.from_bytes(operating_system(2), "big") / 0x7FFF - 1,
        )
        return keep(Supervision.of(listed[name] for name in self.commands), world)

    def _spawn(self, name: str) -> "subprocess.Popen[bytes]":
        self.before[name] = self._heard()
        return subprocess.Popen(  # noqa: S603 our own programs
            self.commands[name],
            env={**self.environment, KEPT: "1"},
            stdin=subprocess.PIPE,  # it ends when this process does, and so do they
            stdout=sys.stderr,
            start_new_session=True,  # a key pressed at the terminal is not theirs
        )

    def _answers(self, name: str) -> bool:
        if name == "link":
            return self._heard() != self.before[name]
        try:
            stats(self.home / SOCKET, LOOK_S)
        except GateAwayError:
            return False
        return True

    def _heard(self) -> int:
        try:
            return (self.home / HEARD).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _told(self, state: Supervision, pids: Mapping[str, int]) -> None:
        for name, each in state.kept.items():
            if each.ends > self.ends.get(name, 0):
                self.ends[name] = each.ends
                self.log.say(Event.ENDED, code=status(each.status or 0))
        children = value(state, pids, time.monotonic())
        with suppress(OSError):  # a full disk stops no child
            write(self.home, {"pid": os.getpid(), "at": int(time.monotonic()), "children": children})
        self.said(children)
