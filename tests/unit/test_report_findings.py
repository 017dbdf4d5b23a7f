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
    assert "177.8 for every 100 that the make-up of all would give (TGI, 95% interval 174.5–181.0)" in english[1]
    assert "26.1 for every 100 that the make-up of all would give (TGI, 95% interval 23.1–29.5)" in english[2]
    assert 'By Product, "free" is the largest group: 40.8%' in english[3]
    assert "Cramér's V 0.119 (0: not at all, 1: fully; 95% interval 0.113–0.125)" in english[4]
    assert (
        "“60后”（年代）明显偏多：若与全体构成相同应有 100 人，实有 177.8 人（TGI，95% 区间 174.5–181.0）" in chinese[1]
    )
    assert all("95% 区间" in sentence for sentence in chinese)


@pytest.mark.parametrize("mark", [{"obs_status": "u"}, {"obs_status": "b"}, {"preference": "none"}])
def test_a_marked_or_undecided_index_is_not_mentioned(mark: dict[str, str]) -> None:
    tree = only("tgi_generation")
    row(tree, "tgi_generation", "index", product="free", generation="60s").update(mark)
    assert not any("177.8" in sentence for sentence in said(tree))
    assert "118.9 for every 100" in said(tree)[0]  # the next one above 100


def test_without_any_index_on_one_side_that_sentence_is_left_out() -> None:
    tree = only("tgi_generation")
    for each in tree["questions"]["tgi_generation"]["rows"]:
        if each.get("preference") == "over":
            each["preference"] = "none"
    assert len(said(tree)) == 1
    assert "under-represented" in said(tree)[0]


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


def test_an_association_within_one_city_is_not_said_of_all_holders() -> None:
    tree = only("product_education")
    question = tree["questions"]["product_education"]
    of_city = [{**test, "scope": "chengdu"} for test in question["tests"]]
    of_city[1]["estimate"] = 0.9
    question["tests"] += of_city
    assert "Cramér's V 0.119" in said(tree)[0]
    question["tests"] = of_city
    assert said(tree) == []


def test_rows_of_single_cities_carry_no_sentence() -> None:
    """No city is held up to the others on the first page."""
    tree = only("tgi_generation")
    question = tree["questions"]["tgi_generation"]
    question["release"] = "by_city"
    for each in question["rows"]:
        each["scope"] = "chengdu"
    assert said(tree) == []


Shares = dict[tuple[str, str], tuple[float, float, float]]  # low, estimate and high of each pair of codes


def groups(question: dict[str, Any], kind: str, measure: str, keys: tuple[str, str], shares: Shares) -> None:
    """Make it a table of two variables."""
    row = {"scope": "pooled", "measure": measure, "obs_status": "", "conf_status": ""}
    question.update(kind=kind, keys=list(keys), tests=[])
    question["rows"] = [
        {
            **row,
            **dict(zip(keys, codes, strict=True)),
            "ci_low": low,
            "estimate": share,
            "display": share,
            "ci_high": high,
        }
        for codes, (low, share, high) in shares.items()
    ]


RARE: Shares = {
    ("yes", "male"): (0.02, 0.03, 0.04),
    ("yes", "female"): (0.001, 0.002, 0.003),
    ("no", "male"): (0.96, 0.97, 0.98),
    ("no", "female"): (0.997, 0.998, 0.999),
}


@pytest.mark.parametrize(
    ("kind", "measure", "turned"),
    [("crosstab", "column_share", False), ("crosstab", "row_share", True), ("frequency", "share", False)],
)
def test_how_common_a_yes_is_is_said_of_the_groups_where_it_differs_most(kind: str, measure: str, turned: bool) -> None:
    tree = only("product")
    shares = {(by, of): each for (of, by), each in RARE.items()} if turned else RARE
    groups(tree["questions"]["product"], kind, measure, ("sex", "owner") if turned else ("owner", "sex"), shares)
    assert len(said(tree)) == 1
    assert said(tree)[0].startswith("owner: 3.00% (95% interval 2.00%–4.00%) of the holders with Sex")
    assert "0.20% (0.10%–0.30%)" in said(tree)[0]


@pytest.mark.parametrize(
    "change", [{"obs_status": "u"}, {"ci_high": 0.02}, {"estimate": -0.001}, {"sex": "_missing"}, {"ci_low": None}]
)
def test_groups_that_are_not_apart_or_marked_carry_no_rate(change: dict[str, object]) -> None:
    tree = only("product")
    groups(tree["questions"]["product"], "crosstab", "column_share", ("owner", "sex"), RARE)
    tree["questions"]["product"]["rows"][1].update(change)
    assert said(tree) == []


def test_a_question_of_more_than_yes_and_no_carries_no_rate() -> None:
    tree = only("product")
    odd: Shares = {**RARE, ("odd", "male"): (0, 0.1, 0.2)}
    groups(tree["questions"]["product"], "crosstab", "column_share", ("owner", "sex"), odd)
    assert said(tree) == []


def test_a_group_whose_part_of_the_money_is_not_its_part_of_the_holders_is_said() -> None:
    tree = only("product")
    frequency = {**tree["questions"]["product"]}
    row = {"scope": "pooled", "obs_status": "", "conf_status": "", "paid": "known"}
    part = {**row, "measure": "total_share", "product": "free", "ci_low": 0.5, "estimate": 0.6, "display": 0.6, "ci_high": 0.7}  # fmt: skip
    total = {**row, "measure": "total", "estimate": 9, "display": 9, "ci_low": 8, "ci_high": 10}
    by = {**frequency, "kind": "mean", "keys": ["product", "paid"], "rows": [part], "number": 8}
    whole_ = {**frequency, "kind": "mean", "keys": ["paid"], "rows": [total], "number": 9}
    tree["questions"] |= {"paid_product": by, "paid": whole_}
    assert '60.0% (95% interval 50.0%–70.0%) of the total of "paid"' in said(tree)[0]
    assert "40.8%" in said(tree)[0]
    part.update(ci_low=0.3, estimate=0.41)  # no longer apart
    assert "of the total" not in said(tree)[0]
    part.update(ci_low=0.5, estimate=0.6)
    del tree["questions"]["paid"]  # nobody asked for the total of all
    assert "of the total" not in said(tree)[0]


def test_no_more_than_five_sentences_open_the_page() -> None:
    tree = whole(exact=False)
    groups(tree["questions"]["sex_marital"], "crosstab", "column_share", ("owner", "sex"), RARE)
    assert len(said(tree)) == 5
    assert "owner: 3.00%" in said(tree)[1]
