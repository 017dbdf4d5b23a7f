"""The display column is for eyes: no code adds, averages or fits it."""

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("protocols", "node", "coordinator", "simulations")
SUMS: Final = frozenset(
    ("sum", "fsum", "mean", "average", "cumsum", "nansum", "dot", "add", "reduce", "accumulate", "lstsq")
)


def sums_of_display(source: str) -> list[int]:
    """Lines on which something called display is added up: `sum(row.display ...)`, `column["display"].sum()`, `a.display + b.display`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in SUMS:
                parts: list[ast.AST] = list(arguments)
            case ast.Call(func=ast.Attribute(attr=name, value=value), args=arguments) if name in SUMS:
                parts = [value, *arguments]
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                parts = [left, right]
            case ast.AugAssign(op=ast.Add(), value=value):
                parts = [value]
            case _:
                continue
        if any(_names_display(part) for part in parts):
            lines.append(node.lineno)
    return lines


def _names_display(part: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "display")
        or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == "display")
        for node in ast.walk(part)
    )


def test_no_code_adds_up_what_is_only_shown() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if (lines := sums_of_display(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_code_that_does_is_found() -> None:
    for source in (
        "total = sum(row.display for row in rows)",
        'total = frame["display"].sum()',
        "import numpy as np\nnp.mean([row['display'] for row in rows])",
        "both = first.display + second.display",
        "total += row.display",
    ):
        assert sums_of_display(source), source
    assert not sums_of_display(
        "shown = row.display\ntotal = sum(row.estimate for row in rows)\nshare = row.display - 1"
    )
