"""T63: a city is revoked before a conversation or inside one; and what else a newer roster means for those that are open.

Who is revoked has fallen silent, for coordinator and cities alike. A conversation stays under the roster of its plan; a new one must be
made on the newest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator import rounds
from coordinator.exchange import Exchange, Failure
from coordinator.log import Log
from node.audit import Event, lines
from node.identity import identity as key_in
from node.ledger import AUDIT
from protocols import messages
from protocols.errors import IncompleteError, PeerError, abort_number
from protocols.messages import Identity, Kind, matter_of, open_envelope, seal
from protocols.plan import agree
from protocols.roster import COORDINATOR, Key, Roster, accept, sign_roster
from protocols.secagg import collector
from protocols.secagg.plan import STEPS
from protocols.secagg.transcript import verify
from simulations import world
from tests import gates
from tests.conversations.line import Line, begun, questions, resumed
from tests.conversations.rounds_of_gates import POLICY, STUDY
from tests.conversations.table import (
    NOW,
    ROOT,
    ROOT_KEY,
    SOFTWARE,
    answers,
    at_step,
    identity,
    key_of,
    table_of,
    valid,
)
from tests.gates import Rig, nothing

IDS: Final = (1, 2, 3, 4, 5)  # dp: t = 4, k = 4
KIND: Final = dict(zip(STEPS, ("open", "adverts", "deliver", "survivors", "confirms"), strict=True))
FOUR: Final = ("east", "north", "south", "west")


def revoking(held: Roster, *cities: int, root: Any = ROOT, **changes: Any) -> Roster:
    """The next roster, on which these cities are revoked; accepted."""
    listed = tuple(
        each.model_copy(update={"state": "revoked", "reason": "key stolen"}) if each.id in cities else each
        for each in held.entries.cities
    )
    update = {"version": held.entries.version + 1, "previous": "sha256:" + held.sha256.hex(), "cities": listed}
    newer = sign_roster(held.entries.model_copy(update={**update, **changes}), root)
    return accept([newer.file], root=root.public_key().public_bytes_raw(), stored=held, now=held.entries.issued)


# --- the coordinator


def played(line: Line, step: str, cities: tuple[int, ...], log: Log | None = None) -> rounds.Conversation:
    """A conversation in which cities are revoked just before the requests of a step go out; they answer all the same."""
    talk = begun(line, log)

    def meanwhile(kind: str) -> None:
        if kind == KIND[step]:
            talk.post.roster = revoking(line.table.roster, *cities)

    line.sending = meanwhile
    talk.play()
    return talk


@pytest.mark.parametrize("step", STEPS)
def test_a_city_revoked_inside_a_conversation_counts_as_silent_from_that_step_on(step: str) -> None:
    line = Line(table_of(IDS))
    talk = played(line, step, (2,))
    u3 = IDS if step in ("confirm", "reveal") else (1, 3, 4, 5)
    assert isinstance(talk.state, collector.Summed)
    assert talk.state.u3 == u3
    assert np.array_equal(talk.state.total, line.table.plain(u3))
    verify(talk.transcript(), ROOT_KEY, talk.state.total)
    reason = {"advert": "no_advert", "shares": "no_shares", "masked": "no_masked"}
    assert collector.missing(talk.state) == ({2: reason[step]} if step in reason else {})


@pytest.mark.parametrize("step", STEPS[:4])
def test_in_mode_exact_nothing_is_opened_without_it(step: str) -> None:
    talk = played(Line(table_of(IDS, exact=True)), step, (2,))
    assert isinstance(talk.state, collector.Failed)


@pytest.mark.parametrize("step", STEPS)
def test_too_many_revoked_end_the_conversation(step: str) -> None:
    line = Line(table_of(IDS))
    talk = played(line, step, (2, 4))
    assert isinstance(talk.state, collector.Failed)
    assert (talk.state.step, talk.state.needed) == (step, 4)
    assert not line.sent(Kind.REVEAL, 1) or step == "reveal"


def test_a_session_goes_on_without_the_revoked_city_and_closes_below_the_threshold() -> None:
    line = Line(table_of(IDS, rounds=3))
    asked, found = questions(line, 3), list[tuple[int, ...]]()
    talk = begun(line)

    def one_after_every_sum() -> None:
        for number, state in enumerate(talk.sums(*asked)):
            found.append(state.u3)
            talk.post.roster = revoking(talk.post.roster, 2 + number)

    with pytest.raises(IncompleteError):
        one_after_every_sum()
    assert found == [IDS, (1, 3, 4, 5)]
    assert isinstance(talk.state, collector.Closed)


def test_a_key_that_is_no_longer_listed_is_revoked_and_one_past_its_date_is_not() -> None:
    line = Line(table_of(IDS))
    talk = begun(line)
    cities = line.table.roster.entries.cities
    other = Key.model_validate(
        {"key": key_of("new").public_key().public_bytes_raw().hex(), "from": NOW, "until": NOW + 9}
    )
    old = valid(3).model_copy(update={"until": NOW})
    listed = {
        2: (other,),
        3: (old, other.model_copy(update={"key": key_of("more").public_key().public_bytes_raw().hex()})),
    }
    changed = tuple(each.model_copy(update={"identity": listed.get(each.id, each.identity)}) for each in cities)

    def meanwhile(kind: str) -> None:
        if kind == "deliver":
            talk.post.roster = revoking(line.table.roster, cities=changed)

    line.sending = meanwhile
    assert isinstance(talk.play(), collector.Summed)
    assert collector.missing(talk.state) == {2: "no_masked"}


def test_a_coordinator_that_dies_after_a_roster_came_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    line, log = Line(table_of(IDS)), Log(tmp_path / "log")
    before = played(line, "masked", (2,), log)
    log.close()
    sent, log = len(line.wire), Log(tmp_path / "log")
    after = resumed(line, log)
    assert isinstance(before.state, collector.Summed)
    assert isinstance(after.state, collector.Summed)
    assert after.state.receipt == before.state.receipt
    assert collector.missing(after.state) == {2: "no_masked"}
    assert len(line.wire) == sent
    log.close()


def test_a_coordinator_that_comes_back_with_a_newer_roster_finishes_under_that_of_the_plan(tmp_path: Path) -> None:
    line, log = Line(table_of(IDS), lambda city, kind, _: kind is Kind.DELIVER and city == 2), Log(tmp_path / "log")
    talk = begun(line, log)

    class Killed(BaseException):
        """The process is gone."""

    def dying(kind: str) -> None:
        if kind == "survivors":
            raise Killed

    line.sending = dying
    with pytest.raises(Killed):
        talk.play()
    log.close()
    old, log = line.table.roster, Log(tmp_path / "log")
    line.sending = lambda _kind: None
    line.table.roster = revoking(old, 2)
    again = resumed(line, log)
    state = again.play()
    assert isinstance(state, collector.Summed)
    assert state.u3 == (1, 3, 4, 5)
    assert again.roster.file == old.file
    log.close()


@pytest.mark.parametrize("ended", [collector.Failed, collector.Closed])
def test_what_has_ended_heeds_no_roster(ended: type) -> None:
    table, out = at_step("masked", IDS)
    assert table.state is not None
    state: collector.State = collector.Closed(table.state.talk)
    if ended is collector.Failed:
        state = collector.Failed(table.state.talk, "masked", 0, 4, {})
    assert collector.renew(state, revoking(table.roster, 2), table.stamp()) == (state, ())
    for reply in answers(table, out).values():
        table.reply(reply)
    again = collector.renew(table.state, table.roster, table.stamp())
    assert again == (table.state, ())


# --- one message


def test_a_message_under_the_roster_of_the_plan_is_believed_only_of_who_still_stands() -> None:
    """City 1 reads what the coordinator, and the coordinator what city 2, sealed under the older roster."""
    table = table_of(IDS)
    old = table.roster

    def opened(newest: Roster, sender: int) -> str:
        to = 1 if sender == COORDINATOR else COORDINATOR
        request = None if sender == COORDINATOR else bytes(32)
        body: messages.Body = messages.Ping(bytes(32))
        content = seal(
            body, identity=identity(sender), to=to, roster=old, matter=matter_of(table.plan), seq=1, now=NOW, in_reply_to=request
        )  # fmt: skip
        try:
            open_envelope(content, me=to, roster=old, newest=newest, now=NOW, in_reply_to=request)
        except PeerError as fault:
            return fault.code
        return ""

    assert opened(revoking(old, 3), 2) == ""
    assert opened(revoking(old, 2), 2) == "ENVELOPE_FROM"
    new = Key.model_validate(
        {"key": key_of("new").public_key().public_bytes_raw().hex(), "from": NOW, "until": NOW + 9}
    )
    assert opened(revoking(old, 2), COORDINATOR) == ""
    assert opened(revoking(old, coordinator=(valid(0), new)), COORDINATOR) == ""
    assert opened(revoking(old, coordinator=(new,)), COORDINATOR) == "ENVELOPE_SIGNATURE"


# --- gates


@dataclass
class Meanwhile:
    """A link on which something happens just before requests of one kind go out, once."""

    link: Exchange
    kind: str
    act: Callable[[], None]
    done: bool = False

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        if kind == self.kind and not self.done:
            self.done = True
            self.act()
        return self.link.each(kind, requests, timeout_s)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Rig]:
    gates.write(tmp_path / "cities", 12, STUDY, FOUR)
    for city in FOUR:
        (tmp_path / "cities" / city / "policy.yaml").write_text(POLICY, encoding="utf-8")
    with gates.rig(tmp_path / "cities") as rig:
        yield rig


def newer(rig: Rig, *cities: int, **changes: Any) -> Roster:
    """The next roster of the world, signed by its root."""
    root = key_in(world.coordinator_home(rig.folder, rig.folder / "homes") / "root", nothing)
    return revoking(rig.present.post.roster, *cities, root=root, **changes)


def everywhere(rig: Rig, roster: Roster, *, but: tuple[str, ...] = ()) -> None:
    """All hold it, but for some gates."""
    for name, gate in rig.gates.items():
        if name not in but:
            gate.renew(roster, rig.now)
    rig.present.post.roster = roster


@pytest.mark.parametrize("kind", ["adverts", "deliver", "survivors", "confirms"])
def test_gates_finish_what_is_open_without_the_revoked_city_and_say_so_to_the_end(four: Rig, kind: str) -> None:
    """Also the receipt is answered, under the roster of the plan."""
    answered, agreement = four.approved()
    post = four.present.post
    post.link = Meanwhile(post.link, kind, lambda: everywhere(four, newer(four, 2)))
    done = rounds.summed(post, agreement, answered, {})
    stayed = (1, 2, 3, 4) if kind in ("survivors", "confirms") else (1, 3, 4)
    assert done.opened.survivors == stayed
    assert sorted(done.conversation.receipts()) == list(stayed)
    (held,) = four.gate.ledger.view(four.now).reservations
    assert held.state == "answered"
    assert not four.gates["north"].talks


def test_a_revoked_city_frees_what_it_had_not_used(four: Rig) -> None:
    answered, agreement = four.approved()
    post = four.present.post
    post.link = Meanwhile(post.link, "deliver", lambda: everywhere(four, newer(four, 2)))
    rounds.summed(post, agreement, answered, {})
    (held,) = four.gates["north"].ledger.view(four.now).reservations
    assert held.void


def test_a_plan_on_an_older_roster_is_refused_and_one_over_a_revoked_city_too(four: Rig) -> None:
    answered, agreement = four.approved()
    post, old = four.present.post, four.present.post.roster
    roster = newer(four, 2)
    four.gate.renew(roster, four.now)
    alone = rounds.summed(post, agreement, answered, {}).opened.survivors
    assert alone == (2, 3, 4)  # the first city believes nothing under the older roster
    assert lines_of(four, Event.DROPPED) == {("ENVELOPE_ROSTER",)}
    post.roster = roster
    without = four.plan(agree(four.study, (1, 3, 4), roster))
    for changed, code in (
        (four.plan(agreement), "SECAGG_PLAN"),
        (replace(without, roster=old.sha256), "SECAGG_ROSTER"),
    ):
        content = four.sealed(messages.Open(changed.encode(), b""), four.about(changed))
        reply = four.gate.answer(content, four.now)
        assert reply is not None
        assert messages.Abort.decode(messages.body_of(reply)).code == abort_number(code)


def test_the_coordinator_s_key_revoked_stops_all_cities_at_once(four: Rig) -> None:
    answered, agreement = four.approved()
    post = four.present.post
    other = Identity(COORDINATOR, key_of("another"), SOFTWARE)
    new = Key.model_validate({"key": other.public.hex(), "from": 0, "until": four.now + 9**9})
    changed = newer(four, coordinator=(new,))

    def stop() -> None:
        for gate in four.gates.values():
            gate.renew(changed, four.now)

    post.link = Meanwhile(post.link, "survivors", stop)
    with pytest.raises(IncompleteError):
        rounds.summed(post, agreement, answered, {})
    for name, gate in four.gates.items():
        assert not gate.talks, name
        (held,) = gate.ledger.view(four.now).reservations
        assert not any(each.confirmed for each in held.rounds.values())
        assert lines_of(four, Event.DROPPED, name) == {("ENVELOPE_SIGNATURE",)}


def test_a_coordinator_s_key_past_its_date_finishes_what_it_opened_and_opens_nothing_new(four: Rig) -> None:
    """Rotation ends no conversation: the gates believe the old key where it was the first, to the receipt."""
    post, until = four.present.post, four.now + 40
    (key,) = post.roster.entries.coordinator
    other = Key.model_validate(
        {"key": key_of("another").public_key().public_bytes_raw().hex(), "from": 0, "until": until + 9**9}
    )
    everywhere(four, newer(four, coordinator=(key.model_copy(update={"until": until}), other)))
    answered, agreement = four.approved()
    clock = post.clock
    assert isinstance(clock, world.Clock)

    def a_minute_later() -> None:
        clock.virtual = until + 1

    post.link = Meanwhile(post.link, "deliver", a_minute_later)
    done = rounds.summed(post, agreement, answered, {})
    assert done.opened.survivors == (1, 2, 3, 4)
    assert sorted(done.conversation.receipts()) == [1, 2, 3, 4]
    plan = four.plan(agreement, b"d" * 16)
    assert four.gate.answer(four.sealed(messages.Open(plan.encode(), b""), four.about(plan)), four.now) is None
    assert lines_of(four, Event.DROPPED) == {("ENVELOPE_SIGNATURE",)}


def lines_of(rig: Rig, event: Event, city: str = "east") -> set[tuple[str, ...]]:
    """The codes of a city's audit lines of a kind."""
    return {line.codes for line in lines(rig.gates[city].station.home / AUDIT) if line.event is event}
