"""Processes end with the block that holds them, and with the process that started them however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.children import Child, all_of, command_of, descendants, until

WAITS = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
DEAF = [
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(600)",
]


def alive(pid: int) -> bool:
    """Whether it runs; a process that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Whether a child of a killed process still runs, only /proc tells.
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")


def test_children_end_with_their_block_also_those_that_do_not_hear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulations.children.GRACE_S", 0.3)
    children = [Child(command, {}, tmp_path / "said") for command in (WAITS, DEAF)]
    with all_of(children):
        pids = [each.pid for each in children]
        assert set(pids) <= set(descendants(os.getpid()))
        assert command_of(pids[0]).endswith(b"time.sleep(600)\0")
        assert until(lambda: all(map(alive, pids)), 5)
    assert until(lambda: not any(map(alive, pids)), 5)
    assert command_of(pids[0]) == b""


def test_a_child_that_is_killed_is_started_again_and_one_that_need_not_is_not(tmp_path: Path) -> None:
    again, once = Child(WAITS, {}, tmp_path / "said"), Child(WAITS, {}, tmp_path / "said", again=False)
    with all_of([again, once]):
        pids = again.pid, once.pid
        again.kill()
        once.kill()
        assert until(lambda: again.pid != pids[0] and alive(again.pid), 10)
        assert until(lambda: once.ended, 10)
        assert (again.ends, again.status, once.pid) == (1, -signal.SIGKILL, pids[1])


def test_nothing_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom simulations import federation\nfrom simulations.children import Child\n"
        f"with federation.folder() as made:\n    child = Child({WAITS!r}, {{}}, Path({str(tmp_path / 'said')!r}))\n"
        "    print(child.pid, made, flush=True)\n    time.sleep(600)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)  # noqa: S603 our own
    assert killed.stdout is not None
    with killed:
        pid, made = killed.stdout.readline().split()
        assert alive(int(pid))
        assert Path(made).is_dir()
        killed.kill()
        assert until(lambda: not alive(int(pid)) and not Path(made).exists(), 10)
