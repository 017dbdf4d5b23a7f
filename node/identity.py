"""A city's own keys, made once in its home. They never leave it."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.entropy import Entropy, exactly

KEY = Path("identity") / "ed25519.key"
HANDED = "CREDENTIALS_DIRECTORY"  # in the environment: where a service manager puts what it alone can read


def place(home: Path) -> Path:
    """Where this process finds the identity key: handed over by a service manager (`LoadCredential=`), or else in the home."""
    handed = os.environ.get(HANDED)
    if handed and (Path(handed) / KEY.name).is_file():
        return Path(handed) / KEY.name
    return home / KEY


def identity(home: Path, entropy: Entropy) -> Ed25519PrivateKey:
    """The identity key under `home`, made from 32 bytes of `entropy` if there is none yet. File mode 0600, folder 0700."""
    path = place(home)
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        return key_file(path, entropy)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def key_file(path: Path, entropy: Entropy) -> Ed25519PrivateKey:
    """A new key in a new file of 32 bytes, mode 0600.

    The key is written beside its place and renamed, so that a crash leaves either no key or a whole one.
    """
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(exactly(entropy, 32))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def public(home: Path) -> bytes:
    """The 32 bytes of the public identity key under `home`; empty where there is none yet."""
    path = place(home)
    if not path.is_file():
        return b""
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes()).public_key().public_bytes_raw()
