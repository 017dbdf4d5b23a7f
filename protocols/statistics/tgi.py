"""Target-group index: how much more often a group stands among the holders of a target code than among all.

    TGI = 100 * (a / A) / (b / B)      a: of the target code and the group, A: of the target code, b: of the group, B: all

each among the holders whose target and group are both known. Leaves the city: one number per target code and group, holders without a
value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Literal

import numpy as np

from protocols.dictionary import MISSING, Dictionary
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, OWN, QUANTA, Estimates, Floats
from protocols.statistics.example import Example
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Question, axis_faults
from protocols.statistics.rows import Answer, table_rows
from protocols.statistics.tables import count_rows


class Tgi(Question):
    EXAMPLE = Example(
        {"id": "preference", "kind": "tgi", "target": "product", "by": "generation"},
        holder={"product": "monthly", "birth_year": "1990"},
    )

    kind: Literal["tgi"] = "tgi"
    target: str
    by: str

    def variables(self) -> tuple[str, ...]:
        return (self.target, self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("target", (self.target,), dictionary)
        yield from axis_faults("by", (self.by,), dictionary, beside=(self.target,))

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(self.target), domain.axis(self.by)])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 tables carry their axes
        """One index per target code and group; `base` is A. Holders without a value are counted, and have no index."""
        table = sums["holders"].ordered(self.variables())
        units = table.units[table.known]
        target_units = np.broadcast_to(units.sum(axis=1, keepdims=True), units.shape)
        a, target = units / QUANTA, target_units / QUANTA
        group, total = np.broadcast_to(a.sum(axis=0), a.shape), np.full_like(a, a.sum())
        noise = table.covariances((OWN, OWN), (OWN, KNOWN), (KNOWN, OWN), (KNOWN, KNOWN))
        sds = [np.sqrt(noise[..., at, at]) for at in range(4)]
        gone = reduce(or_, map(marks.undivided, (target, group, total), sds[1:]))
        target, group, total = (np.where(gone, np.nan, size) for size in (target, group, total))
        index = intervals.Index(a, target, group, total, noise, sampling=self.sampling is not False)
        low, high = (100 * end for end in index.interval(sums.z))
        q_value = intervals.benjamini_hochberg(index.p_value)
        unit = 100 / (index.q * index.group)  # from a - R (A/B) b to the index
        rows = table_rows(
            "index",
            table.axes,
            sums={"base": table.printed(target_units)},
            figures={
                "estimate": 100 * index.estimate,
                "display": np.where(gone, np.nan, _display(intervals.simplex(table.values)[table.known])),
                "se_noise": unit * np.sqrt(index.noise_variance(index.estimate)),
                "se_sampling": unit * np.sqrt(index.sampling_variance(index.estimate)),
                "ci_low": low,
                "ci_high": high,
                "p_value": index.p_value,
                "q_value": q_value,
            },
            marks=marks.letters(gone, marks.doubtful_index(a, sds[0], low, high)),
            preference=intervals.leaning(low, high, q_value, a.size),
        )
        missing = [
            row for row in count_rows(table, sums, sampling=self.sampling is True) if MISSING in row.keys.values()
        ]
        return Answer((*rows, *missing))


def _display(shown: Floats) -> Floats:
    """The index of a table without negative cells; NaN where it has none to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = shown.sum(axis=1, keepdims=True) * shown.sum(axis=0, keepdims=True) / shown.sum()
        return np.asarray(np.where(expected > 0, 100 * shown / expected, np.nan))
