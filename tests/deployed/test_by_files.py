"""A study whose files are carried by hand between a coordinator and three cities, each with a home of its own."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator import cli as coordinator
from coordinator.engine import Numbers
from node import city, ingest, mapping, policy
from node import cli as node
from node.desk import nobody
from node.held import held as newest
from node.opened import opened
from node.running import SOCKET
from node.serve import Served, listening
from node.station import station
from protocols import messages
from protocols.entropy import operating_system
from protocols.messages import Kind
from simulations import cli as simulate
from tests import gates
from tests.deployed.test_enrolment import added, at, code
from tests.system.test_programs import called

NOW = 1_800_000_000
EXACT = gates.STUDY.replace("{mode: dp, epsilon: 1.0, tolerate: {dropouts: 0, colluders: 1}}", "{mode: exact}")
LOOSE = "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 1, min_cohort_by_city: 1, min_pooled: 1, min_cell: 1, min_column: 1}\n"
OPEN: dict[str, ExitStack] = {}  # the gates of this test


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@contextmanager
def gate(name: str, clock: Clock) -> Iterator[None]:
    """The gate of a city behind its socket, in a thread of its own as its books want it."""
    folder, ready, held = Path("cities").resolve() / name, threading.Event(), list[Served]()

    def serve() -> None:
        home, here = folder / ".hpfed", city.load(folder)
        roster = newest(home)
        assert roster is not None
        who = station(here, mapping.load(folder), home, roster, operating_system)
        rules = policy.load(folder, loose=here.synthetic)
        streams = {"entropy": operating_system, "ledger_entropy": operating_system}
        with opened(who, rules, nobody, **streams, now=clock()) as open_, listening(home / SOCKET) as served:
            held.append(served)
            ready.set()
            served.answer(open_.answer, clock)

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        held[0].stop()
        thread.join(20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("coordinator.deployed.cli", "coordinator.deployed.run", "node.deployed.cli"):
        monkeypatch.setattr(f"{module}.now", found)
    monkeypatch.setattr("node.cli._now", found)
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Path]:
    """A consortium of three cities whose gates are open, and a signed study in mode dp."""
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    gates.write(tmp_path / "cities")
    for name in gates.CITIES:
        (tmp_path / "cities" / name / "policy.yaml").write_text(LOOSE, encoding="utf-8")
    root = at(coordinator, "init", "--name", "provident", "--home", "hub")["root"]
    added(*gates.CITIES)
    asker = at(coordinator, "asker", "new", "analyst", "--home", "hub")
    told = at(coordinator, "asker", "show", "analyst.enrol.json")["fingerprint"]
    at(coordinator, "roster", "add", asker["file"], "--fingerprint", told, "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    for name in gates.CITIES:
        folder = tmp_path / "cities" / name
        at(node, "roster", "accept", "hub/roster.json", "--root", root, "--folder", folder)
        ingest.ingest(folder, folder / ".hpfed", operating_system)
    with ExitStack() as stack:
        for name in gates.CITIES:
            OPEN[name] = stack.enter_context(ExitStack())
            OPEN[name].enter_context(gate(name, clock))
        yield tmp_path


def study(text: str) -> Path:
    path = Path("cities/study.yaml")
    path.write_text(text, encoding="utf-8")
    at(coordinator, "study", "sign", path, "--home", "hub")
    return path


def asks(path: Path, *words: object) -> Any:
    (found,) = at(coordinator, "study", "run", path, "--files", "post", "--out", "out", "--home", "hub", *words)[
        "studies"
    ]
    return found


def collects(*words: object) -> Any:
    (found,) = at(coordinator, "collect", "post", "--home", "hub", *words)["studies"]
    return found


def carried(*names: str) -> dict[str, Any]:
    """What cities answer to what lies in their folders, straight into the folder that goes back."""
    return {name: at(node, "answer", f"post/out/{name}", "post/in", "--folder", f"cities/{name}") for name in names}


def to_the_end(clock: Clock, *names: str) -> tuple[Any, int]:
    """Carry files to and fro until nobody is awaited; the last word, and how often it took."""
    for carries in range(1, 12):
        carried(*names)
        clock.now += 3 * 86_400 // 4
        found = collects()
        if not found["awaited"]:
            return found, carries
    raise AssertionError


def approved() -> None:
    """An officer of each city says yes."""
    for name in gates.CITIES:
        mine = ("--key", f"{name}.key", "--folder", f"cities/{name}")
        at(node, "officer", "new", "risk-office", *mine)
        at(node, "approve", "tiny-study", *mine)


def test_a_study_by_files_gives_what_it_gives_in_one_process(place: Path, clock: Clock) -> None:
    path = study(EXACT)
    assert asks(path)["awaited"] == list(gates.CITIES)
    waiting = carried(*gates.CITIES)
    assert all(len(each["waiting"]) == 1 and not each["answered"] for each in waiting.values())
    assert collects()["awaited"] == list(gates.CITIES)
    approved()
    found, carries = to_the_end(clock, *gates.CITIES)
    assert carries == 7  # the approval; open, adverts, deliver, survivors, confirms; receipts and attestations
    assert not found["missing"]
    shutil.copytree("cities", "again", ignore=shutil.ignore_patterns(".hpfed", "*.sig.json"))
    run = called(simulate, "run", "again/study.yaml", "--cities", "again", "--out", "in-process")
    assert run.exit_code == 0, run.stderr
    byhand, inprocess = (json.loads(Path(each, "results.json").read_bytes()) for each in ("out", "in-process"))
    assert byhand["questions"] == inprocess["questions"]
    assert not list(place.rglob("post/out/*/*.hpfe"))
    assert at(coordinator, "study", "watch", "--home", "hub") == []
    at(coordinator, "study", "results", path, "--out", "once-more", "--home", "hub")
    assert Path("once-more/results.json").read_bytes() == Path("out/results.json").read_bytes()


def test_files_that_are_doubled_torn_strange_or_of_another_city_change_nothing(place: Path, clock: Clock) -> None:
    asks(study(gates.STUDY))
    back = place / "post/in"
    carried("east", "north")
    (east, north) = sorted(back.glob("*.hpfe"))
    whole = north.read_bytes()
    (back / "copy of east.hpfe").write_bytes(east.read_bytes())
    north.write_bytes(whole[:-40])
    (back / "torn.hpfe").write_bytes(b"HPFE")
    (back / "notes.txt").write_text("by hand")
    (back / "link.hpfe").symlink_to(east)
    (back / "folder.hpfe").mkdir()
    collected = at(coordinator, "collect", "post", "--home", "hub")
    assert collected["studies"][0]["awaited"] == ["north", "west"]  # what is torn was not taken in: it may come again
    assert collected["left_alone"] == ["folder.hpfe", "link.hpfe", "notes.txt"]
    forged = bytearray(whole)
    forged[-1] ^= 1
    north.write_bytes(forged)
    assert collects()["awaited"] == ["north", "west"]
    other = at(node, "answer", "post/out/north", "elsewhere", "--folder", "cities/west")
    assert (other["answered"], len(other["silent"])) == ([], 1)  # a city's request, carried to another one
    north.write_bytes(whole)
    assert collects()["awaited"] == ["west"]
    for _ in range(3):
        carried(*gates.CITIES)
        collects()
    shutil.copytree("post/out/east", "kept")  # the vector is asked for; the folder is carried there twice
    for back_to in ("first", "again"):
        at(node, "answer", "kept", back_to, "--folder", "cities/east")
    (first,), (again,) = (sorted(Path(each).iterdir()) for each in ("first", "again"))
    assert messages.peek(first.read_bytes()).kind is Kind.MASKED
    assert first.read_bytes() == again.read_bytes()
    found, _ = to_the_end(clock, *gates.CITIES)
    assert (found["missing"], found["out"] != "") == ([], True)
    assert len(at(node, "releases", "--folder", "cities/east")) == 1


def test_a_gate_that_was_restarted_is_a_drop_out_and_the_study_can_be_asked_anew(place: Path, clock: Clock) -> None:
    """Three cities are as few as there may be: without one the round comes to nothing, its cities are told, and nobody has paid."""
    path = study(gates.STUDY)
    asks(path)
    for _ in range(2):  # offers; adverts, whose keys are in memory alone
        carried(*gates.CITIES)
        collects()
    OPEN["west"].close()
    OPEN["west"].enter_context(gate("west", clock))
    said = carried(*gates.CITIES)
    assert {name: len(each["silent"]) for name, each in said.items()} == {"east": 0, "north": 0, "west": 1}
    assert collects()["awaited"] == ["west"]
    assert code(coordinator, "collect", "post", "--without", "west", "--home", "hub") == 1
    assert at(coordinator, "study", "watch", "--home", "hub") == []
    assert asks(path)["awaited"] == list(gates.CITIES)
    found, _ = to_the_end(clock, *gates.CITIES)
    assert (found["missing"], list(place.glob("post/out/*/*-open-*"))) == ([], [])
    assert [len(at(node, "releases", "--folder", f"cities/{name}")) for name in gates.CITIES] == [2, 2, 2]
    assert [each["state"] for each in at(node, "releases", "--folder", "cities/west")].count("answered") == 1


@pytest.mark.usefixtures("place")
def test_what_a_revoked_city_sends_counts_no_more() -> None:
    asks(study(gates.STUDY))
    carried(*gates.CITIES)
    at(coordinator, "roster", "revoke", "west", "--reason", "key stolen", "--home", "hub")
    assert code(coordinator, "roster", "revoke", "nowhere", "--reason", "-", "--home", "hub") == 2
    at(coordinator, "roster", "sign", "--home", "hub")
    assert code(coordinator, "collect", "post", "--home", "hub") == 1


@pytest.mark.usefixtures("place")
def test_what_is_asked_must_be_signed_and_stay_as_it_was() -> None:
    path = study(gates.STUDY)
    Path("cities/study.sig.json").rename("elsewhere.json")
    words = ("study", "run", path, "--files", "post", "--out", "out", "--home", "hub")
    assert code(coordinator, *words) == 2
    Path("elsewhere.json").rename("cities/study.sig.json")
    assert code(coordinator, "study", "results", path, "--out", "none", "--home", "hub") == 2
    asks(path)
    (kept,) = at(coordinator, "study", "watch", "--home", "hub")
    assert (kept["kind"], kept["cities"]) == ("offer", list(gates.CITIES))
    path.write_text(gates.STUDY.replace("epsilon: 1.0", "epsilon: 0.9"), encoding="utf-8")
    assert code(coordinator, "collect", "post", "--home", "hub") == 2
    path.write_text(gates.STUDY, encoding="utf-8")
    assert collects()["awaited"] == list(gates.CITIES)


@pytest.mark.usefixtures("place")
def test_studies_over_files_that_are_open_at_once_and_an_engine_draw_numbers_that_every_city_takes(
    clock: Clock,
) -> None:
    """The second is begun days after the first, and what a link carries comes between."""
    numbers = Numbers(Path("hub"), clock)
    for name in ("tiny-one", "tiny-two"):
        path = Path(f"cities/{name}.yaml")
        path.write_text(gates.STUDY.replace("tiny-study", name).replace("1.0", "0.5"), encoding="utf-8")
        at(coordinator, "study", "sign", path, "--home", "hub")
        begun = ("study", "run", path, "--files", "post", "--out", name, "--home", "hub")
        at(coordinator, *begun)
        clock.now += 86_400 // 8
        carried(*gates.CITIES)
        at(coordinator, "collect", "post", "--home", "hub")
    for _ in range(6):
        numbers.following()
        clock.now += 3600
        carried(*gates.CITIES)
        found = at(coordinator, "collect", "post", "--home", "hub")["studies"]
    assert all(not each["awaited"] and not each["missing"] for each in found)
    for name in gates.CITIES:
        sent = at(node, "releases", "--folder", f"cities/{name}")
        assert [each["state"] for each in sent] == ["answered"] * 2
