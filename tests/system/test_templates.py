"""The studies that ship: they are listed and copied, every city's shipped policy answers them, and they run over synthetic cities."""

import json
from pathlib import Path
from typing import Final

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coordinator import cli, split, templates
from node import policy as policies
from protocols import study as studies
from protocols.errors import CODES
from protocols.study import Study
from simulations import cities
from tests import gates

NAMES: Final = (
    "annual-report",
    "flexible-employment-profile",
    "flexible-pilot",
    "liquidity",
    "platform-workers-survey",
)
OF_HOLDERS: Final = ("annual-report", "liquidity", "flexible-pilot")


def called(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["study", *(str(each) for each in arguments)])


def shipped(name: str, folder: Path) -> Study:
    out = folder / f"{name}.yaml"
    assert called("new", out, "--template", name).exit_code == 0
    return studies.load(out)


# --- listing and copying


def test_without_arguments_every_template_is_listed_with_what_it_answers() -> None:
    listed = json.loads(called("new", "--json").stdout)
    assert tuple(each["name"] for each in listed) == NAMES
    for language in ("zh", "en"):
        said = called("new", "--lang", language).stdout
        for each in listed:
            assert each["name"] in said
            assert each["title"][language] in said
            assert each["purpose"][language] in said


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_copied_with_its_comments_and_checks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = called("new", "--template", name)
    assert done.exit_code == 0
    assert (tmp_path / f"{name}.yaml").read_bytes() == templates.content(name)
    assert (tmp_path / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")
    assert called("check", f"{name}.yaml").exit_code == 0
    (listed,) = [each for each in templates.listed() if each.name == name]
    study = studies.load(tmp_path / f"{name}.yaml")
    assert (listed.asks, listed.dictionary) == (len(study.file.questions), study.dictionary.name)
    assert study.file.study == name


def test_no_file_is_ever_replaced(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine", encoding="utf-8")
    done = called("new", out, "--template", "liquidity")
    assert done.exit_code == 2
    assert CODES["FILE_EXISTS"]["en"][1] in done.stderr
    assert out.read_text(encoding="utf-8") == "mine"


def test_an_unknown_template_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    done = called("new", tmp_path / "mine.yaml", "--template", "anual-report", "--lang", "en")
    assert done.exit_code == 2
    assert "did you mean 'annual-report'?" in done.stderr
    assert not (tmp_path / "mine.yaml").exists()


def test_a_study_of_ones_own_is_copied_and_still_finds_its_dictionary(tmp_path: Path) -> None:
    gates.write(tmp_path / "first", 0)
    source = tmp_path / "first" / "study.yaml"
    source.write_text("# mine\n" + source.read_text(encoding="utf-8"), encoding="utf-8")
    out = tmp_path / "next.yaml"
    assert called("new", out, "--from", source).exit_code == 0
    expected = source.read_text(encoding="utf-8").replace("dictionary: dictionary", "dictionary: first/dictionary")
    assert out.read_text(encoding="utf-8") == expected
    assert studies.load(out).digest == studies.load(source).digest
    assert called("new", source.with_name("again.yaml"), "--from", source).exit_code == 0
    assert source.with_name("again.yaml").read_bytes() == source.read_bytes()


def test_what_cannot_be_copied_is_said(tmp_path: Path) -> None:
    gates.write(tmp_path / "first", 0)
    source = tmp_path / "first" / "study.yaml"
    both = called("new", tmp_path / "a.yaml", "--from", source, "--template", "liquidity")
    assert CODES["TEMPLATE_TWO"]["en"][0] in both.stderr
    source.write_text(source.read_text(encoding="utf-8").replace("kind: count", "kind: cuont"), encoding="utf-8")
    broken = called("new", tmp_path / "a.yaml", "--from", source)
    assert (both.exit_code, broken.exit_code) == (2, 2)
    assert not (tmp_path / "a.yaml").exists()


# --- over policies and cities


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_policy_answers_every_template(name: str, tmp_path: Path) -> None:
    study = split.stated(shipped(name, tmp_path))
    role = "regulator" if study.file.asker == "regulator" else "analyst"
    found = policies.decide(
        study, role=role, cities=cities.ALL, cannot=None, policy=policies.load(tmp_path, loose=False)
    )
    assert [str(reason) for reason in found.reasons] == []
    assert found.decide in ("auto", "officer")
