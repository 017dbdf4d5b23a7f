"""T33: crash between release and charge; disk full. At no point of a conversation does a kill let out more than is charged (rule R5).

A process of its own walks through a conversation, writes down what left it, and is killed before every single call that touches the disk,
one after the other. What the ledger says after the restart must cover what left.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from node.audit import verify as verify_audit
from node.ledger import AUDIT, FILE, Ledger, verify
from protocols import privacy
from tests.ledgers import NOW, answer, claim, confirm, conversation, masked, name, opened, request, reveal, rows, spend

DISK: Final = frozenset({"execute", "executemany", "write", "fsync", "open", "flock"})
LEFT: Final = "left.txt"  # what a killed process had let out, one word a line
ACK: Final = b"ack"


def walk(home: Path, out: Any) -> None:
    """One conversation. A word is written once the bytes it stands for may have left, or rows may have been read."""
    with opened(home) as ledger:
        ledger.reserve(claim(1), now=NOW)
        out("advert")
        rows(ledger, 1)
        out("rows")
        spend(ledger, 1)
        out("masked")
        confirm(ledger, 1)
        out("confirm")
        reveal(ledger, 1)
        out("reveal")
        answer(ledger, 1)
        ledger.acknowledge(name("receipt", 1), ACK, now=NOW)
        out("ack")


def touches_disk(called: Any) -> bool:
    """Calls of the operating system and of SQLite; not of buffers in memory."""
    return called.__module__ in ("posix", "fcntl") or isinstance(called.__self__, sqlite3.Connection)


def killed(home: Path, point: int) -> None:
    """Walk, and die before the given call to the disk."""
    passed = 0

    def watch(_frame: FrameType, event: str, called: Any) -> None:
        nonlocal passed
        if event == "c_call" and called.__name__ in DISK and touches_disk(called):
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

    with (home / LEFT).open("w", buffering=1) as out:
        sys.setprofile(watch)
        walk(home, lambda word: out.write(word + "\n"))
        sys.setprofile(None)


def main(folder: Path) -> None:
    """Kill one child after the other, until one comes through alive. Each is a copy of a process that has computed all costs once."""
    assert claim(1).cost.sampler
    opened(folder / "first").close()
    for point in count():
        home = folder / "killed" / f"{point:04}"
        home.mkdir(parents=True)
        child = os.fork()
        if child == 0:
            killed(home, point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One home for each point of death, and, last, the one of a walk to the end."""
    folder = tmp_path_factory.mktemp("killed")
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", __name__, str(folder)], check=True, env=quiet)  # noqa: S603 this file itself
    return sorted((folder / "killed").iterdir())


def left(home: Path) -> list[str]:
    return (home / LEFT).read_text().split()


def test_the_last_walk_came_through_and_many_were_killed_at_every_stage(homes: list[Path]) -> None:
    assert left(homes[-1]) == ["advert", "rows", "masked", "confirm", "reveal", "ack"]
    stages = [len(left(home)) for home in homes]
    assert stages == sorted(stages)
    assert set(stages) == set(range(7))
    assert len(homes) > 60


def after_restart(homes: list[Path]) -> Iterator[tuple[list[str], Ledger]]:
    for home in homes:
        with opened(home) as ledger:
            yield left(home), ledger


def covers(words: list[str], ledger: Ledger) -> bool:
    """All that left, or may have been read, is charged, and stands in the ledger as what it was."""
    held = ledger.reservation(conversation(1))
    used = ledger.view(NOW).rooms[-1].used
    if held is None:
        return words == [] and used == privacy.FREE
    done = held.rounds.get(0)
    stands = {
        "advert": True,
        "rows": done is not None,
        "masked": done is not None and done.sent,
        "confirm": done is not None and done.confirmed is not None,
        "reveal": done is not None and done.revealed,
        "ack": done is not None and done.answered is not None,
    }
    charged = done is None or (done.spent is not None and held.state in ("spent", "answered"))
    return used == claim(1).cost and charged and all(stands[word] for word in words)


def test_after_a_kill_the_ledger_covers_all_that_left(homes: list[Path]) -> None:
    for words, ledger in after_restart(homes):
        assert covers(words, ledger)


def test_a_city_that_sends_before_it_charges_would_be_caught(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
    with opened(tmp_path) as ledger:
        assert covers(["advert", "rows"], ledger)
        assert not covers(["advert", "rows", "masked"], ledger)
    with opened(tmp_path / "reads early") as ledger:
        ledger.reserve(claim(1), now=NOW)
    with opened(tmp_path / "reads early") as ledger:
        assert covers(["advert"], ledger)
        assert not covers(["advert", "rows"], ledger)


def test_after_a_kill_a_repeat_gets_the_stored_bytes_or_nothing(homes: list[Path]) -> None:
    seen = set()
    for words, ledger in after_restart(homes):
        held = ledger.reservation(conversation(1))
        done = held.rounds.get(0) if held else None
        stored = ledger.repeated(request(1))
        waiting = bool(done and done.sent and not done.answered)
        assert stored == (masked(1) if waiting else None)
        if "ack" in words:
            assert ledger.repeated(name("receipt", 1)) == ACK
        seen.add((waiting, "masked" in words))
    assert (
        True,
        False,
    ) in seen  # killed after the charge and before the bytes left: charged, and the same bytes leave later


def test_after_a_kill_no_second_vector_leaves_that_conversation(homes: list[Path]) -> None:
    for _words, ledger in after_restart(homes):
        held = ledger.reservation(conversation(1))
        if held is not None and held.rounds:
            for step in (rows, spend):
                with pytest.raises(Exception, match="declines"):
                    step(ledger, 1)
        elif held is not None:
            assert held.state == "reserved"  # no row was read: the same round may go on


def test_after_a_kill_chain_and_audit_are_whole_and_say_the_same(homes: list[Path]) -> None:
    for home in homes:
        opened(home).close()
        chain = verify_audit(home / AUDIT)
        assert verify(home / FILE, chain.ledger) == chain.ledger


if __name__ == "__main__":
    main(Path(sys.argv[1]))
