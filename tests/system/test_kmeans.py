"""Clusters through the real gates: both modes, six cities, held against scipy on the pooled rows; charges, reports and bundles."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from node import ledger
from protocols import privacy
from protocols import study as studies
from protocols.study import Study
from tests.ledgers import policy
from tests.system.conftest import SMALL, Ask
from tests.system.test_releases import holds
from tests.system.test_world import flexible
from tests.unit.test_policy import TABLES, says

OF: Final = {"age": (16, 80), "consecutive_periods": (0, 12)}
ASKED: Final = (
    SMALL[: SMALL.index("  - {id: accounts")]
    + """  - {id: accounts, kind: count}
  - {id: clusters, kind: kmeans, of: [age, consecutive_periods], clip: {consecutive_periods: [0, 12]}, k: 3, rounds: 3}
"""
)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[str], Study]:
    def load(text: str) -> Study:
        path = tmp_path / "asked.yaml"
        path.write_text(text, encoding="utf-8")
        return studies.load(path)

    return load


def centres(entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Clusters by variables, scaled to [-1, 1] by their public ranges, and in that order of clusters their sizes."""
    found = {
        (row["cluster"], row.get("variable", row["measure"])): row["estimate"] for row in entry["rows"]
    }  # of each cluster: count, then share, then coordinates
    scaled = [
        [(found[code, name] - (low + high) // 2) / (high - (low + high) // 2) for name, (low, high) in OF.items()]
        for code in ("1", "2", "3")
    ]
    return np.array(scaled)


def counts(entry: dict[str, Any]) -> list[Any]:
    return [row["estimate"] for row in entry["rows"] if row["measure"] == "count"]


def points(made: Path) -> np.ndarray[Any, Any]:
    """The holders of the study who have both, scaled."""
    given = flexible(made)
    rows = given.assign(age=2022 - given["birth_year"])[list(OF)].dropna().to_numpy(dtype=float)
    middle = np.array([(low + high) // 2 for low, high in OF.values()])
    half = np.array([high - (low + high) // 2 for low, high in OF.values()])
    ends = np.array(list(OF.values()))
    return np.asarray((np.clip(rows, ends[:, 0], ends[:, 1]) - middle) / half)


def test_without_noise_the_clusters_are_those_that_lloyds_method_leaves_where_they_are(
    ask: Ask, asked: Callable[[str], Study], made: Path, tmp_path: Path
) -> None:
    outcome = ask(asked(ASKED.replace("rounds: 3", "rounds: 12")).in_exact_mode())
    entry = json.loads(outcome.results)["questions"]["clusters"]
    assert entry["fit"]["moved"] == 0
    found = centres(entry)
    again, place = kmeans2(points(made), found, iter=1, minit="matrix", missing="raise")
    assert np.abs(again - found).max() < 1e-9
    assert counts(entry) == np.bincount(place).tolist()
    assert entry["fit"]["n"] == len(points(made)) == sum(counts(entry))
    assert holds(outcome, tmp_path / "out") == {}


def test_with_noise_it_is_charged_once_before_the_first_round_and_near_the_truth_though_a_city_misses_a_round(
    ask: Ask, asked: Callable[[str], Study], made: Path, tmp_path: Path
) -> None:
    outcome = ask(asked(ASKED), drops=("suzhou@masked:2",))
    results = json.loads(outcome.results)
    entry, said = results["questions"]["clusters"], results["privacy"]
    assert entry["fit"]["rounds"] == 4
    held = points(made)
    pooled, _ = kmeans2(held, centres(entry), iter=20, minit="matrix", missing="raise")

    def inertia(at: Any) -> float:
        return float((((held[:, None] - at[None]) ** 2).sum(axis=2)).min(axis=1).sum())

    assert inertia(centres(entry)) < 1.05 * inertia(pooled)
    assert abs(sum(counts(entry)) - len(held)) < 5 * np.sqrt(3) * entry["rows"][0]["se_noise"]
    assert all(row["se_noise"] > 0 for row in entry["rows"])

    view = ledger.look(tmp_path / ".hpfed" / "chengdu" / ledger.FILE, now=0)
    one, session = view.reservations
    assert (one.claim.part, session.claim.part) == (ledger.SUM, ledger.SESSION)
    assert [(each.block, each.rounds) for each in session.claim.charges] == [
        ("clusters: pairs", 1),
        ("clusters: holders", 3),
        ("clusters: sums", 3),
    ]
    assert sorted(session.rounds) == [0, 1, 2, 3]
    both = privacy.compose([one.claim.cost.curve, session.claim.cost.curve])
    assert Decimal("0.99") < privacy.epsilon_of(both, Decimal("1e-6")) <= 1
    assert float(said["spent"][0]["epsilon"]) == pytest.approx(float(privacy.epsilon_of(both, Decimal("1e-6"))))
    of_rounds = {each["block"]: each for each in said["session_blocks"]}
    assert sum(each["share"] for each in said["session_blocks"]) + said["blocks"][0]["share"] == pytest.approx(1)
    assert of_rounds["clusters: sums"]["l2sq"] > of_rounds["clusters: holders"]["l2sq"] == 1

    assert holds(outcome, tmp_path / "out") == {}
    page = (tmp_path / "out" / "report.zh.html").read_text(encoding="utf-8")
    assert 'class="kmeansplate drawn"' in page
    assert "clusters: sums" in page
    model = json.loads((tmp_path / "out" / "models" / "clusters.json").read_text(encoding="utf-8"))
    assert model["of"] == list(OF)


def test_where_small_cells_are_withheld_it_is_answered_with_noise_alone(
    asked: Callable[[str], Study], tmp_path: Path
) -> None:
    study = asked(ASKED)
    withholding = policy(tmp_path / "some", "kinds: {exact: all}\n")
    assert says(study, withholding).decide != "refuse"
    no = says(study.in_exact_mode(), withholding)
    assert [(each.code, each.values["kind"]) for each in no.reasons] == [("POLICY_KIND", "kmeans")]
    assert "sums of its rounds" in str(no.reasons[0])
    assert says(study.in_exact_mode(), policy(tmp_path / "all", TABLES, loose=True)).decide != "refuse"
