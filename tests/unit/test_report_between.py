"""The sentences that no single city could state, each with a cell on either side of its predicate."""

from typing import Any

import pytest

from coordinator.report.between import opening
from coordinator.report.wording import Wording
from coordinator.results import Results
from protocols.errors import Language
from tests.vectors.report.make import whole

Rows = list[dict[str, Any]]
LEVELS = ("false", "true")


def share(estimate: float, half: float = 0.005, **further: Any) -> dict[str, Any]:
    """A number with an interval."""
    return {
        "scope": "pooled", "measure": "share", "estimate": estimate, "display": max(estimate, 0.0),
        "ci_low": estimate - half, "ci_high": estimate + half, "obs_status": "", "conf_status": "", **further,
    }  # fmt: skip


def question(kind: str, keys: list[str], rows: Rows, tests: Rows = (), **further: Any) -> dict[str, Any]:  # type: ignore[assignment] # none
    cities = ["chengdu", "chongqing", "guangzhou"]
    return {"kind": kind, "cities": cities, "keys": keys, "rows": rows, "tests": list(tests), **further}


def regional(difference: float = -0.073, q: float = 0.001, half: float = 0.006, mark: str = "") -> dict[str, Any]:
    of = {"false": 0.36, "true": 0.36 + difference}
    rows = [share(of[level]) | {"product": "monthly", "city.subsidy": level} for level in LEVELS]
    contrast = {"product": "monthly", "city.subsidy": "true", "contrast": True, "p_value": q, "q_value": q}
    rows.append(share(difference, half, **contrast) | {"obs_status": mark})
    return question("frequency", ["product", "city.subsidy"], rows)


def segment(shares: dict[str, dict[str, float]], group: str = "young", mark: str = "") -> Rows:
    """Of one group: by level the share of each product."""
    return [
        share(value) | {"product": product, "city.subsidy": level, "segment": group, "obs_status": mark}
        for level, of in shares.items()
        for product, value in of.items()
    ]


def transported(rows: Rows) -> dict[str, Any]:
    return question("frequency", ["product", "city.subsidy", "segment"], rows)


def cities(
    p: float = 0.0005, i_squared: float = 0.97, marks: tuple[str, ...] = ("", "", ""), by: Any = ("sex",)
) -> dict[str, Any]:
    keys = {"indicator": "product", "product": "free"}
    values = {"chengdu": 0.46, "chongqing": 0.41, "guangzhou": 0.38}
    rows = [
        share(value, 0.01, scope=city, **keys) | {"measure": measure, "obs_status": mark}
        for (city, value), mark in zip(values.items(), marks, strict=True)
        for measure in (("value", "standardised") if by else ("value",))
    ]
    rows += [
        share(value - 0.41, 0.01, scope=city, p_value=0.01, q_value=0.02, **keys) | {"measure": "difference"}
        for city, value in values.items()
    ]
    of = {"indicator": "product", "cell": "free", "obs_status": ""}
    tests = [
        {"name": "heterogeneity", "statistic": 66.6, "df": 2, "p_value": p, **of},
        {"name": "i_squared", "estimate": i_squared, "ci_low": i_squared / 2, "ci_high": 0.99, **of},
    ]
    return question("compare", ["indicator", "product"], rows, tests, release="by_city", asked={"standardise": [*by]})


def said(language: Language = "en", /, **questions: dict[str, Any]) -> list[str]:
    tree = whole(exact=False)
    product = tree["questions"]["product"]
    tree["questions"] = {
        "product": product,
        **{name: {**each, "number": at} for at, (name, each) in enumerate(questions.items(), 1)},
    }
    results = Results.of(tree)
    return [each.text.striptags() for each in opening(Wording(language, results.content), dict(results.questions))]


BOTH = {"false": {"monthly": 0.44, "free": 0.33}, "true": {"monthly": 0.385, "free": 0.38}}
SAME = {"false": {"monthly": 0.2, "free": 0.56}, "true": {"monthly": 0.14, "free": 0.6}}
OTHER = {"false": {"monthly": 0.44, "free": 0.33}, "true": {"monthly": 0.3, "free": 0.4}}


def test_three_sentences_open_the_page_each_with_its_interval_and_others_follow() -> None:
    asked = {"regions": regional(), "cities": cities(), "segments": transported(segment(BOTH) + segment(SAME, "old"))}
    first, second, third, *others = said(**asked)
    assert "36.0% (35.5%–36.5%) of the holders in cities with" in first
    assert "a difference of 7.30 percentage points (95% interval 6.70–7.90)" in first
    assert "range from 38.0% (37.0%–39.0%) to 46.0% (45.0%–47.0%)" in second
    assert "I² = 97% (95% interval 48–99%)" in second
    assert "(Q = 66.6, 2 df, p < 0.001)" in second
    assert '"monthly" leads in cities with city.subsidy "no", 44.0% (43.5%–44.5%)' in third
    assert 'nothing is clear of the rest, "monthly" has 38.5% (38.0%–39.0%)' in third
    assert "The same choice leads in both kinds of cities among: old." in third
    assert len(others) == 1
    assert others[0].startswith('By Product, "free" is the largest group: 40.8%')
    chinese = said("zh", **asked)
    assert len(chinese) == 3 + len(others)
    assert "高 7.30 个百分点（95% 区间 6.70–7.90）" in chinese[0]
    assert "没有哪一项明显领先" in chinese[2]


@pytest.mark.parametrize(
    ("given", "none"),
    [({"q": 0.05}, False), ({"q": 0.0501}, True), ({"half": 0.0731}, True), ({"difference": 0.073}, False)],
)
def test_a_regional_difference_is_said_if_it_is_tested_and_clear_of_nothing(given: dict[str, Any], none: bool) -> None:
    (first, *_) = said(regions=regional(**given))
    assert ("no difference larger than" in first) == none
    if none:
        assert {"q": "7.90", "half": "14.61"}[next(iter(given))] in first


def test_a_marked_difference_is_not_mentioned_and_is_no_ground_for_none() -> None:
    assert not [each for each in said(regions=regional(mark="u")) if "cities" in each]


def test_the_higher_share_is_named_first_whatever_the_sign() -> None:
    up, down = (said(regions=regional(difference))[0] for difference in (0.073, -0.073))
    assert up.index('"yes"') < up.index('"no"')
    assert down.index('"no"') < down.index('"yes"')


def test_heterogeneity_is_said_if_q_says_so_and_the_range_is_of_cities_without_a_mark() -> None:
    assert "still range" in said(cities=cities(p=0.05))[0]
    assert "none of" in said(cities=cities(p=0.051))[0]
    assert "larger than 6.00 percentage points" in said(cities=cities(p=0.051))[0]
    assert "range from 38.0% (37.0%–39.0%) to 41.0%" in said(cities=cities(marks=("u", "", "")))[0]
    assert not [each for each in said(cities=cities(marks=("u", "", "u"))) if "ities" in each]  # one city has no range
    assert "were the mix" not in said(cities=cities(by=()))[0]


def test_of_many_rates_one_that_chance_would_put_apart_is_not_said() -> None:
    """p = 0.04 of one rate is a finding; beside two others that do not differ it is what one of three often shows."""
    assert "still range" in said(one=cities(p=0.04))[0]
    assert "none of" in said(one=cities(p=0.04), two=cities(p=0.5), three=cities(p=0.6))[0]
    assert "still range" in said(one=cities(p=0.01), two=cities(p=0.5), three=cities(p=0.6))[0]


def test_the_clearest_choice_that_does_not_carry_over_is_said_before_those_that_do() -> None:
    assert 'in cities with city.subsidy "yes" it is "free", 40.0%' in said(segments=transported(segment(OTHER)))[0]
    assert '"free" leads in both kinds of cities' in said(segments=transported(segment(SAME)))[0]
    nearly = {"false": {"monthly": 0.4, "free": 0.38}, "true": OTHER["true"]}
    rows = segment(SAME, "same") + segment(nearly, "nearly") + segment(OTHER, "other")
    (first, *_) = said(segments=transported(rows))
    assert first.startswith('What "other" choose does not carry over')
    assert first.endswith("among: same.")


def test_where_nobody_leads_the_largest_possible_lead_is_said() -> None:
    flat = {level: {"monthly": 0.4, "free": 0.402} for level in LEVELS}
    (first, *_) = said(segments=transported(segment(flat)))
    assert "no lead larger than 1.20 percentage points" in first


def test_a_group_with_a_marked_share_is_left_out() -> None:
    rows = segment(BOTH, mark="u") + segment(SAME, "old")
    assert '"free" leads in both kinds of cities' in said(segments=transported(rows))[0]
    assert not [each for each in said(segments=transported(segment(BOTH, mark="u"))) if "cities" in each]


def test_a_study_that_asked_about_no_city_opens_with_what_it_did_ask() -> None:
    (first, *_) = said()
    assert "is the largest group" in first
