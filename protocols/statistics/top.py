"""The most frequent codes of a long public list, with how sure their places are.

Leaves the city: one number per code, holders without a value on `_missing`. One holder moves one cell by 1.

A place is told only of codes whose number of holders is clear of noise. The places that a code may have follow from intervals that hold for
all codes at once (Bonferroni): codes whose interval lies wholly above come before it, those wholly below come after.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from protocols.dictionary import MISSING, Dictionary
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import Estimates, Floats
from protocols.statistics.example import Example
from protocols.statistics.layout import Axis, Blocks, Domain, count
from protocols.statistics.question import Fault, Question, axis_faults
from protocols.statistics.rows import Answer, Row, table_rows
from protocols.statistics.suppression import Withheld, uncovered
from protocols.yamltext import Whole

AT: Final = "at"  # the key of rows: places, so that which rows there are says nothing of the sums
MOST_PLACES: Final = 50


class Top(Question):
    EXAMPLE = Example({"id": "products", "kind": "top", "of": "product", "k": "3"}, holder={"product": "free"})

    kind: Literal["top"] = "top"
    of: str
    k: Whole

    def variables(self) -> tuple[str, ...]:
        return (self.of,)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("of", (self.of,), dictionary)
        if not 1 <= self.k <= MOST_PLACES:
            yield Fault("k", "STUDY_PLACES", {"found": self.k, "most": MOST_PLACES})

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([domain.axis(self.of)])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 tables carry their axes
        """Counts of the `k` codes with the most holders, and their places; then how many have no value."""
        table = sums["holders"]
        (axis,), values, sd = table.axes, table.values, np.broadcast_to(table.sd, table.units.shape)
        drawn = np.maximum(values, 0.0)
        variance = sd**2 + (self.sampling is True) * drawn
        first = np.argsort(-values[:-1], kind="stable")[: self.k]
        shown = np.append(first, len(values) - 1)
        low, high = intervals.normal(values[shown], variance[shown], sums.z)
        doubtful = marks.doubtful_count(values[shown], sd[shown], sums.least(table), (high - low) / 2)
        lost = values[shown] <= marks.CLEAR_OF_NOISE * sd[shown]
        lost[-1] = False  # how many have no value is told in any case
        status = marks.letters(lost, doubtful)
        at = Axis(AT, (*(str(number) for number in range(1, len(first) + 1)), MISSING), self.of)
        known = np.where(lost, np.nan, 1.0)
        figures = {
            "display": np.maximum(values[shown], 0.0) * known,
            "se_noise": sd[shown] * known,
            "se_sampling": np.sqrt(drawn[shown]) * known,
            "ci_low": np.maximum(low, 0.0) * known,
            "ci_high": np.maximum(high, 0.0) * known,
        }
        counted = zip(lost, table.printed(table.units)[shown].tolist(), strict=True)
        printed = np.array([None if gone else each for gone, each in counted])
        rows = table_rows("count", (at,), {"estimate": printed}, figures, status)
        place, *ends = (each[first] * known[:-1] for each in _places(values[:-1], variance[:-1], sums.confidence))
        places = {"estimate": place, "display": place, "ci_low": ends[0], "ci_high": ends[1]}
        ranks = table_rows("rank", (at,), {}, places, status[:-1])
        codes = dict(zip(at.positions, (axis.positions[code] for code in first), strict=False))
        return Answer(tuple(replace(row, item=codes[row.keys[AT]]) if _told(row) else row for row in (*rows, *ranks)))

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:
        """Nothing at all where one of the cells is withheld: places tell between which others its number lies."""
        return uncovered(answer) if withheld.touches(blocks["holders"].axes) else answer


def _told(row: Row) -> bool:
    return row.estimate is not None and row.keys[AT] != MISSING


def _places(values: Floats, variance: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """The place of each code, equal counts sharing the better one, and the first and last that it may have."""
    from scipy.special import ndtri

    z = float(ndtri(1 - (1 - confidence) / (2 * len(values))))
    low, high = intervals.normal(values, variance, z)
    falling, lows, highs = np.sort(-values), np.sort(low), np.sort(high)
    place = 1 + np.searchsorted(falling, -values, side="left")
    best = 1 + len(values) - np.searchsorted(lows, high, side="right")
    worst = len(values) - np.searchsorted(highs, low, side="left")
    return place.astype(float), best.astype(float), worst.astype(float)
