"""What sums could tell of one city or of few holders: fits that a single city would carry, a city's own constant, risk sets of a few."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import Refusal
from protocols.models import cox, protect
from protocols.models.cox import Cox
from protocols.models.glm import Glm, Limits
from protocols.models.interface import Done
from tests.models.data import Frame, frame
from tests.models.federation import OPEN, answer, conversation, divided, planned, secure_sum

THREE = Limits(column_rows=1, column_cities=3, events_per_column=1)
STUDY = "sha256:" + "0" * 64
ROWS = 300


def rows(**changed: Any) -> Frame:
    draw = np.random.default_rng(4)  # noqa: TID251 a test's own rows
    made = {
        "x": draw.normal(size=ROWS).round(2),
        "c": draw.random(ROWS) < 0.4,
        "y": draw.random(ROWS) < 0.4,
        "time": draw.integers(1, 13, ROWS),
        **changed,
    }
    return frame(pd.DataFrame(made), {"time": (1, 12)})


PLACE = np.arange(ROWS) % 3


@pytest.mark.parametrize("changed", ["everybody has the code", "nobody has the event"])
def test_a_fit_beside_constants_of_cities_is_not_made_of_one_of_them(changed: str) -> None:
    """In two of three cities everybody has the code, so that its coefficient would be the third's alone; or two have no event."""
    of_codes, plain = changed == "everybody has the code", rows()
    away = PLACE > 0
    code, event = (plain.values(name).astype(bool) for name in ("c", "y"))
    given = rows(c=code | away) if of_codes else rows(y=event & ~away)
    parts = divided(given, PLACE)
    logit = planned(
        given, Glm(family="binomial", outcome="y", terms=("x", "c"), city_effects="concentrated"), parts, THREE
    )
    survival = cox.plan(Cox(duration="time", event="y", terms=("x", "c")), given.dictionary, 3, ROWS, STUDY, THREE)
    for model in (logit, survival):
        fit, log = conversation(model, parts)
        if of_codes:
            assert fit.dropped == ("c[true]",)
            assert [each.term for each in fit.coefficients] == ["x"]
        else:
            assert (fit.converged, fit.cause) == (False, "few_cities")
            assert len(log.asks) == 1, "nothing of the slopes was asked"


def first_step(model: Any, parts: list[Frame], place: int) -> Any:
    """What a city has measured when the first step is asked."""
    state = model.start()
    ask = model.ask(state)
    state = model.tell(state, ask, secure_sum([answer(model.at(at), ask, city) for at, city in enumerate(parts)]))
    ask = model.ask(state)
    assert not isinstance(ask, Done)
    return model.at(place).measure(ask, parts[place].columns.__getitem__, parts[place].rows)


def test_a_city_whose_constant_is_told_keeps_its_own_thresholds() -> None:
    """The second city has four rows with the code, and seventy rows in all."""
    place = np.where(np.arange(ROWS) < 70, 1, np.arange(ROWS) % 2 * 2)
    few = np.where(place == 1, np.arange(ROWS) < 4, np.arange(ROWS) % 3 == 0)
    given = rows(c=few)
    parts = divided(given, place)
    model = planned(given, Glm(family="binomial", outcome="y", terms=("x", "c"), city_effects="fixed"), parts)
    sums = first_step(model, parts, 1)
    assert sums.values["alone"][:3].tolist() == [70, 4, 66]
    protect.alone("one", sums, protect.Thresholds(min_cell=4, min_cohort_by_city=70))
    for limits, code in (
        (protect.Thresholds(min_cell=5), "EXACT_THIN"),
        (protect.Thresholds(min_cohort_by_city=71), "EXACT_COHORT"),
    ):
        with pytest.raises(Refusal) as no:
            protect.alone("one", sums, limits)
        assert no.value.code == code
    protect.alone("one", first_step(model, parts, 0), protect.Thresholds(min_cell=10, min_cohort_by_city=50))


def test_pooled_risk_sets_are_asked_for_where_nobody_or_enough_end_at_each_time() -> None:
    crowd = np.arange(ROWS) % 3 * 4 + 1
    for times in (crowd, np.where(np.arange(ROWS) == 7, 2, crowd)):
        given = rows(time=times)
        parts = divided(given, PLACE)
        question = Cox(duration="time", event="y", terms=("x",), stratify="none")
        model = cox.plan(question, given.dictionary, 3, ROWS, STUDY, OPEN)
        state = model.start()
        ask = model.ask(state)
        assert not isinstance(ask, Done)
        state = model.tell(state, ask, secure_sum([answer(model, ask, city) for city in parts]))
        seen = model.seen(state)
        assert seen is not None
        event = given.values("y").astype(bool)
        ended = [np.bincount(times[which]) for which in (event, ~event)]
        assert seen.pair == min(int(each[each > 0].min()) for each in ended)
        refused = protect.crowded("one", seen, protect.Thresholds(min_cell=10))
        assert (refused is None) == (times is crowd)
