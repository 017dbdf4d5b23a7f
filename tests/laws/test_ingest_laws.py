"""Laws of ingest: what a snapshot does and does not depend on."""

import csv
import io
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from node import snapshot
from node.ingest import Ingested
from tests.unit.city_folder import AS_OF, HEAD, contents, folder, run, variables

COLUMNS: Final = ("账号", "性别", "金额", "次数", "日期")
BODY: Final = variables(
    sex="from: t.性别, codes: {男: male, 女: female}, other: unknown, null: drop",
    amount="from: t.金额, unit: 元, unparsed: 'null', clip: [0, 5000]",
    homes="from: t.次数, null: 0, unparsed: 'null'",
    opened="from: t.日期, parse: [yyyy-mm-dd, yyyymmdd], unparsed: 'null'",
)
Row = tuple[str, str, str, str, str]
cell_texts = (
    st.sampled_from(["男", "女", "不详", "", "NULL", "䶮"]),
    st.sampled_from(["", "0", "12.345", "6000", "-1", "1,200.50", "十", "5000"]),
    st.sampled_from(["", "0", "3", "99", "-1", "x", "１"]),
    st.sampled_from(["", "2021-08-16", "20210816", "1980-01-01", "2021-02-30"]),
)
tables = st.lists(st.tuples(*cell_texts), min_size=2, max_size=25).map(
    lambda rows: [(f"k{number:03d}", *row) for number, row in enumerate(rows)]
)


def mapping(kind: str = "csv", encoding: str = "utf-8") -> str:
    named = f", encoding: {encoding}" if kind == "csv" else ""
    return HEAD + (
        f"sources: {{main: {{kind: {kind}{named}, files: data/*.{kind}}}}}\ntables: {{t: {{source: main, key: 账号}}}}\n"
        + BODY
    )


def text(rows: list[Row]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, *rows])
    return out.getvalue()


def as_parquet(place: Path, rows: list[Row]) -> Path:
    (place / "data").mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (账号 VARCHAR, 性别 VARCHAR, 金额 VARCHAR, 次数 VARCHAR, 日期 VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute(f"COPY t TO '{place / 'data' / 'a.parquet'}' (FORMAT parquet)")
    return folder(place, mapping("parquet"), {})


def as_workbook(place: Path, rows: list[Row]) -> Path:
    """Text cells, with a title above the header, a blank row before every third record."""
    (place / "data").mkdir(parents=True)
    with xlsxwriter.Workbook(place / "data" / "a.xlsx") as workbook:
        sheet = workbook.add_worksheet("明细")
        sheet.write_string(0, 0, "个人账户明细")
        for number, row in enumerate([COLUMNS, *rows]):
            for column, text in enumerate(row):
                sheet.write_string(1 + number + (number + 2) // 3, column, text)
    return folder(place, mapping("xlsx").replace("xlsx, ", "xlsx, sheet: 明细, header_row: 2, "), {})


def same(one: Ingested, other: Ingested) -> None:
    assert (one.content, one.rows, one.counters) == (other.content, other.rows, other.counters)


@settings(max_examples=4)
@given(rows=tables, data=st.data())
def test_order_of_rows_parts_encoding_and_kind_of_file_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("law")
    done = run(folder(place / "plain", mapping(), {"data/a.csv": text(rows)}))
    for name, counters in done.counters.items():
        assert counters.rows == done.rows == len(rows), name
    shuffled = data.draw(st.permutations(rows))
    same(done, run(folder(place / "shuffled", mapping(), {"data/a.csv": text(shuffled)})))
    cut = data.draw(st.integers(1, len(rows) - 1))
    parts: dict[str, bytes | str] = {"data/a.csv": text(shuffled[:cut]), "data/b.csv": text(shuffled[cut:])}
    same(done, run(folder(place / "parts", mapping(), parts)))
    coded: dict[str, bytes | str] = {"data/a.csv": text(rows).replace("\n", "\r\n").encode("gb18030")}
    same(done, run(folder(place / "gb18030", mapping(encoding="gb18030"), coded)))
    same(done, run(as_parquet(place / "parquet", rows)))
    same(done, run(as_workbook(place / "workbook", shuffled)))


@settings(max_examples=4)
@given(rows=tables)
def test_ingesting_the_same_files_twice_changes_nothing_on_disk(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    place = folder(tmp_path_factory.mktemp("law"), mapping(), {"data/a.csv": text(rows)})
    first = run(place)
    before = contents(place / ".hpfed")
    second = run(place)
    assert (first.unchanged, second.unchanged) == (False, True)
    same(first, second)
    assert contents(place / ".hpfed") == before


@settings(max_examples=3)
@given(rows=tables, sizes=st.lists(st.integers(1, 30), min_size=3, max_size=3))
def test_batches_of_any_size_are_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], sizes: list[int]
) -> None:
    place = folder(tmp_path_factory.mktemp("law"), mapping(), {"data/a.csv": text(rows)})
    run(place)
    held = snapshot.open_for(place / ".hpfed", AS_OF)
    names = ["amount", "sex", "worries"]
    [whole] = held.batches(names)
    for size in sizes:
        batches = list(held.batches(names, size))
        assert [batch.holders for batch in batches] == [
            min(size, len(rows) - first) for first in range(0, len(rows), size)
        ]
        for name in names:
            assert np.array_equal(
                np.concatenate([batch.columns[name].values for batch in batches]), whole.columns[name].values
            )
            assert np.array_equal(
                np.concatenate([batch.columns[name].known for batch in batches]), whole.columns[name].known
            )


def test_rows_without_a_key_keep_the_order_of_their_files(tmp_path: Path) -> None:
    """Over several files and more rows than one thread reads at a time."""
    count, parts = 60_000, 3
    files: dict[str, bytes | str] = {
        f"data/{part}.csv": "n\n" + "".join(f"{part * count + row}.5\n" for row in range(count))
        for part in range(parts)
    }
    unkeyed = (
        HEAD
        + (
            "sources: {main: {kind: csv, encoding: utf-8, files: data/*.csv}}\ntables: {t: {source: main}}\n"
            "rows: {not: {column: t.n, is: '7.5'}}\n"
        )
        + variables(amount="from: t.n, unit: 元")
    )
    run(folder(tmp_path, unkeyed, files))
    [table] = snapshot.open_for(tmp_path / ".hpfed", AS_OF).batches(["amount"])
    rows = [row for row in range(count * parts) if row != 7]
    assert table.columns["amount"].values.tolist() == [row * 100 + 50 for row in rows]
