"""Who can answer: enough cities for every question, and no variable that a few of them alone lack.

A city's approval lists the variables that it cannot map, and the plan repeats it. The sum over cities that can answer is published, so that
few of them would read their own figures in it; in mode exact the holders of those that cannot stand at `_missing`, a table of those few
(docs/protocol.md; threat T66). Every node checks the plan it is shown; a coordinator may check first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from protocols.errors import Refusal
from protocols.facts import SUMMED
from protocols.statistics.question import Question
from protocols.study import Study

FEWEST: Final = 3  # no rule of a study or a city goes below


@dataclass(frozen=True)
class Shortage:
    """`able`: only `count` cities can answer the question `name`. `unmapped`: `count` > 0 cities cannot map the variable `name`. `level`:
    only `count` > 0 of the cities that can answer a question stand at the level `name` of an attribute of cities. `summed`: only `count` >
    0 cities let the fact `name` be added up unsaid, so that what others print gives theirs away."""

    of: Literal["able", "unmapped", "level", "summed"]
    name: str
    count: int
    limit: int

    def refusal(self) -> Refusal:
        """The same as `POLICY_CITIES`."""
        if self.of == "able":
            what, none = (f"能回答 {self.name} 的城市", f"cities able to answer {self.name}"), ("", "")
        elif self.of == "level":
            what, none = (f"属于 {self.name} 的城市", f"cities at {self.name}"), ("", "")
        elif self.of == "summed":
            what, none = (
                (f"只让 {self.name} 参加合计的城市", f"cities that let {self.name} be added up and do not publish it"),
                ("为零或", "none or "),
            )
        else:
            what, none = (f"不能提供 {self.name} 的城市", f"cities that cannot map {self.name}"), ("为零或", "none or ")
        return Refusal(
            "POLICY_CITIES",
            what_zh=what[0],
            what_en=what[1],
            or_none_zh=none[0],
            or_none_en=none[1],
            name=self.name,
            count=self.count,
            limit=self.limit,
        )


def least_able(study: Study, least: int = FEWEST) -> int:
    """How many cities of a plan must be able to answer each question: max(least, colluders + 2). `least`: a city's own minimum."""
    return max(least, study.file.cities.least, study.file.privacy.tolerate.colluders + 2)


def least_unmapped(study: Study, min_unmapped: int = FEWEST, *, loose: bool = False) -> int:
    """How many cities must lack a variable in mode exact, if any do. `loose`: synthetic or open data, where colluders do not count."""
    return min_unmapped if loose else max(min_unmapped, study.file.privacy.tolerate.colluders + 2)


def shortages(
    study: Study,
    cannot: Mapping[str, tuple[str, ...]],
    least: int = FEWEST,
    min_unmapped: int = FEWEST,
    *,
    loose: bool = False,
) -> tuple[Shortage, ...]:
    """All that is short, first by question, then by variable, in their order; nothing where the plan may go on.

    `cannot` holds every city of the plan, with the given variables that it cannot map: none for most. The rule of unmapped variables holds
    for questions that are released pooled, in mode exact; so does that of levels: in mode dp such levels are withheld (`Split`).
    """
    plan = dict(cannot)
    found = []
    needed = least_able(study, least)
    for question in study.file.questions:
        count = len(study.able(question, plan))
        if count < needed:
            found.append(Shortage("able", question.id, count, needed))
    if study.exact:
        pooled = [each for each in study.file.questions if study.release_of(each) != "by_city"]
        needed = least_unmapped(study, min_unmapped, loose=loose)
        for variable in sorted({name for question in pooled for name in study.reads(question)}):
            count = sum(variable in lacking for lacking in plan.values())
            if 0 < count < needed:
                found.append(Shortage("unmapped", variable, count, needed))
        for fact in sorted({name for question in pooled for name in question.facts()}):
            count = sum(f"{SUMMED}{fact}" in lacking for lacking in plan.values())
            if 0 < count < needed:
                found.append(Shortage("summed", fact, count, needed))
        found += _levels(study, pooled, plan, least_able(study, least))
    return tuple(found)


def _levels(
    study: Study, questions: Sequence[Question], cannot: Mapping[str, tuple[str, ...]], needed: int
) -> list[Shortage]:
    """Levels of attributes that few of the cities able to answer stand at, each once."""
    found = dict[str, Shortage]()
    for question in questions:
        for name, count in study.split(question, study.able(question, dict(cannot)), needed).thin:
            found.setdefault(name, Shortage("level", name, count, needed))
    return list(found.values())
