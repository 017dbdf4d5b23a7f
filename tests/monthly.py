"""Three small cities whose holders have a row for each month, for studies of when something happens."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from node import ingest
from protocols import study as studies
from protocols.entropy import seeded
from protocols.study import Study
from simulations import world

CITIES: Final = ("aa", "bb", "cc")
MONTHS: Final = 10
SEXES: Final = ("male", "female", "unknown")
STATES: Final = ("normal", "late", "sealed")
DICTIONARY: Final = """dictionary: monthly
version: 1
variables:
  sex: {type: category, codes: {male: {}, female: {}, unknown: {}}}
  owner: {type: boolean}
  opened: {type: date, range: [2021-01-01, 2030-12-31]}
events:
  contributions:
    month: month
    variables:
      amount: {type: money, unit: CNY, range: [0, 9000]}
      state: {type: category, codes: {normal: {}, late: {}, sealed: {}}}
      stopped: {type: boolean}
    most_rows_per_holder: 12
"""
MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: 2022-05-31
sources:
  rows: {{kind: csv, files: data/rows.csv, encoding: utf-8}}
  months: {{kind: csv, files: data/months.csv, encoding: utf-8}}
tables: {{main: {{source: rows, key: id, main: true, duplicates: fail}}}}
events:
  contributions:
    source: months
    key: id
    month: {{column: month, parse: [yyyymm]}}
    variables:
      amount: {{column: amount, unit: 元}}
      state: {{column: state, codes: {{normal: normal, late: late, sealed: sealed}}}}
      stopped: {{column: stopped, codes: {{"1": true, "0": false}}}}
variables:
  sex: {{from: main.sex}}
  owner: {{from: main.owner}}
  opened: {{from: main.opened, parse: [yyyy-mm-dd]}}
"""
POLICY: Final = "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 1, min_cohort_by_city: 1, min_pooled: 1, min_cell: 1, min_column: 1}\n"
HEAD: Final = """study: monthly
title: {{zh: 逐月, en: Monthly}}
purpose: {{zh: 测试, en: a test}}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
window: {{from: 2021-08, to: 2022-05}}
privacy: {{mode: {mode}, {epsilon}tolerate: {{dropouts: 0, colluders: 1}}}}
questions:
"""


@dataclass(frozen=True)
class Monthly:
    """Folders and ingested homes; all holders and all their months, by `id`, with a column `city`."""

    folder: Path
    homes: Path
    holders: pd.DataFrame
    months: pd.DataFrame

    def study(self, questions: str, mode: str = "exact", epsilon: str = "4.0") -> Study:
        text = HEAD.format(mode=mode, epsilon=f"epsilon: {epsilon}, " if mode == "dp" else "")
        (self.folder / "study.yaml").write_text(text + questions, encoding="utf-8")
        return studies.load(self.folder / "study.yaml")

    def ask(self, study: Study, tmp: Path, seed: int = 3) -> world.Outcome:
        homes = world.fresh_homes(tmp)
        shutil.copytree(self.homes, homes, dirs_exist_ok=True)
        return world.run(study, self.folder, homes, seed=seed)

    @property
    def at_risk(self) -> pd.DataFrame:
        """By the rule of a hazard, written out: known months of the window up to that of the first event, of holders without one before."""
        rows = self.months.sort_values(["city", "id", "at"])
        first = rows[rows["stopped"] == "1"].groupby("id")["at"].min().rename("first")
        rows = rows.join(first, on="id").merge(self.holders, on=["id", "city"])
        kept = rows[(rows["at"] >= 0) & ~(rows["at"] > rows["first"]) & rows["stopped"].notna()]
        return kept.reset_index(drop=True)


def written(folder: Path, rows: int = 400, level: float = -2.6) -> Monthly:
    """Holders of whom some had their event before the window, whose rows go on after it, and of whom some months are not known."""
    place, homes = folder / "cities", folder / "homes"
    place.mkdir(parents=True)
    (place / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    people, months = [], []
    for number, city in enumerate(CITIES):
        draw = np.random.default_rng(number)  # noqa: TID251 a test's own rows
        ids = np.array([f"{city}{at}" for at in range(rows)])
        begins = draw.integers(-2, 5, rows)  # months from 2021-08 on
        sex, owner = draw.choice(3, rows, p=[0.5, 0.45, 0.05]), draw.random(rows) < 0.3
        holders = pd.DataFrame(
            {
                "id": ids,
                "sex": np.array(SEXES)[sex],
                "owner": np.where(owner, "true", "false"),
                "opened": [f"{2021 + (7 + at) // 12}-{(7 + at) % 12 + 1:02d}-15" for at in begins],
                "city": city,
            }
        )
        holder = np.repeat(np.arange(rows), MONTHS - begins)
        at = np.concatenate([np.arange(first, MONTHS) for first in begins])
        state = draw.choice(3, len(at), p=[0.7, 0.25, 0.05])
        amount = draw.integers(0, 4000, len(at))
        eta = level + 0.6 * (sex[holder] == 1) - 0.5 * owner[holder] + 0.7 * (state == 1) - 0.05 * (at - begins[holder])
        table = pd.DataFrame(
            {
                "id": ids[holder],
                "month": [f"{2021 + (7 + each) // 12}{(7 + each) % 12 + 1:02d}" for each in at],
                "amount": amount.astype(str),
                "state": np.array(STATES)[state],
                "stopped": np.where(draw.random(len(at)) < 1 / (1 + np.exp(-eta)), "1", "0"),
                "at": at,
                "since": at - begins[holder],
                "city": city,
            }
        )
        table.loc[draw.random(len(at)) < 0.02, "stopped"] = pd.NA
        table = table[draw.random(len(at)) > 0.03]  # months that nobody wrote down
        people.append(holders)
        months.append(table)
        (place / city / "data").mkdir(parents=True)
        holders.drop(columns="city").to_csv(place / city / "data" / "rows.csv", index=False)
        table.drop(columns=["at", "since", "city"]).to_csv(place / city / "data" / "months.csv", index=False)
        files = {
            "city.yaml": f'city: {city}\nname: {{zh: {city}, en: {city}}}\ncode: "00000{number}"\nsynthetic: true\n',
            "mapping.yaml": MAPPING.format(city=city),
            "policy.yaml": POLICY,
        }
        for name, text in files.items():
            (place / city / name).write_text(text, encoding="utf-8")
        ingest.ingest(place / city, world.home(place / city, homes), seeded("monthly", city))
    return Monthly(place, homes, pd.concat(people, ignore_index=True), pd.concat(months, ignore_index=True))
