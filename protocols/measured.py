"""What a party's programs measure of themselves, as Prometheus reads it: a closed list of metrics, with closed lists of labels.

No label holds a study, a city, a path that a stranger sent or a value; the most series that there can be follow from the lists below, and
are at most `MOST_SERIES` for a process. Most figures follow from the lines of its log (`heard`); the others are set when somebody looks.

The text is the exposition format 0.0.4 of Prometheus.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, Protocol

from protocols.logged import REASONS, Event, Line
from protocols.messages import Kind

MOST_SERIES: Final = 200
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REQUESTS: Final = tuple(
    each.value
    for each in (
        *(Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.ASK, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT, Kind.ABORT),
        *(Kind.OFFER, Kind.COUNT, Kind.ATTEST, Kind.ROSTER, Kind.CANCEL, Kind.PING),
    )
)  # what a coordinator sends
STEPS: Final = (
    "open",
    "adverts",
    "deliver",
    "ask",
    "survivors",
    "confirms",
)  # of a conversation, by what was asked last
PATHS: Final = (
    *("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "push-messages"),
    *("push-object", "pull-object", "confirm-message-received", "get-run", "get-fab", "other"),
)  # of the fleet routes; `other`: whatever else somebody asked for
STATUSES: Final = ("200", "401", "404", "412", "413", "429", "502", "503", "other")
CITIES: Final = ("active", "present", "revoked")


@dataclass(frozen=True)
class Metric:
    """One metric: its labels, each with all that it can say. `kind`: as Prometheus names it; a summary has a count and a sum."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    says: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def series(self) -> int:
        """The most that there can be."""
        made = 2 if self.kind == "summary" else 1
        for _, values in self.labels:
            made *= len(values)
        return made


COORDINATOR: Final = (
    Metric(
        "hpfed_exchange_seconds", "summary", "Time from a request to a city until its reply.", (("kind", REQUESTS),)
    ),
    Metric("hpfed_failures_total", "counter", "Requests that no reply came to.", (("reason", REASONS),)),
    Metric("hpfed_conversations", "gauge", "Open conversations, by what was asked last.", (("state", STEPS),)),
    Metric("hpfed_replies_late_total", "counter", "Replies that nobody waited for any more."),
    Metric(
        "hpfed_gateway_requests_total",
        "counter",
        "Requests at the gateway, by the route of Flower's fleet and the answer.",
        (("path", PATHS), ("status", STATUSES)),
    ),
    Metric("hpfed_cities", "gauge", "Cities of the roster, and those heard in the last minute.", (("state", CITIES),)),
    Metric("hpfed_roster_days_left", "gauge", "Days until the roster expires."),
    Metric("hpfed_cert_days_left", "gauge", "Days until the gateway's certificate expires."),
)
NODE: Final = (
    Metric("hpfed_link_up", "gauge", "1 while the link is let in and hears the coordinator."),
    Metric("hpfed_gate_up", "gauge", "1 if the gate answered within a second."),
    Metric("hpfed_gate_queue", "gauge", "Requests that wait for the gate."),
    Metric("hpfed_gate_busy_seconds", "gauge", "How long the gate has been at the present request."),
    Metric("hpfed_clock_skew_seconds", "gauge", "How far this clock is ahead of the coordinator's."),
    Metric("hpfed_budget_remaining_ratio", "gauge", "What is left of the cap that is used up most, in steps of 0.05."),
)
Labels = tuple[str, ...]


class Figures:
    """The figures of one process. A metric or a label that is not listed is a bug, and raises `KeyError`."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = {each.name: each for each in metrics}
        self._values: dict[str, dict[Labels, tuple[float, int]]] = {name: {} for name in self._metrics}
        self._open: dict[str, str] = {}  # conversation to what was asked last
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """To a counter, or one observation to a summary."""
        with self._lock:
            key, values = self._key(name, labels), self._values[name]
            total, times = values.get(key, (0.0, 0))
            values[key] = (total + amount, times + 1)

    def put(self, name: str, value: float, **labels: str) -> None:
        """Of a gauge, or of a counter that another process counts."""
        with self._lock:
            self._values[name][self._key(name, labels)] = (value, 1)

    def forget(self, name: str) -> None:
        """It is not known any more: no series, rather than an old one."""
        with self._lock:
            self._values[name].clear()

    def heard(self, said: Line) -> None:
        """What a line of the log tells. Metrics that this process does not have are left alone."""
        step = said.step.value if said.step else ""
        match said.event:
            case Event.ANSWERED if (
                said.ms is not None and step in REQUESTS and "hpfed_exchange_seconds" in self._metrics
            ):
                self.add("hpfed_exchange_seconds", said.ms / 1000, kind=step)
            case Event.FAILED if said.code in REASONS and "hpfed_failures_total" in self._metrics:
                self.add("hpfed_failures_total", reason=said.code)
            case Event.ASKED if said.conversation and "hpfed_conversations" in self._metrics:
                self._asked(said.conversation, step)
            case Event.LATE if "hpfed_replies_late_total" in self._metrics:
                self.add("hpfed_replies_late_total")
            case Event.CONNECTED | Event.DISCONNECTED | Event.ENDED if "hpfed_link_up" in self._metrics:
                self.put("hpfed_link_up", float(said.event is Event.CONNECTED))
            case Event.CLOCK if said.ms is not None and "hpfed_clock_skew_seconds" in self._metrics:
                self.put("hpfed_clock_skew_seconds", said.ms / 1000)
            case _:
                pass

    def _asked(self, conversation: str, step: str) -> None:
        with self._lock:
            if step in STEPS:
                self._open[conversation] = step
            else:  # the receipt, or the end
                self._open.pop(conversation, None)
            self._values["hpfed_conversations"] = {
                (each,): (float(sum(at == each for at in self._open.values())), 1) for each in STEPS
            }

    def _key(self, name: str, labels: Mapping[str, str]) -> Labels:
        listed = self._metrics[name].labels
        if labels.keys() != {label for label, _ in listed} or any(
            labels[label] not in known for label, known in listed
        ):
            raise KeyError(name)
        return tuple(labels[label] for label, _ in listed)

    def value(self, name: str, *labels: str) -> float | None:
        """Of one series, None where there is none."""
        with self._lock:
            found = self._values[name].get(labels)
        return None if found is None else found[0]

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        with self._lock:
            return "".join(_family(each, self._values[each.name]) for each in self._metrics.values())


def _family(metric: Metric, values: Mapping[Labels, tuple[float, int]]) -> str:
    found = [f"# HELP {metric.name} {metric.says}\n# TYPE {metric.name} {metric.kind}\n"]
    for key in product(*(known for _, known in metric.labels)):  # in the order of the lists
        if key not in values:
            continue
        said = ",".join(f'{label}="{value}"' for (label, _), value in zip(metric.labels, key, strict=True))
        at, (total, times) = f"{{{said}}}" if said else "", values[key]
        if metric.kind == "summary":
            found.append(f"{metric.name}_sum{at} {total:.15g}\n{metric.name}_count{at} {times}\n")
        else:
            found.append(f"{metric.name}{at} {total:.15g}\n")
    return "".join(found)


# --- over HTTP, as bytes: who reads a socket stands elsewhere

MOST_HEAD: Final = 8192  # bytes of a request; whoever sends more is not answered
MOST_PIECES: Final = 8  # that a request may come in
PATIENCE_S: Final = 2.0
READY: Final[Mapping[bool, str]] = {True: "200 OK", False: "503 Service Unavailable"}


def replied(request: bytes, figures: Figures, checks: Mapping[str, bool]) -> bytes:
    """The answer to one request, head and all: `/metrics`, `/healthz` (this process is alive), `/readyz` (every check holds)."""
    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or words[0] != b"GET" or not words[2].startswith(b"HTTP/1."):
        return _http("400 Bad Request", "", "text/plain")
    match words[1]:
        case b"/metrics":
            return _http("200 OK", figures.text(), CONTENT_TYPE)
        case b"/healthz":
            return _http("200 OK", "ok\n", "text/plain")
        case b"/readyz":
            ready = all(checks.values())
            listed = ",".join(f'"{name}":{str(holds).lower()}' for name, holds in checks.items())
            return _http(READY[ready], f'{{"ready":{str(ready).lower()},"checks":{{{listed}}}}}\n', "application/json")
        case _:
            return _http("404 Not Found", "", "text/plain")


def _http(status: str, body: str, kind: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return (head + body).encode("ascii")


class Connection(Protocol):
    """A connection that was accepted; a socket is one."""

    def settimeout(self, value: float) -> None: ...
    def recv(self, bufsize: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...


def serve(accept: Callable[[], tuple[Connection, object]], answer: Callable[[bytes], bytes]) -> None:
    """Answer one connection after the other, until there is nothing to accept from. `answer`: see `replied`."""
    while True:
        try:
            line, _ = accept()
        except OSError:
            return
        with suppress(OSError), closing(line):
            line.settimeout(PATIENCE_S)
            found = b""
            for _ in range(MOST_PIECES):
                found += line.recv(MOST_HEAD)
                if b"\r\n\r\n" in found or len(found) > MOST_HEAD:
                    break
            line.sendall(answer(found))
