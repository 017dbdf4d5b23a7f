"""Study files: what is refused, where, and with which advice; and what cities sign."""

import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from protocols import dictionary as dictionaries
from protocols import study as studies
from protocols.canonical import canonical, parse_canonical
from protocols.errors import ConfigError, HpfedError, PeerError
from protocols.study import Study, from_wire, load

GOOD: Final = """\
study: who-prefers-what
title: {zh: 偏好, en: Preference}
purpose: {zh: 了解, en: learn}
asker: fund-lab
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
privacy: {mode: dp, epsilon: 1.0}
questions:
  - {id: holders, kind: count}
  - {id: products, kind: frequency, of: product, by: sex}
  - {id: preference, kind: tgi, target: product, by: generation}
  - {id: table, kind: crosstab, by: [product, generation]}
"""


def written(folder: Path, old: str = "", new: str = "") -> Path:
    """The good study with one piece replaced, in a file."""
    assert old in GOOD
    path = folder / "study.yaml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
    return path


def of(folder: Path, old: str = "", new: str = "") -> Study:
    return load(written(folder, old, new))


ASKER: Final = "asker: fund-lab\n"
COUNT: Final = "kind: count}"
FIVE: Final = "[product, generation, sex, marital, owner]"
# what is replaced, by what, and the code, line, key and a piece of the English text of the one fault
FAULTS: Final = {
    "unknown kind": ("kind: tgi", "kind: tgy", "STUDY_KIND", 11, "questions[2].kind", "did you mean 'tgi'?"),
    "kind of another version": ("kind: tgi", "kind: forest", "STUDY_KIND", 11, "questions[2].kind", "This version has: association"),
    "kind that is a list": ("kind: tgi", "kind: [tgi]", "STUDY_KIND", 11, "questions[2].kind", "This version has"),
    "no kind": (COUNT, "of: sex}", "SCHEMA_MISSING", 9, "questions[0].kind", "'kind' is missing"),
    "question without keys": ("{id: holders, kind: count}", "count", "SCHEMA_VALUE", 9, "questions[0]", "a mapping"),
    "unknown parameter": (
        "by: generation}", "by: generation, targt: sex}", "SCHEMA_KEY", 11, "questions[2].targt", "Did you mean 'target'?",
    ),
    "parameter of another kind": (COUNT, "kind: count, of: sex}", "SCHEMA_KEY", 9, "questions[0].of", "belongs elsewhere"),
    "missing parameter": (", by: generation", "", "SCHEMA_MISSING", 11, "questions[2].by", "Add it"),
    "unknown variable": ("target: product", "target: produkt", "STUDY_VARIABLE", 11, "questions[2].target", "'product'?"),
    "unknown variable in a list": (
        "[product, generation]", "[product, generatio]", "STUDY_VARIABLE", 12, "questions[3].by", "'generation'?",
    ),
    "number as an axis": (
        "by: generation}", "by: contribution_base}", "STUDY_NOT_AN_AXIS", 11, "questions[2].by", "type money",
    ),
    "date as an axis": ("by: sex", "by: opened", "STUDY_NOT_AN_AXIS", 10, "questions[1].by", "derived variable with bands"),
    "variable twice in a list": ("[product, generation]", "[sex, sex]", "STUDY_TWICE", 12, "questions[3].by", "'sex'"),
    "variable by itself": ("by: sex", "by: product", "STUDY_TWICE", 10, "questions[1].by", "'product'"),
    "target by itself": ("by: generation}", "by: product}", "STUDY_TWICE", 11, "questions[2].by", "'product'"),
    "five axes": ("[product, generation]", FIVE, "STUDY_AXES", 12, "questions[3].by", "limit is 4"),
    "five axes of a frequency": (
        "by: sex}", "by: [generation, sex, marital, owner]}", "STUDY_AXES", 10, "questions[1].by", "5 variables",
    ),
    "no axis": ("[product, generation]", "[]", "STUDY_EMPTY", 12, "questions[3].by", "at least one"),
    "two groupings of an index": (
        "by: generation}", "by: [generation, sex]}", "SCHEMA_VALUE", 11, "questions[2].by", "a single value",
    ),
    "id twice": ("id: preference", "id: holders", "STUDY_TWICE", 11, "questions[2].id", "'holders'"),
    "id with a capital": ("id: preference", "id: Preference", "SCHEMA_VALUE", 11, "questions[2].id", "pattern"),
    "weight of nothing": (COUNT, "kind: count, weight: 0}", "SCHEMA_VALUE", 9, "questions[0].weight", "above 0"),
    "weight beyond measure": (COUNT, "kind: count, weight: 1001}", "SCHEMA_VALUE", 9, "questions[0].weight", "1000"),
    "weight too fine": (COUNT, "kind: count, weight: 0.0000001}", "SCHEMA_VALUE", 9, "questions[0].weight", "decimals"),
    "sampling undecided": (COUNT, "kind: count, sampling: maybe}", "SCHEMA_VALUE", 9, "questions[0].sampling", "true or false"),
    "no questions": ("questions:\n", "questions: []\nnotes:\n", "SCHEMA_VALUE", 8, "questions", "at least 1"),
    "no epsilon": (", epsilon: 1.0", "", "STUDY_EPSILON", 7, "privacy.epsilon", "needs privacy.epsilon"),
    "epsilon below 0": ("epsilon: 1.0", "epsilon: -1", "SCHEMA_VALUE", 7, "privacy.epsilon", "above 0"),
    "epsilon not finite": ("epsilon: 1.0", "epsilon: nan", "SCHEMA_VALUE", 7, "privacy.epsilon", "not a number"),
    "delta of 1": ("epsilon: 1.0", "epsilon: 1.0, delta: 1", "SCHEMA_VALUE", 7, "privacy.delta", "below 1"),
    "unknown mode": ("mode: dp", "mode: secret", "SCHEMA_VALUE", 7, "privacy.mode", "'dp' or 'exact'"),
    "percent as confidence": (ASKER, ASKER + "confidence: 95\n", "SCHEMA_VALUE", 5, "confidence", "below 1"),
    "two cities": (ASKER, ASKER + "cities: {least: 2}\n", "SCHEMA_VALUE", 5, "cities.least", "at least 3"),
    "city twice": (ASKER, ASKER + "cities: {names: [c1, c2, c1]}\n", "STUDY_TWICE", 5, "cities.names[2]", "'c1'"),
    "window that ends before it begins": (
        ASKER, ASKER + "window: {from: 2022-05, to: 2022-04}\n", "SCHEMA_VALUE", 5, "window", "before it begins",
    ),
    "cohort of an unknown code": (
        ASKER, ASKER + "cohort: {variable: sex, is: mail}\n", "SCHEMA_VALUE", 5, "cohort", "did you mean 'male'?",
    ),
    "cohort of an unknown variable": (
        ASKER, ASKER + "cohort: {variable: sexx, is: male}\n", "SCHEMA_VALUE", 5, "cohort", "did you mean 'sex'?",
    ),
    "repeat of weeks": (ASKER, ASKER + "repeat: {every: week, times: 2}\n", "SCHEMA_VALUE", 5, "repeat.every", "month"),
    "repeat of eleven years": (
        ASKER, ASKER + "repeat: {every: month, times: 121}\n", "SCHEMA_VALUE", 5, "repeat.times", "120",
    ),
    "repeat beyond the calendar": (
        "as_of: 2022-05-31\n", "as_of: 9999-11-30\nrepeat: {every: month, times: 3}\n", "SCHEMA_VALUE", 7, "repeat", "calendar",
    ),
    "date that is none": ("2022-05-31", "2022-02-30", "SCHEMA_VALUE", 6, "as_of", "day"),
    "no date": ("as_of: 2022-05-31\n", "", "SCHEMA_MISSING", 1, "as_of", "Add it"),
    "title without words": ("{zh: 偏好, en: Preference}", "{}", "SCHEMA_MISSING", 2, "title", "zh"),
    "unknown dictionary": (
        "hpf-flexible-employment@1", "hpf-flexible@1", "DICTIONARY_UNKNOWN", 5, "dictionary", "hpf-flexible-employment@1",
    ),
    # parts of the contract that this version says it does not have
    "level of a city that is not asked": (
        ASKER, ASKER + "cities: {names: [c1, c2, c3], attributes: {west: {c4: yes}}}\n", "STUDY_CITY", 5, "cities.attributes.west.c4",
        "west gives a level to c4",
    ),
    "attribute without a level": (
        ASKER, ASKER + "cities: {attributes: {west: {}}}\n", "SCHEMA_VALUE", 5, "cities.attributes.west", "at least 1",
    ),
    "city without a level": (
        ASKER, ASKER + "cities: {attributes: {west: {c1: ''}}}\n", "SCHEMA_VALUE", 5, "cities.attributes.west.c1", "pattern",
    ),
    "attribute with a capital": (
        ASKER, ASKER + "cities: {attributes: {West: {c1: yes}}}\n", "SCHEMA_VALUE", 5, "cities.attributes.West", "pattern",
    ),
    "attribute that is not given": ("by: sex", "by: city.west", "STUDY_ATTRIBUTE", 10, "questions[1].by", "cities.attributes"),
    "cohort that mixes cities and holders": (
        ASKER, ASKER + "cities: {attributes: {w: {c1: a}}}\ncohort: {any: [{variable: city.w, is: a}, {variable: sex, is: male}]}\n",
        "STUDY_COHORT_CITIES", 6, "cohort", "a part about cities",
    ),
    "question's cohort of an unknown code": (
        COUNT, "kind: count, cohort: {variable: sex, is: mail}}", "SCHEMA_VALUE", 9, "questions[0].cohort", "did you mean 'male'?",
    ),
    "question's cohort that is no filter": (
        COUNT, "kind: count, cohort: {variable: sex}}", "SCHEMA_VALUE", 9, "questions[0].cohort", "exactly one of",
    ),
    "release unknown": (ASKER, ASKER + "release: city\n", "SCHEMA_VALUE", 5, "release", "by_city"),
    "release of one question": (COUNT, "kind: count, release: all}", "SCHEMA_VALUE", 9, "questions[0].release", "both"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "line", "key", "text"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, code: str, line: int, key: str, text: str
) -> None:
    path = written(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        load(path)
    faults = [fault for fault in caught.value.every() if fault.values.get("key") != "notes"]
    assert [fault.code for fault in faults] == [code]
    place = faults[0].at
    assert place is not None
    assert (place.file, place.line, place.key) == (str(path), line, key)
    assert text in faults[0].text("en")
    assert faults[0].text("zh").startswith(f"{path}:{line}: {key}: ")
    assert caught.value.exit_code == 2


def test_all_faults_are_reported_in_one_look(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.replace("by: sex", "by: sexx").replace("target: product", "target: paid_total"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(fault.code, fault.at and fault.at.line) for fault in caught.value.every()] == [
        ("STUDY_VARIABLE", 10),
        ("STUDY_NOT_AN_AXIS", 11),
    ]


def test_a_question_of_an_unknown_kind_hides_no_other_fault(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = GOOD.replace("kind: tgi", "kind: forest, k: 3").replace("by: sex", "by: sexx") + "notes: none\n"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(fault.code, fault.at and fault.at.key) for fault in caught.value.every()] == [
        ("STUDY_KIND", "questions[2].kind"),
        ("SCHEMA_KEY", "notes"),
    ]
    path.write_text(text.replace("notes: none\n", ""))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(fault.code, fault.at and fault.at.key) for fault in caught.value.every()] == [
        ("STUDY_KIND", "questions[2].kind"),
        ("STUDY_VARIABLE", "questions[1].by"),
    ]
    path.write_text(text.replace("notes: none\n", "").replace("hpf-flexible-employment@1", "hpf-flexible@1"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [fault.code for fault in caught.value.every()] == ["STUDY_KIND", "DICTIONARY_UNKNOWN"]


ILL = """
study: A b
title: [x]
purpose: {zh: x}
asker: fund-lab
dictionary: hpf-flexible-employment@1
as_of: 2022-02-30
confidence: 2
release: everything
window: {from: 2022-05, to: 2021-01}
cohort: {variable: sex, is: male, in: [male]}
cities: {least: 1, names: []}
privacy: {mode: dpp, epsilon: -1, delta: 2, tolerate: {dropouts: x, colluders: 513}}
questions:
  - {id: All, kind: count, weight: 0}
  - {id: c, kind: tgi, target: [product], by: sex}
  - {id: d, kind: mean, of: paid_total, clip: [0]}
  - nothing
"""
ILL_DICTIONARY = """
dictionary: words
version: 1
variables:
  scope: {type: boolean}
  year: {type: integer, range: [5, 1]}
  pay: {type: money, range: [0, 9], points: [10], centre: x, spread: 0}
  t: {type: category, codes: {_a: {}}}
derived:
  a: {of: none, bands: {a: [2, 1]}}
"""
ENGLISH = re.compile(r"[A-Za-z]{3,} [A-Za-z]{2,} [A-Za-z]")


def test_faults_of_values_are_told_in_the_language_that_was_asked_for(tmp_path: Path) -> None:
    study, words = tmp_path / "study.yaml", tmp_path / "words.yaml"
    study.write_text(ILL)
    found: list[HpfedError] = []
    for content in (
        ILL_DICTIONARY,
        ILL_DICTIONARY.replace(", centre: x", ""),
        ILL_DICTIONARY.replace("[5, 1]", "[1, 5]"),
    ):
        words.write_text(content)
        with pytest.raises(ConfigError) as caught:
            dictionaries.load(str(words))
        found += caught.value.every()
    with pytest.raises(ConfigError) as caught:
        load(study)
    found += caught.value.every()
    assert len(found) > 20
    assert [text for each in found if ENGLISH.search(text := each.text("zh").removeprefix(str(tmp_path)))] == []
    assert [text for each in found if re.search("[\u4e00-\u9fff]", text := each.text("en"))] == []


def test_two_multi_response_variables_have_no_table_and_too_many_codes_no_mask(tmp_path: Path) -> None:
    """The second one is named. A holder's codes are the bits of 64."""
    words = tmp_path / "words.yaml"
    head = "dictionary: words\nversion: 1\nvariables:\n"
    words.write_text(head + "".join(f"  {name}: {{type: set, codes: {{a: {{}}, b: {{}}}}}}\n" for name in "xy"))
    path = tmp_path / "study.yaml"
    start = GOOD.split("questions:")[0].replace("hpf-flexible-employment@1", "words.yaml")
    path.write_text(
        f"{start}questions:\n  - {{id: both, kind: crosstab, by: [x, y]}}\n  - {{id: x, kind: frequency, of: x}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(fault.code, fault.values["name"]) for fault in caught.value.every()] == [("STUDY_SET", "y")]
    words.write_text(head + f"  x: {{type: set, codes: {{{', '.join(f'c{code}: {{}}' for code in range(65))}}}}}\n")
    with pytest.raises(ConfigError, match="at most 64 codes"):
        load(path)


def test_cohorts_are_few_enough_to_be_read_in_one_pass(tmp_path: Path) -> None:
    asked = "".join(
        f"  - {{id: q{age}, kind: count, cohort: {{variable: age, at_least: {age}}}}}\n" for age in range(20, 53)
    )
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.split("questions:")[0] + "questions:\n" + asked)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.code == "STUDY_COHORTS"
    path.write_text(GOOD.split("questions:")[0] + "questions:\n" + asked.rsplit("  - ", 1)[0])
    assert len(load(path).cohorts) == studies.MOST_COHORTS


def test_a_missing_file_is_a_fault_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.code == "FILE_MISSING"


def large(folder: Path, codes: int, variables: int, questions: str) -> Path:
    names = [f"v{number}" for number in range(variables)]
    listed = ", ".join(f"c{code}: {{}}" for code in range(codes))
    (folder / "large.yaml").write_text(
        "dictionary: large\nversion: 1\nvariables:\n"
        + "".join(f"  {name}: {{type: category, codes: {{{listed}}}}}\n" for name in names)
    )
    path = folder / "study.yaml"
    head = GOOD.split("questions:")[0].replace("hpf-flexible-employment@1", "large.yaml")
    path.write_text(f"{head}questions:\n{questions}")
    return path


def test_a_question_of_too_many_cells_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """64 positions on each of three axes are the limit; one code more is beyond it."""
    asked = "  - {id: deep, kind: crosstab, by: [v0, v1, v2]}\n"
    assert load(large(tmp_path, 63, 3, asked)).workload.layout.length == 262_144
    with pytest.raises(ConfigError) as caught:
        load(large(tmp_path, 64, 3, asked))
    (fault,) = caught.value.every()
    assert (fault.code, fault.at and fault.at.key) == ("STUDY_CELLS", "questions[0]")
    assert "deep has 274625 cells; the limit is 262144" in fault.text("en")


def test_a_study_of_too_many_cells_is_refused(tmp_path: Path) -> None:
    asked = "".join(
        f"  - {{id: q{number}, kind: crosstab, by: [{by}]}}\n"
        for number, by in enumerate(("v0, v1, v2", "v0, v1, v3", "v0, v2, v3", "v1, v2, v3", "v0"))
    )
    with pytest.raises(ConfigError) as caught:
        load(large(tmp_path, 63, 4, asked))
    assert [(fault.code, fault.at and fault.at.key) for fault in caught.value.every()] == [("STUDY_CELLS", "questions")]
    assert load(large(tmp_path, 63, 4, asked.rsplit("  - ", 1)[0])).workload.layout.length == 4 * 262_144


def test_every_shipped_study_is_sound() -> None:
    shipped = sorted((Path(studies.__file__).parents[1] / "coordinator" / "studies").glob("*.yaml"))
    assert shipped
    for path in shipped:
        assert load(path).workload.layout.length <= 60_000


# --- what cities sign


def test_defaults_are_part_of_what_is_signed(tmp_path: Path) -> None:
    """A default written out is the same study; a changed one is another."""
    study = of(tmp_path)
    content = json.loads(study.content)
    assert content["confidence"] == 0.95
    assert content["release"] == "pooled"
    assert content["cities"] == {"least": 3}
    assert content["privacy"] == {
        "mode": "dp", "epsilon": "1.0", "delta": "1e-6", "tolerate": {"dropouts": 1, "colluders": 1}
    }  # fmt: skip
    assert content["dictionary_digest"] == study.dictionary.digest
    same = of(tmp_path, ASKER, ASKER + "confidence: 0.950\nrevision: 1\ncities: {least: 3}\n")
    assert same.digest == study.digest
    assert of(tmp_path, COUNT, "kind: count, weight: 1.00}").digest == study.digest
    for old, new in (
        ("偏好", "喜好"),
        (ASKER, ASKER + "revision: 2\n"),
        ("epsilon: 1.0", "epsilon: 1"),  # the text that was written
        ("[product, generation]", "[generation, product]"),
        (COUNT, "kind: count, weight: 2}"),
        (COUNT, "kind: count, sampling: false}"),
    ):
        assert of(tmp_path, old, new).digest != study.digest


def test_the_order_of_keys_in_a_file_changes_nothing(tmp_path: Path) -> None:
    head, questions = GOOD.split("questions:")
    (tmp_path / "turned.yaml").write_text("questions:" + questions + "".join(reversed(head.splitlines(keepends=True))))
    assert load(tmp_path / "turned.yaml").digest == of(tmp_path).digest


def test_a_study_arrives_as_it_was_sent(tmp_path: Path) -> None:
    for study in (of(tmp_path), of(tmp_path, COUNT, "kind: count, weight: 2.5, sampling: true}")):
        again = from_wire(study.content, study.dictionary.content)
        assert (again.digest, again.file) == (study.digest, study.file)
        assert again.workload.layout.digest == study.workload.layout.digest


def changed(content: bytes, **values: Any) -> bytes:
    return canonical({**parse_canonical(content, "study"), **values})


def test_nothing_but_a_sound_study_is_taken_from_the_wire(tmp_path: Path) -> None:
    study, other = of(tmp_path), of(tmp_path, "epsilon: 1.0", "epsilon: 2.0").dictionary
    content, words = study.content, study.dictionary.content
    question = parse_canonical(content, "study")["questions"][0]
    spaced = json.dumps(json.loads(content), ensure_ascii=False).encode()
    cases: dict[str, tuple[bytes, bytes, str]] = {
        "not canonical": (spaced, words, "NOT_CANONICAL"),
        "dictionary not canonical": (content, words + b" ", "NOT_CANONICAL"),
        "a list": (b"[]", words, "STUDY_INVALID"),
        "a text": (b'"study"', words, "STUDY_INVALID"),
        "nothing": (b"{}", words, "STUDY_INVALID"),
        "no dictionary": (content, b"{}", "STUDY_INVALID"),
        "another dictionary": (content, changed(words, unit="employer"), "STUDY_INVALID"),
        "another digest": (changed(content, dictionary_digest="sha256:" + "0" * 64), words, "STUDY_INVALID"),
        "another name": (changed(content, dictionary="hpf-flexible-employment@2"), words, "STUDY_INVALID"),
        "unknown key": (changed(content, note="x"), words, "STUDY_INVALID"),
        "a default left out": (
            canonical({key: value for key, value in json.loads(content).items() if key != "confidence"}),
            words,
            "STUDY_INVALID",
        ),
        "unknown variable": (
            changed(content, questions=[{**question, "kind": "frequency", "of": "none", "by": []}]), words, "STUDY_INVALID",
        ),
        "unknown kind": (changed(content, questions=[{**question, "kind": "mean"}]), words, "STUDY_INVALID"),
        "same id": (changed(content, questions=[question, question]), words, "STUDY_INVALID"),
        "weight as a number": (changed(content, questions=[{**question, "weight": 2}]), words, "STUDY_INVALID"),
        "weight below 0": (changed(content, questions=[{**question, "weight": "-2"}]), words, "STUDY_INVALID"),
        "not a release": (changed(content, release="city"), words, "STUDY_INVALID"),
        "no questions": (changed(content, questions=[]), words, "STUDY_INVALID"),
    }  # fmt: skip
    for name, (sent, dictionary, code) in cases.items():
        with pytest.raises(PeerError) as caught:
            from_wire(sent, dictionary)
        assert caught.value.code == code, name
    assert other.digest == study.dictionary.digest
    assert isinstance(caught.value, HpfedError)


# --- what follows from a study


def test_a_study_reads_what_its_questions_and_cohort_are_made_of(tmp_path: Path) -> None:
    study = of(tmp_path, ASKER, ASKER + "cohort: {variable: age, at_least: 30}\n")
    holders, products, preference, _ = study.file.questions
    assert study.reads(holders) == ("birth_year",)
    assert study.reads(products) == ("birth_year", "product", "sex")
    assert study.reads(preference) == ("birth_year", "product")
    assert study.reads() == ("birth_year", "product", "sex")


def test_a_city_is_able_to_answer_what_it_can_map(tmp_path: Path) -> None:
    study = of(tmp_path)
    holders, products, preference, _ = study.file.questions
    cannot = {"c1": (), "c2": ("sex",), "c3": ("birth_year", "paid_total")}
    assert study.able(holders, cannot) == ("c1", "c2", "c3")
    assert study.able(products, cannot) == ("c1", "c3")
    assert study.able(preference, cannot) == ("c1", "c2")


def test_exact_mode_is_another_study(tmp_path: Path) -> None:
    study = of(tmp_path)
    exact = study.in_exact_mode()
    assert exact.exact
    assert not study.exact
    assert exact.digest != study.digest
    assert exact.workload.layout.digest == study.workload.layout.digest
    assert exact.in_exact_mode().digest == exact.digest
    assert (study.epsilon, study.delta) == (Decimal(1), Decimal("1e-6"))


def test_an_exact_study_needs_no_epsilon(tmp_path: Path) -> None:
    study = of(tmp_path, "{mode: dp, epsilon: 1.0}", "{mode: exact}")
    assert study.exact
    assert study.epsilon == 0
    assert from_wire(study.content, study.dictionary.content).digest == study.digest


def test_weights_decide_how_cost_is_shared(tmp_path: Path) -> None:
    study = of(tmp_path, COUNT, "kind: count, weight: 3}")
    assert [block.name for block in study.workload.layout.blocks] == [
        "1 by ()", "1 by (product, sex)", "1 by (generation, product)"
    ]  # fmt: skip
    assert study.workload.shares() == (Fraction(3, 5), Fraction(1, 5), Fraction(1, 5))


def test_one_variable_at_too_many_resolutions_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """Some three thousand finest parts: more than one least squares may have unknowns."""

    def asked(*bins: int) -> Path:
        path = tmp_path / "fine.yaml"
        lines = [f"  - {{id: q{n}, kind: histogram, of: paid_total, bins: {n}}}\n" for n in bins]
        path.write_text(GOOD.split("questions:")[0] + "questions:\n" + "".join(lines), encoding="utf-8")
        return path

    assert load(asked(1000)).workload.layout.length == 1001
    assert load(asked(1000, 500)).workload.layout.length == 1502, "one set of cuts inside the other"
    with pytest.raises(ConfigError) as caught:
        load(asked(1000, 999, 997))
    assert caught.value.code == "STUDY_RESOLUTION"
    assert "paid_total" in caught.value.text("en")
