"""Traps of Chinese administrative files, one test each."""

from datetime import date
from pathlib import Path

import pytest

from node import mapping
from node.connectors import Bound, Wanted, csv
from node.connectors.files import find
from node.engine import engine
from protocols.errors import Place
from tests.unit.city_folder import KEYED, UNKEYED, cells, fault, folder, one, run, variables

UNDETECTED = UNKEYED.replace("encoding: utf-8, ", "")
GIVEN, FILLED, MISSING, DROPPED, OTHER, LOW, HIGH, IMPOSSIBLE = range(8)


def days(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()


def texts(place: Path, content: bytes, dialect: csv.Dialect, columns: list[str]) -> list[tuple[str | None, ...]]:
    """A file as its connector gives it to the engine."""
    (place / "data").mkdir(parents=True, exist_ok=True)
    (place / "work").mkdir(exist_ok=True)
    (place / "data" / "a.csv").write_bytes(content)
    found = find(place, ("data/a.csv",), Place("mapping.yaml"))
    table = csv.open_table(found, dialect, place / "work")
    bound = Bound()
    names = [f"x{number}" for number in range(len(columns))]
    statement = table.sql([Wanted(column) for column in columns], names, bound)
    with engine([each.path for each in found], place / "work") as connection:
        return connection.execute(statement, bound.values).fetchall()


@pytest.mark.parametrize("offset", range(4))
def test_rare_characters_survive_in_gb18030_across_every_edge_of_a_piece(tmp_path: Path, offset: int) -> None:
    """𬭎 takes four bytes, and straddles the edge of 4 MiB in each of the four ways; 䶮 is a character that GBK lacks."""
    head, line = "甲,乙\n".encode("gb18030"), b"0123456789,abcdefghij\n"
    before = csv.PIECE - offset - len(head)
    lines = before // len(line) - 1
    last = b"p" * (before - lines * len(line) - 1) + b","
    content = head + line * lines + last + "𬭎䶮\n".encode("gb18030")
    assert content[csv.PIECE - offset :][:4] == "𬭎".encode("gb18030")
    read = texts(tmp_path, content, csv.Dialect("gb18030"), ["甲", "乙"])
    assert [f"{a},{b}" for a, b in read] == content.decode("gb18030").splitlines()[1:]


def test_a_file_of_one_chinese_character_and_ascii_asks_for_its_encoding(tmp_path: Path) -> None:
    """女 is C5 AE in GB18030, and C5 AE is Ů in UTF-8: nobody can tell."""
    place = folder(
        tmp_path,
        UNDETECTED + variables(sex="from: t.sex, codes: {女: female}"),
        {"data/a.csv": "sex\n女\n".encode("gb18030")},
    )
    assert fault(place).code == "CSV_ENCODING_UNSURE"
    named = UNKEYED.replace("utf-8", "gb18030") + variables(sex="from: t.sex, codes: {女: female}")
    run(folder(tmp_path, named, {}))
    assert cells(place)["sex"] == [(1, GIVEN)]


@pytest.mark.slow  # writes and reads 210 MB
def test_the_first_chinese_character_after_200_megabytes_decides_as_it_would_at_the_start(tmp_path: Path) -> None:
    for encoding, expected in (("gb18030", "gb18030"), ("utf-8", "utf-8")):
        path = tmp_path / f"{encoding}.csv"
        with path.open("wb") as file:
            file.write(b"a,b\n")
            for _ in range(200):
                file.write(b"0123456789,abcdefghij\n" * 47_663)
            file.write("重庆,成都\n".encode(encoding))
        assert path.stat().st_size > 200 << 20
        assert csv.encoding_of(find(tmp_path, (path.name,), Place("mapping.yaml"))[0], "") == expected


def test_every_two_byte_character_whose_second_byte_is_a_backslash_or_a_bar_stays_one_field(tmp_path: Path) -> None:
    """And 1,000 of four bytes, of which the second and fourth are digits."""
    pairs = [bytes((first, second)) for first in range(0x81, 0xFF) for second in (0x5C, 0x7C)]
    two = [pair.decode("gb18030") for pair in pairs]
    assert len(two) == 252
    four = [chr(code) for code in range(0x2CB4E, 0x2CB4E + 1_000)]
    assert all(len(mark.encode("gb18030")) == 4 for mark in four)
    for delimiter in (",", "|"):
        lines = "".join(f"{mark}{delimiter}1{delimiter}{mark}\n" for mark in two + four)
        content = f"a{delimiter}b{delimiter}c\n{lines}".encode("gb18030")
        assert texts(tmp_path, content, csv.Dialect("gb18030", delimiter), ["a", "b", "c"]) == [
            (mark, "1", mark) for mark in two + four
        ]


@pytest.mark.parametrize("header", ["\ufeff账号,金额", "账号 ,\u3000金额", "账号,金额\u200b"])
def test_a_mark_or_a_blank_around_a_header_does_not_hide_the_column(tmp_path: Path, header: str) -> None:
    place = folder(tmp_path, KEYED + variables(amount="from: t.金额, unit: 元"), {"data/a.csv": f"{header}\n1,5\n"})
    run(place)
    assert cells(place)["amount"] == [(500, GIVEN)]


def test_a_full_width_header_is_the_column_of_that_name(tmp_path: Path) -> None:
    named = KEYED.replace("账号", "GRZH") + variables(amount="from: t.JE1, unit: 元")
    place = folder(tmp_path, named, {"data/a.csv": "ＧＲＺＨ,ＪＥ１\n1,5\n"})
    run(place)
    assert cells(place)["amount"] == [(500, GIVEN)]


DATES = {
    "20210815": ("yyyymmdd", days(2021, 8, 15)),
    "2021-08-16": ("yyyy-mm-dd", days(2021, 8, 16)),
    "2021/8/16": ("yyyy/m/d", days(2021, 8, 16)),
    "2021年8月6日": ("yyyy年m月d日", days(2021, 8, 6)),
    "44562": ("excel_serial", days(2022, 1, 1)),
    "199003": ("yyyymm", days(1990, 3, 1)),
    "2021-08": ("yyyy-mm", days(2021, 8, 1)),
    "1999": ("yyyy", days(1999, 1, 1)),
    "43100": ("excel_serial_1904", days(2022, 1, 1)),
    "2021-08-16T23:59:59+08:00": ("iso_datetime", days(2021, 8, 16)),
}


def test_a_date_is_read_under_its_declared_parser_and_under_no_other(tmp_path: Path) -> None:
    """One variable for each parser, all over one column that holds every spelling."""
    names = [name for name, _ in DATES.values()]
    every = "".join(f"  {_variable(name)}: {{type: date, range: [1900-01-01, 2045-12-31]}}\n" for name in names)
    entries = {_variable(name): f"from: t.c, parse: [{name}], unparsed: 'null'" for name in names}
    place = folder(
        tmp_path,
        UNKEYED + variables(**entries),
        {"data/a.csv": "c\n" + "".join(f"{text}\n" for text in DATES)},
        f"dictionary: dates\nversion: 1\nvariables:\n{every}",
    )
    run(place)
    read = cells(place)
    for name in names:
        expected = [(day, GIVEN) if parser == name else (None, MISSING) for parser, day in DATES.values()]
        if name in SERIALS:  # two ways to read one text: only one of them may be declared
            other = next(
                number for number, text in enumerate(DATES) if DATES[text][0] in SERIALS and DATES[text][0] != name
            )
            assert read[_variable(name)][other] not in ((None, MISSING), (days(2022, 1, 1), GIVEN))
            expected[other] = read[_variable(name)][other]
        assert read[_variable(name)] == expected, name


SERIALS = ("excel_serial", "excel_serial_1904")


def _variable(parser: str) -> str:
    return {"yyyy年m月d日": "chinese"}.get(parser, parser.replace("-", "_").replace("/", "s"))


def test_a_column_of_mixed_dates_is_read_by_the_list_of_its_parsers(tmp_path: Path) -> None:
    names = [name for name, _ in DATES.values() if name != "excel_serial_1904"]
    wanted = {text: day for text, (name, day) in DATES.items() if name in names}
    read = one(tmp_path, f"parse: [{', '.join(names)}]", list(wanted), variable="opened")
    assert read == [(day, GIVEN) for day in wanted.values()]


def test_days_that_are_none_and_days_of_another_century(tmp_path: Path) -> None:
    read = one(
        tmp_path,
        "parse: [yyyymmdd], unparsed: 'null'",
        ["00000000", "19000101", "20210230", "99991231"],
        variable="opened",
    )
    assert read == [(None, MISSING), (days(1990, 1, 1), LOW), (None, MISSING), (days(2045, 12, 31), HIGH)]


def test_month_13_and_year_0209_are_not_read(tmp_path: Path) -> None:
    read = one(
        tmp_path,
        "make: year_of, parse: [yyyymm, yyyy], unparsed: 'null'",
        ["202213", "0209", "202212", "1990"],
        variable="born",
    )
    assert read == [(None, MISSING), (None, MISSING), (2022, GIVEN), (1990, GIVEN)]


def test_spellings_of_amounts(tmp_path: Path) -> None:
    read = one(
        tmp_path / "yuan", "unit: 元, unparsed: 'null'", ["1,200.00", "１２３", "12.345", "-0", "1e3", "1,20", "1.2万"]
    )
    assert read == [
        (120000, GIVEN),
        (12300, GIVEN),
        (1234, GIVEN),
        (0, GIVEN),
        (None, MISSING),
        (None, MISSING),
        (None, MISSING),
    ]
    done = run(tmp_path / "yuan", tmp_path / "again")
    assert (done.counters["amount"].rounded, done.counters["amount"].unparsed) == (1, 3)
    assert one(tmp_path / "wan", "unit: 万元", ["0.12", "0.000001"]) == [(120000, GIVEN), (1, GIVEN)]
    assert one(tmp_path / "suffix", "unit: 元, number: {suffixes: [万, 元]}", ["1.2万", "1,234.50元"]) == [
        (1_200_000, GIVEN),
        (123_450, GIVEN),
    ]


@pytest.mark.parametrize("blank", ["                ", "\u3000", "\u00a0", "\u200b", "\ufeff", "\r\n", "\t"])
def test_what_surrounds_a_text_is_no_part_of_it(tmp_path: Path, blank: str) -> None:
    read = one(
        tmp_path / "code", "codes: {男: male}", [f"男{blank}", f"{blank}男", f"{blank}男{blank}"], variable="sex"
    )
    assert read == [(0, GIVEN)] * 3
    assert one(tmp_path / "money", "unit: 元", [f"{blank}5{blank}", blank]) == [(500, GIVEN), (None, MISSING)]


def test_code_1_is_not_code_01_and_the_fault_says_so(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        UNKEYED + variables(sex='from: t.sex, codes: {"1": male, "2": female}'),
        {"data/a.csv": "sex\n1\n02\n"},
    )
    found = fault(place)
    assert found.code == "ROW_OTHER"
    assert "01 and 1 are two codes" in found.text("en")
    assert "01 与 1 是两个代码" in found.text("zh")
    mixed = folder(tmp_path / "mixed", UNKEYED + variables(sex='from: t.sex, codes: {"1": male, "02": female}'), {})
    warned = {each.code for each in mapping.warnings(mapping.load(mixed)) if each.values["name"] == "sex"}
    assert warned == {"MAP_CODE_ZEROS", "MAP_CODE_UNUSED"}


def test_a_long_number_that_went_through_a_spreadsheet_is_refused(tmp_path: Path) -> None:
    keys = folder(
        tmp_path / "key", KEYED + variables(amount="from: t.je, unit: 元"), {"data/a.csv": "账号,je\n4.40106E+17,5\n"}
    )
    assert fault(keys).code == "ROW_DIGITS_LOST"
    codes = folder(
        tmp_path / "code",
        UNKEYED + variables(sex="from: t.c, codes: {男: male}, other: unknown"),
        {"data/a.csv": "c\n1.10101E+12\n"},
    )
    assert fault(codes).code == "ROW_DIGITS_LOST"


def test_which_texts_are_null_and_which_are_only_unknown_words(tmp_path: Path) -> None:
    read = one(tmp_path, "codes: {男: male}, other: unknown", ["", "NULL", "\\N", "/", "无", "不详"], variable="sex")
    assert read == [(None, MISSING)] * 4 + [(2, OTHER)] * 2
    listed = one(
        tmp_path / "listed",
        "codes: {男: male}, other: unknown, null_texts: [无, 不详]",
        ["无", "不详", ""],
        variable="sex",
    )
    assert listed == [(None, MISSING)] * 3


def test_words_that_yaml_would_take_for_something_else_stay_text(tmp_path: Path) -> None:
    entry = (
        "from: t.on, codes: {1: male, 01: female, no: unknown, null: male}, null: {category: unknown}, null_texts: ['']"
    )
    place = folder(tmp_path, UNKEYED + variables(sex=entry), {"data/a.csv": "on,z\n1,\n01,\nno,\nnull,\n,\n"})
    run(place)
    assert cells(place)["sex"] == [(0, GIVEN), (1, GIVEN), (2, GIVEN), (0, GIVEN), (2, FILLED)]


def test_two_sub_centres_with_one_account_number_are_both_named(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"data/east.csv": "账号,je\n1,5\n2,6\n", "data/west.csv": "账号,je\n3,5\n2,6\n"}
    found = fault(folder(tmp_path, KEYED + variables(amount="from: t.je, unit: 元"), files))
    assert found.code == "ROW_DUPLICATE"
    assert "data/east.csv [2]" in found.text("zh")
    assert "data/west.csv [2]" in found.text("zh")
    assert "<10" in found.text("en")
