"""A study over cities: offered, approved, summed in one conversation, opened.

    offer ──▶ approvals ──▶ plan ──▶ open, adverts, deliver, survivors, confirms ──▶ the sum ──▶ receipt ──▶ attestations
                                 └──▶ count ──▶ what each city of the sum answers by itself; all of the study where nothing is summed

The state machine of the aggregation is `protocols/secagg/collector.py`; this file carries its messages over an `Exchange` and says who is
missing and why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

import numpy as np

from coordinator.exchange import Exchange, Failure, exchange
from coordinator.own import own_cells
from coordinator.release import Missing, Opened
from protocols import messages
from protocols.answerable import shortages
from protocols.approval import Approval, read_approval
from protocols.attestation import read_attestation
from protocols.canonical import digest_bytes
from protocols.entropy import Entropy, exactly
from protocols.errors import HpfedError, IncompleteError, PeerError, Refusal, joined
from protocols.messages import Body, Envelope, Identity, Kind, Matter, Outgoing, Stamp, open_envelope, seal
from protocols.plan import LIFE_S, Agreement, agree
from protocols.ring import Vector
from protocols.roster import COORDINATOR, Roster
from protocols.secagg import collector
from protocols.secagg.collector import Failed, RoundLost, Summed
from protocols.study import Study

OFFER_TIMEOUT_S: Final = 60.0
COUNT_TIMEOUT_S: Final = 600.0
OFFER_LIFE_S: Final = 14 * 86_400  # an officer may take so long
ATTEST_LIFE_S: Final = 3600
REQUEST: Final = {  # what goes out in each state
    collector.Gathering: Kind.OPEN,
    collector.Sharing: Kind.ADVERTS,
    collector.Summing: Kind.DELIVER,
    collector.Confirming: Kind.SURVIVORS,
    collector.Unmasking: Kind.CONFIRMS,
}
Clock = Callable[[], int]


@dataclass
class Post:
    """The coordinator's side of the line: its identity, the roster in force, the link, its clock and its message numbers.

    `number`: of the last message. The caller starts it above every number that was used before. `log`: replies of conversations as they
    came, by SHA-256: what a transcript is made from.
    """

    identity: Identity
    roster: Roster
    link: Exchange
    clock: Clock
    entropy: Entropy
    on_event: Callable[[str, Mapping[str, object]], None] = lambda _name, _facts: None
    number: int = 0
    log: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    def stamp(self) -> Stamp:
        """The time, and for every city the next number."""
        self.number += 1
        return Stamp(self.clock(), dict.fromkeys(self.roster.cities, self.number))

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


def offer(post: Post, study: Study, signed: bytes, cities: Sequence[int], run: int = 1) -> Answers:
    """Ask each city for its approval. `signed`: the asker's signed file. A reply that is no valid approval makes the city missing."""
    body = messages.Offer(study.content, signed, study.dictionary.content)
    matter, requests = _asked(post, body, study, cities, run, OFFER_LIFE_S)
    approvals: dict[int, Approval] = {}
    files: dict[int, bytes] = {}
    missing: list[Missing] = []
    refusals: list[Refusal] = []
    for city, reply in post.send(Kind.OFFER, tuple(requests.items()), OFFER_TIMEOUT_S):
        name = post.roster.name(city)
        if isinstance(reply, Failure):
            missing.append(Missing(name, "no_advert", reply.reason))
            continue
        try:
            answer = _opened(post, city, reply, matter, requests[city])
            if answer.header.kind is Kind.REFUSAL:
                reasons = messages.Refusal(answer.body).reasons()
                missing.append(_declined(name, reasons))
                refusals.append(_refusal(name, reasons))
            elif answer.header.kind is Kind.PENDING:
                missing.append(Missing(name, "declined:PENDING"))
                refusals.append(Refusal("CITY_PENDING", city=name))
            else:
                file = bytes(messages.Approval.decode(answer.body).file)
                approvals[city] = read_approval(file, city, study, post.roster, post.clock())
                files[city] = file
        except (PeerError, Refusal) as fault:
            missing.append(Missing(name, "no_advert", "invalid_reply"))
            post.on_event("invalid_reply", {"city": name, "code": fault.code})
    return Answers(approvals, files, tuple(missing), tuple(refusals))


@dataclass(frozen=True)
class Attested:
    """What answering cities signed about their own release: files by roster id, and why others gave none."""

    files: Mapping[int, bytes] = field(default_factory=dict)
    without: Mapping[int, str] = field(default_factory=dict)


def attested(post: Post, study: Study, cities: Sequence[int], run: int = 1) -> Attested:
    """Ask cities that answered what they released. A city that does not say, or says it of something else, is named; the sum stays.

    The reason is that of the link, the code of the city's refusal, or the code by which its reply fails.
    """
    matter, requests = _asked(post, messages.Attest(), study, cities, run, ATTEST_LIFE_S)
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
            if (said.study, said.run) != (study.digest, run - 1):
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
    matter, requests = _asked(post, agreement.count, study, cities, agreement.run, LIFE_S)
    cells: dict[int, Vector] = {}
    kept: dict[int, bytes] = {}
    missing: list[Missing] = []
    refusals: list[Refusal] = []
    for city, reply in post.send(Kind.COUNT, tuple(requests.items()), COUNT_TIMEOUT_S):
        name = post.roster.name(city)
        if isinstance(reply, Failure):
            missing.append(Missing(name, "no_counted", reply.reason))
            continue
        try:
            answer = _opened(post, city, reply, matter, requests[city])
            if answer.header.kind is Kind.REFUSAL:
                reasons = messages.Refusal(answer.body).reasons()
                missing.append(_declined(name, reasons))
                refusals.append(_refusal(name, reasons))
            else:
                cells[city] = own_cells(answer, agreement, post.roster)
                kept[city] = reply
        except PeerError as fault:
            missing.append(Missing(name, "no_counted", "invalid_reply"))
            post.on_event("invalid_reply", {"city": name, "code": fault.code})
    return Counted(cells, kept, tuple(missing), tuple(refusals))


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
    return Opened(agreement, total, tuple(sorted(given.cells)), missing, answers.approvals, given.cells)


def with_counted(opened: Opened, given: Counted) -> Opened:
    """The sum, and what its cities answered by themselves. Errors: as `all_counted`, in mode exact, which is all or nothing."""
    if opened.agreement.study.exact and given.missing:
        raise _short(given, len(opened.survivors))
    return replace(opened, own=given.cells, uncounted=given.missing)


def _short(given: Counted, needed: int) -> HpfedError:
    if given.refusals:
        return _first(given.refusals)
    return IncompleteError("COUNT_TOO_FEW", came=len(given.cells), needed=needed)


def _asked(
    post: Post, body: Body, study: Study, cities: Sequence[int], run: int, life_s: int
) -> tuple[Matter, dict[int, bytes]]:
    """One request about a run of a study, outside any conversation, sealed for each city."""
    stamp = post.stamp()
    matter = Matter(stamp.now + life_s, digest_bytes(study.digest), run)
    sealed = {
        city: seal(
            body,
            identity=post.identity,
            to=city,
            roster=post.roster,
            matter=matter,
            seq=stamp.seq[city],
            now=stamp.now,
        )
        for city in cities
    }
    return matter, sealed


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
            Refusal("CITY_DECLINED", city=city, codes=reason.removeprefix("declined:"), limits="-")
            for city, reason in said
        ]
    )


def _declined(city: str, reasons: messages.Reasons) -> Missing:
    return Missing(city, f"declined:{reasons.codes[0].removeprefix('declined:')}")


def _refusal(city: str, reasons: messages.Reasons) -> Refusal:
    return Refusal("CITY_DECLINED", city=city, codes=", ".join(reasons.codes), limits=_limits(reasons))


def _limits(reasons: messages.Reasons) -> str:
    """Limits as a city sent them; millionths as decimals."""
    told = (
        f"{name.removesuffix('_millionths')} {value / 10**6:g}" if name.endswith("_millionths") else f"{name} {value}"
        for name, value in sorted(reasons.limits.items())
    )
    return ", ".join(told) or "-"


def agreed(post: Post, study: Study, answers: Answers, run: int = 1) -> Agreement:
    """The plan's terms over the cities that approved.

    In mode exact nothing is computed while a city says no: a sum without it would tell its numbers apart. Otherwise fewer cities go on,
    as long as the study and the thresholds allow it.
    Errors: the refusal of a city; `IncompleteError`; `Refusal POLICY_CITIES` where too few can map a question, and those of `agree`.
    """
    needed = max(study.file.cities.least, 3)
    if answers.refusals and (study.exact or len(answers.approvals) < needed):
        raise _first(answers.refusals)
    if len(answers.approvals) < needed or (study.exact and answers.missing):
        total = len(answers.approvals) + len(answers.missing) if study.exact else needed
        raise IncompleteError("SECAGG_TOO_FEW", step="advert", came=len(answers.approvals), needed=total)
    cannot = {post.roster.name(city): approval.cannot for city, approval in answers.approvals.items()}
    loose = all(each.synthetic or each.open_data for each in answers.approvals.values())
    short = shortages(study, cannot, min_unmapped=1 if loose else 3, loose=loose)
    if short:
        raise _first([each.refusal() for each in short])
    return agree(study, tuple(answers.approvals), post.roster, run)


def _first(found: Sequence[HpfedError]) -> HpfedError:
    first = joined(found)
    assert first is not None  # noqa: S101 the caller saw at least one
    return first


@dataclass(frozen=True)
class Summing:
    """A finished conversation whose cities have not been told yet."""

    opened: Opened
    state: Summed
    receipts: Outgoing


def summed(post: Post, agreement: Agreement, answers: Answers, acks: Mapping[int, bytes]) -> Summing:
    """One conversation: the sum and its record. `acks`: what each city last signed for, to be shown to it in its Open.

    Errors: `IncompleteError` SECAGG_TOO_FEW, SECAGG_ROUND_LOST; `also` names cities that broke the protocol.
    """
    stamp = post.stamp()
    plan = agreement.plan(
        conversation=exactly(post.entropy, 16),
        roster=post.roster,
        expires=stamp.now + LIFE_S,
        cannot={city: approval.cannot for city, approval in answers.approvals.items()},
    )
    question = collector.Question(plan.length, plan.layout, agreement.question)
    kept = post.log
    failures: dict[int, Failure] = {}
    state: collector.State
    state, sent = collector.start(post.identity, post.roster, plan, question, acks, stamp)
    while type(state) in REQUEST:
        asked, wait_s = state, plan.waits[list(REQUEST).index(type(state))]
        following: Outgoing = ()
        for city, reply in post.send(REQUEST[type(asked)], sent, wait_s):
            if isinstance(reply, Failure):
                failures.setdefault(city, reply)
                continue
            kept[sha256(reply).digest()] = reply
            state, out = collector.step(state, reply, post.stamp(), kept.__getitem__)
            following += out
        if type(state) is type(asked):
            state, following = collector.wait_over(state, post.stamp(), kept.__getitem__)
        sent = following
    if isinstance(state, Failed | RoundLost):
        if isinstance(state, RoundLost):
            _, sent = collector.close(state, post.stamp())  # nobody waits for a round that will not come
        exchange(
            post.link, Kind.ABORT.value, {post.roster.name(city): content for city, content in sent}, OFFER_TIMEOUT_S
        )
        raise _failure(post, state)
    if not isinstance(state, Summed):
        raise IncompleteError("SECAGG_TOO_FEW", step="advert", came=0, needed=plan.threshold)
    lost = tuple(
        Missing(post.roster.name(city), reason, failures[city].reason if city in failures else "")
        for city, reason in collector.missing(state).items()
    )
    return Summing(Opened(agreement, state.total, state.u3, (*answers.missing, *lost), answers.approvals), state, sent)


def receipts(post: Post, done: Summing) -> dict[int, bytes]:
    """Tell the cities that the answer is kept. From here on none of them computes this run again. What they sign is shown to
    them next time.

    Pre-condition: the result is on disk. If nobody gets this far, the run stays unfinished for the cities, and the answer is not lost.
    """
    state: collector.State = done.state
    for _, reply in post.send(Kind.RECEIPT, done.receipts, OFFER_TIMEOUT_S):
        if not isinstance(reply, Failure):
            state, _ = collector.step(state, reply, post.stamp(), _nothing)
    return dict(state.talk.acks)


def _nothing(digest: bytes) -> bytes:
    raise KeyError(digest)
