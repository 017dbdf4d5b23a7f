"""The three programs as a user meets them: exit codes, messages, data on stdout alone."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coordinator import cli as coordinator
from node import cli as node
from node import ledger
from node.audit import Audit
from protocols.entropy import seeded
from simulations import cities
from simulations import cli as simulate
from tests.system.conftest import SMALL


def called(program: object, *arguments: object) -> Result:
    return CliRunner().invoke(program.app, [str(each) for each in arguments])  # type: ignore[attr-defined]  # each program module has `app`


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """City folders of this test's own, in which nodes keep their state."""
    out = tmp_path / "cities"
    shutil.copytree(made, out, ignore=shutil.ignore_patterns("truth"))
    return out


def test_run_writes_results_tables_and_reports_and_the_books_can_be_read(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = called(simulate, "run", small, "--cities", folder, "--out", out, "--json", "--lang", "en")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "results.json").read_bytes())
    assert {path.name for path in out.iterdir()} == {
        "results.json",
        "results.xlsx",
        "report.zh.html",
        "report.en.html",
        "run.jsonl",
        "tables",
        "bundle",
    }
    assert (out / "tables" / "tgi_generation.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    city = folder / "chengdu"
    rooms = json.loads(called(node, "budget", "--folder", city, "--json").stdout)
    assert {room["scope"] for room in rooms} == {"per_asker_year", "per_year", "total"}
    assert all(0 < room["used"] < 1 for room in rooms)
    (released,) = json.loads(called(node, "releases", "--folder", city, "--json").stdout)
    assert released["state"] == "answered"
    assert len(released["sent"]) == 1
    assert called(node, "audit", "verify", "--folder", city).exit_code == 0
    again = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "again", "--lang", "en")
    assert "answered before" in again.stderr
    assert (tmp_path / "again" / "results.json").read_bytes() == (out / "results.json").read_bytes()
    before = [(out / name).read_bytes() for name in ("report.zh.html", "results.xlsx")]
    assert called(coordinator, "report", "build", out).exit_code == 0
    assert [(out / name).read_bytes() for name in ("report.zh.html", "results.xlsx")] == before


def test_a_result_and_its_stored_answer_are_verified_and_an_edit_is_named(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    asked = called(simulate, "run", small, "--cities", folder, "--out", out, "--lang", "en")
    assert f"hpfed-coordinator report verify {out}" in asked.stderr
    found = called(coordinator, "report", "verify", out, "--json", "--lang", "en")
    assert found.exit_code == 0, found.stdout
    value = json.loads(found.stdout)
    assert value["holds"]
    assert [step["step"] for step in value["steps"]] == list(range(1, 13))
    assert "self_declared" in [note["note"] for step in value["steps"] for note in step["notes"]]
    assert called(simulate, "run", small, "--cities", folder, "--out", again, "--lang", "en").exit_code == 0
    roster = out / "bundle" / "roster.json"
    pinned = called(coordinator, "report", "verify", again, "--roster", roster, "--lang", "zh")
    assert pinned.exit_code == 0, pinned.stdout
    assert "自行声明" not in pinned.stdout
    assert called(coordinator, "report", "verify", again, "--roster", tmp_path / "none.json").exit_code == 2
    assert called(coordinator, "report", "build", out).exit_code == 0
    assert called(coordinator, "report", "verify", out).exit_code == 0
    for path in ("report.zh.html", "bundle/attestations/suzhou.json"):
        (again / path).write_bytes((again / path).read_bytes().replace(b"a", b"b", 1))
    wrong = called(coordinator, "report", "verify", again, "--lang", "en")
    assert wrong.exit_code == 5
    assert "✗  4" in wrong.stdout
    assert "report.zh.html: " in wrong.stdout
    assert "bundle/attestations/suzhou.json: " in wrong.stdout
    listed = json.loads(called(coordinator, "report", "verify", again, "--json").stdout)
    assert {fault["file"] for step in listed["steps"] for fault in step["faults"]} == {
        "report.zh.html",
        "bundle/attestations/suzhou.json",
    }


def test_what_is_no_bundle_leaves_with_code_2(tmp_path: Path) -> None:
    found = called(coordinator, "report", "verify", tmp_path, "--json")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["code"] == "BUNDLE_NONE"


def test_a_city_that_was_lost_before_it_attested_gives_its_word_when_the_study_is_run_again(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    lost = called(simulate, "run", small, "--cities", folder, "--out", out, "--drop", "suzhou@reveal", "--lang", "en")
    assert lost.exit_code == 0, lost.stderr
    assert "suzhou" in lost.stderr
    found = called(coordinator, "report", "verify", out, "--lang", "en")
    assert found.exit_code == 5
    assert "suzhou has not attested what it released (unreachable)" in found.stdout
    assert called(simulate, "run", small, "--cities", folder, "--out", out).exit_code == 0
    assert called(coordinator, "report", "verify", out).exit_code == 0


def test_a_result_without_a_lost_city_is_verified(folder: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    called(simulate, "run", small, "--cities", folder, "--out", out, "--drop", "suzhou@masked")
    found = called(coordinator, "report", "verify", out, "--lang", "en")
    assert found.exit_code == 0, found.stdout
    assert not (out / "bundle" / "attestations" / "suzhou.json").exists()


def test_an_answer_from_before_there_were_bundles_is_still_given_and_says_so(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "out")
    (record,) = (folder / ".hpfed" / "coordinator" / "answers").glob("*/record.json")
    record.unlink()
    again = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "out", "--lang", "en")
    assert again.exit_code == 0
    assert "without signatures" in again.stderr
    assert called(coordinator, "report", "verify", tmp_path / "out").exit_code == 2


def test_an_edited_audit_file_is_found(folder: Path, small: Path, tmp_path: Path) -> None:
    called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "out")
    path = folder / "chengdu" / ".hpfed" / "audit" / "audit.jsonl"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"answered", b"repeated", 1))
    found = called(node, "audit", "verify", "--folder", folder / "chengdu", "--lang", "en")
    assert found.exit_code == 5
    assert "audit.jsonl" in found.stderr


def test_a_lost_city_leaves_with_code_4_and_is_named(folder: Path, small: Path, tmp_path: Path) -> None:
    done = called(
        simulate, "run", small, "--cities", folder, "--out", tmp_path / "o", "--drop", "suzhou@masked", "--lang", "en"
    )
    assert done.exit_code == 4
    assert "suzhou" in done.stderr
    assert (tmp_path / "o" / "results.json").is_file()


def test_a_declined_study_leaves_with_code_3_and_writes_nothing(folder: Path, small: Path, tmp_path: Path) -> None:
    for city in cities.ALL:
        (folder / city / "policy.yaml").write_text(
            "policy: 1\n", encoding="utf-8"
        )  # the shipped policy: exact tables are off
    done = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "o", "--exact", "--lang", "zh")
    assert done.exit_code == 3
    assert "POLICY_KIND" in done.stderr
    assert "拒绝" in done.stderr
    assert not (tmp_path / "o").exists()


def test_a_faulty_study_leaves_with_code_2_and_names_file_line_and_key(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SMALL.replace("of: product", "of: produkt"), encoding="utf-8")
    done = called(simulate, "run", path, "--cities", folder, "--out", tmp_path / "o", "--json", "--lang", "en")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == "STUDY_VARIABLE"
    assert f"{path}:11: questions[1].of" in done.stderr
    assert "'product'" in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--drop", "suzhou@lunch"], "DROP_SYNTAX"),
        (["--drop", "suzhou@masked:"], "DROP_SYNTAX"),
        (["--drop", "suzhou@masked:1"], "DROP_ROUND"),
        (["--drop", "paris@masked"], "CITY_UNKNOWN"),
    ],
)
def test_options_that_name_nothing_leave_with_code_2(
    folder: Path, small: Path, tmp_path: Path, arguments: list[str], code: str
) -> None:
    done = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "o", "--json", *arguments)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == code


def test_a_folder_without_cities_says_how_to_make_some(small: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = called(simulate, "run", small, "--cities", tmp_path / "empty", "--out", tmp_path / "o", "--lang", "en")
    assert done.exit_code == 2
    assert "hpfed-simulate cities" in done.stderr


def test_the_demo_replaces_an_earlier_demo_and_nothing_else(tmp_path: Path) -> None:
    taken = tmp_path / "mine"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work", encoding="utf-8")
    refused = called(simulate, "demo", "--out", taken, "--lang", "en")
    assert refused.exit_code == 2
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


def test_studies_and_dictionaries_are_checked_without_asking_anybody(small: Path, tmp_path: Path) -> None:
    found = json.loads(called(coordinator, "study", "check", small, "--json").stdout)
    assert found["questions"] == 5
    assert "account_type" in found["reads"]
    assert called(coordinator, "dictionary", "check", "hpf-flexible-employment@1").exit_code == 0
    wrong = called(coordinator, "dictionary", "check", "hpf-flexible-employement@1", "--lang", "en")
    assert wrong.exit_code == 2
    assert "hpf-flexible-employment@1" in wrong.stderr
    copy = tmp_path / "copy.yaml"
    assert called(coordinator, "study", "new", copy).exit_code == 0
    assert called(coordinator, "study", "check", copy).exit_code == 0
    assert called(coordinator, "study", "new", copy).exit_code == 2


def test_a_city_sees_its_mapping_policy_and_their_origin(folder: Path) -> None:
    city = folder / "changzhou"
    checked = json.loads(called(node, "map", "check", "--folder", city, "--json").stdout)
    assert "residence" in checked["cannot"]
    values = {
        each["key"]: each
        for each in json.loads(called(node, "policy", "show", "--folder", city, "--origin", "--json").stdout)
    }
    assert values["exact.min_cell"]["from"].startswith(str(city / "policy.yaml"))
    assert "policy.default.yaml" in values["dp.min_cell"]["from"]
    (city / "policy.yaml").write_text("policy: 1\ncities: {lest: 3}\n", encoding="utf-8")
    wrong = called(node, "policy", "check", "--folder", city, "--lang", "en")
    assert wrong.exit_code == 2
    assert "policy.yaml:2: cities.lest" in wrong.stderr
    assert "least" in wrong.stderr


def test_ingest_twice_is_unchanged(folder: Path) -> None:
    city = folder / "guangzhou"
    first = json.loads(called(node, "ingest", "--folder", city, "--json").stdout)
    again = json.loads(called(node, "ingest", "--folder", city, "--json").stdout)
    assert (first["unchanged"], again["unchanged"]) == (False, True)
    assert first["snapshot"] == again["snapshot"]


def test_published_facts_and_the_reading_taken_are_printed() -> None:
    assert "n_accounts  账户数  26606" in called(simulate, "facts").stdout
    assert json.loads(called(simulate, "facts", "--json").stdout)["q_city"]["name_zh"] == "重庆"


# --- nothing that somebody keeps is lost


def test_a_seeded_run_never_touches_books_that_no_seeded_run_has_made(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "first")
    ledger = folder / "chengdu" / ".hpfed" / "ledger.sqlite"
    before = ledger.read_bytes()
    inside = called(simulate, "run", small, "--cities", folder, "--out", folder / "chengdu", "--seed", 7, "--json")
    assert (inside.exit_code, json.loads(inside.stdout)["error"]["code"]) == (2, "OUT_INSIDE")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder / "chengdu" / ".hpfed", elsewhere / ".hpfed")
    found = called(simulate, "run", small, "--cities", folder, "--out", elsewhere, "--seed", 7, "--json")
    assert (found.exit_code, json.loads(found.stdout)["error"]["code"]) == (2, "HOMES_NOT_OURS")
    assert ledger.read_bytes() == before
    assert (elsewhere / ".hpfed" / "ledger.sqlite").is_file()


def test_an_output_that_cannot_be_written_is_found_before_any_city_is_asked(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    done = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "file", "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (2, "OUT_UNUSABLE")
    assert not (folder / "chengdu" / ".hpfed").exists()
    home = called(node, "ingest", "--folder", folder / "chengdu", "--home", tmp_path / "file" / "home", "--json")
    assert (home.exit_code, json.loads(home.stdout)["error"]["code"]) == (2, "FILE_SYSTEM")


def test_a_partial_answer_stays_partial_when_it_is_asked_again(folder: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = called(simulate, "run", small, "--cities", folder, "--out", out, "--drop", "chengdu@masked", "--lang", "en")
    log = (out / "run.jsonl").read_bytes()
    again = called(simulate, "run", small, "--cities", folder, "--out", out, "--lang", "en")
    assert (first.exit_code, again.exit_code) == (4, 4)
    assert "missing: chengdu" in again.stderr
    assert (out / "run.jsonl").read_bytes() == log
    nothing = called(simulate, "run", small, "--cities", folder, "--out", out, "--drop", "suzhou@masked", "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)["error"]["code"]) == (2, "DROP_STORED")


def test_tables_of_an_earlier_result_do_not_stand_beside_a_later_one(folder: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    called(simulate, "run", small, "--cities", folder, "--out", out, "--seed", 1)
    lines = small.read_text(encoding="utf-8").splitlines()
    small.write_text("\n".join(line for line in lines if "id: product" not in line) + "\n", encoding="utf-8")
    assert called(simulate, "run", small, "--cities", folder, "--out", out, "--seed", 1).exit_code == 0
    assert "product.csv" not in {path.name for path in (out / "tables").iterdir()}


def test_an_epsilon_that_no_noise_can_give_is_a_fault_of_the_study_file(small: Path) -> None:
    small.write_text(small.read_text(encoding="utf-8").replace("epsilon: 1.0", "epsilon: 1e-30"), encoding="utf-8")
    done = called(coordinator, "study", "check", small, "--lang", "en")
    assert done.exit_code == 2
    assert f"{small}:8: privacy.epsilon" in done.stderr


def test_a_misspelt_variable_of_a_policy_is_a_fault(folder: Path) -> None:
    path = folder / "suzhou" / "policy.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\nvariables: {deny: [sexx]}\n", encoding="utf-8")
    done = called(node, "policy", "check", "--folder", folder / "suzhou", "--lang", "en")
    assert done.exit_code == 2
    assert "variables.deny" in done.stderr
    assert "did you mean 'sex'?" in done.stderr


def test_a_budget_that_is_used_up_is_named_and_no_city_is_called_missing(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    text = small.read_text(encoding="utf-8").replace("epsilon: 1.0", "epsilon: 3.5")
    for number in range(1, 4):
        small.write_text(text + f"revision: {number}\n", encoding="utf-8")
        done = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / str(number), "--lang", "en")
    assert done.exit_code == 3
    assert "BUDGET_ASKER" in done.stderr
    assert "too few" not in done.stderr
    assert not (tmp_path / "3" / "results.json").exists()


@pytest.mark.parametrize("options", [["--lang", "klingon"], ["--seed", "-3"]])
def test_a_language_or_seed_that_there_is_not_is_refused_before_anything_is_read(
    tmp_path: Path, options: list[str]
) -> None:
    done = called(simulate, "run", tmp_path / "none.yaml", "--cities", tmp_path, "--out", tmp_path / "o", *options)
    assert done.exit_code == 2
    assert options[0] in done.stderr
    assert "none.yaml" not in done.stderr


@pytest.mark.parametrize(
    ("program", "command"), [(node, ["budget"]), (coordinator, ["report", "verify", "none"]), (simulate, ["facts"])]
)
def test_the_language_of_the_environment_is_held_to_the_same_rule(
    program: object, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPFED_LANG", "klingon")
    assert "HPFED_LANG" in called(program, *command).stderr
    monkeypatch.setenv("HPFED_LANG", "")
    assert "HPFED_LANG" not in called(program, *command).stderr


@pytest.mark.parametrize("command", [["budget"], ["releases"], ["audit", "verify"]])
def test_a_city_that_was_asked_nothing_yet_has_no_books_and_that_is_said(folder: Path, command: list[str]) -> None:
    found = called(node, *command, "--folder", folder / "suzhou", "--json")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["code"] == "LEDGER_NONE"
    assert not (folder / "suzhou" / ".hpfed").exists()


def test_a_ledger_that_another_process_holds_makes_its_city_missing_and_no_other(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    home = folder / "suzhou" / ".hpfed"
    with Audit.open(home / ledger.AUDIT, now=0, entropy=seeded("held")):
        done = called(simulate, "run", small, "--cities", folder, "--out", tmp_path / "o", "--json")
    assert done.exit_code == 4
    found = json.loads((tmp_path / "o" / "results.json").read_text(encoding="utf-8"))["cities"]["missing"]
    assert [(each["city"], each["reason"], each["detail"]) for each in found] == [("suzhou", "no_advert", "refused")]


def test_synthetic_cities_say_where_they_were_written_as_data(tmp_path: Path) -> None:
    out = tmp_path / "c"
    done = called(simulate, "cities", out, "--city", "suzhou", "--rows", 500, "--json")
    assert json.loads(done.stdout) == {"out": str(out), "synthetic": True}
