"""Clusters on the page: their table, their profiles, and what stands there when they are doubtful, many, or of a later version."""

from typing import Any, Final

import pytest

from coordinator.report import clusters, figures, grids, html
from coordinator.report.wording import Wording
from coordinator.results import Question, Results
from protocols.errors import Language
from tests.models.clustered import Federation, asked, in_cities, mixture
from tests.unit.test_report_html import DP, both, changed

WORDS: Final[dict[str, Any]] = {
    "a": {"zh": "年龄", "en": "Age", "unit": "year", "codes": {}},
    "b": {"zh": "收入", "en": "Income", "unit": "CNY", "codes": {}},
}


@pytest.fixture(scope="module")
def entry() -> dict[str, Any]:
    question = asked(of=["a", "b", "c"], k="3", rounds="3")
    result, _ = Federation(question, "1").answer(in_cities(mixture(7, 9_000, 3, 3)))
    rows = [row.published("pooled") for row in result.rows]
    keys = list(dict.fromkeys(name for row in result.rows for name in row.keys))
    given = {"of": ["a", "b", "c"], "k": 3, "rounds": 3}
    return {"kind": "kmeans", "cities": [], "keys": keys, "rows": rows, "tests": [], "asked": given}


def shown(entry: dict[str, Any], language: Language) -> tuple[Wording, Question]:
    found = Results.of(changed(DP, questions={"one": entry}, words={"variables": WORDS}))
    return Wording(language, found.content), found.questions["one"]


@both
def test_every_cluster_has_a_line_and_a_profile(entry: dict[str, Any], language: Language) -> None:
    wording, question = shown(entry, language)
    drawn = [each for part in figures.parts(wording, {"one": question}) for each in part.figures]
    (figure,) = drawn
    assert figure.look == "kmeans"
    assert figure.picture is not None
    assert len(figure.picture) < 8_000
    assert "{" not in figure.title + figure.sentence
    heads = {
        "zh": ("个数", "占比", "年龄（年）", "收入（元）", "c"),
        "en": ("Number", "Share", "Age (years)", "Income (CNY)", "c"),
    }
    (grid,) = grids.grids(wording, question)
    assert grid.heads[2:] == heads[language][2:]
    assert [line.heads[0][0] for line in grid.groups[0].lines] == [
        {"zh": f"第 {number} 类", "en": f"Cluster {number}"}[language] for number in (1, 2, 3)
    ]
    sizes = [cell.ref for line in grid.groups[0].lines for cell in line.cells]
    assert len(set(sizes)) == len(sizes) == 15
    for name in ("年龄", "收入") if language == "zh" else ("Age", "Income"):
        assert str(figure.picture).count(f">{name}<") == 3


def test_the_page_holds_them(entry: dict[str, Any]) -> None:
    found = Results.of(changed(DP, questions={"one": entry}, words={"variables": WORDS}))
    page = html.render(found, "zh")
    assert "按年龄、收入、c划分的 3 类" in page
    assert "聚类（k 均值）" in page


def test_a_doubtful_cluster_is_drawn_grey_and_says_so(entry: dict[str, Any]) -> None:
    rows = [row | {"obs_status": "u"} if row["cluster"] == "3" else row for row in entry["rows"]]
    wording, question = shown({**entry, "rows": rows}, "en")
    found = clusters.figure(wording, question)
    assert found is not None
    assert found.picture is not None
    texts = [
        value["text"] for layer in found.picture.spec["layer"] for value in layer["data"]["values"] if "text" in value
    ]
    assert sum("[u]" in text for text in texts) == 4  # its head, and its three coordinates


def test_the_page_says_in_how_many_rounds_and_what_did_not_come_to_rest(entry: dict[str, Any]) -> None:
    fit = {"converged": False, "rounds": 4, "n": 9_000, "moved": 0.2, "stayed": [3], "obs_status": "u"}
    wording, question = shown({**entry, "fit": fit}, "en")
    first, stayed, moving = clusters.notes(wording, question)
    assert "4 rounds" in first
    assert "9,000" in first
    assert "Cluster 3" in stayed
    assert "more rounds" in moving
    wording, question = shown({**entry, "fit": {**fit, "converged": True, "stayed": []}}, "zh")
    assert len(clusters.notes(wording, question)) == 1
    page = html.render(
        Results.of(changed(DP, questions={"one": {**entry, "fit": fit}}, words={"variables": WORDS})), "en"
    )
    assert "4 rounds" in page
    assert "pooled fit" not in page


def test_many_lines_are_left_to_the_table_and_rows_of_a_later_version_to_a_list(entry: dict[str, Any]) -> None:
    names = [f"v{number}" for number in range(21)]
    rows = [
        {**row, "variable": name}
        for row in entry["rows"]
        if row["measure"] == "centre" and row["variable"] == "a"
        for name in names
    ]
    wording, question = shown({**entry, "rows": rows}, "en")
    assert clusters.fits(question)
    assert clusters.figure(wording, question) is None
    assert len(grids.grids(wording, question)[0].heads) == 2 + 21
    other = [{**row, "cluster": "large"} for row in entry["rows"]]
    wording, question = shown({**entry, "rows": other}, "en")
    assert not clusters.fits(question)
    assert grids.grids(wording, question)
