"""Checks a result and its bundle, offline, step by step: `hpfed-coordinator report verify OUT`.

    1 layout      every file is a plain file of a sensible size; what a bundle must hold is there
    2 roster      signed by its root; equal to a roster from elsewhere, where one is given
    3 manifest    signed by the coordinator of that roster, over exactly these bytes
    4 files       each has the listed length and hash; none is missing, none is beside the list
    5 results     canonical JSON of a contract that is known; study, run and software are those of the manifest
    6 study       study and dictionary give the digest of the results; its asker, who is on the roster, signed it
    7 approvals   one of every answering city, in force at the run, over that digest
    8 attestations  one of every answering city; what it says it released is what the results say; so do study, roster and approvals
    9 cities      whoever was asked has answered or is missing, not both; a missing city has no row and attests nothing
   10 numbers     rows are those of the questions, withheld ones empty; what each city signed as its own answer is what it attests; with
                  a transcript, or where nothing is hidden in a sum: all numbers computed again
   11 rebuilt     tables, workbook and reports made again from results.json are the listed ones; nothing else passes for one of them
   12 reports     each page names the digests of this study and these results

A step that rests on one that failed is not taken; one that could not look at everything says so in a note (`PARTIAL`). Uses `protocols`,
the coordinator's own `release` and `results`, and no network; what makes pages is handed in by the caller. What nobody can check from
here: that the rows of a city are true, and that it drew its noise well.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from math import isclose
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from pydantic import ValidationError

from coordinator import release, replay
from coordinator.fits import path_of
from coordinator.own import own_cells
from coordinator.release import Missing, Opened
from coordinator.results import Results
from coordinator.stated import said as stated_sums
from protocols import manifest
from protocols.answerable import FEWEST
from protocols.approval import Approval, check_asker, read_approval
from protocols.attestation import Attestation, epsilon_text, last, noise_of, read_attestation, stated
from protocols.canonical import digest, parse_canonical
from protocols.dictionary import Words
from protocols.distribution import software
from protocols.errors import ConfigError, HpfedError, PeerError, Place
from protocols.manifest import Manifest
from protocols.messages import Plan, Survivors, open_kept, peek
from protocols.models.interface import Result
from protocols.plan import agree
from protocols.ring import Vector
from protocols.roster import Roster, self_declared
from protocols.secagg import keys
from protocols.secagg.transcript import Transcript, recomputed
from protocols.stated import Noise
from protocols.study import Study, Written, evaluated_files, from_files

NAMES: Final = (
    "layout",
    "roster",
    "manifest",
    "files",
    "results",
    "study",
    "approvals",
    "attestations",
    "cities",
    "numbers",
    "rebuilt",
    "reports",
)
MOST_FILES: Final = 10_000
DEEPEST: Final = 3  # folders inside each other
ABSENT: Final = object()
SHORT: Final = 12  # digits of a digest that a page shows
NUMBERS: Final = ("base", "estimate", "display", "se_noise", "se_sampling", "ci_low", "ci_high", "p_value", "q_value")
AGREED: Final = 1e-3  # how far a count may differ where other software computed it; a quantum is 1e-6
AGREED_PART: Final = 1e-4  # and any other estimate, as a part of itself
# Notes of steps that hold, but did not look at everything.
PARTIAL: Final = frozenset(
    {
        "estimates_recomputed",
        "sum_exact",
        "sum_large",
        "own_large",
        "other_software",
        "not_rebuilt",
        "session_not_given",
    }
)
Rebuild = Callable[[Results], Mapping[str, bytes]]


@dataclass(frozen=True)
class Note:
    """What a reader must know about a step that holds. `key`: of the texts of the command; `values` go into them."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """How one step went. Not `taken`: it rests on an earlier one that failed."""

    number: int
    name: str
    faults: tuple[HpfedError, ...] = ()
    notes: tuple[Note, ...] = ()
    taken: bool = True

    @property
    def holds(self) -> bool:
        return self.taken and not self.faults

    @property
    def complete(self) -> bool:
        """Whether it looked at all that it is for."""
        return self.holds and not any(note.key in PARTIAL for note in self.notes)


class _Earlier(Exception):
    """A step rests on one that failed."""


Found = Iterator[HpfedError | Note]
Part = TypeVar("Part")


def verify(out: Path, pinned: bytes | None = None, rebuild: Rebuild | None = None) -> tuple[Step, ...]:
    """All twelve steps. `pinned`: a roster file from elsewhere; `rebuild`: makes derived files from results, by path.

    Errors: `ConfigError BUNDLE_NONE` if `out` holds no bundle; everything else is a fault of a step.
    """
    if not (out / "bundle").is_dir():
        raise ConfigError("BUNDLE_NONE", Place(str(out)))
    look = _Look(out, pinned, rebuild)
    steps: list[Step] = []
    for number, (name, check) in enumerate(zip(NAMES, look.checks(), strict=True), 1):
        faults: list[HpfedError] = []
        notes: list[Note] = []
        taken = True
        try:
            for each in check():
                if isinstance(each, Note):
                    notes.append(each)
                else:
                    faults.append(each)
        except _Earlier:
            taken = bool(faults)
        except HpfedError as fault:
            faults += fault.every()
        steps.append(Step(number, name, tuple(faults), tuple(notes), taken))
    return tuple(steps)


def _differs(file: str, what: str, other: str) -> PeerError:
    return PeerError("BUNDLE_DIFFERS", at=Place(file), what=what, other=other)


def _placed(fault: HpfedError, file: str) -> HpfedError:
    """The same fault, which did not know the file it was found in."""
    fault.at = fault.at or Place(file)
    return fault


@dataclass
class _Look:
    """What is known so far. Each part is made at the first step that needs it, from files that step 4 has matched with the manifest."""

    out: Path
    pinned: bytes | None
    rebuild: Rebuild | None
    sizes: dict[str, int] = field(default_factory=dict)
    held: dict[str, bytes] = field(default_factory=dict)
    known: dict[type, Any] = field(default_factory=dict)
    attested: dict[str, Attestation] = field(default_factory=dict)

    def checks(self) -> tuple[Callable[[], Found], ...]:
        return (
            self._layout,
            self._roster,
            self._manifest,
            self._files,
            self._results,
            self._study,
            self._approvals,
            self._attestations,
            self._cities,
            self._numbers,
            self._rebuilt,
            self._reports,
        )

    # --- what steps hand on

    def _the(self, kind: type[Part]) -> Part:
        """A part that an earlier step has found sound."""
        if kind not in self.known:
            raise _Earlier
        found: Part = self.known[kind]
        return found

    def _content(self, path: str) -> bytes:
        """A file as it was first read. Errors: `PeerError` BUNDLE_MISSING, BUNDLE_SIZE."""
        if path not in self.sizes:
            raise PeerError("BUNDLE_MISSING", at=Place(path))
        if self.sizes[path] > manifest.LARGEST_FILE:
            raise PeerError("BUNDLE_SIZE", at=Place(path), limit=manifest.LARGEST_FILE)
        if path not in self.held:
            self.held[path] = (self.out / path).read_bytes()
        return self.held[path]

    def _under(self, folder: str) -> tuple[str, ...]:
        """Names of the files of a folder of the bundle."""
        start = f"bundle/{folder}/"
        return tuple(path.removeprefix(start) for path in self.sizes if path.startswith(start))

    @property
    def _same_software(self) -> bool:
        return self._the(Manifest).software == software()

    # --- the steps

    def _layout(self) -> Found:
        """Hidden names and folders of other things beside the result (city folders, further results) are left alone."""
        waiting = [(self.out, "", 0)]
        beside = []
        while waiting:
            folder, start, depth = waiting.pop()
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                path = start + entry.name
                if not depth and entry.name.startswith("."):
                    continue
                mode = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(mode.st_mode) and (depth or entry.name in manifest.FOLDERS) and depth < DEEPEST:
                    waiting.append((Path(entry.path), path + "/", depth + 1))
                elif stat.S_ISDIR(mode.st_mode) and not depth:
                    beside.append(path + "/")
                elif stat.S_ISREG(mode.st_mode):
                    self.sizes[path] = mode.st_size
                else:
                    yield PeerError("BUNDLE_FILE", at=Place(path))
        for path, size in self.sizes.items():
            if size > manifest.LARGEST_FILE:
                yield PeerError("BUNDLE_SIZE", at=Place(path), limit=manifest.LARGEST_FILE)
        if sum(size for path, size in self.sizes.items() if path.startswith("bundle/")) > manifest.LARGEST_BUNDLE:
            yield PeerError("BUNDLE_SIZE", at=Place("bundle"), limit=manifest.LARGEST_BUNDLE)
        if len(self.sizes) > MOST_FILES:
            yield PeerError("BUNDLE_SIZE", at=Place(str(self.out)), limit=MOST_FILES)
        for path in manifest.NEEDED:
            if path not in self.sizes:
                yield PeerError("BUNDLE_MISSING", at=Place(path))
        if beside:
            yield Note("beside", {"names": ", ".join(sorted(beside))})

    def _roster(self) -> Found:
        file = self._content(manifest.ROSTER)
        try:
            roster = self.known[Roster] = self_declared(file)
        except PeerError as fault:
            raise _placed(fault, manifest.ROSTER) from None
        if self.pinned is None:
            yield Note("self_declared", {"root": digest(bytes.fromhex(roster.entries.root))})
        elif self.pinned != file:
            del self.known[Roster]
            yield PeerError("BUNDLE_ROSTER", at=Place(manifest.ROSTER))

    def _manifest(self) -> Found:
        content, signature = self._content(manifest.MANIFEST), self._content(manifest.SIGNATURE)
        try:
            self.known[Manifest] = manifest.read_manifest(content, signature, self._the(Roster))
        except PeerError as fault:
            yield _placed(fault, manifest.SIGNATURE)

    def _files(self) -> Found:
        listed = {each.path: each for each in self._the(Manifest).files}
        for path, each in listed.items():
            if path not in self.sizes:
                yield PeerError("BUNDLE_MISSING", at=Place(path))
            elif self.sizes[path] != each.bytes or sha256(self._content(path)).hexdigest() != each.sha256:
                yield PeerError("BUNDLE_HASH", at=Place(path))
        for path in sorted(self.sizes.keys() - listed.keys() - {manifest.MANIFEST, manifest.SIGNATURE}):
            yield PeerError("BUNDLE_EXTRA", at=Place(path))

    def _results(self) -> Found:
        content = self._content(manifest.RESULTS)
        try:
            results = Results.of(parse_canonical(content, manifest.RESULTS), manifest.RESULTS)
        except (PeerError, ConfigError) as fault:
            raise _placed(fault, manifest.RESULTS) from None
        self.known[Results] = results
        said, run = self._the(Manifest), results.content.run
        if said.study != results.content.study.digest:
            yield _differs(manifest.MANIFEST, "study", manifest.RESULTS)
        if said.run != run.number:
            yield _differs(manifest.MANIFEST, "run", manifest.RESULTS)
        if run.software != f"hpfed {said.software.version}":
            yield _differs(manifest.MANIFEST, "software", manifest.RESULTS)
        admitted = self._the(Roster).entries.software
        if admitted and said.software not in admitted:
            yield _differs(manifest.MANIFEST, "software", manifest.ROSTER)

    def _study(self) -> Found:
        results, roster = self._the(Results).content, self._the(Roster)
        files = (manifest.STUDY, manifest.DICTIONARY)
        exact = results.privacy.mode == "exact"  # what --exact does to a study that was written for mode dp
        written = self._content(files[0]), self._content(files[1])
        models = tuple(self._content(path) for path in evaluated_files(written[0]))
        study = from_files(Written(*written, models), files, exact=exact)
        if not exact and results.privacy.noise is not None:
            study = self._with_noise(study, results.privacy.noise)
        if study.digest != results.study.digest:
            raise _differs(manifest.STUDY, "study.digest", manifest.RESULTS)
        if not 0 <= results.run.number < study.runs:
            raise _differs(manifest.RESULTS, "run.number", manifest.STUDY)
        study = self.known[Study] = study.at(results.run.number + 1)
        if study.file.as_of.isoformat() != results.run.as_of:
            yield _differs(manifest.STUDY, "as_of", manifest.RESULTS)
        try:
            check_asker(self._content(manifest.ASKED), study, roster, self._at())
        except HpfedError as fault:
            yield _placed(fault, manifest.ASKED)

    def _with_noise(self, study: Study, noise: Noise) -> Study:
        """What the coordinator adds to a study before it is signed. Errors: of noise that does not fit, or costs more than epsilon."""
        try:
            return study.with_noise(noise)
        except HpfedError as fault:
            raise _placed(fault, manifest.RESULTS) from None

    def _at(self) -> int:
        """When the results were released, Unix s. Errors: `PeerError BUNDLE_DIFFERS` where it is no moment."""
        written = self._the(Results).content.run.at
        try:
            moment = datetime.strptime(written, release.TIME).replace(tzinfo=UTC)
        except ValueError:
            raise _differs(manifest.RESULTS, "run.at", "contract") from None
        return int(moment.timestamp())

    def _approvals(self) -> Found:
        results, roster, study = self._the(Results).content, self._the(Roster), self._the(Study)
        ids = {city.name: number for number, city in roster.cities.items()}
        lost = {each.city for each in results.cities.missing}
        found: dict[int, Approval] = {}
        for name in (file.removesuffix(".json") for file in self._under("approvals")):
            path = manifest.approval_of(name)
            if name not in ids or name not in {*results.cities.answered, *lost}:
                yield PeerError("BUNDLE_EXTRA", at=Place(path))
                continue
            try:
                found[ids[name]] = read_approval(self._content(path), ids[name], study, roster, self._at())
            except HpfedError as fault:
                yield _placed(fault, path)
        for name in results.cities.answered:
            if ids.get(name) not in found:
                yield PeerError("BUNDLE_MISSING", at=Place(manifest.approval_of(name)))
        if not set(results.cities.answered) <= {roster.name(city) for city in found}:
            return
        # What study, roster and approvals give together: the same for every reader, before any number.
        survivors = tuple(sorted(ids[name] for name in results.cities.answered))
        missing = tuple(Missing(each.city, each.reason, each.detail) for each in results.cities.missing)
        try:
            agreement = agree(study, tuple(found), roster)
        except HpfedError as fault:
            raise _placed(fault, "bundle/approvals") from None
        least = len(found) if study.exact else max(study.file.cities.least, FEWEST)
        if len(survivors) < (agreement.limits.t if study.summed else least):
            raise _differs(manifest.RESULTS, "cities.answered", "threshold")
        uncounted = tuple(Missing(each.city, each.reason, each.detail) for each in results.cities.uncounted)
        beside = study.counted and study.summed and not study.exact  # mode exact is all or nothing
        if not {each.city for each in uncounted} <= (set(results.cities.answered) if beside else set()):
            raise _differs(manifest.RESULTS, "cities.uncounted", manifest.STUDY)
        nothing = np.zeros(agreement.layout.length, dtype=np.int64)
        self.known[Opened] = Opened(agreement, nothing, survivors, missing, found, uncounted=uncounted, known=False)

    @cached_property
    def _terms(self) -> dict[str, Any]:
        content = self._the(Results).content
        try:
            names = {city: Words(zh=label.zh, en=label.en) for city, label in content.cities.names.items()}
        except ValidationError:  # characters that no city folder can give
            raise _differs(manifest.RESULTS, "cities.names", "contract") from None
        return release.terms(self._the(Opened), self._the(Roster), names, self._at(), content.privacy.seeded)

    def _attestations(self) -> Found:
        opened, roster, content = self._the(Opened), self._the(Roster), self._the(Results).content
        tree, terms = self._the(Results).tree, self._terms
        for part in ("study", "run", "privacy", "words"):
            for name in _unequal(tree.get(part), terms[part], part, further=not self._same_software):
                yield _differs(manifest.RESULTS, name, manifest.STUDY)
        reasons = {each.city: each.reason for each in self._the(Manifest).unattested}
        for city in opened.survivors:
            name = roster.name(city)
            path = manifest.attestation_of(name)
            if path not in self.sizes:
                yield PeerError("BUNDLE_UNATTESTED", at=Place(path), city=name, reason=reasons.get(name, "-"))
                continue
            try:
                said = self.attested[name] = read_attestation(self._content(path), city, roster)
            except HpfedError as fault:
                yield _placed(fault, path)
                continue
            for what in _unlike(said, opened, city, terms["privacy"]):
                yield _differs(path, what, manifest.RESULTS)
        yield from self._one_sum()
        lost = {each.city for each in opened.uncounted}
        unused = sorted(name for name, said in self.attested.items() if name in lost and last(said, "by_city"))
        if unused:
            yield Note("own_unused", {"cities": ", ".join(unused)})
        answers = {each.id for each in (last(said, "pooled") for said in self.attested.values()) if each}
        if answers != {each.conversation for each in self._the(Manifest).transcripts}:
            yield _differs(manifest.MANIFEST, "transcripts", "attestations")
        study, cannot = (
            opened.agreement.study,
            {roster.name(city): opened.approvals[city].cannot for city in opened.survivors},
        )
        for question in study.file.questions:
            if question.id not in content.questions or content.questions[question.id].cities != study.able(
                question, cannot
            ):
                yield _differs(manifest.RESULTS, f"questions.{question.id}.cities", "approvals")

    def _one_sum(self) -> Found:
        """Cities sign the digest of the sum that the coordinator's receipt named to them: to all of them the same one."""
        pooled = {name: last(said, "pooled") for name, said in self.attested.items()}
        sums = {name: each.sum for name, each in pooled.items() if each is not None and each.sum}
        for name in sums:
            if sums[name] != next(iter(sums.values())):
                yield _differs(manifest.attestation_of(name), "conversations.pooled.sum", "attestations")
        recomputed_ = any(each.included for each in self._the(Manifest).transcripts)
        if len(set(sums.values())) == 1 and not recomputed_:  # else a later step does more
            yield Note("sum_attested", {"count": len(sums)})

    def _cities(self) -> Found:
        opened, roster, content = self._the(Opened), self._the(Roster), self._the(Results).content
        for name in _unequal(self._the(Results).tree.get("cities"), self._terms["cities"], "cities", further=False):
            yield _differs(manifest.RESULTS, name, "approvals")
        answered, missing = set(content.cities.answered), {each.city for each in content.cities.missing}
        named = opened.agreement.study.file.cities.names
        asked = {
            city.name
            for city in roster.entries.cities
            if city.state == "active" and (named is None or city.name in named)
        }
        for name in sorted((answered & missing) | (asked ^ (answered | missing))):
            yield _differs(manifest.RESULTS, f"cities: {name}", manifest.STUDY)
        for file in self._under("attestations"):
            if file.removesuffix(".json") not in answered:
                yield PeerError("BUNDLE_EXTRA", at=Place(f"bundle/attestations/{file}"))
        shown = (f"{city} = {label.zh} / {label.en}" for city, label in sorted(content.cities.names.items()))
        yield Note("word", {"names": "; ".join(shown), "at": content.run.at})

    def _numbers(self) -> Found:
        opened, results = self._the(Opened), self._the(Results)
        study, tree = opened.agreement.study, results.tree["questions"]
        own = self._own()
        kept = self._under("secagg")
        if study.exact and kept:
            raise PeerError("BUNDLE_EXACT", at=Place(f"bundle/secagg/{kept[0]}"))
        included = [each for each in self._the(Manifest).transcripts if each.included]
        if {f"{each.conversation}.bin" for each in included} != set(kept):
            raise _differs(manifest.MANIFEST, "transcripts", "bundle/secagg")
        total = None
        for each in included:
            total = self._sum(manifest.transcript_of(each.conversation), each.sha256)
        if total is None and study.summed and not study.exact and _would_fit(opened):
            raise PeerError("BUNDLE_MISSING", at=Place("bundle/secagg"))
        if total is None and study.summed:
            yield Note("sum_exact" if study.exact else "sum_large")
        if own is None:
            yield Note("own_large")
        exactly_ = self._same_software
        try:
            facts = stated_sums(study, tree)
        except (ValueError, ArithmeticError, TypeError, AttributeError):
            raise _differs(manifest.RESULTS, "questions.facts", manifest.DICTIONARY) from None
        whole = replace(
            opened,
            own=own or {},
            known=own is not None and (total is not None or not study.summed),
            stated={name: value for name, value in facts.items() if study.exact},
        )
        fits = self._fits()
        found = replace(whole if total is None else replace(whole, total=total), fits=fits)
        computed = found.computed if own is not None else frozenset()
        expected = release.answers(found, self._the(Roster))
        for name in sorted(tree.keys() ^ expected.keys()):
            yield PeerError("BUNDLE_ROWS", at=Place(manifest.RESULTS), question=name, row=0, what="question")
        many = {each.id for each in study.many}
        if many and not fits:
            yield Note("session_not_given")
        yield from self._models(tree)
        for name in sorted(tree.keys() & expected.keys() & many):
            yield from replay.unlike(name, tree[name], expected[name])
        for name in sorted(tree.keys() & expected.keys() - many):
            yield from _rows(name, tree[name], expected[name])
            if tree[name].get("facts") != expected[name].get("facts"):
                yield _differs(manifest.RESULTS, f"questions.{name}.facts", "approvals")
            if name not in computed:
                continue
            same = tree[name] == expected[name] if exactly_ else _alike(tree[name], expected[name])
            if not same:
                yield PeerError("BUNDLE_NUMBERS", at=Place(manifest.RESULTS), question=name)
        if own and computed:
            yield Note("own_recomputed")
        if total is not None and total.size:
            yield Note("recomputed" if exactly_ else "estimates_recomputed")

    def _fits(self) -> dict[str, Result]:
        """What many-round questions come to, by the record of their session; nothing where the bundle has none.

        Errors: those of `replay.replayed`; BUNDLE_MISSING where it has none and must, BUNDLE_EXTRA where it has one and must not;
        BUNDLE_DIFFERS where a file of a model is not the one that follows.
        """
        opened, path = self._the(Opened), manifest.SESSION
        due = bool(opened.agreement.study.many) and replay.open_to_all(opened)
        if due != (path in self.sizes):
            raise PeerError("BUNDLE_MISSING" if due else "BUNDLE_EXTRA", at=Place(path))
        if not due:
            return {}
        try:
            fits = replay.replayed(opened, self._content(path), self.attested)
        except HpfedError as fault:
            raise _placed(fault, path) from None
        for file, made in release.models(replace(opened, fits=fits), self._the(Roster)).items():
            if not replay.near(parse_canonical(self._content(file), file), parse_canonical(made, file)):
                raise _differs(file, "model", path)
        return fits

    def _models(self, tree: Mapping[str, Any]) -> Iterator[PeerError]:
        """The files of models that results.json names have the bytes that it names."""
        for name in sorted(tree):
            model = tree[name].get("model")
            if model is None:
                continue
            path = str(model["file"])
            if path != path_of(name) or digest(self._content(path)) != model["digest"]:
                yield _differs(manifest.RESULTS, f"questions.{name}.model", path_of(name))

    def _own(self) -> dict[int, Vector] | None:
        """What each city answered by itself, from its signed messages; None where they are too large for a bundle.

        Errors: `PeerError` of a message; BUNDLE_MISSING, BUNDLE_EXTRA; BUNDLE_DIFFERS where the city attests another answer.
        """
        opened, roster = self._the(Opened), self._the(Roster)
        agreement, files = opened.agreement, self._under("counted")
        fits = agreement.own.blocks and manifest.own_fit(agreement.own.length, len(agreement.cities))
        lost = {each.city for each in opened.uncounted}
        named = {roster.name(city): city for city in opened.survivors if fits and roster.name(city) not in lost}
        for file in files:
            if file.removesuffix(".hpfe") not in named:
                raise PeerError("BUNDLE_EXTRA", at=Place(f"bundle/counted/{file}"))
        cells: dict[int, Vector] = {}
        for name, city in named.items():
            path = manifest.counted_of(name)
            try:
                message = open_kept(self._content(path), sender=city, roster=roster)
                if (message.header.study, message.header.run) != (
                    agreement.study.digest.removeprefix("sha256:"),
                    agreement.run,
                ):
                    raise PeerError("ENVELOPE_STUDY", who=name)
                cells[city] = own_cells(message, agreement, roster)
            except HpfedError as fault:
                raise _placed(fault, path) from None
            said = last(self.attested[name], "by_city") if name in self.attested else None
            if name in self.attested and (said is None or said.sha256 != sha256(message.body).hexdigest()):
                raise _differs(path, "cells", manifest.attestation_of(name))
        return cells if fits or not agreement.own.blocks else None

    def _sum(self, path: str, digest_: str) -> Vector:
        """The sum over cities from the messages of the conversation. Errors: the first message that fails."""
        opened, roster = self._the(Opened), self._the(Roster)
        try:
            transcript = Transcript.decode(self._content(path), manifest.LARGEST_TRANSCRIPT)
            if transcript.digest().hex() != digest_:
                raise _differs(path, "digest", manifest.MANIFEST)
            if transcript.roster != roster.file:
                raise _differs(path, "roster", manifest.ROSTER)
            plan = Plan.decode(transcript.plan)
            cannot = {city: approval.cannot for city, approval in opened.approvals.items()}
            if plan != opened.agreement.plan(
                conversation=plan.conversation, roster=roster, expires=plan.expires, cannot=cannot, waits=plan.waits
            ):
                raise _differs(path, "plan", manifest.STUDY)
            total = recomputed(transcript, bytes.fromhex(roster.entries.root))
            if Survivors.decode(transcript.survivors).u3 != opened.survivors:
                raise _differs(path, "survivors", manifest.RESULTS)
        except HpfedError as fault:
            raise _placed(fault, path) from None
        sent = {roster.name(peek(each).sender): sha256(each).hexdigest() for each in transcript.masked}
        named = "sha256:" + keys.plan_digest(transcript.plan).hex()
        for name, said in self.attested.items():
            found = last(said, "pooled")
            if found is None or (found.id, found.plan, found.sha256) != (plan.conversation.hex(), named, sent[name]):
                raise _differs(path, f"masked: {name}", manifest.attestation_of(name))
        return total

    def _rebuilt(self) -> Found:
        """A workbook is compared by what it holds: how it is compressed depends on the machine."""
        listed = {each.path: each.derived for each in self._the(Manifest).files}
        results = self._the(Results)
        claimed = {path for path, derived in listed.items() if derived or _passes_for_derived(path)}
        if self.rebuild is None or not self._same_software:
            key = "not_rebuilt" if self.rebuild is None else "other_software"
            folded = {path.partition("/")[0] + "/" * ("/" in path) for path in claimed}
            yield Note(key, {"files": ", ".join(sorted(folded))})
        else:
            made = self.rebuild(results)
            claimed |= made.keys()
            for path in sorted(claimed):
                same = path in made and path in listed and _same(made[path], self._content(path), path)
                if not same or (_comparable(path) and not listed[path]):
                    yield PeerError("BUNDLE_REBUILT", at=Place(path))
        others = sorted(path for path in listed.keys() - claimed - set(manifest.NEEDED) if not _checked(path))
        if others:
            yield Note("unchecked", {"files": ", ".join(others)})

    def _reports(self) -> Found:
        results = self._the(Results)
        needed = {"study": results.content.study.digest, "results": results.digest}
        for path in sorted(path for path in self.sizes if path.startswith("report.") and path.endswith(".html")):
            page = self._content(path)
            for what, name in needed.items():
                if name.removeprefix("sha256:")[:SHORT].encode() not in page:
                    yield _differs(path, f"digest: {what}", manifest.RESULTS)


def _unequal(found: Any, expected: Mapping[str, Any], start: str, *, further: bool) -> tuple[str, ...]:
    """Keys of a part of the results that are not as they must be. `further`: keys that this software does not write are left alone."""
    if not isinstance(found, dict):
        return (start,)
    names = expected.keys() if further else found.keys() | expected.keys()
    return tuple(f"{start}.{name}" for name in sorted(names) if found.get(name, ABSENT) != expected.get(name, ABSENT))


def _unlike(said: Attestation, opened: Opened, city: int, privacy: Mapping[str, Any]) -> tuple[str, ...]:
    """What a city attests that is not what study, roster and approvals give."""
    agreement, study = opened.agreement, opened.agreement.study
    own_words = stated(study, opened.approvals[city].cannot, opened.approvals[city].facts)
    pairs: dict[str, tuple[object, object]] = {
        "study": (said.study, study.digest),
        "run": (said.run, agreement.run - 1),
        "as_of": (said.as_of, study.file.as_of),
        "snapshot": (said.as_of, opened.approvals[city].snapshot),
        **{name: (getattr(said, name), each) for name, each in own_words.items()},
        "release": (said.release, study.leaves),
        "mode": (said.mode, study.file.privacy.mode),
        "mechanism": (said.mechanism, privacy["mechanism"]),
        "noise": (said.noise, noise_of(agreement)),
        "layout": (said.layout, (agreement.layout if study.summed else agreement.own).digest),
        "questions": (
            [(each.id, each.cells) for each in said.questions],
            [(each.id, agreement.cells_of(each)) for each in study.file.questions],
        ),
        "ledger.epsilon": (said.ledger.epsilon, epsilon_text(agreement.epsilon)),
        "ledger.delta": (said.ledger.delta, study.file.privacy.delta),
    }
    lost = said.city in {each.city for each in opened.uncounted}
    asked = "sha256:" + sha256(agreement.count.encode()).hexdigest() if study.counted else ""
    parts: tuple[tuple[Literal["pooled", "by_city"], str, bool], ...] = (
        ("pooled", "left_each_city", study.summed),
        ("by_city", "own_of_each_city", study.counted),
    )
    for kind, part, needed in parts:
        sent = last(said, kind)
        if sent is None:
            pairs[f"conversations.{kind}"] = (not needed or (kind == "by_city" and lost), True)
        elif needed:
            left = privacy[part]
            pairs[f"conversations.{kind}.cells"] = (sent.cells, left["cells"])
            pairs[f"conversations.{kind}.bytes"] = (sent.bytes, left["bytes"])
            pairs[f"conversations.{kind}.plan"] = (kind == "pooled" or sent.plan == asked, True)
        else:
            pairs[f"conversations.{kind}"] = (True, False)
    pairs["conversations.session"] = (last(said, "session") is not None, bool(study.many))
    return tuple(name for name, (one, other) in pairs.items() if one != other)


def _would_fit(opened: Opened) -> bool:
    """Whether the transcript is small enough for a bundle, whatever its signatures: then it must be there. Counts each part too large."""
    agreement = opened.agreement
    n, vector = len(agreement.cities), agreement.layout.length * agreement.ring // 8
    return n * (vector + 8192 + 128 * n) <= manifest.LARGEST_TRANSCRIPT


def _rows(name: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> Found:
    """Rows that are not those of the question; withheld and unavailable ones that hold a number. Rows count from 1."""
    keys_ = ("scope", "measure", *expected["keys"], "contrast")
    places = [
        [tuple(row.get(key) for key in keys_) for row in rows] for rows in (found.get("rows", ()), expected["rows"])
    ]
    for part in ("kind", "number", "release", "keys", "asked"):
        if found.get(part) != expected[part]:
            yield PeerError("BUNDLE_ROWS", at=Place(manifest.RESULTS), question=name, row=0, what=part)
    if places[0] != places[1]:
        at = next(
            (n for n, (one, other) in enumerate(zip(*places, strict=False), 1) if one != other),
            min(map(len, places)) + 1,
        )
        yield PeerError("BUNDLE_ROWS", at=Place(manifest.RESULTS), question=name, row=at, what="keys")
    for number, row in enumerate(found.get("rows", ()), 1):
        withheld = row.get("conf_status") and any(row.get(column) is not None for column in NUMBERS)
        unavailable = set(row.get("obs_status", "")) & {"x", "z"} and row.get("estimate") is not None
        if withheld or unavailable:
            yield PeerError("BUNDLE_ROWS", at=Place(manifest.RESULTS), question=name, row=number, what="conf_status")


def _alike(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether estimates are the same but for what another version rounds differently. Of the rest it may know better."""
    pairs = zip(found.get("rows", ()), expected["rows"], strict=False)
    return all(_near(one.get("estimate"), other["estimate"], other["measure"]) for one, other in pairs)


def _near(one: float | None, other: float | None, measure: str) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= AGREED if measure == "count" else isclose(one, other, rel_tol=AGREED_PART, abs_tol=1e-6)


def _comparable(path: str) -> bool:
    """Whether the same results give the same bytes on every machine."""
    return not path.endswith(".xlsx")


def _passes_for_derived(path: str) -> bool:
    """Whether a reader takes it for a table, a report or a workbook of the result, whoever made it."""
    return path.startswith("tables/") or path.endswith((".html", ".pdf", ".xlsx"))


def _checked(path: str) -> bool:
    """Whether an earlier step looked at each file of its folder."""
    checked = (
        "bundle/approvals/",
        "bundle/attestations/",
        "bundle/counted/",
        "bundle/evaluated/",
        "bundle/secagg/",
        manifest.SESSION,
        "models/",
    )
    return path.startswith(checked)


def _same(made: bytes, found: bytes, path: str) -> bool:
    if _comparable(path):
        return made == found
    if (found[:4], found[-22:-18]) != (made[:4], made[-22:-18]):  # something stands before the archive, or after it
        return False
    try:
        with zipfile.ZipFile(BytesIO(made)) as ours, zipfile.ZipFile(BytesIO(found)) as theirs:
            sizes = [[(each.filename, each.file_size) for each in archive.infolist()] for archive in (ours, theirs)]
            return sizes[0] == sizes[1] and all(ours.read(name) == theirs.read(name) for name, _ in sizes[0])
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError):
        return False
