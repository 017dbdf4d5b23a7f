"""THE ONLY EXIT: bytes come in, and only here do bytes go out.

`Gate.answer` takes the steps below, each named at its line. Which steps a message takes, and in which order, depends on its kind alone.

    1 decode      size, version, kind, strict schema; envelope of the coordinator under the roster; signature of the asker
    2 approval    the study as this city approved it; policy; the plan derived again, its noise and epsilon with it
    3 replay      a repeated request gets the stored bytes; a message number only counts once; no conversation, no run twice
    4 budget      the whole study fits every cap and is held
    5 rows        the snapshot of `as_of`, its cohort streamed through step 7
    6 disclosure  mode exact: the cohort is large enough, cities and cohort obey the rules of differencing; own cells that are too small
                  are withheld; no ask of a model leaves but a few rows with weight. Mode dp: nothing looks at rows
    7 encode      measures over batches, this city's noise, the mask
    8 spend       charge, digest of the reply and the reply itself are on disk; only then are the bytes returned

| arriving | steps | answers |
|---|---|---|
| offer | 1, 3, 2 | approval; pending (an officer decides); refusal |
| open | 1, 3, 2, 4; mode exact: 5, 6 | advert; abort |
| adverts | 1, 3 | shares; abort |
| deliver; ask (a later round) | 1, 3, 2, 5, 7, 8; of a session: 5, 6, 7, 8 | masked; abort |
| survivors; confirms | 1, 3, 8 (the list; "revealed") | confirm; reveal; abort |
| count | 1, 2, 3, 4; mode exact: 5, 6; then 5, 7 without a mask, 8 | counted: this city's own cells; refusal |
| receipt | 1, 3, 8 (the answer is final) | ack |
| attest | 1, 3 | attestation: from the books alone; refusal |
| roster | 1, 3 | roster: the newest that is held, which a roster that follows from it has become |
| ping | 1, 3 | ping |

A no is a signed refusal, or an abort inside a conversation: codes and limits, never a row, a size or a count. Where rows stand behind it,
it is the one word `declined:disclosure`. What does not open is dropped with an audit line: an unsigned message changes nothing.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import numpy as np

from node import disclosure, evidence, fitting, snapshot, space
from node.attest import allowances, attestation
from node.audit import Event, Line
from node.city import added
from node.city import said as stated_by
from node.cohorts import Cohort, Cohorts
from node.desk import Desk, Request
from node.disclosure import Bools
from node.held import keep_roster
from node.ledger import COUNTED, SESSION, SUM, Approved, Claim, Ledger, Reservation
from node.policy import Policy, decide
from node.station import Station
from protocols import facts, messages
from protocols.answerable import shortages
from protocols.approval import Allowance, Approval, check_asker, sign_approval
from protocols.attestation import sign_attestation
from protocols.attributes import beside as with_levels
from protocols.canonical import digest_bytes
from protocols.entropy import Entropy, aes_stream, exactly
from protocols.errors import HpfedError, PeerError, Refusal
from protocols.messages import (
    Body,
    Envelope,
    Kind,
    Matter,
    Outgoing,
    Plan,
    Stamp,
    is_about,
    matter_of,
    open_echo,
    open_envelope,
    seal,
)
from protocols.noise import skellam
from protocols.plan import Agreement, agree, open_positions
from protocols.ring import Vector
from protocols.roster import COORDINATOR, Roster, accept
from protocols.secagg import keys, member
from protocols.session import Session, of_plan
from protocols.statistics import measures
from protocols.statistics.dominance import SHIPPED, Few, Leaders
from protocols.statistics.layout import Layout, Measure
from protocols.statistics.own_tables import Earlier, beside, suppressed
from protocols.study import Study, from_wire

BATCH: Final = 1 << 18  # rows at a time: what is made of them stays near the processor, and below 300 MiB


@dataclass
class Talk:
    """One open conversation at this gate. Its secrets are in `state`, in memory only: after a restart it is a drop-out."""

    agreement: Agreement | Session | None
    state: member.State


@dataclass(frozen=True)
class OneSum:
    """A sum of the one-round questions. `blocks`: of the agreement's layout, and of the reservation."""

    agreement: Agreement
    blocks: tuple[int, ...]
    layout: Layout


@dataclass
class Gate:
    """One city's gate. `station`: who this city is; `desk`: what was asked, and what officers signed about it. `room`: whether the disk
    has room for one more conversation.

    `under`: of each conversation that was open when a newer roster came, the roster of its plan, which it keeps to the end.
    """

    station: Station
    policy: Policy
    ledger: Ledger
    entropy: Entropy
    desk: Desk
    talks: dict[bytes, Talk] = field(default_factory=dict)
    under: dict[bytes, Roster] = field(default_factory=dict)
    room: Callable[[], bool] = lambda: True

    def renew(self, roster: Roster, now: int) -> None:
        """Hold a newer roster, which `protocols.roster.accept` let in. New plans must be made on it.

        A conversation goes on under the roster of its plan, unless the newer one revokes this city, the coordinator, or the key under
        which either of them opened it: that one is over, and what it has not used is free again.
        """
        before, self.station = self.station.roster, replace(self.station, roster=roster)
        for about, talk in list(self.talks.items()):
            self.under.setdefault(about, before)
            if isinstance(talk.state, member.Live) and not _stands(talk.state.talk, roster):
                talk.state = member.close(talk.state)
            self._over(about, now)

    def answer(self, content: bytes, now: int) -> bytes | None:
        """The reply to one envelope, or None where nothing may be answered. `now`: Unix s. Steps: see the head of this file."""
        request = None
        try:
            letter = messages.read(content)
            about = bytes.fromhex(letter.header.conversation)
            request = open_envelope(
                letter,
                me=self.station.identity.id,
                roster=self.under.get(about, self.station.roster),
                newest=self.station.roster,
                pinned=self._pinned(about),
                now=now,
            )  # 1 decode
            stored = self.ledger.repeated(request.sha256)  # 3 replay
            if stored is not None:
                self._note(Event.REPEATED, now, request)
                return stored
            self._admit(request)
            reply = self._replied(request, Stamp(now, {COORDINATOR: self.ledger.number(COORDINATOR, now)}))
        except HpfedError as fault:  # it does not open, is a replay, or the books cannot be written: nothing leaves
            self._dropped(fault, now, request)
            return None
        if reply is not None:
            if messages.peek(reply).kind is not Kind.PENDING:
                self.ledger.remember(COORDINATOR, request.sha256, reply)
            self._note(Event.ANSWERED, now, request, of=messages.peek(reply).kind.value)
        return reply

    def _admit(self, request: Envelope) -> None:
        """A message number only counts once; but the offer of a study that waits for an officer here may come again as it was, and is
        answered anew, whoever has decided since. It charges nothing."""
        try:
            self.ledger.admit(COORDINATOR, request.header.seq)
        except PeerError:
            held = self.desk.requests().get("sha256:" + request.header.study)
            if request.header.kind is not Kind.OFFER or held is None or held.state != "pending":
                raise

    def _pinned(self, about: bytes) -> Mapping[int, bytes] | None:
        """The keys under which a conversation that is open began: past their date they still finish it."""
        state = self.talks[about].state if about in self.talks else None
        return state.talk.pinned if isinstance(state, member.Live) else None

    def _replied(self, request: Envelope, stamp: Stamp) -> bytes | None:
        """What each kind of message gets."""
        about, now = bytes.fromhex(request.header.conversation), stamp.now
        for other in list(self.talks):
            self._over(other, now)
        match request.header.kind:
            case Kind.OFFER:
                return self._on_offer(request, stamp)
            case Kind.PING:
                return self._sealed(messages.Ping.decode(request.body), request, stamp)
            case Kind.OPEN if about not in self.talks:  # to a conversation that is open it is out of order (G4)
                return _first(self._on_open(request, about, stamp))
            case Kind.RECEIPT:
                return self._on_receipt(request, about, stamp)
            case Kind.ATTEST:
                return self._on_attest(request, stamp)
            case Kind.COUNT:
                return self._on_count(request, stamp)
            case Kind.ROSTER:
                return self._on_roster(request, stamp)
        talk = self.talks.get(about)
        if talk is None:
            raise PeerError("SECAGG_OUT_OF_ORDER", who="coordinator", step=request.header.kind.value)
        before = talk.state
        talk.state, sent = member.step(before, request.content, stamp)
        if talk.state is not before:
            try:
                sent = self._written(talk, about, sent, stamp)
            except BaseException:  # the step was made and is not in the books: it is not gone on from, its secrets go
                del self.talks[about]
                raise
            self._refused(talk.state, now, request)
            self._over(about, now)
        return _first(sent)

    def _written(self, talk: Talk, about: bytes, sent: Outgoing, stamp: Stamp) -> Outgoing:
        """A step of a conversation, in the books before its bytes leave."""
        match talk.state:
            case member.Asked():
                talk.state, sent = self._on_ask(talk, talk.state, about, stamp)
            case member.Confirmed(turn=turn, u3=u3, confirm=confirm):
                self.ledger.confirm(
                    about, turn.round, u3, confirm.u3_digest, now=stamp.now
                )  # 8: no other list is ever signed
            case member.Revealed(turn=turn):
                self.ledger.reveal(about, turn.round, now=stamp.now)  # 8
        return sent

    # --- roster: step 1

    def _on_roster(self, request: Envelope, stamp: Stamp) -> bytes:
        """Hold the roster that follows from the one held, on disk first. The reply says which one is held, whatever came of it."""
        held = self.station.roster
        try:
            file = bytes(messages.RosterFile.decode(request.body).file)
            newer = accept((file,), root=bytes.fromhex(held.entries.root), stored=held, now=stamp.now)
        except PeerError as no:  # of another root, not the next, expired: the stored one stays
            self._note(Event.REFUSED, stamp.now, request, codes=[no.code])
        else:
            if newer is not held:
                keep_roster(self.station.home, newer)
                self.renew(newer, stamp.now)
        return self._sealed(messages.RosterFile(self.station.roster.file), request, stamp)

    # --- offer: steps 1 and 2

    def _on_offer(self, request: Envelope, stamp: Stamp) -> bytes:
        kept, most = None, self.policy.file.limits.pending_studies
        try:
            offer = messages.Offer.decode(request.body)
            study = from_wire(offer.study, offer.dictionary)
            if request.header.study != digest_bytes(study.digest).hex():
                raise PeerError("ENVELOPE_STUDY", who="coordinator")
            check_asker(offer.signed, study, self.station.roster, stamp.now)  # 1: whose question it is
            study = _of_run(study, request.header.run)
            cities, asker = self._asked(study), self.station.roster.askers[study.file.asker]
            kept = Request.of(offer, asker, cities, request.header.expires, stamp.now)
            taken = self._approved(study, cities, stamp.now)  # 2 approval
            self.desk.record(study.digest, kept, "pending" if taken is None else "approved", (), most)
        except HpfedError as no:
            codes = [each.code for each in no.every()]
            if kept is not None:
                self.desk.record("sha256:" + request.header.study, kept, "refused", codes, most)
            self._note(Event.REFUSED, stamp.now, request, codes=codes)
            return self._sealed(messages.Refusal.of(disclosure.outward(no, rows_read=False)), request, stamp)
        if taken is None:
            return self._sealed(messages.Pending(), request, stamp)
        self._note(Event.DECIDED, stamp.now, request, by=(taken.rule, *taken.officers))
        said = taken.facts.get(study.file.as_of.isoformat(), {})
        approval = Approval(
            city=self.station.city.city,
            study=study.digest,
            dictionary=study.dictionary.digest,
            policy=self.policy.digest,
            cannot=tuple(sorted((*taken.cannot, *facts.lacked(study.facts, said)))),
            facts={name: value for name, value in said.items() if value != facts.UNSAID},
            scope=self.station.city.scope,
            unused={name: codes for name, codes in self.station.unused.items() if name in study.reads()},
            snapshot=study.file.as_of,
            min_cell=self.policy.file.exact.min_cell if study.exact else self.policy.file.dp.min_cell,
            min_pooled=self.policy.file.exact.min_pooled if study.exact else 0,
            budget=() if study.exact else self._budget(study, stamp.now),
            decided="officers" if taken.officers else "rule",
            officers=taken.signed,
            issued=taken.at,
            expires=taken.expires,
            synthetic=self.station.city.synthetic,
            open_data=self.station.city.open_data,
        )
        return self._sealed(messages.Approval(sign_approval(approval, self.station.identity.key)), request, stamp)

    def _budget(self, study: Study, now: int) -> tuple[Allowance, ...]:
        """How full its caps are. What a repeat holds since its first run is part of what it takes, and not of what was used before."""
        besides = study.digest if study.runs > 1 else ""
        return allowances(self.ledger.rooms(study.file.asker, now, besides=besides))

    def _asked(self, study: Study) -> list[str]:
        """Cities of the roster that the study asks."""
        active = [city.name for city in self.station.roster.entries.cities if city.state == "active"]
        return [name for name in active if study.file.cities.names is None or name in study.file.cities.names]

    def _approved(self, study: Study, cities: Sequence[str], now: int) -> Approved | None:
        """This city's yes, in the books; None while officers have not said it. Errors: its no, with all reasons."""
        if study.dictionary.digest != self.station.dictionary:
            raise Refusal("SNAPSHOT_DICTIONARY", name=study.dictionary.name)
        said, day = (
            self._said(study, snapshot.open_for(self.station.home, study.file.as_of)),
            study.file.as_of.isoformat(),
        )
        before = dict[str, dict[str, str]]()
        decision = decide(study, role=self._role(study), cities=cities, cannot=None, policy=self.policy)
        no = decision.refusal()
        if no:
            self.ledger.decline(study.digest, study.file.asker, codes=[each.code for each in no.every()], now=now)
            raise no
        self._not_declined(study.digest, study.file.asker, now)
        with suppress(Refusal):  # none yet, or none in force: decided below
            held = self.ledger.approval(study.digest, now)
            before = held.facts
            if (held.policy, held.cannot, len(held.signed), before.get(day, {})) == (
                self.policy.digest,
                self.station.cannot,
                decision.needed,
                said,
            ):
                return held
        signed = self.desk.yes(study.digest, decision.needed, self.policy.file.expiry.approval_days, now)
        if not decision.met([each.officer for each in signed]):
            return None
        stated = {**before, day: said} if study.facts else {}
        return self.ledger.approve(study, decision, signed=signed, cannot=self.station.cannot, now=now, facts=stated)

    def _said(self, study: Study, rows: snapshot.Snapshot) -> dict[str, str]:
        """What this city states, of the facts that a study asks for."""
        return {name: value for name, value in stated_by(rows.facts).items() if name in study.facts}

    def _not_declined(self, study: str, asker: str, now: int) -> None:
        """Errors: `Refusal APPROVAL_DECLINED` where an officer said no; it takes back an earlier yes."""
        no = self.desk.no(study)
        if no is not None:
            codes, by = ("APPROVAL_DECLINED",), (no.said.officer,)
            self.ledger.decline(study, asker, codes=codes, officers=by, reason=no.reason, now=now)
            raise Refusal("APPROVAL_DECLINED", city=self.station.city.city)

    # --- open: steps 2, 3 and 4, in mode exact 5 and 6

    def _on_open(self, request: Envelope, about: bytes, stamp: Stamp) -> Outgoing:
        terms, agreement = self._terms(request, stamp.now)
        state, sent = member.join(terms, request.content, self.entropy, stamp)
        self._refused(state, stamp.now, request)
        if isinstance(state, member.Advertised):
            self.talks[about] = Talk(agreement, state)
        elif about not in self.talks and terms.budget is None and terms.history is None:
            self.ledger.end(about, now=stamp.now)  # what was held for it is free again
        return sent

    def _terms(self, request: Envelope, now: int) -> tuple[member.Terms, Agreement | Session | None]:
        """What only this city can say about the plan of an Open, in the order of the checks P1 to P11 of the protocol."""
        station, limits = self.station, self.policy.file
        nothing = member.Terms(
            identity=station.identity,
            roster=station.roster,
            least=limits.cities.least,
            least_colluders=limits.cities.least_colluders,
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
            if not is_about(request.header, matter_of(plan)) or not set(plan.cities) <= station.roster.cities.keys():
                raise Refusal("SECAGG_PLAN")
            study = self._not_used(opened, plan, now)  # 3 replay
            agreement = of_plan(agree(study, plan.cities, station.roster), plan)  # 2 approval: everything derived again
            if self.ledger.finished(study.file.asker, study.digest, plan.run, _part(agreement)) is not None:
                raise Refusal("SECAGG_ALREADY_ANSWERED")
            lacking = open_positions(plan, study)
            rows = snapshot.open_for(station.home, study.file.as_of)
            self._as_approved(study, rows, now)
        except HpfedError as no:
            return replace(nothing, history=no if isinstance(no, Refusal) else None), None
        cities = {station.roster.name(city): names for city, names in lacking.items()}
        mine = (*station.cannot, *facts.lacked(study.facts, self._said(study, rows)))
        if study.file.cities.names is not None and not cities.keys() <= set(study.file.cities.names):
            return nothing, None  # not what was approved
        short = shortages(study, cities, limits.cities.least, limits.exact.min_unmapped, loose=self.policy.loose)
        decision = decide(study, role=self._role(study), cities=cities, cannot=cities, policy=self.policy)
        terms = replace(
            nothing,
            approved=agreement.plan(
                conversation=plan.conversation,
                roster=station.roster,
                expires=plan.expires,
                cannot=lacking,
                waits=plan.waits,
            ),
            cannot=tuple(at for at, name in enumerate(study.names) if name in mine),
            size=Refusal("SECAGG_BOUND") if rows.rows > station.size_class else None,
            able=short[0].refusal() if short else None,
            policy=next(iter(decision.reasons), None),
        )
        if terms.approved == plan and not any((terms.size, terms.able, terms.policy)):
            terms = self._held(terms, agreement, plan, rows, now)
        return terms, agreement

    def _as_approved(self, study: Study, rows: snapshot.Snapshot, now: int) -> None:
        """What this city states is what it approved: that is what will be published. Errors: `Refusal APPROVAL_MISSING`."""
        approved = self.ledger.approval(study.digest, now).facts.get(study.file.as_of.isoformat(), {})
        if approved != self._said(study, rows):
            raise Refusal("APPROVAL_MISSING", city=self.station.city.city)

    def _not_used(self, opened: messages.Open, plan: Plan, now: int) -> Study:
        """The approved study of a plan, if these books are the newest and neither conversation nor run was used. Errors: `Refusal`."""
        if opened.ack:
            mine = tuple(bytes.fromhex(key.key) for key in self.station.roster.keys(self.station.identity.id))
            try:
                echo = open_echo(opened.ack, me=self.station.identity.id, keys=mine)
            except PeerError:  # P3: not an own one
                raise Refusal("SECAGG_REPLAY") from None
            self.ledger.check_echo(echo.ledger_seq, echo.ledger_head)
        if self.ledger.reservation(plan.conversation) is not None:
            raise Refusal("SECAGG_REPLAY")
        return self._standing(plan.study.hex(), plan.run, now)

    def _standing(self, study: str, run: int, now: int) -> Study:
        """A run of a study as it was approved, whose asker may still ask. Errors: `Refusal` APPROVAL_…, SECAGG_NOT_APPROVED."""
        approved = self.ledger.approval("sha256:" + study, now)
        self._not_declined(approved.study, approved.asker, now)
        asker = self.station.roster.askers.get(approved.asker)
        if asker is None or asker.until <= now:
            raise Refusal("APPROVAL_ASKER", asker=approved.asker)
        return _of_run(self.ledger.study(approved.study), run)

    def _held(
        self, terms: member.Terms, agreement: Agreement | Session, plan: Plan, rows: snapshot.Snapshot, now: int
    ) -> member.Terms:
        """The terms with the budget held; in mode exact, with what the rows say."""
        study = agreement.study
        earlier = self.ledger.counting(study.file.asker, study.digest, plan.run, now)
        once = study.counted and (
            earlier is None or earlier.own is None
        )  # what was answered is answered, and is not charged again
        named = plan.conversation, keys.plan_digest(plan.encode()), plan.expires
        if isinstance(agreement, Session):
            claim, following = self._claim_of_session(agreement, *named, rows), agreement.following
        else:
            claim, following = self._claim(agreement, *named, rows, counted=once, stated=_silent(agreement, plan)), 0
        try:
            self._reserve(claim, study, now, following)  # 4 budget
        except Refusal as no:
            return replace(terms, budget=no)
        if not study.exact:
            return terms
        return replace(terms, policy=self._told_apart(study, rows, plan.conversation, now))

    def _reserve(self, claim: Claim, study: Study, now: int, following: int = 0) -> Reservation:
        """Hold what a run may cost: with the first of a repeat, all of them, for as long as its approval holds. A session is held run by
        run. On a disk that is nearly full nothing is."""
        if not self.room():
            raise Refusal("BUSY", limit=space.NEEDED // space.MIB, key="MiB of free disk")
        runs = range(1, study.runs + 1) if study.runs > 1 and claim.part == SUM else ()
        until = self.ledger.approval(study.digest, now).expires if runs else 0
        return self.ledger.reserve(claim, now=now, runs=runs, until=until, following=following)

    def _told_apart(self, study: Study, rows: snapshot.Snapshot, about: bytes, now: int) -> Refusal | None:
        """Mode exact: the no of steps 5 and 6, if a cohort is too small, or tells of a few beside others. Else all of them are kept."""
        exact, kept = self.policy.file.exact, Cohorts(self.station.home, self.station.holder_key)
        cohort = self._cohort(study, rows)  # 5 rows
        earlier = self.ledger.cohorts(about)
        alone = [each for each in earlier if each.by_city] if study.told else ()
        ruled = not self.ledger.approval(study.digest, now).officers
        city, cannot = self.station.city.city, self.station.cannot
        no = (  # 6 disclosure
            disclosure.cohorts(study, cohort.atoms, cannot, exact, by_city=study.told, city=city)
            or kept.differs(cohort, earlier, exact.min_cohort)
            or (kept.differs(cohort, alone, exact.min_cohort_by_city) if study.told else None)
            or (kept.beside(cohort, earlier, by_city=study.counted) if exact.min_cell > 1 else None)
            or (kept.one_too_many(cohort, earlier) if ruled else None)
        )
        try:
            if no is None:
                each = cohort.digests(self.station.holder_key) if cohort.of_questions else ()
                all_of_them, cells = bytes.fromhex(kept.keep(cohort)), study.workload.cells
                self.ledger.exact(about, rows=all_of_them, cells=cells, now=now, alone=each)
        except Refusal as overlap:
            return overlap
        return no

    def _cohort(self, study: Study, rows: snapshot.Snapshot) -> Cohort:
        """Who of this city is in the cohort of the study, and in that of each question that has one, in the order of `study.cohorts`."""
        stands, inside = study.standing(self.station.city.city), list[list[Bools]]()
        read = {name for each in (study.file.cohort, *study.cohorts) for name in study.decides(each)}
        for table in rows.batches(read, BATCH):
            whole = with_levels(table, stands)
            every, *others = (
                measures.members(whole, study.meant, study.file.as_of, each)
                for each in (study.file.cohort, *study.cohorts)
            )
            inside.append([every, *(every & each for each in others)])
        study_s, *questions = (np.concatenate(each) for each in zip(*inside, strict=True))
        return Cohort(self._named(rows), study_s, rows.holders(), tuple(questions))

    def _claim(
        self,
        agreement: Agreement,
        conversation: bytes,
        plan: bytes,
        expires: int,
        rows: snapshot.Snapshot,
        *,
        counted: bool,
        stated: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> Claim:
        """All that a run may cost: the sum, and, if `counted`, what this city answers by itself."""
        study = agreement.study
        return Claim.of(
            study,
            conversation=conversation,
            plan=plan,
            run=agreement.run,
            expires=expires,
            cities=agreement.cities,
            layout=agreement.layout,
            totals=() if study.exact else agreement.v20,
            h=0 if study.exact else agreement.honest,
            own=agreement.own,
            own_totals=agreement.own_v20 if counted and not study.exact else (),
            summed=study.summed,
            counted=counted,
            rounds=len(agreement.sums) + agreement.spare if study.summed else 1,
            times=1 + agreement.spare,
            snapshot=self._named(rows),
            stated=stated,
        )

    def _claim_of_session(
        self, session: Session, conversation: bytes, plan: bytes, expires: int, rows: snapshot.Snapshot
    ) -> Claim:
        """All rounds that the many-round questions of a run may take, and in mode dp all that these release. Mode exact: rounds are
        counted, and cost no epsilon."""
        return Claim.of(
            session.study,
            conversation=conversation,
            plan=plan,
            run=session.run,
            expires=expires,
            cities=session.cities,
            rounds=session.rounds,
            drawn=session.agreement.drawn,
            part=SESSION,
            snapshot=self._named(rows),
        )

    # --- count: all eight steps, without a mask

    def _on_count(self, request: Envelope, stamp: Stamp) -> bytes:
        """This city's own answer to what is released by city: cells with all of their noise, the same ones whenever this run is asked."""
        read = False
        try:
            asked = messages.Count.decode(request.body)  # 1 decode
            if (asked.study.hex(), asked.run) != (request.header.study, request.header.run):
                raise PeerError("ENVELOPE_STUDY", who="coordinator")
            study = self._standing(asked.study.hex(), asked.run, stamp.now)  # 2 approval
            held = self.ledger.counting(study.file.asker, study.digest, asked.run, stamp.now)
            agreement = self._own_terms(study, asked, held)
            stored = None if held is None else self.ledger.own(held)  # 3 replay
            if stored is not None:
                return self._sealed(messages.Counted.decode(stored, len(stored)), request, stamp)
            rows = snapshot.open_for(self.station.home, study.file.as_of)
            if rows.rows > self.station.size_class:
                raise Refusal("SECAGG_BOUND")
            if held is None:
                plan = sha256(request.body).digest()
                claim = self._claim(
                    agreement, exactly(self.entropy, 16), plan, request.header.expires, rows, counted=True
                )
                held = self._reserve(claim, study, stamp.now)  # 4 budget
            about = bytes.fromhex(held.claim.conversation)
            if held.claim.snapshot != self._named(rows):
                raise Refusal("SNAPSHOT_DATE", as_of=study.file.as_of.isoformat())
            if study.exact and held.exact is None:
                read = True
                no = self._told_apart(study, rows, about, stamp.now)  # 5 rows, 6 disclosure
                if no:
                    self.ledger.end(about, now=stamp.now)
                    raise no
            self.ledger.rows(
                about, COUNTED, request.sha256, now=stamp.now
            )  # 5 rows: charged from here on, come what may
            read = True
            seed = bytes(32) if study.exact else exactly(self.entropy, 32)
            if study.exact:
                vector = self._own_cells(study, agreement.own, rows, held)  # 7 encode
            else:
                vector = encoded(study, agreement.own, rows, self.station.city.city)  # 7 encode
                vector += noise(agreement.own, agreement.own_v20, seed)
            body = messages.Counted(asked.layout, vector.astype("<i8").tobytes())
            reply = self._sealed(body, request, stamp)
            self.ledger.count(
                about,
                request=request.sha256,
                reply=reply,
                body=body.encode(),
                plan=sha256(request.body).digest(),
                snapshot=self._named(rows),
                now=stamp.now,
            )  # 8 spend
        except HpfedError as no:
            self._note(Event.REFUSED, stamp.now, request, codes=[each.code for each in no.every()])
            return self._sealed(messages.Refusal.of(disclosure.outward(no, rows_read=read)), request, stamp)
        return reply

    def _own_cells(self, study: Study, own: Layout, rows: snapshot.Snapshot, held: Reservation) -> Vector:
        """Mode exact: this city's own cells, without those that would give a small count away, beside all that it said of these holders."""
        least = self.policy.file.exact.min_cell
        if least <= 1:
            return encoded(study, own, rows, self.station.city.city)
        earlier = [
            Earlier(asked.workload.own, _cells(said)).without(study.strange(asked))
            for asked, said in self.ledger.said(held)
        ]
        every = Layout((*own.blocks, *beside(own, earlier)))
        cells = encoded(study, every, rows, self.station.city.city)
        return suppressed(own, cells, least, earlier)  # 6 disclosure

    def _own_terms(self, study: Study, asked: messages.Count, held: Reservation | None) -> Agreement:
        """What the study gives for an own answer, derived again, and held against what is asked. `held`: the conversation beside it.

        Errors: `PeerError` SECAGG_OUT_OF_ORDER (a study with a sum is summed first), SECAGG_FOREIGN_QUESTION; `Refusal` of the policy,
        COUNT_OTHER_CITIES: it was answered beside a sum over other cities, which may carry amounts in other units.
        """
        roster = self.station.roster
        if study.summed and held is None:
            raise PeerError("SECAGG_OUT_OF_ORDER", who="coordinator", step="count")
        named = study.file.cities.names
        everyone = [
            city.id for city in roster.entries.cities if city.state == "active" and city.name in (named or (city.name,))
        ]
        agreement = agree(study, held.claim.cities if held else everyone, roster)
        if not study.counted or agreement.count != asked:
            if held is not None and held.own is not None:
                raise Refusal("COUNT_OTHER_CITIES", city=self.station.city.city)
            raise PeerError("SECAGG_FOREIGN_QUESTION", who="coordinator", step="count")
        cities = [roster.name(city) for city in agreement.cities]
        no = decide(study, role=self._role(study), cities=cities, cannot=None, policy=self.policy).refusal()
        if no:
            raise no
        return agreement

    # --- deliver and ask: steps 2, 5, 7 and 8

    def _on_ask(self, talk: Talk, state: member.Asked, about: bytes, stamp: Stamp) -> tuple[member.State, Outgoing]:
        agreement, turn, now = talk.agreement, state.turn, stamp.now
        try:
            asked = _allowed(
                agreement, turn.ask, self.policy
            )  # 2: a question that was approved; it follows from earlier sums
        except (PeerError, Refusal) as no:
            return member.refuse(state, no, stamp)
        agreement = asked.session if isinstance(asked, fitting.Turn) else asked.agreement
        rows = snapshot.open_for(self.station.home, agreement.study.file.as_of)  # 5 rows
        name, held, exact = self._named(rows), self.ledger.reservation(about), agreement.study.exact
        if held is None or held.claim.snapshot != name:
            return member.refuse(state, Refusal("SNAPSHOT_DATE", as_of=agreement.study.file.as_of.isoformat()), stamp)
        try:  # from here on the round is charged, come what may
            cells = turn.ask.length if isinstance(agreement, Session) else 0
            self.ledger.rows(about, turn.round, turn.rctx, blocks=() if exact else asked.blocks, cells=cells, now=now)
        except Refusal as no:
            if no.code != "SECAGG_BUDGET":
                raise
            return member.refuse(state, no, stamp)
        seed = bytes(32) if exact else exactly(self.entropy, 32)
        try:
            vector = self._vector(asked, rows, seed)  # 6 disclosure, of a session; 7 encode
        except Refusal as no:
            return member.refuse(state, no, stamp)
        masked, sent = member.mask(state, vector, digest_bytes(name), seed, self.entropy, stamp)
        if isinstance(masked, member.Masked):
            reply, request, y = sent[0][1], state.request.sha256, masked.y_digest
            self.ledger.spend(about, turn.round, request=request, reply=reply, y=y, snapshot=name, now=now)  # 8 spend
        return masked, sent

    def _vector(self, asked: OneSum | fitting.Turn, rows: snapshot.Snapshot, seed: bytes) -> Vector:
        """What this city adds to a sum, its noise in it. Errors: `Refusal` with rows behind it."""
        city = self.station.city.city
        if isinstance(asked, fitting.Turn):
            place = asked.session.cities.index(self.station.identity.id)
            read = fitting.Rows(rows.batches, rows.rows, BATCH, city, self.station.cannot, place)
            vector, drawn = fitting.encoded(asked, read), asked.session.agreement.drawn
            released = [(drawn[at].draw.cells, drawn[at].node_v20) for at in asked.blocks]
            return vector + of_cells(released, seed) if released else vector
        rule, agreement = self.policy.file.exact.dominance, asked.agreement
        vector = encoded(agreement.study, asked.layout, rows, city, Few(rule.top, rule.share, rule.p_percent))
        vector += figures(asked.layout, added(rows.facts, agreement.study.dictionary))
        vector += noise(asked.layout, [agreement.node_v20[at] for at in asked.blocks], seed)
        return vector

    # --- receipt, and what all share

    def _on_receipt(self, request: Envelope, about: bytes, stamp: Stamp) -> bytes | None:
        """The answer is final: this run is never computed again. From the books alone, so that it is the same after a restart.

        Nothing for a receipt that is not about what this city sent and signed.
        """
        held, round_ = self.ledger.reservation(about), request.header.round
        found = held.rounds.get(round_) if held else None
        if held is None or found is None or found.spent is None or not found.sent:
            return None
        study, run = digest_bytes(held.claim.study), held.claim.runs[0]
        given = member.Contribution(
            Matter(held.claim.expires, study, run, about, round_),
            digest_bytes(found.rows.ask),
            digest_bytes(found.spent.y),
            found.confirmed.cities if found.confirmed else (),
        )
        identity, roster = self.station.identity, self.under.get(about, self.station.roster)
        by = {COORDINATOR: request.key}
        if not member.acknowledge(identity, roster, request.content, given, 0, bytes(32), stamp, by):
            return None
        receipt = messages.Receipt.decode(request.body)
        head = self.ledger.answer(about, round_, sum_=receipt.sum_digest, receipt=request.content, now=stamp.now)  # 8
        reply = member.acknowledge(identity, roster, request.content, given, head.seq, head.hash, stamp, by)[0][1]
        self.ledger.acknowledge(request.sha256, reply, now=stamp.now)
        if round_ + 1 == held.claim.rounds:
            self.talks.pop(about, None)
        return reply

    def _on_attest(self, request: Envelope, stamp: Stamp) -> bytes:
        """What left this city for the run in the header, signed. No row is read for it; what was not charged before did not leave."""
        messages.Attest.decode(request.body)
        name, run, station = "sha256:" + request.header.study, request.header.run, self.station
        try:
            released = self.ledger.released(name, run)
            agreement = agree(released.study, released.conversations[-1].claim.cities, station.roster)
        except Refusal as no:
            self._note(Event.REFUSED, stamp.now, request, codes=[each.code for each in no.every()])
            return self._sealed(messages.Refusal.of(disclosure.outward(no, rows_read=False)), request, stamp)
        counted = next((each for each in map(self.ledger.own, released.conversations) if each is not None), None)
        own = None if counted is None else _cells(counted)
        said = attestation(station.city.city, run, released, agreement, self.ledger.audit.head.hash, stamp.now, own)
        return self._sealed(messages.Attestation(sign_attestation(said, station.identity.key)), request, stamp)

    def _refused(self, state: member.State, now: int, request: Envelope) -> None:
        """G3: the message that ended the conversation here is kept, and the audit line names it."""
        if isinstance(state, member.Refused):
            kept = evidence.keep(self.station.home, state.evidence)
            self._note(Event.REFUSED, now, request, codes=[state.fault.code], digest=kept)

    def _over(self, about: bytes, now: int) -> None:
        """A conversation that ended here, or whose time is over (G5), keeps neither secrets nor budget that was not used; one that a round
        went on without keeps no secrets of that round."""
        talk = self.talks[about]
        if isinstance(talk.state, member.Live):
            talk.state = member.timely(talk.state, now)
        if not isinstance(talk.state, member.Live):
            del self.talks[about]
            self.ledger.end(about, now=now)

    def _role(self, study: Study) -> str:
        return self.station.roster.askers[study.file.asker].role

    def _named(self, rows: snapshot.Snapshot) -> str:
        """How a snapshot is called outside: by a keyed digest, so that nobody can try out contents."""
        content = b"hpfed-snapshot/1" + bytes.fromhex(rows.content)
        return "sha256:" + hmac.new(self.station.holder_key, content, sha256).hexdigest()

    def _sealed(self, body: Body, request: Envelope, stamp: Stamp) -> bytes:
        header = request.header
        return seal(
            body,
            identity=self.station.identity,
            to=COORDINATOR,
            roster=self.station.roster,
            matter=Matter(header.expires, bytes.fromhex(header.study), header.run),
            seq=stamp.seq[COORDINATOR],
            now=stamp.now,
            in_reply_to=request.sha256,
        )

    def _dropped(self, fault: HpfedError, now: int, request: Envelope | None) -> None:
        with suppress(HpfedError):  # if the books cannot be written, there is nobody to tell
            self._note(Event.DROPPED, now, request, codes=[fault.code])

    def _note(
        self,
        event: Event,
        now: int,
        request: Envelope | None,
        *,
        of: str = "",
        codes: Sequence[str] = (),
        by: Sequence[str] = (),
        digest: str = "",
    ) -> None:
        header = request.header if request else None
        line = Line(event=event, at=now, of=of, codes=tuple(codes), by=tuple(by), digest=digest)
        if header is not None:
            study, conversation = int(header.study, 16), int(header.conversation, 16)
            line = line.model_copy(
                update={
                    "peer": header.sender,
                    "of": of or header.kind.value,
                    "study": f"sha256:{header.study}" if study else "",
                    "conversation": header.conversation if conversation else "",
                }
            )
        self.ledger.audit.append(line)


def _silent(agreement: Agreement, plan: Plan) -> dict[str, list[int]]:
    """Of each fact that is added up, the cities of a plan that do not publish it."""
    lacking = open_positions(plan, agreement.study)
    return {
        fact: [city for city, names in lacking.items() if f"{facts.SUMMED}{fact}" in names]
        for fact in facts.cells(agreement.layout)
    }


def _stands(talk: member.Talk, roster: Roster) -> bool:
    """Whether coordinator and city of a conversation still stand on a newer roster, under the keys that they opened it with."""
    parties = {COORDINATOR: talk.pinned[COORDINATOR], talk.identity.id: talk.identity.public}
    return all(roster.stands(party, key) for party, key in parties.items())


def _of_run(study: Study, run: int) -> Study:
    """A run of a study, from 1; one that has no `repeat` has one run. Errors: `Refusal SECAGG_NOT_APPROVED`."""
    if not 1 <= run <= study.runs:
        raise Refusal("SECAGG_NOT_APPROVED")
    return study.at(run)


def _part(agreement: Agreement | Session) -> int:
    """Which of the two conversations of a run it is."""
    return SESSION if isinstance(agreement, Session) else SUM


def _allowed(agreement: Agreement | Session | None, ask: messages.Ask, policy: Policy) -> OneSum | fitting.Turn:
    """What an Ask is about, if the approved plan allows one of these words, cells and layout (Q2); without a plan it allows none.

    Errors: `PeerError` SECAGG_FOREIGN_QUESTION, and of a session those of `fitting.allowed`.
    """
    if isinstance(agreement, Session):
        return fitting.allowed(agreement, ask, policy)
    sums = (
        []
        if agreement is None
        else [(each, OneSum(agreement, each.blocks, agreement.part(each))) for each in agreement.sums]
    )
    for each, asked in sums:
        words = each.question, asked.layout.length, digest_bytes(asked.layout.digest)
        if (ask.question, ask.length, ask.layout) == words:
            return asked
    raise PeerError("SECAGG_FOREIGN_QUESTION", who="coordinator", step="masked")


def encoded(study: Study, layout: Layout, rows: snapshot.Snapshot, city: str = "", few: Few = SHIPPED) -> Vector:
    """This city's sums without noise: the measures over every batch, added up. int64, as long as the layout.

    `city`: its name, from which, and from no row, follows the level of each attribute of cities that its holders stand at; a nameless one
    has none. `few`: when a few holders are most of an amount.
    """
    total, leaders, stands = np.zeros(layout.length, dtype=np.int64), Leaders(few), study.standing(city)
    file = study.file
    for table in rows.batches(study.reads_for(layout), BATCH):
        whole = with_levels(table, stands)
        total += measures.encode(layout, whole, study.meant, file.as_of, file.cohort, study.exact, leaders)
    for block in layout.blocks:
        if block.measure is Measure.DOMINATED:
            total[layout.span(block)] = leaders.dominated(block)
    return total


def figures(layout: Layout, stated: Mapping[str, int]) -> Vector:
    """What this city only lets be added up of itself (`stated`, in steps), each in the cell of its fact; 0 in all others."""
    total = np.zeros(layout.length, dtype=np.int64)
    for name, at in facts.cells(layout).items():
        total[at] = stated.get(name, 0)
    return total


def noise(layout: Layout, v20s: Sequence[int], seed: bytes) -> Vector:
    """This city's noise of every cell; zeros in mode exact. `v20s`: its variance for each block, in 2^-20. `seed`: 32 bytes, the key of
    one stream for this release alone."""
    return of_cells([(block.cells, v20) for block, v20 in zip(layout.blocks, v20s, strict=True)], seed)


def of_cells(blocks: Sequence[tuple[int, int]], seed: bytes) -> Vector:
    """The same for so many cells of each variance."""
    stream = aes_stream(seed)
    return np.concatenate(
        [skellam(stream, v20, cells) if v20 else np.zeros(cells, dtype=np.int64) for cells, v20 in blocks]
    )


def _cells(body: bytes) -> Vector:
    """The cells of a `counted` body."""
    return np.frombuffer(messages.Counted.decode(body, len(body)).cells, "<i8").astype(np.int64)


def _first(sent: Outgoing) -> bytes | None:
    return sent[0][1] if sent else None
