"""A newer roster comes to cities by wire: link by link, and only what their root signed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import rounds
from coordinator.renewal import spread
from node.audit import Event
from node.held import ROSTER
from node.identity import identity as key_in
from protocols import messages
from protocols.messages import Kind, Matter
from protocols.roster import DAY, Roster, self_declared, sign_roster
from simulations import world
from tests import gates
from tests.conversations.table import ROOT, ROOT_KEY
from tests.conversations.test_roster_changes import lines_of, newer
from tests.gates import Rig, nothing


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as made:
        yield made


def chain_of(rig: Rig, length: int) -> list[Roster]:
    """The roster of the world and those that follow from it; the newest is the coordinator's."""
    chain = [rig.present.post.roster]
    while len(chain) < length:
        rig.present.post.roster = newer(rig)
        chain.append(rig.present.post.roster)
    return chain


def test_cities_that_are_behind_are_brought_to_the_newest_and_a_study_goes_on_from_there(rig: Rig) -> None:
    """One holds the newest, one the one before, one is two behind; offers under the newest are read by all of them afterwards."""
    first, second, third = chain_of(rig, 3)
    rig.gates["north"].renew(second, rig.now)
    rig.gates["west"].renew(second, rig.now)
    rig.gates["west"].renew(third, rig.now)
    before = rounds.offer(rig.present.post, rig.study, rig.present.signed, (1, 2, 3))
    assert sorted(before.approvals) == [3]
    assert spread(rig.present.post, (first, second, third), (1, 2, 3)) == {1: 3, 2: 3, 3: 3}
    for gate in rig.gates.values():
        assert gate.station.roster.file == third.file
    for city in ("east", "north"):
        home = rig.gates[city].station.home
        assert self_declared((home / ROSTER).read_bytes()).entries.version == 3
    answers, agreement = rig.approved()
    assert sorted(answers.approvals) == [1, 2, 3]
    assert rounds.summed(rig.present.post, agreement, answers, {}).opened.survivors == (1, 2, 3)


def test_a_city_that_does_not_answer_is_told_from_one_that_does(rig: Rig) -> None:
    chain = chain_of(rig, 2)
    rig.present.link.lost.add("north")
    assert spread(rig.present.post, chain, (1, 2, 3)) == {1: 2, 2: 0, 3: 2}


def following(rig: Rig, **changes: Any) -> Roster:
    """What a root signs that follows from the roster of the world but for some of its entries; nobody has accepted it."""
    held = rig.present.post.roster
    root = key_in(world.coordinator_home(rig.folder, rig.folder / "homes") / "root", nothing)
    update = {"version": held.entries.version + 1, "previous": "sha256:" + held.sha256.hex(), **changes}
    return sign_roster(held.entries.model_copy(update=update), root)


@pytest.mark.parametrize("code", ["ROSTER_ROOT", "ROSTER_VERSION", "ROSTER_CHAIN", "ROSTER_EXPIRED", "SIGNED_TYPE"])
def test_what_does_not_follow_is_refused_and_the_answer_says_what_is_held(rig: Rig, code: str) -> None:
    held = rig.gate.station.roster
    stranger = held.entries.model_copy(update={"root": ROOT_KEY.hex()})
    file = {
        "ROSTER_ROOT": sign_roster(stranger, ROOT).file,
        "ROSTER_VERSION": following(rig, version=3).file,
        "ROSTER_CHAIN": following(rig, previous="sha256:" + "0" * 64).file,
        "ROSTER_EXPIRED": following(rig, valid_until=rig.now - DAY).file,
        "SIGNED_TYPE": rig.present.signed,
    }[code]
    reply = rig.gate.answer(rig.sealed(messages.RosterFile(file), Matter(rig.now + 60)), rig.now)
    assert reply is not None
    assert messages.peek(reply).kind is Kind.ROSTER
    assert bytes(messages.body_of(reply)) == held.file
    assert rig.gate.station.roster is held
    assert lines_of(rig, Event.REFUSED) == {(code,)}


def test_the_roster_that_is_held_is_no_change(rig: Rig) -> None:
    held = rig.gate.station.roster
    reply = rig.gate.answer(rig.sealed(messages.RosterFile(held.file), Matter(rig.now + 60)), rig.now)
    assert reply is not None
    assert bytes(messages.body_of(reply)) == held.file
    assert rig.gate.station.roster is held
    assert lines_of(rig, Event.REFUSED) == set()


def test_spreading_ends_where_a_city_refuses(rig: Rig) -> None:
    """Its clock says that the newest is over: it stays where it is, and says so."""
    chain = [rig.present.post.roster, following(rig, valid_until=rig.now - DAY)]
    rig.present.post.roster = chain[1]
    assert spread(rig.present.post, chain, (1,)) == {1: 1}
