"""Ingest: what lands on disk, what stops it, and what is said then."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import duckdb
import pytest

from node import ingest, mapping, snapshot
from node.ingest import holder, holder_key
from node.quality import shape, suspect
from protocols.entropy import seeded
from protocols.errors import CODES, ConfigError, HpfedError, Refusal
from tests.unit.city_folder import (
    AS_OF,
    DICTIONARY,
    HEAD,
    KEYED,
    UNKEYED,
    cells,
    contents,
    fault,
    folder,
    run,
    variables,
)

AMOUNT: Final = variables(amount="from: t.je, unit: 元")
SEX: Final = variables(sex="from: t.xb, codes: {男: male, 女: female}")
TWO: Final = HEAD + (
    "sources:\n"
    "  a: {kind: csv, encoding: utf-8, files: data/a.csv}\n"
    "  p: {kind: csv, encoding: utf-8, files: data/p.csv}\n"
    "tables:\n"
    "  t: {source: a, key: 账号, main: true}\n"
    "  p: {source: p, key: 个人}\n"
)
ACCOUNTS: Final = "账号,je\na,1\nb,2\nc,3\n"


def keyed(place: Path, content: str | bytes, entries: str = AMOUNT, table: str = "") -> Path:
    return folder(place, KEYED.replace("key: 账号", f"key: 账号{table}") + entries, {"data/a.csv": content})


def by_key(place: Path, variable: str, keys: list[str]) -> dict[str, tuple[object, int]]:
    """Cells of one variable by the keys that the test knows."""
    secret = holder_key(place / ".hpfed", seeded())
    ordered = sorted(keys, key=lambda key: holder(secret, key))
    return dict(zip(ordered, cells(place)[variable], strict=True))


# --- what lands on disk


def test_a_snapshot_is_four_files_closed_to_others_in_a_folder_named_by_its_content(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    place = keyed(tmp_path, ACCOUNTS)
    done = run(place)
    os.umask(mask)
    home = place / ".hpfed"
    [made] = [path for path in (home / "snapshots").iterdir() if path.is_dir()]
    assert made.name == done.content[:16]
    assert sorted(path.name for path in made.iterdir()) == [
        "holders.bin",
        "main.parquet",
        "manifest.json",
        "quality.json",
    ]
    assert (made / "holders.bin").stat().st_size == 16 * done.rows
    for path in (home, *home.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert list((home / "work").iterdir()) == []


def test_columns_are_stored_as_the_specification_says(tmp_path: Path) -> None:
    run(keyed(tmp_path, ACCOUNTS))
    held = snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    with duckdb.connect() as connection:
        described = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet($p)", {"p": str(held.folder / "main.parquet")}
        )
        types = {name: kind for name, kind, *_ in described.fetchall()}
        compression = connection.execute(
            "SELECT DISTINCT compression FROM parquet_metadata($p)", {"p": str(held.folder / "main.parquet")}
        ).fetchall()
    expected = {
        "sex": "SMALLINT",
        "paid": "TINYINT",
        "worries": "UBIGINT",
        "share": "DOUBLE",
        "rate": "DOUBLE",
        "opened": "INTEGER",
    }
    integers = dict.fromkeys(("homes", "months", "born", "amount"), "BIGINT")
    assert types == expected | integers | {f"{name}__s": "UTINYINT" for name in (*expected, *integers)}
    assert compression == [("ZSTD",)]
    assert cells(tmp_path)["sex"] == [(None, 7)] * 3


def test_rows_are_sorted_by_holder_and_the_key_is_read_as_one_however_it_is_spelt(tmp_path: Path) -> None:
    place = keyed(tmp_path, "账号,je\n a1 ,1\nＢ２,2\nc\u200b3\u3000,3\n")
    run(place)
    assert by_key(place, "amount", ["A1", "b2", "C\u200b3"]) == {"A1": (100, 0), "b2": (200, 0), "C\u200b3": (300, 0)}
    held = snapshot.open_for(place / ".hpfed", AS_OF).holders()
    assert [bytes(row) for row in held] == sorted(bytes(row) for row in held)


def test_a_holder_is_named_by_keyed_blake2b() -> None:
    """Against Python's own keyed hash of the canonical key; another city's secret gives another name."""
    import hashlib

    expected = hashlib.blake2b(b"A1", digest_size=16, key=b"k" * 32, person=b"hpfed-holder-1").digest()
    assert holder(b"k" * 32, " ａ1\u3000") == expected
    assert holder(b"j" * 32, "a1") != expected


def test_content_depends_on_rows_date_and_dictionary_and_not_on_the_secret_where_there_is_one_order(
    tmp_path: Path,
) -> None:
    base = run(folder(tmp_path / "base", UNKEYED + AMOUNT, {"data/a.csv": "je\n1\n2\n"})).content
    other = {
        "rows": (UNKEYED + AMOUNT, "je\n1\n3\n", DICTIONARY),
        "order": (UNKEYED + AMOUNT, "je\n2\n1\n", DICTIONARY),
        "date": (UNKEYED.replace("05-31", "05-30") + AMOUNT, "je\n1\n2\n", DICTIONARY),
        "dictionary": (UNKEYED + AMOUNT, "je\n1\n2\n", DICTIONARY.replace("version: 1", "version: 2")),
        "type": (
            UNKEYED + AMOUNT,
            "je\n1\n2\n",
            DICTIONARY.replace("paid: {type: boolean}", "paid: {type: money, range: [0, 1]}"),
        ),
    }
    found = {
        name: run(folder(tmp_path / name, written, {"data/a.csv": data}, words)).content
        for name, (written, data, words) in other.items()
    }
    assert len({base, *found.values()}) == 1 + len(found)
    spelt = folder(
        tmp_path / "spelt", UNKEYED + AMOUNT, {"data/a.csv": 'je,"z"\r\n"1.00",x\r\n2,y\r\n'.encode("gb18030")}
    )
    assert run(spelt).content == base


def test_no_key_name_or_number_is_anywhere_in_a_home(tmp_path: Path) -> None:
    """1,000 canaries in the key and in columns that are never read, in a good ingest and in one that stops half way."""
    canaries = [f"CANARY{number:04d}XZ" for number in range(1_000)]
    names = [f"王金丝雀{chr(0x4E00 + number)}" for number in range(1_000)]
    rows = "".join(
        f"{key},{name},{number % 7}\n" for number, (key, name) in enumerate(zip(canaries, names, strict=True))
    )
    place = keyed(tmp_path, f"账号,姓名,je\n{rows}".encode("gb18030"))
    place = folder(place, KEYED.replace("utf-8", "gb18030") + AMOUNT, {})
    run(place)
    bad = rows.replace(",3\n", ",bad\n", 1)
    folder(place, KEYED.replace("utf-8", "gb18030") + AMOUNT, {"data/a.csv": f"账号,姓名,je\n{bad}".encode("gb18030")})
    found = fault(place)
    said = found.text("en") + found.text("zh") + repr(found)
    held = b"".join(contents(place / ".hpfed").values())
    for canary, name in zip(canaries, names, strict=True):
        assert canary not in said
        assert name not in said
        assert canary.encode() not in held
        assert name.encode() not in held
        assert name.encode("gb18030") not in held


def test_the_holder_key_is_made_once_and_never_from_a_short_source(tmp_path: Path) -> None:
    first = holder_key(tmp_path, seeded("a"))
    assert holder_key(tmp_path, seeded("b")) == first
    assert len(first) == 32
    with pytest.raises(Refusal) as raised:
        holder_key(tmp_path / "short", lambda size: bytes(size - 1))
    assert raised.value.code == "ENTROPY_SHORT"
    (tmp_path / "secrets" / "holder.key").write_bytes(b"short")
    with pytest.raises(ConfigError) as found:
        holder_key(tmp_path, seeded("a"))
    assert found.value.code == "HOLDER_KEY"


# --- again, and after a change


def test_what_makes_an_ingest_begin_anew(tmp_path: Path) -> None:
    place = keyed(tmp_path, ACCOUNTS)
    first = run(place)
    folder(place, "# a comment\n" + KEYED + AMOUNT, {})
    assert run(place).unchanged
    keyed(place, ACCOUNTS.replace("b,2", "b,5"))
    second = run(place)
    assert (second.unchanged, second.content != first.content) == (False, True)
    keyed(place, ACCOUNTS.replace("b,2", "b,5"), AMOUNT.replace("unit: 元", "unit: 元, null: drop"))
    third = run(place)
    assert (third.unchanged, third.content) == (False, second.content)
    folder(place, (place / "mapping.yaml").read_text(), {}, DICTIONARY.replace("zh: 男", "zh: 男性"))
    fourth = run(place)
    assert (fourth.unchanged, fourth.content) == (False, second.content)
    (place / ".hpfed" / "secrets" / "holder.key").unlink()
    assert not ingest.ingest(place, place / ".hpfed", seeded("another")).unchanged
    assert snapshot.open_for(place / ".hpfed", AS_OF).rows == 3


def test_an_altered_snapshot_is_made_again_from_unchanged_files(tmp_path: Path) -> None:
    place = keyed(tmp_path, ACCOUNTS)
    first = run(place)
    held = snapshot.open_for(place / ".hpfed", AS_OF)
    (held.folder / "main.parquet").write_bytes(b"altered")
    again = run(place)
    assert (again.unchanged, again.content) == (False, first.content)
    assert snapshot.open_for(place / ".hpfed", AS_OF).rows == 3


def test_files_with_the_same_rows_and_other_counters_keep_the_content_and_renew_the_counters(tmp_path: Path) -> None:
    place = keyed(tmp_path, "账号,je\na,1.00\n")
    first = run(place)
    keyed(place, "账号,je\na,1.001\n")
    second = run(place)
    assert second.content == first.content
    assert (first.counters["amount"].rounded, second.counters["amount"].rounded) == (0, 1)
    assert snapshot.open_for(place / ".hpfed", AS_OF).quality().variables["amount"].rounded == 1


# --- rows that stay


def test_the_newest_row_of_a_key_is_kept_and_the_others_are_counted(tmp_path: Path) -> None:
    content = "账号,je,gx\na,1,2022-01-01\na,2,2022-03-01\na,3,2022-02-01\nb,9,2022-01-01\n"
    place = keyed(tmp_path, content, AMOUNT, ", duplicates: {keep: newest, by: gx}")
    done = run(place)
    assert by_key(place, "amount", ["a", "b"]) == {"a": (200, 0), "b": (900, 0)}
    assert (done.rows, done.quality.tables["t"].superseded, done.quality.tables["t"].rows) == (2, 2, 4)


@pytest.mark.parametrize(
    ("first", "second"), [("2022-01-01", "2022-01-01"), ("2022-1-9", "2022-01-10"), ("", "2022-01-01"), ("", "")]
)
def test_rows_of_which_none_is_surely_the_newest_stop_the_ingest(tmp_path: Path, first: str, second: str) -> None:
    place = keyed(tmp_path, f"账号,je,gx\na,1,{first}\na,2,{second}\n", AMOUNT, ", duplicates: {keep: newest, by: gx}")
    assert fault(place).code == "ROW_DUPLICATE_TIE"


def test_a_parser_tells_which_day_is_newer_where_texts_cannot(tmp_path: Path) -> None:
    table = ", duplicates: {keep: newest, by: gx, parse: [yyyy/m/d, yyyymmdd]}"
    place = keyed(tmp_path, "账号,je,gx\na,1,2022/1/10\na,2,20220109\na,3,2022/1/8\n", AMOUNT, table)
    run(place)
    assert cells(place)["amount"] == [(100, 0)]


def test_the_filter_of_rows_is_three_valued_over_trimmed_text(tmp_path: Path) -> None:
    rows = "rows: {any: [{column: t.xz, in: ['3', '03']}, {not: {column: t.xz, in: ['1', '3', '03']}}, {column: t.je, is: '7'}]}\n"
    content = "账号,je,xz\na,1,3\nb,2, 03 \nc,3,1\nd,4,\ne,5,NULL\nf,7,\ng,8,9\n"
    place = folder(tmp_path, KEYED + rows + AMOUNT, {"data/a.csv": content})
    done = run(place)
    assert set(by_key(place, "amount", ["a", "b", "f", "g"])) == {"a", "b", "f", "g"}
    assert (done.quality.tables["t"].rows, done.quality.tables["t"].selected) == (7, 4)
    folder(place, KEYED + "rows: {all: [{column: t.xz, missing: true}]}\n" + AMOUNT, {})
    assert sorted(value for value, _ in cells_after(place)["amount"]) == [400, 500, 700]
    folder(place, KEYED + "rows: {column: t.xz, missing: false}\n" + AMOUNT, {})
    assert sorted(value for value, _ in cells_after(place)["amount"]) == [100, 200, 300, 800]


def cells_after(place: Path) -> dict[str, list[tuple[int, int]]]:
    run(place)
    return cells(place)


def test_rows_that_the_filter_leaves_out_may_be_as_bad_as_they_like(tmp_path: Path) -> None:
    content = "账号,je,xz\na,1,3\na,bad,1\n,worse,1\n合计,2,\n"
    place = folder(tmp_path, KEYED + "rows: {column: t.xz, is: '3'}\n" + AMOUNT, {"data/a.csv": content})
    assert run(place).rows == 1
    folder(place, KEYED + "rows: {column: t.xz, is: '5'}\n" + AMOUNT, {})
    assert fault(place).code == "ROW_NONE"


def test_main_rows_without_a_partner_are_kept_dropped_or_refused(tmp_path: Path) -> None:
    entries = variables(amount="from: t.je, unit: 元", sex="from: p.xb, codes: {男: male}, null: drop")
    files: dict[str, bytes | str] = {"data/a.csv": ACCOUNTS, "data/p.csv": "个人,xb\nA,男\nz,男\nＢ,\n"}
    place = folder(tmp_path, TWO + entries, files)
    done = run(place)
    assert by_key(place, "sex", ["a", "b", "c"]) == {"a": (0, 0), "b": (None, 3), "c": (None, 3)}
    assert (done.rows, done.quality.tables["p"].alone) == (3, 1)
    folder(place, TWO.replace("key: 个人", "key: 个人, missing: drop") + entries, {})
    dropped = run(place)
    assert (dropped.rows, dropped.quality.tables["p"].alone) == (2, 1)
    folder(place, TWO.replace("key: 个人", "key: 个人, missing: fail") + entries, {})
    found = fault(place)
    assert found.code == "ROW_ALONE"
    assert "data/a.csv [3]" in found.text("en")


def test_a_table_that_gives_nothing_but_its_rows(tmp_path: Path) -> None:
    """All variables come from the side table; the main table says who there is."""
    place = folder(
        tmp_path,
        TWO + variables(sex="from: p.xb, codes: {男: male}"),
        {"data/a.csv": ACCOUNTS, "data/p.csv": "个人,xb\na,男\n"},
    )
    assert run(place).rows == 3
    none = folder(
        tmp_path / "none",
        UNKEYED + variables(amount="status: impossible, reason: {zh: 无, en: none}"),
        {"data/a.csv": "je\n1\n2\n"},
    )
    assert run(none).rows == 2
    assert cells(none)["amount"] == [(None, 7)] * 2


# --- what stops an ingest, and what is said


def test_texts_that_no_rule_knows_are_named_by_place_and_shape_for_all_variables_at_once(tmp_path: Path) -> None:
    entries = variables(amount="from: t.je, unit: 元", sex="from: t.xb, codes: {男: male}")
    place = folder(
        tmp_path,
        KEYED + entries,
        {"data/a.csv": "账号,je,xb\na,123456女,男\nb,2,保密\n", "data/b.csv": "账号,je,xb\nc,5, x-Y \n"},
    )
    found = fault(place)
    assert [each.code for each in found.every()] == ["ROW_UNPARSED", "ROW_OTHER"]
    amount, sex = (each.text("en") for each in found.every())
    assert f"{place}/data/a.csv [1] 9{{6}}汉" in amount
    assert f"{place}/data/a.csv [2] 汉{{2}}; {place}/data/b.csv [1] a-A" in sex
    assert "<10" in amount
    assert f"{place}/mapping.yaml:8: variables.amount" in amount
    for text in ("123456", "女", "保密", "x-Y"):
        assert text not in amount + sex + found.text("zh")


def test_only_the_first_20_places_are_named_and_counts_from_10_on_are_said(tmp_path: Path) -> None:
    rows = "".join(f"k{number},bad\n" for number in range(40))
    found = fault(keyed(tmp_path, f"账号,je\n{rows}"))
    assert found.values["count"] == "40"
    assert str(found.values["places"]).count("[") == 20
    unkeyed = fault(folder(tmp_path / "unkeyed", UNKEYED + AMOUNT, {"data/a.csv": f"账号,je\n{rows}"}))
    assert unkeyed.values["count"] == "40"
    assert str(unkeyed.values["places"]).endswith("[20] a{3}")


def test_a_bad_text_of_a_side_table_is_named_in_its_own_file(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"data/a.csv": ACCOUNTS, "data/p.csv": "个人,xb\nz,bad\na,男\nb,bad\n"}
    found = fault(folder(tmp_path, TWO + variables(sex="from: p.xb, codes: {男: male}"), files))
    assert found.code == "ROW_OTHER"
    assert f"{tmp_path}/data/p.csv [3] a{{3}} " in found.text("en")
    assert "[1]" not in found.text("en")


@pytest.mark.parametrize(
    ("content", "code", "places"),
    [
        ("账号,je\na,1\nA ,2\n", "ROW_DUPLICATE", ["[1]", "[2]"]),
        ("账号,je\na,1\n ,2\n\u3000,3\n", "ROW_KEY", ["[2]", "[3]"]),
        ("账号,je\na,1\n1.5E+17,2\n", "ROW_DIGITS_LOST", ["[2]"]),
    ],
)
def test_keys_that_name_nobody_or_two_are_named_by_place(
    tmp_path: Path, content: str, code: str, places: list[str]
) -> None:
    found = fault(keyed(tmp_path, content))
    assert found.code == code
    for place in places:
        assert f"a.csv {place}" in found.text("zh")
    assert found.at is not None
    assert found.at.key == "tables.t.key"


def test_places_are_those_of_rows_that_the_filter_takes(tmp_path: Path) -> None:
    rows = "rows: {column: t.xz, is: '3'}\n"
    for name, content, code, named in (
        ("twice", "账号,je,xz\na,1,1\na,2,3\nb,3,3\na,4,3\n", "ROW_DUPLICATE", ["[2]", "[4]"]),
        ("blank", "账号,je,xz\n,1,1\n,2,3\n", "ROW_KEY", ["[2]"]),
        ("text", "账号,je,xz\na,bad,1\nb,bad,3\n", "ROW_UNPARSED", ["[2]"]),
    ):
        place = folder(tmp_path / name, KEYED + rows + AMOUNT, {"data/a.csv": content})
        found = fault(place)
        assert found.code == code
        assert [part.split("[")[1] for part in str(found.values["places"]).split("; ")] == [
            each[1:] + (" a{3}" if name == "text" else "") for each in named
        ]


@pytest.mark.parametrize(("second", "code"), [("A", "ROW_SIDE_DUPLICATE"), ("4.4E+17", "ROW_DIGITS_LOST")])
def test_a_side_table_has_one_row_for_each_key(tmp_path: Path, second: str, code: str) -> None:
    files: dict[str, bytes | str] = {"data/a.csv": ACCOUNTS, "data/p.csv": f"个人,xb\na,男\n{second},男\n"}
    found = fault(folder(tmp_path, TWO + variables(sex="from: p.xb, codes: {男: male}"), files))
    assert (found.code, found.at and found.at.key) == (code, "tables.p.key")


def test_a_draft_blocks_and_a_missing_column_is_found_before_a_row_is_read(tmp_path: Path) -> None:
    assert fault(keyed(tmp_path, ACCOUNTS, variables(amount="from: t.je, unit: 元, status: draft"))).code == "MAP_DRAFT"
    assert fault(keyed(tmp_path, ACCOUNTS, variables(amount="from: t.jee, unit: 元"))).code == "MAP_COLUMN_MISSING"


def test_only_one_ingest_of_a_home_runs_at_a_time(tmp_path: Path) -> None:
    place = keyed(tmp_path, ACCOUNTS)
    run(place)
    keyed(tmp_path, ACCOUNTS.replace("1", "4"))
    with (place / ".hpfed" / "ingest.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert fault(place).code == "INGEST_RUNNING"
    assert not run(place).unchanged


def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    place = keyed(tmp_path, ACCOUNTS)

    def entropy(size: int) -> bytes:  # asked for the holder key, after the files were found
        (place / "data" / "a.csv").write_text(ACCOUNTS + "d,4\n", encoding="utf-8")
        return bytes(size)

    with pytest.raises(ConfigError) as raised:
        ingest.ingest(place, place / ".hpfed", entropy)
    assert raised.value.code == "SOURCE_CHANGED"
    assert not (place / ".hpfed" / "snapshots").exists()


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (duckdb.OutOfMemoryException("row: 王某"), "INGEST_MEMORY"),
        (duckdb.IOException("could not write 王某"), "INGEST_DISK"),
        (OSError(28, "No space left on device"), "INGEST_DISK"),
        (duckdb.ConversionException("could not convert 王某"), "INGEST_ENGINE"),
    ],
)
def test_faults_of_engine_and_disk_are_said_without_their_texts(raised: Exception, code: str) -> None:
    with pytest.raises(HpfedError) as found, ingest._said_plainly():
        raise raised
    assert (found.value.code, found.value.exit_code) == (code, 1)
    assert "王某" not in found.value.text("zh") + found.value.text("en")
    assert found.value.__suppress_context__


def test_a_full_disk_ends_the_ingest_and_leaves_the_snapshots(tmp_path: Path) -> None:
    """A limit on the size of any file that the process writes stands for the disk."""
    place = keyed(tmp_path, ACCOUNTS)
    run(place)
    rows = "".join(f"k{number},{number}.01\n" for number in range(20_000))
    keyed(place, f"账号,je\n{rows}")
    before = contents(place / ".hpfed" / "snapshots")
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    )
    ended = subprocess.run(  # noqa: S603 our own interpreter
        [sys.executable, "-c", limited + INGEST, str(place)], capture_output=True, text=True, check=False
    )
    assert "INGEST_DISK" in ended.stdout
    assert contents(place / ".hpfed" / "snapshots") == before
    assert list((place / ".hpfed" / "work").iterdir()) == []


INGEST: Final = """
import sys
from pathlib import Path
from node.ingest import ingest
from protocols.entropy import seeded
from protocols.errors import HpfedError
place = Path(sys.argv[1])
print("begun", flush=True)
try:
    print(ingest(place, place / ".hpfed", seeded("test", "holder key")).content)
except HpfedError as fault:
    print(fault.code)
"""
# ends the process, without a word, at the n-th rename; an audit hook sees what os.rename and os.replace are about to do
DIES: Final = """
import os, sys
left = int(sys.argv[2])
def die(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os._exit(9)
sys.addaudithook(die)
"""


@pytest.mark.parametrize(("same_rows", "renames"), [(False, 2), (True, 3)])
def test_a_kill_at_any_rename_leaves_a_whole_snapshot_and_the_next_ingest_goes_on(
    tmp_path: Path, same_rows: bool, renames: int
) -> None:
    """Other rows: the new folder gets its name, `current.json` is replaced. The same rows: the old folder is moved aside first."""
    place = keyed(tmp_path, "账号,je\na,1\nb,2\n")
    old = run(place).content
    keyed(place, "账号,je\na,1.00\nb,2\n" if same_rows else "账号,je\na,1\nb,3\n")
    home = place / ".hpfed"
    for step in range(1, renames + 1):
        ended = subprocess.run(  # noqa: S603 our own interpreter
            [sys.executable, "-c", DIES + INGEST, str(place), str(step)], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 9, ended.stderr
        with ingest.workplace(home) as work:  # what the next start does first
            assert list(work.iterdir()) == []
            assert snapshot.open_for(home, AS_OF).content == old
    done = run(place)
    assert (done.unchanged, done.content == old) == (False, same_rows)
    assert snapshot.open_for(home, AS_OF).content == done.content


def killed_at(place: Path, after_s: float) -> None:
    child = subprocess.Popen([sys.executable, "-c", INGEST, str(place)], stdout=subprocess.PIPE, text=True)  # noqa: S603 our own interpreter
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize(
    "instants", [(0.05, 0.2), pytest.param(tuple(n / 40 for n in range(20)), marks=pytest.mark.slow)]
)
def test_a_kill_at_any_instant_leaves_the_old_snapshot_or_the_new_one(
    tmp_path: Path, instants: tuple[float, ...]
) -> None:
    place = keyed(tmp_path, ACCOUNTS)
    known = {run(place).content}
    home = place / ".hpfed"
    for number, instant in enumerate(instants):
        keyed(place, ACCOUNTS.replace("b,2", f"b,{number + 10}"))
        killed_at(place, instant)
        between = snapshot.open_for(home, AS_OF)
        assert between.rows == 3
        done = run(place)
        assert between.content in known | {done.content}
        known.add(done.content)
        assert list((home / "work").iterdir()) == []


# --- shapes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123456女", "9{6}汉"),
        ("abC-12.5%", "a{2}A-9{2}.9%"),
        ("", ""),
        ("１ 2", "9·9"),
        ("𬭎䶮", "汉{2}"),
        ("x" * 70, "a{64}…"),
        ("\x1b[31m", "·{2}9{2}a"),
    ],
)
def test_a_shape_says_how_a_text_looks_and_not_what_it_is(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_every_code_of_rows_sources_and_files_is_raised_by_some_test() -> None:
    here = Path(__file__).parent
    told = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    families = ("ROW_", "SOURCE_", "CSV_", "INGEST_")
    ours = [code for code in CODES if code.startswith(families)]
    assert len(ours) > 25
    assert [code for code in ours if f'"{code}"' not in told] == []


def test_a_mapping_is_checked_without_reading_rows(tmp_path: Path) -> None:
    """Rows that no rule reads, and a ragged record, are the ingest's to find."""
    place = keyed(tmp_path, "账号,je\na,bad\nb\n")
    assert mapping.check(place) == []


@pytest.mark.parametrize(("amounts", "small", "doubted"), [(10, 9, True), (10, 8, False), (9, 9, False), (0, 0, False)])
def test_a_unit_is_doubted_where_nine_tenths_of_at_least_ten_amounts_are_too_small(
    amounts: int, small: int, doubted: bool
) -> None:
    assert bool(suspect("amount", amounts, small)) is doubted


def test_amounts_of_the_wrong_unit_are_doubted_where_the_mapping_names_it(tmp_path: Path) -> None:
    files = {"data/a.csv": "je\n" + "0.5\n" * 20}
    wrong = run(folder(tmp_path / "wrong", UNKEYED + variables(amount="from: t.je, unit: 元"), files))
    assert [(doubt.code, doubt.at and doubt.at.key) for doubt in wrong.doubts] == [("QUALITY_UNIT", "variables.amount")]
    assert run(folder(tmp_path / "right", UNKEYED + variables(amount="from: t.je, unit: 万元"), files)).doubts == ()
