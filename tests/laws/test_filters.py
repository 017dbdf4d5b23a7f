"""Filters against a slow three-valued oracle, and Kleene's laws over all rows at once."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocols import dictionary as dictionaries
from protocols.dictionary import Column, Dictionary, Table, holds
from protocols.filters import All, Any_, Leaf, Not, Truth, leaves
from protocols.yamltext import read
from tests.oracles import filters_slow

AS_OF: Final = date(2022, 5, 31)
EPOCH: Final = date(1970, 1, 1)
SMALL: Final = dictionaries.parse(
    read(
        b"""
dictionary: small
version: 1
variables:
  colour: {type: category, codes: {red: {}, green: {}, blue: {}}}
  rooms: {type: integer, range: [-3, 3]}
  rent: {type: money, range: [-5, 5]}
  share: {type: number, range: [-1, 1]}
  warm: {type: boolean}
  since: {type: date, range: [2022-01-01, 2022-01-09]}
""",
        "small.yaml",
    )
)
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "colour": st.sampled_from(["red", "green", "blue"]),
    "rooms": st.integers(-3, 3).map(Decimal),
    "rent": st.integers(-500, 500).map(lambda fen: Decimal(fen) / 100),
    "share": st.sampled_from(["-1", "-0.5", "0", "0.25", "1"]).map(Decimal),
    "warm": st.booleans(),
    "since": st.integers(0, 8).map(lambda days: date(2022, 1, 1) + timedelta(days)),
}
ROWS: Final = st.lists(st.fixed_dictionaries({name: st.none() | some for name, some in VALUES.items()}), max_size=6)


def word(value: Any) -> str:
    """As a person writes it in a file."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@st.composite
def comparisons(draw: st.DrawFn) -> Leaf:
    name = draw(st.sampled_from(sorted(VALUES)))
    operators = ["is", "in", "missing"]
    if name not in ("colour", "warm"):
        operators += ["at_least", "above", "at_most", "below", "between"]
    match draw(st.sampled_from(operators)):
        case "missing":
            return Leaf.model_validate({"variable": name, "missing": draw(st.booleans())})
        case "in":
            words = draw(st.lists(VALUES[name].map(word), min_size=1, max_size=3))
            return Leaf.model_validate({"variable": name, "in": words})
        case "between":
            ends = sorted(draw(st.tuples(VALUES[name], VALUES[name])))
            return Leaf.model_validate({"variable": name, "between": [word(end) for end in ends]})
        case operator:
            return Leaf.model_validate({"variable": name, operator: word(draw(VALUES[name]))})


Condition = Leaf | All | Any_ | Not
CONDITIONS: Final[st.SearchStrategy[Condition]] = st.recursive(
    comparisons(),
    lambda part: st.one_of(
        st.lists(part, min_size=1, max_size=3).map(lambda parts: All(all=tuple(parts))),
        st.lists(part, min_size=1, max_size=3).map(lambda parts: Any_(any=tuple(parts))),
        part.map(lambda one: Not.model_validate({"not": one})),
    ),
    max_leaves=8,
)


def table(rows: list[dict[str, Any]], dictionary: Dictionary) -> Table:
    """Rows of plain values as the columns of a snapshot. What is missing holds a value all the same, which must not matter."""
    columns = {}
    for name in rows[0] if rows else VALUES:
        values = [_carried(dictionary, name, row[name]) for row in rows]
        columns[name] = Column(np.array(values), np.array([row[name] is not None for row in rows], dtype=bool))
    return Table(len(rows), columns)


def _carried(dictionary: Dictionary, name: str, value: Any) -> Any:
    match value:
        case None:
            return 1
        case bool():
            return int(value)
        case str():
            return dictionary.codes(name).index(value)
        case date():
            return (value - EPOCH).days
        case Decimal():
            scaled = value * 100 if dictionary.type_of(name) == "money" else value
            return float(scaled) if dictionary.type_of(name) == "number" else int(scaled)
    raise TypeError(value)


def answers(condition: Condition, rows: list[dict[str, Any]]) -> list[bool | None]:
    found = holds(table(rows, SMALL), SMALL, condition, AS_OF)
    assert not np.any(found.true & ~found.known)
    return [bool(true) if known else None for true, known in zip(found.true, found.known, strict=True)]


@given(CONDITIONS, ROWS)
def test_a_filter_over_columns_says_what_kleenes_tables_say_row_by_row(
    condition: Condition, rows: list[dict[str, Any]]
) -> None:
    SMALL.check_filter(condition, "cohort")
    assert answers(condition, rows) == [filters_slow.truth(condition, row) for row in rows]


@given(CONDITIONS, CONDITIONS, ROWS)
def test_de_morgan_holds_and_not_undoes_itself(first: Condition, second: Condition, rows: list[dict[str, Any]]) -> None:
    both = Not.model_validate({"not": All(all=(first, second))})
    either = Any_(any=tuple(Not.model_validate({"not": each}) for each in (first, second)))
    assert answers(both, rows) == answers(either, rows)
    assert answers(Not.model_validate({"not": Not.model_validate({"not": first})}), rows) == answers(first, rows)


@given(CONDITIONS, CONDITIONS, ROWS)
def test_order_and_repetition_say_nothing(first: Condition, second: Condition, rows: list[dict[str, Any]]) -> None:
    for node, key in ((All, "all"), (Any_, "any")):
        plain = node.model_validate({key: (first, second)})
        shuffled = node.model_validate({key: (second, first, second)})
        assert answers(plain, rows) == answers(shuffled, rows)
        assert answers(node.model_validate({key: (first,)}), rows) == answers(first, rows)


@given(CONDITIONS, ROWS, st.sampled_from(sorted(VALUES)))
def test_learning_a_missing_value_never_turns_a_settled_answer_round(
    condition: Condition, rows: list[dict[str, Any]], name: str
) -> None:
    """Monotone in knowledge, as long as nobody asks whether the value is missing."""
    if any(leaf.missing is not None for leaf in leaves(condition)):
        return
    unknown = [{**row, name: None} for row in rows]
    for before, after in zip(answers(condition, unknown), answers(condition, rows), strict=True):
        assert before is None or before == after


@given(CONDITIONS, ROWS, st.integers(0, 6))
def test_rows_are_looked_at_one_by_one(condition: Condition, rows: list[dict[str, Any]], cut: int) -> None:
    assert answers(condition, rows[:cut]) + answers(condition, rows[cut:]) == answers(condition, rows)
    assert answers(condition, rows[::-1]) == answers(condition, rows)[::-1]


@given(CONDITIONS)
def test_a_filter_survives_being_written_down(condition: Condition) -> None:
    written = condition.model_dump_json(by_alias=True, exclude_none=True)
    assert type(condition).model_validate_json(written, strict=True) == condition


def test_the_truth_of_nothing_is_no_rows() -> None:
    found = holds(table([], SMALL), SMALL, Leaf(variable="warm", missing=True), AS_OF)
    assert isinstance(found, Truth)
    assert len(found.true) == len(found.known) == 0
