"""Evaluations with noise: what one holder moves, and intervals that hold the truth as often as they say."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from scipy.stats import norm

from protocols import noise
from protocols.entropy import public_stream, seeded
from protocols.errors import ConfigError, PeerError
from protocols.models.evaluate import CALIBRATION, RANKS
from protocols.models.evaluate_question import EvaluateQuestion
from protocols.models.interface import Done
from protocols.models.metrics import Metric
from protocols.models.private_evaluate import HISTOGRAM, TOTALS, UNIT, PrivateEvaluatePlan
from protocols.models.question import Setting
from protocols.privacy import Need, calibrate
from protocols.statistics.layout import Domain
from tests.models.rounds import STUDY, conversation, divided
from tests.models.test_evaluate import auc_of, ks_of, logit, people, pooled

Floats = npt.NDArray[np.float64]
ROWS = 6000
MEASURES = (*RANKS, *CALIBRATION)


@cache
def planned(epsilon: str | None = None, **keys: Any) -> PrivateEvaluatePlan:
    """Of a study that asks nothing else; without `epsilon` there is no noise."""
    question = EvaluateQuestion.model_validate({"id": "good", "kind": "evaluate", "model": "m.json", **keys})
    question = question.model_copy(update={"files": {"m.json": logit()}})
    domain, variances = Domain(people().dictionary), dict[str, float]()
    if epsilon is not None:
        draws = question.draws(domain)
        needs = [Need(each.l1, each.l2sq, each.share, each.times) for each in draws]
        found = calibrate(needs, Decimal(epsilon), Decimal("1e-6"))
        variances = {each.name: v20 / noise.UNIT for each, v20 in zip(draws, found, strict=True)}
    made = question.planned(Setting(domain, 6, 1 << 20, STUDY, 0.95, variances))
    assert isinstance(made, PrivateEvaluatePlan)
    return made


def found(plan: PrivateEvaluatePlan, state: Any) -> dict[str, Metric]:
    return {each.measure: each for each in plan.metrics(state) if each.group is None}


def test_without_noise_it_says_what_the_pooled_rows_say() -> None:
    plan = planned(by="sex")
    state, log = conversation(plan, plan.start(), divided(people(), 3), batch=97)
    score, yes = pooled(people(), logit())
    said = found(plan, state)
    assert said["auc"].low is not None
    assert said["auc"].high is not None
    assert said["auc"].low <= auc_of(score, yes) <= said["auc"].high
    assert said["auc"].estimate == pytest.approx(auc_of(score, yes), abs=2e-3)
    assert said["ks"].estimate == pytest.approx(ks_of(score, yes), abs=1e-2)
    truth = {
        "brier": np.mean((score - yes) ** 2),
        "observed": yes.mean(),
        "expected": score.mean(),
        "observed_expected": yes.mean() / score.mean(),
        "calibration_in_the_large": yes.mean() - score.mean(),
    }
    for name, value in truth.items():
        assert said[name].estimate == pytest.approx(value, abs=1e-3), name
        assert said[name].noise == 0.0
    groups = {each.group for each in plan.metrics(state)}
    assert groups == {None, "male", "female", "rare", "_missing"}
    answer = plan.result(state)
    assert answer.fit["left_out"] == int((~people().columns["x"].known).sum())
    assert log.asks[0].model is None, "what the study holds is not sent again"


def test_one_holder_moves_no_more_than_is_paid_for() -> None:
    plan = planned(by="sex")
    by_name = {each.name: each for each in plan.draws}
    assert sum(each.share for each in plan.draws) == 1
    ask: Any = plan.ask(plan.start())
    frame = people(400)
    for row in range(0, 400, 7):
        one = frame.take(np.array([row]))
        vector = plan.encode(ask, plan.measure(ask, one.columns.__getitem__, 1))
        cells = dict(zip((HISTOGRAM, TOTALS), np.split(vector, [by_name[HISTOGRAM].cells]), strict=True))
        for name, part in cells.items():
            assert len(part) == by_name[name].cells
            assert np.abs(part).sum() <= by_name[name].l1
            assert int((part.astype(object) ** 2).sum()) <= by_name[name].l2sq
        assert cells[HISTOGRAM].sum() == 1, "a holder is counted once, with a score or without one"


def test_an_ask_of_another_study_or_state_is_refused() -> None:
    plan = planned()
    state, log = conversation(plan, plan.start(), divided(people(300), 3))
    ask = log.asks[0]
    with pytest.raises(PeerError, match="not one of the approved study"):
        plan.encode(
            ask.model_copy(update={"study": "sha256:" + "1" * 64}), plan.measure(ask, people(9).columns.__getitem__, 9)
        )
    for start, total in ((plan.start(), np.zeros(9, np.int64)), (state, np.zeros(plan.most_cells, np.int64))):
        with pytest.raises(PeerError) as no:
            plan.tell(start, ask, total)
        assert no.value.code == "MODEL_NOT_REPLAYABLE"
    assert isinstance(plan.ask(state), Done)
    assert plan.seen(state) is None


@pytest.mark.parametrize("keys", [{"bins": 2000}, {"against": "other"}, {"recalibrate": "intercept"}], ids=str)
def test_what_has_no_interval_over_noise_is_not_offered(keys: Mapping[str, Any]) -> None:
    question = EvaluateQuestion.model_validate({"id": "good", "kind": "evaluate", "model": "m.json", **keys})
    (name,) = keys
    with pytest.raises(ConfigError) as no:
        question.planned(Setting(Domain(people().dictionary), 6, 1 << 20, STUDY, 0.95))
    assert no.value.code == "MODEL_DP_NOT_OFFERED"
    faults = list(question.faults_beside(Domain(people().dictionary), "by_city"))
    assert {each.code for each in faults} == {"MODEL_DP_NOT_OFFERED", "MODEL_RELEASE", "MODEL_ABSENT"}
    assert any(name in str(each.values.get("kind")) for each in faults)
    assert any(each.values.get("kind") == "evaluate (privacy.mode: dp)" for each in faults), "by city is for mode exact"


def test_too_few_rows_for_the_noise_have_no_number_but_a_reason() -> None:
    plan = planned("0.1")
    state = drawn(plan, 300, 1)
    said = found(plan, state)
    assert {said[name].obs_status for name in RANKS} == {"x"}
    result = plan.result(state)
    assert [(row.measure, row.obs_status) for row in result.rows[-2:]] == [("psi", "x"), ("hosmer_lemeshow", "x")]
    assert set(result.fit["unsaid"]) == {"psi", "hosmer_lemeshow"}
    ask: Any = plan.ask(plan.start())
    nobody = plan.tell(plan.start(), ask, np.zeros(plan.most_cells, np.int64))
    assert {each.obs_status for each in found(plan, nobody).values()} == {"x"}


# --- the law of coverage


def truth() -> dict[str, float]:
    """Of log odds N(-1.4, 0.9^2), an event with log odds 0.3 + 1.2 times as much: by integration."""
    odds = np.linspace(-9, 6, 20001)
    weight = norm.pdf(odds, -1.4, 0.9)
    weight = weight / weight.sum()
    p, chance = expit(odds), expit(0.3 + 1.2 * odds)
    yes, no = weight * chance, weight * (1 - chance)
    share = float(yes.sum())
    yes, no = yes / yes.sum(), no / no.sum()
    auc = float(yes @ (np.cumsum(no) - no / 2))
    expected = float(weight @ p)
    return {
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": float(np.abs(np.cumsum(no) - np.cumsum(yes)).max()),
        "brier": float(weight @ (chance * (1 - p) ** 2 + (1 - chance) * p**2)),
        "observed": share,
        "expected": expected,
        "observed_expected": share / expected,
        "calibration_in_the_large": share - expected,
    }


def drawn(plan: PrivateEvaluatePlan, rows: int, number: int) -> Any:
    """The state after a round about so many rows of that law, with fresh noise."""
    stream, source = public_stream("tests", "private evaluate", str(number)), seeded("private evaluate", str(number))
    odds = stream.normal(-1.4, 0.9, rows)
    yes = stream.random(rows) < expit(0.3 + 1.2 * odds)
    p = expit(odds)
    histogram = np.bincount(yes * plan.bins + plan.place(odds), minlength=2 * plan.bins)
    totals = [(~yes).sum() * UNIT, yes.sum() * UNIT, np.rint(p * UNIT).sum(), np.rint((p - yes) ** 2 * UNIT).sum()]
    blocks = {HISTOGRAM: np.array([0, *histogram]), TOTALS: np.array(totals)}
    variances = plan.setting.variances
    noised = [
        cells.astype(np.int64) + noise.skellam(source, round(variances[name] * noise.UNIT), len(cells))
        for name, cells in blocks.items()
    ]
    ask: Any = plan.ask(plan.start())
    return plan.tell(plan.start(), ask, np.concatenate(noised))


def coverage(epsilon: str, rows: int, times: int) -> tuple[dict[str, float], dict[str, float]]:
    """How often each interval holds the truth, and how much of the mean of its variance is noise."""
    plan, true = planned(epsilon), truth()
    held, part = dict.fromkeys(MEASURES, 0), dict.fromkeys(MEASURES, 0.0)
    for number in range(times):
        said = found(plan, drawn(plan, rows, number))
        for name in MEASURES:
            low, high = said[name].ci_low, said[name].ci_high
            assert low is not None
            assert high is not None
            held[name] += low <= true[name] <= high
            part[name] += said[name].noise ** 2 / (said[name].noise ** 2 + (said[name].std_error or 0.0) ** 2) / times
    return {name: each / times for name, each in held.items()}, part


def within(share: float, times: int) -> bool:
    """No farther from 0.95 than three standard errors of so many tries, and never above what a band may hold more."""
    return share >= 0.95 - 3 * float(np.sqrt(0.95 * 0.05 / times))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    share, noisy = coverage("1", ROWS, 120)
    assert {name: each for name, each in share.items() if not within(each, 120)} == {}
    assert noisy["auc"] > 0.3, "noise is a good part of the error: intervals without it would not hold"


@pytest.mark.slow  # 4,000 evaluations with noise, a minute or two
def test_intervals_hold_the_truth_at_several_sizes_and_budgets() -> None:
    for epsilon, rows in (("0.5", 6000), ("1", 2500), ("1", 26_606), ("3", 6000)):
        share, _ = coverage(epsilon, rows, 1000)
        for name in MEASURES:
            most = 1.0 if name == "ks" else 0.975
            assert 0.93 <= share[name] <= most, (epsilon, rows, name, share[name])
