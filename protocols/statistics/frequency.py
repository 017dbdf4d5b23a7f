"""How the holders spread over the codes of one variable, in all or by group.

Leaves the city: one number per code and group, holders without a value on `_missing`. One holder moves one cell by 1. Of a multi-response
variable: for each code and group, how many more named it than did not, and how many answered; one holder moves each code's table by 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np

from protocols.dictionary import Dictionary
from protocols.statistics import intervals, marks, sets
from protocols.statistics.estimates import KNOWN, OWN, Estimates, Floats, Table
from protocols.statistics.example import Example
from protocols.statistics.layout import Axis, Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, axis_faults
from protocols.statistics.rates import Rates, of_counts
from protocols.statistics.rows import Answer, Row, table_rows
from protocols.statistics.tables import Shares, count_rows, share_rows, shares


class Frequency(Question):
    EXAMPLE = Example(
        {"id": "products", "kind": "frequency", "of": "product", "by": "owner"},
        holder={"product": "free", "owner": "true"},
    )

    kind: Literal["frequency"] = "frequency"
    of: str
    by: Names = ()

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("of", (self.of,), dictionary, sets=True)
        yield from axis_faults("by", self.by, dictionary, beside=(self.of,))

    def blocks(self, domain: Domain) -> Blocks:
        if domain.is_set(self.of):
            return sets.blocks(self.of, self.by, domain)
        return {"holders": count([domain.axis(name) for name in self.variables()])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """A share is of the holders of a group whose `of` is known. Where there are two groups, they are compared code by code."""
        if domain.is_set(self.of):
            return self._named(sums, domain)
        table = sums["holders"].ordered(self.variables())
        sampling = self.sampling is not False
        rows = count_rows(table, sums, sampling=self.sampling is True)
        rows += share_rows("share", table, range(1, len(table.axes)), sums, sampling)
        if [len(axis.codes) for axis in table.axes[1:]] == [2]:
            rows += _contrasts(shares(table, (1,), sums, sampling), _noise(table), table.axes, sums, sampling)
        return Answer(rows)

    def _named(self, sums: Estimates, domain: Domain) -> Answer:
        """Of a multi-response variable: codes do not add up, as a holder may name several."""
        found = sets.Chosen.tables(self.variables(), self.of, sums, domain)
        sampling = self.sampling is not False
        rows = found.count_rows(sums, sampling=self.sampling is True)
        rows += found.share_rows("share", range(1, len(found.axes)), sums, sampling)
        if [len(axis.codes) for axis in found.axes[1:]] == [2]:
            rows += _contrasts(found.shares((1,), sums, sampling), found.noise_of_two(), found.axes, sums, sampling)
        return Answer(rows)

    def compared(self) -> Self:
        return self

    def rates(self, sums: Estimates, domain: Domain) -> Rates:
        """Of a boolean, the share of true alone."""
        table = sums["holders"].ordered(self.variables())
        boolean = domain.dictionary.type_of(self.of) == "boolean"
        codes = {
            code: slice(at, at + 1) for at, code in enumerate(table.axes[0].codes) if code == "true" or not boolean
        }
        return of_counts("share", self.of, table, codes)


def _noise(table: Table) -> Floats:
    """Covariance of (a, B) of the first group and (a, B) of the second, for each code: codes x 4 x 4."""
    first, second = slice(0, 1), slice(1, 2)
    found = table.covariances((OWN, first), (KNOWN, first), (OWN, second), (KNOWN, second))
    return found[:, 0]


def _contrasts(
    found: Shares, covariance: Floats, axes: Sequence[Axis], sums: Estimates, sampling: bool
) -> tuple[Row, ...]:
    """The share in the second group less the share in the first. The row is keyed by the second. `covariance`: as `_noise`."""
    first, second = found.estimate.T
    difference = second - first
    base = found.base
    gradient = np.stack([-1 / base[:, 0], first / base[:, 0], 1 / base[:, 1], -second / base[:, 1]], axis=-1)
    noise = intervals.quadratic(gradient, covariance)
    drawn = found.sampling.sum(axis=1)
    variance = noise + sampling * drawn
    low, high = intervals.normal(difference, variance, sums.z)
    centre = np.clip(difference, -1.0, 1.0)
    p_value = intervals.two_sided(difference, np.sqrt(variance))
    of, by = axes
    rows = table_rows(
        "share",
        (of,),
        sums={},
        figures={
            "estimate": difference,
            "display": found.display[:, 1] - found.display[:, 0],
            "se_noise": np.sqrt(noise),
            "se_sampling": np.sqrt(drawn),
            "ci_low": np.minimum(np.clip(low, -1.0, 1.0), centre),
            "ci_high": np.maximum(np.clip(high, -1.0, 1.0), centre),
            "p_value": p_value,
            "q_value": intervals.benjamini_hochberg(p_value),
        },
        marks=marks.letters((found.marks == "x").any(axis=1), (found.marks == "u").any(axis=1)),
    )
    known = (row for row in rows if row.obs_status != "z")
    return tuple(replace(row, keys={of.name: row.keys[of.name], by.name: by.codes[1]}, contrast=True) for row in known)
