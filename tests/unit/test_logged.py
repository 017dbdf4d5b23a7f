"""Logs: what a line can say, what is kept of other programs' lines, and where lines go."""

import json
import os
import stat
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from coordinator.exchange import Reason
from protocols import logged, messages
from protocols.errors import PeerError
from protocols.logfile import ELSEWHERE, FOLDER, Log, Rotated, folder_of
from protocols.logged import LEVELS, LONGEST, REASONS, Event, Line, about, line, of_child
from protocols.messages import Kind
from tests.conversations.table import NOW
from tests.unit.test_messages import sent

AT = 1_764_131_831_042
TEXT_FIELDS = ("ts", "level", "event", "study", "conversation", "step", "city", "code")
FIELDS = ("ts", "level", "event", "study", "conversation", "round", "step", "city", "ms", "bytes", "code")


def test_a_line_has_the_listed_fields_and_no_other_and_says_only_what_there_is() -> None:
    assert tuple(Line.model_fields) == FIELDS
    outside = sent(messages.Ping(bytes(32)), matter=messages.Matter(NOW + 600))
    assert "study" not in line(Event.ASKED, AT, about(outside)).text()
    assert "conversation" not in line(Event.ASKED, AT, about(outside)).text()
    said = line(Event.ANSWERED, AT, about(sent()), city="suzhou", ms=412)
    found = json.loads(said.text())
    assert list(found) == [name for name in FIELDS if name in found]
    assert (found["ts"], found["level"], found["step"], found["city"]) == (
        "2025-11-26T04:37:11.042Z",
        "info",
        "survivors",
        "suzhou",
    )
    assert found["bytes"] == len(sent())
    assert Line.model_validate_json(said.text()) == said


@pytest.mark.parametrize("field", TEXT_FIELDS)
@settings(max_examples=25)
@given(
    text=st.text(min_size=1, max_size=40) | st.sampled_from(["王五 320101", "110101199003074419", "SELECT 1", "a=1"])
)
def test_no_field_takes_free_text(field: str, text: str) -> None:
    """Whatever a field takes is a name, a digest or a time of a closed form: nothing with a space, a letter of another script or a dot."""
    given_ = {"ts": logged.stamp(AT), "level": "info", "event": "started", field: text}
    try:
        said = Line.model_validate_json(json.dumps(given_))
    except ValidationError:
        return
    assert getattr(said, field) == text
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_:.TZABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert field == "city" or text in {*LEVELS, *Event, *Kind, *REASONS} or logged.is_code(text) or field == "ts"


def test_a_line_with_another_field_or_a_float_is_none() -> None:
    base = {"ts": logged.stamp(AT), "level": "info", "event": "started"}
    for more in ({"message": "x"}, {"ms": 1.5}, {"bytes": -1}, {"event": "started "}, {"code": "NO_SUCH_CODE"}):
        with pytest.raises(ValidationError):
            Line.model_validate_json(json.dumps(base | more))


def test_reasons_are_those_of_the_exchange() -> None:
    assert get_args(Reason) == REASONS


def test_of_another_program_nothing_is_kept_but_the_level_and_the_number_of_an_error() -> None:
    said = [
        ("\x1b[92mINFO \x1b[0m:      row 110101199003074419 of 王五", "info", None),
        ("2026-11-26T04:41:24.668Z INFO [uvicorn.error] code: 7", "info", None),
        ("\x1b[91mERROR \x1b[0m:     activation of 王五 failed", "error", None),
        ("        Exit Code: 305", "error", 305),
        ("Traceback 王五", "error", None),
        ('{"event": "refused", "amount": 880123}', "error", None),
        ("\x1b[93mWARNING \x1b[0m:   code: 99", "warning", None),
    ]
    kept: list[Line] = []
    Log(lambda: AT, kept.append).capture(text.encode() + b"\n" for text, _, _ in said)
    assert [(each.level, each.code) for each in kept] == [
        (level, None if number is None else f"FLWR_{number}") for _, level, number in said
    ]
    assert all(each.event is Event.FLWR for each in kept)
    assert not any(part in each.text() for each in kept for part in ("王五", "1101", "8801"))


def test_a_line_of_our_own_passes_as_it_is() -> None:
    ours = line(Event.CONNECTED, AT - 5)
    assert of_child(ours.text(), AT, "error") == ours
    assert of_child(ours.text() + " " * LONGEST, AT, "error").event is Event.FLWR


def test_an_error_is_said_by_its_code_alone_and_an_unknown_one_not_at_all() -> None:
    kept: list[Line] = []
    log = Log(lambda: AT, kept.append)
    log.fault(PeerError("ENVELOPE_SIZE", limit=110101199003074419))
    log.say(Event.FAULT, code="FROM_A_NEWER_VERSION")
    log.say(Event.REFUSED, b"not an envelope", code="HTTP_404")
    log.say(Event.ENDED, code=logged.status(-9))
    assert [each.code for each in kept] == ["ENVELOPE_SIZE", None, "HTTP_404", "SIGNAL_9"]
    assert kept[2].bytes == 15
    assert [each.level for each in kept] == ["error", "error", "warning", "warning"]


def test_a_file_is_rotated_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ELSEWHERE, "/var/log/hpfed-link")
    assert folder_of(tmp_path) == Path("/var/log/hpfed-link")
    monkeypatch.delenv(ELSEWHERE)
    said = line(Event.STARTED, AT)
    length = len(said.text()) + 1
    kept = Rotated(folder_of(tmp_path), "gate", largest=3 * length, files=3)
    for _ in range(10):
        kept(said)
    kept.close()
    folder = tmp_path / FOLDER
    assert {path.name: path.stat().st_size // length for path in folder.iterdir()} == {
        "gate.jsonl": 1,
        "gate.jsonl.1": 3,
        "gate.jsonl.2": 3,
    }
    assert stat.S_IMODE((folder / "gate.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = Rotated(tmp_path / FOLDER, "gate", largest=3 * length, files=3)
    again(said)
    assert again.size == 2 * length


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    kept: list[Line] = []
    log = Log(lambda: AT, Rotated(tmp_path / FOLDER, "gate"), kept.append)
    log.say(Event.STARTED)
    assert len(kept) == 1
    assert os.listdir(tmp_path) == [FOLDER.name]
