"""T26: exact tables of cities whose policies have a least cell: what is withheld, everywhere the same, and what is said of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import output
from coordinator.verify import verify
from protocols import study as studies
from simulations import world
from tests.system.conftest import SMALL

EXACT: Final = SMALL.replace("{mode: dp, epsilon: 1.0,", "{mode: exact,").replace("dropouts: 1", "dropouts: 0")
LEAST: Final = 60
Run = Callable[[int, int], world.Outcome]


@pytest.fixture(scope="module")
def run(made: Path, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The small study, exact, of six cities of which one has a stricter policy than the others."""

    def asked(least: int, fewest: int) -> world.Outcome:
        folder = tmp_path_factory.mktemp("suppressed")
        cities, homes = folder / "cities", folder / "homes"
        shutil.copytree(made, cities)
        shutil.copytree(ingested, homes)
        policy = cities / "suzhou" / "policy.yaml"
        text = policy.read_text(encoding="utf-8")
        text = text.replace("min_cell: 1", f"min_cell: {least}").replace("min_pooled: 1", f"min_pooled: {fewest}")
        policy.write_text(text, encoding="utf-8")
        (folder / "study.yaml").write_text(EXACT, encoding="utf-8")
        return world.run(studies.load(folder / "study.yaml"), cities, homes, seed=7)

    return asked


def rows(outcome: world.Outcome) -> list[dict[str, Any]]:
    return [row for each in json.loads(outcome.results)["questions"].values() for row in each["rows"]]


def test_the_strictest_city_decides_which_cells_of_the_pooled_tables_are_withheld(run: Run, tmp_path: Path) -> None:
    outcome, whole = run(LEAST, 1), run(1, 1)
    found, known = rows(outcome), rows(whole)
    withheld = [row for row in found if row["conf_status"] == "C"]
    small = [row for row in known if row["measure"] == "count" and 0 < row["estimate"] < LEAST]
    assert small
    assert not any(row["conf_status"] for row in known)
    assert len(small) < len(withheld) < len(found)
    for row, exact in zip(found, known, strict=True):
        if row["conf_status"]:
            assert not any(row.get(column) for column in ("estimate", "display", "ci_low", "ci_high", "base"))
        else:
            assert row == exact
            assert row["measure"] != "count" or row["estimate"] == 0 or row["estimate"] >= LEAST
    out = tmp_path / "out"
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    assert all(step.holds for step in verify(out, None, output.made))
    for language, said in (("zh", "保密不公布"), ("en", "withheld")):
        page = (out / f"report.{language}.html").read_text(encoding="utf-8")
        assert said in page
        assert "[c]" in page
    table = (out / "tables" / "withdrew_sex.csv").read_text(encoding="utf-8-sig")
    assert ",C\n" in table.replace("\r", "")


def test_of_too_few_holders_in_all_nothing_is_printed(run: Run) -> None:
    found = rows(run(1, 100_000))
    assert all(row["estimate"] is None for row in found)
    assert all(row["conf_status"] == "C" for row in found if not row["obs_status"])
    assert any(row["conf_status"] == "C" for row in found)
