"""A world for Flower's own command (`flwr run`): everything but the processes, which that command starts.

OUT/.hpfed/<city>/gate.json       what the gate of that city is told (HPFED_SIMULATION_HOMES=OUT/.hpfed)
OUT/.hpfed/coordinator/           home of the coordinator: keys, roster, the study as its asker signed it (HPFED_HOME)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator import roster as books
from coordinator import store as stores
from coordinator.flower_app import SIGNATURES, World
from node.serve import fitting
from node.simulated import TOLD
from protocols.approval import sign_study
from protocols.study import Study
from simulations import world


@dataclass(frozen=True)
class Prepared:
    """Where it is. `cities`: so many nodes are needed."""

    home: Path
    homes: Path
    cities: int


def prepare(
    study: Study, folder: Path, out: Path, *, seed: int | None, progress: Callable[[str], None] = lambda _line: None
) -> Prepared:
    """Snapshots, keys and roster for the cities of a folder that a study asks, and its asker's signature. What was there is made anew.

    Errors: `ConfigError`, of the files of every city; SOCKET_PATH where `out` is too long a path for sockets.
    """
    found = world.parties(folder, study)
    for party in found:
        fitting((out / ".hpfed" / party.city.city / "gate.sock").absolute())
    homes = world.fresh_homes(out).absolute()
    world.ingested(found, homes, seed, progress)
    base, source = world.coordinator_home(folder, homes), world.source_of(seed)
    clock = world.Clock(None if seed is None else world.SEEDED_START)
    held, _, keys = world.consortium(found, study, folder, homes, base, clock, source)
    books.written(base / books.SIGNED / f"{held.entries.version}.json", held.file)
    books.written(base / books.ROSTER, held.file)
    World({party.city.city: party.city.name for party in found}, clock.virtual).write(base)
    own = keys.get(study.file.asker)  # an asker who is enrolled has signed beside the study
    if own is not None:
        stores.write(base / SIGNATURES, {f"{study.digest.removeprefix('sha256:')}.json": sign_study(study, own)})
    for name, place in world.places_of(found, held, homes, base, clock, seed, by_hand=False).items():
        place.write(homes / name / TOLD, homes / name / "gate.sock")
    return Prepared(base, homes, len(found))
