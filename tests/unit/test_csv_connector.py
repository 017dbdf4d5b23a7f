"""CSV: encodings, records and their faults (threat-model.md T45, T46, T49)."""

import csv as plain_csv
import io
import os
import unicodedata
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import casts
from node.connectors import Bound, TextTable, Wanted, csv
from node.connectors.files import BLANKS, Found, find, trimmed
from node.engine import engine
from protocols.errors import ConfigError, Place
from tests.unit.city_folder import KEYED, UNKEYED, cells, fault, folder, run, variables

HERE = Place("mapping.yaml", 6, "sources.main.files")


def written(place: Path, **files: bytes) -> tuple[Found, ...]:
    (place / "work").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / f"{name}.csv").write_bytes(content)
    return find(place, ["*.csv"], HERE)


def table(place: Path, dialect: csv.Dialect | None = None, **files: bytes) -> TextTable:
    return csv.open_table(written(place, **files), dialect or csv.Dialect(), place / "work")


def rows(place: Path, opened: TextTable) -> list[tuple[str | None, ...]]:
    bound = Bound()
    names = [f"x{number}" for number in range(len(opened.columns))]
    statement = opened.sql([Wanted(column) for column in opened.columns], names, bound)
    with engine(list(place.glob("*.csv")), place / "work", threads=2) as connection:
        return connection.execute(statement, bound.values).fetchall()


def refused(place: Path, dialect: csv.Dialect | None = None, **files: bytes) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        table(place, dialect, **files)
    return raised.value


# --- encodings


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n重庆,1\n".encode(), "utf-8"),
        ("a,b\n重庆,1\n".encode("utf-8-sig"), "utf-8-sig"),
        ("a,b\n重庆,1\n".encode("gb18030"), "gb18030"),
        ("a,b\n重庆,1\n".encode("gbk"), "gb18030"),
        (b"a,b\nx,1\n", "utf-8"),
        ("a,b\né重,1\n".encode(), "utf-8"),
    ],
)
def test_an_encoding_is_found_by_reading_all_of_it(tmp_path: Path, content: bytes, expected: str) -> None:
    opened = table(tmp_path, a=content)
    assert opened.encoding == expected
    assert rows(tmp_path, opened)[0][1] == "1"


def test_utf_16_is_refused_with_the_advice_to_save_as_csv_utf_8(tmp_path: Path) -> None:
    for number, encoding in enumerate(("utf-16-le", "utf-16-be")):
        mark = b"\xff\xfe" if encoding.endswith("le") else b"\xfe\xff"
        found = refused(tmp_path / str(number), a=mark + "a,b\n1,2\n".encode(encoding))
        assert found.code == "CSV_UTF16"
        assert "CSV UTF-8" in found.text("zh")


@pytest.mark.parametrize(
    ("declared", "content", "line", "offset"),
    [
        ("utf-8", b"a,b\n1,2\n\xff,2\n", 3, 8),
        ("utf-8", b"a,b\n1,2\n3,\xe9\x87", 3, 10),
        ("utf-8-sig", b"\xef\xbb\xbfa,b\n1,\xc0\xaf\n", 2, 9),
        ("gb18030", b"a,b\n1,2\n3,\xff\n", 3, 10),
        ("gb18030", b"a,b\r1,2\r3,\x81", 3, 10),
        ("", b"a,b\n1,2\n3,\xff\n", 3, 10),
        ("utf-8", b"a,\xff\n1,2\n", 1, 2),
    ],
)
def test_one_bad_byte_is_named_by_offset_and_line(
    tmp_path: Path, declared: str, content: bytes, line: int, offset: int
) -> None:
    found = refused(tmp_path, csv.Dialect(declared), a=content)  # type: ignore[arg-type]  # a case names one of the encodings
    assert (found.code, found.at and found.at.line, found.values["offset"]) == ("CSV_ENCODING", line, offset)


def test_a_bad_byte_after_the_first_piece_is_named_by_its_offset_in_the_whole_file(tmp_path: Path) -> None:
    line = b"0123456789,abcdefghij\n"
    count = csv.PIECE // len(line) + 10
    found = refused(tmp_path, csv.Dialect("gb18030"), a=b"a,b\n" + line * count + b"\xff,1\n")
    assert found.values["offset"] == 4 + len(line) * count
    assert found.at is not None
    assert found.at.line == count + 2


# --- records


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_of_every_system_are_read(tmp_path: Path, end: str, last: bool) -> None:
    text = end.join(["a,b", "1,2", '"x' + end + 'y",4']) + (end if last else "")
    opened = table(tmp_path, a=text.encode())
    assert rows(tmp_path, opened) == [("1", "2"), (f"x{end}y", "4")]
    assert opened.rows == 2


def test_mixed_line_ends_are_read_too(tmp_path: Path) -> None:
    opened = table(tmp_path, a=b'a,b\r\n1,2\n3,"4\n5"\r6,7\r\n')
    assert rows(tmp_path, opened) == [("1", "2"), ("3", "4\n5"), ("6", "7")]
    assert opened.rows == 3


def test_empty_lines_are_no_records(tmp_path: Path) -> None:
    opened = table(tmp_path, a=b"a,b\n\n1,2\n\n\n3,4\n\n")
    assert rows(tmp_path, opened) == [("1", "2"), ("3", "4")]
    assert opened.rows == 2


def test_quotes_inside_a_field_are_letters_of_it(tmp_path: Path) -> None:
    opened = table(tmp_path, a=b'a,b\n1"2,3"4"\n"5""6","7,8"\n')
    assert rows(tmp_path, opened) == [('1"2', '3"4"'), ('5"6', "7,8")]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_every_delimiter_of_a_mapping(tmp_path: Path, delimiter: str) -> None:
    content = f'a{delimiter}b\n"1{delimiter}1"{delimiter}2\n'.encode()
    opened = table(tmp_path, csv.Dialect(delimiter=delimiter), a=content)
    assert rows(tmp_path, opened) == [(f"1{delimiter}1", "2")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_header_may_stand_below_titles(tmp_path: Path, encoding: str) -> None:
    text = '灵活就业人员\n"制表：\n某中心",\n账号,金额\n1,2\n'
    opened = table(tmp_path, csv.Dialect(header_row=3), a=text.encode(encoding))
    assert opened.columns == ("账号", "金额")
    assert rows(tmp_path, opened) == [("1", "2")]
    found = refused(tmp_path, csv.Dialect(header_row=3), a=(text + "3\n").encode(encoding))
    assert (found.code, found.at and found.at.line, found.values["row"]) == ("CSV_RAGGED", 6, 2)


def test_parts_are_read_in_the_order_of_their_names_and_share_one_header(tmp_path: Path) -> None:
    parts = {f"p{number}": f"a,b\n{number},x\n".encode() for number in (3, 1, 2)}
    assert [row[0] for row in rows(tmp_path, table(tmp_path, None, **parts))] == ["1", "2", "3"]
    found = refused(tmp_path, p4=b"a,c\n4,x\n")
    assert found.code == "SOURCE_HEADER_DIFFERS"
    assert found.at is not None
    assert found.at.file.endswith("p4.csv")


def test_one_part_may_be_utf_8_and_another_gb18030(tmp_path: Path) -> None:
    opened = table(tmp_path, p1="城市\n重庆\n".encode(), p2="城市\n成都\n".encode("gb18030"))
    assert rows(tmp_path, opened) == [("重庆",), ("成都",)]
    assert opened.encoding == "gb18030, utf-8"


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"a,b\n1,2\n3\n", "CSV_RAGGED", 3),
        (b"a,b\n1,2\n3,4,5\n", "CSV_RAGGED", 3),
        (b"a,b\n1,2,\n3,4\n", "CSV_RAGGED", 2),
        (b'a,b\n"1\n1",2\n3\n', "CSV_RAGGED", 4),
        (b'a,b\n1,2\n"3,4\n5,6\n', "CSV_QUOTE", 3),
        (b"", "CSV_EMPTY", 0),
        (b"a,b\n", "CSV_NO_ROWS", 0),
        (b"a,b\n\n\n", "CSV_NO_ROWS", 0),
        (b"a,b\n1,\x00\n", "CSV_NUL", 2),
        (b"a,\n1,2\n", "SOURCE_HEADER", 1),
        (b"a,a\n1,2\n", "SOURCE_HEADER", 1),
        ("a,ａ \n1,2\n".encode(), "SOURCE_HEADER", 1),
        (b"\na,b\n1,2\n", "SOURCE_HEADER", 1),
        (b'"a,b\n1,2\n', "CSV_QUOTE", 1),
        (b",".join(b"c%d" % number for number in range(2_001)) + b"\n", "SOURCE_COLUMNS", 1),
        (b"a,b\n1,2\n" + b"x" * (csv.MOST_LINE + 1) + b",3\n4,5\n", "CSV_LINE", 3),
        (b"x" * (csv.MOST_LINE + 1), "CSV_LINE", 1),
    ],
)
def test_a_file_at_fault_is_refused_at_the_line_of_the_fault(
    tmp_path: Path, content: bytes, code: str, line: int
) -> None:
    found = refused(tmp_path, a=content)
    assert found.code == code
    assert found.at is not None
    assert (found.at.line, found.at.file) == (line, str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ('a,b\n1,2\n"3"secret,4\n', "CSV_QUOTE", 3),
        ("a,b\n1,2\nsecret\n2,3,4\n", "CSV_RAGGED", 3),
        ("a,b\n1,2\nsecret\n2,3,\n", "CSV_RAGGED", 3),
    ],
)
def test_what_only_the_engine_sees_is_looked_up_by_the_strict_reader(
    tmp_path: Path, content: str, code: str, line: int
) -> None:
    """The counts fit. The engine's own message quotes the row, and is not passed on."""
    place = folder(tmp_path, UNKEYED + variables(amount="from: t.b, unit: 元"), {"data/a.csv": content})
    found = fault(place)
    assert (found.code, found.at and found.at.line) == (code, line)
    assert "secret" not in repr(found) + found.text("zh")


def test_a_record_hidden_by_two_stray_quotes_is_read_as_its_own(tmp_path: Path) -> None:
    """One quote in each of two records: a counter of quotes alone would take them for one record."""
    opened = table(tmp_path, a=b'a,b\nx"1,2\n3,y"4\n5,6\n')
    assert rows(tmp_path, opened) == [('x"1', "2"), ("3", 'y"4'), ("5", "6")]
    assert opened.rows == 3


# --- a law: what the connector reads is what was written


field_text = st.text(st.characters(codec="gb18030", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=30)
@given(
    records=st.lists(st.lists(field_text, min_size=3, max_size=3), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    quoting=st.sampled_from([plain_csv.QUOTE_ALL, plain_csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_records_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[list[str]],
    delimiter: str,
    encoding: str,
    quoting: int,
    end: str,
) -> None:
    out = io.StringIO()
    writer = plain_csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]  # one of two constants
    writer.writerows([["a", "b", "c"], *records])
    place = tmp_path_factory.mktemp("law")
    dialect = csv.Dialect(encoding, delimiter)  # type: ignore[arg-type]  # one of three encodings
    opened = table(place, dialect, a=out.getvalue().encode(encoding))
    assert [[text or "" for text in row] for row in rows(place, opened)] == records
    assert opened.rows == len(records)


@given(
    text=st.text(st.sampled_from('a",\n\r;x'), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=6),
)
def test_counts_do_not_depend_on_where_a_file_is_cut(text: str, cuts: list[int]) -> None:
    whole, pieces = csv.Counts(","), csv.Counts(",")
    content = text.encode()
    whole.add(content)
    at = 0
    for cut in cuts:
        if content[at : at + cut]:
            pieces.add(content[at : at + cut])
        at += cut
    if content[at:]:
        pieces.add(content[at:])
    whole.end()
    pieces.end()
    assert vars(pieces) == vars(whole)


# --- which files


def test_only_ordinary_files_inside_the_folder_are_read(tmp_path: Path) -> None:
    place = tmp_path / "city"
    (place / "data").mkdir(parents=True)
    (tmp_path / "outside.csv").write_text("a\n1\n")
    (place / "data" / "ordinary.csv").write_text("a\n1\n")
    (place / "link.csv").symlink_to(tmp_path / "outside.csv")
    (place / "folder").symlink_to(place / "data")
    os.mkfifo(place / "data" / "pipe.csv")
    (place / "data" / "odd[1].csv").write_text("a\n1\n")
    cases = {
        "../outside.csv": "SOURCE_OUTSIDE",
        str(tmp_path / "outside.csv"): "SOURCE_OUTSIDE",
        "C:\\outside.csv": "SOURCE_OUTSIDE",
        "": "SOURCE_OUTSIDE",
        "data/../../outside.csv": "SOURCE_OUTSIDE",
        "link.csv": "SOURCE_LINK",
        "l*.csv": "SOURCE_LINK",
        "folder/ordinary.csv": "SOURCE_LINK",
        "data/pipe.csv": "SOURCE_LINK",
        "data": "SOURCE_LINK",
        "data/odd*.csv": "SOURCE_NAME",
        "data/none*.csv": "SOURCE_NO_FILE",
    }
    for pattern, code in cases.items():
        with pytest.raises(ConfigError) as raised:
            find(place, [pattern], HERE)
        assert (raised.value.code, raised.value.at) == (code, HERE), pattern
    assert [found.name for found in find(place, ["data/ord*.csv", "data/ordinary.csv"], HERE)] == ["data/ordinary.csv"]


def test_a_hostile_name_of_a_column_is_a_name_and_no_statement(tmp_path: Path) -> None:
    name = '"; DROP TABLE rows; --'
    quoted = name.replace('"', '""')
    mapping = KEYED + "variables:\n  amount: {from: 't." + name + "', unit: 元}\n"
    place = folder(tmp_path, mapping, {"data/a.csv": f'账号,"{quoted}"\n1,5\n'})
    run(place)
    assert cells(place)["amount"] == [(500, 0)]


@settings(max_examples=10)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5), max_size=20))
def test_trimming_in_sql_is_trimming_in_python(texts: list[str]) -> None:
    """Around any text, every blank, one by one."""
    around = [f"{blank}{text}{blank}" for text in ["", "a 男", "e\u0301", *texts] for blank in ("", *BLANKS)]
    bound = Bound()
    listed = bound.bind(around)
    with duckdb.connect() as connection:
        read = connection.execute(
            f"SELECT {casts.clean('x', bound)} FROM (SELECT unnest({listed}) AS x)",  # noqa: S608 made of names bound here
            bound.values,
        ).fetchall()
    for (got,), text in zip(read, around, strict=True):
        expected = unicodedata.normalize("NFC", trimmed(text)).replace("\r\n", "\n").replace("\r", "\n")
        assert (got or "") == expected
