"""What keeps processes running: waits that grow, orders of start and end, children that are given up; by rules, without processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.supervision import (
    ALIVE,
    JITTER,
    LONGEST_S,
    STEADY_S,
    UNSTARTED,
    Child,
    Supervision,
    World,
    aged,
    keep,
    value,
    wait_s,
)

BROKEN = 2
CITY = (Child("gate", final=frozenset({BROKEN})), Child("link", outlives=("gate",)))
HUB = (
    Child("superlink", outlives=("gateway", "engine")),
    Child("gateway", needs=("superlink",)),
    Child("engine", needs=("superlink", "gateway")),
)


@dataclass
class Played:
    """A process of a play: ends by itself at `ends` with `status`; hears, or does not hear, that it is to end."""

    pid: int
    ends: float
    status: int
    deaf: bool
    clock: "Clock"
    over: int | None = None

    def poll(self) -> int | None:
        if self.over is None and self.clock.now >= self.ends:
            self.over = self.status
        return self.over

    def terminate(self) -> None:
        if not self.deaf:
            self.over = -15

    def kill(self) -> None:
        self.over = -9


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Play:
    """A world in which each child lives for so many seconds, one life after the other, and for ever after the last."""

    lives: Mapping[str, list[tuple[float, int]]]
    stop_at: float
    deaf: frozenset[str] = frozenset()
    answers_after: float = 0.3
    clock: Clock = field(default_factory=Clock)
    began: dict[str, list[float]] = field(default_factory=dict)
    told: list[tuple[float, Supervision]] = field(default_factory=list)
    processes: dict[str, Played] = field(default_factory=dict)
    unstarted: frozenset[str] = frozenset()

    def world(self) -> World:
        return World(
            spawn=self.spawn,
            answers=lambda name: self.clock.now >= self.began[name][-1] + self.answers_after,
            told=lambda state, _pids: self.told.append((self.clock.now, state)),
            stopping=lambda: self.clock.now >= self.stop_at,
            clock=self.clock,
            wait=self.wait,
            jitter=lambda: 0.0,
        )

    def wait(self, seconds: float) -> None:
        self.clock.now = round(self.clock.now + seconds, 6)

    def spawn(self, name: str) -> Played:
        if name in self.unstarted:
            raise FileNotFoundError(name)
        times = self.began.setdefault(name, [])
        lives = self.lives.get(name, [])
        lives_s, status = lives[len(times)] if len(times) < len(lives) else (float("inf"), 0)
        times.append(self.clock.now)
        self.processes[name] = Played(len(times), self.clock.now + lives_s, status, name in self.deaf, self.clock)
        return self.processes[name]

    def states(self, name: str) -> list[str]:
        found: list[str] = []
        for _, state in self.told:
            if not found or found[-1] != state.kept[name].state:
                found.append(state.kept[name].state)
        return found


def test_waits_double_up_to_a_minute_and_a_minute_of_peace_begins_them_again() -> None:
    play = Play({"link": [*[(0.05, 41)] * 8, (STEADY_S + 1, 41), (0.05, 41)]}, stop_at=400)
    keep(Supervision.of(CITY), play.world())
    began = play.began["link"]
    waited = [after - before for before, after in pairwise(began)]
    expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, STEADY_S + 2.0, 2.0]
    assert [abs(a - b) <= 0.3 for a, b in zip(waited, expected, strict=True)] == [True] * 10
    assert len(play.began["gate"]) == 1  # what ends beside it is none of its business


@given(st.integers(1, 10_000), st.floats(-1, 1))
def test_every_wait_is_a_second_to_a_minute_and_a_fifth_either_way(streak: int, jitter: float) -> None:
    assert 1 - JITTER <= wait_s(streak, jitter) <= LONGEST_S * (1 + JITTER)
    assert wait_s(streak, jitter) <= wait_s(streak + 1, jitter) + 1e-9


def test_nothing_starts_before_what_it_needs_answers_nor_ends_before_what_it_outlives() -> None:
    play = Play({}, stop_at=5, answers_after=1.0)
    last = keep(Supervision.of(HUB), play.world())
    (superlink,), (gateway,), (engine,) = (play.began[each.name] for each in HUB)
    assert (gateway - superlink >= 1, engine - gateway >= 1) == (True, True)
    gone = [name for name in ("engine", "superlink") if play.states(name)[-2:] == ["ending", "stopped"]]
    assert gone == ["engine", "superlink"]
    ended = {name: next(at for at, s in play.told if s.kept[name].state == "ending") for name in last.kept}
    stopped = {name: next(at for at, s in play.told if s.kept[name].state == "stopped") for name in last.kept}
    assert ended["superlink"] >= max(stopped["engine"], stopped["gateway"])


def test_what_needs_another_is_not_started_again_while_that_one_is_away_but_is_left_running() -> None:
    play = Play({"superlink": [(3.0, -9)], "engine": [(3.5, 1)]}, stop_at=12)
    keep(Supervision.of(HUB), play.world())
    assert [len(play.began[each.name]) for each in HUB] == [2, 1, 2]
    assert play.began["engine"][1] >= play.began["superlink"][1] + play.answers_after


def test_a_broken_file_is_given_up_at_once_and_the_same_status_later_is_not() -> None:
    early = Play({"gate": [(0.1, BROKEN)]}, stop_at=60)
    last = keep(Supervision.of(CITY), early.world())
    assert (last.failed, last.kept["gate"].status, early.clock.now < 1) == (("gate",), BROKEN, True)
    assert last.kept["link"].state == "stopped"
    late = Play({"gate": [(2.0, BROKEN)]}, stop_at=9)
    last = keep(Supervision.of(CITY), late.world())
    assert (last.failed, len(late.began["gate"])) == ((), 2)


def test_a_child_that_does_not_hear_is_ended_by_force_after_its_grace() -> None:
    play = Play({}, stop_at=2, deaf=frozenset({"gate"}))
    last = keep(Supervision.of(CITY), play.world())
    assert (last.kept["gate"].status, last.kept["link"].status) == (-9, -15)
    assert 12 <= play.clock.now < 13
    assert play.states("link")[-3:] == ["ok", "ending", "stopped"]  # it outlives the gate


def test_a_program_that_is_not_there_counts_as_one_that_ended() -> None:
    play = Play({}, stop_at=2, unstarted=frozenset({"link"}))
    last = keep(Supervision.of(CITY), play.world())
    assert (last.kept["link"].status, last.kept["link"].ends > 1) == (UNSTARTED, True)
    assert value(last, {"gate": 7}, 5.0)["gate"]["pid"] == 7


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from([each.name for each in HUB]),
        st.lists(st.tuples(st.floats(0.0, 90.0), st.integers(-15, 60)), max_size=4),
    ),
    st.floats(0, 120),
    st.sets(st.sampled_from([each.name for each in HUB])),
)
def test_whatever_happens_it_ends_and_at_no_time_is_a_child_there_twice(
    lives: dict[str, list[tuple[float, int]]], stop_at: float, deaf: set[str]
) -> None:
    """`keep` never spawns a child whose process runs, returns within the graces, and leaves nothing running."""
    play = Play(lives, stop_at, frozenset(deaf))
    world = play.world()

    def once(name: str) -> Played:
        assert name not in play.processes or play.processes[name].poll() is not None
        return play.spawn(name)

    last = keep(Supervision.of(HUB), World(**{**vars(world), "spawn": once}))
    assert not any(each.state in ALIVE for each in last.kept.values())
    assert all(each.poll() is not None for each in play.processes.values())
    assert play.clock.now <= stop_at + sum(each.grace_s for each in HUB) + 1


def test_how_long_a_child_stands_so_is_counted_on_after_it_was_written_down() -> None:
    written = value(Supervision.of([Child("gate")]).started("gate", 5.0), {"gate": 1}, 7.0)
    assert written["gate"]["for_s"] == 2
    assert aged(written, 60.2)["gate"] == {**written["gate"], "for_s": 62}
