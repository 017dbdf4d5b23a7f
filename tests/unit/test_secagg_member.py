"""A city at the table: every refusal by name, and that nothing else moves it."""

from copy import copy
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from protocols import messages
from protocols.errors import ABORT_NUMBERS, CODES, PeerError, Refusal, abort_number, declined
from protocols.messages import Kind, Stamp
from protocols.roster import City, sign_roster
from protocols.secagg import member, sharing
from tests.conversations.bad import IDS, VICTIM, Case, before, cases, flipped, resealed
from tests.conversations.table import (
    BOUND,
    NOW,
    ROOT,
    SUPPORT,
    Seat,
    Table,
    entries_of,
    identity,
    key_of,
    nobody,
    table_of,
    valid,
    vector_of,
)


def replaced_key(city: City, *, until: int) -> City:
    """The city with another end of its identity key."""
    return city.model_copy(update={"identity": tuple(key.model_copy(update={"until": until}) for key in city.identity)})


def dealt(case: Case) -> tuple[member.State, messages.Outgoing, messages.Outgoing]:
    """Play a case: the state after the bad message, what it sent, and what it answers to the honest one after that."""
    table, honest, bad = case.setting()
    seat = table.cities[case.victim]
    out = seat.on(bad, NOW + 1)
    return seat.state, out, seat.on(honest, NOW + 1) if case.kind is not Kind.OPEN else ()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_signed_message_that_breaks_a_check_ends_in_a_signed_abort_with_the_code(case: Case) -> None:
    state, out, after = dealt(case)
    assert isinstance(state, member.Refused)
    assert state.fault.code == case.code
    assert case.code in CODES
    ((to, content),) = out
    assert to == 0
    abort = messages.Abort.decode(messages.body_of(content))
    assert messages.peek(content).kind is Kind.ABORT
    assert abort.code == ABORT_NUMBERS[case.code]
    assert after == ()  # refused for good, the honest message comes too late
    assert state.fault.text("zh")
    assert state.fault.text("en")


PLACES: Final = {(case.kind, str(case.table), str(case.lost)): case for case in cases()}


@pytest.mark.parametrize("case", PLACES.values(), ids=lambda case: f"instead of {case.name}")
def test_the_honest_message_in_the_same_place_is_taken(case: Case) -> None:
    """The neighbour of every refusal: nothing but what was altered is refused."""
    table, honest, _ = replace(case, terms=lambda terms: terms).setting()
    seat = table.cities[case.victim]
    before_it = type(seat.state)
    ((_, content),) = seat.on(honest, NOW + 1)
    assert messages.peek(content).kind is not Kind.ABORT
    assert not isinstance(seat.state, member.Refused | before_it)


def seat_before(kind: Kind, **kinds: Any) -> tuple[Seat, bytes]:
    """City 2 just before a request of `kind`, and that request."""
    table = table_of(IDS, **kinds)
    return table.cities[VICTIM], before(table, kind, VICTIM)


STEPS: Final = (Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS)


@pytest.mark.parametrize("kind", STEPS)
def test_the_identical_request_again_gets_the_identical_reply_and_draws_nothing(kind: Kind) -> None:
    seat, request = seat_before(kind)
    first = seat.on(request, NOW + 1)
    state = seat.state

    def spent(_: int) -> bytes:
        raise AssertionError("a repeat drew entropy")

    seat.entropy = spent
    assert seat.on(request, NOW + 9) == first
    assert seat.state is state


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("at", [0, 5, 60, -70, -1], ids=["magic", "length", "header", "body", "signature"])
def test_what_does_not_open_changes_nothing(kind: Kind, at: int) -> None:
    seat, request = seat_before(kind)
    state = seat.state
    assert seat.on(flipped(request, at % len(request)), NOW + 1) == ()
    assert seat.state == state
    assert len(seat.on(request, NOW + 1)) == 1


@pytest.mark.parametrize("kind", STEPS[1:])
def test_a_signed_message_of_another_step_ends_the_conversation(kind: Kind) -> None:
    seat, request = seat_before(kind)
    wrong = messages.Survivors(bytes(32), (1, 2, 3)) if kind is not Kind.SURVIVORS else messages.Confirms(bytes(32), ())
    seat.on(resealed(request, wrong), NOW + 1)
    assert isinstance(seat.state, member.Refused)
    assert seat.state.fault.code == "SECAGG_OUT_OF_ORDER"


def test_survivors_twice_with_another_set_are_refused_and_no_share_leaves() -> None:
    seat, request = seat_before(Kind.CONFIRMS)
    (asked,) = [c for c in seat.requests if messages.peek(c).kind is Kind.SURVIVORS]
    body = messages.Survivors.decode(messages.body_of(asked))
    seat.on(resealed(asked, replace(body, u3=body.u3[:-1])), NOW + 1)
    assert isinstance(seat.state, member.Refused)
    assert seat.state.fault.code == "SECAGG_OUT_OF_ORDER"
    assert seat.on(request, NOW + 1) == ()


@pytest.mark.parametrize(("kind", "wait"), list(zip(STEPS[1:], (60, 60, 600, 60), strict=True)))
def test_after_the_wait_of_its_step_a_city_hangs_up(kind: Kind, wait: int) -> None:
    seat, request = seat_before(kind)
    assert isinstance(seat.state, member.Live)
    last = seat.state.talk.since + wait + member.GRACE_S
    again = copy(seat)
    assert len(seat.on(request, last)) == 1
    assert again.on(request, last + 1) == ()
    assert isinstance(again.state, member.Closed)
    assert again.on(request, last + 1) == ()


@pytest.mark.parametrize(("kind", "wait"), [(Kind.SURVIVORS, 600), (Kind.CONFIRMS, 60)])
def test_a_city_that_a_round_went_on_without_answers_the_next_question_and_nothing_of_that_round(
    kind: Kind, wait: int
) -> None:
    """Left out of U3, or out of the Confirms: it hears nothing, and its wait counts from its own last reply."""
    table = table_of(IDS, rounds=3)
    late, seat = before(table, kind, VICTIM), table.cities[VICTIM]
    assert isinstance(seat.state, member.Masked | member.Confirmed)
    ask, matter = replace(seat.state.turn.ask, round=2), messages.matter_of(table.plan, 2)
    over = seat.state.talk.since + wait + member.GRACE_S + 1
    assert isinstance(member.timely(seat.state, over), member.Missed)
    assert seat.on(late, over) == ()
    missed = seat.state
    assert isinstance(missed, member.Missed)
    assert (
        sorted(missed.room.shares) == sorted(missed.room.masks) == [1, 2]
    )  # nothing that could open the round is left
    assert seat.on(late, over) == ()
    assert seat.state is missed
    ((_, masked),) = seat.on(resealed(late, ask, matter=matter), table.plan.expires)
    assert messages.peek(masked).kind is Kind.MASKED
    last = seat.state
    assert isinstance(last, member.Masked)
    assert isinstance(member.timely(last, table.plan.expires + 1), member.Closed)
    seat.state = missed
    seat.on(resealed(late, messages.Deliver(bytes(32), (), (), b"")), over)
    assert isinstance(seat.state, member.Refused)  # what was never of that round is out of order as ever
    assert seat.state.fault.code == "SECAGG_OUT_OF_ORDER"


def test_a_question_of_a_session_that_waits_too_long_for_its_vector_is_missed() -> None:
    seat, request = seat_before(Kind.DELIVER, rounds=2)
    asked, _ = member.step(seat.state, request, seat.stamp(NOW + 1))
    assert isinstance(asked, member.Asked)
    late = Stamp(asked.talk.since + 600 + member.GRACE_S + 1, {0: 99})
    state, out = member.mask(asked, vector_of(seat.plan, VICTIM), bytes(32), bytes(32), seat.entropy, late)
    assert isinstance(state, member.Missed)
    assert out == ()


@pytest.mark.parametrize("kind", [Kind.ADVERTS, Kind.SURVIVORS, Kind.RECEIPT, Kind.ABORT])
def test_a_conversation_that_begins_with_anything_but_an_open_is_out_of_order(kind: Kind) -> None:
    """G4; a receipt is the ledger's, and an abort of what is not there needs no answer."""
    seat, request = seat_before(Kind.OPEN)
    body: dict[Kind, messages.Body] = {
        Kind.ADVERTS: messages.Adverts(bytes(32), ()),
        Kind.SURVIVORS: messages.Survivors(bytes(32), IDS),
        Kind.RECEIPT: messages.Receipt(bytes(32), bytes(32), bytes(32), ()),
        Kind.ABORT: messages.Abort(8, 0),
    }
    content = resealed(request, body[kind])
    state, out = member.join(seat.terms, content, seat.entropy, seat.stamp(NOW))
    if kind in (Kind.RECEIPT, Kind.ABORT):
        assert (state, out) == (member.Idle(), ())
        return
    assert isinstance(state, member.Refused)
    assert (state.fault.code, state.evidence) == ("SECAGG_OUT_OF_ORDER", content)
    assert messages.Abort.decode(messages.body_of(out[0][1])).code == ABORT_NUMBERS["SECAGG_OUT_OF_ORDER"]


@pytest.mark.parametrize("kind", STEPS[1:])
def test_another_open_to_a_conversation_that_is_open_ends_it(kind: Kind) -> None:
    """G4: never a second plan, never a second set of keys; what it had goes."""
    seat, request = seat_before(kind)
    another = resealed(request, messages.Open(replace(seat.plan, waits=(61, 60, 600, 60, 60)).encode(), b""))
    ((_, abort),) = seat.on(another, NOW + 1)
    assert isinstance(seat.state, member.Refused)
    assert (seat.state.fault.code, seat.state.evidence) == ("SECAGG_OUT_OF_ORDER", another)
    assert seat.on(another, NOW + 2) == ((0, abort),)  # G2
    assert seat.on(request, NOW + 2) == ()


def test_after_the_plan_has_expired_every_state_is_closed() -> None:
    table = table_of(IDS)
    table.run(nobody)
    seat = table.cities[VICTIM]
    assert isinstance(seat.state, member.Revealed)
    anything = table.sent(Kind.CONFIRMS)[0]
    assert member.step(seat.state, anything, Stamp(table.plan.expires, {0: 99}))[0] == seat.state
    assert isinstance(member.step(seat.state, anything, Stamp(table.plan.expires + 1, {0: 99}))[0], member.Closed)


def test_a_question_that_waits_too_long_for_its_vector_is_closed() -> None:
    asked, seat = asked_state()
    late = Stamp(asked.talk.since + 600 + member.GRACE_S + 1, {0: 99})
    state, out = member.mask(asked, vector_of(seat.plan, VICTIM), bytes(32), bytes(32), seat.entropy, late)
    assert isinstance(state, member.Closed)
    assert out == ()


def asked_state() -> tuple[member.Asked, Seat]:
    seat, request = seat_before(Kind.DELIVER)
    state, out = member.step(seat.state, request, seat.stamp(NOW + 1))
    assert isinstance(state, member.Asked)
    assert out == ()
    assert member.step(state, request, seat.stamp(NOW + 1)) == (state, ())  # no reply yet, and no second question
    return state, seat


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(7),
        np.zeros(7, np.int32),
        np.zeros(8, np.int64),
        np.zeros((1, 7), np.int64),
        np.zeros(14, np.int64)[::2],
    ],
    ids=["float", "int32", "long", "flat", "strided"],
)
def test_only_an_int64_vector_of_the_layout_is_masked(wrong: Any) -> None:
    asked, seat = asked_state()
    with pytest.raises(TypeError, match="7 cells"):
        member.mask(asked, wrong, bytes(32), bytes(32), seat.entropy, seat.stamp(NOW))


@pytest.mark.parametrize("beyond", [BOUND + SUPPORT + 1, -BOUND - SUPPORT - 1, -(2**63), 2**63 - 1])
def test_a_cell_beyond_its_bound_never_leaves(beyond: int) -> None:
    asked, seat = asked_state()
    vector = vector_of(seat.plan, VICTIM)
    vector[3] = beyond
    state, ((_, abort),) = member.mask(asked, vector, bytes(32), bytes(32), seat.entropy, seat.stamp(NOW + 1))
    assert isinstance(state, member.Refused)
    assert state.fault.code == "SECAGG_BOUND"
    assert messages.peek(abort).kind is Kind.ABORT
    vector[3] = BOUND + SUPPORT
    assert isinstance(
        member.mask(asked, vector, bytes(32), bytes(32), seat.entropy, seat.stamp(NOW + 1))[0], member.Masked
    )


def test_the_gate_can_refuse_a_question_and_rows_behind_it_show_as_one_word() -> None:
    asked, seat = asked_state()
    state, ((_, content),) = member.refuse(asked, Refusal("SECAGG_BUDGET"), seat.stamp(NOW + 1))
    assert state.fault.code == "SECAGG_BUDGET"
    assert declined(messages.Abort.decode(messages.body_of(content)).code) == "declined:budget"
    assert declined(abort_number("EXACT_ANYTHING")) == "declined:disclosure"
    assert declined(abort_number("BUDGET_STUDY")) == "declined:budget"
    assert declined(abort_number("POLICY_KIND")) == "declined:POLICY"
    assert declined(abort_number("NOTHING_LIKE_IT")) == declined(60_000) == "declined:OTHER"


def test_a_bad_box_is_blamed_on_its_sender() -> None:
    case = next(case for case in cases() if case.name == "bad_box_flipped")
    state, ((_, content),), _ = dealt(case)
    assert messages.Abort.decode(messages.body_of(content)).about == 1
    assert isinstance(state, member.Refused)
    assert state.fault.values["who"] == "city-1"
    assert state.evidence == case.setting()[2]


def test_an_abort_of_the_coordinator_or_of_the_city_itself_closes_and_drops_the_secrets() -> None:
    seat, request = seat_before(Kind.SURVIVORS)
    abort = resealed(request, messages.Abort(0, 0))
    assert isinstance(member.close(seat.state), member.Closed)
    assert seat.on(abort, NOW + 1) == ()
    assert isinstance(seat.state, member.Closed)
    assert member.close(member.Idle()) == member.Idle()
    assert member.step(member.Idle(), abort, seat.stamp(NOW)) == (member.Idle(), ())


def test_an_abort_of_another_city_ends_nothing() -> None:
    table = table_of(IDS)
    before(table, Kind.DELIVER, VICTIM)
    seat = table.cities[VICTIM]
    said = messages.seal(
        messages.Abort(1, 0),
        identity=identity(next(city for city in IDS if city != VICTIM)),
        to=VICTIM,
        roster=table.roster,
        matter=messages.matter_of(table.plan),
        seq=99,
        now=table.now,
    )
    state = seat.state
    assert isinstance(state, member.Live)
    assert seat.on(said, table.now) == ()
    assert seat.state is state


def test_an_open_that_does_not_open_leaves_the_city_idle() -> None:
    seat, request = seat_before(Kind.OPEN)
    assert member.join(seat.terms, flipped(request, len(request) - 1), seat.entropy, seat.stamp(NOW)) == (
        member.Idle(),
        (),
    )


def test_secrets_print_only_the_name_of_their_type() -> None:
    table = table_of(IDS)
    out, states = table.start(), list[member.State]()
    while out:
        out = table.exchange(out, nobody)
        states.append(table.cities[VICTIM].state)
    assert [repr(state) for state in states[:5]] == ["Advertised", "Shared", "Masked", "Confirmed", "Revealed"]
    for state in states:
        assert isinstance(state, member.Live)
        assert repr(state.talk) == "Talk"
        assert repr(table.cities[VICTIM].terms) == "Terms"
        assert "Ed25519" not in repr(state.talk.identity)


def test_secrets_are_gone_from_the_state_when_their_use_has_ended() -> None:
    table = table_of(IDS)
    out, kept = table.start(), dict[str, member.State]()
    while out:
        out = table.exchange(out, nobody)
        state = table.cities[VICTIM].state
        kept[type(state).__name__] = state
    shared, masked, revealed = kept["Shared"], kept["Masked"], kept["Revealed"]
    assert isinstance(shared, member.Shared)
    assert isinstance(masked, member.Masked)
    assert isinstance(revealed, member.Revealed)
    assert not hasattr(shared, "c")  # nor s, nor polynomials: only what they agreed on is left
    assert not hasattr(shared, "s")
    assert not masked.room.masks  # b and every pair secret were used once
    assert masked.room.shares
    assert not revealed.room.shares


@pytest.mark.parametrize(("kind", "asked"), [(Kind.SURVIVORS, 1), (Kind.CONFIRMS, 2), (Kind.ASK, 2)])
def test_a_later_question_drops_the_secrets_of_every_round_that_it_passes(kind: Kind, asked: int) -> None:
    """Left in the middle, or never asked: what could open a round that is over is gone."""
    table = table_of(IDS, rounds=4)
    before(table, kind, VICTIM)
    seat = table.cities[VICTIM]
    state = seat.state
    assert isinstance(state, member.Masked | member.Confirmed | member.Revealed)
    ask = replace(state.turn.ask, round=asked)
    seat.on(resealed(seat.requests[0], ask, matter=messages.matter_of(table.plan, asked)), table.now)
    assert isinstance(seat.state, member.Masked)
    assert sorted(seat.state.room.shares) == list(range(asked, 4))
    assert sorted(seat.state.room.masks) == list(range(asked + 1, 4))


def test_a_box_with_a_share_outside_the_field_is_a_bad_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed well by its dealer, and 66 bytes per round: but one share has two spellings."""
    honest = sharing.share
    with monkeypatch.context() as dealing:
        dealing.setattr(
            sharing, "share", lambda of, to: sharing.P.to_bytes(33, "big") if to == VICTIM else honest(of, to)
        )
        table = table_of(IDS)
        deliver = before(table, Kind.DELIVER, VICTIM)
    state = (seat := table.cities[VICTIM]).state
    seat.on(deliver, table.now)
    assert isinstance(state, member.Shared)
    assert isinstance(seat.state, member.Refused)
    assert (seat.state.fault.code, seat.state.fault.values["about"]) == ("SECAGG_BAD_BOX", IDS[0])


@pytest.mark.parametrize(
    "old",
    [
        {"valid_until": NOW + 1},
        {"cities": tuple(replaced_key(each, until=NOW + 1) for each in entries_of(IDS).cities)},
    ],
    ids=["the roster", "the own key"],
)
def test_an_open_under_a_roster_or_a_key_whose_time_is_over_is_refused(old: dict[str, Any]) -> None:
    """P2: at the last second it is taken, one second later it is not."""
    roster = sign_roster(entries_of(IDS).model_copy(update=old), ROOT)
    for now, taken in ((NOW, True), (NOW + 1, False)):
        table = table_of(IDS, roster=roster)
        seat, request = table.cities[VICTIM], dict(table.start())[VICTIM]
        seat.on(request, now)
        assert isinstance(seat.state, member.Advertised if taken else member.Refused)
        if isinstance(seat.state, member.Refused):
            assert seat.state.fault.code == "SECAGG_ROSTER"


def test_an_ack_answers_the_receipt_of_the_sum_that_the_ledger_knows_and_no_other() -> None:
    table = table_of(IDS)
    table.run(nobody)
    seat = table.cities[VICTIM]
    receipt = next(c for c in table.sent(Kind.RECEIPT) if messages.peek(c).to == VICTIM)
    spent, stamp = seat.spent[-1], Stamp(NOW + 9, {0: 99})

    def acknowledged(content: bytes, known: member.Contribution) -> messages.Outgoing:
        return member.acknowledge(seat.terms.identity, table.roster, content, known, 7, b"h" * 32, stamp)

    ((to, ack),) = acknowledged(receipt, spent)
    assert to == 0
    body = messages.Ack.decode(messages.body_of(ack))
    assert (body.rctx, body.ledger_seq, body.ledger_head) == (spent.rctx, 7, b"h" * 32)
    keys_ = (seat.terms.identity.public,)
    assert messages.open_echo(ack, me=VICTIM, keys=keys_) == body
    assert acknowledged(receipt, replace(spent, u3=())) != ()  # restarted before it confirmed: the vector decides
    assert acknowledged(receipt, replace(spent, rctx=bytes(32))) == ()
    assert acknowledged(receipt, replace(spent, y_digest=bytes(32))) == ()
    assert acknowledged(receipt, replace(spent, u3=(1, 2, 3))) == ()
    assert acknowledged(flipped(receipt, len(receipt) - 1), spent) == ()
    assert member.step(seat.state, receipt, stamp) == (seat.state, ())


@pytest.mark.parametrize("alter", ["signature", "body", "kind", "sender"])
def test_an_echoed_ack_counts_only_if_it_is_the_city_s_own(alter: str) -> None:
    table = table_of(IDS)
    table.run(nobody)
    (ack,) = table.sent(Kind.ACK, VICTIM)
    mine = (table.cities[VICTIM].terms.identity.public,)
    wrong = {
        "signature": flipped(ack, len(ack) - 1),
        "body": flipped(ack, len(ack) - 70),
        "kind": resealed(ack, messages.Ping(bytes(32))),
        "sender": table.sent(Kind.ACK, 1)[0],
    }[alter]
    with pytest.raises(PeerError, match=r"signature|record"):
        messages.open_echo(wrong, me=VICTIM, keys=mine)


def test_a_confirm_under_the_second_key_of_a_rotating_city_is_refused() -> None:
    """Where two identity keys of a city are valid, the one under its first message of the conversation holds to the end."""
    entries = entries_of(IDS)
    both = (valid(1), valid("new 1"))
    cities = tuple(city.model_copy(update={"identity": both}) if city.id == 1 else city for city in entries.cities)
    roster = sign_roster(entries.model_copy(update={"cities": cities}), ROOT)
    seat, request = seat_before(Kind.CONFIRMS, roster=roster)

    def by_the_new_key(_: Table, content: bytes) -> bytes:
        header, body = messages.peek(content), messages.Confirm.decode(messages.body_of(content))
        signer = messages.Identity(1, key_of("new 1"), seat.terms.identity.software)
        matter = messages.matter_of(seat.plan)
        return messages.seal(body, identity=signer, to=0, roster=roster, matter=matter, seq=9, now=header.issued)

    body = messages.Confirms.decode(messages.body_of(request))
    forged = (by_the_new_key(table_of(IDS), body.confirms[0]), *body.confirms[1:])
    seat.on(resealed(request, replace(body, confirms=forged), roster=roster), NOW + 1)
    assert isinstance(seat.state, member.Refused)
    assert seat.state.fault.code == "SECAGG_BAD_SIGNATURE"
