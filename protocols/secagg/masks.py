"""Adding keystreams to a vector modulo 2^w: the one hot loop (docs/protocol.md)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from protocols.ring import Words

CHUNK: Final = 128 << 10  # bytes; the accumulator's chunk stays in cache while the keys pass over it

Mask = tuple[bytes, int]  # a key that is used for this one vector, and +1 or -1


def add_masks(accumulator: Words, masks: Sequence[Mask], chunk: int = CHUNK) -> None:
    """accumulator += sum of sign * PRG(key), in place. PRG: AES-256-CTR from counter 0 (NIST SP 800-38A), read as
    little-endian words.

    Chunks outside, keys inside: one encryptor per key goes on from chunk to chunk and writes into one reused buffer, so
    nothing is allocated per key and each element is loaded once. `chunk`: a multiple of 16 bytes.
    """
    encryptors = [(Cipher(AES256(key), CTR(bytes(16))).encryptor(), sign) for key, sign in masks]
    zeros = memoryview(bytes(chunk))
    stream = bytearray(chunk + 16)
    words = np.frombuffer(stream, dtype=accumulator.dtype)
    step = chunk // accumulator.itemsize
    for start in range(0, accumulator.size, step):
        part = accumulator[start : start + step]
        silent, drawn = zeros[: part.nbytes], words[: part.size]
        for encryptor, sign in encryptors:
            encryptor.update_into(silent, stream)
            (np.add if sign > 0 else np.subtract)(part, drawn, out=part)


def pair_sign(one: int, other: int) -> int:
    """How city `one` uses the mask that it shares with `other`: the two signs are opposite, so the sum holds neither."""
    return 1 if one < other else -1
