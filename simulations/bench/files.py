"""Writing a large city's files, and taking them in: rows per second, memory, and ingest against DuckDB's own COPY of the same rows."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from simulations.bench import Alone, Line, alone, line

RATE: Final = 150_000.0  # rows per second and core
CITIES: Final = {"guangzhou": "Parquet", "chongqing": "CSV, gb18030", "shenzhen": "CSV, utf-8"}
MOST_MIB: Final = {"generator": 1536.0, "ingest": 900.0}
MOST_TIMES: Final = {"chongqing": 10.0, "shenzhen": 8.0}  # an ingest by key, of what a bare COPY takes


def lines(quick: bool = False) -> Iterator[Line]:
    """At 10^6 rows: medians of three, of CPU time."""
    rows, rounds = (1_000, 1) if quick else (1_000_000, 3)
    names, times_of = (("guangzhou", "chongqing"), ("chongqing",)) if quick else (tuple(CITIES), tuple(MOST_TIMES))
    with tempfile.TemporaryDirectory(prefix="hpfed-bench-") as place:
        made = {name: [_made(Path(place), name, rows, at) for at in range(rounds)] for name in names}
        speed = {name: rows / statistics.median(run.cpu for run in runs) for name, runs in made.items()}
        size = f"{rows:.0e} rows"
        parquet = speed["guangzhou"]
        yield line(f"generator, {size}, Parquet", "rows/s", parquet, RATE, "required", 1.0, "more")
        yield line(f"generator, {size}, gb18030", "rows/s", speed["chongqing"], parquet, "Parquet", 0.35, "more")
        most = max(run.resident for runs in made.values() for run in runs)
        yield line("generator, most memory", "MiB", most, MOST_MIB["generator"], "limit", 1.0, "less")
        for name in times_of:
            folder = Path(place) / f"{name}-0" / name
            pairs = []
            for at in range(rounds):
                ours = alone("taken in", str(folder), str(Path(place) / f"home-{name}-{at}"))
                pairs.append((ours, alone("copied", str(folder), str(Path(place) / "copy.parquet"))))
            mine, theirs = (statistics.median(pair[side].cpu for pair in pairs) for side in (0, 1))
            title = f"ingest, {size}, {CITIES[name]}"
            yield line(title, "s", mine, theirs, "COPY of the same rows in utf-8, 2 threads", MOST_TIMES[name], "less")
            most = max(ours.resident for ours, _ in pairs)
            yield line(f"{title}, memory", "MiB", most, MOST_MIB["ingest"], "limit", 1.0, "less")


def _made(place: Path, name: str, rows: int, at: int) -> Alone:
    return alone("written", str(place / f"{name}-{at}"), name, str(rows))


def written(out: str, city: str, rows: str) -> Callable[[], None]:
    """The folder of one city."""
    from simulations import cities

    return lambda: cities.write(Path(out), [city], rows=int(rows))


def taken_in(folder: str, home: str) -> Callable[[], None]:
    """One ingest: files, mapping, keyed hashes, order, content."""
    from node import ingest
    from protocols.entropy import seeded

    Path(home).mkdir()

    def work() -> None:
        ingest.ingest(Path(folder), Path(home), seeded("bench"))

    return work


def copied(folder: str, out: str) -> Callable[[], None]:
    """DuckDB reads the same tables, turned into utf-8 before the clock starts, and writes them as Parquet."""
    import duckdb

    texts = []
    for path in sorted((Path(folder) / "data").glob("*.csv")):
        content = path.read_bytes()
        text = Path(out).with_name(f"{path.stem}.utf-8.csv")
        text.write_bytes(content if Path(folder).name != "chongqing" else content.decode("gb18030").encode())
        texts.append(str(text))

    def work() -> None:
        with duckdb.connect() as database:
            database.execute("SET threads = 2")
            database.execute(f"COPY (FROM read_csv({texts})) TO '{out}' (FORMAT parquet)")

    return work
