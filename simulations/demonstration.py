"""What `hpfed-simulate demo` does: synthetic cities, the flagship study, reports, all in one folder."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

from coordinator import output, split
from protocols import study
from protocols.errors import ConfigError, Place
from simulations import cities, world

STUDY: Final = "flexible-employment-profile.yaml"
MARK: Final = ".hpfed-demo"  # a folder with this file was made here, and may be made anew
OURS: Final = (
    ".hpfed",
    "cities",
    "mine",
    "tables",
    "bundle",
    "study.yaml",
    "results.json",
    "results.xlsx",
    "run.jsonl",
    "report.zh.html",
    "report.en.html",
)


def make(
    out: Path,
    seed: int | None,
    progress: Callable[[str], None],
    rows: int | None = None,
    links: world.Links | None = None,
) -> tuple[world.Outcome, tuple[Path, ...]]:
    """Everything under `out`. `rows`: accounts of each city instead of its own number.

    Errors: `ConfigError OUT_NOT_EMPTY` if `out` holds what no demo has written.
    """
    output.usable(out)
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise ConfigError("OUT_NOT_EMPTY", Place(str(out)))
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()
    for name in OURS:
        place = out / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    began = time.perf_counter()
    cities.write(out / "cities", rows=rows)
    made = time.perf_counter() - began
    progress(f"{out / 'cities'}: {', '.join(cities.ALL)}")
    asked = (resources.files("coordinator.studies") / STUDY).read_bytes()
    (out / "study.yaml").write_bytes(asked)
    homes = None if seed is None else world.fresh_homes(out)
    found = split.stated(study.load(out / "study.yaml"))
    outcome = world.run(found, out / "cities", homes, seed=seed, progress=progress, links=links)
    since = time.perf_counter()
    files = output.write(out, outcome.results, outcome.events, outcome.sealer, {"study.yaml": asked})
    seconds = {"cities": made, **outcome.seconds, "report": time.perf_counter() - since}
    return replace(outcome, seconds=seconds), files
