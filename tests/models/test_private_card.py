"""Scorecards with noise: what one holder can change, bins and weights of noisy counts, and intervals of counts that chose the bins."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import noise
from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import ConfigError, PeerError
from protocols.models import scorecard
from protocols.models.binning import Bins
from protocols.models.card_question import ScorecardQuestion
from protocols.models.evidence import SURE, binned, evidence, reach
from protocols.models.interface import Done
from protocols.models.modelfile import Predictor
from protocols.models.private_card import COUNTS, PrivateCardAsk, PrivateCardPlan
from protocols.models.question import Setting
from protocols.models.scoring import scores
from protocols.statistics.layout import Domain
from tests.models.data import Frame, dictionary
from tests.models.noised import STUDY, played, variances
from tests.models.rounds import conversation, divided
from tests.models.test_private_figures import auc
from tests.models.test_scorecard import workers

FEATURES: Final = ("income", "age", "work", "noise", "flat")


def asked(features: Sequence[str], outcome: str = "stopped", **keys: Any) -> ScorecardQuestion:
    return ScorecardQuestion.model_validate(
        {"id": "card", "kind": "scorecard", "outcome": outcome, "features": list(features), **keys}
    )


def planned(question: ScorecardQuestion, frame: Frame, epsilon: str | None = None, most_rows: int = 1 << 20) -> Any:
    """And its variances."""
    v20 = variances(question, frame, epsilon)
    found = {name: each / noise.UNIT for name, each in v20.items()}
    plan = question.planned(Setting(Domain(frame.dictionary), 6, most_rows, STUDY, 0.95, found))
    assert isinstance(plan, PrivateCardPlan)
    return plan, v20


QUESTION: Final = asked(FEATURES, bins="12", special={"age": ["18", "19"], "work": ["shop"]})


def states(plan: PrivateCardPlan) -> list[Any]:
    """Before each round, without noise."""
    state, found = plan.start(), []
    while not isinstance(ask := plan.ask(state), Done):
        found.append(ask)
        frame = workers()
        state = plan.tell(state, ask, plan.encode(ask, plan.measure(ask, frame.columns.__getitem__, frame.rows)))
    return found


@pytest.fixture(scope="module")
def asks() -> list[PrivateCardAsk]:
    return states(planned(QUESTION, workers())[0])


@given(row=st.integers(0, 3999), others=st.lists(st.integers(0, 3999), max_size=3))
@settings(max_examples=20)
def test_one_holder_changes_no_more_than_is_declared(asks: list[PrivateCardAsk], row: int, others: list[int]) -> None:
    plan, _ = planned(QUESTION, workers())
    declared = {each.name: each for each in plan.draws}
    for ask in asks:
        with_, without = (
            plan.encode(ask, plan.measure(ask, part.columns.__getitem__, part.rows)).astype(object)
            for part in (workers_of([row, *others]), workers_of(others))
        )
        assert len(with_) == declared[ask.purpose].cells
        assert abs(with_ - without).sum() <= declared[ask.purpose].l1
        assert ((with_ - without) ** 2).sum() <= declared[ask.purpose].l2sq


WORKERS: Final = workers()


def workers_of(rows: list[int]) -> Frame:
    return WORKERS.take(np.array(rows, np.int64))


def test_three_tenths_are_for_counts_and_the_rest_follows_the_regression() -> None:
    for question, counting in ((QUESTION, 2), (asked(["work"]), 1)):
        plan, _ = planned(question, WORKERS)
        shares = [each.share for each in plan.draws]
        assert sum(shares) == 1
        assert sum(shares[:counting]) == COUNTS == Fraction(3, 10)
        assert [each / shares[-5] for each in shares[-5:]] == [1, 2, 4, 8, 16]
        assert shares[counting] == Fraction(7, 10) * Fraction(3, 20)
        assert plan.most_rounds == counting + 6
        assert len(plan.draws) == plan.most_rounds


def test_without_noise_it_is_the_card_of_mode_exact() -> None:
    question = QUESTION.model_copy(update={"special": {}})
    plan, v20 = planned(question, WORKERS)
    state = played(plan, divided(WORKERS), v20)
    other = scorecard.plan(question, WORKERS.dictionary, 6, WORKERS.rows, STUDY)
    exact, _ = conversation(other, other.start(), divided(WORKERS))
    assert (state.binned, state.values, state.poor) == (exact.binned, exact.values, exact.poor)
    assert (state.rows, state.unknown) == (exact.rows, exact.unknown)
    found, fit = plan.result(state), other.finalize(exact).fit
    assert fit is not None
    weights = [each for each in found.rows if each.measure == "weight"]
    for here, there in zip(weights, fit.coefficients[1:], strict=True):
        assert here.estimate == pytest.approx(there.estimate, abs=0.25 * there.std_error)
        assert here.se_sampling == pytest.approx(there.std_error, rel=0.1)
        assert here.se_noise == 0


def test_with_noise_features_that_say_nothing_are_left_out_and_rows_say_what_noise_made_of_them() -> None:
    plan, v20 = planned(QUESTION, WORKERS, "8")
    found = plan.result(state := played(plan, divided(WORKERS), v20, 3))
    assert "flat" in state.poor
    assert "income" in {each.bins.name for each in state.binned}
    counts = [each for each in found.rows if each.measure in ("events", "nonevents")]
    assert counts
    for each in counts:
        assert each.se_noise is not None
        assert each.se_noise >= plan.sd * 0.999
        assert each.ci_low is not None
        assert each.ci_high is not None
        assert each.estimate is not None
        assert 0 <= each.ci_low <= each.estimate < each.ci_high
        assert each.conf_status == ""
    assert all(each.ci_low is None for each in found.rows if each.measure in found.fit["without_interval"])
    assert all(each.se_noise for each in found.rows if each.measure in ("woe", "weight"))
    assert found.fit["widened"] > 1
    assert played(plan, divided(WORKERS), v20, 3) == state, "the same sums, the same card"
    predictor = Predictor.model_validate_json(json.dumps(dict(found.model)), strict=True)
    margin = scores(predictor, WORKERS.columns.__getitem__, WORKERS.rows).margin
    known = WORKERS.columns["stopped"].known
    assert auc(margin[known], WORKERS.values("stopped")[known]) > 0.6


@pytest.mark.parametrize("codes", [False, True])
def test_intervals_hold_for_all_bins_of_a_feature_that_the_same_counts_chose(codes: bool) -> None:
    """400 features that say something, 100 of which would be off without a wider reach."""
    stream = public_stream("tests", "models", "chosen bins")
    m, sd, tries = 12, 25.0, 400
    bins = (
        Bins(name="x", codes=tuple(f"c{at}" for at in range(m)))
        if codes
        else Bins(name="x", edges=tuple(float(at) for at in range(1, m)))
    )
    held, narrow = 0, 0
    for _ in range(tries):
        truth = np.append(np.round(stream.uniform(60, 500, (2, m)), 0), [[0.0], [0.0]], axis=1)
        noisy = np.rint(truth + stream.normal(0, sd, truth.shape))
        made, _ = binned(bins, noisy[0], noisy[1], "none", sd)
        assert made is not None
        error = sd * np.sqrt(made.widths)
        of = np.bincount(made.place, truth[0])
        far = np.abs(np.array(made.events) - of) / error
        held += bool((far[:-1] <= reach(made, 0.95)).all())
        narrow += bool((far[:-1] <= 1.96).all())
    assert held / tries >= 0.95
    assert narrow / tries < 0.9


def test_noise_adds_no_information_in_the_mean() -> None:
    """Of features that say nothing; what the choice of bins adds is what is left."""
    stream = public_stream("tests", "models", "nothing")
    bins, sd = Bins(name="x", edges=(1.0, 2.0, 3.0, 4.0, 5.0)), 30.0
    raw, less = [], []
    for _ in range(200):
        noisy = np.array([[400.0] * 6 + [0.0], [1200.0] * 6 + [0.0]]) + stream.normal(0, sd, (2, 7))
        made, value = binned(bins, noisy[0], noisy[1], "auto", sd)
        if made is not None:
            raw.append(float(evidence(made.events, made.others, 1, sd)[1].sum()))
            less.append(value)
    assert np.mean(less) < 0.6 * np.mean(raw)
    assert np.mean(less) < 0.004


def test_a_class_that_noise_could_have_made_is_lifted_to_it_and_marked() -> None:
    woe, _, adjusted = evidence((400, 600, 0), (600, 400, 300), 1, 20.0)
    assert adjusted == (False, False, True)
    assert woe[2] == pytest.approx(np.log((320 / 1300) / (20 / 1000)))
    assert evidence((400, 600, 0), (600, 400, 100), 1, 20.0)[0][2] == 0, "so few are noise"
    made, _ = binned(
        Bins(name="x", edges=(1.0,)), np.array([50.0, 90.0, -7.0]), np.array([90.0, 50.0, 3.0]), "auto", 13.0
    )
    assert made is None, f"a bin needs {SURE} deviations of each class"


# --- when not


def test_a_second_fit_is_not_offered_and_a_card_that_would_be_noise_is_refused() -> None:
    (fault,) = asked(FEATURES, drop_wrong_sign="true").faults_beside(Domain(WORKERS.dictionary), "pooled")
    assert (fault.code, fault.values["kind"]) == ("MODEL_DP_NOT_OFFERED", "scorecard (drop_wrong_sign: true)")
    assert not list(asked(FEATURES).faults_beside(Domain(WORKERS.dictionary), "pooled"))
    with pytest.raises(ConfigError) as no:
        planned(QUESTION, WORKERS, "0.05", most_rows=100)
    assert no.value.code == "MODEL_DP_TOO_NOISY"


def test_too_few_events_no_feature_and_foreign_asks_have_no_card(asks: list[PrivateCardAsk]) -> None:
    few = WORKERS.take(np.arange(30))
    plan, v20 = planned(asked(["age"]), few)
    with pytest.raises(ConfigError) as too_few:
        played(plan, (few,), v20)
    assert too_few.value.code == "MODEL_TOO_FEW_EVENTS"
    plan, v20 = planned(asked(["flat"]), WORKERS)
    with pytest.raises(ConfigError) as none:
        played(plan, (WORKERS,), v20)
    assert none.value.code == "MODEL_NO_FEATURE"
    plan, _ = planned(QUESTION, WORKERS)
    sums = plan.measure(asks[0], WORKERS.columns.__getitem__, WORKERS.rows)
    with pytest.raises(PeerError) as foreign:
        plan.encode(asks[0].model_copy(update={"layout": "other"}), sums)
    assert foreign.value.code == "MODEL_ASK_FOREIGN"
    with pytest.raises(PeerError) as other:
        plan.tell(plan.start(), asks[1], np.zeros(plan.length(asks[1]), np.int64))
    assert other.value.code == "MODEL_NOT_REPLAYABLE"


# --- figures


def bent(rows: int, seed: int) -> Frame:
    """Features whose effects rise and fall, jump, and go together in pairs; four more say nothing."""
    draw = np.random.default_rng(seed)  # noqa: TID251 a test's own rows
    age, used = draw.uniform(18, 60, rows), draw.beta(1.2, 1.5, rows)
    income = draw.lognormal(8.6, 0.6, rows).clip(0, 60_000)
    months, work = draw.integers(0, 121, rows), draw.integers(0, 6, rows)
    far = draw.gamma(2, 10, rows).clip(0, 200)
    eta = -2.9 + 0.8 * ((age - 39) / 12) ** 2 - 1.0 * np.log(income / 5400) + 1.4 * (used > 0.75)
    eta += np.where(months < 6, 1.2, np.where(months < 24, 0.4, -0.3)) + np.array([0, 0.5, -0.6, 0.2, 1.0, -0.3])[work]
    eta += 0.7 * np.sin(far / 12) + 1.1 * ((work == 4) & (age > 45)) - 0.9 * ((used > 0.5) & (months > 60))
    columns = {"age": age, "income": income, "months": months, "used": used, "work": work.astype(np.int16), "far": far}
    columns |= {f"none{at}": draw.normal(size=rows).clip(-5, 5) for at in range(4)}
    columns["y"] = (draw.random(rows) < 1 / (1 + np.exp(-eta))).astype(np.int8)
    ranges = {"age": ("18", "60"), "income": ("0", "60000"), "used": ("0", "1"), "far": ("0", "200")}
    variables: dict[str, Any] = {name: {"type": "number", "range": ends} for name, ends in ranges.items()}
    variables |= {f"none{at}": {"type": "number", "range": ("-5", "5")} for at in range(4)}
    variables |= {"months": {"type": "integer", "range": (0, 120)}, "y": {"type": "boolean"}}
    variables["work"] = {"type": "category", "codes": {f"w{at}": {} for at in range(6)}}
    known = np.ones(rows, bool)
    return Frame(dictionary(variables), {name: Column(each, known) for name, each in columns.items()}, rows)


@pytest.mark.slow  # twenty cards of 26,606 rows, and boosted trees beside them
def test_a_card_at_epsilon_1_tells_more_than_a_logit_and_little_less_than_trees() -> None:
    """`python -m pytest -n 0 -s -m slow tests/models/test_private_card.py` prints the figures."""
    import xgboost

    found, logits, trees, exact = list[float](), list[float](), list[float](), list[float]()
    for seed in range(4):
        frame, later = bent(26_606, 2 * seed), bent(26_606, 2 * seed + 1)
        names = [name for name in frame.columns if name != "y"]
        x, y, new, outcome = frame.matrix(names), frame.values("y"), later.matrix(names), later.values("y")
        logits.append(auc(new @ sm.Logit(y, x).fit(disp=False).params, outcome))
        booster = xgboost.XGBClassifier(n_estimators=100, max_depth=4, learning_rate=0.15, n_jobs=1).fit(x[:, 1:], y)
        trees.append(auc(booster.predict_proba(new[:, 1:])[:, 1], outcome))
        question = asked(names, "y", trend="none")
        for epsilon, times in ((None, 1), ("1", 5)):
            plan, v20 = planned(question, frame, epsilon)
            for again in range(times):
                left = plan.result(played(plan, (frame,), v20, (seed, again))).model
                card = Predictor.model_validate_json(json.dumps(dict(left)), strict=True)
                of = exact if epsilon is None else found
                of.append(auc(scores(card, later.columns.__getitem__, later.rows).margin, outcome))
    print(
        f"\n{len(found)} cards at epsilon 1: AUC {np.mean(found):.4f}, worst {min(found):.4f}; without noise"
        f" {np.mean(exact):.4f}; pooled logit {np.mean(logits):.4f}, boosted trees {np.mean(trees):.4f}"
    )
    assert min(found) >= np.mean(logits) + 0.03
    assert min(found) >= np.mean(trees) - 0.04
