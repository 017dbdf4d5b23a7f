"""T47: a code, a label or a city's name that a spreadsheet would run as a formula."""

import csv
import io
import re
import zipfile

import pytest
from python_calamine import CalamineWorkbook

from coordinator.report import tables, xlsx
from coordinator.results import Results
from tests.vectors.report.make import whole

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    '=HYPERLINK("http://x")',
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_text_that_a_spreadsheet_would_run_gets_a_leading_apostrophe(formula: str) -> None:
    tree = whole(exact=False)
    tree["words"]["variables"]["product"]["codes"]["monthly"] = {"zh": formula, "en": formula}
    for row in tree["questions"]["product"]["rows"]:
        row["product"] = formula if row["product"] == "free" else row["product"]
    rows = list(csv.reader(io.StringIO(tables.table(Results.of(tree), "product").decode("utf-8-sig"), newline="")))
    cells = [cell for row in rows for cell in row]
    assert (
        sum(cell.startswith("'") for cell in cells) == 2 * 2 + 2 * 3
    )  # two labels, and a code that stands in for its two labels
    for cell in cells:
        assert cell == "" or cell[0] not in "=+@\t\r\n＝＋－＠"
        if cell.startswith("-"):
            float(cell)  # only a number may


@pytest.mark.parametrize("plain", ["按月缴存型", "monthly", "a=b", "1-2", "'quoted", " =1"])
def test_text_that_is_no_formula_is_left_as_it_is(plain: str) -> None:
    assert tables.cell(plain) == plain


def test_numbers_below_zero_are_not_taken_for_formulas() -> None:
    assert tables.cell(-3.204118) == "-3.204118"


@pytest.mark.parametrize("formula", [*FORMULAS, "http://example.org", "mailto:a@b", "internal:Sheet!A1", "{=1+1}"])
def test_no_text_becomes_a_formula_a_link_or_a_number_in_the_workbook(formula: str) -> None:
    tree = whole(exact=False)
    tree["study"]["title"] = {"zh": formula, "en": formula}
    tree["study"]["purpose"] = {"zh": formula, "en": formula}
    tree["words"]["variables"]["product"]["codes"]["monthly"] = {"zh": formula, "en": formula}
    for row in tree["questions"]["product"]["rows"]:
        row["product"] = formula if row["product"] == "free" else row["product"]
    made = xlsx.workbook(Results.of(tree))
    with zipfile.ZipFile(io.BytesIO(made)) as book:
        parts = {name: book.read(name).decode() for name in book.namelist()}
    assert not [name for name, part in parts.items() if re.search(r"<f[ >]|hyperlink|calculatedColumnFormula", part)]
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_name("product").to_python()
    shown = [cell for row in sheet for cell in row if isinstance(cell, str) and cell.endswith(formula.strip()[-1])]
    assert shown.count(formula.replace("\t", "\ufffd").replace("\r", "\ufffd").replace("\n", "\ufffd")) == 2 * 2 + 2 * 3
