"""THE ONLY EXIT: bytes come in, and only here do bytes go out.

`Gate.answer` takes the eight steps below in this order, each named at its line. Which steps a message takes depends on its kind alone.

    1 decode      size, version, kind, strict schema; envelope of the coordinator under the roster; signature of the asker
    2 approval    the study as this city approved it; policy; the plan derived again, noise and epsilon with it
    3 replay      a repeated request gets the stored bytes; a new number; conversation and run not used before
    4 budget      the whole study fits every cap and is held
    5 rows        the snapshot of `as_of`, its cohort streamed through step 7
    6 disclosure  mode exact: the cohort is large enough, and set and cohort obey the rules of differencing. Mode dp: nothing looks at rows
    7 encode      measures over batches, this city's noise, the mask
    8 spend       charge, digest of the reply and audit line are on disk; then the bytes are returned

| arriving | steps | answers |
|---|---|---|
| offer | 1, 2 | approval, pending (an officer decides), refusal |
| open | 1, 3, 2, 4; mode exact: 5, 6 | advert, abort |
| adverts | 1, 3 | shares, abort |
| deliver | 1, 3, 2, 5, 7, 8 | masked, abort |
| survivors; confirms | 1, 3, ledger | confirm; reveal; abort |
| receipt | 1, 3, ledger | ack |
| ping | 1, 3 | ping |

A no is a signed refusal, or abort inside a conversation: codes and limits, never a row, a size or a count. Where rows stand behind it, it
is the one word `declined:disclosure`. What does not open is dropped with an audit line: an unsigned message changes nothing.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

import numpy as np

from node import disclosure, snapshot
from node.audit import Event, Line
from node.disclosure import outward
from node.ledger import Approved, Claim, Ledger
from node.policy import Decision, Policy, decide
from node.station import Station
from protocols import messages
from protocols.answerable import shortages
from protocols.approval import Approval, check_asker, sign_approval
from protocols.canonical import digest_bytes
from protocols.entropy import Entropy, aes_stream, exactly
from protocols.errors import HpfedError, PeerError, Refusal
from protocols.messages import Body, Envelope, Kind, Matter, Plan, Stamp, matter_of, open_echo, open_envelope, seal
from protocols.noise import skellam
from protocols.plan import Agreement, agree, open_positions
from protocols.ring import Vector
from protocols.roster import COORDINATOR
from protocols.secagg import keys, member
from protocols.statistics import measures
from protocols.study import Study, from_wire

BATCH: Final = 1 << 20
Officers = Callable[[Study, Decision], Sequence[str]]


def nobody(_study: Study, _decision: Decision) -> Sequence[str]:
    """Officers of a city that has not been asked yet."""
    return ()


@dataclass
class Gate:
    """One city's gate. `station`: who this city is; `officers`: who has said yes to a study, where the policy asks for people.

    Secrets of open conversations are in `members`, in memory only: after a restart their conversations are drop-outs.
    """

    station: Station
    policy: Policy
    ledger: Ledger
    entropy: Entropy
    officers: Officers = nobody
    members: dict[bytes, member.State] = field(default_factory=dict)
    agreed: dict[bytes, Agreement] = field(default_factory=dict)
    given: dict[bytes, member.Contribution] = field(default_factory=dict)

    def answer(self, content: bytes, now: int) -> bytes | None:
        """The reply to one envelope, or None where nothing may be answered. `now`: Unix s. Steps: see the head of this file."""
        me, roster = self.station.identity.id, self.station.roster
        try:
            request = open_envelope(content, me=me, roster=roster, now=now)  # 1 decode
        except PeerError as fault:
            self._note(Event.DROPPED, now, codes=(fault.code,))
            return None
        kind, about = request.header.kind, bytes.fromhex(request.header.conversation)
        try:
            stored = self.ledger.repeated(request.sha256)  # 3 replay
            if stored is not None:
                self._note(Event.REPEATED, now, request)
                return stored
            self.ledger.admit(COORDINATOR, request.header.seq)
        except PeerError as fault:
            self._note(Event.DROPPED, now, request, codes=(fault.code,))
            return None
        stamp = Stamp(now, {COORDINATOR: self.ledger.number(COORDINATOR, now)})
        match kind:
            case Kind.OFFER:
                reply = self._on_offer(request, stamp)
            case Kind.PING:
                reply = self._sealed(messages.Ping.decode(request.body), request, stamp)
            case Kind.OPEN:
                state, sent = self._on_open(request, stamp)
                self.members[about], reply = state, _first(sent)
            case Kind.RECEIPT:
                reply = self._on_receipt(request, about, stamp)
            case _ if about in self.members:
                before = self.members[about]
                state, sent = member.step(before, content, stamp)
                if isinstance(state, member.Asked) and state is not before:
                    state, sent = self._on_ask(state, about, stamp)  # 2, 5, 7, 8
                elif isinstance(state, member.Confirmed):
                    self.ledger.confirm(about, state.turn.round, state.u3, state.confirm.u3_digest, now=now)
                elif isinstance(state, member.Revealed) and state is not before:
                    self.ledger.reveal(about, state.turn.round, now=now)
                self.members[about], reply = state, _first(sent)
            case _:
                self._note(Event.DROPPED, now, request, codes=("SECAGG_OUT_OF_ORDER",))
                return None
        self._ended(about, now)
        if reply is None:
            return None
        self.ledger.remember(COORDINATOR, request.sha256, reply)
        self._note(Event.ANSWERED, now, request, of=messages.peek(reply).kind.value)
        return reply

    # --- offer: steps 1 and 2

    def _on_offer(self, request: Envelope, stamp: Stamp) -> bytes:
        now, study = stamp.now, None
        try:
            offer = messages.Offer.decode(request.body)
            study = from_wire(offer.study, offer.dictionary)
            check_asker(offer.signed, study, self.station.roster, now)  # 1: whose question it is
            if bytes.fromhex(request.header.study) != digest_bytes(study.digest):
                raise PeerError("ENVELOPE_STUDY", who="coordinator")
            taken = self._taken(study, stamp)  # 2
        except HpfedError as no:
            if study is not None:
                codes = tuple(each.code for each in no.every())
                self.ledger.decline(study.digest, study.file.asker, codes=codes, now=now)
            self._note(Event.REFUSED, now, request, codes=tuple(each.code for each in no.every()))
            return self._sealed(messages.Refusal.of(outward(no, rows_read=False)), request, stamp)
        if taken is None:
            self._note(Event.DECIDED, now, request)
            return self._sealed(messages.Pending(), request, stamp)
        approval = Approval(
            city=self.station.city.city,
            study=study.digest,
            dictionary=study.dictionary.digest,
            policy=self.policy.digest,
            cannot=self.station.cannot,
            snapshot=study.file.as_of,
            min_cell=self.policy.file.dp.min_cell,
            decided="officers" if taken.officers else "rule",
            officers=taken.officers,
            issued=taken.at,
            expires=taken.expires,
            synthetic=self.station.city.synthetic,
            open_data=self.station.city.open_data,
        )
        file = sign_approval(approval, self.station.identity.key)
        return self._sealed(messages.Approval(file), request, stamp)

    def _taken(self, study: Study, stamp: Stamp) -> Approved | None:
        """The yes, written down; None where officers have not said it. Errors: `Refusal`, all reasons."""
        role = self.station.roster.askers[study.file.asker].role
        if study.dictionary.digest != self.station.dictionary:
            raise Refusal("SNAPSHOT_DICTIONARY", name=study.dictionary.name)
        snapshot.open_for(self.station.home, study.file.as_of)
        decision = decide(study, role=role, cities=self._asked(study), cannot=None, policy=self.policy)
        refusal = decision.refusal()
        if refusal:
            raise refusal
        try:
            held = self.ledger.approval(study.digest, stamp.now)
            if held.policy == self.policy.digest and held.cannot == self.station.cannot:
                return held
        except Refusal:
            pass  # none yet, or no longer in force: decided anew below
        officers = () if decision.decide == "auto" else tuple(self.officers(study, decision))
        if not decision.met(officers):
            return None
        return self.ledger.approve(study, decision, officers=officers, cannot=self.station.cannot, now=stamp.now)

    def _asked(self, study: Study) -> tuple[str, ...]:
        active = [city.name for city in self.station.roster.entries.cities if city.state == "active"]
        return tuple(name for name in active if study.file.cities.names is None or name in study.file.cities.names)

    # --- open: steps 2 to 4, in mode exact 5 and 6

    def _on_open(self, request: Envelope, stamp: Stamp) -> tuple[member.State, messages.Outgoing]:
        terms = self._terms(request, stamp.now)
        state, sent = member.join(terms, request.content, self.entropy, stamp)
        if not isinstance(state, member.Advertised):
            codes = (state.fault.code,) if isinstance(state, member.Refused) else ()
            self._note(Event.REFUSED, stamp.now, request, codes=codes)
            self.ledger.end(bytes.fromhex(request.header.conversation), now=stamp.now)
        return state, sent

    def _terms(self, request: Envelope, now: int) -> member.Terms:
        """What only this city can say about the plan of an Open. The budget is held last, and only if nothing else stands against it."""
        limits = self.policy.file.cities
        terms = member.Terms(
            identity=self.station.identity,
            roster=self.station.roster,
            least=limits.least,
            least_colluders=limits.least_colluders,
            history=None,
            approved=None,
            size=None,
            snapshot=None,
            cannot=(),
            able=None,
            exact=None,
            policy=None,
            budget=None,
        )
        try:
            opened = messages.Open.decode(request.body)
            plan = Plan.decode(opened.plan)
            self._not_used(opened, plan)  # 3 replay
            study = self._approved_study(plan, now)  # 2 approval
            agreement = agree(study, plan.cities, self.station.roster, plan.run)
            lacking = open_positions(plan, study)
        except (PeerError, HpfedError) as no:
            return replace(terms, history=no if isinstance(no, Refusal) else None)
        approved = agreement.plan(
            conversation=plan.conversation,
            roster=self.station.roster,
            expires=plan.expires,
            cannot=lacking,
            waits=plan.waits,
        )
        own = tuple(at for at, name in enumerate(study.reads()) if name in self.station.cannot)
        terms = replace(terms, approved=approved, cannot=own)
        try:
            rows = snapshot.open_for(self.station.home, study.file.as_of)
        except HpfedError as no:
            return replace(
                terms, snapshot=Refusal("SNAPSHOT_DATE", as_of=study.file.as_of) if not isinstance(no, Refusal) else no
            )
        named = {self.station.roster.name(city): names for city, names in lacking.items()}
        role = self.station.roster.askers[study.file.asker].role
        loose = self.policy.loose
        short = shortages(study, named, limits.least, self.policy.file.exact.min_unmapped, loose=loose)
        terms = replace(
            terms,
            size=Refusal("SECAGG_BOUND") if rows.rows > self.station.size_class else None,
            able=short[0].refusal() if short else None,
            policy=_refusal(decide(study, role=role, cities=tuple(named), cannot=named, policy=self.policy)),
        )
        if approved != plan or any((terms.size, terms.able, terms.policy)):
            return terms
        self.agreed[plan.conversation] = agreement
        return self._held(terms, agreement, plan, rows, now)

    def _not_used(self, opened: messages.Open, plan: Plan) -> None:
        """The ledger is the one that this city last signed for, and neither conversation nor run was answered. Errors: `Refusal`."""
        if opened.ack:
            mine = tuple(bytes.fromhex(key.key) for key in self.station.roster.keys(self.station.identity.id))
            echo = open_echo(opened.ack, me=self.station.identity.id, keys=mine)
            self.ledger.check_echo(echo.ledger_seq, echo.ledger_head)
        if self.ledger.reservation(plan.conversation) is not None:
            raise Refusal("SECAGG_REPLAY")

    def _approved_study(self, plan: Plan, now: int) -> Study:
        name = "sha256:" + plan.study.hex()
        approved = self.ledger.approval(name, now)
        if self.ledger.finished(approved.asker, name, plan.run) is not None:
            raise Refusal("SECAGG_ALREADY_ANSWERED")
        return self.ledger.study(name)

    def _held(
        self, terms: member.Terms, agreement: Agreement, plan: Plan, rows: snapshot.Snapshot, now: int
    ) -> member.Terms:
        study = agreement.study
        claim = Claim.of(
            study,
            conversation=plan.conversation,
            plan=keys.plan_digest(plan.encode()),
            run=plan.run,
            expires=plan.expires,
            cities=plan.cities,
            totals=() if study.exact else agreement.v20,
            h=0 if study.exact else agreement.honest,
            snapshot=self._name(rows),
        )
        try:
            self.ledger.reserve(claim, now=now)  # 4 budget
        except Refusal as no:
            return replace(terms, budget=no)
        if not study.exact:
            return terms
        holders, marks = 0, hmac.new(self.station.holder_key, b"hpfed-cohort/1", sha256)
        for table in rows.batches(study.cohort_reads(), BATCH):  # 5 rows, mode exact
            inside = measures.members(table, study.dictionary, study.file.as_of, study.file.cohort)
            holders += int(inside.sum())
            marks.update(np.packbits(inside).tobytes())
        marks.update(bytes.fromhex(rows.content))
        no_ = disclosure.cohort(study, holders, self.station.cannot, self.policy.file.exact)  # 6 disclosure
        if no_ is None:
            try:
                cells = study.workload.layout.length
                self.ledger.exact(plan.conversation, rows=marks.digest(), cells=cells, now=now)
            except Refusal as found:
                no_ = found
        return replace(terms, policy=no_)

    # --- deliver: steps 2, 5, 7 and 8

    def _on_ask(self, state: member.Asked, about: bytes, stamp: Stamp) -> tuple[member.State, messages.Outgoing]:
        agreement, turn, now = self.agreed[about], state.turn, stamp.now
        if turn.ask.question != agreement.question:  # 2: the question is the approved one
            return member.refuse(state, PeerError("SECAGG_FOREIGN_QUESTION", who="coordinator", step="masked"), stamp)
        try:
            rows = snapshot.open_for(self.station.home, agreement.study.file.as_of)
            held = self.ledger.reservation(about)
            if held is None or held.claim.snapshot != self._name(rows):
                raise Refusal("SNAPSHOT_DATE", as_of=agreement.study.file.as_of)
            self.ledger.rows(about, turn.round, turn.rctx, now=now)  # from here on the round is charged
            seed = exactly(self.entropy, 32) if not agreement.study.exact else bytes(32)
            vector = encoded(agreement, rows) + noise(agreement, seed)  # 5 rows, 7 encode
        except HpfedError as no:
            return member.refuse(state, no, stamp)
        name = digest_bytes(self._name(rows))
        masked, sent = member.mask(state, vector, name, seed, self.entropy, stamp)
        if not isinstance(masked, member.Masked):
            return masked, sent
        reply = _first(sent)
        assert reply is not None  # noqa: S101 a Masked state comes with its message
        self.given[about] = member.Contribution(matter_of(state.talk.plan, turn.round), turn.rctx, masked.y_digest, ())
        self.ledger.spend(  # 8 spend: on disk before the bytes are returned
            about,
            turn.round,
            request=state.request.sha256,
            reply=reply,
            y=masked.y_digest,
            snapshot=self._name(rows),
            now=now,
        )
        return masked, sent

    # --- receipt, and the rest

    def _on_receipt(self, request: Envelope, about: bytes, stamp: Stamp) -> bytes | None:
        given, held = self.given.get(about), self.ledger.reservation(about)
        if given is None or held is None:
            return None
        round_ = held.rounds.get(given.matter.round)
        u3 = round_.confirmed.cities if round_ and round_.confirmed else ()
        contribution = replace(given, u3=u3)
        receipt = messages.Receipt.decode(request.body)
        probe = member.acknowledge(
            self.station.identity, self.station.roster, request.content, contribution, 0, bytes(32), stamp
        )
        if not probe:
            return None
        head = self.ledger.answer(
            about, given.matter.round, sum_=receipt.sum_digest, receipt=request.content, now=stamp.now
        )
        sent = member.acknowledge(
            self.station.identity, self.station.roster, request.content, contribution, head.seq, head.hash, stamp
        )
        reply = _first(sent)
        if reply is not None:
            self.ledger.acknowledge(request.sha256, reply, now=stamp.now)
        return reply

    def _ended(self, about: bytes, now: int) -> None:
        """A conversation that is over here holds no budget that was not used, and no secret."""
        if isinstance(self.members.get(about), member.Refused | member.Closed):
            self.ledger.end(about, now=now)

    def _name(self, rows: snapshot.Snapshot) -> str:
        """How a snapshot is named outside this city: a keyed digest, so that nobody can try out contents (privacy.md, section 1)."""
        return (
            "sha256:"
            + hmac.new(self.station.holder_key, b"hpfed-snapshot/1" + bytes.fromhex(rows.content), sha256).hexdigest()
        )

    def _sealed(self, body: Body, request: Envelope, stamp: Stamp) -> bytes:
        header = request.header
        matter = Matter(header.expires, bytes.fromhex(header.study), header.run)
        return seal(
            body,
            identity=self.station.identity,
            to=COORDINATOR,
            roster=self.station.roster,
            matter=matter,
            seq=stamp.seq[COORDINATOR],
            now=stamp.now,
            in_reply_to=request.sha256,
        )

    def _note(
        self, event: Event, now: int, request: Envelope | None = None, of: str = "", codes: Sequence[str] = ()
    ) -> None:
        header = request.header if request else None
        self.ledger.audit.append(
            Line(
                event=event,
                at=now,
                peer=header.sender if header else None,
                of=of or (header.kind.value if header else ""),
                study=f"sha256:{header.study}" if header and int(header.study, 16) else "",
                conversation=header.conversation if header and int(header.conversation, 16) else "",
                codes=tuple(codes),
            )
        )


def encoded(agreement: Agreement, rows: snapshot.Snapshot) -> Vector:
    """This city's sums, without noise: the measures over every batch, added up."""
    study = agreement.study
    layout, cohort, as_of = study.workload.layout, study.file.cohort, study.file.as_of
    total = np.zeros(layout.length, dtype=np.int64)
    for table in rows.batches(study.reads(), BATCH):
        total += measures.encode(layout, table, study.dictionary, as_of, cohort, study.exact)
    return total


def noise(agreement: Agreement, seed: bytes) -> Vector:
    """This city's share of the noise of every cell; zeros in mode exact. `seed`: 32 bytes, keying one stream for this release."""
    layout, stream = agreement.study.workload.layout, aes_stream(seed)
    shares = [
        skellam(stream, v20, block.cells) if v20 else np.zeros(block.cells, dtype=np.int64)
        for block, v20 in zip(layout.blocks, agreement.node_v20, strict=True)
    ]
    return np.concatenate(shares)


def _first(sent: messages.Outgoing) -> bytes | None:
    return sent[0][1] if sent else None


def _refusal(decision: Decision) -> Refusal | None:
    found = decision.refusal()
    return found if isinstance(found, Refusal) else None
