"""Signed files: the one shape in which a file of the project is signed (DSSE).

A signed file is canonical JSON `{"payload": base64, "payloadType": type, "signatures": [{"keyid", "sig"}]}`. The signed
bytes are the DSSE pre-authentication encoding, so a signature over one type is worthless under another. Messages have
their own envelope (`messages.py`).
"""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AfterValidator, Field, ValidationError

from protocols.canonical import canonical, parse_canonical
from protocols.errors import PeerError
from protocols.yamltext import Record


class FileType(StrEnum):
    """What a signed file says. A type signs nothing else."""

    MANIFEST = "manifest"
    ATTESTATION = "attestation"
    APPROVAL = "approval"
    STUDY = "study"
    ROSTER = "roster"
    ENROLMENT = "enrolment"
    DECISION = "decision"
    VOTE = "vote"
    ACCEPTANCE = "acceptance"

    @property
    def media(self) -> str:
        return f"application/vnd.hpfed.{self.value}+json"


def key_id(public: bytes) -> str:
    """`ed25519:` and the first 16 hex digits of the SHA-256 of the 32 bytes of the key."""
    return "ed25519:" + sha256(public).hexdigest()[:16]


# y of the points whose order divides 8 on edwards25519, modulo the field prime: 1, 0, -1 and the two y of the points of order 8.
_FIELD: Final = 2**255 - 19
_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


def of_small_order(public: bytes) -> bool:
    """Whether an Ed25519 key lies in the subgroup of order 8: under such a key one signature fits many texts (RFC 8032, section 8.9)."""
    return (int.from_bytes(public, "little") & (2**255 - 1)) % _FIELD in _SMALL


def _sound(text: str) -> str:
    if of_small_order(bytes.fromhex(text)):
        raise ValueError("is a key of small order")
    return text


PublicHex = Annotated[str, Field(pattern="^[0-9a-f]{64}$"), AfterValidator(_sound)]  # an Ed25519 public key, 32 bytes


def public_of(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key that belongs to `key`."""
    return key.public_key().public_bytes_raw()


class _Signature(Record):
    keyid: str
    sig: str


class _File(Record):
    payload: str
    payloadType: str  # noqa: N815 the name is DSSE's
    signatures: tuple[_Signature, ...]


@dataclass(frozen=True)
class Signed:
    """A file whose every signature held. `value` is the parsed payload, `signers` the public keys that signed, in the file's order."""

    payload: bytes
    value: Any
    signers: tuple[bytes, ...]


def _authenticated(media: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(media), media.encode(), len(payload), payload)


def sign(kind: FileType, payload: bytes, *keys: Ed25519PrivateKey) -> bytes:
    """The signed file over `payload`, signed by each of `keys`. Pre-condition: `payload` is canonical JSON."""
    signed = _authenticated(kind.media, payload)
    signatures = [{"keyid": key_id(public_of(key)), "sig": base64.b64encode(key.sign(signed)).decode()} for key in keys]
    return canonical(
        {"payloadType": kind.media, "payload": base64.b64encode(payload).decode(), "signatures": signatures}
    )


def unverified(content: bytes, kind: FileType) -> Any:
    """The payload of a file before any signature was looked at: only to learn which keys it claims. Errors: as `verified`."""
    return parse_canonical(_decoded(_parsed(content, kind).payload, kind), f"{kind} payload")


def verified(content: bytes, kind: FileType, known: Collection[bytes]) -> Signed:
    """Open a signed file; `known` holds the public keys that may have signed.

    1 the file is canonical JSON of the closed shape, so that no key stands twice and nothing trails;
    2 the type is the expected one;
    3 base64 is strict;
    4 there is a signature, none by the same key twice, and every one of them is by a key of `known`, of full order, and
      holds;
    5 the payload is canonical JSON itself.

    Errors: `PeerError` SIGNED_SHAPE, SIGNED_TYPE, SIGNED_SIGNATURE, NOT_CANONICAL.
    """
    file = _parsed(content, kind)  # 1, 2
    payload = _decoded(file.payload, kind)  # 3
    by_id = {key_id(public): public for public in known if not of_small_order(public)}
    signers = tuple(by_id.get(each.keyid, b"") for each in file.signatures)
    if not signers or b"" in signers or len(set(signers)) != len(signers):  # 4
        raise PeerError("SIGNED_SIGNATURE", kind=kind.value)
    for public, each in zip(signers, file.signatures, strict=True):
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(
                _decoded(each.sig, kind), _authenticated(kind.media, payload)
            )
        except InvalidSignature:
            raise PeerError("SIGNED_SIGNATURE", kind=kind.value) from None
    return Signed(payload, parse_canonical(payload, f"{kind} payload"), signers)  # 5


def signature_of(content: bytes, kind: FileType) -> bytes:
    """The 64 bytes with which the one signer of a file signed it, unverified. Errors: `PeerError SIGNED_SHAPE | SIGNED_TYPE`."""
    found = _parsed(content, kind).signatures
    if len(found) != 1:
        raise PeerError("SIGNED_SHAPE", kind=kind.value)
    return _decoded(found[0].sig, kind)


def signed_by(content: bytes, kind: FileType, public: bytes) -> bytes:
    """The same file with the signatures of one key alone; whether they hold is another question. Errors: as `signature_of`."""
    file = _parsed(content, kind)
    own = tuple(each for each in file.signatures if each.keyid == key_id(public))
    return canonical(file.model_copy(update={"signatures": own}).model_dump())


def signed_anew(content: bytes, kind: FileType, gone: bytes, key: Ed25519PrivateKey) -> bytes:
    """The same file with the signature of `gone` (a public key) replaced by one of `key`. Errors: as `signature_of`."""
    file = _parsed(content, kind)
    fresh = _parsed(sign(kind, _decoded(file.payload, kind), key), kind).signatures
    others = tuple(each for each in file.signatures if each.keyid not in (key_id(gone), fresh[0].keyid))
    return canonical(file.model_copy(update={"signatures": (*others, *fresh)}).model_dump())


def attached(kind: FileType, payload: bytes, public: bytes, signature: bytes) -> bytes:
    """The file of one signer, put together again from its parts: where payload and signature travel inside another file."""
    signatures = [{"keyid": key_id(public), "sig": base64.b64encode(signature).decode()}]
    return canonical(
        {"payloadType": kind.media, "payload": base64.b64encode(payload).decode(), "signatures": signatures}
    )


def _parsed(content: bytes, kind: FileType) -> _File:
    try:
        file = _File.model_validate_json(content, strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=kind.value) from None
    if canonical(file.model_dump()) != content:
        raise PeerError("SIGNED_SHAPE", kind=kind.value)
    if file.payloadType != kind.media:
        raise PeerError("SIGNED_TYPE", kind=kind.value)
    return file


def _decoded(text: str, kind: FileType) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise PeerError("SIGNED_SHAPE", kind=kind.value) from None
    if base64.b64encode(content).decode() != text:
        raise PeerError("SIGNED_SHAPE", kind=kind.value)
    return content
