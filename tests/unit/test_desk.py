"""The officers' desk: who is enrolled, what waits, and which signatures count."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.desk import DAY, MOST_SETTLED, REQUEST, Desk, Request
from protocols.approval import (
    Approval,
    OfficerSaid,
    OfficerYes,
    read_approval,
    read_said,
    sign_approval,
    sign_said,
)
from protocols.canonical import canonical, digest
from protocols.errors import ConfigError, PeerError, Refusal
from protocols.messages import Offer
from protocols.roster import Asker
from protocols.signed import FileType, public_of, sign, signature_of
from protocols.study import load
from tests import gates

NOW: Final = 1_780_000_000
STUDY: Final = digest(b"a study")
OTHER: Final = digest(b"another study")


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


CITY: Final = key("city")
ASKER: Final = Asker(id="fund-lab", role="analyst", name="研究室", identity=public_of(key("asker")).hex(), until=NOW)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With two officers, li and wang."""
    found = Desk(tmp_path / "home", "q-city", public_of(CITY))
    for name in ("li", "wang"):
        found.enrol(name, key(name), CITY, NOW)
    return found


def yes(desk: Desk, needed: int = 2, now: int = NOW) -> list[str]:
    return [each.officer for each in desk.yes(STUDY, needed, 30, now)]


# --- who is enrolled


def test_an_officer_is_enrolled_once_under_one_key(desk: Desk) -> None:
    assert desk.officers() == {"li": public_of(key("li")), "wang": public_of(key("wang"))}
    for name, other in (("li", "new"), ("zhang", "wang")):
        with pytest.raises(ConfigError, match="enrolled already"):
            desk.enrol(name, key(other), CITY, NOW)
    for name in ("", "Li", "李", "../li", "x" * 62):
        with pytest.raises(ConfigError, match="cannot name"):
            desk.enrol(name, key("new"), CITY, NOW)


def test_an_enrolment_that_the_city_did_not_sign_or_that_was_moved_counts_as_none(desk: Desk) -> None:
    folder = desk.home / "officers"
    shutil.copy(folder / "li.json", folder / "aa.json")
    payload = canonical({"city": "q-city", "key": public_of(key("eve")).hex(), "officer": "eve", "since": NOW})
    foreign = canonical({"city": "x-city", "key": public_of(key("eve")).hex(), "officer": "eve", "since": NOW})
    for file in (
        sign(FileType.ENROLMENT, payload, key("eve")),
        sign(FileType.ENROLMENT, payload, key("eve"), key("not the city")),
        sign(FileType.ENROLMENT, foreign, key("eve"), CITY),
        sign(FileType.ENROLMENT, canonical({"officer": "eve"}), key("eve"), CITY),
        sign(FileType.STUDY, payload, key("eve"), CITY),
        b"{}",
    ):
        (folder / "eve.json").write_bytes(file)
        assert list(desk.officers()) == ["li", "wang"]


def test_who_left_counts_no_longer_and_may_come_back_under_a_new_key(desk: Desk) -> None:
    desk.say(STUDY, "approve", key("li"), NOW)
    assert yes(desk) == ["li"]
    desk.remove("li")
    assert yes(desk) == []
    with pytest.raises(ConfigError, match="not enrolled"):
        desk.say(STUDY, "approve", key("li"), NOW)
    with pytest.raises(ConfigError, match="not enrolled"):
        desk.remove("li")
    desk.enrol("li", key("li again"), CITY, NOW)
    assert yes(desk) == [], "what the old key signed is not the new key's"


# --- which signatures count


def test_two_officers_are_two_people_over_one_study(desk: Desk) -> None:
    assert yes(desk) == []
    assert desk.say(STUDY, "approve", key("li"), NOW) == "li"
    desk.say(STUDY, "approve", key("li"), NOW + 1)
    assert yes(desk, now=NOW + 1) == ["li"], "the same person twice is one"
    desk.say(OTHER, "approve", key("wang"), NOW)
    assert yes(desk, now=NOW + 1) == ["li"], "another digest is another study"
    desk.say(STUDY, "approve", key("wang"), NOW)
    assert yes(desk, now=NOW + 1) == ["li", "wang"]
    assert yes(desk, needed=1, now=NOW + 1) == ["li"], "the newest, and no more than are asked for"
    assert yes(desk, needed=0, now=NOW + 1) == []


def test_a_yes_lasts_its_days_and_begins_when_it_was_signed(desk: Desk) -> None:
    desk.say(STUDY, "approve", key("li"), NOW)
    assert yes(desk, now=NOW + 30 * DAY - 1) == ["li"]
    assert yes(desk, now=NOW + 30 * DAY) == []
    assert yes(desk, now=NOW - 1) == []


def test_a_no_stands_until_the_same_officer_says_otherwise(desk: Desk) -> None:
    desk.say(STUDY, "decline", key("li"), NOW, "问题太细")
    desk.say(STUDY, "approve", key("wang"), NOW)
    no = desk.no(STUDY)
    assert no is not None
    assert (no.said.officer, no.reason) == ("li", "问题太细")
    desk.say(STUDY, "approve", key("li"), NOW + 400 * DAY)
    assert desk.no(STUDY) is None
    assert [each.reason for each in desk.opinions(STUDY)] == ["", ""]


def test_a_signature_of_another_city_study_or_hand_counts_as_none(desk: Desk) -> None:
    said = OfficerSaid(answer="approve", at=NOW, city="q-city", officer="li", study=STUDY)
    place = desk.home / "requests" / STUDY.removeprefix("sha256:") / "li.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(sign_said(said, key("li")))
    assert yes(desk) == ["li"]
    for file in (
        sign_said(said, key("wang")),
        sign_said(said.model_copy(update={"city": "x-city"}), key("li")),
        sign_said(said.model_copy(update={"study": OTHER}), key("li")),
        sign_said(said.model_copy(update={"officer": "wang"}), key("li")),
        sign_said(said.model_copy(update={"answer": "raise_caps"}), key("li")),
        sign(FileType.DECISION, canonical({"answer": "approve"}), key("li")),
        b"",
    ):
        place.write_bytes(file)
        assert yes(desk) == []


def test_caps_are_signed_for_by_the_policy_that_raises_them(desk: Desk) -> None:
    assert desk.sign_caps(STUDY, key("li"), NOW) == "li"
    assert desk.raisers(STUDY, 30, NOW) == ("li",)
    assert desk.raisers(OTHER, 30, NOW) == ()
    assert desk.raisers(STUDY, 30, NOW + 30 * DAY) == ()
    assert yes(desk) == []


# --- what waits


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    gates.write(tmp_path / "cities")
    asked = load(tmp_path / "cities" / "study.yaml")
    offer = Offer(asked.content, b"", asked.dictionary.content)
    return Request.of(offer, ASKER, gates.CITIES, NOW + DAY, NOW)


def test_a_request_is_kept_whole_with_what_became_of_it(desk: Desk, request_: Request) -> None:
    name = request_.asked().digest
    desk.record(name, request_, "pending", (), 20)
    later = request_.model_copy(update={"at": NOW + 5, "since": NOW + 5})
    desk.record(name, later, "refused", ("POLICY_KIND",), 20)
    (kept,) = desk.requests().values()
    assert kept == later.model_copy(update={"since": NOW, "state": "refused", "codes": ("POLICY_KIND",)})
    assert kept.asked() == request_.asked()
    (desk.home / "requests" / name[7:] / REQUEST).write_bytes(b"{}")
    assert desk.requests() == {}


def test_so_many_wait_and_no_more_until_one_is_decided_or_its_offer_ends(desk: Desk, request_: Request) -> None:
    for name in (STUDY, OTHER):
        desk.record(name, request_, "pending", (), 2)
    desk.record(OTHER, request_, "pending", (), 2)  # the same again takes no second place
    third = digest(b"a third")
    with pytest.raises(Refusal, match=r"limits\.pending_studies"):
        desk.record(third, request_, "pending", (), 2)
    desk.record(third, request_, "approved", (), 2)
    desk.record(STUDY, request_, "refused", (), 2)
    desk.record(third, request_, "pending", (), 2)
    late = request_.model_copy(update={"at": NOW + 2 * DAY, "until": NOW + 3 * DAY})
    desk.record(digest(b"a fourth"), late, "pending", (), 2)


def test_settled_requests_are_forgotten_oldest_first_and_waiting_ones_are_not(desk: Desk, request_: Request) -> None:
    desk.record(STUDY, request_, "pending", (), 2)
    settled = [digest(b"%d" % number) for number in range(MOST_SETTLED + 2)]
    template = desk.home / "requests" / STUDY[7:] / REQUEST
    for number, name in enumerate(settled[:-2]):
        place = desk.home / "requests" / name[7:] / REQUEST
        place.parent.mkdir()
        kept = request_.model_copy(update={"since": NOW + number, "state": "refused"})
        place.write_bytes(canonical(kept.model_dump(mode="json")))
    desk.say(settled[0], "decline", key("li"), NOW, "不")
    for number, name in enumerate(settled[-2:], MOST_SETTLED):
        desk.record(name, request_.model_copy(update={"since": NOW + number}), "refused", (), 2)
    assert set(desk.requests()) == {STUDY, *settled[2:]}
    assert not (desk.home / "requests" / settled[0][7:]).exists()
    assert template.is_file()


def test_a_disk_that_is_full_is_said_and_nothing_half_is_left(desk: Desk, request_: Request) -> None:
    (desk.home / "requests").write_bytes(b"no folder")
    with pytest.raises(Refusal, match="cannot be written"):
        desk.record(STUDY, request_, "pending", (), 20)


# --- what the approval that leaves says of them


def approval(*officers: OfficerYes, decided: str = "officers") -> Approval:
    values = {"city": "east", "study": STUDY, "dictionary": STUDY, "policy": STUDY, "cannot": (), "min_cell": 10}
    words = {**values, "snapshot": "2022-05-31", "issued": NOW, "expires": NOW + DAY, "decided": decided}
    words["officers"] = [each.model_dump() for each in officers]
    return Approval.model_validate_json(canonical({**words, "cannot": []}))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[gates.Rig]:
    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as found:
        yield found


def test_whoever_reads_an_approval_checks_what_officers_signed(desk: Desk, rig: gates.Rig) -> None:
    here = replace(desk, city="east", home=desk.home / "east")
    for name in ("li", "wang"):
        here.enrol(name, key(name), CITY, NOW)
        here.say(rig.study.digest, "approve", key(name), NOW)
    li, wang = here.yes(rig.study.digest, 2, 30, NOW)
    meant = {"study": rig.study.digest, "dictionary": rig.study.dictionary.digest, "expires": rig.now + DAY}

    def read(*officers: OfficerYes, decided: str = "officers") -> Approval:
        signed = sign_approval(
            approval(*officers, decided=decided).model_copy(update=meant), rig.gate.station.identity.key
        )
        return read_approval(signed, 1, rig.study, rig.present.post.roster, rig.now)

    assert read(li, wang).officers == (li, wang)
    assert read(decided="rule").officers == ()
    twice = wang.model_copy(update={"officer": "li"})
    forged = wang.model_copy(update={"at": wang.at + 1})
    for officers in ((), (li, li), (li, twice), (li, forged), (li.model_copy(update={"key": wang.key}),)):
        with pytest.raises(PeerError, match="does not hold"):
            read(*officers)
    with pytest.raises(PeerError, match="does not hold"):
        read(li, decided="rule")


def test_a_city_can_name_codes_of_what_the_study_reads_and_write_nothing_else(rig: gates.Rig) -> None:
    meant = {"study": rig.study.digest, "dictionary": rig.study.dictionary.digest, "expires": rig.now + DAY}

    def read(**unused: tuple[str, ...]) -> Approval:
        said = approval(decided="rule").model_copy(update={**meant, "unused": unused})
        signed = sign_approval(said, rig.gate.station.identity.key)
        return read_approval(signed, 1, rig.study, rig.present.post.roster, rig.now)

    (name, *_) = (name for name in rig.study.reads() if rig.study.dictionary.type_of(name) == "category")
    (code, *others) = rig.study.dictionary.codes(name)
    assert read(**{name: (code,)}).unused == {name: (code,)}
    for wrong in ({name: ("call 555",)}, {name: ()}, {name: (code, code)}, {"call_555": (code,)}):
        with pytest.raises(PeerError) as no:
            read(**wrong)
        assert no.value.code == "SIGNED_SHAPE"
    assert others


def test_a_decision_of_two_hands_or_of_another_shape_is_no_decision() -> None:
    said = OfficerSaid(answer="approve", at=NOW, city="q-city", officer="li", study=STUDY)
    payload = canonical(said.model_dump(mode="json"))
    with pytest.raises(PeerError, match="not a signed file"):
        signature_of(sign(FileType.DECISION, payload, key("li"), key("wang")), FileType.DECISION)
    with pytest.raises(PeerError, match="not a signed file"):
        read_said(sign(FileType.DECISION, canonical({}), key("li")), public_of(key("li")))
