"""A study that is asked every month: its dates, its noise, and what a city's books hold for it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import ingest
from node.entries import Book, Reserved
from node.ledger import DAY, Ledger
from node.policy import decide
from protocols import messages, privacy
from protocols import study as studies
from protocols.entropy import seeded
from protocols.errors import PeerError, Refusal
from protocols.plan import agree
from protocols.study import Study, months_later
from tests import gates
from tests.gates import Rig
from tests.ledgers import NOW, claim, conversation, opened, policy, rows, spend, whole, years_later

REPEATED: Final = gates.STUDY.replace(
    "as_of: 2022-05-31\n",
    "as_of: 2022-05-31\nwindow: {from: 2021-08, to: 2022-05}\nrepeat: {every: month, times: 12}\n",
)
RUNS: Final = tuple(range(1, 13))
UNTIL: Final = NOW + 400 * DAY
CHEAP: Final = 12 * 518_852 * (1 << 20) // 1000  # v20 of one run, so that twelve cost what one study of epsilon 1 does


@pytest.fixture
def asked(tmp_path: Path) -> Study:
    gates.write(tmp_path, 12, REPEATED)
    return studies.load(tmp_path / "study.yaml")


# --- dates


@given(st.dates(date(1990, 1, 1), date(2200, 1, 1)), st.integers(0, 200))
def test_runs_are_whole_months_apart_and_the_end_of_a_month_stays_one(day: date, months: int) -> None:
    later = months_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or later == months_later(later.replace(day=1), 1) - (date(2, 1, 2) - date(2, 1, 1))
    assert months_later(months_later(date(2022, 2, 28), 1), 0) == date(2022, 3, 31)


def test_every_run_has_its_own_dates_and_all_have_one_digest(asked: Study) -> None:
    second, last = asked.at(2), asked.at(12)
    assert [each.file.as_of for each in (second, last)] == [date(2022, 6, 30), date(2023, 4, 30)] != [asked.last_as_of]
    assert last.file.window is not None
    assert (last.file.window.from_, last.file.window.to) == ("2022-07", "2023-04")
    assert {each.digest for each in map(asked.at, RUNS)} == {asked.digest}
    assert (second.at(1), second.at(2), second.at(12)) == (asked, second, last)
    assert second.in_exact_mode() == asked.in_exact_mode().at(2)
    assert studies.from_wire(second.content, asked.dictionary.content).at(2).file.window == second.file.window
    for number in (0, 13):
        with pytest.raises(ValueError, match="of 12"):
            asked.at(number)


def test_a_study_of_the_last_months_of_the_calendar_is_no_study(asked: Study) -> None:
    content = asked.content.replace(b"2022-05-31", b"9999-05-31")
    with pytest.raises(PeerError) as caught:
        studies.from_wire(content, asked.dictionary.content)
    assert caught.value.code == "STUDY_INVALID"


def test_the_noise_of_every_run_is_such_that_all_of_them_cost_the_epsilon(asked: Study, tmp_path: Path) -> None:
    with gates.rig(tmp_path, study=asked) as rig:
        every, run = agree(asked, (1, 2, 3), rig.present.post.roster), asked.at(5)
        once = agree(once_of(asked), (1, 2, 3), rig.present.post.roster)
        assert agree(run, (1, 2, 3), rig.present.post.roster).v20 == every.v20
    assert Decimal("0.999") < every.epsilon <= 1
    assert all(10 < many / one < 13 for many, one in zip(every.v20, once.v20, strict=True))
    assert sum(event.times for event in every.events) == 12 * len(once.events)


def once_of(study: Study) -> Study:
    return Study(study.file.model_copy(update={"repeat": None}), study.dictionary)


# --- what the books hold


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path) as found:
        yield found


def held(ledger: Ledger, number: int, run: int, now: int = NOW, **words: Any) -> None:
    words = {"total": CHEAP, "expires": now + 7200, **words}
    ledger.reserve(claim(number, run=run, **words), now=now, runs=RUNS, until=UNTIL)


def used(ledger: Ledger, now: int = NOW) -> list[int]:
    return [privacy.cost_at(room.used.curve, room.cap.order) for room in ledger.rooms("fund-lab", now)]


def kinds(ledger: Ledger) -> list[str]:
    return [each["kind"] for each in entries(ledger)]


def entries(ledger: Ledger) -> list[dict[str, Any]]:
    import json

    return [json.loads(body) for (body,) in ledger._db.execute("SELECT body FROM entries ORDER BY seq")]


def test_the_first_run_holds_the_cost_of_all_and_no_later_run_adds_to_it(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    each = claim(1, total=CHEAP).cost
    (room, *_) = ledger.rooms("fund-lab", NOW)
    assert room.used.curve == each.times(12).curve
    before = used(ledger)
    for run in RUNS[1:]:
        held(ledger, run, run)
        rows(ledger, run)
        spend(ledger, run)
        assert used(ledger) == before
    (repeat,) = ledger.view(NOW).repeats
    assert (repeat.open, repeat.charged) == (frozenset(), privacy.FREE.times(0))


def test_what_all_runs_cost_must_fit_before_the_first(ledger: Ledger) -> None:
    with pytest.raises(Refusal) as no:
        held(ledger, 1, 1, total=CHEAP // 40)
    assert [each.code for each in no.value.every()] == ["BUDGET_ASKER", "BUDGET_YEAR"]
    assert ledger.view(NOW).repeats == ()


def test_a_run_of_which_no_row_was_read_is_held_again_and_costs_nothing_more(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    spend(ledger, 1)
    before = used(ledger)
    held(ledger, 2, 2)
    ledger.end(conversation(2), now=NOW)
    assert used(ledger) == before
    (repeat,) = ledger.view(NOW).repeats
    assert repeat.open == frozenset(RUNS[1:])
    held(ledger, 3, 2)
    assert used(ledger) == before


def test_a_run_that_is_asked_again_after_its_rows_were_read_is_charged_anew(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    ledger.end(conversation(1), now=NOW)
    before = used(ledger)
    held(ledger, 2, 1)
    each = [privacy.cost_at(claim(1, total=CHEAP).cost.curve, room.cap.order) for room in ledger.rooms("fund-lab", NOW)]
    assert used(ledger) == [one + more for one, more in zip(before, each, strict=True)]


def test_where_no_row_was_read_for_any_run_nothing_is_held_any_longer(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    ledger.end(conversation(1), now=NOW)
    assert (used(ledger), ledger.view(NOW).repeats) == ([0, 0, 0], ())
    held(ledger, 2, 4)
    (repeat,) = ledger.view(NOW).repeats
    assert repeat.open == frozenset(RUNS) - {4}


def test_an_officers_no_frees_the_runs_that_nobody_began_and_a_later_yes_holds_them_anew(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    spend(ledger, 1)
    held(ledger, 2, 2)
    study = claim(1).study
    ledger.decline(study, "fund-lab", codes=["APPROVAL_DECLINED"], now=NOW)
    ledger.end(conversation(2), now=NOW)
    each = claim(1, total=CHEAP).cost
    assert ledger.rooms("fund-lab", NOW)[0].used.curve == each.curve
    assert ledger.view(NOW).repeats == ()
    held(ledger, 3, 2)
    (repeat,) = ledger.view(NOW).repeats
    assert repeat.runs == RUNS[1:]
    ledger.decline("sha256:" + "0" * 64, "fund-lab", codes=["APPROVAL_DECLINED"], now=NOW)
    assert len(ledger.view(NOW).repeats) == 1


def test_a_run_that_came_back_after_its_repeat_was_over_is_not_put_into_the_next(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    held(ledger, 2, 2)
    ledger.decline(claim(1).study, "fund-lab", codes=["APPROVAL_DECLINED"], now=NOW)
    held(ledger, 3, 3)
    ledger.end(conversation(2), now=NOW)
    (repeat,) = ledger.view(NOW).repeats
    assert repeat.open == frozenset(RUNS[1:]) - {3}


def test_what_is_held_ends_thirty_days_after_the_last_run(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    held(ledger, 2, 2, now=UNTIL)
    assert ledger.view(UNTIL).repeats[0].open == frozenset(RUNS[2:])
    held(ledger, 3, 1, now=UNTIL + 1, study="another")
    assert [each.study for each in ledger.view(UNTIL).repeats] == [claim(3, study="another").study]
    assert "lapsed" in kinds(ledger)


def test_later_runs_are_charged_to_the_year_in_which_the_first_was_held(ledger: Ledger) -> None:
    held(ledger, 1, 1)
    rows(ledger, 1)
    later = years_later(NOW, 1)
    held(ledger, 2, 2, now=later)
    assert used(ledger, later)[:2] == [0, 0]
    assert {each.year for each in ledger.view(later).reservations} == {datetime.fromtimestamp(NOW, UTC).year}


def test_a_run_that_became_dearer_must_fit_with_what_is_more(ledger: Ledger) -> None:
    """Other cities may ask for coarser units, and with them for a little more."""
    held(ledger, 1, 1)
    rows(ledger, 1)
    before = used(ledger)
    held(ledger, 2, 2, total=CHEAP * 999 // 1000)
    assert all(0 < more - one < one // 1000 for more, one in zip(used(ledger), before, strict=True))
    with pytest.raises(Refusal) as no:
        held(ledger, 3, 3, total=CHEAP // 400)
    assert no.value.code == "BUDGET_ASKER"


def test_what_a_dearer_run_costs_more_must_fit_in_the_year_that_it_is_charged_to(ledger: Ledger) -> None:
    """However empty the next one is."""
    held(ledger, 1, 1)
    rows(ledger, 1)
    later = years_later(NOW, 1)
    with pytest.raises(Refusal) as no:
        held(ledger, 2, 2, now=later, total=CHEAP // 250)
    assert [each.code for each in no.value.every()] == ["BUDGET_ASKER"]
    held(ledger, 3, 13, now=later, total=CHEAP // 250)  # the same outside the repeat


def test_in_mode_exact_there_is_nothing_to_hold(ledger: Ledger) -> None:
    held(ledger, 1, 1, exact=True)
    assert ledger.view(NOW).repeats == ()


@pytest.mark.parametrize("changed", [{"runs": (2, 3)}, {"again": True}])
def test_books_in_which_a_repeat_is_held_twice_or_without_its_run_are_broken(changed: dict[str, Any]) -> None:
    from node.audit import Head
    from node.entries import CapSet, Opened, text

    book = Book()
    book.apply(Opened(at=NOW, city="q-city", key="", policy="", dictionary=""), Head(1))
    book.apply(CapSet(at=NOW, scope="total", epsilon="16", delta="1e-6", order=3, room=10**20, officers=()), Head(2))

    def reserved(number: int, run: int, runs: tuple[int, ...]) -> Reserved:
        one = claim(number, run=run)
        return Reserved(
            at=NOW, claim=one, cost=text(one.cost.curve), sampler=one.cost.sampler, runs=runs, until=NOW + 1
        )

    book.apply(reserved(1, 1, (1, 2)), Head(3)) if "again" in changed else None
    with pytest.raises(ValueError):  # noqa: PT011 an entry that cannot follow has no words
        book.apply(reserved(2, 1, changed.get("runs", (1, 2))), Head(4))


def test_what_a_repeat_holds_is_there_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        held(ledger, 1, 1)
        rows(ledger, 1)
        before, view = used(ledger), ledger.view(NOW).repeats
    with opened(tmp_path, now=NOW + 60) as ledger:
        assert (used(ledger), ledger.view(NOW).repeats) == (before, view)


def test_two_repeats_of_two_studies_stand_side_by_side(ledger: Ledger) -> None:
    held(ledger, 1, 1, total=3 * CHEAP)
    held(ledger, 2, 1, total=3 * CHEAP, study="another")
    whole(ledger, 3, study="once", total=3 * CHEAP)
    each = claim(1, total=3 * CHEAP).cost
    assert ledger.rooms("fund-lab", NOW)[2].used.curve == each.times(25).curve
    assert ledger.rooms("fund-lab", NOW, besides=claim(1).study)[2].used.curve == each.times(13).curve


# --- at the gate


@pytest.fixture
def rig(asked: Study, tmp_path: Path) -> Iterator[Rig]:
    with gates.rig(tmp_path, study=asked) as found:
        yield found


def a_month_later(rig: Rig, city: str = "east") -> None:
    path = rig.folder / city / "mapping.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("2022-05-31", "2022-06-30"), encoding="utf-8")
    ingest.ingest(rig.folder / city, rig.folder / "homes" / city, seeded("tests", city))


def test_one_yes_is_to_all_runs_until_a_month_after_the_last(asked: Study, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    with opened(folder) as ledger:
        rules = policy(folder)
        decision = decide(once_of(asked), role="analyst", cities=("a", "b", "c"), cannot=None, policy=rules)
        yes = ledger.approve(asked, decision, signed=(), cannot=(), now=NOW)
        assert yes.expires == NOW + 30 * DAY, "all of its dates have passed"
        early = int(datetime(2022, 6, 1, tzinfo=UTC).timestamp())
    with opened(tmp_path / "earlier", now=early) as ledger:
        yes = ledger.approve(asked, decision, signed=(), cannot=(), now=early)
        assert yes.expires == int(datetime(2023, 5, 30, tzinfo=UTC).timestamp())
        once = ledger.approve(once_of(asked), decision, signed=(), cannot=(), now=early)
        assert once.expires == early + 30 * DAY


def offered(rig: Rig, study: Study, run: int) -> bytes:
    offer = messages.Offer(study.content, rig.present.signed, study.dictionary.content)
    matter = rig.matter()
    reply = rig.gate.answer(rig.sealed(offer, messages.Matter(matter.expires, matter.study, run)), rig.now)
    assert reply is not None
    return reply


def test_a_run_is_answered_from_the_snapshot_of_its_own_date_or_declined(rig: Rig) -> None:
    def codes(run: int) -> tuple[str, ...]:
        reply = offered(rig, rig.study, run)
        if messages.peek(reply).kind is messages.Kind.APPROVAL:
            return ()
        return messages.Refusal.decode(messages.body_of(reply)).reasons().codes

    assert codes(1) == ()
    (yes,) = rig.gate.ledger.view(rig.now).approvals.values()
    assert codes(2) == ("SNAPSHOT_DATE",)
    a_month_later(rig)
    assert codes(2) == codes(1) == ()
    assert list(rig.gate.ledger.view(rig.now).approvals.values()) == [yes], "one approval, said again"
    assert codes(13) == ("SECAGG_NOT_APPROVED",)


def test_runs_are_attested_one_by_one_and_the_study_is_charged_once(asked: Study, tmp_path: Path) -> None:
    by_city = Study(asked.file.model_copy(update={"release": "by_city"}), asked.dictionary)
    with gates.rig(tmp_path, study=by_city) as rig:
        said, cells = [], []
        for run in (1, 2):
            study = by_city.at(run)
            matter = messages.Matter(rig.now + 3600, rig.matter(by_city).study, run)
            offer = messages.Offer(study.content, rig.present.signed, study.dictionary.content)
            rig.gate.answer(rig.sealed(offer, matter), rig.now)
            agreement = agree(study, (1, 2, 3), rig.present.post.roster)
            reply = rig.gate.answer(rig.sealed(agreement.count, matter), rig.now)
            assert reply is not None
            cells.append(np.frombuffer(messages.Counted.decode(messages.body_of(reply)).cells, "<i8"))
            attested = rig.gate.answer(rig.sealed(messages.Attest(), matter), rig.now)
            assert attested is not None
            said.append(attestation(rig, attested))
            a_month_later(rig)
        assert not np.array_equal(cells[0], cells[1])
        assert [(each.run, each.as_of) for each in said] == [(0, date(2022, 5, 31)), (1, date(2022, 6, 30))]
        assert said[0].ledger == said[1].ledger
        assert Decimal(said[0].ledger.total_before) == 0
        first, second = rig.gate.ledger.view(rig.now).reservations
        cost = first.cost.times(12).curve
        assert rig.gate.ledger.rooms(asked.file.asker, rig.now)[2].used.curve == cost
        assert second.repeat is not None


def attestation(rig: Rig, reply: bytes) -> Any:
    from protocols.attestation import read_attestation

    file = bytes(messages.Attestation.decode(messages.body_of(reply)).file)
    return read_attestation(file, 1, rig.present.post.roster)
