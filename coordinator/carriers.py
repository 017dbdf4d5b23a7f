"""One study over several carriers: cities on links, and cities whose files people carry. A round takes as long as its slowest carrier.

An engine waits, so an exchange by files needs no journal here: a request lies in its city's folder until its reply lies in `in/`, and after
a restart the log of the conversation gives the same bytes, and so the same file.
"""

import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.exchange import City, Exchange, Failure
from coordinator.link_files import WAIT_S, Boxes
from protocols.messages import Kind
from protocols.roster import Roster

LOOK_S: Final = 1.0


@dataclass(frozen=True)
class Carried:
    """Files in `place`, carried by people while somebody waits for them. `without`: cities that are given up. `clock`: Unix s."""

    place: Path
    roster: Callable[[], Roster]
    without: Callable[[], Collection[City]]
    clock: Callable[[], int]
    wait: Callable[[float], None]

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies as they are carried here. Whoever waits less than `WAIT_S` waits so long: people carry."""
        until = self.clock() + int(max(timeout_s, WAIT_S))
        left = dict(requests)
        Boxes(self.place, self.roster()).put(left)
        while left:
            held = self.roster()
            boxes = Boxes(self.place, held)
            for city, content in list(boxes.came(left)):
                boxes.clear({city: left.pop(city)})
                yield city, content
            revoked = {city.name for city in held.entries.cities if city.state == "revoked"}
            if kind == Kind.ABORT.value:  # nobody answers it in a way that counts; it stays there to be carried
                lost = set(left)
            else:
                lost = set(left) if self.clock() >= until else left.keys() & {*revoked, *self.without()}
                boxes.clear({city: left[city] for city in lost})
            for city in sorted(lost):
                del left[city]
                yield city, Failure("timed_out")
            if left:
                self.wait(LOOK_S)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Mixed:
    """Some cities over one exchange, all others over another."""

    some: Exchange
    cities: frozenset[City]
    others: Exchange

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies as they arrive, whoever carries them."""
        box: queue.SimpleQueue[tuple[City, bytes | Failure] | BaseException] = queue.SimpleQueue()

        def carries(link: Exchange, asked: Mapping[City, bytes]) -> None:
            try:
                for reply in link.each(kind, asked, timeout_s):
                    box.put(reply)
            except BaseException as fault:  # raised again where the replies are waited for
                box.put(fault)

        for link, here in ((self.some, True), (self.others, False)):
            asked = {city: content for city, content in requests.items() if (city in self.cities) is here}
            if asked:
                threading.Thread(target=carries, args=(link, asked), daemon=True).start()
        for _ in requests:
            came = box.get()
            if isinstance(came, BaseException):
                raise came
            yield came

    def close(self) -> None:
        """Whoever made the two closes them."""
