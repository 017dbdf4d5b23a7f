"""A coordinator's host and three nodes as their commands start them: an engine that is killed in a study, a city that is revoked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import asked, supervisor
from coordinator import cli as coordinator
from node import cli as node
from simulations.children import until
from simulations.federation import free_port
from tests import gates
from tests.deployed.test_enrolment import added, at

PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a coordinator whose host runs, and so do the nodes of three tiny cities."""
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    gates.write(tmp_path / "cities", rows=40)
    ports = ("--address", f"127.0.0.1:{free_port()}", "--superlink-port", free_port())
    root = at(coordinator, "init", "--name", "provident", *ports, "--home", "hub")["root"]
    added(*gates.CITIES)
    file = at(coordinator, "asker", "new", "analyst", "--home", "hub")["file"]
    told = at(coordinator, "asker", "show", file)["fingerprint"]
    at(coordinator, "roster", "add", file, "--fingerprint", told, "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    commands = [["hpfed-coordinator", "start", "--home", "hub"]]
    for city in gates.CITIES:
        folder = f"cities/{city}"
        at(node, "roster", "accept", "hub/roster.json", "--root", root, "--folder", folder)
        at(node, "ingest", "--folder", folder)
        commands.append(["hpfed-node", "start", "--folder", folder])
    at(coordinator, "study", "sign", "cities/study.yaml", "--home", "hub")
    with Path("said").open("wb") as said:
        started = [
            subprocess.Popen([PROGRAMS / name, *words], stdout=said, stderr=said)  # noqa: S603 our own programs
            for name, *words in commands
        ]
    try:
        assert len(at(coordinator, "status", "--wait", 120, "--home", "hub")["seen"]) == 3
        yield tmp_path / "hub"
    finally:
        for each in started:
            each.terminate()
        assert [each.wait(90) for each in started] == [0] * 4


@pytest.mark.slow  # two minutes where other tests run beside it: thirteen processes, six of which import flwr
def test_an_engine_that_is_killed_in_a_study_finishes_it_and_a_revoked_city_is_cut_off_in_two_seconds(
    hub: Path,
) -> None:
    at(coordinator, "study", "run", "cities/study.yaml", "--detach", "--accept-noisy", "--home", hub)
    (run,) = asked.found(hub)
    assert until(lambda: run.state["step"] in ("deliver", "survivors"), 60)
    os.kill(supervisor.engine(hub)["pid"], signal.SIGKILL)
    assert until(lambda: run.over is not None, 120)
    assert run.over == {"exit": 0, "missing": []}
    at(coordinator, "study", "results", "cities/study.yaml", "--out", "out", "--home", hub)
    assert at(coordinator, "report", "verify", "out", "--roster", hub / "roster.json")["holds"]
    assert json.loads(Path("out/results.json").read_bytes())["cities"]["answered"] == list(gates.CITIES)
    told = at(coordinator, "status", "--home", hub)["children"]["engine"]
    assert (told["restarts"], told["last_exit"]) == (1, -signal.SIGKILL)
    link = json.loads(Path("cities/west/.hpfed/run/state.json").read_bytes())["children"]["link"]["pid"]
    at(coordinator, "roster", "revoke", "west", "--reason", "key stolen", "--home", hub)
    at(coordinator, "roster", "sign", "--home", hub)
    began = time.monotonic()
    assert until(lambda: not supervisor.alive(link), 20)
    assert time.monotonic() - began < 2
    assert at(coordinator, "status", "--wait", 20, "--home", hub)["seen"] == ["east", "north"]
