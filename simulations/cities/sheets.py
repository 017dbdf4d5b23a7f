"""Columns of text as sheets of a workbook (ECMA-376), block by block: the same columns give the same bytes.

XlsxWriter writes a cell at a time, and the two cities that keep workbooks have a million and a half of them (ADR 0020). Here the cells of
a row are pieces of text laid side by side, as in `text.py`; what is written holds no markup of its own, which is checked.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from simulations.cities import text
from simulations.cities.terms import Column
from simulations.cities.text import Cell

BLOCK: Final = 4096  # rows laid out at a time
LEVEL: Final = 1
DAY_ONE: Final = (1980, 1, 1, 0, 0, 0)  # of every entry: a zip file knows no earlier day
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
TYPES: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


@dataclass(frozen=True)
class Sheet:
    """One sheet. `top`: the rows above the data, from row 1 on, the last of them the header; an empty text is no cell.

    `rows`: the row of the sheet that each record stands on. `numbers`: places of columns whose cells are numbers; all others are text.
    `merged`: blocks, as `A1:C1`. `bottom`: the cells of one more row, after the last.
    """

    name: str
    top: tuple[tuple[str, ...], ...]
    columns: tuple[Cell, ...]
    rows: Column
    numbers: frozenset[int] = frozenset()
    merged: tuple[str, ...] = ()
    bottom: tuple[str, ...] = ()


def write_workbook(sheets: Sequence[Sheet], path: Path) -> None:
    """One file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, content in _frame(sheets):
            archive.writestr(_entry(name), (HEAD + content).encode(), compresslevel=LEVEL)
        for number, sheet in enumerate(sheets, 1):
            with archive.open(_entry(f"xl/worksheets/sheet{number}.xml"), "w") as out:
                for piece in _xml(sheet):
                    out.write(piece)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DAY_ONE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 0  # the same on every system
    return entry


def _frame(sheets: Sequence[Sheet]) -> Iterator[tuple[str, str]]:
    """Everything but the sheets."""
    numbers = range(1, len(sheets) + 1)
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{TYPES}.worksheet+xml"/>'
        for number in numbers
    )
    yield (
        "[Content_Types].xml",
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPES}.sheet.main+xml"/>{types}</Types>',
    )
    yield (
        "_rels/.rels",
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
    )
    listed = "".join(
        f'<sheet name="{escape(sheet.name)}" sheetId="{number}" r:id="rId{number}"/>'
        for number, sheet in zip(numbers, sheets, strict=True)
    )
    yield "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
    related = "".join(
        f'<Relationship Id="rId{number}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    yield "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{related}</Relationships>'


def _xml(sheet: Sheet) -> Iterator[bytes]:
    yield f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData>'.encode()
    for number, cells in enumerate(sheet.top, 1):
        yield _row(number, cells)
    for start in range(0, len(sheet.rows), BLOCK):
        yield _block(sheet, slice(start, start + BLOCK))
    last = int(sheet.rows[-1]) if len(sheet.rows) else len(sheet.top)
    if sheet.bottom:
        yield _row(last + 1, sheet.bottom)
    merged = "".join(f'<mergeCell ref="{block}"/>' for block in sheet.merged)
    yield b"</sheetData>"
    if merged:
        yield f'<mergeCells count="{len(sheet.merged)}">{merged}</mergeCells>'.encode()
    yield b"</worksheet>"


def _row(number: int, cells: Sequence[str]) -> bytes:
    written = "".join(
        f'<c r="{letters(place)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        for place, cell in enumerate(cells)
        if cell
    )
    return f'<row r="{number}">{written}</row>'.encode()


def _block(sheet: Sheet, at: slice) -> bytes:
    number = text.whole(sheet.rows[at])
    row: Cell = [b'<row r="', *number, b'">']
    for place, cell in enumerate(sheet.columns):
        part = [piece if isinstance(piece, bytes) else piece[at] for piece in cell]
        if any((b"<" in piece or b"&" in piece) if isinstance(piece, bytes) else _marked(piece) for piece in part):
            raise ValueError("a text that holds markup")
        before, after = (b"<v>", b"</v></c>") if place in sheet.numbers else (b"<is><t>", b"</t></is></c>")
        kind = b'">' if place in sheet.numbers else b'" t="inlineStr">'
        row += [b'<c r="' + letters(place).encode(), *number, kind + before, *part, after]
    return text.laid([*row, b"</row>"], len(sheet.rows[at]))


def _marked(piece: text.Piece) -> bool:
    content = piece.tobytes()
    return b"<" in content or b"&" in content


def letters(place: int) -> str:
    """The name of a column, from 0: A, …, Z, AA."""
    return (letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)
