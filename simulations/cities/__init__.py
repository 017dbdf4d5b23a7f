"""Six invented populations as city folders: Q city (chongqing) reproduces published aggregates, five siblings differ in stated ways.

Every folder holds what a real one would: data in the city's own dialect, `mapping.yaml`, `policy.yaml`, `city.yaml` (`synthetic: true`).
`truth/`, beside the folders, holds the clean rows and the planted parameters. No record of a person is in any of it.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocols.errors import ConfigError, Place

ALL: Final = ("chongqing", "chengdu", "guangzhou", "shenzhen", "suzhou", "changzhou")
LEAST_ROWS: Final = 500
MOST_ROWS: Final = 20_000_000
MOST_HETEROGENEITY: Final = 2.0


def write(
    out: Path,
    cities: Sequence[str] = ALL,
    rows: int | None = None,
    seed: int = 20220531,
    heterogeneity: float = 1.0,
) -> None:
    """Write `cities` into the folder `out`, which is absent or empty: all of it, or nothing.

    `rows`: accounts of each city instead of its own number. `heterogeneity` multiplies every shift of the siblings: 0 makes them equal to
    Q city but for noise. The same arguments give the same bytes.
    Errors: `ConfigError` SIMULATE_OUT, SIMULATE_CITY, SIMULATE_ROWS, SIMULATE_HETEROGENEITY, SIMULATE_SEED.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("SIMULATE_OUT", Place(str(out)))
    unknown = [city for city in cities if city not in ALL]
    if unknown or not cities:
        raise ConfigError("SIMULATE_CITY", city=unknown[0] if unknown else "", known=", ".join(ALL))
    if rows is not None and not LEAST_ROWS <= rows <= MOST_ROWS:
        raise ConfigError("SIMULATE_ROWS", rows=rows, least=LEAST_ROWS, most=MOST_ROWS)
    if not (math.isfinite(heterogeneity) and 0 <= heterogeneity <= MOST_HETEROGENEITY):
        raise ConfigError("SIMULATE_HETEROGENEITY", value=heterogeneity, most=MOST_HETEROGENEITY)
    if seed < 0:
        raise ConfigError("SIMULATE_SEED", seed=seed)

    from simulations.cities.folders import build

    there = out.exists()
    if not there:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=out if there else out.parent) as place:
        made = Path(place) / "synthetic"
        made.mkdir()
        build(made, Path(place) / "spill", [city for city in ALL if city in cities], rows, seed, heterogeneity)
        if there:  # a folder that exists may be a mount, or where somebody stands: it is filled, not replaced
            for each in made.iterdir():
                each.rename(out / each.name)
        else:
            made.rename(out)
