"""At zero coefficients the information of a fit is a table of counts, and its smallest cell is found in it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.models.glm import Glm
from tests.models.data import Frame, dictionary
from tests.models.federation import conversation, planned

CODES = {"work": ("a", "b", "c"), "home": ("own", "rent"), "town": ("x", "y", "z", "other")}
TERMS = ("work", "home", "town", "age")


def people(seed: int, rows: int = 240) -> Frame:
    """Rows with three categories, unevenly spread, and an age; some without a kind of work."""
    drawn, known = public_stream("tests", "pairs", str(seed)), np.ones(rows, bool)
    age = drawn.integers(20, 60, rows)
    columns = {"age": Column(age, known), "visits": Column(drawn.integers(0, 9, rows), known)}
    for name, codes in CODES.items():
        spread = 1 / np.arange(1, 1 + len(codes)) ** 2
        columns[name] = Column(drawn.choice(len(codes), rows, p=spread / spread.sum()).astype(np.int16), known)
    columns["work"] = Column(columns["work"].values, drawn.random(rows) > 0.1)
    variables = {name: {"type": "category", "codes": {code: {} for code in codes}} for name, codes in CODES.items()}
    numbers = {name: {"type": "integer", "range": [0, 80]} for name in ("age", "visits")}
    return Frame(dictionary({**variables, **numbers}), columns, rows)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_cell_is_that_of_the_tables_of_the_pooled_rows(family: str, seed: int) -> None:
    frame = people(seed)
    cities = [frame.take(np.flatnonzero(np.arange(frame.rows) % 3 == city)) for city in range(3)]
    model = planned(frame, Glm(family=family, outcome="visits", terms=TERMS), cities)  # type: ignore[arg-type]  # one of the families
    _, log = conversation(model, cities)
    inside = frame.columns["work"].known
    table = pd.DataFrame({name: frame.columns[name].values[inside] for name in CODES})
    margins = [table[name].value_counts().min() for name in CODES]
    counts = [table.groupby([one, other]).size().min() for one, other in combinations(CODES, 2)]
    states = [state.pair for state in log.states]
    assert states[0] is None
    assert set(states[1:]) == {min(*margins, *counts)}


def test_a_fit_of_numbers_alone_has_no_such_cell() -> None:
    frame = people(0)
    cities = [frame.take(np.flatnonzero(np.arange(frame.rows) % 3 == city)) for city in range(3)]
    _, log = conversation(planned(frame, Glm(family="gaussian", outcome="visits", terms=("age",)), cities), cities)
    assert {state.pair for state in log.states} == {None}
