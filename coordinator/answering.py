"""From the sums of a run to its answer: what its cities answered by themselves, the release, and what they sign in the end.

The answer is on disk before any city is told that it is final (`kept`, then `told`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator import bundle, published, release, replay, rounds, sessions
from coordinator.store import Store, write
from protocols.dictionary import Words
from protocols.errors import ConfigError, Place
from protocols.manifest import SESSION
from protocols.plan import Agreement
from protocols.roster import Roster
from protocols.study import Study, Written


@dataclass(frozen=True)
class Run:
    """All that was asked, and what came: `talk` of the one-round questions, `session` of the others. `signed`: the asker's file."""

    agreement: Agreement
    answers: rounds.Answers
    talk: rounds.Summing | None
    session: sessions.Fitted | None
    signed: bytes

    @property
    def study(self) -> Study:
        return self.agreement.study

    @property
    def conversations(self) -> list[rounds.Conversation]:
        return [each.conversation for each in (self.talk, self.session) if each is not None]

    def roster(self, post: rounds.Post) -> Roster:
        """Of the plan, whatever was accepted since."""
        talks = self.conversations
        return talks[-1].roster if talks else post.roster


@dataclass(frozen=True)
class Kept:
    """An answer on disk. `released`: when, Unix s."""

    opened: release.Opened
    results: bytes
    unsealed: bundle.Unsealed
    released: int

    @property
    def missing(self) -> tuple[release.Missing, ...]:
        return (*self.opened.missing, *self.opened.uncounted)


def kept(
    post: rounds.Post,
    run: Run,
    store: Store,
    names: Mapping[str, Words],
    *,
    seeded: bool = False,
    mark: Callable[[str], None] = lambda _stage: None,
) -> Kept:
    """Ask cities for their own answers, release all of it, and keep it. `names`: what cities are shown under."""
    study, session, talk, roster = run.study, run.session, run.talk, run.roster(post)
    opened = _opened(post, run)
    opened = replace(opened, before=published.earlier(store.base, study, opened.survivors))
    released = post.clock() if study.counted else run.conversations[-1].at
    mark("count")
    results = release.results(opened, roster, names, released, seeded=seeded)
    if opened.covers is not None:
        release_ = (study, opened.survivors, opened.total, opened.covers, opened.amounts)
        published.Published.of(*release_).write(store.base)
    mark("release")
    transcript = talk.conversation.transcript() if talk else None
    further, record = dict(release.models(opened, roster)), b""
    if session is not None and replay.open_to_all(opened):
        further[SESSION] = session.held.content
    elif session is not None:
        record = session.held.content
    unsealed = bundle.unsealed(opened, roster, written(study), run.signed, run.answers.files, transcript, further)
    store.keep(results, unsealed, transcript.encode() if transcript else b"", record)
    return Kept(opened, results, unsealed, released)


def told(
    post: rounds.Post, run: Run, kept_: Kept, store: Store, *, mark: Callable[[str], None] = lambda _stage: None
) -> bundle.Unsealed:
    """Tell the cities that the answer is kept, and ask them to attest what they released. What the bundle is made from."""
    receipts(post, run, store)
    mark("receipts")
    unsealed = attested(post, run, kept_, store)
    mark("attest")
    return unsealed


def receipts(post: rounds.Post, run: Run, store: Store) -> None:
    """Tell the cities that the answer is kept, and keep what they acknowledge."""
    session = run.session
    for each in run.conversations:
        acks = each.receipts()
        each.leave()
        each.forget()
        for used in session.earlier if session is not None and each is session.conversation else ():
            used.forget()
        write(store.base / "acks", {run.roster(post).name(city): ack for city, ack in acks.items()})


def attested(post: rounds.Post, run: Run, kept_: Kept, store: Store) -> bundle.Unsealed:
    """Ask cities to attest what they released, and keep it with the answer."""
    found = rounds.attested(post, run.study, kept_.opened.survivors)
    unsealed = attested_by(kept_.unsealed, found, run.roster(post))
    store.keep(kept_.results, unsealed)
    return unsealed


def attested_later(
    post: rounds.Post, study: Study, unsealed: bundle.Unsealed, store: Store, cities: Sequence[int]
) -> bundle.Unsealed:
    """Ask those of `cities` that have not attested a kept answer once more, and keep what they say."""
    roster, lacking = post.roster, {each.city: each.reason for each in unsealed.unattested}
    found = rounds.attested(post, study, [city for city in cities if roster.name(city) in lacking])
    files = {roster.name(city): file for city, file in found.files.items()}
    now = {roster.name(city): reason for city, reason in found.without.items()}
    without = {city: now.get(city, reason) for city, reason in lacking.items() if city not in files}
    unsealed = unsealed.attested(files, without)
    store.keep(store.results(), unsealed)
    return unsealed


def _opened(post: rounds.Post, run: Run) -> release.Opened:
    """All that a run gave: its sum, what its cities answered by themselves, what its many-round questions came to."""
    agreement, answers, talk, session = run.agreement, run.answers, run.talk, run.session
    found = talk.opened if talk else session.opened if session else None
    counted = rounds.counted(post, agreement, found.survivors if found else agreement.cities)
    opened = rounds.with_counted(found, counted) if found else rounds.all_counted(agreement, answers, counted)
    return replace(opened, fits=session.results if session else {})


def attested_by(unsealed: bundle.Unsealed, attested: rounds.Attested, roster: Roster) -> bundle.Unsealed:
    """With what cities signed about their own release, and why others did not."""
    return unsealed.attested(
        {roster.name(city): file for city, file in attested.files.items()},
        {roster.name(city): reason for city, reason in attested.without.items()},
    )


def written(study: Study) -> Written:
    """The files of a study, for its bundle. Errors: `ConfigError FILE_MISSING` for a study that was never a file."""
    if study.written is None:
        raise ConfigError("FILE_MISSING", Place(study.file.study))
    return study.written
