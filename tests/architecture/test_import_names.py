"""T41: a package of the same import name merges into ours. Where the suite runs, hpfed alone owns the four packages, each in one folder."""

from importlib import import_module, invalidate_caches
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES


def owners() -> dict[str, set[str]]:
    """Which installed distributions claim each of the four import names."""
    claimed = packages_distributions()
    return {package: set(claimed.get(package, ())) for package in PACKAGES}


def test_nobody_else_owns_an_import_name_of_ours() -> None:
    assert owners() == {package: {"hpfed"} for package in PACKAGES}


def test_each_package_lies_in_one_folder() -> None:
    for package in PACKAGES:
        assert len(list(import_module(package).__path__)) == 1


def test_a_distribution_that_claims_one_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("node\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    assert owners()["node"] == {"hpfed", "stranger"}
