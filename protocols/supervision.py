"""What keeps the processes of one party running: when a child is started, started again, given up, and in which order they end.

`Supervision` is a frozen value and says what is due at a given moment; `keep` does it, with everything that touches the world given as an
argument. Times are monotonic seconds.

    waiting      something that it needs is not ready yet
    starting     its process runs and does not answer yet
    ok           it answers
    restarting   it ended, and is started again when its wait is over
    failed       it ended before it ever answered, with a status that another start would not change: everything ends
    ending       it was asked to end
    stopped      it ended and is not started again

After an end a child waits 1 s, then 2, 4 ... `LONGEST_S`, each up to a fifth more or less, so that many cities do not come back at once.
One that ran for `STEADY_S` begins at 1 s again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
JITTER: Final = 0.2
STEADY_S: Final = 60.0
GRACE_S: Final = 10.0
LOOKS_S: Final = 0.1  # between looks at the processes
UNSTARTED: Final = 127  # the status of a program that could not be started, as shells have it

State = Literal["waiting", "starting", "ok", "restarting", "failed", "ending", "stopped"]
ALIVE: Final = ("starting", "ok", "ending")


@dataclass(frozen=True)
class Child:
    """One process of a party.

    `needs`: children that must answer before this one is started. `outlives`: children that must have ended before this one is asked to
    end. `final`: exit statuses that another start does not change, such as that of a broken file. `grace_s`: how long it may take to end.
    """

    name: str
    needs: tuple[str, ...] = ()
    outlives: tuple[str, ...] = ()
    final: frozenset[int] = frozenset()
    grace_s: float = GRACE_S


@dataclass(frozen=True)
class Kept:
    """How one child stands. `since`: when it came into this state. `began`: when its process was started.

    `ends`: how often it ended unasked. `streak`: ends since it was last steady. `status`: of its last end. `due`: when it is started again.
    """

    state: State = "waiting"
    since: float = 0.0
    began: float = 0.0
    ends: int = 0
    streak: int = 0
    status: int | None = None
    due: float = 0.0
    killed: bool = False


def wait_s(streak: int, jitter: float) -> float:
    """How long after so many ends in a row (from 1) a child is started again. `jitter`: from -1 to 1."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(streak - 1, 16)) * (1 + JITTER * jitter)


@dataclass(frozen=True)
class Supervision:
    """The children of a party, and how each stands. `stopping`: no child is started any more."""

    children: Mapping[str, Child]
    kept: Mapping[str, Kept] = field(default_factory=dict)
    stopping: bool = False

    @classmethod
    def of(cls, children: Iterable[Child]) -> "Supervision":
        """Nothing runs yet. Pre-condition: names are unique, what a child names is among them, and nothing needs or outlives itself."""
        listed = {each.name: each for each in children}
        return cls(MappingProxyType(listed), MappingProxyType(dict.fromkeys(listed, Kept())))

    # --- what is due

    def due(self, now: float) -> tuple[str, ...]:
        """Children that are to be started."""
        if self.stopping:
            return ()
        return tuple(
            name
            for name, each in self.kept.items()
            if each.state in ("waiting", "restarting")
            and now >= each.due
            and all(self.kept[other].state == "ok" for other in self.children[name].needs)
        )

    def to_end(self) -> tuple[str, ...]:
        """Children that are to be asked to end."""
        if not self.stopping:
            return ()
        return tuple(
            name
            for name, each in self.kept.items()
            if each.state in ("starting", "ok")
            and not any(self.kept[other].state in ALIVE for other in self.children[name].outlives)
        )

    def to_kill(self, now: float) -> tuple[str, ...]:
        """Children that were asked to end, and did not in their grace."""
        return tuple(
            name
            for name, each in self.kept.items()
            if each.state == "ending" and not each.killed and now >= each.since + self.children[name].grace_s
        )

    @property
    def over(self) -> bool:
        """Nothing runs, and nothing will."""
        return self.stopping and not any(each.state in ALIVE for each in self.kept.values())

    @property
    def failed(self) -> tuple[str, ...]:
        """Children that were given up."""
        return tuple(name for name, each in self.kept.items() if each.state == "failed")

    # --- what happened

    def started(self, name: str, now: float) -> "Supervision":
        """Its process runs."""
        return self._with(name, state="starting", since=now, began=now, killed=False)

    def answers(self, name: str, now: float) -> "Supervision":
        """It is ready for those that need it."""
        return self._with(name, state="ok", since=now) if self.kept[name].state == "starting" else self

    def asked_to_end(self, name: str, now: float) -> "Supervision":
        """It was told to."""
        return self._with(name, state="ending", since=now)

    def killed(self, name: str) -> "Supervision":
        """It was ended by force; its process is waited for."""
        return self._with(name, killed=True)

    def ended(self, name: str, status: int, now: float, jitter: float) -> "Supervision":
        """Its process is over. `status`: as of `subprocess`. Whoever was not asked to end is started again, or given up."""
        before = self.kept[name]
        if self.stopping:
            return self._with(name, state="stopped", since=now, status=status)
        if before.state == "starting" and status in self.children[name].final:
            given_up = self._with(name, state="failed", since=now, status=status, ends=before.ends + 1)
            return given_up.stopped(now)
        streak = 1 if now - before.began >= STEADY_S else before.streak + 1
        return self._with(
            name,
            state="restarting",
            since=now,
            status=status,
            ends=before.ends + 1,
            streak=streak,
            due=now + wait_s(streak, jitter),
        )

    def stopped(self, now: float) -> "Supervision":
        """Start nothing any more: what does not run is over, what runs is to end."""
        idle = {
            name: each
            if each.state in ALIVE or each.state in ("failed", "stopped")
            else replace(each, state="stopped", since=now)
            for name, each in self.kept.items()
        }
        return replace(self, kept=MappingProxyType(idle), stopping=True)

    def _with(self, name: str, **changes: Any) -> "Supervision":
        return replace(self, kept=MappingProxyType({**self.kept, name: replace(self.kept[name], **changes)}))


class Process(Protocol):
    """A process that was started; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class World:
    """What `keep` touches. `spawn`: start a child by its name. `answers`: whether a child that runs is ready; it must not take long.

    `told`: called with the state whenever it changed, and the process ids of what runs. `stopping`: whether somebody asked for the end.
    `wait`: sleep so many seconds, or less. `jitter`: a number from -1 to 1, another each time.
    """

    spawn: Callable[[str], Process]
    answers: Callable[[str], bool]
    told: Callable[[Supervision, Mapping[str, int]], None]
    stopping: Callable[[], bool]
    clock: Callable[[], float]
    wait: Callable[[float], None]
    jitter: Callable[[], float]


def keep(state: Supervision, world: World) -> Supervision:
    """Keep the children running until somebody asks for the end or one is given up; return when nothing runs any more."""
    running: dict[str, Process] = {}
    said: Supervision | None = None
    while True:
        now = world.clock()
        if world.stopping() and not state.stopping:
            state = state.stopped(now)
        for name, process in list(running.items()):
            status = process.poll()
            if status is not None:
                del running[name]
                state = state.ended(name, status, now, world.jitter())
            elif state.kept[name].state == "starting" and world.answers(name):
                state = state.answers(name, now)
        for name in state.due(now):
            state = state.started(name, now)
            try:
                running[name] = world.spawn(name)
            except OSError:
                state = state.ended(name, UNSTARTED, now, world.jitter())
        for name in state.to_end():
            running[name].terminate()
            state = state.asked_to_end(name, now)
        for name in state.to_kill(now):
            running[name].kill()
            state = state.killed(name)
        if state is not said:
            world.told(state, {name: each.pid for name, each in running.items()})
            said = state
        if state.over:
            return state
        world.wait(LOOKS_S)


def value(state: Supervision, pids: Mapping[str, int], now: float) -> dict[str, Any]:
    """What `status --json` prints of each child, in the order in which they are listed; `aged` before it is shown later."""
    return {
        name: {
            "state": each.state,
            "pid": pids.get(name),
            "for_s": round(max(0.0, now - each.since)),
            "restarts": each.ends,
            "last_exit": each.status,
        }
        for name, each in state.kept.items()
    }


def aged(children: Mapping[str, Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """The same, so much later."""
    return {name: {**each, "for_s": each["for_s"] + round(max(0.0, seconds))} for name, each in children.items()}
