"""Tables and pictures of quantiles, survival, association and top, from results as a release writes them."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.report import curves, figures, grids, orders
from coordinator.report.wording import Wording
from coordinator.results import Question, Results
from protocols.errors import Language
from protocols.statistics import KINDS
from protocols.statistics.question import Question as Asked
from tests.laws.generated import encoded, finalized, layout_of
from tests.unit.test_report_html import DP, both, changed

CROWD: Final = [
    {"months_paying": number % 31, "owner": int(number % 7 < 3), "sex": number % 2, "product": number % 3, "birth_year": 1970 + number % 30}
    for number in range(3000)
]  # fmt: skip
WORDS: Final[dict[str, Any]] = {
    "months_paying": {"zh": "月数", "en": "Months", "unit": "month", "codes": {}},
    "product": {"zh": "产品", "en": "Product", "codes": {"free": {"zh": "自由", "en": "free"}}},
}


def entry(kind: str, variance: float = 25.0) -> dict[str, Any]:
    asked: Asked = KINDS[kind].example()
    answer = finalized(asked, encoded(layout_of(asked), CROWD), variance)
    rows = [row.published("pooled") for row in answer.rows]
    keys = list(dict.fromkeys(name for row in answer.rows for name in row.keys))
    tests = [{"name": test.name, **test.values} for test in answer.tests]
    shared = {"id", "kind", "release", "weight", "sampling"}
    parameters = {
        key: value for key, value in asked.model_dump(mode="json", by_alias=True).items() if key not in shared
    }
    return {"kind": kind, "cities": [], "keys": keys, "rows": rows, "tests": tests, "asked": parameters}


def shown(kind: str, language: Language) -> tuple[Wording, Question]:
    found = Results.of(changed(DP, questions={"one": entry(kind)}, words={"variables": WORDS}))
    return Wording(language, found.content), found.questions["one"]


@pytest.mark.parametrize("kind", ["quantiles", "survival", "association"])
@both
def test_each_is_drawn_with_its_table(kind: str, language: Language) -> None:
    wording, question = shown(kind, language)
    drawn = [
        figure for part in figures.parts(wording, {"one": question}) for figure in part.figures if figure.look == kind
    ]
    assert len(drawn) == 1
    (figure,) = drawn
    assert figure.picture is not None
    assert len(figure.picture) < 8_000
    assert "{" not in figure.title + figure.sentence
    assert figure.twin.groups[0].lines


@both
def test_a_table_of_quantiles_has_a_line_per_group_and_a_column_per_level(language: Language) -> None:
    wording, question = shown("quantiles", language)
    (grid,) = grids.grids(wording, question)
    assert (
        grid.heads[:3]
        == {
            "zh": ("25% 分位（月）", "50% 分位（月）", "75% 分位（月）"),
            "en": ("25% (months)", "50% (months)", "75% (months)"),
        }[language]
    )
    assert [cell.number for cell in grid.groups[0].lines[0].cells[:3]] == ["7", "15", "23"]


@both
def test_a_curve_is_told_at_some_times_and_the_rest_is_in_its_csv(language: Language) -> None:
    wording, question = shown("survival", language)
    (grid,) = grids.grids(wording, question)
    at_risk, left, median = grid.groups
    assert len(at_risk.lines) == len(left.lines) == 13
    assert grid.left == 37 - 13
    assert len(median.lines) == 1
    assert "log-rank" in grids.tests(wording, question)


@both
def test_variables_stand_in_the_order_of_their_places(language: Language) -> None:
    wording, question = shown("association", language)
    (grid,) = grids.grids(wording, question)
    places = [int(line.cells[2].number) for line in grid.groups[0].lines]
    assert places == sorted(places)
    assert all(line.cells[-1].number for line in grid.groups[0].lines)


@both
def test_codes_stand_in_the_order_of_their_counts_with_those_without_a_value_last(language: Language) -> None:
    wording, question = shown("top", language)
    (grid,) = grids.grids(wording, question)
    labels = [line.heads[0][0] for line in grid.groups[0].lines]
    assert {"zh": "自由", "en": "free"}[language] in labels
    assert len(labels) == 4
    assert grid.groups[0].lines[-1].faint


def test_more_than_can_be_shown_falls_back_to_the_plain_list() -> None:
    many = entry("quantiles")
    levels = [f"0.{number:02}" for number in range(1, 11)]
    many["rows"] = [{**many["rows"][0], "at": level} for level in levels]
    found = Results.of(changed(DP, questions={"one": many}, words={"variables": WORDS}))
    wording, question = Wording("en", found.content), found.questions["one"]
    assert orders.tables(wording, question, [*enumerate(question.rows)], "") is None
    assert grids.grids(wording, question)[0].look == "list"
    other = entry("survival")
    other["keys"] = ["sex"]
    assert not orders.fits(Question.model_validate({**other, "cities": (), "keys": ("sex",), "rows": (), "tests": ()}))


def test_what_lies_beyond_an_axis_stands_on_its_edge() -> None:
    scale = curves.Scale(50.0, 5000.0, True, 0.0, 100.0)
    assert (scale.at(0.0), scale.at(50.0), scale.at(500.0), scale.at(9000.0)) == (0.0, 0.0, 50.0, 100.0)
    assert scale.ticks() == (50.0, 200.0, 1000.0, 5000.0)
    assert curves.Scale(0.0, 36.0, False, 0.0, 1.0).ticks() == (0.0, 10.0, 20.0, 30.0)
    assert curves.Scale(2_100.0, 2_900.0, True, 0.0, 1.0).ticks() == (2_200.0, 2_400.0, 2_600.0, 2_800.0)
    assert curves.boxes([], log=False) is None
    assert curves.dots([]) is None
    assert curves.steps([]) is None


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.booleans())
def test_an_axis_has_round_values_between_its_ends_wherever_these_lie(least: int, beyond: int, log: bool) -> None:
    """Medians of money may lie between two values of the series 1, 2, 5: with no tick there, a whole report was lost."""
    ticks = curves.Scale(float(least), float(least + beyond), log, 0.0, 1.0).ticks()
    assert 1 <= len(ticks) <= curves.MOST_TICKS
    assert all(least <= tick <= (least + beyond) * 1.0001 for tick in ticks)
