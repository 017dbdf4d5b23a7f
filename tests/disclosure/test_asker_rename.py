"""T65: an asker takes a new name, or another's, to get a fresh cap or another's answer. A new key of the same asker is no new cap."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator import rounds
from protocols.approval import sign_study
from protocols.errors import Refusal
from protocols.roster import sign_roster
from protocols.signed import public_of
from protocols.study import load
from tests import gates
from tests.gates import Rig
from tests.ledgers import NOW, claim, opened, policy
from tests.unit.test_desk import key


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Rig]:
    gates.write(tmp_path / "cities")
    askers = "- {id: analyst, role: analyst, name: A}\n- {id: regulator, role: regulator, name: B}\n"
    (tmp_path / "cities" / "askers.yaml").write_text(askers, encoding="utf-8")
    with gates.rig(tmp_path / "cities") as found:
        yield found


def test_a_study_in_anothers_name_is_refused_and_holds_nothing(tiny: Rig) -> None:
    path = tiny.folder / "study.yaml"
    for name in ("regulator", "somebody-new"):
        path.write_text(gates.STUDY.replace("asker: analyst", f"asker: {name}"), encoding="utf-8")
        study = load(path)
        for signed in (tiny.present.signed, sign_study(study, key("a key of one's own")), b""):
            answers = rounds.offer(tiny.present.post, study, signed, tiny.present.ids)
            assert {each.reason for each in answers.missing} == {"declined:APPROVAL_ASKER"}
    view = tiny.gate.ledger.view(tiny.now)
    assert (dict(view.approvals), view.reservations, tiny.gate.desk.requests()) == ({}, (), {})
    assert rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, [1]).approvals, "its own name is its own"


def test_a_new_key_of_the_same_asker_is_accepted_and_the_old_one_no_longer(tiny: Rig) -> None:
    new, entries = key("new key"), tiny.present.post.roster.entries
    askers = [
        each.model_copy(update={"identity": public_of(new).hex()}) if each.id == "analyst" else each
        for each in entries.askers
    ]
    roster = sign_roster(entries.model_copy(update={"askers": tuple(askers)}), key("root"))
    tiny.gate.station = replace(tiny.gate.station, roster=roster)
    tiny.present.post.roster = roster
    old = rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, [1])
    assert [each.reason for each in old.missing] == ["declined:APPROVAL_ASKER"]
    assert rounds.offer(tiny.present.post, tiny.study, sign_study(tiny.study, new), [1]).approvals


def test_the_cap_goes_by_the_id_whatever_the_study_is_called(tmp_path: Path) -> None:
    rules = policy(tmp_path, "dp: {caps: {per_asker_year: {epsilon: 1.2}}}\n")
    with opened(tmp_path, rules) as ledger:
        ledger.reserve(claim(1, study="one"), now=NOW)
        with pytest.raises(Refusal) as no:
            ledger.reserve(claim(2, study="another title"), now=NOW)
        assert no.value.code == "BUDGET_ASKER"
        ledger.reserve(claim(3, study="another title", asker="somebody-else"), now=NOW)
