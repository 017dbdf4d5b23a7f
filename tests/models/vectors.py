"""One transcript per kind of model (tests/vectors/models): how it is made. `python -m tests.models.vectors` writes them.

Three cities of 30 rows each (12 of those whose vectors are long), written out; every ask, every city's vector, every state, and the answer.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocols.dictionary import Column
from protocols.models import classes, cox
from protocols.models.classes import Classes
from protocols.models.cox import Cox
from protocols.models.glm import Clustered, Firth, Glm, Sparse
from protocols.models.pooling import PooledPlan
from tests.models.data import Frame, dictionary
from tests.models.federation import OPEN, conversation, planned
from tests.models.test_glm_laws import work

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "models"
STUDY: Final = "sha256:" + "0" * 64
CITIES: Final = 3
LOGIT: Final[dict[str, Any]] = {"family": "binomial", "outcome": "stopped", "terms": ("age", "log1p(income)")}
COUNTS: Final[dict[str, Any]] = {"family": "negative_binomial", "outcome": "visits", "terms": ("age",)}
GLMS: Final[dict[str, Glm]] = {
    "glm": Glm(
        family="binomial",
        link="probit",
        outcome="stopped",
        terms=("age", "log1p(income)", "work"),
        missing="indicator",
        errors=Clustered(cluster="work"),
    ),
    "glm_fixed": Glm(**LOGIT, city_effects="fixed", errors="hc0"),
    "glm_concentrated": Glm(**LOGIT | {"link": "cloglog"}, city_effects="concentrated"),
    "glm_random": Glm(**LOGIT, city_effects="random"),
    "glm_firth": Glm(**LOGIT, penalty=Firth(kind="firth")),
    "glm_alpha": Glm(**COUNTS, alpha="estimate"),
    "glm_influence": Glm(**LOGIT, influence=True),
    "glm_lasso": Glm(**LOGIT, penalty=Sparse(kind="lasso", steps=3)),
}
SURVIVAL: Final[dict[str, Any]] = {"duration": "month", "event": "stopped", "terms": ("age",)}
OTHERS: Final[dict[str, Callable[..., Any]]] = {
    "cox": lambda *given: cox.plan(Cox(**SURVIVAL), *given),
    "cox_pooled": lambda *given: cox.plan(Cox(**SURVIVAL, stratify="none"), *given),
    "ordinal": partial(classes.plan, Classes(kind="ordinal", outcome="work", terms=("age",)), class_rows=5),
    "multinomial": partial(classes.plan, Classes(kind="multinomial", outcome="work", terms=("age",)), class_rows=5),
}
KINDS: Final = (*GLMS, *OTHERS)


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
    size = frame.rows // CITIES
    return [frame.take(np.arange(size * city, size * city + size)) for city in range(CITIES)]


def rows(kind: str) -> Frame:
    """Those of `work`; beside them visits, which vary more than by chance, and a month."""
    frame = work(90)
    if kind == "glm":
        return frame
    place = np.arange(frame.rows)
    known = np.ones(frame.rows, bool)
    visits = (place * 7 % 11) * (place % 3 == 0) + place % 2
    month = 1 + (place * 5 + frame.values("age").astype(int)) % 6
    columns = {**frame.columns, "visits": Column(visits, known), "month": Column(month, known)}
    variables = written(frame)["variables"] | {
        "visits": {"type": "integer", "range": [0, 20]},
        "month": {"type": "integer", "range": [1, 6]},
    }
    return Frame(dictionary(variables), columns, frame.rows)


def plan_of(kind: str, frame: Frame) -> Any:
    if kind in OTHERS:
        return OTHERS[kind](frame.dictionary, CITIES, 64, STUDY, OPEN)
    made = planned(frame, GLMS[kind], divided(frame))
    return PooledPlan(made) if GLMS[kind].city_effects == "random" else made


def made(kind: str) -> dict[str, Any]:
    frame = read(written(rows(kind)))
    fit, log = conversation(plan_of(kind, frame), divided(frame))
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
    FOLDER.mkdir(exist_ok=True)
    for each in KINDS:
        (FOLDER / f"{each}.json").write_text(json.dumps(made(each), separators=(",", ":")) + "\n", encoding="utf-8")
