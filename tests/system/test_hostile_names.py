"""T47, T48, T51: hostile words in the files that people write, against every file and terminal line that a real run makes of them.

A study and its dictionary are read, approved, summed and released as they are; what they say is data to the last program.
"""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

from coordinator import cli as coordinator
from coordinator.report import tables
from coordinator.report.wording import scrub
from coordinator.results import Results
from node import cli as node
from protocols import manifest
from simulations import cli as simulate
from tests import bundles, gates
from tests.bundles import Sealed
from tests.disclosure.test_report_injection import PAYLOADS
from tests.unit.pages import parse

FORMULAS = ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "＝1+1", "=HYPERLINK(\"http://example.org\")"]  # fmt: skip
TEXT = [each for each in PAYLOADS if scrub(each)[1] == 0]
HIDDEN = [each for each in PAYLOADS if each not in TEXT]
ESCAPES = ["\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x9b31m", "\u202e", "\u2066", "\x07", "\u200b"]


def called(program: object, *arguments: object) -> Result:
    return CliRunner().invoke(program.app, [str(each) for each in arguments])  # type: ignore[attr-defined]  # each program module has `app`


def harmless(said: Result) -> bool:
    """Nothing of it does anything to a terminal."""
    return all(mark.isprintable() or mark in "\n\u3000\u00a0" for mark in said.stdout + said.stderr)


def hostile(folder: Path, payload: str) -> Path:
    """The tiny world with a payload in every free text of its study, dictionary and city files."""
    gates.write(folder)

    def words() -> dict[str, str]:  # each one apart: YAML would write the same one as an alias
        return {"zh": payload, "en": payload}

    tree = yaml.safe_load(gates.DICTIONARY)
    tree["label"] = words()
    for variable in tree["variables"].values():
        variable["label"] = words()
        for code in variable.get("codes", {}).values():
            code |= words()
    asked = {**yaml.safe_load(gates.STUDY), "as_of": "2022-05-31", "title": words(), "purpose": words()}
    for name, content in (("dictionary.yaml", tree), ("study.yaml", asked)):
        (folder / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    for city in gates.CITIES:
        path = folder / city / "city.yaml"
        city_file = yaml.safe_load(path.read_text(encoding="utf-8")) | {"name": words()}
        path.write_text(yaml.safe_dump(city_file, allow_unicode=True), encoding="utf-8")
    askers = [{"id": "analyst", "role": "analyst", "name": payload}]
    (folder / "askers.yaml").write_text(yaml.safe_dump(askers, allow_unicode=True), encoding="utf-8")
    return folder / "study.yaml"


@pytest.mark.parametrize("payload", [*TEXT[::9], *FORMULAS[1::3]])
def test_hostile_words_of_a_study_are_text_in_every_file_of_its_result(payload: str, tmp_path: Path) -> None:
    """From the files that people write, through all parties, to HTML, CSV, workbook and terminal."""
    asked, out = hostile(tmp_path / "world", payload), tmp_path / "out"
    done = called(simulate, "run", asked, "--cities", tmp_path / "world", "--out", out, "--seed", "3", "--accept-noisy")
    assert done.exit_code == 0, done.stderr
    assert harmless(done)
    results = Results.load(out)
    assert results.content.words.variables["sex"].zh == payload
    assert results.content.cities.names["east"].zh == payload
    for language in ("zh", "en"):
        page = (out / f"report.{language}.html").read_text(encoding="utf-8")
        assert not {"script", "img", "iframe", "link", "base", "form", "input"} & {
            each.tag for each in parse(page).every()
        }
        assert not [
            name for each in parse(page).every() for name in each.attributes if name.startswith("on") or name == "src"
        ]
        if any(mark in payload for mark in "<>\"'"):
            assert payload not in page
    lines = list(csv.reader(io.StringIO((out / "tables" / "product.csv").read_bytes().decode("utf-8-sig"))))
    labels = {line[lines[0].index("sex_zh")] for line in lines[1:]} - {"缺失或无法提供"}
    assert labels == {f"'{payload}" if payload[0] in tables.FORMULA else payload}
    book = CalamineWorkbook.from_path(str(out / "results.xlsx"))
    cells = [cell for sheet in book.sheet_names for row in book.get_sheet_by_name(sheet).to_python() for cell in row]
    assert payload in cells  # calamine gives the value of a formula, never its text
    for command in (("report", "build", out), ("report", "verify", out), ("study", "check", asked)):
        for more in ((), ("--json",), ("--lang", "en")):
            said = called(coordinator, *command, *more)
            assert said.exit_code == 0, said.stdout + said.stderr
            assert harmless(said)


@pytest.mark.parametrize("payload", HIDDEN)
def test_hidden_characters_are_refused_where_people_write_them(payload: str, tmp_path: Path) -> None:
    """Neither a city nor a coordinator takes such a file; the refusal names them and does nothing to a terminal."""
    asked = hostile(tmp_path / "world", payload)
    for said in (
        called(simulate, "run", asked, "--cities", tmp_path / "world", "--out", tmp_path / "out", "--seed", "3"),
        called(coordinator, "study", "check", asked),
        called(coordinator, "study", "check", asked, "--json"),
        called(coordinator, "dictionary", "check", asked.parent / "dictionary.yaml", "--lang", "en"),
        called(node, "map", "check", "--folder", asked.parent / "east"),
    ):
        assert said.exit_code == 2, said.stdout
        assert harmless(said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("payload", [*PAYLOADS, *FORMULAS])
def test_no_text_of_a_table_begins_a_formula_or_commands_a_terminal(payload: str) -> None:
    cell = tables.cell(payload)
    assert cell[:1] not in tables.FORMULA
    assert all(mark.isprintable() for mark in cell)


@pytest.mark.parametrize("code", ESCAPES[::2])
def test_the_words_of_a_citys_own_table_command_no_terminal(code: str, tmp_path: Path) -> None:
    """A column, a code, a file and a folder that would."""
    gates.write(tmp_path / "world")
    city = tmp_path / "world" / "east"
    rows = city / "data" / "rows.csv"
    head, *lines = rows.read_text(encoding="utf-8").splitlines()
    for content in (
        "\n".join([head.replace("sex", f"s{code}x"), *lines]),
        "\n".join([head, *lines, f"e99,m,{code},30"]),
        "\n".join([head, *lines, f"e99,{code}m,m,{code}"]),
        "\n".join([head, *lines, f"e99,m,m,30,{code}"]),
    ):
        rows.write_text(content + "\n", encoding="utf-8")
        for command in (("map", "check"), ("ingest",)):
            for more in ((), ("--json",)):
                said = called(node, *command, "--folder", city, "--home", tmp_path / "home", *more)
                assert said.exit_code in (0, 1, 2), said.stdout
                assert harmless(said), (command, more, content[-40:])
    nowhere = tmp_path / f"no{code}where"
    for program, *words in (
        (node, "ingest", "--folder", nowhere),
        (node, "budget", "--folder", nowhere),
        (node, "policy", "show", "--folder", nowhere),
        (coordinator, "study", "check", nowhere),
        (coordinator, "dictionary", "check", nowhere),
        (coordinator, "report", "verify", nowhere),
        (coordinator, "report", "build", nowhere),
        (simulate, "run", nowhere, "--cities", nowhere, "--out", nowhere),
    ):
        for more in ((), ("--json",)):
            said = called(program, *words, *more)
            assert said.exit_code in (1, 2, 3), said.stdout
            assert harmless(said), words


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return bundles.make(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def sealed(made: Sealed, tmp_path: Path) -> Sealed:
    return bundles.copied(made, tmp_path / "copy")


@pytest.mark.parametrize("code", ESCAPES)
def test_a_result_from_a_stranger_commands_no_terminal(sealed: Sealed, code: str) -> None:
    """A file of that name, and a result that says so: the coordinator who made it signed the list."""
    sealed.write(f"evil{code}.html", b"x")
    tree = sealed.results()
    tree["run"]["software"], tree["cities"]["names"] = code, {"east": {"zh": code, "en": code}}
    sealed.write(manifest.RESULTS, json.dumps(tree).encode())
    for more in ((), ("--json",), ("--lang", "en")):
        said = called(coordinator, "report", "verify", sealed.out, *more)
        assert said.exit_code == 5, said.stdout
        assert harmless(said), more
    (sealed.out / f"evil{code}.html").unlink()
    sealed.published(tree)
    for command in ("verify", "build"):
        for more in ((), ("--json",)):
            assert harmless(called(coordinator, "report", command, sealed.out, *more))


def test_one_changed_byte_in_any_file_of_a_result_is_found_and_named_by_the_program(sealed: Sealed) -> None:
    """As a reader does it: exit 5, and the file by its name."""
    for path in sealed.files:
        content = sealed.read(path)
        changed = bytearray(content)
        changed[len(changed) // 3] ^= 1
        sealed.write(path, bytes(changed))
        said = called(coordinator, "report", "verify", sealed.out, "--lang", "en")
        sealed.write(path, content)
        assert said.exit_code == 5, path
        assert (manifest.SIGNATURE if path == manifest.MANIFEST else path) in said.stdout, path
    assert called(coordinator, "report", "verify", sealed.out).exit_code == 0
    assert {"results.json", "report.zh.html", "report.en.html", "results.xlsx", "run.jsonl"} <= set(sealed.files)
