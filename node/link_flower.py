"""The link process: carries envelopes between the SuperLink and this city's gate. It has the network, and no data.

The only module of a city that imports flwr. One outbound HTTPS connection to the fleet routes; no code is fetched (`get-run` and
`get-fab` are never called), nothing of a message but one bytes value is looked at, and what the SuperLink configures is not read.

What flwr 1.41 does, and what is done about it:

- an answer 401 makes it send SIGINT to its own process, and a failed activation ends the process: so the link is a child that somebody
  starts again, and its exit status says why;
- its context manager swallows what is raised inside: the loop inside catches for itself and leaves its outcome in a variable;
- it believes a killed node online for up to a minute and does not let it in: the link keeps its node id and says goodbye with it first;
- it retries for ever: here every call is tried once, and the loop decides.

Two more ways lead to the same gate. A city that insists on a stock SuperNode runs one beside (`--isolation process`), and the link does
its tasks (`courier`): the SuperNode fetches bundles, and nothing looks at them. Flower's simulation engine calls `app`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.clientapp import ClientApp
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, ErrorCode, SubStatus
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushAppMessagesRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, ObjectUnavailableError
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.logger import FLOWER_LOGGER
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.fleet_http_connection import http_request_response
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from node import link_port, serve
from node.link import INCOMPATIBLE, UNAUTHORISED, Pace, Way
from node.running import ANSWERED, HEARD, SOCKET, when_left
from node.transport import read as read_key
from protocols.clock import wall_ms
from protocols.errors import HpfedError
from protocols.flower import DROPPED, MESSAGE_TYPE, MOST_PARTS, NUMBER, RECORD, content_of, records
from protocols.logfile import Heard, Log, Rotated, folder_of, silent, to_stderr, uncaught
from protocols.logged import Event
from protocols.messages import peek

HELD: Final = 8  # requests that one link has taken and not answered
WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 5.0)  # between tries of a SuperLink that is away
AWAY_S: Final = 60.0  # a link that heard nothing for so long begins anew
GATE: Final = "gate"  # the constant text of an error reply: nothing of a fault leaves
BUSY_WAIT_S: Final = 5.0
SHOWN_S: Final = 1.0
BEAT_S: Final = 10.0  # a SuperNode takes a task away after 30 s without
CALL_S: Final = 30.0
HOMES: Final = "HPFED_SIMULATION_HOMES"  # in the environment: the homes that `hpfed-simulate prepare` made
PARTITION: Final = "partition-id"  # in the configuration of a simulated node: its number

Keys = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey]

app = ClientApp()


@dataclass
class Fleet:
    """The eight calls that `http_request_response` gives, in its order; the fourth and fifth fetch code and are never made."""

    node_id: int
    receive: Callable[[], tuple[Message, Any] | None]
    send: Callable[[Message, Any, float], tuple[set[str], str]]
    get_run: Callable[[int], Any] = field(repr=False)
    get_fab: Callable[[str, int], Any] = field(repr=False)
    pull_object: Callable[[int, str], bytes]
    push_object: Callable[[int, str, str, bytes], None]
    confirm: Callable[[int, str], None]


@dataclass
class Link:
    """Takes requests, has the gate answer them, and sends the answers. `fingerprints`: requests that the gate has and has not answered."""

    fleet: Fleet
    way: Way
    pace: Pace
    heard: float
    log: Log = field(default_factory=silent)
    fingerprints: set[bytes] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    shown: dict[Path, float] = field(default_factory=dict)

    def work(self, stopped: threading.Event) -> None:
        """Until `stopped`, or until the SuperLink was away for `AWAY_S`."""
        held = threading.Semaphore(HELD)
        tries = 0
        with ThreadPoolExecutor(self.way.at_once) as pool:
            while not stopped.is_set():
                held.acquire()
                try:
                    taken = self.taken()
                except RunNotRunningException:  # between the pull and the confirmation: nobody waits for the answer
                    held.release()
                    continue
                except (httpx.TransportError, httpx.HTTPStatusError):
                    held.release()
                    if time.monotonic() - self.heard > AWAY_S:
                        return
                    stopped.wait(WAITS_S[min(tries, len(WAITS_S) - 1)])
                    tries += 1
                    continue
                tries, self.heard = 0, time.monotonic()
                self.touch(HEARD)
                if taken is None:
                    held.release()
                    with self.lock:
                        self.pace = self.pace.next(self.heard)
                        wait_s = self.pace.wait_s
                    stopped.wait(wait_s)
                    continue
                pool.submit(self.answered, *taken).add_done_callback(lambda _: held.release())

    def touch(self, what: Path) -> None:
        """Let others see by the date of a file that something happened, at most once a second."""
        if time.monotonic() >= self.shown.get(what, 0.0) + SHOWN_S:
            self.shown[what] = time.monotonic()
            with suppress(OSError):  # a full disk stops no link
                self.way.beside(what.name).touch()

    def taken(self) -> tuple[Message, bytes | None] | None:
        """The next request and the envelope in it, None where there is none in it; None if there is no request."""
        came = self.fleet.receive()
        if came is None:
            return None
        message, tree = came
        content = self._fetched(message, tree)
        self.fleet.confirm(message.metadata.run_id, message.metadata.message_id)
        return message, content

    def _fetched(self, message: Message, tree: Any) -> bytes | None:
        """The values of a message, and nothing else of it.

        Every object is pulled, also those that nothing is read from: a message that is confirmed is deleted, and its sender may still be
        pushing them.
        """
        if message.metadata.message_type != MESSAGE_TYPE or len(tree.children) != 1:
            return None
        leaves = list(tree.children[0].children)
        if not 1 <= len(leaves) <= MOST_PARTS or any(each.children for each in leaves):
            return None
        try:
            pulled = [
                self._pulled(message.metadata.run_id, each.object_id) for each in (tree, tree.children[0], *leaves)
            ]
            found = [dict(ConfigRecord.inflate(each)) for each in pulled[2:]]
        except (ValueError, TypeError, ObjectPullError):
            return None
        return content_of(found)

    def _pulled(self, run: int, name: str) -> bytes:
        for wait_s in WAITS_S:  # the sender may still be sending it
            try:
                return self.fleet.pull_object(run, name)
            except ObjectUnavailableError:
                time.sleep(wait_s)
        return self.fleet.pull_object(run, name)

    def answered(self, message: Message, content: bytes | None) -> None:
        """Have one request answered and send what comes of it. The same bytes again, while the gate has them: one answer for both."""
        fingerprint = b"" if content is None else sha256(content).digest()
        with self.lock:
            if fingerprint in self.fingerprints:
                return
            self.fingerprints.add(fingerprint)
        try:
            self._sent(self._reply(message, content))
        finally:
            with self.lock:
                self.fingerprints.discard(fingerprint)
                self.pace = self.pace.after_answer(time.monotonic(), _hint(content))

    def _reply(self, message: Message, content: bytes | None) -> Message:
        return replied(message, content, Path(self.way.gate), self.way.answer_s, self.log)

    def _sent(self, reply: Message) -> None:
        """Push a reply. One whose run is over, or whose SuperLink is away, is dropped: asked again, the gate gives it again."""
        with suppress(httpx.HTTPError, RunNotRunningException, RuntimeError), no_object_id_recompute():
            reply.metadata.__dict__["_message_id"] = reply.object_id
            run, wanted = reply.metadata.run_id, get_all_nested_objects(reply)
            asked_for, session = self.fleet.send(reply, get_object_tree(reply), 0.0)
            for name in asked_for & wanted.keys():
                self.fleet.push_object(run, session, name, wanted[name].deflate())
            self.touch(ANSWERED)


def replied(message: Message, content: bytes | None, gate: Path, answer_s: float, log: Log) -> Message:
    """What a gate says to a message with this envelope, as a message. Whatever goes wrong is a constant no."""
    refused = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, GATE)
    if content is None:
        return Message(refused, reply_to=message)
    began = time.monotonic()
    try:
        reply = _asked(gate, content, min(answer_s, message.metadata.ttl), log)
    except serve.GateAwayError:
        log.say(Event.GATE_AWAY, content)
        return Message(refused, reply_to=message)
    taken = int(1000 * (time.monotonic() - began))
    log.say(Event.SILENT if reply is None else Event.ANSWERED, content if reply is None else reply, ms=taken)
    values = {"none": {}} if reply is None else records(reply)
    return Message(RecordDict({name: ConfigRecord(dict(each)) for name, each in values.items()}), reply_to=message)


def _asked(gate: Path, content: bytes, answer_s: float, log: Log) -> bytes | None:
    """What the gate says; after `answer_s` nobody waits for it any more."""
    until = time.monotonic() + answer_s
    while True:
        try:
            return serve.ask(gate, content, max(1.0, until - time.monotonic()))
        except serve.GateBusyError:
            log.say(Event.GATE_BUSY, content)
            if time.monotonic() + BUSY_WAIT_S > until:
                raise serve.GateAwayError from None
            time.sleep(BUSY_WAIT_S)


def _hint(content: bytes | None) -> float:
    """The pace that the coordinator asks for; it is not security relevant, and nothing is believed of it."""
    with suppress(HpfedError):
        return peek(content or b"").poll_s or 0.0
    return 0.0


def _client(way: Way, keys: Keys, ca: bytes) -> FleetHttpClient:
    return FleetHttpClient.from_server_address(
        way.address,
        False,
        ca,
        interceptors=[RuntimeVersionHttpInterceptor(component_name="SuperNode"), NodeAuthHttpInterceptor(*keys)],
    )


def let_in(way: Way, keys: Keys, ca: bytes, stopped: threading.Event, log: Log) -> None:
    """Wait until the SuperLink lets this key in; on return it believes the node offline. Says goodbye for a link that was killed first.

    What the gateway's first answer has for a date goes into the log: how far this clock is ahead.

    The connection would end the process on the first no. Errors: `httpx.HTTPStatusError` for a no that waiting does not change.
    """
    node = Path(way.node)
    dated = threading.Event()

    def date(answer: httpx.Response) -> None:
        ahead = ahead_ms(answer.headers.get("date", ""), wall_ms())
        if ahead is not None and not dated.is_set():
            dated.set()
            log.say(Event.CLOCK, ms=ahead)

    with _client(way, keys, ca) as client:
        client._client.event_hooks = {"response": [date]}
        if node.is_file():
            with suppress(httpx.HTTPError, ValueError):
                client.DeactivateNode(DeactivateNodeRequest(node_id=int(node.read_text(encoding="ascii"))))
        for tries in range(1 << 30):
            if stopped.is_set():
                return
            try:
                request = ActivateNodeRequest(
                    public_key=public_key_to_bytes(keys[1]), heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
                )
                node_id = client.ActivateNode(request).node_id
            except httpx.TransportError:
                pass
            except SystemExit:  # flwr ends the process where the two have different versions, and says so with status 1
                os._exit(INCOMPATIBLE)
            except httpx.HTTPStatusError as no:
                # not (yet) known here, or believed online; the gateway or the SuperLink is away, or is not let in so often
                if no.response.status_code not in (401, 412, 429, 500, 502, 503, 504):
                    raise
            else:
                client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
                return
            stopped.wait(WAITS_S[min(tries, len(WAITS_S) - 1)])


def ahead_ms(date: str, now_ms: int) -> int | None:
    """How far this clock is ahead of a date as HTTP writes it, whose seconds are whole; None for what is no date."""
    try:
        return now_ms - int(parsedate_to_datetime(date).timestamp()) * 1000 - 500
    except ValueError:
        return None


def carry(way: Way, stopped: threading.Event, log: Log) -> None:
    """Be this city's link until `stopped`, or until the SuperLink was away for long."""
    private = read_key(Path(way.key))
    keys, ca = (private, private.public_key()), Path(way.ca).read_bytes()
    let_in(way, keys, ca, stopped, log)
    if stopped.is_set():
        return
    with http_request_response(way.address, False, ca, keys, max_retries=0) as calls:
        fleet = Fleet(*calls)
        node = Path(way.node)
        part = node.with_suffix(".part")
        part.write_text(str(fleet.node_id), encoding="ascii")
        part.rename(node)
        log.say(Event.CONNECTED)
        Link(fleet, way, Pace(way.active_s, way.idle_s), time.monotonic(), log).work(stopped)
        if not stopped.is_set():
            log.say(Event.DISCONNECTED)


# --- tasks of a stock SuperNode


@dataclass
class Task:
    """A task that was claimed: a client that may speak of it, the node and the run that it is of. `taken`: its message is here."""

    client: RuntimeHttpClient
    node: Node
    run: int
    taken: bool = False


@dataclass
class Courier:
    """Tasks of a SuperNode, over its interface on loopback, as if they were the messages of a fleet.

    A SuperNode hands out one task at a time and waits for its answer. The bundle that comes with a task is dropped unread.
    """

    address: str
    claims: RuntimeHttpClient
    tasks: dict[str, Task] = field(default_factory=dict)
    last: Task | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fleet(self) -> Fleet:
        """The calls that a link makes; code is not among them."""
        return Fleet(0, self.receive, self.send, _never, _never, self.pull_object, _never, self.confirm)

    def receive(self) -> tuple[Message, Any] | None:
        """The message of the next task, without its content."""
        claimed = self.claims.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
        if not claimed.token:
            return None
        client = _loopback(self.address, RuntimeTokenHttpInterceptor(claimed.token))
        given = client.PullTaskInput(PullTaskInputRequest())
        pulled = client.PullMessages(PullAppMessagesRequest())
        if not pulled.messages_list:
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=SubStatus.FAILED, details=GATE))
            client.close()
            return None
        message = message_from_proto(pulled.messages_list[0])
        self.last = Task(client, Node(node_id=given.context.node_id), given.run.run_id)
        with self.lock:
            self.tasks[message.metadata.message_id] = self.last
        return message, pulled.message_object_trees[0]

    def pull_object(self, _run: int, name: str) -> bytes:
        """An object of the message that was received last."""
        assert self.last is not None  # noqa: S101 it came first
        pulled: bytes = make_pull_object_fn_protobuf(self.last.client.PullObject, self.last.node, self.last.run)(name)
        return pulled

    def confirm(self, _run: int, message: str) -> None:
        task = self.tasks[message]
        make_confirm_message_received_fn_protobuf(task.client.ConfirmMessageReceived, task.node, task.run)(message)
        task.taken = True

    def send(self, reply: Message, tree: Any, _seconds: float) -> tuple[set[str], str]:
        """A reply with all its objects, and the end of its task."""
        with self.lock:
            task = self.tasks.pop(reply.metadata.reply_to_message_id)
        try:
            about = message_to_proto(remove_content_from_message(reply))
            told = task.client.PushMessages(PushAppMessagesRequest(messages_list=[about], message_object_trees=[tree]))
            push = make_push_object_fn_protobuf(task.client.PushObject, task.node, task.run, told.session_id)
            wanted = get_all_nested_objects(reply)
            for name in set(told.objects_to_push) & wanted.keys():
                push(name, wanted[name].deflate())
            task.client.PushTaskOutput(PushTaskOutputRequest(sub_status=SubStatus.COMPLETED))
        finally:
            task.client.close()
        return set(), ""

    def beat(self, stopped: threading.Event) -> None:
        """Until `stopped`, say of every open task that somebody is at it: a city reads its rows for longer than a SuperNode waits."""
        while not stopped.wait(BEAT_S):
            with self.lock:
                open_ = [task for task in self.tasks.values() if task.taken]
            for task in open_:
                with suppress(httpx.HTTPError, RuntimeError):  # it was answered meanwhile
                    task.client.SendTaskHeartbeat(SendTaskHeartbeatRequest())


def _never(*_arguments: Any) -> NoReturn:
    """A call that a link does not make: whoever makes it has found a bug."""
    raise AssertionError


def _loopback(address: str, *interceptors: Any) -> RuntimeHttpClient:
    """A client of a SuperNode beside, over a connection that reads no environment."""
    version = RuntimeVersionHttpInterceptor(component_name="SuperExec")
    client = RuntimeHttpClient.from_server_address(address, True, None, interceptors=[version, *interceptors])
    client._client.close()
    client._client = httpx.Client(timeout=CALL_S, trust_env=False)
    return client


def courier(way: Way, stopped: threading.Event, log: Log) -> None:
    """Do the tasks of the SuperNode at `way.supernode` until `stopped`, or until it was away for long."""
    claiming = SuperExecAuthHttpInterceptor(
        master_secret=Path(way.secret).read_bytes(), protected_methods={"/flwr.proto.Runtime/AcquireTask"}
    )
    with _loopback(way.supernode, claiming) as claims:
        made = Courier(way.supernode, claims)
        threading.Thread(target=made.beat, args=(stopped,), daemon=True).start()
        log.say(Event.CONNECTED)
        Link(made.fleet(), way, Pace(way.active_s, way.active_s), time.monotonic(), log).work(stopped)
        log.say(Event.DISCONNECTED)


# --- Flower's own entry point


@app.query("hpf")
def query(message: Message, context: Context) -> Message:
    """Hand an envelope to the gate of this city's home (HPFED_HOME), or, in a simulation, to that of the home with the node's number."""
    found = [dict(each) for each in message.content.values() if isinstance(each, ConfigRecord)]
    content = content_of(found) if len(found) == len(message.content) else None
    homes, number = os.environ.get(HOMES), context.node_config.get(PARTITION)
    if homes is None or not isinstance(number, int):
        gate = Path(os.environ.get("HPFED_HOME", ".hpfed")) / SOCKET
    elif found == [{}]:
        return Message(RecordDict({RECORD: ConfigRecord({NUMBER: number})}), reply_to=message)
    else:
        gate = _simulated(Path(homes), number)
    return replied(message, content, gate, message.metadata.ttl, silent())


def _simulated(homes: Path, number: int) -> Path:
    """Where the gate of a simulated node listens; nowhere if it does not open."""
    from node import simulated  # a link process has nothing that starts another

    try:
        return simulated.gate(homes, number)
    except serve.GateAwayError:
        return homes


def main(arguments: list[str]) -> int:
    """The link process. Returns its exit status; a key that is not known ends it with `UNAUTHORISED`."""
    way = Way.read(Path(arguments[0]))
    for name in list(os.environ):
        if name.lower() in DROPPED:
            del os.environ[name]
    if way.proxy:
        os.environ["HTTPS_PROXY"] = way.proxy
    figures, stopped = link_port.figures(), threading.Event()
    log = Log(wall_ms, to_stderr, figures.heard, *((Rotated(folder_of(Path(way.home)), "link"),) if way.home else ()))
    FLOWER_LOGGER.handlers[:] = [Heard(log)]  # type: ignore[list-item]  # a handler has more, which nobody calls
    sys.excepthook = uncaught(log)
    log.say(Event.STARTED)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopped.set())
    signal.signal(signal.SIGINT, _unauthorised)  # from flwr, to its own process
    when_left(stopped.set)
    with ExitStack() as stack:
        if way.metrics:
            with suppress(OSError):  # another link of this host has the port: figures are no reason to be away
                stack.enter_context(link_port.listening(figures, Path(way.gate), way.metrics))
        try:
            (courier if way.supernode else carry)(way, stopped, log)
        finally:
            way.beside(HEARD.name).unlink(missing_ok=True)
    log.say(Event.STOPPED)
    return 0


def _unauthorised(_signal: int, _frame: FrameType | None) -> NoReturn:
    os._exit(UNAUTHORISED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
