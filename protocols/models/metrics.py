"""What is said of a model, number by number, and how it is printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import ndtri

from protocols.models.answer import Fit
from protocols.models.binning import Places, quantile_edges
from protocols.models.discrimination import Fitted, Ranked, shifted
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Reference
from protocols.statistics.intervals import share
from protocols.statistics.rows import Row, Test, significant

BANDS: Final = 10
LEAST_ROWS: Final = 10  # of what is told of a part of the scores, as of any cell of an exact answer


def thick(rows: Reals, least: float = LEAST_ROWS) -> Places:
    """Where parts begin that hold so many rows each, made of cells that stand side by side; the last cells join the part before them. One
    part where there are fewer rows."""
    starts, held = [0], 0.0
    for number, each in enumerate(rows[:-1].tolist(), 1):
        held += each
        if held >= least:
            starts.append(number)
            held = 0.0
    if len(starts) > 1 and held + float(rows[-1]) < least:
        starts.pop()
    return np.array(starts, np.intp)


def thicker(counts: Reals, predicted: Reals, squares: Reals) -> tuple[Reals, Reals, Reals, Reals]:
    """Of bands of scores that hold enough rows: sums of (p - y)^2 and of p, events, rows. Thinner ones have joined their neighbours."""
    starts = thick(counts.sum(axis=0))
    parts = (np.add.reduceat(each, starts) for each in (squares, predicted, counts[1], counts.sum(axis=0)))
    one, two, three, four = parts
    return one, two, three, four


def blurred(rows: Reals) -> Reals:
    """Of bands with fewer rows than are told, all alike half as many: one holder cannot be seen to be there."""
    return np.where(rows < LEAST_ROWS, LEAST_ROWS / 2, rows)


@dataclass(frozen=True)
class Metric:
    """One row of the answer. group: a code of `by`; none: all rows. low, high: what bins alone leave open, certain. std_error: of sampling;
    noise: in mode dp, of noise; the interval holds both. obs_status: `z` where it is not defined, `u` where too few rows were scored;
    conf_status: `C` where a group is too small."""

    measure: str
    estimate: float | None
    group: str | None = None
    base: float | None = None
    low: float | None = None
    high: float | None = None
    std_error: float | None = None
    noise: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    feature: str | None = None
    verdict: str = ""
    obs_status: str = ""
    conf_status: str = ""


def banded(counts: Reals, cuts: Places) -> Reals:
    """Classes x bands."""
    return np.add.reduceat(counts, np.concatenate([[0], cuts]), axis=-1)


def equal_bands(counts: Reals) -> Reference | None:
    """Ten bands of about equal shares, cut at edges of bins; None where all rows stand in one."""
    cuts = tuple(int(each) for each in quantile_edges(range(1, len(counts)), counts, BANDS))
    if not cuts:
        return None
    held = np.add.reduceat(counts, np.array([0, *cuts]))
    return Reference(grid=len(counts), cuts=cuts, counts=tuple(int(each) for each in held))


def z_of(confidence: float) -> float:
    """Half the width of an interval, in standard errors."""
    return -float(ndtri((1 - confidence) / 2))


def part_of(part: float, whole: float, confidence: float) -> tuple[float, float, float]:
    """A share with Wilson's interval. Pre-condition: whole > 0."""
    z = z_of(confidence)
    low, high = share(np.array([part]), np.array([whole]), np.zeros((2, 2)), z, True)
    return float(part / whole), float(low[0]), float(high[0])


def calibration(fitted: Fitted, group: str | None, rows: float, confidence: float) -> Iterator[Metric]:
    """observed_expected: how many times as many events there were as the model says; what it says is taken as it is."""
    yield Metric("brier", fitted.brier, group, rows)
    observed, low, high = part_of(fitted.observed * rows, rows, confidence)
    yield Metric("observed", observed, group, rows, ci_low=low, ci_high=high)
    yield Metric("expected", fitted.expected, group, rows)
    yield over("observed_expected", (observed, low, high), fitted.expected, group, rows)
    yield Metric("calibration_in_the_large", fitted.observed - fitted.expected, group, rows)


def over(
    measure: str, share_: tuple[float, float, float], expected: float, group: str | None, rows: float | None
) -> Metric:
    """An observed share, with its interval, as a multiple of the expected one."""
    if expected <= 0:
        return Metric(measure, None, group, rows, obs_status="z")
    value, low, high = (each / expected for each in share_)
    return Metric(measure, value, group, rows, ci_low=low, ci_high=high)


def ranking(found: Ranked | None, group: str | None, rows: float, confidence: float) -> Iterator[Metric]:
    if found is None:
        yield from (Metric(name, None, group, rows, obs_status="z") for name in ("auc", "gini", "ks"))
        return
    z, error = z_of(confidence), float(np.sqrt(found.variance))
    for name, value, factor in (("auc", found.auc, 1.0), ("gini", found.gini, 2.0)):
        reach, bound, least = factor * z * error, factor * found.auc_bound, 1.0 - factor
        yield Metric(
            name,
            value,
            group,
            rows,
            low=max(least, value - bound),
            high=min(1.0, value + bound),
            std_error=factor * error,
            ci_low=max(least, value - reach),
            ci_high=min(1.0, value + reach),
        )
    yield Metric("ks", found.ks, group, rows, low=found.ks, high=found.ks_high)


def shift(measure: str, before: Reals, now: Reals, feature: str | None) -> Metric:
    """base: the noise floor. Marked `u` where a band is thin."""
    found = shifted(before, blurred(now)) if now.any() else None
    if found is None:
        return Metric(measure, None, feature=feature, obs_status="z")
    status = "u" if found.adjusted or (now < LEAST_ROWS).any() else ""
    return Metric(measure, found.index, base=found.floor, feature=feature, verdict=found.verdict, obs_status=status)


def printed_rows(of: Metric, by: str) -> Iterator[Row]:
    """A row, and beside it the certain bound of its error, or the floor of its noise. Of groups the measure says so."""
    keys = {name: each for name, each in ((by, of.group), ("feature", of.feature)) if each is not None}
    measure = of.measure if of.group is None else f"group_{of.measure}"

    def printed(value: float | None) -> float | None:
        return None if value is None else significant(value)

    marks: dict[str, Any] = {"obs_status": of.obs_status, "conf_status": of.conf_status}
    numbers: dict[str, Any] = {
        "base": printed(of.base),
        "se_noise": None if of.estimate is None else significant(of.noise),
        "se_sampling": printed(of.std_error),
        "ci_low": printed(of.ci_low),
        "ci_high": printed(of.ci_high),
        "p_value": printed(of.p_value),
    }
    yield Row(measure, keys, estimate=printed(of.estimate), **numbers, **marks)
    if of.estimate is not None and of.high is not None and of.low is not None:
        yield Row(f"{measure}_bound", keys, estimate=printed(max(of.high - of.estimate, of.estimate - of.low)), **marks)


def statements(metrics: Sequence[Metric], by: str) -> Iterator[Test]:
    """Statements about a whole table: how well bands fit, and whether scores or a feature have drifted."""
    for each in metrics:
        about: dict[str, Any] = {by: each.group} if each.group is not None else {}
        if each.measure == "hosmer_lemeshow" and each.estimate is not None and each.p_value is not None:
            values = {"statistic": significant(each.estimate), "df": each.base, "p_value": significant(each.p_value)}
            yield Test(each.measure, about | values)
        if each.verdict:
            feature = {"feature": each.feature} if each.feature else {}
            yield Test(f"{each.measure}_verdict", feature | {"verdict": each.verdict, "noise_floor": each.base})


def coefficient(fit: Fit | None, term: str, measure: str) -> Metric:
    for each in fit.coefficients if fit else ():
        if each.term == term:
            low, high, error = each.ci_low, each.ci_high, each.std_error
            return Metric(measure, each.estimate, std_error=error, ci_low=low, ci_high=high, p_value=each.p_value)
    return Metric(measure, None, obs_status="x")
