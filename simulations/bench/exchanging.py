"""One exchange and a whole study over our links, against Flower as it comes: three nodes, TLS, node authentication, loopback.

Both federations stand at the same time and exchange in turn; a figure is the median of the rounds. The peer's study is as many of its
exchanges as ours makes; that product is computed, and the line says so. Memory of a node is that of all its processes. Processes that wait
for work take a little of each other's time on both sides. Larger federations of ours stand after that, alone, and are held against
three cities.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coordinator.exchange import Attended, Failure, exchange
from node.serve import listening
from protocols import study as studies
from simulations import cities, federation, world
from simulations.bench import Line, line
from simulations.bench.stock import Stock, stock
from simulations.children import command_of, descendants

CITIES: Final = ("chengdu", "chongqing", "suzhou")
ROWS: Final = 500
MORE: Final = (6, 20, 50)
ROUNDS: Final = 5
HOST_MIB: Final = 400.0
PAYLOAD: Final = bytes(64)  # eight int64
TIME_S: Final = 120.0
PEER: Final = "flwr 1.41 as it comes"
STUDY: Final = """study: three-cities
title: {zh: 三市, en: Three cities}
purpose: {zh: 测速, en: a measurement}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
privacy: {mode: dp, epsilon: 1.0, tolerate: {dropouts: 0, colluders: 1}}
questions:
  - {id: product, kind: crosstab, by: [product, sex]}
"""


@dataclass
class Timed:
    """An exchange, and how long its calls took together: what a study spends on its line."""

    link: Attended
    calls: int = 0
    seconds: float = 0.0
    gates_mib: list[float] = field(default_factory=list)

    def present(self) -> frozenset[str]:
        return self.link.present()

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        """Replies as they arrive."""
        self.calls += 1
        if not self.gates_mib:  # they wait for their first request
            self.gates_mib = [resident(pid) for pid in descendants(os.getpid()) if b"gate_process" in command_of(pid)]
        began = time.perf_counter()
        yield from self.link.each(kind, requests, timeout_s)
        self.seconds += time.perf_counter() - began

    def close(self) -> None:
        """The federation closes it."""


def lines(quick: bool = False) -> Iterator[Line]:
    """Seconds and MiB, less being better. Without the extra `flower` there is nothing to measure."""
    if importlib.util.find_spec("flwr") is None:
        return
    with federation.folder() as run, ExitStack() as stack:
        sockets = {city: run / f"{city}.sock" for city in CITIES}
        ours = stack.enter_context(federation.federation(sockets))
        peer = stack.enter_context(stock(len(CITIES)))
        pairs = [(_exchange(ours, sockets), peer.exchange()) for _ in range(1 if quick else ROUNDS)]
        mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        yield line("exchange over flower, 3 cities", "s", mine, theirs, PEER, 1 / 8, "less")
        timed = _study(ours, sockets, run)
        note = f"{timed.calls} exchanges; the peer's figure is so many of its medians, computed"
        yield line("study over flower, 3 cities", "s", timed.seconds, timed.calls * theirs, PEER, 1 / 5, "less", note)
        link = statistics.median(resident(ours.children[city].pid) for city in CITIES)
        most, gate = _most(peer), statistics.median(timed.gates_mib)
        sizes = {name: resident(ours.children[name].pid) for name in ("superlink", "gateway")}
        sizes["engine"] = _engine()
        host = ", ".join(f"{name} {size:.0f} MiB" for name, size in sizes.items())
        yield line("link over flower, resident", "MiB", link, most, PEER, 0.35, "less")
        yield line("link and idle gate, resident", "MiB", link + gate, most, PEER, 0.7, "less")
        yield line("coordinator side, resident", "MiB", sum(sizes.values()), HOST_MIB, "the limit", 1, "less", host)
    for count in () if quick else MORE:
        yield _more(count, mine)


def _more(count: int, few: float) -> Line:
    """So many cities, held against three."""
    with federation.folder() as run:
        sockets = {f"c{number:02}": run / f"{number}.sock" for number in range(count)}
        with federation.federation(sockets) as ours:
            took = statistics.median(_exchange(ours, sockets) for _ in range(ROUNDS))
            size = resident(ours.children["superlink"].pid)
    note = f"superlink {size:.0f} MiB"
    return line(f"exchange over flower, {count} cities", "s", took, few, "itself, 3 cities", count / 3, "less", note)


def _engine() -> float:
    """MiB of an engine that waits: what it has imported."""
    program = "import coordinator.engine, coordinator.link_flower, sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:  # noqa: S603 our own
        assert engine.stdout is not None  # noqa: S101 it was asked for
        engine.stdout.readline()
        size = resident(engine.pid)
        engine.communicate()
    return size


def _exchange(ours: federation.Federation, sockets: Mapping[str, Path]) -> float:
    """Seconds until every city has sent back what it got."""
    with ExitStack() as stack:
        for path in sockets.values():
            served = stack.enter_context(listening(path))
            threading.Thread(target=served.answer, args=(lambda content, _now: content, lambda: 0), daemon=True).start()
        asked = dict.fromkeys(sockets, PAYLOAD)
        began = time.perf_counter()
        came = exchange(ours.exchange, "ping", asked, TIME_S)
        took = time.perf_counter() - began
    assert came == asked  # noqa: S101 the time of something else is no figure
    return took


def _study(ours: federation.Federation, sockets: Mapping[str, Path], run: Path) -> Timed:
    """A study of small cities over the same links: from the offer to the attestations."""
    timed = Timed(ours.exchange)

    @contextmanager
    def links(gates: Mapping[str, Path]) -> Iterator[Attended]:
        for city, path in gates.items():
            sockets[city].symlink_to(path)
        try:
            yield timed
        finally:
            for city in gates:
                sockets[city].unlink()

    cities.write(run / "cities", CITIES, ROWS)
    (run / "study.yaml").write_text(STUDY, encoding="utf-8")
    world.run(studies.load(run / "study.yaml"), run / "cities", None, seed=None, links=links)
    return timed


def _most(peer: Stock) -> float:
    """MiB of a SuperNode with all that it starts, at most, while it answers."""
    most, done = 0.0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.is_set():
            found = [sum(map(resident, [node.pid, *descendants(node.pid)])) for node in peer.nodes]
            most = max(most, statistics.median(found))
            time.sleep(0.05)

    looks = threading.Thread(target=look)
    looks.start()
    peer.exchange()
    done.set()
    looks.join()
    return most


def resident(pid: int) -> float:
    """MiB of a process now; nothing of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    fields = dict(each.split(":", 1) for each in status.splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024 if "VmRSS" in fields else 0.0
