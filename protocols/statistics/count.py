"""How many holders the cohort has.

Leaves the city: one number, the holders of the cohort. One holder moves it by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Question
from protocols.statistics.rows import Answer
from protocols.statistics.tables import count_rows


class Count(Question):
    EXAMPLE = Example({"id": "holders", "kind": "count"}, holder={})

    kind: Literal["count"] = "count"

    def variables(self) -> tuple[str, ...]:
        return ()

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:  # noqa: ARG002 there is nothing to get wrong
        yield from ()

    def blocks(self, domain: Domain) -> Blocks:  # noqa: ARG002 it has no axis
        return {"holders": count()}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 tables carry their axes
        return Answer(count_rows(sums["holders"], sums, sampling=self.sampling is True))
