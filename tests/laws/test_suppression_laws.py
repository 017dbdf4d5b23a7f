"""T26, laws of withheld cells: an attacker with every printed number, a linear programme and all tables finds no small count."""

from itertools import product as combinations_of
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.statistics.crosstab import Crosstab
from protocols.statistics.estimates import Estimates, Family
from protocols.statistics.layout import Axis, Layout, count
from protocols.statistics.measures import Vector
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import Withheld, withheld
from tests.laws import test_resolution_laws as resolutions
from tests.laws.generated import DOMAIN

LEAST: Final = 10
FEW: Final = settings(max_examples=15)


def axis(name: str, size: int) -> Axis:
    return Axis(name, (*(f"p{code}" for code in range(size - 1)), "_missing"), name)


@st.composite
def tables(draw: st.DrawFn, most: int = 3) -> tuple[Layout, Vector]:
    """One table of two axes or more, of a crowd that is spread unevenly."""
    axes = [axis(name, draw(st.integers(2, 4))) for name in "abcd"[: draw(st.integers(2, most))]]
    holders, seed = draw(st.integers(20, 2_000)), draw(st.integers(0, 10**6))
    generator = entropy.public_stream("suppression", str(seed), "crowd")
    code = np.zeros(holders, dtype=np.int64)
    for each in axes:
        code = code * each.size + generator.choice(each.size, holders, p=generator.dirichlet(np.full(each.size, 0.7)))
    layout = Layout((count(axes),))
    return layout, np.bincount(code, minlength=layout.length)


def exact(layout: Layout, cells: Vector) -> Family:
    (family,) = reconcile(layout, cells, [0] * len(layout.blocks)).values()
    return family


def hide(layout: Layout, cells: Vector, least: int = LEAST) -> tuple[Family, Withheld]:
    family = exact(layout, cells)
    return family, withheld(family, Resolution.of(layout), least)


def ranges(known: Any, values: Any, wanted: Any) -> tuple[float, float]:
    """The least and the most that `wanted` of the joint cells can hold, if rows `known` of them hold `values`."""
    given = {"A_eq": known, "b_eq": values} if len(values) else {}
    aims = (sign * wanted.astype(float) for sign in (1, -1))
    low, high = (float(linprog(aim, **given, bounds=(0, 10_000), method="highs").fun or 0.0) for aim in aims)
    return low, -high


def attacked(family: Family, hidden: Withheld, places: dict[str, Any]) -> list[tuple[int, float, float]]:
    """(count, least, most) of every withheld cell that holds somebody, from all the others. `places`: of each joint cell, on each axis."""
    number = len(next(iter(places.values())))
    known, values, wanted = [], [], []
    for part, cells in hidden.cells.items():
        units = family.units[part] // family.quantum
        for at in np.ndindex(cells.shape):
            inside = np.ones(number, dtype=bool)
            for name, place in zip(sorted(part), at, strict=True):
                inside &= places[name] == place
            if not cells[at]:
                known.append(inside)
                values.append(int(units[at]))
            elif units[at] > 0:
                wanted.append((int(units[at]), inside))
    rows = np.array(known, dtype=float).reshape(len(known), number)
    return [(held, *ranges(rows, values, inside)) for held, inside in wanted]


def unsafe(found: list[tuple[int, float, float]], least: int = LEAST) -> list[tuple[int, float, float]]:
    return [each for each in found if each[2] - each[1] < least - 1e-4]


def joint(layout: Layout) -> dict[str, Any]:
    (block,) = layout.blocks
    cells = np.array(list(combinations_of(*(range(axis.size) for axis in block.axes)))).reshape(block.cells, -1)
    return {axis.name: cells[:, number] for number, axis in enumerate(block.axes)}


@FEW
@given(tables())
def test_no_withheld_count_of_a_table_and_its_margins_is_known_to_within_the_least_cell(
    asked: tuple[Layout, Vector],
) -> None:
    layout, cells = asked
    family, hidden = hide(layout, cells)
    assert not unsafe(attacked(family, hidden, joint(layout)))


@pytest.mark.slow  # 500 tables of up to four axes, two linear programmes for each of their withheld cells
@settings(max_examples=500)
@given(tables(most=4))
def test_nor_of_five_hundred_tables(asked: tuple[Layout, Vector]) -> None:
    layout, cells = asked
    family, hidden = hide(layout, cells)
    assert not unsafe(attacked(family, hidden, joint(layout)))


@FEW
@given(resolutions.workloads(), st.integers(0, 10**6), st.integers(50, 3_000))
def test_nor_of_many_tables_that_share_margins_and_resolutions(layout: Layout, seed: int, holders: int) -> None:
    """The attacker knows how years make bands, and that one crowd made all the tables."""
    family, hidden = hide(layout, resolutions.noised(layout, [0.0] * len(layout.blocks), seed, holders))
    assert not unsafe(attacked(family, hidden, resolutions.world(layout)[1]))


@FEW
@given(tables())
def test_every_count_below_the_least_cell_is_withheld_and_without_one_nothing_is(asked: tuple[Layout, Vector]) -> None:
    family, hidden = hide(*asked)
    for part, cells in hidden.cells.items():
        held = family.units[part] // family.quantum
        assert cells[(held > 0) & (held < LEAST)].all()
    large = np.asarray(asked[1]) * LEAST + LEAST
    assert hide(asked[0], large)[1].number == 0
    assert hide(*asked, least=1)[1].number == 0


def test_a_line_that_one_cell_holds_alone_tells_something_of_everybody_in_it() -> None:
    """All 500 of group p0 chose p0: who knows that somebody is of p0 knows what he chose. The margins stay."""
    layout = Layout((count([axis("choice", 3), axis("group", 3)]),))
    _, hidden = hide(layout, np.array([500, 300, 0, 0, 200, 0, 0, 0, 0]))
    alone = hidden.cells[frozenset(("choice", "group"))]
    assert alone[:2, 0].all()
    assert not hidden.cells[frozenset()].any()


def test_where_nobody_stands_elsewhere_on_an_axis_the_margin_says_it_already() -> None:
    layout = Layout((count([axis("choice", 3), axis("group", 3)]),))
    assert hide(layout, np.array([500, 300, 0, 0, 0, 0, 0, 0, 0]))[1].number == 0


# --- what is printed


def crosstab(cells: Vector) -> tuple[Answer, Withheld, tuple[Axis, ...]]:
    question = Crosstab.model_validate({"id": "t", "kind": "crosstab", "by": ("product", "owner")})
    blocks = question.blocks(DOMAIN)
    layout = Layout(tuple(blocks.values()))
    families = reconcile(layout, cells, [0])
    estimates = Estimates.of(families, blocks, study="sha256:s", question="t", confidence=0.95, min_cell=0)
    (family,) = families.values()
    axes = blocks["holders"].axes
    hidden = withheld(family, Resolution.of(layout), LEAST)
    return hidden.covered(question.finalize(estimates, DOMAIN), axes), hidden, axes


def known_from(rows: tuple[Row, ...], axes: tuple[Axis, ...]) -> tuple[list[Any], list[float]]:
    """What each printed number says of the cells of the table: a count is a cell; a share its base, and that many of it."""
    known, values = [], []
    grid = np.indices([axis.size for axis in axes]).reshape(len(axes), -1)
    last = np.array([axis.size - 1 for axis in axes])
    for row in (each for each in rows if each.estimate is not None):
        at = np.array([axis.positions.index(row.keys[axis.name]) for axis in axes])
        here = (grid == at[:, None]).all(axis=0)
        if row.measure == "count":
            known.append(here)
            values.append(float(row.estimate or 0))
            continue
        held = {"row_share": ["product"], "column_share": ["owner"], "share": []}[row.measure]
        kept = [np.isin(axis.name, held) for axis in axes]
        base = np.where(np.array(kept)[:, None], grid == at[:, None], grid != last[:, None]).all(axis=0)
        assert row.base is not None
        assert row.estimate is not None
        known += [base, here]
        values += [float(row.base), float(row.base * row.estimate)]
    return known, values


@FEW
@given(st.lists(st.one_of(st.integers(0, 12), st.integers(13, 400)), min_size=12, max_size=12))
def test_printed_shares_and_their_bases_tell_no_more_than_printed_counts(held: list[int]) -> None:
    answer, hidden, axes = crosstab(np.array(held))
    known, values = known_from(answer.rows, axes)
    rows = np.array(known, dtype=float).reshape(len(known), 12)
    cells = hidden.cells[frozenset(axis.name for axis in axes)].ravel()
    found = [(held[at], *ranges(rows, values, np.arange(12) == at)) for at in np.flatnonzero(cells) if held[at] > 0]
    assert not unsafe(found)
    for row in answer.rows:
        assert (row.conf_status == "C") <= (
            row.estimate is row.base is row.ci_low is row.ci_high is row.display is None
        )
    if hidden.number:
        assert all(
            value is None for test in answer.tests for name, value in test.values.items() if name != "conf_status"
        )


def test_a_table_of_large_counts_is_printed_whole_with_its_tests() -> None:
    answer, hidden, _ = crosstab(np.arange(12) * 7 + 100)
    assert hidden.number == 0
    assert all(row.conf_status == "" for row in answer.rows)
    assert all("conf_status" not in test.values for test in answer.tests)
