"""How numbers are printed for people (the files hold them as they are).

One scale per measure: shares in per cent with two decimals below 10 % and one above, indices with one, counts with none. The error is
half of the interval where the interval stands evenly about the number, and the interval itself where it does not. Minus is U+2212.
"""

from dataclasses import dataclass
from math import floor, log10
from typing import Final, Literal

from coordinator.results import Row

MINUS: Final = "\u2212"
RATES: Final = (  # of an evaluated model
    "observed", "expected", "calibration_in_the_large", "approved", "true_positive_rate", "false_positive_rate",
    "approved_difference", "true_positive_rate_difference", "false_positive_rate_difference",
)  # fmt: skip
SHARES: Final = frozenset((
    "share", "row_share", "column_share", "total_share", "variance_share", "survival", "hazard", "change", "change_year",
    *RATES, *(f"{whose}_{rate}" for whose in ("group", "against") for rate in RATES),
))  # fmt: skip
WHOLE: Final = frozenset(("count", "total", "quantile", "at_risk", "rank", "median", "points", "events", "nonevents"))
NOTHING: Final = 1e-12  # smaller estimates are what floats leave of 0


@dataclass(frozen=True)
class Printed:
    """A number and its error as they are printed. `error`: `±48`, `[180–190]`, or empty where there is no interval."""

    value: str
    error: str
    low: str
    high: str


def fixed(value: float, decimals: int) -> str:
    """`1,234.50`, with the proper minus and never a minus before zero."""
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = MINUS + text[1:] if any(mark in text for mark in "123456789") else text[1:]
    return text


def significant(value: float, digits: int = 3) -> str:
    """So many significant digits, written out."""
    if value == 0:
        return "0"
    return fixed(value, max(0, digits - 1 - floor(log10(abs(value)))))


def factor(measure: str) -> int:
    """What a number is multiplied by in print: 100 for what is printed in per cent."""
    return 100 if measure in SHARES else 1


def decimals(measure: str, value: float) -> int:
    """Decimals of a printed number. `value` is already in the units that are printed."""
    if measure in SHARES:
        return 2 if abs(value) < 10 else 1
    if measure in WHOLE:
        return 0
    if measure == "index":
        return 1
    return max(0, 2 - floor(log10(abs(value)))) if value else 2


def printed(row: Row) -> Printed | None:
    """A row's official estimate with its error; `None` where none is given."""
    if row.estimate is None:
        return None
    times = factor(row.measure)
    number = row.estimate * times if abs(row.estimate) >= NOTHING else 0.0
    places = decimals(row.measure, number)
    if row.ci_low is None or row.ci_high is None:
        return Printed(fixed(number, places), "", "", "")
    low, high = row.ci_low * times, row.ci_high * times
    return Printed(fixed(number, places), error(number, low, high, places), fixed(low, places), fixed(high, places))


def error(value: float, low: float, high: float, places: int) -> str:
    """`±` half of the interval if both arms differ by at most one unit of the last decimal, else the interval."""
    above, below = high - value, value - low
    if abs(above - below) <= 10**-places and above >= 0 and below >= 0:
        return "±" + fixed((high - low) / 2, places)
    return f"[{span(fixed(low, places), fixed(high, places))}]"


def span(low: str, high: str) -> str:
    """`180–190`; with a comma where a dash would run into a minus."""
    return f"{low}, {high}" if MINUS in low + high else f"{low}–{high}"


def probability(p: float) -> str:
    """Three decimals, never `0.000`."""
    return "< 0.001" if p < 0.001 else fixed(p, 3)


def epsilon(value: float) -> str:
    """Two decimals; more where two would say 0."""
    return fixed(value, 2) if value == 0 or value >= 0.01 else significant(value, 2)


def delta(value: float) -> str:
    """`1e-6`."""
    digits, exponent = f"{value:.6e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


Tint = Literal["plain", "grey", "held", "u1", "u2", "u3", "u4", "u5", "o1", "o2", "o3", "o4", "o5"]


def tint(row: Row) -> Tint:
    """The step of the blue–orange scale for an index: five on each side of 100; grey: nothing may be said; held: nothing is given."""
    if row.estimate is None:
        return "held"
    if "u" in row.obs_status or row.preference not in ("over", "under"):
        return "grey"
    away = row.estimate - 100
    step = 1 + sum(abs(away) > edge for edge in (10, 25, 40, 55))
    return f"{'o' if away > 0 else 'u'}{step}"  # type: ignore[return-value] # side and step are within the list above
