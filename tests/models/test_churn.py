"""Customers of a telephone company in four cities, by how they pay: hazard and stratified Cox equal the pooled fits."""

from datetime import date
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

from protocols.columns import Column, EventRows
from protocols.dictionary import Dictionary, Reading, Table
from protocols.models import cox
from protocols.models.cox import Cox
from protocols.models.hazard import Hazard, plan
from protocols.models.interface import Done
from tests.models.data import Frame, churn
from tests.models.federation import OPEN, conversation, divided, secure_sum
from tests.models.test_city_effects import found

FIRST = 2018 * 12
MONTHS = 72
TERMS = ("contract", "charges", "senior")
STUDY = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def customers() -> Frame:
    return churn()


@pytest.fixture(
    params=[3, pytest.param(1, marks=pytest.mark.slow)], ids=["a third", "all"]
)  # all: 200,000 person-months
def some(customers: Frame, request: pytest.FixtureRequest) -> Frame:
    return customers.take(np.arange(0, customers.rows, request.param))


def with_months(part: Frame) -> Table:
    """A row for each month as a customer; who left did in the last."""
    tenure, left = part.values("tenure").astype(int), part.values("left").astype(bool)
    holder = np.repeat(np.arange(part.rows), tenure)
    since = np.arange(len(holder)) - np.repeat(np.cumsum(tenure) - tenure, tenure)
    gone = Column((left[holder] & (since == tenure[holder] - 1)).astype(np.int8), np.ones(len(holder), bool))
    return Table(part.rows, part.columns, {"stays": EventRows(holder, FIRST + since, {"gone": gone})})


def test_the_hazard_of_leaving_equals_the_regression_on_the_expanded_pooled_table(some: Frame) -> None:
    given = some.dictionary.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    given["events"] = {"stays": {"variables": {"gone": {"type": "boolean"}}, "most_rows_per_holder": MONTHS}}
    dictionary = Dictionary.model_validate(given, strict=False)
    cities = [with_months(each) for each in divided(some, some.values("payment").astype(int))]
    question = Hazard(event="gone", terms=("bands(month, [1, 6, 12, 24, 48])", *TERMS), baseline="none")
    model: Any = plan(question, dictionary, 4, some.rows, STUDY, (FIRST, FIRST + MONTHS - 1), OPEN)
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        day = date(2026, 1, 1)
        sums = [model.measure(ask, Reading(each, dictionary, day), each.holders) for each in cities]
        state = model.tell(state, ask, secure_sum([model.encode(ask, each) for each in sums]))
    fit = model.finalize(state)

    pooled = with_months(some).events["stays"]
    since = pooled.month - FIRST
    bands = np.searchsorted([1, 6, 12, 24, 48], since, side="right")[:, None] == np.arange(1, 6)
    design = some.matrix(TERMS)[pooled.holder]
    x = np.column_stack([design[:, :1], bands, design[:, 1:]]).astype(float)
    glm = sm.GLM(pooled.columns["gone"].values.astype(float), x, family=sm.families.Binomial())
    reference = glm.fit(start_params=glm.fit(tol=1e-13).params, tol=1e-13)
    assert fit.n == len(x) > 60_000
    assert (fit.holders, fit.events) == (some.rows, int(some.values("left").sum()))
    assert fit.rounds <= 12
    assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8


def test_cox_in_strata_of_how_they_pay_equals_the_pooled_fit(customers: Frame) -> None:
    place = customers.values("payment").astype(int)
    question = Cox(duration="tenure", event="left", terms=TERMS)
    fit, _ = conversation(
        cox.plan(question, customers.dictionary, 4, customers.rows, STUDY, OPEN), divided(customers, place)
    )
    x = customers.matrix(TERMS)[:, 1:]
    time, event = customers.values("tenure"), customers.values("left")
    reference = PHReg(time, x, event, ties="efron", strata=place).fit(disp=0)
    assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
