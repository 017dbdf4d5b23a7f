"""CSV tables: the columns of the contract, every row, the numbers as they stand in results.json."""

import csv
import io
from typing import Any

from hypothesis import given, settings

from coordinator.report import tables
from coordinator.results import Results
from protocols.canonical import canonical
from tests.unit.pages import trees
from tests.vectors.report.make import whole

DP = Results.of(whole(exact=False))


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_table_has_a_byte_order_mark_windows_line_ends_and_every_row() -> None:
    for name, question in DP.questions.items():
        content = tables.table(DP, name)
        assert content.startswith(b"\xef\xbb\xbfscope,measure,")
        assert content.endswith(b"\r\n")
        assert content.count(b"\n") == content.count(b"\r\n") == len(question.rows) + 1


def test_columns_stand_in_the_order_of_the_contract_with_labels_beside_codes() -> None:
    head = tables.table(DP, "tgi_generation").decode("utf-8-sig").splitlines()[0]
    assert head == (
        "scope,measure,product,product_zh,product_en,generation,generation_zh,generation_en,base,estimate,display,se_noise,"
        "se_sampling,ci_low,ci_high,p_value,q_value,preference,obs_status,conf_status"
    )
    assert tables.table(DP, "accounts").decode("utf-8-sig").splitlines()[0] == (
        "scope,measure,estimate,display,se_noise,se_sampling,ci_low,ci_high,obs_status,conf_status"
    )
    with_contrasts = tables.table(DP, "product_withdrew").decode("utf-8-sig").splitlines()[0]
    assert with_contrasts.endswith("p_value,q_value,contrast,obs_status,conf_status")


def test_labels_are_in_both_languages_and_missing_is_said_in_words() -> None:
    first, *_, last = read(tables.table(DP, "residence"))
    assert (first["residence"], first["residence_zh"], first["residence_en"]) == ("local", "本市", "local")
    assert (last["residence"], last["residence_zh"], last["residence_en"]) == (
        "_missing",
        "缺失或无法提供",
        "missing or not available",
    )


def test_a_withheld_cell_is_empty_and_says_why() -> None:
    held = [row for row in read(tables.table(DP, "channel")) if row["channel"] == "counter"]
    assert [row["measure"] for row in held] == ["count", "share"]
    assert {row["estimate"] + row["display"] + row["ci_low"] + row["ci_high"] for row in held} == {""}
    assert {row["conf_status"] for row in held} == {"C"}


def test_numbers_are_written_as_in_the_results_and_a_number_below_zero_stays_a_number() -> None:
    rows = DP.questions["sex_marital"].rows
    printed = read(tables.table(DP, "sex_marital"))
    assert [row["estimate"] for row in printed] == [
        "" if row.estimate is None else canonical(row.estimate).decode() for row in rows
    ]
    assert any(row["estimate"].startswith("-") for row in printed)
    assert [tables.cell(value) for value in (-3.0, 1e-9, 8191.0, 0.1, -5, True, False, None)] == [
        "-3", "1e-9", "8191", "0.1", "-5", "true", "", "",
    ]  # fmt: skip


def test_the_same_results_give_the_same_bytes() -> None:
    again = Results.parse(canonical(whole(exact=False)))
    for name in DP.questions:
        assert tables.table(DP, name) == tables.table(again, name)


def test_a_variable_named_like_a_label_column_keeps_its_name() -> None:
    tree = whole(exact=False)
    question = tree["questions"]["product"]
    question["keys"] = ["product", "product_zh"]
    for row in question["rows"]:
        row["product_zh"] = "x"
    head = tables.table(Results.of(tree), "product").decode("utf-8-sig").splitlines()[0].split(",")
    assert len(set(head)) == len(head)
    assert head[2:6] == ["product", "product_zh", "product_zh_zh", "product_zh_en"]


@settings(max_examples=60, deadline=None)
@given(trees())
def test_the_rows_of_a_file_are_the_rows_of_the_results(tree: dict[str, Any]) -> None:
    results = Results.of(tree)
    for name, question in results.questions.items():
        found = read(tables.table(results, name))
        assert len(found) == len(question.rows)
        for row, written in zip(tree["questions"][name]["rows"], found, strict=True):
            for column in question.columns():
                value = row.get(column)
                text = (
                    value
                    if isinstance(value, str)
                    else ""
                    if value in (None, False) and value != 0.0
                    else tables.cell(value)
                )
                assert written[column] == text
