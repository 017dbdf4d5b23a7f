"""What calamine does not say of an old workbook (`.xls`): what it holds besides sheets, and which cells hold error values.

A container of streams (MS-CFB) with the records of the workbook in one of them (MS-XLS, BIFF8). Only whole structures are followed; a chain
that leaves the file or runs in a circle ends where it breaks, and calamine, which reads the same file, has the last word.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED: Final = ("EncryptedPackage", "EncryptionInfo")
MACROS: Final = ("_VBA_PROJECT_CUR", "_VBA_PROJECT", "VBA")
WORKBOOK: Final = ("Workbook", "Book")
LAST: Final = 0xFFFFFFF8  # sectors from here on are no sectors
ENTRY: Final = 128
BOUNDSHEET, BOF, EOF, BOOLERR, FORMULA, FILEPASS = 0x0085, 0x0809, 0x000A, 0x0205, 0x0006, 0x002F
ERRORS: Final = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}


class _Container:
    """The sectors of a compound file, the chains that they form, and what its directory lists: name, first sector and size."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.content = file.read()
        header = self.content[:512].ljust(512, b"\0")
        self.size = 4096 if header[30] == 12 else 512
        directory, following = (struct.unpack_from("<I", header, at)[0] for at in (48, 68))
        tables = list(struct.unpack_from("<109I", header, 76))
        seen: set[int] = set()
        while following < LAST and following not in seen:  # tables of a large file are listed in sectors of their own
            seen.add(following)
            *more, following = struct.unpack(f"<{self.size // 4}I", self.sector(following))
            tables += more
        table = b"".join(self.sector(number) for number in tables if number < LAST)
        self.next = struct.unpack(f"<{len(table) // 4}I", table)
        listed = b"".join(self.chain(directory))
        self.streams = {
            listed[at : at + length].decode("utf-16-le", "replace"): struct.unpack_from("<IQ", listed, at + 116)
            for at in range(0, len(listed) - ENTRY + 1, ENTRY)
            if (length := max(struct.unpack_from("<H", listed, at + 64)[0] - 2, 0)) <= 64
        }

    def sector(self, number: int) -> bytes:
        start = (number + 1) * self.size
        return self.content[start : start + self.size].ljust(self.size, b"\0")

    def chain(self, first: int) -> Iterator[bytes]:
        seen: set[int] = set()
        while first < len(self.next) and first not in seen:
            seen.add(first)
            yield self.sector(first)
            first = self.next[first]


def holds(file: BinaryIO, names: tuple[str, ...]) -> bool:
    """The container lists one of these."""
    return not set(names).isdisjoint(_Container(file).streams)


def locked(file: BinaryIO) -> bool:
    """The workbook wants a password: its records say so before any sheet."""
    for kind, _ in _records(_workbook(file), 0):
        if kind in (FILEPASS, EOF):
            return kind == FILEPASS
    return False


def _workbook(file: BinaryIO) -> bytes:
    """The records of the workbook; nothing if there are none."""
    container = _Container(file)
    first = next((container.streams[name][0] for name in WORKBOOK if name in container.streams), LAST)
    return b"".join(container.chain(first))


def errors(file: BinaryIO, sheet: str) -> dict[tuple[int, int], str]:
    """The error values of a sheet, by row and column from 0."""
    content = _workbook(file)
    at = next((start for name, start in _sheets(content) if name == sheet), len(content))
    found: dict[tuple[int, int], str] = {}
    depth = 0
    for kind, record in _records(content, at):
        depth += (kind == BOF) - (kind == EOF)
        if depth <= 0:
            break
        said = _error(kind, record)
        if said is not None and depth == 1:
            row, column = struct.unpack_from("<HH", record)
            found[row, column] = ERRORS.get(said, "#N/A")
    return found


def _error(kind: int, record: bytes) -> int | None:
    """The number of an error, where a record is one: a cell that holds it, or a formula that came to it."""
    if kind == BOOLERR and len(record) >= 8 and record[7] == 1:
        return record[6]
    if kind == FORMULA and len(record) >= 14 and record[12:14] == b"\xff\xff" and record[6] == 2:
        return record[8]
    return None


def _records(content: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(content):
        kind, size = struct.unpack_from("<HH", content, at)
        yield kind, content[at + 4 : at + 4 + size]
        at += 4 + size


def _sheets(content: bytes) -> Iterator[tuple[str, int]]:
    """Names of sheets, and where their records begin."""
    for kind, record in _records(content, 0):
        if kind == EOF:
            return
        if kind == BOUNDSHEET and len(record) >= 8:
            length, wide = record[6], record[7] & 1
            name = record[8 : 8 + length * (2 if wide else 1)].decode("utf-16-le" if wide else "latin-1", "replace")
            yield name, struct.unpack_from("<I", record)[0]
