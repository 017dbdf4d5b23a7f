"""T32: ledger deleted, edited, rolled back or doubled (second home, same key) to reset the budget.

Two heads stand outside the ledger: one in `audit/`, one in the Acks that this city signed and that its coordinator echoes. A coordinator
can withhold the second, but not forge it. Edited entries: `tests/unit/test_ledger_file.py`.
An older copy that goes on on purpose: `tests/unit/test_restore.py`.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from node.audit import Head
from node.audit import verify as verify_audit
from node.ledger import AUDIT, FILE, verify
from protocols.errors import HpfedError
from tests.ledgers import NOW, claim, conversation, opened, whole


def rolled_back(home: Path) -> int:
    """The entry that is missed when the ledger of `home` is opened."""
    with pytest.raises(HpfedError) as raised:
        opened(home)
    assert raised.value.code == "LEDGER_ROLLED_BACK"
    return int(str(raised.value.values["entry"]))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one answered study, and a copy of it in `old`; then one more study is answered."""
    with opened(tmp_path / "home") as ledger:
        whole(ledger, 1, study="a")
    shutil.copytree(tmp_path / "home", tmp_path / "old")
    with opened(tmp_path / "home") as ledger:
        whole(ledger, 2, study="b")
        assert ledger.head.seq == 16
    return tmp_path / "home"


def test_an_untouched_ledger_opens(home: Path) -> None:
    with opened(home) as ledger:
        assert ledger.head == ledger.audit.ledger == verify(home / FILE, verify_audit(home / AUDIT).ledger)


def test_an_older_copy_is_refused(home: Path) -> None:
    shutil.copy(home.parent / "old" / FILE, home / FILE)
    assert rolled_back(home) == 16
    with pytest.raises(HpfedError) as raised:
        verify(home / FILE, verify_audit(home / AUDIT).ledger)
    assert raised.value.code == "LEDGER_ROLLED_BACK"


def test_entries_cut_off_the_end_are_missed(home: Path) -> None:
    with closing(sqlite3.connect(home / FILE)) as db, db:
        db.execute("DELETE FROM entries WHERE seq = 16")
    assert rolled_back(home) == 16


def test_a_deleted_ledger_is_not_begun_anew(home: Path) -> None:
    (home / FILE).unlink()
    assert rolled_back(home) == 16
    assert not (home / FILE).exists()


def test_another_ledger_in_its_place_is_refused(home: Path) -> None:
    other = home.parent / "other"
    with opened(other, now=NOW + 1) as ledger:
        whole(ledger, 3, study="c", now=NOW + 1)
        whole(ledger, 4, study="d", now=NOW + 1)
    shutil.copy(other / FILE, home / FILE)
    assert rolled_back(home) == 16


def test_a_ledger_that_is_ahead_of_its_audit_file_is_a_crash_and_opens(home: Path) -> None:
    shutil.copytree(home.parent / "old" / "audit", home / "audit", dirs_exist_ok=True)
    with opened(home) as ledger:
        assert ledger.audit.ledger == ledger.head == Head(16, ledger.head.hash)


def test_where_both_files_are_rolled_back_together_an_echoed_ack_shows_it(home: Path) -> None:
    with opened(home) as ledger:
        signed = ledger.head  # what the last Ack said
        ledger.check_echo(signed.seq, signed.hash)
    old = home.parent / "old"
    with opened(old) as ledger:  # nothing in this home shows it
        with pytest.raises(HpfedError) as raised:
            ledger.check_echo(signed.seq, signed.hash)
        assert raised.value.code == "LEDGER_ROLLED_BACK"


def test_a_second_home_under_the_same_key_is_found_by_the_ack_of_the_first(home: Path) -> None:
    twin = home.parent / "old"
    with opened(twin, now=NOW + 5) as second:
        whole(second, 5, study="e", now=NOW + 5)
        assert second.head.seq == 16
        with opened(home) as first:
            signed = first.head
        with pytest.raises(HpfedError) as raised:
            second.check_echo(signed.seq, signed.hash)
        assert raised.value.code == "LEDGER_ROLLED_BACK"


def test_a_new_key_is_not_a_new_budget(home: Path) -> None:
    with opened(home, city_key=bytes(32)) as ledger:
        assert ledger.view(NOW).rooms[-1].used.curve == tuple(2 * cost for cost in claim(1).cost.curve)
        assert ledger.reservation(conversation(1)) is not None
