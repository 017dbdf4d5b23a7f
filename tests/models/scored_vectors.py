"""One transcript each of an evaluation, a scorecard and boosted trees. `python -m tests.models.scored_vectors` writes them.

Three cities of 120 rows; every ask, every city's vector, every state, and the answer.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocols.models import evaluate, gbdt, scorecard
from protocols.models.modelfile import Linear, Reference, Weight
from tests.models.data import Frame
from tests.models.rounds import STUDY, conversation, filed
from tests.models.test_scorecard import workers
from tests.models.vectors import read, written

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "models"
KINDS: Final = ("evaluate", "scorecard", "gbdt")
ROWS: Final = 120
NAMES: Final = ("income", "age", "work", "stopped")


def rows() -> Frame:
    """Of the workers of the tests, so that every code and some missing values are there."""
    found = workers().take(np.arange(3 * ROWS))
    return Frame(found.dictionary, {name: found.columns[name] for name in NAMES}, found.rows)


def divided(frame: Frame) -> list[Frame]:
    return [frame.take(np.arange(ROWS * city, ROWS * city + ROWS)) for city in range(3)]


def planned(kind: str, frame: Frame) -> Any:
    given = (frame.dictionary, 3, ROWS, STUDY)
    if kind == "scorecard":
        edges: dict[str, tuple[float, ...]] = {
            "income": (4000.0, 6000.0, 9000.0, 14000.0),
            "age": (26.0, 34.0, 42.0, 50.0),
        }
        return scorecard.plan(
            scorecard.Scorecard(outcome="stopped", features=("income", "age", "work"), bins=edges), *given
        )
    if kind == "gbdt":
        edges = {"income": (4000.0, 6000.0, 9000.0), "age": (30.0, 45.0)}
        asked = gbdt.Gbdt(outcome="stopped", features=("income", "age", "work"), bins=edges, trees=2, depth=2)
        return gbdt.plan(asked, *given, least_rows=20)
    fit = Linear(
        family="binomial",
        link="probit",
        terms=("age", "work"),
        weights=(
            Weight(term="intercept", estimate=0.5, std_error=0.1),
            Weight(term="age", columns=("age",), estimate=-0.02, std_error=0.01),
            Weight(term="work[shop]", columns=("work[shop]",), estimate=-0.4, std_error=0.1),
        ),
        covariance=((0.01, 0.0, 0.0), (0.0, 0.0001, 0.0), (0.0, 0.0, 0.01)),
        error_bound=1e-12,
    )
    reference = Reference(grid=20, cuts=(6, 8, 10), counts=(40, 30, 20, 10))
    model = filed(frame, fit, "stopped", ["age", "work"], reference)
    question = evaluate.Evaluate(model="model", by=("work",), bins=20, cut=0.4, slope=True)
    return evaluate.plan(question, *given, model=model)


def made(kind: str) -> dict[str, Any]:
    frame = read(written(rows()))
    plan = planned(kind, frame)
    state, log = conversation(plan, plan.start(), divided(frame))
    rounds = [
        {
            "ask": ask.model_dump(mode="json"),
            "vectors": [v.tolist() for v in vectors],
            "state": state.model_dump(mode="json"),
        }
        for ask, vectors, state in zip(log.asks, log.vectors, log.states, strict=True)
    ]
    return {"rows": written(frame), "rounds": rounds, "answer": plain(plan.finalize(state))}


def plain(answer: Any) -> Any:
    """An answer as JSON."""
    return json.loads(json.dumps(asdict(answer), default=lambda record: record.model_dump(mode="json")))


if __name__ == "__main__":
    for name in KINDS:
        text = json.dumps(made(name), separators=(",", ":"), ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
