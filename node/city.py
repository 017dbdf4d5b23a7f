"""A city folder's `city.yaml`: who it is. No contact data."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from protocols import yamltext
from protocols.dictionary import Words
from protocols.errors import ConfigError
from protocols.yamltext import Flag, Record, fit

FILE: Final = "city.yaml"
Held = Literal["included", "excluded", "none"]


class Scope(Record):
    """Who of the city's holders the files cover."""

    province_units: Held | None = None
    railway: Held | None = None
    parks: Held | None = None


class City(Record):
    """`city`: its id in rosters, studies and results. `code`: GB/T 2260. `synthetic`, `open_data`: no real holder, or public microdata."""

    city: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,40}$")]
    name: Words
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    scope: Scope = Scope()
    synthetic: Flag = False
    open_data: Flag = False


def load(folder: Path) -> City:
    """Read `city.yaml` of a city folder. Errors: `ConfigError` with file, line and key; `facts` are NOT_YET."""
    document = yamltext.load(folder / FILE)
    if isinstance(document.tree, dict) and "facts" in document.tree:
        raise ConfigError("NOT_YET", document.at("facts"), thing="`facts`")
    return fit(City, document)
