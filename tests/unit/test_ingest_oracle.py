"""10,000 rows of everything that files hold, against a second implementation: every cell, every status."""

import csv
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from node.ingest import holder, holder_key
from protocols.entropy import seeded
from tests.oracles import ingest_pandas as oracle
from tests.oracles.ingest_pandas import DROPPED, FILLED, Rule
from tests.unit.city_folder import AS_OF, HEAD, cells, folder, run, variables

ROWS: Final = 10_000
BLANKS: Final = ("", "", "", "", "", " ", "\u3000", "\u00a0", "\u200b", "   ")
NULLS: Final = ("", "NULL", "\\N", "-", "/", "　")
WORDS: Final = ("男", "女", "未知", "1", "01", "不详", "男女", "F")
NUMBERS: Final = (
    "0", "-0", "12", "007", "1.", ".5", "1e3", "1,200.00", "1,20", "12,345,678.905", "１２３", "１，２００．５", "-3.005", "+7",
    "0.005", "0.015", "0.0049999999999999", "0.00500000000000001", "999999999999999", "1234567890123456", "1.2万", "5元", "5 元", "元",
    "１２元", "0.12345678901234567890", "1.123456789012345678901", "-1,000", "1，000", "3.0", "3.5", "99999999", "二十", "0x10", "1_000",
)  # fmt: skip
DATES: Final = (
    "20210815", "2021-08-16", "2021/8/16", "2021/08/06", "2021年8月6日", "44562", "199003", "1990", "0209", "202213", "20210230",
    "00000000", "19000101", "99991231", "２０２１０８１５", "2021-8-6", "10000", "2021.08.16", "2020-02-29", "2021-02-29", "2022年12月31日",
)  # fmt: skip


def picks(name: str, options: tuple[str, ...]) -> list[str]:
    drawn = np.frombuffer(seeded("oracle", name)(4 * ROWS), dtype=np.uint32)
    return [options[number] for number in (drawn % len(options)).tolist()]


def around(name: str, texts: list[str]) -> list[str]:
    """With blanks before and after; now and then a null instead."""
    before, after = picks(f"{name} before", BLANKS), picks(f"{name} after", BLANKS)
    nulls, often = picks(f"{name} null", NULLS), picks(f"{name} often", ("", "", "", "", "", "null"))
    return [
        nothing if chance else f"{a}{text}{b}"
        for a, text, b, nothing, chance in zip(before, texts, after, nulls, often, strict=True)
    ]


def written(frame: pd.DataFrame) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([list(frame), *frame.values.tolist()])
    return out.getvalue()


def test_every_cell_and_status_equals_the_second_implementation(tmp_path: Path) -> None:
    accounts = [f"acct{number:06d}" for number in range(ROWS - 500)]
    again = [text.upper().replace("A", "Ａ") for text in accounts[:500]]  # the same holders once more, spelt otherwise
    main = pd.DataFrame(
        {
            "账号": [*accounts, *again],
            "更新": [f"2022{1 + number % 3:02d}01" for number in range(len(accounts))] + ["20220501"] * len(again),
            "性别": around("sex", picks("sex", WORDS)),
            "次数": around("count", picks("count", NUMBERS)),
            "金额": around("money", picks("money", NUMBERS)),
            "万元": around("wan", picks("wan", NUMBERS)),
            "比率": around("real", picks("real", NUMBERS)),
        }
    )
    chosen = np.frombuffer(seeded("oracle", "side")(ROWS), dtype=np.uint8)[: len(accounts)] % 5 > 0
    persons = [f" {account} " for account, taken in zip(accounts, chosen.tolist(), strict=True) if taken]
    side = pd.DataFrame(
        {
            "账号": persons[::-1],
            "日期": around("day", picks("day", DATES))[: len(persons)],
            "年龄": around("age", picks("age", NUMBERS))[: len(persons)],
        }
    )
    mapping = (
        HEAD
        + "sources:\n  a: {kind: csv, encoding: utf-8, files: data/a.csv}\n  p: {kind: csv, encoding: utf-8, files: data/p.csv}\n"
        + "tables:\n  t: {source: a, key: 账号, main: true, duplicates: {keep: newest, by: 更新}}\n  p: {source: p, key: 账号}\n"
        + variables(
            sex="from: t.性别, codes: {男: male, 女: female, '1': male, '01': unknown}, other: unknown, null: drop",
            homes="from: t.次数, unparsed: 'null', null: 0",
            amount="from: t.金额, unit: 元, unparsed: 'null', number: {suffixes: [元]}",
            wan="from: t.万元, unit: 万元, unparsed: 'null', clip: [0, 50000.05], null: drop",
            share="from: t.比率, unparsed: 'null'",
            opened="from: p.日期, parse: [yyyymmdd, yyyy-mm-dd, yyyy/m/d, yyyy年m月d日, excel_serial], unparsed: 'null'",
            born="from: p.日期, make: year_of, parse: [yyyymmdd, yyyymm, yyyy], unparsed: 'null'",
            since="from: p.日期, make: months_to_snapshot, parse: [yyyy/m/d, yyyymm], unparsed: 'null', clip: [0, 24]",
            by_age="from: p.年龄, make: snapshot_year_minus, unparsed: 'null'",
        )
    )
    dictionary = """dictionary: oracle-words
version: 1
variables:
  sex: {type: category, codes: {male: {zh: 男}, female: {zh: 女}, unknown: {zh: 未知}}}
  homes: {type: integer, range: [0, 20]}
  amount: {type: money, unit: CNY, range: [-100, 1000000]}
  wan: {type: money, unit: CNY, range: [0, 1000000]}
  share: {type: number, range: [-2, 1000000]}
  opened: {type: date, range: [1990-01-01, 2045-12-31]}
  born: {type: integer, unit: year, range: [1930, 2030]}
  since: {type: integer, unit: month, range: [0, 600]}
  by_age: {type: integer, unit: year, range: [1930, 2030]}
"""
    nothing: tuple[Any, int] = (None, DROPPED)
    rules = {
        "sex": Rule("性别", "category", codes={"男": 0, "女": 1, "1": 0, "01": 2}, other=2, null=nothing),
        "homes": Rule("次数", "integer", 0, 20, null=(0, FILLED)),
        "amount": Rule("金额", "money", -10_000, 100_000_000, unit=100, suffix="元"),
        "wan": Rule("万元", "money", 0, 5_000_005, unit=1_000_000, null=nothing),
        "share": Rule("比率", "number", -2.0, 1_000_000.0),
        "opened": Rule(
            "日期", "date", 7305, 27758, parse=("yyyymmdd", "yyyy-mm-dd", "yyyy/m/d", "yyyy年m月d日", "excel_serial")
        ),
        "born": Rule("日期", "integer", 1930, 2030, make="year_of", parse=("yyyymmdd", "yyyymm", "yyyy")),
        "since": Rule("日期", "integer", 0, 24, make="months", parse=("yyyy/m/d", "yyyymm")),
        "by_age": Rule("年龄", "integer", 1930, 2030, make="age"),
    }
    place = folder(tmp_path, mapping, {"data/a.csv": written(main), "data/p.csv": written(side)}, dictionary)
    done = run(place)
    expected = oracle.snapshot(main, side, "账号", "更新", rules, AS_OF)
    secret = holder_key(place / ".hpfed", seeded())
    expected = expected.loc[sorted(expected.index, key=lambda key: holder(secret, key))]
    read = cells(place)
    assert done.rows == len(expected) == ROWS - 500
    for name in rules:
        wanted = expected[name].tolist()
        differing = [number for number, pair in enumerate(zip(read[name], wanted, strict=True)) if pair[0] != pair[1]]
        assert not differing, (name, [(read[name][number], wanted[number]) for number in differing[:5]])
        assert len({status for _, status in wanted}) >= 3, f"{name}: the rows show too little"
