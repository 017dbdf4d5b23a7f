"""How a city's processes run: `config.yaml` in the home. Closed schema; every key may be left out.

    link: {proxy: "http://proxy.local:3128", active_s: 0.2, idle_s: 5, at_once: 2, metrics: 9465, supernode: 9094}

Where a key stands also in the environment (`HPFED_LINK_IDLE_S=10`), that counts. The proxy is read from the file alone, never from
HTTPS_PROXY; the addresses that a link may reach come from the roster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from protocols.yamltext import Document, Real, Record, Tree, Whole, fit, read

FILE: Final = "config.yaml"
PREFIX: Final = "HPFED"
FILE_ONLY: Final = (("link", "proxy"),)
Proxy = Annotated[str, Field(pattern=r"^(http://[A-Za-z0-9._\[\]:-]+:[0-9]{1,5})?$")]
Seconds = Annotated[Real, Field(ge=0.1, le=60)]


class Link(Record):
    """`proxy`: an HTTP proxy that lets the link out by CONNECT, or empty. `active_s`, `idle_s`: between looks for requests.

    `at_once`: requests that the link has at the gate; the rest waits. `metrics`: port of loopback for its figures and health, 0 for none.

    `supernode`: port of loopback where a stock SuperNode beside hands out its tasks (`start --link supernode`).
    """

    proxy: Proxy = ""
    active_s: Seconds = 0.2
    idle_s: Seconds = 5.0
    at_once: Annotated[Whole, Field(ge=1, le=8)] = 2
    metrics: Annotated[Whole, Field(ge=0, le=65_535)] = 9465
    supernode: Annotated[Whole, Field(ge=1, le=65_535)] = 9094


class Settings(Record):
    link: Link = Link()


@dataclass(frozen=True)
class Origin:
    """One value in force, and where it comes from."""

    key: str
    value: Any
    source: str


def load(home: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of a home. Errors: `ConfigError`, every fault with file, line and key, or with the name of the variable."""
    return _loaded(home, environment)[0]


def origins(home: Path, environment: Mapping[str, str]) -> tuple[Origin, ...]:
    """Every value in force and where it comes from. Errors: as `load`."""
    found, sources = _loaded(home, environment)
    return tuple(Origin(".".join(path), _at(found.model_dump(), path), sources.get(path, "default")) for path in KEYS)


def _loaded(home: Path, environment: Mapping[str, str]) -> tuple[Settings, dict[tuple[str, ...], str]]:
    path = home / FILE
    document = read(path.read_bytes(), str(path)) if path.is_file() else Document(str(path), {}, {})
    found, tree = fit(Settings, document), document.tree
    sources = {key: f"{path}:{document.lines[key]}" for key in KEYS if key in document.lines}
    for key in KEYS:
        name = variable(key)
        if key not in FILE_ONLY and name in environment:
            tree = _with(tree, key, environment[name])
            found = fit(Settings, Document(name, tree, {}))
            sources[key] = name
    return found, sources


def variable(key: tuple[str, ...]) -> str:
    """The environment variable of a key."""
    return "_".join((PREFIX, *key)).upper()


def _with(tree: Tree, key: tuple[str, ...], value: str) -> Tree:
    if not key:
        return value
    inner = tree if isinstance(tree, dict) else {}
    return {**inner, key[0]: _with(inner.get(key[0], {}), key[1:], value)}


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


KEYS: Final[tuple[tuple[str, ...], ...]] = tuple(("link", name) for name in Link.model_fields)
