"""T52 `inflate-input`: a city inflates its input."""

import numpy as np

from protocols.entropy import seeded
from protocols.messages import Kind
from protocols.secagg import member
from simulations import attacks
from simulations.attacks.parties import World, again, seated
from tests.disclosure.attacked import tried

NAME = "inflate-input"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_it_is_told_as_not_prevented() -> None:
    one = tried(NAME)
    assert not one.prevented
    (record,) = attacks.records([one], "en")
    assert record["repelled"] == "not prevented, detectable"
    assert "不" in attacks.DETECTABLE["zh"] or "未阻止" in attacks.line(one, "zh")


def test_honest_code_refuses_what_is_beyond_the_bound() -> None:
    """V2, at the limit and one beyond."""
    table = seated(World(), seeded("inflated"), 4, cells=2)
    most = table.plan.bound + table.plan.support
    for cell, code in ((most, 0), (-most, 0), (most + 1, 1), (-most - 1, 1)):
        again_ = again(table, seeded("inflated", cell))
        again_.seats[3].answer = lambda _ask, cell=cell: np.array([cell, 0], dtype=np.int64)  # type: ignore[misc]  # bound here
        again_.finish(again_.until(Kind.DELIVER))
        assert isinstance(again_.seats[3].state, member.Refused) == bool(code)
