"""A coordinator's host: its home and certificates, what keeps its processes, and what it says where something has to be put right first."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from coordinator import cli as coordinator
from coordinator import engine, home, roster, rounds, store, supervisor
from coordinator.gateway import Served
from coordinator.link_flower import other_version
from coordinator.turns import Turn, Turns, Waiting, following
from protocols.entropy import operating_system, seeded
from protocols.errors import ConfigError, HpfedError
from protocols.roster import DAY
from simulations.children import until
from simulations.federation import free_port
from tests.deployed.test_enrolment import at
from tests.system.test_programs import called

NOW = 1_800_000_000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a coordinator with a signed roster, whose ports are free."""
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    ports = ("--address", f"127.0.0.1:{free_port()}", "--superlink-port", free_port())
    at(coordinator, "init", "--name", "provident", *ports, "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    return tmp_path / "hub"


def refused(*words: object) -> tuple[int, str]:
    """Exit code and error code of a command that must not begin; what it says is one line in each language."""
    done = called(coordinator, *words, "--json")
    error = json.loads(done.stdout.strip().splitlines()[0])["error"]
    assert "\n" not in error["zh"] + error["en"]
    return done.exit_code, error["code"]


# --- home and certificate


def test_init_makes_what_a_gateway_shows_and_cities_will_believe(hub: Path) -> None:
    found, held = home.config(hub), roster.signed(hub).entries
    assert held.gateway == found.addresses == (f"127.0.0.1:{found.gateway.port}",)
    assert held.ca == (hub / home.CA).read_text(encoding="ascii")
    assert (found.gateway.host, home.shown(hub).names) == ("127.0.0.1", ("127.0.0.1",))
    secrets = [path for path in (hub / "tls").iterdir() if path.suffix in (".key", ".secret")]
    assert len(secrets) == 4
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    both = supervisor.Host.of(hub)
    assert both.superlink.address == f"127.0.0.1:{found.superlink.port}"
    assert {"--enable-supernode-auth", "--isolation", "process"} < set(both.command("superlink"))


def test_an_address_that_others_reach_is_listened_for_everywhere_and_its_names_are_in_the_certificate(
    tmp_path: Path,
) -> None:
    ca = home.prepared(tmp_path, ("hpf.example.cn:8443", "10.0.0.7:8443"), 8000, entropy=seeded("x"), now=NOW)
    assert home.config(tmp_path).gateway.host == home.EVERYWHERE
    assert set(home.shown(tmp_path).names) == {"hpf.example.cn", "10.0.0.7"}
    again = home.prepared(tmp_path, ("other.example.cn:9443",), 9000, entropy=seeded("y"), now=NOW)
    assert again == ca  # cities need nothing new to believe the next certificate
    assert (home.config(tmp_path).gateway.port, home.config(tmp_path).superlink.port) == (9443, 8000)


@pytest.mark.parametrize("text", ["hpf.example.cn", ":8443", "host:0", "host:65536", "ho st:1", "host:x"])
def test_what_is_no_address_is_refused_before_anything_is_made(text: str, tmp_path: Path) -> None:
    assert refused("init", "--name", "provident", "--address", text, "--home", tmp_path / "hub") == (2, "ADDRESS")
    assert not (tmp_path / "hub").exists()


def test_a_renewed_certificate_is_read_without_a_restart_and_one_that_does_not_fit_changes_nothing(
    hub: Path,
) -> None:
    tls = hub / "tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = {"ssl_certfile": tls / "gateway.pem", "ssl_keyfile": tls / "gateway.key"}
    context.load_cert_chain(files["ssl_certfile"], files["ssl_keyfile"])
    shown: Any = SimpleNamespace(config=SimpleNamespace(ssl=context, **files))
    before = served_by(context, hub)
    at(coordinator, "certificate", "renew", "--home", "hub")
    assert served_by(context, hub) == before
    Served.reread(shown)
    fresh = served_by(context, hub)
    assert fresh != before
    (tls / "gateway.key").write_bytes((tls / "local.key").read_bytes())
    Served.reread(shown)
    assert served_by(context, hub) == fresh


def served_by(server: ssl.SSLContext, hub: Path) -> bytes | None:
    """The certificate that a client sees and believes."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(hub / home.CA)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].getpeercert(binary_form=True)


# --- what has to be put right first


def test_each_thing_that_keeps_a_host_from_starting_is_one_line_that_says_what_to_do(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = ("start", "--home", "hub")
    found = home.config(hub)
    for taken in (found.gateway.port, found.superlink.port):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", taken))
            busy.listen()
            assert refused(*begin) == (2, "PORT_TAKEN")
    assert refused("start", "--home", "elsewhere") == (2, "HOME_NO_ADDRESS")
    assert refused("status", "--home", "elsewhere") == (2, "HOME_NO_ADDRESS")
    with supervisor.alone(hub), pytest.raises(ConfigError) as twice, supervisor.alone(hub):
        pass
    assert twice.value.code == "HOME_IN_USE"
    monkeypatch.setattr(supervisor, "find_spec", lambda _name: None)
    assert refused(*begin) == (2, "FLOWER_MISSING")
    monkeypatch.undo()
    monkeypatch.chdir(hub.parent)
    monkeypatch.setattr(supervisor, "free_bytes", lambda _home: 5 << 20)
    assert refused(*begin) == (2, "DISK_FULL")
    monkeypatch.undo()
    monkeypatch.chdir(hub.parent)
    text = (hub / home.CONFIG).read_text(encoding="utf-8")
    (hub / home.CONFIG).write_text(text.replace("127.0.0.1:", "hpf.example.cn:", 1), encoding="utf-8")
    assert refused(*begin) == (2, "CERTIFICATE_NAMES")
    home.prepared(hub, found.addresses, 1, entropy=operating_system, now=NOW - 1000 * DAY)
    monkeypatch.setattr("coordinator.deployed.serving.now", lambda: NOW)
    assert refused(*begin) == (2, "CERTIFICATE_EXPIRED")
    (hub / home.CERTIFICATE).write_text("none", encoding="ascii")
    assert refused(*begin) == (2, "CERTIFICATE_UNREADABLE")
    (hub / home.CA).write_text("another", encoding="ascii")
    assert refused(*begin) == (2, "ROSTER_CA")
    (hub / roster.ROSTER).unlink()
    assert refused(*begin) == (2, "ROSTER_UNSIGNED")
    (hub / home.CONFIG).write_text("gateway: {port: 70000}", encoding="utf-8")
    assert refused(*begin)[0] == 2


def test_an_engine_whose_home_is_in_use_or_broken_ends_with_2_and_says_so(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with supervisor.alone(hub, engine.LOCK):
        assert engine.main([str(hub)]) == 2
    (hub / home.CONFIG).unlink()
    assert engine.main([str(hub)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 4
    assert "certificate renew --address" in said


def test_a_superlink_of_another_version_and_a_roster_that_is_over_are_said_by_status(hub: Path) -> None:
    request = httpx.Request("POST", "https://127.0.0.1")
    no = httpx.HTTPStatusError("", request=request, response=httpx.Response(412, request=request))
    assert other_version(no)
    assert not other_version(httpx.ConnectError("away"))
    faults: list[HpfedError | None] = [ConfigError("ENGINE_VERSION", name="127.0.0.1:8000"), None]
    link: Any = SimpleNamespace(present=frozenset)
    clock = [roster.signed(hub).entries.issued]
    made = engine.Engine(hub, link, lambda: clock[0], operating_system, fault=lambda: faults[0])
    made.tell()
    assert supervisor.engine(hub)["fault"]["code"] == "ENGINE_VERSION"
    assert supervisor.running(hub, clock[0] + supervisor.STALE_S)
    assert not supervisor.running(hub, clock[0] + supervisor.STALE_S + 1)
    faults.pop(0)
    clock[0] += roster.VALID_S
    made.tell()
    told = called(coordinator, "status", "--home", hub, "--lang", "en")
    assert (told.exit_code, supervisor.engine(hub)["fault"]["code"]) == (1, "ROSTER_OVER")


# --- what keeps the processes


@dataclass
class Sleepers:
    """A host whose processes only wait."""

    home: Path
    seconds: Mapping[str, int] = field(default_factory=dict)

    def command(self, piece: str) -> list[str]:
        return [
            sys.executable,
            "-ISc",
            f"import time; time.sleep({self.seconds.get(piece, 60)})",
            str(self.home),
            piece,
        ]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        return dict(inherited)

    def answers(self, piece: str, pid: int) -> bool:
        del piece
        return supervisor.alive(pid)


def kept(at_home: Path, meanwhile: Callable[[supervisor.Kept], None], **more: Any) -> supervisor.Kept:
    """Keep sleepers, and stop when `meanwhile` is over."""
    host: Any = Sleepers(at_home)
    made = supervisor.Kept(host, operating_system, **more)

    def acts() -> None:
        try:
            assert until(lambda: len(made.pids) == 3, 20)
            meanwhile(made)
        finally:
            made.stopping = True

    thread = threading.Thread(target=acts)
    thread.start()
    try:
        with supervisor.alone(at_home):
            made.kept()
    finally:
        thread.join()
    return made


def test_a_process_that_is_killed_is_back_and_with_the_supervisor_all_of_them_end(tmp_path: Path) -> None:
    seen: list[int] = []

    def kill(made: supervisor.Kept) -> None:
        before = dict(made.pids)
        os.kill(before["gateway"], signal.SIGKILL)

        def gateway() -> tuple[Any, ...]:
            told = supervisor.read(tmp_path / supervisor.STATE).get("children", {}).get("gateway", {})
            return told.get("state"), told.get("restarts"), told.get("last_exit")

        assert until(lambda: gateway() == ("ok", 1, -signal.SIGKILL), 20), gateway()
        seen.extend([*before.values(), *made.pids.values()])

    kept(tmp_path, kill)
    assert len(set(seen)) == 4
    assert not [pid for pid in seen if supervisor.alive(pid)]
    assert not (tmp_path / supervisor.STATE).exists()


def test_what_a_killed_supervisor_left_is_ended_and_strangers_are_not(tmp_path: Path) -> None:
    host = Sleepers(tmp_path)
    left = subprocess.Popen(host.command("superlink"))  # noqa: S603 our own program
    stranger = subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(60)"])
    try:
        told = {"pid": 1, "children": {"superlink": {"pid": left.pid}, "gateway": {"pid": stranger.pid}, "engine": {}}}
        store.write(tmp_path / home.RUN, {supervisor.STATE.name: json.dumps(told).encode()})
        supervisor.swept(tmp_path)
        assert left.wait(10) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for each in (left, stranger):
            each.kill()
            each.wait()


# --- turns, numbers, hints


def test_turns_are_fair_by_study_and_the_oldest_run_of_one_comes_first() -> None:
    waiting = [Waiting("many", 1), Waiting("many", 2), Waiting("one", 3)]
    assert following(waiting, [], 2) == waiting[0]
    assert following(waiting[1:], ["many"], 2) == waiting[2]
    assert following(waiting, ["x", "y"], 2) is None
    assert following([], [], 2) is None
    turns, order = Turns(1), list[str]()
    first = Turn(turns, "many")
    first.take()
    first.take()  # once is once

    def plays(study: str) -> None:
        own = Turn(turns, study)
        own.take()
        order.append(study)
        own.give()
        own.give()

    threads = [threading.Thread(target=plays, args=(study,)) for study in ("many", "one")]
    for number, each in enumerate(threads):
        each.start()
        assert until(lambda number=number: len(turns._waiting) == number + 1, 10)  # type: ignore[misc]  # a default binds it
    assert order == []
    first.give()
    for each in threads:
        each.join(10)
    assert order == ["many", "one"]


def test_numbers_only_rise_and_a_restart_with_open_conversations_leaves_out_few(tmp_path: Path) -> None:
    def clock() -> int:
        return NOW

    numbers = engine.Numbers(tmp_path, clock)
    first = numbers.following()
    assert first == NOW * 1000
    numbers.back(first)
    assert [numbers.following() for _ in range(40)] == list(range(first, first + 40))
    numbers.back(first)  # others came since: it is lost
    (log := tmp_path / "runs/study/1/about/log").parent.mkdir(parents=True)
    log.touch()
    again = engine.Numbers(tmp_path, lambda: NOW + 3600).following()
    assert first + 40 <= again <= first + 40 + engine.AHEAD
    log.unlink()
    assert engine.Numbers(tmp_path, lambda: NOW + 3600).following() == (NOW + 3600) * 1000
    store.keep_number(tmp_path, 5_000_000_000_000)  # of a study by hand, in the same home
    later = engine.Numbers(tmp_path, clock)
    assert later.following() == 5_000_000_000_000
    by_hand = store.drawn(tmp_path, 1, 6_000_000_000_000)  # while the engine runs
    assert [later.following(), later.following()] == [by_hand + 1, by_hand + 2]
    assert store.drawn(tmp_path, 1, 0) == by_hand + 1 + engine.AHEAD
    assert store.least(tmp_path, NOW) == NOW * 1000
    (tmp_path / store.BY_HAND).mkdir()
    (tmp_path / store.BY_HAND / "open.json").touch()
    assert store.least(tmp_path, NOW) == 0


@pytest.mark.parametrize(("cities", "seconds"), [(3, 0.2), (8, 0.2), (30, 0.75), (341, 8.525), (4000, 60.0)])
def test_links_are_asked_to_poll_as_seldom_as_one_superlink_can_bear(cities: int, seconds: float) -> None:
    held: Any = SimpleNamespace(cities=range(cities), active=lambda _city: True)
    assert rounds.poll_s(held) == pytest.approx(seconds)
