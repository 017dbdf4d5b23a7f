"""Attacks and tests name each other: one number and one name for each attack, the name is the test's, the number stands at its head."""

import ast
import re

from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").split("<!--")[0]
ATTACKS = dict(re.findall(r"^\| (T[0-9]{2}) \|.*\| `([a-z-]+)` \|$", PAGE, re.MULTILINE))
RULES = re.findall(r"^\| (R[0-9]) ", PAGE, re.MULTILINE)


def test_every_attack_has_one_number_and_one_name() -> None:
    listed = re.findall(r"^\| (T[0-9]{2}) \|", PAGE, re.MULTILINE)
    assert sorted(listed) == [f"T{number:02}" for number in range(1, 67)]
    assert len(set(ATTACKS.values())) == len(listed)
    assert [f"R{number}" for number in range(1, 10)] == RULES


def test_every_disclosure_test_is_named_after_its_attack_and_gives_its_number_first() -> None:
    for path in sorted((ROOT / "tests" / "disclosure").glob("test_*.py")):
        name = path.stem.removeprefix("test_").replace("_", "-")
        assert name in ATTACKS.values(), f"{path.name}: no attack of this name in docs/threat-model.md"
        head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        numbers = re.match(r"(T[0-9]{2})(, T[0-9]{2})*( `[a-z-]+`)?:", head)
        assert numbers is not None, f"{path.name}: begin its text with the number of its attack"
        assert ATTACKS[numbers[1]] == name, path.name


def test_numbers_that_tests_speak_of_are_in_the_list() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        spoken = re.findall(r"\bT[0-9]{2}\b", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        assert set(spoken) <= set(ATTACKS), path.name
