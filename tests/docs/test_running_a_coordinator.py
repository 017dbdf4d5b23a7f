"""Runs docs/running-a-coordinator.md: every command as it stands there, a coordinator's host and three nodes in processes of their own.

Two things differ: the ports are free ones of this machine, for the gateway and, from the environment, for the SuperLink.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from protocols.logged import Event, Line
from protocols.messages import Kind
from simulations.federation import free_port
from tests.docs.console import page, played, steps

PAGE: Final = page("running-a-coordinator.md")


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPFED_LANG", "en")
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    monkeypatch.setenv("HPFED_SUPERLINK_PORT", str(free_port()))
    played(PAGE.replace(":8443", f":{free_port()}"))
    logs = {path.stem: lines(path) for path in tmp_path.rglob("log/*.jsonl")}
    assert logs.keys() >= {"superlink", "gateway", "engine", "gate", "link"}
    assert {each.event for each in logs["engine"]} >= {
        Event.STARTED,
        Event.RUN,
        Event.ASKED,
        Event.ANSWERED,
        Event.RELEASED,
    }
    for name in ("gate", "link"):
        assert Kind.MASKED in {each.step for each in logs[name] if each.event is Event.ANSWERED}


def lines(path: Path) -> list[Line]:
    """The lines of a log, every one of which is a line: nothing else was written there."""
    return [Line.model_validate_json(each) for each in path.read_text(encoding="utf-8").splitlines()]


def test_a_study_takes_the_round_trips_that_the_page_says() -> None:
    trips = [step for step in steps(PAGE) if step.command.startswith("hpfed-coordinator collect")]
    assert len(trips) == 1 + 5 + 1
