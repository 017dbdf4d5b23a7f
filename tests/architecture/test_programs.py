"""The three programs start at once: `--help` loads none of the heavy packages, and says how to use the program."""

import json
import resource
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.source import ROOT

HEAVY = ("pandas", "scipy", "statsmodels", "flwr", "opendp", "duckdb", "dp_accounting", "matplotlib", "sqlalchemy")
MOST_S = 0.5
PROGRAMS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
ASKED = """
import json, sys
from importlib import import_module
module, function = sys.argv.pop(1).split(":")
sys.argv[1:] = ["--help"]
code = 0
try:
    getattr(import_module(module), function)()
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_loads_nothing_heavy_and_shows_an_example(program: str) -> None:
    command = [sys.executable, "-c", ASKED, PROGRAMS[program]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 our own text
    code, loaded = json.loads(ran.stderr.splitlines()[-1])
    assert code in (0, None)
    assert sorted({name.split(".")[0] for name in loaded} & set(HEAVY)) == []
    assert program in ran.stdout
    assert len(ran.stdout.splitlines()) > 5


def test_help_takes_less_than_half_a_second_of_a_processor() -> None:
    """Of five tries the quickest counts: the others shared their processor with the rest of the suite."""
    for program in PROGRAMS.values():
        quickest = 1.0
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", ASKED, program], capture_output=True, check=True)  # noqa: S603 our own text
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            quickest = min(quickest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            if quickest < MOST_S:
                break
        assert quickest < MOST_S, program


def test_the_programs_are_the_three_of_the_contract() -> None:
    assert sorted(PROGRAMS) == ["hpfed-coordinator", "hpfed-node", "hpfed-simulate"]
