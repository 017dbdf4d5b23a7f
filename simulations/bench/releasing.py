"""What a coordinator makes of the sum over six cities of the flagship study."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator import release, rounds
from coordinator.release import Opened
from node import gate, ingest
from protocols.entropy import exactly, seeded
from protocols.roster import Roster
from protocols.study import Study
from simulations import cities, world
from simulations.bench import spent

if TYPE_CHECKING:
    from node.snapshot import Snapshot

ROWS: Final = 500  # in the folders: a city must have a snapshot to approve a study


def seconds(place: Path, asked: Study, rows: "Snapshot", rounds_: int) -> dict[str, float]:
    """CPU, medians of so many rounds: of least squares alone, and of all of results.json, with its intervals and bootstraps."""
    sums, roster = opened(place, asked, rows)
    works = {
        "least squares alone": lambda: release.reconciled(sums),
        "results.json": lambda: release.results(sums, roster, {}, world.SEEDED_START, seeded=True),
    }
    return {name: statistics.median(spent(work)[1] for _ in range(rounds_)) for name, work in works.items()}


def opened(place: Path, asked: Study, rows: "Snapshot") -> tuple[Opened, Roster]:
    """As if every city held `rows`. Each approves the study at its gate, and adds its own noise; the sum itself needs no conversation."""
    folder, homes = place / "six", place / "six-homes"
    cities.write(folder, rows=ROWS)
    found = world.parties(folder, asked)
    for party in found:
        ingest.ingest(party.folder, world.home(party.folder, homes), seeded("bench", party.city.city))
    clock = world.Clock(world.SEEDED_START)
    with world.everyone(asked, found, folder, homes, seed=1, clock=clock) as present:
        answers = rounds.offer(present.post, asked, present.signed, present.ids)
        agreement = rounds.agreed(present.post, asked, answers)
    entropy = seeded("bench", "noise")
    total = len(agreement.cities) * gate.encoded(asked, agreement.layout, rows)
    for _ in agreement.cities:
        total += gate.noise(agreement.layout, agreement.node_v20, exactly(entropy, 32))
    counted = gate.encoded(asked, agreement.own, rows)
    own = {
        city: counted + gate.noise(agreement.own, agreement.own_v20, exactly(entropy, 32)) for city in agreement.cities
    }
    return Opened(agreement, total, agreement.cities, (), answers.approvals, own), present.post.roster
