"""The coordinator at the table: who is taken, who is named, and when there is no sum."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from protocols import messages
from protocols.errors import IncompleteError, PeerError, Refusal
from protocols.messages import Kind, Outgoing, Stamp
from protocols.secagg import collector
from protocols.secagg.collector import Fault
from protocols.secagg.plan import STEPS
from tests.conversations.bad import BODY_AT, altered, flipped, low_order, resealed
from tests.conversations.table import (
    NOW,
    Table,
    answers,
    at_step,
    identity,
    lost_at,
    nobody,
    question_of,
    table_of,
    vector_of,
)

IDS: Final = (1, 2, 3, 4, 5, 6)


def finish(table: Table, replies: dict[int, bytes]) -> None:
    """Hand in the replies of one step, let its wait pass, and play on to the end."""
    out = Outgoing()
    for reply in replies.values():
        out += table.reply(reply)
    out = out or table.wait_over()
    while out:
        out = table.exchange(out, nobody)


def repeated(table: Table, honest: bytes) -> bytes:
    assert isinstance(table.state, collector.Gathering)
    other = messages.Advert.decode(messages.body_of(table.state.came[1]))
    return altered("advert", c_pk=other.pairs[0][0])(table, honest)


def off_field(shares: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, bytes], ...]:
    return ((shares[0][0], b"\xff" * 33), *shares[1:])


BAD: Final[list[tuple[str, str, Callable[[Table, bytes], bytes]]]] = [
    ("advert", "SECAGG_FOREIGN_ADVERT", altered("advert", plan_digest=bytes(32))),
    ("advert", "SECAGG_REPEATED_KEY", repeated),
    ("advert", "SECAGG_LOW_ORDER_KEY", altered("advert", c_pk=next(low_order()))),
    ("advert", "ENVELOPE_BODY", altered("advert", pairs=lambda pairs: pairs * 2)),
    ("shares", "SECAGG_BAD_BOX", altered("shares", ctx=bytes(32))),
    ("shares", "SECAGG_BAD_BOX", altered("shares", boxes=lambda boxes: boxes[1:])),
    ("masked", "SECAGG_FOREIGN_ROUND", altered("masked", rctx=bytes(32))),
    ("masked", "SECAGG_FOREIGN_QUESTION", altered("masked", y=lambda y: bytes(y)[4:])),
    ("confirm", "SECAGG_SPLIT_SURVIVORS", altered("confirm", u3_digest=bytes(32))),
    ("reveal", "SECAGG_FOREIGN_ROUND", altered("reveal", rctx=bytes(32))),
    ("reveal", "SECAGG_BAD_U3", altered("reveal", b_shares=lambda shares: shares[1:])),
    ("reveal", "SECAGG_BAD_SHARE", altered("reveal", b_shares=off_field)),
]


@pytest.mark.parametrize(
    ("step", "code", "make"), BAD, ids=[f"{step}-{code}-{n}" for n, (step, code, _) in enumerate(BAD)]
)
def test_a_signed_reply_that_breaks_its_rules_takes_its_city_out_and_names_it(
    step: str, code: str, make: Callable[[Table, bytes], bytes]
) -> None:
    table, out = at_step(step)
    replies = answers(table, out)
    table.reply(replies.pop(1))
    bad = make(table, replies.pop(2))
    table.reply(bad)
    assert table.state is not None
    assert table.state.talk.faults == (Fault(2, step, code, (messages.imprint(bad),)),)
    finish(table, replies)
    assert isinstance(table.state, collector.Summed)
    answered = set(IDS) if step in ("confirm", "reveal") else set(IDS) - {2}
    assert set(table.state.u3) == answered
    assert np.array_equal(table.total, table.plain(answered))
    assert collector.missing(table.state) == ({} if 2 in answered else {2: f"no_{step}"})


@pytest.mark.parametrize("step", STEPS)
def test_unsigned_late_doubled_and_strangers_replies_change_nothing(step: str) -> None:
    table, out = at_step(step)
    replies = answers(table, out)
    table.reply(replies[1])
    state = table.state
    foreign = resealed(replies[2], messages.Ping(bytes(32)))
    stranger = resealed(replies[2], BODY_AT[step].decode(messages.body_of(replies[2])), sender=9)
    to_another_call = messages.seal(
        BODY_AT[step].decode(messages.body_of(replies[2])),
        identity=identity(2),
        to=0,
        roster=table.roster,
        matter=messages.matter_of(table.plan),
        seq=99,
        now=NOW,
        in_reply_to=bytes(32),
    )
    for nothing in (b"", flipped(replies[2], len(replies[2]) - 1), replies[1], foreign, stranger, to_another_call):
        assert table.reply(nothing) == ()
        assert table.state is state
    finish(table, {city: reply for city, reply in replies.items() if city != 1})
    assert np.array_equal(table.total, table.plain(IDS))


def test_a_masked_vector_that_comes_after_the_survivors_is_not_read() -> None:
    table, out = at_step("masked")
    replies = answers(table, out)
    late = replies.pop(3)
    following = Outgoing()
    for reply in replies.values():
        following += table.reply(reply)
    following += table.wait_over()
    assert isinstance(table.state, collector.Confirming)
    state = table.state
    assert table.reply(late) == ()
    assert table.state is state
    while following:
        following = table.exchange(following, nobody)
    assert np.array_equal(table.total, table.plain((1, 2, 4, 5, 6)))
    assert collector.missing(table.state) == {3: "no_masked"}


def test_two_different_vectors_of_one_city_take_both_out_again() -> None:
    table, out = at_step("masked")
    replies = answers(table, out)
    first, second = replies[2], altered("masked", y=lambda y: bytes(len(y)))(table, replies[2])
    for city in (1, 2):
        table.reply(replies.pop(city))
    before = table.state
    table.reply(first)
    assert table.state is before
    for forged in (
        first[:-70] + bytes([first[-70] ^ 1]) + first[-69:],
        second[:-70] + bytes([second[-70] ^ 1]) + second[-69:],
    ):
        table.reply(forged)
        assert table.state is before  # under an honest header: another body does not open
    table.reply(second)
    assert table.state is not None
    evidence = (messages.imprint(first), messages.imprint(second))
    assert table.state.talk.faults == (Fault(2, "masked", "SECAGG_EQUIVOCATION", evidence),)
    third = table.state
    table.reply(first)
    assert table.state is third
    finish(table, replies)
    assert np.array_equal(table.total, table.plain((1, 3, 4, 5, 6)))
    assert collector.missing(table.state) == {2: "equivocation"}


@pytest.mark.parametrize("step", STEPS)
def test_an_abort_is_a_drop_out_with_a_reason(step: str) -> None:
    table, out = at_step(step)
    replies = answers(table, out)
    replies[4] = resealed(replies[4], messages.Abort(8, 0))
    finish(table, replies)
    assert isinstance(table.state, collector.Summed)
    early = step in STEPS[:3]
    assert collector.missing(table.state) == ({4: "declined:budget"} if early else {})
    assert np.array_equal(table.total, table.plain(set(IDS) - ({4} if early else set())))


def test_an_abort_after_the_reply_that_it_answers_does_not_take_the_reply_back() -> None:
    table, out = at_step("masked")
    replies = answers(table, out)
    table.reply(replies[1])
    state = table.state
    table.reply(resealed(replies[1], messages.Abort(8, 0)))
    assert table.state is state


def test_a_dealer_whose_boxes_more_than_c_cities_cannot_open_is_named() -> None:
    table, out = at_step("masked", dropouts=2, colluders=1)
    replies = answers(table, out)
    for city in (2, 3):
        assert table.state is not None
        assert table.state.talk.faults == ()
        replies[city] = resealed(replies[city], messages.Abort(70, 5))
        table.reply(replies.pop(city))
    assert table.state is not None
    assert table.state.talk.faults == (Fault(5, "shares", "SECAGG_BAD_BOX"),)


@pytest.mark.parametrize("step", ["advert", "masked", "confirm"])
def test_aborts_that_leave_fewer_than_t_end_the_conversation_at_once_and_tell_the_others(step: str) -> None:
    table, out = at_step(step)
    replies = answers(table, out)
    assert table.reply(resealed(replies[1], messages.Abort(8, 0))) == ()
    told = table.reply(resealed(replies[2], messages.Abort(8, 0)))
    assert isinstance(table.state, collector.Failed)
    assert [city for city, _ in told] == [3, 4, 5, 6]
    assert {messages.peek(content).kind for _, content in told} == {Kind.ABORT}
    assert (table.state.step, table.state.came, table.state.needed) == (step, 0, 5)
    fault = collector.failure(table.state)
    assert isinstance(fault, IncompleteError)
    assert fault.code == "SECAGG_TOO_FEW"
    assert fault.exit_code == 1
    ended = table.state
    assert collector.close(ended, table.stamp()) == (collector.Closed(ended.talk), ())
    assert table.reply(replies[3]) == ()
    assert collector.wait_over(ended, table.stamp()) == (ended, ())


@pytest.mark.parametrize("step", STEPS)
def test_too_few_at_a_step_give_no_sum_and_say_how_many_came(step: str) -> None:
    table = table_of(IDS)
    table.run(lost_at({step: (2, 5)}))
    state = table.state
    assert isinstance(state, collector.Failed if step in STEPS[:2] else collector.RoundLost)
    assert (state.step, state.came, state.needed) == (step, 4, 5)
    fault = collector.failure(state)
    assert fault.values["came"] == 4
    assert fault.code == ("SECAGG_TOO_FEW" if step in STEPS[:2] else "SECAGG_ROUND_LOST")
    expected = {2: f"no_{step}", 5: f"no_{step}"} if step in STEPS[:3] else {}
    assert collector.missing(state) == expected


def test_a_lost_round_is_closed_by_an_abort_to_those_who_are_left() -> None:
    table = table_of(IDS)
    table.run(lost_at({"masked": (2, 5)}))
    assert isinstance(table.state, collector.RoundLost)
    closed, told = collector.close(table.state, table.stamp())
    assert [city for city, _ in told] == list(IDS)
    assert isinstance(closed, collector.Closed)
    for city in (1, 3):
        assert table.cities[city].on(dict(told)[city], table.now) == ()
        assert repr(table.cities[city].state) == "Closed"


@pytest.mark.parametrize(("step", "wait"), list(zip(STEPS, (60, 60, 600, 60, 60), strict=True)))
def test_each_step_has_its_own_wait_from_when_it_was_asked(step: str, wait: int) -> None:
    table, _ = at_step(step)
    assert isinstance(table.state, collector.Open)
    assert collector.deadline(table.state) == table.state.talk.since + wait
    assert table.state.talk.since == NOW + max(STEPS.index(step) - 1, 0)


@pytest.mark.parametrize("step", STEPS)
def test_close_tells_everyone_who_is_still_in(step: str) -> None:
    table, _ = at_step(step)
    assert table.state is not None
    closed, told = collector.close(table.state, table.stamp())
    assert [city for city, _ in told] == list(IDS)
    assert collector.close(closed, table.stamp()) == (closed, ())


def test_the_last_ack_of_each_city_is_kept_and_shown_in_the_next_open() -> None:
    table = table_of(IDS)
    table.run(nobody)
    assert isinstance(table.state, collector.Summed)
    acks = dict(table.state.talk.acks)
    assert set(acks) == set(IDS)
    state = table.state
    for ack in acks.values():
        assert table.reply(ack) == ()
    foreign = messages.Ack.decode(messages.body_of(acks[3]))
    table.reply(flipped(acks[3], len(acks[3]) - 1))
    table.reply(resealed(acks[3], replace(foreign, receipt=bytes(32))))
    table.reply(resealed(acks[3], foreign, sender=9))
    assert table.state is state
    newer = resealed(acks[3], replace(foreign, ledger_seq=9))
    table.reply(newer)
    assert table.state.talk.acks == {**acks, 3: newer}
    _, out = collector.start(
        identity(0), table.roster, table.plan, question_of(table.plan), table.state.talk.acks, table.stamp()
    )
    assert messages.Open.decode(messages.body_of(dict(out)[3])).ack == newer


def test_the_receipt_names_the_sum_the_transcript_and_every_vector() -> None:
    table = table_of(IDS)
    table.run(lost_at({"masked": (6,)}))
    assert isinstance(table.state, collector.Summed)
    receipt = table.state.receipt
    assert receipt.transcript == collector.transcript(table.state, table.recall).digest()
    assert [city for city, _ in receipt.inputs] == [1, 2, 3, 4, 5]
    for city, y_digest in receipt.inputs:
        assert table.cities[city].spent[-1].y_digest == y_digest


def test_a_plan_that_breaks_a_rule_is_not_even_opened() -> None:
    table = table_of(IDS)
    with pytest.raises(Refusal, match="threshold"):
        collector.start(
            identity(0), table.roster, replace(table.plan, threshold=2), question_of(table.plan), {}, table.stamp()
        )


def wrong_reveals(*cities: int, dealer: int | None = None) -> Callable[[Table, dict[int, bytes]], dict[int, bytes]]:
    """These cities add something to their share of the first b they hold (of `dealer`, if named)."""

    def spoil(_: Table, replies: dict[int, bytes]) -> dict[int, bytes]:
        for city in cities:
            body = messages.Reveal.decode(messages.body_of(replies[city]))
            shares = tuple(
                (of, share if of != (dealer or body.b_shares[0][0]) else (int.from_bytes(share) + 3**city).to_bytes(33))
                for of, share in body.b_shares
            )
            replies[city] = resealed(replies[city], replace(body, b_shares=shares))
        return replies

    return spoil


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("bad", IDS)
def test_one_wrong_share_is_named_and_the_sum_is_right(bad: int, exact: bool) -> None:
    """k = 5 of six in mode exact and in mode dp: any one may lie, also one who was not needed."""
    table, out = at_step("reveal", exact=exact)
    finish(table, wrong_reveals(bad)(table, answers(table, out)))
    assert isinstance(table.state, collector.Summed)
    assert np.array_equal(table.total, table.plain(IDS))
    faults = table.state.talk.faults
    assert [(each.city, each.step, each.code) for each in faults] == [(bad, "reveal", "SECAGG_BAD_SHARE")]
    (evidence,) = faults[0].evidence
    assert messages.peek(table.recall(evidence)).sender == bad


def test_a_wrong_share_that_cannot_be_told_from_a_bad_dealer_loses_the_round_and_names_nobody() -> None:
    table, out = at_step("reveal")
    replies = wrong_reveals(2)(table, answers(table, out))
    del replies[6]
    finish(table, replies)
    assert isinstance(table.state, collector.RoundLost)
    assert table.state.code == "SECAGG_INCONSISTENT"
    assert table.state.talk.faults == ()
    fault = collector.failure(table.state)
    assert [each.code for each in fault.every()] == ["SECAGG_ROUND_LOST", "SECAGG_INCONSISTENT"]


def test_a_dealer_whose_secret_no_set_of_honest_cities_opens_is_named() -> None:
    """Seven cities, c = 1, k = 5: of any six, five are honest and open an honest dealer's secret."""
    table = table_of(range(1, 8), dropouts=2)
    assert table.plan.threshold == 5
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.CONFIRMS:
        out = table.exchange(out, nobody)
    finish(table, wrong_reveals(*range(1, 8), dealer=4)(table, answers(table, out)))
    assert isinstance(table.state, collector.RoundLost)
    assert table.state.talk.faults == (Fault(4, "shares", "SECAGG_BAD_DEALING"),)
    fault = collector.failure(table.state)
    assert [each.code for each in fault.every()] == ["SECAGG_ROUND_LOST", "SECAGG_BAD_DEALING"]
    assert isinstance(fault.also[0], PeerError)
    assert fault.also[0].who == "city-4"


def play_round(table: Table, round_: int, lost: tuple[int, ...] = ()) -> None:
    """Ask the next question of a session."""
    assert isinstance(table.state, collector.Summed | collector.RoundLost)
    table.state, out = collector.ask(table.state, question_of(table.plan, 5), table.stamp())
    while out:
        out = table.exchange(out, lambda city, _, r: r == round_ and city in lost)


def test_a_session_pays_for_keys_once_and_a_city_lost_in_one_round_answers_the_next() -> None:
    table = table_of(IDS, rounds=4)
    table.run(nobody)
    adverts = len(table.sent(Kind.ADVERT))
    play_round(table, 1, lost=(3,))
    assert np.array_equal(table.total, table.plain((1, 2, 4, 5, 6), 1))
    assert collector.missing(table.state) == {3: "no_masked"}  # type: ignore[arg-type]  # a state by now
    play_round(table, 2)
    assert np.array_equal(table.total, table.plain(IDS, 2))
    assert np.array_equal(table.cities[1].vectors[2], vector_of(table.plan, 1, 2, 5))
    play_round(table, 3, lost=(1, 2))
    assert isinstance(table.state, collector.RoundLost)
    assert len(table.sent(Kind.ADVERT)) == adverts == 6
    assert isinstance(table.state, collector.RoundLost)
    ended, told = collector.ask(table.state, question_of(table.plan), table.stamp())  # rounds are used up
    assert isinstance(ended, collector.Closed)
    assert len(told) == 6


def test_a_round_that_was_passed_is_never_masked_again() -> None:
    table = table_of(IDS, rounds=2)
    table.run(nobody)
    seat = table.cities[1]
    (ask,) = [c for c in seat.requests if messages.peek(c).kind is Kind.DELIVER]
    play_round(table, 1)
    state = seat.state
    assert seat.on(ask, table.now) == ()  # the old request: known, and its reply is gone
    assert seat.state is state
    again = messages.Ask(bytes(32), 1, 5, table.plan.layout, b"")
    content = messages.seal(
        again,
        identity=identity(0),
        to=1,
        roster=table.roster,
        matter=messages.matter_of(table.plan, 1),
        seq=99,
        now=NOW,
    )
    seat.on(content, table.now)
    assert repr(seat.state) == "Refused"


def test_too_few_left_in_a_session_close_it() -> None:
    table, out = at_step("reveal", rounds=2)
    replies = answers(table, out)
    replies[4] = resealed(replies[4], messages.Abort(8, 0))
    finish(table, replies)
    assert isinstance(table.state, collector.Summed)
    state = replace(table.state, talk=replace(table.state.talk, gone=frozenset({3, 4})))
    assert isinstance(collector.ask(state, question_of(table.plan), table.stamp())[0], collector.Closed)


def test_the_same_events_give_the_same_bytes() -> None:
    one, other = table_of(IDS), table_of(IDS)
    one.run(lost_at({"masked": (2,)}))
    other.run(lost_at({"masked": (2,)}))
    assert one.wire == other.wire


def test_a_state_is_never_changed_by_a_step() -> None:
    """An earlier state can be stepped again, as a replay of the log does, with the same result."""
    table, out = at_step("masked")
    replies = answers(table, out)
    start = table.state
    assert start is not None
    for reply in replies.values():
        table.log[messages.imprint(reply)] = reply

    def played() -> collector.State:
        state = start
        for reply in replies.values():
            state, _ = collector.step(state, reply, Stamp(NOW, dict.fromkeys(IDS, 50)), table.recall)
        return state

    first, second = played(), played()
    assert isinstance(first, collector.Confirming)
    assert isinstance(second, collector.Confirming)
    assert np.array_equal(first.total, second.total)
    assert first.u3 == second.u3
