"""A study that is asked every month, and one that is asked again of corrected data, from the command line to the verified report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import cli as node
from node import ledger
from protocols import privacy
from simulations import cli as simulate
from tests import gates
from tests.ledgers import NOW

CITIES: Final = ("east", "north", "south", "west")
MONTHLY: Final = gates.STUDY.replace(
    "as_of: 2022-05-31\n",
    "as_of: 2022-05-31\nwindow: {from: 2021-08, to: 2022-05}\nrepeat: {every: month, times: 3}\n",
).replace("epsilon: 1.0, tolerate: {dropouts: 0", "epsilon: 2.0, tolerate: {dropouts: 1")
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    gates.write(tmp_path / "cities", 60, MONTHLY, CITIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPFED_LANG", "en")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:  # noqa: ARG001 what the commands work on
    def ran(*further: str) -> tuple[int, str]:
        words = ["run", "cities/study.yaml", "--cities", "cities", "--out", "out", "--accept-noisy", *further]
        done = CliRunner().invoke(simulate.app, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stderr

    return ran


def dated(folder: Path, date: str, cities: tuple[str, ...] = CITIES) -> None:
    """The data of another month arrive: one account more in each city, and the mapping says the date."""
    for city in cities:
        path = folder / "cities" / city / "mapping.yaml"
        head, _, tail = path.read_text(encoding="utf-8").partition("snapshot: ")
        path.write_text(f"{head}snapshot: {date}{tail[10:]}", encoding="utf-8")
        data = path.parent / "data" / "rows.csv"
        data.write_text(data.read_text(encoding="utf-8") + f"{city}{date},m,f,40\n", encoding="utf-8")


def results(folder: Path, date: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / date / "results.json").read_bytes())
    return found


def used(folder: Path, city: str) -> tuple[int, ...]:
    view = ledger.look(folder / "cities" / city / ".hpfed" / ledger.FILE, now=NOW)
    return tuple(privacy.cost_at(room.used.curve, room.cap.order) for room in view.rooms)


def verified(out: Path) -> str:
    done = CliRunner().invoke(coordinator.app, ["report", "verify", str(out)])
    assert done.exit_code == 0, done.stdout
    return done.stdout


def test_every_month_its_run_is_asked_at_no_further_cost_and_earlier_answers_stay(folder: Path, run: Run) -> None:
    code, said = run()
    assert code == 0
    assert "not yet: 2022-06-30 (--run 1); 4 cities have no snapshot of that date" in said
    held, first = used(folder, "east"), (folder / "out" / "2022-05-31" / "results.json").read_bytes()
    told = CliRunner().invoke(node.app, ["outbox", "tiny-study", "--folder", "cities/east"]).stdout
    assert "run 0; held until" in told
    assert "for runs 1, 2" in told
    dated(folder, "2022-06-30", CITIES[:3])
    code, said = run()
    assert code == 4, "one city has not delivered"
    dated(folder, "2022-07-31")
    code, _ = run("--run", "2")
    assert code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["2022-05-31", "2022-06-30", "2022-07-31"]
    assert (folder / "out" / "2022-05-31" / "results.json").read_bytes() == first
    found = [results(folder, date) for date in ("2022-05-31", "2022-06-30", "2022-07-31")]
    assert [(each["run"]["number"], each["run"]["of"], each["run"]["as_of"]) for each in found] == [
        (0, 3, "2022-05-31"),
        (1, 3, "2022-06-30"),
        (2, 3, "2022-07-31"),
    ]
    assert [each["study"]["window"]["to"] for each in found] == ["2022-05", "2022-06", "2022-07"]
    assert found[1]["cities"]["missing"] == [{"city": "west", "reason": "declined:SNAPSHOT_DATE", "detail": ""}]
    assert {each["privacy"]["epsilon"] for each in found} == {2}
    assert {each["study"]["digest"] for each in found} == {found[0]["study"]["digest"]}
    for each in found:
        assert {cap["used"] for city in each["privacy"]["spent"] for cap in city["caps"]} == {0}
    assert used(folder, "east") == held
    for date in ("2022-05-31", "2022-06-30", "2022-07-31"):
        verified(folder / "out" / date)
    page = (folder / "out" / "2022-07-31" / "report.en.html").read_text(encoding="utf-8")
    assert "3 of 3, one a month" in page
    assert "of all 3 runs together" in page
    assert run("--run", "1")[0] == 4, "given again"
    assert used(folder, "east") == held
    assert run("--run", "3")[0] == 2
    forged = folder / "out" / "2022-05-31"
    (forged / "results.json").write_bytes(first.replace(b'"number":0,"of":3', b'"number":3,"of":3'))
    done = CliRunner().invoke(coordinator.app, ["report", "verify", str(forged)])
    assert done.exit_code == 5
    assert "run.number" in done.stdout


def test_a_run_that_no_city_has_the_snapshot_of_is_declined(folder: Path, run: Run) -> None:
    dated(folder, "2023-01-31")
    for words in ((), ("--run", "2")):
        code, said = run(*words)
        assert code == 3
        assert "SNAPSHOT_DATE" in said


def test_officers_and_the_plan_are_told_that_one_yes_is_to_three_months(run: Run) -> None:
    assert run("--by-hand")[0] == 3, "above epsilon 1 officers decide"
    done = CliRunner().invoke(node.app, ["preview", "tiny-study", "--folder", "cities/east", "--out", "sheet.html"])
    assert done.exit_code == 0, done.stderr
    told = CliRunner().invoke(node.app, ["preview", "tiny-study", "--folder", "cities/east"]).stdout
    said = "3 monthly runs, 2022-05-31 to 2022-07-31, under one approval: one reservation, whose epsilon 2.0 is that of all"
    assert said in told
    assert said in Path("sheet.html").read_text(encoding="utf-8")
    plan = CliRunner().invoke(coordinator.app, ["study", "plan", "cities/study.yaml", "--cities", "cities"])
    assert "3 monthly runs, 2022-05-31 to 2022-07-31: one approval and one reservation" in plan.stdout
    check = CliRunner().invoke(coordinator.app, ["study", "check", "cities/study.yaml"])
    assert "in each of 3 monthly runs to 2022-07-31" in check.stdout


def test_the_next_revision_is_answered_from_corrected_data_and_charged_anew(folder: Path, run: Run) -> None:
    path = folder / "cities" / "study.yaml"
    path.write_text(gates.STUDY.replace("epsilon: 1.0", "epsilon: 0.5"), encoding="utf-8")
    for city in CITIES:  # so many that no noise is as wide as the correction
        lines = [f"{city}{i},{'mf'[i % 2]},{'mf'[(i // 2) % 2]},{20 + i % 40}" for i in range(600)]
        data = folder / "cities" / city / "data" / "rows.csv"
        data.write_text("\n".join(["id,product,sex,age", *lines]) + "\n", encoding="utf-8")
    assert run()[0] == 0
    once = used(folder, "east")
    first = (folder / "out" / "results.json").read_bytes()
    for city in CITIES:  # corrected rows of the same date
        data = folder / "cities" / city / "data" / "rows.csv"
        data.write_text(data.read_text(encoding="utf-8").replace(",m,m,", ",f,m,"), encoding="utf-8")
    assert run()[0] == 0
    assert (folder / "out" / "results.json").read_bytes() == first, "the same question has the same answer"
    path.write_text(path.read_text(encoding="utf-8").replace("as_of", "revision: 2\nas_of"), encoding="utf-8")
    assert run()[0] == 0
    second = json.loads((folder / "out" / "results.json").read_bytes())
    assert second["study"]["revision"] == 2
    assert used(folder, "east") == tuple(2 * each for each in once)
    verified(folder / "out")
    male = [
        next(
            row["estimate"]
            for row in json.loads(content)["questions"]["product"]["rows"]
            if (row["measure"], row.get("product"), row.get("sex")) == ("count", "monthly", "male")
        )
        for content in (first, (folder / "out" / "results.json").read_bytes())
    ]
    assert male[0] > 300 > male[1], "150 of each city's holders were corrected"


def test_a_seeded_world_asks_the_run_whose_date_its_files_have(folder: Path, run: Run) -> None:
    dated(folder, "2022-06-30")
    assert run("--seed", "3")[0] == 0
    assert results(folder, "2022-06-30")["privacy"]["seeded"] is True
