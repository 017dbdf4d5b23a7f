"""Do the intervals of a series hold what is true of the register as often as they say? Of its counts, totals, means and changes."""

from collections import defaultdict
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.columns import EventRows
from protocols.dictionary import Column, Table
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Domain
from protocols.statistics.measures import encode
from protocols.statistics.workload import Workload
from tests.laws.generated import AS_OF, LAST_MONTH, SMALL

RUNS: Final = 1_000
HOLDERS: Final = 3_000
MONTHS: Final = 6
VARIANCES: Final = (200.0, 4e13)  # of counts, of amounts in fen: half a month's rows are some 7 standard deviations
DOMAIN: Final = Domain(SMALL, as_of=AS_OF)
ASKED: Final = KINDS["series"].model_validate(
    {"id": "paid", "kind": "series", "of": "contributions.amount", "by": "owner"}
)


def register(generator: Any) -> Table:
    """Holders who have a row in some months, with an amount that is nearly always known."""
    there = generator.random((HOLDERS, MONTHS)) < np.linspace(0.2, 0.9, MONTHS)
    holder, month = np.nonzero(there)
    amount = Column(generator.integers(0, 8_000_001, len(holder)), generator.random(len(holder)) < 0.97)
    owner = Column(generator.random(HOLDERS) < 0.3, generator.random(HOLDERS) < 0.95)
    rows = EventRows(holder, month + LAST_MONTH - MONTHS + 1, {"amount": amount})
    return Table(HOLDERS, {"owner": owner}, {"contributions": rows})


@pytest.mark.slow  # a thousand releases
def test_intervals_of_a_series_hold_the_register_as_often_as_they_say() -> None:
    generator = entropy.public_stream("coverage", "series", "rows")
    workload = Workload.of([ASKED], DOMAIN)
    vector = encode(workload.layout, register(generator), SMALL, AS_OF, None, False)

    def rows(summed: Any, variances: list[float]) -> Any:
        families = reconcile(workload.layout, summed, variances)
        sums = Estimates.of(families, workload.blocks["paid"], study="s", question="paid", confidence=0.95, min_cell=10)
        return ASKED.finalize(sums, DOMAIN).rows

    truth = {(row.measure, *row.keys.items()): row.estimate for row in rows(vector, [0.0, 0.0])}
    held: dict[str, list[bool]] = defaultdict(list)
    cells: dict[Any, list[bool]] = defaultdict(list)
    spread = np.repeat(np.sqrt(VARIANCES), [block.cells for block in workload.layout.blocks])
    for _ in range(RUNS):
        noise = np.rint(generator.normal(0, 1, workload.layout.length) * spread).astype(np.int64)
        for row in rows(vector + noise, list(VARIANCES)):
            if row.estimate is not None and not row.obs_status:
                key = (row.measure, *row.keys.items())
                inside = row.ci_low <= truth[key] <= row.ci_high
                held[row.measure].append(inside)
                cells[key].append(inside)
    assert set(held) == {"count", "total", "mean", "change"}
    for measure, found in held.items():
        assert len(found) > 2_000, measure
        assert 0.93 <= np.mean(found) <= 0.97, (measure, np.mean(found))
    for key, found in cells.items():
        if len(found) > RUNS / 2:
            assert np.mean(found) >= 0.90, (key, np.mean(found))
