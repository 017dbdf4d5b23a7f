"""How the holders spread over the codes of one variable, in all or by group.

Leaves the city: one number per code and group, holders without a value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, axis_faults


class Frequency(Question):
    kind: Literal["frequency"] = "frequency"
    of: str
    by: Names = ()

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("of", (self.of,), dictionary)
        if self.by:
            yield from axis_faults("by", self.by, dictionary)

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(name) for name in self.variables()])}
