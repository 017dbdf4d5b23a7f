"""A city's host as people start it: `hpfed-node start`, `status`, `doctor`, `stop`, as processes of their own, behind a real gateway."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import roster as books
from coordinator.exchange import exchange
from node import city, ingest, membership, running, transport
from protocols import messages
from protocols.distribution import software
from protocols.enrolment import fingerprint
from protocols.entropy import operating_system
from protocols.messages import Identity, Kind, Matter
from protocols.roster import DAY, Roster
from protocols.signed import public_of
from simulations.children import descendants, until
from tests import gates
from tests.deployment.stage import TIME_S, Stage

CITY: Final = "uptown"
NODE: Final = [sys.executable, "-P", "-m", "node.cli"]

# Which processes the node has started, only /proc tells.
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a process")


def wall() -> int:
    """The time of this machine, which certificates and links go by."""
    return int(Path("/proc/self").stat().st_mtime) if False else int(time.time())


class Hub:
    """A consortium whose gateway is that of the stage, and one city with a home of its own."""

    def __init__(self, stage: Stage, base: Path) -> None:
        self.stage, self.folder, self.home = stage, base / "cities" / CITY, base / "h"
        gates.write(base / "cities", cities=(CITY,))
        gateway = stage.federation.gateway
        now = wall()
        books.begun(base / "hub", "provident", (f"{gateway.host}:{gateway.port}",), now, operating_system)
        here = city.load(self.folder)
        books.add(base / "hub", file := membership.enrolment(here, self.home, operating_system), told(file), now)
        entries = books.following(base / "hub")
        ca = stage.federation.superlink.ca.read_text(encoding="ascii")
        books.written(base / "hub" / books.NEXT, entries.model_copy(update={"ca": ca}).model_dump_json(by_alias=True).encode())
        root = books.key_of(base / "hub" / books.ROOT)
        self.roster: Roster = books.sign(base / "hub", root, now)
        self.me = Identity(0, books.key_of(base / "hub" / books.IDENTITY), software())
        membership.accepted(self.home, [self.roster.file], fingerprint(public_of(root)), now)
        ingest.ingest(self.folder, self.home, operating_system)
        self.seq = 0

    def ping(self) -> Kind | None:
        """What the city says to a greeting of its coordinator, through SuperLink, gateway, link and gate."""
        self.seq += 1
        now = wall()
        sealed = messages.seal(
            messages.Ping(bytes(32)), identity=self.me, to=1, roster=self.roster, matter=Matter(expires=now + DAY), seq=self.seq, now=now
        )
        reply = exchange(self.stage.exchange, "ping", {CITY: sealed}, TIME_S)[CITY]
        return messages.peek(reply).kind if isinstance(reply, bytes) else None

    def words(self, *words: str) -> list[str]:
        return [*NODE, *words, "--folder", str(self.folder), "--home", str(self.home), "--lang", "en"]

    def said(self, *words: str) -> tuple[int, Any]:
        """Exit status and data of a command."""
        ran = subprocess.run([*self.words(*words), "--json"], capture_output=True, text=True, check=False)  # noqa: S603 our own program
        return ran.returncode, json.loads(ran.stdout)


def told(file: bytes) -> str:
    from protocols.enrolment import read_enrolment

    return read_enrolment(file).fingerprint


@pytest.fixture
def hub(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub(stage, tmp_path_factory.mktemp("c"))
    keys = stage.federation.keys
    keys[CITY] = transport.public(transport.read(made.home / transport.KEY))
    stage.exchange.renew()
    try:
        yield made
    finally:
        del keys[CITY]
        stage.exchange.renew()


def test_a_node_runs_is_looked_at_survives_what_is_killed_and_stops(hub: Hub) -> None:
    began = time.monotonic()
    node = subprocess.Popen(hub.words("start"), stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    line = node.stdout.readline()
    print("up", time.monotonic() - began, line)
    print(hub.ping(), time.monotonic() - began)
    print(hub.said("status"))
    print(json.dumps(hub.said("doctor"), indent=1, ensure_ascii=False))
    began = time.monotonic()
    kids = descendants(node.pid)
    print(kids)
    os.kill(node.pid, signal.SIGKILL)
    node.wait()
    node2 = subprocess.Popen(hub.words("start"), stdout=subprocess.PIPE, text=True)
    print(hub.ping(), time.monotonic() - began)
    print(hub.said("status"))
    print(hub.said("stop"), time.monotonic() - began, node2.wait(10))
