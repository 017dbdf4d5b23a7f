"""The mask loop against bare AES-256-CTR on chunks of the same size."""

from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from protocols.entropy import operating_system
from protocols.secagg.masks import CHUNK, add_masks
from simulations.bench import Line, compared, rate


def lines(quick: bool = False) -> Iterator[Line]:
    """Bytes of keystream per CPU second, 30 keys over 10^6 cells. Target: 0.70 of its peer."""
    many, cells, rounds = (2, CHUNK, 1) if quick else (30, 10**6, 5)
    for bits in (32, 64):
        keys = [operating_system(32) for _ in range(many)]
        accumulator = np.zeros(cells, dtype=f"<u{bits // 8}")
        size = many * accumulator.nbytes

        def ours(words=accumulator, secrets=tuple(keys), amount: int = size) -> float:  # type: ignore[no-untyped-def]  # bound here, for the loop
            return rate(amount, lambda: add_masks(words, [(key, 1) for key in secrets]))

        def peer(secrets=tuple(keys), amount: int = size) -> float:  # type: ignore[no-untyped-def]  # bound here, for the loop
            return rate(amount, lambda: _bare(secrets, amount // len(secrets)))

        yield compared(
            f"mask loop, {bits}-bit ring", "bytes/s", "bare AES-256-CTR update_into", 0.70, ours, peer, rounds
        )


def _bare(keys: tuple[bytes, ...], size: int) -> None:
    zeros, stream = bytes(CHUNK), bytearray(CHUNK + 16)
    for key in keys:
        encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
        for _ in range(size // CHUNK):
            encryptor.update_into(zeros, stream)
