"""What a city looks at before it answers a round of an exact model. Pure; `node/fitting.py` calls it.

1. The ask follows from the totals of all earlier rounds, which the coordinator shows: the city runs the same `tell` (`session.py`).
2. What the first sums say of the whole keeps this city's own thresholds: rows, rows of the thinnest class or indicator, parameters; and
   rows of the thinnest pair of codes, which the first step at zero coefficients counts (`pairs.py`).
3. No chosen coefficient has made the weights vanish on all but a few of its rows, whose values the sums would then show: the effective
   number of rows (sum w)^2 / sum w^2 is at least min(own rows, max(20, 2p)) / 2, p columns with the constant.
4. Where a city's constant is told (`city_effects: fixed`), so are its rows, events and holders of each code: these are a table of its own,
and keep `exact.min_cohort_by_city` and `exact.min_cell`.

Thresholds on cities, cohorts and rounds are those of the policy at Open, and events per column those of round 0 (`glm.Limits`).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from protocols.errors import Refusal
from protocols.models.interface import Ask, Seen, Sums

LEAST_ROWS: Final = 20


@dataclass(frozen=True)
class Thresholds:
    """Of a city's policy, which may be stricter than what every party ends a question by."""

    min_pooled: int = 0
    min_column: int = 0
    min_cell: int = 0
    most_parameters_per_row: Decimal = Decimal("0.2")
    min_cohort_by_city: int = 0


SHIPPED: Final = Thresholds()  # what every party ends a question by


def crowded(name: str, seen: Seen, limits: Thresholds) -> Refusal | None:
    """Rule 2 for the question `name`."""
    if seen.parameters > limits.most_parameters_per_row * seen.carriers:
        return Refusal(
            "EXACT_TOO_MANY_PARAMETERS", name=name, count=seen.parameters, limit=limits.most_parameters_per_row
        )
    if seen.rows < limits.min_pooled:
        return Refusal("EXACT_THIN", name=name, limit=limits.min_pooled, key="exact.min_pooled")
    if seen.smallest is not None and seen.smallest < limits.min_column:
        return Refusal("EXACT_THIN", name=name, limit=limits.min_column, key="exact.min_column")
    if seen.pair is not None and seen.pair < limits.min_cell:
        return Refusal("EXACT_THIN", name=name, limit=limits.min_cell, key="exact.min_cell")
    return None


def alone(name: str, sums: Sums, limits: Thresholds) -> None:
    """Rule 4, on the sums of all batches. Errors: `Refusal` EXACT_COHORT, EXACT_THIN. Without rows there is nothing to show."""
    if "alone" not in sums.values:
        return
    rows, *counts = sums.values["alone"].tolist()
    if 0 < rows < limits.min_cohort_by_city:
        raise Refusal("EXACT_COHORT", limit=limits.min_cohort_by_city, key="exact.min_cohort_by_city")
    if any(0 < count < limits.min_cell for count in counts):
        raise Refusal("EXACT_THIN", name=name, limit=limits.min_cell, key="exact.min_cell")


def spread(ask: Ask, sums: Sums) -> None:
    """Rule 3, on the sums of all batches. Errors: `Refusal MODEL_WEIGHTS_CONCENTRATED`. A city without rows has nothing to show."""
    if "spread" not in sums.values:
        return
    rows, weight, squares = (float(each) for each in sums.values["spread"])
    least = min(rows, max(LEAST_ROWS, 2 * len(ask.point))) / 2
    effective = weight * weight / squares if squares > 0 else 0.0
    if rows and not effective >= least:
        raise Refusal("MODEL_WEIGHTS_CONCENTRATED", effective=f"{effective:.0f}", least=f"{least:.0f}")
