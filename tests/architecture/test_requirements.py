"""T40, hash-pinned requirements: files that agree, every entry with its hashes, nothing that says where to fetch it."""

import re
import tomllib
from functools import cache

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

from tests.architecture.source import ROOT

FILES = ("demo", "test", "all", "node", "coordinator")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@cache
def pinned(name: str) -> dict[tuple[str, str], Version]:
    """(distribution, marker) to its version. Fails on a line of any other form."""
    found: dict[tuple[str, str], Version] = {}
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    for entry in re.sub(r" *\\\n *", " ", text).splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        form = re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([^ ;]+)( ; ([^-]+?))?((?: --hash=sha256:[0-9a-f]{64})+) *", entry)
        assert form is not None, entry.split(" --hash")[0]
        key = (form[1], form[4] or "")
        assert key not in found, key
        found[key] = Version(form[2])
    return found


def versions(name: str, distribution: str) -> set[Version]:
    """One, or one for each range of Python versions."""
    return {pin for (listed, _), pin in pinned(name).items() if listed == distribution}


@pytest.mark.parametrize("name", FILES)
def test_every_entry_is_pinned_with_hashes_and_holds_no_address(name: str) -> None:
    assert len(pinned(name)) > 10
    assert not re.search(r"://|^-", (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_files_agree_wherever_two_of_them_speak_of_one_package() -> None:
    pairs = (("demo", "test"), ("demo", "all"), ("test", "all"), ("node", "all"), ("coordinator", "all"))
    for smaller, larger in pairs:
        for distribution, _ in pinned(smaller):
            assert versions(smaller, distribution) <= versions(larger, distribution), (distribution, larger)


@pytest.mark.parametrize(
    ("name", "extras"), [("demo", ()), ("test", ("test",)), ("all", tuple(PROJECT["optional-dependencies"]))]
)
def test_what_the_project_asks_for_is_pinned_within_its_bounds(name: str, extras: tuple[str, ...]) -> None:
    asked = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    for line in asked:
        requirement = Requirement(line)
        found = versions(name, requirement.name.lower())
        assert found, line
        assert all(each in requirement.specifier for each in found), line


def test_the_engine_and_its_bounds_are_met_together() -> None:
    """flwr 1.41 asks for typer below 0.21, rich below 15, packaging below 26, protobuf below 7."""
    assert {each.release[:2] for each in versions("all", "flwr")} == {(1, 41)}
    for distribution, below in (("typer", "0.21"), ("rich", "15"), ("packaging", "26"), ("protobuf", "7")):
        assert max(versions("all", distribution)) < Version(below)


def test_the_demo_needs_neither_engine_nor_test_tools() -> None:
    names = {distribution for distribution, _ in pinned("demo")}
    assert names & {"flwr", "grpcio", "pytest", "hypothesis", "opendp", "statsmodels", "ruff", "mypy"} == set()


def test_markers_are_ones_that_installers_understand() -> None:
    for name in FILES:
        for _, marker in pinned(name):
            if marker:
                Marker(marker)
