"""The coordinator dies after any write and before any send: it goes on with the same bytes, and never asks for two lists of survivors."""

import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from coordinator import rounds
from coordinator.exchange import Failure
from coordinator.log import Log
from node import ledger
from protocols import messages
from protocols.errors import PeerError
from protocols.messages import Kind
from protocols.secagg import collector
from protocols.secagg.plan import STEPS
from protocols.secagg.transcript import verify
from tests import gates
from tests.architecture.source import ROOT
from tests.conversations.bad import resealed
from tests.conversations.line import Line, begun, post, questions, resumed
from tests.conversations.table import ROOT_KEY, lost_at, nobody, table_of

IDS: Final = (1, 2, 3, 4, 5)  # dp: t = 4, c = d = 1
ASKED: Final = dict(zip(STEPS, ("open", "adverts", "deliver", "survivors", "confirms"), strict=True))


class Killed(BaseException):
    """The process is gone."""


class Death:
    """Kills at the `nth` time that it is told of, once."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def one_of_everything(line: Line) -> None:
    """One list of survivors, one vector of each city, one signature of each; every request of the coordinator one and the same envelope."""
    for kind in (Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS):
        requests = [(messages.peek(content).to, content) for content in line.sent(kind, 0)]
        assert len(requests) == len({to for to, _ in requests}), kind
    for city in line.table.cities:
        for kind in (Kind.ADVERT, Kind.SHARES, Kind.MASKED, Kind.CONFIRM, Kind.REVEAL):
            assert len(line.sent(kind, city)) <= 1, kind
    lists = {messages.Survivors.decode(messages.body_of(content)).u3 for content in line.sent(Kind.SURVIVORS, 0)}
    assert len(lists) <= 1


def right(line: Line, state: collector.State, log: Log, u3: Collection[int] = IDS) -> None:
    assert isinstance(state, collector.Summed)
    assert state.u3 == tuple(u3)
    assert np.array_equal(state.total, line.table.plain(u3))
    verify(collector.transcript(state, log.recall), ROOT_KEY, state.total)
    one_of_everything(line)


def lives(
    folder: Path, line: Line, written: Sequence[Callable[[], None]], sending: Sequence[Callable[[str], None]] = ()
) -> tuple[collector.State, Log]:
    """Begin, die, go on, until a life ends by itself. `written`, `sending`: who may kill the first lives after a write, before a send."""
    for life in range(99):
        log = Log(folder / "log", dict(enumerate(written)).get(life, lambda: None))
        line.sending = dict(enumerate(sending)).get(life, lambda _kind: None)
        try:
            talk = begun(line, log) if log.opening is None else resumed(line, log, life)
            return talk.play(), log
        except Killed:
            log.close()
    raise AssertionError


@pytest.mark.parametrize("exact", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["dp", "exact"])
def test_killed_after_any_write_it_goes_on_to_the_right_sum(tmp_path: Path, exact: bool) -> None:
    ids = IDS[:4]
    for nth in range(1, 30):
        line, death = Line(table_of(ids, exact=exact)), Death(nth)
        state, log = lives(tmp_path / str(nth), line, [death])
        right(line, state, log, ids)
        log.close()
        if death.left > 0:
            break
    assert nth == 1 + 5 * len(ids) + 1  # the opening, and five replies of each city


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_before_a_send_it_sends_the_same_bytes(tmp_path: Path, step: str, exact: bool) -> None:
    line, died = Line(table_of(IDS, exact=exact)), list[str]()

    def sending(kind: str) -> None:
        if kind == ASKED[step] and not died:
            died.append(kind)
            raise Killed

    log = Log(tmp_path / "log")
    line.sending = sending
    with pytest.raises(Killed):
        begun(line, log).play()
    log.close()
    log = Log(tmp_path / "log")
    right(line, resumed(line, log).play(), log)
    log.close()


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_with_half_of_the_replies_in_it_asks_all_again_and_each_gives_the_same(
    tmp_path: Path, step: str, exact: bool
) -> None:
    """A city that answered already answers the identical request with the identical bytes."""
    line = Line(table_of(IDS, exact=exact))
    death = Death(1 + 5 * STEPS.index(step) + 2)
    state, log = lives(tmp_path, line, [death])
    right(line, state, log)
    log.close()
    again = [content for who, content in line.wire if who == 0 and messages.peek(content).kind.value == ASKED[step]]
    assert len(again) > len(set(again)) == 5


def test_killed_again_and_again_it_still_comes_to_the_sum(tmp_path: Path) -> None:
    line = Line(table_of(IDS))
    state, log = lives(tmp_path, line, [Death(3) for _ in range(20)], [Death(2) for _ in range(20)])
    right(line, state, log)
    log.close()


@pytest.mark.parametrize("step", STEPS)
def test_a_city_lost_before_the_crash_stays_lost_and_the_list_is_the_one_that_was_sent(
    tmp_path: Path, step: str
) -> None:
    """Killed just after the list of survivors went out, with a city missing that is back by the time of the restart."""
    line = Line(table_of(IDS), lost_at({step: (3,)}))

    def sending(kind: str) -> None:
        if kind == "confirms":
            raise Killed

    log = Log(tmp_path / "log")
    line.sending = sending
    with pytest.raises(Killed):
        begun(line, log).play()
    log.close()
    line.lost, line.sending = nobody, lambda _kind: None
    log = Log(tmp_path / "log")
    u3 = IDS if step in ("confirm", "reveal") else (1, 2, 4, 5)
    right(line, resumed(line, log).play(), log, u3)
    log.close()


@pytest.mark.parametrize(("away", "sums"), [(30, True), (61, False)])
def test_the_wait_of_the_open_step_counts_from_its_logged_start(tmp_path: Path, away: int, sums: bool) -> None:
    line = Line(table_of(IDS))
    log = Log(tmp_path / "log", Death(3))  # two adverts are in
    with pytest.raises(Killed):
        begun(line, log).play()
    log.close()
    line.table.now += away
    log = Log(tmp_path / "log")
    state = resumed(line, log).play()
    assert isinstance(state, collector.Summed) is sums
    if isinstance(state, collector.Failed):
        assert (state.step, state.came, state.needed) == ("advert", 2, 4)
    log.close()


def test_after_the_sum_it_is_rebuilt_bit_for_bit_without_asking_anyone(tmp_path: Path) -> None:
    line = Line(table_of(IDS))
    log = Log(tmp_path / "log")
    before = begun(line, log).play()
    log.close()
    sent, log = len(line.wire), Log(tmp_path / "log")
    talk = resumed(line, log)
    assert isinstance(before, collector.Summed)
    assert isinstance(talk.state, collector.Summed)
    assert np.array_equal(talk.state.total, before.total)
    assert talk.state.receipt == before.receipt
    assert talk.transcript() == collector.transcript(before, log.recall)
    assert len(line.wire) == sent
    assert sorted(talk.receipts()) == list(IDS)
    log.close()


@pytest.mark.parametrize("nth", range(20, 45, 4))
def test_a_session_goes_on_in_the_round_where_it_was(tmp_path: Path, nth: int) -> None:
    line = Line(table_of(IDS, rounds=3))
    asked = questions(line, 3)
    log = Log(tmp_path / "log", Death(nth))
    with pytest.raises(Killed):
        list(begun(line, log).sums(*asked))
    log.close()
    log = Log(tmp_path / "log")
    for number, found in enumerate(resumed(line, log).sums(*asked)):
        assert np.array_equal(found.total, line.table.plain(IDS, number))
    assert number == 2
    assert len(line.sent(Kind.ADVERTS, 0)) == 5
    log.close()


def test_a_lost_conversation_is_known_to_be_lost_after_a_restart(tmp_path: Path) -> None:
    line = Line(table_of(IDS), lost_at({"masked": (1, 2)}))
    log = Log(tmp_path / "log")
    talk = begun(line, log)
    assert isinstance(talk.play(), collector.RoundLost)
    log.close()
    log = Log(tmp_path / "log")
    talk = resumed(line, log)
    assert isinstance(talk.state, collector.RoundLost)
    talk.close()
    assert isinstance(talk.state, collector.Closed)
    assert len(line.sent(Kind.ABORT, 0)) == 5
    log.close()


# --- a process that is really killed: it talks over its standard streams, and signals itself when a write has come back


def really_killed(folder: Path, nth: int) -> None:
    """Kill it with signal 9 once record `nth` is on disk, and go on here."""
    line, path = Line(table_of(IDS)), folder / "log"
    with subprocess.Popen(  # noqa: S603 our own module
        [sys.executable, "-m", "tests.conversations.killed", str(path), str(nth)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        while frame := child.stdout.readline():
            request = bytes.fromhex(frame.decode())
            name = f"city-{messages.peek(request).to}"
            ((_, reply),) = line.each(messages.peek(request).kind.value, {name: request}, 1.0)
            line.table.now -= 1  # one request at a time here: the clock of the table stands
            assert isinstance(reply, bytes)
            child.stdin.write(reply.hex().encode() + b"\n")
            child.stdin.flush()
    assert child.returncode == -signal.SIGKILL
    log = Log(path)
    right(line, resumed(line, log).play(), log)
    log.close()


def test_a_process_killed_as_the_list_of_survivors_closes_leaves_a_log_to_go_on_from(tmp_path: Path) -> None:
    really_killed(tmp_path, 16)  # the last vector


@pytest.mark.slow  # a process for each of the 25 other records
def test_a_process_killed_after_any_record_leaves_a_log_to_go_on_from(tmp_path: Path) -> None:
    for nth in range(1, 27):
        really_killed(tmp_path / str(nth), nth)


@pytest.mark.slow  # ten processes
@pytest.mark.parametrize("size", [1, 3_000, 8_000, 12_000, 16_000])
def test_a_whole_run_killed_at_any_moment_is_run_again_and_gives_a_result(tmp_path: Path, size: int) -> None:
    """Everyone dies with the process. The second run goes on from the log, or asks anew; what left a city before stays charged."""
    folder = tmp_path / "cities"
    gates.write(folder)
    command = [sys.executable, "-c", "from simulations.cli import main\nmain()", "run", str(folder / "study.yaml")]
    command += ["--cities", str(folder), "--out", str(tmp_path / "out"), "--accept-noisy"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:  # noqa: S603 our own program
        while run.poll() is None:
            if any(path.stat().st_size >= size for path in folder.glob(".hpfed/coordinator/runs/**/log")):
                run.kill()
    assert run.returncode == -signal.SIGKILL
    again = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: S603 our own program
    assert again.returncode == 0, again.stderr.decode()
    assert (tmp_path / "out" / "results.json").is_file()
    assert not list(folder.glob(".hpfed/coordinator/runs/**/log"))
    for city in gates.CITIES:
        held = ledger.look(folder / city / ".hpfed" / ledger.FILE, now=0).reservations
        assert [each.state for each in held][-1] == "answered"
        assert len(held) <= 2
        vectors = [each.spent.y for one in held for each in one.rounds.values() if each.spent is not None]
        assert len(vectors) == len(set(vectors))


# --- a log that does not replay is not gone on with


def killed_before_the_confirms(folder: Path) -> tuple[Line, Path]:
    """Survivors and their signatures are in the log."""
    line = Line(table_of(IDS))

    def sending(kind: str) -> None:
        if kind == "confirms":
            raise Killed

    line.sending = sending
    log = Log(folder / "log")
    with pytest.raises(Killed):
        begun(line, log).play()
    log.close()
    line.sending = lambda _kind: None
    return line, folder / "log"


def test_a_vector_that_is_not_the_one_of_its_header_stops_the_replay_and_no_other_list_is_sent(tmp_path: Path) -> None:
    """Somebody changed a vector on disk and made the chain of records anew: it is found by its imprint as before, but it does not open."""
    line, path = killed_before_the_confirms(tmp_path)
    with closing(Log(path)) as log:
        opening, events = log.opening, list(log.replay())
    assert opening is not None
    at = next(
        n for n, each in enumerate(events) if each.content and messages.peek(bytes(each.content)).kind is Kind.MASKED
    )
    true = bytes(events[at].content)
    false = true[:-65] + bytes([true[-65] ^ 1]) + true[-64:]
    events[at] = replace(events[at], content=false)
    path.unlink()
    with closing(Log(path)) as log:
        log.open(opening)
        for event in events:
            log.append(event)
    sent = len(line.wire)
    with closing(Log(path)) as log:
        assert log.recall(messages.imprint(true)) == false
        with pytest.raises(PeerError) as fault:
            resumed(line, log)
    assert fault.value.code == "LOG_DIVERGED"
    assert len(line.wire) == sent


def test_another_software_than_the_one_that_began_does_not_go_on(tmp_path: Path) -> None:
    """Its requests would be other bytes, which no reply in the log answers."""
    line, path = killed_before_the_confirms(tmp_path)
    later = post(line, 1)
    software = later.identity.software.model_copy(update={"version": "9.9.9"})
    with closing(Log(path)) as log:
        assert log.opening is not None
        other = replace(later, identity=replace(later.identity, software=software))
        with pytest.raises(PeerError) as fault:
            rounds.Conversation.resume(other, log, log.opening)
        assert fault.value.code == "LOG_DIVERGED"
        right(line, rounds.Conversation.resume(later, log, log.opening).play(), log)


# --- what convicts a city outlives the log


def test_two_different_vectors_of_one_city_are_kept_as_evidence_when_the_log_goes(tmp_path: Path) -> None:
    """Both signed envelopes, for their owner's eyes; of a conversation in which nobody lied nothing is left."""
    for liar in (0, 3):
        line, path = Line(table_of(IDS)), tmp_path / str(liar) / "log"
        talk, sent = begun(line, Log(path)), list[bytes]()
        carry = line.each

        def twice(kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
            for name, reply in carry(kind, requests, timeout_s):  # noqa: B023 of this line
                yield name, reply
                if kind == "deliver" and name == f"city-{liar}":  # noqa: B023 of this line
                    assert isinstance(reply, bytes)
                    other = resealed(
                        reply, replace(messages.Masked.decode(messages.body_of(reply)), input_commit=bytes(32))
                    )
                    sent.extend((reply, other))  # noqa: B023 of this line
                    yield name, other

        talk.post.link.each = twice  # type: ignore[method-assign]  # a network that carries one reply more
        state = talk.play()
        assert isinstance(state, collector.Summed)
        assert state.u3 == tuple(city for city in IDS if city != liar)
        assert [fault.code for fault in state.talk.faults] == ["SECAGG_EQUIVOCATION"] * bool(liar)
        talk.forget()
        assert not path.exists()
        assert path.parent.exists() is bool(liar)
        left = sorted(path.parent.glob("*"))
        assert {each.read_bytes() for each in left} == set(sent)
        assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in left)
