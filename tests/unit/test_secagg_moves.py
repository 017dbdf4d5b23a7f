"""The tables of transitions are what happens: no transition that is not in them, none in them that never happens."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from protocols import messages
from protocols.messages import Kind
from protocols.secagg import collector, member
from protocols.secagg.moves import Move
from protocols.secagg.plan import STEPS
from tests.conversations.bad import resealed
from tests.conversations.table import AWAITED, Table, answers, at_step, lost_at, nobody, question_of, table_of

IDS: Final = (1, 2, 3, 4, 5, 6)  # t = 5
Seen = set[tuple[type, str, type, Kind | None]]


def kind_of(sent: messages.Outgoing) -> Kind | None:
    return messages.peek(sent[0][1]).kind if sent else None


def watched(module: Any, name: str, seen: Seen, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every change of state that a function of a machine makes."""
    real = getattr(module, name)

    def noting(state: Any, *arguments: Any) -> Any:
        following, sent = real(state, *arguments)
        if type(following) is not type(state) or name in ("ask", "mask"):
            seen.add((type(state), event(*arguments), type(following), kind_of(sent)))
        return following, sent

    monkeypatch.setattr(module, name, noting)


def header_kind(content: bytes, *_: object) -> str:
    return messages.peek(content).kind.value


def outcomes() -> Iterator[Table]:
    """Conversations that go every way there is."""
    for step in STEPS:
        for lost in ((), (1, 2)):
            yield played(table_of(IDS, rounds=2), {step: lost})
    for step in STEPS:
        yield aborted(step, ())
        yield aborted(step, (6,))
    for losses in ({}, {"masked": (1, 2)}):
        table = table_of(IDS)
        table.run(lost_at(losses))
        assert table.state is not None
        table.state, _ = collector.close(table.state, table.stamp())
    for step in STEPS:
        table, _ = at_step(step)
        assert table.state is not None
        table.state, told = collector.close(table.state, table.stamp())
        table.exchange(told, nobody)
    table, out = at_step("confirm")
    for city, content in out:
        wrong = resealed(content, messages.Survivors(bytes(32), IDS))
        table.cities[city].on(wrong, table.now)
    table, out = at_step("confirm", IDS, rounds=2)
    seat, late = table.cities[1], out[0][1]
    assert isinstance(seat.state, member.Masked)
    ask = replace(seat.state.turn.ask, round=1)
    seat.on(late, table.now + 700)  # the round went on without it
    seat.on(resealed(late, ask, matter=messages.matter_of(table.plan, 1)), table.now + 700)


def played(table: Table, losses: dict[str, tuple[int, ...]]) -> Table:
    table.run(lost_at(losses))
    if isinstance(table.state, collector.Summed | collector.RoundLost):
        more(table)
    return table


def more(table: Table) -> None:
    assert isinstance(table.state, collector.Summed | collector.RoundLost)
    table.state, out = collector.ask(table.state, question_of(table.plan), table.stamp())
    while out:
        out = table.exchange(out, nobody)


def aborted(step: str, silent: tuple[int, ...]) -> Table:
    """Two cities end the conversation at a step; or one does, and another is silent."""
    table, out = at_step(step, IDS, rounds=2)
    replies = answers(table, out)
    for city in silent:
        del replies[city]
    for city in (1, 2)[: 2 - len(silent)]:
        replies[city] = resealed(replies[city], messages.Abort(8, 0))
    for reply in replies.values():
        table.reply(reply)
    return table


def test_the_coordinator_s_table_is_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Seen = set()
    watched(collector, "step", seen, header_kind, monkeypatch)
    watched(collector, "wait_over", seen, lambda *_: "wait over", monkeypatch)
    watched(collector, "ask", seen, lambda *_: "`ask`", monkeypatch)
    watched(collector, "close", seen, lambda *_: "`close`", monkeypatch)
    for _ in outcomes():
        pass
    happened, written = set[tuple[type, type]](), set[tuple[type, type]]()
    for at, on, to, _ in seen:
        happened.add((at, to))
        rows = [move for move in collector.MOVES if at in move.at and move_of(move, on)]
        assert any(to in (move.to, *move.instead) for move in rows), (at, on, to)
    for move in collector.MOVES:
        written |= {(at, to) for at in move.at for to in (move.to, *move.instead)}
    assert happened <= written
    # Before shares are dealt there is no round to lose; what has failed has told everyone already.
    assert written - happened == {
        (collector.Gathering, collector.RoundLost),
        (collector.Sharing, collector.RoundLost),
        (collector.Failed, collector.Closed),
    }


def move_of(move: Move, on: str) -> bool:
    """Whether a row is about this event; the end of a wait is part of the row of the messages waited for."""
    return move.on == on or (on == "wait over" and "wait over" in move.when)


def test_the_city_s_table_is_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Seen = set()
    watched(member, "step", seen, header_kind, monkeypatch)
    watched(member, "mask", seen, lambda *_: "mask", monkeypatch)
    for _ in outcomes():
        pass
    plain = [move for move in member.MOVES if isinstance(move.on, Kind) or move.on == "mask"]
    for at, on, to, sent in seen:
        rows = [move for move in plain if at in move.at and move.on == on]
        if to is member.Refused:
            assert sent is Kind.ABORT
        elif to is member.Missed:
            assert (at, sent) in {(member.Masked, None), (member.Confirmed, None)}
        elif rows:
            assert [(move.to, move.sends) for move in rows] == [(to, sent)]
        else:
            assert to is member.Closed
    for move in plain:
        for at in move.at:
            if move.take is not None and move.on is not Kind.ABORT and at is not member.Asked:
                assert any((at, move.on, move.to) == found[:3] for found in seen), (at, move.on)


@pytest.mark.parametrize("step", STEPS)
def test_a_signed_message_that_is_not_in_the_table_is_out_of_order(step: str) -> None:
    """For every state, every request that has no row in it."""
    for kind in AWAITED.values():
        table, out = at_step(step)
        seat, (_, content) = table.cities[1], out[0]
        known = {move.on for move in member.MOVES if type(seat.state) in move.at}
        if kind in known or isinstance(seat.state, member.Idle):
            continue
        body = {
            Kind.OPEN: messages.Open(table.plan.encode(), b""),
            Kind.ADVERTS: messages.Adverts(bytes(32), ()),
            Kind.DELIVER: messages.Deliver(bytes(32), (), (), b""),
            Kind.SURVIVORS: messages.Survivors(bytes(32), IDS),
            Kind.CONFIRMS: messages.Confirms(bytes(32), ()),
        }[kind]
        seat.on(resealed(content, body), table.now)
        assert isinstance(seat.state, member.Refused)
        assert seat.state.fault.code == "SECAGG_OUT_OF_ORDER"
