"""The figures and the health of a coordinator, on loopback and nowhere else: `/metrics`, `/healthz`, `/readyz`."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from protocols.measured import COORDINATOR, PATHS, STATUSES, Figures, replied, serve

HOST: Final = "127.0.0.1"  # there is no setting for another
PORT: Final = 9464
COUNTED: Final = Path("run") / "gateway" / "counted.json"  # in the home: what the gateway has answered
EVERY_S: Final = 5.0  # between writings of it
Look = Callable[[Figures], Mapping[str, bool]]


def figures() -> Figures:
    """Of an engine that has asked nothing yet."""
    return Figures(COORDINATOR)


@contextmanager
def listening(made: Figures, look: Look, port: int = PORT) -> Iterator[int]:
    """Serve them until the block is left; gives the port (one that is free, for 0). Errors: `OSError` where it is taken.

    `look`: puts in what is only known when it is looked for, and says what has to hold for a study to be asked.
    """

    def answer(request: bytes) -> bytes:
        return replied(request, made, look(made))

    with socket.create_server((HOST, port)) as bound:
        threading.Thread(target=serve, args=(bound.accept, answer), daemon=True).start()
        try:
            yield bound.getsockname()[1]
        finally:
            with suppress(OSError):
                bound.shutdown(socket.SHUT_RDWR)


# --- what the gateway counts, in a process of its own


class Counted:
    """Requests at the gateway by route and answer; others are `other`. A file holds them, written at most every `EVERY_S`.

    `clock`: monotonic s. A file that cannot be written stops nothing.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock, self._written = path, clock, float("-inf")
        self._counts: Counter[tuple[str, str]] = Counter()

    def __call__(self, raw_path: bytes, status: int) -> None:
        """One more."""
        route = raw_path.removeprefix(b"/v1/fleet/").decode("ascii", "replace")
        known = raw_path.startswith(b"/v1/fleet/") and route in PATHS
        self._counts[route if known else "other", str(status) if str(status) in STATUSES else "other"] += 1
        if self._clock() >= self._written + EVERY_S:
            self.write()

    def write(self) -> None:
        self._written = self._clock()
        part = self._path.with_suffix(".part")
        with suppress(OSError):
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            part.write_text(json.dumps([[*key, times] for key, times in self._counts.items()]), encoding="ascii")
            part.replace(self._path)


def counted(made: Figures, path: Path) -> None:
    """Put what the gateway wrote into the figures. What is no such file is left alone."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        for route, status, times in json.loads(path.read_text(encoding="ascii")):
            made.put("hpfed_gateway_requests_total", float(times), path=route, status=status)
