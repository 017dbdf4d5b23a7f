"""How far a fit would move without one city, as that city tells from its own rows: against refits without it."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.glm import Clustered, Firth, Glm, Ridge, Sparse
from tests.models.data import Frame, germancredit, randhie
from tests.models.federation import OPEN, conversation, divided, fitted, planned
from tests.models.test_glm_pooled import FAMILIES
from tests.models.test_private_figures import credit as give_me_some_credit

CREDIT: dict[str, Any] = {"family": "binomial", "outcome": "bad"}
TERMS = ("v1", "v4", "v7", "v10", "v12")


@pytest.fixture(scope="module")
def credit() -> Frame:
    return germancredit()


def random_places(rows: int, cities: int) -> Any:
    return public_stream("tests", "influence", "places").integers(0, cities, rows)


def sixths(values: Any) -> Any:
    """Six cities of about equal size, by rising value."""
    return np.argsort(np.argsort(values, kind="stable")) * 6 // len(values)


def refitted(frame: Frame, asked: Glm, place: Any) -> list[float]:
    """max |b without the city - b| / SE, by fits of pooled rows."""
    x, y = frame.matrix(asked.terms), frame.values(asked.outcome)
    family = {"binomial": FAMILIES.Binomial(), "poisson": FAMILIES.Poisson()}[asked.family]
    whole = sm.GLM(y, x, family=family).fit(tol=1e-12)
    found = []
    for city in range(int(place.max()) + 1):
        rest = place != city
        without = sm.GLM(y[rest], x[rest], family=family).fit(tol=1e-12)
        found.append(float(np.abs((without.params - whole.params) / whole.bse).max()))
    return found


def told(frame: Frame, asked: Glm, place: Any) -> list[float]:
    fit, log = fitted(frame, asked.model_copy(update={"influence": True}), place)
    plain, _ = fitted(frame, asked, place)
    assert fit.coefficients == plain.coefficients, "to ask for it changes no coefficient"
    assert log.asks[-1].purpose == "influence"
    assert [each.place for each in fit.influence] == list(range(int(place.max()) + 1))
    assert all(each.estimate is not None for each in fit.influence)
    assert [each.marked for each in fit.influence] == [(each.estimate or 0) > 2 for each in fit.influence]
    return [each.estimate or 0.0 for each in fit.influence]


def agreement(frame: Frame, asked: Glm, by: str) -> float:
    """The correlation of what twelve cities tell with refits: six by a column, six at random."""
    both: tuple[list[float], list[float]] = ([], [])
    for place in (sixths(frame.values(by)), random_places(frame.rows, 6)):
        both[0].extend(told(frame, asked, place))
        both[1].extend(refitted(frame, asked, place))
    return float(np.corrcoef(*both)[0, 1])


def test_what_cities_tell_goes_with_refits_without_them(credit: Frame) -> None:
    assert agreement(credit, Glm(**CREDIT, terms=TERMS), "v12") >= 0.99
    visits = Glm(family="poisson", outcome="visits", terms=("lncoins", "lpi", "physlm"))
    assert agreement(randhie(), visits, "lpi") >= 0.99


@pytest.mark.slow  # ten fits of 150,000 rows, and fourteen of statsmodels
def test_on_150_000_borrowers_too() -> None:
    frame = give_me_some_credit()
    terms = tuple(name for name in frame.columns if name != "y")
    assert agreement(frame, Glm(family="binomial", outcome="y", terms=terms), "x1") >= 0.99  # x1: age


def test_only_its_own_cells_leave_a_city_and_they_are_tenths(credit: Frame) -> None:
    asked = Glm(**CREDIT, terms=TERMS, influence=True)
    place = random_places(credit.rows, 3)
    _, log = fitted(credit, asked, place)
    for city, vector in enumerate(log.vectors[-1]):
        cells, flags = vector[2:5], vector[5:8]
        others = [each for each in range(3) if each != city]
        assert len(vector) == 8
        assert not cells[others].any()
        assert not flags[others].any()
        assert flags[city] == 1


@pytest.mark.parametrize("key", [{"errors": Clustered(cluster="city")}, {"penalty": Ridge(kind="ridge", strength=3.0)}])
def test_errors_and_a_ridge_are_those_of_the_fit(credit: Frame, key: dict[str, Any]) -> None:
    """Wider errors make the same change a smaller part of them."""
    place = sixths(credit.values("v12"))
    plain = told(credit, Glm(**CREDIT, terms=TERMS), place)
    asked = Glm(**CREDIT, terms=TERMS, **key)
    found, _ = fitted(credit, asked.model_copy(update={"influence": True}), place)
    assert len(found.influence) == 6
    assert [each.estimate for each in found.influence] != plain
    assert all(each.estimate is not None and each.estimate < 20 for each in found.influence)


def test_a_city_that_alone_has_a_code_cannot_tell(credit: Frame) -> None:
    """Without it the other cities' rows do not determine the coefficient of that code."""
    place = random_places(credit.rows, 4)
    place = np.where(credit.values("v9") == 1, 0, place)
    asked = Glm(**CREDIT, terms=("v1", "v9"), influence=True)
    fit, _ = fitted(credit, asked, place, OPEN)
    first = fit.influence[0]
    assert (first.estimate, first.cause, first.marked) == (None, "cannot_tell", True)
    assert all(each.estimate is not None for each in fit.influence[1:])


def test_a_city_without_rows_tells_nothing(credit: Frame) -> None:
    asked = Glm(**CREDIT, terms=TERMS, influence=True)
    cities = divided(credit, random_places(credit.rows, 3))
    empty = credit.take(np.arange(0))

    fit, _ = conversation(planned(credit, asked, [*cities, empty]), [*cities, empty])
    assert [each.cause for each in fit.influence] == ["", "", "", "no_rows"]


@pytest.mark.parametrize(
    "key",
    [
        {"city_effects": "concentrated"},
        {"city_effects": "random"},
        {"penalty": Firth(kind="firth")},
        {"penalty": Sparse(kind="lasso", strength=1.0)},
    ],
)
def test_what_leaves_no_such_number_is_refused(credit: Frame, key: dict[str, Any]) -> None:
    cities = divided(credit, random_places(credit.rows, 3))
    with pytest.raises(ConfigError, match="influence") as caught:
        planned(credit, Glm(**CREDIT, terms=TERMS, influence=True, **key), cities)
    assert caught.value.code == "MODEL_TOGETHER"
