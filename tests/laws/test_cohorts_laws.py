"""Laws of cohorts of single questions: what is encoded for one, and what a slice of a table still says about its noise."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.policy import load
from protocols.filters import Leaf
from protocols.statistics import KINDS, cohorts, measures, workload
from protocols.statistics.cohorts import Slice, widened
from protocols.statistics.estimates import KNOWN, OWN, Box
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.question import Question
from protocols.statistics.workload import Workload
from tests.laws import test_resolution_laws as resolutions
from tests.laws.generated import (
    AS_OF,
    DOMAIN,
    SMALL,
    Holder,
    crowds,
    encoded,
    finalized,
    holders,
    layout_of,
    layouts,
    questions,
    table,
)
from tests.laws.test_kinds_laws import kinds
from tests.laws.test_measures_laws import beyond_declared

MANY: Final = settings(max_examples=80)
SOME: Final = settings(max_examples=30)
MALE: Final = Leaf.model_validate({"variable": "sex", "is": "male"})
OTHER: Final = Leaf.model_validate({"variable": "owner", "is": "true"})
ADULT: Final = Leaf.model_validate({"variable": "birth_year", "at_most": "1990"})


def over(layout: Layout, cohort: Leaf) -> Layout:
    return Layout(tuple(replace(block, cohort=cohort) for block in layout.blocks))


@MANY
@given(layouts, layouts, crowds)
def test_blocks_of_several_cohorts_are_encoded_in_one_pass_as_if_the_others_were_left_out(
    first: Layout, second: Layout, crowd: list[Holder]
) -> None:
    both = Layout((*first.blocks, *over(second, ADULT).blocks, *over(second, MALE).blocks))
    adults = [each for each in crowd if each.get("birth_year", 9999) <= 1990]
    men = [each for each in crowd if each.get("sex") == 0]
    expected = [encoded(first, crowd), encoded(second, adults), encoded(second, men)]
    assert encoded(both, crowd).tolist() == np.concatenate(expected).tolist()


@MANY
@given(questions(), crowds, holders)
def test_a_widened_table_costs_one_holder_no_more(question: Question, crowd: list[Holder], one: Holder) -> None:
    plain = question.blocks(DOMAIN)
    found = widened(plain, MALE, DOMAIN)
    if found is None:
        assert any(
            "sex" in [axis.name for axis in block.axes] or len(block.axes) == 4 or block.branches is not None
            for block in plain.values()
        )
        return
    wide, part = found
    for name, block in plain.items():
        assert (wide[name].l1, wide[name].l2sq, wide[name].touches) == (block.l1, block.l2sq, block.touches)
        alone = encoded(Layout((block,)), [each for each in crowd if each.get("sex") == 0]).reshape(block.shape)
        cells = encoded(Layout((wide[name],)), crowd).reshape(wide[name].shape)
        at = [axis.name for axis in wide[name].axes].index(part.axis) + len(block.shape) - len(block.axes)
        assert np.array_equal(cells.take(part.position, at), alone)
    assert not beyond_declared(Layout(tuple(wide.values())), crowd, one)


@kinds
@settings(max_examples=12)
@given(st.data(), crowds, st.sampled_from((MALE, ADULT, OTHER)))
def test_a_question_with_a_cohort_answers_as_if_nobody_else_were_there(
    kind: type[Question], data: st.DataObject, crowd: list[Holder], cohort: Leaf
) -> None:
    """Of every kind, as a slice and as a family of its own: amounts, trees and rows of events rest on numbers of the same holders."""
    question = data.draw(questions(kind))
    asked = question.model_copy(update={"cohort": cohort})
    crowd = crowd * 30
    inside = measures.members(table(crowd), SMALL, AS_OF, cohort)
    few = [each for each, chosen in zip(crowd, inside, strict=True) if chosen]
    layout = Workload.of((asked,), DOMAIN).layout
    found, alone = finalized(asked, encoded(layout, crowd)), finalized(question, encoded(layout_of(question), few))
    assert found == alone


@SOME
@given(resolutions.workloads(), resolutions.spreads, resolutions.seeds, st.data())
def test_a_slice_keeps_its_numbers_and_their_noise(
    layout: Layout, spread: list[float], seed: int, data: st.DataObject
) -> None:
    """Every sum over boxes of the slice has the covariance that it has in the whole table."""
    variances = spread[: len(layout.blocks)]
    _, tables = resolutions.tables(layout, resolutions.noised(layout, variances, seed), variances)
    for each in tables:
        if not each.axes:
            continue
        at = data.draw(st.integers(0, len(each.axes) - 1))
        position = data.draw(st.integers(0, each.axes[at].size - 1))
        part = each.sliced(each.axes[at].name, position)
        assert np.array_equal(part.units, each.units.take(position, at))
        rest = len(each.axes) - 1
        boxes: list[Box] = [(0,) * rest, (KNOWN,) * rest, (-1,) * rest]
        inside: list[Box] = [(*box[:at], position, *box[at:]) for box in boxes]
        assert np.allclose(part.covariance(*boxes), each.covariance(*inside), atol=1e-7 * max(variances))
        whole = np.broadcast_to(each.sd, each.units.shape).take(position, at)
        assert np.allclose(np.broadcast_to(part.sd, part.units.shape), whole, atol=1e-7 * max(variances))
        around = part.covariances((OWN,) * rest)
        assert np.allclose(np.broadcast_to(around, (*(size - 1 for size in part.units.shape), 1, 1))[..., 0, 0],
                           np.broadcast_to(part.sd, part.units.shape)[part.known] ** 2, atol=1e-7 * max(variances))  # fmt: skip


# --- when a cohort is one more axis


def of(text: Mapping[str, Any], kind: Mapping[str, Any] | None = None, exact: bool = False) -> Workload:
    asked = {"id": "q", "kind": "frequency", "of": "product", **(kind or {}), "cohort": text}
    question = KINDS[str(asked["kind"])].model_validate(asked)
    return Workload.of((question,), Domain(SMALL, exact))


def test_only_one_code_of_one_category_is_an_axis_and_never_in_exact_mode() -> None:
    assert of({"variable": "sex", "is": "male"}).slices == {"q": Slice("sex", 0)}
    assert of({"variable": "owner", "is": "true"}).slices == {"q": Slice("owner", 1)}
    others: list[dict[str, Any]] = [
        {"variable": "sex", "in": ("male",)},
        {"all": ({"variable": "sex", "is": "male"},)},
        {"variable": "birth_year", "is": "1990"},
        {"variable": "product", "is": "free"},  # an axis of the question already
    ]
    for cohort in others:
        assert not of(cohort).slices
        assert all(block.cohort is not None for block in of(cohort).layout.blocks)
    assert not of({"variable": "sex", "is": "male"}, exact=True).slices


def test_a_cohort_that_would_pass_a_limit_of_shipped_policies_is_a_family_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four axes are the limit; and so is the number of cells, of the widest table first."""
    male, three = {"variable": "sex", "is": "male"}, {"by": ["generation", "owner"]}
    assert of(male, three).slices
    monkeypatch.setattr(cohorts, "WIDEST", 3)
    assert not of(male, three).slices
    monkeypatch.undo()
    monkeypatch.setattr(workload, "MOST_WIDE_CELLS", 100)
    small = KINDS["count"].model_validate({"id": "n", "kind": "count", "cohort": male})
    large = KINDS["frequency"].model_validate(
        {"id": "q", "kind": "frequency", "of": "product", **three, "cohort": male}
    )
    assert Workload.of((small, large), DOMAIN).slices == {"n": Slice("sex", 0)}
    limits = load(Path(), loose=False).file.limits
    monkeypatch.undo()
    assert (
        limits.most_cells,
        limits.most_cells_by_city,
        limits.most_dimensions,
    ) == (workload.MOST_WIDE_CELLS, workload.MOST_WIDE_CELLS_BY_CITY, cohorts.WIDEST)
