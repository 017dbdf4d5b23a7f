"""All questions of a study as one layout: equal blocks of two questions are measured once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from protocols.statistics.layout import Block, Blocks, Domain, Layout, Measure

WORTH_MEASURING: Final = Fraction(1, 200)  # a block that is a margin of another must get more than 0.5 % of the budget


@dataclass(frozen=True)
class Workload:
    """`blocks`: for each question, its blocks by name, each in the layout or the margin of one that is.

    `weights`: for each block of the layout, the largest weight of a question that uses it.
    """

    layout: Layout
    blocks: Mapping[str, Blocks]
    weights: tuple[Fraction, ...]

    @classmethod
    def of(cls, questions: Sequence[Any], domain: Domain) -> "Workload":
        """Blocks in the order of their first use. A margin that would get at most 0.5 % of the cost is summed out instead."""
        named = {question.id: question.blocks(domain) for question in questions}
        weights: dict[Block, Fraction] = {}
        for question in questions:
            for block in named[question.id].values():
                weights[block] = max(weights.get(block, Fraction(0)), Fraction(question.weight))
        for block in sorted(weights, key=lambda each: (weights[each], each.name)):
            share = weights[block] / sum(weights.values())
            if share <= WORTH_MEASURING and any(margin_of(block, other) for other in weights if other != block):
                del weights[block]
        return cls(Layout(tuple(weights)), named, tuple(weights.values()))

    def shares(self) -> tuple[Fraction, ...]:
        """The part of the whole cost that each block pays: equal per block, times its weight; sum 1."""
        total = sum(self.weights, Fraction(0))
        return tuple(weight / total for weight in self.weights)


def margin_of(block: Block, other: Block) -> bool:
    """Can `block` be had by summing `other` over some axes? Only counts of whole cohorts here."""
    both_count = block.measure is Measure.ONE and other.measure is Measure.ONE
    return both_count and block.weight == other.weight and set(block.axes) < set(other.axes)
