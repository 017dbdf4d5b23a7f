"""How the budget of a study is split over its blocks, and the noise that this gives: found once, stated in the study, approved with it.

Noise that is split equally over blocks is not the best that a budget buys: after least squares, tables that others say much about need less
of it. Searched is the split with the least

    F = sum over questions of  weight^2 * mean over the cells of its table of their noise variance after least squares.

Weights are squared so that, where tables say nothing about each other, twice the weight is half the variance, as it is with equal shares.
With precisions p_b = share_b of the blocks and C_A(p) the covariance of part A (`consistency.py`), F = sum over A of trace(C_A(p) T_A),
where T_A holds what questions make of part A; C_A is the inverse of a sum of p_b G_bA. That is an A-optimal design: F is convex, and shares
times the root of what a little more of each would gain, over and over, converge on its least value (Yu 2010, "Monotonic convergence of a
general algorithm for computing optimal designs"). How far F is from it at most is known at every step (`Split.gap`).

Only counts are split like this: what a mean rests on keeps its shares, as do the levels of a tree, and so does a block that is both (pooled
and by city) its two parts.
Of what is released by city one city's table counts; a pooled table that is released both ways gains by the same shares.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from typing import Final

import numpy as np

from coordinator.consistency import Solved, rows_of, unsolved
from protocols import pld
from protocols.stated import MOST_EXACT, Noise
from protocols.statistics.estimates import AxisSet, Floats, subsets
from protocols.statistics.layout import Layout
from protocols.statistics.own_tables import tabled
from protocols.statistics.resolution import Resolution
from protocols.study import Study

GRID: Final = 100_000  # shares are rounded to whole parts of so many, or so
LEAST: Final = 0.05  # of its equal share, that every block keeps
CLOSE: Final = 1e-4  # relative, to the least F
STEPS: Final = 1_000
MOST_UNKNOWNS: Final = 200  # of one part, in which shares are searched
WORTH: Final = 1e-3  # relative: less is not worth another split


@dataclass(frozen=True)
class Split:
    """`shares`: whole parts, of each block of the layout and then of each city's own. `gain`: F of equal shares over that of these.

    `gap`: by how much of itself F may be above the least there is, at most.
    """

    shares: tuple[int, ...]
    gain: float = 1.0
    gap: float = 0.0


def stated(study: Study) -> Study:
    """The study with the best noise that is known for it, unless it states its own or has none.

    Studies of nothing but counts are accounted by privacy loss distributions. Where neither that nor another split gains anything, the
    study stays as it is: equal shares, Rényi orders; so does one whose many-round questions say themselves how they share. Errors: those of
    `Study.variances`.
    """
    if study.exact or study.file.privacy.noise is not None or study.drawn:
        return study
    split = best(study)
    return restated(study, split.shares if split.gain > 1 else None)


def restated(study: Study, shares: Sequence[int] | None) -> Study:
    """The study with the noise that these shares give at its epsilon; None: equal ones. Errors: as `stated`."""
    given = _exact(study.workload.shares()) if shares is None else tuple(shares)
    by_orders = study.with_noise(Noise(accounting="rdp", shares=given))
    needs = by_orders.needs(study.workload.layout, study.workload.own)
    scale = pld.scale_for(needs, study.epsilon, study.delta) if pld.counts(needs) else None
    if scale is not None and scale <= MOST_EXACT:
        return study.with_noise(Noise(accounting="pld", shares=given, scale=scale))
    return study.with_noise(None) if shares is None else by_orders


def best(study: Study) -> Split:
    """The split with the least F that was found; equal shares where no other is worth it."""
    equal = np.array([float(share) for share in study.workload.shares()])
    problem = Problem.of(study)
    if problem is None:
        return Split(_exact(study.workload.shares()))
    found, gap = problem.solved(equal)
    shares = tuple(max(1, round(share * GRID)) for share in found.tolist())
    gained = problem.value(equal) / problem.value(np.array(shares) / sum(shares))
    return Split(shares, gained, gap) if gained > 1 + WORTH else Split(_exact(study.workload.shares()), 1.0, gap)


def gain(study: Study) -> float:
    """F of equal shares over that of the shares of the study."""
    problem = None if study.file.privacy.noise is None else Problem.of(study)
    if problem is None:
        return 1.0
    equal, stated_ = (np.array([float(each) for each in found]) for found in (study.workload.shares(), study.shares))
    return problem.value(equal) / problem.value(stated_)


@dataclass(frozen=True)
class Part:
    """One part A of the tables of one place. `blocks`: those that speak of it, by position. `speaks`: G_bA of each. `asked`: T_A."""

    blocks: tuple[int, ...]
    speaks: Floats
    asked: Floats


@dataclass(frozen=True)
class Problem:
    """F over the shares of all blocks. `free`: positions of blocks whose shares are searched; those in one tuple keep their proportion."""

    parts: tuple[Part, ...]
    free: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, study: Study) -> "Problem | None":
        """None where there is nothing to search: fewer than two blocks of counts alone, or parts that are too large."""
        workload = study.workload
        places = ((workload.layout, 0), (workload.own, len(workload.layout.blocks)))
        questions = [q for q in study.file.questions if all(tabled(b) for b in workload.blocks[q.id].values())]
        counted = {block for q in questions for block in workload.blocks[q.id].values()}
        held = {b for q in study.file.questions if q not in questions for b in workload.blocks[q.id].values()}
        at: dict[object, list[int]] = {}
        for layout, first in places:
            for position, block in enumerate(layout.blocks, first):
                if block in counted - held:
                    at.setdefault(block, []).append(position)
        parts: list[Part] = []
        for (layout, first), own in zip(places, (False, True), strict=True):
            asked = [
                (float(q.weight) ** 2, frozenset(axis.name for axis in block.axes))
                for q in questions
                for block in workload.blocks[q.id].values()
                if (study.release_of(q) != "pooled") == own
            ]
            parts += _parts(layout, first, asked)
        if len(at) < 2 or not parts or max(len(part.asked) for part in parts) > MOST_UNKNOWNS:
            return None
        return cls(tuple(parts), tuple(map(tuple, at.values())))

    def value(self, shares: Floats) -> float:
        """F."""
        return self._slopes(shares)[0]

    def solved(self, equal: Floats) -> tuple[Floats, float]:
        """Shares with about the least F, and by how much of itself it may be above it, but for the least share that each block keeps."""
        groups = [list(group) for group in self.free]
        start = np.array([equal[group].sum() for group in groups])
        inside = [equal[group] / equal[group].sum() for group in groups]
        whole, shares = start.sum(), equal.copy()

        def spread(of_groups: Floats) -> None:
            for group, part, share in zip(groups, inside, of_groups.tolist(), strict=True):
                shares[group] = part * share

        now, gap = start, 1.0
        for _ in range(STEPS):
            spread(now)
            value, slopes = self._slopes(shares)
            gains = np.array([slopes[group] @ part for group, part in zip(groups, inside, strict=True)])
            gap = float(whole * gains.max() - now @ gains) / value
            if gap < CLOSE:
                break
            now = now * np.sqrt(gains)
            now = now * (whole / now.sum())
        now = np.maximum(now, LEAST * start)
        spread(now * (whole / now.sum()))
        return shares, gap

    def _slopes(self, shares: Floats) -> tuple[float, Floats]:
        """F, and how fast it falls with each share."""
        value, slopes = 0.0, np.zeros(len(shares))
        for part in self.parts:
            blocks = list(part.blocks)
            known = np.linalg.inv(np.tensordot(shares[blocks], part.speaks, 1))
            asked = known @ part.asked
            value += float(np.trace(asked))
            slopes[blocks] += np.tensordot(part.speaks, (asked @ known).T, 2)
        return value, slopes


def _parts(layout: Layout, first: int, asked: Sequence[tuple[float, AxisSet]]) -> Iterator[Part]:
    """The parts of all tables of counts of a layout, whose blocks stand from `first` on. `asked`: weight and axes of each table in F."""
    counts = [(at, block) for at, block in enumerate(layout.blocks, first) if tabled(block)]
    resolution = Resolution.of(layout)
    axes, named = resolution.axes, [(at, frozenset(axis.name for axis in block.axes)) for at, block in counts]
    whole = frozenset(resolution.shared(axes))
    for chosen in sorted({part for _, names in named for part in subsets(names - whole)}, key=sorted):
        holding = [(at, names) for at, names in named if chosen <= names]
        blank = unsolved(chosen, [names for _, names in holding], resolution)
        speaks = np.array(
            [
                _square(names & whole, blank, resolution) / prod(axes[n].size for n in names - whole - chosen)
                for _, names in holding
            ]
        )
        wanted = np.zeros(speaks.shape[1:])
        for weight, names in asked:
            if chosen <= names:
                inside = prod(1 - 1 / axes[n].size for n in chosen)
                over = prod(axes[n].size for n in names - whole - chosen) ** 2
                cells = prod(axes[n].size for n in names & whole)
                wanted += weight * inside / over / cells * _square(names & whole, blank, resolution)
        values, vectors = np.linalg.eigh(speaks.sum(axis=0))
        basis = vectors[:, values > 1e-10 * values.max()]  # what no block speaks of no table asks for
        yield Part(tuple(at for at, _ in holding), basis.T @ speaks @ basis, basis.T @ wanted @ basis)


def _square(axes: AxisSet, blank: Solved, resolution: Resolution) -> Floats:
    rows = rows_of(sorted(axes), blank, resolution)
    return np.asarray(rows.T @ rows)


def _exact(shares: Sequence[Fraction]) -> tuple[int, ...]:
    """The same proportions in whole numbers."""
    below = lcm(*(share.denominator for share in shares))
    whole = [int(share * below) for share in shares]
    if max(whole) > MOST_EXACT:
        return tuple(max(1, round(share * GRID)) for share in shares)
    return tuple(whole)
