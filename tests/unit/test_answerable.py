"""Who can answer: a coordinator may ask before it plans, with the same rule that every city applies."""

from pathlib import Path

from protocols.answerable import Shortage, least_able, least_unmapped, shortages
from tests.unit.test_policy import study

SIX = ("a-city", "b-city", "c-city", "d-city", "e-city", "f-city")
TWO = "[{id: sexes, kind: frequency, of: sex}, {id: products, kind: tgi, target: product, by: generation}]"


def lacking(count: int, variable: str) -> dict[str, tuple[str, ...]]:
    return {city: (variable,) if number < count else () for number, city in enumerate(SIX)}


def test_each_question_is_counted_by_all_that_it_reads(tmp_path: Path) -> None:
    asked = study(tmp_path, TWO)
    assert shortages(asked, lacking(3, "birth_year")) == ()
    assert shortages(asked, lacking(4, "birth_year")) == (Shortage("able", "products", 2, 3),)
    both = study(tmp_path, TWO, cohort="{variable: birth_year, at_least: 1980}")
    assert shortages(both, lacking(4, "birth_year")) == (
        Shortage("able", "sexes", 2, 3),
        Shortage("able", "products", 2, 3),
    )


def test_least_is_the_largest_of_study_city_and_colluders(tmp_path: Path) -> None:
    asked = study(tmp_path, cities="{least: 4}", privacy="{epsilon: 1, tolerate: {colluders: 1}}")
    assert (least_able(asked), least_able(asked, 5)) == (4, 5)
    assert least_able(study(tmp_path, privacy="{epsilon: 1, tolerate: {colluders: 7}}")) == 9


def test_exact_sums_need_no_city_or_enough_cities_without_a_variable(tmp_path: Path) -> None:
    asked = study(tmp_path, TWO, privacy="{mode: exact, tolerate: {colluders: 1}}")
    found = [shortages(asked, lacking(count, "product")) for count in range(4)]
    assert found == [(), *[(Shortage("unmapped", "product", count, 3),) for count in (1, 2)], ()]
    assert shortages(asked, lacking(1, "product"), loose=True, min_unmapped=1) == ()
    assert least_unmapped(asked, 1) == 3
    assert least_unmapped(asked, 1, loose=True) == 1
    assert shortages(study(tmp_path, TWO), lacking(1, "product")) == ()


def test_a_table_of_each_city_of_its_own_shows_no_other_ones_gap(tmp_path: Path) -> None:
    asked = study(tmp_path, TWO, privacy="{mode: exact}")
    own = asked.file.questions[1].model_copy(update={"release": "by_city"})
    mixed = type(asked)(asked.file.model_copy(update={"questions": (asked.file.questions[0], own)}), asked.dictionary)
    assert shortages(mixed, lacking(1, "product")) == ()
    assert shortages(mixed, lacking(1, "sex")) == (Shortage("unmapped", "sex", 1, 3),)


def test_both_shortages_say_name_count_and_limit_in_both_languages() -> None:
    able, unmapped = Shortage("able", "products", 2, 3).refusal(), Shortage("unmapped", "sex", 1, 3).refusal()
    assert able.code == unmapped.code == "POLICY_CITIES"
    assert "products" in able.text("zh")
    assert "none or at least 3" in unmapped.text("en")
    assert "为零或至少 3" in unmapped.text("zh")
