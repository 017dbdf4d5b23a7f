"""A city's node dies after any durable write, or with a reply in hand: it is a drop-out, and a receipt is answered from its books."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator import rounds
from node.gate import Gate
from node.ledger import FILE, Ledger
from protocols import messages
from protocols.entropy import seeded
from protocols.errors import IncompleteError
from protocols.messages import Kind
from protocols.secagg.plan import STEPS
from protocols.study import load
from tests import gates
from tests.conversations.rounds_of_gates import POLICY, STUDY
from tests.gates import Rig

FOUR: Final = ("east", "north", "south", "west")  # dp: t = 3, c = d = 1; exact: t = 4, k = 3
WRITE: Final = dict(zip(STEPS, ("reserve", "admit", "spend", "confirm", "reveal"), strict=True))
REQUEST: Final = dict(zip(STEPS, ("open", "adverts", "deliver", "survivors", "confirms"), strict=True))


# Every step and both moments; the seven that are least like a city that was never there run always, all ten of both modes with `-m slow`.
POINTS: Final = [
    pytest.param(
        step,
        after_write,
        marks=() if step in STEPS[2:] or (after_write and step == "advert") else pytest.mark.slow,
        id=f"{step} {'after the write' if after_write else 'before the send'}",
    )
    for step in STEPS
    for after_write in (True, False)
]


class Killed(BaseException):
    """The process is gone."""


def restarted(rig: Rig, city: str = "east") -> None:
    """What a new process of this node has: its disk. Secrets, replies in memory and open conversations are gone."""
    gate = rig.gates[city]
    gate.ledger.close()
    gate.talks.clear()
    gate.ledger = Ledger.open(
        gate.station.home / FILE,
        policy=gate.policy,
        city=city,
        city_key=gate.station.identity.public,
        now=rig.now,
        entropy=seeded("restarted", city),
        dictionary=gate.station.dictionary,
    )


@dataclass
class Mortal:
    """A gate that dies once, at a request of one kind: after its durable write, or with the reply in hand. Then it is restarted."""

    rig: Rig
    gate: Gate
    step: str
    after_write: bool
    monkeypatch: pytest.MonkeyPatch
    died: bool = False
    inner: Callable[[bytes, int], bytes | None] | None = None

    def answer(self, content: bytes, now: int) -> bytes | None:
        assert self.inner is not None
        if self.died or messages.peek(content).kind.value != REQUEST[self.step]:
            return self.inner(content, now)
        self.died = True
        with self.monkeypatch.context() as patch:
            if self.after_write:
                real = getattr(self.gate.ledger, WRITE[self.step])

                def killed(*arguments: Any, **named: Any) -> None:
                    real(*arguments, **named)
                    raise Killed

                patch.setattr(self.gate.ledger, WRITE[self.step], killed)
            with suppress(Killed):
                self.inner(content, now)
        restarted(self.rig)
        return None


@pytest.fixture
def four(tmp_path: Path) -> Path:
    gates.write(tmp_path / "cities", 12, STUDY, FOUR)
    for city in FOUR:
        (tmp_path / "cities" / city / "policy.yaml").write_text(POLICY, encoding="utf-8")
    return tmp_path / "cities"


def crashing(
    folder: Path, step: str, *, exact: bool, after_write: bool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Rig, rounds.Answers, Any]]:
    study = load(folder / "study.yaml")
    with gates.rig(folder, study=study.in_exact_mode() if exact else study) as rig:
        answers, agreement = rig.approved()
        gate = rig.gates["east"]
        mortal = Mortal(rig, gate, step, after_write, monkeypatch, inner=gate.answer)
        monkeypatch.setattr(gate, "answer", mortal.answer)
        yield rig, answers, agreement
        assert mortal.died


@pytest.mark.parametrize(("step", "after_write"), POINTS)
def test_a_node_that_dies_is_a_drop_out_and_the_sum_is_right(
    four: Path, monkeypatch: pytest.MonkeyPatch, step: str, after_write: bool
) -> None:
    for rig, answers, agreement in crashing(four, step, exact=False, after_write=after_write, monkeypatch=monkeypatch):
        vectors = caught(monkeypatch)
        done = rounds.summed(rig.present.post, agreement, answers, {})
        stayed = (1, 2, 3, 4) if step in ("confirm", "reveal") else (2, 3, 4)
        assert done.opened.survivors == stayed
        assert np.array_equal(done.opened.total, sum(vectors[city] for city in stayed))
        acks = done.conversation.receipts()
        assert sorted(acks) == list(stayed)  # also of the node that died: its books know what it sent and signed
        (held,) = rig.gate.ledger.view(rig.now).reservations
        signed = [each.confirmed for each in held.rounds.values() if each.confirmed]
        assert all(each.cities == stayed for each in signed)
        assert bool(signed) == (
            (step in ("confirm", "reveal") and (after_write or step == "reveal")) or step == "confirm"
        )


@pytest.mark.parametrize(("step", "after_write"), POINTS)
def test_in_mode_exact_it_ends_the_round_unless_all_have_signed(
    four: Path, monkeypatch: pytest.MonkeyPatch, step: str, after_write: bool
) -> None:
    for rig, answers, agreement in crashing(four, step, exact=True, after_write=after_write, monkeypatch=monkeypatch):
        vectors = caught(monkeypatch)
        if step == "reveal":
            done = rounds.summed(rig.present.post, agreement, answers, {})
            assert np.array_equal(done.opened.total, sum(vectors.values()))
            assert sorted(done.conversation.receipts()) == [1, 2, 3, 4]
            continue
        with pytest.raises(IncompleteError):
            rounds.summed(rig.present.post, agreement, answers, {})
        for city in FOUR:
            held = rig.gates[city].ledger.view(rig.now).reservations
            assert not any(each.revealed for one in held for each in one.rounds.values())


def caught(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """Every city's vector, noise and all, on its way into its mask; each city masks at most one per round."""
    from protocols.secagg import member

    vectors: dict[int, Any] = {}
    real = member.mask

    def watched(state: member.Asked, vector: Any, *rest: Any) -> Any:
        assert state.talk.identity.id not in vectors
        vectors[state.talk.identity.id] = vector
        return real(state, vector, *rest)

    monkeypatch.setattr(member, "mask", watched)
    return vectors


def test_the_vector_that_was_charged_is_given_again_by_the_restarted_node_and_nothing_else_is(
    four: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spent, then killed: a repeat of the question gets the very bytes from the outbox. Every other step is silence."""
    with gates.rig(four) as rig:
        answers, agreement = rig.approved()
        post, first = rig.present.post, dict[str, tuple[bytes, bytes | None]]()
        gate, real = rig.gate, rig.gate.answer

        def noting(content: bytes, now: int) -> bytes | None:
            reply = real(content, now)
            first[messages.peek(content).kind.value] = content, reply
            return reply

        monkeypatch.setattr(gate, "answer", noting)
        rounds.summed(post, agreement, answers, {})
        restarted(rig)
        for kind in ("open", "adverts", "deliver", "survivors", "confirms"):
            request, reply = first[kind]
            assert reply is not None
            assert real(request, rig.now) == (reply if kind == "deliver" else None)


def test_a_receipt_after_a_restart_is_answered_once_and_the_same_again(four: Path) -> None:
    with gates.rig(four) as rig:
        answers, agreement = rig.approved()
        done = rounds.summed(rig.present.post, agreement, answers, {})
        restarted(rig)
        (receipt,) = [content for city, content in done.conversation.sent if city == 1]
        ack = rig.gate.answer(receipt, rig.now)
        assert ack is not None
        assert messages.peek(ack).kind is Kind.ACK
        restarted(rig)
        assert rig.gate.answer(receipt, rig.now) == ack
