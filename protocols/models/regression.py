"""The question `kind: glm`: a generalised linear model, whose rounds are those of `glm.py`.

Leaves the city, under masks, per round: how many rows, sums of the columns, of their squares and of the outcome; then, at coefficients that
all cities were told, deviance, score and information. With `influence`, at last, one number of its own: how far the coefficients would
move without it, in standard errors, to 0.1. In mode exact all of these sums are seen by the coordinator and by every city. In
mode dp they have noise, and are few: moments, products of columns, and the score at five points (`private.py`).
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, Literal

from protocols.errors import HpfedError
from protocols.models import glm, private
from protocols.models.design import Columns, parse
from protocols.models.glm import Fitting, Glm, GlmPlan
from protocols.models.interface import Ask, Draw
from protocols.models.pooling import PooledPlan
from protocols.models.private import PrivateAsk, PrivatePlan
from protocols.models.question import ManyRounds, Setting, supposed
from protocols.statistics.example import Example
from protocols.statistics.layout import Domain
from protocols.statistics.question import Fault, Release

KEYS: Final[Mapping[str, str]] = {
    "MODEL_LINK": "link",
    "MODEL_ALPHA": "alpha",
    "MODEL_TOGETHER": "kind",
    "MODEL_OUTCOME_RANGE": "outcome",
    "MODEL_WEIGHTS": "weights",
    "MODEL_CLUSTERS_FEW": "errors",
}


class Regression(ManyRounds, Glm):
    EXAMPLE: ClassVar[Example] = Example(
        {
            "id": "owners",
            "kind": "glm",
            "family": "binomial",
            "outcome": "owner",
            "terms": ["sex", "log1p(income)"],
        },
        holder={"income": "500000"},
    )
    STATE = Fitting
    MODES = ("dp", "exact")

    kind: Literal["glm"] = "glm"

    def variables(self) -> tuple[str, ...]:
        """The outcome first, then those of the terms in their order."""
        named = [factor.variable for text in self.terms for factor in parse(text).factors]
        clustered = self.errors.cluster if isinstance(self.errors, glm.Clustered) else "city"
        beside = (self.offset, self.weights.of if self.weights else None, None if clustered == "city" else clustered)
        return tuple(dict.fromkeys((self.outcome, *named, *(name for name in beside if name))))

    def planned(self, setting: Setting) -> GlmPlan | PooledPlan | PrivatePlan:
        made = glm.plan(
            self,
            setting.dictionary,
            setting.cities,
            setting.most_rows,
            setting.study,
            confidence=setting.confidence,
            labels=setting.labels,
        )
        if not setting.domain.exact:
            return private.plan(made, setting, self.id)
        return PooledPlan(made) if self.city_effects == "random" else made

    def discloses(self) -> tuple[str, ...]:
        return ("city_constants",) if self.city_effects == "fixed" else ()

    def asks_of(self, model: object) -> type[Ask]:
        return PrivateAsk if isinstance(model, PrivatePlan) else Ask

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        plan = self.planned(supposed(domain))
        return plan.draws if isinstance(plan, PrivatePlan) else ()

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        """Of mode dp, families and keys that have no bound on what one holder changes."""
        yield from super().faults_beside(domain, release)
        what = None if domain.exact else private.not_offered(self)
        if what is not None:
            yield Fault("kind", "MODEL_DP_NOT_OFFERED", {"kind": f"{self.kind} ({what})"})

    def example_asks(self, model: GlmPlan) -> tuple[Ask, ...]:
        """Around 0, with every column in the fit."""
        q = len(model.design.pieces)
        columns = Columns(groups=tuple((number,) for number in range(q)), centre=(0.5,) * q, scale=(0.5,) * q)
        later = Ask(round=1, purpose="step", study="", layout="", chain="", columns=columns, point=(0.0,) * (q + 1))
        first = Ask(round=0, purpose="standardise", study="", layout="", chain="")
        return (first, later, later.model_copy(update={"purpose": "final"}))

    def key_of(self, fault: HpfedError) -> str:
        """By what the fault is about, else by the name in it."""
        name = fault.values.get("name")
        named = {self.outcome: "outcome", self.offset: "offset", self.weights.of if self.weights else None: "weights"}
        return KEYS.get(fault.code) or (named.get(str(name), "terms") if name else "terms")
