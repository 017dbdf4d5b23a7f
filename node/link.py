"""What starts a link process, and how long it waits between its steps. Imports no flwr: a supervisor and the command line read it."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

UNAUTHORISED: Final = (
    41  # exit status: the SuperLink does not know the key (any more); a roster says whether that is for good
)
INCOMPATIBLE: Final = 42  # exit status: the SuperLink has another version of Flower
STEPPED: Final = 1.5  # idle waits grow by this factor
IDLE_HINTS: Final = 2.0  # a hint is for a link that answers; an idle one waits at least twice as long
ACTIVE_S: Final = 30.0  # a link that answered so recently asks often


@dataclass(frozen=True)
class Way:
    """Everything a link needs, and all it may read: the fleet address, its authority, the transport key, the gate's socket.

    `node`: a file with the id that the SuperLink knew this link by, so that a killed one is let in at once; beside it `heard` and
    `answered` are touched when the SuperLink was heard, and when an answer was sent. `proxy`: an HTTPS proxy of this city, or empty.
    `answer_s`: how long the gate may take. `at_once`: requests that the gate has from this link. `home`: where its log
    goes, empty for standard error alone. `metrics`: the port of loopback with its figures, 0 for none.

    `supernode`: where a stock SuperNode beside hands out its tasks, and `secret`: the file with which they are claimed; empty where the
    link is our own.
    """

    address: str
    ca: str
    key: str
    gate: str
    node: str
    active_s: float = 0.2
    idle_s: float = 5.0
    proxy: str = ""
    answer_s: float = 7 * 86_400.0
    at_once: int = 2
    home: str = ""
    metrics: int = 0
    supernode: str = ""
    secret: str = ""

    def beside(self, name: str) -> Path:
        """Another file of the link's own folder."""
        return Path(self.node).with_name(name)

    def write(self, path: Path) -> None:
        """As a file for the process; it holds no secret."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Way":
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def command(way: Path) -> list[str]:
    """The command line of a link process."""
    return [sys.executable, "-P", "-m", "node.link_flower", str(way)]


@dataclass(frozen=True)
class Pace:
    """When a link asks next: often while it answers, and less and less often after that, unless the coordinator hints otherwise.

    `hint_s`: of the last request, 0 for none.
    """

    active_s: float
    idle_s: float
    answered: float = -ACTIVE_S
    wait_s: float = 0.0
    hint_s: float = 0.0

    def after_answer(self, now: float, hint_s: float) -> "Pace":
        """`now`: monotonic seconds."""
        return replace(self, answered=now, wait_s=0.0, hint_s=hint_s)

    def next(self, now: float) -> "Pace":
        """The pace after one more question that nothing came of."""
        if now - self.answered < ACTIVE_S:
            return replace(self, wait_s=self.hint_s or self.active_s)
        idle_s = max(self.idle_s, self.hint_s * IDLE_HINTS)
        return replace(self, wait_s=min(idle_s, max(self.wait_s, self.hint_s, self.active_s) * STEPPED))
