"""What a city signs after its bytes left: this is what I released.

It says which vectors went out, under which plan, with which noise and at what cost, so that the coordinator's results can be held against
the word of every city. It holds no number of rows, no local code and no value that a vector held.
"""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.facts import SUMMED, Said
from protocols.plan import Agreement
from protocols.roster import Roster, Seconds, Sha256Name
from protocols.signed import FileType, sign, verified
from protocols.study import Mode, Study
from protocols.yamltext import Record

Small = Annotated[int, Field(ge=0, lt=2**16)]
Cells = Annotated[int, Field(ge=0, lt=2**32)]
Units = Annotated[str, Field(pattern=r"^[0-9]{1,20}\.[0-9]{6}$")]
Epsilon = Annotated[str, Field(pattern=r"^[0-9]{1,20}\.[0-9]{20}$")]
Delta = Annotated[str, Field(pattern=r"^[0-9.eE+-]{1,40}$")]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Lacked = Annotated[str, Field(pattern=r"^(fact:)?[a-z][a-z0-9_.]{0,80}$")]
FactText = Annotated[str, Field(pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,6})?$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Sent(Record):
    """One vector that left. An attempt that gave no sum stands here too: its vector left all the same.

    `plan`: digest of the plan of the conversation; of an answer of the city's own, of what it was asked.
    """

    id: Hex32  # of the conversation, or of the reservation that an own answer was charged to
    kind: Literal["pooled", "by_city", "session"]
    round: Small
    plan: Sha256Name
    cells: Cells
    bytes: Cells  # of the vector, without its envelope
    sha256: Hex64  # of the envelope that was sent; of an own answer, which is sealed anew whenever it is asked for, of the body
    sum: Sha256Name | Literal[""] = ""  # digest of the sum that the coordinator's receipt named, where one came
    asked: Sha256Name | Literal[""] = ""  # of a round of a session: digest of what was asked, earlier sums among it


class Asked(Record):
    """One question of the study, as this city answered it."""

    id: Id
    cells: Cells
    suppressed: Cells  # cells that the city itself withheld


class Noise(Record):
    """`share`: so many cities carry the whole noise of a cell together, each an equal part; 0 in mode exact. Of the sum, where there is
    one: a city's own answer holds the whole noise."""

    share: Small
    assumed_dropouts: Small
    colluders: Small


class Charged(Record):
    """What the study took from the city's cap on everything it ever answers. Amounts are in units of the cap's order, rounded up."""

    epsilon: Epsilon  # of one holder, for the last vector in the list
    delta: Delta  # as the study writes it
    total_before: Units  # used by all other studies
    total_after: Units  # used with this one
    cap: Units


class Attestation(Record):
    """The payload that a city signs after its bytes left. `run` counts from 0, as in the results."""

    contract: Literal[1] = 1
    city: Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")]
    study: Sha256Name
    run: Small
    as_of: date
    snapshot: Sha256Name  # a name under a key of the city; it cannot be tried out
    cannot: tuple[Lacked, ...]  # variables of the study that the city cannot map, and facts that it does not state
    facts: dict[Id, FactText] = Field(
        default_factory=dict
    )  # of the study, that it published: statements of the city, outside epsilon
    summed: tuple[Id, ...] = ()  # those that it let be added up, and did not say
    release: Literal["pooled", "by_city", "both"]  # what left the city
    mode: Mode
    mechanism: Literal["skellam", "none"]
    noise: Noise
    layout: Sha256Name  # of the sum; of the own answer where nothing is summed
    conversations: Annotated[
        tuple[Sent, ...], Field(min_length=1, max_length=512)
    ]  # the last one of a kind gave the answer
    questions: tuple[Asked, ...]
    ledger: Charged
    audit_head: Hex64
    at: Seconds


def last(said: Attestation, kind: Literal["pooled", "by_city", "session"]) -> Sent | None:
    """The vector that gave the answer of a kind."""
    return next((each for each in reversed(said.conversations) if each.kind == kind), None)


def epsilon_text(epsilon: Decimal) -> str:
    """An epsilon as cities attest it: twenty decimals, and no float that two machines could print differently."""
    return f"{epsilon:.20f}"


def stated(study: Study, cannot: Collection[str], facts: Said) -> dict[str, Any]:
    """The fields about what a city lacked and stated. `facts`: those that it published. `cannot`: all that it lacks, of any study."""
    mine = [name for name in study.names if name in cannot]
    summed = tuple(name.removeprefix(SUMMED) for name in mine if name.startswith(SUMMED))
    lacked = tuple(sorted(name for name in mine if not name.startswith(SUMMED)))
    return {"cannot": lacked, "facts": dict(facts), "summed": summed}


def noise_of(agreement: Agreement) -> Noise:
    """Who carries the noise of a sum; an answer of a city's own holds all of it."""
    study, exact = agreement.study, agreement.study.exact
    if not study.summed:
        return Noise(share=0 if exact else 1, assumed_dropouts=0, colluders=0)
    return Noise(
        share=0 if exact else agreement.honest,
        assumed_dropouts=agreement.limits.d,
        colluders=study.file.privacy.tolerate.colluders,
    )


def sign_attestation(attestation: Attestation, key: Ed25519PrivateKey) -> bytes:
    return sign(FileType.ATTESTATION, canonical(attestation.model_dump(mode="json")), key)


def read_attestation(file: bytes, city: int, roster: Roster) -> Attestation:
    """What a city of the roster attests, whatever it is about. Its key was in force when it says that it signed.

    Errors: `PeerError` of the signed file, SIGNED_SHAPE for another schema, SIGNED_SIGNATURE where the payload names another city.
    """
    known = [bytes.fromhex(key.key) for key in roster.keys(city)]
    signed = verified(file, FileType.ATTESTATION, known)
    try:
        attestation = Attestation.model_validate_json(signed.payload, strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.ATTESTATION.value) from None
    if attestation.city != roster.name(city) or set(signed.signers) - set(roster.keys_at(city, attestation.at)):
        raise PeerError("SIGNED_SIGNATURE", kind=FileType.ATTESTATION.value)
    return attestation
