"""XLSX and XLS: one sheet of a workbook becomes records of text.

A sheet is read by calamine, which holds all of it in memory (ADR 0019 says how much). Only the columns that a mapping names are written
out, as UTF-8 CSV in the work folder, and from there on the rows go the way of a CSV file.

| cell | text |
|---|---|
| number | with at most 15 digits, as a spreadsheet has it; from 10^15 on, where digits are lost, with an exponent that no rule reads |
| date, time | ISO: `2021-08-16`, `2021-08-16 09:30:00`, `09:30:00` |
| true, false | `true`, `false` |
| error | its own text, `#N/A`, which no rule reads (casts.py) |
| merged | a block that reaches downwards gives its value to each of its rows, in its first column; never to the columns beside it |

Rows without any content are skipped and counted. Everything else is a record, a line of totals too: `rows` of the mapping leaves it out.

Security (threat-model.md T44), before calamine sees a byte: 1. the file is small enough; 2. it is a workbook of the kind that the mapping
says, without password; 3. its entries are few and their stated sizes bounded; 4. none of them holds a program; 5. every entry that it will
see is unpacked once, and is as large as stated; 6. the sheet asks for no more cells than fit in memory, wherever its farthest cell lies.
"""

import csv
import re
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias
from xml.parsers import expat

from node.connectors import Bound, Part, TextTable, Wanted, xls
from node.connectors.csv import MOST_COLUMNS, Records
from node.connectors.files import BLANKS, Found, column_name, trimmed
from protocols.errors import ConfigError, Place

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

MOST_BYTES: Final = 200 << 20
MOST_ENTRIES: Final = 10_000
MOST_UNPACKED: Final = 2 << 30
MOST_RATIO: Final = 200
MOST_ROWS: Final = 1 << 20
MOST_CELLS: Final = 82_000_000  # of the rectangle from A1 to the farthest cell, all of which calamine lays out
PIECE: Final = 4 << 20
ZIP: Final = b"PK\x03\x04"
LOCAL: Final = struct.Struct("<4s5H3I2H")  # local header of a zip entry: name and extra field follow
MACROS: Final = ("vbaproject", "macrosheets/", "vbadata")
MACRO_TYPE: Final = b"macroenabled"


@dataclass(frozen=True)
class Layout:
    """What a mapping says of a workbook. `sheet`: empty where the workbook has one sheet; `header_row`: as the spreadsheet numbers rows."""

    kind: Literal["xlsx", "xls"] = "xlsx"
    sheet: str = ""
    header_row: int = 1


@dataclass(frozen=True)
class Cells:
    """Records written out of one sheet, and where each of them stood there.

    `first`, `shift`: from record `first[i]` on, a record stands `shift[i]` rows below its own number.
    """

    records: Records
    sheet: str
    letters: dict[str, str]
    first: tuple[int, ...]
    shift: tuple[int, ...]

    def sql(self, wanted: Sequence[Wanted], names: Sequence[str], bound: Bound) -> str:
        return self.records.sql(wanted, names, bound)

    def at(self, row: int, column: str) -> str:
        """As the spreadsheet names it: `个人信息!D17`."""
        return f"{self.sheet}!{self.letters[column]}{row + self.shift[bisect_right(self.first, row) - 1]}"


def columns(found: Sequence[Found], layout: Layout) -> tuple[str, ...]:
    """The column names of a source, which all of its files must share.

    Errors: `ConfigError` `XLSX_…`, `SOURCE_HEADER`, `SOURCE_HEADER_DIFFERS`, `SOURCE_COLUMNS`, `SOURCE_UNREADABLE`, `CSV_EMPTY`.
    """
    names: tuple[str, ...] = ()
    for each in found:
        with _opened(each, layout) as sheet:
            names = sheet.shared(names, found[0])
    return names


def open_table(found: Sequence[Found], layout: Layout, needed: Collection[str], work: Path) -> TextTable:
    """The files of a source, ready for DuckDB. Of their columns only those `needed` are written into the folder `work`.

    Errors: as `columns`, and `ConfigError CSV_NO_ROWS`.
    """
    names: tuple[str, ...] = ()
    parts: list[Part] = []
    for each in found:
        with _opened(each, layout) as sheet:
            names = sheet.shared(names, found[0])
            parts.append(sheet.written_out(needed, work))
    return TextTable(names, dict.fromkeys(names, "cells"), tuple(parts))


# --- a workbook that is safe to open

Where: TypeAlias = tuple[int, int]  # row and column of a cell, from 0
Value: TypeAlias = (
    "str | int | float | bool | date | time | timedelta"  # of a cell, as calamine gives it; an empty one is ""
)


@contextmanager
def _opened(found: Found, layout: Layout) -> "Iterator[_Sheet]":
    if found.path.stat().st_size > MOST_BYTES:  # 1
        raise ConfigError("XLSX_SIZE", Place(found.shown), limit=MOST_BYTES >> 20)
    with found.path.open("rb") as file:
        _of_its_kind(file, found, layout)  # 2
        inspected = inspect(file, found) if layout.kind == "xlsx" else None  # 3, 4, 5
        if inspected is None and xls.holds(file, xls.MACROS):  # 4
            raise ConfigError("XLSX_MACRO", Place(found.shown))
        with _readable(found, layout):
            workbook = load_workbook(file)
        with workbook:
            name = _sheet_name(workbook, found, layout)
            errors = xls.errors(file, name) if inspected is None else inspected.errors(name)  # 5, 6
            with _readable(found, layout):
                cells = workbook.get_sheet_by_name(name)
            yield _Sheet(found, layout, cells, errors)


def load_workbook(file: BinaryIO) -> "CalamineWorkbook":
    """By what it holds: by its path calamine would go by the ending."""
    import python_calamine

    file.seek(0)
    return python_calamine.load_workbook(file)


@contextmanager
def _readable(found: Found, layout: Layout) -> Iterator[None]:
    """What calamine cannot read. Its own panics are no Exception; their texts may quote a cell, and are not repeated."""
    import python_calamine

    try:
        yield
    except (python_calamine.CalamineError, OSError, ValueError):
        raise ConfigError("SOURCE_UNREADABLE", Place(found.shown), kind=layout.kind.upper()) from None
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":
            raise
        raise ConfigError("SOURCE_UNREADABLE", Place(found.shown), kind=layout.kind.upper()) from None


def _of_its_kind(file: BinaryIO, found: Found, layout: Layout) -> None:
    start = file.read(8)
    if not start:
        raise ConfigError("CSV_EMPTY", Place(found.shown))
    old = start == xls.MAGIC
    if old and (xls.holds(file, xls.ENCRYPTED) or xls.locked(file)):
        raise ConfigError("XLSX_ENCRYPTED", Place(found.shown))
    kind = "xls" if old else "xlsx" if start.startswith(ZIP) else ""
    if not kind:
        raise ConfigError("XLSX_TEXT", Place(found.shown))
    if kind != layout.kind:
        raise ConfigError("XLSX_KIND", Place(found.shown), found=kind)


def _sheet_name(workbook: "CalamineWorkbook", found: Found, layout: Layout) -> str:
    names = [sheet.name for sheet in workbook.sheets_metadata if sheet.typ == type(sheet.typ).WorkSheet]
    if layout.sheet in names:
        return layout.sheet
    if not layout.sheet and len(names) == 1:
        return names[0]
    raise ConfigError("XLSX_SHEET", Place(found.shown), sheet=layout.sheet or "–", known=", ".join(names) or "–")


# --- 3, 4, 5, 6: a zip archive, without trusting it


@dataclass(frozen=True)
class Inspected:
    """A workbook that was found sound, but for its sheets."""

    file: BinaryIO
    found: Found
    entries: dict[str, zipfile.ZipInfo]

    def errors(self, sheet: str) -> dict[Where, str]:
        """Of a sheet that is sound: its error values, which calamine gives as empty cells.

        Errors: `ConfigError XLSX_BOMB`, `XLSX_ROWS`, `XLSX_SPARSE`, `SOURCE_UNREADABLE`.
        """
        entry = self.entries.get(self._entry_of(sheet))
        if entry is None:
            raise _unreadable(self.found)
        for within in (NARROW, SHORT, None):
            extent = _measured(self.file, entry, self.found, Extent(within))
            if not extent.beyond:
                break
        if extent.faulty and extent.within:
            extent = _measured(self.file, entry, self.found, Extent(None))
        return extent.errors

    def _entry_of(self, sheet: str) -> str:
        """Which entry holds a sheet, as the workbook says."""
        targets: dict[str, str] = {}
        wanted: list[str] = []

        def element(name: str, attributes: dict[str, str]) -> None:
            plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
            if name.endswith("Relationship"):
                targets[plain.get("Id", "")] = plain.get("Target", "")
            elif name.endswith(" sheet") and plain.get("name") == sheet:
                wanted.append(plain.get("id", ""))

        for part in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
            parser = expat.ParserCreate(namespace_separator=" ")
            parser.StartElementHandler = element
            try:
                for piece in unpacked(self.file, self.entries[part], self.found):
                    parser.Parse(piece)
            except (KeyError, expat.ExpatError):
                raise _unreadable(self.found) from None
        target = targets.get(wanted[0], "") if wanted else ""
        return (target.lstrip("/") if target.startswith(("/", "xl/")) else f"xl/{target}").replace("\\", "/").casefold()


def inspect(file: BinaryIO, found: Found) -> Inspected:
    """Everything of a workbook that must be known before it is opened.

    Errors: `ConfigError XLSX_BOMB`, `XLSX_MACRO`, `SOURCE_UNREADABLE`.
    """
    try:
        listed = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        raise _unreadable(found) from None
    size, packed = (sum(getattr(entry, name) for entry in listed) for name in ("file_size", "compress_size"))
    for value, most, zh, en in (  # 3
        (len(listed), MOST_ENTRIES, "个条目", "entries"),
        (size, MOST_UNPACKED, "字节（解压后）", "bytes unpacked"),
        (size // max(packed, 1), MOST_RATIO, "倍（解压后与压缩前之比）", "times its size unpacked"),
    ):
        if value > most:
            raise ConfigError("XLSX_BOMB", Place(found.shown), most=most, zh=zh, en=en)
    entries = {entry.filename.casefold(): entry for entry in listed}
    if any(mark in name for name in entries for mark in MACROS):  # 4
        raise ConfigError("XLSX_MACRO", Place(found.shown))
    if len(entries) < len(listed) or any(entry.flag_bits & 1 for entry in listed):
        raise _unreadable(found)
    for name, entry in entries.items():
        if not _is_sheet(name):
            _measured(file, entry, found, Extent(None))  # 5
    return Inspected(file, found, entries)


def _unreadable(found: Found) -> ConfigError:
    return ConfigError("SOURCE_UNREADABLE", Place(found.shown), kind="XLSX")


def _is_sheet(name: str) -> bool:
    return "worksheets/" in name and name.endswith(".xml")


def _measured(file: BinaryIO, entry: zipfile.ZipInfo, found: Found, extent: "Extent") -> "Extent":
    size, name = 0, entry.filename.casefold()
    for piece in unpacked(file, entry, found):
        size += len(piece)
        if size > entry.file_size:  # 5
            raise ConfigError("XLSX_BOMB", Place(found.shown), most=entry.file_size, zh="字节", en="bytes as stated")
        if name == "[content_types].xml" and MACRO_TYPE in piece.lower():  # 4
            raise ConfigError("XLSX_MACRO", Place(found.shown))
        if _is_sheet(name):
            extent.add(piece)
    if _is_sheet(name) and extent.end():
        raise _unreadable(found)
    if extent.rows > MOST_ROWS:  # 6
        raise ConfigError("XLSX_ROWS", Place(found.shown), limit=MOST_ROWS)
    if extent.rows * extent.columns > MOST_CELLS:  # 6
        cell = f"{letters(extent.columns - 1)}{extent.rows}"
        raise ConfigError("XLSX_SPARSE", Place(found.shown), cell=cell, limit=MOST_CELLS)
    return extent


def unpacked(file: BinaryIO, entry: zipfile.ZipInfo, found: Found) -> Iterator[bytes]:
    """What an entry holds, piece by piece, whatever size it states."""
    file.seek(entry.header_offset)
    header = file.read(LOCAL.size)
    if len(header) < LOCAL.size or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _unreadable(found)
    *_, name, extra = LOCAL.unpack(header)
    file.seek(entry.header_offset + LOCAL.size + name + extra)
    left, inflate = entry.compress_size, zlib.decompressobj(-zlib.MAX_WBITS)
    while left > 0 and (packed := file.read(min(PIECE, left))):
        left -= len(packed)
        if entry.compress_type == zipfile.ZIP_STORED:
            yield packed
            continue
        try:
            while packed and not inflate.eof:
                yield inflate.decompress(packed, PIECE)
                packed = inflate.unconsumed_tail
        except zlib.error:
            raise _unreadable(found) from None


REFERENCE: Final = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{0,3})([0-9]{1,9})[\"']")
ERROR: Final = re.compile(rb"\bt\s*=\s*[\"']e[\"']")
SAID: Final = re.compile(rb"\s*(?:<(?:\w+:)?f[^<]*(?:</(?:\w+:)?f>)?\s*)?<(?:\w+:)?v>\s*(#[^<]{1,20}?)\s*</")


NARROW: Final = rb"(?:[A-Z]|[AB][A-Z])(?:[0-9]{1,6}|10[0-3][0-9]{4})"  # 78 columns, 1,039,999 rows
SHORT: Final = rb"[A-Z]{1,2}[0-9]{1,5}"  # 702 columns, 99,999 rows


class Extent:
    """How far a sheet reaches, in rows and columns, and whether it holds error values; from its XML, piece by piece.

    `within`: what a cell may call itself, which bounds the sheet by fewer than `MOST_CELLS`; no cell is looked at any closer, and `beyond`
    says that one calls itself something else, or nothing. With None every cell is looked at, and `errors` says what stands where.
    """

    def __init__(self, within: bytes | None) -> None:
        self.within, self.rows, self.columns, self.errors = within, 0, 0, dict[Where, str]()
        self.faulty = self.beyond = self._strange = False
        self._rest, self._row, self._column = b"", 0, 0
        self._cell = b""
        self._tags = self._odd = re.compile(b"(?!)")

    def add(self, piece: bytes) -> None:
        """Whole cells are looked at; what is left of the last one waits for the next piece."""
        text = self._rest + piece
        if not self._cell:
            root = re.search(rb"<(\w+:)?worksheet\b", text)
            if not root:
                self._rest = text
                return
            mark = root[1] or b""
            self._cell = b"<" + mark + b"c"
            self._tags = re.compile(b"<" + mark + rb"(row|c)(?![a-zA-Z])([^<>]*)>")
            self._odd = re.compile(self._cell + rb"(?![a-zA-Z])(?! r=\"" + (self.within or b"") + rb"\")")
        cut = text.rfind(self._cell)
        cut = cut if cut > 0 and len(text) - cut < PIECE else max(text.rfind(b"<"), 0)
        self._rest = text[cut:]
        self._look(text[:cut])

    def end(self) -> bool:
        """The last cell; true if these looks may have missed something."""
        self._look(self._rest)
        return self._strange or not self._cell

    def _look(self, text: bytes) -> None:
        self._strange |= b"<!" in text or len(self._rest) > PIECE
        self.faulty = self.faulty or ((b'"e"' in text or b"'e'" in text) and ERROR.search(text) is not None)
        if self.within:
            self.beyond = self.beyond or self._odd.search(text) is not None
            return
        for tag in self._tags.finditer(text):
            said = REFERENCE.search(tag[2])
            if tag[1] == b"row":
                self._row, self._column = int(said[2]) if said else self._row + 1, 0
                continue
            self._column = number(said[1].decode()) if said and said[1] else self._column + 1
            row = int(said[2]) if said else self._row
            self.rows, self.columns = max(self.rows, row), max(self.columns, self._column)
            if ERROR.search(tag[2]):
                value = SAID.match(text, tag.end())
                self.errors[row - 1, self._column - 1] = value[1].decode("utf-8", "replace") if value else "#N/A"


def letters(column: int) -> str:
    """The name of a column, from 0: A, B, …, Z, AA."""
    name = ""
    while column >= 0:
        name, column = chr(ord("A") + column % 26) + name, column // 26 - 1
    return name


def number(name: str) -> int:
    """The number of a column, from 1."""
    place = 0
    for letter in name.upper():
        place = place * 26 + ord(letter) - ord("A") + 1
    return place


# --- a sheet


def text_of(value: Value) -> str:
    """The text of a cell."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value)
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
    raise TypeError(value)


def _number(value: float) -> str:
    if not isfinite(value):
        return str(value)
    if abs(value) >= 1e15:
        return f"{value:.14e}"
    if value == int(value):
        return str(int(value))
    short = f"{value:.15g}"
    return format(Decimal(short), "f") if "e" in short else short


class _Sheet:
    """One sheet: its header, and its rows as records."""

    def __init__(self, found: Found, layout: Layout, cells: "CalamineSheet", errors: dict[Where, str]) -> None:
        self.found, self.layout, self.cells = found, layout, cells
        self.left = cells.start[1] if cells.start else 0  # the first column that calamine gives
        self.errors: dict[int, list[tuple[int, str]]] = {}
        for (row, column), said in errors.items():
            self.errors.setdefault(row, []).append((column - self.left, said))
        self.merged = cells.merged_cell_ranges or []
        self.columns = self._columns()

    def place(self, row: int = 0, column: int | None = None) -> Place:
        """This sheet, one of its rows (from 1), or a cell of that row."""
        cell = f"!{letters(column + self.left) if column is not None else ''}{row}" if row else ""
        return Place(self.found.shown, 0, self.cells.name + cell)

    def rows(self) -> "Iterator[list[Value]]":
        """All rows from the first of the sheet on, with error values in their places."""
        for number, row in enumerate(self.cells.iter_rows()):
            for column, said in self.errors.get(number, ()):
                if 0 <= column < len(row):  # an error alone at the edge lies beyond what calamine gives
                    row[column] = said
            yield row

    def _columns(self) -> dict[str, int]:
        """Column names as names are compared, with their places."""
        head = self.layout.header_row
        top = list(islice(self.rows(), head))
        if len(top) < head:
            raise ConfigError("CSV_EMPTY", self.place())
        named = list(top[-1])
        if len(named) > MOST_COLUMNS:
            raise ConfigError("SOURCE_COLUMNS", self.place(head), limit=MOST_COLUMNS)
        for (first, column), (last, _) in self.merged:
            if first < head - 1 <= last:
                named[column - self.left] = top[first][column - self.left]
        columns: dict[str, int] = {}
        nameless: list[int] = []
        for place, value in enumerate(named):
            name = column_name(text_of(value))
            if name in columns:
                raise ConfigError("SOURCE_HEADER", self.place(head, place), column=letters(place + self.left))
            if name:
                columns[name] = place
            else:
                nameless.append(place)
        if not columns:
            raise ConfigError("CSV_EMPTY", self.place(head))
        for row in islice(self.rows(), head, None) if nameless else ():
            for place in nameless:  # a gap between columns is none; values without a name are
                if row[place] != "":
                    raise ConfigError("SOURCE_HEADER", self.place(head, place), column=letters(place + self.left))
        return columns

    def shared(self, names: tuple[str, ...], first: Found) -> tuple[str, ...]:
        """Its column names, which must be those of the first file."""
        if names and set(names) != set(self.columns):
            raise ConfigError("SOURCE_HEADER_DIFFERS", self.place(self.layout.header_row), other=first.shown)
        return names or tuple(self.columns)

    def written_out(self, needed: Collection[str], work: Path) -> Part:
        """The records, in a form that leaves nothing open: every field in quotes, every record ended by LF."""
        copy = work / f"sheet-{len(list(work.iterdir()))}.csv"
        names = [name for name in self.columns if name in needed] or list(self.columns)[:1]
        places = [self.columns[name] for name in names]
        blocks = self._blocks(places)
        standing: dict[
            int, tuple[int, str]
        ] = {}  # by field: the last row of the block that it is in, and the block's text
        record, blank, filled = 0, 0, 0
        first, shift = list[int](), list[int]()
        with copy.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(names)
            for at, row in enumerate(self.rows()):
                if at < self.layout.header_row:
                    continue
                values = [row[place] for place in places]
                texts = [value if type(value) is str else text_of(value) for value in values]
                for field, last in blocks.get(at, ()):
                    standing[field] = last, texts[field]
                if not "".join(texts).strip(BLANKS) and all(type(v) is str and not trimmed(v) for v in row):
                    blank += 1
                    continue
                for field, (last, said) in tuple(standing.items()):
                    if at > last:
                        del standing[field]
                    elif not texts[field] and said:
                        texts[field], filled = said, filled + 1
                record += 1
                if not shift or shift[-1] != at + 1 - record:
                    first.append(record)
                    shift.append(at + 1 - record)
                writer.writerow(texts)
        if not record:
            raise ConfigError("CSV_NO_ROWS", self.place())
        records = Records(copy, tuple(names), ",", 1, newline_in_quotes=True)
        names_of = {name: letters(self.columns[name] + self.left) for name in names}
        cells = Cells(records, self.cells.name, names_of, tuple(first), tuple(shift))
        return Part(self.found.shown, record, cells, blank, filled)

    def _blocks(self, places: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
        """Merged blocks that begin below the header and reach downwards, by first row: the field, and the last row."""
        fields = {place + self.left: field for field, place in enumerate(places)}
        blocks: dict[int, list[tuple[int, int]]] = {}
        for (first, column), (last, _) in self.merged:
            if column in fields and self.layout.header_row <= first < last:
                blocks.setdefault(first, []).append((fields[column], last))
        return blocks
