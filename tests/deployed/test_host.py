"""Commands of a city's host while nothing runs: what they print, and with what they end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator import roster as books
from node import cli as node
from node import membership
from node.deployed import host
from node.link import Way
from node.transport import claims
from protocols.enrolment import fingerprint, read_enrolment
from protocols.entropy import seeded
from protocols.signed import public_of
from tests import gates
from tests.deployed.test_enrolment import NOW, at
from tests.system.test_programs import called


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A city of a consortium with a gateway that nobody has started."""
    from node import city

    monkeypatch.delenv("HPFED_HOME", raising=False)
    for module in ("cli", "host", "checks"):
        monkeypatch.setattr(f"node.deployed.{module}.now", lambda: NOW)
    monkeypatch.setattr("node.doctor.command_lines", list)
    monkeypatch.setattr("protocols.distribution.altered_dependencies", tuple)  # reads half a gigabyte
    gates.write(tmp_path, cities=("east",))
    folder, home, hub = tmp_path / "east", tmp_path / "home", tmp_path / "hub"
    books.begun(hub, "provident", ("127.0.0.1:1",), NOW, seeded("hub"))
    file = membership.enrolment(city.load(folder), home, seeded("city"))
    books.add(hub, file, read_enrolment(file).fingerprint, NOW)
    root = books.key_of(hub / books.ROOT)
    membership.accepted(home, [books.sign(hub, root, NOW).file], fingerprint(public_of(root)), NOW)
    return "--folder", str(folder), "--home", str(home)


def ends(*words: object) -> tuple[int, Any]:
    done = called(node, *words, "--json")
    return done.exit_code, json.loads(done.stdout)


def test_nothing_that_runs_is_said_to_run(city: tuple[str, ...]) -> None:
    code, found = ends("status", *city)
    assert (code, found["ok"], found["pid"], found["heard_s"]) == (1, False, None, None)
    assert {name: each["state"] for name, each in found["children"].items()} == {"gate": "stopped", "link": "stopped"}
    assert called(node, "status", *city).stdout == "gate stopped · link stopped · outbound 127.0.0.1:1\n"
    assert ends("stop", *city) == (0, {"stopped": None})


def test_a_link_that_was_heard_lately_counts_whoever_keeps_it(
    city: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(city[-1])
    (home / "transport" / "heard").touch()
    heard = int((home / "transport" / "heard").stat().st_mtime)
    for after, state in ((30, "ok"), (90, "stopped")):
        monkeypatch.setattr("node.deployed.host.now", lambda at=heard + after: at)
        _, found = ends("status", *city)
        assert (found["heard_s"], found["children"]["link"]["state"]) == (after, state)


def test_the_doctor_says_one_line_for_each_thing_and_fails_for_a_gateway_that_is_away(city: tuple[str, ...]) -> None:
    code, found = ends("doctor", *city)
    levels = {each["name"]: (each["level"], each["code"]) for each in found["findings"]}
    assert (code, found["ok"]) == (1, False)
    assert levels["gateway"] == ("fail", "GATEWAY_NONE")  # there is no authority on this roster
    assert levels["enrolment"] == levels["roster"] == levels["node"] == ("ok", "")
    shown = called(node, "doctor", *city, "--lang", "zh")
    assert len(shown.stdout.splitlines()) == len(found["findings"])
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in shown.stdout.splitlines())


def test_what_a_link_needs_and_is_not_there_is_named(city: tuple[str, ...]) -> None:
    code, found = ends("start", "--only", "link", *city)
    assert (code, found["error"]["code"]) == (2, "GATEWAY_NONE")
    code, found = ends("start", "--folder", city[1], "--home", Path(city[-1]) / "other")
    assert (code, found["error"]["code"]) == (2, "ROSTER_FIRST")


def test_a_link_behind_a_stock_supernode_is_told_where_to_ask_and_the_supernode_is_started_with_the_same_secret(
    city: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(city[-1])
    held = host.roster_of(home)
    reached = replace(held, entries=held.entries.model_copy(update={"ca": "authority"}))
    monkeypatch.setattr(host, "_looked", lambda roster, _found: roster.entries.gateway[0])
    direct, behind = (Way.read(host._way(home, reached, link)) for link in ("direct", "supernode"))
    assert (direct.supernode, direct.secret) == ("", "")
    assert (behind.supernode, behind.at_once) == ("127.0.0.1:9094", 1)
    secret = Path(behind.secret)
    assert (len(secret.read_bytes()), secret.stat().st_mode & 0o777) == (32, 0o600)
    assert claims(home, seeded("another")).read_bytes() == secret.read_bytes()
    stock = host.beside(home, reached, secret, 9094)
    assert "--isolation process" in stock
    assert "--superlink 127.0.0.1:1 " in stock
    assert f"--superexec-auth-secret-file {secret}" in stock


def test_settings_are_shown_with_where_they_come_from(city: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(city[-1])
    (home / "config.yaml").write_text("link: {at_once: 4}\n", encoding="utf-8")
    monkeypatch.setenv("HPFED_LINK_IDLE_S", "7")
    found = {each["key"]: (each["value"], each["from"]) for each in at(node, "config", "show", "--origin", *city)}
    assert found["home"] == (str(home), "--home")
    assert found["link.at_once"] == (4, f"{home / 'config.yaml'}:1")
    assert found["link.idle_s"] == (7.0, "HPFED_LINK_IDLE_S")
    assert found["link.addresses"] == (["127.0.0.1:1"], str(home / "roster.json"))
    assert "link.proxy  -" in called(node, "config", "show", *city).stdout.splitlines()
