"""What a city says of its own release, from its books alone: no row is read for it, and nothing in it depends on rows.

The gate signs it (`gate.py`); the schema stands in `protocols/attestation.py`.
"""

from decimal import Decimal

from node.entries import Reservation
from node.ledger import Released
from protocols import privacy
from protocols.attestation import Asked, Attestation, Charged, Noise, Sent, epsilon_text
from protocols.plan import Agreement


def attestation(
    city: str, run: int, released: Released, agreement: Agreement, audit_head: bytes, now: int
) -> Attestation:
    """`run`: counted from 1, as in messages. `agreement`: over the cities of the last conversation in `released`. `now`: Unix s."""
    study, last = released.study, released.conversations[-1]
    layout, blocks = agreement.layout, study.workload.blocks
    mine = set(study.reads()) & set(released.cannot)
    return Attestation(
        city=city,
        study=study.digest,
        run=run - 1,
        as_of=study.file.as_of,
        snapshot=last.claim.snapshot,
        cannot=tuple(sorted(mine)),
        release="pooled",
        mode=study.file.privacy.mode,
        mechanism="none" if study.exact else "skellam",
        noise=Noise(
            share=0 if study.exact else agreement.honest,
            assumed_dropouts=agreement.limits.d,
            colluders=study.file.privacy.tolerate.colluders,
        ),
        layout=layout.digest,
        conversations=tuple(
            each for held in released.conversations for each in _sent(held, layout.length, agreement.ring)
        ),
        questions=tuple(
            Asked(id=question.id, cells=sum(block.cells for block in blocks[question.id].values()), suppressed=0)
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


def _sent(held: Reservation, cells: int, ring: int) -> tuple[Sent, ...]:
    return tuple(
        Sent(
            id=held.claim.conversation,
            kind="pooled",
            round=number,
            plan=each.spent.plan,
            cells=cells,
            bytes=cells * ring // 8,
            sha256=each.spent.reply.removeprefix("sha256:"),
        )
        for number, each in held.rounds.items()
        if each.spent is not None and each.sent
    )


def _units(amount: int) -> str:
    """An amount in 2**-64 with six decimals, rounded up."""
    return f"{Decimal(-(-amount * 1_000_000 // privacy.COST_UNIT)) / 1_000_000:.6f}"
