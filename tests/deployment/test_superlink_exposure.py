"""T31: a stranger with a TLS client and no key, through the public port; the same call straight at loopback shows what stopped him."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from coordinator.exchange import exchange
from coordinator.superlink import HOST
from tests.deployment.stage import TIME_S, Stage, control, hostile, known, told


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
