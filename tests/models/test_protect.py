"""A city answers honest fits, and refuses asks that would show a few of its rows."""

from collections.abc import Callable

import numpy as np
import pytest

from protocols.errors import Refusal
from protocols.models.glm import Glm, GlmPlan
from protocols.models.interface import Seen
from protocols.models.protect import SHIPPED, Thresholds, crowded, spread
from tests.models.data import Frame, germancredit, randhie, social_insure
from tests.models.federation import conversation, planned
from tests.models.test_glm_laws import QUESTION, work

CREDITS = tuple(f"v{number}" for number in range(20))


def divided(frame: Frame, cities: int = 6) -> list[Frame]:
    return [frame.take(np.flatnonzero(np.arange(frame.rows) % cities == city)) for city in range(cities)]


@pytest.mark.parametrize(
    ("load", "question"),
    [
        (germancredit, Glm(family="binomial", outcome="bad", terms=CREDITS)),
        (social_insure, Glm(family="binomial", link="cloglog", outcome="took", terms=("age", "area", "male"))),
        (randhie, Glm(family="poisson", outcome="visits", terms=("idp", "physlm", "disea"))),
        (randhie, Glm(family="gamma", outcome="visits1", terms=("idp", "physlm", "disea"))),
    ],
    ids=["logit", "cloglog", "poisson", "gamma"],
)
def test_an_honest_fit_trips_no_rule(load: Callable[[], Frame], question: Glm) -> None:
    frame = load()
    cities = divided(frame)
    model = planned(frame, question, cities)
    _, log = conversation(model, cities)
    for state in log.states:
        seen = model.seen(state)
        assert seen is None or crowded("fit", seen, SHIPPED) is None
    for ask in log.asks:
        for city in cities[:2]:
            spread(ask, model.measure(ask, city.columns.__getitem__, city.rows))


def small() -> tuple[GlmPlan, list[Frame]]:
    cities = divided(work())
    return planned(work(), QUESTION, cities), cities


def test_coefficients_that_leave_a_few_rows_with_weight_are_refused() -> None:
    model, cities = small()
    _, log = conversation(model, cities)
    ask = log.asks[1]
    aimed = ask.model_copy(update={"point": (-30.0, 15.0, *[0.0] * (len(ask.point) - 2))})
    sums = model.measure(aimed, cities[0].columns.__getitem__, cities[0].rows)
    with pytest.raises(Refusal) as refused:
        spread(aimed, sums)
    assert refused.value.code == "MODEL_WEIGHTS_CONCENTRATED"
    assert set(sums.values) >= {"spread"}
    assert "spread" not in {block.name for block in model.blocks(aimed)}, "what a city checks does not leave it"
    nobody = cities[0].take(np.arange(0))
    spread(aimed, model.measure(aimed, nobody.columns.__getitem__, 0))
    spread(log.asks[0], model.measure(log.asks[0], nobody.columns.__getitem__, 0))


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Seen(rows=500, parameters=101, carriers=500), "EXACT_TOO_MANY_PARAMETERS"),
        (Seen(rows=500, parameters=11, carriers=50), "EXACT_TOO_MANY_PARAMETERS"),
        (Seen(rows=99, parameters=3, carriers=99), "EXACT_THIN"),
        (Seen(rows=500, parameters=3, carriers=500, smallest=4), "EXACT_THIN"),
        (Seen(rows=500, parameters=3, carriers=500, smallest=5), ""),
        (Seen(rows=100, parameters=20, carriers=100), ""),
        (Seen(rows=500, parameters=3, carriers=500, pair=9), "EXACT_THIN"),
        (Seen(rows=500, parameters=3, carriers=500, pair=10), ""),
    ],
)
def test_a_fit_of_too_few_rows_or_too_many_parameters_is_refused(seen: Seen, code: str) -> None:
    no = crowded("fit", seen, Thresholds(min_pooled=100, min_column=5, min_cell=10))
    assert (no.code if no else "") == code
