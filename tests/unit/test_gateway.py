"""The path filter, with a SuperLink that writes down what reaches it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

httpx = pytest.importorskip("httpx", reason="httpx comes with the extra `flower`")

from coordinator.gateway import LARGEST_BODY, Gateway, paths  # noqa: E402 after the skip: it imports httpx

PULL = b"/v1/fleet/pull-messages"
HEADERS = [(b"content-type", b"application/protobuf")]
Answers = Callable[[Any], Any]


class Way:
    """One gateway; `reached`: what came to the SuperLink."""

    def __init__(self, answer: Answers | None = None, rate: int = 50, courier: bool = False) -> None:
        self.reached: list[Any] = []
        self.now, self.refusals = 0.0, list[int]()
        self.answer = answer or (lambda _request: httpx.Response(200, content=b"reply", headers={"x-own": "1"}))
        upstream = httpx.AsyncClient(base_url="https://127.0.0.1:1", transport=httpx.MockTransport(self._reach))
        self.gateway = Gateway(upstream, paths(courier), rate, lambda: self.now, self.refusals.append)

    def _reach(self, request: Any) -> Any:
        if request.url.path == "/health":
            return httpx.Response(200)
        self.reached.append(request)
        return self.answer(request)

    def __call__(
        self,
        path: bytes = PULL,
        *,
        method: str = "POST",
        query: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        body: tuple[bytes, ...] = (b"asks",),
        address: str = "192.0.2.1",
    ) -> tuple[int, bytes, dict[bytes, bytes]]:
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path,
            "path": "/v1/fleet/pull-messages",  # what a decoding would make of it
            "query_string": query,
            "headers": HEADERS if headers is None else headers,
            "client": (address, 4),
        }
        left = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        left.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Any] = []

        async def receive() -> Any:
            return left.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.gateway(scope, receive, send))
        return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.mark.parametrize("name", sorted(path.decode() for path in paths()))
def test_a_fleet_path_passes_and_its_answer_comes_back(name: str) -> None:
    way = Way()
    status, body, headers = way(name.encode(), body=(b"as", b"ks"))
    assert (status, body, headers[b"content-length"]) == (200, b"reply", b"5")
    assert b"x-own" not in headers
    (request,) = way.reached
    assert (request.method, request.url.raw_path, request.content) == ("POST", name.encode(), b"asks")


@pytest.mark.parametrize(
    "path",
    [
        *(b"/v1/fleet/" + name for name in (b"register-node", b"unregister-node", b"get-run", b"get-fab", b"")),
        b"/v1/control/start-run",
        b"/v1/runtime/acquire-task",
        b"/v1/fleet/../control/start-run",
        b"/v1/fleet/%2e%2e/control/start-run",
        b"/v1/fleet%2fpull-messages",
        b"/v1/fleet/pull%2Dmessages",
        b"//v1/fleet/pull-messages",
        b"/v1//fleet/pull-messages",
        b"/V1/fleet/pull-messages",
        b"/v1/fleet/pull-messages/",
        b"/v1/fleet/pull-messages;x",
        b"/v1/fleet/pull-messages\x00",
        b"https://127.0.0.1:8000/v1/fleet/pull-messages",
        b"/docs",
        b"/openapi.json",
        b"/health",
        b"*",
    ],
)
def test_any_other_path_reaches_nothing(path: bytes) -> None:
    way = Way()
    assert way(path) == (404, b"", {b"content-type": b"text/plain", b"content-length": b"0"})
    assert way.reached == []
    assert way.refusals == [404]


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "GET"},
        {"method": "PUT"},
        {"query": b"x=1"},
        {"headers": []},
        {"headers": [(b"content-type", b"application/json")]},
        {"headers": [*HEADERS, (b"content-type", b"application/json")]},
    ],
)
def test_the_right_path_in_the_wrong_way_reaches_nothing(changed: dict[str, Any]) -> None:
    way = Way()
    assert way(**changed)[:2] == (404, b"")
    assert way.reached == []


def test_a_stock_supernode_may_also_fetch_where_that_is_allowed() -> None:
    assert Way(courier=True)(b"/v1/fleet/get-fab")[0] == 200
    assert Way(courier=True)(b"/v1/fleet/register-node")[0] == 404


def test_a_body_that_is_too_long_reaches_nothing() -> None:
    way = Way()
    assert way(body=(bytes(LARGEST_BODY), b"!"))[0] == 413
    assert way.reached == []
    assert way(body=(bytes(LARGEST_BODY),))[0] == 200


def test_an_address_that_asks_too_often_waits_for_the_next_second_and_others_do_not() -> None:
    way = Way(rate=2)
    assert [way()[0] for _ in range(3)] == [200, 200, 429]
    assert way(address="192.0.2.2")[0] == 200
    way.now = 1.0
    assert way()[0] == 200


def test_headers_of_the_hop_and_claims_of_an_origin_stay_here() -> None:
    way = Way()
    sent = [
        *HEADERS,
        (b"Flwr-Timestamp", b"now"),
        (b"Host", b"elsewhere"),
        (b"Connection", b"close"),
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"Forwarded", b"for=127.0.0.1"),
        (b"Transfer-Encoding", b"chunked"),
    ]
    assert way(headers=sent)[0] == 200
    (request,) = way.reached
    assert request.headers["flwr-timestamp"] == "now"
    assert request.headers["host"] == "127.0.0.1:1"
    assert not {"x-forwarded-for", "forwarded", "transfer-encoding"} & request.headers.keys()


def test_a_redirect_is_not_followed() -> None:
    way = Way(lambda _request: httpx.Response(307, headers={"location": "/v1/control/start-run"}))
    status, _, headers = way()
    assert (status, len(way.reached)) == (307, 1)
    assert b"location" not in headers


def test_a_superlink_that_is_away_is_told_from_one_that_is_not_there_yet() -> None:
    def away(request: Any) -> Any:
        raise httpx.ConnectError("nobody", request=request)

    way = Way(away)
    assert way()[0] == 502
    early = Way()
    early.gateway.upstream = httpx.AsyncClient(base_url="https://127.0.0.1:1", transport=httpx.MockTransport(away))
    assert early()[0] == 503
    assert early.reached == []
