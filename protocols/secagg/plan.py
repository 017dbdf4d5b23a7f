"""Which numbers of cities, colluders and drop-outs go together (docs/protocol.md), and the noise plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocols.canonical import canonical
from protocols.errors import Refusal
from protocols.messages import Plan

SUITE: Final = 1
DP: Final = 1
EXACT: Final = 2
FEWEST: Final = 3
MOST: Final = 512
MOST_ROUNDS: Final = 64
MOST_CELLS: Final = 1 << 22
STEPS: Final = ("advert", "shares", "masked", "confirm", "reveal")  # the order of `Plan.waits`


@dataclass(frozen=True)
class Thresholds:
    """t cities for advert, shares, masked and confirm; k for reveal; d may drop out."""

    t: int
    k: int
    d: int


def thresholds(n: int, colluders: int, dropouts: int, least: int, *, exact: bool) -> Thresholds:
    """What n cities can promise: d is `dropouts` (dp; exact: 0), lowered as far as `least` and `colluders` demand.

    Errors: `Refusal` SECAGG_COHORT_SIZE, SECAGG_COLLUDERS, SECAGG_THRESHOLD.
    """
    if not FEWEST <= n <= MOST:
        raise Refusal("SECAGG_COHORT_SIZE", got=n, least=FEWEST, most=MOST)
    if not 0 <= colluders <= n - 2:
        raise Refusal("SECAGG_COLLUDERS", got=colluders, n=n)
    d = 0 if exact else min(dropouts, (n - colluders - 1) // 2, n - max(least, colluders + 2))
    if d < 0 or n - d < least:
        raise Refusal("SECAGG_THRESHOLD", got=n - d, least=least)
    return Thresholds(n - d, opening(n, n - d, colluders, exact=exact), d)


def opening(n: int, t: int, colluders: int, *, exact: bool) -> int:
    """k: how many shares open a secret. Computed by everyone, not in the plan."""
    return max(2 * n // 3 + 1, colluders + 2) if exact else t


def shares_to_open(plan: Plan) -> int:
    """k of a plan."""
    return opening(len(plan.cities), plan.threshold, plan.colluders, exact=plan.mode == EXACT)


def check(plan: Plan, *, least: int = FEWEST, least_colluders: int = 0) -> None:
    """Every rule of section 2, with a city's own policy minimums. Errors: `Refusal` SECAGG_… of the rule that is
    broken.

    2t > n + c: two sets that t cities each signed share an honest signer, and an honest city signs one. k > c:
    colluders need an honest share.
    """
    n, c, d, t = len(plan.cities), plan.colluders, plan.dropouts, plan.threshold
    exact = plan.mode == EXACT
    if plan.suite != SUITE or plan.mode not in (DP, EXACT) or plan.ring not in (32, 64):
        raise Refusal("SECAGG_PLAN")
    if {city for city, _ in plan.cannot} - set(plan.cities) or not all(positions for _, positions in plan.cannot):
        raise Refusal("SECAGG_PLAN")
    if not FEWEST <= n <= MOST:
        raise Refusal("SECAGG_COHORT_SIZE", got=n, least=FEWEST, most=MOST)
    if not least_colluders <= c <= n - 2:  # c <= t - 2 follows from the bound on d below
        raise Refusal("SECAGG_COLLUDERS", got=c, n=n)
    needed = max(plan.least, least, FEWEST)
    if t != n - d or t < needed or 2 * t <= n + c or (exact and d) or d > max(n - max(plan.least, c + 2), 0):
        raise Refusal("SECAGG_THRESHOLD", got=t, least=needed)
    if not 1 <= plan.rounds <= MOST_ROUNDS:
        raise Refusal("SECAGG_ROUNDS", got=plan.rounds, most=MOST_ROUNDS)
    if not 1 <= plan.length <= MOST_CELLS:
        raise Refusal("SECAGG_LENGTH", got=plan.length, most=MOST_CELLS)


@dataclass(frozen=True)
class NoiseBlock:
    """One block of the layout: its cells, the shift of its noise, and its total variance in units of 2^-20."""

    block: str
    cells: int
    shift: int
    v20: int


def noise_plan(
    blocks: Sequence[NoiseBlock], *, h: int, accounting: str = "none", epsilon: str = "0", delta: str = "0"
) -> bytes:
    """Canonical JSON of the noise of a conversation, in the order of the layout; the plan names it by its SHA-256.

    `h`: honest survivors that share the noise, t - c (by_city: 1; exact: 0). The defaults are those of mode exact.
    """
    return canonical(
        {
            "accounting": accounting,
            "blocks": [{"block": b.block, "cells": b.cells, "shift": b.shift, "v20": str(b.v20)} for b in blocks],
            "delta": delta,
            "epsilon": epsilon,
            "h": h,
        }
    )
