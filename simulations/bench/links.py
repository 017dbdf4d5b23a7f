"""One SuperLink with as many cities as there are: 341 links, and one exchange of 1 KiB with all of them.

The links are threads of this process and speak to the SuperLink as those of a deployment do, with a key each, at the pace that so many are
told; one gate sends back what it gets. Seconds are held against the model of the design, answers against the cities. What threads of one
process take from each other counts.
"""

import importlib.util
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from coordinator.exchange import Failure, exchange
from coordinator.superlink import healthy
from node.link import Way
from node.serve import listening
from node.transport import KEY, public, transport
from protocols.entropy import operating_system
from protocols.errors import ConfigError
from protocols.flower import environment
from protocols.logfile import silent
from simulations import federation
from simulations.bench import Line, line
from simulations.bench.exchanging import resident
from simulations.children import Child, all_of, until

CITIES: Final = 341
PAYLOAD: Final = bytes(1024)
MODEL_S: Final = (
    35 / 341
)  # a city: twelve requests of 5.3 ms each at the SuperLink, and the pace that keeps it from being busy
THERE_S: Final = 240.0
TIME_S: Final = 300.0


def lines(quick: bool = False) -> Iterator[Line]:
    """Seconds, less being better, and answers. Without the extra `flower` there is nothing to measure."""
    if importlib.util.find_spec("flwr") is None:
        return
    from coordinator.link_flower import FlowerExchange, courier_run
    from node.link_flower import carry

    count, stopped = 8 if quick else CITIES, threading.Event()
    names = [f"c{number:03}" for number in range(count)]
    with federation.folder() as run, ExitStack() as stack:
        superlink, _ = federation.served(run)
        child = Child(superlink.command(), environment(federation.own_environment(), str(run / "flwr")), run / "said")
        stack.enter_context(all_of([child]))
        if not until(healthy(superlink), federation.STARTS_S):
            raise ConfigError("FLOWER_START", name="superlink", said=federation.last_line(child.said))
        keys = {name: (public(transport(run / name, operating_system)),) for name in names}
        link = FlowerExchange(lambda: courier_run(superlink, keys))
        stack.callback(link.close)
        served = stack.enter_context(listening(run / "gate.sock"))
        answers = threading.Thread(target=served.answer, args=(lambda content, _now: content, lambda: 0), daemon=True)
        answers.start()
        until(lambda: link.runs > 0, THERE_S)
        ways = [_way(run, name, superlink.address, superlink.ca, count) for name in names]
        links = [threading.Thread(target=carry, args=(way, stopped, silent()), daemon=True) for way in ways]
        for each in links:
            each.start()
        began = time.perf_counter()
        while len(link.present()) < count and time.perf_counter() < began + THERE_S:
            time.sleep(1.0)
        there_s, began = time.perf_counter() - began, time.perf_counter()
        found = exchange(link, "ping", dict.fromkeys(names, PAYLOAD), TIME_S)
        took = time.perf_counter() - began
        stopped.set()
        answered = sum(each == PAYLOAD for each in found.values())
        said = Counter(each.reason for each in found.values() if isinstance(each, Failure))
        failures = ", ".join(f"{reason} {times}" for reason, times in sorted(said.items()))
        note = f"all of them there after {there_s:.0f} s; superlink {resident(child.pid):.0f} MiB"
        model = max(1.0, MODEL_S * count)
        yield line(f"links, {count} cities, 1 KiB", "s", took, model, "the model", 1.5, "less", note)
        yield line(f"links, {count} cities, answers", "cities", answered, count, "all of them", 1, "more", failures)
        for each in links:
            each.join(federation.STARTS_S)


def _way(run: Path, name: str, address: str, ca: Path, count: int) -> Way:
    """At the pace that a coordinator of so many cities asks for."""
    own = run / name
    return Way(
        address=address,
        ca=str(ca),
        key=str(own / KEY),
        gate=str(run / "gate.sock"),
        node=str(own / "node"),
        active_s=max(0.2, count / 40),
        idle_s=max(5.0, count / 20),
    )
