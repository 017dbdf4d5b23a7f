"""What lies in the repository: names that say something, data that is shipped, no address of an index and no path of a machine."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, tracked

VAGUE = {
    "utils",
    "util",
    "common",
    "core",
    "helpers",
    "helper",
    "base",
    "misc",
    "manager",
    "managers",
    "handler",
    "handlers",
    "tools",
    "shared",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_files() -> list[Path]:
    return [path for path in tracked() if path.parts[0] in PACKAGES and "__pycache__" not in path.parts]


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    names = {part.removesuffix(".py") for path in tracked() if path.suffix == ".py" for part in path.parts}
    assert names & VAGUE == set()


def test_the_top_level_is_what_the_readme_promises_and_holds_no_link() -> None:
    expected = {"pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "SECURITY.md", ".gitignore", ".ci"}
    assert {path.parts[0] for path in tracked()} == expected | {*PACKAGES, "tests", "docs", "requirements"}
    assert [path.as_posix() for path in tracked() if (ROOT / path).is_symlink()] == []


def test_every_data_file_of_a_package_is_shipped_and_every_pattern_ships_something() -> None:
    patterns: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    data = [path for path in package_files() if path.suffix != ".py"]
    unshipped = [
        path.as_posix() for path in data if not any(shipped(path, pattern) for pattern in patterns[path.parts[0]])
    ]
    assert unshipped == []
    idle = [
        f"{package}: {pattern}"
        for package, listed in patterns.items()
        for pattern in listed
        if not any(path.parts[0] == package and shipped(path, pattern) for path in data)
    ]
    assert idle == []


def shipped(path: Path, pattern: str) -> bool:
    """setuptools' globs, relative to the package: `*` stays in one folder, `**` goes through any number."""
    inside = Path(*path.parts[1:])
    if "**" in pattern:
        return fnmatch(inside.as_posix(), pattern.replace("**/", "*"))
    return len(inside.parts) == len(Path(pattern).parts) and fnmatch(inside.as_posix(), pattern)


def test_every_folder_with_modules_is_a_package_that_is_found() -> None:
    folders = {path.parent for path in package_files() if path.suffix == ".py"}
    assert [folder.as_posix() for folder in sorted(folders) if not (ROOT / folder / "__init__.py").exists()] == []
    assert {path.parts[0] for path in package_files() if path.name == "py.typed"} == set(PACKAGES)


# Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "the address of a package index": r"--(extra-)?"
    + r"index-url|https?://[a-z0-9.-]*(hosted|registry|pypi|pythonhosted|mirrors?)"
    + r"\.",
    "a path of some machine": r"(^|[^a-zA-Z0-9_.<>-])/(farm|work|root|home/[a-z]+|Users/[A-Za-z]+)/",
    "a private key": "BEGIN [A-Z ]*PRIVATE" + " KEY",
    "an unfinished place": r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_tree_holds_no(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in tracked():
        try:
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # pictures, archives, test vectors in other encodings
        found += [f"{path.as_posix()}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert found == []


def test_no_lock_file_records_where_packages_were_found() -> None:
    locks = ("uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock")
    assert [path.as_posix() for path in tracked() if path.name in locks or fnmatch(path.name, "pylock*.toml")] == []


def test_every_exception_to_a_check_names_its_rule_and_says_why() -> None:
    """A lint exception has a code and a reason on its line; a type exception has a code and a reason."""
    bare = {
        "noqa without rule or reason": re.compile(r"# no" + r"qa(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*  ?\S)"),
        "type exception without rule": re.compile(r"# type: ig" + r"nore(?!\[)"),
        "type exception without reason": re.compile(r"# type: ig" + r"nore\[[a-z, -]+\]\s*$"),
        "uncovered without reason": re.compile(r"pragma: no " + r"cover\s*$"),
    }
    found = []
    for path in tracked():
        if path.suffix != ".py":
            continue
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{path.as_posix()}:{number}: {what}" for what, pattern in bare.items() if pattern.search(line)]
    assert found == []


def test_the_entry_of_continuous_integration_can_be_run_and_runs_the_tests() -> None:
    entry = ROOT / ".ci" / "run"
    assert entry.stat().st_mode & 0o111
    assert "make test" in entry.read_text(encoding="utf-8")


def test_the_suite_is_the_last_thing_that_make_test_runs() -> None:
    """So that the last line printed is the suite's own."""
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    last = recipe[1].splitlines()[-1].strip()
    assert last.startswith("$(BIN)/python -m pytest ")
    assert last.endswith(" tests")
    assert " --whole-branches " in last


def test_every_page_that_a_text_names_is_in_the_repository() -> None:
    """A reader is never sent to a document that does not come with the code."""
    pages = {path.name for path in tracked() if path.suffix == ".md"}
    named = {
        (path.as_posix(), name)
        for path in tracked()
        if path.suffix in (".py", ".md", ".yaml", ".j2")
        for name in re.findall(r"[\w-]+\.md\b", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert {(path, name) for path, name in named if name not in pages} == set()
