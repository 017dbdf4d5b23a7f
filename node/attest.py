"""What a city says of its own release and of its budget, from its books alone: no row is read for it, and nothing in it depends on rows.

The gate signs it (`gate.py`); the schemas stand in `protocols/attestation.py` and `protocols/approval.py`.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from node.entries import COUNTED, SESSION, Reservation, Room
from node.ledger import Released
from protocols import privacy
from protocols.approval import Allowance
from protocols.attestation import Asked, Attestation, Charged, Sent, epsilon_text, noise_of, stated
from protocols.facts import UNSAID, lacked
from protocols.plan import OWN_BYTES, Agreement
from protocols.ring import Vector
from protocols.session import RING
from protocols.statistics.own_tables import WITHHELD
from protocols.statistics.question import Question


def attestation(
    city: str,
    run: int,
    released: Released,
    agreement: Agreement,
    audit_head: bytes,
    now: int,
    own: Vector | None = None,
) -> Attestation:
    """`run`: counted from 1, as in messages. `agreement`: over the cities of the last conversation in `released`. `own`: the cells that
    this city answered by itself. `now`: Unix s."""
    study, last = released.study, released.conversations[-1]
    published = {name: value for name, value in released.facts.items() if value != UNSAID}
    lacking = (*released.cannot, *lacked(study.facts, released.facts))
    return Attestation(
        city=city,
        study=study.digest,
        run=run - 1,
        as_of=study.file.as_of,
        snapshot=last.claim.snapshot,
        **stated(study, lacking, published),
        release=study.leaves,
        mode=study.file.privacy.mode,
        mechanism="none" if study.exact else "skellam",
        noise=noise_of(agreement),
        layout=(agreement.layout if study.summed else agreement.own).digest,
        conversations=tuple(each for held in released.conversations for each in _sent(held, agreement)),
        questions=tuple(
            Asked(id=question.id, cells=agreement.cells_of(question), suppressed=_withheld(question, agreement, own))
            for question in study.file.questions
        ),
        ledger=Charged(
            epsilon=epsilon_text(agreement.epsilon),
            delta=last.claim.delta,
            total_before=_units(released.before),
            total_after=_units(released.after),
            cap=_units(released.cap),
        ),
        audit_head=audit_head.hex(),
        at=now,
    )


def _withheld(question: Question, agreement: Agreement, own: Vector | None) -> int:
    """How many cells about a question this city did not say; mode exact."""
    if own is None or not agreement.study.exact:
        return 0
    blocks = set(agreement.study.workload.blocks[question.id].values())
    spans = [agreement.own.span(block) for block in agreement.own.blocks if block in blocks]
    return sum(int((own[span] == WITHHELD).sum()) for span in spans)


def allowances(rooms: Iterable[Room]) -> tuple[Allowance, ...]:
    """How full each cap is. Nothing charged is epsilon 0, which the conversion of an empty curve is not."""
    return tuple(
        Allowance(
            scope=room.scope,
            epsilon=str(room.cap.epsilon),
            delta=str(room.cap.delta),
            order=room.cap.order,
            room=_units(room.cap.room),
            used=_units(privacy.cost_at(room.used.curve, room.cap.order)),
            before=epsilon_text(privacy.epsilon_of(room.used.curve, room.cap.delta) * any(room.used.curve)),
        )
        for room in rooms
    )


def _sent(held: Reservation, agreement: Agreement) -> Iterator[Sent]:
    for number, each in held.rounds.items():
        if each.spent is None or not each.sent:
            continue
        own, fit = number == COUNTED, held.claim.part == SESSION
        cells = each.rows.cells if fit else (agreement.own if own else agreement.layout).length
        yield Sent(
            id=held.claim.conversation,
            kind="session" if fit else "by_city" if own else "pooled",
            round=0 if own else number,
            plan=each.spent.plan,
            cells=cells,
            bytes=cells * (OWN_BYTES if own else RING // 8 if fit else agreement.ring // 8),
            sha256=(each.spent.y if own else each.spent.reply).removeprefix("sha256:"),
            sum=each.answered.sum if each.answered else "",
            asked=each.rows.ask if fit else "",
        )


def _units(amount: int) -> str:
    """An amount in 2**-64 with six decimals, rounded up."""
    return f"{Decimal(-(-amount * 1_000_000 // privacy.COST_UNIT)) / 1_000_000:.6f}"
