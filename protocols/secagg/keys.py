"""The key schedule: every digest and every key of the protocol, each under its own label (docs/protocol.md).

Digests are taken over bytes as received. A label belongs to one function of this file; a test reads the file to see it.
"""

import hmac
from collections.abc import Iterable
from enum import Enum
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from protocols.errors import PeerError
from protocols.messages import lp, u32

SUITE_NAME: Final = b"hpf-secagg/1"


class Label(Enum):
    """The closed list of what digests and keys are made for."""

    PLAN = b"plan"
    U1 = b"u1"
    CTX = b"ctx"
    U2 = b"u2"
    ASK = b"ask"
    ROUND = b"round"
    U3 = b"u3"
    B_COMMIT = b"b-commit"
    BOX = b"box"
    BOX_AAD = b"box-aad"
    PAIR = b"pair"
    SELF = b"self"
    Y = b"y"
    INPUT = b"input"
    REVEALS = b"reveals"
    SUM = b"sum"
    RECEIPT = b"receipt"
    TRANSCRIPT = b"transcript"


_HEADS: Final = {label: lp(SUITE_NAME) + lp(label.value) for label in Label}


def _digest(label: Label, *parts: bytes | memoryview) -> bytes:
    state = sha256(_HEADS[label])
    for part in parts:
        state.update(u32(len(part)))
        state.update(part)
    return state.digest()


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def plan_digest(plan: bytes) -> bytes:
    """Of the plan's bytes."""
    return _digest(Label.PLAN, plan)


def ctx(plan: bytes, adverts: Iterable[bytes]) -> bytes:
    """Of plan_digest and the Advert envelopes of U1, ascending: who takes part, under which keys."""
    return _digest(Label.CTX, plan, _digest(Label.U1, *adverts))


def u2_digest(ids: Iterable[int]) -> bytes:
    """Of U2."""
    return _digest(Label.U2, *map(u32, ids))


def ask_digest(ask: bytes) -> bytes:
    """Of an Ask body."""
    return _digest(Label.ASK, ask)


def rctx(context: bytes, u2: bytes, round_: int, ask: bytes) -> bytes:
    """Of ctx, u2_digest, the round and ask_digest: what one sum is about."""
    return _digest(Label.ROUND, context, u2, _u16(round_), ask)


def u3_digest(context: bytes, ids: Iterable[int]) -> bytes:
    """Of rctx and U3: what a Confirm signs."""
    return _digest(Label.U3, context, *map(u32, ids))


def b_commit(plan: bytes, city: int, round_: int, b: bytes) -> bytes:
    """Commitment to the self-mask seed b of a city in a round."""
    return _digest(Label.B_COMMIT, plan, u32(city), _u16(round_), b)


def y_digest(context: bytes, city: int, body: bytes) -> bytes:
    """Of a masked vector. `body`: SHA-256 of the Masked body, as the signed header gives it, so that the vector is not hashed again."""
    return _digest(Label.Y, context, u32(city), body)


def input_commit(context: bytes, salt: bytes, snapshot: bytes, seed: bytes) -> bytes:
    """Binds snapshot and noise seed of an input, for an inspector inside the city."""
    return _digest(Label.INPUT, context, salt, snapshot, seed)


def sum_digest(context: bytes, u3: bytes, reveals: Iterable[bytes], total: bytes | memoryview) -> bytes:
    """Of an opened sum (int64, little-endian). The Reveal envelopes in it keep suppressed cells from being tried out."""
    return sum_digest_of(context, u3, reveals_digest(reveals), total)


def reveals_digest(reveals: Iterable[bytes]) -> bytes:
    """Of the Reveal envelopes of a sum."""
    return _digest(Label.REVEALS, *reveals)


def sum_digest_of(context: bytes, u3: bytes, reveals: bytes, total: bytes | memoryview) -> bytes:
    """The same from the digest of the Reveal envelopes, for whoever does not have them."""
    return _digest(Label.SUM, context, u3, reveals, total)


def receipt_digest(receipt: bytes) -> bytes:
    """Of a Receipt body: what an Ack answers."""
    return _digest(Label.RECEIPT, receipt)


def transcript_digest(items: Iterable[bytes]) -> bytes:
    """Of the items of a transcript in their order; a Masked stands there as its imprint."""
    return _digest(Label.TRANSCRIPT, *items)


def point(public: bytes) -> int:
    """u of an X25519 key, as RFC 7748 reads it: two spellings of one key are one."""
    return (int.from_bytes(public, "little") & (2**255 - 1)) % (2**255 - 19)


def agree(secret: X25519PrivateKey, public: bytes) -> bytes:
    """X25519 (RFC 7748). Errors: `PeerError SECAGG_LOW_ORDER_KEY` where the shared secret is all zero."""
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise PeerError("SECAGG_LOW_ORDER_KEY", who="coordinator", step="shares") from None


def of_low_order(public: bytes) -> bool:
    """Whether a key gives an all-zero secret with every key: u of a point whose order divides 8 (RFC 7748, 6.1)."""
    return point(public) in _LOW_ORDER


_LOW_ORDER: Final = frozenset(
    (
        0,
        1,
        2**255 - 20,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


def _expand(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869), 32 bytes: extract, then the one block of expand."""
    return hmac.digest(hmac.digest(salt, ikm, "sha256"), info + b"\x01", "sha256")


def pair_key(shared: bytes, context: bytes, one: int, other: int) -> bytes:
    """Mask key of a pair of cities in the round `context` (rctx); the same on both sides."""
    return _expand(shared, context, lp(Label.PAIR.value) + u32(min(one, other)) + u32(max(one, other)))


def self_key(b: bytes, context: bytes, city: int) -> bytes:
    """Self-mask key of a city in the round `context` (rctx)."""
    return _expand(b, context, lp(Label.SELF.value) + u32(city))


def seal_box(shared: bytes, context: bytes, sender: int, to: int, rounds: int, content: bytes) -> bytes:
    """Shares from one city to another under `context` (ctx). The key is used once, so the nonce is zero (RFC 8439)."""
    return ChaCha20Poly1305(_box_key(shared, context, sender, to)).encrypt(
        bytes(12), content, _box_aad(context, sender, to, rounds)
    )


def open_box(shared: bytes, context: bytes, sender: int, to: int, rounds: int, box: bytes) -> bytes:
    """Inverse of `seal_box`; empty if the box is not what that sender sealed for this recipient under this `context`."""
    try:
        return ChaCha20Poly1305(_box_key(shared, context, sender, to)).decrypt(
            bytes(12), box, _box_aad(context, sender, to, rounds)
        )
    except InvalidTag:
        return b""


def _box_key(shared: bytes, context: bytes, sender: int, to: int) -> bytes:
    return _expand(shared, context, lp(Label.BOX.value) + u32(sender) + u32(to))


def _box_aad(context: bytes, sender: int, to: int, rounds: int) -> bytes:
    return _digest(Label.BOX_AAD, context, u32(sender), u32(to), _u16(rounds))
