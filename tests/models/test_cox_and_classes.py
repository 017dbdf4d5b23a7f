"""Cox, ordinal and multinomial fits by secure sums equal those of the pooled rows in statsmodels and lifelines."""

from typing import Any

import lifelines
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.miscmodels.ordinal_model import OrderedModel

from protocols.columns import Column
from protocols.errors import ConfigError
from protocols.models import classes, cox
from protocols.models.classes import Classes
from protocols.models.cox import Cox, baseline
from protocols.models.likelihood import LikelihoodPlan
from protocols.models.newton import Limits
from tests.models.data import Frame, dictionary, governments, rossi, voters
from tests.models.data import frame as from_table
from tests.models.federation import OPEN, conversation, divided, secure_sum
from tests.models.test_city_effects import found

STUDY = "sha256:" + "0" * 64
CONVICTS = ("fin", "age", "race", "wexp", "mar", "paro", "prio")


def walked(frame: Frame, question: Any, place: Any, limits: Limits = OPEN, **how: Any) -> Any:
    cities = divided(frame, place)
    most = max(64, *(city.rows for city in cities))
    make: Any = cox.plan if isinstance(question, Cox) else classes.plan
    model: LikelihoodPlan = make(question, frame.dictionary, len(cities), most, STUDY, limits, **how)
    fit, log = conversation(model, cities)
    return fit, log, model


def pooled(frame: Frame, duration: str, event: str, terms: tuple[str, ...], ties: str, strata: Any) -> Any:
    x = frame.matrix(terms)[:, 1:]
    return PHReg(frame.values(duration), x, frame.values(event), ties=ties, strata=strata).fit(disp=0)


@pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0")  # of lifelines
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_of_cities_and_of_all_equals_the_pooled_fit(ties: Any) -> None:
    frame = rossi()
    place = np.arange(frame.rows) % 6
    question = Cox(duration="week", event="arrest", terms=CONVICTS, ties=ties)
    for stratify, strata in (("city", place), ("none", None)):
        fit, log, _ = walked(frame, question.model_copy(update={"stratify": stratify}), place)
        reference = pooled(frame, "week", "arrest", CONVICTS, ties, strata)
        assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
        assert fit.log_likelihood == pytest.approx(reference.llf, rel=1e-10)
        assert fit.rounds <= 8
        assert fit.events == 114
        assert len(log.vectors[1][0]) == (2 + 1 + 7 + 28 if stratify == "city" else 2 + 52 * (2 * 36 + 1 + 7))
    table = pd.DataFrame({name: frame.values(name) for name in ("week", "arrest", *CONVICTS)})
    if ties == "efron":
        theirs = lifelines.CoxPHFitter().fit(table, "week", "arrest", fit_options={"precision": 1e-12})
        assert np.abs(found(fit) - np.column_stack([theirs.params_, theirs.standard_errors_])).max() <= 1e-7


def test_the_baseline_of_all_is_that_of_breslow() -> None:
    frame = rossi()
    place = np.arange(frame.rows) % 6
    fit, log, model = walked(
        frame, Cox(duration="week", event="arrest", terms=CONVICTS, stratify="none", ties="breslow"), place
    )
    curve = baseline(model, log.states[-1], log.asks[-1], secure_sum(log.vectors[-1]))
    x = frame.matrix(CONVICTS)[:, 1:]
    risk = np.exp((x - x.mean(axis=0)) @ found(fit)[:, 0])
    time, event = frame.values("week"), frame.values("arrest")
    jumps = [event[time == each].sum() / risk[time >= each].sum() for each, _ in curve]
    assert [each for _, each in curve] == pytest.approx(np.cumsum(jumps).tolist(), rel=1e-9)
    _, log, model = walked(frame, Cox(duration="week", event="arrest", terms=CONVICTS), place)
    with pytest.raises(ConfigError):
        baseline(model, log.states[-1], log.asks[-1], secure_sum(log.vectors[-1]))


def test_governments_of_five_continents() -> None:
    """Cities of very different size; many ties, since most governments last a few years; categories and one continent to itself."""
    frame = governments()
    place = frame.values("continent").astype(np.int64)
    terms = ("democracy", "regime")
    only = Cox(duration="duration", event="ended", terms=("regime",))
    for stratify, strata in (("city", place), ("none", None)):
        fit, _, _ = walked(frame, only.model_copy(update={"stratify": stratify}), place)
        reference = pooled(frame, "duration", "ended", ("regime",), "efron", strata)
        assert np.abs(found(fit) - np.column_stack([reference.params, reference.bse])).max() <= 1e-8
        assert np.abs(found(fit)[:, 0] - reference.params).max() <= max(fit.coefficient_error_bound, 3e-11)
    with pytest.raises(ConfigError, match="is determined by"):
        walked(frame, only.model_copy(update={"terms": terms}), place)
    fit, _, _ = walked(frame, only.model_copy(update={"terms": terms, "collinear": "drop"}), place)
    assert fit.collinear


def test_parties_of_voters_equal_the_pooled_multinomial() -> None:
    frame = voters()
    terms = ("logpopul", "selflr", "age", "educ", "income")
    fit, log, _ = walked(frame, Classes(kind="multinomial", outcome="party", terms=terms), np.arange(frame.rows) % 6)
    reference = sm.MNLogit(frame.values("party"), frame.matrix(terms)).fit(
        method="newton", tol=1e-13, maxiter=50, disp=0
    )
    assert np.abs(found(fit)[:, 0] - reference.params.T.ravel()).max() <= 1e-8
    assert np.abs(found(fit)[:, 1] - np.asarray(reference.bse).T.ravel()).max() <= 1e-8
    assert fit.log_likelihood == pytest.approx(reference.llf, rel=1e-10)
    assert fit.null_deviance == pytest.approx(-2 * reference.llnull, rel=1e-8)
    assert fit.rounds <= 9
    assert fit.coefficients[6].term == "party[c2]:intercept"
    assert len(log.vectors[1][0]) == 2 + 1 + 36 + 36 * 37 // 2


def test_an_order_of_parties_equals_the_pooled_ordinal_fit() -> None:
    frame = voters()
    terms = ("logpopul", "selflr", "age", "educ", "income")
    fit, _, _ = walked(frame, Classes(kind="ordinal", outcome="party", terms=terms), np.arange(frame.rows) % 6)
    x = frame.matrix(terms)[:, 1:]
    model = OrderedModel(frame.values("party").astype(int), (x - x.mean(axis=0)) / x.std(axis=0), distr="logit")
    reference = model.fit(method="bfgs", gtol=1e-7, maxiter=300, disp=0)
    point = np.asarray(reference.params)
    for _ in range(2):  # theirs stops at 3e-7
        point = point - np.linalg.solve(model.hessian(point), model.score(point))
    slopes = point[:5] / x.std(axis=0)
    cuts = model.transform_threshold_params(point)[1:-1] + slopes @ x.mean(axis=0)
    assert np.abs(found(fit)[:, 0] - [*cuts, *slopes]).max() <= 1e-7
    assert np.abs(found(fit)[6:, 1] - reference.bse[:5] / x.std(axis=0)).max() <= 1e-6  # theirs by differences
    assert fit.log_likelihood == pytest.approx(reference.llf, rel=1e-10)
    assert fit.rounds <= 8
    assert [each.term for each in fit.coefficients[:2]] == ["c0|c1", "c1|c2"]


KINDS: dict[str, Any] = {
    "cox": Cox(duration="week", event="arrest", terms=("age", "prio")),
    "pooled": Cox(duration="week", event="arrest", terms=("age", "prio"), stratify="none"),
    "ordinal": Classes(kind="ordinal", outcome="grade", terms=("age", "prio")),
    "multinomial": Classes(kind="multinomial", outcome="grade", terms=("age", "prio")),
}


def graded() -> Frame:
    """Convicts with a grade from the week of arrest: a, b, c; `d` is nobody's, between b and c."""
    frame = rossi()
    table = pd.DataFrame({name: frame.values(name).astype(int) for name in ("week", *CONVICTS)})
    table["arrest"] = frame.columns["arrest"].values.astype(bool)
    table["grade"] = np.where(table.week < 30, "a", np.where(table.week < 52, "b", "e"))
    table.loc[0, "grade"] = "d"
    made = from_table(table, {"week": (1, 52)})
    grade = made.columns["grade"].values.copy()
    grade[grade == 2] = 3  # no row is left with the third code
    return Frame(made.dictionary, {**made.columns, "grade": Column(grade, made.columns["grade"].known)}, made.rows)


@pytest.mark.parametrize("kind", list(KINDS))
def test_rows_batches_empty_cities_and_codes_of_nobody_do_not_matter(kind: str) -> None:
    frame, question = graded(), KINDS[kind]
    place = np.arange(frame.rows) % 5
    fit, _, model = walked(frame, question, place)
    mixed = np.argsort(frame.values("age"), kind="stable")
    apart, _, _ = walked(frame.take(mixed), question, place[mixed] + (place[mixed] > 1))
    bound = fit.coefficient_error_bound + apart.coefficient_error_bound
    assert np.abs(found(fit) - found(apart))[:, 0].max() <= bound
    assert 0 < bound < 1e-7
    assert model.scope == ("whole" if kind == "cox" else "rows")
    if kind != "cox":
        halves, _ = conversation(model, divided(frame, place), batch=30)
        assert np.abs(found(fit) - found(halves))[:, 0].max() <= bound


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_certificate_is_above_the_true_error_of_coarse_sums(kind: str) -> None:
    """Against the fit of one city that needs no sum but its own, with sums that are rounded to 28 digits instead of 40."""
    frame, question = graded(), KINDS[kind]
    one = np.zeros(frame.rows, np.int64)
    place = np.arange(frame.rows) % 5 if kind != "cox" else one
    fine, _, _ = walked(frame, question, one)
    cities = divided(frame, place)
    make: Any = cox.plan if isinstance(question, Cox) else classes.plan
    model = make(question, frame.dictionary, len(cities), 1 << 27, STUDY, OPEN)
    coarse, _ = conversation(model, cities)
    errors = np.abs(found(fine) - found(coarse))[:, 0]
    bounds = np.array([each.error_bound for each in coarse.coefficients])
    assert np.all(errors <= bounds + [each.error_bound for each in fine.coefficients])
    assert bounds.max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "changed", "code"),
    [
        ("cox", {"duration": "grade"}, "MODEL_TYPE"),
        ("cox", {"event": "week"}, "MODEL_TYPE"),
        ("cox", {"terms": ("week",)}, "MODEL_TERM_OUTCOME"),
        ("cox", {"terms": ()}, "MODEL_TOGETHER"),
        ("cox", {"terms": ("city.gdp",)}, "MODEL_COLLINEAR"),
        ("cox", {"duration": "long"}, "MODEL_TIMES"),
        ("cox", {"event": "never"}, "MODEL_TOO_FEW_EVENTS"),
        ("pooled", {"event": "once"}, "MODEL_COLUMN_CONSTANT"),
        ("ordinal", {"outcome": "age"}, "MODEL_TYPE"),
        ("ordinal", {"outcome": "rare"}, "MODEL_CLASS_THIN"),
        ("multinomial", {"outcome": "same"}, "MODEL_COLUMN_CONSTANT"),
        ("multinomial", {"terms": ("grade",)}, "MODEL_TERM_OUTCOME"),
        ("ordinal", {"terms": ()}, "MODEL_TOGETHER"),
        ("multinomial", {"terms": ("flat",)}, "MODEL_COLUMN_CONSTANT"),
    ],
    ids=str,
)
def test_each_fault_has_a_name(kind: str, changed: dict[str, Any], code: str) -> None:
    frame = graded()
    rows, known = frame.rows, np.ones(frame.rows, bool)
    codes: dict[str, Any] = {"a": {}, "b": {}, "c": {}}
    variables = frame.dictionary.model_dump(mode="json", by_alias=True, exclude_defaults=True)["variables"] | {
        "long": {"type": "integer", "range": [0, 5000]},
        "never": {"type": "boolean"},
        "once": {"type": "boolean"},
        "rare": {"type": "category", "codes": codes},
        "same": {"type": "category", "codes": codes},
        "flat": {"type": "number", "range": ["0", "9"]},
    }
    week = frame.values("week")
    made = {
        "long": week,
        "never": np.zeros(rows, bool),
        "once": week == 52,
        "rare": np.where(np.arange(rows) < 19, 2, np.arange(rows) % 2),
        "same": np.ones(rows, int),
        "flat": np.full(rows, 3.0),
    }
    columns = {**frame.columns, **{name: Column(np.asarray(each), known) for name, each in made.items()}}
    question = KINDS[kind].model_copy(update=changed)
    with pytest.raises(ConfigError) as refused:
        walked(Frame(dictionary(variables), columns, rows), question, np.arange(rows) % 5)
    assert refused.value.code == code
    assert refused.value.next("zh")


def test_a_column_that_separates_times_of_events_is_named() -> None:
    frame = graded()
    arrest = frame.columns["arrest"]
    columns = {**frame.columns, "fin": Column(arrest.values.astype(int), arrest.known)}
    apart, question = Frame(frame.dictionary, columns, frame.rows), KINDS["cox"].model_copy(update={"terms": ("fin",)})
    fit, _, _ = walked(apart, question, np.arange(frame.rows) % 5)
    assert (fit.converged, fit.cause, fit.named, fit.obs_status) == (False, "separation", ("fin",), "x")
    assert fit.rounds <= 25
