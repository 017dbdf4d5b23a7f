"""kill -9 of each process at each moment of a study, over real links: a result, a part of one, or too few cities; one charge per vector.

SuperLink, gateway and links are processes of the federation, and so is the gate that is killed. Gates that nobody kills listen in threads.
An engine that dies is one that is left at that moment, with its log, and another one that begins: the kill of its process is in the tests
of a coordinator's host.
"""

import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from coordinator import asked, roster, split
from coordinator.asked import Task
from coordinator.deployed.cli import now
from coordinator.engine import Engine
from coordinator.exchange import Attended, Failure
from coordinator.store import store
from node.ledger import FILE
from node.serve import GateAwayError, stats
from protocols import messages
from protocols import study as studies
from protocols.approval import sign_study
from protocols.entropy import operating_system
from protocols.errors import IncompleteError
from protocols.study import Study
from simulations import world
from simulations.children import Child, all_of
from simulations.federation import Place, folder, own_environment
from tests import gates
from tests.deployment.stage import CITIES, Stage, in_thread

VICTIM: Final = "south"
PROCESSES: Final = ("gate", "link", "superlink", "gateway", "engine")
MOMENTS: Final = {  # the request at which it happens, and whether before it is sent or when the first city has answered it
    "offer": ("offer", False),
    "reserved": ("open", False),
    "spent": ("deliver", False),
    "masked sent": ("survivors", True),
    "confirm": ("survivors", False),
    "reveal": ("confirms", False),
    "count": ("count", False),
}
BACK_S: Final = 90.0
RETRIES: Final = 2  # of a policy
STUDY: Final = (
    gates.STUDY.replace("dropouts: 0", "dropouts: 1")
    .replace("epsilon: 1.0", "epsilon: 0.05")
    .replace("as_of:", "release: both\nas_of:")
)


class Crash(BaseException):
    """The engine's process dies."""


@dataclass
class Killing:
    """The exchange of the federation; `act` happens once, at a moment. `left`: of each city and conversation, the vectors that left it."""

    link: Attended
    kind: str
    before: bool
    act: Callable[[], None]
    done: bool = False
    left: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)

    def present(self) -> frozenset[str]:
        return self.link.present()

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        if self.before:
            self._now(kind)
        for city, reply in self.link.each(kind, requests, timeout_s):
            if isinstance(reply, bytes) and kind == "deliver":
                self.left.setdefault((city, messages.peek(reply).conversation), set()).add(reply)
            yield city, reply
            self._now(kind)

    def _now(self, kind: str) -> None:
        if kind == self.kind and not self.done:
            self.done = True
            self.act()

    def close(self) -> None:
        """The federation closes it."""


@dataclass
class Town:
    """Four cities behind the links of the federation, and the home of a coordinator."""

    stage: Stage
    place: Path
    base: Path
    sign: Callable[[Study], bytes]
    places: Mapping[str, Place]
    gates: dict[str, ExitStack] = field(default_factory=dict)
    mortal: dict[str, Child] = field(default_factory=dict)

    def study(self, title: str) -> Study:
        """One of its own: of its own name, and charged by itself."""
        text = STUDY.replace("en: Tiny", f"en: {title}").replace("tiny-study", title.replace(" ", "-"))
        (self.place / "cities" / "study.yaml").write_text(text, encoding="utf-8")
        return split.stated(studies.load(self.place / "cities" / "study.yaml"))

    def kill(self, process: str) -> None:
        if process == "engine":
            raise Crash
        children = self.mortal if process == "gate" else self.stage.federation.children
        children[VICTIM if process in ("gate", "link") else process].kill()

    def linked(self) -> bool:
        """Every link is there."""
        return self.stage.exchange.present() >= set(CITIES)

    def whole(self) -> bool:
        """Everything runs."""
        try:
            answers = [stats(path, 1.0) for path in self.stage.sockets.values()]
        except GateAwayError:
            return False
        return len(answers) == len(CITIES) and self.linked()

    def entries(self, city: str, study: Study) -> list[dict[str, object]]:
        """What the books of a city say of a study."""
        path = self.place / "homes" / city / FILE
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            found = [json.loads(body) for (body,) in db.execute("SELECT body FROM entries ORDER BY seq")]
        of = {
            each["claim"]["conversation"]
            for each in found
            if each["kind"] == "reserved" and each["claim"]["study"] == study.digest
        }
        return [each for each in found if each.get("conversation") in of]


@pytest.fixture(scope="module")
def town(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    place = tmp_path_factory.mktemp("k")
    gates.write(place / "cities", rows=40, cities=CITIES)
    loaded = split.stated(studies.load(place / "cities" / "study.yaml"))
    found, homes, clock = world.parties(place / "cities", loaded), place / "homes", world.Clock(None)
    world.ingested(found, homes, None)
    base, source = world.coordinator_home(place / "cities", homes), world.source_of(None)
    held, _, keys = world.consortium(found, loaded, place / "cities", homes, base, clock, source)
    roster.written(base / roster.SIGNED / "1.json", held.file)
    roster.written(base / roster.ROSTER, held.file)
    with ExitStack() as stack:
        places = world.places_of(found, held, homes, base, clock, None, by_hand=False)
        made = Town(stage, place, base, lambda study: sign_study(study, keys["analyst"]), places)
        for party in found:
            opens = partial(world.gate, party, held, homes, base, clock(), source, by_hand=False)
            made.gates[party.city.city] = stack.enter_context(ExitStack())
            made.gates[party.city.city].enter_context(in_thread(opens, stage.sockets[party.city.city], clock))
        yield made
        mended(made.linked)


@pytest.fixture(scope="module")
def mortal(town: Town) -> Iterator[None]:
    """The gate of the victim in a process of its own, which is started again when it ends."""
    town.gates[VICTIM].close()
    with folder() as run:
        told = run / "gate.json"
        town.places[VICTIM].write(told, town.stage.sockets[VICTIM])
        command = [sys.executable, "-m", "simulations.gate_process", str(told)]
        town.mortal[VICTIM] = Child(command, own_environment(), run / "said")
        with all_of([town.mortal[VICTIM]]):
            yield


def mended(holds: Callable[[], bool]) -> None:
    """Wait until it holds. Asking who is there costs the SuperLink as much as a link does."""
    end = time.monotonic() + BACK_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.5)


def look(engine: Engine, seconds: float) -> None:
    time.sleep(seconds)
    engine.seen = engine.link.present()


def played(town: Town, process: str, moment: str) -> tuple[Study, Killing, list[str]]:
    """The study of a cell to its end: the cities in its answer, none where too few came."""
    study = town.study(f"{process} {moment}")
    kind, before = MOMENTS[moment]
    line = Killing(town.stage.exchange, kind, before, lambda: town.kill(process))
    task = Task(study.file.study, study.digest, 1, exact=False, asked=now(), wait_s=int(BACK_S))
    run = asked.ask(town.base, study, task, town.sign(study))
    for _ in range(2):
        engine = Engine(town.base, line, now, operating_system, wait=time.sleep)
        engine.wait, engine.seen = partial(look, engine), line.present()
        try:
            engine.play(run)
        except IncompleteError as few:
            run.ended(few)
            return study, line, []
        except Crash:
            continue
        break
    return study, line, json.loads(store(study, town.base).results())["cities"]["answered"]


# A quarter of an hour: in each cell something is started again. What every run of the tests kills: a gate whose vector has left, an engine
# at every step, a link and the SuperLink in an exchange (test_federation, tests/deployed/test_engine).
@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("process", PROCESSES)
def test_a_kill_costs_at_most_the_city_that_was_killed_and_no_vector_is_charged_twice(
    town: Town, process: str, moment: str, request: pytest.FixtureRequest
) -> None:
    if process == "gate":
        request.getfixturevalue("mortal")
    mended(town.whole)
    study, line, answered = played(town, process, moment)
    assert line.done
    assert set(answered) <= set(CITIES)
    if process != "gate":  # no secret is lost: it costs time, and where a step has too little of it, the round
        assert answered in (list(CITIES), [])
    for vectors in line.left.values():
        assert len(vectors) == 1  # the same bytes, however often they were asked for
    for city in CITIES:
        entries = town.entries(city, study)
        spent = Counter((each["conversation"], each["round"]) for each in entries if each["kind"] == "spent")
        assert set(spent.values()) <= {1}
        conversations = {about for who, about in line.left if who == city}
        assert conversations <= {str(about) for about, _ in spent}
        assert len({about for about, _ in spent}) <= 1 + RETRIES
