"""All questions of a study as layouts: equal blocks of two questions are measured once.

A question that is released pooled is measured in the secure sum over cities; one that is released by city, in every city's own answer; one
that is released both ways, in both, for a part of its cost each. In mode exact the sum of what cities say themselves is exact already, so
that the latter is measured by city alone; and every margin of its tables is a block of its own, so that a city can withhold cells of them.
Beside a sum of amounts stands how many cities there are of whose part a few holders are most, for each of its cells and margins; and every
figure of centres that a question released pooled asks for has a cell of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from protocols import facts
from protocols.privacy import POOLED_PART
from protocols.statistics.cohorts import Slice, apart, widened
from protocols.statistics.dominance import guards
from protocols.statistics.layout import NOTHING, Block, Blocks, Domain, Layout, Measure
from protocols.statistics.own_tables import margins
from protocols.statistics.question import Release
from protocols.statistics.resolution import Resolution

WORTH_MEASURING: Final = Fraction(1, 200)  # a block that is a margin of another must get more than 0.5 % of the budget

MOST_WIDE_CELLS: Final = 200_000  # limits.most_cells of the shipped policy
MOST_WIDE_CELLS_BY_CITY: Final = 50_000  # limits.most_cells_by_city


@dataclass(frozen=True)
class Workload:
    """`layout`: what is summed over cities. `own`: what each city answers by itself. Either may be empty.

    `blocks`: for each question, its blocks by name, each in those layouts that its release asks for, or the margin of one that is.
    `published`: the same where a cohort of its own is no axis more; `slices`: which part of those blocks is published, of the questions
    whose cohort is one (`cohorts.py`). `weights`: for each block of the layout, then of `own`, the largest weight of a question that
    uses it there.
    """

    layout: Layout
    blocks: Mapping[str, Blocks]
    weights: tuple[Fraction, ...]
    own: Layout = NOTHING
    published: Mapping[str, Blocks] = field(default_factory=dict)
    slices: Mapping[str, Slice] = field(default_factory=dict)

    @classmethod
    def of(cls, questions: Sequence[Any], domain: Domain, release: Release = "pooled") -> "Workload":
        """Blocks in the order of their first use. A margin that would get at most 0.5 % of the cost is summed out instead.

        `release`: of the questions that say nothing else.
        """
        plain = {question.id: question.blocks(domain) for question in questions}
        wide = {
            question.id: found
            for question in questions
            if question.cohort is not None
            and (found := widened(plain[question.id], question.cohort, domain)) is not None
        }
        while True:
            made = cls._of(questions, domain, release, plain, wide)
            if not wide or not made._beyond:
                return made
            del wide[max(wide, key=lambda name: sum(block.cells for block in wide[name][0].values()))]

    @classmethod
    def _of(
        cls,
        questions: Sequence[Any],
        domain: Domain,
        release: Release,
        plain: Mapping[str, Blocks],
        wide: Mapping[str, tuple[Blocks, Slice]],
    ) -> "Workload":
        named = {
            each.id: wide[each.id][0] if each.id in wide
            else plain[each.id] if each.cohort is None
            else apart(plain[each.id], each.cohort)
            for each in questions
        }  # fmt: skip
        summed, own = dict[Block, Fraction](), dict[Block, Fraction]()
        for question in questions:
            parts = parts_of(question.release or release, exact=domain.exact)
            for block in named[question.id].values():
                share = part_of(block, named[question.id]) * Fraction(question.weight)
                for weights, part in zip((summed, own), parts, strict=True):
                    if part:
                        weights[block] = max(weights.get(block, Fraction(0)), part * share)
        _sum_out(summed, beside=own)
        _sum_out(own, beside=summed)
        if domain.exact:
            own |= dict.fromkeys(margins(tuple(own)), Fraction(1))
            summed |= dict.fromkeys(guards(tuple(summed)), Fraction(1))
            pooled = [each for each in questions if (each.release or release) == "pooled"]
            figures = dict.fromkeys(name for each in pooled for name in each.facts())
            summed |= dict.fromkeys((facts.cell(name, domain.dictionary) for name in figures), Fraction(1))
        weights_ = (*summed.values(), *own.values())
        slices = {name: part for name, (_, part) in wide.items()}
        return cls(Layout(tuple(summed)), named, weights_, Layout(tuple(own)), plain, slices)

    @property
    def _beyond(self) -> bool:
        """Whether it is larger than shipped policies answer, or than least squares can solve: then cohorts are not made axes."""
        if self.layout.length > MOST_WIDE_CELLS or self.own.length > MOST_WIDE_CELLS_BY_CITY:
            return True
        return Resolution.of(self.together).largest(self.together.blocks) is not None

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


def part_of(block: Block, blocks: Blocks) -> Fraction:
    """Of the cost of one block, what this one of a question pays. The codes of a set and the number of those who answered are one block
    with one variance, so that each pays by its D2; every other block pays for itself."""
    if all(each.measure is not Measure.YES_NO for each in blocks.values()):
        return Fraction(1)
    return Fraction(block.l2sq, sum(each.l2sq for each in blocks.values()))


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
    alike = (block.weight, block.over, block.cohort) == (other.weight, other.over, other.cohort)
    return both_count and alike and set(block.axes) < set(other.axes)
