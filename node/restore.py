"""An older copy of the ledger goes on, on purpose: what it lacks, as the audit file knows it, and what that counts as.

A ledger that is older than its audit file is refused (`LEDGER_ROLLED_BACK`): it forgets what was spent. Where the newest file is lost for
good, two officers may let an older copy go on. Then every reservation that is missing counts as spent in full, and so does whatever the
copy held and had not read; heads that this city signed stay known, and the numbers of missing entries are never used again. Where the
audit file cannot say what is missing (it went back too, or is of earlier software), every cap counts as used up.
"""

from dataclasses import dataclass
from pathlib import Path

from node import audit, ledger
from node.audit import Event, Head, Line
from node.entries import LostCost, LostHead, Restored
from protocols.canonical import canonical, digest
from protocols.errors import ConfigError, Place, Refusal

RESERVED = "reserved"


@dataclass(frozen=True)
class Gap:
    """`head`: of the copy. `lines`: of the audit file, about ledger entries that the copy has not, the last one included.

    `known`: they tell of all that is missing.
    """

    head: Head
    lines: tuple[Line, ...]
    known: bool

    @property
    def first(self) -> int:
        return self.head.seq + 1

    @property
    def last(self) -> int:
        return max(self.first, *(_head(line).seq for line in self.lines))

    @property
    def reservations(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.of == RESERVED)

    @property
    def digest(self) -> str:
        """What officers sign: this copy, and these entries missing."""
        return digest(
            canonical(
                {"copy": self.head.hash.hex(), "lines": [[line.ledger_seq, line.ledger_head] for line in self.lines]}
            )
        )

    def restored(self, officers: tuple[str, ...], now: int) -> Restored:
        """The entry with which the copy goes on. Pre-condition: `officers` are two at least."""
        lost = tuple(
            LostCost(asker=line.asker, at=line.at, events=line.events, sampler=int(line.sampler))
            for line in self.reservations
            if line.events
        )
        return Restored(
            at=now,
            first=self.first,
            last=self.last,
            heads=tuple(LostHead(seq=line.ledger_seq or 0, head=line.ledger_head) for line in self.lines),
            lost=lost,
            known=self.known,
            exact=not self.known or any(not line.events for line in self.reservations),
            officers=officers,
        )


def gap(home: Path) -> Gap:
    """What the ledger of a home lacks. Errors: `ConfigError RESTORE_NOTHING`; `Refusal` LEDGER_BROKEN, where it is no copy of the ledger
    that the audit file is about, AUDIT_BROKEN, LEDGER_UNAVAILABLE."""
    head, known = ledger.heads(home / ledger.FILE)
    told = [line for line in audit.lines(home / ledger.AUDIT) if line.ledger_seq is not None]
    missing = tuple(line for line in told if _head(line) not in known)
    if not missing:
        raise ConfigError("RESTORE_NOTHING", Place(str(home / ledger.FILE)))
    early = any(line.event is Event.LEDGER and _head(line).seq <= head.seq for line in missing)
    if early or head not in map(_head, told):
        raise Refusal("LEDGER_BROKEN", Place(str(home / ledger.FILE)), entry=head.seq)
    return Gap(head, missing, all(map(_tells, missing)))


def _head(line: Line) -> Head:
    return Head(line.ledger_seq or 0, bytes.fromhex(line.ledger_head))


def _tells(line: Line) -> bool:
    """Whether what it is about is known, with its cost. A head that the coordinator showed tells of nothing but itself."""
    return line.event is Event.LEDGER and bool(line.of) and (line.of != RESERVED or bool(line.asker))
