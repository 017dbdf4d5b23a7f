"""A city watches a model month by month: counts of its snapshots stay in its home, and a light says whether the model still fits."""

import json
import stat
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from node import cli, snapshot
from protocols.dictionary import parse
from protocols.entropy import public_stream
from protocols.filters import Leaf
from protocols.models.drift import Light
from protocols.models.modelfile import Reference, load, taken
from protocols.yamltext import load as yaml_of
from tests.unit.city_folder import KEYED, folder, run, variables
from tests.unit.test_scores import card, lines, model, score

MAPPING = variables(
    sex="from: t.性别, codes: {男: male, 女: female}",
    born="from: t.出生年",
    amount="from: t.金额, unit: 元",
    paid="from: t.已缴, codes: {是: true, 否: false}",
)
ROWS = 1500
TODAY = date(2026, 1, 1)


def month(place: Path, day: str, *, odds: float = 1.0, missing: float = 0.0) -> None:
    """One month's files, read in: the outcome as the model says, but for `odds`; amounts that are not known."""
    draw = public_stream("tests", "monitor", day)
    women, born = draw.random(ROWS) < 0.5, draw.integers(1950, 2000, ROWS)
    amount = draw.integers(0, 700, ROWS)
    eta = -1.0 + 0.03 * np.clip(2022 - born, 16, 80) + 0.002 * amount - 0.4 * women
    paid = draw.random(ROWS) < 1 / (1 + np.exp(-eta) / odds)
    gone = draw.random(ROWS) < missing
    rows = [
        f"{n},{'女' if women[n] else '男'},{born[n]},{'' if gone[n] else amount[n]},{'是' if paid[n] else '否'}"
        for n in range(ROWS)
    ]
    text = "\n".join(["账号,性别,出生年,金额,已缴", *rows]) + "\n"
    folder(place, KEYED.replace("2022-05-31", day) + MAPPING, {"data/a.csv": text})
    run(place)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four months: three as the model says, and one with lower odds in which a third of the amounts is missing."""
    made = tmp_path_factory.mktemp("monitor")
    for day in ("2022-01-31", "2022-02-28", "2022-03-31"):
        month(made, day)
    month(made, "2022-04-30", odds=0.5, missing=0.3)
    return made


def watched(place: Path, file: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.app, ["monitor", str(file), "--folder", str(place), *words])


def said(place: Path, file: Path, *words: str) -> dict[str, Any]:
    done = watched(place, file, "--json", *words)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lights(found: dict[str, Any]) -> list[Light]:
    return [each["light"] for each in found["months"]]


def test_a_month_that_changed_is_red_and_says_why(place: Path) -> None:
    out = place / "drift.json"
    found = said(place, model(place), "--since", "2022-01", "--out", str(out))
    assert [each["month"] for each in found["months"]] == ["2022-01", "2022-02", "2022-03", "2022-04"]
    assert lights(found) == ["green", "green", "green", "red"]
    assert {(each["what"], each["name"]) for each in found["months"][3]["causes"]} >= {
        ("missing", "amount"),
        ("calibration", "down"),
    }
    assert found["months"][3]["missing"]["amount"] == pytest.approx(0.3, abs=0.04)
    assert all(0.9 < each["ratio"] < 1.1 for each in found["months"][:3])
    assert json.loads(out.read_text(encoding="utf-8")) == found
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    english, chinese = (
        watched(place, model(place), "--since", "2022-01", "--lang", each).stdout for each in ("en", "zh")
    )
    assert "recalibrate, do not re-rank" in english
    assert "请重新校准，排序不必改" in chinese


def test_what_is_counted_is_what_the_scores_file_holds(place: Path) -> None:
    file, out = model(place), place / "scores.csv"
    assert score(place, file, out).exit_code == 0  # the newest mapping names the last month
    last = said(place, file, "--since", "2022-04")["months"][0]
    known = [float(each["probability"]) for each in lines(out) if each["probability"]]
    assert (last["rows"], last["scored"]) == (ROWS, len(known))
    held = snapshot.open_for(place / ".hpfed", date(2022, 4, 30))
    (table,) = held.batches(["paid", "amount"])
    scored = table.columns["amount"].known
    observed = (table.columns["paid"].values[scored] == 1).sum()
    assert last["ratio"] == pytest.approx(observed / sum(known))


def test_months_that_were_pruned_are_known_by_their_counts(tmp_path: Path) -> None:
    for day in ("2022-01-31", "2022-02-28"):
        month(tmp_path, day)
    file = model(tmp_path)
    before = said(tmp_path, file, "--since", "2022-01")
    kept = list((tmp_path / ".hpfed" / "monitor").iterdir())
    assert [stat.S_IMODE(each.stat().st_mode) for each in kept] == [0o600]
    snapshot.prune(tmp_path / ".hpfed", dates=1)
    assert said(tmp_path, file, "--since", "2022-01") == before
    kept[0].write_text("{}", encoding="utf-8")
    damaged = watched(tmp_path, file, "--since", "2022-01", "--lang", "en")
    assert damaged.exit_code == 2
    assert "cannot be read" in damaged.stderr


def test_only_the_holders_that_the_model_is_about_are_counted(place: Path) -> None:
    file = model(place, cohort=(Leaf.model_validate({"variable": "sex", "is": "male"}),))
    found = said(place, file, "--since", "2022-04")["months"][0]
    held = snapshot.open_for(place / ".hpfed", date(2022, 4, 30))
    (table,) = held.batches(["sex"])
    assert found["rows"] == (table.columns["sex"].values == 0).sum()


def test_scores_are_held_against_the_bands_of_the_model_file(place: Path) -> None:
    bands = Reference(grid=1000, cuts=(300, 400, 500, 600), counts=(300, 250, 200, 150, 100))
    found = said(place, model(place, reference=bands), "--since", "2022-01")
    assert found["reference"] == "training"
    assert lights(found)[0] == "red"
    assert found["months"][0]["causes"][0]["what"] == "scores"


def test_a_scorecard_is_watched_in_its_own_bins(place: Path) -> None:
    meant = parse(yaml_of(place / "dictionary.yaml"))
    file = model(place, fit=card(), variables=taken(meant, ["amount", "sex"]), outcome="paid")
    found = said(place, file, "--since", "2022-01")
    assert found["reference"] == "first_month"
    assert set(found["months"][0]["missing"]) == {"amount", "sex"}


@pytest.mark.parametrize(
    ("changed", "since", "code"),
    [
        ({"expires": date(2026, 2, 1)}, "2022-01", "MODEL_EXPIRED"),
        ({"dictionary": "another-one@1"}, "2022-01", "MODEL_SCORE_DICTIONARY"),
        ({"outcome": "share"}, "2022-01", "MODEL_SCORE_COLUMN"),
        ({}, "2030-01", "MODEL_MONTHS"),
        ({}, "2022-13", "MODEL_SINCE"),
    ],
)
def test_what_cannot_be_watched_is_named(place: Path, changed: dict[str, Any], since: str, code: str) -> None:
    done = watched(place, model(place, **changed), "--since", since, "--json")
    assert done.exit_code == 2
    assert f'"{code}"' in done.stdout


def test_a_model_file_that_is_none_is_refused(place: Path) -> None:
    file = model(place)
    tree = json.loads(file.read_bytes())
    for key, value in (("more", 1), ("expires", "soon"), ("rows", float("nan"))):
        file.write_text(json.dumps({**tree, key: value}), encoding="utf-8")
        done = watched(place, file, "--since", "2022-01", "--lang", "en")
        assert done.exit_code == 2, (key, done.output)
        assert key in done.stderr or "JSON" in done.stderr


def recalibrated(place: Path, file: Path, out: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.app, ["recalibrate", str(file), "--out", str(out), "--folder", str(place), *words])


@pytest.mark.parametrize("method", ["intercept", "slope"])
def test_a_city_puts_a_model_right_and_its_next_month_agrees(tmp_path: Path, method: str) -> None:
    """The odds of this city are half of what the model says."""
    month(tmp_path, "2022-01-31", odds=0.5)
    file, out = model(tmp_path), tmp_path / "local.json"
    said_ = recalibrated(tmp_path, file, out, "--method", method, "--json")
    assert said_.exit_code == 0, said_.output
    done = json.loads(said_.stdout)
    assert done["before"] < 0.95 < done["after"] < 1.05
    old, new = load(file.read_bytes(), "old", TODAY), load(out.read_bytes(), "new", date(2023, 1, 31))
    assert (new.version, new.parent, new.digest) == (2, old.digest, done["digest"])
    assert (new.cities, new.rows, new.as_of, new.expires) == (
        ("test-city",),
        done["rows"],
        date(2022, 1, 31),
        date(2023, 1, 31),
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    month(tmp_path, "2022-02-28", odds=0.5)
    out.write_bytes(new.model_copy(update={"expires": date(9999, 1, 1)}).content)
    ratios = {
        name: said(tmp_path, each, "--since", "2022-02")["months"][0]["ratio"]
        for name, each in (("old", file), ("new", out))
    }
    assert not 0.95 <= ratios["old"] <= 1.05
    assert 0.95 <= ratios["new"] <= 1.05
    scored = []
    for each in (file, out):
        assert score(tmp_path, each, tmp_path / "scores.csv").exit_code == 0
        scored.append([float(line["probability"] or "nan") for line in lines(tmp_path / "scores.csv")])
    order = np.argsort(scored[0])
    assert (np.diff(np.array(scored[1])[order]) > -1e-12).all(), "nobody passes anybody"


def test_what_cannot_be_put_right_leaves_no_file(place: Path) -> None:
    out = place / "never.json"
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"outcome": "share"}, "MODEL_SCORE_COLUMN"),
        ({"cohort": (Leaf.model_validate({"variable": "amount", "below": "10"}),)}, "MODEL_FEW_OUTCOMES"),
        ({"dictionary": "another-one@1"}, "MODEL_SCORE_DICTIONARY"),
    )
    for changed, code in cases:
        done = recalibrated(place, model(place, **changed), out, "--json")
        assert done.exit_code == 2
        assert f'"{code}"' in done.stdout
    assert not out.exists()
