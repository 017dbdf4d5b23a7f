"""The rule of `tests/conftest.py` can fail: a small project of its own, run as a real process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, WHOLE

ROOM = """
def larger(first: int, second: int) -> int:
    if second > first:
        first = second
    return first
"""


def project(folder: Path, cases: str, workers: int) -> subprocess.CompletedProcess[str]:
    """A tree with every room of `WHOLE`, one of which has a branch, and one test file; its `pytest` under this suite's conftest."""
    for room in WHOLE:
        path = folder / room.replace("*", "keys")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROOM if room == "node/gate.py" else "LIMIT = 1\n")
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    imports = "".join(f"import {room.replace('*', 'keys').removesuffix('.py').replace('/', '.')}\n" for room in WHOLE)
    (folder / "tests" / "test_rooms.py").write_text(f"{imports}\n{cases}")
    (folder / "pyproject.toml").write_text('[tool.coverage.run]\nbranch = true\nsource = ["protocols", "node"]\n')
    command = [sys.executable, "-m", "pytest", f"-n{workers}", "--cov", "--cov-report=", "--whole-branches", "tests"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 our own arguments


def test_a_branch_that_no_test_takes_fails_the_run_and_is_named(tmp_path: Path) -> None:
    ran = project(tmp_path, "def test_one_side():\n    assert node.gate.larger(2, 1) == 2\n", workers=1)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "node/gate.py:4: never run" in ran.stdout
    assert "node/gate.py:3: never goes on to 4" in ran.stdout
    assert "1 failed, 1 passed" in ran.stdout.splitlines()[-1]


def test_a_run_that_takes_every_branch_ends_in_pytests_own_closing_line(tmp_path: Path) -> None:
    both = "def test_both():\n    assert node.gate.larger(2, 1) == 2\n    assert node.gate.larger(1, 2) == 2\n"
    ran = project(tmp_path, both, workers=0)
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    assert "2 passed" in ran.stdout.splitlines()[-1]
