"""Where randomness comes from. Everything else takes it as an argument.

`Entropy` returns exactly the number of bytes asked for. Product code is handed `operating_system`; simulated worlds and tests
hand in a seeded stream and run the very same code. `public_stream` is no secret: it makes bootstrap draws that anyone can repeat.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from protocols.errors import Refusal

Entropy = Callable[[int], bytes]

operating_system: Final[Entropy] = os.urandom  # noqa: TID251 the one place that reads the operating system's source


def exactly(entropy: Entropy, size: int) -> bytes:
    """`size` bytes of `entropy`. A source that gives fewer is broken: nothing may be drawn from it.

    Errors: `Refusal ENTROPY_SHORT`.
    """
    drawn = entropy(size)
    if len(drawn) != size:
        raise Refusal("ENTROPY_SHORT", asked=size, got=len(drawn))
    return drawn


def aes_stream(key: bytes) -> Entropy:
    """The keystream of AES-256-CTR from counter 0 (NIST SP 800-38A), read on and on. `key`: 32 bytes, used for nothing else.

    The stream is stateful: two readers must never share one, and it must not cross a fork.
    """
    encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    def read(size: int) -> bytes:
        return encryptor.update(bytes(size))

    return read


def seeded(*names: str | int) -> Entropy:
    """A reproducible stream for simulated worlds and tests, one per list of names. It protects nobody who knows the seed."""
    return aes_stream(sha256(b"hpfed-seeded/1" + b"".join(_part(name) for name in names)).digest())


def public_stream(study_digest: str, question_id: str, label: str) -> "np.random.Generator":  # noqa: TID251 the one public stream
    """Generator of public, reproducible draws (bootstraps), unrelated to any noise.

    Philox keyed by the first 16 bytes of SHA-256 over the three names.
    """
    key = sha256(b"hpfed-public/1" + b"".join(_part(name) for name in (study_digest, question_id, label))).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))  # noqa: TID251 public, and only here


def _part(name: str | int) -> bytes:
    text = str(name).encode()
    return len(text).to_bytes(4, "big") + text
