"""Comparisons by example: what is refused and how to mend it, small strata, cities that did not answer, codes that are not compared."""

from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import Reconciled, reconcile_cities
from coordinator.release import Scope, scoped
from protocols import entropy
from protocols import study as studies
from protocols.approval import Covered
from protocols.dictionary import Break, Category
from protocols.errors import CODES, ConfigError, HpfedError
from protocols.ring import Vector
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain, Layout
from protocols.study import Study
from tests.laws.generated import AS_OF, SMALL, Holder
from tests.oracles.compared import Federation, by_place, stated
from tests.system.conftest import SMALL as STUDY

HEAD: Final = STUDY[: STUDY.index("  - {id: accounts")]
GOOD: Final = "  - {id: w, kind: frequency, of: withdrew_24m, release: both}\n"
REFUSED: Final[dict[str, tuple[str, str, str]]] = {
    "a question that is not there": (
        GOOD + "  - {id: c, kind: compare, indicators: [ww], release: both}\n", "COMPARE_UNKNOWN", "indicators"),
    "itself": (GOOD + "  - {id: c, kind: compare, indicators: [c], release: both}\n", "COMPARE_UNKNOWN", "indicators"),
    "a number of holders": (
        "  - {id: n, kind: count, release: both}\n  - {id: c, kind: compare, indicators: [n], release: both}\n",
        "COMPARE_KIND", "indicators"),
    "a cohort of its own": (
        "  - {id: p, kind: frequency, of: product, cohort: {variable: sex, is: male}, release: both}\n"
        "  - {id: c, kind: compare, indicators: [p], release: both}\n", "COMPARE_COHORT", "indicators"),
    "published figures": (
        "  - {id: r, kind: ratio, numerator: age, denominator: {public: {q-city: 5}}, release: both}\n"
        "  - {id: c, kind: compare, indicators: [r], release: both}\n", "COMPARE_KIND", "indicators"),
    "what is released pooled": (
        "  - {id: p, kind: frequency, of: product}\n  - {id: c, kind: compare, indicators: [p], release: both}\n",
        "COMPARE_RELEASE", "indicators"),
    "a comparison that is": (GOOD + "  - {id: c, kind: compare, indicators: [w]}\n", "COMPARE_RELEASE", "release"),
    "an indicator's own variable": (
        GOOD + "  - {id: c, kind: compare, indicators: [w], standardise: withdrew_24m, release: both}\n",
        "STUDY_TWICE", "standardise"),
    "too many axes": (
        "  - {id: p, kind: frequency, of: product, by: [sex, marital], release: both}\n"
        "  - {id: c, kind: compare, indicators: [p], standardise: [generation, education], release: both}\n",
        "STUDY_AXES", "standardise"),
    "indirectly, and for nothing": (
        GOOD + "  - {id: c, kind: compare, indicators: [w], method: indirect, release: both}\n", "COMPARE_METHOD", "method"),
    "nothing": (GOOD + "  - {id: c, kind: compare, indicators: [], release: both}\n", "STUDY_EMPTY", "indicators"),
    "the same twice": (
        GOOD + "  - {id: c, kind: compare, indicators: [w, w], release: both}\n", "STUDY_TWICE", "indicators"),
}  # fmt: skip


def written(path: Path, questions: str) -> Study:
    path.write_text(HEAD + questions, encoding="utf-8")
    return studies.load(path)


@pytest.mark.parametrize(("questions", "code", "key"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_compared_is_refused_at_its_key(questions: str, code: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path / "study.yaml", questions)
    assert caught.value.code == code
    assert code in CODES
    assert key in str(caught.value)


def test_a_question_that_is_released_pooled_is_named_with_the_line_to_add(tmp_path: Path) -> None:
    with pytest.raises(HpfedError, match=r"Add the line `release: both`.*to question p"):
        written(tmp_path / "study.yaml", REFUSED["what is released pooled"][0])


def test_a_comparison_beside_a_question_that_is_wrong_itself_says_nothing_more(tmp_path: Path) -> None:
    wrong = "  - {id: p, kind: frequency, of: produkt, release: both}\n"
    with pytest.raises(ConfigError) as caught:
        written(tmp_path / "study.yaml", wrong + "  - {id: c, kind: compare, indicators: [p], release: both}\n")
    assert caught.value.code == "STUDY_VARIABLE"


def test_whoever_cannot_map_an_indicator_cannot_answer_the_comparison(tmp_path: Path) -> None:
    asked = written(
        tmp_path / "study.yaml",
        GOOD + "  - {id: c, kind: compare, indicators: [w], standardise: sex, release: by_city}\n",
    )
    compare = asked.file.questions[-1]
    assert set(asked.reads(compare)) >= {"sex", "withdrew_24m"}
    assert asked.able(compare, {"a": ("withdrew_24m",), "b": (), "c": ("sex",), "d": ("channel",)}) == ("b", "d")


# --- small strata

KINDS_OF_HOLDERS: Final[tuple[Holder, ...]] = tuple(
    {"sex": sex, "owner": owner} for sex in range(3) for owner in (0, 1)
)
OWNERS: Final = {"id": "owners", "kind": "frequency", "of": "owner"}


def held(unknown: tuple[int, int], method: str = "direct") -> dict[str, Any]:
    """Three cities; in the first, so many of unknown sex who own no home, and who do. Elsewhere 100 and 30 of 2,000."""
    usual = [900, 300, 500, 170, 100, 30]
    cities = {"a": np.array([*usual[:4], *unknown]), "b": np.array(usual), "c": np.array(usual)}
    asked = {"id": "q", "kind": "compare", "indicators": ["owners"], "standardise": ["sex"], "method": method}
    federation = Federation.of([OWNERS, asked], KINDS_OF_HOLDERS)
    return federation.answers(cities, 4.0, entropy.public_stream("unit", "compare", "noise"))


def standardised(found: dict[str, Any], city: str) -> tuple[float | None, str]:
    row = by_place(found)[city, "standardised", "owners", "true"]
    return row.estimate, row.obs_status


def test_a_stratum_with_too_few_holders_is_left_out_and_marked_and_beyond_a_limit_there_is_no_number() -> None:
    some = held((2, 1))
    left_out = stated(some["a"], "funnel")["owners", "true"]
    assert 0.001 < left_out["left_out"] < 0.05
    assert standardised(some, "a")[1] == "u"
    assert standardised(some, "b")[1] == ""
    usual = {"a": [900, 300, 500, 170, 2, 1], "b": [900, 300, 500, 170, 400, 100], "c": [900, 300, 500, 170, 400, 100]}
    asked = {"id": "q", "kind": "compare", "indicators": ["owners"], "standardise": ["sex"]}
    for method, status in (("direct", "x"), ("indirect", "")):
        federation = Federation.of([OWNERS, asked | {"method": method}], KINDS_OF_HOLDERS)
        cities = {city: np.array(each) for city, each in usual.items()}
        found = federation.answers(cities, 4.0, entropy.public_stream("unit", "compare", "noise"))
        estimate, given = standardised(found, "a")
        assert given == status, method
        assert (estimate is None) == (status == "x")
        q = stated(found["pooled"], "heterogeneity")["owners", "true"]
        assert q["cities"] == (2 if status else 3)
        assert (q["statistic"] is None) == bool(status), "two cities are too few"


def test_a_stratum_where_everybody_is_alike_weighs_as_it_does_elsewhere() -> None:
    cities = {name: np.array([90, 10, 60, 40, 30, 0 if name == "a" else 10]) for name in ("a", "b", "c")}
    asked = {"id": "q", "kind": "compare", "indicators": ["owners"], "standardise": ["sex"]}
    found = Federation.of([OWNERS, asked], KINDS_OF_HOLDERS, exact=True).answers(cities)
    rows = by_place(found)
    p = 20 / 110
    w = np.array([300, 300, 110]) / 710
    spread = w[0] ** 2 * 0.09 / 100 + w[1] ** 2 * 0.24 / 100 + w[2] ** 2 * p * (1 - p) / 30
    assert rows["a", "standardised", "owners", "true"].se_sampling == pytest.approx(float(np.sqrt(spread)), rel=1e-10)


def test_codes_that_are_not_comparable_are_shown_and_not_tested() -> None:
    sex = SMALL.variables["sex"]
    assert isinstance(sex, Category)
    codes = {name: code.model_copy(update={"comparable": name != "unknown"}) for name, code in sex.codes.items()}
    words = SMALL.model_copy(update={"variables": {**SMALL.variables, "sex": sex.model_copy(update={"codes": codes})}})
    asked: list[dict[str, Any]] = [
        {"id": "sexes", "kind": "frequency", "of": "sex"},
        {"id": "q", "kind": "compare", "indicators": ["sexes"]},
    ]
    federation = Federation.of(asked, KINDS_OF_HOLDERS, exact=True)
    object.__setattr__(federation, "domain", Domain(words, exact=True, questions=federation.domain.questions))
    found = federation.answers({name: np.array([50, 20, 30, 20, 5, 5]) for name in ("a", "b", "c")})
    assert {cell for _, cell in stated(found["pooled"], "heterogeneity")} == {"male", "female"}
    assert ("a", "difference", "sexes", "unknown") in by_place(found)
    assert not any(row.measure == "standardised" for each in found.values() for row in each.rows)


def test_a_break_that_holds_in_some_cities_marks_all_of_them() -> None:
    asked: list[dict[str, Any]] = [OWNERS, {"id": "q", "kind": "compare", "indicators": ["owners"]}]
    federation = Federation.of(asked, KINDS_OF_HOLDERS, exact=True)
    cities = {name: np.array([50, 20, 30, 20, 5, 5]) for name in ("a", "b", "c")}
    for affected, day, mark in (
        (("a",), "2022-01-01", "b"), (("a",), "2022-06-01", ""), (("a", "b", "c"), "2022-01-01", ""), ((), "2022-01-01", ""),
    ):  # fmt: skip
        broken = Break.model_validate({"from": date.fromisoformat(day), "affects": ("owner",), "cities": affected})
        words = SMALL.model_copy(update={"breaks": (broken,)})
        domain = Domain(words, exact=True, as_of=AS_OF, questions=federation.domain.questions)
        object.__setattr__(federation, "domain", domain)
        rows = by_place(federation.answers(cities))
        assert rows["b", "difference", "owners", "true"].obs_status == mark
        assert rows["pooled", "value", "owners", "true"].obs_status == ""


def test_cities_whose_files_cover_other_holders_are_all_marked() -> None:
    asked: list[dict[str, Any]] = [OWNERS, {"id": "q", "kind": "compare", "indicators": ["owners"]}]
    federation = Federation.of(asked, KINDS_OF_HOLDERS, exact=True)
    cities = {name: np.array([50, 20, 30, 20, 5, 5]) for name in ("a", "b", "c")}
    railway = Covered(railway="excluded").word
    for scopes, mark in (({"a": railway}, "b"), (dict.fromkeys("abc", railway), ""), ({}, "")):
        said = {name: scopes.get(name, Covered().word) for name in cities}
        domain = Domain(SMALL, exact=True, questions=federation.domain.questions, scopes=said)
        object.__setattr__(federation, "domain", domain)
        rows = by_place(federation.answers(cities))
        assert {rows[name, "value", "owners", "true"].obs_status for name in cities} == {mark}
        assert rows["pooled", "value", "owners", "true"].obs_status == ""


# --- who answered

HELD: Final = 7_200  # holders of each city


def released(tmp_path: Path, answered: tuple[int, ...], release: str = "by_city") -> tuple[Study, dict[str, Estimates]]:
    """Three cities in the sum of another question, of which those in `answered` answered for themselves as well."""
    asked = written(
        tmp_path / "study.yaml",
        "  - {id: n, kind: count}\n  - {id: w, kind: frequency, of: withdrew_24m, release: both}\n"
        f"  - {{id: c, kind: compare, indicators: [w], standardise: sex, release: {release}}}\n",
    )
    work, noise = asked.workload, [9.0]

    def alike(layout: Layout, holders: int) -> Vector:
        """So many holders, as many in each cell."""
        return np.concatenate([np.full(block.cells, holders // block.cells) for block in layout.blocks])

    total, own = alike(work.layout, 3 * HELD), {city: alike(work.own, HELD) for city in answered}
    found = reconcile_cities(
        work.layout, total, noise * len(work.layout.blocks), work.own, own, noise * len(work.own.blocks), (1, 2, 3)
    )
    cities = dict.fromkeys((1, 2, 3), found.cities[answered[0]])
    names = {1: "a", 2: "b", 3: "c"}
    given = {"pooled", *(names[city] for city in answered)}
    scopes = [Scope(city, name, 10) for city, name in names.items()]
    linked = len(answered) == 3
    question = asked.file.questions[-1]
    tables = Reconciled(found.pooled, cities)
    return asked, scoped(asked, question, tables, scopes, ("a", "b", "c"), given, linked=linked)


@pytest.mark.parametrize(("answered", "release", "parts", "number"), [
    ((1, 2, 3), "by_city", 3, 3), ((1, 2, 3), "both", 3, 3), ((1, 3), "by_city", 2, 2), ((1, 3), "both", 0, 3),
])  # fmt: skip
def test_all_cities_are_those_of_the_sum_or_those_that_answered(
    answered: tuple[int, ...], release: str, parts: int, number: int, tmp_path: Path
) -> None:
    """Where one answered for nobody but the sum, it is in what was summed and in nothing else."""
    asked, sums = released(tmp_path, answered, release)
    name = next(name for name in sums["a"].tables if name.startswith("w by stratum"))
    whole, one = (sums[scope][name] for scope in ("pooled", "a"))
    assert sums["pooled"].parts == parts
    assert whole.values.sum() == pytest.approx(number * HELD)
    assert one.values.sum() == pytest.approx(HELD)
    answers = asked.file.questions[-1].answers(sums, {"pooled", *"ac"}, asked.domain)
    assert list(answers) == ["pooled", "a", "b", "c"]
    differences = [row for row in answers["a"].rows if row.measure == "difference"]
    assert [row.estimate for row in differences] == [pytest.approx(0.0, abs=1e-6)]
