"""What this coordinator published exactly before: linear constraints that an attacker has beside a new table of the same holders.

    <home>/exact/<asker>-<study>.json    study, cities, the opened counts, which cells of which table were withheld, and of each sum of
                                         amounts whether some of it was; mode 0600

Releases are held against each other where cohort (as it is written), date, dictionary and cities are the same. That cohorts in other
words are the same, cities know and this does not.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from coordinator.consistency import reconcile
from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.filters import leaves
from protocols.ring import Vector
from protocols.statistics.dominance import Amounts, Printed
from protocols.statistics.estimates import AxisSet
from protocols.statistics.layout import Block, Layout
from protocols.statistics.own_tables import tabled
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import Bools, Withheld, withheld
from protocols.study import Study, from_wire

FOLDER: Final = "exact"


@dataclass(frozen=True)
class Published:
    """One release: `cells` of the blocks of counts in its study's layout, in their order, and what was withheld of every table. `strange`:
    axes of cities, `city.NAME`, by which the study that it is held against means other levels."""

    study: Study
    cities: tuple[int, ...]
    cells: Vector
    hidden: Mapping[AxisSet, Bools]
    amounts: tuple[Printed, ...] = ()
    strange: AxisSet = frozenset()

    @property
    def tables(self) -> Mapping[Block, Vector]:
        """Its blocks of counts, but for those by an axis that is strange."""
        mine = counts(self.study.workload.layout)
        return {
            block: self.cells[mine.span(block)]
            for block in mine.blocks
            if self.strange.isdisjoint(axis.name for axis in block.axes)
        }

    @classmethod
    def of(
        cls,
        study: Study,
        cities: Sequence[int],
        total: Vector,
        covers: Withheld,
        amounts: Amounts = MappingProxyType({}),
    ) -> "Published":
        """A release as it was made. Only tables of its own questions are kept."""
        layout = study.workload.layout
        spans = [layout.span(block) for block in counts(layout).blocks]
        every = {frozenset(axis.name for axis in block.axes) for block in counts(layout).blocks}
        kept = {part: cells for part, cells in covers.cells.items() if any(part <= table for table in every)}
        summed = tuple(Printed(of.variable, of.name, hidden.number > 0) for of, hidden in amounts.items())
        return cls(study, tuple(cities), np.concatenate([total[span] for span in spans]), kept, summed)

    @property
    def about(self) -> tuple[Any, ...]:
        """Releases of which this is the same are about the same holders, as far as words tell."""
        return about(self.study, self.cities)

    def write(self, home: Path) -> None:
        """On disk, before anybody reads the result."""
        folder = home / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = canonical(
            {
                "study": self.study.content.decode(),
                "dictionary": self.study.dictionary.content.decode(),
                "cities": list(self.cities),
                "cells": self.cells.tolist(),
                "hidden": [
                    {"axes": sorted(part), "cells": np.flatnonzero(cells).tolist(), "shape": list(cells.shape)}
                    for part, cells in sorted(self.hidden.items(), key=lambda each: sorted(each[0]))
                ],
                "amounts": [asdict(each) for each in self.amounts],
            }
        )
        path = folder / f"{self.study.file.asker}-{self.study.digest.removeprefix('sha256:')}.json"
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def about(study: Study, cities: Sequence[int]) -> tuple[Any, ...]:
    """What a release must share with another to be held against it."""
    cohort = study.file.cohort
    words = canonical(cohort.model_dump(mode="json", by_alias=True, exclude_none=True) if cohort else None)
    named = {leaf.variable for leaf in leaves(cohort)} if cohort else set[str]()
    levels = canonical({name: dict(each) for name, each in study.levels.items() if name in named})
    return study.file.as_of, study.dictionary.digest, words, levels, tuple(cities)


def earlier(home: Path, study: Study, cities: Sequence[int]) -> tuple[Published, ...]:
    """The other releases about the same holders that this home knows, by name."""
    found = (_read(path) for path in sorted((home / FOLDER).glob("*.json")))
    alike = (each for each in found if each.about == about(study, cities) and each.study.digest != study.digest)
    return tuple(replace(each, strange=study.strange(each.study)) for each in alike)


def _read(path: Path) -> Published:
    kept = json.loads(path.read_bytes())
    hidden = {}
    for each in kept["hidden"]:
        cells = np.zeros(int(np.prod(each["shape"])), dtype=bool)
        cells[each["cells"]] = True
        hidden[frozenset(each["axes"])] = cells.reshape(each["shape"])
    study = from_wire(kept["study"].encode(), kept["dictionary"].encode())
    amounts = tuple(Printed(**each) for each in kept.get("amounts", ()))
    return Published(study, tuple(kept["cities"]), np.array(kept["cells"], dtype=np.int64), hidden, amounts)


def amounts_before(before: Sequence[Published]) -> tuple[Printed, ...]:
    """The sums of amounts in earlier releases."""
    return tuple(amount for each in before for amount in each.amounts)


def counts(layout: Layout) -> Layout:
    """The blocks of counts of a layout."""
    return Layout(tuple(block for block in layout.blocks if tabled(block)))


def beside(layout: Layout, total: Vector, before: Sequence[Published], least: int, fewest: int) -> Withheld:
    """What must not be printed of the counts of a sum, where all that was published `before` is known. `total`: of the layout.

    What was published of other rows, before a city ingested anew, says nothing of these: where the two do not add up it is left aside.
    """
    blocks = {block: total[layout.span(block)] for block in counts(layout).blocks}
    known: dict[AxisSet, Bools] = {}
    same = True
    for each in before:
        further = each.tables
        same &= all(np.array_equal(cells, blocks.get(block, cells)) for block, cells in further.items())
        blocks = {**further, **blocks}
        for part, hidden in each.hidden.items():
            if not each.strange.isdisjoint(part):
                continue
            known[part] = known.get(part, np.zeros_like(hidden)) | ~hidden
    every = Layout(tuple(blocks))
    try:
        if not same:
            raise ValueError("one table, two contents")
        (family,) = reconcile(every, np.concatenate(list(blocks.values())), [0] * len(blocks)).values()
        return withheld(family, Resolution.of(every), least, fewest, known)
    except (PeerError, ValueError):
        if not before:
            raise
        return beside(layout, total, before[1:], least, fewest)  # the oldest is the likeliest to be of other rows
