"""The federation, started once for each process of a test run, and seen to leave nothing behind."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from simulations import federation
from tests.deployment.stage import CITIES, Stage


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("flwr is not installed: the extra `flower`")
    with federation.folder() as run:
        sockets = {city: run / f"{city}.sock" for city in CITIES}
        with federation.federation(sockets) as made:
            yield Stage(made, sockets)
            pids = [child.pid for child in made.children.values()]
    assert not [pid for pid in pids if alive(pid)], "a process of the federation outlived it"
    assert not run.exists()
