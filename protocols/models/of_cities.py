"""What a city tells of itself beside a sum: a few numbers in thousandths, made where its rows are, in a slot that it alone fills.

With 100 events and 100 non-events; with fewer, and in every other city's slot, zeros. The slots travel in the secure sum, and what is read
out of it is what each city wrote. Mode exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final

import numpy as np

from protocols.models.discrimination import calibrated, ranked, shifted
from protocols.models.fixedpoint import Reals
from protocols.models.metrics import LEAST_ROWS, Metric, banded, blurred, over, part_of, z_of
from protocols.models.modelfile import Reference

LEAST_CLASS: Final = 100  # events, and non-events, of a group or a city that is answered for by itself
PARTS: Final = 1000
VERDICTS: Final = ("stable", "moderate", "drift")
FIGURES: Final = (
    "told",
    "auc",
    "auc_low",
    "auc_high",
    "ks",
    "brier",
    "observed",
    "observed_low",
    "observed_high",
    "expected",
    "observed_expected",
    "observed_expected_low",
    "observed_expected_high",
    "compared",
    "psi",
    "noise_floor",
    "verdict",
    "adjusted",
)
MEASURES: Final = ("auc", "ks", "brier", "observed", "expected", "observed_expected", "calibration_in_the_large", "psi")


@dataclass(frozen=True)
class Own:
    """Sums over the rows of one city. histogram: classes (no, yes) x bins; predicted, squares: sums of p and of (p - y)^2."""

    histogram: Reals
    predicted: float
    squares: float


def slot(own: Own, reference: Reference | None, confidence: float) -> Reals:
    """Its figures, in thousandths. reference: the bands that its scores are held against; none where these are all one."""
    others, events = own.histogram.sum(axis=1)
    found = ranked(own.histogram[1], own.histogram[0]) if min(others, events) >= LEAST_CLASS else None
    if found is None:
        return np.zeros(len(FIGURES))
    rows, reach = float(others + events), z_of(confidence) * sqrt(found.variance)
    squares, predicted, yes, every = (np.array([each]) for each in (own.squares, own.predicted, float(events), rows))
    fit = calibrated(squares, predicted, yes, every, in_sample=False)
    assert fit is not None  # noqa: S101 there are rows
    observed = part_of(float(events), rows, confidence)
    ratio = over("observed_expected", observed, fit.expected, None, rows)
    values = {
        "auc": found.auc,
        "auc_low": max(0.0, found.auc - reach),
        "auc_high": min(1.0, found.auc + reach),
        "ks": found.ks,
        "brier": fit.brier,
        **dict(zip(("observed", "observed_low", "observed_high"), observed, strict=True)),
        "expected": fit.expected,
        "observed_expected": ratio.estimate or 0.0,
        "observed_expected_low": ratio.ci_low or 0.0,
        "observed_expected_high": ratio.ci_high or 0.0,
    }
    whole = {name: float(round(each * PARTS)) for name, each in values.items()} | {"told": 1.0}
    shift, thin = None, False
    if reference is not None:
        now = banded(own.histogram.sum(axis=0), np.array(reference.cuts, np.intp))
        shift = shifted(np.array(reference.counts, float), blurred(now))
        thin = bool((now < LEAST_ROWS).any())
    if shift is not None:
        whole |= {
            "compared": 1.0,
            "psi": float(round(shift.index * PARTS)),
            "noise_floor": float(ceil(shift.floor * PARTS)),
            "verdict": float(VERDICTS.index(shift.verdict)),
            "adjusted": float(shift.adjusted or thin),
        }
    return np.array([whole.get(name, 0.0) for name in FIGURES])


def of_slot(cells: Sequence[float]) -> Iterator[Metric]:
    """What a slot says. A city that told nothing has a row of each measure all the same (`C`)."""
    raw = dict(zip(FIGURES, cells, strict=True))
    if not raw["told"]:
        yield from (Metric(name, None, conf_status="C") for name in MEASURES)
        return
    said = {name: each / PARTS for name, each in raw.items()}
    for name in ("auc", "ks", "brier", "observed", "expected", "observed_expected"):
        undefined = name == "observed_expected" and not raw[name]
        ends = {end: said[f"{name}{end}"] for end in ("_low", "_high") if f"{name}{end}" in said and not undefined}
        yield Metric(
            name,
            None if undefined else said[name],
            ci_low=ends.get("_low"),
            ci_high=ends.get("_high"),
            obs_status="z" if undefined else "",
        )
    yield Metric("calibration_in_the_large", round(said["observed"] - said["expected"], 3))
    if not raw["compared"]:
        yield Metric("psi", None, obs_status="z")
        return
    verdict = VERDICTS[int(np.clip(raw["verdict"], 0, len(VERDICTS) - 1))]
    status = "u" if raw["adjusted"] else ""
    yield Metric("psi", said["psi"], base=said["noise_floor"], verdict=verdict, obs_status=status)
