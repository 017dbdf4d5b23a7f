"""Which software a party runs: the version, and one digest over every file of this distribution's packages."""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

from protocols.roster import Software

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
    return Software(version=version("hpfed"), sha256=whole.hexdigest())
