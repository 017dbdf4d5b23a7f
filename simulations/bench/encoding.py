"""A city's sums against bare GROUP BY queries of DuckDB over the same columns, both in memory, one thread each."""

from collections.abc import Iterator
from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np

from protocols import study
from protocols.dictionary import Column, Table
from protocols.statistics import measures
from simulations.bench import Line, compared, rate

ROWS = 1_000_000


def lines() -> Iterator[Line]:
    """Rows per CPU second over one- to two-way tables of the flagship's given variables. Target: 1 / 1.5 of its peer."""
    import duckdb
    import pandas

    path = resources.files("coordinator.studies") / "flexible-employment-profile.yaml"
    asked = study.load(Path(str(path)))
    table = _drawn(asked)
    plain = [
        block
        for block in asked.workload.layout.blocks
        if not block.of and all(a.name in table.columns for a in block.axes) and block.axes
    ]
    layout = type(asked.workload.layout)(tuple(plain))

    def ours() -> float:
        return rate(ROWS, lambda: measures.encode(layout, table, asked.dictionary, date(2022, 5, 31), None, False))

    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("drawn", pandas.DataFrame({name: each.values for name, each in table.columns.items()}))
        connection.execute("CREATE TABLE rows_ AS SELECT * FROM drawn")

        def peer() -> float:
            def queries() -> None:
                for block in plain:
                    names = ", ".join(f'"{axis.name}"' for axis in block.axes)
                    connection.execute(f"SELECT {names}, count(*) FROM rows_ GROUP BY {names}").fetchall()  # noqa: S608 names of our own

            return rate(ROWS, queries)

        yield compared(
            f"encoding, {len(plain)} tables, 10^6 rows", "rows/s", "DuckDB GROUP BY, in memory", 1 / 1.5, ours, peer
        )


def _drawn(asked: study.Study) -> Table:
    generator = np.random.Generator(np.random.PCG64DXSM(1))  # noqa: TID251 data of a benchmark
    columns = {}
    for name in asked.reads():
        codes = asked.dictionary.codes(name)
        if codes:
            values = generator.integers(0, len(codes), ROWS).astype(np.int16)
            columns[name] = Column(values, np.ones(ROWS, dtype=bool))
    return Table(ROWS, columns)
