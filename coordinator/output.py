"""The files of one result: `results.json`, the truth, and everything that is made from it."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

LANGUAGES: Final = ("zh", "en")


def write(out: Path, results: bytes, events: Iterable[Mapping[str, Any]] = ()) -> tuple[Path, ...]:
    """Write results.json, tables, both reports and run.jsonl under `out`; the files, most useful first.

    Everything is made in memory before the first byte is written, and every file takes its place whole: an interrupted run leaves the files
    of an earlier one as they were.
    """
    from coordinator.report import html, tables
    from coordinator.results import Results

    parsed = Results.parse(results)
    files: dict[str, bytes] = {
        f"report.{language}.html": html.render(parsed, language).encode() for language in LANGUAGES
    }
    files["results.json"] = results
    files |= {f"tables/{name}": content for name, content in tables.render(parsed).items()}
    files["run.jsonl"] = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
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
