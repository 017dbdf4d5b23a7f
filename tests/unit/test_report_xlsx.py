"""The workbook, read back by another program: every number, every empty cell and its status, and nothing that runs."""

import copy
import io
import re
import zipfile
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from python_calamine import CalamineWorkbook

from coordinator.report import xlsx
from coordinator.results import Results
from tests.unit.pages import trees
from tests.unit.test_report_html import DP, EXACT, by_city, changed


def sheets(tree: dict[str, Any]) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(xlsx.workbook(Results.of(tree))))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def parts(tree: dict[str, Any]) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(xlsx.workbook(Results.of(tree)))) as book:
        return {name: book.read(name).decode() for name in book.namelist()}


@pytest.mark.parametrize("tree", [DP, EXACT, by_city()], ids=["dp", "exact", "by city"])
def test_every_row_comes_back_with_its_columns_its_numbers_and_its_statuses(tree: dict[str, Any]) -> None:
    results, made = Results.of(tree), sheets(tree)
    assert list(made) == [xlsx.ABOUT, *results.questions]
    for name, question in results.questions.items():
        heads, *rows = made[name]
        at = {head: place for place, head in enumerate(heads)}
        assert [head for head in heads if not head.endswith(("_zh", "_en"))] == list(question.columns())
        assert {"estimate", "obs_status", "conf_status"} <= set(heads)
        for row, line in zip(question.rows, rows, strict=True):
            for column in question.columns():
                value, given = line[at[column]], row[column]
                assert value == ("" if given in (None, "") else given), (name, column)
            assert line[at["scope"]] == row.scope


def test_a_withheld_cell_is_empty_and_its_status_says_so() -> None:
    heads, *rows = sheets(DP)["tgi_generation"]
    held = [dict(zip(heads, row, strict=True)) for row in rows if row[heads.index("conf_status")] == "C"]
    assert len(held) == 1
    assert [held[0][column] for column in ("estimate", "display", "ci_low", "ci_high")] == ["", "", "", ""]


def test_labels_stand_beside_codes_in_both_languages() -> None:
    heads, first, *_ = sheets(DP)["product"]
    line = dict(zip(heads, first, strict=True))
    assert (line["product"], line["product_zh"], line["product_en"]) == ("lump_sum", "一次性趸缴型", "lump sum")


def test_the_first_sheet_says_what_the_file_is() -> None:
    said = {row[0]: row[1:] for row in sheets(DP)[xlsx.ABOUT] if row[0]}
    lines = [cell for row in sheets(DP)[xlsx.ABOUT] for cell in row]
    results = Results.of(DP)
    assert results.digest in said["结果文件摘要 Digest of results.json"]
    assert DP["study"]["digest"] in said["研究摘要 Study digest"]
    assert said["公布方式 Release"] == ["公布方式：合计", "Released: pooled"]
    assert "ε = 1.00, δ = 1e-6" in lines
    assert {"obs_status: u", "obs_status: x", "obs_status: z", "obs_status: b", "conf_status = C"} <= set(said)
    assert said["tgi_generation"][1] == "Product: preference index (TGI) by Generation"
    exact = [cell for row in sheets(EXACT)[xlsx.ABOUT] for cell in row]
    assert any("without the protection of differential privacy" in str(cell) for cell in exact)
    city = [cell for row in sheets(by_city())[xlsx.ABOUT] for cell in row]
    assert not any("协调方见到的只是各市之和" in str(cell) for cell in city)


def test_each_sheet_is_a_table_with_a_filter_under_a_header_that_stays() -> None:
    made = parts(DP)
    tables = [part for name, part in made.items() if name.startswith("xl/tables/")]
    assert len(tables) == len(DP["questions"])
    assert all("<autoFilter" in part for part in tables)
    for name, part in made.items():
        if re.fullmatch(r"xl/worksheets/sheet([2-9]|1\d)\.xml", name):
            assert 'ySplit="1"' in part
            assert 'state="frozen"' in part


def test_the_same_results_give_the_same_bytes_and_the_time_of_the_run() -> None:
    made = xlsx.workbook(Results.of(DP))
    assert made == xlsx.workbook(Results.of(copy.deepcopy(DP)))
    with zipfile.ZipFile(io.BytesIO(made)) as book:
        assert {each.date_time for each in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert "2026-11-20T08:00:00Z" in book.read("docProps/core.xml").decode()
    for at in ("", "yesterday", "1200-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"):
        assert xlsx._created(Results.of(changed(DP, run__at=at))) == xlsx.EARLIEST
    assert xlsx._created(Results.of(changed(DP, run__at="2026-11-20T08:00:00+08:00"))) == datetime(2026, 11, 20)


def test_sheets_have_names_that_a_spreadsheet_accepts() -> None:
    long = "a" * 40
    names = xlsx.sheet_names((long, long[:39], long[:31], "history", "short"))
    assert len(set(names.values())) == 5
    assert all(len(name) <= 31 for name in names.values())
    assert names["history"] == "history_2"
    assert names["short"] == "short"
    assert names[long[:39]] == "a" * 29 + "_2"
    tree = changed(DP, questions=dict.fromkeys((long, long[:39], "history"), DP["questions"]["sex_marital"]))
    assert len(sheets(tree)) == 4


def test_heads_that_a_spreadsheet_takes_for_one_get_a_number() -> None:
    tree = changed(DP, questions={"one": copy.deepcopy(DP["questions"]["product"])})
    for row in tree["questions"]["one"]["rows"]:
        row["Estimate"] = "text"
    heads, *_ = sheets(tree)["one"]
    assert "Estimate_2" in heads
    assert xlsx._unlike(["a", "A", "a", "b"]) == ["a", "A_2", "a_3", "b"]


def test_a_question_without_rows_has_a_header_alone() -> None:
    tree = changed(DP, questions={"none": {**DP["questions"]["product"], "rows": []}})
    assert sheets(tree)["none"] == [
        ["scope", "measure", "product", "product_zh", "product_en", "estimate", "obs_status", "conf_status"]
    ]


def test_what_does_not_fit_is_left_to_the_csv_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 5)
    made = sheets(changed(DP, questions={"product": DP["questions"]["product"]}))
    assert len(made["product"]) == 6
    assert any("3 further rows are in the CSV file only" in str(cell) for row in made[xlsx.ABOUT] for cell in row)


@settings(max_examples=30, deadline=None)
@given(trees())
def test_any_valid_results_become_a_workbook(tree: dict[str, Any]) -> None:
    results = Results.of(tree)
    made = sheets(tree)
    assert [len(made[name]) - 1 for name in results.questions] == [
        len(each.rows) for each in results.questions.values()
    ]
