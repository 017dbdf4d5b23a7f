"""The transport key: it lets this city's link into the fleet routes, and says nothing else about anything."""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, Place
from protocols.roster import Roster

KEY: Final = Path("transport") / "ec384.key"
NEXT: Final = KEY.with_name("next.key")  # a key that no roster lists yet
SECRET: Final = KEY.with_name("superexec.secret")  # with which the link claims the tasks of a stock SuperNode beside
CURVE: Final = ec.SECP384R1()
ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)  # of the group of P-384 (FIPS 186-5)


def transport(home: Path, entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    """The transport key under `home`, made if there is none yet. OpenSSH format, as Flower wants it; mode 0600, folder 0700.

    Errors: `ConfigError TRANSPORT_KEY` for a file that holds no key of this curve.
    """
    return _made(home / KEY, entropy)


def following(home: Path, entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    """The key that will follow the one in use, made if there is none yet. Errors: as `transport`."""
    return _made(home / NEXT, entropy)


def followed(home: Path, roster: Roster) -> bool:
    """Use the new key from the roster on that lists it. Whether it did. Errors: as `transport`."""
    path = home / NEXT
    if not path.is_file():
        return False
    mine = public(read(path))
    if not any(mine in each.transport for each in roster.entries.cities if each.state == "active"):
        return False
    path.rename(home / KEY)
    return True


def claims(home: Path, entropy: Entropy) -> Path:
    """The file with which tasks of a stock SuperNode are claimed, made if there is none yet: 32 random bytes, mode 0600."""
    if not (home / SECRET).exists():
        _written(home / SECRET, exactly(entropy, 32))
    return home / SECRET


def _made(path: Path, entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        secret = 1 + int.from_bytes(exactly(entropy, 56), "big") % (
            ORDER - 1
        )  # 64 bits to spare: no residue is likelier
        made = ec.derive_private_key(secret, CURVE)
        _written(path, made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return read(path)


def _written(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def read(path: Path) -> ec.EllipticCurvePrivateKey:
    """A key in OpenSSH format. Errors: as `transport`."""
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except ValueError:
        raise ConfigError("TRANSPORT_KEY", Place(str(path))) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError("TRANSPORT_KEY", Place(str(path)))
    return key


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """What the roster lists: the compressed point (X9.62) in hex."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


def listed(home: Path) -> str:
    """The public transport key under `home`, as the roster lists it; empty where there is none yet."""
    path = home / KEY
    return public(read(path)) if path.is_file() else ""
