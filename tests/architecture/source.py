"""The source as the rules see it: modules, what their names stand for, where those are used. A rule makes sentences of a module."""

import ast
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("protocols", "node", "coordinator", "simulations")


@dataclass(frozen=True)
class Module:
    """One file. `name` is dotted; a package goes by its own name."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    @cached_property
    def bound(self) -> dict[str, str]:
        """Local name to what it was imported as, wherever in the file: `np` to `numpy`, `seal` to `protocols.messages.seal`."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{self._origin(node)}.{alias.name}"
        return names

    @cached_property
    def imports(self) -> frozenset[str]:
        """Dotted names of everything imported, as modules and as what was taken from them."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {self._origin(node), *(f"{self._origin(node)}.{alias.name}" for alias in node.names)}
        return frozenset(found)

    def _origin(self, node: ast.ImportFrom) -> str:
        above = self.name.split(".")[: -node.level] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])

    def dotted(self, node: ast.AST) -> str:
        """`numpy.random.rand` for `np.random.rand`, `builtins.eval` for a name not imported, empty for what is no chain of names."""
        match node:
            case ast.Name(id=name):
                return self.bound.get(name, f"builtins.{name}")
            case ast.Attribute(value=value, attr=name):
                return f"{inner}.{name}" if (inner := self.dotted(value)) else ""
        return ""

    def uses(self) -> Iterator[tuple[ast.AST, str]]:
        """Every name and chain of names that is read, with what it stands for. Imports count as uses of what they take."""
        for node in self.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and (name := self.dotted(node)):
                yield node, name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield node, f"{self._origin(node)}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name

    def calls(self) -> Iterator[ast.Call]:
        yield from (node for node in self.nodes if isinstance(node, ast.Call))

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 0)}"


@cache
def modules(*packages: str) -> tuple[Module, ...]:
    """Every module of the packages named, or of all four."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.read_text(encoding="utf-8")))
    return tuple(found)


@cache
def tracked() -> tuple[Path, ...]:
    """Files of the repository, relative to its root: what git lists and does not ignore; in an unpacked archive, all that lies there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 git as found on PATH
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return tuple(sorted(path for path in names if (ROOT / path).is_file() or (ROOT / path).is_symlink()))


def belongs(name: str, prefixes: tuple[str, ...] | frozenset[str]) -> bool:
    """Is a dotted name one of `prefixes`, or inside one?"""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


Rule = Callable[[Module], list[str]]


def broken(rule: Rule, *packages: str) -> list[str]:
    """What a rule finds in the packages named, or in all four."""
    return [sentence for module in modules(*packages) for sentence in rule(module)]
