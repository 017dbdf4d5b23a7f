"""The three programs start at once: `--help` loads none of the heavy packages, and says how to use the program."""

import json
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.source import ROOT

HEAVY = (
    "pandas",
    "scipy",
    "statsmodels",
    "flwr",
    "opendp",
    "duckdb",
    "dp_accounting",
    "matplotlib",
    "sqlalchemy",
    "vl_convert",
    "xlsxwriter",
    "jinja2",
)
PROGRAMS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
MOST_TIMES = 1.6
TOLD = "print(json.dumps([code, sorted(sys.modules), time.process_time()]), file=sys.stderr)"
LIBRARY = f"import json, sys, time, typer, typer.rich_utils\ncode = 0\n{TOLD}"
ASKED = f"""
import json, sys, time
from importlib import import_module
module, function = sys.argv.pop(1).split(":")
sys.argv[1:] = ["--help"]
code = 0
try:
    getattr(import_module(module), function)()
except SystemExit as end:
    code = end.code
{TOLD}
"""


def told(program: str, *words: str) -> tuple[str, tuple[int | None, list[str], float]]:
    """What a program prints; its exit code, the modules it loaded, and the seconds of a processor that it took."""
    command = [sys.executable, "-c", program, *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 our own text
    return ran.stdout, tuple(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_loads_nothing_heavy_and_shows_an_example(program: str) -> None:
    printed, (code, loaded, _) = told(ASKED, PROGRAMS[program])
    assert code in (0, None)
    assert sorted({name.split(".")[0] for name in loaded} & set(HEAVY)) == []
    assert f"{program} " in printed.split("Example")[1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_costs_hardly_more_than_its_command_line_library(program: str) -> None:
    """Which takes 0.3 s where half a second is the limit: a ratio, so that a busy or slow machine says the same. Three tries."""
    ratios = []
    for _ in range(3):
        ratios.append(told(ASKED, PROGRAMS[program])[1][2] / told(LIBRARY)[1][2])
        if ratios[-1] < MOST_TIMES:
            break
    assert min(ratios) < MOST_TIMES


def test_the_programs_are_the_three_of_the_contract() -> None:
    assert sorted(PROGRAMS) == ["hpfed-coordinator", "hpfed-node", "hpfed-simulate"]
