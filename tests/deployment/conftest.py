"""The federation, started once for each process of a test run, and seen to leave nothing behind."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simulations import federation
from tests.deployment.stage import CITIES, Stage


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


SPY = """import os, sys
_seen = os.open(os.environ["HPFED_SPY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(_seen, repr((event, args[1] if event in ("socket.connect", "socket.sendto") else args[0])).encode() + b"\\n")


sys.addaudithook(_hook)
"""


@pytest.fixture(scope="session")
def spied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every address that a child which was started under `watched` has looked up or connected to."""
    place = tmp_path_factory.mktemp("spy")
    (place / "sitecustomize.py").write_text(SPY, encoding="ascii")
    return place / "seen"


def watched(patch: pytest.MonkeyPatch, seen: Path) -> None:
    """Children that are started from here on write down what they look up and connect to."""
    patch.setenv("PYTHONPATH", str(seen.parent))
    patch.setenv("HPFED_SPY", str(seen))


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch, spied: Path) -> None:
    """The children of one test too."""
    watched(monkeypatch, spied)


@pytest.fixture(scope="session")
def stage(spied: Path) -> Iterator[Stage]:
    with federation.folder() as run, ExitStack() as stack:
        sockets = {city: run / f"{city}.sock" for city in CITIES}
        with pytest.MonkeyPatch.context() as patch:
            watched(patch, spied)
            made = stack.enter_context(federation.federation(sockets))
        yield Stage(made, sockets)
        pids = [child.pid for child in made.children.values()]
        stack.close()
        assert not [pid for pid in pids if alive(pid)], "a process of the federation outlived it"
    assert not run.exists()
