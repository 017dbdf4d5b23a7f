"""T26, laws of withheld cells: an attacker with every printed number, a linear programme and all tables finds no small count."""

import subprocess
import sys
from itertools import product as combinations_of
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.errors import PeerError
from protocols.statistics.crosstab import Crosstab
from protocols.statistics.estimates import Estimates, Family
from protocols.statistics.layout import Amount, Axis, Block, Layout, count
from protocols.statistics.layout import amount as measured
from protocols.statistics.mean import Mean
from protocols.statistics.measures import Vector
from protocols.statistics.own_tables import WITHHELD, Earlier, OwnTables, beside, margins, suppressed
from protocols.statistics.ratio import Ratio
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import Withheld, withheld
from tests.architecture.source import ROOT
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


def test_the_search_prints_nothing_where_a_program_prints_its_data() -> None:
    """In a process of its own: the solver would greet once, at its first use."""
    searched = """
from protocols.statistics.suppression import withheld
from protocols.statistics.resolution import Resolution
from tests.laws.test_suppression_laws import axis, count, exact, np
from protocols.statistics.layout import Layout
layout = Layout((count([axis("a", 4), axis("b", 4)]),))
cells = np.array([3, 60, 70, 0, 40, 41, 42, 0, 50, 51, 52, 0, 0, 0, 0, 0])
print(withheld(exact(layout, cells), Resolution.of(layout), 10).number)
"""
    ran = subprocess.run([sys.executable, "-c", searched], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 our own
    assert ran.stdout.strip().isdigit()


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


def test_how_many_said_yes_is_not_printed_as_a_total_or_a_ratio_either() -> None:
    """Three of 503: their number is withheld, beside that of the no, and so is all that is made of it."""
    asked: list[tuple[Any, list[int]]] = [
        (Mean.model_validate({"id": "t", "kind": "mean", "of": "owner"}), [500, 3, 900]),
        (
            Ratio.model_validate(
                {"id": "t", "kind": "ratio", "numerator": "owner", "denominator": {"public": {"a": 5}}}
            ),
            [500, 3, 900],
        ),
    ]
    for question, cells in asked:
        blocks = question.blocks(DOMAIN)
        layout = Layout(tuple(blocks.values()))
        families = reconcile(layout, np.array(cells), [0])
        sums = Estimates.of(
            families, blocks, study="sha256:s", question="t", confidence=0.95, min_cell=0, cities=("a",)
        )
        (family,) = families.values()
        hidden = withheld(family, Resolution.of(layout), LEAST)
        found = hidden.covered(question.finalize(sums, DOMAIN), blocks["holders"].axes)
        assert all(row.estimate is None for row in found.rows if row.measure != "count")
        assert any(row.conf_status == "C" for row in found.rows if row.measure != "count")
        assert any(row.estimate is not None for row in found.rows if row.measure == "count")


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


# --- tables of one city


@FEW
@given(tables())
def test_what_a_city_withholds_of_its_own_tables_is_as_little_known(asked: tuple[Layout, Vector]) -> None:
    """Its answer holds every margin; the attacker has whatever number is in it."""
    layout, every = own(asked[0]), own_cells(asked)
    left = suppressed(layout, every, LEAST)
    said = OwnTables.of(layout, left)
    family, hidden = exact(asked[0], asked[1]), said.withheld
    assert not unsafe(attacked(family, hidden, joint(asked[0])))
    assert np.array_equal(left == WITHHELD, np.concatenate([hidden.cells[part_of(b)].ravel() for b in layout.blocks]))
    (stood_in,) = said.families.values()
    for part, cells in hidden.cells.items():
        assert np.array_equal(stood_in.units[part][~cells], family.units[part][~cells]), (
            "what is said is what was counted"
        )
        for name in part:
            margin = stood_in.units[part].sum(axis=sorted(part).index(name))
            assert np.array_equal(margin, stood_in.units[part - {name}]), "and everything adds up"


@FEW
@given(tables(most=3), st.data())
def test_what_a_city_said_before_of_the_same_holders_is_known_too(asked: tuple[Layout, Vector], data: Any) -> None:
    """First the table without its last axis, then without its first: the attacker has both answers."""
    (whole,) = asked[0].blocks
    last = asked[1].reshape(whole.shape)
    chosen = [whole.axes[:-1], whole.axes[1:]]
    if data.draw(st.booleans()):
        chosen.append(whole.axes)
    earlier, masks = list[Earlier](), list[dict[frozenset[str], Any]]()
    for axes in chosen:
        layout = own(Layout((count(axes),)))
        every = Layout((*layout.blocks, *beside(layout, earlier)))
        cells = np.concatenate([margin_of(last, whole, part_of(block)).ravel() for block in every.blocks])
        left = suppressed(layout, cells, LEAST, earlier)
        earlier.append(Earlier(layout, left))
        masks.append({part_of(b): (left[layout.span(b)] == WITHHELD).reshape(b.shape) for b in layout.blocks})
    hidden = {}
    for part in {part for mask in masks for part in mask}:
        hidden[part] = np.logical_and.reduce([mask[part] for mask in masks if part in mask])
    family = exact(asked[0], asked[1])
    assert not unsafe(attacked(family, Withheld(family.axes, hidden), joint(asked[0])))


def own(layout: Layout) -> Layout:
    return Layout((*layout.blocks, *margins(layout.blocks)))


def part_of(block: Block) -> frozenset[str]:
    return frozenset(axis.name for axis in block.axes)


def margin_of(cells: Vector, block: Block, part: frozenset[str]) -> Vector:
    return np.asarray(cells.sum(axis=tuple(at for at, axis in enumerate(block.axes) if axis.name not in part)))


def own_cells(asked: tuple[Layout, Vector]) -> Vector:
    (whole,) = asked[0].blocks
    cells = asked[1].reshape(whole.shape)
    return np.concatenate([margin_of(cells, whole, part_of(block)).ravel() for block in own(asked[0]).blocks])


def test_amounts_of_one_city_are_withheld_whole() -> None:
    amount = Amount("income", 0, 100, "fen")
    layout = Layout((count([axis("a", 3)]), measured(amount, [axis("a", 3)]), count()))
    left = suppressed(layout, np.array([50, 40, 10, 5, 6, 7, 100]), LEAST)
    assert left.tolist() == [50, 40, 10, WITHHELD, WITHHELD, WITHHELD, 100]
    assert margins(layout.blocks) == ()


def test_numbers_of_one_city_that_do_not_add_up_are_its_fault() -> None:
    layout = own(Layout((count([axis("a", 2)]),)))
    for said in ([5, 6, 12], [WITHHELD, 6, 5], [5, WITHHELD, 4]):
        with pytest.raises(PeerError) as fault:
            OwnTables.of(layout, np.array(said))
        assert fault.value.code == "SUM_MARGINS"
    assert OwnTables.of(layout, np.array([5, WITHHELD, 9])).withheld.number == 1
