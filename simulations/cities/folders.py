"""City folders from populations: data files, the hand-written mapping and policy, and the truth beside them."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.cities import design, happenings, hazard, population
from simulations.cities.dialects import DIALECTS, File
from simulations.cities.facts import CHUNK, PROFILES, REFERENCE, Profile, chunks, published
from simulations.cities.hazard import Hazard
from simulations.cities.parquet import connection, write_parquet
from simulations.cities.sheets import write_workbook
from simulations.cities.solve import Reals
from simulations.cities.streams import Streams
from simulations.cities.terms import Table
from simulations.cities.truth import Truth

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def build(
    folder: Path,
    spill: Path,
    cities: Sequence[str],
    rows: int | None,
    seed: int,
    heterogeneity: float,
    events: bool = False,
) -> None:
    """Write everything into an empty folder. `spill`: a folder for the database's own files. `events`: the months of every account too."""
    profiles = [PROFILES[city].shrunk(REFERENCE, heterogeneity) for city in cities]
    if rows is not None:
        profiles = [replace(profile, rows=rows) for profile in profiles]
    reference = reference_people(seed)
    figures = published()
    never = figures.accounts - figures.ever_paid
    baseline = hazard.solved_baseline(reference, never, figures.abnormal - never)
    with connection(spill) as database:
        truth = Truth(database, folder / "truth")
        for profile in profiles:
            write_city(folder / profile.city, profile, seed, baseline, reference, truth, database, events)
        truth.finish(seed, heterogeneity, baseline)
    (folder / "askers.yaml").write_bytes(_shipped("askers.yaml"))


def reference_people(seed: int) -> Table:
    """The holders of Q city at its own size: the shared baseline is solved on them."""
    (facts,) = chunks(REFERENCE, by_generation(design.joint(REFERENCE)), REFERENCE.rows)
    return population.people(Streams(seed, REFERENCE.city), facts)


def by_generation(joint: Reals) -> Reals:
    """Share of each (product, generation), of a joint table (age, product, education)."""
    import numpy as np

    each = [joint[generation == design.GENERATION].sum(axis=(0, 2)) for generation in range(5)]
    return np.stack(each, axis=1)


def write_city(
    folder: Path,
    profile: Profile,
    seed: int,
    baseline: Hazard,
    reference: Table,
    truth: Truth,
    database: "DuckDBPyConnection",
    events: bool = False,
) -> None:
    """One city folder."""
    (folder / "data").mkdir(parents=True)
    for name in ("city.yaml", "mapping.yaml"):
        (folder / name).write_bytes(_shipped(f"{profile.city}.{name}"))
    if events:
        (folder / "mapping.yaml").write_bytes(happenings.mapped(profile.city, _shipped(f"{profile.city}.mapping.yaml")))
    (folder / "policy.yaml").write_bytes(_shipped("policy.yaml"))
    parts = list(chunks(profile, by_generation(design.joint(profile)), CHUNK))
    is_reference = profile == REFERENCE and len(parts) == 1
    model = baseline
    for number, facts in enumerate(parts):
        streams = Streams(seed, profile.city, number)
        people = reference if is_reference else population.people(streams, facts)
        if number == 0:
            if profile != REFERENCE:
                model = population.solve_hazard(people, facts, baseline)
            truth.city(profile, model, *hazard.expected(people, model))
        table = population.lives(people, streams, facts, model)
        del people  # of 2^20 rows each, as are what follows
        local = DIALECTS[profile.city](table, streams)
        for file in (*local.files, *([happenings.file(profile.city, table)] if events else ())):
            _write(folder / "data", file, f"_{number:04d}" if len(parts) > 1 else "", database)
        truth.add(profile.city, table, local)
        del table, local


def _write(folder: Path, file: File, part: str, database: "DuckDBPyConnection") -> None:
    match file.content:
        case bytes():
            (folder / f"{file.stem}{part}.csv").write_bytes(file.content)
        case tuple():
            write_workbook(file.content, folder / f"{file.stem}{part}.xlsx")
        case dict():
            write_parquet(database, file.content, folder / f"{file.stem}{part}.parquet")


def _shipped(name: str) -> bytes:
    return resources.files("simulations.cities").joinpath(name).read_bytes()
