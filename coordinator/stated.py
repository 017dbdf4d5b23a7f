"""What cities stated about themselves, as results print it: the public figures of approvals, and sums of those that are only added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from protocols import facts
from protocols.approval import Approval
from protocols.errors import PeerError
from protocols.facts import FACT, SUMMED
from protocols.plan import Agreement
from protocols.ring import Vector
from protocols.statistics.estimates import Estimates
from protocols.statistics.question import Question
from protocols.study import Study

NOT_SAID: Final = "summed"  # beside the names of facts in `questions.<id>.facts`


@dataclass(frozen=True)
class Figures:
    """Of every fact that a study asks for, in steps: by city what it publishes, and the sum over those that only let it be added up.

    `summed` lacks what no city let be added up, and what is not known here.
    """

    study: Study
    public: Mapping[str, Mapping[str, int]]
    summed: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, agreement: Agreement, approvals: Mapping[str, Approval], summed: Mapping[str, int]) -> "Figures":
        """`approvals`: of the cities in the result, by name. `summed`: the cell of each fact, as far as it is known.

        Errors: `PeerError SUM_STATED` where so many cities cannot have added that up.
        """
        study = agreement.study
        public = {
            name: {
                city: facts.value_of(study.dictionary.facts[name], approval.facts[name])
                for city, approval in approvals.items()
                if name in approval.facts
            }
            for name in study.facts
        }
        silent = {
            name: sum(f"{SUMMED}{name}" in approval.cannot for approval in approvals.values()) for name in study.facts
        }
        for name, found in summed.items():
            if not facts.within(found, facts.cell(name, study.dictionary), silent[name]):
                raise PeerError("SUM_STATED", name=name, count=silent[name])
        return cls(study, public, {name: found for name, found in summed.items() if silent[name]})

    def beside(self, question: Question, sums: Estimates) -> Estimates:
        """The sums of a question with the figures of the cities that they are over."""
        if not question.facts():
            return sums
        terms = self.study.dictionary.facts
        public = {
            name: {
                city: facts.amount(terms[name], self.public[name][city])
                for city in sums.cities
                if city in self.public[name]
            }
            for name in question.facts()
        }
        summed = dict[str, Decimal]()
        if self._adds(question):
            summed = {
                name: facts.amount(terms[name], self.summed[name]) for name in question.facts() if name in self.summed
            }
        return replace(sums, facts=public, summed=summed)

    def _adds(self, question: Question) -> bool:
        """Whether its answer has what is only added up in it."""
        return self.study.exact and self.study.release_of(question) == "pooled"

    def published(self, question: Question, cities: Sequence[str]) -> dict[str, Any]:
        """`questions.<id>.facts`. `cities`: those that can answer the question."""
        terms, names = self.study.dictionary.facts, question.facts()
        found: dict[str, Any] = {
            name: {
                city: facts.number(terms[name], value) for city, value in self.public[name].items() if city in cities
            }
            for name in names
        }
        if self._adds(question) and (summed := {name: self.summed[name] for name in names if name in self.summed}):
            found[NOT_SAID] = {name: facts.number(terms[name], value) for name, value in summed.items()}
        return {"facts": found} if names else {}


def opened(agreement: Agreement, total: Vector) -> dict[str, int]:
    """The cell of each fact in an opened sum."""
    return {name: int(total[at]) for name, at in facts.cells(agreement.layout).items()}


def said(study: Study, questions: Mapping[str, Any]) -> dict[str, int]:
    """The same as results say it, which a reader of an exact result has to take. `questions`: as they stand in the file.

    Errors: `ValueError` for a number that is none of the fact, or that two questions give otherwise.
    """
    found = dict[str, int]()
    for question in study.file.questions:
        stated = questions.get(question.id, {}).get("facts", {}).get(NOT_SAID, {})
        for name in question.facts():
            if name in stated:
                fact = study.dictionary.facts[name]
                steps = facts.steps(fact, Decimal(repr(stated[name])), fact.unit)
                if steps is None or found.setdefault(name, steps) != steps:
                    raise ValueError(name)
    return found


def words(study: Study) -> dict[str, Any]:
    """Labels, units and kinds of the facts that a study asks for."""
    terms = study.dictionary.facts
    return {
        name: {
            "zh": terms[name].label.text("zh", name),
            "en": terms[name].label.text("en", name),
            "unit": terms[name].unit,
            "timing": terms[name].timing or "",
        }
        for name in study.facts
    }


def lacked(study: Study, cannot: Sequence[str]) -> list[str]:
    """What a city cannot give of what a study asks for: variables, and `fact:NAME`. What it lets be added up is no such thing."""
    return sorted(name for name in study.names if name in cannot and not name.startswith(SUMMED))


def variables(names: Sequence[str]) -> list[str]:
    """Of these, the variables."""
    return [name for name in names if not name.startswith((FACT, SUMMED))]
