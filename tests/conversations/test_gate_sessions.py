"""Sessions between real gates: one set-up, a sum per question, each charged at its own vector; cities go and come back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node import gate, snapshot
from protocols import messages
from protocols.errors import IncompleteError, Refusal, abort_number
from protocols.messages import Kind, matter_of
from protocols.secagg import collector, member
from protocols.secagg.transcript import verify
from simulations import world
from tests.conversations.rounds_of_gates import FIVE, asked_in, lose, question, session_rig
from tests.gates import Rig


def plain(rig: Rig, session: Any, number: int, cities: tuple[int, ...]) -> Any:
    """The rows of these cities counted without anything around them."""
    asked, found = session.sums[number], []
    for city in cities:
        here = rig.gates[rig.present.post.roster.name(city)].station
        rows = snapshot.open_for(here.home, rig.study.file.as_of)
        found.append(gate.encoded(session.study, session.part(asked), rows))
    return np.sum(found, axis=0)


def kinds(rig: Rig) -> list[str]:
    """What was asked of the first city, in order."""
    return [each["event"] for each in rig.present.events if each.get("city") == "east"]


def charged(rig: Rig, city: str = "east") -> list[tuple[int, tuple[int, ...]]]:
    """Rounds that a city's ledger has charged, with the blocks that each asked."""
    (held,) = rig.gates[city].ledger.view(rig.now).reservations
    return [(number, each.rows.blocks) for number, each in held.rounds.items() if each.spent is not None]


def test_an_exact_session_sums_question_after_question_with_one_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session_rig(tmp_path / "cities", monkeypatch, exact=True) as rig:
        talk, questions, session = asked_in(rig)
        for number, found in enumerate(talk.sums(*questions)):
            assert found.u3 == (1, 2, 3, 4, 5)
            assert np.array_equal(found.total, plain(rig, session, number, found.u3))
            verify(talk.transcript(), bytes.fromhex(rig.present.post.roster.entries.root), found.total)
        assert len(questions) == 2
        first = ["offer", "open", "adverts", "deliver", "survivors", "confirms"]
        assert kinds(rig) == [*first, "ask", "survivors", "confirms"]  # three exchanges for a later round


def test_a_city_lost_in_one_round_is_back_in_the_next_and_pays_for_what_it_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        talk, questions, _ = asked_in(rig)
        lose(rig, "west@confirm:0", "north@masked:1")
        sums = [found.u3 for found in talk.sums(*questions)]
        assert sums == [(1, 2, 3, 4, 5), (1, 3, 4, 5)]
        assert charged(rig) == charged(rig, "west") == [(0, (0,)), (1, (1,))]
        assert charged(rig, "north") == [(0, (0,))]
        rig.present.link.lost.clear()
        talk.close()
        assert not any(each.talks for each in rig.gates.values())
        held = {city: rig.gates[city].ledger.view(rig.now).reservations[0] for city in FIVE}
        assert held["north"].charged.curve < held["east"].charged.curve  # the round it missed is free again
        assert held["north"].void


def test_a_gate_drops_the_secrets_of_a_round_that_went_on_without_it_whatever_it_is_asked_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversation is silent; a ping is enough to see that the wait is over."""
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        talk, *_ = asked_in(rig)
        lose(rig, "west@confirm:0")
        talk.play()
        (held,), clock = rig.gates["west"].talks.values(), rig.present.post.clock
        assert isinstance(held.state, member.Masked | member.Confirmed)
        assert 0 in held.state.room.shares
        assert isinstance(clock, world.Clock)
        clock.virtual = talk.state.talk.plan.expires - 5
        ping = rig.sealed(messages.Ping(bytes(32)), messages.Matter(rig.now + 60), to=4)
        assert rig.gates["west"].answer(ping, rig.now)
        assert isinstance(held.state, member.Missed)
        assert 0 not in held.state.room.shares
        assert 0 not in held.state.room.masks


def test_each_round_has_a_receipt_of_its_own_and_the_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session_rig(tmp_path / "cities", monkeypatch, exact=True) as rig:
        talk, questions, _ = asked_in(rig)
        acks = [talk.receipts() for _ in talk.sums(*questions)]
        assert [sorted(each) for each in acks] == [[1, 2, 3, 4, 5]] * 2
        assert acks[0] != acks[1]
        (held,) = rig.gate.ledger.view(rig.now).reservations
        assert all(each.answered is not None for each in held.rounds.values())
        assert not rig.gate.talks  # after the last round nothing is left to ask


def test_a_lost_exact_round_is_asked_again_in_a_spare_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session_rig(tmp_path / "cities", monkeypatch, exact=True, spare=1) as rig:
        talk, questions, session = asked_in(rig, spare=1)
        lose(rig, "south@confirm:0")  # its vector came, its signature did not
        totals = [found.total for found in talk.sums(*questions)]
        assert [np.array_equal(total, plain(rig, session, n, (1, 2, 3, 4, 5))) for n, total in enumerate(totals)] == [
            True,
            True,
        ]
        assert [number for number, _ in charged(rig)] == [0, 1, 2]


def test_without_a_spare_round_a_lost_one_ends_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session_rig(tmp_path / "cities", monkeypatch, exact=True) as rig:
        talk, questions, _ = asked_in(rig)
        lose(rig, "south@confirm:0", "east@masked:1")
        with pytest.raises(IncompleteError) as few:
            list(talk.sums(*questions))
        assert few.value.code == "SECAGG_ROUND_LOST"
        assert isinstance(talk.state, collector.Closed)


def test_a_session_that_fails_before_its_first_sum_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        talk, questions, _ = asked_in(rig)
        lose(rig, "south@shares", "east@shares")
        with pytest.raises(IncompleteError) as few:
            list(talk.sums(*questions))
        assert few.value.code == "SECAGG_TOO_FEW"


@pytest.mark.parametrize("step", ["shares", "masked"])
def test_a_city_that_never_got_its_shares_stays_lost_for_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        talk, questions, _ = asked_in(rig)
        lose(rig, f"south@{step}")
        assert [found.u3 for found in talk.sums(*questions)] == [(1, 2, 4, 5)] * 2


def asked_again(rig: Rig, **changed: Any) -> int:
    """The Abort that the first city gives to a question of round 1 with some fields changed."""
    talk, _, _ = asked_in(rig)
    state = talk.play()
    assert isinstance(state, collector.Summed)
    ask = replace(state.turn.ask, round=1, **changed)
    content = rig.sealed(ask, matter_of(state.talk.plan, 1))
    reply = rig.gate.answer(content, rig.now)
    assert reply is not None
    assert messages.peek(reply).kind is Kind.ABORT
    assert not rig.gate.talks
    return messages.Abort.decode(messages.body_of(reply)).code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, "SECAGG_BUDGET"),  # the same block twice, and no spare round was reserved
        ({"question": b'{"block":9}'}, "SECAGG_FOREIGN_QUESTION"),
        ({"layout": bytes(32)}, "SECAGG_FOREIGN_QUESTION"),
        ({"length": 2}, "SECAGG_FOREIGN_QUESTION"),
        ({"ctx": bytes(32)}, "SECAGG_ROUND_USED"),
    ],
)
def test_a_later_question_that_was_not_agreed_is_refused_and_reads_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], code: str
) -> None:
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        assert asked_again(rig, **changed) == abort_number(code)
        assert len(charged(rig)) == 1


def test_books_that_cannot_be_written_answer_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session_rig(tmp_path / "cities", monkeypatch) as rig:
        talk, _, session = asked_in(rig)
        talk.play()

        def full(*_: object, **__: object) -> None:
            raise Refusal("LEDGER_UNAVAILABLE")

        with monkeypatch.context() as patch:
            patch.setattr(rig.gate.ledger, "rows", full)
            found = talk.ask(question(session, session.sums[1]))
        assert isinstance(found, collector.Summed)
        assert found.u3 == (2, 3, 4, 5)


def test_a_one_round_study_has_no_second_round(tmp_path: Path) -> None:
    from tests import gates

    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as rig:
        agreement = rig.approved()[1]
        assert rig.plan(agreement).rounds == 1
        assert agreement.part(agreement.sums[0]) == agreement.layout


@pytest.mark.parametrize(
    ("text", "drop"),
    [("a@masked", world.Drop("a", "masked")), ("a@reveal:12", world.Drop("a", "reveal", 12))],
)
def test_a_drop_names_city_step_and_round(text: str, drop: world.Drop) -> None:
    assert world.drop(text) == drop
