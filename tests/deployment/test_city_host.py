"""A city's host as people start it: `hpfed-node start`, `status`, `doctor`, `stop`, as processes of their own, behind a real gateway."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import roster as books
from coordinator.certificates import authority
from coordinator.exchange import exchange
from node import city, ingest, membership, running, transport
from node import cli as node_cli
from node.held import keep_roster
from protocols import messages
from protocols.distribution import software
from protocols.enrolment import fingerprint, read_enrolment
from protocols.entropy import operating_system
from protocols.messages import Identity, Kind, Matter
from protocols.roster import DAY, Entries, Roster
from protocols.signed import public_of
from simulations.children import descendants, until
from tests import gates
from tests.deployment.stage import TIME_S, Stage, peers
from tests.docs.console import first_line
from tests.system.test_programs import called

CITY: Final = "uptown"
BACK_S: Final = 40.0  # on a busy machine; a SuperLink that was not told goodbye believes a killed node online for 60 s
NETWORK: Final = (
    "_ssl.",
    "/flwr/",
    "/grpc/",
    "_httptools",
    "uvloop",
)  # what a network client brings into a process on Linux
NODE: Final = [sys.executable, "-P", "-m", "node.cli"]

# Which processes the node has started, only /proc tells.
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a process")


def wall() -> int:
    """The time of this machine, which certificates and links go by."""
    return int(time.time())  # noqa: TID251 the processes of this test read it too


class Hub:
    """A consortium whose gateway is that of the stage, and one city with a home of its own."""

    def __init__(self, stage: Stage, base: Path) -> None:
        self.stage, self.folder, self.home = stage, base / "cities" / CITY, base / "h"
        gates.write(base / "cities", cities=(CITY,))
        gateway = stage.federation.gateway
        now = wall()
        books.begun(base / "hub", "provident", (f"{gateway.host}:{gateway.port}",), now, operating_system)
        here = city.load(self.folder)
        books.add(
            base / "hub",
            file := membership.enrolment(here, self.home, operating_system),
            read_enrolment(file).fingerprint,
            now,
        )
        entries = books.following(base / "hub")
        ca = stage.federation.superlink.ca.read_text(encoding="ascii")
        fresh = entries.model_copy(update={"ca": ca}).model_dump_json(by_alias=True)
        books.written(base / "hub" / books.NEXT, fresh.encode())
        root = books.key_of(base / "hub" / books.ROOT)
        self.roster: Roster = books.sign(base / "hub", root, now)
        self.me = Identity(0, books.key_of(base / "hub" / books.IDENTITY), software())
        membership.accepted(self.home, [self.roster.file], fingerprint(public_of(root)), now)
        ingest.ingest(self.folder, self.home, operating_system)
        self.base, self.seq, self.first, self.nodes = base, 0, "", list[subprocess.Popen[str]]()

    @property
    def address(self) -> str:
        return self.roster.entries.gateway[0]

    def accept(self, **changes: Any) -> None:
        """A roster that says something else, and that this city has accepted."""
        entries = books.following(self.base / "hub")
        fresh = Entries.model_validate({**entries.model_dump(by_alias=True), **changes})
        books.written(self.base / "hub" / books.NEXT, fresh.model_dump_json(by_alias=True).encode())
        self.roster = books.sign(self.base / "hub", books.key_of(self.base / "hub" / books.ROOT), wall())
        keep_roster(self.home, self.roster)

    def started(self) -> "subprocess.Popen[str]":
        """The node, once it has said its first line."""
        node = subprocess.Popen(self.words("start"), stdout=subprocess.PIPE, text=True)  # noqa: S603 our own program
        self.nodes.append(node)
        self.first = first_line(node)
        return node

    def children(self) -> dict[str, int]:
        """Process ids by name."""
        found = running.running(self.home) or {}
        return {name: each["pid"] for name, each in found.get("children", {}).items() if each["state"] == "ok"}

    def over(self) -> None:
        for node in self.nodes:
            node.terminate()
            node.communicate(timeout=TIME_S)

    def ping(self) -> Kind | None:
        """What the city says to a greeting of its coordinator, through SuperLink, gateway, link and gate."""
        self.seq += 1
        now = wall()
        sealed = messages.seal(
            messages.Ping(bytes(32)),
            identity=self.me,
            to=1,
            roster=self.roster,
            matter=Matter(expires=now + DAY),
            seq=self.seq,
            now=now,
        )
        reply = exchange(self.stage.exchange, "ping", {CITY: sealed}, TIME_S)[CITY]
        return messages.peek(reply).kind if isinstance(reply, bytes) else None

    def words(self, *words: str) -> list[str]:
        return [*NODE, *words, "--folder", str(self.folder), "--home", str(self.home), "--lang", "en"]

    def said(self, *words: str) -> tuple[int, Any]:
        """Exit status and data of a command."""
        done = called(
            node_cli, *words, "--folder", str(self.folder), "--home", str(self.home), "--lang", "en", "--json"
        )
        return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def hub(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub(stage, tmp_path_factory.mktemp("c"))
    keys = stage.federation.keys
    keys[CITY] = transport.public(transport.read(made.home / transport.KEY))
    stage.federation.exchange.renew()
    try:
        yield made
    finally:
        made.over()
        del keys[CITY]
        stage.federation.exchange.renew()


def test_a_node_runs_and_survives_what_is_killed_and_stops(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one test of the whole: start, a greeting and back, status, doctor, a second start, kill -9 of each process, stop."""
    monkeypatch.setenv("HPFED_LINK_METRICS", "0")  # a port that others may have
    monkeypatch.setattr("node.doctor.command_lines", list)  # other tests run what a city does not
    monkeypatch.setattr("protocols.distribution.altered_dependencies", tuple)  # reads half a gigabyte
    node = hub.started()
    assert hub.first == f"{CITY}  gate ok · link ok · outbound {hub.address}\n"
    assert hub.ping() is Kind.PING
    code, found = hub.said("status")
    assert (code, {name: each["state"] for name, each in found["children"].items()}) == (
        0,
        {"gate": "ok", "link": "ok"},
    )
    assert (found["pid"], found["outbound"], found["heard_s"] < 10) == (node.pid, [hub.address], True)
    code, found = hub.said("doctor")
    levels = {each["name"]: each["level"] for each in found["findings"]}
    # what is used where it was written has no record, and the certificate of this test lasts a day
    assert {name for name, each in levels.items() if each != "ok"} == {"software", "certificate"}
    assert (code, levels["round trip"], levels["clock"]) == (0, "ok", "ok")
    code, found = hub.said("start")
    assert (code, found["error"]["code"]) == (1, "NODE_RUNNING")

    pids = hub.children()
    assert sorted(pids.values()) == sorted(descendants(node.pid))
    assert (peers(pids["gate"]), {port for _, port in peers(pids["link"])}) == (
        set(),
        {hub.stage.federation.gateway.port},
    )
    assert not [each for each in NETWORK if each in Path(f"/proc/{pids['gate']}/maps").read_text(encoding="utf-8")]
    began = time.monotonic()
    os.kill(pids["link"], signal.SIGKILL)
    assert until(lambda: hub.children().get("link") not in (None, pids["link"]), TIME_S)
    assert hub.ping() is Kind.PING
    assert time.monotonic() - began < BACK_S

    began = time.monotonic()
    node.kill()
    again = hub.started()
    assert hub.ping() is Kind.PING
    assert time.monotonic() - began < BACK_S
    assert not [
        pid for pid in pids.values() if Path(f"/proc/{pid}").exists()
    ]  # who kept them has gone, and so have they
    code, found = hub.said("stop")
    assert (code, found["stopped"], again.wait(TIME_S)) == (0, again.pid, 0)
    code, found = hub.said("status")
    assert (code, {name: each["state"] for name, each in found["children"].items()}) == (
        1,
        dict.fromkeys(("gate", "link"), "stopped"),
    )
    assert hub.said("stop") == (0, {"stopped": None})


def test_what_keeps_a_node_from_starting_is_one_line_that_says_what_to_do(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is started by any of these."""
    words = ("start", "--folder", str(hub.folder), "--home", str(hub.home), "--lang", "en")

    def told() -> tuple[int, str, int]:
        done = called(node_cli, *words, "--json")
        return done.exit_code, json.loads(done.stdout)["error"]["code"], len(done.stderr.strip().splitlines())

    monkeypatch.setattr("node.deployed.host.now", lambda: wall() + 417)
    assert told() == (2, "CLOCK_OFF", 1)
    monkeypatch.setattr("node.deployed.host.now", wall)
    hub.accept(ca=authority("another", 2, entropy=operating_system, now=wall()).certificate.decode())
    assert told() == (5, "GATEWAY_CERTIFICATE", 1)
    hub.accept(software=({"version": "9.9", "sha256": "0" * 64},))
    assert told() == (5, "SOFTWARE_UNLISTED", 1)
    books.revoke(hub.base / "hub", CITY, "key stolen", wall())
    hub.accept(software=())
    assert told() == (3, "NODE_REVOKED", 1)


def test_a_home_that_cannot_be_used_is_one_line_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(hub.home / running.LOCK))

    with monkeypatch.context() as patch:
        patch.setattr("node.running.fcntl.flock", full)
        done = called(node_cli, "start", "--folder", hub.folder, "--home", hub.home, "--lang", "en")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr
    long = hub.home.with_name("h" * 100)
    hub.home.rename(long)
    done = called(node_cli, "start", "--folder", hub.folder, "--home", long, "--lang", "zh")
    long.rename(hub.home)
    assert (done.exit_code, done.stderr.count("\n"), "--home /srv/hpfed" in done.stderr) == (2, 1, True)
