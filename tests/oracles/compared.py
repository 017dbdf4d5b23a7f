"""A study of cities in memory: what each sends, what is made of it, and the answer of a comparison; for oracles and coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from coordinator.consistency import reconcile_cities
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.question import Question, Release
from protocols.statistics.rows import Answer, Row
from protocols.statistics.workload import Workload
from tests.laws.generated import SMALL, Holder, encoded

PARTS: Mapping[Release, tuple[float, float]] = {"both": (10.0, 1 / 0.9), "by_city": (1.0, 1.0)}


@dataclass(frozen=True)
class Federation:
    """`kinds`: holders of one sort each, so that a city is how many it has of each. The last question is the comparison."""

    questions: tuple[Question, ...]
    kinds: Sequence[Holder]
    release: Release = "both"
    exact: bool = False

    @classmethod
    def of(cls, asked: Sequence[Mapping[str, Any]], kinds: Sequence[Holder], **how: Any) -> "Federation":
        return cls(tuple(KINDS[each["kind"]].model_validate(each) for each in asked), kinds, **how)

    @cached_property
    def domain(self) -> Domain:
        return Domain(SMALL, self.exact, questions={each.id: each for each in self.questions})

    @cached_property
    def workload(self) -> Workload:
        return Workload.of(self.questions, self.domain, self.release)

    @cached_property
    def _effects(self) -> tuple[Any, Any]:
        def of(layout: Layout) -> Any:
            rows = [encoded(layout, [holder], exact=self.exact) for holder in self.kinds]
            return np.array(rows).reshape((len(self.kinds), layout.length))

        return of(self.workload.layout), of(self.workload.own)

    def answers(
        self, cities: Mapping[str, Any], variance: float = 0.0, generator: Any = None, min_cell: int = 0
    ) -> dict[str, Answer]:
        """`variance`: of the noise in a cell whose squared effect is 1, were all of the budget spent on it."""
        sums, own_of = self._effects
        layouts = (self.workload.layout, self.workload.own)
        of_sum, of_own = (
            [variance * part * block.l2sq for block in layout.blocks]
            for layout, part in zip(layouts, PARTS[self.release], strict=True)
        )

        def noised(cells: Any, layout: Layout, variances: Sequence[float]) -> Any:
            if not variance:
                return cells
            sd = np.sqrt(np.repeat(variances, [block.cells for block in layout.blocks]))
            return cells + np.rint(generator.normal(0, 1, layout.length) * sd).astype(np.int64)

        everyone = np.sum(list(cities.values()), axis=0)
        total = noised(everyone @ sums, layouts[0], of_sum)
        numbers = range(1, len(cities) + 1)
        own = {at: noised(city @ own_of, layouts[1], of_own) for at, city in zip(numbers, cities.values(), strict=True)}
        found = reconcile_cities(layouts[0], total, of_sum, layouts[1], own, of_own, tuple(numbers))
        question = self.questions[-1]

        def scope(name: str, families: Any, parts: int = 0) -> Estimates:
            blocks = self.workload.blocks[question.id]
            made = Estimates.of(families, blocks, study="sha256:c", question=name, confidence=0.95, min_cell=min_cell)
            return Estimates(**{**vars(made), "parts": parts})

        scopes = {"pooled": scope("q", found.pooled, len(cities))}
        scopes |= {name: scope(name, found.cities[at]) for at, name in zip(numbers, cities, strict=True)}
        return question.answers(scopes, scopes.keys(), self.domain)


def by_place(answers: Mapping[str, Answer]) -> dict[tuple[str, ...], Row]:
    """Scope, measure, indicator and codes of each row."""
    return {(scope, row.measure, *row.keys.values()): row for scope, each in answers.items() for row in each.rows}


def stated(answer: Answer, name: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Indicator and cell of each statement of that name."""
    found = [test.values for test in answer.tests if test.name == name]
    return {(str(each["indicator"]), str(each["cell"])): each for each in found}
