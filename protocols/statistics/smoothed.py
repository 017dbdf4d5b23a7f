"""How a spread over ages looks once it is smoothed: for pictures alone, never summed, tested or read out.

    f(x) = sum over bins b of  c_b (Phi((end_b - x) / h) - Phi((start_b - x) / h)) / width_b,     h = 2 years

holders per year of age at x: a Gaussian kernel over the official counts c_b, each even over the ages of its bin. f is linear in the
counts, so that its noise variance is exact, w'Vw with the covariance of the official table; the drawing of holders adds w'diag(c)w.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from protocols.statistics.estimates import Estimates, Floats, Table
from protocols.statistics.layout import Axis, Domain
from protocols.statistics.rows import Test, significant

BANDWIDTH: Final = 2.0  # years
UNIT: Final = "year"
MOST_POINTS: Final = 100  # ages of one curve
NAME: Final = "smoothed"


def is_smoothed(of: str, domain: Domain) -> bool:
    """Whether a spread is over ages, or anything else in whole years, few enough to be drawn one by one."""
    low, high = domain.range(of)
    entry = domain.dictionary
    return entry.type_of(of) == "integer" and entry.unit_of(of) == UNIT and high - low < MOST_POINTS


def weights(bins: Axis, low: int, high: int) -> Floats:
    """What one holder of each bin adds at the middle of each year from `low` to `high`: years x bins. Over all years it is 1, but for what
    reaches beyond the range."""
    from scipy.special import ndtr

    edges = np.array([*([] if bins.skip else [low]), *(bins.cuts or ()), high + 1], dtype=np.float64)
    middles = np.arange(low, high + 1) + 0.5
    upto = ndtr((edges[None, :] - middles[:, None]) / BANDWIDTH)
    found: Floats = np.diff(upto, axis=1) / np.diff(edges)
    return found


def curves(table: Table, of: str, domain: Domain, sums: Estimates, *, drawn: bool) -> Iterator[Test]:
    """One statement per year of age and known group of a histogram. `table`: bins, then groups. `drawn`: whether holders are."""
    bins, *groups = table.axes
    low, high = domain.range(of)
    kernel = weights(bins, low, high)
    for group in np.ndindex(tuple(axis.size - 1 for axis in groups)):
        counts = table.values[(slice(None, -1), *group)]
        wide = np.zeros((len(kernel), *table.units.shape))
        wide[(slice(None), slice(None, -1), *group)] = kernel
        noise = table.spread(wide)
        value, sampling = kernel @ counts, (kernel**2) @ np.maximum(counts, 0.0)
        half = sums.z * np.sqrt(noise + drawn * sampling)
        keys = {axis.name: axis.codes[at] for axis, at in zip(groups, group, strict=True)}
        for at, estimate, reach in zip(range(low, high + 1), value.tolist(), half.tolist(), strict=True):
            yield Test(
                NAME,
                {
                    **keys,
                    "at": str(at),
                    "estimate": significant(max(estimate, 0.0)),
                    "ci_low": significant(max(estimate - reach, 0.0)),
                    "ci_high": significant(max(estimate + reach, 0.0)),
                    "obs_status": "",
                },
            )
