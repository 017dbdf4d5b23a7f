"""What a city's host looks at before it starts and when the doctor is asked: settings, gateway, clock, software, and what runs already."""

import json
import os
import ssl
import subprocess
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from coordinator.certificates import Certified, authority, certificate
from node import doctor, reach, running, settings, transport
from node.deployed import host
from node.keeping import GATE, Kept
from node.link import INCOMPATIBLE, UNAUTHORISED, Way, command
from node.serve import LONGEST_PATH, fitting, listening
from node.space import room
from protocols.distribution import Installed, altered_dependencies, check, looked_at
from protocols.entropy import seeded
from protocols.errors import ConfigError, HpfedError, PeerError, Refusal
from protocols.flower import environment
from protocols.roster import DAY, City, Entries, Key, Roster, Software
from protocols.supervision import Supervision
from tests.unit.test_desk import key

NOW: Final = int(datetime.now(UTC).timestamp())  # noqa: TID251 TLS goes by the clock of this machine
HOST: Final = "127.0.0.1"
OWN: Final = Software(version="1.0.0", sha256="a" * 64)
OTHER: Final = Software(version="0.9.0", sha256="b" * 64)


# --- settings


def test_a_value_comes_from_the_environment_before_the_file_before_the_default(tmp_path: Path) -> None:
    (tmp_path / settings.FILE).write_text("link:\n  idle_s: 9\n  active_s: 0.5\n", encoding="utf-8")
    around = {"HPFED_LINK_IDLE_S": "12", "HPFED_LINK_PROXY": "http://elsewhere:1", "HTTPS_PROXY": "http://elsewhere:1"}
    found = settings.load(tmp_path, around).link
    assert (found.idle_s, found.active_s, found.at_once, found.proxy) == (12.0, 0.5, 2, "")
    said = {each.key: each.source for each in settings.origins(tmp_path, around)}
    assert said["link.idle_s"] == "HPFED_LINK_IDLE_S"
    assert said["link.active_s"] == f"{tmp_path / settings.FILE}:3"
    assert said["link.proxy"] == said["link.at_once"] == "default"
    assert settings.load(tmp_path / "none", {}) == settings.Settings()


@pytest.mark.parametrize(
    ("text", "around", "place"),
    [
        ("link:\n  idel_s: 9\n", {}, "config.yaml:2: link.idel_s"),
        ("link:\n  at_once: 9\n", {}, "config.yaml:2: link.at_once"),
        ("link:\n  proxy: http://user:secret@proxy:1\n", {}, "config.yaml:2: link.proxy"),
        ("", {"HPFED_LINK_AT_ONCE": "many"}, "HPFED_LINK_AT_ONCE:1: link.at_once"),
    ],
)
def test_a_setting_that_is_none_is_named_with_its_place(
    text: str, around: dict[str, str], place: str, tmp_path: Path
) -> None:
    (tmp_path / settings.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as no:
        settings.load(tmp_path, around)
    assert str(no.value.at).endswith(place)


# --- the gateway, its certificate and its clock


class Answers(BaseHTTPRequestHandler):
    ahead_s = 0

    def do_GET(self) -> None:
        self.send_response_only(404)
        self.send_header("Date", format_datetime(datetime.fromtimestamp(NOW - self.ahead_s, UTC), usegmt=True))
        self.end_headers()

    def do_POST(self) -> None:
        """What flwr 1.41 says to another version of itself."""
        from flwr.supercore.error import ApiErrorCode, FlowerError

        body = FlowerError(ApiErrorCode.RUNTIME_VERSION_INCOMPATIBLE, "").to_json("other")
        content = json.dumps(body).encode()
        self.send_response_only(412)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""


@pytest.fixture(scope="module")
def ca() -> Certified:
    return authority("provident", 30, entropy=seeded("ca"), now=NOW)


@contextmanager
def gateway(folder: Path, shown: Certified) -> Iterator[str]:
    """Something that shows a certificate and answers 404."""
    (folder / "cert").write_bytes(shown.certificate)
    (folder / "key").write_bytes(shown.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    server = HTTPServer((HOST, 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a peer that hangs up is what is tested
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def named(name: str, by: Certified, days: int = 20, now: int = NOW) -> Certified:
    return certificate((name,), by, days, entropy=seeded(name), now=now)


def test_a_gateway_of_the_consortium_tells_its_time_and_how_long_its_certificate_lasts(
    ca: Certified, tmp_path: Path
) -> None:
    with gateway(tmp_path, named(HOST, ca)) as address:
        found = reach.reach_any(["127.0.0.1:1", address], ca.certificate.decode(), "", lambda: NOW)
        assert (found.address, found.ends, found.skew_s) == (address, NOW + 20 * DAY, 0)
        levels = {each.name: each for each in doctor.gateway(roster(address, ca.certificate.decode()), "", lambda: NOW)}
        assert {name: each.level for name, each in levels.items()} == {
            "gateway": "ok",
            "certificate": "warn",
            "clock": "ok",
        }
        with pytest.raises(HpfedError) as away:  # the proxy of the settings is asked, and does not let us through
            reach.reach(address, ca.certificate.decode(), f"http://{HOST}:1", lambda: NOW)
        assert away.value.code == "GATEWAY_AWAY"


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (lambda _ca: named(HOST, authority("other", 30, entropy=seeded("other"), now=NOW)), "issuer"),
        (lambda ca: named("127.0.0.2", ca), "name"),
        (lambda ca: named(HOST, ca, days=1, now=NOW - 3 * DAY), "ended"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_and_the_reason_is_named(
    shown: Callable[[Certified], Certified], why: str, ca: Certified, tmp_path: Path
) -> None:
    with gateway(tmp_path, shown(ca)) as address, pytest.raises(PeerError) as no:
        reach.reach(address, ca.certificate.decode(), "", lambda: NOW)
    assert (no.value.code, no.value.values["why"]) == ("GATEWAY_CERTIFICATE", reach.WHY[why])
    assert reach.WHY[why].zh in no.value.text("zh")


def test_a_link_that_meets_another_version_of_flower_ends_and_its_status_says_so(ca: Certified, tmp_path: Path) -> None:
    transport.transport(tmp_path, seeded("link"))
    (tmp_path / "ca").write_bytes(ca.certificate)
    with gateway(tmp_path, named(HOST, ca)) as address:
        way = Way(address, str(tmp_path / "ca"), str(tmp_path / transport.KEY), "none", str(tmp_path / "node"))
        way.write(tmp_path / "way")
        around = environment(os.environ, str(tmp_path / "flwr"))
        words, quiet = command(tmp_path / "way"), subprocess.DEVNULL
        ended = subprocess.run(words, env=around, stderr=quiet, timeout=60, check=False)  # noqa: S603 our own program
    assert ended.returncode == INCOMPATIBLE


@pytest.mark.parametrize(
    ("status", "code"), [(INCOMPATIBLE, "SUPERLINK_VERSION"), (UNAUTHORISED, "LINK_UNKNOWN"), (1, None), (None, None)]
)
def test_what_a_link_ended_with_is_put_into_words_where_somebody_can_do_something(
    status: int | None, code: str | None
) -> None:
    no = host.why({"state": "restarting", "last_exit": status})
    assert (no and no.code) == code
    assert host.why({"state": "ok", "last_exit": status}) is None
    value = {
        "children": {"gate": {"state": "ok"}, "link": {"state": "restarting", "last_exit": status}},
        "outbound": ["h:1"],
    }
    shown = {INCOMPATIBLE: "flwr", UNAUTHORISED: "401"}.get(status or 0, status)
    assert host.line(value) == f"gate ok · link restarting ({shown}) · outbound h:1"


@pytest.mark.parametrize("address", ["hpf.example.cn", "hpf.example.cn:", ":8443", "h:70000", "h:٣", "h:0"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ConfigError) as no:
        reach.host_port(address)
    assert no.value.code == "GATEWAY_ADDRESS"


@pytest.mark.parametrize(
    ("skew_s", "level"),
    [(0, "ok"), (30, "ok"), (-31, "warn"), (119, "warn"), (120, "warn"), (121, "fail"), (-400, "fail"), (None, "ok")],
)
def test_a_clock_is_warned_about_from_half_a_minute_and_refused_from_two(skew_s: int | None, level: str) -> None:
    assert doctor.time_of(skew_s).level == level


def test_a_clock_that_is_off_is_said_in_both_languages() -> None:
    (ahead, behind) = (reach.clock(each, reach.REFUSE_S) for each in (417, -417))
    assert ahead is not None
    assert behind is not None
    assert ahead.text("en").startswith("clock is 417 s ahead of the coordinator. Set NTP")
    assert ahead.text("zh").startswith("本机时钟快了 417 秒。请校时")
    assert behind.text("zh").startswith("本机时钟慢了 417 秒")
    assert ahead.exit_code == 2


# --- enrolment


def roster(
    address: str = "", ca: str = "", *, now: int = NOW, software: tuple[Software, ...] = (), **city: Any
) -> Roster:
    """A roster with one city, `east`; not signed."""
    own = {
        "id": 1,
        "name": "east",
        "code": "110000",
        "identity": (Key.model_validate({"key": "1" * 64, "from": now - DAY, "until": now + 90 * DAY}),),
        "transport": ("02ab",),
        "since": now,
        **city,
    }
    entries = Entries(
        consortium="provident",
        version=3,
        issued=now,
        valid_until=now + 90 * DAY,
        root=key("root").public_key().public_bytes_raw().hex(),
        gateway=(address,) if address else (),
        ca=ca,
        coordinator=(Key.model_validate({"key": "2" * 64, "from": now - DAY, "until": now + 90 * DAY}),),
        software=software,
        cities=(City(**own),),
    )
    return Roster(entries, b"")


def test_what_keeps_a_city_off_the_roster_is_named() -> None:
    mine = ("east", "1" * 64, "02ab")
    assert doctor.listed(roster("h:1"), *mine, NOW) is None
    gone = doctor.listed(roster("h:1", state="revoked", reason="key stolen"), *mine, NOW)
    found = {
        "stranger": doctor.listed(roster("h:1"), "west", *mine[1:], NOW),
        "identity": doctor.listed(roster("h:1"), "east", "3" * 64, "02ab", NOW),
        "no key": doctor.listed(roster("h:1"), "east", "", "", NOW),
        "transport": doctor.listed(roster("h:1"), *mine[:2], "02cd", NOW),
    }
    assert gone is not None
    assert "key stolen" in gone.text("en")
    assert {name: no and no.code for name, no in found.items()} == {
        "stranger": "ROSTER_STRANGER",
        "identity": "NODE_KEY_UNLISTED",
        "no key": "NODE_KEY_UNLISTED",
        "transport": "NODE_KEY_UNLISTED",
    }
    assert doctor.listed(roster(), *mine[:2], "02cd", NOW) is None  # over files nobody needs one


def test_a_roster_is_warned_about_two_weeks_before_its_end_and_fails_after_it() -> None:
    ends = {
        days: next(doctor.enrolment(roster(now=NOW - days * DAY), "east", "1" * 64, "", NOW)) for days in (75, 77, 90)
    }
    assert {days: each.level for days, each in ends.items()} == {75: "ok", 77: "warn", 90: "fail"}
    assert ends[77].line("en").startswith("warn  roster  the roster ends in 13 days.")
    assert ends[90].value()["code"] == "ROSTER_EXPIRED"


# --- software


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A distribution that was installed from a package."""
    lines = ["hpfed-1.dist-info/RECORD,,"]
    for name in ("node/__init__.py", "node/gate.py", "protocols/ring.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, encoding="utf-8")
        digest = urlsafe_b64encode(sha256(name.encode()).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(name)}")
    (tmp_path / "hpfed-1.dist-info").mkdir()
    (tmp_path / "hpfed-1.dist-info" / "METADATA").write_text("Name: hpfed\nVersion: 1\n", encoding="utf-8")
    (tmp_path / "hpfed-1.dist-info" / "RECORD").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def seen(site: Path, **owners: list[str]) -> Installed:
    return looked_at(Distribution.at(site / "hpfed-1.dist-info"), {"node": ["hpfed"], "numpy": ["numpy"], **owners})


def test_files_that_were_changed_taken_or_planted_after_the_installation_are_found(site: Path) -> None:
    assert seen(site) == Installed(3, (), ())
    (site / "node" / "gate.py").write_text("open", encoding="utf-8")
    (site / "protocols" / "ring.py").unlink()
    (site / "node" / "more.py").write_text("", encoding="utf-8")
    found = seen(site)
    assert found.altered == ("node/gate.py", "node/more.py", "protocols/ring.py")
    no = check(found, OWN, ())
    assert no is not None
    assert (no.code, "node/gate.py" in no.text("zh")) == ("SOFTWARE_ALTERED", True)


def test_what_is_needed_is_looked_at_too_as_far_as_it_is_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hpfed` needs what is missing, what only another system needs, and an extra; `more` was altered, and needs `hpfed` itself."""
    more = site / "more-2.dist-info"
    more.mkdir()
    (more / "METADATA").write_text("Name: more\nVersion: 2\nRequires-Dist: hpfed\n", encoding="utf-8")
    (more / "RECORD").write_text("more.py,sha256=AAAA,1\nmore-2.dist-info/RECORD,,\n", encoding="utf-8")
    with (site / "hpfed-1.dist-info" / "METADATA").open("a", encoding="utf-8") as file:
        for each in ("nowhere", "numpy; sys_platform == 'cobol'", "more>=1; extra == 'flower'"):
            file.write(f"Requires-Dist: {each}\n")
    places = {"hpfed": site / "hpfed-1.dist-info", "more": more}

    def found(name: str) -> Distribution:
        if name not in places:
            raise PackageNotFoundError(name)
        return Distribution.at(places[name])

    monkeypatch.setattr("protocols.distribution.distribution", found)
    assert altered_dependencies(()) == ()
    assert altered_dependencies() == ("more",)
    assert doctor.packages(("more",)).level == "fail"
    assert doctor.packages(()).level == "ok"


def test_another_distribution_with_a_package_of_the_same_name_is_refused(site: Path) -> None:
    no = check(seen(site, node=["hpfed", "nodes-of-others"]), OWN, ())
    assert no is not None
    assert (no.code, "nodes-of-others" in no.text("en")) == ("SOFTWARE_MIXED", True)


def test_software_that_a_roster_lists_is_the_only_one_that_runs_and_an_empty_list_refuses_none() -> None:
    whole = Installed(3, (), ())
    assert [check(whole, OWN, each) for each in ((), (OWN,), (OTHER, OWN))] == [None, None, None]
    no = check(whole, OWN, (OTHER,))
    assert no is not None
    assert (no.code, OTHER.version in no.text("en"), OWN.sha256 in no.text("zh")) == ("SOFTWARE_UNLISTED", True, True)
    assert doctor.software(whole, OWN, (OTHER,)).level == "fail"
    assert doctor.software(whole, OWN, (OWN,)).line("zh") == f"ok    软件  1.0.0  sha256:{'a' * 64}"
    assert doctor.software(Installed(0, (), ()), OWN, ()).level == "warn"


# --- what runs, and what runs beside it


def test_one_node_runs_on_a_home_and_who_asks_is_told_which(tmp_path: Path) -> None:
    assert running.running(tmp_path) is None
    with running.alone(tmp_path):
        running.write(tmp_path, {"pid": 17, "children": {}})
        assert running.running(tmp_path) == {"pid": 17, "children": {}}
        with pytest.raises(Refusal) as no, running.alone(tmp_path):
            pass
        assert (no.value.code, no.value.exit_code, "17" in no.value.text("en")) == ("NODE_RUNNING", 1, True)
    assert running.running(tmp_path) is None
    assert not (tmp_path / running.STATE).exists()


def test_what_a_home_says_of_its_processes_becomes_findings() -> None:
    kept = {"gate": {"state": "ok"}, "link": {"state": "ok", "for_s": 70}}

    def levels(state: dict[str, Any] | None, heard: int | None, answered: int | None) -> list[tuple[str, str]]:
        return [(each.name, each.level) for each in doctor.node(state, heard, answered, NOW)]

    alive = [("node", "ok"), ("node", "ok")]
    assert levels(None, None, None) == [("node", "ok")]  # before it is started the doctor finds nothing wrong with it
    assert levels({"children": kept}, NOW - 3, NOW - 9) == [*alive, ("round trip", "ok")]
    assert levels({"children": kept}, NOW - 3, None) == [*alive, ("round trip", "warn")]
    assert levels({"children": kept}, NOW - 61, NOW - 90) == [*alive, ("round trip", "fail")]
    assert levels({"children": kept}, None, None) == [*alive, ("round trip", "fail")]
    assert levels({"children": {"gate": {"state": "restarting"}}}, None, None) == [("node", "warn")]


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("/opt/bin/flower-supernode --superlink h:1 --isolation process", "ok"),
        ("/opt/bin/python /opt/bin/flower-supernode --isolation=process", "ok"),
        ("/opt/bin/python /opt/bin/flower-supernode --isolation subprocess", "fail"),
        ("flower-supernode --superlink h:1", "fail"),  # which is its default
        ("grep -r x flower-superlink", "ok"),
    ],
)
def test_a_stock_node_that_runs_what_others_ship_is_found_beside_the_gate(words: str, level: str) -> None:
    line = b"\0".join(words.encode().split()) + b"\0"
    assert doctor.courier([b"", b"sh\0", line]).level == level


def test_every_process_that_can_be_looked_at_is(tmp_path: Path) -> None:
    for name, text in (("1", "init"), ("2", "flower-supernode"), ("self", "x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cmdline").write_text(text, encoding="ascii")
    (tmp_path / "3" / "cmdline").mkdir(parents=True)  # cannot be read
    assert list(doctor.command_lines(tmp_path)) == [b"init", b"flower-supernode"]


def test_a_disk_that_is_full_ends_no_child_whose_state_cannot_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("node.keeping.write", full)
    said = list[dict[str, Any]]()
    kept = Kept(tmp_path, {"gate": ["true"]}, {}, said.append)
    kept._told(Supervision.of([GATE]).started("gate", 0.0), {"gate": 7})
    assert said[0]["gate"]["pid"] == 7


def test_a_disk_that_is_nearly_full_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.disk(tmp_path / "not" / "yet").name == "disk"
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 30))
    found = doctor.disk(tmp_path)
    assert (found.level, found.value()["code"]) == ("fail", "DISK_LOW")
    assert "1024 MiB" in found.line("zh")
    assert not room(tmp_path)


def test_a_socket_whose_path_is_too_long_for_the_system_says_so(tmp_path: Path) -> None:
    long = tmp_path / ("x" * LONGEST_PATH)
    with pytest.raises(ConfigError) as no, listening(long):
        pass
    assert (no.value.code, str(LONGEST_PATH) in no.value.text("en")) == ("SOCKET_PATH", True)
    assert fitting(Path("gate.sock")) == Path("gate.sock")
