"""What a city signs when it says yes to a study, and what an asker signs when it asks.

An approval is a signed file over the digest of the study's canonical bytes. It also says which variables the city cannot map, which codes
of those that the study reads no local text of the city becomes, the date of the snapshot that will answer, the least cell of its policy, so
that marks can be set without asking again, the facts that it publishes, who its files cover, and how full its caps are, so that a report
can show what the study takes from them. Where officers decided, it holds what each of them signed: a decision over the same digest, with a
key of their own that the city enrolled.
"""

from datetime import date
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.attestation import Delta, Epsilon, FactText, Id, Units
from protocols.canonical import canonical
from protocols.errors import PeerError, Refusal
from protocols.facts import sound
from protocols.roster import Roster, Seconds, Sha256Name
from protocols.signed import FileType, PublicHex, attached, sign, signature_of, verified
from protocols.study import Study
from protocols.yamltext import Record

Officer = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 -]{0,60}$")]  # no free text leaves a city


Held = Literal["included", "excluded", "none"]


class Covered(Record):
    """Who of a city's holders its files cover."""

    province_units: Held | None = None
    railway: Held | None = None
    parks: Held | None = None

    @property
    def word(self) -> str:
        """All flags in one word."""
        return " ".join(str(flag) for flag in (self.province_units, self.railway, self.parks))


class OfficerSaid(Record):
    """The payload that an officer signs. `study`: its digest; where caps are raised, that of the policy that raises them; where an older
    copy of the ledger is to go on, that of the copy and of what it lacks."""

    answer: Literal["approve", "decline", "raise_caps", "restore"]
    at: Seconds
    city: str
    officer: Officer
    study: Sha256Name


class OfficerYes(Record):
    """An officer's yes to a study, as an approval carries it: with study and city it is an `OfficerSaid`, and `signature` is over that."""

    officer: Officer
    key: PublicHex
    at: Seconds
    signature: Annotated[str, Field(pattern="^[0-9a-f]{128}$")]

    def holds(self, city: str, study: str) -> bool:
        """The key signed a yes of this city to this study."""
        said = OfficerSaid(answer="approve", at=self.at, city=city, officer=self.officer, study=study)
        public = bytes.fromhex(self.key)
        file = attached(FileType.DECISION, _said(said), public, bytes.fromhex(self.signature))
        try:
            return verified(file, FileType.DECISION, [public]).payload == _said(said)
        except PeerError:
            return False


class Allowance(Record):
    """One cap of the city as it stood when it said yes: for this asker and year, for the year, for everything its data ever answer.

    `order`, `room`, `used`: the order that the cap was fixed at, and its room there; `before`: the epsilon of all that was charged by then.
    """

    scope: Literal["per_asker_year", "per_year", "total"]
    epsilon: Delta
    delta: Delta
    order: Annotated[int, Field(ge=2, le=4096)]
    room: Units
    used: Units
    before: Epsilon


class Approval(Record):
    """The payload that a city signs. `decided`: by a rule of its policy, or by the officers named."""

    contract: Literal[1] = 1
    city: str
    study: Sha256Name
    dictionary: Sha256Name
    policy: Sha256Name
    cannot: tuple[str, ...]
    unused: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # by variable: codes that no local text becomes
    facts: dict[Id, FactText] = Field(default_factory=dict)  # that the study asks for and the city publishes
    scope: Covered = Covered()
    snapshot: date
    min_cell: Annotated[int, Field(ge=0)]
    min_pooled: Annotated[int, Field(ge=0)] = (
        0  # in mode exact: of fewer holders, all cities together, nothing is printed
    )
    budget: Annotated[tuple[Allowance, ...], Field(max_length=3)] = ()  # none in mode exact, which spends none
    decided: Literal["rule", "officers"]
    officers: tuple[OfficerYes, ...] = ()
    issued: Seconds
    expires: Seconds
    open_data: bool = False
    synthetic: bool = False


class Asked(Record):
    """The payload that an asker signs: this study is my question."""

    study: Sha256Name
    asker: str


def sign_said(said: OfficerSaid, key: Ed25519PrivateKey) -> bytes:
    """An officer's decision, signed."""
    return sign(FileType.DECISION, _said(said), key)


def read_said(file: bytes, public: bytes) -> OfficerSaid:
    """What the holder of a key (32 bytes) decided. Errors: `PeerError` of the signed file, SIGNED_SHAPE."""
    try:
        return OfficerSaid.model_validate_json(verified(file, FileType.DECISION, [public]).payload, strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.DECISION.value) from None


def yes_of(said: OfficerSaid, file: bytes, public: bytes) -> OfficerYes:
    """The yes in an officer's signed file. Pre-condition: `read_said(file, public) == said`, and it is one."""
    signature = signature_of(file, FileType.DECISION).hex()
    return OfficerYes(officer=said.officer, key=public.hex(), at=said.at, signature=signature)


def _said(said: OfficerSaid) -> bytes:
    return canonical(said.model_dump(mode="json"))


def sign_approval(approval: Approval, key: Ed25519PrivateKey) -> bytes:
    return sign(FileType.APPROVAL, canonical(approval.model_dump(mode="json")), key)


def read_approval(file: bytes, city: int, study: Study, roster: Roster, now: int) -> Approval:
    """A city's approval of exactly this study, in force at `now`; of a repeat, as it was given for this run.

    What officers decided holds by itself: each of them signed, none twice, under keys that are all different.

    Errors: `PeerError` of the signed file, APPROVAL_OFFICERS, APPROVAL_FACTS (outside its range, or neither said nor lacked); `Refusal`
    APPROVAL_MISSING (another city, study, dictionary or date), APPROVAL_EXPIRED.
    """
    signed = verified(file, FileType.APPROVAL, roster.keys_at(city, now))
    try:
        approval = Approval.model_validate_json(signed.payload, strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.APPROVAL.value) from None
    named = (approval.city, approval.study, approval.dictionary, approval.snapshot)
    if named != (roster.name(city), study.digest, study.dictionary.digest, study.file.as_of):
        raise Refusal("APPROVAL_MISSING", city=roster.name(city))
    if not _known(approval, study):
        raise PeerError("SIGNED_SHAPE", kind=FileType.APPROVAL.value)
    if not sound(study.facts, approval.facts, approval.cannot, study.dictionary):
        raise PeerError("APPROVAL_FACTS", who=approval.city)
    if not _decided(approval):
        raise PeerError("APPROVAL_OFFICERS", who=approval.city)
    if approval.expires <= now:
        raise Refusal("APPROVAL_EXPIRED", city=approval.city)
    return approval


def _known(approval: Approval, study: Study) -> bool:
    """Codes that no text becomes are codes of the dictionary, of variables that the study reads: no free text leaves a city."""
    reads = set(study.reads())
    return all(
        name in reads and codes and set(codes) <= set(study.dictionary.codes(name)) and len(set(codes)) == len(codes)
        for name, codes in approval.unused.items()
    )


def _decided(approval: Approval) -> bool:
    """Officers are named where officers decided, and there alone; every one signed, and none stands for two."""
    said = approval.officers
    apart = len({each.officer for each in said}) == len({each.key for each in said}) == len(said)
    whole = apart and all(each.holds(approval.city, approval.study) for each in said)
    return whole and bool(said) == (approval.decided == "officers")


def sign_study(study: Study, key: Ed25519PrivateKey) -> bytes:
    """The asker's name under a study."""
    return sign(FileType.STUDY, canonical({"study": study.digest, "asker": study.file.asker}), key)


def check_asker(file: bytes, study: Study, roster: Roster, now: int) -> None:
    """The study is signed by the asker it names, who is on the roster and not past its date. Errors: `Refusal APPROVAL_ASKER`."""
    asker = roster.askers.get(study.file.asker)
    if asker is None or asker.until <= now:
        raise Refusal("APPROVAL_ASKER", asker=study.file.asker)
    check_signed(file, study, bytes.fromhex(asker.identity))


def check_signed(file: bytes, study: Study, public: bytes) -> None:
    """The study is signed with the key (32 bytes) of the asker that it names. Errors: `Refusal APPROVAL_ASKER`."""
    try:
        signed = verified(file, FileType.STUDY, [public])
        asked = Asked.model_validate_json(signed.payload, strict=True)
    except (PeerError, ValidationError):
        raise Refusal("APPROVAL_ASKER", asker=study.file.asker) from None
    if (asked.study, asked.asker) != (study.digest, study.file.asker):
        raise Refusal("APPROVAL_ASKER", asker=study.file.asker)
