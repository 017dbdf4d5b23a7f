"""Attacks and tests name each other: one number and one name for each attack, the name is the test's, the number stands at its head."""

import ast
import inspect
import re

from simulations import attacks
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").split("<!--")[0]
ATTACKS = dict(re.findall(r"^\| (T[0-9]{2}) \|.*\| `([a-z-]+)`(?: ★)? \|$", PAGE, re.MULTILINE))
STARRED = set(re.findall(r"`([a-z-]+)` ★", PAGE))
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


def test_every_attack_of_the_suite_is_played_or_said_to_be_of_a_later_release() -> None:
    """STARRED: the names that the threat model gives to `hpfed-simulate attack`."""
    assert set(attacks.REGISTER) | set(attacks.LATER) == STARRED
    assert not set(attacks.REGISTER) & set(attacks.LATER)
    by_name = {name: number for number, name in ATTACKS.items()}
    for name in attacks.REGISTER:
        module = attacks.attack(name)
        assert by_name[name] == module.THREAT
        assert module.WEAKENED
        assert set(module.WHAT) == set(module.HOLDS) == {"zh", "en"}
        assert (ast.get_docstring(ast.parse(inspect.getsource(module))) or "").startswith(f"{module.THREAT}: ")  # type: ignore[arg-type]  # a module
        assert (ROOT / "tests" / "disclosure" / f"test_{name.replace('-', '_')}.py").is_file()
    tested = {
        path.stem.removeprefix("test_").replace("_", "-") for path in (ROOT / "tests" / "disclosure").glob("test_*.py")
    }
    for name, number in attacks.LATER.items():
        assert number.rstrip("+") == by_name[name]
        assert number.endswith("+") == (name in tested)


def test_every_number_has_a_test_or_is_listed_as_not_built() -> None:
    """The list at the end of the page is made by `docs/generate.py`; here it is held against the files."""
    generated = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").split("<!--")[1]
    with_test = set(re.findall(r"^\| (T[0-9]{2}) ", generated, re.MULTILINE))
    without = set(re.findall(r"(T[0-9]{2}) ", generated.split("Without a test")[1]))
    assert with_test | without == set(ATTACKS)
    assert not with_test & without
