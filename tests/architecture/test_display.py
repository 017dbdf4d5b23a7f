"""`display` is for charts and prose: it is never summed, fitted or tested (the official value is `estimate`)."""

import ast

import pytest

from tests.architecture.source import Module, broken

SUMS = {
    "sum",
    "fsum",
    "mean",
    "average",
    "median",
    "std",
    "var",
    "dot",
    "cumsum",
    "nansum",
    "nanmean",
    "prod",
    "matmul",
    "cov",
    "corrcoef",
}
FITS = {"fit", "lstsq", "solve", "chisquare", "chi2_contingency", "linregress", "agg", "aggregate", "groupby"}
SETS = {"sum_at", "bincount", "accumulate", "reduce"}


def is_display(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="display"):
            return True
        case ast.Subscript(slice=ast.Constant(value="display")):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="display"), *_]):
            return True
        case ast.Name(id="display" | "displays" | "displayed"):
            return True
    return False


def holds_display(node: ast.AST) -> bool:
    return any(is_display(inner) for inner in ast.walk(node))


def sums_display(module: Module) -> list[str]:
    """Arithmetic between cells, sums and fits that have a `display` among their operands."""
    found = []
    for node in module.nodes:
        match node:
            case ast.Call(func=func, args=args):
                name = getattr(func, "attr", getattr(func, "id", ""))
                owner = [func.value] if isinstance(func, ast.Attribute) else []
                if name in SUMS | FITS | SETS and any(holds_display(each) for each in (*args, *owner)):
                    found.append(f"{module.at(node)} passes display to {name}()")
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.MatMult(), left=left, right=right):
                if is_display(left) or is_display(right):
                    found.append(f"{module.at(node)} computes with display")
            case ast.AugAssign(value=value):
                if holds_display(value):
                    found.append(f"{module.at(node)} adds display up")
    return found


def test_display_is_never_summed_fitted_or_tested() -> None:
    assert broken(sums_display) == []


@pytest.mark.parametrize(
    "text",
    [
        "total = sum(row.display for row in rows)",
        "total = sum(row['display'] for row in rows)",
        "total += row.display",
        "np.sum(table.display)",
        "frame['display'].sum()",
        "frame.groupby('sex')['display'].mean()",
        "share = row.display / total",
        "model.fit(frame['display'])",
        "math.fsum(row.get('display', 0) for row in rows)",
        "gap = a.display - b.display",
    ],
)
def test_a_summed_display_is_found(text: str) -> None:
    assert sums_display(Module("coordinator.anywhere", text))


def test_showing_and_making_it_is_what_it_is_for() -> None:
    text = "label = format(row.display, '.1f')\nrow = Row(display=simplex(values), estimate=values.sum())\nheight = scale(row['display'])\n"
    assert sums_display(Module("coordinator.report.charts", text)) == []
