"""Levels of cities: which of them are withheld so that no table of few cities can be had, and where cities stand."""

from itertools import combinations
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.attributes import Split, apart, extended, possible, split, standing
from protocols.dictionary import MISSING, Boolean
from protocols.filters import All, Any_, Leaf, Not
from protocols.statistics.example import example_dictionary

GIVEN: Final = {
    "region": {"c1": "west", "c2": "west", "c3": "east", "c4": "east", "c5": "east", "c6": "east"},
    "pilot": {"c1": "true", "c2": "false", "c3": "true"},
}
MEANT: Final = extended(example_dictionary(), GIVEN)
CITIES: Final = ("c1", "c2", "c3", "c4", "c5", "c6", "c7")
WEST: Final = Leaf.model_validate({"variable": "city.region", "is": "west"})
MALE: Final = Leaf.model_validate({"variable": "sex", "is": "male"})


def of(names: tuple[str, ...], least: int = 3, cohort: Leaf | None = None) -> Split:
    return split(MEANT, GIVEN, names, (None, cohort), CITIES, least)


def test_an_attribute_is_a_variable_of_the_study_and_of_no_dictionary() -> None:
    assert MEANT.codes("city.region") == ("east", "west")
    assert isinstance(MEANT.variables["city.pilot"], Boolean)
    assert standing(MEANT, GIVEN, "c2") == {"city.pilot": 0, "city.region": 1}
    assert standing(MEANT, GIVEN, "c7") == {"city.pilot": None, "city.region": None}
    assert extended(example_dictionary(), {}) is example_dictionary()
    assert example_dictionary().needs("city.region") == frozenset()


def test_combinations_of_levels_are_judged_with_every_line_that_they_stand_in() -> None:
    found = of(("city.region", "sex", "city.pilot"))
    assert found.names == ("city.region", "city.pilot")
    assert found.counts["east", MISSING] == 3
    few = {("east", "false"), ("east", "true"), ("west", "false"), ("west", "true"), (MISSING, MISSING)}
    assert found.withheld == few | {("east", MISSING)}, "or the one city of (east, true) would be a difference"
    assert found.hides({"city.region": "east", "city.pilot": MISSING, "sex": "male"}, contrast=False)
    assert not found.hides({"sex": "male"}, contrast=False)


def test_a_cohort_of_cities_withholds_all_where_few_are_in_it_or_few_are_left_out() -> None:
    assert [of((), 2, WEST).everything, of((), 3, WEST).everything] == [False, True]
    east = Leaf.model_validate({"variable": "city.region", "is": "east"})
    inside = of((), 4, east)
    assert (inside.inside, inside.outside, inside.everything) == (4, 3, True)
    assert list(inside.thin) == [("not cohort", 3)]
    assert inside.hides({}, contrast=False)
    assert not of((), 3, east).everything
    assert not of((), 3, MALE).everything


def test_cities_and_holders_are_chosen_apart() -> None:
    both = All(all=(WEST, MALE))
    assert apart(both)
    assert apart(All(all=(both, Not.model_validate({"not": WEST}))))
    assert not apart(Any_(any=(WEST, MALE)))
    assert not apart(Not.model_validate({"not": both}))
    stands = {city: standing(MEANT, GIVEN, city) for city in CITIES}
    assert [possible(both, MEANT, stands[city]) for city in ("c1", "c3", "c7")] == [True, False, False]
    outside = Not.model_validate({"not": WEST})
    assert [possible(outside, MEANT, stands[city]) for city in ("c1", "c3", "c7")] == [False, True, False]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("ab_"), st.sampled_from("xyz_")), max_size=14), st.integers(2, 4))
def test_no_line_of_a_table_leaves_few_cities_to_be_found_by_subtraction(at: list[tuple[str, str]], least: int) -> None:
    found = Split(("p", "q"), (("a", "b", "_"), ("x", "y", "z", "_")), tuple(at), len(at), 0, least)
    if len(at) < least:
        assert found.everything
        return
    for size in range(2):
        for fixed in combinations(range(2), size):
            lines: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
            for cell in found.counts:
                lines.setdefault(tuple(cell[axis] for axis in fixed), []).append(cell)
            for line in lines.values():
                hidden = sum(found.counts[cell] for cell in line if cell in found.withheld)
                printed = [cell for cell in line if cell not in found.withheld and found.counts[cell]]
                assert hidden == 0 or hidden >= least or not printed
    assert all(count >= least or cell in found.withheld for cell, count in found.counts.items() if count)
