"""The cells of a table of one to four variables, with shares, chi-square and Cramér's V.

Leaves the city: one number per cell, holders without a value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, axis_faults


class Crosstab(Question):
    kind: Literal["crosstab"] = "crosstab"
    by: Names

    def variables(self) -> tuple[str, ...]:
        return self.by

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("by", self.by, dictionary)

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(name) for name in self.by])}
