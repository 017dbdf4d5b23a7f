"""What a city looks at before it answers a round of an exact model. Pure; the gate calls it.

1. The plan has no more rounds than the city answers.
2. The ask follows from the totals of all earlier rounds, which the coordinator shows: the city runs the same `tell`.
3. No chosen coefficient has made the weights vanish on all but a few of its rows, whose values the sums would then show: the effective
   number of rows (sum w)^2 / sum w^2 is at least min(own rows, max(20, 2p)) / 2, p columns with the constant.

Thresholds on cities, cohorts and columns are those of the policy, and events per column those of round 0 (`glm.Limits`).
"""

from collections.abc import Sequence
from typing import Final

from protocols.errors import PeerError, Refusal
from protocols.models.interface import Ask, Asked, Done, Model, State, Sums, agrees
from protocols.ring import Vector

MOST_ROUNDS: Final = 40
LEAST_ROWS: Final = 20


def follows(
    model: Model[State, Asked], past: Sequence[tuple[Asked, Vector]], ask: Asked, most_rounds: int = MOST_ROUNDS
) -> None:
    """Rules 1 and 2. past: every earlier round, with its total.

    Errors: `Refusal MODEL_ROUNDS`; `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError` where the totals leave nothing to fit.
    """
    if ask.round >= most_rounds:  # 1.
        raise Refusal("MODEL_ROUNDS", round=ask.round + 1, limit=most_rounds)
    state = model.start()  # 2.
    for earlier, total in past:
        state = model.tell(state, earlier, total)
    expected = model.ask(state)
    if isinstance(expected, Done) or not agrees(ask, expected):
        raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)


def spread(ask: Ask, sums: Sums) -> None:
    """Rule 3, on the sums of all batches. Errors: `Refusal MODEL_WEIGHTS_CONCENTRATED`. A city without rows has nothing to show."""
    if "spread" not in sums.values:
        return
    rows, weight, squares = (float(each) for each in sums.values["spread"])
    least = min(rows, max(LEAST_ROWS, 2 * len(ask.point))) / 2
    effective = weight * weight / squares if squares > 0 else 0.0
    if rows and not effective >= least:
        raise Refusal("MODEL_WEIGHTS_CONCENTRATED", effective=f"{effective:.0f}", least=f"{least:.0f}")
