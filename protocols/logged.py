"""What a log may say: a closed list of events with a closed list of fields, none of which is free text.

    {"ts":"2026-11-26T04:37:11.042Z","level":"info","event":"answered","study":"sha256:…","step":"masked","city":"suzhou","ms":412,"bytes":8302}

A field is a name of the protocol, a digest, a name of the roster, a time or the length of a message. Lengths follow from the study (R3) and
times from the machine: no field has room for a row, a key, a count, a path, a text of an exception or what a stranger sent. What a message
is about is read from its header by `about`, so that whoever writes a line passes the message and not numbers of its own.

Lines of programs that are not ours keep their level alone (`of_flower`), and at ERROR a number of theirs.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from protocols.errors import CODES, HpfedError
from protocols.messages import Kind, peek
from protocols.yamltext import Record

Level = Literal["debug", "info", "warning", "error"]
LONGEST: Final = 1024  # bytes of a line, with room to spare


class Event(StrEnum):
    """What happened. The file, or the unit of the journal, says in which process."""

    STARTED = "started"  # a process of ours
    STOPPED = "stopped"  # it was told to, and ended
    ENDED = "ended"  # it ended by itself; `code` is its exit status or signal
    READY = "ready"  # it answers
    CONNECTED = "connected"  # a link was let in
    DISCONNECTED = "disconnected"  # a link heard nothing for long, or was put out
    CLOCK = "clock"  # `ms`: how far this machine's clock is ahead of the coordinator's
    RUN = "run"  # a courier run began
    RUN_LOST = "run_lost"
    ASKED = "asked"  # a request went out to a city
    ANSWERED = "answered"  # its reply came; at a city: the gate answered
    SILENT = "silent"  # the gate answered nothing
    FAILED = "failed"  # no reply came; `code` is the reason
    LATE = "late"  # a reply that nobody waited for any more
    GATE_AWAY = "gate_away"
    GATE_BUSY = "gate_busy"
    REFUSED = "refused"  # the gateway let a request not through; `code` is what it answered
    ROSTER = "roster"  # a newer one is in use
    RELEASED = "released"  # a result is on disk
    FAULT = "fault"  # an error of the product ended a command or a study; `code` says which
    BUG = "bug"  # an error that is none of the product's
    FLWR = "flwr"  # a line of Flower's


LEVELS: Final[dict[Event, Level]] = {
    Event.ENDED: "warning",
    Event.DISCONNECTED: "warning",
    Event.RUN_LOST: "warning",
    Event.FAILED: "warning",
    Event.LATE: "warning",
    Event.GATE_AWAY: "error",
    Event.GATE_BUSY: "warning",
    Event.REFUSED: "warning",
    Event.FAULT: "error",
    Event.BUG: "error",
}  # of those that are not `info`; a line of Flower's brings its own

# Why no reply came (`coordinator/exchange.py` names the same).
REASONS: Final = (
    "unreachable",
    "timed_out",
    "crashed",
    "incompatible",
    "invalid_reply",
    "oversize",
    "revoked",
    "not_enrolled",
    "refused",
)
_NUMBERED: Final = re.compile(r"(?:HTTP_[1-5][0-9]{2}|EXIT_[0-9]{1,3}|SIGNAL_[0-9]{1,2}|FLWR_[0-9]{1,4})")


def is_code(code: str) -> bool:
    """Whether a line may say it."""
    return code in CODES or code in REASONS or _NUMBERED.fullmatch(code) is not None


def _known(code: str) -> str:
    if not is_code(code):
        raise ValueError
    return code


Code = Annotated[str, AfterValidator(_known)]  # an error's, one of `REASONS`, or HTTP_404, EXIT_41, SIGNAL_9, FLWR_2004


class Line(Record):
    """One line. `ts`: UTC. `step`: the kind of the message that it is about. `ms`: how long it took. `bytes`: of that message."""

    ts: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]
    level: Level
    event: Event
    study: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None = None
    conversation: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    round: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    step: Kind | None = None
    city: Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")] | None = None
    ms: Annotated[int, Field(gt=-(2**53), lt=2**53)] | None = None
    bytes: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    code: Code | None = None

    def text(self) -> str:
        """One line of JSON, without its end; what is not said is not there."""
        return self.model_dump_json(exclude_none=True)


@dataclass(frozen=True)
class About:
    """What a message is about, as its header says; nothing of it is believed. Empty for what is no message."""

    study: str | None = None
    conversation: str | None = None
    round: int | None = None
    step: Kind | None = None
    bytes: int | None = None


NOTHING: Final = About()


def about(content: bytes | None) -> About:
    """Study, conversation, round, kind and length of an envelope."""
    if not content:
        return NOTHING
    try:
        header = peek(content)
    except HpfedError:
        return About(bytes=len(content))
    inside = int(header.conversation, 16) != 0
    return About(
        study=f"sha256:{header.study}" if int(header.study, 16) else None,
        conversation=header.conversation if inside else None,
        round=header.round if inside else None,
        step=header.kind,
        bytes=len(content),
    )


def line(
    event: Event,
    at_ms: int,
    matter: About = NOTHING,
    *,
    city: str | None = None,
    ms: int | None = None,
    code: str | None = None,
) -> Line:
    """A line. `at_ms`: Unix ms. A code that is not listed is not said: `code` of an error that a newer version has."""
    return Line(
        ts=stamp(at_ms),
        level=LEVELS.get(event, "info"),
        event=event,
        study=matter.study,
        conversation=matter.conversation,
        round=matter.round,
        step=matter.step,
        city=city,
        ms=ms,
        bytes=matter.bytes,
        code=code if code is not None and is_code(code) else None,
    )


def stamp(at_ms: int) -> str:
    """A time as lines have it. `at_ms`: Unix ms."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03}Z"


def status(ended: int) -> str:
    """The code of a process that ended: its exit status, or the signal that ended it (negative, as subprocess says it)."""
    return f"EXIT_{ended}" if ended >= 0 else f"SIGNAL_{-ended}"


# --- lines of others

_COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")
_FLOWER: Final = re.compile(
    r"\s*(?:[0-9T:.Z-]{20,40} )?(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\b"
)  # some begin with a time
_NUMBER: Final = re.compile(r"(?i)\b(?:exit[ _]?)?code:?\s*([0-9]{1,4})\b")
_NAMES: Final[dict[str, Level]] = {
    "DEBUG": "debug",
    "INFO": "info",
    "WARNING": "warning",
    "WARN": "warning",
    "ERROR": "error",
    "CRITICAL": "error",
}


def of_flower(text: str, at_ms: int, before: Level) -> Line:
    """What is kept of a line that Flower wrote: its level, and at ERROR the number that it says. A line that goes on has the level of
    the one `before`.
    """
    plain = _COLOUR.sub("", text)
    named = _FLOWER.match(plain)
    level = _NAMES[named[1]] if named else before
    number = _NUMBER.search(plain) if level == "error" else None
    return Line(
        ts=stamp(at_ms), level=level, event=Event.FLWR, code=f"FLWR_{int(number[1])}" if number is not None else None
    )


def of_child(text: str, at_ms: int, before: Level) -> Line:
    """A line that a child wrote: one of ours as it is, anything else as Flower's."""
    if text.startswith("{") and len(text) <= LONGEST:
        try:
            return Line.model_validate_json(text)
        except ValidationError:
            pass
    return of_flower(text, at_ms, before)
