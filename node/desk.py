"""What lies before a city's officers: every study that was asked, and what each of them signed about it.

    <home>/officers/<name>.json              an officer's key, enrolled: signed by that key and by the city's
    <home>/requests/<digest>/request.json    one study as it was offered, who asks, and what became of it
    <home>/requests/<digest>/<name>.json     an officer's yes or no to it, signed
    <home>/caps/<digest>/<name>.json         an officer's yes to a policy that raises caps, by the policy's digest
    <home>/restores/<digest>/<name>.json     an officer's yes to an older copy of the ledger that is to go on

The gate keeps requests here and reads what officers signed; officers sign from the command line, beside a running node. What a city has
decided stands in its ledger: an officer's yes counts from when the gate writes it down, a no from the next message on. A signature counts
for one study of one city, under a key that is enrolled, and a yes for so many days; any other counts as none (ADR 0029).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.approval import Officer, OfficerSaid, OfficerYes, read_said, sign_said, yes_of
from protocols.canonical import canonical
from protocols.errors import ConfigError, HpfedError, PeerError, Place, Refusal
from protocols.messages import Offer
from protocols.roster import Asker, Seconds
from protocols.signed import FileType, PublicHex, public_of, sign, unverified, verified
from protocols.study import Study, from_wire
from protocols.yamltext import Record

DAY: Final = 86_400
REQUEST: Final = "request.json"
MOST_SETTLED: Final = 200  # requests that were decided and are still shown; older ones go
State = Literal["pending", "approved", "refused"]


class Enrolled(Record):
    """The payload of an enrolment."""

    city: str
    key: PublicHex
    officer: Officer
    since: Seconds


class Request(Record):
    """A study as it was offered. `since`, `at`: Unix s of the first and the last time; `until`: how long the offer stands.

    `study`, `dictionary`: the canonical JSON. `codes`: of the last no. `cities`: all that are asked.
    """

    study: str
    dictionary: str
    asker: Annotated[str, Field(max_length=64)]
    role: Literal["analyst", "regulator"]
    name: Annotated[str, Field(max_length=200)]
    cities: tuple[str, ...]
    since: Seconds
    at: Seconds
    until: Seconds
    state: State = "pending"
    codes: tuple[str, ...] = ()

    @classmethod
    def of(cls, offer: Offer, asker: Asker, cities: Sequence[str], until: int, now: int) -> "Request":
        """Pre-condition: the offer is a study, and signed by that asker."""
        return cls(
            study=bytes(offer.study).decode(),
            dictionary=bytes(offer.dictionary).decode(),
            asker=asker.id,
            role=asker.role,
            name=asker.name,
            cities=tuple(cities),
            since=now,
            at=now,
            until=until,
        )

    def asked(self) -> Study:
        """The study that was offered."""
        return from_wire(self.study.encode(), self.dictionary.encode())


@dataclass(frozen=True)
class Opinion:
    """What one officer signed about a study. `reason`: of a no, for the city itself; it is not signed and leaves nobody."""

    said: OfficerSaid
    yes: OfficerYes
    reason: str = ""


def nobody(_desk: "Desk", _study: str, _needed: int, _now: int) -> None:
    """No officer is here by himself: they come to the command line."""


@dataclass(frozen=True)
class Desk:
    """`key`: the city's public identity key, 32 bytes. `present`: simulated officers, who sign as soon as `needed` of them are asked."""

    home: Path
    city: str
    key: bytes
    present: Callable[["Desk", str, int, int], None] = nobody

    # --- officers

    def officers(self) -> dict[str, bytes]:
        """Name and key of each that is enrolled; a key that stands twice counts for the first name."""
        found: dict[bytes, str] = {}
        for path in sorted((self.home / "officers").glob("*.json")):
            try:
                enrolled = self._enrolled(path.read_bytes())
            except PeerError:
                continue
            if enrolled.officer == path.stem:
                found.setdefault(bytes.fromhex(enrolled.key), enrolled.officer)
        return {name: key for key, name in found.items()}

    def enrol(self, officer: str, key: Ed25519PrivateKey, city_key: Ed25519PrivateKey, now: int) -> None:
        """Put an officer's key beside the others. Errors: `ConfigError` OFFICER_NAME, OFFICER_TWICE."""
        public = public_of(key)
        try:
            enrolled = Enrolled(city=self.city, key=public.hex(), officer=officer, since=now)
        except ValidationError:
            raise ConfigError("OFFICER_NAME", name=officer) from None
        known = self.officers()
        if officer in known or public in known.values():
            raise ConfigError("OFFICER_TWICE", Place(str(self.home / "officers")), name=officer)
        payload = canonical(enrolled.model_dump(mode="json"))
        _write(self.home / "officers" / f"{officer}.json", sign(FileType.ENROLMENT, payload, key, city_key))

    def remove(self, officer: str) -> None:
        """From now on what this officer signed counts as none. Errors: `ConfigError OFFICER_UNKNOWN`."""
        if officer not in self.officers():
            raise ConfigError("OFFICER_UNKNOWN", Place(str(self.home / "officers")))
        (self.home / "officers" / f"{officer}.json").unlink()

    def name_of(self, key: Ed25519PrivateKey) -> str:
        """Whose key it is. Errors: `ConfigError OFFICER_UNKNOWN`."""
        for name, public in self.officers().items():
            if public == public_of(key):
                return name
        raise ConfigError("OFFICER_UNKNOWN", Place(str(self.home / "officers")))

    def _enrolled(self, file: bytes) -> Enrolled:
        """An enrolment of this city. Errors: `PeerError`."""
        try:
            enrolled = Enrolled.model_validate_json(canonical(unverified(file, FileType.ENROLMENT)), strict=True)
        except ValidationError:
            raise PeerError("SIGNED_SHAPE", kind=FileType.ENROLMENT.value) from None
        both = {bytes.fromhex(enrolled.key), self.key}
        if set(verified(file, FileType.ENROLMENT, both).signers) != both or enrolled.city != self.city:
            raise PeerError("SIGNED_SIGNATURE", kind=FileType.ENROLMENT.value)
        return enrolled

    # --- requests

    def requests(self) -> dict[str, Request]:
        """Every study that lies here, by digest, the oldest first. A file that is no request is left out."""
        found = {}
        for path in (self.home / "requests").glob(f"*/{REQUEST}"):
            try:
                found["sha256:" + path.parent.name] = Request.model_validate_json(path.read_bytes(), strict=True)
            except (OSError, ValidationError):
                continue
        return dict(sorted(found.items(), key=lambda each: (each[1].since, each[0])))

    def record(self, study: str, request: Request, state: State, codes: Sequence[str], most_pending: int) -> None:
        """Keep what was asked, and what became of it. Errors: `Refusal BUSY` where too many wait for officers already."""
        known = self.requests()
        held = known.get(study)
        waiting = [name for name, each in known.items() if each.state == "pending" and each.until > request.at]
        if state == "pending" and study not in waiting and len(waiting) >= most_pending:
            raise Refusal("BUSY", limit=most_pending, key="policy.yaml: limits.pending_studies")
        settled = [name for name, each in known.items() if name not in waiting and name != study]
        for name in settled[: max(0, len(settled) + 1 - MOST_SETTLED)]:
            self._forget(name)
        since = held.since if held else request.since
        kept = request.model_copy(update={"since": since, "state": state, "codes": tuple(codes)})
        _write(self._folder(study) / REQUEST, canonical(kept.model_dump(mode="json")))

    def _forget(self, study: str) -> None:
        folder = self._folder(study)
        (folder / REQUEST).unlink()  # first: it is then gone as a whole
        with suppress(OSError):  # an officer signs at this moment: what is left is no request any more
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    def _folder(self, study: str) -> Path:
        return self.home / "requests" / study.removeprefix("sha256:")

    # --- what officers sign

    def say(
        self, study: str, answer: Literal["approve", "decline"], key: Ed25519PrivateKey, now: int, reason: str = ""
    ) -> str:
        """An officer's answer, in place of an earlier one of the same officer; returns the name. Errors: `ConfigError OFFICER_UNKNOWN`."""
        officer = self.name_of(key)
        said = OfficerSaid(answer=answer, at=now, city=self.city, officer=officer, study=study)
        folder = self._folder(study)
        (folder / f"{officer}.txt").unlink(missing_ok=True)
        if reason:
            _write(folder / f"{officer}.txt", reason.encode())
        _write(folder / f"{officer}.json", sign_said(said, key))
        return officer

    def sign_caps(self, policy: str, key: Ed25519PrivateKey, now: int) -> str:
        """An officer's yes to the caps of a policy, by its digest; returns the name. Errors: `ConfigError OFFICER_UNKNOWN`."""
        return self._sign("caps", "raise_caps", policy, key, now)

    def sign_restore(self, gap: str, key: Ed25519PrivateKey, now: int) -> str:
        """An officer's yes to a copy of the ledger with a gap, by its digest; returns the name. Errors: `ConfigError OFFICER_UNKNOWN`."""
        return self._sign("restores", "restore", gap, key, now)

    def _sign(
        self, folder: str, answer: Literal["raise_caps", "restore"], what: str, key: Ed25519PrivateKey, now: int
    ) -> str:
        officer = self.name_of(key)
        said = OfficerSaid(answer=answer, at=now, city=self.city, officer=officer, study=what)
        _write(self.home / folder / what.removeprefix("sha256:") / f"{officer}.json", sign_said(said, key))
        return officer

    def opinions(self, study: str) -> tuple[Opinion, ...]:
        """What enrolled officers signed about a study, by name. All else that lies there counts as none."""
        return tuple(self._signed(self._folder(study), study, ("approve", "decline")))

    def no(self, study: str) -> Opinion | None:
        """The no of an officer. It stands until that officer says otherwise."""
        return next((each for each in self.opinions(study) if each.said.answer == "decline"), None)

    def yes(self, study: str, needed: int, days: int, now: int) -> tuple[OfficerYes, ...]:
        """The newest `needed` yeses that are no older than `days`; fewer where there are not so many."""
        if len(self._standing(study, days, now)) < needed:
            self.present(self, study, needed, now)
        return self._standing(study, days, now)[:needed]

    def _standing(self, study: str, days: int, now: int) -> tuple[OfficerYes, ...]:
        """Every yes that counts now, the newest first."""
        found = [
            each.yes
            for each in self.opinions(study)
            if each.said.answer == "approve" and 0 <= now - each.said.at < days * DAY
        ]
        return tuple(sorted(found, key=lambda each: -each.at))

    def raisers(self, policy: str, days: int, now: int) -> tuple[str, ...]:
        """Officers who signed for the caps of a policy, no longer than `days` ago."""
        return self._signers("caps", "raise_caps", policy, days, now)

    def restorers(self, gap: str, days: int, now: int) -> tuple[str, ...]:
        """Officers who signed for a copy of the ledger with a gap, no longer than `days` ago."""
        return self._signers("restores", "restore", gap, days, now)

    def _signers(self, folder: str, answer: str, what: str, days: int, now: int) -> tuple[str, ...]:
        found = self._signed(self.home / folder / what.removeprefix("sha256:"), what, (answer,))
        return tuple(each.said.officer for each in found if 0 <= now - each.said.at < days * DAY)

    def _signed(self, folder: Path, about: str, answers: Sequence[str]) -> Iterator[Opinion]:
        for officer, public in sorted(self.officers().items()):
            path = folder / f"{officer}.json"
            try:
                file = path.read_bytes()
                said = read_said(file, public)
            except (OSError, HpfedError):
                continue
            if (said.officer, said.city, said.study) == (officer, self.city, about) and said.answer in answers:
                text = folder / f"{officer}.txt"
                reason = text.read_text(encoding="utf-8") if text.is_file() else ""
                yield Opinion(said, yes_of(said, file, public), reason)


def _write(path: Path, content: bytes) -> None:
    """A whole file or none. Errors: `Refusal LEDGER_UNAVAILABLE`."""
    part = path.with_suffix(".part")
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None
