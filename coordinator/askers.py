"""An asker's own key, the file that enrols it, and the signature under a study.

<home>/askers/<id>/identity/ed25519.key      the key, 32 bytes; it never leaves the asker
<id>.enrol.json                              id, role, name and public key, signed by that key: for the holder of the roster
study.sig.json                               beside study.yaml: this study is my question
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.approval import sign_study
from protocols.canonical import canonical
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, PeerError, Place
from protocols.signed import FileType, PublicHex, public_of, sign, unverified, verified
from protocols.study import Study
from protocols.yamltext import Record

KEY = Path("identity") / "ed25519.key"


class Enrolment(Record):
    """The payload of an asker's enrolment: what the roster will say of it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")]
    role: Literal["analyst", "regulator"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    identity: PublicHex


def new(home: Path, asker: str, role: str, name: str, entropy: Entropy) -> tuple[Enrolment, bytes]:
    """Make an asker's key under `home`; the enrolment and its signed file. Errors: `ConfigError` ASKER_NAME, FILE_EXISTS."""
    path = home / "askers" / asker / KEY
    key = Ed25519PrivateKey.from_private_bytes(exactly(entropy, 32))
    try:
        words = {"id": asker, "role": role, "name": name or asker, "identity": public_of(key).hex()}
        enrolment = Enrolment.model_validate(words)
    except ValidationError:
        raise ConfigError("ASKER_NAME", name=asker) from None
    if path.exists():
        raise ConfigError("FILE_EXISTS", Place(str(path)))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes_raw())
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return enrolment, sign(FileType.ENROLMENT, canonical(enrolment.model_dump(mode="json")), key)


def enrolment(file: bytes) -> Enrolment:
    """What an asker's signed file enrols, if the key that it names signed it. Errors: `PeerError` of the signed file."""
    try:
        found = Enrolment.model_validate_json(canonical(unverified(file, FileType.ENROLMENT)), strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.ENROLMENT.value) from None
    verified(file, FileType.ENROLMENT, [bytes.fromhex(found.identity)])
    return found


def signature(home: Path, study: Study) -> bytes:
    """The study, signed by the asker that it names, whose key is under `home`. Errors: `ConfigError ASKER_KEY`."""
    path = home / "askers" / study.file.asker / KEY
    if not path.is_file():
        raise ConfigError("ASKER_KEY", Place(str(path)), name=study.file.asker)
    return sign_study(study, Ed25519PrivateKey.from_private_bytes(path.read_bytes()))


def signature_beside(study: Path) -> Path:
    """Where the signature of a study file stands."""
    return study.with_suffix(".sig.json")


def signed_beside(study: Path) -> bytes:
    """The signature of a study file. Errors: `ConfigError STUDY_UNSIGNED`."""
    beside = signature_beside(study)
    if not beside.is_file():
        raise ConfigError("STUDY_UNSIGNED", Place(str(beside)))
    return beside.read_bytes()
