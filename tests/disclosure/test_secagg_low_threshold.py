"""T05 `secagg-low-threshold`: plans under which few would be enough, or one city would stand alone."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from protocols import messages
from protocols.errors import ABORT_NUMBERS
from protocols.messages import Kind
from protocols.secagg import member
from tests.conversations.bad import planned
from tests.conversations.table import NOW, table_of
from tests.disclosure.attacked import tried
from tests.disclosure.secagg_attack import Coordinator, masked_table

IDS: Final = (1, 2, 3, 4, 5, 6)
PLANS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "one is enough": ({"threshold": 1, "dropouts": 5}, "SECAGG_THRESHOLD"),
    "two are enough": ({"threshold": 2, "dropouts": 4}, "SECAGG_THRESHOLD"),
    "half is enough": ({"threshold": 3, "dropouts": 3}, "SECAGG_THRESHOLD"),
    "t does not follow from d": ({"threshold": 4, "dropouts": 1}, "SECAGG_THRESHOLD"),
    "two cities": ({"cities": (1, 2), "threshold": 2, "dropouts": 0, "colluders": 0, "least": 2}, "SECAGG_COHORT_SIZE"),
    "one city": ({"cities": (1,), "threshold": 1, "dropouts": 0, "colluders": 0, "least": 1}, "SECAGG_COHORT_SIZE"),
    "all but one collude": ({"colluders": 5}, "SECAGG_COLLUDERS"),
    "more colluders than cities": ({"colluders": 60_000}, "SECAGG_COLLUDERS"),
    "fewer than the study's least": ({"least": 6}, "SECAGG_THRESHOLD"),
}


def offered(fields: dict[str, Any], **policy: int) -> tuple[member.State, int]:
    """City 1 gets an Open over this plan: its state, and the code that it sends."""
    table = table_of(IDS, terms=lambda terms: replace(terms, **policy))  # type: ignore[arg-type]  # policy minimums
    (_, honest), *_ = table.start()
    seat = table.cities[1]
    ((_, content),) = seat.on(planned(**fields)(table, honest), NOW)
    if messages.peek(content).kind is not Kind.ABORT:
        return seat.state, 0
    return seat.state, messages.Abort.decode(messages.body_of(content)).code


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_with_too_low_a_threshold_gets_no_key_from_any_city(name: str) -> None:
    fields, code = PLANS[name]
    state, sent = offered(fields)
    assert isinstance(state, member.Refused)
    assert sent == ABORT_NUMBERS[code]


def test_a_city_holds_its_own_minimums_against_a_plan_that_is_sound_otherwise() -> None:
    assert offered({}, least=5, least_colluders=1)[1] == 0
    assert offered({}, least=6)[1] == ABORT_NUMBERS["SECAGG_THRESHOLD"]
    assert offered({}, least_colluders=2)[1] == ABORT_NUMBERS["SECAGG_COLLUDERS"]


def test_exact_mode_takes_no_drop_out() -> None:
    table = table_of(IDS, exact=True)
    (_, honest), *_ = table.start()
    table.cities[1].on(planned(threshold=5, dropouts=1)(table, honest), NOW)
    state = table.cities[1].state
    assert isinstance(state, member.Refused)
    assert state.fault.code == "SECAGG_THRESHOLD"


def test_the_guard_taken_out_one_signature_opens_one_city_s_vector() -> None:
    """Cities that had answered a plan with t = 1 reveal to a set of one: the sum over it is the city's vector.

    Played by shares alone: what five neighbours hold of city 1 is handed over as such cities would.
    """
    table, ys, adverts, rctx = masked_table(IDS)
    coordinator = Coordinator(table)
    for city in IDS[1:]:
        state = table.cities[city].state
        assert isinstance(state, member.Masked)
        b, s = state.room.shares[0][1]
        coordinator.b.setdefault(1, {})[city] = b
        coordinator.s.setdefault(1, {})[city] = s
    left = coordinator.unmask(1, ys[1], rctx, IDS, adverts)
    assert np.array_equal(left, table.cities[1].vectors[0])


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    one = tried("secagg-low-threshold")
    assert one.good
    assert one.outcome.codes >= {"threshold", "colluders", "cohort_size"}
