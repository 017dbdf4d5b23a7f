"""Target-group index: how much more often a group stands among the holders of a target code than among all.

    TGI = 100 * (a / A) / (b / B)      a: of the target code and the group, A: of the target code, b: of the group, B: all

Leaves the city: one number per target code and group, holders without a value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Question, axis_faults


class Tgi(Question):
    kind: Literal["tgi"] = "tgi"
    target: str
    by: str

    def variables(self) -> tuple[str, ...]:
        return (self.target, self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("target", (self.target,), dictionary)
        yield from axis_faults("by", (self.by,), dictionary)
        if self.target == self.by:
            yield Fault("by", "STUDY_TWICE", {"name": self.by})

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(self.target), domain.axis(self.by)])}
