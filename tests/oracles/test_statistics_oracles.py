"""The four kinds in exact mode against pandas, scipy and statsmodels on the same rows."""

from fractions import Fraction
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from protocols import entropy
from protocols.dictionary import MISSING
from protocols.statistics import KINDS
from protocols.statistics.estimates import Floats
from protocols.statistics.intervals import Index, benjamini_hochberg, simplex
from protocols.statistics.rows import Answer
from tests.laws.generated import SMALL, Holder, encoded, finalized, layout_of

HOLDERS: Final = 5_000
Z: Final = 1.959963984540054
SEEDS: Final = pytest.mark.parametrize("seed", range(6))


def crowd(seed: int) -> list[Holder]:
    """Holders whose variables go together, some unknown; nobody has the third sex."""
    generator = entropy.public_stream("oracles", str(seed), "crowd")
    found: list[Holder] = []
    for year, chance, product, owner, sex in zip(
        generator.integers(1970, 2005, HOLDERS),
        generator.random((HOLDERS, 5)),
        generator.integers(0, 3, HOLDERS),
        generator.random(HOLDERS) < 0.03,
        generator.integers(0, 2, HOLDERS),
        strict=True,
    ):
        leaning = 1 if year >= 1990 and chance[4] < 0.2 else int(product)
        whole = {"birth_year": int(year), "product": leaning, "owner": int(owner), "sex": int(sex)}
        found.append({name: value for (name, value), draw in zip(whole.items(), chance, strict=False) if draw > 0.04})
    return found


def frame(holders: list[Holder]) -> pd.DataFrame:
    """The same rows as a person would hold them, `_missing` spelled out."""
    rows = []
    for holder in holders:
        year = holder.get("birth_year")
        generation = (
            MISSING if year is None else "80s" if 1980 <= year < 1990 else "90s" if 1990 <= year < 2000 else "other"
        )
        named = {
            name: SMALL.codes(name)[holder[name]] if name in holder else MISSING for name in ("product", "owner", "sex")
        }
        rows.append({**named, "generation": generation})
    return pd.DataFrame(rows)


def answer(asked: dict[str, Any], holders: list[Holder], confidence: float = 0.95) -> Answer:
    question = KINDS[asked["kind"]].model_validate({"id": "q", **asked})
    return finalized(question, encoded(layout_of(question), holders, exact=True), confidence=confidence)


def of(found: Answer, measure: str, *names: str) -> dict[Any, Any]:
    rows = [row for row in found.rows if row.measure == measure and not row.contrast]
    return {tuple(row.keys[name] for name in names): row for row in rows}


def known(rows: dict[Any, Any]) -> dict[Any, Any]:
    return {key: row for key, row in rows.items() if MISSING not in key}


@SEEDS
def test_count_is_the_number_of_rows(seed: int) -> None:
    (row,) = answer({"kind": "count"}, crowd(seed)[: 100 * seed]).rows
    assert (row.estimate, row.display, row.se_noise) == (100 * seed, 100 * seed, 0)
    assert (row.ci_low, row.ci_high) == (100 * seed, 100 * seed)


@SEEDS
@pytest.mark.parametrize("by", [(), ("generation",), ("generation", "sex")])
def test_frequency_counts_are_pandas_value_counts(seed: int, by: tuple[str, ...]) -> None:
    holders = crowd(seed)
    found = answer({"kind": "frequency", "of": "product", "by": list(by)}, holders)
    expected = frame(holders)[["product", *by]].value_counts().to_dict()
    assert {key: row.estimate for key, row in of(found, "count", "product", *by).items() if row.estimate} == expected


@SEEDS
def test_crosstab_is_pandas_crosstab(seed: int) -> None:
    holders = crowd(seed)
    found = answer({"kind": "crosstab", "by": ["product", "generation"]}, holders)
    rows = frame(holders)
    expected = pd.crosstab(rows["product"], rows["generation"])
    for (product, generation), row in of(found, "count", "product", "generation").items():
        assert row.estimate == expected.loc[product, generation]
    sure = rows[(rows["product"] != MISSING) & (rows["generation"] != MISSING)]
    normalizes: tuple[tuple[str, Literal["index", "columns", "all"]], ...]
    normalizes = (("row_share", "index"), ("column_share", "columns"), ("share", "all"))
    for measure, normalize in normalizes:
        shares = pd.crosstab(sure["product"], sure["generation"], normalize=normalize)
        for (product, generation), row in known(of(found, measure, "product", "generation")).items():
            assert row.estimate == pytest.approx(shares.loc[product, generation], rel=1e-11)


@SEEDS
def test_a_four_way_table_is_pandas_value_counts(seed: int) -> None:
    holders = crowd(seed)
    names = ["sex", "product", "owner", "generation"]
    found = answer({"kind": "crosstab", "by": names}, holders)
    expected = frame(holders)[names].value_counts().to_dict()
    assert {key: row.estimate for key, row in of(found, "count", *names).items() if row.estimate} == expected
    assert not found.tests


@SEEDS
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_share_intervals_are_wilsons(seed: int, confidence: float) -> None:
    found = answer({"kind": "frequency", "of": "product", "by": "generation"}, crowd(seed), confidence)
    counts = of(found, "count", "product", "generation")
    for key, row in known(of(found, "share", "product", "generation")).items():
        low, high = proportion_confint(counts[key].estimate, row.base, alpha=1 - confidence, method="wilson")
        assert (row.ci_low, row.ci_high) == pytest.approx((low, high), rel=1e-11)
        assert row.se_sampling == pytest.approx(np.sqrt(row.estimate * (1 - row.estimate) / row.base), rel=1e-11)


@SEEDS
def test_contrasts_are_differences_of_shares_with_adjusted_p_values(seed: int) -> None:
    holders = crowd(seed)
    rows = frame(holders)
    found = answer({"kind": "frequency", "of": "product", "by": "owner"}, holders)
    contrasts: list[Any] = [row for row in found.rows if row.contrast]
    sure = rows[(rows["product"] != MISSING) & (rows["owner"] != MISSING)]
    shares = pd.crosstab(sure["product"], sure["owner"], normalize="columns")
    bases = sure["owner"].value_counts()
    p_values = []
    for row in contrasts:
        p = shares.loc[row.keys["product"]]
        sd = np.sqrt(sum(p[code] * (1 - p[code]) / bases[code] for code in ("true", "false")))
        difference = p["true"] - p["false"]
        p_values.append(2 * stats.norm.sf(abs(difference) / sd))
        assert row.keys["owner"] == "true"
        assert row.estimate == pytest.approx(difference, rel=1e-10)
        assert (row.ci_low, row.ci_high) == pytest.approx(stats.norm.interval(0.95, difference, sd), rel=1e-9)
        assert row.p_value == pytest.approx(p_values[-1], rel=1e-9)
    assert len(contrasts) == 3
    q_values = multipletests(p_values, method="fdr_bh")[1]
    assert [row.q_value for row in contrasts] == pytest.approx(q_values, rel=1e-9)


@SEEDS
@pytest.mark.parametrize(
    "by", [["product", "generation"], ["product", "sex"], ["owner", "generation"], ["sex", "owner"]]
)
def test_chi_square_and_cramers_v_are_scipys(seed: int, by: list[str]) -> None:
    """Nobody has the third sex: scipy sees a table without it."""
    holders = crowd(seed)
    rows = frame(holders)
    sure = rows[(rows[by[0]] != MISSING) & (rows[by[1]] != MISSING)]
    observed = pd.crosstab(sure[by[0]], sure[by[1]])
    expected = stats.chi2_contingency(observed, correction=False)
    chi_square, cramers_v = answer({"kind": "crosstab", "by": by}, holders).tests
    assert chi_square.values["statistic"] == pytest.approx(expected.statistic, rel=1e-11)
    assert chi_square.values["df"] == expected.dof
    assert chi_square.values["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    v = stats.contingency.association(observed, method="cramer")
    assert cramers_v.values["estimate"] == pytest.approx(v, rel=1e-11)
    low, high, adjusted = (cramers_v.values[name] for name in ("ci_low", "ci_high", "adjusted"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low <= v <= high
    assert adjusted == pytest.approx(_bergsma(observed.to_numpy()), rel=1e-9)


def _bergsma(observed: Any) -> float:
    n, (rows, columns) = observed.sum(), observed.shape
    squared = stats.chi2_contingency(observed, correction=False).statistic / n
    less = max(0.0, squared - (rows - 1) * (columns - 1) / (n - 1))
    return float(np.sqrt(less / (min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1)))


@SEEDS
def test_tgi_is_pandas_arithmetic(seed: int) -> None:
    holders = crowd(seed)
    rows = frame(holders)
    sure = rows[(rows["product"] != MISSING) & (rows["generation"] != MISSING)]
    within = pd.crosstab(sure["product"], sure["generation"], normalize="index")
    overall = sure["generation"].value_counts(normalize=True)
    found = known(
        of(answer({"kind": "tgi", "target": "product", "by": "generation"}, holders), "index", "product", "generation")
    )
    assert len(found) == 9
    for (product, generation), row in found.items():
        assert row.estimate == pytest.approx(100 * within.loc[product, generation] / overall[generation], rel=1e-11)
        assert row.base == (sure["product"] == product).sum()


@SEEDS
def test_the_p_value_of_tgi_is_the_score_test_of_a_two_by_two_table(seed: int) -> None:
    """Without noise, and with cells expected under R = 1, the squared score is close to Pearson's chi-square of in or out."""
    holders = crowd(seed)
    rows = frame(holders)
    sure = rows[(rows["product"] != MISSING) & (rows["generation"] != MISSING)]
    found = known(
        of(answer({"kind": "tgi", "target": "product", "by": "generation"}, holders), "index", "product", "generation")
    )
    for (product, generation), row in found.items():
        table = pd.crosstab(sure["product"] == product, sure["generation"] == generation)
        p_value = stats.chi2_contingency(table, correction=False).pvalue
        assert stats.norm.isf(row.p_value / 2) == pytest.approx(stats.norm.isf(p_value / 2), rel=0.02, abs=0.02)


def designs() -> list[tuple[str, list[float], Floats, bool]]:
    """a, A, b, B with noise of a table of 4 x 6 cells, common and rare."""
    cells = []
    for v in (0.0, 20.0, 500.0):
        noise = v * np.array([[1, 1, 1, 1], [1, 5, 1, 5], [1, 1, 3, 3], [1, 5, 3, 15.0]])
        for numbers in (
            [3742, 8191, 10224, 26606],
            [129, 8191, 551, 26606],
            [12, 300, 40, 3000],
            [2, 60, 30, 90],
            [-9, 200, 80, 900],
        ):
            for sampling in (True, False):
                cells.append(
                    (f"V={v} a={numbers[0]} sampling={sampling}", [float(x) for x in numbers], noise, sampling)
                )
    return cells


@pytest.mark.parametrize(("numbers", "noise", "sampling"), [pytest.param(*case, id=name) for name, *case in designs()])
def test_tgi_intervals_are_those_of_a_grid_of_a_million_points(
    numbers: list[float], noise: Floats, sampling: bool
) -> None:
    """A second grid of a thousand points around each end takes the distance below 1e-6 of an index."""
    a, target, group, total = numbers
    arrays = [np.array([number]) for number in numbers]
    low, high = Index(arrays[0], arrays[1], arrays[2], arrays[3], noise, sampling).interval(Z)
    grid = np.linspace(0.0, total / target, 1_000_001)
    inside = np.flatnonzero(kept(grid, numbers, noise, sampling))
    if inside.size:
        ends = [grid[inside[0]], grid[inside[-1]]]
        for number, (at, beyond) in enumerate(((inside[0], inside[0] - 1), (inside[-1], inside[-1] + 1))):
            if 0 <= beyond < grid.size:
                fine = np.linspace(grid[at], grid[beyond], 10_001)
                ends[number] = fine[np.flatnonzero(kept(fine, numbers, noise, sampling))[-1]]
    else:  # no noise and no sampling, or an estimate below anything that an index explains
        ends = [max(a / group * total / target, 0.0)] * 2
    assert (100 * low[0], 100 * high[0]) == pytest.approx((100 * ends[0], 100 * ends[1]), abs=1e-6)


def kept(grid: Floats, numbers: list[float], noise: Floats, sampling: bool) -> Any:
    """|a - R (A/B) b| <= z sd(R) at each R, written out from its definition."""
    a, target, group, total = numbers
    q = target / total
    g = [
        1 - grid * q - grid * group * (1 - q) / total,
        -grid * q + grid * group * q / total,
        -grid * group * (1 - q) / total,
        grid * group * q / total,
    ]
    x1 = grid * q * group
    x = [x1, group - x1, target - a + 0 * grid, total - group - target + a + 0 * grid]
    drawn = sum(np.maximum(cells, 0) * gradient**2 for cells, gradient in zip(x, g, strict=True))
    contrast = np.array([1 + 0 * grid, -grid * group / total, -grid * q, grid * q * group / total])
    variance = np.einsum("in,ij,jn->n", contrast, noise, contrast) + (drawn if sampling else 0)
    return (a - grid * q * group) ** 2 <= Z**2 * variance


def test_false_discovery_rates_are_statsmodels() -> None:
    p_values = entropy.public_stream("oracles", "fdr", "p").random(40) ** 3
    q_values = multipletests(p_values, method="fdr_bh")[1]
    gaps = np.insert(p_values, 7, np.nan)
    assert np.allclose(benjamini_hochberg(gaps.reshape(41)), np.insert(q_values, 7, np.nan), rtol=1e-12, equal_nan=True)


def test_display_is_the_nearest_table_without_negative_cells() -> None:
    """Against exact projection by trying every set of cells that may be zero, in fractions."""
    generator = entropy.public_stream("oracles", "simplex", "cells")
    for _ in range(60):
        table = np.round(generator.normal(2, 6, 7), 3)
        shown = simplex(table)
        total = max(float(table.sum()), 0.0)
        assert shown.sum() == pytest.approx(total, abs=1e-9)
        assert (shown >= 0).all()
        assert np.allclose(shown, [float(x) for x in _nearest([Fraction(str(x)) for x in table])], atol=1e-9)


def _nearest(table: list[Fraction]) -> list[Fraction]:
    total = max(sum(table, Fraction(0)), Fraction(0))
    best: tuple[Fraction, list[Fraction]] | None = None
    for chosen in range(1, 1 << len(table)):
        inside = [at for at in range(len(table)) if chosen >> at & 1]
        shift = (sum((table[at] for at in inside), Fraction(0)) - total) / len(inside)
        point = [table[at] - shift if at in inside else Fraction(0) for at in range(len(table))]
        if min(point) >= 0:
            distance = sum(((x - y) ** 2 for x, y in zip(point, table, strict=True)), Fraction(0))
            if best is None or distance < best[0]:
                best = (distance, point)
    assert best is not None
    return best[1]
