"""Laws of every registered kind: of its EXAMPLE, and of the example with other variables."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import entropy
from protocols.canonical import canonical, parse_canonical
from protocols.dictionary import MISSING, Category, Column, Dictionary, Table
from protocols.errors import ConfigError
from protocols.statistics import EXAMPLE_LAYOUT, KINDS, REGISTER
from protocols.statistics.layout import OUTSIDE, Block, Domain, Layout, Stand
from protocols.statistics.measures import encode
from protocols.statistics.question import Question
from protocols.statistics.rows import Row
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
    questions,
    table,
    written,
)
from tests.laws.test_measures_laws import beyond_declared

MANY: Final = settings(max_examples=200)
kinds: Final = pytest.mark.parametrize("kind", REGISTER, ids=lambda kind: str(kind.model_fields["kind"].default))
WITHOUT_INTERVAL: Final = ("vif", "loading", "variance_share")
# Statements whose interval has no standard error: it comes from draws, or from the curve that is inverted.
WITHOUT_ERRORS: Final = ("cramers_v", "adjusted", "rank", "median")
UNKNOWN: Final = frozenset((MISSING, OUTSIDE))
large_crowds: Final = st.builds(lambda crowd, times: list(crowd) * times, crowds, st.sampled_from((1, 7, 60)))


# --- what leaves


@MANY
@given(questions(), crowds, holders)
def test_one_holder_changes_no_more_than_the_kind_declares(
    question: Question, crowd: list[Holder], one: Holder
) -> None:
    assert not beyond_declared(layout_of(question), crowd, one)


@kinds
def test_the_holder_of_the_example_moves_every_block_as_far_as_is_declared(kind: type[Question]) -> None:
    layout = layout_of(kind.example())
    moved = encoded(layout, [written(kind.EXAMPLE)]).astype(object)
    for block in layout.blocks:
        assert sum(moved[layout.span(block)] ** 2) >= 0.9 * block.l2sq
        assert sum(abs(moved[layout.span(block)])) >= 0.9 * block.l1


@kinds
def test_an_effect_declared_too_small_breaks_the_law(kind: type[Question], monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of(kind.example())
    monkeypatch.setattr(Block, "l2sq", property(lambda _: 0))
    assert beyond_declared(layout, [], written(kind.EXAMPLE)) == [block.name for block in layout.blocks]


def test_a_block_that_declares_less_than_one_of_its_cells_stops_the_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of all examples is made when the register is imported."""
    assert EXAMPLE_LAYOUT.blocks
    monkeypatch.setattr(Block, "l2sq", property(lambda _: 0))
    with pytest.raises(ConfigError, match="smaller effect") as caught:
        Layout(EXAMPLE_LAYOUT.blocks)
    assert caught.value.code == "LAYOUT_EFFECT"


@MANY
@given(questions(), crowds, crowds)
def test_cities_add_up_and_an_empty_city_changes_nothing(
    question: Question, first: list[Holder], second: list[Holder]
) -> None:
    layout = layout_of(question)
    parts = encoded(layout, first) + encoded(layout, []) + encoded(layout, second)
    assert np.array_equal(parts, encoded(layout, [*second, *first]))


@MANY
@given(questions())
def test_a_question_survives_its_canonical_bytes(question: Question) -> None:
    content = canonical(question.model_dump(mode="json", by_alias=True, exclude_none=True))
    again = KINDS[question.kind].model_validate_json(canonical(parse_canonical(content, "question")), strict=True)
    assert again == question


@MANY
@given(questions(), large_crowds, st.sampled_from(sorted(SMALL.variables)))
def test_a_variable_that_a_city_cannot_map_moves_its_holders_to_missing(
    question: Question, crowd: list[Holder], lost: str
) -> None:
    """What `_missing` gains the known codes lose; tables without the variable stay as they are; sums of it are of nobody."""
    layout = layout_of(question)
    before, given_ = encoded(layout, crowd), table(crowd)
    nothing = Column(given_.columns[lost].values, np.zeros(len(crowd), dtype=bool))
    after = encode(
        layout, Table(len(crowd), {**given_.columns, lost: nothing}, given_.events), SMALL, AS_OF, None, exact=False
    )
    for block in layout.blocks:
        old, new = (vector[layout.span(block)].reshape(block.shape) for vector in (before, after))
        if any(lost in SMALL.needs(name) for each in block.amounts for name in each.variables) or any(
            axis.stand is Stand.SINCE and axis.source == lost for axis in block.axes
        ):  # no sum of it, and no months since it
            assert not new.any()
            continue
        over = tuple(
            number for number, axis in enumerate(block.axes) if any(lost in SMALL.needs(name) for name in axis.sources)
        )
        assert np.array_equal(old.sum(axis=over), new.sum(axis=over))
        for axis in over:
            assert not new.take(range(block.axes[axis].size - 1), axis=axis).any()


# --- what it means


@MANY
@given(questions(), large_crowds, st.sampled_from((0.0, 4.0, 30.0, 900.0)), st.integers(0, 10**6))
def test_every_row_says_what_can_be_said_and_no_more(
    question: Question, crowd: list[Holder], variance: float, seed: int
) -> None:
    layout = layout_of(question)
    noise = entropy.public_stream("law", str(seed), "noise").normal(0, np.sqrt(variance), layout.length)
    answer = finalized(question, encoded(layout, crowd) + np.rint(noise).astype(np.int64), variance)
    assert answer.rows
    assert len({(row.measure, *row.keys.items(), row.contrast) for row in answer.rows}) == len(answer.rows)
    for row in answer.rows:
        assert row.obs_status in ("", "u", "x", "z")
        assert (row.estimate is None) == (row.obs_status in ("x", "z"))
        if row.measure != "count" and UNKNOWN & set(row.keys.values()):
            assert row.obs_status == "z"
        if row.estimate is None:
            assert (row.ci_low, row.ci_high, row.display, row.se_noise) == (None, None, None, None)
            continue
        if row.measure in WITHOUT_INTERVAL:
            assert row.obs_status == ("u" if variance else "")
            continue
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low <= clipped(row, question.kind) <= row.ci_high
        signed = row.contrast or row.measure == "correlation" or row.measure.startswith("change")
        assert signed or row.display is None or row.display >= 0
        nobody = row.se_noise == row.estimate == 0  # no code of a variable goes with another of its own
        assert row.se_noise is None or nobody or (row.se_noise == 0) == (variance == 0)
        assert (row.se_noise is None) == (row.measure in WITHOUT_ERRORS)
    measures = [bool(UNKNOWN & set(row.keys.values())) for row in answer.rows if row.measure == answer.rows[0].measure]
    assert measures == sorted(measures), "rows of `_missing` come last"


def clipped(row: Row, kind: str) -> float:
    assert row.estimate is not None
    most = 80_000.0 if kind == "series" else 200_000.0
    measure = {"products": "share", "income": "mean"}[row.keys["indicator"]] if kind == "compare" else row.measure
    highest = {"mean": most, "correlation": 1.0, "survival": 1.0}.get(measure, 1.0 if "share" in measure else np.inf)
    signed = row.contrast or row.measure == "correlation" or row.measure.startswith("change")
    low, high = (-1.0 if signed else 0.0), highest
    return float(np.clip(row.estimate, low, high))


@MANY
@given(questions(), large_crowds)
def test_display_keeps_the_total_and_where_nothing_is_negative_it_is_the_estimate(
    question: Question, crowd: list[Holder]
) -> None:
    rows = finalized(question, encoded(layout_of(question), crowd)).rows
    for row in rows:
        assert alike(row.display, row.estimate, 1e-11 if row.measure != "correlation" else 1e-2)  # rounded squares


@MANY
@given(questions(), large_crowds)
def test_renaming_codes_moves_rows_and_changes_none(question: Question, crowd: list[Holder]) -> None:
    """Codes of every category are written in the opposite order, and holders' values with them."""
    turned = SMALL.model_copy(update={"variables": {name: _turned(each) for name, each in SMALL.variables.items()}})
    again = [
        {
            name: len(SMALL.codes(name)) - 1 - value if name in ("sex", "product") else value
            for name, value in one.items()
        }
        for one in crowd
    ]
    domain = Domain(turned, as_of=AS_OF, questions=DOMAIN.questions)
    layout = layout_of(question, domain)
    vector = encode(layout, table(again), turned, AS_OF, None, exact=False)
    before = finalized(question, encoded(layout_of(question), crowd))
    after = finalized(question, vector, domain=domain)
    moved = {(row.measure, *sorted(row.keys.items()), row.contrast): row for row in after.rows}
    for row in before.rows:
        other = moved.pop((row.measure, *sorted(row.keys.items()), row.contrast))
        assert (row.preference, row.obs_status) == (other.preference, other.obs_status) or row.measure in WITHOUT_ERRORS
        drawn = question.kind == "association"  # other draws fall to other codes
        names = ("base", "estimate", "se_noise", "se_sampling", "ci_low", "ci_high", "p_value", "q_value")
        for name in names[:2] if drawn else names:
            assert alike(getattr(row, name), getattr(other, name), 1e-9)
    assert not moved


def _turned(variable: Any) -> Any:
    if not isinstance(variable, Category):
        return variable
    return variable.model_copy(update={"codes": dict(reversed(variable.codes.items()))})


def alike(first: float | None, second: float | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance)


@MANY
@given(questions(), large_crowds)
def test_noise_of_next_to_nothing_gives_what_exact_mode_gives(question: Question, crowd: list[Holder]) -> None:
    vector = encoded(layout_of(question), crowd)
    exact, noised = (finalized(question, vector, variance).rows for variance in (0.0, 1e-60))
    if question.kind == "association":
        return  # with noise, cells of less than one expected holder are scaled as if one were: `independence.py`
    for one, other in zip(exact, noised, strict=True):
        assert (one.measure, one.keys, one.preference) == (other.measure, other.keys, other.preference)
        assert alike(one.estimate, other.estimate, 1e-9)
        assert alike(one.base, other.base, 1e-9)
        assert alike(one.ci_low, other.ci_low, 1e-6)
        assert alike(one.ci_high, other.ci_high, 1e-6)


@kinds
def test_a_question_that_too_few_cities_can_answer_keeps_its_rows_without_numbers(kind: type[Question]) -> None:
    question = kind.example()
    answer = finalized(question, encoded(layout_of(question), [written(kind.EXAMPLE)] * 50))
    without = answer.unavailable()
    assert [(row.measure, row.keys) for row in without.rows] == [(row.measure, row.keys) for row in answer.rows]
    assert {row.obs_status for row in without.rows} <= {"x", "z"}
    for test in without.tests:
        assert dict(test.values) == dict.fromkeys(test.values) | {"obs_status": "x"}


def test_bootstrap_draws_share_no_bytes_with_noise() -> None:
    """Both made from the same names; no eight bytes of one stream stand anywhere in the other."""
    public = entropy.public_stream("sha256:law", "products", "chi_square").bytes(1 << 16)
    noise = entropy.seeded("sha256:law", "products", "chi_square")(1 << 16)
    windows = {public[at : at + 8] for at in range(len(public) - 7)}
    assert not any(noise[at : at + 8] in windows for at in range(len(noise) - 7))


def test_every_kind_is_registered_once() -> None:
    names: Sequence[str] = [str(kind.model_fields["kind"].default) for kind in REGISTER]
    assert len(set(names)) == len(names) == len(KINDS)
    assert isinstance(SMALL, Dictionary)
