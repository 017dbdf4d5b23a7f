"""What the counts of a feature say: its best bins, their weights of evidence, its information value, and the card that is made of them.

woe of a bin: ln of its share of the others (non-events) over its share of the events, so that every coefficient of the event's log odds is
negative where the card is right. A bin that lacks a class has 0.5 added to both, and is marked. Beside the bins of a feature's values stand
that of its special values, where the question names some, and that of the missing: both have weight where they are told.

Counts with noise (`sd` of one pre-bin) may be below 0. Bins are found on what is not; a bin is then the sum of its cells as they came, and
no less than 0. It needs so many of each class that noise does not make them, and of the information value what noise alone adds is taken.

Source: N. Siddiqi, Credit Risk Scorecards, chapters 6 and 7.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from scipy.special import chdtri, ndtri

from protocols.dictionary import MISSING
from protocols.models import binning
from protocols.models.binning import SPECIAL, Bins, Places
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, CardBin, CardFeature, Points, Weight
from protocols.models.optimal import Division, Least, Trend, division
from protocols.statistics.rows import Row, significant
from protocols.yamltext import Record, Whole

LEAST_SHARE: Final = 0.05
LEAST_CLASS: Final = 20
LEAST_VALUE: Final = 0.02
LEAST_TOLD: Final = 10  # rows of a bin of the missing, or of special values, that has weight and is shown
SURE: Final = 4.0  # standard deviations of noise that a class of a bin has at least
Counts: TypeAlias = tuple[Whole, ...]
Poor: TypeAlias = Literal["value", "bins"]


class Binned(Record):
    """A feature in its bins. place: of each pre-bin, the special and the missing last, its bin; events, others: of each bin, the special
    and the missing last."""

    bins: Bins
    place: Counts
    events: Counts
    others: Counts

    @property
    def rows(self) -> Reals:
        return np.array(self.events, np.float64) + np.array(self.others, np.float64)

    def evidence(self, sd: float = 0.0) -> tuple[Reals, Reals, tuple[bool, ...]]:
        return evidence(self.events, self.others, self.bins.apart, sd)

    def told(self, sd: float = 0.0) -> tuple[bool, ...]:
        """Which bins have weight and are shown."""
        return tuple(bool(each) for each in _told(self.rows, self.bins.apart, sd))

    @property
    def widths(self) -> Reals:
        """Of each bin, its pre-bins."""
        return np.bincount(self.place, minlength=len(self.events)).astype(np.float64)


def _told(rows: Reals, apart: int, sd: float) -> Places:
    least = max(float(LEAST_TOLD), SURE * sqrt(2) * sd)
    return np.concatenate([np.ones(len(rows) - apart, bool), rows[len(rows) - apart :] >= least])


def evidence(
    events: Sequence[int], others: Sequence[int], apart: int = 1, sd: float = 0.0
) -> tuple[Reals, Reals, tuple[bool, ...]]:
    """Of each bin, the `apart` of no ordinary value last: woe, its part of the information value, and whether a class was added to.

    Those apart count where they are told; they have no weight where there are fewer than 10, or than noise makes.
    """
    e, o = np.array(events, np.float64), np.array(others, np.float64)
    told = _told(e + o, apart, sd)
    adjusted = told & (np.minimum(e, o) <= sd)
    half = np.where(adjusted, max(sd, 0.5), 0.0)
    p, q = (e + half) / max(e.sum(), 1.0), (o + half) / max(o.sum(), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        woe = np.where(told, np.log(q / p), 0.0)
    return woe, np.where(told, (q - p) * woe, 0.0), tuple(bool(each) for each in adjusted)


def binned(bins: Bins, events: Reals, others: Reals, trend: Trend, sd: float = 0.0) -> tuple[Binned | None, float]:
    """The best bins of a feature and its information value; no bins where fewer than two have enough. events, others: of its pre-bins.

    Codes are divided in the order of their share of events, where every union of neighbours keeps the order.
    """
    inside = bins.ordinary
    e, o = np.maximum(events, 0)[inside], np.maximum(others, 0)[inside]
    least_class = max(float(LEAST_CLASS), SURE * sd)
    least = Least(LEAST_SHARE * max(float(events.sum() + others.sum()), 0.0), least_class, least_class)
    order = np.arange(len(inside))
    if bins.codes:
        pooled = e.sum() / max(e.sum() + o.sum(), 1.0)
        share = np.where(e + o > 0, e / np.maximum(e + o, 1), pooled)  # a code of nobody stands in the middle
        order = np.argsort(share, kind="stable")
    found: Division | None = division(e[order], o[order], least, "none" if bins.codes else trend)
    if found is None or len(found.starts) < 2:
        return None, 0.0
    number = len(found.starts)
    place = np.full(bins.cells, number, np.intp)  # codes that are special have no holder of their own
    place[inside[order]] = np.searchsorted(np.array(found.starts), np.arange(len(inside)), side="right") - 1
    place[bins.values :] = number + np.arange(bins.apart)
    sums = [np.bincount(place, weights=each, minlength=number + bins.apart) for each in (events, others)]
    counts = [tuple(max(int(each), 0) for each in of) for of in sums]
    made = Binned(bins=bins, place=tuple(place.tolist()), events=counts[0], others=counts[1])
    _, parts, _ = made.evidence(sd)
    return made, max(float(parts.sum()) - _of_noise(made, sd), 0.0)


def _of_noise(made: Binned, sd: float) -> float:
    """What noise adds to an information value in the mean, to second order, where a feature says nothing."""
    if not sd:
        return 0.0
    variance = sd**2 * made.widths[: -made.bins.apart]
    each = (
        variance / (sum(of) * np.maximum(np.array(of[: -made.bins.apart], np.float64), sd))
        for of in (made.events, made.others)
    )
    return float(sum(part.sum() for part in each))


def chosen(
    every: Sequence[Bins], counts: tuple[Reals, Reals], trend: Trend | Mapping[str, Trend], sd: float = 0.0
) -> tuple[tuple[Binned, ...], dict[str, float], dict[str, Poor]]:
    """The features of a card in their bins; the information value of each; those that are left out, with why. counts: events and others
    of all pre-bins, end to end."""
    ends = np.cumsum([each.cells for each in every])[:-1]
    kept, values, poor = list[Binned](), dict[str, float](), dict[str, Poor]()
    for bins, e, o in zip(every, *(np.split(each, ends) for each in counts), strict=True):
        made, value = binned(bins, e, o, trend.get(bins.name, "auto") if isinstance(trend, Mapping) else trend, sd)
        values[bins.name] = value
        if made is None:
            poor[bins.name] = "bins"
        elif value < LEAST_VALUE:
            poor[bins.name] = "value"
        else:
            kept.append(made)
    return tuple(kept), values, poor


def reach(of: Binned, confidence: float) -> float:
    """Standard deviations of noise from a count with noise to the ends of an interval that holds the count at once for every bin that
    could have been chosen: of neighbouring pre-bins by how many such there are, of codes by the length of all noise together."""
    m = of.bins.values
    if of.bins.codes:
        return float(np.sqrt(chdtri(m, 1 - confidence)))
    return -float(ndtri((1 - confidence) / (m * (m + 1) + 2 * of.bins.apart)))


# --- the card


def labels(of: Binned) -> tuple[str, ...]:
    """Of each bin: its codes, or its interval; the special and the missing last."""
    bins, inside = of.bins, len(of.events) - of.bins.apart
    last = (SPECIAL, MISSING)[-bins.apart :]
    if bins.codes:
        joined = [
            ", ".join(bins.codes[at] for at in bins.ordinary if of.place[at] == number) for number in range(inside)
        ]
        return (*joined, *last)
    edges = [
        edge for edge, (at, after) in zip(bins.edges, pairwise(of.place[: bins.values]), strict=True) if at != after
    ]
    return (*binning.labels(edges), *last)


def card(
    features: Sequence[Binned],
    weights: Sequence[Weight],
    covariance: tuple[tuple[float, ...], ...],
    values: Mapping[str, float],
    scale: Points,
    bound: float = 0.0,
    sd: float = 0.0,
) -> Card:
    """weights: the constant first, then of each feature in order.

    Points of a bin: factor (-b woe - (b0 + ln odds0) / m) + base / m, rounded; so m bins add up to the score within m / 2.
    """
    factor = scale.pdo / log(2)
    share = (scale.base - factor * (log(scale.odds) + weights[0].estimate)) / len(features)
    made = []
    for each, weight in zip(features, weights[1:], strict=True):
        woe, _, adjusted = each.evidence(sd)
        points = np.rint(share - factor * weight.estimate * woe).astype(np.intp)
        told = each.told(sd)
        entries = tuple(
            CardBin(
                label=label,
                events=each.events[place] if told[place] else None,
                nonevents=each.others[place] if told[place] else None,
                woe=float(woe[place]),
                points=int(points[place]),
                adjusted=adjusted[place],
            )
            for place, label in enumerate(labels(each))
        )
        neutral = float(points @ each.rows / each.rows.sum())
        made.append(
            CardFeature(bins=each.bins, place=each.place, card=entries, iv=values[each.bins.name], neutral=neutral)
        )
    return Card(weights=tuple(weights), covariance=covariance, error_bound=bound, points=scale, features=tuple(made))


def value_rows(values: Mapping[str, float], poor: Mapping[str, str]) -> Iterator[Row]:
    """The information value of each feature; none (`z`) of one without two bins."""
    for name, value in values.items():
        told = poor.get(name) != "bins"
        yield Row(
            "iv", {"feature": name}, estimate=significant(value) if told else None, obs_status="" if told else "z"
        )


def weight_rows(coefficients: Sequence[Mapping[str, Any]], wrong: Sequence[str]) -> Iterator[Row]:
    """The coefficient of each feature's weight of evidence; coefficients: as results have them, without the constant."""
    for each in coefficients:
        numbers = {name: each[name] for name in ("se_sampling", "se_noise", "ci_low", "ci_high", "p_value")}
        status = "u" if each["term"] in wrong else ""
        yield Row("weight", {"feature": each["term"]}, estimate=each["estimate"], **numbers, obs_status=status)


def entry_rows(of: Card) -> Iterator[Row]:
    """Of each bin its events, others, weight of evidence and points."""
    for feature in of.features:
        for entry in feature.card:
            keys, thin = {"feature": feature.bins.name, "bin": entry.label}, entry.events is None
            for measure, count in (("events", entry.events), ("nonevents", entry.nonevents)):
                yield Row(measure, keys, estimate=count, conf_status="C" if thin else "")
            yield Row("woe", keys, estimate=significant(entry.woe), obs_status="u" if entry.adjusted else "")
            yield Row("points", keys, estimate=entry.points)
