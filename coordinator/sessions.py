"""The many-round questions of a run: ask, sum, tell, and ask again, until nothing is left to ask.

What was asked and what came is in the log of the conversation (`log.py`), and every step from a sum to the next question is pure. So a
coordinator that dies after any round goes on from its log with the same bytes. Sums that were opened are kept with their log where a city
was lost: a new session goes on from the last of them, in mode exact with the same cities, and shows these sums again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from coordinator.log import Log, Opening
from coordinator.release import Opened
from coordinator.rounds import Answers, Conversation, Post, answers_of
from protocols.entropy import exactly
from protocols.messages import Plan
from protocols.models.interface import Result
from protocols.models.session import Progress, Told, read_round
from protocols.plan import LIFE_S, agree
from protocols.roster import Roster
from protocols.secagg.collector import Summed
from protocols.session import Session, of_plan
from protocols.study import Study

Left: TypeAlias = tuple[Log, Opening]  # a conversation that was begun


@dataclass(frozen=True)
class Fitted:
    """What a session came to. `told`: all rounds, those of an earlier session that it went on from among them."""

    session: Session
    answers: Answers
    progress: Progress
    told: tuple[Told, ...]
    conversation: Conversation

    @property
    def results(self) -> Mapping[str, Result]:
        return self.session.models.results(self.progress)

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
    before: Sequence[Told] = (),
) -> Fitted:
    """One session, from the rounds in `before` on. `acks`, `logs`: as of `rounds.summed`; here a log stays where a round was lost.

    Errors: `IncompleteError` SECAGG_TOO_FEW, SECAGG_ROUND_LOST; the refusal of a city.
    """
    conversation = exactly(post.entropy, 16)
    plan = session.plan(
        conversation=conversation,
        roster=post.roster,
        expires=post.clock() + LIFE_S,
        cannot={city: approval.cannot for city, approval in answers.approvals.items()},
    )
    at = session.models.again(before)
    question = session.question(at, before)
    talk = Conversation.begin(post, plan, question, acks, answers=answers, log=logs(conversation))
    return _played(talk, session, answers, before)


def resumed(post: Post, study: Study, log: Log, opening: Opening) -> Fitted:
    """Go on with a session that a crash of this coordinator left. `study`: the run that it was about. Errors: as of `fitted`; `PeerError`
    LOG_DAMAGED, LOG_DIVERGED."""
    talk, session, before = _left(post, study, log, opening)
    return _played(talk, session, answers_of(opening, study, talk.roster), before)


def rounds_of(post: Post, study: Study, log: Log, opening: Opening) -> tuple[Told, ...]:
    """The rounds that a session had summed when it ended, and those that it went on from."""
    talk, session, before = _left(post, study, log, opening)
    at, told = session.models.again(before), before
    for found in talk.done:
        at, told = _after(session, at, told, found)
    return told


def _left(post: Post, study: Study, log: Log, opening: Opening) -> tuple[Conversation, Session, tuple[Told, ...]]:
    talk = Conversation.resume(post, log, opening)
    session = Session(agree(study, Plan.decode(opening.plan).cities, talk.roster))
    return talk, session, read_round(bytes(opening.question)).before


def _played(talk: Conversation, session: Session, answers: Answers, before: Sequence[Told]) -> Fitted:
    at, told = session.models.again(before), tuple(before)
    while not at.over:
        number = at.round - len(before)
        found = talk.sum_of(number, session.question(at, told), again=not session.study.exact)
        at, told = _after(session, at, told, found)
    return Fitted(session, answers, at, told, talk)


def _after(session: Session, at: Progress, told: tuple[Told, ...], found: Summed) -> tuple[Progress, tuple[Told, ...]]:
    """What a sum leads to. It is told of what was asked, as every city read it."""
    asks = session.models.parsed(read_round(bytes(found.turn.ask.question)).asks)
    return session.models.tell(at, asks, found.total), (*told, Told.of(asks, found.total))
