"""The frozen transcript of a fit, read by `encode`, `tell` and `finalize` apart: what a city sends does not change by accident.

Machines add in different orders, so that a cell may differ by a unit and a number by 1e-9; counts may not.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from protocols.models.fixedpoint import HEADER
from protocols.models.glm import Fitting
from protocols.models.interface import Ask
from protocols.ring import Vector
from tests.models.federation import answer, secure_sum
from tests.models.vectors import FILE, divided, plan_of, read

FROZEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
FRAME = read(FROZEN["rows"])
MODEL = plan_of(FRAME)
ROUNDS = range(len(FROZEN["rounds"]))


def ask_of(number: int) -> Ask:
    return Ask.model_validate_json(json.dumps(FROZEN["rounds"][number]["ask"]))


def state_of(number: int) -> Fitting:
    return Fitting.model_validate_json(json.dumps(FROZEN["rounds"][number]["state"])) if number >= 0 else MODEL.start()


def total_of(number: int) -> Vector:
    return secure_sum(np.array(vector, np.int64) for vector in FROZEN["rounds"][number]["vectors"])


def alike(found: Any, frozen: Any) -> bool:
    if isinstance(frozen, dict):
        return found.keys() == frozen.keys() and all(alike(found[key], frozen[key]) for key in frozen)
    if isinstance(frozen, list):
        return len(found) == len(frozen) and all(alike(here, there) for here, there in zip(found, frozen, strict=True))
    if isinstance(frozen, float):
        return bool(found == pytest.approx(frozen, rel=1e-9, abs=1e-9))
    return bool(found == frozen)


@pytest.mark.parametrize("number", ROUNDS)
def test_cities_send_what_they_sent(number: int) -> None:
    ask = ask_of(number)
    for city, frozen in zip(divided(FRAME), FROZEN["rounds"][number]["vectors"], strict=True):
        found = answer(MODEL, ask, city)
        off = np.abs(found - np.array(frozen, np.int64))
        at = HEADER
        assert not off[:at].any()
        for block in MODEL.blocks(ask):
            assert off[at : at + block.length].max(initial=0) <= (1 if block.digits else 0), block.name
            at += block.length


@pytest.mark.parametrize("number", ROUNDS)
def test_totals_lead_where_they_led(number: int) -> None:
    found = MODEL.tell(state_of(number - 1), ask_of(number), total_of(number))
    assert alike(found.model_dump(mode="json"), FROZEN["rounds"][number]["state"])


def test_the_answer_is_what_it_was() -> None:
    fit = json.loads(json.dumps(asdict(MODEL.finalize(state_of(len(ROUNDS) - 1)))))
    bounds = ("error_bound", "coefficient_error_bound", "se_error_bound", "rms_error")
    frozen = FROZEN["fit"]
    assert alike(fit, frozen)
    for name in bounds[1:]:
        assert fit[name] == pytest.approx(frozen[name], rel=0.01)
    assert frozen["converged"]
