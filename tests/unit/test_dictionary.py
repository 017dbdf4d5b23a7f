"""Dictionaries: the built-in one as it is specified, derived variables against a per-row oracle, bad files refused at their lines."""

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import snapshot
from protocols import dictionary as dictionaries
from protocols.canonical import canonical, parse_canonical
from protocols.dictionary import Boolean, Category, Column, Date, Dictionary, Integer, Money, Number, Set, Table, column
from protocols.errors import ConfigError
from protocols.statistics import rows
from protocols.statistics.rows import Row
from protocols.yamltext import read
from tests.laws.test_filters import table
from tests.oracles.dictionary_slow import derived

BUILT_IN: Final = dictionaries.load("hpf-flexible-employment@1")
AS_OF: Final = date(2022, 5, 31)
TABLE: Final = (
    Path(__file__).parents[1] / "vectors" / "dictionary" / "published.json"
)  # of the published study's fields

# --- the built-in dictionary

FIELDS: Final = """
sex birth_year occupation education marital personal_income account_status account_type channel bank product office contribution_type
payment_method consecutive_periods paid_6m paid_12m paid_24m paid_total withdrawals_6m withdrawals_12m withdrawals_24m withdrawn_6m
withdrawn_12m withdrawn_24m
"""
CLEANED: Final = "household_income homes period_amount"
BESIDE: Final = """
contribution_base opened withdrew_24m interrupted months_paying worries residence subsidy backpaid_6m backpaid_12m backpaid_24m
months_to_first_withdrawal closed closing_amount
"""
PUBLISHED: Final = (*FIELDS.split(), *CLEANED.split())


def test_the_built_in_dictionary_has_the_published_fields_and_those_beside_them() -> None:
    assert (len(FIELDS.split()), len(CLEANED.split())) == (25, 3)
    assert set(BUILT_IN.variables) == {*PUBLISHED, *BESIDE.split()}
    assert (BUILT_IN.name, BUILT_IN.unit) == ("hpf-flexible-employment@1", "account_holder")


def test_every_word_of_the_built_in_dictionary_is_there_in_both_languages() -> None:
    for name in BUILT_IN.known():
        for language in ("zh", "en"):
            assert BUILT_IN.label_of(name, language) != name
            for code in BUILT_IN.codes(name):
                assert BUILT_IN.code_label(name, code, language)
    chinese = [BUILT_IN.label_of(name, "zh") for name in BUILT_IN.known()]
    assert all(re.search("[\u4e00-\u9fff]", label) for label in chinese)
    assert len(set(chinese)) == len(chinese)


def test_the_built_in_dictionary_is_the_table_of_the_published_fields() -> None:
    rows = {name: (each["type"], each["label"]) for name, each in json.loads(TABLE.read_text(encoding="utf-8")).items()}
    assert sorted(rows) == sorted(PUBLISHED)
    for name, (said, zh) in rows.items():
        variable: Any = BUILT_IN.variables[name]
        if variable.type in ("integer", "money"):
            assert said.startswith(variable.type), name
            low, high = re.findall(r"\[(\d+), (\d+)\]", said)[0]
            assert variable.range == (int(low), int(high)), name
            null = re.search(r"null (\w+)", said)
            assert variable.default_null == (null[1] if null else "keep"), name
        else:
            assert variable.type == "category", name
            named = [part.split() for part in said.split(", ")]
            assert [words[0] for words in named] == list(variable.codes), name
            for code, *words in named:
                numbers = [word for word in words if word.isdigit()]
                assert [variable.codes[code].standard] == numbers or not numbers, (name, code)
                labels = [word for word in words if not word.isdigit()]
                assert all(variable.codes[code].zh.startswith(label) for label in labels), (name, code)
        words = sorted((variable.label.zh, zh.split()[0]), key=len)
        assert _within(*words), name


def _within(short: str, long: str) -> bool:
    """The characters of one label stand in the other, in order: 个人收入 in 个人月收入."""
    rest = iter(long)
    return all(mark in rest for mark in short)


def test_the_classes_of_sensitivity_follow_the_money() -> None:
    amounts = {name for name, variable in BUILT_IN.variables.items() if isinstance(variable, Money)}
    assert {name for name in amounts if BUILT_IN.variables[name].sensitivity != "C2"} == set()


def test_a_dictionary_travels_as_canonical_bytes_and_comes_back_the_same_in_the_same_order() -> None:
    back = Dictionary.of_content(BUILT_IN.content)
    assert back == BUILT_IN
    assert (back.content, back.digest) == (BUILT_IN.content, BUILT_IN.digest)
    for name in BUILT_IN.known():  # equal mappings may differ in order, and the order of codes is what an index means
        assert back.codes(name) == BUILT_IN.codes(name)
    assert parse_canonical(BUILT_IN.content, "dictionary")["derived"]["generation"]["bands"][0][0] == "00s"


def test_the_order_of_codes_is_part_of_the_digest() -> None:
    head = "dictionary: small\nversion: 1\nvariables:\n  tint: {type: category, codes: "
    one, other = (
        dictionaries.parse(read((head + codes).encode(), "f.yaml")) for codes in ("{a: {}, b: {}}}", "{b: {}, a: {}}}")
    )
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "change",
    [
        {"variables": []},
        {"variables": {"sex": []}},
        {"variables": {"sex": {"type": "category", "codes": {"male": {}}}}},
        {"variables": {"sex": {"type": "category", "codes": [["male"]]}}},
        {"variables": {"sex": {"type": "category", "codes": [[["male"], {}]]}}},
        {"variables": {"sex": {"type": "category", "codes": 5}}},
        {"derived": None},
        {"version": "1"},
        {"extra": 1},
    ],
)
def test_bytes_of_another_shape_are_no_dictionary(change: dict[str, Any]) -> None:
    content = canonical({**parse_canonical(BUILT_IN.content, "dictionary"), **change})
    with pytest.raises(ValueError, match=r"dictionary|Dictionary|dict"):
        Dictionary.of_content(content)


# --- derived variables


def _values(name: str) -> st.SearchStrategy[Any]:
    """Values of a given variable: all codes, and of a range its ends and whatever bands and rules turn on."""
    variable = BUILT_IN.variables[name]
    match variable:
        case Category(codes=codes):
            return st.sampled_from(list(codes))
        case Boolean():
            return st.booleans()
        case Integer(range=(low, high)):
            near = [
                edge
                for edge in (1939, 1942, 1959, 1969, 1970, 1977, 1999, 2006, 2009, 2010, 0, 1)
                if low <= edge <= high
            ]
            return st.sampled_from([low, high, *near]).map(Decimal) | st.integers(low, high).map(Decimal)
        case Money():
            turning = ["0", "0.01", "2999.99", "3000", "5999.99", "6000", "9999.99", "10000", "19999.99", "20000"]
            return st.sampled_from(turning).map(Decimal)
    raise TypeError(variable)


NEEDED: Final = sorted(frozenset().union(*(BUILT_IN.needs(name) for name in BUILT_IN.derived)))
ROWS: Final = st.lists(
    st.fixed_dictionaries({name: st.none() | _values(name) for name in NEEDED}), min_size=1, max_size=12
)


def plain(name: str, found: Column) -> list[Any]:
    """A column as the oracle gives it: codes as text, numbers as `Decimal`, `None` where missing."""
    codes = BUILT_IN.codes(name)
    return [
        (codes[value] if codes else Decimal(int(value))) if known else None
        for value, known in zip(found.values, found.known, strict=True)
    ]


@given(ROWS)
def test_every_derived_variable_of_the_built_in_dictionary_is_what_one_row_at_a_time_gives(
    rows: list[dict[str, Any]],
) -> None:
    columns = table(rows, BUILT_IN)
    for name in BUILT_IN.derived:
        assert plain(name, column(columns, BUILT_IN, name, AS_OF)) == [
            derived(BUILT_IN, name, row, AS_OF) for row in rows
        ], name


@pytest.mark.parametrize(
    ("birth_year", "income", "age", "generation", "segment"),
    [
        (1977, "6000", 45, "70s", "middle_aged"),  # 45 years belong to the upper side
        (1978, "6000", 44, "70s", "young_high_income"),  # 6,000 yuan too
        (1978, "5999.99", 44, "70s", "young_low_income"),
        (1942, "0", 80, "other", "middle_aged"),
        (1930, "0", 80, "other", "middle_aged"),  # clipped
        (2009, "0", 16, "00s", "young_low_income"),  # clipped from 13
        (1990, None, 32, "90s", None),  # the deciding rule is unknown
        (1970, None, 52, "70s", "middle_aged"),  # income does not decide
        (None, "9000", None, None, None),
    ],
)
def test_ages_generations_and_segments_at_their_edges(
    birth_year: int | None, income: str | None, age: int | None, generation: str | None, segment: str | None
) -> None:
    row: dict[str, Any] = dict.fromkeys(NEEDED)
    row["birth_year"] = None if birth_year is None else Decimal(birth_year)
    row["household_income"] = None if income is None else Decimal(income)
    columns = table([row], BUILT_IN)
    found = [plain(name, column(columns, BUILT_IN, name, AS_OF))[0] for name in ("age", "generation", "segment")]
    assert found == [age, generation, segment]


def test_small_unsigned_years_do_not_wrap_round() -> None:
    years = Table(2, {"birth_year": Column(np.array([2030, 1930], dtype=np.uint16), np.array([True, True]))})
    assert column(years, BUILT_IN, "age", AS_OF).values.tolist() == [16, 80]


def test_what_a_variable_is_made_of() -> None:
    assert BUILT_IN.needs("sex") == {"sex"}
    assert BUILT_IN.needs("age_band") == {"birth_year"}
    assert BUILT_IN.needs("segment") == {"birth_year", "household_income"}
    assert BUILT_IN.type_of("age") == "integer"
    assert BUILT_IN.type_of("segment") == "category"


def test_codes_stand_in_the_order_of_the_file_and_else_comes_last() -> None:
    assert BUILT_IN.codes("segment") == ("middle_aged", "young_low_income", "young_high_income")
    assert BUILT_IN.codes("generation")[-1] == "other"
    assert BUILT_IN.codes("interrupted") == ("false", "true")
    assert BUILT_IN.codes("birth_year") == ()
    assert BUILT_IN.code_label("interrupted", "true", "zh") == "是"


# --- files

HEAD: Final = """dictionary: small
version: 1
variables:
  year: {type: integer, range: [1930, 2030]}
  pay: {type: money, range: [0, 100]}
"""


def faults_of(text: str) -> list[tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        dictionaries.parse(read(text.encode(), "small.yaml"))
    return [(each.code, each.at.line, each.at.key) for each in caught.value.every() if each.at]


def test_a_small_dictionary_has_every_type() -> None:
    text = HEAD + (
        "  tint: {type: category, codes: {red: {}, blue: {zh: 蓝}}}\n  wishes: {type: set, codes: {a: {}, b: {}}, most_codes: 1}\n"
        "  own: {type: boolean}\n  rate: {type: number, range: [0, 0.5]}\n  since: {type: date, range: [2020-01-01, 2021-01-01]}\n"
        "derived:\n  age: {as_of_year_minus: year, range: [16, 80]}\n"
    )
    found = dictionaries.parse(read(text.encode(), "small.yaml"))
    kinds = (Integer, Money, Category, Set, Boolean, Number, Date)
    assert tuple(type(variable) for variable in found.variables.values()) == kinds
    assert found.code_label("tint", "blue", "en") == "蓝"
    assert found.code_label("tint", "red", "en") == "red"
    assert found.label_of("tint", "zh") == "tint"


@pytest.mark.parametrize(
    ("added", "line", "key"),
    [
        ("  _x: {type: boolean}\n", 6, "variables._x"),
        ("  scope: {type: boolean}\n", 6, "variables.scope"),
        ("  ci_low: {type: boolean}\n", 6, "variables.ci_low"),
        ("  pay__s: {type: boolean}\n", 6, "variables.pay__s"),
        ("derived:\n  pay__s: {of: year, bands: {a: [1, 2]}}\n", 7, "derived.pay__s"),
        ("  Naïve: {type: boolean}\n", 6, "variables.Naïve"),
        ("  t: {type: category, codes: {_missing: {}}}\n", 6, "variables.t.codes._missing"),
        ("  t: {type: category, codes: {}}\n", 6, "variables.t.codes"),
        ("  t: {type: integer, range: [5, 5]}\n", 6, "variables.t.range"),
        ("  t:\n    type: integer\n    range: [9, 1]\n", 8, "variables.t.range"),
        ("  t: {type: integer, range: [1]}\n", 6, "variables.t.range[1]"),
        ("  t: {type: money, range: [0, x]}\n", 6, "variables.t.range[1]"),
        ("  t: {type: date, range: [2020-02-30, 2021-01-01]}\n", 6, "variables.t.range[0]"),
        ("  t: {type: float, range: [0, 1]}\n", 6, "variables.t"),
        ("  t: {type: money, range: [0, 9], points: [10]}\n", 6, "variables.t.points"),
        ("  t: {type: money, range: [0, 9], centre: -1}\n", 6, "variables.t.centre"),
        ("  t: {type: money, range: [0, 9], spread: 0}\n", 6, "variables.t.spread"),
        ("  t: {type: integer, range: [1, 9], default_null: 0}\n", 6, "variables.t.default_null"),
        ("  t: {type: boolean, default_null: 0}\n", 6, "variables.t.default_null"),
        ("  t: {type: set, codes: {a: {}}, most_codes: 0}\n", 6, "variables.t.most_codes"),
        ("  t: {type: category, codes: {a: {from: 2022-02-01, until: 2022-01-01}}}\n", 6, "variables.t.codes.a.until"),
        ("derived:\n  year: {of: year, bands: {a: [1, 2]}}\n", 7, "derived.year"),
        ("derived:\n  t: {of: yaer, bands: {a: [1, 2]}}\n", 7, "derived.t"),
        ("derived:\n  t: {of: t, bands: {a: [1, 2]}}\n", 7, "derived.t"),
        ("derived:\n  t: {of: year, bands: {}}\n", 7, "derived.t.bands"),
        ("derived:\n  t: {of: year, bands: {a: [2, 1]}}\n", 7, "derived.t.bands.a"),
        ("derived:\n  t:\n    of: year\n    bands:\n      a: [1, 5]\n      b: [5, 9]\n", 11, "derived.t.bands.b"),
        ("derived:\n  t: {of: year, bands: {a-b: [1, 2]}}\n", 7, "derived.t.bands.a-b"),
        ("derived:\n  t: {of: year, bands: {a: [1, 2]}, else: _missing}\n", 7, "derived.t.else"),
        ("derived:\n  t: {of: year, bands: {a: [1, 2]}, codes: {b: {}}}\n", 7, "derived.t.codes.b"),
        ("derived:\n  t: {as_of_year_minus: pay, range: [1, 2]}\n", 7, "derived.t.as_of_year_minus"),
        ("derived:\n  t: {as_of_year_minus: year, range: [2, 1]}\n", 7, "derived.t.range"),
        ("derived:\n  t: {rules: []}\n", 7, "derived.t.rules"),
        ("derived:\n  t:\n    rules:\n      - {code: a, when: {variable: yaer, is: 1}}\n", 7, "derived.t"),
        ("derived:\n  t:\n    rules:\n      - {code: a, when: {variable: year, is: x}}\n", 9, "derived.t.rules[0].when"),
        ("derived:\n  t:\n    rules:\n      - {code: ' ', when: {variable: pay, is: 1}}\n", 9, "derived.t.rules[0].code"),
        ("derived:\n  b: {of: year, bands: {a: [1, 2]}}\n  t: {of: b, bands: {a: [1, 2]}}\n", 8, "derived.t.of"),
        ("derived:\n  t: {of: year}\n", 7, "derived.t.bands"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_refused_at_its_line_and_key(added: str, line: int, key: str) -> None:
    code, *_ = {code for code, *_ in faults_of(HEAD + added)}
    assert code in ("SCHEMA_VALUE", "SCHEMA_MISSING")
    assert faults_of(HEAD + added) == [(code, line, key)]


def test_no_variable_is_called_like_a_column_of_results_or_of_a_snapshot() -> None:
    """Its codes would stand in the place of a number, or its values in that of their status."""
    written = set(Row("count").published("pooled")) | rows.WHERE_MEANT
    assert written <= dictionaries.COLUMNS <= dictionaries.TAKEN
    assert dictionaries.STATUS == snapshot.STATUS


def test_a_circle_is_told_at_every_variable_in_it_and_nowhere_else() -> None:
    text = HEAD + (
        "derived:\n  fine: {of: year, bands: {a: [1, 2]}}\n"
        "  one: {rules: [{code: a, when: {variable: two, is: a}}]}\n  two: {rules: [{code: a, when: {variable: one, is: a}}]}\n"
    )
    assert faults_of(text) == [("SCHEMA_VALUE", 8, "derived.one"), ("SCHEMA_VALUE", 9, "derived.two")]


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("{variable: tint, is: rde}", "has no code 'rde'; did you mean 'red'?"),
        ("{variable: tint, above: red}", "cannot be compared by 'above'"),
        ("{variable: own, is: yes}", "neither true nor false"),
        ("{variable: pay, is: 0.001}", "more than two decimals"),
        ("{variable: since, above: 2022}", "not a date"),
        ("{variable: wishes, is: a}", "cannot be compared"),
        ("{variable: yera, is: 1}", "did you mean 'year'?"),
        ("{variable: year, between: [2, 1]}", "the lower end is above the upper one"),
        ("{variable: year, is: 1.5}", "not a whole number"),
    ],
)
def test_a_filter_that_does_not_fit_its_variable_is_refused_in_words(when: str, problem: str) -> None:
    text = HEAD + (
        "  tint: {type: category, codes: {red: {}, blue: {}}}\n  own: {type: boolean}\n  wishes: {type: set, codes: {a: {}}}\n"
        f"  since: {{type: date, range: [2020-01-01, 2021-01-01]}}\nderived:\n  t: {{rules: [{{code: a, when: {when}}}]}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        dictionaries.parse(read(text.encode(), "small.yaml"))
    assert problem in caught.value.text("en")


FACT: Final = "  paid: {type: money, unit: 亿元, range: [0, 100], timing: flow}\n"
ILL_FACTS: Final = {
    "an unknown type": ("  paid: {type: date, unit: 亿元, range: [0, 1]}\n", "facts.paid.type"),
    "no unit": ("  paid: {type: money, range: [0, 1]}\n", "facts.paid.unit"),
    "a unit that money is not counted in": ("  paid: {type: money, unit: CNY, range: [0, 1]}\n", "facts.paid.unit"),
    "a range that falls": ("  paid: {type: integer, unit: branch, range: [2, 1]}\n", "facts.paid.range"),
    "half a branch": ("  paid: {type: integer, unit: branch, range: [0, 1.5]}\n", "facts.paid.range"),
    "more than can be carried": ("  paid: {type: money, unit: 亿元, range: [0, 1000000]}\n", "facts.paid.range"),
    "a word of results": ("  summed: {type: money, unit: 亿元, range: [0, 1]}\n", "facts.summed"),
    "neither flow nor balance": (
        "  paid: {type: money, unit: 元, range: [0, 1], timing: stock}\n",
        "facts.paid.timing",
    ),
}


@pytest.mark.parametrize(("facts", "key"), ILL_FACTS.values(), ids=ILL_FACTS)
def test_a_fact_that_cannot_be_stated_is_refused_where_it_stands(facts: str, key: str) -> None:
    assert [each[2] for each in faults_of(HEAD + "facts:\n" + facts)] == [key]


def test_facts_are_part_of_what_a_dictionary_is_and_change_no_other_dictionary() -> None:
    plain, with_facts = (
        dictionaries.parse(read(text.encode(), "small.yaml")) for text in (HEAD, HEAD + "facts:\n" + FACT)
    )
    assert b"facts" not in plain.content
    assert plain.digest != with_facts.digest
    assert Dictionary.of_content(with_facts.content) == with_facts
    core = dictionaries.load("hpf-core@1")
    assert {name: core.timing_of(name) for name in ("deposited_year", "loan_balance", "loan_issued_year", "sex")} == {
        "deposited_year": "flow",
        "loan_balance": "balance",
        "loan_issued_year": "flow",
        "sex": None,
    }
    assert len(core.facts) == 9
    assert not core.variables["unit_type"].codes["other"].comparable  # type: ignore[union-attr] # a category


def test_a_dictionary_is_found_by_name_or_by_path_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(HEAD, encoding="utf-8")
    assert dictionaries.load("small.yaml", beside=tmp_path).name == "small@1"
    assert dictionaries.load(str(tmp_path / "small.yaml")).name == "small@1"
    with pytest.raises(ConfigError) as caught:
        dictionaries.load("other.yaml", beside=tmp_path)
    assert caught.value.code == "FILE_MISSING"
    with pytest.raises(ConfigError) as caught:
        dictionaries.load("hpf-flexible-employmnet@1")
    assert "did you mean 'hpf-flexible-employment@1'?" in caught.value.text("en")
    assert "hpf-flexible-employment@1" in caught.value.text("zh")


def test_labels_change_the_digest_and_white_space_does_not() -> None:
    def digest(text: str) -> str:
        return dictionaries.parse(read(text.encode(), "small.yaml")).digest

    assert digest(HEAD) == digest(
        HEAD.replace("  pay: {type: money, range: [0, 100]}", "  pay:\n    range: [0, 100]\n    type: money")
    )
    assert digest(HEAD) != digest(HEAD.replace("range: [0, 100]", "range: [0, 100], label: {zh: 缴}"))
