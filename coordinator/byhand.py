"""A study over cities that are reached by files: begun once, and gone on with whenever files have come back.

    <home>/byhand/<asker>-<digest>.<run>/        the journal of a run that is not over (`link_files.Journal`)
    <home>/byhand/<asker>-<digest>.<run>.json    what `study run` was told: study file, folder of the exchange, where the result goes

Each pass plays the run from its start over its journal. Nothing of it depends on when the pass is made, but what is new.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from coordinator import answering, bundle, roster, rotation, rounds, sessions
from coordinator import store as stores
from coordinator.askers import signed_beside
from coordinator.link_files import Folders, Journal, Record, Waiting
from protocols.approval import check_asker
from protocols.distribution import software
from protocols.entropy import Entropy, aes_stream, exactly
from protocols.errors import ConfigError, HpfedError, Place
from protocols.messages import Identity, Stamp
from protocols.roster import COORDINATOR, Roster, self_declared
from protocols.session import Session
from protocols.study import Study

FOLDER: Final = stores.BY_HAND
DAY_S: Final = 86_400
LIFE_S: Final = 28 * DAY_S  # of a plan; envelopes may live 30 days
WAITS_S: Final = (7 * DAY_S,) * 5


@dataclass(frozen=True)
class Task:
    """What `study run` was told. `study`: of the file's content then; `run` from 1."""

    file: Path
    study: str
    run: int
    exact: bool
    place: Path
    out: Path


@dataclass
class Post(rounds.Post):
    """The line of a run, whose numbers are drawn when they are first used and stand in its journal: the same in every pass, and in order
    with those that other runs of this home, and its engine, have used meanwhile."""

    home: Path = Path()
    begins: int = 0

    def stamp(self, under: Roster | None = None) -> Stamp:
        assert isinstance(self.link, Folders)  # noqa: S101 whoever plays a run gives it
        self.number = self.link.once("number", lambda: {"number": stores.drawn(self.home, 1, self.begins)})["number"]
        return self.stamped(self.clock(), self.number, under)


@dataclass(frozen=True)
class Done:
    """An answer. `missing`: cities that are not in it."""

    results: bytes
    sealer: bundle.Sealer
    missing: tuple[Any, ...]
    events: tuple[dict[str, Any], ...]


def begin(home: Path, study: Study, task: Task, now: int, entropy: Entropy) -> Path:
    """Write down that a run is asked; one that is open already keeps its journal. Returns the journal's folder.

    Errors: `ConfigError` STUDY_UNSIGNED, ROSTER_UNSIGNED; `Refusal APPROVAL_ASKER`; `PeerError ROSTER_EXPIRED`.
    """
    held = roster.signed(home)
    check_asker(signed_beside(task.file), study, held, now)
    folder = home / FOLDER / f"{study.file.asker}-{study.digest.removeprefix('sha256:')}.{study.run}"
    told = {**{name: str(value) for name, value in vars(task).items()}, "run": task.run, "exact": task.exact}
    journal = Journal(folder)
    if not journal.records:
        least = stores.least(home, now)
        facts = {"least": least, "seed": exactly(entropy, 32).hex(), "study": study.digest, "run": study.run}
        journal.add(Record("begun", now, facts, held.file))
    stores.write(
        folder.parent, {f"{folder.name}.json": json.dumps(told).encode()}
    )  # last: a run that is listed has a journal
    return folder


def open_tasks(home: Path) -> list[tuple[Path, Task]]:
    """Runs that are not over, and the folders of their journals."""
    found = []
    for path in sorted((home / FOLDER).glob("*.json")):
        told = json.loads(path.read_bytes())
        task = Task(
            Path(told["file"]), told["study"], told["run"], told["exact"], Path(told["place"]), Path(told["out"])
        )
        found.append((path.with_name(path.name.removesuffix(".json")), task))
    return found


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """One pass at a time. Errors: `ConfigError LOG_IN_USE`."""
    path = home / FOLDER / "lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError("LOG_IN_USE", Place(str(path))) from None
        yield


def forward(home: Path, study: Study, task: Task, folder: Path, now: int, without: frozenset[str]) -> Done | Waiting:
    """Take in what has come, and write what is due. `without`: cities that are given up where they are awaited.

    A run that comes to nothing is over: its cities are told, and asking it again begins anew. Errors: those of `rounds` and `sessions`.
    """
    journal = Journal(folder)
    begun = journal.records[0]
    held = self_declared(begun.content)
    newest = roster.signed(home)
    revoked = frozenset(held.name(city) for city in held.cities if held.active(city) and not newest.active(city))
    link = Folders(task.place, held, journal, now, without, revoked, begun.at)
    events: list[dict[str, Any]] = []

    def note(name: str, facts: Mapping[str, object]) -> None:
        events.append({"at": link.clock(), "event": name, **facts})

    own = Identity(COORDINATOR, rotation.own(home, held), software())
    source = aes_stream(bytes.fromhex(begun.facts["seed"]))
    post = Post(own, held, link, link.clock, source, note, life_s=LIFE_S, waits=WAITS_S)
    post.home, post.begins = home, begun.facts["least"]
    store = stores.store(study, home)
    try:
        done = _played(post, study, task, store)
    except Waiting as waiting:
        return waiting
    except HpfedError:
        over(folder)
        raise
    return replace(done, events=tuple(events))


def _played(post: Post, study: Study, task: Task, store: stores.Store) -> Done:
    held, signed, named = post.roster, signed_beside(task.file), study.file.cities.names
    cities = [city.id for city in held.entries.cities if held.active(city.id) and (named is None or city.name in named)]
    answers = rounds.offer(post, study, signed, cities)
    agreement = rounds.agreed(post, study, answers)
    assert isinstance(post.link, Folders)  # noqa: S101 as above
    shown = post.link.once(
        "acks", lambda: {str(city): ack.hex() for city, ack in stores.acks(store.base, held).items()}
    )
    acks = {int(city): bytes.fromhex(ack) for city, ack in shown.items()}
    talk = rounds.summed(post, agreement, answers, acks) if study.summed else None
    session = sessions.fitted(post, Session(agreement), answers, acks) if study.many else None
    run = answering.Run(agreement, answers, talk, session, signed)
    kept = answering.kept(post, run, store, {})
    try:
        unsealed = _signed_off(post, replace(post), run, kept, store)
    except Waiting as waiting:
        waiting.so_far = _done(post, kept, kept.unsealed)
        raise
    return _done(post, kept, unsealed)


def _signed_off(
    post: rounds.Post, beside: rounds.Post, run: answering.Run, kept: answering.Kept, store: stores.Store
) -> bundle.Unsealed:
    """Receipts, and attestations over a journal of their own: both are carried in one go."""
    link = post.link
    assert isinstance(link, Folders)  # noqa: S101 whoever plays a run gives it
    other = replace(link, journal=Journal(link.journal.folder / "attest"), known=link.known, _next=0)
    beside.link, beside.clock, waits = other, other.clock, None
    try:
        answering.receipts(post, run, store)
    except Waiting as waiting:
        waits = waiting
    unsealed = answering.attested(beside, run, kept, store)
    if waits is not None:
        raise waits
    return unsealed


def _done(post: rounds.Post, kept: answering.Kept, unsealed: bundle.Unsealed) -> Done:
    return Done(kept.results, bundle.Sealer(unsealed, post.identity.key, kept.released), kept.missing, ())


def over(folder: Path) -> None:
    """The run is over."""
    folder.with_name(f"{folder.name}.json").unlink(missing_ok=True)
    Journal(folder).remove()


def awaited(folder: Path) -> dict[str, Any]:
    """What a run waits for, as its journal says: the kind of the request, the cities, and since when."""
    step: dict[str, Any] = {"kind": "", "cities": [], "since": 0}
    for record in Journal(folder).records:
        if record.what == "sent":
            step = {"kind": record.facts["kind"], "cities": sorted(record.facts["requests"]), "since": record.at}
        elif record.what == "reply":
            step["cities"] = [city for city in step["cities"] if city != record.facts["city"]]
    return step
