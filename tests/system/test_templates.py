"""The studies that ship: they are listed and copied, every city's shipped policy answers them, and they run over synthetic cities."""

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from coordinator import cli, output, split, templates
from node import ingest
from node import policy as policies
from protocols import study as studies
from protocols.entropy import seeded
from protocols.errors import CODES
from protocols.statistics.ratio import Ratio
from protocols.study import Study
from simulations import cities, world
from tests import gates

NAMES: Final = (
    "annual-report",
    "flexible-employment-profile",
    "flexible-pilot",
    "interruption-model",
    "liquidity",
    "platform-workers-logits",
    "platform-workers-survey",
)
OF_HOLDERS: Final = ("annual-report", "liquidity", "flexible-pilot")
CENTRES: Final = ("chengdu", "chongqing", "suzhou")


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


@pytest.fixture(scope="module")
def centres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """City folders of the annual reports' data, and homes with their snapshots beside them."""
    place = tmp_path_factory.mktemp("centres")
    cities.write_core(place / "cities", CENTRES, 500)
    for city in CENTRES:
        ingest.ingest(place / "cities" / city, place / "homes" / city, seeded("tests", city))
    return place


@pytest.mark.parametrize("name", OF_HOLDERS)
def test_a_template_for_regulators_runs_over_synthetic_centres(name: str, centres: Path, tmp_path: Path) -> None:
    shipped(name, tmp_path)
    file = tmp_path / f"{name}.yaml"
    names = f"cities: {{least: 3, names: [{', '.join(CENTRES)}]}}"
    file.write_text(re.sub("^cities: .*$", names, file.read_text(encoding="utf-8"), flags=re.M), encoding="utf-8")
    study = split.stated(studies.load(file))
    shutil.copytree(centres / "homes", tmp_path / "homes")
    outcome = world.run(study, centres / "cities", tmp_path / "homes", seed=3)
    output.write(tmp_path / "out", outcome.results, outcome.events, outcome.sealer)
    assert (tmp_path / "out" / "report.zh.html").is_file()
    found = json.loads(outcome.results)
    assert found["study"]["asker"]["role"] == "regulator"
    assert list(found["questions"]) == sorted(question.id for question in study.file.questions)
    facts = [yaml.safe_load((centres / "cities" / city / "city.yaml").read_text("utf-8"))["facts"] for city in CENTRES]
    for question in study.file.questions:
        answered = found["questions"][question.id]
        assert tuple(answered["cities"]) == tuple(sorted(CENTRES))
        assert any(row["estimate"] is not None for row in answered["rows"]), question.id
        if not isinstance(question, Ratio):
            continue
        if not question.variables():
            sides = [sum(Fraction(str(each[name]["value"])) for each in facts) for name in question.facts()]
            row = answered["rows"][0]
            assert (row["scope"], row["se_noise"], row["obs_status"]) == ("pooled", 0, "")
            assert row["estimate"] == pytest.approx(float(sides[0] / sides[1]), rel=1e-11)
        if question.band is not None:
            rows = [row for row in answered["rows"] if row["measure"] == "ratio" and row["estimate"] is not None]
            assert all(row["position"] in ("below", "within", "above", "undecided") for row in rows)


def test_epsilon_of_a_template_goes_to_what_no_report_prints(tmp_path: Path) -> None:
    for name in OF_HOLDERS:
        study = shipped(name, tmp_path)
        free = [q for q in study.file.questions if not study.workload.blocks[q.id]]
        assert len(free) >= 2
        assert {q.kind for q in free} == {"ratio"}


# --- a risk model, from one file in both modes


@pytest.fixture(scope="module")
def contributors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cities whose nodes have the policy that ships, and homes with their snapshots beside them."""
    place = tmp_path_factory.mktemp("contributors")
    cities.write(place / "cities", CENTRES, 4000)
    for city in CENTRES:
        (place / "cities" / city / "policy.yaml").unlink()
        ingest.ingest(place / "cities" / city, place / "homes" / city, seeded("tests", city))
    return place


@pytest.mark.parametrize("exact", [False, True], ids=["noised", "exact"])
def test_a_risk_model_is_fitted_evaluated_and_explained_from_one_file(
    exact: bool, contributors: Path, tmp_path: Path
) -> None:
    shipped("interruption-model", tmp_path)
    study = studies.load(tmp_path / "interruption-model.yaml", exact=exact)
    shutil.copytree(contributors / "homes", tmp_path / "homes")
    outcome = world.run(study, contributors / "cities", tmp_path / "homes", seed=3)
    found = json.loads(outcome.results)["questions"]
    assert {name: each["release"] for name, each in found.items()} == {
        "interruption": "pooled",
        "how_good": "both" if exact else "pooled",
        "card": "pooled",
        "card_good": "both" if exact else "pooled",
    }
    truth = json.loads((contributors / "cities" / "truth" / "truth.json").read_bytes())["hazard"]["slopes"]
    planted = {
        "product[monthly]": -truth["lump_sum"],
        "product[free]": truth["free"] - truth["lump_sum"],
        "unmarried[yes]": truth["unmarried"],
        "high_education[no]": truth["low_education"],
        "log1p(personal_income)": truth["log_income"],
        "sex_known[female]": -truth["male"],
    }
    told = {each["term"]: each for each in found["interruption"]["coefficients"]}
    assert all(abs(told[term]["estimate"] - slope) < 3.5 * told[term]["std_error"] for term, slope in planted.items())
    assert all((told[term]["se_noise"] > 0) is not exact for term in planted)
    fit = found["how_good"]["fit"]
    own = [row for row in found["how_good"]["rows"] if row["scope"] != "pooled"]
    if exact:
        assert {row["measure"] for row in own} >= {"auc", "observed_expected", "psi"}
        assert any(row["measure"] == "group_approved" for row in found["how_good"]["rows"])
        assert "unsaid" not in fit
        return
    assert not own
    assert set(fit["unsaid"]) == {
        "psi",
        "hosmer_lemeshow",
        "approved",
        "true_positive_rate",
        "false_positive_rate",
    }
    output.write(tmp_path / "out", outcome.results, outcome.events, outcome.sealer)
    page = (tmp_path / "out" / "report.zh.html").read_text(encoding="utf-8")
    for shown in ("优势比", "ROC 曲线", "评分卡", fit["cities_unsaid"]["zh"]):
        assert shown in page
    assert "系数方差中来自噪声的至多" in page
