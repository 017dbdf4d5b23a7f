"""How a budget is split over blocks: for the least variance after least squares, as close to it as is said, and as weights mean it."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from scipy.optimize import minimize

from coordinator import plan, plan_text, release, split
from coordinator.beforehand import Known
from coordinator.consistency import reconcile
from protocols.statistics.estimates import Floats
from protocols.statistics.layout import Layout
from protocols.statistics.own_tables import tabled
from protocols.study import Study, load
from simulations.bench import utility

FLAGSHIP: Final = Path(release.__file__).parent / "studies" / "flexible-employment-profile.yaml"
HEAD: Final = """study: shares
title: {zh: 份额}
purpose: {zh: 测试}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
privacy: {mode: dp, epsilon: 1.0}
questions:
"""


@pytest.fixture(scope="module")
def flagship() -> Study:
    return load(FLAGSHIP)


def asked(folder: Path, *questions: str) -> Study:
    (folder / "study.yaml").write_text(HEAD + "".join(f"  - {{{each}}}\n" for each in questions), encoding="utf-8")
    return load(folder / "study.yaml")


def parts(study: Study, found: split.Split) -> dict[tuple[str, str], Fraction]:
    """Share of each block, by where it is measured and its name."""
    layout, own = study.workload.layout.blocks, study.workload.own.blocks
    names = [*(("sum", block.name) for block in layout), *(("city", block.name) for block in own)]
    return {name: Fraction(share, sum(found.shares)) for name, share in zip(names, found.shares, strict=True)}


def test_twenty_nine_tables_reach_the_least_error_there_is() -> None:
    """Equal shares: 17.54 at variance 518.85. The best are proven to be at most a 10,000th of F away."""
    study = utility.studied(utility.SIZES)
    found = split.best(study)
    problem = split.Problem.of(study)
    assert problem is not None
    equal = np.full(29, 1 / 29)
    rmse = math.sqrt(problem.value(equal) / 29 * 518.85 / 29)
    assert rmse == pytest.approx(17.54, abs=0.005)
    assert rmse / math.sqrt(found.gain) == pytest.approx(17.423, abs=0.002)
    assert found.gap <= split.CLOSE


def test_the_shares_are_those_of_another_optimiser() -> None:
    """L-BFGS on the logarithms of shares, from equal ones."""
    problem = split.Problem.of(utility.studied((6, 2, 4, 5, 3)))
    assert problem is not None
    equal = np.full(11, 1 / 11)
    found, gap = problem.solved(equal)

    def of_logs(logs: Floats) -> float:
        shares = np.exp(logs)
        return math.log(problem.value(shares)) + math.log(shares.sum())

    other = minimize(of_logs, np.log(equal), method="L-BFGS-B", options={"ftol": 1e-14, "maxiter": 500})
    assert problem.value(found) == pytest.approx(math.exp(other.fun), rel=2 * split.CLOSE)
    assert problem.value(found) * (1 - gap) <= math.exp(other.fun) * (1 + 1e-9)
    assert problem.value(found) < problem.value(equal)


def test_f_is_the_variance_that_official_tables_declare(flagship: Study) -> None:
    """With single years beside bands, and blocks that are summed out: of counts that are released pooled, at unequal shares."""
    workload = flagship.workload
    layout = Layout(tuple(block for block in workload.layout.blocks if tabled(block)))
    variances = [1.0 + 0.1 * number for number in range(len(layout.blocks))]
    (family,) = reconcile(layout, np.zeros(layout.length, dtype=np.int64), variances).values()
    expected = 0.0
    for question in flagship.file.questions:
        blocks = tuple(workload.blocks[question.id].values())
        if flagship.release_of(question) == "pooled" and all(map(tabled, blocks)):
            for block in blocks:
                names = frozenset(axis.name for axis in block.axes)
                expected += float(question.weight) ** 2 * float(np.mean(family.table(names).sd ** 2))
    problem = split.Problem.of(flagship)
    assert problem is not None
    by_name = {block.name: 1 / variance for block, variance in zip(layout.blocks, variances, strict=True)}
    own = [1.0] * len(workload.own.blocks)
    shares = np.array([*(by_name.get(block.name, 1.0) for block in workload.layout.blocks), *own])
    pooled = tuple(part for part in problem.parts if max(part.blocks) < len(workload.layout.blocks))
    assert split.Problem(pooled, problem.free).value(shares) == pytest.approx(expected, rel=1e-9)


def test_the_flagship_is_split_better_than_equally_and_its_amounts_keep_their_shares(flagship: Study) -> None:
    found = split.best(flagship)
    assert 1.02 < found.gain < 1.5
    equal = split.Split(split._exact(flagship.workload.shares()))
    before, after = parts(flagship, equal), parts(flagship, found)
    for (where, name), share in after.items():
        assert share >= Fraction(1, 25) * before[where, name]
        if "x-c" in name:
            assert float(share) == pytest.approx(float(before[where, name]), rel=0.01)
    assert split.best(flagship) == found


def test_tables_that_share_nothing_are_split_by_weight(tmp_path: Path) -> None:
    study = asked(tmp_path, "id: sex, kind: frequency, of: sex, weight: 3", "id: bank, kind: frequency, of: bank")
    found = split.best(study)
    assert [float(share) for share in parts(study, found).values()] == pytest.approx([0.75, 0.25], rel=1e-3)


def test_a_table_that_others_say_much_about_gets_less(tmp_path: Path) -> None:
    study = asked(
        tmp_path,
        "id: sex, kind: frequency, of: sex",
        "id: both, kind: crosstab, by: [sex, product]",
        "id: bank, kind: frequency, of: bank",
    )
    shares = list(parts(study, split.best(study)).values())
    assert shares[0] < shares[2] < shares[1]


def test_what_is_released_both_ways_keeps_a_tenth_for_the_sum(tmp_path: Path) -> None:
    study = asked(
        tmp_path,
        "id: product, kind: frequency, of: product, release: both",
        "id: table, kind: crosstab, by: [product, sex], release: both",
        "id: channel, kind: frequency, of: channel, release: by_city",
        "id: more, kind: crosstab, by: [product, channel], release: by_city",
    )
    found = split.best(study)
    share = parts(study, found)
    assert found.gain > 1
    for name in ("1 by (product)", "1 by (product, sex)"):
        assert float(share["city", name] / share["sum", name]) == pytest.approx(9, rel=0.01)


def test_a_plan_says_how_it_is_accounted_and_what_equal_shares_would_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = asked(
        tmp_path,
        "id: sex, kind: frequency, of: sex",
        "id: both, kind: crosstab, by: [sex, product]",
        "id: more, kind: crosstab, by: [sex, channel]",
    )
    cities = tuple(Known(city=name) for name in ("north", "south", "east"))

    def published(of: Study) -> dict[str, Any]:
        return plan.published(plan.planned(of, cities, "study", lambda _: None), [])

    before, after = published(study), published(split.stated(study))
    assert (before["split"], before["cost"]["accounting"]) == ({"stated": False, "equal": 1.0}, "rdp")
    assert after["cost"]["accounting"] == "pld"
    assert after["split"]["equal"] == pytest.approx(split.best(study).gain, rel=1e-9)
    assert "accounted by PLD; the budget is split for the least variance" in plan_text.table(after, "en")
    assert "equally over blocks" in plan_text.table(before, "en")
    assert not [each for each in after["warnings"] if each["warning"] == "equal_split"]
    monkeypatch.setattr(plan, "UNEQUAL", 1.0)
    warned = published(split.stated(study))
    assert "equal ones would give" in plan_text.table(warned, "en")
