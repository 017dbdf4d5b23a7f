"""XLSX: cells as text, rows as records, and workbooks that are not opened."""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from node import mapping
from node.connectors import TextTable, xlsx
from node.connectors.files import find
from protocols.errors import ConfigError, Place
from tests.unit.city_folder import HEAD, cells, fault, folder, run, variables

HERE = Place("mapping.yaml", 6, "sources.main.files")
SOURCE = HEAD + "sources: {main: {kind: xlsx, files: data/*.xlsx}}\n"
UNKEYED = SOURCE + "tables: {t: {source: main}}\n"
KEYED = SOURCE + "tables: {t: {source: main, key: 账号}}\n"
Rows = Sequence[Sequence[Any]]
GIVEN, FILLED, MISSING, DROPPED, OTHER = range(5)


def book(
    sheets: Mapping[str, Any], merged: Sequence[str] = (), change: Callable[[Any, Any], None] | None = None
) -> bytes:
    """A workbook as XlsxWriter writes it: the rows of each sheet. `change`: a last word on workbook and first sheet."""
    content = io.BytesIO()
    workbook = xlsxwriter.Workbook(content, {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    clock = workbook.add_format({"num_format": "hh:mm:ss"})
    for name, rows in sheets.items():
        sheet = workbook.add_worksheet(name)
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                if isinstance(value, str) and value.startswith("="):
                    sheet.write_formula(number, place, "=NA()", None, value[1:])
                elif isinstance(value, str):
                    sheet.write_string(number, place, value)
                elif value is not None:
                    sheet.write(number, place, value, *([clock] if isinstance(value, time) else []))
        for block in merged:
            sheet.merge_range(block, "")
            first = block.split(":")[0]
            row, column = xlsxwriter.utility.xl_cell_to_rowcol(first)
            sheet.write_string(first, str(rows[row][column]))
    if change:
        change(workbook, workbook.worksheets()[0])
    workbook.close()
    return content.getvalue()


def opened(place: Path, content: bytes, needed: Sequence[str] = (), **layout: Any) -> tuple[TextTable, list[list[str]]]:
    """A workbook as its connector gives it: the table, and the records that were written out."""
    (place / "data").mkdir(parents=True, exist_ok=True)
    (place / "work").mkdir(exist_ok=True)
    (place / "data" / "a.xlsx").write_bytes(content)
    found = find(place, ("data/a.xlsx",), HERE)
    chosen = xlsx.Layout(**layout)
    names = xlsx.columns(found, chosen)
    table = xlsx.open_table(found, chosen, needed or names, place / "work")
    assert table.columns == names
    select = table.parts[0].select
    assert isinstance(select, xlsx.Cells)
    with select.records.path.open(encoding="utf-8", newline="") as file:
        return table, list(csv.reader(file))


def refused(place: Path, content: bytes, **layout: Any) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        opened(place, content, **layout)
    return raised.value


def zipped(entries: Mapping[str, bytes], content: bytes = b"", packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A workbook with some entries added or replaced."""
    out = io.BytesIO()
    kept: dict[str, bytes] = {}
    if content:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(out, "w", packed) as archive:
        for name, held in {**kept, **entries}.items():
            archive.writestr(name, held)
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def with_sheet(xml: str) -> bytes:
    """A workbook whose only sheet has this XML inside."""
    head = '<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    return zipped({SHEET: (head + xml + "</worksheet>").encode()}, book({"S": [["a"]]}), zipfile.ZIP_STORED)


# --- cells


def test_a_cell_has_one_text(tmp_path: Path) -> None:
    values: list[tuple[Any, str]] = [
        ("男", "男"),
        (" 空 格 ", " 空 格 "),
        ("a\nb", "a\nb"),
        ("1,200.00", "1,200.00"),
        (0, "0"),
        (-3, "-3"),
        (990123456789, "990123456789"),
        (1234.5, "1234.5"),
        (0.1 + 0.2, "0.3"),
        (1e-7, "0.0000001"),
        (999_999_999_999_999, "999999999999999"),
        (440106199003070011, "4.40106199003070e+17"),
        (True, "true"),
        (False, "false"),
        (date(2021, 8, 16), "2021-08-16"),
        (datetime(2021, 8, 16, 9, 30), "2021-08-16 09:30:00"),
        (time(9, 30), "09:30:00"),
        ("=#N/A", "#N/A"),
        ("=#DIV/0!", "#DIV/0!"),
        (44562, "44562"),
        (None, ""),
    ]
    _, records = opened(tmp_path, book({"S": [["k", "c"], *([f"r{n}", value] for n, (value, _) in enumerate(values))]}))
    assert [record[1] for record in records[1:]] == [text for _, text in values]


def test_only_the_columns_that_are_asked_for_are_written_anywhere(tmp_path: Path) -> None:
    table, records = opened(tmp_path, book({"S": [["姓名", "b", "c"], ["秘密", 1, 2]]}), ["c"])
    assert table.columns == ("姓名", "b", "c")
    assert records == [["c"], ["2"]]
    assert all("秘密".encode() not in path.read_bytes() for path in (tmp_path / "work").iterdir())


def test_a_sheet_is_known_by_name_and_one_alone_needs_none(tmp_path: Path) -> None:
    two = book({"说明": [["x"]], "个人信息": [["a", "b"], [1, 2]]})
    assert opened(tmp_path, two, sheet="个人信息")[1] == [["a", "b"], ["1", "2"]]
    for name in ("", "个人"):
        found = refused(tmp_path, two, sheet=name)
        assert found.code == "XLSX_SHEET"
        assert "说明, 个人信息" in found.text("zh")
    assert opened(tmp_path, book({"任意": [["a"], [1]]}))[1] == [["a"], ["1"]]


def test_rows_above_the_header_are_no_records_and_places_are_those_of_the_sheet(tmp_path: Path) -> None:
    rows = [
        ["2022年5月个人账户明细"],
        [],
        ["账号", "金额"],
        ["1", 5],
        [None, None],
        ["2", 6],
        ["  ", "\u3000"],
        ["3", 7],
    ]
    table, records = opened(tmp_path, book({"S": rows}), header_row=3)
    part = table.parts[0]
    assert records == [["账号", "金额"], ["1", "5"], ["2", "6"], ["3", "7"]]
    assert [part.at(row, "金额") for row in (1, 2, 3)] == [f"{tmp_path}/data/a.xlsx [S!B{row}]" for row in (4, 6, 8)]
    assert (part.rows, part.blank) == (3, 2)


def test_a_table_may_begin_anywhere_on_its_sheet(tmp_path: Path) -> None:
    rows = [[], [], [None, None, "账号", "金额"], [None, None, "1", "=#N/A"]]
    table, records = opened(tmp_path, book({"S": rows}), header_row=3)
    assert records == [["账号", "金额"], ["1", "#N/A"]]
    assert table.parts[0].at(1, "账号").endswith("[S!C4]")


def test_a_merged_block_gives_its_value_downwards_and_never_across(tmp_path: Path) -> None:
    rows = [
        ["机构", "账号", "类别", "金额"],
        ["东部", "1", "甲", None],
        [None, "2", None, 6],
        [None, None, None, None],
        [None, "3", None, 7],
        ["西部", "4", "乙", 8],
    ]
    table, records = opened(tmp_path, book({"S": rows}, merged=("A2:A5", "C2:D2")))
    assert [record[0] for record in records[1:]] == ["东部", "东部", "东部", "西部"]
    assert [record[2:] for record in records[1:]] == [["甲", ""], ["", "6"], ["", "7"], ["乙", "8"]]
    assert (table.parts[0].merged, table.parts[0].blank) == (2, 1)


def test_a_header_of_two_rows_may_be_merged(tmp_path: Path) -> None:
    rows = [["账号", "缴存", None], [None, "金额", "月数"], ["1", 5, 6]]
    _, records = opened(tmp_path, book({"S": rows}, merged=("A1:A2", "B1:C1")), header_row=2)
    assert records == [["账号", "金额", "月数"], ["1", "5", "6"]]


def test_a_column_without_a_name_may_be_a_gap_and_nothing_more(tmp_path: Path) -> None:
    assert opened(tmp_path, book({"S": [["a", None, "b"], [1, None, 2]]}))[1] == [["a", "b"], ["1", "2"]]
    found = refused(tmp_path, book({"S": [["账户明细"], ["a", "b"], [1, 2]]}))  # a title stands above the names
    assert (found.code, found.at) == ("SOURCE_HEADER", Place(str(tmp_path / "data/a.xlsx"), 0, "S!B1"))
    assert "header_row" in found.text("zh")


@pytest.mark.parametrize(
    ("rows", "layout", "code", "key"),
    [
        ([], {}, "CSV_EMPTY", "S"),
        ([["a"], [1]], {"header_row": 9}, "CSV_EMPTY", "S"),
        ([["a", "b"]], {}, "CSV_NO_ROWS", "S"),
        ([["a", "ａ "], [1, 2]], {}, "SOURCE_HEADER", "S!B1"),
        ([[f"c{n}" for n in range(2001)], [1]], {}, "SOURCE_COLUMNS", "S!1"),
        ([[f"c{n}" for n in range(10_000)], [1]], {}, "SOURCE_COLUMNS", "S!1"),
    ],
)
def test_a_sheet_at_fault_is_named(tmp_path: Path, rows: Rows, layout: dict[str, Any], code: str, key: str) -> None:
    found = refused(tmp_path, book({"S": rows}), **layout)
    assert (found.code, found.at) == (code, Place(str(tmp_path / "data/a.xlsx"), 0, key))


def test_files_of_one_source_share_their_columns(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "data/a.xlsx": book({"S": [["账号", "je"], ["1", 5]]}),
        "data/b.xlsx": book({"S": [["je", "账号"], [6, "2"]]}),
    }
    place = folder(tmp_path, KEYED + variables(amount="from: t.je, unit: 元"), files)
    run(place)
    assert sorted(cells(place)["amount"]) == [(500, GIVEN), (600, GIVEN)]
    (place / "data/c.xlsx").write_bytes(book({"S": [["账号", "金额"], ["3", 7]]}))
    assert fault(place).code == "SOURCE_HEADER_DIFFERS"


# --- through mapping and ingest


def test_cells_become_variables(tmp_path: Path) -> None:
    rows = [
        ["账号", "性别", "金额", "比例", "开户", "出生", "状态"],
        ["1", "男", 1234.56, 0.1, date(2022, 5, 31), 44562, True],
        [2, "女", "1,200.00", "1e3", "2022-05-31", "44562", False],
        ["3", "=#N/A", "=#REF!", "=#N/A", "=#VALUE!", "=#N/A", True],
    ]
    said = KEYED + variables(
        sex="from: t.性别, codes: {男: male, 女: female}, other: unknown, unparsed: 'null'",
        amount="from: t.金额, unit: 元, unparsed: 'null'",
        share="from: t.比例, unparsed: 'null'",
        opened="from: t.开户, parse: [yyyy-mm-dd], unparsed: 'null'",
        born="from: t.出生, make: year_of, parse: [excel_serial], unparsed: 'null'",
        paid="from: t.状态, codes: {'true': true, 'false': false}",
    )
    place = folder(tmp_path, said, {"data/a.xlsx": book({"S": rows})})
    assert mapping.check(place) == []
    done = run(place)
    read = cells(place)
    lost = (None, MISSING)
    assert set(read["sex"]) == {(0, GIVEN), (1, GIVEN), lost}
    assert set(read["amount"]) == {(123_456, GIVEN), (120_000, GIVEN), lost}
    assert set(read["share"]) == {(0.1, GIVEN), lost}
    assert set(read["opened"]) == {(19143, GIVEN), lost}
    assert set(read["born"]) == {(2022, GIVEN), lost}
    assert {name: done.counters[name].unparsed for name in ("sex", "amount", "opened", "born", "share")} == {
        "sex": 1, "amount": 1, "opened": 1, "born": 1, "share": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "value", "code", "place"),
    [
        ("amount: {from: t.c, unit: 元}", "十元", "ROW_UNPARSED", "账户!B4] 汉{2}"),
        ("amount: {from: t.c, unit: 元}", "=#REF!", "ROW_UNPARSED", "账户!B4] #REF!"),
        ("sex: {from: t.c, codes: {男: male}, other: unknown}", "=#N/A", "ROW_UNPARSED", "账户!B4] #N/A"),
        ("sex: {from: t.c, codes: {男: male}}", "男性", "ROW_OTHER", "账户!B4] 汉{2}"),
        (
            "sex: {from: t.c, codes: {男: male}, other: unknown}",
            440106199003070011,
            "ROW_DIGITS_LOST",
            "账户!B4] 9.9{14}a",
        ),
    ],
)
def test_a_fault_names_file_sheet_column_and_row(tmp_path: Path, entry: str, value: Any, code: str, place: str) -> None:
    good = {"amount": 5, "sex": "男"}[entry.split(":")[0]]
    rows = [["标题"], ["账号", "c"], ["1", good], ["2", value]]
    said = KEYED.replace("xlsx, files", "xlsx, sheet: 账户, header_row: 2, files") + f"variables: {{{entry}}}\n"
    found = fault(folder(tmp_path, said, {"data/a.xlsx": book({"账户": rows})}))
    assert found.code == code
    for said in (found.text("zh"), found.text("en")):
        assert f"data/a.xlsx [{place}" in said
    assert "列 c" in found.text("zh")


def test_a_key_that_was_stored_as_a_long_number_is_refused(tmp_path: Path) -> None:
    rows = [["账号", "c"], ["1", 5], [440106199003070011, 6]]
    found = fault(folder(tmp_path, KEYED + variables(amount="from: t.c, unit: 元"), {"data/a.xlsx": book({"S": rows})}))
    assert found.code == "ROW_DIGITS_LOST"
    assert "data/a.xlsx [S!A3]" in found.text("zh")


def test_a_line_of_totals_is_found_by_its_key_and_left_out_by_rows(tmp_path: Path) -> None:
    rows = [["账号", "c"], ["1", 5], ["2", 6], [], ["合计", 11]]
    said = KEYED + variables(amount="from: t.c, unit: 元")
    found = fault(folder(tmp_path, said, {"data/a.xlsx": book({"S": rows})}))
    assert found.code == "ROW_TOTAL"
    assert "[S!A5]" in found.text("zh")
    assert "rows: {not: {column: t.账号, is: 合计}}" in found.text("zh")
    left_out = said.replace("variables:", "rows: {not: {column: t.账号, is: 合计}}\nvariables:")
    place = folder(tmp_path, left_out, {})
    assert mapping.check(place) == []
    assert run(place).rows == 2


def test_a_key_is_filtered_by_and_still_no_variable(tmp_path: Path) -> None:
    said = KEYED.replace("key: 账号", "key: k") + variables(amount="from: t.k, unit: 元")
    said = said.replace("variables:", "rows: {not: {column: t.k, is: 合计}}\nvariables:")
    place = folder(tmp_path, said, {"data/a.xlsx": book({"S": [["k"], [1]]})})
    assert [each.code for each in mapping.check(place)] == ["MAP_COLUMN_IDENTIFIER"]


def test_two_sheets_of_one_workbook_are_joined_on_the_key(tmp_path: Path) -> None:
    said = (
        HEAD
        + (
            "sources:\n  a: {kind: xlsx, files: data/a.xlsx, sheet: 账户}\n  p: {kind: xlsx, files: data/a.xlsx, sheet: 人员}\n"
            "tables: {a: {source: a, key: 账号, main: true}, p: {source: p, key: 账号, missing: MISSING}}\n"
        )
        + variables(amount="from: a.c, unit: 元", sex="from: p.s, codes: {男: male}")
    )
    sheets: dict[str, Rows] = {
        "账户": [["账号", "c"], ["1", 5], ["2", 6]],
        "人员": [["账号", "s"], [2, "男"], ["9", "男"]],
    }
    files: dict[str, bytes | str] = {"data/a.xlsx": book(sheets)}
    kept = folder(tmp_path / "keep", said.replace("MISSING", "keep"), files)
    assert run(kept).rows == 2
    assert set(zip(*(cells(kept)[name] for name in ("amount", "sex")), strict=True)) == {
        ((500, GIVEN), (None, MISSING)),
        ((600, GIVEN), (0, GIVEN)),
    }
    assert run(folder(tmp_path / "drop", said.replace("MISSING", "drop"), files)).rows == 1
    found = fault(folder(tmp_path / "fail", said.replace("MISSING", "fail"), files))
    assert (found.code, "[账户!A2]" in found.text("zh")) == ("ROW_ALONE", True)
    twice = {**sheets, "人员": [["账号", "s"], ["2", "男"], [2, "男"]]}
    found = fault(folder(tmp_path / "twice", said.replace("MISSING", "keep"), {"data/a.xlsx": book(twice)}))
    assert (found.code, "[人员!A2]; " in found.text("zh")) == ("ROW_SIDE_DUPLICATE", True)


# --- workbooks that are not opened


def test_what_only_looks_like_a_workbook_is_told_apart(tmp_path: Path) -> None:
    assert refused(tmp_path, b"").code == "CSV_EMPTY"
    for text in (b"a,b\n1,2\n", b"<html><table><tr><td>1</td></tr></table></html>"):
        found = refused(tmp_path, text)
        assert found.code == "XLSX_TEXT"
        assert "kind: csv" in found.text("zh")
    assert refused(tmp_path, b"PK\x03\x04 and no more").code == "SOURCE_UNREADABLE"
    cut = book({"S": [["a"], [1]]})
    assert refused(tmp_path, cut[: len(cut) // 2]).code == "SOURCE_UNREADABLE"


def test_a_workbook_with_macros_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    plain = book({"S": [["a"], [1]]})
    assert refused(tmp_path, zipped({"xl/vbaProject.bin": b"\0"}, plain)).code == "XLSX_MACRO"
    assert refused(tmp_path, zipped({"xl/macrosheets/sheet1.xml": b"<x/>"}, plain)).code == "XLSX_MACRO"
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        types = archive.read("[Content_Types].xml")
    enabled = types.replace(
        b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        b"application/vnd.ms-excel.sheet.macroEnabled.main+xml",
    )
    assert enabled != types
    assert refused(tmp_path, zipped({"[Content_Types].xml": enabled}, plain)).code == "XLSX_MACRO"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_BYTES", 3 << 20)
    found = refused(tmp_path, bytes((3 << 20) + 1))
    assert (found.code, found.values["limit"]) == ("XLSX_SIZE", 3)


def test_cells_that_do_not_say_where_they_are_are_counted(tmp_path: Path) -> None:
    inside = (
        "<sheetData><row><c t='inlineStr'><is><t>a</t></is></c><c t='inlineStr'><is><t>b</t></is></c></row>"
        "<row><c><v>1</v></c><c t='e'><v>#N/A</v></c></row></sheetData>"
    )
    assert opened(tmp_path, with_sheet(inside))[1] == [["a", "b"], ["1", "#N/A"]]


def test_a_sheet_may_carry_a_prefix(tmp_path: Path) -> None:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xml = (
        f'<x:worksheet xmlns:x="{main}"><x:sheetData><x:row r="1"><x:c r="A1" t="inlineStr"><x:is><x:t>a</x:t></x:is></x:c>'
        '</x:row><x:row r="2"><x:c r="A2" t="e"><x:v>#REF!</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    )
    content = zipped({SHEET: xml.encode()}, book({"S": [["a"]]}))
    assert opened(tmp_path, content)[1] == [["a"], ["#REF!"]]
    far = zipped({SHEET: xml.replace('r="A2"', 'r="XFD1048576"').encode()}, book({"S": [["a"]]}))
    assert refused(tmp_path, far).code == "XLSX_SPARSE"


def test_errors_are_found_on_the_sheet_that_is_read(tmp_path: Path) -> None:
    two = book({"一": [["a"], ["=#N/A"]], "二": [["a"], [1], ["=#NUM!"]]})
    assert opened(tmp_path, two, sheet="二")[1] == [["a"], ["1"], ["#NUM!"]]
    assert opened(tmp_path, two, sheet="一")[1] == [["a"], ["#N/A"]]


def test_errors_are_found_across_the_edges_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[list[Any]] = [["a", "b"]] + [[f"r{n}", "=#N/A" if n % 7 == 0 else n] for n in range(200)]
    content = book({"S": rows})
    for size in (300, 1000):
        monkeypatch.setattr(xlsx, "PIECE", size)
        records = opened(tmp_path, content)[1]
        assert [record[1] for record in records[1:]] == ["#N/A" if n % 7 == 0 else str(n) for n in range(200)]


@pytest.mark.parametrize("far", ["CA1", "A999999", "A1039999", "A1040000", "A1048576", "ZZ99999", "AAA9"])
def test_a_sheet_may_be_long_or_wide(tmp_path: Path, far: str) -> None:
    """Each of the quick looks, and the exact one, let a sheet through that fits."""
    content = io.BytesIO(
        with_sheet(f'<sheetData><row r="1"><c r="A1"><v>1</v></c><c r="{far}"><v>2</v></c></row></sheetData>')
    )
    place = tmp_path / "a.xlsx"
    place.write_bytes(content.getvalue())
    found = find(tmp_path, ("a.xlsx",), HERE)[0]
    assert xlsx.inspect(content, found).errors("S") == {}


def test_what_the_quick_looks_let_through_is_bounded() -> None:
    for within, cell, columns, rows in (
        (xlsx.NARROW, b"BZ1039999", 78, 1_039_999),
        (xlsx.SHORT, b"ZZ99999", 702, 99_999),
    ):
        assert re.fullmatch(within, cell)
        assert columns * rows <= xlsx.MOST_CELLS
        letters, digits = cell.rstrip(b"0123456789").decode(), cell.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ").decode()
        assert (xlsx.number(letters), int(digits)) == (columns, rows)
        for beyond in (xlsx.letters(columns) + "1", f"A{rows + 1}"):
            assert not re.fullmatch(within, beyond.encode())


def test_names_of_columns_and_their_numbers() -> None:
    assert [xlsx.letters(n) for n in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
    assert all(xlsx.number(xlsx.letters(n)) == n + 1 for n in range(20_000))


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_packed_file_or_a_workbook_under_the_name_of_csv_is_no_text(tmp_path: Path, start: bytes) -> None:
    said = KEYED.replace("xlsx", "csv") + variables(amount="from: t.c, unit: 元")
    found = fault(folder(tmp_path, said, {"data/a.csv": start + bytes(range(128, 200))}))
    assert found.code == "CSV_PACKED"
    assert "kind: xlsx" in found.text("zh")
