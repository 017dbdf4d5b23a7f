"""Studies that an engine was asked, in the home: put there whole by whoever asks, taken from there by the engine, told there when over.

    <home>/asked/<asker>-<digest>.<run>/
        task.json                              what `study run` was told
        study.yaml, dictionary.yaml, study.sig.json    copies: the asker's files may change or go
        model.1, model.2 …                     copies of the model files that it evaluates
        without.json                           cities that nobody waits for any more
        state.json                             what the run waits for now; of the engine
        run.jsonl                              what happened, a line each; of the engine
        over.json                              how it ended; of the engine, last

A run is listed when its folder has its name, which it gets by one rename.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coordinator import split
from coordinator.store import write
from protocols import study as studies
from protocols.errors import ConfigError, HpfedError, Place, said
from protocols.study import Study, Written

FOLDER: Final = Path("asked")
TASK: Final = "task.json"
SIGNED: Final = "study.sig.json"
OVER: Final = "over.json"
MODEL: Final = "model."
WAIT_S: Final = 14 * 86_400  # for approvals


@dataclass(frozen=True)
class Task:
    """What `study run` was told. `named`: the file, as people know it; `run` from 1; `asked`: when, Unix s; `wait_s`: for approvals.

    `hand`: cities that are reached over files in the folder `place`, all others over links.
    """

    named: str
    study: str
    run: int
    exact: bool
    asked: int
    wait_s: int = WAIT_S
    place: str = ""
    hand: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """What a run waits for. `cities`: why for each of them. `since`: Unix s."""

    step: str = "asked"
    since: int = 0
    cities: Mapping[str, str] | None = None

    def published(self) -> dict[str, Any]:
        return {"step": self.step, "since": self.since, "cities": dict(self.cities or {})}


@dataclass(frozen=True)
class Asked:
    """One run that was asked, by its folder."""

    folder: Path
    task: Task

    @property
    def over(self) -> dict[str, Any] | None:
        """How it ended; None while it has not."""
        path = self.folder / OVER
        return dict(json.loads(path.read_bytes())) if path.is_file() else None

    @property
    def state(self) -> dict[str, Any]:
        """What it waits for, as the engine last said."""
        with suppress(OSError, ValueError):  # not there yet, or torn by a power cut: nothing rests on it
            return dict(json.loads((self.folder / "state.json").read_bytes()))
        return State().published()

    @property
    def without(self) -> frozenset[str]:
        """Cities that are given up."""
        path = self.folder / "without.json"
        return frozenset(json.loads(path.read_bytes())) if path.is_file() else frozenset()

    @property
    def signed(self) -> bytes:
        return (self.folder / SIGNED).read_bytes()

    @property
    def written(self) -> Written:
        """The copies of what people wrote."""
        models = sorted(self.folder.glob(f"{MODEL}*"), key=lambda path: int(path.name.removeprefix(MODEL)))
        study, dictionary, *evaluated = (self.folder / "study.yaml", self.folder / "dictionary.yaml", *models)
        return Written(study.read_bytes(), dictionary.read_bytes(), tuple(path.read_bytes() for path in evaluated))

    @property
    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "run.jsonl"
        return [*map(json.loads, filter(_whole, path.read_bytes().splitlines()))] if path.is_file() else []

    def study(self) -> Study:
        """The run that was asked. Errors: `ConfigError`, as of loading; STUDY_CHANGED where the copy is not what was asked."""
        found = split.stated(studies.from_files(self.written, exact=self.task.exact))
        if found.digest != self.task.study:
            raise ConfigError("STUDY_CHANGED", Place(str(self.folder)))
        return found.at(self.task.run) if found.runs > 1 else found

    def give_up(self, cities: Sequence[str]) -> None:
        """Wait for these no longer."""
        if set(cities) - self.without:
            write(self.folder, {"without.json": json.dumps(sorted(self.without | set(cities))).encode()})

    def note(self, event: Mapping[str, Any]) -> None:
        """One more thing that happened."""
        with (self.folder / "run.jsonl").open("ab") as file:
            file.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")

    def waits(self, state: State) -> None:
        """Whole or not at all; nothing rests on it, so nobody waits for the disk."""
        part = self.folder / "state.part"
        part.write_text(json.dumps(state.published()), encoding="utf-8")
        part.replace(self.folder / "state.json")

    def ended(self, fault: HpfedError | None = None, missing: Sequence[str] = ()) -> None:
        """The run is over: with an answer, or with what there is none for."""
        told: dict[str, Any] = {"exit": 4 if missing else 0, "missing": list(missing)}
        if fault is not None:
            words = {"code": fault.code, "zh": said(fault, "zh"), "en": said(fault, "en")}
            told = {"exit": fault.exit_code, "missing": list(missing), "error": words}
        write(self.folder, {OVER: json.dumps(told, ensure_ascii=False).encode()})


def _whole(line: bytes) -> bool:
    """Whether a line was not torn by a power cut."""
    with suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def folder_of(home: Path, study: Study) -> Path:
    return home / FOLDER / f"{study.file.asker}-{study.digest.removeprefix('sha256:')}.{study.run}"


def ask(home: Path, study: Study, task: Task, signed: bytes) -> Asked:
    """List a run for the engine. One that is open already goes on as it is; one that is over is asked anew. Pre-condition: the study was
    a file, and its signature holds."""
    assert study.written is not None  # noqa: S101 pre-condition
    folder = folder_of(home, study)
    if folder.is_dir():
        before = read(folder)
        if before.over is None:
            return before
        shutil.rmtree(folder)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    files = {"study.yaml": study.written.study, "dictionary.yaml": study.written.dictionary, SIGNED: signed}
    files |= {f"{MODEL}{number}": model for number, model in enumerate(study.written.models, 1)}
    write(fresh, {**files, TASK: json.dumps(vars(task)).encode()})
    try:
        fresh.rename(folder)
    except OSError:  # somebody else asked it at the same moment
        shutil.rmtree(fresh)
        return read(folder)
    return Asked(folder, task)


def read(folder: Path) -> Asked:
    """A run by its folder."""
    told = json.loads((folder / TASK).read_bytes())
    return Asked(folder, Task(**{**told, "hand": tuple(told["hand"])}))


def found(home: Path) -> list[Asked]:
    """Every run that was asked and is not over, in the order of their names."""
    listed = sorted((home / FOLDER).glob("[!.]*"))
    return [read(path) for path in listed if (path / TASK).is_file() and not (path / OVER).is_file()]
