"""A city's place in a consortium: its enrolment, and the rosters that it accepts.

The root that is pinned is the one that the stored roster names: a roster is only stored after its signature held under the root before it,
or, the first time, under the one whose fingerprint was heard by telephone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.city import City
from node.held import ROSTER, held, keep_roster
from node.identity import KEY, identity, key_file, public
from node.transport import following, transport
from protocols.enrolment import fingerprint, same_fingerprint, sign_enrolment
from protocols.entropy import Entropy
from protocols.errors import ConfigError, PeerError, Place
from protocols.roster import Roster, accept, self_declared
from protocols.signed import FileType, public_of, signed_anew

NEXT: Final = KEY.with_name("next.key")  # an identity key that no roster lists yet


def enrolment(city: City, home: Path, entropy: Entropy) -> bytes:
    """The file that enrols a city; its keys are made if there are none yet. The same keys give the same file."""
    return sign_enrolment(city.city, city.code, identity(home, entropy), transport(home, entropy))


def rotation(city: City, home: Path, entropy: Entropy) -> bytes:
    """The file by which a new identity key follows the one in use, signed by both and by the transport key. The new key is used from the
    roster on that lists it. Errors: `ConfigError KEY_NONE`."""
    if not public(home):
        raise ConfigError("KEY_NONE", Place(str(home / KEY)))
    path = home / NEXT
    fresh = _key(path) if path.exists() else key_file(path, entropy)
    return sign_enrolment(city.city, city.code, fresh, transport(home, entropy), before=identity(home, entropy))


def transport_rotation(city: City, home: Path, entropy: Entropy) -> bytes:
    """The file by which a new transport key follows the one in use, signed by the identity key and by the new one. It is used from the
    roster on that lists it. Errors: `ConfigError KEY_NONE`."""
    if not public(home):
        raise ConfigError("KEY_NONE", Place(str(home / KEY)))
    return sign_enrolment(city.city, city.code, identity(home, entropy), following(home, entropy))


def _key(path: Path) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def followed(home: Path, city: City, roster: Roster, now: int) -> bool:
    """Use the new identity key, if the roster lists it: officers are enrolled under it first, then it takes its place. Whether it did."""
    path = home / NEXT
    entry = next((each for each in roster.entries.cities if each.name == city.city), None)
    if entry is None or not path.exists() or public_of(fresh := _key(path)) not in roster.keys_at(entry.id, now):
        return False
    for officer in sorted((home / "officers").glob("*.json")):
        _write(officer, signed_anew(officer.read_bytes(), FileType.ENROLMENT, public(home), fresh))
    path.rename(home / KEY)
    return True


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def accepted(home: Path, files: Sequence[bytes], told: str | None, now: int) -> Roster:
    """Accept a roster, or several that follow each other, oldest first. `told`: the fingerprint of the root, the first time.

    Errors: `ConfigError ROSTER_FIRST` without a fingerprint where none is held; `PeerError` FINGERPRINT, ROSTER_…: the stored one stays.
    """
    stored = held(home)
    if stored is None and told is None:
        raise ConfigError("ROSTER_FIRST", Place(str(home / ROSTER)))
    root = bytes.fromhex((stored or self_declared(files[0])).entries.root)
    if told is not None and not same_fingerprint(told, fingerprint(root)):
        raise PeerError("FINGERPRINT", who="root", found=fingerprint(root), told=told)
    found = accept(files, root=root, stored=stored, now=now)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    keep_roster(home, found)
    return found


def listed(home: Path, city: City, roster: Roster, now: int) -> bool:
    """Whether this city takes part under the key that it has."""
    entry = next((each for each in roster.entries.cities if each.name == city.city), None)
    return entry is not None and roster.active(entry.id) and public(home) in roster.keys_at(entry.id, now)
