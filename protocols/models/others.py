"""The questions `kind: cox`, `ordinal` and `multinomial`, whose rounds are those of `likelihood.py`.

Leaves the city, under masks, per round: how many rows, events or rows of each class, sums of the columns and of their squares; then, at
coefficients that all cities were told, log-likelihood, score and information.
"""

from typing import ClassVar, Literal

import numpy as np

from protocols.errors import HpfedError
from protocols.models import classes, cox
from protocols.models.classes import Classes
from protocols.models.cox import Cox
from protocols.models.design import Columns, parse
from protocols.models.interface import Ask
from protocols.models.likelihood import LikelihoodPlan
from protocols.models.newton import Fitting
from protocols.models.question import ManyRounds, Setting
from protocols.statistics.example import Example


def _named(*first: str, terms: tuple[str, ...]) -> tuple[str, ...]:
    """The variables of a question: those named first, then those of the terms in their order."""
    return tuple(dict.fromkeys((*first, *(each.variable for text in terms for each in parse(text).factors))))


def _asks(model: LikelihoodPlan) -> tuple[Ask, ...]:
    """Around 0, with every column and class in the fit."""
    q = len(model.design.pieces)
    kept = model.part.kept(np.ones(model.part.outcomes))
    columns = Columns(groups=tuple((number,) for number in range(q)), centre=(0.5,) * q, scale=(0.5,) * q)
    point = (0.0,) * len(model.part.names(kept, [""] * q))
    first = Ask(round=0, purpose="standardise", study="", layout="", chain="")
    later = first.model_copy(update={"round": 1, "purpose": "step", "columns": columns, "point": point, "places": kept})
    return (first, later)


class Survival(ManyRounds, Cox):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "leaving", "kind": "cox", "duration": "months_paying", "event": "owner", "terms": ["sex"]},
        holder={"sex": "male"},
    )
    STATE = Fitting

    kind: Literal["cox"] = "cox"

    def variables(self) -> tuple[str, ...]:
        return _named(self.duration, self.event, terms=self.terms)

    def planned(self, setting: Setting) -> LikelihoodPlan:
        return cox.plan(
            self, setting.dictionary, setting.cities, setting.most_rows, setting.study, confidence=setting.confidence
        )

    def discloses(self) -> tuple[str, ...]:
        return ("cox_time_tables",) if self.stratify == "none" else ()

    def example_asks(self, model: LikelihoodPlan) -> tuple[Ask, ...]:
        return _asks(model)

    def key_of(self, fault: HpfedError) -> str:
        keys = {"MODEL_TIMES": "duration", "MODEL_TOGETHER": "terms"}
        named = {self.duration: "duration", self.event: "event"}
        return keys.get(fault.code) or named.get(str(fault.values.get("name")), "terms")


class _OfClasses(Classes):
    def variables(self) -> tuple[str, ...]:
        return _named(self.outcome, terms=self.terms)

    def planned(self, setting: Setting) -> LikelihoodPlan:
        return classes.plan(
            self, setting.dictionary, setting.cities, setting.most_rows, setting.study, confidence=setting.confidence
        )

    def example_asks(self, model: LikelihoodPlan) -> tuple[Ask, ...]:
        return _asks(model)

    def key_of(self, fault: HpfedError) -> str:
        return "outcome" if fault.values.get("name") == self.outcome else "terms"


class OfOrder(_OfClasses, ManyRounds):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "levels", "kind": "ordinal", "outcome": "sex", "terms": ["log1p(income)"]}, holder={"income": "500000"}
    )

    STATE = Fitting

    kind: Literal["ordinal"] = "ordinal"


class OfChoices(_OfClasses, ManyRounds):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "choices", "kind": "multinomial", "outcome": "sex", "terms": ["log1p(income)"]},
        holder={"income": "500000"},
    )

    STATE = Fitting

    kind: Literal["multinomial"] = "multinomial"
