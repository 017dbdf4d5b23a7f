"""Runs docs/studies.md, and holds its list against the templates that ship."""

import re
from pathlib import Path
from typing import Final

import pytest

from coordinator import templates
from tests.docs.console import page, played

PAGE: Final = page("studies.md")


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPFED_LANG", "en")
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    played(PAGE)


def test_the_page_lists_the_templates_that_ship() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.M)
    assert sorted(listed) == list(templates.names())
