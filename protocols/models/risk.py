"""The questions `scorecard`, `gbdt` and `evaluate`, whose rounds are those of `scorecard.py`, `gbdt.py` and `evaluate.py`.

Leaves the city, under masks: rows by bin and class; then the sums of a regression on weights of evidence; or, for each level of each tree,
sums of gradients by bin; or rows by bin of the score and class. In mode exact all of these sums are seen by the coordinator and every city.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from protocols.errors import ConfigError, HpfedError
from protocols.models import evaluate, gbdt, scorecard
from protocols.models.evaluate import Evaluate, EvaluateAsk, EvaluatePlan, Evaluating
from protocols.models.gbdt import Boosting, Gbdt, GbdtAsk, GbdtPlan
from protocols.models.interface import Model, Result
from protocols.models.modelfile import Predictor
from protocols.models.question import ManyRounds, Setting
from protocols.models.scorecard import CardAsk, Carding, Scorecard, ScorecardPlan
from protocols.statistics.example import Example
from protocols.statistics.layout import Domain
from protocols.statistics.question import Fault, Release

KEYS: Final[Mapping[str, str]] = {"MODEL_BINS": "bins", "MODEL_CUT": "cut", "STUDY_AXES": "by"}


class ScorecardQuestion(ManyRounds, Scorecard):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "card", "kind": "scorecard", "outcome": "owner", "features": ["sex", "income"]},
        holder={"owner": "true", "income": "500000"},
    )
    ASK = CardAsk
    STATE = Carding

    kind: Literal["scorecard"] = "scorecard"

    def variables(self) -> tuple[str, ...]:
        return (self.outcome, *self.features)

    def planned(self, setting: Setting) -> ScorecardPlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        return scorecard.plan(self, *given, confidence=setting.confidence)

    def key_of(self, fault: HpfedError) -> str:
        return KEYS.get(fault.code) or ("outcome" if fault.values.get("name") == self.outcome else "features")


class GbdtQuestion(ManyRounds, Gbdt):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "trees", "kind": "gbdt", "outcome": "owner", "features": ["sex", "income"], "trees": "2"},
        holder={"owner": "true", "income": "500000"},
    )
    ASK = GbdtAsk
    STATE = Boosting

    kind: Literal["gbdt"] = "gbdt"

    def variables(self) -> tuple[str, ...]:
        return (self.outcome, *self.features)

    def planned(self, setting: Setting) -> GbdtPlan:
        return gbdt.plan(self, setting.dictionary, setting.cities, setting.most_rows, setting.study)

    def key_of(self, fault: HpfedError) -> str:
        return KEYS.get(fault.code) or ("outcome" if fault.values.get("name") == self.outcome else "features")


class EvaluateQuestion(ManyRounds, Evaluate):
    """About a model that another question of the study fits: its rows are those it was fitted on."""

    EXAMPLE: ClassVar[Example] = Example({"id": "how_good", "kind": "evaluate", "model": "owners"}, holder={})
    ASK = EvaluateAsk
    STATE = Evaluating

    kind: Literal["evaluate"] = "evaluate"

    def named(self) -> tuple[str, ...]:
        return (self.model,)

    def variables(self) -> tuple[str, ...]:
        return self.by

    def reads(self, domain: Domain) -> tuple[str, ...]:
        """What the model reads, too."""
        model = domain.questions.get(self.model)
        return (*self.by, *(model.variables() if model is not None else ()))

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        yield from super().faults_beside(domain, release)
        if not isinstance(domain.questions.get(self.model), ManyRounds) or self.model == self.id:
            yield Fault("model", "MODEL_ABSENT", {"id": self.model})

    def planned(self, setting: Setting) -> EvaluatePlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        return evaluate.plan(self, *given, confidence=setting.confidence)

    def start(self, model: Model[Any, Any], given: Mapping[str, Result]) -> Evaluating:
        found = given.get(self.model)
        if found is None or not found.model or not isinstance(model, EvaluatePlan):
            raise ConfigError("MODEL_ABSENT", id=self.model)
        return model.start(Predictor.model_validate_json(json.dumps(dict(found.model)), strict=True))

    def key_of(self, fault: HpfedError) -> str:
        return KEYS.get(fault.code, "by")
