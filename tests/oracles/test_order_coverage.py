"""Do intervals of quantiles, curves and places hold the truth as often as they say? Has a tree the noise that it declares?"""

from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols import entropy
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates, Floats
from protocols.statistics.layout import Domain, coarser_nodes
from protocols.statistics.nested import TreeTable
from protocols.statistics.question import Question
from protocols.statistics.rows import Answer
from protocols.statistics.workload import Workload
from protocols.yamltext import read
from tests.oracles.noise_left import variance

DOMAIN: Final = Domain(
    dictionaries.parse(
        read(
            f"""
dictionary: coverage
version: 1
variables:
  pay: {{type: money, unit: CNY, range: [0, 76200], points: [180, 3500]}}
  months: {{type: integer, unit: month, range: [1, 60]}}
  left: {{type: boolean}}
  sex: {{type: category, codes: {{male: {{}}, female: {{}}}}}}
  shop: {{type: category, codes: {{{", ".join(f"s{number:04}: {{}}" for number in range(1000))}}}}}
""".encode(),
            "coverage.yaml",
        )
    )
)
AT: Final = ("0.05", "0.25", "0.5", "0.75", "0.95")
PAY: Final = KINDS["quantiles"].model_validate({"id": "pay", "kind": "quantiles", "of": "pay", "at": list(AT)})
STAY: Final = KINDS["survival"].model_validate(
    {"id": "stay", "kind": "survival", "duration": "months", "event": "left", "by": "sex"}
)
SHOPS: Final = KINDS["top"].model_validate({"id": "shops", "kind": "top", "of": "shop", "k": "10"})
LOG_MEAN, LOG_SD = log(1500), 0.9


def answered(question: Question, vector: Any, noise: float, generator: Any) -> Answer:
    """The answer to one question from the sums without noise."""
    work = Workload.of((question,), DOMAIN)
    drawn = generator.poisson(noise / 2, vector.size) - generator.poisson(noise / 2, vector.size)
    families = reconcile(work.layout, vector + drawn, [noise] * len(work.layout.blocks))
    return question.finalize(
        Estimates.of(
            families, work.blocks[question.id], study=f"sha256:{generator.integers(1 << 60)}", question=question.id,
            confidence=0.95, min_cell=10,
        ),
        DOMAIN,
    )  # fmt: skip


def blocks(question: Question) -> int:
    return len(Workload.of((question,), DOMAIN).layout.blocks)


# --- the noise of a tree


def test_the_noise_of_what_is_counted_up_to_an_edge_is_what_is_declared() -> None:
    """2,000 draws of noise in every level of 16^3 leaves, each level with its own variance."""
    generator = entropy.public_stream("coverage", "tree", "noise")
    layout = Workload.of((PAY,), DOMAIN).layout
    variances = [40.0, *(10.0 * number for number in range(1, len(layout.blocks)))]
    known = next(block for block in layout.blocks if block.branches is None)
    leaf = max((block for block in layout.blocks if block.branches), key=lambda block: block.cells)
    edges, p = np.array([1, 100, 255, 256, 1000, 2048, 3333, 4000]), 0.3
    found = []
    for _ in range(2_000):
        parts = [
            generator.normal(0, sqrt(each), block.cells) for block, each in zip(layout.blocks, variances, strict=True)
        ]
        families = reconcile(layout, np.rint(np.concatenate(parts)).astype(np.int64), variances)
        tables = Estimates.of(
            families, {"known": known, "leaf": leaf}, study="s", question="q", confidence=0.95, min_cell=0
        )
        upto = np.concatenate([[0], np.cumsum(tables["leaf"].values[:-1])])
        found.append(upto[edges] - p * upto[-1])
    table = tables["leaf"]
    assert isinstance(table, TreeTable)
    declared = table.before()[edges] + variances[layout.blocks.index(known)] * (edges / 4096 - p) ** 2
    rounding = 1 + 1 / 12 / min(variances)
    assert np.var(found, axis=0) / declared == pytest.approx(np.full(len(edges), rounding), abs=0.1)


# --- quantiles


def leaf_chances() -> Floats:
    """Lognormal pay, and a lump of a fifth at 180 yuan."""
    tree = DOMAIN.tree("pay")
    law = NormalDist(LOG_MEAN, LOG_SD)
    below = np.array([law.cdf(log(edge / 100)) if edge else 0.0 for edge in tree.edges[:-1]] + [1.0])
    chances = 0.8 * np.diff(below)
    chances[tree.edges.index(18_000)] += 0.2
    return np.concatenate([chances, np.zeros(tree.leaves - tree.used)])


def true_quantiles() -> list[float]:
    law, lump = NormalDist(LOG_MEAN, LOG_SD), 0.8 * NormalDist(LOG_MEAN, LOG_SD).cdf(log(180))
    levels = [float(p) for p in AT]
    return [
        180.0 if lump <= p <= lump + 0.2 else exp(law.inv_cdf((p - (0.2 if p > lump else 0)) / 0.8)) for p in levels
    ]


def quantile_runs(n: int, noise: float, runs: int, seed: str) -> tuple[list[bool], list[bool], list[float]]:
    """Whether intervals of unmarked and of marked rows hold the truth; and the worst error in rank of each run."""
    generator = entropy.public_stream("coverage", f"{n} {noise}", seed)
    chances, truth, tree = leaf_chances(), true_quantiles(), DOMAIN.tree("pay")
    upto = np.concatenate([[0], np.cumsum(chances)])
    clear, marked, errors = list[bool](), list[bool](), list[float]()
    for _ in range(runs):
        leaves = np.append(generator.multinomial(n, chances), 0)
        parts = [coarser_nodes(leaves, 0, tree.nodes(level)) for level in range(1, tree.height + 1)]
        answer = answered(PAY, np.concatenate([[n, 0], *parts]), noise, generator)
        ranks = []
        for row, true in zip(answer.rows, truth, strict=False):
            assert row.estimate is not None
            assert row.ci_low is not None
            assert row.ci_high is not None
            held = row.ci_low <= int(true) <= row.ci_high
            (marked if row.obs_status else clear).append(held)
            at = np.searchsorted(tree.edges, row.estimate * 100, side="right") - 1
            p = float(row.keys["at"])
            ranks.append(max(0.0, upto[at] - p, p - upto[at + 1]))
        errors.append(max(ranks))
    return clear, marked, errors


def test_intervals_of_quantiles_hold_the_truth() -> None:
    clear, _, errors = quantile_runs(26_606, variance(blocks(PAY), 6), 40, "fast")
    assert np.mean(clear) >= 0.93
    assert np.median(errors) < 0.01


def test_intervals_of_quantiles_that_forget_noise_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TreeTable, "before", lambda self: np.zeros(self.tree.leaves + 1))
    noise = 100 * variance(blocks(PAY), 6)
    clear, marked, _ = quantile_runs(26_606, noise, 25, "fast")
    assert np.mean([*clear, *marked]) < 0.90


@pytest.mark.slow  # 1,000 runs of each design
@pytest.mark.parametrize("cities", [3, 20])
@pytest.mark.parametrize("n", [3_000, 26_606, 1_000_000])
def test_intervals_of_quantiles_hold_the_truth_as_often_as_they_say(n: int, cities: int) -> None:
    """At the noise of the question alone under epsilon 1, one of twenty cities lost."""
    clear, marked, _ = quantile_runs(n, variance(blocks(PAY), cities), 1_000, "slow")
    assert np.mean([*clear, *marked]) >= 0.93
    assert not marked or np.mean(marked) >= 0.90


# --- survival

HAZARD: Final = {"male": 0.03, "female": 0.05}
CENSORED: Final = 0.04


def stay_chances(hazards: dict[str, float]) -> Floats:
    """Months x (not left, left) x sex; a month begins with events, then ends the time that others are seen."""
    found = np.zeros((60, 2, 2))
    for sex, hazard in enumerate(hazards.values()):
        stay = 0.5
        for month in range(60):
            found[month, 1, sex] = stay * hazard
            seen = stay * (1 - hazard)
            found[month, 0, sex] = seen * (CENSORED if month < 59 else 1.0)
            stay = seen - found[month, 0, sex]
    return found


def stays(
    n: int, noise: float, runs: int, seed: str, hazards: dict[str, float]
) -> tuple[list[bool], list[bool], list[float]]:
    """Whether intervals of S (unmarked, marked) hold the truth, and the p-values of the log-rank test."""
    generator = entropy.public_stream("coverage", f"{n} {noise}", seed)
    chances, clear, marked, p = stay_chances(hazards), list[bool](), list[bool](), list[float]()
    (block,) = Workload.of((STAY,), DOMAIN).layout.blocks
    assert [axis.source for axis in block.axes] == ["left", "months", "sex"]
    for _ in range(runs):
        cells = np.zeros((61, 3, 3), dtype=np.int64)
        cells[:60, :2, :2] = generator.multinomial(n, chances.ravel()).reshape(chances.shape)
        answer = answered(STAY, np.transpose(cells, (1, 0, 2)).ravel(), noise, generator)
        for row in answer.rows:
            if row.measure == "survival" and row.estimate is not None:
                assert row.ci_low is not None
                assert row.ci_high is not None
                true = (1 - hazards[row.keys["sex"]]) ** int(row.keys["at"])
                (marked if row.obs_status else clear).append(row.ci_low <= true <= row.ci_high)
        p += [float(test.values["p_value"] or 0) for test in answer.tests if test.values["p_value"] is not None]
    return clear, marked, p


def test_intervals_of_curves_hold_the_truth_and_the_log_rank_test_finds_a_difference() -> None:
    clear, _, p = stays(26_606, variance(1, 6), 30, "fast", HAZARD)
    assert 0.90 <= np.mean(clear) <= 0.99
    assert max(p) < 0.05


@pytest.mark.slow  # 500 runs of each design, with their bootstrap
@pytest.mark.parametrize(("n", "parts"), [(3_000, 1), (26_606, 1), (26_606, 6), (1_000_000, 6)])
def test_intervals_of_curves_hold_the_truth_as_often_as_they_say(n: int, parts: int) -> None:
    clear, marked, _ = stays(n, variance(parts, 6), 500, "slow", HAZARD)
    assert 0.93 <= np.mean([*clear, *marked]) <= 0.98
    assert not marked or np.mean(marked) >= 0.90


@pytest.mark.slow  # 500 runs of each design, with their bootstrap
@pytest.mark.parametrize("n", [3_000, 26_606, 1_000_000])
def test_log_rank_finds_a_difference_where_there_is_none_one_time_in_twenty(n: int) -> None:
    _, _, p = stays(n, variance(1, 6), 500, "size", dict.fromkeys(HAZARD, 0.04))
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07


# --- top


def test_the_first_ten_of_a_thousand_codes_are_found() -> None:
    """Zipf(1.1), 26,606 holders: all ten with the whole budget; with a thirtieth of it, nearly all, and the truth inside their places."""
    generator = entropy.public_stream("coverage", "zipf", "top")
    chances = 1 / np.arange(1, 1001) ** 1.1
    for parts, least in ((1, 0.99), (30, 0.93)):
        hits, inside = list[float](), list[bool]()
        for _ in range(20):
            shops = generator.multinomial(26_606, chances / chances.sum())
            answer = answered(SHOPS, np.append(shops, 0), variance(parts, 6), generator)
            place = 1 + (shops[None, :] > shops[:, None]).sum(axis=1)
            ranks = [row for row in answer.rows if row.measure == "rank" and row.estimate is not None]
            best = set(np.argsort(-shops, kind="stable")[:10].tolist())
            codes = [int((row.item or "")[1:]) for row in ranks]
            hits.append(len(best & set(codes)) / 10)
            inside += [
                (row.ci_low or 0) <= place[code] <= (row.ci_high or 0) for row, code in zip(ranks, codes, strict=True)
            ]
        assert np.mean(hits) >= least
        assert np.mean(inside) >= 0.95
