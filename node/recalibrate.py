"""A model put right for this city alone, on its own rows: a new version of its file, which stays here and names its parent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import expit, logit

from node import mapping, snapshot
from node.monitor import batches, binary, fits, private
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import ModelFile
from protocols.models.recalibrate import Method, possible, recalibrated, solved
from protocols.models.scoring import scores
from protocols.study import months_later

ODDS: Final = 30.0  # log odds are taken within these
LIFE_MONTHS: Final = 12


@dataclass(frozen=True)
class Recalibrated:
    """made: the new file. rows: scored rows whose outcome is known; before, after: observed over expected on them."""

    made: ModelFile
    rows: int
    constant: float
    slope: float
    before: float
    after: float


def recalibrate(model: ModelFile, folder: Path, home: Path, out: Path, method: Method) -> Recalibrated:
    """On the newest snapshot of the date in mapping.yaml. `out` is written whole, for this account alone.

    Errors: `ConfigError` MODEL_NOT_BINARY, MODEL_SCORE_DICTIONARY, MODEL_SCORE_COLUMN, MODEL_FEW_OUTCOMES, MODEL_RECALIBRATE, and those of
    mapping and snapshot; `Refusal SNAPSHOT_DATE`.
    """
    binary(model)
    possible(model, method, model.id)
    means = mapping.load(folder)
    rows = snapshot.open_for(home, means.snapshot)
    fits(model, means, rows)
    margins, outcomes = list[Reals](), list[Reals]()
    for batch in batches(model, means, rows):
        found, outcome = scores(model, batch.here, batch.rows), batch.read(model.outcome)
        used = found.known & outcome.known
        margins.append(np.clip(logit(found.mean[used]), -ODDS, ODDS))
        outcomes.append(outcome.values[used].astype(np.float64))
    margin, y = np.concatenate(margins), np.concatenate(outcomes)
    constant, slope = solved(margin, y, method, model.id)
    new = recalibrated(model, constant, slope, model.id)
    made = ModelFile.model_validate(
        {
            **{name: getattr(model, name) for name in ModelFile.model_fields},
            **{name: getattr(new, name) for name in type(new).model_fields},
            "version": model.version + 1,
            "parent": model.digest,
            "as_of": rows.as_of,
            "expires": months_later(rows.as_of, LIFE_MONTHS),
            "cities": (means.city.city,),
            "rows": len(y),
        }
    )
    private(out, made.content)
    ratio = [float(y.sum() / expit(each).sum()) for each in (margin, constant + slope * margin)]
    return Recalibrated(made, len(y), constant, slope, *ratio)
