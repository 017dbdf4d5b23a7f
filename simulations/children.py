"""Processes that this one starts, and ends by their own ids. Nothing that they start outlives the block that holds them.

Should this process be killed, nothing of it could end them: a second one, which only waits for that, does it then, and removes the folders
that were to be gone.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

AFTERWARDS: Final = """import os, shutil, signal, sys
left = {}
for line in sys.stdin:
    what, _, name = line.rstrip("\\n").partition(" ")
    left[name] = what
for name, what in left.items():
    try:
        if what == "child":
            os.kill(int(name), signal.SIGKILL)
        if what == "folder":
            shutil.rmtree(name, ignore_errors=True)
    except ProcessLookupError:
        pass
"""
BACK_S: Final = (0.2, 1.0, 2.0, 4.0, 8.0)  # before a child that ended is started again
GRACE_S: Final = 5.0
_TELLING: Final = threading.Lock()


@dataclass
class Child:
    """A program that is kept running until `stop`. `said`: its stderr, a file; what it prints otherwise is dropped.

    `again`: it is started again whenever it ends. `ends`: how often it has.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    said: Path
    again: bool = True
    ends: int = 0

    def __post_init__(self) -> None:
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._ended: int | None = None
        self._start()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """With what the process before the present one ended."""
        return self._ended

    @property
    def ended(self) -> bool:
        """It ended and is not started again."""
        return self._process.poll() is not None and not self.again

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to this very process."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Ask it to end, and end it if it does not in `GRACE_S`."""
        self.ask_to_stop()
        self.wait_until_stopped()

    def ask_to_stop(self) -> None:
        with self._lock:
            self._stopping.set()
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
                self._process.terminate()

    def wait_until_stopped(self) -> None:
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603 our own programs
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # a key pressed at the terminal is not theirs
            )
        note("child", self._process.pid)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._ended = self._process.wait()
            note("ended", self._process.pid)
            self.ends += 1
            if not self.again or self._stopping.wait(BACK_S[min(self.ends - 1, len(BACK_S) - 1)]):
                return
            with self._lock:
                if not self._stopping.is_set():
                    self._start()


@cache
def _afterwards() -> "subprocess.Popen[str]":
    """The process that waits for the end of this one."""
    waits = subprocess.Popen(  # noqa: S603 our own text
        [sys.executable, "-I", "-S", "-c", AFTERWARDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    atexit.register(waits.communicate)  # it hears of the end, and ends
    return waits


def note(what: Literal["child", "ended", "folder", "gone"], name: object) -> None:
    """Tell it of a process or a folder that is there, or not any more."""
    told = _afterwards().stdin
    assert told is not None  # noqa: S101 it was asked for
    with _TELLING:
        told.write(f"{what} {name}\n")
        told.flush()


@contextmanager
def all_of(children: Sequence[Child]) -> Iterator[None]:
    """End them together."""
    try:
        yield
    finally:
        for each in children:
            each.ask_to_stop()
        for each in children:
            each.wait_until_stopped()


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to hold; whether it did in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def descendants(pid: int) -> list[int]:
    """Every process that it started, and they; where there is no /proc, none is found."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own = [int(each) for each in task.read_text(encoding="ascii").split()]
        except OSError:  # it has ended
            continue
        found += [*own, *(below for each in own for below in descendants(each))]
    return found


def command_of(pid: int) -> bytes:
    """Its command line, words apart by NUL; nothing of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
