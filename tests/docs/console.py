"""Plays a page of the documentation: its `console` blocks, every command as it stands there, in order, and what it prints line by line."""

import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import cli as node
from simulations import cli as simulate

PROGRAMS: Final = {"hpfed-simulate": simulate.app, "hpfed-node": node.app, "hpfed-coordinator": coordinator.app}
ANY: Final = "…"


@dataclass
class Step:
    """A command and the lines that the page shows under it."""

    command: str
    shown: list[str] = field(default_factory=list)


def page(name: str) -> str:
    """A page of `docs/`."""
    return (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
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


def played(text: str) -> None:
    """Every command does what the page shows."""
    for step in steps(text):
        printed = ran(step.command)
        assert like(step.shown, printed), f"$ {step.command}\n{printed}"
