"""Studies, strangers, bundles and kills, over real processes."""

import io
import json
import os
import signal
import socket
import ssl
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator.exchange import Attended, Failure, exchange
from coordinator.superlink import HOST
from node.link import UNAUTHORISED
from node.station import ROSTER
from protocols import study as studies
from protocols.roster import self_declared
from simulations import world
from simulations.children import command_of, descendants, until
from tests import gates
from tests.deployment.stage import CITIES, Stage

TIME_S: Final = 40.0
EXACT: Final = gates.STUDY.replace("mode: dp, epsilon: 1.0", "mode: exact")
POLICY: Final = (
    "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 5, min_cohort_by_city: 5, min_pooled: 1, min_cell: 1}\n"
)


def told(content: bytes, _now: int) -> bytes | None:
    return content[::-1]


# --- a study


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Four cities that answer a study in mode exact."""
    gates.write(tmp_path / "cities", rows=40, study=EXACT, cities=CITIES)
    for city in CITIES:
        (tmp_path / "cities" / city / "policy.yaml").write_text(POLICY, encoding="utf-8")
    return tmp_path


def peers(pid: int) -> set[tuple[str, int]]:
    """Where the TCP connections of a process go: hexadecimal address and port; (`-`, 0) for a socket that listens."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(each) if each.exists() or each.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                address, port = fields[2].split(":")
                found.add((address, int(port, 16)) if int(port, 16) else ("-", 0))
    return found


LOOPBACK: Final = f"{int.from_bytes(socket.inet_aton(HOST), sys.byteorder):08X}"  # as /proc writes it


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs /proc to look at connections")
def test_four_real_nodes_give_the_bytes_of_one_process_and_connect_to_nothing_but_the_gateway(
    stage: Stage, tiny: Path
) -> None:
    asked = studies.load(tiny / "cities" / "study.yaml")
    seen: dict[str, set[tuple[str, int]]] = {"link": set(), "gate": set()}

    @contextmanager
    def watched(sockets: Any) -> Iterator[Any]:
        with stage.links(sockets) as link:
            yield link
        for city in CITIES:
            seen["link"] |= peers(stage.federation.children[city].pid)

    here = world.run(asked, tiny / "cities", tiny / "here", seed=3)
    there = world.run(asked, tiny / "cities", tiny / "there", seed=3, links=watched)
    assert json.loads(there.results)["privacy"]["mode"] == "exact"
    assert there.results == here.results
    assert there.missing == ()
    assert {port for _, port in seen["link"]} == {stage.federation.gateway.port}
    assert {address for address, _ in seen["link"]} == {LOOPBACK}


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


# --- strangers


@pytest.fixture
def trusted(stage: Stage) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(stage.federation.superlink.ca))


@contextmanager
def line(stage: Stage, trusted: ssl.SSLContext) -> Iterator[socket.socket]:
    """A TLS connection through the public port, without a key."""
    gateway = stage.federation.gateway
    with (
        socket.create_connection((gateway.host, gateway.port), TIME_S) as plain,
        trusted.wrap_socket(plain, server_hostname=HOST) as spoken,
    ):
        yield spoken


def status(stage: Stage, trusted: ssl.SSLContext, head: bytes, body: bytes = b"") -> int:
    """What a request is answered with, as its bytes stand here."""
    with line(stage, trusted) as spoken:
        spoken.sendall(head + body)
        answer = spoken.recv(4096)
        return int(answer.split(b" ", 2)[1])


def asking(path: bytes, body: bytes = b"", more: bytes = b"") -> bytes:
    length = b"content-length: %d\r\n" % len(body)
    return (
        b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/protobuf\r\n%s%s\r\n" % (path, length, more) + body
    )


def control(stage: Stage) -> Any:
    """The control API, straight at loopback."""
    from coordinator.link_flower import control_of

    return control_of(stage.federation.superlink)


def known(stage: Stage) -> tuple[set[int], set[int]]:
    """Nodes and runs of the SuperLink."""
    from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest

    with control(stage) as client:
        nodes = {node.node_id for node in client.ListNodes(ListNodesRequest()).nodes_info}
        return nodes, set(client.ListRuns(ListRunsRequest()).run_dict)


def hostile(mark: Path) -> bytes:
    """A bundle whose import writes a file."""
    code = f"open({str(mark)!r}, 'w').write('ran')\nfrom flwr.clientapp import ClientApp\napp = ClientApp()\n"
    pyproject = (
        '[project]\nname = "evil"\nversion = "1.0.0"\nlicense = "Apache-2.0"\ndependencies = ["flwr==1.41.0"]\n\n'
        '[tool.flwr.app]\npublisher = "evil"\n\n'
        '[tool.flwr.app.components]\nserverapp = "evil:app"\nclientapp = "evil:app"\n\n[tool.flwr.app.config]\n'
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        zipped.writestr("evil.py", code)
        zipped.writestr("pyproject.toml", pyproject)
    return content.getvalue()


def test_a_stranger_reaches_neither_control_nor_runtime_and_loopback_alone_would_have_let_him(
    stage: Stage, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    from flwr.proto.control_pb2 import StartRunRequest, StopRunRequest
    from flwr.proto.fab_pb2 import Fab

    before = known(stage)
    content = hostile(tmp_path / "ran")
    start = StartRunRequest(fab=Fab(hash_str=sha256(content).hexdigest(), content=content))
    bodies = {b"/v1/control/start-run": start.SerializeToString()}
    for path in (
        *(b"/v1/control/" + name for name in (b"start-run", b"register-node", b"unregister-node", b"stop-run")),
        *(b"/v1/control/" + name for name in (b"list-runs", b"stream-logs")),
        *(b"/v1/runtime/" + name for name in (b"acquire-task", b"pull-task-input", b"push-logs", b"get-nodes")),
        *(b"/v1/fleet/" + name for name in (b"register-node", b"unregister-node", b"get-run", b"get-fab")),
        b"/v1/runtime/push-task-output",
        b"/v1/fleet/../control/start-run",
        b"/v1/fleet/%2e%2e/control/list-runs",
        b"//v1/control/list-runs",
        b"https://x/v1/control/list-runs",
        b"/v1/fleet/pull-messages?x=1",
    ):
        assert status(stage, trusted, asking(path, bodies.get(path, b""))) == 404, path
    assert known(stage) == before
    with control(stage) as client:  # the same call, and the filter is what stopped it
        run = client.StartRun(start).run_id
        assert run in known(stage)[1]
        client.StopRun(StopRunRequest(run_id=run))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("head", "codes"),
    [
        (asking(b"/v1/fleet/pull-messages", b"", b"content-length: 7\r\n"), {400}),
        (asking(b"/v1/fleet/pull-messages\x00"), {400, 404}),
        (asking(b"/v1/fleet/pull-messages", b"", b"x: " + b"y" * 20_000 + b"\r\n"), {400, 404}),
        (b"\x16\x03\x01 no request at all\r\n\r\n", {400}),
    ],
)
def test_what_is_no_request_is_told_so(stage: Stage, trusted: ssl.SSLContext, head: bytes, codes: set[int]) -> None:
    assert status(stage, trusted, head) in codes


def test_a_listed_path_needs_the_key_of_the_node_that_it_speaks_for(stage: Stage, trusted: ssl.SSLContext) -> None:
    from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest
    from flwr.proto.node_pb2 import Node
    from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes

    node = min(known(stage)[0])
    pull = PullMessagesRequest(node=Node(node_id=node)).SerializeToString()
    assert status(stage, trusted, asking(b"/v1/fleet/pull-messages", pull)) == 401
    own = generate_key_pairs()
    shown = ActivateNodeRequest(public_key=public_key_to_bytes(own[1]), heartbeat_interval=30).SerializeToString()
    assert status(stage, trusted, asking(b"/v1/fleet/pull-messages", pull, signed(own, 0))) == 401
    assert status(stage, trusted, asking(b"/v1/fleet/activate-node", shown, signed(own, 0))) in (401, 412)
    assert status(stage, trusted, asking(b"/v1/fleet/activate-node", shown, signed(own, 310))) == 401


def signed(keys: Any, ago_s: float) -> bytes:
    """Headers of Flower's node authentication, made so many seconds ago."""
    from base64 import b64encode
    from datetime import timedelta

    from flwr.common.constant import TIMESTAMP_HEADER
    from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
    from flwr.supercore.date import now
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message

    at = (now() - timedelta(seconds=ago_s)).isoformat()
    headers = {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(keys[1])).decode(),
        TIMESTAMP_HEADER: at,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(keys[0], at.encode("ascii"))).decode(),
    }
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def test_a_long_body_and_slow_headers_are_cut_off_and_cities_still_answer(
    stage: Stage, trusted: ssl.SSLContext
) -> None:
    long = b"content-length: %d\r\n\r\n" % (9 << 20)
    head = b"POST /v1/fleet/push-object HTTP/1.1\r\nhost: x\r\ncontent-type: application/protobuf\r\n" + long
    with line(stage, trusted) as spoken, line(stage, trusted) as slow:
        slow.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: ")
        began = time.monotonic()
        spoken.sendall(head)
        with suppress(OSError):  # it need not hear us out
            for _ in range(9):
                spoken.sendall(bytes(1 << 20))
        assert spoken.recv(4096).split(b" ", 2)[1] == b"413"
        with stage.answering(told) as link:
            assert exchange(link, "ping", {"west": b"still"}, TIME_S) == {"west": b"llits"}
        slow.settimeout(20)
        with suppress(ConnectionResetError):
            assert slow.recv(100) == b""
        assert 8 < time.monotonic() - began < 25


# --- a party that owns the SuperLink


def test_a_hostile_bundle_is_never_fetched_and_its_messages_get_a_constant_no(stage: Stage, tmp_path: Path) -> None:
    """He starts a run of his own on loopback, with the secret of the SuperLink, and sends every node what a training round would."""
    from flwr.app import ArrayRecord, ConfigRecord, Message, Metadata, RecordDict
    from flwr.app.message import make_message
    from flwr.supercore.date import now as flower_now

    from coordinator import link_flower

    mark, content = tmp_path / "ran", hostile(tmp_path / "ran")
    asked: list[bytes] = []

    def answer(content: bytes, _now: int) -> bytes | None:
        asked.append(content)
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_flower, "bundle", lambda: content)
        listed = {city: (key,) for city, key in stage.federation.keys.items()}
        run = link_flower.courier_run(stage.federation.superlink, listed)
    sent = {
        "train": RecordDict({"weights": ArrayRecord(), "config": ConfigRecord({"lr": 0.1, "__import__": "os"})}),
        "query.hpf": RecordDict({"hpf": ConfigRecord({"e": b"x", "more": 1})}),
    }
    with stage.answering(answer):
        names: list[str] = []
        for node, (kind, said) in zip(run.nodes.values(), [*sent.items()] * 2, strict=True):
            about = Metadata(
                run.run_id, "", 1, node, "", "", flower_now().timestamp(), TIME_S, kind, src_task_id=run.task_id
            )
            names += run.grid.push_messages([make_message(about, said)])
        came: list[Message] = []
        while len(came) < len(names):
            answered = {each.metadata.reply_to_message_id for each in came}
            came += run.grid.pull_messages([name for name in names if name not in answered])
        assert [each.error.reason for each in came if each.has_error()] == ["gate"] * len(names)
        run.close()
        assert exchange(stage.exchange, "ping", dict.fromkeys(CITIES, b"fine"), TIME_S) == dict.fromkeys(
            CITIES, b"fine"
        )
    assert asked == [b"fine"] * len(CITIES)
    assert not mark.exists()


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
        client.UnregisterNode(UnregisterNodeRequest(node_id=run.nodes["north"]))
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
