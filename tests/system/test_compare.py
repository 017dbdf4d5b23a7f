"""Cities held against each other through the real gates: both modes, six cities, held against the rows, the bundle verified."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import pytest

from coordinator.forecast import Cell
from coordinator.plan import Planned
from protocols import study as studies
from protocols.study import Study
from simulations.cities import ALL
from tests.system.conftest import SMALL, Ask
from tests.system.test_releases import holds
from tests.system.test_study_plan import planned_over
from tests.system.test_world import flexible

HEAD: Final = SMALL[: SMALL.index("  - {id: accounts")].replace("epsilon: 1.0", "epsilon: 4.0")
ASKED: Final = (
    HEAD
    + """  - {id: accounts, kind: count}
  - {id: withdrew, kind: frequency, of: withdrew_24m, release: both}
  - {id: old, kind: mean, of: age, release: by_city}
  - {id: cities, kind: compare, indicators: [withdrew, old], standardise: sex, release: both}
"""
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Study]:
    def load(text: str) -> Study:
        path = tmp_path / "asked.yaml"
        path.write_text(text, encoding="utf-8")
        return studies.load(path)

    return load


def test_both_modes_hold_cities_against_each_other_and_their_bundles_hold(
    ask: Ask, written: Callable[[str], Study], made: Path, ingested: Path, tmp_path: Path
) -> None:
    study = written(ASKED)
    found: dict[str, Any] = {}
    for name, asked in (("dp", study), ("exact", study.in_exact_mode())):
        outcome = ask(asked)
        assert holds(outcome, tmp_path / f"out-{name}") == {}
        found[name] = json.loads(outcome.results)["questions"]["cities"]
        page = (tmp_path / f"out-{name}" / "report.en.html").read_text(encoding="utf-8")
        assert page.count('class="forestplate drawn"') + page.count('class="forestplate wide drawn"') == 2
        assert "heterogeneity between cities Q = " in page
    given = flexible(made).dropna(subset=["sex", "withdrew_24m"])
    given = given.assign(withdrew=given["withdrew_24m"].astype(float))
    weights = given["sex"].value_counts(normalize=True)
    exact = {(row["scope"], row["measure"], row["indicator"]): row for row in found["exact"]["rows"]}
    for city, rows in given.groupby("city"):
        assert exact[str(city), "value", "withdrew"]["estimate"] == pytest.approx(rows["withdrew"].mean(), rel=1e-9)
        by_hand = (rows.groupby("sex")["withdrew"].mean() * weights).sum() / weights[rows["sex"].unique()].sum()
        assert exact[str(city), "standardised", "withdrew"]["estimate"] == pytest.approx(by_hand, rel=1e-9)
    assert list(dict.fromkeys(row["scope"] for row in found["dp"]["rows"])) == ["pooled", *sorted(ALL)]
    for row in found["dp"]["rows"]:
        truth = exact[row["scope"], row["measure"], row["indicator"]]
        if row["estimate"] is not None and truth["estimate"] is not None:
            assert abs(row["estimate"] - truth["estimate"]) < 5 * row["se_noise"], row
            assert row["obs_status"] != "x"
    for each in found.values():
        names = [(test["name"], test["indicator"]) for test in each["tests"] if "scope" not in test]
        assert names == [
            (name, of) for of in ("withdrew", "old") for name in ("heterogeneity", "i_squared", "tau_squared")
        ]
        assert sum(test["name"] == "funnel" for test in each["tests"]) == 2 * len(ALL)
    foreseen(planned_over(study, made, ingested), found["dp"]["rows"])


def foreseen(planned: Planned, rows: list[dict[str, Any]]) -> None:
    """What was said beforehand is what came; and without the question that it is about there is no comparison."""
    cells = {(cell.scope, cell.measure, cell.keys["indicator"]): cell for cell in planned.cells["cities"]}
    assert len(cells) == len(rows)
    halves = []
    for row in rows:
        cell = cells[row["scope"], row["measure"], row["indicator"]]
        assert cell.doubtful is not None
        if row["ci_low"] is not None and cell.half_width is not None:
            halves.append((row["ci_high"] - row["ci_low"]) / 2 / cell.half_width)
    assert median(halves) == pytest.approx(1.0, rel=0.05)
    accounts, *others = planned.study.file.questions
    alone: list[float] = []

    def noise(cells: Sequence[Cell]) -> float:
        return cells[0].of_noise or 0.0

    def seen(cells: Sequence[Cell]) -> bool:
        alone.append(noise(cells))
        return True

    planned.drops_for(accounts, seen)
    gone = planned.drops_for(accounts, lambda cells: noise(cells) <= alone[0] * (1 + 1e-9))
    assert gone is not None
    assert not any(set(each.named()) & set(gone) for each in others if each.id not in gone)
