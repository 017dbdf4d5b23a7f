"""Do two variables go together? Chi-square and Cramér's V of a table with noise in it.

Known codes only. With y a cell, e = row * column / n what it would be if the variables were independent, and s = max(e, 1) (in exact
mode s = e, over cells with e > 0):

    T = sum (y - e)^2 / s          t = sum Var_noise(y - e) / s          V = sqrt(max(0, T - t) / (n min(r-1, c-1)))

t takes out what noise alone adds to T; without noise V is Cramér's own. Both the p-value and the interval come from 999 public draws
that carry the noise of the table itself, since the classical p-value would take noise for dependence. Draws are scaled by the s of the
table that was found: with an s of their own, rare codes would make them wild and the test blind (it then finds 1 to 2 % instead of 5 %
of independent tables of 3,000 holders dependent).

The interval holds every table on the line from independence through this one for which T is no surprise: the draws give the errors of
y - e, and a table at distance k on that line has T = sum (k (y - e) + error)^2 / s. A percentile interval, bias-corrected or not,
misses V where it is small: at V < 0.02 and 3,000 holders it holds the truth 0 to 45 % of the time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from protocols.statistics import marks
from protocols.statistics.estimates import KNOWN, OWN, Estimates, Floats, Table
from protocols.statistics.intervals import BISECTIONS, quadratic, simplex
from protocols.statistics.rows import Test, significant

DRAWS: Final = 999
CELLS_AT_ONCE: Final = 1 << 20  # of the draws of a large table that are held at a time


@dataclass(frozen=True)
class Fit:
    """A table against independence. `squared` = (T - t) / n: V^2 before it is scaled."""

    n: float
    expected: Floats
    residual: Floats
    scale: Floats
    statistic: float
    squared: float


def expectation(cells: Floats) -> Floats:
    """row * column / n. `cells`: ... x r x c."""
    row, column = cells.sum(axis=-1, keepdims=True), cells.sum(axis=-2, keepdims=True)
    return np.asarray(row * column / row.sum(axis=-2, keepdims=True))


def fit(cells: Floats, noise: Floats, exact: bool) -> Fit:
    """`cells`: r x c. `noise`: covariance of (a cell, its row, its column, all), 4 x 4, or one for each cell."""
    row, column, n = cells.sum(axis=1, keepdims=True), cells.sum(axis=0, keepdims=True), float(cells.sum())
    expected = expectation(cells)
    scale = np.where(expected > 0, expected, np.inf) if exact else np.maximum(expected, 1.0)
    statistic = float(((cells - expected) ** 2 / scale).sum())
    gradient = np.stack(np.broadcast_arrays(np.ones_like(cells), -column / n, -row / n, expected / n), axis=-1)
    of_noise = float((quadratic(gradient, noise) / scale).sum())
    return Fit(n, expected, cells - expected, scale, statistic, (statistic - of_noise) / n)


@dataclass(frozen=True)
class Assessed:
    """A table of `rows` x `columns` codes against independence. `drawn`: of each draw, what V^2 of the table, before it is scaled, would
    be if its errors were those of the draw instead of its own."""

    fit: Fit
    rows: int
    columns: int
    v: float
    low: float
    high: float
    drawn: Floats

    @property
    def df(self) -> int:
        return (self.rows - 1) * (self.columns - 1)

    @property
    def adjusted(self) -> float:
        return adjusted(self.fit.squared, self.fit.n, self.rows, self.columns)

    @property
    def adjusted_draws(self) -> Floats:
        found = [adjusted(each, self.fit.n, self.rows, self.columns) for each in self.drawn.tolist()]
        return np.array(found)


def assess(table: Table, sums: Estimates, sampling: bool, draws: int = DRAWS) -> Assessed | Literal["x", "z"]:
    """Of a two-way table. `sampling`: whether the interval of V covers the drawing of holders.

    `z` for a table of one code, `x` where there may be no holders at all.
    """
    cells = table.values[table.known]
    noise = table.covariances((OWN, OWN), (OWN, KNOWN), (KNOWN, OWN), (KNOWN, KNOWN))
    if bool(marks.undivided(cells.sum(), np.sqrt(noise[0, 0, 3, 3]))):
        return "x"
    rows, columns = cells.shape
    if table.exact:  # codes that nobody has are no part of the table
        rows, columns = (int(np.count_nonzero(cells.any(axis=axis))) for axis in (1, 0))
    if min(rows, columns) < 2:
        return "z"
    found = fit(cells, noise, table.exact)
    least = min(rows - 1, columns - 1)
    v = math.sqrt(min(max(found.squared / least, 0.0), 1.0))
    errors = _errors(found.expected + found.residual, table, sums, "cramers_v", sampling, draws)
    terms = [
        [(error**2 / found.scale).sum(axis=(1, 2)), (2 * found.residual * error / found.scale).sum(axis=(1, 2))]
        for error in errors
    ]
    constant, linear = np.concatenate(terms, axis=1)
    low, high = _interval(found, v, least, (constant, linear), sums.confidence)
    drawn = found.squared + (constant - constant.mean() + linear) / found.n
    return Assessed(found, rows, columns, v, low, high, drawn)


def tests(table: Table, sums: Estimates, sampling: bool) -> tuple[Test, Test]:
    """Chi-square and Cramér's V of a two-way table, as `assess`."""
    found = assess(table, sums, sampling)
    if not isinstance(found, Assessed):
        return _without(found)
    chi_square = {"statistic": found.fit.statistic, "df": found.df, "p_value": p_value(found, table, sums)}
    cramers_v = {"estimate": found.v, "adjusted": found.adjusted, "ci_low": found.low, "ci_high": found.high}
    return _test("chi_square", chi_square), _test("cramers_v", cramers_v)


def _test(name: str, values: dict[str, float | int]) -> Test:
    printed = {key: value if isinstance(value, int) else significant(value) for key, value in values.items()}
    return Test(name, {**printed, "obs_status": ""})


def _without(status: str) -> tuple[Test, Test]:
    return (
        Test("chi_square", {"statistic": None, "df": None, "p_value": None, "obs_status": status}),
        Test("cramers_v", {"estimate": None, "adjusted": None, "ci_low": None, "ci_high": None, "obs_status": status}),
    )


def adjusted(squared: float, n: float, rows: int, columns: int) -> float:
    """V without the bias of small samples (Bergsma 2013). 0 where there are no more holders than codes."""
    if n <= max(rows, columns):
        return 0.0
    less = max(0.0, squared - (rows - 1) * (columns - 1) / (n - 1))
    sides = (side - (side - 1) ** 2 / (n - 1) for side in (rows, columns))
    return min(1.0, math.sqrt(less / (min(sides) - 1)))


def p_value(found: Assessed, table: Table, sums: Estimates) -> float:
    """Classical without noise; else the place of T among draws from the independent table with the same margins."""
    if table.exact:
        from scipy.special import chdtrc

        return float(chdtrc(found.df, found.fit.statistic))
    errors = _errors(found.fit.expected, table, sums, "chi_square", sampling=True)
    drawn = np.concatenate([(error**2 / found.fit.scale).sum(axis=(1, 2)) for error in errors])
    return (1 + int((drawn >= found.fit.statistic).sum())) / (DRAWS + 1)


def _interval(found: Fit, v: float, least: int, terms: tuple[Floats, Floats], confidence: float) -> tuple[float, float]:
    """Ends of V; the estimate is always inside. `least`: min(r-1, c-1). `terms`: of every draw, T = constant + linear k + T k^2."""
    constant, linear = terms
    whole = math.sqrt(found.statistic / (found.n * least))  # V of the table, noise and all: the one at distance 1

    def reached(level: float) -> float:
        """The least V at which T reaches the observed one in a part `level` of the draws."""

        def often(distance: float) -> bool:
            statistics = constant + distance * (linear + distance * found.statistic)
            return bool((statistics >= found.statistic).mean() >= level)

        if whole == 0 or often(0.0):
            return 0.0
        low, high = 0.0, 1 / whole
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if often(middle) else (middle, high)
        return min(high * whole, 1.0)

    tail = (1 - confidence) / 2
    return min(reached(tail), v), max(reached(1 - tail), v)


def _errors(
    centre: Floats, table: Table, sums: Estimates, label: str, sampling: bool, draws: int = DRAWS
) -> Iterator[Floats]:
    """Errors of y - e in `draws` draws from `centre` made non-negative, with the noise of the table; some at a time, draws x r x c."""
    generator: Any = sums.stream(label)
    shown = simplex(centre)
    still = shown - expectation(shown)
    left = draws
    while left:
        number = min(left, max(1, CELLS_AT_ONCE // table.units.size))
        cells = np.broadcast_to(shown, (number, *shown.shape))
        if sampling:
            drawn = generator.multinomial(round(float(shown.sum())), shown.ravel() / shown.sum(), size=number)
            cells = drawn.reshape(cells.shape).astype(np.float64)
        if not table.exact:
            cells = cells + table.draws(generator, number)[(slice(None), *table.known)]
        yield cells - expectation(cells) - still
        left -= number
