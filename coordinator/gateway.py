"""The path filter before the SuperLink: all that a city can reach of it (ASGI, no framework).

A request passes if and only if its method is POST, its raw undecoded path is listed, its query is empty and its content type is
protobuf; its headers are at most `LARGEST_HEADERS` and its body `LARGEST_BODY` long. Anything else is answered without a look upstream:

| answer | when |
|---|---|
| 404, empty | any other method, path, query or content type; longer headers |
| 413 | a longer body |
| 429 | more requests a second, or more open connections, than one address may have |
| 502, 503 | the SuperLink is away; was not there yet |

What passes is carried to the same path, without the headers of the hop and without what claims to say where it came from; status, body
and content type come back. No redirect is followed.
"""

import argparse
import asyncio
import signal
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from coordinator.port import Counted
from protocols.clock import wall_ms
from protocols.logfile import Log, Rotated, to_stderr
from protocols.logged import Event

FLEET: Final = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "push-object",
    "pull-object",
    "confirm-message-received",
)
COURIER: Final = ("get-run", "get-fab")  # of a stock SuperNode, where a city insists on one
PROTOBUF: Final = b"application/protobuf"
LARGEST_BODY: Final = 8 << 20
LARGEST_HEADERS: Final = 16 << 10
SLOW_S: Final = 10  # for the headers of a request
UPSTREAM_S: Final = 60.0
DROPPED: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)  # of the hop; and `forwarded`, `x-forwarded-…`

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def paths(courier: bool = False) -> frozenset[bytes]:
    """The raw paths that pass."""
    return frozenset(f"/v1/fleet/{name}".encode() for name in (*FLEET, *(COURIER if courier else ())))


@dataclass
class Gateway:
    """`counted`: requests of an address in the second `since`; `clock`: monotonic seconds.

    `refused`: is told of each; `answered`: of each request, its raw path and the status.
    """

    upstream: httpx.AsyncClient
    allowed: frozenset[bytes]
    rate: int
    clock: Callable[[], float]
    refused: Callable[[int], None] = lambda _status: None
    answered: Callable[[bytes, int], None] = lambda _path, _status: None
    ready: bool = False
    since: int = 0
    counted: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise RuntimeError(scope["type"])  # uvicorn is told to bring nothing else
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        if (
            scope["method"] != "POST"
            or scope["raw_path"] not in self.allowed
            or scope["query_string"]
            or [value for name, value in headers if name == b"content-type"] != [PROTOBUF]
            or sum(len(name) + len(value) for name, value in headers) > LARGEST_HEADERS
        ):
            return await self._refuse(scope, send, 404)
        if not self._in_rate(scope["client"][0]):
            return await self._refuse(scope, send, 429)
        body = await _body(receive)
        if body is None:
            return await self._refuse(scope, send, 413)
        if not self.ready and not await self._healthy():
            return await self._refuse(scope, send, 503)
        kept = [(name, value) for name, value in headers if name not in DROPPED and b"forwarded" not in name]
        try:
            answer = await self.upstream.post(scope["raw_path"].decode("ascii"), content=body, headers=kept)
        except httpx.TransportError:
            return await self._refuse(scope, send, 502)
        kind = answer.headers.get("content-type", "application/octet-stream").encode("latin-1")
        self.answered(scope["raw_path"], answer.status_code)
        return await _answer(send, answer.status_code, answer.content, kind)

    async def _refuse(self, scope: Scope, send: Send, status: int) -> None:
        self.refused(status)
        self.answered(scope["raw_path"], status)
        await _answer(send, status, b"", b"text/plain")

    def _in_rate(self, address: str) -> bool:
        second = int(self.clock())
        if second != self.since:
            self.since, self.counted = second, Counter()
        self.counted[address] += 1
        return self.counted[address] <= self.rate

    async def _healthy(self) -> bool:
        with suppress(httpx.TransportError):
            self.ready = (await self.upstream.get("/health")).status_code == 200
        return self.ready


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None as soon as it is too long."""
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the peer has gone: what is answered reaches nobody
            return None
        found += message.get("body", b"")
        if len(found) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(found)


async def _answer(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def patient(connections: int) -> type[H11Protocol]:
    """uvicorn's protocol with an end to its patience: so many connections of one address, and `SLOW_S` for the headers of a request."""
    open_: Counter[str] = Counter()

    class Patient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
            super().connection_made(transport)
            self._address = (transport.get_extra_info("peername") or ("",))[0]
            open_[self._address] += 1
            self._late: asyncio.TimerHandle | None = self.loop.call_later(SLOW_S, self._end)
            if open_[self._address] > connections:
                self._end()

        def connection_lost(self, exc: Exception | None) -> None:
            open_[self._address] -= 1
            self._in_time()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:  # a request has its headers
                self._in_time()
            elif self._late is None:
                self._late = self.loop.call_later(SLOW_S, self._end)

        def _in_time(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _end(self) -> None:
            self.transport.abort()

    return Patient


class Served(uvicorn.Server):
    """The server, which reads its certificate again when it is told to (SIGHUP): connections from then on see the new one."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reread)

    def reread(self) -> None:
        """One that cannot be read changes nothing."""
        config = self.config
        with suppress(OSError):  # `ssl.SSLError` is one
            files = (str(config.ssl_certfile), str(config.ssl_keyfile))
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                *files
            )  # that they fit is seen before they are used
            assert config.ssl is not None  # noqa: S101 this server has no other way
            config.ssl.load_cert_chain(*files)


def serve(arguments: list[str]) -> None:
    """The gateway process, until it is told to stop."""
    reads = argparse.ArgumentParser(prog="coordinator.gateway")
    for name in ("host", "certificate", "key", "superlink", "superlink-ca"):
        reads.add_argument(f"--{name}", required=True)
    for name in ("port", "rate", "connections"):
        reads.add_argument(f"--{name}", required=True, type=int)
    reads.add_argument("--courier", action="store_true")
    reads.add_argument("--counted", type=Path, help="the file that says what was answered")
    reads.add_argument("--log", type=Path, help="the folder of the log")
    told = reads.parse_args(arguments)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(cadata=Path(told.superlink_ca).read_text(encoding="ascii"))
    upstream = httpx.AsyncClient(
        base_url=f"https://{told.superlink}",
        verify=trusted,
        timeout=UPSTREAM_S,
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=4.0),
    )
    # Nothing that a stranger sent stands in it.
    log = Log(wall_ms, to_stderr, *((Rotated(told.log, "gateway"),) if told.log else ()))
    gateway = Gateway(
        upstream,
        paths(told.courier),
        told.rate,
        time.monotonic,
        refused=lambda status: log.say(Event.REFUSED, code=f"HTTP_{status}"),
    )
    if told.counted:
        gateway.answered = Counted(told.counted, time.monotonic)
    config = uvicorn.Config(
        gateway,
        host=told.host,
        port=told.port,
        ssl_certfile=told.certificate,
        ssl_keyfile=told.key,
        http=patient(told.connections),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        timeout_keep_alive=SLOW_S,
    )
    log.say(Event.STARTED)
    Served(config).run()
    log.say(Event.STOPPED)


if __name__ == "__main__":
    serve(sys.argv[1:])
