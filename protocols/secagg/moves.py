"""One line of a table of transitions. The tables stand in `member.py` and `collector.py`; `docs/protocol.md` is made from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocols.messages import Kind


@dataclass(frozen=True)
class Move:
    """From each state of `at`, on a message or an event of another name, to `to`, with the messages `sends`.

    `when`: the checks or the condition. `instead`: where it goes if that fails; None: as rules G1 to G4 say. `take`: the step itself,
    where a message makes it.
    """

    at: tuple[type, ...]
    on: Kind | str
    when: str
    to: type
    sends: Kind | None
    instead: tuple[type, ...] = ()
    take: Callable[..., Any] | None = None
