"""The files of one result: `results.json`, the truth, and everything that is made from it."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from protocols.errors import ConfigError, Place
from protocols.manifest import RESULTS

if TYPE_CHECKING:
    from coordinator.bundle import Sealer
    from coordinator.results import Results

NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})
WORKBOOK: Final = "results.xlsx"
LANGUAGES: Final[tuple[Literal["zh", "en"], ...]] = ("zh", "en")


def usable(out: Path, forbidden: Iterable[Path] = ()) -> None:
    """Whether a result can be written there, asked before any city is. `forbidden`: folders that it must not be, nor lie in.

    Errors: `ConfigError` OUT_UNUSABLE (a file stands in the way, or no right to write), OUT_INSIDE.
    """
    place = out.absolute()
    standing = next(each for each in (place, *place.parents) if each.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise ConfigError("OUT_UNUSABLE", Place(str(out)))
    for each in forbidden:
        if place.resolve().is_relative_to(each.resolve()):
            raise ConfigError("OUT_INSIDE", Place(str(out)), folder=str(each))


def write(
    out: Path,
    results: bytes,
    events: Iterable[Mapping[str, Any]] = (),
    sealer: "Sealer | None" = None,
    also: Mapping[str, bytes] = NOTHING,
    *,
    stored: bool = False,
) -> tuple[Path, ...]:
    """Write results.json, tables, the workbook, both reports, run.jsonl and the bundle under `out`; the files, most useful first.

    `sealer`: what the bundle is made with; a result without one has none. `also`: further files of `out` that the bundle lists.
    `stored`: the answer is an earlier one; a run.jsonl that tells how it came about stays. Tables and bundle files of another
    result are removed.

    Everything is made in memory before the first byte is written, and every file takes its place whole: an interrupted run leaves the files
    of an earlier one as they were.
    """
    from coordinator.report.wording import scrubbed
    from coordinator.results import Results

    parsed = Results.parse(results)
    noted = [*events, {"event": "report", "characters_replaced": scrubbed(parsed)[1]}]
    log = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in noted)
    derived = made(parsed)
    told = out / "run.jsonl"
    files = {**derived, RESULTS: results, told.name: told.read_bytes() if stored and told.is_file() else log, **also}
    if sealer is not None:
        again = [
            path for path in derived if path != WORKBOOK
        ]  # its compression is the machine's, so that it may differ elsewhere
        files |= sealer.sealed(files, again)
    placed = _placed(out, files)
    for path in (*out.glob("tables/*.csv"), *out.glob("models/*"), *out.glob("bundle/**/*")):
        if path.is_file() and path not in placed:
            path.unlink()
    for folder in (*sorted(out.glob("bundle/**/"), reverse=True), out / "bundle"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return placed


def rebuild(out: Path, results: "Results") -> tuple[Path, ...]:
    """Tables, workbook and reports again, from what `out` holds: the same bytes as before."""
    return _placed(out, made(results))


def made(results: "Results") -> dict[str, bytes]:
    """Every file that is made from the results alone, by its path under `out`."""
    from coordinator.report import xlsx

    return pages(results) | {WORKBOOK: xlsx.workbook(results)}


def pages(results: "Results") -> dict[str, bytes]:
    """Reports, tables and model cards: the same bytes on every machine. (How a workbook is compressed depends on the machine.)"""
    from coordinator import modelcard
    from coordinator.report import html, sheets, tables

    files = {f"report.{each}.html": html.render(results, each).encode() for each in LANGUAGES}
    files |= modelcard.files(results)
    files |= {f"tables/{name}.{sheets.END}.csv": sheets.table(results, name) for name in sheets.carded(results)}
    return files | {f"tables/{name}.csv": tables.table(results, name) for name in results.questions}


def _placed(out: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    for name, content in files.items():
        place = out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(place.name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    return tuple(out / name for name in files)
