"""An exchange that says what it carries: a line for every request and every reply, for any way that carries them."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from coordinator.exchange import Attended, City, Failure
from protocols.logfile import Log
from protocols.logged import Event, about


@dataclass(frozen=True)
class Watched:
    """The exchange `link`, and the `log` that hears of it. It changes no byte."""

    link: Attended
    log: Log

    def present(self) -> frozenset[City]:
        return self.link.present()

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        matters = {city: about(content) for city, content in requests.items()}
        began = time.monotonic()
        for city, matter in matters.items():
            self.log.say(Event.ASKED, matter, city=city)
        for city, reply in self.link.each(kind, requests, timeout_s):
            taken, matter = int(1000 * (time.monotonic() - began)), matters[city]
            if isinstance(reply, Failure):
                self.log.say(Event.FAILED, matter, city=city, ms=taken, code=reply.reason)
            else:  # which is not believed yet: its length is all that is said of it
                self.log.say(Event.ANSWERED, replace(matter, bytes=len(reply)), city=city, ms=taken)
            yield city, reply

    def close(self) -> None:
        self.link.close()
