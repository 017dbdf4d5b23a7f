"""The audit file: lines that only grow, chained, on disk before `append` returns."""

import json
import resource
from pathlib import Path

import pytest

from node.audit import Audit, Event, Head, Line, lines, link, verify
from protocols.canonical import canonical
from protocols.entropy import seeded
from protocols.errors import Refusal
from tests.ledgers import NOW

REFUSED = Line(
    event=Event.REFUSED, at=NOW, peer=0, of="open", study="sha256:" + "a" * 64, run=1, codes=("BUDGET_YEAR",)
)
SIGNED = Line(event=Event.DECIDED, at=NOW + 1, by=("simulated officer", "approve[0]"), conversation="b" * 32, round=0)
HEAD = Line(event=Event.LEDGER, at=NOW + 2, of="spent", ledger_seq=7, ledger_head="c" * 64)


def audit(path: Path, *salts: str) -> Audit:
    return Audit.open(path, now=NOW, entropy=seeded("audit", *salts))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three lines."""
    where = tmp_path / "audit" / "audit.jsonl"
    with audit(where) as chain:
        for line in (REFUSED, SIGNED, HEAD):
            chain.append(line)
    return where


def test_what_was_written_is_read_back(path: Path) -> None:
    assert list(lines(path)) == [REFUSED, SIGNED, HEAD]
    chain = verify(path)
    assert (chain.head.seq, chain.ledger, chain.size) == (3, Head(7, bytes.fromhex("c" * 64)), path.stat().st_size)


def test_lines_are_canonical_json_and_each_hash_covers_all_before_it(path: Path) -> None:
    head = Head()
    for line in path.read_bytes().splitlines():
        value = json.loads(line)
        assert canonical(value) == line
        head = link(b"hpfed-audit/1", head, bytes.fromhex(value["salt"]), canonical(value["body"]))
        assert value["hash"] == head.hash.hex()
    assert head == verify(path).head


def test_an_audit_goes_on_where_it_ended(path: Path) -> None:
    with audit(path, "again") as chain:
        assert (chain.head.seq, chain.ledger.seq) == (3, 7)
        chain.append(REFUSED)
        assert chain.head.seq == 4
    assert list(lines(path)) == [REFUSED, SIGNED, HEAD, REFUSED]


def test_the_same_lines_under_other_salts_have_other_hashes(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    with audit(other, "other salts") as chain:
        for line in (REFUSED, SIGNED, HEAD):
            chain.append(line)
    assert verify(other).head != verify(path).head


def test_any_changed_byte_is_found_and_its_line_named(path: Path) -> None:
    whole = path.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == 10]
    for at in range(len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Refusal) as raised:
            verify(path)
        assert raised.value.code == "AUDIT_BROKEN"
        assert raised.value.values["entry"] == 1 + sum(end < at for end in ends)


@pytest.mark.parametrize(("kept", "entry"), [([1, 2], 1), ([0, 2], 2), ([1, 0, 2], 1), ([0, 1, 2, 2], 4)])
def test_lines_removed_swapped_or_repeated_are_found(path: Path, kept: list[int], entry: int) -> None:
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[number] for number in kept))
    for look in (verify, lambda where: list(lines(where)), audit):
        with pytest.raises(Refusal) as raised:
            look(path)
        assert (raised.value.code, raised.value.values["entry"]) == ("AUDIT_BROKEN", entry)


def test_a_line_torn_by_a_crash_is_broken_to_a_reader_and_cut_off_by_the_next_writer(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    with pytest.raises(Refusal) as raised:
        verify(path)
    assert raised.value.values["entry"] == 4
    with audit(path) as chain:
        chain.append(REFUSED)
    assert list(lines(path)) == [REFUSED, SIGNED, HEAD, Line(event=Event.TORN, at=NOW), REFUSED]


def test_one_writer_at_a_time(path: Path) -> None:
    with audit(path) as first:
        with pytest.raises(Refusal) as raised:
            audit(path)
        assert raised.value.code == "LEDGER_LOCKED"
        first.append(REFUSED)
    audit(path).close()


def test_closing_twice_is_allowed_and_a_closed_audit_takes_no_line(path: Path) -> None:
    chain = audit(path)
    chain.close()
    chain.close()
    with pytest.raises(Refusal) as raised:
        chain.append(REFUSED)
    assert raised.value.code == "LEDGER_UNAVAILABLE"


def test_a_line_that_does_not_fit_the_disk_is_an_error_and_leaves_the_chain_whole(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with audit(path) as chain:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
        try:
            with pytest.raises(Refusal) as raised:
                chain.append(REFUSED)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.code == "LEDGER_UNAVAILABLE"
    audit(path).close()
    assert [line.event for line in lines(path)] == [Event.REFUSED, Event.DECIDED, Event.LEDGER, Event.TORN]


def test_a_file_that_cannot_be_read_or_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for look in (verify, audit):
        with pytest.raises(Refusal) as raised:
            look(tmp_path / "file" / "audit.jsonl")
        assert raised.value.code == "LEDGER_UNAVAILABLE"


@pytest.mark.parametrize(
    "words",
    [
        {"codes": ("Something went wrong in /srv/data",)},
        {"by": ("李四 <li@example.cn>",)},
        {"of": "SELECT * FROM t"},
        {"study": "holder 17"},
        {"digest": "sha256:12"},
        {"conversation": "Q" * 32},
        {"rows": 17},
        {"at": -1},
    ],
)
def test_a_line_has_no_room_for_text_or_counts(words: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Line.model_validate({"event": Event.REFUSED, "at": NOW, **words})
