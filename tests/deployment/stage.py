"""One federation of real processes for a whole run of tests, and whatever gates a test puts behind its links."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.exchange import Attended
from node.serve import listening
from simulations.federation import Federation

CITIES: Final = ("east", "north", "south", "west")
Answers = Callable[[bytes, int], bytes | None]


def now() -> int:
    """What gates of these tests are told."""
    return 0


@dataclass(frozen=True)
class Stage:
    """`sockets`: where each city's link looks for its gate."""

    federation: Federation
    sockets: Mapping[str, Path]

    @property
    def exchange(self) -> Attended:
        return self.federation.exchange

    @contextmanager
    def answering(self, answer: Answers) -> Iterator[Attended]:
        """The exchange, with a function of this process as the gate of every city."""
        with ExitStack() as stack:
            for path in self.sockets.values():
                served = stack.enter_context(listening(path))
                threading.Thread(target=served.answer, args=(answer, now), daemon=True).start()
            yield self.exchange

    @contextmanager
    def links(self, gates: Mapping[str, Path]) -> Iterator[Attended]:
        """The exchange, with gates that listen elsewhere behind its links."""
        for city, path in gates.items():
            self.sockets[city].symlink_to(path)
        try:
            yield self.exchange
        finally:
            for city in gates:
                self.sockets[city].unlink()
