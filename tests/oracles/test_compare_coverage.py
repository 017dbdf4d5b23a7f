"""Comparisons of cities with noise, over many runs: is a difference found only where there is one, and does the interval hold the truth?"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest

from protocols import entropy
from tests.laws.generated import Holder
from tests.oracles.compared import Federation, by_place, stated

CITIES: Final = ("a", "b", "c", "d", "e", "f")
SIZES: Final = (900, 1_400, 2_200, 3_000, 4_500, 8_000)
OWNS: Final = np.array([0.12, 0.3, 0.5])  # of each sex
MIX: Final = np.array([[5, 3, 2], [3, 4, 3], [2, 3, 5], [4, 4, 2], [3, 3, 4], [4, 2, 4]]) / 10  # of sexes in each city
PAY: Final = (2_000_00, 8_000_00)  # one in two of each sex
KINDS_OF_HOLDERS: Final[tuple[Holder, ...]] = tuple(
    {"sex": sex, "owner": owner, "income": pay} for sex in range(3) for owner in (0, 1) for pay in PAY
)
ASKED: Final = (
    {"id": "owners", "kind": "frequency", "of": "owner"},
    {"id": "pay", "kind": "mean", "of": "income", "clip": ["0", "10000"]},
)
VARIANCE: Final = 120.0  # of a cell: as much as what is drawn adds to a share, or more
Cells = tuple[str, str]


def federation(method: str, release: Any, *, standardise: bool = True) -> Federation:
    by = {"standardise": ["sex"], "method": method} if standardise else {}
    asked = {"id": "q", "kind": "compare", "indicators": ["owners", "pay"], **by}
    return Federation.of([*ASKED, asked], KINDS_OF_HOLDERS, release=release)


def drawn(generator: Any, apart: float = 0.0, mix: Any = MIX) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cities, and the chance of owning in each by sex. `apart`: standard deviation of these chances over cities, in log odds."""
    odds = np.log(OWNS / (1 - OWNS)) + apart * generator.normal(0, 1, (len(CITIES), 1))
    chances = 1 / (1 + np.exp(-odds))
    found = {}
    for city, size, sexes, owns in zip(CITIES, SIZES, mix, chances, strict=True):
        cells = sexes[:, None, None] * np.stack([1 - owns, owns], axis=-1)[:, :, None] * np.full((1, 1, 2), 0.5)
        found[city] = generator.multinomial(size, cells.ravel())
    return found, dict(zip(CITIES, chances, strict=True))


def rejections(
    method: str, release: Any, runs: int, *, standardise: bool = True, noise: float = VARIANCE
) -> dict[str, float]:
    """How often Q and the tests of single differences find what is not there, by indicator."""
    generator = entropy.public_stream("coverage", f"compare {method} {release}", str(runs))
    asked, found = federation(method, release, standardise=standardise), defaultdict[str, list[bool]](list)
    even = np.full_like(MIX, 1 / 3)
    for _ in range(runs):
        cities, _ = drawn(generator, mix=MIX if standardise else even)
        answers = asked.answers(cities, noise, generator)
        for (indicator, cell), values in stated(answers["pooled"], "heterogeneity").items():
            assert values["obs_status"] == "", (indicator, cell)
            found[indicator].append(values["p_value"] < 0.05)
        for place, row in by_place(answers).items():
            if row.measure == "difference" and row.p_value is not None:
                found[f"difference {place[2]}"].append(row.p_value < 0.05)
    return {name: float(np.mean(each)) for name, each in found.items()}


def held(method: str, release: Any, runs: int) -> Mapping[str, float]:
    """How often the interval of a standardised share holds that of the city's own chances, at the weights of all cities."""
    generator = entropy.public_stream("coverage", f"intervals {method} {release}", str(runs))
    asked, found = federation(method, release), defaultdict[str, list[bool]](list)
    for _ in range(runs):
        cities, chances = drawn(generator, apart=0.4)
        sexes = sum(cities.values()).reshape((3, 4)).sum(axis=1)
        rows = by_place(asked.answers(cities, VARIANCE, generator))
        for city in CITIES:
            row = rows[city, "standardised", "owners", "true"]
            truth = float((chances[city] * sexes).sum() / sexes.sum())
            if row.ci_low is not None and row.ci_high is not None:
                found[city].append(row.ci_low <= truth <= row.ci_high)
    return {city: float(np.mean(each)) for city, each in found.items()}


def test_noise_is_not_read_as_a_difference_between_cities() -> None:
    """A reduced run of what follows."""
    for found in (rejections("direct", "both", 24), rejections("indirect", "by_city", 12)):
        assert max(found["owners"], found["pay"]) <= 0.20
        assert 0.01 < found["difference owners"] < 0.10


def test_a_mix_of_holders_is_taken_out_and_a_difference_that_stays_is_found() -> None:
    """Without standardisation the sexes of the cities speak; with it, their chances alone."""
    generator = entropy.public_stream("coverage", "compare", "found")
    level, unlike = (drawn(generator, apart=apart)[0] for apart in (0.0, 0.4))
    raw, by_sex = federation("direct", "both", standardise=False), federation("direct", "both")
    p = [
        stated(each.answers(cities, VARIANCE, generator)["pooled"], "heterogeneity")["owners", "true"]["p_value"]
        for each, cities in ((raw, level), (by_sex, level), (by_sex, unlike))
    ]
    assert p[0] < 1e-6
    assert p[1] > 0.01
    assert p[2] < 1e-4


@pytest.mark.slow  # 2,000 runs of each: four minutes a piece
@pytest.mark.parametrize(("method", "release"), [("direct", "both"), ("direct", "by_city"), ("indirect", "both")])
def test_of_equal_rates_one_test_in_twenty_finds_a_difference(method: str, release: str) -> None:
    for rate in rejections(method, release, 2_000).values():
        assert 0.03 <= rate <= 0.07


@pytest.mark.slow  # 1,000 runs: two minutes
def test_intervals_of_standardised_values_hold_the_truth_as_often_as_they_say() -> None:
    found = held("direct", "both", 1_000)
    assert 0.93 <= np.mean([*found.values()]) <= 0.97
    assert min(found.values()) >= 0.90
