"""Terms, columns and the standardising round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.dictionary import Column, Dictionary
from protocols.errors import ConfigError
from protocols.models.design import Columns, Design, Moments, Piece, dependent, parse, standardise
from tests.models.data import dictionary

WORK: dict[str, dict[str, str]] = {"driver": {}, "courier": {}, "other": {}}


@pytest.fixture(scope="module")
def meant() -> Dictionary:
    return dictionary(
        {
            "age": {"type": "integer", "range": [16, 80]},
            "income": {"type": "money", "range": ["0", "1000"]},
            "debt": {"type": "number", "range": ["-5", "5"]},
            "work": {"type": "category", "codes": WORK},
            "married": {"type": "boolean"},
            "born": {"type": "date", "range": ["1950-01-01", "2010-01-01"]},
        }
    )


@pytest.mark.parametrize(
    "text",
    [
        "age",
        "city.region",
        "log1p(income)",
        "log(age)",
        "sqrt(income)",
        "square(debt)",
        "bands(age, [30, 45.5])",
        "work:married",
        "log1p(income):bands(age, [30])",
    ],
)
def test_a_term_of_the_grammar_is_read_and_written_back(text: str) -> None:
    assert str(parse(text)) == text
    assert str(parse(f"  {text.replace(', ', ' ,').replace(':', ' : ')}  ")) == text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("Age", 1),
        ("age:", 5),
        ("age:work:married", 9),
        ("exp(age)", 5),
        ("log1p(age", 10),
        ("log1p(log(age))", 10),
        ("bands(age, [45, 30])", 21),
        ("bands(age, [])", 13),
        ("age + 1", 4),
        ("__import__('os')", 1),
        ("city.", 6),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, place: int) -> None:
    with pytest.raises(ConfigError, match=f"from character {place} on") as refused:
        parse(text)
    assert refused.value.code == "MODEL_TERM"


@given(st.text("abcity.log1p():,[]0 ", max_size=20))
def test_every_text_is_a_term_or_a_refusal(text: str) -> None:
    try:
        found = parse(text)
    except ConfigError:  # and no other error
        return
    assert parse(str(found)) == found


def test_columns_have_the_names_and_public_ranges_of_the_contract(meant: Dictionary) -> None:
    terms = ["age", "work", "log1p(income)", "square(debt)", "bands(age, [30, 45])", "work:married", "debt:married"]
    pieces = Design.of(terms, meant).pieces
    assert [piece.name for piece in pieces] == [
        "age",
        "work[courier]",
        "work[other]",
        "log1p(income)",
        "square(debt)",
        "bands(age, [30, 45])[30-45]",
        "bands(age, [30, 45])[>=45]",
        "work[courier]:married[true]",
        "work[other]:married[true]",
        "debt:married[true]",
    ]
    ranges = {piece.name: (piece.low, piece.high) for piece in pieces}
    assert ranges["age"] == (16, 80)
    assert ranges["log1p(income)"] == (0, float(np.log1p(1000)))
    assert ranges["square(debt)"] == (0, 25)
    assert ranges["debt:married[true]"] == (-5, 5)
    assert pieces[1].other == "work[other]"
    assert pieces[2].other == ""


def read(**columns: tuple[list[float], list[bool]]) -> dict[str, Column]:
    return {name: Column(np.array(values), np.array(known)) for name, (values, known) in columns.items()}


def test_rows_become_columns_and_a_missing_value_is_left_out_or_has_a_column_of_its_own(meant: Dictionary) -> None:
    rows = read(
        age=([30, 44, 45, 20], [True] * 4),
        income=([10_000, 0, 500, 99], [True, True, True, False]),
        work=([0, 1, 2, 1], [True] * 4),
    )
    squares = Design.of(["sqrt(income)", "square(age)", "log(age)", "age:work"], meant).matrix(rows.__getitem__, 4)[0]
    assert np.allclose(squares[0], [10, 900, np.log(30), 0, 0])
    assert np.allclose(squares[2], [5**0.5, 2025, np.log(45), 0, 45])
    terms = ["log1p(income)", "bands(age, [30, 45])", "work"]
    matrix, whole = Design.of(terms, meant).matrix(rows.__getitem__, 4)
    assert whole.tolist() == [True, True, True, False]
    assert matrix[:3].tolist() == [
        [float(np.log1p(100)), 1, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [float(np.log1p(5)), 0, 1, 0, 1],
    ]
    design = Design.of(terms, meant, "indicator")
    matrix, whole = design.matrix(rows.__getitem__, 4)
    assert whole.all()
    assert [piece.name for piece in design.pieces[-3:]] == ["income[_missing]", "age[_missing]", "work[_missing]"]
    assert matrix[3].tolist() == [0, 0, 0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("term", "code", "said"),
    [
        ("agee", "STUDY_VARIABLE", "did you mean 'age'"),
        ("born", "MODEL_TYPE", "born is a date"),
        ("log1p(work)", "MODEL_TYPE", "work is a category"),
        ("log(income)", "MODEL_RANGE", r"\[0, 1000\]"),
        ("sqrt(debt)", "MODEL_RANGE", r"\[-5, 5\]"),
        ("log1p(debt)", "MODEL_RANGE", r"\[-5, 5\]"),
        ("city.region", "STUDY_VARIABLE", r"city\.region"),
    ],
)
def test_a_term_that_does_not_fit_the_dictionary_is_refused(meant: Dictionary, term: str, code: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        Design.of([term], meant)
    assert refused.value.code == code
    with pytest.raises(ConfigError, match="age"):
        Design.of(["age", " age "], meant)


def moments(nonzero: list[float], rows: int = 100) -> Moments:
    counts = np.array(nonzero)
    return Moments(rows, counts, counts, counts, np.array([3.0 if count else 0.0 for count in nonzero]))


def test_thin_codes_join_other_or_are_left_out_and_named() -> None:
    joined = [Piece("w[a]", 0, 1, True, "w[o]"), Piece("w[o]", 0, 1, True), Piece("v[b]", 0, 1, True)]
    columns, dropped = standardise(joined, moments([2, 30, 4]), 0.0, 5, 3)
    assert columns.groups == ((1, 0),)
    assert dropped == ("v[b]",)
    assert columns.centre == (0.32,)
    assert columns.scale[0] == pytest.approx((0.32 * 0.68) ** 0.5)
    _, dropped = standardise(joined, moments([40, 30, 98]), 0.0, 5, 4)
    assert dropped == ("w[a]", "w[o]", "v[b]"), (
        "seen in fewer cities than 4; almost everybody is as thin as almost nobody"
    )


def test_a_column_that_is_the_same_in_all_cities_is_refused_by_name() -> None:
    x = np.array([50.0])
    with pytest.raises(ConfigError, match="age is the same for everybody"):
        standardise([Piece("age", 0, 10, False)], Moments(100, x, x / 2, x, x), 0.0, 5, 3)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6))
def test_a_column_that_is_linear_in_earlier_ones_is_found_with_those(weights: list[float]) -> None:
    q = len(weights)
    independent = np.vander(np.linspace(-1, 1, 40), q)
    column = independent @ np.array(weights)
    if np.abs(column).max() < 1e-3:
        return
    whole = np.column_stack([independent, column, np.cos(7 * np.linspace(-1, 1, 40))])
    found = dependent(whole.T @ whole)
    assert list(found) == [q]
    large = {place for place, weight in enumerate(weights) if abs(weight) > 1e-3}
    assert large <= set(found[q]) <= set(range(q))


def test_coefficients_of_standardised_columns_are_carried_back() -> None:
    columns = Columns(groups=((0,), (1,)), centre=(2.0, -1.0), scale=(0.5, 4.0))
    x = np.array([[1.0, 3.0], [2.5, -7.0]])
    point = np.array([0.3, -1.2, 2.0])
    back = columns.back() @ point
    assert np.allclose(columns.standardised(x) @ point, back[0] + x @ back[1:], rtol=1e-15)
    assert columns.without([0]).centre == (-1.0,)
