"""The ledger's file: edited, cut, doubled, on a full disk, and what a crash leaves of it."""

import gc
import json
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from node import ledger as ledgers
from node.audit import Head, link
from node.ledger import FILE, LABEL, look, verify
from node.policy import load
from tests.ledgers import (
    KEY,
    NOW,
    altered,
    claim,
    conversation,
    opened,
    request,
    reveal,
    rows,
    spend,
    whole,
)
from tests.unit.test_ledger import cost, held, opens, refused, state, used


def rechained(home: Path, change: Callable[[int, dict[str, object]], None]) -> None:
    """What somebody who knows the format can do: change entries and compute every hash anew."""
    with closing(sqlite3.connect(home / FILE)) as db, db:
        head = Head()
        for seq, body, salt in db.execute("SELECT seq, body, salt FROM entries ORDER BY seq").fetchall():
            value = json.loads(body)
            change(seq, value)
            content = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            head = link(LABEL, head, salt, content.encode())
            db.execute("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (content, head.hash, seq))


@pytest.fixture
def used_home(tmp_path: Path) -> Path:
    """A home with two whole conversations: 4 + 12 entries."""
    with opened(tmp_path) as ledger:
        whole(ledger, 1, study="a")
        whole(ledger, 2, study="b")
        assert ledger.head.seq == 16
    return tmp_path


@pytest.mark.parametrize(
    ("statement", "entry"),
    [
        ("UPDATE entries SET body = replace(body, 'fund-lab', 'fund-two') WHERE seq = 5", 5),
        ("UPDATE entries SET salt = zeroblob(32) WHERE seq = 9", 9),
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 16", 16),
        ("UPDATE entries SET body = CAST(body AS BLOB) WHERE seq = 3", 3),
        ("UPDATE entries SET salt = 'text' WHERE seq = 3", 3),
        ("DELETE FROM entries WHERE seq = 6", 6),
        ("UPDATE entries SET seq = CASE seq WHEN 10 THEN -10 ELSE seq END", 1),
        ("INSERT INTO entries SELECT 17, body, salt, hash FROM entries WHERE seq = 16", 17),
    ],
)
def test_an_edited_ledger_answers_nothing_and_the_first_bad_entry_is_named(
    used_home: Path, statement: str, entry: int
) -> None:
    altered(used_home, statement)
    with refused("LEDGER_BROKEN") as found:
        opened(used_home)
    assert found[0].values["entry"] == entry
    assert found[0].exit_code == 3
    with refused("LEDGER_BROKEN") as seen:
        verify(used_home / FILE, Head())
    assert seen[0].values["entry"] == entry
    with refused("LEDGER_BROKEN"):
        look(used_home / FILE, now=NOW)


def cheaper(seq: int, entry: dict[str, object]) -> None:
    if seq == 5:
        entry["cost"] = str(entry["cost"]).replace("4", "3", 1)


def less_sampler(seq: int, entry: dict[str, object]) -> None:
    if seq == 5:
        entry["sampler"] = "0"


def other_asker(seq: int, entry: dict[str, object]) -> None:
    if seq == 11:
        words = entry["claim"]
        assert isinstance(words, dict)
        entry["claim"] = {**words, "conversation": conversation(1).hex()}


def earlier(seq: int, entry: dict[str, object]) -> None:
    if seq == 9:
        entry["at"] = NOW - 1


def unknown_kind(seq: int, entry: dict[str, object]) -> None:
    if seq == 9:
        entry["kind"] = "refunded"


def extra_key(seq: int, entry: dict[str, object]) -> None:
    if seq == 9:
        entry["more"] = 1


def wrong_order(seq: int, entry: dict[str, object]) -> None:
    if seq == 2:
        entry["order"] = 130


def stranger(seq: int, entry: dict[str, object]) -> None:
    if seq == 9:
        entry["conversation"] = conversation(9).hex()


def no_round(seq: int, entry: dict[str, object]) -> None:
    if seq == 8:
        entry["round"] = 5


def not_opened(seq: int, entry: dict[str, object]) -> None:
    if seq == 1:
        entry.clear()
        entry.update({"kind": "policy", "at": NOW, "policy": "sha256:" + "0" * 64})


def free_variance(seq: int, entry: dict[str, object]) -> None:
    if seq == 5:
        words = entry["claim"]
        assert isinstance(words, dict)
        entry["claim"] = {**words, "charges": [{**words["charges"][0], "total": "1"}]}


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (cheaper, 5),
        (less_sampler, 5),
        (other_asker, 11),
        (earlier, 9),
        (unknown_kind, 9),
        (extra_key, 9),
        (wrong_order, 2),
        (stranger, 9),
        (no_round, 8),
        (not_opened, 1),
        (free_variance, 5),
    ],
)
def test_an_entry_that_cannot_follow_is_found_even_where_every_hash_was_made_anew(
    used_home: Path, change: Callable[[int, dict[str, object]], None], entry: int
) -> None:
    rechained(used_home, change)
    with refused("LEDGER_BROKEN") as found:
        verify(used_home / FILE, Head())
    assert found[0].values["entry"] == entry


def test_a_confirmed_exact_set_cannot_be_forgotten_afterwards(tmp_path: Path) -> None:
    def forget(seq: int, entry: dict[str, object]) -> None:
        if seq == 10:
            entry.pop("round")
            entry.update({"kind": "void", "why": "ended"})

    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        reveal(ledger, 1)
        assert ledger.head.seq == 10
    rechained(tmp_path, forget)
    with refused("LEDGER_BROKEN") as found:
        verify(tmp_path / FILE, Head())
    assert found[0].values["entry"] == 10


def test_a_whole_ledger_is_verified_beside_a_running_node(used_home: Path) -> None:
    with opened(used_home) as ledger:
        assert verify(used_home / FILE, ledger.audit.ledger) == ledger.head
        seen = look(used_home / FILE, now=NOW)
        assert (seen.head, seen.rooms) == (ledger.head, ledger.view(NOW).rooms)


def test_a_second_node_in_the_same_home_is_kept_out(used_home: Path) -> None:
    with opened(used_home) as ledger:
        head = ledger.head
        with refused("LEDGER_LOCKED"):
            opened(used_home)
        assert ledger.head == head
    opened(used_home).close()


def test_an_entry_written_behind_an_open_ledgers_back_stops_it(used_home: Path) -> None:
    with opened(used_home) as ledger:
        altered(used_home, "INSERT INTO entries SELECT 17, body, salt, hash FROM entries WHERE seq = 16")
        with refused("LEDGER_BROKEN"):
            ledger.reserve(claim(3, study="c"), now=NOW)
        with refused("LEDGER_UNAVAILABLE"):
            ledger.reserve(claim(4, study="d"), now=NOW)


def test_a_ledger_that_another_program_holds_is_locked(used_home: Path) -> None:
    with opened(used_home) as ledger, closing(sqlite3.connect(used_home / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger._db.execute("PRAGMA busy_timeout = 1")  # else the test waits for five seconds
        with refused("LEDGER_LOCKED"):
            ledger.admit(0, 1)


def test_a_file_that_is_no_ledger_is_broken(used_home: Path) -> None:
    (used_home / FILE).write_bytes(b"no database at all, but long enough to look at" * 100)
    with refused("LEDGER_BROKEN"):
        opened(used_home)
    (used_home / FILE).unlink()
    with refused("LEDGER_UNAVAILABLE"):
        look(used_home / FILE, now=NOW)


def test_a_home_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("LEDGER_UNAVAILABLE"):
        opened(tmp_path / "file" / "home", load(tmp_path, loose=False))
    (tmp_path / "home" / FILE).mkdir(parents=True)
    with refused("LEDGER_UNAVAILABLE"):
        opened(tmp_path / "home")


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """Files of this process cannot grow beyond `left` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_nothing_is_held_and_no_row_is_read(used_home: Path) -> None:
    with opened(used_home) as ledger:
        with full_disk(1024), refused("LEDGER_UNAVAILABLE"):
            ledger.reserve(claim(3, study="c"), now=NOW)
        with refused("LEDGER_UNAVAILABLE"):
            ledger.reserve(claim(4, study="d"), now=NOW)
        with refused("SECAGG_BUDGET"):
            rows(ledger, 3)
    with opened(used_home) as ledger:
        assert ledger.reservation(conversation(3)) is None
        assert ledger.head.seq == 16


def test_a_charge_that_does_not_reach_the_disk_lets_no_bytes_leave_and_is_made_at_the_next_opening(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        with full_disk(1024), refused("LEDGER_UNAVAILABLE"):
            spend(ledger, 1)
    with opened(tmp_path) as ledger:
        assert (state(ledger, 1), held(ledger, 1).rounds[0].sent, ledger.repeated(request(1))) == ("spent", False, None)
        assert used(ledger) == cost(claim(1))


def test_a_commit_whose_audit_line_is_lost_is_caught_up_with(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        ledger.audit.close()
        with refused("LEDGER_UNAVAILABLE"):
            rows(ledger, 1)
    with opened(tmp_path) as ledger:
        assert state(ledger, 1) == "spent"
        assert ledger.audit.ledger == ledger.head


def test_a_short_read_of_entropy_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        head = ledger.head
    with opened(tmp_path, entropy=lambda size: bytes(size - 1)) as ledger, refused("ENTROPY_SHORT"):
        ledger.reserve(claim(1), now=NOW)
    with opened(tmp_path) as ledger:
        assert ledger.head == head


def test_an_error_of_the_database_without_a_number_counts_as_unavailable(tmp_path: Path) -> None:
    with refused("LEDGER_UNAVAILABLE"), ledgers._translated(tmp_path):
        raise sqlite3.ProgrammingError


def test_the_key_of_the_city_is_in_the_first_entry(tmp_path: Path) -> None:
    opened(tmp_path, dictionary="hpf-flexible-employment@1").close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        body = json.loads(db.execute("SELECT body FROM entries WHERE seq = 1").fetchone()[0])
    assert (body["kind"], body["key"], body["city"]) == ("opened", KEY.hex(), "q-city")
    assert body["dictionary"] == "hpf-flexible-employment@1"


@pytest.mark.parametrize("running", [True, False])
def test_opening_leaves_the_garbage_collector_as_it_was(used_home: Path, running: bool) -> None:
    try:
        (gc.enable if running else gc.disable)()
        opened(used_home).close()
        assert gc.isenabled() == running
    finally:
        gc.enable()


def test_salts_never_repeat(used_home: Path) -> None:
    with closing(sqlite3.connect(used_home / FILE)) as db:
        salts = [salt for (salt,) in db.execute("SELECT salt FROM entries")]
        modes = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "integrity_check")]
    assert len(set(salts)) == len(salts) == 16
    assert {len(salt) for salt in salts} == {32}
    assert modes == ["delete", "ok"]
    with opened(used_home) as ledger:
        settings = [ledger._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys")]
        assert settings == [3, 1]  # EXTRA, on
