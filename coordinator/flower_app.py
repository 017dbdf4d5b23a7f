"""A study that Flower's own command asks (`flwr run`): the engine of a home, over whatever grid the run has.

Configuration of the run (`--run-config`): `study`, a signed study file; `out`, where the result goes; `timeout-s`, how long cities may take
to approve it, and for each step of a conversation. The home is HPFED_HOME, with the roster, as everywhere.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coordinator import asked, askers, output, roster, split, stored, supervisor
from coordinator import store as stores
from coordinator.engine import LOCK, Engine
from coordinator.exchange import Attended, City, Failure
from coordinator.shell import HERE
from protocols import study as studies
from protocols.approval import check_asker
from protocols.dictionary import Words
from protocols.entropy import Entropy
from protocols.errors import ConfigError, HpfedError
from protocols.messages import Kind
from protocols.roster import Roster
from protocols.study import Study

WORLD: Final = (
    "world.json"  # in the home of a simulated consortium: what its cities are shown under, and whether it is seeded
)
SIGNATURES: Final = "signed"  # there: studies that its askers signed, by digest
LOOK_S: Final = 0.2


@dataclass(frozen=True)
class Wanted:
    """What a run is told. `timeout_s`: of each step, and of the approvals."""

    study: Path
    out: Path
    timeout_s: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Wanted":
        """Errors: `ConfigError APP_CONFIG` for what is missing or is no number of seconds."""
        for key in ("study", "out"):
            if not isinstance(config.get(key), str) or not config[key]:
                raise ConfigError("APP_CONFIG", key=key)
        seconds = config.get("timeout-s")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigError("APP_CONFIG", key="timeout-s")
        return cls(Path(config["study"]), Path(config["out"]), float(seconds))


@dataclass(frozen=True)
class Within:
    """An exchange whose calls take no longer than `timeout_s`. `tick`: is called before each that is of a study."""

    link: Attended
    timeout_s: float
    tick: Callable[[], None]

    def present(self) -> frozenset[City]:
        return self.link.present()

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies as they arrive."""
        if kind != Kind.ROSTER.value:
            self.tick()
        return self.link.each(kind, requests, min(timeout_s, self.timeout_s))

    def close(self) -> None:
        """Whoever made it closes it."""


@dataclass
class Ticking:
    """The clock of a seeded world, Unix s: it goes on by one with every exchange of the study and every wait, and by nothing else."""

    at: int

    def __call__(self) -> int:
        return self.at

    def tick(self) -> None:
        self.at += 1


@dataclass(frozen=True)
class World:
    """What a prepared home says of its cities: their names, and, where everything is seeded, when its clock starts."""

    names: Mapping[City, Words] = field(default_factory=dict)
    now: int | None = None

    def write(self, home: Path) -> None:
        names = {city: each.model_dump() for city, each in self.names.items()}
        stores.write(home, {WORLD: json.dumps({"names": names, "now": self.now}, ensure_ascii=False).encode()})

    @classmethod
    def read(cls, home: Path) -> "World":
        """Of a home that was not prepared: nothing."""
        try:
            told = json.loads((home / WORLD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls({city: Words.model_validate(each) for city, each in told["names"].items()}, told["now"])


def home_of(environment: Mapping[str, str]) -> Path:
    """The home of the coordinator that asks."""
    return Path(environment.get("HPFED_HOME", HERE))


def answered(
    home: Path,
    wanted: Wanted,
    link: Callable[[Roster], Attended],
    clock: Callable[[], int],
    entropy: Entropy,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Ask the study, if it is not answered yet, and write its result; cities that are missing in it. `link`: over the run of a roster.

    Errors: `ConfigError`, of files, and HOME_IN_USE where an engine runs; those of `Engine.play`.
    """
    study, world = split.stated(studies.load(wanted.study)), World.read(home)
    output.usable(wanted.out)
    ticking = None if world.now is None else Ticking(world.now)
    clock, tick = (ticking, ticking.tick) if ticking else (clock, lambda: None)
    with supervisor.alone(home, LOCK):
        held, kept = roster.signed(home), stores.store(study, home)
        events: list[dict[str, Any]] = []
        if not kept.answered:
            signed = _signature(home, wanted.study, study.digest)
            check_asker(signed, study, held, clock())
            about = (study.file.study, study.digest, study.run)
            task = asked.Task(*about, exact=False, asked=clock(), wait_s=int(wanted.timeout_s))
            run, line = asked.ask(home, study, task, signed), Within(link(held), wanted.timeout_s, tick)
            try:
                _there(line, held, study, wanted.timeout_s, wait)
                engine = Engine(home, line, clock, entropy, names=world.names, seeded=ticking is not None)
                _play(engine, run, tick, wait)
            finally:
                line.link.close()
            events = run.events
        stored.again(study, home, wanted.out, clock(), events)
        return tuple(each.city for each in stores.missing(kept.results()))


def _there(line: Within, held: Roster, study: Study, timeout_s: float, wait: Callable[[float], None]) -> None:
    """Wait until every city that the study asks is there, or for so long: Flower starts its nodes and this at once."""
    named = study.file.cities.names
    wanted = {
        city.name for city in held.entries.cities if city.state == "active" and (named is None or city.name in named)
    }
    for _ in range(int(timeout_s / LOOK_S)):
        if wanted <= line.present():
            return
        wait(LOOK_S)


def _play(engine: Engine, run: asked.Asked, tick: Callable[[], None], wait: Callable[[float], None]) -> None:
    """One run to its end. Errors: those of `Engine.play`."""

    def look(seconds: float) -> None:
        wait(seconds)
        tick()
        engine.seen = engine.link.present()

    engine.wait, engine.seen = look, engine.link.present()
    try:
        engine.play(run)
    except HpfedError as fault:
        run.ended(fault)
        raise


def _signature(home: Path, study: Path, digest: str) -> bytes:
    """Of the asker: beside the study, or, of a simulated asker, in the home. Errors: `ConfigError STUDY_UNSIGNED`."""
    simulated = home / SIGNATURES / f"{digest.removeprefix('sha256:')}.json"
    return simulated.read_bytes() if simulated.is_file() else askers.signed_beside(study)
