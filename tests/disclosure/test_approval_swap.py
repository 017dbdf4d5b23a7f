"""T35: an approval is used for another study, or a study is changed after its approval; officers' signatures are carried to another one."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator import rounds
from node.desk import nobody
from protocols.approval import read_approval
from protocols.errors import PeerError, Refusal
from protocols.study import Study, load
from tests import gates
from tests.gates import Rig
from tests.unit.test_desk import key


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Rig]:
    """Two officers of the first city said yes to a study of epsilon 2.5."""
    gates.write(tmp_path / "cities", study=gates.STUDY.replace("epsilon: 1.0", "epsilon: 2.5"))
    with gates.rig(tmp_path / "cities") as found:
        found.gate.desk = replace(found.gate.desk, present=nobody)
        for name in ("li", "wang"):
            found.gate.desk.enrol(name, key(name), found.gate.station.identity.key, found.now)
            found.gate.desk.say(found.study.digest, "approve", key(name), found.now)
        yield found


def changed(tiny: Rig) -> Study:
    """The same study with one word more in its title."""
    path = tiny.folder / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Tiny", "Tiny too"), encoding="utf-8")
    return load(path)


def offered(tiny: Rig, study: Study) -> rounds.Answers:
    return rounds.offer(tiny.present.post, study, tiny.signed(study), [1])


def test_the_study_that_was_approved_is_answered(tiny: Rig) -> None:
    assert list(offered(tiny, tiny.study).approvals) == [1]


def test_a_study_that_was_changed_waits_for_officers_again(tiny: Rig) -> None:
    offered(tiny, tiny.study)
    other = changed(tiny)
    assert [each.code for each in offered(tiny, other).refusals] == ["CITY_PENDING"]
    with pytest.raises(Refusal, match="has not approved"):
        tiny.gate.ledger.approval(other.digest, tiny.now)


def test_signatures_that_are_carried_to_another_study_count_as_none(tiny: Rig) -> None:
    other, home = changed(tiny), tiny.gate.desk.home / "requests"
    shutil.copytree(home / tiny.study.digest[7:], home / other.digest[7:])
    assert [each.code for each in offered(tiny, other).refusals] == ["CITY_PENDING"]


def test_a_signed_approval_is_of_one_study_and_of_one_city(tiny: Rig) -> None:
    file, other = offered(tiny, tiny.study).files[1], changed(tiny)
    roster = tiny.present.post.roster
    assert read_approval(file, 1, tiny.study, roster, tiny.now).study == tiny.study.digest
    with pytest.raises(Refusal, match="has not approved"):
        read_approval(file, 1, other, roster, tiny.now)
    with pytest.raises(PeerError):
        read_approval(file, 2, tiny.study, roster, tiny.now)
    with pytest.raises(Refusal, match="has expired"):
        read_approval(file, 1, tiny.study, roster, tiny.now + 30 * 86_400)
