"""Studies and kills, over real processes."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator.exchange import Attended, Failure, exchange
from coordinator.port import counted
from coordinator.watched import Watched
from node.held import ROSTER
from node.link import UNAUTHORISED
from node.serve import Stats, stats
from protocols import study as studies
from protocols.clock import wall_ms
from protocols.logfile import Log
from protocols.logged import Event, Line
from protocols.measured import COORDINATOR, Figures
from protocols.messages import Kind
from protocols.roster import self_declared
from simulations import world
from simulations.children import command_of, descendants, until
from tests import gates
from tests.deployment.stage import CITIES, LOOPBACK, TIME_S, Stage, control, peers

EXACT: Final = gates.STUDY.replace("mode: dp, epsilon: 1.0", "mode: exact")
POLICY: Final = (
    "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 5, min_cohort_by_city: 5, min_pooled: 1, min_cell: 1}\n"
)


CANARY: Final = 481_000  # yuan, and more for each row
# --- a study


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Four cities that answer a study in mode exact; their rows are full of canaries."""
    gates.write(
        tmp_path / "cities", rows=40, study=EXACT + "  - {id: balance, kind: mean, of: balance}\n", cities=CITIES
    )
    with (tmp_path / "cities" / "dictionary.yaml").open("a", encoding="utf-8") as file:
        file.write("  balance: {type: money, unit: CNY, range: [0, 800000]}\n")
    for at, city in enumerate(CITIES):
        place = tmp_path / "cities" / city
        (place / "policy.yaml").write_text(POLICY, encoding="utf-8")
        with (place / "mapping.yaml").open("a", encoding="utf-8") as file:
            file.write("  balance: {from: main.balance, unit: 元}\n")
        head, *rows = (place / "data" / "rows.csv").read_text(encoding="utf-8").splitlines()
        rows = [f"CANARY{row},{CANARY + 100 * at + number}.37,王金丝雀{number}" for number, row in enumerate(rows)]
        (place / "data" / "rows.csv").write_text("\n".join([f"{head},balance,name", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def canaries(said: str) -> list[str]:
    """Those that stand in a text: parts of keys, names, and amounts in yuan or fen."""
    amount = rf"(?<![0-9a-f]){CANARY // 1000}\d\d\d(?:\.?37)?(?![0-9a-f])"  # and no part of a digest
    return re.findall(rf"(?i)canary|王|金丝雀|{amount}", said)


@pytest.mark.usefixtures("watching")
# Linux tells in /proc who is connected to whom; where there is none, the rest of the federation is tested all the same.
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs /proc to look at connections")
def test_four_real_nodes_give_the_bytes_of_one_process_and_connect_to_nothing_but_the_gateway(
    stage: Stage, tiny: Path
) -> None:
    asked = studies.load(tiny / "cities" / "study.yaml")
    seen: dict[str, set[tuple[str, int]]] = {"link": set(), "gate": set()}
    said, engine, figures = dict[str, list[bytes]](), list[Line](), Figures(COORDINATOR)

    @contextmanager
    def watched(sockets: Any) -> Iterator[Any]:
        with stage.links(sockets) as link:
            yield Watched(link, Log(wall_ms, engine.append, figures.heard))
        for city in CITIES:
            seen["link"] |= peers(stage.federation.children[city].pid)
            assert stats(sockets[city], 5) == Stats(0, 0, 1.0)  # mode exact costs no epsilon
            said[city] = [
                sockets[city].with_suffix(".said").read_bytes(),
                stage.federation.children[city].said.read_bytes(),
            ]
        said["host"] = [stage.federation.children[name].said.read_bytes() for name in ("superlink", "gateway")]

    here = world.run(asked, tiny / "cities", tiny / "here", seed=3)
    there = world.run(asked, tiny / "cities", tiny / "there", seed=3, links=watched)
    assert json.loads(there.results)["privacy"]["mode"] == "exact"
    assert there.results == here.results
    assert there.missing == ()
    assert {port for _, port in seen["link"]} == {stage.federation.gateway.port}
    assert {address for address, _ in seen["link"]} == {LOOPBACK}
    # Every process of it has written lines, and none of them, nor a figure, holds anything of a row.
    assert len(canaries((tiny / "cities" / "east" / "data" / "rows.csv").read_text(encoding="utf-8"))) > 100
    counted(figures, Path(stage.federation.gateway.counted))
    kept = {name: captured(*each) for name, each in said.items()}
    text = "".join(each.text() + "\n" for each in (*engine, *(line for lines in kept.values() for line in lines)))
    assert canaries(text + figures.text()) == []
    assert canaries("".join(part.decode() for each in said.values() for part in each)) == []
    for path in stage.federation.children["superlink"].said.parent.rglob("*"):
        assert not path.is_file() or canaries(path.read_bytes().decode("latin-1")) == [], path.name
    for city in CITIES:
        gate, link = ([each.step for each in captured(part) if each.event is Event.ANSWERED] for part in said[city])
        assert (gate.count(Kind.MASKED), Kind.MASKED in link) == (1, True)
    assert {each.event for each in kept["host"]} >= {Event.FLWR, Event.STARTED}
    assert figures.value("hpfed_exchange_seconds", "deliver") is not None
    assert (figures.value("hpfed_gateway_requests_total", "push-messages", "200") or 0) >= len(CITIES)


def captured(*said: bytes) -> list[Line]:
    """What is kept of what processes wrote."""
    kept: list[Line] = []
    for each in said:
        Log(wall_ms, kept.append).capture(each.splitlines())
    return kept


@dataclass
class Before:
    """An exchange before one step of which something happens, once."""

    link: Attended
    kind: str
    act: Callable[[], None]
    done: bool = False

    def present(self) -> frozenset[str]:
        return self.link.present()

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        if kind == self.kind and not self.done:
            self.done = True
            self.act()
        return self.link.each(kind, requests, timeout_s)

    def close(self) -> None:
        """The federation closes it."""


def gate_of(city: str) -> int:
    """The gate process of a city."""
    (pid,) = [each for each in descendants(os.getpid()) if command_of(each).endswith(f"/{city}.json\0".encode())]
    return pid


# The gate is a grandchild: only /proc says whose child it is, and nothing else may be killed.
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a process")
def test_a_gate_that_is_killed_after_its_vector_left_has_spent_once_and_its_numbers_stay_in_the_sum(
    stage: Stage, tiny: Path
) -> None:
    """kill -9 between masked and confirm. The same bytes as in one process, where the city falls silent at that step."""
    text = gates.STUDY.replace("dropouts: 0", "dropouts: 1")
    (tiny / "cities" / "study.yaml").write_text(text, encoding="utf-8")
    asked = studies.load(tiny / "cities" / "study.yaml")

    @contextmanager
    def killing(sockets: Any) -> Iterator[Attended]:
        with stage.links(sockets) as link:
            yield Before(link, "survivors", lambda: os.kill(gate_of("south"), signal.SIGKILL))

    lost = (world.drop("south@confirm"),)
    here = world.run(asked, tiny / "cities", tiny / "here", seed=3, drops=lost)
    there = world.run(asked, tiny / "cities", tiny / "there", seed=3, links=killing)
    assert there.results == here.results
    assert json.loads(there.results)["cities"]["answered"] == list(CITIES)
    assert [states(tiny / "cities" / "south", tiny / each) for each in ("here", "there")] == [["spent"], ["spent"]]


def states(folder: Path, homes: Path) -> list[str]:
    """What a city's books say of its conversations, after they were opened again."""
    base, clock = world.coordinator_home(folder.parent, homes), world.Clock(world.SEEDED_START + 60)
    party = world.party_of(folder)
    roster = self_declared((world.home(folder, homes) / ROSTER).read_bytes())
    with world.gate(party, roster, homes, base, clock(), world.source_of(4), by_hand=True) as gate:
        return [each.state for each in gate.ledger.view(clock()).reservations]


# --- kills


def test_a_link_that_is_killed_is_back_at_once_and_its_city_answers_the_same_request(stage: Stage) -> None:
    """kill -9 while the gate computes: the SuperLink believes the node online, and the request is sent again."""
    child, calls = stage.federation.children["south"], list[bytes]()

    def answer(content: bytes, _now: int) -> bytes | None:
        if not calls:
            child.kill()
        calls.append(content)
        return b"stored"

    ends, began = child.ends, time.monotonic()
    with stage.answering(answer) as link:
        assert exchange(link, "ping", {"south": b"ask"}, TIME_S) == {"south": b"stored"}
    assert child.ends == ends + 1
    assert calls == [b"ask", b"ask"]
    assert time.monotonic() - began < 25


def test_a_node_that_is_unregistered_is_cut_off_until_a_superlink_that_was_killed_is_given_back_its_roster(
    stage: Stage,
) -> None:
    """The link says why it ended. A kill -9 of the SuperLink, in the middle of an exchange, costs time and nothing else."""
    from flwr.proto.control_pb2 import UnregisterNodeRequest

    federation = stage.federation
    run = federation.exchange._run
    assert run is not None
    child, superlink = federation.children["north"], federation.children["superlink"]
    ends = child.ends
    with control(stage) as client:
        client.UnregisterNode(UnregisterNodeRequest(node_id=run.nodes["north"][0]))
    assert until(lambda: child.ends > ends, 10.0)
    assert child.status == UNAUTHORISED
    calls: list[bytes] = []

    def answer(content: bytes, _now: int) -> bytes | None:
        if content == b"open" and b"open" not in calls:
            superlink.kill()
        calls.append(content)
        return content[::-1]

    with stage.answering(answer) as link:
        found = exchange(link, "ping", {"north": b"a", "south": b"b"}, 8.0)
        assert found == {"north": Failure("unreachable"), "south": b"b"}
        federation.exchange.renew()
        found = exchange(link, "ping", {"north": b"a", "south": b"b"}, TIME_S)
        assert found == {"north": Failure("not_enrolled"), "south": b"b"}
        runs, killed = federation.exchange.runs, superlink.ends
        others = [city for city in CITIES if city != "north"]
        found = exchange(link, "ping", dict.fromkeys(others, b"open"), 90.0)
        assert found == dict.fromkeys(others, b"nepo")
        assert (superlink.ends, federation.exchange.runs > runs) == (killed + 1, True)
        assert until(lambda: link.present() == set(CITIES), TIME_S)
        assert exchange(link, "ping", {"north": b"back"}, TIME_S) == {"north": b"kcab"}
