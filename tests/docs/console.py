"""Plays a page of the documentation: its `console` blocks, every command as it stands there, in order, and what it prints line by line."""

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import cli as node
from simulations import cli as simulate

PROGRAMS: Final = {"hpfed-simulate": simulate.app, "hpfed-node": node.app, "hpfed-coordinator": coordinator.app}
STARTS_S: Final = 120.0
ENDS_S: Final = 90.0
ANY: Final = "…"
FINGERPRINT: Final = "(?:[0-9a-f]{4}-){7}[0-9a-f]{4}"


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


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says first, in time; nothing of one that has ended."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], STARTS_S)
    assert ready, f"{process.args!r} said nothing in {STARTS_S} s"
    return process.stdout.readline()


@dataclass
class Shell:
    """What was left running by `&`, and the fingerprints that were printed, by the word that their line begins with."""

    running: list[subprocess.Popen[str]] = field(default_factory=list)
    heard: dict[str, str] = field(default_factory=dict)

    def listen(self, printed: str) -> None:
        for name, told in re.findall(rf"^(\S+)  .*?({FINGERPRINT})", printed, re.MULTILINE):
            self.heard[name] = told

    def told(self, word: str, words: list[str]) -> str:
        """A word `3f2a-…` is a fingerprint as it was heard: of the file that the command names, or the first of all, that of the root."""
        if not re.fullmatch(f"[0-9a-f]{{4}}-{ANY}", word):
            return word
        names = [] if "--root" in words else [Path(each).name.split(".")[0] for each in words]
        return next(self.heard[name] for name in (*names, *self.heard) if name in self.heard)

    def began(self, *commands: list[str]) -> str:
        """Commands that go on in processes of their own, once each has said its first line."""
        own = [[str(Path(sys.executable).parent / program), *words] for program, *words in commands]
        started = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in own]  # noqa: S603 commands of the page
        self.running += started
        return "".join(map(first_line, started))

    def end(self) -> None:
        for process in self.running:
            process.terminate()
        try:
            for process in self.running:
                process.communicate(timeout=ENDS_S)
        finally:
            for process in self.running:
                process.kill()


def ran(command: str, shell: Shell) -> str:
    """What a command prints, stderr first as the programs tell progress before they hand over data."""
    if loop := re.fullmatch(r"for (\w+) in (.*); do (.*?);? done", command):
        name, values, inner = loop.groups()
        if inner.endswith("&"):
            return shell.began(*(shlex.split(inner[:-1].replace(f"${name}", value)) for value in values.split()))
        return "".join(ran(inner.replace(f"${name}", value), shell) for value in values.split())
    program, *words = shlex.split(command)
    words = [shell.told(word, words) for word in words]
    if words[-1:] == ["&"]:
        return shell.began([program, *words[:-1]])
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
    shell = Shell()
    try:
        for step in steps(text):
            printed = ran(step.command, shell)
            assert like(step.shown, printed), f"$ {step.command}\n{printed}"
            shell.listen(printed)
    finally:
        shell.end()
