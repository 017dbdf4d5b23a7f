"""The list of what belongs to a result, which the coordinator signs; and where each file of a bundle stands.

The signature is over these bytes and so over every file in the list: over the results, and over what cities and asker signed themselves.
"""

from itertools import pairwise
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError, field_validator

from protocols.canonical import canonical, parse_canonical
from protocols.errors import PeerError
from protocols.roster import COORDINATOR, Roster, Sha256Name, Software
from protocols.signed import FileType, sign, verified
from protocols.yamltext import Record

CONTRACT: Final = 1
MANIFEST: Final = "bundle/manifest.json"
SIGNATURE: Final = "bundle/manifest.sig.json"
ROSTER: Final = "bundle/roster.json"
STUDY: Final = "bundle/study.yaml"
ASKED: Final = "bundle/study.sig.json"
DICTIONARY: Final = "bundle/dictionary.yaml"
RESULTS: Final = "results.json"
SESSION: Final = "bundle/session.json"  # the rounds of many-round questions, where cities' data are synthetic or public
NEEDED: Final = (MANIFEST, SIGNATURE, ROSTER, STUDY, ASKED, DICTIONARY, RESULTS)
FOLDERS: Final = ("bundle", "tables", "models")  # folders of OUT that hold files of a result
LARGEST_TRANSCRIPT: Final = 32 << 20  # bytes; a larger one stays with the coordinator
LARGEST_BUNDLE: Final = 50 << 20  # bytes of all files under bundle/ together
LARGEST_FILE: Final = 256 << 20  # bytes of one file of a result

Part = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
Path = Annotated[str, Field(pattern=rf"^{Part}(/{Part}){{0,3}}$")]
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
City = Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")]


def approval_of(city: str) -> str:
    """Where a city's approval stands."""
    return f"bundle/approvals/{city}.json"


def attestation_of(city: str) -> str:
    """Where a city's attestation stands."""
    return f"bundle/attestations/{city}.json"


def transcript_of(conversation: str) -> str:
    """Where the transcript of a conversation (32 hex digits) stands."""
    return f"bundle/secagg/{conversation}.bin"


def evaluated_of(number: int) -> str:
    """Where a model file stands that the study evaluates, from 1, in the order in which the study names them."""
    return f"bundle/evaluated/{number}.json"


def counted_of(city: str) -> str:
    """Where a city's own signed answer stands."""
    return f"bundle/counted/{city}.hpfe"


def own_fit(cells: int, cities: int) -> bool:
    """Whether own answers are in a bundle: all of them, or none where they would be too large. A cell has 8 bytes."""
    return cities * (8 * cells + 8192) <= LARGEST_TRANSCRIPT


class Listed(Record):
    """One file, by its path under OUT. `derived`: made from results.json, and can be made again."""

    path: Path
    sha256: Hex64
    bytes: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    derived: bool


class Kept(Record):
    """The record of one conversation, by the digest that the coordinator's receipt named. `included`: it stands in the bundle."""

    conversation: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    sha256: Hex64
    included: bool


class Unattested(Record):
    """An answering city whose attestation the coordinator did not get, and what it saw instead."""

    city: City
    reason: Annotated[str, Field(pattern="^[A-Za-z0-9_:]{1,60}$")]


class Manifest(Record):
    """What the coordinator signs. `run` counts from 0."""

    contract: Literal[1] = CONTRACT
    study: Sha256Name
    run: Annotated[int, Field(ge=0, lt=2**16)]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
    software: Software
    files: tuple[Listed, ...]
    transcripts: tuple[Kept, ...]
    unattested: tuple[Unattested, ...]

    @field_validator("files")
    @classmethod
    def _once(cls, files: tuple[Listed, ...]) -> tuple[Listed, ...]:
        """By ascending path, so that none stands twice; the list does not list itself."""
        if any(one.path >= other.path for one, other in pairwise(files)):
            raise ValueError("the paths do not ascend")
        if {MANIFEST, SIGNATURE} & {each.path for each in files}:
            raise ValueError("the manifest lists itself")
        return files


def sign_manifest(manifest: Manifest, key: Ed25519PrivateKey) -> dict[str, bytes]:
    """The two files of a signed manifest, by path."""
    content = canonical(manifest.model_dump(mode="json"))
    return {MANIFEST: content, SIGNATURE: sign(FileType.MANIFEST, content, key)}


def read_manifest(content: bytes, signature: bytes, roster: Roster) -> Manifest:
    """The manifest that the coordinator of a roster signed.

    Errors: `PeerError` of the signed file; SIGNED_SIGNATURE where it is over other bytes than `content`; NOT_CANONICAL, SIGNED_SHAPE where
    these are no manifest.
    """
    known = [bytes.fromhex(key.key) for key in roster.keys(COORDINATOR)]
    signed = verified(signature, FileType.MANIFEST, known)
    if signed.payload != content:
        raise PeerError("SIGNED_SIGNATURE", kind=FileType.MANIFEST.value)
    try:
        return Manifest.model_validate_json(canonical(parse_canonical(content, "manifest")), strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.MANIFEST.value) from None
