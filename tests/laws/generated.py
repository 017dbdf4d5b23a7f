"""Small worlds for laws: holders, axes, blocks and questions over the example dictionary, drawn by hypothesis."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from coordinator.consistency import reconcile
from protocols.columns import EventRows, month_number
from protocols.dictionary import Column, Dictionary, Table
from protocols.statistics import EXAMPLE_DOMAIN, REGISTER
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example, example_dictionary
from protocols.statistics.layout import (
    Axis,
    Block,
    Choice,
    Domain,
    Layout,
    amount,
    count,
    product,
    squared,
    yes_no,
)
from protocols.statistics.measures import Vector, encode
from protocols.statistics.question import Question
from protocols.statistics.rows import Answer
from protocols.statistics.workload import Workload

AS_OF: Final = date(2022, 5, 31)
SMALL: Final = example_dictionary()
DOMAIN: Final = EXAMPLE_DOMAIN
AXES: Final[tuple[Axis, ...]] = (
    DOMAIN.axis("generation"),
    DOMAIN.known("income"),
    DOMAIN.axis("owner"),
    DOMAIN.axis("product"),
    DOMAIN.axis("sex"),
)
WORRIES: Final = Choice("worries", SMALL.codes("worries"))
INCOME, BIRTH_YEAR = DOMAIN.amount("income"), DOMAIN.amount("birth_year")

# One holder: variable to its value as a column holds it; left out where unknown. Most values are inside the public domain.
# `contributions`: the event rows, month to variable to value.
Holder = Mapping[str, Any]
VALUES: Final[Mapping[str, st.SearchStrategy[int]]] = {
    "sex": st.integers(-1, 3),
    "birth_year": st.sampled_from([1930, 2010, 1970, 1979, 1980, 1990, 1999, 2000, 1929, 2011])
    | st.integers(1930, 2010),
    "product": st.integers(-1, 3),
    "owner": st.integers(0, 1),
    "income": st.sampled_from([0, 20_000_000, 10_000_000, 1, -1, 20_000_001]) | st.integers(0, 20_000_000),
    "months_paying": st.sampled_from([0, 36, -1, 37]) | st.integers(0, 36),
    "worries": st.integers(0, 7),
    "opened": st.integers(18_840, 19_150),
}
LAST_MONTH: Final = month_number(AS_OF)
EVENTS: Final[Mapping[str, st.SearchStrategy[int]]] = {
    "amount": st.sampled_from([0, 8_000_000, 4_000_000, -1, 8_000_001]) | st.integers(0, 8_000_000),
    "state": st.integers(-1, 2),
    "active": st.integers(0, 1),
}
MOST_ROWS: Final = SMALL.events["contributions"].most_rows_per_holder
event_rows: Final = st.dictionaries(  # what ingest keeps: months up to as_of, so many at most
    st.integers(LAST_MONTH - MOST_ROWS - 2, LAST_MONTH),
    st.fixed_dictionaries({}, optional=EVENTS),
    max_size=MOST_ROWS,
)
DTYPES: Final = {"owner": np.bool_, "worries": np.uint64}

holders: Final[st.SearchStrategy[Holder]] = st.fixed_dictionaries({}, optional={**VALUES, "contributions": event_rows})
crowds: Final = st.lists(holders, max_size=12)
blocks: Final[st.SearchStrategy[Block]] = st.builds(
    lambda make, axes: make(axes),
    st.sampled_from(
        (
            count,
            lambda axes: amount(INCOME, axes),
            lambda axes: amount(BIRTH_YEAR, axes),
            lambda axes: squared(INCOME, axes),
            lambda axes: squared(BIRTH_YEAR, axes),
            lambda axes: product(INCOME, BIRTH_YEAR, axes),
            lambda axes: product(BIRTH_YEAR, BIRTH_YEAR, axes),
            lambda axes: yes_no(WORRIES, axes),
        )
    ),
    st.lists(st.sampled_from(AXES), unique=True, max_size=3),
)
layouts: Final = st.lists(blocks, min_size=1, max_size=4, unique=True).map(lambda chosen: Layout(tuple(chosen)))


def table(crowd: Sequence[Holder]) -> Table:
    columns = {}
    for name in SMALL.variables:
        values: Any = np.array([holder.get(name, 0) for holder in crowd], dtype=DTYPES.get(name, np.int64))
        columns[name] = Column(values, np.array([name in holder for holder in crowd], dtype=bool))
    return Table(len(crowd), columns, {"contributions": _event_rows(crowd)})


def _event_rows(crowd: Sequence[Holder]) -> EventRows:
    rows = [
        (at, month, one["contributions"][month])
        for at, one in enumerate(crowd)
        for month in sorted(one.get("contributions", {}))
    ]
    columns = {}
    for name in EVENTS:
        values: Any = np.array([row.get(name, 0) for _, _, row in rows], dtype=np.int64)
        columns[name] = Column(values, np.array([name in row for _, _, row in rows], dtype=bool))
    holder, month = (np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1))
    return EventRows(holder, month, columns)


def encoded(layout: Layout, crowd: Sequence[Holder], cohort: Any = None, exact: bool = False) -> Vector:
    return encode(layout, table(crowd), SMALL, AS_OF, cohort, exact)


def layout_of(question: Question, domain: Domain = DOMAIN) -> Layout:
    return Workload.of((question,), domain).layout


def finalized(
    question: Question,
    vector: Vector,
    variance: float = 0.0,
    domain: Domain = DOMAIN,
    confidence: float = 0.95,
    min_cell: int = 10,
) -> Answer:
    """The answer to one question, alone in its study. `variance`: of the noise in each cell, in the sum already."""
    workload = Workload.of((question,), domain)
    families = reconcile(workload.layout, vector, [variance] * len(workload.layout.blocks))
    sums = Estimates.of(
        families,
        workload.blocks[question.id],
        study="sha256:law",
        question=question.id,
        confidence=confidence,
        min_cell=min_cell,
        part=workload.slices.get(question.id),
    )
    return question.finalize(sums, domain)


def written(example: Example, dictionary: Dictionary = SMALL) -> Holder:
    """The holder of an EXAMPLE, whose values are written as in a file."""

    def read(name: str, value: str) -> int:
        return dictionary.codes(name).index(value) if dictionary.codes(name) else int(value)

    rows = {
        table: {
            LAST_MONTH - len(each) + 1 + at: {name: read(f"{table}.{name}", value) for name, value in row.items()}
            for at, row in enumerate(each)
        }
        for table, each in example.events.items()
    }
    return {name: read(name, value) for name, value in example.holder.items()} | rows


@st.composite
def questions(draw: st.DrawFn, kind: type[Question] | None = None) -> Question:
    """A registered kind's example with other variables of the dictionary in the place of its own; always without faults."""
    chosen = kind or draw(st.sampled_from(REGISTER))
    kept = {chosen.EXAMPLE.question.get("event")}  # nothing else of the dictionary says whether something happened
    axes = [name for name in SMALL.known() if SMALL.type_of(name) in ("category", "boolean") and name not in kept]
    others = iter(draw(st.permutations(axes)))

    def other(value: Any) -> Any:
        if isinstance(value, list):
            return [other(each) for each in value]
        return next(others) if value in axes else value

    asked = {key: value if key in ("id", "kind") else other(value) for key, value in chosen.EXAMPLE.question.items()}
    sampling = draw(st.sampled_from((None, True, False)))
    question = chosen.model_validate(asked | ({} if sampling is None else {"sampling": sampling}))
    assert not list(question.faults(SMALL)), asked
    return question
