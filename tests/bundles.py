"""Small sealed results for tests that forge them: three tiny cities, in mode dp and exact, and the keys of everyone in them."""

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator import bundle, output, verify
from protocols import manifest
from protocols import study as studies
from protocols.attestation import Attestation, sign_attestation
from protocols.canonical import canonical
from protocols.manifest import Manifest, sign_manifest
from protocols.roster import Roster, self_declared
from simulations import world
from tests import gates

SEED: Final = 5


@dataclass(frozen=True)
class Sealed:
    """A written result. `homes`: where the parties of its world keep their keys."""

    out: Path
    homes: Path

    @property
    def roster(self) -> Roster:
        return self_declared((self.out / manifest.ROSTER).read_bytes())

    def key(self, *parts: str) -> Ed25519PrivateKey:
        """The key of a party: `coordinator`, a city, or `coordinator`, `askers`, an id."""
        path = self.homes.joinpath(*parts) / "identity" / "ed25519.key"
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file()))

    def read(self, path: str) -> bytes:
        return (self.out / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        (self.out / path).parent.mkdir(parents=True, exist_ok=True)
        (self.out / path).write_bytes(content)

    @property
    def manifest(self) -> Manifest:
        return Manifest.model_validate_json(self.read(manifest.MANIFEST))

    def resealed(self, **changed: Any) -> None:
        """What a coordinator that cheats can do: list the files as they are now, and sign."""
        said = self.manifest
        derived = {each.path for each in said.files if each.derived}
        files = {path: self.read(path) for path in self.files if path not in (manifest.MANIFEST, manifest.SIGNATURE)}
        unsealed = bundle.Unsealed(said.study, said.run, {}, said.transcripts, said.unattested)
        sealed = unsealed.sealed(files, [*derived], self.key("coordinator"), 0)
        listed = Manifest.model_validate_json(sealed[manifest.MANIFEST])
        final = listed.model_copy(update={"created": said.created, **changed})
        for path, content in sign_manifest(final, self.key("coordinator")).items():
            self.write(path, content)

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read(manifest.RESULTS))
        return found

    def published(self, tree: Mapping[str, Any]) -> None:
        """Other results, with tables and reports to match, under the coordinator's signature."""
        self.write(manifest.RESULTS, canonical(tree))
        self.resealed()

    def attest(self, city: str, change: Callable[[Attestation], Attestation], by: str = "") -> None:
        """Another attestation of a city, signed by it (or by another), under the coordinator's signature."""
        path = manifest.attestation_of(city)
        said = Attestation.model_validate_json(base64.b64decode(json.loads(self.read(path))["payload"]))
        self.write(path, sign_attestation(change(said), self.key(by or city)))
        self.resealed()


def make(folder: Path, *, exact: bool = False) -> Sealed:
    """The tiny study over three cities, sealed under `folder`/out."""
    gates.write(folder / "cities")
    asked = studies.load(folder / "cities" / "study.yaml")
    out = folder / "out"
    homes = folder / "homes"
    if exact:
        for city in gates.CITIES:
            loose = "policy: 1\nkinds: {exact: all}\nexact: {min_cell: 1, min_cohort: 5, min_pooled: 1}\n"
            (folder / "cities" / city / "policy.yaml").write_text(loose, encoding="utf-8")
        asked = asked.in_exact_mode()
    outcome = world.run(asked, folder / "cities", homes, seed=SEED)
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    return Sealed(out, homes)


def copied(made: Sealed, folder: Path) -> Sealed:
    """The same files in a folder of their own."""
    shutil.copytree(made.out, folder)
    return Sealed(folder, made.homes)


def failing(sealed: Sealed, *, pages: bool = False, pinned: bytes | None = None) -> dict[str, set[tuple[str, str]]]:
    """Steps that do not hold, each with (code, file) of its faults. `pages`: make the reports again as well."""
    steps = verify.verify(sealed.out, pinned, output.made if pages else None)
    return {
        step.name: {(fault.code, fault.at.file if fault.at else "") for fault in step.faults}
        for step in steps
        if not step.holds
    }
