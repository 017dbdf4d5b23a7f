"""Means, totals and histograms in exact mode against pandas, statsmodels and Python integers."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols import entropy
from protocols.dictionary import Column, Table
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode
from protocols.statistics.rows import Answer, Row
from protocols.statistics.workload import Workload
from protocols.yamltext import read

DICTIONARY: Final = dictionaries.parse(
    read(
        b"""
dictionary: amounts
version: 1
variables:
  group: {type: category, codes: {a: {}, b: {}, c: {}}}
  paid: {type: money, unit: CNY, range: [0, 5000000]}
  height: {type: integer, unit: cm, range: [-40, 250]}
  far: {type: integer, range: [0, 60000000000]}
  yes_or_no: {type: boolean}
  birth_year: {type: integer, unit: year, range: [1930, 2010]}
  rate: {type: number, unit: "%", range: [-1.5, 2.25]}
derived:
  age: {as_of_year_minus: birth_year, range: [16, 80]}
""",
        "amounts.yaml",
    )
)
EXACT: Final = Domain(DICTIONARY, exact=True)
AS_OF: Final = date(2022, 5, 31)
HOLDERS: Final = 4_000
SEEDS: Final = pytest.mark.parametrize("seed", range(5))


def crowd(seed: int) -> tuple[Table, pd.DataFrame]:
    """Heavy-tailed amounts with lumps; about one in twenty values unknown. The frame holds yuan as whole fen."""
    generator = entropy.public_stream("oracles", str(seed), "amounts")
    paid = np.minimum(np.rint(100 * np.exp(generator.normal(6, 2.5, HOLDERS))), 500_000_000).astype(np.int64)
    paid[generator.random(HOLDERS) < 0.2] = 18_000
    columns = {
        "group": generator.integers(0, 3, HOLDERS),
        "paid": paid,
        "height": generator.integers(-40, 251, HOLDERS),
        "far": generator.integers(0, 60_000_000_001, HOLDERS),
        "yes_or_no": generator.random(HOLDERS) < 0.3,
        "birth_year": generator.integers(1930, 2011, HOLDERS),
        "rate": np.round(generator.uniform(-1.5, 2.25, HOLDERS), 5),
    }
    known = {name: generator.random(HOLDERS) > 0.05 for name in columns}
    table = Table(HOLDERS, {name: Column(values, known[name]) for name, values in columns.items()})
    frame = pd.DataFrame({name: pd.Series(values).where(known[name]) for name, values in columns.items()})
    frame["group"] = frame["group"].map({0.0: "a", 1.0: "b", 2.0: "c"})
    frame["age"] = (2022 - frame["birth_year"]).clip(16, 80)
    return table, frame


def answers(asked: Sequence[dict[str, Any]], table: Table, confidence: float = 0.95) -> dict[str, Answer]:
    """Exact answers to several questions of one study."""
    questions = [KINDS[each["kind"]].model_validate(each) for each in asked]
    assert not [fault for question in questions for fault in question.faults(DICTIONARY)]
    workload = Workload.of(questions, EXACT)
    vector = encode(workload.layout, table, DICTIONARY, AS_OF, None, exact=True)
    families = reconcile(workload.layout, vector, [0.0] * len(workload.layout.blocks))
    found = {}
    for question in questions:
        sums = Estimates.of(
            families, workload.blocks[question.id], study="sha256:o", question=question.id, confidence=confidence, min_cell=0
        )  # fmt: skip
        found[question.id] = question.finalize(sums, EXACT)
    return found


def rows(answer: Answer, measure: str, key: str | None = None, of: str = "") -> dict[Any, Row]:
    """By group; only of holders whose value is known."""
    chosen = [row for row in answer.rows if row.measure == measure and (not of or row.keys[of] == "known")]
    return {row.keys[key] if key else "": row for row in chosen if row.obs_status != "z"}


UNITS: Final = {"paid": 100, "height": 1, "far": 1, "age": 1, "rate": 1}


@SEEDS
@pytest.mark.parametrize("of", UNITS)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_mean_deviation_and_interval_are_those_of_pandas_and_statsmodels(seed: int, of: str, confidence: float) -> None:
    table, frame = crowd(seed)
    asked = [{"id": "all", "kind": "mean", "of": of}, {"id": "by", "kind": "mean", "of": of, "by": "group"}]
    found = answers(asked, table, confidence)
    groups = {"": frame[of].dropna(), **{name: each.dropna() for name, each in frame.groupby("group")[of]}}
    means = {**rows(found["all"], "mean", of=of), **rows(found["by"], "mean", "group", of)}
    deviations = {**rows(found["all"], "sd", of=of), **rows(found["by"], "sd", "group", of)}
    for name, values in groups.items():
        exact = (values / UNITS[of]).to_numpy(dtype=np.longdouble)
        mean, sd = float(exact.mean()), float(exact.std(ddof=1))
        row = means[name]
        assert row.base == len(values)
        assert row.estimate == pytest.approx(mean, rel=1e-11)
        assert (row.ci_low, row.ci_high) == pytest.approx(
            DescrStatsW(values / UNITS[of]).zconfint_mean(alpha=1 - confidence), rel=1e-11
        )
        near = 1e-9 if of == "far" else 1e-11  # squares of more than 2^31 steps are of rounded ones
        assert row.se_sampling == pytest.approx(sd / np.sqrt(len(values)), rel=near)
        assert deviations[name].estimate == pytest.approx(sd, rel=near)


def moments(table: Table, of: str) -> tuple[float | int | None, float | int | None]:
    (found,) = answers([{"id": "q", "kind": "mean", "of": of}], table).values()
    return rows(found, "mean", of=of)[""].estimate, rows(found, "sd", of=of)[""].estimate


def test_a_small_spread_far_from_the_centre_keeps_its_digits() -> None:
    """One fen apart at the end of a range of 5 * 10^8: floats would lose it in the squares, two limbs do not."""
    values = np.array([499_999_999, 500_000_000] * 50, dtype=np.int64)
    table = Table(100, {"paid": Column(values, np.ones(100, dtype=bool))})
    mean, sd = moments(table, "paid")
    assert mean == 4_999_999.995
    assert sd == pytest.approx(np.sqrt(25 / 99) / 100, rel=1e-11)


@SEEDS
def test_totals_are_equal_in_fen_and_shares_of_them_are_pandas(seed: int) -> None:
    table, frame = crowd(seed)
    asked = [{"id": "all", "kind": "mean", "of": "paid"}, {"id": "by", "kind": "mean", "of": "paid", "by": "group"}]
    found = answers(asked, table)
    whole = sum(int(value) for value in frame["paid"].dropna())
    (total,) = rows(found["all"], "total", of="paid").values()
    assert total.estimate == whole / 100
    assert [total.ci_low, total.ci_high] == pytest.approx([whole / 100, whole / 100], rel=1e-11)
    sure = frame.dropna(subset=["group", "paid"])
    sums = {name: sum(int(value) for value in each) for name, each in sure.groupby("group")["paid"]}
    for name, row in rows(found["by"], "total", "group", "paid").items():
        assert row.estimate == sums[name] / 100
    for name, row in rows(found["by"], "total_share", "group", "paid").items():
        assert row.estimate == pytest.approx(sums[name] / sum(sums.values()), rel=1e-11)
    counts = [row for row in found["by"].rows if row.measure == "count"]
    assert sum(int(row.estimate or 0) for row in counts) == HOLDERS
    unknown = {row.keys["group"]: row.estimate for row in counts if row.keys["paid"] == "_missing"}
    for name, missing in frame["paid"].isna().groupby(frame["group"]).sum().items():
        assert unknown[str(name)] == missing


@SEEDS
def test_the_mean_of_a_boolean_is_a_share_with_wilsons_interval(seed: int) -> None:
    table, frame = crowd(seed)
    (found,) = answers([{"id": "q", "kind": "mean", "of": "yes_or_no", "by": "group"}], table).values()
    sure = frame.dropna(subset=["group", "yes_or_no"]).astype({"yes_or_no": float})
    for name, values in sure.groupby("group")["yes_or_no"]:
        row = rows(found, "mean", "group", "yes_or_no")[name]
        wilson = proportion_confint(values.sum(), len(values), method="wilson")
        assert row.estimate == pytest.approx(values.mean(), rel=1e-11)
        assert (row.ci_low, row.ci_high) == pytest.approx(wilson, rel=1e-11)
        assert rows(found, "sd", "group", "yes_or_no")[name].estimate == pytest.approx(values.std(ddof=1), rel=1e-11)
        assert rows(found, "total", "group", "yes_or_no")[name].estimate == values.sum()
        share = values.sum() / sure["yes_or_no"].sum()
        assert rows(found, "total_share", "group", "yes_or_no")[name].estimate == pytest.approx(share, rel=1e-11)


@SEEDS
def test_clipping_is_pandas_clip_and_counts_what_it_moves(seed: int) -> None:
    table, frame = crowd(seed)
    asked = {"id": "q", "kind": "mean", "of": "paid", "clip": ["10", "20000"], "by": "group"}
    (found,) = answers([asked], table).values()
    sure = frame.dropna(subset=["group", "paid"])
    for name, values in sure["paid"].clip(1_000, 2_000_000).groupby(sure["group"]):
        row = rows(found, "mean", "group", "paid")[name]
        assert row.estimate == pytest.approx(values.mean() / 100, rel=1e-11)
        moved = (frame["paid"][values.index] != values).mean()
        assert ("u" in row.obs_status) == (moved > 0.001)
    (clipped,) = found.tests
    assert clipped.values["low"] == (sure["paid"] < 1_000).sum()
    assert clipped.values["high"] == (sure["paid"] > 2_000_000).sum()


@SEEDS
@pytest.mark.parametrize(
    ("of", "bins"),
    [
        ("paid", ["0", "180", "180.01", "500", "10000.5"]),
        ("height", ["0", "1", "100", "250"]),
        ("age", ["16", "17", "40"]),
    ],
)
def test_a_histogram_is_pandas_cut(seed: int, of: str, bins: list[str]) -> None:
    table, frame = crowd(seed)
    asked = {"id": "q", "kind": "histogram", "of": of, "bins": bins, "by": "group"}
    (found,) = answers([asked], table).values()
    low, high = EXACT.range(of)
    edges = sorted({low, *(round(float(cut) * UNITS[of]) for cut in bins), high + 1})
    sure = frame.dropna(subset=["group", of])
    cut = pd.cut(sure[of], edges, right=False, labels=range(len(edges) - 1))
    expected = pd.crosstab(cut, sure["group"], dropna=False)
    counts = [row for row in found.rows if row.measure == "count" and "_missing" not in row.keys.values()]
    labels = list(dict.fromkeys(row.keys[of] for row in counts))
    assert len(labels) == len(edges) - 1
    for row in counts:
        assert row.estimate == expected.loc[labels.index(row.keys[of]), row.keys["group"]]
    shares = {(row.keys[of], row.keys["group"]): row for row in found.rows if row.measure == "share" and row.base}
    for row in counts:
        base = expected[row.keys["group"]].sum()
        assert shares[row.keys[of], row.keys["group"]].estimate == pytest.approx((row.estimate or 0) / base, rel=1e-11)


@SEEDS
def test_so_many_equal_bins_are_numpys(seed: int) -> None:
    table, frame = crowd(seed)
    (found,) = answers([{"id": "q", "kind": "histogram", "of": "height", "bins": "3"}], table).values()
    expected = np.histogram(frame["height"].dropna(), [-40, 57, 154, 251])[0]
    counts = [row.estimate for row in found.rows if row.measure == "count" and row.keys["height"] != "_missing"]
    assert counts == expected.tolist()
