"""T53: c cities add no noise and one more is lost; what the others add must be the whole promised variance all the same."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols.entropy import Entropy, aes_stream, exactly
from protocols.messages import Kind
from protocols.noise import UNIT, node_v20, skellam
from protocols.secagg import collector
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World, seated

THREAT: Final = "T53"
WHAT: Final = {"zh": "合谋城市不加噪声", "en": "colluding cities add no noise"}
HOLDS: Final = {"zh": "c 个城市，以及它们自己的输入", "en": "c cities and their own inputs"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, noise_share=lambda t, _c: t),)
CELLS: Final = 20_000
VARIANCE: Final = 400
SILENT: Final = (1, 2)
LOST: Final = (8,)
LEAST: Final = 0.95  # five standard errors below 1 over 20,000 cells


def run(world: World, entropy: Entropy) -> Outcome:
    """Variance of the opened sum about the plain one, over the promised variance."""
    table = seated(world, entropy, 8, colluders=2, dropouts=1, cells=CELLS)
    share = node_v20(VARIANCE * UNIT, world.noise_share(table.plan.threshold, table.plan.colluders))
    plain = np.zeros(CELLS, dtype=np.int64)
    for city, counts in table.tables.items():
        counts //= 2  # room for noise below the bound
        plain += counts if city not in LOST else 0
        if city not in SILENT:
            counts += skellam(aes_stream(exactly(entropy, 32)), share, CELLS)
    state = table.finish(table.until(Kind.DELIVER), LOST)
    assert isinstance(state, collector.Summed)  # noqa: S101 one city may be lost
    return Outcome(float(np.var(state.total - plain)) / VARIANCE, LEAST, "variance", "≥")
