"""The question `kind: scorecard`, whose rounds are those of `scorecard.py`, and in mode dp of `private_card.py`.

Leaves the city, under masks: rows by leaf of the public range, for numbers whose edges are not written; rows by bin of each feature and
class; then the rounds of a regression on the weights of evidence of these bins. In mode exact all of these sums are seen by the coordinator
and by every city. In mode dp they have noise: three tenths of the budget are for the counts, the rest for the products of the
columns and the score at five points (`private.py`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from protocols.errors import HpfedError
from protocols.models import scorecard
from protocols.models.interface import Ask, Draw
from protocols.models.private import worth
from protocols.models.private_card import PrivateCardAsk, PrivateCardPlan
from protocols.models.question import ManyRounds, Setting, supposed
from protocols.models.scorecard import CardAsk, Carding, Scorecard, ScorecardPlan
from protocols.statistics.example import Example
from protocols.statistics.layout import Domain
from protocols.statistics.question import Fault, Release


class ScorecardQuestion(ManyRounds, Scorecard):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "card", "kind": "scorecard", "outcome": "owner", "features": ["sex", "income"]},
        holder={"owner": "true", "income": "500000"},
    )
    ASK = CardAsk
    STATE = Carding
    MODES = ("dp", "exact")

    kind: Literal["scorecard"] = "scorecard"

    def variables(self) -> tuple[str, ...]:
        return (self.outcome, *self.features)

    def planned(self, setting: Setting) -> ScorecardPlan | PrivateCardPlan:
        given = (setting.dictionary, setting.cities, setting.most_rows, setting.study)
        plan = scorecard.plan(self, *given, confidence=setting.confidence)
        if setting.domain.exact:
            return plan
        made = PrivateCardPlan(plan, setting, self.id)
        worth(self.id, made.ratio, setting)
        return made

    def asks_of(self, model: object) -> type[Ask]:
        return PrivateCardAsk if isinstance(model, PrivateCardPlan) else CardAsk

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        plan = self.planned(supposed(domain))
        return plan.draws if isinstance(plan, PrivateCardPlan) else ()

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        """In mode dp there is no budget for a second fit."""
        yield from super().faults_beside(domain, release)
        if self.drop_wrong_sign and not domain.exact:
            yield Fault("kind", "MODEL_DP_NOT_OFFERED", {"kind": f"{self.kind} (drop_wrong_sign: true)"})

    def example_asks(self, model: ScorecardPlan | PrivateCardPlan) -> Sequence[Ask]:
        """The two rounds of counts; those of the logit are a regression's, with a column for each feature."""
        plain = model.plain if isinstance(model, PrivateCardPlan) else model
        first: Any = model.start()
        edges = {name: tuple(float(each) for each in range(1, 20)) for name in plain.searched}
        counted = first.model_copy(update={"stage": "histogram", "edges": edges})
        states = [*([first] if plain.searched else []), counted]
        return [each for each in map(model.ask, states) if isinstance(each, Ask)]

    def key_of(self, fault: HpfedError) -> str:
        keys = {"MODEL_BINS": "bins", "MODEL_SPECIAL": "special"}
        named = "outcome" if fault.values.get("name") == self.outcome else "features"
        return keys.get(fault.code, named)
