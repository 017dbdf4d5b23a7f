"""Who may import whom. The contracts stand in pyproject.toml; here they are run, and shown to be able to fail."""

import contextlib
import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.architecture.source import PACKAGES, ROOT, Module, belongs, broken

PURE = ("flwr", "pandas", "duckdb", "typer", "socket", "sqlite3", "subprocess")


def test_every_import_contract_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert lint_imports(no_cache=True) == 0, said.getvalue()


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("node/gate.py", "import coordinator.plan", "independent"),
        ("protocols/study.py", "def later() -> None:\n    import node.gate", "above protocols"),
        ("coordinator/plan.py", "import simulations.world", "simulations above"),
        ("protocols/study.py", "import sqlite3", "protocols is pure"),
        ("coordinator/plan.py", "from flwr.app import Message", "two adapters"),
        ("node/link.py", "import node.gate", "reaches no rows"),
        ("node/serve.py", "import httpx", "no network client"),
    ],
)
def test_a_contract_that_is_broken_anywhere_fails(file: str, line: str, contract: str, tmp_path: Path) -> None:
    """The contracts of pyproject.toml over a small tree of the same four packages, with one import too many."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    spoken = {
        name
        for each in told["contracts"]
        for key in ("source_modules", "forbidden_modules")
        for name in each.get(key, ())
    }
    ours = {f"{name.replace('.', '/')}.py" for name in spoken if "." in name and name.split(".")[0] in PACKAGES}
    for name in {*ours, "protocols/study.py", "coordinator/plan.py", "simulations/world.py"}:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(line + "\n" if name == file else "")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    ran = subprocess.run(  # noqa: S603 our own text
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert any(contract in said and "BROKEN" in said for said in ran.stdout.splitlines()), ran.stdout


def test_the_contracts_speak_of_all_four_packages() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert tuple(told["root_packages"]) == PACKAGES
    pure = next(
        each for each in told["contracts"] if each["type"] == "forbidden" and each["source_modules"] == ["protocols"]
    )
    assert set(pure["forbidden_modules"]) >= set(PURE)


def lower(module: Module) -> list[str]:
    """The same directions by a second, plainer reading: by the names in the text, not by a graph."""
    forbidden = {
        "protocols": ("node", "coordinator", "simulations", *PURE),
        "node": ("coordinator", "simulations"),
        "coordinator": ("node", "simulations"),
        "simulations": (),
    }[module.package]
    return [f"{module.name} imports {name}" for name in sorted(module.imports) if belongs(name, forbidden)]


def test_a_plain_reading_of_the_imports_agrees() -> None:
    assert broken(lower) == []
    assert lower(Module("node.gate", "def f():\n    from coordinator import plan")) == [
        "node.gate imports coordinator",
        "node.gate imports coordinator.plan",
    ]
    assert lower(Module("protocols.a.b", "from .. import noise\nimport duckdb.typing")) == [
        "protocols.a.b imports duckdb.typing"
    ]
