"""The public grid that quantiles of an amount are read from: leaves between edges, and levels of coarser nodes above them.

    level H   leaves   |0|1|2|3|4|5|...        leaf i holds values from edges[i] up to, and without, edges[i + 1]
    level H-1 nodes    |   0   |   1   |...    node j holds leaves b j .. b j + b - 1
    level 0   all      |       0       |...

Edges follow from the dictionary and the question alone. They are whole steps (a whole number, a whole yuan), so that equal ones fall
together; the leaves that this frees stay empty at the top, and every node has b children.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cache
from typing import Final

DIGITS: Final = 60  # of the powers that an asinh grid is made of: far beyond any edge, and the same on every machine
SPREAD: Final = (
    500  # of an asinh grid, in what people write (yuan): below it steps are about equal, above they widen in proportion
)
SHAPES: Final = {1024: (4, 5), 4096: (16, 3)}  # leaves: branching b, height H


@dataclass(frozen=True)
class Tree:
    """`edges`: in whole units (fen, years), the last one just above the range. `step`: units in one step."""

    variable: str
    scale: str
    branching: int
    height: int
    step: int
    edges: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.variable} {self.scale} {self.branching}^{self.height}"

    @property
    def leaves(self) -> int:
        """Used or not."""
        return int(self.branching**self.height)

    @property
    def used(self) -> int:
        return len(self.edges) - 1

    def nodes(self, level: int) -> int:
        return int(self.branching**level)

    def starts(self, level: int) -> tuple[int, ...]:
        """Where each node of a level that holds values begins."""
        return self.edges[: -1 : self.leaves // self.nodes(level)]


@cache
def tree(
    variable: str,
    scale: str,
    leaves: int,
    bounds: tuple[int, int],
    step: int,
    points: tuple[int, ...] = (),
    spread: int = SPREAD,
) -> Tree:
    """A grid over `bounds` (whole units, both inside) with at most so many leaves, and no more levels than its steps need.

    `points`: values that many holders share; each gets a leaf of one step. `spread`: of an asinh grid, in steps.
    """
    (branching, height), (low, high) = SHAPES[leaves], bounds
    first, after = low // step, high // step + 1
    while height > 1 and branching ** (height - 1) >= after - first:
        height -= 1
    most = wanted = branching**height
    lumps = {edge for point in points for edge in (point // step, point // step + 1) if first < edge < after}
    while True:
        cut = _linear(first, after, wanted) if scale == "linear" else _asinh(first, after, wanted, spread)
        edges = sorted({first, after, *cut} | lumps)
        if len(edges) - 1 <= most:
            break
        wanted -= len(edges) - 1 - most
    whole = (low, *(edge * step for edge in edges[1:-1]), high + 1)
    return Tree(variable, scale, branching, height, step, whole)


def _linear(first: int, after: int, leaves: int) -> Iterator[int]:
    return (first + number * (after - first) // leaves for number in range(leaves))


def _asinh(first: int, after: int, leaves: int, spread: int) -> Sequence[int]:
    """x = s sinh(t), t in equal steps."""
    with localcontext(prec=DIGITS):
        begin, end = (_arsinh(Decimal(edge) / spread) for edge in (first, after))
        power, ratio = begin.exp(), ((end - begin) / leaves).exp()
        found = []
        for _ in range(leaves):
            x = spread * (power - 1 / power) / 2
            found.append(int(x.to_integral_value(ROUND_HALF_EVEN)))
            power *= ratio
    return found


def _arsinh(x: Decimal) -> Decimal:
    found = (abs(x) + (x * x + 1).sqrt()).ln()
    return found if x >= 0 else -found
