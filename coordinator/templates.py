"""Studies to begin with: those that ship, one file of `coordinator/studies` each, and any study file of one's own.

A copy keeps every comment: it is meant to be read and changed by a person. What ships is tested over the shipped policy.
"""

import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from protocols import study as studies
from protocols import yamltext
from protocols.dictionary import Words, is_shipped, near
from protocols.errors import ConfigError, Place
from protocols.yamltext import Document, read

USUAL: Final = "flexible-employment-profile"  # where a file is named and no template
ENDING: Final = ".yaml"


@dataclass(frozen=True)
class Template:
    """What a shipped study is about, as its file says. `asks`: how many questions it has."""

    name: str
    title: dict[str, str]
    purpose: dict[str, str]
    dictionary: str
    asker: str
    mode: str
    epsilon: str
    asks: int

    def published(self) -> dict[str, Any]:
        return asdict(self)


def names() -> tuple[str, ...]:
    """Of the studies that ship, ascending."""
    found = (each.name for each in resources.files("coordinator.studies").iterdir())
    return tuple(sorted(name.removesuffix(ENDING) for name in found if name.endswith(ENDING)))


def content(name: str) -> bytes:
    """The file of a shipped study. Errors: `ConfigError TEMPLATE_UNKNOWN`, with the nearest name."""
    known = names()
    if name not in known:
        raise ConfigError("TEMPLATE_UNKNOWN", name=name, known=", ".join(known), near=near(name, known))
    return resources.files("coordinator.studies").joinpath(name + ENDING).read_bytes()


def listed() -> tuple[Template, ...]:
    """All studies that ship. Their questions are not read: a list is for choosing."""
    return tuple(_listed(name) for name in names())


def _listed(name: str) -> Template:
    tree: Any = read(content(name), name + ENDING).tree
    privacy = tree["privacy"]
    return Template(
        name,
        _both(tree["title"]),
        _both(tree["purpose"]),
        tree["dictionary"],
        tree["asker"],
        privacy.get("mode", "dp"),
        privacy.get("epsilon", ""),
        len(tree["questions"]),
    )


def _both(words: dict[str, str]) -> dict[str, str]:
    said = Words.model_validate(words)
    return {"zh": said.text("zh"), "en": said.text("en")}


def copied(source: Path, out: Path) -> bytes:
    """A study file as it may stand at `out`: the same bytes, but for the path of a dictionary that lies beside it.

    Errors: `ConfigError`, every fault of the study: what is copied can be run.
    """
    studies.load(source)
    document = yamltext.load(source)
    return _redirected(yamltext.content(source), document, source, out)


def _redirected(given: bytes, document: Document, source: Path, out: Path) -> bytes:
    named = document.tree["dictionary"] if isinstance(document.tree, dict) else ""
    if not isinstance(named, str) or is_shipped(named) or Path(named).is_absolute():
        return given
    there = os.path.relpath(source.parent / named, out.parent)
    if there == os.path.normpath(named):
        return given
    lines = given.decode("utf-8").splitlines(keepends=True)
    at, key = document.at("dictionary").line - 1, "dictionary"
    head, _, value = lines[at].partition(key)
    lines[at] = head + key + value.replace(named, there, 1)
    return "".join(lines).encode()


def written(out: Path, given: bytes) -> Path:
    """Write a new file; nothing is ever replaced. Errors: `ConfigError FILE_EXISTS`."""
    try:
        with out.open("xb") as file:
            file.write(given)
    except FileExistsError:
        raise ConfigError("FILE_EXISTS", Place(str(out))) from None
    return out
