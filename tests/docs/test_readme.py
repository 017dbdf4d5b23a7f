"""The README says what a newcomer sees: its commands exist, its figures are filled in, its links lead somewhere."""

import re
from pathlib import Path
from typing import Final

import click
import pytest
import typer

from coordinator import cli as coordinator
from node import cli as node
from simulations import cli as simulate

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS: Final = {"hpfed-simulate": simulate.app, "hpfed-node": node.app, "hpfed-coordinator": coordinator.app}
COMMANDS: Final = sorted(set(re.findall(r"^(?:\$ cd \S+ && )?(hpfed-[a-z]+ [^#\n]*?)\s*(?:#.*)?$", README, re.M)))


def test_no_figure_is_left_to_be_filled_in() -> None:
    assert not re.search(r"[A-Z]+_OUTPUT", README)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_exists(command: str) -> None:
    program, *words = command.split()
    found: click.Command = typer.main.get_command(PROGRAMS[program])
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    known = {name for parameter in found.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", README, re.M):
        assert f"\n{target}:" in makefile


def test_every_link_leads_to_a_file() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
