"""The statement by which a coordinator's new key follows the one in use: a signed file of type `enrolment`, by both keys.

A city's statement is its enrolment (`protocols/enrolment.py`), which its transport key signs too. A roster makes either count.
"""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.signed import FileType, PublicHex, public_of, sign, unverified, verified
from protocols.yamltext import Record


class Rotation(Record):
    """What the roster will say of the coordinator. `coordinator`: the consortium; `follows`: the key that this one replaces."""

    contract: Literal[1] = 1
    coordinator: Annotated[str, Field(pattern="^[a-z0-9-]{3,64}$")]
    identity: PublicHex
    follows: PublicHex


def sign_rotation(consortium: str, before: Ed25519PrivateKey, fresh: Ed25519PrivateKey) -> bytes:
    """The file, signed by both."""
    said = {
        "contract": 1,
        "coordinator": consortium,
        "identity": public_of(fresh).hex(),
        "follows": public_of(before).hex(),
    }
    return sign(FileType.ENROLMENT, canonical(said), before, fresh)


def read_rotation(file: bytes) -> Rotation:
    """What such a file says, if both keys signed it. Errors: `PeerError` SIGNED_SHAPE, SIGNED_TYPE, SIGNED_SIGNATURE."""
    try:
        found = Rotation.model_validate_json(canonical(unverified(file, FileType.ENROLMENT)), strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.ENROLMENT.value) from None
    keys = {bytes.fromhex(found.identity), bytes.fromhex(found.follows)}
    if len(keys) != 2 or set(verified(file, FileType.ENROLMENT, keys).signers) != keys:
        raise PeerError("SIGNED_SIGNATURE", kind=FileType.ENROLMENT.value)
    return found
