"""How requests reach cities and replies come back: one interface, whatever carries the bytes.

Laws of every implementation: the cities that come back are those asked, each once; a call ends within its time; a reply answers the
request of this call; bytes arrive bit for bit; several calls may run at once. A `Failure` is data, never an exception.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

City: TypeAlias = str
Reason: TypeAlias = Literal[
    "unreachable",
    "timed_out",
    "crashed",
    "incompatible",
    "invalid_reply",
    "oversize",
    "revoked",
    "not_enrolled",
    "refused",
]


@dataclass(frozen=True)
class Failure:
    """Why no usable reply came. `detail` is one of our own fixed strings; what a city or an engine said is dropped unread."""

    reason: Reason
    detail: str = ""


class Exchange(Protocol):
    """Carries one request to each city named and yields each reply, or `Failure`, as it arrives."""

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]: ...

    def close(self) -> None: ...


class Attended(Exchange, Protocol):
    """An exchange that says who is there: heard within the last minute. A hint, never a promise; no study rests on it."""

    def present(self) -> frozenset[City]: ...


def exchange(
    link: Exchange, kind: str, requests: Mapping[City, bytes], timeout_s: float
) -> dict[City, bytes | Failure]:
    """All replies at once; the form that most callers use."""
    return dict(link.each(kind, requests, timeout_s))
