"""Mean, standard deviation and total of an amount, in all or by group; of a boolean, the share of yes and its count.

Leaves the city: for each group, how many holders have a known value (with `clip`, how many of them the clipping moves), their centred
total, and their centred sum of squares. One holder moves one group only: the first by 1, the second by at most h, the third by at most
h^2 / 2 (h: half of the range, in steps). Of a boolean, one number per answer and group; one holder moves one of them by 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from protocols.dictionary import MISSING, Dictionary
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, OWN, QUANTA, Estimates, Floats, Pattern, Table, Units
from protocols.statistics.example import Example
from protocols.statistics.layout import KNOWN as CODE
from protocols.statistics.layout import LIMB_BITS, Amount, Axis, Blocks, Domain, amount, count
from protocols.statistics.question import Fault, Names, Pair, Question, amount_fault, axis_faults, bounds_fault
from protocols.statistics.rates import ONE, Part, Rates, centre, of_counts, whole
from protocols.statistics.rows import Answer, Row, Test, significant, table_rows
from protocols.statistics.tables import count_rows

YES: Final = slice(1, 2)  # of a boolean: false, true, `_missing`
FIRST: Final = slice(0, 1)
FARTHEST: Final = 100.0  # of the logarithm of a standard deviation: beyond any interval that says anything


class Mean(Question):
    """`clip`: public bounds, inside the range, that values are moved to: less noise, for a bias that does not shrink with n."""

    EXAMPLE = Example(
        {"id": "income", "kind": "mean", "of": "income", "by": "owner"}, holder={"income": "20000000", "owner": "true"}
    )

    kind: Literal["mean"] = "mean"
    of: str
    by: Names = ()
    clip: Pair | None = None

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("by", self.by, dictionary, beside=(self.of,))
        found = list(amount_fault("of", self.of, dictionary, beside=("boolean",)))
        yield from found
        if self.clip is not None and not found:
            if dictionary.type_of(self.of) == "boolean":
                yield Fault("clip", "STUDY_NOT_AN_AMOUNT", {"name": self.of, "type": "boolean"})
            else:
                yield from bounds_fault("clip", self.of, self.clip, Domain(dictionary))

    def blocks(self, domain: Domain) -> Blocks:
        by = [domain.axis(name) for name in self.by]
        if domain.dictionary.type_of(self.of) == "boolean":
            return {"holders": count([domain.axis(self.of), *by])}
        x = domain.amount(self.of, *(self.clip or ()))
        return {"holders": count([self._known(x, domain), *by]), "total": amount(x, by), **domain.squares(x, by)}

    def _known(self, x: Amount, domain: Domain) -> Axis:
        return domain.clipped(x) if self.clip else domain.known(self.of)

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """Rows are keyed by group, and by whether the value is known: those without one are counted, and have no mean."""
        into, tests = Axis(self.of, (CODE, MISSING), self.of), tuple[Test, ...]()
        if domain.dictionary.type_of(self.of) == "boolean":
            table = sums["holders"].ordered((*self.by, self.of))
            holders, found = table.collapsed(self.of, into), _of_boolean(table)
        else:
            x = domain.amount(self.of, *(self.clip or ()))
            known = self._known(x, domain).name
            table = sums["holders"].ordered((*self.by, known))
            holders = table.collapsed(known, into)
            others = {name: each.ordered(self.by) for name, each in sums.tables.items() if name != "holders"}
            found = _of_amount(holders, others, x, domain.squarable(x))
            if self.clip:
                moved, test = clipping(table)
                found, tests = replace(found, doubtful=np.broadcast_to(moved, found.n.shape)), (test,)
        drawn = self.sampling is not False
        rows = count_rows(holders, sums, sampling=self.sampling is True)
        rows += _means(found, holders, sums, drawn)
        rows += _deviations(found, holders, sums, self.sampling is True)
        rows += _totals(found, holders, sums, self.sampling is True)
        if self.by:
            rows += _total_shares(found, holders, sums, drawn)
        return Answer(rows, tests)

    def compared(self) -> Self:
        return self

    def rates(self, sums: Estimates, domain: Domain) -> Rates:
        """Of a boolean, the share of true."""
        if domain.dictionary.type_of(self.of) == "boolean":
            table = sums["holders"].ordered((self.of, *self.by))
            return replace(of_counts("mean", "", table, {ONE: YES}), bessel=True)
        x = domain.amount(self.of, *(self.clip or ()))
        known = self._known(x, domain).name
        others = {name: each.ordered(self.by) for name, each in sums.tables.items() if name != "holders"}
        holders = sums["holders"].ordered((*self.by, known)).collapsed(known, Axis(self.of, (CODE, MISSING), self.of))
        found = _of_amount(holders, others, x, domain.squarable(x))
        return Rates(
            measure="mean",
            of="",
            numerators={
                ONE: (Part("total", (), 1 / x.per, 1 / x.per), centre("holders", KNOWN, times=x.centre / x.per))
            },
            denominator=(whole("holders", KNOWN),),
            tables={"total": others["total"], "holders": sums["holders"].ordered((known, *self.by))},
            groups=others["total"].axes,
            squares=np.stack([found.squares, found.total.astype(np.float64), found.n], axis=-1)[None],
            low=found.low,
            high=found.high,
            bessel=True,
        )


@dataclass(frozen=True)
class Moments:
    """What is known of each group, in the units that people read; one entry per known cell of the groups.

    `noise`: covariance of (total, n), ... x 2 x 2. `shared`: covariance of (total, total of all groups). `squares`: sum of x^2.
    `variance_noise`: of the noise in `variance`. `doubtful`: values moved by clipping. `low`, `high`: the range of one value;
    `binary`: it is one of the two.
    """

    n_units: Units
    total: npt.NDArray[Any]
    noise: Floats
    shared: Floats
    squares: Floats
    variance: Floats
    variance_noise: Floats
    doubtful: npt.NDArray[np.bool_]
    low: float
    high: float
    binary: bool = False

    @property
    def n(self) -> Floats:
        return self.n_units / QUANTA

    @property
    def n_sd(self) -> Floats:
        return np.sqrt(self.noise[..., 1, 1])


def _around(table: Table, *last: slice) -> tuple[Pattern, ...]:
    """Around each cell of the groups: the cell itself, and all groups together. `last`: positions of a last axis that is no group."""
    by = len(table.axes) - len(last)
    return (OWN,) * by + last, (KNOWN,) * by + last


def _covariances(table: Table, *last: slice) -> Floats:
    """Of the sum in each group with itself and the sum over all groups: ... x 2 x 2."""
    found = table.covariances(*_around(table, *last))
    return found[..., 0, :, :] if last else found


def _of_amount(holders: Table, tables: Mapping[str, Table], x: Amount, y: Amount) -> Moments:
    """From the numbers of holders whose value is known, official totals, and squares about the centre of `y`: x in steps of its own."""
    total, per = tables["total"], x.per
    known = total.known
    n_units, units = holders.units[holders.known][..., 0], total.units[known]
    n, sums = n_units / QUANTA, units / total.quantum
    of_n, of_u = _covariances(holders, FIRST), _covariances(total)
    coarse = total.rounding * np.maximum(n, 0.0)
    pairs = np.zeros((*np.broadcast_shapes(of_n.shape[:-2], of_u.shape[:-2], n.shape), 2, 2))
    pairs[..., 0, 0] = of_u[..., 0, 0] + x.centre**2 * of_n[..., 0, 0] + coarse
    pairs[..., 0, 1] = pairs[..., 1, 0] = x.centre * of_n[..., 0, 0]
    pairs[..., 1, 1] = of_n[..., 0, 0]
    shared = of_u + x.centre**2 * of_n + coarse[..., None, None]
    shared[..., 1, 1] += coarse.sum() - coarse
    centred = sums - x.centre * n
    about, of_squares = about_centre(n_units, {name: each for name, each in tables.items() if name != "total"}, y)
    cells = zip(n_units.ravel().tolist(), units.ravel().tolist(), about, strict=True)
    exact = [_variance(*cell, x.centre, total.quantum) for cell in cells]
    variance = np.array(exact).reshape(n.shape)
    squares = np.array([float(each) for each in about]).reshape(n.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_n = y.half_width**2 / 2 * 4.0**y.shift / n - squares / n**2 + 2 * centred**2 / n**3
        spread = of_squares / n**2 + (2 * centred / n**2) ** 2 * (of_u[..., 0, 0] + coarse) + by_n**2 * of_n[..., 0, 0]
        spread = np.where(n > 1, spread * (n / (n - 1)) ** 2, np.nan)
    return Moments(
        n_units=n_units,
        total=_printed(units, total.exact, total.quantum * per),
        noise=pairs / np.array([[per**2, per], [per, 1]]),
        shared=shared / per**2,
        squares=(squares + 2 * x.centre * centred + x.centre**2 * n) / per**2,
        variance=variance / per**2,
        variance_noise=spread / per**4,
        doubtful=np.zeros(n.shape, dtype=bool),
        low=x.low / per,
        high=x.high / per,
    )


def _printed(units: Units, exact: bool, parts: int) -> npt.NDArray[Any]:
    """Sums as people read them, whole numbers where they are."""
    return units // parts if exact and not (units % parts).any() else units / parts


def about_centre(n_units: Units, tables: Mapping[str, Table], x: Amount) -> tuple[list[Fraction], Floats]:
    """Sums of (x - c)^2 in squares of units, as they are, cell by cell; and the variance of their noise.

    `tables`: of a centred square, or of its two limbs. `x`: in the steps whose square was summed.
    """
    steps = Fraction(4) ** x.shift
    if "square" not in tables:
        limbs = [tables.get(name) for name in ("square_low", "square_high")]
        low, high = (np.zeros_like(n_units) if each is None else each.units[each.known] for each in limbs)
        parts = zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)
        return [(a + (b << LIMB_BITS)) * steps for a, b in parts], np.zeros(n_units.shape)
    table, unit, middle = tables["square"], Fraction(x.square_halves, 2), Fraction(x.half_width**2, 2 * QUANTA)
    cells = zip(table.units[table.known].ravel().tolist(), n_units.ravel().tolist(), strict=True)
    scale = float(unit * steps)
    noise = (table.covariances((OWN,) * len(table.axes))[..., 0, 0] + table.rounding * n_units / QUANTA) * scale**2
    return [(q * unit + n * middle) * steps for q, n in cells], np.maximum(noise, 0.0)


def _variance(n_units: int, units: int, squares: Fraction, centre: int, quantum: int) -> float:
    """(sum (x-c)^2 - (sum (x-c))^2 / n) / (n - 1) without a rounding before the end; NaN where it is not above 0."""
    n, total = Fraction(n_units, QUANTA), Fraction(units, quantum)
    if n <= 1:
        return float("nan")
    found = (squares - (total - centre * n) ** 2 / n) / (n - 1)
    return float(found) if found > 0 else float("nan")


def _of_boolean(table: Table) -> Moments:
    """Yes counts as 1 and no as 0. `table`: groups, then the answer."""
    known = table.units[table.known]
    yes, units = known[..., 1], known.sum(axis=-1)
    own = (OWN,) * (len(table.axes) - 1)
    noise = table.covariances((*own, YES), (*own, KNOWN))[..., 0, :, :]
    n, total = units / QUANTA, yes / QUANTA
    with np.errstate(divide="ignore", invalid="ignore"):
        p = total / n
        bessel = np.where(n > 1, n / (n - 1), np.nan)
        variance = p * (1 - p) * bessel
        spread = noise[..., 0, 0] - 2 * p * noise[..., 0, 1] + p**2 * noise[..., 1, 1]
        variance_noise = ((1 - 2 * p) / n * bessel) ** 2 * spread
    return Moments(
        n_units=units,
        total=table.printed(yes),
        noise=noise,
        shared=_covariances(table, YES),
        squares=total,
        variance=np.where(variance > 0, variance, np.nan),
        variance_noise=variance_noise,
        doubtful=np.zeros(n.shape, dtype=bool),
        low=0.0,
        high=1.0,
        binary=True,
    )


# --- clipping


def clipping(table: Table) -> tuple[npt.NDArray[np.bool_], Test]:
    """Groups of which clipping moved more than one value in a thousand, and how many it moved in all. `table`: groups, then low to high."""
    low, high = slice(0, 1), slice(2, 3)
    own, every = _around(table, low)[0][:-1], _around(table, low)[1][:-1]
    weights = np.array([1.0, 1.0, -marks.MOST_CLIPPED])
    units = table.units[table.known]

    def beyond(groups: Pattern, cells: Units) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
        noise = table.covariances((*groups, low), (*groups, high), (*groups, KNOWN))[..., 0, :, :]
        ends = cells[..., (0, 2)] / QUANTA
        sd = np.sqrt(intervals.quadratic(weights, noise))
        return marks.clipped(ends.sum(axis=-1), sd, cells.sum(axis=-1) / QUANTA), ends, cells.sum(axis=-1) / QUANTA

    doubtful, _, _ = beyond(own, units)
    far, ends, known = beyond(every, units.reshape(-1, units.shape[-1]).sum(axis=0))
    values = {
        "estimate": significant(float(ends.sum() / known)) if known > 0 else None,
        "low": significant(float(ends[0])),
        "high": significant(float(ends[1])),
        "limit": marks.MOST_CLIPPED,
        "obs_status": "x" if known <= 0 else "u" if far.any() else "",
    }
    return doubtful, Test("clipped", values)


# --- rows


def _means(found: Moments, holders: Table, sums: Estimates, drawn: bool) -> tuple[Row, ...]:
    """Where the variance of values is lost in its noise, the most that it may be stands in for it."""
    lost = np.isnan(found.variance)
    most = sums.z * np.sqrt(np.maximum(np.nan_to_num(found.variance_noise), 0.0))
    spread = np.where(lost, most, found.variance) * np.maximum(found.n, 0.0)
    n = np.where(marks.undivided(found.n, found.n_sd), np.nan, found.n)
    estimate, *ends = intervals.ratio(found.total.astype(np.float64), n, found.noise, drawn * spread, sums.z)
    if found.binary:
        ends = [*intervals.share(found.total.astype(np.float64), n, found.noise, sums.z, drawn)]
    inside, low, high = _within(ends[0], ends[1], estimate, found.low, found.high)
    with np.errstate(invalid="ignore"):
        noise = found.noise[..., 0, 0] - 2 * estimate * found.noise[..., 0, 1] + estimate**2 * found.noise[..., 1, 1]
    doubtful = marks.doubtful_mean(found.n, found.n_sd, sums.least(holders), (high - low) / 2, estimate)
    unsure = doubtful | found.doubtful | (lost & (most == 0))
    status = marks.letters(np.isnan(estimate), unsure)
    variances = (np.maximum(noise, 0.0) / n**2, spread / n**2)
    return _rows("mean", found, holders, estimate, inside, variances, (low, high), status)


def _deviations(found: Moments, holders: Table, sums: Estimates, drawn: bool) -> tuple[Row, ...]:
    """At either end the wider of two: the delta method on the logarithm of the variance, and the normal interval of the variance.

    They agree where noise is small; where it is not, the logarithm alone keeps too far from 0. Values of a range spread by at most half of
    it, but for Bessel's correction. Sampling: `_chance`.
    """
    gone = marks.undivided(found.n, found.n_sd) | np.isnan(found.variance)
    variance, n = np.where(gone, np.nan, found.variance), np.where(gone, np.nan, found.n)
    estimate = np.sqrt(variance)
    noise, sampling = found.variance_noise / variance**2, _chance(found, variance) / n
    apart = sums.z * np.sqrt(noise + drawn * sampling)
    half = np.minimum(apart / 2, FARTHEST)
    most = np.maximum((found.high - found.low) / 2 * np.sqrt(n / (n - 1)), estimate)
    low = estimate * np.minimum(np.exp(-half), np.sqrt(np.maximum(1 - apart, 0)))
    high = np.minimum(estimate * np.maximum(np.exp(half), np.sqrt(1 + apart)), most)
    doubtful = marks.doubtful_mean(found.n, found.n_sd, sums.least(holders), (high - low) / 2, estimate)
    status = marks.letters(gone, doubtful | found.doubtful)
    variances = (noise * variance / 4, sampling * variance / 4)
    return _rows("sd", found, holders, estimate, estimate, variances, (low, high), status)


def _chance(found: Moments, variance: Floats) -> Floats:
    """n times the most by which sampling varies a variance, per square of it: m4 / variance^2 - 1.

    Fourth powers are not summed. A value is at most M from the mean, so that m4 <= M^2 variance; of two values m4 is known.
    """
    if found.binary:
        return np.maximum(1 / variance - 4, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.clip(found.total / found.n, found.low, found.high)
    farthest = np.maximum(found.high - mean, mean - found.low)
    return np.maximum(farthest**2 / variance - 1, 0.0)


def _totals(found: Moments, holders: Table, sums: Estimates, drawn: bool) -> tuple[Row, ...]:
    """Sampling takes holders to arrive independently: a total varies by the sum of squares."""
    estimate = found.total.astype(np.float64)
    noise, sampling = found.noise[..., 0, 0], np.maximum(found.squares, 0.0)
    low, high = intervals.normal(estimate, noise + drawn * sampling, sums.z)
    doubtful = marks.doubtful_mean(found.n, found.n_sd, sums.least(holders), (high - low) / 2, estimate)
    least = 0.0 if found.low >= 0 else -np.inf
    _, low, high = _within(low, high, estimate, least, np.inf)
    display = intervals.simplex(estimate) if found.low >= 0 else estimate
    status = marks.letters(np.zeros(estimate.shape, dtype=bool), doubtful | found.doubtful)
    return _rows("total", found, holders, found.total, display, (noise, sampling), (low, high), status)


def _total_shares(found: Moments, holders: Table, sums: Estimates, drawn: bool) -> tuple[Row, ...]:
    """Each group's part of the total of all groups."""
    part = found.total.astype(np.float64)
    noise, every = found.shared, part.sum()
    total = np.where(marks.undivided(np.full_like(part, every), np.sqrt(noise[..., 1, 1])), np.nan, every)
    with np.errstate(invalid="ignore"):
        p = part / total
        spread = np.maximum((1 - p) ** 2 * found.squares + p**2 * (found.squares.sum() - found.squares), 0.0)
        estimate, low, high = intervals.ratio(part, total, noise, drawn * spread, sums.z)
        still = np.maximum(noise[..., 0, 0] - 2 * p * noise[..., 0, 1] + p**2 * noise[..., 1, 1], 0.0)
    least, most = (0.0, 1.0) if found.low >= 0 else (-np.inf, np.inf)
    _, low, high = _within(low, high, estimate, least, most)
    shown = intervals.simplex(part) if found.low >= 0 else part
    display = shown / shown.sum() if shown.sum() > 0 else np.full_like(part, np.nan)
    doubtful = marks.doubtful_share(found.n, found.n_sd, sums.least(holders), (high - low) / 2, estimate)
    status = marks.letters(np.isnan(estimate), doubtful | found.doubtful)
    variances = (still / total**2, spread / total**2)
    return _rows("total_share", found, holders, estimate, display, variances, (low, high), status)


def _within(low: Floats, high: Floats, estimate: Floats, least: float, most: float) -> tuple[Floats, Floats, Floats]:
    """The estimate clipped to its range, and an interval that stays inside and holds it."""
    inside = np.clip(estimate, least, most)
    return inside, np.minimum(np.clip(low, least, most), inside), np.maximum(np.clip(high, least, most), inside)


def _rows(
    measure: str,
    found: Moments,
    holders: Table,
    estimate: npt.NDArray[Any],
    display: Floats,
    variances: tuple[Floats, Floats],
    ends: tuple[Floats, Floats],
    status: npt.NDArray[Any],
) -> tuple[Row, ...]:
    """One row per cell; nothing but its base where it is not available. `variances`: of noise and of sampling. Totals are not rounded."""
    gone = status == "x"
    columns = {
        "estimate": estimate,
        "display": display,
        "se_noise": np.sqrt(variances[0]),
        "se_sampling": np.sqrt(variances[1]),
        "ci_low": ends[0],
        "ci_high": ends[1],
    }
    figures = {
        name: np.where(gone, np.nan, np.broadcast_to(values, gone.shape))[..., None]
        for name, values in columns.items()
        if not (name == "estimate" and measure == "total")
    }
    sums = {"base": holders.printed(found.n_units)[..., None]}
    if measure == "total":
        sums["estimate"] = estimate[..., None]
    return table_rows(measure, holders.axes, sums, figures, status[..., None])
