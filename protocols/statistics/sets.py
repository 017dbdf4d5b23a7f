"""Multi-response variables: how many holders named each code, in all or by group, and what share of those who answered that is.

Leaves the city, for the holders who answered: w times their number by group, and for each code and group +1 for each who named it and -1
for each who did not (or, where few codes can be named, +1 or nothing). One holder who answered moves each code's table by 1, in one group.

A code's table and the number of those who answered have independent noise, so that with n of the latter and S of the former the count of a
code is (S + n) / 2, whose variance and whose covariance with n follow from both (`Layout.choice` says why that is the better layout).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.dictionary import MISSING
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, OWN, Estimates, Floats, Pattern, Table, Units
from protocols.statistics.layout import Axis, Blocks, Domain, count, yes_no
from protocols.statistics.rows import Row, table_rows
from protocols.statistics.tables import Shares, shares_of

ANSWERED = slice(0, 1)  # of known(x)


def blocks(of: str, by: Sequence[str], domain: Domain) -> Blocks:
    """`of`: the set; `by`: what else the table is split by."""
    choice, weight = domain.choice(of)
    axes = [domain.axis(name) for name in by]
    answered = replace(count([domain.known(of), *axes]), weight=weight)
    return {"holders": answered, "named": yes_no(choice, axes)}


@dataclass(frozen=True)
class Chosen:
    """The tables of one set. `of`: its codes and `_missing`; `at`: where it stands among the axes of a question.

    `holders`: those who answered and who did not, by the other axes; `named`: of each code, those who named it. `halved`: whether the noise
    of `holders` is in the counts of codes, by half.
    """

    of: Axis
    at: int
    holders: Table
    named: tuple[Table, ...]
    halved: bool

    @classmethod
    def tables(cls, names: Sequence[str], of: str, sums: Estimates, domain: Domain) -> "Chosen":
        """`names`: the axes of a question in its order, `of` among them."""
        choice, _ = domain.choice(of)
        others = tuple(name for name in names if name != of)
        axis = Axis(of, (*choice.codes, MISSING), of)
        holders = sums["holders"].ordered((domain.known(of).name, *others))
        named = tuple(sums[f"named {code}"].ordered(others) for code in choice.codes)
        return cls(axis, names.index(of), holders, named, choice.most is None)

    @property
    def axes(self) -> tuple[Axis, ...]:
        others = self.holders.axes[1:]
        return (*others[: self.at], self.of, *others[self.at :])

    @cached_property
    def units(self) -> Units:
        """Counts: codes and `_missing` x the other axes."""
        return np.stack([*(each.units for each in self.named), self.holders.units[1]])

    @cached_property
    def sd(self) -> Floats:
        """Of the noise in each count."""
        holders = np.broadcast_to(self.holders.sd, self.holders.units.shape)
        half = 0.5 if self.halved else 0.0
        codes = [
            np.sqrt(np.broadcast_to(each.sd, each.units.shape) ** 2 + (half * holders[0]) ** 2) for each in self.named
        ]
        return np.stack([*codes, holders[1]])

    @cached_property
    def shown(self) -> Floats:
        """The same counts without negative ones: of each code, those who named it and those who did not; and of all, who answered."""
        answered = self.holders.values[0]
        codes = [intervals.simplex(np.stack([each.values, answered - each.values]))[0] for each in self.named]
        return np.stack([*codes, intervals.simplex(self.holders.values)[1]])

    def count_rows(self, sums: Estimates, sampling: bool) -> tuple[Row, ...]:
        """One row per code and group, `_missing` ones too; as `tables.count_rows`."""
        values = self.units / self.holders.quantum
        drawn = np.maximum(values, 0.0)
        low, high = intervals.normal(values, self.sd**2 + sampling * drawn, sums.z)
        doubtful = marks.doubtful_count(values, self.sd, sums.least(self.holders), (high - low) / 2)
        printed = self.holders.printed(self.units)
        over = np.stack([self.holders.units[0]] * len(self.named)) < self.units[:-1]
        changed = bool((values < 0).any() or over.any())
        figures = {
            "se_noise": self.sd,
            "se_sampling": np.sqrt(drawn),
            "ci_low": np.maximum(low, 0.0),
            "ci_high": np.maximum(high, 0.0),
        } | ({"display": self.shown} if changed else {})
        return table_rows(
            "count",
            self.axes,
            sums={name: self._placed(printed) for name in ("estimate", *(() if changed else ("display",)))},
            figures={name: self._placed(each) for name, each in figures.items()},
            marks=self._placed(marks.letters(np.zeros_like(doubtful), doubtful)),
        )

    def share_rows(self, measure: str, held: Collection[int], sums: Estimates, sampling: bool) -> tuple[Row, ...]:
        """Of the holders who answered and whose place on every other axis is known, by the codes of the `held` axes of the question: the
        share of each cell. Where the set is held: of those who named the code."""
        found = self.shares(held, sums, sampling)
        moved: dict[str, Any] = {each.name: self._placed(getattr(found, each.name)) for each in fields(found)}
        return Shares(**moved).rows(measure, self.holders, self.axes)

    def shares(self, held: Collection[int], sums: Estimates, sampling: bool) -> Shares:
        """Codes x known positions of the other axes."""
        number = len(self.holders.axes) - 1
        mine = self.at in held
        kept = {axis - (axis > self.at) for axis in held if axis != self.at}
        over = tuple(axis + 1 for axis in range(number) if axis not in kept)
        known = (slice(None, -1), *(KNOWN,) * number)
        units, shown = self.units[known], self.shown[known]
        answered = np.broadcast_to(self.holders.units[0][(KNOWN,) * number], units.shape)
        cell: Pattern = (OWN,) * number
        whole: Pattern = tuple(OWN if axis in kept else KNOWN for axis in range(number))
        base = (units if mine else answered).sum(axis=over, keepdims=True)
        shown_base = (shown if mine else np.maximum(answered / self.holders.quantum, 0.0)).sum(axis=over, keepdims=True)
        return shares_of(
            units,
            np.broadcast_to(base, units.shape),
            shown,
            shown_base,
            self._noise(cell, whole, mine),
            self.holders,
            sums,
            sampling,
        )

    def _noise(self, cell: Pattern, whole: Pattern, mine: bool) -> Floats:
        """Covariance of a count and of its base: 1 x known positions of the other axes x 2 x 2; alike for all codes."""
        half = 0.5 if self.halved else 0.0
        own = self.named[0].covariances(cell, whole)[None]
        answered = self.holders.covariances((ANSWERED, *cell), (ANSWERED, *whole))
        if mine:
            return own + half**2 * answered
        shape = np.broadcast_shapes(own.shape, answered.shape)
        found = np.zeros(shape)
        found[..., 0, 0] = (own + half**2 * answered)[..., 0, 0]
        found[..., 0, 1] = found[..., 1, 0] = np.broadcast_to(half * answered, shape)[..., 0, 1]
        found[..., 1, 1] = np.broadcast_to(answered, shape)[..., 1, 1]
        return found

    def noise_of_two(self) -> Floats:
        """Covariance of (a, B) of the first of two groups and (a, B) of the second, alike for all codes: 4 x 4."""
        half, groups = 0.5 if self.halved else 0.0, (slice(0, 1), slice(1, 2))
        answered = self.holders.covariance(*((ANSWERED, each) for each in groups))
        own = self.named[0].covariance(*((each,) for each in groups))
        pairs = np.array([[half**2, half], [half, 1.0]])
        return np.asarray(np.kron(answered, pairs) + np.kron(own, np.array([[1.0, 0.0], [0.0, 0.0]])))

    def _placed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Codes first, as everything is computed, to the place of the set among the axes of the question."""
        return np.moveaxis(values, 0, self.at)
