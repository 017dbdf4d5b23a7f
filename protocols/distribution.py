"""Which software a party runs: version, one digest over every file of this distribution's packages, and whether they are as installed."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    PackagePath,
    distribution,
    packages_distributions,
    version,
)
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from protocols.errors import PeerError
from protocols.roster import Software

NAME: Final = "hpfed"
PACKAGES: Final = ("coordinator", "node", "protocols", "simulations")
KINDS: Final = (".py", ".yaml", ".j2")


@cache
def software() -> Software:
    """Version and SHA-256 over path and content of every file, by ascending path. Reads the installed packages, once per process."""
    here = Path(__file__).parent.parent
    found = sorted(path for package in PACKAGES for path in (here / package).rglob("*") if path.suffix in KINDS)
    whole = sha256()
    for path in found:
        whole.update(path.relative_to(here).as_posix().encode() + b"\0" + sha256(path.read_bytes()).digest())
    return Software(version=version(NAME), sha256=whole.hexdigest())


@dataclass(frozen=True)
class Installed:
    """How the files of this distribution stand to its RECORD, which its installation wrote.

    `recorded`: how many files of ours it lists; none where the packages are used where they were written (an editable installation).
    `altered`: files that differ from it, that are missing, or that it does not know. `strangers`: other distributions with packages of the
    same names, which Python puts into one folder without a word.
    """

    recorded: int
    altered: tuple[str, ...]
    strangers: tuple[str, ...]


def installed() -> Installed:
    """This very installation. Reads every file of it."""
    return looked_at(distribution(NAME), packages_distributions())


def looked_at(own: Distribution, owners: Mapping[str, Sequence[str]]) -> Installed:
    """An installation; `owners`: the distributions of each top-level package."""
    listed = {each.as_posix(): each for each in own.files or () if each.parts[0] in PACKAGES}
    altered = {name for name, each in listed.items() if not _same(each)}
    if listed:
        root = Path(str(own.locate_file("")))
        there = (path for package in PACKAGES for path in (root / package).rglob("*") if path.suffix in KINDS)
        altered |= {path.relative_to(root).as_posix() for path in there} - listed.keys()
    strangers = {each for package in PACKAGES for each in owners.get(package, ())} - {NAME}
    return Installed(len(listed), tuple(sorted(altered)), tuple(sorted(strangers)))


def _same(recorded: PackagePath) -> bool:
    """Whether a file is what its RECORD says; where that says nothing of it, it is."""
    if recorded.hash is None:
        return True
    try:
        found = sha256(Path(recorded.locate()).read_bytes()).digest()
    except OSError:
        return False
    return urlsafe_b64encode(found).decode().rstrip("=") == recorded.hash.value


def altered_dependencies(extras: Iterable[str] = ("flower",)) -> tuple[str, ...]:
    """Of all that this distribution needs, and what that needs: those with a file that is not what its own RECORD says. Reads them all."""
    return tuple(sorted(name for name, each in _needed(extras).items() if not all(map(_same, each.files or ()))))


def _needed(extras: Iterable[str]) -> dict[str, Distribution]:
    """By name. What a marker or an extra leaves out, and what is not installed, is not there."""
    found: dict[str, Distribution] = {}
    waiting = [(NAME, tuple(extras))]
    while waiting:
        name, wanted = waiting.pop()
        for text in distribution(name).requires or ():
            needs = Requirement(text)
            other = canonicalize_name(needs.name)
            asked = needs.marker is None or any(needs.marker.evaluate({"extra": each}) for each in ("", *wanted))
            if other in found or not asked:
                continue
            with suppress(PackageNotFoundError):
                found[other] = distribution(other)
                waiting.append((other, tuple(needs.extras)))
    return found


def check(found: Installed, own: Software, accepted: Iterable[Software]) -> PeerError | None:
    """Why this software may not run for its consortium; None if it may. `accepted`: of the roster; an empty list refuses nothing."""
    if found.altered:
        return PeerError("SOFTWARE_ALTERED", count=len(found.altered), name=found.altered[0])
    if found.strangers:
        return PeerError("SOFTWARE_MIXED", names=", ".join(found.strangers), packages=", ".join(PACKAGES))
    listed = tuple(accepted)
    if listed and own not in listed:
        versions = ", ".join(dict.fromkeys(each.version for each in listed))
        return PeerError("SOFTWARE_UNLISTED", version=own.version, sha256=own.sha256, accepted=versions)
    return None
