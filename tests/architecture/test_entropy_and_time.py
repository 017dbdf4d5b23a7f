"""Entropy and time are arguments. Only `protocols/entropy.py` reads the operating system's source; only shells read the clock.

Synthetic cities and the data of benchmarks are drawn by numpy from a stated seed, and the world that runs them is a shell.
"""

import re

import pytest

from tests.architecture.source import ROOT, Module, belongs, broken, modules, tracked

DRAWS = (
    "random",
    "secrets",
    "numpy.random",
    "os.urandom",
    "os.getrandom",
    "uuid.uuid1",
    "uuid.uuid4",
    "ssl.RAND_bytes",
    "scipy.stats.rvs",
)
SEEDED = ("simulations.cities.", "simulations.bench.")
CLOCKS = (
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "time.ctime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
)
KEYMAKERS = (
    ".generate",
    ".generate_key",
    ".rvs",
    ".default_rng",
)  # of keys and distributions: they draw where nobody passed entropy


def draws(module: Module) -> list[str]:
    """Uses of a source of randomness that was not passed in."""
    if module.name == "protocols.entropy":
        return []
    banned = tuple(name for name in DRAWS if name != "numpy.random" or not module.name.startswith(SEEDED))
    found = [f"{module.at(node)} uses {name}" for node, name in module.uses() if belongs(name, banned)]
    calls = [call for call in module.calls() if f".{getattr(call.func, 'attr', '')}" in KEYMAKERS]
    return found + [f"{module.at(call)} draws without entropy" for call in calls]


def reads_the_clock(module: Module) -> list[str]:
    if module.name.endswith(".cli") or module.name in (
        "simulations.world",
        "simulations.federation",
        "protocols.clock",
    ):
        return []
    return [f"{module.at(node)} uses {name}" for node, name in module.uses() if belongs(name, CLOCKS)]


def test_nothing_draws_but_through_the_entropy_it_is_given() -> None:
    assert broken(draws) == []


def test_nothing_reads_the_clock_but_the_shells() -> None:
    assert broken(reads_the_clock) == []


def test_the_clock_of_the_log_is_read_by_programs_alone() -> None:
    """`protocols.clock` is for the entry points of processes; what decides or computes is told the time."""
    entries = (
        "coordinator.gateway",
        "coordinator.engine",
        "coordinator.supervisor",
        "node.link_flower",
        "coordinator.deployed.",
        "node.deployed.",
        "simulations.",
    )
    readers = {module.name for module in modules() if "protocols.clock" in module.imports}
    assert {name for name in readers if not name.startswith(entries) and not name.endswith(".cli")} == set()


def test_no_shell_draws_with_anything_but_the_entropy_module() -> None:
    shells = [module for module in modules() if module.name.endswith(".cli")]
    assert [draws(module) for module in shells if draws(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "from secrets import token_bytes",
        "import numpy as np\nnp.random.default_rng(7)",
        "from numpy import random",
        "from os import urandom as more",
        "def f():\n    import os\n    return os.urandom(4)",
        "from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey\nX25519PrivateKey.generate()",
        "from scipy import stats\nstats.skellam.rvs(4, 4)",
        "import uuid\nuuid.uuid4()",
    ],
)
def test_a_hidden_draw_is_found(text: str) -> None:
    assert draws(Module("protocols.anywhere", text))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "from time import time",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import date\nnow = date.today",
    ],
)
def test_a_hidden_clock_is_found(text: str) -> None:
    assert reads_the_clock(Module("coordinator.anywhere", text))


def test_the_lint_rule_is_lifted_only_where_it_is_meant_to_be() -> None:
    """Each exception to the banned names stands in the entropy module, a shell, the simulations or a test, and gives its reason."""
    lifted = re.compile(r"noqa: .*TID251")
    for path in tracked():
        if path.suffix != ".py" or path == path.with_name("test_entropy_and_time.py"):
            continue
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            if lifted.search(line):
                where = path.as_posix()
                assert (
                    where == "protocols/entropy.py"
                    or path.name == "cli.py"
                    or path.parts[0] in ("simulations", "tests")
                ), where
                assert re.search(r"TID251(?:, [A-Z]+\d+)* +\S", line), f"{where}:{number} gives no reason"
