"""Where there is no fit to make, a model stops with a named cause and says what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.answer import Fit
from protocols.models.glm import Clustered, Glm, Limits, Ridge, Weights
from protocols.models.interface import Ask, Done
from protocols.ring import Vector
from tests.models.data import Frame, dictionary
from tests.models.federation import answer, conversation, estimates, fitted, planned, secure_sum

ROWS = 600
PLACE = np.arange(ROWS) % 6
VARIABLES: dict[str, Any] = {
    "x": {"type": "number", "range": ["-6", "6"]},
    "twice": {"type": "number", "range": ["-12", "12"]},
    "flat": {"type": "number", "range": ["0", "9"]},
    "vast": {"type": "number", "range": ["0", "100000000"]},
    "work": {"type": "category", "codes": {"a": {}, "b": {}, "rare": {}}},
    "yes": {"type": "boolean"},
    "apart": {"type": "boolean"},
    "never": {"type": "boolean"},
    "count": {"type": "integer", "range": [0, 50]},
    "large": {"type": "integer", "range": [0, 10**12]},
    "none": {"type": "integer", "range": [0, 50]},
    "signed": {"type": "integer", "range": [-5, 50]},
    "cost": {"type": "number", "range": ["0", "100"]},
    "fee": {"type": "number", "range": ["1", "100"]},
    "same": {"type": "number", "range": ["1", "100"]},
}


def rows(**other: Any) -> Frame:
    generator = public_stream("tests", "models", "bad")
    x = np.clip(generator.normal(size=ROWS), -6, 6)
    values: dict[str, Any] = {
        "x": x,
        "twice": 2 * x,
        "flat": np.full(ROWS, 3.0),
        "vast": generator.random(ROWS) * 100,
        "work": np.where(np.arange(ROWS) < 3, 2, generator.integers(0, 2, ROWS)).astype(np.int16),
        "yes": generator.random(ROWS) < 0.4,
        "apart": x > 0,
        "never": np.zeros(ROWS, bool),
        "count": generator.poisson(2.0, ROWS),
        "large": generator.poisson(9.0, ROWS),
        "none": np.zeros(ROWS, np.int64),
        "signed": generator.poisson(2.0, ROWS),
        "cost": generator.random(ROWS) * 99,
        "fee": generator.random(ROWS) * 98 + 1,
        "same": np.full(ROWS, 7.0),
    } | other
    return Frame(
        dictionary(VARIABLES), {name: Column(each, np.ones(ROWS, bool)) for name, each in values.items()}, ROWS
    )


LOGIT: dict[str, Any] = {"family": "binomial", "outcome": "yes", "terms": ("x",)}


@pytest.mark.parametrize(
    ("changed", "code", "named"),
    [
        ({"terms": ("x", "flat")}, "MODEL_COLUMN_CONSTANT", "flat"),
        ({"terms": ("x", "twice")}, "MODEL_COLLINEAR", "twice is determined by x"),
        ({"family": "poisson", "outcome": "large", "terms": ("vast",)}, "MODEL_PRECISION", "of vast is too wide"),
        ({"terms": ("x", "yes")}, "MODEL_TERM_OUTCOME", "yes"),
        ({"outcome": "cost"}, "MODEL_OUTCOME_RANGE", "number [0, 100]"),
        ({"outcome": "never"}, "MODEL_TOO_FEW_EVENTS", "never"),
        ({"family": "poisson", "outcome": "signed"}, "MODEL_OUTCOME_RANGE", "integer [-5, 50]"),
        ({"family": "poisson", "outcome": "none"}, "MODEL_TOO_FEW_EVENTS", "none"),
        ({"family": "gamma", "outcome": "cost"}, "MODEL_OUTCOME_RANGE", "number [0, 100]"),
        ({"family": "gamma", "outcome": "same"}, "MODEL_COLUMN_CONSTANT", "same"),
        ({"family": "gaussian", "outcome": "same"}, "MODEL_COLUMN_CONSTANT", "same"),
        ({"family": "gaussian", "outcome": "yes"}, "MODEL_OUTCOME_RANGE", "boolean"),
        ({"family": "negative_binomial", "outcome": "count"}, "MODEL_ALPHA", "alpha"),
        ({"alpha": 2.0}, "MODEL_ALPHA", "alpha"),
        ({"link": "log"}, "MODEL_LINK", "logit, probit, cloglog"),
        ({"offset": "work"}, "MODEL_TYPE", "offset"),
        ({"weights": Weights(kind="frequency", of="cost")}, "MODEL_TYPE", "weights"),
        ({"weights": Weights(kind="analytic", of="x")}, "MODEL_WEIGHTS", "x"),
        ({"errors": Clustered(cluster="work")}, "MODEL_CLUSTERS_FEW", "MISSING"),
        ({"errors": Clustered(cluster="cost")}, "MODEL_TYPE", "cluster"),
    ],
    ids=str,
)
def test_each_fault_has_a_name(changed: dict[str, Any], code: str, named: str) -> None:
    if code == "MODEL_CLUSTERS_FEW":
        frame, place, named = rows(work=np.zeros(ROWS, np.int16)), PLACE % 3, "3 clusters"
    else:
        frame, place = rows(), PLACE
    with pytest.raises(ConfigError) as refused:
        fitted(frame, Glm(**LOGIT | changed), place)
    assert refused.value.code == code
    assert named in refused.value.text("en")
    assert refused.value.next("zh")


def test_few_events_rows_and_cities_are_named() -> None:
    with pytest.raises(ConfigError, match="at least 600 events"):
        fitted(rows(), Glm(**LOGIT), PLACE, Limits(events_per_column=300))
    nobody = rows().take(np.arange(0))
    with pytest.raises(ConfigError, match="0 rows of all cities are too few for 2 columns"):
        conversation(planned(nobody, Glm(**LOGIT), [nobody] * 6), [nobody] * 6)
    with pytest.raises(ConfigError, match="2 rows of all cities"):
        fitted(rows().take(np.arange(2)), Glm(**LOGIT | {"family": "gaussian", "outcome": "cost"}), PLACE[:2])
    with pytest.raises(ConfigError, match="4 clusters are too few"):
        planned(rows(), Glm(**LOGIT | {"errors": Clustered(cluster="city")}), [rows()] * 4)


def test_a_perfect_divide_stops_early_and_names_the_column() -> None:
    fit, _ = fitted(rows(), Glm(**LOGIT | {"outcome": "apart"}), PLACE)
    assert (fit.converged, fit.cause, fit.named, fit.obs_status) == (False, "separation", ("x",), "x")
    assert fit.coefficients == ()
    assert fit.rounds <= 12


def test_a_code_that_never_stops_is_named_and_a_ridge_answers() -> None:
    work = public_stream("tests", "models", "codes").integers(0, 3, ROWS).astype(np.int16)
    frame = rows(work=work, yes=rows().columns["yes"].values & (work != 2))
    question = {**LOGIT, "terms": ("x", "work")}
    fit, _ = fitted(frame, Glm(**question), PLACE)
    assert fit.cause == "separation"
    assert "work[rare]" in fit.named
    ridge, _ = fitted(frame, Glm(**question, penalty=Ridge(kind="ridge", strength=1.0)), PLACE)
    assert estimates(ridge)["work[rare]"][0] < -1


def test_collinear_drop_leaves_the_later_column_out_and_lists_it() -> None:
    fit, _ = fitted(rows(), Glm(**LOGIT | {"terms": ("x", "twice"), "collinear": "drop"}), PLACE)
    assert fit.collinear == ("twice",)
    assert list(estimates(fit)) == ["intercept", "x"]
    alone, _ = fitted(rows(), Glm(**LOGIT), PLACE)
    assert estimates(fit)["x"][0] == pytest.approx(estimates(alone)["x"][0], abs=1e-10)


def test_a_thin_code_is_left_out_and_listed() -> None:
    fit, _ = fitted(rows(), Glm(**LOGIT | {"terms": ("work",)}), PLACE, Limits())
    assert fit.dropped == ("work[rare]",)
    assert list(estimates(fit)) == ["intercept", "work[b]"]


def test_holders_without_a_value_are_left_out_and_counted() -> None:
    frame = rows()
    known = np.arange(ROWS) % 10 != 0
    lacking = Frame(frame.dictionary, {**frame.columns, "x": Column(frame.columns["x"].values, known)}, ROWS)
    fit, _ = fitted(lacking, Glm(**LOGIT), PLACE)
    assert (fit.left_out, fit.n) == (60, 540)
    assert fit.obs_status == ""
    half = Frame(frame.dictionary, {**frame.columns, "x": Column(frame.columns["x"].values, PLACE > 2)}, ROWS)
    assert fitted(half, Glm(**LOGIT), PLACE)[0].obs_status == "u"
    kept, _ = fitted(frame.take(np.flatnonzero(known)), Glm(**LOGIT), PLACE[known])
    assert estimates(fit)["x"][0] == pytest.approx(estimates(kept)["x"][0], abs=1e-12)


def test_a_step_that_is_too_long_is_halved_and_the_fit_is_found() -> None:
    """Counts that a start at their mean overshoots: a few very large ones far out in a column."""
    x = np.clip(public_stream("tests", "models", "far").normal(size=ROWS), -6, 6)
    count = np.where(x > 2, 45, np.where(x > 1.9, 3, 0)).astype(np.int64)
    frame = rows(x=x, count=count)
    fit, log = fitted(frame, Glm(family="poisson", outcome="count", terms=("x",)), PLACE)
    assert fit.converged
    assert any(state.halvings for state in log.states)


def forged(question: dict[str, Any], change: Callable[[Ask, Vector], Vector]) -> Fit:
    """A conversation in which the totals are not those of any rows."""
    frame = rows()
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(6)]
    model = planned(frame, Glm(**LOGIT | question), cities)
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        state = model.tell(state, ask, change(ask, secure_sum(answer(model, ask, city) for city in cities)))
    return model.finalize(state)


def overflown(total: Vector) -> Vector:
    return np.concatenate([total[:1], np.ones(1, np.int64), total[2:]])


def test_a_deviance_that_only_rises_ends_after_ten_halvings() -> None:
    def rising(ask: Ask, total: Vector) -> Vector:
        return total + (np.arange(len(total)) == 3) * np.int64(ask.round << 50) if ask.purpose == "step" else total

    fit = forged({}, rising)
    assert (fit.converged, fit.cause, fit.obs_status, fit.rounds) == (False, "no_descent", "x", 13)


def test_steps_that_never_grow_small_end_after_twenty_five_rounds() -> None:
    seen: list[Vector] = []

    def stuck(ask: Ask, total: Vector) -> Vector:
        seen.extend([total] if ask.purpose == "step" and not seen else [])
        return seen[0] if ask.purpose == "step" else total

    fit = forged({"family": "gamma", "link": "log", "outcome": "fee"}, stuck)
    assert (fit.converged, fit.cause, fit.named, fit.rounds) == (False, "no_convergence", ("x",), 26)


def test_a_city_whose_cells_are_too_large_stops_the_fit_where_no_step_can_be_halved() -> None:
    for purpose in ("standardise", "step"):
        with pytest.raises(ConfigError) as refused:
            forged({}, lambda ask, total, at=purpose: overflown(total) if ask.purpose == at else total)  # type: ignore[misc]  # one argument more, with a default
        assert refused.value.code == "MODEL_PRECISION"
    fit = forged({}, lambda ask, total: overflown(total) if ask.purpose == "final" else total)
    assert (fit.cause, fit.obs_status) == ("no_descent", "x")


def test_a_model_of_the_constant_alone_is_the_mean() -> None:
    fit, _ = fitted(rows(), Glm(**LOGIT | {"terms": ()}), PLACE)
    share = float(np.mean(rows().columns["yes"].values))
    assert estimates(fit)["intercept"][0] == pytest.approx(np.log(share / (1 - share)), abs=1e-12)
    assert fit.deviance == pytest.approx(fit.null_deviance, rel=1e-12)
    never, _ = fitted(rows(), Glm(family="poisson", outcome="count"), PLACE)
    assert estimates(never)["intercept"][0] == pytest.approx(np.log(rows().values("count").mean()), abs=1e-12)


def test_an_outcome_that_the_columns_determine_has_no_error_to_report() -> None:
    frame = rows(cost=5 * rows().values("x") + 40)
    fit, _ = fitted(frame, Glm(family="gaussian", outcome="cost", terms=("x",)), PLACE)
    assert (fit.converged, fit.cause, fit.named) == (False, "perfect", ("cost",))


def test_clusters_of_a_column_are_counted_and_too_few_are_refused_before_an_error_is_printed() -> None:
    question = Glm(
        family="poisson", outcome="count", terms=("x",), errors=Clustered(cluster="signed"), dispersion="pearson"
    )
    fit, _ = fitted(rows(), question, PLACE)
    assert fit.clusters is not None
    assert fit.clusters > 6 * 5
    assert fit.log_likelihood is None, "a quasi-likelihood is none"
