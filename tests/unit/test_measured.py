"""Figures and health: closed lists, on loopback alone, as Prometheus' own parser reads them."""

import inspect
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from coordinator import port as coordinator
from coordinator.exchange import Failure
from coordinator.gateway import COURIER, FLEET
from coordinator.watched import Watched
from node import link_port as node
from node.serve import QUEUE, GateAwayError, Stats, ask, listening, stats
from protocols import logged, measured, messages
from protocols.logfile import Log
from protocols.logged import Event, Line
from protocols.measured import COORDINATOR, MOST_SERIES, NODE, Figures, replied
from tests.unit.test_messages import reply, sent

AT = 1_764_131_831_042
NAMES = {
    "hpfed_exchange_seconds",
    "hpfed_failures_total",
    "hpfed_conversations",
    "hpfed_replies_late_total",
    "hpfed_gateway_requests_total",
    "hpfed_cities",
    "hpfed_roster_days_left",
    "hpfed_cert_days_left",
    "hpfed_link_up",
    "hpfed_gate_queue",
    "hpfed_clock_skew_seconds",
    "hpfed_budget_remaining_ratio",
}


def read(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by name and the values of its labels."""
    return {(each.name, tuple(each.labels.values())): each.value for family in parsed(text) for each in family.samples}


def got(port: int, request: str) -> tuple[int, str]:
    """Status and body."""
    with socket.create_connection((coordinator.HOST, port), 5) as line:
        line.sendall(request.encode())
        found = b""
        while more := line.recv(65536):
            found += more
    head, _, body = found.decode().partition("\r\n\r\n")
    assert f"content-length: {len(body)}" in head
    return int(head.split()[1]), body


@pytest.mark.parametrize("metrics", [COORDINATOR, NODE])
def test_all_series_that_there_can_be_are_few_and_the_parser_of_prometheus_reads_each(
    metrics: tuple[measured.Metric, ...],
) -> None:
    made = Figures(metrics)
    for each in metrics:
        for key in product(*(known for _, known in each.labels)):
            made.put(each.name, 0.05, **{label: value for (label, _), value in zip(each.labels, key, strict=True)})
    found = read(made.text())
    assert len(found) == sum(each.series for each in metrics) <= MOST_SERIES
    assert {family.name for family in parsed(made.text())} == {each.name.removesuffix("_total") for each in metrics}
    assert {each.name for each in (*COORDINATOR, *NODE)} >= NAMES


def test_a_label_that_is_not_listed_is_no_series() -> None:
    made = Figures(COORDINATOR)
    with pytest.raises(KeyError):
        made.add("hpfed_failures_total", reason="王五")
    with pytest.raises(KeyError):
        made.add("hpfed_failures_total")
    with pytest.raises(KeyError):
        made.put("hpfed_failures_total", 1.0, reason="crashed", study="x")
    assert read(made.text()) == {}


def test_lists_of_labels_are_those_of_gateway_and_envelope() -> None:
    assert (*FLEET, *COURIER, "other") == measured.PATHS
    assert {each.value for each in messages.REQUESTS} < set(measured.REQUESTS)
    assert not {each.value for each in messages.REPLIES} & set(measured.REQUESTS)


class Carrier:
    """One city answers, one does not, one says nothing of use."""

    def present(self) -> frozenset[str]:
        return frozenset({"suzhou"})

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        del kind, timeout_s
        for city in requests:
            yield city, reply() if city == "suzhou" else Failure("timed_out", "王五")

    def close(self) -> None: ...


def test_an_exchange_is_measured_by_what_its_log_says() -> None:
    made, kept = Figures(COORDINATOR), list[Line]()
    link = Watched(Carrier(), Log(lambda: AT, kept.append, made.heard))
    requests = {"suzhou": sent(), "chengdu": sent()}
    assert dict(link.each("survivors", requests, 5.0)) == {"suzhou": reply(), "chengdu": Failure("timed_out", "王五")}
    assert [(each.event, each.city, each.code) for each in kept] == [
        (Event.ASKED, "suzhou", None),
        (Event.ASKED, "chengdu", None),
        (Event.ANSWERED, "suzhou", None),
        (Event.FAILED, "chengdu", "timed_out"),
    ]
    assert {each.step for each in kept} == {messages.Kind.SURVIVORS}
    assert kept[2].bytes == len(reply())
    found = read(made.text())
    assert found["hpfed_exchange_seconds_count", ("survivors",)] == 1
    assert found["hpfed_failures_total", ("timed_out",)] == 1
    assert found["hpfed_conversations", ("survivors",)] == 1
    list(link.each("abort", {"chengdu": sent(messages.Abort(201, 0))}, 5.0))
    assert set(read(made.text()).items()) >= {(("hpfed_conversations", (step,)), 0.0) for step in measured.STEPS}
    assert "王五" not in made.text()


def test_figures_and_health_are_served_on_loopback_and_nowhere_else() -> None:
    made, checks = Figures(COORDINATOR), {"superlink": True, "run": False}
    for door in (coordinator, node):
        assert door.HOST == "127.0.0.1"
        assert "host" not in inspect.signature(door.listening).parameters
    with coordinator.listening(made, lambda _: checks, 0) as port:
        made.put("hpfed_cities", 3, state="active")
        status, body = got(port, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (status, read(body)) == (200, {("hpfed_cities", ("active",)): 3.0})
        assert got(port, "GET /healthz HTTP/1.1\r\n\r\n") == (200, "ok\n")
        status, body = got(port, "GET /readyz HTTP/1.1\r\n\r\n")
        assert (status, json.loads(body)) == (503, {"ready": False, "checks": {"superlink": True, "run": False}})
        checks["run"] = True
        assert got(port, "GET /readyz HTTP/1.1\r\n\r\n")[0] == 200
        for request, status in (
            ("GET /other HTTP/1.1\r\n\r\n", 404),
            ("GET /metrics?study=x HTTP/1.1\r\n\r\n", 404),
            ("POST /metrics HTTP/1.1\r\n\r\n", 400),
            ("x" * 20_000, 400),
        ):
            with suppress(ConnectionResetError):  # closed on what was not read
                assert got(port, request)[0] == status
        with pytest.raises(OSError, match="in use"), coordinator.listening(made, lambda _: checks, port):
            pass
        assert got(port, "GET /healthz HTTP/1.1\r\n\r\n")[0] == 200
    with pytest.raises(OSError, match="refused"):
        got(port, "GET /healthz HTTP/1.1\r\n\r\n")
    assert replied(b"", made, {}).startswith(b"HTTP/1.1 400")


@contextmanager
def gate(path: Path, go: threading.Event, budget: float | None) -> Iterator[None]:
    with listening(path) as served:
        answers = lambda content, _now: content if go.wait(10) else None  # noqa: E731 one expression
        thread = threading.Thread(target=served.answer, args=(answers, lambda: 7, lambda _now: budget))
        thread.start()
        try:
            yield
        finally:
            go.set()
            served.stop()
            thread.join()


def test_a_gate_says_how_it_is_while_it_is_at_a_request_and_a_link_is_ready_when_both_are(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path, go, made = tmp_path_factory.mktemp("s") / "g", threading.Event(), node.figures()
    assert node.looked(made, path) == {"gate": False, "link": False}
    with gate(path, go, 0.4333), node.listening(made, path, 0) as port:
        waiting = [threading.Thread(target=ask, args=(path, b"x", 20)) for _ in range(3)]
        for each in waiting:
            each.start()
        end = time.monotonic() + 10
        while stats(path, 5).queue < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert stats(path, 5) == Stats(2, 0, 0.45)
        for event, ready in ((Event.CONNECTED, True), (Event.DISCONNECTED, False), (Event.CONNECTED, True)):
            made.heard(logged.line(event, AT))
            found = json.loads(got(port, "GET /readyz HTTP/1.1\r\n\r\n")[1])
            assert found == {"ready": ready, "checks": {"gate": True, "link": ready}}
        made.heard(logged.line(Event.CLOCK, AT, ms=-1200))
        _, body = got(port, "GET /metrics HTTP/1.1\r\n\r\n")
        assert read(body) == {
            ("hpfed_link_up", ()): 1.0,
            ("hpfed_gate_up", ()): 1.0,
            ("hpfed_gate_queue", ()): 2.0,
            ("hpfed_gate_busy_seconds", ()): 0.0,
            ("hpfed_clock_skew_seconds", ()): -1.2,
            ("hpfed_budget_remaining_ratio", ()): 0.45,
        }
        go.set()
        for each in waiting:
            each.join()
    assert node.looked(made, path) == {"gate": False, "link": True}
    assert set(read(made.text())) == {("hpfed_link_up", ()), ("hpfed_gate_up", ()), ("hpfed_clock_skew_seconds", ())}


def test_stats_have_one_size_and_budgets_go_by_twentieths() -> None:
    for budget in (None, 0.0, 0.024, 0.5, 0.97, 1.0, 1.7, -0.2):
        found = Stats(QUEUE, 70_000, budget)
        assert len(found.encode()) == Stats.SIZE
        again = Stats.decode(found.encode())
        assert (again.queue, again.busy_s) == (QUEUE, 0xFFFF)
        assert again.budget is None or round(again.budget * 20) == again.budget * 20
        assert again.encode() == found.encode()
    for wrong in (b"", bytes(5), b"\0\0\0\x15"):
        with pytest.raises(ValueError):  # noqa: PT011 it says nothing of what came
            Stats.decode(wrong)


def test_who_is_no_gate_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(GateAwayError):
        stats(tmp_path_factory.mktemp("s") / "none", 1)


def test_the_gateway_counts_routes_and_answers_of_its_lists_and_the_rest_as_other(tmp_path: Path) -> None:
    now, made = [0.0], Figures(COORDINATOR)
    counted = coordinator.Counted(tmp_path / "counted.json", lambda: now[0])
    for path, status in (
        (b"/v1/fleet/pull-messages", 200),
        (b"/v1/fleet/pull-messages", 418),
        (b"/v1/fleet/other", 404),
        ("/王五".encode(), 404),
        (b"/v1/fleet/../control", 404),
    ):
        counted(path, status)
        now[0] += coordinator.EVERY_S
    coordinator.counted(made, tmp_path / "counted.json")
    assert read(made.text()) == {
        ("hpfed_gateway_requests_total", ("pull-messages", "200")): 1.0,
        ("hpfed_gateway_requests_total", ("pull-messages", "other")): 1.0,
        ("hpfed_gateway_requests_total", ("other", "404")): 3.0,
    }
    coordinator.counted(made, tmp_path / "nowhere")
    coordinator.Counted(tmp_path / "counted.json" / "below", lambda: 0.0)(b"/", 404)  # stops nothing
