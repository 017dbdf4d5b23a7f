"""Where lines of a log go: standard error, and a file of the home that is rotated. They take lines and nothing else.

A log that cannot be written stops nothing: the line is lost.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from protocols.errors import HpfedError
from protocols.logged import NOTHING, About, Event, Level, Line, about, line, of_child, of_flower

FOLDER: Final = Path("log")  # in the home
ELSEWHERE: Final = "LOGS_DIRECTORY"  # in the environment: where a service manager wants them instead
FILES: Final = 10  # of one process, with the one that is written
LARGEST: Final = 20_000_000  # bytes of a file
Sink = Callable[[Line], None]


def to_stderr(said: Line) -> None:
    """Whoever started this process reads it: a supervisor, or the journal."""
    with suppress(OSError, ValueError):
        sys.stderr.write(said.text() + "\n")
        sys.stderr.flush()


def folder_of(home: Path) -> Path:
    """Where the files of a home are, unless a service manager says otherwise."""
    told = os.environ.get(ELSEWHERE)
    return Path(told.split(":")[0]) if told else home / FOLDER


class Rotated:
    """`<process>.jsonl` in a folder, mode 0600: when it is full it becomes `.1`, what was `.1` becomes `.2`, and the last goes.

    One process writes it. `size`: of what is there.
    """

    def __init__(self, folder: Path, process: str, *, largest: int = LARGEST, files: int = FILES) -> None:
        self._path, self._largest, self._files = folder / f"{process}.jsonl", largest, files
        self._file = -1
        self.size = 0

    def __call__(self, said: Line) -> None:
        content = said.text().encode() + b"\n"
        with suppress(OSError):
            if self._file < 0:
                self._open()
            if self.size + len(content) > self._largest and self.size:
                self._rotate()
            self.size += os.write(self._file, content)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{at}") for at in range(1, self._files))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        self._open()


class Log:
    """The log of one process. `clock`: Unix ms. `sinks`: each gets every line, in the order they were said."""

    def __init__(self, clock: Callable[[], int], *sinks: Sink) -> None:
        self._clock, self._sinks, self._lock = clock, sinks, threading.Lock()

    def say(
        self,
        event: Event,
        content: bytes | About | None = None,
        *,
        city: str | None = None,
        ms: int | None = None,
        code: str | None = None,
    ) -> None:
        """One line. `content`: the message that it is about."""
        matter = content if isinstance(content, About) else about(content) if content else NOTHING
        self.keep(line(event, self._clock(), matter, city=city, ms=ms, code=code))

    def fault(self, fault: HpfedError) -> None:
        """An error of the product: its code, and nothing else of it."""
        self.say(Event.FAULT, code=fault.code)

    def flower(self, text: str) -> None:
        """One line of Flower's."""
        self.keep(of_flower(text, self._clock(), "info"))

    def keep(self, said: Line) -> None:
        """A line that was made elsewhere."""
        with self._lock:
            for sink in self._sinks:
                sink(said)

    def capture(self, lines: Iterable[bytes]) -> None:
        """What a child writes to its standard error, line by line until it ends: its messages are dropped, levels and codes are kept."""
        level: Level = "warning"
        for each in lines:
            said = of_child(each.decode("utf-8", "replace").rstrip("\n"), self._clock(), level)
            level = said.level
            self.keep(said)


@dataclass(frozen=True)
class Heard:
    """Stands in for the handlers of Flower's logger: what it says becomes lines of our log, which keep its level and a number."""

    log: Log
    level: int = 20  # INFO

    def handle(self, record: Any) -> None:
        """Of one record of `logging`."""
        self.log.flower(f"{record.levelname} {record.getMessage()}")


def uncaught(log: Log) -> Callable[..., None]:
    """For `sys.excepthook`: an error that nobody caught is one line, and its text, which may hold a value, is said nowhere."""
    return lambda *_: log.say(Event.BUG)


def silent() -> Log:
    """A log that nobody reads: of worlds in one process, and of tests."""
    return Log(lambda: 0)


def log_of(home: Path, process: str, clock: Callable[[], int]) -> Log:
    """The log of a process that nobody captures: on standard error, and in its home."""
    return Log(clock, to_stderr, Rotated(folder_of(home), process))
