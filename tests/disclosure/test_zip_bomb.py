"""T44: a workbook that unpacks to far more than its size, states sizes that are not true, or asks for a sheet that fits nowhere."""

from pathlib import Path

import pytest

from node.connectors import xlsx
from tests.unit.test_xlsx_connector import book, refused, with_sheet, zipped


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    plain = book({"S": [["a"], [1]]})
    ratio = refused(tmp_path, zipped({"xl/media/zeros.bin": bytes(20 << 20)}, plain))
    assert (ratio.code, ratio.values["most"]) == ("XLSX_BOMB", xlsx.MOST_RATIO)
    many = refused(tmp_path, zipped({f"xl/media/{n}": b"" for n in range(xlsx.MOST_ENTRIES)}, plain))
    assert (many.code, many.values["most"]) == ("XLSX_BOMB", xlsx.MOST_ENTRIES)


def stating(content: bytes, name: str, size: int) -> bytes:
    """The same archive, whose directory states another size for an entry."""
    at = content.rindex(name.encode()) - 46  # its entry in the central directory
    assert content[at : at + 4] == b"PK\x01\x02"
    return content[: at + 24] + size.to_bytes(4, "little") + content[at + 28 :]


def test_a_size_that_is_stated_is_not_believed(tmp_path: Path) -> None:
    lying = stating(
        zipped({"xl/media/x.bin": bytes(range(256)) * 4096}, book({"S": [["a"], [1]]})), "xl/media/x.bin", 10
    )
    found = refused(tmp_path, lying)
    assert (found.code, found.values["most"]) == ("XLSX_BOMB", 10)
    huge = stating(zipped({"xl/media/x.bin": b"x"}, book({"S": [["a"], [1]]})), "xl/media/x.bin", (1 << 31) + 1)
    assert refused(tmp_path, huge).values["most"] == xlsx.MOST_UNPACKED


@pytest.mark.parametrize(
    ("cells_", "code"),
    [
        (
            '<c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c>',
            "XLSX_SPARSE",
        ),
        ('<c r="A1"><v>1</v></c><c r="XFD1048576"><v>1</v></c>', "XLSX_SPARSE"),
        ("<c r = 'A1'><v>1</v></c><c t='n' r='XFD1048576'><v>1</v></c>", "XLSX_SPARSE"),
        ('<c r="A1048577"><v>1</v></c>', "XLSX_ROWS"),
        ("</row>" + "<row/>" * ((1 << 20) + 1) + "<row><c><v>1</v></c>", "XLSX_ROWS"),
        ("<c><v>1</v></c>" * 80_000 + '</row><row r="2000"><c r="A2000"><v>1</v></c>', "XLSX_SPARSE"),
        ('<!-- <c r="A1"/> --><c><v>1</v></c>', "SOURCE_UNREADABLE"),
    ],
    ids=[
        "corner",
        "other row",
        "quotes",
        "rows",
        "rows that are only counted",
        "cells that are only counted",
        "comment",
    ],
)
def test_a_small_file_may_not_ask_for_a_large_sheet(tmp_path: Path, cells_: str, code: str) -> None:
    """All cells up to the farthest are laid out in memory, wherever the file says that this one stands."""
    content = with_sheet(f'<sheetData><row r="1">{cells_}</row></sheetData>')
    found = refused(tmp_path, content)
    assert found.code == code
    if code == "XLSX_SPARSE" and "XFD" in cells_:
        assert "XFD1048576" in found.text("zh")
