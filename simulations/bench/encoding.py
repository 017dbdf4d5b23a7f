"""A city's sums of the flagship study against the same tables as bare GROUP BY queries of DuckDB, both from one Parquet file; and what a
coordinator makes of such sums, against a city's work."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocols import plan, study
from protocols.entropy import seeded
from protocols.statistics.layout import Layout, count
from protocols.study import Study
from simulations.bench import Line, alone, group_by, line, releasing, spent

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from node.snapshot import Snapshot

HONEST: Final = 4  # of six cities: one may drop out, one may collude
MOST_MIB: Final = 500.0


def lines(quick: bool = False) -> Iterator[Line]:
    """Targets at 10^7 rows: 1.5 times the queries; at most 500 MiB, and 1.1 times those at 4 * 10^6 rows. One table more, of what is
    counted jointly anyway: 1.03 times the study. Least squares and all answers of six such cities: 0.02 and 0.5 times the sums of one.

    The rows are a generated city of 10^6 accounts, ingested, ten times over. The queries may use two threads; ours is one.
    """
    import duckdb

    from node.gate import encoded

    rows, rounds = (2_000, 1) if quick else (1_000_000, 5)
    asked, layout = flagship()
    with tempfile.TemporaryDirectory(prefix="hpfed-bench-") as place, duckdb.connect() as database:
        database.execute("SET threads = 2")
        folders = [ingested(Path(place), rows)]
        for copies in (4, 10):
            folders.append(repeated(folders[0], Path(place) / f"times-{copies}", copies, database))
        large, many = held(folders[-1]), 10 * rows
        source = f"read_parquet('{folders[-1] / 'main.parquet'}')"
        pairs = [
            (
                spent(lambda: encoded(asked, layout, large)),
                spent(lambda: group_by.vector(layout, asked, source, lambda query: database.execute(query).fetchall())),
            )
            for _ in range(rounds)
        ]
        memory = [alone("counted", str(folder)) for folder in folders[1:]]
        extended, few = with_a_table(layout), held(folders[0])
        tables = [
            tuple(spent(lambda each=each: encoded(asked, each, few))[1] for each in (extended, layout))  # type: ignore[misc]  # bound here, for the loop
            for _ in range(2 * rounds - 1)
        ]
        released = releasing.seconds(Path(place), asked, large, rounds)
    queries = f"DuckDB, {len(group_by.queries(layout, asked, source))} GROUP BY queries, 2 threads"
    for at, what in enumerate(("on the clock", "CPU")):
        ours, peer = (statistics.median(pair[side][at] for pair in pairs) for side in (0, 1))
        note = "" if at else f"{len(layout.blocks)} blocks, {len(layout.carriers)} joint tables"
        yield line(f"encoding {many:.0e} rows, {what}", "s", ours, peer, queries, 1.5, "less", note)
    encoding_s = statistics.median(ours[1] for ours, _ in pairs)
    longer, shorter = (statistics.median(pair[side] for pair in tables) for side in (0, 1))
    yield line("encoding one more table, CPU", "s", longer, shorter, "the study without it", 1.03, "less")
    one_city = f"encoding {many:.0e} rows in one city"
    for (part, seconds), most in zip(released.items(), (0.02, 0.5), strict=True):
        yield line(f"release, {part}, CPU", "s", seconds, encoding_s, one_city, most, "less")
    smaller, larger = (each.above for each in memory)
    yield line(f"encoding {many:.0e} rows, memory", "MiB", larger, smaller, f"at {0.4 * many:.0e} rows", 1.1, "less")
    yield line("encoding, most memory above imports", "MiB", larger, MOST_MIB, "limit", 1.0, "less")


def flagship() -> tuple[Study, Layout]:
    """The shipped study, and its layout as six cities would carry it."""
    file = resources.files("coordinator.studies") / "flexible-employment-profile.yaml"
    asked = study.load(Path(str(file)))
    return asked, plan.noised(asked, HONEST)[0]


def with_a_table(layout: Layout) -> Layout:
    """With one more table of two variables, which stands in a joint table already."""
    asked = {block.axes for block in layout.blocks}
    pairs = (pair for carrier in layout.carriers for pair in combinations(carrier.axes, 2) if pair not in asked)
    return Layout((*layout.blocks, count(next(pairs))))


def ingested(place: Path, rows: int) -> Path:
    """The folder of the snapshot of a generated city."""
    from node import ingest
    from simulations import cities

    cities.write(place / "cities", ["guangzhou"], rows=rows)
    home = place / "home"
    home.mkdir()
    ingest.ingest(place / "cities" / "guangzhou", home, seeded("bench"))
    (manifest,) = home.glob("snapshots/*/manifest.json")
    return manifest.parent


def repeated(folder: Path, into: Path, times: int, database: "DuckDBPyConnection") -> Path:
    """The same rows so many times over, as ingest would write them. Of the manifest only the number of rows is true."""
    from node.snapshot import BLOCK

    into.mkdir()
    database.execute(
        f"COPY (SELECT m.* FROM range({times}), read_parquet('{folder / 'main.parquet'}') AS m) TO '{into / 'main.parquet'}' "  # noqa: S608 paths of our own
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {BLOCK})"
    )
    made = held(folder).manifest
    manifest = made.model_copy(update={"rows": times * made.rows}).model_dump_json()
    (into / "manifest.json").write_text(manifest, encoding="utf-8")
    return into


def held(folder: Path) -> "Snapshot":
    """A snapshot as it lies there, without its files being verified."""
    from node.snapshot import Manifest, Snapshot

    return Snapshot(folder, Manifest.model_validate_json((folder / "manifest.json").read_bytes()))


def counted(folder: str) -> Callable[[], float]:
    """The sums of a snapshot, to be made in a process of its own."""
    from node.gate import encoded

    asked, layout = flagship()
    rows = held(Path(folder))

    def work() -> float:
        began = time.perf_counter()
        encoded(asked, layout, rows)
        return time.perf_counter() - began

    return work
