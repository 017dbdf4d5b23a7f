"""Comparisons of cities in exact mode: against sums by hand, pandas and statsmodels."""

from fractions import Fraction
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.statistics.compare import heterogeneity, i_squared_interval
from protocols.statistics.estimates import Floats, Table, family_of
from protocols.statistics.layout import Layout, count
from tests.laws.generated import DOMAIN, Holder
from tests.oracles.compared import Federation, by_place, stated

# Of three cities and three strata: holders, and how many of them own a home.
HOLDERS: Final = {"east": (100, 40, 20), "west": (30, 200, 50), "north": (25, 60, 300)}
OWNERS: Final = {"east": (20, 10, 12), "west": (9, 30, 20), "north": (5, 18, 140)}
FIXTURE: Final[tuple[Holder, ...]] = tuple({"sex": sex, "owner": owner} for sex in range(3) for owner in (0, 1))
OWNER: Final = {"id": "owners", "kind": "frequency", "of": "owner"}
BY_SEX: Final = {"id": "q", "kind": "compare", "indicators": ["owners"], "standardise": ["sex"]}


def fixture(method: str = "direct") -> tuple[Federation, dict[str, Any]]:
    cities = {
        city: np.array([number for n, a in zip(held, OWNERS[city], strict=True) for number in (n - a, a)])
        for city, held in HOLDERS.items()
    }
    return Federation.of([OWNER, BY_SEX | {"method": method}], FIXTURE, exact=True), cities


def test_three_cities_by_three_strata_are_standardised_as_by_hand() -> None:
    n = {city: [Fraction(each) for each in held] for city, held in HOLDERS.items()}
    a = {city: [Fraction(each) for each in held] for city, held in OWNERS.items()}
    n_all, a_all = ([sum(city[at] for city in each.values()) for at in range(3)] for each in (n, a))
    level = Fraction(sum(a_all)) / sum(n_all)
    found = {
        method: by_place(each.answers(cities))
        for method in ("direct", "indirect")
        for each, cities in [fixture(method)]
    }
    for city in HOLDERS:
        direct = sum(n_all[at] * a[city][at] / n[city][at] for at in range(3)) / sum(n_all)
        expected = sum(n[city][at] * a_all[at] / n_all[at] for at in range(3))
        for method, value in (("direct", direct), ("indirect", level * sum(a[city]) / expected)):
            rows = found[method]
            assert rows[city, "standardised", "owners", "true"].estimate == pytest.approx(float(value), rel=1e-10)
            difference = rows[city, "difference", "owners", "true"]
            assert difference.estimate == pytest.approx(float(value - level), rel=1e-10)
            raw = float(sum(a[city]) / sum(n[city]))
            assert rows[city, "value", "owners", "true"].estimate == pytest.approx(raw, rel=1e-10)
    assert found["direct"]["pooled", "standardised", "owners", "true"].estimate == pytest.approx(
        float(level), rel=1e-10
    )


def test_the_sampling_error_of_a_difference_counts_the_city_once() -> None:
    """A city is a part of all cities: sum over strata and cities of (own weight - weight of all)^2 p (1 - p) n."""
    federation, cities = fixture()
    rows = by_place(federation.answers(cities))
    n = np.array([*HOLDERS.values()], dtype=float)
    p = np.array([*OWNERS.values()]) / n
    weights, every = n.sum(axis=0) / n.sum(), n.sum()
    of_all = np.array([*OWNERS.values()]).sum(axis=0) / n.sum(axis=0)
    for at, city in enumerate(HOLDERS):
        own = weights / n[at]
        others = n.sum(axis=0) * of_all * (1 - of_all) - n[at] * p[at] * (1 - p[at])
        variance = ((own - 1 / every) ** 2 * n[at] * p[at] * (1 - p[at]) + others / every**2).sum()
        assert rows[city, "difference", "owners", "true"].se_sampling == pytest.approx(
            float(np.sqrt(variance)), rel=1e-10
        )
        of_value = (weights**2 * p[at] * (1 - p[at]) / n[at]).sum()
        assert rows[city, "standardised", "owners", "true"].se_sampling == pytest.approx(
            float(np.sqrt(of_value)), rel=1e-10
        )


@pytest.mark.parametrize("method", ["direct", "indirect"])
def test_heterogeneity_is_that_of_statsmodels(method: str) -> None:
    federation, cities = fixture(method)
    answers = federation.answers(cities)
    given = [by_place(answers)[city, "standardised", "owners", "true"] for city in HOLDERS]
    values = np.array([row.estimate for row in given], dtype=float)
    variances = np.array([row.se_sampling for row in given], dtype=float) ** 2
    peer = combine_effects(values, variances, method_re="chi2")
    of_all = answers["pooled"]
    (q,), (share,), (tau,) = (stated(of_all, name).values() for name in ("heterogeneity", "i_squared", "tau_squared"))
    assert (q["statistic"], q["df"]) == (pytest.approx(peer.q, rel=1e-10), 2)
    assert q["p_value"] == pytest.approx(peer.test_homogeneity().pvalue, rel=1e-10)
    assert share["estimate"] == pytest.approx(max(peer.i2, 0.0), rel=1e-10)
    assert tau["estimate"] == pytest.approx(max(peer.tau2, 0.0), rel=1e-10)


def test_the_interval_of_i_squared_is_that_of_the_paper() -> None:
    """Higgins and Thompson (2002): H = 1.62 of 12 studies ... computed from the definitions, on either side of Q = k."""
    low, high = i_squared_interval(30.0, 12, 1.959963984540054)
    error = 0.5 * (np.log(30) - np.log(11)) / (np.sqrt(60) - np.sqrt(21))
    h = np.exp(0.5 * np.log(30 / 11) + np.array([-1, 1]) * 1.959963984540054 * error)
    assert (low, high) == pytest.approx(tuple(1 - 1 / h**2), rel=1e-12)
    assert i_squared_interval(0.0, 5, 1.96) == (0.0, 0.0)
    assert i_squared_interval(2.0, 5, 1.96)[0] == 0.0
    assert 0 < i_squared_interval(2.0, 5, 1.96)[1] < 1


def test_two_cities_are_too_few_to_speak_of_heterogeneity() -> None:
    found = {test.name: test.values for test in heterogeneity(np.array([0.1, 0.2]), np.array([0.01, 0.01]), 1.96, {})}
    assert all(each["obs_status"] == "x" for each in found.values())
    assert (found["heterogeneity"]["statistic"], found["i_squared"]["estimate"]) == (None, None)


def test_every_kind_of_rate_is_standardised_as_pandas_does() -> None:
    """Means, ratios, bins and shares by a group of their own."""
    generator = entropy.public_stream("oracles", "compare", "holders")
    number = 4000
    frame = pd.DataFrame({
        "sex": generator.integers(0, 3, number), "owner": generator.integers(0, 2, number),
        "product": generator.integers(0, 3, number), "birth_year": generator.integers(1950, 2001, number),
        "income": generator.integers(0, 900_001, number), "city": generator.integers(0, 4, number),
    })  # fmt: skip
    kinds: list[Holder] = [
        {str(name): int(value) for name, value in row.items() if name != "city"} for row in frame.to_dict("records")
    ]
    asked: list[dict[str, Any]] = [
        {"id": "pay", "kind": "mean", "of": "income", "by": "owner"},
        {"id": "per_year", "kind": "ratio", "numerator": "income", "denominator": "birth_year"},
        {"id": "bands", "kind": "histogram", "of": "income", "bins": ["3000", "6000"]},
        {"id": "kept", "kind": "frequency", "of": "product", "by": "owner"},
        {"id": "q", "kind": "compare", "indicators": ["pay", "per_year", "bands", "kept"], "standardise": ["sex"]},
    ]
    cities = {str(city): (frame["city"] == city).to_numpy().astype(np.int64) for city in range(4)}
    rows = by_place(Federation.of(asked, kinds, exact=True).answers(cities))
    names = {0: "false", 1: "true"}
    for city in range(4):
        mine = frame[frame["city"] == city]
        for owner, name in names.items():
            groups, every = (each[each["owner"] == owner].groupby("sex") for each in (mine, frame))
            w = every.size() / every.size().sum()
            row = rows[str(city), "standardised", "pay", name]
            assert row.estimate == pytest.approx(float((w * groups["income"].mean()).sum()) / 100, rel=1e-10)
            spread = float((w**2 * groups["income"].var() / groups.size()).sum())
            assert row.se_sampling == pytest.approx(np.sqrt(spread) / 100, rel=1e-9)
            shares = groups["product"].apply(lambda values: (values == 1).mean())
            found = rows[str(city), "standardised", "kept", "monthly", name]
            assert found.estimate == pytest.approx(float((w * shares).sum()), rel=1e-10)
        sums, all_sums = (each.groupby("sex")[["income", "birth_year"]].sum() for each in (mine, frame))
        w = all_sums["birth_year"] / all_sums["birth_year"].sum()
        ratios = sums["income"] / sums["birth_year"]
        row = rows[str(city), "standardised", "per_year"]
        assert row.estimate == pytest.approx(float((w * ratios).sum()) / 100, rel=1e-10)
        residual = (mine["income"] - mine["sex"].map(ratios) * mine["birth_year"]) ** 2
        spread = float((w**2 * residual.groupby(mine["sex"]).sum() / sums["birth_year"] ** 2).sum())
        assert row.se_sampling == pytest.approx(np.sqrt(spread) / 100, rel=1e-8)
        w = frame.groupby("sex").size() / number
        inside = mine["income"].between(300_000, 599_999).groupby(mine["sex"]).mean()
        assert rows[str(city), "standardised", "bands", "[3000, 6000)"].estimate == pytest.approx(
            float((w * inside).sum()), rel=1e-10
        )


def dense(table: Table) -> Floats:
    """The covariance of every pair of cells."""
    boxes = [tuple(slice(at, at + 1) for at in place) for place in np.ndindex(table.units.shape)]
    return table.covariance(*boxes)


def test_any_weighted_sums_of_cells_have_the_covariance_of_their_cells() -> None:
    """Also where one variable stands there at two resolutions, so that its axes are kept whole."""
    blocks = (
        count([DOMAIN.axis("sex"), DOMAIN.axis("generation"), DOMAIN.axis("owner")]),
        count([DOMAIN.bins("birth_year", [1960, 1980, 1990]), DOMAIN.axis("sex")]),
        count([DOMAIN.axis("owner"), DOMAIN.axis("product")]),
    )
    layout = Layout(blocks)
    families = reconcile(layout, np.zeros(layout.length, dtype=np.int64), [4.0, 9.0, 25.0])
    generator = entropy.public_stream("oracles", "compare", "weights")
    for block in blocks:
        table = families[family_of(block)].table(frozenset(axis.name for axis in block.axes))
        first, second = generator.normal(0, 1, (2, 3, *table.units.shape))
        expected = np.einsum("ka,ab,kb->k", first.reshape(3, -1), dense(table), second.reshape(3, -1))
        assert table.weighted(first, second) == pytest.approx(expected, rel=1e-9)
