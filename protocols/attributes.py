"""What a study says about cities themselves: `cities.attributes`, each a variable `city.NAME` of which every city has one public level.

    cities: {attributes: {region: {chongqing: west, chengdu: west, suzhou: east}}}

A holder stands at the level of its city, at `_missing` where the study gives it none. No row decides that, so a level that few cities have
is a table of those few: it is withheld (docs/adr/0050-levels-of-cities.md).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from pydantic import Field

from protocols import filters
from protocols.dictionary import CODE, MISSING, NAME, Boolean, Category, Code, Column, Dictionary, Table, Words
from protocols.filters import All, Any_, Filter, Leaf, Not, Truth, leaves

PREFIX: Final = "city."
LABELS: Final = {  # of attributes that studies of this kind have; any other goes by its name
    "region": Words(zh="城市所在地区", en="region of the city"),
    "subsidy": Words(zh="城市缴存补贴", en="city subsidy"),
}
MOST: Final = 16  # attributes of a study: more say nothing that the names of cities would not
City = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,40}$")]
Levels: TypeAlias = Annotated[
    dict[City, Annotated[str, Field(pattern=f"^{CODE.pattern}$")]], Field(min_length=1, max_length=512)
]
Attributes: TypeAlias = Annotated[
    dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], Levels], Field(min_length=1, max_length=MOST)
]
Standing: TypeAlias = Mapping[
    str, int | None
]  # of one city, by `city.NAME`: the position of its level, None where it has none
Joint: TypeAlias = tuple[str, ...]  # one level of each of several attributes


def extended(dictionary: Dictionary, attributes: Mapping[str, Mapping[str, str]]) -> Dictionary:
    """The dictionary with a variable `city.NAME` for each attribute: true and false are a boolean, other levels codes, ascending."""
    if not attributes:
        return dictionary
    given = {name: getattr(dictionary, name) for name in Dictionary.model_fields}
    made = {PREFIX + name: _variable(name, levels) for name, levels in sorted(attributes.items())}
    return Dictionary.model_construct(**given | {"variables": {**dictionary.variables, **made}})


def _variable(name: str, levels: Mapping[str, str]) -> Category | Boolean:
    label = LABELS.get(name, Words(zh=f"城市属性 {name}", en=f"city attribute {name}"))
    if set(levels.values()) <= {"false", "true"}:
        return Boolean(type="boolean", label=label)
    return Category(type="category", label=label, codes={code: Code() for code in sorted(set(levels.values()))})


def standing(meant: Dictionary, attributes: Mapping[str, Mapping[str, str]], city: str) -> Standing:
    """Where a city stands. `meant`: as `extended`."""
    return {
        PREFIX + name: meant.codes(PREFIX + name).index(levels[city]) if city in levels else None
        for name, levels in sorted(attributes.items())
    }


def beside(table: Table, stands: Standing) -> Table:
    """Rows of one city with its level of every attribute as a column."""
    made = {
        name: Column(np.full(table.holders, at or 0, dtype=np.int16), np.full(table.holders, at is not None))
        for name, at in stands.items()
    }
    return Table(table.holders, {**table.columns, **made}, table.events)


# --- filters


def of_cities(name: str) -> bool:
    return name.startswith(PREFIX)


def apart(condition: "Leaf | All | Any_ | Not") -> bool:
    """Whether cities and holders are chosen separately: by parts of an `all` that speak of the ones or of the others alone.

    `any` or `not` over both would let the holders of a few cities alone into some cells of a table.
    """
    kinds = {of_cities(leaf.variable) for leaf in leaves(condition)}
    return len(kinds) == 1 or (isinstance(condition, All) and all(map(apart, condition.all)))


def possible(condition: Filter | None, meant: Dictionary, stands: Standing) -> bool:
    """Whether anybody of a city can be in a cohort, as far as its attributes say. Pre-condition: `apart`."""
    if condition is None or not speaks_of_cities(condition):
        return True
    if isinstance(condition, All) and not all(of_cities(leaf.variable) for leaf in leaves(condition)):
        return all(possible(part, meant, stands) for part in condition.all)

    def compare(leaf: Leaf) -> Truth:
        at = stands[leaf.variable]
        return filters.compare_values(
            leaf, np.array([at or 0]), np.array([at is not None]), meant.reader(leaf.variable)
        )

    return bool(filters.evaluate(condition, compare).true[0])


def speaks_of_cities(condition: Any) -> bool:
    return condition is not None and any(of_cities(leaf.variable) for leaf in leaves(condition))


# --- levels that few cities have


@dataclass(frozen=True)
class Split:
    """How the cities that answer a question stand on the attributes that it is split by.

    `names`: of those axes; `positions`: of each; `at`: of every city, one position per axis. `inside`, `outside`: how many cities its
    cohort can take holders from, and from how many it cannot. `least`: what no level may be below.
    """

    names: tuple[str, ...]
    positions: tuple[tuple[str, ...], ...]
    at: tuple[Joint, ...]
    inside: int
    outside: int
    least: int

    @cached_property
    def counts(self) -> Mapping[Joint, int]:
        """Cities at each combination of positions."""
        found = Counter(self.at)
        return {cell: found[cell] for cell in product(*self.positions)}

    @property
    def thin(self) -> Iterator[tuple[str, int]]:
        """Levels and sides of a cohort that some cities stand on, but too few: what is called, how many."""
        if 0 < self.inside < self.least:
            yield "cohort", self.inside
        if 0 < self.outside < self.least:
            yield "not cohort", self.outside
        for cell, count in self.counts.items() if self.names else ():
            if 0 < count < self.least:
                yield ", ".join(f"{name}={level}" for name, level in zip(self.names, cell, strict=True)), count

    @cached_property
    def everything(self) -> bool:
        """Whether no row may be printed: the cohort holds too few cities, or all but too few."""
        return self.inside < self.least or 0 < self.outside < self.least

    @cached_property
    def withheld(self) -> frozenset[Joint]:
        """Levels of fewer than `least` cities; `_missing` only where some city stands there. Where those of a line together have fewer,
        so that its total less the others would tell them, the next smallest too."""
        if self.everything:
            return frozenset(self.counts)
        found = {
            cell
            for cell, count in self.counts.items()
            if self.names and count < self.least and (count or MISSING not in cell)
        }
        while further := self._further(found):
            found.add(further)
        return frozenset(found)

    def _further(self, found: set[Joint]) -> Joint | None:
        for size in range(len(self.names)):
            for fixed in combinations(range(len(self.names)), size):
                lines: dict[Joint, list[Joint]] = {}
                for cell in self.counts:
                    lines.setdefault(tuple(cell[axis] for axis in fixed), []).append(cell)
                for line in lines.values():
                    left = [cell for cell in line if cell not in found and self.counts[cell]]
                    if left and 0 < sum(self.counts[cell] for cell in line if cell in found) < self.least:
                        return min(left, key=lambda cell: (self.counts[cell], cell))
        return None

    @property
    def guarded(self) -> bool:
        """Whether holders of some city stand at a withheld level."""
        return self.everything or any(self.counts[cell] for cell in self.withheld)

    def hides(self, keys: Mapping[str, str], *, contrast: bool) -> bool:
        """Whether a row with these keys is about a withheld level. A difference of two levels is, where one of the axis is."""
        if self.everything:
            return True
        if not self.names or not set(self.names) <= keys.keys():
            return False
        if contrast:
            return bool(self.withheld)
        return tuple(keys[name] for name in self.names) in self.withheld


def split(
    meant: Dictionary,
    attributes: Mapping[str, Mapping[str, str]],
    names: Sequence[str],
    cohorts: Sequence[Filter | None],
    cities: Sequence[str],
    least: int,
) -> Split:
    """`names`: what a question is split by, other variables among them. `cohorts`: of the study, then of the question. `cities`: those that
    can answer it."""
    stands = {city: standing(meant, attributes, city) for city in cities}
    of_study = [city for city in cities if possible(cohorts[0], meant, stands[city])]
    inside = [city for city in of_study if all(possible(each, meant, stands[city]) for each in cohorts[1:])]
    chosen = tuple(dict.fromkeys(name for name in names if of_cities(name)))
    positions = tuple((*meant.codes(name), MISSING) for name in chosen)

    def level(city: str, name: str, of: tuple[str, ...]) -> str:
        at = stands[city][name]
        return MISSING if at is None else of[at]

    at = tuple(tuple(level(city, name, of) for name, of in zip(chosen, positions, strict=True)) for city in inside)
    return Split(chosen, positions, at, len(inside), len(of_study) - len(inside), least)
