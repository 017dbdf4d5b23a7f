"""From which state to which holders go from one month to the next.

Leaves the city: for each pair of states and each group, how many pairs of rows in consecutive months of one holder there are. A holder with
rows in all M months of the window has M - 1 pairs, and all of them may be of one kind: one cell moves by M - 1 at most.
"""

from collections.abc import Iterator
from typing import Literal

from protocols.dictionary import Dictionary
from protocols.errors import Both, ConfigError
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import FROM, TO, Blocks, Domain, Stand, count
from protocols.statistics.question import MOST_AXES, Fault, Names, Question, axis_faults, event_fault
from protocols.statistics.rows import Answer
from protocols.statistics.tables import count_rows, share_rows


class Transitions(Question):
    """`of`: a category, or a boolean, of the events table."""

    EXAMPLE = Example(
        {"id": "moves", "kind": "transitions", "of": "contributions.state", "by": "owner"},
        holder={"owner": "true"},
        events={"contributions": tuple({"amount": "0", "state": "sealed", "active": "true"} for _ in range(6))},
    )

    kind: Literal["transitions"] = "transitions"
    of: str
    by: Names = ()

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from event_fault("of", self.of, dictionary, ("category", "boolean"))
        yield from axis_faults("by", self.by, dictionary)
        if len(self.by) + 2 > MOST_AXES:
            yield Fault("by", "STUDY_AXES", {"count": len(self.by) + 2, "limit": MOST_AXES})
        for name in self.by:
            if name in (FROM, TO):
                yield Fault("by", "STUDY_TWICE", {"name": name})

    def blocks(self, domain: Domain) -> Blocks:
        """Errors: `ConfigError STUDY_WINDOW` for a single month, in which nobody goes anywhere."""
        name = domain.dictionary.event_name(self.of)
        over = domain.occasions(name.partition(".")[0], pairs=True)
        if over.most < 1:
            raise ConfigError("STUDY_WINDOW", problem=Both("至少需要两个月", "it takes two months at least"))
        states = [domain.state_axis(name, stand) for stand in (Stand.FROM, Stand.TO)]
        return {"pairs": count([*states, *map(domain.axis, self.by)], over)}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """`row_share` is of the pairs of a group whose first state is the row's and whose second is known. Sampling takes pairs to be
        independent of each other, which those of one holder are not."""
        table = sums["pairs"]
        name = domain.dictionary.event_name(self.of)
        for key, stand in ((FROM, Stand.FROM), (TO, Stand.TO)):
            table = table.renamed(domain.state_axis(name, stand).name, key)
        table = table.ordered((FROM, TO, *self.by))
        rows = count_rows(table, sums, sampling=self.sampling is True)
        held = (0, *range(2, len(table.axes)))
        return Answer(rows + share_rows("row_share", table, held, sums, self.sampling is not False))
