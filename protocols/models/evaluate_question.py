"""The question `kind: evaluate`, whose rounds are those of `evaluate.py`.

Leaves the city, under masks: rows by bin of the score, class and group; by band of scores the sums of the probability and of the squared
error; with `slope`, then the rounds of a regression on the score. In mode exact all of these sums are seen by the coordinator and by
every city.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from protocols.errors import ConfigError, HpfedError
from protocols.models import evaluate
from protocols.models.evaluate import Evaluate, EvaluateAsk, EvaluatePlan, Evaluating
from protocols.models.interface import Ask, Model, Result
from protocols.models.modelfile import Linear, Predictor, Weight
from protocols.models.question import ManyRounds, Setting
from protocols.statistics.example import Example
from protocols.statistics.layout import Domain
from protocols.statistics.question import Fault, Release


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
        elif domain.questions[self.model].kind == "hazard":  # its rows are months, and its outcome is of no holder
            yield Fault("model", "MODEL_TOGETHER", {"key": "kind: evaluate", "other": "kind: hazard"})

    def planned(self, setting: Setting) -> EvaluatePlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        return evaluate.plan(self, *given, confidence=setting.confidence)

    def start(self, model: Model[Any, Any], given: Mapping[str, Result]) -> Evaluating:
        found = given.get(self.model)
        if found is None or not found.model or not isinstance(model, EvaluatePlan):
            raise ConfigError("MODEL_ABSENT", id=self.model)
        return model.start(Predictor.model_validate_json(json.dumps(dict(found.model)), strict=True))

    def example_asks(self, model: EvaluatePlan) -> Sequence[Ask]:
        """Of a model of the constant alone."""
        constant = Weight(term="intercept", estimate=-1.0, std_error=0.1)
        fit = Linear(family="binomial", link="logit", weights=(constant,), covariance=((0.01,),), error_bound=0.0)
        asked = model.ask(model.start(Predictor(variables=(), outcome="owner", fit=fit)))
        return [asked] if isinstance(asked, Ask) else []

    def key_of(self, fault: HpfedError) -> str:
        return "cut" if fault.code == "MODEL_CUT" else "by"
