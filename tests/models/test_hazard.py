"""Person-months are made at the node: a hazard equals statsmodels' binomial regression on the expanded pooled table."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from protocols.columns import Column, EventRows
from protocols.dictionary import Dictionary, Reading, Table
from protocols.errors import ConfigError
from protocols.models import protect, rows
from protocols.models.glm import Clustered, Limits
from protocols.models.hazard import Hazard, HazardPlan, plan
from protocols.models.interface import Done, Sums
from tests.models.data import rossi
from tests.models.federation import OPEN, secure_sum
from tests.models.test_city_effects import found
from tests.models.test_glm_pooled import clustered

FIRST = 2024 * 12
WINDOW = (FIRST, FIRST + 12)
TERMS = ("fin", "age", "prio")


@dataclass(frozen=True)
class World:
    """Convicts of `rossi`, with a row for every four weeks until the arrest, and one after it; work changes from month to month."""

    dictionary: Dictionary
    cities: tuple[Table, ...]
    months: pd.DataFrame


def world() -> World:
    frame = rossi()
    last = (frame.values("week").astype(int) - 1) // 4
    arrest = frame.columns["arrest"].values.astype(bool)
    opened = 19723 + 31 * (np.arange(frame.rows) % 3)  # days; 2024-01-01 and the months after it
    start = np.arange(frame.rows) % 3
    rows = [
        (holder, start[holder] + month, bool(arrest[holder] and month == last[holder]), (holder + month) % 5, month)
        for holder in range(frame.rows)
        for month in range(last[holder] + 2)
        if start[holder] + month <= WINDOW[1] - FIRST
    ]
    table = pd.DataFrame(rows, columns=["holder", "at", "arrested", "jobs", "since"])
    variables = frame.dictionary.model_dump(mode="json", by_alias=True, exclude_defaults=True)["variables"]
    variables = {name: each for name, each in variables.items() if name in TERMS}
    variables["opened"] = {"type": "date", "range": ["2024-01-01", "2025-12-31"]}
    events = {
        "stays": {
            "variables": {"arrested": {"type": "boolean"}, "jobs": {"type": "integer", "range": [0, 4]}},
            "most_rows_per_holder": 24,
        }
    }
    made = {"dictionary": "convicts", "version": 1, "variables": variables, "events": events}
    dictionary = Dictionary.model_validate(made, strict=False)
    cities = []
    for city in range(6):
        own = np.flatnonzero(np.arange(frame.rows) % 6 == city)
        part = table[table.holder % 6 == city]
        known = np.ones(len(part), bool)
        given = EventRows(
            np.searchsorted(own, part.holder.to_numpy()),
            FIRST + part["at"].to_numpy(),
            {name: Column(part[name].to_numpy().astype(int), known) for name in ("arrested", "jobs")},
        )
        columns = {name: frame.take(own).columns[name] for name in TERMS}
        columns["opened"] = Column(opened[own], np.ones(len(own), bool))
        cities.append(Table(len(own), columns, {"stays": given}))
    at_risk = table[table.since <= last[table.holder]]
    pooled = pd.DataFrame({name: frame.values(name)[at_risk.holder] for name in TERMS})
    return World(dictionary, tuple(cities), pd.concat([pooled, at_risk.reset_index(drop=True)], axis=1))


@pytest.fixture(scope="module")
def convicts() -> World:
    return world()


def fit_of(convicts: World, question: Hazard, **how: Any) -> Any:
    model: Any = plan(
        question, convicts.dictionary, len(convicts.cities), 432, "sha256:" + "0" * 64, WINDOW, OPEN, **how
    )
    return walked(model, convicts)


def walked(model: HazardPlan, convicts: World) -> Any:
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        vectors = []
        for city, table in enumerate(convicts.cities):
            sums: Sums = model.at(city).measure(
                ask, Reading(table, convicts.dictionary, date(2026, 1, 1)), table.holders
            )
            vectors.append(model.at(city).encode(ask, sums))
        state = model.tell(state, ask, secure_sum(vectors))
    return model.finalize(state)


def pooled(convicts: World, month: str, link: Any, beside: tuple[str, ...] = (), **how: Any) -> Any:
    table = convicts.months
    months = pd.get_dummies(table[month], drop_first=True).to_numpy(float) if month else np.zeros((len(table), 0))
    x = np.column_stack([np.ones(len(table)), months, table[[*TERMS, *beside]].to_numpy(float)])
    model = sm.GLM(table["arrested"].to_numpy(float), x, family=sm.families.Binomial(link))
    return model.fit(
        start_params=model.fit(tol=1e-13).params, tol=1e-13, **how
    )  # errors are of the point before the last


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_a_hazard_equals_the_regression_on_the_expanded_table(convicts: World, link: Any) -> None:
    law = {"logit": sm.families.links.Logit, "cloglog": sm.families.links.CLogLog}[link]()
    table = convicts.months
    for question, reference in (
        (Hazard(event="arrested", terms=TERMS, link=link), pooled(convicts, "at", law)),
        (Hazard(event="stays.arrested", terms=TERMS, link=link, baseline="none"), pooled(convicts, "", law)),
        (
            Hazard(event="arrested", terms=(*TERMS, "jobs"), link=link, opened="opened", months=13),
            pooled(convicts, "since", law, ("jobs",)),
        ),
    ):
        fit = fit_of(convicts, question)
        assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
        assert fit.rounds <= 9
        assert fit.n == len(table), "a month after the arrest is not at risk"


def test_months_of_one_holder_are_a_cluster_and_their_batch_does_not_matter(convicts: World) -> None:
    question = Hazard(event="arrested", terms=TERMS, baseline="none", errors=Clustered(cluster="holder"))
    fit = fit_of(convicts, question)
    groups = convicts.months.holder.to_numpy()
    reference = pooled(convicts, "", sm.families.links.Logit(), **clustered(groups, True))
    assert np.abs(found(fit)[:, 1] / reference.bse - 1).max() <= 1e-8
    assert fit.clusters == len(np.unique(groups))
    model = plan(question, convicts.dictionary, 6, 432, "sha256:" + "0" * 64, WINDOW, OPEN)
    assert model.scope == "group:holder"
    assert model.reads == ("arrested",)


def test_a_term_that_changes_with_the_months_is_an_interaction(convicts: World) -> None:
    """The check of proportional hazards: whether `month:age` differs from 0."""
    fit = fit_of(convicts, Hazard(event="arrested", terms=(*TERMS, "month", "month:age"), baseline="none"))
    table = convicts.months
    columns: list[Any] = [
        np.ones(len(table)),
        *(table[name] for name in TERMS),
        table["at"],
        table["at"] * table["age"],
    ]
    x = np.column_stack(columns).astype(float)
    reference = sm.GLM(table["arrested"].to_numpy(float), x, family=sm.families.Binomial()).fit(tol=1e-13)
    assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
    assert fit.coefficients[-1].term == "month:age"


def test_a_city_without_the_table_has_no_months(convicts: World) -> None:
    question = Hazard(event="arrested", terms=TERMS, baseline="none")
    lacking = World(convicts.dictionary, (*convicts.cities, Table(0, convicts.cities[0].columns)), convicts.months)
    here, there = fit_of(convicts, question), fit_of(lacking, question)
    assert np.abs(found(here) - found(there)).max() <= 1e-10


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"event": "arrests"}, "STUDY_VARIABLE"),
        ({"event": "stays"}, "STUDY_VARIABLE"),
        ({"event": "jobs"}, "MODEL_TYPE"),
        ({"opened": "age", "months": 3}, "MODEL_TYPE"),
        ({"opened": "opened"}, "MODEL_TOGETHER"),
        ({"months": 3}, "MODEL_TOGETHER"),
        ({"city_effects": "random"}, "MODEL_TOGETHER"),
        ({"terms": ("agee",)}, "STUDY_VARIABLE"),
        ({"terms": ("event",)}, "MODEL_TERM_OUTCOME"),
    ],
    ids=str,
)
def test_each_fault_of_a_hazard_has_a_name(convicts: World, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        fit_of(convicts, Hazard(**{"event": "arrested", "terms": TERMS} | changed))
    assert refused.value.code == code


def test_few_events_are_refused(convicts: World) -> None:
    question = Hazard(event="arrested", terms=TERMS)
    model = plan(question, convicts.dictionary, 6, 432, "sha256:" + "0" * 64, WINDOW, Limits(events_per_column=30))
    with pytest.raises(ConfigError) as refused:
        walked(model, convicts)
    assert refused.value.code == "MODEL_TOO_FEW_EVENTS"
    assert "stays.arrested" in refused.value.text("en")


def few_of_many_months(few: int) -> tuple[Dictionary, tuple[Table, ...]]:
    """Three cities of 60 holders with ten months each, `few` of whom in all are owners."""
    made = {
        "dictionary": "few",
        "version": 1,
        "variables": {"owner": {"type": "boolean"}, "sex": {"type": "boolean"}},
        "events": {
            "stays": {
                "variables": {"stopped": {"type": "boolean"}, "late": {"type": "boolean"}},
                "most_rows_per_holder": 12,
            }
        },
    }
    cities = []
    for city in range(3):
        draw = np.random.default_rng(city)  # noqa: TID251 a test's own rows
        holder, month = np.repeat(np.arange(60), 10), np.tile(np.arange(10), 60)
        known, every = np.ones(600, bool), np.ones(60, bool)
        owner = (np.arange(60) < few // 3).astype(int)
        rows = {"stopped": draw.random(600) < 0.06, "late": draw.random(600) < 0.4}
        events = EventRows(
            holder, FIRST + month, {name: Column(each.astype(int), known) for name, each in rows.items()}
        )
        columns = {"owner": Column(owner, every), "sex": Column(draw.integers(0, 2, 60), every)}
        cities.append(Table(60, columns, {"stays": events}))
    return Dictionary.model_validate(made, strict=False), tuple(cities)


def seen_of(few: int, question: Hazard, limits: Limits = OPEN) -> Any:
    """The state after the first step."""
    dictionary, cities = few_of_many_months(few)
    model = plan(question, dictionary, 3, 60, "sha256:" + "0" * 64, (FIRST, FIRST + 9), limits)
    state = model.start()
    for _ in range(2):
        ask = model.ask(state)
        assert not isinstance(ask, Done)
        sums = [model.measure(ask, Reading(each, dictionary, date(2026, 1, 1)), 60) for each in cities]
        state = model.tell(state, ask, secure_sum([model.encode(ask, each) for each in sums]))
    return model.seen(state), state, sums, cities


def test_a_code_that_few_holders_have_in_many_months_is_counted_by_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six owners have some fifty months: by months a cell of fifty, by holders one of six. No holder is cut where rows are."""
    monkeypatch.setattr(rows, "NEAR", 7)
    seen, state, sums, cities = seen_of(6, Hazard(event="stopped", terms=("owner", "sex", "late"), baseline="none"))
    assert (seen.rows, seen.carriers) == (180, state.units[1])
    assert state.rows > 900, "months"
    assert seen.smallest == 6
    owners = np.concatenate([each.columns["owner"].values for each in cities])
    sexes = np.concatenate([each.columns["sex"].values for each in cities])
    assert seen.pair == min(int((owners * (sexes == sex)).sum()) for sex in (0, 1))
    assert protect.crowded("one", seen, protect.Thresholds(min_cell=10)) is not None
    assert sums[0].values["spread"][0] == 60, "the weights of a holder's months are one weight"
    thin = seen_of(6, Hazard(event="stopped", terms=("owner", "sex"), baseline="none"), Limits(column_rows=7))
    assert thin[1].dropped == ("owner[true]",)


def test_events_carry_the_parameters_of_a_hazard() -> None:
    seen, *_ = seen_of(30, Hazard(event="stopped", terms=("owner", "sex", "late")))
    assert seen.parameters == 13
    assert seen.carriers < 120
    refused = protect.crowded("one", seen, protect.Thresholds(most_parameters_per_row=Decimal("0.1")))
    assert refused is not None
    assert refused.code == "EXACT_TOO_MANY_PARAMETERS"
