"""Quantiles, survival, association and top: what a study may ask, what rows say, and what is withheld."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import entropy
from protocols import study as studies
from protocols.errors import ConfigError, HpfedError, PeerError
from protocols.statistics import KINDS
from protocols.statistics.association import ties
from protocols.statistics.estimates import COUNTS
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.nested import TreeTable
from protocols.statistics.quantiles import Quantiles
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import withheld
from protocols.statistics.survival import Survival
from protocols.statistics.top import Top
from protocols.statistics.tree import tree
from protocols.statistics.workload import Workload
from tests.laws.generated import DOMAIN, SMALL, encoded, finalized, layout_of

DICTIONARY: Final = """dictionary: asked
version: 1
variables:
  product: {type: category, codes: {lump: {}, free: {}}}
  left: {type: boolean}
  months: {type: integer, range: [0, 600]}
  days: {type: integer, range: [-5, 100]}
  far: {type: integer, range: [300, 400]}
  pay: {type: money, range: [0, 80000]}
  rate: {type: number, range: [0, 1]}
  wide: {type: category, codes: {%s}}
""" % ", ".join(f"c{number}: {{}}" for number in range(3000))  # noqa: UP031 braces of both kinds
STUDY: Final = """study: asked-study
title: {{zh: 问, en: asked}}
purpose: {{zh: 问, en: asked}}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
privacy: {{mode: dp, epsilon: 1.0}}
questions:
  - {{id: first, kind: count}}
  - {{id: q, {}}}
"""

BAD: Final = {
    "kind: quantiles, of: pay, at: [0.5, 1.5]": ("STUDY_LEVEL", "at"),
    "kind: quantiles, of: pay, at: -0.1": ("STUDY_LEVEL", "at"),
    "kind: quantiles, of: pay, at: []": ("STUDY_EMPTY", "at"),
    "kind: quantiles, of: pay, at: [0.5, 0.50]": ("STUDY_TWICE", "at"),
    f"kind: quantiles, of: pay, at: [{', '.join(f'0.{number:03}' for number in range(1, 101))}]": ("STUDY_MANY", "at"),
    "kind: quantiles, of: payy, at: 0.5": ("STUDY_VARIABLE", "of"),
    "kind: quantiles, of: product, at: 0.5": ("STUDY_NOT_AN_AMOUNT", "of"),
    "kind: quantiles, of: pay, at: 0.5, by: months": ("STUDY_NOT_AN_AXIS", "by"),
    "kind: quantiles, of: pay, at: 0.5, by: [product, product]": ("STUDY_TWICE", "by"),
    "kind: quantiles, of: pay, at: 0.5, by: wide": ("STUDY_CELLS", ""),
    "kind: quantiles, of: pay, at: 0.5, grid: even": ("SCHEMA_VALUE", "grid"),
    "kind: quantiles, of: pay, at: 0.5, leaves: 512": ("SCHEMA_VALUE", "leaves"),
    "kind: quantiles, of: pay, at: 0.5, steps: 3": ("SCHEMA_KEY", "steps"),
    "kind: quantiles, of: pay, at: 0.5, by: [product, left, wide, a, b]": ("STUDY_AXES", "by"),
    "kind: top, of: product, k: 0": ("STUDY_PLACES", "k"),
    "kind: top, of: product, k: 51": ("STUDY_PLACES", "k"),
    "kind: top, of: product, k: many": ("SCHEMA_VALUE", "k"),
    "kind: top, of: pay, k: 3": ("STUDY_NOT_AN_AXIS", "of"),
    "kind: top, of: producs, k: 3": ("STUDY_VARIABLE", "of"),
    "kind: association, outcome: product, with: []": ("STUDY_EMPTY", "with"),
    "kind: association, outcome: product, with: [left, left]": ("STUDY_TWICE", "with"),
    "kind: association, outcome: product, with: [product]": ("STUDY_TWICE", "with"),
    "kind: association, outcome: product, with: [pay]": ("STUDY_NOT_AN_AXIS", "with"),
    "kind: association, outcome: produkt, with: [left]": ("STUDY_VARIABLE", "outcome"),
    f"kind: association, outcome: product, with: [{', '.join(['left'] * 41)}]": ("STUDY_MANY", "with"),
    "kind: survival, duration: pay, event: left": ("STUDY_DURATION", "duration"),
    "kind: survival, duration: days, event: left": ("STUDY_DURATION", "duration"),
    "kind: survival, duration: far, event: left": ("STUDY_DURATION", "duration"),
    "kind: survival, duration: months, event: product": ("STUDY_EVENT", "event"),
    "kind: survival, duration: months, event: lefft": ("STUDY_VARIABLE", "event"),
    "kind: survival, duration: months, event: left, by: left": ("STUDY_TWICE", "by"),
    "kind: survival, duration: months, event: left, by: [product, wide, a]": ("STUDY_AXES", "by"),
    "kind: quantile, of: pay, at: 0.5": ("STUDY_KIND", "kind"),
}  # fmt: skip


def loaded(tmp_path: Path, question: str) -> studies.Study:
    (tmp_path / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(question), encoding="utf-8")
    return studies.load(path)


@pytest.mark.parametrize("question", BAD, ids=lambda text: str(text)[6:60])
def test_what_cannot_be_asked_is_named_with_its_line_and_key(tmp_path: Path, question: str) -> None:
    code, key = BAD[question]
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, question)
    faults: list[HpfedError] = [caught.value, *getattr(caught.value, "others", ())]
    fault = next(each for each in faults if each.code == code)
    assert fault.at is not None
    assert fault.at.line == 10
    assert fault.at.key == f"questions[1].{key}" if key else "questions[1]"


def test_a_long_list_and_a_wide_range_may_be_asked(tmp_path: Path) -> None:
    assert loaded(tmp_path, "kind: top, of: wide, k: 50").workload.cells == 1 + 3001
    asked = loaded(tmp_path, "kind: survival, duration: months, event: left, by: product")
    (block,) = (block for block in asked.workload.layout.blocks if block.axes)
    assert block.shape == (3, 243, 3), "0 to 240 months, all beyond, and `_missing`"


# --- trees


@pytest.mark.parametrize(
    ("bounds", "step"), [((0, 36), 1), ((-40, 2000), 1), ((0, 8_000_000), 100), ((50, 999_950), 100)]
)
@pytest.mark.parametrize(("scale", "leaves"), [("linear", 1024), ("asinh", 4096)])
def test_leaves_cover_the_range_in_whole_steps(bounds: tuple[int, int], step: int, scale: str, leaves: int) -> None:
    points = (bounds[0] + 7 * step, bounds[1] - 3 * step)
    found = tree("x", scale, leaves, bounds, step, points)
    edges = found.edges
    assert (edges[0], edges[-1]) == (bounds[0], bounds[1] + 1)
    assert all(low < high for low, high in pairwise(edges))
    assert all(edge % step == 0 for edge in edges[1:-1])
    assert found.used <= found.leaves <= leaves
    for point in points:
        assert {point // step * step, point // step * step + step} <= set(edges)
    for level in range(1, found.height + 1):
        assert set(found.starts(level)) <= set(edges)


def test_a_city_counts_a_tree_once_and_adds_its_leaves_up() -> None:
    question = KINDS["quantiles"].example()
    layout = layout_of(question)
    trees = [carrier for carrier in layout.carriers if any(axis.tree for axis in carrier.axes)]
    assert len(trees) == 1
    assert {len(layout.blocks[place].axes) for place in trees[0].places} == {2}


def test_two_trees_over_one_variable_and_its_bins_have_the_same_holders() -> None:
    """Quantiles by product and by owner, a histogram and a mean: numbers of holders agree to the last digit, at no dense solve of
    leaves."""
    asked: list[dict[str, Any]] = [
        {"id": "a", "kind": "quantiles", "of": "income", "at": "0.5", "by": "product"},
        {"id": "b", "kind": "quantiles", "of": "income", "at": "0.5", "by": "owner"},
        {"id": "c", "kind": "histogram", "of": "income", "bins": ["0", "3000"], "by": "product"},
        {"id": "d", "kind": "mean", "of": "income", "by": "owner"},
    ]
    work = Workload.of([KINDS[each["kind"]].model_validate(each) for each in asked], DOMAIN)
    assert Resolution.of(work.layout).unknowns(work.layout.blocks) < 10
    generator = entropy.public_stream("unit", "trees", "sums")
    vector = np.rint(generator.normal(300, 20, work.layout.length)).astype(np.int64)
    families = reconcile(work.layout, vector, [400.0] * len(work.layout.blocks))
    counts = families[COUNTS]
    trees = {key: family for key, family in families.items() if family.kind is TreeTable}
    assert len(trees) == 2
    for family in trees.values():
        for names in family.units:
            table = family.table(names)
            (by,) = (name for name in names if not family.axes[name].tree)
            held = counts.units[frozenset({by, "known(income)"})]
            at = [axis.name for axis in table.axes].index(by)
            mine = np.moveaxis(table.units, at, 0)
            expected = np.moveaxis(held, sorted([by, "known(income)"]).index(by), 0)
            assert np.array_equal(mine[:, :-1].sum(axis=1), expected[:, 0])
            assert np.array_equal(mine[:, -1], expected[:, 1])


def test_exact_levels_that_do_not_agree_are_refused() -> None:
    question = KINDS["quantiles"].example()
    layout = layout_of(question)
    vector = encoded(layout, [{"months_paying": 3, "owner": 1}] * 9)
    for block in layout.blocks:
        broken = vector.copy()
        broken[layout.span(block).start] += 1
        with pytest.raises(PeerError) as caught:
            reconcile(layout, broken, [0] * len(layout.blocks))
        assert caught.value.code == "SUM_MARGINS"


def test_a_tree_says_nothing_of_the_noise_of_boxes() -> None:
    question = KINDS["quantiles"].example()
    layout = layout_of(question)
    families = reconcile(layout, encoded(layout, []), [9.0] * len(layout.blocks))
    leaf = max((block for block in layout.blocks if block.branches), key=lambda block: block.cells)
    key = next(key for key, family in families.items() if family.kind is TreeTable)
    table: Any = families[key].table(frozenset(axis.name for axis in leaf.axes))
    box = (slice(None),) * 2
    for name, given in (("covariance", box), ("covariances", box), ("spread", np.ones((1, *table.units.shape)))):
        with pytest.raises(TypeError):
            getattr(table, name)(given)
    draws = table.draws(entropy.public_stream("unit", "trees", "draws"), 4000)
    assert draws.std(axis=0)[:-1, 0] == pytest.approx(np.full(64, float(table.sd.item())), rel=0.1)
    assert np.allclose(draws.sum(axis=1), 0, atol=1e-9), "totals are known from the numbers of holders"


# --- rows


def rows(answer: Answer, measure: str) -> list[Row]:
    return [row for row in answer.rows if row.measure == measure and row.obs_status != "z"]


def test_levels_that_no_holder_stands_behind_are_not_available() -> None:
    question = Quantiles.model_validate({"id": "q", "kind": "quantiles", "of": "months_paying", "at": "0.5"})
    (row,) = rows(finalized(question, encoded(layout_of(question), [{}] * 9)), "quantile")
    assert (row.estimate, row.obs_status) == (None, "x")


def test_a_leaf_of_several_steps_is_shared_out_in_proportion() -> None:
    """200,001 yuan on 1,024 equal leaves: of 100 holders within one leaf, the one in the middle stands about half way."""
    question = Quantiles.model_validate(
        {
            "id": "q",
            "kind": "quantiles",
            "of": "income",
            "at": "0.5",
            "grid": "linear",
            "leaves": "1024",
            "sampling": "false",
        }
    )
    holders = [{"income": 10_000_000 + 100 * number} for number in range(100)]
    (row,) = rows(finalized(question, encoded(layout_of(question), holders)), "quantile")
    leaf = np.searchsorted(DOMAIN.tree("income", "linear", 1024).edges, 10_000_000, side="right") - 1
    low, high = DOMAIN.tree("income", "linear", 1024).edges[leaf : leaf + 2]
    assert (row.ci_low, row.ci_high) == (low / 100, high / 100)
    assert row.estimate == pytest.approx((low + 0.49 * (high - low)) / 100, rel=1e-4)


def test_codes_that_may_be_noise_have_no_place() -> None:
    question = Top.model_validate({"id": "q", "kind": "top", "of": "product", "k": "2"})
    vector = np.array([900, 40, 41, 7])
    found = finalized(question, vector, 100.0)
    assert [(row.item, row.estimate, row.obs_status) for row in rows(found, "count")] == [
        ("lump_sum", 900.0, ""), (None, None, "x"), (None, 7.0, "u"),
    ]  # fmt: skip
    assert [(row.item, row.estimate) for row in rows(found, "rank")] == [("lump_sum", 1.0), (None, None)]
    still = finalized(question, vector)
    assert [row.item for row in rows(still, "rank")] == ["lump_sum", "free"]


def test_places_of_codes_that_noise_may_have_swapped_overlap() -> None:
    question = Top.model_validate({"id": "q", "kind": "top", "of": "product", "k": "3"})
    ranks = rows(finalized(question, np.array([900, 410, 400, 0]), 25.0), "rank")
    assert [(row.estimate, row.ci_low, row.ci_high) for row in ranks] == [
        (1.0, 1.0, 1.0),
        (2.0, 2.0, 3.0),
        (3.0, 2.0, 3.0),
    ]


def test_variables_share_a_letter_exactly_where_their_places_overlap() -> None:
    spans = [(1, 1), (2, 4), (3, 5), (4, 6), (5, 7), (9, 9)]
    letters = ties(spans)
    for one, first in enumerate(spans):
        for other, second in enumerate(spans):
            overlap = first[0] <= second[1] and second[0] <= first[1]
            assert bool(set(letters[one]) & set(letters[other])) == overlap
    assert letters[0] == "a"


def test_an_association_with_a_variable_of_one_code_does_not_apply() -> None:
    question = KINDS["association"].example()
    crowd = [{"sex": 1, "product": number % 3, "owner": number % 2, "birth_year": 1990} for number in range(60)]
    found = {
        row.keys["variable"]: row.obs_status for row in finalized(question, encoded(layout_of(question), crowd)).rows
    }
    assert (found["sex"], found["owner"]) == ("z", "")


def survival(crowd: list[dict[str, int]], variance: float = 0.0, **further: Any) -> Answer:
    asked = {"id": "q", "kind": "survival", "duration": "months_paying", "event": "owner", **further}
    question = Survival.model_validate(asked)
    return finalized(question, encoded(layout_of(question), crowd), variance)


def test_a_curve_ends_where_noise_may_be_all_who_are_at_risk() -> None:
    crowd = [{"months_paying": number % 20, "owner": 1} for number in range(2000)]
    found = survival(crowd, 16.0)
    told = [row.obs_status != "x" for row in rows(found, "survival")]
    assert told == sorted(told, reverse=True)
    assert 10 <= sum(told) < 20
    assert len(rows(found, "at_risk")) == 37, "their number is told to the end"


def test_where_all_had_the_event_nothing_is_left_and_the_median_is_known() -> None:
    found = survival([{"months_paying": number % 4, "owner": 1} for number in range(400)])
    curve = [row.estimate for row in rows(found, "survival")]
    assert curve[:4] == [0.75, 0.5, 0.25, 0.0]
    assert curve[4:] == [None] * 33
    (median,) = rows(found, "median")
    assert (median.estimate, median.ci_low) == (1.0, 1.0)
    assert median.ci_high == 2.0


def test_a_median_that_is_not_reached_is_not_available() -> None:
    (median,) = rows(survival([{"months_paying": 30, "owner": 0}] * 50), "median")
    assert (median.estimate, median.obs_status) == (None, "x")


def test_a_curve_that_is_asked_until_some_month_is_the_beginning_of_the_whole_one() -> None:
    """Who stayed longer was seen until then: fewer cells leave, and the numbers are the same."""
    crowd = [{"months_paying": number % 20, "owner": number % 3 == 0} for number in range(600)]
    whole, some = survival(crowd), survival(crowd, until=6)
    for measure in ("at_risk", "survival"):
        assert [row.estimate for row in rows(some, measure)] == [row.estimate for row in rows(whole, measure)][:7]
    assert (rows(some, "median")[0].obs_status, rows(whole, "median")[0].obs_status) == ("x", "")
    with pytest.raises(ValueError, match="240"):
        survival(crowd, until=241)


def test_a_log_rank_test_of_one_group_says_nothing() -> None:
    for variance in (0.0, 9.0):
        crowd = [{"months_paying": number % 5, "owner": 1, "sex": 0} for number in range(300)]
        (test,) = survival(crowd, variance, by="sex").tests
        assert (test.values["p_value"], test.values["obs_status"]) == (None, "x")


# --- what is withheld


@pytest.mark.parametrize("kind", ["quantiles", "survival", "association", "top"])
def test_exact_answers_are_withheld_whole_where_a_small_cell_is(kind: str) -> None:
    question = KINDS[kind].example()
    work = Workload.of((question,), Domain(SMALL, exact=True))
    crowd = [
        {"months_paying": 5 + a, "owner": b, "sex": c, "product": a, "birth_year": 1985 + 10 * b}
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ] * 30
    for few, expected in ((0, {""}), (3, {"C"})):
        extra = [{"months_paying": 9, "owner": 1, "sex": 2, "product": 2, "birth_year": 1970}] * few
        families = reconcile(
            work.layout, encoded(work.layout, crowd + extra, exact=True), [0] * len(work.layout.blocks)
        )
        answer = finalized(question, encoded(work.layout, crowd + extra, exact=True), domain=Domain(SMALL, exact=True))
        covers = withheld(families[COUNTS], Resolution.of(Layout(work.layout.blocks)), 5)
        covered = question.withhold(answer, covers, work.blocks[question.id])
        assert {row.conf_status for row in covered.rows if row.obs_status not in ("x", "z")} == (
            {"C"} if kind == "quantiles" else expected
        )
        assert all(row.estimate is None for row in covered.rows if row.conf_status)
