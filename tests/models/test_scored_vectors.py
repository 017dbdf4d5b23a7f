"""The frozen transcripts of an evaluation, a scorecard and boosted trees, read by `encode`, `tell` and `finalize` apart."""

import json
from typing import Any

import numpy as np
import pytest

from protocols.models.fixedpoint import HEADER
from tests.models.federation import secure_sum
from tests.models.rounds import answer
from tests.models.scored_vectors import FOLDER, KINDS, divided, plain, planned
from tests.models.test_vectors import alike
from tests.models.vectors import read

FROZEN: dict[str, Any] = {kind: json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8")) for kind in KINDS}
BOUNDS = ("error_bound", "coefficient_error_bound", "se_error_bound", "rms_error")


@pytest.mark.parametrize("kind", KINDS)
def test_each_round_and_the_answer_are_what_they_were(kind: str) -> None:
    """Machines add in different orders: a cell may differ by a unit and a number by 1e-9, counts not at all."""
    frame = read(FROZEN[kind]["rows"])
    plan = planned(kind, frame)
    state = plan.start()
    asks = type(plan.ask(state))
    for each in FROZEN[kind]["rounds"]:
        ask = asks.model_validate_json(json.dumps(each["ask"]), strict=True)
        for city, frozen in zip(divided(frame), each["vectors"], strict=True):
            off = np.abs(answer(plan, ask, city) - np.array(frozen, np.int64))
            assert not off[:HEADER].any()
            at = HEADER
            for block in plan.blocks(ask):
                assert off[at : at + block.length].max(initial=0) <= (1 if block.digits else 0), block.name
                at += block.length
        found = plan.tell(state, ask, secure_sum(np.array(vector, np.int64) for vector in each["vectors"]))
        assert alike(found.model_dump(mode="json"), each["state"])
        state = type(state).model_validate_json(json.dumps(each["state"]), strict=True)
    assert alike(without(plain(plan.finalize(state))), without(FROZEN[kind]["answer"]))


def without(value: Any) -> Any:
    """Bounds are small differences of large numbers: their last digits are another machine's."""
    if isinstance(value, dict):
        return {name: without(each) for name, each in value.items() if name not in BOUNDS}
    return [without(each) for each in value] if isinstance(value, list) else value
