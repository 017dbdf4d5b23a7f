"""Runs docs/running-a-city.md: every command as it stands there, in order, and its output compared line by line."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.console import ANY, like, page, played, steps

PAGE: Final = page("running-a-city.md")


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPFED_LANG", "en")
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    played(PAGE)


def test_every_question_of_the_page_is_answered_by_a_command_that_it_shows() -> None:
    commands = [step.command for step in steps(PAGE)]
    for asked in re.findall(r"`(hpfed-node [^`]*)`", PAGE.split("\n## ")[0]):
        words = [word for word in asked.split() if word not in ("ID", ANY) and not word.startswith("--reason")]
        assert any(command.split()[: len(words)] == words or set(words) <= set(command.split()) for command in commands)


def test_a_line_that_differs_is_found() -> None:
    assert like(["a …", ANY, "c"], "a b\nx\ny\nc\n")
    assert not like(["a …", "c"], "a b\nx\nc\n")
    assert not like([], "said\n")
