"""The question `kind: evaluate`, whose rounds are those of `evaluate.py`, in mode dp those of `private_evaluate.py`.

Leaves the city, under masks: rows by bin of the score, class and group; by band of scores the sums of the probability and of the squared
error; with `against`, the histogram of another model, and in a second round two sums of products of placements; by city, in a round of its
own, 18 whole numbers in thousandths that the city made of itself, in a slot that no other city fills (zeros with fewer than 100 events
or non-events); with `slope`, then the rounds of a regression on the score. In mode exact all of these sums are seen by the coordinator and
by every city. In mode dp they have noise, and are two: the histogram, and four totals.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import PlainSerializer

from protocols.errors import ConfigError, HpfedError
from protocols.models import evaluate, private_evaluate
from protocols.models.evaluate import SCORES, Evaluate, EvaluateAsk, EvaluatePlan, Evaluating
from protocols.models.interface import Ask, Draw, Model, Result
from protocols.models.modelfile import Linear, ModelFile, Predictor, Weight
from protocols.models.private_evaluate import PrivateEvaluatePlan
from protocols.models.question import ManyRounds, Setting, supposed
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
    MODES = ("dp", "exact")

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
        """In mode dp nothing is told of a city by itself: of both there is the pooled part, and the answer says so."""
        return ("pooled", "by_city", "both") if domain.exact else ("pooled", "both")

    def unsaid(self, domain: Domain) -> tuple[str, ...]:
        if domain.exact:
            return ()
        release = self.release or domain.release
        asked = {"cut": self.cut, "slope": self.slope or None, "release": None if release == "pooled" else release}
        return tuple(f"{key}: {json.dumps(value)}" for key, value in asked.items() if value is not None)

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        yield from super().faults_beside(domain, release)
        what = None if domain.exact else private_evaluate.not_offered(self)
        if what is not None:
            yield Fault("kind", "MODEL_DP_NOT_OFFERED", {"kind": f"{self.kind} ({what})"})
        for key, name in (("model", self.model), ("against", self.against)):
            known = isinstance(domain.questions.get(name or ""), ManyRounds) and name != self.id
            other = domain.questions.get(name or "")
            if isinstance(other, EvaluateQuestion):  # only what it recalibrated is a model, and not in a circle
                known = known and other.recalibrate is not None and self.id not in other._above(domain)
            if name is not None and self._of_file(name) is None and not known:
                yield Fault(key, "MODEL_ABSENT", {"id": name})
            if (
                name is not None and known and domain.questions[name].kind == "hazard"
            ):  # its rows are months, of no outcome of a holder
                yield Fault(key, "MODEL_TOGETHER", {"key": "kind: evaluate", "other": "kind: hazard"})
        if self.against == self.model:
            yield Fault(
                "against", "MODEL_TOGETHER", {"key": f"model: {self.model}", "other": f"against: {self.against}"}
            )

    def planned(self, setting: Setting) -> EvaluatePlan | PrivateEvaluatePlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        plain = evaluate.plan(
            self,
            *given,
            model=self._of_file(self.model),
            against=self._of_file(self.against),
            confidence=setting.confidence,
            release=self.release or setting.domain.release,
            as_of=setting.domain.as_of,
        )
        return plain if setting.domain.exact else private_evaluate.plan(plain, setting, self.id)

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        plan = self.planned(supposed(domain))
        return plan.draws if isinstance(plan, PrivateEvaluatePlan) else ()

    def start(self, model: Model[Any, Any], given: Mapping[str, Result]) -> Evaluating:
        if not isinstance(model, EvaluatePlan | PrivateEvaluatePlan):
            raise ConfigError("MODEL_ABSENT", id=self.model)
        found = {name: _fitted(name, given.get(name)) for name in self.named()}
        return model.start(found.get(self.model), found.get(self.against or ""))

    def example_asks(self, model: EvaluatePlan | PrivateEvaluatePlan) -> Sequence[Ask]:
        """Of each round before a slope, where a model of the constant alone stands for one that the study fits."""
        constant = Weight(term="intercept", estimate=-1.0, std_error=0.1)
        fit = Linear(family="binomial", link="logit", weights=(constant,), covariance=((0.01,),), error_bound=0.0)
        stands = Predictor(variables=(), outcome="outcome", fit=fit)
        common: dict[str, Any] = {"study": "", "layout": "", "chain": "", "model": stands, "against": stands}
        purposes = model.purposes if isinstance(model, EvaluatePlan) else (SCORES,)
        return [EvaluateAsk(round=number, purpose=purpose, **common) for number, purpose in enumerate(purposes)]

    def key_of(self, fault: HpfedError) -> str:
        """By what the fault is about: a model that is named, else the key."""
        named = {self.model: "model", self.against: "against"}
        keys = {"MODEL_CUT": "cut", "MODEL_OUTCOMES": "against"}
        return keys.get(fault.code) or named.get(str(fault.values.get("id")), "by")


def _fitted(name: str, found: Result | None) -> Predictor:
    """The model that an earlier question came to. Errors: `ConfigError MODEL_ABSENT` where it came to none."""
    if found is None or not found.model:
        raise ConfigError("MODEL_ABSENT", id=name)
    return Predictor.model_validate_json(json.dumps(dict(found.model)), strict=True)
