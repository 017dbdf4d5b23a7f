"""The frozen transcript of a fit of each kind, read by `encode`, `tell` and `finalize` apart: what a city sends does not
change by accident.

Machines add in different orders, so that a cell may differ by a unit and a number by 1e-9; counts may not.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from protocols.models.fixedpoint import HEADER
from protocols.models.interface import Ask
from protocols.ring import Vector
from tests.models.data import Frame
from tests.models.federation import answer, secure_sum
from tests.models.vectors import FOLDER, KINDS, divided, plan_of, read


@dataclass(frozen=True)
class Frozen:
    """What a file holds, and the model that it is a transcript of."""

    told: Any
    frame: Frame
    model: Any

    @property
    def rounds(self) -> range:
        return range(len(self.told["rounds"]))

    def ask(self, number: int) -> Ask:
        return Ask.model_validate_json(json.dumps(self.told["rounds"][number]["ask"]))

    def state(self, number: int) -> Any:
        start = self.model.start()
        if number < 0:
            return start
        return type(start).model_validate_json(json.dumps(self.told["rounds"][number]["state"]))

    def vectors(self, number: int) -> list[Vector]:
        return [np.array(vector, np.int64) for vector in self.told["rounds"][number]["vectors"]]


@cache
def frozen(kind: str) -> Frozen:
    told = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    frame = read(told["rows"])
    return Frozen(told, frame, plan_of(kind, frame))


def alike(found: Any, given: Any) -> bool:
    if isinstance(given, dict):
        return found.keys() == given.keys() and all(alike(found[key], given[key]) for key in given)
    if isinstance(given, list):
        return len(found) == len(given) and all(alike(here, there) for here, there in zip(found, given, strict=True))
    if isinstance(given, float):
        return bool(found == pytest.approx(given, rel=1e-9, abs=1e-9))
    return bool(found == given)


@pytest.mark.parametrize("kind", KINDS)
def test_cities_send_what_they_sent(kind: str) -> None:
    """Sums of a city that solved for something of its own may differ by more than a unit, by what float64 left of it."""
    given = frozen(kind)
    for number in given.rounds:
        ask = given.ask(number)
        for place, (city, vector) in enumerate(zip(divided(given.frame), given.vectors(number), strict=True)):
            found = answer(given.model.at(place), ask, city)
            off = np.abs(found - vector)
            at = HEADER
            assert not off[:at].any()
            for block in given.model.blocks(ask):
                here = off[at : at + block.length] - 1e-12 * np.abs(vector[at : at + block.length])
                assert here.max(initial=0) <= (1 if block.digits else 0), (number, block.name)
                at += block.length


@pytest.mark.parametrize("kind", KINDS)
def test_totals_lead_where_they_led(kind: str) -> None:
    given = frozen(kind)
    for number in given.rounds:
        found = given.model.tell(given.state(number - 1), given.ask(number), secure_sum(given.vectors(number)))
        assert alike(found.model_dump(mode="json"), given.told["rounds"][number]["state"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_what_it_was(kind: str) -> None:
    given = frozen(kind)
    fit = json.loads(json.dumps(asdict(given.model.finalize(given.state(given.rounds[-1])))))
    frozen_fit = given.told["fit"]
    assert alike(fit, frozen_fit)
    for name in ("coefficient_error_bound", "se_error_bound", "rms_error"):
        if frozen_fit[name] is not None:
            assert fit[name] == pytest.approx(frozen_fit[name], rel=0.05)
    assert frozen_fit["converged"]
