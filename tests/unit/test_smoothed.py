"""The smoothed curve of a spread over ages: what it is of the counts, how sure it is, and that it is for pictures alone."""

from typing import Any, Final

import numpy as np
import pytest
from scipy.stats import norm

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols.entropy import public_stream
from protocols.statistics import smoothed
from protocols.statistics.estimates import Estimates, family_of
from protocols.statistics.histogram import Histogram
from protocols.statistics.layout import Domain
from protocols.statistics.rows import Test
from protocols.statistics.workload import Workload
from tests.laws.generated import finalized

DOMAIN: Final = Domain(dictionaries.load("hpf-flexible-employment@1"))
LOW, HIGH = 16, 80
AGES: Final = np.arange(LOW, HIGH + 1)


def histogram(bins: Any = (16, 25, 30, 35, 45, 60), **further: Any) -> Histogram:
    return Histogram.model_validate(
        {"id": "ages", "kind": "histogram", "of": "age", "bins": [str(each) for each in bins], **further}
    )


def asked(counts: Any, question: Histogram, variance: float = 0.0) -> list[Test]:
    """Its curve, where so many holders stand at each position: bins down, groups across, `_missing` last in both."""
    layout = Workload.of((question,), DOMAIN).layout
    vector = np.asarray(counts, dtype=np.int64).ravel()
    assert vector.size == layout.length
    return [test for test in finalized(question, vector, variance, DOMAIN).tests if test.name == smoothed.NAME]


def column(tests: list[Test], name: str) -> Any:
    return np.array([test.values[name] for test in tests], dtype=float)


def test_it_is_the_density_of_holders_that_are_even_over_each_bin_and_blurred_by_two_years() -> None:
    """Against a sum over small steps."""
    counts, edges = np.array([90, 240, 500, 300, 150, 30]), np.array([16, 25, 30, 35, 45, 60, 81])
    found = column(asked([*counts, 7], histogram()), "estimate")
    steps = np.linspace(16, 81, 65 * 200, endpoint=False) + 1 / 400
    height = (counts / np.diff(edges))[np.searchsorted(edges, steps, "right") - 1]
    expected = [(norm.pdf(age + 0.5, steps, smoothed.BANDWIDTH) * height).sum() / 200 for age in AGES]
    assert found == pytest.approx(expected, rel=1e-4)


def test_holders_are_neither_lost_nor_made_but_at_the_ends_of_the_range() -> None:
    bins = DOMAIN.bins("age", range(LOW, HIGH + 1))
    added = smoothed.weights(bins, LOW, HIGH).sum(axis=0)
    inside = slice(4 * int(smoothed.BANDWIDTH), -4 * int(smoothed.BANDWIDTH))
    assert added[inside] == pytest.approx(1, abs=1e-4)
    assert (added <= 1 + 1e-9).all()
    assert (added > 0.5).all()


def test_its_band_is_that_of_the_noise_of_the_official_table() -> None:
    """Two blocks, so that official counts are correlated: 4,000 draws of their noise, smoothed."""
    question = histogram(by="sex_known")
    beside = histogram(id="all")
    workload = Workload.of((question, beside), DOMAIN)
    families = reconcile(workload.layout, np.zeros(workload.layout.length, dtype=np.int64), [400.0, 25.0])
    blocks = workload.blocks["ages"]
    sums = Estimates.of(families, blocks, study="sha256:law", question="ages", confidence=0.95, min_cell=10)
    (block,) = blocks.values()
    table = families[family_of(block)].table(frozenset(axis.name for axis in block.axes))
    axis = next(axis for axis in table.axes if axis.cuts is not None)
    table = table.ordered((axis.name, "sex_known"))
    tests = [
        test for test in smoothed.curves(table, "age", DOMAIN, sums, drawn=False) if test.values["sex_known"] == "male"
    ]
    sd = column(tests, "ci_high") / sums.z
    noise = table.draws(public_stream("sha256:law", "ages", "noise"), 4_000)[:, :-1, 0]
    seen = (noise @ smoothed.weights(axis, LOW, HIGH).T).std(axis=0)
    assert sd == pytest.approx(seen, rel=0.06)
    alone = 20 * np.sqrt((smoothed.weights(axis, LOW, HIGH) ** 2).sum(axis=1))
    assert (sd < alone).all(), "what the other table says is used"


def test_in_exact_mode_the_band_is_of_the_drawing_of_holders_and_of_nothing_for_a_register() -> None:
    counts = [*[100] * 6, 0]
    drawn, register = asked(counts, histogram()), asked(counts, histogram(sampling="false"))
    assert (column(drawn, "ci_high") > column(drawn, "estimate")).all()
    assert np.array_equal(column(register, "ci_high"), column(register, "ci_low"))


def test_nothing_below_zero_is_drawn() -> None:
    tests = asked([-50, *[0] * 5, 0], histogram(), 100.0)
    assert min(column(tests, name).min() for name in ("estimate", "ci_low", "ci_high")) >= 0


def test_only_what_is_counted_in_years_is_smoothed() -> None:
    assert smoothed.is_smoothed("age", DOMAIN)
    assert not smoothed.is_smoothed("consecutive_periods", DOMAIN)
    assert not smoothed.is_smoothed("contribution_base", DOMAIN)
