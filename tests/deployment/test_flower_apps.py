"""Flower's own entry points: a study that its simulation engine asks is the study of one process, and what its command ships is no code.

The engine itself needs Ray, which is no part of a test run: here a grid with Flower's interface hands every message to the client app.
"""

import io
import json
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.cli.build import build_fab_from_files
from flwr.common.config import get_fab_config
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp.grid import Grid
from flwr.supercore.run import Run

from coordinator import link_flower as host
from coordinator import roster, split
from coordinator.exchange import Failure, exchange
from node import link_flower as city
from node import simulated
from node.running import SOCKET
from node.serve import listening
from protocols import study as studies
from protocols.errors import ConfigError
from protocols.flower import MESSAGE_TYPE
from simulations import cli as simulate
from simulations import world
from simulations.gate_process import following
from tests import gates
from tests.architecture.source import ROOT
from tests.deployment.stage import in_thread, told
from tests.system.test_programs import called

FIRST: Final = 4_000_000_000  # of the node ids, which say nothing about numbers
RUN: Final = Run.create_empty(run_id=7)


@dataclass
class Calls(Grid):
    """A grid of Flower's, whose nodes are calls of the client app. `lost`: numbers of nodes that never answer."""

    nodes: int
    lost: frozenset[int] = frozenset()
    waiting: dict[str, Message] = field(default_factory=dict)
    asked: list[Message] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return RUN

    def get_node_ids(self) -> list[int]:
        return [FIRST - number for number in range(self.nodes)]

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=node, public_key=b"%032d" % node) for node in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        pushed = list(messages)
        for each in pushed:
            each.metadata.__dict__["_message_id"] = f"m{len(self.asked)}"
            self.asked.append(each)
            self.waiting[each.metadata.message_id] = each
        return [each.metadata.message_id for each in pushed]

    def set_run(self, run: Run) -> NoReturn:
        raise AssertionError(run)

    def create_message(self, *_arguments: Any, **_more: Any) -> NoReturn:
        raise AssertionError(_more)

    def send_and_receive(self, *_arguments: Any, **_more: Any) -> NoReturn:
        raise AssertionError(_more)

    def pull_messages(self, names: Iterable[str]) -> list[Message]:
        found = []
        for name in [each for each in names if each in self.waiting]:
            message = self.waiting.pop(name)
            number = FIRST - message.metadata.dst_node_id
            if number not in self.lost:
                found.append(city.app(message, context({}, number)))
        return found


def context(config: dict[str, Any], number: int | None = None) -> Context:
    own: dict[str, Any] = {} if number is None else {"partition-id": number, "num-partitions": 3}
    return Context(run_id=RUN.run_id, node_id=1, node_config=own, state=RecordDict(), run_config=config)


@pytest.fixture
def ready(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three tiny cities, prepared as for Flower's simulation engine. Two gates listen already; the client app starts the third."""
    place = tmp_path_factory.mktemp("f")
    monkeypatch.chdir(place)
    gates.write(place / "cities")
    done = called(simulate, "prepare", "cities/study.yaml", "--cities", "cities", "--out", "r", "--seed", 5, "--json")
    assert done.exit_code == 0, done.stderr
    around = json.loads(done.stdout)["environment"]
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    homes, base = Path(around[city.HOMES]), Path(around["HPFED_HOME"])
    held, clock, source = roster.signed(base), world.Clock(world.SEEDED_START), world.source_of(5)
    with ExitStack() as stack:
        stack.callback(simulated.close)
        for name in gates.CITIES[:2]:
            party = world.party_of(place / "cities" / name)
            opens = partial(world.gate, party, held, homes, base, clock(), source, by_hand=False)
            stack.enter_context(in_thread(opens, homes / name / "gate.sock", clock, following))
        yield place
    assert simulated.STARTED == {}


def config(place: Path, **more: Any) -> dict[str, Any]:
    """What `--run-config` says."""
    return {"study": str(place / "cities" / "study.yaml"), "out": str(place / "out"), "timeout-s": 60, **more}


def test_flower_s_own_command_gives_the_result_of_one_process_with_the_same_seed(ready: Path) -> None:
    """Server app, client app and gates in processes; noise is the cities' own, and a seed makes it the same. Asked again it asks nobody."""
    grid = Calls(3)
    host.app(grid, context(config(ready)))
    assert [told.parent.name for told in simulated.STARTED] == [gates.CITIES[2]]
    study = split.stated(studies.load(ready / "cities" / "study.yaml"))
    here = world.run(study, ready / "cities", ready / "here", seed=5)
    results = (ready / "out" / "results.json").read_bytes()
    assert results == here.results
    assert json.loads(results)["privacy"]["mode"] == "dp"
    assert {each.metadata.message_type for each in grid.asked} == {MESSAGE_TYPE}
    asked = len(grid.asked)
    (ready / "out" / "results.json").unlink()
    host.app(grid, context(config(ready)))
    assert ((ready / "out" / "results.json").read_bytes(), len(grid.asked)) == (results, asked)


def message(content: RecordDict) -> Message:
    return make_message(host._about(RUN.run_id, FIRST, 60.0, None), content)


def test_a_client_app_hands_an_envelope_to_the_gate_of_its_home_and_everything_else_gets_a_constant_no(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("h")
    monkeypatch.delenv(city.HOMES, raising=False)
    sent = RecordDict({"hpf": ConfigRecord({"e": b"asked"})})
    strange = [RecordDict({"hpf": ConfigRecord({})}), RecordDict({"hpf": ConfigRecord({"e": "text"})}), RecordDict()]
    no = Error(2, "gate")
    for homeless in (True, False):
        if not homeless:
            monkeypatch.setenv("HPFED_HOME", str(home))
        reply = city.app(message(sent), context({}))  # nobody listens there
        assert (reply.error.code, reply.error.reason) == (no.code, no.reason)
    with listening(home / SOCKET) as served:
        answers = threading.Thread(target=served.answer, args=(told, lambda: 0))
        answers.start()
        assert dict(city.app(message(sent), context({})).content["hpf"]) == {"e": b"deksa"}
        for each in strange:
            reply = city.app(message(each), context({}, number=1))
            assert (reply.error.code, reply.error.reason) == (no.code, no.reason)
        served.stop()
        answers.join()


def test_a_simulated_node_whose_home_is_not_there_is_a_city_that_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(city.HOMES, str(tmp_path))
    run = host.GivenRun(Calls(1), RUN.run_id, None, {"east": (FIRST,)})
    link = host.FlowerExchange(lambda: run)
    assert exchange(link, "ping", {"east": b"who", "west": b"who"}, 5.0) == {
        "east": Failure("crashed"),
        "west": Failure("not_enrolled"),
    }
    link.close()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "study"),
        ({"study": "s.yaml", "out": "", "timeout-s": 1}, "out"),
        ({"study": "s.yaml", "out": "o", "timeout-s": 0}, "timeout-s"),
        ({"study": "s.yaml", "out": "o", "timeout-s": True}, "timeout-s"),
    ],
)
def test_a_run_that_is_not_told_what_it_needs_says_so(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as told_:
        host.app(Calls(0), context(config))
    assert (told_.value.code, told_.value.values) == ("APP_CONFIG", {"key": key})


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # raised in Flower's own builder
def test_what_flower_s_command_ships_of_this_project_is_no_code() -> None:
    files = {
        path.relative_to(ROOT).as_posix(): path
        for name in ("*.toml", "*.md", "*/**/*.py", "*/**/*.md", "*/**/*.yaml")
        for path in ROOT.glob(name)
        if path.relative_to(ROOT).parts[0][0] != "."
    }
    assert len([name for name in files if name.endswith(".py")]) > 300
    content, _ = build_fab_from_files(files)
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["pyproject.toml", "README.md", ".info/CONTENT"]
    assert set(get_fab_config(content)["tool"]["flwr"]["app"]["config"]) == {"study", "out", "timeout-s"}
