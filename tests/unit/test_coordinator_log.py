"""The coordinator's log: what was written comes back, what a crash tore is cut, and what is damaged is not gone on with."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.log import HEAD, Event, Log, Opening, What
from protocols.errors import ConfigError, PeerError
from protocols.messages import imprint
from tests.architecture.source import ROOT

OPENING = Opening(5, 7, b"roster", b"plan", 3, b"l" * 32, b"question", ((1, b"ack"),), ((2, b"file"),), b"[]")
EVENTS = (
    Event(What.REPLY, 6, 8, b"first reply"),
    Event(What.WAIT_OVER, 7, 9, b""),
    Event(What.REPLY, 8, 10, b"second reply" * 100),
)


def written(path: Path) -> list[int]:
    """A log of an opening and three events; how long the file was after each record."""
    log, sizes = Log(path), []
    log.open(OPENING)
    sizes.append(path.stat().st_size)
    for event in EVENTS:
        log.append(event)
        sizes.append(path.stat().st_size)
    log.close()
    return sizes


def read(path: Path) -> tuple[Opening | None, list[Event]]:
    log = Log(path)
    found = log.opening, list(log.replay())
    log.close()
    return found


def test_what_was_written_comes_back_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "conversation" / "log"
    written(path)
    assert read(path) == (OPENING, list(EVENTS))
    log = Log(path)
    assert log.recall(imprint(b"first reply")) == b"first reply"
    assert log.recall(imprint(EVENTS[2].content)) == EVENTS[2].content
    with pytest.raises(KeyError):
        log.recall(bytes(32))
    log.append(Event(What.CLOSE, 9, 11, b""))
    log.close()
    assert read(path)[1][-1].what == What.CLOSE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_record_is_on_the_disk_before_anyone_is_told_that_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut is not a killed process: what only the system holds is gone with it."""
    path, synced, told = tmp_path / "conversation" / "log", list[int](), list[int]()
    real, sizes = os.fsync, written(tmp_path / "again" / "log")

    def watched(number: int) -> None:
        real(number)
        if stat.S_ISREG(os.fstat(number).st_mode):
            synced.append(os.fstat(number).st_size)

    monkeypatch.setattr(os, "fsync", watched)
    log = Log(path, written=lambda: told.append(synced[-1]))
    log.open(OPENING)
    for event in EVENTS:
        log.append(event)
    log.close()
    assert told == synced == sizes


def test_a_log_in_memory_is_as_good_while_the_process_lives() -> None:
    log = Log()
    log.open(OPENING)
    log.append(EVENTS[0])
    assert list(log.replay()) == [EVENTS[0]]
    assert log.recall(imprint(b"first reply")) == b"first reply"
    log.remove()


def test_a_record_torn_at_any_byte_is_cut_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sizes = written(path)
    whole = path.read_bytes()
    for end in (*range(1, 60), *range(sizes[0], sizes[2]), sizes[3] - 1):
        path.write_bytes(whole[:end])
        kept = sum(size <= end for size in sizes)
        opening, events = read(path)
        assert opening == (OPENING if kept else None)
        assert events == list(EVENTS[: max(kept - 1, 0)])
        assert path.stat().st_size == (sizes[kept - 1] if kept else 0)
    log = Log(path)
    log.append(EVENTS[2])
    log.close()
    assert path.read_bytes() == whole


def test_space_that_the_disk_gave_and_nothing_was_written_to_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(500))
    assert read(path) == (OPENING, list(EVENTS))
    assert path.read_bytes() == whole


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_other_byte_in_any_record_stops_with_damaged_log(
    tmp_path_factory: pytest.TempPathFactory, at: int, by: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    written(path)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= by
    path.write_bytes(content)
    with pytest.raises(PeerError) as fault:
        read(path)
    assert fault.value.code == "LOG_DAMAGED"
    assert fault.value.exit_code == 1
    assert "damaged log" in fault.value.text("en")
    assert path.read_bytes() == bytes(content)  # nothing is cut that somebody could still look at


def test_a_record_left_out_or_in_another_place_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sizes = written(path)
    whole = path.read_bytes()
    one, two = whole[sizes[0] : sizes[1]], whole[sizes[1] : sizes[2]]
    for middle in (two, two + one, one + one + two):
        path.write_bytes(whole[: sizes[0]] + middle + whole[sizes[2] :])
        with pytest.raises(PeerError):
            read(path)
    assert len(one) == HEAD + len(EVENTS[0].encode()) + 32


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path)
    other = f"from pathlib import Path\nfrom coordinator.log import Log\nLog(Path({str(path)!r}))"
    tried = subprocess.run([sys.executable, "-c", other], cwd=ROOT, capture_output=True, check=False)  # noqa: S603 our own module
    assert b"LOG_IN_USE" in tried.stderr or b"another process" in tried.stderr
    with pytest.raises(ConfigError):
        Log(path)
    log.remove()
    assert not path.parent.exists()
