"""CSV: bytes become text under a named encoding, then records, then text columns.

Decode first, split second: a trail byte of GB18030 may be a backslash, a vertical bar or a digit. DuckDB only ever sees UTF-8.

Every look at a file goes piece by piece (4 MiB), so that memory does not grow with it:
1. which encoding, strictly and over the whole file, where the mapping names none;
2. the header;
3. where the file is GB18030, or something stands above its header: written out as UTF-8 from the header on, in the work folder;
4. every byte counted: records, fields, line ends, the longest record. A file whose counts do not fit its header is read once more,
   record by record, which either finds the record at fault or writes the same records out plainly.
"""

# ruff: noqa: S608 statements are made of quoted identifiers, names made here and bound values only (threat-model.md T46)

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TextIO

import numpy as np
import numpy.typing as npt

from node.connectors import Bound, Part, TextTable, Wanted
from node.connectors.files import Found, column_name
from protocols.errors import ConfigError, Place

Encoding = Literal["utf-8", "utf-8-sig", "gb18030"]
PIECE: Final = 4 << 20
MOST_LINE: Final = 1 << 20
MOST_COLUMNS: Final = 2_000
BOM: Final = codecs.BOM_UTF8
PACKED: Final = (b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # gzip, zip and XLSX, XLS
UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
QUOTE, LF, CR = ord('"'), ord("\n"), ord("\r")


@dataclass(frozen=True)
class Dialect:
    """What a mapping says of a CSV source. `encoding`: empty where it is to be detected; `header_row` counts records from 1."""

    encoding: Literal["", "utf-8", "utf-8-sig", "gb18030"] = ""
    delimiter: str = ","
    header_row: int = 1


@dataclass(frozen=True)
class Records:
    """How DuckDB reads one file of UTF-8 text whose first record is the header, on line `line` of the user's file."""

    path: Path
    header: tuple[str, ...]
    delimiter: str
    line: int
    newline_in_quotes: bool

    def sql(self, wanted: Sequence[Wanted], names: Sequence[str], bound: Bound) -> str:
        """Columns go by their place, so that no text of the file ever stands in a statement."""
        spec = {f"c{place}": "VARCHAR" for place in range(len(self.header))}
        places = [self.header.index(want.column) for want in wanted]
        chosen = ", ".join(f"c{place} AS {name}" for place, name in zip(places, names, strict=True))
        options = (
            f"columns = {bound.bind(spec)}, delim = {bound.bind(self.delimiter)}, max_line_size = {MOST_LINE}, "
            "auto_detect = false, header = true, quote = '\"', escape = '\"', strict_mode = true, null_padding = false, "
            f"ignore_errors = false, comment = '', parallel = {'false' if self.newline_in_quotes else 'true'}"
        )
        return f"SELECT {chosen} FROM read_csv({bound.bind(str(self.path))}, {options})"

    def at(self, row: int, column: str) -> str:
        del column
        return str(row)


def columns(found: Sequence[Found], dialect: Dialect) -> tuple[str, ...]:
    """The column names of a source, which all of its files must share. Reads no rows but to find the encoding."""
    return _heads(found, [encoding_of(each, dialect.encoding) for each in found], dialect)[0].names


def open_table(found: Sequence[Found], dialect: Dialect, work: Path) -> TextTable:
    """The files of a source, ready for DuckDB; what has to be written anew goes into the folder `work`."""
    encodings = [encoding_of(each, dialect.encoding) for each in found]
    heads = _heads(found, encodings, dialect)
    parts = tuple(ready(*each, dialect.delimiter, work) for each in zip(found, encodings, heads, strict=True))
    names = heads[0].names
    return TextTable(names, dict.fromkeys(names, "text"), parts, ", ".join(sorted(set(encodings))))


def _heads(found: Sequence[Found], encodings: "Sequence[Encoding]", dialect: Dialect) -> "list[Header]":
    heads = [header(each, encoding, dialect) for each, encoding in zip(found, encodings, strict=True)]
    for each, head in zip(found, heads, strict=True):
        if head.names != heads[0].names:
            raise ConfigError("SOURCE_HEADER_DIFFERS", Place(each.shown, head.line), other=found[0].shown)
    return heads


# --- 1. which encoding


def encoding_of(found: Found, declared: str) -> Encoding:
    """The encoding of a file: the declared one, or the first that fits all of it: BOM, UTF-8, else GB18030 (proved on decoding).

    Errors: `ConfigError CSV_UTF16`, `CSV_PACKED`, `CSV_ENCODING_UNSURE`, `CSV_EMPTY`.
    """
    with found.path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise ConfigError("CSV_EMPTY", Place(found.shown))
    if start.startswith(UTF16):
        raise ConfigError("CSV_UTF16", Place(found.shown))
    if start.startswith(PACKED):
        raise ConfigError("CSV_PACKED", Place(found.shown))
    match declared:
        case "utf-8" | "utf-8-sig" | "gb18030":
            return declared
    if start.startswith(BOM):
        return "utf-8-sig"
    decode = codecs.getincrementaldecoder("utf-8")("strict").decode
    ascii_only = thin = True
    try:
        for piece in pieces(found.path):
            if not piece.isascii():
                ascii_only = False
                thin = thin and max(piece) < 0xE0  # no first byte of a character above U+07FF
            decode(piece)
        decode(b"", True)
    except UnicodeDecodeError:
        return "gb18030"
    if not ascii_only and thin and _decodes(found.path, "gb18030"):
        raise ConfigError("CSV_ENCODING_UNSURE", Place(found.shown))
    return "utf-8"


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, `PIECE` at a time."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _decodes(path: Path, encoding: Encoding) -> bool:
    decode = codecs.getincrementaldecoder(encoding)("strict").decode
    try:
        for piece in pieces(path):
            decode(piece)
        decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


# --- 2. the header


@dataclass(frozen=True)
class Header:
    """Column names as names are compared; how many bytes of UTF-8 stand before the header, and on which line it begins."""

    names: tuple[str, ...]
    before: int
    line: int


def header(found: Found, encoding: Encoding, dialect: Dialect) -> Header:
    """The names of the columns.

    Errors: `ConfigError SOURCE_HEADER`, `SOURCE_COLUMNS`, `CSV_LINE`, `CSV_QUOTE`, `CSV_ENCODING`, `CSV_EMPTY`.
    """
    with _text(found.path, encoding) as text:
        lines = _Lines(text, found.shown)
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
        before, line, record = 0, 1, list[str]()
        try:
            for _ in range(dialect.header_row):
                before, line = lines.size, lines.number + 1
                record = next(reader)
        except StopIteration:
            raise ConfigError("CSV_EMPTY", Place(found.shown)) from None
        except UnicodeDecodeError:
            raise undecodable(found, encoding) from None
        except csv.Error:
            raise ConfigError("CSV_QUOTE", Place(found.shown, line)) from None
    names = tuple(column_name(cell) for cell in record)
    if len(names) > MOST_COLUMNS:
        raise ConfigError("SOURCE_COLUMNS", Place(found.shown, line), limit=MOST_COLUMNS)
    for position, name in enumerate(names or ("",)):
        if not name or name in names[:position]:
            raise ConfigError("SOURCE_HEADER", Place(found.shown, line), column=position + 1)
    return Header(names, before, line)


def _text(path: Path, encoding: Encoding) -> TextIO:
    """The file as strict text with its line ends kept. A BOM of UTF-8 is no part of it, whatever the mapping calls the encoding."""
    return path.open(encoding="gb18030" if encoding == "gb18030" else "utf-8-sig", newline="")


class _Lines:
    """The lines of a text, none longer than `MOST_LINE` characters, and how far it has been read: lines, and bytes as UTF-8."""

    def __init__(self, text: TextIO, shown: str) -> None:
        self.text, self.shown, self.number, self.size = text, shown, 0, 0

    def __iter__(self) -> Iterator[str]:
        while line := self.text.readline(MOST_LINE + 1):
            self.number += 1
            if len(line) > MOST_LINE:
                raise ConfigError("CSV_LINE", Place(self.shown, self.number), limit=MOST_LINE)
            self.size += len(line.encode())
            yield line


# --- 3. UTF-8 from the header on


def undecodable(found: Found, encoding: Encoding) -> ConfigError:
    """Where the first byte stands that the encoding does not know."""
    decoder = codecs.getincrementaldecoder("gb18030" if encoding == "gb18030" else "utf-8")("strict")
    read, piece = 0, b""
    try:
        for piece in chain(pieces(found.path), [b""]):
            decoder.decode(piece, final=not piece)
            read += len(piece)
    except UnicodeDecodeError as fault:
        read += fault.start - (
            len(fault.object) - len(piece)
        )  # the object begins with what was left of the piece before
    return ConfigError("CSV_ENCODING", Place(found.shown, line_at(found.path, read)), encoding=encoding, offset=read)


def line_at(path: Path, offset: int) -> int:
    """The line, from 1, that holds the byte at `offset`. Line feeds are no part of a longer character, in UTF-8 and GB18030."""
    line, left = 1, offset
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(PIECE, left))):
            line, left = line + (piece.count(b"\n") or piece.count(b"\r")), left - len(piece)
    return line


def _written_out(found: Found, encoding: Encoding, head: Header, work: Path) -> Path:
    """A copy in UTF-8, without what stands before the header."""
    copy = _fresh(work)
    decoder = codecs.getincrementaldecoder("gb18030" if encoding == "gb18030" else "utf-8-sig")("strict")
    skip = head.before
    with copy.open("wb") as out:
        try:
            for piece in chain(pieces(found.path), [b""]):
                text = decoder.decode(piece, final=not piece).encode()
                out.write(text[skip:])
                skip = max(0, skip - len(text))
        except UnicodeDecodeError:
            raise undecodable(found, encoding) from None
    return copy


def _fresh(work: Path) -> Path:
    return work / f"text-{len(list(work.iterdir()))}.csv"


# --- 4. every byte counted


class Counts:
    """What one pass over UTF-8 text counts. Line ends and delimiters inside quotes belong to a field and are not counted.

    A record is what stands between two line ends, if anything does: empty lines are none. Both bytes of CRLF end a record, the second
    with nothing before it, so that LF, CRLF and CR are counted by one rule.
    """

    def __init__(self, delimiter: str) -> None:
        self.delimiter = ord(delimiter)
        self.records = self.delimiters = self.lf = self.cr = self.crlf = 0
        self.newline_in_quotes = False
        self.longest, self.longest_at = 0, 0
        self._size = self._start = self._open = 0  # bytes seen, where the present record began, 1 while a quote is open
        self._after_cr = False

    def add(self, piece: bytes) -> None:
        marks = np.frombuffer(piece, dtype=np.uint8)
        lf, cr = marks == LF, marks == CR
        if self._open or b'"' in piece:
            inside = (np.bitwise_xor.accumulate((marks == QUOTE).view(np.uint8)) ^ np.uint8(self._open)).view(np.bool_)
            self._open = int(inside[-1])
            self.newline_in_quotes |= bool(((lf | cr) & inside).any())
            lf, cr = lf & ~inside, cr & ~inside
            self.delimiters += int(((marks == self.delimiter) & ~inside).sum())
        else:
            self.delimiters += piece.count(self.delimiter)
        self.lf += int(lf.sum())
        self.cr += int(cr.sum())
        self.crlf += int((lf[1:] & cr[:-1]).sum()) + int(self._after_cr and bool(lf[0]))
        self._after_cr = bool(cr[-1])
        self._ended(np.flatnonzero(lf | cr) + self._size)
        self._size += len(piece)
        self._length(self._size - self._start, self._start)

    def _ended(self, ends: npt.NDArray[np.int64]) -> None:
        if len(ends):
            lengths = np.diff(ends, prepend=self._start - 1) - 1
            self.records += int((lengths > 0).sum())
            at = int(lengths.argmax())
            self._length(int(lengths[at]), int(ends[at] - lengths[at]))
            self._start = int(ends[-1]) + 1

    def _length(self, length: int, at: int) -> None:
        if length > self.longest:
            self.longest, self.longest_at = length, at

    def end(self) -> None:
        """The last record may lack its line end."""
        self.records += self._size > self._start

    def regular(self, width: int) -> bool:
        """As many delimiters as that many records of `width` fields have, one kind of line end, no quote left open."""
        kinds = (self.crlf > 0) + (self.lf > self.crlf) + (self.cr > self.crlf)
        return not self._open and kinds <= 1 and self.delimiters == self.records * (width - 1)


def ready(found: Found, encoding: Encoding, head: Header, delimiter: str, work: Path) -> Part:
    """A file that DuckDB can read: itself if it is regular UTF-8 with its header on top, else a copy in the folder `work`.

    Errors: `ConfigError CSV_ENCODING`, `CSV_NUL`, `CSV_LINE`, `CSV_NO_ROWS`, `CSV_RAGGED`, `CSV_QUOTE`.
    """
    copied = encoding == "gb18030" or head.before > 0
    path = _written_out(found, encoding, head, work) if copied else found.path
    counts = _counted(path, found, encoding, delimiter)
    first = head.line if copied else 1
    if counts.longest > MOST_LINE:
        line = line_at(path, counts.longest_at) + first - 1
        raise ConfigError("CSV_LINE", Place(found.shown, line), limit=MOST_LINE)
    if counts.records <= 1:
        raise ConfigError("CSV_NO_ROWS", Place(found.shown))
    records = Records(path, head.names, delimiter, first, counts.newline_in_quotes)
    part = Part(found.shown, counts.records - 1, records)
    return part if counts.regular(len(head.names)) else plain(part, work)


def _counted(path: Path, found: Found, encoding: Encoding, delimiter: str) -> Counts:
    counts, decoder, read = Counts(delimiter), codecs.getincrementaldecoder("utf-8")("strict"), 0
    try:
        for piece in pieces(path):
            if b"\0" in piece:
                at = read + piece.index(b"\0")
                raise ConfigError("CSV_NUL", Place(found.shown, line_at(path, at)), offset=at)
            decoder.decode(piece)
            counts.add(piece)
            read += len(piece)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        raise undecodable(found, encoding) from None
    counts.end()
    return counts


def plain(part: Part, work: Path) -> Part:
    """The same records in a form that leaves nothing open: every field in quotes, every record ended by LF.

    Errors: `ConfigError CSV_RAGGED`, `CSV_QUOTE`, with the record at fault.
    """
    records = part.select
    if not isinstance(records, Records):
        raise TypeError(records)
    copy, width, row, line = _fresh(work), len(records.header), -1, 1
    with _text(records.path, "utf-8") as text, copy.open("w", encoding="utf-8", newline="") as out:
        lines = _Lines(text, part.shown)
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        try:
            for record in csv.reader(lines, delimiter=records.delimiter, strict=True):
                row += bool(record)
                if record and len(record) != width:
                    at = Place(part.shown, line + records.line - 1)
                    raise ConfigError("CSV_RAGGED", at, row=max(row, 0), found=len(record), expected=width)
                if record:
                    writer.writerow(record)
                line = lines.number + 1
        except csv.Error:
            raise ConfigError("CSV_QUOTE", Place(part.shown, line + records.line - 1)) from None
    return Part(part.shown, row, Records(copy, records.header, ",", records.line, newline_in_quotes=True))
