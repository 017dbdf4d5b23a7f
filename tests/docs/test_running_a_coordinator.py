"""Runs docs/running-a-coordinator.md: every command as it stands there, three gates in processes of their own."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.console import page, played, steps

PAGE: Final = page("running-a-coordinator.md")


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPFED_LANG", "en")
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    played(PAGE)


def test_a_study_takes_the_round_trips_that_the_page_says() -> None:
    trips = [step for step in steps(PAGE) if step.command.startswith("hpfed-coordinator collect")]
    assert len(trips) == 1 + 5 + 1
