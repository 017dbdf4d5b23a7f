"""The question `kind: scorecard`, whose rounds are those of `scorecard.py`.

Leaves the city, under masks: rows by leaf of the public range, for numbers whose edges are not written; rows by bin of each feature and
class; then the rounds of a regression on the weights of evidence of these bins. In mode exact all of these sums are seen by the coordinator
and by every city.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from protocols.errors import HpfedError
from protocols.models import scorecard
from protocols.models.interface import Ask
from protocols.models.question import ManyRounds, Setting
from protocols.models.scorecard import CardAsk, Carding, Scorecard, ScorecardPlan
from protocols.statistics.example import Example


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

    def example_asks(self, model: ScorecardPlan) -> Sequence[Ask]:
        """The two rounds of counts; those of the logit are a regression's, with a column for each feature."""
        first = model.start()
        edges = {name: tuple(float(each) for each in range(1, 20)) for name in model.searched}
        counted = first.model_copy(update={"stage": "histogram", "edges": edges})
        return [each for each in (model.ask(first), model.ask(counted)) if isinstance(each, Ask)]

    def key_of(self, fault: HpfedError) -> str:
        return (
            "bins"
            if fault.code == "MODEL_BINS"
            else ("outcome" if fault.values.get("name") == self.outcome else "features")
        )
