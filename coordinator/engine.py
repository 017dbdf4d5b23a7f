"""The engine of a coordinator's host: takes studies that were asked (`asked.py`) and brings each to its end.

    asked ──▶ offers, as long as it takes ──▶ a turn ──▶ the conversations ──▶ the answer is kept ──▶ receipts, attestations ──▶ over

Each run has a thread of its own, which mostly waits; so many at once have a conversation (`turns.py`). An engine that dies leaves logs: the
next one goes on where they end, with the same bytes. It is never ended in any other way: a link that is closed under a conversation
would look like cities that fall silent.

The roster on disk is the truth about who takes part. When another one is signed, transport keys are registered and removed, open
conversations heed it, and cities that are there are given it.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from coordinator import (
    answering,
    asked,
    asking,
    byhand,
    offering,
    port,
    renewal,
    roster,
    rotation,
    rounds,
    superlink,
    supervisor,
    watched,
)
from coordinator import home as homes
from coordinator import store as stores
from coordinator.carriers import Carried, Mixed
from coordinator.exchange import Attended, City, Exchange, Failure
from coordinator.turns import Turn, Turns
from protocols.clock import wall_ms
from protocols.dictionary import Words
from protocols.distribution import software
from protocols.entropy import Entropy, operating_system
from protocols.errors import ConfigError, HpfedError, Place, said
from protocols.logfile import Log, Rotated, folder_of, silent, to_stderr
from protocols.logged import About, Event
from protocols.measured import Figures
from protocols.messages import Identity, Stamp
from protocols.roster import COORDINATOR, DAY, Roster, self_declared
from protocols.study import Study

LOCK: Final = homes.RUN / "engine.lock"
TICK_S: Final = 0.5
AHEAD: Final = 32  # message numbers that are written down as used at once: a restart leaves out no more
TELLS_S: Final = 5  # an engine says at least so often that it is there
TRIES_S: Final = 30  # before a city that does not say which roster it holds is asked again
BUSY_S: Final = 5.0  # before a full disk is looked at again
Clock = Callable[[], int]


@dataclass
class Numbers:
    """Message numbers of one engine: every study draws from them, so that no city sees an old number after much newer ones.

    Where something is open they go on right behind what was drawn before: what the engine before had not delivered is sent again with its
    old number. Another process of this home draws too, for a study over files: then these go on above its numbers.
    """

    home: Path
    clock: Clock
    _at: int = 0
    _end: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def following(self) -> int:
        with self._lock:
            if self._at + 1 >= self._end or stores.numbered(self.home) != self._end:
                least = 0 if self._end else stores.least(self.home, self.clock())
                begins = stores.drawn(self.home, AHEAD, least)
                self._at, self._end = begins - 1, begins + AHEAD
            self._at += 1
            return self._at

    def back(self, number: int) -> None:
        """It was not used; if it was the last one, it is the next again."""
        with self._lock:
            if number == self._at:
                self._at -= 1


@dataclass
class Post(rounds.Post):
    """The line of one run, with numbers that it shares."""

    numbers: Numbers | None = None
    home: Path = Path()

    def speaks(self, under: Roster) -> Identity:
        """Under an older roster, with the key that it lists."""
        return identity(self.home, under)

    def stamp(self, under: Roster | None = None) -> Stamp:
        assert self.numbers is not None  # noqa: S101 whoever makes one gives them
        self.number = self.numbers.following()
        return self.stamped(self.clock(), self.number, under)

    def unused(self) -> None:
        assert self.numbers is not None  # noqa: S101 as above
        self.numbers.back(self.number)


@dataclass
class Watched:
    """An exchange whose run says what it waits for."""

    link: Exchange
    asked: asked.Asked
    clock: Clock

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies as they arrive."""
        left, since = dict.fromkeys(sorted(requests), ""), self.clock()
        self._says(kind, since, left)
        for city, reply in self.link.each(kind, requests, timeout_s):
            left.pop(city)
            self._says(kind, since, left)
            yield city, reply

    def close(self) -> None:
        """The engine closes it."""

    def _says(self, kind: str, since: int, left: Mapping[City, str]) -> None:
        if kind != "offer":  # what an offer waits for is said by who waits
            self.asked.waits(asked.State(kind, since, left))


@dataclass
class Engine:
    """All studies of one coordinator. `link`: carries and says who is there; `renew`: is called when the roster has changed.

    `free`: bytes that are left on the disk. `wait`: sleeps. `alive`: whether there is a courier run. `names`: what cities are shown under;
    `seeded`: nothing of it is real.
    """

    home: Path
    link: Attended
    clock: Clock
    entropy: Entropy
    conversations: int = 8
    renew: Callable[[], None] = lambda: None
    free: Callable[[Path], int] = supervisor.free_bytes
    wait: Callable[[float], None] = time.sleep
    fault: Callable[[], HpfedError | None] = lambda: None
    log: Log = field(default_factory=silent)
    alive: Callable[[], bool] = lambda: True
    names: Mapping[str, Words] = field(default_factory=dict)
    seeded: bool = False
    roster: Roster = field(init=False)
    seen: frozenset[City] = frozenset()
    holds: dict[City, int] = field(default_factory=dict)  # the version of the roster that a city said it has

    def __post_init__(self) -> None:
        self.roster = roster.signed(self.home)
        self.numbers, self.turns = Numbers(self.home, self.clock), Turns(self.conversations)
        self.playing: dict[Path, threading.Thread] = {}
        self._posts: dict[int, Post] = {}
        self._tried: dict[City, int] = {}
        self._lock, self._bringing = threading.Lock(), threading.Lock()
        self._mark: object = None
        self._said: tuple[object, int] = (None, 0)

    # --- the round that the engine makes

    def tick(self) -> None:
        """Look at the roster, at who is there, and at what was asked since."""
        self.look()
        self.seen = self.link.present()
        for each in asked.found(self.home):
            if each.folder not in self.playing or not self.playing[each.folder].is_alive():
                self.playing[each.folder] = threading.Thread(target=self.played, args=(each,), daemon=True)
                self.playing[each.folder].start()
        self._bring_in_time()
        self.tell()

    def look(self) -> None:
        """Take up a roster that was signed since."""
        path = self.home / roster.ROSTER
        found = path.stat()
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if mark == self._mark:
            return
        self._mark, newest = mark, roster.signed(self.home)
        if newest.sha256 == self.roster.sha256:
            return
        with self._lock:
            self.roster = newest
            for post in self._posts.values():
                post.roster = newest
        self.log.say(Event.ROSTER)
        self.renew()

    def tell(self) -> None:
        """Say how everything stands, when it changed or it is time to."""
        now, open_ = self.clock(), asked.found(self.home)
        fault = self.fault()
        if fault is None and not self.roster.in_force(now):
            fault = ConfigError("ROSTER_OVER", Place(str(self.home / roster.ROSTER)))
        told = {
            "pid": os.getpid(),
            "run": self.alive(),
            "cities": len(transport(self.roster)),
            "seen": sorted(self.seen),
            "studies": [{"study": each.task.named, "digest": each.task.study, **each.state} for each in open_],
            "roster": self.roster.entries.version,
            "fault": fault and {"code": fault.code, "zh": said(fault, "zh"), "en": said(fault, "en")},
        }
        if (told, now) != self._said and (told != self._said[0] or now >= self._said[1] + TELLS_S):
            self._said = (told, now)
            with suppress(OSError):  # a full disk stops no study
                text = json.dumps({**told, "at": now}, ensure_ascii=False)
                stores.write(self.home / homes.RUN, {supervisor.ENGINE.name: text.encode()})

    # --- the newest roster, on its way to cities

    def _behind(self, names: Collection[City]) -> list[int]:
        held, version = self.roster, self.roster.entries.version
        return [
            city.id for city in held.entries.cities if city.name in names and self.holds.get(city.name, 0) != version
        ]

    def _bring_in_time(self) -> None:
        """Beside everything else, bring those who are there up to date; one that does not say so is asked again after a while."""
        now = self.clock()
        self._tried = {name: at for name, at in self._tried.items() if name in self.seen and now - at < TRIES_S}
        behind = self._behind(self.seen - self._tried.keys())
        if behind and not self._bringing.locked():
            self._tried |= {self.roster.name(city): now for city in behind}
            threading.Thread(target=self._brought, args=(behind,), daemon=True).start()

    def _brought(self, cities: Sequence[int]) -> None:
        try:
            self.bring(cities)
        except HpfedError as lost:
            self.log.fault(lost)
        except OSError:
            self.log.say(Event.FAULT, code="FILE_SYSTEM")

    def bring(self, cities: Sequence[int]) -> None:
        """Give cities the newest roster, link by link from the one that they hold. Who holds it already is not asked."""
        with self._bringing:
            newest = self.roster
            behind = set(self._behind({newest.name(city) for city in cities})) & set(cities)
            chain = [self_declared(path.read_bytes()) for path in roster.versions(self.home)]
            chain = [each for each in chain if each.entries.version <= newest.entries.version]
            firsts = {city: next(at for at, each in enumerate(chain) if city in each.cities) for city in behind}
            for first in sorted(set(firsts.values())):
                group = sorted(city for city in behind if firsts[city] == first)
                held = renewal.spread(self._post(self.link), chain[first:], group)
                self.holds |= {newest.name(city): version for city, version in held.items() if version}

    def _post(
        self, link: Exchange, on_event: Callable[[str, Mapping[str, object]], None] = lambda _n, _f: None
    ) -> Post:
        who = identity(self.home, self.roster)
        post = Post(who, self.roster, link, self.clock, self.entropy, on_event, hints=True)
        post.numbers, post.home = self.numbers, self.home
        return post

    # --- one run

    def played(self, run: asked.Asked) -> None:
        """One run to its end, whatever that is. A disk that is full, or lost for a moment, is waited for."""
        fault: HpfedError | None = None
        while True:
            try:
                return self.play(run) if fault is None else run.ended(fault)
            except HpfedError as found:
                self.log.fault(found)
                fault = found
            except OSError:
                self.log.say(Event.FAULT, code="FILE_SYSTEM")
                with suppress(OSError):
                    run.waits(asked.State("disk", self.clock()))
                self.wait(BUSY_S)
            except Exception:  # a bug: the other studies go on
                self.log.say(Event.BUG)
                traceback.print_exc()
                fault = ConfigError("ENGINE_FAULT", Place(str(self.home / homes.RUN / "engine.log")))

    def play(self, run: asked.Asked) -> None:
        """One run: from its offer, or from where an engine left it. Errors: those of `rounds`, `sessions` and `answering`."""
        study = run.study()
        store, turn = stores.store(study, self.home), Turn(self.turns, study.digest)
        with ExitStack() as stack:
            stack.callback(turn.give)
            left = asking.left(store.unfinished(), stack)
            post = self._line(run, stack)
            ways = asking.Asking(
                post,
                study,
                run.signed,
                store,
                lambda: self._offers(post, run, study, turn),
                stack,
                progress=lambda line: run.note({"at": self.clock(), "event": "anew", "why": line}),
            )
            found = None
            if left:
                turn.take()
                newest = max((opening for _, opening in left), key=lambda opening: opening.now)
                post.identity = identity(self.home, self_declared(bytes(newest.roster)))
                found = ways.again(left)
            if store.answered:
                if found is not None:
                    answering.receipts(post, found, store)
                self._attested(post, study, store)
            else:
                if found is None:
                    turn.give()
                    post.identity = identity(self.home, self.roster)
                    found = ways.anew()
                kept = answering.kept(post, found, store, self.names, seeded=self.seeded)
                self.log.say(Event.RELEASED, About(study=study.digest))
                answering.told(post, found, kept, store)
            if found is not None:
                asking.outdated(found, left)
            run.ended(missing=[each.city for each in stores.missing(store.results())])

    def _line(self, run: asked.Asked, stack: ExitStack) -> Post:
        """What a run posts with; it heeds the newest roster as long as it is open."""
        link: Exchange = self.link
        if run.task.hand:
            link = Mixed(self._by_files(run), frozenset(run.task.hand), link)
        post = self._post(Watched(link, run, self.clock))
        post.on_event = lambda name, facts: run.note({"at": self.clock(), "event": name, **facts})
        with self._lock:
            self._posts[id(post)] = post
            post.roster = self.roster
        stack.callback(self._posts.pop, id(post))
        if run.task.hand:
            post.life_s, post.waits = byhand.LIFE_S, byhand.WAITS_S
        return post

    def _by_files(self, run: asked.Asked) -> Carried:
        return Carried(Path(run.task.place), lambda: self.roster, lambda: run.without, self.clock, self.wait)

    def _attested(self, post: Post, study: Study, store: stores.Store) -> None:
        """An engine died between an answer and its last signatures: those that are missing are asked for once."""
        unsealed = store.unsealed()
        if unsealed is not None and unsealed.unattested:
            answering.attested_later(post, study, unsealed, store, _cities(post.roster, study))

    def _carried_offer(
        self, run: asked.Asked, post: Post, study: Study, hand: Sequence[int]
    ) -> Callable[[Callable[[Mapping[str, str]], None]], rounds.Answers]:
        """Offer the study over files, beside the others: what waits for the answers, and says so meanwhile."""
        if not hand:
            return lambda _told: rounds.Answers()
        own, answers = replace(post, link=self._by_files(run)), Future[rounds.Answers]()

        def asks() -> None:
            try:
                answers.set_result(rounds.offer(own, study, run.signed, hand))
            except BaseException as fault:  # raised again where the answers are waited for
                answers.set_exception(fault)

        threading.Thread(target=asks, daemon=True).start()

        def waited(told: Callable[[Mapping[str, str]], None]) -> rounds.Answers:
            told(dict.fromkeys(map(post.roster.name, hand), "files"))
            return answers.result()

        return waited

    def _offers(self, post: Post, run: asked.Asked, study: Study, turn: Turn) -> rounds.Answers:
        """Approvals, then room on the disk, then a turn."""
        began = self.clock()
        around = offering.Around(
            present=lambda: self.seen,
            without=lambda: run.without,
            bring=self.bring,
            told=lambda why: run.waits(asked.State("offer", began, why)),
            wait=self.wait,
        )
        until = run.task.asked + run.task.wait_s
        cities = _cities(post.roster, study)
        hand = [city for city in cities if post.roster.name(city) in run.task.hand]
        carried = self._carried_offer(run, post, study, hand)
        there = [city for city in cities if city not in hand]
        answers = offering.offered(post, study, run.signed, there, around, until, len(hand))
        if offering.possible(answers, study, len(hand)):
            answers = offering.together(answers, carried(around.told))
        while not homes.room(self.home, self.free, study.workload.layout.length * 8):
            run.waits(asked.State("disk", self.clock()))
            self.wait(BUSY_S)
        run.waits(asked.State("turn", self.clock()))
        turn.take()
        return answers


def identity(home: Path, under: Roster) -> Identity:
    """What the coordinator signs with where this roster is held."""
    return Identity(COORDINATOR, rotation.own(home, under), software())


def transport(held: Roster) -> dict[City, tuple[str, ...]]:
    """The transport keys of every city that takes part."""
    return {city.name: city.transport for city in held.entries.cities if city.state == "active"}


def _cities(held: Roster, study: Study) -> list[int]:
    """The cities that a study asks."""
    named = study.file.cities.names
    return [city.id for city in held.entries.cities if held.active(city.id) and (named is None or city.name in named)]


# --- the process


@dataclass
class Line:
    """Runs of a SuperLink for as long as the engine lives, and why there is none."""

    host: supervisor.Host
    fault: HpfedError | None = None

    def connect(self) -> Any:
        """A new courier run, for the cities of the newest roster. Errors: what flwr raises; `fault` says what people can do about it."""
        from coordinator.link_flower import courier_run, other_version

        try:
            run = courier_run(self.host.superlink, transport(roster.signed(self.host.home)))
        except Exception as lost:
            other = other_version(lost)
            self.fault = ConfigError("ENGINE_VERSION", name=self.host.superlink.address) if other else None
            raise
        self.fault = None
        return run


def main(arguments: list[str]) -> int:
    """The engine of a home, until it is ended. Returns 2 where something has to be put right first."""
    home = Path(arguments[0])
    try:
        with supervisor.alone(home, LOCK):
            _served(home)
    except HpfedError as fault:
        sys.stderr.write(f"{said(fault, 'zh')}\n{said(fault, 'en')}\n")
        return fault.exit_code
    return 0


def _served(home: Path) -> NoReturn:
    from coordinator.deployed.cli import now
    from coordinator.link_flower import FlowerExchange, quiet

    def over(_number: int, _frame: FrameType | None) -> NoReturn:
        (home / supervisor.ENGINE).unlink(missing_ok=True)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, over)
    signal.signal(signal.SIGHUP, lambda *_: None)  # the roster is looked at twice a second anyway
    line = Line(supervisor.Host.of(home))
    roster.signed(home)
    figures = port.figures()
    log = Log(wall_ms, to_stderr, Rotated(folder_of(home), "engine"), figures.heard)
    quiet(log)
    log.say(Event.STARTED)
    link = FlowerExchange(line.connect, log)
    told = line.host.config.engine
    engine = Engine(
        home,
        watched.Watched(link, log),
        now,
        operating_system,
        told.conversations,
        renew=link.renew,
        fault=lambda: line.fault,
        log=log,
        alive=lambda: link.alive,
    )

    answers = superlink.healthy(line.host.superlink)

    def look(made: Figures) -> dict[str, bool]:
        return {"superlink": answers(), **looked(made, engine)}

    with ExitStack() as stack:
        if told.metrics:
            with suppress(OSError):  # somebody has the port: figures are no reason to be away
                stack.enter_context(port.listening(figures, look, told.metrics))
        while True:
            try:
                engine.tick()
            except OSError:  # a full disk: said, and looked at again
                log.say(Event.FAULT, code="FILE_SYSTEM")
            time.sleep(TICK_S)


def looked(made: Figures, engine: Engine) -> dict[str, bool]:
    """Put what an engine knows into the figures; what has to hold for a study to be asked."""
    now, entries = engine.clock(), engine.roster.entries
    states = [city.state for city in entries.cities]
    for state, number in (("active", states.count("active")), ("revoked", states.count("revoked"))):
        made.put("hpfed_cities", number, state=state)
    made.put("hpfed_cities", len(engine.seen), state="present")
    made.put("hpfed_roster_days_left", max(0, entries.valid_until - now) // DAY)
    with suppress(HpfedError):
        made.put("hpfed_cert_days_left", homes.shown(engine.home).days_left(now))
    port.counted(made, engine.home / port.COUNTED)
    return {"run": engine.alive(), "roster": engine.roster.in_force(now)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
