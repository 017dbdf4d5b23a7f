"""The question `kind: gbdt`, whose rounds are those of `gbdt.py`.

Leaves the city, under masks: rows of each class, and rows by leaf of the public range for numbers whose edges are not written; then, for
each level of each tree, by node, feature and bin, sums of p - y and of p (1 - p), and rows. In mode exact all of these
sums are seen by the coordinator and by every city.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from protocols.errors import HpfedError
from protocols.models import gbdt
from protocols.models.gbdt import Boosting, Gbdt, GbdtAsk, GbdtPlan
from protocols.models.interface import Ask
from protocols.models.question import ManyRounds, Setting
from protocols.statistics.example import Example


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

    def example_asks(self, model: GbdtPlan) -> Sequence[Ask]:
        """The counts, and the root of a tree."""
        first = model.start()
        edges = {name: tuple(float(each) for each in range(1, 32)) for name in model.searched}
        root = first.model_copy(update={"stage": "grow", "edges": edges, "asked": (0,)})
        return [each for each in (model.ask(first), model.ask(root)) if isinstance(each, Ask)]

    def key_of(self, fault: HpfedError) -> str:
        return (
            "bins"
            if fault.code == "MODEL_BINS"
            else ("outcome" if fault.values.get("name") == self.outcome else "features")
        )
