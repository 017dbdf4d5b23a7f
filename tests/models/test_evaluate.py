"""What is said of a model from sums of histograms, against the scores themselves."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import ConfigError, PeerError
from protocols.models.discrimination import calibrated, ranked, shifted
from protocols.models.evaluate import Evaluate, Evaluation, plan
from protocols.models.interface import Done
from protocols.models.metrics import equal_bands
from protocols.models.modelfile import Linear, ModelFile, Reference, Weight
from protocols.models.scoring import scores
from protocols.statistics.question import Release
from tests.models.data import Frame, dictionary
from tests.models.federation import secure_sum
from tests.models.rounds import STUDY, answer, conversation, divided, filed

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def auc_of(score: Floats, yes: Flags) -> float:
    ranks = stats.rankdata(score)
    p, n = int(yes.sum()), int((~yes).sum())
    return float((ranks[yes].sum() - p * (p + 1) / 2) / (p * n))


def ks_of(score: Floats, yes: Flags) -> float:
    at = np.unique(score)
    shares = [np.searchsorted(np.sort(score[each]), at, side="right") / each.sum() for each in (yes, ~yes)]
    return float(np.abs(shares[0] - shares[1]).max())


def delong(score: Floats, yes: Flags) -> float:
    """Variance of the area, from every pair of rows."""
    pairs = (score[yes][:, None] > score[~yes]) + 0.5 * (score[yes][:, None] == score[~yes])
    return float(pairs.mean(axis=1).var(ddof=1) / yes.sum() + pairs.mean(axis=0).var(ddof=1) / (~yes).sum())


def counted(score: Floats, yes: Flags, bins: int) -> tuple[Floats, Floats]:
    place = np.minimum((score * bins).astype(int), bins - 1)
    events, others = (np.bincount(place[each], minlength=bins).astype(float) for each in (yes, ~yes))
    return events, others


def random_scores(number: int) -> tuple[Floats, Flags, int]:
    """Of any size and shape: smooth, with ties, constant, all in one bin; a few or nearly all of one class."""
    stream = public_stream("tests", "models", f"scores {number}")
    rows, bins = int(stream.integers(2, 300)), int(stream.integers(1, 60))
    score = stream.random(rows) ** stream.uniform(0.2, 6)
    match number % 5:
        case 1:
            score = np.round(score, 1)
        case 2:
            score = np.full(rows, 0.37)
        case 3:
            score = 0.5 + score / bins * 0.4
    yes = stream.random(rows) < stream.uniform(0.02, 0.9) + 0.3 * score
    yes[:2] = (True, False)
    return score, yes, bins


def test_bounds_hold_for_five_hundred_random_sets_of_scores() -> None:
    for number in range(500):
        score, yes, bins = random_scores(number)
        found = ranked(*counted(score, yes, bins))
        assert found is not None
        assert abs(found.auc - auc_of(score, yes)) <= found.auc_bound + 1e-12, number
        assert found.ks - 1e-12 <= ks_of(score, yes) <= found.ks_high + 1e-12, number
        widest = max(float(each.max() / each.sum()) for each in counted(score, yes, bins))
        assert found.ks_high <= found.ks + widest + 1e-12, "no wider than the share of the fullest bin"


def test_the_variance_of_the_area_is_that_of_every_pair() -> None:
    stream = public_stream("tests", "models", "delong")
    for rows, separation in ((300, 0.5), (1500, 1.5)):
        yes = stream.random(rows) < 0.3
        score = 1 / (1 + np.exp(-(stream.normal(size=rows) + separation * yes)))
        found = ranked(*counted(score, yes, 1000))
        assert found is not None
        assert found.variance == pytest.approx(delong(score, yes), rel=0.02)
    ties = np.round(score, 2)
    binned = ranked(*counted(ties + 1e-9, yes, 100))
    assert binned is not None
    assert binned.auc == pytest.approx(auc_of(ties, yes), abs=1e-12), "all ties in one bin: nothing is lost"
    assert binned.variance == pytest.approx(delong(ties, yes), rel=1e-9)


ROWS = 3000
VARIABLES: dict[str, Any] = {
    "x": {"type": "number", "range": ["-6", "6"]},
    "sex": {"type": "category", "codes": {"male": {}, "female": {}, "rare": {}}},
    "stopped": {"type": "boolean"},
    "income": {"type": "money", "unit": "CNY", "range": ["0", "9000"]},
}


def people(rows: int = ROWS) -> Frame:
    stream = public_stream("tests", "models", "evaluate")
    x = np.clip(stream.normal(size=rows), -6, 6)
    known = stream.random(rows) > 0.02
    columns = {
        "x": Column(x, known),
        "sex": Column(
            np.where(np.arange(rows) < 40, 2, stream.integers(0, 2, rows)).astype(np.int16), np.ones(rows, bool)
        ),
        "stopped": Column(stream.random(rows) < 1 / (1 + np.exp(1.2 - 0.9 * x)), np.ones(rows, bool)),
        "income": Column(stream.integers(0, 900_000, rows), np.ones(rows, bool)),
    }
    return Frame(dictionary(VARIABLES), columns, rows)


def logit(slope: float = 0.7, constant: float = -1.0, **other: Any) -> ModelFile:
    weights = (
        Weight(term="intercept", estimate=constant, std_error=0.1),
        Weight(term="x", columns=("x",), estimate=slope, std_error=0.1),
    )
    keys: dict[str, Any] = {"family": "binomial", "link": "logit"} | other
    fit = Linear(**keys, terms=("x",), weights=weights, covariance=((0.01, 0.0), (0.0, 0.01)), error_bound=0.0)
    return filed(people(10), fit, "stopped", ["x"])


@pytest.fixture(scope="module")
def evaluated() -> Evaluation:
    model = logit().model_copy(
        update={"reference": Reference(grid=1000, cuts=(150, 250, 400), counts=(300, 300, 200, 100))}
    )
    planned = plan(
        Evaluate(model="model", by=("sex",), cut=0.3, slope=True), people().dictionary, 6, ROWS, STUDY, model
    )
    state, _ = conversation(planned, planned.start(), divided(people()))
    found: Evaluation = planned.finalize(state)
    return found


def pooled(frame: Frame, model: ModelFile) -> tuple[Floats, Flags]:
    found = scores(model, frame.columns.__getitem__, frame.rows)
    return found.mean[found.known], np.asarray(frame.columns["stopped"].values, bool)[found.known]


def test_every_measure_is_that_of_the_pooled_rows(evaluated: Evaluation) -> None:
    score, yes = pooled(people(), logit())
    assert evaluated.rows == len(score)
    assert evaluated.left_out == ROWS - len(score)
    for measure, true in (("auc", auc_of(score, yes)), ("gini", 2 * auc_of(score, yes) - 1), ("ks", ks_of(score, yes))):
        found = evaluated.find(measure)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= true <= found.high
    error = evaluated.find("auc").std_error
    assert error is not None
    assert error**2 == pytest.approx(delong(score, yes), rel=0.02)
    assert evaluated.find("brier").estimate == pytest.approx(np.mean((score - yes) ** 2), abs=1e-12)
    assert evaluated.find("calibration_in_the_large").estimate == pytest.approx(yes.mean() - score.mean(), abs=1e-12)
    corners, whole = np.array(evaluated.curve), evaluated.find("auc")
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low <= np.trapezoid(corners[:, 2], corners[:, 1]) <= whole.high


def test_the_slope_of_calibration_is_that_of_statsmodels(evaluated: Evaluation) -> None:
    import statsmodels.api as sm

    score, yes = pooled(people(), logit())
    fit = sm.GLM(yes.astype(float), sm.add_constant(np.log(score / (1 - score))), family=sm.families.Binomial()).fit(
        tol=1e-13
    )
    for place, measure in enumerate(("calibration_intercept", "calibration_slope")):
        found = evaluated.find(measure)
        assert found.estimate == pytest.approx(fit.params[place], abs=1e-8)
        assert found.std_error == pytest.approx(fit.bse[place], abs=1e-8)


def test_hosmer_and_lemeshow_is_the_sum_over_bands(evaluated: Evaluation) -> None:
    score, yes = pooled(people(), logit())
    band = np.searchsorted([0.15, 0.25, 0.4], np.floor(score * 1000) / 1000, side="right")
    statistic = 0.0
    for each in range(4):
        n, e, o = (band == each).sum(), score[band == each].sum(), yes[band == each].sum()
        statistic += (o - e) ** 2 / (e * (1 - e / n))
    found = evaluated.find("hosmer_lemeshow")
    assert found.estimate == pytest.approx(statistic, rel=1e-9)
    assert found.base == 4, "on rows that the model was not fitted on, no degree of freedom is lost"
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 4), rel=1e-9)


def test_groups_are_told_where_they_are_large_and_compared_with_the_largest(evaluated: Evaluation) -> None:
    assert evaluated.find("auc", "rare").conf_status == "C"
    assert evaluated.find("auc", "_missing").estimate is None
    score, yes = pooled(people(), logit())
    known = people().columns["x"].known
    sex = people().columns["sex"].values[known]
    largest = int(np.bincount(sex).argmax())
    for code, name in ((0, "male"), (1, "female")):
        inside = sex == code
        found = evaluated.find("true_positive_rate", name)
        wilson = stats.binomtest(int((yes & inside & (score >= 0.3)).sum()), int((yes & inside).sum())).proportion_ci(
            method="wilson"
        )
        assert found.estimate == pytest.approx((score[yes & inside] >= 0.3).mean(), abs=1e-12)
        assert (found.ci_low, found.ci_high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
        assert evaluated.find("approved", name).estimate == pytest.approx((score[inside] < 0.3).mean(), abs=1e-12)
        if code != largest:
            apart = evaluated.find("approved_difference", name)
            off = (score[inside] < 0.3).mean() - (score[sex == largest] < 0.3).mean()
            assert apart.estimate == pytest.approx(off, abs=1e-12)
            assert apart.ci_low is not None
            assert apart.ci_high is not None
            assert apart.ci_low < off < apart.ci_high
    assert evaluated.find("approved", "rare").conf_status == "C"


def test_a_shift_of_scores_is_held_against_its_noise(evaluated: Evaluation) -> None:
    psi = evaluated.find("psi")
    score, _ = pooled(people(), logit())
    now = np.bincount(np.searchsorted([150, 250, 400], np.floor(score * 1000), side="right"), minlength=4) / len(score)
    before = np.array([300, 300, 200, 100]) / 900
    assert psi.estimate == pytest.approx(float(((now - before) * np.log(now / before)).sum()), rel=1e-12)
    assert psi.base == pytest.approx(3 * (1 / 900 + 1 / len(score)))
    stream = public_stream("tests", "models", "psi")
    shares = np.full(10, 0.1)
    for rows in (40, 400, 4000):
        indices = [
            shifted(stream.multinomial(rows, shares).astype(float), stream.multinomial(rows, shares).astype(float))
            for _ in range(200)
        ]
        assert sum(each is not None and each.verdict != "stable" for each in indices) <= 2, (
            "the same people are no drift"
        )
        if rows > 40:
            assert np.mean([each.index for each in indices if each]) == pytest.approx(18 / rows, rel=0.2)
    moved = shifted(np.full(10, 400.0), np.linspace(50, 750, 10))
    assert moved is not None
    assert moved.verdict == "drift"
    empty = shifted(np.array([10.0, 0.0, 5.0]), np.array([10.0, 2.0, 0.0]))
    assert empty is not None
    assert empty.adjusted
    assert np.isfinite(empty.index)
    assert shifted(np.zeros(3), np.ones(3)) is None


def test_cutting_and_dealing_rows_changes_nothing() -> None:
    planned = plan(Evaluate(model="model"), people().dictionary, 6, ROWS, STUDY, logit())
    whole, _ = conversation(planned, planned.start(), divided(people()))
    mixed = people().take(public_stream("tests", "models", "mixed").permutation(ROWS))
    nobody = people().take(np.arange(0))
    dealt, _ = conversation(planned, planned.start(), [*divided(mixed, 5), nobody], batch=97)
    assert whole.sums["histogram"] == dealt.sums["histogram"]
    assert whole.sums["squares"] == pytest.approx(dealt.sums["squares"], abs=12 * 2**-40)


def test_one_class_has_no_ranking_and_nobody_has_nothing() -> None:
    frame = people(200)
    never = Frame(frame.dictionary, {**frame.columns, "stopped": Column(np.zeros(200, bool), np.ones(200, bool))}, 200)
    planned = plan(Evaluate(model="model"), frame.dictionary, 3, 200, STUDY, logit())
    found = planned.finalize(conversation(planned, planned.start(), divided(never, 3))[0])
    assert [found.find(each).obs_status for each in ("auc", "gini", "ks")] == ["z"] * 3
    assert found.find("brier").estimate is not None
    assert found.curve == ()
    nobody = planned.finalize(conversation(planned, planned.start(), [frame.take(np.arange(0))] * 3)[0])
    assert nobody.find("brier").obs_status == "z"
    assert nobody.reference is None
    assert calibrated(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), True) is None


def test_a_constant_score_is_a_coin() -> None:
    frame = people(400)
    planned = plan(Evaluate(model="model"), frame.dictionary, 3, 200, STUDY, logit(slope=0.0))
    found = planned.finalize(conversation(planned, planned.start(), divided(frame, 3))[0])
    auc = found.find("auc")
    assert (auc.estimate, auc.low, auc.high) == (0.5, 0.0, 1.0), (
        "in one bin any order is possible, and the bound says so"
    )
    assert found.find("ks").estimate == 0.0
    assert found.reference is None, "bands of one bin tell nothing"
    assert equal_bands(np.array([5.0, 0.0, 5.0])) == Reference(grid=3, cuts=(1,), counts=(5, 5))


def test_a_model_of_the_same_study_is_evaluated_in_sample() -> None:
    planned = plan(Evaluate(model="fit"), people().dictionary, 6, ROWS, STUDY)
    with pytest.raises(ConfigError, match="no model fit"):
        planned.start()
    found = planned.finalize(conversation(planned, planned.start(logit()), divided(people()))[0])
    assert found.in_sample
    assert found.find("hosmer_lemeshow").base == sum(n > 0 for n, *_ in found.bands) - 2
    assert found.reference is not None
    assert sum(found.reference.counts) == found.rows


def told(cities: list[Frame], release: Release = "both") -> tuple[Any, Any]:
    """An evaluation by city, each of which knows its place; and what its slots hold."""
    most = max(each.rows for each in cities)
    planned = plan(Evaluate(model="fit"), people().dictionary, len(cities), most, STUDY, release=release)
    state = planned.start(logit())
    while not isinstance(ask := planned.ask(state), Done):
        state = planned.tell(
            state, ask, secure_sum(answer(planned.at(place), ask, city) for place, city in enumerate(cities))
        )
    return planned, state


def test_a_city_tells_of_itself_in_thousandths_in_a_slot_of_its_own() -> None:
    cities = [*divided(people(), 3), people().take(np.arange(250)), people().take(np.arange(0))]
    planned, state = told(cities)
    found = planned.finalize(state)
    every = np.concatenate([pooled(city, logit())[0] for city in cities])
    bands = equal_bands(np.bincount((every * 1000).astype(int), minlength=1000).astype(float))
    assert bands is not None
    edges = np.array(bands.cuts)
    before = np.bincount(np.searchsorted(edges, (every * 1000).astype(int), side="right"), minlength=len(edges) + 1)
    for place, city in enumerate(cities[:3]):
        score, yes = pooled(city, logit())
        of = {each.measure: each for each in found.cities[place]}
        assert of["auc"].estimate == pytest.approx(auc_of(score, yes), abs=1.1e-3)
        assert of["ks"].estimate == pytest.approx(ks_of(score, yes), abs=5e-3)
        assert of["brier"].estimate == pytest.approx(np.mean((score - yes) ** 2), abs=5.1e-4)
        assert of["observed_expected"].estimate == pytest.approx(yes.mean() / score.mean(), abs=5.1e-4)
        assert of["calibration_in_the_large"].estimate == pytest.approx(yes.mean() - score.mean(), abs=1.1e-3)
        now = np.bincount(np.searchsorted(edges, (score * 1000).astype(int), side="right"), minlength=len(before))
        shift = shifted(before.astype(float), now.astype(float))
        assert shift is not None
        assert of["psi"].estimate == pytest.approx(shift.index, abs=5.1e-4)
        assert of["psi"].base is not None
        assert shift.floor <= of["psi"].base < shift.floor + 1e-3, "the floor of its noise is never said to be lower"
        assert all(
            float(each.estimate or 0) * 1000 == pytest.approx(round(float(each.estimate or 0) * 1000))
            for each in of.values()
        )
    for small in found.cities[3:]:
        assert {each.conf_status for each in small} == {"C"}
        assert {each.estimate for each in small} == {None}
    assert [each.measure for each in small] == [each.measure for each in found.cities[0]], (
        "a row of each measure all the same"
    )
    answer_ = planned.result(state)
    assert list(answer_.cities) == [0, 1, 2, 3, 4]
    assert {test.name for test in answer_.cities[0][1]} == {"psi_verdict"}


def test_by_city_alone_says_nothing_of_all_rows_but_how_many_there_are() -> None:
    planned, state = told(divided(people(), 3), "by_city")
    found = planned.result(state)
    assert (found.rows, found.tests) == ((), ())
    assert "curve" not in found.fit
    assert "bands" not in found.fit
    assert len(found.cities) == 3


@pytest.mark.parametrize(
    ("question", "model", "code"),
    [
        ({}, logit(family="poisson", link="log"), "MODEL_NOT_BINARY"),
        ({"cut": 0.3333}, logit(), "MODEL_CUT"),
        ({"by": ("x",)}, logit(), "MODEL_TYPE"),
        ({"by": ("sex", "stopped")}, logit(), "STUDY_AXES"),
        ({"by": ("nobody",)}, logit(), "STUDY_VARIABLE"),
        ({}, logit().model_copy(update={"outcome": "income"}), "MODEL_TYPE"),
    ],
    ids=str,
)
def test_each_fault_has_a_name(question: dict[str, Any], model: ModelFile, code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(Evaluate(model="model", **question), people().dictionary, 6, ROWS, STUDY, model)
    assert refused.value.code == code


def test_asks_that_do_not_follow_are_refused() -> None:
    planned = plan(Evaluate(model="model"), people().dictionary, 3, ROWS, STUDY, logit())
    state, log = conversation(planned, planned.start(), divided(people(300), 3))
    ask, total = log.asks[0], np.zeros(9, np.int64)
    sums = planned.measure(ask, people(9).columns.__getitem__, 9)
    foreign = ask.model_copy(update={"study": "sha256:" + "1" * 64})
    other = ask.model_copy(update={"model": logit(slope=3.0).bare})
    with pytest.raises(PeerError, match="not one of the approved study"):
        planned.encode(foreign, sums)
    for start, asked in ((planned.start(), other), (planned.start(), ask), (state, ask)):
        with pytest.raises(PeerError) as found:
            planned.tell(start, asked, total)
        assert found.value.code == "MODEL_NOT_REPLAYABLE"
    with pytest.raises(PeerError):
        planned.blocks(ask.model_copy(update={"round": 1}))
