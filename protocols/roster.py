"""The roster: the root-signed list of who takes part and who may ask (docs/protocol.md).

A roster is a signed file of type `roster`; its digest is that of the whole file. Every party pins the root key by hand
once and then accepts a newer roster only if it is signed by that root and chains to the one it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.signed import FileType, PublicHex, sign, signed_by, unverified, verified
from protocols.yamltext import Record

COORDINATOR: Final = 0  # its id in envelopes; cities have 1 .. 2^32 - 1
DAY: Final = 86_400

Seconds = Annotated[int, Field(ge=0, lt=2**53)]  # Unix time
CityId = Annotated[int, Field(ge=1, lt=2**32)]
Sha256Name = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]


class Key(Record):
    """An identity key and when it may open a conversation. Two of one party overlap while it rotates."""

    key: PublicHex
    since: Seconds = Field(alias="from")
    until: Seconds


class Software(Record):
    """A distribution: its version and the digest over its files."""

    version: Annotated[str, Field(pattern="^[0-9A-Za-z.+-]{1,64}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class City(Record):
    """A city of the roster. `size_class`: most rows, a declared power of two; the overflow proof and the layouts rest on it."""

    id: CityId
    name: Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")]
    code: Word
    size_class: int = Field(default=1 << 24, ge=1, le=1 << 24)
    identity: Annotated[tuple[Key, ...], Field(min_length=1, max_length=2)]
    transport: Annotated[tuple[Word, ...], Field(max_length=2)] = ()
    state: Literal["active", "revoked"] = "active"
    since: Seconds
    reason: Annotated[str, Field(max_length=200)] = ""


class Asker(Record):
    """Who may sign studies. Caps go by `id`, which outlives its keys."""

    id: Annotated[str, Field(pattern="^[a-z0-9-]{3,64}$")]
    role: Literal["analyst", "regulator"]
    name: Word
    identity: PublicHex
    until: Seconds


class Entries(Record):
    """What the root signs."""

    consortium: Annotated[str, Field(pattern="^[a-z0-9-]{3,64}$")]
    version: Annotated[int, Field(ge=1, lt=2**31)]
    previous: Sha256Name | Literal[""] = ""
    issued: Seconds
    valid_until: Seconds
    root: PublicHex
    gateway: tuple[Word, ...] = ()
    ca: Annotated[str, Field(max_length=1 << 16)] = ""
    coordinator: Annotated[tuple[Key, ...], Field(min_length=1, max_length=2)]
    software: tuple[Software, ...] = ()
    cities: Annotated[tuple[City, ...], Field(max_length=4096)]
    askers: Annotated[tuple[Asker, ...], Field(max_length=4096)] = ()


@dataclass(frozen=True)
class Roster:
    """A roster whose root signature held. `file` is the signed file as received."""

    entries: Entries
    file: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> bytes:
        """The 32 bytes that plans and envelopes name this roster by."""
        return sha256(self.file).digest()

    @cached_property
    def cities(self) -> dict[int, City]:
        """Every city, revoked ones too, by id."""
        return {city.id: city for city in self.entries.cities}

    @cached_property
    def askers(self) -> dict[str, Asker]:
        """Every asker by id."""
        return {asker.id: asker for asker in self.entries.askers}

    def name(self, party: int) -> str:
        """What a text calls a party: `coordinator`, the city's name, or its number if it is not on the roster."""
        if party == COORDINATOR:
            return "coordinator"
        return self.cities[party].name if party in self.cities else f"#{party}"

    def active(self, city: int) -> bool:
        """Whether the city takes part."""
        return city in self.cities and self.cities[city].state == "active"

    def keys(self, party: int) -> tuple[Key, ...]:
        """Identity keys of a party, whatever their dates; empty for a stranger."""
        if party == COORDINATOR:
            return self.entries.coordinator
        return self.cities[party].identity if party in self.cities else ()

    def keys_at(self, party: int, now: int) -> tuple[bytes, ...]:
        """The 32-byte keys under which a party may open something at `now` (Unix s)."""
        return tuple(bytes.fromhex(key.key) for key in self.keys(party) if key.since <= now < key.until)

    def stands(self, party: int, key: bytes) -> bool:
        """Whether a party may go on with what it began under this 32-byte key: it was not revoked, and neither was the key.

        A key past its date stands as long as it is listed: what was opened under it is finished under it.
        """
        listed = any(bytes.fromhex(each.key) == key for each in self.keys(party))
        return listed and (party == COORDINATOR or self.active(party))

    def in_force(self, now: int) -> bool:
        """An expired roster opens no new conversation; open ones are finished."""
        return now < self.entries.valid_until


def sign_roster(entries: Entries, *roots: Ed25519PrivateKey) -> Roster:
    """The signed roster. A change of root is signed by the old and the new one."""
    return Roster(entries, sign(FileType.ROSTER, canonical(entries.model_dump(by_alias=True)), *roots))


def read(file: bytes, root: bytes) -> Roster:
    """A roster signed by `root` (32 bytes), whatever its date: what a verifier of an old bundle needs.

    1 the file is signed by `root` and, if it names another root, by that one too;
    2 its schema is the closed one;
    3 ids are unique, and no key stands twice, over cities, coordinator, askers and root together.

    Errors: `PeerError` ROSTER_ROOT, ROSTER_SCHEMA, ROSTER_TWICE and those of `signed.verified`.
    """
    entries = _entries(file)  # 2, before the signature: it names the second root
    roots = {root, bytes.fromhex(entries.root)}
    try:
        signers = set(verified(file, FileType.ROSTER, roots).signers)
    except PeerError:
        signers = set()
    if signers != roots:  # 1
        raise PeerError("ROSTER_ROOT")
    return _sound(entries, file)  # 3


def _entries(file: bytes) -> Entries:
    try:
        return Entries.model_validate_json(canonical(unverified(file, FileType.ROSTER)), strict=True)
    except ValidationError as fault:
        raise PeerError("ROSTER_SCHEMA", key=".".join(str(part) for part in fault.errors()[0]["loc"])) from None


def _sound(entries: Entries, file: bytes) -> Roster:
    _unique("id", [city.id for city in entries.cities])
    _unique("name", [city.name for city in entries.cities])
    _unique("asker", [asker.id for asker in entries.askers])
    parties = [*entries.coordinator, *(key for city in entries.cities for key in city.identity)]
    _unique("identity", [entries.root, *(key.key for key in parties), *(asker.identity for asker in entries.askers)])
    _unique("transport", [key for city in entries.cities for key in city.transport])
    for city in entries.cities:
        if city.size_class & (city.size_class - 1):
            raise PeerError("ROSTER_SCHEMA", key=f"cities.{city.name}.size_class")
    return Roster(entries, file)


def self_declared(file: bytes) -> Roster:
    """A roster under the root that it names itself: whoever wrote it is whoever it says. For readers without a pinned root.

    Where it changes the root, the signature of the root before is looked at by those alone who pinned that one. Errors: as `read`.
    """
    entries = _entries(file)
    root = bytes.fromhex(entries.root)
    try:
        verified(signed_by(file, FileType.ROSTER, root), FileType.ROSTER, [root])
    except PeerError:
        raise PeerError("ROSTER_ROOT") from None
    return _sound(entries, file)


def accept(files: Sequence[bytes], *, root: bytes, stored: Roster | None, now: int) -> Roster:
    """The roster to hold from now on: the last of `files`, which carry every link from `stored` to it, oldest first.

    `root` is the pinned key; where a link changes it, the new one is pinned from that link on (`entries.root` of the
    result).

    1 each file holds by itself (`read`);
    2 each is one version newer than the one before, names its digest, and is of the same consortium (the very first is
      taken as it is);
    3 no city loses its line, its id or its name: an id is never reused, a revoked city stays listed; the same for
      askers;
    4 the last one is in force.

    The same file as the stored one is no change. Errors: `PeerError` ROSTER_VERSION, ROSTER_CHAIN, ROSTER_REUSED,
    ROSTER_EXPIRED and those of `read`; the stored roster then stays.
    """
    held, pinned = stored, root
    for file in files:
        if held is not None and file == held.file:
            continue
        link = read(file, pinned)  # 1
        if held is not None:
            if link.entries.version != held.entries.version + 1:  # 2
                raise PeerError("ROSTER_VERSION", got=link.entries.version, held=held.entries.version)
            if (
                link.entries.previous != "sha256:" + held.sha256.hex()
                or link.entries.consortium != held.entries.consortium
            ):
                raise PeerError("ROSTER_CHAIN", got=link.entries.version, held=held.entries.version)
            names = {city.id: city.name for city in link.entries.cities}
            if (
                any(names.get(city.id) != city.name for city in held.entries.cities)
                or held.askers.keys() - link.askers.keys()
            ):
                raise PeerError("ROSTER_REUSED")  # 3
        held, pinned = link, bytes.fromhex(link.entries.root)
    if held is None or not held.in_force(now):  # 4
        raise PeerError("ROSTER_EXPIRED")
    return held


def _unique(what: str, listed: Sequence[object]) -> None:
    if len(set(listed)) != len(listed):
        raise PeerError("ROSTER_TWICE", what=what)
