"""Decisions of mode exact: cohorts that are large enough, sets of cities that isolate nobody, and what others hear of a no."""

from decimal import Decimal
from pathlib import Path

import pytest

from node.disclosure import city_set, classes, cohort, cohorts, outward
from node.policy import load
from protocols.errors import Refusal, joined
from protocols.messages import Refusal as RefusalBody
from protocols.study import Study
from tests.unit.test_policy import study

TEN = tuple(range(1, 11))


def sets(*listed: tuple[int, ...]) -> list[frozenset[int]]:
    return [frozenset(each) for each in listed]


@pytest.fixture
def flexible(tmp_path: Path) -> Study:
    return study(tmp_path, cohort="{variable: generation, is: 90s}", privacy="{mode: exact}")


def test_a_cohort_at_the_limit_is_answered_and_one_below_is_not(tmp_path: Path, flexible: Study) -> None:
    exact = load(tmp_path, loose=False).file.exact
    assert cohort(flexible, 5, (), exact) is None
    refused = cohort(flexible, 4, (), exact)
    assert refused is not None
    assert (refused.code, refused.values["limit"]) == ("EXACT_COHORT", 5)
    assert cohort(flexible, 50, (), exact, by_city=True) is None
    own = cohort(flexible, 49, (), exact, by_city=True)
    assert own is not None
    assert own.values == {"limit": 50, "key": "exact.min_cohort_by_city"}


def test_the_text_of_a_small_cohort_is_the_same_whatever_its_size(tmp_path: Path, flexible: Study) -> None:
    exact = load(tmp_path, loose=False).file.exact
    texts = {str(cohort(flexible, rows, (), exact)) for rows in range(5)}
    assert len(texts) == 1


def test_a_city_that_cannot_map_the_cohort_is_exempt(tmp_path: Path, flexible: Study) -> None:
    exact = load(tmp_path, loose=False).file.exact
    assert cohort(flexible, 0, ("birth_year",), exact) is None
    assert cohort(flexible, 0, ("product",), exact) is not None


def test_without_a_cohort_all_holders_are_in_it(tmp_path: Path) -> None:
    exact = load(tmp_path, loose=False).file.exact
    everybody = study(tmp_path, privacy="{mode: exact}")
    assert cohort(everybody, 5, ("product", "birth_year"), exact) is None
    assert cohort(everybody, 4, ("product", "birth_year"), exact) is not None


def test_each_cohort_of_a_question_and_what_it_leaves_of_others_is_nobody_or_enough(tmp_path: Path) -> None:
    """Two cohorts: bit 0 is sex, bit 1 generation. The study's own cohort is large enough in every case but the first."""
    exact = load(tmp_path, loose=False).file.exact
    asked = study(
        tmp_path,
        "[{id: a, kind: count, cohort: {variable: sex, is: male}}, {id: b, kind: count, cohort: {variable: generation, is: 90s}}]",
        privacy="{mode: exact}",
    )

    def code(atoms: dict[int, int], cannot: tuple[str, ...] = ()) -> str:
        found = cohorts(asked, atoms, cannot, exact)
        return found.code if found else ""

    assert code({0: 2, 1: 1, 2: 1}) == "EXACT_COHORT"
    assert code({0: 50, 1: 4, 2: 50}) == "EXACT_COHORT"
    assert code({0: 50, 1: 50}) == "EXACT_COHORT", "nobody is of generation 90s"
    assert code({0: 50, 1: 50}, ("birth_year",)) == "", "as everybody knows from the plan"
    assert code({0: 50, 1: 50, 2: 50, 3: 4}) == "EXACT_COHORTS_ALIKE"
    assert code({0: 50, 1: 5, 2: 5, 3: 5}) == ""
    inside = study(tmp_path, cohort="{variable: generation, is: 90s}", privacy="{mode: exact}")
    assert cohorts(inside, {}, ("birth_year",), exact) is None


def test_a_city_outside_of_a_cohort_of_cities_is_exempt(tmp_path: Path) -> None:
    exact = load(tmp_path, loose=False).file.exact
    asked = study(
        tmp_path,
        cities="{least: 3, attributes: {region: {chongqing: west, suzhou: east}}}",
        cohort="{all: [{variable: city.region, is: west}, {variable: sex, is: male}]}",
        privacy="{mode: exact}",
    )
    assert cohort(asked, 0, (), exact, city="suzhou") is None
    assert cohort(asked, 0, (), exact, city="guangzhou") is None, "it has no level at all"
    refused = cohort(asked, 0, (), exact, city="chongqing")
    assert refused is not None
    assert refused.code == "EXACT_COHORT"


def test_the_first_set_needs_only_be_large_enough() -> None:
    assert city_set(TEN, [], 3) is None
    assert city_set((1, 2, 3), [], 3) is None
    assert city_set((1, 2), [], 3) is not None


def test_one_city_less_or_more_is_refused_and_three_are_not() -> None:
    earlier = sets(TEN)
    assert city_set(TEN, earlier, 3) is None
    for taken in range(1, 10):
        allowed = city_set(TEN[:taken], earlier, 3) is None
        assert allowed == (3 <= taken <= 7)
    assert city_set((*TEN, 11, 12), earlier, 3) is not None
    assert city_set((*TEN, 11, 12, 13), earlier, 3) is None


def test_the_example_of_three_sets_whose_sums_give_one_city_is_refused() -> None:
    """1-7, 1-4 and 4-7: the first two are fine, the third would give city 4."""
    assert city_set((1, 2, 3, 4), sets(TEN[:7]), 3) is None
    no = city_set((4, 5, 6, 7), sets(TEN[:7], (1, 2, 3, 4)), 3)
    assert no is not None
    assert no.code == "SECAGG_COHORT_DIFFERENCE"


def test_a_class_is_the_cities_that_stood_in_the_same_sets() -> None:
    assert classes([]) == ()
    assert set(classes(sets((1, 2, 3, 4), (3, 4, 5)))) == {frozenset({1, 2}), frozenset({3, 4}), frozenset({5})}


def test_where_rows_stand_behind_a_no_others_hear_one_word() -> None:
    heard = outward(Refusal("EXACT_COHORT", limit=5, key="exact.min_cohort"), rows_read=True)
    assert (heard.codes, heard.limits) == (("declined:disclosure",), {})
    assert RefusalBody.of(heard).reasons() == heard


def test_else_they_hear_every_code_and_the_public_numbers_behind_it() -> None:
    no = joined(
        [
            Refusal(
                "POLICY_CELLS", what="study", count=41, limit=20, key="limits.most_cells", thing_zh="", thing_en=""
            ),
            Refusal(
                "POLICY_CELLS", what="other", count=99, limit=20, key="limits.most_cells", thing_zh="", thing_en=""
            ),
            Refusal("NOISE_VARIANCE", v20=1, least=5, most=2**60),
            Refusal("LEDGER_BROKEN", entry=17),
        ]
    )
    assert no is not None
    heard = outward(no, rows_read=False)
    assert heard.codes == ("POLICY_CELLS", "NOISE_VARIANCE", "LEDGER_BROKEN")
    assert heard.limits == {"policy_cells_count": 41, "policy_cells_limit": 20, "noise_variance_least": 5}
    assert RefusalBody.of(heard).reasons() == heard


def test_a_no_of_a_budget_says_what_is_left_and_when_it_renews() -> None:
    values = {"asker": "a", "cost": "0.2", "left": "0.1", "order": 5, "epsilon": 6, "renews": "2027-01-01"}
    no = Refusal(
        "BUDGET_YEAR",
        None,
        (),
        cost_millionths=200_000,
        left_millionths=100_000,
        renews_s=1_798_761_600,
        **values,
    )
    assert outward(no, rows_read=False).limits == {
        "budget_year_cost_millionths": 200_000,
        "budget_year_left_millionths": 100_000,
        "budget_year_renews_s": 1_798_761_600,
    }


def test_decimals_of_a_no_are_told_in_millionths() -> None:
    no = Refusal(
        "POLICY_EPSILON", what="epsilon", found=Decimal("5.5"), most=Decimal(4), key="dp.most_epsilon_per_study"
    )
    heard = outward(no, rows_read=False)
    assert heard.limits == {"policy_epsilon_found_millionths": 5_500_000, "policy_epsilon_most_millionths": 4_000_000}
