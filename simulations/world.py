"""Everyone in one process: real cities, a real coordinator, and a carrier that loses what it is told to lose.

The door for demonstrations, tests and rehearsals. Node and coordinator run the code that they run in a deployment: gate, ledger, secure
aggregation, noise, release. What is simulated: the line between them, officers who approve whatever a policy does not refuse, and, with a
seed, the clock and all entropy.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from coordinator import answering, askers, asking, bundle, release, rounds
from coordinator import store as stores
from coordinator.exchange import Attended, Failure
from coordinator.log import Log
from node import city as cities
from node import ingest, mapping, snapshot
from node import policy as policies
from node.city import City
from node.desk import Desk, nobody
from node.gate import Gate
from node.held import ROSTER
from node.identity import identity
from node.opened import opened
from node.policy import Policy
from node.station import station
from protocols import messages, yamltext
from protocols.approval import check_signed, sign_study
from protocols.distribution import software
from protocols.entropy import Entropy, operating_system, seeded
from protocols.errors import ConfigError, HpfedError, Place, Refusal, joined
from protocols.messages import Identity, Kind
from protocols.roster import COORDINATOR, DAY, Asker, Entries, Key, Roster, sign_roster
from protocols.roster import City as Listed
from protocols.roster import read as read_roster
from protocols.secagg.plan import STEPS
from protocols.study import Study
from protocols.yamltext import Record, fit
from simulations import federation

CONSORTIUM: Final = "simulated"
SEEDED_START: Final = 1_795_161_600  # 2026-11-20 08:00 UTC: where the clock of every seeded world starts
STEP_OF: Final = {
    **dict(zip(("open", "adverts", "deliver", "survivors", "confirms"), STEPS, strict=True)),
    "ask": STEPS[2],
    "count": "count",  # the answers of the cities' own, after a conversation
}
_ROUND: Final = re.compile(r"[0-9]{1,2}", re.ASCII)  # of a session, at most 64
OFFICERS: Final = ("simulated officer 1", "simulated officer 2")
SEEDED_MARK: Final = "seeded-world"  # a file of homes that may be made anew
RECORD: Final = "record.json"  # of a stored answer: what its bundle says beyond its files
NUMBERS_AHEAD: Final = 1_000_000  # message numbers that one run may use
Links = Callable[
    [Mapping[str, Path]], AbstractContextManager[Attended]
]  # an exchange with gates that listen at these sockets


@dataclass(frozen=True)
class Drop:
    """A city that is lost from a step of a round on, to the end of that round; at advert and shares, to the end of the conversation."""

    city: str
    step: str
    round: int = 0


def drop(text: str) -> Drop:
    """`CITY@STEP` or `CITY@STEP:ROUND`. Errors: `ConfigError DROP_SYNTAX`."""
    city, _, at = text.partition("@")
    step, colon, round_ = at.partition(":")
    known = tuple(dict.fromkeys(STEP_OF.values()))
    if step not in known or not city or bool(colon) != bool(round_) or (round_ and not _ROUND.fullmatch(round_)):
        raise ConfigError("DROP_SYNTAX", text=text, steps=", ".join(known))
    return Drop(city, step, int(round_ or 0))


@dataclass
class Clock:
    """Unix seconds. Seeded worlds begin at one instant and tick once per exchange; others read the clock of this machine."""

    virtual: int | None

    def __call__(self) -> int:
        return int(time.time()) if self.virtual is None else self.virtual  # noqa: TID251 the shell of a simulated world

    def tick(self) -> None:
        if self.virtual is not None:
            self.virtual += 1


@dataclass
class InProcess:
    """An Exchange that calls the gates of this process, over sealed bytes. Cities in `drops` are lost when they are told to be.

    `lost`: who is now. A city without a gate refuses everything.
    """

    gates: Mapping[str, Gate]
    clock: Clock
    drops: Sequence[Drop] = ()
    lost: set[str] = field(default_factory=set)

    def present(self) -> frozenset[str]:
        """Who would answer now."""
        return frozenset(self.gates.keys() - self.lost)

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        """Replies in the order of the requests. `timeout_s` has nothing to wait for here."""
        del timeout_s
        self._lose(kind, requests)
        for city, content in requests.items():
            if len(content) > messages.LARGEST:
                yield city, Failure("oversize")
            elif city in self.lost:
                yield city, Failure("unreachable")
            elif city not in self.gates:
                yield city, Failure("refused")
            else:
                reply = self.gates[city].answer(content, self.clock())
                yield city, Failure("invalid_reply") if reply is None else reply

    def _lose(self, kind: str, requests: Mapping[str, bytes]) -> None:
        """One more exchange of the world: its clock ticks, and who is told to be lost from here on is."""
        self.clock.tick()
        if not self.drops:
            return
        if kind == Kind.ASK.value:  # a new round: who only missed the last one is back
            for_good = {each.city for each in self.drops if each.step in STEPS[:2]}
            self.lost -= {each.city for each in self.drops} - for_good
        round_ = max((messages.peek(content).round for content in requests.values()), default=0)
        self.lost |= {each.city for each in self.drops if (STEP_OF.get(kind), round_) == (each.step, each.round)}

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Carried(InProcess):
    """The same losses over another exchange, whose cities are processes of their own. `refused`: cities whose gate did not open."""

    over: Attended | None = None
    refused: frozenset[str] = frozenset()

    def present(self) -> frozenset[str]:
        return self._over.present() - self.lost

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        """Failures first, then replies as they arrive."""
        self._lose(kind, requests)
        for city in requests.keys() & self.lost:
            yield city, Failure("unreachable")
        for city in requests.keys() & self.refused - self.lost:
            yield city, Failure("refused")
        kept = {city: content for city, content in requests.items() if city not in self.lost | self.refused}
        yield from self._over.each(kind, kept, timeout_s)

    @property
    def _over(self) -> Attended:
        assert self.over is not None  # noqa: S101 whoever makes one gives it
        return self.over


@dataclass(frozen=True)
class Party:
    """A city folder, read and found sound."""

    folder: Path
    city: City
    policy: Policy
    means: mapping.Mapping


class _Asker(Record):
    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")]
    role: Literal["analyst", "regulator"] = "analyst"
    name: str = ""


class _Askers(Record):
    askers: tuple[_Asker, ...]


@dataclass(frozen=True)
class Outcome:
    """What a run gave. `results`: bytes of results.json. `stored`: it was answered before, and this is that answer.

    `sealer`: makes the bundle over the files that are written; none for an answer that was stored before there were bundles.
    """

    results: bytes
    missing: tuple[release.Missing, ...]
    stored: bool
    events: tuple[dict[str, Any], ...]
    seconds: Mapping[str, float]
    sealer: bundle.Sealer | None = None


def parties(folder: Path, study: Study) -> tuple[Party, ...]:
    """The cities of a folder that the study asks, by name. Errors: `ConfigError`, the faults of every city at once."""
    if not folder.is_dir():
        raise ConfigError("FILE_MISSING", Place(str(folder)))
    found, faults = [], []
    for path in sorted(path for path in folder.iterdir() if (path / cities.FILE).is_file()):
        try:
            found.append(party_of(path))
        except ConfigError as fault:
            faults.append(fault)
    wanted = study.file.cities.names
    for name in wanted or ():
        if not faults and name not in {party.city.city for party in found}:
            faults.append(
                ConfigError("CITY_UNKNOWN", Place(str(folder)), name=name, known=", ".join(p.city.city for p in found))
            )
    if not found and not faults:
        faults.append(ConfigError("CITY_NONE", Place(str(folder))))
    broken = joined(faults)
    if broken:
        raise broken
    return tuple(party for party in found if wanted is None or party.city.city in wanted)


def party_of(folder: Path) -> Party:
    city = cities.load(folder)
    if city.city != folder.name:
        raise ConfigError(
            "CITY_FOLDER", Place(str(folder / cities.FILE), 1, "city"), name=city.city, folder=folder.name
        )
    policy = policies.load(folder, loose=city.synthetic or city.open_data)
    means = mapping.load(folder)
    unknown = joined(policies.unknown_variables(folder, policy, means.meant))
    if unknown:
        raise unknown
    return Party(folder, city, policy, means)


def run(
    study: Study,
    folder: Path,
    homes: Path | None,
    *,
    seed: int | None,
    drops: Sequence[Drop] = (),
    by_hand: bool = False,
    signed: bytes | None = None,
    progress: Callable[[str], None] = lambda _line: None,
    before_asking: Callable[[Study, Sequence[Party], Path | None], None] | None = None,
    links: Links | None = None,
) -> Outcome:
    """Ask a study of the cities in `folder`. `homes`: where nodes and coordinator keep their state; None: in the folders themselves.

    `links`: what carries to gates in processes of their own (`federation.links`); None: gates of this process are called.
    `signed`: the asker's signed file, where an asker is enrolled with a key of its own; the simulated key of any other asker signs here.
    `before_asking` may stop a study that is not answered yet, when snapshots are there and nobody was asked.

    With a seed everything is reproducible and `homes` must be new: stored answers are never met. Errors: `ConfigError`, `Refusal`,
    `PeerError`, `IncompleteError`.
    """
    watch = _Watch(progress)
    answering.written(study)
    found = parties(folder, study)
    for each in drops:
        if each.city not in {party.city.city for party in found}:
            raise ConfigError(
                "CITY_UNKNOWN", Place(str(folder)), name=each.city, known=", ".join(p.city.city for p in found)
            )
        if each.round and not study.many:
            raise ConfigError("DROP_ROUND", round=each.round, study=study.file.study)
    own = _enrolled(folder).get(study.file.asker)
    if own is not None:
        check_signed(signed or b"", study, bytes.fromhex(own.identity))
    watch.mark("read")
    clock = Clock(None if seed is None else SEEDED_START)
    base = coordinator_home(folder, homes)
    store = stores.store(study, base)
    if seed is None and store.answered:
        if drops:
            raise ConfigError("DROP_STORED", study=study.file.study)
        return _stored(study, found, folder, homes, clock, store, watch)
    ingested(found, homes, seed, progress)
    watch.mark("ingest")
    here = _Here(study, found, folder, homes, seed, clock, tuple(drops), store, watch, by_hand, signed, links)
    outcome = here.resumed(store.unfinished())
    if outcome is not None:
        return outcome
    if before_asking is not None:
        before_asking(study, found, homes)
        watch.mark("forecast")
    return here.asked()


def ingested(
    found: Sequence[Party], homes: Path | None, seed: int | None, progress: Callable[[str], None] = lambda _line: None
) -> None:
    source = source_of(seed)
    for party in found:
        name = party.city.city
        done = ingest.ingest(party.folder, home(party.folder, homes), source("ingest", name))
        progress(f"{name}: {done.rows:,} rows{' (unchanged)' if done.unchanged else ''}")


@dataclass(frozen=True)
class Due:
    """A run of a study: whether its answer is stored, and which of its cities have no snapshot of its date (yet)."""

    run: int
    as_of: date
    answered: bool
    waiting: tuple[str, ...]
    cities: int

    def ready(self, least: int) -> bool:
        """It can be asked, or is answered: as many cities as the study demands have the snapshot."""
        return self.answered or self.cities - len(self.waiting) >= least


def due(study: Study, folder: Path, homes: Path | None, *, seed: int | None) -> tuple[Due, ...]:
    """Every run of a study, after its cities have taken in their files. Errors: `ConfigError`, the faults of every city."""
    found = parties(folder, study)
    ingested(found, homes, seed)
    base, runs = coordinator_home(folder, homes), [study.at(number) for number in range(1, study.runs + 1)]
    dates = {party.city.city: snapshot.current(home(party.folder, homes)).dates.keys() for party in found}
    return tuple(
        Due(
            each.run,
            each.file.as_of,
            seed is None and stores.store(each, base).answered,
            tuple(city for city, known in dates.items() if each.file.as_of not in known),
            len(found),
        )
        for each in runs
    )


@dataclass(frozen=True)
class _Here:
    """One run of a study over a folder of cities: from the offer on, or from where a crash left it."""

    study: Study
    found: Sequence[Party]
    folder: Path
    homes: Path | None
    seed: int | None
    clock: Clock
    drops: tuple[Drop, ...]
    store: stores.Store
    watch: "_Watch"
    by_hand: bool
    signed: bytes | None
    links: Links | None

    def asked(self) -> Outcome:
        """A new conversation. Its log is there until the answer is kept."""
        with self._everyone(None) as present, ExitStack() as stack:
            return self._released(present, self._asking(present, stack).anew())

    def resumed(self, paths: Sequence[Path]) -> Outcome | None:
        """Go on with the conversations of this run that a crash left, or a city that was lost in a session. None: they came to nothing, as
        cities whose secrets went with the process are lost; a new one costs anew.

        Errors: `PeerError LOG_DAMAGED`, `ConfigError LOG_IN_USE`; where a session is gone on with, those of `asked`.
        """
        with ExitStack() as stack:
            left = asking.left(paths, stack)
            if not left:
                return None
            root = identity(self.store.base / "root", operating_system).public_key().public_bytes_raw()
            newest = max((opening for _, opening in left), key=lambda opening: opening.now)
            present = stack.enter_context(self._everyone(read_roster(newest.roster, root)))
            run_ = self._asking(present, stack).again(left)
            if run_ is None:
                return None
            outcome = self._released(present, run_)
            asking.outdated(run_, left)
            return outcome

    def _asking(self, present: "Everyone", stack: ExitStack) -> asking.Asking:
        post = present.post
        return asking.Asking(
            post,
            self.study,
            present.signed,
            self.store,
            lambda: rounds.offer(post, self.study, present.signed, present.ids),
            stack,
            self.watch.mark,
            self.watch.progress,
        )

    def _everyone(self, roster: Roster | None) -> AbstractContextManager["Everyone"]:
        return everyone(
            self.study,
            self.found,
            self.folder,
            self.homes,
            seed=self.seed,
            clock=self.clock,
            drops=self.drops,
            by_hand=self.by_hand,
            signed=self.signed,
            roster=roster,
            progress=self.watch.progress,
            links=self.links,
        )

    def _released(self, present: "Everyone", run: answering.Run) -> Outcome:
        """What follows the sums, if there are any: the cities' own answers, the release, and their signatures."""
        post, watch = present.post, self.watch
        watch.mark("session" if run.session else "sum")
        names = {party.city.city: party.city.name for party in self.found}
        kept = answering.kept(post, run, self.store, names, seeded=self.seed is not None, mark=watch.mark)
        unsealed = answering.told(post, run, kept, self.store, mark=watch.mark)
        sealer = bundle.Sealer(unsealed, post.identity.key, kept.released)
        return Outcome(kept.results, kept.missing, False, tuple(present.events), watch.seconds, sealer)


def _stored(
    study: Study,
    found: Sequence[Party],
    folder: Path,
    homes: Path | None,
    clock: Clock,
    store: stores.Store,
    watch: "_Watch",
) -> Outcome:
    """The answer of an earlier run. Cities that have not attested it are asked once more; nothing else is asked of anybody."""
    for path in store.unfinished():
        with suppress(HpfedError):  # damaged, or in use: it is of no use any more
            Log(path).remove()
    results, unsealed, names = store.results(), store.unsealed(), {party.city.city for party in found}
    missing = stores.missing(results)
    if unsealed is None:
        return Outcome(results, missing, True, (), watch.seconds)
    lacking = {each.city: each.reason for each in unsealed.unattested}
    if lacking.keys() & names:
        with everyone(study, found, folder, homes, seed=None, clock=clock) as present:
            unsealed = answering.attested_later(present.post, study, unsealed, store, present.ids)
        watch.mark("attest")
    key = identity(store.base, operating_system)
    return Outcome(results, missing, True, (), watch.seconds, bundle.Sealer(unsealed, key, clock()))


@dataclass(frozen=True)
class Everyone:
    """A world with its gates open: what the coordinator posts with, and the study as its asker signed it."""

    post: rounds.Post
    link: InProcess
    ids: tuple[int, ...]
    signed: bytes
    events: list[dict[str, Any]]


@contextmanager
def everyone(
    study: Study,
    found: Sequence[Party],
    folder: Path,
    homes: Path | None,
    *,
    seed: int | None,
    clock: Clock,
    drops: Sequence[Drop] = (),
    by_hand: bool = False,
    signed: bytes | None = None,
    roster: Roster | None = None,
    progress: Callable[[str], None] = lambda _line: None,
    links: Links | None = None,
) -> Iterator[Everyone]:
    """Roster, keys and an open gate for every party; closed again on leaving. Pre-condition: their snapshots are ingested.

    `by_hand`: no officer is simulated; what needs one waits until people sign at the command line. `roster`: that of a conversation that is
    gone on with. A city whose gate does not open, for its ledger is locked, broken or rolled back, is refused to the others and said on
    `progress`.
    """
    base = coordinator_home(folder, homes)
    source = source_of(seed)
    made, coordinator, asking = consortium(found, study, folder, homes, base, clock, source)
    roster = roster or made
    events: list[dict[str, Any]] = []
    with ExitStack() as stack:
        if links is not None:
            link: InProcess = _processes(
                found, roster, homes, base, clock, seed, drops, by_hand, links, stack, progress
            )
        else:
            gates: dict[str, Gate] = {}
            for party in found:
                try:
                    gates[party.city.city] = stack.enter_context(
                        gate(party, roster, homes, base, clock(), source, by_hand=by_hand)
                    )
                except Refusal as no:
                    progress(f"{party.city.city}: {no.text('en')}")
            link = InProcess(gates, clock, drops)
        first = stores.numbers(base, clock())
        post = rounds.Post(coordinator, roster, link, clock, source("coordinator"), _log(events, clock), first)
        names = {party.city.city for party in found}
        ids = tuple(number for number, city in roster.cities.items() if city.name in names)
        own = asking.get(study.file.asker)
        yield Everyone(post, link, ids, (signed or b"") if own is None else sign_study(study, own), events)


def source_of(seed: int | None) -> Callable[..., Entropy]:
    """Entropy by name: the operating system's, or a stream of the seed for each name."""

    def source(*names: str) -> Entropy:
        return operating_system if seed is None else seeded(seed, *names)

    return source


def coordinator_home(folder: Path, homes: Path | None) -> Path:
    """Where the simulated coordinator, root and askers keep their keys and answers."""
    return (homes or folder / ".hpfed") / "coordinator"


def home(folder: Path, homes: Path | None) -> Path:
    """A city's home: inside its folder, or, for a seeded world, under the homes of that world."""
    return folder / ".hpfed" if homes is None else homes / folder.name


def fresh_homes(out: Path) -> Path:
    """Empty homes for a seeded world, under its output. Those of an earlier seeded world there are removed, and nothing else.

    Errors: `ConfigError HOMES_NOT_OURS` where the output has a `.hpfed` that no seeded world has made: it may be a city's books.
    """
    homes = out / ".hpfed"
    if homes.exists():
        if not (homes / SEEDED_MARK).is_file():
            raise ConfigError("HOMES_NOT_OURS", Place(str(homes)))
        shutil.rmtree(homes)
    homes.mkdir(parents=True)
    (homes / SEEDED_MARK).touch()
    return homes


def gate(
    party: Party,
    roster: Roster,
    homes: Path | None,
    base: Path,
    now: int,
    source: Callable[..., Entropy],
    *,
    by_hand: bool,
) -> AbstractContextManager[Gate]:
    """The gate of a city of a world, with officers who are simulated, or none. Errors: `Refusal` where it does not open."""
    name = party.city.city
    here = station(party.city, party.means, home(party.folder, homes), roster, source("identity", name))
    stores.write(here.home, {ROSTER.name: roster.file})
    present = nobody if by_hand else _simulated_officers(here.identity.key, base, source)
    streams = {"entropy": source("gate", name), "ledger_entropy": source("ledger", name)}
    return opened(here, party.policy, present, **streams, now=now)


def places_of(
    found: Sequence[Party],
    roster: Roster,
    homes: Path | None,
    base: Path,
    clock: Clock,
    seed: int | None,
    by_hand: bool,
) -> dict[str, federation.Place]:
    """What the gate process of each city is told, by its name."""
    for name in OFFICERS:  # one key for all gates, whichever asks first
        identity(base / "officers" / name, source_of(seed)("officer", name))
    return {
        party.city.city: federation.Place(party.folder, homes, base, roster.file, clock.virtual, seed, by_hand)
        for party in found
    }


def _processes(
    found: Sequence[Party],
    roster: Roster,
    homes: Path | None,
    base: Path,
    clock: Clock,
    seed: int | None,
    drops: Sequence[Drop],
    by_hand: bool,
    links: Links,
    stack: ExitStack,
    progress: Callable[[str], None],
) -> Carried:
    """Every gate in a process of its own, and `links` between them and here. They end with `stack`."""
    places = places_of(found, roster, homes, base, clock, seed, by_hand)
    gates = stack.enter_context(federation.gates(places))
    link = stack.enter_context(links({name: each.socket for name, each in gates.items()}))
    refused = federation.refused(gates, progress)
    return Carried({}, clock, drops, over=link, refused=refused)


def _simulated_officers(
    city_key: Ed25519PrivateKey, base: Path, source: Callable[..., Entropy]
) -> Callable[[Desk, str, int, int], None]:
    """People who approve whatever a policy does not refuse. Their keys are made, and enrolled, when they are first asked."""

    def present(desk: Desk, study: str, needed: int, now: int) -> None:
        for name in OFFICERS[:needed]:
            key = identity(base / "officers" / name, source("officer", name))
            if name not in desk.officers():
                desk.enrol(name, key, city_key, now)
            desk.say(study, "approve", key, now)

    return present


def consortium(
    found: Sequence[Party],
    study: Study,
    folder: Path,
    homes: Path | None,
    base: Path,
    clock: Clock,
    source: Callable[..., Entropy],
) -> tuple[Roster, Identity, dict[str, Ed25519PrivateKey]]:
    """Root, coordinator, cities and askers with keys of their own, and the roster that binds them. A city keeps its number for good.

    An asker whose enrolment lies beside the city folders is on the roster with that; the world has no key of it.
    """
    now = clock()
    life = {"from": now - DAY, "until": now + 365 * DAY}
    root = identity(base / "root", source("root"))
    coordinator = identity(base, source("identity", "coordinator"))
    enrolled = _enrolled(folder)
    named = {each.id: each for each in _askers(folder) if each.id not in enrolled}
    if study.file.asker not in enrolled:
        named.setdefault(study.file.asker, _Asker(id=study.file.asker))
    keys = {each: identity(base / "askers" / each, source("asker", each)) for each in sorted(named)}
    until = now + 365 * DAY
    asking = [
        Asker(id=each.id, role=each.role, name=each.name or each.id, identity=_public(keys[each.id]), until=until)
        for each in named.values()
    ] + [
        Asker(id=each.id, role=each.role, name=each.name, identity=each.identity, until=until)
        for each in enrolled.values()
    ]
    ids = _city_ids(base, [party.city.city for party in found])
    listed = tuple(
        Listed(
            id=ids[party.city.city],
            name=party.city.city,
            code=party.city.code,
            identity=(
                Key(key=_public(identity(home(party.folder, homes), source("identity", party.city.city))), **life),
            ),
            since=now,
        )
        for party in sorted(found, key=lambda party: ids[party.city.city])
    )
    entries = Entries(
        consortium=CONSORTIUM,
        version=1,
        issued=now,
        valid_until=now + 90 * DAY,
        root=_public(root),
        coordinator=(Key(key=_public(coordinator), **life),),
        cities=listed,
        askers=tuple(sorted(asking, key=lambda each: each.id)),
    )
    return sign_roster(entries, root), Identity(COORDINATOR, coordinator, software()), keys


def _askers(folder: Path) -> tuple[_Asker, ...]:
    path = folder / "askers.yaml"
    if not path.is_file():
        return ()
    document = yamltext.load(path)
    return fit(_Askers, document, {"askers": document.tree}).askers


def _enrolled(folder: Path) -> dict[str, askers.Enrolment]:
    """Askers with keys of their own, whose enrolments lie beside the city folders. Errors: `PeerError` of a file that does not hold."""
    found = [askers.enrolment(path.read_bytes()) for path in sorted(folder.glob("*.enrol.json"))]
    return {each.id: each for each in found}


def asker_role(folder: Path, asker: str) -> Literal["analyst", "regulator"]:
    """The role that the world of a folder gives an asker: any that is neither enrolled nor named in `askers.yaml` is an analyst."""
    own = _enrolled(folder).get(asker)
    return own.role if own else next((each.role for each in _askers(folder) if each.id == asker), "analyst")


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _city_ids(base: Path, names: Sequence[str]) -> dict[str, int]:
    path = base / "cities.txt"
    known = path.read_text(encoding="utf-8").split() if path.is_file() else []
    listed = [*known, *(name for name in names if name not in known)]
    stores.write(base, {path.name: "\n".join(listed).encode()})
    return {name: number for number, name in enumerate(listed, 1)}


def _log(events: list[dict[str, Any]], clock: Clock) -> Callable[[str, Mapping[str, object]], None]:
    def note(name: str, facts: Mapping[str, object]) -> None:
        events.append({"at": clock(), "event": name, **facts})

    return note


@dataclass
class _Watch:
    """Where the time goes."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self.since
        self.since = now


def exit_code(outcome: Outcome) -> int:
    """0, or 4 where cities are missing and the result is valid all the same."""
    return 4 if outcome.missing else 0
