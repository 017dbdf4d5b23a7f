"""What a coordinator keeps of the studies that it asked: answers, logs, what cities acknowledged, and the number of its last message.

answers/<asker>-<digest>.json      results.json of a run; of a repeat, `.<run>` before the ending
answers/<asker>-<digest>/          what its bundle is made from
runs/<asker>-<digest>/<run>/       logs of conversations that are not over
acks/<city>                        the last acknowledgement of each city
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from coordinator import bundle
from coordinator.log import Log
from coordinator.release import Missing
from protocols.manifest import FOLDERS, SESSION
from protocols.roster import Roster
from protocols.study import Study

RECORD: Final = "record.json"  # of a stored answer: what its bundle says beyond its files
_WRITING: Final = threading.Lock()
NUMBER: Final = "numbers.txt"
BY_HAND: Final = "byhand"  # runs over files that are not over
NUMBERS_AHEAD: Final = 1_000_000  # message numbers that one run may use


@dataclass(frozen=True)
class Store:
    """Where the coordinator keeps the answer of one run of a study: the results, and a folder with what its bundle is made from."""

    base: Path
    study: str
    run: int
    of: int

    @property
    def name(self) -> str:
        return self.study if self.of == 1 else f"{self.study}.{self.run}"

    @property
    def answered(self) -> bool:
        return self._file.is_file()

    @property
    def _file(self) -> Path:
        return self.base / "answers" / f"{self.name}.json"

    @property
    def _folder(self) -> Path:
        return self.base / "answers" / self.name

    def results(self) -> bytes:
        return self._file.read_bytes()

    def unfinished(self) -> list[Path]:
        """Logs of conversations that a crash left, or that another process is holding."""
        return sorted(self._runs.glob("*/log"))

    def log(self, conversation: bytes) -> Log:
        """A new log."""
        return Log(self._runs / conversation.hex() / "log")

    @property
    def _runs(self) -> Path:
        return self.base / "runs" / self.study / str(self.run)

    def unsealed(self) -> bundle.Unsealed | None:
        """None for an answer from before there were bundles."""
        record = self._folder / RECORD
        if not record.is_file():
            return None
        places = (self._folder.glob(f"{folder}/**/*") for folder in FOLDERS)
        found = (path for path in sorted(chain.from_iterable(places)) if path.is_file())
        files = {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in found}
        return bundle.kept(record.read_bytes(), files)

    def keep(self, results: bytes, unsealed: bundle.Unsealed, transcript: bytes = b"", record: bytes = b"") -> None:
        """The results last: an answer is there when all that belongs to it is. `transcript`, `record`: of the sum and of the session; they
        stay here where the bundle has them not."""
        if record:
            write(self._folder / "secagg", {Path(SESSION).name: record})
        for path, content in unsealed.files.items():
            place = self._folder / path
            if not place.is_file() or place.read_bytes() != content:
                write(place.parent, {place.name: content})
        for each in unsealed.transcripts:
            if transcript and not each.included:
                write(self._folder / "secagg", {f"{each.conversation}.bin": transcript})
        write(self._folder, {RECORD: unsealed.record})
        if not self.answered:
            write(self._file.parent, {self._file.name: results})


def store(study: Study, base: Path) -> Store:
    """Of one run of a study, under the coordinator's home."""
    return Store(base, f"{study.file.asker}-{study.digest.removeprefix('sha256:')}", study.run, study.runs)


def numbers(base: Path, now: int) -> int:
    """The first message number of this run: above all of earlier ones, whatever the clock says."""
    return drawn(base, NUMBERS_AHEAD, now * 1000)


def drawn(base: Path, many: int, least: int) -> int:
    """The first of so many message numbers in a row: above all that any process of this home has drawn, and `least` at least."""
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (base / f"{NUMBER}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first = max(numbered(base) or 0, least)
        keep_number(base, first + many)
        return first


def least(base: Path, now: int) -> int:
    """Below which no number begins anew: at the clock, above those of a backup; where something is open, right behind what was drawn, as
    a city takes no number that is far below the newest."""
    open_ = chain(logs(base), (base / BY_HAND).glob("*.json"))
    return 0 if numbered(base) is not None and any(open_) else now * 1000


def numbered(base: Path) -> int | None:
    """The number below which all are used; None where none was kept."""
    path = base / NUMBER
    return int(path.read_text(encoding="utf-8")) if path.is_file() else None


def keep_number(base: Path, number: int) -> None:
    write(base, {NUMBER: str(number).encode()})


def logs(base: Path) -> Iterator[Path]:
    """Logs of every conversation that is not over."""
    return (base / "runs").glob("*/*/*/log")


def acks(base: Path, roster: Roster) -> dict[int, bytes]:
    """Each city's last acknowledgement, shown to it again so that a rolled-back ledger is noticed."""
    found = {city.name: base / "acks" / city.name for city in roster.entries.cities}
    return {city.id: found[city.name].read_bytes() for city in roster.entries.cities if found[city.name].is_file()}


def missing(results: bytes) -> tuple[Missing, ...]:
    """The cities that were missing from an earlier answer."""
    cities = json.loads(results)["cities"]
    return tuple(Missing(**each) for each in (*cities["missing"], *cities.get("uncounted", ())))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Each file whole or not at all, one after the other: studies of one engine write the same ones."""
    with _WRITING:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in files.items():
            part = folder / f"{name}.part"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(folder / name)
