"""Ratios in exact mode against Python integers over the rows, and in mode dp: does the interval hold the truth as often as it says?"""

from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode
from protocols.statistics.rows import Answer, Row
from protocols.statistics.workload import Workload
from tests.oracles.test_amounts_oracles import AS_OF, DICTIONARY, SEEDS, UNITS, answers, crowd

SIDES: Final = (("paid", "far"), ("yes_or_no", "paid"), ("paid", "yes_or_no"), ("height", "paid"))


def of_group(answer: Answer) -> dict[str, Row]:
    return {row.keys.get("group", ""): row for row in answer.rows if row.measure == "ratio" and row.obs_status != "z"}


def written(frame: pd.DataFrame, name: str) -> list[int]:
    return [int(value) for value in frame[name]]


@SEEDS
@pytest.mark.parametrize(("top", "bottom"), SIDES)
@pytest.mark.parametrize("by", [(), ("group",)])
def test_a_ratio_is_that_of_the_sums_over_holders_who_have_both(
    seed: int, top: str, bottom: str, by: tuple[str, ...]
) -> None:
    table, frame = crowd(seed)
    asked = {"id": "q", "kind": "ratio", "numerator": top, "denominator": bottom, "by": list(by), "sampling": "true"}
    (found,) = answers([asked], table).values()
    both = frame.dropna(subset=[top, bottom, *by])
    groups = {str(name): rows for name, rows in both.groupby("group")} if by else {"": both}
    for name, rows in groups.items():
        x, y = ([value / UNITS.get(side, 1) for value in written(rows, side)] for side in (top, bottom))
        exact = sum(written(rows, top)) / sum(written(rows, bottom)) * UNITS.get(bottom, 1) / UNITS.get(top, 1)
        row = of_group(found)[name]
        assert row.base == len(rows)
        assert row.estimate == pytest.approx(exact, rel=1e-11)
        residual = np.array([a - exact * b for a, b in zip(x, y, strict=True)], dtype=np.longdouble)
        assert row.se_sampling == pytest.approx(float(np.sqrt((residual**2).sum())) / sum(y), rel=1e-6)
        assert row.se_noise == 0
    counts = [row for row in found.rows if row.measure == "count"]
    assert sum(int(row.estimate or 0) for row in counts) == len(frame.dropna(subset=[top, bottom]))


@SEEDS
def test_bounds_move_values_before_they_are_added(seed: int) -> None:
    table, frame = crowd(seed)
    asked = {"id": "q", "kind": "ratio", "numerator": "paid", "denominator": "height", "by": "group",
             "clip": {"paid": ["10", "20000"], "height": ["1", "200"]}}  # fmt: skip
    (found,) = answers([asked], table).values()
    both = frame.dropna(subset=["paid", "height", "group"])
    moved = both.assign(paid=both["paid"].clip(1_000, 2_000_000), height=both["height"].clip(1, 200))
    for name, rows in moved.groupby("group"):
        row = of_group(found)[str(name)]
        assert row.estimate == pytest.approx(rows["paid"].sum() / 100 / rows["height"].sum(), rel=1e-11)
        assert row.se_sampling is None, "squares are summed where the holders are a draw"
    tests = {test.values["variable"]: test.values for test in found.tests}
    assert tests["paid"]["low"] == (both["paid"] < 1_000).sum()
    assert tests["height"]["high"] == (both["height"] > 200).sum()


def test_a_ratio_agrees_with_the_totals_of_other_tables() -> None:
    """Where everybody has both values, numerator and denominator are the totals that `mean` prints."""
    table, frame = crowd(3)
    whole = {name: np.ones(len(frame), dtype=bool) for name in ("paid", "height")}
    columns = {name: type(each)(each.values, whole.get(name, each.known)) for name, each in table.columns.items()}
    full = type(table)(table.holders, columns)
    asked: list[dict[str, Any]] = [
        {"id": "ratio", "kind": "ratio", "numerator": "paid", "denominator": "height"},
        {"id": "paid", "kind": "mean", "of": "paid"},
        {"id": "height", "kind": "mean", "of": "height"},
    ]
    found = answers(asked, full)
    (top,), (bottom,) = ([row for row in found[name].rows if row.measure == "total" and row.estimate is not None]
                         for name in ("paid", "height"))  # fmt: skip
    assert top.estimate is not None
    assert bottom.estimate
    assert of_group(found["ratio"])[""].estimate == pytest.approx(top.estimate / bottom.estimate, rel=1e-11)


@pytest.mark.parametrize("variance", [25.0, 2_500.0])
def test_intervals_hold_the_truth_as_often_as_they_say(variance: float) -> None:
    """The register is the population: only noise is to be covered. 600 draws of noise; bounds of a binomial at 1e-5."""
    table, frame = crowd(1)
    domain = Domain(DICTIONARY)
    question = KINDS["ratio"].model_validate(
        {"id": "q", "kind": "ratio", "numerator": "yes_or_no", "denominator": "height", "by": "group", "clip": {"height": ["0", "250"]}}
    )  # fmt: skip
    workload = Workload.of([question], domain)
    vector = encode(workload.layout, table, DICTIONARY, AS_OF, None, exact=False)
    both = frame.dropna(subset=["yes_or_no", "height", "group"])
    sums = both.assign(height=both["height"].clip(0, 250)).groupby("group")[["yes_or_no", "height"]].sum()
    truth = (sums["yes_or_no"] / sums["height"]).astype(float)
    sd = np.concatenate([np.full(block.cells, np.sqrt(variance) * block.step) for block in workload.layout.blocks])
    variances = [variance * block.step**2 for block in workload.layout.blocks]
    generator = entropy.public_stream("oracles", "ratio", str(variance))
    held = []
    for _ in range(200):
        noised = vector + np.rint(generator.normal(0, sd)).astype(np.int64)
        families = reconcile(workload.layout, noised, variances)
        sums_of = Estimates.of(
            families, workload.blocks["q"], study="sha256:o", question="q", confidence=0.95, min_cell=0
        )
        for name, row in of_group(question.finalize(sums_of, domain)).items():
            assert row.ci_low is not None
            assert row.ci_high is not None
            held.append(row.ci_low <= truth[name] <= row.ci_high)
    assert len(held) == 600
    assert 0.91 <= np.mean(held) <= 0.985
