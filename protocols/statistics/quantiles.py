"""Quantiles of an integer or an amount, in all or by group, read from a public grid of leaves.

Leaves the city: for each group, how many holders have a known value; and how many stand at each node of a tree over the grid, level by
level, holders without a value on `_missing`. One holder moves one cell of each level by 1.

The quantile at p is the value of the holder at rank floor((n - 1) p) of those in ascending order, counted from 0: exact where leaves are
one step wide (a whole number, a whole yuan), else placed inside its leaf in proportion.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from protocols.dictionary import MISSING, Dictionary
from protocols.statistics import marks
from protocols.statistics.estimates import OWN, QUANTA, Estimates, Floats, Table, Units
from protocols.statistics.example import Example
from protocols.statistics.layout import Axis, Blocks, Domain, count
from protocols.statistics.nested import TreeTable
from protocols.statistics.question import Fault, Names, Question, Values, amount_fault, axis_faults
from protocols.statistics.rows import Answer, Row, table_rows
from protocols.statistics.suppression import Withheld, uncovered
from protocols.statistics.tables import count_rows
from protocols.statistics.tree import Tree

AT: Final = "at"  # the key of rows
MOST_LEVELS: Final = 99  # of one question: more are a histogram
ENDS: Final = (0, 1)  # the least and the largest value are those of one holder


class Quantiles(Question):
    """`at`: levels in [0, 1]; 0 and 1 are never answered. `grid`, `leaves`: how the range is cut; of money, finely where amounts are
    small."""

    EXAMPLE = Example(
        {"id": "paid_months", "kind": "quantiles", "of": "months_paying", "at": ["0.25", "0.5", "0.75"], "by": "owner"},
        holder={"months_paying": "7", "owner": "true"},
    )

    kind: Literal["quantiles"] = "quantiles"
    of: str
    at: Values
    by: Names = ()
    grid: Literal["linear", "asinh"] | None = None
    leaves: Literal["1024", "4096"] | None = None

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("by", self.by, dictionary, beside=(self.of,))
        yield from amount_fault("of", self.of, dictionary, beside=())
        if not self.at:
            yield Fault("at", "STUDY_EMPTY", {})
        if len(self.at) > MOST_LEVELS:
            yield Fault("at", "STUDY_MANY", {"found": len(self.at), "most": MOST_LEVELS})
        for number, level in enumerate(self.at):
            if not 0 <= level <= 1:
                yield Fault("at", "STUDY_LEVEL", {"found": f"{level:f}"})
            elif level in self.at[:number]:
                yield Fault("at", "STUDY_TWICE", {"name": f"{level:f}"})

    def _tree(self, domain: Domain) -> Tree:
        return domain.tree(self.of, self.grid, None if self.leaves is None else int(self.leaves))

    def blocks(self, domain: Domain) -> Blocks:
        by, tree = [domain.axis(name) for name in self.by], self._tree(domain)
        levels = {f"level {level}": count([domain.nodes(tree, level), *by]) for level in range(1, tree.height + 1)}
        return {"holders": count([domain.known(self.of), *by]), **levels}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """One row per level and group; `base` counts the holders of the group whose value is known."""
        tree, per = self._tree(domain), domain.per(self.of)
        known, nodes = domain.known(self.of).name, domain.nodes(tree, tree.height).name
        holders = sums["holders"].ordered((*self.by, known))
        leaves = sums[f"level {tree.height}"].ordered((*self.by, nodes))
        assert isinstance(leaves, TreeTable)  # noqa: S101 of a block with a level of a tree
        n_units = holders.units[holders.known][..., 0]
        n_noise = np.broadcast_to(_variance(holders), n_units.shape)
        shape = (*n_units.shape, len(self.at))
        found = {name: np.full(shape, np.nan) for name in ("estimate", "se_noise", "se_sampling", "ci_low", "ci_high")}
        status = np.full(shape, "x", dtype=object)
        drawn = self.sampling is not False
        for group in np.ndindex(n_units.shape):
            n = int(n_units[group])
            if marks.undivided(np.asarray(n / QUANTA), np.sqrt(n_noise[group])):
                continue
            counted = _Counted(tree, leaves, n, leaves.units[(*group, slice(None, -1))], float(n_noise[group]))
            for place, level in enumerate(self.at):
                read = counted.at(level, sums.z, drawn)
                for name, value in zip(found, read, strict=True):
                    found[name][(*group, place)] = value / per
                half = (found["ci_high"][(*group, place)] - found["ci_low"][(*group, place)]) / 2
                doubtful = marks.doubtful_mean(
                    np.asarray(n / QUANTA), np.sqrt(n_noise[group]), sums.least(holders), half, found["estimate"][(*group, place)]
                )  # fmt: skip
                status[(*group, place)] = "u" if doubtful else ""
        axes = (*holders.axes[:-1], Axis(AT, (*(f"{level:f}" for level in self.at), MISSING), self.of))
        base = np.broadcast_to(holders.printed(n_units)[..., None], shape)
        rows = table_rows("quantile", axes, {"base": base}, found | {"display": found["estimate"]}, status)
        counts = count_rows(holders.renamed(known, AT), sums, sampling=self.sampling is True)
        return Answer((*map(self._answered, rows), *counts))

    def _answered(self, row: Row) -> Row:
        """The row, but for the least and the largest value."""
        ends = row.keys[AT] != MISSING and Decimal(row.keys[AT]) in ENDS and row.obs_status != "z"
        return Row(row.measure, row.keys, conf_status="C") if ends else row

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:  # noqa: ARG002 as every kind
        """Nothing where small counts are withheld: a quantile says of the cells below it how many they hold in all, and an attacker who
        knows that is not reckoned with."""
        return uncovered(answer)


def _variance(holders: Table) -> Floats:
    """Of the noise in the number of holders of each known group whose value is known."""
    return holders.covariances((*(OWN,) * (len(holders.axes) - 1), slice(0, 1)))[..., 0, 0, 0]


class _Counted:
    """One group: how many holders stand below each edge of the leaves that are used. Values are in whole units."""

    def __init__(self, tree: Tree, table: TreeTable, n_units: int, leaves: Units, n_noise: float) -> None:
        """`leaves`: quanta of every leaf, used or not; where noise has moved them, brought back to a sum of `n_units`."""
        self.tree, self.exact, self.n_units, self.n_noise = tree, table.exact and n_noise == 0, n_units, n_noise
        lacking = (n_units - int(leaves.sum())) / tree.leaves
        edges = np.arange(tree.used + 1)
        upto = np.concatenate([[0], np.cumsum(leaves)])[: tree.used + 1] + lacking * edges
        upto[-1] = n_units  # nobody stands on the leaves that are left over
        self.upto, self.place = upto, edges / tree.leaves
        self.of_levels = table.before()[: tree.used + 1]
        self.shown = upto if self.exact else np.clip(_rising(upto), 0, n_units)

    def at(self, level: Decimal, z: float, drawn: bool) -> tuple[float, float, float, float, float]:
        """Estimate, its two standard errors, and both ends of its interval."""
        tree, edges, p = self.tree, self.tree.edges, float(level)
        rank = float((self.n_units - QUANTA) * level)
        target = np.floor(min(max(rank, 0.0), self.n_units - 1.0))
        leaf = min(int(np.searchsorted(self.shown, target, side="right")) - 1, tree.used - 1)
        left, width, inside = edges[leaf], edges[leaf + 1] - edges[leaf], self.shown[leaf + 1] - self.shown[leaf]
        estimate = left + ((width - 1) * (target - self.shown[leaf]) / inside if width > tree.step else 0.0)
        noise = np.maximum(self.n_noise * (self.place - p) ** 2 + self.of_levels, 0.0)
        sampling = drawn * p * (1 - p) * self.n_units / QUANTA
        far = np.abs(self.upto - p * self.n_units) / QUANTA
        kept = np.flatnonzero(
            far <= z * np.sqrt(noise + sampling)
        )  # a holder at such an edge may be on either side of it
        low, high = (max(kept.min() - 1, 0), min(kept.max() + 1, tree.used)) if kept.size else (leaf, leaf + 1)
        low, high = min(low, leaf), max(high, leaf + 1)
        holders = (self.shown[high] - self.shown[low]) / QUANTA  # at least those of the leaf
        slope = (edges[high] - edges[low]) / holders
        most = edges[high] - (tree.step == 1)  # the largest whole number below the edge; of money, the edge
        return estimate, slope * float(np.sqrt(noise[leaf])), slope * float(np.sqrt(sampling)), edges[low], most


def _rising(upto: Floats) -> Floats:
    """The nearest counts that never fall (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(upto).x)
