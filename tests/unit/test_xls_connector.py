"""Old workbooks (`.xls`): read by calamine, and asked for what calamine does not say: errors, macros, passwords."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from node.connectors import xls
from protocols.errors import ConfigError
from tests.unit.city_folder import HEAD, cells, fault, folder, run, variables
from tests.unit.test_xlsx_connector import opened as opened_as_xlsx

SOURCE: Final = (
    HEAD + "sources: {main: {kind: xls, files: data/a.xls, sheet: 明细}}\ntables: {t: {source: main, key: 账号}}\n"
)
ERRORS: Final = {said: number for number, said in xls.ERRORS.items()}
SECTOR: Final = 512


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def wide(text: str) -> bytes:
    return struct.pack("<HB", len(text), 1) + text.encode("utf-16-le")


def cell(row: int, column: int, value: Any) -> bytes:
    at = struct.pack("<HHH", row, column, 0)
    match value:
        case str() if value.startswith("="):  # a formula that came to an error
            result = struct.pack("<BBBBBBH", 2, 0, ERRORS[value[1:]], 0, 0, 0, 0xFFFF)
            return record(xls.FORMULA, at + result + struct.pack("<HIH", 0, 0, 0))
        case str() if value in ERRORS:
            return record(xls.BOOLERR, at + bytes((ERRORS[value], 1)))
        case str():
            return record(0x0204, at + wide(value))
        case bool():
            return record(xls.BOOLERR, at + bytes((value, 0)))
    return record(0x0203, at + struct.pack("<d", value))


def stream(sheets: Mapping[str, Any], locked: bool = False) -> bytes:
    """The records of a workbook (BIFF8)."""
    bof = struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0)
    lock = record(xls.FILEPASS, struct.pack("<HHH", 1, 1, 1) + bytes(48)) if locked else b""
    names = {name: name.encode("utf-16-le") for name in sheets}
    head = len(record(xls.BOF, bof)) + len(lock) + sum(12 + len(name) for name in names.values()) + 4
    listed, bodies = b"", b""
    for name, rows in sheets.items():
        start = head + len(bodies)
        listed += record(xls.BOUNDSHEET, struct.pack("<IHBB", start, 0, len(name), 1) + names[name])
        written = b"".join(
            cell(row, column, value)
            for row, values in enumerate(rows)
            for column, value in enumerate(values)
            if value is not None
        )
        bodies += record(xls.BOF, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0)) + written + record(xls.EOF, b"")
    return record(xls.BOF, bof) + lock + listed + record(xls.EOF, b"") + bodies


def container(streams: Mapping[str, bytes]) -> bytes:
    """A compound file of 512-byte sectors: table, directory, streams."""
    padded = {name: content.ljust(4096, b"\0") for name, content in streams.items()}  # smaller ones live elsewhere
    sizes = [-(-len(content) // SECTOR) for content in padded.values()]
    directory = -(-128 * (1 + len(padded)) // SECTOR)
    tables = -(-(sum(sizes) + directory + 3) // 128)
    chain = [0xFFFFFFFD] * tables
    for size in (directory, *sizes):
        start = len(chain)
        chain += [*range(start + 1, start + size), 0xFFFFFFFE]
    chain += [0xFFFFFFFF] * (tables * 128 - len(chain))

    def entry(name: str, kind: int, child: int, start: int, size: int, right: int = 0xFFFFFFFF) -> bytes:
        text = name.encode("utf-16-le") + b"\0\0"
        links = struct.pack("<III", 0xFFFFFFFF, right, child)
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBB", len(text), kind, 1)
            + links
            + bytes(36)
            + struct.pack("<IQ", start, size)
        )

    entries, start = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0), tables + directory
    for number, ((name, content), size) in enumerate(zip(padded.items(), sizes, strict=True), 1):
        right = number + 1 if number < len(padded) else 0xFFFFFFFF
        entries += entry(name, 2, 0xFFFFFFFF, start, len(content), right)
        start += size
    header = xls.MAGIC + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, tables, tables, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", *range(tables), *[0xFFFFFFFF] * (109 - tables))
    body = b"".join(content.ljust(-(-len(content) // SECTOR) * SECTOR, b"\0") for content in padded.values())
    return header + struct.pack(f"<{len(chain)}I", *chain) + entries.ljust(directory * SECTOR, b"\0") + body


def book(sheets: Mapping[str, Any], also: Mapping[str, bytes] | None = None, locked: bool = False) -> bytes:
    return container({"Workbook": stream(sheets, locked), **(also or {})})


def opened(place: Path, content: bytes, sheet: str = "明细") -> list[list[str]]:
    return opened_as_xlsx(place, content, kind="xls", sheet=sheet)[1]


ROWS: Final = [["账号", "c", "d"], ["1", 5, True], ["2", 12.5, "#N/A"], [990123456789, "=#REF!", "男"]]


def test_an_old_workbook_gives_the_same_texts(tmp_path: Path) -> None:
    found = opened(tmp_path, book({"说明": [["#NUM!"]], "明细": ROWS}))
    assert found == [["账号", "c", "d"], ["1", "5", "true"], ["2", "12.5", "#N/A"], ["990123456789", "#REF!", "男"]]


def test_a_large_one_spans_many_sectors(tmp_path: Path) -> None:
    rows = [["a", "b"], *([f"行{n}", "#N/A" if n % 100 == 0 else n] for n in range(3000))]
    found = opened(tmp_path, book({"明细": rows}))
    assert [row[1] for row in found[1:]] == ["#N/A" if n % 100 == 0 else str(n) for n in range(3000)]


def test_it_is_read_through_a_mapping_and_faults_have_places(tmp_path: Path) -> None:
    said = SOURCE + variables(amount="from: t.c, unit: 元, unparsed: 'null'")
    place = folder(tmp_path / "good", said, {"data/a.xls": book({"明细": ROWS})})
    assert run(place).counters["amount"].unparsed == 1
    assert sorted(value for value, status in cells(place)["amount"] if status == 0) == [500, 1250]
    strict = folder(tmp_path / "bad", said.replace(", unparsed: 'null'", ""), {"data/a.xls": book({"明细": ROWS})})
    assert "data/a.xls [明细!B4] #REF!" in fault(strict).text("zh")


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (book({"明细": ROWS}), "xlsx", "XLSX_KIND"),
        (book({"明细": ROWS}, {"_VBA_PROJECT_CUR": b"x"}), "xls", "XLSX_MACRO"),
        (book({"明细": ROWS}, locked=True), "xls", "XLSX_ENCRYPTED"),
        (container({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}), "xlsx", "XLSX_ENCRYPTED"),
        (container({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}), "xls", "XLSX_ENCRYPTED"),
        (container({"WordDocument": b"x"}), "xls", "SOURCE_UNREADABLE"),
        (xls.MAGIC, "xls", "SOURCE_UNREADABLE"),
        (xls.MAGIC + b"\xff" * 2000, "xls", "SOURCE_UNREADABLE"),
        (book({"明细": ROWS})[:1500], "xls", "SOURCE_UNREADABLE"),
        (book({"别的": ROWS, "另外": ROWS}), "xls", "XLSX_SHEET"),
        (b"PK\x03\x04", "xls", "XLSX_KIND"),
    ],
)
def test_what_is_not_read_is_told_apart(tmp_path: Path, content: bytes, kind: str, code: str) -> None:
    with pytest.raises(ConfigError) as raised:
        opened_as_xlsx(tmp_path, content, kind=kind, sheet="明细")
    assert raised.value.code == code


def test_a_chain_that_runs_in_a_circle_ends(tmp_path: Path) -> None:
    content = bytearray(book({"明细": ROWS}))
    content[SECTOR + 4 : SECTOR + 8] = struct.pack("<I", 1)  # the directory's sector follows itself
    (tmp_path / "a.xls").write_bytes(content)
    with (tmp_path / "a.xls").open("rb") as file:
        assert not xls.holds(file, xls.MACROS)
        assert set(xls.errors(file, "明细").values()) == {"#N/A", "#REF!"}
