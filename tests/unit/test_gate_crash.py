"""R5: the gate dies between any two of its steps, by a fault and by kill -9: no bytes are out, or bytes with a charge that covers them.

In one process a fault is raised before and after every call that the gate makes to its books, its rows, its noise and its desk. In
processes of their own the gate is killed before calls to the disk, one after the other; all of them are gone through in the slow run.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from coordinator import rounds
from node import desk, gate, ledger, snapshot
from node.audit import verify as verify_audit
from node.policy import load
from protocols import messages, privacy
from protocols.entropy import seeded
from protocols.errors import HpfedError
from protocols.secagg import member
from simulations import world
from tests import gates
from tests.gates import Rig

LOST: Final = "east"
LEFT: Final = "left.txt"
DISK: Final = frozenset({"execute", "executemany", "write", "fsync", "open", "flock", "rename"})
BEFORE: Final[tuple[tuple[Any, str], ...]] = (
    *((ledger.Ledger, name) for name in ("repeated", "admit", "reserve", "rows", "spend")),
    *((ledger.Ledger, name) for name in ("confirm", "reveal", "answer", "acknowledge")),
    (desk.Desk, "yes"),
    (desk.Desk, "record"),
    (snapshot, "open_for"),
    (gate, "encoded"),
    (gate, "noise"),
    (member, "mask"),
)
AFTER: Final[tuple[tuple[Any, str], ...]] = tuple((ledger.Ledger, name) for name in ("reserve", "rows", "spend"))
SEAMS: Final = (  # what comes after any other call comes before the next one
    *((place, name, "before") for place, name in BEFORE),
    *((place, name, "after") for place, name in AFTER),
)


class Killed(BaseException):
    """The end of a process, as far as one process can play it."""


def conversation(tiny: Rig, out: Callable[[str], object]) -> None:
    """A whole study; `out` hears the kind of every reply that leaves the city in question."""
    here = tiny.gates[LOST]
    honest = here.answer

    def answer(content: bytes, now: int) -> bytes | None:
        reply = honest(content, now)
        if reply is not None:
            out(messages.peek(reply).kind.value)
        return reply

    here.answer = answer  # type: ignore[method-assign]  # the test listens at the exit
    post = tiny.present.post
    answers = rounds.offer(post, tiny.study, tiny.present.signed, tiny.present.ids)
    agreement = rounds.agreed(post, tiny.study, answers)
    rounds.summed(post, agreement, answers, {}).conversation.receipts()


def reopened(home: Path, policy: Path) -> ledger.Ledger:
    return ledger.Ledger.open(
        home / ledger.FILE,
        policy=load(policy, loose=True),
        city=LOST,
        city_key=bytes(32),
        now=world.SEEDED_START + 60,
        entropy=seeded("after the crash"),
    )


def covered(left: list[str], home: Path, policy: Path) -> bool:
    """After a restart: what left stands in the ledger and is charged; what did not leave is charged, or was never read."""
    with reopened(home, policy) as books:
        held = books.view(world.SEEDED_START).reservations
        used = books.view(world.SEEDED_START).room("total", "", world.SEEDED_START).used
        chain = verify_audit(home / ledger.AUDIT)
        assert chain.ledger == books.head
        if not held:
            return not set(left) - {"approval"} and used == privacy.FREE
        (one,) = held
        done = one.rounds.get(0)
        stands = {
            "advert": True,
            "shares": True,
            "masked": done is not None and done.sent,
            "confirm": done is not None and done.confirmed is not None,
            "reveal": done is not None and done.revealed,
            "ack": done is not None and done.answered is not None,
        }
        charged = done is None or (done.spent is not None and used == one.cost)
        return charged and all(stands.get(word, True) for word in left)


# --- a fault before and after every call


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash") / "cities"
    gates.write(folder)
    return folder


def faulty(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, when: str, tiny: Rig) -> list[int]:
    """From now on the call dies, if it is the city in question that makes it; how often it was made."""
    honest, made = getattr(place, name), []
    here = tiny.gates[LOST]

    def call(*arguments: Any, **words: Any) -> Any:
        mine = here.busy  # type: ignore[attr-defined]  # set while it answers
        if mine and when == "before":
            made.append(1)
            raise Killed
        result = honest(*arguments, **words)
        if mine:
            made.append(1)
            raise Killed
        return result

    monkeypatch.setattr(place, name, call)
    return made


@pytest.mark.parametrize(("place", "name", "when"), SEAMS, ids=[f"{when} {name}" for _, name, when in SEAMS])
def test_a_fault_between_any_two_steps_leaves_no_bytes_or_bytes_with_a_charge(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, when: str
) -> None:
    left: list[str] = []
    homes = tmp_path / "homes"
    with gates.rig(written, homes=homes) as tiny:
        here = tiny.gates[LOST]
        here.busy = False  # type: ignore[attr-defined]  # the test's own mark
        honest = here.answer

        def answer(content: bytes, now: int) -> bytes | None:
            here.busy = True  # type: ignore[attr-defined]  # the test's own mark
            try:
                return honest(content, now)
            finally:
                here.busy = False  # type: ignore[attr-defined]  # the test's own mark

        here.answer = answer  # type: ignore[method-assign]  # the test listens at the exit
        made = faulty(monkeypatch, place, name, when, tiny)
        with pytest.raises((Killed, HpfedError)):
            conversation(tiny, left.append)
        monkeypatch.undo()
        assert made, "the gate never came to that call"
    assert covered(left, homes / LOST, written / LOST)


# --- kill -9


def killed(tiny: Rig, point: int, out: Callable[[str], object]) -> None:
    """A study, in which this process dies before the given call of that city to the disk."""
    passed, here = 0, tiny.gates[LOST]
    honest = here.answer

    def watch(_frame: FrameType, event: str, called: Any) -> None:
        nonlocal passed
        if event == "c_call" and called.__name__ in DISK and touches_disk(called):
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

    def answer(content: bytes, now: int) -> bytes | None:
        sys.setprofile(watch)
        try:
            return honest(content, now)
        finally:
            sys.setprofile(None)

    here.answer = answer  # type: ignore[method-assign]  # watched while it answers
    conversation(tiny, out)


def touches_disk(called: Any) -> bool:
    """Calls of the operating system and of SQLite; not of buffers in memory."""
    return called.__module__ in ("posix", "fcntl") or isinstance(called.__self__, sqlite3.Connection)


def main(cities: Path, homes: Path, step: int) -> None:
    """Kill one child after the other, every `step`-th call, until one comes through alive."""
    with gates.rig(cities, homes=homes / "first") as tiny:
        assert tiny.study.variances
    for point in range(0, 100_000, step):
        home = homes / f"{point:04}"
        shutil.copytree(homes / "first", home)
        child = os.fork()
        if child == 0:
            with (home / LEFT).open("w", buffering=1) as out, gates.rig(cities, homes=home) as tiny:
                killed(tiny, point, lambda word: out.write(word + "\n"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return


def deaths(written: Path, homes: Path, step: int) -> Iterator[tuple[list[str], Path]]:
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, str(written), str(homes), str(step)]
    subprocess.run(command, check=True, env=quiet)  # noqa: S603 this file itself
    for home in sorted(homes.glob("[0-9]*")):
        yield (home / LEFT).read_text().split(), home / LOST


def checked(written: Path, homes: Path, step: int) -> int:
    seen, count = set(), 0
    for left, home in deaths(written, homes, step):
        assert covered(left, home, written / LOST), (home.parent.name, left)
        seen.add(left[-1] if left else "")
        count += 1
    assert seen >= {"", "ack"}
    return count


def test_a_gate_that_is_killed_leaves_no_bytes_or_bytes_with_a_charge(written: Path, tmp_path: Path) -> None:
    assert checked(written, tmp_path, step=59) >= 3


@pytest.mark.slow  # a process for each of some two hundred calls to the disk
def test_a_gate_that_is_killed_before_any_call_to_the_disk(written: Path, tmp_path: Path) -> None:
    assert checked(written, tmp_path, step=1) >= 100


def test_a_study_whose_city_answers_before_it_charges_would_be_caught(written: Path, tmp_path: Path) -> None:
    left: list[str] = []
    with gates.rig(written, homes=tmp_path) as tiny:
        tiny.approved()
        left.append("approval")
    assert covered(left, tmp_path / LOST, written / LOST)
    assert not covered([*left, "advert"], tmp_path / LOST, written / LOST)
    assert not covered([*left, "masked"], tmp_path / LOST, written / LOST)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
