"""The filter language as people write it, and the operands that it accepts."""

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from protocols import filters
from protocols.errors import ConfigError
from protocols.filters import All, Any_, Filter, Leaf, Not, compare_values, leaves
from protocols.yamltext import Record, fit, read


class Held(Record):
    when: Filter


def parsed(text: str) -> Any:
    return fit(Held, read(f"when: {text}\n".encode(), "f.yaml")).when


def faults_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return [(each.code, each.at.key) for each in caught.value.every() if each.at]


def test_the_four_forms_are_told_apart_by_their_key() -> None:
    assert parsed("{variable: age, at_least: 45}") == Leaf(variable="age", at_least="45")
    nested = parsed("{all: [{variable: a, is: x}, {any: [{not: {variable: b, missing: true}}]}]}")
    assert isinstance(nested, All)
    assert isinstance(nested.all[1], Any_)
    assert isinstance(nested.all[1].any[0], Not)
    assert [leaf.variable for leaf in leaves(nested)] == ["a", "b"]


def test_an_operand_stays_the_text_that_was_written_also_from_json() -> None:
    assert parsed("{variable: a, in: [01, 1e3, no]}").in_ == ("01", "1e3", "no")
    leaf = Leaf.model_validate_json('{"variable": "a", "in": [true, 1, 0.5, "x"]}', strict=True)
    assert leaf.in_ == ("true", "1", "0.5", "x")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{variable: a}", [("SCHEMA_VALUE", "when")]),
        ("{variable: a, is: x, above: 1}", [("SCHEMA_VALUE", "when")]),
        ("{is: x}", [("SCHEMA_MISSING", "when.variable")]),
        ("{variable: a, equals: 1}", [("SCHEMA_KEY", "when.equals")]),
        ("{variable: a, in: []}", [("SCHEMA_VALUE", "when.in")]),
        ("{variable: a, in: x}", [("SCHEMA_VALUE", "when.in")]),
        ("{variable: a, between: [1]}", [("SCHEMA_VALUE", "when.between[1]")]),
        ("{variable: a, between: [1, 2, 3]}", [("SCHEMA_VALUE", "when.between")]),
        ("{variable: a, missing: maybe}", [("SCHEMA_VALUE", "when.missing")]),
        ("{all: []}", [("SCHEMA_VALUE", "when.all")]),
        ("{all: {variable: a, is: x}}", [("SCHEMA_VALUE", "when.all")]),
        ("{not: [{variable: a, is: x}]}", [("SCHEMA_VALUE", "when.not")]),
        ("{any: [{variable: a, is: [x]}]}", [("SCHEMA_VALUE", "when.any[0].is")]),
        ("{all: [{variable: a, is: x}], any: []}", [("SCHEMA_KEY", "when.any")]),
        ("age > 45", [("SCHEMA_VALUE", "when")]),
        ("[{variable: a, is: x}]", [("SCHEMA_VALUE", "when")]),
        ("{}", [("SCHEMA_MISSING", "when.variable")]),
    ],
)
def test_a_filter_of_another_shape_is_refused_where_it_goes_wrong(text: str, faults: list[tuple[str, str]]) -> None:
    assert faults_of(text) == faults


@pytest.mark.parametrize("expression", ["age > 45", "__import__('os')", "1 = 1; drop table", "lambda row: True"])
def test_an_expression_is_never_evaluated_only_refused_or_compared_as_text(expression: str) -> None:
    with pytest.raises(ValidationError):
        Held.model_validate({"when": expression})
    leaf = Leaf.model_validate({"variable": "age", "above": expression})
    with pytest.raises(ValueError, match="not a number"):
        compare_values(leaf, np.zeros(1), np.ones(1, dtype=bool), filters.integer)


@pytest.mark.parametrize(
    ("word", "value"), [("6000", 600_000), ("0.29", 29), ("-0.5", -50), ("1e3", 100_000), (".1", 10), ("5.", 500)]
)
def test_yuan_become_whole_fen_exactly(word: str, value: int) -> None:
    assert filters.fen(word) == value


@pytest.mark.parametrize(
    "word", ["0.001", "1e-3", "999999999999999.001", "abc", "", "1_000", "１２", " 1", "NaN", "1e16"]
)
def test_what_is_no_amount_of_fen_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"decimals|number|beyond"):
        filters.fen(word)


def test_numbers_are_exact_up_to_limits_that_int64_and_floats_can_hold() -> None:
    assert filters.decimal("0.1") + filters.decimal("0.2") == Decimal("0.3")
    assert filters.decimal("1e15") == 10**15
    assert filters.decimal("1e-40") > 0
    assert filters.decimal("0e-300") == 0
    for word in ("1.1e15", "-1e16", "1e-41", "1e999"):
        with pytest.raises(ValueError, match="beyond"):
            filters.decimal(word)
    assert filters.fen("1e15") < 2**63


def test_whole_numbers_may_be_written_with_a_point_but_not_with_a_part() -> None:
    assert filters.integer("45.0") == filters.integer("4.5e1") == 45
    with pytest.raises(ValueError, match="not a whole number"):
        filters.integer("45.5")


def test_dates_are_days_and_written_in_one_way() -> None:
    assert filters.days("1970-01-02") == 1
    assert filters.days("2022-05-31") == (date(2022, 5, 31) - date(1970, 1, 1)).days
    for word in ("20220531", "2022-W22-2", "2022-5-31", "2022-02-30", "31.05.2022", "２０２２-05-31"):
        with pytest.raises(ValueError, match=r"date|day|month"):
            filters.days(word)


def test_truths_are_true_and_false() -> None:
    assert (filters.flag("true"), filters.flag("false")) == (1, 0)
    with pytest.raises(ValueError, match="neither"):
        filters.flag("yes")


def test_ends_that_are_turned_round_are_refused_and_equal_ends_are_a_point() -> None:
    values, known = np.array([1, 2, 3]), np.ones(3, dtype=bool)
    with pytest.raises(ValueError, match="lower end"):
        compare_values(parsed("{variable: a, between: [3, 1]}"), values, known, filters.integer)
    point = compare_values(parsed("{variable: a, between: [2, 2]}"), values, known, filters.integer)
    assert point.true.tolist() == [False, True, False]
