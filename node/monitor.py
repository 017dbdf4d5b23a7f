"""A model month by month on this city's own rows: counts of each snapshot since a month, and the lights that `drift.py` makes of them.

    <home>/monitor/<first 16 hex of the model>.<since>.json    counts of every month seen so far, mode 0600

A snapshot that was pruned since is still known by its counts. Nothing leaves the city; what is written elsewhere, a person writes there.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from node import mapping, snapshot
from node.mapping import Mapping
from node.scores import BATCH, of_dictionary, unread
from node.snapshot import Snapshot
from protocols.canonical import canonical
from protocols.dictionary import Read, Reading, Table
from protocols.errors import ConfigError, Language, Place
from protocols.filters import leaves as compared
from protocols.models import drift
from protocols.models.binning import Bins, leaves, quantile_edges
from protocols.models.drift import Cause, Frame, Judged, Month
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, Linear, ModelFile, Monthly, Trees
from protocols.models.scoring import Adapted, adapted, scores
from protocols.statistics import measures
from protocols.yamltext import Record

FOLDER: Final = "monitor"
BANDS: Final = 10
SCORES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)  # where the model has no bands of its own


class Kept(Record):
    """The file of a model and a month to begin with."""

    model: str
    frame: Frame
    months: tuple[Month, ...] = ()


@dataclass(frozen=True)
class Watched:
    """Every month so far. own: the first month is the reference of the scores, because the model file has none."""

    months: tuple[Judged, ...]
    own: bool

    @property
    def light(self) -> drift.Light:
        return self.months[-1].light

    def as_json(self, model: ModelFile) -> dict[str, Any]:
        return {
            "model": model.id,
            "digest": model.digest,
            "light": self.light,
            "reference": "first_month" if self.own else "training",
            "months": [asdict(each) for each in self.months],
        }


def watch(model: ModelFile, folder: Path, home: Path, since: str) -> Watched:
    """Counts every snapshot from the month `since` (YYYY-MM) on that was not counted yet, keeps the counts, and judges all of them.

    Errors: `ConfigError` MODEL_NOT_BINARY, MODEL_SCORE_DICTIONARY, MODEL_SCORE_COLUMN, MODEL_MONTHS where there is no snapshot,
    MODEL_MONITOR where the file of counts is damaged; those of mapping and snapshot.
    """
    binary(model)
    means = mapping.load(folder)
    path = home / FOLDER / f"{model.digest.removeprefix('sha256:')[:16]}.{since}.json"
    kept = _read(path, model)
    known = {} if kept is None else {each.month: each for each in kept.months}
    frame = None if kept is None else kept.frame
    for day, newest in _monthly(home, since):
        month = f"{day.year}-{day.month:02}"
        if month in known and known[month].snapshot == newest:
            continue
        rows = snapshot.open_for(home, day)
        fits(model, means, rows)
        frame = frame or _framed(model, means, rows)
        known[month] = _counted(model, frame, means, rows, month)
    if frame is None or not known:
        raise ConfigError("MODEL_MONTHS", since=since)
    ordered = tuple(known[name] for name in sorted(known))
    _write(path, Kept(model=model.digest, frame=frame, months=ordered))
    return Watched(drift.judged(frame, ordered), not frame.scores)


def fits(model: ModelFile, means: Mapping, rows: Snapshot) -> None:
    """Whether the model's variables, its outcome among them, are there, in the words of this dictionary.

    Errors: `ConfigError` MODEL_SCORE_DICTIONARY, MODEL_SCORE_COLUMN.
    """
    of_dictionary(model, means)
    adapted(model, means.meant, unread, frozenset(rows.cannot))
    known = model.outcome in means.meant.known() and means.meant.type_of(model.outcome) == "boolean"
    if not known or set(means.meant.needs(model.outcome)) & set(rows.cannot):
        raise ConfigError("MODEL_SCORE_COLUMN", names=model.outcome)


def binary(model: ModelFile) -> None:
    """Errors: `ConfigError MODEL_NOT_BINARY`."""
    if isinstance(model.fit, Monthly) or (isinstance(model.fit, Linear) and model.fit.family != "binomial"):
        raise ConfigError("MODEL_NOT_BINARY", id=model.id)


def _monthly(home: Path, since: str) -> Iterator[tuple[date, str]]:
    """The last date of each month that has a snapshot, ascending, and the name of its newest one."""
    dates = snapshot.current(home).dates
    last = {f"{day.year}-{day.month:02}": day for day in sorted(dates)}
    for month in sorted(last):
        if month >= since:
            yield last[month], dates[last[month]].snapshot


# --- counts of a snapshot


@dataclass(frozen=True)
class Batch:
    """Rows of the model's cohort, in its own terms. read: in those of the dictionary."""

    here: Adapted
    read: Read
    rows: int


def batches(model: ModelFile, means: Mapping, rows: Snapshot) -> Iterator[Batch]:
    """The rows of the model's cohort. Pre-condition: `fits`."""
    filters = {leaf.variable for each in model.cohort for leaf in compared(each)}
    names = {*model.needs, model.outcome, *filters}
    wanted = sorted({given for name in names for given in means.meant.needs(name)})
    for table in rows.batches(wanted, BATCH):
        inside = np.ones(table.holders, bool)
        for each in model.cohort:
            inside &= measures.members(table, means.meant, rows.as_of, each)
        within: Table = measures.among(table, inside)
        read = Reading(within, means.meant, rows.as_of)
        yield Batch(adapted(model, means.meant, read), read, within.holders)


def _framed(model: ModelFile, means: Mapping, rows: Snapshot) -> Frame:
    """Bands and bins: those of the model, or of its reference, where it has some; else tenths of these rows, the first to be counted."""
    cuts: tuple[float, ...] = SCORES
    trained: tuple[int, ...] = ()
    if model.reference is not None:
        cuts = tuple(each / model.reference.grid for each in model.reference.cuts)
        trained = model.reference.counts
    match model.fit:
        case Card() as fit:
            bins = tuple(each.bins for each in fit.features)
        case Trees() as fit:
            bins = fit.features
        case Linear():
            bins = tuple(_tenths(model, means, rows))
    return Frame(cuts=cuts, bins=bins, scores=trained)


def _tenths(model: ModelFile, means: Mapping, rows: Snapshot) -> Iterator[Bins]:
    domain = model.domain
    numeric = [leaves(domain, name) for name in model.needs if not domain.codes(name)]
    counts = {each.name: np.zeros(each.cells) for each in numeric}
    for batch in batches(model, means, rows) if numeric else ():
        for each in numeric:
            counts[each.name] += np.bincount(each.places(domain, batch.here), minlength=each.cells)
    fine = {each.name: each for each in numeric}
    for name in model.needs:
        if name in fine:
            yield Bins(name=name, edges=quantile_edges(fine[name].edges, counts[name][:-1], BANDS))
        else:
            yield Bins(name=name, codes=domain.codes(name))


def _counted(model: ModelFile, frame: Frame, means: Mapping, rows: Snapshot, month: str) -> Month:
    bands = np.zeros(len(frame.cuts) + 1, np.int64)
    inputs = {each.name: np.zeros(each.cells, np.int64) for each in frame.bins}
    inside, sums = 0, np.zeros(6)
    for batch in batches(model, means, rows):
        found = scores(model, batch.here, batch.rows)
        place = np.searchsorted(frame.cuts, found.mean[found.known], side="right")
        bands += np.bincount(place, minlength=len(bands))
        for each in frame.bins:
            inputs[each.name] += np.bincount(each.places(model.domain, batch.here), minlength=each.cells)
        outcome = batch.read(model.outcome)
        used = found.known & outcome.known
        sums += _outcomes(found.mean[used], outcome.values[used].astype(np.float64))
        inside += batch.rows
    return Month(
        month=month,
        as_of=rows.as_of,
        snapshot=rows.content[:16],
        rows=inside,
        outside=rows.rows - inside,
        scored=int(bands.sum()),
        bands=tuple(bands.tolist()),
        inputs={name: tuple(counts.tolist()) for name, counts in inputs.items()},
        known=int(sums[0]),
        observed=int(sums[1]),
        expected=float(sums[2]),
        variance=float(sums[3]),
        up=float(sums[4]),
        down=float(sums[5]),
    )


def _outcomes(p: Reals, y: Reals) -> Reals:
    return np.array([len(p), y.sum(), p.sum(), (p * (1 - p)).sum(), *drift.ratios(p, y)])


# --- what is kept


def _read(path: Path, model: ModelFile) -> Kept | None:
    if not path.is_file():
        return None
    try:
        kept = Kept.model_validate_json(path.read_bytes(), strict=True)
    except (ValidationError, ValueError):
        raise ConfigError("MODEL_MONITOR", Place(str(path))) from None
    if kept.model != model.digest:
        raise ConfigError("MODEL_MONITOR", Place(str(path)))
    return kept


def _write(path: Path, kept: Kept) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    private(path, canonical(kept.model_dump(mode="json")))


def private(path: Path, content: bytes) -> None:
    """A file for this account alone, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


# --- words

LIGHTS: Final = {"green": ("绿", "green"), "amber": ("黄", "amber"), "red": ("红", "red")}
WHAT: Final = {
    "scores": ("评分分布移动 PSI {value:.2f}", "scores shifted, PSI {value:.2f}"),
    "input": ("{name} 分布移动 PSI {value:.2f}", "{name} shifted, PSI {value:.2f}"),
    "missing": ("{name} 缺失率上升 {value:.0%}", "{name} missing {value:.0%} more often"),
    "calibration": (
        "实际/预测 {value:.2f}：请重新校准，排序不必改",
        "observed/expected {value:.2f}: recalibrate, do not re-rank",
    ),
}


def lines(watched: Watched, language: Language) -> Iterator[str]:
    """A line for each month."""
    n = ("zh", "en").index(language)
    for each in watched.months:
        ratio = "–" if each.ratio is None else f"{each.ratio:.2f}"
        index = "–" if each.index is None else f"{each.index:.3f}"
        head = f"{each.month}  {LIGHTS[each.light][n]}  "
        said = (
            f"评分 {each.scored:,} 行，PSI {index}，实际/预测 {ratio}",
            f"{each.scored:,} scored, PSI {index}, observed/expected {ratio}",
        )[n]
        yield "  ".join([head + said, *_causes(each.causes, n)])
    size = watched.months[-1].needed
    if size is None:
        yield (
            "每月人数太少，风险上升 20% 要一年以上才能发现",
            "too few events a month: 20 % more would take over a year to be found",
        )[n]
    else:
        yield (
            f"按最近一月的人数，风险上升 20% 约需 {size} 个月发现",
            f"at the size of the last month 20 % more is found in {size} months",
        )[n]


def _causes(causes: Sequence[Cause], n: int) -> Iterator[str]:
    for each in causes:
        yield WHAT[each.what][n].format(name=each.name, value=each.value)
