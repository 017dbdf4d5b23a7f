"""DuckDB, shut in: the only place that opens it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def engine(readable: Iterable[Path] = (), work: Path | None = None, threads: int = 1) -> "Iterator[DuckDBPyConnection]":
    """DuckDB shut in: it reads the files named here, writes below `work`, loads nothing, and its settings are locked (T46)."""
    import duckdb

    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": "512MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    try:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")  # a time with zone is read as the city's clock showed it
        connection.execute("SET allowed_paths = $paths", {"paths": [str(path) for path in readable]})
        if work is not None:
            connection.execute("SET allowed_directories = $folders", {"folders": [str(work)]})
            connection.execute("SET temp_directory = $folder", {"folder": str(work / "spill")})
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()
