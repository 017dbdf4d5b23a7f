"""How the suite runs: reproducible hypothesis examples, and the rooms whose every branch must be tested.

`--whole-branches` (set by `make test`, with `--cov` of these rooms) adds one result to the run, made when the data of all workers are
combined: it fails if a branch of the rooms below was never taken, and says which. Whoever runs a part of the suite leaves it out.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import coverage
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Workers share two cores: threads of their own for small matrices cost eight times what they save. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT: Final = Path(__file__).parents[1]
WHOLE: Final = (
    "protocols/ring.py",
    "protocols/noise.py",
    "protocols/secagg/*.py",
    "node/gate.py",
    "node/disclosure.py",
    "node/ledger.py",
    "node/policy.py",
)

# `steady` repeats the same examples on every machine. `pytest --hypothesis-profile searching` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("searching", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile("steady")


# Tests that start processes of a deployment and mostly wait for them: one worker runs them all, over one federation.
PROCESSES: Final = ("tests/deployment/", "tests/docs/test_running_")
LONGEST_FIRST: Final = (
    *PROCESSES,
    "tests/system/",
    "tests/docs/",
    "tests/laws/",
    "tests/disclosure/",
    "tests/conversations/",
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of types
    """A file's tests run in one worker, which makes what they share once; long files begin first (`--no-loadscope-reorder`)."""

    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith(PROCESSES) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {start: rank for rank, start in enumerate(LONGEST_FIRST)}

    def rank(item: pytest.Item) -> int:
        return next((ranks[start] for start in LONGEST_FIRST if item.nodeid.startswith(start)), len(ranks))

    items.sort(key=rank)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-branches", action="store_true", help="fail if a branch of the named rooms is untested")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--whole-branches") and not config.pluginmanager.hasplugin("_cov"):
        raise pytest.UsageError("--whole-branches needs --cov over the whole suite")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Outermost around pytest-cov, which has combined and saved the data of all workers when it comes back."""
    result = yield
    config = session.config
    if config.getoption("--whole-branches") and not hasattr(config, "workerinput") and not config.option.collectonly:
        missing = untested(ROOT, WHOLE, ROOT / ".coverage")
        report = pytest.TestReport(
            nodeid="tests/conftest.py::every_branch_of_the_guarding_rooms_is_tested",
            location=("tests/conftest.py", 0, "every_branch_of_the_guarding_rooms_is_tested"),
            keywords={},
            outcome="failed" if missing else "passed",
            longrepr="\n".join(missing) or None,
            when="call",
        )
        config.hook.pytest_runtest_logreport(report=report)
    return result


def untested(root: Path, rooms: tuple[str, ...], data: Path) -> list[str]:
    """One line per statement or branch of `rooms` that no test reached; a room without a file, or one not measured, is one too."""
    missing = [f"{room}: there is no such file" for room in rooms if not any(root.glob(room))]
    measured = coverage.Coverage(data_file=str(data), config_file=str(root / "pyproject.toml"))
    measured.load()
    report = data.with_suffix(".json")
    files: dict[str, Any] = {}
    try:
        measured.json_report(outfile=str(report), include=[str(root / room) for room in rooms])
        files = json.loads(report.read_text())["files"]
    except coverage.exceptions.NoDataError:
        pass  # reported file by file below
    finally:
        report.unlink(missing_ok=True)
    for path in sorted(path for room in rooms for path in root.glob(room)):
        name = path.relative_to(root).as_posix()
        if name not in files:
            missing.append(f"{name}: not measured")
            continue
        missing += [f"{name}:{line}: never run" for line in files[name]["missing_lines"]]
        missing += [f"{name}:{start}: never goes on to {stop}" for start, stop in files[name]["missing_branches"]]
    return missing
