"""What a gate process says of itself: a line for every request, and what is left of the budget. Neither looks at rows."""

from collections.abc import Callable

from node.audit import Head
from node.ledger import Ledger
from node.serve import Answer, Remaining
from protocols.logfile import Log
from protocols.logged import Event


def watched(answer: Answer, log: Log, clock: Callable[[], float]) -> Answer:
    """The same answers, each with its line: what was answered, how long it is, how long it took. `clock`: monotonic s."""

    def says(content: bytes, now: int) -> bytes | None:
        began = clock()
        reply = answer(content, now)
        taken = int(1000 * (clock() - began))
        log.say(Event.SILENT if reply is None else Event.ANSWERED, content if reply is None else reply, ms=taken)
        return reply

    return says


def remaining(ledger: Ledger) -> Remaining:
    """What is left of the cap that is used up most, as a part of it. Counted anew for another head or day."""
    known: tuple[Head, int] | None = None
    left = 0.0

    def least(now: int) -> float:
        nonlocal known, left
        at = (ledger.head, now // 86_400)
        if at != known:
            rooms = ledger.view(now).rooms
            left, known = min((each.left / each.cap.room for each in rooms if each.cap.room), default=1.0), at
        return left

    return least
