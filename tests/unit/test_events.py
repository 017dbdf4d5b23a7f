"""Events: what a dictionary may say of them, what an ingest makes of a city's rows, and what a snapshot gives back."""

from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pytest

from node import mapping, snapshot
from node.ingest import holder, holder_key
from protocols import dictionary as dictionaries
from protocols.columns import month_of_text
from protocols.dictionary import Dictionary, column
from protocols.entropy import seeded
from protocols.errors import ConfigError
from protocols.yamltext import read
from tests.unit.city_folder import AS_OF, HEAD, fault, folder, run

DICTIONARY: Final = """dictionary: paid
version: 1
variables:
  opened: {type: date, range: [1990-01-01, 2045-12-31]}
derived:
  paid_12m: {of_events: pay, rule: sum, variable: amount, months: 3, range: [0, 500]}
  times: {of_events: pay, rule: count}
  state: {of_events: pay, rule: latest, variable: state}
  running: {of_events: pay, rule: streak}
  stopped: {of_events: pay, rule: gap, months: 2, opened: opened}
  began: {of_events: pay, rule: first}
  paying: {of_events: pay, rule: streak, variable: amount}
events:
  pay:
    variables:
      amount: {type: money, unit: CNY, range: [0, 1000]}
      state: {type: category, codes: {normal: {}, sealed: {}}}
      late: {type: boolean}
    most_rows_per_holder: 3
breaks: [{from: 2022-04-15, affects: [pay.amount]}]
"""
MAPPING: Final = HEAD + (
    "sources:\n"
    "  a: {kind: csv, encoding: utf-8, files: data/a.csv}\n"
    "  p: {kind: csv, encoding: utf-8, files: data/p.csv}\n"
    "tables: {t: {source: a, key: 账号}}\n"
    "events:\n"
    "  pay:\n"
    "    source: p\n"
    "    key: 个人\n"
    "    month: {column: 月, parse: [yyyymm], unparsed: null}\n"
    "    variables:\n"
    "      amount: {column: 元, unit: 元}\n"
    "      state: {column: 状, codes: {正: normal, 封: sealed}}\n"
    "variables: {opened: {from: t.开, parse: [yyyy-mm-dd]}}\n"
)
ACCOUNTS: Final = "账号,开\na,2021-01-05\nb,2022-05-01\nc,2021-01-05\n"
PAID: Final = (
    "个人,月,元,状\n"
    "a,202205,10,正\n"
    "a,202205,995.50,正\n"  # 1,005.50 in all: added, then clipped
    "a,202204,2,封\n"
    "a,202204,3,正\n"  # two states in one month: neither
    "a,202112,1,正\n"
    "a,202111,7,正\n"  # a fourth month
    "b,202205,,封\n"
    "b,202206,5,正\n"  # has not come yet
    "b,unknown,5,正\n"
    "x,202205,9,正\n"  # nobody's
)
MONTHS: Final = {text: month_of_text(text) for text in ("2021-12", "2022-04", "2022-05")}


def place(tmp_path: Path, paid: str = PAID, text: str = MAPPING) -> Path:
    return folder(tmp_path, text, {"data/a.csv": ACCOUNTS, "data/p.csv": paid}, DICTIONARY)


def meant(text: str = DICTIONARY) -> Dictionary:
    return dictionaries.parse(read(text.encode(), "paid.yaml"))


def order(where: Path) -> list[str]:
    secret = holder_key(where / ".hpfed", seeded())
    return sorted("abc", key=lambda key: holder(secret, key))


def stored(where: Path) -> list[tuple[Any, ...]]:
    held = snapshot.open_for(where / ".hpfed", AS_OF)
    with duckdb.connect() as connection:
        return connection.execute(
            "SELECT row, month, amount, amount__s, state, state__s, late__s FROM read_parquet($p)",
            {"p": str(held.folder / "events.pay.parquet")},
        ).fetchall()


# --- the dictionary


def test_a_dictionary_with_events_survives_its_canonical_bytes_and_one_without_says_nothing_of_them() -> None:
    assert Dictionary.of_content(meant().content) == meant()
    assert b"events" not in meant(DICTIONARY.split("derived:")[0]).content
    turned = DICTIONARY.replace("{normal: {}, sealed: {}}", "{sealed: {}, normal: {}}")
    assert meant(turned).digest != meant().digest


@pytest.mark.parametrize(
    ("written", "instead", "key"),
    [
        ("of_events: pay, rule: count", "of_events: pays, rule: count", "derived.times.of_events"),
        ("rule: count", "rule: count, variable: state", "derived.times.variable"),
        ("rule: first", "rule: first, variable: amount", "derived.began.variable"),
        ("rule: latest, variable: state", "rule: latest", "derived.state.variable"),
        ("variable: amount, months: 3", "variable: state, months: 3", "derived.paid_12m.variable"),
        ("variable: amount, months: 3", "variable: amuont, months: 3", "derived.paid_12m.variable"),
        ("variable: amount, months: 3", "variable: amount, months: 4", "derived.paid_12m.months"),
        (", range: [0, 500]", "", "derived.paid_12m.range"),
        ("range: [0, 500]", "range: [500, 0]", "derived.paid_12m.range"),
        ("rule: gap, months: 2", "rule: gap", "derived.stopped.months"),
        ("opened: opened", "opened: times", "derived.stopped.opened"),
        ("rule: streak", "rule: streak, range: [0, 2]", "derived.running.range"),
        ("  pay:\n", "  opened:\n", "events.opened"),
        ("      late:", "      count:", "events.pay.variables.count"),
        ("range: [0, 1000]", "range: [1000, 0]", "events.pay.variables.amount.range"),
        ("codes: {normal", "codes: {no-rmal", "events.pay.variables.state.codes.no-rmal"),
        ("late: {type: boolean}", "late: {type: number, range: [0, 1]}", "events.pay.variables.late"),
        ("most_rows_per_holder: 3", "most_rows_per_holder: 0", "events.pay.most_rows_per_holder"),
        ("affects: [pay.amount]", "affects: [pay.amuont]", "breaks[0].affects"),
    ],
)
def test_what_a_dictionary_may_not_say_of_events_stands_at_its_key(written: str, instead: str, key: str) -> None:
    assert written in DICTIONARY
    with pytest.raises(ConfigError) as caught:
        meant(DICTIONARY.replace(written, instead))
    assert key in [each.at.key for each in caught.value.every() if each.at]


def test_names_of_events_are_full_or_plain_where_one_table_has_them() -> None:
    paid = meant()
    assert [paid.event_of(name) for name in ("pay", "pay.count", "count", "amount", "pay.amount")] == [
        ("pay", ""), ("pay", ""), ("pay", ""), ("pay", "amount"), ("pay", "amount"),
    ]  # fmt: skip
    assert [paid.event_of(name) for name in ("state", "opened", "pay.none", "none.amount", "none")] == [None] * 5
    assert paid.needs("amount") == {"pay.amount"}
    assert paid.needs("stopped") == {"stopped"}
    assert paid.made_of("stopped") == ("pay", "opened")
    types = [paid.type_of(name) for name in ("paid_12m", "times", "state", "running", "stopped", "began", "pay")]
    assert types == ["money", "integer", "category", "integer", "boolean", "date", "events"]
    assert paid.codes("state") == ("normal", "sealed")


# --- ingest


def test_rows_of_a_month_are_added_up_then_clipped_and_the_latest_months_are_kept(tmp_path: Path) -> None:
    where = place(tmp_path)
    found = run(where)
    a, b = (order(where).index(key) for key in "ab")
    expected = [
        (a, MONTHS["2021-12"], 100, 0, 0, 0, 7),
        (a, MONTHS["2022-04"], 500, 0, -1, 2, 7),
        (a, MONTHS["2022-05"], 100_000, 6, 0, 0, 7),
        (b, MONTHS["2022-05"], 0, 2, 1, 0, 7),
    ]
    assert stored(where) == sorted(expected)
    assert found.quality.events is not None
    assert found.quality.events["pay"].model_dump() == {
        "rows": 10, "alone": 1, "undated": 1, "later": 1, "merged": 2, "dropped": 1, "kept": 4,
    }  # fmt: skip
    assert found.quality.event_variables is not None
    assert found.quality.event_variables["pay.amount"].missing == 1
    assert found.quality.event_variables["pay.amount"].clipped_high == 1
    assert found.quality.event_variables["pay.late"].impossible == 4


def test_no_key_is_in_any_file_of_a_snapshot_with_events(tmp_path: Path) -> None:
    keys = ["canary-1", "canary-2"]
    accounts = "账号,开\n" + "".join(f"{key},2021-01-05\n" for key in keys)
    paid = "个人,月,元,状\n" + "".join(f"{key},202205,1,正\n" for key in keys)
    where = folder(tmp_path, MAPPING, {"data/a.csv": accounts, "data/p.csv": paid}, DICTIONARY)
    run(where)
    for path in (where / ".hpfed").rglob("*"):
        assert path.is_dir() or b"canary" not in path.read_bytes().lower()


def test_content_follows_event_rows_and_not_their_order(tmp_path: Path) -> None:
    first = run(place(tmp_path / "a")).content
    head, *lines = PAID.splitlines(keepends=True)
    assert run(place(tmp_path / "b", "".join([head, *reversed(lines)]))).content == first
    assert run(place(tmp_path / "c", PAID.replace("202112,1", "202112,2"))).content != first
    assert run(place(tmp_path / "d", PAID.replace("202112,1", "202201,1"))).content != first


@pytest.mark.parametrize(
    ("written", "instead", "code"),
    [
        ("a,202112,1,正", "a,202112,1,销", "ROW_OTHER"),
        ("a,202112,1,正", "a,202112,1o,正", "ROW_UNPARSED"),
        ("a,202112,1,正", "1.2E+11,202112,1,正", "ROW_DIGITS_LOST"),
    ],
)
def test_an_event_text_that_no_rule_reads_stops_the_ingest_and_is_placed(
    written: str, instead: str, code: str, tmp_path: Path
) -> None:
    stopped = fault(place(tmp_path, PAID.replace(written, instead)))
    assert stopped.code == code
    assert "p.csv [5]" in stopped.text("en")
    assert not (tmp_path / ".hpfed" / "snapshots").exists()


def test_texts_of_rows_of_nobody_stop_nothing(tmp_path: Path) -> None:
    assert run(place(tmp_path, PAID + "x,202205,?,?\n")).rows == 3


@pytest.mark.parametrize(
    ("written", "instead", "code", "key"),
    [
        ("  pay:", "  payd:", "MAP_VARIABLE", "events.payd"),
        ("      state:", "      stat:", "MAP_VARIABLE", "events.pay.variables.stat"),
        ("source: p", "source: q", "MAP_SOURCE", "events.pay.source"),
        (", key: 账号", "", "MAP_TABLE", "events.pay.key"),
        ("unit: 元", "unit: 米", "MAP_UNIT", "events.pay.variables.amount.unit"),
        ("{column: 元, unit: 元}", "{unit: 元}", "MAP_FROM", "events.pay.variables.amount"),
        ("封: sealed", "封: closed", "MAP_CODE", "events.pay.variables.state.codes.封"),
        ("column: 月", "column: 月份", "MAP_COLUMN_MISSING", "events.pay.month"),
        ("key: 个人", "key: 人", "MAP_COLUMN_MISSING", "events.pay.key"),
        (", parse: [yyyymm]", "", "MAP_PARSE", "events.pay.month"),
        ("column: 状", "from: t.状, column: 状", "MAP_USELESS", "events.pay.variables.state.from"),
    ],
)
def test_a_fault_of_a_mapping_of_events_stands_at_its_key(
    written: str, instead: str, code: str, key: str, tmp_path: Path
) -> None:
    found = mapping.check(place(tmp_path, text=MAPPING.replace(written, instead, 1)))
    assert (code, key) in [(each.code, each.at.key) for each in found if each.at]


# --- what a snapshot gives back


def test_what_events_make_is_computed_and_a_column_of_the_city_overrides_it(tmp_path: Path) -> None:
    where = place(tmp_path / "made")
    run(where)
    names = ("paid_12m", "times", "state", "running", "stopped", "began", "paying")
    (table,) = snapshot.open_for(where / ".hpfed", AS_OF).batches(names)
    at = {key: order(where).index(key) for key in "abc"}

    def given(name: str) -> dict[str, int | None]:
        found = column(table, meant(), name, AS_OF)
        return {key: int(found.values[row]) if found.known[row] else None for key, row in at.items()}

    assert given("paid_12m") == {"a": 50_000, "b": None, "c": 0}
    assert given("times") == {"a": 3, "b": 1, "c": 0}
    assert given("state") == {"a": 0, "b": 1, "c": None}
    assert given("running") == {"a": 2, "b": 1, "c": 0}
    assert given("stopped") == {"a": 0, "b": None, "c": 1}  # b opened this month
    assert given("paying") == {"a": 2, "b": None, "c": 0}
    days = [date(2021, 12, 1).toordinal(), date(2022, 5, 1).toordinal()]
    assert given("began") == {"a": days[0] - 719_163, "b": days[1] - 719_163, "c": None}

    own = MAPPING.replace("variables: {", "variables: {times: {from: t.次}, ")
    where = folder(
        tmp_path / "own",
        own,
        {"data/a.csv": "账号,开,次\na,2021-01-05,2\nb,2022-05-01,\nc,2021-01-05,0\n", "data/p.csv": PAID},
        DICTIONARY,
    )
    run(where)
    (table,) = snapshot.open_for(where / ".hpfed", AS_OF).batches(["times"])
    at = {key: order(where).index(key) for key in "abc"}
    assert given("times") == {"a": 2, "b": None, "c": 0}


def test_a_city_without_events_says_so_and_its_holders_have_none(tmp_path: Path) -> None:
    text = MAPPING[: MAPPING.index("events:")] + MAPPING[MAPPING.index("variables: {opened") :]
    where = place(tmp_path, text=text)
    run(where)
    held = snapshot.open_for(where / ".hpfed", AS_OF)
    assert held.cannot == (
        "began", "paid_12m", "pay", "pay.amount", "pay.late", "pay.state", "paying", "running", "state", "stopped", "times",
    )  # fmt: skip
    (table,) = held.batches(["times", "pay.amount", "pay"])
    assert not table.events
    assert not table.columns["times"].known.any()


def test_batches_never_part_the_rows_of_a_holder(tmp_path: Path) -> None:
    where = place(tmp_path)
    run(where)
    held = snapshot.open_for(where / ".hpfed", AS_OF)
    (whole,) = held.batches(["pay.amount"])
    parts = list(held.batches(["pay.amount"], 1))
    assert [len(each.events["pay"].month) for each in parts] == [
        int((whole.events["pay"].holder == row).sum()) for row in range(3)
    ]
    assert all((each.events["pay"].holder == 0).all() for each in parts)
    found = np.concatenate([each.events["pay"].columns["amount"].values for each in parts])
    assert found.tolist() == whole.events["pay"].columns["amount"].values.tolist()
