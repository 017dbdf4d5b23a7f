"""The known truth, beside the city folders and never inside one: parameters, the clean rows, and the rows as a node must hold them.

`clean.parquet`: all cities, variables in dictionary terms (codes as text, money in whole fen), with `city`, `account`,
`opened_month` (0 is 2021-08) and `event_at` (months from opening to the interruption, null without one). `as_mapped.parquet`:
the same variables after the rules of each city's mapping, null on `_missing`, and `<variable>__s`, the status byte of the
snapshot. Of more than 2^20 accounts either file comes in parts, `clean_0000.parquet` and on.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from simulations.cities import ALL, hazard, parquet
from simulations.cities.dialects import LABEL, SYNTHETIC, Local
from simulations.cities.facts import CHUNK, Profile, facts_file
from simulations.cities.hazard import Hazard
from simulations.cities.parquet import Typed
from simulations.cities.terms import BOOLEANS, CODES, DATES, MONEY, VARIABLES, Column, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION: Final = "1"  # of the generator: another version, other rows for the same seed
AS_OF: Final = "2022-05-31"
FILES: Final = ("clean", "as_mapped")

Chunk: TypeAlias = dict[str, dict[str, Typed]]  # by file, then by column


class Truth:
    """Gathers the truth of one world, chunk by chunk, and writes it in parts of some 2^20 accounts."""

    def __init__(self, database: "DuckDBPyConnection", folder: Path) -> None:
        folder.mkdir()
        self.database, self.folder = database, folder
        self.cities: list[dict[str, Any]] = []
        self.waiting: list[Chunk] = []
        self.parts = 0

    def add(self, city: str, table: Table, local: Local) -> None:
        """One chunk of a city."""
        variables = {name: _typed(name, table[name]) for name in VARIABLES}
        beside = {
            "opened_month": Typed(table["opened_month"], "tinyint"),
            "event_at": Typed(table["event_at"], "tinyint"),
        }
        mapped = {name: _typed(name, local.mapped[name]) for name in VARIABLES}
        states = {f"{name}__s": Typed(local.status[name], "tinyint") for name in VARIABLES}
        label = _label(city, table)
        self.waiting.append({"clean": {**label, **variables, **beside}, "as_mapped": {**label, **mapped, **states}})
        if sum(len(chunk["clean"]["account"].column) for chunk in self.waiting) >= CHUNK:
            self._write()

    def _write(self) -> None:
        for name in FILES:
            first, *others = (chunk[name] for chunk in self.waiting)
            columns = {
                column: replace(typed, column=np.concatenate([typed.column, *(each[column].column for each in others)]))
                for column, typed in first.items()
            }
            parquet.write_parquet(self.database, columns, self.folder / f"{name}_{self.parts:04d}.parquet")
        self.parts += 1
        self.waiting = []

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

    def finish(self, seed: int, heterogeneity: float, baseline: Hazard) -> None:
        """What is left of the rows, and the parameters."""
        if self.waiting:
            self._write()
        if self.parts == 1:
            for name in FILES:
                (self.folder / f"{name}_0000.parquet").rename(self.folder / f"{name}.parquet")
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
        (self.folder / "truth.json").write_text(text + "\n", encoding="utf-8")


def _label(city: str, table: Table) -> dict[str, Typed]:
    rows = np.zeros(len(table["account"]), dtype=np.int8)
    return {
        "city": Typed(rows + ALL.index(city), "text", ALL),
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
