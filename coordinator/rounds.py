"""A study over cities: offered, approved, summed in one conversation, opened.

    offer ──▶ approvals ──▶ plan ──▶ open, adverts, deliver, survivors, confirms ──▶ the sum ──▶ receipt ──▶ attestations
                                 └──▶ count ──▶ what each city of the sum answers by itself; all of the study where nothing is summed

The state machine of the aggregation is `protocols/secagg/collector.py`; this file carries its messages over an `Exchange`, writes every
event into a log (`log.py`) before it is acted on, and says who is missing and why.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

import numpy as np

from coordinator.exchange import Exchange, Failure, exchange
from coordinator.log import LONGEST, Asking, Event, Log, Opening, What
from coordinator.own import own_cells
from coordinator.release import Missing, Opened
from protocols import messages
from protocols.answerable import shortages
from protocols.approval import Approval, read_approval
from protocols.attestation import read_attestation
from protocols.canonical import canonical, digest_bytes
from protocols.dictionary import near
from protocols.entropy import Entropy, exactly
from protocols.errors import Both, ConfigError, HpfedError, IncompleteError, PeerError, Place, Refusal, joined
from protocols.facts import SUMMED
from protocols.messages import Body, Envelope, Identity, Kind, Matter, Outgoing, Plan, Stamp, open_envelope, seal
from protocols.plan import LIFE_S, WAITS_S, Agreement, agree
from protocols.ring import Vector
from protocols.roster import COORDINATOR, Roster, self_declared
from protocols.secagg import collector
from protocols.secagg.collector import Failed, Question, RoundLost, Summed
from protocols.secagg.transcript import Transcript
from protocols.session import Session
from protocols.study import Study

OFFER_TIMEOUT_S: Final = 60.0
COUNT_TIMEOUT_S: Final = 600.0
OFFER_LIFE_S: Final = 14 * 86_400  # an officer may take so long
Clock = Callable[[], int]


def poll_s(roster: Roster) -> float:
    """How long an active link is to wait between its questions (an idle one waits longer by itself): so many cities keep one SuperLink
    below a third of what it can do."""
    return min(60.0, max(0.2, sum(map(roster.active, roster.cities)) / 40))


@dataclass
class Post:
    """The coordinator's side of the line: its identity, the newest roster, the link, its clock and its message numbers.

    `roster`: whoever accepts a newer one puts it here; an open conversation heeds it at its next event. `number`: of the last message.
    The caller starts it above every number that was used before. `life_s`: of a plan; `waits`: for each step of a conversation. `hints`:
    links are told how often to ask; nothing is said where nobody polls.
    """

    identity: Identity
    roster: Roster
    link: Exchange
    clock: Clock
    entropy: Entropy
    on_event: Callable[[str, Mapping[str, object]], None] = lambda _name, _facts: None
    number: int = 0
    life_s: int = LIFE_S
    waits: Sequence[int] = WAITS_S
    hints: bool = False

    def stamp(self, under: Roster | None = None) -> Stamp:
        """The time, and for every city the next number. `under`: of a conversation, the roster of its plan."""
        self.number += 1
        return self.stamped(self.clock(), self.number, under)

    def unused(self) -> None:
        """Nothing was sealed with the last stamp."""

    def speaks(self, under: Roster) -> Identity:  # noqa: ARG002 there is one key
        """Who says something to a city that holds this roster."""
        return self.identity

    def stamped(self, now: int, number: int, under: Roster | None = None) -> Stamp:
        """A stamp that was given before: one number for every city. In a conversation the hint follows from its roster: a replay gives
        the same bytes."""
        hint = poll_s(under or self.roster) if self.hints else None
        return Stamp(now, dict.fromkeys(self.roster.cities, number), hint)

    def send(self, kind: Kind, sent: Outgoing, timeout_s: float) -> Iterator[tuple[int, bytes | Failure]]:
        """Carry requests to cities by id, and their replies back."""
        ids = {self.roster.name(city): city for city, _ in sent}
        requests = {self.roster.name(city): content for city, content in sent}
        for name, reply in self.link.each(kind.value, requests, timeout_s):
            self.on_event(
                kind.value, {"city": name, "bytes": len(reply)} if isinstance(reply, bytes) else _said(name, reply)
            )
            yield ids[name], reply


def _said(name: str, failure: Failure) -> dict[str, object]:
    return {"city": name, "failure": failure.reason, "detail": failure.detail}


@dataclass(frozen=True)
class Answers:
    """What cities said to an offer."""

    approvals: Mapping[int, Approval] = field(default_factory=dict)
    files: Mapping[int, bytes] = field(default_factory=dict)  # the signed approvals
    missing: tuple[Missing, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def offer(post: Post, study: Study, signed: bytes, cities: Sequence[int]) -> Answers:
    """Ask each city for its approval. `signed`: the asker's signed file. A reply that is no valid approval makes the city missing.

    Of a repeat, each run is offered by its number: a city that said yes to one said yes to all, and answers if it has that run's snapshot.
    Errors: `ConfigError STUDY_CITY` for an attribute of a city that the roster does not have; nothing is sent then.
    """
    _known(study, post)
    body = messages.Offer(study.content, signed, study.dictionary.content)
    matter, requests = _asked(post, body, study, cities, OFFER_LIFE_S)
    approvals: dict[int, Approval] = {}
    files: dict[int, bytes] = {}

    def approved(city: int, answer: Envelope) -> None:
        file = bytes(messages.Approval.decode(answer.body).file)
        approvals[city], files[city] = read_approval(file, city, study, post.roster, post.clock()), file

    missing, refusals = _each(post, Kind.OFFER, requests, matter, OFFER_TIMEOUT_S, "no_advert", approved)
    return Answers(approvals, files, missing, refusals)


def _known(study: Study, post: Post) -> None:
    names = [city.name for city in post.roster.entries.cities]
    for attribute, levels in (study.file.cities.attributes or {}).items():
        for city in levels:
            if city not in names:
                at = Place(study.file.study, 0, f"cities.attributes.{attribute}.{city}")
                raise ConfigError("STUDY_CITY", at, name=city, attribute=attribute, near=near(city, names))


@dataclass(frozen=True)
class Attested:
    """What answering cities signed about their own release: files by roster id, and why others gave none."""

    files: Mapping[int, bytes] = field(default_factory=dict)
    without: Mapping[int, str] = field(default_factory=dict)


def attested(post: Post, study: Study, cities: Sequence[int]) -> Attested:
    """Ask cities that answered what they released. A city that does not say, or says it of something else, is named; the sum stays.

    The reason is that of the link, the code of the city's refusal, or the code by which its reply fails.
    """
    matter, requests = _asked(post, messages.Attest(), study, cities, post.life_s)
    files: dict[int, bytes] = {}
    without: dict[int, str] = {}
    for city, reply in post.send(Kind.ATTEST, tuple(requests.items()), OFFER_TIMEOUT_S):
        if isinstance(reply, Failure):
            without[city] = reply.reason
            continue
        try:
            answer = _opened(post, city, reply, matter, requests[city])
            if answer.header.kind is Kind.REFUSAL:
                without[city] = messages.Refusal(answer.body).reasons().codes[0]
                continue
            if answer.header.kind is not Kind.ATTESTATION:
                raise PeerError("ENVELOPE_KIND", who=post.roster.name(city))
            file = bytes(messages.Attestation.decode(answer.body).file)
            said = read_attestation(file, city, post.roster)
            if (said.study, said.run) != (study.digest, study.run - 1):
                raise PeerError("ENVELOPE_STUDY", who=post.roster.name(city))
            files[city] = file
        except PeerError as fault:
            without[city] = fault.code
            post.on_event("invalid_reply", {"city": post.roster.name(city), "code": fault.code})
    return Attested(files, without)


@dataclass(frozen=True)
class Counted:
    """What cities answered by themselves: cells, and the signed messages that hold them, by roster id. `missing`: those that did not."""

    cells: Mapping[int, Vector] = field(default_factory=dict)
    messages: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    missing: tuple[Missing, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def counted(post: Post, agreement: Agreement, cities: Sequence[int]) -> Counted:
    """Ask cities for their own answers. One that gives none, or one that is not what was asked, is missing with its reason."""
    study = agreement.study
    if not study.counted:
        return Counted()
    matter, requests = _asked(post, agreement.count, study, cities, post.life_s)
    cells: dict[int, Vector] = {}
    kept: dict[int, bytes] = {}

    def answered(city: int, answer: Envelope) -> None:
        cells[city], kept[city] = own_cells(answer, agreement, post.roster), answer.content

    missing, refusals = _each(post, Kind.COUNT, requests, matter, COUNT_TIMEOUT_S, "no_counted", answered)
    return Counted(cells, kept, missing, refusals)


def all_counted(agreement: Agreement, answers: Answers, given: Counted) -> Opened:
    """A study that nothing is summed for: what its cities answered.

    Errors: the refusal of a city, `IncompleteError COUNT_TOO_FEW`: fewer answers than the study demands, or, in mode exact, than cities.
    """
    study = agreement.study
    needed = len(agreement.cities) if study.exact else max(study.file.cities.least, 3)
    if len(given.cells) < needed:
        raise _short(given, needed)
    total = np.zeros(0, dtype=np.int64)
    missing = (*answers.missing, *given.missing)
    survivors = tuple(sorted(given.cells))
    return Opened(agreement, total, survivors, missing, answers.approvals, given.cells, said=given.messages)


def with_counted(opened: Opened, given: Counted) -> Opened:
    """The sum, and what its cities answered by themselves. Errors: as `all_counted`, in mode exact, which is all or nothing."""
    if opened.agreement.study.exact and given.missing:
        raise _short(given, len(opened.survivors))
    return replace(opened, own=given.cells, uncounted=given.missing, said=given.messages)


def _short(given: Counted, needed: int) -> HpfedError:
    if given.refusals:
        return _first(given.refusals)
    return IncompleteError("COUNT_TOO_FEW", came=len(given.cells), needed=needed)


def _asked(post: Post, body: Body, study: Study, cities: Sequence[int], life_s: int) -> tuple[Matter, dict[int, bytes]]:
    """One request about a run of a study, outside any conversation, sealed for each city."""
    stamp = post.stamp()
    matter = Matter(stamp.now + life_s, digest_bytes(study.digest), study.run)
    sealed = {
        city: seal(
            body,
            identity=post.identity,
            to=city,
            roster=post.roster,
            matter=matter,
            seq=stamp.seq[city],
            now=stamp.now,
            poll_s=stamp.poll_s,
        )
        for city in cities
    }
    return matter, sealed


def _each(
    post: Post,
    kind: Kind,
    requests: Mapping[int, bytes],
    matter: Matter,
    timeout_s: float,
    silent: str,
    take: Callable[[int, Envelope], None],
) -> tuple[tuple[Missing, ...], tuple[Refusal, ...]]:
    """Ask, and give every yes to `take`: who gave none, and why; and the refusals. `silent`: the reason of who gave nothing usable."""
    missing: list[Missing] = []
    refusals: list[Refusal] = []
    for city, reply in post.send(kind, tuple(requests.items()), timeout_s):
        name = post.roster.name(city)
        if isinstance(reply, Failure):
            missing.append(Missing(name, silent, reply.reason))
            continue
        try:
            answer = _opened(post, city, reply, matter, requests[city])
            match answer.header.kind:
                case Kind.REFUSAL:
                    reasons = messages.Refusal(answer.body).reasons()
                    missing.append(_declined(name, reasons))
                    refusals.append(_refusal(name, reasons))
                case Kind.PENDING if kind is Kind.OFFER:
                    missing.append(Missing(name, "declined:PENDING"))
                    refusals.append(Refusal("CITY_PENDING", city=name))
                case _:
                    take(city, answer)
        except (PeerError, Refusal) as fault:
            missing.append(Missing(name, silent, "invalid_reply"))
            post.on_event("invalid_reply", {"city": name, "code": fault.code})
    return tuple(missing), tuple(refusals)


def _opened(post: Post, city: int, reply: bytes, matter: Matter, request: bytes) -> Envelope:
    """A city's answer to such a request. Errors: `PeerError` ENVELOPE_…."""
    answer = open_envelope(
        reply,
        me=COORDINATOR,
        roster=post.roster,
        now=post.clock(),
        matter=matter,
        in_reply_to=sha256(request).digest(),
    )
    if answer.header.sender != city:
        raise PeerError("ENVELOPE_FROM", who=post.roster.name(city))
    return answer


def _failure(post: Post, state: Failed | RoundLost) -> HpfedError:
    """Why there is no sum: a city's no where that left too few, else that too few came."""
    said = [
        (post.roster.name(city), reason)
        for city, reason in collector.missing(state).items()
        if reason.startswith("declined:")
    ]
    if not said:
        return collector.failure(state)
    return _first(
        [
            Refusal("CITY_DECLINED", city=city, codes=reason.removeprefix("declined:"), limits="")
            for city, reason in said
        ]
    )


def _declined(city: str, reasons: messages.Reasons) -> Missing:
    return Missing(city, f"declined:{reasons.codes[0].removeprefix('declined:')}")


def _refusal(city: str, reasons: messages.Reasons) -> Refusal:
    return Refusal("CITY_DECLINED", city=city, codes=", ".join(reasons.codes), limits=_limits(reasons))


def _limits(reasons: messages.Reasons) -> Both:
    """Limits as a city sent them, in brackets; millionths as decimals. Nothing if it sent none."""
    told = ", ".join(
        f"{name.removesuffix('_millionths')} {value / 10**6:g}" if name.endswith("_millionths") else f"{name} {value}"
        for name, value in sorted(reasons.limits.items())
    )
    return Both(f"（{told}）", f" ({told})") if told else Both("", "")


def agreed(post: Post, study: Study, answers: Answers) -> Agreement:
    """The plan's terms over the cities that approved.

    In mode exact nothing is computed while a city says no: a sum without it would tell its numbers apart. Otherwise fewer cities go on, as
    long as the study and the thresholds allow it. Errors: the refusal of a city; `ConfigError FACT_SUMMED_IN_DP`; `IncompleteError`;
    `Refusal POLICY_CITIES` where too few can map a question, and those of `agree`.
    """
    needed = max(study.file.cities.least, 3)
    if answers.refusals and (study.exact or len(answers.approvals) < needed):
        raise _first(answers.refusals)
    if len(answers.approvals) < needed or (study.exact and answers.missing):
        total = len(answers.approvals) + len(answers.missing) if study.exact else needed
        raise IncompleteError("SECAGG_TOO_FEW", step="advert", came=len(answers.approvals), needed=total)
    cannot = {post.roster.name(city): approval.cannot for city, approval in answers.approvals.items()}
    loose = all(each.synthetic or each.open_data for each in answers.approvals.values())
    _published(study, cannot)
    short = shortages(study, cannot, min_unmapped=1 if loose else 3, loose=loose)
    if short:
        raise _first([each.refusal() for each in short])
    agreement = agree(study, tuple(answers.approvals), post.roster)
    if study.many:
        _ = Session(agreement).models  # planned before anything is summed
    return agreement


def _published(study: Study, cannot: Mapping[str, Sequence[str]]) -> None:
    """Errors: `ConfigError FACT_SUMMED_IN_DP` for facts that cities do not publish, in a study with noise, where nothing adds them up."""
    silent = {name: [city for city, lacking in cannot.items() if f"{SUMMED}{name}" in lacking] for name in study.facts}
    found = [
        ConfigError("FACT_SUMMED_IN_DP", Place(study.file.study), name=name, cities=", ".join(cities))
        for name, cities in silent.items()
        if cities and not study.exact
    ]
    if found:
        raise _first(found)


def _first(found: Sequence[HpfedError]) -> HpfedError:
    first = joined(found)
    assert first is not None  # noqa: S101 the caller saw at least one
    return first


@dataclass
class Conversation:
    """One conversation of secure aggregation: its state, what goes out next, and its log. A session asks several questions.

    Every event is in the log before it is acted on. `at`: time of the last one, Unix s. `failures`: why the link got nothing from a city,
    as far as this process knows. `done`: every sum so far, also those of before a restart.
    """

    post: Post
    log: Log
    state: collector.State
    sent: Outgoing
    at: int
    failures: dict[int, Failure] = field(default_factory=dict)
    done: list[Summed] = field(default_factory=list)
    heeded: bytes = b""  # digest of the newest roster that this conversation has seen

    @property
    def roster(self) -> Roster:
        """The roster of the plan: what is said in this conversation is said under it, also where there is a newer one by now."""
        return self.state.talk.roster

    @classmethod
    def begin(
        cls,
        post: Post,
        plan: Plan,
        question: Question,
        acks: Mapping[int, bytes],
        *,
        answers: Answers | None = None,
        log: Log | None = None,
    ) -> "Conversation":
        """Write down what is opened, then open it. `answers`: kept with it. Without a `log` it is kept in memory."""
        said, log = answers or Answers(), log or Log()
        stamp = post.stamp(post.roster)
        opening = Opening(
            now=stamp.now,
            number=post.number,
            roster=post.roster.file,
            plan=plan.encode(),
            length=question.length,
            layout=question.layout,
            question=question.question,
            acks=tuple(sorted(acks.items())),
            approvals=tuple(sorted(said.files.items())),
            missing=canonical([each.published() for each in said.missing]),
        )
        state, sent = collector.start(post.identity, post.roster, plan, question, acks, stamp)
        log.open(opening)
        return cls(post, log, state, sent, stamp.now, heeded=post.roster.sha256)

    @classmethod
    def resume(cls, post: Post, log: Log, opening: Opening) -> "Conversation":
        """Where the log says it was, with the very bytes to send again that went out last, or would have.

        Pre-condition: `post` has the roster of the plan, or a newer one. Errors: `PeerError LOG_DAMAGED`; LOG_DIVERGED where an event
        changes nothing now: it did when it was written, so other bytes went out then. To go on could make a second list of survivors.
        """
        roster = self_declared(bytes(opening.roster))  # its own log: the root's signature held when it was accepted
        plan, stamp = Plan.decode(opening.plan), post.stamped(opening.now, opening.number, roster)
        question = Question(opening.length, opening.layout, opening.question)
        state, sent = collector.start(post.identity, roster, plan, question, dict(opening.acks), stamp)
        talk = cls(post, log, state, sent, opening.now, heeded=roster.sha256)
        for event in log.replay():
            following, out = talk._follows(event)
            if following is talk.state:
                raise PeerError("LOG_DIVERGED", at=Place(str(log.path)))
            talk._become(event, following, out)
        return talk

    def play(self) -> collector.State:
        """Exchange after exchange, until the round has its sum or is lost."""
        self._heed()
        while isinstance(self.state, collector.Open):
            self._exchange(self.state)
        if isinstance(self.state, Failed):
            self._tell()
        return self.state

    def ask(self, question: Question) -> collector.State:
        """The next round of a session; Closed if there is none. Pre-condition: the last one has its sum or is lost."""
        self._heed()
        self._take(What.ASK, Asking(question.length, question.layout, question.question).encode())
        if isinstance(self.state, collector.Closed):
            self._tell()
        return self.play()

    def sums(self, first: Question, *following: Question) -> Iterator[Summed]:
        """The sum of every question of a session in turn. A round that is lost is asked again while rounds are left.

        `first` is what `begin` was given. After a restart the sums of before come again, and then it goes on. Errors: `IncompleteError`.
        """
        for number, question in enumerate((first, *following)):
            yield self.sum_of(number, question)

    def sum_of(self, number: int, question: Question, *, again: bool = True) -> Summed:
        """The sum of the question `number` of a session, counted from 0: asked now, unless it was summed before. `again`: also after a
        round that was lost. Pre-condition: those before it have their sums, and the first is what `begin` was given. Errors: as `sums`."""
        lost: RoundLost | None = None
        while len(self.done) <= number:
            state = self.play() if isinstance(self.state, collector.Open) else self.ask(question)
            if isinstance(state, RoundLost) and not again:
                self.close()
                raise _failure(self.post, state)
            if isinstance(state, RoundLost):
                lost = state
            elif not isinstance(state, Summed):
                failed = state if isinstance(state, Failed) else lost
                raise _failure(self.post, failed) if failed else _used_up(self.state)
        return self.done[number]

    def close(self) -> None:
        """Nothing more is asked: cities that are still in are told, and forget their keys."""
        self._take(What.CLOSE)
        self._tell()

    def leave(self) -> None:
        """No further round will be asked: where some are left, cities are told. Pre-condition: the last one has its sum."""
        if isinstance(self.state, Summed) and self.state.turn.round + 1 < self.state.talk.plan.rounds:
            self.close()

    def receipts(self) -> dict[int, bytes]:
        """Tell the cities of the last sum that it is kept. What they sign is shown to them next time.

        Pre-condition: the result is on disk. From here on none of them computes this run again; if nobody gets this far, the run stays
        unfinished for the cities, and the answer is not lost.
        """
        for _, reply in self.post.send(Kind.RECEIPT, self.sent, OFFER_TIMEOUT_S):
            if not isinstance(reply, Failure):
                self._take(What.REPLY, reply)
        return dict(self.state.talk.acks)

    def forget(self) -> None:
        """What matters of the conversation is kept elsewhere, or it came to nothing: its log goes. What convicts a city stays."""
        self.log.remove({digest for fault in self.state.talk.faults for digest in fault.evidence})

    def transcript(self) -> Transcript:
        """The record of the last sum, from the log. Pre-condition: there is one."""
        assert isinstance(self.state, Summed)  # noqa: S101 pre-condition
        return collector.transcript(self.state, self.log.recall)

    def _exchange(self, asked: collector.Open) -> None:
        """Carry the open step's requests to the cities, and what they say to the state machine; then the wait is over.

        The wait counts from when the step was first asked, also after a restart.
        """
        left = collector.deadline(asked) - self.post.clock()
        if left > 0:
            for city, reply in self.post.send(messages.peek(self.sent[0][1]).kind, self.sent, left):
                self._heed()
                if isinstance(reply, Failure):
                    self.failures.setdefault(city, reply)
                else:
                    self._take(What.REPLY, reply)
        self._heed()
        if type(self.state) is type(asked):
            self._take(What.WAIT_OVER)

    def _take(self, what: What, content: bytes = b"") -> None:
        """One event: judged, written down if it changes anything, and only then acted on."""
        stamp = self.post.stamp()
        event = Event(what, stamp.now, self.post.number, content)
        following, out = self._follows(event)
        if not out:
            self.post.unused()
        if following is not self.state:
            self.log.append(event)
            self._become(event, following, out)

    def _heed(self) -> None:
        """A roster that was accepted meanwhile: whoever it revokes is lost from here on."""
        if self.heeded != self.post.roster.sha256:
            self.heeded = self.post.roster.sha256
            self._take(What.ROSTER, self.post.roster.file)

    def _become(self, event: Event, following: collector.State, out: Outgoing) -> None:
        if isinstance(following, Summed) and not isinstance(self.state, Summed):
            self.done.append(following)
        self.state, self.sent, self.at = following, out or self.sent, event.now

    def _follows(self, event: Event) -> tuple[collector.State, Outgoing]:
        """What an event makes of the state: the same when it is replayed."""
        state, stamp = self.state, self.post.stamped(event.now, event.number, self.roster)
        match What(event.what):
            case What.REPLY:
                return collector.step(state, bytes(event.content), stamp, self.log.recall)
            case What.WAIT_OVER:
                return collector.wait_over(state, stamp)
            case What.ROSTER:
                return collector.renew(state, self_declared(bytes(event.content)), stamp)
            case What.ASK if isinstance(state, Summed | RoundLost):
                return collector.ask(state, Asking.decode(event.content, LONGEST).asks, stamp)
            case _:
                return collector.close(state, stamp)

    def _tell(self) -> None:
        """Carry an Abort to those who are still in."""
        told = {self.roster.name(city): content for city, content in self.sent}
        exchange(self.post.link, Kind.ABORT.value, told, OFFER_TIMEOUT_S)


def _used_up(state: collector.State) -> IncompleteError:
    """No round is left, or too few cities are."""
    plan = state.talk.plan
    return IncompleteError(
        "SECAGG_ROUND_LOST", step="masked", came=len(plan.cities) - len(state.talk.gone), needed=plan.threshold
    )


@dataclass(frozen=True)
class Summing:
    """A conversation that has its sum, and whose cities have not been told yet."""

    opened: Opened
    answers: Answers
    conversation: Conversation


def summed(
    post: Post,
    agreement: Agreement,
    answers: Answers,
    acks: Mapping[int, bytes],
    logs: Callable[[bytes], Log] = lambda _conversation: Log(),
) -> Summing:
    """One conversation: the sum and its record. `acks`: what each city last signed for, to be shown to it in its Open. `logs`: makes the
    log of a conversation; it is gone again if there is no sum.

    Errors: `IncompleteError` SECAGG_TOO_FEW, SECAGG_ROUND_LOST; `also` names cities that broke the protocol.
    """
    conversation = exactly(post.entropy, 16)
    plan = agreement.plan(
        conversation=conversation,
        roster=post.roster,
        expires=post.clock() + post.life_s,
        cannot={city: approval.cannot for city, approval in answers.approvals.items()},
        waits=post.waits,
    )
    question = Question(plan.length, plan.layout, agreement.question)
    talk = Conversation.begin(post, plan, question, acks, answers=answers, log=logs(conversation))
    return _summed(talk, agreement, answers)


def resumed(post: Post, study: Study, log: Log, opening: Opening) -> Summing:
    """Go on with a conversation that a crash of this coordinator left, or rebuild its sum. `study`: the run that it was about.

    Errors: as of `summed`; `PeerError` LOG_DAMAGED, LOG_DIVERGED.
    """
    plan = Plan.decode(opening.plan)
    talk = Conversation.resume(post, log, opening)
    return _summed(talk, agree(study, plan.cities, talk.roster), answers_of(opening, study, talk.roster))


def answers_of(opening: Opening, study: Study, roster: Roster) -> Answers:
    """What cities had said before a conversation was opened."""
    approvals = {city: read_approval(file, city, study, roster, opening.now) for city, file in opening.approvals}
    missing = tuple(Missing(**each) for each in json.loads(opening.missing))
    return Answers(approvals, dict(opening.approvals), missing)


def _summed(talk: Conversation, agreement: Agreement, answers: Answers) -> Summing:
    state, name = talk.play(), talk.roster.name
    if isinstance(state, RoundLost):
        talk.close()  # nobody waits for a round that will not come
    if not isinstance(state, Summed):
        talk.forget()
        raise _failure(talk.post, state) if isinstance(state, Failed | RoundLost) else _used_up(state)
    lost = tuple(
        Missing(name(city), reason, talk.failures[city].reason if city in talk.failures else "")
        for city, reason in collector.missing(state).items()
    )
    opened = Opened(agreement, state.total, state.u3, (*answers.missing, *lost), answers.approvals)
    return Summing(opened, answers, talk)
