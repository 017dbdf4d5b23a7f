"""A federation without a network: k cities with rows of their own, and integer sums modulo 2^64 in place of masks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.models.answer import Fit
from protocols.models.glm import Glm, GlmPlan, Limits, plan
from protocols.models.interface import Ask, Done, Sums
from protocols.models.pooling import PooledPlan
from protocols.ring import Vector, centred, residues
from tests.models.data import Frame

OPEN = Limits(column_rows=1, column_cities=1, events_per_column=1)  # what guards are not the subject of


@dataclass
class Log:
    """What was asked, and every city's vector."""

    asks: list[Ask] = field(default_factory=list)
    vectors: list[list[Vector]] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)


def secure_sum(vectors: Iterable[Vector]) -> Vector:
    """The sum in the ring, and nothing of its parts."""
    total = np.sum([residues(vector, 64) for vector in vectors], axis=0, dtype=np.uint64)
    return centred(np.asarray(total, "<u8"))


def answer(planned: Any, ask: Ask, city: Frame, batch: int | None = None) -> Vector:
    """A city's vector, measured in batches of its rows."""
    size = batch or max(city.rows, 1)
    sums: Sums | None = None
    for start in range(0, max(city.rows, 1), size):
        part = city.take(np.arange(start, min(start + size, city.rows)))
        found = planned.measure(ask, part.columns.__getitem__, part.rows)
        sums = found if sums is None else sums + found
    assert sums is not None
    vector: Vector = planned.encode(ask, sums)
    return vector


def conversation(planned: Any, cities: Sequence[Frame], batch: int | None = None, state: Any = None) -> tuple[Fit, Log]:
    """Every round of a fit, from the start or from a state. After each the state is written as JSON and read again."""
    log = Log()
    state = state or planned.start()
    while not isinstance(ask := planned.ask(state), Done):
        asked = Ask.model_validate_json(ask.model_dump_json())
        vectors = [answer(planned.at(place), asked, city, batch) for place, city in enumerate(cities)]
        assert max(len(vector) for vector in vectors) <= planned.most_cells
        log.asks.append(asked)
        log.vectors.append(vectors)
        state = planned.tell(state, asked, secure_sum(vectors))
        state = type(state).model_validate_json(state.model_dump_json())
        log.states.append(state)
        assert len(log.asks) <= 100
    return planned.finalize(state), log


def planned(frame: Frame, question: Glm, cities: Sequence[Frame], limits: Limits = OPEN) -> GlmPlan:
    most = max(64, *(city.rows for city in cities))
    return plan(question, frame.dictionary, len(cities), most, "sha256:" + "0" * 64, limits)


def fitted(
    frame: Frame, question: Glm, place: npt.NDArray[np.int64], limits: Limits = OPEN, batch: int | None = None
) -> tuple[Fit, Log]:
    """The fit over the cities that `place` (0..k-1 of each row) makes of a frame."""
    cities = divided(frame, place)
    made: Any = planned(frame, question, cities, limits)
    return conversation(PooledPlan(made) if question.city_effects == "random" else made, cities, batch)


def divided(frame: Frame, place: npt.NDArray[np.int64]) -> list[Frame]:
    return [frame.take(np.flatnonzero(place == city)) for city in range(int(place.max()) + 1)]


def estimates(fit: Fit) -> Mapping[str, tuple[float, float]]:
    """Coefficient and standard error by term."""
    assert fit.converged, fit
    return {each.term: (each.estimate, each.std_error) for each in fit.coefficients}
