"""Pictures of questions by month: gaps, intervals, quarters, and what is not drawn."""

import json
from typing import Any

import pytest

from coordinator.report import charts, months
from coordinator.report.grids import Numbered
from coordinator.results import Row


def curve(*values: float | None) -> charts.Curve:
    return charts.Curve("a", tuple(None if each is None else charts.Point(each, each - 1, each + 2) for each in values))


def rules(picture: charts.Picture, width: float) -> list[dict[str, Any]]:
    layers = json.loads(json.dumps(picture.spec))["layer"]
    return [each for layer in layers if layer["mark"].get("strokeWidth") == width for each in layer["data"]["values"]]


def test_a_month_without_a_number_leaves_a_gap_and_every_other_has_its_interval() -> None:
    drawn = charts.lines(["1", "2", "3", "4", "5"], [curve(1.0, 2.0, None, 3.0, 4.0)], str)
    assert len(rules(drawn, 1.8)) == 2
    assert len(rules(drawn, 0.7)) == 4
    bare = charts.lines(
        ["1", "2"], [charts.Curve("a", (charts.Point(1.0, 1.0, 1.0), charts.Point(2.0, 2.0, 2.0)))], str
    )
    assert rules(bare, 0.7) == []


@pytest.mark.parametrize("values", [(0.0, 0.0), (-5.0, 3.0), (1e9, 2e9), (None, None)])
def test_every_mark_of_a_line_chart_stands_inside_it(values: tuple[float | None, ...]) -> None:
    drawn = charts.lines(["2021-08", "2021-09"], [curve(*values)], str)
    for layer in drawn.spec["layer"]:
        for each in layer["data"]["values"]:
            assert 0 <= each["x"] <= drawn.width
            assert 0 <= each["y"] <= drawn.height


def numbered(estimate: float | None, base: float, mark: str = "") -> Numbered:
    return 0, Row(scope="pooled", measure="share", estimate=estimate, base=base, obs_status=mark)


def test_a_quarter_is_its_months_by_their_bases_once_all_of_them_have_a_number() -> None:
    found = months._pooled([numbered(0.5, 100.0), numbered(1.0, 300.0)])
    assert found is not None
    assert found.value == pytest.approx(87.5)
    assert months._pooled([numbered(0.5, 100.0), numbered(None, 300.0, "z")]) is None
    assert months._pooled([numbered(0.5, 100.0), None]) is None
