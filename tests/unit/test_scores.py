"""A city scores its own rows: a file on its own machine, one line for each row of the snapshot, in its order."""

import csv
import json
import stat
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from node import cli, snapshot
from protocols.dictionary import parse
from protocols.models.binning import Bins
from protocols.models.modelfile import Card, CardBin, CardFeature, Linear, ModelFile, Points, Tree, Trees, Weight, taken
from protocols.yamltext import load as yaml_of
from tests.unit.city_folder import AS_OF, KEYED, UNKEYED, folder, run, variables

MAPPING = variables(
    sex="from: t.性别, codes: {男: male, 女: female}",
    born="from: t.出生年",
    amount="from: t.金额, unit: 元",
)
HEADER = "账号,性别,出生年,金额"
STUDY = "sha256:" + "0" * 64


def people(rows: int) -> str:
    lines = [
        f"{number},{'男女'[number % 2]},{1950 + number % 40},{number % 700 if number % 11 else ''}"
        for number in range(rows)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def city(place: Path, rows: int = 300, head: str = KEYED) -> Path:
    made = folder(place, head + MAPPING, {"data/a.csv": people(rows)})
    run(made)
    return made


def model(place: Path, **changed: Any) -> Path:
    meant = parse(yaml_of(place / "dictionary.yaml"))
    weights = [
        ("intercept", (), -1.0),
        ("age", ("age",), 0.03),
        ("amount", ("amount",), 0.002),
        ("sex", ("sex[female]",), -0.4),
    ]
    fit = Linear(
        family="binomial",
        link="logit",
        terms=("age", "amount", "sex"),
        weights=tuple(
            Weight(term=term, columns=columns, estimate=value, std_error=0.1) for term, columns, value in weights
        ),
        covariance=tuple(tuple(0.0 for _ in weights) for _ in weights),
        error_bound=0.0,
    )
    file = ModelFile(
        id="interruption",
        study=STUDY,
        dictionary=meant.name,
        dictionary_digest=meant.digest,
        variables=taken(meant, ["age", "amount", "sex"]),
        outcome="paid",
        as_of=date(2026, 1, 1),
        expires=date(9999, 1, 1),
        cities=("a", "b", "c"),
        rows=100,
        fit=fit,
    ).model_copy(update=changed)
    path = place / "model.json"
    path.write_bytes(file.content)
    return path


def score(place: Path, file: Path, out: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.app, ["score", str(file), "--out", str(out), "--folder", str(place), *words])


def lines(out: Path) -> list[dict[str, str]]:
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_of_the_snapshot_has_its_line_in_its_order(tmp_path: Path) -> None:
    place, out = city(tmp_path), tmp_path / "scores.csv"
    done = score(place, model(place), out, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    held = snapshot.open_for(place / ".hpfed", AS_OF)
    (table,) = held.batches(["sex", "born", "amount"])
    found = lines(out)
    assert [int(each["row"]) for each in found] == list(range(300))
    assert [each["holder"] for each in found] == [bytes(row).hex() for row in held.holders()]
    age = np.clip(2022 - table.columns["born"].values, 16, 80)
    amount, knows = table.columns["amount"].values / 100, table.columns["amount"].known
    eta = -1.0 + 0.03 * age + 0.002 * amount - 0.4 * (table.columns["sex"].values == 1)
    expected = [1 / (1 + np.exp(-each)) if known else None for each, known in zip(eta, knows, strict=True)]
    for line, wanted in zip(found, expected, strict=True):
        assert (float(line["probability"]) if line["probability"] else None) == (
            pytest.approx(wanted, abs=1e-12) if wanted else None
        )
    assert (said["rows"], said["without"], said["missing"]) == (300, 28, {"amount": 28})
    assert (said["unknown"], said["clipped"]) == ({}, {})
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".scores")) == []


def test_parquet_holds_the_same_and_a_city_without_keys_has_no_holder_column(tmp_path: Path) -> None:
    place = city(tmp_path, 50, UNKEYED)
    file, out, same = model(place), tmp_path / "scores.parquet", tmp_path / "scores.csv"
    assert "50 rows, of which 5 lack a value" in score(place, file, out, "--lang", "en").stdout
    assert "其中 5 行缺值" in score(place, file, same, "--lang", "zh").stdout
    rows = duckdb.read_parquet(str(out)).fetchall()
    assert [[number, value] for number, value in rows] == [
        [int(each["row"]), float(each["probability"]) if each["probability"] else None] for each in lines(same)
    ]


def test_what_cannot_be_scored_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    place, out = city(tmp_path), tmp_path / "scores.csv"
    expired = score(place, model(place, expires=date(2026, 2, 1)), out, "--lang", "en")
    assert expired.exit_code == 2
    assert "valid until 2026-02-01" in expired.stderr
    foreign = score(place, model(place, dictionary="another-one@1"), out, "--lang", "en")
    assert foreign.exit_code == 2
    assert "the words of another-one@1" in foreign.stderr
    absent = score(place, tmp_path / "none.json", out)
    assert absent.exit_code == 2
    (place / "mapping.yaml").write_text(KEYED + MAPPING.split("  amount")[0], encoding="utf-8")
    run(place)
    unmapped = score(place, model(place), out, "--lang", "en")
    assert unmapped.exit_code == 2
    assert "the model needs amount," in unmapped.stderr
    assert not out.exists()


def test_a_model_of_counts_says_what_is_expected_and_a_constant_is_the_same_for_all(tmp_path: Path) -> None:
    place, out = city(tmp_path, 20), tmp_path / "scores.csv"
    fit = Linear(
        family="poisson",
        link="log",
        weights=(Weight(term="intercept", estimate=0.0, std_error=0.1),),
        covariance=((0.01,),),
        error_bound=0.0,
    )
    assert score(place, model(place, fit=fit, variables=()), out).exit_code == 0
    assert {each["expected"] for each in lines(out)} == {"1.0"}
    assert len(lines(out)) == 20


def card() -> Card:
    """Two features; 600 points stand at 50 to 1, 20 more double the odds."""
    sex = CardFeature(
        bins=Bins(name="sex", codes=("male", "female", "unknown")),
        place=(0, 1, 1, 2),
        card=(
            CardBin(label="male", events=40, nonevents=60, woe=-0.5, points=280),
            CardBin(label="female, unknown", events=20, nonevents=80, woe=0.5, points=310),
            CardBin(label="_missing", events=None, nonevents=None, woe=0.0, points=295),
        ),
        iv=0.1,
        neutral=295.0,
    )
    amount = CardFeature(
        bins=Bins(name="amount", edges=(350.0,)),
        place=(0, 1, 2),
        card=(
            CardBin(label="<350", events=30, nonevents=70, woe=-0.2, points=290),
            CardBin(label=">=350", events=30, nonevents=70, woe=0.2, points=305),
            CardBin(label="_missing", events=9, nonevents=0, woe=-2.0, points=240, adjusted=True),
        ),
        iv=0.05,
        neutral=296.0,
    )
    weights = [("intercept", (), -1.0), ("sex", ("sex",), -1.0), ("amount", ("amount",), -0.9)]
    return Card(
        weights=tuple(Weight(term=term, columns=of, estimate=value, std_error=0.1) for term, of, value in weights),
        covariance=tuple(tuple(0.0 for _ in weights) for _ in weights),
        error_bound=0.0,
        points=Points(),
        features=(sex, amount),
    )


def test_a_scorecard_gives_points_and_the_reasons_that_took_most(tmp_path: Path) -> None:
    place, out = city(tmp_path), tmp_path / "scores.csv"
    meant = parse(yaml_of(place / "dictionary.yaml"))
    file = model(place, fit=card(), variables=taken(meant, ["amount", "sex"]))
    assert score(place, file, out, "--lang", "zh").exit_code == 0
    (table,) = snapshot.open_for(place / ".hpfed", AS_OF).batches(["sex", "amount"])
    male, low = table.columns["sex"].values == 0, table.columns["amount"].values < 35_000
    lacks = ~table.columns["amount"].known
    for number, line in enumerate(lines(out)):
        taken_off = [("amount", 240 - 296 if lacks[number] else (290 if low[number] else 305) - 296)]
        taken_off += [("sex", (280 if male[number] else 310) - 295)]
        assert int(line["points"]) == 296 + 295 + sum(gap for _, gap in taken_off)
        reasons = [name for name, gap in sorted(taken_off, key=lambda each: each[1]) if gap < 0]
        assert [line[f"reason_{place}"] for place in (1, 2, 3)] == [*reasons, "", "", ""][:3]
        woe = (-2.0 if lacks[number] else -0.2 if low[number] else 0.2, -0.5 if male[number] else 0.5)
        assert float(line["probability"]) == pytest.approx(1 / (1 + np.exp(1.0 + 0.9 * woe[0] + woe[1])), abs=1e-12)


def test_boosted_trees_give_a_probability_to_every_row_also_of_missing_values(tmp_path: Path) -> None:
    place, out = city(tmp_path), tmp_path / "scores.csv"
    meant = parse(yaml_of(place / "dictionary.yaml"))
    tree = Tree(  # amounts below 350 and the missing, then by sex
        feature=(1, 0, -1, -1, -1),
        bin=(1, 1, 0, 0, 0),
        missing_left=(True, False, False, False, False),
        left=(1, 3, 0, 0, 0),
        right=(2, 4, 0, 0, 0),
        value=(0.0, 0.0, 0.7, -0.4, 0.1),
        gain=(2.0, 1.0, 0.0, 0.0, 0.0),
        hessian=(9.0, 5.0, 4.0, 3.0, 2.0),
    )
    features = (Bins(name="sex", codes=("male", "female", "unknown")), Bins(name="amount", edges=(350.0,)))
    file = model(
        place,
        fit=Trees(features=features, base=-1.0, trees=(tree, tree)),
        variables=taken(meant, ["amount", "sex"]),
    )
    assert score(place, file, out).exit_code == 0
    (table,) = snapshot.open_for(place / ".hpfed", AS_OF).batches(["sex", "amount"])
    low = (table.columns["amount"].values < 35_000) | ~table.columns["amount"].known
    leaf = np.where(low, np.where(table.columns["sex"].values == 0, -0.4, 0.1), 0.7)
    expected = 1 / (1 + np.exp(1.0 - 2 * leaf))
    assert [float(each["probability"]) for each in lines(out)] == pytest.approx(expected.tolist(), abs=1e-12)
