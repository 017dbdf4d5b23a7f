"""Follows docs/adding-a-statistic.md in a copy of the tree: the file, the line, the laws, and an answer."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "adding-a-statistic.md").read_text(encoding="utf-8")

ASK: Final = """
import json
from protocols.statistics import KINDS
from tests.laws.generated import encoded, finalized, layout_of
question = KINDS["missing"].example()
crowd = [{"income": 5, "owner": 1}] * 30 + [{"income": 7}] * 60 + [{}] * 10
answer = finalized(question, encoded(layout_of(question), crowd))
print(json.dumps([row.published("pooled") for row in answer.rows]))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rooms that a statistic lives in, with what the page adds: one file and one line."""
    copy = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__")
    for room in ("protocols", "coordinator", "tests/laws"):
        shutil.copytree(ROOT / room, copy / room, ignore=ignore)
    for name in ("tests/__init__.py", "tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    file, line = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = re.search(r"`(protocols/statistics/\w+\.py)`:", PAGE)
    assert path is not None
    assert not (copy / path[1]).exists()
    assert len(line.splitlines()) == 1
    (copy / path[1]).write_text(file, encoding="utf-8")
    register = copy / "protocols" / "statistics" / "__init__.py"
    before = "from protocols.statistics.question import"
    assert register.read_text(encoding="utf-8").count(before) == 1
    register.write_text(register.read_text(encoding="utf-8").replace(before, line + before), encoding="utf-8")
    return copy


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=tree, capture_output=True, text=True, check=False)  # noqa: S603 our own arguments


def test_the_laws_hold_for_the_new_kind(tree: Path) -> None:
    """The laws that run on each kind's own example, and those on what a holder and a lost variable can change, over a register of five."""
    chosen = "missing or one_holder or registered_once"
    done = run(tree, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "tests/laws/test_kinds_laws.py", "-k", chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_the_new_kind_answers(tree: Path) -> None:
    done = run(tree, "-c", ASK)
    assert done.returncode == 0, done.stderr
    income, owner = json.loads(done.stdout)
    assert (income["variable"], income["estimate"], income["base"], income["measure"]) == ("income", 0.1, 100, "share")
    assert (owner["variable"], owner["estimate"], owner["obs_status"]) == ("owner", 0.7, "")
    assert owner["ci_low"] == owner["ci_high"] == 0.7


def test_a_study_may_ask_it_and_is_told_what_is_wrong(tree: Path) -> None:
    study = tree / "study.yaml"
    study.write_text(
        "study: gaps-in-data\ntitle: {en: Gaps}\npurpose: {en: learn}\nasker: fund-lab\nas_of: 2022-05-31\n"
        "dictionary: hpf-flexible-employment@1\nprivacy: {mode: exact}\nquestions:\n  - {id: gaps, kind: missing, of: [sexx]}\n"
    )
    done = run(tree, "-c", "from pathlib import Path; from protocols.study import load; load(Path('study.yaml'))")
    assert done.returncode == 1
    assert "study.yaml:9: questions[0].of: the dictionary has no variable 'sexx'; did you mean 'sex'?" in done.stderr


def test_the_page_says_only_what_is_there() -> None:
    """Every path and every name of a function on the page exists."""
    for path in re.findall(r"`((?:protocols|tests|docs)/[\w/.-]+\.(?:py|md))`", PAGE):
        assert path == "protocols/statistics/missing.py" or (ROOT / path).is_file(), path
    for room in ("layout", "intervals", "marks", "tables"):
        assert f"`{room}.py`" in PAGE
        assert (ROOT / "protocols" / "statistics" / f"{room}.py").is_file()
