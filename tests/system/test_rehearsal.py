"""Rehearsing a study of one's own: independent draws from any dictionary, as folders that nodes read and studies run over."""

import csv
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import Result
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import ingest, mapping
from protocols import dictionary as dictionaries
from protocols import study, yamltext
from protocols.entropy import seeded
from protocols.errors import CODES, ConfigError
from simulations import cities, world
from simulations import cli as simulate
from simulations.cities import independent, text
from simulations.cities.streams import Streams
from tests.architecture.source import ROOT

# A user's own dictionary, as unkind as the schema allows: columns that nodes never read, words that YAML or a spreadsheet would change,
# markup and formulas in labels, ranges below zero, beyond a file's digits and over a leap day.
OWN = r"""dictionary: own-words
version: 3
unit: loan
label: {zh: "=1+1", en: "<script>alert(1)</script>"}
variables:
  name: {type: category, codes: {"NULL": {zh: "-", en: "\"'><img src=x>"}, "no": {zh: "=cmd|' /C calc'!A0"}, "01": {}, "1": {}}}
  on: {type: boolean, label: {zh: "{{ 7 * 7 }}", en: "{city} %s"}}
  "null": {type: integer, range: [-5, 5]}
  phone: {type: integer, unit: month, range: [0, 600], points: [0, 12]}
  far: {type: integer, range: [-9007199254740991, 9007199254740991]}
  owed: {type: money, unit: CNY, range: [-100.5, 99.99], points: [-100.5, 0, 50], default_null: drop}
  rate: {type: number, unit: "%", range: [-1.5, 2.25], points: [0.123456789]}
  tiny: {type: number, range: [0, 0.000001]}
  huge: {type: number, range: [-1000000000000000, 1000000000000000], default_null: "0"}
  opened: {type: date, range: [2020-02-29, 2045-12-31]}
  closed: {type: date, range: [2021-03-01, 2021-03-10]}
  ancient: {type: date, range: [0001-01-01, 2000-01-01]}
  worries: {type: set, codes: {illness: {}, pension: {}}}
derived:
  level: {rules: [{code: high, when: {variable: owed, at_least: 50}}], else: low}
"""
STUDY = """study: own-study
title: {zh: 预演, en: A rehearsal}
purpose: {zh: 预演, en: a rehearsal}
asker: analyst
dictionary: DICTIONARY
as_of: AS_OF
privacy: {MODE}
questions:
  - {id: holders, kind: count}
"""
OWN_QUESTIONS = """  - {id: name, kind: frequency, of: name}
  - {id: level, kind: frequency, of: level, by: "on"}
  - {id: pairs, kind: crosstab, by: [name, "on"]}
  - {id: worries, kind: frequency, of: worries, by: "on"}
  - {id: rate, kind: mean, of: rate, release: both}
  - {id: cities, kind: compare, indicators: [rate], release: both}
"""
BUILT_IN_QUESTIONS = """  - {id: product, kind: frequency, of: product}
  - {id: tgi, kind: tgi, target: product, by: generation}
  - {id: segment_sex, kind: crosstab, by: [sex, segment]}
"""
EXACT, NOISED = "mode: exact", "mode: dp, epsilon: 1.0"
BUILT_IN = "hpf-flexible-employment@1"
SOURCES = ("name", "on", "null", "phone", "far", "owed", "rate", "tiny", "huge", "opened", "closed", "ancient")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a dictionary of their own."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "own.yaml").write_text(OWN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def own(home: Path) -> Path:
    """Cities of 4,000 rows over it."""
    cities.write_independent(home / "cities", str(home / "own.yaml"), rows=4_000)
    return home / "cities"


def called(program: object, *arguments: object) -> Result:
    return CliRunner().invoke(program.app, [str(each) for each in arguments])  # type: ignore[attr-defined]  # each program module has `app`


def columns(city: Path) -> dict[str, list[str]]:
    (path,) = (city / "data").iterdir()
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def with_words(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def ask(folder: Path, file: Path, dictionary: str, as_of: date, questions: str, mode: str = EXACT) -> dict[str, Any]:
    """The results of a study, written beside the dictionary that it names, over the folders as they were written."""
    words = {"DICTIONARY": dictionary, "AS_OF": str(as_of), "MODE": mode}
    file.write_text(with_words(STUDY + questions, words), encoding="utf-8")
    outcome = world.run(study.load(file), folder, world.fresh_homes(file.parent), seed=1)
    assert outcome.missing == ()
    found: dict[str, Any] = json.loads(outcome.results)
    return found


# --- end to end


def test_a_study_over_a_dictionary_of_ones_own_runs_on_the_folders_at_once(home: Path, own: Path) -> None:
    results = ask(own, home / "study.yaml", "own.yaml", date(2021, 3, 10), OWN_QUESTIONS)
    counted = Counter(value for city in cities.ANY for value in columns(own / city)["变量_name"])
    counted["_missing"] = counted.pop("")
    rows = [row for row in results["questions"]["name"]["rows"] if row["measure"] == "count"]
    assert {row["name"]: row["estimate"] for row in rows} == counted
    rates = {city: [float(value) for value in columns(own / city)["rate"] if value] for city in cities.ANY}
    rates = {"pooled": [value for each in rates.values() for value in each], **rates}
    means = [row for row in results["questions"]["rate"]["rows"] if row["measure"] == "mean" and row["rate"] == "known"]
    assert {row["scope"]: row["estimate"] for row in means} == pytest.approx(
        {scope: sum(values) / len(values) for scope, values in rates.items()}, abs=1e-6
    )
    compared = [row for row in results["questions"]["cities"]["rows"] if row["estimate"] is not None]
    assert {row["scope"] for row in compared} == {"pooled", *cities.ANY}
    assert results["privacy"]["synthetic"] is True
    assert results["privacy"]["unit"] == "loan"
    names = json.dumps(results, ensure_ascii=False)
    assert "c2 (synthetic: independent draws)" in names
    assert "c2（合成：独立抽取）" in names


def test_a_study_over_the_built_in_dictionary_runs_on_the_folders_at_once(tmp_path: Path) -> None:
    as_of = cities.write_independent(tmp_path / "cities", BUILT_IN, rows=1_500)
    assert as_of == date(2022, 7, 31)
    assert {path.name for path in (tmp_path / "cities").iterdir()} == {*cities.ANY, "askers.yaml"}
    results = ask(tmp_path / "cities", tmp_path / "study.yaml", BUILT_IN, as_of, BUILT_IN_QUESTIONS, NOISED)
    (holders,) = results["questions"]["holders"]["rows"]
    assert holders["ci_low"] <= 4_500 <= holders["ci_high"]
    assert results["cities"]["cannot"] == {}
    for row in results["questions"]["product"]["rows"]:
        if row["measure"] == "share" and row["product"] != "_missing":
            assert row["estimate"] == pytest.approx(1 / 3, abs=0.05)


def readme() -> tuple[list[list[str]], str]:
    """The commands of the README's passage on rehearsing, and the dictionary that it shows."""
    passage = (ROOT / "README.md").read_text(encoding="utf-8").split("## Rehearse a study")[1].split("\n## ")[0]
    shell, shown = (block.split("\n```")[0] for block in re.split(r"```(?:sh|yaml)\n", passage)[1:])
    return [shlex.split(line, comments=True) for line in shell.splitlines()], shown


def test_the_commands_of_the_readme_rehearse_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dictionary check, cities --dictionary, study check, run, codebook: each as it is typed there, on the dictionary that it shows."""
    monkeypatch.chdir(tmp_path)
    commands, shown = readme()
    assert [words[1] for words in commands] == ["dictionary", "cities", "study", "run", "dictionary"]
    Path("mine-words.yaml").write_text(shown, encoding="utf-8")
    questions = "  - {id: districts, kind: frequency, of: district}\n"
    words = {"DICTIONARY": "mine-words.yaml", "AS_OF": "2020-12-31", "MODE": NOISED}
    Path("mine.yaml").write_text(with_words(STUDY + questions, words), encoding="utf-8")
    programs = {"hpfed-coordinator": coordinator, "hpfed-simulate": simulate}
    for program, *arguments in commands:
        done = called(programs[program], *arguments, "--lang", "en")
        assert done.exit_code == 0, (arguments, done.stderr)
        assert "as_of" not in done.stderr or "as_of: 2020-12-31" in done.stderr
    assert "independent draws" in Path("rehearsed/report.en.html").read_text("utf-8")
    assert "独立抽取" in Path("rehearsed/report.zh.html").read_text("utf-8")
    assert Path("codebook/mine-words@1.codebook.xlsx").is_file()


def test_data_on_stdout_say_where_as_of_when_and_that_draws_are_independent(tmp_path: Path) -> None:
    made = called(simulate, "cities", tmp_path / "r", "--dictionary", BUILT_IN, "--rows", 500, "--city", "a1", "--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout) == {
        "out": str(tmp_path / "r"),
        "as_of": "2022-07-31",
        "synthetic": True,
        "draws": "independent",
    }


def test_the_date_of_the_snapshots_is_said_on_the_terminal(tmp_path: Path) -> None:
    for language, word in (("en", "independent draws"), ("zh", "独立抽取")):
        out = tmp_path / language
        done = called(simulate, "cities", out, "--dictionary", BUILT_IN, "--rows", 500, "--lang", language)
        assert word in done.stderr
        assert "as_of: 2022-07-31" in done.stderr
        assert done.stdout == ""


# --- labels


def test_every_file_says_synthetic_and_independent(own: Path) -> None:
    for city in cities.ANY:
        (file,) = (own / city / "data").iterdir()
        assert "synthetic" in file.name
        assert "independent_draws" in file.name
        held = columns(own / city)
        assert set(held["数据来源"]) == {"合成数据"}
        assert set(held["生成方式"]) == {"独立抽取 independent draws"}
        for name in ("city.yaml", "mapping.yaml"):
            content = (own / city / name).read_text("utf-8")
            assert "independent draws" in content.lower()
            assert "独立抽取" in content
        who = yamltext.load(own / city / "city.yaml").tree
        assert isinstance(who, dict)
        assert who["synthetic"] == "true"
        assert {path.name for path in (own / city).iterdir()} - {".hpfed"} == {
            "city.yaml",
            "mapping.yaml",
            "policy.yaml",
            "data",
        }


def test_the_dictionary_is_copied_as_it_is_and_keys_say_that_they_are_invented(home: Path, own: Path) -> None:
    assert (own / "dictionary.yaml").read_bytes() == (home / "own.yaml").read_bytes()
    assert (own / "askers.yaml").is_file()
    for city in cities.ANY:
        keys = columns(own / city)["编号"]
        assert len(set(keys)) == len(keys) == 4_000
        assert all(len(key) == 12 and key.startswith("99") and key.isdigit() for key in keys)


def test_the_node_reads_every_folder_without_a_fault(own: Path, tmp_path: Path) -> None:
    for city in cities.ANY:
        assert mapping.check(own / city) == []
        found = mapping.load(own / city)
        assert [each.code for each in mapping.warnings(found)] == [
            "MAP_CODE_ZEROS"
        ]  # "01" beside "1", as the user wrote
        assert found.cannot == ()
        (tmp_path / city).mkdir()
        done = ingest.ingest(own / city, tmp_path / city, seeded("rehearsal", city))
        assert done.rows == 4_000
        for name in SOURCES:
            counted = done.counters[name]
            absent = counted.missing + counted.missing_drop + counted.filled
            assert counted.given + absent == 4_000, name
            assert (counted.unparsed, counted.rounded, counted.other) == (0, 0, 0), name
            assert 60 < absent < 180, name  # 3 % of 4,000 is 120, six deviations are 65


# --- draws


def given_values(own: Path, name: str) -> list[str]:
    return [value for city in cities.ANY for value in columns(own / city)[name] if value]


def test_codes_are_uniform(own: Path) -> None:
    for name, codes in (("变量_name", {"NULL", "no", "01", "1"}), ("on", {"true", "false"})):
        counted = Counter(given_values(own, name))
        assert set(counted) == codes
        assert chisquare(list(counted.values())).pvalue > 1e-4
    whole = Counter(given_values(own, "null"))
    assert set(whole) == {str(number) for number in range(-5, 6)}
    assert chisquare(list(whole.values())).pvalue > 1e-4


@pytest.mark.parametrize(
    ("name", "low", "high", "points"),
    [
        ("变量_phone", "0", "600", ["0", "12"]),
        ("owed", "-100.5", "99.99", ["-100.50", "0.00", "50.00"]),
        ("rate", "-1.5", "2.25", ["0.123456789"]),
        ("tiny", "0", "1e-6", []),
        ("far", "-1e15", "1e15", []),
        ("huge", "-1e15", "1e15", []),
    ],
)
def test_numbers_are_uniform_and_stand_at_each_point_with_5_percent(
    own: Path, name: str, low: str, high: str, points: list[str]
) -> None:
    values = given_values(own, name)
    assert all(Decimal(low) <= Decimal(value) <= Decimal(high) for value in values)
    for point in points:
        assert abs(values.count(point) / len(values) - 0.05) < 0.012  # six deviations of 11,640 draws
    rest = np.array([float(value) for value in values if value not in points])
    if name == "变量_phone":  # whole numbers: a jitter below 1 makes them a continuous draw from [0, 601)
        rest, high = rest + Streams(1, "tests")("jitter").random(len(rest)), "601"
    assert kstest(rest, "uniform", args=(float(low), float(high) - float(low))).pvalue > 1e-4
    assert {len(value.lstrip("-").split(".")[0]) for value in values} <= set(range(1, 16))


def test_dates_are_uniform_in_the_first_year_of_their_range_and_none_lies_after_the_snapshot(own: Path) -> None:
    for name, low, high in (
        ("opened", date(2020, 2, 29), date(2021, 2, 28)),
        ("closed", date(2021, 3, 1), date(2021, 3, 10)),
        ("ancient", date(1000, 1, 1), date(1000, 12, 31)),
    ):
        days = [date.fromisoformat(value).toordinal() for value in given_values(own, name)]
        assert (min(days), max(days)) == (low.toordinal(), high.toordinal())
        counted = np.bincount(np.array(days) - low.toordinal())
        assert chisquare(counted).pvalue > 1e-4
    assert mapping.load(own / "c1").snapshot == date(2021, 3, 10)


@pytest.mark.parametrize(
    ("low", "high", "last"),
    [
        ("2020-01-01", "2045-12-31", date(2020, 12, 31)),
        ("2021-08-01", "2045-12-31", date(2022, 7, 31)),
        ("2019-03-01", "2045-12-31", date(2020, 2, 29)),
        ("2021-05-01", "2021-06-01", date(2021, 6, 1)),
        ("9999-02-01", "9999-12-31", date(9999, 12, 31)),
    ],
)
def test_the_snapshot_is_the_last_day_of_the_first_year(low: str, high: str, last: date) -> None:
    document = yamltext.read(
        f"dictionary: own\nversion: 1\nvariables: {{day: {{type: date, range: [{low}, {high}]}}}}\n".encode(), "own"
    )
    assert independent.snapshot_date(dictionaries.parse(document)) == last


def test_without_a_date_the_snapshot_is_the_end_of_2025() -> None:
    document = yamltext.read(b"dictionary: own\nversion: 1\nvariables: {yes: {type: boolean}}\n", "own")
    assert independent.snapshot_date(dictionaries.parse(document)) == date(2025, 12, 31)


def test_no_variable_is_related_to_another(own: Path) -> None:
    held = columns(own / "c1")
    pairs = Counter(zip(held["变量_name"], held["on"], strict=True))
    codes, flags = sorted(set(held["变量_name"])), sorted(set(held["on"]))
    found = np.array([[pairs[code, flag] for flag in flags] for code in codes], dtype=float)
    expected = found.sum(1, keepdims=True) * found.sum(0) / found.sum()
    assert chisquare(found.ravel(), expected.ravel(), ddof=len(codes) + len(flags) - 2).pvalue > 1e-4


# --- same bytes


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_rows(home: Path, own: Path, tmp_path: Path) -> None:
    reference = str(home / "own.yaml")
    cities.write_independent(tmp_path / "again", reference, rows=4_000)
    cities.write_independent(tmp_path / "other", reference, rows=4_000, seed=8)
    first, again, other = digests(own), digests(tmp_path / "again"), digests(tmp_path / "other")
    assert {name: first[name] for name in again} == again
    assert {name for name in again if "/data/" not in name} == {name for name in again if other[name] == again[name]}


def test_a_city_and_a_column_are_the_same_whatever_else_is_written(home: Path, own: Path, tmp_path: Path) -> None:
    cities.write_independent(tmp_path / "one", str(home / "own.yaml"), ("zz", "c2", "zz"), 4_000)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"c2", "zz", "askers.yaml", "dictionary.yaml"}
    assert columns(tmp_path / "one" / "c2") == columns(own / "c2")
    shorter = tmp_path / "fewer.yaml"
    shorter.write_text(
        "".join(line for line in OWN.splitlines(True) if not line.startswith(("  far", "  on"))), encoding="utf-8"
    )
    cities.write_independent(tmp_path / "fewer", str(shorter), rows=4_000)
    kept = columns(own / "c1")
    assert columns(tmp_path / "fewer" / "c1") == {name: kept[name] for name in kept if name not in ("far", "on")}


def test_a_large_city_is_drawn_in_parts_that_make_one_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independent, "CHUNK", 700)
    cities.write_independent(tmp_path / "parts", str(home / "own.yaml"), ("c1",), 1_500)
    held = columns(tmp_path / "parts" / "c1")
    assert len(set(held["编号"])) == 1_500
    assert held["owed"][:700] != held["owed"][700:1400]
    (tmp_path / "home").mkdir()
    assert ingest.ingest(tmp_path / "parts" / "c1", tmp_path / "home", seeded("parts")).rows == 1_500


# --- all or nothing


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("SIMULATE_NAME", {"cities": ("c1", "C2")}),
        ("SIMULATE_NAME", {"cities": ("../c1",)}),
        ("SIMULATE_NAME", {"cities": ("c1\n",)}),
        ("SIMULATE_NAME", {"cities": ("\x1b[31m",)}),
        ("SIMULATE_NAME", {"cities": ()}),
        ("SIMULATE_ROWS", {"rows": 499}),
        ("SIMULATE_ROWS", {"rows": 20_000_001}),
        ("SIMULATE_SEED", {"seed": -1}),
        ("DICTIONARY_UNKNOWN", {"dictionary": "hpf-flexible-employement@1"}),
        ("FILE_MISSING", {"dictionary": "nowhere.yaml"}),
    ],
)
def test_a_wrong_argument_writes_nothing(tmp_path: Path, code: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as fault:
        cities.write_independent(tmp_path / "deep" / "out", **({"dictionary": BUILT_IN} | arguments))
    assert fault.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_faulty_dictionary_writes_nothing_and_every_fault_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "dictionary: own\nversion: 1\nvariables:\n"
        "  far: {type: integer, range: [1000000000000000, 2000000000000000]}\n"
        "  fine: {type: boolean}\n"
        "  old: {type: date, range: [0001-01-01, 0999-12-31]}\n",
        encoding="utf-8",
    )
    done = called(simulate, "cities", tmp_path / "out", "--dictionary", path, "--lang", "en")
    assert done.exit_code == 2
    assert f"{path}:4: variables.far.range" in done.stderr
    assert f"{path}:6: variables.old.range" in done.stderr
    path.write_text("dictionary: own\nversion: 1\nvariables: {a: {type: integr, range: [0, 1]}}\n", encoding="utf-8")
    done = called(simulate, "cities", tmp_path / "out", "--dictionary", path, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == "SCHEMA_VALUE"
    assert [each.name for each in tmp_path.iterdir()] == ["own.yaml"]


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = called(simulate, "cities", tmp_path, "--dictionary", BUILT_IN, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == "SIMULATE_OUT"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(independent, "table", fails)
    with pytest.raises(OSError, match="disk full"):
        cities.write_independent(tmp_path / "out", BUILT_IN)
    assert list(tmp_path.iterdir()) == []


def test_heterogeneity_says_nothing_of_independent_draws_and_is_refused(tmp_path: Path) -> None:
    done = called(
        simulate, "cities", tmp_path / "o", "--dictionary", BUILT_IN, "--heterogeneity", 0, "--json", "--lang", "zh"
    )
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == "SIMULATE_OPTION"
    assert CODES["SIMULATE_OPTION"]["zh"][1] in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- any dictionary

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in dictionaries.TAKEN)
ENDS = st.decimals(-(10**15), 10**15, places=4, allow_nan=False) | st.decimals(-10, 10, places=9, allow_nan=False)
CODE = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_]{0,6}", fullmatch=True)


@st.composite
def variables(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("category", "set", "boolean", "integer", "number", "money", "date")))
    match kind:
        case "category" | "set":
            return {"type": kind, "codes": {code: {} for code in draw(st.lists(CODE, min_size=1, max_size=4))}}
        case "boolean":
            return {"type": kind}
        case "date":
            ends: Any = sorted(draw(st.lists(st.dates(date(1000, 1, 1)), min_size=2, max_size=2, unique=True)))
            return {"type": kind, "range": [str(end) for end in ends]}
        case "integer":
            low = draw(st.integers(-(10**14), 10**14))
            return {"type": kind, "range": [str(low), str(low + draw(st.integers(1, 10**14)))]}
    bottom, top = sorted(draw(st.lists(ENDS, min_size=2, max_size=2, unique=True)))
    points = draw(st.lists(st.decimals(bottom, top, places=4, allow_nan=False), max_size=2))
    return {"type": kind, "range": [f"{bottom:f}", f"{top:f}"], "points": [f"{point:f}" for point in points]} | (
        {"unit": draw(st.sampled_from(("%", "‰", "percent", "", "kg")))} if kind == "number" else {}
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, variables(), min_size=1, max_size=6))
def test_whatever_a_dictionary_holds_the_node_reads_what_is_drawn_from_it(
    tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    content = yaml.safe_dump({"dictionary": "any", "version": 1, "variables": drawn}, allow_unicode=True)
    (folder / "any.yaml").write_text(content, encoding="utf-8")
    try:
        cities.write_independent(folder / "out", str(folder / "any.yaml"), ("c1",), 500)
    except ConfigError as fault:
        event(fault.code)  # a range between two fen
        if fault.code != "SIMULATE_RANGE":
            raise
        return
    assert mapping.check(folder / "out" / "c1") == []
    (folder / "home").mkdir()
    done = ingest.ingest(folder / "out" / "c1", folder / "home", seeded("any"))
    for name, counted in done.counters.items():
        absent = counted.missing + counted.missing_drop + counted.filled + counted.impossible
        assert counted.given + absent == 500, (name, drawn[name])
        assert (counted.unparsed, counted.rounded) == (0, 0), (name, drawn[name])


@given(st.lists(st.integers(-(10**17), 10**17), min_size=1), st.integers(0, 17))
def test_fixed_point_text_is_the_number_itself(numbers: list[int], places: int) -> None:
    column = np.array(numbers, dtype=np.int64)
    written = text.written({"x": text.fixed(column, places)}, len(column), "utf-8", b",", b"\n").decode().split()[1:]
    assert [Decimal(each).scaleb(places) for each in written] == numbers
    assert all(len(each.partition(".")[2]) == places for each in written)


def test_streams_of_a_name_differ_between_cities_and_chunks() -> None:
    first = Streams(1, "c1")("sex").random(4)
    assert not np.array_equal(first, Streams(1, "c2")("sex").random(4))
    assert not np.array_equal(first, Streams(1, "c1", 1)("sex").random(4))
