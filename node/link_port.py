"""The figures and the health of a city's link, on loopback and nowhere else: `/metrics`, `/healthz`, `/readyz`."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from node.serve import GateAwayError, Stats, stats
from protocols.measured import NODE, Figures, replied, serve

HOST: Final = "127.0.0.1"  # there is no setting for another
PORT: Final = 9465
GATE_S: Final = 1.0  # for the gate to say how it is


def figures() -> Figures:
    """Of a link that has not been let in yet."""
    made = Figures(NODE)
    made.put("hpfed_link_up", 0.0)
    return made


def looked(made: Figures, gate: Path) -> dict[str, bool]:
    """Ask the gate how it is, and put it into the figures; what has to hold for this city to answer."""
    found: Stats | None = None
    with suppress(GateAwayError):
        found = stats(gate, GATE_S)
    made.put("hpfed_gate_up", float(found is not None))
    for name in ("hpfed_gate_queue", "hpfed_gate_busy_seconds", "hpfed_budget_remaining_ratio"):
        made.forget(name)
    if found is not None:
        made.put("hpfed_gate_queue", found.queue)
        made.put("hpfed_gate_busy_seconds", found.busy_s)
        if found.budget is not None:
            made.put("hpfed_budget_remaining_ratio", found.budget)
    return {"gate": found is not None, "link": made.value("hpfed_link_up") == 1.0}


@contextmanager
def listening(made: Figures, gate: Path, port: int = PORT) -> Iterator[int]:
    """Serve them until the block is left; gives the port (one that is free, for 0). Errors: `OSError` where it is taken."""

    def answer(request: bytes) -> bytes:
        return replied(request, made, looked(made, gate))

    with socket.create_server((HOST, port)) as bound:
        threading.Thread(target=serve, args=(bound.accept, answer), daemon=True).start()
        try:
            yield bound.getsockname()[1]
        finally:
            with suppress(OSError):
                bound.shutdown(socket.SHUT_RDWR)
