"""Correlations, inflation factors and components against numpy and statsmodels; and how often the interval holds the truth."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.outliers_influence import variance_inflation_factor

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.dictionary import Column, Table
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode
from protocols.statistics.rows import Answer
from protocols.statistics.workload import Workload
from tests.oracles.test_amounts_oracles import AS_OF, DICTIONARY, SEEDS, answers, crowd

OF: Final = ("paid", "height", "age", "yes_or_no")


def together(seed: int) -> tuple[Table, pd.DataFrame]:
    """As `crowd`, with heights that follow years of birth and answers that follow heights."""
    table, _ = crowd(seed)
    generator = entropy.public_stream("oracles", str(seed), "together")
    born = table.columns["birth_year"].values
    height = np.clip(np.rint((born - 1970) * 1.5 + generator.normal(100, 40, len(born))), -40, 250).astype(np.int64)
    yes = height + generator.normal(0, 60, len(born)) > 110
    columns = {**table.columns, "height": Column(height, table.columns["height"].known),
               "yes_or_no": Column(yes, table.columns["yes_or_no"].known)}  # fmt: skip
    frame = pd.DataFrame(
        {name: pd.Series(columns[name].values.astype(float)).where(columns[name].known) for name in ("paid", "height", "yes_or_no")}
    )  # fmt: skip
    frame["age"] = pd.Series(np.clip(2022 - born, 16, 80).astype(float)).where(columns["birth_year"].known)
    return Table(table.holders, columns), frame


def correlations(answer: Answer) -> dict[tuple[str, str], Any]:
    return {(row.keys["a"], row.keys["b"]): row for row in answer.rows if row.measure == "correlation"}


@SEEDS
@pytest.mark.parametrize("of", [OF[:2], OF])
def test_correlations_factors_and_components_are_those_of_the_pooled_rows(seed: int, of: tuple[str, ...]) -> None:
    table, frame = together(seed)
    asked = {"id": "q", "kind": "moments", "of": list(of), "clip": {"paid": ["0", "20000"]}}
    (found,) = answers([asked], table).values()
    rows = frame[list(of)].dropna()
    rows = rows.assign(paid=rows["paid"].clip(0, 2_000_000))
    expected = np.corrcoef(rows.to_numpy(), rowvar=False)
    for (a, b), row in correlations(found).items():
        r = expected[of.index(a), of.index(b)]
        assert row.estimate == pytest.approx(r, abs=1e-10)
        assert row.base == len(rows)
        half = 1.959963984540054 / np.sqrt(len(rows) - 3)
        assert (row.ci_low, row.ci_high) == pytest.approx(np.tanh(np.arctanh(r) + np.array([-half, half])), abs=1e-9)
    standard = ((rows - rows.mean()) / rows.std()).to_numpy()
    factors = [row.estimate for row in found.rows if row.measure == "vif"]
    assert factors == pytest.approx([variance_inflation_factor(standard, at) for at in range(len(of))], rel=1e-9)
    values, vectors = np.linalg.eigh(expected)
    parts = [row.estimate for row in found.rows if row.measure == "variance_share"]
    assert parts == pytest.approx(values[::-1] / len(of), abs=1e-10)
    loadings = np.array([row.estimate for row in found.rows if row.measure == "loading"]).reshape(len(of), len(of)).T
    assert np.abs(loadings) == pytest.approx(np.abs(vectors[:, ::-1]), abs=1e-8)
    assert (loadings[np.abs(loadings).argmax(axis=0), range(len(of))] > 0).all()
    (clipped,) = found.tests
    assert clipped.values["high"] == (frame["paid"] > 2_000_000).sum()


@pytest.mark.parametrize("variance", [1.0, 100.0])
def test_intervals_hold_the_truth_as_often_as_they_say(variance: float) -> None:
    """Of the register itself, so that only noise is to be covered: 300 draws, each of three correlations."""
    table, frame = together(2)
    domain = Domain(DICTIONARY)
    question = KINDS["moments"].model_validate(
        {"id": "q", "kind": "moments", "of": ["height", "age", "yes_or_no"], "sampling": "false"}
    )
    workload = Workload.of([question], domain)
    vector = encode(workload.layout, table, DICTIONARY, AS_OF, None, exact=False)
    rows = frame[["height", "age", "yes_or_no"]].dropna()
    truth = np.corrcoef(rows.to_numpy(), rowvar=False)
    sd = np.concatenate([np.full(block.cells, np.sqrt(variance) * block.step) for block in workload.layout.blocks])
    variances = [variance * block.step**2 for block in workload.layout.blocks]
    generator = entropy.public_stream("oracles", "moments", str(variance))
    held, spread = [], []
    for _ in range(300):
        families = reconcile(workload.layout, vector + np.rint(generator.normal(0, sd)).astype(np.int64), variances)
        sums = Estimates.of(families, workload.blocks["q"], study="sha256:o", question="q", confidence=0.95, min_cell=0)
        for (a, b), row in correlations(question.finalize(sums, domain)).items():
            r = truth[list(rows).index(a), list(rows).index(b)]
            held.append(row.ci_low <= r <= row.ci_high)
            spread.append((row.estimate - r) / row.se_noise)
    assert len(held) == 900
    assert 0.915 <= np.mean(held) <= 0.98
    assert 0.9 <= np.std(spread) <= 1.1


def test_a_variable_without_variance_has_no_correlation() -> None:
    known = np.ones(50, dtype=bool)
    columns = {"paid": Column(np.full(50, 5_000), known), "height": Column(np.arange(50), known)}
    (found,) = answers([{"id": "q", "kind": "moments", "of": ["paid", "height"]}], Table(50, columns)).values()
    assert {row.obs_status for row in found.rows if row.measure != "count"} == {"x"}
