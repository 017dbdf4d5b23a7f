"""Quantiles, survival, association and top over the synthetic cities: from the study file through the gates to a bundle that is
verified."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

from coordinator import beforehand, output, plan
from coordinator.beforehand import Beforehand, StandIn
from coordinator.report import html
from coordinator.results import Results
from coordinator.verify import verify
from protocols import study as studies
from protocols.study import Study
from simulations import standins, world
from tests.system.conftest import SMALL, Ask
from tests.system.test_study_plan import NOW
from tests.system.test_world import flexible

QUESTIONS: Final = """questions:
  - {id: base, kind: quantiles, of: contribution_base, by: product, at: [0, 0.25, 0.5, 0.75, 1], release: both}
  - {id: base_mean, kind: mean, of: contribution_base, by: product, release: both}
  - {id: bands, kind: histogram, of: contribution_base, by: product, bins: [0, 180, 181, 3500]}
  - {id: periods, kind: quantiles, of: consecutive_periods, at: 0.5}
  - {id: retention, kind: survival, duration: months_paying, event: interrupted, by: product}
  - {id: interrupted, kind: frequency, of: interrupted, by: product}
  - {id: drivers, kind: association, outcome: product, with: [sex, generation, education, marital]}
  - {id: jobs, kind: top, of: occupation, k: 5}
"""
ORDER: Final = SMALL[: SMALL.index("questions:")].replace("epsilon: 1.0", "epsilon: 3.0") + QUESTIONS
Entry = dict[str, Any]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "order.yaml"
    path.write_text(ORDER, encoding="utf-8")
    return studies.load(path)


def found(results: Any, question: str, measure: str, scope: str = "pooled") -> dict[tuple[str, ...], Entry]:
    entry = results["questions"][question]
    rows = [row for row in entry["rows"] if row["measure"] == measure and row["scope"] == scope]
    return {tuple(row[key] for key in entry["keys"]): row for row in rows}


def test_numbers_of_holders_are_one_number_in_all_questions_and_the_bundle_is_verified(
    ask: Ask, study: Study, tmp_path: Path
) -> None:
    outcome = ask(study)
    results = json.loads(outcome.results)
    for scope in ("pooled", *results["cities"]["answered"]):
        counted, mean = found(results, "base", "count", scope), found(results, "base_mean", "count", scope)
        assert counted
        assert {key: row["estimate"] for key, row in counted.items()} == {
            key: row["estimate"] for key, row in mean.items()
        }
        for (product, at), row in found(results, "base", "quantile", scope).items():
            if "_missing" not in (product, at):
                assert row.get("base") == (None if at in "01" else counted[product, "known"]["estimate"])
                assert (row["estimate"] is None, row["conf_status"]) == (at in "01", "C" if at in "01" else "")
    bins = found(results, "bands", "count")
    for product in ("lump_sum", "monthly", "free"):
        in_bins = sum(
            Decimal(repr(row["estimate"])) for (band, of), row in bins.items() if of == product and band != "_missing"
        )
        assert in_bins == Decimal(repr(found(results, "base", "count")[product, "known"]["estimate"]))
    assert found(results, "drivers", "rank")["generation",]["estimate"] == 1.0
    output.write(tmp_path / "out", outcome.results, outcome.events, outcome.sealer)
    steps = verify(tmp_path / "out", None, output.made)
    assert {step.name: [str(fault) for fault in step.faults] for step in steps if not step.holds} == {}
    for language, words in (("zh", "生存曲线"), ("en", "Kaplan-Meier")):
        page = html.render(Results.parse(outcome.results), language)  # type: ignore[arg-type] # one of the two
        assert words in page
        assert page.count("<svg") >= 4
        assert len(page.encode()) < 400 * 1024


def test_exact_answers_are_those_of_the_rows(ask: Ask, study: Study, made: Path) -> None:
    results = json.loads(ask(study.in_exact_mode()).results)
    rows = flexible(made)
    for (product, at), row in found(results, "base", "quantile").items():
        if product != "_missing" and at in ("0.25", "0.5", "0.75"):
            values = rows.loc[rows["product"] == product, "contribution_base"].dropna().astype(float)
            fen = np.rint(values * (100 if values.max() < 80_001 else 1)).astype(int)
            tree = study.domain.tree("contribution_base")
            leaf = np.searchsorted(tree.edges, fen, side="right") - 1
            place = int(pd.Series(leaf).quantile(float(at), interpolation="lower"))
            assert row["base"] == len(values)
            assert tree.edges[place] <= round(100 * row["estimate"], 6) < tree.edges[place + 1]
    periods = rows["consecutive_periods"].dropna().astype(int)
    assert found(results, "periods", "quantile")["0.5",]["estimate"] == periods.quantile(0.5, interpolation="lower")
    jobs = rows["occupation"].dropna().value_counts()
    counted = {key: row["estimate"] for (key,), row in found(results, "jobs", "count").items() if key != "_missing"}
    assert list(counted.values()) == sorted(counted.values(), reverse=True)
    assert sorted(counted.values(), reverse=True) == jobs.head(5).tolist()
    held = rows.dropna(subset=["months_paying", "interrupted"])
    for (product, at), row in found(results, "retention", "at_risk").items():
        if "_missing" not in (product, at):
            mine = held[held["product"] == product]
            assert row["estimate"] == (mine["months_paying"].astype(int).clip(upper=240) >= int(at)).sum()


def test_a_plan_foresees_every_row(study: Study, made: Path, ingested: Path) -> None:
    parties = world.parties(made, study)
    sums = tuple(
        StandIn(city=each.city.city, sums=standins.given(study, ingested / each.city.city, each.city.city))
        for each in parties
    )
    planned = plan.planned(
        study,
        standins.known(study, made, NOW),
        "folder",
        lambda names: beforehand.stand_ins(names, study, Beforehand(twin=sums)),
    )
    for question in study.file.questions:
        cells = planned.cells[question.id]
        assert cells, question.id
        assert any(cell.expected is not None and cell.half_width is not None for cell in cells), question.id
    medians = {
        cell.keys["product"]: cell.expected
        for cell in planned.cells["base"]
        if cell.keys.get("at") == "0.5" and cell.scope == "pooled"
    }
    assert medians["lump_sum"] is not None
