"""Columns of numbers as columns of text, in any encoding, without a loop over rows.

A cell is a list of pieces, each a column of fixed-width bytes padded with zero bytes; `written` lays the pieces of all cells
of a file side by side and drops the padding. No encoding used here has a zero byte inside a character.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from simulations.cities.streams import Booleans
from simulations.cities.terms import CODES, Column

Piece: TypeAlias = npt.NDArray[np.bytes_]
Cell: TypeAlias = list[Piece | bytes]

_UNPADDED: Final = np.array([str(number) for number in range(1000)], dtype="S3")
_PADDED: Final = np.array([f"{number:03d}" for number in range(1000)], dtype="S3")
_LEADING: Final = np.concatenate([[b""], _UNPADDED[1:], _PADDED]).astype("S3")  # nothing before the first digit
_LAST: Final = np.concatenate([_UNPADDED, _PADDED])
_HUNDREDTHS: Final = np.array([f".{number:02d}" for number in range(100)], dtype="S3")


def whole(column: npt.NDArray[np.integer[Any]], separator: bytes = b"") -> Cell:
    """Whole numbers >= 0 in decimal digits; `separator` between groups of three."""
    number = column.astype(np.int64)
    most, groups = int(number.max(initial=0)), 1
    while most >= 1000**groups:
        groups += 1
    cell: Cell = []
    for place in range(groups - 1, 0, -1):
        above = number // 1000 ** (place + 1) > 0
        cell.append(_LEADING[number // 1000**place % 1000 + 1000 * above])
        if separator:
            cell.append(np.where(number >= 1000**place, separator, b""))
    cell.append(_LAST[number % 1000 + 1000 * (number >= 1000)])
    return cell


def yuan(fen: Column, separator: bytes = b"") -> Cell:
    """Fen >= 0 as yuan with two decimals."""
    return [*whole(fen // 100, separator), _HUNDREDTHS[fen % 100]]


def fixed(column: Column, places: int) -> Cell:
    """Whole numbers of the unit 10^-places as decimals with so many places, below zero too: -1205 with 2 places is `-12.05`."""
    size = np.abs(column.astype(np.int64))
    cell: Cell = [np.where(column < 0, b"-", b""), *whole(size // 10**places)]
    rest = size % 10**places
    for done in range(0, places, 3):
        width = min(3, places - done)
        digits = np.array([f"{number:0{width}d}" for number in range(10**width)], dtype=f"S{width}")
        cell += [*([] if done else [b"."]), digits[rest // 10 ** (places - done - width) % 10**width]]
    return cell


def ten_thousand_yuan(yuan_whole: Column) -> Cell:
    """Whole yuan as 万元 with four decimals."""
    rest = yuan_whole % 10_000
    tenths = np.array([str(number) for number in range(10)], dtype="S1")
    return [*whole(yuan_whole // 10_000), b".", tenths[rest // 1000], _PADDED[rest % 1000]]


def coded(variable: str, column: Column, labels: Mapping[str, str], encoding: str) -> Cell:
    """The local text of each code."""
    texts = [labels.get(code, "").encode(encoding) for code in CODES[variable]]
    return [np.array(texts, dtype=np.bytes_)[column]]


def listed(column: Column, labels: Sequence[str], encoding: str) -> Cell:
    """The local text at each position."""
    return [np.array([label.encode(encoding) for label in labels], dtype=np.bytes_)[column]]


def calendar(days: Column) -> tuple[Column, Column, Column]:
    """Year, month and day of days since 1970-01-01."""
    at = days.astype("datetime64[D]")
    months = at.astype("datetime64[M]")
    year = at.astype("datetime64[Y]").astype(np.int64) + 1970
    return year, months.astype(np.int64) % 12 + 1, (at - months).astype(np.int64) + 1


def date(days: Column, before_month: bytes, before_day: bytes, after: bytes = b"", two_digits: bool = True) -> Cell:
    """Dates with what stands before month and day: `2021-08-16`, `20210816`, `2021/8/16`, `2021年8月16日`."""
    year, month, day = calendar(days)
    digits = np.array([f"{number:02d}" if two_digits else str(number) for number in range(32)], dtype="S2")
    return [*whole(year, b""), before_month, digits[month], before_day, digits[day], after]


def full_width(cell: Cell, rows: Booleans) -> Cell:
    """ASCII digits as full-width digits (utf-8) in some rows."""
    wide = np.zeros((256, 3), dtype=np.uint8)
    wide[:, 0] = np.arange(256)
    for digit in range(10):
        wide[ord("0") + digit] = list(chr(0xFF10 + digit).encode())
    changed: Cell = []
    for piece in cell:
        column = np.full(len(rows), piece) if isinstance(piece, bytes) else piece
        bytes_of = column.view(np.uint8).reshape(len(rows), -1)
        widened = np.ascontiguousarray(wide[bytes_of].reshape(len(rows), -1))
        changed.append(np.where(rows, widened.view(f"S{widened.shape[1]}").ravel(), column))
    return changed


def unless(missing: Booleans, instead: Piece | bytes, cell: Cell) -> Cell:
    """The cell, or `instead` where missing."""
    return [np.where(missing, instead if place == 0 else b"", piece) for place, piece in enumerate(cell)]


def quoted(cell: Cell) -> Cell:
    """In double quotes; no local text of these cities holds one."""
    return [b'"', *cell, b'"']


def written(columns: Mapping[str, Cell], rows: int, encoding: str, separator: bytes, newline: bytes) -> bytes:
    """A file with a header: the cells of each row with separators between them."""
    marks = b"\xef\xbb\xbf" if encoding == "utf-8-sig" else b""
    plain = "utf-8" if encoding == "utf-8-sig" else encoding
    header = separator.join(name.encode(plain) for name in columns) + newline
    pieces: list[Piece | bytes] = []
    for place, cell in enumerate(columns.values()):
        pieces += [separator, *cell] if place else cell
    return marks + header + laid([*pieces, newline], rows)


def laid(cell: Cell, rows: int) -> bytes:
    """Pieces side by side in each row, row after row, without their padding."""
    pieces = [piece for piece in cell if len(piece)]
    widths = [len(piece) if isinstance(piece, bytes) else piece.itemsize for piece in pieces]
    side_by_side = np.zeros((rows, sum(widths)), dtype=np.uint8)
    at = 0
    for piece, width in zip(pieces, widths, strict=True):
        column = (
            np.frombuffer(piece, np.uint8) if isinstance(piece, bytes) else piece.view(np.uint8).reshape(rows, width)
        )
        side_by_side[:, at : at + width] = column
        at += width
    return side_by_side.tobytes().translate(None, b"\0")
