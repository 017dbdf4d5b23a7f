"""The coordinator's own driver over the seats of a table: the code that runs in a deployment, without disks or rows at the cities."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from coordinator import rounds
from coordinator.exchange import Failure
from coordinator.log import Log, Opening
from protocols import messages
from protocols.messages import Kind
from protocols.secagg.collector import Question
from tests.conversations.table import Table, identity, nobody, question_of, test_entropy

AHEAD: Final = 10_000  # how much higher the numbers of a process are than those of the one before


@dataclass
class Line:
    """An Exchange to the seats of a table. `sending` is told every kind before a byte goes out; `wire` holds what went, both ways."""

    table: Table
    lost: Callable[[int, Kind, int], bool] = nobody
    sending: Callable[[str], None] = lambda _kind: None
    wire: list[tuple[int, bytes]] = field(default_factory=list)  # sender (0: the coordinator), envelope

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        assert timeout_s > 0
        self.sending(kind)
        self.table.now += 1
        for name, content in requests.items():
            city, header = int(name.removeprefix("city-")), messages.peek(content)
            self.wire.append((0, content))
            out = (
                ()
                if self.lost(city, header.kind, header.round)
                else self.table.cities[city].on(content, self.table.now)
            )
            for _, reply in out:
                self.wire.append((city, reply))
                yield name, reply
            if not out:
                yield name, Failure("unreachable")

    def close(self) -> None:
        """Nothing is open."""

    def sent(self, kind: Kind, sender: int) -> set[bytes]:
        """Every different envelope of a kind from one sender."""
        return {content for who, content in self.wire if who == sender and messages.peek(content).kind is kind}


def post(line: Line, life: int = 0) -> rounds.Post:
    """A coordinator; each `life` of it numbers its messages above those of the lives before."""
    table = line.table
    return rounds.Post(
        identity(0), table.roster, line, lambda: table.now, test_entropy(0, b"line"), number=AHEAD * (life + 1)
    )


def begun(line: Line, log: Log | None = None) -> rounds.Conversation:
    plan = line.table.plan
    return rounds.Conversation.begin(post(line), plan, question_of(plan), {}, log=log)


def resumed(line: Line, log: Log, life: int = 1) -> rounds.Conversation:
    assert isinstance(log.opening, Opening)
    return rounds.Conversation.resume(post(line, life), log, log.opening)


def questions(line: Line, rounds_: int, length: int | None = None) -> tuple[Question, ...]:
    return tuple(question_of(line.table.plan, length) for _ in range(rounds_))
