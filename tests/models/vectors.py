"""One transcript per kind of model (tests/vectors/models): how it is made. `python -m tests.models.vectors` writes it.

Three cities of 30 rows each, written out; every ask, every city's vector, every state, and the answer.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocols.dictionary import Column
from protocols.models.glm import Clustered, Glm, GlmPlan
from tests.models.data import Frame, dictionary
from tests.models.federation import conversation, planned
from tests.models.test_glm_laws import work

FILE: Final = Path(__file__).parents[1] / "vectors" / "models" / "glm.json"
QUESTION: Final = Glm(
    family="binomial",
    link="probit",
    outcome="stopped",
    terms=("age", "log1p(income)", "work"),
    missing="indicator",
    errors=Clustered(cluster="work"),
)


def read(rows: dict[str, Any]) -> Frame:
    """Rows as they are written in the file: a value or null for each variable."""
    columns = {}
    for name, values in rows["columns"].items():
        known = np.array([value is not None for value in values])
        columns[name] = Column(np.array([0 if value is None else value for value in values]), known)
    return Frame(dictionary(rows["variables"]), columns, len(known))


def written(frame: Frame) -> dict[str, Any]:
    lists = {
        name: [value if known else None for value, known in zip(each.values.tolist(), each.known, strict=True)]
        for name, each in frame.columns.items()
    }
    variables = frame.dictionary.model_dump(mode="json", by_alias=True, exclude_defaults=True)["variables"]
    return {"variables": variables, "columns": lists}


def divided(frame: Frame) -> list[Frame]:
    return [frame.take(np.arange(30 * city, 30 * city + 30)) for city in range(3)]


def plan_of(frame: Frame) -> GlmPlan:
    return planned(frame, QUESTION, divided(frame))


def made() -> dict[str, Any]:
    frame = read(written(work(90)))
    fit, log = conversation(plan_of(frame), divided(frame))
    rounds = [
        {
            "ask": ask.model_dump(mode="json"),
            "vectors": [v.tolist() for v in vectors],
            "state": state.model_dump(mode="json"),
        }
        for ask, vectors, state in zip(log.asks, log.vectors, log.states, strict=True)
    ]
    return {"rows": written(frame), "rounds": rounds, "fit": asdict(fit)}


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(made(), separators=(",", ":")) + "\n", encoding="utf-8")
