"""A text of any kind is read by the statement as by the second implementation, and no text makes the statement fail."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import casts
from node.connectors import Bound
from node.mapping import DROPPED, FILLED, MISSING, At, NumberForm, Rule
from protocols.errors import Place
from tests.oracles import ingest_pandas as oracle
from tests.unit.city_folder import AS_OF

HERE: Final = At("t", "c")
PLAIN: Final = Rule("v", "integer", HERE, Place("mapping.yaml"), "value", ("NULL", "\\N", "-", "/"), MISSING, 0, False)
PARSERS: Final = ("yyyymmdd", "yyyy-mm-dd", "yyyy/m/d", "yyyy年m月d日", "yyyymm", "yyyy", "excel_serial")
RULES: Final[tuple[tuple[Rule, oracle.Rule], ...]] = (
    (replace(PLAIN, low=-5, high=600), oracle.Rule("c", "integer", -5, 600)),
    (
        replace(PLAIN, kind="money", factor=100, low=-(10**17), high=10**17, null_status=DROPPED),
        oracle.Rule("c", "money", -(10**17), 10**17, unit=100, null=(None, DROPPED)),
    ),
    (
        replace(
            PLAIN, kind="money", factor=1_000_000, high=10**17, null_status=FILLED, form=NumberForm(suffixes=("元",))
        ),
        oracle.Rule("c", "money", 0, 10**17, unit=1_000_000, null=(0, FILLED), suffix="元"),
    ),
    (replace(PLAIN, kind="money", factor=1, high=10**8), oracle.Rule("c", "money", 0, 10**8)),
    (replace(PLAIN, kind="number", low=-1e16, high=1e16), oracle.Rule("c", "number", -1e16, 1e16)),
    (
        replace(PLAIN, make="snapshot_year_minus", low=1930, high=2030),
        oracle.Rule("c", "integer", 1930, 2030, make="age"),
    ),
    (
        replace(PLAIN, kind="date", parse=PARSERS, low=-(10**6), high=10**6),
        oracle.Rule("c", "date", -(10**6), 10**6, parse=PARSERS),
    ),
    (
        replace(PLAIN, make="year_of", parse=PARSERS, low=1930, high=2030),
        oracle.Rule("c", "integer", 1930, 2030, make="year_of", parse=PARSERS),
    ),
    (
        replace(PLAIN, kind="category", codes=(("男", 0), ("1", 1), ("01", 2)), other=1, null_value=-1),
        oracle.Rule("c", "category", codes={"男": 0, "1": 1, "01": 2}, other=1),
    ),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        yield opened


def read(connection: duckdb.DuckDBPyConnection, texts: list[str | None]) -> list[list[tuple[Any, int]]]:
    """For each rule the value, None where it is not known, and the status of each text."""
    bound, layers = Bound(), casts.Layers()
    relation = f"(SELECT unnest({bound.bind(texts)}) AS x0)"
    cleaned = layers.add(0, casts.clean("x0", bound), "c0")
    rules = [replace(rule, variable=f"v{number}") for number, (rule, _) in enumerate(RULES)]
    for number, rule in enumerate(rules):
        casts.cast(rule, number, casts.Column(HERE, cleaned, "text"), AS_OF, layers, bound)
    rows = connection.execute(layers.over(relation), bound.values).fetchall()
    return [
        [(None if row[place + 1] & 7 in (2, 3) else row[place], row[place + 1] & 7) for row in rows]
        for place in range(0, 2 * len(rules), 2)
    ]


mark = st.sampled_from("0123456789０１９.．,，-－+＋/年月日e元万 \u3000男")
digits = st.from_regex(r"[+-]?[0-9]{1,16}(\.[0-9]{0,21})?", fullmatch=True)
halves = st.from_regex(r"-?[0-9]{0,3}\.[0-9]{1,6}5(0{0,14}|0{0,14}1)", fullmatch=True)
grouped = st.from_regex(r"[0-9]{1,3}(,[0-9]{3}){1,4}(\.[0-9]{1,3})?元?", fullmatch=True)
days = st.dates().map(str) | st.from_regex(r"[0-9]{4}[/年-][0-9]{1,2}[/月-][0-9]{1,2}日?", fullmatch=True)
compact = st.from_regex(r"[0-9]{4,8}", fullmatch=True)
words = st.sampled_from(["", " ", "男", "1", "01", "NULL", "/", "男\u200b", "e\u0301", "\u00e9", "\r\n1\r\n"])
any_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
text = st.one_of(st.text(mark, max_size=10), digits, halves, grouped, days, compact, words, any_text, st.none())


@settings(max_examples=25)
@given(texts=st.lists(text, min_size=40, max_size=80))
def test_every_text_is_read_as_the_second_implementation_reads_it(
    connection: duckdb.DuckDBPyConnection, texts: list[str | None]
) -> None:
    for (_, rule), got in zip(RULES, read(connection, texts), strict=True):
        for raw, found in zip(texts, got, strict=True):
            assert found == expected(raw, rule), (raw, rule)


def expected(raw: str | None, rule: oracle.Rule) -> tuple[Any, int]:
    value, status = oracle.cell(raw, rule, AS_OF)
    return (None, status) if value is None else (value, status)


def test_the_rules_cover_every_way_of_reading() -> None:
    assert {rule.kind for rule, _ in RULES} == {"integer", "money", "number", "date", "category"}
    assert {rule.make for rule, _ in RULES} == {"value", "snapshot_year_minus", "year_of"}
