"""A federation without a network: k cities with rows of their own, and integer sums modulo 2^64 in place of masks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from protocols.models.answer import Fit
from protocols.models.glm import Fitting, Glm, GlmPlan, Limits, plan
from protocols.models.interface import Ask, Done, Sums
from protocols.ring import Vector, centred, residues
from tests.models.data import Frame

OPEN = Limits(column_rows=1, column_cities=1, events_per_column=1)  # what guards are not the subject of


@dataclass
class Log:
    """What was asked, and every city's vector."""

    asks: list[Ask] = field(default_factory=list)
    vectors: list[list[Vector]] = field(default_factory=list)
    states: list[Fitting] = field(default_factory=list)


def secure_sum(vectors: Iterable[Vector]) -> Vector:
    """The sum in the ring, and nothing of its parts."""
    total = np.sum([residues(vector, 64) for vector in vectors], axis=0, dtype=np.uint64)
    return centred(np.asarray(total, "<u8"))


def answer(planned: GlmPlan, ask: Ask, city: Frame, batch: int | None = None) -> Vector:
    """A city's vector, measured in batches of its rows."""
    size = batch or max(city.rows, 1)
    sums: Sums | None = None
    for start in range(0, max(city.rows, 1), size):
        part = city.take(np.arange(start, min(start + size, city.rows)))
        found = planned.measure(ask, part.columns.__getitem__, part.rows)
        sums = found if sums is None else sums + found
    assert sums is not None
    return planned.encode(ask, sums)


def conversation(
    planned: GlmPlan, cities: Sequence[Frame], batch: int | None = None, state: Fitting | None = None
) -> tuple[Fit, Log]:
    """Every round of a fit, from the start or from a state. After each the state is written as JSON and read again."""
    log = Log()
    state = state or planned.start()
    while not isinstance(ask := planned.ask(state), Done):
        asked = Ask.model_validate_json(ask.model_dump_json())
        vectors = [answer(planned, asked, city, batch) for city in cities]
        assert max(len(vector) for vector in vectors) <= planned.most_cells
        log.asks.append(asked)
        log.vectors.append(vectors)
        state = planned.tell(state, asked, secure_sum(vectors))
        state = Fitting.model_validate_json(state.model_dump_json())
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
    cities = [frame.take(np.flatnonzero(place == city)) for city in range(int(place.max()) + 1)]
    return conversation(planned(frame, question, cities, limits), cities, batch)


def estimates(fit: Fit) -> Mapping[str, tuple[float, float]]:
    """Coefficient and standard error by term."""
    assert fit.converged, fit
    return {each.term: (each.estimate, each.std_error) for each in fit.coefficients}
