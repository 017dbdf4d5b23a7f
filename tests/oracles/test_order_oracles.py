"""Quantiles, curves, places and associations in exact mode against pandas, lifelines, statsmodels and scipy on the same rows."""

import warnings
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from protocols import dictionary as dictionaries
from protocols import entropy
from protocols.dictionary import MISSING, Column, Dictionary, Table
from protocols.statistics import KINDS
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode
from protocols.statistics.quantiles import Quantiles
from protocols.statistics.rows import Answer
from protocols.yamltext import read
from tests.laws.generated import AS_OF, finalized, layout_of

HOLDERS: Final = 3_000
MEANT: Final[Dictionary] = dictionaries.parse(
    read(
        b"""
dictionary: order
version: 1
variables:
  product: {type: category, codes: {lump: {}, monthly: {}, free: {}}}
  bank: {type: category, codes: {a: {}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}}}
  pay: {type: money, unit: CNY, range: [0, 76200], points: [180, 3500]}
  periods: {type: integer, unit: month, range: [0, 24]}
  score: {type: integer, range: [-5000, 5000]}
  months: {type: integer, unit: month, range: [1, 300]}
  left: {type: boolean}
""",
        "order.yaml",
    )
)
DOMAIN: Final = Domain(MEANT, exact=True)
SEEDS: Final = pytest.mark.parametrize("seed", range(3))


def rows(seed: int) -> pd.DataFrame:
    """Holders, NaN where a value is unknown. Money in fen, categories and booleans as codes."""
    draw: Any = entropy.public_stream("order", str(seed), "holders")
    product = draw.integers(0, 3, HOLDERS)
    months, seen = 1 + draw.geometric(0.02 + 0.01 * product, HOLDERS), draw.integers(1, 301, HOLDERS)
    base = np.where(draw.random(HOLDERS) < 0.2, 18_000, np.exp(draw.normal(12.5, 1.2, HOLDERS)).astype(int))
    frame = pd.DataFrame(
        {
            "product": product,
            "bank": np.minimum(draw.geometric(0.35, HOLDERS) - 1, 7),
            "pay": np.minimum(base, 7_620_000),
            "periods": draw.integers(0, 25, HOLDERS),
            "score": draw.normal(0, 1500, HOLDERS).clip(-5000, 5000).astype(int),
            "months": np.minimum(np.minimum(months, seen), 300),
            "left": months <= seen,
        }
    ).astype(float)
    return frame.mask(draw.random(frame.shape) < 0.03)


def answer(asked: dict[str, Any], frame: pd.DataFrame) -> Answer:
    question = KINDS[asked["kind"]].model_validate({"id": "q", **asked})
    assert not list(question.faults(MEANT))
    columns = {
        str(name): Column(frame[name].fillna(0).to_numpy(dtype=bool if name == "left" else np.int64), frame[name].notna().to_numpy())
        for name in frame
    }  # fmt: skip
    layout = layout_of(question, DOMAIN)
    vector = encode(layout, Table(len(frame), columns), MEANT, AS_OF, None, exact=True)
    return finalized(question, vector, domain=DOMAIN)


# --- quantiles


@SEEDS
@pytest.mark.parametrize(
    "asked",
    [{"of": "periods"}, {"of": "pay"}, {"of": "pay", "grid": "linear", "leaves": "1024"}, {"of": "score"}, {"of": "score", "grid":
    "asinh"}],
)  # fmt: skip
def test_quantiles_are_those_of_pandas_of_values_floored_to_leaves(seed: int, asked: dict[str, Any]) -> None:
    """Equal where the leaf is one step wide, in the same leaf where it is not."""
    frame, at = rows(seed), ("0.05", "0.25", "0.5", "0.75", "0.95")
    question = Quantiles.model_validate({"id": "q", "kind": "quantiles", "at": at, "by": "product", **asked})
    found = answer(question.model_dump(by_alias=True, exclude_none=True), frame)
    tree, per = question._tree(DOMAIN), DOMAIN.per(question.of)
    edges = np.array(tree.edges)
    for code, name in enumerate(MEANT.codes("product")):
        values = frame.loc[frame["product"] == code, question.of].dropna().to_numpy()
        leaf = np.searchsorted(edges, values, side="right") - 1
        for row in found.rows:
            if row.measure == "quantile" and row.keys["product"] == name and row.keys["at"] in at:
                expected = int(pd.Series(leaf).quantile(float(row.keys["at"]), interpolation="lower"))
                left, right = edges[expected], edges[expected + 1]
                assert row.base == len(values)
                assert row.estimate is not None
                if right - left <= tree.step:
                    assert row.estimate == left / per
                else:
                    assert left <= row.estimate * per < right
                assert row.ci_low is not None
                assert row.ci_high is not None
                assert row.ci_low <= row.estimate <= row.ci_high


def test_points_of_the_dictionary_have_a_leaf_of_one_yuan_and_small_amounts_too() -> None:
    tree = DOMAIN.tree("pay")
    wide = {low: high - low for low, high in zip(tree.edges, tree.edges[1:], strict=False)}
    assert (tree.branching, tree.height, tree.edges[0], tree.edges[-1]) == (16, 3, 0, 7_620_001)
    assert wide[18_000] == wide[350_000] == 100
    assert {wide[yuan * 100] for yuan in range(490)} == {100}
    assert wide[340_000] in (400, 500)
    assert all(edge % 100 == 0 for edge in tree.edges[:-1])
    assert (DOMAIN.tree("periods").leaves, DOMAIN.tree("periods").used) == (64, 25)
    assert DOMAIN.tree("score").used == 1024


# --- survival


@SEEDS
def test_curves_are_those_of_lifelines_and_statsmodels(seed: int) -> None:
    from lifelines import KaplanMeierFitter

    frame = rows(seed)
    found = answer({"kind": "survival", "duration": "months", "event": "left", "by": "product"}, frame)
    for code, name in enumerate(MEANT.codes("product")):
        held = frame[frame["product"] == code].dropna(subset=["months", "left"])
        until = held["months"].clip(upper=240)
        happened = held["left"].astype(bool) & (held["months"] <= 240)
        fitted = KaplanMeierFitter().fit(until, happened)
        other = SurvfuncRight(until, happened.astype(int))
        mine = {
            (row.measure, row.keys["at"]): row
            for row in found.rows
            if row.keys["product"] == name and row.keys["at"] != MISSING
        }
        table = fitted.event_table
        for time in range(1, 241):
            at_risk, curve = mine["at_risk", str(time)], mine["survival", str(time)]
            assert at_risk.estimate == (until >= time).sum()
            if time in table.index:
                assert at_risk.estimate == table.loc[time, "at_risk"]
            if at_risk.estimate:
                assert curve.estimate == pytest.approx(float(fitted.predict(time)), abs=1e-12)
                assert curve.base == len(held)
        for time, survival, error in zip(other.surv_times, other.surv_prob, other.surv_prob_se, strict=True):
            row = mine["survival", str(int(time))]
            assert row.estimate == pytest.approx(survival, abs=1e-12)
            assert not survival or row.se_sampling == pytest.approx(error, rel=1e-9)
        assert mine["median", "0.5"].estimate == fitted.median_survival_time_


@SEEDS
def test_log_rank_is_that_of_lifelines(seed: int) -> None:
    from lifelines.statistics import multivariate_logrank_test

    frame = rows(seed)
    (test,) = answer({"kind": "survival", "duration": "months", "event": "left", "by": "product"}, frame).tests
    held = frame.dropna(subset=["months", "left", "product"])
    happened = held["left"].astype(bool) & (held["months"] <= 240)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library calls pandas as an earlier version wanted it
        expected = multivariate_logrank_test(held["months"].clip(upper=240), held["product"], happened)
    assert test.values["df"] == 2
    assert test.values["statistic"] == pytest.approx(expected.test_statistic, rel=1e-9)
    assert test.values["p_value"] == pytest.approx(expected.p_value, rel=1e-9)


# --- top, association


@SEEDS
def test_the_first_codes_are_those_of_pandas_value_counts(seed: int) -> None:
    frame = rows(seed)
    found = answer({"kind": "top", "of": "bank", "k": "5"}, frame)
    expected = frame["bank"].map(dict(enumerate(MEANT.codes("bank")))).value_counts().head(5)
    counted = [row for row in found.rows if row.measure == "count" and row.keys["at"] != MISSING]
    assert {row.item: row.estimate for row in counted} == expected.to_dict()
    places = {row.item: row.estimate for row in found.rows if row.measure == "rank" and row.obs_status != "z"}
    assert places == expected.rank(ascending=False, method="min").to_dict()
    assert found.rows[5].estimate == frame["bank"].isna().sum()


@SEEDS
def test_associations_are_those_of_scipy(seed: int) -> None:
    frame = rows(seed)
    found = answer({"kind": "association", "outcome": "left", "with": ["product", "bank"]}, frame)
    values = {row.keys["variable"]: row for row in found.rows if row.measure == "cramers_v"}
    for name, row in values.items():
        table = pd.crosstab(frame["left"], frame[name]).to_numpy()
        assert row.base == table.sum()
        assert row.estimate == pytest.approx(stats.contingency.association(table, "cramer"), rel=1e-11)
        assert row.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    by_adjusted = sorted(values, key=lambda name: -_adjusted(found, name))
    assert {row.keys["variable"]: row.estimate for row in found.rows if row.measure == "rank"} == {
        name: place for place, name in enumerate(by_adjusted, 1)
    }


def _adjusted(found: Answer, variable: str) -> float:
    (row,) = (row for row in found.rows if row.measure == "adjusted" and row.keys["variable"] == variable)
    assert row.estimate is not None
    return row.estimate
