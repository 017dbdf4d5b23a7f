"""T47, T48: the codebook of a dictionary, a sheet that a department fills in: complete, the same bytes each time, and text stays text."""

import json
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from coordinator import cli, codebook
from protocols import dictionary as dictionaries
from protocols.dictionary import Dictionary
from protocols.errors import ConfigError
from tests.disclosure.test_formula_injection import FORMULAS
from tests.disclosure.test_report_injection import PAYLOADS
from tests.unit.pages import Element, parse

BUILT_IN: Final = dictionaries.load("hpf-flexible-employment@1")
NAME: Final = "hpf-flexible-employment@1.codebook"
SPREADSHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
HEADS: Final = [f"{zh}\n{en}" for _, zh, en, _ in codebook.COLUMNS]
OWN: Final = ("own_column", "own_code", "note")
FILL: Final = "FFFFF7D6"


@dataclass(frozen=True)
class Cell:
    """A cell of a workbook as it is stored. `fill`: its background; `number_format`: 49 is text."""

    text: str
    fill: str
    number_format: int


def files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def xml(content: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(content)  # noqa: S314 a workbook that this test just made


def sheet(content: bytes, number: int) -> list[list[Cell]]:
    """Rows of a sheet, read from the file's own parts."""
    held = files(content)
    strings = ["".join(text.itertext()) for text in xml(held["xl/sharedStrings.xml"]).iter(f"{SPREADSHEET}si")]
    styles = xml(held["xl/styles.xml"])
    fills = [
        fill.find(f"{SPREADSHEET}patternFill/{SPREADSHEET}fgColor")
        for fill in styles.iterfind(f"{SPREADSHEET}fills/{SPREADSHEET}fill")
    ]
    colours = ["" if fill is None else fill.attrib["rgb"] for fill in fills]
    looks = [
        (colours[int(look.attrib["fillId"])], int(look.attrib["numFmtId"]))
        for look in styles.iterfind(f"{SPREADSHEET}cellXfs/{SPREADSHEET}xf")
    ]
    found = []
    for row in xml(held[f"xl/worksheets/sheet{number}.xml"]).iter(f"{SPREADSHEET}row"):
        cells = []
        for cell in row:
            value = cell.find(f"{SPREADSHEET}v")
            assert value is None or cell.attrib["t"] == "s", "a cell that is no text"
            text = "" if value is None else strings[int(value.text or "")]
            cells.append(Cell(text, *looks[int(cell.attrib.get("s", 0))]))
        found.append(cells)
    return found


def own(variables: dict[str, Any], **more: Any) -> Dictionary:
    tree = {"dictionary": "own-words", "version": 3, "variables": variables, **more}
    return Dictionary.model_validate_json(json.dumps(tree))


def hostile(text: str) -> Dictionary:
    """A dictionary that says the same text wherever it may say anything."""
    words = {"zh": text, "en": text}
    standard = {"table": text, "name": text, "codes": text, "verified": True}
    return own(
        {
            "kind": {
                "type": "category",
                "label": words,
                "aliases": [text],
                "standard": standard,
                "codes": {"a": {**words, "standard": text}, "b": {"zh": text}},
            },
            "amount": {"type": "money", "label": {"zh": text, "en": f"{text}2"}, "unit": text, "range": ["0", "1"]},
        },
        label=words,
        unit=text,
        derived={"high": {"of": "amount", "bands": {"x": ["0", "1"]}, "label": words}},
    )


def test_every_variable_and_every_code_has_a_line_of_its_own_to_be_filled_in() -> None:
    head, *rows = sheet(codebook.workbook(BUILT_IN), 2)
    assert [cell.text for cell in head] == HEADS
    expected = []
    for name in (*BUILT_IN.variables, *(each for each in BUILT_IN.event_names() if "." in each)):
        expected.append((name, ""))
        expected += [(name, code) for code in BUILT_IN.codes(name)]
    keys = [key for key, *_ in codebook.COLUMNS]
    code_at = keys.index("code")
    assert [(row[0].text, row[code_at].text) for row in rows] == expected
    for row in rows:
        cells = dict(zip(keys, row, strict=True))
        wanted = {"own_code", "note"} if cells["code"].text else {"own_column", "note"}
        assert {key for key, cell in cells.items() if cell.fill == FILL} == wanted
        assert all(cells[key].number_format == 49 for key in wanted)  # what is typed stays as typed: 01 is not 1
        assert all(cells[key].text == "" for key in OWN)


def test_lines_say_what_the_dictionary_says() -> None:
    keys = [key for key, *_ in codebook.COLUMNS]
    rows = [dict(zip(keys, (c.text for c in row), strict=True)) for row in sheet(codebook.workbook(BUILT_IN), 2)[1:]]
    by = {(row["variable"], row["code"]): row for row in rows}
    sex, female, base = by["sex", ""], by["sex", "female"], by["contribution_base", ""]
    assert (sex["label"], sex["type"], sex["standard"]) == (
        "性别 Sex",
        "类别 category",
        "4.0.3 XingBie · GB/T 2261.1 †",
    )
    assert (female["meaning"], female["standard"]) == ("女 female", "2")
    assert (base["range"], base["unit"], base["sensitivity"]) == ("0 – 80000（常见值 points 180, 3500）", "CNY", "C2")
    assert by["opened", ""]["range"] == "2021-08-01 – 2045-12-31"
    assert by["withdrew_24m", "true"]["meaning"] == "是 yes"


def test_versions_of_codes_aliases_and_numbers_without_exponents_are_shown() -> None:
    variables = {
        "reason": {
            "type": "category",
            "aliases": ["TQYY", "提取原因代码"],
            "codes": {"old": {"until": "2026-09-19"}, "new": {"from": "2026-09-20", "comparable": "false"}},
        },
        "rate": {"type": "number", "range": ["0", "0.0000001"]},
    }
    reason, old, new, rate = codebook.lines(own(variables))
    assert reason.cells["label"] == "reason（又名 also TQYY、提取原因代码）"
    assert old.cells["meaning"] == "old （至 until 2026-09-19）"
    assert new.cells["meaning"] == "new （自 from 2026-09-20，不作比较 not compared）"
    assert rate.cells["range"] == "0 – 0.0000001"


def test_the_first_sheet_says_which_dictionary_how_to_fill_it_in_and_what_is_computed() -> None:
    texts = [cell.text for row in sheet(codebook.workbook(BUILT_IN), 1) for cell in row]
    assert BUILT_IN.digest in texts
    assert any("hpf-flexible-employment@1" in text for text in texts)
    for zh, en in codebook.STEPS:
        assert {zh, en} <= set(texts)
    assert set(BUILT_IN.derived) <= set(texts)
    book = xml(files(codebook.workbook(BUILT_IN))["xl/workbook.xml"])
    names = [each.attrib["name"] for each in book.iter(f"{SPREADSHEET}sheet")]
    assert names == [codebook.ABOUT, codebook.SHEET]


def test_a_dictionary_without_derived_variables_has_no_list_of_them() -> None:
    plain = own({"yes": {"type": "boolean"}})
    assert "computed" not in " ".join(cell.text for row in sheet(codebook.workbook(plain), 1)[6:] for cell in row)
    assert [each.text for each in parse(codebook.page(plain).decode()).every("h2")][-1].startswith("变量与代码")


# --- the page


def rows_of(page: Element) -> list[list[Element]]:
    (table,) = page.of("sheet")
    return [
        [cell for cell in row.children if isinstance(cell, Element)]
        for body in table.every("tbody")
        for row in body.every("tr")
    ]


def test_the_page_has_the_same_lines_and_stands_alone() -> None:
    page = codebook.page(BUILT_IN).decode()
    root = parse(page)
    rows = rows_of(root)
    assert len(rows) == len(tuple(codebook.lines(BUILT_IN)))
    assert sum("own" in cell.attributes.get("class", "") for row in rows for cell in row) == 2 * len(rows)
    shown = root.text
    for name in BUILT_IN.known():
        assert BUILT_IN.label_of(name, "zh") in shown
        assert BUILT_IN.label_of(name, "en") in shown
    assert not {"script", "link", "img", "iframe", "form"} & {each.tag for each in root.every()}
    assert "http" not in page
    assert "@page { size: A4 landscape" in page
    assert next(root.every("html")).attributes["lang"] == "zh-CN"
    assert len(codebook.page(BUILT_IN)) < 60_000


LEGIBLE: Final = [text for text in PAYLOADS if text.isprintable()]


@pytest.mark.parametrize("payload", [*LEGIBLE, *(text for text in FORMULAS if text.isprintable())])
def test_hostile_words_are_text_on_the_page_and_in_the_workbook(payload: str) -> None:
    meant, harmless = hostile(payload), hostile("zz")
    page = parse(codebook.page(meant).decode())
    assert [(each.tag, each.attributes) for each in page.every()] == [
        (each.tag, each.attributes) for each in parse(codebook.page(harmless).decode()).every()
    ]
    book = codebook.workbook(meant)
    held = files(book)
    for name, content in held.items():
        assert b"<f>" not in content, name
        assert b"<hyperlink" not in content, name
        assert b'TargetMode="External"' not in content, name
        xml(content)
    assert held.keys() == files(codebook.workbook(harmless)).keys()
    texts = [cell.text for row in sheet(book, 2) for cell in row]
    assert payload in texts  # the unit, as written
    assert not [text for row in sheet(book, 1) for text in (cell.text for cell in row) if "\x1b" in text]


def test_characters_that_a_workbook_cannot_hold_are_replaced() -> None:
    meant = hostile("a\uffffb\ufffe")  # not assigned, hence not refused in a file, and not allowed in XML
    texts = [cell.text for row in sheet(codebook.workbook(meant), 2) for cell in row]
    assert "a\ufffdb\ufffd" in texts
    assert "\uffff" not in codebook.page(meant).decode()


def test_a_text_longer_than_a_cell_is_cut_and_says_so() -> None:
    meant = hostile("长" * 40_000)
    texts = [cell.text for row in sheet(codebook.workbook(meant), 2) for cell in row]
    assert "长" * (codebook.LONGEST - 1) + "…" in texts
    assert max(map(len, texts)) < 32_767


def test_a_list_of_many_codes_has_a_line_for_each() -> None:
    many = own({"office": {"type": "category", "codes": {f"o{number}": {} for number in range(5_000)}}})
    assert len(sheet(codebook.workbook(many), 2)) == 5_002
    assert len(rows_of(parse(codebook.page(many).decode()))) == 5_001


# --- files


def test_the_same_dictionary_gives_the_same_bytes_and_no_file_knows_the_day() -> None:
    again = dictionaries.load(BUILT_IN.name)
    assert codebook.page(BUILT_IN) == codebook.page(again)
    book = codebook.workbook(BUILT_IN)
    assert book == codebook.workbook(again)
    with zipfile.ZipFile(BytesIO(book)) as archive:
        assert {each.date_time[:3] for each in archive.infolist()} == {(1980, 1, 1)}
    assert b"1980-01-01T00:00:00Z" in files(book)["docProps/core.xml"]
    assert b"20" + b"2" not in files(book)["docProps/core.xml"]


def called(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["dictionary", "codebook", *map(str, arguments)])


def test_the_command_writes_both_formats_and_replaces_no_file(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "codebook"
    done = called(BUILT_IN.name, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == [str(out / f"{NAME}.xlsx"), str(out / f"{NAME}.html")]
    (out / f"{NAME}.xlsx").write_bytes(b"filled in by hand")
    (out / f"{NAME}.html").unlink()
    again = called(BUILT_IN.name, "--out", out, "--json")
    assert again.exit_code == 2
    assert json.loads(again.stdout)["error"]["code"] == "FILE_EXISTS"
    assert (out / f"{NAME}.xlsx").read_bytes() == b"filled in by hand"
    assert not (out / f"{NAME}.html").exists()


def test_the_command_reads_a_file_of_ones_own_and_writes_one_format(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("dictionary: own-words\nversion: 3\nvariables: {yes: {type: boolean}}\n", encoding="utf-8")
    done = called(path, "--format", "html", "--out", tmp_path)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / "own-words@3.codebook.html")
    assert {each.name for each in tmp_path.iterdir()} == {"own.yaml", "own-words@3.codebook.html"}


@pytest.mark.parametrize("formats", ["pdf", "xlsx,docx", "", "xlsx;html"])
def test_a_format_that_there_is_not_leaves_with_code_2_and_writes_nothing(tmp_path: Path, formats: str) -> None:
    done = called(BUILT_IN.name, "--format", formats, "--out", tmp_path / "out", "--lang", "en")
    assert done.exit_code == 2
    assert "xlsx, html" in done.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no format"):
        codebook.write(tmp_path / "out", BUILT_IN, formats.split(","))


def test_a_faulty_dictionary_leaves_with_code_2_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("dictionary: own\nversion: 1\nvariables: {a: {type: integer, range: [3, 1]}}\n", encoding="utf-8")
    done = called(path, "--out", tmp_path / "out", "--lang", "en")
    assert done.exit_code == 2
    assert f"{path}:3: variables.a.range" in done.stderr
    assert not (tmp_path / "out").exists()
