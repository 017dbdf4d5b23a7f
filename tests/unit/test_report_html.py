"""The page: its structure, its numbers traced to rows, what it must say about release and privacy, and what it must not hold."""

import copy
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import report
from coordinator.report import html
from coordinator.report.numbers import fixed, printed, probability, span
from coordinator.report.wording import LANGUAGES, Wording, strings
from coordinator.results import Results, Row
from protocols.canonical import canonical
from protocols.errors import Language
from protocols.statistics import KINDS
from tests.unit.pages import numbers, parse, structure, trees
from tests.vectors.report.make import whole

VECTORS = Path(__file__).parent.parent / "vectors" / "report"
CSS = (Path(report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
DP, EXACT = whole(exact=False), whole(exact=True)
both = pytest.mark.parametrize("language", LANGUAGES)


def page(tree: dict[str, Any], language: Language = "zh") -> str:
    return html.render(Results.of(tree), language)


def text(tree: dict[str, Any], language: Language = "zh") -> str:
    return parse(page(tree, language)).text


def changed(tree: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A copy with parts replaced; two underscores lead one level down."""
    made = copy.deepcopy(tree)
    for path, value in parts.items():
        *way, last = path.split("__")
        place = made
        for step in way:
            place = place[step]
        place[last] = copy.deepcopy(value)
    return made


def by_city() -> dict[str, Any]:
    """Two questions released by single cities, and nothing pooled."""
    tree = changed(DP, questions={name: DP["questions"][name] for name in ("product", "tgi_generation")})
    for question in tree["questions"].values():
        question["release"] = "by_city"
        question["rows"] = [{**row, "scope": city} for city in ("chongqing", "chengdu") for row in question["rows"]]
    return tree


# --- structure


@both
def test_headings_captions_columns_and_marks_are_as_accepted(language: Language) -> None:
    golden = json.loads((VECTORS / f"structure.{language}.json").read_text(encoding="utf-8"))
    assert structure(page(DP, language)) == golden


def test_marked_numbers_are_counted_once_for_the_whole_page() -> None:
    """At the head, in a sentence and beside the key of marks: the same rows, a question about some holders among them, and no row that has
    no number because none applies."""
    some = changed(DP["questions"]["product"], cohort={"variable": "owner", "is": "yes"})
    late = {**some["rows"][0], "estimate": None, "obs_status": "z"}
    doubtful = {**some["rows"][0], "obs_status": "u"}
    tree = changed(DP, questions__owners={**some, "rows": [*some["rows"], late, doubtful]})
    told = [
        row
        for question in Results.of(tree).questions.values()
        for row in question.rows
        if "_missing" not in row.at(question.keys) and "z" not in row.obs_status
    ]
    marked = sum(bool(row.obs_status or row.conf_status) for row in told)
    said = text(tree, "en")
    assert re.search(rf"Numbers with a mark\s*{marked}\s*/ {len(told)}rows", said)
    assert f"{marked} of {len(told)} numbers carry a mark" in said
    assert f"{len(told)} numbers (rows" in said


@both
def test_the_page_is_accessible(language: Language) -> None:
    for tree in (DP, EXACT, by_city()):
        root = parse(page(tree, language))
        assert [each.attributes["lang"] for each in root.every("html")] == [{"zh": "zh-CN", "en": "en"}[language]]
        levels = [int(each.tag[1]) for each in root.every("h1", "h2", "h3", "h4")]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        for table in root.every("table"):
            assert len([each for each in table.every("caption") if each.text]) == 1
            assert all(each.attributes.get("scope") for each in table.every("th"))
            assert all(each.text for each in table.every("th"))
        assert all(
            each.attributes.get("title") or each.text in ("[u]", "[x]", "[z]", "[b]", "[c]")
            for each in root.every("abbr")
        )
        ids = [each.attributes["id"] for each in root.every() if "id" in each.attributes]
        assert len(ids) == len(set(ids))
        assert {each.attributes["href"].removeprefix("#") for each in root.every("a")} <= set(ids)


def luminance(colour: str) -> float:
    colour = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_text_stands_out_from_its_ground() -> None:
    """WCAG 2.2: at least 4.5 to 1, also in every step of the heat map."""
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", CSS))
    steps = dict(re.findall(r"\.([uo][1-5]|grey) \{ background: (#[0-9a-f]{6}) \}", CSS))
    assert len(steps) == 11
    assert "td.u5, td.o5 { color: #fff }" in CSS
    assert "td.grey { color: var(--muted) }" in CSS
    inks = {
        step: "#ffffff" if step in ("u5", "o5") else named["muted"] if step == "grey" else named["ink"]
        for step in steps
    }
    for step, ground in steps.items():
        assert contrast(inks[step], ground) >= 4.5, step
    for ink in ("ink", "muted", "accent", "warn"):
        assert contrast(named[ink], "#ffffff") >= 4.5, ink
    assert contrast("#b3261e", "#ffffff") >= 4.5


def test_the_same_results_give_the_same_bytes() -> None:
    assert page(DP) == page(json.loads(canonical(DP)))
    assert html.render(Results.load(VECTORS), "en") == page(DP, "en")


@both
def test_nothing_is_loaded_and_nothing_runs(language: Language) -> None:
    for tree in (DP, EXACT):
        made = page(tree, language)
        (policy,) = [
            each.attributes["content"]
            for each in parse(made).every("meta")
            if each.attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        assert (
            policy
            == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
        )
        assert not re.search(r"<script|\bsrc=|https?:|url\(|@import|javascript:", made)


def test_the_page_of_a_study_like_the_flagship_is_small() -> None:
    """Forty questions, twenty of them the largest crosstab: at most 400 KiB."""
    tree = copy.deepcopy(DP)
    for number in range(20):
        tree["questions"][f"more_{number}"] = {
            **copy.deepcopy(DP["questions"]["product_education"]),
            "number": 20 + number,
        }
    for number in range(9):
        tree["questions"][f"also_{number}"] = {**copy.deepcopy(DP["questions"]["channel"]), "number": 50 + number}
    for language in LANGUAGES:
        assert len(page(tree, language).encode()) <= 400 * 1024


def test_a_huge_study_says_what_it_leaves_to_the_files() -> None:
    first = DP["questions"]["three"]["rows"][0]
    rows = [{**first, "sex": f"code_{number}", "product": f"code_{number % 7}"} for number in range(1_000)]
    tree = changed(DP, questions={f"huge_{number}": {**DP["questions"]["three"], "rows": rows} for number in range(4)})
    for number in range(60):
        tree["questions"][f"many_{number}"] = {**DP["questions"]["product_education"], "number": 20 + number}
    made = page(tree)
    assert len(made.encode()) <= 1024 * 1024
    assert "另有 600 行只列于 CSV 文件。" in parse(made).text
    count = len(DP["questions"]["product_education"]["rows"])
    assert f"共 {count} 个数值，篇幅所限，只列于 CSV 文件。" in parse(made).text


def test_long_texts_are_cut_on_the_page() -> None:
    long = "很" * 100_000
    tree = changed(DP, study__title={"zh": long}, study__asker={"id": "x", "role": "analyst", "name": long})
    tree["words"]["variables"]["product"]["codes"]["free"]["zh"] = long
    assert len(page(tree).encode()) <= 250 * 1024
    assert "很…" in page(tree)


# --- numbers


def allowed(row: Row) -> set[str]:
    """Every way in which a row's own numbers are printed."""
    shown = printed(row)
    texts = {"" if shown is None else shown.value, "" if shown is None else "+" + shown.value}
    texts |= {span(shown.low, shown.high)} if shown and shown.low else {""}
    texts |= {"" if p is None else probability(p) for p in (row.p_value, row.q_value)}
    texts |= {strings()[f"preference_{row.preference}"][language] for language in LANGUAGES if row.preference}
    texts |= {"" if row.base is None else fixed(row.base, 0)}
    return texts | ({""} if row.doubtful else set())  # nothing is read into a doubtful index


def traced(results: Results, made: str) -> None:
    """Every number of every table is the number of the row it names, with that row's error and marks beside it."""
    for question, place, number, beside in numbers(made):
        row = results.questions[question].rows[int(place)]
        assert number in allowed(row), (question, place)
        shown = printed(row)
        if number and shown and number.lstrip("+") == shown.value and not (number == shown.value == ""):
            marks = " ".join(f"[{letter}]" for letter in row.letters)
            assert beside in ("", marks, f"{shown.error} {marks}".strip()), (question, place)
        if row.estimate is None:
            assert number == "" or number in allowed(row)


@both
def test_every_number_of_a_table_is_the_number_of_its_row(language: Language) -> None:
    for tree in (DP, EXACT, by_city()):
        traced(Results.of(tree), page(tree, language))


@settings(max_examples=40, deadline=None)
@given(trees())
def test_any_valid_results_become_a_page_in_both_languages_with_the_same_numbers(tree: dict[str, Any]) -> None:
    results = Results.of(tree)
    zh, en = (html.render(results, language) for language in LANGUAGES)
    words = {strings()[f"preference_{each}"][language] for each in ("over", "under", "none") for language in LANGUAGES}
    assert [each for each in numbers(zh) if each[2] not in words] == [
        each for each in numbers(en) if each[2] not in words
    ]
    traced(results, zh)
    assert html.render(results, "zh") == zh


@settings(max_examples=20, deadline=None)
@given(trees(st.sampled_from(("<b>", '"', "'>", "\u202e", "&amp;", "a\x00", ""))))
def test_texts_of_the_results_never_change_the_page_around_them(tree: dict[str, Any]) -> None:
    for language in LANGUAGES:
        made = page(tree, language)
        assert not {"b"} & {
            each.tag for section in parse(made).every("table", "header", "nav") for each in section.every()
        }
        assert not [mark for mark in made if not mark.isprintable() and mark not in "\n\u00a0"]


@both
def test_every_released_index_share_and_count_is_on_the_page_or_named_as_left_out(language: Language) -> None:
    """Shares of all holders of a crosstab are the one measure that only the CSV has; the page says so."""
    seen = {(question, int(place)) for question, place, _, _ in numbers(page(DP, language))}
    for name, question in Results.of(DP).questions.items():
        for place, row in enumerate(question.rows):
            unknown = "_missing" in row.at(question.keys)
            left_out = question.kind == "crosstab" and row.measure == "share" and len(question.keys) == 2
            if not left_out and not (unknown and row.measure != "count"):
                assert (name, place) in seen
    assert {"zh": "占全体缴存人的比例见 CSV", "en": "shares of all holders are in the CSV"}[language] in text(
        DP, language
    )


def test_a_withheld_number_is_nowhere_on_the_page() -> None:
    """The cell says that it is withheld, and by which rules that happens."""
    (row,) = [row for row in DP["questions"]["tgi_generation"]["rows"] if row["conf_status"]]
    assert row["estimate"] is None
    made = parse(page(DP))
    (figure,) = [each for each in made.every("figure") if each.attributes["id"] == "fig-tgi_generation"]
    (line,) = [each for each in figure.every("tr") if "[c]" in each.text]
    assert [each.text for each in line.every("td")] == ["", "[c]", "", "", "", "29,168", ""]
    assert [each.text for each in figure.every("text") if "[c]" in each.text] == ["[c]"]
    assert "保密不公布：低于最小单元" in made.text


def test_a_missing_line_has_a_count_and_no_share_and_stands_last() -> None:
    (table,) = [each for each in parse(page(DP)).every("table") if each.attributes.get("data-question") == "residence"]
    *_, last = (line for body in table.every("tbody") for line in body.every("tr"))
    assert last.text.startswith("缺失或无法提供")
    assert [each.text for each in last.every("td")] == ["5,028", "±45", "", "[z]", ""]
    assert not list(last.every("i"))


# --- what it must say


@both
def test_every_mark_is_counted_with_its_rule_and_where_it_stands(language: Language) -> None:
    results = Results.of(DP)
    (section,) = [
        each for each in parse(page(DP, language)).every("section") if each.attributes.get("id") == "withheld"
    ]
    lines = {line.text[:3]: line for body in section.every("tbody") for line in body.every("tr")}
    judged = [
        (name, row)
        for name, question in results.questions.items()
        for row in question.rows
        if not {"_missing", "_outside"} & set(row.at(question.keys))
    ]
    for letter in "uxbc":
        count = sum(letter in row.letters for _, row in judged)
        assert (f"[{letter}]" in lines) == (count > 0)
        if count:
            line = lines[f"[{letter}]"]
            counted, rule, _ = (each.text for each in line.every("td"))
            assert counted == str(count)
            assert rule == strings()[f"rule_{letter}"][language]
            anchors = [each.attributes["href"] for each in line.every("a")]
            assert anchors
            assert set(anchors) <= {f"#q-{name}" for name, row in judged if letter in row.letters}
    assert f"{len(judged)}" in section.text
    bare = copy.deepcopy(DP)
    for question in bare["questions"].values():
        question["rows"] = [row for row in question["rows"] if not row["obs_status"] and not row["conf_status"]]
    assert not [each for each in parse(page(bare, language)).every() if each.attributes.get("id") == "withheld"]


@both
def test_each_cap_of_each_city_is_a_bar_whose_numbers_stand_beside_it(language: Language) -> None:
    caps = [
        {"scope": "per_asker_year", "epsilon": 6, "room": 3.2, "used": 0.8, "cost": 0.16, "epsilon_before": 2.5},
        {"scope": "total", "epsilon": 16, "room": 10.0, "used": 9.5, "cost": 1.0, "epsilon_before": 15.2},
        {"scope": "another", "epsilon": 1, "room": 1.0, "used": 0.0, "cost": 0.0},
    ]
    tree = changed(DP, privacy__spent=[{"city": "chengdu", "epsilon": 1.0, "caps": caps}])
    (table,) = parse(page(tree, language)).of("budget")
    lines = [[each.text for each in line.every("td")] for body in table.every("tbody") for line in body.every("tr")]
    assert [line[1:4] for line in lines] == [
        ["6.00", "2.50", "1.00"],
        ["16.00", "15.20", "1.00"],
        ["1.00", "0.00", "1.00"],
    ]
    assert [line[4] for line in lines] == ["25.0% · 5.0% · 70.0%", "95.0% · 10.0% · 0.0%", "0.0% · 0.0% · 100.0%"]
    assert lines[0][0] == {"zh": "本提问方，当年", "en": "this asker, this year"}[language]
    assert lines[2][0] == "another"
    widths = [[bar.attributes["style"] for bar in each.every("i")] for each in table.of("room")]
    assert widths[0] == ["width:25.0%", "width:5.0%"]
    without = {"zh": "本结果未记载各市上限", "en": "does not state the caps"}[language]
    assert without in text(DP, language)
    assert without not in text(tree, language)
    assert without not in text(EXACT, language)


@both
def test_how_empty_values_are_counted_is_said_beside_the_definitions(language: Language) -> None:
    tree = changed(DP, words__nulls={"product": "zero", "sex": "zero", "education": "drop"})
    zero, left_out = {
        "zh": ("空值按 0 计", "空值不计入"),
        "en": ("Empty values count as 0", "Empty values stand under"),
    }[language]
    assert zero in text(tree, language)
    assert left_out in text(tree, language)
    assert zero not in text(DP, language)
    assert left_out not in text(DP, language)


@both
def test_bins_are_said_in_words(language: Language) -> None:
    words = {"months": {"zh": "月数", "unit": "month"}, "paid": {"zh": "金额", "unit": "CNY"}}
    wording = Wording(language, Results.of(changed(DP, words__variables=words)).content)
    found = [wording.code(*each) for each in (("months", "[4, 6)"), ("paid", "[4, 6)"), ("paid", "[3500, 80000]"))]
    assert (
        found
        == {"zh": ["4 至 5", "4 至不足 6", "3500 及以上"], "en": ["4 to 5", "4 to under 6", "3500 or more"]}[language]
    )
    assert [wording.code("months", code) for code in ("3", "[a, b)", "[4, 6")] == ["3", "[a, b)", "[4, 6"]


@both
def test_the_release_is_told_three_times(language: Language) -> None:
    said = {
        "zh": ("公布方式：合计", "合计：安全求和，协调方只见总和"),
        "en": ("Released: pooled", "Pooled: a secure sum; the coordinator saw only the total"),
    }[language]
    root = parse(page(DP, language))
    assert said[0] in [each.text for each in root.of("badge")]
    for section in root.of("question"):
        assert section.text.count(said[1]) == len(list(section.every("table")))
    (privacy,) = [each for each in root.every("section") if each.attributes.get("id") == "privacy"]
    assert {"zh": "协调方见到的只是各市之和", "en": "what the coordinator sees is the sum over the cities"}[
        language
    ] in privacy.text


@both
def test_no_text_says_that_only_the_sum_was_seen_above_the_rows_of_a_city(language: Language) -> None:
    made = text(by_city(), language)
    for only_the_sum in (
        "协调方只见总和",
        "协调方见到的只是各市之和",
        "saw only the total",
        "is the sum over the cities",
    ):
        assert only_the_sum not in made
    assert {"zh": "分市：各市自行加噪后公布，误差较大", "en": "By city: each city adds its own noise"}[language] in made
    assert {"zh": "公布方式：分市", "en": "Released: by city"}[language] in made
    assert {"zh": "重庆", "en": "Chongqing"}[language] in [
        part for each in parse(page(by_city(), language)).every("caption") for part in each.text.split(" · ")
    ]


def test_a_page_with_both_releases_says_each_over_its_own_rows() -> None:
    tree = by_city()
    tree["questions"]["product"] = {**copy.deepcopy(DP["questions"]["product"])}
    root = parse(page(tree, "en"))
    notes = {each.attributes["id"]: each.text for each in root.of("question")}
    assert "the coordinator saw only the total" in notes["q-product"]
    assert "the coordinator saw only the total" not in notes["q-tgi_generation"]
    assert "Released: pooled and by city" in root.text
    exact = changed(tree, privacy=EXACT["privacy"])
    assert "By city: each city publishes its own numbers, without noise" in text(exact, "en")


@pytest.mark.parametrize(
    ("language", "claim", "word"),
    [("zh", "数值是否由各市之和算得", "仅凭协调方所述"), ("en", "that the numbers follow", "its word")],
)
def test_no_page_of_mode_exact_says_that_verification_recomputes_its_numbers(
    language: Language, claim: str, word: str
) -> None:
    assert claim in text(DP, language)
    assert claim not in text(EXACT, language)
    assert word in text(EXACT, language)


def released_both() -> dict[str, Any]:
    """One question released pooled and by two cities."""
    tree = changed(DP, questions={"product": DP["questions"]["product"]})
    question = tree["questions"]["product"]
    question["release"] = "both"
    question["rows"] = [{**row, "scope": at} for at in ("pooled", "chongqing", "chengdu") for row in question["rows"]]
    tree["privacy"]["own_of_each_city"] = {"form": "own_cells", "cells": 12, "bytes": 96, "ring": 64}
    tree["privacy"]["own_blocks"] = tree["privacy"]["blocks"][:1]
    return tree


@both
def test_where_cities_answered_for_themselves_nobody_is_told_that_only_a_sum_was_seen(language: Language) -> None:
    """Told three times: in the head, under each table, in the part on privacy."""
    root = parse(page(released_both(), language))
    for only_the_sum in (
        "协调方只见总和",
        "协调方见到的只是各市之和",
        "saw only the total",
        "what the coordinator sees is the sum",
    ):
        assert only_the_sum not in root.text
    (question,) = root.of("question")
    for said in {
        "zh": ("合计：由安全求和与各市自行加噪后公布的数值合并得出", "分市：各市自行加噪后公布，误差较大"),
        "en": (
            "Pooled: from a secure sum and the noised numbers of the cities together",
            "By city: each city adds its own noise",
        ),
    }[language]:
        assert said in question.text
    assert {"zh": "公布方式：合计与分市", "en": "Released: pooled and by city"}[language] in root.text
    assert {
        "zh": "本市自行加噪的整数 12 个（未掩码），96 字节",
        "en": "12 integers of its own, noised and not masked, 96 bytes",
    }[language] in root.text
    exact = changed(
        released_both(),
        privacy={**EXACT["privacy"], "own_of_each_city": {"form": "own_cells", "cells": 1, "bytes": 8, "ring": 64}},
    )
    del exact["privacy"]["left_each_city"]
    said = text(exact, language)
    assert {"zh": "合计：各市公布数值之和", "en": "Pooled: the sum of the numbers that cities publish"}[
        language
    ] in said
    assert {"zh": "标明“合计”的数值来自安全求和", "en": "comes from a secure sum"}[language] not in said


def test_cities_stand_in_one_table_in_the_order_of_the_roster() -> None:
    root = parse(page(released_both(), "en"))
    (question,) = root.of("question")
    heads = [each.text for each in question.every("th") if each.attributes.get("scope") == "row"]
    assert heads[-4:] == ["Chongqing", "Chengdu"] * 2, "counts, then shares"


def test_a_city_that_is_in_the_sum_alone_is_named_with_its_reason() -> None:
    tree = released_both()
    tree["cities"]["uncounted"] = [{"city": "chengdu", "reason": "no_counted", "detail": "timed_out"}]
    said = text(tree, "en")
    assert "Chengdu is in the totals and gave no numbers of its own: its own numbers did not arrive" in said
    assert "in the sum, without numbers of its own" in said


@both
def test_exact_mode_says_no_noise_under_the_title_and_on_every_table(language: Language) -> None:
    root = parse(page(EXACT, language))
    (line,) = root.of("exactline")
    assert line.text.startswith("未加噪 · no noise")
    assert all(
        "未加噪 · no noise" in table.text for table in root.every("table") if "data-question" in table.attributes
    )
    assert "border: 2px solid #b3261e" in CSS
    assert "未加噪" not in text(DP, "en")
    assert not list(parse(page(DP, language)).of("exactline"))


@both
def test_the_privacy_section_says_what_left_what_it_cost_and_what_is_not_protected(language: Language) -> None:
    (section,) = [each for each in parse(page(DP, language)).every("section") if each.attributes.get("id") == "privacy"]
    for said in ("431", "1,724", "232", "ε = 1.00", "1e-6", "2.13", "518.85", "22.8", "129.71", "RDP", "Skellam"):
        assert said in section.text, said
    limits = sum(1 for each in section.every("ul") for _ in each.every("li"))
    trust = sum(1 for each in section.every("ol") for _ in each.every("li"))
    assert (trust, limits) == (5, 14)
    exact = parse(page(EXACT, language))
    (section,) = [each for each in exact.every("section") if each.attributes.get("id") == "privacy"]
    assert (
        sum(1 for each in section.every("ul") for _ in each.every("li")) == 15
    )  # two of exact mode more, one of noise less
    three = changed(DP, cities={**DP["cities"], "answered": DP["cities"]["answered"][:3]}, questions={})
    assert {"zh": "只有三个城市且其中一个与协调方合谋", "en": "With three cities and one that colludes"}[
        language
    ] in text(three, language)


@both
def test_seeded_invented_and_open_data_are_said_in_words(language: Language) -> None:
    flags = {
        "synthetic": ("虚构", "invented"),
        "seeded": ("固定随机种子", "fixed seed"),
        "open_data": ("公开的微观数据", "public microdata"),
    }
    for flag, (zh, en) in flags.items():
        word = zh if language == "zh" else en
        without = {key: value for key, value in DP["privacy"].items() if key not in flags}
        assert word in text(changed(DP, privacy={**without, flag: True}), language)
        assert word not in text(changed(DP, privacy=without), language)


@both
def test_codes_that_no_value_of_a_city_becomes_are_named_where_they_are_shown_and_with_the_methods(
    language: Language,
) -> None:
    listed = {"zh": "中专中技（成都）", "en": "vocational (Chengdu)"}[language]
    told = {"zh": f"学历：{listed}。", "en": f"Education: {listed}."}[language]
    made = text(DP, language)
    assert listed in made.split(told)[0], "beside the tables by education"
    assert made.count(told) == 1
    none = text(changed(DP, cities={**DP["cities"], "unused": {}}), language)
    elsewhere = {"suzhou": {"education": ["vocational"]}}  # a city that is missing says nothing
    lost = text(changed(DP, cities={**DP["cities"], "unused": elsewhere}), language)
    word = {"zh": "没有任何本地取值归入", "en": "No local value"}[language].lower()
    assert [word in page.lower() for page in (made, none, lost)] == [True, False, False]


@both
def test_a_page_of_single_cities_says_that_it_compares_none(language: Language) -> None:
    marked = {"zh": "没有哪个未加标记的数值", "en": "No number without a mark is clear enough"}[language]
    compared = {"zh": "不比较城市", "en": "compares and ranks none"}[language]
    assert [word in text(by_city(), language) for word in (marked, compared)] == [False, True]
    nothing = changed(DP, questions={})
    assert [word in text(nothing, language) for word in (marked, compared)] == [True, False]


@both
def test_statements_about_the_table_of_a_city_stand_under_its_name(language: Language) -> None:
    tree = copy.deepcopy(DP)
    question = tree["questions"]["product_education"]
    question["tests"] += [{**test, "scope": "chengdu", "estimate": 0.4} for test in question["tests"]]
    made = text(tree, language)
    pooled, own = {"zh": ("V = 0.119", "；成都：独立性检验"), "en": ("V = 0.119", "; Chengdu: Test of independence")}[
        language
    ]
    assert pooled in made.split(own)[0]
    assert "V = 0.400" in made.split(own)[1]


@both
def test_cities_that_are_missing_or_lack_a_variable_are_named_with_the_reason(language: Language) -> None:
    made = text(DP, language)
    assert {
        "zh": "不含苏州：未送达掩码向量（无法连接）",
        "en": "Suzhou is not part of it: its masked vector did not arrive (unreachable)",
    }[language] in made
    assert {
        "zh": "常州无法提供本表所用变量（常住地）",
        "en": "Changzhou cannot give a variable of this table (Residence)",
    }[language] in made
    derived = changed(DP, cities={**DP["cities"], "cannot": {"changzhou": ["birth_year"]}})
    assert {"zh": "常州无法提供本表所用变量，", "en": "Changzhou cannot give a variable of this table;"}[
        language
    ] in text(derived, language)
    declined = changed(
        DP, cities={**DP["cities"], "missing": [{"city": "suzhou", "reason": "declined:POLICY_KIND", "detail": ""}]}
    )
    assert "POLICY_KIND" in text(declined, language)


def test_a_study_without_any_clear_number_says_so() -> None:
    tree = copy.deepcopy(DP)
    for question in tree["questions"].values():
        for row in question["rows"]:
            row["obs_status"] = row["obs_status"] or "b"
        question.pop("tests", None)
    assert "没有哪个未加标记的数值足以支撑一句判断" in text(tree)
    assert "No number without a mark is clear enough" in text(tree, "en")


@both
def test_the_headline_says_when_the_number_of_holders_was_not_asked(language: Language) -> None:
    tree = changed(DP, questions={"product": DP["questions"]["product"]})
    assert {"zh": "本研究未询问总数", "en": "this study did not ask for it"}[language] in text(tree, language)
    assert {"zh": "本研究没有可公布的问题", "en": "This study has no question to show"}[language] in text(
        changed(DP, questions={}), language
    )


@pytest.mark.parametrize(
    ("cohort", "zh", "en"),
    [
        (None, "全部缴存人", "all holders"),
        ({"variable": "sex", "is": "male"}, "性别为“男”", 'Sex is "male"'),
        ({"variable": "sex", "in": ["male", "female"]}, "性别为其中之一：男、女", "Sex is one of: male, female"),
        ({"variable": "age", "at_least": "45"}, "age不低于 45", "age at least 45"),
        ({"variable": "age", "between": ["20", "30"]}, "age在 20 与 30 之间", "age between 20 and 30"),
        ({"variable": "age", "missing": True}, "age缺失", "age is missing"),
        ({"variable": "age", "missing": False}, "age有值", "age is known"),
        ({"not": {"variable": "sex", "is": "male"}}, "并非（性别为“男”）", 'not (Sex is "male")'),
        (
            {"all": [{"variable": "sex", "is": "male"}, {"any": [{"variable": "age", "above": "1"}, {"variable": "age", "below": "2"}]}]},
            "性别为“男”，且（age高于 1，或age低于 2）",
            'Sex is "male" and (age above 1 or age below 2)',
        ),
        ({"variable": "closed", "is": "true"}, "closed为“是”", 'closed is "yes"'),
        ({"variable": "age", "at_most": "9"}, "age不高于 9", "age at most 9"),
    ],
)  # fmt: skip
def test_the_cohort_is_told_in_words(cohort: Any, zh: str, en: str) -> None:
    tree = changed(
        DP,
        study={key: value for key, value in DP["study"].items() if key != "cohort"}
        | ({"cohort": cohort} if cohort else {}),
    )
    content = Results.of(tree).content
    assert str(Wording("zh", content).cohort().unescape()) == zh
    assert str(Wording("en", content).cohort().unescape()) == en


@both
def test_amounts_stand_in_their_unit_by_group_and_those_without_a_value_apart(language: Language) -> None:
    """Bins carry the unit in their head; of groups, the key that only says `known` is no column."""

    def row(measure: str, product: str, known: str, estimate: float | None, **more: Any) -> dict[str, Any]:
        status = "" if estimate is not None else "z"
        place = {"product": product, "paid": known, "measure": measure, "scope": "pooled"}
        return {**place, "estimate": estimate, "obs_status": status, "conf_status": "", **more}

    mean = [
        row("count", "monthly", "known", 35247.2, ci_low=35182.0, ci_high=35312.4),
        row("count", "monthly", "_missing", 131.0),
        row("mean", "monthly", "known", 5262.3, ci_low=5116.1, ci_high=5408.5),
        row("mean", "monthly", "_missing", None),
        row("total", "monthly", "known", 185472770.25, ci_low=180685744.0, ci_high=190259796.5),
        row("total_share", "monthly", "known", 0.2193, ci_low=0.2123, ci_high=0.2263),
    ]
    bins = [
        {"scope": "pooled", "measure": "count", "paid": code, "estimate": 40.0, "obs_status": "", "conf_status": ""}
        for code in ("[0, 180)", "[180, 5000000]", "_missing")
    ]
    clipped = {"name": "clipped", "estimate": 0.00042, "low": 0.0, "high": 46.0, "limit": 0.001}
    shown = changed(
        DP,
        questions={
            "amount": {"kind": "mean", "cities": [], "keys": ["product", "paid"], "rows": mean, "tests": [clipped]},
            "bins": {"kind": "histogram", "cities": [], "keys": ["paid"], "rows": bins},
        },
        words={"variables": {"paid": {"zh": "缴存额", "en": "Paid", "unit": "CNY", "codes": {}}}},
    )
    made = parse(page(shown, language))
    heads = [each.text for section in made.of("question") for each in section.every("th")]
    of = {
        "zh": ("均值（元）", "合计（元）", "占总额 %", "缴存额（元）"),
        "en": ("Mean (CNY)", "Total (CNY)", "Share of the total %", "Paid (CNY)"),
    }
    assert set(of[language]) <= set(heads)
    text_ = made.text
    for number in ("5,262", "185,472,770", "21.9", "131", {"zh": "180 及以上", "en": "180 or more"}[language]):
        assert number in text_
    assert {"zh": "占 0.04%（超过 0.1%", "en": "0.04% of the values"}[language] in text_
    titles = {
        "zh": ("缴存额的均值与合计，按product", "缴存额的分布"),
        "en": ("Paid: mean and total, by product", "Distribution of Paid"),
    }
    assert all(title in text_ for title in titles[language])


@pytest.mark.parametrize("kind", [*KINDS, "a_later_kind"])
@both
def test_every_kind_is_shown_from_a_small_result_and_from_one_with_every_status(kind: str, language: Language) -> None:
    two = ["sex", "marital"]
    keys = {"count": [], "crosstab": two, "tgi": two, "compare": ["indicator"], "moments": ["a", "b"]}.get(
        kind, ["sex"]
    )
    own = {"tgi": "index", "count": "count", "mean": "mean", "compare": "value", "moments": "correlation"}
    measure = own.get(kind, "share")
    place = dict.fromkeys(keys, "male")
    clear = {
        "scope": "pooled",
        "measure": measure,
        **place,
        "estimate": 0.5,
        "ci_low": 0.4,
        "ci_high": 0.6,
        "obs_status": "",
        "conf_status": "",
    }
    for rows in (
        [clear],
        [],
        [{**clear, "obs_status": "bu"}],
        [{**clear, "estimate": None, "obs_status": "x"}],
        [{**clear, "estimate": None, "obs_status": "z"}],
        [{"measure": measure, **place, "estimate": None, "conf_status": "C"}],
    ):
        question = {"kind": kind, "cities": [], "keys": keys, "rows": rows}
        made = parse(page(changed(DP, questions={"one": question}), language))
        assert {"zh": "方法说明", "en": "Method notes"}[language] in made.text
        shown = [*made.of("question"), *(figure for figure in made.every("figure"))]
        marks = {each.text for section in shown for each in section.every("abbr")}
        wanted = {
            f"[{letter}]"
            for row in rows
            for letter in f"{row.get('obs_status', '')}{row.get('conf_status', '')}".lower()
        }
        assert marks == wanted
    assert {"zh": "本问题没有可公布的数值", "en": "There is no number to show"}[language] in text(
        changed(DP, questions={"one": {"kind": kind, "cities": [], "keys": keys, "rows": []}}), language
    )
