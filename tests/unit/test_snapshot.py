"""The snapshot: verified on opening, streamed as dictionary columns, kept by date."""

# ruff: noqa: S608 statements are put together here to be refused

import hashlib
import json
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest

from node import ingest, snapshot
from node.engine import engine
from protocols.errors import ConfigError, Refusal
from tests.unit.city_folder import AS_OF, UNKEYED, cells, contents, folder, run, variables

ENTRIES = variables(
    sex="from: t.xb, codes: {男: male, 女: female}, other: unknown, null: drop",
    amount="from: t.je, unit: 元, null: 0",
    homes="from: t.fw, clip: [0, 3]",
    paid="from: t.jc, codes: {是: true, 否: false}",
)
ROWS = "xb,je,fw,jc\n男,1.50,0,是\n女,,5,否\n,3,-1,\n保密,4,2,是\n"


def city(place: Path, rows: str = ROWS, on: str = "2022-05-31") -> Path:
    return folder(place, UNKEYED.replace("2022-05-31", on) + ENTRIES, {"data/a.csv": rows})


def test_a_table_gives_values_and_says_which_are_known(tmp_path: Path) -> None:
    run(city(tmp_path))
    held = snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    [table] = held.batches(["sex", "amount", "homes", "paid", "worries", "opened"])
    known = {name: column.known.tolist() for name, column in table.columns.items()}
    assert table.holders == held.rows == 4
    assert known["sex"] == [True, True, False, True]
    assert table.columns["sex"].values.tolist() == [0, 1, -1, 2]
    assert known["amount"] == [True] * 4
    assert table.columns["amount"].values.tolist() == [150, 0, 300, 400]
    assert known["homes"] == [True] * 4
    assert table.columns["homes"].values.tolist() == [0, 3, 0, 2]
    assert known["paid"] == [True, True, False, True]
    assert known["worries"] == known["opened"] == [False] * 4
    kinds = {
        "sex": "int16",
        "amount": "int64",
        "homes": "int64",
        "paid": "int8",
        "worries": "uint64",
        "opened": "int32",
    }
    assert {name: column.values.dtype.name for name, column in table.columns.items()} == kinds
    assert [status for _, status in cells(tmp_path)["homes"]] == [0, 6, 5, 0]


def test_a_question_about_no_variable_still_counts_the_holders(tmp_path: Path) -> None:
    run(city(tmp_path))
    held = snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    assert [(batch.holders, dict(batch.columns)) for batch in held.batches([], 3)] == [(3, {}), (1, {})]


def test_what_a_snapshot_says_of_itself(tmp_path: Path) -> None:
    done = run(city(tmp_path))
    held = snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    assert (held.content, held.as_of, held.rows) == (done.content, AS_OF, 4)
    assert held.cannot == ("born", "months", "opened", "rate", "share", "worries")
    assert held.dictionary_digest.startswith("sha256:")
    assert held.quality() == done.quality
    assert held.holders().shape == (0, 16)
    assert not held.manifest.keyed


def test_the_content_is_the_digest_that_the_specification_describes(tmp_path: Path) -> None:
    """Written out once more, by hand: header, then value and status of each variable by name, little-endian."""
    run(city(tmp_path))
    held = snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    stored = {"amount": "<i8", "born": "<i8", "homes": "<i8", "months": "<i8", "opened": "<i4", "paid": "<i1"}
    stored |= {"rate": "<f8", "sex": "<i2", "share": "<f8", "worries": "<u8"}
    names = {"<i8": "int64", "<i4": "int32", "<i1": "int8", "<f8": "float64", "<i2": "int16", "<u8": "uint64"}
    columns = [pair for name in sorted(stored) for pair in ([name, names[stored[name]]], [f"{name}__s", "uint8"])]
    header = {"columns": columns, "date": "2022-05-31", "dictionary": "every-type@1", "snapshot": 1}
    written = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    digest = hashlib.sha256(len(written).to_bytes(8, "little") + written)
    with duckdb.connect() as connection:
        main = connection.execute(
            "SELECT * FROM read_parquet($p)", {"p": str(held.folder / "main.parquet")}
        ).fetchnumpy()
    for name in sorted(stored):
        digest.update(np.asarray(main[name]).astype(stored[name]).tobytes())
        digest.update(np.asarray(main[f"{name}__s"]).astype("<u1").tobytes())
    assert digest.hexdigest() == held.content


def test_there_is_no_snapshot_of_a_date_that_was_not_ingested(tmp_path: Path) -> None:
    for home in (tmp_path / "empty", tmp_path / ".hpfed"):
        with pytest.raises(Refusal) as raised:
            snapshot.open_for(home, date(2022, 4, 30))
        assert (raised.value.code, raised.value.values["as_of"]) == ("SNAPSHOT_DATE", "2022-04-30")
        run(city(tmp_path))


@pytest.mark.parametrize("name", ["main.parquet", "holders.bin", "quality.json", "manifest.json"])
@pytest.mark.parametrize("change", ["append", "remove", "empty"])
def test_an_altered_file_is_found_on_opening(tmp_path: Path, name: str, change: str) -> None:
    run(city(tmp_path))
    path = snapshot.open_for(tmp_path / ".hpfed", AS_OF).folder / name
    if change == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" " if change == "append" else b"\0")
    with pytest.raises(ConfigError) as raised:
        snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    assert raised.value.code == "SNAPSHOT_ALTERED"
    assert raised.value.at is not None
    assert raised.value.at.file == str(path)
    assert "ngest again" in raised.value.text("en")


def test_an_altered_list_of_snapshots_is_found(tmp_path: Path) -> None:
    run(city(tmp_path))
    path = tmp_path / ".hpfed" / "snapshots" / "current.json"
    path.write_text("{}x")
    with pytest.raises(ConfigError) as raised:
        snapshot.open_for(tmp_path / ".hpfed", AS_OF)
    assert raised.value.code == "SNAPSHOT_ALTERED"
    assert not run(tmp_path).unchanged
    assert snapshot.open_for(tmp_path / ".hpfed", AS_OF).rows == 4


def test_a_study_reads_the_newest_snapshot_of_its_date(tmp_path: Path) -> None:
    home = tmp_path / ".hpfed"
    run(city(tmp_path))
    run(city(tmp_path, ROWS, "2022-04-30"))
    april = snapshot.open_for(home, date(2022, 4, 30))
    corrected = run(city(tmp_path, ROWS + "男,9,1,否\n"))
    assert snapshot.open_for(home, AS_OF).content == corrected.content
    assert snapshot.open_for(home, AS_OF).rows == 5
    assert snapshot.open_for(home, date(2022, 4, 30)) == april


def test_prune_keeps_the_newest_of_the_last_three_dates_and_what_a_study_still_needs(tmp_path: Path) -> None:
    home = tmp_path / ".hpfed"
    first = run(city(tmp_path)).content
    made = [run(city(tmp_path, ROWS + "男,9,1,否\n", f"2022-{month:02d}-28")).content for month in (2, 3, 4, 5)]
    second = run(city(tmp_path, ROWS + "女,9,1,否\n")).content
    before = {content[:16] for content in (first, second, *made)}
    assert {path.name for path in (home / "snapshots").iterdir() if path.is_dir()} == before
    with ingest.workplace(home):
        gone = snapshot.prune(home, keep=[made[0]])
    assert set(gone) == {first[:16], made[1][:16]}
    assert {path.name for path in (home / "snapshots").iterdir() if path.is_dir()} == before - set(gone)
    for month, content in ((2, made[0]), (4, made[2]), (5, made[3])):
        assert snapshot.open_for(home, date(2022, month, 28)).content == content
    with pytest.raises(Refusal):
        snapshot.open_for(home, date(2022, 3, 28))


def test_the_engine_reads_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    """T46: no other file, no writing outside the work folder, no attaching, no loading, no change of settings."""
    inside, outside, work = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "work"
    work.mkdir()
    for path in (inside, outside):
        path.write_text("a\n1\n")
    refused = [
        f"SELECT * FROM read_csv('{outside}')",
        f"COPY (SELECT 1) TO '{tmp_path}/stolen.csv'",
        f"ATTACH '{tmp_path}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SELECT * FROM read_csv('https://example.org/a.csv')",
        f"SELECT * FROM glob('{tmp_path}/*')",
    ]
    before = contents(tmp_path)
    with engine([inside], work) as connection:
        assert connection.execute(f"SELECT count(*) FROM read_csv('{inside}')").fetchall() == [(1,)]
        for statement in refused:
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert contents(tmp_path) == before
