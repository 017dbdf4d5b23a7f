"""Studies that an engine was asked, over gates of this process: waiting, late cities, crashes, a key that follows another."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from coordinator import asked, engine, home, roster, rotation, split
from coordinator.asked import Asked, Task
from coordinator.engine import Engine
from coordinator.exchange import Failure
from coordinator.store import Store, store
from node import ingest
from node.identity import identity as key_in
from protocols import study as studies
from protocols.approval import sign_study
from protocols.enrolment import fingerprint
from protocols.entropy import operating_system, seeded
from protocols.errors import ConfigError
from protocols.messages import peek
from protocols.roster import Roster, self_declared
from protocols.rotation import read_rotation
from protocols.study import Study
from simulations import world
from tests import gates
from tests.conversations.test_roster_changes import revoking

FOUR = (*gates.CITIES, "zenith")


class Crash(BaseException):
    """The engine's process dies."""


@dataclass
class Town:
    """A coordinator's home, and cities whose gates are open in this process. `before`: called before each exchange, by its kind."""

    world: world.Everyone
    home: Path
    study: Study
    before: Callable[[str], None] = lambda _kind: None
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    def present(self) -> frozenset[str]:
        return self.world.link.present()

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        self.before(kind)
        self.sent += [(kind, city, content) for city, content in requests.items()]
        yield from self.world.link.each(kind, requests, timeout_s)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def clock(self) -> Callable[[], int]:
        return self.world.post.clock

    def engine(self, wait: Callable[[float], None] | None = None, **more: Any) -> Engine:
        """A new one, which sees who is there whenever it waits."""

        def waits(seconds: float) -> None:
            self.world.link.clock.virtual = self.clock() + 1
            (wait or (lambda _s: None))(seconds)
            made.seen = self.present()

        made = Engine(self.home, self, self.clock, operating_system, wait=waits, **more)
        made.seen = self.present()
        return made

    def asks(self, **more: Any) -> Asked:
        told = Task("tiny-study", self.study.digest, 1, exact=False, asked=self.clock(), **more)
        return asked.ask(self.home, self.study, told, self.world.signed)

    @property
    def kept(self) -> Store:
        return store(self.study, self.home)

    def signs(self, **changes: Any) -> Roster:
        """The next roster, on disk."""
        held = roster.signed(self.home)
        root = key_in(self.home / "root", gates.nothing)
        made = revoking(held, *changes.pop("revoked", ()), root=root, **changes)
        roster.written(self.home / roster.SIGNED / f"{made.entries.version}.json", made.file)
        roster.written(self.home / roster.ROSTER, made.file)
        return made

    def states(self) -> list[list[str]]:
        """What the books of every city say of its conversations."""
        return [
            [each.state for each in gate.ledger.view(self.clock()).reservations]
            for gate in self.world.link.gates.values()
        ]


@contextmanager
def town(folder: Path, cities: tuple[str, ...] = gates.CITIES, study: str = gates.STUDY, **more: Any) -> Iterator[Town]:
    gates.write(folder, study=study, cities=cities)
    loaded = split.stated(studies.load(folder / "study.yaml"))
    found = world.parties(folder, loaded)
    for party in found:
        ingest.ingest(party.folder, world.home(party.folder, folder / "homes"), seeded("tests", party.city.city))
    clock = world.Clock(world.SEEDED_START)
    with world.everyone(loaded, found, folder, folder / "homes", seed=5, clock=clock, **more) as present:
        base = world.coordinator_home(folder, folder / "homes")
        roster.written(base / roster.SIGNED / "1.json", present.post.roster.file)
        roster.written(base / roster.ROSTER, present.post.roster.file)
        yield Town(present, base, loaded)


def test_a_study_that_was_asked_is_answered_once_and_every_message_has_a_number_of_its_own(tmp_path: Path) -> None:
    with town(tmp_path / "cities") as made:
        run = made.asks()
        assert made.asks().folder == run.folder  # twice asked is once asked
        made.engine().play(run)
        assert run.over == {"exit": 0, "missing": []}
        assert json.loads(made.kept.results())["cities"]["answered"] == list(gates.CITIES)
        unsealed = made.kept.unsealed()
        assert unsealed is not None
        assert unsealed.unattested == ()
        assert asked.found(made.home) == []
        assert {event["event"] for event in run.events} >= {"offer", "survivors", "receipt", "attest"}
        numbers = [peek(content).seq for _, city, content in made.sent if city == "east"]
        assert numbers == sorted(set(numbers))
        assert {peek(content).poll_s for _, _, content in made.sent} == {0.2}


def test_a_run_keeps_copies_of_all_that_people_wrote(tmp_path: Path) -> None:
    with town(tmp_path / "cities") as made:
        wrote = made.study.written
        assert wrote is not None
        wrote = replace(wrote, models=tuple(b"%d" % number for number in range(12)))
        run = asked.ask(made.home, replace(made.study, written=wrote), made.asks().task, b"signed")
        run.ended()
        again = asked.ask(made.home, replace(made.study, written=wrote), run.task, b"signed")
        assert (again.written, again.signed) == (wrote, b"signed")


def test_studies_that_are_asked_at_once_are_all_answered_and_their_numbers_do_not_cross(tmp_path: Path) -> None:
    """Each in a thread of its own, two with a conversation at a time."""
    with town(tmp_path / "cities") as made:
        own, serial = made.each, threading.Lock()

        def each(kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
            with serial:  # a gate takes one request at a time
                replies = list(own(kind, requests, timeout_s))
            yield from replies

        made.each = each  # type: ignore[method-assign]  # the line of this town
        asker, runs = key_in(made.home / "askers" / "analyst", gates.nothing), []
        for name in ("tiny-one", "tiny-two", "tiny-three", "tiny-four"):
            text = (tmp_path / "cities" / "study.yaml").read_text(encoding="utf-8").replace("tiny-study", name)
            (tmp_path / "cities" / f"{name}.yaml").write_text(
                text.replace("epsilon: 1.0", "epsilon: 0.5"), encoding="utf-8"
            )
            study = split.stated(studies.load(tmp_path / "cities" / f"{name}.yaml"))
            told = Task(name, study.digest, 1, exact=False, asked=made.clock())
            runs.append(asked.ask(made.home, study, told, sign_study(study, asker)))
        served = made.engine(conversations=2)
        served.tick()
        for thread in served.playing.values():
            thread.join(60)
        assert [run.over for run in runs] == [{"exit": 0, "missing": []}] * 4
        assert made.states() == [["answered"] * 4] * 3
        for city in gates.CITIES:
            numbers = [peek(content).seq for _, name, content in made.sent if name == city]
            assert len(set(numbers)) == len(numbers)
        assert {gate.station.roster.entries.version for gate in made.world.link.gates.values()} == {1}


def test_a_study_waits_for_officers_and_for_a_city_that_is_away(tmp_path: Path) -> None:
    """It is offered again while officers have it, and when a city comes back; the answer has all of them."""
    text = gates.STUDY.replace("epsilon: 1.0", "epsilon: 1.5")
    with town(tmp_path / "cities", study=text, by_hand=True) as made:
        made.world.link.lost.add("west")
        waited: list[dict[str, str]] = []
        run = made.asks()

        def wait(_seconds: float) -> None:
            waited.append(run.state["cities"])
            if len(waited) == 3:
                made.world.link.lost.clear()
            for gate in made.world.link.gates.values():
                held = gate.desk.requests().get(made.study.digest)
                if len(waited) == 6 and held is not None:
                    own = gate.station.identity.key
                    world._simulated_officers(own, made.home, world.source_of(5))(
                        gate.desk, made.study.digest, 1, made.clock()
                    )

        made.engine(wait).play(run)
        assert waited[0] == {"east": "pending", "north": "pending", "west": "unreachable"}
        assert waited[4] == dict.fromkeys(gates.CITIES, "pending")
        assert run.over == {"exit": 0, "missing": []}
        offers = [city for kind, city, _ in made.sent if kind == "offer"]
        assert 2 <= offers.count("west") <= offers.count("east") < len(waited)


@pytest.mark.parametrize("ends", ["until", "without"])
def test_a_city_that_stays_away_is_missing_when_nobody_waits_for_it_any_more(tmp_path: Path, ends: str) -> None:
    with town(tmp_path / "cities", FOUR) as made:
        made.world.link.lost.add("zenith")
        run = made.asks(**({"wait_s": 3} if ends == "until" else {}))
        looks: list[float] = []

        def wait(seconds: float) -> None:
            looks.append(seconds)
            if ends == "without" and len(looks) == 2:
                run.give_up(["zenith"])

        made.engine(wait).play(run)
        assert 1 <= len(looks) <= 4
        assert run.over == {"exit": 4, "missing": ["zenith"]}
        (missing,) = json.loads(made.kept.results())["cities"]["missing"]
        assert (missing["city"], missing["reason"], missing["detail"]) == ("zenith", "no_advert", "unreachable")


@pytest.mark.parametrize("kind", ["open", "deliver", "survivors", "receipt", "attest"])
def test_an_engine_that_dies_before_a_step_goes_on_there_and_nothing_is_charged_twice(
    tmp_path: Path, kind: str
) -> None:
    with town(tmp_path / "cities") as made:
        run = made.asks()

        def dies(found: str) -> None:
            if found == kind:
                raise Crash

        made.before = dies
        with pytest.raises(Crash):
            made.engine().play(run)
        made.before = lambda _kind: None
        (again,) = asked.found(made.home)
        made.engine().play(again)
        assert again.over == {"exit": 0, "missing": []}
        assert made.states() == [["answered"]] * 3
        assert not list((made.home / "runs").rglob("log"))
        unsealed = made.kept.unsealed()
        assert unsealed is not None
        assert unsealed.unattested == ()


def test_a_key_that_follows_another_is_used_from_its_roster_on_and_what_is_open_is_finished_under_the_one_before(
    tmp_path: Path,
) -> None:
    with town(tmp_path / "cities") as made:
        run = made.asks()
        before = rotation.own(made.home, roster.signed(made.home))
        file = rotation.rotated(made.home, operating_system)
        assert rotation.rotated(made.home, operating_system) == file

        def dies(found: str) -> None:
            if found == "survivors":
                raise Crash

        made.before = dies
        with pytest.raises(Crash):
            made.engine().play(run)
        made.before = lambda _kind: None
        told = fingerprint(bytes.fromhex(read_rotation(file).identity))
        roster.add(made.home, file, told, made.clock())
        with pytest.raises(ConfigError) as twice:
            roster.add(made.home, file, told, made.clock())
        assert twice.value.code == "ROTATION_FOLLOWS"
        roster.sign(made.home, key_in(made.home / "root", gates.nothing), made.clock())
        newest = roster.signed(made.home)
        old, fresh = newest.entries.coordinator
        assert old.until <= made.clock() + roster.OVERLAP_S
        assert rotation.own(made.home, newest).public_key().public_bytes_raw().hex() == fresh.key
        assert (
            rotation.own(made.home, self_declared(roster.versions(made.home)[0].read_bytes())).private_bytes_raw()
            == before.private_bytes_raw()
        )
        served = made.engine()
        served.bring(list(newest.cities))
        assert served.holds == dict.fromkeys(gates.CITIES, newest.entries.version)
        (again,) = asked.found(made.home)
        served.play(again)
        assert again.over == {"exit": 0, "missing": []}
        assert not [event for event in again.events if event["event"] == "anew"]
        assert made.states() == [["answered"]] * 3


def test_a_roster_that_revokes_a_city_is_heeded_by_what_is_open_and_brought_to_the_others(tmp_path: Path) -> None:
    renewed: list[bool] = []
    with town(tmp_path / "cities", FOUR, gates.STUDY.replace("dropouts: 0", "dropouts: 1")) as made:
        run = made.asks()
        served = made.engine(renew=lambda: renewed.append(True))
        served.look()

        def revoke(kind: str) -> None:
            if kind == "deliver" and not renewed:
                made.signs(revoked=(4,))
                served.look()

        made.before = revoke
        served.play(run)
        assert renewed == [True]
        assert run.over == {"exit": 4, "missing": ["zenith"]}
        assert engine.transport(served.roster).keys() == set(gates.CITIES)
        served.bring([1, 2, 3])
        assert {
            gate.station.roster.entries.version for name, gate in made.world.link.gates.items() if name != "zenith"
        } == {2}


def test_a_full_disk_is_waited_for_before_anything_is_reserved(tmp_path: Path) -> None:
    with town(tmp_path / "cities") as made:
        run, left = made.asks(), [home.FREE - 1, home.FREE - 1, 2 * home.FREE]
        steps: list[str] = []

        def wait(_seconds: float) -> None:
            steps.append(run.state["step"])
            assert made.states() == [[], [], []]

        made.engine(wait, free=lambda _home: left.pop(0)).play(run)
        assert steps == ["disk", "disk"]
        assert run.over == {"exit": 0, "missing": []}


def test_a_disk_that_is_full_when_a_run_ends_is_waited_for_and_the_run_is_not_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town(tmp_path / "cities", study=gates.STUDY.replace("mode: dp, epsilon: 1.0", "mode: exact")) as made:
        run, own, tries = made.asks(), Asked.ended, list[Any]()

        def full(which: Asked, fault: Any = None, missing: Any = ()) -> None:
            tries.append(fault)
            if len(tries) < 3:
                raise OSError(28, "no space")
            own(which, fault, missing)

        monkeypatch.setattr(Asked, "ended", full)
        made.engine(lambda _s: run.note({"event": "waited"})).played(run)
        assert [each.code for each in tries] == ["CITY_DECLINED"] * 3
        assert (run.over or {})["exit"] == 3
        assert [city for kind, city, _ in made.sent if kind == "offer"] == list(gates.CITIES)
        (run.folder / "state.json").write_bytes(b"")  # torn by a power cut
        with (run.folder / "run.jsonl").open("ab") as file:
            file.write(b'{"at": 1, "ev')
        assert run.state["step"] == "asked"
        assert [event["event"] for event in run.events].count("waited") == 2


def test_a_refusal_and_a_fault_of_the_program_are_how_a_run_ends_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with town(tmp_path / "cities", study=gates.STUDY.replace("mode: dp, epsilon: 1.0", "mode: exact")) as made:
        run = made.asks()
        made.engine().played(run)
        over = run.over or {}
        assert (over["exit"], over["error"]["code"]) == (3, "CITY_DECLINED")
        assert "POLICY" in over["error"]["zh"]

        def fails(_kind: str) -> None:
            raise KeyError("a bug")

        made.before = fails
        run = made.asks()
        made.engine().played(run)
        over = run.over or {}
        assert (over["exit"], over["error"]["code"]) == (2, "ENGINE_FAULT")
        assert "a bug" in capsys.readouterr().err


def test_a_city_whose_files_are_carried_shares_a_study_with_cities_on_links(tmp_path: Path) -> None:
    """The same answer, and the same bytes to carry again after a crash; a reply of another city is left where it is."""
    with town(tmp_path / "cities") as made:
        place = tmp_path / "post"
        run = made.asks(place=str(place), hand=("north",))
        gate, deaths, carries = made.world.link.gates["north"], ["survivors"], list[float]()

        def carry(seconds: float) -> None:
            carries.append(seconds)
            assert len(carries) < 200
            (place / "in").mkdir(exist_ok=True)
            for path in sorted((place / "out" / "north").glob("*.hpfe")):
                content = path.read_bytes()
                reply = gate.answer(content, made.clock())
                (place / "in" / path.name).write_bytes(reply or b"none")
                (place / "in" / f"{path.stem}-west.hpfe").write_bytes(content)

        def dies(kind: str) -> None:
            if kind in deaths:
                deaths.remove(kind)
                raise Crash

        def carry_while_it_lives(seconds: float) -> None:
            if not deaths:
                raise Crash
            carry(seconds)

        made.before, others = dies, set(threading.enumerate())
        with pytest.raises(Crash):
            made.engine(carry_while_it_lives).play(run)
        for each in set(threading.enumerate()) - others:  # a process that dies leaves none behind
            each.join(20)
            assert not each.is_alive()
        made.engine(carry).play(run)
        assert run.over == {"exit": 0, "missing": []}
        assert json.loads(made.kept.results())["cities"]["answered"] == list(gates.CITIES)
        assert {city for _, city, _ in made.sent} == {"east", "west"}
        assert made.states() == [["answered"]] * 3
        assert not list((place / "out" / "north").iterdir())


def test_a_city_by_files_that_is_given_up_is_missing_and_its_folder_is_emptied(tmp_path: Path) -> None:
    with town(tmp_path / "cities", FOUR) as made:
        place = tmp_path / "post"
        run = made.asks(place=str(place), hand=("zenith",))

        def gives_up(_seconds: float) -> None:
            assert list((place / "out" / "zenith").iterdir())
            run.give_up(["zenith"])

        made.engine(gives_up).play(run)
        assert run.over == {"exit": 4, "missing": ["zenith"]}
        assert not list((place / "out" / "zenith").iterdir())
