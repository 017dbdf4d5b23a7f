"""All questions of a study as layouts: equal blocks of two questions are measured once.

A question that is released pooled is measured in the secure sum over cities; one that is released by city, in every city's own answer; one
that is released both ways, in both, for a part of its cost each. In mode exact the sum of what cities say themselves is exact already, so
that the latter is measured by city alone; and every margin of its tables is a block of its own, so that a city can withhold cells of them.
Beside a sum of amounts stands how many cities there are of whose part a few holders are most, for each of its cells and margins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from protocols.privacy import POOLED_PART
from protocols.statistics.dominance import guards
from protocols.statistics.layout import NOTHING, Block, Blocks, Domain, Layout, Measure
from protocols.statistics.own_tables import margins
from protocols.statistics.question import Release

WORTH_MEASURING: Final = Fraction(1, 200)  # a block that is a margin of another must get more than 0.5 % of the budget


@dataclass(frozen=True)
class Workload:
    """`layout`: what is summed over cities. `own`: what each city answers by itself. Either may be empty.

    `blocks`: for each question, its blocks by name, each in those layouts that its release asks for, or the margin of one that is.
    `weights`: for each block of the layout, then of `own`, the largest weight of a question that uses it there.
    """

    layout: Layout
    blocks: Mapping[str, Blocks]
    weights: tuple[Fraction, ...]
    own: Layout = NOTHING

    @classmethod
    def of(cls, questions: Sequence[Any], domain: Domain, release: Release = "pooled") -> "Workload":
        """Blocks in the order of their first use. A margin that would get at most 0.5 % of the cost is summed out instead.

        `release`: of the questions that say nothing else.
        """
        named = {question.id: question.blocks(domain) for question in questions}
        summed, own = dict[Block, Fraction](), dict[Block, Fraction]()
        for question in questions:
            parts = parts_of(question.release or release, exact=domain.exact)
            for block in named[question.id].values():
                for weights, part in zip((summed, own), parts, strict=True):
                    if part:
                        weights[block] = max(weights.get(block, Fraction(0)), part * Fraction(question.weight))
        _sum_out(summed, beside=own)
        _sum_out(own, beside=summed)
        if domain.exact:
            own |= dict.fromkeys(margins(tuple(own)), Fraction(1))
            summed |= dict.fromkeys(guards(tuple(summed)), Fraction(1))
        return cls(Layout(tuple(summed)), named, (*summed.values(), *own.values()), Layout(tuple(own)))

    @property
    def cells(self) -> int:
        """Integers that leave a city, masked and not."""
        return self.layout.length + self.own.length

    @property
    def together(self) -> Layout:
        """Every block, the summed ones first; one that is measured both ways stands there once."""
        return Layout(tuple(dict.fromkeys((*self.layout.blocks, *self.own.blocks))))

    def shares(self) -> tuple[Fraction, ...]:
        """The part of the whole cost that each block pays: equal per block, times its weight; sum 1."""
        total = sum(self.weights, Fraction(0))
        return tuple(weight / total for weight in self.weights)


def parts_of(release: Release, *, exact: bool) -> tuple[Fraction, Fraction]:
    """Of the cost of a question: the part of its blocks in the sum, and that of its blocks by city; 0 where it has none there."""
    match release:
        case "pooled":
            return Fraction(1), Fraction(0)
        case "by_city":
            return Fraction(0), Fraction(1)
        case "both":
            return (Fraction(0), Fraction(1)) if exact else (POOLED_PART, 1 - POOLED_PART)


def _sum_out(weights: dict[Block, Fraction], beside: Mapping[Block, Fraction]) -> None:
    """Take out margins of other blocks that are not worth a measurement of their own. `beside`: what else the study pays for."""
    for block in sorted(weights, key=lambda each: (weights[each], each.name)):
        share = weights[block] / sum((*weights.values(), *beside.values()))
        if share <= WORTH_MEASURING and any(margin_of(block, other) for other in weights if other != block):
            del weights[block]


def margin_of(block: Block, other: Block) -> bool:
    """Can `block` be had by summing `other` over some axes? Only counts of whole cohorts, or of the same event rows, here; trees are fitted
    each by itself."""
    both_count = block.measure is Measure.ONE and other.measure is Measure.ONE and block.branches is None
    alike = block.weight == other.weight and block.over == other.over
    return both_count and alike and set(block.axes) < set(other.axes)
