"""Runs docs/running-a-city.md: every command as it stands there, in order, and its output compared line by line."""

import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import cli as node
from simulations import cli as simulate

PAGE: Final = (Path(__file__).parents[2] / "docs" / "running-a-city.md").read_text(encoding="utf-8")
PROGRAMS: Final = {"hpfed-simulate": simulate.app, "hpfed-node": node.app, "hpfed-coordinator": coordinator.app}
ANY: Final = "…"


@dataclass
class Step:
    """A command and the lines that the page shows under it."""

    command: str
    shown: list[str] = field(default_factory=list)


def steps() -> list[Step]:
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:]))
            else:
                found[-1].shown.append(line)
    return found


def like(shown: list[str], printed: str) -> bool:
    """A line of `…` stands for any lines; inside a line it stands for anything."""
    parts = [r"(?:.*\n)*?" if line == ANY else re.escape(line).replace(ANY, r"[^\n]*") + r"\n" for line in shown]
    return re.fullmatch("".join(parts), printed) is not None


def ran(command: str) -> str:
    """What a command prints, stderr first as the programs tell progress before they hand over data."""
    program, *words = shlex.split(command)
    match program:
        case "export":
            name, _, text = words[0].partition("=")
            os.environ[name] = text
        case "cd":
            os.chdir(words[0])
        case "echo":
            text, _, file = words
            with Path(file).open("a", encoding="utf-8") as out:
                out.write(text + "\n")
        case "cp":
            shutil.copy(*words)
        case "sed":
            _, rule, file = words
            old, new = rule.removeprefix("s/").removesuffix("/").split("/")
            content = Path(file).read_text(encoding="utf-8")
            Path(file).write_text(re.sub(old, new.replace("\\n", "\n"), content, flags=re.M), encoding="utf-8")
        case _:
            done = CliRunner().invoke(PROGRAMS[program], words)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            return done.stderr + done.stdout
    return ""


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPFED_LANG", "en")
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    for step in steps():
        printed = ran(step.command)
        assert like(step.shown, printed), f"$ {step.command}\n{printed}"


def test_every_question_of_the_page_is_answered_by_a_command_that_it_shows() -> None:
    commands = [step.command for step in steps()]
    for asked in re.findall(r"`(hpfed-node [^`]*)`", PAGE.split("\n## ")[0]):
        words = [word for word in asked.split() if word not in ("ID", ANY) and not word.startswith("--reason")]
        assert any(command.split()[: len(words)] == words or set(words) <= set(command.split()) for command in commands)


def test_a_line_that_differs_is_found() -> None:
    assert like(["a …", ANY, "c"], "a b\nx\ny\nc\n")
    assert not like(["a …", "c"], "a b\nx\nc\n")
    assert not like([], "said\n")
