"""R3, R4, R5, R7, R8: the gate, message by message: what is answered, what is refused, what is dropped, and what the books say afterwards.

Rules R3 (fixed shape), R4 (no refusal depends on rows in mode dp), R5 (spend first), R7 (a fault is named, never detailed) and R8 (pinned
peers) of the threat model.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator import rounds
from node import desk, evidence, gate, ledger
from node.audit import Event, lines
from node.identity import identity
from protocols import messages
from protocols.approval import sign_study
from protocols.attestation import Attestation, epsilon_text, read_attestation, sign_attestation
from protocols.entropy import seeded
from protocols.errors import HpfedError, IncompleteError, Refusal, abort_number
from protocols.messages import Kind, Plan, open_envelope, seal
from protocols.plan import agree
from protocols.roster import COORDINATOR
from protocols.secagg import collector
from protocols.study import load
from simulations import world
from tests import gates
from tests.gates import Rig


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Rig]:
    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as open_rig:
        yield open_rig


def exact_rig(folder: Path, policy: str, rows: int = 12) -> Any:
    gates.write(folder, rows)
    for city in gates.CITIES:
        (folder / city / "policy.yaml").write_text(policy, encoding="utf-8")
    return gates.rig(folder, study=load(folder / "study.yaml").in_exact_mode())


LOOSE = "policy: 1\nkinds: {exact: all}\nexact: {min_cell: 1, min_cohort: 5, min_pooled: 1}\n"


def reply_to(tiny: Rig, content: bytes) -> messages.Envelope:
    reply = tiny.gate.answer(content, tiny.now)
    assert reply is not None
    return open_envelope(
        reply, me=COORDINATOR, roster=tiny.present.post.roster, now=tiny.now, in_reply_to=sha256(content).digest()
    )


def refused(tiny: Rig, content: bytes) -> tuple[str, ...]:
    answer = reply_to(tiny, content)
    assert answer.header.kind is Kind.REFUSAL
    return messages.Refusal(answer.body).reasons().codes


def aborted(tiny: Rig, content: bytes) -> int:
    answer = reply_to(tiny, content)
    assert answer.header.kind is Kind.ABORT
    return messages.Abort.decode(answer.body).code


def audit(tiny: Rig, city: str = "east") -> list[Any]:
    return list(lines(tiny.gates[city].station.home / ledger.AUDIT))


def offer(tiny: Rig, **changed: bytes) -> bytes:
    body = messages.Offer(tiny.study.content, tiny.present.signed, tiny.study.dictionary.content)
    return tiny.sealed(replace(body, **changed), tiny.matter())


def opening(tiny: Rig, plan: Plan, ack: bytes = b"") -> bytes:
    return tiny.sealed(messages.Open(plan.encode(), ack), tiny.about(plan))


# --- what opens, and what does not


def test_a_ping_comes_back(tiny: Rig) -> None:
    answer = reply_to(tiny, tiny.sealed(messages.Ping(b"p" * 32), messages.Matter(tiny.now + 60)))
    assert bytes(answer.body) == b"p" * 32


def test_what_does_not_open_is_dropped_with_an_audit_line(tiny: Rig) -> None:
    content = bytearray(offer(tiny))
    content[-1] ^= 1
    assert tiny.gate.answer(bytes(content), tiny.now) is None
    assert tiny.gate.answer(b"noise", tiny.now) is None
    assert [line.codes for line in audit(tiny) if line.event is Event.DROPPED] == [
        ("ENVELOPE_SIGNATURE",),
        ("ENVELOPE_SIZE",),
    ]


def test_the_same_request_gets_the_same_bytes_and_is_decided_once(tiny: Rig) -> None:
    content = offer(tiny)
    first = tiny.gate.answer(content, tiny.now)
    assert first is not None
    assert tiny.gate.answer(content, tiny.now) == first
    assert len([line for line in audit(tiny) if line.event is Event.DECIDED]) == 1


def test_a_city_has_nothing_to_say_to_another_and_cannot_use_up_the_coordinator_s_numbers(tiny: Rig) -> None:
    """Signed by a city of the roster, and to this one: it does not open, whatever it is."""
    other = tiny.gates["north"].station.identity
    matter, bodies = messages.Matter(tiny.now + 60), (messages.Ping(b"a" * 32), messages.Abort(1, 0), messages.Cancel())
    for body in bodies:
        content = tiny.sealed(body, matter, seq=2**53 - 1, identity=other)
        assert tiny.gate.answer(content, tiny.now) is None
    assert [line.codes for line in audit(tiny) if line.event is Event.DROPPED] == [("ENVELOPE_FROM",)] * len(bodies)
    assert tiny.gate.answer(tiny.sealed(messages.Ping(b"b" * 32), matter), tiny.now)


def test_a_message_number_counts_once(tiny: Rig) -> None:
    matter = messages.Matter(tiny.now + 60)
    assert tiny.gate.answer(tiny.sealed(messages.Ping(b"a" * 32), matter, seq=10**15), tiny.now)
    assert tiny.gate.answer(tiny.sealed(messages.Ping(b"b" * 32), matter, seq=10**15), tiny.now) is None


def test_books_that_cannot_be_written_let_nothing_out(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise Refusal("LEDGER_UNAVAILABLE")

    monkeypatch.setattr(tiny.gate.ledger.audit, "append", full)
    assert tiny.gate.answer(offer(tiny), tiny.now) is None


# --- offers


def test_an_offer_of_an_enrolled_asker_is_approved_and_the_same_again(tiny: Rig) -> None:
    first, again = reply_to(tiny, offer(tiny)), reply_to(tiny, offer(tiny))
    assert first.header.kind is Kind.APPROVAL
    assert bytes(first.body) == bytes(again.body)
    assert len(tiny.gate.ledger.view(tiny.now).approvals) == 1


def test_a_study_that_its_asker_did_not_sign_is_refused_and_an_earlier_yes_stands(tiny: Rig) -> None:
    assert reply_to(tiny, offer(tiny)).header.kind is Kind.APPROVAL
    forged = tiny.present.signed.replace(b"sig", b"gis", 1)
    assert refused(tiny, offer(tiny, signed=forged)) == ("APPROVAL_ASKER",)
    assert tiny.gate.ledger.approval(tiny.study.digest, tiny.now)


def test_a_study_under_another_name_than_its_own_is_refused(tiny: Rig) -> None:
    body = messages.Offer(tiny.study.content, tiny.present.signed, tiny.study.dictionary.content)
    other = replace(tiny.matter(), study=b"x" * 32)
    assert refused(tiny, tiny.sealed(body, other)) == ("ENVELOPE_STUDY",)


def test_bytes_that_are_no_study_are_refused(tiny: Rig) -> None:
    assert refused(tiny, offer(tiny, study=b"{}")) == ("STUDY_INVALID",)


def test_a_study_on_another_dictionary_is_refused(tiny: Rig) -> None:
    tiny.gate.station = replace(tiny.gate.station, dictionary="sha256:" + "0" * 64)
    assert refused(tiny, offer(tiny)) == ("SNAPSHOT_DICTIONARY",)


def test_a_city_without_a_snapshot_of_the_date_says_so(tiny: Rig) -> None:
    tiny.gate.station = replace(tiny.gate.station, home=tiny.folder / "nowhere")
    assert refused(tiny, offer(tiny)) == ("SNAPSHOT_DATE",)


def test_a_study_that_waits_for_an_officer_is_pending(tiny: Rig) -> None:
    tiny.gate.policy = replace(tiny.gate.policy, file=tiny.gate.policy.file.model_copy(update={"approve": ()}))
    tiny.gate.desk = replace(tiny.gate.desk, present=desk.nobody)
    assert reply_to(tiny, offer(tiny)).header.kind is Kind.PENDING
    assert not tiny.gate.ledger.view(tiny.now).approvals
    kept = tiny.gate.desk.requests()[tiny.study.digest]
    assert (kept.state, kept.asker, kept.role, kept.cities) == ("pending", "analyst", "analyst", gates.CITIES)
    assert kept.asked().content == tiny.study.content


def test_an_officers_no_takes_back_a_yes_also_before_the_next_offer(tiny: Rig) -> None:
    _, agreement = tiny.approved()
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    tiny.gate.desk.enrol("li", key, tiny.gate.station.identity.key, tiny.now)
    tiny.gate.desk.say(tiny.study.digest, "decline", key, tiny.now, "口径不清")
    assert aborted(tiny, opening(tiny, tiny.plan(agreement))) == abort_number("APPROVAL_DECLINED")
    view = tiny.gate.ledger.view(tiny.now)
    assert not view.approvals
    assert not view.reservations
    assert view.declined[tiny.study.digest].reason == "口径不清"
    assert refused(tiny, offer(tiny)) == ("APPROVAL_DECLINED",)
    assert tiny.gate.desk.requests()[tiny.study.digest].codes == ("APPROVAL_DECLINED",)
    said = messages.Refusal(reply_to(tiny, offer(tiny)).body).reasons()
    assert (said.codes, said.limits) == (("APPROVAL_DECLINED",), {}), "the reason stays in the city"


def test_a_desk_that_is_full_is_busy_and_says_so_to_the_asker(tiny: Rig) -> None:
    file = tiny.gate.policy.file
    limits = file.limits.model_copy(update={"pending_studies": 0})
    tiny.gate.policy = replace(tiny.gate.policy, file=file.model_copy(update={"approve": (), "limits": limits}))
    tiny.gate.desk = replace(tiny.gate.desk, present=desk.nobody)
    assert refused(tiny, offer(tiny)) == ("BUSY",)
    assert tiny.gate.desk.requests()[tiny.study.digest].state == "refused"


def test_a_policy_that_changed_and_still_says_yes_gives_a_new_approval(tiny: Rig) -> None:
    first = reply_to(tiny, offer(tiny))
    file = tiny.gate.policy.file
    tiny.gate.policy = replace(tiny.gate.policy, file=file.model_copy(update={"retries": 1}))
    tiny.gate.ledger.close()
    again = tiny.gate.station
    tiny.gate.ledger = ledger.Ledger.open(
        again.home / ledger.FILE,
        policy=tiny.gate.policy,
        city="east",
        city_key=again.identity.public,
        now=tiny.now,
        entropy=seeded("reopened"),
    )
    assert bytes(reply_to(tiny, offer(tiny)).body) != bytes(first.body)
    tiny.gate.ledger.close()


def test_a_policy_that_changed_is_asked_again_and_its_no_takes_the_yes_back(tiny: Rig) -> None:
    assert reply_to(tiny, offer(tiny)).header.kind is Kind.APPROVAL
    file = tiny.gate.policy.file
    denied = file.model_copy(update={"variables": file.variables.model_copy(update={"deny": ("sex",)})})
    tiny.gate.policy = replace(tiny.gate.policy, file=denied)
    assert refused(tiny, offer(tiny)) == ("POLICY_VARIABLE",)
    with pytest.raises(Refusal):
        tiny.gate.ledger.approval(tiny.study.digest, tiny.now)


# --- opens


def test_an_approved_plan_gets_an_advert_and_its_budget_is_held(tiny: Rig) -> None:
    plan = tiny.plan(tiny.approved()[1])
    assert reply_to(tiny, opening(tiny, plan)).header.kind is Kind.ADVERT
    held = tiny.gate.ledger.reservation(plan.conversation)
    assert held is not None
    assert held.state == "reserved"


@pytest.mark.parametrize("wrong", ["noise", "layout", "bound", "length", "study"])
def test_a_plan_that_differs_from_what_the_study_gives_is_refused_and_holds_nothing(tiny: Rig, wrong: str) -> None:
    plan = tiny.plan(tiny.approved()[1])
    other: dict[str, Any] = {wrong: b"x" * 32 if wrong in ("noise", "layout", "study") else getattr(plan, wrong) - 1}
    changed = replace(plan, **other)
    aborted(tiny, tiny.sealed(messages.Open(changed.encode(), b""), messages.matter_of(changed)))
    assert tiny.gate.ledger.reservation(plan.conversation) is None


def test_a_study_that_was_never_approved_gets_no_advert(tiny: Rig) -> None:
    agreement = tiny.approved()[1]
    other = replace(tiny.study, file=tiny.study.file.model_copy(update={"revision": 2}))
    plan = tiny.plan(replace(agreement, study=other))
    code = aborted(tiny, opening(tiny, plan))
    assert code == abort_number("APPROVAL_MISSING")


@pytest.mark.parametrize("gone", ["left", "expired"])
def test_an_asker_who_left_the_roster_after_the_approval_gets_no_advert(tiny: Rig, gone: str) -> None:
    plan = tiny.plan(tiny.approved()[1])
    roster = tiny.gate.station.roster
    askers = () if gone == "left" else (roster.entries.askers[0].model_copy(update={"until": 1}),)
    newer = replace(roster, entries=roster.entries.model_copy(update={"askers": askers}))
    tiny.gate.station = replace(tiny.gate.station, roster=newer)
    assert aborted(tiny, opening(tiny, plan)) == abort_number("APPROVAL_ASKER")


def test_a_conversation_is_used_once(tiny: Rig) -> None:
    plan = tiny.plan(tiny.approved()[1])
    reply_to(tiny, opening(tiny, plan))
    held = tiny.gate.ledger.reservation(plan.conversation)
    assert held is not None
    assert held.state == "reserved"
    assert aborted(tiny, opening(tiny, plan)) == abort_number(
        "SECAGG_OUT_OF_ORDER"
    )  # G4: the talk is over, its keys are gone
    assert not tiny.gate.talks
    assert aborted(tiny, opening(tiny, plan)) == abort_number("SECAGG_REPLAY")  # P3, for good


def test_an_open_under_the_name_of_another_conversation_ends_that_and_begins_none(tiny: Rig) -> None:
    agreement = tiny.approved()[1]
    plan = tiny.plan(agreement)
    reply_to(tiny, opening(tiny, plan))
    other = tiny.plan(agreement, b"d" * 16)
    content = tiny.sealed(messages.Open(other.encode(), b""), tiny.about(plan))
    assert aborted(tiny, content) == abort_number("SECAGG_OUT_OF_ORDER")
    assert tiny.gate.ledger.reservation(other.conversation) is None
    assert not tiny.gate.talks
    assert aborted(tiny, tiny.sealed(messages.Open(other.encode(), b""), tiny.about(plan))) == abort_number(
        "SECAGG_PLAN"
    )


@pytest.mark.parametrize("field", ["cities", "expires", "run"])
def test_a_plan_that_its_header_or_the_roster_does_not_know_is_refused_and_holds_nothing(tiny: Rig, field: str) -> None:
    plan = tiny.plan(tiny.approved()[1])
    wrong: dict[str, Any] = {"cities": (1, 2, 99), "expires": 2**60, "run": 0}
    changed = replace(plan, **{field: wrong[field]})
    about = replace(messages.matter_of(changed), expires=plan.expires, run=1)
    content = tiny.sealed(messages.Open(changed.encode(), b""), about)
    assert aborted(tiny, content) == abort_number("SECAGG_PLAN")
    assert tiny.gate.ledger.reservation(plan.conversation) is None


def test_a_plan_over_cities_that_the_study_does_not_name_is_not_what_was_approved(tmp_path: Path) -> None:
    four = (*gates.CITIES, "zenith")
    named = gates.STUDY + "cities: {names: [east, north, west], least: 3}\n"
    gates.write(tmp_path / "cities", 12, gates.STUDY, four)
    asked = load(tmp_path / "cities" / "study.yaml")
    with gates.rig(tmp_path / "cities", study=asked) as rig:
        (tmp_path / "cities" / "named.yaml").write_text(named, encoding="utf-8")
        narrow = load(tmp_path / "cities" / "named.yaml")
        rig.study = narrow
        assert rig.present.ids == (1, 2, 3, 4)
        body = messages.Offer(narrow.content, sign_study(narrow, asker_key(rig)), narrow.dictionary.content)
        assert reply_to(rig, rig.sealed(body, rig.matter(narrow))).header.kind is Kind.APPROVAL
        wide, inside = (rig.plan(agree(narrow, ids, rig.present.post.roster), name) for ids, name in WIDE_AND_INSIDE)
        assert aborted(rig, opening(rig, wide)) == abort_number("SECAGG_NOT_APPROVED")
        assert reply_to(rig, opening(rig, inside)).header.kind is Kind.ADVERT


WIDE_AND_INSIDE = (((1, 2, 3, 4), b"w" * 16), ((1, 2, 3), b"i" * 16))


def asker_key(rig: Rig) -> Any:
    """The key that the simulated asker signs with."""
    base = world.coordinator_home(rig.folder, rig.folder / "homes")
    return identity(base / "askers" / "analyst", seeded("unused"))


def test_an_open_that_is_no_plan_is_refused(tiny: Rig) -> None:
    content = tiny.sealed(messages.Open(b"no plan", b""), messages.Matter(tiny.now + 60, b"s" * 32, 1, b"c" * 16))
    assert aborted(tiny, content) == abort_number("ENVELOPE_BODY")


def test_a_city_with_more_rows_than_it_declared_does_not_answer(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.plan(tiny.approved()[1])
    monkeypatch.setattr(type(tiny.gate.station), "size_class", property(lambda _: 4))
    assert aborted(tiny, opening(tiny, plan)) == abort_number("SECAGG_BOUND")


def test_a_plan_that_too_few_cities_can_answer_is_refused(tiny: Rig) -> None:
    agreement = tiny.approved()[1]
    tiny.gate.station = replace(tiny.gate.station, cannot=("sex",))
    plan = agreement.plan(
        conversation=b"c" * 16,
        roster=tiny.present.post.roster,
        expires=tiny.now + 60,
        cannot={1: ("sex",), 2: (), 3: ()},
    )
    assert aborted(tiny, opening(tiny, plan)) == abort_number("POLICY_CITIES")


def test_a_budget_that_is_used_up_refuses_before_a_row_is_read(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.plan(tiny.approved()[1])

    def spent(*_: object, **__: object) -> None:
        raise Refusal("BUDGET_RETRIES", count=3, limit=2)

    monkeypatch.setattr(tiny.gate.ledger, "reserve", spent)
    monkeypatch.setattr(gate, "encoded", lambda *_: pytest.fail("a row was read"))
    assert aborted(tiny, opening(tiny, plan)) == abort_number("BUDGET_RETRIES")


def test_on_a_disk_that_is_nearly_full_nothing_is_reserved(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.plan(tiny.approved()[1])
    tiny.gate.room = lambda: False
    monkeypatch.setattr(tiny.gate.ledger, "reserve", lambda *_, **__: pytest.fail("it was reserved"))
    assert aborted(tiny, opening(tiny, plan)) == abort_number("BUSY")


def test_an_acknowledgement_of_other_books_is_a_rolled_back_ledger(tiny: Rig) -> None:
    answers, agreement = tiny.approved()
    rounds.summed(tiny.present.post, agreement, answers, {}).conversation.receipts()
    gate_ = tiny.gate
    ack = messages.Ack(b"r" * 32, b"r" * 32, 3, b"h" * 32)
    forged = tiny.sealed(ack, messages.Matter(tiny.now + 60), to=COORDINATOR, seq=1, identity=gate_.station.identity)
    plan = tiny.plan(agreement, b"e" * 16)
    assert aborted(tiny, opening(tiny, plan, forged)) == abort_number("LEDGER_ROLLED_BACK")


@pytest.mark.parametrize("other", [b"no envelope", None], ids=["does not open", "of another city"])
def test_an_acknowledgement_that_is_not_its_own_opens_nothing(tiny: Rig, other: bytes | None) -> None:
    """P3, before anything is held against the study."""
    agreement = tiny.approved()[1]
    ack = messages.Ack(b"r" * 32, b"r" * 32, 3, b"h" * 32)
    sealed = tiny.sealed(
        ack, messages.Matter(tiny.now + 60), to=COORDINATOR, seq=1, identity=tiny.gates["west"].station.identity
    )
    plan = tiny.plan(agreement)
    assert aborted(tiny, opening(tiny, plan, other or sealed)) == abort_number("SECAGG_REPLAY")
    assert tiny.gate.ledger.reservation(plan.conversation) is None


def test_a_finished_run_is_not_opened_again(tiny: Rig) -> None:
    answers, agreement = tiny.approved()
    acks = rounds.summed(tiny.present.post, agreement, answers, {}).conversation.receipts()
    plan = tiny.plan(agreement, b"e" * 16)
    assert aborted(tiny, opening(tiny, plan, acks[1])) == abort_number("SECAGG_ALREADY_ANSWERED")


# --- the conversation


def conversation(tiny: Rig, name: bytes = b"c" * 16) -> Iterator[tuple[Kind, collector.State, messages.Outgoing]]:
    """The coordinator's own steps, one exchange at a time; a test may look, or spoil, in between."""
    _, agreement = tiny.approved()
    plan, post = tiny.plan(agreement, name), tiny.present.post
    kept: dict[bytes, bytes] = {}  # SHA-256 of an envelope to the envelope
    question = collector.Question(plan.length, plan.layout, agreement.question)
    state: collector.State
    state, sent = collector.start(post.identity, post.roster, plan, question, {}, post.stamp())
    while isinstance(state, collector.Open):
        yield messages.peek(sent[0][1]).kind, state, sent
        following: messages.Outgoing = ()
        for city, content in sent:
            reply = tiny.gates[post.roster.name(city)].answer(content, tiny.now)
            assert reply is not None
            kept[sha256(reply).digest()] = reply
            state, out = collector.step(state, reply, post.stamp(), kept.__getitem__)
            following = out or following
        sent = following
    yield Kind.RECEIPT, state, sent


def reaching(tiny: Rig, kind: Kind) -> tuple[collector.State, messages.Outgoing]:
    for at, state, sent in conversation(tiny):
        if at is kind:
            return state, sent
    raise AssertionError


def test_the_books_follow_the_conversation_step_by_step(tiny: Rig) -> None:
    states = []
    for kind, state, sent in conversation(tiny):
        held = tiny.gate.ledger.reservation(b"c" * 16)
        states.append((kind.value, held.state if held else None))
        if kind is Kind.RECEIPT:
            assert isinstance(state, collector.Summed)
            assert reply_to(tiny, dict(sent)[1]).header.kind is Kind.ACK
    assert states == [
        ("open", None),
        ("adverts", "reserved"),
        ("deliver", "reserved"),
        ("survivors", "spent"),
        ("confirms", "spent"),
        ("receipt", "spent"),
    ]
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "answered"
    assert not tiny.gate.talks


def test_every_city_draws_its_noise_afresh_for_every_conversation(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise is drawn twice: whoever saw one vector twice under the same noise would see what changed between them."""
    drawn: list[tuple[int, ...]] = []

    def watched(*plan: Any) -> Any:
        found = real(*plan)
        drawn.append(tuple(found.tolist()))
        return found

    real = gate.noise
    monkeypatch.setattr(gate, "noise", watched)
    for name in (b"c" * 16, b"d" * 16):
        for _ in conversation(tiny, name):
            pass
    assert len(drawn) == 2 * len(gates.CITIES)
    assert len(set(drawn)) == len(drawn)


def test_a_lost_masked_vector_is_asked_again_and_charged_once(tiny: Rig) -> None:
    _, sent = reaching(tiny, Kind.DELIVER)
    content = dict(sent)[1]
    first = tiny.gate.answer(content, tiny.now)
    assert first is not None
    assert tiny.gate.answer(content, tiny.now) == first
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert len(held.rounds) == 1


def test_a_question_that_was_not_approved_is_refused_before_rows_are_read(
    tiny: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "encoded", lambda *_: pytest.fail("a row was read"))
    state, sent = reaching(tiny, Kind.DELIVER)
    assert isinstance(state, collector.Summing)
    content = dict(sent)[1]
    deliver = messages.Deliver.decode(open_body(content))
    ask = replace(messages.Ask.decode(deliver.ask), question=b"{}")
    forged = tiny.sealed(replace(deliver, ask=ask.encode()), messages.matter_of(state.talk.plan))
    assert aborted(tiny, forged) == abort_number("SECAGG_FOREIGN_QUESTION")
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "void"
    assert not tiny.gate.talks


def open_body(content: bytes) -> memoryview:
    length = messages.peek(content).body.length
    return memoryview(content)[len(content) - 64 - length : len(content) - 64]


def test_rows_that_changed_since_the_open_are_not_answered_from(tiny: Rig) -> None:
    _, sent = reaching(tiny, Kind.DELIVER)
    tiny.gate.station = replace(tiny.gate.station, holder_key=b"k" * 32)
    assert aborted(tiny, dict(sent)[1]) == abort_number("SNAPSHOT_DATE")


def test_a_sum_outside_the_declared_bound_never_leaves_and_is_charged(
    tiny: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sent = reaching(tiny, Kind.DELIVER)
    length = tiny.study.workload.layout.length
    monkeypatch.setattr(gate, "encoded", lambda *_: np.full(length, 2**40, dtype=np.int64))
    assert aborted(tiny, dict(sent)[1]) == abort_number("SECAGG_BOUND")
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "spent"


@pytest.mark.parametrize("given", [0, 31])
def test_entropy_that_runs_short_leaves_no_draw_and_the_reservation_stays(
    tiny: Rig, monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    """No noise, no vector: rows were marked as read, so that the round stays charged, come what may."""
    _, sent = reaching(tiny, Kind.DELIVER)
    monkeypatch.setattr(gate, "skellam", lambda *_: pytest.fail("noise was drawn"))
    tiny.gate.entropy = lambda _: bytes(given)
    assert tiny.gate.answer(dict(sent)[1], tiny.now) is None
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "read"
    assert held.rounds[0].spent is None


def test_bytes_leave_only_after_the_charge_is_on_disk(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sent = reaching(tiny, Kind.DELIVER)

    def full(*_: object, **__: object) -> None:
        raise Refusal("LEDGER_UNAVAILABLE")

    monkeypatch.setattr(tiny.gate.ledger, "spend", full)
    assert tiny.gate.answer(dict(sent)[1], tiny.now) is None


def test_rows_are_marked_before_they_are_read(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sent = reaching(tiny, Kind.DELIVER)
    real, seen = gate.encoded, []

    def watched(*arguments: Any) -> Any:
        held = tiny.gate.ledger.reservation(b"c" * 16)
        assert held is not None
        seen.append(held.state)
        return real(*arguments)

    monkeypatch.setattr(gate, "encoded", watched)
    assert tiny.gate.answer(dict(sent)[1], tiny.now)
    assert seen == ["read"]


@pytest.mark.parametrize(
    ("kind", "step"), [(Kind.DELIVER, "spend"), (Kind.SURVIVORS, "confirm"), (Kind.CONFIRMS, "reveal")]
)
def test_a_step_that_is_not_in_the_books_is_not_gone_on_from(
    tiny: Rig, monkeypatch: pytest.MonkeyPatch, kind: Kind, step: str
) -> None:
    """No bytes leave, and the keys that they were made with are gone: this city fell silent."""
    _, sent = reaching(tiny, kind)

    def full(*_: object, **__: object) -> None:
        raise Refusal("LEDGER_UNAVAILABLE")

    monkeypatch.setattr(tiny.gate.ledger, step, full)
    assert tiny.gate.answer(dict(sent)[1], tiny.now) is None
    assert not tiny.gate.talks


def test_a_broken_rule_is_written_into_the_audit_file_with_the_digest_of_the_message(tiny: Rig) -> None:
    state, _ = reaching(tiny, Kind.CONFIRMS)
    assert isinstance(state, collector.Unmasking)
    second = tiny.sealed(messages.Survivors(state.turn.rctx, (1, 2)), messages.matter_of(state.talk.plan))
    assert aborted(tiny, second) == abort_number("SECAGG_OUT_OF_ORDER")
    (said,) = [line for line in audit(tiny) if line.event is Event.REFUSED]
    assert (said.of, said.codes) == ("survivors", ("SECAGG_OUT_OF_ORDER",))
    assert said.digest == "sha256:" + sha256(second).hexdigest()
    kept = evidence.find(tiny.gate.station.home, said.digest)
    assert kept is not None
    assert kept.read_bytes() == second  # G3: whoever is shown it can check the coordinator's signature


def test_an_open_that_is_refused_is_kept_as_it_came(tiny: Rig) -> None:
    _, agreement = tiny.approved()
    plan = replace(tiny.plan(agreement), threshold=2)
    content = opening(tiny, plan)
    assert aborted(tiny, content) == abort_number("SECAGG_THRESHOLD")
    assert evidence.find(tiny.gate.station.home, sha256(content).hexdigest()) is not None


@pytest.mark.parametrize("ack", [b"", b"no envelope"], ids=["known", "does not open"])
def test_another_open_of_a_live_conversation_is_out_of_order_and_ends_it(tiny: Rig, ack: bytes) -> None:
    """G4: signed by the coordinator, and not in the table. No row was read, so nothing is spent, and nothing is held any more."""
    state, sent = reaching(tiny, Kind.DELIVER)
    assert isinstance(state, collector.Summing)
    another = opening(tiny, state.talk.plan, ack)
    assert aborted(tiny, another) == abort_number("SECAGG_OUT_OF_ORDER")
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "void"
    assert not tiny.gate.talks
    (said,) = [line for line in audit(tiny) if line.event is Event.REFUSED]
    assert (said.of, said.codes) == ("open", ("SECAGG_OUT_OF_ORDER",))
    assert tiny.gate.answer(dict(sent)[1], tiny.now) is None


def test_a_message_of_a_conversation_that_this_gate_does_not_know_is_dropped(tiny: Rig) -> None:
    _, sent = reaching(tiny, Kind.ADVERTS)
    tiny.gate.talks.clear()  # as after a restart
    assert tiny.gate.answer(dict(sent)[1], tiny.now) is None
    assert audit(tiny)[-1].codes == ("SECAGG_OUT_OF_ORDER",)


def test_garbage_inside_a_conversation_changes_nothing(tiny: Rig) -> None:
    state, _ = reaching(tiny, Kind.ADVERTS)
    assert isinstance(state, collector.Sharing)
    before = tiny.gate.talks[b"c" * 16].state
    later = replace(messages.matter_of(state.talk.plan), round=3)
    assert tiny.gate.answer(tiny.sealed(messages.Survivors(b"r" * 32, (1, 2, 3)), later), tiny.now) is None
    assert tiny.gate.talks[b"c" * 16].state is before


def test_a_conversation_that_the_coordinator_ends_frees_what_was_not_used(tiny: Rig) -> None:
    state, _ = reaching(tiny, Kind.ADVERTS)
    assert isinstance(state, collector.Sharing)
    abort = tiny.sealed(messages.Abort(0, 0), messages.matter_of(state.talk.plan))
    assert tiny.gate.answer(abort, tiny.now) is None
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "void"
    assert not tiny.gate.talks


def test_a_conversation_past_its_time_is_forgotten_at_the_next_open(tiny: Rig) -> None:
    agreement = tiny.approved()[1]
    reply_to(tiny, opening(tiny, tiny.plan(agreement)))
    clock = tiny.present.link.clock
    clock.virtual = tiny.now + 4000
    reply_to(tiny, opening(tiny, tiny.plan(agreement, b"d" * 16)))
    assert set(tiny.gate.talks) == {b"d" * 16}


def test_a_conversation_whose_wait_is_over_loses_its_keys_at_whatever_comes_next(tiny: Rig) -> None:
    """G5: 60 s after the wait of its step, long before its plan expires."""
    state, _ = reaching(tiny, Kind.ADVERTS)
    assert isinstance(state, collector.Sharing)
    clock, (wait, *_) = tiny.present.link.clock, state.talk.plan.waits
    asked = tiny.now
    for now, talks in ((asked + wait + 60, 1), (asked + wait + 61, 0)):
        clock.virtual = now
        reply_to(tiny, tiny.sealed(messages.Ping(b"p" * 32), messages.Matter(now + 60)))
        assert len(tiny.gate.talks) == talks
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "void"


@pytest.mark.parametrize("step", ["masked", "confirm"])
def test_a_round_that_is_lost_leaves_no_gate_waiting(tiny: Rig, step: str) -> None:
    answers, agreement = tiny.approved()
    tiny.present.link.drops = (world.Drop("west", step),)
    with pytest.raises(IncompleteError):
        rounds.summed(tiny.present.post, agreement, answers, {})
    assert not tiny.gate.talks
    (held,) = tiny.gate.ledger.view(tiny.now).reservations
    assert held.state == "spent"  # its vector had left; a new attempt is a new charge


# --- receipts


def test_a_receipt_for_another_vector_or_conversation_is_not_acknowledged(tiny: Rig) -> None:
    state, _ = reaching(tiny, Kind.RECEIPT)
    assert isinstance(state, collector.Summed)
    matter = messages.matter_of(state.talk.plan)
    foreign = replace(state.receipt, inputs=((1, b"y" * 32),))
    assert tiny.gate.answer(tiny.sealed(foreign, matter), tiny.now) is None
    elsewhere = replace(matter, conversation=b"z" * 16)
    assert tiny.gate.answer(tiny.sealed(state.receipt, elsewhere), tiny.now) is None
    held = tiny.gate.ledger.reservation(b"c" * 16)
    assert held is not None
    assert held.state == "spent"


def test_a_receipt_before_anything_was_signed_is_held_against_the_vector_alone(tiny: Rig) -> None:
    state, _ = reaching(tiny, Kind.SURVIVORS)
    assert isinstance(state, collector.Confirming)
    inputs = ((1, state.inputs[1].y_digest), (2, b"y" * 32), (3, b"y" * 32))
    receipt = messages.Receipt(state.turn.rctx, b"s" * 32, b"t" * 32, inputs)
    assert reply_to(tiny, tiny.sealed(receipt, messages.matter_of(state.talk.plan))).header.kind is Kind.ACK


# --- mode exact


def test_officers_of_a_simulated_world_sign_with_keys_and_are_named_for_what_they_are(tmp_path: Path) -> None:
    with exact_rig(tmp_path / "cities", LOOSE) as tiny:
        answers, _ = tiny.approved()
        (decided,) = [line for line in audit(tiny) if line.event is Event.DECIDED]
        assert decided.by == ("approve", "simulated officer 1")
        (officer,) = answers.approvals[1].officers
        assert officer.holds("east", tiny.study.digest)
        assert not officer.holds("north", tiny.study.digest)


def test_exact_tables_are_off_in_the_shipped_policy(tmp_path: Path) -> None:
    with exact_rig(tmp_path / "cities", "policy: 1\n") as tiny:
        assert refused(tiny, offer(tiny)) == ("POLICY_KIND",)


def test_a_cohort_too_small_is_one_word_without_a_number(tmp_path: Path) -> None:
    with exact_rig(tmp_path / "cities", LOOSE, rows=4) as tiny:
        plan = tiny.plan(tiny.approved()[1])
        assert aborted(tiny, opening(tiny, plan)) == abort_number("declined:disclosure")
        held = tiny.gate.ledger.reservation(plan.conversation)
        assert held is not None
        assert held.state == "void"


def test_an_exact_conversation_adds_no_noise_and_keeps_its_set_of_cities(tmp_path: Path) -> None:
    with exact_rig(tmp_path / "cities", LOOSE) as tiny:
        answers, agreement = tiny.approved()
        opened = rounds.summed(tiny.present.post, agreement, answers, {}).opened
        assert opened.total[0] == 36
        held = tiny.gate.ledger.view(tiny.now).reservations[0]
        assert held.claim.cities == (1, 2, 3)
        assert held.exact is not None


def test_an_exact_set_that_differs_by_one_city_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exact_rig(tmp_path / "cities", LOOSE) as tiny:
        plan = tiny.plan(tiny.approved()[1])

        def overlapping(*_: object, **__: object) -> None:
            raise Refusal("SECAGG_COHORT_DIFFERENCE")

        monkeypatch.setattr(tiny.gate.ledger, "exact", overlapping)  # as a second plan over other rows would find it
        assert aborted(tiny, opening(tiny, plan)) == abort_number("SECAGG_COHORT_DIFFERENCE")


# --- no decision in dp mode depends on rows


def trace(folder: Path, rows: int, flip: bool) -> list[tuple[Any, ...]]:
    gates.write(folder, rows)
    if flip:
        for city in gates.CITIES:
            path = folder / city / "data" / "rows.csv"
            path.write_text(path.read_text(encoding="utf-8").replace(",m,", ",f,"), encoding="utf-8")
    with gates.rig(folder) as tiny:
        sizes = []
        for kind, _, sent in conversation(tiny):
            replies = [
                tiny.gates[tiny.present.post.roster.name(city)].answer(content, tiny.now) for city, content in sent
            ]
            sizes.append((kind.value, [len(content) for _, content in sent], [len(reply or b"") for reply in replies]))
        kept = [(line.event, line.of, line.codes, line.round) for line in audit(tiny)]
        return [*sizes, *kept]


def test_two_cities_that_differ_in_every_row_leave_the_same_trace(tmp_path: Path) -> None:
    assert trace(tmp_path / "one", 12, False) == trace(tmp_path / "two", 40, True)


def test_no_message_holds_a_row_a_key_or_a_small_count(tiny: Rig) -> None:
    for _ in conversation(tiny):
        pass
    text = (tiny.gate.station.home / ledger.AUDIT).read_text(encoding="utf-8")
    assert "east0" not in text
    assert not {"rows", "count", "holders"} & {key for line in text.splitlines() for key in json.loads(line)["body"]}


def test_an_error_of_the_product_is_never_a_reply(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise HpfedError("LEDGER_UNAVAILABLE")

    monkeypatch.setattr(tiny.gate.ledger, "repeated", broken)
    assert tiny.gate.answer(offer(tiny), tiny.now) is None


# --- attest: the word of a city on its own release


def attested(tiny: Rig, run: int = 1, city: int = 1) -> Attestation:
    content = tiny.sealed(messages.Attest(), replace(tiny.matter(), run=run), to=city)
    reply = tiny.gates[gates.CITIES[city - 1]].answer(content, tiny.now)
    assert reply is not None
    answer = open_envelope(
        reply, me=COORDINATOR, roster=tiny.present.post.roster, now=tiny.now, in_reply_to=sha256(content).digest()
    )
    file = bytes(messages.Attestation.decode(answer.body).file)
    return read_attestation(file, city, tiny.present.post.roster)


def test_a_city_attests_what_it_sent_and_what_that_cost(tiny: Rig) -> None:
    answers, agreement = tiny.approved()
    rounds.summed(tiny.present.post, agreement, answers, {})
    said = attested(tiny)
    (held,) = tiny.gate.ledger.view(tiny.now).reservations
    spent = held.rounds[0].spent
    assert spent is not None
    assert (said.city, said.study, said.run, said.mode) == ("east", tiny.study.digest, 0, "dp")
    (sent,) = said.conversations
    assert (sent.id, "sha256:" + sent.sha256, sent.plan) == (held.claim.conversation, spent.reply, held.claim.plan)
    assert (sent.cells, sent.bytes) == (agreement.study.workload.layout.length, sent.cells * agreement.ring // 8)
    assert said.ledger.epsilon == epsilon_text(agreement.epsilon)
    before, after, cap = (float(each) for each in (said.ledger.total_before, said.ledger.total_after, said.ledger.cap))
    assert 0 == before < after < cap
    assert said.snapshot == held.claim.snapshot
    assert said.audit_head != attested(tiny).audit_head  # the books went on
    assert audit(tiny)[-1].of == "attestation"


def test_attesting_needs_neither_rows_nor_the_conversation(tiny: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, agreement = tiny.approved()
    rounds.summed(tiny.present.post, agreement, answers, {})

    def unread(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr("node.snapshot.open_for", unread)
    tiny.gate.talks.clear()
    assert attested(tiny).conversations


def test_nothing_is_attested_of_what_never_left(tiny: Rig) -> None:
    assert refused(tiny, tiny.sealed(messages.Attest(), tiny.matter())) == ("ATTEST_NOTHING",)
    answers, agreement = tiny.approved()
    tiny.gate.answer(opening(tiny, tiny.plan(agreement)), tiny.now)
    assert refused(tiny, tiny.sealed(messages.Attest(), tiny.matter())) == ("ATTEST_NOTHING",)
    rounds.summed(tiny.present.post, agreement, answers, {})
    for other in (replace(tiny.matter(), run=2), replace(tiny.matter(), study=bytes(32))):
        assert refused(tiny, tiny.sealed(messages.Attest(), other)) == ("ATTEST_NOTHING",)


def test_an_attempt_that_gave_no_sum_is_attested_too(tiny: Rig) -> None:
    answers, agreement = tiny.approved()
    tiny.present.link.drops = (world.Drop("west", "confirm"),)
    with pytest.raises(IncompleteError):
        rounds.summed(tiny.present.post, agreement, answers, {})
    tiny.present.link.drops = ()
    tiny.present.link.lost.clear()
    rounds.summed(tiny.present.post, agreement, answers, {})
    said = attested(tiny)
    assert len({each.id for each in said.conversations}) == 2
    view = tiny.gate.ledger.view(tiny.now)
    assert [each.id for each in said.conversations] == [held.claim.conversation for held in view.reservations]
    total = next(room for room in view.rooms if room.scope == "total")
    used = Fraction(total.cap.room - total.left, 2**64)
    assert 0 <= Fraction(said.ledger.total_after) - used < Fraction(1, 10**6)
    assert said.ledger.total_before == "0.000000"


def test_an_exact_release_is_attested_at_no_cost(tmp_path: Path) -> None:
    with exact_rig(tmp_path / "cities", LOOSE) as open_rig:
        answers, agreement = open_rig.approved()
        rounds.summed(open_rig.present.post, agreement, answers, {})
        said = attested(open_rig)
    assert (said.mode, said.mechanism, said.noise.share) == ("exact", "none", 0)
    assert float(said.ledger.epsilon) == 0
    assert said.ledger.total_before == said.ledger.total_after


# --- the coordinator's side of it


def test_a_city_that_does_not_attest_is_named_and_why(tiny: Rig) -> None:
    post = tiny.present.post
    assert rounds.attested(post, tiny.study, tiny.present.ids).without == dict.fromkeys((1, 2, 3), "ATTEST_NOTHING")
    answers, agreement = tiny.approved()
    rounds.summed(post, agreement, answers, {})
    tiny.present.link.lost.add("west")
    found = rounds.attested(post, tiny.study, tiny.present.ids)
    assert set(found.files) == {1, 2}
    assert found.without == {3: "unreachable"}


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("a ping", "ENVELOPE_KIND"),
        ("no file", "SIGNED_SHAPE"),
        ("another study", "ENVELOPE_STUDY"),
        ("another city", "ENVELOPE_FROM"),
    ],
)
def test_an_attestation_of_something_else_is_none(
    tiny: Rig, monkeypatch: pytest.MonkeyPatch, what: str, code: str
) -> None:
    answers, agreement = tiny.approved()
    rounds.summed(tiny.present.post, agreement, answers, {})
    said = attested(tiny)
    one = tiny.gates["east"]
    of_another = sign_attestation(said.model_copy(update={"run": 3}), one.station.identity.key)
    bodies = {"a ping": messages.Ping(bytes(32)), "no file": messages.Attestation(b"{}")}
    body = bodies.get(what, messages.Attestation(of_another))
    stranger = tiny.gates["north"] if what == "another city" else one

    def answer(content: bytes, now: int) -> bytes:
        header = messages.peek(content)
        return seal(
            body,
            identity=stranger.station.identity,
            to=COORDINATOR,
            roster=tiny.present.post.roster,
            matter=messages.Matter(header.expires, bytes.fromhex(header.study), header.run),
            seq=now * 1000,
            now=now,
            in_reply_to=sha256(content).digest(),
        )

    monkeypatch.setattr(one, "answer", answer)
    assert rounds.attested(tiny.present.post, tiny.study, (1,)).without == {1: code}
