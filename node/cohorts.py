"""Which holders the exact releases of a city were about: one bit per row for each cohort that was released, kept in the home.

    <home>/cohorts/<digest of the cohort>.rows       the number of rows of the snapshot (u64), and one bit for each, in their order;
                                                     then as much, from a whole byte on, for each cohort of a question
    <home>/cohorts/<name of the snapshot>.holders    keyed hashes of the holders, 16 bytes each, in that order; empty where there is no key

Files have mode 0600, and are on disk before the ledger speaks of them. Their names are digests under the city's own key, so that a changed
file is known for one. They are read in mode exact alone, and never leave.
"""

import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
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
    """Holders of one snapshot: `inside` says of each row whether it is in the cohort of a study, `holders` who it is (rows x 16, or no
    rows). `of_questions`: the same of the cohorts of single questions, which lie in that of the study."""

    snapshot: str
    inside: Bools
    holders: npt.NDArray[np.uint8]
    of_questions: tuple[Bools, ...] = ()

    @property
    def sets(self) -> tuple[Bools, ...]:
        """All of them, that of the study first."""
        return (self.inside, *self.of_questions)

    @property
    def atoms(self) -> Mapping[int, int]:
        """How many rows of the study's cohort are in the same cohorts of questions: bit k says that they are in the k-th."""
        at = np.zeros(len(self.inside), dtype=np.int64)
        for number, chosen in enumerate(self.of_questions):
            at |= chosen.astype(np.int64) << number
        which, rows = np.unique(at[self.inside], return_counts=True)
        return dict(zip(which.tolist(), rows.tolist(), strict=True))

    def digest(self, key: bytes) -> str:
        """Under the city's own key: equal cohorts of one snapshot are known for equal, and nobody else can try out cohorts."""
        return _digest(key, self.snapshot, self.content, sha256(self.holders.data).digest())

    @property
    def content(self) -> bytes:
        """As its file holds it: the number of rows, then one bit per row for each cohort, each from a whole byte on."""
        return len(self.inside).to_bytes(8, "little") + b"".join(np.packbits(each).tobytes() for each in self.sets)

    def digests(self, key: bytes) -> tuple[str, ...]:
        """Of each of its cohorts, as if that had been released alone."""
        return tuple(Cohort(self.snapshot, each, self.holders).digest(key) for each in self.sets)


@dataclass(frozen=True)
class Cohorts:
    """The cohorts that a home keeps. `key`: holder.key of the city."""

    home: Path
    key: bytes

    def keep(self, cohort: Cohort) -> str:
        """The cohort on disk, closed to others: its digest. Errors: `Refusal LEDGER_UNAVAILABLE`."""
        name = cohort.digest(self.key)
        self._write(self._holders(cohort.snapshot), cohort.holders.tobytes())
        self._write(self._rows(name), cohort.content)
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
        rows = int.from_bytes(kept[:8], "little")
        bits = np.frombuffer(kept, np.uint8, offset=8).reshape(-1, -(-rows // 8))
        inside, *others = np.unpackbits(bits, axis=1, count=rows).view(bool)
        return Cohort(release.snapshot, inside, holders, tuple(others))

    def differs(self, new: Cohort, earlier: Iterable[Released], least: int) -> Refusal | None:
        """The rule of differencing: may `new` be released after these, if no fewer than `least` holders may be told apart?

        On one snapshot, every non-empty atom of the algebra of all cohorts holds `least`, or the cohort is an earlier one. With each other
        snapshot: every atom inside the cohorts of both, who is in one snapshot alone among them. What cannot be compared is refused.
        Cohorts of questions are looked at one after the other, each beside those before it.
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
            studies = [each.study for each, cohort in zip(listed, kept, strict=True) for _ in cohort.sets]
            before = [inside for cohort in kept for inside in cohort.sets]
            for number, inside in enumerate(new.sets):
                mine_too = new.sets[:number]
                if snapshot == new.snapshot:
                    found = isolates(inside, [*before, *mine_too], least)
                else:
                    found = between(inside, before, Overlap(kept[0].holders, new.holders), least, mine_too)
                if found is not None:
                    named = studies[min(found, len(studies) - 1)] if studies else None
                    return overlap(named) if named else Refusal("EXACT_OUTSIDE", limit=least)
        return None

    def beside(self, new: Cohort, earlier: Iterable[Released], *, by_city: bool) -> Refusal | None:
        """Where cells are withheld: these very holders are told of in sums over cities, or by city, and never both ways. What one city
        withholds would be the sum less what the others say."""
        mine = frozenset(new.digests(self.key))
        return next(
            (overlap(each.study) for each in earlier if each.by_city != by_city and mine & self._digests(each)), None
        )

    def one_too_many(self, new: Cohort, earlier: Iterable[Released]) -> Refusal | None:
        """Of a cohort that no officer looked at: it is one more than rules may answer of its snapshot."""
        mine = frozenset(new.digests(self.key))
        known = frozenset[str]().union(*(self._digests(each) for each in earlier if each.snapshot == new.snapshot))
        return Refusal("EXACT_COHORTS", limit=MOST) if mine - known and len(known | mine) > MOST else None

    def _digests(self, release: Released) -> frozenset[str]:
        """Of each cohort of a release; of one that is gone, what it is known by."""
        (found,) = self.read(release.snapshot, [release])
        return frozenset(found.digests(self.key) if found and found.of_questions else (release.rows,))

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


def _digest(key: bytes, snapshot: str, content: bytes, who: bytes) -> str:
    """`content`: of its file; `who`: SHA-256 of the holders."""
    start = LABEL + bytes.fromhex(snapshot.removeprefix("sha256:")) + content[:8] + who
    return hmac.new(key, start + content[8:], sha256).hexdigest()


def overlap(study: str) -> Refusal:
    """The no, which names the earlier study to this city; others hear `declined:disclosure`."""
    return Refusal("EXACT_OVERLAP", study=study)
