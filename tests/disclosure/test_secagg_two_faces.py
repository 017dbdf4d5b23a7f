"""T01 `secagg-two-faces`: the coordinator asks a city's neighbours for both of its roles, survivor and lost."""

import numpy as np
import pytest

from protocols import messages
from protocols.entropy import seeded
from protocols.errors import ABORT_NUMBERS
from protocols.secagg import member
from simulations.attacks import flower_two_faces
from simulations.bench import flower
from tests.conversations.table import Table
from tests.disclosure.attacked import tried
from tests.disclosure.secagg_attack import Coordinator, answer, masked_table

IDS = (1, 2, 3, 4, 5, 6)
TARGET = 6


def attack(table: Table, rctx: bytes, *, one_set_per_round: bool) -> tuple[Coordinator, list[int]]:
    """Ask every city to confirm and reveal with the target in, then with the target out. The codes of all refusals.

    Without the guard (S3 and the table) the second set meets the state that the first one met: a city that was restored from a copy.
    """
    coordinator, codes = Coordinator(table), list[int]()
    states = {city: seat.state for city, seat in table.cities.items()}
    for u3 in (IDS, IDS[:-1]):
        confirms: dict[int, bytes] = {}
        after: dict[int, member.State] = {}
        for city in u3:
            survivors = coordinator.says(city, messages.Survivors(rctx, u3))
            after[city], sent = answer(table.cities[city], states[city], survivors)
            body = coordinator.takes(city, sent)
            if isinstance(body, messages.Confirm):
                confirms[city] = sent[0][1]
            elif isinstance(body, messages.Abort):
                codes.append(body.code)
        listed = tuple(confirms[city] for city in sorted(confirms))
        for city in confirms:
            content = coordinator.says(city, messages.Confirms(rctx, listed))
            after[city], sent = answer(table.cities[city], after[city], content)
            coordinator.takes(city, sent)
        if one_set_per_round:
            states |= after
    return coordinator, codes


@pytest.mark.parametrize("exact", [False, True])
def test_a_city_that_signed_one_set_never_gives_the_other_role(exact: bool) -> None:
    table, ys, adverts, rctx = masked_table(IDS, exact=exact)
    coordinator, codes = attack(table, rctx, one_set_per_round=True)
    assert codes == [ABORT_NUMBERS["SECAGG_OUT_OF_ORDER"]] * 5
    assert not coordinator.s
    left = coordinator.unmask(TARGET, ys[TARGET], rctx, IDS, adverts)
    assert np.mean(left == table.cities[TARGET].vectors[0]) < 0.5


def test_the_guard_taken_out_the_attack_reads_the_city_s_vector() -> None:
    table, ys, adverts, rctx = masked_table(IDS)
    coordinator, codes = attack(table, rctx, one_set_per_round=False)
    assert codes == []
    left = coordinator.unmask(TARGET, ys[TARGET], rctx, IDS, adverts)
    assert np.array_equal(left, table.cities[TARGET].vectors[0])


def test_the_lists_of_the_coordinator_do_not_choose_the_role() -> None:
    """It asks half of the cities with the target in, half with the target out: neither half reaches t, and no share leaves."""
    table, _, _, rctx = masked_table(IDS)
    coordinator, codes, confirms = Coordinator(table), set[int](), {}
    states: dict[int, member.State] = {}
    for city in IDS[:-1]:
        u3 = IDS if city % 2 else IDS[:-1]
        survivors = coordinator.says(city, messages.Survivors(rctx, u3))
        states[city], sent = answer(table.cities[city], table.cities[city].state, survivors)
        confirms[city] = sent[0][1]
    for city, state in states.items():
        for listed in (tuple(confirms.values()), tuple(c for i, c in confirms.items() if i % 2 == city % 2)):
            _, sent = answer(table.cities[city], state, coordinator.says(city, messages.Confirms(rctx, listed)))
            body = coordinator.takes(city, sent)
            assert isinstance(body, messages.Abort)
            codes.add(body.code)
    assert codes == {ABORT_NUMBERS["SECAGG_SPLIT_SURVIVORS"], ABORT_NUMBERS["SECAGG_TOO_FEW"]}
    assert not coordinator.b
    assert not coordinator.s


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    one = tried("secagg-two-faces")
    assert one.good
    assert one.outcome.codes >= {"split_survivors", "out_of_order"}


# A control of another product: its extra is large, and CI installs what ours needs. With requirements/all.txt this runs.
@pytest.mark.skipif(not flower.available(), reason="needs the extra `flower`, which CI does not install")
def test_the_same_attack_reads_a_client_of_flower_s_secagg_plus() -> None:
    """Both lists with the target in them: every cell, up to the quantisation."""
    outcome = flower_two_faces.run(seeded("flower"))
    assert outcome.measured == flower_two_faces.CELLS
