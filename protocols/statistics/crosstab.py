"""The cells of a table of one to four variables, with shares, chi-square and Cramér's V.

Leaves the city: one number per cell, holders without a value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics import independence
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, axis_faults
from protocols.statistics.rows import Answer
from protocols.statistics.tables import count_rows, share_rows


class Crosstab(Question):
    EXAMPLE = Example(
        {"id": "product_generation", "kind": "crosstab", "by": ["product", "generation"]},
        holder={"product": "monthly", "birth_year": "1990"},
    )

    kind: Literal["crosstab"] = "crosstab"
    by: Names

    def variables(self) -> tuple[str, ...]:
        return self.by

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if not self.by:
            yield Fault("by", "STUDY_EMPTY", {})
        yield from axis_faults("by", self.by, dictionary)

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(name) for name in self.by])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 tables carry their axes
        """`share` is of all holders known on every axis; of two axes, `row_share` among the first's code, `column_share` the second's."""
        table = sums["holders"].ordered(self.by)
        sampling = self.sampling is not False
        rows = count_rows(table, sums, sampling=self.sampling is True)
        if len(self.by) != 2:
            return Answer(rows + share_rows("share", table, (), sums, sampling))
        for measure, held in (("row_share", (0,)), ("column_share", (1,)), ("share", ())):
            rows += share_rows(measure, table, held, sums, sampling)
        return Answer(rows, independence.tests(table, sums, sampling) if sums.tested else ())
