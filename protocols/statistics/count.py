"""How many holders the cohort has.

Leaves the city: one number, the holders of the cohort. One holder moves it by 1.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Question


class Count(Question):
    kind: Literal["count"] = "count"

    def variables(self) -> tuple[str, ...]:
        return ()

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:  # noqa: ARG002 there is nothing to get wrong
        yield from ()

    def blocks(self, domain: Domain) -> Blocks:  # noqa: ARG002 it has no axis
        return {"holders": count()}
