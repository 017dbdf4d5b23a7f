"""An older copy of the ledger goes on, on purpose (T32): what it lacks counts as spent, and nothing that was open goes on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from node import audit, cli, restore
from node import ledger as ledgers
from node.audit import Head
from node.entries import COUNTED, LostCost, Restored
from node.identity import identity, key_file
from node.ledger import AUDIT, DAY, FILE, Ledger
from protocols import privacy
from protocols.entropy import operating_system, seeded
from protocols.errors import ConfigError, HpfedError, Refusal
from tests import gates
from tests.ledgers import NOW, answer, claim, conversation, holds, name, opened, rows, spend, whole

TWO: Final = ("data office", "risk office")
SMALL: Final = 20 * 518_852 * (1 << 20) // 1000  # v20 of a cheap study
Work = Callable[[Ledger], None]


def lost(home: Path, before: Work, after: Work) -> None:
    """`before` is in the copy that comes back, `after` is not."""
    with opened(home) as ledger:
        before(ledger)
    shutil.copy(home / FILE, home / "copy")
    with opened(home, now=NOW + 60, entropy=seeded("later")) as ledger:
        after(ledger)
    (home / "copy").replace(home / FILE)
    with pytest.raises(Refusal) as no:
        opened(home, now=NOW + 120)
    assert no.value.code == "LEDGER_ROLLED_BACK"


def restored(home: Path, now: int = NOW + 180) -> Ledger:
    return opened(home, now=now, entropy=seeded("restored"), restored=restore.gap(home).restored(TWO, now))


def used(ledger: Ledger, asker: str = "fund-lab", now: int = NOW) -> list[int]:
    return [privacy.cost_at(room.used.curve, room.cap.order) for room in ledger.rooms(asker, now)]


def nothing(_ledger: Ledger) -> None:
    """No entry."""


def reserved(number: int, **words: Any) -> Work:
    return lambda ledger: ledger.reserve(claim(number, total=SMALL, **words), now=NOW) and None


def released(number: int, **words: Any) -> Work:
    return lambda ledger: whole(ledger, number, total=SMALL, **words)


def test_what_is_missing_counts_as_spent_and_the_ledger_opens_and_verifies_again(tmp_path: Path) -> None:
    def after(ledger: Ledger) -> None:
        whole(ledger, 2, study="b", total=SMALL)
        whole(ledger, 3, study="c", total=SMALL, asker="other")
        ledger.reserve(claim(4, study="d", total=SMALL), now=NOW)  # and freed: nobody can tell from the copy
        ledger.end(conversation(4), now=NOW)

    lost(tmp_path, released(1), after)
    each = [privacy.cost_at(claim(1, total=SMALL).cost.curve, order) for order in (5, 4, 3)]
    with restored(tmp_path) as ledger:
        assert used(ledger) == [3 * each[0], 4 * each[1], 4 * each[2]]
        assert used(ledger, "other") == [each[0], 4 * each[1], 4 * each[2]]
        assert [room.asker for room in ledger.view(NOW).rooms] == ["fund-lab", "other", "", ""]
        head = ledger.head
        whole(ledger, 5, study="e", total=SMALL)
    with opened(tmp_path, now=NOW + 240) as ledger:
        assert used(ledger)[0] == 4 * each[0]
    chain = audit.verify(tmp_path / AUDIT)
    assert ledgers.verify(tmp_path / FILE, chain.ledger).seq > head.seq
    assert [each.by for each in audit.lines(tmp_path / AUDIT) if each.of == "restored"] == [()]


def test_what_the_copy_still_held_is_spent_and_cannot_go_on(tmp_path: Path) -> None:
    def before(ledger: Ledger) -> None:
        reserved(1)(ledger)
        reserved(2, study="b")(ledger)
        rows(ledger, 2)
        own = claim(3, study="c", total=SMALL)
        ledger.reserve(own.model_copy(update={"counted": True, "summed": False}), now=NOW)

    lost(tmp_path, before, lambda ledger: rows(ledger, 1))
    with restored(tmp_path) as ledger:
        first = used(ledger)
        for number in (1, 2, 3):
            ledger.end(conversation(number), now=NOW)
            with pytest.raises(HpfedError):
                rows(ledger, number)
        assert used(ledger) == first
        assert {held.state for held in ledger.view(NOW).reservations} == {"spent"}
        assert all(held.attempted and not held.frees for held in ledger.view(NOW).reservations)
        assert ledger.counting("fund-lab", claim(3, study="c").study, 1, NOW) is None
        with pytest.raises(Refusal) as no:
            ledger.rows(conversation(3), COUNTED, name("ask"), now=NOW)
        assert no.value.code == "SECAGG_BUDGET"


def test_heads_that_were_signed_are_known_again_and_others_are_not(tmp_path: Path) -> None:
    heads: list[Head] = []

    def after(ledger: Ledger) -> None:
        whole(ledger, 2, study="b", total=SMALL)
        heads.append(ledger.head)

    lost(tmp_path, released(1), after)
    (signed,) = heads
    with restored(tmp_path) as ledger:
        ledger.check_echo(*signed)
        for seq, head in ((signed.seq, b"x" * 32), (1, signed.hash), (signed.seq + 9, signed.hash)):
            with pytest.raises(Refusal):
                ledger.check_echo(seq, head)


def test_where_the_audit_file_went_back_too_the_head_that_the_coordinator_showed_is_missing_and_every_cap_is_used_up(
    tmp_path: Path,
) -> None:
    """The city's own signed head is all that is left of it, so that nobody knows what it had spent."""
    with opened(tmp_path) as ledger:
        released(1)(ledger)
    shutil.copytree(tmp_path, tmp_path.parent / "copy")
    with opened(tmp_path, now=NOW + 60, entropy=seeded("later")) as ledger:
        released(2, study="b")(ledger)
        signed = ledger.head
    shutil.rmtree(tmp_path)
    shutil.copytree(tmp_path.parent / "copy", tmp_path)
    with pytest.raises(ConfigError) as nothing_:
        restore.gap(tmp_path)
    assert nothing_.value.code == "RESTORE_NOTHING"
    with opened(tmp_path, now=NOW + 120) as ledger, pytest.raises(Refusal):
        ledger.check_echo(*signed)
    assert not restore.gap(tmp_path).known
    with restored(tmp_path) as ledger:
        ledger.check_echo(*signed)
        assert [room.left for room in ledger.rooms("anybody", NOW)] == [0, 0, 0]
        assert not holds(ledger, claim(3, study="c"), "BUDGET_ASKER", "BUDGET_YEAR", "BUDGET_TOTAL")
        assert not holds(ledger, claim(4, study="d", exact=True), "EXACT_RELEASES")


def test_a_line_of_earlier_software_tells_no_cost(tmp_path: Path) -> None:
    lost(tmp_path, nothing, released(1))
    gap = restore.gap(tmp_path)
    old = tuple(each.model_copy(update={"asker": "", "events": ""}) for each in gap.lines)
    assert gap.known
    assert not restore.Gap(gap.head, old, all(map(restore._tells, old))).known


def test_releases_of_mode_exact_that_are_missing_leave_none_for_a_year(tmp_path: Path) -> None:
    lost(tmp_path, released(1), reserved(2, study="b", exact=True))
    with restored(tmp_path) as ledger:
        assert not holds(ledger, claim(3, study="c", exact=True), "EXACT_RELEASES")
        later = NOW + 366 * DAY
        ledger.reserve(claim(4, study="d", exact=True, expires=later + 60), now=later)
        assert holds(ledger, claim(5, study="e", total=SMALL))


def test_a_reservation_that_a_crash_kept_out_of_the_audit_file_is_written_there_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as ledger:
        monkeypatch.setattr(ledger, "_say", lambda *_: None)
        reserved(1)(ledger)
    monkeypatch.undo()
    opened(tmp_path, now=NOW + 60).close()
    last = list(audit.lines(tmp_path / AUDIT))[-1]
    assert (last.of, last.asker) == ("reserved", "fund-lab")
    assert LostCost(asker="", at=0, events=last.events, sampler=int(last.sampler)).cost == claim(1, total=SMALL).cost


def test_an_older_audit_file_under_a_newer_ledger_cannot_make_a_gap_small(tmp_path: Path) -> None:
    """Put back, then caught up, it would know of the last reservation alone: a restored copy would have lost no more than that."""
    with opened(tmp_path) as ledger:
        released(1)(ledger)
    for file in (FILE, str(AUDIT)):
        shutil.copy(tmp_path / file, tmp_path / Path(file).name.replace(".", "-old."))
    with opened(tmp_path, now=NOW + 60, entropy=seeded("later")) as ledger:
        for number in (2, 3):
            reserved(number, study=str(number))(ledger)
    (tmp_path / "audit-old.jsonl").replace(tmp_path / AUDIT)
    opened(tmp_path, now=NOW + 90, entropy=seeded("caught up")).close()
    (tmp_path / "ledger-old.sqlite").replace(tmp_path / FILE)
    assert not restore.gap(tmp_path).known
    with restored(tmp_path) as ledger:
        assert [room.left for room in ledger.rooms("fund-lab", NOW)] == [0, 0, 0]


def test_all_runs_of_a_repeat_that_is_missing_count(tmp_path: Path) -> None:
    one = claim(1, total=SMALL)
    lost(tmp_path, nothing, lambda ledger: ledger.reserve(one, now=NOW, runs=(1, 2, 3), until=NOW + 90 * DAY) and None)
    with restored(tmp_path) as ledger:
        assert ledger.rooms("fund-lab", NOW)[0].used.curve == one.cost.times(3).curve


def test_a_ledger_that_is_no_copy_of_this_one_is_not_gone_on_with(tmp_path: Path) -> None:
    with opened(tmp_path / "other") as ledger:
        reserved(9)(ledger)
    lost(tmp_path, released(1), released(2, study="b"))
    shutil.copy(tmp_path / "other" / FILE, tmp_path / FILE)
    with pytest.raises(Refusal) as no:
        restore.gap(tmp_path)
    assert no.value.code == "LEDGER_BROKEN"


@pytest.mark.parametrize("wrong", [{"first": 2}, {"last": 3}, {"first": 5, "last": 4}])
def test_an_entry_about_another_gap_cannot_follow(tmp_path: Path, wrong: dict[str, int]) -> None:
    lost(tmp_path, released(1), released(2, study="b"))
    entry = restore.gap(tmp_path).restored(TWO, NOW).model_copy(update=wrong)
    with pytest.raises((ValueError, HpfedError)):
        opened(tmp_path, restored=entry)
    with pytest.raises(ValueError, match="officers"):
        Restored.model_validate(entry.model_dump() | {"officers": ("one",)})


def test_before_anything_was_held_the_gap_of_a_young_ledger_uses_up_nothing() -> None:
    from node.entries import Book, Opened

    book = Book()
    book.apply(Opened(at=NOW, city="q-city", key="", policy="", dictionary=""), Head(1))
    lines = {"at": NOW, "first": 2, "last": 4, "heads": (), "lost": (), "known": False, "exact": True, "officers": TWO}
    book.apply(Restored.model_validate(lines), Head(5))
    assert [each.charged.curve[0] for each in book.gone] == [0]


def test_two_officers_sign_and_the_second_signature_restores(tmp_path: Path) -> None:
    """From the command line; the same officer twice is one, and a signature is about one copy."""
    gates.write(tmp_path, 12)
    folder, home = tmp_path / "east", tmp_path / "east" / ".hpfed"
    own = identity(home, operating_system)

    def told(*words: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(cli.app, ["audit", *words, "--folder", str(folder), "--json", "--lang", "en"])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, json.loads(done.stdout) if done.exit_code in (0, 2) else {}

    keys = [tmp_path / f"{each}.key" for each in ("risk", "data")]
    from node.desk import Desk
    from protocols.signed import public_of

    desk = Desk(home, "east", public_of(own))
    for path, officer in zip(keys, ("risk office", "data office"), strict=True):
        desk.enrol(officer, key_file(path, operating_system), own, NOW)
    lost(home, released(1), released(2, study="b"))
    code, said = told("restore")
    assert (code, said["reservations"], said["signed"], said["restored"]) == (0, 1, [], False)
    for _ in range(2):
        assert told("restore", "--key", str(keys[0]))[1]["signed"] == ["risk office"]
    assert told("verify")[0] == 5
    assert told("restore", "--key", str(keys[1]))[1]["restored"] is True
    assert told("verify")[0] == 0
    code, said = told("restore")
    assert (code, said["error"]["code"]) == (2, "RESTORE_NOTHING")
    view = ledgers.look(home / FILE, now=NOW)
    assert view.rooms[-1].used.curve == claim(1, total=SMALL).cost.times(2).curve
    text = CliRunner().invoke(cli.app, ["audit", "restore", "--folder", str(folder), "--lang", "zh"])
    assert text.exit_code == 2


def test_an_answer_of_before_is_still_the_stored_one(tmp_path: Path) -> None:
    def before(ledger: Ledger) -> None:
        reserved(1)(ledger)
        rows(ledger, 1)
        spend(ledger, 1)

    lost(tmp_path, before, lambda ledger: answer(ledger, 1))
    with restored(tmp_path) as ledger:
        assert used(ledger)[0] == privacy.cost_at(claim(1, total=SMALL).cost.curve, 5)
        answer(ledger, 1)
        assert ledger.finished("fund-lab", claim(1).study, 1) is not None
