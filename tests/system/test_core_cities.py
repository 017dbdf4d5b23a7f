"""The six cities as annual reports count them: sums over holders are the facts, ratios of facts the printed ones, all of it labelled."""

import json
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from coordinator.report import html
from coordinator.report.wording import LANGUAGES
from coordinator.results import Results
from node import ingest, mapping
from protocols import study as studies
from protocols.entropy import seeded
from protocols.errors import ConfigError
from simulations import cities, world
from simulations.cities import annual
from simulations.cities.streams import Streams
from simulations.cli import app
from tests.six import Six, results, rows_of, unsound

ROWS: Final = 800
SOME: Final = (
    "changzhou",
    "chongqing",
    "suzhou",
)  # enough for a sum; the figures of the others are looked at where they are made
STUDY: Final = """study: core-figures
title: {zh: 年报口径, en: As annual reports count}
purpose: {zh: 测试, en: a test}
asker: regulator
dictionary: hpf-core@1
as_of: 2025-12-31
privacy: {mode: exact}
questions:
  - {id: withdrawal_rate, kind: ratio, numerator: {fact: withdrawn_year}, denominator: {fact: deposited_year}, release: by_city}
  - {id: loan_to_deposit, kind: ratio, numerator: {fact: loan_balance}, denominator: {fact: deposit_balance}, release: by_city}
  - {id: overdue_rate, kind: ratio, numerator: {fact: overdue_balance}, denominator: {fact: loan_balance}, release: by_city}
  - {id: liquidity, kind: ratio, numerator: {fact: deposits_in_bank}, denominator: {fact: withdrawn_year}}
  - {id: flexible_rate, kind: ratio, numerator: withdrawn_year, denominator: deposited_year, cohort: {variable: account_type, is: flexible}}
  - {id: lent, kind: mean, of: loan_issued_year, release: by_city}
  - {id: held, kind: mean, of: deposit_balance, release: by_city}
  - {id: late, kind: mean, of: overdue_balance, release: by_city}
  - {id: units, kind: frequency, of: unit_type, release: by_city}
  - {id: compared, kind: compare, indicators: [units], release: by_city}
  - {id: area, kind: frequency, of: area_band, by: home_order}
  - {id: loans, kind: series, of: loans, every: month}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Six:
    """Folders and ingested homes; the rows are the files' own."""
    place = tmp_path_factory.mktemp("core")
    assert cities.write_core(place / "cities", SOME, ROWS) == annual.SNAPSHOT
    for city in SOME:
        ingest.ingest(place / "cities" / city, place / "homes" / city, seeded("tests", city))
    (place / "cities" / "study.yaml").write_text(STUDY, encoding="utf-8")
    return Six(place / "cities", place / "homes", pd.DataFrame())


@pytest.fixture(scope="module")
def outcome(made: Six, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    return made.ask(studies.load(made.folder / "study.yaml"), tmp_path_factory.mktemp("asked"))


def test_ratios_of_facts_are_the_printed_ones_to_the_printed_digit(outcome: world.Outcome) -> None:
    sides = {
        "withdrawal_rate": ("withdrawn_year", "deposited_year"),
        "loan_to_deposit": ("loan_balance", "deposit_balance"),
        "overdue_rate": ("overdue_balance", "loan_balance"),
    }
    units = {"%": 100, "‰": 1000}
    for city, centre in annual.centres().items():
        for name, printed in centre.entry["ratios"].items():
            top, bottom = (centre.facts[each] for each in sides[name])
            assert f"{top / bottom * units[printed[-1]]:.2f}{printed[-1]}" == printed
            if city in SOME:
                (row,) = rows_of(outcome, name, "ratio", city)
                assert row["estimate"] == pytest.approx(top / bottom, rel=1e-12)
    (liquid,) = rows_of(outcome, "liquidity", "ratio")
    bank, drawn = (
        sum(annual.centres()[city].facts[name] for city in SOME) for name in ("deposits_in_bank", "withdrawn_year")
    )
    assert liquid["estimate"] == pytest.approx(bank / drawn, rel=1e-12)
    stated = results(outcome)["questions"]["liquidity"]["facts"]
    assert stated["summed"] == {"deposits_in_bank": 31.17}
    assert "changzhou" not in stated["deposits_in_bank"]
    assert stated["withdrawn_year"]["changzhou"] == 151.03


@pytest.mark.parametrize("rows", [ROWS, 20_000])
def test_sums_over_holders_times_the_sampling_factor_are_the_facts(rows: int) -> None:
    for city, centre in annual.centres().items():
        people, loans = annual.holders(centre, rows, Streams(20220531, city))
        sums = {name: int(people[name].sum()) for name in people if name in centre.facts}
        sums["loan_issued_year"] = int(loans["amount"][loans["month"] >= annual.YEAR].sum())
        assert sums.keys() == {*annual.MONEY, "loan_issued_year"} & centre.facts.keys()
        for name, found in sums.items():
            within = 0.2 if name == "overdue_balance" else 0.01
            assert found * centre.holders / rows == pytest.approx(centre.facts[name], rel=within), (city, name)
        assert (people["overdue_balance"] <= people["loan_balance"]).all()
        assert (people["withdrawn_housing_year"] <= people["withdrawn_year"]).all()
        assert (loans["left"] <= loans["amount"]).all()
        units = np.bincount(people["unit_type"], minlength=8) / rows
        assert (units[-1] > 0.2) == (city == "suzhou")


def test_sums_by_the_node_are_those_that_were_planted(made: Six, outcome: world.Outcome) -> None:
    truth = json.loads((made.folder / "truth" / "core.json").read_text(encoding="utf-8"))["cities"]
    asked = {"held": "deposit_balance", "late": "overdue_balance", "lent": "loan_issued_year"}
    for city in SOME:
        for question, name in asked.items():
            total = sum(row["estimate"] or 0 for row in rows_of(outcome, question, "total", city))
            assert round(total * 100) == truth[city]["sums_fen"][name]


def test_the_page_says_whose_word_facts_are_what_is_not_compared_and_who_is_covered(outcome: world.Outcome) -> None:
    results_ = Results.parse(outcome.results)
    pages = {language: html.render(results_, language) for language in LANGUAGES}
    for said in (
        "资金存款（亿元，期末余额）",
        "它们是中心的陈述",
        "“资金存款”有城市不单独公布（常州），只有它们的合计参与计算",
        "分子是期末余额，分母是全年发生额",
        "可比性提示：苏州的“单位性质：其他”超过 20%",
        "各市数据所含范围不同，对比各行均标 [b]",
        "苏州（园区不含",
    ):
        assert said in pages["zh"], said
    for said in (
        "Money in bank (100 million CNY, balance)",
        "They are statements of a centre, signed in its approval and not checked by this study",
        "The numerator is a balance, the denominator a flow",
        "more than 20% of Suzhou",
        "Mean (CNY, balance)",
        "these centres",
        "From figures of the centres themselves: no holder&#39;s data are in it",
    ):
        assert said in pages["en"], said
    marks = {row["obs_status"] for row in rows_of(outcome, "compared", "value", "suzhou")}
    assert {mark[:1] for mark in marks} == {"b"}
    cells = {
        test["cell"] for test in results(outcome)["questions"]["compared"]["tests"] if test["name"] == "heterogeneity"
    }
    assert "private" in cells
    assert "other" not in cells


def test_a_study_over_facts_and_loans_is_answered_whole_and_its_bundle_holds(
    outcome: world.Outcome, tmp_path: Path
) -> None:
    found = results(outcome)
    assert found["cities"]["cannot"] == {}
    assert found["privacy"]["synthetic"]
    months = {
        row["month"]: row["estimate"] for row in rows_of(outcome, "loans", "count") if row["month"].startswith("2025")
    }
    assert len(months) == 12
    assert all(value > 0 for value in months.values())
    (rate,) = rows_of(outcome, "flexible_rate", "ratio")
    assert 0 < rate["estimate"] < 10
    assert unsound(outcome, tmp_path / "out") == {}


def test_every_file_says_that_it_is_synthetic_and_the_same_seed_gives_the_same_bytes(made: Six, tmp_path: Path) -> None:
    cities.write_core(tmp_path / "again", ["changzhou"], rows=ROWS)
    again = {path.name: path.read_bytes() for path in (tmp_path / "again" / "changzhou").rglob("*") if path.is_file()}
    assert again == {path.name: path.read_bytes() for path in (made.folder / "changzhou").rglob("*") if path.is_file()}
    for path in made.folder.glob("*/data/*"):
        assert "synthetic" in path.name
        assert set(duckdb.read_parquet(str(path)).project("数据来源").distinct().fetchall()) == {("合成数据",)}
    for city in SOME:
        means = mapping.load(made.folder / city)
        assert (means.cannot, means.city.synthetic) == ((), True)
        assert "虚构" in (made.folder / city / "city.yaml").read_text(encoding="utf-8")
    truth = json.loads((made.folder / "truth" / "core.json").read_text(encoding="utf-8"))
    assert (truth["kind"], truth["cities"]["suzhou"]["rows"]) == ("invented", ROWS)


@pytest.mark.parametrize(
    "option", [["--events"], ["--broken", "gzip"], ["--heterogeneity", "0"], ["--dictionary", "hpf-core@1"]]
)
def test_what_says_nothing_beside_core_is_refused(option: list[str], tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["cities", str(tmp_path / "out"), "--core", *option])
    assert (said.exit_code, option[0] in said.output, (tmp_path / "out").exists()) == (2, True, False)


def test_bad_sizes_and_strangers_are_refused_as_for_the_other_cities(tmp_path: Path) -> None:
    for wrong, code in (
        ({"rows": 10}, "SIMULATE_ROWS"),
        ({"cities": ["berlin"]}, "SIMULATE_CITY"),
        ({"seed": -1}, "SIMULATE_SEED"),
    ):
        with pytest.raises(ConfigError) as caught:
            cities.write_core(tmp_path / "out", **wrong)
        assert caught.value.code == code
