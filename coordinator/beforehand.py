"""What is known of cities before they are asked: who they are, what their policy says, and what public stand-ins would give.

A coordinator holds no code that reads a city's folder. Where folders are at hand, of a rehearsal or of a twin, the simulator reads them in
a process of its own, and this is what it says: one line of JSON. No row of a city that is asked is read for it.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from coordinator.forecast import Twin
from protocols import roster as rosters
from protocols import yamltext
from protocols.attributes import of_cities
from protocols.errors import ConfigError, HpfedError, Place
from protocols.ring import Vector
from protocols.roster import City as Listed
from protocols.statistics.layout import Layout
from protocols.study import Study
from protocols.yamltext import Record

READER: Final = (
    "from simulations.cli import main; main()"  # another program: it stands above this package and is not imported here
)
SHIPPED_MIN_CELL: Final = 10  # `dp.min_cell` of the shipped policy, where a city's own is not known
SHIPPED_EXACT: Final = (10, 100)  # `exact.min_cell`, `exact.min_pooled`, likewise
LARGEST: Final[int] = Listed.model_fields["size_class"].default  # rows, where no roster says how many a city may have


class Reason(Record):
    """Why a city would say no."""

    code: str
    zh: str
    en: str


class Allowance(Record):
    """One cap of a city: the order it is fixed at, its room there and what is left of it, in 2^-64."""

    scope: Literal["per_asker_year", "per_year", "total"]
    epsilon: str
    delta: str
    order: int
    room: int
    left: int


class Known(Record):
    """A city. `decide`: auto, officer, two_officers, refuse. None: not known."""

    city: str
    size_class: int = LARGEST
    cannot: tuple[str, ...] | None = None
    min_cell: int = SHIPPED_MIN_CELL
    exact_cell: int = SHIPPED_EXACT[0]
    exact_pooled: int = SHIPPED_EXACT[1]
    decide: str | None = None
    rule: str = ""
    reasons: tuple[Reason, ...] = ()
    caps: tuple[Allowance, ...] = ()


class StandIn(Record):
    """A public city: the sums of every block of the study, in its finest units, and how many rows it has."""

    city: str
    sums: tuple[int, ...]
    rows: int = 0


class Beforehand(Record):
    """What the reader says, and where the cities come from."""

    cities: tuple[Known, ...] = ()
    twin: tuple[StandIn, ...] = ()


class ReaderFailed(Exception):
    """The reader said what is wrong, on the channels of its own: `out` as JSON, `err` in the language that was asked for."""

    def __init__(self, code: int, out: str, err: str) -> None:
        super().__init__(err)
        self.code, self.out, self.err = code, out, err


def read(study: Path, cities: Path | None, twin: Path | None, language: str) -> Beforehand:
    """What folders of cities say. Errors: `ReaderFailed`."""
    if cities is None and twin is None:
        return Beforehand()
    folders = [f"--cities={cities}" if cities else "", f"--twin={twin}" if twin else ""]
    command = [sys.executable, "-c", READER, "stand-ins", str(study), *filter(None, folders), f"--lang={language}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 this very interpreter
    if done.returncode:
        raise ReaderFailed(done.returncode, done.stdout, done.stderr)
    return Beforehand.model_validate_json(done.stdout, strict=True)


def chosen(study: Study, path: Path | None, found: Beforehand) -> tuple[str, tuple[Known, ...]]:
    """The cities of a study and where they come from: `folder` or `roster` (`path`), else `study` (its `cities.names`), `twin`, or `least`:
    as many as it demands, by names of no city.

    Errors: `PeerError` ROSTER_…, `ConfigError PLAN_CITIES` where the path holds none that is asked.
    """
    if path is not None:
        source, cities = ("roster", _of_roster(path, study)) if path.is_file() else ("folder", found.cities)
        if not cities:
            raise ConfigError("PLAN_CITIES", path=path)
        return source, cities
    if study.file.cities.names:
        return "study", tuple(Known(city=name) for name in study.file.cities.names)
    if len(found.twin) >= study.file.cities.least:
        return "twin", tuple(Known(city=each.city) for each in found.twin)
    return "least", tuple(Known(city=f"city-{number}") for number in range(1, study.file.cities.least + 1))


def _of_roster(path: Path, study: Study) -> tuple[Known, ...]:
    try:
        listed = rosters.self_declared(yamltext.content(path))
    except HpfedError as fault:
        fault.at = fault.at or Place(str(path))
        raise
    names = study.file.cities.names
    return tuple(
        Known(city=city.name, size_class=city.size_class)
        for city in listed.entries.cities
        if listed.active(city.id) and (names is None or city.name in names)
    )


def stand_ins(known: Mapping[int, str], study: Study, beforehand: Beforehand) -> Twin | None:
    """The twin of these cities, by roster id: the stand-in of the same name, else one after the other. None where none stands in."""
    if not beforehand.twin:
        return None
    sums: dict[str, Vector] = {each.city: np.array(each.sums, dtype=np.int64) for each in beforehand.twin}
    spare = list(sums.values())
    layout = study.workload.together
    chosen = {
        city: sums[name] if name in sums else _standing_for(study, name, layout, spare[number % len(spare)])
        for number, (city, name) in enumerate(sorted(known.items()))
    }
    return Twin(layout, chosen)


def people(known: Sequence[Known], beforehand: Beforehand) -> int:
    """About how many holders these cities have: as many as their stand-ins; without one, no more than the roster lets them have."""
    rows = {each.city: each.rows for each in beforehand.twin}
    spare = list(rows.values())
    named = sorted(known, key=lambda each: each.city)
    if not spare:
        return sum(each.size_class for each in named)
    return sum(rows.get(each.city, spare[number % len(spare)]) for number, each in enumerate(named))


def _standing_for(study: Study, name: str, layout: Layout, sums: Vector) -> Vector:
    """The sums of a stand-in at the levels of the city that it stands for: its holders move along every axis of cities."""
    found = sums.copy()
    for block in layout.blocks:
        first = len(block.shape) - len(block.axes)  # for yes-no the codes come before the axes
        cells = sums[layout.span(block)].reshape(block.shape)
        for number, axis in enumerate(block.axes, first):
            if of_cities(axis.source):
                at = study.standing(name)[axis.source]
                moved = np.zeros_like(cells)
                place = (slice(None),) * number + (axis.size - 1 if at is None else at,)
                moved[place] = cells.sum(axis=number)
                cells = moved
        found[layout.span(block)] = cells.ravel()
    return found
