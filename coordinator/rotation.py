"""The coordinator's own keys: the one in use, one that is to follow it, and those of before, under which what they opened is finished.

    <home>/identity/ed25519.key            the first
    <home>/identity/ed25519.<n>.key        the n-th, from 2

The roster says which of them is in use: the last that it lists. A key comes into use with the roster that lists it.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator import roster
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, Place
from protocols.roster import Entries, Roster
from protocols.rotation import sign_rotation
from protocols.signed import public_of


def files(home: Path) -> list[Path]:
    """The key files, oldest first."""
    folder = (home / roster.IDENTITY).parent
    later = sorted(folder.glob("ed25519.*.key"), key=lambda path: int(path.name.split(".")[1]))
    return [home / roster.IDENTITY, *later]


def own(home: Path, under: Roster) -> Ed25519PrivateKey:
    """The key that the coordinator speaks with where this roster is held. Errors: `ConfigError` KEY_NONE, KEY_FILE, KEY_UNLISTED."""
    return _listed(home, under.entries)


def _listed(home: Path, entries: Entries) -> Ed25519PrivateKey:
    held = {public_of(key).hex(): key for key in map(roster.key_of, files(home))}
    for listed in reversed(entries.coordinator):
        if listed.key in held:
            return held[listed.key]
    raise ConfigError("KEY_UNLISTED", Place(str(home / roster.IDENTITY)))


def rotated(home: Path, entropy: Entropy) -> bytes:
    """The file by which a new key follows the one in use, signed by both. One that no roster lists yet is not made again.

    Errors: those of `own`; `ConfigError ROSTER_UNSIGNED`.
    """
    entries = roster.signed(home).entries
    before = _listed(home, entries)
    listed = {key.key for key in entries.coordinator}
    known = files(home)
    fresh = roster.key_of(known[-1])
    if public_of(fresh).hex() in listed:
        fresh = Ed25519PrivateKey.from_private_bytes(exactly(entropy, 32))
        roster.written(known[0].with_name(f"ed25519.{len(known) + 1}.key"), fresh.private_bytes_raw())
    return sign_rotation(entries.consortium, before, fresh)
