"""The cohort of one question: a slice of a table of everybody where it can be, so that it agrees with all others; else a family of its own.

A cohort that is `is` on one category, boolean or attribute of cities becomes one more axis of the question's blocks. A holder still moves
one cell, so that it costs no more; the whole table leaves the city, and the slice is published. In mode exact every cohort stays as it
is: what is not published would be seen by the coordinator without noise (docs/adr/0051-cohorts-of-questions.md).
"""

from dataclasses import dataclass, replace
from typing import Final

from protocols.filters import Filter, Leaf
from protocols.statistics.layout import MOST_CELLS_PER_QUESTION, Axis, Block, Blocks, Domain

WIDEST: Final = (
    4  # axes of a widened block: limits.most_dimensions of the shipped policy, and what a question may name itself
)


@dataclass(frozen=True)
class Slice:
    """One position of one axis."""

    axis: str
    position: int


def widened(blocks: Blocks, cohort: Filter, domain: Domain) -> tuple[Blocks, Slice] | None:
    """The blocks of a question with its cohort as one more axis of each; None where it cannot be one, or would pass a limit."""
    if domain.exact or not isinstance(cohort, Leaf) or cohort.operator() != "is":
        return None
    if any(
        block.branches is not None for block in blocks.values()
    ):  # levels of a tree are fitted apart, each group by itself
        return None
    name, meant = cohort.variable, domain.dictionary
    if meant.type_of(name) not in ("category", "boolean"):
        return None
    axis = domain.axis(name)
    wide = {key: _along(block, axis) for key, block in blocks.items()}
    if any(axis in block.axes for block in blocks.values()) or any(len(block.axes) > WIDEST for block in wide.values()):
        return None
    if sum(block.cells for block in wide.values()) > MOST_CELLS_PER_QUESTION:
        return None
    return wide, Slice(axis.name, int(meant.reader(name)(cohort.is_ or "")))


def _along(block: Block, axis: Axis) -> Block:
    axes: tuple[Axis, ...] = tuple(sorted({*block.axes, axis}, key=lambda each: each.name))
    return replace(block, axes=axes)


def apart(blocks: Blocks, cohort: Filter) -> Blocks:
    """The blocks over the holders of the cohort alone."""
    return {key: replace(block, cohort=cohort) for key, block in blocks.items()}
