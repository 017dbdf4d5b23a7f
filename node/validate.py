"""A city looks at a model on its own rows, and says yes or no to it. Its figures stay here; its word may go to the coordinator.

Yes: observed over expected lies in 0.8 to 1.25, or nearer to 1 than that of the model in use; and the AUC is at most 0.01 below that of the
model in use, or above one half where none is. With fewer than 100 events, or others, it cannot tell.
"""

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import rankdata

from node import mapping, snapshot
from node.monitor import batches, binary, fits
from protocols.models.drift import APART
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import ModelFile
from protocols.models.recalibrate import LEAST
from protocols.models.scoring import scores
from protocols.vote import Vote, Word

WORSE: Final = 0.01  # of an AUC, that is no reason for a no


@dataclass(frozen=True)
class Look:
    """A model on the rows that it scores and whose outcome is known. auc, ratio: none with too few events, or others."""

    rows: int
    auc: float | None
    ratio: float | None


@dataclass(frozen=True)
class Validated:
    vote: Vote
    model: Look
    against: Look | None


def validate(model: ModelFile, against: ModelFile | None, folder: Path, home: Path, at: int) -> Validated:
    """On the newest snapshot of the date in mapping.yaml. at: Unix s.

    Errors: `ConfigError` MODEL_NOT_BINARY, MODEL_SCORE_DICTIONARY, MODEL_SCORE_COLUMN, those of mapping and snapshot.
    """
    means = mapping.load(folder)
    rows = snapshot.open_for(home, means.snapshot)
    looks = [_look(each, means, rows) for each in (model, against) if each is not None]
    one, other = looks[0], looks[1] if against is not None else None
    vote = Vote(
        city=means.city.city,
        model=model.digest,
        against=None if against is None else against.digest,
        as_of=rows.as_of,
        at=at,
        vote=word(one, other),
    )
    return Validated(vote, one, other)


def _look(model: ModelFile, means: mapping.Mapping, rows: snapshot.Snapshot) -> Look:
    binary(model)
    fits(model, means, rows)
    parts = list[tuple[Reals, Reals]]()
    for batch in batches(model, means, rows):
        found, outcome = scores(model, batch.here, batch.rows), batch.read(model.outcome)
        used = found.known & outcome.known
        parts.append((found.mean[used], outcome.values[used].astype(np.float64)))
    p, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    events = float(y.sum())
    others = len(y) - events
    if min(events, others) < LEAST:
        return Look(len(y), None, None)
    ranks = float(rankdata(p)[y == 1].sum())
    return Look(len(y), (ranks - events * (events + 1) / 2) / (events * others), events / float(p.sum()))


def word(one: Look, other: Look | None) -> Word:
    """What a city says of a model, beside the one in use if there is one."""
    if one.auc is None or one.ratio is None:
        return "cannot_tell"
    near = APART[0] <= one.ratio <= APART[1]
    least = 0.5
    if other is not None and other.auc is not None and other.ratio is not None:
        near = near or abs(log(one.ratio)) < abs(log(other.ratio))
        least = other.auc - WORSE
    return "yes" if near and one.auc >= least else "no"
