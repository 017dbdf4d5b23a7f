"""The coordinator's books of who takes part: the signed rosters, and the next one while it is being made.

    <home>/roster.json             the newest signed roster; send it to the cities
    <home>/rosters/<version>.json  every one that was signed
    <home>/next.json               what `roster sign` will sign next; no root key is needed to change it
    <home>/…/ed25519.key           below `ROOT`, the root key as `init` made it: to be kept apart, offline

A change is in `next.json` whole or not at all. Ids and names are never reused: who leaves is revoked and stays listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from coordinator import askers
from coordinator.store import write
from protocols.canonical import canonical
from protocols.enrolment import Enrolment, fingerprint, read_enrolment, same_fingerprint
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, PeerError, Place
from protocols.roster import DAY, Asker, City, Entries, Key, Roster, Software, accept, self_declared, sign_roster
from protocols.rotation import Rotation, read_rotation
from protocols.signed import FileType, public_of, unverified
from protocols.yamltext import Record

ROSTER: Final = Path("roster.json")
SIGNED: Final = Path("rosters")
NEXT: Final = Path("next.json")
ROOT: Final = Path("root") / "ed25519.key"
IDENTITY: Final = Path("identity") / "ed25519.key"
VALID_S: Final = 90 * DAY
KEY_S: Final = 365 * DAY * 5  # an identity key may open conversations for so long
R = TypeVar("R", bound=Record)
OVERLAP_S: Final = 30 * DAY  # a key that another one follows is good for so long


def written(path: Path, content: bytes) -> Path:
    """A file of mode 0600, whole or not at all; its folder 0700."""
    write(path.parent, {path.name: content})
    return path


def key_of(path: Path) -> Ed25519PrivateKey:
    """A key file of 32 bytes. Errors: `ConfigError` KEY_NONE, KEY_FILE."""
    if not path.is_file():
        raise ConfigError("KEY_NONE", Place(str(path)))
    content = path.read_bytes()
    if len(content) != 32:
        raise ConfigError("KEY_FILE", Place(str(path)))
    return Ed25519PrivateKey.from_private_bytes(content)


def begun(home: Path, consortium: str, addresses: Sequence[str], now: int, entropy: Entropy) -> Entries:
    """Keys of root and coordinator, and a first roster without cities, not signed yet. Errors: `ConfigError` FILE_EXISTS, ROSTER_NAME."""
    for path in (ROSTER, NEXT, ROOT, IDENTITY):
        if (home / path).exists():
            raise ConfigError("FILE_EXISTS", Place(str(home / path)))
    root, own = (Ed25519PrivateKey.from_private_bytes(exactly(entropy, 32)) for _ in range(2))
    try:
        entries = Entries(
            consortium=consortium,
            version=1,
            issued=now,
            valid_until=now + VALID_S,
            root=public_of(root).hex(),
            gateway=tuple(addresses),
            coordinator=(_key(public_of(own).hex(), now),),
            cities=(),
        )
    except ValidationError:
        raise ConfigError("ROSTER_NAME", name=consortium) from None
    written(home / IDENTITY, own.private_bytes_raw())
    written(home / ROOT, root.private_bytes_raw())
    _keep(home, entries)
    return entries


def held(home: Path) -> Roster | None:
    """The newest signed roster. Errors: `PeerError` ROSTER_… where the file was changed."""
    path = home / ROSTER
    return self_declared(path.read_bytes()) if path.is_file() else None


def signed(home: Path) -> Roster:
    """The same, where there must be one. Errors: `ConfigError ROSTER_UNSIGNED`."""
    found = held(home)
    if found is None:
        raise ConfigError("ROSTER_UNSIGNED", Place(str(home / ROSTER)))
    return found


def versions(home: Path) -> list[Path]:
    """Every roster that was signed, oldest first."""
    return sorted((home / SIGNED).glob("*.json"), key=lambda path: int(path.stem))


def following(home: Path) -> Entries:
    """What will be signed next: as it was changed, else as it stands. Errors: `ConfigError ROSTER_NONE`."""
    path, found = home / NEXT, held(home)
    if path.is_file():
        return Entries.model_validate_json(path.read_bytes())
    if found is None:
        raise ConfigError("ROSTER_NONE", Place(str(home)))
    return _edited(found.entries, version=found.entries.version + 1, previous="sha256:" + found.sha256.hex())


@dataclass(frozen=True)
class Added:
    """Who was put on the next roster."""

    kind: str
    name: str
    fingerprint: str


def add(home: Path, file: bytes, told: str, now: int) -> Added:
    """Put a city or an asker on the next roster. `told`: the fingerprint as it was heard.

    A city that is listed needs an enrolment signed by its key of before, or must be revoked first: its line, id and name stay, and so does
    what its ledger has spent. A new transport key of a city whose identity stays is signed by that one, and needs no telephone.

    Errors: `PeerError` FINGERPRINT and those of the file; `ConfigError` ROSTER_CITY_ACTIVE, ROSTER_KEY_USED.
    """
    content = unverified(file, FileType.ENROLMENT)
    if "city" in content:
        return _add_city(home, read_enrolment(file), told, now)
    if "coordinator" in content:
        return _add_key(home, read_rotation(file), told, now)
    return _add_asker(home, askers.enrolment(file), told, now)


def _add_city(home: Path, file: Enrolment, told: str, now: int) -> Added:
    entries = following(home)
    listed = next((city for city in entries.cities if city.name == file.city), None)
    if listed is not None and listed.state == "active" and listed.identity[-1].key == file.identity:
        return _add_transport(home, entries, listed, file, now)
    _heard(told, file.fingerprint, file.city)
    number = 1 + max((city.id for city in entries.cities), default=0) if listed is None else listed.id
    keys: tuple[Key, ...] = (_key(file.identity, now),)
    if listed is not None and listed.state == "active":
        current = listed.identity[-1]
        if file.follows != current.key:
            raise ConfigError("ROSTER_CITY_ACTIVE", name=file.city)
        keys = (_edited(current, until=min(current.until, now + OVERLAP_S)), *keys)
    ours = set(listed.transport) if listed is not None and listed.state == "active" else set()
    _fresh(home, entries, {file.identity}, {file.transport} - ours)
    city = City(
        id=number,
        name=file.city,
        code=file.code,
        size_class=file.size_class,
        identity=keys,
        transport=(file.transport,),
        since=now,
    )
    others = tuple(each for each in entries.cities if each.id != number)
    _keep(home, _edited(entries, cities=tuple(sorted((*others, city), key=lambda each: each.id))))
    return Added("city", file.city, file.fingerprint)


def _add_key(home: Path, file: Rotation, told: str, now: int) -> Added:
    """The coordinator's key that follows the one in use; that one is good for the overlap, and what it opened is finished under it."""
    found = fingerprint(bytes.fromhex(file.identity))
    _heard(told, found, "coordinator")
    entries = following(home)
    current = entries.coordinator[-1]
    if (file.coordinator, file.follows) != (entries.consortium, current.key):
        raise ConfigError("ROTATION_FOLLOWS")
    _fresh(home, entries, {file.identity}, set())
    ends = _edited(current, until=min(current.until, now + OVERLAP_S))
    _keep(home, _edited(entries, coordinator=(ends, _key(file.identity, now))))
    return Added("coordinator", "coordinator", found)


def _add_transport(home: Path, entries: Entries, listed: City, file: Enrolment, now: int) -> Added:
    """The file is signed by the identity key that the roster lists. Both transport keys let its link in, for `OVERLAP_S` at most."""
    _fresh(home, entries, set(), {file.transport})
    city = _edited(listed, transport=(*listed.transport[-1:], file.transport), since=now)
    _keep(home, _edited(entries, cities=tuple(city if each.id == city.id else each for each in entries.cities)))
    return Added("transport", file.city, file.fingerprint)


def _overlapped(city: City, now: int) -> City:
    """Without the transport key of before, once both were there for long enough."""
    over = len(city.transport) > 1 and now >= city.since + OVERLAP_S
    return _edited(city, transport=city.transport[-1:]) if over else city


def _add_asker(home: Path, file: askers.Enrolment, told: str, now: int) -> Added:
    found = fingerprint(bytes.fromhex(file.identity))
    _heard(told, found, file.id)
    entries = following(home)
    _fresh(home, entries, {file.identity}, set())
    asker = Asker(id=file.id, role=file.role, name=file.name, identity=file.identity, until=now + KEY_S)
    others = tuple(each for each in entries.askers if each.id != file.id)
    _keep(home, _edited(entries, askers=tuple(sorted((*others, asker), key=lambda each: each.id))))
    return Added("asker", file.id, found)


def reached(home: Path, addresses: Sequence[str], authority: str) -> None:
    """Put where the gateway is reached, and the authority of its certificate, on the next roster; nothing where they stand there."""
    entries = following(home)
    if (entries.gateway, entries.ca) != (tuple(addresses), authority):
        _keep(home, _edited(entries, gateway=tuple(addresses), ca=authority))


def revoke(home: Path, name: str, reason: str, now: int) -> None:
    """A city, or an asker, takes part no more from the next roster on. Errors: `ConfigError ROSTER_UNKNOWN`."""
    entries = following(home)
    if name in {city.name for city in entries.cities}:
        gone = {"state": "revoked", "since": now, "reason": reason}
        changed = (_edited(city, **gone) if city.name == name else city for city in entries.cities)
        _keep(home, _edited(entries, cities=tuple(changed)))
    elif name in {asker.id for asker in entries.askers}:
        ended = (_edited(asker, until=now) if asker.id == name else asker for asker in entries.askers)
        _keep(home, _edited(entries, askers=tuple(ended)))
    else:
        known = [city.name for city in entries.cities] + [asker.id for asker in entries.askers]
        raise ConfigError("ROSTER_UNKNOWN", name=name, known=", ".join(known) or "-")


def accept_software(home: Path, version: str, sha256: str, drop: Sequence[str]) -> tuple[Software, ...]:
    """Put a version, if there is one, on the next roster beside those that stand there, without the versions to drop.

    An empty list accepts any. Errors: `ConfigError ROSTER_SOFTWARE`.
    """
    entries = following(home)
    kept = [each for each in entries.software if each.version not in drop]
    unknown = set(drop) - {each.version for each in entries.software}
    try:
        added = [Software(version=version, sha256=sha256)] if version else []
    except ValidationError:
        unknown = {version}
    if unknown:
        known = ", ".join(each.version for each in entries.software) or "-"
        raise ConfigError("ROSTER_SOFTWARE", name=min(unknown), known=known)
    listed = tuple(dict.fromkeys((*kept, *added)))
    _keep(home, _edited(entries, software=listed))
    return listed


def sign(home: Path, root: Ed25519PrivateKey, now: int, new_root: Ed25519PrivateKey | None = None) -> Roster:
    """Sign the next roster, and hold it. Without a change it is the same for another 90 days. `new_root`: the key that follows this one.

    Errors: `ConfigError ROSTER_OTHER_ROOT`, `PeerError` ROSTER_… of what cannot be accepted; nothing is written then.
    """
    before, entries = held(home), following(home)
    if public_of(root).hex() != entries.root:
        raise ConfigError(
            "ROSTER_OTHER_ROOT", found=fingerprint(public_of(root)), wanted=fingerprint(bytes.fromhex(entries.root))
        )
    keys = (root,) if new_root is None else (root, new_root)
    entries = _edited(entries, cities=tuple(_overlapped(city, now) for city in entries.cities))
    entries = _edited(entries, issued=now, valid_until=now + VALID_S, root=public_of(keys[-1]).hex())
    made = sign_roster(entries, *keys)
    accept([made.file], root=public_of(root), stored=before, now=now)
    written(home / SIGNED / f"{entries.version}.json", made.file)
    written(home / ROSTER, made.file)
    (home / NEXT).unlink(missing_ok=True)
    return made


def _heard(told: str, found: str, who: str) -> None:
    if not same_fingerprint(told, found):
        raise PeerError("FINGERPRINT", who=who, found=found, told=told)


def _fresh(home: Path, entries: Entries, identities: set[str], transports: set[str]) -> None:
    """No key comes back: none that any roster lists or listed, in whatever role. Errors: `ConfigError ROSTER_KEY_USED`."""
    known = [entries, *(self_declared(path.read_bytes()).entries for path in sorted((home / SIGNED).glob("*.json")))]
    for each in known:
        used = {each.root, *(key.key for key in each.coordinator), *(asker.identity for asker in each.askers)}
        used |= {key.key for city in each.cities for key in city.identity}
        used |= {key for city in each.cities for key in city.transport}
        if used & (identities | transports):
            raise ConfigError("ROSTER_KEY_USED")


def _key(public: str, now: int) -> Key:
    return Key.model_validate({"key": public, "from": now - DAY, "until": now + KEY_S})


def _keep(home: Path, entries: Entries) -> None:
    written(home / NEXT, canonical(entries.model_dump(by_alias=True)))


def _edited(record: R, **changes: object) -> R:
    """A record with other values, checked again."""
    return type(record).model_validate({**record.model_dump(by_alias=True), **changes})
