"""A federation of real processes on loopback: a SuperLink, a gateway, and for every city a link and a gate, with throw-away keys.

Links trust the gateway's certificate alone and show keys that the SuperLink was told; gates have no network. The processes are those of a
deployment, but for the gate's own: it opens a home of a simulated world, whose officers and clock are simulated too.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.certificates import authority, certificate
from coordinator.exchange import Attended
from coordinator.superlink import HOST, SECRET_BYTES, Gateway, SuperLink, healthy, listens
from node import link
from node.transport import KEY, public, transport
from protocols.entropy import exactly, operating_system
from protocols.errors import ConfigError
from protocols.flower import environment
from simulations.children import Child, all_of, note, until

if TYPE_CHECKING:
    from coordinator.link_flower import FlowerExchange

MOST_CITIES: Final = 12
STARTS_S: Final = 90.0
DAYS: Final = 2  # of a throw-away certificate
RATE: Final = 2000  # requests a second of one address: all cities have this one
IDLE_S: Final = 0.5


@dataclass(frozen=True)
class Place:
    """What the gate process of a city is told. `now`: where a seeded clock starts."""

    folder: Path
    homes: Path | None
    base: Path
    roster: bytes = field(repr=False)
    now: int | None
    seed: int | None
    by_hand: bool

    def write(self, path: Path, socket_: Path) -> None:
        """As a file for the process."""
        told = {
            "folder": str(self.folder.resolve()),
            "homes": self.homes and str(self.homes.resolve()),
            "base": str(self.base.resolve()),
            "roster": self.roster.hex(),
            "now": self.now,
            "seed": self.seed,
            "by_hand": self.by_hand,
            "socket": str(socket_),
        }
        path.write_text(json.dumps(told), encoding="utf-8")


@dataclass(frozen=True)
class Running:
    """A gate process, and where it listens."""

    socket: Path
    child: Child

    def settled(self) -> bool:
        """It listens, or it never will."""
        return self.socket.exists() or self.child.ended


@dataclass(frozen=True)
class Federation:
    """What runs. `exchange` is what a study is asked over; `children` by name: superlink, gateway, and each city's link."""

    superlink: SuperLink
    gateway: Gateway
    keys: dict[str, str]
    children: Mapping[str, Child]
    exchange: "FlowerExchange"


def flower() -> None:
    """Errors: `ConfigError FLOWER_MISSING` where the extra is not installed."""
    from importlib.util import find_spec

    if find_spec("flwr") is None:
        raise ConfigError("FLOWER_MISSING")


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def folder() -> Iterator[Path]:
    """A short path, as sockets need one, that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="hpfed-"))
    note("folder", made)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        note("gone", made)


@contextmanager
def gates(places: Mapping[str, Place]) -> Iterator[dict[str, Running]]:
    """A gate process per city, started. Errors: `ConfigError` FLOWER_MISSING, FLOWER_CITIES."""
    flower()
    if len(places) > MOST_CITIES:
        raise ConfigError("FLOWER_CITIES", most=MOST_CITIES)
    with folder() as run, ExitStack() as stack:
        started: dict[str, Running] = {}
        for name, place in places.items():
            told, socket_ = run / f"{name}.json", run / f"{name}.sock"
            place.write(told, socket_)
            command = [sys.executable, "-m", "simulations.gate_process", str(told)]
            started[name] = Running(socket_, Child(command, own_environment(), run / f"{name}.said", again=False))
        stack.enter_context(all_of([each.child for each in started.values()]))
        yield started


def refused(started: Mapping[str, Running], progress: Callable[[str], None]) -> frozenset[str]:
    """Wait until every gate listens. Those whose books do not open are said on `progress`, and returned."""
    found = set()
    for name, each in started.items():
        if not until(each.settled, STARTS_S) or each.child.ended:
            progress(f"{name}: {last_line(each.child.said)}")
            found.add(name)
    return frozenset(found)


def own_environment() -> dict[str, str]:
    """What every process of ours finds around it, beside what flwr is told."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def last_line(said: Path) -> str:
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "-"


@contextmanager
def links(sockets: Mapping[str, Path]) -> Iterator[Attended]:
    """The exchange over a federation whose gates listen at `sockets`."""
    with federation(sockets) as made:
        yield made.exchange


@contextmanager
def federation(sockets: Mapping[str, Path]) -> Iterator[Federation]:
    """SuperLink, gateway, one link per city, and the exchange over them. Errors: `ConfigError` FLOWER_MISSING, FLOWER_START."""
    flower()
    with folder() as run, ExitStack() as stack:
        superlink, gateway = served(run)
        around = environment(own_environment(), str(run / "flwr"))
        children = {
            "superlink": Child(superlink.command(), around, run / "superlink.said"),
            "gateway": Child(gateway.command(), around, run / "gateway.said"),
        }
        keys: dict[str, str] = {}
        for city, socket_ in sockets.items():
            keys[city], way = _way(run / city, gateway, superlink.ca, socket_)
            children[city] = Child(link.command(way), around, run / f"{city}.said")
        stack.enter_context(all_of(list(children.values())))
        for name, answers in (("superlink", healthy(superlink)), ("gateway", listens(gateway.host, gateway.port))):
            if not until(answers, STARTS_S):
                raise ConfigError("FLOWER_START", name=name, said=last_line(children[name].said))
        from coordinator.link_flower import FlowerExchange, courier_run

        exchange = FlowerExchange(lambda: courier_run(superlink, {city: (key,) for city, key in keys.items()}))
        stack.callback(exchange.close)
        if not until(lambda: exchange.present() == sockets.keys(), STARTS_S):
            absent = sorted(sockets.keys() - exchange.present())
            raise ConfigError("FLOWER_START", name=", ".join(absent), said=last_line(children[absent[0]].said))
        yield Federation(superlink, gateway, keys, children, exchange)


def served(run: Path) -> tuple[SuperLink, Gateway]:
    """A throw-away authority and a certificate of it in `run`, and what listens with it."""
    now = int(time.time())  # noqa: TID251 a certificate is for the clocks of this machine
    ca = authority("hpfed, simulated", DAYS, entropy=operating_system, now=now)
    own = certificate((HOST,), ca, DAYS, entropy=operating_system, now=now)
    files = {"ca.pem": ca.certificate, "served.pem": own.certificate, "served.key": own.key}
    for name, content in {**files, "se.secret": exactly(operating_system, SECRET_BYTES)}.items():
        secret(run / name, content)
    shown = (run / "served.pem", run / "served.key")
    superlink = SuperLink(free_port(), run / "ca.pem", *shown, run / "se.secret")
    most = 16 * MOST_CITIES
    counted = str(run / "counted.json")
    return superlink, Gateway(HOST, free_port(), *shown, superlink.address, superlink.ca, RATE, most, counted=counted)


def _way(own: Path, gateway: Gateway, ca: Path, socket_: Path) -> tuple[str, Path]:
    """A city's transport key as the SuperLink is told it, and the file that its link reads."""
    key = public(transport(own, operating_system))
    address = f"{gateway.host}:{gateway.port}"
    way = link.Way(address, str(ca), str(own / KEY), str(socket_), str(own / "node"), idle_s=IDLE_S)
    way.write(own / "link.json")
    return key, own / "link.json"


def secret(path: Path, content: bytes) -> None:
    """A new file that only this user reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
