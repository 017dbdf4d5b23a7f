"""The many-round questions of a run: ask, sum, tell, and ask again, until nothing is left to ask.

What was asked and what came is in the log of the conversation (`log.py`), and every step from a sum to the next question is pure. So a
coordinator that dies after any round goes on from its log with the same bytes. Sums that were opened are kept with their log where a city
was lost: a new session goes on from the last of them, in mode exact with the same cities, and shows these sums again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from coordinator.log import Log, Opening
from coordinator.release import Opened
from coordinator.rounds import Answers, Conversation, Post, answers_of
from protocols.entropy import exactly
from protocols.messages import Plan
from protocols.models.interface import Result
from protocols.models.session import Progress, Told, read_round
from protocols.plan import agree
from protocols.roster import Roster
from protocols.secagg import keys
from protocols.secagg.collector import Summed
from protocols.session import Heard, Held, Session, of_plan
from protocols.study import Study

Left: TypeAlias = tuple[Log, Opening]  # a conversation that was begun


@dataclass(frozen=True)
class Fitted:
    """What a session came to. `heard`: all rounds, those of an earlier session that it went on from among them; `earlier`: the
    conversations whose rounds it used up before its last one."""

    session: Session
    answers: Answers
    progress: Progress
    heard: tuple[Heard, ...]
    conversation: Conversation
    earlier: tuple[Conversation, ...] = ()

    @property
    def results(self) -> Mapping[str, Result]:
        return self.session.models.results(self.progress)

    @property
    def held(self) -> Held:
        """The record of all rounds."""
        last = self.conversation.done[-1]
        return Held(rounds=self.heard, u3=last.u3, reveals=keys.reveals_digest(last.reveals.values()).hex())

    @property
    def opened(self) -> Opened:
        """A run whose questions are all of many rounds: nothing else was summed."""
        none, answers = np.zeros(0, dtype=np.int64), self.answers
        return Opened(self.session.agreement, none, self.conversation.done[-1].u3, answers.missing, answers.approvals)


def apart(study: Study, left: Sequence[Left], roster: Roster) -> tuple[list[Left], list[Left]]:
    """Of the conversations of a run, those of its one round, and its sessions; oldest first."""
    found: tuple[list[Left], list[Left]] = ([], [])
    for log, opening in sorted(left, key=lambda each: each[1].now):
        plan = Plan.decode(opening.plan)
        of_session = isinstance(of_plan(agree(study, plan.cities, roster), plan), Session)
        found[of_session].append((log, opening))
    return found


def fitted(
    post: Post,
    session: Session,
    answers: Answers,
    acks: Mapping[int, bytes],
    logs: Callable[[bytes], Log] = lambda _conversation: Log(),
    before: Sequence[Heard] = (),
) -> Fitted:
    """One session, from the rounds in `before` on; where it uses its rounds up, the next one. `acks`, `logs`: as of `rounds.summed`; here a
    log stays where a round was lost.

    Errors: `IncompleteError` SECAGG_TOO_FEW, SECAGG_ROUND_LOST; the refusal of a city.
    """
    conversation = exactly(post.entropy, 16)
    plan = session.plan(
        conversation=conversation,
        roster=post.roster,
        expires=post.clock() + post.life_s,
        cannot={city: approval.cannot for city, approval in answers.approvals.items()},
        waits=post.waits,
    )
    told = _told(before)
    question = session.question(session.models.again(told), told)
    talk = Conversation.begin(post, plan, question, acks, answers=answers, log=logs(conversation))
    found = _played(talk, session, answers, before)
    if found.progress.over:
        return found
    following = fitted(post, session, answers, acks, logs, found.heard)
    return replace(following, earlier=(talk, *following.earlier))


def resumed(post: Post, study: Study, log: Log, opening: Opening, before: Sequence[Heard] = ()) -> Fitted:
    """Go on with a session that a crash of this coordinator left, to its end or that of its rounds. `study`: the run that it was about;
    `before`: the rounds that it went on from. Errors: as of `fitted`; `PeerError` LOG_DAMAGED, LOG_DIVERGED."""
    talk, session = _left(post, study, log, opening)
    return _played(talk, session, answers_of(opening, study, talk.roster), _first(opening, before))


def rounds_of(post: Post, study: Study, log: Log, opening: Opening, before: Sequence[Heard] = ()) -> tuple[Heard, ...]:
    """The rounds that a session had summed when it ended, and those that it went on from."""
    talk, session = _left(post, study, log, opening)
    heard = tuple(_first(opening, before))
    at = session.models.again(_told(heard))
    for found in talk.done:
        at, heard = _after(session, at, heard, found)
    return heard


def _left(post: Post, study: Study, log: Log, opening: Opening) -> tuple[Conversation, Session]:
    talk = Conversation.resume(post, log, opening)
    return talk, Session(agree(study, Plan.decode(opening.plan).cities, talk.roster))


def _first(opening: Opening, before: Sequence[Heard]) -> Sequence[Heard]:
    """Of the rounds before a session, those that it went on from."""
    return before[: read_round(bytes(opening.question)).round]


def _told(heard: Sequence[Heard]) -> tuple[Told, ...]:
    return tuple(each.told for each in heard)


def _played(talk: Conversation, session: Session, answers: Answers, before: Sequence[Heard]) -> Fitted:
    heard = tuple(before)
    at = session.models.again(_told(heard))
    while not at.over and at.round - len(before) < session.rounds:
        question = session.question(at, _told(heard))
        found = talk.sum_of(at.round - len(before), question, again=False)  # no round is held for it
        at, heard = _after(session, at, heard, found)
    return Fitted(session, answers, at, heard, talk)


def _after(
    session: Session, at: Progress, heard: tuple[Heard, ...], found: Summed
) -> tuple[Progress, tuple[Heard, ...]]:
    """What a sum leads to. It is told of what was asked, as every city read it."""
    ask = found.turn.ask
    asks = session.models.parsed(read_round(bytes(ask.question)).asks)
    round_ = Heard(
        conversation=found.talk.plan.conversation.hex(),
        round=ask.round,
        ctx=ask.ctx.hex(),
        u2=found.turn.room.cities,
        told=Told.of(asks, found.total),
    )
    return session.models.tell(at, asks, found.total), (*heard, round_)
