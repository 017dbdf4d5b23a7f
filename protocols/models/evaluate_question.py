"""The question `kind: evaluate`, whose rounds are those of `evaluate.py`, in mode dp those of `private_evaluate.py`.

Leaves the city, under masks: rows by bin of the score, class and group; by band of scores the sums of the probability and of the squared
error; by city, a few rounded numbers that the city made of itself; beside another model, two sums of products; with `slope`, then the
rounds of a regression on the score. In mode exact all of these sums are seen by the coordinator and by every city. In mode dp they have
noise, and are two: the histogram, and four totals.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import PlainSerializer

from protocols.errors import ConfigError, HpfedError
from protocols.models import evaluate
from protocols.models.evaluate import Evaluate, EvaluateAsk, EvaluatePlan, Evaluating
from protocols.models.interface import Ask, Model, Result
from protocols.models.modelfile import Linear, ModelFile, Predictor, Weight
from protocols.models.question import ManyRounds, Setting
from protocols.statistics.example import Example
from protocols.statistics.layout import Domain
from protocols.statistics.question import Fault, Question, Release

Files = Annotated[  # whole, with what is null in them: their digest is that of the file
    dict[str, ModelFile],
    PlainSerializer(lambda files: {name: each.model_dump(mode="json") for name, each in files.items()}),
]


class EvaluateQuestion(ManyRounds, Evaluate):
    """About a model that another question of the study fits, whose rows are those it was fitted on; or about a model file, which is a part
    of the study. `files`: those, by what the study calls them (`evaluated.py` puts them there)."""

    EXAMPLE: ClassVar[Example] = Example({"id": "how_good", "kind": "evaluate", "model": "owners"}, holder={})
    ASK = EvaluateAsk
    STATE = Evaluating

    kind: Literal["evaluate"] = "evaluate"
    files: Files | None = None

    def _of_file(self, name: str | None) -> ModelFile | None:
        return (self.files or {}).get(name or "")

    def named(self) -> tuple[str, ...]:
        both = (self.model, *(() if self.against is None else (self.against,)))
        return tuple(name for name in dict.fromkeys(both) if self._of_file(name) is None)

    def variables(self) -> tuple[str, ...]:
        return self.by

    def reads(self, domain: Domain) -> tuple[str, ...]:
        """What the models read, too, and what they predict."""
        found = list(self.by)
        for each in self._above(domain).values():
            found += each.variables()
            for file in (each.files or {}).values() if isinstance(each, EvaluateQuestion) else ():
                found += (*file.needs, file.outcome)
        return tuple(dict.fromkeys(found))

    def _above(self, domain: Domain) -> dict[str, Question]:
        """This question and all that it is about: models, and what these recalibrate, each once."""
        found: dict[str, Question] = {self.id: self}
        waiting = [self.id]
        while waiting:
            for name in found[waiting.pop()].named():
                if name not in found and name in domain.questions:
                    found[name] = domain.questions[name]
                    waiting.append(name)
        return found

    def releases(self, domain: Domain) -> tuple[Release, ...]:
        return ("pooled", "by_city", "both") if domain.exact else ("pooled",)

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        yield from super().faults_beside(domain, release)
        for key, name in (("model", self.model), ("against", self.against)):
            known = isinstance(domain.questions.get(name or ""), ManyRounds) and name != self.id
            other = domain.questions.get(name or "")
            if isinstance(other, EvaluateQuestion):  # only what it recalibrated is a model, and not in a circle
                known = known and other.recalibrate is not None and self.id not in other._above(domain)
            if name is not None and self._of_file(name) is None and not known:
                yield Fault(key, "MODEL_ABSENT", {"id": name})
        if self.against == self.model:
            yield Fault(
                "against", "MODEL_TOGETHER", {"key": f"model: {self.model}", "other": f"against: {self.against}"}
            )

    def planned(self, setting: Setting) -> EvaluatePlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        return evaluate.plan(
            self,
            *given,
            model=self._of_file(self.model),
            against=self._of_file(self.against),
            confidence=setting.confidence,
            release=self.release or setting.domain.release,
            as_of=setting.domain.as_of,
        )

    def start(self, model: Model[Any, Any], given: Mapping[str, Result]) -> Evaluating:
        if not isinstance(model, EvaluatePlan):
            raise ConfigError("MODEL_ABSENT", id=self.model)
        found = {name: _fitted(name, given.get(name)) for name in self.named()}
        return model.start(found.get(self.model), found.get(self.against or ""))

    def example_asks(self, model: EvaluatePlan) -> Sequence[Ask]:
        """Of a model of the constant alone."""
        constant = Weight(term="intercept", estimate=-1.0, std_error=0.1)
        fit = Linear(family="binomial", link="logit", weights=(constant,), covariance=((0.01,),), error_bound=0.0)
        asked = model.ask(model.start(Predictor(variables=(), outcome="owner", fit=fit)))
        return [asked] if isinstance(asked, Ask) else []

    def key_of(self, fault: HpfedError) -> str:
        """By what the fault is about: a model that is named, else the key."""
        named = {self.model: "model", self.against: "against"}
        return {"MODEL_CUT": "cut", "MODEL_OUTCOMES": "against"}.get(fault.code) or named.get(
            fault.values.get("id"), "by"
        )


def _fitted(name: str, found: Result | None) -> Predictor:
    """The model that an earlier question came to. Errors: `ConfigError MODEL_ABSENT` where it came to none."""
    if found is None or not found.model:
        raise ConfigError("MODEL_ABSENT", id=name)
    return Predictor.model_validate_json(json.dumps(dict(found.model)), strict=True)
