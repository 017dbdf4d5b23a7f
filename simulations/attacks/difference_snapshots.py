"""T19: the same exact question before and after an ingest that brought one holder in, or lost one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from node import ingest, snapshot
from node.gate import encoded
from protocols.entropy import Entropy, seeded
from protocols.errors import HpfedError
from protocols.plan import agree
from protocols.ring import Vector
from simulations import world as worlds
from simulations.attacks.difference_cohorts import STRICT
from simulations.attacks.doubles import UncomparedGate, as_double
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import FIRST_DATE, Towns, said, towns

THREAT: Final = "T19"
WHAT: Final = {"zh": "两个快照之间来去一人", "en": "one holder comes or goes between snapshots"}
HOLDS: Final = {"zh": "协调方的密钥与全部合计", "en": "the coordinator's key and every sum"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(UncomparedGate)),)
ALL: Final = (1, 2, 3)
LATER: Final = "2022-06-30"
ROWS: Final = 40


def run(world: World, entropy: Entropy) -> Outcome:
    """Holders whose own cells the difference of the two sums gives: of one who joined city 1, and of one who left it."""
    codes = set[str]()
    return Outcome(
        max(refreshed(world, entropy, joined, left, codes) for joined, left in ((1, 0), (0, 1))),
        0,
        "holders",
        codes=frozenset(codes),
    )


def refreshed(world: World, entropy: Entropy, joined: int, left: int, codes: set[str]) -> int:
    """How many the difference of two sums tells of, where so many joined and left city 1 in between."""
    with towns(world, entropy, len(ALL), rows=ROWS, policy=STRICT) as place:
        first = total(place, "first-month", FIRST_DATE, codes)
        for city in ALL:
            ingested(place, city, joined if city == 1 else 0, left if city == 1 else 0)
        second = total(place, "second-month", LATER, codes)
        if first is None or second is None:
            return 0
        found = np.abs(second - first).sum()
        one, other = (table(place, name) for name in (FIRST_DATE, LATER))
        return int(found) if np.array_equal(second - first, other - one) else 0


def ingested(place: Towns, city: int, joined: int, left: int) -> None:
    """The city's files a month later: the same holders, but for those who joined and left."""
    folder = place.folder / f"t{city}"
    header, *lines = (folder / "data" / "rows.csv").read_text(encoding="utf-8").splitlines()
    fresh = [f"t{city}-new{at},male,j{at}" for at in range(joined)]
    (folder / "data" / "rows.csv").write_text("\n".join([header, *lines[left:], *fresh]) + "\n", encoding="utf-8")
    mapping = folder / "mapping.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace(FIRST_DATE, LATER), encoding="utf-8")
    ingest.ingest(folder, worlds.home(folder, place.homes), seeded("later", city))


def table(place: Towns, as_of: str) -> Vector:
    """What city 1 holds in one month."""
    study = place.study(f"seen-{as_of}", mode="exact", as_of=as_of)
    layout = agree(study, ALL, place.post.roster).layout
    return encoded(study, layout, snapshot.open_for(place.gate(1).station.home, study.file.as_of))


def total(place: Towns, name: str, as_of: str, codes: set[str], cities: Sequence[int] = ALL) -> Vector | None:
    """The exact sum of one month, if it is given."""
    try:
        return place.summed(place.study(name, mode="exact", as_of=as_of), cities).opened.total
    except HpfedError as fault:
        codes |= said(fault)
        return None
