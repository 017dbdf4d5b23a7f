"""Every kind of many rounds over cities in one process: integer sums modulo 2^64 in place of masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from protocols.models.interface import Ask, Done, Sums
from protocols.models.modelfile import Card, Linear, ModelFile, Reference, Trees, taken
from protocols.ring import Vector
from tests.models.data import Frame
from tests.models.federation import secure_sum

STUDY = "sha256:" + "0" * 64
MADE = date(2026, 11, 1)


@dataclass
class Log:
    asks: list[Any] = field(default_factory=list)
    vectors: list[list[Vector]] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)


def answer(planned: Any, ask: Ask, city: Frame, batch: int | None = None) -> Vector:
    """A city's vector, measured in batches of its rows."""
    size = batch or max(city.rows, 1)
    sums: Sums | None = None
    for start in range(0, max(city.rows, 1), size):
        part = city.take(np.arange(start, min(start + size, city.rows)))
        found = planned.measure(ask, part.columns.__getitem__, part.rows)
        sums = found if sums is None else sums + found
    vector: Vector = planned.encode(ask, sums)
    return vector


def conversation(planned: Any, state: Any, cities: Sequence[Frame], batch: int | None = None) -> tuple[Any, Log]:
    """The last state. Asks and states are written as JSON and read again in every round."""
    log = Log()
    while not isinstance(ask := planned.ask(state), Done):
        asked = type(ask).model_validate_json(ask.model_dump_json(), strict=True)
        vectors = [answer(planned, asked, city, batch) for city in cities]
        assert max(len(vector) for vector in vectors) <= planned.most_cells
        log.asks.append(asked)
        log.vectors.append(vectors)
        state = planned.tell(state, asked, secure_sum(vectors))
        state = type(state).model_validate_json(state.model_dump_json(), strict=True)
        log.states.append(state)
        assert len(log.asks) <= planned.most_rounds
    return state, log


def divided(frame: Frame, cities: int = 6) -> list[Frame]:
    return [frame.take(np.flatnonzero(np.arange(frame.rows) % cities == city)) for city in range(cities)]


def filed(
    frame: Frame, fit: Linear | Card | Trees, outcome: str, names: Sequence[str], reference: Reference | None = None
) -> ModelFile:
    """A model file about the rows of a frame."""
    return ModelFile(
        id="model",
        study=STUDY,
        dictionary=frame.dictionary.name,
        dictionary_digest=frame.dictionary.digest,
        variables=taken(frame.dictionary, names),
        outcome=outcome,
        as_of=MADE,
        expires=date(2027, 11, 1),
        cities=("east", "north", "west"),
        rows=frame.rows,
        fit=fit,
        reference=reference,
    )
