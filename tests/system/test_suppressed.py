"""T26: exact tables of cities whose policies have a least cell: what is withheld, everywhere the same, and what is said of it."""

import base64
import json
import shutil
from collections.abc import Callable
from functools import cache
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
Run = Callable[..., world.Outcome]


@pytest.fixture(scope="module")
def run(made: Path, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The small study, exact, of six cities of which one has a stricter policy than the others."""

    @cache
    def asked(least: int, fewest: int, release: str = "pooled") -> world.Outcome:
        folder = tmp_path_factory.mktemp("suppressed")
        cities, homes = folder / "cities", folder / "homes"
        shutil.copytree(made, cities)
        shutil.copytree(ingested, homes)
        policy = cities / "suzhou" / "policy.yaml"
        text = policy.read_text(encoding="utf-8")
        text = text.replace("min_cell: 1", f"min_cell: {least}").replace("min_pooled: 1", f"min_pooled: {fewest}")
        policy.write_text(text, encoding="utf-8")
        text = EXACT.replace("questions:", f"release: {release}\nquestions:")
        (folder / "study.yaml").write_text(text, encoding="utf-8")
        return world.run(studies.load(folder / "study.yaml"), cities, homes, seed=7)

    return asked


def untested(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is said of it among all tests of its table."""
    return {key: value for key, value in row.items() if key not in ("q_value", "preference")}


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
            assert untested(row) == untested(exact)
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


def test_q_values_of_printed_rows_are_those_of_printed_tests(run: Run) -> None:
    """One over all tests of a table would tell how small the p-values of withheld rows are."""
    questions = json.loads(run(LEAST, 1).results)["questions"]
    found = [row for row in questions["tgi_generation"]["rows"] if row.get("p_value") is not None]
    assert 0 < len(found) < sum(row["measure"] == "index" for row in questions["tgi_generation"]["rows"])
    ascending = sorted(row["p_value"] for row in found)
    for row in found:
        ranks = [(p, rank) for rank, p in enumerate(ascending, 1) if p >= row["p_value"]]
        assert row["q_value"] == pytest.approx(min(1.0, *(p * len(found) / rank for p, rank in ranks)))


# --- tables that a city withholds cells of before they leave


def test_each_city_withholds_cells_of_its_own_tables_before_they_leave(run: Run, tmp_path: Path) -> None:
    """One city has a least cell of 60, the others of 1: its small counts are nowhere, not even in what it signed."""
    outcome, whole = run(LEAST, 1, "both"), run(1, 1, "both")
    found, known = rows(outcome), rows(whole)
    own = [(row, exact) for row, exact in zip(found, known, strict=True) if row["scope"] == "suzhou"]
    small = [exact for _, exact in own if exact["measure"] == "count" and 0 < exact["estimate"] < LEAST]
    withheld = [row for row, _ in own if row["conf_status"] == "C"]
    assert small
    assert len(small) < len(withheld) < len(own)
    for row, exact in zip(found, known, strict=True):
        assert row["conf_status"] == "C" or untested(row) == untested(exact)
        assert row == exact or row["scope"] in ("suzhou", "pooled")
        if row["scope"] == "suzhou" and row["measure"] == "count":
            assert row["estimate"] is None or row["estimate"] == 0 or row["estimate"] >= LEAST
    pooled = [row for row in found if row["scope"] == "pooled"]
    assert [row["conf_status"] for row in pooled] == [row["conf_status"] for row, _ in own], (
        "a sum is known where all of it is"
    )
    out = tmp_path / "out"
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    assert all(step.holds for step in verify(out, None, output.made)), "also from what each city signed"
    signed = json.loads((out / "bundle" / "attestations" / "suzhou.json").read_bytes())
    said = json.loads(base64.b64decode(signed["payload"]))
    numbers = {each["id"]: each["suppressed"] for each in said["questions"]}
    assert numbers["accounts"] == 0
    assert numbers["tgi_generation"] > 0
