"""Parquet: typed columns as canonical text."""

from pathlib import Path

import duckdb
import pytest

from node.connectors import Bound, Flavour, TextTable, Wanted, parquet
from node.connectors.files import find
from node.engine import engine
from protocols.errors import ConfigError, Place
from tests.unit.city_folder import HEAD, cells, fault, folder, run, variables

HERE = Place("mapping.yaml", 6, "sources.main.files")
SOURCE = HEAD + "sources: {main: {kind: parquet, files: data/*.parquet}}\n"
UNKEYED = SOURCE + "tables: {t: {source: main}}\n"
KEYED = SOURCE + "tables: {t: {source: main, key: k}}\n"


def write(place: Path, select: str, name: str = "a") -> Path:
    (place / "data").mkdir(parents=True, exist_ok=True)
    path = place / "data" / f"{name}.parquet"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def opened(place: Path) -> TextTable:
    found = find(place, ["data/*.parquet"], HERE)
    with engine([each.path for each in found]) as connection:
        return parquet.open_table(connection, found)


def text(place: Path, expression: str, flavour: Flavour = "text") -> str | None:
    path = write(place, f"SELECT {expression} AS c")
    bound = Bound()
    statement = opened(place).sql([Wanted("c", flavour)], ["x"], bound)
    with engine([path]) as connection:
        return connection.execute(statement, bound.values).fetchall()[0][0]  # type: ignore[no-any-return]  # one text


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("CAST(7 AS TINYINT)", "7"),
        ("CAST(-12 AS BIGINT)", "-12"),
        ("CAST(18446744073709551615 AS UBIGINT)", "18446744073709551615"),
        ("CAST(1234.50 AS DECIMAL(18, 2))", "1234.50"),
        ("CAST(0.1 AS DECIMAL(38, 10))", "0.1000000000"),
        ("DATE '2022-05-31'", "2022-05-31"),
        ("TIMESTAMP '2022-05-31 23:59:59'", "2022-05-31 23:59:59"),
        ("TIMESTAMPTZ '2022-05-31 20:00:00+00'", "2022-06-01 04:00:00+08"),
        ("true", "true"),
        ("false", "false"),
        ("'\u3000男'", "\u3000男"),
        ("''", ""),
        ("CAST(NULL AS VARCHAR)", None),
        ("CAST(NULL AS DOUBLE)", None),
        ("CAST(3 AS DOUBLE)", "3"),
        ("CAST(-0.0 AS DOUBLE)", "0"),
        ("CAST(0.1 AS DOUBLE)", "0.1"),
        ("CAST(0.1 AS FLOAT)", "0.1"),
        ("CAST(999999999999999 AS DOUBLE)", "999999999999999"),
        ("CAST(1e15 AS DOUBLE)", "1.00000000000000000e+15"),
        ("CAST('nan' AS DOUBLE)", "nan"),
        ("CAST('inf' AS DOUBLE)", "inf"),
    ],
)
def test_a_typed_value_has_one_text(tmp_path: Path, expression: str, expected: str | None) -> None:
    assert text(tmp_path, expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("CAST(1234.56 AS DOUBLE)", "1234.5600"),
        ("CAST(0.1 AS DOUBLE) + CAST(0.2 AS DOUBLE)", "0.3000"),
        ("CAST(1234.56789 AS DOUBLE)", "?"),
        ("CAST(1234.56 AS FLOAT)", "?"),
        ("CAST(0 AS DOUBLE)", "0.0000"),
        ("CAST(1e14 AS DOUBLE)", "?"),
        ("CAST('nan' AS DOUBLE)", "?"),
        ("CAST(NULL AS DOUBLE)", None),
        ("CAST(1234.56 AS DECIMAL(18, 2))", "1234.56"),
    ],
)
def test_a_binary_float_is_money_only_within_a_billionth_of_a_hundredth_of_a_cent(
    tmp_path: Path, expression: str, expected: str | None
) -> None:
    assert text(tmp_path, expression, "money") == expected


def test_columns_are_known_by_kind_and_the_kinds_of_several_files_meet(tmp_path: Path) -> None:
    write(
        tmp_path,
        "SELECT 1 AS a, DATE '2022-01-01' AS d, 'x' AS t, now() AS z, [1] AS l, 1.5::DOUBLE AS f, DATE '2022-01-01' AS e",
    )
    kinds = {"a": "text", "d": "date", "t": "text", "z": "time", "l": "other", "f": "float", "e": "date"}
    assert opened(tmp_path).kinds == kinds
    write(
        tmp_path, "SELECT 1.0::DOUBLE AS a, DATE '2022-01-01' AS d, 'x' AS t, now() AS z, 1 AS l, 1 AS f, 'x' AS e", "b"
    )
    both = opened(tmp_path)
    assert both.kinds == kinds | {"a": "float", "e": "text"}
    assert (both.rows, [part.rows for part in both.parts]) == (2, [1, 1])


def test_files_of_one_source_share_their_columns(tmp_path: Path) -> None:
    write(tmp_path, "SELECT 1 AS a, 2 AS b")
    write(tmp_path, "SELECT 2 AS b, 1 AS a", "b")
    assert opened(tmp_path).rows == 2
    write(tmp_path, "SELECT 1 AS a", "c")
    with pytest.raises(ConfigError) as raised:
        opened(tmp_path)
    assert raised.value.code == "SOURCE_HEADER_DIFFERS"


@pytest.mark.parametrize(
    ("select", "code"),
    [("SELECT 1 AS a WHERE false", "CSV_NO_ROWS"), ('SELECT 1 AS a, 2 AS "ａ "', "SOURCE_HEADER")],
)
def test_a_file_at_fault_is_named(tmp_path: Path, select: str, code: str) -> None:
    write(tmp_path, select)
    with pytest.raises(ConfigError) as raised:
        opened(tmp_path)
    assert (raised.value.code, raised.value.at) == (code, Place(str(tmp_path / "data" / "a.parquet")))


def test_more_columns_than_2000_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "SELECT " + ", ".join(f"1 AS c{number}" for number in range(2_001)))
    with pytest.raises(ConfigError) as raised:
        opened(tmp_path)
    assert raised.value.code == "SOURCE_COLUMNS"


def test_what_is_no_parquet_file_is_said_to_be_none(tmp_path: Path) -> None:
    place = folder(tmp_path, UNKEYED + variables(amount="from: t.c, unit: 元"), {"data/a.parquet": b"PAR1 secret PAR1"})
    found = fault(place)
    assert found.code == "SOURCE_UNREADABLE"
    assert "secret" not in found.text("en")


def test_typed_columns_become_variables(tmp_path: Path) -> None:
    """Dates need no parser where the file knows that they are dates; floats are numbers, and money where they hold whole cents."""
    write(
        tmp_path,
        "SELECT DATE '2022-05-31' AS d, TIMESTAMP '1990-03-07 01:02:03' AS ts, 0.1::DOUBLE AS x, 1234.56::DOUBLE AS m, true AS b, "
        "3.0::DOUBLE AS h UNION ALL SELECT NULL, NULL, 1e-7, 0.00001, false, 2.5",
    )
    mapping = UNKEYED + variables(
        opened="from: t.d",
        born="from: t.ts, make: year_of",
        share="from: t.x",
        amount="from: t.m, unit: 元, unparsed: 'null'",
        paid="from: t.b",
        homes="from: t.h, unparsed: 'null'",
    )
    place = folder(tmp_path, mapping, {})
    run(place)
    read = cells(place)
    assert read["opened"] == [(19143, 0), (None, 2)]
    assert read["born"] == [(1990, 0), (None, 2)]
    assert read["share"] == [(0.1, 0), (1e-7, 0)]
    assert read["amount"] == [(123_456, 0), (None, 2)]
    assert read["paid"] == [(1, 0), (0, 0)]
    assert read["homes"] == [(3, 0), (None, 2)]


def test_a_key_or_a_code_that_lost_its_digits_in_a_float_is_refused(tmp_path: Path) -> None:
    for number, (mapping, select) in enumerate(
        (
            (KEYED + variables(amount="from: t.m, unit: 元"), "SELECT 440106199003070011::DOUBLE AS k, 1 AS m"),
            (
                UNKEYED + variables(sex="from: t.k, codes: {男: male}, other: unknown"),
                "SELECT 440106199003070011::DOUBLE AS k",
            ),
        )
    ):
        write(tmp_path / str(number), select)
        assert fault(folder(tmp_path / str(number), mapping, {})).code == "ROW_DIGITS_LOST"


def test_a_short_key_in_a_float_is_the_same_holder_as_in_text(tmp_path: Path) -> None:
    for name, select in (("float", "SELECT 12.0::DOUBLE AS k, 1 AS m"), ("text", "SELECT '12' AS k, 1 AS m")):
        write(tmp_path / name, select)
        run(folder(tmp_path / name, KEYED + variables(amount="from: t.m, unit: 元"), {}))
    held = [
        next((tmp_path / name / ".hpfed" / "snapshots").glob("*/holders.bin")).read_bytes()
        for name in ("float", "text")
    ]
    assert held[0] == held[1]


def test_a_column_of_lists_cannot_be_mapped(tmp_path: Path) -> None:
    write(tmp_path, "SELECT [1, 2] AS c")
    assert fault(folder(tmp_path, UNKEYED + variables(homes="from: t.c"), {})).code == "MAP_COLUMN_TYPE"
