"""Where a city keeps what it has released and what that cost: `ledger.sqlite`, one file, one writer, a hash chain.

What the entries are and mean stands in `entries.py`. Every step of a conversation is on disk before the bytes that it is about leave.

`hash = SHA-256("hpfed-ledger/1" || hash before || seq (u64) || salt || body)`; salts are stored and never sent. At every opening the chain
and all costs are computed again. A crash after rows were read and before the charge let no byte out, and nobody can tell that later: the
next opening charges it. Every commit is followed by a line with the new head in `audit/`, caught up at opening if a crash came between; a
ledger older than that line was rolled back.

Years are calendar years of UTC. The clock of the entries never runs backwards: an earlier `now` is taken for the last one written. One
caller at a time; other processes are kept out by the lock on the audit file. `look` and `verify` read beside a running node.
"""

import gc
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from node.audit import NOTHING, SALT, Audit, Event, Head, Line, link
from node.cohorts import Released as Cohort
from node.disclosure import city_set
from node.entries import (
    COUNTED,
    ENTRY,
    SESSION,
    SUM,
    Answered,
    Approved,
    Book,
    CapSet,
    Claim,
    Confirmed,
    Declined,
    Entry,
    ExactSet,
    Lapsed,
    Opened,
    PolicySet,
    Repeat,
    Reservation,
    Reserved,
    Restored,
    Revealed,
    Room,
    Rows,
    Spent,
    Step,
    View,
    Void,
    Why,
    followed,
    named,
    need,
    raised,
    text,
    year_of,
)
from node.policy import SCOPES, Decision, Policy, Scope
from protocols import privacy
from protocols.approval import OfficerYes
from protocols.canonical import canonical, digest, digest_bytes
from protocols.entropy import Entropy, exactly
from protocols.errors import HpfedError, PeerError, Place, Refusal, joined
from protocols.facts import Said
from protocols.messages import REMEMBERED, Window
from protocols.study import Study, from_wire

__all__ = [
    "COUNTED",
    "SESSION",
    "SUM",
    "Approved",
    "Claim",
    "Finished",
    "Ledger",
    "Released",
    "Reservation",
    "Room",
    "View",
    "look",
    "verify",
]

LABEL: Final = b"hpfed-ledger/1"
FILE: Final = "ledger.sqlite"
AUDIT: Final = Path("audit") / "audit.jsonl"
DAY: Final = 86_400
X1_DAYS: Final = 365  # how long a set of cities counts
REPEAT_DAYS: Final = 30  # how long a repeat is held after its last run
KEPT_DAYS: Final = 30  # how long a stored reply outlives what it answers
MOST_STORED: Final = 1 << 30  # bytes of stored replies; beyond, those that end first go
AHEAD: Final = 1024  # numbers of own messages that one write covers
BUDGETS: Final[tuple[tuple[Scope, str], ...]] = (
    ("per_asker_year", "BUDGET_ASKER"),
    ("per_year", "BUDGET_YEAR"),
    ("total", "BUDGET_TOTAL"),
)


@dataclass(frozen=True)
class Finished:
    """The stored answer of a run: the coordinator's receipt as it came, and the digest of the sum that it names."""

    conversation: bytes
    round: int
    sum: bytes
    receipt: bytes


@dataclass(frozen=True)
class Released:
    """What left this city for one run of a study: its conversations, oldest first, each with a vector that left.

    `facts`: what it stated, of those that the study asks for. `cap`: room of the cap on everything, at its order; `before`: what all else
    uses of it; `after`: with this study. In 2**-64.
    """

    study: Study
    cannot: tuple[str, ...]
    facts: Said
    conversations: tuple[Reservation, ...]
    cap: int
    before: int
    after: int


_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, body TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS documents (digest TEXT PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS replies (request BLOB PRIMARY KEY, reply BLOB NOT NULL, until INTEGER NOT NULL,"
    " entry INTEGER NOT NULL REFERENCES entries (seq))",
    "CREATE TABLE IF NOT EXISTS peers (peer INTEGER PRIMARY KEY, last INTEGER NOT NULL, seen TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS numbers (peer INTEGER PRIMARY KEY, below INTEGER NOT NULL)",
)
_SETTINGS: Final = ("PRAGMA synchronous = EXTRA", "PRAGMA foreign_keys = ON")
_OVERFLOWING: Final = (
    "DELETE FROM replies WHERE request IN (SELECT request FROM (SELECT request,"
    " SUM(LENGTH(reply)) OVER (ORDER BY until DESC, entry DESC, request) AS bytes FROM replies) WHERE bytes > ?)"
)


class Ledger:
    """An open ledger. `now` is Unix s. After a failed write it is closed: open it again, which finds out what reached the disk.

    Errors of every method: `Refusal` LEDGER_UNAVAILABLE, LEDGER_LOCKED, LEDGER_BROKEN.
    """

    def __init__(
        self, path: Path, db: sqlite3.Connection, audit: Audit, policy: Policy, entropy: Entropy, most_stored: int
    ) -> None:
        self._path, self._db, self._policy, self._entropy, self._most_stored = path, db, policy, entropy, most_stored
        self._book = Book()
        self._memory: dict[int, dict[bytes, bytes]] = {}
        self._numbers: dict[int, tuple[int, int]] = {}
        self.audit = audit

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        policy: Policy,
        city: str,
        city_key: bytes,
        now: int,
        entropy: Entropy,
        dictionary: str = "",
        officers: Collection[str] = (),
        most_stored: int = MOST_STORED,
        restored: Restored | None = None,
    ) -> Self:
        """Open the ledger at `path`, or begin one; modes 0600, folder 0700. `audit/` stands beside it.

        1 nobody else has it open (the lock of the audit file, for as long as it is open);
        2 it is not older than what the audit file says of it;
        3 every entry follows from the ones before, and every cost from its blocks;
        4 what a crash left open is closed: rows that were read and not charged are charged;
        5 a new key, a new policy and new caps are written down. A cap that rises needs two `officers`, else the old one stays.

        `restored`: what two officers signed for an older copy to go on (`restore.py`), in place of 2. Pre-condition: it is about this copy.
        `city_key`: public identity key, 32 bytes. Errors: `Refusal` LEDGER_LOCKED (1), LEDGER_ROLLED_BACK (2), LEDGER_BROKEN (3),
        AUDIT_BROKEN, LEDGER_UNAVAILABLE.
        """
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        audit = Audit.open(path.parent / AUDIT, now=now, entropy=entropy)  # 1
        try:
            if audit.ledger.seq and not path.exists():
                raise Refusal("LEDGER_ROLLED_BACK", Place(str(path)), entry=audit.ledger.seq)  # 2
            with _translated(path):
                db = _created(path)
        except BaseException:
            audit.close()
            raise
        ledger = cls(path, db, audit, policy, entropy, most_stored)
        try:
            with _translated(path):
                ledger._book = _load(db, path, audit.ledger if restored is None else Head())  # 2, 3
            if restored is not None:
                ledger._write(restored)
            ledger._caught_up(audit.ledger.seq, now)
            for held in [each for each in ledger._book.reservations.values() if each.unspent]:
                ledger._write(*ledger._turned(held, now))  # 4
            ledger._declare(city, city_key.hex(), dictionary, sorted(set(officers)), now)  # 5
            ledger._forget(now)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Let others open it. Closing twice is allowed."""
        self._db.close()
        self.audit.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading

    @property
    def head(self) -> Head:
        """Length and hash of the chain: what an Ack and an attestation carry."""
        return self._book.head

    def view(self, now: int) -> View:
        """The ledger as a value, with the room of every cap."""
        return self._book.view(now, raised(self._book.caps, self._policy))

    def rooms(self, asker: str, now: int, *, besides: str = "") -> tuple[Room, ...]:
        """Every cap that holds for an asker, and how much of it is used; by all but one study, where `besides` names it."""
        year = year_of(self._at(now))
        return tuple(self._book.room(scope, asker, year, besides) for scope in SCOPES)

    def reservation(self, conversation: bytes) -> Reservation | None:
        """What became of a conversation, if it ever was one."""
        return self._book.reservations.get(conversation.hex())

    def approval(self, study: str, now: int) -> Approved:
        """The yes to a study, in force. Errors: `Refusal` APPROVAL_MISSING, APPROVAL_EXPIRED."""
        found = self._approved(study)
        if found.expires <= now:
            raise Refusal("APPROVAL_EXPIRED", city=self._city)
        return found

    def study(self, study: str) -> Study:
        """An approved study, from the bytes that were approved. Errors: `Refusal APPROVAL_MISSING`."""
        found = self._approved(study)
        return from_wire(self._document(study), self._document(found.dictionary))

    def finished(self, asker: str, study: str, run: int, part: int = SUM) -> Finished | None:
        """The stored answer of a run, or of its session, whatever was ingested since."""
        conversation = self._book.answers.get((asker, study, run, part))
        if conversation is None:
            return None
        rounds = self._book.reservations[conversation].rounds
        number, answer = next((n, each.answered) for n, each in rounds.items() if each.answered is not None)
        receipt = self._document(answer.receipt)
        return Finished(bytes.fromhex(conversation), number, digest_bytes(answer.sum), receipt)

    def counting(self, asker: str, study: str, run: int, now: int) -> Reservation | None:
        """The reservation that the city's own answer to a run is charged to: the one that it was, else the newest that is not over.

        One that expired is over, whether or not anybody has written that down yet.
        """
        held = [self._book.reservations[each] for each in self._book.attempts.get((asker, study, run, SUM), ())]
        answered = [each for each in held if each.own is not None]
        live = [
            each
            for each in held
            if each.claim.counted and not each.void and not each.lost
            if each.claim.expires >= now and COUNTED not in each.rounds
        ]
        return next(iter((*answered, *reversed(live))), None)

    def own(self, held: Reservation) -> bytes | None:
        """The body of the city's own answer as it left, whatever was ingested since; None while there is none."""
        return None if held.own is None else self._document(held.own.y)

    def said(self, held: Reservation) -> tuple[tuple[Study, bytes], ...]:
        """Mode exact: what this city answered by itself about the very holders of a reservation, study and body of each, oldest first."""
        whole = None if held.exact is None else held.exact.cohorts[0]
        return tuple(
            (self.study(each.claim.study), own)
            for each in self._book.reservations.values()
            if whole is not None and each.exact is not None and each.exact.cohorts[0] == whole
            for own in [self.own(each)]
            if own is not None
        )

    def released(self, study: str, run: int) -> Released:
        """What left this city for a run, whether or not it got an answer. Errors: `Refusal` ATTEST_NOTHING, APPROVAL_MISSING."""
        gone = tuple(
            held
            for held in self._book.reservations.values()
            if (held.claim.study, held.claim.runs[0]) == (study, run)
            and any(each.sent for each in held.rounds.values())
        )
        if not gone:
            raise Refusal("ATTEST_NOTHING", city=self._city)
        room = self._book.room("total", "", year_of(self._book.at))
        after, order = privacy.cost_at(room.used.curve, room.cap.order), room.cap.order
        mine: list[Reservation | Repeat] = [each for each in self._book.repeats.values() if each.study == study]
        others = (held for held in self._book.reservations.values() if held.claim.study == study)
        mine += [*gone, *(held for held in others if held.claim.runs[0] != run)]  # of a repeat
        own = sum(privacy.cost_at(each.charged.curve, order) for each in mine)
        approved, asked = self._approved(study), self.study(study).at(run)
        stated = approved.facts.get(asked.file.as_of.isoformat(), {})
        return Released(asked, approved.cannot, stated, gone, room.cap.room, after - own, after)

    def cohorts(self, conversation: bytes) -> tuple[Cohort, ...]:
        """The cohorts of exact releases that were made, or may still be, oldest first; but for those of this conversation."""
        return tuple(
            Cohort(held.claim.study, held.claim.snapshot, held.exact.rows, held.claim.counted)
            for name, held in self._book.reservations.items()
            if held.releases and held.exact is not None and name != conversation.hex()
        )

    def check_echo(self, seq: int, head: bytes) -> None:
        """A head that this city signed once (an echoed Ack) stands in this chain. Errors: `Refusal LEDGER_ROLLED_BACK`."""
        with _translated(self._path):
            found = self._db.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        if head not in (found[0] if found else b"", self._book.gone_heads.get(seq)):
            codes, at = ("LEDGER_ROLLED_BACK",), self._book.at
            line = Line(event=Event.FAILED, at=at, codes=codes, ledger_seq=seq, ledger_head=head.hex())
            self.audit.append(line)  # what `restore.py` looks for
            raise Refusal("LEDGER_ROLLED_BACK", Place(str(self._path)), entry=seq)

    # --- messages: their numbers, and replies that are given again

    def repeated(self, request: bytes) -> bytes | None:
        """The stored reply to a request that came before. `request`: SHA-256 of its envelope."""
        for kept in self._memory.values():
            if request in kept:
                return kept[request]
        stored = "SELECT reply, body, seq FROM replies JOIN entries ON entry = seq WHERE request = ?"
        with _translated(self._path):
            found = self._db.execute(stored, (request,)).fetchone()
        if found is None:
            return None
        entry = ENTRY.validate_json(found[1])
        if isinstance(entry, Spent) and digest(found[0]) != entry.reply:
            raise Refusal("LEDGER_BROKEN", Place(str(self._path)), entry=found[2])
        return bytes(found[0])

    def admit(self, peer: int, seq: int) -> None:
        """A request with this number is new; on disk before it is acted on. Errors: `PeerError ENVELOPE_SEQ`."""
        with _translated(self._path):
            found = self._db.execute("SELECT last, seen FROM peers WHERE peer = ?", (peer,)).fetchone()
        window = (Window(found[0], int(found[1], 16)) if found else Window()).admit(seq)
        row = (peer, window.last, f"{window.seen:x}")
        self._commit(lambda: self._db.execute("INSERT OR REPLACE INTO peers VALUES (?, ?, ?)", row))

    def number(self, peer: int, now: int) -> int:
        """The next number for a message to `peer`. Numbers only rise, also over a restart, a lost file and a restored backup."""
        at, below = self._numbers.get(peer, (0, 0))
        if at >= below:
            with _translated(self._path):
                found = self._db.execute("SELECT below FROM numbers WHERE peer = ?", (peer,)).fetchone()
            at = max(found[0] if found else 0, now * 1000)
            below = at + AHEAD
            self._commit(lambda: self._db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (peer, below)))
        self._numbers[peer] = (at + 1, below)
        return at

    def remember(self, peer: int, request: bytes, reply: bytes) -> None:
        """Keep a reply in memory, for the last requests of a peer: keys, shares and signatures of a conversation never go to disk."""
        kept = self._memory.setdefault(peer, {})
        kept[request] = reply
        while len(kept) > REMEMBERED:
            del kept[next(iter(kept))]

    # --- approvals

    def approve(
        self,
        study: Study,
        decision: Decision,
        *,
        signed: Sequence[OfficerYes],
        cannot: Sequence[str],
        now: int,
        facts: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> Approved:
        """Write down this city's yes, and keep what it said yes to. It ends `approval_days` after the oldest of what officers signed; to
        a repeat not before REPEAT_DAYS after its last run: it is one yes to all of them.

        Errors: `Refusal APPROVAL_MISSING` where the decision asks for more officers, or is no.
        """
        officers, at = tuple(sorted({each.officer for each in signed})), self._at(now)
        if not decision.met(officers):
            raise Refusal("APPROVAL_MISSING", city=self._city)
        since = min((each.at for each in signed), default=at)
        expires = since + self._policy.file.expiry.approval_days * DAY
        if study.runs > 1:
            last = datetime.combine(study.last_as_of, time(), UTC)
            expires = max(expires, int(max(at, last.timestamp())) + REPEAT_DAYS * DAY)
        entry = Approved(
            at=at,
            study=study.digest,
            dictionary=study.dictionary.digest,
            asker=study.file.asker,
            policy=self._policy.digest,
            rule=decision.rule,
            officers=officers,
            cannot=tuple(cannot),
            expires=expires,
            signed=tuple(signed),
            facts={day: dict(each) for day, each in facts.items()},
        )
        self._write(entry, documents=(study.content, study.dictionary.content))
        return entry

    def decline(
        self,
        study: str,
        asker: str,
        *,
        codes: Sequence[str] = (),
        officers: Collection[str] = (),
        reason: str = "",
        now: int,
    ) -> None:
        """Write down this city's no; it also takes back an earlier yes. `reason` stays in the city. The same no again changes nothing."""
        at, by = self._at(now), tuple(sorted(set(officers)))
        entry = Declined(at=at, study=study, asker=asker, codes=tuple(codes), officers=by, reason=reason)
        known = self._book.declined.get(study)
        if known is None or known.model_copy(update={"at": at}) != entry:
            self._write(entry, *(self._lapsed((asker, study), "declined", now)))

    # --- one conversation

    def reserve(
        self, claim: Claim, *, now: int, runs: Collection[int] = (), until: int = 0, following: int = 0
    ) -> Reservation:
        """Hold the cost of a whole run, before a row is read; of the first run of a repeat, the cost of all of them.

        1 the conversation was never used, and the run has no answer yet;
        2 what is over is ended: expired reservations, and an earlier conversation of the same run, whose secrets must be gone by now;
        3 there is an attempt left, and a conversation of the day;
        4 mode exact: a release of this snapshot is left, and the set of cities obeys X1 as far as filters tell; dp: every cap has room for
          what is not held already;
        5 it is on disk.

        `runs`: all of a repeat, held together until `until`, but for those that were charged before. A run is taken from what its repeat
        holds once; what is asked again after rows were read is charged anew. `following`: how many exact sessions may follow on ones that
        used their rounds up; these are no attempts.

        Errors: `Refusal` SECAGG_REPLAY, SECAGG_ALREADY_ANSWERED (1), BUDGET_RETRIES, BUSY (3), EXACT_RELEASES,
        SECAGG_COHORT_DIFFERENCE, BUDGET_ASKER, BUDGET_YEAR, BUDGET_TOTAL: all of these caps that have no room (4).
        """
        book = self._book
        if claim.conversation in book.reservations:
            raise Refusal("SECAGG_REPLAY")  # 1
        if claim.key in book.answers:
            raise Refusal("SECAGG_ALREADY_ANSWERED")
        self._end_over(claim, now)  # 2
        self._check_attempts(claim, now, following)  # 3
        if claim.mode == "exact":  # 4
            self._check_exact(claim, now)
        repeat = book.repeats.get(claim.of_repeat)
        left = self._unread(claim, runs) if runs and repeat is None and claim.mode == "dp" else ()
        if claim.mode == "dp":
            taken = repeat if repeat and claim.runs[0] in repeat.open else None
            more = claim.cost.times(max(1, len(left))).beyond(taken.cost if taken else privacy.FREE)
            self._check_budget(claim, more, taken.year if taken else year_of(self._at(now)))
        cost, at = claim.cost, self._at(now)
        held = Reserved(at=at, claim=claim, cost=text(cost.curve), sampler=cost.sampler, runs=left, until=until)
        self._write(held)  # 5
        return book.reservations[claim.conversation]

    def _unread(self, claim: Claim, runs: Collection[int]) -> tuple[int, ...]:
        """Of a repeat, the runs of which no row was ever read; none if the run that is asked for is not among them: it is asked again."""
        read = {
            run
            for run in runs
            for each in self._book.attempts.get((claim.asker, claim.study, run, claim.part), ())
            if self._book.reservations[each].rounds
        }
        return tuple(sorted(set(runs) - read)) if claim.runs[0] not in read else ()

    def exact(self, conversation: bytes, *, rows: bytes, cells: int, now: int, alone: Sequence[str] = ()) -> None:
        """Mode exact: the cohort was read and is large enough. X1 again, now also against cohorts of equal rows; before the Advert.

        `rows`: digest of the cohort's rows under a key of this city; `alone`: as in `ExactSet`. Errors: `Refusal` EXACT_OVERLAP, which
        names the earlier study to this city, and of which others hear `declined:disclosure`; SECAGG_BUDGET (nothing is held).
        """
        held = self._live(conversation, now)
        about, name = (alone or (rows.hex(),)), conversation.hex()
        alike, isolates = self._isolates(held.claim, about, now)
        if held.claim.summed and isolates:
            raise Refusal("EXACT_OVERLAP", study=alike[-1].claim.study)
        found = ExactSet(at=self._at(now), conversation=name, rows=rows.hex(), cells=cells, alone=tuple(alone))
        self._follow(held, found)

    def rows(
        self,
        conversation: bytes,
        round_: int,
        ask: bytes,
        *,
        now: int,
        blocks: Sequence[int] | None = None,
        cells: int = 0,
    ) -> None:
        """Rows are about to be read for a round. From here on it is charged. `ask`: its digest; `blocks`: those asked, default all of the
        sum, or of the city's own answer in the round COUNTED; `cells`: as in `Rows`.

        Errors: `Refusal SECAGG_BUDGET` where nothing is held for it.
        """
        held = self._live(conversation, now)
        every = held.claim.blocks(own=round_ == COUNTED) if held.claim.charges else ()
        asked = every if blocks is None else tuple(blocks)
        at, name = self._at(now), conversation.hex()
        self._follow(held, Rows(at=at, conversation=name, round=round_, ask=named(ask), blocks=asked, cells=cells))

    def spend(
        self, conversation: bytes, round_: int, *, request: bytes, reply: bytes, y: bytes, snapshot: str, now: int
    ) -> None:
        """The charge, the digest of the reply and the reply itself, in one transaction. Only then may the bytes be returned.

        `request`: SHA-256 of the envelope that is answered; `y`: digest of the masked vector. Errors: `Refusal SECAGG_BUDGET` where no
        row was read for the round, or the reservation ended meanwhile.
        """
        held = self._live(conversation, now)
        entry = self._charge(held, round_, now, snapshot=snapshot, reply=digest(reply), y=named(y))
        self._follow(held, entry, reply=(request, reply, held.claim.expires))

    def count(
        self, conversation: bytes, *, request: bytes, reply: bytes, body: bytes, plan: bytes, snapshot: str, now: int
    ) -> None:
        """The same for what the city answers by itself. `body`: kept for good, under its digest, for whenever it is asked again; `plan`:
        digest of what was asked. Errors: as `spend`.
        """
        held = self._live(conversation, now)
        own = self._charge(held, COUNTED, now, snapshot=snapshot, reply=digest(reply), y=digest(body))
        entry = own.model_copy(update={"plan": named(plan)})
        self._follow(held, entry, reply=(request, reply, held.claim.expires), documents=(body,))

    def confirm(self, conversation: bytes, round_: int, cities: Collection[int], u3: bytes, *, now: int) -> None:
        """The one list of survivors that is signed in a round. Errors: `PeerError SECAGG_OUT_OF_ORDER`, also for a second one."""
        at, name, ids = self._at(now), conversation.hex(), tuple(sorted(cities))
        self._next("confirm", Confirmed(at=at, conversation=name, round=round_, cities=ids, u3=named(u3)))

    def reveal(self, conversation: bytes, round_: int, *, now: int) -> None:
        """Shares are about to leave. Errors: `PeerError SECAGG_OUT_OF_ORDER`, also for a second time."""
        self._next("reveal", Revealed(at=self._at(now), conversation=conversation.hex(), round=round_))

    def answer(self, conversation: bytes, round_: int, *, sum_: bytes, receipt: bytes, now: int) -> Head:
        """The run is finished; `receipt` is kept as it came, the masked vector no longer. The same receipt again changes nothing.

        Returns the head that the Ack carries. Errors: `PeerError SECAGG_OUT_OF_ORDER` where no vector left, or another receipt came.
        """
        at, name = self._at(now), conversation.hex()
        entry = Answered(at=at, conversation=name, round=round_, sum=named(sum_), receipt=digest(receipt))
        held = self.reservation(conversation)
        found = held.rounds.get(round_) if held else None
        known = found.answered if found else None
        if known is None or (known.sum, known.receipt) != (entry.sum, entry.receipt):
            self._next("receipt", entry, documents=(receipt,), settled=found.spent_seq if found else 0)
        return self.head

    def acknowledge(self, request: bytes, reply: bytes, *, now: int) -> None:
        """Keep an Ack for repeats of its receipt. `request`: SHA-256 of the receipt's envelope."""
        until = self._at(now) + KEPT_DAYS * DAY
        self._commit(lambda: self._keep(request, reply, until, self.head.seq))

    def end(self, conversation: bytes, *, now: int) -> None:
        """The conversation is over here (abort, refusal, cancel): what no row was read for is free again, all else is charged."""
        held = self.reservation(conversation)
        if held is not None:
            self._end(held, "ended", now)

    # --- decisions

    def _check_attempts(self, claim: Claim, now: int, following: int) -> None:
        retries, a_day = self._policy.file.retries, self._policy.file.limits.conversations_per_day
        earlier = [self._book.reservations[each] for each in self._book.attempts.get(claim.key, ())]
        count = sum(each.attempted for each in earlier) - min(following, sum(each.used_up for each in earlier))
        if count > retries:
            raise Refusal("BUDGET_RETRIES", count=count, limit=retries)
        since = self._at(now) - DAY
        if sum(each.at > since for each in self._book.reservations.values()) >= a_day:
            raise Refusal("BUSY", limit=a_day, key="policy.yaml: limits.conversations_per_day")

    def _check_budget(self, claim: Claim, cost: privacy.Cost, year: int) -> None:
        """`year`: the one that it will be charged to."""
        if cost == privacy.FREE:  # all of it is held
            return
        rooms = [(code, self._book.room(scope, claim.asker, year)) for scope, code in BUDGETS]
        no = joined(
            _no_room(code, room, claim.asker, cost)
            for code, room in rooms
            if not privacy.fits(room.cap, room.used, cost)
        )
        if no:
            raise no

    def _check_exact(self, claim: Claim, now: int) -> None:
        """Releases of the snapshot; inside one study the set of cities that was confirmed first; rule X1 as far as filters tell.

        Where a restored ledger lost some, nobody knows what they were about: none is left for as long as they would count.
        """
        others = [each for each in self._book.reservations.values() if each.counts]
        most = self._policy.file.exact.most_releases_per_snapshot
        if self._book.gone_exact > self._at(now) - X1_DAYS * DAY:
            raise Refusal("EXACT_RELEASES", limit=most)
        if (
            sum(each.claim.snapshot == claim.snapshot for each in self._book.reservations.values() if each.releases)
            >= most
        ):
            raise Refusal("EXACT_RELEASES", limit=most)
        if not claim.summed:
            return
        confirmed = [each.claim for each in others if each.confirmed]
        moved = any(each.study == claim.study and each.cities != claim.cities for each in confirmed)
        if moved or self._isolates(claim, (), now)[1] or self._gives_away(claim, now):
            raise Refusal("SECAGG_COHORT_DIFFERENCE")

    def _isolates(self, claim: Claim, cohorts: Collection[str], now: int) -> tuple[list[Reservation], bool]:
        """Rule X1: exact releases of the last year about the same cohort, and whether the new set of cities leaves too few apart."""
        since = self._at(now) - X1_DAYS * DAY
        alike = [
            each
            for each in self._book.reservations.values()
            if each.counts
            and each.claim.conversation != claim.conversation
            and each.at > since
            and each.same_cohort(claim.cohort_class, cohorts)
        ]
        earlier = [frozenset(cities) for cities in sorted({each.claim.cities for each in alike})]
        least = max(self._policy.file.cities.least, claim.colluders + 2)
        return alike, city_set(claim.cities, earlier, least) is not None

    def _gives_away(self, claim: Claim, now: int) -> bool:
        """Rule X1 for facts that cities only let be added up: their sums are over these cities, whatever cohort a study is about."""
        since, least = self._at(now) - X1_DAYS * DAY, max(self._policy.file.cities.least, claim.colluders + 2)
        counted = [each for each in self._book.reservations.values() if each.counts and each.at > since]
        earlier = [each.claim for each in counted if each.claim.conversation != claim.conversation]
        return not self._policy.loose and any(
            city_set(silent, [frozenset(each.stated[fact]) for each in earlier if each.stated.get(fact)], least)
            for fact, silent in claim.stated.items()
            if silent
        )

    # --- entries

    @property
    def _city(self) -> str:
        return self._book.opened.city if self._book.opened else ""

    def _at(self, now: int) -> int:
        return max(now, self._book.at)

    def _approved(self, study: str) -> Approved:
        found = self._book.approvals.get(study)
        if found is None:
            raise Refusal("APPROVAL_MISSING", city=self._city)
        return found

    def _live(self, conversation: bytes, now: int) -> Reservation:
        held = self.reservation(conversation)
        if held is None or held.void or held.lost or held.claim.expires < now:
            raise Refusal("SECAGG_BUDGET")
        return held

    def _end_over(self, claim: Claim, now: int) -> None:
        for held in tuple(self._book.reservations.values()):
            if held.claim.key == claim.key:
                self._end(held, "superseded", now)
            elif held.claim.expires < now:
                self._end(held, "expired", now)
        for of, repeat in tuple(self._book.repeats.items()):
            if repeat.until < now:
                self._write(*self._lapsed(of, "expired", now))

    def _end(self, held: Reservation, why: Why, now: int) -> None:
        entries: list[Entry] = list(self._turned(held, now))
        if held.frees:
            entries.append(Void(at=self._at(now), conversation=held.claim.conversation, why=why))
        if entries:
            self._write(*entries)
        repeat = self._book.repeats.get(held.claim.of_repeat)
        if repeat and repeat.untouched:  # no row was read for any run: nothing of it is held any longer
            self._write(*self._lapsed(held.claim.of_repeat, why, now))

    def _lapsed(self, of: tuple[str, str], why: Why, now: int) -> tuple[Lapsed, ...]:
        """The end of what a repeat holds, if it holds anything."""
        asker, study = of
        return (Lapsed(at=self._at(now), asker=asker, study=study, why=why),) if of in self._book.repeats else ()

    def _turned(self, held: Reservation, now: int) -> tuple[Spent, ...]:
        """Charges for the rounds whose rows were read and of which nothing left: what was read cannot be told any more."""
        return tuple(self._charge(held, n, now, snapshot="", reply="", y="", turned=True) for n in held.unspent)

    def _charge(
        self, held: Reservation, round_: int, now: int, *, snapshot: str, reply: str, y: str, turned: bool = False
    ) -> Spent:
        return Spent(
            at=self._at(now),
            conversation=held.claim.conversation,
            run=held.claim.runs[0],
            round=round_,
            plan=held.claim.plan,
            snapshot=snapshot,
            sampler=held.cost.sampler,
            reply=reply,
            y=y,
            turned=turned,
        )

    def _follow(
        self,
        held: Reservation,
        entry: Step,
        reply: tuple[bytes, bytes, int] | None = None,
        documents: Sequence[bytes] = (),
    ) -> None:
        """Write an entry that must fit what is held. Errors: `Refusal SECAGG_BUDGET`."""
        try:
            followed(held, entry)
        except ValueError:
            raise Refusal("SECAGG_BUDGET") from None
        self._write(entry, documents=documents, reply=reply)

    def _next(
        self,
        step: str,
        entry: Confirmed | Revealed | Answered,
        documents: Sequence[bytes] = (),
        settled: int = 0,
    ) -> None:
        """Write what must come next in a conversation. Errors: `PeerError SECAGG_OUT_OF_ORDER`."""
        try:
            followed(self._book.reservations[entry.conversation], entry)
        except (KeyError, ValueError):
            raise PeerError("SECAGG_OUT_OF_ORDER", who="coordinator", step=step) from None
        self._write(entry, documents=documents, settled=settled)

    def _declare(self, city: str, key: str, dictionary: str, officers: Sequence[str], now: int) -> None:
        """What is in force from now on, where it is not what was in force before."""
        book, policy, at = self._book, self._policy, self._at(now)
        entries: list[Entry] = []
        if book.opened is None or (book.opened.city, book.opened.key) != (city, key):
            entries.append(Opened(at=at, city=city, key=key, policy=policy.digest, dictionary=dictionary))
        elif book.policy != policy.digest:
            entries.append(PolicySet(at=at, policy=policy.digest))
        waiting = raised(book.caps, policy) if len(officers) < 2 else ()
        for scope in SCOPES:
            known, budget = book.caps.get(scope), getattr(policy.file.dp.caps, scope)
            same = known and (known.cap.epsilon, known.cap.delta) == (budget.epsilon, budget.delta)
            if not same and scope not in waiting:
                cap = privacy.cap(budget.epsilon, budget.delta)
                entries.append(
                    CapSet(
                        at=at,
                        scope=scope,
                        epsilon=str(budget.epsilon),
                        delta=str(budget.delta),
                        order=cap.order,
                        room=cap.room,
                        officers=tuple(officers),
                    )
                )
        if entries:
            self._write(*entries)

    # --- the disk

    def _write(
        self,
        *entries: Entry,
        documents: Sequence[bytes] = (),
        reply: tuple[bytes, bytes, int] | None = None,
        settled: int = 0,
    ) -> None:
        """Add entries, and what belongs to them, in one transaction; then the head in the audit file.

        `documents`: contents to keep by their digest. `reply`: request, reply, until when it is kept. `settled`: the entry whose reply
        need not be kept any longer.
        """
        heads, rows = [self._book.head], []
        for entry in entries:
            body, salt = canonical(entry.model_dump(mode="json")), exactly(self._entropy, SALT)
            heads.append(link(LABEL, _before(heads[-1], entry), salt, body))
            rows.append((heads[-1].seq, body.decode(), salt, heads[-1].hash))

        def store() -> None:
            self._db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
            kept = [(digest(each), each) for each in documents]
            self._db.executemany("INSERT OR IGNORE INTO documents VALUES (?, ?)", kept)
            self._db.execute("DELETE FROM replies WHERE entry = ?", (settled,))
            if reply is not None:
                self._keep(*reply, heads[-1].seq)

        self._commit(store)
        for entry, head in zip(entries, heads[1:], strict=True):
            self._book.apply(entry, head)
        last = entries[-1]
        held = self._book.reservations[last.claim.conversation] if isinstance(last, Reserved) else None
        self._say(self._book.at, last.kind, getattr(last, "conversation", ""), held)

    def _commit(self, work: Callable[[], object]) -> None:
        """One transaction, on disk when this returns. Nobody wrote in between. A failure closes the ledger."""
        try:
            with _translated(self._path):
                self._db.execute("BEGIN IMMEDIATE")
                newest = self._db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
                if Head(*(newest or (0, NOTHING))) != self._book.head:
                    raise Refusal("LEDGER_BROKEN", Place(str(self._path)), entry=self._book.head.seq + 1)
                work()
                self._db.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def _caught_up(self, known: int, now: int) -> None:
        """Write the head into the audit file, if it is not there yet, and with it a reservation that a crash kept out of it.

        A crash keeps out one at most. Where there are more, an older audit file was put in place of the newest: the line then tells no
        cost, so that a ledger restored by it (`restore.py`) is not taken for one that lost no more than this.
        """
        if self.audit.ledger == self._book.head:
            return
        missed = [each for each in self._book.reservations.values() if each.seq > known]
        self._say(now, "reserved" if missed else "caught up", held=missed[0] if len(missed) == 1 else None)

    def _say(self, now: int, of: str, conversation: str = "", held: Reservation | None = None) -> None:
        """Write the head into the audit file. `held`: a reservation that was just made."""
        head = self._book.head
        line = Line(
            event=Event.LEDGER,
            at=now,
            of=of,
            conversation=conversation,
            ledger_seq=head.seq,
            ledger_head=head.hash.hex(),
        )
        if held is not None:
            runs = len(held.repeat.runs) if held.repeat and held.repeat.seq == held.seq else 1
            line = line.model_copy(update={"asker": held.asker, **held.claim.priced(runs)})
        try:
            self.audit.append(line)
        except BaseException:
            self.close()
            raise

    def _keep(self, request: bytes, reply: bytes, until: int, entry: int) -> None:
        """Store a reply; where all of them grow too large, those that end first go."""
        self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (request, reply, until, entry))
        self._db.execute(_OVERFLOWING, (self._most_stored,))

    def _forget(self, now: int) -> None:
        with _translated(self._path):
            (old,) = self._db.execute("SELECT COUNT(*) FROM replies WHERE until < ?", (now,)).fetchone()
        if old:
            self._commit(lambda: self._db.execute("DELETE FROM replies WHERE until < ?", (now,)))

    def _document(self, name: str) -> bytes:
        with _translated(self._path):
            found = self._db.execute("SELECT content FROM documents WHERE digest = ?", (name,)).fetchone()
        if found is None or digest(found[0]) != name:
            raise Refusal("LEDGER_BROKEN", Place(str(self._path)), entry=self._book.head.seq)
        return bytes(found[0])


def look(path: Path, *, now: int) -> View:
    """The ledger as a value, read beside a running node; nothing is written. Errors: `Refusal` LEDGER_BROKEN, LEDGER_UNAVAILABLE."""
    with _translated(path), closing(_read_only(path)) as db:
        return _load(db, path, Head()).view(now)


def verify(path: Path, audited: Head) -> Head:
    """Check every entry and every cost. `audited`: the head that the audit file knows. Errors: `Refusal` as for `open`."""
    with _translated(path), closing(_read_only(path)) as db:
        return _load(db, path, audited).head


def heads(path: Path) -> tuple[Head, frozenset[Head]]:
    """The head of a ledger, and every one that it ever had, also those that it lost. Errors: as `verify`, but for LEDGER_ROLLED_BACK."""
    with _translated(path), closing(_read_only(path)) as db:
        book = _load(db, path, Head())
        chain = {Head(*each) for each in db.execute("SELECT seq, hash FROM entries")}
    return book.head, frozenset(chain | {Head(*each) for each in book.gone_heads.items()})


@contextmanager
def _without_collector() -> Iterator[None]:
    """A long ledger becomes a million values and no garbage, which the collector would look through again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@_without_collector()
def _load(db: sqlite3.Connection, path: Path, audited: Head) -> Book:
    """Every entry, checked against those before it."""
    book = Book()
    for seq, body, salt, hashed in db.execute("SELECT seq, body, salt, hash FROM entries ORDER BY seq"):
        try:
            content = body.encode()
            entry = ENTRY.validate_json(content)
            head = link(LABEL, _before(book.head, entry), salt, content)
            need(seq == head.seq and hashed == head.hash)
            book.apply(entry, head)
        except (ValueError, TypeError, AttributeError, HpfedError):
            raise Refusal("LEDGER_BROKEN", Place(str(path)), entry=book.head.seq + 1) from None
        if seq == audited.seq and hashed != audited.hash:
            raise Refusal("LEDGER_ROLLED_BACK", Place(str(path)), entry=seq)
    if book.head.seq < audited.seq:
        raise Refusal("LEDGER_ROLLED_BACK", Place(str(path)), entry=audited.seq)
    return book


def _before(head: Head, entry: Entry) -> Head:
    """What an entry is chained to: the one before; where an older copy goes on, its last, under the numbers that are missing."""
    return Head(entry.last, head.hash) if isinstance(entry, Restored) else head


def _created(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for statement in (*_SETTINGS, "BEGIN IMMEDIATE", *_SCHEMA, "COMMIT"):
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """What the database or the disk says, as a `Refusal`."""
    try:
        yield
    except sqlite3.Error as fault:
        primary = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        code = {
            sqlite3.SQLITE_BUSY: "LEDGER_LOCKED",
            sqlite3.SQLITE_CORRUPT: "LEDGER_BROKEN",
            sqlite3.SQLITE_NOTADB: "LEDGER_BROKEN",
        }.get(primary, "LEDGER_UNAVAILABLE")
        raise Refusal(code, Place(str(path)), entry=1) from None
    except OSError:
        raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None


def _no_room(code: str, room: Room, asker: str, needed: privacy.Cost) -> Refusal:
    """Amounts in units of the cap's order, to six decimals: the cost rounded up, what is left rounded down."""
    cost = -(-privacy.cost_at(needed.curve, room.cap.order) * 1_000_000 // privacy.COST_UNIT)
    left = room.left * 1_000_000 // privacy.COST_UNIT
    renews = datetime(room.renews.year, 1, 1, tzinfo=UTC) if room.renews else None
    return Refusal(
        code,
        asker=asker,
        cost=f"{Decimal(cost) / 1_000_000:.6f}",
        left=f"{Decimal(left) / 1_000_000:.6f}",
        cost_millionths=cost,
        left_millionths=left,
        order=room.cap.order,
        epsilon=room.cap.epsilon,
        renews=renews.date().isoformat() if renews else "",
        renews_s=int(renews.timestamp()) if renews else 0,
    )
