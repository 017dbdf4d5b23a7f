"""Who may open a conversation next: so many go on at once, fair by study, and of one study the one that waits longest."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Waiting:
    """A run that is ready. `study`: of which there may be several runs; `since`: when it became ready, in order."""

    study: str
    since: int


def following(waiting: Sequence[Waiting], running: Sequence[str], most: int) -> Waiting | None:
    """The one whose turn it is: of the studies with the fewest conversations, the oldest. None while `most` go on, or nobody waits."""
    if not waiting or len(running) >= most:
        return None
    busy = Counter(running)
    return min(waiting, key=lambda each: (busy[each.study], each.since))


@dataclass
class Turns:
    """The turns of one engine. `most`: conversations at once."""

    most: int
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[Waiting] = field(default_factory=list)
    _running: list[str] = field(default_factory=list)
    _counted: int = 0

    def take(self, study: str) -> None:
        """Wait for a turn."""
        with self._changed:
            self._counted += 1
            own = Waiting(study, self._counted)
            self._waiting.append(own)
            self._changed.wait_for(lambda: following(self._waiting, self._running, self.most) is own)
            self._waiting.remove(own)
            self._running.append(study)
            self._changed.notify_all()

    def give(self, study: str) -> None:
        """Somebody else's turn."""
        with self._changed:
            self._running.remove(study)
            self._changed.notify_all()


@dataclass
class Turn:
    """The turn of one run, which it may take and give as often as it likes."""

    turns: Turns
    study: str
    _held: bool = False

    def take(self) -> None:
        if not self._held:
            self.turns.take(self.study)
            self._held = True

    def give(self) -> None:
        if self._held:
            self.turns.give(self.study)
            self._held = False
