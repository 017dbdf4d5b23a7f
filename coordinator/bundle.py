"""What travels with a result so that anyone can check it offline: the signatures of asker, cities and coordinator.

    OUT/bundle/manifest.json, manifest.sig.json    every file of the result by its hash, under the coordinator's signature
               approvals/, attestations/           each city's yes, and its word on what it released
               roster.json, study.yaml, study.sig.json, dictionary.yaml
               secagg/                             mode dp: the record from which anyone recomputes the sum
               counted/                            what each city answered by itself, where the study asks for that

`Unsealed` is all of it but the manifest, which is made last, over the files as they are written. `verify.py` reads it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.release import TIME, Opened
from protocols import manifest
from protocols.canonical import canonical, parse_canonical
from protocols.distribution import software
from protocols.manifest import Kept, Listed, Manifest, Unattested
from protocols.messages import Plan
from protocols.roster import Roster
from protocols.secagg.transcript import Transcript
from protocols.study import Written

NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})


@dataclass(frozen=True)
class Unsealed:
    """A bundle without its manifest. `files`: by path under OUT. `record`: what the manifest says beyond files, and where it is kept."""

    study: str
    run: int
    files: Mapping[str, bytes] = field(repr=False)
    transcripts: tuple[Kept, ...]
    unattested: tuple[Unattested, ...]

    def sealed(
        self, beside: Mapping[str, bytes], derived: Sequence[str], key: Ed25519PrivateKey, at: int
    ) -> dict[str, bytes]:
        """All files of the bundle. `beside`: every other file of the result; `derived`: which of them were made from results.json.

        Pure: the same files, key and time (Unix s) give the same bytes.
        """
        listed = {**beside, **self.files}
        content = Manifest(
            study=self.study,
            run=self.run,
            created=datetime.fromtimestamp(at, UTC).strftime(TIME),
            software=software(),
            files=tuple(
                Listed(path=path, sha256=sha256(each).hexdigest(), bytes=len(each), derived=path in derived)
                for path, each in sorted(listed.items())
            ),
            transcripts=self.transcripts,
            unattested=self.unattested,
        )
        return {**self.files, **manifest.sign_manifest(content, key)}

    def attested(self, files: Mapping[str, bytes], without: Mapping[str, str]) -> "Unsealed":
        """With the word of more cities, by name; `without`: those that still gave none, and why."""
        added = {manifest.attestation_of(city): file for city, file in files.items()}
        named = tuple(Unattested(city=city, reason=reason) for city, reason in sorted(without.items()))
        return replace(self, files={**self.files, **added}, unattested=named)

    @property
    def record(self) -> bytes:
        """What `kept` reads back beside the files."""
        return canonical(
            {
                "study": self.study,
                "run": self.run,
                "transcripts": [each.model_dump() for each in self.transcripts],
                "unattested": [each.model_dump() for each in self.unattested],
            }
        )


def kept(record: bytes, files: Mapping[str, bytes]) -> Unsealed:
    """A bundle from what its coordinator stored of it."""
    said = parse_canonical(record, "bundle")
    return Unsealed(
        said["study"],
        said["run"],
        files,
        tuple(Kept.model_validate(each) for each in said["transcripts"]),
        tuple(Unattested.model_validate(each) for each in said["unattested"]),
    )


def unsealed(
    opened: Opened,
    roster: Roster,
    written: Written,
    asked: bytes,
    approvals: Mapping[int, bytes],
    transcript: Transcript | None,
    further: Mapping[str, bytes] = NOTHING,
) -> Unsealed:
    """What a finished study leaves for its bundle, before any city has attested.

    `written`: study and dictionary as they were loaded; `asked`: the asker's signed file; `approvals`: signed files of all cities of the
    plan. The transcript goes in in mode dp, if it is not too large; a transcript of mode exact holds cells that are withheld. Signed
    messages of cities that answered by themselves hold nothing that is not released, and go in unless they are too large. `further`: files
    by path under OUT.
    """
    agreement = opened.agreement
    files = {
        manifest.ROSTER: roster.file,
        manifest.STUDY: written.study,
        manifest.DICTIONARY: written.dictionary,
        **{manifest.evaluated_of(number): model for number, model in enumerate(written.models, 1)},
        manifest.ASKED: asked,
        **{manifest.approval_of(roster.name(city)): approvals[city] for city in agreement.cities},
    }
    kept_: tuple[Kept, ...] = ()
    if transcript is not None:
        content, conversation = transcript.encode(), Plan.decode(transcript.plan).conversation.hex()
        included = not agreement.study.exact and len(content) <= manifest.LARGEST_TRANSCRIPT
        if included:
            files[manifest.transcript_of(conversation)] = content
        kept_ = (Kept(conversation=conversation, sha256=transcript.digest().hex(), included=included),)
    if manifest.own_fit(agreement.own.length, len(agreement.cities)):
        files |= {manifest.counted_of(roster.name(city)): message for city, message in opened.said.items()}
    return Unsealed(
        agreement.study.digest,
        agreement.run - 1,
        {**files, **further},
        kept_,
        tuple(Unattested(city=roster.name(city), reason="not_asked") for city in opened.survivors),
    )


@dataclass(frozen=True)
class Sealer:
    """A bundle that waits for the files it goes with, and what it is sealed with. `at`: Unix s."""

    unsealed: Unsealed
    key: Ed25519PrivateKey = field(repr=False)
    at: int

    def sealed(self, beside: Mapping[str, bytes], derived: Sequence[str]) -> dict[str, bytes]:
        """As `Unsealed.sealed`."""
        return self.unsealed.sealed(beside, derived, self.key, self.at)
