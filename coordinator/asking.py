"""One run of a study from its offer to its sums: begun anew, or gone on with from the logs that a process left.

Whoever has a line to cities gives it: the simulated world in one process, the engine of a deployment. What follows the sums is in
`answering.py`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from coordinator import answering, rounds, sessions
from coordinator import store as stores
from coordinator.log import Log
from protocols.errors import IncompleteError, Refusal
from protocols.session import Heard, Session
from protocols.study import Study


@dataclass(frozen=True)
class Asking:
    """`offers`: asks cities for their approval, and waits as long as it is worth it. `signed`: the asker's file. `stack`: closes logs.

    `mark`: is told what was done; `progress`: what came to nothing and is asked anew.
    """

    post: rounds.Post
    study: Study
    signed: bytes
    store: stores.Store
    offers: Callable[[], rounds.Answers]
    stack: ExitStack
    mark: Callable[[str], None] = lambda _stage: None
    progress: Callable[[str], None] = lambda _line: None

    def anew(self) -> answering.Run:
        """A new conversation. Its log is there until the answer is kept. Errors: those of `rounds` and `sessions`."""
        answers = self.offers()
        self.mark("approve")
        agreement = rounds.agreed(self.post, self.study, answers)
        self.mark("plan")
        acks = stores.acks(self.store.base, self.post.roster)
        talk = rounds.summed(self.post, agreement, answers, acks, self._log) if self.study.summed else None
        session = None
        if self.study.many:
            self.mark("sum")
            session = sessions.fitted(self.post, Session(agreement), answers, acks, self._log)
        return answering.Run(agreement, answers, talk, session, self.signed)

    def again(self, left: Sequence[sessions.Left]) -> answering.Run | None:
        """Go on with the conversations of this run that a crash left, or a city that was lost in a session. None: they came to nothing, as
        cities whose secrets went with their process are lost; a new one costs anew.

        Errors: `PeerError LOG_DAMAGED`; where a session is gone on with, those of `anew`.
        """
        sums, fits = sessions.apart(self.study, left, self.post.roster)
        talk = self._sum_again(sums)
        if talk is not None and not self.study.many:
            return answering.Run(talk.opened.agreement, talk.answers, talk, None, self.signed)
        if not self.study.many or (talk is None and self.study.summed):
            return None
        session = self._fitted_again(fits)
        return answering.Run(session.session.agreement, session.answers, talk, session, self.signed)

    def _sum_again(self, sums: Sequence[sessions.Left]) -> rounds.Summing | None:
        """The sum of the one round, if one of these conversations still comes to it."""
        for log, opening in sums:
            try:
                return rounds.resumed(self.post, self.study, log, opening)
            except (IncompleteError, Refusal) as fault:
                self.progress(fault.text("en"))
        return None

    def _fitted_again(self, fits: Sequence[sessions.Left]) -> sessions.Fitted:
        """The session where it was left; a new one from its last sum on, where its cities do not answer it any more."""
        before: tuple[Heard, ...] = ()
        for log, opening in fits:
            try:
                found = sessions.resumed(self.post, self.study, log, opening, before)
                if found.progress.over:
                    return found
            except (IncompleteError, Refusal) as fault:
                self.progress(fault.text("en"))
            before = sessions.rounds_of(self.post, self.study, log, opening, before)
        answers = self.offers()
        agreement = rounds.agreed(self.post, self.study, answers)
        acks = stores.acks(self.store.base, self.post.roster)
        return sessions.fitted(self.post, Session(agreement), answers, acks, self._log, before)

    def _log(self, about: bytes) -> Log:
        return self.stack.enter_context(closing(self.store.log(about)))


def left(paths: Sequence[Path], stack: ExitStack) -> list[sessions.Left]:
    """Conversations that were begun and are not over; `stack` closes their logs. One that a crash cut before anything was sent goes.

    Errors: `PeerError LOG_DAMAGED`, `ConfigError LOG_IN_USE`.
    """
    logs = [stack.enter_context(closing(Log(path))) for path in paths]
    for log in [each for each in logs if each.opening is None]:
        log.remove()
    return [(log, log.opening) for log in logs if log.opening is not None]


def outdated(run: answering.Run, found: Sequence[sessions.Left]) -> None:
    """The answer is kept: logs of conversations that it did not come from are of no use any more."""
    used = {each.log.path for each in run.conversations}
    for log, _ in found:
        if log.path not in used and log.path is not None and log.path.exists():
            log.remove()
