"""results.json read back: what is checked, what is left alone, and the frame that people compute with."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from coordinator.results import Results
from protocols.canonical import canonical, digest
from protocols.errors import ConfigError
from tests.unit.pages import trees
from tests.vectors.report.make import both, whole

HERE = Path(__file__).parent.parent / "vectors" / "report"
DP = whole(exact=False)


def changed(**parts: Any) -> dict[str, Any]:
    """The dp vector with parts of it replaced; keys are paths with two underscores, numbers are positions."""
    tree = copy.deepcopy(DP)
    for path, value in parts.items():
        *way, last = path.split("__")
        place: Any = tree
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    return tree


def test_the_vectors_are_what_their_maker_makes() -> None:
    assert {name: (HERE / name).read_bytes() for name in both()} == both()


def test_a_run_is_read_from_its_folder_or_its_file_and_named_by_its_canonical_bytes() -> None:
    by_folder, by_file = Results.load(HERE), Results.load(str(HERE / "results.json"))
    assert by_folder == by_file
    assert by_folder.digest == digest(canonical(DP))
    assert by_folder.content.privacy.mode == "dp"


def test_questions_stand_in_the_order_of_the_study() -> None:
    """Canonical JSON sorts the ids, so each question says its place; without one, by id."""
    assert list(Results.of(DP).questions)[:3] == ["accounts", "product", "tgi_generation"]
    assert list(Results.of(changed(questions__accounts__number=99)).questions)[-1] == "accounts"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as fault:
        Results.load(tmp_path / "results.json")
    assert fault.value.code == "FILE_MISSING"


def test_another_contract_names_the_version_that_reads_it() -> None:
    with pytest.raises(ConfigError) as fault:
        Results.of(changed(contract=2, run__software="hpfed 3.1.4"))
    assert fault.value.code == "RESULTS_CONTRACT"
    assert "hpfed 3.1.4" in fault.value.text("zh")
    assert "hpfed 3.1.4" in fault.value.text("en")
    for broken in ({}, {"contract": "1"}, {"contract": 2, "run": 7}):
        with pytest.raises(ConfigError):
            Results.of(broken)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"contract": 1, "contract": 1}', b'{"contract": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"contract": 1, "a": "\\ud800"}'],
)  # fmt: skip
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        Results.parse(content)


ROW = "questions__tgi_generation__rows__0"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"study__digest": "sha256:short"}, "/study/digest"),
        ({"privacy__mode": "none"}, "/privacy/mode"),
        ({"privacy__epsilon": "1.0"}, "/privacy/epsilon"),
        ({"questions__product__rows__1__estimate": "many"}, "/questions/product/rows/1/estimate"),
        ({f"{ROW}__obs_status": "ux!"}, "/questions/tgi_generation/rows/0/obs_status"),
        ({f"{ROW}__obs_status": "xu"}, "/questions/tgi_generation/rows/0/obs_status"),
        ({f"{ROW}__preference": "maybe"}, "/questions/tgi_generation/rows/0/preference"),
        ({f"{ROW}__estimate": None}, "/questions/tgi_generation/rows/0"),
        ({f"{ROW}__conf_status": "C"}, "/questions/tgi_generation/rows/0"),
        ({f"{ROW}__scope": "chengdu"}, "/questions/tgi_generation"),
        ({f"{ROW}__product": 3}, "/questions/tgi_generation"),
        ({"questions__product__keys": ["product", "sex"]}, "/questions/product"),
        ({"questions__product__keys": ["estimate"]}, "/questions/product"),
        ({"questions__product__release": "by_city"}, "/questions/product"),
        ({"questions__product__cities": ["atlantis"]}, ""),
        ({"run": {"at": "", "software": ""}}, "/run/as_of"),
        ({"study__cohort": {"variable": "sex", "is": "male", "above": 3}}, "/study/cohort"),
    ],
)
def test_a_broken_file_is_refused_with_a_pointer_to_the_place(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ConfigError) as fault:
        Results.of(changed(**change), "there.json")
    assert fault.value.code == "RESULTS_INVALID"
    assert fault.value.at is not None
    assert (fault.value.at.file, fault.value.at.key) == ("there.json", pointer)


def test_keys_of_a_later_version_of_the_same_contract_are_left_alone() -> None:
    later = changed(privacy__novelty=[1, 2], study__novelty={"a": 1}, **{f"{ROW}__position": "below"})
    question = Results.of(later).questions["tgi_generation"]
    assert question.rows[0]["position"] == "below"
    assert question.rows[1]["position"] is None
    assert question.columns()[-3:] == ("position", "obs_status", "conf_status")


def test_a_withheld_cell_is_empty_in_the_frame_and_never_a_zero() -> None:
    import pandas

    frame = Results.of(DP).table("tgi_generation")
    held = frame[frame["conf_status"] == "C"]
    assert len(held) == 1
    assert held[["estimate", "display", "ci_low", "ci_high"]].isna().all(axis=None)
    assert frame["estimate"].dtype == pandas.Float64Dtype()
    assert list(frame.columns[:4]) == ["scope", "measure", "product", "generation"]
    assert frame["estimate"].notna().sum() == sum(
        row.estimate is not None for row in Results.of(DP).questions["tgi_generation"].rows
    )
    assert Results.of(DP).table("product_withdrew")["contrast"].sum() == 3


def test_an_unknown_question_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="accounts, product"):
        Results.of(DP).table("tgy")


@settings(max_examples=40, deadline=None)
@given(trees())
def test_a_frame_holds_the_rows_and_nothing_else(tree: dict[str, Any]) -> None:
    import pandas

    results = Results.of(tree)
    for name, question in results.questions.items():
        frame = results.table(name)
        assert tuple(frame.columns) == question.columns()
        given_rows = tree["questions"][name]["rows"]
        assert len(frame) == len(given_rows)
        for number, row in enumerate(given_rows):
            for column in frame.columns:
                value, given_value = frame[column].iloc[number], row.get(column)
                if given_value is None and column != "contrast":
                    assert pandas.isna(value)
                else:
                    assert value == (given_value or 0 if column == "contrast" else given_value)


def test_reading_results_loads_none_of_the_heavy_libraries() -> None:
    code = "import sys, coordinator.results; print(sorted({'flwr', 'duckdb', 'scipy', 'pandas', 'jinja2'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 this interpreter
    assert run.stdout.strip() == "[]"


def test_what_is_read_is_what_was_written() -> None:
    results = Results.load(HERE)
    assert json.loads(canonical(results.tree)) == DP
