"""`hpfed-coordinator study run | watch | results` where an engine runs: what people type, and what becomes of it."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from coordinator import asked, supervisor
from coordinator import cli as coordinator
from coordinator.askers import signature_beside
from coordinator.deployed import links
from coordinator.engine import Engine
from protocols.errors import Refusal
from tests.deployed.test_engine import Town, town
from tests.deployed.test_enrolment import at
from tests.system.test_programs import called

ALSO = ("--accept-noisy", "--lang", "en")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Cities, a signed study beside them, and a home whose engine says that it is there."""
    monkeypatch.chdir(tmp_path)
    with town(tmp_path / "cities") as found:
        signature_beside(Path("cities/study.yaml")).write_bytes(found.world.signed)
        for module in ("links", "run", "cli"):
            monkeypatch.setattr(f"coordinator.deployed.{module}.now", found.clock)
        monkeypatch.setattr(links, "LOOK_S", 0.01)
        found.engine().tell()
        yield found


def plays(made: Town) -> threading.Thread:
    """An engine that plays what was asked, once, beside the command that waits."""
    served: Engine = made.engine()

    def work() -> None:
        while not (found := asked.found(made.home)):
            pass
        served.played(found[0])

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def runs(made: Town, *words: object) -> Any:
    return called(coordinator, "study", "run", "cities/study.yaml", "--home", made.home, *words, *ALSO)


def test_a_study_is_waited_for_written_and_the_second_time_only_written(made: Town) -> None:
    engine = plays(made)
    done = runs(made, "--out", "out")
    engine.join(20)
    assert (done.exit_code, done.stdout) == (0, "tiny-study  result  out\n")
    assert "tiny-study  survivors" in done.stderr or "tiny-study  asked" in done.stderr
    events = [json.loads(line)["event"] for line in Path("out/run.jsonl").read_bytes().splitlines()]
    assert {"offer", "confirms", "attest"} <= set(events)
    assert at(coordinator, "report", "verify", "out", "--roster", made.home / "roster.json")["holds"]
    sent = len(made.sent)
    assert runs(made, "--out", "again").exit_code == 0
    assert at(coordinator, "study", "results", "cities/study.yaml", "--out", "third", "--home", made.home)
    assert Path("again/results.json").read_bytes() == Path("third/results.json").read_bytes()
    assert (len(made.sent), asked.found(made.home)) == (sent, [])


def test_whoever_does_not_wait_leaves_it_running_and_is_told_how_to_look(
    made: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = runs(made, "--detach")
    assert (done.exit_code, "study results" in done.stdout) == (0, True)
    (run,) = asked.found(made.home)
    run.waits(asked.State("offer", made.clock(), {"east": "pending", "west": "unreachable"}))
    watch = called(coordinator, "study", "watch", "--home", made.home, "--lang", "en")
    assert watch.stdout == "tiny-study  waits for approval  east (to be decided there), west (not connected)\n"

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    done = runs(made, "--out", "out", "--without", "west")
    assert (done.exit_code, "goes on" in done.stdout) == (130, True)
    (run,) = asked.found(made.home)
    assert run.without == {"west"}


def test_a_study_that_cities_decline_ends_with_3_and_their_words(made: Town) -> None:
    run = made.asks()
    run.ended(Refusal("CITY_DECLINED", city="east", codes="POLICY_MODE", limits=""))
    assert asked.found(made.home) == []
    done = called(coordinator, "study", "watch", "--home", made.home, "--lang", "zh")
    assert done.stdout == "没有进行中的研究\n"
    with pytest.raises(typer.Exit) as left:
        links.stopped(run.over or {}, "zh", as_json=False)
    assert left.value.exit_code == 3
    again = made.asks()
    assert again.over is None  # it may be asked once more


def test_what_cannot_be_asked_is_said_before_anybody_is(made: Town) -> None:
    def code(*words: object) -> tuple[int, str]:
        done = called(coordinator, "study", "run", "cities/study.yaml", "--home", made.home, *words, "--json")
        return done.exit_code, json.loads(done.stdout)["error"]["code"] if done.stdout else ""

    assert code("--out", "out", "--wait", "soon") == (2, "WAIT")
    assert code("--detach", "--files", "post", "--by-files", "nowhere") == (2, "STUDY_CITIES")
    assert code() == (2, "")
    assert code("--detach", "--by-files", "west") == (2, "")
    signature_beside(Path("cities/study.yaml")).unlink()
    assert code("--out", "out") == (2, "STUDY_UNSIGNED")
    (made.home / supervisor.ENGINE).unlink()
    signature_beside(Path("cities/study.yaml")).write_bytes(made.world.signed)
    assert code("--out", "out") == (2, "ENGINE_AWAY")
    assert (asked.found(made.home), made.sent) == ([], [])


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("90m", 5400), ("12h", 43_200), ("14d", 1_209_600)])
def test_times_are_written_as_people_say_them(text: str, seconds: int) -> None:
    assert links.seconds(text) == seconds
