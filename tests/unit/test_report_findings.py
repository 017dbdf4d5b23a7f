"""Each sentence of the first page, with a cell on either side of its predicate; marked cells are never mentioned."""

from typing import Any

import pytest

from coordinator.report.findings import findings
from coordinator.report.wording import Wording
from coordinator.results import Results
from protocols.errors import Language
from tests.vectors.report.make import whole


def said(tree: dict[str, Any], language: Language = "en") -> list[str]:
    results = Results.of(tree)
    made = findings(Wording(language, results.content), dict(results.questions))
    return [each.text.striptags() for each in made]


def only(*names: str) -> dict[str, Any]:
    tree = whole(exact=False)
    tree["questions"] = {name: tree["questions"][name] for name in names}
    return tree


def row(tree: dict[str, Any], question: str, measure: str, **keys: object) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        each
        for each in tree["questions"][question]["rows"]
        if each["measure"] == measure and all(each.get(key) == value for key, value in keys.items())
    ]
    return found[0]


def test_the_five_sentences_of_a_full_study_each_with_its_interval() -> None:
    english, chinese = said(whole(exact=False)), said(whole(exact=False), "zh")
    assert len(english) == len(chinese) == 5
    assert 'Product "free" is higher by 48.9 percentage points (95% interval 47.5–50.4)' in english[0]
    assert 'Withdrew in 24 months "yes" than among those with "no"' in english[0]
    assert "TGI 177.8 (95% interval 174.5–181.0)" in english[1]
    assert "TGI 26.1 (95% interval 23.1–29.5)" in english[2]
    assert 'By Product, "free" is the largest group: 40.8%' in english[3]
    assert "Cramér's V 0.119 (95% interval 0.113–0.125)" in english[4]
    assert "年代为“60后”者相对最集中：TGI 为 177.8（95% 区间 174.5–181.0）" in chinese[1]
    assert all("95% 区间" in sentence for sentence in chinese)


@pytest.mark.parametrize("mark", [{"obs_status": "u"}, {"obs_status": "b"}, {"preference": "none"}])
def test_a_marked_or_undecided_index_is_not_mentioned(mark: dict[str, str]) -> None:
    tree = only("tgi_generation")
    row(tree, "tgi_generation", "index", product="free", generation="60s").update(mark)
    assert not any("177.8" in sentence for sentence in said(tree))
    assert "TGI 118.9" in said(tree)[0]  # the next one above 100


def test_without_any_index_on_one_side_that_sentence_is_left_out() -> None:
    tree = only("tgi_generation")
    for each in tree["questions"]["tgi_generation"]["rows"]:
        if each.get("preference") == "over":
            each["preference"] = "none"
    assert len(said(tree)) == 1
    assert "below 100" in said(tree)[0]


@pytest.mark.parametrize(("q", "low", "holds"), [(0.05, 0.001, True), (0.0501, 0.001, False), (0.01, -0.001, False)])
def test_a_contrast_is_said_if_it_is_tested_and_clear_of_nothing(q: float, low: float, holds: bool) -> None:
    tree = only("product_withdrew")
    for each in tree["questions"]["product_withdrew"]["rows"]:
        if each.get("contrast"):
            each.update(estimate=0.02, display=0.02, ci_low=low, ci_high=0.039, p_value=q, q_value=q)
    assert bool(said(tree)) == holds


def test_a_negative_contrast_is_said_of_the_other_group() -> None:
    tree = only("product_withdrew")
    for each in tree["questions"]["product_withdrew"]["rows"]:
        if each.get("contrast") and each["product"] != "monthly":
            each["obs_status"] = "u"
    assert (
        'higher by 25.9 percentage points (95% interval 24.9–27.0) among holders with Withdrew in 24 months "no"'
        in said(tree)[0]
    )


def test_a_code_leads_only_if_its_interval_lies_above_all_others() -> None:
    tree = only("product")
    assert len(said(tree)) == 1
    second = row(tree, "product", "share", product="monthly")
    leader = row(tree, "product", "share", product="free")
    second["ci_high"] = leader["ci_low"]
    assert said(tree) == []
    second["ci_high"] = leader["ci_low"] - 1e-9
    assert len(said(tree)) == 1
    second.update(estimate=None, display=None, ci_low=None, ci_high=None, conf_status="C")
    assert said(tree) == []  # a withheld cell could be larger


def test_a_leader_with_a_mark_is_not_mentioned_and_two_codes_have_no_leader() -> None:
    tree = only("product")
    row(tree, "product", "share", product="free")["obs_status"] = "u"
    assert said(tree) == []
    tree = only("product")
    tree["questions"]["product"]["rows"] = [
        each for each in tree["questions"]["product"]["rows"] if each["product"] != "lump_sum"
    ]
    assert said(tree) == []


@pytest.mark.parametrize(("share", "holds"), [(0.9, True), (0.901, False)])
def test_a_code_that_nearly_everybody_has_is_no_news(share: float, holds: bool) -> None:
    tree = only("product")
    row(tree, "product", "share", product="free").update(estimate=share, ci_low=share - 0.01, ci_high=share + 0.01)
    assert bool(said(tree)) == holds


def test_an_association_is_said_if_it_is_tested_and_above_nothing() -> None:
    tree = only("sex_marital", "product_education")
    assert '"Product" and "Education"' in said(tree)[0]
    chi, v = tree["questions"]["product_education"]["tests"]
    chi["p_value"] = 0.051
    assert '"Sex" and "Marital status"' in said(tree)[0]
    chi["p_value"], v["ci_low"] = 0.05, 0.0
    assert '"Sex" and "Marital status"' in said(tree)[0]
    v["ci_low"] = 0.001
    assert '"Product" and "Education"' in said(tree)[0]


def test_rows_of_single_cities_carry_no_sentence() -> None:
    """No city is held up to the others on the first page."""
    tree = only("tgi_generation")
    question = tree["questions"]["tgi_generation"]
    question["release"] = "by_city"
    for each in question["rows"]:
        each["scope"] = "chengdu"
    assert said(tree) == []
