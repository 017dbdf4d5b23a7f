"""Six invented populations as city folders: Q city (chongqing) reproduces published aggregates, five siblings differ in stated ways.

Every folder holds what a real one would: data in the city's own dialect, `mapping.yaml`, `policy.yaml`, `city.yaml` (`synthetic: true`).
`truth/`, beside the folders, holds the clean rows and the planted parameters. No record of a person is in any of it.

`write_core` writes the six as annual reports count their holders, with figures of their own. `write_independent` does less for any
dictionary: independent draws from its public domains, to rehearse a study before real files exist. `write_respondents`
makes the respondents of a survey, with planted slopes.
"""

import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from protocols.errors import ConfigError, Place

ALL: Final = ("chongqing", "chengdu", "guangzhou", "shenzhen", "suzhou", "changzhou")
ANY: Final = ("c1", "c2", "c3")  # names of cities of independent draws, where none are given
ANY_ROWS: Final = 5_000
CITY_ID: Final = "[a-z0-9-]{2,40}"
LEAST_ROWS: Final = 500
MOST_ROWS: Final = 20_000_000
MOST_HETEROGENEITY: Final = 2.0


def write(
    out: Path,
    cities: Sequence[str] = ALL,
    rows: int | None = None,
    seed: int = 20220531,
    heterogeneity: float = 1.0,
    broken: str = "",
    events: bool = False,
) -> None:
    """Write `cities` into the folder `out`, which is absent or empty: all of it, or nothing.

    `rows`: accounts of each city instead of its own number. `heterogeneity` multiplies every shift of the siblings: 0 makes them equal to
    Q city but for noise. `broken`: one thing is wrong in the files of one city, as broken.py says. `events`: every account month by month,
    beside the accounts (happenings.py); nothing else changes. The same arguments give the same bytes.
    Errors: `ConfigError` SIMULATE_OUT, SIMULATE_CITY, SIMULATE_ROWS, SIMULATE_HETEROGENEITY, SIMULATE_SEED, SIMULATE_BROKEN.
    """
    _vacant(out)
    _known(cities)
    _sized(LEAST_ROWS if rows is None else rows, seed)
    if not (math.isfinite(heterogeneity) and 0 <= heterogeneity <= MOST_HETEROGENEITY):
        raise ConfigError("SIMULATE_HETEROGENEITY", value=heterogeneity, most=MOST_HETEROGENEITY)

    from simulations.cities.broken import KINDS
    from simulations.cities.folders import build

    if broken and (broken not in KINDS or KINDS[broken].city not in cities):
        known = ", ".join(f"{kind} ({each.city})" for kind, each in KINDS.items())
        raise ConfigError("SIMULATE_BROKEN", kind=broken, known=known)
    with _filling(out) as (made, spill):
        build(made, spill, [city for city in ALL if city in cities], rows, seed, heterogeneity, events)
        if broken:
            KINDS[broken].done(made / KINDS[broken].city / "data")


def write_core(out: Path, cities: Sequence[str] = ALL, rows: int | None = None, seed: int = 20220531) -> date:
    """Write the six cities as annual reports count them, under `hpf-core@1`, into `out`, as `write` does; the date of their snapshots.

    `rows`: holders of each city, a sample of as many as its figures are of; 50,000 if not given. Figures and holders are invented.
    Errors: `ConfigError` SIMULATE_OUT, SIMULATE_CITY, SIMULATE_ROWS, SIMULATE_SEED.
    """
    _vacant(out)
    _known(cities)
    from simulations.cities import annual

    number = annual.ROWS if rows is None else rows
    _sized(number, seed)
    with _filling(out) as (made, spill):
        annual.build(made, spill, [city for city in ALL if city in cities], number, seed)
    return annual.SNAPSHOT


def write_independent(
    out: Path, dictionary: str, cities: Sequence[str] = ANY, rows: int = ANY_ROWS, seed: int = 20220531
) -> date:
    """Write cities of independent draws from the domains of any dictionary into `out`, as `write` does; the date of their snapshots.

    `dictionary`: a built-in `name@version`, or the path of a file, which is copied to `out/dictionary.yaml`.
    Errors: `ConfigError` of the dictionary, and SIMULATE_OUT, SIMULATE_NAME, SIMULATE_ROWS, SIMULATE_SEED, SIMULATE_RANGE.
    """
    _vacant(out)
    _named(cities)
    _sized(rows, seed)

    from simulations.cities import independent

    meant = independent.load(dictionary)
    with _filling(out) as (made, _):
        independent.build(made, meant, dictionary, tuple(dict.fromkeys(cities)), rows, seed)
    return independent.snapshot_date(meant)


def write_respondents(out: Path, parties: Sequence[str] = (), rows: int | None = None, seed: int = 20220531) -> date:
    """Write parties of invented respondents of `platform-workers-survey@1` into `out`, as `write` does; the date of their snapshots.

    Unlike independent draws they have relations that are known: `truth/truth.json` has the planted slopes. Without `parties` or `rows`:
    three of 1,543. Errors: `ConfigError` SIMULATE_OUT, SIMULATE_NAME, SIMULATE_ROWS, SIMULATE_SEED.
    """
    from simulations.cities import respondents

    chosen, each = tuple(dict.fromkeys(parties)) or respondents.PARTIES, respondents.ROWS if rows is None else rows
    _vacant(out)
    _named(chosen)
    _sized(each, seed)
    with _filling(out) as (made, _):
        respondents.build(made, chosen, each, seed)
    return respondents.AS_OF


def _named(cities: Sequence[str]) -> None:
    wrong = [city for city in cities if not re.fullmatch(CITY_ID, city)]
    if wrong or not cities:
        raise ConfigError("SIMULATE_NAME", city=wrong[0] if wrong else "")


def _known(cities: Sequence[str]) -> None:
    unknown = [city for city in cities if city not in ALL]
    if unknown or not cities:
        raise ConfigError("SIMULATE_CITY", city=unknown[0] if unknown else "", known=", ".join(ALL))


def _vacant(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("SIMULATE_OUT", Place(str(out)))


def _sized(rows: int, seed: int) -> None:
    if not LEAST_ROWS <= rows <= MOST_ROWS:
        raise ConfigError("SIMULATE_ROWS", rows=rows, least=LEAST_ROWS, most=MOST_ROWS)
    if seed < 0:
        raise ConfigError("SIMULATE_SEED", seed=seed)


@contextmanager
def _filling(out: Path) -> Iterator[tuple[Path, Path]]:
    """An empty folder that becomes `out` when all of it is there, and a place beside it that goes away."""
    there = out.exists()
    if not there:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=out if there else out.parent) as place:
        made = Path(place) / "synthetic"
        made.mkdir()
        yield made, Path(place) / "spill"
        if there:  # a folder that exists may be a mount, or where somebody stands: it is filled, not replaced
            for each in made.iterdir():
                each.rename(out / each.name)
        else:
            made.rename(out)
