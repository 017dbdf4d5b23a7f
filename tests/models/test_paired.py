"""Two models on the same rows, against the pooled test of DeLong, DeLong and Clarke-Pearson (1988)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from scipy import stats

from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.discrimination import ranked
from protocols.models.evaluate import Evaluate, Evaluation, plan
from protocols.models.modelfile import Linear, ModelFile, Weight
from protocols.models.paired import apart, products
from protocols.models.scoring import scores
from tests.models.data import Frame, dictionary, germancredit
from tests.models.rounds import STUDY, conversation, divided, filed
from tests.models.test_evaluate import VARIABLES, counted, logit, people

Floats = npt.NDArray[np.float64]


def delong(one: Floats, other: Floats, yes: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Difference of the areas and its standard error, from the midranks of all rows."""
    events, others = [], []
    for score in (one, other):
        whole, p, n = stats.rankdata(score), stats.rankdata(score[yes]), stats.rankdata(score[~yes])
        events.append((whole[yes] - p) / (~yes).sum())
        others.append(1 - (whole[~yes] - n) / yes.sum())
    variance = np.cov(events) / yes.sum() + np.cov(others) / (~yes).sum()
    areas = [float(each.mean()) for each in events]
    return areas[0] - areas[1], float(np.sqrt(variance[0, 0] + variance[1, 1] - 2 * variance[0, 1]))


def fitted(frame: Frame, names: list[str], outcome: str) -> ModelFile:
    """A logit of numbers, fitted to the pooled rows by statsmodels."""
    made = sm.GLM(frame.values(outcome), frame.matrix(names), family=sm.families.Binomial()).fit()
    columns: list[tuple[str, ...]] = [(), *((name,) for name in names)]
    weights = tuple(
        Weight(term=name, columns=column, estimate=float(b), std_error=float(se))
        for name, column, b, se in zip(["intercept", *names], columns, made.params, made.bse, strict=True)
    )
    covariance = tuple(tuple(float(each) for each in row) for row in made.cov_params())
    fit = Linear(
        family="binomial",
        link="logit",
        terms=tuple(names),
        weights=weights,
        covariance=covariance,
        error_bound=0.0,
    )
    return filed(frame, fit, outcome, names)


def held_against(frame: Frame, one: ModelFile, other: ModelFile, bins: int | None = None) -> Evaluation:
    question = Evaluate(model="one.json", against="other.json", bins=bins)
    planned = plan(question, frame.dictionary, 6, frame.rows, STUDY, one, against=other)
    found: Evaluation = planned.finalize(conversation(planned, planned.start(), divided(frame))[0])
    return found


def test_champion_and_challenger_differ_as_the_pooled_paired_test_says() -> None:
    frame = germancredit()
    numbers = [name for name in frame.columns if frame.dictionary.type_of(name) in ("integer", "number")]
    assert len(numbers) > 4
    for names, bins in ((numbers[:2], None), (numbers[:-1], 10_000)):  # the closer two areas are, the finer the bins
        one, other = fitted(frame, numbers, "bad"), fitted(frame, names, "bad")
        p, q = (scores(each, frame.columns.__getitem__, frame.rows).mean for each in (one, other))
        difference, error = delong(p, q, np.asarray(frame.columns["bad"].values, bool))
        found = held_against(frame, one, other, bins)
        row = found.find("auc_difference")
        assert row.estimate == pytest.approx(difference, rel=0.02)
        assert row.std_error == pytest.approx(error, rel=0.02)
        assert row.p_value == pytest.approx(2 * stats.norm.sf(abs(difference) / error), abs=0.02)
        assert row.low is not None
        assert row.high is not None
        assert row.low <= difference <= row.high
        yes = frame.values("bad")
        assert found.find("observed_expected").estimate == pytest.approx(yes.mean() / p.mean(), rel=1e-9)
        assert found.find("against_observed_expected").estimate == pytest.approx(yes.mean() / q.mean(), rel=1e-9)
        assert found.find("against_brier").estimate == pytest.approx(np.mean((q - yes) ** 2), abs=1e-10)


def test_binned_scores_have_the_very_variance_of_the_pooled_test() -> None:
    for number in range(30):
        stream = public_stream("tests", "models", f"pairs {number}")
        rows, bins = int(stream.integers(20, 400)), int(stream.integers(2, 60))
        yes = stream.random(rows) < 0.4
        yes[:4] = (True, True, False, False)
        one = np.clip(stream.random(rows) + 0.3 * yes, 0, 1.29) / 1.3
        other = np.clip(0.7 * one + 0.3 * stream.random(rows), 0, 1)
        binned = [np.minimum((each * bins).astype(np.intp), bins - 1) for each in (one, other)]
        first, second = (np.stack(counted(each, yes, bins)[::-1]) for each in (one, other))
        parts = [np.arange(rows) % 3 == city for city in range(3)]
        total = np.sum(
            [products(first, second, yes[part].astype(np.intp), (binned[0][part], binned[1][part])) for part in parts],
            axis=0,
        )
        here, there = (ranked(each[1], each[0]) for each in (first, second))
        assert here is not None
        assert there is not None
        found = apart(here, there, total, first.sum(axis=1))
        difference, error = delong(binned[0].astype(float), binned[1].astype(float), yes)
        assert found.difference == pytest.approx(difference, abs=1e-12)
        assert found.variance == pytest.approx(error**2, rel=1e-9, abs=1e-12)


def test_a_model_held_against_its_like_differs_in_nothing() -> None:
    found = held_against(people(), logit(), logit())
    row = found.find("auc_difference")
    assert (row.estimate, row.std_error, row.p_value) == (0.0, 0.0, None)
    assert (row.ci_low, row.ci_high) == (0.0, 0.0)


def test_rows_that_one_of_them_cannot_score_are_left_out_of_both() -> None:
    frame = people()
    without = logit(slope=0.0)
    constant: Any = without.fit
    plain = without.model_copy(
        update={
            "fit": constant.model_copy(update={"terms": (), "weights": constant.weights[:1], "covariance": ((0.01,),)})
        }
    )
    found = held_against(frame, plain, logit())
    assert found.left_out == int((~frame.columns["x"].known).sum())
    assert found.find("against_auc").base == found.rows


def test_one_class_leaves_nothing_to_compare() -> None:
    frame = people(60)
    never = frame.take(np.flatnonzero(frame.columns["stopped"].values == 0))
    found = held_against(never, logit(), logit(slope=2.0))
    assert found.find("auc_difference").obs_status == "z"
    nobody = held_against(frame.take(np.arange(0)), logit(), logit(slope=2.0))
    assert nobody.find("against_observed_expected").obs_status == "z"


def test_models_of_different_events_are_not_held_against_each_other() -> None:
    two = dictionary({**VARIABLES, "ended": {"type": "boolean"}})
    other = logit().model_copy(update={"outcome": "ended"})
    question = Evaluate(model="one", against="two")
    with pytest.raises(ConfigError, match="predicts stopped, and two predicts ended"):
        plan(question, two, 6, 10, STUDY, logit(), against=other)
    with pytest.raises(ConfigError) as no:
        plan(question, two, 6, 10, STUDY).start(logit(), other)
    assert no.value.code == "MODEL_OUTCOMES"
    with pytest.raises(ConfigError, match="no model two"):
        plan(question, two, 6, 10, STUDY).start(logit())
