"""Regressions with noise: what one holder can change, the pooled fit within what is said of errors, and when there is no answer to give."""

from dataclasses import replace
from fractions import Fraction
from math import sqrt
from typing import Any, Final

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.dictionary import Column
from protocols.errors import ConfigError, PeerError
from protocols.models import private
from protocols.models.design import Columns
from protocols.models.private import MOMENTS, PRODUCTS, SCORES, PrivateAsk, PrivatePlan, row_norm
from protocols.models.question import Setting
from protocols.statistics.layout import Domain
from tests.models.data import Frame, dictionary
from tests.models.noised import STUDY, Noised, names, population, question, stated
from tests.models.rounds import divided

FAMILIES: Final = ("gaussian", "binomial", "poisson")
REFERENCE: Final = {"gaussian": sm.families.Gaussian, "binomial": sm.families.Binomial, "poisson": sm.families.Poisson}
SMALL: Final = dictionary(
    {
        "x": {"type": "number", "range": ("-2", "6")},
        "c": {"type": "category", "codes": {"a": {}, "b": {}, "d": {}}},
        "y": {"type": "integer", "range": (0, 9)},
        "yes": {"type": "boolean"},
    }
)


def one(x: float, code: int, y: int, known: bool = True) -> Frame:
    columns = {
        "x": Column(np.array([x]), np.array([True])),
        "c": Column(np.array([code], np.int16), np.array([known])),
        "y": Column(np.array([y]), np.array([True])),
        "yes": Column(np.array([y > 4], np.int8), np.array([True])),
    }
    return Frame(SMALL, columns, 1)


def small(family: str, missing: str = "drop") -> PrivatePlan:
    asked = question(family, ["x", "c", "x:c"], outcome="yes" if family == "binomial" else "y", missing=missing)
    found = asked.planned(Setting(Domain(SMALL), 6, 1 << 20, STUDY, 0.95))
    assert isinstance(found, PrivatePlan)
    return found


def asks(model: PrivatePlan, seed: int = 0) -> dict[str, PrivateAsk]:
    """An ask of each round; what a score is asked at is drawn."""
    draw, q = np.random.default_rng(seed), model.p - 1  # noqa: TID251 any numbers do
    columns = Columns(
        groups=tuple((at,) for at in range(q)), centre=(0.3,) * q, scale=tuple(draw.uniform(0.1, 1, q).tolist())
    )
    outcome = {"gaussian": (3.0, 2.0), "binomial": (0.0, 1.0), "poisson": (0.0, 5.0)}[model.question.family]
    found = {}
    for number, purpose in enumerate(model.purposes[:3]):  # all scores are alike
        last = (1.5,) if model.gaussian and purpose in SCORES else ()
        state = model.start().model_copy(
            update={
                "round": number,
                "columns": columns,
                "outcome": (*outcome, *last),
                "point": tuple(draw.normal(size=q + 1).tolist()),
                "whiten": tuple((np.eye(q + 1) + 0.3 * draw.normal(size=(q + 1, q + 1))).ravel().tolist()),
            }
        )
        ask = model.ask(state)
        assert isinstance(ask, PrivateAsk)
        found[purpose] = ask
    return found


def vector(model: PrivatePlan, ask: PrivateAsk, *rows: Frame) -> Any:
    """A city's answer, a batch per frame."""
    sums = [model.measure(ask, each.columns.__getitem__, each.rows) for each in rows]
    whole = sums[0]
    for more in sums[1:]:
        whole = whole + more
    return model.encode(ask, whole).astype(object)


PEOPLE: Final = st.builds(one, st.floats(-2, 6), st.integers(0, 2), st.integers(0, 9), st.booleans())


@pytest.mark.parametrize("missing", ["drop", "indicator"])
@pytest.mark.parametrize("family", FAMILIES)
@given(crowd=st.lists(PEOPLE, min_size=1, max_size=3), seed=st.integers(0, 99))
@settings(max_examples=8)
def test_one_holder_changes_no_more_than_is_declared(family: str, missing: str, crowd: list[Frame], seed: int) -> None:
    model = small(family, missing)
    declared = {each.name: each for each in model.draws}
    for purpose, ask in asks(model, seed).items():
        change = vector(model, ask, *crowd) - vector(model, ask, *(crowd[1:] or [crowd[0].take(np.arange(0))]))
        assert len(change) == declared[purpose].cells
        assert abs(change).sum() <= declared[purpose].l1
        assert (change**2).sum() <= declared[purpose].l2sq


@pytest.mark.parametrize("family", FAMILIES)
def test_one_holder_changes_nearly_as_much_as_is_declared(family: str) -> None:
    """A row as long as may be, whose outcome is as far from the mean as can be."""
    model = small(family)
    declared = {each.name: each for each in model.draws}
    far = asks(model)
    columns = far[PRODUCTS].columns
    scales = [
        columns.model_copy(update={"scale": (each,) * (model.p - 1)}) for each in np.geomspace(0.5, 9, 40).tolist()
    ]
    eye = tuple(np.eye(model.p).ravel().tolist())
    outcome = {"gaussian": (5.0, 1.0, 1.0), "binomial": (0.0, 1.0), "poisson": (0.0, 5.0)}[family]
    point = (-60.0, *(0.0,) * (model.p - 1))
    for purpose in (MOMENTS, PRODUCTS, *SCORES[:1]):
        tried = [{"columns": each, "whiten": eye, "point": point, "outcome": outcome} for each in scales]
        found = max((vector(model, far[purpose].model_copy(update=each), one(6.0, 2, 9)) ** 2).sum() for each in tried)
        assert (
            found >= (0.6 if purpose == MOMENTS else 0.9) * declared[purpose].l2sq
        )  # no holder is at all ends at once


def test_the_budget_is_spent_on_moments_products_and_scores_that_double() -> None:
    draws = {each.name: each.share for each in small("binomial").draws}
    assert sum(draws.values()) == 1
    assert (draws[MOMENTS], draws[PRODUCTS]) == (Fraction(1, 20), Fraction(3, 20))
    assert [draws[name] / draws[SCORES[0]] for name in SCORES] == [1, 2, 4, 8, 16]


def test_a_dictionary_that_says_centre_and_spread_saves_the_moments() -> None:
    frame = population(3000, 2, 1, "binomial")
    said = stated(frame, x0={"centre": "1", "spread": "1"}, x1={"centre": "7", "spread": "7"})
    with_moments, without = (Noised(each, question("binomial", names(frame)), None) for each in (frame, said))
    assert with_moments.plan.purposes == (MOMENTS, *without.plan.purposes)
    assert sum(each.share for each in without.plan.draws) == 1
    pairs = zip(with_moments.fitted()[0].coefficients, without.fitted()[0].coefficients, strict=True)
    assert all(a["estimate"] == pytest.approx(b["estimate"], abs=0.1 * b["std_error"]) for a, b in pairs)


# --- the fit


def pooled(frame: Frame, family: str) -> Any:
    return sm.GLM(frame.values("y"), frame.matrix(names(frame)), family=REFERENCE[family]()).fit()


@pytest.mark.parametrize("family", FAMILIES)
def test_without_noise_the_schedule_ends_in_the_pooled_fit_and_its_errors(family: str) -> None:
    frame = population(4000, 4, 3, family)
    reference = pooled(frame, family)
    model = Noised(frame, question(family, names(frame)), None)
    found, state = model.fitted()
    for each, estimate, error in zip(found.coefficients, reference.params, reference.bse, strict=True):
        assert abs(each["estimate"] - estimate) < 0.15 * error  # long rows count less
        assert each["se_sampling"] == pytest.approx(error, rel=0.15)
        assert each["se_noise"] == 0
    assert (found.fit["n"], found.fit["obs_status"]) == (4000, "")
    cities, _ = model.fitted(cities=divided(frame))
    assert [each["estimate"] for each in cities.coefficients] == pytest.approx(
        [each["estimate"] for each in found.coefficients], rel=1e-3, abs=1e-3
    )
    assert state.round == model.plan.most_rounds == 7


@pytest.mark.parametrize("family", FAMILIES)
def test_with_noise_it_is_as_far_from_the_pooled_fit_as_it_says(family: str) -> None:
    frame = population(12_000, 4, 3, family)
    reference = pooled(frame, family)
    model = Noised(frame, question(family, names(frame)))
    found, _ = model.fitted()
    far = [
        (each["estimate"] - estimate) / each["se_noise"]
        for each, estimate in zip(found.coefficients, reference.params, strict=True)
    ]
    assert 0.3 < sqrt(np.mean(np.square(far))) < 1.9
    for each in found.coefficients:
        assert each["std_error"] ** 2 == pytest.approx(each["se_sampling"] ** 2 + each["se_noise"] ** 2)
    ratio = model.plan.ratio(12_000)
    assert ratio is not None
    assert found.fit["noise_ratio"] == pytest.approx(ratio, rel=0.5)  # said before anybody was asked
    assert found.fit["formula_ratio"] == pytest.approx(1, abs=0.12)  # reruns and formula agree
    assert model.fitted()[0] == found  # the same sums, the same errors


def test_holders_of_whom_a_term_is_not_known_are_left_out_and_counted() -> None:
    frame = population(4000, 2, 1, "binomial")
    known = np.arange(4000) % 5 > 0
    columns = {**frame.columns, "x0": Column(frame.columns["x0"].values, known)}
    found, _ = Noised(replace(frame, columns=columns), question("binomial", names(frame)), None).fitted()
    assert (found.fit["n"], found.fit["left_out"]) == (3200, 800)


def test_terms_that_determine_each_other_are_marked() -> None:
    frame = population(12_000, 2, 1, "binomial")
    twice = replace(
        frame,
        dictionary=stated(frame).dictionary.model_copy(
            update={"variables": {**frame.dictionary.variables, "again": frame.dictionary.variables["x0"]}}
        ),
        columns={**frame.columns, "again": frame.columns["x0"]},
    )
    found, _ = Noised(twice, question("binomial", names(twice))).fitted()
    assert (found.fit["hidden_directions"], found.fit["obs_status"]) == (1, "u")


def test_where_many_rows_are_longer_than_may_be_the_share_is_said_and_marked() -> None:
    frame = population(6000, 3, 0, "gaussian")
    draw = np.random.default_rng(0)  # noqa: TID251 a test's own rows
    heavy = np.clip(draw.standard_t(1.1, 6000), -7, 9)
    columns = {**frame.columns, "x0": Column(np.where(np.abs(heavy) > 4, heavy, heavy / 30), np.ones(6000, bool))}
    found, _ = Noised(replace(frame, columns=columns), question("gaussian", names(frame)), None).fitted()
    assert found.fit["clipped"] > 0.02
    assert found.fit["obs_status"] == "u"


def rare(rows: int, seed: int, share: float, rate: float) -> Frame:
    """A code and an event that few have; the coefficient of the code is 0.7."""
    draw, known = np.random.default_rng(seed), np.ones(rows, bool)  # noqa: TID251 a test's own rows
    x, few, many = np.clip(draw.normal(size=rows), -4, 4), draw.random(rows) < share, draw.random(rows) < 0.45
    y = draw.random(rows) < 1 / (1 + np.exp(-(np.log(rate) + 0.3 * x + 0.7 * few + 0.4 * many)))
    variables = {
        "x": {"type": "number", "range": ("-4", "4")},
        **{name: {"type": "boolean"} for name in ("few", "many", "y")},
    }
    columns = {"x": Column(x, known)} | {
        name: Column(each.astype(np.int8), known) for name, each in (("few", few), ("many", many), ("y", y))
    }
    return Frame(dictionary(variables), columns, rows)


def test_of_a_rare_code_and_a_rare_event_the_fit_is_no_farther_off_than_it_says() -> None:
    """Where a step went too far hardly an event is expected, and the next goes farther; rows drawn from a normal law know none of it."""
    truth, far = np.array([np.log(0.02), 0.3, 0.7, 0.4]), []
    for seed in range(4):
        found, _ = Noised(rare(26_606, seed, 0.015, 0.02), question("binomial", ["x", "few", "many"])).fitted(seed)
        far.append(
            [(each["estimate"] - at) / each["std_error"] for each, at in zip(found.coefficients, truth, strict=True)]
        )
    assert np.abs(far).max() < 4
    assert sqrt(np.mean(np.square(far))) < 1.4


# --- when not


def test_a_fit_that_would_be_noise_is_refused_before_anybody_is_asked() -> None:
    frame = population(50, 48, 0, "binomial")
    tight = Noised(frame, question("binomial", names(frame)), "1", most_rows=1 << 20)
    ratio = tight.plan.ratio(1000)
    assert ratio is not None
    assert ratio > private.TOO_NOISY
    with pytest.raises(ConfigError) as no:
        _ = replace(tight, most_rows=1000 // 6).plan
    assert no.value.code == "MODEL_DP_TOO_NOISY"
    again = tight.plan.ratio(float(str(no.value.values["rows"])))
    assert again == pytest.approx(1, rel=0.01)  # it says how many would do
    assert row_norm(20) == pytest.approx(1.1 * sqrt(21 + 2.33 * sqrt(40)))


def test_too_few_rows_and_an_ask_of_somebody_else_have_no_answer() -> None:
    frame = population(12, 2, 1, "binomial")
    with pytest.raises(ConfigError) as few:
        Noised(frame, question("binomial", names(frame)), None).fitted()
    assert few.value.code == "MODEL_FEW_ROWS"
    model = small("poisson")
    ask = asks(model)[MOMENTS]
    with pytest.raises(PeerError) as foreign:
        vector(model, ask.model_copy(update={"study": "sha256:" + "8" * 64}), one(1.0, 1, 1))
    assert foreign.value.code == "MODEL_ASK_FOREIGN"
    with pytest.raises(PeerError) as other:
        model.tell(model.start(), ask.model_copy(update={"round": 1}), np.zeros(model.length(ask), np.int64))
    assert other.value.code == "MODEL_NOT_REPLAYABLE"
