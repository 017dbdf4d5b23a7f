"""The cells of a table of one to four variables, with shares, chi-square and Cramér's V.

Leaves the city: one number per cell, holders without a value on `_missing`. One holder moves one cell by 1. With a multi-response variable
among the axes: what `frequency` sends of it, by the other axes.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics import independence, sets
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
        yield from axis_faults("by", self.by, dictionary, sets=True)

    def blocks(self, domain: Domain) -> Blocks:
        several = [name for name in self.by if domain.is_set(name)]
        if several:
            return sets.blocks(several[0], [name for name in self.by if name not in several], domain)
        return {"holders": count([domain.axis(name) for name in self.by])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """`share` is of all holders known on every axis; of two axes, `row_share` among the first's code, `column_share` the second's.

        One axis may be a multi-response variable: then a table of those who named it and those who did not for each of its codes, and no
        statement about the whole.
        """
        several = [name for name in self.by if domain.is_set(name)]
        if several:
            found = sets.Chosen.tables(self.by, several[0], sums, domain)
            rows = found.count_rows(sums, sampling=self.sampling is True)
            parts = (("row_share", (0,)), ("column_share", (1,))) if len(self.by) == 2 else ()
            for measure, held in (*parts, ("share", ())):
                rows += found.share_rows(measure, held, sums, self.sampling is not False)
            return Answer(rows)
        table = sums["holders"].ordered(self.by)
        sampling = self.sampling is not False
        rows = count_rows(table, sums, sampling=self.sampling is True)
        if len(self.by) != 2:
            return Answer(rows + share_rows("share", table, (), sums, sampling))
        for measure, held in (("row_share", (0,)), ("column_share", (1,)), ("share", ())):
            rows += share_rows(measure, table, held, sums, sampling)
        return Answer(rows, independence.tests(table, sums, sampling) if sums.tested else ())
