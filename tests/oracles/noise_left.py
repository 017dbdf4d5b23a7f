"""How much noise a sum carries at the end: what a study's plan asks for, as the cities that did not drop out left it."""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from protocols import privacy
from protocols.noise import UNIT, node_v20
from protocols.privacy import Need
from protocols.secagg.plan import thresholds

EPSILON: Final = Decimal(1)
DELTA: Final = Decimal("1e-6")


def variance(blocks: int, cities: int) -> float:
    """Of a cell to which a holder adds at most 1, at epsilon 1 over so many equal blocks. One city of the plan may collude; one may drop
    out, and does so where the plan can bear it: of three cities none can."""
    limits = thresholds(cities, 1, 1, 3, exact=False)
    (total,) = set(privacy.calibrate([Need(1, 1, Fraction(1, blocks))] * blocks, EPSILON, DELTA))
    return float(Fraction(node_v20(total, limits.t - 1) * (cities - limits.d), UNIT))
