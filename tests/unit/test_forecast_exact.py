"""The forecast of an exact study without stand-ins: every row is there, and nothing is foreseen of its holders."""

from pathlib import Path

import pytest

from coordinator.forecast import Forecast
from protocols.plan import between
from protocols.study import load
from tests import gates


@pytest.mark.parametrize("release", ["pooled", "by_city"])
def test_tables_that_share_margins_are_foreseen_without_stand_ins(tmp_path: Path, release: str) -> None:
    gates.write(tmp_path, cities=(), study=gates.STUDY.replace("questions:", f"release: {release}\nquestions:"))
    study = load(tmp_path / "study.yaml").in_exact_mode()
    names = dict(enumerate(gates.CITIES, 1))
    forecast = Forecast(
        between(study, tuple(names), 1_000), names, dict.fromkeys(names, 10), None, frozenset(), (10, 100)
    )
    cells = forecast._certain(study.file.questions[1])
    assert {cell.scope for cell in cells} == ({"pooled"} if release == "pooled" else set(gates.CITIES))
    assert all(cell.of_sampling is None for cell in cells)
