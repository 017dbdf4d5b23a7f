"""How a city comes to the roster: a file in which it names its two keys and shows that it has both.

    enrolment       a signed file of type `enrolment`, by the identity key; where it follows another key of the city, by that one too
    proof           inside it, an ECDSA signature (P-384, SHA-384) of the transport key over everything else in it
    fingerprint     what is compared by telephone: 32 hex digits over both keys, or over one where there is one

Flower wants a transport key of a curve that signed files do not know, so its signature stands in the payload, under a prefix of its own.
"""

from hashlib import sha256
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA384
from pydantic import Field, ValidationError

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.roster import Word
from protocols.signed import FileType, PublicHex, public_of, sign, unverified, verified
from protocols.yamltext import Record

PROOF: Final = b"hpfed/enrolment/1\0"
FINGERPRINT: Final = b"hpfed/fingerprint/1\0"
GROUP: Final = 4  # hex digits that are read out together


class Enrolment(Record):
    """What the roster will say of a city. `transport`: a compressed point of P-384 in hex. `follows`: the key that this one replaces."""

    contract: Literal[1] = 1
    city: Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")]
    code: Word
    size_class: int = Field(default=1 << 24, ge=1, le=1 << 24)
    identity: PublicHex
    transport: Annotated[str, Field(pattern="^0[23][0-9a-f]{96}$")]
    follows: PublicHex | None = None
    proof: Annotated[str, Field(pattern="^([0-9a-f]{2}){8,104}$")]

    @property
    def fingerprint(self) -> str:
        return fingerprint(bytes.fromhex(self.identity), bytes.fromhex(self.transport))


def fingerprint(*keys: bytes) -> str:
    """Eight groups of four hex digits over public keys, each with its length before it."""
    text = sha256(FINGERPRINT + b"".join(len(key).to_bytes(1, "big") + key for key in keys)).hexdigest()[: 8 * GROUP]
    return "-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def same_fingerprint(told: str, found: str) -> bool:
    """Whether a fingerprint was told in full: case, spaces and dashes do not count."""
    return "".join(told.lower().replace("-", " ").split()) == found.replace("-", "")


def sign_enrolment(
    city: str,
    code: str,
    identity: Ed25519PrivateKey,
    transport: ec.EllipticCurvePrivateKey,
    *,
    size_class: int = 1 << 24,
    before: Ed25519PrivateKey | None = None,
) -> bytes:
    """The file with which a city enrols, signed by both keys; with `before`, the identity key that the new one follows, by three."""
    point = ec_point(transport.public_key())
    said = {
        "contract": 1,
        "city": city,
        "code": code,
        "size_class": size_class,
        "identity": public_of(identity).hex(),
        "transport": point,
        "follows": None if before is None else public_of(before).hex(),
    }
    proof = transport.sign(PROOF + canonical(said), ec.ECDSA(SHA384(), deterministic_signing=True)).hex()
    keys = (identity,) if before is None else (before, identity)
    return sign(FileType.ENROLMENT, canonical({**said, "proof": proof}), *keys)


def ec_point(key: ec.EllipticCurvePublicKey) -> str:
    """A key as the roster lists it: the compressed point (X9.62) in hex."""
    size = (key.curve.key_size + 7) // 8
    numbers = key.public_numbers()
    return f"{2 + numbers.y % 2:02x}{numbers.x:0{2 * size}x}"


def read_enrolment(file: bytes) -> Enrolment:
    """What a city's file enrols: the identity key signed it, the one before it where it names one, and the transport key as well.

    Errors: `PeerError` SIGNED_SHAPE, SIGNED_TYPE, SIGNED_SIGNATURE, NOT_CANONICAL, ENROLMENT_PROOF.
    """
    try:
        found = Enrolment.model_validate_json(canonical(unverified(file, FileType.ENROLMENT)), strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.ENROLMENT.value) from None
    keys = {bytes.fromhex(each) for each in (found.identity, found.follows) if each}
    if set(verified(file, FileType.ENROLMENT, keys).signers) != keys:
        raise PeerError("SIGNED_SIGNATURE", kind=FileType.ENROLMENT.value)
    said = {name: value for name, value in found.model_dump(mode="json").items() if name != "proof"}
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), bytes.fromhex(found.transport))
        key.verify(bytes.fromhex(found.proof), PROOF + canonical(said), ec.ECDSA(SHA384()))
    except (ValueError, InvalidSignature):
        raise PeerError("ENROLMENT_PROOF", who=found.city) from None
    return found
