"""Kind `count`: what a city answers by itself. Each step of the gate says no once, before a row is read where it can."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator import rounds
from coordinator.own import own_cells
from node import gate
from node.audit import Event
from node.cohorts import Cohorts
from node.gate import Gate
from node.ledger import COUNTED, Ledger
from node.policy import load as policy_of
from protocols import messages
from protocols.entropy import seeded
from protocols.errors import PeerError, Refusal, abort_number
from protocols.messages import Kind
from protocols.plan import Agreement
from protocols.statistics.own_tables import WITHHELD
from protocols.study import Study, load
from tests import gates
from tests.gates import Rig
from tests.unit.test_gate import LOOSE, aborted, attested, audit, opening, refused, reply_to

BY_CITY = gates.STUDY.replace("questions:", "release: by_city\nquestions:")
MIXED = gates.STUDY.replace("kind: count}", "kind: count, release: both}")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Rig]:
    """A study that is released by city alone."""
    gates.write(tmp_path / "cities", study=BY_CITY)
    with gates.rig(tmp_path / "cities") as rig:
        yield rig


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Rig]:
    """A study of which a part is summed, and a part both summed and released by city."""
    gates.write(tmp_path / "cities", study=MIXED)
    with gates.rig(tmp_path / "cities") as rig:
        yield rig


def asking(rig: Rig, agreement: Agreement, **changed: Any) -> bytes:
    return rig.sealed(replace(agreement.count, **changed), rig.matter(agreement.study))


def answered(rig: Rig, agreement: Agreement) -> Any:
    return own_cells(reply_to(rig, asking(rig, agreement)), agreement, rig.present.post.roster)


def test_a_city_answers_its_own_cells_with_all_of_their_noise(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, agreement = own.approved()
    assert agreement.own_v20
    noised = answered(own, agreement)
    (held,) = own.gate.ledger.view(own.now).reservations
    assert held.state == "answered"
    assert held.cost == agreement.cost == held.claim.cost
    assert [charge.v20 for charge in held.claim.charges] == list(agreement.own_v20), "no other city shares in the noise"
    monkeypatch.setattr(gate, "noise", lambda layout, *_: np.zeros(layout.length, dtype=np.int64))
    twin = own.gates["north"]
    request = own.sealed(agreement.count, own.matter(), to=2)
    reply = twin.answer(request, own.now)
    assert reply is not None
    rows = np.frombuffer(messages.Counted.decode(messages.body_of(reply)).cells, "<i8")
    assert rows[0] == 12
    assert noised[0] != 12
    (sent,) = attested(own).conversations
    assert (sent.kind, sent.id, sent.cells, sent.bytes) == (
        "by_city",
        held.claim.conversation,
        noised.size,
        8 * noised.size,
    )
    assert sent.plan == "sha256:" + sha256(agreement.count.encode()).hexdigest()


def test_whenever_it_is_asked_again_the_bytes_are_the_same_and_nothing_is_charged(own: Rig) -> None:
    """Also after other rows were ingested: what was re-ingested since cannot show in a repeat."""
    _, agreement = own.approved()
    first = answered(own, agreement)
    snapshots = own.gate.station.home / "snapshots"
    for path in sorted(snapshots.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    head = own.gate.ledger.head
    for _ in range(50):
        assert np.array_equal(answered(own, agreement), first)
    assert own.gate.ledger.head == head


def test_the_books_open_again_with_the_answer_in_them(own: Rig) -> None:
    _, agreement = own.approved()
    first = answered(own, agreement)
    before, home = own.gate, own.gate.station.home
    before.ledger.close()
    again = Ledger.open(
        home / "ledger.sqlite",
        policy=before.policy,
        city="east",
        city_key=before.station.identity.public,
        now=own.now,
        entropy=seeded("tests", "again"),
        dictionary=before.station.dictionary,
    )
    with again:
        entropy = seeded("tests", "gate")
        gate = Gate(before.station, before.policy, again, entropy, before.desk)
        own.present.link.gates["east"] = gate  # type: ignore[index] # the world holds a dict
        assert np.array_equal(answered(own, agreement), first)


@pytest.mark.parametrize("wrong", ["layout", "noise"])
def test_another_question_or_less_noise_is_not_what_was_approved(
    own: Rig, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, agreement = own.approved()
    monkeypatch.setattr(gate, "encoded", lambda *_: pytest.fail("a row was read"))
    assert refused(own, asking(own, agreement, **{wrong: b"x" * 32})) == ("SECAGG_FOREIGN_QUESTION",)
    assert refused(own, asking(own, agreement, study=b"x" * 32)) == ("ENVELOPE_STUDY",)
    assert refused(own, asking(own, agreement, run=2)) == ("ENVELOPE_STUDY",)
    assert own.gate.ledger.view(own.now).reservations == ()
    assert audit(own)[-2].event == "refused"


def test_an_answer_beside_a_sum_over_other_cities_stays_the_one_and_the_no_says_so(own: Rig) -> None:
    """A plan that is made again over other cities may carry amounts in other units: the city answered, and does not answer twice."""
    _, agreement = own.approved()
    first, head = answered(own, agreement), own.gate.ledger.head
    assert refused(own, asking(own, agreement, layout=b"x" * 32)) == ("COUNT_OTHER_CITIES",)
    assert own.gate.ledger.head == head
    assert np.array_equal(answered(own, agreement), first)


def test_nothing_is_answered_that_was_not_approved_or_whose_asker_is_gone(own: Rig) -> None:
    agreement = _agreement(own)
    assert refused(own, asking(own, agreement)) == ("APPROVAL_MISSING",)
    own.approved()
    entries = own.gate.station.roster.entries
    gone = replace(own.gate.station.roster, entries=entries.model_copy(update={"askers": ()}))
    own.gate.station = replace(own.gate.station, roster=gone)
    assert refused(own, asking(own, agreement)) == ("APPROVAL_ASKER",)


def _agreement(rig: Rig) -> Agreement:
    from protocols.plan import agree

    return agree(rig.study, (1, 2, 3), rig.present.post.roster)


def test_a_policy_that_changed_since_the_approval_is_asked_again(own: Rig, tmp_path: Path) -> None:
    _, agreement = own.approved()
    (tmp_path / "policy.yaml").write_text("policy: 1\nreleases: [pooled]\n", encoding="utf-8")
    own.gate.policy = policy_of(tmp_path, loose=True)
    assert refused(own, asking(own, agreement)) == ("POLICY_RELEASE",)


def test_more_rows_than_were_declared_are_not_answered(own: Rig) -> None:
    _, agreement = own.approved()
    station = own.gate.station
    small = station.roster.entries.cities[0].model_copy(update={"size_class": 4})
    entries = station.roster.entries.model_copy(update={"cities": (small, *station.roster.entries.cities[1:])})
    roster = replace(station.roster, entries=entries)
    roster.__dict__.pop("cities", None)
    own.gate.station = replace(station, roster=roster)
    assert refused(own, asking(own, agreement)) == ("SECAGG_BOUND",)


def test_a_budget_that_is_used_up_refuses_before_a_row_is_read(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, agreement = own.approved()

    def spent(*_: object, **__: object) -> None:
        raise Refusal("BUDGET_RETRIES", count=3, limit=2)

    monkeypatch.setattr(own.gate.ledger, "reserve", spent)
    monkeypatch.setattr(gate, "encoded", lambda *_: pytest.fail("a row was read"))
    assert refused(own, asking(own, agreement)) == ("BUDGET_RETRIES",)


def test_a_fault_after_rows_were_read_is_one_word_and_is_charged(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bytes left, and the reading is charged: another attempt is another reservation and another draw."""
    _, agreement = own.approved()

    def broken(*_: object) -> None:
        raise Refusal("SNAPSHOT_ALTERED")

    with monkeypatch.context() as patch:
        patch.setattr(gate, "encoded", broken)
        assert refused(own, asking(own, agreement)) == ("declined:disclosure",)
    (held,) = own.gate.ledger.view(own.now).reservations
    assert held.unspent == (COUNTED,)
    assert answered(own, agreement).size
    turned, given = own.gate.ledger.view(own.now).reservations
    assert (turned.own, given.own is not None) == (None, True)
    assert turned.charged == given.charged


def test_what_was_held_for_an_answer_and_expired_is_held_anew(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that died between holding the budget and reading rows answers also after that reservation has expired, at one price."""
    _, agreement = own.approved()

    def died(*_: object, **__: object) -> None:
        raise Refusal("LEDGER_UNAVAILABLE")

    with monkeypatch.context() as patch:
        patch.setattr(own.gate.ledger, "rows", died)
        assert refused(own, asking(own, agreement)) == ("LEDGER_UNAVAILABLE",)
    (held,) = own.gate.ledger.view(own.now).reservations
    later = held.claim.expires + 1
    monkeypatch.setattr(own.present.post, "clock", lambda: later)
    assert answered(own, agreement).size == agreement.own.length
    over, given = own.gate.ledger.view(later).reservations
    assert (over.void, any(over.charged.curve), given.charged) == (True, False, given.cost)


def test_a_study_with_a_sum_is_summed_first(mixed: Rig) -> None:
    answers, agreement = mixed.approved()
    assert refused(mixed, asking(mixed, agreement)) == ("SECAGG_OUT_OF_ORDER",)
    rounds.summed(mixed.present.post, agreement, answers, {})
    assert answered(mixed, agreement).size == agreement.own.length
    (held,) = mixed.gate.ledger.view(mixed.now).reservations
    assert held.cost == agreement.cost
    assert held.left == (0,) * len(held.claim.charges), "everything that was reserved was released once"
    assert [each.kind for each in attested(mixed).conversations] == ["pooled", "by_city"]


def test_a_study_without_tables_by_city_is_not_answered_by_city(tmp_path: Path) -> None:
    gates.write(tmp_path)
    with gates.rig(tmp_path) as rig:
        answers, agreement = rig.approved()
        rounds.summed(rig.present.post, agreement, answers, {})
        assert refused(rig, asking(rig, agreement)) == ("SECAGG_OUT_OF_ORDER",)


def test_a_snapshot_that_was_ingested_between_the_sum_and_the_answer_is_another_one(
    mixed: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, agreement = mixed.approved()
    rounds.summed(mixed.present.post, agreement, answers, {})
    monkeypatch.setattr(Gate, "_named", lambda *_: "sha256:" + "0" * 64)
    assert refused(mixed, asking(mixed, agreement)) == ("SNAPSHOT_DATE",)


def test_what_was_answered_is_not_charged_again_when_the_sum_is_tried_again(mixed: Rig) -> None:
    answers, agreement = mixed.approved()
    rounds.summed(mixed.present.post, agreement, answers, {})
    first = answered(mixed, agreement)
    assert reply_to(mixed, opening(mixed, mixed.plan(agreement, b"e" * 16))).header.kind is Kind.ADVERT
    one, other = mixed.gate.ledger.view(mixed.now).reservations
    assert (one.claim.counted, other.claim.counted) == (True, False)
    assert not any(charge.own for charge in other.claim.charges)
    assert np.array_equal(answered(mixed, agreement), first)


def loose(folder: Path, text: str, policy: str = LOOSE) -> Study:
    gates.write(folder, study=text)
    for city in gates.CITIES:
        (folder / city / "policy.yaml").write_text(policy, encoding="utf-8")
    return load(folder / "study.yaml").in_exact_mode()


def test_an_exact_cohort_that_is_too_small_for_a_table_by_city_is_one_word(tmp_path: Path) -> None:
    """Alone, the city says so when it is asked, and what was held is free again; beside a sum, it says so before the sum."""
    strict = LOOSE.replace("min_cohort: 5", "min_cohort: 5, min_cohort_by_city: 13")
    with gates.rig(tmp_path / "own", study=loose(tmp_path / "own", BY_CITY, strict)) as rig:
        _, agreement = rig.approved()
        assert refused(rig, asking(rig, agreement)) == ("declined:disclosure",)
        (held,) = rig.gate.ledger.view(rig.now).reservations
        assert held.state == "void"
        assert not held.releases
    mixed = MIXED.replace("release: both", "release: by_city")
    with gates.rig(tmp_path / "mixed", study=loose(tmp_path / "mixed", mixed, strict)) as rig:
        _, agreement = rig.approved()
        assert aborted(rig, opening(rig, rig.plan(agreement)))


def test_exact_answers_by_city_count_as_releases_of_their_snapshot(tmp_path: Path) -> None:
    policy = LOOSE.replace("min_pooled: 1", "min_pooled: 1, min_cohort_by_city: 5, most_releases_per_snapshot: 1")
    asked = loose(tmp_path, BY_CITY, policy)
    with gates.rig(tmp_path, study=asked) as rig:
        _, agreement = rig.approved()
        assert answered(rig, agreement)[0] == 12
        (held,) = rig.gate.ledger.view(rig.now).reservations
        assert (held.state, held.attempted, held.counts, held.releases, held.frees) == (
            "answered",
            True,
            False,
            True,
            False,
        )
        claim = held.claim.model_copy(update={"conversation": "0" * 32, "study": "sha256:" + "0" * 64})
        with pytest.raises(Refusal) as no:
            rig.gate.ledger.reserve(claim, now=rig.now)
        assert no.value.code == "EXACT_RELEASES"


def exact_policy(folder: Path, study: str, **limits: int) -> Study:
    kept = {"min_cell": 1, "min_cohort": 1, "min_cohort_by_city": 1, "min_pooled": 1} | limits
    return loose(folder, study, f"policy: 1\nkinds: {{exact: all}}\nexact: {json.dumps(kept)}\n")


def named(rig: Rig, name: str, cohort: str = "") -> Study:
    """The same study under another name, or about others."""
    text = (rig.folder / "study.yaml").read_text(encoding="utf-8").replace("tiny-study", name)
    (rig.folder / f"{name}.yaml").write_text(text.replace("questions:", cohort + "questions:"), encoding="utf-8")
    return load(rig.folder / f"{name}.yaml").in_exact_mode()


def asked_of(rig: Rig, study: Study) -> Agreement:
    """All cities say yes to another study."""
    post = rig.present.post
    answers = rounds.offer(post, study, rig.signed(study), rig.present.ids)
    return rounds.agreed(post, study, answers)


def test_small_exact_cells_of_one_city_are_withheld_before_they_leave_and_counted_in_its_attestation(
    tmp_path: Path,
) -> None:
    """12 holders, 3 in each cell of product and sex: with a least cell of 4 no cell is said, and all margins are."""
    with gates.rig(tmp_path, study=exact_policy(tmp_path, BY_CITY, min_cell=4)) as rig:
        _, agreement = rig.approved()
        cells = answered(rig, agreement)
        tables = {block.name: cells[agreement.own.span(block)] for block in agreement.own.blocks}
        assert tables["1 by (product, sex)"].tolist() == [WITHHELD, WITHHELD, 0, WITHHELD, WITHHELD, 0, 0, 0, 0]
        assert (tables["1 by ()"].tolist(), tables["1 by (sex)"].tolist()) == ([12], [6, 6, 0])
        assert {each.id: each.suppressed for each in attested(rig).questions} == {"all": 0, "product": 4}
        answers_ = rounds.counted(rig.present.post, agreement, agreement.cities)
        assert {len(own) for own in answers_.cells.values()} == {agreement.own.length}


def test_what_a_city_said_of_the_same_holders_is_held_against_what_it_says_next(tmp_path: Path) -> None:
    """Both tables are fine alone; the second prints what the first one's margins were kept apart with."""
    with gates.rig(tmp_path, study=exact_policy(tmp_path, BY_CITY, min_cell=4)) as rig:
        _, agreement = rig.approved()
        first = answered(rig, agreement)
        again = asked_of(rig, named(rig, "again"))
        assert np.array_equal(answered(rig, again), first), "and the same tables are the same again"
        (held, other) = rig.gate.ledger.view(rig.now).reservations
        assert held.exact is not None
        assert other.exact is not None
        assert held.exact.rows == other.exact.rows
        said = rig.gate.ledger.said(other)
        assert [study.file.study for study, _ in said] == ["tiny-study", "again"]
        assert rig.gate.ledger.said(held._replace(exact=None)) == ()


def test_an_exact_cohort_that_differs_by_a_few_is_one_word_outside_and_names_the_study_inside(tmp_path: Path) -> None:
    """Ages are 20 to 31: first all, then all but the youngest two of 12. In mode dp the same two studies are answered."""
    few = "cohort: {variable: age, at_least: 22}\n"
    with gates.rig(tmp_path, study=exact_policy(tmp_path, BY_CITY, min_cohort=3)) as rig:
        _, agreement = rig.approved()
        answered(rig, agreement)
        about = asked_of(rig, named(rig, "few", few))
        assert refused(rig, asking(rig, about)) == ("declined:disclosure",)
        codes = [line.codes for line in audit(rig) if line.event is Event.REFUSED]
        assert codes[-1] == ("EXACT_OVERLAP",)
        half = asked_of(rig, named(rig, "half", "cohort: {variable: age, at_least: 25}\n"))
        assert answered(rig, half).size == half.own.length


def test_pooled_and_own_exact_tables_of_the_same_holders_are_never_both_given_where_cells_are_withheld(
    tmp_path: Path,
) -> None:
    with gates.rig(tmp_path, study=exact_policy(tmp_path, BY_CITY, min_cell=4)) as rig:
        _, agreement = rig.approved()
        answered(rig, agreement)
        text = (rig.folder / "study.yaml").read_text(encoding="utf-8")
        (rig.folder / "study.yaml").write_text(text.replace("release: by_city\n", ""), encoding="utf-8")
        pooled = asked_of(rig, named(rig, "pooled"))
        assert aborted(rig, opening(rig, rig.plan(pooled))) == abort_number("declined:disclosure")


def test_a_cohort_is_on_disk_before_the_ledger_speaks_of_it_and_nothing_leaves_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gates.rig(tmp_path, study=exact_policy(tmp_path, BY_CITY)) as rig:
        _, agreement = rig.approved()
        kept = rig.gate.station.home / "cohorts"

        def full(*_: object) -> None:
            raise Refusal("LEDGER_UNAVAILABLE")

        with monkeypatch.context() as patch:
            patch.setattr(Cohorts, "_write", full)
            assert refused(rig, asking(rig, agreement)) == ("declined:disclosure",)
        assert not kept.exists()
        (held,) = rig.gate.ledger.view(rig.now).reservations
        assert (held.void, held.exact, held.rounds) == (True, None, {})

        def cut_off(*_: object, **__: object) -> None:
            assert len(list(kept.iterdir())) == 2, "the bitmap and its holders"
            raise Refusal("LEDGER_UNAVAILABLE")

        with monkeypatch.context() as patch:
            patch.setattr(rig.gate.ledger, "exact", cut_off)
            assert refused(rig, asking(rig, agreement)) == ("declined:disclosure",)
        assert answered(rig, agreement).size == agreement.own.length


def test_what_rules_alone_said_yes_to_is_at_most_sixty_four_cohorts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = exact_policy(tmp_path, BY_CITY)
    for city in gates.CITIES:
        path = tmp_path / city / "policy.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "approve: [{decide: auto}]\n", encoding="utf-8")
    with gates.rig(tmp_path, study=study) as rig:
        _, agreement = rig.approved()
        monkeypatch.setattr("node.cohorts.MOST", 0)
        assert refused(rig, asking(rig, agreement)) == ("declined:disclosure",)
        codes = [line.codes for line in audit(rig) if line.event is Event.REFUSED]
        assert codes[-1] == ("EXACT_COHORTS",)


def test_in_mode_dp_no_cohort_is_kept_and_none_is_read(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, agreement = own.approved()
    monkeypatch.setattr(gate, "Cohorts", lambda *_: pytest.fail("a bitmap was looked at"))
    assert answered(own, agreement).size
    assert not (own.gate.station.home / "cohorts").exists()


# --- at the coordinator


def test_an_answer_that_is_not_what_was_asked_makes_the_city_missing(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _, agreement = own.approved()
    body = messages.Counted(agreement.count.layout, bytes(8 * agreement.own.length))
    huge = np.full(agreement.own.length, 2**40, dtype="<i8").tobytes()
    for wrong in (
        replace(body, layout=b"x" * 32),
        replace(body, cells=bytes(8)),
        replace(body, cells=huge),
        messages.Ping(b"p" * 32),
    ):
        reply: Any = wrong
        with monkeypatch.context() as patch:
            patch.setattr(
                Gate, "_on_count", lambda self, request, stamp, reply=reply: self._sealed(reply, request, stamp)
            )
            given = rounds.counted(own.present.post, agreement, (1,))
        assert (given.cells, [each.reason for each in given.missing]) == ({}, ["no_counted"])


def test_a_kept_answer_of_another_city_is_not_taken_for_this_one(own: Rig) -> None:
    _, agreement = own.approved()
    given = rounds.counted(own.present.post, agreement, (1, 2))
    roster = own.present.post.roster
    assert messages.open_kept(given.messages[1], sender=1, roster=roster).header.kind is Kind.COUNTED
    with pytest.raises(PeerError) as other:
        messages.open_kept(given.messages[1], sender=2, roster=roster)
    assert other.value.code == "ENVELOPE_FROM"
