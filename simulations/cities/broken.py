"""City folders with one thing wrong, as it happens: `cities OUT --broken KIND` (section 6). Each ends in a typed error, or is counted."""

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from simulations.cities.parquet import connection

GB18030: Final = "gb18030"
CRLF: Final = b"\r\n"


@dataclass(frozen=True)
class Broken:
    """What is done to the data folder of one city, and the code of the error that follows; "" where it is counted, and no error."""

    city: str
    code: str
    done: Callable[[Path], None]


def _csv(data: Path) -> Path:
    return next(iter(sorted(data.glob("*.csv"))))


def _packed(data: Path) -> None:
    """A gzip file under the name of the CSV file, cut off half-way."""
    content = gzip.compress(_csv(data).read_bytes(), mtime=0)
    _csv(data).write_bytes(content[: len(content) // 2])


def _encoding(data: Path) -> None:
    """Written in GB18030, while the mapping says UTF-8."""
    path = _csv(data)
    path.write_bytes(path.read_text("utf-8-sig").encode(GB18030))


def _column(data: Path) -> None:
    """The column 年龄 is gone."""
    path = _csv(data)
    lines = path.read_bytes().split(CRLF)
    place = lines[0].decode(GB18030).split(",").index("年龄")
    path.write_bytes(CRLF.join(_without(line, place) for line in lines))


def _without(line: bytes, place: int) -> bytes:
    fields = line.split(b",")
    return b",".join(fields[:place] + fields[place + 1 :])


def _shifted(data: Path) -> None:
    """One record in the middle lacks a field, so that all that follow stand one place to the left."""
    path = _csv(data)
    lines = path.read_bytes().split(CRLF)
    middle = len(lines) // 2
    lines[middle] = _without(lines[middle], 5)
    path.write_bytes(CRLF.join(lines))


def _header(data: Path) -> None:
    """The header once more in the middle, as after joining two exports."""
    path = _csv(data)
    lines = path.read_bytes().split(CRLF)
    lines.insert(len(lines) // 2, lines[0])
    path.write_bytes(CRLF.join(lines))


def _empty(data: Path) -> None:
    _csv(data).write_bytes(b"")


def _columns(data: Path) -> None:
    """Ten thousand columns more."""
    path = _csv(data)
    head, *lines = path.read_bytes().split(CRLF)
    more = b"".join(b",c%d" % number for number in range(10_000))
    path.write_bytes(CRLF.join([head + more, *(line + b"," * 10_000 if line else b"" for line in lines[:100])]))


def _rewritten(data: Path, replaced: str) -> None:
    """The Parquet file with one column replaced. `replaced`: SQL."""
    (path,) = data.glob("*.parquet")
    fresh = path.with_suffix(".new")
    with connection(data / "spill") as database:
        middle = f"(select count(*) // 2 from read_parquet('{path}'))"  # noqa: S608 a path of our own
        numbered = f"(select *, row_number() over () as n, {middle} as middle from read_parquet('{path}'))"  # noqa: S608 a path of our own
        query = f"select * exclude (n, middle) replace ({replaced}) from {numbered} order by n"  # noqa: S608 a constant of this module
        database.execute(f"copy ({query}) to '{fresh}' (format parquet)")
    fresh.replace(path)


def _fen(data: Path) -> None:
    """Sums of fen are kept as binary fractions, and one of them holds a third of a fen."""
    _rewritten(data, "LJJCE::double + case when n = middle then 1.0 / 3 else 0 end as LJJCE")


def _date(data: Path) -> None:
    """An account was opened in 2093."""
    _rewritten(data, "case when n = middle then date '2093-05-31' else KHRQ end as KHRQ")


def _macro(data: Path) -> None:
    """A workbook with a program inside, saved under the ending of one without."""
    (path,) = data.glob("*.xlsx")
    out = BytesIO(path.read_bytes())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("xl/vbaProject.bin"), b"\xd0\xcf\x11\xe0")
    path.write_bytes(out.getvalue())


def _text(data: Path) -> None:
    """A web page with a table in it, which a program of old called a workbook."""
    (path,) = data.glob("*.xlsx")
    path.write_text("<html><body><table><tr><td>个人账号</td></tr></table></body></html>", encoding="utf-8")


KINDS: Final[dict[str, Broken]] = {
    "gzip": Broken("chongqing", "CSV_PACKED", _packed),
    "encoding": Broken("shenzhen", "CSV_ENCODING", _encoding),
    "column": Broken("chongqing", "MAP_COLUMN_MISSING", _column),
    "shifted": Broken("chongqing", "CSV_RAGGED", _shifted),
    "fen": Broken("guangzhou", "ROW_UNPARSED", _fen),
    "date": Broken("guangzhou", "", _date),
    "header": Broken("chongqing", "ROW_OTHER", _header),
    "empty": Broken("chongqing", "CSV_EMPTY", _empty),
    "columns": Broken("chongqing", "SOURCE_COLUMNS", _columns),
    "macro": Broken("chengdu", "XLSX_MACRO", _macro),
    "html": Broken("changzhou", "XLSX_TEXT", _text),
}
