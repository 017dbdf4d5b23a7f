"""Which holders the exact releases of a city were about: one bit per row for each cohort that was released, kept in the home.

    <home>/cohorts/<digest of the cohort>.rows       the number of rows of the snapshot (u64), and one bit for each, in their order
    <home>/cohorts/<name of the snapshot>.holders    keyed hashes of the holders, 16 bytes each, in that order; empty where there is no key

Files have mode 0600, and are on disk before the ledger speaks of them. Their names are digests under the city's own key, so that a changed
file is known for one. They are read in mode exact alone, and never leave.
"""

import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from node.disclosure import Bools, Overlap, between, isolates
from protocols.errors import Place, Refusal

FOLDER: Final = "cohorts"
LABEL: Final = b"hpfed-cohort/1"
MOST: Final = 64  # cohorts of one snapshot that a rule may answer; for more it takes an officer
HASH_SIZE: Final = 16


@dataclass(frozen=True)
class Released:
    """An exact release as the ledger knows it. `study` digest; `snapshot`: its name; `rows`: digest of the cohort; `by_city`: what this
    city answered by itself, with nobody else's rows added."""

    study: str
    snapshot: str
    rows: str
    by_city: bool


@dataclass(frozen=True)
class Cohort:
    """Holders of one snapshot: `inside` says of each row whether it is in the cohort, `holders` who it is (rows x 16, or no rows)."""

    snapshot: str
    inside: Bools
    holders: npt.NDArray[np.uint8]

    @property
    def number(self) -> int:
        return int(self.inside.sum())

    def digest(self, key: bytes) -> str:
        """Under the city's own key: equal cohorts of one snapshot are known for equal, and nobody else can try out cohorts."""
        return _digest(key, self.snapshot, _content(self.inside), sha256(self.holders.data).digest())


@dataclass(frozen=True)
class Cohorts:
    """The cohorts that a home keeps. `key`: holder.key of the city."""

    home: Path
    key: bytes

    def keep(self, cohort: Cohort) -> str:
        """The cohort on disk, closed to others: its digest. Errors: `Refusal LEDGER_UNAVAILABLE`."""
        name = cohort.digest(self.key)
        self._write(self._holders(cohort.snapshot), cohort.holders.tobytes())
        self._write(self._rows(name), _content(cohort.inside))
        return name

    def read(self, snapshot: str, releases: Sequence[Released]) -> list[Cohort | None]:
        """Cohorts of one snapshot that were kept; None where files are gone, or are not what they were.

        Its holders are read once and shared: of 2^24 rows they take 256 MiB, the bits of a cohort 16.
        """
        try:
            kept = self._holders(snapshot).read_bytes()
            holders = np.frombuffer(kept, np.uint8).reshape(-1, HASH_SIZE)
        except (OSError, ValueError):
            return [None] * len(releases)
        who = sha256(kept).digest()
        return [self._read(each, holders, who) for each in releases]

    def _read(self, release: Released, holders: npt.NDArray[np.uint8], who: bytes) -> Cohort | None:
        try:
            kept = self._rows(release.rows).read_bytes()
        except OSError:
            return None
        if not hmac.compare_digest(_digest(self.key, release.snapshot, kept, who), release.rows):
            return None
        bits = np.unpackbits(np.frombuffer(kept, np.uint8, offset=8), count=int.from_bytes(kept[:8], "little"))
        return Cohort(release.snapshot, bits.view(bool), holders)

    def differs(self, new: Cohort, earlier: Iterable[Released], least: int) -> Refusal | None:
        """The rule of differencing: may `new` be released after these, if no fewer than `least` holders may be told apart?

        On one snapshot, every non-empty atom of the algebra of all cohorts holds `least`, or the cohort is an earlier one. With each other
        snapshot: every atom inside the cohorts of both, who is in one snapshot alone among them. What cannot be compared is refused.
        """
        mine = new.digest(self.key)
        releases = {each.rows: each for each in earlier}
        if least <= 1 or mine in releases:
            return None
        groups: dict[str, list[Released]] = {}
        for each in releases.values():
            groups.setdefault(each.snapshot, []).append(each)
        for snapshot, listed in {new.snapshot: [], **groups}.items():
            cohorts = self.read(snapshot, listed)
            kept = [each for each in cohorts if each is not None]
            if len(kept) < len(listed):
                return overlap(listed[cohorts.index(None)].study)
            if snapshot == new.snapshot:
                found = isolates(new.inside, [each.inside for each in kept], least)
            else:
                both = Overlap(kept[0].holders, new.holders)
                found = between(new.inside, [each.inside for each in kept], both, least)
            if found is not None:
                return overlap(listed[found].study) if listed else Refusal("EXACT_OUTSIDE", limit=least)
        return None

    def beside(self, new: Cohort, earlier: Iterable[Released], *, by_city: bool) -> Refusal | None:
        """Where cells are withheld: these very holders are told of in sums over cities, or by city, and never both ways. What one city
        withholds would be the sum less what the others say."""
        mine = new.digest(self.key)
        return next((overlap(each.study) for each in earlier if each.rows == mine and each.by_city != by_city), None)

    def one_too_many(self, new: Cohort, earlier: Iterable[Released]) -> Refusal | None:
        """Of a cohort that no officer looked at: it is one more than rules may answer of its snapshot."""
        known = {each.rows for each in earlier if each.snapshot == new.snapshot}
        return Refusal("EXACT_COHORTS", limit=MOST) if len(known - {new.digest(self.key)}) >= MOST else None

    def _rows(self, name: str) -> Path:
        return self.home / FOLDER / f"{name}.rows"

    def _holders(self, snapshot: str) -> Path:
        return self.home / FOLDER / f"{snapshot.removeprefix('sha256:')}.holders"

    def _write(self, path: Path, content: bytes) -> None:
        """All of it or nothing, and on disk. A file that is there with this content stays."""
        try:
            if path.is_file() and path.read_bytes() == content:
                return
            path.parent.mkdir(mode=0o700, exist_ok=True)
            fresh = path.with_suffix(".new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            raise Refusal("LEDGER_UNAVAILABLE", Place(str(path))) from None


def _content(inside: Bools) -> bytes:
    """A cohort as its file holds it."""
    return len(inside).to_bytes(8, "little") + np.packbits(inside).tobytes()


def _digest(key: bytes, snapshot: str, content: bytes, who: bytes) -> str:
    """`content`: of its file; `who`: SHA-256 of the holders."""
    start = LABEL + bytes.fromhex(snapshot.removeprefix("sha256:")) + content[:8] + who
    return hmac.new(key, start + content[8:], sha256).hexdigest()


def overlap(study: str) -> Refusal:
    """The no, which names the earlier study to this city; others hear `declined:disclosure`."""
    return Refusal("EXACT_OVERLAP", study=study)
