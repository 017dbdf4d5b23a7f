"""Hazards with noise: what one holder changes with all of its months, and the pooled fit within what is said of errors."""

from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import noise
from protocols.columns import Column, EventRows
from protocols.dictionary import Dictionary, Reading, Table
from protocols.entropy import seeded
from protocols.errors import ConfigError
from protocols.models.design import Columns
from protocols.models.hazard_question import HazardQuestion
from protocols.models.interface import Done, Result
from protocols.models.private import PrivateAsk
from protocols.models.private_hazard import PrivateHazard
from protocols.models.question import Setting
from protocols.privacy import Need, calibrate
from protocols.statistics.layout import Domain, Months
from tests.models.noised import DELTA, STUDY

FIRST: Final = 2022 * 12
MOST: Final = 6
DICTIONARY: Final = Dictionary.model_validate(
    {
        "dictionary": "monthly-rows",
        "version": 1,
        "variables": {"x": {"type": "number", "range": ("-4", "4")}, "c": {"type": "boolean"}},
        "events": {
            "stays": {
                "variables": {"stopped": {"type": "boolean"}, "late": {"type": "boolean"}},
                "most_rows_per_holder": MOST,
            }
        },
    },
    strict=False,
)
DOMAIN: Final = Domain(DICTIONARY, as_of=date(2022, 6, 30), window=Months(FIRST, MOST))


def question(**keys: Any) -> HazardQuestion:
    terms = ["x", "c", "late"]
    return HazardQuestion.model_validate({"id": "fit", "kind": "hazard", "event": "stopped", "terms": terms, **keys})


def planned(asked: HazardQuestion, variances: dict[str, float] | None = None, most: int = 1 << 16) -> PrivateHazard:
    found = asked.planned(Setting(DOMAIN, 6, most, STUDY, 0.95, variances or {}))
    assert isinstance(found, PrivateHazard)
    return found


def table(x: Any, c: Any, months: list[list[tuple[int, int]]]) -> Table:
    """months: of each holder, whether it stopped and whether it was late, month by month."""
    holder = np.repeat(np.arange(len(months)), [len(each) for each in months])
    rows = np.array([row for each in months for row in each], np.int64).reshape(-1, 2)
    month = np.concatenate([np.zeros(0, np.int64), *(FIRST + np.arange(len(each)) for each in months)]).astype(np.int64)
    known = np.ones(len(rows), bool)
    events = EventRows(holder, month, {"stopped": Column(rows[:, 0], known), "late": Column(rows[:, 1], known)})
    every = np.ones(len(months), bool)
    columns = {"x": Column(np.array(x, float), every), "c": Column(np.array(c, np.int8), every)}
    return Table(len(months), columns, {"stays": events})


def vector(model: PrivateHazard, ask: PrivateAsk, rows: Table) -> Any:
    sums = model.measure(ask, Reading(rows, DICTIONARY, date(2022, 6, 30)), rows.holders)
    return model.encode(ask, sums).astype(object)


PEOPLE: Final = st.lists(
    st.tuples(
        st.floats(-4, 4), st.booleans(), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=MOST)
    ),
    min_size=1,
    max_size=3,
)


@given(people=PEOPLE, seed=st.integers(0, 99), level=st.floats(-6, 3))
@settings(max_examples=25)
def test_all_months_of_one_holder_change_no_more_than_is_declared(people: Any, seed: int, level: float) -> None:
    model = planned(question())
    declared, draw, p = {each.name: each for each in model.draws}, np.random.default_rng(seed), model.p  # noqa: TID251 any numbers do
    columns = Columns(
        groups=tuple((at,) for at in range(p - 1)), centre=(0.3,) * (p - 1), scale=tuple(draw.uniform(0.1, 1, p - 1))
    )
    for number, purpose in enumerate(model.purposes[:3]):
        state = model.start().model_copy(
            update={
                "round": number,
                "columns": columns,
                "outcome": (0.0, 1.0),
                "point": (level, *(0.3 * draw.normal(size=p - 1)).tolist()),
                "whiten": tuple((np.eye(p) + 0.3 * draw.normal(size=(p, p))).ravel().tolist()),
            }
        )
        ask = model.ask(state)
        assert isinstance(ask, PrivateAsk)
        with_all, without = (
            vector(model, ask, table([x for x, _, _ in each], [c for _, c, _ in each], [rows for _, _, rows in each]))
            for each in (people, people[1:])
        )
        change = with_all - without
        assert len(change) == declared[purpose].cells
        assert abs(change).sum() <= declared[purpose].l1
        assert (change**2).sum() <= declared[purpose].l2sq


HOLDERS: Final = 20_000
SLOPES: Final = np.array([0.4, 0.6, 0.8])


@cache
def world() -> tuple[Table, Any, Any]:
    """Holders with a hazard of some five per cent a month; the pooled design, and whose event it was."""
    draw = np.random.default_rng(5)  # noqa: TID251 a test's own rows
    x, c = np.clip(draw.normal(size=HOLDERS), -4, 4), draw.random(HOLDERS) < 0.4
    late, u = draw.random((HOLDERS, MOST)) < 0.3, draw.random((HOLDERS, MOST))
    eta = -3.6 + 0.4 * x[:, None] + 0.6 * c[:, None] + 0.8 * late + 0.1 * np.arange(MOST)
    stopped = (u < 1 / (1 + np.exp(-eta))).astype(int)
    rows = [
        list(zip(one.tolist(), two.astype(int).tolist(), strict=True)) for one, two in zip(stopped, late, strict=True)
    ]
    at_risk = np.cumsum(stopped, axis=1) - stopped == 0
    holder, month = np.nonzero(at_risk)
    design = np.column_stack(
        [np.ones(len(holder)), month[:, None] == np.arange(1, MOST), x[holder], c[holder], late[at_risk]]
    )
    return table(x, c, rows), design.astype(float), stopped[at_risk]


def fitted(epsilon: str | None, seed: int = 0) -> tuple[Result, PrivateHazard]:
    asked, rows = question(), world()[0]
    draws = asked.draws(DOMAIN)
    needs = [Need(each.l1, each.l2sq, each.share, each.times) for each in draws]
    each = calibrate(needs, Decimal(epsilon), DELTA) if epsilon else ()
    v20 = dict(zip((draw.name for draw in draws), each, strict=False))
    model, source = (
        planned(asked, {name: value / noise.UNIT for name, value in v20.items()}),
        seeded("hazard", str(seed)),
    )
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        total = np.asarray(vector(model, ask, rows), np.int64)
        if v20:
            total = total + noise.skellam(source, v20[ask.purpose], len(total))
        state = model.tell(state, ask, total)
    return model.result(state), model


def test_without_noise_the_schedule_comes_to_the_pooled_fit() -> None:
    _, design, happened = world()
    reference = sm.GLM(happened, design, family=sm.families.Binomial()).fit()
    found, _ = fitted(None)
    estimates = np.array([each["estimate"] for each in found.coefficients])
    assert np.abs((estimates - reference.params) / reference.bse).max() < 0.3
    assert found.fit["n"] == len(design)
    assert found.fit["holders"] == HOLDERS
    assert found.fit["clipped"] < 0.02
    assert found.model["fit"]["kind"] == "hazard"


def test_with_noise_errors_say_how_far_the_estimates_are() -> None:
    _, design, happened = world()
    reference = sm.GLM(happened, design, family=sm.families.Binomial()).fit()
    off = []
    for seed in range(4):
        found, _ = fitted("2", seed)
        off.append(
            [
                (each["estimate"] - b) / each["se_noise"]
                for each, b in zip(found.coefficients, reference.params, strict=True)
            ]
        )
        (*_, last) = found.rows
        assert (last.measure, dict(last.keys)) == ("hazard", {"month": "2022-06"})
        assert last.ci_low is not None
        assert last.ci_high is not None
        assert last.ci_low < (last.estimate or 0.0) < last.ci_high
    size = float(np.mean(np.square(off)))
    assert 0.4 < size < 2.0, size


def test_a_hazard_of_few_holders_is_refused_before_it_is_asked_and_other_links_are_not_offered() -> None:
    draws = question().draws(DOMAIN)
    needs = [Need(each.l1, each.l2sq, each.share, each.times) for each in draws]
    v20 = calibrate(needs, Decimal("1"), DELTA)
    variances = {draw.name: value / noise.UNIT for draw, value in zip(draws, v20, strict=True)}
    with pytest.raises(ConfigError) as no:
        planned(question(), variances, 60)
    assert no.value.code == "MODEL_DP_TOO_NOISY"
    (fault,) = question(link="cloglog").faults_beside(DOMAIN, "pooled")
    assert fault.code == "MODEL_DP_NOT_OFFERED"
