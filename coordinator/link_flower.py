"""The exchange over Flower: requests go out in one long run of the SuperLink, and replies come back in it.

The only module of the coordinator that imports flwr. All studies travel in the same courier run, told apart by their envelopes; it is made
anew whenever it is gone, and what was open is sent again, the same bytes. The SuperLink keeps nothing of value: the roster is the truth
about nodes, and the logs of conversations are the truth about studies.

What flwr 1.41 does, and what is done about it:

- its grid retries for ever, and on an answer 401 sends SIGINT to its own process: it is told to try once (`_retry_invoker`), and whoever
  carries decides;
- `send_and_receive` sleeps three seconds between looks, and leaves out silently what did not come: it is not used, and every letter here
  ends in a reply or a `Failure`;
- a run without heartbeats fails after a minute: they go out with everything else;
- the identity of a task is one for a whole process: messages are made with the metadata of their run instead;
- its clients read proxies from the environment: their connection is replaced by one that reads nothing (`_client`).

`app` is the same exchange for Flower's own command: a run that Flower has made, and the grid that it gives (`given`).
"""

import io
import os
import queue
import ssl
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, StartRunRequest, UnregisterNodeRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, SendTaskHeartbeatRequest
from flwr.serverapp import ServerApp
from flwr.serverapp.grid import Grid
from flwr.supercore.constant import NodeStatus, TaskType
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.date import now as flower_now
from flwr.supercore.error import FlowerError
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.logger import FLOWER_LOGGER
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.grid import HttpGrid

from coordinator.exchange import City, Failure, Reason
from coordinator.superlink import SuperLink
from protocols.entropy import operating_system
from protocols.errors import ConfigError
from protocols.flower import MESSAGE_TYPE, NUMBER, RECORD, content_of, records
from protocols.logfile import Heard, Log, silent
from protocols.logged import Event
from protocols.messages import LARGEST
from protocols.roster import Roster

TTL_MORE_S: Final = 60.0  # a message lives so much longer than its step
BEAT_S: Final = 20.0  # Flower fails a run after 60 s without
LOOKS_S: Final = (0.05, 0.5)  # between looks for replies: from, to
LOOKS_GROW: Final = 1.3
AGAIN_S: Final = (
    5.0  # without reply for so long, then twice as long, a request is sent again: the link may have died with it
)
TRY_AGAIN_S: Final = 1.0  # after a failure that may be over at once
BACK_S: Final = (0.5, 1.0, 2.0, 4.0)  # between tries of a SuperLink that is away
CALL_S: Final = 30.0
STARTS_S: Final = 120.0  # until every node of a simulation has said its number
SETTLES_S: Final = 5.0  # after the last of them, for one that is late
LONG_BATCH: Final = 8 << 20  # bytes that are pushed in one go
MANY: Final = (
    16  # messages that are: a link that has a message before its parts are pushed waits for them, and not for long
)
AGAIN_CITY_S: Final = 0.1  # and so much longer for each city: the more there are, the less often each is told to look
BUNDLE_DATE: Final = (2026, 1, 1, 0, 0, 0)

# Flower's error of a message: ours, and whether it may be over at once.
REASONS: Final[Mapping[int, Reason]] = {
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION: "crashed",
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION: "crashed",
    ErrorCode.MESSAGE_UNAVAILABLE: "unreachable",
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: "unreachable",
    ErrorCode.NODE_UNAVAILABLE: "unreachable",
    ErrorCode.MOD_FAILED_PRECONDITION: "incompatible",
    ErrorCode.INVALID_FAB: "incompatible",
    ErrorCode.CLIENT_APP_CRASHED: "crashed",
}
AGAIN: Final = ("unreachable", "crashed")
LOST: Final = (httpx.HTTPError, RunNotRunningException, FlowerError, ValueError, OSError)  # of a run: a new one is made

C = TypeVar("C", bound=ProtobufClient)

app = ServerApp()


class Run(Protocol):
    """One run, from its start until it is lost: where its messages go, and to whom. Every method may raise one of `LOST`."""

    @property
    def grid(self) -> Grid: ...
    @property
    def run_id(self) -> int: ...
    @property
    def task_id(self) -> int | None: ...
    @property
    def nodes(self) -> Mapping[City, Sequence[int]]: ...

    def beat(self) -> None: ...

    def close(self) -> None: ...


# --- a run at a SuperLink


@dataclass
class CourierRun:
    """The run that this process started and claimed. `nodes`: of each city, one for each of its keys, the newest first."""

    grid: HttpGrid
    run_id: int
    task_id: int | None
    nodes: Mapping[City, Sequence[int]]

    def beat(self) -> None:
        """Say that this run is alive. Errors: `ValueError` where the SuperLink says that it is not."""
        if not self.grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success:
            raise ValueError

    def close(self) -> None:
        self.grid.close()


def bundle() -> bytes:
    """The bundle of a courier run, as Flower wants one: it holds no code, and nobody reads it."""
    pyproject = (
        '[project]\nname = "hpfed-courier"\nversion = "1.0.0"\nlicense = "Apache-2.0"\ndependencies = ["flwr==1.41.0"]\n\n'
        '[tool.flwr.app]\npublisher = "hpfed"\n\n'
        '[tool.flwr.app.components]\nserverapp = "coordinator.link_flower:app"\nclientapp = "node.link_flower:app"\n\n'
        "[tool.flwr.app.config]\n"
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for name, text in (("README.md", "Carries sealed envelopes. Holds no code.\n"), ("pyproject.toml", pyproject)):
            zipped.writestr(zipfile.ZipInfo(name, BUNDLE_DATE), text)
    return content.getvalue()


def transport_key(listed: str) -> bytes:
    """A transport key of the roster (a compressed point of P-384 in hex), as Flower writes keys. Errors: `ConfigError TRANSPORT_KEY`."""
    try:
        return public_key_to_bytes(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), bytes.fromhex(listed)))
    except ValueError:
        raise ConfigError("TRANSPORT_KEY") from None


def courier_run(superlink: SuperLink, transport: Mapping[City, Sequence[str]]) -> CourierRun:
    """Register the keys of the roster, start the courier run and claim its task. `transport`: of each active city, its keys.

    Nodes that are registered and on no list are removed: the roster is the truth. Errors: one of `LOST`.
    """
    ca = superlink.ca.read_bytes()
    with ExitStack() as stack:
        control = stack.enter_context(control_of(superlink))
        nodes = registered(control, transport)
        content = bundle()
        run_id = control.StartRun(
            StartRunRequest(fab=Fab(hash_str=sha256(content).hexdigest(), content=content))
        ).run_id
        claiming = SuperExecAuthHttpInterceptor(
            master_secret=superlink.secret.read_bytes(), protected_methods={"/flwr.proto.Runtime/AcquireTask"}
        )
        claims = stack.enter_context(_client(RuntimeHttpClient, superlink, ca, "SuperExec", claiming))
        while True:
            claimed = claims.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
            if not claimed.token:
                raise ValueError
            if claimed.task.run_id == run_id:
                break  # a task of anybody else is left to expire
    grid = HttpGrid(superlink.address, False, ca, token=claimed.token)
    grid._retry_invoker = None  # type: ignore[assignment]  # one try: see above
    try:
        given = _direct(grid._runtime_client, ca).PullTaskInput(PullTaskInputRequest())
    except BaseException:
        grid.close()
        raise
    grid.set_run(run_from_proto(given.run))
    return CourierRun(grid, run_id, claimed.task.task_id, nodes)


def control_of(superlink: SuperLink) -> ControlHttpClient:
    """The control interface, which is reached from loopback alone and has no authentication of its own."""
    return _client(ControlHttpClient, superlink, superlink.ca.read_bytes(), "hpfed")


def other_version(lost: BaseException) -> bool:
    """Whether a run could not be made because the SuperLink is of another version of Flower, which waiting does not change."""
    answer = getattr(lost, "response", None)
    return isinstance(answer, httpx.Response) and answer.status_code == httpx.codes.PRECONDITION_FAILED


def registered(control: ControlHttpClient, transport: Mapping[City, Sequence[str]]) -> dict[City, list[int]]:
    """The nodes of each city's keys, the newest first. What is registered already stays; what is on no list goes.

    A key that was once unregistered has no way back into this SuperLink: its city has no node until it shows another key, or the
    SuperLink begins anew.
    """
    wanted = {transport_key(key): city for city, keys in transport.items() for key in keys}
    listed = control.ListNodes(ListNodesRequest()).nodes_info
    gone = {bytes(node.public_key) for node in listed if node.status == NodeStatus.UNREGISTERED}
    there = {bytes(node.public_key): node.node_id for node in listed if bytes(node.public_key) not in gone}
    for key in there.keys() - wanted.keys():
        with suppress(httpx.HTTPStatusError):  # flwr answers 500 for a node that was never online
            control.UnregisterNode(UnregisterNodeRequest(node_id=there[key]))
    found: dict[City, list[int]] = {}
    for key, city in wanted.items():
        if key not in gone:
            node = there.get(key) or control.RegisterNode(RegisterNodeRequest(public_key=key)).node_id
            found.setdefault(city, []).insert(0, node)
    return found


def _client(kind: type[C], superlink: SuperLink, ca: bytes, name: str, *more: Any) -> C:
    interceptors = [RuntimeVersionHttpInterceptor(component_name=name), *more]
    return _direct(kind.from_server_address(superlink.address, False, ca, interceptors=interceptors), ca)


def _direct(client: C, ca: bytes) -> C:
    """The client over a connection that reads no environment and trusts one authority."""
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(cadata=ca.decode("ascii"))
    client._client.close()
    client._client = httpx.Client(verify=trusted, timeout=CALL_S, trust_env=False)
    return client


def quiet(log: Log) -> None:
    """What Flower says in this process goes into the log of it, and nowhere else."""
    FLOWER_LOGGER.handlers[:] = [Heard(log)]  # type: ignore[list-item]  # a handler has more, which nobody calls


def _about(run_id: int, node: int, ttl_s: float, task_id: int | None) -> Metadata:
    """What stands on a message to a node."""
    return Metadata(
        run_id=run_id,
        message_id="",
        src_node_id=SUPERLINK_NODE_ID,
        dst_node_id=node,
        reply_to_message_id="",
        group_id="",
        created_at=flower_now().timestamp(),
        ttl=ttl_s,
        message_type=MESSAGE_TYPE,
        src_task_id=task_id,
    )


# --- a run of Flower's own command


@dataclass
class GivenRun:
    """A run that Flower made and keeps: it beats, and it ends."""

    grid: Grid
    run_id: int
    task_id: int | None
    nodes: Mapping[City, Sequence[int]]

    def beat(self) -> None:
        """Whoever started the run says that it is alive."""

    def close(self) -> None:
        """Whoever started the run ends it."""


def given(grid: Grid, held: Roster) -> GivenRun:
    """The run of a grid. Its nodes are known by their keys, or, in a simulation, by the number that they say: that of a city by name.

    A node that says anything else is nobody's. What a node says decides where requests go, and nothing about who answers.
    """
    run = grid.run
    keys = {
        transport_key(key): city.name
        for city in held.entries.cities
        if city.state == "active"
        for key in city.transport
    }
    named = {node.node_id: keys[bytes(node.public_key)] for node in grid.get_nodes() if bytes(node.public_key) in keys}
    names = sorted(city.name for city in held.entries.cities if city.state == "active")
    asked: dict[str, int] = {}
    told = set(named)
    end, settled = time.monotonic() + STARTS_S, None
    while len(named) < len(names) and time.monotonic() < min(end, settled or end):
        for node in set(grid.get_node_ids()) - told:
            about = _about(run.run_id, node, STARTS_S, run.primary_task_id)
            (name,) = grid.push_messages([make_message(about, RecordDict({RECORD: ConfigRecord({})}))])
            asked[name], settled = node, None
            told.add(node)
        for reply in grid.pull_messages(set(asked)) if asked else ():
            node = asked.pop(reply.metadata.reply_to_message_id)
            said = None if reply.has_error() else reply.content.get(RECORD)
            number = said.get(NUMBER) if isinstance(said, ConfigRecord) else None
            if isinstance(number, int) and 0 <= number < len(names):
                named[node] = names[number]
        if told and not asked and settled is None:
            settled = time.monotonic() + SETTLES_S
        time.sleep(LOOKS_S[0])
    nodes: dict[City, list[int]] = {}
    for node, city in named.items():
        nodes.setdefault(city, []).append(node)
    return GivenRun(grid, run.run_id, run.primary_task_id, nodes)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Ask the study of the run's configuration over its grid. Errors: those of `flower_app.answered`, which fail the run."""
    from coordinator import flower_app
    from coordinator.deployed.cli import now

    wanted, home = flower_app.Wanted.of(context.run_config), flower_app.home_of(os.environ)
    flower_app.answered(home, wanted, lambda held: FlowerExchange(lambda: given(grid, held)), now, operating_system)


# --- the exchange


@dataclass(eq=False)
class _Letter:
    """One request of one call, until it has its reply. `due`: when it goes out (again); `again_s`: how long it then waits for a reply.

    `tried`: it failed once already. `settled`: the call has its reply, or does not wait any more. All times are monotonic seconds.
    """

    city: City
    content: bytes
    kind: str
    until: float
    box: "queue.SimpleQueue[tuple[_Letter, bytes | Failure]]"
    began: float
    due: float = 0.0
    again_s: float = AGAIN_S
    tried: bool = False
    last: Reason = "unreachable"
    settled: bool = False


class FlowerExchange:
    """An `Exchange` over runs of a SuperLink. `connect` gives a run, or raises one of `LOST`; it is called again whenever one is lost.

    One thread carries for all calls. `late`: replies that nobody waited for any more.
    """

    def __init__(self, connect: Callable[[], Run], log: Log | None = None) -> None:
        self._connect, self._log = connect, log or silent()
        self._changed, self._looking = threading.Condition(), threading.Lock()
        self._letters: list[_Letter] = []
        self._by_id: dict[str, _Letter] = {}
        self._run: Run | None = None
        self._closed = self._anew_due = False
        self.late = 0
        self.runs = 0
        self._thread = threading.Thread(target=self._carry, name="hpfed-exchange", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether there is a run."""
        return self._run is not None

    def present(self) -> frozenset[City]:
        """Cities whose link the SuperLink has heard within the last minute."""
        with self._looking:  # a grid that was closed would connect again
            run = self._run
            if run is None:
                return frozenset()
            try:
                online = set(run.grid.get_node_ids())
            except LOST:
                return frozenset()
        return frozenset(city for city, nodes in run.nodes.items() if not online.isdisjoint(nodes))

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies as they arrive."""
        box: queue.SimpleQueue[tuple[_Letter, bytes | Failure]] = queue.SimpleQueue()
        began = time.monotonic()
        until = began + timeout_s
        long = [city for city, content in requests.items() if len(content) > LARGEST]
        waiting = {
            _Letter(city, content, kind, until, box, began) for city, content in requests.items() if city not in long
        }
        with self._changed:
            self._letters += waiting
            self._changed.notify_all()
        try:
            for city in long:
                yield city, Failure("oversize")
            while waiting:
                try:
                    letter, reply = box.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                waiting.discard(letter)
                yield letter.city, reply
            for letter in list(waiting):
                waiting.discard(letter)
                yield letter.city, Failure(letter.last)
        finally:
            self._withdraw(waiting)

    def renew(self) -> None:
        """Begin a new run: there is a newer roster. What is open goes on in it."""
        with self._changed:
            self._anew_due = True
            self._changed.notify_all()

    def close(self) -> None:
        """Open calls end in failures; the run is left to itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CALL_S)

    def _withdraw(self, letters: set[_Letter]) -> None:
        with self._changed:
            self._letters = [each for each in self._letters if each not in letters and each.until > time.monotonic()]

    # --- the thread that carries

    def _carry(self) -> None:
        beaten, look_s, tries = 0.0, LOOKS_S[0], 0
        while True:
            with self._changed:
                now = time.monotonic()
                if self._closed:
                    break
                renewed, self._anew_due = self._anew_due, False
                idle = not self._letters and not self._by_id and not renewed
                if idle and self._run is not None and now < beaten + BEAT_S:
                    self._changed.wait(beaten + BEAT_S - now)
                    look_s = LOOKS_S[0]
                    continue
            try:
                if renewed:
                    self._lose()
                if self._run is None:
                    self._run = self._connect()
                    self.runs += 1
                    self._log.say(Event.RUN)
                    self._anew()
                    beaten = now
                if now >= beaten + BEAT_S:
                    self._run.beat()
                    beaten = now
                sent = self._send(self._run)
                came = self._receive(self._run)
                tries = 0
            except (
                Exception
            ):  # one of LOST, or a bug: calls end in time whatever it is, and a new run is all that can help
                self._lose()
                with self._changed:
                    self._changed.wait(BACK_S[min(tries, len(BACK_S) - 1)])
                tries += 1
                continue
            look_s = LOOKS_S[0] if sent or came else min(LOOKS_S[1], look_s * LOOKS_GROW)
            with self._changed:
                if not any(each.due <= time.monotonic() for each in self._letters):
                    self._changed.wait(look_s)
        self._lose()

    def _lose(self) -> None:
        with self._looking:
            run, self._run = self._run, None
            if run is not None:
                self._log.say(Event.RUN_LOST)
                with suppress(*LOST):
                    run.close()

    def _anew(self) -> None:
        """A new run knows of nothing: every open letter goes out again."""
        with self._changed:
            self._by_id.clear()
            for letter in self._letters:
                letter.due = 0.0

    def _send(self, run: Run) -> bool:
        """Push every letter that is due, as many in one go as are not long together."""
        now = time.monotonic()
        with self._changed:
            self._letters = [each for each in self._letters if each.until > now]
            due = [each for each in self._letters if each.due <= now]
        if not due:
            return False
        online = set(run.grid.get_node_ids())
        batch: list[tuple[_Letter, Message]] = []
        for letter in due:
            nodes = run.nodes.get(letter.city, ())
            node = next((each for each in nodes if each in online), None)  # a city changes its key when it comes to it
            if not nodes:
                self._settle(letter, Failure("not_enrolled"))
            elif node is None:
                self._failed(letter, "unreachable", now)
            else:
                long = sum(len(each.content) for each, _ in batch) + len(letter.content) > LONG_BATCH
                if batch and (long or len(batch) == MANY):
                    self._push(run, batch, now)
                    batch = []
                batch.append((letter, self._message(run, node, letter)))
        if batch:
            self._push(run, batch, now)
        return True

    def _push(self, run: Run, batch: list[tuple[_Letter, Message]], now: float) -> None:
        try:
            names: list[str | None] = list(run.grid.push_messages([message for _, message in batch]))
        except ObjectPushError:  # some may have arrived, and all are sent again soon
            names = [message.metadata.message_id for _, message in batch]
        for (letter, _), name in zip(batch, names or [None] * len(batch), strict=True):
            if not name:
                self._failed(letter, "unreachable", now)
                continue
            with self._changed:
                self._by_id[name] = letter
            letter.last, letter.due = "timed_out", now + max(letter.again_s, AGAIN_CITY_S * len(run.nodes))
            letter.again_s *= 2

    def _message(self, run: Run, node: int, letter: _Letter) -> Message:
        content = RecordDict({name: ConfigRecord(dict(each)) for name, each in records(letter.content).items()})
        ttl_s = letter.until - time.monotonic() + TTL_MORE_S
        return make_message(_about(run.run_id, node, ttl_s, run.task_id), content)

    def _receive(self, run: Run) -> bool:
        """Pull what has come, and hand it to the calls that wait for it. What comes too late is pulled too, and dropped."""
        now = time.monotonic()
        with self._changed:
            for name, letter in list(self._by_id.items()):
                if letter.settled or letter.until + TTL_MORE_S < now:
                    del self._by_id[name]
            awaited = list(self._by_id)
        if not awaited:
            return False
        came = list(run.grid.pull_messages(awaited))
        for reply in came:
            self._take(reply)
        return bool(came)

    def _take(self, reply: Message) -> None:
        with self._changed:
            letter = self._by_id.pop(reply.metadata.reply_to_message_id, None)
        if letter is None:
            return  # not asked for
        if reply.has_error():
            self._failed(letter, REASONS.get(reply.error.code, "crashed"), time.monotonic())
            return
        found = [dict(each) for each in reply.content.values() if isinstance(each, ConfigRecord)]
        content = content_of(found) if len(found) == len(reply.content) else None
        self._settle(letter, Failure("invalid_reply") if content is None else content)

    def _failed(self, letter: _Letter, reason: Reason, now: float) -> None:
        """A failure that may be over at once is tried again until half the time is gone."""
        if reason in AGAIN and now < (letter.began + letter.until) / 2 and not (letter.tried and reason == "crashed"):
            letter.tried, letter.last, letter.due = True, reason, now + TRY_AGAIN_S
        else:
            self._settle(letter, Failure(reason))

    def _settle(self, letter: _Letter, reply: bytes | Failure) -> None:
        with self._changed:
            if letter not in self._letters:
                self.late += 1
                self._log.say(Event.LATE, letter.content, city=letter.city)
                return
            self._letters.remove(letter)
            letter.settled = True
        letter.box.put((letter, reply))
