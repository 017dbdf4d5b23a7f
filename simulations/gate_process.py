"""The gate of one simulated city in a process of its own: `python -m simulations.gate_process FILE`.

Its officers are simulated, as in a world in one process. With a seed its clock follows the messages: a request that was issued in second t
arrives in t + 1, as in a world in one process, so that both give the same bytes.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from node.running import when_left
from node.serve import Answer, listening
from node.watched import remaining, watched
from protocols import messages
from protocols.clock import wall_ms
from protocols.errors import HpfedError
from protocols.logfile import Log, to_stderr
from protocols.roster import self_declared
from simulations import world


def main(arguments: list[str]) -> int:
    """Until SIGTERM, or until who keeps it has gone. Exit status: 3 where the books do not open."""
    told = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    party = world.party_of(Path(told["folder"]))
    roster = self_declared(bytes.fromhex(told["roster"]))
    homes = Path(told["homes"]) if told["homes"] else None
    clock = world.Clock(told["now"])
    opened = world.gate(
        party, roster, homes, Path(told["base"]), clock(), world.source_of(told["seed"]), by_hand=told["by_hand"]
    )
    try:
        with opened as gate, listening(Path(told["socket"])) as served:
            when_left(served.stop)
            answer = gate.answer if clock.virtual is None else following(gate.answer)
            served.answer(watched(answer, Log(wall_ms, to_stderr), time.monotonic), clock, remaining(gate.ledger))
    except HpfedError as fault:
        sys.stderr.write(fault.text("en") + "\n")
        return 3
    return 0


def following(answer: Answer) -> Answer:
    """The gate of a seeded world: it is as late as the message says."""

    def late(content: bytes, now: int) -> bytes | None:
        with suppress(HpfedError):
            now = messages.peek(content).issued + 1
        return answer(content, now)

    return late


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
