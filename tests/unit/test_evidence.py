"""Messages that broke the protocol are kept as they came, for their owner's eyes, and within bounds."""

import os
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE

import pytest

from node import evidence
from protocols.errors import Refusal


def kept(home: Path) -> list[bytes]:
    """What lies there, the oldest first."""
    return [
        path.read_bytes() for path in sorted((home / "evidence").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    ]


def put(home: Path, content: bytes, at: int) -> None:
    """A message, written at a time that the test chooses."""
    digest = evidence.keep(home, content)
    path = evidence.find(home, digest)
    assert path is not None
    os.utime(path, ns=(at, at))


def test_a_message_is_found_by_its_digest_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    digest = evidence.keep(tmp_path, b"as it came")
    assert digest == "sha256:" + sha256(b"as it came").hexdigest()
    path = evidence.find(tmp_path, digest)
    assert path is not None
    assert path.read_bytes() == b"as it came"
    assert (S_IMODE(path.stat().st_mode), S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert evidence.find(tmp_path, "sha256:" + "0" * 64) is None


def test_the_same_message_is_kept_once(tmp_path: Path) -> None:
    assert evidence.keep(tmp_path, b"again") == evidence.keep(tmp_path, b"again")
    assert kept(tmp_path) == [b"again"]


@pytest.mark.parametrize(("most", "room"), [(3, 1_000), (9, 30)], ids=["number", "bytes"])
def test_the_oldest_makes_room_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, room: int
) -> None:
    """Three of ten bytes fit; one as large as all of them leaves room for nothing else."""
    monkeypatch.setattr(evidence, "MOST", most)
    monkeypatch.setattr(evidence, "ROOM", room)
    for at in range(5):
        put(tmp_path, b"%010d" % at, at + 1)
    assert kept(tmp_path) == [b"%010d" % at for at in (2, 3, 4)]
    if room == 30:
        put(tmp_path, bytes(30), 9)
        assert kept(tmp_path) == [bytes(30)]


def test_a_disk_that_takes_no_more_is_said(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_bytes(b"in the way")
    with pytest.raises(Refusal) as no:
        evidence.keep(tmp_path, b"as it came")
    assert no.value.code == "LEDGER_UNAVAILABLE"
