"""`study compare`: two results of tiny worlds a year apart, through the real gates, and what is said of their difference."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result
from scipy.stats import norm
from typer.testing import CliRunner

from coordinator import change, change_text, cli, output
from protocols import study as studies
from protocols.dictionary import Break, Words
from protocols.errors import CODES, ConfigError
from simulations import world
from tests import gates

QUESTIONS: Final = """questions:
  - {id: all, kind: count, release: both}
  - {id: product, kind: frequency, of: product, by: sex}
  - {id: leaning, kind: tgi, target: product, by: sex}
  - {id: old, kind: mean, of: age, clip: [16, 80]}
  - {id: middle, kind: quantiles, of: age, at: [0.5]}
  - {id: only_before, kind: frequency, of: sex}
"""
HEAD: Final = gates.STUDY[: gates.STUDY.index("questions:")].replace("epsilon: 1.0", "epsilon: 4.0")
LATER: Final = {"2022-05-31": "2023-05-31"}


def asked(
    folder: Path, *, words: dict[str, str] | None = None, rows: int = 900, seed: int = 5, exact: bool = False
) -> Path:
    """The result of a tiny study over three cities. `words`: what is another word in every file."""
    places = folder / "cities"
    gates.write(places, rows, HEAD + QUESTIONS)
    for path in (*places.glob("*.yaml"), *places.glob("*/mapping.yaml")):
        text = path.read_text(encoding="utf-8")
        for old, new in (words or {}).items():
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    study = studies.load(places / "study.yaml")
    if exact:
        loose = resources.files("simulations.cities").joinpath("policy.yaml").read_bytes()
        for city in gates.CITIES:
            (places / city / "policy.yaml").write_bytes(loose)
        study = study.in_exact_mode()
    outcome = world.run(study, places, folder / "homes", seed=seed)
    output.write(folder / "out", outcome.results, outcome.events, outcome.sealer)
    return folder / "out"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asked(tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = {**LATER, "only_before, kind": "only_after, kind", "clip: [16, 80]": "clip: [16, 60]"}
    return asked(tmp_path_factory.mktemp("after"), words=words, rows=1200, seed=6)


def called(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["study", "compare", *(str(each) for each in arguments)])


@pytest.fixture(scope="module")
def value(before: Path, after: Path) -> Any:
    """The comparison of the two as plain values."""
    return change.published(change.compared(change.side(before), change.side(after)))


def rows(value: Any, question: str, of: str, **keys: str) -> list[dict[str, Any]]:
    return [
        row for row in value["questions"][question]["rows"] if row["of"] == of and row["keys"].items() >= keys.items()
    ]


def test_every_row_that_both_have_has_a_change_and_the_others_are_listed(
    before: Path, after: Path, value: Any, tmp_path: Path
) -> None:
    done = called(before, after, "--json", "--out", tmp_path / "change")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == value
    assert json.loads((tmp_path / "change" / "changes.json").read_bytes()) == value
    assert (value["only_first"], value["only_second"]) == (["only_before"], ["only_after"])
    released = [json.loads((each / "results.json").read_bytes())["questions"] for each in (before, after)]
    for name, question in value["questions"].items():
        assert len(question["rows"]) == len(released[1][name]["rows"])
        with (tmp_path / "change" / "tables" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(question["rows"])
    (everybody,) = [row for row in rows(value, "all", "count") if row["scope"] == "pooled"]
    assert everybody["first"] + everybody["estimate"] == pytest.approx(everybody["second"], abs=1e-9)
    half = (everybody["ci_high"] - everybody["ci_low"]) / 2
    assert half == pytest.approx(norm.ppf(0.975) * everybody["se_noise"], rel=1e-6)  # counts are of the register
    cities = [Decimal(str(row["estimate"])) for row in rows(value, "all", "count") if row["scope"] != "pooled"]
    assert sum(cities) == Decimal(str(everybody["estimate"]))  # to the last digit, as the counts themselves
    assert everybody["estimate"] == pytest.approx(900, abs=6 * everybody["se_noise"])


def test_a_question_that_is_defined_otherwise_is_marked_and_says_what_differs(value: Any) -> None:
    assert value["questions"]["old"]["reasons"] == [{"reason": "definition", "parts": ["clip"]}]
    assert all("b" in row["obs_status"] for row in value["questions"]["old"]["rows"] if row["estimate"] is not None)
    assert value["questions"]["product"]["reasons"] == []
    assert not any("b" in row["obs_status"] for row in value["questions"]["product"]["rows"])


def test_shares_are_compared_by_points_and_indices_by_their_quotient(value: Any) -> None:
    for row in rows(value, "product", "share"):
        assert row["scale"] == "difference"
    indices = [row for row in rows(value, "leaning", "index") if row["estimate"] is not None]
    assert indices
    for row in indices:
        assert row["scale"] == "quotient"
        assert row["estimate"] == pytest.approx(row["second"] / row["first"], rel=1e-9)
        assert row["ci_low"] < row["estimate"] < row["ci_high"]
    p = [row["p_value"] for row in value["questions"]["product"]["rows"] if row["p_value"] is not None]
    q = [row["q_value"] for row in value["questions"]["product"]["rows"] if row["p_value"] is not None]
    assert all(one <= other for one, other in zip(p, q, strict=True))
    assert max(q) == pytest.approx(max(p), rel=1e-9)


def test_the_page_is_in_both_languages(before: Path, after: Path) -> None:
    for language, word in (("zh", "变化"), ("en", "change")):
        done = called(before, after, "--lang", language)
        assert done.exit_code == 0
        assert word in done.stdout
        assert "only_before" in done.stdout
        assert {"zh": "个百分点", "en": " pp"}[language] in done.stdout


def test_exact_counts_change_without_an_interval_to_speak_of(tmp_path: Path) -> None:
    places = (asked(tmp_path / "a", exact=True, rows=40), asked(tmp_path / "b", exact=True, rows=52, words=LATER))
    value = change.published(change.compared(*map(change.side, places)))
    (everybody,) = [row for row in rows(value, "all", "count") if row["scope"] == "pooled"]
    assert (everybody["estimate"], everybody["ci_low"], everybody["ci_high"]) == (36, 36, 36)
    assert everybody["p_value"] is None


def test_the_same_answer_twice_has_no_change(before: Path) -> None:
    assert (done := called(before, before)).exit_code == 2
    assert CODES["COMPARE_SAME"]["en"][1] in done.stderr


@pytest.mark.parametrize(
    ("code", "other"), [("COMPARE_DICTIONARY", {"version": 2}), ("COMPARE_UNIT", {"unit": "loan"})]
)
def test_other_dictionaries_and_units_are_refused(before: Path, after: Path, code: str, other: dict[str, Any]) -> None:
    first, second = change.side(before), change.side(after)
    meant = second.study.dictionary.model_copy(update=other)
    with pytest.raises(ConfigError) as refused:
        change.compared(first, replace(second, study=replace(second.study, dictionary=meant)))
    assert refused.value.code == code


def test_studies_without_a_question_in_common_are_refused(before: Path, after: Path) -> None:
    first, second = change.side(before), change.side(after)
    content = second.results.content
    only = {"only_after": content.questions["only_after"]}
    results = replace(second.results, content=content.model_copy(update={"questions": only}))
    with pytest.raises(ConfigError) as refused:
        change.compared(first, replace(second, results=results))
    assert refused.value.code == "COMPARE_NOTHING"


def differing(of: change.Side, **content: Any) -> change.Side:
    """The same side with another part of its results."""
    return replace(of, results=replace(of.results, content=of.results.content.model_copy(update=content)))


def marked(found: change.Changes, question: str) -> tuple[list[change.Reason], set[str]]:
    """Reasons of a question, and the scopes whose rows have the mark b."""
    (each,) = [each for each in found.questions if each.id == question]
    return list(each.reasons), {row.scope for row in each.rows if "b" in row.obs_status}


def test_a_break_between_the_two_marks_what_it_affects(before: Path, after: Path) -> None:
    first, second = change.side(before), change.side(after)
    broken = Break.model_validate({"from": date(2022, 9, 20), "affects": ("product",), "label": {"en": "a new law"}})
    for cities, scopes in (((), {"pooled"}), (("east",), {"pooled"}), (("elsewhere",), set())):
        meant = second.study.dictionary.model_copy(update={"breaks": (broken.model_copy(update={"cities": cities}),)})
        sides = [replace(each, study=replace(each.study, dictionary=meant)) for each in (first, second)]
        found = change.compared(*sides)
        assert marked(found, "product")[1] == scopes
        assert marked(found, "all") == ([], set())
        if scopes:
            assert "a new law" in change_text.page(found, "en")
            assert [reason.reason for reason in marked(found, "product")[0]] == ["break"]


def test_other_cities_mark_pooled_rows_and_not_those_of_a_city(before: Path, after: Path) -> None:
    first, second = change.side(before), change.side(after)
    questions = dict(second.results.content.questions)
    questions["all"] = questions["all"].model_copy(update={"cities": ("east", "north")})
    found = change.compared(first, differing(second, questions=questions))
    (reason,), scopes = marked(found, "all")
    assert reason.published() == {"reason": "cities", "only_first": ["west"], "only_second": []}
    assert scopes == {"pooled"}
    assert "west" in change_text.page(found, "zh")


def test_codes_that_a_city_merges_only_once_mark_it_and_the_sum(before: Path, after: Path) -> None:
    first, second = change.side(before), change.side(after)
    cities = second.results.content.cities.model_copy(update={"unused": {"east": {"product": ("free",)}}})
    found = change.compared(first, differing(second, cities=cities))
    assert [reason.published() for reason in marked(found, "product")[0]] == [{"reason": "codes", "cities": ["east"]}]
    assert marked(found, "all") == ([], set())


def test_a_city_that_covers_other_holders_is_marked_with_the_sum(before: Path, after: Path) -> None:
    first, second = change.side(before), change.side(after)
    cities = second.results.content.cities.model_copy(update={"scopes": {"east": {"railway": "in"}}})
    found = change.compared(first, differing(second, cities=cities))
    assert [reason.published() for reason in marked(found, "all")[0]] == [{"reason": "scopes", "cities": ["east"]}]
    assert marked(found, "all")[1] == {"pooled", "east"}
    assert "east covers other holders" in change_text.page(found, "en")


def test_what_a_variable_means_is_part_of_the_definition_and_what_it_is_called_is_not(
    before: Path, after: Path
) -> None:
    first, second = change.side(before), change.side(after)
    variables = second.study.dictionary.variables
    for update, parts in (({"range": (16, 70)}, ["age"]), ({"label": Words(en="Years")}, [])):
        age = variables["age"].model_copy(update=update)
        meant = second.study.dictionary.model_copy(update={"variables": {**variables, "age": age}})
        found = change.compared(first, replace(second, study=replace(second.study, dictionary=meant)))
        assert [reason.values["parts"] for reason in marked(found, "middle")[0]] == ([parts] if parts else [])


def test_a_result_that_was_changed_ends_with_5_and_the_file(before: Path, after: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(after, forged)
    path = forged / "results.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
    done = called(before, forged)
    assert done.exit_code == 5
    assert "results.json" in done.stdout


def test_a_run_of_a_repeat_is_read_with_its_own_dates(before: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(before, out)
    study = out / "bundle" / "study.yaml"
    study.write_text("repeat: {every: month, times: 3}\n" + study.read_text(encoding="utf-8"), encoding="utf-8")
    content = json.loads((out / "results.json").read_bytes())
    content["run"] |= {"number": 2, "of": 3, "as_of": "2022-07-31"}
    (out / "results.json").write_text(json.dumps(content), encoding="utf-8")
    later = change.side(out)
    assert later.study.file.as_of == date(2022, 7, 31)
    assert marked(change.compared(change.side(before), later), "all") == ([], set())


def test_nothing_is_overwritten(before: Path, after: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine", encoding="utf-8")
    assert called(before, after, "--out", tmp_path / "taken").exit_code == 2
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]
