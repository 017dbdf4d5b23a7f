"""Questions by month over the synthetic cities and their events: from the files through the real gates to a bundle that verifies."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator import output
from coordinator.results import Results
from coordinator.verify import verify
from node import ingest, snapshot
from protocols import dictionary as dictionaries
from protocols import study as studies
from protocols.dictionary import Dictionary, column
from protocols.entropy import seeded
from protocols.study import Study
from protocols.yamltext import read
from simulations import cities, world

ROWS: Final = 500
CITIES: Final = ("chongqing", "guangzhou", "shenzhen")
MONTHS: Final = 10
STUDY: Final = """study: months-of-contribution
title: {zh: 逐月缴存, en: Contributions month by month}
purpose: {zh: 测试, en: a test}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
window: {from: 2021-08, to: 2022-05}
privacy: {mode: dp, epsilon: 4.0, tolerate: {dropouts: 0, colluders: 1}}
questions:
  - {id: paid, kind: series, of: contributions.amount}
  - {id: accounts, kind: series, of: contributions, by: product}
  - {id: opened, kind: series, of: opened}
  - {id: moves, kind: transitions, of: contributions.state}
  - {id: kept, kind: vintage, opened: opened, active: contributions}
  - {id: product, kind: frequency, of: product}
"""
# What the cities' own columns say, made of their events instead.
WINDOWS: Final = """derived:
  of_12m: {of_events: contributions, rule: sum, variable: amount, months: 12, range: [0, 1000000]}
  of_6m: {of_events: contributions, rule: sum, variable: amount, months: 6, range: [0, 500000]}
  paying: {of_events: contributions, rule: count, variable: amount}
  running: {of_events: contributions, rule: streak, variable: amount}
  drawn: {of_events: withdrawals, rule: sum, variable: amount, months: 24, range: [0, 2000000]}
  times: {of_events: withdrawals, rule: count, variable: amount, months: 12}
  began: {of_events: contributions, rule: first}
"""
SAME: Final = {
    "of_12m": "paid_12m",
    "of_6m": "paid_6m",
    "paying": "months_paying",
    "running": "consecutive_periods",
    "drawn": "withdrawn_24m",
    "times": "withdrawals_12m",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cities with events, ingested."""
    place = tmp_path_factory.mktemp("months")
    cities.write(place / "cities", CITIES, ROWS, events=True)
    for city in CITIES:
        folder = place / "cities" / city
        ingest.ingest(folder, world.home(folder, place / "homes"), seeded("tests", city))
    (place / "study.yaml").write_text(STUDY, encoding="utf-8")
    return place


def asked(made: Path, mode: str) -> Study:
    study = studies.load(made / "study.yaml")
    return study.in_exact_mode() if mode == "exact" else study


Ran = tuple[dict[str, Any], Path]


@pytest.fixture(scope="module", params=["exact", "dp"])
def ran(made: Path, request: pytest.FixtureRequest) -> Ran:
    """The study through the gates of the cities, written with everything that an output has."""
    seed = {"exact": 3, "dp": 4}[request.param]
    outcome = world.run(asked(made, request.param), made / "cities", made / "homes", seed=seed)
    out = made / f"out-{request.param}"
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    return json.loads(outcome.results), out


def held(made: Path, city: str) -> snapshot.Snapshot:
    study = asked(made, "dp")
    return snapshot.open_for(world.home(made / "cities" / city, made / "homes"), study.file.as_of)


def rows(results: dict[str, Any], question: str, measure: str) -> list[dict[str, Any]]:
    return [row for row in results["questions"][question]["rows"] if row["measure"] == measure]


def test_what_events_make_is_what_the_columns_of_the_accounts_say(made: Path) -> None:
    """In every row of a city that writes exact amounts, to the fen."""
    text = dictionaries.written("hpf-flexible-employment@1")[0].decode()
    head, tail = text.split("derived:\n", 1)
    meant = dictionaries.parse(read((head + WINDOWS + tail).encode(), "windows.yaml"))
    assert isinstance(meant, Dictionary)
    names = {name for made_ in SAME for name in meant.made_of(made_)} | set(SAME.values()) | {"opened"}
    (table,) = held(made, "chongqing").batches(sorted(names))
    for of_events, given in SAME.items():
        found, expected = (column(table, meant, name, asked(made, "dp").file.as_of) for name in (of_events, given))
        assert found.known.all()
        assert np.array_equal(found.values, expected.values), given


def test_the_same_seed_writes_the_same_bytes_and_events_change_nothing_else(made: Path, tmp_path: Path) -> None:
    cities.write(tmp_path / "again", ("chongqing", "guangzhou"), ROWS, events=True)
    cities.write(tmp_path / "plain", ("chongqing",), ROWS)
    for path in (tmp_path / "again").rglob("*"):
        there = made / "cities" / path.relative_to(tmp_path / "again")
        if path.is_file() and path.suffix in (".csv", ".parquet") and "truth" not in path.parts:
            assert path.read_bytes() == there.read_bytes(), path
    (plain,) = (tmp_path / "plain" / "chongqing" / "data").iterdir()
    assert plain.read_bytes() == (made / "cities" / "chongqing" / "data" / plain.name).read_bytes()


def test_the_bundle_of_a_study_by_month_verifies(ran: Ran) -> None:
    _, out = ran
    steps = verify(out, None, output.made)
    assert [step.name for step in steps if not step.holds] == []


def test_every_account_is_in_its_month_and_totals_are_those_of_the_files(made: Path, ran: Ran) -> None:
    results, _ = ran
    exact = results["privacy"]["mode"] == "exact"
    month = np.concatenate(
        [next(iter(held(made, city).batches(["contributions"]))).events["contributions"].month for city in CITIES]
    )
    expected = np.bincount(month - month.min(), minlength=MONTHS)
    found = np.zeros(MONTHS)
    for row in rows(results, "accounts", "count"):
        found[int(row["month"][:4]) * 12 + int(row["month"][5:]) - 1 - int(month.min())] += row["estimate"]
    spread = max(row["se_noise"] for row in rows(results, "accounts", "count"))
    assert np.abs(found - expected).max() <= (0 if exact else 6 * 2 * spread)
    if exact:
        paid = 0
        for city in CITIES:
            (table,) = held(made, city).batches(["contributions.amount"])
            paid += int(table.events["contributions"].columns["amount"].values.sum())
        assert sum(row["estimate"] for row in rows(results, "paid", "total")) == pytest.approx(paid / 100, abs=0.001)
        assert sum(row["estimate"] for row in rows(results, "opened", "count")) == ROWS * len(CITIES)


def test_blocks_of_events_are_paid_for_with_all_rows_of_a_holder(ran: Ran) -> None:
    results, _ = ran
    if results["privacy"]["mode"] == "exact":
        return
    blocks = {each["block"]: each for each in results["privacy"]["blocks"]}
    of = {name: (block["l1"], block["l2sq"]) for name, block in blocks.items()}
    h = 4_000_000
    window = "2021-08..2022-05"
    assert of[f"1 over contributions {window} by (month of contributions, product)"] == (MONTHS, MONTHS)
    unit = blocks[f"x-c[contributions.amount 0..8000000] over contributions {window} by (month of contributions)"]
    step = round(h / 2 ** unit["shift"])
    assert (unit["l1"], unit["l2sq"]) == (MONTHS * step, MONTHS * step**2)
    states = "from contributions.state, to contributions.state"
    assert of[f"1 over pairs of contributions {window} by ({states})"] == (MONTHS - 1, (MONTHS - 1) ** 2)
    assert of["1 by (opened)"] == (1, 1)


def test_shared_numbers_agree_to_the_last_digit(ran: Ran) -> None:
    """A date of the main table is of the holders' family: its months add up to all holders, as the products do."""
    results, _ = ran
    totals = [
        sum(round(row["estimate"] * 10**6) for row in rows(results, question, "count"))
        for question in ("opened", "product")
    ]
    assert totals[0] == totals[1]


def test_the_report_shows_series_transitions_and_vintages_in_both_languages(ran: Ran) -> None:
    _, out = ran
    for language in ("zh", "en"):
        page = (out / f"report.{language}.html").read_text(encoding="utf-8")
        assert page.count("<svg") >= 2
        assert len(page) < 400_000
    assert Results.load(out).questions["moves"].keys == ("from", "to")
