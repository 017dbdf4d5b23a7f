"""The CHANGELOG says what this version refuses: every key that is refused with NOT_YET is in its list."""

import ast
import re

from tests.architecture.source import ROOT, modules

PAGE = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
LISTED = PAGE.split("`NOT_YET`")[1]


def test_every_key_that_is_refused_for_now_is_listed() -> None:
    keys = {
        key
        for module in modules()
        if module.name != "protocols.errors"
        for call in module.calls()
        if any(isinstance(each, ast.Constant) and each.value == "NOT_YET" for each in call.args)
        for text in ast.walk(call)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
        for key in re.findall(r"`([a-z_.]+)`", text.value)
    }
    assert keys >= {"codes_from"}
    assert {key for key in keys if f"`{key}`" not in LISTED} == set()


def test_the_version_is_the_one_of_the_project() -> None:
    first = re.findall(r"^## ([0-9.]+)", PAGE, re.MULTILINE)[0]
    assert f'version = "{first}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
