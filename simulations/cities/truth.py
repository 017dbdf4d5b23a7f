"""The known truth, beside the city folders and never inside one: parameters, the clean rows, and the rows as a node must hold them.

`clean.parquet`: all cities, variables in dictionary terms (codes as text, money in whole fen), with `city`, `account`,
`opened_month` (0 is 2021-08) and `event_at` (months from opening to the interruption, null without one). `as_mapped.parquet`:
the same variables after the rules of each city's mapping, null on `_missing`, and `<variable>__s`, the status byte of the
snapshot.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulations.cities import hazard, parquet
from simulations.cities.dialects import LABEL, SYNTHETIC, Local
from simulations.cities.facts import Profile, facts_file
from simulations.cities.hazard import Hazard
from simulations.cities.parquet import Typed
from simulations.cities.terms import BOOLEANS, CODES, DATES, MONEY, VARIABLES, Column, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION: Final = "1"  # of the generator: another version, other rows for the same seed
AS_OF: Final = "2022-05-31"


class Truth:
    """Gathers the truth of one world, chunk by chunk."""

    def __init__(self, database: "DuckDBPyConnection") -> None:
        self.database = database
        self.cities: list[dict[str, Any]] = []

    def add(self, city: str, table: Table, local: Local) -> None:
        """One chunk of a city."""
        variables = {name: _typed(name, table[name]) for name in VARIABLES}
        beside = {
            "opened_month": Typed(table["opened_month"], "tinyint"),
            "event_at": Typed(table["event_at"], "tinyint"),
        }
        self._append("clean", {**_label(city, table), **variables, **beside})
        mapped = {name: _typed(name, local.mapped[name]) for name in VARIABLES}
        states = {f"{name}__s": Typed(local.status[name], "tinyint") for name in VARIABLES}
        self._append("as_mapped", {**_label(city, table), **mapped, **states})

    def _append(self, name: str, columns: dict[str, Typed]) -> None:
        query = parquet.selected(self.database, columns)
        known = self.database.execute("select 1 from duckdb_tables() where table_name = ?", [name]).fetchone()
        self.database.execute(f"insert into {name} {query}" if known else f"create table {name} as {query}")

    def city(self, profile: Profile, model: Hazard, never: float, sealed: float) -> None:
        """A city's profile as drawn, its constant, and the expected events of its first chunk."""
        self.cities.append(
            {
                **asdict(profile),
                "constant": model.city,
                "expected_never_paid": round(never, 5),
                "expected_sealed": round(sealed, 5),
            }
        )

    def write(self, folder: Path, seed: int, heterogeneity: float, baseline: Hazard) -> None:
        """The three files."""
        folder.mkdir()
        for name in ("clean", "as_mapped"):
            path = str(folder / f"{name}.parquet").replace("'", "''")
            self.database.execute(f"copy {name} to '{path}' (format parquet, compression zstd)")
        content = {
            "synthetic": True,
            LABEL: SYNTHETIC,
            "generator": VERSION,
            "facts": facts_file()["facts_version"],
            "seed": seed,
            "heterogeneity": heterogeneity,
            "as_of": AS_OF,
            "cities": self.cities,
            "hazard": {
                "event": "first month, counted from the month of opening (t = 0), in which an account is 开户未缴 or 封存",
                "link": "logit",
                "formula": "logit h(t) = constant of the city + baseline[t] + sum of slopes x columns",
                "columns": hazard.DESIGN,
                "slopes": hazard.SLOPES,
                "baseline": list(baseline.baseline),
                "counts": "exact in chongqing, plain Bernoulli draws elsewhere",
            },
        }
        text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
        (folder / "truth.json").write_text(text + "\n", encoding="utf-8")


def _label(city: str, table: Table) -> dict[str, Typed]:
    rows = table["product"] * 0
    return {
        "city": Typed(rows, "text", (city,)),
        "account": Typed(table["account"], "text"),
        LABEL: Typed(rows, "text", (SYNTHETIC,)),
    }


def _typed(variable: str, column: Column) -> Typed:
    if variable in CODES:
        return Typed(column, "text", CODES[variable])
    if variable in BOOLEANS:
        return Typed(column, "boolean")
    if variable in DATES:
        return Typed(column, "date")
    return Typed(column, "bigint" if variable in MONEY else "integer")
