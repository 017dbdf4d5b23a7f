"""Whether a million draws follow the law: exact probabilities, moments, dependence, closure, and two other samplers.

Every p-value is held against the same family-wise level: 1e-6 over fewer than 100 tests. Seeds are fixed; the slow run repeats all with
fresh entropy.
"""

from math import ceil, exp
from typing import Any, Final

import numpy as np
import opendp.prelude as dp
import pytest
from numpy.typing import NDArray
from scipy import stats

from protocols import noise
from protocols.entropy import Entropy, operating_system, public_stream, seeded
from tests.oracles import skellam_slow

ALPHA: Final = 1e-6 / 100
BAND: Final = float(stats.norm.isf(ALPHA / 2))  # standard errors
MILLION: Final = 10**6
VARIANCES = (2**-10, 0.0833, 0.25, 25 / 7, 4, 20, 100, 1e4, 2**20, 2**22)
MOMENTS = (0.25, 4, 100, 1e4)

Draws = NDArray[np.int64]


@pytest.fixture(params=["fixed", pytest.param("fresh", marks=pytest.mark.slow)])
def entropy(request: Any) -> Entropy:
    """One stream per test."""
    if request.param == "fresh":  # slow: repeats the file, and may by chance fail once in a million runs
        return noise.release_stream(operating_system)
    return seeded("law of the noise", request.node.name)


def v20_of(variance: float) -> int:
    return ceil(variance * noise.UNIT)


def exact_pmf(v20: int) -> NDArray[np.float64]:
    """P(X = k) for k = -last .. last, from the slow implementation."""
    half = np.array([float(p) for p in skellam_slow.law(v20).pmf])
    return np.concatenate([half[:0:-1], half])


def goodness(drawn: Draws, v20: int) -> float:
    """p-value of the chi-square test against the exact law, on the cells that expect more than 10; each tail is pooled with its last."""
    pmf = exact_pmf(v20)
    kept = np.flatnonzero(len(drawn) * pmf > 10)
    low, high = kept[0], kept[-1]
    expected = len(drawn) * pmf[low : high + 1]
    expected[0] += len(drawn) * pmf[:low].sum()
    expected[-1] += len(drawn) * pmf[high + 1 :].sum()
    seen = np.bincount(np.clip(drawn + len(pmf) // 2, low, high) - low, minlength=len(expected))
    return float(stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), len(seen) - 1))


@pytest.mark.parametrize("variance", VARIANCES)
def test_a_million_draws_fit_the_exact_probabilities(variance: float, entropy: Entropy) -> None:
    assert goodness(noise.skellam(entropy, v20_of(variance), MILLION), v20_of(variance)) > ALPHA


@pytest.mark.parametrize("variance", [0.25, 4, 100])
def test_two_per_cent_more_variance_would_not_fit(variance: float) -> None:
    """The control: the test above has the power to see a sampler that is a little wrong."""
    drawn = noise.skellam(seeded("control", str(variance)), v20_of(1.02 * variance), MILLION)
    assert goodness(drawn, v20_of(variance)) < ALPHA


@pytest.mark.parametrize("variance", [4, 100])
def test_a_sum_of_thirty_cities_has_the_law_of_one(variance: float, entropy: Entropy) -> None:
    whole = v20_of(variance)
    shares = [noise.skellam(entropy, noise.node_v20(whole, 30), 100_000) for _ in range(30)]
    assert goodness(np.sum(shares, axis=0), whole) > ALPHA


@pytest.mark.parametrize("variance", MOMENTS)
def test_mean_variance_and_fourth_moment_lie_in_their_bands(variance: float, entropy: Entropy) -> None:
    """Even cumulants of Sk(V) are V, odd ones 0: E X^4 = 3V^2 + V, E X^8 = 105V^4 + 210V^3 + 63V^2 + V."""
    v = v20_of(variance) / noise.UNIT
    x = noise.skellam(entropy, v20_of(variance), MILLION).astype(float)
    fourth, eighth = 3 * v**2 + v, 105 * v**4 + 210 * v**3 + 63 * v**2 + v
    assert abs(x.mean()) < BAND * (v / MILLION) ** 0.5
    assert abs((x**2).mean() - v) < BAND * ((fourth - v**2) / MILLION) ** 0.5
    assert abs((x**4).mean() - fourth) < BAND * ((eighth - fourth**2) / MILLION) ** 0.5


@pytest.mark.parametrize("variance", MOMENTS)
def test_parity_and_low_bits_are_those_of_the_law(variance: float, entropy: Entropy) -> None:
    """P(X even) = (1 + exp(-2V)) / 2."""
    drawn = noise.skellam(entropy, v20_of(variance), MILLION)
    even = int((drawn % 2 == 0).sum())
    assert stats.binomtest(even, MILLION, (1 + exp(-2 * variance)) / 2).pvalue > ALPHA
    pmf = exact_pmf(v20_of(variance))
    folded = np.bincount((np.arange(len(pmf)) - len(pmf) // 2) % 16, weights=pmf, minlength=16) * MILLION
    seen = np.bincount(drawn % 16, minlength=16)
    kept = folded > 10
    seen, folded = np.r_[seen[kept], seen[~kept].sum()], np.r_[folded[kept], folded[~kept].sum()]
    kept = folded > 0
    statistic = ((seen[kept] - folded[kept]) ** 2 / folded[kept]).sum()
    assert stats.chi2.sf(statistic, kept.sum() - 1) > ALPHA


@pytest.mark.parametrize("variance", MOMENTS)
def test_a_draw_says_nothing_about_the_next(variance: float, entropy: Entropy) -> None:
    """Lag-1 correlation of the draws, and of their squares about V."""
    x = noise.skellam(entropy, v20_of(variance), MILLION).astype(float)
    square = x**2 - variance
    for series in (x, square):
        scale = (series**2).mean()
        assert abs((series[1:] * series[:-1]).mean() / scale) < BAND / (MILLION - 1) ** 0.5


def test_cells_of_many_releases_are_uncorrelated(entropy: Entropy) -> None:
    """3,000 releases of 64 cells, each on its own stream; 2,016 pairs of cells share the level."""
    releases = np.array([noise.skellam(noise.release_stream(entropy), v20_of(4), 64) for _ in range(3000)])
    correlation = np.corrcoef(releases.T)[np.triu_indices(64, 1)]
    assert abs(correlation).max() < stats.norm.isf(ALPHA / 2 / len(correlation)) / 3000**0.5


def two_samples(ours: Draws, theirs: Draws) -> tuple[float, float]:
    """p-values of Kolmogorov-Smirnov and of chi-square on cells of about 1 % of the draws."""
    edges = np.unique(np.quantile(np.concatenate([ours, theirs]), np.linspace(0.01, 0.99, 99)))
    table = [np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in (ours, theirs)]
    smirnov = stats.ks_2samp(ours, theirs, method="asymp")
    return float(smirnov.pvalue), float(stats.chi2_contingency(np.array(table)).pvalue)


@pytest.mark.parametrize("variance", [4, 100, 1e4])
def test_draws_agree_with_the_difference_of_two_poissons(variance: float, entropy: Entropy) -> None:
    poisson = public_stream("", "two samples", str(variance)).poisson
    theirs = poisson(variance / 2, 10**5) - poisson(variance / 2, 10**5)
    assert min(two_samples(noise.skellam(entropy, v20_of(variance), 10**5), theirs)) > ALPHA


def test_draws_agree_with_the_discrete_gaussian_of_opendp_at_a_large_variance(entropy: Entropy) -> None:
    """At variance 10^4 the two laws are closer than 1e-4, which 10^5 draws cannot tell apart. opendp draws its own entropy."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64"), size=10**5), dp.l2_distance(T=float)
    theirs = np.array(dp.m.make_gaussian(*space, scale=100.0)([0] * 10**5))
    assert min(two_samples(noise.skellam(entropy, v20_of(1e4), 10**5), theirs)) > ALPHA
