"""Questions by month: what they may not ask, what one holder costs, what breaks do, and that rows are no holders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from node.policy import decide
from protocols import dictionary as dictionaries
from protocols.columns import EventRows, month_number
from protocols.dictionary import Column, Dictionary, Table
from protocols.errors import ConfigError, Refusal
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain, Months
from protocols.statistics.measures import encode
from protocols.statistics.rows import Answer
from protocols.statistics.workload import Workload
from protocols.yamltext import read
from tests.laws.generated import AS_OF, SMALL
from tests.ledgers import policy
from tests.unit.test_policy import SIX, codes, study

DICTIONARY: Final = """dictionary: small
version: 1
variables:
  sex: {type: category, codes: {male: {}, female: {}}}
  product: {type: category, codes: {monthly: {}, free: {}, lump: {}}}
  opened: {type: date, range: [2000-01-01, 2045-12-31]}
derived:
  state: {of_events: pay, rule: latest, variable: state}
events:
  pay:
    variables:
      amount: {type: money, unit: CNY, range: [0, 1000]}
      state: {type: category, codes: {normal: {}, sealed: {}}}
    most_rows_per_holder: 36
  other: {most_rows_per_holder: 4}
"""
LAST: Final = month_number(AS_OF)


def meant(breaks: str = "") -> Dictionary:
    return dictionaries.parse(read((DICTIONARY + breaks).encode(), "small.yaml"))


def asked(**keys: Any) -> Any:
    return KINDS[keys["kind"]].model_validate({"id": "q", **keys})


def crowd(counts: Mapping[int, int], amount: int = 10_000) -> Table:
    """Holders with one event row each: so many in each month, counted back from the last."""
    month = np.repeat([LAST - back for back in counts], list(counts.values()))
    holders = len(month)
    known = np.ones(holders, dtype=bool)
    rows = EventRows(
        np.arange(holders),
        month,
        {"amount": Column(np.full(holders, amount), known), "state": Column(np.zeros(holders), known)},
    )
    columns = {
        "sex": Column(np.arange(holders) % 2, known),
        "product": Column(np.arange(holders) % 3, known),
        "opened": Column(np.full(holders, 19_000), known),
    }
    return Table(holders, columns, {"pay": rows, "other": rows})


def answered(
    questions: list[Any], domain: Domain, table: Table, variance: float = 0.0, seed: int = 0
) -> dict[str, Answer]:
    workload = Workload.of(questions, domain)
    vector = encode(workload.layout, table, domain.dictionary, AS_OF, None, exact=False)
    noise = np.rint(np.random.default_rng(seed).normal(0, np.sqrt(variance), workload.layout.length))  # noqa: TID251 a test's own draws
    families = reconcile(workload.layout, vector + noise.astype(np.int64), [variance] * len(workload.layout.blocks))
    return {
        each.id: each.finalize(
            Estimates.of(families, workload.blocks[each.id], study="s", question=each.id, confidence=0.95, min_cell=1),
            domain,
        )
        for each in questions
    }


# --- what may not be asked


@pytest.mark.parametrize(
    ("question", "key", "code"),
    [
        ({"kind": "series", "of": "sex"}, "of", "STUDY_EVENTS"),
        ({"kind": "series", "of": "pay.state"}, "of", "STUDY_EVENTS"),
        ({"kind": "series", "of": "count"}, "of", "STUDY_EVENTS"),  # of which of two tables?
        ({"kind": "series", "of": "pya.amount"}, "of", "STUDY_EVENTS"),
        ({"kind": "series", "of": "pay", "by": "pay.state"}, "by", "STUDY_OF_EVENTS"),
        ({"kind": "series", "of": "pay", "by": ["sex", "sex"]}, "by", "STUDY_TWICE"),
        ({"kind": "transitions", "of": "amount"}, "of", "STUDY_EVENTS"),
        ({"kind": "transitions", "of": "state"}, "of", "STUDY_EVENTS"),  # a variable of the main table has that name
        ({"kind": "transitions", "of": "pay.state", "by": ["sex", "product", "state"]}, "by", "STUDY_AXES"),
        ({"kind": "vintage", "opened": "sex", "active": "pay"}, "opened", "STUDY_NOT_A_DATE"),
        ({"kind": "vintage", "opened": "opnd", "active": "pay"}, "opened", "STUDY_VARIABLE"),
        ({"kind": "vintage", "opened": "opened", "active": "pay.state"}, "active", "STUDY_EVENTS"),
        ({"kind": "frequency", "of": "pay.state"}, "of", "STUDY_OF_EVENTS"),
        ({"kind": "tgi", "target": "amount", "by": "sex"}, "target", "STUDY_OF_EVENTS"),  # as a series may name it
        ({"kind": "mean", "of": "pay.amount"}, "of", "STUDY_OF_EVENTS"),
    ],
)
def test_a_question_by_month_that_cannot_be_asked_is_named_with_its_key(question: Any, key: str, code: str) -> None:
    assert (key, code) in [(fault.key, fault.code) for fault in asked(**question).faults(meant())]


@pytest.mark.parametrize(
    ("keys", "question", "problem"),
    [
        ({}, "{id: q, kind: series, of: opened}", "there is no `window`"),
        ({"window": "{from: 2022-01, to: 2022-06}"}, "{id: q, kind: series, of: contributions}", "ends after as_of"),
        (
            {"window": "{from: 2022-05, to: 2022-05}"},
            "{id: q, kind: transitions, of: contributions.state}",
            "takes two months",
        ),
    ],
)
def test_months_that_are_not_known_are_asked_for_at_the_question(
    keys: dict[str, str], question: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        study(tmp_path, f"[{question}]", **keys)
    assert (caught.value.code, caught.value.at and caught.value.at.key) == ("STUDY_WINDOW", "questions[0]")
    assert problem in caught.value.text("en")


def test_without_a_window_a_table_is_asked_for_the_months_that_are_kept() -> None:
    assert Domain(SMALL, as_of=AS_OF).months_of("contributions") == Months(LAST - 5, 6)
    assert Domain(SMALL, as_of=AS_OF).months_of("contributions").texts[0] == "2021-12"


# --- what one holder costs


@pytest.mark.parametrize(
    ("question", "window", "effects"),
    [
        ({"kind": "series", "of": "pay"}, ("2021-08", "2022-05"), [(10, 1, 10, 10)]),
        ({"kind": "series", "of": "pay", "by": "sex"}, ("2018-01", "2022-05"), [(36, 1, 36, 36)]),  # all that are kept
        ({"kind": "series", "of": "other"}, ("2021-08", "2022-05"), [(4, 1, 4, 4)]),
        (
            {"kind": "series", "of": "pay.amount"},
            ("2021-08", "2022-05"),
            [(10, 1, 10, 10), (10, 50_000, 500_000, 10 * 50_000**2)],
        ),
        ({"kind": "series", "of": "opened"}, ("2021-08", "2022-05"), [(1, 1, 1, 1)]),
        ({"kind": "transitions", "of": "pay.state"}, ("2021-08", "2022-05"), [(9, 9, 9, 81)]),
        (
            {"kind": "vintage", "opened": "opened", "active": "pay"},
            ("2021-08", "2022-05"),
            [(1, 1, 1, 1), (10, 1, 10, 10)],
        ),
    ],
)
def test_a_holder_counts_with_all_event_rows(question: Any, window: tuple[str, str], effects: list[Any]) -> None:
    """Cells touched, change of one, D1, D2; where the month is no axis all rows may meet in one cell."""
    blocks = asked(**question).blocks(Domain(meant(), as_of=AS_OF, window=Months.between(*window))).values()
    assert [(each.touches, each.step, each.l1, each.l2sq) for each in blocks] == effects


def test_an_unclipped_month_would_break_the_declared_effect() -> None:
    """More rows in the window than are kept: a city that sends them is a city that lies about what ingest does."""
    domain = Domain(meant(), as_of=AS_OF, window=Months.between("2021-08", "2022-05"))
    (block,) = asked(kind="series", of="other").blocks(domain).values()
    months = np.arange(LAST - 9, LAST + 1)
    one = Table(1, {}, {"other": EventRows(np.zeros(10, dtype=np.int64), months, {})})
    moved = encode(Workload.of([asked(kind="series", of="other")], domain).layout, one, meant(), AS_OF, None, False)
    assert moved.sum() > block.l1


@pytest.mark.parametrize(
    ("question", "variable", "value"),
    [
        ({"kind": "series", "of": "pay.amount"}, "amount", 100_001),
        ({"kind": "transitions", "of": "pay.state"}, "state", 2),
    ],
)
def test_an_event_value_outside_the_domain_is_refused_in_exact_mode_alone(
    question: Any, variable: str, value: int
) -> None:
    domain = Domain(meant(), as_of=AS_OF, window=Months.between("2021-08", "2022-05"))
    layout, known = Workload.of([asked(**question)], domain).layout, np.ones(2, dtype=bool)
    given = {name: Column(np.full(2, value if name == variable else 0), known) for name in ("amount", "state")}
    one = Table(1, {}, {"pay": EventRows(np.zeros(2, dtype=np.int64), np.array([LAST - 1, LAST]), given)})
    assert encode(layout, one, meant(), AS_OF, None, False).any()
    with pytest.raises(Refusal) as no:
        encode(layout, one, meant(), AS_OF, None, True)
    assert (no.value.code, no.value.values["column"]) == ("SNAPSHOT_OUT_OF_DOMAIN", f"pay.{variable}")


# --- families


def test_rows_of_events_agree_with_each_other_and_not_with_holders() -> None:
    domain = Domain(meant(), as_of=AS_OF, window=Months.between("2022-01", "2022-05"))
    questions = [
        asked(id="by_sex", kind="series", of="pay", by="sex"),
        asked(id="by_product", kind="series", of="pay", by="product"),
        asked(id="of_other", kind="series", of="other"),
        asked(id="sexes", kind="frequency", of="sex"),
        asked(id="opened", kind="series", of="opened", by="sex"),
    ]
    found = answered(questions, domain, crowd(dict.fromkeys(range(9), 200)), variance=25.0, seed=1)

    def months(name: str) -> dict[str, int]:
        sums: dict[str, int] = {}
        for row in found[name].rows:
            if row.measure == "count" and row.estimate is not None:
                sums[row.keys["month"]] = sums.get(row.keys["month"], 0) + round(row.estimate * 10**6)
        return sums

    def sexes(name: str) -> dict[str, int]:
        sums: dict[str, int] = {}
        for row in found[name].rows:
            if row.measure == "count" and row.estimate is not None:
                sums[row.keys["sex"]] = sums.get(row.keys["sex"], 0) + round(row.estimate * 10**6)
        return sums

    assert months("by_sex") == months("by_product")
    assert months("by_sex") != months("of_other"), "another table, though of the same rows here"
    assert sexes("sexes") == sexes("opened"), "a date of the main table is of the holders"
    assert sum(months("by_sex").values()) < 0.6 * sum(sexes("sexes").values()) < sum(sexes("opened").values())


# --- breaks

BREAK: Final = "breaks: [{from: 2022-03-15, label: {zh: 改}, affects: [pay.amount]}]\n"


def series(
    breaks: str, window: tuple[str, str] = ("2022-01", "2022-05"), cities: tuple[str, ...] = (), **keys: Any
) -> Answer:
    domain = Domain(meant(breaks), as_of=AS_OF, window=Months.between(*window), cities=cities)
    question = asked(kind="series", **{"of": "pay.amount", **keys})
    return answered([question], domain, crowd({back: 100 + 10 * back for back in range(5)}))["q"]


def marks(answer: Answer, measure: str) -> list[str]:
    return [row.obs_status for row in answer.rows if row.measure == measure]


def test_months_from_a_break_on_are_marked_and_changes_across_it_are_not_given() -> None:
    assert marks(series(""), "total") == [""] * 5
    assert marks(series(BREAK), "total") == ["", "", "b", "b", "b"]
    assert marks(series(BREAK), "change") == ["z", "", "bz", "bz", "b"]  # March is half of each
    assert marks(series(BREAK.replace("03-15", "03-01")), "change") == ["z", "", "bz", "b", "b"]
    open_ = series(BREAK, across_breaks="true")
    assert marks(open_, "change") == ["z", "", "b", "b", "b"]
    assert [row.estimate for row in open_.rows if row.measure == "change"][2] == pytest.approx(120 / 130 - 1)


def test_a_break_touches_what_it_affects_where_it_is_and_what_spans_it() -> None:
    assert set(marks(series(BREAK, of="pay"), "count")) == {""}
    assert "b" in marks(series(BREAK.replace("pay.amount", "sex"), of="pay", by="sex"), "count")
    assert set(marks(series(BREAK, window=("2022-04", "2022-05")), "total")) == {""}, "it begins after the break"
    local = BREAK.replace("affects", "cities: [east], affects")
    assert "b" in marks(series(local, cities=("east", "west")), "total")
    assert "b" not in marks(series(local, cities=("west",)), "total")


def test_a_change_on_the_year_before_stands_where_there_is_one() -> None:
    domain = Domain(meant(), as_of=AS_OF, window=Months.between("2021-04", "2022-05"))
    counts = {back: 100 + 10 * (back == 12) for back in range(14)}
    rows = answered([asked(kind="series", of="pay")], domain, crowd(counts))["q"].rows
    found = [
        (row.keys["month"], row.estimate) for row in rows if row.measure == "change_year" and row.estimate is not None
    ]
    assert found == [("2022-04", 0.0), ("2022-05", pytest.approx(100 / 110 - 1))]


# --- what a city decides


def test_a_denied_amount_is_denied_in_every_form(tmp_path: Path) -> None:
    rules = policy(tmp_path, "variables: {deny: [contributions.amount]}")
    window = {"window": "{from: 2022-01, to: 2022-05}"}
    amounts = study(tmp_path, "[{id: q, kind: series, of: contributions.amount}]", **window)
    assert codes(decide(amounts, role="analyst", policy=rules, cities=SIX, cannot={})) == ["POLICY_VARIABLE"]
    rows = study(tmp_path, "[{id: q, kind: series, of: contributions}]", **window)
    assert codes(decide(rows, role="analyst", policy=rules, cities=SIX, cannot={})) == []
    table = policy(tmp_path / "table", "variables: {deny: [contributions]}")
    assert codes(decide(amounts, role="analyst", policy=table, cities=SIX, cannot={})) == ["POLICY_VARIABLE"]


@pytest.mark.parametrize(("cell", "decided"), [(1, []), (10, ["POLICY_KIND"])])
def test_exact_months_with_a_least_cell_are_declined(cell: int, decided: list[str], tmp_path: Path) -> None:
    text = f"kinds: {{exact: all}}\nexact: {{min_cell: {cell}, min_cohort: 1, min_pooled: 1}}\n"
    window = {"window": "{from: 2022-01, to: 2022-05}", "privacy": "{mode: exact}"}
    for question in ("{id: q, kind: transitions, of: contributions.state}", "{id: q, kind: series, of: opened}"):
        said = study(tmp_path, f"[{question}]", **window)
        assert (
            codes(decide(said, role="analyst", policy=policy(tmp_path, text, loose=True), cities=SIX, cannot={}))
            == decided
        )
