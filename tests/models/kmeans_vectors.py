"""One transcript of a k-means in both modes: how it is made, and that it is what it was. `python -m tests.models.kmeans_vectors` writes it.

Three cities of four holders each, written out; every ask, every city's vector before any noise, every total, every state, and the answer.
What must be refused stands at the end: totals that are too short, and an ask at other centres.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocols.dictionary import Reading
from protocols.models.interface import Done
from protocols.models.kmeans import Clustering, KMeans
from protocols.statistics.example import example_dictionary
from tests.laws.generated import AS_OF, SMALL, Holder
from tests.laws.generated import table as small_table
from tests.models.clustered import Federation
from tests.models.federation import secure_sum

FILE: Final = Path(__file__).parents[1] / "vectors" / "models" / "kmeans.json"
NAMES: Final = ("income", "birth_year", "months_paying")
CITIES: Final[tuple[tuple[tuple[int | None, int, int], ...], ...]] = (
    ((300_000, 1991, 3), (620_000, 1988, 5), (19_000_000, 1950, 36), (None, 1979, 9)),
    ((18_500_000, 1948, 33), (415_001, 1999, 1), (250_050, 2001, 2), (9_000_000, 1970, 18)),
    ((20_000_000, 1930, 36), (0, 2010, 0), (9_500_000, 1972, 20), (8_800_001, 1968, 17)),
)
QUESTION: Final = KMeans.model_validate({**KMeans.EXAMPLE.question, "rounds": "3"})
VARIANCES: Final = {"pairs": 5.0, "holders": 0.5, "sums": 300.0}


def cities() -> list[list[Holder]]:
    return [
        [{name: value for name, value in zip(NAMES, holder, strict=True) if value is not None} for holder in city]
        for city in CITIES
    ]


def model_of(mode: str) -> Clustering:
    """With variances that are stated, so that the transcript does not follow the accounting."""
    found = Federation(QUESTION, "1" if mode == "dp" else None, example_dictionary()).model()
    variances = VARIANCES if mode == "dp" else {}
    return QUESTION.planned(replace(found.setting, variances=variances))


def transcript(mode: str) -> dict[str, Any]:
    model, rounds = model_of(mode), []
    state = model.start()
    while not isinstance(ask := model.ask(state), Done):
        vectors = []
        for city in cities():
            rows = small_table(city)
            vectors.append(model.encode(ask, model.measure(ask, Reading(rows, SMALL, AS_OF), rows.holders)))
        total = secure_sum(vectors)
        if mode == "dp":  # noise that is stated, so that another implementation has the same
            total = total + np.arange(len(total)) % 3 - 1
        state = model.tell(state, ask, total)
        rounds.append(
            {
                "ask": ask.model_dump(mode="json"),
                "vectors": [each.tolist() for each in vectors],
                "total": total.tolist(),
                "state": state.model_dump(mode="json"),
            }
        )
    result = model.result(state)
    rows_ = [row.published("pooled") for row in result.rows]
    return {"variances": dict(model.setting.variances), "rounds": rounds, "rows": rows_, "fit": dict(result.fit)}


def made() -> dict[str, Any]:
    draws = [
        {"name": each.name, "cells": each.cells, "l1": each.l1, "l2sq": each.l2sq, "times": each.times, "share": str(each.share)}
        for each in QUESTION.draws(model_of("dp").setting.domain)
    ]  # fmt: skip
    asked = QUESTION.model_dump(mode="json", exclude_none=True)
    return {
        "question": asked,
        "holders": cities(),
        "draws": draws,
        "modes": {mode: transcript(mode) for mode in ("dp", "exact")},
        "bad": [
            {"what": "a total that is too short", "code": "MODEL_NOT_REPLAYABLE"},
            {"what": "an ask at other centres", "code": "MODEL_NOT_REPLAYABLE"},
            {"what": "an ask of another study", "code": "MODEL_ASK_FOREIGN"},
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1) + "\n", encoding="utf-8")
