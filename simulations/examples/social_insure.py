"""Real microdata through the same door as a city's own files: five "cities" made of the villages of a field experiment.

    python -m simulations.examples.social_insure OUT
    hpfed-simulate run OUT/study.yaml --cities OUT --out OUT/result

Needs the package `causaldata`, which ships the data. Villages are dealt to five groups in the order of their names. The folders say
`open_data: true`, and so does every output. The last group pretends not to record literacy, so that one sees what becomes of a
variable that a city cannot map.
"""

import csv
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocols.errors import ConfigError, Place

GROUPS: Final = ("village-group-1", "village-group-2", "village-group-3", "village-group-4", "village-group-5")
HERE: Final = Path(__file__).parent / "social-insure"
UNRECORDED: Final = "village-group-5"

CITY: Final = """city: {city}
name: {{zh: 村组{number}, en: Village group {number}}}
code: "000000"
open_data: true # public microdata of an experiment, not a city's records
"""
POLICY: Final = """policy: 1
kinds: {exact: all}
exact: {min_cohort: 1, min_cohort_by_city: 1, min_pooled: 1, min_cell: 1, min_column: 1, min_unmapped: 1}
"""
MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: 2010-12-31
sources:
  survey: {{kind: csv, files: data/survey.csv, encoding: utf-8}}
tables:
  household: {{source: survey, main: true, duplicates: fail}}
variables:
  takeup: {{from: household.takeup_survey, codes: {{"1": insured, "0": not_insured}}, other: fail}}
  sex: {{from: household.male, codes: {{"1": male, "0": female}}, other: fail, null: keep}}
  age: {{from: household.age, null: keep}}
  household_size: {{from: household.agpop, null: keep}}
  literate: {literate}
  default_buy: {{from: household.default, codes: {{"1": true, "0": false}}, other: fail}}
  intensive: {{from: household.intensive, codes: {{"1": true, "0": false}}, other: fail}}
  disaster_chance: {{from: household.disaster_prob, null: keep, unparsed: "null"}}
"""
LITERATE: Final = '{from: household.literacy, codes: {"1": true, "0": false}, other: fail, null: keep}'
NOT_RECORDED: Final = (
    "{status: impossible, reason: {zh: 本组假定未登记识字情况, en: this group pretends not to record it}}"
)


def data() -> tuple[list[str], list[list[str]]]:
    """Header and rows as text, from the installed package. Errors: `ConfigError EXAMPLE_PACKAGE` if it is not there."""
    found = importlib.util.find_spec("causaldata")
    if not found or not found.origin:
        raise ConfigError("EXAMPLE_PACKAGE", name="causaldata")
    with (Path(found.origin).parent / "social_insure" / "Cai_2015.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def write(out: Path) -> None:
    """City folders, study and dictionary under `out`, which must not hold anything yet."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError("OUT_NOT_EMPTY", Place(str(out)))
    header, rows = data()
    village = header.index("village")
    place = {name: number for number, name in enumerate(sorted({row[village] for row in rows}))}
    out.mkdir(parents=True, exist_ok=True)
    for name in ("dictionary.yaml", "study.yaml"):
        shutil.copyfile(HERE / name, out / name)
    for number, city in enumerate(GROUPS):
        folder = out / city
        (folder / "data").mkdir(parents=True)
        (folder / "city.yaml").write_text(CITY.format(city=city, number=number + 1), encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        literate = NOT_RECORDED if city == UNRECORDED else LITERATE
        (folder / "mapping.yaml").write_text(MAPPING.format(city=city, literate=literate), encoding="utf-8")
        with (folder / "data" / "survey.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [header, *(row for row in rows if place[row[village]] * len(GROUPS) // len(place) == number)]
            )


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m simulations.examples.social_insure OUT", file=sys.stderr)
        return 2
    try:
        write(Path(arguments[0]))
    except ConfigError as fault:
        print(fault.text("en"), file=sys.stderr)
        return fault.exit_code
    print(f"next: hpfed-simulate run {arguments[0]}/study.yaml --cities {arguments[0]} --out {arguments[0]}/result")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
