"""Six small cities with known rows, for studies about levels of cities, cohorts of one question and multi-response variables."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from coordinator import output
from coordinator.verify import verify
from node import ingest
from protocols import study as studies
from protocols.entropy import seeded
from protocols.study import Study
from simulations import world

CITIES: Final = ("aa", "bb", "cc", "dd", "ee", "ff")
ROWS: Final = 400
DICTIONARY: Final = """dictionary: six
version: 1
variables:
  product: {type: category, codes: {lump: {}, monthly: {}, free: {}}}
  sex: {type: category, codes: {male: {}, female: {}}}
  withdrew: {type: boolean}
  age: {type: integer, range: [16, 80]}
  amount: {type: money, unit: CNY, range: [0, 20000]}
  worries: {type: set, codes: {illness: {}, pension: {}, accident: {}, job: {}}}
  habits: {type: set, most_codes: 1, codes: {save: {}, spend: {}, borrow: {}, invest: {}, give: {}}}
derived:
  band: {of: age, bands: {young: [16, 34], middle: [35, 49]}, else: old}
"""
HEAD: Final = """study: six-cities
title: {{zh: 小研究, en: Six}}
purpose: {{zh: 测试, en: a test}}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
privacy: {{mode: {mode}, epsilon: 4.0, tolerate: {{dropouts: 1, colluders: 1}}}}
{more}questions:
"""
MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: 2022-05-31
sources: {{rows: {{kind: csv, files: data/rows.csv, encoding: utf-8}}}}
tables: {{main: {{source: rows, key: id, main: true, duplicates: fail}}}}
variables:
  product: {{from: main.product}}
  sex: {{from: main.sex}}
  withdrew: {{from: main.withdrew}}
  age: {{from: main.age}}
  amount: {{from: main.amount, unit: 元}}
  worries: {{from: main.worries, split: ";", codes: {{病: illness, 老: pension, 养老: pension, 意外: accident, 失业: job}}}}
  habits: {{from: main.habits, split: "|"}}
"""
LOCAL: Final = {"病": "illness", "老": "pension", "养老": "pension", "意外": "accident", "失业": "job"}

LOOSE: Final = (
    "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 1, min_cohort_by_city: 1, min_pooled: 1, min_cell: 1}\n"
)


def frame(city: str, rows: int = ROWS) -> pd.DataFrame:
    """The rows of a city; NA where a value is missing. Sets are texts as a file holds them."""
    draw = np.random.default_rng(sum(map(ord, city)))  # noqa: TID251 a test's own rows
    found = pd.DataFrame(
        {
            "id": [f"{city}{number}" for number in range(rows)],
            "product": draw.choice(["lump", "monthly", "free"], rows, p=[0.3, 0.5, 0.2]),
            "sex": draw.choice(["male", "female"], rows),
            "withdrew": draw.choice(["true", "false"], rows, p=[0.3, 0.7]),
            "age": draw.integers(18, 70, rows).astype(str),
            "amount": draw.integers(500, 9000, rows).astype(str),
        }
    )
    names, habits = list(LOCAL), ["save", "spend", "borrow", "invest", "give"]
    named = draw.random((rows, len(names))) < (0.3, 0.2, 0.2, 0.4, 0.1)
    found["worries"] = [" ; ".join(name for name, one in zip(names, each, strict=True) if one) or ";" for each in named]
    found["habits"] = ["|".join(draw.permutation(habits)[: 1 + (each > 0.8)]) for each in draw.random(rows)]
    for name, share in (
        ("worries", 0.06),
        ("habits", 0.02),
        ("product", 0.05),
        ("withdrew", 0.1),
        ("age", 0.04),
        ("amount", 0.03),
    ):
        found.loc[draw.random(rows) < share, name] = pd.NA
    return found


@dataclass(frozen=True)
class Six:
    """Folders and ingested homes of the six cities, and all their rows with a column `city`."""

    folder: Path
    homes: Path
    rows: pd.DataFrame

    def study(self, questions: str, more: str = "", mode: str = "dp") -> Study:
        (self.folder / "study.yaml").write_text(HEAD.format(mode=mode, more=more) + questions, encoding="utf-8")
        return studies.load(self.folder / "study.yaml")

    def ask(self, study: Study, tmp: Path, drops: tuple[str, ...] = (), seed: int = 3) -> world.Outcome:
        homes = world.fresh_homes(tmp)
        shutil.copytree(self.homes, homes, dirs_exist_ok=True)
        return world.run(study, self.folder, homes, seed=seed, drops=[world.drop(text) for text in drops])

    @contextmanager
    def gates(self, study: Study, tmp: Path) -> Iterator[world.Everyone]:
        """The world of a study with its gates open, for what a test says to them itself."""
        homes = world.fresh_homes(tmp)
        shutil.copytree(self.homes, homes, dirs_exist_ok=True)
        clock = world.Clock(world.SEEDED_START)
        with world.everyone(study, world.parties(self.folder, study), self.folder, homes, seed=3, clock=clock) as found:
            yield found


def written(
    folder: Path,
    without: dict[str, tuple[str, ...]] | None = None,
    *,
    further: str = "",
    stated: Mapping[str, str] | None = None,
    rows_each: int = ROWS,
) -> Six:
    """`without`: of a city, the variables that it cannot map. `further`: lines of the dictionary; `stated`: of a city, lines of its
    `city.yaml`."""
    place, homes = folder / "six", folder / "homes"
    place.mkdir(parents=True)
    (place / "dictionary.yaml").write_text(DICTIONARY + further, encoding="utf-8")
    frames = {city: frame(city, rows_each) for city in CITIES}
    for number, (city, rows) in enumerate(frames.items()):
        (place / city / "data").mkdir(parents=True)
        (place / city / "city.yaml").write_text(
            f'city: {city}\nname: {{zh: {city}, en: {city}}}\ncode: "00000{number}"\nsynthetic: true\n'
            + (stated or {}).get(city, ""),
            encoding="utf-8",
        )
        lacking = (without or {}).get(city, ())
        lines = MAPPING.format(city=city).splitlines()
        kept = [line for line in lines if line.strip().split(":")[0] not in lacking or not line.startswith("  ")]
        impossible = [f"  {name}: {{status: impossible, reason: {{zh: 无, en: none}}}}" for name in lacking]
        (place / city / "mapping.yaml").write_text("\n".join([*kept, *impossible]) + "\n", encoding="utf-8")
        (place / city / "policy.yaml").write_text(LOOSE, encoding="utf-8")
        rows.to_csv(place / city / "data" / "rows.csv", index=False, na_rep="")
        ingest.ingest(place / city, homes / city, seeded("tests", city))
    for city, lacking in (without or {}).items():
        for name in lacking:
            frames[city][name] = pd.NA
    return Six(place, homes, pd.concat([rows.assign(city=city) for city, rows in frames.items()], ignore_index=True))


def results(outcome: world.Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.results)
    return found


def rows_of(outcome: world.Outcome, question: str, measure: str, scope: str = "pooled") -> list[dict[str, Any]]:
    """Rows of one question and measure."""
    rows: list[dict[str, Any]] = results(outcome)["questions"][question]["rows"]
    return [row for row in rows if (row["measure"], row["scope"]) == (measure, scope)]


def counts(outcome: world.Outcome, question: str, measure: str = "count") -> dict[tuple[str, ...], Any]:
    """Estimates by keys."""
    keys = results(outcome)["questions"][question]["keys"]
    return {tuple(row[key] for key in keys): row["estimate"] for row in rows_of(outcome, question, measure)}


def unsound(outcome: world.Outcome, out: Path) -> dict[str, list[str]]:
    """Steps of the verification of a bundle that do not hold, with their codes."""
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    steps = verify(out, None, output.made)
    return {step.name: [fault.code for fault in step.faults] for step in steps if not step.holds}
