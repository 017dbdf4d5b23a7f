"""The hazard that was planted in the synthetic cities is found again, and its intervals hold it as often as they say."""

from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np
import pytest

from protocols.columns import Column, EventRows, first_days
from protocols.dictionary import Dictionary, Reading, Table
from protocols.models.hazard import Hazard, HazardPlan, plan
from protocols.models.interface import Done
from simulations.cities import design, facts, hazard, population
from simulations.cities.folders import by_generation, reference_people
from simulations.cities.streams import Streams
from tests.models.federation import OPEN, secure_sum

SEED: Final = 20220531
ROWS: Final = 2_500  # accounts of a city
FIRST: Final = 2021 * 12 + 7
MONTHS: Final = facts.MONTHS
AS_OF: Final = date(2022, 5, 31)
SLOPES: Final = tuple(hazard.SLOPES)
PLANTED: Final = np.array(list(hazard.SLOPES.values()))
YES_NO: Final = {"type": "integer", "range": (0, 1)}
DICTIONARY: Final = Dictionary.model_validate(
    {
        "dictionary": "planted",
        "version": 1,
        "variables": {
            **{name: YES_NO for name in SLOPES if name != "log_income"},
            "log_income": {"type": "number", "range": ("-9", "4")},
            "opened": {"type": "date", "range": ("2021-08-01", "2022-05-31")},
        },
        "events": {"months": {"variables": {"interrupted": {"type": "boolean"}}, "most_rows_per_holder": MONTHS}},
    },
    strict=False,
)
QUESTION: Final = Hazard(
    event="interrupted",
    terms=("bands(month, [1, 2, 3, 4])", *SLOPES),  # the planted baseline, but for a tenth from the fourth month on
    baseline="none",
    opened="opened",
    months=MONTHS,
    city_effects="concentrated",
)


@cache
def people() -> list[tuple[Any, hazard.Hazard, Table]]:
    """Of each city: its accounts, its hazard, and what a node has of them but for their months."""
    figures, reference = facts.published(), reference_people(SEED)
    never = figures.accounts - figures.ever_paid
    baseline = hazard.solved_baseline(reference, never, figures.abnormal - never)
    found = []
    for name, profile in facts.PROFILES.items():
        small = replace(profile, rows=ROWS)
        (part,) = facts.chunks(small, by_generation(design.joint(small)), facts.CHUNK)
        rows = population.people(Streams(SEED, name, 0), part)
        model = baseline if profile == facts.REFERENCE else population.solve_hazard(rows, part, baseline)
        known = np.ones(ROWS, bool)
        columns = {each: Column(values, known) for each, values in hazard.design(rows).items()}
        columns["opened"] = Column(first_days(FIRST + rows["opened_month"].astype(np.int64)), known)
        found.append((rows, model, Table(ROWS, columns)))
    return found


def drawn(seed: int) -> list[Table]:
    """Cities whose events are plain draws from the planted hazard."""
    found = []
    for (rows, model, table), name in zip(people(), facts.PROFILES, strict=True):
        event = hazard.bernoulli_events(rows, model, Streams(seed, name, 0)).astype(np.int64)
        opened = rows["opened_month"].astype(np.int64)
        number = np.where(event >= 0, event + 1, MONTHS - opened)
        holder = np.repeat(np.arange(ROWS), number)
        since = np.arange(len(holder)) - np.repeat(np.cumsum(number) - number, number)
        stopped = Column((since == event[holder]).astype(np.int8), np.ones(len(holder), bool))
        months = EventRows(holder, FIRST + opened[holder] + since, {"interrupted": stopped})
        found.append(Table(ROWS, table.columns, {"months": months}))
    return found


def z_of(seed: int) -> Any:
    """How far each slope is from the planted one, in its standard errors."""
    cities = drawn(seed)
    model: HazardPlan = plan(
        QUESTION, DICTIONARY, len(cities), ROWS, "sha256:" + "0" * 64, (FIRST, FIRST + MONTHS - 1), OPEN
    )
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        vectors = [model.encode(ask, model.measure(ask, Reading(each, DICTIONARY, AS_OF), ROWS)) for each in cities]
        state = model.tell(state, ask, secure_sum(vectors))
    fit = {each.term: each for each in model.finalize(state).coefficients}
    return np.array([(fit[name].estimate - planted) / fit[name].std_error for name, planted in hazard.SLOPES.items()])


def test_the_planted_slopes_are_found_again() -> None:
    z = z_of(SEED)
    assert np.abs(z).max() < 3.5, dict(zip(SLOPES, z, strict=True))


@pytest.mark.slow  # two hundred fits of 15,000 accounts each
def test_intervals_hold_the_planted_slopes_as_often_as_they_say() -> None:
    z = np.array([z_of(seed) for seed in range(1, 201)])
    held = (np.abs(z) <= 1.959963984540054).mean(axis=0)
    assert held.min() >= 0.92, dict(zip(SLOPES, held, strict=True))
    assert held.max() <= 0.98, dict(zip(SLOPES, held, strict=True))
    assert np.abs(z.mean(axis=0)).max() <= 0.25, dict(zip(SLOPES, z.mean(axis=0), strict=True))
